"""Runs that end early: killed, interrupted, refused, or with the API gone. Nothing is lost, nothing
is lied about.
"""

from __future__ import annotations

import signal
import sqlite3
import threading
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from bulk_sync import PushSettings, RowDecided, push
from bulk_sync.quantities import Rate
from bulk_sync.sandbox.faults import Fault
from tests.conftest import Program, Sandboxes
from tests.faultserver import (
    always,
    fault_server,
    first,
    for_keys,
    good,
    hangs,
    held,
    no_account,
)
from tests.helpers import (
    KEY,
    Witness,
    numbered,
    poll,
    raw_server,
    read_csv,
    reply,
    signalled,
    started,
    when_sent,
    write_sheet,
)


def results(folder: Path) -> dict[str, dict[str, str]]:
    return {line["unique_showing_key"]: line for line in read_csv(folder / "showings.results.csv")}


@pytest.mark.slow  # a process is struck
def test_after_a_kill_status_and_report_tell_what_is_in_flight(
    program: Program, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(100))
    with fault_server(always(hangs), me=no_account) as journal:
        push = ("push", sheet, "--base-url", journal.base_url)
        with started(*push, "--workers", 4) as process:
            when_sent(1, journal.requests, process)
            process.kill()
            process.communicate()
        sent = set(journal.patched)
    status = program("status", sheet, "--json")
    assert status.summary["states"]["pending"] == 100
    assert status.code == status.summary["exit_code"] == 6
    assert len(sent) <= status.summary["in_flight"] < 100
    assert "in flight" in program("status", sheet).out
    assert program("report", tmp_path / "showings.checkpoint.sqlite").code == 0
    told = results(tmp_path)
    assert all("may have been applied" in told[key]["message"] for key in sent)
    assert told["ext_99"]["message"] == ""
    # A run that comes to nothing changes nothing about that.
    in_flight = status.summary["in_flight"]
    again = program(*push, "--max-attempts", 1, "--json")
    assert (again.code, again.summary["in_flight"]) == (6, in_flight)
    assert program("status", sheet, "--json").summary["in_flight"] == in_flight
    assert all("may have been applied" in results(tmp_path)[key]["message"] for key in sent)


@pytest.mark.slow  # same
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_lets_requests_end_and_reports_are_written(
    program: Program, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(120))
    release = threading.Event()
    with fault_server(first(1, good, then=held(release)), me=no_account) as journal:
        push = ("push", sheet, "--base-url", journal.base_url)
        with started(*push, "--workers", 4, "--json") as process:
            when_sent(1 + 4, journal.requests, process)
            signalled(process, number)
            release.set()
            process.communicate()
        assert process.returncode == code
        sent = journal.patched
        told = results(tmp_path)
        assert {key for key, line in told.items() if line["state"] == "updated"} == set(sent)
        assert Counter(line["state"] for line in told.values())["pending"] == 120 - len(sent) > 0
        assert program("status", sheet, "--json").summary["in_flight"] == 0
        assert program(*push).code == 0
        assert Counter(journal.patched) == dict.fromkeys(told, 1)


@pytest.mark.slow  # same
def test_a_second_signal_stops_at_once_and_says_what_may_have_been_applied(
    tmp_path: Path,
) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(50))
    one, never = threading.Event(), threading.Event()
    script = for_keys({"ext_1": always(held(one))}, others=first(1, good, then=held(never)))

    def updated() -> int:
        with closing(sqlite3.connect(tmp_path / "showings.checkpoint.sqlite")) as db:
            (count,) = db.execute("SELECT count(*) FROM row WHERE state = 'updated'").fetchone()
        return int(count)

    with fault_server(script, me=no_account) as journal:
        with started("push", sheet, "--base-url", journal.base_url, "--workers", 4) as process:
            when_sent(1 + 4, journal.requests, process)
            signalled(process, signal.SIGINT)
            one.set()  # what is on its way may end after the first signal, and is noted
            poll(lambda: updated() == 2)
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
            process.communicate()
        assert process.returncode == 130
        sent = set(journal.patched)
        never.set()
    told = results(tmp_path)
    done = {key for key, line in told.items() if line["state"] == "updated"}
    assert done == {"ext_0", "ext_1"}
    assert len(sent) == 1 + 4
    assert all("may have been applied" in told[key]["message"] for key in sent - done)
    assert {line["state"] for line in told.values()} == {"updated", "pending"}


