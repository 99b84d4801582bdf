"""The API's limit as it says it itself, over a socket: the run keeps to it, and believes nothing
absurd.

How long each header holds a run is exact in simulated time: tests/unit/test_sender_limits.py.
"""

from __future__ import annotations

import json
import signal
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from bulk_sync.clock import SystemClock
from tests.conftest import Program
from tests.faultserver import (
    Deed,
    Journal,
    Request,
    Script,
    account,
    all_good,
    always,
    answers,
    fault_server,
    for_keys,
    good,
    in_turn,
    no_account,
)
from tests.helpers import Ran, let_pass, numbered, poll, started, write_sheet

ROWS = 40
NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
"""By the server's clock."""

ONE_AT_A_TIME = ("--workers", 1)
"""No request is under way then when the API says something: the next one comes after it."""


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    return write_sheet(tmp_path / "x.csv", numbered(ROWS))


def throttles(*headers: str) -> Deed:
    return answers(429, {"error": {"message": "Too many requests"}}, *headers)


def acknowledges(*headers: str) -> Deed:
    return answers(200, {"data": {}}, *headers)


def once(*headers: str) -> Script:
    """Refuse the first request for one key."""
    return for_keys({"ext_20": in_turn(throttles(*headers), good)})


def pause(journal: Journal) -> float:
    """Return the seconds between the request that was answered with a wait and the next one."""
    times = [request.at for request in journal.requests]
    place = [request.key for request in journal.requests].index("ext_20")
    return times[place + 1] - times[place]


@pytest.mark.usefixtures("fast_time")
@pytest.mark.parametrize(
    "script",
    [
        once("Retry-After: 2"),
        once(
            f"Retry-After: {(NOW + timedelta(seconds=2)).strftime('%A, %d-%b-%y %H:%M:%S GMT')}",
            f"Date: {format_datetime(NOW, usegmt=True)}",
        ),
        for_keys({"ext_20": always(acknowledges('RateLimit: "default";r=0;t=2'))}),
    ],
    ids=["seconds", "a date", "a good reply"],
)
def test_a_wait_that_the_api_asks_for_is_kept(
    program: Program, sheet: Path, script: Script
) -> None:
    with fault_server(script) as journal:
        ran = program("push", sheet, "--base-url", journal.base_url, "--json", *ONE_AT_A_TIME)
    assert (ran.code, ran.summary["states"]["updated"]) == (0, ROWS)
    assert ran.summary["requests"] == 1 + ROWS + ran.summary["throttled"]
    assert pause(journal) >= 2


@pytest.mark.parametrize("wait", ["86400", "99999999999999999999", "Fri, 31 Dec 2038 23:59:59 GMT"])
def test_a_wait_that_is_too_long_ends_the_run_at_once_with_the_time_named(
    program: Program, sheet: Path, wait: str
) -> None:
    with fault_server(
        once(f"Retry-After: {wait}", f"Date: {format_datetime(NOW, usegmt=True)}")
    ) as journal:
        ran = program("push", sheet, "--base-url", journal.base_url, "--json")
        again = program("push", sheet, "--base-url", journal.base_url, "--json")
    assert ran.code == 6
    assert "The API asks to wait" in ran.err
    assert "longer than --max-wait (2h). Run again after 20" in ran.err
    assert ran.summary["states"]["pending"] > 0
    assert ran.summary["states"]["failed"] == ran.summary["states"]["rejected"] == 0
    # It may have been a mistake, so the next run tries.
    assert (again.code, again.summary["states"]["updated"]) == (0, ROWS)


@pytest.mark.parametrize("told_by", ["headers", "users/me"])
def test_a_reset_that_is_too_far_away_ends_one_run_and_not_the_next(
    program: Program, sheet: Path, told_by: str
) -> None:
    """It may have been a mistake as well, so the next run asks once."""
    later = datetime.now(UTC) + timedelta(days=200)
    absurd = acknowledges("X-RateLimit-Remaining: 0", f"X-RateLimit-Reset: {200 * 86400}")
    account_says = in_turn(
        account(rate_limit={"remaining": 0, "resets_at": later.isoformat()}),
        account(rate_limit={"remaining": 900, "resets_at": later.isoformat()}),
    )
    scripts = {"ext_20": in_turn(absurd, good)} if told_by == "headers" else {"me": account_says}
    with fault_server(for_keys(scripts)) as journal:
        to = ("push", sheet, "--base-url", journal.base_url, "--json")
        ran, again = program(*to, "--workers", 1), program(*to)
    assert ran.code == 6
    assert "longer than --max-wait (2h). Run again after 20" in ran.err
    assert ran.summary["states"]["pending"] > 0
    assert (again.code, again.summary["states"]["updated"]) == (0, ROWS)


