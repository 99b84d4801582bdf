"""The commands."""

from __future__ import annotations

import errno
import logging
import os
import re
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn, TextIO, cast

import typer
from pydantic import SecretStr
from rich.console import Console

from bulk_sync import __version__
from bulk_sync.cli import options
from bulk_sync.cli.options import reading
from bulk_sync.clock import SystemClock
from bulk_sync.errors import BulkSyncError, Interrupted, OutputError, UsageError
from bulk_sync.model import MENDABLE_STATES, CheckSummary, Reconciliation, Standing, State, Summary, Tally
from bulk_sync.pipeline import ENDING_SIGNALS, read_summary, write_reports
from bulk_sync.pipeline import check as run_check
from bulk_sync.pipeline import purge as run_purge
from bulk_sync.pipeline import push as run_push
from bulk_sync.profile import Profile
from bulk_sync.reconciliation import reconcile as run_reconcile
from bulk_sync.report.checked import show_check, show_check_json
from bulk_sync.report.reconciled import show_reconciliation, show_reconciliation_json
from bulk_sync.report.terminal import printable, progress, show_error, show_json, show_summary
from bulk_sync.report.terminal import reading as reading_rows
from bulk_sync.sandbox.faults import parse_fault
from bulk_sync.sandbox.limits import LimitHeaders, LimitStyle
from bulk_sync.settings import (
    DEFAULT_BASE_URL,
    SANDBOX_TARGET,
    Files,
    PushSettings,
    ReconcileSettings,
    SheetSettings,
    parse_latency,
    parse_rate,
    read_key,
    sheet_values,
)

SANDBOX_KEY = "north_sk_test_0000000000000000000000000sandbox"

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
    _switches["terminal"] = sys.stdout.isatty()
    for number in ENDING_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _on_signal)
    try:
        code = app(prog_name="bulk-sync", standalone_mode=False)
    except _UsageProblem as problem:
        show_error(_err(), _without_keys(_usage_sentence(problem)))
        sys.exit(2)
    except BulkSyncError as error:
        show_error(_err(), _without_keys(str(error)))
        sys.exit(error.exit_code)
    except Exception as error:
        if _switches["debug"]:
            raise
        show_error(
            _err(),
            f"this is a bug in bulk-sync ({type(error).__name__}); please report it. --debug shows where",
        )
        sys.exit(1)
    sys.exit(code or 0)


# typer carries its own copy of click and names only this kind of usage error: its parent is all of them.
_UsageProblem: type[Exception] = typer.BadParameter.mro()[1]


def _usage_sentence(problem: Exception) -> str:
    sentence = str(getattr(problem, "format_message", problem.__str__)()).rstrip(".")
    context = getattr(problem, "ctx", None)
    return sentence if context is None else f"{sentence}. See: {context.command_path} --help"


def _without_keys(sentence: str) -> str:
    """A sentence that repeats a word of the command line, without the key that somebody put there."""
    return re.sub(r"north_sk_\w+", "north_sk_***", sentence)


def _on_signal(number: int, _: FrameType | None) -> NoReturn:
    raise Interrupted(number)


_switches = {"debug": False, "terminal": False}


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bulk-sync {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback prints and exits
        bool, typer.Option("--version", metavar=" ", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", metavar=" ", help="Show a traceback when a bug of ours ends the run.")
    ] = False,
) -> None:
    _switches["debug"] = debug
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), nl=False)
        raise typer.Exit(2)


