"""XLSB, XLS and ODS: the same values as in XLSX."""

from __future__ import annotations

import struct
from datetime import date, datetime, time, timedelta
from pathlib import Path

import pytest
import xlwt
from odf.opendocument import OpenDocumentSpreadsheet
from odf.table import Table as OdfTable
from odf.table import TableCell, TableRow
from odf.text import P

from bulk_sync.model.rows import Cell, CellError, Formatted, Row
from tests.unit.workbooks import (
    number,
    ods_parts,
    ods_row,
    ods_text,
    read,
    row_header,
    rows_of,
    write,
    xlsb_parts,
)


def test_xlsb_values_errors_and_merged_cells(tmp_path: Path) -> None:
    records = [
        row_header(0),
        (7, struct.pack("<III", 0, 0, 0)),
        row_header(2, 0x10),
        number(0, 1.5),
        (3, struct.pack("<IIB", 1, 0, 0x2A)),
        (11, struct.pack("<IIBH", 2, 0, 0x07, 0) + bytes(8)),
        (4, struct.pack("<IIB", 3, 0, 1)),
        (6, struct.pack("<III", 4, 0, 2) + "hé".encode("utf-16-le")),
        (2, struct.pack("<III", 5, 0, 7 << 2 | 2)),
        (7, struct.pack("<III", 6, 0, 1)),
    ]
    path = write(tmp_path / "x.xlsb", xlsb_parts(records, ("key", "")))
    understood, headers, rows = read(path)
    assert (understood.format, headers[0]) == ("XLSB", "key")
    assert rows == [Row(3, (1.5, CellError("#N/A"), CellError("#DIV/0!"), True, "hé", 7))]
    assert understood.notes == ("1 hidden row is read like the others.",)


def test_xls_values_errors_and_merged_cells(tmp_path: Path) -> None:
    book = xlwt.Workbook()
    sheet = book.add_sheet("S")
    day = xlwt.easyxf(num_format_str="YYYY-MM-DD")
    sheet.write(0, 0, "key")
    for column, value in enumerate([1.25, "long " * 3000, True, 7]):
        sheet.write(2, column, value)
    sheet.write(2, 4, datetime(2025, 12, 9), day)
    sheet.row(2).set_cell_error(5, 0x2A)
    sheet.write_merge(3, 3, 0, 1, "merged")
    sheet.write(4, 0, "é漢")
    path = tmp_path / "x.bin"
    book.save(str(path))
    understood, headers, rows = read(path)
    assert (understood.format, headers[0]) == ("XLS", "key")
    assert rows[0].cells == (1.25, "long " * 3000, True, 7, date(2025, 12, 9), CellError("#N/A"))
    assert [(row.number, row.cells[0]) for row in rows[1:]] == [(4, "merged"), (5, "é漢")]


