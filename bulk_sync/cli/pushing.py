"""The commands that send: push, reconcile and demo. Each returns its exit code."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from bulk_sync import batch, signals
from bulk_sync.cli import next_step
from bulk_sync.cli.asking import Question
from bulk_sync.cli.collector import start_collector
from bulk_sync.cli.followed import (
    Run,
    followed,
    log,
    sandbox_of,
    show,
    show_end,
    watched_push,
    watched_reading,
)
from bulk_sync.cli.keys import with_key
from bulk_sync.cli.parts import Asking, Following, Sample
from bulk_sync.cli.streams import err, out, standard_output
from bulk_sync.clock import SystemClock
from bulk_sync.errors import OutputError, UsageError
from bulk_sync.job.database import is_checkpoint
from bulk_sync.model.comparison import Reconciliation
from bulk_sync.model.summaries import Batch, Summary
from bulk_sync.report.as_json import batch_json, json_line, summary_json
from bulk_sync.report.facts import reason_of
from bulk_sync.report.terminal.lines import show_line
from bulk_sync.report.terminal.progress import reading as reading_rows
from bulk_sync.run.archive import archived, identity
from bulk_sync.run.rows import Judgement
from bulk_sync.run.send import End, ending_at
from bulk_sync.run.several import Judged
from bulk_sync.settings.composed import part
from bulk_sync.settings.inbox import Inbox
from bulk_sync.settings.push import PushSettings
from bulk_sync.settings.reconcile import LEDGER, ReconcileSettings
from bulk_sync.settings.target import KEY_SOURCES

# Options with which a push doesn't send all of a sheet to North.
_UNFINISHED = ("sandbox", "limit", "rows", "where")


@dataclass(frozen=True, slots=True)
class _Push:
    """A requested push of one or several sheets."""

    files: Sequence[Path]
    inbox: Inbox
    following: Following
    asking: Asking
    run: Run


def push(given: Mapping[str, Any]) -> int:
    """Push one or several sheets."""
    start_collector()
    following, inbox = part(Following, given), part(Inbox, given)
    files: Sequence[Path] = given["files"]
    if inbox.archive is not None and any(given.get(one) for one in _UNFINISHED):
        raise UsageError(
            "--archive moves finished sheets: with --sandbox, --limit, --rows or --where no sheet "
            "is finished"
        )
    if any("north_sk_" in str(file) for file in files):  # it would be in logs and metrics
        raise UsageError(
            "FILE is the name of a sheet; the API key is read from NORTH_API_KEY or --key-file"
        )
    with followed(" ".join(map(str, files)), following) as run:
        # Validate inside the run, so that the hook is called for a wrong setting, too.
        settings = PushSettings.of(with_key(given), input=files[0])
        request = _Push(files, inbox, following, part(Asking, given), run)
        if len(files) == 1 and not batch.is_folder(files[0]):
            return _push_one(settings.changed(command=tuple(next_step.typed_words())), request)
        return _push_all(settings, request)


def _push_one(settings: PushSettings, request: _Push) -> int:
    source, archive = settings.reading.input, request.inbox.archive
    clock = SystemClock()
    batch.prepare_archive([source], archive, clock)
    before = identity(source)
    end = End.of(settings.stopping, clock)
    question = Question(request.asking, request.following, clock)
    with sandbox_of(settings) as send_to:
        end = question.ask([(settings, Judged(0))], end)
        warned = question.shown(settings)
        timed = ending_at(settings, end.at, clock)
        reviewed = question.reviewed(settings)
        summary = watched_push(timed, send_to, request.following, warned, reviewed=reviewed)
    request.run.ended |= summary_json(summary)
    if archive is None or not summary.is_finished or settings.reading.from_standard_input:
        return _end(summary, request.following, warned)
    try:
        note = archived(source, archive, before, summary.digest, SystemClock().now())
    except OutputError as error:
        # Rows were sent, so show the summary anyway.
        show(summary, request.following, warned, error=error)
        raise
    noted = replace(summary, notes=(*summary.notes, f"{note}."))
    return _end(noted, request.following, warned)


def _end(summary: Summary, following: Following, warned: Sequence[str]) -> int:
    show(summary, following, warned)
    if summary.stopped is not None:
        show_end(str(summary.stopped), following)
    return summary.exit_code


def _push_all(settings: PushSettings, request: _Push) -> int:
    clock = SystemClock()
    question = Question(request.asking, request.following, clock)
    with sandbox_of(settings) as send_to:

        def push_it(one: PushSettings, judgement: Judgement | None) -> Summary:
            request.run.job = str(one.reading.input)
            reviewed, warned = question.reviewed(one), question.shown(one)
            return watched_push(one, send_to, request.following, warned, judgement, reviewed)

        ended = batch.run(
            request.files,
            settings,
            request.inbox,
            push_it,
            clock,
            partial(watched_reading, request.following),
            question.ask,
        )
    request.run.ended |= batch_json(ended)
    _show_batch(ended, request)
    return ended.exit_code


def _show_batch(ended: Batch, request: _Push) -> None:
    signals.announced(ended.exit_code)
    with standard_output():
        if request.following.json:
            sys.stdout.write(json_line(batch_json(ended)))
        elif not request.following.quiet:
            from bulk_sync.report.terminal.batch import show_batch

            show_batch(out(), ended)
    for one in ended.parts:
        if (why := reason_of(one)) is not None:
            request.run.job = one.input
            show_end(why, request.following, None if one.error is None else one.exit_code)


def reconcile(given: Mapping[str, Any]) -> int:
    """Compare a sheet; with --push, send the differences."""
    start_collector()
    following = part(Following, given)
    file: Path = given["file"]
    if given.get("push") and str(file) == "-":
        raise UsageError(
            "--push: a sheet from standard input has no name for a checkpoint; save it to a file"
        )
    settings = ReconcileSettings.of(_with_key_if_needed(given), input=file)
    if not settings.comparing.push:
        settings = settings.changed(command=tuple(next_step.typed_words()))
    clock = SystemClock()
    end = End.of(settings.stopping, clock)
    with followed(str(file), following) as run:
        summary = _compared(settings)
        is_pushed = settings.comparing.push and not summary.refused
        pushing = _push_after(settings, summary) if is_pushed else None
        if pushing is None:
            code = (3 if summary.left_to_decide else 0) if is_pushed else summary.exit_code
            _show_comparison(summary, None, following, code)
            return code
        question = Question(part(Asking, given), following, clock)
        return _push_differences(settings, summary, pushing, following, run, question, end)


def _with_key_if_needed(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Add the key that sends, or the one that a ledger has to be of, if there is one."""
    named = any(given.get(one) for one in KEY_SOURCES)
    named = named or bool(os.environ.get("NORTH_API_KEY", "").strip())
    return (
        with_key(given) if given.get("push") or (given.get("with_") == LEDGER and named) else given
    )


