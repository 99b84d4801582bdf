"""The declarations of the commands: their arguments, their options, their help."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bulk_sync.cli.declare import Argument, Command, Given
from bulk_sync.cli.parts import Asking, Columns, Examining, Following, OneRow, Sample, Scope
from bulk_sync.sandbox.behaviour import Behaviour, Serving
from bulk_sync.settings.comparing import Comparing
from bulk_sync.settings.creating import Creating
from bulk_sync.settings.history import History
from bulk_sync.settings.inbox import Inbox
from bulk_sync.settings.meaning import Meaning
from bulk_sync.settings.option import Declared, select_options
from bulk_sync.settings.outputs import Differences, JobFiles, Outputs, Preview, Purging
from bulk_sync.settings.pacing import Pacing
from bulk_sync.settings.reading import Reading
from bulk_sync.settings.sending import Sending
from bulk_sync.settings.stopping import Stopping
from bulk_sync.settings.target import KEY_SOURCES, Target
from bulk_sync.settings.together import Together

COMMANDS: dict[str, Command] = {}
"""The commands by name, in the order of the help."""

_FILE = Argument("file", "FILE", "A CSV file or a workbook; - reads CSV from standard input.")
_FILES = Argument(
    "files",
    "FILE...",
    "CSV files or workbooks, and folders of them; - reads CSV from standard input.",
    many=True,
)
_JOB = Argument("file", "FILE", "The file that was pushed, or its checkpoint.", is_sheet=False)

_NAME = Argument(
    "name", "TEAM", "The name of the key, such as its team's.", is_sheet=False, is_text=True
)
GROUPS = {"key": "Store the API keys of teams in the system's keychain."}
"""The commands that have commands below them, with their help."""


def _command(
    argument: Argument | None, *groups: type | tuple[Declared, ...], takes_settings: bool = True
) -> Callable[[Callable[[Given], int]], Callable[[Given], int]]:
    """Register a function as a command with these options.

    Commands import their modules late, because `--help` and completion need only the declarations.
    """

    def add(run: Callable[[Given], int]) -> Callable[[Given], int]:
        command = Command(run, argument, groups, takes_settings)
        COMMANDS[command.name] = command
        return run

    return add


@_command(
    _FILES,
    Reading,
    Meaning,
    Target,
    Pacing,
    Sending,
    Creating,
    History,
    Stopping,
    Outputs,
    Following,
    Inbox,
    Asking,
)
def push(given: Given) -> int:
    """Bring a sheet into North: read, check, send, report. Run it again to resume.

    Examples:

      bulk-sync push showings.csv

      bulk-sync push showings.csv --rate 600/m --json

      bulk-sync push showings.csv --sandbox --limit 20

      bulk-sync push export.xlsx --sheet March --timezone America/Chicago

      bulk-sync push inbox/ --archive done/
    """
    from bulk_sync.cli import pushing

    return pushing.push(given.values)


@_command(
    _FILES,
    Reading,
    Meaning,
    select_options(Target, "base_url", "key_file"),
    Pacing,
    Creating,
    select_options(Stopping, "max_problems", "max_changes", "deadline_seconds", "finish_by"),
    Preview,
    select_options(JobFiles, "out", "checkpoint"),
    select_options(Following, "json"),
    select_options(Inbox, "settle_seconds"),
)
def check(given: Given) -> int:
    """Show how a sheet is understood and what push would send; no network, no key.

    The exit code is the one that push would start with: 0, 3 when rows have problems, 4 when
    the sheet can't be used.

    Examples:

      bulk-sync check showings.csv

      bulk-sync check export.xlsx --map "Client said=feedback" --show 3

      bulk-sync check inbox/
    """
    from bulk_sync.cli import commands

    return commands.check(given.values)


@_command(
    _FILE,
    Comparing,
    Reading,
    Meaning,
    Target,
    Pacing,
    Sending,
    Creating,
    select_options(History, "ledger", "fresh", "new_key"),
    Stopping,
    Differences,
    select_options(Following, "json", "quiet", "verbose", "log_format", "log_file"),
    Asking,
)
def reconcile(given: Given) -> int:
    """Compare a sheet cell by cell with another one (an export), or with what the API last
    acknowledged.

    Exit code 0 when nothing differs, else 3; with --push that of the push, or 3 when something is
    left to decide.

    Examples:

      bulk-sync reconcile feedback.xlsx --with north-export.csv --one-way

      bulk-sync reconcile feedback.xlsx --with export-today.csv --base export-monday.csv --push

      bulk-sync reconcile showings.csv --with ledger --results differences.xlsx
    """
    from bulk_sync.cli import pushing

    return pushing.reconcile(given.values)


@_command(
    replace(_JOB, metavar="[FILE]", is_optional=True),
    select_options(Together, "jobs"),
    select_options(JobFiles, "out", "checkpoint"),
    select_options(Following, "json"),
)
def status(given: Given) -> int:
    """Show the state of a file's job, from its checkpoint; also while it runs, or after a crash.
    With --jobs in place of FILE, show the state of all jobs of a jobs file.

    The exit code says where the job stands: 0 done, 3 complete with rows to correct, 4 no or no
    readable checkpoint, 6 rows are pending, 7 a run is in progress.

    Examples:

      bulk-sync status showings.csv

      bulk-sync status --jobs teams.toml

      bulk-sync status --jobs
    """
    if given.values.get("file") is not None and "jobs" not in given.typed:
        from bulk_sync.cli import commands

        return commands.status(given.values)
    from bulk_sync.cli import checking_jobs

    return checking_jobs.status(given, COMMANDS["push"].options, COMMANDS["run"].options)


@_command(
    replace(_JOB, help="The sheet, or the checkpoint of its job."),
    OneRow,
    Reading,
    Meaning,
    select_options(JobFiles, "out", "checkpoint"),
    select_options(Following, "json"),
)
def explain(given: Given) -> int:
    """Show everything known of one row: its cells and what each was read as, its patch, attempts
    and outcome, and what North acknowledged last. No network, no key; nothing is changed.

    Give it the options of the push, so that the cells mean the same.

    Examples:

      bulk-sync explain showings.csv --row 17

      bulk-sync explain showings.csv --key SH-1017 --json

      bulk-sync explain showings.checkpoint.sqlite --row 17
    """
    from bulk_sync.cli import explaining

    return explaining.explain_row(given.values)


@_command(
    _JOB,
    select_options(Outputs, "out", "results", "with_cells", "page", "checkpoint", "purge"),
    Purging,
    select_options(Following, "json", "quiet"),
)
def report(given: Given) -> int:
    """Write the results and the rows to correct again, from the checkpoint; with --page, the HTML
    page too.
    """
    from bulk_sync.cli import commands

    return commands.report(given.values)


@_command(
    Argument(
        "names",
        "[JOB]...",
        "The jobs to run; default: all.",
        many=True,
        is_sheet=False,
        is_text=True,
    ),
    Together,
    select_options(Stopping, "deadline_seconds", "finish_by"),
    select_options(JobFiles, "page"),
    Following,
)
def run(given: Given) -> int:
    """Run the jobs of a jobs file at the same time, each with its team's key.

    Examples:

      bulk-sync run --jobs teams.toml

      bulk-sync run --jobs teams.toml vale hill --finish-by 06:00

      bulk-sync run --at-once 300 --page night.html --log-file night.log
    """
    from bulk_sync.cli import running

    return running.run(given, COMMANDS["push"].options, COMMANDS["run"].options)


@_command(
    None,
    select_options(Target, "base_url", *KEY_SOURCES, "team"),
    select_options(Sending, "transport", "timeout_seconds"),
    select_options(JobFiles, "out"),
    select_options(Together, "jobs", "dask"),
    select_options(Following, "json"),
    Examining,
)
def doctor(given: Given) -> int:
    """Check the settings and their sources, the key and its team, the clock and the folders.

    Settings that have their default are shown with -v.

    It asks the API for GET /v1/users/me, once, and changes nothing. With --dask it tries the
    cluster instead: its versions, and from every worker the folders of the jobs.

    Examples:

      bulk-sync doctor --key-file north.key

      bulk-sync doctor --dask tcp://scheduler.example.com:8786 --jobs teams.toml
    """
    from bulk_sync.cli import commands

    return commands.doctor(given, COMMANDS["push"].options, COMMANDS["run"].options)


@_command(_NAME, takes_settings=False)
def key_set(given: Given) -> int:
    """Store an API key in the system's keychain; --keychain NAME reads it from there.

    The key is asked for and not shown while it is typed; else it is read from standard input.

    Examples:

      bulk-sync key set "Vale Realty"

      pass show north/vale | bulk-sync key set "Vale Realty"
    """
    from bulk_sync.cli import key_store

    return key_store.set_key(given.values["name"])


@_command(_NAME, takes_settings=False)
def key_remove(given: Given) -> int:
    """Remove an API key from the system's keychain; North goes on accepting it."""
    from bulk_sync.cli import key_store

    return key_store.remove_key(given.values["name"])


