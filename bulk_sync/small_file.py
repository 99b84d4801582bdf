"""Read settings, profiles and key files: small regular files, and the TOML in them."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from pathlib import Path
from typing import Any

from bulk_sync import platforms

LARGEST_BYTES = 1 << 20

_MOST_PARTS = 100

# A dotted key: tomllib copies all of its parts for each one, minutes for a megabyte of them.
_PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
_LONG_KEY = re.compile(rf"(?<![\w-])(?:{_PART}[ \t]*+\.[ \t]*+){{{_MOST_PARTS}}}")


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


def parse_toml(text: str) -> dict[str, Any]:
    """Return what a TOML text says, in a time that its size bounds.

    Raises TOMLDecodeError, also for keys and numbers that are too long to be meant, and
    RecursionError.
    """
    if _LONG_KEY.search(text):
        raise tomllib.TOMLDecodeError(f"a key of more than {_MOST_PARTS} parts")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:  # Python converts no more than 4300 digits
        raise tomllib.TOMLDecodeError("a number with too many digits") from None
