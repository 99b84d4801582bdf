"""The search for a limit that nobody states. Pure.

The rate starts at 4/s and doubles every 0.4 seconds for as long as replies come and nothing is
refused. A refusal (429, 503) is a loss: the rate at which requests got through since the loss
before is taken for the limit. From there the rate follows a cubic curve, as in CUBIC (RFC 9438): it
starts a little below what was found, is flat around it, and then rises ever faster, until it
doubles every few seconds, so that a limit that was raised is found as well. Each loss makes the
curve calmer, less deep and longer, so that a limit that stays the same is hardly touched. Refusals
of requests that left before the last loss was known say nothing new. Latency plays no part.

A bare 503 may be no limit but a fault that slowing down does not cure. So it is a trial: when the
replies after the loss bring as many, the rate goes back to what it was, and for a minute bare 503s
are ignored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bulk_sync.send.advertised import SLOWEST
from bulk_sync.send.observation import Seen

FIRST_RATE = 4.0
"""Requests per second at which the search begins; a server that allows less loses us a handful."""

DOUBLING_SECONDS = 0.4
"""The rate doubles in this time while nothing is refused; four times as fast towards an advertised
rate.
"""

PAUSE_SECONDS, SHORT_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 5.0, 30.0
"""The first pause after a refusal without `Retry-After`, and the longest. Beyond the short one a
pause takes at most half of the time since the loss, so that the end of a window isn't missed by
much.
"""

# Requests that must have got through before their rate is taken for the limit.
_ENOUGH = 8

# A loss at a rate of less than this many times the average means that the curve touched the limit.
# At a higher one a window was used up early, and the average is the limit.
_NEAR = 2.0

_CALMEST_SECONDS = 60.0
_DEEPEST, _SHALLOW, _FLATTEST = 0.3, 0.1, 0.03
# After this many times the flat part without a loss, the rate doubles.
_GROWS_AGAIN = 2.0

_LONG_SECONDS = 300.0
_MEMORY_SECONDS = 0.25
_TRIAL_REPLIES, _SHARE_OF_ONE = 40, 0.05
_DEAF_SECONDS = 60.0
_MANY_BUSY = 0.3


@dataclass(slots=True)
class Search:
    """The limit as it was found so far; rates are per second, instants of the pace's time."""

    # What gets through.
    through: float = 0.0
    """Requests that got through."""
    through_rate: float = 0.0
    """Their rate over the last quarter of a second or so."""
    through_at: float = -math.inf
    # The curve.
    rate: float = FIRST_RATE
    """In force while nothing was refused."""
    found: float = 0.0
    """The limit as found; 0 while nothing was refused."""
    depth: float = _DEEPEST
    calm: float = 2.0
    """Seconds until the curve is back at what was found."""
    loss_at: float = -math.inf
    blocked: float = 0.0
    """Seconds from the loss to the next request that got through."""
    counted_from: float = -math.inf
    """The instant since which requests that get through are averaged, ..."""
    counted: float = 0.0
    """... and how many had got through by then."""
    first_at: float = -math.inf
    recovered: float = 0.0
    """The ordinal of the last permit before the loss was known."""
    pauses: float = 0.0
    """In a row, without a request that got through."""
    last_pause: float = 0.0
    """Seconds of the last pause that may have been for nothing."""

    def got_through(self, now: float, seen: Seen, *, is_advertised: bool) -> None:
        """Count a request that got through."""
        self.through += 1
        self.through_rate = self._recent_rate(now) + 1 / self._memory
        self.through_at = now
        if self.first_at == -math.inf:
            self.first_at = self.counted_from = now
        if self.pauses and seen.ordinal > self.recovered:
            self.pauses, self.blocked = 0.0, now - seen.seconds - self.loss_at
        if not self.found and self.rate < 4 * self.through_rate:
            doubling = DOUBLING_SECONDS / 4 if is_advertised else DOUBLING_SECONDS
            self.rate += math.log(2) / doubling

    def curve(self, now: float, held_until: float) -> float:
        """Return CUBIC's curve through what was found; beyond its flat part it doubles."""
        since = self._since_loss(now, held_until)
        flat = min(since, _GROWS_AGAIN * self.calm)
        rate = self.found * (1 + self.depth * ((flat - self.calm) / self.calm) ** 3)
        beyond = since - flat
        if beyond > 0:
            rate *= 2 ** min(beyond / max(5.0, self.calm / 8), 30)
        return min(rate, max(self.found, 4 * self._recent_rate(now)))

    def lost(
        self, now: float, at_loss: float, *, held_until: float, latency: float, was_doubling: bool
    ) -> None:
        """Lower the rate after a refusal at the rate `at_loss`.

        What got through is taken for the limit when it says enough; else the rate falls back, by
        half when it was doubling.
        """
        before = self.found
        has_grown = self.depth < _SHALLOW and at_loss > 1.5 * self.found  # far beyond the limit
        since, got = now - self.counted_from, self.through - self.counted
        is_enough = got >= _ENOUGH
        if was_doubling:
            self.found, self.depth, self.calm = 0.5 * at_loss, _DEEPEST, 2.0
            is_enough = True
        elif has_grown or not is_enough:
            self.found = 0.85 * at_loss
        elif self._touched(at_loss, since, got, latency):
            self.found = 0.97 * at_loss
        else:
            self.found = min(0.85 * at_loss, self._average(now, since, got))
        if has_grown or (self.depth < _SHALLOW and self.found < before / 2):  # another limit now
            self.depth, self.calm = _DEEPEST / 2, min(_CALMEST_SECONDS, max(10.0, 60 / self.found))
        elif self._since_loss(now, held_until) >= self.calm and is_enough:
            self.depth = max(_FLATTEST, self.depth / 2)
            self.calm = min(_CALMEST_SECONDS, max(10.0, 2 * self.calm, 60 / self.found))
        if is_enough or has_grown:
            self.counted_from, self.counted = now, self.through
        self.found = max(SLOWEST, self.found)
        self.loss_at = now

    def pause(self, now: float, dice: float) -> float:
        """Return the seconds to wait after a refusal that names no wait."""
        shortest = max(PAUSE_SECONDS, 2 / self.found if self.found else 0.0, self.blocked / 8)
        pause = shortest * 2 ** min(self.pauses - 1, 30)
        longest = max(SHORT_PAUSE_SECONDS, self.blocked / 8, (now - self.loss_at) / 2)
        self.last_pause = min(LONGEST_PAUSE_SECONDS, longest, pause) * (0.5 + 0.5 * dice)
        return self.last_pause

    def _touched(self, at_loss: float, since: float, got: float, latency: float) -> bool:
        """True when the curve touched the limit, and no window was used up early."""
        sending = max(since - self.last_pause - latency, since / 4)
        return self.blocked <= since / 3 and at_loss * sending < _NEAR * got

    def _average(self, now: float, since: float, got: float) -> float:
        """Return the rate of what got through since the loss before."""
        average = got / max(since - self.last_pause / 2, since / 2)
        if 0 < now - self.first_at < _LONG_SECONDS:
            # A window that slides frees itself as unevenly as it was filled: at first only all of
            # the time so far shows what it holds.
            average = max(average, self.through / (now - self.first_at))
        return average

    def _since_loss(self, now: float, held_until: float) -> float:
        """Seconds of sending since the last loss."""
        return max(0.0, now - max(self.loss_at, held_until))

    def _recent_rate(self, now: float) -> float:
        return self.through_rate * math.exp(-max(0.0, now - self.through_at) / self._memory)

    @property
    def _memory(self) -> float:
        """Seconds after which a reply hardly counts; long enough for a few at the rate found."""
        return max(_MEMORY_SECONDS, 4 / self.found) if self.found else _MEMORY_SECONDS


