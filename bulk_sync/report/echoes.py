"""Values that came back changed: what was sent and what came back, short enough to compare."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from msgspec import UNSET

from bulk_sync.model.rows import Echo
from bulk_sync.model.summaries import EchoedRow
from bulk_sync.wording import counted

_LONGEST = 60
"""Characters of a value that are shown."""

# Characters in front of the first difference that are shown of a longer value.
_BEFORE = 20

_UNKNOWN = "a value that is no longer in the checkpoint"


def changed_rows(count: int) -> str:
    """Return `2 rows came back with other values than were sent`."""
    rows, values = (
        ("1 row", "another value than was")
        if count == 1
        else (
            counted(count, "row"),
            "other values than were",
        )
    )
    return f"{rows} came back with {values} sent"


def echo_lines(rows: Sequence[EchoedRow]) -> Iterator[str]:
    """Yield `row 2, feedback: "Too dark for us" was sent, "Too dark" came back`."""
    for row in rows:
        for echo in row.echoes:
            sent, came_back = echo_texts(echo)
            yield f"row {row.number}, {echo.field}: {sent} was sent, {came_back} came back"


def echo_texts(echo: Echo) -> tuple[str, str]:
    """Return both values as JSON; of long texts the part with the first difference."""
    sent, came_back = echo.sent, echo.came_back
    if isinstance(sent, str) and isinstance(came_back, str):
        sent, came_back = _around_difference(sent, came_back)
    return _text(sent), _text(came_back)


def _text(value: object) -> str:
    if value is UNSET:
        return _UNKNOWN
    if isinstance(value, str) and len(value) > _LONGEST + 2:  # with two ellipses
        value = value[:_LONGEST] + "…"
    return json.dumps(value, ensure_ascii=False)


def _around_difference(one: str, other: str) -> tuple[str, str]:
    """Cut two texts to the same place, where they begin to differ."""
    if max(len(one), len(other)) <= _LONGEST:
        return one, other
    pairs = enumerate(zip(one, other, strict=False))
    place = next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))
    start = max(0, place - _BEFORE)
    return _part(one, start), _part(other, start)


def _part(text: str, start: int) -> str:
    end = start + _LONGEST
    return "…" * (start > 0) + text[start:end] + "…" * (end < len(text))
