"""Profiles that make cells: what a changed one sends, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Program, Sandboxes
from tests.faultserver import all_good, fault_server
from tests.helpers import read_csv, write_sheet

HEADER = ("MLS", "Date", "First", "Last", "Rating")
ROWS = [
    ("0017", "3/14/2026", "Ana", "Example", "Hot"),
    ("0018", "3/15/2026", "", "Example", "Cold"),
    ("0019", "3/16/2026", "Bo", "", "4"),
]
PROFILE = """
[map]
Date = ""
[dates]
timezone = "America/Chicago"
order = "mdy"
[fields.rating.values]
Hot = 5
Cold = {cold}
[fields.event_type]
constant = "showing"
[fields.attendee_name]
from = "{{First}} {{Last}}"
[fields.unique_showing_key]
from = "{{MLS}}-{{Date:YYYYMMDD}}"
"""


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    return write_sheet(tmp_path / "x.csv", ROWS, HEADER)


def profile(folder: Path, cold: int = 1) -> Path:
    path = folder / "p.toml"
    path.write_text(PROFILE.format(cold=cold), encoding="utf-8")
    return path


def test_a_changed_profile_sends_the_rows_whose_patch_it_changes(
    program: Program, sheet: Path, tmp_path: Path
) -> None:
    write_sheet(sheet, [*ROWS, ("0020", "", "X", "Y", "Hot")], HEADER)  # keeps the job open
    with fault_server(all_good) as journal:
        to = ("push", sheet, "--base-url", journal.base_url, "--profile", profile(tmp_path))
        assert program(*to).code == 3
        assert sorted(journal.patched) == ["0017-20260314", "0018-20260315", "0019-20260316"]
        assert program(*to).code == 3
        assert len(journal.patched) == 3
        profile(tmp_path, cold=2)
        assert program(*to).code == 3
    assert journal.patched[3:] == ["0018-20260315"]
    (failed,) = read_csv(tmp_path / "x.failed.csv")
    assert "Date is blank, and unique_showing_key is made of it" in failed["error"]


def test_the_failed_rows_keep_the_meaning_of_the_profile_without_it(
    program: Program, sandboxes: Sandboxes, sheet: Path, tmp_path: Path
) -> None:
    write_sheet(sheet, [*ROWS, ("0020", "3/17/2026", "X", "Y", "Lukewarm")], HEADER)
    failed = tmp_path / "x.failed.csv"
    with sandboxes() as witness:
        to = ("--base-url", witness.base_url)
        assert program("push", sheet, *to, "--profile", profile(tmp_path)).code == 3
        again = program("push", failed, *to, "--max-problems", "100%", "--out", tmp_path / "o")
        assert again.code == 3  # refused again, until somebody changes it
        text = failed.read_text(encoding="utf-8")
        failed.write_text(text.replace("X,Y,Lukewarm", "X,Y,hot"), encoding="utf-8")
        assert program("push", failed, *to).code == 0
        assert witness.showing("0020-20260317")["rating"] == 5
        assert witness.showing("0020-20260317")["attendee_name"] == "X Y"


def test_an_undo_file_is_not_read_with_the_profile(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    rows = [("A", "1"), ("B", "2")]
    sheet = write_sheet(tmp_path / "x.csv", rows, ("Showing key", "Title"))
    settings = tmp_path / "p.toml"
    settings.write_text(
        '[fields.title.values]\n1 = "one"\none = "1"\n[fields.feedback]\nconstant = "seen"\n'
    )
    undo = tmp_path / "undo.csv"
    with sandboxes() as witness:
        to = ("--base-url", witness.base_url, "--profile", settings)
        assert program("push", sheet, *to).code == 0
        assert witness.showing("A")["title"] == "one"
        write_sheet(sheet, [("A", "x"), ("B", "2")], ("Showing key", "Title"))
        assert program("push", sheet, *to, "--undo-file", undo).code == 0
        ran = program("push", undo, *to)
        assert ran.code == 0
        assert "Not applied: the values of the profile, the constants of the profile" in ran.out
        assert witness.showing("A")["title"] == "one"


def test_reconcile_reads_the_export_without_the_rules_for_our_cells(
    program: Program, sheet: Path, tmp_path: Path
) -> None:
    export = write_sheet(
        tmp_path / "export.csv",
        [
            ("0017-20260314", "Ana Example", 5, "showing"),
            ("0018-20260315", "Example", 1, "showing"),
            ("0019-20260316", "Bo", 4, "open_house"),
        ],
        ("unique_showing_key", "attendee_name", "rating", "event_type"),
    )
    to = ("reconcile", sheet, "--with", export, "--profile", profile(tmp_path), "--json")
    found = program(*to).summary
    assert found["classes"]["same"] == 2
    assert found["fields"] == {"event_type": 1}
