"""How SQLite uses the file system of a checkpoint: its temporary files and its journal.

Temporary files (of sorts, of VACUUM) are made in the checkpoint's folder, which is the one place
that a run is sure to be able to write; SQLite removes their names as soon as they are open.

A checkpoint has a write-ahead log where files can be mapped into shared memory, as WAL needs
(sqlite.org/wal.html), else a rollback journal. That is found by mapping a file of our own before
the journal is chosen: SQLite itself finds out at its first write, when the checkpoint is marked as
one with a WAL already.
"""

from __future__ import annotations

import mmap
import os
import sqlite3
import tempfile
from contextlib import suppress
from pathlib import Path

from bulk_sync.errors import CheckpointLocked, OutputError
from bulk_sync.scratch import PREFIX

_PAGE_BYTES = 4096
_HEADER_BYTES = 100

# Extended result codes of shared memory and of locks (sqlite.org/rescode.html).
# Not SQLITE_IOERR_SHMSIZE: that is a disk without room for the file of the shared memory
# (unixShmMap in SQLite's os_unix.c).
_NO_SHARED_MEMORY = frozenset(
    {
        sqlite3.SQLITE_IOERR_SHMMAP,
        sqlite3.SQLITE_IOERR_SHMOPEN,
        sqlite3.SQLITE_IOERR_SHMLOCK,
    }
)
_NO_LOCK = frozenset(
    {
        sqlite3.SQLITE_IOERR_LOCK,
        sqlite3.SQLITE_IOERR_RDLOCK,
        sqlite3.SQLITE_IOERR_UNLOCK,
        sqlite3.SQLITE_IOERR_CHECKRESERVEDLOCK,
    }
)


def keep_temporary_files(connection: sqlite3.Connection, path: Path) -> None:
    """Let SQLite make its temporary files in the folder of a checkpoint.

    The setting is of the process, so one that is in use stays, and so does SQLITE_TMPDIR.
    """
    if os.environ.get("SQLITE_TMPDIR"):
        return
    # Deprecated, but without an alternative: SQLite reads SQLITE_TMPDIR when Python loads it
    # (sqlite.org/tempfiles.html, section 5). Where it was left out, the system's folder is used.
    try:
        used = connection.execute("PRAGMA temp_store_directory").fetchone()
        if used is None or not os.path.isdir(used[0]):  # noqa: PTH112 - a name of SQLite's
            folder = str(path.absolute().parent).replace("'", "''")
            connection.execute(f"PRAGMA temp_store_directory = '{folder}'")
    except sqlite3.Error:
        # A folder that can't be written: its checkpoint is only read, for one report.
        connection.execute("PRAGMA temp_store = MEMORY")


def choose_journal(
    connection: sqlite3.Connection, path: Path, schema: str = "main", *, between_hosts: bool = False
) -> None:
    """Choose the journal of a database that the caller holds, and let every commit be durable.

    `between_hosts` for one that other hosts use, too, one after the other: they can't share the
    memory of a WAL, whose index a host that was cut off may still have (sqlite.org/wal.html).
    Raises sqlite3.Error.
    """
    # For macOS alone, whose fsync leaves writes in the drive's own memory (sqlite.org/pragma.html).
    connection.execute("PRAGMA fullfsync = ON")
    connection.execute("PRAGMA checkpoint_fullfsync = ON")
    (mode,) = connection.execute(f"PRAGMA {schema}.journal_mode").fetchone()
    if between_hosts and mode == "wal":
        (mode,) = connection.execute(f"PRAGMA {schema}.journal_mode = DELETE").fetchone()
    if mode == "wal" or (not between_hosts and has_shared_memory(path.absolute().parent)):
        # WAL, so that `status` reads while a run writes; FULL, because NORMAL may lose the last
        # commits in a power cut (sqlite.org/pragma.html, "synchronous").
        connection.execute(f"PRAGMA {schema}.journal_mode = WAL")
        connection.execute(f"PRAGMA {schema}.synchronous = FULL")
    else:
        # A commit removes the journal; unless the folder is synced too, a power cut brings it
        # back, and the commit is rolled back (same place, "EXTRA").
        connection.execute(f"PRAGMA {schema}.synchronous = EXTRA")


def has_shared_memory(folder: Path) -> bool:
    """Return whether files of a folder can be mapped as shared memory.

    Some network and FUSE file systems refuse that. True when it can't be tried: whatever is in the
    way of that is in SQLite's way, too.
    """
    try:
        # Its name is removed at once, so a kill leaves nothing behind.
        with tempfile.TemporaryFile(dir=folder, prefix=PREFIX) as file:
            file.truncate(_PAGE_BYTES)
            try:
                mmap.mmap(file.fileno(), _PAGE_BYTES).close()  # shared and writable by default
            except OSError:
                return False
    except OSError:
        pass
    return True


def refuse_without_shared_memory(path: Path) -> None:
    """Raise OutputError for a file with a WAL in a folder without shared memory.

    SQLite would leave empty side files behind there.
    """
    # The file format version for reading, 2 for WAL (sqlite.org/fileformat2.html, section 1.3.3).
    with suppress(OSError), path.open("rb") as file:
        if file.read(_HEADER_BYTES)[19:20] != b"\2":
            return
    if path.is_file() and not has_shared_memory(path.absolute().parent):
        raise OutputError(
            f"{path}: this folder has no shared memory, as some network and FUSE file systems, and "
            "this file was last used in a folder that has. Move it back, or name a checkpoint on "
            "a local disk with --checkpoint."
        )


def not_writable(path: Path, error: sqlite3.Error, kind: str = "checkpoint") -> OutputError:
    """Return the error for a checkpoint, or a temporary one, that the disk or another refuses."""
    if path.parent.name.startswith(PREFIX):
        return OutputError(
            f"{path.parent.parent}: temporary files can't be written there ({_words(error)}). Make "
            "room, or set TMPDIR to another folder."
        )
    kind_of_error = CheckpointLocked if _is_locked(error) else OutputError
    return kind_of_error(
        f"{path}: the {kind} can't be written ({_words(error)}). {_advice_on(error)}."
    )


def _is_locked(error: sqlite3.Error) -> bool:
    code: int = getattr(error, "sqlite_errorcode", 0)
    # SQLite calls a file system without locks busy, too (ENOLCK, in its unix VFS).
    return code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _words(error: sqlite3.Error) -> str:
    """Return what SQLite says, and of a full disk no more than that."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return "the disk is full" if code & 0xFF == sqlite3.SQLITE_FULL else str(error)


def _advice_on(error: sqlite3.Error) -> str:
    """Return what the user can do about an error of the disk or of another process."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    if code in _NO_SHARED_MEMORY:
        return (
            "This folder can't hold a checkpoint in use: it has no shared memory, as some network "
            "and FUSE file systems. Name a checkpoint on a local disk with --checkpoint"
        )
    if code in _NO_LOCK or code & 0xFF == sqlite3.SQLITE_PROTOCOL:
        return (
            "This folder's file system keeps no locks. Name a checkpoint on a local disk with "
            "--checkpoint"
        )
    if code == sqlite3.SQLITE_IOERR_GETTEMPPATH:
        return "No temporary folder can be written: set TMPDIR"
    if _is_locked(error):
        return (
            "Another program has it open, or its file system keeps no locks: end that program, or "
            "name a checkpoint on a local disk with --checkpoint"
        )
    return "Free disk space or grant permission, then run again"
