"""Parse rates, durations, shares and times of day. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import time
from typing import TypeVar

_PERIODS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

# Dataclasses rather than msgspec structs: `--help` needs this module, and should not load msgspec.


@dataclass(frozen=True, slots=True)
class Rate:
    """A number of requests in a period, as the user wrote it."""

    requests: float
    period_seconds: float

    @property
    def per_second(self) -> float:
        """Requests per second."""
        return self.requests / self.period_seconds

    def __str__(self) -> str:
        units = {seconds: unit for unit, seconds in _PERIODS.items()}
        return f"{self.requests:g}/{units.get(self.period_seconds, f'{self.period_seconds:g}s')}"


def parse_rate(text: str) -> Rate:
    """Return `50/s`, `600/m`, `5000/h` or `9000/d` as a rate.

    Raises ValueError with the right form.
    """
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)/([smhd])", text.strip(), re.ASCII)
    if match is None:
        raise ValueError(
            f"{text!r} is not a rate: write requests per second, minute, hour or day, such as "
            "50/s, 600/m, 5000/h or 9000/d"
        )
    rate = Rate(float(match[1]), _PERIODS[match[2]])
    if not 1 / _PERIODS["d"] <= rate.per_second <= 100_000:
        raise ValueError(f"{text!r} is out of range: write 1/d to 100000/s")
    return rate


def parse_rates(text: str) -> tuple[Rate, ...]:
    """Return the rates of a list such as `10/s, 1000/h`; `auto` is none. Raises ValueError."""
    words = (word for word in text.split(",") if word.strip().lower() != "auto")
    return tuple(parse_rate(word) for word in words)


def parse_duration(text: str) -> float:
    """Return `90`, `90s`, `15m` or `5h30m` in seconds; raises ValueError with the right form."""
    match = re.fullmatch(
        r"(?:(\d{1,4})h)?(?:(\d{1,5})m)?(?:(\d{1,7}(?:\.\d{1,3})?)s?)?", text.strip(), re.ASCII
    )
    if match is None or not any(match.groups()):
        raise ValueError(f"{text!r} is not a duration: write it as 90s, 15m or 5h30m")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def duration_text(seconds: float) -> str:
    """Return seconds in the form that `parse_duration` reads: `15m`, `1h30m`, `0.5s`."""
    if seconds != int(seconds) or seconds <= 0:
        return f"{seconds:g}s"
    hours, rest = divmod(int(seconds), 3600)
    minutes, seconds = divmod(rest, 60)
    units = ((hours, "h"), (minutes, "m"), (int(seconds), "s"))
    return "".join(f"{number}{unit}" for number, unit in units if number)


def parse_latency(text: str) -> float:
    """Return `50ms` or `1.5s` in seconds; raises ValueError with the right form."""
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)(ms|s)", text.strip(), re.ASCII)
    if match is None:
        raise ValueError(f"{text!r} is not a latency: write it as 50ms or 1.5s")
    return float(match[1]) / (1000 if match[2] == "ms" else 1)


@dataclass(frozen=True, slots=True)
class Share:
    """A part of rows or requests: a count, or a percentage of all."""

    count: int | None = None
    percent: float | None = None

    def of(self, total: float) -> float:
        """Return the number that this is of `total`."""
        return float(self.count) if self.count is not None else (self.percent or 0) * total / 100

    def exceeded_by(self, number: int, total: int) -> bool:
        """Return True when `number` of `total` rows is more than the bound allows."""
        if self.count is not None:
            return number > self.count
        return number * 100 > (self.percent or 0) * total

    def __str__(self) -> str:
        return str(self.count) if self.count is not None else f"{self.percent:g}%"


def parse_share(text: str) -> Share:
    """Return `20` or `5%` as a share; raises ValueError with the right form."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)(%?)", text.strip(), re.ASCII)
    if match is None or (not match[2] and "." in match[1]) or (match[2] and float(match[1]) > 100):
        raise ValueError(f"{text!r} is neither a number (20) nor a share (5%)")
    return Share(percent=float(match[1])) if match[2] else Share(count=int(match[1]))


