"""The interface of readers: their options, and the table that each returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from msgspec import Struct

from bulk_sync.model.rows import Row
from bulk_sync.model.summaries import Understood

Recognise = Callable[[Sequence[str]], int]
"""Rates a row's cells as a header: the number of known columns, 0 if a required one is missing."""

HEADER_WITHIN_ROWS = 50
"""Rows searched for the header, blank ones not counted."""


_MOST_TITLES = 2
"""Cells of a first column that may be names of columns by chance."""

_MOST_SHOWN = 40
"""Characters of a row above the header that a note quotes."""


class ReadOptions(Struct, frozen=True):
    """The user's options about a file; None means to find out.

    `multiline_cells`: a line inside quotes that looks like the next row is data.
    `sheet` is a name, or a number counted from 1. `header_row` is a number as the spreadsheet
    program shows it.
    """

    recognise: Recognise
    delimiter: str | None = None
    encoding: str | None = None
    multiline_cells: bool = False
    sheet: str | None = None
    header_row: int | None = None


def above_note(above: Sequence[str]) -> list[str]:
    """Return a note on the rows above the header, given each one's first text.

    They may be titles, or data that would be lost.
    """
    if not above:
        return []
    rows = "The row" if len(above) == 1 else f"The {len(above)} rows"
    verb = "is" if len(above) == 1 else "are"
    such = "" if len(above) == 1 else "such as "
    text = above[0] if len(above[0]) <= _MOST_SHOWN else f"{above[0][: _MOST_SHOWN - 3]}..."
    return [f"{rows} above the header, {such}{text!r}, {verb} not read."]


def likely_header(widths: Sequence[int]) -> int:
    """Return which of the first rows an error should call the header, when it has no key column.

    A title is narrow: the first row counts that is more than half as wide as most of them are.
    """
    usual = sorted(widths)[len(widths) // 2]
    return next(place for place, width in enumerate(widths) if 2 * width > usual)


def two_headers(rival: int, chosen: int) -> str:
    """Return the sentence for two rows that could be the header, with rows between them lost."""
    return (
        f"rows {rival} and {chosen} both look like the header: name one with --header-row, or "
        "split the file"
    )


def on_its_side(recognise: Recognise, header: Sequence[str], column: Sequence[str]) -> str | None:
    """Return the sentence for a table whose column names go down its first `column`.

    None if its `header` goes across, as it should.
    """
    across = sum(map(bool, header))  # names of columns, or a name and a showing in each
    if across < 2 or recognise(header) > 1 or recognise(column) <= _MOST_TITLES:
        return None
    names = ", ".join(repr(name[:40]) for name in column[:3])
    return (
        f"the names of the columns go down the first column ({names}), so this table is on its "
        "side. Transpose it (in spreadsheet programs: copy, then Paste Special with Transpose), or "
        "name the header with --header-row"
    )


class Table(Protocol):
    """A sheet that is open for reading."""

    @property
    def digest(self) -> str:
        """SHA-256 of the file's bytes, in hex: two readings with one digest hold the same rows."""
        ...

    @property
    def understood(self) -> Understood:
        """The detected format: file type, sheet, header row, encoding."""
        ...

    @property
    def headers(self) -> tuple[str, ...]:
        """The cells of the header row, trimmed."""
        ...

    def rows(self) -> Iterator[Row]:
        """Yield the rows below the header that are not blank; for one reading only.

        Raises InputError, with the place, for a malformed or changed file.
        """
        ...
