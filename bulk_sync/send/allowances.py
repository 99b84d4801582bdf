"""Quotas with long windows, spent at once and then waited for. Pure.

An allowance is so many requests until a reset. Three kinds are kept here, and a request must fit
into all of them:

- `Stated`: the API states what is left, in headers or in `GET /v1/users/me`.
- `Spent`: the user's own rates by the minute, hour or day, counted here. They hold for any window
  of that length, because the server's may begin at any time.
- `found.Found`, in a module of its own: the API states nothing, and refusals show the window.

Invariant: permits granted since the window began, less those known to be counted, never exceed
what is left less the reserve. After a reset one request leaves alone, since only its reply shows
what the new window holds.

Shorter windows are spaced evenly instead (`advertised`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from bulk_sync.model.rows import RateSource
from bulk_sync.quantities import Rate, Share
from bulk_sync.send.headers import Quota
from bulk_sync.send.observation import Observation

LONG_SECONDS = 10.0
"""A quota with a longer window is an allowance."""

# A window is over this much after its stated reset, which may lack a part of a second.
_MARGIN_SECONDS = 0.05

CERTAIN_SECONDS = 1 + _MARGIN_SECONDS
"""A reset that was stated once, in whole seconds, is certain so much later."""

# Two stated resets this close are the same one: each may be off by a second, and by the way there.
_SAME_RESET_SECONDS = 1.6

LONE_SECONDS = 5.0
"""After this time a request alone that got no reply is given up, and another may leave."""

# With all requests answered, `least` is what is left. They are after so many latencies.
_QUIET_SECONDS, _QUIET_LATENCIES = 1.0, 4.0

# A refusal with less than this part of an allowance left is explained by it.
_FEW_PART = 0.03

_SEGMENTS = 16

SOURCES = (RateSource.NONE, RateSource.HEADER, RateSource.ACCOUNT)
"""The sources of allowances, by the number in their slots."""

_NOTHING = Share(count=0)


class Given(NamedTuple):
    """The user's own limits, all of which hold, and the part of each allowance left to others."""

    rates: tuple[Rate, ...] = ()
    leave: Share = _NOTHING

    @property
    def ceiling(self) -> float | None:
        """The lowest of the rates with short windows, per second."""
        if not self.rates:
            return None
        return min(
            (r.per_second for r in self.rates if not is_long(r.period_seconds)), default=None
        )

    @property
    def allowances(self) -> tuple[Rate, ...]:
        """The rates with long windows."""
        return tuple(rate for rate in self.rates if is_long(rate.period_seconds))


class Room(NamedTuple):
    """The permits that may leave at once; with none, the instant at which one may."""

    permits: float = math.inf
    until: float = -math.inf


FREE = Room()
"""Room without bounds."""

NO_LIMITS = Given()
"""No limits of the user's own."""


class Now(NamedTuple):
    """The state of the pace that allowances depend on; `answered` is the latest ordinal."""

    at: float
    taken: float
    answered: float
    used_at: float
    latency: float
    leave: Share = _NOTHING


def is_long(seconds: float) -> bool:
    """Return whether a window of this length is spent at once."""
    return seconds > LONG_SECONDS


def reserve_of(leave: Share, limit: float) -> float:
    """Return the requests of an allowance that are left to others."""
    if leave.count is not None:
        return float(leave.count)
    return math.ceil((leave.percent or 0.0) / 100 * limit - 1e-9)


