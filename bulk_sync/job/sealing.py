"""Seals: a large checkpoint that a run closed properly is not examined as a whole again.

A sealed checkpoint records its own modification time. Another program that writes to the file
changes that time, and so does copying it, unless times are kept. While a run holds a sealed
checkpoint it writes to the WAL alone, whose frames SQLite checks one by one.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from bulk_sync.job.damage import BUSY_TIMEOUT_SECONDS

SEALED_BYTES = 50_000_000
"""The size from which a checkpoint is sealed: examining it would take most of a second."""

# SQLite's default high-water mark of the WAL.
_AUTOCHECKPOINT_PAGES = 1000

_WAL_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24


def is_large(path: Path) -> bool:
    """Return whether a checkpoint is large enough to be sealed."""
    return _bytes(path) >= SEALED_BYTES


def wal_bytes(path: Path) -> int:
    """Return the size of a checkpoint's WAL, 0 without one."""
    return _bytes(wal_path(path))


def _bytes(path: Path) -> int:
    """Return the size of a file, 0 without one: whoever uses it may not be the only one."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def wal_path(path: Path) -> Path:
    """Return the name of a checkpoint's WAL, the file with its newest pages."""
    return path.with_name(path.name + "-wal")


def is_cut(path: Path, page_size: int, pages: int) -> bool:
    """Return whether the file ends within a page that SQLite would read from it.

    A write that stops short, because the disk is full, leaves a part of a page when the WAL is
    moved into the file. Such pages are read from the WAL until all of them are moved.
    """
    whole, rest = divmod(path.stat().st_size, page_size)
    if rest == 0:
        return False
    if not wal_bytes(path):
        return True
    return whole < pages and whole + 1 not in _pages_of_wal(wal_path(path), page_size)


def _pages_of_wal(wal: Path, page_size: int) -> set[int]:
    """Return the numbers of the pages in the WAL's commits (sqlite.org/fileformat2.html, 4)."""
    found: set[int] = set()
    uncommitted: set[int] = set()
    if not wal.exists():
        return found
    with wal.open("rb") as file:
        salts = file.read(_WAL_HEADER_BYTES)[16:24]
        while len(header := file.read(_FRAME_HEADER_BYTES)) == _FRAME_HEADER_BYTES:
            if header[8:16] != salts:
                break  # of an earlier use of the file
            uncommitted.add(int.from_bytes(header[:4], "big"))
            if header[4:8] != bytes(4):  # the last frame of a commit has the number of pages
                found |= uncommitted
                uncommitted.clear()
            file.seek(page_size, os.SEEK_CUR)
    return found


def seal(connection: sqlite3.Connection, path: Path) -> None:
    """Move the WAL into a large checkpoint, and seal it.

    Failing to is no error: then the checkpoint is examined before it is used again.
    """
    if not is_large(path) or not wal_bytes(path):
        return
    # The time of the last write, so that backups that compare times see a new file; plus one
    # nanosecond, so that no write gives the file this very time.
    changed_ns = max(one.stat().st_mtime_ns for one in (path, wal_path(path))) + 1
    with suppress(sqlite3.Error, OSError):
        connection.execute("INSERT OR REPLACE INTO sealed VALUES (1, ?)", (changed_ns,))
        connection.execute("PRAGMA busy_timeout = 0")  # don't wait for readers
        try:
            others_read, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            connection.execute(f"PRAGMA busy_timeout = {1000 * BUSY_TIMEOUT_SECONDS}")
        if not others_read:
            os.utime(path, ns=(path.stat().st_atime_ns, changed_ns))


def keep_in_wal(connection: sqlite3.Connection, *, kept: bool) -> None:
    """Keep writes in the WAL until `seal` moves them, or let SQLite move them as usual."""
    pages = 0 if kept else _AUTOCHECKPOINT_PAGES
    connection.execute(f"PRAGMA wal_autocheckpoint = {pages}")


def is_sealed(connection: sqlite3.Connection, path: Path) -> bool:
    """Return whether the file is as a run sealed it."""
    noted = connection.execute("SELECT changed_ns FROM sealed").fetchone()
    return noted is not None and noted[0] == path.stat().st_mtime_ns
