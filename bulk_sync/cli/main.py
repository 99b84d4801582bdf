"""The commands."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer

from bulk_sync.address import DEFAULT_BASE_URL
from bulk_sync.cli import options
from bulk_sync.cli.options import reading
from bulk_sync.errors import ENDING_SIGNALS, BulkSyncError, Interrupted, UsageError
from bulk_sync.quantities import parse_latency, parse_rate
from bulk_sync.sandbox.faults import parse_fault
from bulk_sync.sandbox.limits import LimitHeaders, LimitStyle
from bulk_sync.version import __version__

_EPILOG = "Exit codes: 0 done, 2 usage, 3 some rows need mending, 4 input, 5 key, 6 run again, 7 busy, 8 output."

app = typer.Typer(
    name="bulk-sync",
    help="Bring spreadsheets of property showings into North, and say for every row what became of it.",
    epilog=_EPILOG,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def main() -> NoReturn:
    """Run a command and exit with its code; a sentence on standard error says what went wrong."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that can't show a character gets its escape, not a traceback.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    for number in ENDING_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _on_signal)
    try:
        code = _declared()(prog_name="bulk-sync", standalone_mode=False)
    except _UsageProblem as problem:
        _show_failure(_usage_sentence(problem))
        sys.exit(2)
    except BulkSyncError as error:
        _show_failure(str(error))
        sys.exit(error.exit_code)
    except Exception as error:
        if _switches["debug"]:
            raise
        _show_failure(
            f"this is a bug in bulk-sync ({type(error).__name__}); please report it. --debug shows where",
        )
        sys.exit(1)
    sys.exit(code or 0)


def _declared() -> Callable[..., int | None]:
    """The command line; of the commands only the one that is called, if one is: reading all of them
    takes longer.
    """
    called = next((word for word in sys.argv[1:] if not word.startswith("-")), None)
    every = app.registered_commands
    app.registered_commands = [
        one for one in every if one.callback is not None and one.callback.__name__ == called
    ] or every
    try:
        return typer.main.get_command(app)
    finally:
        app.registered_commands = every


# typer carries its own copy of click and names only this kind of usage error: its parent is all of
# them.
_UsageProblem: type[Exception] = typer.BadParameter.mro()[1]


def _usage_sentence(problem: Exception) -> str:
    sentence = str(getattr(problem, "format_message", problem.__str__)()).rstrip(".")
    context = getattr(problem, "ctx", None)
    return sentence if context is None else f"{sentence}. See: {context.command_path} --help"


def _show_failure(sentence: str) -> None:
    """Say what went wrong; a sentence that repeats a word of the command line, without the key that
    is put there.
    """
    from bulk_sync.cli import commands
    from bulk_sync.secret import without_keys

    given = {word.partition("=")[0] for word in sys.argv[1:]}
    said = {
        name: _told_elsewhere.get(name.removeprefix("--"))
        for name in re.findall(r"--[a-z][a-z-]+", sentence)
    }
    where = [
        f"{name} is set in {told.where}"
        for name, told in said.items()
        if told is not None and name not in given
    ]
    text = f"{sentence.rstrip('.')} ({'; '.join(where)})" if where else sentence
    commands.show_failure(without_keys(text))


def _on_signal(number: int, _: FrameType | None) -> NoReturn:
    raise Interrupted(number)


_switches = {"debug": False}
_told_elsewhere: dict[str, Any] = {}
"""What the environment and files say of options, as config.Told, by their names without dashes."""


