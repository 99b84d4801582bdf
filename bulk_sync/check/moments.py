"""Read dates and times as people and programs write them.

Two steps: `read_moment` reads what a cell says (a day, a time, an offset, or some of them);
`instant_of` makes an instant of it, once day, time and zone are known, and refuses a time that a
clock change skips or repeats (PEP 495).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from bulk_sync.check.abbreviations import zone_of_abbreviation
from bulk_sync.check.ages import refuse_other_ages
from bulk_sync.check.cells import BadCell
from bulk_sync.check.memory import LONGEST_REMEMBERED, MOST_REMEMBERED
from bulk_sync.check.rules import DateOrder
from bulk_sync.model.problems import LONGEST_VALUE, Expected, Remedy
from bulk_sync.model.rows import Cell

# The year 2000 in days since 1904, the latest first day of a workbook: a date in a time's format.
_LEAST_DATE = timedelta(days=35_064)
_MIDNIGHT = datetime(2000, 1, 1)  # noqa: DTZ001 - only its time of day is of use


class Written(NamedTuple):
    """The parts of a moment that a cell says; the others are None.

    `ordered`: day and month could be swapped, so the order decided. `against`: the date fits
    another order better than the user's, or only another (then `day` is None). `early`: a time from
    1:00 to 6:59 without AM or PM and without a leading zero. `numeric`: the date has day and month
    in numbers, and its order is not that of ISO 8601. `span`: of a range of
    times, this is the start.
    """

    day: date | None = None
    time: time | None = None
    zone: tzinfo | None = None
    ordered: bool = False
    against: bool = False
    early: bool = False
    numeric: bool = False
    span: bool = False


# A range of times at the end of a text: its start is certain if it says AM or PM, or if both times
# are of 24 hours, with blanks between them and the dash, so that the end is no offset.
_SPAN = re.compile(
    r"(?P<start>.*?\b\d{1,2}(?::\d\d)?\s*[ap]\.?m\.?)\s*(?:[-–—]|\bto\b)\s*"
    r"\d{1,2}(?::\d\d)?\s*(?:[ap]\.?m\.?)?"
    r"|(?P<start_of_24>.*?\b\d{1,2}:\d\d)\s+(?:[-–—]|to)\s+\d{1,2}:\d\d",
    re.ASCII | re.IGNORECASE,
)


def read_start(order: DateOrder, cell: Cell) -> str | Written:
    """Read a cell as `read_moment` does; of a range of times take the start, marked as `span`."""
    try:
        return read_moment(order, cell)
    except BadCell as problem:
        if problem.expected is not Expected.SINGLE_TIME or not isinstance(cell, str):
            raise
        match = _SPAN.fullmatch(cell.strip())
        if match is None:
            raise
        start = read_moment(order, match["start"] or match["start_of_24"])
        return (written(start) if isinstance(start, str) else start)._replace(span=True)


def read_moment(order: DateOrder, cell: Cell) -> str | Written:
    """Read a cell; raises BadCell when it is no date or time.

    Returns the instant as it is sent when a text says all of it in ISO 8601.
    """
    if isinstance(cell, str):
        day = _iso_day(cell[:10])
        if len(cell) > LONGEST_REMEMBERED:  # longer than any date, and parts of it are remembered
            raise BadCell(Expected.MOMENT)
        if day is None:
            return _read_other_text(cell, order)
        if len(cell) == 10:
            return Written(day[0])
        clock = _iso_clock(cell[10:])
        if clock is None:
            return _read_other_text(cell, order)
        if clock.sent is None:
            return Written(day[0], clock.time)
        refuse_other_ages(day[0])
        return day[1] + clock.sent
    return _read_typed_cell(cell)


def _read_typed_cell(cell: Cell) -> Written:
    if isinstance(cell, datetime):
        return Written(cell.date(), cell.time())
    if isinstance(cell, date):
        return Written(cell)
    if isinstance(cell, time):
        return Written(time=cell)
    # A cell that is formatted as a duration, such as [h]:mm.
    if isinstance(cell, timedelta) and timedelta(0) <= cell < timedelta(days=1):
        return Written(time=(_MIDNIGHT + cell).time())
    is_number = isinstance(cell, int | float) and not isinstance(cell, bool)
    if is_number or (isinstance(cell, timedelta) and cell >= _LEAST_DATE):
        raise BadCell(Expected.MOMENT, Remedy.FORMAT_AS_DATE)
    raise BadCell(Expected.MOMENT)


def written(sent: str) -> Written:
    """Return the day, time and offset of an instant as it is sent."""
    instant = datetime.fromisoformat(sent)
    return Written(instant.date(), instant.time(), instant.tzinfo)


def resolve(moment: Written, zone: tzinfo | None) -> datetime:
    """Return the instant of a whole moment; `zone` is for one without an offset.

    Raises BadCell when the zone's clocks skip or repeat that time.
    """
    if moment.day is None or moment.time is None:
        raise BadCell(Expected.MOMENT)
    refuse_other_ages(moment.day)
    chosen = moment.zone or zone
    if chosen is None:
        raise BadCell(Expected.OFFSET, Remedy.SET_TIMEZONE)
    instant = datetime.combine(moment.day, moment.time, chosen)
    if isinstance(chosen, timezone):
        return instant
    first, second = instant.utcoffset(), instant.replace(fold=1).utcoffset()
    if first == second or first is None or second is None:
        return instant
    naive = instant.replace(tzinfo=None)
    # With fold=1 the offset is greater at a skipped time, and less at a repeated one (PEP 495).
    if first < second:
        raise BadCell(Expected.TIME_NOT_SKIPPED, zone=str(chosen))
    one, two = naive.replace(tzinfo=timezone(first)), naive.replace(tzinfo=timezone(second))
    raise BadCell(
        Expected.TIME_NOT_REPEATED,
        Remedy.ADD_OFFSET,
        zone=str(chosen),
        first=one.isoformat(),
        second=two.isoformat(),
    )


def instant_of(moment: Written, zone: tzinfo | None) -> str:
    """Return a moment as it is sent; `zone` is for one without an offset. Raises as `resolve`."""
    if moment.day is None or moment.time is None:
        raise BadCell(Expected.MOMENT)
    ends = _ends_all_day(moment.zone or zone, moment.day)
    if ends is None:
        return text_of_instant(resolve(moment, zone))
    return f"{ends[0]}{moment.time.isoformat()}{ends[1]}"


@lru_cache(maxsize=MOST_REMEMBERED)
def _ends_all_day(zone: tzinfo | None, day: date) -> tuple[str, str] | None:
    """Return a day as it is sent, with its `T`, and the zone's offset on it; None when clocks are
    changed on that day. Raises BadCell for a day on which no showing can be.

    A change shows in the offsets of the day's ends, because no zone changes its clocks twice a day.
    """
    refuse_other_ages(day)
    if zone is None:
        return None
    first, last = (datetime.combine(day, at, zone) for at in (time.min, time.max))
    try:
        offsets = {one.replace(fold=fold).utcoffset() for one in (first, last) for fold in (0, 1)}
        if len(offsets) > 1:
            return None
        midnight = text_of_instant(resolve(Written(day, time.min), zone))
    except BadCell:
        return None  # `resolve` decides by the time of day
    return midnight[: len("2000-01-01T")], midnight[len("2000-01-01T00:00:00") :]


def text_of_instant(instant: datetime) -> str:
    """Return an instant in RFC 3339; UTC is written as `Z`."""
    text = instant.isoformat()
    return text[:-6] + "Z" if text.endswith("+00:00") else text


# A day in ISO 8601 and the time after it do not depend on each other, and a sheet has few different
# ones of each. So they are read apart, and remembered.

_ISO_DAY = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
# RFC 3339, section 5.6, with the blank for "T" that its note allows, seconds optional.
_ISO_CLOCK = re.compile(
    r"([Tt ])(\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,6})0*)?)?\s?([Zz]|[+-]\d\d:?\d\d)?",
    re.ASCII,
)


@lru_cache(maxsize=MOST_REMEMBERED)
def _iso_day(text: str) -> tuple[date, str] | None:
    match = _ISO_DAY.fullmatch(text)
    return None if match is None else (_day(*map(int, match.groups())), text)


class _Clock(NamedTuple):
    """A time of day in ISO 8601; with an offset also how both are sent."""

    time: time
    sent: str | None


@lru_cache(maxsize=MOST_REMEMBERED)
def _iso_clock(text: str) -> _Clock | None:
    match = _ISO_CLOCK.fullmatch(text)
    if match is None:
        return None
    separator, hour, minute, second, fraction, offset = match.groups()
    micro = int(fraction.ljust(6, "0")) if fraction else 0
    at = _time(int(hour), int(minute), int(second or 0), micro)
    if offset is None:
        return _Clock(at, None)
    # 13:00-14:00 is a span, but 13:00-05:00 has an offset: nobody shows a house before six.
    to_later = offset[0] == "-" and offset[1:] > f"{hour}:{minute}" >= "06:00"
    if to_later and second is None and separator == " ":
        raise BadCell(Expected.SINGLE_TIME, Remedy.SPLIT_SPAN)
    sent = text_of_instant(datetime.combine(_MIDNIGHT, at, _offset(offset)))
    return _Clock(at, sent[len("2000-01-01") :])


def _day(year: int, month: int, day: int) -> date:
    try:
        return date(year, month, day)
    except ValueError:
        raise BadCell(Expected.DAY_THAT_EXISTS, day=f"{year:04}-{month:02}-{day:02}") from None


def _time(hour: int, minute: int, second: int, micro: int = 0) -> time:
    try:
        return time(hour, minute, second, micro)
    except ValueError:
        raise BadCell(
            Expected.TIME_THAT_EXISTS, time=f"{hour:02}:{minute:02}:{second:02}"
        ) from None


@lru_cache(maxsize=512)
def _offset(text: str) -> tzinfo:
    if text in "Zz":
        return UTC
    hours, minutes = int(text[1:3]), int(text[3:].removeprefix(":") or 0)
    # The largest offset that was ever in use, Manila's before 1844, was 15:56.
    if hours > 15 or minutes > 59:
        raise BadCell(Expected.OFFSET_THAT_EXISTS, offset=text)
    # -00:00 means that the offset is not known (RFC 3339, section 4.3): the instant is the same.
    length = timedelta(hours=hours, minutes=minutes)
    return timezone(-length if text[0] == "-" else length) if length else UTC


# The other forms: a date, a time and a zone in this order, each of them optional.

_YEAR_FIRST = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?!\d)", re.ASCII)
_COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)[Tt](\d\d)(\d\d)(\d\d)?(?=[Zz+-]|$)", re.ASCII)
_NUMERIC = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4}|\d\d)(?!\d)", re.ASCII)
_WEEKDAY = re.compile(r"([^\W\d_]{2,10})(?:\.,?|,)?\s+(?=\S)")
_MONTH_FIRST = re.compile(
    r"([^\W\d_]{3,10})\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+(\d{4})(?!\d)", re.IGNORECASE
)
_DAY_FIRST = re.compile(
    r"(\d{1,2})(?:st|nd|rd|th|\.)?[\s-]?\s*(?:of |de )?([^\W\d_]{3,10})\.?,?(?:\s+de)?"
    r"[\s-]\s*(\d{4}|\d\d)(?!\d)",
    re.IGNORECASE,
)
_TIME = re.compile(
    r"(\d{1,2})(?:[:h](\d\d)(?::(\d\d)(?:[.,](\d{1,6})0*)?)?)?\s*([ap]\.?\s?m\b\.?|[ap]\b)?",
    re.ASCII | re.IGNORECASE,
)
# What follows the first time of a span: 10:00-11:00, 9:00 - 9:30 AM, 2 to 4 PM. An offset has four
# digits, or seconds before it.
_TO = re.compile(r"\s*(?:[-–—]|to\b|until\b)\s*\d{1,2}(?:[:h.]\d\d)?(?!\d)", re.IGNORECASE)
_BLANKS = re.compile(r"\s+")
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

_GENERAL_ZONES = {
    "et": "America/New_York",
    "ct": "America/Chicago",
    "mt": "America/Denver",
    "pt": "America/Los_Angeles",
}


def _read_other_text(text: str, order: DateOrder) -> Written:
    first = text.partition(" ")[0]
    if len(first) < len(text) and (date_part := _whole_day(first, order)) is not None:
        return _with_time(date_part, text[len(first) :])
    text = " ".join(text.split())  # also the narrow blanks that programs put before AM and PM
    if match := _COMPACT.match(text):
        year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
        at = _time(hour, minute, second)
        return Written(_day(year, month, day), at, _trailing_zone(text[match.end() :]))
    date_part, rest = _date_part(text, order)
    if date_part is None:
        return _read_time(text)
    if not rest:
        return date_part
    return _with_time(date_part, rest)


@lru_cache(maxsize=MOST_REMEMBERED)
def _whole_day(text: str, order: DateOrder) -> Written | None:
    """Return the day of a text that is a date and nothing else."""
    date_part, rest = _date_part(text, order)
    return None if rest else date_part


def _date_part(text: str, order: DateOrder) -> tuple[Written | None, str]:
    """Return the date that a text begins with, and the rest of the text."""
    if match := _YEAR_FIRST.match(text):
        return Written(_day(int(match[1]), int(match[3]), int(match[4]))), text[match.end() :]
    if match := _NUMERIC.match(text):
        return _numeric(match, order), text[match.end() :]
    weekday = _weekday(text)
    if weekday is not None:
        # A weekday that doesn't fit reveals a wrong year, or day and month swapped.
        number, text = weekday
        found, rest = _date_part(text, order)
        if found is not None and found.day is not None and found.day.weekday() != number:
            right = _WEEKDAYS[found.day.weekday()]
            raise BadCell(Expected.MATCHING_WEEKDAY, day=found.day.isoformat(), weekday=right)
        return found, rest
    if (match := _MONTH_FIRST.match(text)) and (month := _MONTH_OF.get(match[1].lower())):
        return Written(_day(int(match[3]), month, int(match[2]))), text[match.end() :]
    if (match := _DAY_FIRST.match(text)) and (month := _MONTH_OF.get(match[2].lower())):
        return Written(_day(_year(match[3]), month, int(match[1]))), text[match.end() :]
    return None, text


def _weekday(text: str) -> tuple[int, str] | None:
    match = _WEEKDAY.match(text)
    # Three letters at least, because T and S begin two days each.
    if match is None or len(match[1]) < 3 or match[1].lower() in _MONTH_OF:
        return None
    names = [number for number, name in enumerate(_WEEKDAYS) if name.startswith(match[1].lower())]
    return (names[0], text[match.end() :]) if names else None


def _year(text: str) -> int:
    # Two digits are of this century, because showings are not planned for 1999.
    return int(text) if len(text) == 4 else 2000 + int(text)


def _numeric(match: re.Match[str], order: DateOrder) -> Written:
    """Read `3/14/2026`, `14.03.2026` or `26-3-14` in the user's order."""
    one, separator, two, three = int(match[1]), match[2], int(match[3]), match[4]
    if order == "ymd":
        if len(three) == 4:  # the year is last: day and month would be a guess
            return Written(against=True, numeric=True)
        return Written(_day(2000 + one, two, int(three)), ordered=True)
    month, day = (one, two) if order == "mdy" else (two, one)
    year = _year(three)
    if month > 12 and 0 < day <= 12:
        return Written(against=True, numeric=True)
    found = _day(year, month, day)
    # Dates with dots are day.month.year in every locale of CLDR that uses dots.
    dotted = separator == "." and order == "mdy"
    return Written(found, ordered=day <= 12 and day != month, against=dotted, numeric=True)