@pytest.mark.slow  # a process is struck
@pytest.mark.parametrize("edited", [False, True])
def test_what_a_kill_left_in_doubt_is_not_sent_by_a_later_run_with_stop(
    program: Program, tmp_path: Path, *, edited: bool
) -> None:
    """A row whose request left under any run, and whose outcome isn't known, is never sent then."""
    sheet = write_sheet(tmp_path / "showings.csv", numbered(60))
    release = threading.Event()
    with fault_server(first(8, good, then=held(release)), me=no_account) as journal:
        push = ("push", sheet, "--base-url", journal.base_url)
        with started(*push, "--ambiguous", "stop", "--workers", 4, "--rate", "20/s") as process:
            when_sent(8 + 4, journal.requests, process)
            process.kill()
            process.communicate()
        sent = set(journal.patched)
        release.set()
        if edited:  # staged again, in another order and with more rows
            write_sheet(sheet, [*reversed(numbered(60)), *numbered(2, first=60)])
        assert program(*push, "--ambiguous", "stop").code == 3
        again = program(*push, "--ambiguous", "stop", "--json")
        assert again.code == 3
        told = results(tmp_path)
        left = {key for key, line in told.items() if line["state"] == "failed"}
        assert again.summary["states"]["failed"] == again.summary["problems"]["connection"]
        assert len(left) == again.summary["states"]["failed"]
        assert all(told[key]["error"] == "connection" for key in left)
        assert all("may have been applied" in told[key]["message"] for key in left)
        assert all("--ambiguous retry" in told[key]["message"] for key in left)
        # None was sent twice, all that is not in doubt was sent, and nothing in doubt is missing.
        assert max(Counter(journal.patched).values()) == 1
        assert sent - left <= {key for key, line in told.items() if line["state"] == "updated"}
        assert set(told) - set(journal.patched) <= left
        assert "--ambiguous retry" in program(*push, "--ambiguous", "stop").out
        assert program(*push).code == 0
        assert set(journal.patched) == set(told)


def test_nothing_listens_one_row_is_tried_and_all_stay_pending(
    program: Program, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(1000))
    ran = program("push", sheet, "--base-url", "http://127.0.0.1:9", "--max-attempts", 2, "--json")
    assert ran.code == 6
    assert ran.summary["states"]["pending"] == 1000
    assert ran.summary["requests"] == 1 + 2  # users/me, and the first row twice
    assert "127.0.0.1:9 refuses connections" in ran.err


@pytest.mark.usefixtures("fast_time")
def test_an_outage_midway_marks_no_row_failed(sandboxes: Sandboxes, tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(300))
    decided: list[RowDecided] = []
    with ExitStack() as stack:
        witness = stack.enter_context(sandboxes())

        def gone_after_thirty(row: RowDecided) -> None:
            decided.append(row)
            if len(decided) == 30:
                stack.close()

        settings = PushSettings(
            input=sheet, base_url=witness.base_url, key=KEY, retry_for_seconds=3
        )
        summary = push(settings, on_row=gone_after_thirty)
    assert summary.exit_code == 6
    assert "Nothing gets through" in str(summary.stopped)
    counts = Counter(line["state"] for line in results(tmp_path).values())
    assert set(counts) == {"updated", "pending"}
    assert counts["updated"] >= 30


def test_a_row_that_the_server_chokes_on_fails_alone(program: Program, tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(6))
    good = reply(200, b'{"data": {}, "message": "ok"}')

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
        assert witness.patches() == []
    assert ran.code == 5
    assert "may not update showings (its permissions for them: read)" in ran.err


def test_a_key_revoked_midway_stops_the_run(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(60))
    with sandboxes(revoke_after=20, latency_seconds=0.01) as witness:
        ran = program("push", sheet, "--base-url", witness.base_url, "--workers", 4, "--json")
        assert len(witness.journal()) <= 24
    assert ran.code == 5
    assert ran.summary["states"]["updated"] == 19  # users/me was one of the 20
    assert ran.summary["states"]["pending"] == 41


