"""What the API says of its limit, over a socket: all runs on the machine heed it, and nothing
absurd is believed.
"""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from bulk_sync.clock import SystemClock
from tests.conftest import Program
from tests.faultserver import (
    Deed,
    Journal,
    Script,
    all_good,
    always,
    answers,
    fault_server,
    for_keys,
    good,
    in_turn,
)
from tests.helpers import command, environment, numbered, run, sandbox_process, write_sheet

ROWS = 40
UNDER_WAY = 0.1
NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
"""As some server's clock has it."""


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    return write_sheet(tmp_path / "x.csv", numbered(ROWS))


def throttles(*headers: str) -> Deed:
    return answers(429, {"error": {"message": "Too many requests"}}, *headers)


def once(*headers: str) -> Script:
    """Refuse the first request for one key."""
    return for_keys({"ext_20": in_turn(throttles(*headers), good)})


def pause(journal: Journal) -> float:
    """Seconds from the request that was told something to the next one that was not under way by
    then.
    """
    told_at = journal.of("ext_20")[0].at
    return (
        min(request.at for request in journal.requests if request.at > told_at + UNDER_WAY)
        - told_at
    )


def most_in_a_second(times: list[float]) -> int:
    return max(sum(1 for at in times if start <= at < start + 1) for start in times)


def test_a_wait_holds_all_workers_and_ends_in_no_rush(program: Program, sheet: Path) -> None:
    with fault_server(once("Retry-After: 1")) as journal:
        ran = program(
            "push",
            sheet,
            "--base-url",
            journal.base_url,
            "--workers",
            16,
            "--rate",
            "100/s",
            "--json",
        )
    assert (ran.code, ran.summary["throttled"], ran.summary["requests"]) == (0, 1, ROWS + 1)
    refused_at = journal.of("ext_20")[0].at
    later = sorted(request.at for request in journal.requests if request.at > refused_at + 0.1)
    assert later[0] >= refused_at + 1
    assert sum(1 for at in later if at < later[0] + 0.05) <= 8, "spaced, not all at once"


@pytest.mark.parametrize("zone", ["Asia/Jerusalem", "America/Los_Angeles"])
@pytest.mark.parametrize(
    "form",
    ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"],
    ids=[1123, 850, "asctime"],
)
def test_a_date_is_read_against_the_replys_own_whatever_the_clocks_say(
    sheet: Path, form: str, zone: str
) -> None:
    until = (NOW + timedelta(seconds=1)).strftime(form)
    with fault_server(
        once(f"Retry-After: {until}", f"Date: {format_datetime(NOW, usegmt=True)}")
    ) as journal:
        ran = run("push", sheet, "--base-url", journal.base_url, "--json", TZ=zone)
    assert ran.code == 0, ran.err
    assert 1 <= pause(journal) < 2


