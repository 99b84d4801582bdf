"""What a run did and when: counts in short stretches of time, few enough to be kept and drawn
whole.

Pure: what happened goes in with its time, in milliseconds since the run began. A stretch is a
quarter of a second at first; when a run has more of them than are kept, two and two become one,
so that a second and a day are both a few hundred points. Latencies are counted in logarithmic
buckets, eight to an octave, as HdrHistogram and its kin do: merging loses nothing, and a percentile
is right to a twentieth of itself.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from msgspec import Struct, field
from msgspec.structs import replace

from bulk_sync.model import RateSource, State

FIRST_WIDTH_MS = 250
MOST_POINTS = 400
"""So many points are kept of a run; between half and all of them when it is long."""

MOST_DRAWN = 160
"""So many points of all runs are drawn: each is a few pixels wide on a desktop."""

_FEWEST_DRAWN = 12
_REQUESTS_A_POINT = 8
"""On average, where there are enough points: a rate that is counted from less is mostly noise."""

_TO_AN_OCTAVE = 8
_LAST_BUCKET = 160
"""Everything beyond 2 ** 20 milliseconds, a quarter of an hour."""


def latency_bucket(seconds: float) -> int:
    """The bucket of a latency: 0 up to a millisecond, then eight for each doubling."""
    milliseconds = seconds * 1000
    return (
        0
        if milliseconds <= 1
        else min(_LAST_BUCKET, math.ceil(math.log2(milliseconds) * _TO_AN_OCTAVE))
    )


def percentile(latencies: Mapping[int, int], share: float) -> float | None:
    """The latency, in milliseconds, that `share` (0 to 1) of the counted ones don't exceed; None
    when there are none.

    It is the middle of its bucket, so at most 5 % off.
    """
    buckets = sorted(bucket for bucket, count in latencies.items() if count > 0)
    wanted = share * sum(latencies[bucket] for bucket in buckets)
    for bucket, count in zip(
        buckets, accumulate(latencies[bucket] for bucket in buckets), strict=True
    ):
        if count >= wanted:
            return 1.0 if bucket == 0 else 2.0 ** ((bucket - 0.5) / _TO_AN_OCTAVE)
    return None


class Counts(Struct, frozen=True):
    """What happened in some stretch of time: rows by state, requests, and their latencies by
    bucket.

    `limit` is the last known one, in requests per second.
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
        """What came to running counts after they were `before`."""
        return Counts(
            Counter(self.states) - Counter(before.states),
            self.requests - before.requests,
            self.retries - before.retries,
            self.throttled - before.throttled,
            self.limit,
            self.source,
            Counter(self.latencies) - Counter(before.latencies),
        )

    def then(self, later: Counts) -> Counts:
        """Both together; the later one knows the limit best."""
        known = self if later.limit is None else later
        return Counts(
            Counter(self.states) + Counter(later.states),
            self.requests + later.requests,
            self.retries + later.retries,
            self.throttled + later.throttled,
            known.limit,
            known.source,
            Counter(self.latencies) + Counter(later.latencies),
        )


class Point(Struct, frozen=True):
    """A stretch of a run: from `at_ms`, `width_ms` long, of which `covered_ms` had passed when it
    was noted last.
    """

    at_ms: int
    width_ms: int
    covered_ms: int
    counts: Counts


class Run(Struct, frozen=True):
    """A run's points, in order of time; `began` is a time in UTC as reports show it."""

    began: str
    points: tuple[Point, ...]


class Unsaved(Struct, frozen=True):
    """Points that changed; when `whole`, they take the place of all that were kept of the run."""

    began: str
    whole: bool
    points: tuple[Point, ...]


class Line:
    """The points of a run that goes on, and which of them are yet to be kept."""

    def __init__(self, began: str) -> None:
        self._began = began
        self._width = FIRST_WIDTH_MS
        self._points: dict[int, Point] = {}
        self._changed: set[int] = set()
        self._whole = True

    def add(self, at_ms: int, counts: Counts) -> None:
        """Note what happened up to now, `at_ms` milliseconds after the run began."""
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
            self._whole = True

    def unsaved(self) -> Unsaved | None:
        """What is to be written, None when nothing is; it stays so until `saved`."""
        if not self._changed:
            return None
        starts = self._points if self._whole else sorted(self._changed)
        return Unsaved(self._began, self._whole, tuple(self._points[start] for start in starts))

    def saved(self) -> None:
        """What `unsaved` gave last is written."""
        self._changed.clear()
        self._whole = False