@app.command()
def push(
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
) -> None:
    """Bring a sheet into North: read, check, send, report. Run it again to resume.

    Examples:

      bulk-sync push showings.csv

      bulk-sync push showings.csv --rate 600/m --json

      bulk-sync push showings.csv --sandbox --limit 20

      bulk-sync push export.xlsx --sheet March --timezone America/Chicago
    """
    sheet_settings = _sheet_values(
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
    settings = PushSettings.checked(
        **sheet_settings,
        input=file,
        base_url=SANDBOX_TARGET if sandbox else base_url,
        key=SecretStr(SANDBOX_KEY) if sandbox else read_key(key_file, os.environ),
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
    with _logging_to_stderr(verbose), _sandbox_beside() if sandbox else nullcontext() as send_to:
        summary = _watched(settings, send_to, hidden=quiet or verbose > 0)
    _end(summary, settings, as_json=as_json, quiet=quiet)


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
    rate: options.RateOption = None,
    max_problems: options.MaxProblems = "50%",
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
) -> None:
    """Show what a sheet is understood to say and what push would send; no network, no key.

    The exit code is the one that push would start with: 0, 3 when rows have problems, 4 when
    the sheet can't be used.

    Examples:

      bulk-sync check showings.csv

      bulk-sync check export.xlsx --map "Client said=feedback" --show 3
    """
    sheet_settings = _sheet_values(
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
    settings = SheetSettings.checked(**sheet_settings, input=file, rate=rate, max_problems=max_problems, limit=limit)
    with reading_rows(_err(), str(file)) as on_rows:
        summary = run_check(settings, show=show, save_profile=save_profile, on_rows=on_rows)
    with _standard_output():
        if as_json:
            show_check_json(_out(), summary)
        else:
            show_check(_out(), summary, _command_after_check(summary))
    if summary.stopped is not None:
        show_error(_err(), str(summary.stopped))
    raise typer.Exit(summary.exit_code)


def _sheet_values(profile: Path | None, pairs: list[str] | None, **given: object) -> dict[str, object]:
    return sheet_values(None if profile is None else Profile.load(profile), given, pairs or ())


def _command_after_check(summary: CheckSummary) -> str | None:
    """The push that sends what was checked."""
    if summary.stopped is not None or not summary.requests or summary.input == "-":
        return None
    words = _without(["push" if word == "check" else word for word in sys.argv[1:]], "--show", "--save-profile")
    profile = ["--profile", summary.profile] if summary.profile else []
    return shlex.join(["bulk-sync", *words, *profile])


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
) -> None:
    """Compare a sheet cell by cell with another one (an export), or with what the API acknowledged last.

    Exit code 0 when nothing differs, else 3; with --push that of the push, or 3 when something is left to decide.

    Examples:

      bulk-sync reconcile feedback.xlsx --with north-export.csv --one-way

      bulk-sync reconcile feedback.xlsx --with export-today.csv --base export-monday.csv --push

      bulk-sync reconcile showings.csv --with ledger --results differences.xlsx
    """
    reading = {"sheet": sheet, "header_row": header_row, "delimiter": delimiter, "encoding": encoding}
    meaning = {"timezone": timezone, "date_order": date_order, "default_time": default_time, "clear": clear}
    here = _sheet_values(profile, map_, **reading, **meaning, on_duplicate=on_duplicate, strict=strict)
    # Columns that --map names may not be in the other sheets: there the option is a hint.
    there = _sheet_values(with_profile or profile, None, **meaning)
    there["map_hints"] = {**there["map_hints"], **here["map"]}  # type: ignore[dict-item] # both are dicts
    if with_profile is None:
        there = {name: value for name, value in there.items() if name not in reading}
    to_ledger = with_ == "ledger"
    if push and str(file) == "-":
        raise UsageError("--push: a sheet from standard input has no name to keep a checkpoint by; save it to a file")
    settings = ReconcileSettings.checked(
        here=SheetSettings.checked(**here, input=file, limit=limit, max_problems=max_problems),
        there=None if to_ledger else SheetSettings.checked(**there, input=Path(with_), max_problems=max_problems),
        base=None if base is None else SheetSettings.checked(**there, input=base, max_problems=max_problems),
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
        "fresh": fresh,
        "new_key": new_key,
        "ledger": ledger,
        "out": out,
    }
    if push:
        sending["key"] = SecretStr(SANDBOX_KEY) if sandbox else read_key(key_file, os.environ)
    with reading_rows(_err(), str(file)) as on_rows:
        summary = run_reconcile(settings, on_rows=on_rows)
    pushing = _push_after(settings, summary, sending) if push else None
    if not as_json and not quiet:
        with _standard_output():
            show_reconciliation(_out(), summary, None if push else _push_of_differences(summary))
    if pushing is None:
        if as_json:
            with _standard_output():
                show_reconciliation_json(_out(), summary, None)
        raise typer.Exit(3 if push and summary.left_to_decide else 0 if push else summary.exit_code)
    with _logging_to_stderr(verbose), _sandbox_beside() if sandbox else nullcontext() as send_to:
        pushed = _watched(pushing, send_to, hidden=quiet or verbose > 0)
    if as_json:
        with _standard_output():
            show_reconciliation_json(_out(), summary, pushed.as_json())
    elif not quiet:
        _show(pushed, as_json=False, quiet=False)
    if pushed.stopped is not None:
        show_error(_err(), str(pushed.stopped))
    raise typer.Exit(pushed.exit_code or (3 if summary.left_to_decide and not to_ledger else 0))


def _push_after(
    settings: ReconcileSettings, summary: Reconciliation, sending: dict[str, object]
) -> PushSettings | None:
    """The push of what differs: of the sheet of changes, or, against the ledger, of the sheet itself."""
    if settings.there is None:
        told = settings.here.model_dump(exclude={"rate"})
        return PushSettings.checked(**told, **sending, only_changed=True, checkpoint=settings.checkpoint)
    if summary.changes is None:
        return None
    clear = {"": summary.cleared} if summary.cleared else {}
    return PushSettings.checked(**sending, input=Path(summary.changes), clear=clear)


def _push_of_differences(summary: Reconciliation) -> str | None:
    """The command that sends what differs."""
    differing = (summary.standings[Standing.DIFFERS], summary.standings[Standing.CONFLICT])
    return shlex.join(["bulk-sync", *sys.argv[1:], "--push"]) if any(differing) and summary.input != "-" else None


@app.command()
def status(
    file: options.InputOrCheckpoint,
    out: options.Out = None,
    checkpoint: options.Checkpoint = None,
    as_json: options.Json = False,
) -> None:
    """Tell where the job of a file stands, from its checkpoint; also of a run that was killed, or still runs."""
    files = _files_of(file, out, None, checkpoint)
    _show(read_summary(files), as_json=as_json, quiet=False)


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
) -> None:
    """Write the results and the rows to mend again, from the checkpoint; with --page, a page of them too."""
    files = _files_of(file, out, results, checkpoint, page)
    _show(run_purge(files) if purge else write_reports(files), as_json=as_json, quiet=quiet)


