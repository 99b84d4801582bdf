"""The page's table of rows, and the data with which `page.js` fills it.

Rows are streamed from the checkpoint into the file, up to a number that browsers handle quickly.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import PurePath
from typing import TextIO

from bulk_sync.model.rows import ACKNOWLEDGED_STATES, ERROR_STATES, Result, State
from bulk_sync.model.summaries import Summary
from bulk_sync.report.page.frame import header_row, search_tools
from bulk_sync.report.page.markup import Html, cut, element, join, json_text
from bulk_sync.report.problems import full_message_of

MOST_ROWS = 50_000
"""The maximum of rows on a page; the updated ones of a larger sheet are left out first."""

MOST_BYTES = 8_500_000
"""Bytes of row data, which keep the page under 10 MB."""

LONGEST_MESSAGE = 1000
_LONGEST_KEY = 200

MOST_SHARED_TEXTS = 5000
"""The maximum of texts that are written once and then referenced; `page.js` numbers them alike."""

Rows = Callable[[Iterable[State]], Iterable[Result]]
"""Rows in these states, in input order."""


def write_rows(file: TextIO, summary: Summary, rows: Rows) -> None:
    """Write the section of the rows; a note after them says which were left out."""
    states, left_out = _states_shown(summary)
    file.write('<section id="rows" class="card" aria-labelledby="rows-title">\n')
    file.write(element("h2", "Rows", id="rows-title"))
    file.write('<script type="application/json" id="data">[')
    written = _write_data(file, rows(states))
    file.write("]</script>\n")
    expected = sum(summary.states.get(state, 0) for state in states)
    notes = [left_out, _cut_short(summary, written, expected)]
    file.write(join(*(element("p", note, class_="left-out") for note in notes if note)))
    file.write(_table(written))
    file.write("\n</section>\n")


# Which rows


# The states that are shown of a large sheet; the first selection that fits is used.
_NARROWER = (
    tuple(state for state in State if state is not State.UPDATED),
    tuple(state for state in State if state not in ACKNOWLEDGED_STATES),
    (*sorted(ERROR_STATES), State.PENDING),
    tuple(sorted(ERROR_STATES)),
)


def _states_shown(summary: Summary) -> tuple[tuple[State, ...], str | None]:
    """Return the states to show, and a note on the others."""
    if summary.rows <= MOST_ROWS:
        return tuple(State), None
    counts = [sum(summary.states.get(state, 0) for state in states) for states in _NARROWER]
    fitting = [n for n, count in enumerate(counts) if 0 < count <= MOST_ROWS]
    crowded = [n for n, count in enumerate(counts) if count > MOST_ROWS]
    # If none fits, the narrowest selection that has rows is cut short.
    narrowest = crowded[-1] if crowded else 0
    states = _NARROWER[fitting[0] if fitting else narrowest]
    left_out = [state for state in State if state not in states and summary.states.get(state, 0)]
    named = ", ".join(f"{summary.states[state]:,} {state.value}" for state in left_out)
    note = f"The sheet has {summary.rows:,} rows; not shown here: {named}. {_all_rows(summary)}"
    return states, note


def _cut_short(summary: Summary, written: int, expected: int) -> str | None:
    if written >= expected:
        return None
    return f"Only the first {written:,} of {expected:,} rows are shown here. {_all_rows(summary)}"


def _all_rows(summary: Summary) -> str:
    if summary.files.results:
        return f"All rows are in {PurePath(summary.files.results).name}."
    return "All rows are in the results."


# Their data


def _write_data(file: TextIO, results: Iterable[Result]) -> int:
    """Write rows up to the limits of number and size; return how many."""
    written = size = 0
    shared = SharedTexts()
    for result in results:
        line = json_text(_line(result, shared))
        size += len(line.encode()) + 2
        if written == MOST_ROWS or size > MOST_BYTES:
            break
        file.write(line if written == 0 else ",\n" + line)
        written += 1
    return written


class SharedTexts:
    """Replaces repeated texts by the number of the first occurrence."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def __call__(self, text: str | None) -> str | int | None:
        """Return a new text as it is, a repeated one as its number, and a blank one as None."""
        if not text:
            return None
        number = self._numbers.get(text)
        if number is None and len(self._numbers) < MOST_SHARED_TEXTS:
            self._numbers[text] = len(self._numbers)
        return text if number is None else number


_STATES_IN_ORDER = tuple(State)


def _line(result: Result, shared: SharedTexts) -> list[object]:
    """Return a row in the order that page.js reads; trailing nulls are left out."""
    message = full_message_of(result)
    line: list[object] = [
        result.number,
        cut(result.key, _LONGEST_KEY),
        _STATES_IN_ORDER.index(result.state),
        result.attempts,
        result.http_status,
        _epoch_seconds(result.sent_at),
        result.duration_ms,
        shared(result.error),
        shared(cut(message or "", LONGEST_MESSAGE)),
        shared(result.fields),
        cut(result.showing_id or "", _LONGEST_KEY) or None,
    ]
    while line[-1] is None:
        line.pop()
    return line


def _epoch_seconds(text: str | None) -> int | None:
    """Parse a time in ISO 8601; return None if it is malformed."""
    if text is None:
        return None
    try:
        return int(datetime.fromisoformat(text).timestamp())
    except ValueError:
        return None


# The table


_COLUMNS = ("Row", "Key", "State", "Message", "Attempts", "HTTP", "Sent (UTC)", "Duration")


def _table(written: int) -> Html:
    """Return the elements that page.js fills."""
    no_script = "The table of rows needs scripts, which are off here. The results have all rows."
    return join(
        element("noscript", element("p", no_script)),
        element(
            "div",
            search_tools("Search keys, messages, ids and row numbers", "Show rows by state"),
            element(
                "table",
                element("caption", "Rows in the order of the sheet", class_="aside"),
                header_row(*_COLUMNS),
                element("tbody", id="body"),
                class_="rows",
            ),
            element("nav", id="pages", aria_label="Pages of rows"),
            id="table",
            hidden="hidden",  # until page.js has filled it
            data_states=json.dumps([state.value for state in _STATES_IN_ORDER]),
            data_rows=written,
            data_shared=MOST_SHARED_TEXTS,
        ),
    )
