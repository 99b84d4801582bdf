"""Files that replace their older selves at once, and are never half written.

A report is written in its folder under a name of its own that ends in `.part`, flushed to
the disk, and moved into place, so that two writers of one report don't meet: the later one
counts. What a crashed run left under such a name goes when the next report is written there.
The mode is 0600: names, mail addresses and phone numbers stand in it.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from bulk_sync.errors import OutputError

STALE_SECONDS = 600
"""A report grows while it is written; one that has not for so long was left by a crash."""

_PART_BEGINS = ".bulk-sync-"


def check_writable(path: Path) -> None:
    """Raise OutputError when `replacing(path)` would fail; leaves nothing behind."""
    if path.is_dir():
        raise OutputError(f"{path}: this is a folder; a report is to be written there.")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path}: not a regular file; a report would take its place.")
    with _translated(path):
        part, opened = _open_beside(path)
        os.close(opened)
        part.unlink()


@contextmanager
def replacing(path: Path, before: Callable[[str], None] = lambda _: None) -> Iterator[TextIO]:
    """Write a text file in UTF-8 that takes the place of `path` when the block ends well.

    `before` is told its digest just before it does.
    """
    with _translated(path):
        part, opened = _open_beside(path)
    try:
        with _translated(path), os.fdopen(opened, "w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        before(digest(part) or "")
        with _translated(path):
            part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise


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
    """Rename a file that is not ours to replace, to the first free `NAME.edited.csv`, `NAME.edited-2.csv` ..."""
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


def _open_beside(path: Path) -> tuple[Path, int]:
    """A new file in the folder of a report; old ones of the kind go."""
    # Short, and not made of the report's name, which may be as long as a name can be.
    part = path.with_name(f"{_PART_BEGINS}{secrets.token_hex(8)}.part")
    opened = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    # By the clock of the disk that both are on. One that is being written is never so old.
    stale = os.fstat(opened).st_mtime - STALE_SECONDS
    with suppress(OSError):
        for other in path.parent.glob(f"{_PART_BEGINS}*.part"):
            with suppress(OSError):
                if other.lstat().st_mtime < stale:
                    other.unlink()
    return part, opened


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path}: can't be written: {error.strerror}.") from None
