"""Workbooks byte by byte, as no program writes them: for the tests of reading."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from bulk_sync.errors import InputError
from bulk_sync.model.rows import Cell, Row
from bulk_sync.model.summaries import Understood
from bulk_sync.read.files import open_table as open_workbook
from bulk_sync.read.interface import ReadOptions

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
STRICT = "http://purl.oclc.org/ooxml/spreadsheetml/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_STYLES = (
    '<numFmts count="2"><numFmt numFmtId="170" formatCode="[h]:mm:ss"/>'
    '<numFmt numFmtId="171" formatCode="yyyy\\-mm\\-dd hh:mm"/></numFmts>'
    '<cellXfs count="6"><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="22"/><xf numFmtId="20"/>'
    '<xf numFmtId="170"/><xf numFmtId="171"/></cellXfs>'
)


def packed(parts: Mapping[str, str | bytes]) -> bytes:
    """An archive of parts."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def xlsx_parts(
    data: str, strings: str = "", *, after: str = "", properties: str = "", main: str = MAIN
) -> dict[str, str]:
    """The parts of a workbook with one sheet, `S`.

    Styles 1 to 5: date, both, time, duration, both.
    """
    return {
        "_rels/.rels": _relations({"rId1": ("officeDocument", "xl/workbook.xml")}),
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{OFFICE}">{properties}'
        '<sheets><sheet name="S" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": _relations(
            {
                "rId1": ("worksheet", "worksheets/sheet1.xml"),
                "rId2": ("sharedStrings", "sharedStrings.xml"),
                "rId3": ("styles", "styles.xml"),
            }
        ),
        "xl/worksheets/sheet1.xml": "<worksheet "
        f'xmlns="{main}"><sheetData>{data}</sheetData>{after}</worksheet>',
        "xl/sharedStrings.xml": f'<sst xmlns="{main}">{strings}</sst>',
        "xl/styles.xml": f'<styleSheet xmlns="{main}">{_STYLES}</styleSheet>',
    }


def _relations(relations: Mapping[str, tuple[str, str]]) -> str:
    each = "".join(
        f'<Relationship Id="{key}" Type="{OFFICE}/{kind}" Target="{target}"/>'
        for key, (kind, target) in relations.items()
    )
    return f'<Relationships xmlns="{_RELATIONS}">{each}</Relationships>'


def record(kind: int, data: bytes = b"") -> bytes:
    """A record of XLSB ([MS-XLSB] 2.1.4)."""
    head = bytes([kind]) if kind < 0x80 else bytes([kind & 0x7F | 0x80, kind >> 7])
    size = len(data)
    while size >= 0x80:
        head += bytes([size & 0x7F | 0x80])
        size >>= 7
    return head + bytes([size]) + data


def wide(text: str) -> bytes:
    """An XLWideString ([MS-XLSB] 2.5.168)."""
    encoded = text.encode("utf-16-le")
    return struct.pack("<I", len(encoded) // 2) + encoded


def xlsb_parts(
    sheet: list[tuple[int, bytes]], strings: tuple[str, ...] = ()
) -> dict[str, str | bytes]:
    """The parts of a binary workbook with one sheet, `S`, of these records between BrtBegin- and
    BrtEndSheetData.
    """
    properties = struct.pack("<III", 0, 0, 0)
    bundle = struct.pack("<II", 0, 1) + wide("rId1") + wide("S")
    book = [(131, b""), (153, properties), (143, b""), (156, bundle), (144, b""), (132, b"")]
    frame = [
        (129, b""),
        (148, struct.pack("<IIII", 0, 9, 0, 9)),
        (145, b""),
        *sheet,
        (146, b""),
        (130, b""),
    ]
    count = struct.pack("<II", len(strings), len(strings))
    texts = [(159, count), *((19, b"\0" + wide(text)) for text in strings), (160, b"")]
    return {
        "_rels/.rels": _relations({"rId1": ("officeDocument", "xl/workbook.bin")}),
        "xl/workbook.bin": b"".join(record(*each) for each in book),
        "xl/_rels/workbook.bin.rels": _relations(
            {
                "rId1": ("worksheet", "worksheets/sheet1.bin"),
                "rId2": ("sharedStrings", "sharedStrings.bin"),
            }
        ),
        "xl/worksheets/sheet1.bin": b"".join(record(*each) for each in frame),
        "xl/sharedStrings.bin": b"".join(record(*each) for each in texts),
    }


def ods_parts(rows: str) -> dict[str, str]:
    """The parts of an OpenDocument spreadsheet with one table, `S`."""
    spaces = "".join(
        f' xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for name in ("office", "table", "text", "style")
    )
    return {
        "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
        "META-INF/manifest.xml": "<manifest/>",
        "content.xml": f"<office:document-content{spaces} "
        'xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0">'
        "<office:body><office:spreadsheet>"
        f'<table:table table:name="S">{rows}</table:table></office:spreadsheet></office:body>'
        "</office:document-content>",
    }


def ods_row(*cells: str) -> str:
    """A row of an OpenDocument table."""
    return f"<table:table-row>{''.join(cells)}</table:table-row>"


def ods_text(text: str, attributes: str = "") -> str:
    """A cell with a text."""
    return (
        '<table:table-cell office:value-type="string" '
        f"{attributes}><text:p>{text}</text:p></table:table-cell>"
    )


def write(path: Path, parts: Mapping[str, str | bytes]) -> Path:
    """Write an archive of parts."""
    path.write_bytes(packed(parts))
    return path


HEADER = '<row r="1"><c r="A1" t="inlineStr"><is><t>key</t></is></c></row>'


def recognise(cells: Sequence[str]) -> int:
    return sum(1 for cell in cells if cell) if "key" in cells else 0


def read(path: Path, **options: Any) -> tuple[Understood, tuple[str, ...], list[Row]]:
    with open_workbook(path, ReadOptions(recognise, **options)) as table:
        return table.understood, table.headers, list(table.rows())


def rows_of(path: Path, **options: Any) -> list[tuple[int, tuple[Cell, ...]]]:
    return [(row.number, row.cells) for row in read(path, **options)[2]]


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        read(path, **options)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert text.endswith(".")
    assert "\n" not in text
    return text


def cells_of(tmp_path: Path, cells: str, strings: str = "", **more: str) -> tuple[Cell, ...]:
    """The cells of row 2 of a hand-made XLSX, headed by `key`."""
    data = f'{HEADER}<row r="2">{cells}</row>'
    rows = rows_of(write(tmp_path / "x.xlsx", xlsx_parts(data, strings, **more)))
    return rows[0][1] if rows else ()


def sheets(path: Path, sheets: Mapping[str, list[list[Any]]], hidden: Sequence[str] = ()) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for cells in rows:
            sheet.append(cells)
        if name in hidden:
            sheet.sheet_state = "hidden"
    book.save(path)
    return path


BOOK: dict[str, list[list[Any]]] = {
    "Read me": [["some words"]],
    "Old": [["key"], ["old"]],
    "March": [["March 2026"], [], ["key", "a"], ["m", 1]],
    "1": [["key"], ["one"]],
}


def edited(parts: Mapping[str, str], name: str, old: str, new: str) -> dict[str, str]:
    return {**parts, name: parts[name].replace(old, new)}


def number(column: int, value: float) -> tuple[int, bytes]:
    return 5, struct.pack("<IId", column, 0, value)


def row_header(row: int, flags: int = 0) -> tuple[int, bytes]:
    return 0, struct.pack("<IIHBB", row, 0, 300, 0, flags) + bytes(5)
