"""Follow a run: log, progress and summary, and at its end metrics and hook."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import typer
from msgspec.structs import replace

from bulk_sync import signals
from bulk_sync.address import SANDBOX_TARGET
from bulk_sync.cli import bugs
from bulk_sync.cli.logs import logging_of
from bulk_sync.cli.parts import Following
from bulk_sync.cli.streams import (
    err,
    forgiving_stderr,
    may_be_a_terminal,
    out,
    say,
    standard_output,
)
from bulk_sync.cli.traces import tracing
from bulk_sync.clock import SystemClock
from bulk_sync.errors import BulkSyncError, OutputError
from bulk_sync.model.rows import Tally
from bulk_sync.model.summaries import Summary
from bulk_sync.open_files import allow_open_files
from bulk_sync.pipeline import push_in_run
from bulk_sync.recognise import Output
from bulk_sync.report.as_json import json_line, summary_json
from bulk_sync.report.facts import sending_text
from bulk_sync.report.terminal.lines import show_error, show_line
from bulk_sync.report.terminal.progress import progress, progress_lines
from bulk_sync.report.terminal.progress import reading as reading_rows
from bulk_sync.report.terminal.summary import show_summary
from bulk_sync.report.words import printable
from bulk_sync.report.written.atomic import check_writable
from bulk_sync.run.follow import AboutToSend, Callbacks
from bulk_sync.run.rows import Judgement, Reviewed
from bulk_sync.run.sheet import OnRows
from bulk_sync.secret import without_keys
from bulk_sync.settings.push import PushSettings

log = logging.getLogger("bulk_sync.cli")


@dataclass(slots=True)
class Run:
    """The current sheet of a run, and the result so far as JSON.

    `jobs` are the names of all jobs of a jobs file, also of those that the run leaves out; None as
    long as they are unknown.
    """

    job: str
    ended: dict[str, Any]
    jobs: tuple[str, ...] | None = ()


@contextmanager
def followed(
    job: str, following: Following, job_of_thread: Callable[[], str] = lambda: ""
) -> Iterator[Run]:
    """Log a run; at its end, however it ends, write the metrics and run the hook.

    In threads with a job of their own, `job_of_thread` returns it.

    An error is not printed when the JSON log on standard error has it.
    """
    # What metrics and hook get if neither a summary nor an error for the user comes.
    run = Run(job, {"input": job, "error": "a bug in bulk-sync", "exit_code": 1})
    stderr = forgiving_stderr() if following.logs_to_stderr else None
    with ExitStack() as logged:
        log_failure: Callable[[], str | None] | None = None
        try:
            log_failure = logged.enter_context(
                logging_of(
                    lambda: run.job,
                    job_of_thread=job_of_thread,
                    file=following.log_file,
                    style=following.log_format,
                    stderr=stderr,
                    verbose=following.verbose > 0,
                    printable=printable,
                )
            )
            if following.metrics_file is not None:
                check_writable(following.metrics_file, Output.METRICS)
            yield run
            signals.hold()  # metrics, hook and exit code must agree
        except BulkSyncError as error:
            signals.hold()
            run.ended |= {"error": without_keys(str(error)), "exit_code": error.exit_code}
            log.log(
                logging.ERROR, "%s", error, extra={"event": "end", "exit_code": error.exit_code}
            )
            if following.json_to_stderr:
                raise typer.Exit(error.exit_code) from None
            raise
        except Exception as error:
            # Not with `exception`, whose traceback has the text of the error.
            log.error("%s", bugs.sentence(error), extra={"event": "end", "exit_code": 1})  # noqa: TRY400
            raise
        finally:
            signals.hold()
            if "states" in run.ended:  # there is a summary, which has its own `stopped`
                del run.ended["error"]
            _announce_end(run, job, following)
            if log_failure is not None and (sentence := log_failure()):
                say(sentence)


def _announce_end(run: Run, job: str, following: Following) -> None:
    """Write the metrics and run the hook; a failure is logged and does not change the exit code."""
    if following.metrics_file is None and following.on_finish is None:
        return
    # Imported late, because few runs need prometheus_client.
    from bulk_sync.cli.finish import run_hook, write_metrics

    ended = run.ended
    wrong: list[str] = []
    if following.metrics_file is not None:
        try:
            write_metrics(following.metrics_file, job, ended, SystemClock().now(), run.jobs)
        except OutputError as error:
            wrong.append(str(error))
    if following.on_finish is not None:
        printed, failure = run_hook(following.on_finish, ended)
        for line in printed.splitlines():
            log.info("%s", line, extra={"event": "hook"})
            if not following.logs_to_stderr:
                say(printable(line))
        wrong += filter(None, [failure])
    for sentence in wrong:
        log.error("%s", sentence, extra={"event": "hook"})
        if not following.json_to_stderr:
            show_error(err(), sentence)


def show_end(sentence: str, following: Following, log_as: int | None = None) -> None:
    """Print on standard error why a run ended, unless the JSON log is there.

    With `log_as` it is logged as well, with this exit code.
    """
    if log_as is not None:
        log.log(logging.ERROR, "%s", sentence, extra={"event": "end", "exit_code": log_as})
    if not following.json_to_stderr:
        show_error(err(), without_keys(sentence))


def show(
    summary: Summary,
    following: Following,
    warned: Collection[str] = (),
    *,
    exit_code: int | None = None,
    error: BulkSyncError | None = None,
) -> None:
    """Print a summary and the next step.

    `warned` are the notes that standard error has had. A terminal shows both streams. `exit_code`
    is the command's, if it isn't the summary's; with an `error` that ends the command after all
    rows, it is that of the error.
    """
    failed = {} if error is None else {"error": str(error), "exit_code": error.exit_code}
    code = summary.exit_code if exit_code is None else exit_code
    signals.announced(code if error is None else error.exit_code)
    with standard_output():
        if following.json:
            sys.stdout.write(json_line(summary_json(summary) | failed))
        elif not following.quiet:
            console = out()
            shown = warned if console.is_terminal else ()
            show_summary(console, summary, shown)


@contextmanager
def sandbox_of(settings: PushSettings) -> Iterator[str | None]:
    """Run the sandbox of a rehearsal; yield its address, or None for a push to North."""
    if settings.target.base_url != SANDBOX_TARGET:
        yield None
        return
    allow_open_files(settings.sending.workers, ends=2)
    from bulk_sync.cli.sandbox import any_sandbox

    with any_sandbox() as send_to:
        yield send_to


@contextmanager
def watched_reading(following: Following, name: str) -> Iterator[OnRows]:
    """Show on a terminal how many rows of a run's files were read."""
    if following.quiet or following.logs_to_stderr:
        yield lambda _: None
        return
    with reading_rows(err(), name) as on_rows:
        yield on_rows


