"""XLS: each cell is what its records say, whatever writer, code page and version made them."""

from __future__ import annotations

import random
import struct
from datetime import date, datetime, time, timedelta
from pathlib import Path

import pytest
import xlwt
from hypothesis import example, given
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from bulk_sync.errors import InputError
from bulk_sync.model.rows import Cell, CellError, Formatted
from bulk_sync.read.books.biff import CODE_PAGES
from bulk_sync.read.books.numbers import rk_number
from tests.unit.biff import (
    BIFF5,
    KEY,
    KEY_5,
    Record,
    formula,
    label,
    number,
    record,
    rk,
    shared,
    special,
    stream,
    text_5,
    text_8,
    xls,
)
from tests.unit.workbooks import read, refused, rows_of

UNKNOWN_PAGES = (0, 21010, 65000, 65001, 1200)


def cell_of(tmp_path: Path, *cells: Record, **more: object) -> Cell:
    """The cell of row 2, column 1, of a hand-made XLS headed by `key`."""
    rows = rows_of(xls(tmp_path / "x.xls", stream([KEY, *cells], **more)))  # type: ignore[arg-type]
    return rows[0][1][0] if rows else ""


@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
    st.sampled_from([*CODE_PAGES, *UNKNOWN_PAGES, None]),
)
@example("José", 10000)
@example("Ann", 1252)
def test_a_text_of_biff8_is_utf_16_whatever_its_code_page(
    tmp_path_factory: pytest.TempPathFactory, text: str, page: int | None
) -> None:
    folder = tmp_path_factory.mktemp("x")
    cells = [label(1, 0, text_8("x")), label(1, 1, text_8(text, wide=True))]
    if all(letter < "\x80" for letter in text):
        cells.append(label(1, 2, text_8(text)))
    path = xls(folder / "x.xls", stream([KEY, *cells], code_page=page))
    assert [value for _, row in rows_of(path) for value in row][1:] == [text] * (len(cells) - 1)


@pytest.mark.parametrize("page", CODE_PAGES)
def test_a_text_of_biff5_is_in_its_code_page(tmp_path: Path, page: int) -> None:
    letters = "".join(
        letter
        for letter in "Jos\xe9 \xfc\xdf\u0153\u0142\u03b1\u0416\u05d0\u0627\u0e01\u30c6\u8a9e\ud55c"
        if letter.encode(CODE_PAGES[page], "ignore").decode(CODE_PAGES[page]) == letter
    )
    cells = [KEY_5, label(1, 0, text_5(letters.encode(CODE_PAGES[page])))]
    path = xls(tmp_path / "x.xls", stream(cells, version=BIFF5, code_page=page))
    assert rows_of(path) == [(2, (letters,))]


@pytest.mark.parametrize(
    ("page", "data", "words"),
    [
        (None, b"Jos\x82", "doesn't say in which code page"),
        (1200, b"Jos\x82", "says in code page 1200"),
        (10008, b"Jos\x82", "says in code page 10008"),
        (1252, b"Jos\x81", "in code page 1252, which doesn't have"),
        (932, b"\x83", "in code page 932, which doesn't have"),
    ],
)
def test_a_text_in_an_unknown_code_page_is_refused(
    tmp_path: Path, page: int | None, data: bytes, words: str
) -> None:
    path = tmp_path / "x.xls"
    cells = [KEY_5, label(1, 0, text_5(data))]
    xls(path, stream(cells, version=BIFF5, code_page=page))
    assert words in refused(path)
    cells = [KEY_5, label(1, 0, text_5(b"Jo"))]  # ASCII is the same in all of them
    assert rows_of(xls(path, stream(cells, version=BIFF5, code_page=page))) == [(2, ("Jo",))]


def test_a_text_with_a_nul_is_refused_with_its_place(tmp_path: Path) -> None:
    path = xls(tmp_path / "x.xls", stream([KEY, label(4, 2, text_8("A\0n"))]))
    text = refused(path)
    assert "row 5: the text 'A\\x00n' in column 3 holds a NUL" in text


