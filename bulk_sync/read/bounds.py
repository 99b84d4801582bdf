"""The bounds of what is in memory of a file at a time, and of what a few of its bytes may claim.

Bounds on the parts of archives and of XML are in `archive` and `books.markup`, where they are
enforced. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

from bulk_sync.model.rows import Cell

MAX_ROW_CHARACTERS: Final = 16 * 1024 * 1024
"""Characters of one row's cells together: of sixteen texts of the length that a field can have.

A row is held several times: as it was read, as a patch, and as SQLite stores it.
"""
MAX_LINE_CHARACTERS: Final = 16 * 1024 * 1024
"""Characters of one line of a text file, which is held as a whole."""
MAX_COLUMNS: Final = 16_384
"""Cells of one row, as in Excel's and LibreOffice's sheets."""
MAX_REPEATED_CHARACTERS: Final = 256 * 1024 * 1024
"""Characters that a workbook's repeated rows add to those that are written in it.

A full sheet of equal rows of 250 characters has as many.
"""
MAX_BLANKS: Final = 16 * 1024 * 1024
"""Blanks that elements claim by a count, in the rows that are held at a time."""
MAX_SHEETS: Final = 5_000
"""Sheets of a workbook; their names are kept."""

LONGEST_NUMBER: Final = 255
"""Characters of a number in a workbook; programs write at most 24."""
LONGEST_KNOWN: Final = 1_000
"""Characters of a text by which something is remembered."""
MOST_KNOWN: Final = 20_000
"""Texts by which something of one kind is remembered."""

T = TypeVar("T")


def remember(known: dict[str, T], text: str, value: T) -> None:
    """Add a value to those that are known by a text, within bounds; all are forgotten at once."""
    if len(text) <= LONGEST_KNOWN:
        if len(known) >= MOST_KNOWN:
            known.clear()
        known[text] = value


def characters_of(cells: Iterable[Cell]) -> int:
    """Return the number of characters in the texts of cells."""
    return sum([len(cell) for cell in cells if cell.__class__ is str])


def excess(cells: Sequence[Cell]) -> str | None:
    """Return the words for what a row has too much of; None for one that can be read."""
    if len(cells) > MAX_COLUMNS:
        return f"has {len(cells):,} cells; a sheet has at most {MAX_COLUMNS:,} columns"
    if characters_of(cells) > MAX_ROW_CHARACTERS:
        return f"has cells of more than {MAX_ROW_CHARACTERS:,} characters together"
    return None
