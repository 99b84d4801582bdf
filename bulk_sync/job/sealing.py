"""Seals: a large checkpoint that a run closed properly is not examined as a whole again."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from bulk_sync.job.damage import BUSY_SECONDS

SEALED_BYTES = 50_000_000
"""From here on a checkpoint is sealed: examining it would take the better part of a second."""


_PAGES_AT_ONCE = 1000
"""SQLite's own measure of how much may stand in the side file."""


def is_large(path: Path) -> bool:
    """True for a checkpoint that is sealed: to read all of it takes time."""
    return path.stat().st_size >= SEALED_BYTES


def bytes_beside(path: Path) -> int:
    """What stands in the side file."""
    beside = beside_of(path)
    return beside.stat().st_size if beside.exists() else 0


def beside_of(path: Path) -> Path:
    """The side file with a checkpoint's newest pages."""
    return path.with_name(path.name + "-wal")


def seal(connection: sqlite3.Connection, path: Path) -> None:
    """Seal a large checkpoint that was written to.

    What can't be done is left undone: then the checkpoint is examined before it is used again.
    """
    if not is_large(path) or not bytes_beside(path):
        return
    # That of the last write, so that what copies files by their times sees a new one; yet no time
    # that a write gives.
    changed_ns = max(one.stat().st_mtime_ns for one in (path, beside_of(path))) + 1
    with suppress(sqlite3.Error, OSError):
        connection.execute("INSERT OR REPLACE INTO sealed VALUES (1, ?)", (changed_ns,))
        connection.execute("PRAGMA busy_timeout = 0")  # who reads now is not waited for
        try:
            others_read, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            connection.execute(f"PRAGMA busy_timeout = {1000 * BUSY_SECONDS}")
        if not others_read:
            os.utime(path, ns=(path.stat().st_atime_ns, changed_ns))


def keep_sealed(connection: sqlite3.Connection, *, kept: bool) -> None:
    """Let SQLite move what was written into the checkpoint only when it is told, or again whenever
    it is much.
    """
    connection.execute(f"PRAGMA wal_autocheckpoint = {0 if kept else _PAGES_AT_ONCE}")


def is_sealed(connection: sqlite3.Connection, path: Path) -> bool:
    """Return whether the file is as a run sealed it."""
    noted = connection.execute("SELECT changed_ns FROM sealed").fetchone()
    return noted is not None and noted[0] == path.stat().st_mtime_ns
