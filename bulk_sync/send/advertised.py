"""The limit that the API's headers advertise. Pure.

A quota and its window make a rate. When fewer requests remain than that rate would use before the
reset, they are spread evenly over the time until then.

Headers that name no window leave it to be guessed, and a bucket states how much it holds and when
it is full, which says little of its rate. So the requests that remain at the rate in force correct
it (`Correction`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from bulk_sync.send.headers import Quota

SLOWEST_RATE = 1 / 3600
"""Requests per second. The slowest --rate, and a floor for what headers and losses may lead to."""

# An advertised rate counts for two windows, and for this time at least.
_LEAST_KNOWN_SECONDS = 60.0

# The share of the rate in force that must have been used for what remains to count.
_USED = 0.8

# Fewer requests per window say too little: one more or less is a step of the rate.
_LEAST_LIMIT = 5.0

# The rate that was found is approached to this share, and a rate that was too high in small steps.
_NEARLY = 0.98
_LONGEST_STEP, _SMALL_STEP, _LEAST_STEP = 2.0, 1.1, 1.02


@dataclass(slots=True)
class Correction:
    """The factor by which a rate in headers is too low, found by the requests that remain at it.

    A window that is shorter than was guessed has requests left at its end: with `fewest` of `limit`
    remaining, the rate may be `limit / (limit - fewest)` times as high, and that leads to no fewer
    remaining than can be calculated. If fewer remain all the same, it is a bucket that runs empty,
    and the factor goes back. Each factor is judged after a window of settling and one of watching.
    """

    factor: float = 1.0
    safe: float = 1.0
    """The latest factor at which nothing ran empty."""
    too_high: float = math.inf
    expected: float = 0.0
    """The fewest that may remain in a window at `factor`."""
    is_settled: float = 0.0
    """1 once the factor was not raised after a watch."""
    watched_from: float = -math.inf
    fewest: float = math.inf
    """The fewest that remained since then; the number of replies below."""
    replies: float = 0.0

    def observe(
        self, now: float, window: float, limit: float, remaining: float, rate: float
    ) -> None:
        """Take in what remains of `limit` per `window` seconds, at `rate` times the factor."""
        if self.factor > self.safe and remaining < self.expected - max(2.0, 0.2 * limit):
            self._back(now, window)
            return
        if now < self.watched_from:
            return
        if self.watched_from == -math.inf:
            self._watch(now)
        self.replies += 1
        self.fewest = min(self.fewest, remaining)
        watched = now - self.watched_from
        if watched < max(window, 1.0):
            return
        if self.replies >= _USED * rate * self.factor * watched and limit >= _LEAST_LIMIT:
            self.safe = self.factor
            self._step(now, window, limit)
        else:
            self._watch(now)

    def _step(self, now: float, window: float, limit: float) -> None:
        """Raise the factor if requests were left, but for one, by which windows differ."""
        unused = self.fewest - 1
        step = min(_LONGEST_STEP, _NEARLY * limit / (limit - min(unused, limit - 1)))
        if self.factor * step > self.too_high / _LEAST_STEP:
            step = min(_SMALL_STEP, self.too_high / self.factor / _LEAST_STEP)
        # Later on, a few more requests left are a bucket that fills because the pace is a little
        # lower than its rate.
        is_new = not self.is_settled or self.fewest >= limit - 2
        if step < _LEAST_STEP or not is_new:
            self.is_settled = 1.0
            self._watch(now)
            return
        self.factor *= step
        self.expected = limit - step * (limit - unused)
        self._watch(now + max(window, 1.0))

    def at_another_rate(self, ratio: float) -> Correction:
        """Return the same rate as a factor of another guess, `ratio` times as low."""
        if self.factor == 1:
            return Correction()
        factor, safe = max(1.0, self.factor * ratio), max(1.0, self.safe * ratio)
        too_high = max(factor, self.too_high * ratio)
        return replace(self, factor=factor, safe=safe, too_high=too_high)

    def refused(self, now: float) -> None:
        """Note a refusal: the rate was too high."""
        if self.factor > 1:
            self._back(now, 1.0)

    def _back(self, now: float, window: float) -> None:
        self.too_high = min(self.too_high, self.factor)
        self.factor = self.safe = min(self.safe, max(1.0, self.too_high / _SMALL_STEP))
        self._watch(now + max(window, 1.0))

    def _watch(self, since: float) -> None:
        self.watched_from, self.fewest, self.replies = since, math.inf, 0.0


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
    most: float = 0.0
    """The most that ever remained, for quotas whose headers state no limit."""
    correction: Correction = field(default_factory=Correction)

    def is_known(self, now: float) -> bool:
        """True while an advertised rate counts."""
        return now < self.known_until

    def rates(self, now: float) -> Iterator[float]:
        """Yield the rates that must not be exceeded now."""
        if now < self.known_until:
            yield self.rate * self.correction.factor
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
                window = quota.window_seconds or self._guessed_window
                until = now + max(_LEAST_KNOWN_SECONDS, 2 * window)
                rates.append((max(SLOWEST_RATE, rate), until, window, limit, quota.remaining))
            if quota.remaining is None or quota.reset_seconds is None:
                continue
            # A rate that was too low by a factor belongs to a window shorter by that factor.
            reset = quota.reset_seconds / self.correction.factor
            if self.correction.factor > 1 and rate and not quota.window_seconds:
                reset = min(reset, limit / (rate * self.correction.factor))
            # Resets are whole seconds, rounded up or down, so allow one second and one request
            # before calling it a shortage.
            if rate and quota.remaining >= rate * self.correction.factor * (reset - 1) - 1:
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
                self.correction = self.correction.at_another_rate(before / self.rate)
            if remaining is not None and remaining <= limit:
                self.correction.observe(now, window, limit, remaining, self.rate)
        self.spread, self.spread_until = min(shortages, default=(0.0, -math.inf))
        return hold_until

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
        return limit, limit / self._guessed_window if self.longest_reset else 0.0

    @property
    def _guessed_window(self) -> float:
        """Seconds: the longest reset, less a part of a second, by which clocks may differ."""
        longest = self.longest_reset
        return math.floor(longest) or longest
