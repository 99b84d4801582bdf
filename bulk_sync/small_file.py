"""Read settings, profiles and key files: small regular files."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from bulk_sync import platforms

LARGEST_BYTES = 1 << 20


class NoSmallFile(ValueError):
    """A file that is no regular file, or too large; the text says which."""


def read_small_file(path: Path) -> tuple[bytes, os.stat_result]:
    """Return the bytes of a file, and its owner and mode when it was opened.

    Raises NoSmallFile, without reading it, for a device, a pipe or a socket, which may never end,
    and for a file of more than `LARGEST_BYTES`; OSError if it can't be read.
    """
    # Opening a pipe that nobody writes to would wait for ever.
    descriptor = os.open(path, os.O_RDONLY | platforms.NO_WAIT)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise NoSmallFile("not a regular file")
        content = file.read(LARGEST_BYTES + 1)
    if len(content) > LARGEST_BYTES:
        raise NoSmallFile(f"larger than {LARGEST_BYTES >> 20} MB")
    return content, found
