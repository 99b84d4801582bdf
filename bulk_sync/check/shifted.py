"""Recognise a row whose cells are one column too far to a side, by the columns' kinds. Pure.

A separator too many and one too few leave a row with the right number of cells. A rating in the
column of dates, next to the column of ratings, shows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from bulk_sync.check.cells import BadCell
from bulk_sync.check.showing import Reader
from bulk_sync.model.problems import Expected, Fact, Reason, Remedy
from bulk_sync.model.rows import Cell, text_of

# Cells that are of another kind altogether, not of this kind and wrong.
_OTHER_KIND: Final = frozenset(
    {
        Expected.MOMENT,
        Expected.RATING,
        Expected.RATING_ON_SCALE,
        Expected.WHOLE_NUMBER,
        Expected.YES_OR_NO,
        Expected.EVENT_TYPE,
        Expected.EMAIL,
    }
)


class ShiftReader:
    """Knows the kinds of a sheet's columns: `kinds` has field, place and the reader of its kind."""

    def __init__(self, kinds: Sequence[tuple[str, int, Reader]]) -> None:
        self._by_field = {field: (place, read) for field, place, read in kinds}
        self._at = {place: (field, read) for field, place, read in kinds}

    def reason(self, cells: Sequence[Cell], bad: Sequence[Reason]) -> Reason | None:
        """Return the reason of a shifted row; None if its bad cells fit no neighbouring column.

        A cell next to a column of texts may be from there, but proves nothing.
        """
        if any(one.expected not in _OTHER_KIND or one.field not in self._by_field for one in bad):
            return None
        places = {self._by_field[one.field][0]: one for one in bad}
        for step, side in ((1, "left"), (-1, "right")):
            fitting = {
                place: self._fits(cells, place, place + step, places)
                for place in places
                if place + step in self._at
            }
            inside = all(0 < place + step < len(cells) for place in places)
            if fitting and inside and all(fitting.values()):
                first = min(fitting)
                facts: dict[str, Fact] = {
                    "column": places[first].field,
                    "other": self._at[first + step][0],
                    "side": side,
                }
                value, remedy = places[first].value, Remedy.CHECK_SEPARATORS
                return Reason(Expected.CELLS_IN_PLACE, "", value, remedy, facts)
        return None

    def _fits(
        self, cells: Sequence[Cell], place: int, other: int, bad: Mapping[int, Reason]
    ) -> bool:
        """Return whether a cell fits another column, whose own cell is bad or blank."""
        read = self._at[other][1]
        if other not in bad and text_of(cells[other]).strip():
            return False
        cell = cells[place]
        try:
            read(cell.strip() if isinstance(cell, str) else cell)
        except BadCell:
            return False
        return read is not self._at[place][1]
