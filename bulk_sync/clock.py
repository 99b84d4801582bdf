"""Monotonic time, the time of day, and sleep, behind an interface that tests can replace.

Sending takes its time from a `Clock`, or as an argument, so a test can simulate an hour in
milliseconds. ruff bans other sources of time (TID251, DTZ).
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from typing import Protocol

import anyio


class Clock(Protocol):
    """A source of time."""

    def monotonic(self) -> float:
        """Return seconds from an arbitrary origin; they never go back."""
        ...

    def now(self) -> datetime:
        """Return the time of day, in UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; can be cancelled."""
        ...


# The clock that counts on while the machine is suspended, so that a wait and a bound end when they
# should: CLOCK_BOOTTIME on Linux (clock_gettime(2)). On macOS it is CLOCK_MONOTONIC, while
# `time.monotonic` stops there (clock_gettime(3), CLOCK_UPTIME_RAW).
_CLOCK: int | None = getattr(time, "CLOCK_BOOTTIME", None)
if sys.platform == "darwin":
    _CLOCK = time.CLOCK_MONOTONIC

# A wait of the event loop stops with the machine, so a long one is done in parts of this length:
# after a suspend, it ends at most so much too late.
_LONGEST_WAIT_SECONDS = 5.0


def _seconds() -> float:
    if sys.platform == "win32" or _CLOCK is None:
        return time.monotonic()  # noqa: TID251
    return time.clock_gettime(_CLOCK)


class SystemClock:
    """The machine's clock."""

    def monotonic(self) -> float:
        """Return seconds from an arbitrary origin; they never go back.

        Time in which the machine is suspended counts; setting the time of day changes nothing.
        """
        return _seconds()

    def now(self) -> datetime:
        """Return the time of day, in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait; can be cancelled. A wait that is over by now takes no time."""
        until = _seconds() + seconds
        while seconds > _LONGEST_WAIT_SECONDS:
            await anyio.sleep(_LONGEST_WAIT_SECONDS)  # noqa: TID251 - the real clock
            seconds = until - _seconds()
        # The time between reading the clock and waiting can use up all of a wait.
        await anyio.sleep(max(0.0, seconds))  # noqa: TID251 - same


def utc_text(moment: datetime) -> str:
    """Return a moment as reports show it: RFC 3339 in UTC, to the millisecond."""
    # Skip the conversion where it isn't needed, because requests and replies come by here.
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return utc.isoformat(timespec="milliseconds")[:-6] + "Z"


def seconds_until(at: time_of_day, clock: Clock) -> float:
    """Return the seconds until the next `at` in this machine's local time.

    Changes to and from daylight saving time are taken into account.
    """
    now = clock.now()
    today = datetime.combine(now.astimezone().date(), at)
    # `astimezone` takes a naive datetime as local time, with the offset of its own day.
    return next(
        left
        for days in range(3)
        if (left := ((today + timedelta(days)).astimezone() - now).total_seconds()) > 0
    )
