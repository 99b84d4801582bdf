"""Translate the errors of reading a workbook, ours and those of foreign code."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.parsers import expat

from bulk_sync.errors import BulkSyncError, InputError
from bulk_sync.read.archive import BadArchive
from bulk_sync.read.books.interface import BadWorkbook

AGAIN = (
    "Open the workbook in a spreadsheet program and save it again, or save the sheet as "
    "'CSV UTF-8'."
)
"""The remedy for a workbook that can't be read."""


@contextmanager
def input_errors(path: Path) -> Iterator[None]:
    """Translate whatever is raised for a file's content into InputError; other errors pass."""
    try:
        yield
    except BulkSyncError:
        raise
    except (BadWorkbook, BadArchive) as error:
        raise InputError(f"{path}: {_sentence(str(error))}") from None
    except MemoryError:
        raise InputError(
            f"{path}: the workbook doesn't fit in memory. Save the sheet as 'CSV UTF-8'."
        ) from None
    except (
        # Whatever our own parsing, olefile, zipfile and expat raise for bytes that don't fit.
        OSError,
        EOFError,
        struct.error,
        zlib.error,
        zipfile.BadZipFile,
        expat.ExpatError,
        ValueError,
        LookupError,
        ArithmeticError,
        RecursionError,
    ) as error:
        raise InputError(f"{path}: the workbook is damaged ({_brief(error)}). {AGAIN}") from None


def _brief(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return (text[:120] or type(error).__name__).rstrip(".")


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
