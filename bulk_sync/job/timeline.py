"""The table behind the charts: the points of the job's runs, see `bulk_sync.timeline`.

It holds counts and no text from a sheet, so a purge keeps it. Its size is bounded by the points of
a run and by `MOST_RUNS`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from bulk_sync.job.damage import damaged
from bulk_sync.model.rows import RateSource, State
from bulk_sync.timeline import Counts, Point, Run, Unsaved

MOST_RUNS = 50
"""More runs than a job has that is stopped every night for a month."""

_CREATE = """
CREATE TABLE timeline (
    {run}began TEXT NOT NULL,           -- when the run began, UTC
    at_ms INTEGER NOT NULL,        -- when the point began, after that
    width_ms INTEGER NOT NULL,
    covered_ms INTEGER NOT NULL,   -- less than the width at the end of a run
    states TEXT NOT NULL,          -- JSON object: rows by the state they reached
    requests INTEGER NOT NULL,
    retries INTEGER NOT NULL,
    throttled INTEGER NOT NULL,
    requests_per_second REAL,      -- the limit
    source TEXT NOT NULL,          -- where the limit is from
    latencies TEXT NOT NULL,       -- JSON object: replies by latency bucket
    PRIMARY KEY ({key}, at_ms)
) WITHOUT ROWID;
"""

EARLIER_SCHEMA = _CREATE.format(run="", key="began")
"""The table of versions 5 to 9, in which runs had the order of their clocks."""

SCHEMA = _CREATE.format(
    run="run INTEGER NOT NULL,          -- counts up, whatever the clock does\n    ", key="run"
)

MIGRATE = f"""
ALTER TABLE timeline RENAME TO timeline_before;
{SCHEMA}
INSERT INTO timeline SELECT dense_rank() OVER (ORDER BY began), * FROM timeline_before;
DROP TABLE timeline_before;
"""
"""Numbers the runs of a table of `EARLIER_SCHEMA`."""

_LAST = "SELECT run, began FROM timeline ORDER BY run DESC LIMIT 1"
_OLD_RUNS = f"SELECT run FROM timeline GROUP BY run ORDER BY run DESC LIMIT -1 OFFSET {MOST_RUNS}"


def keep(db: sqlite3.Connection, points: Unsaved) -> None:
    """Write points of the last run, or of a new one, in the open transaction."""
    # Not the clock's order: one that was set back makes this run look older than those before.
    last, began = db.execute(_LAST).fetchone() or (0, None)
    run = last if began == points.began else last + 1
    if points.whole:
        db.execute("DELETE FROM timeline WHERE run = ?", (run,))
    db.executemany(
        "INSERT OR REPLACE INTO timeline VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        ((run, points.began, *_columns(point)) for point in points.points),
    )
    if points.whole:
        db.execute(f"DELETE FROM timeline WHERE run IN ({_OLD_RUNS})")


def forget_runs(db: sqlite3.Connection) -> None:
    """Delete all points, in the open transaction, because another job begins."""
    db.execute("DELETE FROM timeline")


def runs(db: sqlite3.Connection, path: Path) -> list[Run]:
    """Return the runs in their order; raises CheckpointDamaged when a point can't be read."""
    found: dict[tuple[int, str], list[Point]] = {}
    for run, began, *columns in db.execute("SELECT * FROM timeline ORDER BY run, at_ms"):
        try:
            datetime.fromisoformat(began)
            found.setdefault((run, began), []).append(_point(columns))
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            raise damaged(path, "a count or time in its time line is impossible") from None
    return [Run(began, tuple(points)) for (_, began), points in found.items()]


def seconds_sent(db: sqlite3.Connection) -> float:
    """Return how long the kept runs sent, in seconds, those that were killed included."""
    (milliseconds,) = db.execute(
        "SELECT coalesce(sum(ended), 0) FROM "
        "(SELECT max(at_ms + covered_ms) AS ended FROM timeline GROUP BY run)"
    ).fetchone()
    return float(milliseconds) / 1000


def last_limit(db: sqlite3.Connection) -> tuple[float | None, RateSource]:
    """Return the limit that the last run of the job knew at its end, in requests per second."""
    found = db.execute(
        "SELECT requests_per_second, source FROM timeline WHERE run = (SELECT max(run) FROM "
        "timeline) AND requests_per_second IS NOT NULL ORDER BY at_ms DESC LIMIT 1"
    ).fetchone()
    return (None, RateSource.NONE) if found is None else (found[0], RateSource(found[1]))


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


def _point(columns: Sequence[Any]) -> Point:
    """Read a point back from `_columns`; raises ValueError or TypeError where they are damaged."""
    at_ms, width_ms, covered_ms, states, *counted, limit, source, latencies = columns
    requests, retries, throttled = counted
    # SQLite doesn't enforce a column's type, so a damaged file may hold anything here.
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
