"""Workbooks to rows: what the program shows, nothing lost in silence, and a sentence for what can't
be read.
"""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import xlsxwriter
import xlwt
from hypothesis import given
from hypothesis import strategies as st
from odf.opendocument import OpenDocumentSpreadsheet
from odf.table import Table as OdfTable
from odf.table import TableCell, TableRow
from odf.text import P

from bulk_sync.errors import InputError
from bulk_sync.model.rows import Cell, CellError, Row
from bulk_sync.model.summaries import Understood
from bulk_sync.read import workbook
from bulk_sync.read.container import open_surveyor
from bulk_sync.read.files import open_table as open_workbook
from bulk_sync.read.interface import ReadOptions
from bulk_sync.read.survey import interface
from tests.unit.workbooks import (
    STRICT,
    ods_parts,
    ods_row,
    ods_text,
    packed,
    write,
    xlsb_parts,
    xlsx_parts,
)

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


# What is in a cell


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("<c><v>1.5</v></c>", 1.5),
        ("<c><v>1e3</v></c>", 1000.0),
        ('<c t="b"><v>1</v></c>', True),
        ('<c t="b"><v>0</v></c>', False),
        ('<c t="s"><v>0</v></c>', "rich text"),
        ('<c t="s"><v>1</v></c>', "a\rb_x000D_"),
        ('<c t="str"><f>A1</f><v>a &amp; b</v></c>', "a & b"),
        ('<c t="str"><v>  kept </v></c>', "  kept "),
        ('<c t="inlineStr"><is><t>in line</t></is></c>', "in line"),
        (
            (
                '<c t="inlineStr"><is><r><t>in</t></r><r><t xml:space="preserve"> '
                "runs</t></r></is></c>"
            ),
            "in runs",
        ),
        ('<c s="1"><v>46000</v></c>', date(2025, 12, 9)),
        ('<c s="2"><v>46000.395833333336</v></c>', datetime(2025, 12, 9, 9, 30)),
        ('<c s="5"><v>46000.39583332</v></c>', datetime(2025, 12, 9, 9, 30)),
        ('<c s="5"><v>46000.999999999</v></c>', date(2025, 12, 10)),
        ('<c s="3"><v>0.39583333333333331</v></c>', time(9, 30)),
        ('<c s="3"><v>0.39583332</v></c>', time(9, 30)),
        ('<c s="4"><v>1.5</v></c>', timedelta(hours=36)),
        ('<c s="4"><v>-0.25</v></c>', timedelta(hours=-6)),
        ('<c s="1"><v>1</v></c>', date(1900, 1, 1)),
        ('<c s="1"><v>61</v></c>', date(1900, 3, 1)),
        ('<c s="1"><v>60</v></c>', CellError("1900-02-28 or 1900-02-29")),
        ('<c s="1"><v>-1</v></c>', CellError("#####")),
        ('<c t="d"><v>2026-01-02</v></c>', date(2026, 1, 2)),
        ('<c t="d"><v>2026-01-02T03:04:05</v></c>', datetime(2026, 1, 2, 3, 4, 5)),
        ('<c t="e"><v>#N/A</v></c>', CellError("#N/A")),
        ('<c t="e"><f>1/0</f><v>#DIV/0!</v></c>', CellError("#DIV/0!")),
        ("<c><f>1+1</f></c>", CellError("formula without a value")),
        ("<c><f>1+1</f><v/></c>", CellError("formula without a value")),
        ('<c><f t="shared" ref="A2:A3" si="0">1+1</f><v>2</v></c>', 2.0),
    ],
)
def test_a_cell_is_what_the_program_shows(tmp_path: Path, cell: str, expected: Cell) -> None:
    strings = (
        "<si><r><t>rich</t></r><r><t xml:space='preserve'> text</t></r><rPh sb='0' "
        "eb='1'><t>phonetic</t></rPh></si>"
        "<si><t>a_x000D_b_x005F_x000D_</t></si>"
    )
    cells = cells_of(tmp_path, cell, strings)
    assert cells == (expected,)
    assert type(cells[0]) is type(expected)


