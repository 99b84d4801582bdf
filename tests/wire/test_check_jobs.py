"""`run --check`: the sheets of all jobs, and when each would be done; nothing is sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Program
from tests.faultserver import always, answers
from tests.helpers import numbered, write_sheet
from tests.wire.test_together import ROWS, Office, team_key


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    monkeypatch.delenv("NORTH_API_KEY")
    with ExitStack() as opened:
        office = Office(tmp_path, opened)
        yield office
        for server in office.servers.values():
            assert (server.requests, server.account) == ([], []), "a check sends nothing"


def jobs_of(summary: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {job["job"]: job for job in summary["jobs"]}


def test_all_jobs_are_checked_and_nothing_is_sent_or_written(
    program: Program, office: Office
) -> None:
    office.team("vale", rows=20, options={"rate": "5/s"})
    office.team("hill", rows=10, options={"rate": "5/s"})
    path = office.jobs_file
    before = sorted(office.folder.rglob("*"))
    ran = program("run", "--jobs", path, "--check", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert sorted(office.folder.rglob("*")) == before
    jobs = jobs_of(ran.summary)
    assert {name: job["requests"] for name, job in jobs.items()} == {"vale": 20, "hill": 10}
    assert {name: job["seconds"] for name, job in jobs.items()} == {"vale": 4.0, "hill": 2.0}
    assert [file["rows"] for file in jobs["vale"]["files"]] == [20]
    assert (ran.summary["rows"], ran.summary["requests"]) == (30, 30)
    assert (ran.summary["seconds"], ran.summary["window_suffices"]) == (4.0, None)


def test_every_job_has_the_exit_code_with_which_its_run_would_begin(
    program: Program, office: Office
) -> None:
    office.team("vale")
    office.team("keyless", key=False)
    office.team("broken")
    (office.folder / "broken" / "x.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    office.team("wrong", options={"rate": "fast"})
    office.team("named", options={"results": str(office.folder / "all.csv")})
    (office.folder / "named" / "y.csv").write_bytes(
        (office.folder / "named" / "x.csv").read_bytes()
    )
    office.team("invalid")
    with (office.folder / "invalid" / "x.csv").open("a", encoding="utf-8") as sheet:
        sheet.write(",x\n")
    office.team("empty")
    (office.folder / "empty" / "x.csv").unlink()
    ran = program("run", "--jobs", office.jobs_file, "--check", "--json")
    codes = {name: job["exit_code"] for name, job in jobs_of(ran.summary).items()}
    assert codes == {
        "vale": 0,
        "keyless": 2,
        "broken": 4,
        "wrong": 2,
        "named": 2,
        "invalid": 3,
        "empty": 0,
    }
    assert ran.code == ran.summary["exit_code"] == 2
    assert "keyless: --key-file" in ran.err
    sent = program("run", "--jobs", office.jobs_file, "--check")
    assert sent.code == 2
    assert "empty: no sheet found" in sent.out


def test_what_an_earlier_run_sent_is_not_counted_again(program: Program, office: Office) -> None:
    office.team("vale")
    office.team("hill")
    assert program("run", "--jobs", office.jobs_file, "vale").code == 0
    for record in (office.servers["vale"].requests, office.servers["vale"].account):
        record.clear()
    ran = program("run", "--jobs", office.jobs_file, "--check", "--json")
    jobs = jobs_of(ran.summary)
    assert (jobs["vale"]["requests"], jobs["vale"]["acknowledged_before"]) == (0, ROWS)
    assert jobs["hill"]["requests"] == ROWS


def test_a_key_command_is_not_run_and_needs_no_key(program: Program, office: Office) -> None:
    office.team("vale", key=False)
    ran_it = office.folder / "ran"
    text = office.jobs_file.read_text("utf-8")
    (line,) = (line for line in text.splitlines() if line.startswith("key-file"))
    path = office.folder / "command.toml"
    path.write_text(text.replace(line, f"key-command = 'touch {ran_it}'"), encoding="utf-8")
    path.chmod(0o600)
    ran = program("run", "--jobs", path, "--check")
    assert (ran.code, ran_it.exists()) == (0, False)
    assert "The key of 1 job is not looked up" in ran.out
    # Nor is the variable needed.
    path.write_text(text.replace(line, ""), encoding="utf-8")
    ran = program("run", "--jobs", path, "--check")
    assert ran.code == 0
    assert "No key for 1 job: NORTH_API_KEY is not set here" in ran.out


def test_the_limits_of_a_key_that_is_not_asked_for_are_those_of_the_last_run(
    program: Program, office: Office
) -> None:
    headers = ('RateLimit-Policy: "default";q=600;w=60', 'RateLimit: "default";r=500;t=60')
    told = answers(200, {"data": {}}, *headers)
    office.team("vale", always(told), options={"rate": "auto"})
    path = office.folder / "command.toml"
    text = office.jobs_file.read_text("utf-8")
    (line,) = (line for line in text.splitlines() if line.startswith("key-file"))
    key = office.folder / "vale.key"
    path.write_text(text.replace(line, f"key-command = 'cat {key}'"), encoding="utf-8")
    path.chmod(0o600)
    assert program("run", "--jobs", path).code == 0
    for record in (office.servers["vale"].requests, office.servers["vale"].account):
        record.clear()
    key.unlink()
    write_sheet(office.folder / "vale" / "y.csv", numbered(3000))
    ran = program("run", "--jobs", path, "--check", "--json")
    (job,) = ran.summary["jobs"]
    assert job["key"] == "not asked"
    assert job["seconds"] > 200  # 3,000 at 600 per minute


def two_jobs_of_one_key(office: Office, **options: str) -> Path:
    for name in ("a", "b"):
        office.team(name, rows=20, options={"rate": "10/s", **options})
    shared = office.servers["a"].base_url
    text = office.jobs_file.read_text("utf-8").replace(office.servers["b"].base_url, shared)
    (office.folder / "b.key").write_text(team_key("a"), encoding="utf-8")
    path = office.folder / "one.toml"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def test_jobs_of_one_key_add_up(program: Program, office: Office) -> None:
    path = two_jobs_of_one_key(office)
    ran = program("run", "--jobs", path, "--check", "--json")
    assert [job["seconds"] for job in ran.summary["jobs"]] == [4.0, 4.0]
    ran = program("run", "--jobs", path, "--check", "--json", "--at-once", 1)
    assert [job["seconds"] for job in ran.summary["jobs"]] == [2.0, 4.0]
    assert [job["begins_seconds"] for job in ran.summary["jobs"]] == [0.0, 2.0]


def test_a_window_that_is_too_short_is_said_loudly(program: Program, office: Office) -> None:
    path = two_jobs_of_one_key(office)
    ran = program("run", "--jobs", path, "--check", "--deadline", "3s")
    assert ran.code == 0
    assert "TOO SHORT for 2 of 2 jobs: about 10 rows would stay pending (exit code 6): a, b" in (
        ran.out
    )
    ran = program("run", "--jobs", path, "--check", "--deadline", "3s", "--json")
    assert ran.summary["window_suffices"] is False
    assert ran.summary["pending_after_window"] == 10
    ran = program("run", "--jobs", path, "--check", "--deadline", "5s")
    assert "suffices for all jobs" in ran.out
    ran = program("run", "--jobs", path, "--check")
    assert "Window" not in ran.out


def test_the_bound_of_a_job_holds_for_it_alone(program: Program, office: Office) -> None:
    office.team("vale", rows=20, options={"rate": "10/s", "deadline": "1s"})
    office.team("hill", rows=20, options={"rate": "10/s"})
    ran = program("run", "--jobs", office.jobs_file, "--check", "--json")
    jobs = jobs_of(ran.summary)
    assert (jobs["vale"]["window_suffices"], jobs["hill"]["window_suffices"]) == (False, None)
    assert (jobs["vale"]["pending_after_window"], jobs["vale"]["seconds"]) == (10, 2.0)


def test_nothing_is_promised_before_a_limit_is_known(program: Program, office: Office) -> None:
    office.team("vale", rows=20, options={"rate": "auto"})
    office.team("hill", rows=20, options={"rate": "10/s"})
    ran = program("run", "--jobs", office.jobs_file, "--check", "--deadline", "1h")
    assert ran.code == 0
    assert "unknown until the first replies for 1 job" in ran.out
    assert "unknown whether it suffices" in ran.out
    ran = program("run", "--jobs", office.jobs_file, "--check", "--deadline", "1h", "--json")
    assert (ran.summary["seconds"], ran.summary["window_suffices"]) == (None, None)
    assert [job["seconds"] for job in ran.summary["jobs"]] == [None, 2.0]


def test_a_check_has_no_options_of_a_run(program: Program, office: Office) -> None:
    office.team("vale")
    ran = program("run", "--jobs", office.jobs_file, "--check", "--log-file", "x.log")
    assert ran.code == 2
    assert "--log-file is about a run" in ran.err


def test_one_sheet_of_two_jobs_is_refused_as_in_a_run(program: Program, office: Office) -> None:
    office.team("vale")
    text = office.jobs_file.read_text("utf-8")
    path = office.folder / "twice.toml"
    path.write_text(text + text.replace('name = "vale"', 'name = "again"'), encoding="utf-8")
    path.chmod(0o600)
    ran = program("run", "--jobs", path, "--check")
    assert ran.code == 2
    assert "the jobs vale and again would both push it" in ran.err
