"""Word what a push would do with a sheet, for `check` and for the question before a push. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from bulk_sync.model.account import Team
from bulk_sync.model.ahead import FieldChange, FirstChange
from bulk_sync.model.estimates import ALLOWANCE_SECONDS, Window
from bulk_sync.model.rows import State
from bulk_sync.model.summaries import CheckSummary, Creatable
from bulk_sync.report.words import (
    printable,
    quota_text,
    rate,
    span,
)
from bulk_sync.wording import and_more, counted, listed

# Characters of a value, and of a key.
_LONGEST_VALUE = 40
_LONGEST_KEY = 60
_MOST_FIELDS = 3


def total_text(summaries: Sequence[CheckSummary]) -> str:
    """Return the rows of several sheets, and how many patches a push of all would send."""
    requests = sum(summary.requests for summary in summaries if summary.stopped is None)
    rows = sum(summary.rows for summary in summaries)
    return f"{counted(rows, 'row')}, {counted(requests, 'patch', 'patches')} to send"


def together(summaries: Sequence[CheckSummary]) -> CheckSummary:
    """Return one summary of several sheets that go to one API with one key, for `push_text`."""
    requests = sum(summary.requests for summary in summaries if summary.stopped is None)
    return replace(summaries[0], states={State.PENDING: requests}, acknowledged=0, stopped=None)


def question(requests: int, base_url: str, team: Team | None) -> str:
    """Return the question before the first of these requests leaves."""
    changes = counted(requests, "change")
    return printable(f"Send {changes} to {f'the team {team}' if team else base_url}?") + " [y/N] "


def first_lines(changes: Sequence[FirstChange]) -> Iterator[str]:
    """Yield the first changes: `row 2, KEY: rating 4 -> 5, feedback "Loved it"`.

    A value without an arrow is one whose earlier value the ledger doesn't know.
    """
    for one in changes:
        changed = [field for field in one.fields if not field.is_as_before]
        parts = [_change_text(field) for field in changed[:_MOST_FIELDS]]
        if more := and_more(len(changed) - _MOST_FIELDS, "field"):
            parts.append(more)
        if before := len(one.fields) - len(changed):
            parts.append(f"{counted(before, 'field')} as before")
        yield f"row {one.number}, {_cut(one.key, _LONGEST_KEY)}: {', '.join(parts)}"


def _change_text(change: FieldChange) -> str:
    new = _value_text(change.new)
    if not change.is_known:
        return f"{change.field} {new}"
    return f"{change.field} {_value_text(change.old)} -> {new}"


def _value_text(value: object) -> str:
    return "empty" if value is None else _cut(json.dumps(value, ensure_ascii=False), _LONGEST_VALUE)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 3] + "..."


def rows_text(summary: CheckSummary) -> str:
    """Return the rows of a sheet, and those that can't be sent as they are."""
    states = summary.states
    parts = [f"{summary.rows:,}"]
    if states.get(State.INVALID, 0):
        parts.append(f"{states[State.INVALID]:,} invalid")
    if states.get(State.SUPERSEDED, 0):
        parts.append(f"{states[State.SUPERSEDED]:,} superseded by another row")
    if summary.duplicates:
        parts.append(f"{summary.duplicates:,} with a key that other rows have too")
    return ", ".join(parts)


def push_text(summary: CheckSummary) -> str:
    """Return how many patches a push would send, and how long that takes at the known limit."""
    if summary.stopped is not None:
        return "refused until the sheet is corrected"
    unchanged = summary.states.get(State.UNCHANGED, 0)
    if not summary.changes:
        if unchanged:
            return "nothing: the API acknowledged all of these values before"
        if summary.states.get(State.SUPERSEDED, 0):
            return "nothing: other rows took the place of those that could be sent"
        return "nothing: no row is a valid change"
    if not summary.requests:
        return "nothing: every row that can be sent was acknowledged before"
    text = f"{counted(summary.requests, 'patch', 'patches')}, one request each"
    if summary.acknowledged:
        text = f"{text} ({summary.acknowledged:,} more were acknowledged before)"
    if unchanged:
        text = f"{text} ({counted(unchanged, 'row')} unchanged)"
    if summary.held_seconds:
        text = f"{text}, none before {span(math.ceil(summary.held_seconds))}: the API asks to wait"
    if summary.seconds is None:
        return f"{text}; the duration depends on the API's limit (unknown, see --rate)"
    text = f"{text}: at least {span(max(1, round(summary.seconds)))}{_bounds(summary)}"
    if summary.window_seconds is None:
        return text
    window = span(round(summary.window_seconds))
    if summary.suffices:
        return f"{text}, within the {window} available"
    left = summary.requests - summary.in_time
    return (
        f"{text}, but only {window} are available: about {left:,} would stay pending (exit code 6)"
    )


def create_text(found: Creatable) -> str:
    """Return which rows may create their showing, and why others may not."""
    parts = [
        f"{counted(found.rows, 'row')} can create a missing showing, with one more request each"
    ]
    if found.without_report:
        rows = _rows(found.without_report, found.first_without_report)
        have = "has" if found.without_report == 1 else "have"
        parts.append(f"{rows} {have} no report_id (see --report)")
    if found.by_id:
        rows = _rows(found.by_id, found.first_by_id)
        address = "addresses its showing" if found.by_id == 1 else "address their showings"
        parts.append(f"{rows} {address} by id, and can't create one")
    return "; ".join(parts)


def _rows(count: int, first: Sequence[int]) -> str:
    """Return `row 5`, `rows 5 and 7`, `12 rows (5, 7, 9, 12, 13 and 7 more)`."""
    numbers = listed([*map(str, first)], len(first), count)
    if count > len(first):
        return f"{counted(count, 'row')} ({numbers})"
    return f"{'row' if count == 1 else 'rows'} {numbers}"


def _window(window: Window) -> str:
    """Return `1,000 requests per hour`, or what is left where no more is known."""
    if (window.contents is not None and window.seconds is not None) or window.left is None:
        return quota_text(window.contents, window.seconds)
    left = f"{counted(math.floor(window.left), 'request')} left"
    return left if window.resets_in is None else f"{left} for {span(round(window.resets_in))}"


def _bounds(summary: CheckSummary) -> str:
    """Return the limits that the duration follows from: ` at 10/s and 1,000 requests per hour`."""
    bounds = [str(rate) for rate in summary.rates]
    met = [] if summary.limit is None else [rate(summary.limit)]
    # The user's own come first among the windows, and are in the rates already.
    own = sum(one.period_seconds >= ALLOWANCE_SECONDS for one in summary.rates)
    met += [_window(one) for one in summary.windows[own:]]
    if met:
        bounds.append(f"{' and '.join(met)}, the API's limit when last met")
    return f" at {' and '.join(bounds)}" if bounds else ""
