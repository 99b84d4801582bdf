"""Rows of XLSX: the pattern and the exact reader give the same cells, or the same refusal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.model.rows import Cell, CellError, Row
from bulk_sync.read.books.interface import BadWorkbook
from bulk_sync.read.books.markup import feed
from bulk_sync.read.books.mixed import Mixed, NotPlainError
from bulk_sync.read.books.shown import Covering, Range
from bulk_sync.read.books.xlsx.cells import SheetReader
from bulk_sync.read.books.xlsx.rows import PlainRows
from bulk_sync.read.books.xlsx.sink import Sink
from bulk_sync.read.books.xlsx.strings import SharedStrings
from bulk_sync.read.books.xlsx.styles import Styles
from bulk_sync.read.books.xlsx.values import Values
from tests.unit.workbooks import MAIN, xlsx_parts

STRINGS = ["zero", "eins", "deux & trois", " ", "", "_x0041_"]


class Outcome(NamedTuple):
    rows: list[Row]
    hidden_rows: int
    hidden_columns: set[int]
    merged: list[Range]
    refusal: str | None


def _values() -> Values:
    styles = Styles()
    feed([xlsx_parts("")["xl/styles.xml"].encode()], styles, "styles")
    return Values(STRINGS, styles.converters(is_1904=False))


def outcome(data: bytes, size: int, *, plain: bool) -> Outcome:
    """Read a sheet in chunks of a size, with or without the pattern."""
    values, sink = _values(), Sink(Covering([]))
    reader = SheetReader(sink, values)
    take = PlainRows(sink, values) if plain else _nothing
    rows: list[Row] = []
    refusal = None
    try:
        for _ in Mixed(reader, "sheet", "sheetData", "row", 2).read(_chunks(data, size), take):
            rows.extend(sink.drain())
    except BadWorkbook as error:
        rows, refusal = [], str(error)
    return Outcome(rows, sink.hidden_rows, reader.hidden_columns, reader.merged, refusal)


def _nothing(_text: str, at: int, _prefix: str) -> int:
    return at


def _chunks(data: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def sheet(rows: str, before: str = "", after: str = "") -> bytes:
    """The part of a sheet."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<worksheet xmlns="{MAIN}">{before}<sheetData>'
        f"{rows}</sheetData>{after}</worksheet>"
    ).encode()


def taken(rows: str) -> list[Row]:
    """The rows that the pattern takes by itself."""
    sink = Sink(Covering([]))
    assert PlainRows(sink, _values())(rows, 0, "") == len(rows)
    return sink.drain()


Pieces = Sequence[str]


def _piece(draw: st.DrawFn, good: Pieces, bad: Pieces) -> str:
    """A piece that the file may have, or now and then one that it must not."""
    return draw(st.sampled_from(bad if draw(st.integers(0, 39)) == 0 else good))


_TEXTS = {
    "n": ["0", "1", "1", "-1.5", "1e3", "46083.375", "60", "+1", "12345678901234567", ""],
    "s": ["0", "1", "2", "3", "4", "5", ""],
    "b": ["0", "1", "true"],
    "e": ["#N/A", "#SPILL!", "#a &amp; b"],
    "d": ["2026-01-02", "2026-01-02T03:04:05"],
    "str": ["a &amp; b", "&#10;", "&#x1F600;", "_x000D_", "_x005F_x0041_", "é漢😀", "a\nb",
            "a>b", "a\r\nb", "<![CDATA[x]]>", "<!-- c -->d", "plain", " ", "", "&lt;v&gt;"],
}  # fmt: skip
_TEXTS["inlineStr"] = _TEXTS["str"]
_BAD_TEXTS = [
    "1e999", "nan", "1_0", " 1", "٣", "7", "&#0;", "&#xD800;", "&nbsp;", "&", "\ufffe", "\x01",
    "]]>", "<b>x</b>", "words",
]  # fmt: skip
_VALUES = ["<v>{}</v>"] * 6 + [
    "<f>A1+1</f><v>{}</v>", "<f>A1&amp;B1</f><v>{}</v>", '<f t="shared" si="0"/><v>{}</v>',
    "<f>A1</f>", "<f>A1</f><v/>", "<f>A1</f><v></v>", "<v/>", "", " <v>{}</v>", "<v>{}</v><x/>",
]  # fmt: skip
_BAD_VALUES = ["<f>A1&B1</f><v>{}</v>", "<v>{}</v><v>{}</v>", "{}", "<is><t>{}</t></is>", "<v>{}"]
_IN_LINE = ["<is><t>{}</t></is>"] * 4 + [
    '<is><t xml:space="preserve">{}</t></is>', "<is><t/></is>", "<is/>", "<is></is>",
    "<is><r><t>{}</t></r><r><t>x</t></r></is>",
    "<is><t>{}</t><rPh sb='0' eb='1'><t>p</t></rPh></is>",
]  # fmt: skip
_BAD_IN_LINE = ["<is><t>{}</is></t>", "<v>{}</v>", "<is>{}</is>", "<t>{}</t>"]


