"""How the end of a run says what to do next, and what kind of run it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from bulk_sync.sandbox.faults import parse_fault
from tests.conftest import Program, Sandboxes
from tests.helpers import numbered, write_sheet
from tests.unit.pages import parsed


def test_a_rehearsal_and_a_trial_say_what_they_are(program: Program, tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(4))
    ran = program("push", sheet, "--sandbox", "--limit", 2)
    for text in (ran.out, program("status", sheet).out):
        assert "Rehearsal: sent to a sandbox on this machine, nothing reached North." in text
        assert "Left out by choice: 2 rows" in text


def test_other_content_over_a_finished_job_is_said_to_be_a_new_job(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(2))
    with sandboxes() as witness:
        program("push", sheet, "--base-url", witness.base_url)
        write_sheet(sheet, numbered(3))
        ran = program("push", sheet, "--base-url", witness.base_url)
    assert "starting a new job. All of its rows are sent" in ran.out
    assert "Continuing the job" not in ran.out


def test_what_to_do_next_is_a_whole_command_after_a_push_and_never_half_a_one(
    program: Program, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(2))
    arguments = [
        "push",
        sheet,
        "--base-url",
        "http://127.0.0.1:9",
        "--max-attempts",
        1,
        "--rate",
        "5/s",
    ]
    ran = program(*arguments, "--fresh")
    command = f"bulk-sync {' '.join(map(str, arguments))}"
    for text in (ran.out, program("status", sheet).out, program("report", sheet).out):
        assert f"Next:       {command}\n" in text
    assert program("status", sheet, "--json").summary["next"] == command


@pytest.mark.parametrize("own", ["", "--results", "--checkpoint"])
def test_what_to_do_after_correcting_keeps_the_options_of_the_push(
    program: Program, tmp_path: Path, own: str
) -> None:
    """The page, the terminal and the status say the same; files of this job are not named again."""
    sheet, page = write_sheet(tmp_path / "x.csv", [*numbered(2), ("ext_9", "", 9)]), tmp_path / "p"
    file = tmp_path / ("own.jsonl" if own == "--results" else "own.sqlite")
    named = (own, file) if own else ()
    job = (sheet, *named) if own == "--checkpoint" else (sheet,)
    ran = program("push", sheet, "--sandbox", "--rate", "90/s", "--page", page, *named)
    command = f"bulk-sync push {tmp_path / 'x.failed.csv'} --sandbox --rate 90/s"
    for text in (ran.out, program("status", *job).out):
        assert f"then: {command}\n" in text
    assert command in parsed(page.read_text("utf-8")).text
    page.unlink()
    program("report", *job, "--page", page)
    assert command in parsed(page.read_text("utf-8")).text


def test_rows_that_only_failed_need_no_mending_but_another_run(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(40))
    with sandboxes(faults=(parse_fault("30%:503"),), seed=3) as witness:
        push = [
            "push",
            sheet,
            "--base-url",
            witness.base_url,
            "--max-attempts",
            1,
            "--max-failures",
            "90%",
        ]
        ran = program(*push)
    assert (ran.code, "failed" in ran.out) == (3, True)
    assert f"Next:       bulk-sync {' '.join(map(str, push))}" in ran.out
