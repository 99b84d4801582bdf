"""Look whether a file may be one of our own, before its layout is known."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from pathlib import Path

from bulk_sync.model.own import MARK

# The header is among the first texts of a file, also after a program has saved it.
_FIRST_BYTES = 1 << 20

_MARKS = tuple(MARK.encode(codec) for codec in ("ascii", "utf-16-le", "utf-16-be"))
# The parts of XLSX, XLSB and ODS that may have the texts of a header.
_TEXTS = ("sharedstrings.xml", "sharedstrings.bin", "content.xml")

# Whatever zipfile and its decompressors raise for damaged bytes.
_DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    RuntimeError,
    NotImplementedError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
)


def may_be_own(path: Path) -> bool:
    """Return True if the mark's beginning is among a file's first texts; never raises."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            head = file.read(_FIRST_BYTES)
        if _has_mark(head):
            return True
        return head[:2] == b"PK" and _is_in_archive(path)
    except _DAMAGE:
        return False  # whoever opens the file says why it can't be read


def _is_in_archive(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist()[:1000]:
            plain = name.lower()
            if not plain.endswith(_TEXTS) and "worksheets/sheet" not in plain:
                continue
            with archive.open(name) as part:
                if _has_mark(part.read(_FIRST_BYTES)):
                    return True
    return False


def _has_mark(text: bytes) -> bool:
    return any(mark in text for mark in _MARKS)