def _take_settings(context: typer.Context, config: Path | None) -> Path | None:
    """Let what is said elsewhere stand for the options that the command line leaves out."""
    from platformdirs import user_config_path

    from bulk_sync.cli.config import FILE_NAME, PREFIX, declared, files_of, told

    _told_elsewhere.clear()
    files = files_of(config, Path(), user_config_path("bulk-sync", appauthor=False))
    if not files and not any(name.startswith(PREFIX) for name in os.environ):
        return config
    commands: dict[str, Callable[..., None]] = {
        "push": push,
        "check": check,
        "reconcile": reconcile,
        "status": status,
        "report": report,
        "doctor": doctor,
    }
    known = {name: declared(command) for name, command in commands.items()}
    kinds = {option.name: option.kind for options in known.values() for option in options}
    _told_elsewhere.update(told(kinds, os.environ, files))
    hook = _told_elsewhere.get("on-finish")
    if hook is not None and config is None and hook.where == str(Path(FILE_NAME)):
        raise UsageError(
            f"{hook.where}: on-finish runs a command, so it is not taken from the file of whatever folder one is in: "
            "say it on the command line, in the environment or in your configuration folder, or name the file: --config"
        )
    own = known.get(context.command.name or "", [])
    context.default_map = {
        option.parameter: _told_elsewhere[option.name].value
        for option in own
        if option.name in _told_elsewhere
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
        help="Take settings from this file; else from bulk-sync.toml here and in your configuration folder.",
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
        typer.Option(
            "--debug", metavar=" ", help="Show a traceback when a bug of ours ends the run."
        ),
    ] = False,
) -> None:
    _switches["debug"] = debug
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), nl=False)
        raise typer.Exit(2)


@app.command()
def push(
    files: options.Inputs,
    sheet: options.Sheet = None,
    header_row: options.HeaderRow = None,
    delimiter: options.Delimiter = None,
    encoding: options.Encoding = None,
    map_: options.Map = None,
    profile: options.ProfileFile = None,
    timezone: options.Timezone = None,
    date_order: options.DateOrder = None,
    default_time: options.DefaultTime = None,
    clear: options.Clear = None,
    on_duplicate: options.OnDuplicate = None,
    strict: options.Strict = None,
    base_url: options.BaseUrl = DEFAULT_BASE_URL,
    key_file: options.KeyFile = None,
    rate: options.RateOption = None,
    workers: options.Workers = 16,
    transport: options.TransportOption = "auto",
    timeout: options.Timeout = 30.0,
    max_attempts: options.MaxAttempts = 5,
    retry_for: options.RetryFor = "15m",
    ambiguous: options.Ambiguous = "retry",
    only_changed: options.OnlyChanged = False,
    ledger: options.LedgerFile = None,
    sandbox: options.Rehearse = False,
    max_problems: options.MaxProblems = "50%",
    max_failures: options.MaxFailures = None,
    deadline: options.Deadline = None,
    finish_by: options.FinishBy = None,
    limit: options.Limit = None,
    out: options.Out = None,
    results: options.Results = None,
    page: options.Page = None,
    checkpoint: options.Checkpoint = None,
    undo_file: options.UndoFile = None,
    fresh: options.Fresh = False,
    new_key: options.NewKey = False,
    purge: options.Purge = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    log_format: options.LogFormat = "text",
    log_file: options.LogFile = None,
    metrics_file: options.MetricsFile = None,
    on_finish: options.OnFinish = None,
    archive: options.Archive = None,
    settle: options.Settle = "10s",
    config: ConfigFile = None,  # noqa: ARG001 - its callback takes the settings
) -> None:
    """Bring a sheet into North: read, check, send, report. Run it again to resume.

    Examples:

      bulk-sync push showings.csv

      bulk-sync push showings.csv --rate 600/m --json

      bulk-sync push showings.csv --sandbox --limit 20

      bulk-sync push export.xlsx --sheet March --timezone America/Chicago

      bulk-sync push inbox/ --archive done/
    """
    from bulk_sync.address import SANDBOX_TARGET
    from bulk_sync.cli import commands
    from bulk_sync.settings import PushSettings

    if archive is not None and (sandbox or limit is not None):
        raise UsageError(
            "--archive moves away what is finished: with --sandbox or --limit nothing is"
        )
    if any(
        "north_sk_" in str(file) for file in files
    ):  # it would be the job's name in logs and metrics
        raise UsageError(
            "FILE is the name of a sheet; the API key is read from NORTH_API_KEY or --key-file"
        )

    def settings() -> PushSettings:
        sheet_settings = commands.sheet_settings(
            profile,
            map_,
            sheet=sheet,
            header_row=header_row,
            delimiter=delimiter,
            encoding=encoding,
            timezone=timezone,
            date_order=date_order,
            default_time=default_time,
            clear=clear,
            on_duplicate=on_duplicate,
            strict=strict,
        )
        return PushSettings.checked(
            **sheet_settings,
            input=files[0],
            base_url=SANDBOX_TARGET if sandbox else base_url,
            key=commands.key_of(key_file, sandbox=sandbox),
            rate=rate,
            workers=workers,
            transport=transport,
            timeout_seconds=timeout,
            max_attempts=max_attempts,
            retry_for_seconds=retry_for,
            ambiguous=ambiguous,
            max_problems=max_problems,
            max_failures=max_failures,
            deadline_seconds=deadline,
            finish_by=finish_by,
            limit=limit,
            out=out,
            results=results,
            page=page,
            checkpoint=checkpoint,
            fresh=fresh,
            new_key=new_key,
            purge=purge,
            only_changed=only_changed,
            ledger=ledger,
            undo_file=undo_file,
        )

    telling = commands.Telling(
        as_json=as_json,
        quiet=quiet,
        verbose=verbose > 0,
        log_format=log_format,
        log_file=log_file,
        metrics_file=metrics_file,
        on_finish=on_finish,
    )
    raise typer.Exit(commands.push(files, settings, telling, archive, settle))  # type: ignore[arg-type] # by its parser


