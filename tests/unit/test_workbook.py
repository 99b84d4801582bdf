"""Workbooks to rows: what the program shows, nothing lost in silence, and a sentence for what can't
be read.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.model.rows import Cell, CellError, Row
from bulk_sync.read import archive
from bulk_sync.read.files import open_table as open_workbook
from bulk_sync.read.interface import ReadOptions
from tests.unit.workbooks import (
    HEADER,
    STRICT,
    cells_of,
    edited,
    read,
    recognise,
    rows_of,
    sheets,
    write,
    xlsx_parts,
)


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
        ('<c s="1"><v>60</v></c>', CellError("1900-02-29")),
        ('<c s="1"><v>-1</v></c>', CellError("#####")),
        ('<c t="d"><v>2026-01-02</v></c>', date(2026, 1, 2)),
        ('<c t="d"><v>2026-01-02T03:04:05</v></c>', datetime(2026, 1, 2, 3, 4, 5)),
        ('<c t="s"><f>A1</f><v>0</v></c>', "rich text"),
        ("<c><v>&#49;2</v></c>", 12.0),
        ('<c t="str"><v>a<![CDATA[ <b> ]]>c</v></c>', "a <b> c"),
        ('<c t="e"><v>#N/A</v></c>', CellError("#N/A")),
        ('<c t="e"><v>#SPILL!</v></c>', CellError("#SPILL!")),
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
        '<c t="s"><v/></c>',
        '<c t="s"><v></v></c>',
        '<c t="s"/>',
        "<c><v/></c>",
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


def test_a_workbook_may_have_all_parts_in_the_root(tmp_path: Path) -> None:
    parts = {
        name.replace("xl/worksheets/", "").replace("xl/", ""): content
        for name, content in xlsx_parts(
            HEADER + '<row r="2"><c t="s"><v>0</v></c></row>', "<si><t>same</t></si>"
        ).items()
    }
    for name in ("_rels/.rels", "_rels/workbook.xml.rels"):
        parts[name] = parts[name].replace("xl/", "").replace("worksheets/", "")
    assert rows_of(write(tmp_path / "x.xlsx", parts)) == [(2, ("same",))]


def test_many_sheets_are_searched_for_the_header_and_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each sheet is unpacked twice, and the shared strings once; the bound knows neither."""
    names = [f"Listing {number}" for number in range(30)]
    book: dict[str, list[list[Any]]] = {name: [["Notes"], ["x" * 1000]] for name in names}
    path = sheets(tmp_path / "x.xlsx", {**book, "Showings": [["key"], ["a"]]})
    with zipfile.ZipFile(path) as file:
        size = sum(each.file_size for each in file.infolist() if "/theme/" not in each.filename)
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", size)
    understood, _, rows = read(path)
    assert understood.sheet == "Showings"
    assert rows == [Row(2, ("a",))]


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
        "absolute": edited(plain, relations, 'Target="', 'Target="/xl/'),
        "dimension": edited(plain, sheet, "<sheetData>", '<dimension ref="A1:A1"/><sheetData>'),
        "huge dimension": edited(
            plain, sheet, "<sheetData>", '<dimension ref="A1:XFD1048576"/><sheetData>'
        ),
        "no dimension": plain,
    }


@pytest.mark.parametrize("kind", list(_unusual()))
def test_unusual_ways_of_writing_the_same_workbook_read_the_same(tmp_path: Path, kind: str) -> None:
    assert rows_of(write(tmp_path / "x.xlsx", _unusual()[kind])) == [(2, ("same",))]


def test_cells_in_the_corners_of_a_sheet_are_read(tmp_path: Path) -> None:
    data = (
        f'{HEADER}<row r="2"><c r="XFD2"><v>1</v></c></row><row r="1048576"><c><v>2</v></c></row>'
    )
    rows = rows_of(write(tmp_path / "x.xlsx", xlsx_parts(data)))
    assert [(number, len(cells), cells[-1]) for number, cells in rows] == [
        (2, 16_384, 1.0),
        (1_048_576, 1, 2.0),
    ]


def test_of_a_merged_range_only_the_first_cell_shows(tmp_path: Path) -> None:
    data = (
        HEADER
        + '<row r="2"><c r="A2"><v>1</v></c><c r="B2"><v>2</v></c><c r="C2"><v>3</v></c></row>'
        + '<row r="3"><c r="A3"><v>4</v></c><c r="B3" t="e"><v>#N/A</v></c><c '
        'r="C3"><v>6</v></c></row>'
    )
    parts = xlsx_parts(data, after='<mergeCells count="1"><mergeCell ref="A2:B3"/></mergeCells>')
    assert rows_of(write(tmp_path / "x.xlsx", parts)) == [(2, (1.0, "", 3.0)), (3, ("", "", 6.0))]


def test_hidden_rows_and_columns_are_read_and_named(tmp_path: Path) -> None:
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
    assert understood.hidden_columns == (2,)


def test_hidden_rows_count_to_the_end_of_a_long_sheet(tmp_path: Path) -> None:
    how = ('hidden="1"', 'ht="0" customHeight="1"')
    hidden = "".join(f'<row r="{row}" {how[row % 2]}><c><v>1</v></c></row>' for row in range(2, 99))
    path = write(tmp_path / "x.xlsx", xlsx_parts(HEADER + hidden + '<row r="99" hidden="1"/>'))
    with open_workbook(path, ReadOptions(recognise)) as table:
        assert len(list(table.rows())) == 97
        assert table.understood.notes == ("97 hidden rows are read like the others.",)


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
