"""The limit that the API's headers advertise. Pure.

A quota and its window make a rate. When fewer requests remain than that rate would use before the
reset, they are spread evenly over the time until then.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bulk_sync.send.headers import Quota

SLOWEST_RATE = 1 / 3600
"""Requests per second. The slowest --rate, and a floor for what headers and losses may lead to."""

# An advertised rate counts for two windows, and for this time at least.
_LEAST_KNOWN_SECONDS = 60.0


@dataclass(slots=True)
class Advertised:
    """The lowest limit that the latest replies advertise; instants are on the pace's clock."""

    rate: float = 0.0
    """Requests per second; 0 when none is known."""
    known_until: float = -math.inf
    longest_reset: float = 0.0
    """Seconds; the window of a quota whose headers name none."""
    spread: float = 0.0
    """Requests per second that spread the rest of a window until its reset."""
    spread_until: float = -math.inf

    def is_known(self, now: float) -> bool:
        """True while an advertised rate counts."""
        return now < self.known_until

    def rates(self, now: float) -> Iterator[float]:
        """Yield the rates that must not be exceeded now."""
        if now < self.known_until:
            yield self.rate
        if now < self.spread_until:
            yield self.spread

    def observe(self, now: float, quotas: Iterable[Quota], in_flight: float) -> float:
        """Apply a reply's quotas; return when the next request may leave, -inf for immediately.

        `in_flight` counts the requests sent after the one that this reply answers.
        """
        # Pairs of a rate and the instant until which it holds; `min` picks the lowest rate.
        rates: list[tuple[float, float]] = []
        shortages: list[tuple[float, float]] = []
        hold_until = -math.inf
        for quota in quotas:
            rate = self._rate_of(quota)
            if rate:
                window = quota.window_seconds or self.longest_reset
                until = now + max(_LEAST_KNOWN_SECONDS, 2 * window)
                rates.append((max(SLOWEST_RATE, rate), until))
            if quota.remaining is None or quota.reset_seconds is None:
                continue
            # Resets are whole seconds, rounded up or down, so allow one second and one request
            # before calling it a shortage.
            if rate and quota.remaining >= rate * (quota.reset_seconds - 1) - 1:
                continue
            # The server counted `remaining` before it saw the requests still in flight.
            left = quota.remaining - in_flight
            if left > 0:
                spread = max(SLOWEST_RATE, left / max(quota.reset_seconds, 1.0))
                shortages.append((spread, now + quota.reset_seconds))
            else:
                hold_until = max(hold_until, now + quota.reset_seconds)
        if rates:
            self.rate, self.known_until = min(rates)
        self.spread, self.spread_until = min(shortages, default=(0.0, -math.inf))
        return hold_until

    def _rate_of(self, quota: Quota) -> float:
        """Return requests per second, 0 when the quota says too little.

        Without a window, the longest reset seen so far is taken for it.
        """
        if not quota.limit:
            return 0.0
        if quota.window_seconds:
            return quota.limit / quota.window_seconds
        self.longest_reset = max(self.longest_reset, quota.reset_seconds or 0.0)
        return quota.limit / self.longest_reset if self.longest_reset else 0.0
