"""The words, formats and colours that all reports share: terminal, page, workbook and results.

States, error codes and sources of a limit get their names here and nowhere else.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct

from bulk_sync.model.comparison import Author, RowClass
from bulk_sync.model.rows import Allowance, RateSource, State
from bulk_sync.wording import counted


class Look(Struct, frozen=True):
    """The words and colours of a state, or of a class of rows.

    `style` is rich's, `ground` and `letters` are the colours of a workbook's cell. The page has its
    own colours in `assets/page.css`, for light and dark.
    """

    name: str
    meaning: str
    style: str
    ground: str
    letters: str


# Each pair has a contrast of at least 7 to 1 (WCAG 2.2, 1.4.6).
_GREEN, _PALE, _GREY = ("#E3F1E5", "#17551B"), ("#EEF3EE", "#33513A"), ("#EDEDED", "#4A4A4A")
_TEAL = ("#DDF1F0", "#0B4F52")
_YELLOW, _RED, _BLUE = ("#FFF4D6", "#6B4E00"), ("#FBE3E1", "#8E1B12"), ("#E1EEF8", "#0F4C81")

STATES: Mapping[State, Look] = {
    State.UPDATED: Look("updated", "acknowledged by the API", "green", *_GREEN),
    State.CREATED: Look("created", "made new by the API: it had no such showing", "green", *_TEAL),
    State.UNCHANGED: Look("unchanged", "not sent: no value differs", "green", *_PALE),
    State.SUPERSEDED: Look(
        "superseded", "not sent: another row with this key was used", "dim", *_GREY
    ),
    State.INVALID: Look("invalid", "not sent: the row has an error", "yellow", *_YELLOW),
    State.REJECTED: Look("rejected", "refused by the API", "red", *_RED),
    State.FAILED: Look("failed", "attempts or time used up", "red", *_RED),
    State.PENDING: Look("pending", "not decided yet: run again", "cyan", *_BLUE),
}
"""The states, in the order in which they are shown."""

CLASSES: Mapping[RowClass, Look] = {
    RowClass.SAME: Look("same", "equal in both sheets", "green", *_GREEN),
    RowClass.DIFFERS: Look("differ", "a value differs", "yellow", *_YELLOW),
    RowClass.CONFLICT: Look(
        "in conflict", "both sides changed a value since the base", "red", *_RED
    ),
    RowClass.ONLY_HERE: Look("only here", "missing in the other sheet", "cyan", *_BLUE),
    RowClass.ONLY_THERE: Look("only there", "missing in this sheet", "dim", *_GREY),
    RowClass.PROBLEM: Look("with a problem", "the row can't be read", "red", *_RED),
}

UNCOMPARED: Mapping[str, Look] = {
    "superseded": Look("superseded", "another row with this key was used", "dim", *_GREY),
    "left_out": Look("left out", "left out by --rows, --where or --limit", "dim", *_GREY),
}
"""Rows of a sheet that are in no class of a comparison."""

CODES: Mapping[str, str] = {
    "missing_key": "No key",
    "bad_key": "Unusable key",
    "bad_value": "Invalid value",
    "nothing_to_send": "Nothing to send",
    "duplicate_key": "Duplicate key",
    "not_found": "No such showing",
    "refused": "Refused by the API",
    "forbidden": "Not allowed with this API key",
    "timeout": "Timeout",
    "connection": "Connection error",
    "server_error": "Server error",
    "throttled": "Throttled for too long",
    "bad_reply": "Unusable response",
}
"""Titles of the error codes."""

SOURCES: Mapping[RateSource, str] = {
    RateSource.OPTION: "set by --rate",
    RateSource.HEADER: "stated by the API",
    RateSource.ACCOUNT: "stated by the API",
    RateSource.FOUND: "measured",
}

AUTHORS: Mapping[Author, str] = {
    Author.HERE: "changed here",
    Author.THERE: "changed there",
    Author.BOTH: "changed on both sides",
}


EndLook = Literal["good", "attention", "failed", "stopped"]
"""How an end looks at a glance: done, to correct, ended by an error, to run again."""


class End(Struct, frozen=True):
    """How a job ended: its words, rich's style, and its look on a page."""

    words: str
    style: str
    look: EndLook


_STOPPED = End("stopped", "yellow", "stopped")

ENDS: Mapping[int, End] = {
    0: End("done", "green", "good"),
    1: End("a bug in bulk-sync", "red", "failed"),
    2: End("wrong settings", "red", "failed"),
    3: End("rows to correct", "yellow", "attention"),
    4: End("unusable sheet", "red", "failed"),
    5: End("key refused", "red", "failed"),
    6: End("stopped early", "yellow", "stopped"),
    7: End("held by another run", "yellow", "stopped"),
    8: End("can't write", "red", "failed"),
    129: _STOPPED,
    130: _STOPPED,
    143: _STOPPED,
}
"""How a job of several ended, by its exit code."""

END_STOPPED = frozenset(code for code, end in ENDS.items() if end is _STOPPED)
"""The exit codes of a job that a signal stopped."""


