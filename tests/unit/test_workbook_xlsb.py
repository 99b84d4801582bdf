"""XLSB: each cell is what its record says, in the full form and in the one without a column."""

from __future__ import annotations

import random
import struct
from datetime import date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from bulk_sync.errors import InputError
from bulk_sync.model.rows import Cell, CellError
from bulk_sync.read.books.xlsb import records
from tests.unit.workbooks import (
    number,
    read,
    record,
    refused,
    row_header,
    rows_of,
    wide,
    write,
    xlsb_parts,
)

Record = tuple[int, bytes]

HEADER: list[Record] = [row_header(0), (7, struct.pack("<III", 0, 0, 0))]


def book(path: Path, *records: Record, strings: tuple[str, ...] = ("key", "shared")) -> Path:
    """A workbook headed by `key`, with more records among its rows."""
    return write(path, xlsb_parts([*HEADER, *records], strings))


def place(column: int, style: int = 0) -> bytes:
    return struct.pack("<II", column, style)


# Type, value and what it is; the cell's place comes before the value.
CELLS: list[tuple[int, bytes, Cell]] = [
    (1, b"", ""),
    (2, struct.pack("<I", 7 << 2 | 2), 7),
    (2, struct.pack("<I", 750 << 2 | 3), 7.5),
    (3, b"\x2a", CellError("#N/A")),
    (4, b"\x01", True),
    (5, struct.pack("<d", -1.5), -1.5),
    (6, wide("hé漢"), "hé漢"),
    (7, struct.pack("<I", 1), "shared"),
    (8, wide("text") + bytes(12), "text"),
    (9, struct.pack("<d", 2.5) + bytes(12), 2.5),
    (10, b"\x00" + bytes(12), False),
    (11, b"\x07" + bytes(12), CellError("#DIV/0!")),
    (62, b"\x01" + wide("rich") + bytes(8), "rich"),
]
SHORT = {1: 12, 2: 13, 3: 14, 4: 15, 5: 16, 6: 17, 7: 18, 62: 61}


@pytest.mark.parametrize(("kind", "value", "expected"), CELLS)
def test_a_cell_of_each_kind(tmp_path: Path, kind: int, value: bytes, expected: Cell) -> None:
    cells = [row_header(1), (kind, place(0) + value), number(2, 1)]
    assert rows_of(book(tmp_path / "x.xlsb", *cells)) == [(2, (expected, "", 1.0))]


@pytest.mark.parametrize(
    ("kind", "value", "expected"), [each for each in CELLS if each[0] in SHORT]
)
def test_a_cell_without_a_column_follows_the_one_before(
    tmp_path: Path, kind: int, value: bytes, expected: Cell
) -> None:
    """As SheetJS writes them: python-calamine passes them over."""
    short = (SHORT[kind], struct.pack("<I", 0) + value)
    first = book(tmp_path / "x.xlsb", row_header(1), short, short, number(2, 1))
    assert rows_of(first) == [(2, (expected, expected, 1.0))]
    later = book(tmp_path / "x.xlsb", row_header(1), number(3, 1), short)
    assert rows_of(later)[0][1][3:] == ((1.0,) if expected == "" else (1.0, expected))


@pytest.mark.parametrize("kind", [19, 34, 39, 48, 51, 59, 60])
def test_a_record_among_the_rows_that_may_be_a_cell_ends_the_reading(
    tmp_path: Path, kind: int
) -> None:
    text = refused(book(tmp_path / "x.xlsb", row_header(1), (kind, bytes(20))))
    assert f"row 2 has a cell in a record of an unknown kind ({kind})" in text


