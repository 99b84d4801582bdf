"""What the commands do; imported once one of them is to run, for `--help` needs none of this."""

from __future__ import annotations

import errno
import gc
import logging
import math
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO, cast

import typer
from msgspec import Struct
from msgspec.structs import replace
from pydantic import SecretStr

from bulk_sync import batch
from bulk_sync.address import SANDBOX_TARGET, check_base_url, without_secrets
from bulk_sync.cli.logs import logging_of
from bulk_sync.cli.traces import tracing
from bulk_sync.clock import SystemClock
from bulk_sync.errors import BulkSyncError, OutputError, UsageError
from bulk_sync.jobs import purge as run_purge
from bulk_sync.jobs import read_summary, write_reports
from bulk_sync.model.comparison import Reconciliation, Standing
from bulk_sync.model.rows import MENDABLE_STATES, State, Tally
from bulk_sync.model.summaries import CheckSummary, Summary
from bulk_sync.pipeline import check as run_check
from bulk_sync.pipeline import push as run_push
from bulk_sync.profile import Profile
from bulk_sync.quantities import parse_rate
from bulk_sync.report.as_json import batch_json, summary_json
from bulk_sync.report.terminal.progress import progress, progress_lines
from bulk_sync.report.terminal.progress import reading as reading_rows
from bulk_sync.report.terminal.summary import json_line, show_error, show_summary
from bulk_sync.report.words import printable
from bulk_sync.report.written.atomic import check_writable
from bulk_sync.run.send import known_limit, seconds_left
from bulk_sync.secret import read_key, without_keys
from bulk_sync.settings import Files, PushSettings, ReconcileSettings, SheetSettings, sheet_values

if TYPE_CHECKING:
    from rich.console import Console

    from bulk_sync.cli.config import Declared, Told
    from bulk_sync.doctor import Asked
    from bulk_sync.sandbox.app import Behaviour

log = logging.getLogger("bulk_sync.cli")

SANDBOX_KEY = SecretStr("north_sk_test_0000000000000000000000000sandbox")

_LONG_ENOUGH_TO_SHOW_ITS_END = 24

_AT_A_TERMINAL = sys.stdout.isatty()  # when it began; a terminal that was closed is none any more


class Telling(Struct, frozen=True):
    """Who is told of a run, and how."""

    as_json: bool = False
    quiet: bool = False
    verbose: bool = False
    log_format: Literal["text", "json"] = "text"
    log_file: Path | None = None
    metrics_file: Path | None = None
    on_finish: str | None = None

    @property
    def logs_to_stderr(self) -> bool:
        """True when log lines are on standard error."""
        return self.log_file is None and (self.verbose or self.log_format == "json")

    @property
    def json_to_stderr(self) -> bool:
        """True when nothing but JSON is to be on standard error."""
        return self.log_file is None and self.log_format == "json"


@dataclass(slots=True)
class _Run:
    """A run that is followed: the sheet that it is at, and what it came to so far, as --json has
    it.
    """

    job: str
    ended: dict[str, Any]


def push(
    named: Sequence[Path],
    settings: Callable[[], PushSettings],
    telling: Telling,
    archive: Path | None,
    settle_seconds: float,
) -> int:
    """Push a sheet, or several; returns the exit code, as the others here do.

    The settings are made here, so that whoever is told of a run hears of one that had no key, too.
    """
    with _followed(" ".join(map(str, named)), telling) as run:
        if len(named) == 1 and not batch.is_folder(named[0]):
            return _push_one(settings(), telling, run, archive)
        return _push_all(named, settings(), telling, run, archive, settle_seconds)


def _push_one(settings: PushSettings, telling: Telling, run: _Run, archive: Path | None) -> int:
    before = batch.identity(settings.input)
    with _sandbox_of(settings) as send_to:
        summary = _watched(settings, send_to, telling)
    run.ended |= summary_json(summary)
    if archive is None or summary.exit_code != 0 or settings.read_from_standard_input:
        return _end(summary, settings, telling)
    try:
        note = batch.archived(settings.input, archive, before, SystemClock().now())
    except OutputError:
        _end(summary, settings, telling)  # what was sent is to be seen all the same
        raise
    return _end(replace(summary, notes=(*summary.notes, f"{note}.")), settings, telling)


