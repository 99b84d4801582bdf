"""The end of a run says what was wrong by cause, and so do status and report, long after."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Program, Sandboxes
from tests.helpers import KEY, numbered, write_sheet

pytestmark = pytest.mark.usefixtures("fast_time")


def test_push_status_and_report_tell_the_same_causes(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    seed = write_sheet(tmp_path / "seed.csv", numbered(140))
    ratings = [(f"ext_{number}", "ok", number) for number in range(6, 11)]
    sheet = write_sheet(
        tmp_path / "x.csv",
        [*ratings, *numbered(110, first=20), ("elm street", "", 4), ("oak", "", 4)],
    )
    with sandboxes(accept_any=False, seed_file=seed) as witness:
        ran = program("push", sheet, "--base-url", witness.base_url)
    assert ran.code == 3
    lines = (
        (
            "  5 rows: rating 6 to 10: expected a rating from 1 to 5, such as 4, 4/5, 4 stars or "
            "★★★★ (rows 2, 3, 4 and 2 more)"
        ),
        (
            "  2 rows: not_found: Showing not found: check the key in North; the showing may have "
            "been deleted (rows 117, 118)"
        ),
    )
    for out in (ran.out, program("status", sheet).out, program("report", sheet).out):
        assert [line for line in out.splitlines() if line in lines] == [*lines]
    told = program("status", sheet, "--json").summary
    assert told["problems"] == {"bad_value": 5, "not_found": 2}
    first, second = told["causes"]
    assert first == {
        "code": "bad_value",
        "cause": "rating 6 to 10",
        "rows": 5,
        "first_rows": [{"row": number, "value": str(number + 4)} for number in range(2, 7)],
        "remedy": "expected a rating from 1 to 5, such as 4, 4/5, 4 stars or ★★★★",
    }
    assert (second["rows"], second["first_rows"][0]) == (2, {"row": 117, "value": "elm street"})

    assert program("report", sheet, "--purge").code == 0
    purged = program("status", sheet, "--json").summary
    assert [(cause["code"], cause["cause"], cause["rows"]) for cause in purged["causes"]] == [
        ("bad_value", "bad_value", 5),
        ("not_found", "not_found", 2),
    ]
    assert (
        "  5 rows: bad_value: correct the row (rows 2, 3, 4 and 2 more)"
        in program("status", sheet).out
    )


def test_failures_of_the_moment_are_told_with_status_and_doubt(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    from bulk_sync.sandbox.faults import parse_fault

    sheet = write_sheet(tmp_path / "x.csv", numbered(60))
    with sandboxes(faults=(parse_fault("30%:503"),)) as witness:
        ran = program("push", sheet, "--base-url", witness.base_url, "--max-attempts", 1, "--json")
    failed = ran.summary["states"]["failed"]
    (cause,) = ran.summary["causes"]
    assert failed > 0
    assert (cause["code"], cause["rows"], cause["remedy"]) == (
        "server_error",
        failed,
        "run the command again",
    )
    assert cause["cause"].startswith("server_error 503: ")
    assert f"; {failed} may have been applied)" in program("status", sheet).out
    assert KEY not in ran.out


def test_what_a_cell_holds_reaches_no_terminal_raw(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    evil = "\x1b]0;owned\x07\x9b31m\u202e"
    sheet = write_sheet(
        tmp_path / "x.csv", [("ext_1", "", evil), (f"ext{evil}", "", 4), *numbered(4, first=2)]
    )
    with sandboxes() as witness:
        ran = program("push", sheet, "--base-url", witness.base_url)
    assert "rating '\\x1b]0;owned\\x07" in ran.out
    assert not set(evil) & set("\x1b\x07\x9b\u202e") & set(ran.out)
