"""Parse rates, durations, shares and times of day. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import time

_PERIODS = {"s": 1.0, "m": 60.0, "h": 3600.0}

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
        unit = {1: "s", 60: "m", 3600: "h"}.get(
            int(self.period_seconds), f"{self.period_seconds:g}s"
        )
        return f"{self.requests:g}/{unit}"


def parse_rate(text: str) -> Rate:
    """Return `50/s`, `600/m` or `5000/h` as a rate; raises ValueError with the right form."""
    match = re.fullmatch(r"(\d{1,7}(?:\.\d{1,6})?)/([smh])", text.strip(), re.ASCII)
    if match is None:
        raise ValueError(
            f"{text!r} is not a rate: write requests per second, minute or hour, such as 50/s, "
            "600/m or 5000/h"
        )
    rate = Rate(float(match[1]), _PERIODS[match[2]])
    if not 1 / 3600 <= rate.per_second <= 100_000:
        raise ValueError(f"{text!r} is out of range: write 1/h to 100000/s")
    return rate


def parse_limit(text: str) -> Rate | None:
    """Return `auto` as None, anything else as a rate; raises ValueError."""
    return None if text.strip().lower() == "auto" else parse_rate(text)


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
    """A bound on rows: a count, or a percentage of all."""

    count: int | None = None
    percent: float | None = None

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
        raise ValueError(f"{text!r} is neither a number of rows (20) nor a share of them (5%)")
    return Share(percent=float(match[1])) if match[2] else Share(count=int(match[1]))


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