def _push_all(
    named: Sequence[Path],
    settings: PushSettings,
    telling: Telling,
    run: _Run,
    archive: Path | None,
    settle_seconds: float,
) -> int:
    """Push several files, and those of folders, one after the other, within one --deadline."""
    _refuse_what_names_one_file(settings)
    if any(str(path) == "-" for path in named):
        raise UsageError("- is a sheet from standard input, which can't be one of several")
    clock = SystemClock()
    end = clock.monotonic() + seconds_left(settings.deadline_seconds, settings.finish_by, clock)
    inputs = batch.inputs_of(named, settle_seconds, clock.now())

    def of(file: Path, seconds: float) -> PushSettings:
        bound = None if math.isinf(seconds) else seconds
        return settings.model_copy(
            update={"input": file, "deadline_seconds": bound, "finish_by": None}
        )

    with _sandbox_of(settings) as send_to:

        def push_it(one: PushSettings) -> Summary:
            run.job = str(one.input)
            return _watched(one, send_to, telling)

        ended = batch.run(
            inputs,
            of,
            push_it,
            seconds_left=lambda: end - clock.monotonic(),
            archive=archive,
            now=clock.now,
        )
    run.ended |= batch_json(ended)
    with _standard_output():
        if telling.as_json:
            sys.stdout.write(json_line(batch_json(ended)))
        elif not telling.quiet:
            from bulk_sync.report.terminal.batch import show_batch

            show_batch(_out(), ended.parts, ended.unsettled)
    for part in ended.parts:
        why = part.error or (part.summary.stopped if part.summary else None)
        if why is not None:
            run.job = part.input
            _tell_error(str(why), telling, None if part.error is None else part.exit_code)
    return ended.exit_code


def _tell_error(sentence: str, telling: Telling, log_as: int | None = None) -> None:
    """Say on standard error what a run ended by, and in the log under its exit code, unless it is
    there.
    """
    if log_as is not None:
        log.log(logging.ERROR, "%s", sentence, extra={"event": "end", "exit_code": log_as})
    if not telling.json_to_stderr:
        show_error(_err(), without_keys(sentence))


def _refuse_what_names_one_file(settings: PushSettings) -> None:
    """An option that names a file would have all the sheets write the same one."""
    named = {
        "--results": settings.results,
        "--page": settings.page,
        "--checkpoint": settings.checkpoint,
        "--undo-file": settings.undo_file,
    }
    for option, path in named.items():
        if path is not None:
            raise UsageError(
                f"{option} names one file, and several sheets are pushed: give a folder with --out"
            )


@contextmanager
def _followed(job: str, telling: Telling) -> Iterator[_Run]:
    """Log a run; when it has ended, however it did, write the metrics and run the command of
    --on-finish.

    An error that a log of JSON on standard error tells is not told once more.
    """
    run = _Run(job, {"input": job, "error": "a bug in bulk-sync", "exit_code": 1})
    stderr = cast("TextIO", _Forgiving(sys.stderr)) if telling.logs_to_stderr else None
    with ExitStack() as logged:
        try:
            logged.enter_context(
                logging_of(
                    lambda: run.job,
                    file=telling.log_file,
                    style=telling.log_format,
                    stderr=stderr,
                    verbose=telling.verbose,
                    printable=printable,
                )
            )
            if telling.metrics_file is not None:
                check_writable(telling.metrics_file)
            yield run
        except BulkSyncError as error:
            run.ended |= {"error": without_keys(str(error)), "exit_code": error.exit_code}
            log.log(
                logging.ERROR, "%s", error, extra={"event": "end", "exit_code": error.exit_code}
            )
            if telling.json_to_stderr:
                raise typer.Exit(error.exit_code) from None
            raise
        finally:
            if "states" in run.ended:
                del run.ended["error"]
            _tell_of_the_end(job, run.ended, telling)


