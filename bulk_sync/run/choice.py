"""The rows of a sheet that a run takes: `--rows`, `--where` and `--limit`.

What they leave out is neither sent nor forgotten: see `job.staged.PARKED`.
"""

from __future__ import annotations

from collections.abc import Sequence

from bulk_sync.check.invisible import as_seen
from bulk_sync.check.naming import column_named
from bulk_sync.errors import InputError
from bulk_sync.model.rows import Cell, Row, text_of
from bulk_sync.settings.reading import Reading


class Choice:
    """Tells the rows to take from the others; raises UsageError for an unknown column.

    A row is taken if it is in one of the ranges, if its cell in each column that is named shows one
    of the texts for it, and as long as the limit isn't reached.
    """

    def __init__(self, reading: Reading, headers: Sequence[str]) -> None:
        self._reading = reading
        self._wanted: dict[int, set[str]] = {}
        for condition in reading.where:
            column = column_named(headers, condition.column, "--where")
            self._wanted.setdefault(column, set()).add(_comparable(condition.text))
        self._unmet = dict.fromkeys(reading.rows)  # ranges without a row so far
        self._last = 0
        self._taken = 0

    def takes(self, row: Row) -> bool:
        """Return whether a run takes this row; called once for each row, in the sheet's order."""
        number, limit = row.number, self._reading.limit
        self._last = number
        if self._reading.rows:
            ranges = [one for one in self._reading.rows if number in one]
            for one in ranges:
                self._unmet.pop(one, None)
            if not ranges:
                return False
        if (limit is not None and self._taken >= limit) or not self._shows(row.cells):
            return False
        self._taken += 1
        return True

    def _shows(self, cells: Sequence[Cell]) -> bool:
        return all(
            _comparable(text_of(cells[place]) if place < len(cells) else "") in texts
            for place, texts in self._wanted.items()
        )

    def refuse_empty(self, source: str) -> None:
        """Raise InputError for a range without rows, and when no row was taken.

        A sheet without rows has nothing to choose from, and is no error.
        """
        if not self._last:
            return
        if self._unmet:
            ranges = ",".join(map(str, self._unmet))
            raise InputError(
                f"{source}: --rows {ranges} names no row of the sheet, whose last row is "
                f"{self._last}. The numbers are those that the spreadsheet program shows; the "
                "header and blank rows don't count as rows"
            )
        if not self._taken:
            conditions = " ".join(f"--where {str(one)!r}" for one in self._reading.where)
            among = " among those of --rows" if self._reading.rows else ""
            raise InputError(
                f"{source}: no row{among} fits {conditions}. A cell has to show exactly this text; "
                "upper and lower case are the same"
            )


def _comparable(text: str) -> str:
    """Return a text as a person reads it, without regard to case."""
    return as_seen(text).strip().casefold()
