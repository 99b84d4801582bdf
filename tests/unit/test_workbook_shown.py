"""A cell is what the sheet shows, in every format of workbooks."""

from __future__ import annotations

import csv
import struct
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from html import escape
from pathlib import Path

import pytest
import xlsxwriter
import xlwt

from bulk_sync.model.rows import Cell, CellError, Formatted, text_of
from tests.tools.record_shown_texts import RECORDING
from tests.unit.biff import KEY, number, stream, xls
from tests.unit.test_number_format import UNCERTAIN
from tests.unit.workbooks import number as number_of_xlsb
from tests.unit.workbooks import (
    ods_parts,
    ods_row,
    ods_text,
    record,
    row_header,
    rows_of,
    wide,
    write,
    xlsb_parts,
)

Cells = Sequence[tuple[str, float | str]]
"""Format and value of cells, one below the other; next to each is a rating of 4."""
HEADER = ("key", "rating")

MOMENTS = (date, datetime, time, timedelta, CellError)


def as_xlsx(path: Path, cells: Cells) -> Path:
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["key", "rating"])
        styles = {code: book.add_format({"num_format": code}) for code, _ in cells}
        for row, (code, value) in enumerate(cells, start=1):
            if isinstance(value, str):
                sheet.write_string(row, 0, value, styles[code])
            else:
                sheet.write_number(row, 0, value, styles[code])
            sheet.write_number(row, 1, 4)
    return path


def as_xls(path: Path, cells: Cells) -> Path:
    book = xlwt.Workbook(encoding="utf-8")
    sheet = book.add_sheet("S")
    sheet.write(0, 0, "key")
    sheet.write(0, 1, "rating")
    styles = {code: xlwt.easyxf(num_format_str=code) for code, _ in cells}
    for row, (code, value) in enumerate(cells, start=1):
        sheet.write(row, 0, value, styles[code])
        sheet.write(row, 1, 4)
    book.save(str(path))
    return path


def as_xlsb(path: Path, cells: Cells) -> Path:
    codes = list(dict.fromkeys(code for code, _ in cells))
    formats = [(44, struct.pack("<H", 200 + at) + wide(code)) for at, code in enumerate(codes)]
    styles = [(47, struct.pack("<HH", 0, 200 + at) + bytes(12)) for at in range(len(codes))]
    count = struct.pack("<I", len(codes))
    part = [
        *((278, b""), (615, count), *formats, (616, b"")),
        # Styles that cells name only through their own: they don't count.
        *(
            (626, struct.pack("<I", 1)),
            (47, struct.pack("<HH", 0xFFFF, 200) + bytes(12)),
            (627, b""),
        ),
        *((617, count), *styles, (618, b""), (279, b"")),
    ]
    header = [(6, struct.pack("<II", at, 0) + wide(name)) for at, name in enumerate(HEADER)]
    rows = [row_header(0), *header]
    for row, (code, value) in enumerate(cells, start=1):
        place = struct.pack("<II", 0, codes.index(code))
        cell = (6, wide(value)) if isinstance(value, str) else (5, struct.pack("<d", value))
        rows += [row_header(row), (cell[0], place + cell[1]), number_of_xlsb(1, 4.0)]
    parts = xlsb_parts(rows)
    relations = str(parts["xl/_rels/workbook.bin.rels"]).replace(
        'Target="sharedStrings.bin"/>',
        'Target="sharedStrings.bin"/><Relationship Id="rId3" Type="http://schemas.openxmlformats.'
        'org/officeDocument/2006/relationships/styles" Target="styles.bin"/>',
    )
    styles_part = b"".join(record(*each) for each in part)
    return write(
        path,
        {**parts, "xl/_rels/workbook.bin.rels": relations, "xl/styles.bin": styles_part},
    )


DATES = {"yyyy-mm-dd", "m/d/yyyy", "hh:mm", "[h]:mm", "d-mmm", "mmm-yy"}
WRITERS = {"xlsx": as_xlsx, "xls": as_xls, "xlsb": as_xlsb}


def read_as(path: Path, cells: Cells) -> list[Cell]:
    """The cells as they are read; "" for one that shows nothing."""
    WRITERS[path.suffix[1:]](path, cells)
    found = {row: each[0] for row, each in rows_of(path, header_row=1)}
    return [found.get(row, "") for row in range(2, len(cells) + 2)]


def recorded() -> list[tuple[str, float | str, str]]:
    with RECORDING.open(encoding="utf-8", newline="") as file:
        return [
            (
                row["code"],
                row["value"] if row["value"] in {"abc", "007"} else float(row["value"]),
                row["shown"].strip(),
            )
            for row in csv.DictReader(file)
        ]


