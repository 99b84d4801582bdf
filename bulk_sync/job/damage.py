"""SQLite's errors, translated to ours, and damaged checkpoints set aside."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bulk_sync.errors import CheckpointDamaged, CheckpointError, OutputError

_MAGIC = b"SQLite format 3\0"


BUSY_SECONDS = 10
"""So long SQLite waits for another that writes."""


_SIDE_FILES = ("-wal", "-shm", "-journal")


NOT_WRITABLE = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PROTOCOL,
    }
)


_DAMAGED = frozenset(
    {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_FORMAT,
        # Our statements are constant: what is wrong with them is the tables, or what stands in
        # them.
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
    }
)


def damaged(path: Path, why: str) -> CheckpointDamaged:
    """The error for a checkpoint that can't be trusted."""
    return CheckpointDamaged(
        f"{path}: this checkpoint is damaged ({why}). It was left as it is: push with --fresh keeps it under another "
        "name and starts over."
    )


def damaged_ledger(path: Path, why: str) -> CheckpointError:
    """The error for a shared ledger that can't be trusted."""
    return CheckpointError(
        f"{path}: this ledger is damaged ({' '.join(why.split())}). It was left as it is: move it away, and the next "
        "push makes a new one and sends all fields once more."
    )


def damaged_in_use(path: Path, why: str) -> OutputError:
    """The error for a checkpoint that a run can't go on with."""
    return OutputError(
        f"{path}: the checkpoint was damaged while it was in use ({why}). What was sent may be more than it says: look "
        "after the disk, then push with --fresh, which sends all rows again."
    )


@contextmanager
def translated(path: Path, *, in_use: bool = False) -> Iterator[None]:
    """SQLite's errors as the user's: what to mend, and that the file is left as it is.

    What is found in a checkpoint that a run has in use ends that run: rows may have been sent.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = error_code(error)
        if code in _DAMAGED or (
            code is None and isinstance(error, sqlite3.OperationalError | sqlite3.DataError)
        ):
            # Without a code it is Python that could not make sense of what SQLite read.
            if in_use:
                raise damaged_in_use(path, str(error)) from None
            raise damaged(path, str(error)) from None
        if code in NOT_WRITABLE:
            raise OutputError(
                f"{path}: the checkpoint can't be written ({error}). Make room or grant permission, then run again."
            ) from None
        raise


def refuse_what_is_no_file(path: Path) -> None:
    """Raise CheckpointError for a folder, a symbolic link, or a file that was emptied.

    Runs that came by two names would hold two locks. An empty file is never ours: a new one
    comes into its place when it is filled.
    """
    if path.is_symlink():
        raise CheckpointError(
            f"{path}: a symbolic link; name the checkpoint itself: --checkpoint {path.resolve()}"
        )
    if path.is_dir():
        raise CheckpointError(
            f"{path}: this is a folder, not a checkpoint; name another with --checkpoint."
        )
    if path.exists() and not path.is_file():
        raise CheckpointError(
            f"{path}: not a regular file, so no checkpoint; name another with --checkpoint."
        )
    if path.exists() and path.stat().st_size == 0:
        raise damaged(path, "it is empty")


def set_aside(path: Path) -> Path:
    """Rename a damaged checkpoint and its side files to the first free `NAME.damaged.sqlite`, and
    return that name.

    Raises CheckpointDamaged for a file that nothing marks as a checkpoint: it may be anything of
    the user's.
    """
    try:
        with path.open("rb") as file:
            is_ours = file.read(len(_MAGIC)) == _MAGIC or path.suffix == ".sqlite"
        if not is_ours:
            raise CheckpointDamaged(
                f"{path}: this is not a checkpoint of bulk-sync; name another with --checkpoint."
            )
        endings = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
        names = (path.with_name(f"{path.stem}.damaged{ending}{path.suffix}") for ending in endings)
        kept = next(name for name in names if not name.exists())
        for side in _SIDE_FILES:  # first, so that none of them ever lies beside a new checkpoint
            beside = path.with_name(path.name + side)
            if beside.exists():
                beside.rename(kept.with_name(kept.name + side))
        return path.rename(kept)
    except OSError as error:
        raise OutputError(f"{path}: can't be renamed: {error.strerror}.") from None


def error_code(error: sqlite3.Error) -> int | None:
    """Return SQLite's primary result code, None where the module gives none."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
