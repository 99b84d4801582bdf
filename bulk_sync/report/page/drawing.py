"""The facts of a run over time, as charts and their table show them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

from msgspec import Struct

from bulk_sync.model.rows import RateSource, State
from bulk_sync.timeline import BUCKETS_PER_OCTAVE, FIRST_WIDTH_MS, Counts, Run, widened

MOST_DRAWN = 160
"""The maximum of points for all runs together; each is then a few pixels wide on a desktop."""

# Noisy points are merged until this many are left.
_FEWEST_DRAWN = 12

# With fewer requests per point on average, a rate is mostly noise.
_REQUESTS_PER_POINT = 8


def percentile(latencies: Mapping[int, int], share: float) -> float | None:
    """Return a percentile of the latency in milliseconds; `share` is from 0 to 1, 1 for the worst.

    It is the middle of its bucket, accurate to 5 %. None without requests.
    """
    buckets = sorted(bucket for bucket, count in latencies.items() if count > 0)
    wanted = share * sum(latencies[bucket] for bucket in buckets)
    for bucket, count in zip(
        buckets, accumulate(latencies[bucket] for bucket in buckets), strict=True
    ):
        if count >= wanted:
            return 1.0 if bucket == 0 else 2.0 ** ((bucket - 0.5) / BUCKETS_PER_OCTAVE)
    return None


class Figure(Struct, frozen=True):
    """One interval of the charts; rates are per second, latencies in milliseconds.

    `at_seconds` is its start, on an axis that joins all runs without the time between them. `limit`
    is None while the run knew none.
    """

    at_seconds: float
    rows: float
    requests: float
    limit: float | None
    retries: int
    throttled: int
    p50: float | None
    p90: float | None
    worst: float | None


class Drawing(Struct, frozen=True):
    """Figures of equal width on one time axis that joins all runs.

    `begins` has (start in seconds, time of day) of each run; `lasted_seconds` is the end of the
    axis. `limit` and `source` are the latest known; `latency` has p50, p90 and the worst of all
    requests.
    """

    width_seconds: float
    lasted_seconds: float
    begins: tuple[tuple[float, str], ...]
    figures: tuple[Figure, ...]
    limit: float | None
    source: RateSource
    latency: tuple[float | None, float | None, float | None]


def draw(runs: Sequence[Run], most: int = MOST_DRAWN) -> Drawing | None:
    """Return at most `most` figures, but at least one per run; None if nothing was sent."""
    runs = [run for run in runs if run.points]
    if not runs:
        return None
    width = _width_for(runs, most)
    figures: list[Figure] = []
    begins = []
    total, begin, ended = Counts(), 0, 0
    for run in runs:
        begins.append((begin / 1000, run.began))
        intervals = _intervals(run, width)
        limit: float | None = None  # each run learns it anew
        for number, (seconds, counts) in enumerate(intervals):
            limit = counts.limit if counts else limit  # a run that waits still knows it
            figures.append(_figure((begin + number * width) / 1000, seconds, counts, limit))
            total = total.then(counts)
        ended = begin + (len(intervals) - 1) * width + min(width, round(intervals[-1][0] * 1000))
        begin += len(intervals) * width
    return Drawing(
        width / 1000,
        ended / 1000,
        tuple(begins),
        tuple(figures),
        total.limit,
        total.source,
        _percentiles(total),
    )


def _intervals(run: Run, width_ms: int) -> list[tuple[float, Counts]]:
    """Return (seconds, counts) of each interval, including idle ones; the last may be shorter."""
    points = {point.at_ms: point for point in widened(run.points, width_ms)}
    last = max(points)
    nothing = Counts()
    found = [
        (width_ms / 1000, points[start].counts if start in points else nothing)
        for start in range(0, last + width_ms, width_ms)
    ]
    covered = points[last].covered_ms
    if covered * 2 < width_ms and len(found) > 1:
        # Less than half an interval is merged into the previous one: its rate would be noise.
        (_, counts), (seconds, before) = found.pop(), found.pop()
        return [*found, (seconds + covered / 1000, before.then(counts))]
    found[-1] = (max(covered, FIRST_WIDTH_MS / 5) / 1000, points[last].counts)
    return found


def _width_for(runs: Sequence[Run], most: int) -> int:
    width = max(point.width_ms for run in runs for point in run.points)
    requests = sum(point.counts.requests for run in runs for point in run.points)
    while True:
        intervals = sum(run.points[-1].at_ms // width + 1 for run in runs)
        noisy = intervals > _FEWEST_DRAWN and requests < _REQUESTS_PER_POINT * intervals
        if intervals == len(runs) or not (intervals > most or noisy):
            return width
        width *= 2


def _figure(at_seconds: float, seconds: float, counts: Counts, limit: float | None) -> Figure:
    decided = sum(count for state, count in counts.states.items() if state is not State.PENDING)
    p50, p90, worst = _percentiles(counts)
    return Figure(
        at_seconds,
        decided / seconds,
        counts.requests / seconds,
        limit,
        counts.retries,
        counts.throttled,
        p50,
        p90,
        worst,
    )


def _percentiles(counts: Counts) -> tuple[float | None, float | None, float | None]:
    return (
        percentile(counts.latencies, 0.5),
        percentile(counts.latencies, 0.9),
        percentile(counts.latencies, 1),
    )
