"""Files that replace their older selves at once, and are never half written.

A report is written in its folder under a name of its own that ends in `.part`, flushed to
the disk, and moved into place, so that two writers of one report don't meet: the later one
counts. The writer holds a lock on it, so that what a crashed run left is told from what is
being written, and goes when the next report is written there.
The mode is 0600: names, mail addresses and phone numbers stand in it.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TextIO

from bulk_sync.errors import OutputError

try:
    import fcntl
except ImportError:  # Windows has no flock: there a file that somebody has open can't be removed
    fcntl = None  # type: ignore[assignment]

_PART_BEGINS = ".bulk-sync-"


def check_writable(path: Path) -> None:
    """Raise OutputError when `replacing(path)` would fail; leaves nothing behind."""
    if path.is_dir():
        raise OutputError(f"{path}: this is a folder; a report is to be written there.")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path}: not a regular file; a report would take its place.")
    with _translated(path), _beside(path):
        pass


@contextmanager
def replacing(path: Path, before: Callable[[str], None] | None = None) -> Iterator[TextIO]:
    """Write a text file in UTF-8 that takes the place of `path` when the block ends well.

    `before` is told its digest just before it does.
    """
    with replacing_bytes(path, before) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        try:
            yield text
            text.flush()
        except BaseException:
            with suppress(OSError):
                text.close()
            raise
        text.detach()


@contextmanager
def replacing_bytes(path: Path, before: Callable[[str], None] | None = None) -> Iterator[BinaryIO]:
    """Write a file that takes the place of `path` when the block ends well, as `replacing` does."""
    with _translated(path), _beside(path) as (part, file):
        yield file
        file.flush()
        os.fsync(file.fileno())
        file.close()  # Windows moves no file that is open
        if before is not None:
            before(digest(part) or "")
        part.replace(path)


def digest(path: Path) -> str | None:
    """SHA-256 of a file in hex, None when there is none; raises OutputError when it can't be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OutputError(f"{path}: can't be read: {error.strerror}.") from None


def set_aside(path: Path) -> Path:
    """Rename a file that is not ours to replace, to the first free `NAME.edited.csv`,
    `NAME.edited-2.csv` ...
    """
    endings = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
    names = (path.with_name(f"{path.stem}.edited{ending}{path.suffix}") for ending in endings)
    kept = next(name for name in names if not name.exists())
    with _translated(path):
        path.rename(kept)
    return kept


def remove(path: Path) -> None:
    """Take away a report of an earlier run that is no longer true."""
    with _translated(path):
        path.unlink(missing_ok=True)


@contextmanager
def _beside(path: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A new file in the folder of a report, to be moved away or else removed; what crashed runs
    left goes.
    """
    for other in path.parent.glob(f"{_PART_BEGINS}*.part"):
        with suppress(OSError):
            _remove_abandoned(other)
    part, opened = _create(path.parent)
    with ExitStack() as at_end:
        at_end.callback(_remove_quietly, part)
        if fcntl is not None:
            # The lock is on the file as opened, and lasts as long as any descriptor of it: past the
            # one closed below.
            at_end.callback(os.close, os.dup(opened))
        with os.fdopen(opened, "wb") as file:
            yield part, file


def _remove_quietly(part: Path) -> None:
    with suppress(OSError):
        part.unlink(missing_ok=True)


def _create(folder: Path) -> tuple[Path, int]:
    """A new file and its descriptor, locked where that can be done."""
    while True:
        # Short, and not made of the report's name, which may be as long as a name can be.
        part = folder / f"{_PART_BEGINS}{secrets.token_hex(8)}.part"
        opened = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        if fcntl is None:
            return part, opened
        with suppress(OSError):  # where there are no locks nobody can take it for abandoned either
            fcntl.flock(opened, fcntl.LOCK_EX)
        if part.exists():
            return part, opened
        os.close(opened)  # another writer came before the lock, and removed it


def _remove_abandoned(part: Path) -> None:
    """Remove a file whose writer is gone; raises OSError while it lives."""
    if fcntl is None:
        part.unlink()
        return
    opened = os.open(part, os.O_WRONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        part.unlink()
    finally:
        os.close(opened)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path}: can't be written: {error.strerror}.") from None
