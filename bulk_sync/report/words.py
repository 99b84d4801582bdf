"""Words that reports share."""

from __future__ import annotations

import shlex
import unicodedata
from collections.abc import Mapping
from enum import StrEnum
from pathlib import PurePath

from msgspec import Struct

from bulk_sync.model.rows import MENDABLE_STATES, SETTLED_STATES, RateSource, State
from bulk_sync.model.summaries import Summary


def full_message(state: str, message: str | None, *, may_have_been_applied: bool) -> str | None:
    """Return a row's message, with the sentence that it may have been applied where that is so."""
    if not may_have_been_applied:
        return message
    if message is None:
        return (
            "It was on its way when a run was cut off or an answer was lost, and may have been "
            "applied; run again"
        )
    if state == State.REJECTED:
        return f"{message}; an attempt before may have been applied all the same"
    return f"{message}; it may have been applied all the same"


def rows_of(count: int) -> str:
    """`1 row`, `1,200 rows`."""
    return f"{count:,} row{'s' * (count != 1)}"


SAID_BY = {
    RateSource.OPTION: "from --rate",
    RateSource.HEADER: "as the API says",
    RateSource.FOUND: "about, found by trying",
}


def rate(per_second: float) -> str:
    """Return a rate in the unit that suits it."""
    return f"{per_second:,.3g}/s" if 1 <= per_second < 1000 else _rarely_or_often(per_second)


def _rarely_or_often(per_second: float) -> str:
    return f"{per_second:,.0f}/s" if per_second >= 1000 else f"{per_second * 60:.3g}/min"


def milliseconds(value: float) -> str:
    """Return a duration in milliseconds or seconds."""
    return f"{value:.0f} ms" if value < 1000 else f"{value / 1000:.1f} s"


def printable(text: str) -> str:
    """A text without control, format or line-breaking characters: each becomes its escape."""
    return "".join(
        character
        if unicodedata.category(character) not in {"Cc", "Cf", "Zl", "Zp", "Cs"}
        else _escape(character)
        for character in text
    )


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def limit_text(per_second: float | None, source: RateSource) -> str:
    """The limit and who says so."""
    if per_second is None:
        return "no limit met"
    rate = f"{per_second:.3g}/s" if per_second >= 1 else f"{per_second * 60:.3g}/m"
    match source:
        case RateSource.OPTION:
            return f"limit {rate} from --rate"
        case RateSource.HEADER:
            return f"limit {rate} as the API says"
        case _:
            return f"limit about {rate} as found"


def span(seconds: float) -> str:
    """A duration in words."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


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
