"""How much of a file is held at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bulk_sync.errors import InputError
from bulk_sync.job import staged
from bulk_sync.job.staged import MAX_GROUP_CHARACTERS
from bulk_sync.job.store import Store
from bulk_sync.model.problems import Expected, Reason
from bulk_sync.model.rows import Problem, Record, Row
from bulk_sync.read import bounds, delimited, encoding
from bulk_sync.read.books.ods import sink
from bulk_sync.read.books.xlsx import styles
from bulk_sync.read.bounds import LONGEST_KNOWN, MOST_KNOWN, remember
from bulk_sync.read.files import open_table
from bulk_sync.read.interface import ReadOptions
from tests.unit.workbooks import (
    ods_parts,
    ods_row,
    ods_text,
    recognise,
    refused,
    rows_of,
    write,
    xlsx_parts,
)

XLSX_HEADER = (
    '<row r="1"><c t="inlineStr"><is><t>unique_showing_key</t></is></c>'
    '<c t="inlineStr"><is><t>feedback</t></is></c></row>'
)
ODS_HEADER = ods_row(ods_text("unique_showing_key"), ods_text("feedback"))

LONG = "a" * 900_000


def long_rows(count: int) -> Iterator[Record | Problem]:
    for number in range(2, 2 + count):
        row = Row(number, (f"k{number}", LONG))
        if number % 3 == 0:
            facts = {"known": [LONG]}
            yield Problem(row, "", "bad_key", (Reason(Expected.KEY, facts=facts),), "k")
        elif number % 3 == 1:
            yield Problem(row, "", "bad_key", (Reason(Expected.KEY),), LONG)
        else:
            yield Record(row, f"k{number}", f'"{LONG}"', "d", ("feedback",), "k")


@pytest.mark.parametrize("keep_cells", [True, False])
def test_rows_are_written_in_groups_of_bounded_length(
    keep_cells: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever column has the text: cells, patch, key or reasons."""
    groups = []
    insert = staged.StagedRows._insert

    def counting(self: staged.StagedRows, group: list[tuple[object, ...]]) -> None:
        groups.append(sum(len(cell) for row in group for cell in row if isinstance(cell, str)))
        insert(self, group)

    monkeypatch.setattr(staged.StagedRows, "_insert", counting)
    with Store.scratch() as store:
        store.staged.stage(long_rows(30), keep_cells=keep_cells)
    assert sum(groups) > 4 * MAX_GROUP_CHARACTERS
    assert max(groups) <= MAX_GROUP_CHARACTERS + 4 * len(LONG)


def refusal(path: Path) -> str:
    with (
        pytest.raises(InputError) as refused,
        open_table(path, ReadOptions(recognise=recognise)) as table,
    ):
        list(table.rows())
    return str(refused.value)


@pytest.fixture
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "MAX_ROW_CHARACTERS", 200_000)
    monkeypatch.setattr(encoding, "MAX_LINE_CHARACTERS", 300_000)


