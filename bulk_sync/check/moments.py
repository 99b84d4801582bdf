"""Dates and times as people and programs write them.

Two steps: `written` reads what a cell says, as far as it goes (a day, a time, an offset);
`resolve` makes an instant of it, once day, time and zone are known, and refuses a time
that a clock change skips or repeats (PEP 495).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from bulk_sync.check.cells import BadCell
from bulk_sync.check.rules import DateOrder
from bulk_sync.model.rows import Cell

_FROM_TO = (
    "a single time; it reads as from-to: give the end a column of its own (showing_time_end), "
    "or if it is an offset, write seconds before it"
)

_MIDNIGHT = datetime(2000, 1, 1)  # noqa: DTZ001 - only its time of day is of use

EXPECTED = "a date and time, such as 2026-03-14 16:30, 3/14/2026 4:30 PM or 2026-03-14T21:30:00Z"


class Written(NamedTuple):
    """What a cell says of a moment; what it does not say is None.

    `ordered`: day and month could be swapped, the order decided. `against`: the date fits
    another order better than the one asked for, or only that (then `day` is None).
    `early`: a time from 1:00 to 6:59 without AM or PM and without a leading zero.
    """

    day: date | None = None
    time: time | None = None
    zone: tzinfo | None = None
    ordered: bool = False
    against: bool = False
    early: bool = False


def written(cell: Cell, order: DateOrder) -> Written:
    """Read a cell; raises BadCell when it is no date or time."""
    if isinstance(cell, str):
        return _of_text(cell, order)
    if isinstance(cell, datetime):
        return Written(cell.date(), cell.time())
    if isinstance(cell, date):
        return Written(cell)
    if isinstance(cell, time):
        return Written(time=cell)
    if isinstance(cell, timedelta) and timedelta(0) <= cell < timedelta(days=1):
        return Written(time=(_MIDNIGHT + cell).time())
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        raise BadCell(f"{EXPECTED}; it is a bare number: format the cell as a date")
    raise BadCell(EXPECTED)


def resolve(moment: Written, zone: tzinfo | None) -> datetime:
    """The instant; raises BadCell when the zone's clocks skip or repeat that time."""
    if moment.day is None or moment.time is None:
        raise BadCell(EXPECTED)
    chosen = moment.zone or zone
    if chosen is None:
        raise BadCell(
            "a time with its offset; this machine's zone has no name, so say which: --timezone Area/City"
        )
    instant = datetime.combine(moment.day, moment.time, chosen)
    if isinstance(chosen, timezone):
        return instant
    first, second = instant.utcoffset(), instant.replace(fold=1).utcoffset()
    if first is not None and first.seconds % 60:
        raise BadCell("a date in our age: this one is from before there were time zones")
    if first == second or first is None or second is None:
        return instant
    naive = instant.replace(tzinfo=None)
    if first < second:
        raise BadCell(f"a time that exists in {chosen}: clocks are put forward over it")
    one, two = naive.replace(tzinfo=timezone(first)), naive.replace(tzinfo=timezone(second))
    raise BadCell(
        f"a single time in {chosen}: clocks are put back and it comes twice. "
        f"Write it with its offset: {one.isoformat()} or {two.isoformat()}"
    )


def text_of_instant(instant: datetime) -> str:
    """RFC 3339; UTC is written as `Z`."""
    text = instant.isoformat()
    return text[:-6] + "Z" if text.endswith("+00:00") else text


_EXACT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)", re.ASCII)


def exact(text: str) -> datetime | None:
    """The instant of a text in the usual form of RFC 3339; None for any other, which `written` may
    know.
    """
    if not _EXACT.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


# RFC 3339, section 5.6, with the blank for "T" that its note allows, seconds optional.
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,6})0*)?)?\s?([Zz]|[+-]\d\d:?\d\d)?)?",
    re.ASCII,
)


@lru_cache(maxsize=8192)
def _of_text(text: str, order: DateOrder) -> Written:
    match = _ISO.fullmatch(text)
    if match is None:
        return _of_other_text(text, order)
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    found = _day(int(year), int(month), int(day))
    if hour is None:
        return Written(found)
    micro = int(fraction.ljust(6, "0")) if fraction else 0
    at = _time(int(hour), int(minute), int(second or 0), micro)
    # 13:00-14:00 is a span, and 13:00-05:00 has an offset; nobody shows a house before six.
    to_later = (
        offset is not None and offset[0] == "-" and offset[1:] > f"{hour}:{minute}" >= "06:00"
    )
    if to_later and second is None and text[10] not in "Tt":
        raise BadCell(_FROM_TO)
    return Written(found, at, _offset(offset) if offset else None)


def _day(year: int, month: int, day: int) -> date:
    try:
        return date(year, month, day)
    except ValueError:
        raise BadCell(f"a day that exists ({year:04}-{month:02}-{day:02} does not)") from None