@pytest.mark.parametrize(
    "cell",
    [
        "<c/>",
        '<c s="1"/>',
        '<c t="s"><v>0</v></c>',
        '<c t="s"><v>1</v></c>',
        '<c t="str"><f>""</f><v></v></c>',
        '<c t="inlineStr"><is><t/></is></c>',
        '<c t="str"><v>_x000D_</v></c>',
    ],
)
def test_what_shows_nothing_is_blank_and_no_cause_for_alarm(tmp_path: Path, cell: str) -> None:
    assert cells_of(tmp_path, cell, "<si><t/></si><si><t xml:space='preserve'>  </t></si>") == ()


def test_the_1904_date_system_counts_from_another_day(tmp_path: Path) -> None:
    properties = '<workbookPr date1904="true"/>'
    cells = cells_of(
        tmp_path, '<c s="1"><v>60</v></c><c s="3"><v>0.5</v></c>', properties=properties
    )
    assert cells == (date(1904, 3, 1), time(12))


def test_the_date_system_stands_though_an_extension_has_an_element_of_the_same_name(
    tmp_path: Path,
) -> None:
    later = (
        '<extLst><ext xmlns:x15="urn:x15"><x15:workbookPr chartTrackingRefBase="1"/></ext></extLst>'
    )
    cells = cells_of(
        tmp_path, '<c s="1"><v>60</v></c>', properties=f'<workbookPr date1904="1"/>{later}'
    )
    assert cells == (date(1904, 3, 1),)


def test_cells_and_rows_without_a_place_stand_next_to_the_one_before(tmp_path: Path) -> None:
    data = (
        '<row><c t="str"><v>key</v></c></row><row/><row><c><v>1</v></c><c/><c><v>2</v></c></row>'
        '<row r="9"><c r="B9"><v>3</v></c><c><v>4</v></c></row>'
    )
    path = write(tmp_path / "x.xlsx", xlsx_parts(data))
    assert rows_of(path) == [(3, (1.0, "", 2.0)), (9, ("", 3.0, 4.0))]


def _edited(parts: Mapping[str, str], name: str, old: str, new: str) -> dict[str, str]:
    return {**parts, name: parts[name].replace(old, new)}


def _unusual() -> dict[str, dict[str, str]]:
    plain = xlsx_parts(
        HEADER + '<row r="2"><c r="A2" t="s"><v>0</v></c></row>', "<si><t>same</t></si>"
    )
    sheet, relations = "xl/worksheets/sheet1.xml", "xl/_rels/workbook.xml.rels"
    prefixed = (
        plain[sheet]
        .replace("xmlns=", "xmlns:x=")
        .replace("</", "\0")
        .replace("<", "<x:")
        .replace("\0", "</x:")
    )
    return {
        "strict": xlsx_parts(
            HEADER + '<row r="2"><c r="A2" t="s"><v>0</v></c></row>',
            "<si><t>same</t></si>",
            main=STRICT,
        ),
        "prefixed": {**plain, sheet: prefixed},
        "backslashes": {name.replace("/", "\\"): content for name, content in plain.items()},
        "upper case": {
            name.replace("sheet1", "Sheet1").replace("shared", "Shared"): text
            for name, text in plain.items()
        },
        "absolute": _edited(plain, relations, 'Target="', 'Target="/xl/'),
        "dimension": _edited(plain, sheet, "<sheetData>", '<dimension ref="A1:A1"/><sheetData>'),
        "huge dimension": _edited(
            plain, sheet, "<sheetData>", '<dimension ref="A1:XFD1048576"/><sheetData>'
        ),
        "no dimension": plain,
    }


@pytest.mark.parametrize("kind", list(_unusual()))
def test_unusual_ways_of_writing_the_same_workbook_read_the_same(tmp_path: Path, kind: str) -> None:
    assert rows_of(write(tmp_path / "x.xlsx", _unusual()[kind])) == [(2, ("same",))]


