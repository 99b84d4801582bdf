"""How fast: the one place that decides when a request may leave. Pure.

The control law. Permits are spaced evenly: one number, the time at which the next is due,
moves one interval on with each (GCRA, the virtual-scheduling form of the leaky bucket,
ITU-T I.371, annex A). The interval is that of the lowest of three rates: the one that the
user gave, the one that the API's headers tell, and the one that was found. To find it the
rate starts at 4/s and doubles every 0.4 seconds for as long as replies come and nothing is
refused. A refusal (429, 503) is a loss: sending pauses, as long as the API says, else
briefly, twice as long each time in a row; and the rate at which requests got through
since the loss before is taken for the limit. From there the rate follows a cubic curve, as
in CUBIC (RFC 9438): it starts a little below what was found, is flat around it, and then
rises ever faster, until it doubles every few seconds: so a limit that was raised is found
as well. Each loss makes the curve calmer, less deep and longer, so that a limit that stands
still is hardly touched. Refusals of requests that left before the last loss was known
say nothing new. Latency plays no part.

What the API's headers tell: a quota and its window are a rate. What is left until the
reset is spread over that time when it is less than that rate needs.

A bare 503 may be no limit but a fault that slowing down does not mend. So it is a trial:
when the replies after the loss bring as many, the rate goes back to what it was, and
for a minute bare 503s are left out of account.

Time is in seconds of any clock that does not jump; every method takes it as an argument.
The state is numbers alone, so that processes can share it (`budget.py`).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Literal, NamedTuple, Self

from bulk_sync.model.rows import RateSource
from bulk_sync.send.headers import Quota

FIRST_RATE = 4.0
"""Requests per second at which the search begins; a server that allows less loses us a handful."""

DOUBLING_SECONDS = 0.4
"""The rate doubles in this time while nothing is refused; four times as fast towards a rate that
headers tell.
"""

SPARE = 1.007
"""Intervals are longer than the rate asks by this factor, so that a strict window of the server's,
a second say, does not hold one request too many when some were 7 ms early or late on their way."""

TOLERANCE_SECONDS = 0.005
"""How far a late wake-up is made good: so many seconds' worth of permits may come at once."""

GROUP_SECONDS = 0.01
"""Permits of so short a time may be taken together."""

PAUSE_SECONDS, SHORT_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 5.0, 30.0
"""The first pause after a refusal without `Retry-After`, and the longest; beyond the short one
a pause is no longer than half of the time since the loss, so that the end of a window isn't missed
by much."""

_ENOUGH = 8
"""So many requests must have got through for their rate to be taken for the limit."""

_NEAR = 2.0
"""A loss at a rate so little above the average means that the curve touched the limit; a loss at a
higher one, that a window was used up early, so that the average says what the limit is."""

_CALMEST_SECONDS = 60.0
_DEEPEST, _SHALLOW, _FLATTEST = 0.3, 0.1, 0.03
_GROWS_AGAIN = 2.0
"""After so many times the flat part without a loss, the rate doubles."""

_LONG_SECONDS = 300.0
_SECONDS_OF_MEMORY = 0.25
_TRIAL_REPLIES, _SHARE_OF_ONE = 40, 0.05
_DEAF_SECONDS = 60.0
_MANY_BUSY = 0.3
_FORGOTTEN_SECONDS = 600.0
_SLOWEST = 1 / 3600
"""Per second: no header and no loss makes it slower than the slowest --rate."""

Kind = Literal["through", "throttled", "busy", "other"]
"""A reply as the pace sees it: the API took the request; 429, or 503 with a wait; a bare 503; any
other failure.
"""


class Seen(NamedTuple):
    """What came of one request, the `ordinal`-th that got a permit.

    `asked_seconds` is the wait that the API asked for.
    """

    ordinal: float
    kind: Kind
    seconds: float
    asked_seconds: float | None = None
    quotas: tuple[Quota, ...] = ()


class Group(NamedTuple):
    """Permits that were taken together: `number` of them, the first due at `start`, one each
    `interval` seconds.
    """

    start: float
    interval: float
    number: int
    ordinal: float
    """Of the first."""