@pytest.mark.usefixtures("small_bounds")
def test_a_line_that_is_too_long_is_named_before_it_is_held(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("unique_showing_key,rating\nk1,5\n" + "k2" + ",a" * 400_000)
    assert "line 3 has more than" in refusal(path)
    path.write_text("unique_showing_key,rating\nk1,5\n" + "k2," + "a" * 190_000 + "\nk3,5\n")
    with open_table(path, ReadOptions(recognise=recognise)) as table:
        assert [row.number for row in table.rows()] == [2, 3, 4]


@pytest.mark.usefixtures("small_bounds")
def test_a_row_of_many_lines_is_bounded_as_one(tmp_path: Path) -> None:
    """Each of its cells may be short enough; the parser keeps them all until the row ends."""
    path = tmp_path / "x.csv"
    cell = '"' + "line\n" * 1000 + '"'
    path.write_text("unique_showing_key,rating\nk1,5\nk2," + ",".join([cell] * 400) + "\nk3,5\n")
    assert "row 3 (from line 3 of the file) has more than 200,000 characters" in refusal(path)


@pytest.mark.usefixtures("small_bounds")
def test_many_rows_of_many_lines_are_no_long_row(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    cell = '"' + "line\n" * 200 + '"'
    rows = "".join(f"k{number},{cell}\n" for number in range(1000))
    path.write_text("unique_showing_key,feedback\n" + rows)
    options = ReadOptions(recognise=recognise, multiline_cells=True)
    with open_table(path, options) as table:
        assert sum(1 for _ in table.rows()) == 1000


def test_a_row_of_too_many_cells_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("unique_showing_key,rating\nk1,5\nk2" + "," * 20_000 + "\n")
    assert "row 3 has 20,001 cells; a sheet has at most 16,384 columns" in refusal(path)


# Workbooks: a few bytes may claim much.


def test_cells_that_share_a_long_text_are_counted_as_often_as_they_have_it(tmp_path: Path) -> None:
    data = XLSX_HEADER + '<row r="2">' + '<c t="s"><v>0</v></c>' * 17 + "</row>"
    parts = xlsx_parts(data, f"<si><t>{'x' * 2**20}</t></si>")
    message = refused(write(tmp_path / "x.xlsx", parts))
    assert "row 2 has cells of more than 16,777,216 characters together" in message


def test_a_long_text_that_a_column_repeats_is_counted_as_often(tmp_path: Path) -> None:
    cell = ods_text("x" * 10_000, ' table:number-columns-repeated="16000"')
    parts = ods_parts(ODS_HEADER + ods_row(ods_text("k1"), cell))
    assert "characters together" in refused(write(tmp_path / "x.ods", parts))


def test_the_characters_of_repeated_rows_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink, "MAX_REPEATED_CHARACTERS", 100_000)
    row = ods_row(ods_text("k1"), ods_text("x" * 98))
    for repeats, is_read in (("1001", True), ("1002", False)):
        data = row.replace(
            "<table:table-row", f'<table:table-row table:number-rows-repeated="{repeats}"'
        )
        path = write(tmp_path / "x.ods", ods_parts(ODS_HEADER + data))
        if is_read:
            assert len(rows_of(path)) == 1001
        else:
            assert "its repeated rows, up to row 1003, have more than" in refused(path)


def test_blanks_that_are_claimed_by_a_count_are_bounded_for_all_rows_that_are_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink, "MAX_BLANKS", 50_000)
    cell = ods_text('x<text:s text:c="9000"/>x')
    few = ods_parts(ODS_HEADER + ods_row(ods_text("k1"), cell) * 5)
    many = ods_parts(ODS_HEADER + ods_row(ods_text("k1"), cell) * 6)
    assert len(rows_of(write(tmp_path / "few.ods", few))) == 5
    assert "blanks that are written as a count" in refused(write(tmp_path / "many.ods", many))


@pytest.mark.parametrize("tag", ["is", "v"])
def test_a_row_is_bounded_while_its_cells_are_read(
    tag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exact reader keeps the cells of a row until it ends."""
    monkeypatch.setattr("bulk_sync.read.books.xlsx.cells.MAX_ROW_CHARACTERS", 50_000)
    text = "x" * 10_000
    inside = f"<is><r><t>{text}</t></r></is>" if tag == "is" else f"<v>{text}<!-- --></v>"
    kind = "inlineStr" if tag == "is" else "str"
    data = XLSX_HEADER + '<row r="2">' + f'<c t="{kind}">{inside}</c>' * 6 + "</row>"
    message = refused(write(tmp_path / "x.xlsx", xlsx_parts(data)))
    assert "row 2 of it has more than 50,000 characters" in message


def test_a_number_is_judged_by_its_length_before_it_is_parsed(tmp_path: Path) -> None:
    for digits, is_read in ((255, True), (256, False)):
        number = "0." + "0" * (digits - 2)
        data = XLSX_HEADER + f'<row r="2"><c><v>{number}</v></c></row>'
        path = write(tmp_path / "x.xlsx", xlsx_parts(data))
        if is_read:
            assert rows_of(path) == [(2, (0.0,))]
        else:
            assert "should hold a number" in refused(path)


def test_only_styles_that_a_cell_has_are_read() -> None:
    codes = {200 + number: f"0.{'0' * (number % 20)}" for number in range(1000)}
    converters = styles.Converters(list(codes), codes, is_1904=False)
    assert len(converters) == 1000
    assert converters[7] is converters[7]
    assert list(converters._known) == [207]


def test_what_is_remembered_by_a_text_is_bounded_in_characters() -> None:
    known: dict[str, int] = {}
    for number in range(2 * MOST_KNOWN):
        remember(known, f"{number}", number)
    assert len(known) <= MOST_KNOWN
    remember(known, "x" * (LONGEST_KNOWN + 1), 1)
    assert max(map(len, known)) <= LONGEST_KNOWN
    assert bounds.MOST_KNOWN * bounds.LONGEST_KNOWN <= 20_000_000
