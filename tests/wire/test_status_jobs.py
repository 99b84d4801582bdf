"""`status --jobs`: where all jobs of a jobs file are, from their checkpoints alone."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Program
from tests.faultserver import always, held, refuses
from tests.helpers import numbered, started, when_sent, write_sheet
from tests.wire.test_together import ROWS, Office


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    monkeypatch.delenv("NORTH_API_KEY")
    with ExitStack() as opened:
        yield Office(tmp_path, opened)


def jobs_of(summary: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {job["job"]: job for job in summary["jobs"]}


def test_each_job_has_the_state_of_its_files(program: Program, office: Office) -> None:
    office.team("vale")
    # More than --max-wait allows, so the run ends at once.
    down = refuses(429, "Too many requests", "Retry-After: 86400")
    office.team("down", always(down))
    office.team("refused", always(refuses(422, "no")))
    office.team("fresh")
    office.team("broken")
    office.team("gone")
    (office.folder / "gone" / "x.csv").unlink()
    path = office.jobs_file
    names = ("vale", "down", "refused", "broken")
    assert program("run", "--jobs", path, *names).code == 6
    with closing(sqlite3.connect(office.folder / "broken" / "x.checkpoint.sqlite")) as db:
        db.executescript("DROP TABLE outcome")
    ran = program("status", "--jobs", path, "--json")
    jobs = jobs_of(ran.summary)
    assert {name: job["state"] for name, job in jobs.items()} == {
        "vale": "done",
        "down": "pending",
        "refused": "done",
        "fresh": "not begun",
        "broken": "damaged",
        "gone": "no files",
    }
    assert ran.code == ran.summary["exit_code"] == 4
    assert {name: job["last_run"]["exit_code"] for name, job in jobs.items()} == {
        "vale": 0,
        "down": 6,
        "refused": 3,
        "fresh": None,
        "broken": None,
        "gone": None,
    }
    assert jobs["vale"]["last_run"]["began"] <= jobs["vale"]["last_run"]["ended"]
    assert jobs["vale"]["files"][0]["states"]["updated"] == ROWS
    assert jobs["down"]["states"]["pending"] == ROWS
    assert "damaged" in jobs["broken"]["files"][0]["error"]
    assert ran.summary["rows"] == 3 * ROWS
    shown = program("status", "--jobs", path)
    assert shown.code == 4
    assert "6 jobs (1 damaged, 1 pending, 1 not begun, 2 done, 1 no files)" in shown.out


def test_a_file_that_came_later_is_not_begun_and_its_job_pending(
    program: Program, office: Office
) -> None:
    office.team("vale")
    assert program("run", "--jobs", office.jobs_file).code == 0
    write_sheet(office.folder / "vale" / "y.csv", numbered(2))
    ran = program("status", "--jobs", office.jobs_file, "--json")
    (job,) = ran.summary["jobs"]
    assert (ran.code, job["state"]) == (6, "pending")
    assert [file["state"] for file in job["files"]] == ["done", "not begun"]
    shown = program("status", "--jobs", office.jobs_file)
    assert f"vale: {office.folder / 'vale' / 'y.csv'}: not begun" in shown.out


def test_a_sheet_that_has_changed_since_is_not_done(program: Program, office: Office) -> None:
    office.team("vale")
    sheet, later = (office.folder / "vale" / name for name in ("x.csv", "y.csv"))
    write_sheet(later, numbered(2))
    path = office.jobs_file
    assert program("run", "--jobs", path).code == 0
    assert program("status", sheet).code == 0
    write_sheet(sheet, numbered(ROWS + 1))
    ran = program("status", "--jobs", path, "--json")
    (job,) = ran.summary["jobs"]
    assert (ran.code, job["state"], job["rows"]) == (6, "changed since", 2)
    assert [file["sheet_changed"] for file in job["files"]] == [True, False]
    assert [file["rows"] for file in job["files"]] == [ROWS, 2]
    shown = program("status", "--jobs", path)
    assert f"vale: {sheet}: changed since its last push" in shown.out
    one = program("status", sheet)
    assert (one.code, "The sheet has changed since its last push" in one.out) == (6, True)
    assert program("status", sheet.with_suffix(".checkpoint.sqlite")).code == 0
    # Moved to an archive, for example.
    sheet.unlink()
    assert program("status", sheet).code == 0
    assert program("status", "--jobs", path).code == 0


def test_a_job_that_runs_is_running_until_it_is_killed(program: Program, office: Office) -> None:
    release = threading.Event()
    office.team("vale", always(held(release)), rows=300)
    path = office.jobs_file
    with started("run", "--jobs", path) as running:
        when_sent(2, office.servers["vale"].requests, running)
        (job,) = program("status", "--jobs", path, "--json").summary["jobs"]
        assert (job["state"], job["last_run"]["ended"]) == ("running", None)
        running.kill()
        running.communicate(timeout=120)
    release.set()
    (job,) = program("status", "--jobs", path, "--json").summary["jobs"]
    assert (job["state"], job["states"]["pending"]) == ("pending", 300)
    assert (job["last_run"]["ended"], job["last_run"]["exit_code"]) == (None, None)


def test_the_default_file_is_read_without_a_name(
    program: Program, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.team("vale")
    folder = office.folder / "config" / "bulk-sync"
    folder.mkdir(parents=True)
    file = folder / "bulk-sync.jobs.toml"
    text = office.jobs_file.read_text("utf-8")
    file.write_text(text.replace('files = "', f'files = "{office.folder}/'), encoding="utf-8")
    file.chmod(0o600)
    for words in (["--jobs"], ["--jobs", "--json"], ["--json", "--jobs"]):
        ran = program("status", *words)
        assert (ran.code, "not begun" in ran.out) == (6, True), ran.err
    monkeypatch.setenv("BULK_SYNC_JOBS", str(office.jobs_file))
    file.unlink()
    assert program("status", "--jobs").code == 6
    # The variable is no reason to refuse the state of one file.
    assert program("run").code == 0
    assert program("status", office.folder / "vale" / "x.csv").code == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "no file: name the one that was pushed"),
        (["x.csv", "--jobs", "teams.toml"], "FILE and --jobs"),
        (["--jobs", "teams.toml", "--out", "elsewhere"], "--out is about one file"),
        (["--jobs"], "no jobs file: there is no"),
    ],
)
def test_one_file_or_a_jobs_file_and_not_both(
    program: Program, words: list[str], sentence: str
) -> None:
    ran = program("status", *words)
    assert (ran.code, ran.out) == (2, "")
    assert sentence in ran.err