def test_another_address_over_an_open_job_is_refused(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", [["ext_1", "good", 5], ["ext_2", "bad", 9]])
    with sandboxes() as witness, sandboxes() as other:
        program("push", sheet, "--base-url", witness.base_url)
        elsewhere = program("push", sheet, "--base-url", other.base_url)
        assert (elsewhere.code, other.journal()) == (2, [])
        assert "--fresh" in elsewhere.err


def test_a_rehearsal_in_a_sandbox_is_not_taken_for_the_real_run(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(3))
    for _ in range(2):
        assert program("push", sheet, "--sandbox", "--json").summary["requests"] == 1 + 3
    with sandboxes() as witness:
        assert (
            program("push", sheet, "--base-url", witness.base_url, "--json").summary["requests"]
            == 1 + 3
        )
        assert program("push", sheet, "--sandbox").code == 2


@pytest.mark.slow  # a process holds the checkpoint
def test_a_second_run_on_the_same_checkpoint_is_refused(program: Program, tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(20))
    release = threading.Event()
    with fault_server(always(held(release))) as journal:
        push = ("push", sheet, "--base-url", journal.base_url)
        with started(*push) as process:
            when_sent(1, journal.requests, process)
            second = program(*push)
            assert second.code == 7
            assert "another run holds this checkpoint" in second.err
            status = program("status", sheet, "--json")
            assert status.code == status.summary["exit_code"] == 7
            assert "Next:       wait" in program("status", sheet).out
            release.set()
            process.communicate()
        assert process.returncode == 0
    assert Counter(journal.patched) == {f"ext_{number}": 1 for number in range(20)}


def test_a_wait_longer_than_max_wait_stops_at_once_and_names_it(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(5))
    with sandboxes(limit=Rate(3, 3600)) as witness:
        options = ("--workers", 1, "--max-wait", "19m", "--json")
        ran = program("push", sheet, "--base-url", witness.base_url, *options)
    assert (ran.code, ran.summary["states"]["updated"]) == (6, 2)
    assert "1200 s (429" in ran.err
    assert "longer than --max-wait (19m). Run again after 20" in ran.err


def test_every_row_fails_by_garbage_then_the_run_stops_instead_of_marking_all(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(40))
    with sandboxes(faults=(Fault(1.0, "garbage"),)) as witness:
        ran = program("push", sheet, "--base-url", witness.base_url, "--retry-for", "3s", "--json")
        assert len(witness.journal()) < 40
    assert ran.code == 6
    assert ran.summary["states"]["pending"] == 40


@pytest.mark.slow  # so many rows that the signal finds it at that
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_staging_says_so_and_nothing_was_sent(
    program: Program, tmp_path: Path, number: signal.Signals
) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(300_000))
    checkpoint = tmp_path / "showings.checkpoint.sqlite"

    def stages() -> bool:
        assert process.poll() is None
        return checkpoint.exists() and checkpoint.stat().st_size > 0

    with started("push", sheet, "--base-url", "http://127.0.0.1:9") as process:
        poll(stages)
        process.send_signal(number)
        out, err = process.communicate()
    assert process.returncode == 128 + number
    assert (out, err.count("\n")) == ("", 1)
    assert "Stopped by" in err
    assert program("status", sheet).code == 4


def test_a_proxy_is_not_asked_for_what_is_on_this_machine(
    program: Program, sandboxes: Sandboxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    sheet = write_sheet(tmp_path / "showings.csv", numbered(3))
    with sandboxes() as witness:
        assert program("push", sheet, "--base-url", witness.base_url).code == 0


def test_a_push_of_more_changes_than_allowed_sends_nothing(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(10))
    with sandboxes() as witness:
        push = ("push", sheet, "--base-url", witness.base_url)
        for bound, code in (("9", 4), ("90%", 4), ("10", 0)):
            checked = program("check", sheet, "--max-changes", bound)
            assert (checked.code, "10 of 10 rows would be sent" in checked.err) == (code, code == 4)
            ran = program(*push, "--max-changes", bound)
            assert (ran.code, "10 of 10 rows would be sent" in ran.err) == (code, code == 4)
            assert len(patches(witness)) == (0 if code else 10)
        # Those that are done are no changes any more.
        write_sheet(sheet, [*numbered(10), ("ext_new", "Nice", 5)])
        assert program(*push, "--only-changed", "--max-changes", "1").code == 0
        assert len(patches(witness)) == 11


def patches(witness: Witness) -> list[object]:
    return [entry for entry in witness.journal() if entry["method"] == "PATCH"]
