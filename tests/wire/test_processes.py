"""Several processes that send for one run: what holds for one holds for all of them together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from bulk_sync import PushSettings, RowDecided, State, push
from bulk_sync.quantities import parse_rate
from bulk_sync.sandbox.faults import parse_fault
from tests.conftest import Program, Sandboxes
from tests.helpers import (
    KEY,
    command,
    environment,
    numbered,
    read_csv,
    run,
    sandbox_process,
    write_sheet,
)

PATIENCE = 20.0


def members_of(parent: int) -> list[int]:
    """The processes that send for a run."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
    return [
        int(one)
        for one in children
        if b"bulk_sync.send.member" in Path(f"/proc/{one}/cmdline").read_bytes()
    ]


def is_there(process: int) -> bool:
    try:
        return (
            Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
            != "Z"
        )
    except OSError:
        return False


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    return write_sheet(tmp_path / "s.csv", numbered(400))


def test_under_faults_every_row_has_its_one_result_and_the_counts_are_the_servers(
    program: Program, sandboxes: Sandboxes, sheet: Path
) -> None:
    faults = (parse_fault("5%:503"), parse_fault("5%:404"))
    with sandboxes(faults=faults, seed=7) as witness:
        options = (
            "--base-url",
            witness.base_url,
            "--processes",
            3,
            "--workers",
            10,
            "--rate",
            "500/s",
        )
        ran = program("push", sheet, *options, "--json", "--log-file", "run.log", "-v")
        journal = witness.journal()
    results = {
        line["unique_showing_key"]: line for line in read_csv(sheet.with_name("s.results.csv"))
    }
    applied = {entry["key"] for entry in journal if entry["applied"]}
    assert ran.code == 3
    assert {key for key, line in results.items() if line["state"] == "updated"} == applied
    assert len(results) == 400
    assert Counter(entry["key"] for entry in journal) == {
        key: int(line["attempts"]) for key, line in results.items()
    }
    assert ran.summary["requests"] == len(journal) == sum(ran.summary["statuses"].values())
    assert ran.summary["retries"] == len(journal) - 400
    log = Path("run.log").read_text(encoding="utf-8")
    assert log.count(" attempt 1: ") == 400
    assert log.count("rejected: ") == ran.summary["states"]["rejected"] > 0
    assert KEY not in log


def test_they_share_one_limit(program: Program, sandboxes: Sandboxes, tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "s.csv", numbered(150))
    with sandboxes() as witness:
        ran = program(
            "push", sheet, "--base-url", witness.base_url, "--processes", 3, "--rate", "50/s"
        )
        at = sorted(entry["at"] for entry in witness.patches())
    assert ran.code == 0
    # Over the whole of them: a busy machine may bunch what arrives. Each with a limit of its own,
    # they'd take a second.
    assert at[-1] - at[0] >= 0.9 * 150 / 50


def test_a_refused_key_costs_one_request(
    program: Program, sandboxes: Sandboxes, sheet: Path
) -> None:
    with sandboxes(revoke_after=0) as witness:
        ran = program("push", sheet, "--base-url", witness.base_url, "--processes", 4, "--json")
        assert len(witness.journal()) == 1
    assert (ran.code, ran.summary["states"]["pending"]) == (5, 400)


def test_failures_of_all_processes_count_together(
    program: Program, sandboxes: Sandboxes, sheet: Path
) -> None:
    with sandboxes(faults=(parse_fault("30%:404"),), seed=2) as witness:
        options = (
            "--base-url",
            witness.base_url,
            "--processes",
            2,
            "--max-failures",
            10,
            "--rate",
            "200/s",
        )
        ran = program("push", sheet, *options, "--json")
    assert ran.code == 6
    assert "--max-failures 10" in ran.summary["stopped"]
    assert 10 < ran.summary["states"]["rejected"] < 40
    assert ran.summary["states"]["pending"] > 100


