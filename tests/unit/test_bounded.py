"""No file keeps a command busy: an examination ends in time, and with a signal."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from bulk_sync.errors import CheckpointDamaged
from bulk_sync.job import bounded
from bulk_sync.job.bounded import Deadline, TooSlow, allowed_seconds, bytes_on_disk, within
from bulk_sync.job.connection import connect
from bulk_sync.job.health import examine
from bulk_sync.job.store import Store
from tests.unit.checkpoints import stage

ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"


class Clock:
    """Seconds that pass with each look."""

    def __init__(self, step: float) -> None:
        self.step = step
        self.seconds = 0.0

    def __call__(self) -> float:
        self.seconds += self.step
        return self.seconds


def test_the_time_grows_with_the_bytes_that_are_on_the_disk(tmp_path: Path) -> None:
    assert allowed_seconds(0) == 20
    assert allowed_seconds(50_000_000) == 30
    path = tmp_path / "x.sqlite"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert bytes_on_disk(path) < 1_000_000
    path.with_name("x.sqlite-wal").write_bytes(bytes(2_000_000))
    assert bytes_on_disk(path) >= 2_000_000


def test_a_pause_of_the_process_or_the_machine_hardly_counts() -> None:
    deadline = Deadline(3, now=Clock(3600))
    assert [deadline.is_over() for _ in range(3)] == [False, False, True]


def test_a_query_without_end_is_ended_by_the_deadline(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    sqlite3.connect(path).close()
    deadline = Deadline(5, now=Clock(1))

    def work() -> None:
        with closing(connect(path, is_over=deadline.is_over)) as db:
            db.execute(ENDLESS).fetchone()

    with pytest.raises(TooSlow, match="longer than 5 seconds"):
        within(deadline, work)


def test_a_checkpoint_that_takes_too_long_is_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path) as store:
        stage(store, [(f"K{number}", "1") for number in range(3000)])
    before = path.read_bytes()
    with pytest.raises(CheckpointDamaged, match="checking it took longer than 0 seconds"):
        examine(path, Deadline(0, now=Clock(0)))
    assert path.read_bytes() == before
    examine(path, Deadline(1, now=Clock(0)))


def test_work_that_cannot_be_interrupted_is_waited_for_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounded, "_GRACE_SECONDS", 0.0)
    ended = threading.Event()
    with pytest.raises(TooSlow):
        within(Deadline(0), ended.wait)
    ended.set()


def test_an_error_of_a_signal_handler_ends_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.sqlite"
    sqlite3.connect(path).close()
    deadline = Deadline(100)
    began, ended = threading.Event(), threading.Event()

    def work() -> None:
        try:
            with closing(connect(path, is_over=deadline.is_over)) as db:
                began.set()
                db.execute(ENDLESS).fetchone()
        finally:
            ended.set()

    class Signal(Exception):
        pass

    def interrupted(*_: object) -> None:
        began.wait()
        raise Signal

    monkeypatch.setattr(bounded.Background, "has_ended", interrupted)
    with pytest.raises(Signal):
        within(deadline, work)
    assert ended.wait(60)