@st.composite
def _cells(draw: st.DrawFn, row: int, column: str, place: str) -> str:
    kind = _piece(draw, ["n", "n", "s", "s", "str", "inlineStr", "b", "e", "d"], ["zz"])
    text = _piece(draw, _TEXTS.get(kind, ["1"]), _BAD_TEXTS)
    reference = _piece(draw, [place.format(f"{column}{row}")], [
        "", f' r="A{row}"', f' r="{column}{row + 1}"', f' r="{column.lower()}{row}"', ' r="1"',
    ])  # fmt: skip
    style = _piece(draw, ["", "", ' s="1"', ' s="2"', ' s="4"', ' s="99"'], [' s="x"', " bad"])
    more = _piece(draw, ["", "", "", ' cm="1"', ' a="1>2"', " x='1'"], [' s="1"', " r='A1'"])
    attributes = [reference, style, f' t="{kind}"' if kind != "n" else "", more]
    if draw(st.integers(0, 9)) == 0:
        attributes = draw(st.permutations(attributes))
    good, bad = (_IN_LINE, _BAD_IN_LINE) if kind == "inlineStr" else (_VALUES, _BAD_VALUES)
    body = _piece(draw, good, bad).replace("{}", text)
    start = f"<c{''.join(attributes)}"
    return f"{start}/>" if body == "" and draw(st.booleans()) else f"{start}>{body}</c>"


@st.composite
def _rows(draw: st.DrawFn) -> str:
    rows: list[str] = []
    number = 0
    place = draw(st.sampled_from([' r="{}"'] * 5 + ["", " r='{}'"]))
    for _ in range(draw(st.integers(1, 6))):
        number += int(
            _piece(draw, ["1"] if not place else ["1", "1", "1", "2"], ["0", "-1", "9999999"])
        )
        columns = [each for each in "ABCDE" if draw(st.integers(0, 4)) or not place]
        if draw(st.integers(0, 19)) == 0 and place:
            columns.reverse()
        cells = "".join(draw(_cells(number, each, place)) for each in columns)
        more = _piece(
            draw,
            ["", "", ' spans="1:5"', ' hidden="1"', ' hidden="true" ht="0"'],
            [" hidden", ' r="1"', " r='1'"],
        )
        start = f"<row{_piece(draw, [place.format(number)], [''])}{more}"
        rows.append(f"{start}/>" if draw(st.integers(0, 9)) == 0 else f"{start}>{cells}</row>")
        rows.append(
            _piece(draw, ["", "", "", "\n", "<!-- </row> -->", "<!--<row r='9'>-->", "<x/>"],
                   ["-->", "<c/>", "</row>", "text", "<!--", "<row>"])
        )  # fmt: skip
    return "".join(rows)


@st.composite
def sheets(draw: st.DrawFn) -> bytes:
    """Sheets as programs write them, as they may, and as they must not."""
    before = _piece(
        draw,
        ["", "<!-- <sheetData> -->", '<cols><col min="2" max="3" hidden="1"/></cols>'],
        ["<sheetData/>", "<sheetData a='>'/>"],
    )
    after = _piece(
        draw,
        ["", '<mergeCells><mergeCell ref="A1:B2"/></mergeCells>'],
        ["<sheetData/>", "</x>", "<sheetData><row><c><v>1</v></c></row></sheetData>"],
    )
    data = sheet(draw(_rows()), before, after)
    if draw(st.integers(0, 19)) == 0:
        data = data[: draw(st.integers(0, len(data)))]
    if draw(st.integers(0, 4)) == 0:
        prefixed = data.replace(b"xmlns=", b"xmlns:x=").replace(b"</", b"\0").replace(b"<", b"<x:")
        data = prefixed.replace(b"\0", b"</x:").replace(b"<x:!", b"<!").replace(b"<x:?", b"<?")
    return data