@dataclass(slots=True)
class Stated:
    """One quota as the API states it; instants are on the pace's clock."""

    source: float = 0.0
    """Index into `SOURCES`; 0 when the slot is free."""
    window: float = 0.0
    """Seconds; 0 if not stated."""
    limit: float = 0.0
    """Requests per window; 0 if not stated and not learnt yet."""
    most: float = 0.0
    """The most that was left in this window."""
    end: float = 0.0
    """The ordinal of the last permit that is covered: the lowest by the replies of a round."""
    end_before: float = math.inf
    """The same by the replies of the round before. A round ends when all its permits are answered,
    so that replies that overtake each other do not show too much.
    """
    round_ends: float = 0.0
    least: float = math.inf
    """The fewest stated in this window."""
    newest: float = 0.0
    since: float = 0.0
    """Permits up to this ordinal belong to an earlier window."""
    first_reset: float = math.inf
    last_reset: float = -math.inf
    """The earliest and the latest instant stated for the reset of this window."""
    resets_at: float = math.inf
    """The instant from which the reset is certain."""
    refill: float = 0.0
    """Requests per second, when the quota refills evenly instead of at a reset."""
    at: float = -math.inf
    """When `end` was stated."""
    lone_at: float = -math.inf
    """When the first request after a reset left; -inf once it is answered."""
    doubted: float = -math.inf
    """The stated reset before which a request leaves all the same; -inf if none does."""
    longest: float = 0.0
    """The longest time until a reset that was stated, in seconds: a window lasts at least that."""

    def room(self, now: Now) -> Room:
        """Return the permits that may leave now."""
        if not self.source:
            return FREE
        reserve = reserve_of(now.leave, self.limit or self.most)
        if self.refill:
            return self._refilled(now, reserve)
        if now.at >= self.resets_at:
            if now.at < self.lone_at + LONE_SECONDS:
                return Room(0.0, self.lone_at + LONE_SECONDS)
            return Room(1.0)
        left = self.left(now.taken) - reserve
        if left >= 1:
            return Room(left)
        if self.least - reserve >= 1 and self.newest >= now.answered:
            quiet = now.used_at + max(_QUIET_SECONDS, _QUIET_LATENCIES * now.latency)
            if now.at >= quiet:
                return Room(self.least - reserve)
            return Room(0.0, min(quiet, self.resets_at))
        return Room(0.0, self.resets_at)

    def _refilled(self, now: Now, reserve: float) -> Room:
        level = self.level(now.at, now.taken) - reserve
        if level >= 1:
            return Room(level)
        return Room(0.0, now.at + (1 - level) / self.refill)

    def left(self, taken: float) -> float:
        """Return what is left before the reset."""
        return min(self.end, self.end_before) - taken

    def level(self, now: float, taken: float) -> float:
        """Return what is left of a quota that refills evenly."""
        return min(self.limit, self.end - taken + (now - self.at) * self.refill)

    def granted(self, now: Now, permits: float) -> None:
        """Note permits; `now.taken` is the number before them."""
        if not self.source or self.refill:
            return
        if now.at >= self.resets_at:
            self.lone_at, self.since = now.at, now.taken
        elif self.left(now.taken) < permits and self.least < math.inf:
            # All earlier requests were answered, so the fewest stated is what is left.
            self.end, self.end_before = now.taken + self.least, math.inf

    def stated(self, begun: float, ordinal: float, quota: Quota, taken: float) -> None:
        """Take in what a reply states; its request left at `begun` with the permit `ordinal`."""
        remaining = quota.remaining or 0.0
        reset = math.inf if quota.reset_seconds is None else begun + quota.reset_seconds
        if ordinal <= self.since:
            return
        self.limit = quota.limit or self.limit
        self.window = quota.window_seconds or self.window
        self.longest = max(self.longest, quota.reset_seconds or 0.0)
        if self.lone_at > -math.inf or begun >= self.resets_at or self.at == -math.inf:
            self._begin(begun, ordinal, remaining, reset, quota)
        elif self.refill:
            if ordinal > self.newest:
                self.newest, self.at, self.end = ordinal, begun, ordinal + remaining
        elif reset > self.first_reset + _SAME_RESET_SECONDS:
            # The reset moved although its window is not over.
            self.refill = self._refill_of(remaining, quota)
            self._begin(begun, ordinal, remaining, reset, quota)
        elif reset >= self.last_reset - _SAME_RESET_SECONDS:
            if ordinal > self.round_ends:
                self.end_before, self.end, self.round_ends = self.end, math.inf, taken
            self._go_on(begun, ordinal, remaining, reset, quota)

    def _begin(
        self, begun: float, ordinal: float, remaining: float, reset: float, quota: Quota
    ) -> None:
        """Begin a window with the first reply about it."""
        alone = self.lone_at > -math.inf and self.doubted == -math.inf
        if alone and not quota.limit:
            self.limit = remaining + 1
        length = quota.window_seconds or 0.0
        if alone and remaining < 1 and length and (quota.reset_seconds or 0.0) > length / 2:
            # Hardly anything came free at the reset: it does not come all at once.
            self.refill = self.limit / length
        self.most = remaining
        self.least = self.end_before = math.inf
        self.end, self.round_ends = math.inf, ordinal
        self.first_reset, self.last_reset = math.inf, -math.inf
        if self.doubted > -math.inf:  # it was untrue
            self.longest = quota.reset_seconds or 0.0
        self.lone_at = self.doubted = -math.inf
        self.since, self.newest = ordinal - 1, ordinal
        self._go_on(begun, ordinal, remaining, reset, quota)

    def _go_on(
        self, begun: float, ordinal: float, remaining: float, reset: float, quota: Quota
    ) -> None:
        self.first_reset = min(self.first_reset, reset)
        self.last_reset = max(self.last_reset, reset)
        # Whole seconds are rounded up or down, and many replies show both ends of the second.
        missing = 0.0 if quota.exact else max(0.0, 1 - (self.last_reset - self.first_reset))
        self.resets_at = self.last_reset + missing + _MARGIN_SECONDS
        self.least = min(self.least, remaining)
        self.end = min(self.end, ordinal + remaining)
        self.newest, self.at = max(self.newest, ordinal), begun

    def _refill_of(self, remaining: float, quota: Quota) -> float:
        """Return the refill of a bucket whose stated reset is the time until it is full; else 0."""
        used, reset = self.limit - remaining, quota.reset_seconds or 0.0
        if self.limit <= 0 or used <= 0 or reset < 1:
            return 0.0
        refill = self.limit / quota.window_seconds if quota.window_seconds else used / reset
        return refill if abs(used / refill - reset) < _SAME_RESET_SECONDS + reset / 10 else 0.0

    def explains_refusal(self, now: Now) -> bool:
        """Return whether a refusal is due to this quota; then nothing is left of it.

        A few more may have been used by others, or counted otherwise.
        """
        if not self.source or now.at >= self.resets_at:
            return False
        if not self.refill and self.left(now.taken) <= _FEW_PART * self.most:
            self.least, self.end, self.end_before = 0.0, now.taken, math.inf
        return self.room(now).permits < 1 and self.least < 1

    def missed(self, seen: Observation) -> None:
        """Drop the quota when the lone request after its reset got a reply that does not state it.

        What the new window holds is unknown then. The headers of users/me may lack a quota that
        those of a change have, so after it another request leaves alone.
        """
        if self.lone_at == -math.inf or seen.ordinal <= self.since:
            return
        if seen.of_account and SOURCES[int(self.source)] is RateSource.HEADER:
            self.lone_at = -math.inf
        else:
            self.__init__()  # type: ignore[misc]  # a free slot in its place

    def doubt(self, now: Now, until: float) -> None:
        """Let one request leave before a reset after `until`; its reply shows if that is true."""
        room = self.room(now)
        if room.permits < 1 and until < room.until == self.resets_at < math.inf:
            self.doubted, self.resets_at = self.resets_at, now.at

    def confirmed(self, ordinal: float) -> None:
        """Believe a doubted reset again, because the request that left before it was refused."""
        if self.doubted > -math.inf and ordinal > self.since:
            self.resets_at = self.doubted
            self.lone_at = self.doubted = -math.inf


