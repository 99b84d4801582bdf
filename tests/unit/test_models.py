"""The models of rate-limited APIs: rules, ways of telling, and the greedy schedule by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.quantities import Rate
from bulk_sync.sandbox.limits import FixedWindow as SandboxFixedWindow
from bulk_sync.sandbox.limits import Limit
from bulk_sync.sandbox.limits import SlidingWindow as SandboxSlidingWindow
from bulk_sync.sandbox.limits import TokenBucket as SandboxTokenBucket
from bulk_sync.sandbox.limits import WindowFromFirst as SandboxWindowFromFirst
from tests.models.optimum import optimum_seconds, with_repeats
from tests.models.rules import (
    Changing,
    Concurrency,
    FixedWindow,
    LeakyBucket,
    LockOut,
    Rule,
    Several,
    SlidingCounter,
    SlidingLog,
    TokenBucket,
    WindowFromFirst,
)
from tests.models.telling import (
    Told,
    per_window,
    ratelimit,
    ratelimit_07,
    reset_text,
    retry_after,
    retry_after_decimal,
    separate,
    users_me,
)


def passing(rule: Rule, instants: list[float]) -> list[bool]:
    """Ask at those instants; return which requests passed."""
    seen = []
    for now in instants:
        passes = rule.wait(now, 0) == 0
        (rule.passed if passes else rule.refused)(now)
        seen.append(passes)
    return seen


Y, N = True, False


@pytest.mark.parametrize(
    ("rule", "instants", "passed"),
    [
        (TokenBucket(2, 2), [0, 0, 0, 0.5, 0.5, 2, 2, 2], [Y, Y, N, Y, N, Y, Y, N]),
        (TokenBucket(1, 3, tokens=1), [0, 0, 1, 1.5], [Y, N, Y, N]),
        # The first has no excess; 10/s with a burst of 2 lets two more through at once.
        (LeakyBucket(10, 2), [0, 0, 0, 0, 0.1, 0.1], [Y, Y, Y, N, Y, N]),
        (LeakyBucket(10, 0), [0, 0.05, 0.1, 0.2], [Y, N, Y, Y]),
        (FixedWindow(2, 10), [9, 9.5, 9.9, 10, 10.1, 10.2, 20], [Y, Y, N, Y, Y, N, Y]),
        (FixedWindow(3, 10, phase=4, used=2), [5, 5, 14, 14, 14, 14], [Y, N, Y, Y, Y, N]),
        (WindowFromFirst(2, 10), [7, 8, 16.9, 17, 30, 30, 30], [Y, Y, N, Y, Y, Y, N]),
        (SlidingLog(2, 10), [0, 6, 9, 10, 15, 16], [Y, Y, N, Y, N, Y]),
        # 8 in the first window: at 15, half of them count.
        (SlidingCounter(8, 10), [5] * 8 + [5, 10, 15, 15, 15, 15, 15],
         [Y] * 8 + [N, N, Y, Y, Y, Y, N]),
        (LockOut(FixedWindow(1, 1), 30), [0, 0.5, 1, 30.9, 60.9], [Y, N, N, N, Y]),
        (LockOut(FixedWindow(1, 1), 30, renewed=False), [0, 0.5, 1, 30, 30.5], [Y, N, N, N, Y]),
        (Changing(FixedWindow(1, 10), (5, SlidingLog(2, 10))), [0, 1, 5, 5, 5], [Y, N, Y, Y, N]),
        (Several(FixedWindow(2, 1), FixedWindow(3, 60)), [0, 0, 0, 1, 2, 60], [Y, Y, N, Y, N, Y]),
    ],
)  # fmt: skip
def test_rules_pass_what_they_should(rule: Rule, instants: list[float], passed: list[bool]) -> None:
    assert passing(rule, instants) == passed


def test_a_lock_out_that_is_not_renewed_counts_from_its_first_refusal() -> None:
    rule = LockOut(FixedWindow(1, 1), 30, renewed=False)
    assert passing(rule, [0, 0.5, 20]) == [Y, N, N]
    assert rule.wait(20, 0) == 10.5


RULES: list[Callable[[], Rule]] = [
    lambda: TokenBucket(3, 5),
    lambda: LeakyBucket(3, 4),
    lambda: FixedWindow(7, 2.5, phase=0.7, used=3),
    lambda: WindowFromFirst(7, 2.5),
    lambda: SlidingLog(7, 2.5),
    lambda: SlidingCounter(7, 2.5),
    lambda: Several(SlidingLog(3, 1), FixedWindow(9, 4)),
    lambda: LockOut(SlidingLog(3, 1), 5),
    lambda: Changing(SlidingLog(3, 1), (4.0, TokenBucket(1, 2))),
]


@given(
    st.sampled_from(RULES), st.lists(st.floats(0, 1.5).map(lambda gap: round(gap, 3)), max_size=60)
)
def test_a_request_passes_after_the_wait_and_not_before(
    make: Callable[[], Rule], gaps: list[float]
) -> None:
    rule, now = make(), 0.0
    for gap in gaps:
        now += gap
        wait = rule.wait(now, 0)
        assert rule.wait(now, 0) == wait, "asking counts nothing"
        if wait == 0:
            rule.passed(now)
            continue
        assert rule.wait(now + wait * 0.99, 0) > 0
        steps = 0
        while (wait := rule.wait(now, 0)) > 0 and steps < 5:  # a bound from below
            now, steps = now + wait + 1e-9, steps + 1
        assert wait == 0
        rule.passed(now)


@given(st.lists(st.floats(0, 1.5).map(lambda gap: round(gap, 3)), max_size=60))
@pytest.mark.parametrize(
    ("ours", "sandbox"),
    [
        (lambda: TokenBucket(5 / 2, 5), SandboxTokenBucket),
        (lambda: FixedWindow(5, 2), SandboxFixedWindow),
        (lambda: WindowFromFirst(5, 2), SandboxWindowFromFirst),
        (lambda: SlidingLog(5, 2), SandboxSlidingWindow),
    ],
)
def test_the_sandbox_judges_alike(
    ours: Callable[[], Rule], sandbox: Callable[[Rate], Limit], gaps: list[float]
) -> None:
    rule, limit, now = ours(), sandbox(Rate(5, 2)), 100.0
    for gap in gaps:
        now += gap
        [passes] = passing(rule, [now])
        verdict = limit.ask(now, 0)
        [count] = rule.counts(now)
        assert (verdict.passes, verdict.remaining) == (passes, count.remaining)


NOW = datetime(2026, 3, 14, 16, 30, 0, 250_000, tzinfo=UTC)
REFUSED = Told(False, 3.2, FixedWindow(10, 4, used=10).counts(0.8), NOW)


@pytest.mark.parametrize(
    ("teller", "headers"),
    [
        (retry_after, {"Retry-After": "4"}),
        (retry_after_decimal, {"Retry-After": "3.200"}),
        (ratelimit(), {"RateLimit": '"w0";r=0;t=4', "RateLimit-Policy": '"w0";q=10;w=4'}),
        (ratelimit("down", policy=False), {"RateLimit": '"w0";r=0;t=3'}),
        (ratelimit_07,
         {"RateLimit": "limit=10, remaining=0, reset=4", "RateLimit-Policy": "10;w=4"}),
        (separate(), {"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "0",
                      "X-RateLimit-Reset": "4"}),
        (separate("X-Rate-Limit", "epoch", "down"),
         {"X-Rate-Limit-Limit": "10", "X-Rate-Limit-Remaining": "0",
          "X-Rate-Limit-Reset": "1773505803"}),
        (separate("X-RateLimit", "iso", decimals=True),
         {"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "-1.0",
          "X-RateLimit-Reset": "2026-03-14T16:30:04Z"}),
    ],
)  # fmt: skip
def test_a_limit_is_told_in_many_spellings(
    teller: Callable[[Told], dict[str, str]], headers: dict[str, str]
) -> None:
    assert teller(REFUSED) == headers


def test_kong_tells_of_each_window_and_of_the_tightest() -> None:
    rule = Several(FixedWindow(10, 1), FixedWindow(600, 60, used=595))
    rule.passed(0.5)
    headers = per_window(Told(True, 0, rule.counts(0.5), NOW))
    assert headers == {
        "X-RateLimit-Limit-Second": "10",
        "X-RateLimit-Remaining-Second": "9",
        "X-RateLimit-Limit-Minute": "600",
        "X-RateLimit-Remaining-Minute": "4",
        "RateLimit-Limit": "600",
        "RateLimit-Remaining": "4",
        "RateLimit-Reset": "60",
    }


def test_users_me_tells_the_rest_of_the_longest_window() -> None:
    rule = Several(FixedWindow(10, 1), FixedWindow(1000, 3600, used=15))
    body = users_me(Told(True, 0, rule.counts(1800), NOW))
    assert (
        b'"rate_limit": {"tier": "standard", "remaining": 985, "resets_at": "2026-03-14T17:00:00Z"}'
        in body
    )
    assert b"rate_limit" not in users_me(Told(True, 0, (), NOW))


def test_a_reset_in_milliseconds() -> None:
    assert reset_text(NOW, 0.5, "epoch-ms", "up") == "1773505800750"


# The greedy schedule. Latency is 1 s; a request takes 3 ms to arrive.


def optimum(rule: Rule | None, requests: float, workers: int = 100, start: float = 0.0) -> float:
    return optimum_seconds(rule, requests, workers=workers, latency=lambda _: 1.0, start=start)


@pytest.mark.parametrize(
    ("rule", "requests", "workers", "seconds"),
    [
        (None, 10, 1, 10),
        (None, 10, 4, 3),
        # 5 at once, then one each half second: the 11th arrives at 3.003 and is answered at 4.
        (TokenBucket(2, 5), 11, 100, 4),
        # The aligned window that begins at 0 has 10; the next ten at 60, the last five at 120.
        (FixedWindow(10, 60), 25, 100, 120.997),
        # It began 50 s ago and 8 are used: 2 at once, 10 at 10 s, 10 at 70 s.
        (FixedWindow(10, 60, phase=-50, used=8), 22, 100, 70.997),
        # From the first arrival, 3 ms after the start.
        (WindowFromFirst(10, 60), 25, 100, 121),
        (SlidingLog(10, 60), 25, 100, 121),
        # Ten workers pass ten a second in any case, the bucket is never short.
        (TokenBucket(20, 20), 100, 10, 10),
        (Concurrency(4), 10, 100, 3),
        # 1 at once, then an even stream of 10/s.
        (LeakyBucket(10, 0), 11, 100, 2),
        # 3 at 5 s, when the rule changes, after one at once.
        (Changing(FixedWindow(1, 60), (5, FixedWindow(3, 60))), 4, 100, 5.997),
        # Two a second, and 6 a minute: seconds 0, 1, 2, then the next minute.
        (Several(FixedWindow(2, 1), FixedWindow(6, 60)), 8, 100, 60.997),
        (LockOut(FixedWindow(5, 1), 30), 12, 100, 2.997),
    ],
)  # fmt: skip
def test_the_greedy_schedule_by_hand(
    rule: Rule | None, requests: int, workers: int, seconds: float
) -> None:
    assert optimum(rule, requests, workers) == pytest.approx(seconds, abs=0.01)


def test_the_greedy_schedule_begins_where_the_clock_is() -> None:
    assert optimum(FixedWindow(10, 60), 11, start=59) == pytest.approx(1.997, abs=0.01)
    assert optimum(FixedWindow(10, 3600), 11, start=1000) == pytest.approx(2600.997, abs=0.01)


def test_the_greedy_schedule_leaves_the_rule_as_it_is() -> None:
    rule = FixedWindow(10, 60)
    assert optimum(rule, 25) == optimum(rule, 25)
    assert rule.counts(0)[0].remaining == 10


def test_the_greedy_schedule_is_never_refused() -> None:
    """A lock-out of an hour costs nothing, since nothing is refused."""
    assert optimum(LockOut(SlidingLog(3, 1), 3600), 30) < 12


def test_repeats_of_faults_are_counted() -> None:
    assert with_repeats(990, 0.01) == pytest.approx(1000)
    assert math.isclose(with_repeats(10, 0), 10)
