"""Files that replace their older selves at once, and are never half written.

A report is written beside its place under the name `*.part`, flushed to the disk, and
moved into place. Its mode is 0600: names, mail addresses and phone numbers stand in it.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from bulk_sync.errors import OutputError


def check_writable(path: Path) -> None:
    """Raise OutputError when `replacing(path)` would fail; leaves nothing behind."""
    if path.is_dir():
        raise OutputError(f"{path}: this is a folder; a report is to be written there.")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path}: not a regular file; a report would take its place.")
    part = _part(path)
    with _translated(path):
        os.close(_open(part))
        part.unlink()


@contextmanager
def replacing(path: Path, before: Callable[[str], None] = lambda _: None) -> Iterator[TextIO]:
    """Write a text file in UTF-8 that takes the place of `path` when the block ends well.

    `before` is told its digest just before it does.
    """
    part = _part(path)
    try:
        with _translated(path), os.fdopen(_open(part), "w", encoding="utf-8", newline="") as file:
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


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _open(part: Path) -> int:
    return os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0), 0o600)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path}: can't be written: {error.strerror}.") from None