@app.command()
def sandbox(
    port: Annotated[int, typer.Option("--port", metavar="N", min=0, max=65535, help="0 takes a free one.")] = 8787,
    db: Annotated[
        Path | None, typer.Option("--db", metavar="FILE", help="Keep showings and journal in a file.")
    ] = None,
    seed: Annotated[Path | None, typer.Option("--seed", metavar="FILE", help="Load showings from a CSV file.")] = None,
    accept_any: Annotated[
        bool, typer.Option("--accept-any", metavar=" ", help="Create a showing when an unknown key is patched.")
    ] = False,
    latency: Annotated[
        str,
        typer.Option("--latency", metavar="50ms", help="Answer after this long.", parser=reading(parse_latency)),
    ] = "0ms",
    limit: Annotated[
        str | None,
        typer.Option("--limit", metavar="N/s", help="Answer 429 beyond N/s, N/m or N/h.", parser=reading(parse_rate)),
    ] = None,
    limit_style: Annotated[LimitStyle, typer.Option("--limit-style", help="How the limit counts.")] = "token-bucket",
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
        typer.Option("--seed-random", metavar="N", help="The same N gives the same faults for the same keys."),
    ] = 0,
    revoke_after: Annotated[
        int | None,
        typer.Option("--revoke-after", metavar="N", help="Refuse every key after N requests.", min=0),
    ] = None,
) -> None:
    """Run a North API on loopback, to try things on.

    Any key of the form north_sk_test_... is accepted; one that begins with
    north_sk_test_readonly may not change anything.

    What it saw: GET /_sandbox/journal (?after=SEQ&limit=N), /_sandbox/stats, /_sandbox/showings/KEY.
    """
    from bulk_sync.cli.sandbox import run_sandbox
    from bulk_sync.sandbox.app import Behaviour

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
    run_sandbox(_out(), behaviour, port=port, db=db, seed=seed)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the result files go.")] = Path(),
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Push a sample sheet into a sandbox that limits the rate and sometimes fails; look at what comes of it."""
    from bulk_sync.cli.sandbox import demo_sandbox, sample_file

    settings = PushSettings.checked(
        input=sample_file("sample-showings.csv"),
        base_url=SANDBOX_TARGET,
        key=SecretStr(SANDBOX_KEY),
        rate=parse_rate("50/s"),
        workers=8,
        timeout_seconds=2.0,
        out=out,
    )
    if not (as_json or quiet):
        text = "Pushing 200 sample showings into a sandbox that fails now and then, at 50 requests a second."
        _out().print(text, soft_wrap=True)
    with demo_sandbox() as send_to:
        summary = _watched(settings, send_to, hidden=quiet)
    _end(summary, settings, as_json=as_json, quiet=quiet)


def _end(summary: Summary, settings: PushSettings, *, as_json: bool, quiet: bool) -> NoReturn:
    _show(summary, as_json=as_json, quiet=quiet, pushed=settings)
    if summary.stopped is not None:
        show_error(_err(), str(summary.stopped))
    raise typer.Exit(summary.exit_code)


def _show(summary: Summary, *, as_json: bool, quiet: bool, pushed: PushSettings | None = None) -> None:
    with _standard_output():
        if as_json:
            show_json(_out(), summary)
        elif not quiet:
            show_summary(_out(), summary, _next_command(summary, pushed))


@contextmanager
def _standard_output() -> Iterator[None]:
    """Print a summary; a reader that has left (`| head`) changes nothing about what was done, nor the exit code."""
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        _give_up(sys.stdout)
        if not isinstance(error, BrokenPipeError) and not _terminal_gone(error):
            raise OutputError(f"standard output can't be written: {error.strerror}") from None


def _give_up(stream: TextIO) -> None:
    """Send the rest of a stream nowhere: what is left in its buffer would fail once more at the end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _terminal_gone(error: OSError) -> bool:
    """True when what can't be written to was a terminal that somebody closed."""
    return error.errno == errno.EIO and _switches["terminal"]