@given(sheets(), st.sampled_from([1, 7, 64, 1000, 100_000]))
@pytest.mark.uncovered
def test_the_pattern_and_the_exact_reader_agree(data: bytes, size: int) -> None:
    assert outcome(data, size, plain=True) == outcome(data, 10_000, plain=False)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ('<c r="A2" t="s"><v>2</v></c>', "deux & trois"),
        ('<c r="A2" t="s" s="1"><v>1</v></c>', "eins"),
        ('<c r="A2" s="1"><v>46000</v></c>', date(2025, 12, 9)),
        ('<c r="A2" t="str"><f>B2&amp;C2</f><v>a &lt; b</v></c>', "a < b"),
        ('<c r="A2"><f t="shared" ref="A2:A9" si="0">B2</f><v>2</v></c>', 2.0),
        ('<c r="A2"><f t="shared" si="0"/><v>2</v></c>', 2.0),
        ('<c r="A2"><f>B2</f><v></v></c>', CellError("formula without a value")),
        ('<c r="A2" t="inlineStr"><is><t>a&#10;b</t></is></c>', "a\nb"),
        ('<c r="A2" t="inlineStr"><is><t xml:space="preserve"> a</t></is></c>', " a"),
        ('<c r="A2" t="b"><v>0</v></c>', False),
        ('<c r="A2" t="e"><v>#N/A</v></c>', CellError("#N/A")),
        ('<c r="A2" t="d"><v>2026-01-02</v></c>', date(2026, 1, 2)),
    ],
)
def test_the_pattern_takes_cells_as_programs_write_them(cell: str, expected: Cell) -> None:
    """The next cell is there in each form of a blank one."""
    for blank in ("", '<c r="B2"/>', '<c r="B2" s="3" />', '<c r="B2"><v/></c>', '<c r="B2"></c>'):
        row = f'<row r="2">{cell}{blank}<c r="C2"><v>1</v></c></row>'
        rows = '<row r="1"><c r="D1"><v>9</v></c></row>' + row
        assert taken(rows)[-1] == Row(2, (expected, "", 1.0))


def test_the_pattern_takes_rows_without_references() -> None:
    rows = (
        '<row><c t="s"><v>0</v></c><c/></row><row/><row r="5"><c><v>1</v></c><c><v>2</v></c></row>'
    )
    assert taken(rows) == [Row(1, ("zero",)), Row(5, (1.0, 2.0))]


def test_another_element_whose_name_begins_like_a_cell_is_no_cell() -> None:
    rows = "<row><c/><c><v>1</v></c></row><row><custom/><c><v>2</v></c></row>"
    assert outcome(sheet(rows), 100, plain=True) == outcome(sheet(rows), 100, plain=False)


def test_a_text_that_few_rows_have_costs_no_second_look_at_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each row holds a text that only the exact reader knows; the pattern must not start over."""
    rows = "".join(f'<row r="{n}"><c r="A{n}" t="str"><v>&#0;</v></c></row>' for n in range(1, 999))
    take = PlainRows(Sink(Covering([])), _values())
    tried: list[int] = []

    def refuse(found: Sequence[object]) -> None:
        tried.append(len(found))
        raise NotPlainError

    monkeypatch.setattr(take, "_add", refuse)
    at = 0
    while (end := rows.find("</row>", take(rows, at, ""))) >= 0:
        at = end + len("</row>")
    assert sum(tried) < 5_000


_ITEMS = st.sampled_from(
    ["<t>{}</t>", "<t>{}</t>", '<t xml:space="preserve">{}</t>', "<t/>", "",
     "<r><t>{}</t></r><r><t>b</t></r>",
     "<t>{}</t><rPh sb='0' eb='1'><t>p</t></rPh>", " <t>{}</t>",
     "<t>{}</t><phoneticPr fontId='1'/>"]
)  # fmt: skip


@st.composite
def strings(draw: st.DrawFn) -> bytes:
    """Parts of shared strings."""
    items = []
    for _ in range(draw(st.integers(0, 8))):
        text = _piece(draw, _TEXTS["str"], _BAD_TEXTS)
        items.append(f"<si>{draw(_ITEMS).replace('{}', text)}</si>")
        items.append(
            _piece(draw, ["", "", "\n", "<!-- </si> -->", "<extLst/>"], ["-->", "</si>", "<si>"])
        )
    data = f'<sst xmlns="{MAIN}" count="1">{"".join(items)}</sst>'.encode()
    return data[: draw(st.integers(0, len(data)))] if draw(st.integers(0, 19)) == 0 else data


@given(strings(), st.sampled_from([1, 7, 64, 100_000]))
def test_shared_strings_are_read_the_same_in_both_ways(data: bytes, size: int) -> None:
    plain, exact = SharedStrings(), SharedStrings()
    mixed = Mixed(exact, "strings", "sst", "si", 1).read(_chunks(data, size), _nothing)
    assert _texts(plain, lambda: plain.read(_chunks(data, size), "strings")) == _texts(
        exact, lambda: list(mixed)
    )


def _texts(strings_read: SharedStrings, read: Callable[[], object]) -> list[str] | str:
    try:
        read()
    except BadWorkbook as error:
        return str(error)
    return strings_read.texts
