"""A checkpoint keeps the attempts before a row's last one, and nothing of rows that need one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulk_sync.errors import CheckpointDamaged
from bulk_sync.job.store import Store
from bulk_sync.model.attempts import KEPT_FIRST, KEPT_LAST, Attempt, decode_attempts
from bulk_sync.model.rows import Change, Outcome, State
from bulk_sync.report.explained import all_attempts, attempt_lines
from bulk_sync.send.case import Case
from bulk_sync.send.decide import RetryIn
from tests.helpers import examples
from tests.unit.checkpoints import acknowledge, stage

ROW = [("A", "1")]
seconds = count(1)


def run_of(store: Store, attempts: int, state: State, *, restaged: bool = False) -> list[str]:
    """Let a run try the row so often; return the times at which its requests left."""
    if restaged:
        stage(store, ROW)
    else:
        store.outbox.requeue()
    (change,) = store.outbox.exchange(limit=1)
    case, times = Case(change), []
    for _ in range(attempts):
        second = next(seconds)
        if case.attempts:
            case.keep_attempt(second)
        case.attempts += 1
        case.begun, case.duration_ms, case.http_status = second, 5, 503
        case.sent_at = f"2026-03-14T16:30:00.{second:06d}Z"
        case.decision = RetryIn(1.0, "503: busy")
        times.append(case.sent_at)
    store.outbox.exchange([case.outcome(state, error="server_error", message="503: busy")])
    store.outbox.release()
    return times


def kept(store: Store) -> tuple[Attempt, ...]:
    (row,) = store.views.find(None, names=["A"])
    return all_attempts(row)


@settings(max_examples=examples(0.3))
@given(
    st.lists(
        st.tuples(st.integers(0, 12), st.sampled_from(["failed", "pending"]), st.booleans()),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
)
def test_the_first_and_the_last_attempts_of_all_runs_are_kept_in_order(
    runs: list[tuple[int, str, bool]], partial: bool
) -> None:
    with TemporaryDirectory() as folder, Store.open(Path(folder, "x.sqlite")) as store:
        stage(store, ROW)
        all_times: list[str] = []
        for attempts, state, restaged in runs:
            all_times += run_of(
                store, attempts, State(state if attempts else "pending"), restaged=restaged
            )
        if partial:  # left out by choice from now on
            stage(store, [("B", "2")], left_out=ROW)
        found = kept(store)
    before, last = all_times[:-1], all_times[-1:]
    expected = before
    if len(before) > KEPT_FIRST + KEPT_LAST:
        expected = [*before[:KEPT_FIRST], *before[-KEPT_LAST:]]
    numbers = {time: number for number, time in enumerate(all_times, 1)}
    assert [(one.number, one.sent_at) for one in found] == [
        (numbers[time], time) for time in [*expected, *last]
    ]
    assert all(one.why == "503: busy" for one in found[:-1])


def test_a_row_that_is_acknowledged_at_once_costs_nothing_and_keeps_earlier_attempts(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path) as store:
        stage(store, [*ROW, *((f"B{number}", "1") for number in range(70))])
        first, *others = store.outbox.exchange(limit=100)
        at = "2026-03-14T16:30:00.000Z"
        outcomes = [Outcome(one.id, State.UPDATED, 1, sent_at=at) for one in others]
        failed = Outcome(first.id, State.FAILED, 1, error="timeout", sent_at=at, duration_ms=7)
        store.outbox.exchange([failed, *outcomes])
        store.outbox.requeue()
        acknowledge(store)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*), count(tries) FROM outcome").fetchone() == (71, 1)
    with Store.read(path) as store:
        (row,) = store.views.find(None, names=["A"])
    assert row.attempts == (Attempt(1, at, 7, error="timeout"),)
    assert row.result.attempts == 2


def test_the_words_of_attempts_are_removed_by_a_purge(tmp_path: Path) -> None:
    with Store.open(tmp_path / "x.sqlite") as store:
        stage(store, ROW)
        run_of(store, 3, State.UPDATED)
        store.database.purge()
        first, second, _ = kept(store)
    assert (first.why, second.why) == (None, None)
    assert (first.http_status, second.number) == (503, 2)


@pytest.mark.parametrize(
    "forged",
    [
        "x",
        "{}",
        "[[]]",
        '[{"number":1}]',
        '[{"number":-1,"sent_at":""}]',
        '[{"number":1e99,"sent_at":""}]',
        '[{"number":1,"sent_at":"","http_status":"200"}]',
        '[{"number":1,"sent_at":"","wait_ms":99999999999999}]',
    ],
)
def test_forged_attempts_are_damage(tmp_path: Path, forged: str) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path) as store:
        stage(store, ROW)
        run_of(store, 2, State.UPDATED)
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE outcome SET tries = ?", (forged,))
        db.commit()
    with pytest.raises(CheckpointDamaged, match="tries"), Store.read(path):
        pass


def test_a_case_keeps_no_more_attempts_than_a_checkpoint() -> None:
    """A row may be throttled for hours."""
    case = Case(Change(1, 2, "A", "{}", "digest"))
    case.sent_at, case.http_status = "2026-03-14T16:30:00.000Z", 429
    for number in range(1, 1000):
        case.attempts = number
        case.keep_attempt(number)
    tries = case.outcome(State.PENDING).tries
    assert [one.number for one in tries] == [1, 2, 3, 4, 996, 997, 998, 999]
    assert decode_attempts(b"[]") == ()


def test_the_wait_before_the_next_attempt_is_the_one_that_was_waited() -> None:
    case = Case(Change(1, 2, "A", "{}", "digest"))
    case.attempts, case.begun, case.duration_ms = 1, 10.0, 250
    case.decision = RetryIn(0.0, "429: asked to wait", everyone=True)
    case.keep_attempt(12.0)
    case.attempts, case.begun, case.duration_ms, case.failure_kind = 2, 12.0, 2000, "timeout"
    case.keep_attempt(13.0)  # a clock that is read late
    one, two = case.outcome(State.PENDING).tries
    assert (one.wait_ms, one.why, one.error) == (1750, "429: asked to wait", None)
    assert (two.wait_ms, two.why, two.error) == (0, None, "timeout")


def test_attempts_that_are_not_kept_are_named(tmp_path: Path) -> None:
    with Store.open(tmp_path / "x.sqlite") as store:
        stage(store, ROW)
        run_of(store, 20, State.FAILED)
        (row,) = store.views.find(None, names=["A"])
    lines = list(attempt_lines(row))
    assert len(lines) == KEPT_FIRST + 1 + KEPT_LAST + 1
    assert lines[KEPT_FIRST] == "5 to 15: not kept"
    assert lines[-1].startswith("20: 2026-03-14")