def test_of_a_merged_range_only_the_first_cell_shows(tmp_path: Path) -> None:
    data = (
        HEADER
        + '<row r="2"><c r="A2"><v>1</v></c><c r="B2"><v>2</v></c><c r="C2"><v>3</v></c></row>'
        + '<row r="3"><c r="A3"><v>4</v></c><c r="B3" t="e"><v>#N/A</v></c><c '
        'r="C3"><v>6</v></c></row>'
    )
    parts = xlsx_parts(data, after='<mergeCells count="1"><mergeCell ref="A2:B3"/></mergeCells>')
    assert rows_of(write(tmp_path / "x.xlsx", parts)) == [(2, (1.0, "", 3.0)), (3, ("", "", 6.0))]


def test_hidden_rows_and_columns_are_read_and_rows_said(tmp_path: Path) -> None:
    path = tmp_path / "x.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet("S")
        for row, cells in enumerate([["key", "a"], [1, 2], [3, 4]]):
            sheet.write_row(row, 0, cells)
        sheet.set_row(1, None, None, {"hidden": True})
        sheet.set_column(1, 1, None, None, {"hidden": True})
    understood, _, rows = read(path)
    assert rows == [Row(2, (1.0, 2.0)), Row(3, (3.0, 4.0))]
    assert understood.notes == ("1 hidden row is read like the others.",)


CELLS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=12),
    st.text(st.sampled_from("_x0041D\n\t é漢😀"), max_size=14),
    st.booleans(),
    st.integers(-(2**53), 2**53).map(float),
    st.floats(-1e300, 1e300).map(lambda number: float(format(number, ".16G"))),
    st.datetimes(datetime(1900, 3, 1), datetime(9999, 12, 30)).map(
        lambda moment: moment.replace(microsecond=0)
    ),
    st.dates(date(1900, 3, 1), date(9999, 12, 31)),
)


def _writable(cell: Cell) -> bool:
    # XML holds neither control characters nor the last two code points of the plane; XlsxWriter
    # escapes the former. A second cell called key would make its row the likelier header.
    return cell != "key" and not (
        isinstance(cell, str) and any(letter in "\ufffe\uffff" for letter in cell)
    )


@given(st.lists(st.lists(CELLS.filter(_writable), min_size=1, max_size=4), min_size=1, max_size=6))
def test_any_table_reads_back_the_same(
    tmp_path_factory: pytest.TempPathFactory, table: list[list[Cell]]
) -> None:
    path = tmp_path_factory.mktemp("book") / "x.xlsx"
    with xlsxwriter.Workbook(path) as book:
        day, moment = (
            book.add_format({"num_format": "yyyy-mm-dd"}),
            book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
        )
        sheet = book.add_worksheet()
        sheet.write_string(0, 0, "key")
        for row, cells in enumerate(table, start=1):
            for column, cell in enumerate(cells):
                _write_cell(sheet, row, column, cell, moment if isinstance(cell, datetime) else day)
    expected = [
        (number, _padded(cells))
        for number, cells in enumerate(table, start=2)
        if any(not isinstance(cell, str) or cell.strip() for cell in cells)
    ]
    assert [(number, _padded(cells)) for number, cells in rows_of(path)] == expected


def _write_cell(sheet: Any, row: int, column: int, cell: Cell, style: Any) -> None:
    if isinstance(cell, str):
        sheet.write_string(row, column, cell)
    elif isinstance(cell, bool):
        sheet.write_boolean(row, column, cell)
    elif isinstance(cell, float):
        sheet.write_number(row, column, cell)
    else:
        sheet.write_datetime(row, column, cell, style)


def _padded(cells: Sequence[Cell]) -> list[Cell]:
    cells = [datetime.combine(cell, time()) if type(cell) is date else cell for cell in cells]
    while cells and cells[-1] == "" and isinstance(cells[-1], str):
        cells.pop()
    return cells


# The other formats


def _number(column: int, value: float) -> tuple[int, bytes]:
    return 5, struct.pack("<IId", column, 0, value)


def _row_header(row: int, flags: int = 0) -> tuple[int, bytes]:
    return 0, struct.pack("<IIHBB", row, 0, 300, 0, flags) + bytes(5)