def _tell_of_the_end(job: str, ended: dict[str, Any], telling: Telling) -> None:
    """Metrics and hook; what goes wrong with them is said, and changes nothing about how the run
    ended.
    """
    if telling.metrics_file is None and telling.on_finish is None:
        return
    from bulk_sync.cli.finish import tell, write_metrics

    wrong: list[str] = []
    if telling.metrics_file is not None:
        try:
            write_metrics(telling.metrics_file, job, ended, SystemClock().now())
        except OutputError as error:
            wrong.append(str(error))
    if telling.on_finish is not None:
        printed, failure = tell(telling.on_finish, ended)
        for line in printed.splitlines():
            log.info("%s", line, extra={"event": "hook"})
            if not telling.logs_to_stderr:
                _say(printable(line))
        wrong += filter(None, [failure])
    for sentence in wrong:
        log.error("%s", sentence, extra={"event": "hook"})
        if not telling.json_to_stderr:
            show_error(_err(), sentence)


def check(
    settings: SheetSettings,
    *,
    show: int,
    save_profile: Path | None,
    as_json: bool,
    limit: float | None,
    window_seconds: float | None,
) -> int:
    """Check a sheet."""
    from bulk_sync.report.terminal.checked import show_check, show_check_json

    with reading_rows(_err(), str(settings.input)) as on_rows:
        summary = run_check(
            settings,
            show=show,
            save_profile=save_profile,
            on_rows=on_rows,
            limit=limit,
            window_seconds=window_seconds,
        )
    with _standard_output():
        if as_json:
            show_check_json(_out(), summary)
        else:
            show_check(_out(), summary, _command_after_check(summary))
    if summary.stopped is not None:
        show_error(_err(), str(summary.stopped))
    return summary.exit_code


def prospects(
    base_url: str, key_file: Path | None, deadline_seconds: float | None, finish_by: time | None
) -> tuple[float | None, float | None]:
    """What a push of this key would meet: the API's limit as last known, and the seconds that it
    would have.
    """
    key = key_or_why_not(key_file)
    limit = None if isinstance(key, UsageError) else known_limit(_base_url(base_url), key)
    window = seconds_left(deadline_seconds, finish_by, SystemClock())
    return limit, None if math.isinf(window) else window


def _base_url(text: str) -> str:
    try:
        return check_base_url(text)
    except ValueError as error:
        raise UsageError(f"--base-url: {error}") from None


def reconcile(
    settings: ReconcileSettings, sending: dict[str, object] | None, telling: Telling
) -> int:
    """Compare; with the settings of a push, send what differs."""
    with _followed(str(settings.here.input), telling) as run:
        return _reconcile(settings, sending, telling, run)


def _reconcile(
    settings: ReconcileSettings, sending: dict[str, object] | None, telling: Telling, run: _Run
) -> int:
    from bulk_sync.reconciliation import reconcile as run_reconcile
    from bulk_sync.report.terminal.comparison import show_reconciliation, show_reconciliation_json

    with reading_rows(_err(), str(settings.here.input)) as on_rows:
        summary = run_reconcile(settings, on_rows=on_rows)
    standings = ", ".join(
        f"{count} {standing.value}" for standing, count in summary.standings.items() if count
    )
    log.info(
        "compared: %s",
        standings or "no rows",
        extra={"event": "compared", "exit_code": summary.exit_code},
    )
    pushing = None if sending is None else _push_after(settings, summary, sending)
    if not telling.as_json and not telling.quiet:
        with _standard_output():
            show_reconciliation(
                _out(), summary, _push_of_differences(summary) if sending is None else None
            )
    if pushing is None:
        if telling.as_json:
            with _standard_output():
                show_reconciliation_json(_out(), summary, None)
        return summary.exit_code if sending is None else 3 if summary.left_to_decide else 0
    run.job = str(pushing.input)
    with _sandbox_of(pushing) as send_to:
        pushed = _watched(pushing, send_to, telling)
    if telling.as_json:
        with _standard_output():
            show_reconciliation_json(_out(), summary, summary_json(pushed))
    elif not telling.quiet:
        _show(pushed, as_json=False, quiet=False)
    if pushed.stopped is not None:
        _tell_error(str(pushed.stopped), telling)
    return pushed.exit_code or (3 if summary.left_to_decide and settings.there is not None else 0)


