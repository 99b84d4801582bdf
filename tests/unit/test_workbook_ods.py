"""ODS: a cell's value is its content alone, and the pattern and the exact reader agree on it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odf.opendocument import OpenDocumentSpreadsheet
from odf.table import Table as OdfTable
from odf.table import TableCell, TableRow
from odf.text import P
from python_calamine import CalamineWorkbook

from bulk_sync.errors import InputError
from bulk_sync.model.rows import Cell, CellError, Formatted, Row
from bulk_sync.read.books.interface import BadWorkbook
from bulk_sync.read.books.mixed import Mixed
from bulk_sync.read.books.ods import sink
from bulk_sync.read.books.ods.document import Document
from bulk_sync.read.books.ods.rows import PlainRows
from tests.unit.workbooks import ods_parts, ods_row, ods_text, read, refused, rows_of, write

KEY = ods_row(ods_text("key"))
TEXT_BOX = (
    "<draw:frame><draw:text-box><text:p>CALL BACK</text:p><text:list><text:list-item><text:p>a"
    "</text:p></text:list-item></text:list></draw:text-box></draw:frame>"
)
NO_CONTENT = (
    TEXT_BOX,
    "<draw:custom-shape><text:p>CALL BACK</text:p></draw:custom-shape>",
    "<draw:line/><draw:g><draw:rect><text:p>CALL BACK</text:p></draw:rect></draw:g>",
    "<draw:control/>",
    "<draw:frame><draw:image><office:binary-data>AAAA</office:binary-data></draw:image></draw:frame>",
    (
        "<draw:frame><draw:object><table:table><table:table-row><table:table-cell>"
        "<text:p>1</text:p></table:table-cell></table:table-row></table:table></draw:object>"
        "</draw:frame>"
    ),
    "<office:annotation><text:p>CALL BACK</text:p><text:p>b</text:p></office:annotation>",
    "<table:detective><table:highlighted-range/></table:detective>",
    "<table:cell-range-source/>",
    "<dr3d:scene><svg:title>CALL BACK</svg:title></dr3d:scene>",
    "<loext:x>CALL BACK</loext:x>",
)
SPACES = (
    ' xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0" '
    'xmlns:dr3d="urn:oasis:names:tc:opendocument:xmlns:dr3d:1.0" '
    'xmlns:svg="urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0" '
    'xmlns:loext="urn:loext"'
)


def ods(path: Path, rows: str, *, before: str = "", after: str = "") -> Path:
    """A workbook with the table `S`, and what comes before and after it in the spreadsheet."""
    parts = ods_parts(rows)
    content = parts["content.xml"].replace(" xmlns:calcext", SPACES + " xmlns:calcext")
    content = content.replace("<office:spreadsheet>", f"<office:spreadsheet>{before}")
    parts["content.xml"] = content.replace("</office:spreadsheet>", f"{after}</office:spreadsheet>")
    return write(path, parts)


def cells_of(tmp_path: Path, *cells: str) -> tuple[Cell, ...]:
    rows = rows_of(ods(tmp_path / "x.ods", KEY + ods_row(*cells)))
    return rows[0][1] if rows else ()


@pytest.mark.parametrize("thing", NO_CONTENT)
def test_what_is_anchored_to_a_cell_is_no_part_of_it(tmp_path: Path, thing: str) -> None:
    over = f"<table:table-cell>{thing}<text:p>Loved</text:p>{thing}</table:table-cell>"
    empty = f"<table:table-cell>{thing}</table:table-cell>"
    number = typed("float", "5", "5").replace("<text:p>", f"{thing}<text:p>")
    inside = ods_text(f"a{thing}b") if "loext" not in thing else ods_text("ab")
    assert cells_of(tmp_path, over, empty, number, inside) == ("Loved", "", 5.0, "ab")


@pytest.mark.parametrize(
    ("paragraph", "expected"),
    [
        ("a<text:a>b@example.com</text:a>c", "ab@example.comc"),
        ("<text:span>a <text:span> b</text:span></text:span> ", "a b"),
        (" a\n\t b ", "a b"),
        ('<text:s text:c="2"/>a <text:s/>b<text:s/>', "  a  b "),
        ('a<text:s text:c="0"/>b', "ab"),
        (
            "<text:ruby><text:ruby-base>a</text:ruby-base><text:ruby-text>b</text:ruby-text></text:ruby>",
            "a",
        ),
        ("<text:sheet-name>S</text:sheet-name><text:bookmark/>", "S"),
        ("a<text:note><text:note-citation>1</text:note-citation></text:note>b", "ab"),
        ("<loext:theme>a</loext:theme>b", "ab"),
        ("a<!-- c -->b<![CDATA[ <c> ]]>", "ab <c>"),
    ],
)
def test_a_paragraph_is_its_characters(tmp_path: Path, paragraph: str, expected: str) -> None:
    assert cells_of(tmp_path, ods_text(paragraph)) == (expected,)


@pytest.mark.parametrize(
    "content",
    [
        "<text:list><text:list-item><text:p>a</text:p></text:list-item></text:list>",
        "<text:h>a</text:h>",
        "<table:table><table:table-row><table:table-cell/></table:table-row></table:table>",
    ],
)
def test_content_that_is_no_single_value_is_refused(tmp_path: Path, content: str) -> None:
    cell = f"<table:table-cell>{content}</table:table-cell>"
    text = refused(ods(tmp_path / "x.ods", KEY + ods_row(cell)))
    assert "row 2 of the sheet 'S': a cell holds" in text


def typed(kind: str, value: str = "", shown: str | None = None, more: str = "") -> str:
    name = {"date": "date-value", "time": "time-value", "boolean": "boolean-value",
            "string": "string-value"}.get(kind, "value")  # fmt: skip
    paragraph = "" if shown is None else f"<text:p>{shown}</text:p>"
    value = f' office:{name}="{value}"' if value else ""
    return (
        f'<table:table-cell office:value-type="{kind}"{value}{more}>{paragraph}</table:table-cell>'
    )


FORMULA = ' table:formula="of:=A1"'
ERROR = ' calcext:value-type="error"'


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (typed("float", "5"), 5.0),
        (typed("float", "-1.5E-3", "-0.0015"), -0.0015),
        (typed("float", "5", "5", FORMULA), 5.0),
        (typed("percentage", "0.5", "50%"), Formatted(0.5, "", "50%")),
        (typed("currency", "1234.5", "1,234.50 €"), Formatted(1234.5, "", "1,234.50 €", True)),
        (typed("float", "123", "00123"), Formatted(123.0, "", "00123")),
        (typed("float"), ""),
        ('<table:table-cell office:value="5"><text:p>5</text:p></table:table-cell>', 5.0),
        (typed("boolean", "false", "FALSE"), False),
        (typed("date", "2026-03-14", "3/14/26"), date(2026, 3, 14)),
        (typed("date", "2026-03-14T16:30:00", "x"), datetime(2026, 3, 14, 16, 30)),
        (typed("date", "2026-03-14T16:29:59.999999", "x"), datetime(2026, 3, 14, 16, 30)),
        (typed("date", "2026-03-14T16:30", "x"), datetime(2026, 3, 14, 16, 30)),
        (typed("date", "-0044-03-15", "x"), CellError("-0044-03-15")),
        (typed("time", "PT10H00M00S", "10:00 AM"), time(10)),
        (typed("time", "PT34H00M00S", "10:00 AM"), time(10)),
        (typed("time", "PT841524H00M00S", "12:00 PM"), time(12)),
        (typed("time", "PT841548H00M00S", "12:00 PM"), timedelta(35_064, hours=12)),
        (typed("time", "PT36H00M00S", "12:00 PM"), time(12)),
        (typed("time", "PT24H30M00S", "00:30"), time(0, 30)),
        (typed("time", "PT24H30M00S", "12:30 AM"), time(0, 30)),
        (typed("time", "PT34H00M00S", "34:00"), timedelta(hours=34)),
        (typed("time", "PT34H00M00S", "2040:00"), timedelta(hours=34)),
        (typed("time", "PT34H00M00S"), timedelta(hours=34)),
        (typed("time", "P1DT2H", "26:00"), timedelta(hours=26)),
        (typed("time", "-PT1H", "-1:00"), timedelta(hours=-1)),
        (typed("string", "own", "shown"), "own"),
        (typed("string", "", "a", FORMULA), "a"),
        (typed("string", "", "", FORMULA), ""),
        (typed("void", "", "a"), "a"),
        (typed("string", "", "#N/A"), "#N/A"),
        (typed("string", "", "#N/A", FORMULA + ERROR), CellError("#N/A")),
        (typed("string", "", "", FORMULA + ERROR), CellError("#VALUE!")),
        (typed("error", "", "#REF!"), CellError("#REF!")),
        (typed("float", "0", "Err:502", FORMULA), CellError("Err:502")),
        (typed("float", "0", "#DIV/0!", FORMULA + ERROR), CellError("#DIV/0!")),
        ('<table:table-cell table:formula="of:=A1"/>', CellError("formula without a value")),
        # As LibreOffice writes the result of ="".
        ('<table:table-cell table:formula="of:=A1"><text:p/></table:table-cell>', ""),
        ('<table:table-cell table:formula="of:=A1"><text:p></text:p></table:table-cell>', ""),
    ],
)
@pytest.mark.parametrize("plain", [True, False])
def test_a_cell_is_the_value_of_its_type(
    tmp_path: Path, cell: str, expected: Cell, plain: bool
) -> None:
    if not plain:  # a comment between elements sends the row to the exact reader
        cell += "<!-- exact -->"
    cells = cells_of(tmp_path, ods_text("1"), cell)
    assert cells[1:] == (() if expected == "" else (expected,))
    assert type(cells[-1]) is type(expected if expected != "" else "1")


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (typed("float", "1_0"), "'1_0' is not a number"),
        (typed("float", "NaN"), "'NaN' is not a number"),
        (typed("float", "1e999"), "'1e999' is not a number"),
        (typed("float", "", "5"), "a cell of the type 'float' has no value"),
        (typed("date", "2026-02-30"), "'2026-02-30' is not a date"),
        (typed("date", "2026-03-14Z"), "is not a date"),
        (typed("time", "10:00"), "'10:00' is not a time"),
        (typed("time", "P1M"), "is not a time"),
        (typed("boolean", "1"), "'1' is not true or false"),
        (ods_text("a", 'table:number-columns-repeated="x"'), "'x' is not a whole number"),
        (ods_text("a", 'table:number-columns-repeated="17000"'), "outside of any sheet (row 2"),
    ],
)
def test_a_value_that_no_program_writes_is_refused_with_its_row(
    tmp_path: Path, cell: str, words: str
) -> None:
    assert words in refused(ods(tmp_path / "x.ods", KEY + ods_row(cell)))


def test_only_the_tables_of_the_spreadsheet_are_sheets(tmp_path: Path) -> None:
    other = f'<table:table table:name="X">{ods_row(ods_text("key"))}</table:table>'
    before = (
        f"<table:tracked-changes><table:deletion>{other}</table:deletion></table:tracked-changes>"
    )
    after = f"<table:dde-links><table:dde-link>{other}</table:dde-link></table:dde-links>"
    shapes = f"<table:shapes>{TEXT_BOX}<draw:frame>{other}</draw:frame></table:shapes>"
    rows = shapes + KEY + ods_row(ods_text("a"))
    understood, _, found = read(ods(tmp_path / "x.ods", rows, before=before, after=after))
    assert found == [Row(2, ("a",))]
    assert understood.notes == ()


def test_each_of_several_tables_is_read(tmp_path: Path) -> None:
    after = "".join(
        f'<table:table table:name="T{number}">{KEY}{ods_row(ods_text(str(number)))}</table:table>'
        for number in range(5)
    )
    path = ods(tmp_path / "x.ods", "", after=after)
    assert rows_of(path) == [(2, ("0",))]
    for number in range(5):
        assert rows_of(path, sheet=f"T{number}") == [(2, (str(number),))]


def test_a_hidden_table_is_not_chosen(tmp_path: Path) -> None:
    parts = ods_parts(KEY + ods_row(ods_text("a")))
    styles = (
        '<office:automatic-styles><style:style style:name="ta1"><style:table-properties '
        'table:display="false"/></style:style></office:automatic-styles>'
    )
    content = parts["content.xml"].replace("<office:body>", f"{styles}<office:body>")
    parts["content.xml"] = content.replace('"S"', '"S" table:style-name="ta1"')
    path = write(tmp_path / "x.ods", parts)
    hidden = "none of its visible sheets names showings, and the hidden sheet 'S' does"
    assert hidden in refused(path)
    assert rows_of(path, sheet="S") == [(2, ("a",))]


def test_rows_in_groups_and_hidden_ones(tmp_path: Path) -> None:
    row = ods_row(ods_text("a"))
    hidden = row.replace("table-row>", 'table-row table:visibility="filter">', 1)
    rows = (
        '<table:table-column table:number-columns-repeated="2"/><table:table-column-group>'
        '<table:table-column table:visibility="collapse"/></table:table-column-group>'
        f"<table:table-header-rows>{KEY}</table:table-header-rows>"
        f"<table:table-row-group>{hidden}<table:table-row-group>{row}</table:table-row-group>"
        f"</table:table-row-group><table:table-rows>{hidden}{row}</table:table-rows>"
        '<table:table-row table:visibility="collapse" table:number-rows-repeated="9"/>'
    )
    understood, _, found = read(ods(tmp_path / "x.ods", rows))
    assert [row.number for row in found] == [2, 3, 4, 5]
    assert understood.hidden_columns == (3,)


def test_a_range_hides_cells_that_are_not_marked_as_covered(tmp_path: Path) -> None:
    three = [ods_text(each) for each in "abc"]
    spanning = ods_text("a", 'table:number-rows-spanned="2" table:number-columns-spanned="2"')
    rows = KEY + ods_row(spanning, *three[1:]) + ods_row(*three) + ods_row(*three)
    assert [cells for _, cells in rows_of(ods(tmp_path / "x.ods", rows))] == [
        ("a", "", "c"),
        ("", "", "c"),
        ("a", "b", "c"),
    ]


def test_cells_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink, "MAX_CELLS", 1_000)
    cell = ods_text("x", 'table:number-columns-repeated="100"')
    row = f'<table:table-row table:number-rows-repeated="10">{cell}</table:table-row>'
    assert len(rows_of(ods(tmp_path / "x.ods", row), header_row=1)) == 9
    assert "more than 1,000 cells" in refused(ods(tmp_path / "x.ods", row + row))


@pytest.mark.parametrize(("table", "text"), [("t", "x"), ("", "text"), ("text", "table")])
def test_any_prefixes_mean_the_same(tmp_path: Path, table: str, text: str) -> None:
    content = (
        '<o:document-content xmlns:o="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
        'xmlns:p="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
        f'xmlns{":" * bool(table)}{table}="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
        f'xmlns:{text}="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><o:body><o:spreadsheet>'
        '<T:table p:name="S"><T:table-row><T:table-cell o:value-type="string"><X:p>key</X:p>'
        '</T:table-cell></T:table-row><T:table-row><T:table-cell p:number-columns-repeated="2" '
        'o:value-type="float" o:value="1"/></T:table-row></T:table></o:spreadsheet></o:body>'
        "</o:document-content>"
    )
    content = content.replace("<T:", f"<{table}{':' * bool(table)}").replace(
        "</T:", f"</{table}{':' * bool(table)}"
    )
    content = content.replace("X:p>", f"{text}:p>")
    path = write(tmp_path / "x.ods", {**ods_parts(""), "content.xml": content})
    assert rows_of(path) == [(2, (1.0, 1.0))]


@pytest.mark.parametrize("declaration", ["", '<?xml version="1.0" encoding="UTF-8"?>\n\n'])
def test_a_flat_document_is_read_like_a_packed_one(tmp_path: Path, declaration: str) -> None:
    content = ods_parts(KEY + ods_row(ods_text("a")))["content.xml"]
    content = content.replace("office:document-content", "office:document")
    path = tmp_path / "x.fods"
    path.write_text(declaration + content, encoding="utf-8")
    understood, _, rows = read(path)
    assert (understood.format, rows) == ("FODS", [Row(2, ("a",))])
    path.write_text(content.replace("office:spreadsheet", "office:text"), encoding="utf-8")
    assert "without a spreadsheet in it" in refused(path)


class Outcome(NamedTuple):
    rows: list[Row]
    hidden_rows: int
    hidden_columns: set[int]
    refusal: str | None


def outcome(data: bytes, size: int, table: int, *, plain: bool) -> Outcome:
    """Read a table in chunks of a size, with or without the pattern."""
    document = Document(table)
    rows: list[Row] = []
    refusal = None
    take = PlainRows(document) if plain else _nothing
    try:
        for _ in Mixed(document, "content", "table", "table-row", 4).read(
            _chunks(data, size), take
        ):
            rows.extend(document.sink.drain())
    except BadWorkbook as error:
        rows, refusal = [], str(error)
    return Outcome(rows, document.sink.hidden_rows, document.hidden_columns, refusal)


def _nothing(_text: str, at: int, _prefix: str) -> int:
    return at


def _chunks(data: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


_PARAGRAPHS = st.sampled_from(
    ["a", "", " a ", "a  b", "a\nb", "\ta", "a &amp; b", "&#10;", "&#x1F600;", "é漢😀", "a>b",
     "&lt;", "a<text:s/>b", "<text:span>a</text:span> b", "<![CDATA[x]]>", "a<!-- c -->b",
     "</text:p><text:p>b", "a\r\nb", TEXT_BOX.replace("draw:", "table:"), "&apos;"]
)  # fmt: skip
_BAD_PARAGRAPHS = st.sampled_from(["&", "&nbsp;", "&#0;", "\x01", "\ufffe", "<b>", "]]>"])
_ATTRIBUTES = st.sampled_from(
    ["", ' office:value-type="string"', ' office:value-type="float" office:value="1"',
     ' office:value-type="float" office:value="1.5" table:style-name="ce1"',
     ' office:value-type="date" office:date-value="2026-01-02"',
     ' office:value-type="time" office:time-value="PT25H"', ' office:boolean-value="true"',
     ' table:number-columns-repeated="3"',
     ' table:number-columns-spanned="2" table:number-rows-spanned="2"',
     ' office:value-type="string" office:string-value="own &amp; &lt;"', ' table:formula="of:=A1"',
     " office:value-type='string'", '\n office:value-type="string"', ' table:x=">"', " "]
)  # fmt: skip
_BAD_ATTRIBUTES = st.sampled_from(
    [' office:value-type="float" office:value="x"', ' a="1" a="2"', ' a="<"', " a", ' a="&"']
)
_GOOD_ROW_ATTRIBUTES = st.sampled_from(
    ["", "", ' table:style-name="ro1"', ' table:visibility="collapse"',
     ' table:number-rows-repeated="3"']
)  # fmt: skip
_ROW_ATTRIBUTES = st.one_of(*[_GOOD_ROW_ATTRIBUTES] * 9, st.just(' table:number-rows-repeated="x"'))


@st.composite
def _cells(draw: st.DrawFn, *, good: bool) -> str:
    bad = not good and draw(st.integers(0, 60)) == 0
    attributes = draw(_BAD_ATTRIBUTES if bad and draw(st.booleans()) else _ATTRIBUTES)
    paragraph = f"<text:p>{draw(_BAD_PARAGRAPHS if bad else _PARAGRAPHS)}</text:p>"
    name = "table:" + draw(st.sampled_from(["table-cell"] * 6 + ["covered-table-cell"]))
    return draw(
        st.sampled_from(
            [f"<{name}{attributes}>{paragraph}</{name}>"] * 5
            + [f"<{name}{attributes}/>", f"<{name}{attributes}></{name}>"]
            + [f"<{name}{attributes}><text:p/></{name}>"]
            + [f" <{name}{attributes}> {paragraph} </{name}> "]
        )
    )


@st.composite
def _rows(draw: st.DrawFn, *, good: bool) -> str:
    cells = "".join(draw(st.lists(_cells(good=good), max_size=4)))
    attributes = draw(_GOOD_ROW_ATTRIBUTES if good else _ROW_ATTRIBUTES)
    group = "table:table-row-group"
    return draw(
        st.sampled_from(
            [f"<table:table-row{attributes}>{cells}</table:table-row>"] * 6
            + [
                f"<table:table-row{attributes}/>",
                f"<!-- <table:table-row>{cells.replace('--', '')} -->",
            ]
            + [f"<{group}><table:table-row>{cells}</table:table-row></{group}>\n"]
        )
    )


def _content(*tables: list[str]) -> bytes:
    content = ods_parts("")["content.xml"]
    at, end = content.index("<table:table "), content.index("</office:spreadsheet>")
    written = "".join(
        f'<table:table table:name="{name}">{"".join(rows)}</table:table>'
        for name, rows in zip("ABC", tables, strict=False)
    )
    return (content[:at] + written + content[end:]).encode()


@given(st.lists(_rows(good=False), max_size=5), st.integers(1, 400))
def test_the_pattern_and_the_exact_reader_agree(rows: list[str], size: int) -> None:
    data = _content(rows)
    assert outcome(data, size, 0, plain=True) == outcome(data, size, 0, plain=False)


@given(
    st.lists(st.lists(_rows(good=True), max_size=4), min_size=3, max_size=3),
    st.integers(1, 400),
    st.integers(0, 2),
)
@pytest.mark.uncovered
def test_they_agree_on_each_of_several_tables(
    tables: list[list[str]], size: int, table: int
) -> None:
    data = _content(*tables)
    assert outcome(data, size, table, plain=True) == outcome(data, size, table, plain=False)
    alone = outcome(_content(tables[table]), 10_000, 0, plain=False)
    assert outcome(data, size, table, plain=True).rows == alone.rows


@pytest.mark.uncovered
def test_changed_bytes_give_the_same_rows_either_way_or_the_same_refusal() -> None:
    rows = KEY + ods_row(ods_text("a &amp; b"), typed("float", "5", "5")) * 2
    whole = ods_parts(rows + ods_row(typed("date", "2026-03-14", "x")))["content.xml"].encode()
    dice = random.Random(24)
    refusals = 0
    for _ in range(1500):
        data = bytearray(whole)
        for _ in range(dice.choice((1, 1, 2, 8))):
            at = dice.randrange(len(data))
            data[at] = dice.choice((*b"<>/\"' &x:", dice.randrange(256)))
        plain = outcome(bytes(data), 64, 0, plain=True)
        assert plain == outcome(bytes(data), 64, 0, plain=False)
        refusals += plain.refusal is not None
    assert 0 < refusals < 1500


def test_cut_at_any_place_a_content_is_refused(tmp_path: Path) -> None:
    parts = ods_parts(KEY + ods_row(ods_text("a")))
    whole = parts["content.xml"]
    for end in range(0, len(whole), 7):
        parts["content.xml"] = whole[:end]
        refused(write(tmp_path / "x.ods", parts))


CELLS = st.one_of(
    st.text(
        st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"),
        max_size=12,
    ),
    st.booleans(),
    st.floats(-1e300, 1e300),
    st.dates(date(1900, 3, 1)),
    st.times().map(lambda each: each.replace(microsecond=0)),
)  # fmt: skip


def _written(cell: Cell) -> TableCell:
    match cell:
        case bool():
            return TableCell(valuetype="boolean", booleanvalue=str(cell).lower())
        case float():
            return TableCell(valuetype="float", value=repr(cell))
        case date():
            return TableCell(valuetype="date", datevalue=cell.isoformat())
        case time():
            return TableCell(valuetype="time", timevalue=cell.strftime("PT%HH%MM%SS"))
        case _:
            written = TableCell(valuetype="string")
            written.addElement(P(text=cell))
            return written


@given(st.lists(st.lists(CELLS, min_size=1, max_size=4), min_size=1, max_size=5))
def test_another_reader_finds_the_same_text_and_type_in_each_cell(
    tmp_path_factory: pytest.TempPathFactory, table: list[list[Cell]]
) -> None:
    document = OpenDocumentSpreadsheet()
    sheet = OdfTable(name="S")
    header: list[Cell] = ["key"]
    for cells in [header, *table]:
        row = TableRow()
        for cell in cells:
            row.addElement(_written(cell))
        sheet.addElement(row)
    document.spreadsheet.addElement(sheet)
    path = tmp_path_factory.mktemp("x") / "x.ods"
    document.save(str(path))
    ours = dict(rows_of(path, header_row=1))
    theirs = CalamineWorkbook.from_path(path).get_sheet_by_index(0).to_python(skip_empty_area=False)
    for number, values in enumerate(theirs[1:], start=2):
        assert _comparable(ours.get(number, ())) == _comparable(values)
    for number, cells in enumerate(table, start=2):
        assert _comparable(ours.get(number, ())) == _comparable(cells)


def _comparable(cells: Sequence[Cell]) -> list[tuple[bool, Cell]]:
    """Cells with their types, texts as they are shown."""
    shown = [
        " ".join(filter(None, each.split(" "))) if isinstance(each, str) else each for each in cells
    ]
    while shown and shown[-1] == "":
        shown.pop()
    if all(isinstance(each, str) and not each.strip() for each in shown):
        return []
    return [(isinstance(each, bool), each) for each in shown]


def test_a_refusal_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="damaged"):
        read(write(tmp_path / "x.ods", {**ods_parts(""), "content.xml": "<a>"}))
