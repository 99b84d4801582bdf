"""The table behind the charts: what the runs of the job did, by stretches of time; see
`bulk_sync.timeline`.

It holds counts and no text of anybody's, so a purge leaves it. It is bounded: by the points of
a run, and by the number of runs.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from bulk_sync.job.damage import damaged
from bulk_sync.model.rows import RateSource, State
from bulk_sync.timeline import Counts, Point, Run, Unsaved

MOST_RUNS = 50
"""A job that an outage lets fail every night for a month has fewer."""

SCHEMA = """
CREATE TABLE timeline (
    began TEXT NOT NULL,           -- when the run began, UTC
    at_ms INTEGER NOT NULL,        -- since then
    width_ms INTEGER NOT NULL,
    covered_ms INTEGER NOT NULL,   -- less than the width at the end of a run
    states TEXT NOT NULL,          -- JSON object: rows by the state they came to
    requests INTEGER NOT NULL,
    retries INTEGER NOT NULL,
    throttled INTEGER NOT NULL,
    requests_per_second REAL,      -- the limit, and who said so
    source TEXT NOT NULL,
    latencies TEXT NOT NULL,       -- JSON object: replies by bucket
    PRIMARY KEY (began, at_ms)
) WITHOUT ROWID;
"""

_OLD_RUNS = (
    f"SELECT began FROM timeline GROUP BY began ORDER BY began DESC LIMIT -1 OFFSET {MOST_RUNS}"
)


def keep(db: sqlite3.Connection, points: Unsaved) -> None:
    """Write points of the run, within the transaction that is open."""
    if points.whole:
        db.execute("DELETE FROM timeline WHERE began = ?", (points.began,))
    db.executemany(
        "INSERT OR REPLACE INTO timeline VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        ((points.began, *_columns(point)) for point in points.points),
    )
    if points.whole:
        db.execute(f"DELETE FROM timeline WHERE began IN ({_OLD_RUNS})")


def forget_runs(db: sqlite3.Connection) -> None:
    """Start over, within the transaction that is open: what follows is another job."""
    db.execute("DELETE FROM timeline")


def runs(db: sqlite3.Connection, path: Path) -> list[Run]:
    """The runs, the first one first; raises CheckpointDamaged when their points are not what they
    were.
    """
    found: dict[str, list[Point]] = {}
    for began, *columns in db.execute("SELECT * FROM timeline ORDER BY began, at_ms"):
        try:
            found.setdefault(began, []).append(_point(*columns))
        except (ValueError, TypeError, AttributeError):
            raise damaged(path, "counts of its time line are not what they were") from None
    return [Run(began, tuple(points)) for began, points in found.items()]


def _columns(point: Point) -> tuple[object, ...]:
    counts = point.counts
    return (
        point.at_ms,
        point.width_ms,
        point.covered_ms,
        json.dumps({state.value: count for state, count in counts.states.items()}),
        counts.requests,
        counts.retries,
        counts.throttled,
        counts.limit,
        counts.source.value,
        json.dumps(counts.latencies),
    )


def _point(
    at_ms: int,
    width_ms: int,
    covered_ms: int,
    states: str,
    requests: int,
    retries: int,
    throttled: int,
    limit: float | None,
    source: str,
    latencies: str,
) -> Point:
    if min(at_ms, width_ms - 1, covered_ms, requests, retries, throttled) < 0:
        raise ValueError(at_ms)
    counts = Counts(
        {State(name): int(count) for name, count in json.loads(states).items()},
        requests,
        retries,
        throttled,
        None if limit is None else float(limit),
        RateSource(source),
        {int(bucket): int(count) for bucket, count in json.loads(latencies).items()},
    )
    return Point(at_ms, width_ms, covered_ms, counts)