@app.command()
def check(
    file: options.Input,
    sheet: options.Sheet = None,
    header_row: options.HeaderRow = None,
    delimiter: options.Delimiter = None,
    encoding: options.Encoding = None,
    map_: options.Map = None,
    profile: options.ProfileFile = None,
    timezone: options.Timezone = None,
    date_order: options.DateOrder = None,
    default_time: options.DefaultTime = None,
    clear: options.Clear = None,
    on_duplicate: options.OnDuplicate = None,
    strict: options.Strict = None,
    base_url: options.BaseUrl = DEFAULT_BASE_URL,
    key_file: options.KeyFile = None,
    rate: options.RateOption = None,
    max_problems: options.MaxProblems = "50%",
    deadline: options.Deadline = None,
    finish_by: options.FinishBy = None,
    limit: options.Limit = None,
    show: Annotated[
        int,
        typer.Option(
            "--show",
            metavar="N",
            min=0,
            help="Print the first N patches as the API will see them.",
            rich_help_panel="Output",
        ),
    ] = 0,
    save_profile: Annotated[
        Path | None,
        typer.Option(
            "--save-profile",
            metavar="FILE",
            help="Write the mapping as a profile, to use with --profile.",
            rich_help_panel="Output",
        ),
    ] = None,
    as_json: options.Json = False,
    config: ConfigFile = None,  # noqa: ARG001 - its callback takes the settings
) -> None:
    """Show what a sheet is understood to say and what push would send; no network, no key.

    The exit code is the one that push would start with: 0, 3 when rows have problems, 4 when
    the sheet can't be used.

    Examples:

      bulk-sync check showings.csv

      bulk-sync check export.xlsx --map "Client said=feedback" --show 3
    """
    from bulk_sync.cli import commands
    from bulk_sync.settings import SheetSettings

    sheet_settings = commands.sheet_settings(
        profile,
        map_,
        sheet=sheet,
        header_row=header_row,
        delimiter=delimiter,
        encoding=encoding,
        timezone=timezone,
        date_order=date_order,
        default_time=default_time,
        clear=clear,
        on_duplicate=on_duplicate,
        strict=strict,
    )
    settings = SheetSettings.checked(
        **sheet_settings, input=file, rate=rate, max_problems=max_problems, limit=limit
    )
    limit_known, window = commands.prospects(base_url, key_file, deadline, finish_by)  # type: ignore[arg-type] # read by their parsers
    code = commands.check(
        settings,
        show=show,
        save_profile=save_profile,
        as_json=as_json,
        limit=limit_known,
        window_seconds=window,
    )
    raise typer.Exit(code)


