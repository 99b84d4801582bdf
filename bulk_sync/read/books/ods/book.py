"""An OpenDocument spreadsheet, and the rows of its tables."""

from __future__ import annotations

from collections.abc import Iterator

from bulk_sync.model.rows import Row
from bulk_sync.read.archive import Archive
from bulk_sync.read.books.interface import Sheet
from bulk_sync.read.books.mixed import Mixed
from bulk_sync.read.books.ods.document import Document
from bulk_sync.read.books.ods.rows import PlainRows

CONTENT = "content.xml"


class OdsBook:
    """An OpenDocument spreadsheet."""

    format = "ODS"

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        document = Document()
        for _ in _read(archive, document):
            pass
        self.sheets = [
            Sheet(name, style not in document.hidden_styles, is_grid=True, place=str(index))
            for index, (name, style) in enumerate(document.tables)
        ]

    def open(self, sheet: Sheet) -> OdsGrid:
        """Return a sheet's cells; see `Book`."""
        return OdsGrid(self._archive, int(sheet.place))


class OdsGrid:
    """The cells of one table; `hidden_rows` is complete after a reading."""

    def __init__(self, archive: Archive, table: int) -> None:
        self.hidden_rows = 0
        self.hidden_columns: set[int] = set()
        self._archive = archive
        self._table = table

    def filled(self) -> Iterator[Row]:
        """Yield the rows with a cell that shows something; see `Grid`."""
        document = Document(self._table)
        for _ in _read(self._archive, document):
            self.hidden_columns = document.hidden_columns
            yield from document.sink.drain()
            if document.has_ended:
                break
        self.hidden_rows = document.sink.hidden_rows


def _read(archive: Archive, document: Document) -> Iterator[None]:
    # The tables are in the body's spreadsheet; their rows at this depth, or in groups.
    mixed = Mixed(document, CONTENT, "table", "table-row", 4)
    return mixed.read(archive.chunks(CONTENT), PlainRows(document))
