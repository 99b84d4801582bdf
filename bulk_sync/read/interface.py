"""What every reader takes and offers, whatever the file's format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from msgspec import Struct

from bulk_sync.model.rows import Row
from bulk_sync.model.summaries import Understood

Recognise = Callable[[Sequence[str]], int]
"""How well a row's cells serve as a header: 0 when a column that must be there is missing, else how
many are known.
"""

HEADER_WITHIN_ROWS = 50
"""Rows that are not blank, from the top, among which the header is looked for."""


class ReadOptions(Struct, frozen=True):
    """What a user says about a file; None leaves it to be found.

    `sheet` is a name, or a number counted from 1. `header_row` is a number as the spreadsheet
    program shows it.
    """

    recognise: Recognise
    delimiter: str | None = None
    encoding: str | None = None
    sheet: str | None = None
    header_row: int | None = None


def above_note(above: Sequence[str]) -> list[str]:
    """What to say of the rows above the header, of each its first text: they are titles, or rows
    that would be lost.
    """
    if not above:
        return []
    rows = "The row" if len(above) == 1 else f"The {len(above)} rows"
    return [
        f"{rows} above the header, such as {above[0][:40]!r}, {'is' if len(above) == 1 else 'are'} not read."
    ]


def two_headers(rival: int, chosen: int) -> str:
    """The sentence for rows of which either could be the header; what is above the other would be
    lost.
    """
    return f"rows {rival} and {chosen} both look like the header: say which it is with --header-row, or split the file"


class Table(Protocol):
    """A sheet that is open for reading."""

    @property
    def digest(self) -> str:
        """SHA-256 of the file's bytes, in hex: two readings with one digest hold the same rows."""
        ...

    @property
    def understood(self) -> Understood:
        """What the file was taken for."""
        ...

    @property
    def headers(self) -> tuple[str, ...]:
        """The cells of the header row, trimmed."""
        ...

    def rows(self) -> Iterator[Row]:
        """The rows below the header, once, blank ones left out.

        Raises InputError, with the place, when the file can't be read on, or changed meanwhile.
        """
        ...
