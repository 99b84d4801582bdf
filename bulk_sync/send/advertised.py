"""The limit as the API's headers advertise it. Pure.

A quota and its window are a rate. What remains until the reset is spread over that time when it is
less than the rate needs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bulk_sync.send.headers import Quota

SLOWEST = 1 / 3600
"""Requests per second: no header and no loss makes the pace slower than the slowest --rate."""

# An advertised rate counts for two windows, and for this time at least.
_LEAST_KNOWN_SECONDS = 60.0


@dataclass(slots=True)
class Advertised:
    """The lowest of the limits that the latest replies advertise; times are the pace's."""

    rate: float = 0.0
    """Requests per second; 0 when none is known."""
    known_until: float = -math.inf
    longest_reset: float = 0.0
    """Seconds; in place of a window that no header names."""
    spread: float = 0.0
    """Requests per second that spread the rest of a window until its reset."""
    spread_until: float = -math.inf

    def is_known(self, now: float) -> bool:
        """True while an advertised rate counts."""
        return now < self.known_until

    def rates(self, now: float) -> Iterator[float]:
        """The rates that must not be exceeded now."""
        if now < self.known_until:
            yield self.rate
        if now < self.spread_until:
            yield self.spread

    def heed(self, now: float, quotas: Iterable[Quota], in_flight: float) -> float:
        """Take the quotas of a reply; return when the next request may leave, -inf for at once.

        `in_flight` requests left after the one that was answered.
        """
        rates: list[tuple[float, float]] = []
        shortages: list[tuple[float, float]] = []
        hold_until = -math.inf
        for quota in quotas:
            rate = self._rate_of(quota)
            if rate:
                window = quota.window_seconds or self.longest_reset
                until = now + max(_LEAST_KNOWN_SECONDS, 2 * window)
                rates.append((max(SLOWEST, rate), until))
            if quota.remaining is None or quota.reset_seconds is None:
                continue
            # Resets are whole seconds, rounded either way: one second and one request are no
            # shortage.
            if rate and quota.remaining >= rate * (quota.reset_seconds - 1) - 1:
                continue
            left = quota.remaining - in_flight
            if left > 0:
                spread = max(SLOWEST, left / max(quota.reset_seconds, 1.0))
                shortages.append((spread, now + quota.reset_seconds))
            else:
                hold_until = max(hold_until, now + quota.reset_seconds)
        if rates:
            self.rate, self.known_until = min(rates)
        self.spread, self.spread_until = min(shortages, default=(0.0, -math.inf))
        return hold_until

    def _rate_of(self, quota: Quota) -> float:
        """Return requests per second, 0 when the quota says too little.

        Where no window is named it is the longest reset seen so far.
        """
        if not quota.limit:
            return 0.0
        if quota.window_seconds:
            return quota.limit / quota.window_seconds
        self.longest_reset = max(self.longest_reset, quota.reset_seconds or 0.0)
        return quota.limit / self.longest_reset if self.longest_reset else 0.0
