"""The main way through the program, against the sandbox over a real socket. The journal is the
witness.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

from bulk_sync.quantities import Rate
from bulk_sync.sandbox.faults import Fault, parse_fault
from tests.conftest import Program, Sandboxes
from tests.helpers import numbered, read_csv, write_sheet


@pytest.mark.slow  # 2,000 requests
def test_two_thousand_rows_arrive_once_each_and_are_reported_in_order(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(2000))
    with sandboxes() as witness:
        ran = program("push", sheet, "--base-url", witness.base_url, "--json", "--workers", 32)
        journal = witness.patches()
        ids = {entry["key"]: entry["showing_id"] for entry in journal}
    assert ran.code == 0
    assert Counter(entry["key"] for entry in journal) == Counter(
        f"ext_{number}" for number in range(2000)
    )
    results = read_csv(tmp_path / "showings.results.csv")
    assert [line["row"] for line in results] == [str(number) for number in range(2, 2002)]
    assert [line["unique_showing_key"] for line in results] == [
        f"ext_{number}" for number in range(2000)
    ]
    assert {line["state"] for line in results} == {"updated"}
    assert all(line["showing_id"] == ids[line["unique_showing_key"]] for line in results)
    assert ran.summary["states"]["updated"] == ran.summary["rows"] == 2000


@pytest.mark.slow  # time-outs pass
@pytest.mark.usefixtures("fast_time")
def test_under_faults_all_rows_are_updated_and_attempts_agree_with_the_journal(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(600))
    shares = ("3%:503", "2%:reset", "1%:timeout", "1%:garbage", "1%:cut")
    with sandboxes(faults=tuple(map(parse_fault, shares)), seed=3) as witness:
        # Long enough for each request to reach the sandbox, also on a busy machine.
        ran = program("push", sheet, "--base-url", witness.base_url, "--timeout", 3, "--json")
        journal = witness.patches()
    assert ran.code == 0
    assert {entry["fault"] for entry in journal} == {
        None,
        *(share.partition(":")[2] for share in shares),
    }
    asked = Counter(entry["key"] for entry in journal)
    results = read_csv(tmp_path / "showings.results.csv")
    assert {line["unique_showing_key"]: int(line["attempts"]) for line in results} == asked
    assert {line["state"] for line in results} == {"updated"}
    assert ran.summary["requests"] == 1 + len(journal)  # users/me
    assert ran.summary["retries"] == len(journal) - 600


def test_what_is_sent_is_what_the_sheet_says(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    feedback = 'Said: "wow"\nZoë – 3 % über, 👍'
    header = [
        "unique_showing_key",
        "showing_date",
        "feedback",
        "rating",
        "interested",
        "attendee_email",
        "event_type",
    ]
    rows: list[list[object]] = [
        ["a/b ?#%+é", "2026-03-02T09:00:00-06:00", feedback, " 4 ", "TRUE", "", "open_house"]
    ]
    sheet = write_sheet(tmp_path / "showings.csv", rows, header)
    with sandboxes() as witness:
        ran = program("push", sheet, "--base-url", witness.base_url)
        entry = witness.patches()[0]
        showing = witness.showing("a/b ?#%+é")
    assert ran.code == 0
    assert entry["path"] == "/v1/showings/a%2Fb%20%3F%23%25%2B%C3%A9"
    assert showing["feedback"] == feedback
    assert (showing["rating"], showing["interested"], showing["event_type"]) == (
        4,
        True,
        "open_house",
    )
    assert showing["showing_date"] == "2026-03-02T09:00:00-06:00"
    assert "attendee_email" not in entry["body"]


@pytest.mark.usefixtures("fast_time")
def test_a_rate_that_is_given_is_kept(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    """Over any stretch, and filled to the brim, in simulated time: test_pace.py,
    test_simulation.py.
    """
    sheet = write_sheet(tmp_path / "showings.csv", numbered(200))
    with sandboxes() as witness:
        to = ("push", sheet, "--base-url", witness.base_url, "--workers", 16, "--json")
        ran = program(*to, "--rate", "50/s")
        assert len(witness.patches()) == 200
    assert ran.code == 0
    assert ran.summary["rate_limit"]["requests_per_second"] == 50
    assert 0 < ran.summary["rate_limit"]["utilisation"] <= 1
    lines = read_csv(tmp_path / "showings.results.csv")
    left = sorted(datetime.fromisoformat(line["sent_at"]).timestamp() for line in lines)
    assert left[-1] - left[0] >= 198 / 50


@pytest.mark.usefixtures("fast_time")
def test_a_server_that_limits_is_waited_for_and_no_row_fails(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(25))
    with sandboxes(limit=Rate(10, 10), limit_headers="retry-after") as witness:
        ran = program("push", sheet, "--base-url", witness.base_url, "--max-attempts", 1, "--json")
        journal = witness.journal()  # also what was asked of the account is limited and counted
    assert ran.code == 0
    assert ran.summary["states"]["updated"] == 25
    assert ran.summary["throttled"] == sum(entry["status"] == 429 for entry in journal) > 0


def test_each_row_gets_its_own_fate(program: Program, sandboxes: Sandboxes, tmp_path: Path) -> None:
    known = write_sheet(tmp_path / "known.csv", [["ext_1", "", ""], ["ext_2", "", ""]])
    rows: list[list[object]] = [
        ["ext_1", "Liked it", 5],
        ["", "No key", 5],
        ["..", "A step up", 5],
        ["ext_2", "Six of five", 6],
        ["ext_404", "Nobody knows it", 1],
        ["ext_1", "Liked it", 5],
        ["ext_5", "one", 1],
        ["ext_5", "two", 2],
        ["ext_6", "", ""],
    ]
    sheet = write_sheet(tmp_path / "showings.csv", rows)
    with sandboxes(accept_any=False, seed_file=known) as witness:
        ran = program("push", sheet, "--base-url", witness.base_url, "--max-problems", "100%")
        sent = [entry["key"] for entry in witness.patches()]
    results = read_csv(tmp_path / "showings.results.csv")
    assert [(line["state"], line["error"]) for line in results] == [
        ("updated", ""),
        ("invalid", "missing_key"),
        ("invalid", "bad_key"),
        ("invalid", "bad_value"),
        ("rejected", "not_found"),
        ("superseded", ""),
        ("invalid", "duplicate_key"),
        ("invalid", "duplicate_key"),
        ("invalid", "nothing_to_send"),
    ]
    assert ran.code == 3
    assert sorted(sent) == ["ext_1", "ext_404"]
    assert "row 8" in results[7]["message"] or "row 8" in results[6]["message"]
    assert "Next:" in ran.out
    failed = read_csv(tmp_path / "showings.failed.csv")
    assert [line["unique_showing_key"] for line in failed] == [
        "",
        "..",
        "ext_2",
        "ext_404",
        "ext_5",
        "ext_5",
        "ext_6",
    ]
    assert failed[2]["error"].startswith("bad_value: rating: '6' is not a rating from 1 to 5")


def test_mended_failed_rows_are_pushed_as_they_are(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(
        tmp_path / "showings.csv", [["ext_1", "good", 5], ["ext_2", "bad", 9], ["ext_3", "good", 1]]
    )
    with sandboxes() as witness:
        assert program("push", sheet, "--base-url", witness.base_url).code == 3
        failed = tmp_path / "showings.failed.csv"
        failed.write_text(
            failed.read_text(encoding="utf-8").replace(",9,", ",4,"), encoding="utf-8"
        )
        ran = program("push", failed, "--base-url", witness.base_url)
        assert ran.code == 0, ran
        assert witness.showing("ext_2")["rating"] == 4
    assert "Ignored columns" not in ran.out


def test_all_is_done_then_nothing_is_sent_and_it_says_so(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(10))
    with sandboxes() as witness:
        program("push", sheet, "--base-url", witness.base_url)
        again = program("push", sheet, "--base-url", witness.base_url)
        resorted = write_sheet(sheet, numbered(10)[::-1])
        sorted_again = program("push", resorted, "--base-url", witness.base_url)
        assert len(witness.patches()) == 10
    assert again.code == sorted_again.code == 0
    assert "Nothing to send" in again.out
    assert "Nothing to send" in sorted_again.out
    results = read_csv(tmp_path / "showings.results.csv")
    assert [line["unique_showing_key"] for line in results] == [
        f"ext_{number}" for number in range(9, -1, -1)
    ]
    assert {line["attempts"] for line in results} == {"1"}


def test_an_edited_sheet_sends_only_what_is_new_or_changed_while_the_job_is_open(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    rows: list[list[object]] = [[key, text, rating] for key, text, rating in numbered(6)]
    rows[2][2] = 7  # keeps the job open
    sheet = write_sheet(tmp_path / "showings.csv", rows)
    with sandboxes() as witness:
        assert program("push", sheet, "--base-url", witness.base_url).code == 3
        rows[2][2] = 3
        rows[4][1] = "Came again"
        rows.insert(0, ["ext_new", "First visit", 2])
        rows.pop()
        write_sheet(sheet, rows)
        assert program("push", sheet, "--base-url", witness.base_url).code == 0
        sent = Counter(entry["key"] for entry in witness.patches())
    assert sent == {
        "ext_0": 1,
        "ext_1": 1,
        "ext_2": 1,
        "ext_3": 1,
        "ext_4": 2,
        "ext_5": 1,
        "ext_new": 1,
    }


def test_other_content_over_a_settled_job_is_a_new_job(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(3))
    with sandboxes() as witness:
        program("push", sheet, "--base-url", witness.base_url)
        write_sheet(sheet, [*numbered(3), ("ext_9", "tonight", 1)])
        program("push", sheet, "--base-url", witness.base_url)
        sent = Counter(entry["key"] for entry in witness.patches())
    assert sent == {"ext_0": 2, "ext_1": 2, "ext_2": 2, "ext_9": 1}


def test_fresh_sends_everything_again(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(3))
    with sandboxes() as witness:
        program("push", sheet, "--base-url", witness.base_url)
        program("push", sheet, "--base-url", witness.base_url, "--fresh")
        assert len(witness.patches()) == 6


def test_a_trial_with_limit_is_kept_when_the_whole_sheet_follows(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(8))
    with sandboxes() as witness:
        ran = program("push", sheet, "--base-url", witness.base_url, "--limit", 3, "--json")
        assert (ran.code, ran.summary["rows"]) == (0, 3)
        assert program("push", sheet, "--base-url", witness.base_url).code == 0
        program("push", sheet, "--base-url", witness.base_url, "--limit", 2)
        assert (
            program("push", sheet, "--base-url", witness.base_url, "--json").summary["requests"]
            == 0
        )
        assert Counter(entry["key"] for entry in witness.patches()) == {
            f"ext_{number}": 1 for number in range(8)
        }


def test_out_takes_all_files_and_leaves_the_input_folder_alone(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    sheet = write_sheet(
        tmp_path / "in" / "showings.csv", [["ext_1", "fine", 5], ["ext_2", "bad", 9]]
    )
    with sandboxes() as witness:
        program("push", sheet, "--base-url", witness.base_url, "--out", tmp_path / "out")
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["showings.csv"]
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {
        "showings.results.csv",
        "showings.failed.csv",
        "showings.checkpoint.sqlite",
        "showings.checkpoint.sqlite.lock",
    }
    private = {
        path.name for path in (tmp_path / "out").iterdir() if path.stat().st_mode & 0o077 == 0
    }
    assert private == written


@pytest.mark.usefixtures("fast_time")
def test_the_same_idempotency_key_goes_with_every_attempt_of_a_row(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(20))
    with sandboxes(faults=(Fault(0.3, "503"),)) as witness:
        program("push", sheet, "--base-url", witness.base_url)
        journal = witness.patches()
    keys = {
        entry["key"]: {e["idempotency_key"] for e in journal if e["key"] == entry["key"]}
        for entry in journal
    }
    assert all(len(values) == 1 for values in keys.values())
    assert len(set().union(*keys.values())) == 20
    assert len(journal) > 20


def test_a_refused_sheet_leaves_what_was_acknowledged_as_it_was(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    good: list[tuple[str, str, int]] = [*numbered(3), ("ext_9", "", 9)]
    sheet = write_sheet(tmp_path / "showings.csv", good)
    with sandboxes() as witness:
        assert program("push", sheet, "--base-url", witness.base_url).code == 3
        write_sheet(sheet, [(key, text, "good") for key, text, _ in good])
        refused = program("push", sheet, "--base-url", witness.base_url)
        assert refused.code == 4
        assert len(read_csv(tmp_path / "showings.failed.csv")) == 4
        assert program("status", sheet, "--json").summary["states"]["updated"] == 3
        write_sheet(sheet, good)
        assert program("push", sheet, "--base-url", witness.base_url).code == 3
        assert len(witness.patches()) == 3
