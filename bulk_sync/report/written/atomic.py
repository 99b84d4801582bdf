"""Files that replace their older version atomically.

A report is written to a temporary file in the same folder, flushed to the disk, and renamed. Each
writer has its own temporary file (`.bulk-sync-*.part`), so two writers of one report don't collide:
the later rename wins. The writer holds a lock on its file. The next writer in the folder removes
those without a lock, which crashed runs left behind.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TextIO

from bulk_sync import platforms
from bulk_sync.errors import OutputError

_PART_PREFIX = ".bulk-sync-"
_PART_NAME = re.compile(re.escape(_PART_PREFIX) + "[0-9a-f]{16}[.]part")

_NO_FOLLOW = platforms.NO_SYMLINK | platforms.CLOSE_ON_EXEC


def check_writable(path: Path) -> None:
    """Raise OutputError if `replacing(path)` would fail; writes nothing."""
    check_kind(path)
    with _translated(path), part_file(path.parent):
        pass


def check_kind(path: Path) -> None:
    """Raise OutputError for a folder, a pipe or a device, which no report may replace."""
    if path.is_dir():
        raise OutputError(f"{path}: this is a folder, name a file for the report.")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path}: not a regular file, and a report would replace it.")


@contextmanager
def replacing(path: Path, before: Callable[[str], None] | None = None) -> Iterator[TextIO]:
    """Open a UTF-8 text file that replaces `path` if the block ends without an error.

    `before` is called with the digest just before the rename. Raises OutputError.
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
        text.detach()  # closing it would close the file, which is still to be flushed to the disk


@contextmanager
def replacing_bytes(path: Path, before: Callable[[str], None] | None = None) -> Iterator[BinaryIO]:
    """Open a binary file that replaces `path`, as `replacing` does for text."""
    with _translated(path), part_file(path.parent) as (part, file):
        yield file
        file.flush()
        # Without this, a power failure after the rename may leave an empty file.
        os.fsync(file.fileno())
        file.close()  # Windows can't rename an open file
        if before is not None:
            before(digest(part) or "")
        part.replace(path)


def digest(path: Path) -> str | None:
    """Return the SHA-256 of a file in hex, None if it doesn't exist; raises OutputError."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OutputError(f"{path}: can't be read: {error.strerror}.") from None


def set_aside(path: Path) -> Path:
    """Rename a file that somebody edited to `NAME.edited.csv`, `NAME.edited-2.csv`, ...

    Returns the new path, the first free one; raises OutputError.
    """
    endings = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
    names = (path.with_name(f"{path.stem}.edited{ending}{path.suffix}") for ending in endings)
    kept = next(name for name in names if not name.exists())
    with _translated(path):
        path.rename(kept)
    return kept


def remove(path: Path) -> None:
    """Remove an outdated report of an earlier run; raises OutputError."""
    with _translated(path):
        path.unlink(missing_ok=True)


@contextmanager
def part_file(folder: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """Open a temporary file in a report's folder; at the end it is removed unless renamed.

    Raises OSError.
    """
    for other in folder.glob(f"{_PART_PREFIX}*.part"):
        with suppress(OSError):
            _remove_abandoned(other)
    part, opened = _create(folder)
    with ExitStack() as at_end:
        at_end.callback(_remove_quietly, part)
        if platforms.HAS_LOCKS:
            # A lock lasts as long as any descriptor of the open file: this one outlives `file`.
            at_end.callback(os.close, os.dup(opened))
        with os.fdopen(opened, "wb") as file:
            yield part, file


def _remove_quietly(part: Path) -> None:
    with suppress(OSError):
        part.unlink(missing_ok=True)


def _create(folder: Path) -> tuple[Path, int]:
    """Create a temporary file; return its path and descriptor, locked where locks exist."""
    while True:
        # Not derived from the report's name, which may already have the maximum length.
        part = folder / f"{_PART_PREFIX}{secrets.token_hex(8)}.part"
        # Private, because reports contain names, email addresses and phone numbers.
        opened = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | _NO_FOLLOW, 0o600)
        if not platforms.HAS_LOCKS:
            return part, opened
        # On a file system without locks nobody can take it for abandoned either.
        with suppress(OSError):
            platforms.lock(opened, wait=True)
        if part.exists():
            return part, opened
        os.close(opened)  # another writer removed it before the lock was taken


def _remove_abandoned(part: Path) -> None:
    """Remove a temporary file whose writer is gone; raises OSError while it is in use.

    A pipe, a link or somebody else's file under such a name is left alone: opening it could wait,
    or reach another file.
    """
    found = part.lstat()
    ours = platforms.user_id() in {None, found.st_uid}
    if not (_PART_NAME.fullmatch(part.name) and stat.S_ISREG(found.st_mode) and ours):
        return
    if not platforms.HAS_LOCKS:
        part.unlink()
        return
    opened = os.open(part, os.O_WRONLY | _NO_FOLLOW | platforms.NO_WAIT)
    try:
        platforms.lock(opened, wait=False)
        part.unlink()
    finally:
        os.close(opened)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path}: can't be written: {error.strerror}.") from None
