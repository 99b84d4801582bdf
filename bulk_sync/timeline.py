"""The timeline of a run: counts per interval, few enough to store and draw. Pure.

Counts are added with their time, in milliseconds since the run began. An interval is a quarter of a
second at first. When a run has more than `MOST_POINTS`, pairs are merged, so that a minute and a
day both take a few hundred points. Latencies are counted in logarithmic buckets, eight per octave,
as in HdrHistogram: merging loses nothing, and a percentile is accurate to 5 %.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from bulk_sync.model.rows import RateSource, State

FIRST_WIDTH_MS = 250
MOST_POINTS = 400
"""The most points of a run; a long one has between half and all of them."""


BUCKETS_PER_OCTAVE = 8
# For latencies over 2 ** 20 milliseconds, a quarter of an hour.
_LAST_BUCKET = 160


def latency_bucket(seconds: float) -> int:
    """Return the bucket of a latency: 0 up to a millisecond, then eight for each doubling."""
    milliseconds = seconds * 1000
    if milliseconds <= 1:
        return 0
    return min(_LAST_BUCKET, math.ceil(math.log2(milliseconds) * BUCKETS_PER_OCTAVE))


class Counts(Struct, frozen=True, gc=False):
    """The counts of an interval: rows by state, requests, and latencies by bucket.

    `limit` is the latest known limit, in requests per second.
    """

    states: Mapping[State, int] = field(default_factory=dict)
    requests: int = 0
    retries: int = 0
    throttled: int = 0
    limit: float | None = None
    source: RateSource = RateSource.NONE
    latencies: Mapping[int, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.requests or self.retries or self.throttled or any(self.states.values()))

    def since(self, before: Counts) -> Counts:
        """Return the difference of two running counts."""
        return Counts(
            dict(Counter(self.states) - Counter(before.states)),
            self.requests - before.requests,
            self.retries - before.retries,
            self.throttled - before.throttled,
            self.limit,
            self.source,
            dict(Counter(self.latencies) - Counter(before.latencies)),
        )

    def then(self, later: Counts) -> Counts:
        """Return the sum, with the later limit if it is known."""
        known = self if later.limit is None else later
        return Counts(
            dict(Counter(self.states) + Counter(later.states)),
            self.requests + later.requests,
            self.retries + later.retries,
            self.throttled + later.throttled,
            known.limit,
            known.source,
            dict(Counter(self.latencies) + Counter(later.latencies)),
        )


class Point(Struct, frozen=True, gc=False):
    """An interval of a run: it begins at `at_ms` and is `width_ms` long.

    `covered_ms` of it had passed when counts were last added.
    """

    at_ms: int
    width_ms: int
    covered_ms: int
    counts: Counts


class Run(Struct, frozen=True):
    """A run's points in order of time; `began` is in UTC, as reports show it."""

    began: str
    points: tuple[Point, ...]


class Unsaved(Struct, frozen=True):
    """Changed points; with `whole`, they replace all stored points of the run."""

    began: str
    whole: bool
    points: tuple[Point, ...]


class Line:
    """The points of the current run, and which of them are still to be stored."""

    def __init__(self, began: str) -> None:
        self._began = began
        self._width = FIRST_WIDTH_MS
        self._points: dict[int, Point] = {}
        self._changed: set[int] = set()
        self._whole = True

    def add(self, at_ms: int, counts: Counts) -> None:
        """Add counts at `at_ms` milliseconds since the run began."""
        start = at_ms - at_ms % self._width
        before = self._points.get(start)
        both = before.counts.then(counts) if before else counts
        self._points[start] = Point(start, self._width, at_ms - start, both)
        self._changed.add(start)
        while len(self._points) > MOST_POINTS:
            self._width *= 2
            self._points = {
                point.at_ms: point for point in widened(self._points.values(), self._width)
            }
            self._whole = True  # the stored points have another width

    def unsaved(self) -> Unsaved | None:
        """Return the points to store, None if there are none; repeatable until `saved`."""
        if not self._changed:
            return None
        starts = self._points if self._whole else sorted(self._changed)
        return Unsaved(self._began, self._whole, tuple(self._points[start] for start in starts))

    def saved(self) -> None:
        """Note that the last `unsaved` points are stored."""
        self._changed.clear()
        self._whole = False


def widened(points: Iterable[Point], width_ms: int) -> list[Point]:
    """Merge points, given in order of time, into intervals of `width_ms`, a multiple of theirs."""
    wide: list[Point] = []
    for point in points:
        start = point.at_ms - point.at_ms % width_ms
        covered = point.at_ms - start + point.covered_ms
        if wide and wide[-1].at_ms == start:
            wide[-1] = replace(
                wide[-1], covered_ms=covered, counts=wide[-1].counts.then(point.counts)
            )
        else:
            wide.append(Point(start, width_ms, covered, point.counts))
    return wide
