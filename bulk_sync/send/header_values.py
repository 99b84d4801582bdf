"""Numbers and times as servers write them in headers. Pure.

RFC 9110 knows whole seconds and dates. Servers also write decimals (`3.903`), negative numbers,
durations (`6m0s`, `20ms`), ISO 8601 times, and epochs in seconds or finer. Instants are compared
with the reply's own `Date`, so that a wrong clock on either side does no harm.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import NamedTuple

LONGEST_WAIT = 366 * 86400.0
"""Seconds. No server means more than a year, so sums with what is read here stay sound."""

LONGEST_TEXT = 1000
"""Characters. A longer text is no number, no time and no list of limits."""

# JavaScript's form with a zone's name in words is the longest.
_LONGEST_DATE = 100

_HUGE = 1e15  # a number that no limit and no time reaches

_LEAST_EPOCH = 1e9  # 2001 as an epoch; as seconds until a reset it would be 31 years

_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?", re.ASCII)
_DURATION = re.compile(r"(?:\d{1,12}(?:\.\d{1,12})?(?:ms|us|µs|ns|d|h|m|s))+", re.ASCII)
_DURATION_PART = re.compile(r"([\d.]+)([a-zµ]+)")
_IN_WORDS = re.compile(
    r"(\d{1,12}(?:\.\d{1,12})?) ?(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?)", re.ASCII
)
_TIME_SPAN = re.compile(r"(\d{1,4}):(\d\d):(\d\d(?:\.\d{1,9})?)", re.ASCII)
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d\S*)\s*(Z|UTC|GMT|[+-]\d\d:?\d\d)?", re.ASCII)
# `Date.toString()` of JavaScript, which lemlist sends.
_SCRIPT_DATE = re.compile(
    r"[A-Z][a-z]{2} ([A-Z][a-z]{2} \d\d \d{4} \d\d:\d\d:\d\d) GMT([+-]\d{4})(?: \(.*\))?", re.ASCII
)
_SECONDS = {
    "d": 86400.0,
    "h": 3600.0,
    "m": 60.0,
    "s": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "µs": 1e-6,
    "ns": 1e-9,
}
_EPOCH_UNITS = (1.0, 1e3, 1e6, 1e9)  # seconds, milliseconds, microseconds, nanoseconds


class Span(NamedTuple):
    """A time from now, in seconds, never negative.

    `exact` means that it was stated finer than in seconds, so that no part of a second was cut off.
    """

    seconds: float
    exact: bool = False


def number(text: str | None) -> float | None:
    """Return a number of requests; 0 for a negative one, None when it is malformed."""
    if text is None or len(text) > LONGEST_TEXT or not _NUMBER.fullmatch(text := text.strip()):
        return None
    value = float(text)
    return max(0.0, value) if value < _HUGE else None


def span(text: str | None, date: str, unit_seconds: float = 1.0) -> Span | None:
    """Return the time from now until what a header states; None when it is malformed.

    `date` is the reply's `Date`; a plain number counts `unit_seconds`. A number that is an epoch of
    the year around `date` is read as one. Other huge numbers are returned as they are, for the
    caller to bound.
    """
    if text is None or len(text := text.strip()) > LONGEST_TEXT:
        return None
    text = text.strip('"')
    if _NUMBER.fullmatch(text):
        value = min(float(text), _HUGE)  # a float of 400 digits is infinite
        if value >= _LEAST_EPOCH and (since := _since_epoch(value, date)) is not None:
            return since
        return Span(max(0.0, value * unit_seconds), "." in text or unit_seconds < 1)
    return _duration(text) or _until(text, date)


def _since_epoch(value: float, date: str) -> Span | None:
    now = moment(date)
    if now is None:
        return None
    for unit in _EPOCH_UNITS:
        seconds = value / unit - now.timestamp()
        if abs(seconds) <= LONGEST_WAIT:
            return Span(max(0.0, seconds), exact=unit > 1 or not value.is_integer())
    return None


def _duration(text: str) -> Span | None:
    text = text.lower().removeprefix("pt")  # ISO 8601's `PT1M30S` is `1m30s` then
    if _DURATION.fullmatch(text):
        parts = _DURATION_PART.findall(text)
        seconds = sum(float(value) * _SECONDS[unit] for value, unit in parts)
        return Span(seconds, "." in text or parts[-1][1] not in {"d", "h", "m", "s"})
    if found := _IN_WORDS.fullmatch(text):
        return Span(float(found[1]) * _SECONDS[found[2][0]], "." in text)
    if found := _TIME_SPAN.fullmatch(text):  # a .NET TimeSpan
        seconds = float(found[1]) * 3600 + float(found[2]) * 60 + float(found[3])
        return Span(seconds, "." in text)
    return None


def _until(text: str, date: str) -> Span | None:
    then, now = moment(text), moment(date)
    if then is None or now is None:
        return None
    return Span(max(0.0, (then - now).total_seconds()), exact=then.microsecond > 0)


def moment(text: str) -> datetime | None:
    """Return an HTTP date in any of its three forms, or an ISO 8601 time; None for other text."""
    return _moment(text) if len(text) <= _LONGEST_DATE else None


@lru_cache(maxsize=64)  # hundreds of replies have the same date
def _moment(text: str) -> datetime | None:
    text = text.strip()
    try:
        if found := _ISO.fullmatch(text):
            day, time, zone = found.groups()
            zone = "" if zone is None else zone if zone[0] in "+-" else "+00:00"
            then = datetime.fromisoformat(f"{day}T{time}{zone}")
        elif found := _SCRIPT_DATE.fullmatch(text):
            then = datetime.strptime(f"{found[1]} {found[2]}", "%b %d %Y %H:%M:%S %z")
        else:
            then = parsedate_to_datetime(text)
        return then if then.tzinfo else then.replace(tzinfo=UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
