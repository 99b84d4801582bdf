"""A checkpoint on file systems that lack something."""

from __future__ import annotations

import errno
import mmap
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from bulk_sync.errors import OutputError
from bulk_sync.job.damage import translated
from bulk_sync.job.database import recorded_ledger
from bulk_sync.job.filesystem import has_shared_memory, keep_temporary_files
from bulk_sync.job.store import Store
from bulk_sync.scratch import scratch_folder
from tests.unit.checkpoints import stage

SORTS = """
import os, sys
from pathlib import Path
from bulk_sync.job.store import Store
with Store.open(Path(sys.argv[1])) as store:
    db = store.database.connection
    db.execute("PRAGMA cache_size = 1")
    db.execute(
        "CREATE TEMP TABLE big AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n "
        "WHERE x < 20000) SELECT x, randomblob(100) FROM n"
    )
    opened = [os.readlink(f"/proc/self/fd/{one}") for one in map(int, os.listdir("/proc/self/fd"))
              if os.path.islink(f"/proc/self/fd/{one}")]
    print(*(name for name in opened if "etilqs" in name), sep="\\n")
"""


@pytest.fixture
def no_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))

    monkeypatch.setattr(mmap, "mmap", refuse)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the system has no /proc")
def test_temporary_files_of_sqlite_are_in_the_folder_of_the_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "it's here"
    folder.mkdir()
    (tmp_path / "elsewhere").mkdir()
    ran = subprocess.run(
        [sys.executable, "-c", SORTS, str(folder / "x.sqlite")],
        env=os.environ | {"TMPDIR": str(tmp_path / "elsewhere")},
        capture_output=True,
        text=True,
        check=True,
    )
    found = ran.stdout.split("\n")[:-1]
    assert found
    assert {os.path.dirname(name) for name in found} == {str(folder)}  # noqa: PTH120 - deleted
    assert [one.name for one in folder.iterdir()] == ["x.sqlite"]


@pytest.mark.usefixtures("no_shared_memory")
def test_without_shared_memory_the_checkpoint_has_a_rollback_journal(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path, tmp_path / "ledger.sqlite") as store:
        stage(store, [("a", "1"), ("b", "2")])
        for schema in ("main", store.database.ledger_schema):
            db = store.database.connection
            assert db.execute(f"PRAGMA {schema}.journal_mode").fetchone() == ("delete",)
            # EXTRA: a power cut never brings the journal of a commit back.
            assert db.execute(f"PRAGMA {schema}.synchronous").fetchone() == (3,)
        with Store.read(path) as reading:
            assert reading.views.counts() == store.views.counts()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["ledger.sqlite", "x.sqlite"]


def test_with_shared_memory_again_it_has_a_wal_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.sqlite"
    with monkeypatch.context() as patched:
        patched.setattr("bulk_sync.job.filesystem.has_shared_memory", lambda _: False)
        with Store.open(path) as store:
            assert not store.database.has_wal
    with Store.open(path) as store:
        assert store.database.has_wal


def test_a_checkpoint_with_a_wal_is_refused_where_it_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path):
        pass
    before = path.read_bytes()
    monkeypatch.setattr("bulk_sync.job.filesystem.has_shared_memory", lambda _: False)
    for opening in (Store.open(path), Store.read(path)):
        with pytest.raises(OutputError, match="no shared memory"), opening:
            pass
    with pytest.raises(OutputError, match="no shared memory"):
        recorded_ledger(path)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("x.sqlite-*"))


def test_looking_for_shared_memory_leaves_nothing_and_decides_nothing_where_it_cannot(
    tmp_path: Path,
) -> None:
    assert has_shared_memory(tmp_path)
    assert has_shared_memory(tmp_path / "missing")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (sqlite3.SQLITE_IOERR_SHMMAP, "no shared memory"),
        (sqlite3.SQLITE_IOERR_LOCK, "keeps no locks"),
        (sqlite3.SQLITE_PROTOCOL, "keeps no locks"),
        (sqlite3.SQLITE_IOERR_GETTEMPPATH, "set TMPDIR"),
        (sqlite3.SQLITE_BUSY, "end that program"),
        (sqlite3.SQLITE_FULL, "Free disk space"),
        (sqlite3.SQLITE_IOERR_WRITE, "Free disk space"),
        (sqlite3.SQLITE_IOERR_SHMSIZE, "Free disk space"),
    ],
)
def test_the_advice_is_about_what_is_in_the_way(tmp_path: Path, code: int, advice: str) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code
    with pytest.raises(OutputError, match=advice), translated(tmp_path / "x.sqlite"):
        raise error


def test_a_folder_that_cannot_be_written_costs_no_report(tmp_path: Path) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        before = connection.execute("PRAGMA temp_store_directory").fetchone()
        connection.execute("PRAGMA temp_store_directory = ''")
        keep_temporary_files(connection, tmp_path / "missing" / "x.sqlite")
        assert connection.execute("PRAGMA temp_store").fetchone() == (2,)  # memory
        keep_temporary_files(connection, (Path(before[0]) if before else tmp_path) / "x.sqlite")


def test_a_full_temporary_folder_is_not_called_a_checkpoint(tmp_path: Path) -> None:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    with (
        scratch_folder(tmp_path) as folder,
        pytest.raises(OutputError) as raised,
        translated(folder / "check.sqlite"),
    ):
        raise error
    assert str(raised.value).startswith(
        f"{tmp_path}: temporary files can't be written there (the disk is full)."
    )
    assert "TMPDIR" in str(raised.value)
