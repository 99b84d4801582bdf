"""The rows of a sheet, from the library's values and the survey's corrections.

Where the two disagree on the number of filled cells nothing is guessed: the reading ends.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime, time, timedelta

from python_calamine import CalamineSheet

from bulk_sync.model.rows import Cell, CellError, Row
from bulk_sync.read.books.shown import shows
from bulk_sync.read.books.styles import as_shown
from bulk_sync.read.foreign import AGAIN
from bulk_sync.read.survey.interface import BadWorkbook, Sheet, Survey, sweep

# Types of the library's values that need no correction.
_EXACT_TYPES = frozenset({str, int, float, bool})

# The error that a fraction of a day leaves in a time, at most.
_ROUNDING = timedelta(milliseconds=1)

_MICROSECONDS = 1_000_000
# Excel has a 29 February 1900, as Lotus 1-2-3 had.
_LAST_DAY_OF_FEBRUARY_1900 = date(1900, 2, 28)


class _Disagreement(BadWorkbook):
    """The library gave another number of cells than the survey counted."""


class SheetRows:
    """The rows of one sheet, each cell as a spreadsheet program shows it."""

    def __init__(self, sheet: Sheet, survey: Survey, values: CalamineSheet | None) -> None:
        self.sheet = sheet
        self.survey = survey
        self._values = values
        # By row, because each row looks up its own.
        self._errors: dict[int, dict[int, str]] = {}
        for (row, column), text in survey.errors.items():
            self._errors.setdefault(row, {})[column] = text
        self._replaced: dict[int, dict[int, Cell]] = {}
        for (row, column), value in survey.replaced.items():
            self._replaced.setdefault(row, {})[column] = value

    @property
    def hidden_columns(self) -> Collection[int]:
        """See `Grid`."""
        return self.survey.hidden_columns

    @property
    def hidden_rows(self) -> int:
        """The number of hidden rows that show something."""
        return self.survey.hidden_rows

    def filled(self) -> Iterator[Row]:
        """Yield the rows with a cell that shows something, from the sheet's first row on."""
        filled = self.survey.filled
        delivered = self._delivered()
        for index, merged in zip(
            range(max(len(filled), self._height())), sweep(self.survey.merged), strict=False
        ):
            values = next(delivered, [])
            expected = filled[index] if index < len(filled) else 0
            if not (values or expected or index in self._errors or index in self._replaced):
                continue
            cells = self._typed(index, values)
            self._compare(index, cells, expected)
            self._cover(index, cells, merged)
            if any(shows(cell) for cell in cells):
                yield Row(index + 1, tuple(cells))

    def _height(self) -> int:
        end = None if self._values is None else self._values.end
        return 0 if end is None else end[0] + 1

    def _delivered(self) -> Iterator[list[Cell]]:
        """Yield the library's rows, from the sheet's first row and column on."""
        if self._values is None or self._values.start is None:
            return
        margin = self._values.start[1]
        for values in self._values.iter_rows():
            # Without padding: a sheet may have its cells far right, and a million blank rows.
            if values.count("") == len(values):
                yield []
                continue
            cells: list[Cell] = [""] * margin
            cells.extend(values)
            yield cells

    def _typed(self, index: int, values: Sequence[Cell]) -> list[Cell]:
        width = len(values)
        while width and values[width - 1] == "":  # one cell may make a whole sheet wide
            width -= 1
        cells = [
            value if value.__class__ in _EXACT_TYPES else self._corrected(index, column, value)
            for column, value in enumerate(values[:width])
        ]
        for column, value in self._replaced.get(index, {}).items():
            _put(cells, column, value)
        for column, text in self._errors.get(index, {}).items():
            _put(cells, column, CellError(text))
        for column, code in self.survey.formatted.of_row(index):
            if column < len(cells):
                cells[column] = as_shown(cells[column], code)
        return cells

    def _corrected(self, row: int, column: int, value: Cell) -> Cell:
        """Return a date or time as a spreadsheet program shows it."""
        if not isinstance(value, timedelta):
            if self.survey.has_negative(row, column):
                # Programs show this for a negative date; the library gives a time of day.
                return CellError("#####")
            if _is_last_day_of_february_1900(value):
                return CellError("1900-02-28 or 1900-02-29")
        return _to_second(value)

    def _compare(self, index: int, cells: Sequence[Cell], expected: int) -> None:
        # The survey counts error cells apart. A `CellError` made here, of a date that can't be
        # shown, is a filled cell to it.
        filled = sum(1 for cell in cells if shows(cell)) - len(self._errors.get(index, {}))
        if filled != expected:
            raise _Disagreement(
                f"sheet {self.sheet.name!r}, row {index + 1}: the file has {expected} filled cells "
                f"there, of which {filled} could be read. {AGAIN}"
            )

    def _cover(
        self, index: int, cells: list[Cell], merged: Sequence[tuple[int, int, int, int]]
    ) -> None:
        """Blank the cells that a merged range hides: all but its first one."""
        for top, left, _, right in merged:
            first = left + 1 if index == top else left
            for column in range(first, min(right + 1, len(cells))):
                cells[column] = ""


def _put(cells: list[Cell], column: int, value: Cell) -> None:
    if column >= len(cells):
        cells.extend([""] * (column + 1 - len(cells)))
    cells[column] = value


def _is_last_day_of_february_1900(value: Cell) -> bool:
    """Return whether it may be Excel's 29 February 1900, which the library reads as the 28th."""
    if isinstance(value, datetime):
        return value.date() == _LAST_DAY_OF_FEBRUARY_1900
    return value == _LAST_DAY_OF_FEBRUARY_1900


def _to_second(value: Cell) -> Cell:
    """Undo the rounding of a fraction of a day: 09:29:59.999 was entered as 09:30."""
    if isinstance(value, datetime):
        rounded = value + _correction(value.microsecond)
        # Midnight is a date without a time, as the library has it for all formats but ODS.
        return rounded.date() if rounded.time() == time(0) else rounded
    if isinstance(value, time):
        moment = datetime.combine(date(2000, 1, 1), value)
        rounded = moment + _correction(value.microsecond)
        # Not rounded up to midnight, because a time has no next day.
        return value if rounded.date() != moment.date() else rounded.time()
    if isinstance(value, timedelta):
        return value + _correction(value.microseconds)
    return value


def _correction(microseconds: int) -> timedelta:
    part = timedelta(microseconds=microseconds)
    if part <= _ROUNDING:
        return -part
    rest = timedelta(microseconds=_MICROSECONDS - microseconds)
    return rest if rest <= _ROUNDING else timedelta()
