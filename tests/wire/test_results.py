"""Results by the ending of `--results`, from a push and from the checkpoint."""

from __future__ import annotations

import json
import resource
import subprocess
from functools import partial
from pathlib import Path

import pytest
from openpyxl import load_workbook

from tests.conftest import Program, Sandboxes
from tests.helpers import command, environment, numbered, read_csv, write_sheet


def test_each_format_from_a_push_and_from_the_checkpoint(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", [*numbered(5), ("ext_5", "Loud", 9)])
    with sandboxes() as witness:
        ran = program(
            "push",
            sheet,
            "--base-url",
            witness.base_url,
            "--results",
            tmp_path / "r.xlsx",
            "--json",
        )
    assert (ran.code, ran.summary["results"]) == (3, str(tmp_path / "r.xlsx"))
    book = load_workbook(tmp_path / "r.xlsx")
    states = [row[2] for row in book["Results"].iter_rows(min_row=2, values_only=True)]
    assert states == ["updated"] * 5 + ["invalid"]
    summary = dict(book["Summary"].iter_rows(values_only=True))
    assert (summary["rows"], summary["updated"], summary["invalid"]) == (6, 5, 1)
    assert str(summary["bad_value: 1 row"]).startswith("rating 9: expected a rating from 1 to 5")
    assert str(summary["bad_value: 1 row"]).endswith("(row 7)")

    assert program("report", sheet, "--results", tmp_path / "r.jsonl").code == 0
    assert program("report", sheet, "--results", tmp_path / "r.csv").code == 0
    lines = [
        json.loads(line) for line in (tmp_path / "r.jsonl").read_text(encoding="ascii").splitlines()
    ]
    assert [line["state"] for line in lines] == states
    assert [str(line["row"]) for line in lines] == [
        row["row"] for row in read_csv(tmp_path / "r.csv")
    ]


def test_an_ending_that_says_nothing_is_wrong_usage_before_anything_is_sent(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(1))
    with sandboxes() as witness:
        ran = program(
            "push", sheet, "--base-url", witness.base_url, "--results", tmp_path / "r.txt"
        )
        assert not witness.journal()
    assert ran.code == 2
    assert "chooses the format, .csv, .jsonl or .xlsx; name it r.csv" in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]


@pytest.mark.slow  # a process under a limit
def test_a_workbook_that_does_not_fit_on_the_disk_leaves_the_one_before(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(300))
    report = ["report", sheet, "--results", tmp_path / "r.xlsx"]
    with sandboxes() as witness:
        assert program("push", sheet, "--base-url", witness.base_url).code == 0
    assert program(*report).code == 0
    before = (tmp_path / "r.xlsx").read_bytes()
    ended = subprocess.run(
        command(*report),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=partial(resource.setrlimit, resource.RLIMIT_FSIZE, (50_000, 50_000)),
        check=False,
    )
    assert (ended.returncode, ended.stderr.count("\n")) == (8, 1), ended.stderr
    assert "r.xlsx" in ended.stderr
    assert (tmp_path / "r.xlsx").read_bytes() == before
    assert not list(tmp_path.glob(".bulk-sync-*"))


def test_a_copy_of_the_sheet_is_corrected_and_pushed_and_costs_only_what_changed(
    program: Program, sandboxes: Sandboxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sheet = write_sheet(tmp_path / "x.csv", [("00123", "fine", 3), *numbered(3), ("ext_9", "", 9)])
    copy, edited = tmp_path / "x.results.xlsx", tmp_path / "x.results.edited.xlsx"
    with sandboxes() as witness:
        to = ("--base-url", witness.base_url, "--json")
        push = ("push", sheet, *to, "--with-cells", "--results", copy)
        assert program(*push).code == 3
        book = load_workbook(copy)
        results = book["Results"]
        (rating,) = (cell.column for cell in results[1] if cell.value == "rating")
        assert results.cell(6, rating).comment.text.startswith("rating: '9' is not a rating")
        results.cell(6, rating).value = 5
        book.save(copy)
        before = copy.read_bytes()

        checked = program("check", copy, "--base-url", witness.base_url, "--json").summary
        assert (checked["states"]["unchanged"], checked["states"]["pending"]) == (4, 1)
        ran = program("push", copy, *to)
        states = {state: count for state, count in ran.summary["states"].items() if count}
        assert states == {"updated": 1, "unchanged": 4}
        assert len(witness.patches()) == 5
        assert program("push", copy, *to).summary["requests"] <= 1  # users/me
        assert copy.read_bytes() == before
        # A later run of the sheet replaces its own copies, and no edited one.
        again = program(*push)
        assert f"it is kept as {edited}" in str(again.summary["notes"])
        assert program(*push).code == 3
    assert edited.read_bytes() == before
    assert len(list(tmp_path.glob("*.edited*"))) == 1


def test_cells_come_with_the_results_of_a_stream_and_of_a_report(
    program: Program, sandboxes: Sandboxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sheet = write_sheet(tmp_path / "in.csv", numbered(2))
    with sandboxes() as witness, sheet.open(encoding="utf-8") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        names = ("--checkpoint", "c.sqlite", "--results", "r.csv")
        assert (
            program("push", "-", "--base-url", witness.base_url, *names, "--with-cells").code == 0
        )
        (first, _) = read_csv(tmp_path / "r.csv")
        assert (first["unique_showing_key (2)"], first["feedback"]) == (
            "ext_0",
            "Liked it, number 0",
        )
        report = ("report", "c.sqlite", "--results", "r.csv")
        assert program(*report).code == 0
        assert "feedback" not in read_csv(tmp_path / "r.csv")[0]
        assert program(*report, "--with-cells", "--purge").code == 0
        assert read_csv(tmp_path / "r.csv")[0]["feedback"] == "Liked it, number 0"
        ran = program(*report, "--with-cells")
    assert "r.csv has no cells of the sheet: they were removed by --purge" in ran.out
    assert "feedback" not in read_csv(tmp_path / "r.csv")[0]


def test_a_text_that_no_workbook_holds_is_found_before_anything_is_sent(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", [("ext_1", "x" * 40_000, 3)])
    with sandboxes() as witness:
        options = ("--with-cells", "--results", tmp_path / "r.xlsx")
        ran = program("push", sheet, "--base-url", witness.base_url, *options)
        assert (ran.code, witness.patches()) == (2, [])
    assert "row 2 has a text that is too long for a workbook's cell" in ran.err


def test_results_of_a_night_keep_their_date_and_later_commands_find_them(
    program: Program, sandboxes: Sandboxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sheet = write_sheet(tmp_path / "x.csv", [*numbered(1), ("ext_9", "", 9)])
    named = ("--results", "x.{date}.csv", "--page", "x.{date}.html", "--json")
    with sandboxes() as witness:
        ran = program("push", sheet, "--base-url", witness.base_url, *named)
    assert ran.code == 3
    (results,) = tmp_path.glob("x.2*.csv")
    assert (ran.summary["results"], Path(ran.summary["page"]).suffix) == (results.name, ".html")
    assert "{date}" not in ran.summary["next"]  # failed rows get files of their own
    for later in ("status", "report"):
        again = program(later, sheet, *(named if later == "report" else ("--json",)))
        assert (again.summary["results"], again.summary["page"]) == (
            ran.summary["results"],
            ran.summary["page"],
        )
    assert len(list(tmp_path.glob("x.2*"))) == 2
    refused = program("push", sheet, "--sandbox", "--results", "x.{day}.csv")
    assert refused.code == 2
    assert "write {date} or {time}" in refused.err