def test_a_program_follows_and_stops_them(sandboxes: Sandboxes, sheet: Path) -> None:
    told: list[RowDecided] = []
    with sandboxes() as witness:
        settings = PushSettings.checked(
            input=sheet,
            base_url=witness.base_url,
            key=KEY,
            processes=2,
            rate=parse_rate("100/s"),
            deadline_seconds=1.5,
        )
        summary = push(settings, on_row=told.append)
        applied = {entry["key"] for entry in witness.patches() if entry["applied"]}
    assert summary.exit_code == 6
    assert "--deadline" in str(summary.stopped)
    assert {row.key for row in told} == applied
    assert summary.states[State.UPDATED] == len(applied) > 20


def test_a_rehearsal_is_sent_by_several_too(program: Program, sheet: Path) -> None:
    assert program("push", sheet, "--sandbox", "--processes", 2).code == 0


def test_each_process_needs_a_worker(program: Program, sheet: Path) -> None:
    ran = program("push", sheet, "--processes", 4, "--workers", 3)
    assert ran.code == 2
    assert "--processes 4 is more than --workers 3" in ran.err


def start(sheet: Path, base_url: str, *options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command("push", sheet, "--base-url", base_url, "--processes", 2, "--workers", 8, *options),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_ctrl_c_ends_them_tidily(sheet: Path) -> None:
    with sandbox_process("--accept-any", "--latency", "50ms") as witness:
        process = start(sheet, witness.base_url, "--json")
        while len(witness.journal()) < 50:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=PATIENCE)
        applied = {entry["key"] for entry in witness.patches() if entry["applied"]}
    assert process.returncode == 130
    told = json.loads(out)
    assert (told["states"]["updated"], told["in_flight"]) == (len(applied), 0)


def test_one_that_is_killed_ends_the_run_and_what_it_held_may_have_been_applied(
    sheet: Path,
) -> None:
    with sandbox_process("--accept-any", "--latency", "50ms") as witness:
        process = start(sheet, witness.base_url, "--json")
        while len(witness.journal()) < 50:
            assert process.poll() is None
        os.kill(members_of(process.pid)[1], signal.SIGKILL)
        out, err = process.communicate(timeout=PATIENCE)
        applied = {entry["key"] for entry in witness.patches() if entry["applied"]}
        told = json.loads(out)
        results = {
            line["unique_showing_key"]: line for line in read_csv(sheet.with_name("s.results.csv"))
        }
        again = run("push", sheet, "--base-url", witness.base_url, "--processes", 2, "--json")
    assert process.returncode == 6
    assert "One of --processes ended unexpectedly (signal 9)" in err
    updated = {key for key, line in results.items() if line["state"] == "updated"}
    assert updated <= applied
    assert all("may have been applied" in results[key]["message"] for key in applied - updated)
    assert told["states"]["updated"] == len(updated) > 0
    assert (again.code, again.summary["states"]["updated"]) == (0, 400)


def test_they_end_with_the_run_that_started_them(sheet: Path) -> None:
    with sandbox_process("--accept-any", "--latency", "50ms") as witness:
        process = start(sheet, witness.base_url)
        while len(witness.journal()) < 50:
            assert process.poll() is None
        members = members_of(process.pid)
        process.kill()
        process.communicate()
        until = time.monotonic() + PATIENCE  # noqa: TID251 - other processes' time
        while any(map(is_there, members)):
            assert time.monotonic() < until  # noqa: TID251 - same
        sent = {entry["key"] for entry in witness.patches()}
        assert len(members) == 2
        assert (
            run("push", sheet, "--base-url", witness.base_url, "--json").summary["states"][
                "updated"
            ]
            == 400
        )
    assert len(sent) < 400


def test_what_goes_wrong_in_one_is_told_and_they_all_end(
    program: Program, sheet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    ran = program("push", sheet, "--base-url", "https://127.0.0.1:9", "--processes", 2)
    assert ran.code == 2
    assert "the certificates /nowhere (SSL_CERT_FILE" in ran.err
    assert members_of(os.getpid()) == []