@app.command()
def reconcile(
    file: options.Input,
    with_: options.With,
    base: options.Base = None,
    with_profile: options.WithProfile = None,
    prefer: options.Prefer = None,
    one_way: options.OneWay = False,
    push: options.PushChanges = False,
    sheet: options.Sheet = None,
    header_row: options.HeaderRow = None,
    delimiter: options.Delimiter = None,
    encoding: options.Encoding = None,
    limit: options.Limit = None,
    map_: options.Map = None,
    profile: options.ProfileFile = None,
    timezone: options.Timezone = None,
    date_order: options.DateOrder = None,
    default_time: options.DefaultTime = None,
    clear: options.Clear = None,
    on_duplicate: options.OnDuplicate = None,
    strict: options.Strict = None,
    base_url: options.BaseUrl = DEFAULT_BASE_URL,
    key_file: options.KeyFile = None,
    rate: options.RateOption = None,
    workers: options.Workers = 16,
    transport: options.TransportOption = "auto",
    timeout: options.Timeout = 30.0,
    max_attempts: options.MaxAttempts = 5,
    retry_for: options.RetryFor = "15m",
    ambiguous: options.Ambiguous = "retry",
    ledger: options.LedgerFile = None,
    sandbox: options.Rehearse = False,
    max_problems: options.MaxProblems = "50%",
    max_failures: options.MaxFailures = None,
    deadline: options.Deadline = None,
    finish_by: options.FinishBy = None,
    fresh: options.Fresh = False,
    new_key: options.NewKey = False,
    out: options.Out = None,
    checkpoint: options.Checkpoint = None,
    results: options.Differences = None,
    page: options.Page = None,
    template: options.Template = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    log_format: options.LogFormat = "text",
    log_file: options.LogFile = None,
    config: ConfigFile = None,  # noqa: ARG001 - its callback takes the settings
) -> None:
    """Compare a sheet cell by cell with another one (an export), or with what the API acknowledged
    last.

    Exit code 0 when nothing differs, else 3; with --push that of the push, or 3 when something is
    left to decide.

    Examples:

      bulk-sync reconcile feedback.xlsx --with north-export.csv --one-way

      bulk-sync reconcile feedback.xlsx --with export-today.csv --base export-monday.csv --push

      bulk-sync reconcile showings.csv --with ledger --results differences.xlsx
    """
    from bulk_sync.address import SANDBOX_TARGET
    from bulk_sync.cli import commands
    from bulk_sync.settings import Files, ReconcileSettings, SheetSettings

    reading = {
        "sheet": sheet,
        "header_row": header_row,
        "delimiter": delimiter,
        "encoding": encoding,
    }
    meaning = {
        "timezone": timezone,
        "date_order": date_order,
        "default_time": default_time,
        "clear": clear,
    }
    here = commands.sheet_settings(
        profile, map_, **reading, **meaning, on_duplicate=on_duplicate, strict=strict
    )
    # Columns that --map names may not be in the other sheets: there the option is a hint.
    there = commands.sheet_settings(with_profile or profile, None, **meaning)
    there["map_hints"] = {**there["map_hints"], **here["map"]}  # type: ignore[dict-item] # both are dicts
    if with_profile is None:
        there = {name: value for name, value in there.items() if name not in reading}
    to_ledger = with_ == "ledger"
    if push and str(file) == "-":
        raise UsageError(
            "--push: a sheet from standard input has no name to keep a checkpoint by; save it to a file"
        )
    settings = ReconcileSettings.checked(
        here=SheetSettings.checked(**here, input=file, limit=limit, max_problems=max_problems),
        there=None
        if to_ledger
        else SheetSettings.checked(**there, input=Path(with_), max_problems=max_problems),
        base=None
        if base is None
        else SheetSettings.checked(**there, input=base, max_problems=max_problems),
        checkpoint=Files.of(file, out=out, checkpoint=checkpoint).checkpoint,
        ledger=ledger,
        base_url=SANDBOX_TARGET if sandbox else base_url,
        prefer_here=prefer == "here",
        one_way=one_way,
        results=results,
        page=page,
        template=template,
        changes=Files.beside(file, "changes.csv", out=out) if push and not to_ledger else None,
    )
    sending: dict[str, object] = {
        "base_url": settings.base_url,
        "rate": rate,
        "workers": workers,
        "transport": transport,
        "timeout_seconds": timeout,
        "max_attempts": max_attempts,
        "retry_for_seconds": retry_for,
        "ambiguous": ambiguous,
        "max_failures": max_failures,
        "deadline_seconds": deadline,
        "finish_by": finish_by,
        "fresh": fresh,
        "new_key": new_key,
        "ledger": ledger,
        "out": out,
    }
    if push:
        sending["key"] = commands.key_of(key_file, sandbox=sandbox)
    telling = commands.Telling(
        as_json=as_json, quiet=quiet, verbose=verbose > 0, log_format=log_format, log_file=log_file
    )
    raise typer.Exit(commands.reconcile(settings, sending if push else None, telling))