def _time(hour: int, minute: int, second: int, micro: int = 0) -> time:
    try:
        return time(hour, minute, second, micro)
    except ValueError:
        raise BadCell(f"a time that exists ({hour:02}:{minute:02}:{second:02} does not)") from None


@lru_cache(maxsize=512)
def _offset(text: str) -> tzinfo:
    if text in "Zz":
        return UTC
    hours, minutes = int(text[1:3]), int(text[3:].removeprefix(":") or 0)
    if (
        hours > 15 or minutes > 59
    ):  # the largest that was ever in use, Manila's before 1844, was 15:56
        raise BadCell(f"a moment with an offset that exists ({text} does not)")
    # -00:00 means that the offset is not known (RFC 3339, section 4.3): the instant is the same.
    length = timedelta(hours=hours, minutes=minutes)
    return timezone(-length if text[0] == "-" else length) if length else UTC


# The other forms: a date, then a time, then a zone; each as far as it is there.

_YEAR_FIRST = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?!\d)", re.ASCII)
_COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)[Tt](\d\d)(\d\d)(\d\d)?(?=[Zz+-]|$)", re.ASCII)
_NUMERIC = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4}|\d\d)(?!\d)", re.ASCII)
_WEEKDAY = re.compile(r"([^\W\d_]{2,10})(?:\.,?|,)?\s+(?=\S)")
_MONTH_FIRST = re.compile(
    r"([^\W\d_]{3,10})\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+(\d{4})(?!\d)", re.IGNORECASE
)
_DAY_FIRST = re.compile(
    r"(\d{1,2})(?:st|nd|rd|th|\.)?[\s-]?\s*(?:of |de )?([^\W\d_]{3,10})\.?,?(?:\s+de)?[\s-]\s*(\d{4}|\d\d)(?!\d)",
    re.IGNORECASE,
)
_TIME = re.compile(
    r"(\d{1,2})(?:[:h](\d\d)(?::(\d\d)(?:[.,](\d{1,6})0*)?)?)?\s*([ap]\.?\s?m\b\.?|[ap]\b)?",
    re.ASCII | re.IGNORECASE,
)
# What follows the first time of a span: 10:00-11:00, 9:00 - 9:30 AM, 2 to 4 PM. An offset has four
# digits, or seconds before it.
_TO = re.compile(r"\s*(?:[-–]|to\b|until\b)\s*\d{1,2}(?:[:h.]\d\d)?(?!\d)", re.IGNORECASE)
_BETWEEN = re.compile(
    r"(?:\s*,\s*|\s+)(?:(?:at|um|à|a las)\s+|@\s*|[-–]\s+)?|[Tt](?=\d)|\s*@\s*", re.IGNORECASE
)

_MONTHS = {
    # As CLDR has them, wide and abbreviated: English, German, French, Spanish, Italian, Portuguese,
    # Dutch.
    1: "january jan januar jänner janvier janv enero ene gennaio gen janeiro januari",
    2: "february feb februar février févr fevrier febrero febbraio fevereiro fev februari",
    3: "march mar märz mär maerz mrz mars marzo março marco maart mrt",
    4: "april apr avril avr abril abr aprile",
    5: "may mai mayo maggio mag maio mei",
    6: "june jun juni juin junio giugno giu junho",
    7: "july jul juli juil juillet julio luglio lug julho",
    8: "august aug août aout agosto ago augustus",
    9: "september sep sept septembre septiembre settembre set setembro",
    10: "october oct oktober okt octobre octubre ottobre ott outubro out",
    11: "november nov novembre noviembre novembro",
    12: "december dec dezember dez décembre déc decembre diciembre dic dicembre dezembro",
}
_MONTH_OF = {name: number for number, names in _MONTHS.items() for name in names.split()}
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

# RFC 5322, section 4.3, and the European zones whose short names mean one thing only.
_FIXED_ZONES = {
    "z": 0, "utc": 0, "gmt": 0, "ut": 0, "est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7, "mdt": -6, "pst": -8,
    "pdt": -7, "akst": -9, "akdt": -8, "hst": -10, "wet": 0, "west": 1, "cet": 1, "cest": 2, "eet": 2, "eest": 3,
}  # fmt: skip
_GENERAL_ZONES = {
    "et": "America/New_York",
    "ct": "America/Chicago",
    "mt": "America/Denver",
    "pt": "America/Los_Angeles",
}


def _of_other_text(text: str, order: DateOrder) -> Written:
    text = " ".join(text.split())  # also the narrow blanks that programs put before AM and PM
    if match := _COMPACT.match(text):
        year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
        found = Written(_day(year, month, day), _time(hour, minute, second))
        return _with_zone(found, text[match.end() :])
    of_day, rest = _date_part(text, order)
    if of_day is None:
        return _with_time(Written(), text)
    if not rest:
        return of_day
    between = _BETWEEN.match(rest)
    if between is None:
        raise BadCell(EXPECTED)
    return _with_time(of_day, rest[between.end() :])


