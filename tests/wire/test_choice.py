"""Pushes of some rows of a sheet, and what they leave of the others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Program, Sandboxes
from tests.faultserver import all_good, always, fault_server, for_keys, refuses
from tests.helpers import Ran, read_csv, write_sheet

HEADER = ("Showing Key", "Rating", "Status")
ROWS = [(f"K{number}", number % 5 + 1, "Open" if number % 2 else "Done") for number in range(2, 12)]


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    """Rows 2 to 11, each with the key K and its number."""
    return write_sheet(tmp_path / "x.csv", ROWS, HEADER)


def counted(ran: Ran) -> dict[str, int]:
    """Return the states of a summary, without those that no row has."""
    return {state: count for state, count in ran.summary["states"].items() if count}


def states(sheet: Path) -> dict[str, str]:
    lines = read_csv(sheet.with_name("x.results.csv"))
    return {line["unique_showing_key"]: line["state"] for line in lines}


def test_choices_one_after_the_other_send_what_one_push_sends(
    program: Program, sheet: Path
) -> None:
    with fault_server(all_good) as journal:
        to = ("push", sheet, "--base-url", journal.base_url, "--json")
        one = program(*to, "--rows", "2-4,6").summary
        assert (one["rows"], one["left_out"], one["exit_code"]) == (4, 6, 0)
        assert sorted(journal.patched) == ["K2", "K3", "K4", "K6"]
        lines = read_csv(sheet.with_name("x.results.csv"))
        assert [line["row"] for line in lines] == [str(number) for number in range(2, 12)]
        assert lines[3]["state"] == "pending"
        assert "left out by choice" in lines[3]["message"]
        two = program(*to, "--where", "Status=open")
        assert (counted(two), two.summary["left_out"]) == ({"updated": 5}, 5)
        assert [key for key, state in states(sheet).items() if state == "pending"] == ["K8", "K10"]
        before = len(journal.patched)
        assert counted(program(*to, "--rows", "2-7")) == {"updated": 6}
        assert len(journal.patched) == before
        rest = program(*to)
        assert (counted(rest), rest.summary["left_out"]) == ({"updated": 10}, 0)
    assert sorted(journal.patched) == sorted(key for key, *_ in ROWS)


def test_a_row_that_was_refused_stays_known_while_others_are_taken(
    program: Program, sheet: Path
) -> None:
    with fault_server(for_keys({"K3": always(refuses(422, "Too early"))})) as journal:
        to = ("push", sheet, "--base-url", journal.base_url, "--json")
        assert program(*to, "--rows", "2-4").code == 3
        assert program(*to, "--rows", "8").code == 0
        assert states(sheet)["K3"] == "rejected"
        (failed,) = read_csv(sheet.with_name("x.failed.csv"))
        assert failed["Showing Key"] == "K3"
        status = program("status", sheet, "--json").summary
        assert (status["rows"], status["left_out"]) == (1, 9)
        assert counted(program(*to)) == {"rejected": 1, "updated": 9}
    assert journal.patched.count("K3") == 2
    assert len(journal.patched) == len(ROWS) + 1


def test_a_choice_follows_key_and_content_when_the_sheet_was_sorted_and_edited(
    program: Program, sheet: Path
) -> None:
    with fault_server(all_good) as journal:
        to = ("push", sheet, "--base-url", journal.base_url, "--json")
        assert program(*to, "--rows", "2-4").code == 0
        edited = [(key, 5 if key == "K3" else rating, status) for key, rating, status in ROWS]
        write_sheet(sheet, edited[::-1], HEADER)
        found = program(*to, "--rows", "2-3").summary
        assert (found["rows"], found["left_out"]) == (2, 8)
        assert journal.patched[3:] == ["K11", "K10"]
        assert states(sheet) == {
            key: "updated" if key in {"K2", "K4", "K10", "K11"} else "pending"
            for key, *_ in edited[::-1]
        }


def test_of_another_sheet_over_a_finished_job_all_rows_are_sent_by_choice_or_not(
    program: Program, sheet: Path
) -> None:
    with fault_server(all_good) as journal:
        to = ("push", sheet, "--base-url", journal.base_url, "--json")
        assert program(*to).code == 0
        write_sheet(sheet, [("K2", 1, "Open"), *ROWS[1:]], HEADER)
        assert program(*to, "--rows", "2-3").summary["requests"] == 3  # one is users/me
        assert states(sheet) == {key: "updated" for key, *_ in ROWS}
        assert program(*to).code == 0
    assert sorted(journal.patched[len(ROWS) :]) == sorted(key for key, *_ in ROWS)


def test_a_finished_job_stays_finished_whichever_rows_are_taken(
    program: Program, sheet: Path
) -> None:
    with fault_server(all_good) as journal:
        to = ("push", sheet, "--base-url", journal.base_url, "--json")
        assert program(*to).code == 0
        for options in (("--rows", 5), ("--limit", 2), ("--where", "Status=Done"), ()):
            assert program(*to, *options).code == 0
    assert len(journal.patched) == len(ROWS)


def test_a_twin_that_is_left_out_still_counts(program: Program, tmp_path: Path) -> None:
    rows = [
        ("A", 1, "Open"),
        ("A", 2, "Done"),
        ("B", 3, "Open"),
        ("B", 3, "Done"),
        ("C", 4, "Done"),
    ]
    sheet = write_sheet(tmp_path / "x.csv", rows, HEADER)
    with fault_server(all_good) as journal:
        to = ("push", sheet, "--base-url", journal.base_url, "--json", "--max-problems", "100%")
        ran = program(*to, "--where", "Status=Done")
        assert (ran.code, sorted(journal.patched)) == (3, ["B", "C"])
        (bad,) = read_csv(tmp_path / "x.failed.csv")
        assert "row 2 (left out by choice) has the same showing with diff" in bad["error"]
        last = program(*to, "--rows", 2, "--on-duplicate", "last")
        assert (last.code, counted(last)) == (0, {"superseded": 1})
        line = read_csv(tmp_path / "x.results.csv")[0]
        assert "row 3 (left out by choice) has the same showing and comes later" in line["message"]
        before = len(journal.patched)
        assert program(*to, "--on-duplicate", "last").code == 0
        assert journal.patched[before:] == ["A"]


def test_the_undo_file_restores_what_all_choices_sent(
    program: Program, sandboxes: Sandboxes, sheet: Path
) -> None:
    undo = sheet.with_name("undo.csv")
    with sandboxes() as witness:
        to = ("push", sheet, "--base-url", witness.base_url, "--json")
        assert program(*to).code == 0
        write_sheet(sheet, [(key, rating % 5 + 1, status) for key, rating, status in ROWS], HEADER)
        assert program(*to, "--rows", "2-3", "--undo-file", undo).code == 0
        assert program(*to, "--rows", "4", "--undo-file", undo).code == 0
        restored = {row["unique_showing_key"]: row["rating"] for row in read_csv(undo)}
    assert restored == {key: str(rating) for key, rating, _ in ROWS[:3]}


def test_reconcile_compares_the_chosen_rows_only(program: Program, sheet: Path) -> None:
    other = write_sheet(
        sheet.with_name("export.csv"),
        [(key, 1 if key == "K9" else rating, status) for key, rating, status in ROWS],
        HEADER,
    )
    same = program("reconcile", sheet, "--with", other, "--rows", "2-8", "--json")
    assert (same.code, same.summary["rows"]) == (0, 7)
    assert any("left out by choice: 3 rows" in note for note in same.summary["notes"])
    assert program("reconcile", sheet, "--with", other, "--where", "Status=open").code == 3


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--rows", "9-3"), 2, "write 3-9"),
        (("--rows", "40-"), 4, "whose last row is 11"),
        (("--where", "Statsu=Open"), 2, "did you mean 'Status'?"),
        (("--where", "Status=Closed"), 4, "no row fits --where 'Status=Closed'"),
        (("--rows", "2", "--archive", "done"), 2, "no sheet is finished"),
        (("--where", "Status=Open", "--archive", "done"), 2, "no sheet is finished"),
    ],
)
def test_a_choice_that_can_not_be_meant_is_refused_before_anything_is_sent(
    program: Program, sheet: Path, options: tuple[str, ...], code: int, words: str
) -> None:
    with fault_server(all_good) as journal:
        to = ("push", sheet, "--base-url", journal.base_url)
        assert program(*to, "--rows", "3").code == 0
        before = states(sheet)
        ran = program(*to, *options)
        assert (ran.code, words in ran.err) == (code, True), ran.err
        assert states(sheet) == before
        assert program(*to, "--rows", "3").code == 0
    assert journal.patched == ["K3"]


def test_row_numbers_are_those_of_one_sheet(program: Program, sheet: Path) -> None:
    rows = [(f"other {key}", rating, status) for key, rating, status in ROWS]
    other = write_sheet(sheet.with_name("y.csv"), rows, HEADER)
    with fault_server(all_good) as journal:
        to = ("push", sheet, other, "--base-url", journal.base_url)
        ran = program(*to, "--rows", "2")
        assert (ran.code, journal.patched) == (2, [])
        assert program(*to, "--where", "Status=Done").code == 0
    assert len(journal.patched) == 10


def test_a_settings_file_may_choose_rows(
    program: Program, sheet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bulk-sync.toml").write_text('rows = "2-3"\nwhere = ["Status=Open"]\n')
    found = program("check", sheet, "--json").summary
    assert (found["rows"], found["left_out"]) == (1, 9)
    assert json.dumps(found["notes"]).count("Left out by choice: 9 rows") == 1


def test_a_purge_keeps_what_was_left_out(program: Program, sheet: Path) -> None:
    with fault_server(all_good) as journal:
        to = ("push", sheet, "--base-url", journal.base_url, "--json")
        assert program(*to, "--rows", "2-4").code == 0
        assert program("report", sheet, "--purge").code == 0
        assert program(*to, "--rows", "5", "--purge").code == 0
        assert counted(program(*to)) == {"updated": 10}
    assert sorted(journal.patched) == sorted(key for key, *_ in ROWS)