def parse_reserve(text: str) -> Share:
    """Return `100` or `10%` as a share that leaves something over; raises ValueError."""
    share = parse_share(text)
    if share.percent == 100:
        raise ValueError(f"{text!r} leaves no request to send: write less than 100%")
    return share


@dataclass(frozen=True, slots=True)
class Scale:
    """A scale of ratings in whole numbers, both ends included; the highest is the best."""

    low: int
    high: int

    def __str__(self) -> str:
        return str(self.high) if self.low == 1 else f"{self.low}-{self.high}"


def parse_scale(text: str) -> Scale:
    """Return `10` (1 to 10) or `0-10` as a scale; raises ValueError with the right form."""
    match = re.fullmatch(r"(?:([01])\s*(?:-|–|to)\s*)?(\d{1,3})", text.strip(), re.ASCII)
    if match is None or not 2 <= int(match[2]) <= 100:
        raise ValueError(
            f"{text!r} is not a scale of ratings: write the highest, such as 10, or 0-10 if the "
            "lowest is 0; 2 to 100 can be the highest"
        )
    return Scale(int(match[1] or 1), int(match[2]))


@dataclass(frozen=True, slots=True)
class RowRange:
    """Rows by their numbers, both ends included; without a `last`, to the end of the sheet."""

    first: int
    last: int | None

    def __contains__(self, number: int) -> bool:
        return self.first <= number and (self.last is None or number <= self.last)

    def __str__(self) -> str:
        if self.first == self.last:
            return str(self.first)
        return f"{self.first}-{'' if self.last is None else self.last}"


def parse_rows(text: str) -> tuple[RowRange, ...]:
    """Return `10-20,35,40-` as ranges of rows; raises ValueError with the right form."""
    return tuple(map(_parse_range, text.split(",")))


def _parse_range(text: str) -> RowRange:
    text = text.strip()
    match = re.fullmatch(r"([1-9]\d{0,8})(\s*[-–]\s*([1-9]\d{0,8})?)?", text, re.ASCII)
    if match is None:
        raise ValueError(
            f"{text!r} names no rows: write numbers and ranges, such as 10-20,35 or 40-"
        )
    first = int(match[1])
    last = first if match[2] is None else int(match[3]) if match[3] else None
    if last is not None and last < first:
        raise ValueError(f"{text!r} ends before it begins: write {last}-{first}")
    return RowRange(first, last)


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on rows: the header of a column, and the text that its cells show."""

    column: str
    text: str

    def __str__(self) -> str:
        return f"{self.column}={self.text}"


def parse_condition(text: str) -> Condition:
    """Return `Status=Confirmed` as a condition; raises ValueError without an equals sign."""
    column, equals, wanted = text.partition("=")
    if not equals or not column.strip():
        raise ValueError(f"{text!r}: write it as 'Column=text', or 'Column=' for blank cells")
    return Condition(column.strip(), wanted.strip())


_T = TypeVar("_T")


def all_of(many: Iterable[_T | tuple[_T, ...]]) -> tuple[_T, ...]:
    """Return values and tuples of values as one tuple, each value once."""
    flat = (one for part in many for one in (part if isinstance(part, tuple) else (part,)))
    return tuple(dict.fromkeys(flat))


def parse_clock_time(text: str) -> time:
    """Return `09:00` or `9:30 PM` as a time of day; raises ValueError with the right form."""
    match = re.fullmatch(r"(\d{1,2}):(\d\d)\s*([ap]m)?", text.strip().lower(), re.ASCII)
    if match is not None:
        hour, minute = int(match[1]), int(match[2])
        if match[3] and 1 <= hour <= 12:
            hour = hour % 12 + (12 if match[3] == "pm" else 0)
        elif match[3]:  # 0 AM, 13 PM: out of range, so refused below
            hour = 99
        if hour < 24 and minute < 60:
            return time(hour, minute)
    raise ValueError(f"{text!r} is not a time of day: write it as 09:00")