@given(st.data())
def test_shared_texts_are_whole_wherever_their_records_end(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """SST goes on in CONTINUE records, at any character, which state the width again."""
    narrow = st.text(st.characters(max_codepoint=255, exclude_characters="\0"), max_size=30)
    wide = st.text(
        st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"], exclude_characters="\0"),
        max_size=30,
    )
    texts = data.draw(st.lists(st.one_of(narrow, wide), min_size=1, max_size=6))
    blocks = [bytearray(struct.pack("<II", len(texts), len(texts)))]
    for text in texts:
        is_rich, is_phonetic = data.draw(st.booleans()), data.draw(st.booleans())
        needs_wide = any(letter > "\xff" for letter in text)
        parts = [text]
        if len(text) > 1 and data.draw(st.booleans()):
            cut = data.draw(st.integers(1, len(text) - 1))
            parts = [text[:cut], text[cut:]]
        widths = [needs_wide or data.draw(st.booleans()) for _ in parts]
        flags = int(widths[0]) | 8 * is_rich | 4 * is_phonetic
        blocks[-1] += struct.pack("<HB", len(text), flags)
        blocks[-1] += struct.pack("<H", 1) * is_rich + struct.pack("<I", 5) * is_phonetic
        for index, (part, is_wide) in enumerate(zip(parts, widths, strict=True)):
            if index:
                blocks.append(bytearray([is_wide]))
            blocks[-1] += part.encode("utf-16-le" if is_wide else "latin-1")
        after = bytes(4 * is_rich + 5 * is_phonetic)
        cut = data.draw(st.integers(0, len(after)))
        blocks[-1] += after[:cut]
        if after[cut:]:
            blocks.append(bytearray())
        blocks[-1] += after[cut:]
    cells = [KEY, *(shared(1, column, column) for column in range(len(texts)))]
    content = stream([*cells, number(1, len(texts), 1)], strings=[bytes(each) for each in blocks])
    path = xls(tmp_path_factory.mktemp("x") / "x.xls", content)
    assert rows_of(path) == [(2, (*texts, 1.0))]


@pytest.mark.parametrize("kind", [0x06, 0x206, 0x406])
@pytest.mark.parametrize("version", [BIFF5, 0x600])
@pytest.mark.parametrize(
    ("result", "after", "expected"),
    [
        (struct.pack("<d", 4.5), [], 4.5),
        (special(1, 1), [], True),
        (special(1, 0), [], False),
        (special(2, 0x2A), [], CellError("#N/A")),
        (special(3), [], ""),
        (special(0), [0x207], "fine"),
        (special(0), [0x4BC, 0x207], "fine"),
        (special(0), [], CellError("formula without a value")),
    ],
)
def test_a_formula_has_its_cached_value(
    tmp_path: Path, kind: int, version: int, result: bytes, after: list[int], expected: Cell
) -> None:
    text = text_8("fine") if version == 0x600 else text_5(b"fine")
    cells = [
        KEY if version == 0x600 else KEY_5,
        formula(1, 0, result, kind),
        *((each, text if each == 0x207 else bytes(10)) for each in after),
        number(1, 1, 1),
    ]
    path = xls(tmp_path / "x.xls", stream(cells, version=version, code_page=1252))
    assert rows_of(path) == [(2, (expected, 1.0))]


def test_a_text_does_not_go_to_a_formula_before_another_cell(tmp_path: Path) -> None:
    cells = [formula(1, 0, special(0)), number(1, 1, 1), (0x207, text_8("late"))]
    assert cell_of(tmp_path, *cells) == CellError("formula without a value")


def test_a_long_text_of_a_formula_goes_on_in_the_next_record(tmp_path: Path) -> None:
    long = text_8("a" * 8000)
    cells = [
        formula(1, 0, special(0)),
        (0x207, struct.pack("<HB", 9000, 0) + long[3:]),
        (0x3C, b"\x01" + ("\u0416" * 1000).encode("utf-16-le")),
    ]
    assert cell_of(tmp_path, *cells) == "a" * 8000 + "\u0416" * 1000


@pytest.mark.parametrize(
    "kind",
    [0x02, 0x03, 0x04, 0x05, 0x07, 0x202, 0x403, 0x404, 0x405, 0x407, 0x47E, 0x2BD, 0x2D6, 0x4FD],
)
def test_cells_in_records_of_another_version_end_the_reading(tmp_path: Path, kind: int) -> None:
    path = xls(tmp_path / "x.xls", stream([KEY, (kind, bytes(20))]))
    assert f"records of another version of Excel (0x{kind:04X})" in refused(path)


@pytest.mark.parametrize("kind", [0x201, 0xBE, 0x1B6, 0x5D, 0x3E, 0x8C8])
def test_records_without_cells_are_passed_over(tmp_path: Path, kind: int) -> None:
    assert cell_of(tmp_path, (kind, bytes(20)), label(1, 0, text_8("a"))) == "a"


DAY = 46000.6875
DATES = (
    ("General", DAY),
    ("0.00", Formatted(DAY, "0.00", "46000.69", is_local=True)),
    ('"day" 0', Formatted(DAY, '"day" 0', "day 46001")),
    ("0.00E+00", Formatted(DAY, "0.00E+00", None)),
    ("[Red]#,##0;-#,##0", Formatted(DAY, "[Red]#,##0;-#,##0", "46,001", is_local=True)),
    (r"\d0", Formatted(DAY, r"\d0", "d46001")),
    ("yyyy-mm-dd hh:mm", datetime(2025, 12, 9, 16, 30)),
    ("DD/MM/YYYY", datetime(2025, 12, 9, 16, 30)),
    ("[$-409]mmmm d, yyyy;@", datetime(2025, 12, 9, 16, 30)),
    ("mmm", datetime(2025, 12, 9, 16, 30)),
    ("hh:mm", datetime(2025, 12, 9, 16, 30)),
    ("h:mm AM/PM", datetime(2025, 12, 9, 16, 30)),
    ("mm:ss.0", datetime(2025, 12, 9, 16, 30)),
    ("[h]:mm", timedelta(days=46000, hours=16, minutes=30)),
    ("[mm]:ss", timedelta(days=46000, hours=16, minutes=30)),
)


@pytest.mark.parametrize("code", ["hh:mm", "h:mm AM/PM", "mm:ss.0", "[$-409]h:mm;@"])
@pytest.mark.parametrize(
    ("value", "is_1904", "expected"),
    [
        (0.6875, False, time(16, 30)),
        (1.6875, False, time(16, 30)),
        (36525.6875, False, time(16, 30)),
        (36526.6875, False, datetime(2000, 1, 1, 16, 30)),
        (46095, False, datetime(2026, 3, 14)),
        (1.6875, True, time(16, 30)),
        (35063.6875, True, time(16, 30)),
        (35064.6875, True, datetime(2000, 1, 1, 16, 30)),
        (44633, True, datetime(2026, 3, 14)),
        (-0.5, False, CellError("#####")),
        (2958466, False, CellError("#####")),
    ],
)
def test_a_format_of_a_time_hides_no_date_that_the_cell_holds(
    tmp_path: Path, code: str, value: float, is_1904: bool, expected: Cell
) -> None:
    """No sum of times reaches the year 2000."""
    more = [(0x22, struct.pack("<H", int(is_1904)))]
    content = stream([KEY, number(1, 0, value)], formats=[(164, code)], styles=[164], more=more)
    ((_, (cell,)),) = rows_of(xls(tmp_path / "x.xls", content))
    assert (cell, type(cell)) == (expected, type(expected))


@pytest.mark.parametrize("version", [BIFF5, 0x600])
@pytest.mark.parametrize(("code", "expected"), DATES)
@pytest.mark.parametrize("number_", [0, 14, 50, 163, 164, 400])
def test_the_files_own_format_decides_whatever_its_id(
    tmp_path: Path, version: int, code: str, expected: Cell, number_: int
) -> None:
    key = KEY if version == 0x600 else KEY_5
    content = stream(
        [key, number(1, 0, DAY)], version=version, formats=[(number_, code)], styles=[number_]
    )
    assert rows_of(xls(tmp_path / "x.xls", content)) == [(2, (expected,))]


@pytest.mark.parametrize(
    ("number_", "expected"),
    [
        (0, DAY),
        (1, Formatted(DAY, "0", "46001")),
        (5, Formatted(DAY, "[built-in format 5]", None)),
        (13, Formatted(DAY, "# ??/??", None)),
        (14, datetime(2025, 12, 9, 16, 30)),
        (22, datetime(2025, 12, 9, 16, 30)),
        (20, datetime(2025, 12, 9, 16, 30)),
        (45, datetime(2025, 12, 9, 16, 30)),
        (46, timedelta(days=46000, hours=16, minutes=30)),
        (49, DAY),
        (57, datetime(2025, 12, 9, 16, 30)),
    ],
)
def test_a_built_in_format_is_for_ids_that_the_file_does_not_define(
    tmp_path: Path, number_: int, expected: Cell
) -> None:
    assert cell_of(tmp_path, number(1, 0, DAY), styles=[number_]) == expected


@pytest.mark.parametrize(
    ("code", "value", "expected"),
    [
        ("h:mm AM/PM", 1.4166666666666667, time(10)),
        ("h:mm", 300.5, time(12)),
        ("h:mm", 0.39583332, time(9, 30)),
        ("h:mm", -0.5, CellError("#####")),
        ("[h]:mm", 1.5, timedelta(hours=36)),
        ("yyyy-mm-dd", 1, date(1900, 1, 1)),
        ("yyyy-mm-dd", 59, date(1900, 2, 28)),
        ("yyyy-mm-dd", 60, CellError("1900-02-29")),
        ("yyyy-mm-dd", 61, date(1900, 3, 1)),
        ("yyyy-mm-dd", 0.5, CellError("1900-01-00")),
        ("yyyy-mm-dd", -1, CellError("#####")),
        ("yyyy-mm-dd", 2958465, date(9999, 12, 31)),
        ("yyyy-mm-dd", 2958466, CellError("#####")),
        ("yyyy-mm-dd", 46000.999999999, date(2025, 12, 10)),
        ("yyyy-mm-dd", 1e300, CellError("#####")),
        ("0", float("nan"), CellError("#NUM!")),
        ("yyyy", float("inf"), CellError("#####")),
    ],
)
def test_a_number_is_the_date_or_time_that_its_format_shows(
    tmp_path: Path, code: str, value: float, expected: Cell
) -> None:
    cells = [number(1, 0, value)]
    assert cell_of(tmp_path, *cells, formats=[(164, code)], styles=[164]) == expected


def test_the_1904_date_system_counts_from_another_day(tmp_path: Path) -> None:
    more = [(0x22, b"\x01\x00")]
    cells = [number(1, 0, 60)]
    assert cell_of(tmp_path, *cells, styles=[14], more=more) == date(1904, 3, 1)


@given(st.integers(-(2**29), 2**29 - 1), st.booleans())
def test_an_rk_number_has_an_integer_or_the_upper_half_of_a_double(
    value: int, hundredth: bool
) -> None:
    raw = (value << 2 & 0xFFFF_FFFF) | 2 | hundredth
    assert rk_number(raw) == (value / 100 if hundredth else value)
    double = struct.unpack("<I", struct.pack("<d", float(value))[4:])[0] & ~3
    whole = struct.unpack("<d", struct.pack("<Q", double << 32))[0]
    assert rk_number(double | hundredth) == (whole / 100 if hundredth else whole)


def test_many_numbers_in_one_record(tmp_path: Path) -> None:
    data = struct.pack("<HHHIHIH", 1, 0, 0, 7 << 2 | 2, 0, 250 << 2 | 3, 1)
    path = xls(tmp_path / "x.xls", stream([KEY, (0xBD, data)]))
    assert rows_of(path) == [(2, (7, 2.5))]


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([number(1, 0, 1), number(1, 0, 2)], "row 2 has two values for the cell in column 1"),
        ([number(1, 256, 1)], "outside of any sheet (row 2, column 257)"),
        ([shared(1, 0, 3)], "row 2 refers to a text that isn't there"),
        ([number(1, 0, 1, style=7)], "row 2 has a style that isn't there"),
        ([(0x205, struct.pack("<HHHBB", 1, 0, 0, 99, 1))], "row 2 shows an error of an unknown"),
        ([formula(1, 0, special(9))], "row 2 has a result of an unknown kind (9)"),
        ([(0xBD, struct.pack("<HHHIH", 1, 0, 0, 2, 5))], "cut short"),
        ([(0x203, b"\0" * 9)], "cut short"),
        ([label(1, 0, struct.pack("<HB", 9, 0) + b"short")], "cut short"),
    ],
)
def test_what_can_not_be_read_is_refused_with_its_place(
    tmp_path: Path, cells: list[Record], words: str
) -> None:
    assert words in refused(xls(tmp_path / "x.xls", stream([KEY, *cells])))


