"""When jobs that run at the same time are done, at the earliest. Pure.

Invariants of the schedule of jobs without bounds:

1. The requests of one key are never sent faster than its limits allow for all of them together, so
   no schedule ends before the key with the longest total.
2. A job that runs and has requests left always sends, so no schedule ends later than one that
   sends all requests of a key, then all of the next.
3. Jobs begin in their order, as many at the same time as may. Those of one key share it equally.

Retries, refusals and the time for reading sheets are not counted.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import Struct
from msgspec.structs import replace

from bulk_sync.model.estimates import SPACED_SECONDS, Window, seconds_to_send

# Halvings of an interval until only the rounding of floats is left.
_HALVINGS = 60


class KeyLimits(Struct, frozen=True):
    """The limits of a key that hold for all of its jobs together.

    `per_second` None is a rate that is unknown. No request leaves in the first `held_seconds`.
    """

    per_second: float | None = None
    windows: tuple[Window, ...] = ()
    held_seconds: float = 0.0

    def seconds(self, requests: float) -> float:
        """Return the least time for so many requests from now; infinity if they never end."""
        return seconds_to_send(
            requests, self.per_second, self.windows, held_seconds=self.held_seconds
        )

    def is_known_for(self, requests: float) -> bool:
        """Return False if nothing known bounds their rate, or if the limits allow none of them."""
        seconds = self.seconds(requests)
        bounds = math.isfinite(self.spaced) or seconds > self.held_seconds
        return bounds and math.isfinite(seconds)

    @property
    def spaced(self) -> float:
        """The most requests per second at any moment."""
        short = (
            window.contents / window.seconds
            for window in self.windows
            if window.contents and window.seconds and window.seconds <= SPACED_SECONDS
        )
        return min((math.inf if self.per_second is None else self.per_second, *short))


class PlannedJob(Struct, frozen=True):
    """A job: its key, the requests to send, and its bounds in seconds.

    `per_second` is the job's own rate. It ends `until` seconds from now, or when it has run for
    `within` seconds, whichever is sooner.
    """

    key: str
    requests: int
    per_second: float | None = None
    until: float = math.inf
    within: float = math.inf


class Expected(Struct, frozen=True):
    """The course of a job, in seconds from now.

    `needs` is when it would be done without bounds, and `window` when its bounds end it; `pending`
    counts the requests that are not sent by then. `limit_known` is False if no limit of its key is
    known, and `known` also if it may wait for such a job: then all of these are the least values.
    """

    begins: float
    needs: float
    window: float
    pending: int
    known: bool
    limit_known: bool = True

    @property
    def suffices(self) -> bool | None:
        """True if the bounds leave enough time; None if that is unknown, or there are none."""
        if self.pending:
            return False
        return None if math.isinf(self.window) or not self.known else True


def expected(
    jobs: Sequence[PlannedJob], limits: Mapping[str, KeyLimits], at_once: int
) -> tuple[Expected, ...]:
    """Return the course of each job; `limits` has those of each key."""
    totals: Counter[str] = Counter()
    for job in jobs:
        totals[job.key] += job.requests
    known = {key: one.is_known_for(totals[key]) for key, one in limits.items()}
    # A rate that is unknown counts as infinite: later jobs begin no sooner than that.
    counted = {key: one if known[key] else KeyLimits() for key, one in limits.items()}
    unbound = [replace(job, until=math.inf, within=math.inf) for job in jobs]
    freely = _Schedule(unbound, counted, at_once).run()
    bound = _Schedule(jobs, counted, at_once).run()
    waits_for_unknown = False
    found = []
    for place, (job, free, ended) in enumerate(zip(jobs, freely, bound, strict=True)):
        begins_known = place < at_once or not waits_for_unknown
        window = min(job.until, ended.begins + job.within)
        found.append(
            Expected(
                begins=free.begins,
                needs=free.ends,
                window=window,
                pending=math.ceil(ended.left - 1e-6),
                known=not job.requests or (known[job.key] and begins_known),
                limit_known=not job.requests or known[job.key],
            )
        )
        waits_for_unknown |= bool(job.requests) and not known[job.key]
    return tuple(found)


@dataclass(slots=True)
class _Course:
    """A job on its way: `ends` is when its place is free for another."""

    job: PlannedJob
    left: float
    begins: float = 0.0
    ends: float = 0.0
    has_ended: bool = False

    @property
    def floor(self) -> float:
        """The earliest end by the job's own rate."""
        rate = self.job.per_second
        return self.begins + (self.job.requests / rate if rate else 0.0)

    @property
    def bound(self) -> float:
        return max(self.begins, min(self.job.until, self.begins + self.job.within))


