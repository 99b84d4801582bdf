"""Sheets of made-up showings for comparisons, and what was sent of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.helpers import Witness, write_sheet

HEADER = ("unique_showing_key", "feedback", "rating", "showing_date", "interested")
Values = dict[str, str]
Sheet = dict[str, Values]

EXAMPLE = {
    "feedback": "Liked it",
    "rating": "4",
    "showing_date": "2026-03-02T15:00:00Z",
    "interested": "yes",
}


def some(count: int) -> Sheet:
    """A sheet of that many showings."""
    return {
        f"ext_{n}": EXAMPLE | {"feedback": f"Liked it {n}", "rating": str(n % 5 + 1)}
        for n in range(count)
    }


def copy(sheet: Sheet) -> Sheet:
    """A copy to change."""
    return {key: dict(values) for key, values in sheet.items()}


def write(
    path: Path, sheet: Sheet, header: tuple[str, ...] = HEADER, keys: list[str] | None = None
) -> Path:
    """Write a sheet; `keys` are its rows in order."""
    rows = [(key, *(sheet[key].get(name, "") for name in header[1:])) for key in keys or sheet]
    return write_sheet(path, rows, header)


def last(witness: Witness) -> int:
    """The number of the last request."""
    return max((entry["seq"] for entry in witness.journal()), default=0)


def sent(witness: Witness, after: int = 0) -> dict[str, Any]:
    """The patches by key since a request."""
    entries = [entry for entry in witness.journal_after(after) if entry["method"] == "PATCH"]
    return {entry["key"]: json.loads(entry["body"]) for entry in entries}