@_command(
    Argument(
        "path",
        "PATH",
        "The sheet to write; the suffix decides the format: .csv or .xlsx.",
        is_sheet=False,
    ),
    Columns,
    takes_settings=False,
)
def template(given: Given) -> int:
    """Write an empty sheet to fill in and push, with a header that is recognised as it is.

    A workbook has drop-downs, date formats, and a sheet of notes that explains each column. A file
    that exists is not replaced.

    Examples:

      bulk-sync template showings.xlsx

      bulk-sync template feedback.csv --fields rating,interested,feedback
    """
    from bulk_sync.cli import template as command

    return command.template(given.values["path"], given.values.get("fields"))


@_command(None, Scope, takes_settings=False)
def init(given: Given) -> int:
    """Write a bulk-sync.toml, with each setting as a comment below its description.

    The file of a folder says how sheets are read; with --user, the file in your configuration
    folder has every setting.
    """
    from bulk_sync.cli import commands

    return commands.init(COMMANDS["push"].options, for_user=bool(given.values.get("user")))


@_command(None, Behaviour, Serving, takes_settings=False)
def sandbox(given: Given) -> int:
    """Run a North API on loopback, to try things on.

    Any key of the form north_sk_test_... is accepted; one that begins with
    north_sk_test_readonly may not change anything.

    It listens on 127.0.0.1 only. Its records want the token that it prints at its start, as
    ?token=TOKEN or in the header X-Sandbox-Token: GET /_sandbox/journal (?after=SEQ&limit=N),
    /_sandbox/stats, /_sandbox/showings/KEY.

    Examples:

      bulk-sync sandbox --accept-any --limit 20/s --fault 2%:503

      bulk-sync sandbox --accept-any --allowance 1000/h --speed 60
    """
    from bulk_sync.cli import commands

    return commands.sandbox(given.values)


@_command(None, Sample, select_options(Following, "json", "quiet"), takes_settings=False)
def demo(given: Given) -> int:
    """Push a sample sheet into a sandbox that limits the rate and fails now and then."""
    from bulk_sync.cli import pushing

    return pushing.demo(given.values)


# The program
