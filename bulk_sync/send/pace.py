"""The pace: the one place that decides when a request may leave. Pure.

Permits are evenly spaced: `due`, the instant of the next one, advances by one interval with each
permit (GCRA, the virtual-scheduling form of the leaky bucket, ITU-T I.371, annex A). The interval
follows the lowest of three rates: the user's, the one that headers advertise (`advertised`), and
the one found by probing (`search`). A refusal holds all permits for as long as the API asks, else
briefly, and twice as long for each further refusal in a row.

Instants are in seconds on any monotonic clock, and every method takes the time as an argument. The
state consists of numbers only, so that runs can share it in a file (`budget`).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import NamedTuple, Self

from bulk_sync.model.rows import RateSource
from bulk_sync.send.advertised import Advertised
from bulk_sync.send.observation import Observation
from bulk_sync.send.search import Search, Trial

SPARE = 1.007
"""Intervals are this much longer than the rate requires. When some requests arrive 7 ms early or
late, a strict one-second window of the server still doesn't count one too many.
"""

TOLERANCE_SECONDS = 0.005
"""The part of a late wake-up that is made up for: permits missed in it may be used in a burst."""

GROUP_SECONDS = 0.01
"""The permits of this time may be reserved as one group."""

# An idle budget forgets its limit after this time, because the server's may have changed.

_FORGOTTEN_SECONDS = 600.0


class Group(NamedTuple):
    """Permits reserved as a group: the first is due at `start`, the next ones at each `interval`.

    `ordinal` is that of the first.
    """

    start: float
    interval: float
    number: int
    ordinal: float


@dataclass(slots=True)
class Pace:
    """The state of one budget: when the next permit is due, and the limit as far as known."""

    due: float = -math.inf
    held_until: float = -math.inf
    taken: float = 0.0
    """The number of permits taken so far, which is the ordinal of the latest."""
    used_at: float = -math.inf
    latency: float = 0.0
    """Seconds, smoothed."""
    search: Search = field(default_factory=Search)
    advertised: Advertised = field(default_factory=Advertised)
    trial: Trial = field(default_factory=Trial)

    # Permits

    def reserve(self, now: float, ceiling: float | None = None) -> float:
        """Take the next permit and return when it is due; `ceiling` is the user's rate per second.

        A request that leaves late does not move the next permit.
        """
        self._forget_what_is_old(now)
        at = max(self.due, now - TOLERANCE_SECONDS, self.held_until)
        interval = SPARE / self.per_second(at, ceiling)
        if self.search.pauses > 1 and self.held_until >= at:
            # After repeated refusals one request leaves alone: its reply is known before the next.
            interval = max(interval, 2 * self.latency)
        self.due = at + interval
        self.taken += 1
        self.used_at = now
        return max(at, now)

    def reserve_group(self, now: float, most: int, ceiling: float | None = None) -> Group:
        """Take up to `most` permits of the next `GROUP_SECONDS` as a group, at least one.

        The group is a single permit until the search has recovered from a refusal, and while
        headers advertise a limit, because then each reply may change the pace.
        """
        interval = SPARE / self.per_second(max(now, self.due), ceiling)
        number = min(most, int(GROUP_SECONDS / interval))
        if (
            number < 2
            or self.search.pauses
            or self.held_until > now
            or self.advertised.known_until > now
            or self.advertised.spread_until > now
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
        """Return the rate in force."""
        return min(self._rates(now, ceiling))

    def limit(self, now: float, ceiling: float | None = None) -> tuple[float | None, RateSource]:
        """Return the lowest known limit, per second, and its source."""
        advertised = self.advertised.rate if self.advertised.is_known(now) else 0.0
        limits = (
            (ceiling or 0.0, RateSource.OPTION),
            (advertised, RateSource.HEADER),
            (self.search.limit, RateSource.FOUND),
        )
        known = [(rate, source) for rate, source in limits if rate]
        return min(known, default=(None, RateSource.NONE))

    def _rates(self, now: float, ceiling: float | None) -> Iterator[float]:
        if ceiling is not None:
            yield ceiling
        yield from self.advertised.rates(now)
        if self.search.limit:
            yield self.search.curve(now, self.held_until)
        elif ceiling is None:
            yield self.search.rate

    # Observations

    def observe(
        self, now: float, seen: Observation, dice: float, ceiling: float | None = None
    ) -> None:
        """Take a reply into account; `dice`, 0 to 1, is for the jitter of a pause."""
        if seen.quotas:
            in_flight = max(0.0, self.taken - seen.ordinal)
            self.hold(self.advertised.observe(now, seen.quotas, in_flight))
        if seen.kind == "through":
            self.search.got_through(now, seen, is_advertised=self.advertised.is_known(now))
            self.latency += (seen.seconds - self.latency) * (0.1 if self.latency else 1.0)
        elif seen.kind == "throttled" or (
            seen.kind == "busy" and self.trial.is_loss(now, seen, self.search)
        ):
            self._lost(now, seen, dice, ceiling)
        self.trial.weigh(now, seen, self.search)

    def _lost(self, now: float, seen: Observation, dice: float, ceiling: float | None) -> None:
        search = self.search
        # Requests that left before the last loss was known are refused by the same limit.
        is_news = seen.ordinal > search.recovered
        if is_news:
            if not search.pauses:
                is_limited = ceiling is not None or self.advertised.is_known(now)
                search.lost(
                    now,
                    self.per_second(now, ceiling),
                    held_until=self.held_until,
                    latency=self.latency,
                    was_doubling=not search.limit and not is_limited,
                )
            search.recovered = self.taken
            search.pauses += 1
        if seen.asked_seconds:
            # Servers round waits up to whole seconds, so up to one may be for nothing.
            search.last_pause = min(seen.asked_seconds, 1.0)
            self.hold(now + seen.asked_seconds)
        elif is_news:
            self.hold(now + search.pause(now, dice))

    def _forget_what_is_old(self, now: float) -> None:
        """Start over when the budget was unused for long; a hold stays."""
        if now - max(self.used_at, self.held_until) < _FORGOTTEN_SECONDS or not self.taken:
            return
        self.latency = 0.0
        self.search = Search(recovered=self.taken)
        self.advertised = Advertised()
        self.trial = Trial()

    # As bytes

    def pack(self) -> bytes:
        """Return the state as `SIZE` bytes."""
        return _LAYOUT.pack(
            *(value for part in self._parts() for value in _VALUES[type(part)](part))
        )

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Return the state from bytes; raise ValueError when they don't hold one."""
        if len(data) != SIZE:
            raise ValueError("not a pace")
        values = iter(_LAYOUT.unpack(data))
        pace = cls()
        for part in pace._parts():
            for name in _NAMES[type(part)]:
                value = next(values)
                if math.isnan(value):
                    raise ValueError("not a pace")
                setattr(part, name, value)
        return pace

    def _parts(self) -> Iterable[_Part]:
        return self, self.search, self.advertised, self.trial


_Part = Pace | Search | Advertised | Trial

# The persisted numbers of each part, in the order of its fields.
_NAMES = {
    part: tuple(one.name for one in fields(part) if one.type == "float")
    for part in (Pace, Search, Advertised, Trial)
}
_VALUES = {part: attrgetter(*names) for part, names in _NAMES.items()}
_LAYOUT = struct.Struct(f"<{sum(map(len, _NAMES.values()))}d")
SIZE = _LAYOUT.size
"""Bytes of a packed state."""
