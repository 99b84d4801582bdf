"""SQLite's errors, translated to ours, and damaged checkpoints set aside."""

from __future__ import annotations

import itertools
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bulk_sync.errors import CheckpointDamaged, CheckpointError, OutputError
from bulk_sync.job.filesystem import not_writable
from bulk_sync.platforms import why_refused

_MAGIC = b"SQLite format 3\0"

BUSY_TIMEOUT_SECONDS = 10
"""SQLite's busy timeout."""

# Endings of the files that SQLite keeps next to a database (sqlite.org/tempfiles.html).
SIDE_FILES = ("-wal", "-shm", "-journal")

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
"""Result codes for a disk, a permission or another process that is in the way."""

# Result codes of a file that is not as we wrote it.
_DAMAGED = frozenset(
    {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_FORMAT,
        # Our statements are constant, so an error in one comes from the tables or their content.
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_TOOBIG,
    }
)


_NO_DATABASE = "it is no SQLite database"


def why_damaged(error: sqlite3.Error) -> str:
    """Return what SQLite found wrong with a file, in our words where they say more."""
    match error_code(error):
        case sqlite3.SQLITE_NOTADB:
            return _NO_DATABASE
        case sqlite3.SQLITE_CORRUPT:
            return "its content contradicts itself"
        case _:
            return str(error)


def damaged(path: Path, why: str) -> CheckpointDamaged:
    """Return the error for a checkpoint that can't be trusted."""
    return CheckpointDamaged(
        f"{path}: this checkpoint is damaged ({why}). It was left unchanged. Push with --fresh to "
        "keep it under another name and start over."
    )


def damaged_ledger(path: Path, why: str) -> CheckpointError:
    """Return the error for a shared ledger that can't be trusted."""
    return CheckpointError(
        f"{path}: this ledger is damaged ({' '.join(why.split())}). It was left unchanged. Move it "
        "away; the next push makes a new one and sends all fields once more."
    )


def damaged_during_run(path: Path, why: str) -> OutputError:
    """Return the error for a checkpoint that was found damaged while a run used it."""
    return OutputError(
        f"{path}: the checkpoint was damaged while it was in use ({why}). More rows may have been "
        "sent than it records. Check the disk, then push with --fresh, which sends all rows again."
    )


def lost_during_run(path: Path, *, sent: bool) -> OutputError:
    """Return the error for a checkpoint or ledger that lost its name while a run used it."""
    what = "this file was removed, moved or replaced while the run used it"
    if not sent:
        return OutputError(f"{path}: {what}. Nothing was sent. Put it back, then run again.")
    return OutputError(
        f"{path}: {what}, so the run stopped early. Its results list what was sent. Put the file "
        "back before you run again; without it, the next push sends all rows once more."
    )


@contextmanager
def translated(path: Path, *, in_use: bool = False, ledger: Path | None = None) -> Iterator[None]:
    """Translate SQLite's errors: CheckpointDamaged for a bad file, OutputError for a bad disk.

    Where a shared `ledger` is attached, the disk may be that of the ledger; `path` may be one.

    Damage found in a checkpoint that is `in_use` by a run is an OutputError too, because it ends
    that run and rows may have been sent.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = error_code(error)
        if code in _DAMAGED or (
            code is None and isinstance(error, sqlite3.OperationalError | sqlite3.DataError)
        ):
            # Without a code it was Python that couldn't decode a value from SQLite.
            if in_use:
                raise damaged_during_run(path, why_damaged(error)) from None
            raise damaged(path, why_damaged(error)) from None
        if code in NOT_WRITABLE:
            refused = path if ledger is None or not _lacks_room(error) else _fuller(path, ledger)
            kind = "ledger" if refused == ledger else "checkpoint"
            raise not_writable(refused, error, kind) from None
        raise


def _lacks_room(error: sqlite3.Error) -> bool:
    """True for a full disk, also where only the WAL's shared memory found no room on it."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE}


def _fuller(path: Path, ledger: Path) -> Path:
    """Return the file whose disk has less room: SQLite doesn't say which one was full."""
    with suppress(OSError):
        return min((path, ledger), key=lambda one: shutil.disk_usage(one.absolute().parent).free)
    return path


def refuse_special_files(path: Path) -> None:
    """Raise CheckpointError for a folder, a device or a symbolic link, CheckpointDamaged for an
    empty file.

    With a link, runs under the two names would hold two locks. An empty file is never ours: a new
    checkpoint takes its name only once it is complete.
    """
    if path.is_symlink():
        raise CheckpointError(
            f"{path}: this is a symbolic link; name the checkpoint itself: "
            f"--checkpoint {path.resolve()}"
        )
    if path.is_dir():
        raise CheckpointError(
            f"{path}: this is a folder, not a checkpoint; name another with --checkpoint."
        )
    if path.exists() and not path.is_file():
        raise CheckpointError(
            f"{path}: not a regular file, so not a checkpoint; name another with --checkpoint."
        )
    if path.exists() and path.stat().st_size == 0:
        raise damaged(path, "it is empty")


def set_aside(path: Path) -> Path:
    """Rename a damaged checkpoint and its side files, and return the new name.

    It is the first free one of `NAME.damaged.sqlite`, `NAME.damaged-2.sqlite` and so on. Raises
    CheckpointDamaged for a file that nothing marks as a checkpoint, because it may be any file of
    the user's, and OutputError when renaming fails.
    """
    try:
        with path.open("rb") as file:
            is_ours = file.read(len(_MAGIC)) == _MAGIC or path.suffix == ".sqlite"
        if not is_ours:
            raise CheckpointDamaged(
                f"{path}: this is not a checkpoint of bulk-sync; name another with --checkpoint."
            )
        kept = _free_name(path, "damaged")
        _rename_side_files(path, kept)
        return path.rename(kept)
    except OSError as error:
        raise OutputError(f"{path}: can't be renamed: {why_refused(error)}.") from None


def keep_side_files(path: Path) -> Path | None:
    """Rename the side files of a database that was removed, so that no new one takes them over.

    SQLite would read a WAL of that name into a new file, because nothing in it says whose it is.
    Returns the name of one, None without any; raises OutputError when renaming fails.
    """
    try:
        if path.exists() or not any(one.exists() for one in _side_files(path)):
            return None
        kept = _free_name(path, "removed")
        _rename_side_files(path, kept)
    except OSError as error:
        raise OutputError(f"{path}: its WAL can't be renamed: {why_refused(error)}.") from None
    return next(one for one in _side_files(kept) if one.exists())


def _free_name(path: Path, word: str) -> Path:
    numbers = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
    names = (path.with_name(f"{path.stem}.{word}{number}{path.suffix}") for number in numbers)
    return next(
        name for name in names if not any(one.exists() for one in (name, *_side_files(name)))
    )


def _side_files(path: Path) -> list[Path]:
    return [path.with_name(path.name + ending) for ending in SIDE_FILES]


def _rename_side_files(path: Path, kept: Path) -> None:
    """Rename side files, before their database, so that SQLite never takes one for another's."""
    for old, new in zip(_side_files(path), _side_files(kept), strict=True):
        if old.exists():
            old.rename(new)


def error_code(error: sqlite3.Error) -> int | None:
    """Return SQLite's primary result code, None if Python gives none."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