def test_xlsb_values_errors_and_merged_cells(tmp_path: Path) -> None:
    records = [
        _row_header(0),
        (7, struct.pack("<III", 0, 0, 0)),
        _row_header(2, 0x10),
        _number(0, 1.5),
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
            1.5,
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
    assert rows_of(path) == [(2, ("top", ""))]


# Which sheet, which header


def _sheets(path: Path, sheets: Mapping[str, list[list[Any]]], hidden: Sequence[str] = ()) -> Path:
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


@pytest.mark.parametrize(
    ("options", "sheet", "header_row", "first"),
    [
        ({}, "March", 3, "m"),
        ({"sheet": "Old"}, "Old", 1, "old"),
        ({"sheet": "march"}, "March", 3, "m"),
        ({"sheet": "3"}, "March", 3, "m"),
        ({"sheet": "1"}, "1", 1, "one"),
        ({"header_row": 3}, "March", 3, "m"),
        ({"sheet": "March", "header_row": 1}, "March", 1, "key"),
    ],
)
def test_the_sheet_and_the_header(
    tmp_path: Path, options: dict[str, Any], sheet: str, header_row: int, first: str
) -> None:
    understood, _, rows = read(_sheets(tmp_path / "x.xlsx", BOOK, hidden=["Old"]), **options)
    assert (understood.sheet, understood.header_row, rows[0].cells[0]) == (sheet, header_row, first)


def test_a_note_names_the_sheets_that_were_not_read(tmp_path: Path) -> None:
    understood = read(_sheets(tmp_path / "x.xlsx", BOOK, hidden=["Old"]))[0]
    assert understood.notes == (
        "Sheet 'March' was read; the workbook also holds 'Read me', 'Old' (hidden), '1'.",
        "The row above the header, such as 'March 2026', is not read.",
    )


def test_the_header_is_the_row_that_is_recognised_best(tmp_path: Path) -> None:
    rows: list[list[Any]] = [["key"], ["key", "a", "b"], ["key", "c", "d"], ["x", 1, 2]]
    understood, headers, _ = read(_sheets(tmp_path / "x.xlsx", {"S": rows}))
    assert (understood.header_row, headers) == (2, ("key", "a", "b"))


def test_without_a_header_the_first_rows_of_the_first_sheet_stand_for_it(tmp_path: Path) -> None:
    path = _sheets(tmp_path / "x.xlsx", {"Empty": [], "S": [[], ["a", "b"], [1, 2]]})
    understood, headers, rows = read(path)
    assert (understood.sheet, understood.header_row, headers) == ("S", 2, ("a", "b"))
    assert rows == [Row(3, (1.0, 2.0))]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"sheet": "April"},
            "no sheet 'April' in it. There are: 'Read me', 'Old' (hidden), 'March', '1'.",
        ),
        ({"sheet": "9"}, "no sheet '9'"),
        (
            {"sheet": "March", "header_row": 2},
            "row 2 of the sheet 'March' is blank or beyond its end",
        ),
        (
            {"sheet": "March", "header_row": 99},
            "row 99 of the sheet 'March' is blank or beyond its end",
        ),
    ],
)
def test_a_sheet_or_header_that_is_not_there(
    tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    assert words in refused(_sheets(tmp_path / "x.xlsx", BOOK, hidden=["Old"]), **options)


def test_the_sample() -> None:
    understood, _, rows = read(
        Path(__file__).parents[2] / "sample_data" / "messy-showings.xlsx", sheet="March"
    )
    assert understood.format == "XLSX"
    assert any(isinstance(cell, CellError) for row in rows for cell in row.cells)


# What is refused


def _plain(**changes: str | bytes) -> bytes:
    return packed({**xlsx_parts(HEADER), **changes})


def _bad_checksum() -> bytes:
    data = bytearray(_plain())
    at = data.index(b"PK\x01\x02")
    while True:
        name = data[at + 46 : at + 46 + int.from_bytes(data[at + 28 : at + 30], "little")]
        if name.endswith(b"sheet1.xml"):
            data[at + 16] ^= 0xFF
            return bytes(data)
        at = data.index(b"PK\x01\x02", at + 1)


def _duplicate() -> bytes:
    return packed({**xlsx_parts(HEADER), "XL/Workbook.xml": "<workbook/>"})


def _encrypted_entry() -> bytes:
    data = bytearray(_plain())
    for magic, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        at = data.find(magic)
        while at >= 0:
            data[at + offset] |= 1
            at = data.find(magic, at + 1)
    return bytes(data)


def _bomb() -> bytes:
    return packed({**xlsx_parts(HEADER), "xl/worksheets/sheet1.xml": b" " * (80 * 2**20)})


def _lying_size() -> bytes:
    data = bytearray(_plain())
    at = data.index(b"PK\x01\x02")
    while True:
        name = data[at + 46 : at + 46 + int.from_bytes(data[at + 28 : at + 30], "little")]
        if name.endswith(b"sheet1.xml"):
            data[at + 24 : at + 28] = (20).to_bytes(4, "little")
            return bytes(data)
        at = data.index(b"PK\x01\x02", at + 1)


SHEET = "xl/worksheets/sheet1.xml"
DOCTYPE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<html><table><tr><td>key</td></tr></table></html>", "this is a web page"),
        (b"%PDF-1.7\n", "this is a PDF"),
        (b"PK\x03\x04" + bytes(40), "damaged or cut short"),
        (_plain()[:-30], "damaged or cut short"),
        (_plain()[:200], "damaged or cut short"),
        (_bad_checksum(), "its checksum is wrong"),
        (_duplicate(), "two parts called"),
        (_encrypted_entry(), "protected by a password"),
        (_bomb(), "to 83,886,080 bytes"),
        (_lying_size(), "unpacks to more than it declares"),
        (packed({"word/document.xml": "<w/>"}), "text document (DOCX)"),
        (packed({"ppt/presentation.xml": "<p/>"}), "presentation (PPTX)"),
        (packed({"Index/Document.iwa": "x", "Metadata/x": ""}), "Numbers document"),
        (packed({"a.csv": "key"}), "an archive (ZIP) without a workbook"),
        (_plain(**{SHEET: DOCTYPE + "<worksheet/>"}), "declares a document type"),
        (_plain(**{"xl/sharedStrings.xml": DOCTYPE + "<sst/>"}), "declares a document type"),
        (_plain(**{"xl/styles.xml": DOCTYPE + "<styleSheet/>"}), "declares a document type"),
        (_plain(**{"xl/workbook.xml": DOCTYPE + "<workbook/>"}), "declares a document type"),
        (_plain(**{SHEET: "<worksheet><sheetData>"}), "is damaged"),
        (
            _plain(**{SHEET: "<?xml version='1.0' encoding='ISO-8859-1'?><worksheet/>"}),
            "not in UTF-8",
        ),
        (bytes.fromhex("0908100000060500"), "Excel 4 or older"),
        (bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600), "the workbook is damaged"),
    ],
)
def test_what_is_no_workbook_or_a_damaged_one_is_said_in_a_sentence(
    tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "x.xlsx"
    path.write_bytes(content)
    assert words in refused(path)


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ('<c r="ZZZZZZZ2"><v>1</v></c>', "outside of any sheet"),
        ('<c r="XFE2"><v>1</v></c>', "outside of any sheet"),
        ('<c r="A3"><v>1</v></c>', "is part of row 2"),
        (
            '<c r="XFD2"><v>1</v></c></row><row r="1048576"><c r="A1048576"><v>1</v></c>',
            "spans 17,179,869,184 cells",
        ),
        ('</row><row r="1048577"><c r="A1048577"><v>1</v></c>', "outside of any sheet"),
        ('<c t="s"><v>7</v></c>', "refers to a text that isn't in the workbook"),
        ("<c><v>abc</v></c>", "should hold a number and holds 'abc'"),
        ("<c><v>1e999</v></c>", "should hold a number"),
        ("<c><v>NaN</v></c>", "should hold a number"),
        ('<c t="e"><v>#SPILL!</v></c>', "the cell A2 shows '#SPILL!'"),
        (
            "<c><v>&#49;2</v></c>",
            "row 2: the file has 1 filled cells there, of which 0 could be read",
        ),
        ('<c t="str"><v><![CDATA[lost]]></v></c>', "row 2: the file has 1 filled cells"),
        ('<c r="A2"><v>1</v></c><c r="A2"><v>2</v></c>', "row 2: the file has 2 filled cells"),
        ('<c t="zz"><v>1</v></c>', "can't be read"),
    ],
)
def test_what_the_library_would_lose_or_choke_on_is_refused_with_its_place(
    tmp_path: Path, cells: str, words: str
) -> None:
    path = write(tmp_path / "x.xlsx", xlsx_parts(f'{HEADER}<row r="2">{cells}</row>'))
    assert words in refused(path)