def _next_command(summary: Summary, pushed: PushSettings | None) -> str | None:
    """The one thing to do next; after a push, the command to paste."""
    if summary.running:
        return "wait, a run holds this checkpoint now"
    only_failed = not any(summary.states.get(state, 0) for state in MENDABLE_STATES - {State.FAILED})
    if summary.exit_code == 3 and summary.failed and not only_failed:
        # Files that are named outright are this job's own, and the mended rows are another.
        own_files = any(word.startswith(("--checkpoint", "--results")) for word in sys.argv[1:])
        if pushed is None or own_files:
            return f"mend {summary.failed}, then: push it with the options of this job"
        return f"mend {summary.failed}, then: {_push_of_mended(summary, pushed)}"
    if summary.exit_code == 0 or (summary.exit_code == 3 and not only_failed):
        return None
    if pushed is None:
        return f"push {summary.input} again, with the options it had"
    again = shlex.join(["bulk-sync", *(word for word in sys.argv[1:] if word != "--fresh")])
    return f"mend the key, then: {again}" if summary.exit_code == 5 else again


def _push_of_mended(summary: Summary, pushed: PushSettings) -> str:
    """This push with the mended rows: one option less and a rehearsal would go to North; but they are plain CSV."""
    # A second undo file in the place of the first would leave nothing to put that one's rows back; a second page
    # would take the place of the one that tells of the whole sheet.
    words = _without(sys.argv[1:], "--delimiter", "--encoding", "--header-row", "--sheet", "--undo-file", "--page")
    words = [str(summary.failed) if word == summary.input else word for word in words if word != "--fresh"]
    plain_csv = (
        ("--delimiter", pushed.delimiter, ","),
        ("--encoding", pushed.encoding, "utf-8"),
        ("--header-row", pushed.header_row, "1"),
    )
    # Said outright, for a profile may say otherwise; an option wins over it.
    told = [word for option, known, value in plain_csv if known is not None for word in (option, value)]
    return shlex.join(["bulk-sync", *words, *told])