@pytest.mark.parametrize("kind", [35, 36, 37, 38, 49, 50, 426, 427, 428, 1024])
def test_other_records_among_the_rows_are_passed_over(tmp_path: Path, kind: int) -> None:
    path = book(tmp_path / "x.xlsb", row_header(1), number(0, 1), (kind, bytes(20)), number(1, 2))
    assert rows_of(path) == [(2, (1.0, 2.0))]


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([row_header(1), number(0, 1), number(0, 2)], "row 2 has a cell out of order"),
        ([row_header(1), number(1, 1), number(0, 2)], "row 2 has a cell out of order"),
        ([row_header(1), number(16_384, 1)], "row 2 has a cell out of order"),
        ([row_header(1), row_header(1)], "row 2 follows row 2"),
        ([row_header(1_048_576), number(0, 1)], "outside of any sheet (row 1048577)"),
        ([row_header(1), (7, place(0) + struct.pack("<I", 2))], "row 2 refers to a style or a"),
        ([row_header(1), (3, place(0) + b"\x63")], "shows an error of an unknown kind (99)"),
        ([row_header(1), (6, place(0) + struct.pack("<I", 9) + b"ab")], "cut short"),
        ([row_header(1), (5, place(0) + bytes(4))], "cut short"),
        ([row_header(1), (6, place(0) + wide("A\0n"))], "holds a NUL character"),
    ],
)
def test_what_can_not_be_read_is_refused_with_its_place(
    tmp_path: Path, cells: list[Record], words: str
) -> None:
    assert words in refused(book(tmp_path / "x.xlsb", *cells))


def test_rows_that_end_early_are_refused(tmp_path: Path) -> None:
    parts = xlsb_parts([*HEADER, row_header(1), number(0, 1)], ("key",))
    sheet = parts["xl/worksheets/sheet1.bin"]
    assert isinstance(sheet, bytes)
    parts["xl/worksheets/sheet1.bin"] = sheet[: -len(record(146) + record(130))]
    assert "cut short after row 2" in refused(write(tmp_path / "x.xlsb", parts))


def test_hidden_rows_and_columns_and_merged_ranges(tmp_path: Path) -> None:
    rows = [
        each
        for row in range(1, 4)
        for each in (
            row_header(row, 0x10 * (row == 2)),
            *(number(column, 1) for column in range(3)),
        )
    ]
    parts = xlsb_parts([*HEADER, *rows], ("key",))
    sheet = parts["xl/worksheets/sheet1.bin"]
    assert isinstance(sheet, bytes)
    columns = record(60, struct.pack("<IIIIH", 1, 2, 0, 0, 1))
    columns += record(60, struct.pack("<IIIIH", 4, 4, 0, 0, 0))
    merged = record(176, struct.pack("<IIII", 1, 2, 0, 1))
    sheet = sheet.replace(record(145), columns + record(145), 1)
    parts["xl/worksheets/sheet1.bin"] = sheet.replace(record(130), merged + record(130), 1)
    path = write(tmp_path / "x.xlsb", parts)
    understood, _, found = read(path)
    assert [row.cells for row in found] == [(1.0, "", 1.0), ("", "", 1.0), (1.0, 1.0, 1.0)]
    assert understood.hidden_columns == (2, 3)


@given(
    st.lists(
        st.tuples(st.sampled_from([0, 5, 19, 127, 128, 145, 16_000]), st.binary(max_size=300)),
        max_size=6,
    ),
    st.integers(1, 40),
)
def test_records_are_the_same_wherever_the_chunks_end(written: list[Record], size: int) -> None:
    data = b"".join(record(kind, each) for kind, each in written)
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    assert list(records(chunks)) == written
    assert list(records(chunks, frozenset({5, 145}))) == [
        each for each in written if each[0] in {5, 145}
    ]


VALUES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12),
    st.booleans(),
    st.integers(-(2**29), 2**29 - 1),
    st.floats(-1e300, 1e300),
)


@given(st.lists(st.lists(VALUES, min_size=1, max_size=4), min_size=1, max_size=6))
def test_another_reader_finds_the_same_text_and_type_in_each_cell(
    tmp_path_factory: pytest.TempPathFactory, table: list[list[str | bool | int | float]]
) -> None:
    strings = ["key"]
    written: list[Record] = []
    for row, cells in enumerate(table, start=1):
        written.append(row_header(row))
        for column, cell in enumerate(cells):
            match cell:
                case bool():
                    written.append((4, place(column) + bytes([cell])))
                case int():
                    raw = (cell << 2 & 0xFFFF_FFFF) | 2
                    written.append((2, place(column) + struct.pack("<I", raw)))
                case float():
                    written.append(number(column, cell))
                case str() if column % 2:
                    written.append((6, place(column) + wide(cell)))
                case _:
                    written.append((7, place(column) + struct.pack("<I", len(strings))))
                    strings.append(str(cell))
    path = book(tmp_path_factory.mktemp("x") / "x.xlsb", *written, strings=tuple(strings))
    ours = dict(rows_of(path, header_row=1))
    theirs = CalamineWorkbook.from_path(path).get_sheet_by_index(0).to_python(skip_empty_area=False)
    for number_, values in enumerate(theirs[1:], start=2):
        assert _comparable(ours.get(number_, ())) == _comparable(tuple(values))
    for number_, cells in enumerate(table, start=2):
        assert _comparable(ours.get(number_, ())) == _comparable(tuple(cells))


