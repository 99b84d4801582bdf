"""What a summary comes to, in words: the verdict, the next step, states and error codes. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from enum import StrEnum
from pathlib import PurePath

from msgspec import Struct

from bulk_sync.model import MENDABLE_STATES, SETTLED_STATES, State, Summary
from bulk_sync.report.words import rows_of


class Tone(StrEnum):
    """How good the news is."""

    GOOD = "good"
    MEND = "mend"
    STOPPED = "stopped"


class Verdict(Struct, frozen=True):
    """The verdict in a sentence, what else there is to say of it, the next step, and a command for
    it.
    """

    tone: Tone
    sentence: str
    detail: str | None
    next_step: str
    command: str | None


TITLES: Mapping[str, str] = {
    "missing_key": "No key",
    "bad_key": "A key that can't be used",
    "bad_value": "A cell that can't be read",
    "nothing_to_send": "Nothing to send",
    "duplicate_key": "One key in several rows",
    "not_found": "No such showing",
    "refused": "Refused by the API",
    "forbidden": "Not allowed with this key",
    "timeout": "No answer in time",
    "connection": "The connection broke",
    "server_error": "The server failed",
    "throttled": "Told to wait too long",
    "bad_reply": "An answer that makes no sense",
}
"""Error codes in words."""

STATES: Mapping[State, str] = {
    State.UPDATED: "acknowledged by the API",
    State.UNCHANGED: "not sent: nothing differs",
    State.SUPERSEDED: "not sent: another row with its key stands for it",
    State.INVALID: "not sent: can't be a patch",
    State.REJECTED: "refused by the API for good",
    State.FAILED: "attempts or time used up",
    State.PENDING: "not decided yet",
}
"""What a state means, in the order in which they are shown."""


def verdict(summary: Summary) -> Verdict:
    """What the run, or the job so far, came to."""
    done = sum(summary.states.get(state, 0) for state in SETTLED_STATES)
    to_mend = sum(summary.states.get(state, 0) for state in MENDABLE_STATES)
    pending = summary.states.get(State.PENDING, 0)
    if summary.running:
        sentence = f"A run is under way: {done + to_mend:,} of {rows_of(summary.rows)} are decided."
        return Verdict(Tone.STOPPED, sentence, None, "Wait for it to end.", None)
    if pending or summary.stopped is not None:
        return _stopped(summary, done, pending)
    if to_mend and to_mend == summary.states.get(State.FAILED, 0):
        sentence = f"{done:,} of {rows_of(summary.rows)} {_are(done)} done; {to_mend:,} failed."
        step = "Run the same command again: it tries those that failed, and sends nothing twice that was acknowledged."
        return Verdict(Tone.MEND, sentence, None, step, None)
    if to_mend:
        sentence = f"{done:,} of {rows_of(summary.rows)} {_are(done)} done; {to_mend:,} {_need(to_mend)} mending."
        return Verdict(Tone.MEND, sentence, None, *_mend(summary))
    if not summary.rows:
        return Verdict(Tone.GOOD, "The sheet has no rows.", None, "Nothing is left to do.", None)
    whole = "The one row is done." if summary.rows == 1 else f"All {summary.rows:,} rows are done."
    return Verdict(Tone.GOOD, whole, _all_done(summary), "Nothing is left to do.", None)


def _all_done(summary: Summary) -> str | None:
    unsent = [
        f"{summary.states[state]:,} {state.value}"
        for state in (State.UNCHANGED, State.SUPERSEDED)
        if summary.states.get(state, 0)
    ]
    if not unsent:
        return None
    return f"{summary.states.get(State.UPDATED, 0):,} updated, {' and '.join(unsent)}: those needed no request."


def _stopped(summary: Summary, done: int, pending: int) -> Verdict:
    begin = "Stopped early" if summary.stopped is not None else "Not finished"
    sentence = f"{begin}: {done:,} of {rows_of(summary.rows)} {_are(done)} done, {pending:,} {_are(pending)} still to send."
    said = [] if summary.stopped is None else [str(summary.stopped).rstrip(".") + "."]
    if summary.in_flight:
        it = "it" if summary.in_flight == 1 else "they"
        said.append(
            f"{summary.in_flight:,} of those to send {_are(summary.in_flight)} in flight: {it} may have been applied."
        )
    key_refused = summary.stopped is not None and summary.stopped.exit_code == 5
    step = (
        "Mend the API key, then run the same command again."
        if key_refused
        else "Run the same command again."
    )
    return Verdict(
        Tone.STOPPED,
        sentence,
        " ".join(said) or None,
        f"{step} It goes on where this one stopped; what was acknowledged is not sent twice.",
        None,
    )


def _mend(summary: Summary) -> tuple[str, str | None]:
    if summary.failed is None:
        return (
            "Mend the rows in the sheet, then push it again; what was acknowledged is not sent twice.",
            None,
        )
    name = PurePath(summary.failed).name
    step = f"Mend the rows in {name} and push that file, with the options that this job had."
    return (
        f"{step} Its last column says what is wrong, and is ignored.",
        f"bulk-sync push {shlex.quote(name)}",
    )


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _need(count: int) -> str:
    return "needs" if count == 1 else "need"
