"""Limits as real APIs state them, over a socket, and quotas that are used up without a word."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from bulk_sync.clock import SystemClock
from tests.conftest import Program
from tests.faultserver import Deed, Request, Script, answers, fault_server, refuses
from tests.helpers import numbered, write_sheet

pytestmark = pytest.mark.usefixtures("fast_time")

Headers = Callable[[int, float, bool], list[str]]
"""Requests left in a window, seconds until it ends, and whether the request was refused."""


class Window:
    """A fixed window that begins with its first request; time is the program's."""

    def __init__(self, limit: int, seconds: float, state: Headers) -> None:
        self.limit, self.seconds, self.state = limit, seconds, state
        self.refused = 0
        self._lock = threading.Lock()
        self._began, self._count = -math.inf, 0

    def script(self, request: Request, _: int) -> Deed:
        """Answer a request, users/me like any other."""
        with self._lock:
            if request.at >= self._began + self.seconds:
                self._began, self._count = request.at, 0
            passes = self._count < self.limit
            self._count += passes
            self.refused += not passes
            left = self.limit - self._count
            headers = self.state(left, self._began + self.seconds - request.at, not passes)
        if not passes:
            return refuses(429, "Too many requests", *headers)
        return answers(200, {"data": {"id": request.key}}, *headers)


def ietf(policy: str) -> Headers:
    """`RateLimit` and `RateLimit-Policy`, as the draft has them since -08."""
    return lambda left, seconds, _: [
        f'RateLimit-Policy: "default";{policy}',
        f'RateLimit: "default";r={left};t={math.ceil(seconds)}',
    ]


def decimals(left: int, seconds: float, refused: bool) -> list[str]:
    """As Reddit writes what is left, and Atlassian the reset; -1.0 on a refusal."""
    now = SystemClock().now()
    reset = now + timedelta(seconds=seconds)
    return [
        f"Date: {format_datetime(now.replace(microsecond=0), usegmt=True)}",
        "X-RateLimit-Limit: 10",
        f"X-RateLimit-Remaining: {-1.0 if refused else float(left)}",
        f"X-RateLimit-Reset: {reset:%Y-%m-%dT%H:%M:%SZ}",
    ]


def silent(_: int, __: float, ___: bool) -> list[str]:
    return []


@pytest.mark.usefixtures("transport")
def test_what_is_left_of_an_hour_is_spent_at_once(program: Program, tmp_path: Path) -> None:
    sheet, window = (
        write_sheet(tmp_path / "x.csv", numbered(300)),
        Window(1000, 3600, ietf("q=1000;w=3600")),
    )
    with fault_server(window.script) as journal:
        ran = program("push", sheet, "--base-url", journal.base_url, "--json", "--rate", "auto")
    assert (ran.code, ran.summary["states"]["updated"], window.refused) == (0, 300, 0)
    assert ran.summary["seconds"] < 3600 / 4, "and not spread over the hour"
    (allowance,) = ran.summary["rate_limit"]["allowances"]
    assert (allowance["limit"], allowance["source"]) == (1000, "header")


def test_what_goes_beyond_it_waits_for_the_reset(program: Program, tmp_path: Path) -> None:
    sheet, window = write_sheet(tmp_path / "x.csv", numbered(60)), Window(40, 60, ietf("q=40;w=60"))
    with fault_server(window.script) as journal:
        ran = program("push", sheet, "--base-url", journal.base_url, "--json", "--rate", "auto")
    assert (ran.code, ran.summary["states"]["updated"]) == (0, 60)
    assert window.refused <= 1, "time is fast, so the way to the server takes long"
    gaps = [
        later.at - one.at
        for one, later in zip(journal.requests, journal.requests[1:], strict=False)
    ]
    assert sum(gap > 20 for gap in gaps) == 1, "one wait, for one reset"


def test_decimals_negative_numbers_and_iso_times_are_read(program: Program, tmp_path: Path) -> None:
    sheet, window = write_sheet(tmp_path / "x.csv", numbered(30)), Window(10, 4, decimals)
    with fault_server(window.script) as journal:
        ran = program("push", sheet, "--base-url", journal.base_url, "--json", "--rate", "auto")
    limit = ran.summary["rate_limit"]
    assert (ran.code, ran.summary["states"]["updated"], ran.summary["notes"]) == (0, 30, [])
    assert limit["source"] == "header"
    assert 2 <= limit["requests_per_second"] <= 3.4  # 10 in 3 to 5 whole seconds
    assert window.refused <= 1


def test_the_end_names_a_stated_limit_after_a_refusal_as_well(
    program: Program, tmp_path: Path
) -> None:
    """Another client took one request of the window."""
    sheet, window = (
        write_sheet(tmp_path / "x.csv", numbered(30)),
        Window(10, 2, ietf("q=10;w=2")),
    )
    taken: list[Request] = []

    def script(request: Request, number: int) -> Deed:
        if len(taken) < 3 and request.key == "ext_9":
            taken.append(request)
            return refuses(429, "Too many requests", *window.state(0, 1, True))
        return window.script(request, number)

    with fault_server(script) as journal:
        ran = program("push", sheet, "--base-url", journal.base_url, "--json", "--rate", "auto")
    limit = ran.summary["rate_limit"]
    assert (ran.code, ran.summary["throttled"] >= 3) == (0, True)
    assert (limit["requests_per_second"], limit["source"]) == (5, "header")


def test_a_quota_that_is_used_up_without_a_word_ends_the_run_within_its_bound(
    program: Program, tmp_path: Path
) -> None:
    sheet, window = write_sheet(tmp_path / "x.csv", numbered(60)), Window(21, math.inf, silent)
    script: Script = window.script
    with fault_server(script) as journal:
        to = ("push", sheet, "--base-url", journal.base_url, "--json", "--rate", "auto")
        ran = program(*to, "--max-wait", "30s", "--workers", 8)
    states = ran.summary["states"]
    assert (ran.code, states["updated"], states["pending"], states["failed"]) == (6, 20, 40, 0)
    assert "(429: Too many requests)" in ran.err
    assert "--max-wait (30s)" in ran.err
    assert len(journal.requests[21:]) < 20