def test_a_sheet_that_goes_on_after_its_end_is_refused(tmp_path: Path) -> None:
    parts = xlsx_parts(
        HEADER, after='<sheetData><row r="2"><c r="A2"><v>1</v></c></row></sheetData>'
    )
    assert "row 2: the file has 1 filled cells" in refused(write(tmp_path / "x.xlsx", parts))


def test_a_large_text_that_many_cells_share_is_refused(tmp_path: Path) -> None:
    data = HEADER + '<row r="2">' + '<c t="s"><v>0</v></c>' * 400 + "</row>"
    parts = xlsx_parts(data, f"<si><t>{'x' * 2**20}</t></si>")
    assert "its cells and texts take more than 320 MB" in refused(write(tmp_path / "x.xlsx", parts))


def test_a_claim_of_endless_texts_is_refused(tmp_path: Path) -> None:
    parts = _edited(
        xlsx_parts(HEADER), "xl/sharedStrings.xml", "<sst ", '<sst uniqueCount="99999999999" '
    )
    assert "claims to hold 99999999999 texts" in refused(write(tmp_path / "x.xlsx", parts))


@pytest.mark.parametrize("rows", ["1000000", "6000000"])
def test_ods_content_repeated_without_end_is_refused(tmp_path: Path, rows: str) -> None:
    cells = ods_text("x") * 3
    data = f'<table:table-row table:number-rows-repeated="{rows}">{cells}</table:table-row>'
    text = refused(write(tmp_path / "x.ods", ods_parts(data)))
    assert "cells or more" in text or "outside of any sheet" in text


