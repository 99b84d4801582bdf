"""Monotonic time, the time of day, and sleep, behind an interface that tests can replace.

Sending takes its time from a `Clock`, or as an argument, so a test can simulate an hour in
milliseconds. ruff bans other sources of time (TID251, DTZ).
"""

from __future__ import annotations

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


class SystemClock:
    """The machine's clock."""

    def monotonic(self) -> float:
        """Return seconds from an arbitrary origin; they never go back."""
        return time.monotonic()  # noqa: TID251 - the real clock

    def now(self) -> datetime:
        """Return the time of day, in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait; can be cancelled. A wait that is over by now takes no time."""
        # The time between reading the clock and waiting can use up all of a wait.
        await anyio.sleep(max(0.0, seconds))  # noqa: TID251 - the real clock


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