def _with_time(found: Written, text: str) -> Written:
    time_part = _read_rest(text)
    return found._replace(time=time_part.time, zone=time_part.zone, early=time_part.early)


@lru_cache(maxsize=MOST_REMEMBERED)
def _read_rest(text: str) -> Written:
    """Read what follows a date: a separator, a time and perhaps a zone."""
    text = _BLANKS.sub(" ", text)
    between = _BETWEEN.match(text)
    if between is None:
        raise BadCell(Expected.MOMENT)
    return _read_time(text[between.end() :])


def _read_time(text: str) -> Written:
    """Read a time of day, and its zone if it has one."""
    match = _TIME.match(text)
    if match is None or (match[2] is None and match[5] is None):
        raise BadCell(Expected.MOMENT)
    if match[3] is None and _TO.match(text[match.end() :]):
        raise BadCell(Expected.SINGLE_TIME, Remedy.SPLIT_SPAN)
    hour, minute, second = int(match[1]), int(match[2] or 0), int(match[3] or 0)
    micro = int(match[4].ljust(6, "0")) if match[4] else 0
    early = False
    if match[5]:
        if not 1 <= hour <= 12:
            half = "PM" if match[5].lower()[0] == "p" else "AM"
            raise BadCell(Expected.TWELVE_HOUR_TIME, time=f"{hour}:{minute:02}", half=half)
        hour = hour % 12 + (12 if match[5].lower().startswith("p") else 0)
    else:
        early = len(match[1]) == 1 and 1 <= hour <= 6
    at = _time(hour, minute, second, micro)
    return Written(time=at, zone=_trailing_zone(text[match.end() :]), early=early)


def _trailing_zone(text: str) -> tzinfo | None:
    name = text.strip().removeprefix("(").removesuffix(")")
    return _zone(name) if name else None


@lru_cache(maxsize=512)
def _zone(text: str) -> tzinfo:
    if re.fullmatch(r"(?:UTC|GMT)?[+-]\d\d?(?::?\d\d)?", text, re.ASCII):
        sign = text.lstrip("UTCGM")
        hours, _, minutes = sign[1:].partition(":")
        if not minutes and len(hours) > 2:
            hours, minutes = hours[:-2], hours[-2:]
        return _offset(f"{sign[0]}{int(hours):02}:{minutes or '00'}")
    name = text.lower()
    if (fixed := zone_of_abbreviation(name)) is not None:
        return fixed
    if name in _GENERAL_ZONES:
        return ZoneInfo(_GENERAL_ZONES[name])
    if "/" in text and text in available_timezones():
        return ZoneInfo(text)
    raise BadCell(Expected.KNOWN_ZONE, Remedy.ADD_OFFSET, zone=text[:LONGEST_VALUE])
