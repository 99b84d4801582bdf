"""The declarations of the commands, and the program's entry point."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from bulk_sync import signals
from bulk_sync.cli import bugs
from bulk_sync.cli.declare import Argument, Command, Given, for_typer
from bulk_sync.cli.parts import Columns, Following, Sample, Scope
from bulk_sync.errors import BulkSyncError
from bulk_sync.sandbox.behaviour import Behaviour, Serving
from bulk_sync.settings.comparing import Comparing
from bulk_sync.settings.creating import Creating
from bulk_sync.settings.history import History
from bulk_sync.settings.inbox import Inbox
from bulk_sync.settings.meaning import Meaning
from bulk_sync.settings.option import PREFIX, Declared, select_options
from bulk_sync.settings.outputs import Differences, JobFiles, Outputs, Preview, Purging
from bulk_sync.settings.pacing import Pacing
from bulk_sync.settings.reading import Reading
from bulk_sync.settings.sending import Sending
from bulk_sync.settings.stopping import Stopping
from bulk_sync.settings.target import KEY_SOURCES, Target
from bulk_sync.settings.together import Together
from bulk_sync.version import __version__

_EPILOG = (
    "Exit codes: 0 done, 2 usage, 3 some rows need correction, 4 input, 5 key, 6 run again, "
    "7 busy, 8 output. bulk-sync help lists the pages of the documentation."
)

app = typer.Typer(
    name="bulk-sync",
    help="Bring spreadsheets of property showings into North, with a result for every row.",
    epilog=_EPILOG,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)

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
_GROUPS = {"key": "Store the API keys of teams in the system's keychain."}


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
    _JOB,
    select_options(Outputs, "out", "results", "page", "checkpoint", "purge"),
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
)
def doctor(given: Given) -> int:
    """Check the settings and their sources, the key and its team, the clock and the folders.

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


def main() -> NoReturn:
    """Run a command and exit with its code; errors are sentences on standard error."""
    for stream in (sys.stdout, sys.stderr):
        # Escape characters that the terminal can't show, instead of ending with a traceback.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    code = _run()
    signals.ended(code)
    sys.exit(code)


def _run() -> int:
    """Run the command of the command line; return its exit code."""
    try:
        with signals.raising():
            # Not standalone: typer would print errors in its own words and exit with its own codes.
            code = _help_page()
            if code is None:
                code = _program()(args=_arguments(), prog_name="bulk-sync", standalone_mode=False)
                _list_topics()
    except _UsageProblem as problem:
        _show_failure(_usage_sentence(problem))
        return 2
    except BulkSyncError as error:
        _show_failure(str(error))
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the last one to see it
        hint = "" if _switches["debug"] else ". --debug shows a traceback, without values"
        _show_failure(f"{bugs.sentence(error)}{hint}")
        if _switches["debug"]:
            sys.stderr.write(bugs.trace(error))
        return 1
    return code or 0


def _help_page() -> int | None:
    """Print the page of `help TOPIC`; return None if the command line asks for no topic."""
    words = sys.argv[1:]
    if words[:1] != ["help"] or not words[1:] or words[1].startswith("-") or words[1] in COMMANDS:
        return None
    from bulk_sync.cli.topics import show_topic

    show_topic(" ".join(words[1:]), COMMANDS)
    return 0


def _list_topics() -> None:
    """Print the topics after the help that `help` alone prints."""
    if sys.argv[1:] == ["help"]:
        from bulk_sync.cli.topics import show_topics

        show_topics()


def _arguments() -> list[str]:
    """Return the command line; `help COMMAND` becomes `COMMAND --help`."""
    words = sys.argv[1:]
    return [*words[1:3], "--help"] if words[:1] == ["help"] else _with_values(words)


def _with_values(words: list[str]) -> list[str]:
    """Return the words with "" after a bare --jobs of `status`; typer has no optional values."""
    found = []
    for place, word in enumerate(words):
        is_last = place + 1 == len(words) or words[place + 1].startswith("-")
        bare = words[0] == "status" and word == "--jobs" and is_last
        found.append("--jobs=" if bare else word)
    return found


