"""Translate the errors of foreign code that reads a workbook, and mute its output."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bulk_sync.errors import BulkSyncError, InputError
from bulk_sync.read.archive import BadArchive
from bulk_sync.read.survey.interface import BadWorkbook

AGAIN = (
    "Open the workbook in a spreadsheet program and save it again, or save the sheet as "
    "'CSV UTF-8'."
)
"""The remedy for a workbook that can't be read."""


@contextmanager
def input_errors(path: Path) -> Iterator[None]:
    """Translate whatever foreign code raises for a file into InputError.

    BaseException is caught, because python-calamine panics on some damaged files, and a panic is
    no Exception. Our own errors and requests to end the program pass.
    """
    try:
        yield
    except (BulkSyncError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except (BadWorkbook, BadArchive) as error:
        raise InputError(f"{path}: {_sentence(str(error))}") from None
    except MemoryError:
        # The library's own allocations abort the process instead, hence the bounds of surveys.
        raise InputError(
            f"{path}: the workbook doesn't fit in memory. Save the sheet as 'CSV UTF-8'."
        ) from None
    except (
        # Whatever our own parsing raises for bytes that don't fit the format.
        OSError,
        EOFError,
        struct.error,
        zlib.error,
        ValueError,
        LookupError,
        ArithmeticError,
        RecursionError,
    ) as error:
        raise InputError(f"{path}: the workbook is damaged ({_brief(error)}). {AGAIN}") from None
    except BaseException as error:
        if not _is_foreign(error):
            raise
        raise InputError(f"{path}: the workbook can't be read ({_brief(error)}). {AGAIN}") from None


@contextmanager
def muted() -> Iterator[None]:
    """Discard what the library writes to file descriptor 2, past Python, when it panics."""
    # Rust prints a panic before Python sees an exception, and not through `sys.stderr`.
    try:
        screen = os.dup(2)
    except OSError:  # standard error is closed
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(screen, 2)
        os.close(screen)


def _is_foreign(error: BaseException) -> bool:
    module = type(error).__module__.partition(".")[0]
    return module in {
        "pyo3_runtime",
        "python_calamine",
        "_python_calamine",
        "olefile",
        "zipfile",
        "pyexpat",
    }


def _brief(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return (text[:120] or type(error).__name__).rstrip(".")


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
