"""Now and sleep: the one module that may read the time.

Everything else takes a `Clock`, or numbers that came from one, so that a test can drive
an hour in milliseconds.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from typing import Protocol

import anyio


class Clock(Protocol):
    """What the program asks of time."""

    def monotonic(self) -> float:
        """Seconds that never jump; only differences mean anything."""
        ...

    def now(self) -> datetime:
        """The wall clock, in UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; cancellable."""
        ...


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""
        return time.monotonic()  # noqa: TID251 - this is the one place

    def now(self) -> datetime:
        """The wall clock, in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait; cancellable."""
        await anyio.sleep(seconds)  # noqa: TID251 - this is the one place


def utc_text(moment: datetime) -> str:
    """A moment as reports show it: RFC 3339 in UTC, to the millisecond."""
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return utc.isoformat(timespec="milliseconds")[:-6] + "Z"


def seconds_until(at: time_of_day, clock: Clock) -> float:
    """Seconds until a clock on this machine's wall next shows a time; also across a change to or
    from summer time.
    """
    now = clock.now()
    today = datetime.combine(now.astimezone().date(), at)
    # A datetime without a zone is the machine's own: so each day has the offset that holds on it.
    return next(
        left
        for days in range(3)
        if (left := ((today + timedelta(days)).astimezone() - now).total_seconds()) > 0
    )
