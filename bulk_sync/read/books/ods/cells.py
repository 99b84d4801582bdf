"""A cell's value by its attributes and its text (OpenDocument 1.3 part 3, 9.1.4, 19.385). Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta

from bulk_sync.model.rows import Cell, CellError, Formatted, text_of
from bulk_sync.read.books.interface import MAX_COLUMNS, MAX_ROWS, NO_VALUE

# The type of a cell that doesn't say it, by the attribute that has its value.
_VALUES = {
    "office:value": "float",
    "office:date-value": "date",
    "office:time-value": "time",
    "office:boolean-value": "boolean",
    "office:string-value": "string",
}
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
# Separators that depend on the language: of thousands or decimals.
_SEPARATED = re.compile(r"\d[.,'\u2019]\d", re.ASCII)
# XML Schema part 2, 3.2.9 and 3.2.7, without time zones, which a cell has not.
_DATE = re.compile(
    r"(-?\d{4,6})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?)?", re.ASCII
)
# XML Schema part 2, 3.2.6, without years and months: PT09H30M00S, -PT1.5S.
_DURATION = re.compile(
    r"(-?)P(?:(\d{1,7})D)?(?:T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9}(?:[.,]\d*)?)S)?)?",
    re.ASCII,
)
_SHOWN_ERROR = re.compile(r"#(?:DIV/0!|N/A|NAME\?|NULL!|NUM!|REF!|VALUE!|SPILL!|CALC!)|Err:\d{3}")
_FIRST_NUMBER = re.compile(r"\d+", re.ASCII)
# The error that a fraction of a second leaves in a time, at most.
_ROUNDING = timedelta(milliseconds=1)
_DAY = timedelta(days=1)
# The year 2000 or later, in days since 1904 or before (19.614): no sum of times, but a date that
# the format hides. Which one depends on the document's first day.
_HIDDEN_DAY = 35_064
_HOUR = timedelta(hours=1)
_SECOND = timedelta(seconds=1)
_MIDNIGHT = time()


class BadValueError(ValueError):
    """An attribute is none that a program writes; the message says which, without the place."""


class CellKind:
    """Cells with the same attributes, but for the values.

    `rows` and `columns` are those that each spans; `is_single` if that is one, without repeats.
    `is_text` if the cell's text is its value; otherwise `value_name` is the attribute that has it,
    if any, and `own` what that says here.
    """

    def __init__(self, attributes: dict[str, str], *, is_covered: bool) -> None:
        self._attributes = attributes
        self.is_covered = is_covered
        self.repeats = repeats(attributes, "table:number-columns-repeated", MAX_COLUMNS)
        self.rows = repeats(attributes, "table:number-rows-spanned", MAX_ROWS)
        self.columns = repeats(attributes, "table:number-columns-spanned", MAX_COLUMNS)
        self.is_single = self.repeats == self.rows == self.columns == 1
        inferred = next((kind for name, kind in _VALUES.items() if name in attributes), "string")
        self._type = attributes.get("office:value-type", inferred)
        name, self._convert = _TYPES.get(self._type, ("office:string-value", None))
        self.value_name = name if name in attributes else None
        self.own = attributes.get(name)
        # A type of LibreOffice's extension, which Calc writes next to an empty string value.
        self._is_error = "error" in {self._type, attributes.get("calcext:value-type")}
        self.is_text = not (
            self._convert is not None
            or self.own is not None
            or "table:formula" in attributes
            or self._is_error
        )

    def value(self, shown: str, own: str | None, *, has_text: bool) -> Cell:
        """Return the value of a cell that shows a text, and has its `own` as an attribute.

        Without `has_text` it holds no text. Raises BadValueError.
        """
        if self.is_covered:
            return ""  # behind a merged range; it may keep the value that it had before
        if self.is_text:
            return shown
        text = shown.strip()
        error = self._error(text, own, has_text=has_text)
        if error is not None:
            return CellError(error)
        if own is None:
            if self._convert is not None and text:
                raise BadValueError(f"a cell of the type {self._type!r} has no value")
            return shown
        return own if self._convert is None else self._convert(own, text if has_text else None)

    def _error(self, text: str, own: str | None, *, has_text: bool) -> str | None:
        """Return the error that a cell shows, else None."""
        if self._is_error:
            return text or "#VALUE!"
        if "table:formula" not in self._attributes:
            return None
        value_type = self._attributes.get("office:value-type")
        # Programs wrote errors as mere text before they had a type.
        if value_type != "string" and _SHOWN_ERROR.fullmatch(text):
            return text
        # An empty paragraph is the result "", for which LibreOffice writes no type.
        return NO_VALUE if value_type is None and own is None and not has_text else None


def repeats(attributes: dict[str, str], name: str, most: int) -> int:
    """Return a count of at least 1; raises BadValueError."""
    text = attributes.get(name, "1")
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise BadValueError(f"{text[:20]!r} is not a whole number")
    # A sheet that is blank to its end may claim more cells than there are, so only the places of
    # cells with content are checked.
    return max(1, min(int(text), most + 1))


def _number(own: str, text: str | None) -> Cell:
    """Return a number, with the text that it is shown as if that is another one."""
    if not _NUMBER.fullmatch(own) or not math.isfinite(number := float(own)):
        raise BadValueError(f"{own[:40]!r} is not a number")
    # Without a text, as some programs write a sheet, there is no format either.
    if text is None or text == own or text == text_of(number):
        return number
    return Formatted(number, "", text, is_local=_SEPARATED.search(text) is not None)


def _boolean(own: str, _text: str | None) -> Cell:
    if own not in {"true", "false"}:
        raise BadValueError(f"{own[:40]!r} is not true or false")
    return own == "true"


def _moment(own: str, _text: str | None) -> Cell:
    # The form that programs write, at full speed; any other is examined below.
    if own[4:8:3] == "--" and (len(own) == 10 or (len(own) == 19 and own[10:17:3] == "T::")):
        try:
            moment = datetime.fromisoformat(own)
        except ValueError:
            raise BadValueError(f"{own[:40]!r} is not a date") from None
    else:
        match = _DATE.fullmatch(own)
        if match is None:
            raise BadValueError(f"{own[:40]!r} is not a date")
        year, month, day, hour, minute, second = (int(each or 0) for each in match.groups()[:6])
        if not 1 <= year <= date.max.year:
            return CellError(own)  # a date that programs show and Python doesn't have
        try:
            moment = datetime.combine(date(year, month, day), time(hour, minute, second))
            moment += _to_second(timedelta(seconds=float(f"0.{match[7] or 0}")))
        except (ValueError, OverflowError):
            raise BadValueError(f"{own[:40]!r} is not a date") from None
    # Midnight is a date without a time.
    return moment.date() if moment.time() == _MIDNIGHT else moment


def _time(own: str, text: str | None) -> Cell:
    match = _DURATION.fullmatch(own)
    if match is None or not any(match.groups()[1:]):
        raise BadValueError(f"{own[:40]!r} is not a time")
    days, hours, minutes = (int(each or 0) for each in match.groups()[1:4])
    seconds = float((match[5] or "0").replace(",", "."))
    span = timedelta(days, hours=hours, minutes=minutes) + _to_second(timedelta(seconds=seconds))
    if match[1]:
        return -span
    if span >= _DAY and (span.days >= _HIDDEN_DAY or not _shows_time_of_day(span, text or "")):
        return span
    return (datetime.combine(date.min, _MIDNIGHT) + span % _DAY).time()


def _shows_time_of_day(span: timedelta, shown: str) -> bool:
    """Return whether a format shows the hours since midnight of a span that is longer than a day.

    The format is in a style that may come from the column or the row; the text says it as well.
    """
    first = _FIRST_NUMBER.search(shown)
    hours = span // _HOUR
    return first is not None and hours != int(first[0]) and int(first[0]) in {
        hours % 24, hours % 12, hours % 12 or 12,
    }  # fmt: skip


def _to_second(span: timedelta) -> timedelta:
    """Undo the rounding of a fraction of a day: 09:29:59.9999 was entered as 09:30."""
    rest = span % _SECOND
    if rest <= _ROUNDING:
        return span - rest
    return span + (_SECOND - rest) if _SECOND - rest <= _ROUNDING else span


_Convert = Callable[[str, str | None], Cell]
"""Turns a cell's own value into a cell, given the text that it shows."""

# The attribute that has the value of a type, and what it becomes.
_TYPES: dict[str, tuple[str, _Convert | None]] = {
    **dict.fromkeys(("float", "percentage", "currency"), ("office:value", _number)),
    "date": ("office:date-value", _moment),
    "time": ("office:time-value", _time),
    "boolean": ("office:boolean-value", _boolean),
}
