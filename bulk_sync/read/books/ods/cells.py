"""A cell's value by its attributes and its text (OpenDocument 1.3 part 3, 9.1.4, 19.385). Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta

from bulk_sync.model.rows import Cell, CellError, Formatted, text_of
from bulk_sync.read.books.interface import MAX_COLUMNS, MAX_ROWS, NO_VALUE

_NUMBER_TYPES = frozenset({"float", "percentage", "currency"})
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
_HOUR = timedelta(hours=1)
_SECOND = timedelta(seconds=1)


class BadValueError(ValueError):
    """An attribute is none that a program writes; the message says which, without the place."""


class CellKind:
    """Cells with the same attributes.

    `rows` and `columns` are those that each spans; `is_single` if that is one, without repeats.
    `is_text` if the cell's text is its value; `number` is the value if it is `number_text`.
    """

    __slots__ = ("_attributes", "_type", "columns", "is_covered", "is_single", "is_text", "number",
                 "number_text", "repeats", "rows")  # fmt: skip

    def __init__(self, attributes: dict[str, str], *, is_covered: bool) -> None:
        self._attributes = attributes
        self.is_covered = is_covered
        self.repeats = repeats(attributes, "table:number-columns-repeated", MAX_COLUMNS)
        self.rows = repeats(attributes, "table:number-rows-spanned", MAX_ROWS)
        self.columns = repeats(attributes, "table:number-columns-spanned", MAX_COLUMNS)
        self.is_single = self.repeats == self.rows == self.columns == 1
        inferred = next((kind for name, kind in _VALUES.items() if name in attributes), "string")
        self._type = attributes.get("office:value-type", inferred)
        self.is_text = not (
            self._type in {*_NUMBER_TYPES, "date", "time", "boolean"}
            or "office:string-value" in attributes
            or "table:formula" in attributes
            or attributes.get("calcext:value-type") == "error"
        )
        self.number = math.nan
        self.number_text: str | None = None
        if self._type in _NUMBER_TYPES and "office:value" in attributes:
            self.number = _number(attributes["office:value"])
            self.number_text = text_of(self.number)

    def value(self, shown: str, *, has_text: bool) -> Cell:
        """Return the value of a cell that shows a text; without `has_text` it holds none.

        Raises BadValueError.
        """
        if self.is_covered:
            return ""  # behind a merged range; it may keep the value that it had before
        if self.is_text:
            return shown
        text = shown.strip()
        error = self._error(text)
        if error is not None:
            return CellError(error)
        if self.number_text is not None:
            return self._formatted(text, has_text=has_text)
        for kind, name, convert in _CONVERTED:
            if kind == self._type and name in self._attributes:
                return convert(self._attributes[name], text)
        if self._type != "string" and text:
            raise BadValueError(f"a cell of the type {self._type!r} has no value")
        return self._attributes.get("office:string-value", shown)

    def _error(self, text: str) -> str | None:
        """Return the error that a cell shows, else None."""
        # LibreOffice's extension, which Calc writes next to an empty string value.
        if self._attributes.get("calcext:value-type") == "error":
            return text or "#VALUE!"
        if "table:formula" not in self._attributes:
            return None
        # Programs wrote errors as mere text before they had a type.
        if self._attributes.get("office:value-type") != "string" and _SHOWN_ERROR.fullmatch(text):
            return text
        has_value = any(name in self._attributes for name in ("office:value-type", *_VALUES))
        return NO_VALUE if not (has_value or text) else None

    def _formatted(self, text: str, *, has_text: bool) -> Cell:
        """Return a number, with the text that it is shown as if that is another one."""
        # Without a text, as some programs write a sheet, there is no format either.
        if not has_text or text in {self.number_text, self._attributes["office:value"]}:
            return self.number
        return Formatted(self.number, "", text, is_local=_SEPARATED.search(text) is not None)


def repeats(attributes: dict[str, str], name: str, most: int) -> int:
    """Return a count of at least 1; raises BadValueError."""
    text = attributes.get(name, "1")
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise BadValueError(f"{text[:20]!r} is not a whole number")
    # A sheet that is blank to its end may claim more cells than there are, so only the places of
    # cells with content are checked.
    return max(1, min(int(text), most + 1))


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text) or not math.isfinite(number := float(text)):
        raise BadValueError(f"{text[:40]!r} is not a number")
    return number


def _boolean(text: str, _shown: str) -> Cell:
    if text not in {"true", "false"}:
        raise BadValueError(f"{text[:40]!r} is not true or false")
    return text == "true"


def _moment(text: str, _shown: str) -> Cell:
    match = _DATE.fullmatch(text)
    if match is None:
        raise BadValueError(f"{text[:40]!r} is not a date")
    year, month, day, hour, minute, second = (int(each or 0) for each in match.groups()[:6])
    if not 1 <= year <= date.max.year:
        return CellError(text)  # a date that programs show and Python doesn't have
    try:
        moment = datetime.combine(date(year, month, day), time(hour, minute, second))
        moment += _to_second(timedelta(seconds=float(f"0.{match[7] or 0}")))
    except (ValueError, OverflowError):
        raise BadValueError(f"{text[:40]!r} is not a date") from None
    # Midnight is a date without a time.
    return moment.date() if moment.time() == time() else moment


def _time(text: str, shown: str) -> Cell:
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()[1:]):
        raise BadValueError(f"{text[:40]!r} is not a time")
    days, hours, minutes = (int(each or 0) for each in match.groups()[1:4])
    seconds = float((match[5] or "0").replace(",", "."))
    span = timedelta(days, hours=hours, minutes=minutes) + _to_second(timedelta(seconds=seconds))
    if match[1]:
        return -span
    if span >= _DAY and not _shows_time_of_day(span, shown):
        return span
    return (datetime.combine(date.min, time()) + span % _DAY).time()


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


_CONVERTED: tuple[tuple[str, str, Callable[[str, str], Cell]], ...] = (
    ("date", "office:date-value", _moment),
    ("time", "office:time-value", _time),
    ("boolean", "office:boolean-value", _boolean),
)
