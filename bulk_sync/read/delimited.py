"""Comma-separated text in UTF-8, with or without a byte order mark.

Row numbers are the ones that a spreadsheet program shows: a record with line breaks
inside quotes is one row, and a blank line is a row too. Nothing is repaired: a stray
quote, a NUL or an undecodable byte ends the reading with its line.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bulk_sync.errors import InputError
from bulk_sync.model import Row

_WORKBOOK_MAGIC = {
    b"PK\x03\x04": "a workbook or archive",
    b"\xd0\xcf\x11\xe0": "an old or protected workbook",
}


class DelimitedTable:
    """A CSV file that is open; made by `open_table`."""

    def __init__(self, file: io.BufferedReader, path: Path) -> None:
        self._file = file
        self._path = path
        self._stat = _fingerprint(file)
        self.digest = hashlib.file_digest(file, "sha256").hexdigest()
        self._refuse_binary()
        file.seek(0)
        # Kept here, for a wrapper that is let go closes the file.
        self._text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        self._reader = csv.reader(self._lines(), strict=True)
        self._records = self._numbered()
        self.headers = self._read_header()

    def _refuse_binary(self) -> None:
        self._file.seek(0)
        kind = _WORKBOOK_MAGIC.get(self._file.read(4))
        if kind is not None:
            raise InputError(f"{self._path}: this is {kind}, not CSV text. Save it as 'CSV UTF-8' and push that file.")

    def _read_header(self) -> tuple[str, ...]:
        for _, cells in self._records:
            return tuple(cell.strip() for cell in cells)
        raise InputError(f"{self._path}: the file is empty; expected a header row with unique_showing_key in it.")

    def rows(self) -> Iterator[Row]:
        """The rows below the header, blank ones left out."""
        for number, cells in self._records:
            yield Row(number, tuple(cells))
        if _fingerprint(self._file) != self._stat:
            raise InputError(f"{self._path}: the file was changed while it was being read; run again.")

    def _numbered(self) -> Iterator[tuple[int, list[str]]]:
        number = 0
        begins_at = 1
        try:
            for number, cells in enumerate(self._reader, start=1):
                if any(cell and not cell.isspace() for cell in cells):
                    yield number, cells
                begins_at = self._reader.line_num + 1
        except csv.Error as error:
            raise InputError(
                f"{self._path}: row {number + 1} (from line {begins_at} of the file) is not well-formed CSV: {error}. "
                "A quote inside a quoted cell is written twice, and every quote that opens must close."
            ) from None
        except UnicodeDecodeError:
            raise InputError(
                f"{self._path}: line {self._first_bad_line()} is not UTF-8 text. Save the file as 'CSV UTF-8'."
            ) from None

    def _lines(self) -> Iterator[str]:
        for number, line in enumerate(self._text, start=1):
            if "\0" in line:
                raise InputError(f"{self._path}: line {number} holds a NUL character; this is not a text file.")
            yield line

    def _first_bad_line(self) -> int:
        self._file.seek(0)
        for number, line in enumerate(self._file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
        return 1  # a lone carriage return as line end: the file is a single line to binary reading


def _fingerprint(file: io.BufferedReader) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


@contextmanager
def open_table(path: Path) -> Iterator[DelimitedTable]:
    """Open a CSV file; raises InputError with a sentence when it can't be used."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file.") from None
    except IsADirectoryError:
        raise InputError(f"{path}: this is a folder; name a CSV file.") from None
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}.") from None
    with file:
        if not path.is_file():
            raise InputError(f"{path}: not a regular file; save the rows to a file first, so that a run can resume.")
        yield DelimitedTable(file, path)