@pytest.mark.parametrize("kind", WRITERS)
def test_each_format_shows_what_libreoffice_shows(tmp_path: Path, kind: str) -> None:
    """Or its text is unknown, or it is a date."""
    # Not a format, which the programs repair; and no dates of a distant age.
    table = [
        (code, value, text)
        for code, value, text in recorded()
        if code != "0;0;0;0;0"
        and not (code in DATES and isinstance(value, float) and abs(value) > 1e6)
    ]
    cells = read_as(tmp_path / f"x.{kind}", [(code, value) for code, value, _ in table])
    known = set()
    for (code, value, text), cell in zip(table, cells, strict=True):
        if isinstance(cell, MOMENTS) or (isinstance(cell, Formatted) and cell.text is None):
            assert isinstance(cell, Formatted) or code in UNCERTAIN, (code, value)
            continue
        known.add(code)
        if isinstance(value, float) and code in {"General", "GENERAL", "@"}:
            continue  # a plain number, whose text is decided where it is used
        assert text_of(cell) == text, (code, value)
    assert len(known) > 100


@pytest.mark.parametrize("kind", WRITERS)
def test_all_kinds_of_workbooks_read_the_same(tmp_path: Path, kind: str) -> None:
    cells: Cells = [
        ("General", 42.0),
        ("@", 42.0),
        ("0", 42.0),
        ("0", 4.5),
        ("00000", 123.0),
        ("#,##0", 42.0),
        ("#,##0", 70002.0),
        ("0.00", 42.0),
        ('"SH-"@', "77"),
        (";;;", 5.0),
        ("# ?/?", 5.0),
        ("yyyy-mm-dd", 46000.0),
        ("yyyy-mm-dd;@", "text"),
        ("00000", "text"),
        ('_(* "-"??_);_(@_)', "text"),
    ]
    assert read_as(tmp_path / f"x.{kind}", cells) == [
        42.0,
        42.0,
        42.0,
        Formatted(4.5, "0", "5"),
        Formatted(123.0, "00000", "00123"),
        42.0,
        Formatted(70002.0, "#,##0", "70,002", is_local=True),
        Formatted(42.0, "0.00", "42.00", is_local=True),
        Formatted("77", '"SH-"@', "SH-77"),
        Formatted(5.0, ";;;", ""),
        Formatted(5.0, "# ?/?", None),
        date(2025, 12, 9),
        "text",
        "text",
        "text",
    ]


@pytest.mark.parametrize("kind", WRITERS)
def test_rows_and_columns_keep_their_formats(tmp_path: Path, kind: str) -> None:
    """Thousands of cells with different formats, each in its place."""
    codes = [f'"{name}-"0' for name in ("A", "B", "C")]
    cells = [(codes[row % 3], float(row)) for row in range(3000)]
    expected = [f"{'ABC'[row % 3]}-{row}" for row in range(3000)]
    assert [text_of(cell) for cell in read_as(tmp_path / f"x.{kind}", cells)] == expected


@pytest.mark.parametrize(
    ("value", "shown", "expected"),
    [
        ("42", "42", 42.0),
        ("42", "00042", Formatted(42.0, "", "00042")),
        ("77", "SH-77", Formatted(77.0, "", "SH-77")),
        ("70002", "70,002", Formatted(70002.0, "", "70,002", is_local=True)),
        ("70002", "70.002", Formatted(70002.0, "", "70.002", is_local=True)),
        ("12345678", "012-34-5678", Formatted(12345678.0, "", "012-34-5678")),
        ("0.5", "50%", Formatted(0.5, "", "50%")),
        ("123456789012345", "1.23456789012345E+14", None),
        ("5", "", Formatted(5.0, "", "")),
    ],
)
def test_ods_has_the_shown_text_in_the_file(
    tmp_path: Path, value: str, shown: str, expected: Cell | None
) -> None:
    cell = (
        f'<table:table-cell office:value-type="float" office:value="{value}">'
        f"<text:p>{escape(shown)}</text:p></table:table-cell>"
    )
    rows = ods_row(ods_text("key"), ods_text("b")) + ods_row(cell, ods_text("x"))
    read = rows_of(write(tmp_path / "x.ods", ods_parts(rows)))[0][1][0]
    expected = expected or Formatted(float(value), "", shown, is_local=True)
    assert read == expected


@pytest.mark.parametrize("repeats", [1, 3])
def test_ods_repeats_a_formatted_number(tmp_path: Path, repeats: int) -> None:
    cell = (
        f'<table:table-cell table:number-columns-repeated="{repeats}" office:value-type="float" '
        'office:value="7"><text:p>007</text:p></table:table-cell>'
    )
    rows = ods_row(ods_text("key")) + ods_row(cell)
    read = rows_of(write(tmp_path / "x.ods", ods_parts(rows)))
    assert read == [(2, (Formatted(7.0, "", "007"),) * repeats)]


def test_a_style_that_is_not_there_is_none(tmp_path: Path) -> None:
    """In XLS without any style, numbers are read as they are."""
    path = xls(tmp_path / "x.xls", stream([KEY, number(1, 0, 7.0, style=0)], styles=[]))
    assert rows_of(path) == [(2, (7.0,))]