@pytest.mark.parametrize("wait", ["86400", "99999999999999999999", "Fri, 31 Dec 2038 23:59:59 GMT"])
def test_a_wait_that_is_too_long_ends_the_run_at_once_with_the_time_named(
    program: Program, sheet: Path, wait: str
) -> None:
    with fault_server(
        once(f"Retry-After: {wait}", f"Date: {format_datetime(NOW, usegmt=True)}")
    ) as journal:
        ran = program("push", sheet, "--base-url", journal.base_url, "--json")
        assert ran.code == 6
        assert "The API asks to wait" in ran.err
        assert "longer than what is left of --retry-for (900 s)" in ran.err
        sent = len(journal.requests)
        again = program("push", sheet, "--base-url", journal.base_url, "--json")
    assert ran.summary["states"]["pending"] > 0
    assert ran.summary["states"]["failed"] == ran.summary["states"]["rejected"] == 0
    # The wait is not over for the next run either; it says so, and until when.
    assert (again.code, len(journal.requests)) == (6, sent)
    assert "asks to wait until 20" in again.err


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("Retry-After: 0",),
        ("Retry-After: -5",),
        ("Retry-After: 1.5",),
        ("Retry-After: soon",),
        ("Retry-After:",),
        ("Retry-After: nan",),
        ("Retry-After: 0x10",),
        ("Retry-After: 86400, 86400",),
        ("Retry-After: Thu, 01 Jan 1970 00:00:00 GMT",),
        ("Retry-After: Fri, 31 Dec 2038 23:59:59 GMT", "Date: yesterday"),
    ],
    ids=lambda headers: " & ".join(headers) or "none",
)
def test_a_refusal_that_names_no_sound_wait_has_a_short_one(
    program: Program, sheet: Path, headers: tuple[str, ...]
) -> None:
    with fault_server(once(*headers)) as journal:
        ran = program("push", sheet, "--base-url", journal.base_url, "--json")
    assert (ran.code, ran.summary["states"]["updated"], ran.summary["throttled"]) == (0, ROWS, 1)
    assert pause(journal) < 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (['RateLimit: "default";r=0;t=2'], 2.0),
        (
            [
                'RateLimit: "burst";r=50;t=1, "default";r=0;t=2',
                'RateLimit-Policy: "default";q=100;w=1',
            ],
            2.0,
        ),
        (["RateLimit: limit=100, remaining=0, reset=2"], 2.0),
        (["RateLimit-Limit: 100, 100;w=1", "RateLimit-Remaining: 0", "RateLimit-Reset: 2"], 2.0),
        (["X-RateLimit-Limit: 200", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 2"], 2.0),
        (["X-RateLimit-Remaining: 0", "X-RateLimit-Reset: {epoch}", "Date: {date}"], 2.0),
        (['RateLimit: "default";r=0;t=31536000'], 0.0),
        (['RateLimit: "default";r=-1;t=-1'], 0.0),
        (["X-RateLimit-Limit: NaN", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 1e9"], 0.0),
        (["X-RateLimit-Remaining: 0", "X-RateLimit-Reset: {epoch}"], 0.0),
        (["X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 99999999999999", "Date: {date}"], 0.0),
        (['RateLimit: ;;;"', "RateLimit-Policy: q=0;w=0"], 0.0),
    ],
    ids=str,
)
def test_what_a_good_reply_says_is_heeded_before_the_first_refusal_and_nothing_absurd_is(
    program: Program, sheet: Path, headers: list[str], seconds: float
) -> None:
    named = {"epoch": int(NOW.timestamp()) + 2, "date": format_datetime(NOW, usegmt=True)}
    told = answers(200, {"data": {"id": "x"}}, *(header.format(**named) for header in headers))
    with fault_server(for_keys({"ext_20": always(told)})) as journal:
        ran = program("push", sheet, "--base-url", journal.base_url, "--rate", "50/s", "--json")
    assert (ran.code, ran.summary["requests"]) == (0, ROWS)
    assert pause(journal) >= seconds
    assert seconds or pause(journal) < 1


def test_the_lower_of_two_limits_counts(program: Program, sheet: Path) -> None:
    told = answers(
        200,
        {"data": {"id": "x"}},
        'RateLimit: "default";r=1000;t=1',
        'RateLimit-Policy: "default";q=20;w=1',
    )
    with fault_server(always(told)) as journal:
        ran = program("push", sheet, "--base-url", journal.base_url, "--json")
    assert (ran.code, ran.summary["rate_limit"]["source"]) == (0, "header")
    assert most_in_a_second([request.at for request in journal.requests]) <= 22


def test_two_runs_at_once_share_one_limit(tmp_path: Path) -> None:
    with sandbox_process(
        "--accept-any", "--limit", "20/s", "--limit-style", "sliding-window"
    ) as witness:
        runs = []
        for number in range(2):
            part = write_sheet(tmp_path / f"{number}.csv", numbered(50, first=50 * number))
            words = command(
                "push", part, "--base-url", witness.base_url, "--rate", "20/s", "--json"
            )
            runs.append(
                subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, text=True)
            )
        summaries = [json.loads(process.communicate(timeout=60)[0]) for process in runs]
        assert [process.returncode for process in runs] == [0, 0]
        assert len(witness.patches()) == sum(summary["requests"] for summary in summaries)
    # A machine that stalls for longer than the spare between two requests makes a strict window
    # refuse one or two.
    assert sum(summary["throttled"] for summary in summaries) <= 4
    assert min(summary["seconds"] for summary in summaries) > 3, (
        "a run for itself would have needed 2.5 s"
    )


def test_a_run_that_was_stopped_for_a_while_makes_good_nothing(sheet: Path) -> None:
    with fault_server(all_good) as journal:
        words = command("push", sheet, "--base-url", journal.base_url, "--rate", "10/s", "--quiet")
        process = subprocess.Popen(words, env=environment())
        clock, waiting = SystemClock(), threading.Event()
        while len(journal.requests) < 5:
            waiting.wait(0.01)
        process.send_signal(signal.SIGSTOP)
        waiting.wait(2)
        woken_at = clock.monotonic()
        process.send_signal(signal.SIGCONT)
        assert process.wait(60) == 0
    times = [request.at for request in journal.requests]
    assert len(times) == ROWS
    assert most_in_a_second([at for at in times if at >= woken_at]) <= 13, (
        "not the 20 that the stop cost"
    )
