"""The rows that both ways of reading a sheet fill, in the order of the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bulk_sync.model.rows import Cell, Row
from bulk_sync.read.books.interface import BadWorkbook
from bulk_sync.read.books.shown import Covering, shows
from bulk_sync.read.books.xlsx.places import AGAIN

_TRUE = frozenset({"1", "true", "on"})


class Sink:
    """Collects rows that show something; `last` is the row that was read last, counted from 0."""

    def __init__(self, covering: Covering) -> None:
        self.last = -1
        self.hidden_rows = 0
        self._covering = covering
        self._rows: list[Row] = []

    def add(self, row: int, cells: Sequence[Cell], *, hidden: bool) -> None:
        """Add a row below the last one; raises BadWorkbook for any other."""
        if row <= self.last:
            raise BadWorkbook(
                f"its rows are out of order: row {row + 1} follows row {self.last + 1}. {AGAIN}"
            )
        self.last = row
        if self._covering.is_active:
            cells = list(cells)
            self._covering.blank(row, cells)
        # The first and the last cell nearly always decide.
        if cells and cells[-1] == "":
            cells = _trimmed(cells)
        if cells and (shows(cells[0]) or any(map(shows, cells))):
            self._rows.append(Row(row + 1, tuple(cells)))
            self.hidden_rows += hidden

    def drain(self) -> list[Row]:
        """Return the rows added since the last call."""
        rows, self._rows = self._rows, []
        return rows


def _trimmed(cells: Sequence[Cell]) -> Sequence[Cell]:
    """Return cells without the blank ones at their end."""
    end = len(cells)
    while end and cells[end - 1] == "":
        end -= 1
    return cells[:end]


def hides(attributes: Mapping[str, str], size: str) -> bool:
    """Return whether a row or a column is hidden, by its attribute or by a size of zero."""
    return is_true(attributes.get("hidden")) or _is_zero(attributes.get(size, "1"))


def _is_zero(number: str) -> bool:
    try:
        return float(number) == 0
    except ValueError:
        return False


def is_true(attribute: str | None) -> bool:
    """Return the value of a boolean attribute (ECMA-376 part 1, 22.9.2.7, ST_OnOff)."""
    return attribute is not None and attribute.lower() in _TRUE
