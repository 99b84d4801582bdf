"""The verdict on a run: one sentence, the details, the next step and its command."""

from __future__ import annotations

from enum import StrEnum
from pathlib import PurePath

from msgspec import Struct
from msgspec.structs import replace

from bulk_sync.model.rows import ERROR_STATES, SETTLED_STATES, State
from bulk_sync.model.summaries import Summary
from bulk_sync.report.echoes import changed_rows
from bulk_sync.report.next_step import after_push
from bulk_sync.wording import are, counted


class Tone(StrEnum):
    """The tone of a verdict: done, to correct, or not finished."""

    GOOD = "good"
    ATTENTION = "attention"
    STOPPED = "stopped"


class Verdict(Struct, frozen=True):
    """The verdict on a run; `command` does the next step, if a single command can."""

    tone: Tone
    sentence: str
    detail: str | None
    next_step: str
    command: str | None = None


_NOTHING_LEFT = "Nothing left to do."
_OTHERS_LEFT = "Push the sheet without --rows, --where and --limit for the rows left out by choice."


def verdict(summary: Summary) -> Verdict:
    """Return the verdict on a run, or on the job so far."""
    step = after_push(summary)
    return replace(_without_command(summary), command=None if step is None else step.command)


def _without_command(summary: Summary) -> Verdict:
    done = sum(summary.states.get(state, 0) for state in SETTLED_STATES)
    errors = sum(summary.states.get(state, 0) for state in ERROR_STATES)
    if summary.running:
        sentence = (
            f"A run is in progress: {done + errors:,} of {counted(summary.rows, 'row')} "
            f"{are(done + errors, summary.rows)} finished."
        )
        return Verdict(Tone.STOPPED, sentence, None, "Wait for it to end.")
    if summary.states.get(State.PENDING, 0) or summary.stopped is not None:
        return _stopped(summary, done)
    if errors:
        return _with_errors(summary, done, errors)
    if summary.echo_differs:
        return _changed(summary)
    if not summary.rows:
        return Verdict(Tone.GOOD, "The sheet has no rows.", None, _NOTHING_LEFT)
    step = _OTHERS_LEFT if summary.left_out else _NOTHING_LEFT
    return Verdict(Tone.GOOD, f"{_all_done(summary)}.", _not_sent(summary), step)


_LOOK = (
    "North may have cut or rewritten them: compare these rows with North. Change the values in the "
    "sheet where that helps, and push it again."
)


def _changed(summary: Summary) -> Verdict:
    """Return the verdict on a job whose rows are done, though not all with the values sent."""
    sentence = f"{_all_done(summary)}; {changed_rows(summary.echo_differs)}."
    return Verdict(Tone.ATTENTION, sentence, _not_sent(summary), _LOOK)


def _all_done(summary: Summary) -> str:
    chosen = "chosen " if summary.left_out else ""
    if summary.rows == 1:
        return f"The one {chosen}row is done"
    return f"All {summary.rows:,} {chosen}rows are done"


def _detail_of_changed(summary: Summary) -> str | None:
    return f"{changed_rows(summary.echo_differs)}." if summary.echo_differs else None


def _not_sent(summary: Summary) -> str | None:
    """Return a sentence on rows that needed no request; None if there are none."""
    not_sent = [
        f"{summary.states[state]:,} {state.value}"
        for state in (State.UNCHANGED, State.SUPERSEDED)
        if summary.states.get(state, 0)
    ]
    if not not_sent:
        return None
    done = [f"{summary.states.get(State.UPDATED, 0):,} updated"]
    if created := summary.states.get(State.CREATED, 0):
        done.append(f"{created:,} created")
    return f"{', '.join(done)}; {' and '.join(not_sent)} needed no request."


def _with_errors(summary: Summary, done: int, errors: int) -> Verdict:
    # Failed rows alone need no correction, only another run.
    so_far = f"{done:,} of {counted(summary.rows, 'row')} {are(done, summary.rows)} done"
    left = sum(cause.rows for cause in summary.causes if cause.left_in_doubt)
    if left and errors == summary.states.get(State.FAILED, 0):
        they = "it" if left == 1 else "them"
        step = (
            f"Look {counted(left, 'row')} up in North that may have been applied; --ambiguous "
            f"retry sends {they} again."
        )
        sentence = f"{so_far}; {errors:,} failed."
        return Verdict(Tone.ATTENTION, sentence, _detail_of_changed(summary), step)
    if errors == summary.states.get(State.FAILED, 0):
        step = (
            "Run the same command again: it retries the failed rows. "
            "Acknowledged rows are not sent again."
        )
        sentence = f"{so_far}; {errors:,} failed."
        return Verdict(Tone.ATTENTION, sentence, _detail_of_changed(summary), step)
    need = "needs" if errors == 1 else "need"
    sentence = f"{so_far}; {errors:,} {need} correction."
    return Verdict(Tone.ATTENTION, sentence, _detail_of_changed(summary), _correct(summary))


def _correct(summary: Summary) -> str:
    if summary.files.failed is None:
        step = "Correct the rows in the sheet and push it again."
        return f"{step} Acknowledged rows are not sent again."
    name = PurePath(summary.files.failed).name
    step = f"Correct the rows in {name} and push that file with the same options."
    return f"{step} Its last column gives the reason, and is ignored."


def _stopped(summary: Summary, done: int) -> Verdict:
    pending = summary.states.get(State.PENDING, 0)
    begin = "Not finished" if summary.stopped is None else "Stopped early"
    sentence = (
        f"{begin}: {done:,} of {counted(summary.rows, 'row')} {are(done, summary.rows)} done, "
        f"{pending:,} {are(pending)} pending."
    )
    details = [] if summary.stopped is None else [str(summary.stopped).rstrip(".") + "."]
    if summary.in_flight:
        they = "it" if summary.in_flight == 1 else "they"
        details.append(
            f"{summary.in_flight:,} of the pending rows {are(summary.in_flight)} in flight: "
            f"{they} may have been applied."
        )
    if changed := _detail_of_changed(summary):
        details.append(changed)
    code = 0 if summary.stopped is None else summary.stopped.exit_code
    step = {5: "Correct the API key, then run", 8: "Put the file back, then run"}.get(code, "Run")
    step += " the same command again. It resumes where this run stopped; "
    return Verdict(
        Tone.STOPPED,
        sentence,
        " ".join(details) or None,
        f"{step}acknowledged rows are not sent again.",
    )