def end_of(exit_code: int) -> End:
    """Return how a job with this exit code ended."""
    return ENDS.get(exit_code, End("failed", "red", "failed"))


def rate(per_second: float) -> str:
    """Return a rate per second, or per minute if it is below 1/s."""
    if per_second >= 1000:
        return f"{per_second:,.0f}/s"
    return f"{per_second:.3g}/s" if per_second >= 1 else f"{per_second * 60:.3g}/min"


def row_rate(per_second: float) -> str:
    """Return rows per second, or per minute if they are fewer than one."""
    is_slow = 0 < per_second < 1
    return f"{per_second * 60:.1f} rows/min" if is_slow else f"{per_second:,.1f} rows/s"


def limit_text(per_second: float, source: RateSource) -> str:
    """Return the limit, in requests per second, and its source."""
    return f"limit {rate(per_second)} ({SOURCES.get(source, SOURCES[RateSource.FOUND])})"


_PERIODS = {1: "second", 60: "minute", 3600: "hour", 86400: "day"}


def allowance_text(allowance: Allowance) -> str:
    """Return `1,000 requests per hour (stated by the API), 15 left until 2026-03-14 17:00`.

    Without a limit, as users/me has it: `15 requests left until 2026-03-14 17:00 (stated by the
    API)`. The time is that of this machine.
    """
    if allowance.limit is None and allowance.remaining is not None:
        text = f"{counted(math.floor(allowance.remaining), 'request')} left"
        if allowance.resets_at is not None:
            text += f" until {local_time(allowance.resets_at)}"
        source = SOURCES.get(allowance.source)
        return f"{text} ({source})" if source else text
    text = quota_text(allowance.limit, allowance.window_seconds)
    source = SOURCES.get(allowance.source)
    text += f" ({source})" if source else ""
    if allowance.remaining is not None:
        text += f", {allowance.remaining:,.0f} left"
        if allowance.resets_at is not None:
            text += f" until {local_time(allowance.resets_at)}"
    return text


def quota_text(limit: float | None, window_seconds: float | None) -> str:
    """Return `1,000 requests per hour`; the parts that are unknown are left out."""
    text = "requests" if limit is None else f"{limit:,.10g} request{'' if limit == 1 else 's'}"
    if window_seconds is None:
        return text
    return f"{text} per {_PERIODS.get(round(window_seconds), span(window_seconds))}"


_HOUR = timedelta(hours=1)

# A moment to come is rounded up: a request at the time that is shown is never too early. Less than
# a millisecond doesn't count, because moments are sums of clocks that are read one after the other.
_UP_TO_SECOND = timedelta(milliseconds=999)
_UP_TO_MINUTE = timedelta(seconds=59, milliseconds=999)


def time_of_day(moment: datetime, now: datetime) -> str:
    """Return a moment as this machine's time of day, with the date if that is not today's.

    It has seconds in the hour from `now` on: `17:00:05`. A later one is rounded up to the minute.
    """
    local = moment.astimezone()
    if now < moment < now + _HOUR:
        text = (local + _UP_TO_SECOND).isoformat(sep=" ", timespec="seconds")[:19]
    else:  # what has happened already must not seem to be still to come
        up = timedelta() if moment <= now else _UP_TO_MINUTE
        text = (local + up).isoformat(sep=" ", timespec="minutes")[:16]
    return text.removeprefix(f"{now.astimezone().date().isoformat()} ")


def local_time(moment: datetime) -> str:
    """Return a moment to come as this machine's time of day, with the date.

    That is `2026-03-14 17:00`, or `2026-03-14 17:00:05` between two minutes.
    """
    local = moment.astimezone() + _UP_TO_SECOND
    return local.isoformat(sep=" ", timespec="seconds")[:19].removesuffix(":00")


def local_second(moment: datetime) -> str:
    """Return a past moment as this machine's time of day, to the second: `2026-03-14 17:00:05`."""
    return moment.astimezone().isoformat(sep=" ", timespec="seconds")[:19]


def span(seconds: float) -> str:
    """Return a duration, as in `1.2 s`, `2 min 5 s`, `3 h 20 min`."""
    if seconds < 59.95:  # the next value would be shown as "60.0 s"
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes} min" if minutes else f"{hours:,} h"
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def about(seconds: float) -> str:
    """Return an estimate of a duration: `40 s`, `12 min`, `1 h 5 min`."""
    return span(round(seconds) if seconds < 59.5 else 60 * max(1, round(seconds / 60)))


def milliseconds(value: float) -> str:
    """Return a latency in milliseconds, or in seconds from one second on."""
    return f"{value:.0f} ms" if value < 1000 else f"{value / 1000:.1f} s"


# Unicode's categories of controls, format characters, line ends and surrogates.
_UNSEEN = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})


def printable(text: str, *, keep: str = "") -> str:
    """Escape control, format and line-breaking characters, except those in `keep`.

    Terminals act on them, and readers of a page don't see them.
    """
    return "".join(
        _escape(character)
        if unicodedata.category(character) in _UNSEEN and character not in keep
        else character
        for character in text
    )


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