def _without(words: Sequence[str], *options: str) -> list[str]:
    """The words without some options and their values."""
    kept: list[str] = []
    skip = False
    for word in words:
        if not skip and word not in options and not word.startswith(tuple(f"{option}=" for option in options)):
            kept.append(word)
        skip = not skip and word in options
    return kept


def _files_of(
    file: Path, out: Path | None, results: Path | None, checkpoint: Path | None, page: Path | None = None
) -> Files:
    """The files of a job that is named by its input or by its checkpoint."""
    if checkpoint is None and _is_sqlite(file):
        stem = file.name.removesuffix(".sqlite").removesuffix(".checkpoint")
        return Files.of(file.with_name(f"{stem}.csv"), out=out, results=results, checkpoint=file, page=page)
    return Files.of(file, out=out, results=results, checkpoint=checkpoint, page=page)


def _is_sqlite(file: Path) -> bool:
    """True for a checkpoint, whatever it is called; also for one that was made and not yet filled."""
    try:
        with file.open("rb") as opened:
            return opened.read(16) == b"SQLite format 3\0" or file.name.endswith(".checkpoint.sqlite")
    except OSError:
        return file.name.endswith(".checkpoint.sqlite")


@contextmanager
def _sandbox_beside() -> Iterator[str]:
    from bulk_sync.cli.sandbox import any_sandbox

    with any_sandbox() as send_to:
        yield send_to


def _watched(settings: PushSettings, send_to: str | None, *, hidden: bool) -> Summary:
    """A push whose progress is shown: first the reading, then the sending."""
    if hidden:
        return run_push(settings, send_to=send_to)
    with ExitStack() as shown:
        on_rows = shown.enter_context(reading_rows(_err(), str(settings.input)))

        def watch(tally: Tally) -> AbstractContextManager[None]:
            shown.close()
            return progress(_err(), tally, SystemClock().monotonic)

        return run_push(settings, send_to=send_to, watch=watch, on_rows=on_rows)


class _OneLine(logging.Formatter):
    """A log line is one line, and harmless, whatever a server puts into its messages."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


@contextmanager
def _logging_to_stderr(verbose: int) -> Iterator[None]:
    logger = logging.getLogger("bulk_sync")
    handler = logging.StreamHandler(_Forgiving(sys.stderr))
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)s %(message)s"))
    if verbose:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO if verbose == 1 else logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _Output(Console):
    """Standard output; a reader that has left is our business, see `_standard_output`: rich would exit with 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class _Forgiving:
    """Standard error; when nobody reads it any more the run goes on, and says the rest to nobody."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            _give_up(self._stream)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            _give_up(self._stream)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as the stream has it
        return getattr(self._stream, name)


def _out() -> Console:
    return _Output(highlight=False)


def _err() -> Console:
    return Console(file=cast("TextIO", _Forgiving(sys.stderr)), highlight=False)
