"""A file that is opened once and must not change while it is read.

A read that fails (a broken disk, a network folder that went away) is the input's fault, whichever
code reads: it is raised as no OSError, which foreign code may take for the end or for damage.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bulk_sync import platforms
from bulk_sync.errors import BulkSyncError, InputError
from bulk_sync.platforms import why_refused

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# As `open` uses where the file system names no better size; workbooks are read in larger pieces.
_BUFFER_BYTES = 1 << 16


class ReadFailed(InputError):
    """The file was opened, and can't be read on."""

    def __init__(self, name: object, error: OSError) -> None:
        super().__init__(
            f"{name}: can't be read on: {why_refused(error)}. Nothing of it was sent; copy it to a "
            "local disk and push the copy, or push it again when the disk can be read."
        )


class InputFile(io.FileIO):
    """The bytes of an input; raises ReadFailed, and keeps it in `failure`."""

    failure: ReadFailed | None = None

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        """Read into a buffer."""
        try:
            return super().readinto(buffer)
        except OSError as error:
            raise self._failed(error) from None

    def readall(self) -> bytes:
        """Read all that is left."""
        try:
            return super().readall()
        except OSError as error:
            raise self._failed(error) from None

    def _failed(self, error: OSError) -> ReadFailed:
        self.failure = ReadFailed(self.name, error)
        return self.failure


def open_input(path: Path) -> io.BufferedReader:
    """Open a file whose failing reads are input errors; raises OSError."""
    return io.BufferedReader(InputFile(str(path)), _BUFFER_BYTES)


def _failure_of(file: io.BufferedReader) -> ReadFailed | None:
    return file.raw.failure if isinstance(file.raw, InputFile) else None


def fingerprint(file: io.BufferedReader) -> tuple[int, int]:
    """Return size and modification time: they are equal as long as nobody wrote to the file."""
    try:
        status = os.fstat(file.fileno())
    except OSError as error:  # a network folder that went away
        raise ReadFailed(file.name, error) from None
    return status.st_size, status.st_mtime_ns


def refuse_if_changed(
    file: io.BufferedReader, path: Path, before: tuple[int, int], digest: str
) -> None:
    """Raise InputError when the file was changed, moved or replaced since its reading began.

    Its bytes are read once more, because an edit may keep the size and restore the modification
    time. To be called before anything is sent; later changes to the file don't matter.
    """
    if (failure := _failure_of(file)) is not None:
        raise failure  # somebody took it for the end
    if fingerprint(file) != before or _digest(file) != digest:
        raise changed(path)
    try:
        # A copy that was moved over the file is another inode, perhaps with the same content.
        is_in_place = os.path.samestat(path.stat(), os.fstat(file.fileno()))
        with open_input(path) as now:
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


def differs(path: Path, digest: str) -> bool:
    """Return whether a file has other content than `digest`, SHA-256 in hex; False if it is gone.

    Raises InputError when it can't be read.
    """
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError:
        pass  # `opened` has the words for it
    with opened(path) as file:
        return _digest(file) != digest


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
        file = open_input(path)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file.") from None
    except OSError as error:
        if path.is_dir():  # of which Windows only says that permission is denied
            raise InputError(f"{path}: this is a folder; name a file.") from None
        raise InputError(f"{path}: can't be read: {platforms.why_refused(error)}.") from None
    except ValueError:  # a NUL in the name
        raise InputError(f"{path}: not a valid file name.") from None
    with file:
        try:
            yield file
        except Exception as error:
            failure = _failure_of(file)
            ours = isinstance(error, BulkSyncError) and not isinstance(error, InputError)
            if failure is None or ours:
                raise
            # Whatever was made of it, as damage to a workbook.
            raise failure from None