def _program() -> Callable[..., int | None]:
    """Return the program with the called command only, because declaring all takes time."""
    called = next((word for word in _arguments() if not word.startswith("-")), "")
    app.registered_commands, app.registered_groups = [], []
    groups: dict[str, typer.Typer] = {}
    some = [one for name, one in COMMANDS.items() if name.split()[0] == called]
    for command in some or COMMANDS.values():
        group, _, name = command.name.rpartition(" ")
        if group and group not in groups:
            groups[group] = typer.Typer(help=_GROUPS[group])
            app.add_typer(groups[group], name=group)
        (groups[group] if group else app).command(name)(
            for_typer(command, lambda: _elsewhere, ConfigFile)
        )
    return typer.main.get_command(app)


# typer bundles its own click and exports only this usage error; its parent is `UsageError`.
_UsageProblem: type[Exception] = typer.BadParameter.mro()[1]


def _usage_sentence(problem: Exception) -> str:
    from bulk_sync.cli.habits import advice

    sentence = str(getattr(problem, "format_message", problem.__str__)()).rstrip(".")
    unknown = getattr(problem, "option_name", None)
    if unknown is not None:
        sentence = advice(unknown, sys.argv[1:], getattr(problem, "possibilities", None) or ())
    context = getattr(problem, "ctx", None)
    if context is None:
        return sentence
    end = "" if sentence.endswith("?") else "."
    return f"{sentence}{end} See: {context.command_path} --help"


def _show_failure(sentence: str) -> None:
    """Print an error without keys, and the source of its options if it is not the command line."""
    from bulk_sync.cli.streams import show_failure
    from bulk_sync.secret import without_keys

    given = {word.partition("=")[0] for word in sys.argv[1:]}
    named = {
        name: _elsewhere.get(name.removeprefix("--"))
        for name in re.findall(r"--[a-z][a-z-]+", sentence)
    }
    where = [
        f"{name} is set in {found.source}"
        for name, found in named.items()
        if found is not None and name not in given
    ]
    text = f"{sentence.rstrip('.')} ({'; '.join(where)})" if where else sentence
    show_failure(without_keys(text))


_switches = {"debug": False}
# The values that the environment and files give to options, as config.Sourced, by option name.
_elsewhere: dict[str, Any] = {}


def _take_settings(context: typer.Context, config: Path | None) -> Path | None:
    """Set the values from environment and files as typer's defaults."""
    from bulk_sync.cli.config import config_files, read_sources
    from bulk_sync.folders import config_folder

    _elsewhere.clear()
    settable = [one for one in COMMANDS.values() if one.takes_settings]
    options = [option for one in settable for option in one.options]
    about_sheet = frozenset(option.name for option in options if option.about_sheet)
    files = config_files(config, Path(), config_folder(), about_sheet)
    if not files and not any(name.startswith(PREFIX) for name in os.environ):
        return config
    kinds = {option.name: option.kind for option in options}
    _elsewhere.update(read_sources(kinds, os.environ, files))
    own = COMMANDS[context.command.name or ""].options
    context.default_map = {
        option.keyword: _elsewhere[option.name].value for option in own if option.name in _elsewhere
    }
    return config


ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        is_eager=True,
        callback=_take_settings,
        envvar="BULK_SYNC_CONFIG",
        help="Read settings from this file; default: bulk-sync.toml in this folder and in your "
        "configuration folder.",
        show_envvar=False,
        rich_help_panel="Settings",
    ),
]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bulk-sync {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback prints and exits
        bool,
        typer.Option(
            "--version",
            metavar=" ",
            help="Print the version.",
            is_eager=True,
            callback=_print_version,
        ),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", metavar=" ", help="Show a traceback when the run ends with a bug."),
    ] = False,
) -> None:
    _switches["debug"] = debug
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), nl=False)
        raise typer.Exit(2)
