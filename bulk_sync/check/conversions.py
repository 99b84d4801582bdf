"""Recognise cells that a spreadsheet program may have made of others by opening and saving a file.

Such a program turns `00123` into 123, `1E5` into 100000, an ISO date into the local form without
seconds, `4/5` into a date of this year. What a person typed instead can look the same.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import time
from decimal import Decimal
from typing import get_args

from bulk_sync.check.cells import BadCell
from bulk_sync.check.moments import Written, read_moment, written
from bulk_sync.check.rules import DateOrder
from bulk_sync.model.rows import Cell, text_of

_NUMBER = re.compile(r"[+-]?\d{1,30}(?:[.,]\d{1,30})?(?:[Ee][+-]?\d{1,3})?", re.ASCII)
# Digits that Excel shows of a number in the General format, and writes into a CSV.
_SHOWN_DIGITS = 1e-5
_PAIR = re.compile(r"(\d{1,2})[-/](\d{1,2})", re.ASCII)
_DAY_AND_MONTH = re.compile(r"(?:(\d{1,2})[- ]([A-Za-z]{3})|([A-Za-z]{3})[- ](\d{1,2}))", re.ASCII)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

_Moment = tuple[object, object]


def may_be_converted(before: Cell, after: Cell) -> bool:
    """Return True if opening and saving a file may have turned one cell into the other."""
    one, two = text_of(before).strip(), text_of(after).strip()
    if not one or not two:
        return False
    return (
        one.casefold() == two.casefold() in {"true", "false"}
        or _same_number(one, two)
        or _became_a_day(one, after, two)
        or not _moments(before).isdisjoint(_moments(after))
    )


def _same_number(one: str, two: str) -> bool:
    if not (_NUMBER.fullmatch(one) and _NUMBER.fullmatch(two)):
        return False
    before, after = (Decimal(text.replace(",", ".")) for text in (one, two))
    if before == after:
        return True
    # A number that needs many digits is shown, and written into a CSV, with a few of them. No
    # program adds digits: more of them are the ones that somebody looked up.
    long = "e" in (one + two).lower() or len(one) > 10
    last_digit = Decimal(1).scaleb(int(after.normalize().as_tuple().exponent))
    return (
        long
        and abs(before - after) < last_digit
        and math.isclose(before, after, rel_tol=_SHOWN_DIGITS)
    )


def _became_a_day(one: str, after: Cell, two: str) -> bool:
    """Return True for `4/5` that became 5-Apr, or a date cell with this day and month."""
    pair = _PAIR.fullmatch(one)
    if pair is None:
        return False
    numbers = sorted(map(int, pair.groups()))
    found = _DAY_AND_MONTH.fullmatch(two)
    if found is not None:
        name, day = (found[2], found[1]) if found[2] else (found[3], found[4])
        month = name.lower()
        return month in _MONTHS and sorted((_MONTHS.index(month) + 1, int(day))) == numbers
    return any(
        day is not None and sorted((day.month, day.day)) == numbers
        for day in (moment.day for moment in _readings(after))
    )


def _moments(cell: Cell) -> set[_Moment]:
    """Return the days and times that a cell may say, in any order of day and month."""
    return {(moment.day, _to_minute(moment.time)) for moment in _readings(cell)}


def _readings(cell: Cell) -> Iterator[Written]:
    if isinstance(cell, bool | int | float):
        return
    cell = cell.strip() if isinstance(cell, str) else cell
    for order in get_args(DateOrder):
        try:
            moment = read_moment(order, cell)
        except BadCell:
            continue
        read = written(moment) if isinstance(moment, str) else moment
        if read.day is not None or read.time is not None:
            yield read


def _to_minute(at: time | None) -> time:
    # Midnight is the time of a date without one, and programs may leave out seconds.
    return time(0) if at is None else at.replace(second=0, microsecond=0)
