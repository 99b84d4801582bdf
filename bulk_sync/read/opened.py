"""A file that is opened once and must not change while it is read."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bulk_sync.errors import InputError


def fingerprint(file: io.BufferedReader) -> tuple[int, int]:
    """Return size and modification time: they are equal as long as nobody wrote to the file."""
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def refuse_if_changed(
    file: io.BufferedReader, path: Path, before: tuple[int, int], digest: str
) -> None:
    """Raise InputError when the file was changed, moved or replaced since its reading began.

    Its bytes are read once more, because an edit may keep the size and restore the modification
    time. To be called before anything is sent; later changes to the file don't matter.
    """
    if fingerprint(file) != before or _digest(file) != digest:
        raise changed(path)
    try:
        # A copy that was moved over the file is another inode, perhaps with the same content.
        is_in_place = os.path.samestat(path.stat(), os.fstat(file.fileno()))
        with path.open("rb") as now:
            same = is_in_place or _digest(now) == digest
    except OSError:
        raise InputError(
            f"{path}: the file was moved or deleted while it was being read, so nothing was sent; "
            "put it back."
        ) from None
    if not same:
        raise InputError(
            f"{path}: another file took its place while it was being read, so nothing was sent; "
            "run again."
        )


def changed(path: Path) -> InputError:
    """Return the error for a file that was written to while it was being read."""
    return InputError(
        f"{path}: the file was changed while it was being read, so nothing was sent; run again."
    )


def _digest(file: io.BufferedReader) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def opened(path: Path) -> Iterator[io.BufferedReader]:
    """Open a regular file for reading; raises InputError when that fails."""
    try:
        # Opening a named pipe would wait for a writer, and a pipe can't be read twice.
        if path.exists() and not path.is_dir() and not path.is_file():
            raise InputError(
                f"{path}: not a regular file; save the rows to a file first, or pass them as - "
                "(standard input)"
            )
        file = path.open("rb")
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file.") from None
    except IsADirectoryError:
        raise InputError(f"{path}: this is a folder; name a file.") from None
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}.") from None
    except ValueError:  # a NUL in the name
        raise InputError(f"{path}: not a valid file name.") from None
    with file:
        yield file
