"""A file that is opened once and not changed while it is read."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bulk_sync.errors import InputError


def fingerprint(file: io.BufferedReader) -> tuple[int, int]:
    """Size and time of change: two that are equal say that the file was left alone."""
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


@contextmanager
def opened(path: Path) -> Iterator[io.BufferedReader]:
    """Open a regular file for reading; raises InputError with a sentence when it can't be."""
    try:
        if path.exists() and not path.is_dir() and not path.is_file():
            raise InputError(
                f"{path}: not a regular file; save the rows to a file first, or hand them over as - (standard input)"
            )
        file = path.open("rb")
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file.") from None
    except IsADirectoryError:
        raise InputError(f"{path}: this is a folder; name a file.") from None
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}.") from None
    except ValueError:  # a NUL in the name
        raise InputError(f"{path}: this can't be the name of a file.") from None
    with file:
        yield file
