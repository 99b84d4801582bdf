"""A ledger in a file of its own, which several jobs share (`--ledger`); see `ledger`."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from bulk_sync.errors import CheckpointError, OutputError
from bulk_sync.job.bounded import Deadline, TooSlow, allowed_seconds, bytes_on_disk, within
from bulk_sync.job.connection import connect, migrate
from bulk_sync.job.damage import (
    NOT_WRITABLE,
    damaged_ledger,
    error_code,
    keep_side_files,
    translated,
)
from bulk_sync.job.filesystem import choose_journal, refuse_without_shared_memory
from bulk_sync.job.layout import Layout, difference, layout_of_script, read_layout, tables_of
from bulk_sync.job.ledger import (
    EARLIER_INDEXES,
    EARLIER_SCHEMA,
    NEW_COLUMNS,
    NEW_INDEXES,
    NEW_TIMES,
    SCHEMA,
    SHARED,
    Ledger,
)
from bulk_sync.job.ledger_entries import TRACE
from bulk_sync.job.purge import begin_purge, end_purge
from bulk_sync.job.sealing import is_cut
from bulk_sync.job.trust import refuse_untrusted
from bulk_sync.job.values import Readers, read_times, read_values, unreadable, unsound
from bulk_sync.platforms import why_refused

_APPLICATION_ID = 0x62534C67  # "bSLg": marks our ledgers among other SQLite files
_VERSION = 4
_CREATE = SCHEMA.format(schema="main")
_MIGRATIONS = {
    1: NEW_INDEXES,
    2: NEW_COLUMNS.format(schema="main"),
    3: NEW_TIMES.format(schema="main"),
}
_READERS: Readers = {"ledger.fields": read_values, "ledger.times": read_times}
_SIZES = ("page_size", "page_count")


class LedgerFile:
    """An open file with a ledger."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def addresses(self) -> tuple[str, ...]:
        """Return the base URLs that jobs on this ledger were for."""
        found = self._db.execute("SELECT base_url FROM ledger_account ORDER BY base_url")
        return tuple(base_url for (base_url,) in found)

    def of(self, base_url: str) -> Ledger:
        """Return the entries of a base URL."""
        return Ledger(self._db, base_url)


@contextmanager
def read_shared(path: Path) -> Iterator[LedgerFile]:
    """Open a shared ledger for reading; one of an earlier version is migrated.

    Raises CheckpointError without one.
    """
    if not path.is_file():
        raise CheckpointError(
            f"{path}: there is no ledger here; push with --ledger {path} to make one."
        )
    with translated(path, ledger=path):
        _examine(path)
        _migrate(path)
        with closing(connect(path)) as db:
            yield LedgerFile(db)


