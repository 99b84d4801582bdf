"""Results in each format say the same, and nothing in them acts."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from openpyxl import load_workbook

from bulk_sync.errors import UsageError
from bulk_sync.model.inert import inert
from bulk_sync.model.own import RESULT_COLUMNS as COLUMNS
from bulk_sync.model.rows import Result, State
from bulk_sync.report.written.lines import refuse_too_many, refuse_unknown_kind
from bulk_sync.report.written.results import Recorded, write_results
from tests.helpers import examples

ONE = Result(
    number=2,
    cells=("ext_1", "Bright"),
    target="ext_1",
    key="ext_1",
    state=State.UPDATED,
    may_have_been_applied=False,
    http_status=200,
    attempts=1,
    error=None,
    message=None,
    fields="feedback",
    showing_id="6f1c",
    updated_at="2026-03-02T09:00:00.000Z",
    sent_at="2026-03-02T09:00:00.000+00:00",
    duration_ms=12,
)


def line_of(row: Result) -> Recorded:
    line = tuple(getattr(row, _FIELDS.get(name, name)) for name in COLUMNS)
    return line, row.reasons, row.given_up, row.may_have_been_applied, row.echoes


_FIELDS = {"row": "number", "unique_showing_key": "key"}
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def in_workbook(path: Path, sheet: str = "Results") -> list[tuple[object, ...]]:
    book = load_workbook(path)
    for row in book[sheet].iter_rows():
        assert all(cell.data_type != "f" and cell.hyperlink is None for cell in row)
    return [tuple(row) for row in book[sheet].iter_rows(values_only=True)]


def in_json(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n") if line]


@pytest.mark.parametrize(
    ("state", "message", "doubt", "full"),
    [
        (State.FAILED, "time-out", True, "time-out; it may have been applied"),
        (State.FAILED, "time-out", False, "time-out"),
        (State.REJECTED, "no", True, "no; an earlier attempt may have been applied"),
        (
            State.PENDING,
            None,
            True,
            (
                "In flight when a run was cut off or a response was lost: "
                "it may have been applied; run again"
            ),
        ),
        (State.PENDING, None, False, None),
        # The API's own words decide nothing.
        (State.REJECTED, "it may have been applied", False, "it may have been applied"),
    ],
)
def test_the_message_says_what_may_have_been_applied_when_the_checkpoint_notes_it(
    tmp_path: Path, state: State, message: str | None, full: str | None, *, doubt: bool
) -> None:
    row = replace(ONE, state=state, message=message, may_have_been_applied=doubt)
    write_results(tmp_path / "x.jsonl", [line_of(row)])
    (line,) = in_json(tmp_path / "x.jsonl")
    assert line["message"] == full
    assert list(line) == list(COLUMNS)


def test_the_three_formats_hold_the_same_rows_in_the_same_order(tmp_path: Path) -> None:
    failed = replace(
        ONE, number=3, state=State.FAILED, error="timeout", message="No answer", http_status=None
    )
    for ending in ("csv", "jsonl", "xlsx"):
        write_results(tmp_path / f"x.{ending}", [line_of(ONE), line_of(failed)], [("rows", 2)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.csv", "x.jsonl", "x.xlsx"]
    with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as file:
        texts = list(csv.DictReader(file))
    lines = in_json(tmp_path / "x.jsonl")
    header, *cells = in_workbook(tmp_path / "x.xlsx")
    assert header == COLUMNS
    assert [dict(zip(COLUMNS, row, strict=True)) for row in cells] == lines
    assert [
        {name: "" if value is None else str(value) for name, value in line.items()}
        for line in lines
    ] == texts
    assert (lines[1]["error"], lines[1]["http_status"], lines[1]["row"]) == ("timeout", None, 3)


def test_a_workbook_has_a_frozen_header_a_filter_colours_and_a_summary(tmp_path: Path) -> None:
    rows = [replace(ONE, number=place, state=state) for place, state in enumerate(State, start=2)]
    write_results(tmp_path / "x.xlsx", map(line_of, rows), [("input", "=1+1"), ("rows", 7)])
    book = load_workbook(tmp_path / "x.xlsx")
    sheet = book["Results"]
    assert sheet.freeze_panes == "C2"
    assert sheet.auto_filter.ref == f"A1:L{len(State) + 1}"
    colours = [sheet.cell(place, 3).fill.start_color.rgb for place in range(2, 9)]
    assert len(set(colours)) >= 6
    assert "00000000" not in colours
    assert in_workbook(tmp_path / "x.xlsx", "Summary") == [("input", "=1+1"), ("rows", 7)]


@given(TEXTS, TEXTS)
def test_hostile_text_is_text_in_json_and_in_a_workbook(
    tmp_path_factory: pytest.TempPathFactory, key: str, message: str
) -> None:
    folder = tmp_path_factory.mktemp("results")
    row = replace(ONE, key=key, message=message)
    write_results(folder / "x.jsonl", [line_of(row)])
    write_results(folder / "x.xlsx", [line_of(row)])
    (line,) = in_json(folder / "x.jsonl")
    assert (line["unique_showing_key"], line["message"]) == (key, message)
    assert len(in_workbook(folder / "x.xlsx")) == 2


@pytest.mark.parametrize(
    "text",
    [
        "=HYPERLINK(A1)",
        "http://example.com",
        "mailto:a@example.com",
        "internal:Sheet!A1",
        "{=1}",
        "0012",
        "1e3",
    ],
)
def test_no_text_becomes_a_formula_a_link_or_a_number(tmp_path: Path, text: str) -> None:
    write_results(tmp_path / "x.xlsx", [line_of(replace(ONE, key=text, message=text))])
    assert in_workbook(tmp_path / "x.xlsx")[1][1] == text


def test_a_text_longer_than_a_cell_is_cut_in_the_workbook_and_whole_elsewhere(
    tmp_path: Path,
) -> None:
    row = replace(ONE, message="x" * 40_000)
    write_results(tmp_path / "x.xlsx", [line_of(row)])
    write_results(tmp_path / "x.jsonl", [line_of(row)])
    cell = in_workbook(tmp_path / "x.xlsx")[1][COLUMNS.index("message")]
    assert isinstance(cell, str)
    assert (len(cell), cell[-4:]) == (32_767, "x...")
    assert in_json(tmp_path / "x.jsonl")[0]["message"] == "x" * 40_000


def test_names_that_say_no_format_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for good in ("x.csv", "x.JSONL", "x.xlsx"):
        refuse_unknown_kind(tmp_path / good)
    for bad in ("x", "x.txt", "x.xls"):
        with pytest.raises(UsageError, match=r"\.csv, \.jsonl or \.xlsx"):
            refuse_unknown_kind(tmp_path / bad)
    refuse_too_many(tmp_path / "x.csv", 2_000_000)
    refuse_too_many(tmp_path / "x.xlsx", 1_048_575)
    with pytest.raises(UsageError, match="1,048,575 rows"):
        refuse_too_many(tmp_path / "x.xlsx", 1_048_576)
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    with pytest.raises(UsageError, match='its extra "xlsx"'):
        refuse_unknown_kind(tmp_path / "x.xlsx")


@settings(max_examples=examples(2))
@given(
    texts=st.lists(
        st.text(
            st.sampled_from("a= ,\"\r\n'\0é;\t") | st.characters(exclude_categories=["Cs"]),
            max_size=5,
        ),
        min_size=12,
        max_size=12,
    )
)
def test_a_csv_is_as_the_csv_module_writes_it(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    path, expected = tmp_path_factory.mktemp("results") / "x.csv", io.StringIO(newline="")
    write_results(path, [(texts, (), None, False, ())])
    csv.writer(expected, lineterminator="\r\n").writerows([COLUMNS, map(inert, texts)])
    assert path.read_bytes().decode() == expected.getvalue()