def test_xlsb_records_cut_short_are_refused(tmp_path: Path) -> None:
    parts = xlsb_parts([_row_header(0), (7, struct.pack("<II", 0, 0))], ("key",))
    assert "cut short" in refused(write(tmp_path / "x.xlsb", parts))


def test_a_protected_ods_is_named_as_such(tmp_path: Path) -> None:
    parts = {**ods_parts(""), "META-INF/manifest.xml": "<manifest:encryption-data/>"}
    assert "protected by a password" in refused(write(tmp_path / "x.ods", parts))


def test_a_protected_xls_is_named_as_such(tmp_path: Path) -> None:
    book = xlwt.Workbook()
    book.add_sheet("S").write(0, 0, "key")
    path = tmp_path / "x.xls"
    book.save(str(path))
    # The INTERFACEHDR record, right after BOF, becomes a FILEPASS.
    data = path.read_bytes()
    at = data.index(b"\xe1\x00\x02\x00")
    path.write_bytes(data[:at] + b"\x2f\x00" + data[at + 2 :])
    assert "protected by a password" in refused(path)


@pytest.mark.parametrize("dimensions", [(7168, 10, 0, 4), (0, 10, 28, 4), (0, 2**31, 0, 256)])
def test_an_xls_sheet_that_claims_impossible_room_is_refused(
    tmp_path: Path, dimensions: tuple[int, int, int, int]
) -> None:
    """The library would abort the process over each; the first was found by changing bytes at
    random.
    """
    book = xlwt.Workbook()
    book.add_sheet("S").write(9, 3, "key")
    path = tmp_path / "x.xls"
    book.save(str(path))
    data = path.read_bytes()
    at = data.index(b"\x00\x02\x0e\x00") + 4
    path.write_bytes(data[:at] + struct.pack("<IIHH", *dimensions) + data[at + 12 :])
    assert "claims to span rows" in refused(path)


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = _sheets(tmp_path / "x.xlsx", {"S": [["key"], ["a"], ["b"]]})
    with open_workbook(path, ReadOptions(recognise)) as table:
        rows = table.rows()
        next(rows)
        os.utime(path, ns=(1, 1))
        with pytest.raises(InputError, match="was changed while it was being read"):
            list(rows)


