"""How fast: the one place that decides when a request may leave. Pure.

The law: permits are spaced evenly by GCRA, the virtual-scheduling form of the leaky
bucket (ITU-T I.371, annex A). One number, the theoretical arrival time, moves one
interval on with each permit; a permit is due when the clock is at most `tolerance`
before that number. The tolerance lets a late wake-up be made good, so that timers do
not eat the rate; it is half of the stated burst, the other half is left for requests
that the network bunches on their way. So no window of W seconds sees more than
rate * W + burst requests. When the server says to wait, nobody gets a permit before
that time is over; waiting never moves backwards.

Time is in seconds of any clock that does not jump; every method takes it as an argument.
"""

from __future__ import annotations

from bulk_sync.model import Rate


class Pacer:
    """Permits at a fixed rate, or at any when `rate` is None, and none during a hold."""

    def __init__(self, rate: Rate | None) -> None:
        self._interval = 0.0 if rate is None else 1.0 / rate.per_second
        self._tolerance = 0.0 if rate is None else (rate.burst - 1) / 2 * self._interval
        self._due = float("-inf")
        self._held_until = float("-inf")

    @property
    def held_until(self) -> float:
        """The end of the latest hold."""
        return self._held_until

    def wait(self, now: float) -> float:
        """Seconds until a permit is due; 0 when one is due now."""
        return max(0.0, self._due - self._tolerance - now, self._held_until - now)

    def take(self, now: float) -> None:
        """Use a permit that is due."""
        if self._interval:
            self._due = max(self._due, now) + self._interval

    def hold(self, until: float) -> None:
        """Give no permit before `until`."""
        self._held_until = max(self._held_until, until)