@app.command()
def status(
    file: options.InputOrCheckpoint,
    out: options.Out = None,
    checkpoint: options.Checkpoint = None,
    as_json: options.Json = False,
    config: ConfigFile = None,  # noqa: ARG001 - its callback takes the settings
) -> None:
    """Tell where the job of a file stands, from its checkpoint; also of a run that was killed, or
    still runs.
    """
    from bulk_sync.cli import commands

    raise typer.Exit(
        commands.status(commands.files_of(file, out, None, checkpoint), as_json=as_json)
    )


@app.command()
def report(
    file: options.InputOrCheckpoint,
    out: options.Out = None,
    results: options.Results = None,
    page: options.Page = None,
    checkpoint: options.Checkpoint = None,
    purge: options.Purge = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    config: ConfigFile = None,  # noqa: ARG001 - its callback takes the settings
) -> None:
    """Write the results and the rows to mend again, from the checkpoint; with --page, a page of
    them too.
    """
    from bulk_sync.cli import commands

    files = commands.files_of(file, out, results, checkpoint, page)
    raise typer.Exit(commands.report(files, purge=purge, as_json=as_json, quiet=quiet))


@app.command()
def doctor(
    base_url: options.BaseUrl = DEFAULT_BASE_URL,
    key_file: options.KeyFile = None,
    transport: options.TransportOption = "auto",
    timeout: options.Timeout = 30.0,
    out: options.Out = None,
    as_json: options.Json = False,
    config: ConfigFile = None,
) -> None:
    """Look whether all is well: every setting and where it comes from, the key, the clock, the
    folders.

    It asks the API for GET /v1/users/me, once, and changes nothing.
    """
    from bulk_sync.cli import commands
    from bulk_sync.cli.config import declared
    from bulk_sync.doctor import Asked

    _parse_as_push(
        config, {"base_url": base_url, "transport": transport, "timeout_seconds": timeout}
    )
    given = {
        "base-url": base_url,
        "key-file": key_file,
        "transport": transport,
        "timeout": timeout,
        "out": out,
    }
    asked = Asked(base_url, commands.key_or_why_not(key_file), transport, timeout, out or Path())
    code = commands.doctor(
        asked, declared(push), _told_elsewhere, given, key_file=key_file, as_json=as_json
    )
    raise typer.Exit(code)


def _parse_as_push(config: Path | None, given: dict[str, object]) -> None:
    """Let push's parsers and settings look at what is given and set elsewhere; they raise for what
    it can't take.
    """
    from bulk_sync.cli import commands
    from bulk_sync.settings import PushSettings

    command: Any = typer.main.get_command(app)
    words = ["showings.csv"] if config is None else ["showings.csv", "--config", str(config)]
    told: dict[str, Any] = command.commands["push"].make_context("push", words).params
    in_seconds = {"timeout", "retry_for", "deadline"}
    named = {
        f"{name}_seconds" if name in in_seconds else name: value for name, value in told.items()
    }
    known = {
        name: value
        for name, value in named.items()
        if name in PushSettings.model_fields and value is not None
    }
    PushSettings.checked(
        **{**known, **given, "clear": {}, "input": "showings.csv", "key": commands.SANDBOX_KEY}
    )