def status(files: Files, *, as_json: bool) -> int:
    """Tell where a job stands."""
    _show(read_summary(files), as_json=as_json, quiet=False)
    return 0


def report(files: Files, *, purge: bool, as_json: bool, quiet: bool) -> int:
    """Write the reports of a job again."""
    _show(run_purge(files) if purge else write_reports(files), as_json=as_json, quiet=quiet)
    return 0


def sandbox(behaviour: Behaviour, *, port: int, db: Path | None, seed: Path | None) -> int:
    """Serve until a signal ends it."""
    from bulk_sync.cli.sandbox import run_sandbox

    run_sandbox(_out(), behaviour, port=port, db=db, seed=seed)
    return 0


def doctor(
    asked: Asked,
    options: Sequence[Declared],
    told: Mapping[str, Told],
    given: Mapping[str, object],
    *,
    key_file: Path | None,
    as_json: bool,
) -> int:
    """Show settings and what was found; the exit code is the one that a run would end with first."""
    from bulk_sync.doctor import examine
    from bulk_sync.report.terminal.doctor import show_examined, show_examined_json

    settings = [("key", *_key_shown(asked.key, key_file))]
    settings += [_setting(option, told.get(option.name), given) for option in options]
    findings = list(examine(asked))
    with _standard_output():
        (show_examined_json if as_json else show_examined)(_out(), settings, findings)
    return next((finding.exit_code for finding in findings if finding.exit_code), 0)


def _setting(
    option: Declared, told: Told | None, given: Mapping[str, object]
) -> tuple[str, str, str]:
    """The name, the value as a setting writes it, and where it comes from."""
    if any(word.partition("=")[0] == f"--{option.name}" for word in sys.argv[1:]):
        return option.name, str(given.get(option.name, "")), "command line"
    value, where = (option.default, "default") if told is None else (told.value, told.where)
    if option.name == "base-url":
        value = without_secrets(str(value))
    elif option.name == "on-finish" and value is not None:
        value = "set"  # where alerts go is often an address with a token in it
    shown = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return option.name, ", ".join(value) if isinstance(value, list) else shown, where


def _key_shown(key: SecretStr | UsageError, key_file: Path | None) -> tuple[str, str]:
    if isinstance(key, UsageError):
        return "not set", ""
    text = key.get_secret_value()
    end = f", ends in ...{text[-4:]}" if len(text) >= _LONG_ENOUGH_TO_SHOW_ITS_END else ""
    return f"set, {len(text)} characters{end}", "NORTH_API_KEY" if key_file is None else str(
        key_file
    )


def init(path: Path, options: Sequence[Declared]) -> int:
    """Write a file of settings in which everything is a comment."""
    from bulk_sync.cli.config import template

    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        raise UsageError(f"{path}: is there already, and was left as it is") from None
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        path.chmod(0o644)  # whatever the umask: one that others may write is not relied on
        file.write(template(options))
    with _standard_output():
        _out().print(
            f"Wrote {path}: take the # away from what you want to set; bulk-sync doctor shows what holds."
        )
    return 0


def demo(out: Path, *, as_json: bool, quiet: bool) -> int:
    """Push the sample into a sandbox that fails now and then."""
    from bulk_sync.cli.sandbox import demo_sandbox, sample_file

    settings = PushSettings.checked(
        input=sample_file("sample-showings.csv"),
        base_url=SANDBOX_TARGET,
        key=SANDBOX_KEY,
        rate=parse_rate("50/s"),
        workers=8,
        timeout_seconds=2.0,
        out=out,
    )
    telling = Telling(as_json=as_json, quiet=quiet)
    if not (as_json or quiet):
        text = "Pushing 200 sample showings into a sandbox that fails now and then, at 50 requests a second."
        _out().print(text, soft_wrap=True)
    with demo_sandbox() as send_to:
        summary = _watched(settings, send_to, telling)
    return _end(summary, settings, telling)


def show_failure(sentence: str) -> None:
    """Say on standard error what went wrong."""
    show_error(_err(), sentence)


def sheet_settings(
    profile: Path | None, pairs: list[str] | None, **given: object
) -> dict[str, object]:
    """The settings of a sheet: what the profile says, and what options say, which win."""
    return sheet_values(None if profile is None else Profile.load(profile), given, pairs or ())


