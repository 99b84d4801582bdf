"""Opening a checkpoint: what is none is refused with a sentence and left as it is."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bulk_sync.errors import (
    CheckpointBusy,
    CheckpointDamaged,
    CheckpointError,
    CheckpointLocked,
    OutputError,
)
from bulk_sync.job.damage import translated
from bulk_sync.job.database import Locked
from bulk_sync.job.lock import held
from bulk_sync.job.schema import SCHEMA_VERSION
from bulk_sync.job.store import Store
from bulk_sync.model.rows import Outcome, State
from tests.unit.checkpoints import (
    stage,
)


@pytest.mark.parametrize(
    "content",
    [b"not a database at all, but long enough to be looked at", b"SQLite format 3\0" + b"x" * 4096],
)
def test_a_damaged_checkpoint_is_named_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.sqlite"
    path.write_bytes(content)
    for opened in (Store.open(path), Store.read(path)):
        with pytest.raises(CheckpointError, match="damaged"), opened:
            pass
    assert path.read_bytes() == content


def test_a_checkpoint_of_a_newer_version_or_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path):
        pass
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(CheckpointError, match="newer version"), Store.open(path):
        pass
    foreign = tmp_path / "foreign.sqlite"
    with closing(sqlite3.connect(foreign)) as db:
        db.execute("CREATE TABLE mine (x)")
    with pytest.raises(CheckpointError, match="not a checkpoint"), Store.open(foreign):
        pass


def test_nothing_to_see_is_said(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with pytest.raises(CheckpointError, match="never pushed"), Store.read(path):
        pass
    path.touch()
    for opened in (Store.read(path), Store.open(path)):
        with pytest.raises(CheckpointDamaged, match="it is empty"), opened:
            pass


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(OutputError, match="can't be written"),
        Store.open(tmp_path / "file" / "x.sqlite"),
    ):
        pass
    with (
        pytest.raises(OutputError, match="no checkpoint can be made here"),
        held(tmp_path / "file" / "x.sqlite"),
    ):
        pass


@pytest.mark.parametrize("opened", [Store.open, Store.read])
def test_what_a_kill_left_half_written_while_the_checkpoint_was_made_is_taken_back(
    tmp_path: Path, opened: Callable[[Path], AbstractContextManager[Store]]
) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path) as store:
        stage(store, [(f"key {number}", "1") for number in range(500)])
    folder = tmp_path / "killed"
    folder.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as half_written:
        half_written.executescript("PRAGMA journal_mode = DELETE; PRAGMA cache_size = 1; BEGIN")
        half_written.execute("UPDATE staged SET number = number + 1, cells = '[]'")
        for name in (path.name, path.name + "-journal"):
            shutil.copy2(path.with_name(name), folder / name)
    with opened(folder / path.name) as store:
        assert [row.number for row in store.views.results()] == list(range(2, 502))
    assert [file.name for file in folder.iterdir()] == [path.name]


@pytest.mark.parametrize("full", ["checkpoints", "ledgers"])
def test_a_full_disk_is_that_of_the_file_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    def usage(folder: Path) -> Any:
        return SimpleNamespace(free=0 if folder.name == full else 1 << 30)

    monkeypatch.setattr("bulk_sync.job.damage.shutil.disk_usage", usage)
    checkpoint, ledger = tmp_path / "checkpoints" / "c", tmp_path / "ledgers" / "l"
    with closing(sqlite3.connect(tmp_path / "x")) as db:
        db.execute("CREATE TABLE t (text)")
        db.execute("PRAGMA max_page_count = 2")
        for shared in (ledger, None):
            named = ledger if shared and full == "ledgers" else checkpoint
            with (
                pytest.raises(OutputError, match=re.escape(str(named))),
                translated(checkpoint, in_use=True, ledger=shared),
            ):
                db.execute("INSERT INTO t VALUES (?)", ("x" * 100_000,))


@pytest.mark.parametrize("full", ["checkpoints", "ledgers"])
def test_no_room_for_the_shared_memory_is_a_full_disk_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    def usage(folder: Path) -> Any:
        return SimpleNamespace(free=0 if folder.name == full else 1 << 30)

    monkeypatch.setattr("bulk_sync.job.damage.shutil.disk_usage", usage)
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
    with (
        pytest.raises(OutputError) as raised,
        translated(tmp_path / "checkpoints" / "c", ledger=tmp_path / "ledgers" / "l"),
    ):
        raise error
    kind = full.removesuffix("s")
    assert str(raised.value).startswith(f"{tmp_path / full / kind[0]}: the {kind} can't be written")
    assert "Free disk space" in str(raised.value)


@pytest.mark.parametrize("of_ledger", [False, True])
def test_a_file_that_another_program_has_locked_is_not_called_damaged(
    tmp_path: Path, of_ledger: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bulk_sync.job.connection.BUSY_TIMEOUT_SECONDS", 0.0)
    path, ledger = tmp_path / "x.sqlite", tmp_path / "ledger.sqlite"
    with Store.open(path, ledger) as store:
        stage(store, [("a", "1"), ("b", "2"), ("c", "3")])
    locked = ledger if of_ledger else path
    content = locked.read_bytes()
    with closing(sqlite3.connect(locked, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with (
            pytest.raises(OutputError, match="Another program has it open") as refused,
            Store.open(path, ledger),
        ):
            pass
        assert "damaged" not in str(refused.value)
        assert locked.name in str(refused.value)
        other.execute("ROLLBACK")
    assert locked.read_bytes() == content
    with Store.open(path, ledger) as store:
        assert sum(store.views.counts().values()) == 3


@pytest.mark.parametrize("between_hosts", [False, True])
def test_a_run_whose_checkpoint_was_taken_changes_nothing_in_it(
    tmp_path: Path, between_hosts: bool
) -> None:
    """As after a lease, or a lock on one host only, that a stopped process lost unnoticed."""
    path = tmp_path / "x.sqlite"
    with Store.open(path, between_hosts=between_hosts) as first:
        stage(first, [("A", "1"), ("B", "1"), ("C", "1")])
        (sent,) = first.outbox.exchange(limit=1)
        with Store.open(path, between_hosts=between_hosts) as second:
            writes: list[Callable[[], object]] = [
                lambda: first.outbox.exchange([Outcome(sent.id, State.UPDATED, 1)]),
                lambda: first.outbox.exchange(limit=2),
                first.outbox.release,
                lambda: first.database.add_seconds(1),
                first.database.purge,
            ]
            for write in writes:
                with pytest.raises(CheckpointBusy, match="another run took this checkpoint"):
                    write()
            second.outbox.requeue()
            assert [one.key for one in second.views.results() if one.cells] == ["A", "B", "C"]
            assert {one.target for one in second.outbox.exchange(limit=9)} == {"A", "B", "C"}


def test_reading_a_checkpoint_and_writing_its_reports_takes_it_from_no_run(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path) as store:
        stage(store, [("A", "1")])
        with Store.read(path) as reader:
            reader.database.note_report(tmp_path / "x.results.csv", "digest")
        assert [one.target for one in store.outbox.exchange(limit=9)] == ["A"]


def test_a_commit_that_does_not_wait_leaves_all_as_it_was_while_another_program_writes(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path) as store, closing(sqlite3.connect(path)) as other:
        stage(store, [("A", "1"), ("B", "1")])
        timeout = store.database.connection.execute("PRAGMA busy_timeout").fetchone()
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Locked):
            store.outbox.exchange(limit=9, waits=False)
        assert store.database.connection.execute("PRAGMA busy_timeout").fetchone() == timeout
        other.rollback()
        changes = store.outbox.exchange(limit=9, waits=False)
        assert [one.target for one in changes] == ["A", "B"]


def test_a_lock_of_another_program_is_told_from_a_disk_that_refuses(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path, between_hosts=True) as store, closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        store.database.connection.execute("PRAGMA busy_timeout = 0")
        with pytest.raises(CheckpointLocked, match="Another program has it open"):
            store.database.add_seconds(1)
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    with pytest.raises(OutputError) as refused, translated(path, in_use=True):
        raise full
    assert not isinstance(refused.value, CheckpointLocked)