@dataclass(slots=True)
class Spent:
    """The permits of the latest window of one of the user's rates.

    They are kept in segments of time, the oldest first, each of which leaves the window as a whole:
    never too early, and late by its own length.
    """

    window: float = 0.0
    """Seconds; 0 when the slot is free."""
    firsts: list[float] = field(default_factory=lambda: [-math.inf] * _SEGMENTS)
    lasts: list[float] = field(default_factory=lambda: [-math.inf] * _SEGMENTS)
    counts: list[float] = field(default_factory=lambda: [0.0] * _SEGMENTS)

    def room(self, rate: Rate, now: Now) -> Room:
        """Return the permits that may leave now."""
        left = math.floor(rate.requests + 1e-9) - reserve_of(now.leave, rate.requests)
        since = now.at - self.window - _MARGIN_SECONDS
        held = [(last, n) for last, n in zip(self.lasts, self.counts, strict=True) if last > since]
        left -= sum(count for _, count in held)
        if left >= 1:
            return Room(left)
        if not held:  # the reserve takes all of it
            return Room(0.0, math.inf)
        return Room(0.0, min(last for last, _ in held) + self.window + _MARGIN_SECONDS)

    def granted(self, first: float, last: float, permits: float) -> None:
        """Count permits between two instants."""
        segments = [
            segment
            for segment in zip(self.firsts, self.lasts, self.counts, strict=True)
            if segment[1] > first - self.window - _MARGIN_SECONDS
        ]
        if segments and last - segments[-1][0] <= self.window / 500:
            begun, _, count = segments.pop()
            segments.append((begun, last, count + permits))
        else:
            segments.append((first, last, float(permits)))
        while len(segments) > _SEGMENTS:
            # Join the two neighbours that make the shortest segment.
            spans = [after[1] - one[0] for one, after in pairwise(segments)]
            at = spans.index(min(spans))
            one, after = segments[at : at + 2]
            segments[at : at + 2] = [(one[0], after[1], one[2] + after[2])]
        unused = [(-math.inf, -math.inf, 0.0)] * (_SEGMENTS - len(segments))
        firsts, lasts, counts = zip(*unused, *segments, strict=True)
        self.firsts, self.lasts, self.counts = list(firsts), list(lasts), list(counts)


