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
from bulk_sync.read import delimited, encoding
from bulk_sync.read.files import open_table
from bulk_sync.read.interface import ReadOptions
from tests.unit.workbooks import recognise

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
