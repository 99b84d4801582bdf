"""A large checkpoint that a run closed properly is not read as a whole again."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from bulk_sync.errors import CheckpointDamaged, OutputError
from bulk_sync.job import damage, health, outbox, sealing
from bulk_sync.job.bounded import Deadline
from bulk_sync.job.layout import Layout
from bulk_sync.job.store import Store
from bulk_sync.model.rows import Outcome, State
from tests.unit.checkpoints import (
    as_killed,
    doubtful,
    stage,
)


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Checkpoints that were read as a whole; here any is large enough to be sealed."""
    seen: list[Path] = []
    read_all = health._read_all

    def noted(
        connection: sqlite3.Connection, path: Path, made_by: int, layout: Layout, end: Deadline
    ) -> None:
        seen.append(path)
        read_all(connection, path, made_by, layout, end)

    monkeypatch.setattr(sealing, "SEALED_BYTES", 0)
    monkeypatch.setattr(health, "_read_all", noted)
    return seen


def test_a_sealed_checkpoint_is_not_read_as_a_whole_again_after_a_run_or_a_kill(
    tmp_path: Path, readings: list[Path]
) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path) as store:
        stage(store, [(key, "1") for key in "ABCDE"])
        one, two, _ = store.outbox.exchange(limit=3)
        store.outbox.exchange([Outcome(two.id, State.UPDATED, 1)])
        store.outbox.exchange([Outcome(one.id, State.UPDATED, 1)], limit=1)
        killed = as_killed(path, tmp_path / "killed")
    with Store.open(path) as store:
        assert store.views.counts() == {State.UPDATED: 2, State.PENDING: 3}
    with Store.open(killed) as store:
        store.outbox.requeue()
        assert store.views.counts() == {State.UPDATED: 2, State.PENDING: 3}
        assert doubtful(store) == [
            "C",
            "D",
        ]
        assert [change.target for change in store.outbox.exchange(limit=9)] == ["E", "C", "D"]
        twice = as_killed(killed, tmp_path / "twice")
    with Store.open(twice) as store:
        store.outbox.requeue()
        assert doubtful(store) == [
            "C",
            "D",
            "E",
        ]
    assert readings == []


def test_a_sealed_checkpoint_that_somebody_wrote_to_is_read_as_a_whole(
    tmp_path: Path, readings: list[Path]
) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path) as store:
        stage(store, [("A", "1")])
    with Store.open(path) as store:
        killed = as_killed(path, tmp_path / "killed")
    copied = tmp_path / "copied.sqlite"
    shutil.copyfile(path, copied)
    for changed in (killed, path):
        data = changed.read_bytes()
        changed.write_bytes(data.replace(b'{"rating":1}', b'{"rating":2}', 1))
    with Store.open(copied):
        pass
    with (
        Store.open(path) as store,
        pytest.raises(OutputError, match="patch of row 2 is not what it was"),
    ):
        store.outbox.exchange(limit=1)
    with closing(sqlite3.connect(killed)) as db:
        db.execute("UPDATE staged SET state = 'upfated'")
        db.commit()
    with pytest.raises(CheckpointDamaged), Store.open(killed):
        pass
    assert readings == [copied, path, killed]


def test_who_reads_a_sealed_checkpoint_is_not_waited_for_again_and_again(
    tmp_path: Path, readings: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.sqlite"
    sealed: list[int] = []
    monkeypatch.setattr(outbox, "_SEAL_WAL_BYTES", 30_000)

    def noted(db: sqlite3.Connection, path: Path) -> None:
        sealed.append(sealing.wal_bytes(path))
        sealing.seal(db, path)

    monkeypatch.setattr(outbox, "seal", noted)
    with Store.open(path) as store, closing(sqlite3.connect(path)) as reader:
        stage(store, [(str(number), "1") for number in range(30)])
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM row").fetchone()
        sealed.clear()
        for change in store.outbox.exchange(limit=30):
            store.outbox.exchange([Outcome(change.id, State.UPDATED, 1)])
        (waits,) = store.database.connection.execute("PRAGMA busy_timeout").fetchone()
    assert waits == 1000 * damage.BUSY_TIMEOUT_SECONDS
    assert len(sealed) > 2
    assert all(later - before >= 30_000 for before, later in pairwise(sealed[:-1]))
    assert readings == []