def _comparable(cells: tuple[Cell, ...]) -> list[tuple[bool, Cell]]:
    shown = list(cells)
    while shown and shown[-1] == "":
        shown.pop()
    if all(isinstance(each, str) and not each.strip() for each in shown):
        return []
    return [(isinstance(each, bool), each) for each in shown]


def _sample() -> dict[str, str | bytes]:
    cells = [
        row_header(1),
        *((kind, place(at) + value) for at, (kind, value, _) in enumerate(CELLS)),
    ]
    short = [
        row_header(2),
        *((SHORT[kind], bytes(4) + value) for kind, value, _ in CELLS if kind in SHORT),
    ]
    return xlsb_parts([*HEADER, *cells, *short], ("key", "shared"))


@pytest.mark.uncovered
def test_changed_bytes_give_rows_or_a_sentence(tmp_path: Path) -> None:
    parts, dice, path = _sample(), random.Random(24), tmp_path / "x.xlsb"
    outcomes: set[bool | None] = set()
    for _ in range(1200):
        name = dice.choice(["xl/worksheets/sheet1.bin", "xl/sharedStrings.bin", "xl/workbook.bin"])
        data = bytearray(parts[name])  # type: ignore[arg-type]  # bytes in this format
        for _ in range(dice.choice((1, 1, 2, 8))):
            data[dice.randrange(len(data))] = dice.choice((0, 1, 0x80, 0xFF, dice.randrange(256)))
        try:
            outcomes.add(bool(rows_of(write(path, {**parts, name: bytes(data)}))))
        except InputError:  # anything else would be a traceback
            outcomes.add(None)
    assert outcomes >= {True, None}


def test_cut_at_any_place_a_sheet_is_refused(tmp_path: Path) -> None:
    parts = _sample()
    whole = parts["xl/worksheets/sheet1.bin"]
    assert isinstance(whole, bytes)
    for end in range(len(whole) - len(record(146) + record(130))):
        refused(write(tmp_path / "x.xlsb", {**parts, "xl/worksheets/sheet1.bin": whole[:end]}))


def test_dates_of_both_systems(tmp_path: Path) -> None:
    styles = [
        (44, struct.pack("<H", 200) + wide("yyyy-mm-dd hh:mm")),
        (617, struct.pack("<I", 3)),
        *((47, struct.pack("<HH", 0, each) + bytes(12)) for each in (0, 200, 20)),
        (618, b""),
    ]
    cells = [row_header(1), number(0, 1)]
    cells += [
        (5, place(at, style) + struct.pack("<d", 46000.6875)) for at, style in ((1, 1), (2, 2))
    ]
    parts = xlsb_parts([*HEADER, *cells], ("key",))
    parts["xl/styles.bin"] = b"".join(record(*each) for each in styles)
    parts["xl/_rels/workbook.bin.rels"] = str(parts["xl/_rels/workbook.bin.rels"]).replace(
        "</Relationships>",
        '<Relationship Id="rId9" Type="x/styles" Target="styles.bin"/></Relationships>',
    )
    path = write(tmp_path / "x.xlsb", parts)
    assert rows_of(path) == [(2, (1.0, *[datetime(2025, 12, 9, 16, 30)] * 2))]
    main = parts["xl/workbook.bin"]
    assert isinstance(main, bytes)
    flagged = record(153, struct.pack("<III", 1, 0, 0))
    parts["xl/workbook.bin"] = main.replace(record(153, struct.pack("<III", 0, 0, 0)), flagged)
    moment = rows_of(write(tmp_path / "x.xlsb", parts))[0][1][1]
    assert isinstance(moment, datetime)
    assert moment.date() == date(2029, 12, 10)