@app.command()
def init(
    user: Annotated[
        bool,
        typer.Option(
            "--user", metavar=" ", help="Write it into your configuration folder, for all folders."
        ),
    ] = False,
) -> None:
    """Write a bulk-sync.toml with every setting, each as a comment that says what it does."""
    from platformdirs import user_config_path

    from bulk_sync.cli import commands
    from bulk_sync.cli.config import FILE_NAME, declared

    folder = user_config_path("bulk-sync", appauthor=False, ensure_exists=True) if user else Path()
    raise typer.Exit(commands.init(folder / FILE_NAME, declared(push)))


@app.command()
def sandbox(
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=0, max=65535, help="0 takes a free one.")
    ] = 8787,
    db: Annotated[
        Path | None,
        typer.Option("--db", metavar="FILE", help="Keep showings and journal in a file."),
    ] = None,
    seed: Annotated[
        Path | None, typer.Option("--seed", metavar="FILE", help="Load showings from a CSV file.")
    ] = None,
    accept_any: Annotated[
        bool,
        typer.Option(
            "--accept-any", metavar=" ", help="Create a showing when an unknown key is patched."
        ),
    ] = False,
    latency: Annotated[
        str,
        typer.Option(
            "--latency",
            metavar="50ms",
            help="Answer after this long.",
            parser=reading(parse_latency),
        ),
    ] = "0ms",
    limit: Annotated[
        str | None,
        typer.Option(
            "--limit",
            metavar="N/s",
            help="Answer 429 beyond N/s, N/m or N/h.",
            parser=reading(parse_rate),
        ),
    ] = None,
    limit_style: Annotated[
        LimitStyle, typer.Option("--limit-style", help="How the limit counts.")
    ] = "token-bucket",
    limit_headers: Annotated[
        LimitHeaders, typer.Option("--limit-headers", help="What replies say of the limit.")
    ] = "retry-after",
    fault: Annotated[
        list[str] | None,
        typer.Option(
            "--fault",
            metavar="N%:KIND",
            parser=reading(parse_fault),
            help="Let a share of requests go wrong: a status (2%:503), reset, timeout, cut or garbage. Repeatable.",
        ),
    ] = None,
    seed_random: Annotated[
        int,
        typer.Option(
            "--seed-random", metavar="N", help="The same N gives the same faults for the same keys."
        ),
    ] = 0,
    revoke_after: Annotated[
        int | None,
        typer.Option(
            "--revoke-after", metavar="N", help="Refuse every key after N requests.", min=0
        ),
    ] = None,
) -> None:
    """Run a North API on loopback, to try things on.

    Any key of the form north_sk_test_... is accepted; one that begins with
    north_sk_test_readonly may not change anything.

    What it saw: GET /_sandbox/journal (?after=SEQ&limit=N), /_sandbox/stats,
    /_sandbox/showings/KEY.
    """
    from bulk_sync.cli import commands
    from bulk_sync.cli.sandbox import Behaviour

    behaviour = Behaviour(
        accept_any=accept_any,
        latency_seconds=latency,  # type: ignore[arg-type] # read by the option's parser
        limit=limit,  # type: ignore[arg-type] # same
        limit_style=limit_style,
        limit_headers=limit_headers,
        faults=tuple(fault or ()),  # type: ignore[arg-type] # same
        seed=seed_random,
        revoke_after=revoke_after,
    )
    raise typer.Exit(commands.sandbox(behaviour, port=port, db=db, seed=seed))


@app.command()
def demo(
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where the result files go.")
    ] = Path(),
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Push a sample sheet into a sandbox that limits the rate and sometimes fails; look at what
    comes of it.
    """
    from bulk_sync.cli import commands

    raise typer.Exit(commands.demo(out, as_json=as_json, quiet=quiet))
