"""Numbers of binary workbooks as cells: RK numbers, dates and times.

Pure. Dates are days since the end of 1899, or since the start of 1904 ([MS-XLS] 2.4.77).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from datetime import date, datetime, time, timedelta

from bulk_sync.model.rows import Cell, CellError
from bulk_sync.read.books.formats import FormatKind

NO_NUMBER = "#NUM!"
"""Text of the error for a double that is no number, which programs show."""
UNSHOWN_DATE = "#####"
"""Text shown for a date before a program's first or after its last day."""

_DAY_MS = 86_400_000
# The error that a fraction of a day leaves in a time, at most.
_ROUNDING_MS = 1
_EPOCH_1900 = date(1899, 12, 31).toordinal()
_EPOCH_1904 = date(1904, 1, 1).toordinal()
_DAY_OF_2000 = date(2000, 1, 1).toordinal()
_LAST_DAY = date.max.toordinal()
# Excel has a 29 February 1900, as Lotus 1-2-3 had.
_LEAP_DAY_OF_1900 = 60

# More than any date or time of day has, and far from where a product with `_DAY_MS` is inexact.
_MOST_DAYS = 1e8

_DOUBLE = struct.Struct("<d")
_QUAD = struct.Struct("<Q")

Number = int | float
Converter = Callable[[Number], Cell]
"""Turns a cell's number into the cell that its number format shows."""


def rk_number(raw: int) -> Number:
    """Return the number in the four bytes of an RK number ([MS-XLS] 2.5.217)."""
    value: Number
    if raw & 2:
        value = (raw >> 2) - (1 << 30 if raw >> 31 else 0)
    else:
        value = _DOUBLE.unpack(_QUAD.pack((raw & 0xFFFF_FFFC) << 32))[0]
    return value / 100 if raw & 1 else value


def plain_number(value: Number) -> Cell:
    """Return a number as a cell; a double that is no number is an error."""
    return value if math.isfinite(value) else CellError(NO_NUMBER)


def converter_for(kind: FormatKind, *, is_1904: bool) -> Converter:
    """Return the converter for cells with a format of this kind."""
    match kind:
        case FormatKind.DATE:
            return _date_1904 if is_1904 else _date_1900
        case FormatKind.TIME:
            return _time_1904 if is_1904 else _time_1900
        case FormatKind.DURATION:
            return _duration
        case FormatKind.NUMBER:
            return plain_number


def _date_1900(value: Number) -> Cell:
    days, ms = _whole(value)
    if days > _LEAP_DAY_OF_1900:
        return _moment(_EPOCH_1900, days - 1, ms)
    if days == 0:
        return CellError("1900-01-00")  # a time without a day, in a format that shows one
    if days == _LEAP_DAY_OF_1900:
        return CellError("1900-02-29")
    return _moment(_EPOCH_1900, days, ms)


def _date_1904(value: Number) -> Cell:
    return _moment(_EPOCH_1904, *_whole(value))


def _moment(epoch: int, days: int, ms: int) -> Cell:
    if not 0 <= days <= _LAST_DAY - epoch:
        return CellError(UNSHOWN_DATE)
    if ms == 0:
        return date.fromordinal(epoch + days)
    # The parts of a timedelta as it holds them: anything else costs three times as much.
    return datetime.fromordinal(epoch + days) + timedelta(0, ms // 1000, ms % 1000 * 1000)


def _time_1900(value: Number) -> Cell:
    return _time(value, _EPOCH_1900 - 1)


def _time_1904(value: Number) -> Cell:
    return _time(value, _EPOCH_1904)


def _time(value: Number, epoch: int) -> Cell:
    days, ms = _whole(value)
    if not 0 <= days <= _LAST_DAY - epoch:
        return CellError(UNSHOWN_DATE)
    seconds, rest = divmod(ms, 1000)
    shown = time(seconds // 3600, seconds // 60 % 60, seconds % 60, rest * 1000)
    # A time format shows no day, so the whole days of a sum of times don't matter (ECMA-376 part 1,
    # 18.8.31). No sum reaches the year 2000: from there on the cell holds a date that it hides.
    day = epoch + days
    return shown if day < _DAY_OF_2000 else datetime.combine(date.fromordinal(day), shown)


def _duration(value: Number) -> Cell:
    if not abs(value) < _MOST_DAYS:
        return CellError(UNSHOWN_DATE)
    days, ms = _whole(value)
    return timedelta(days, milliseconds=ms)


def _whole(value: Number) -> tuple[int, int]:
    """Return days and milliseconds, without the rounding of a fraction of a day: 09:29:59.999 was
    entered as 09:30.
    """
    if not abs(value) < _MOST_DAYS:  # infinity and NaN as well
        return -1, 0
    total = round(value * _DAY_MS)
    rest = total % 1000
    if rest <= _ROUNDING_MS:
        total -= rest
    elif rest >= 1000 - _ROUNDING_MS:
        total += 1000 - rest
    return divmod(total, _DAY_MS)