def _compared(settings: ReconcileSettings) -> Reconciliation:
    from bulk_sync.reconciliation import reconcile as run_reconcile

    with reading_rows(err(), str(settings.reading.input)) as on_rows:
        summary = run_reconcile(settings, on_rows=on_rows)
    classes = ", ".join(
        f"{count} {row_class.value}" for row_class, count in summary.classes.items() if count
    )
    log.info(
        "compared: %s",
        classes or "no rows",
        extra={"event": "compared", "exit_code": summary.exit_code},
    )
    return summary


def _show_comparison(
    summary: Reconciliation,
    pushed: Summary | None,
    following: Following,
    exit_code: int | None,
) -> None:
    """Print the comparison; `exit_code` is None if a push of its own sentences follows."""
    from bulk_sync.report.terminal.comparison import show_reconciliation, show_reconciliation_json

    if exit_code is not None:
        signals.announced(exit_code)
    if following.json:
        with standard_output():
            sent = None if pushed is None else summary_json(pushed)
            show_reconciliation_json(out(), summary, sent, exit_code or 0)
    elif not following.quiet:
        with standard_output():
            show_reconciliation(out(), summary)


def _push_differences(
    settings: ReconcileSettings,
    summary: Reconciliation,
    pushing: PushSettings,
    following: Following,
    run: Run,
    question: Question,
    end: End,
) -> int:
    if not following.json:
        _show_comparison(summary, None, following, None)
    run.job = str(pushing.reading.input)
    with sandbox_of(pushing) as send_to:
        end = question.ask([(pushing, Judged(0))], end)
        timed = ending_at(pushing, end.at, question.clock)
        reviewed, warned = question.reviewed(pushing), question.shown(pushing)
        pushed = watched_push(timed, send_to, following, warned, reviewed=reviewed)
    undecided = summary.left_to_decide and settings.there is not None
    code = pushed.exit_code or (3 if undecided else 0)
    if following.json:
        _show_comparison(summary, pushed, following, code)
    else:
        show(pushed, following, warned, exit_code=code)
    if pushed.stopped is not None:
        show_end(str(pushed.stopped), following)
    return code


def _push_after(settings: ReconcileSettings, summary: Reconciliation) -> PushSettings | None:
    """Return the push of the differences: the changes, or against the ledger the sheet itself."""
    sending: dict[str, object] = {
        "pacing": settings.pacing,
        "target": settings.target,
        "sending": settings.sending,
        "creating": settings.creating,
        "history": settings.history,
        "key": settings.key,
        "out": settings.outputs.out,
    }
    if settings.there is None:
        return PushSettings(
            **sending,
            reading=settings.reading,
            meaning=settings.meaning,
            stopping=settings.stopping,
            only_changed=True,
            checkpoint=settings.files.checkpoint,
        )
    if summary.changes is None:
        return None
    of_sheet = settings.files.checkpoint
    if settings.history.ledger is None and is_checkpoint(of_sheet):
        sending["history"] = dataclasses.replace(settings.history, ledger=of_sheet)
    # The changes are the program's own CSV file: nothing about reading FILE applies to them.
    return PushSettings(
        **sending,
        input=Path(summary.changes),
        max_failures=settings.stopping.max_failures,
        max_changes=settings.stopping.max_changes,
    )


def demo(given: Mapping[str, Any]) -> int:
    """Push the sample into a sandbox that fails now and then."""
    start_collector()
    from bulk_sync.cli.sandbox import demo_sandbox, sample_file

    following = part(Following, given)
    settings = PushSettings(
        input=sample_file("sample-showings.csv"),
        sandbox=True,
        rate="50/s",
        workers=8,
        timeout=2.0,
        out=part(Sample, given).out,
    )
    if not (following.json or following.quiet):
        show_line(
            out(),
            "Pushing 200 sample showings to a sandbox that fails now and then, at 50 requests per "
            "second.",
        )
    warned: list[str] = []
    with demo_sandbox() as send_to:
        summary = watched_push(settings, send_to, following, warned)
    return _end(summary, following, warned)