@dataclass(slots=True)
class Pace:
    """The state of one budget: when the next permit is due, and what is known of the limit."""

    due: float = -math.inf
    held_until: float = -math.inf
    taken: float = 0.0  # permits so far
    used_at: float = -math.inf
    latency: float = 0.0  # seconds, smoothed
    # how many get through
    through: float = 0.0
    through_rate: float = 0.0  # per second, over the last quarter of a second or so
    through_at: float = -math.inf
    # the search
    rate: float = FIRST_RATE  # while nothing was refused yet
    found: float = 0.0  # the limit as found; 0 while nothing was refused
    depth: float = _DEEPEST
    calm: float = 2.0  # seconds until the curve is back at what was found
    loss_at: float = -math.inf
    blocked: float = 0.0  # seconds from the loss to the next that got through
    counted_from: float = (
        -math.inf
    )  # since when, and beyond how many, those that get through are averaged
    counted: float = 0.0
    first_at: float = -math.inf
    recovered: float = 0.0  # the ordinal of the last permit before the loss was known
    pauses: float = 0.0  # in a row
    last_pause: float = 0.0  # seconds of the last that may have been for nothing
    # what headers tell
    told: float = 0.0  # per second; 0: nothing
    told_until: float = -math.inf
    window: float = 0.0  # the longest reset seen where no window is named
    spread: float = 0.0
    spread_until: float = -math.inf
    # the trial of a bare 503
    busy_share: float = 0.0
    trial_left: float = 0.0
    trial_busy: float = 0.0
    trial_share: float = 0.0
    trial_rate: float = 0.0
    trial_found: float = 0.0
    deaf_until: float = -math.inf

    # Permits

    def reserve(self, now: float, ceiling: float | None = None) -> float:
        """Take the next permit and return when it is due; `ceiling` is the user's rate per second.

        A request that leaves later than that is late, no more: the next is due as if it had been on
        time.
        """
        self._forget_what_is_old(now)
        at = max(self.due, now - TOLERANCE_SECONDS, self.held_until)
        interval = SPARE / self.per_second(at, ceiling)
        if self.pauses > 1 and self.held_until >= at:
            # The one that looks whether a long pause is over goes alone.
            interval = max(interval, 2 * self.latency)
        self.due = at + interval
        self.taken += 1
        self.used_at = now
        return max(at, now)

    def reserve_group(self, now: float, most: int, ceiling: float | None = None) -> Group:
        """Take up to `most` permits of the next `GROUP_SECONDS` together, one at least.

        While a refusal is not got over, or headers tell what is left, each is taken by itself.
        """
        interval = SPARE / self.per_second(max(now, self.due), ceiling)
        number = min(most, int(GROUP_SECONDS / interval))
        if (
            number < 2
            or self.pauses
            or self.held_until > now
            or self.told_until > now
            or self.spread_until > now
        ):
            return Group(self.reserve(now, ceiling), 0.0, 1, self.taken)
        self._forget_what_is_old(now)
        start = self.due if self.due >= now - TOLERANCE_SECONDS else now
        self.due = start + number * interval
        self.taken += number
        self.used_at = now
        return Group(start, interval, number, self.taken - number + 1)

    def hold(self, until: float) -> None:
        """Give no permit before `until`."""
        self.held_until = max(self.held_until, until)

    def per_second(self, now: float, ceiling: float | None = None) -> float:
        """The rate in force."""
        return min(rate for rate, _ in self._rates(now, ceiling))

    def limit(self, now: float, ceiling: float | None = None) -> tuple[float | None, RateSource]:
        """The limit as far as it is known, per second, and where it comes from."""
        known = [
            (rate, source)
            for rate, source in (
                (ceiling or 0.0, RateSource.OPTION),
                (self.told if now < self.told_until else 0.0, RateSource.HEADER),
                (self.found, RateSource.FOUND),
            )
            if rate
        ]
        return min(known, default=(None, RateSource.NONE))

    def _rates(self, now: float, ceiling: float | None) -> Iterable[tuple[float, RateSource]]:
        if ceiling is not None:
            yield ceiling, RateSource.OPTION
        if now < self.told_until:
            yield self.told, RateSource.HEADER
        if now < self.spread_until:
            yield self.spread, RateSource.HEADER
        if self.found:
            yield self._curve(now), RateSource.FOUND
        elif ceiling is None:
            yield self.rate, RateSource.NONE

    def _curve(self, now: float) -> float:
        """CUBIC's curve through what was found; beyond its flat part it grows by doubling."""
        since = self._since_loss(now)
        flat = min(since, _GROWS_AGAIN * self.calm)
        rate = self.found * (1 + self.depth * ((flat - self.calm) / self.calm) ** 3)
        beyond = since - flat
        if beyond > 0:
            rate *= 2 ** min(beyond / max(5.0, self.calm / 8), 30)
        return min(rate, max(self.found, 4 * self._through_rate(now)))

    def _since_loss(self, now: float) -> float:
        """Seconds of sending since the last loss."""
        return max(0.0, now - max(self.loss_at, self.held_until))

    # Observations

    def observe(self, now: float, seen: Seen, dice: float, ceiling: float | None = None) -> None:
        """Take a reply into account; `dice`, 0 to 1, is for the jitter of a pause."""
        if seen.quotas:
            self._heed(now, seen)
        if seen.kind == "through":
            self._got_through(now, seen)
        elif seen.kind == "throttled" or (seen.kind == "busy" and self._takes_for_loss(now, seen)):
            self._lost(now, seen, dice, ceiling)
        self._weigh_trial(now, seen)

    def _got_through(self, now: float, seen: Seen) -> None:
        self.through += 1
        self.through_rate = self._through_rate(now) + 1 / self._memory
        self.through_at = now
        self.latency += (seen.seconds - self.latency) * (0.1 if self.latency else 1.0)
        if self.first_at == -math.inf:
            self.first_at = self.counted_from = now
        if self.pauses and seen.ordinal > self.recovered:
            self.pauses, self.blocked = 0.0, now - seen.seconds - self.loss_at
        if not self.found and self.rate < 4 * self.through_rate:
            doubling = DOUBLING_SECONDS / 4 if now < self.told_until else DOUBLING_SECONDS
            self.rate += math.log(2) / doubling

    def _through_rate(self, now: float) -> float:
        """How many get through per second, by the latest."""
        return self.through_rate * math.exp(-max(0.0, now - self.through_at) / self._memory)

    @property
    def _memory(self) -> float:
        """Seconds after which a reply hardly counts; long enough for a few at the rate found."""
        return max(_SECONDS_OF_MEMORY, 4 / self.found) if self.found else _SECONDS_OF_MEMORY

    def _lost(self, now: float, seen: Seen, dice: float, ceiling: float | None) -> None:
        news = seen.ordinal > self.recovered
        if news and not self.pauses:
            self._cut(now, ceiling)
        if news:
            self.recovered = self.taken
            self.pauses += 1
        if seen.asked_seconds:
            self.last_pause = min(seen.asked_seconds, 1.0)  # told in whole seconds
            self.hold(now + seen.asked_seconds)
        elif news:
            shortest = max(PAUSE_SECONDS, 2 / self.found if self.found else 0.0, self.blocked / 8)
            pause = shortest * 2 ** min(self.pauses - 1, 30)
            longest = max(SHORT_PAUSE_SECONDS, self.blocked / 8, (now - self.loss_at) / 2)
            self.last_pause = min(LONGEST_PAUSE_SECONDS, longest, pause) * (0.5 + 0.5 * dice)
            self.hold(now + self.last_pause)

    def _cut(self, now: float, ceiling: float | None) -> None:
        """Take what got through for the limit, when that says enough; else fall back, by half when
        it was doubling.
        """
        at_loss, before = self.per_second(now, ceiling), self.found
        grown = self.depth < _SHALLOW and at_loss > 1.5 * self.found  # far beyond what was a limit
        since, got = now - self.counted_from, self.through - self.counted
        enough = got >= _ENOUGH
        average = got / max(since - self.last_pause / 2, since / 2) if enough else 0.0
        used_up = self.blocked > since / 3
        if 0 < now - self.first_at < _LONG_SECONDS:
            # A window that slides frees itself as unevenly as it was filled: at first only all of
            # the time so far tells what it holds.
            average = max(average, self.through / (now - self.first_at))
        touched = (
            not used_up
            and at_loss * max(since - self.last_pause - self.latency, since / 4) < _NEAR * got
        )
        if not self.found and ceiling is None and now >= self.told_until:  # it was doubling
            self.found, self.depth, self.calm = 0.5 * at_loss, _DEEPEST, 2.0
            enough = True
        elif grown or not enough:
            self.found = 0.85 * at_loss
        elif touched:
            self.found = 0.97 * at_loss
        else:
            self.found = min(0.85 * at_loss, average)
        if grown or (
            self.depth < _SHALLOW and self.found < before / 2
        ):  # another limit than before
            self.depth, self.calm = _DEEPEST / 2, min(_CALMEST_SECONDS, max(10.0, 60 / self.found))
        elif self._since_loss(now) >= self.calm and enough:
            self.depth = max(_FLATTEST, self.depth / 2)
            self.calm = min(_CALMEST_SECONDS, max(10.0, 2 * self.calm, 60 / self.found))
        if enough or grown:
            self.counted_from, self.counted = now, self.through
        self.found = max(_SLOWEST, self.found)
        self.loss_at = now

    def _takes_for_loss(self, now: float, seen: Seen) -> bool:
        """True when a bare 503 counts; begins its trial, in which others don't unless they are
        many.
        """
        if self.busy_share >= _MANY_BUSY:
            return True
        if now < self.deaf_until or self.trial_left or seen.ordinal <= self.recovered:
            return False
        self.trial_left, self.trial_busy = _TRIAL_REPLIES, 0.0
        self.trial_share = max(self.busy_share, _SHARE_OF_ONE)
        self.trial_rate, self.trial_found = self.rate, self.found
        return True

    def _weigh_trial(self, now: float, seen: Seen) -> None:
        busy = seen.kind == "busy"
        self.busy_share += (busy - self.busy_share) * _SHARE_OF_ONE
        if not self.trial_left or seen.ordinal <= self.recovered:
            return
        self.trial_left -= 1
        self.trial_busy += busy
        if not self.trial_left and self.trial_busy / _TRIAL_REPLIES >= self.trial_share / 3:
            self.rate, self.found = self.trial_rate, self.trial_found
            self.deaf_until = now + _DEAF_SECONDS

    # Headers

    def _heed(self, now: float, seen: Seen) -> None:
        """Take the lowest of the limits that a reply tells."""
        under_way = max(0.0, self.taken - seen.ordinal)
        rates: list[tuple[float, float]] = []
        shortages: list[tuple[float, float]] = []
        for quota in seen.quotas:
            rate = self._rate_of(quota)
            if rate:
                rates.append(
                    (
                        max(_SLOWEST, rate),
                        now + max(60.0, 2 * (quota.window_seconds or self.window)),
                    )
                )
            if quota.remaining is not None and quota.reset_seconds is not None:
                shortages += self._shortage(
                    now, rate, quota.remaining, under_way, quota.reset_seconds
                )
        if rates:
            self.told, self.told_until = min(rates)
        self.spread, self.spread_until = min(shortages, default=(0.0, -math.inf))

    def _rate_of(self, quota: Quota) -> float:
        """Requests per second by a quota and its window; where none is named it is the longest
        reset seen so far.
        """
        if not quota.limit:
            return 0.0
        if quota.window_seconds:
            return quota.limit / quota.window_seconds
        self.window = max(self.window, quota.reset_seconds or 0.0)
        return quota.limit / self.window if self.window else 0.0

    def _shortage(
        self, now: float, rate: float, remaining: float, under_way: float, reset: float
    ) -> Iterable[tuple[float, float]]:
        """(rate, until) when less remains than the rate needs until the reset; with nothing left it
        is a wait.

        Resets come in whole seconds, rounded up or not: one second and one request are no shortage.
        """
        if rate and remaining >= rate * (reset - 1) - 1:
            return
        left = remaining - under_way
        if left > 0:
            yield max(_SLOWEST, left / max(reset, 1.0)), now + reset
        else:
            self.hold(now + reset)

    def _forget_what_is_old(self, now: float) -> None:
        """What was found long ago is no longer known; a wait that was asked for stays."""
        if now - max(self.used_at, self.held_until) < _FORGOTTEN_SECONDS or not self.taken:
            return
        fresh = type(self)(
            held_until=self.held_until, due=self.due, taken=self.taken, recovered=self.taken
        )
        for field in fields(self):
            setattr(self, field.name, getattr(fresh, field.name))

    # As bytes

    def pack(self) -> bytes:
        """The state as bytes of `SIZE` length."""
        return _LAYOUT.pack(*_VALUES(self))

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """The state from bytes; raises ValueError when they are not such."""
        if len(data) != SIZE:
            raise ValueError("not a pace")
        values = _LAYOUT.unpack(data)
        if any(math.isnan(value) for value in values):
            raise ValueError("not a pace")
        return cls(*values)


_VALUES = attrgetter(*(field.name for field in fields(Pace)))
_LAYOUT = struct.Struct(f"<{len(fields(Pace))}d")
SIZE = _LAYOUT.size
"""Bytes of a packed state."""
