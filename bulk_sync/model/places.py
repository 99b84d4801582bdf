"""Columns and cells by their places: `column 3` as in `--map` and profiles, and `B2`."""

from __future__ import annotations

import re
from functools import lru_cache

_BY_PLACE = re.compile(r"column\s*(\d{1,5})", re.ASCII | re.IGNORECASE)


def column_number(name: str) -> int | None:
    """Return the index, from 0, of the column that `column N` names; None for any other name."""
    match = _BY_PLACE.fullmatch(name.strip())
    return int(match[1]) - 1 if match else None


def column_name(index: int) -> str:
    """Return the name of a column by its place, counted from 0."""
    return f"column {index + 1}"


@lru_cache(maxsize=1024)
def column_letters(index: int) -> str:
    """Return the letters of a column in spreadsheet programs; index 0 is `A`."""
    letters, number = "", index + 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def cell_reference(row: int, column: int) -> str:
    """Return a cell's reference as a spreadsheet program shows it: (0, 0) is `A1`."""
    return f"{column_letters(column)}{row + 1}"