def test_charts_inside_a_sheet_and_hidden_rows_and_columns(tmp_path: Path) -> None:
    chart = [(0x809, struct.pack("<HHHHII", 0x600, 0x20, 0, 0, 0, 0)), number(1, 0, 9), (0x0A, b"")]
    hidden = (0x208, struct.pack("<HHHHHHHH", 1, 0, 1, 255, 0, 0, 0x20, 0))
    blank = (0x208, struct.pack("<HHHHHHHH", 9, 0, 1, 255, 0, 0, 0x20, 0))
    columns = [
        (0x7D, struct.pack("<HHHHHH", 1, 2, 0, 0, 1, 0)),
        (0x7D, struct.pack("<HHHHHH", 3, 3, 9, 0, 0, 0)),
    ]
    records = [*columns, KEY, hidden, blank, rk(1, 0, 2), *chart, rk(2, 0, 6)]
    understood, _, rows = read(xls(tmp_path / "x.xls", stream(records)))
    assert [row.cells for row in rows] == [(0,), (1,)]
    assert understood.hidden_columns == (2, 3)
    assert understood.notes == ("1 hidden row is read like the others.",)


def test_of_a_merged_range_only_the_first_cell_shows(tmp_path: Path) -> None:
    cells = [rk(row, column, 6) for row in range(1, 4) for column in range(3)]
    merged = (0xE5, struct.pack("<HHHHH", 1, 1, 2, 0, 1))
    path = xls(tmp_path / "x.xls", stream([KEY, *cells, merged]))
    assert rows_of(path) == [(2, (1, "", 1)), (3, ("", "", 1)), (4, (1, 1, 1))]