@pytest.mark.usefixtures("fast_time")
@pytest.mark.parametrize("rate", ["1/h", "0.001/s"])
def test_the_rate_of_an_earlier_run_does_not_bind_the_next_one(
    program: Program, sheet: Path, rate: str
) -> None:
    with fault_server(all_good) as journal:
        to = ("push", sheet, "--base-url", journal.base_url, "--json")
        slow = program(*to, "--rate", rate, "--deadline", "10s")
        again = program(*to, "--deadline", "10m")
    assert (slow.code, again.code) == (6, 0)
    assert again.summary["states"]["updated"] == ROWS


UNSOUND_WAITS = [
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
]


@pytest.mark.usefixtures("fast_time")
def test_a_refusal_that_names_no_sound_wait_stops_no_run(program: Program, sheet: Path) -> None:
    """Were one of the long ones believed, the run would end as above."""
    refused = {
        f"ext_{3 * number}": in_turn(throttles(*headers), good)
        for number, headers in enumerate(UNSOUND_WAITS)
    }
    with fault_server(for_keys(refused)) as journal:
        ran = program("push", sheet, "--base-url", journal.base_url, "--json")
    assert (ran.code, ran.summary["states"]["updated"]) == (0, ROWS)
    assert ran.summary["throttled"] == len(UNSOUND_WAITS)
    assert Counter(journal.patched) == {
        f"ext_{number}": 1 + (f"ext_{number}" in refused) for number in range(ROWS)
    }


