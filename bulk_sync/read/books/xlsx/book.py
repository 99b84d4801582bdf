"""A workbook of XML parts, and the rows of its sheets."""

from __future__ import annotations

from collections.abc import Iterator

from bulk_sync.model.rows import Row
from bulk_sync.read.archive import Archive
from bulk_sync.read.books.interface import Sheet, TooLarge
from bulk_sync.read.books.markup import feed, local
from bulk_sync.read.books.mixed import Mixed
from bulk_sync.read.books.package import part_of_kind, relations_of
from bulk_sync.read.books.shown import Covering, Range
from bulk_sync.read.books.xlsx.cells import SheetReader
from bulk_sync.read.books.xlsx.rows import PlainRows
from bulk_sync.read.books.xlsx.sink import Sink, is_true
from bulk_sync.read.books.xlsx.strings import SharedStrings
from bulk_sync.read.books.xlsx.styles import Styles
from bulk_sync.read.books.xlsx.values import Values
from bulk_sync.read.bounds import MAX_SHEETS

_MERGED = b"mergeCell"


class XlsxBook:
    """A workbook of XML parts."""

    def __init__(self, archive: Archive, main: str) -> None:
        self._archive = archive
        relations = relations_of(archive, main)
        self._parts = {each.id: each for each in relations}
        self._strings_part = part_of_kind(relations, archive, "sharedStrings")
        self._styles_part = part_of_kind(relations, archive, "styles")
        workbook = _read_workbook(archive, main)
        self._is_1904 = workbook.is_1904
        self.sheets = [self._sheet(*each) for each in workbook.sheets]
        self.format = "XLSM" if part_of_kind(relations, archive, "vbaProject") else "XLSX"
        self._values: Values | None = None

    def open(self, sheet: Sheet) -> XlsxGrid:
        """Return a sheet's cells; see `Book`."""
        if self._values is None:
            self._values = self._read_values()
        return XlsxGrid(self._archive, sheet.place, self._values)

    def _sheet(self, name: str, state: str, relation_id: str) -> Sheet:
        relation = self._parts.get(relation_id)
        is_grid = relation is not None and relation.kind == "worksheet"
        return Sheet(
            name,
            state not in {"hidden", "veryHidden"},
            is_grid,
            relation.target if relation else "",
        )

    def _read_values(self) -> Values:
        strings, styles = SharedStrings(), Styles()
        if self._strings_part is not None:
            strings.read(self._archive.chunks(self._strings_part), self._strings_part)
        if self._styles_part is not None:
            feed(self._archive.chunks(self._styles_part), styles, self._styles_part)
        return Values(strings.texts, styles.converters(is_1904=self._is_1904))


class XlsxGrid:
    """The cells of one sheet; `hidden_rows` and `hidden_columns` are complete after a reading."""

    def __init__(self, archive: Archive, part: str, values: Values) -> None:
        self.hidden_rows = 0
        self.hidden_columns: set[int] = set()
        self._archive = archive
        self._part = part
        self._values = values
        self._merged = self._find_merged()

    def filled(self) -> Iterator[Row]:
        """Yield the rows with a cell that shows something; see `Grid`."""
        sink = Sink(Covering(self._merged))
        reader = SheetReader(sink, self._values)
        for _ in self._read(reader, sink):
            yield from sink.drain()
            self.hidden_columns = reader.hidden_columns
        self.hidden_rows = sink.hidden_rows

    def _read(self, reader: SheetReader, sink: Sink) -> Iterator[None]:
        mixed = Mixed(reader, self._part, "sheetData", "row", 2)
        return mixed.read(self._archive.chunks(self._part), PlainRows(sink, self._values))

    def _find_merged(self) -> list[Range]:
        """Return the merged ranges, which come after the rows that they cover."""
        # Searched for first, because unpacking takes a tenth of the time of reading.
        before, found = b"", False
        for chunk in self._archive.chunks(self._part):
            found = found or _MERGED in before + chunk
            before = chunk[-len(_MERGED) :]
        if not found:
            return []
        sink = Sink(Covering([]))
        reader = SheetReader(sink, self._values)
        for _ in self._read(reader, sink):
            sink.drain()
        return reader.merged


def is_workbook(archive: Archive, main: str) -> bool:
    """Return whether a part is that of a workbook, rather than of a text document."""
    return _read_workbook(archive, main).root == "workbook"


def _read_workbook(archive: Archive, main: str) -> _Workbook:
    workbook = _Workbook()
    feed(archive.chunks(main), workbook, main)
    return workbook


class _Workbook:
    """The list of sheets as (name, state, id of the relation), and the date system."""

    def __init__(self) -> None:
        self.root: str | None = None
        self.sheets: list[tuple[str, str, str]] = []
        self.is_1904 = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        tag = local(name)
        self.root = self.root or tag
        match tag:
            case "workbookPr":
                # Excel 2013 and later add a second element of this name in an extension, without
                # the date system.
                self.is_1904 = self.is_1904 or is_true(attributes.get("date1904"))
            case "sheet":
                # Its prefix is the file's choice, and its namespace differs in strict files.
                relation = next(
                    (value for key, value in attributes.items() if key.endswith(":id")), ""
                )
                name = attributes.get("name", "")
                self.sheets.append((name, attributes.get("state", "visible"), relation))
                if len(self.sheets) > MAX_SHEETS:
                    raise TooLarge(f"it has more than {MAX_SHEETS:,} sheets.")
            case _:
                pass

    def end(self, name: str) -> None:
        pass

    def text(self, text: str) -> None:
        pass