def test_no_such_file_a_folder_and_a_pipe(tmp_path: Path) -> None:
    assert "there is no such file" in refused(tmp_path / "gone.xlsx")
    assert "this is a folder" in refused(tmp_path)


@pytest.mark.parametrize("wish", [KeyboardInterrupt, SystemExit])
def test_a_wish_to_stop_passes_the_border(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wish: type[BaseException]
) -> None:
    def stop(*_: object) -> None:
        raise wish

    monkeypatch.setattr(workbook, "CalamineWorkbook", type("Stopping", (), {"from_filelike": stop}))
    with pytest.raises(wish):
        read(_sheets(tmp_path / "x.xlsx", {"S": [["key"]]}))


def test_a_panic_of_the_library_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panic = type("PanicException", (BaseException,), {"__module__": "pyo3_runtime"})

    def fail(*_: object) -> None:
        raise panic("index out of bounds\n")

    monkeypatch.setattr(workbook, "CalamineWorkbook", type("Failing", (), {"from_filelike": fail}))
    assert "can't be read (index out of bounds)" in refused(
        _sheets(tmp_path / "x.xlsx", {"S": [["key"]]})
    )


def test_a_real_panic_says_nothing_of_its_own(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    book = xlwt.Workbook()
    book.add_sheet("S").write(0, 0, "key")
    path = tmp_path / "x.xls"
    book.save(str(path))
    path.write_bytes(path.read_bytes()[:-38])  # into the directory of the file
    assert "out of range" in refused(path)
    assert capfd.readouterr() == ("", "")


def test_cut_at_any_place_a_workbook_is_refused(tmp_path: Path) -> None:
    whole = _sheets(tmp_path / "whole.xlsx", {"S": [["key"], ["a"]]}).read_bytes()
    path = tmp_path / "x.xlsx"
    for end in range(4, len(whole), 97):
        path.write_bytes(whole[:end])
        refused(path)


def test_a_box_at_the_bound_is_read_and_one_above_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interface.Bounds.__init__, "__defaults__", (12, 0, 0, 0, None))
    fits = HEADER + '<row r="6"><c r="B6"><v>1</v></c></row>'
    assert len(rows_of(write(tmp_path / "x.xlsx", xlsx_parts(fits)))) == 1
    above = HEADER + '<row r="7"><c r="B7"><v>1</v></c></row>'
    assert "spans 14 cells or more" in refused(write(tmp_path / "x.xlsx", xlsx_parts(above)))


def test_the_archive_given_to_the_library_holds_one_sheet(tmp_path: Path) -> None:
    path = _sheets(tmp_path / "x.xlsx", BOOK)
    with path.open("rb") as file:
        surveyor = open_surveyor(file)
        with (
            surveyor.for_library(surveyor.sheets[2]) as (given_file, index),
            zipfile.ZipFile(given_file) as archive,
        ):
            assert index == 0
            assert [name for name in archive.namelist() if "sheets/" in name] == [
                "xl/worksheets/sheet1.xml"
            ]


def test_a_number_that_is_shown_with_zeros_or_letters_reads_as_it_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "x.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["key", "b"])
        formats = [
            "00000",
            '"SH-"0000',
            "\\#000;-000",
            "0",
            "General",
            "0.00",
            "#,##0",
            '0" stars"',
            "yyyy",
        ]
        for row, code in enumerate(formats, start=1):
            sheet.write_number(row, 0, 42, book.add_format({"num_format": code}))
        sheet.write_number(len(formats) + 1, 0, 4.5, book.add_format({"num_format": "00000"}))
    rows = read(path)[2]
    assert [row.cells[0] for row in rows] == [
        "00042", "SH-0042", "#042", 42, 42, 42, 42, "42 stars", date(1900, 2, 11), 4.5,
    ]  # fmt: skip


def test_a_sheet_with_cells_at_its_far_end_is_read_in_bounded_work(tmp_path: Path) -> None:
    path = tmp_path / "x.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.write(0, 16_383, "key")
        sheet.write(99_999, 16_383, "a")
    assert [(row.number, row.cells[-1]) for row in read(path)[2]] == [(100_000, "a")]
