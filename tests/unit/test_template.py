"""`bulk-sync template`: what it makes is read without questions, whoever fills it in."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from bulk_sync.check.ages import FIRST_YEAR, LAST_YEAR
from bulk_sync.check.described import DESCRIBED
from bulk_sync.check.naming import TARGETS, plain
from bulk_sync.check.showing import FIELDS, INSTANTS, KEY_COLUMN
from bulk_sync.model.described import Described, Shape
from bulk_sync.model.own import NOTES_SHEET
from bulk_sync.model.summaries import CheckSummary
from bulk_sync.pipeline import check
from bulk_sync.report.written.empty_sheet import write_empty_sheet
from bulk_sync.settings.sheet import SheetSettings
from tests.conftest import Program
from tests.helpers import examples
from tests.unit.checking import patch

BY_FIELD = {one.field: one for one in DESCRIBED}
CHOSEN = [BY_FIELD[name] for name in (KEY_COLUMN, *FIELDS)]
Rows = Sequence[Mapping[str, Any]]


def judged(path: Path, show: int = 0) -> CheckSummary:
    return check(SheetSettings.of({"timezone": "UTC"}, input=path), show=show)


def fill(path: Path, rows: Rows) -> None:
    """Fill in a sheet as a person does, who leaves an empty row now and then."""
    if path.suffix == ".csv":
        with path.open("a", encoding="utf-8", newline="") as file:
            for row in rows:
                csv.writer(file).writerow(row.get(one.field) for one in CHOSEN)
                file.write("," * (len(CHOSEN) - 1) + "\r\n")
        return
    book = openpyxl.load_workbook(path)
    sheet = book.worksheets[0]
    for number, row in enumerate(rows):
        for place, one in enumerate(CHOSEN, start=1):
            if one.field in row:
                cell = sheet.cell(2 + 2 * number, place, row[one.field])
                # Spreadsheet programs give a new cell its column's format.
                cell.number_format = dimension(sheet, place).number_format
    book.save(path)


def dimension(sheet: Any, place: int) -> Any:
    """Return the format and width of a column; equal neighbours share one entry of the file."""
    return next(one for one in sheet.column_dimensions.values() if one.min <= place <= one.max)


def made(path: Path) -> Path:
    write_empty_sheet(path, CHOSEN)
    return path


def values_of(one: Described) -> st.SearchStrategy[Any]:
    """Return values as the drop-down, the format and the example of a column suggest them."""
    if one.shape is Shape.CHOICE:
        return st.sampled_from(one.choices)
    if one.shape is Shape.NUMBER:
        return st.integers(one.low, one.high)
    if one.shape is Shape.MOMENT:
        # One day, because check notes a start on another day than the showing's. Not midnight: a
        # day without its time is refused, and the workbook warns of it.
        return st.integers(1, 24 * 60 - 1).map(
            lambda minutes: datetime(2026, 3, 14) + timedelta(minutes=minutes)  # noqa: DTZ001
        )
    return st.just(one.example)


def in_order(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row whose showing does not end before it starts."""
    names = [name for name in ("showing_time_start", "showing_time_end") if name in row]
    return row | dict(zip(names, sorted(row[name] for name in names), strict=True))


ROWS = st.lists(
    st.fixed_dictionaries(
        {one.field: values_of(one) for one in CHOSEN if one.field in {"rating", "feedback"}},
        optional={
            one.field: values_of(one)
            for one in CHOSEN
            if one.field not in {KEY_COLUMN, "rating", "feedback"}
        },
    ),
    min_size=1,
    max_size=6,
)


def test_every_field_is_described_once_and_its_title_is_its_name() -> None:
    assert tuple(one.field for one in DESCRIBED) == TARGETS
    assert {one.field for one in DESCRIBED if one.shape is Shape.MOMENT} == set(INSTANTS)
    for one in DESCRIBED:
        assert plain(one.title) == plain(one.field)
        # The limits of Excel: 32 characters in a title of a message, 255 in its text and in a list.
        assert len(one.title) <= 32
        assert len(one.accepts) <= 255
        assert len(",".join(map(str, one.choices))) <= 255
    assert (FIRST_YEAR, LAST_YEAR) == (2000, 2099)  # as in the rule of the workbook


@pytest.mark.parametrize("one", [one for one in DESCRIBED if one.field in FIELDS], ids=str)
def test_examples_choices_and_bounds_are_values_that_check_takes(one: Described) -> None:
    bounds = (one.low, one.high) if one.shape is Shape.NUMBER else ()
    for value in (one.example, *one.choices, *bounds):
        assert one.field in patch(**{one.field: value})
        assert patch(**{one.field: str(value)}) == patch(**{one.field: value})
    # Each choice is another value.
    sent = {str(patch(**{one.field: value})) for value in one.choices}
    assert len(sent) == len(one.choices)


