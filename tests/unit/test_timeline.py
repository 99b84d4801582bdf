"""The time line of a run: nothing is lost by merging, it stays small, and percentiles are right to
a twentieth.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.errors import CheckpointDamaged
from bulk_sync.job import recorder as recorder_module
from bulk_sync.job.recorder import Recorder
from bulk_sync.job.store import Store
from bulk_sync.job.timeline import MOST_RUNS
from bulk_sync.model.rows import Change, Outcome, RateSource, State, Tally
from bulk_sync.timeline import (
    MOST_POINTS,
    Counts,
    Line,
    Point,
    Unsaved,
    latency_bucket,
    widened,
)
from tests.helpers import SimulatedClock
from tests.unit.checkpoints import stage
from tests.unit.test_schema import BACK_TO_VERSION_4, BACK_TO_VERSION_9

BEGAN = "2026-03-02T09:00:00.000Z"


def rows(count: int, retries: int = 0, throttled: int = 0) -> Counts:
    return Counts({State.UPDATED: count}, count, retries, throttled)


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(0.0, 0), (0.001, 0), (0.002, 8), (0.0021, 9), (1.024, 80), (1e6, 160), (1e-9, 0)],
)
def test_latencies_have_eight_buckets_to_an_octave(seconds: float, bucket: int) -> None:
    assert latency_bucket(seconds) == bucket


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 9)), max_size=600))
def test_a_line_loses_nothing_and_stays_small(steps: list[tuple[int, int]]) -> None:
    line, at, kept = Line(BEGAN), 0, dict[int, Point]()
    for number, (pause, count) in enumerate(steps):
        at += pause
        line.add(at, rows(count, retries=1))
        if number % 7 == 0 and (news := line.unsaved()):
            kept = {} if news.whole else kept
            kept |= {point.at_ms: point for point in news.points}
            line.saved()
    if news := line.unsaved():
        kept = {} if news.whole else kept
        kept |= {point.at_ms: point for point in news.points}
    points = [kept[start] for start in sorted(kept)]
    assert len(points) <= MOST_POINTS
    assert sum(point.counts.states[State.UPDATED] for point in points) == sum(
        count for _, count in steps
    )
    assert sum(point.counts.retries for point in points) == len(steps)
    assert len({point.width_ms for point in points}) <= 1
    for point, after in pairwise(points):
        assert point.at_ms + point.width_ms <= after.at_ms
    if points:
        assert points[-1].at_ms + points[-1].covered_ms == at


def test_a_line_is_no_coarser_than_it_must_be() -> None:
    line = Line(BEGAN)
    for number in range(1000):
        line.add(number * 250, rows(1))
    news = line.unsaved()
    assert news is not None
    assert {point.width_ms for point in news.points} == {1000}
    assert len(news.points) == 250


def test_what_was_not_saved_is_given_again() -> None:
    line = Line(BEGAN)
    line.add(10, rows(1))
    assert line.unsaved() == Unsaved(BEGAN, whole=True, points=(Point(0, 250, 10, rows(1)),))
    line.add(20, rows(2))
    line.add(300, rows(5))
    news = line.unsaved()
    assert news is not None
    assert [point.counts.requests for point in news.points] == [3, 5]
    line.saved()
    assert line.unsaved() is None
    line.add(320, rows(1))
    assert line.unsaved() == Unsaved(BEGAN, whole=False, points=(Point(250, 250, 70, rows(6)),))


def test_the_later_limit_is_the_one_that_counts_and_silence_leaves_it() -> None:
    first = Counts(requests=1, limit=5.0, source=RateSource.HEADER)
    assert first.then(rows(1)).limit == 5.0
    later = first.then(Counts(limit=9.0, source=RateSource.OPTION))
    assert (later.limit, later.source) == (9.0, RateSource.OPTION)


def test_wider_stretches_hold_what_the_narrow_ones_held() -> None:
    narrow = [Point(start, 250, 250, rows(start)) for start in (0, 250, 750, 1000)]
    wide = [
        Point(0, 500, 500, rows(250)),
        Point(500, 500, 500, rows(750)),
        Point(1000, 500, 250, rows(1000)),
    ]
    assert widened(narrow, 500) == wide


@pytest.mark.asyncio
async def test_what_the_sender_counts_reaches_the_checkpoint_with_the_outcomes(
    tmp_path: Path,
) -> None:
    clock, tally = SimulatedClock(), Tally(limit=5.0, source=RateSource.OPTION)
    with Store.open(tmp_path / "x.sqlite") as store:
        stage(store, [("A", "1"), ("B", "1")])
        recorder = Recorder(store.outbox, clock, lambda: None, tally)
        first, second = await recorder.claim(2)
        for change, state in ((first, State.UPDATED), (second, State.REJECTED)):
            tally.requests += 2
            tally.retries += 1
            tally.latencies[7] = tally.latencies.get(7, 0) + 2
            recorder.put(Outcome(change.id, state, 2))
            await recorder.save()
            clock.seconds += 1.0
        (run,) = store.views.runs()
        assert run.began == "2026-03-02T00:16:40.000Z"
        assert [(point.at_ms, point.covered_ms) for point in run.points] == [(0, 0), (1000, 0)]
        assert [dict(point.counts.states) for point in run.points] == [
            {State.UPDATED: 1},
            {State.REJECTED: 1},
        ]
        assert {
            (p.counts.requests, p.counts.retries, p.counts.latencies[7], p.counts.limit)
            for p in run.points
        } == {(2, 1, 2, 5.0)}
        store.adoption.drop()
        assert store.views.runs() == []


@pytest.mark.asyncio
async def test_a_run_that_is_only_throttled_is_seen_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tally, written = Tally(), anyio.Event()
    with Store.open(tmp_path / "x.sqlite") as store:
        exchange = store.outbox.exchange

        def note(*arguments: Any) -> list[Change]:
            try:
                return exchange(*arguments)
            finally:
                anyio.from_thread.run_sync(written.set)

        monkeypatch.setattr(store.outbox, "exchange", note)
        monkeypatch.setattr(recorder_module, "IDLE_SECONDS", 0.001)
        recorder = Recorder(store.outbox, SimulatedClock(), lambda: None, tally)
        async with anyio.create_task_group() as tasks:
            tally.requests = tally.throttled = 4
            tasks.start_soon(recorder.run)
            await written.wait()
            recorder.close()
        assert [point.counts.throttled for run in store.views.runs() for point in run.points] == [4]


def test_other_content_over_a_settled_job_has_a_time_line_of_its_own_and_an_unsettled_one_goes_on(
    tmp_path: Path,
) -> None:
    with Store.open(tmp_path / "x.sqlite") as store:
        stage(store, [("A", "1"), ("B", "1")])
        line = Line(BEGAN)
        line.add(0, rows(1))
        changes = store.outbox.exchange(limit=2)
        store.outbox.exchange([Outcome(changes[0].id, State.UPDATED, 1)], line.unsaved())
        stage(store, [("A", "1"), ("B", "2")])
        assert len(store.views.runs()) == 1
        store.outbox.exchange(
            [Outcome(change.id, State.UPDATED, 1) for change in store.outbox.exchange(limit=9)]
        )
        stage(store, [("C", "1")])
        assert store.views.runs() == []


def test_the_runs_of_a_job_are_bounded(tmp_path: Path) -> None:
    with Store.open(tmp_path / "x.sqlite") as store:
        for number in range(MOST_RUNS + 5):
            line = Line(f"2026-03-02T09:{number:02}:00.000Z")
            line.add(0, rows(number))
            store.outbox.exchange([], line.unsaved())
        runs = store.views.runs()
    assert len(runs) == MOST_RUNS
    assert runs[-1].points[0].counts.requests == MOST_RUNS + 4


def test_runs_are_in_their_order_whatever_the_clock_did_in_between(tmp_path: Path) -> None:
    days = [f"2026-03-{day:02}T09:00:00.000Z" for day in (9, 8, 9)]
    with Store.open(tmp_path / "x.sqlite") as store:
        for number, began in enumerate(days, start=1):
            line = Line(began)
            line.add(0, rows(number))
            store.outbox.exchange([], line.unsaved())
            line.add(5000, rows(number))
            store.outbox.exchange([], line.unsaved())
        runs = store.views.runs()
        assert [run.began for run in runs] == days
        assert [run.points[0].counts.requests for run in runs] == [1, 2, 3]
        assert [len(run.points) for run in runs] == [2, 2, 2]
        # The oldest runs go, not those of a clock that was set back.
        for number in range(MOST_RUNS):
            line = Line(f"2020-01-01T00:{number:02}:00.000Z")
            line.add(0, rows(1))
            store.outbox.exchange([], line.unsaved())
        assert [run.began[:4] for run in store.views.runs()] == ["2020"] * MOST_RUNS


def test_runs_of_version_9_keep_the_order_of_their_clocks(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path) as store:
        for day in (9, 8):
            line = Line(f"2026-03-{day:02}T09:00:00.000Z")
            line.add(0, rows(day))
            line.add(5000, rows(day))
            store.outbox.exchange([], line.unsaved())
    with closing(sqlite3.connect(path)) as db:
        db.executescript(BACK_TO_VERSION_9)
    with Store.open(path) as store:
        found = [(run.began[8:10], len(run.points)) for run in store.views.runs()]
        assert found == [("08", 2), ("09", 2)]


@pytest.mark.parametrize(
    "damage",
    [
        "states = '[]'",
        "states = '{\"gone\": 1}'",
        "latencies = 'x'",
        "width_ms = 0",
        "source = 'x'",
        "began = ''",
    ],
)
def test_a_time_line_that_no_run_of_ours_wrote_is_called_damaged(
    tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path) as store:
        line = Line(BEGAN)
        line.add(0, rows(1))
        store.outbox.exchange([], line.unsaved())
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE timeline SET " + damage)  # noqa: S608 - one of those above
    with pytest.raises(CheckpointDamaged, match="time line"), Store.open(path):
        pass


def test_a_checkpoint_of_version_4_gets_an_empty_time_line(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path) as store:
        stage(store, [("A", "1")])
    with closing(sqlite3.connect(path)) as db:
        db.executescript(BACK_TO_VERSION_4)
    with Store.read(path) as store:
        assert store.views.runs() == []
        assert store.views.counts() == {State.PENDING: 1}