CELLS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12),
    st.booleans(),
    st.integers(-(2**53), 2**53).map(float),
    st.floats(-1e300, 1e300),
    st.datetimes(datetime(1900, 3, 1), datetime(9999, 12, 30)).map(
        lambda moment: moment.replace(microsecond=0)
    ),
)


@given(st.lists(st.lists(CELLS, min_size=1, max_size=4), min_size=1, max_size=6))
def test_another_reader_finds_the_same_text_and_type_in_each_cell(
    tmp_path_factory: pytest.TempPathFactory, table: list[list[Cell]]
) -> None:
    book = xlwt.Workbook(encoding="utf-8")
    sheet = book.add_sheet("S")
    sheet.write(0, 0, "key")
    moment = xlwt.easyxf(num_format_str="YYYY-MM-DD HH:MM:SS")
    for row, cells in enumerate(table, start=1):
        for column, cell in enumerate(cells):
            style = moment if isinstance(cell, datetime) else xlwt.Style.default_style
            sheet.write(row, column, cell, style)
    path = tmp_path_factory.mktemp("x") / "x.xls"
    book.save(str(path))
    ours = {number: _comparable(cells) for number, cells in rows_of(path, header_row=1)}
    theirs = CalamineWorkbook.from_path(path).get_sheet_by_index(0).to_python(skip_empty_area=False)
    for index, values in enumerate(theirs[1:], start=2):
        assert ours.get(index, []) == _comparable([_to_second(value) for value in values])
    for index, cells in enumerate(table, start=2):
        assert ours.get(index, []) == _comparable(cells)