@dataclass(slots=True)
class _Key:
    """The requests of a key: `sent` were by the instant `at`, and the courses share it."""

    limits: KeyLimits
    sent: float = 0.0
    at: float = 0.0
    courses: list[_Course] = field(default_factory=list)
    version: int = 0

    def next_event(self) -> float:
        """Return the instant at which the next of the courses ends."""
        sending = [one for one in self.courses if one.left > 0]
        ends = [min(one.bound, one.floor) for one in self.courses if one.left <= 0]
        if sending:
            least = min(sending, key=lambda one: one.left).left
            ends.append(self._instant_of(least * len(sending)))
            ends.append(min(one.bound for one in sending))
        return max(self.at, min(ends))

    def advance(self, instant: float) -> Iterator[_Course]:
        """Send until an instant; yield the courses that end at it."""
        sending = [one for one in self.courses if one.left > 0]
        if sending:
            least = min(sending, key=lambda one: one.left).left
            all_of_it = least * len(sending)
            if self._instant_of(all_of_it) <= instant:
                each = least
            else:
                each = self._sent_by(instant, all_of_it) / len(sending)
            self.sent += each * len(sending)
            for one in sending:
                one.left = 0.0 if one.left <= each else one.left - each
        self.at = max(self.at, instant)
        ended = [
            one
            for one in self.courses
            if one.bound <= self.at or (one.left <= 0 and one.floor <= self.at)
        ]
        for one in ended:
            one.ends, one.has_ended = self.at, True
            self.courses.remove(one)
            yield one

    def _instant_of(self, requests: float) -> float:
        """Return when so many more are sent: no faster than the rate, and than all since now."""
        rate = self.limits.spaced
        by_rate = self.at + (0.0 if math.isinf(rate) else requests / rate)
        return max(by_rate, self.limits.seconds(self.sent + requests))

    def _sent_by(self, instant: float, most: float) -> float:
        low, high = 0.0, most
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if self._instant_of(middle) <= instant else (low, middle)
        return low


class _Schedule:
    """Runs the jobs from one end of a job to the next."""

    def __init__(
        self, jobs: Sequence[PlannedJob], limits: Mapping[str, KeyLimits], at_once: int
    ) -> None:
        self._courses = [_Course(job, float(job.requests)) for job in jobs]
        self._waiting = iter(self._courses)
        self._free = at_once
        self._keys = {key: _Key(one) for key, one in limits.items()}
        self._events: list[tuple[float, str, int]] = []

    def run(self) -> list[_Course]:
        self._begin(0.0)
        while self._events:
            instant, name, version = heapq.heappop(self._events)
            key = self._keys[name]
            if version != key.version:
                continue
            ended = list(key.advance(instant))
            self._foresee(name)
            self._free += len(ended)
            self._begin(instant)
        return self._courses

    def _begin(self, instant: float) -> None:
        """Let waiting jobs begin at an instant, as many as may."""
        changed: dict[str, None] = {}
        while self._free:
            course = next(self._waiting, None)
            if course is None:
                break
            self._free -= 1
            name = course.job.key
            self._free += len(list(self._keys[name].advance(instant)))
            course.begins = instant
            self._keys[name].courses.append(course)
            changed[name] = None
        for name in changed:
            self._foresee(name)

    def _foresee(self, name: str) -> None:
        key = self._keys[name]
        key.version += 1
        if key.courses:
            heapq.heappush(self._events, (key.next_event(), name, key.version))
