"""The search for a limit that the API does not advertise. Pure.

The rate starts at 4/s and doubles every quarter of a second while nothing is refused. A refusal
(429, 503) is a loss: the rate at which requests got through since the previous loss is taken for
the limit. From there the rate follows a cubic curve, as in CUBIC (RFC 9438). It starts a little
below the limit, is flat around it, and then rises ever faster until it doubles every few seconds,
so that a raised limit is found as well. Each loss makes the curve flatter and longer, so that a
constant limit is rarely exceeded. Refusals of requests that left before the last loss was known are
not counted again. Latency plays no part.

Whether a refusal is a fault rather than a limit is decided in `faults`, and whether a long window
was used up in `found`; both may restore the rate to its value before the loss.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bulk_sync.send.advertised import SLOWEST_RATE
from bulk_sync.send.observation import Observation

FIRST_RATE = 4.0
"""Requests per second at which the search begins; a lower limit costs only a few refusals."""

DOUBLING_SECONDS = 0.25
"""The rate doubles in this time while nothing is refused, and in less than half of it
where the API states a limit.
"""

PAUSE_SECONDS = 0.25
"""The first pause after a refusal without `Retry-After`; each further one is twice as long, without
a bound, because a try may renew a lock-out.
"""

# So many requests must have got through before their rate is taken for the limit.
_ENOUGH = 8

# A loss at less than this many times the average rate means that the curve touched the limit. At a
# higher rate a window was used up early, and the average is the limit.
_NEAR = 2.0

# At a rate of less than this many times the busiest second, nearly all of it got through.
_CLOSE = 1.15

# The longest time in which the curve returns to the limit.
_CALMEST_SECONDS = 60.0

# How far below the limit the curve starts, as a share of it. CUBIC falls back by 0.3 (beta 0.7).
_DEEPEST, _SHALLOW, _FLATTEST = 0.3, 0.1, 0.03

# After this many times the flat part without a loss, the rate doubles.
_GROWS_AGAIN = 2.0

# Permits are reserved ahead, and replies are read late: in each process with the next permit.
_READ_LATE_SECONDS = 1.0

_LONG_SECONDS = 300.0
_MEMORY_SECONDS = 0.25


@dataclass(slots=True)
class Search:
    """The limit as found so far; rates are per second, instants on the pace's clock."""

    through: float = 0.0
    """The number of requests that got through."""
    through_rate: float = 0.0
    """Their rate over the last quarter of a second or so, as of `through_at`."""
    through_at: float = -math.inf
    rate: float = FIRST_RATE
    """The rate in force until the first refusal."""
    limit: float = 0.0
    """The limit as found; 0 until the first refusal."""
    depth: float = _DEEPEST
    calm: float = 2.0
    """Seconds until the curve is back at the limit: K in RFC 9438."""
    loss_at: float = -math.inf
    blocked: float = 0.0
    """Seconds from the loss to the next request that got through."""
    counted_from: float = -math.inf
    """The instant from which on requests that get through are averaged."""
    counted: float = 0.0
    """The number of requests that had got through at that instant."""
    first_at: float = -math.inf
    recovered: float = 0.0
    """The ordinal of the last permit before the loss was known."""
    pauses: float = 0.0
    """Pauses in a row without a request that got through in between."""
    last_pause: float = 0.0
    """Seconds of the last pause that may have been unnecessary."""
    was_asked: float = 0.0
    """1 if the API asked for the last pause."""
    second: float = -math.inf
    """The start of the present second; how many got through in it and in the one before, below."""
    in_second: float = 0.0
    in_second_before: float = 0.0

    def got_through(self, now: float, seen: Observation, *, is_advertised: bool) -> None:
        """Count a request that got through."""
        self.through += 1
        self.through_rate = self._recent_rate(now) + 1 / self._memory
        self.through_at = now
        if self.first_at == -math.inf:
            self.first_at = self.counted_from = now
        if now >= self.second + 1:
            self.in_second_before = self.in_second if now < self.second + 2 else 0.0
            self.in_second, self.second = 0.0, now
        self.in_second += 1
        # A request from before the loss was known does not show that the pause is over.
        if self.pauses and seen.ordinal > self.recovered:
            self.pauses, self.blocked = 0.0, now - seen.seconds - self.loss_at
        if not self.limit and self.rate < 4 * self.through_rate:
            doubling = DOUBLING_SECONDS * 0.4 if is_advertised else DOUBLING_SECONDS
            self.rate += math.log(2) / doubling

    def curve(self, now: float, held_until: float) -> float:
        """Return the rate on CUBIC's curve through the limit; beyond its flat part it doubles."""
        since = self._since_loss(now, held_until)
        flat = min(since, _GROWS_AGAIN * self.calm)
        rate = self.limit * (1 + self.depth * ((flat - self.calm) / self.calm) ** 3)
        beyond = since - flat
        if beyond > 0:
            rate *= 2 ** min(beyond / max(5.0, self.calm / 8), 30)
        # A sender that is slower than the curve proves nothing about rates far beyond its own.
        return min(rate, max(self.limit, 4 * self._recent_rate(now - _READ_LATE_SECONDS)))

    def lost(
        self, now: float, at_loss: float, *, held_until: float, latency: float, was_doubling: bool
    ) -> None:
        """Lower the rate after a refusal at the rate `at_loss`.

        The limit is the average rate of requests that got through, when they were enough; else the
        rate falls back, by half when it was doubling.
        """
        before = self.limit
        has_grown = self.depth < _SHALLOW and at_loss > 1.5 * self.limit  # far beyond the limit
        since, got = now - self.counted_from, self.through - self.counted
        is_enough = got >= _ENOUGH
        if was_doubling:
            # As after TCP's slow start: at half the rate nothing was refused yet.
            self.limit, self.depth, self.calm = 0.5 * at_loss, _DEEPEST, 2.0
            is_enough = True
        elif has_grown:
            self.limit = 0.85 * at_loss
        elif not is_enough:
            # Far above the limit hardly anything gets through, and that shows where it is.
            few = (got + 1) / max(since, 0.1)
            self.limit = min(0.85 * at_loss, max(0.5 * at_loss, few))
        elif self._touched(at_loss, since, got, latency):
            self.limit = 0.97 * at_loss
        elif at_loss < _CLOSE * self.busiest_second:
            self.limit = 0.92 * min(at_loss, self.busiest_second)
        else:
            average = self._average(now, since, got)
            if self.was_asked:  # the wait that the API asked for hides in the average
                average = max(average, 0.85 * self.busiest_second)
            self.limit = min(0.85 * at_loss, average)
        if has_grown or (self.depth < _SHALLOW and self.limit < before / 2):  # another limit now
            self.depth, self.calm = _DEEPEST / 2, min(_CALMEST_SECONDS, max(10.0, 60 / self.limit))
        elif self.is_back(now, held_until) and is_enough:
            self.depth = max(_FLATTEST, self.depth / 2)
            self.calm = min(_CALMEST_SECONDS, max(10.0, 2 * self.calm, 60 / self.limit))
        if is_enough or has_grown:
            self.counted_from, self.counted = now, self.through
        self.limit = max(SLOWEST_RATE, self.limit)
        self.loss_at = now

    def is_back(self, now: float, held_until: float) -> bool:
        """Return whether the curve is back at the limit, or beyond it."""
        return self._since_loss(now, held_until) >= self.calm

    def pause(self, dice: float) -> float:
        """Return the seconds to wait after a refusal without `Retry-After`."""
        shortest = max(PAUSE_SECONDS, 2 / self.limit if self.limit else 0.0, self.blocked / 8)
        pause = shortest * 3 ** min(self.pauses - 1, 20)
        self.last_pause = pause * (0.9 + 0.2 * dice)
        return self.last_pause

    @property
    def busiest_second(self) -> float:
        """Requests that pass in a second lately: no more than a limit by the second allows."""
        return max(self.in_second, self.in_second_before, 1.0)

    def restore(self, rate: float, limit: float) -> None:
        """Go back to the rate and the limit before a loss that was not due to the rate."""
        self.rate, self.limit = rate, limit
        self.counted_from, self.counted = self.through_at, self.through

    def _touched(self, at_loss: float, since: float, got: float, latency: float) -> bool:
        """True when the curve touched the limit, False when a window was used up early."""
        sending = max(since - self.last_pause - latency, since / 4)
        return self.blocked <= since / 3 and at_loss * sending < _NEAR * got

    def _average(self, now: float, since: float, got: float) -> float:
        """Return the rate of what got through since the loss before."""
        average = got / max(since - self.last_pause / 2, since / 2)
        if 0 < now - self.first_at < _LONG_SECONDS:
            # A sliding window frees its quota as unevenly as it was used, so at first only the
            # average since the start shows the quota.
            average = max(average, self.through / (now - self.first_at))
        return average

    def _since_loss(self, now: float, held_until: float) -> float:
        """Seconds of sending since the last loss."""
        return max(0.0, now - max(self.loss_at, held_until))

    def _recent_rate(self, now: float) -> float:
        return self.through_rate * math.exp(-max(0.0, now - self.through_at) / self._memory)

    @property
    def _memory(self) -> float:
        """Time constant of `through_rate`, in seconds: long enough for a few replies."""
        return max(_MEMORY_SECONDS, 4 / self.limit) if self.limit else _MEMORY_SECONDS
