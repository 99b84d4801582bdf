"""The rows of a table that both ways of reading fill, in the order of the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from bulk_sync.model.rows import Cell, Row
from bulk_sync.read.books.interface import MAX_COLUMNS, MAX_ROWS, BadWorkbook, TooLarge
from bulk_sync.read.books.ods.cells import CellKind, repeats
from bulk_sync.read.books.ods.names import AGAIN
from bulk_sync.read.books.shown import Span, blank, joined, shows
from bulk_sync.read.bounds import MAX_BLANKS, MAX_REPEATED_CHARACTERS, characters_of

MAX_CELLS = 200_000_000
"""Cells of a table, repeated ones included: the only bound on what a few bytes can claim."""

_HIDDEN = frozenset({"collapse", "filter"})


class RowKind(Struct, frozen=True):
    """Rows with the same attributes."""

    repeats: int
    is_hidden: bool


def row_kind(attributes: dict[str, str]) -> RowKind:
    """Return the kind of a row; raises BadValueError."""
    return RowKind(
        repeats(attributes, "table:number-rows-repeated", MAX_ROWS), is_hidden(attributes)
    )


def is_hidden(attributes: dict[str, str]) -> bool:
    """Return whether a row or a column is hidden (19.753)."""
    return attributes.get("table:visibility") in _HIDDEN


class Sink:
    """Collects rows that show something; `row` is the place of the next one, counted from 0."""

    def __init__(self) -> None:
        self.row = 0
        self.hidden_rows = 0
        self._cells = 0
        self._blanks = 0  # claimed by a count, since the last call of `drain`
        self._repeated = 0  # characters that repeated rows add
        # The rest of ranges that span several rows: last row, first column, last column.
        self._below: list[tuple[int, int, int]] = []
        self._hidden: list[Span] = []
        # The first row with other hidden columns.
        self._changes_at = 0
        self._rows: list[tuple[int, int, list[Cell]]] = []

    def add(self, kind: RowKind, found: Sequence[tuple[CellKind, Cell]]) -> None:
        """Add a row, or as many equal ones as its kind says."""
        cells: list[Cell] = []
        spans: list[tuple[int, CellKind]] = []
        blank = 0
        for each, value in found:
            if each.is_single and not blank and value != "":
                cells.append(value)
                continue
            if each.rows > 1 or each.columns > 1:
                spans.append((len(cells) + blank, each))
            if value == "":
                blank += each.repeats
                continue
            self._refuse_beyond(self.row, len(cells) + blank + each.repeats)
            cells.extend([""] * blank)
            cells.extend([value] * each.repeats)
            blank = 0
        if cells:
            self._refuse_beyond(self.row + kind.repeats - 1, len(cells))
            self._cells += len(cells) * kind.repeats
            if self._cells > MAX_CELLS:
                raise TooLarge(f"a sheet of it has more than {MAX_CELLS:,} cells.")
            if kind.repeats > 1:
                self._repeated += characters_of(cells) * (kind.repeats - 1)
                if self._repeated > MAX_REPEATED_CHARACTERS:
                    raise TooLarge(
                        f"its repeated rows, up to row {self.row + kind.repeats}, have more than "
                        f"{MAX_REPEATED_CHARACTERS:,} characters."
                    )
        if self._below or spans:
            self._add_covered(kind, cells, spans)
        else:
            self._append(self.row, kind.repeats, cells, kind)
        self.row += kind.repeats

    def hold_blanks(self, count: int) -> None:
        """Count blanks that an element claims; a few bytes may claim thousands."""
        self._blanks += count
        if self._blanks > MAX_BLANKS:
            raise TooLarge(
                f"its texts up to row {self.row + 1} have more than {MAX_BLANKS:,} blanks that are "
                "written as a count."
            )

    def drain(self) -> Iterator[Row]:
        """Yield the rows added since the last call."""
        rows, self._rows = self._rows, []
        self._blanks = 0
        for row, times, cells in rows:
            shown = tuple(cells)
            for number in range(row + 1, row + times + 1):
                yield Row(number, shown)

    def _append(self, row: int, times: int, cells: list[Cell], kind: RowKind) -> None:
        # The first cell nearly always decides.
        if cells and (shows(cells[0]) or any(map(shows, cells))):
            self._rows.append((row, times, cells))
            self.hidden_rows += times * kind.is_hidden

    def _add_covered(
        self, kind: RowKind, cells: list[Cell], spans: list[tuple[int, CellKind]]
    ) -> None:
        """Add rows with the cells blanked that a range hides, if they are not marked as such."""
        blank(cells, joined((column + 1, column + each.columns) for column, each in spans))
        row, end = self.row, self.row + kind.repeats
        while row < end:
            if row >= self._changes_at:
                self._below = [each for each in self._below if each[0] >= row]
                self._hidden = joined((first, last + 1) for _, first, last in self._below)
                self._changes_at = min((last + 1 for last, _, _ in self._below), default=end)
            same = min(end, self._changes_at)
            shown = list(cells)
            blank(shown, self._hidden)
            self._append(row, same - row, shown, kind)
            row = same
        for column, each in spans:
            if each.rows > 1:
                self._below.append((self.row + each.rows - 1, column, column + each.columns - 1))
                self._changes_at = end
        if len(self._below) > MAX_COLUMNS:
            raise BadWorkbook(
                f"more merged ranges cross row {self.row + 1} than it has cells. {AGAIN}"
            )

    def _refuse_beyond(self, row: int, columns: int) -> None:
        if row >= MAX_ROWS or columns > MAX_COLUMNS:
            raise BadWorkbook(
                f"a cell is outside of any sheet (row {row + 1}, column {columns}). {AGAIN}"
            )
