"""Nothing that is written for a spreadsheet program becomes a formula there, and all of it is read
back as it was.
"""

from __future__ import annotations

import csv
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook

from bulk_sync.model.inert import (
    are_like_formulas,
    exact,
    inert,
    inert_cell,
    is_like_a_formula,
)
from bulk_sync.model.rows import Cell, CellError, Formatted, Problem, Result
from bulk_sync.recognise import Output
from bulk_sync.report.written.failed import write_failed
from bulk_sync.report.written.workbook import write_workbook
from bulk_sync.run.own_files import source_of
from bulk_sync.run.sheet import open_sheet
from bulk_sync.settings.meaning import Meaning
from bulk_sync.settings.reading import Reading
from tests.unit.test_own_files import HEADERS, failed_file, meant, read, result_of

SIGNS = "=+-@\uff1d\uff0b\uff0d\uff20"
FORMULAS = [
    *(f"{sign}1" for sign in SIGNS),
    *("\t1", "\r1", "\n1", " =1", "\u00a0 =1", '"=1"', "'=1", "''=1", "\u200b=1", "\ufeff+1"),
    *("=cmd|'/C calc'!A0", '@SUM(1)*cmd|"/C calc"!A0', '=HYPERLINK("http://example.com")'),
    *("-2+3+cmd|' /C calc'!A0", "+1 (555) 555-0100", "+15550100", "-", "\u201c=1\u201d"),
]
NO_FORMULAS = ["", "a=1", "1+1", "'00123", "it's", "n/a", "5", "(555) 555-0100", "{=1}"]
texts = st.one_of(
    st.sampled_from(FORMULAS + NO_FORMULAS),
    st.text(st.sampled_from("'\"= +-@\t\r\na1\uff1d\u200b"), max_size=5),
    st.text(max_size=5),
)


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_gets_an_apostrophe(text: str) -> None:
    assert is_like_a_formula(text)
    assert inert(text) == f"'{text}"


@pytest.mark.parametrize("text", NO_FORMULAS)
def test_any_other_text_stays(text: str) -> None:
    assert inert(text) == exact(text) == text


@given(st.lists(texts | st.sampled_from(["", "a", "7", "\u0661", "=1", "'=1"]), max_size=4))
def test_texts_are_like_formulas_when_one_of_them_is(some: list[str]) -> None:
    assert are_like_formulas(some) is any(is_like_a_formula(text) for text in some)


@given(texts)
def test_what_is_written_is_read_back_and_is_no_formula(text: str) -> None:
    written = inert(text)
    assert exact(written) == text
    assert written[:1] not in {*SIGNS, "\t", "\r", "\n"}
    assert written.lstrip()[:1] not in {*SIGNS}


@pytest.mark.parametrize("cell", [-5, -0.5, 3, True])
def test_a_number_is_no_formula(cell: Cell) -> None:
    assert not inert_cell(cell).startswith("'")


@pytest.mark.parametrize(
    "cell", [Formatted(15550100.0, "+0", "+15550100"), CellError("=1"), "-5"], ids=str
)
def test_what_a_cell_shows_may_be_one(cell: Cell) -> None:
    assert inert_cell(cell).startswith("'")


cells = st.tuples(*[texts.filter(lambda text: "\0" not in text)] * len(HEADERS))


@given(st.lists(cells, min_size=1, max_size=4), st.booleans())
def test_failed_rows_are_inert_and_mean_the_same(
    table: list[tuple[str, ...]], is_entered_again: bool
) -> None:
    """Also where a spreadsheet program took the apostrophe for its own sign of a text."""
    table = [tuple(text.encode(errors="replace").decode() for text in row) for row in table]
    with TemporaryDirectory() as folder:
        path = Path(folder, "x.failed.csv")
        found = failed_file(Path(folder), table, Meaning())
        with path.open(encoding="utf-8", newline="") as file:
            lines = list(csv.reader(file))
        assert not [cell for line in lines for cell in line if is_like_a_formula(cell[:1])]
        if is_entered_again:
            with path.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([map(exact, line) for line in lines])
        again = read(path, Meaning(), {})
    assert [meant(row) for row in again] == [meant(row) for row in found]


def test_an_edited_cell_keeps_no_apostrophe(tmp_path: Path) -> None:
    row = ("sh-1", "fine", "26", "", "", "", "+1 555 555-0100")
    failed_file(tmp_path, [row], Meaning())
    path = tmp_path / "x.failed.csv"
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text.replace("'+1 555 555-0100", "'+1 555 555-0199", 1).replace(",26,", ",4,", 1),
        encoding="utf-8",
    )
    (found,) = read(path, Meaning(), {})
    assert not isinstance(found, Problem), found.reasons
    assert '"+1 555 555-0199"' in found.body


def test_a_header_that_looks_like_a_formula_keeps_its_column(tmp_path: Path) -> None:
    headers = ("=1+1", "unique_showing_key", "rating")
    meaning = Meaning(map={"=1+1": "feedback"})
    sheet = tmp_path / "x.csv"
    with sheet.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([headers, ["=2+2", "sh-1", "5"]])
    (row,) = read(sheet, meaning, {})
    assert not isinstance(row, Problem)
    with open_sheet(Reading(input=sheet), meaning) as opened:
        source = source_of(opened.mapping, meaning, None)
    path = tmp_path / "x.failed.csv"
    results: list[Result] = [result_of(row)]
    write_failed(path, headers, results, source)
    assert path.read_text(encoding="utf-8").startswith("'=1+1,")
    (again,) = read(path, Meaning(), {})
    assert meant(again) == meant(row)


@pytest.mark.parametrize("text", FORMULAS)
def test_in_a_workbook_it_is_text_that_stays_text_when_it_is_edited(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "x.xlsx"
    write_workbook(
        path,
        Output.REPORT,
        ["state", text],
        [["failed", text]],
        [("input", text)],
        coloured="state",
    )
    book = load_workbook(path)
    for cell in (book["Results"]["B1"], book["Results"]["B2"], book["Summary"]["B1"]):
        assert (cell.data_type, cell.hyperlink) == ("s", None)
    for cell in (book["Results"]["B2"], book["Summary"]["B1"]):
        assert cell.quotePrefix
    plain = book["Results"]["A2"]
    assert (plain.value, plain.quotePrefix) == ("failed", False)