def _comparable(cells: list[Cell] | tuple[Cell, ...]) -> list[tuple[bool, Cell]]:
    """Cells with their types, as far as they show; a date is a moment without a time."""
    shown: list[Cell] = [
        datetime.combine(cell, time()) if type(cell) is date else cell for cell in cells
    ]
    if all(isinstance(cell, str) and not cell.strip() for cell in shown):
        return []
    while shown and shown[-1] == "":
        shown.pop()
    return [(isinstance(cell, bool), cell) for cell in shown]


def _to_second(cell: Cell) -> Cell:
    if isinstance(cell, datetime):
        return (cell + timedelta(milliseconds=500)).replace(microsecond=0)
    return cell


def _sample() -> bytes:
    cells = [
        KEY,
        label(1, 0, text_8("a text", wide=True)),
        shared(1, 1, 0),
        formula(2, 0, special(0)),
        (0x207, text_8("of a formula")),
        (0xBD, struct.pack("<HHHIHIH", 3, 0, 0, 6, 1, 10, 1)),
        (0xE5, struct.pack("<HHHHH", 1, 3, 3, 0, 1)),
        number(4, 0, DAY, style=1),
    ]
    strings = [struct.pack("<II", 1, 1) + text_8("shared")]
    return stream(cells, strings=strings, formats=[(164, "yyyy-mm-dd hh:mm")], styles=[0, 164])


def test_cut_at_any_place_a_file_is_refused(tmp_path: Path) -> None:
    whole = _sample()
    path = tmp_path / "x.xls"
    for end in range(8, len(whole)):
        refused(xls(path, whole[:end]))


@pytest.mark.uncovered
def test_changed_bytes_give_rows_or_a_sentence(tmp_path: Path) -> None:
    whole, dice, path = _sample(), random.Random(24), tmp_path / "x.xls"
    outcomes: set[bool | None] = set()
    for _ in range(1500):
        data = bytearray(whole)
        for _ in range(dice.choice((1, 1, 2, 8))):
            data[dice.randrange(8, len(data))] = dice.choice((0, 1, 0xFF, dice.randrange(256)))
        try:
            outcomes.add(bool(rows_of(xls(path, bytes(data)))))
        except InputError:  # anything else would be a traceback
            outcomes.add(None)
    assert outcomes >= {True, None}


@pytest.mark.parametrize("version", [0x200, 0x300, 0x400, 0x700])
def test_other_versions_are_named(tmp_path: Path, version: int) -> None:
    content = record(0x809, struct.pack("<HHHHII", version, 5, 0, 0, 0, 0)) + stream([KEY])
    assert "written by Excel 4 or older" in refused(xls(tmp_path / "x.xls", content))