@dataclass(slots=True)
class Trial:
    """Whether bare 503s are a limit: the rate goes down for some replies, and back if in vain."""

    busy_share: float = 0.0
    """The share of bare 503s among the latest replies."""
    left: float = 0.0
    """Replies until the verdict; 0 while there is no trial."""
    busy: float = 0.0
    """Bare 503s during the trial."""
    share: float = 0.0
    """The share of them before it."""
    rate: float = 0.0
    """The search's rate and limit before the trial, here and below."""
    found: float = 0.0
    deaf_until: float = -math.inf

    def is_loss(self, now: float, seen: Seen, search: Search) -> bool:
        """Return whether a bare 503 counts as a loss.

        That begins a trial, during which further ones don't count unless they are many.
        """
        if self.busy_share >= _MANY_BUSY:
            return True
        if now < self.deaf_until or self.left or seen.ordinal <= search.recovered:
            return False
        self.left, self.busy = _TRIAL_REPLIES, 0.0
        self.share = max(self.busy_share, _SHARE_OF_ONE)
        self.rate, self.found = search.rate, search.found
        return True

    def weigh(self, now: float, seen: Seen, search: Search) -> None:
        """Count a reply; at the end of a trial in vain, put the search's rate back."""
        is_busy = seen.kind == "busy"
        self.busy_share += (is_busy - self.busy_share) * _SHARE_OF_ONE
        if not self.left or seen.ordinal <= search.recovered:
            return
        self.left -= 1
        self.busy += is_busy
        if not self.left and self.busy / _TRIAL_REPLIES >= self.share / 3:
            search.rate, search.found = self.rate, self.found
            self.deaf_until = now + _DEAF_SECONDS
