"""Columns that are named by their place, as `--map` and profiles do: `column 3`."""

from __future__ import annotations

import re

_BY_PLACE = re.compile(r"column\s*(\d{1,5})", re.ASCII | re.IGNORECASE)


def column_number(name: str) -> int | None:
    """Return the index, from 0, of the column that `column N` names; None for any other name."""
    match = _BY_PLACE.fullmatch(name.strip())
    return int(match[1]) - 1 if match else None


def column_name(index: int) -> str:
    """Return the name of a column by its place, counted from 0."""
    return f"column {index + 1}"
