"""Runs that end early: killed, interrupted, refused, or with the API gone. Nothing is lost, nothing
is lied about.
"""

from __future__ import annotations

import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from bulk_sync.quantities import Rate
from bulk_sync.sandbox.faults import Fault
from tests.conftest import Program, Sandboxes
from tests.helpers import (
    KEY,
    Witness,
    command,
    environment,
    numbered,
    raw_server,
    read_csv,
    reply,
    run,
    sandbox_process,
    write_sheet,
)


def start(sheet: Path, witness: Witness, *options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command("push", sheet, "--base-url", witness.base_url, *options),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_after_a_kill_status_and_report_tell_what_is_in_flight(tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(100))
    with sandbox_process("--accept-any", "--latency", "5s") as witness:
        process = start(sheet, witness, "--workers", 4)
        while not witness.journal():
            assert process.poll() is None
        process.kill()
        process.communicate()
        sent = {entry["key"] for entry in witness.patches()}
    status = run("status", sheet, "--json")
    assert status.summary["states"]["pending"] == 100
    assert len(sent) <= status.summary["in_flight"] < 100
    assert "in flight" in run("status", sheet).out
    assert run("report", tmp_path / "showings.checkpoint.sqlite").code == 0
    results = {
        line["unique_showing_key"]: line for line in read_csv(tmp_path / "showings.results.csv")
    }
    assert all("may have been applied" in results[key]["message"] for key in sent)
    assert results["ext_99"]["message"] == ""
    # A run that comes to nothing changes nothing about that.
    in_flight = status.summary["in_flight"]
    again = run("push", sheet, "--base-url", witness.base_url, "--max-attempts", 1, "--json")
    assert (again.code, again.summary["in_flight"]) == (6, in_flight)
    assert run("status", sheet, "--json").summary["in_flight"] == in_flight
    results = {
        line["unique_showing_key"]: line for line in read_csv(tmp_path / "showings.results.csv")
    }
    assert all("may have been applied" in results[key]["message"] for key in sent)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_lets_requests_end_and_reports_are_written(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(120))
    with sandbox_process("--accept-any", "--latency", "200ms") as witness:
        process = start(sheet, witness, "--workers", 4, "--json")
        while len(witness.journal()) < 8:
            assert process.poll() is None
        process.send_signal(number)
        process.communicate(timeout=20)
        assert process.returncode == code
        applied = {entry["key"] for entry in witness.patches() if entry["applied"]}
        results = read_csv(tmp_path / "showings.results.csv")
        assert {
            line["unique_showing_key"] for line in results if line["state"] == "updated"
        } == applied
        assert Counter(line["state"] for line in results)["pending"] == 120 - len(applied)
        status = run("status", sheet, "--json").summary
        assert status["in_flight"] == 0
        assert run("push", sheet, "--base-url", witness.base_url, "--workers", 64).code == 0
        assert len(witness.patches()) == 120


def test_a_second_signal_stops_at_once_and_says_what_may_have_been_applied(tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(50))
    with sandbox_process("--accept-any", "--latency", "30s") as witness:
        process = start(sheet, witness, "--workers", 4)
        while not witness.journal():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.communicate(timeout=1)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
        assert process.returncode == 130
        sent = {entry["key"] for entry in witness.patches()}
    results = {
        line["unique_showing_key"]: line for line in read_csv(tmp_path / "showings.results.csv")
    }
    assert all("may have been applied" in results[key]["message"] for key in sent)
    assert {line["state"] for line in results.values()} == {"pending"}


def test_nothing_listens_one_row_is_tried_and_all_stay_pending(
    program: Program, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(1000))
    ran = program("push", sheet, "--base-url", "http://127.0.0.1:9", "--max-attempts", 2, "--json")
    assert ran.code == 6
    assert ran.summary["states"]["pending"] == 1000
    assert ran.summary["requests"] == 2
    assert "127.0.0.1:9 refuses connections" in ran.err


def test_an_outage_midway_marks_no_row_failed(tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(300))
    with sandbox_process("--accept-any", "--latency", "20ms") as witness:
        process = start(sheet, witness, "--retry-for", "3s", "--rate", "100/s", "--json")
        while len(witness.journal()) < 30:
            assert process.poll() is None
    out, err = process.communicate(timeout=30)
    assert process.returncode == 6, err
    counts = Counter(line["state"] for line in read_csv(tmp_path / "showings.results.csv"))
    assert set(counts) == {"updated", "pending"}
    assert counts["updated"] >= 25
    assert "Nothing gets through" in err
    assert out


def test_a_row_that_the_server_chokes_on_fails_alone(program: Program, tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(6))
    good = reply(200, b'{"data": {"id": "x"}, "message": "ok"}')

    def answer(connection: object, request: bytes) -> None:
        poisoned = b"PATCH /v1/showings/ext_5 " in request
        connection.sendall(reply(500, b"boom") if poisoned else good)  # type: ignore[attr-defined]

    with raw_server(answer) as base_url:
        ran = program("push", sheet, "--base-url", base_url, "--max-attempts", 2, "--json")
    assert ran.code == 3
    results = read_csv(tmp_path / "showings.results.csv")
    assert [line["state"] for line in results] == ["updated"] * 5 + ["failed"]
    assert results[5]["error"] == "server_error"
    assert "may have been applied" in results[5]["message"]


def test_a_refused_key_costs_one_request_and_leaves_all_pending(
    program: Program, sandboxes: Sandboxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(50))
    monkeypatch.setenv("NORTH_API_KEY", "not-a-north-key")
    with sandboxes() as witness:
        ran = program("push", sheet, "--base-url", witness.base_url, "--json")
        assert len(witness.journal()) == 1
        assert (ran.code, ran.summary["states"]["pending"]) == (5, 50)
        assert "Invalid API key (401)" in ran.err
        monkeypatch.setenv("NORTH_API_KEY", KEY)
        assert program("push", sheet, "--base-url", witness.base_url).code == 0


def test_a_key_without_permission_stops_the_run(
    program: Program, sandboxes: Sandboxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(5))
    monkeypatch.setenv("NORTH_API_KEY", "north_sk_test_readonly0123456789")
    with sandboxes() as witness:
        ran = program("push", sheet, "--base-url", witness.base_url)
    assert ran.code == 5
    assert "Permission denied" in ran.err


def test_a_key_revoked_midway_stops_the_run(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(60))
    with sandboxes(revoke_after=20, latency_seconds=0.01) as witness:
        ran = program("push", sheet, "--base-url", witness.base_url, "--workers", 4, "--json")
        assert len(witness.journal()) <= 24
    assert ran.code == 5
    assert ran.summary["states"]["updated"] == 20
    assert ran.summary["states"]["pending"] == 40


def test_another_key_or_address_over_an_open_job_is_refused(
    program: Program, sandboxes: Sandboxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", [["ext_1", "good", 5], ["ext_2", "bad", 9]])
    with sandboxes() as witness, sandboxes() as other:
        program("push", sheet, "--base-url", witness.base_url)
        elsewhere = program("push", sheet, "--base-url", other.base_url)
        assert (elsewhere.code, other.journal()) == (2, [])
        assert "--fresh" in elsewhere.err
        monkeypatch.setenv("NORTH_API_KEY", "north_sk_test_another_key_altogether")
        assert program("push", sheet, "--base-url", witness.base_url).code == 2
        assert program("push", sheet, "--base-url", witness.base_url, "--new-key").code == 3
        assert len(witness.patches()) == 1
        assert program("push", sheet, "--base-url", witness.base_url).code == 3


def test_a_rehearsal_in_a_sandbox_is_not_taken_for_the_real_run(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(3))
    for _ in range(2):
        assert program("push", sheet, "--sandbox", "--json").summary["requests"] == 3
    with sandboxes() as witness:
        assert (
            program("push", sheet, "--base-url", witness.base_url, "--json").summary["requests"]
            == 3
        )
        assert program("push", sheet, "--sandbox").code == 2


def test_a_second_run_on_the_same_checkpoint_is_told_to_wait(tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(2000))
    with sandbox_process("--accept-any", "--latency", "300ms") as witness:
        process = start(sheet, witness, "--workers", 8)
        while not witness.journal():
            assert process.poll() is None
        second = run("push", sheet, "--base-url", witness.base_url)
        assert second.code == 7
        assert "another run holds this checkpoint" in second.err
        assert "Next:       wait" in run("status", sheet).out
        process.terminate()
        process.communicate(timeout=30)
        assert process.returncode == 143


def test_a_wait_longer_than_retry_for_stops_at_once_and_names_it(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(5))
    with sandboxes(limit=Rate(2, 3600)) as witness:
        ran = program("push", sheet, "--base-url", witness.base_url, "--workers", 1, "--json")
    assert (ran.code, ran.summary["states"]["updated"]) == (6, 2)
    assert "1800 s" in ran.err


def test_every_row_fails_by_garbage_then_the_run_stops_instead_of_marking_all(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(40))
    with sandboxes(faults=(Fault(1.0, "garbage"),)) as witness:
        ran = program("push", sheet, "--base-url", witness.base_url, "--retry-for", "3s", "--json")
        assert len(witness.journal()) < 40
    assert ran.code == 6
    assert ran.summary["states"]["pending"] == 40


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_staging_says_so_and_nothing_was_sent(
    tmp_path: Path, number: signal.Signals
) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(300_000))
    process = subprocess.Popen(
        command("push", sheet, "--base-url", "http://127.0.0.1:9"),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    checkpoint = tmp_path / "showings.checkpoint.sqlite"
    while not checkpoint.exists() or checkpoint.stat().st_size == 0:
        assert process.poll() is None
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert (out, err.count("\n")) == ("", 1)
    assert "Stopped by" in err
    assert run("status", sheet).code == 4


def test_a_proxy_is_not_asked_for_what_is_on_this_machine(
    program: Program, sandboxes: Sandboxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    sheet = write_sheet(tmp_path / "showings.csv", numbered(3))
    with sandboxes() as witness:
        assert program("push", sheet, "--base-url", witness.base_url).code == 0