def _command_after_check(summary: CheckSummary) -> str | None:
    """The push that sends what was checked."""
    if summary.stopped is not None or not summary.requests or summary.input == "-":
        return None
    words = _without(
        ["push" if word == "check" else word for word in sys.argv[1:]], "--show", "--save-profile"
    )
    profile = ["--profile", summary.profile] if summary.profile else []
    return shlex.join(["bulk-sync", *words, *profile])


def key_of(key_file: Path | None, *, sandbox: bool) -> SecretStr:
    """The key of a push; a sandbox takes one that all may know."""
    return SANDBOX_KEY if sandbox else read_key(key_file, os.environ)


def key_or_why_not(key_file: Path | None) -> SecretStr | UsageError:
    """The key, or what keeps it from being read."""
    try:
        return read_key(key_file, os.environ)
    except UsageError as error:
        return error


def _push_after(
    settings: ReconcileSettings, summary: Reconciliation, sending: dict[str, object]
) -> PushSettings | None:
    """The push of what differs: of the sheet of changes, or, against the ledger, of the sheet
    itself.
    """
    if settings.there is None:
        told = settings.here.model_dump(exclude={"rate"})
        return PushSettings.checked(
            **told, **sending, only_changed=True, checkpoint=settings.checkpoint
        )
    if summary.changes is None:
        return None
    clear = {"": summary.cleared} if summary.cleared else {}
    return PushSettings.checked(**sending, input=Path(summary.changes), clear=clear)


def _push_of_differences(summary: Reconciliation) -> str | None:
    """The command that sends what differs."""
    differing = (summary.standings[Standing.DIFFERS], summary.standings[Standing.CONFLICT])
    return (
        shlex.join(["bulk-sync", *sys.argv[1:], "--push"])
        if any(differing) and summary.input != "-"
        else None
    )


def _end(summary: Summary, settings: PushSettings, telling: Telling) -> int:
    _show(summary, as_json=telling.as_json, quiet=telling.quiet, pushed=settings)
    if summary.stopped is not None:
        _tell_error(str(summary.stopped), telling)
    return summary.exit_code


def _show(
    summary: Summary, *, as_json: bool, quiet: bool, pushed: PushSettings | None = None
) -> None:
    with _standard_output():
        if as_json:
            sys.stdout.write(json_line(summary_json(summary)))
        elif not quiet:
            show_summary(_out(), summary, _next_command(summary, pushed))


@contextmanager
def _standard_output() -> Iterator[None]:
    """Print a summary; a reader that has left (`| head`) changes nothing about what was done, nor
    the exit code.
    """
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        _give_up(sys.stdout)
        if not isinstance(error, BrokenPipeError) and not _terminal_gone(error):
            raise OutputError(f"standard output can't be written: {error.strerror}") from None


def _give_up(stream: TextIO) -> None:
    """Send the rest of a stream nowhere: what is left in its buffer would fail once more at the
    end.
    """
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _terminal_gone(error: OSError) -> bool:
    """True when what can't be written to was a terminal that somebody closed."""
    return error.errno == errno.EIO and _AT_A_TERMINAL


def _next_command(summary: Summary, pushed: PushSettings | None) -> str | None:
    """The one thing to do next; after a push, the command to paste."""
    if summary.running:
        return "wait, a run holds this checkpoint now"
    only_failed = not any(
        summary.states.get(state, 0) for state in MENDABLE_STATES - {State.FAILED}
    )
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
    """This push with the mended rows: one option less and a rehearsal would go to North; but they
    are plain CSV.
    """
    # A second undo file in the place of the first would leave nothing to put that one's rows back;
    # a second page would take the place of the one that tells of the whole sheet.
    words = _without(
        sys.argv[1:],
        "--delimiter",
        "--encoding",
        "--header-row",
        "--sheet",
        "--undo-file",
        "--page",
    )
    words = [
        str(summary.failed) if word == summary.input else word
        for word in words
        if word != "--fresh"
    ]
    plain_csv = (
        ("--delimiter", pushed.delimiter, ","),
        ("--encoding", pushed.encoding, "utf-8"),
        ("--header-row", pushed.header_row, "1"),
    )
    # Said outright, for a profile may say otherwise; an option wins over it.
    told = [
        word for option, known, value in plain_csv if known is not None for word in (option, value)
    ]
    return shlex.join(["bulk-sync", *words, *told])