def _date_part(text: str, order: DateOrder) -> tuple[Written | None, str]:
    """The date that a text begins with, and what follows it."""
    if match := _YEAR_FIRST.match(text):
        return Written(_day(int(match[1]), int(match[3]), int(match[4]))), text[match.end() :]
    if match := _NUMERIC.match(text):
        return _numeric(match, order), text[match.end() :]
    weekday = _weekday(text)
    if weekday is not None:
        number, text = weekday
        found, rest = _date_part(text, order)
        if found is not None and found.day is not None and found.day.weekday() != number:
            raise BadCell(
                f"a date on its weekday: {found.day.isoformat()} is a {_WEEKDAYS[found.day.weekday()]}"
            )
        return found, rest
    if (match := _MONTH_FIRST.match(text)) and (month := _MONTH_OF.get(match[1].lower())):
        return Written(_day(int(match[3]), month, int(match[2]))), text[match.end() :]
    if (match := _DAY_FIRST.match(text)) and (month := _MONTH_OF.get(match[2].lower())):
        return Written(_day(_year(match[3]), month, int(match[1]))), text[match.end() :]
    return None, text


def _weekday(text: str) -> tuple[int, str] | None:
    match = _WEEKDAY.match(text)
    if match is None or len(match[1]) < 3 or match[1].lower() in _MONTH_OF:
        return None
    names = [number for number, name in enumerate(_WEEKDAYS) if name.startswith(match[1].lower())]
    return (names[0], text[match.end() :]) if names else None


def _year(text: str) -> int:
    """Two digits are of this century: showings are not planned for 1999."""
    return int(text) if len(text) == 4 else 2000 + int(text)


def _numeric(match: re.Match[str], order: DateOrder) -> Written:
    """`3/14/2026`, `14.03.2026`, `26-3-14`: which is the day, the order says."""
    one, separator, two, three = int(match[1]), match[2], int(match[3]), match[4]
    if order == "ymd":
        if len(three) == 4:  # the year can't come first: day and month are anybody's guess
            return Written(against=True)
        return Written(_day(2000 + one, two, int(three)), ordered=True)
    month, day = (one, two) if order == "mdy" else (two, one)
    year = _year(three)
    if month > 12 and 0 < day <= 12:
        return Written(against=True)
    found = _day(year, month, day)
    # Dates with dots are day.month.year in every locale of CLDR that uses dots.
    dotted = separator == "." and order == "mdy"
    return Written(found, ordered=day <= 12 and day != month, against=dotted)


def _with_time(found: Written, text: str) -> Written:
    match = _TIME.match(text)
    if match is None or (match[2] is None and match[5] is None):
        raise BadCell(EXPECTED)
    if match[3] is None and _TO.match(text[match.end() :]):
        raise BadCell(_FROM_TO)
    hour, minute, second = int(match[1]), int(match[2] or 0), int(match[3] or 0)
    micro = int(match[4].ljust(6, "0")) if match[4] else 0
    early = False
    if match[5]:
        if not 1 <= hour <= 12:
            raise BadCell(
                f"a time: {hour}:{minute:02} has no {'PM' if match[5].lower()[0] == 'p' else 'AM'}"
            )
        hour = hour % 12 + (12 if match[5].lower().startswith("p") else 0)
    else:
        early = len(match[1]) == 1 and 1 <= hour <= 6
    return _with_zone(
        found._replace(time=_time(hour, minute, second, micro), early=early),
        text[match.end() :].strip(),
    )


def _with_zone(found: Written, text: str) -> Written:
    text = text.strip().removeprefix("(").removesuffix(")")
    return found._replace(zone=_zone(text)) if text else found


@lru_cache(maxsize=512)
def _zone(text: str) -> tzinfo:
    if re.fullmatch(r"(?:UTC|GMT)?[+-]\d\d?(?::?\d\d)?", text, re.ASCII):
        sign = text.lstrip("UTCGM")
        hours, _, minutes = sign[1:].partition(":")
        if not minutes and len(hours) > 2:
            hours, minutes = hours[:-2], hours[-2:]
        return _offset(f"{sign[0]}{int(hours):02}:{minutes or '00'}")
    name = text.lower()
    if name in _FIXED_ZONES:
        hours_east = _FIXED_ZONES[name]
        return timezone(timedelta(hours=hours_east)) if hours_east else UTC
    if name in _GENERAL_ZONES:
        return ZoneInfo(_GENERAL_ZONES[name])
    if "/" in text and text in available_timezones():
        return ZoneInfo(text)
    raise BadCell(
        f"{EXPECTED}; the zone {text[:40]!r} is not known: write its offset, such as -06:00"
    )