@settings(max_examples=examples(0.05), phases=[Phase.generate])
@given(ROWS)
def test_a_sheet_that_was_filled_in_is_read_without_questions(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("filled")
    keyed = [in_order(row) | {KEY_COLUMN: f"00{number}"} for number, row in enumerate(rows)]
    for name in ("s.xlsx", "s.csv"):
        path = made(folder / name)
        fill(path, keyed)
        found = judged(path, show=len(keyed))
        assert (found.rows, found.changes, found.problems) == (len(keyed), len(keyed), ())
        assert found.stopped is None
        # The zone is the caller's: no cell of a spreadsheet program has one.
        zone = "Assumed: times without an offset are in UTC"
        assumed = [one for one in found.assumptions if not one.startswith(zone)]
        assert not assumed, assumed
        assert not found.notes, found.notes
        assert [column.field for column in found.columns] == [one.field for one in CHOSEN]
        assert [key for key, _ in found.patches] == [row[KEY_COLUMN] for row in keyed]


@pytest.mark.parametrize("name", ["s.xlsx", "s.csv"])
def test_an_empty_sheet_has_no_rows(tmp_path: Path, name: str) -> None:
    found = judged(made(tmp_path / name))
    assert (found.rows, found.problems, found.assumptions) == (0, (), ())


def test_the_notes_are_never_taken_for_the_data(tmp_path: Path) -> None:
    path = made(tmp_path / "s.xlsx")
    fill(path, [{KEY_COLUMN: "SH-1", "rating": 4}])
    book = openpyxl.load_workbook(path)
    book.move_sheet(NOTES_SHEET, -1)
    book.save(path)
    found = judged(path)
    assert (found.understood.sheet, found.changes) == ("Showings", 1)
    assert not found.notes


def test_another_sheet_with_the_name_of_the_notes_is_named(tmp_path: Path) -> None:
    path = made(tmp_path / "s.xlsx")
    fill(path, [{KEY_COLUMN: "SH-1", "rating": 4}])
    book = openpyxl.load_workbook(path)
    book[NOTES_SHEET]["A1"] = "call them back"
    book.save(path)
    assert judged(path).notes == ("Sheet 'Showings' was read; the workbook also holds 'Notes'.",)


def test_the_columns_of_a_workbook_have_formats_widths_and_rules(tmp_path: Path) -> None:
    book = openpyxl.load_workbook(made(tmp_path / "s.xlsx"))
    sheet, notes = book.worksheets
    assert sheet.freeze_panes == "B2"
    assert sheet.max_row == 1
    rules = {str(one.sqref).rstrip("0123456789"): one for one in
             sheet.data_validations.dataValidation}  # fmt: skip
    rules = {name.partition("2:")[0]: one for name, one in rules.items()}
    for place, one in enumerate(CHOSEN, start=1):
        letter = openpyxl.utils.get_column_letter(place)
        column = dimension(sheet, place)
        assert column.width >= one.width
        wanted = {Shape.TEXT: "@", Shape.MOMENT: "yyyy-mm-dd hh:mm", Shape.NUMBER: "0"}
        assert column.number_format == wanted.get(one.shape, "General")
        rule = rules.get(letter)
        assert (rule is None) == (one.shape is Shape.TEXT)
        if one.shape is Shape.CHOICE:
            assert rule is not None
            assert rule.formula1 == '"' + ",".join(map(str, one.choices)) + '"'
        if one.shape is Shape.MOMENT:
            assert rule is not None
            assert re.findall(rf"{letter}2(?:>=|<)(\d+)", rule.formula1) == ["36526", "73051"]
    shown = [[cell.value for cell in row] for row in notes.iter_rows(min_row=2)]
    for one, line in zip(CHOSEN, shown, strict=False):
        assert f"({one.field})" in line[0]
        assert line[1:] == [one.meaning, one.accepts, str(one.example)]


def test_days_of_the_rule_are_those_that_check_takes() -> None:
    from openpyxl.utils.datetime import from_excel

    assert from_excel(36526).replace(tzinfo=UTC) == datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)
    assert from_excel(73051).replace(tzinfo=UTC) == datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("name", ["s.xlsx", "s.csv"])
def test_no_file_is_replaced_not_even_an_earlier_sheet(
    tmp_path: Path, program: Program, name: str
) -> None:
    path = tmp_path / name
    assert program("template", path).code == 0
    before = path.read_bytes()
    again = program("template", path)
    assert (again.code, path.read_bytes()) == (8, before)
    assert "exists already, and may be filled in" in again.err
    path.write_bytes(b"")
    assert program("template", path).code == 0
    assert program("template", tmp_path).code in {2, 8}
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_the_columns_are_chosen_by_name_and_the_address_comes_first(
    tmp_path: Path, program: Program
) -> None:
    for number, (fields, header) in enumerate((
        ("rating,feedback", "Unique showing key,Rating,Feedback"),
        ("Rating, unique showing key ,rating", "Unique showing key,Rating"),
        ("feedback,id", "Showing ID,Feedback"),
        ("report_id,title", "Unique showing key,Report ID,Title"),
    )):  # fmt: skip
        path = tmp_path / f"{number}.csv"
        assert program("template", path, "--fields", fields).code == 0
        assert path.read_text(encoding="utf-8").splitlines() == [header]
    for wrong, said in (("ratng", "did you mean rating"), ("", "none"), ("report_id", "none")):
        refused = program("template", tmp_path / "x.csv", "--fields", wrong)
        assert refused.code == 2
        assert said in refused.err
    assert program("template", tmp_path / "x.jsonl").code == 2
    assert not [one for one in tmp_path.iterdir() if one.name.startswith("x")]