def _without(words: Sequence[str], *options: str) -> list[str]:
    """The words without some options and their values."""
    kept: list[str] = []
    skip = False
    for word in words:
        if (
            not skip
            and word not in options
            and not word.startswith(tuple(f"{option}=" for option in options))
        ):
            kept.append(word)
        skip = not skip and word in options
    return kept


def files_of(
    file: Path,
    out: Path | None,
    results: Path | None,
    checkpoint: Path | None,
    page: Path | None = None,
) -> Files:
    """The files of a job that is named by its input or by its checkpoint."""
    if checkpoint is None and _is_sqlite(file):
        stem = file.name.removesuffix(".sqlite").removesuffix(".checkpoint")
        return Files.of(
            file.with_name(f"{stem}.csv"), out=out, results=results, checkpoint=file, page=page
        )
    return Files.of(file, out=out, results=results, checkpoint=checkpoint, page=page)


def _is_sqlite(file: Path) -> bool:
    """True for a checkpoint, whatever it is called; also for one that was made and not yet filled."""
    try:
        with file.open("rb") as opened:
            return opened.read(16) == b"SQLite format 3\0" or file.name.endswith(
                ".checkpoint.sqlite"
            )
    except OSError:
        return file.name.endswith(".checkpoint.sqlite")


@contextmanager
def _sandbox_of(settings: PushSettings) -> Iterator[str | None]:
    """The address of the sandbox that a rehearsal goes to; None when it is none."""
    if settings.base_url != SANDBOX_TARGET:
        yield None
        return
    from bulk_sync.cli.sandbox import any_sandbox

    with any_sandbox() as send_to:
        yield send_to


def _watched(settings: PushSettings, send_to: str | None, telling: Telling) -> Summary:
    """A push whose progress is shown, first the reading, then the sending; traced where the
    environment asks for it.
    """
    with tracing(os.environ) as on_row:
        return _shown(
            partial(run_push, settings, send_to=send_to, on_row=on_row),
            str(settings.input),
            telling,
        )


def _shown(run: Callable[..., Summary], name: str, telling: Telling) -> Summary:
    monotonic = SystemClock().monotonic
    if telling.logs_to_stderr:
        return run(watch=lambda tally: progress_lines(tally, monotonic, _log_progress))
    if telling.quiet:
        return run()
    if not _may_be_a_terminal(sys.stderr):
        return run(watch=lambda tally: progress_lines(tally, monotonic, _say))
    with ExitStack() as shown:
        on_rows = shown.enter_context(reading_rows(_err(), name))

        def watch(tally: Tally) -> AbstractContextManager[None]:
            shown.close()
            return progress(_err(), tally, monotonic)

        return run(watch=watch, on_rows=on_rows)


def _say(line: str) -> None:
    """Print a line on standard error."""
    from rich.text import Text

    _err().print(Text(line), soft_wrap=True)


def _log_progress(line: str) -> None:
    log.info("%s", line, extra={"event": "progress"})


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
    from bulk_sync.cli.consoles import output

    return output()


def _err() -> Console:
    from bulk_sync.cli.consoles import errors

    return errors(cast("TextIO", _Forgiving(sys.stderr)))


def _may_be_a_terminal(stream: TextIO) -> bool:
    """False where rich would surely find none: it takes a while to import, and a run by night has
    no use for it.
    """
    isatty: Callable[[], bool] = getattr(
        stream, "isatty", lambda: False
    )  # a stream that was closed is None
    return isatty() or any(name in os.environ for name in ("FORCE_COLOR", "TTY_COMPATIBLE"))


if (
    not gc.isenabled()
):  # the program imported with it off: now that all is there, none of it need be looked through
    gc.freeze()
    gc.set_threshold(
        20_000, 20, 20
    )  # what is sent makes hardly any cycles, and much that lives until it is recorded
    gc.enable()