def widened(points: Iterable[Point], width_ms: int) -> list[Point]:
    """The points, in order of time, put together into stretches of that width, a multiple of
    theirs.
    """
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


class Figure(Struct, frozen=True):
    """What is drawn of one stretch; rates are per second, latencies in milliseconds.

    `at_seconds` is the time that the runs had lasted together when it began.
    """

    at_seconds: float
    rows: float
    requests: float
    limit: float | None
    retries: int
    throttled: int
    p50: float | None
    p90: float | None
    p99: float | None


class Drawing(Struct, frozen=True):
    """Figures of equal width on one time axis, the runs one after the other; `begins` are (time,
    index) of each run.

    `lasted_seconds` is where the axis ends; `limit` and `source` are the last known, `latency` is
    p50, p90, p99 of all.
    """

    width_seconds: float
    lasted_seconds: float
    begins: tuple[tuple[float, str], ...]
    figures: tuple[Figure, ...]
    limit: float | None
    source: RateSource
    latency: tuple[float | None, float | None, float | None]


def draw(runs: Sequence[Run], most: int = MOST_DRAWN) -> Drawing | None:
    """The runs as figures, at most `most` and one for each run; None when nothing was sent."""
    runs = [run for run in runs if run.points]
    if not runs:
        return None
    width = _width_for(runs, most)
    figures: list[Figure] = []
    begins = []
    total, begin, ended = Counts(), 0, 0
    for run in runs:
        begins.append((begin / 1000, run.began))
        stretches = _stretches(run, width)
        for number, (seconds, counts) in enumerate(stretches):
            figures.append(_figure((begin + number * width) / 1000, seconds, counts, total.limit))
            total = total.then(counts)
        ended = begin + (len(stretches) - 1) * width + min(width, round(stretches[-1][0] * 1000))
        begin += len(stretches) * width
    return Drawing(
        width / 1000,
        ended / 1000,
        tuple(begins),
        tuple(figures),
        total.limit,
        total.source,
        _percentiles(total),
    )


def _stretches(run: Run, width_ms: int) -> list[tuple[float, Counts]]:
    """(seconds, counts) from the run's beginning to its end, silence too.

    The last one is as long as it was; less than half of one is part of the one before, for a rate
    counted from so little is mostly noise.
    """
    points = {point.at_ms: point for point in widened(run.points, width_ms)}
    last = max(points)
    nothing = Counts()
    found = [
        (width_ms / 1000, points[start].counts if start in points else nothing)
        for start in range(0, last + width_ms, width_ms)
    ]
    covered = points[last].covered_ms
    if covered * 2 < width_ms and len(found) > 1:
        (_, counts), (seconds, before) = found.pop(), found.pop()
        return [*found, (seconds + covered / 1000, before.then(counts))]
    found[-1] = (max(covered, FIRST_WIDTH_MS / 5) / 1000, points[last].counts)
    return found


def _width_for(runs: Sequence[Run], most: int) -> int:
    width = max(point.width_ms for run in runs for point in run.points)
    requests = sum(point.counts.requests for run in runs for point in run.points)
    while True:
        stretches = sum(run.points[-1].at_ms // width + 1 for run in runs)
        noisy = stretches > _FEWEST_DRAWN and requests < _REQUESTS_A_POINT * stretches
        if stretches == len(runs) or not (stretches > most or noisy):
            return width
        width *= 2


def _figure(
    at_seconds: float, seconds: float, counts: Counts, limit_before: float | None
) -> Figure:
    decided = sum(count for state, count in counts.states.items() if state is not State.PENDING)
    p50, p90, p99 = _percentiles(counts)
    return Figure(
        at_seconds,
        decided / seconds,
        counts.requests / seconds,
        limit_before if counts.limit is None else counts.limit,
        counts.retries,
        counts.throttled,
        p50,
        p90,
        p99,
    )


def _percentiles(counts: Counts) -> tuple[float | None, float | None, float | None]:
    return (
        percentile(counts.latencies, 0.5),
        percentile(counts.latencies, 0.9),
        percentile(counts.latencies, 0.99),
    )