@dataclass(slots=True)
class Allowances:
    """All allowances of a budget except a found one."""

    stated: list[Stated] = field(default_factory=lambda: [Stated() for _ in range(6)])
    spent: list[Spent] = field(default_factory=lambda: [Spent() for _ in range(3)])

    def room(self, now: Now, given: Given) -> Room:
        """Return the permits that fit into every allowance."""
        rooms = [slot.room(now) for slot in self.stated if slot.source]
        rooms += [self._spent(rate).room(rate, now) for rate in given.allowances]
        return tightest(rooms)

    def granted(self, now: Now, given: Given, last: float, permits: float) -> bool:
        """Note permits from `now.at` to `last`; return True if one begins a stated window anew."""
        stated = [slot for slot in self.stated if slot.source]
        begins = any(now.at >= slot.resets_at for slot in stated)
        for slot in stated:
            slot.granted(now, permits)
        for rate in given.allowances:
            self._spent(rate).granted(now.at, last, permits)
        return begins

    def observe(self, begun: float, taken: float, seen: Observation) -> tuple[Quota, ...]:
        """Take in the quotas of a reply; return those with short windows."""
        short = []
        code = float(SOURCES.index(seen.source))
        stated = []
        for quota in seen.quotas:
            slot = self._slot(code, quota)
            if slot is None:
                short.append(quota)
            elif quota.remaining is not None and quota.reset_seconds is not None:
                slot.source = code
                if slot.refill and seen.kind == "throttled" and quota.remaining < 1:
                    slot.refill, slot.at = 0.0, -math.inf  # it does not come free evenly
                slot.stated(begun, seen.ordinal, quota, taken)
                stated.append(slot)
        if seen.kind == "through":
            for slot in self.stated:
                if slot.source and all(slot is not one for one in stated):
                    slot.missed(seen)
        elif seen.kind == "throttled":
            for slot in self.stated:
                slot.confirmed(seen.ordinal)
        return tuple(short)

    def doubt(self, now: Now, until: float) -> None:
        """Let one request leave although stated resets, all after `until`, forbid it."""
        for slot in self.stated:
            if slot.source:
                slot.doubt(now, until)

    def explain_refusal(self, now: Now) -> bool:
        """Return whether a refusal is due to a stated allowance; then nothing is left of it."""
        # All of them are asked, because each notes that nothing is left of it.
        explained = [slot.explains_refusal(now) for slot in self.stated]
        return any(explained)

    @property
    def are_stated(self) -> bool:
        """True while the API states any."""
        return any(slot.source for slot in self.stated)

    @property
    def awaits_reply(self) -> bool:
        """True while a request alone shows what a new window holds."""
        return any(slot.lone_at > -math.inf for slot in self.stated)

    def _slot(self, code: float, quota: Quota) -> Stated | None:
        """Return the slot of a quota, None if its window is short."""
        for slot in self.stated:
            same = slot.window == (quota.window_seconds or 0.0)
            if slot.source == code and same and (slot.window or self._fits(slot, quota)):
                return slot
        if not is_long(quota.window_seconds or quota.reset_seconds or 0.0):
            return None
        slot = min(self.stated, key=lambda one: (bool(one.source), one.at))
        slot.__init__()  # type: ignore[misc]  # a fresh slot in its place
        return slot

    @staticmethod
    def _fits(slot: Stated, quota: Quota) -> bool:
        return quota.limit is None or slot.limit in {0.0, quota.limit}

    def room_of(self, rate: Rate, now: Now) -> Room:
        """Return the permits that the user's own rate allows now."""
        return self._spent(rate).room(rate, now)

    def _spent(self, rate: Rate) -> Spent:
        for slot in self.spent:
            if slot.window == rate.period_seconds:
                return slot
        slot = min(self.spent, key=lambda one: (one.window > 0, one.lasts[-1]))
        slot.__init__(rate.period_seconds)  # type: ignore[misc]  # a fresh slot in its place
        return slot


def tightest(rooms: list[Room]) -> Room:
    """Return the fewest permits; with none, the latest instant at which one may leave."""
    if not rooms:
        return FREE
    permits = min(room.permits for room in rooms)
    if permits >= 1:
        return Room(permits)
    return Room(0.0, max(room.until for room in rooms if room.permits < 1))
