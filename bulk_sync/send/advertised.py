"""The limit that the API's headers advertise. Pure.

A quota and its window make a rate. When fewer requests remain than that rate would use before the
reset, they are spread evenly over the time until then.

Headers that name no window leave it to be guessed, and a reset in whole seconds may be twice the
window; a bucket states how much it holds and when it is full, which says little of its rate. So the
requests that remain at the rate in force correct it: some that are never used, window after window,
show that the rate may rise (`boost`).
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

# The share of the rate in force that must have been used for what remains to count.
_USED = 0.8

_MANY_UNUSED = 0.3
_WINDOWS = 3.0
_LEAST_LIMIT = 5.0
_NEARLY = 0.98
_FALLS_BY = 0.85


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
    boost: float = 1.0
    """The factor by which `rate` was too low."""
    watched_from: float = -math.inf
    """Since when the fewest remaining are noted, and the replies counted; 0 replies: not yet."""
    fewest: float = math.inf
    replies: float = 0.0
    most: float = 0.0
    """The most that ever remained, for quotas whose headers state no limit."""

    def is_known(self, now: float) -> bool:
        """True while an advertised rate counts."""
        return now < self.known_until

    def rates(self, now: float) -> Iterator[float]:
        """Yield the rates that must not be exceeded now."""
        if now < self.known_until:
            yield self.rate * self.boost
        if now < self.spread_until:
            yield self.spread

    def observe(self, now: float, quotas: Iterable[Quota], in_flight: float) -> float:
        """Apply a reply's quotas; return when the next request may leave, -inf for immediately.

        `in_flight` counts the requests sent after the one that this reply answers.
        """
        # A rate, the instant until which it holds, and its quota; `min` picks the lowest rate.
        rates: list[tuple[float, float, float, float, float | None]] = []
        shortages: list[tuple[float, float]] = []
        hold_until = -math.inf
        for quota in quotas:
            limit, rate = self._rate_of(quota)
            if rate:
                window = quota.window_seconds or self.longest_reset
                until = now + max(_LEAST_KNOWN_SECONDS, 2 * window)
                rates.append((max(SLOWEST_RATE, rate), until, window, limit, quota.remaining))
            if quota.remaining is None or quota.reset_seconds is None:
                continue
            # A rate that was too low by a factor belongs to a window shorter by that factor.
            reset = quota.reset_seconds / self.boost
            # Resets are whole seconds, rounded up or down, so allow one second and one request
            # before calling it a shortage.
            if rate and quota.remaining >= rate * self.boost * (reset - 1) - 1:
                continue
            # The server counted `remaining` before it saw the requests still in flight.
            left = quota.remaining - in_flight
            if left > 0:
                shortages.append((max(SLOWEST_RATE, left / max(reset, 1.0)), now + reset))
            else:
                hold_until = max(hold_until, now + reset)
        if rates:
            before = self.rate
            self.rate, self.known_until, window, limit, remaining = min(rates)
            if self.rate != before:
                self._watch_anew(now)
            if remaining is not None and remaining <= limit:
                self._correct(now, window, limit, remaining)
        self.spread, self.spread_until = min(shortages, default=(0.0, -math.inf))
        return hold_until

    def _correct(self, now: float, window: float, limit: float, remaining: float) -> None:
        """Raise the rate while requests remain unused at it; lower it again when none does."""
        self.replies += 1
        self.fewest = min(self.fewest, remaining)
        if remaining < 1 and self.boost > 1:
            self.boost = max(1.0, self.boost * _FALLS_BY)
            self._watch_anew(now)
            return
        # A few unused ones are noticed after some windows only, because windows hold one more or
        # less at an even pace.
        windows = 1.0 if self.fewest >= _MANY_UNUSED * limit else _WINDOWS
        watched = now - self.watched_from
        if watched < windows * max(window, 1.0):
            return
        was_used = self.replies >= _USED * self.rate * self.boost * watched
        if was_used and self.fewest >= 1 and limit >= _LEAST_LIMIT:
            factor = min(2.0, _NEARLY * limit / max(1.0, limit - self.fewest))
            self.boost *= max(1.0, factor)
        self._watch_anew(now)

    def _watch_anew(self, now: float) -> None:
        self.watched_from, self.fewest, self.replies = now, math.inf, 0.0

    def refused(self, now: float) -> None:
        """Note a refusal: the rate was too high."""
        self.boost = max(1.0, self.boost * _FALLS_BY)
        self._watch_anew(now)

    def _rate_of(self, quota: Quota) -> tuple[float, float]:
        """Return a quota's limit, and requests per second, 0 when the quota says too little.

        Without a window, the longest reset seen so far is taken for it; without a limit, one more
        than the most that ever remained.
        """
        if quota.limit is None and quota.remaining is not None:
            self.most = max(self.most, quota.remaining)
        limit = quota.limit or (self.most + 1 if self.most else 0.0)
        if not limit:
            return 0.0, 0.0
        if quota.window_seconds:
            return limit, limit / quota.window_seconds
        self.longest_reset = max(self.longest_reset, quota.reset_seconds or 0.0)
        return limit, limit / self.longest_reset if self.longest_reset else 0.0