ABSURD_LIMITS = [
    ['RateLimit: "default";r=0;t=31536000'],
    ['RateLimit: "default";r=-1;t=-1'],
    ["X-RateLimit-Limit: NaN", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 1e9"],
    ["X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 1000000000"],
    [
        "X-RateLimit-Remaining: 0",
        "X-RateLimit-Reset: 99999999999999",
        f"Date: {format_datetime(NOW, usegmt=True)}",
    ],
    ['RateLimit: ;;;"', "RateLimit-Policy: q=0;w=0"],
]


def test_an_absurd_limit_of_a_good_reply_stops_no_run(program: Program, sheet: Path) -> None:
    told = {
        f"ext_{5 * number}": always(acknowledges(*headers))
        for number, headers in enumerate(ABSURD_LIMITS)
    }
    with fault_server(for_keys(told)) as journal:
        ran = program("push", sheet, "--base-url", journal.base_url, "--json")
    assert (ran.code, ran.summary["requests"], ran.summary["throttled"]) == (0, 1 + ROWS, 0)


@pytest.mark.usefixtures("transport")
@pytest.mark.parametrize(
    "form",
    [
        lambda at: f"Retry-After: {format_datetime(at, usegmt=True)}",
        lambda at: f"Retry-After: {at.timestamp():.0f}",
        lambda at: f"Retry-After: {at:%Y-%m-%dT%H:%M:%SZ}",
    ],
    ids=["a date", "an epoch", "ISO 8601"],
)
def test_a_time_in_a_reply_without_a_date_is_compared_with_this_clock(
    program: Program, sheet: Path, form: Callable[[datetime], str]
) -> None:
    """RFC 9110, section 6.6.1: the recipient adds the `Date` that is missing."""

    def script(request: Request, number: int) -> Deed:
        if request.key != "ext_20" or number > 1:
            return good
        return throttles(form(datetime.now(UTC) + timedelta(seconds=2.5)))

    with fault_server(script) as journal:
        ran = program("push", sheet, "--base-url", journal.base_url, "--json", *ONE_AT_A_TIME)
    assert (ran.code, ran.summary["throttled"]) == (0, 1)
    assert pause(journal) >= 1


@pytest.mark.usefixtures("fast_time")
def test_the_lower_of_two_limits_counts(program: Program, sheet: Path) -> None:
    told = acknowledges('RateLimit: "default";r=1000;t=1', 'RateLimit-Policy: "default";q=20;w=1')
    with fault_server(always(told)) as journal:
        ran = program("push", sheet, "--base-url", journal.base_url, "--json", *ONE_AT_A_TIME)
    assert (ran.code, ran.summary["rate_limit"]["source"]) == (0, "header")
    assert journal.requests[-1].at - journal.requests[0].at >= (ROWS - 3) / 20


@pytest.mark.slow  # two processes, and time in which they could send twice as much
def test_two_runs_at_once_share_one_limit(tmp_path: Path) -> None:
    both_send = threading.Barrier(2, timeout=120)

    def script(request: Request, _: int) -> Deed:
        if request.key in {"ext_0", "ext_20"}:  # each run's first, which goes alone
            both_send.wait()
        return good

    with fault_server(script, me=no_account) as journal:
        to = ("--base-url", journal.base_url, "--rate", "20/s", "--json")
        sheets = [
            write_sheet(tmp_path / f"{first}.csv", numbered(20, first=first)) for first in (0, 20)
        ]
        with started("push", sheets[0], *to) as one, started("push", sheets[1], *to) as other:
            summaries = [json.loads(run.communicate()[0]) for run in (one, other)]
        assert [one.returncode, other.returncode] == [0, 0]
    assert [summary["requests"] for summary in summaries] == [1 + 20, 1 + 20]
    began = journal.of("ext_0")[0].at
    began = max(began, journal.of("ext_20")[0].at)
    # 38 more at 20/s; each for itself would have needed half of that.
    assert journal.requests[-1].at - began >= 36 / 20


@pytest.mark.slow  # the time in which the run stands still
def test_a_run_that_was_stopped_for_a_while_makes_good_nothing(sheet: Path) -> None:
    with fault_server(all_good, me=no_account) as journal:
        to = ("--base-url", journal.base_url, "--rate", "20/s", "--quiet")
        with started("push", sheet, *to, *ONE_AT_A_TIME) as process:
            poll(lambda: len(journal.requests) >= 5)
            process.send_signal(signal.SIGSTOP)
            let_pass(1.0)
            before = len(journal.requests)
            woken_at = SystemClock().monotonic()
            process.send_signal(signal.SIGCONT)
            process.communicate()
            assert process.returncode == 0
    assert len(journal.requests) == ROWS
    # One permit was reserved, one request perhaps on its way; what the stop cost is not caught up.
    assert journal.requests[-1].at - woken_at >= (ROWS - before - 3) / 20


@pytest.mark.usefixtures("fast_time")
def test_a_hold_is_shown_counted_and_can_be_lifted(program: Program, sheet: Path) -> None:
    """The deadline ends the run before the wait is over; the next runs wait for the rest of it."""
    asks = for_keys({"ext_20": in_turn(throttles("Retry-After: 1800"), good)})
    with fault_server(asks) as journal:
        to = ("--base-url", journal.base_url)
        before = program("doctor", *to, "--json")
        ran = program("push", sheet, *to, "--deadline", "60s", "--json")
        held = program("doctor", *to, "--json")
        checked = program("check", sheet, *to, "--json", "--finish-by", "23:59").summary
        text = program("check", sheet, *to).out
        limit = finding(held, "limit")
        Path(limit["text"].rpartition("delete ")[2]).unlink()
        again = program("push", sheet, *to, "--json")
    assert finding(before, "limit")["text"] == "not known yet: the first push finds it"
    assert ran.code == 6
    assert limit["standing"] == "notice"
    assert "the API refused a push with this key, so all wait until 20" in limit["text"]
    assert "min" in limit["text"]
    assert 0 < checked["held_seconds"] <= 1800
    assert checked["seconds"] is None or checked["seconds"] >= checked["held_seconds"]
    assert "the API asks to wait" in text
    assert (again.code, again.summary["states"]["pending"]) == (0, 0)


def finding(ran: Ran, about: str) -> dict[str, str]:
    """Return a finding of doctor."""
    found: list[dict[str, str]] = json.loads(ran.out)["findings"]
    return next(one for one in found if one["about"] == about)
