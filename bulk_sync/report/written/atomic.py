"""Files that replace their older version atomically.

A report is written to a temporary file in the same folder, flushed to the disk, and renamed. Each
writer has its own temporary file (`.bulk-sync-*.part`), so two writers of one report don't collide:
the later rename wins. The writer holds a lock on its file. The next writer in the folder removes
those without a lock, which crashed runs left behind.

A report replaces only an older one of its kind (`recognise.may_replace`). That is checked before
anything is sent, and again at the rename.
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
from bulk_sync.clock import SystemClock
from bulk_sync.errors import NameTaken, OutputError
from bulk_sync.model.names import cut_name
from bulk_sync.platforms import why_refused
from bulk_sync.recognise import Output, may_replace

_PART_PREFIX = ".bulk-sync-"
_PART_NAME = re.compile(re.escape(_PART_PREFIX) + "[0-9a-f]{16}[.]part")

# From closing a report until it has its name: its digest is taken, and a scanner may be in the way.
_ABANDONED_SECONDS = 3600.0

_NO_FOLLOW = platforms.NO_SYMLINK | platforms.CLOSE_ON_EXEC


def check_writable(path: Path, kind: Output, *, any_file: bool = False) -> None:
    """Raise OutputError if `replacing(path)` would fail; writes nothing.

    With `any_file` a file that isn't ours is no reason, because it is set aside before.
    """
    check_kind(path, kind, any_file=any_file)
    with _translated(path), part_file(path.parent):
        pass


def check_kind(path: Path, kind: Output, *, any_file: bool = False) -> None:
    """Raise OutputError for what no report of this kind may replace, and for an impossible name."""
    with _translated(path), suppress(FileNotFoundError):
        path.lstat()
    if path.is_dir():
        raise OutputError(f"{path}: this is a folder, name a file for the report.")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path}: not a regular file, and a report would replace it.")
    if not any_file and not may_replace(path, kind):
        raise OutputError(
            f"{path}: bulk-sync did not write this file as {kind.value}, so it is not replaced. "
            "Name another file, or move this one away."
        )


@contextmanager
def replacing(
    path: Path, kind: Output, before: Callable[[str], None] | None = None
) -> Iterator[TextIO]:
    """Open a UTF-8 text file that replaces `path` if the block ends without an error.

    `before` is called with the digest just before the rename. Raises OutputError.
    """
    with replacing_bytes(path, kind, before) as file:
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
def replacing_bytes(
    path: Path, kind: Output, before: Callable[[str], None] | None = None, *, public: bool = False
) -> Iterator[BinaryIO]:
    """Open a binary file that replaces `path`, as `replacing` does for text.

    A `public` one can be read by all users.
    """
    with _translated(path), part_file(path.parent) as (part, file):
        yield file
        file.flush()
        # Without this, a power failure after the rename may leave an empty file.
        platforms.sync(file.fileno())
        file.close()  # Windows can't rename an open file
        if before is not None:
            before(digest(part) or "")
        if public:
            part.chmod(0o644)
        _take_place(part, path, kind)


def _take_place(part: Path, path: Path, kind: Output) -> None:
    """Give a complete file its name, unless another than ours has taken that since the start."""
    if not os.path.lexists(path):
        try:
            link_free(part, path)
        except FileExistsError:
            pass  # taken just now, so it is looked at
        except OSError:  # a file system without links
            platforms.replace(part, path)
            return
        else:
            part.unlink()
            return
    if may_replace(path, kind):
        platforms.replace(part, path)
        return
    kept = rename_aside(part, path, "kept")
    raise NameTaken(
        f"{path}: while the run was under way, a file that bulk-sync did not write as {kind.value} "
        f"took this name. It was left as it is, and the {kind.value} of this run: {kept}."
    )


def digest(path: Path) -> str | None:
    """Return the SHA-256 of a file in hex, None if it doesn't exist; raises OutputError."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OutputError(f"{path}: can't be read: {why_refused(error)}.") from None


def set_aside(path: Path) -> Path:
    """Rename a file that somebody edited to `NAME.edited.csv`, `NAME.edited-2.csv`, ...

    Returns the new path, the first free one; raises OutputError.
    """
    with _translated(path):
        return rename_aside(path, path, "edited")


def remove(path: Path, kind: Output) -> None:
    """Remove an outdated report of an earlier run, nothing else; raises OutputError."""
    with _translated(path):
        if may_replace(path, kind):
            path.unlink(missing_ok=True)


# Names that are free


def rename_aside(source: Path, path: Path, word: str) -> Path:
    """Rename a file to the first free one of `NAME.WORD.csv`, `NAME.WORD-2.csv`, ... of a path.

    Returns the new path; raises OSError.
    """
    endings = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
    for ending in endings:
        name = path.with_name(cut_name(path.stem, f".{word}{ending}{path.suffix}"))
        with suppress(FileExistsError):
            rename_free(source, name)
            return name
    raise AssertionError


def rename_free(source: Path, target: Path) -> None:
    """Rename a file, never over another; raises FileExistsError, OSError."""
    try:
        link_free(source, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        take_free_name(source, target)
    else:
        os.unlink(source)  # noqa: PTH108 - tests stop at each call


def link_free(source: Path, target: Path) -> None:
    """Give a file a second name, on the disk; raises FileExistsError if it is taken, OSError."""
    os.link(source, target, follow_symlinks=False)
    _sync_folder(target.parent)


def take_free_name(source: Path, target: Path) -> None:
    """Rename a file without links, never over another; raises FileExistsError, OSError."""
    # From here on nobody else takes the name.
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW, 0o600))
    try:
        platforms.replace(source, target)
    except BaseException:
        os.unlink(target)  # noqa: PTH108 - as above
        raise
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # a name is there, whatever becomes of it in a power cut
        platforms.sync_folder(folder)


# Temporary files


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
        if platforms.OPEN_FILES_MOVE:
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
        if not platforms.OPEN_FILES_MOVE:
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
    if not platforms.OPEN_FILES_MOVE:
        # An open one can't be removed; one that was just closed is about to get its name.
        if abs(SystemClock().now().timestamp() - found.st_mtime) > _ABANDONED_SECONDS:
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
        raise OutputError(f"{path}: can't be written: {platforms.why_refused(error)}.") from None
