"""An OpenDocument spreadsheet, packed or flat, and the rows of its tables."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator

from bulk_sync.model.rows import Row
from bulk_sync.read.archive import CHUNK_BYTES, Archive
from bulk_sync.read.books.interface import BadWorkbook, Sheet
from bulk_sync.read.books.mixed import Mixed
from bulk_sync.read.books.ods.document import Document
from bulk_sync.read.books.ods.rows import PlainRows

CONTENT = "content.xml"


Chunks = Callable[[], Iterable[bytes]]
"""Opens the XML from its beginning."""


class OdsBook:
    """An OpenDocument spreadsheet, given its content; made by `packed` or `flat`."""

    def __init__(self, format_: str, chunks: Chunks) -> None:
        self.format = format_
        self._chunks = chunks
        document = Document()
        for _ in _read(chunks, document):
            pass
        if not document.tables:
            raise BadWorkbook("this is an OpenDocument file without a spreadsheet in it.")
        self.sheets = [
            Sheet(name, style not in document.hidden_styles, is_grid=True, place=str(index))
            for index, (name, style) in enumerate(document.tables)
        ]

    def open(self, sheet: Sheet) -> OdsGrid:
        """Return a sheet's cells; see `Book`."""
        return OdsGrid(self._chunks, int(sheet.place))


class OdsGrid:
    """The cells of one table; `hidden_rows` is complete after a reading."""

    def __init__(self, chunks: Chunks, table: int) -> None:
        self.hidden_rows = 0
        self.hidden_columns: set[int] = set()
        self._chunks = chunks
        self._table = table

    def filled(self) -> Iterator[Row]:
        """Yield the rows with a cell that shows something; see `Grid`."""
        document = Document(self._table)
        for _ in _read(self._chunks, document):
            self.hidden_columns = document.hidden_columns
            yield from document.sink.drain()
            if document.has_ended:
                break
        self.hidden_rows = document.sink.hidden_rows


def packed(archive: Archive) -> OdsBook:
    """Return the spreadsheet of a package (OpenDocument 1.3 part 2)."""
    return OdsBook("ODS", lambda: archive.chunks(CONTENT))


def flat(file: io.BufferedReader) -> OdsBook:
    """Return the spreadsheet of a single XML file (OpenDocument 1.3 part 3, 3.1.2)."""

    def chunks() -> Iterator[bytes]:
        place = 0
        # The position is kept here, because another reading may begin in between.
        while chunk := _read_at(file, place):
            place += len(chunk)
            yield chunk

    return OdsBook("FODS", chunks)


def _read_at(file: io.BufferedReader, place: int) -> bytes:
    file.seek(place)
    return file.read(CHUNK_BYTES)


def _read(chunks: Chunks, document: Document) -> Iterator[None]:
    # The tables are in the body's spreadsheet; their rows at this depth, or in groups.
    mixed = Mixed(document, CONTENT, "table", "table-row", 4)
    return mixed.read(chunks(), PlainRows(document))