def test_ods_of_another_program(tmp_path: Path) -> None:
    document = OpenDocumentSpreadsheet()
    table = OdfTable(name="S")
    for cells in (["key", "a"], ["x", "y & z"]):
        row = TableRow()
        for text in cells:
            cell = TableCell(valuetype="string")
            cell.addElement(P(text=text))
            row.addElement(cell)
        table.addElement(row)
    document.spreadsheet.addElement(table)
    path = tmp_path / "x.ods"
    document.save(str(path))
    assert read(path)[1:] == (("key", "a"), [Row(2, ("x", "y & z"))])


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (ods_text("a<text:line-break/>b"), "a\nb"),
        (ods_text("a<text:tab/>b"), "a\tb"),
        (ods_text('a<text:s text:c="3"/>b</text:p><text:p>c'), "a   b\nc"),
        (ods_text("a<text:span>b</text:span>"), "ab"),
        (
            (
                '<table:table-cell office:value-type="string">\n <text:p>a</text:p>\n '
                "<text:p>b</text:p>\n</table:table-cell>"
            ),
            "a\nb",
        ),
        (
            (
                '<table:table-cell office:value-type="string"><office:annotation>'
                "<text:p>note</text:p></office:annotation>"
                "<text:p>value</text:p></table:table-cell>"
            ),
            "value",
        ),
        (
            (
                '<table:table-cell office:value-type="float" '
                'office:value="1.5"><text:p>1,5</text:p></table:table-cell>'
            ),
            Formatted(1.5, "", "1,5", is_local=True),
        ),
        ('<table:table-cell office:value-type="boolean" office:boolean-value="true"/>', True),
        (
            '<table:table-cell office:value-type="date" office:date-value="2026-01-02"/>',
            date(2026, 1, 2),
        ),
        (
            '<table:table-cell office:value-type="date" office:date-value="2026-01-02T00:00:00"/>',
            date(2026, 1, 2),
        ),
        (
            '<table:table-cell office:value-type="date" office:date-value="1900-02-28"/>',
            date(1900, 2, 28),
        ),
        (
            (
                '<table:table-cell office:value-type="date" '
                'office:date-value="2026-01-02T09:29:59.999999999"/>'
            ),
            datetime(2026, 1, 2, 9, 30),
        ),
        (
            '<table:table-cell office:value-type="time" office:time-value="PT09H30M00S"/>',
            time(9, 30),
        ),
        (
            '<table:table-cell office:value-type="time" office:time-value="PT012H31M00S"/>',
            time(12, 31),
        ),
        (
            '<table:table-cell office:value-type="time" office:time-value="PT36H00M00S"/>',
            timedelta(hours=36),
        ),
        (
            (
                '<table:table-cell table:formula="of:=1/0" office:value-type="string" '
                'office:string-value="" '
                'calcext:value-type="error"><text:p>#DIV/0!</text:p></table:table-cell>'
            ),
            CellError("#DIV/0!"),
        ),
        (
            (
                '<table:table-cell table:formula="of:=x" office:value-type="float" '
                'office:value="0">'
                "<text:p>Err:508</text:p>"
                "</table:table-cell>"
            ),
            CellError("Err:508"),
        ),
        ('<table:table-cell table:formula="of:=1"/>', CellError("formula without a value")),
    ],
)
def test_ods_cells(tmp_path: Path, cell: str, expected: Cell) -> None:
    path = write(
        tmp_path / "x.ods", ods_parts(ods_row(ods_text("key")) + ods_row(ods_text("1"), cell))
    )
    assert rows_of(path) == [(2, ("1", expected))]


@pytest.mark.parametrize("length", [0, 65_536, 65_540, 131_070])
def test_ods_whose_rows_are_laid_out_with_white_space(tmp_path: Path, length: int) -> None:
    """As Gnumeric and KSpread write it; wherever the chunks end that the file is read in."""
    cells = "\n    ".join(
        [
            "",
            ods_text("x" * length + " <text:span>a</text:span> <text:span>b</text:span>"),
            "<table:table-cell/>",
            ods_text("c"),
        ]
    )
    rows = f"\n  {ods_row(ods_text('key'))}\n  <table:table-row>{cells}\n  </table:table-row>\n"
    path = write(tmp_path / "x.ods", ods_parts(rows))
    assert rows_of(path) == [(2, (("x" * length + " a b").strip(), "", "c"))]


def test_ods_repeated_blank_rows_cost_nothing_and_repeated_cells_count(tmp_path: Path) -> None:
    blank = (
        '<table:table-row table:number-rows-repeated="1000"><table:table-cell/></table:table-row>'
    )
    cell = ods_text("y", 'table:number-columns-repeated="2"')
    twice = f'<table:table-row table:number-rows-repeated="2">{cell}</table:table-row>'
    nothing = '<table:table-cell table:number-columns-repeated="16384"/>'
    end = f'<table:table-row table:number-rows-repeated="6000000">{nothing}</table:table-row>'
    path = write(tmp_path / "x.ods", ods_parts(ods_row(ods_text("key")) + blank + twice + end))
    assert rows_of(path) == [(1002, ("y", "y")), (1003, ("y", "y"))]


def test_ods_covered_cells_are_blank(tmp_path: Path) -> None:
    spans = 'table:number-columns-spanned="2" table:number-rows-spanned="1"'
    covered = (
        "<table:covered-table-cell "
        'office:value-type="string"><text:p>under</text:p></table:covered-table-cell>'
    )
    path = write(
        tmp_path / "x.ods",
        ods_parts(ods_row(ods_text("key")) + ods_row(ods_text("top", spans), covered)),
    )
    assert rows_of(path) == [(2, ("top",))]