@contextmanager
def changing(path: Path, *, examined: bool) -> Iterator[LedgerFile]:
    """Open a file that the caller holds, and commit the changes of its ledger at the end.

    The file is a ledger, or a checkpoint that has learnt what it lists (`examined`).
    """
    _prepare(path, examined=examined)
    with translated(path, in_use=True), closing(connect(path)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield LedgerFile(db)
        db.execute("COMMIT")


def purge_values(path: Path, *, examined: bool) -> None:
    """Remove the values of all jobs from a ledger that the caller holds, for good.

    Names and writers stay, so each job still knows which of its patches were the last. `examined`
    is as in `changing`. Raises CheckpointError, and OutputError while another program reads it.
    """
    _prepare(path, examined=examined)
    with translated(path, in_use=True), closing(connect(path)) as db:
        begin_purge(db)
        db.execute(f"UPDATE ledger SET fields = '{TRACE}' WHERE fields <> '{TRACE}'")
        end_purge(db, path, "ledger")


def attach(
    db: sqlite3.Connection, path: Path, *, examined: bool, between_hosts: bool = False
) -> None:
    """Attach a ledger that several jobs share, as the schema `SHARED`; make it if there is none.

    `examined` is True for a checkpoint that was examined and migrated before, `between_hosts` as in
    `filesystem.choose_journal`. Raises CheckpointError when the file is damaged or another
    program's, OutputError when it can't be written.
    """
    if path.exists() and not path.is_file():
        raise CheckpointError(
            f"{path}: not a regular file, so not a ledger; name another with --ledger."
        )
    if not path.exists():
        _make(path)
    refuse_without_shared_memory(path)
    with translated(path, ledger=path):
        _prepare(path, examined=examined)
        db.execute(f"ATTACH ? AS {SHARED}", (f"{path.absolute().as_uri()}?mode=rw",))
        choose_journal(db, path, SHARED, between_hosts=between_hosts)


def _prepare(path: Path, *, examined: bool) -> None:
    """Examine and migrate a ledger, unless it is a checkpoint of which that was done."""
    if not examined:
        with translated(path, ledger=path):
            _examine(path)
            _migrate(path)


def _migrate(path: Path) -> None:
    with closing(connect(path)) as db:
        migrate(db, _VERSION, _MIGRATIONS)


def _make(path: Path) -> None:
    new = path.with_name(path.name + ".new")
    try:
        new.unlink(missing_ok=True)
        os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        with translated(path, ledger=path), closing(sqlite3.connect(new)) as db:
            db.executescript(
                f"BEGIN; {_CREATE} PRAGMA application_id = {_APPLICATION_ID}; "
                f"PRAGMA user_version = {_VERSION}; COMMIT;"
            )
        keep_side_files(path)
        new.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: the ledger can't be written: {why_refused(error)}.") from None


def _examine(path: Path) -> None:
    """Raise CheckpointError unless a ledger is this user's and whole."""
    refuse_untrusted(path, "--ledger")
    deadline = Deadline(allowed_seconds(bytes_on_disk(path)))
    try:
        found = within(deadline, partial(_problem, path, deadline))
    except TooSlow as error:
        found = str(error)
    except (MemoryError, UnicodeDecodeError):
        found = "its header can't be read"
    except sqlite3.Error as error:
        # A lock, a disk or a permission; `translated` has the words for it.
        if error_code(error) in NOT_WRITABLE:
            raise
        found = str(error)
    if found is not None:
        raise damaged_ledger(path, found)


def _problem(path: Path, deadline: Deadline) -> str | None:
    """Return what is wrong in a ledger; None if it is whole."""
    with closing(connect(path, is_over=deadline.is_over)) as db:
        if db.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION_ID:
            # Raises for a file that is no database at all.
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            raise CheckpointError(
                f"{path}: this is not a ledger of bulk-sync; name another with --ledger."
            )
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > _VERSION:
            raise CheckpointError(
                f"{path}: a newer version of bulk-sync made this ledger; use that version."
            )
        if version < 1:
            return f"its version is {version}"
        if is_cut(path, *(db.execute(f"PRAGMA {name}").fetchone()[0] for name in _SIZES)):
            return "its size is no whole number of pages"
        try:
            layout = read_layout(db)
        except ValueError as error:
            return str(error)
        if (differs := _difference_from(version, layout)) is not None:
            return differs
        structure = str(db.execute("PRAGMA integrity_check(1)").fetchone()[0])
        return _problem_in_rows(db, layout) if structure == "ok" else structure


def _problem_in_rows(db: sqlite3.Connection, layout: Layout) -> str | None:
    for table, columns in tables_of(layout):
        unsound_row = db.execute(unsound(table, columns)).fetchone()
        if unsound_row or unreadable(db, table, columns, _READERS):
            return "an entry in it can't be read"
    return None


def _difference_from(version: int, layout: Layout) -> str | None:
    if version == _VERSION:
        return difference(layout, layout_of_script(_CREATE))
    # Version 1 had other indexes of the same names, which are made anew.
    steps = [one.format(schema="main") for one in (EARLIER_SCHEMA, NEW_COLUMNS, NEW_TIMES)]
    ours = layout_of_script(*steps[: max(1, version - 1)])
    return difference(layout, ours, ("index",) if version > 1 else (), also=EARLIER_INDEXES)
