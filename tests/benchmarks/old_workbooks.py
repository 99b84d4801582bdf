"""Writers of XLS, XLSB and ODS for the benchmark of workbooks."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from xml.sax.saxutils import escape

import xlwt

from tests.unit.workbooks import ods_parts, record, row_header, wide, xlsb_parts

MOST_ROWS_OF_XLS = 65_535
"""Rows of an XLS sheet, below the header."""

Cell = str | int | datetime
_DAY_0 = datetime(1899, 12, 30)  # noqa: DTZ001 - the cells of a sheet have no zone
_CELL = "<table:table-cell{}><text:p>{}</text:p></table:table-cell>"


def write_xls(path: Path, lines: Iterable[Sequence[Cell]]) -> None:
    """Write a table as XLS."""
    book = xlwt.Workbook(encoding="utf-8")
    sheet = book.add_sheet("S")
    moment = xlwt.easyxf(num_format_str="yyyy-mm-dd hh:mm")
    for row, line in enumerate(lines):
        for column, cell in enumerate(line):
            if isinstance(cell, datetime):
                sheet.write(row, column, cell, moment)
            else:
                sheet.write(row, column, cell)
        if row % 1000 == 0:
            sheet.flush_row_data()
    book.save(str(path))


def write_xlsb(path: Path, lines: Iterable[Sequence[Cell]]) -> None:
    """Write a table as XLSB with shared texts."""
    texts: dict[str, int] = {}
    records: list[tuple[int, bytes]] = []
    for row, line in enumerate(lines):
        records.append(row_header(row))
        for column, cell in enumerate(line):
            if isinstance(cell, str):
                index = texts.setdefault(cell, len(texts))
                records.append((7, struct.pack("<III", column, 0, index)))
            elif isinstance(cell, int):
                records.append((2, struct.pack("<III", column, 0, cell << 2 | 2)))
            else:
                days = (cell - _DAY_0).total_seconds() / 86_400
                records.append((5, struct.pack("<IId", column, 1, days)))
    parts = xlsb_parts(records, tuple(texts))
    styles = [
        (44, struct.pack("<H", 164) + wide("yyyy-mm-dd hh:mm")),
        (617, struct.pack("<I", 2)),
        *((47, struct.pack("<HH", 0, each) + bytes(12)) for each in (0, 164)),
        (618, b""),
    ]
    parts["xl/styles.bin"] = b"".join(record(*each) for each in styles)
    parts["xl/_rels/workbook.bin.rels"] = str(parts["xl/_rels/workbook.bin.rels"]).replace(
        "</Relationships>",
        '<Relationship Id="rId9" Type="x/styles" Target="styles.bin"/></Relationships>',
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def write_ods(path: Path, lines: Iterable[Sequence[Cell]]) -> None:
    """Write a table as ODS, as LibreOffice does, row by row."""
    parts = ods_parts("")
    before, after = parts.pop("content.xml").split("</table:table>")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
        with archive.open("content.xml", "w", force_zip64=True) as part:
            part.write(before.encode())
            for line in lines:
                cells = "".join(map(_in_ods, line))
                part.write(
                    f'<table:table-row table:style-name="ro1">{cells}</table:table-row>'.encode()
                )
            part.write(f"</table:table>{after}".encode())


def _in_ods(cell: Cell) -> str:
    if isinstance(cell, str):
        kind = ' office:value-type="string" calcext:value-type="string"'
        return _CELL.format(kind, escape(cell, {"'": "&apos;"}))
    if isinstance(cell, int):
        kind = f' office:value-type="float" office:value="{cell}" calcext:value-type="float"'
        return _CELL.format(kind, cell)
    kind = (
        ' table:style-name="ce1" office:value-type="date" '
        f'office:date-value="{cell.isoformat()}" calcext:value-type="date"'
    )
    return _CELL.format(kind, f"{cell:%Y-%m-%d %H:%M}")