def watched_push(
    settings: PushSettings,
    send_to: str | None,
    following: Following,
    warned: list[str] | None = None,
    judgement: Judgement | None = None,
    reviewed: Reviewed | None = None,
) -> Summary:
    """Push and show the progress, with traces if the environment configures them.

    `warned` has the notes that a terminal has shown, and gets those that it shows before the first
    request. The sheet is sent only as it was `reviewed`, if it was.
    """
    with (
        tracing(os.environ) as on_row,
        _shown(
            str(settings.reading.input), following, warned, is_one_of_several=judgement is not None
        ) as callbacks,
    ):
        traced = replace(callbacks, on_row=on_row)
        return push_in_run(settings, judgement, traced, send_to=send_to, reviewed=reviewed)


@contextmanager
def _shown(
    name: str, following: Following, warned: list[str] | None, *, is_one_of_several: bool
) -> Iterator[Callbacks]:
    """Yield the callbacks that show a push, on a terminal until the block ends."""
    clock, named = SystemClock(), name if is_one_of_several else ""
    if following.logs_to_stderr:
        yield Callbacks(watch=lambda tally: progress_lines(tally, clock, _log_progress, named))
        return
    if following.quiet:
        yield Callbacks()
        return
    if not may_be_a_terminal(sys.stderr):
        yield Callbacks(
            watch=lambda tally: progress_lines(tally, clock, say, named),
            on_warning=say,
            on_sending=lambda about: say(_sending_text(about)),
        )
        return
    console = err()
    with ExitStack() as shown:
        on_rows = shown.enter_context(reading_rows(console, name))

        def watch(tally: Tally) -> AbstractContextManager[None]:
            shown.close()  # rich allows one live display at a time
            return progress(console, tally, clock, named)

        def warn(warning: str) -> None:
            shown.close()
            if warned is not None and warning in warned:
                return
            show_line(console, warning, style="yellow")
            if warned is not None:
                warned.append(warning)

        def announce(about: AboutToSend) -> None:
            show_line(console, _sending_text(about))

        yield Callbacks(watch=watch, on_rows=on_rows, on_warning=warn, on_sending=announce)


def _sending_text(about: AboutToSend) -> str:
    return sending_text(about.rows, about.base_url, about.team)


def _log_progress(line: str) -> None:
    log.info("%s", line, extra={"event": "progress"})
