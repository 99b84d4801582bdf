"""The control law and the circuit against models of servers, in virtual time: scenarios with the
ranges to keep.

`python -m tests.benchmarks.pace_table` has all of them, and rivals.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast
from zlib import crc32

import pytest

from bulk_sync.errors import Outage
from bulk_sync.model.rows import RateSource, State
from bulk_sync.quantities import Rate
from bulk_sync.send.transport.interface import Failure, Reply
from tests import simulation
from tests.models.rules import (
    Changing,
    FixedWindow,
    LeakyBucket,
    LockOut,
    Rule,
    SlidingLog,
    TokenBucket,
)
from tests.models.telling import Teller, nothing, ratelimit, retry_after, separate
from tests.simulation import (
    START,
    STARTED,
    Faults,
    Server,
    heavy_tail,
    optimum,
    simulate,
    steady,
    usual_policy,
)

# A coverage run triples the time of these loops; faster tests reach the same lines.
pytestmark = pytest.mark.uncovered

HUNDRED, TEN = TokenBucket(100, 100), SlidingLog(10, 1)


@dataclass(frozen=True)
class Scenario:
    """At most `over` times the optimum and 2 s more, `refused` of 100 requests."""

    claim: str
    rule: Rule
    rows: int
    over: float
    refused: float
    server: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    is_long: bool = False


SCENARIOS = [
    Scenario(
        "a given limit is filled and never tripped",
        TEN, 1200, 1.01, 0, options={"rates": (Rate(10, 1),)},
    ),
    Scenario(
        "so by four processes",
        FixedWindow(10, 1), 1200, 1.02, 0, options={"rates": (Rate(10, 1),), "processes": 4},
    ),
    Scenario(
        "a slow tail of replies costs little",
        HUNDRED, 6000, 1.03, 0, {"latency": heavy_tail(0.15)},
        {"rates": (Rate(100, 1),), "workers": 64}, is_long=True,
    ),
    Scenario(
        "RateLimit headers are kept",
        HUNDRED, 6000, 1.03, 0.5, {"tells": ratelimit()}, is_long=True,
    ),
    Scenario("X-RateLimit headers too", FixedWindow(10, 1), 1200, 1.03, 0.5, {"tells": separate()}),
    Scenario(
        "Retry-After alone",
        FixedWindow(100, 1), 12000, 1.10, 2, {"tells": retry_after}, is_long=True,
    ),
    Scenario("bare refusals", HUNDRED, 6000, 1.15, 3, is_long=True),
    Scenario("a strict window", TEN, 3000, 1.15, 3),
    Scenario("a leaky bucket with little burst", LeakyBucket(100, 5), 6000, 1.15, 3),
    Scenario(
        "bare 503s as nginx has them", LeakyBucket(100, 5), 6000, 1.3, 6, {"refuses_with": 503}
    ),
    Scenario(
        "a limit that halves", Changing(HUNDRED, (START + 30, TokenBucket(50, 50))), 4500, 1.15, 3
    ),
    Scenario(
        "a limit that falls to a fiftieth and comes back",
        Changing(HUNDRED, (START + 20, TokenBucket(2, 2)), (START + 80, HUNDRED)),
        14000, 1.9, 3, is_long=True,
    ),
    Scenario(
        "a header that says ten times too much",
        TokenBucket(10, 10), 1200, 1.25, 10,
        {"wrong_headers": {"ratelimit-policy": '"x";q=100;w=1', "ratelimit": '"x";r=99;t=1'}},
    ),
    Scenario(
        "a bucket whose headers say a fifth of its rate",
        LeakyBucket(100, 20), 10_000, 1.1, 0.5, {"tells": ratelimit()}, is_long=True,
    ),
    Scenario(
        "resets rounded up to twice the window",
        TEN, 1000, 1.3, 0, {"tells": separate(reset="epoch")},
    ),
    Scenario(
        "a window of ten seconds with a lock-out",
        LockOut(SlidingLog(50, 10), 30), 3000, 1.6, 1,
    ),
    Scenario(
        "a token bucket with a lock-out",
        LockOut(TokenBucket(10, 10), 30), 6000, 1.4, 1, is_long=True,
    ),
    Scenario("an hour's window", SlidingLog(1000, 3600), 4900, 1.02, 1, is_long=True),
    Scenario("a second's window for four", TEN, 3000, 1.15, 1, options={"processes": 4}),
]  # fmt: skip


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("share", [0.002, 0.03])
def test_random_refusals_without_a_limit_cost_little_speed(share: float, status: int) -> None:
    sound = simulate(Server(), 8000).seconds
    faulty = simulate(Server(faults=Faults(share, status)), 8000)
    assert faulty.states() == {State.UPDATED: 8000}
    assert faulty.seconds < 1.15 * sound


@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(one, id=one.claim, marks=[pytest.mark.slow] if one.is_long else [])
        for one in SCENARIOS
    ],
)
def test_the_limit_is_found_and_filled(scenario: Scenario) -> None:
    server = Server(scenario.rule, **scenario.server)
    ran = simulate(server, scenario.rows, **scenario.options)
    assert ran.states() == {State.UPDATED: scenario.rows}
    lanes = {
        name: scenario.options[name]
        for name in ("workers", "processes")
        if name in scenario.options
    }
    best = optimum(server, scenario.rows, **lanes)
    assert (ran.seconds - 2) / best < scenario.over
    assert ran.refused_per_100 <= scenario.refused


def test_without_a_limit_the_workers_are_the_bound() -> None:
    ran = simulate(Server(), 16 * 20 * 20, workers=16)
    assert ran.server.busiest == 16
    assert ran.seconds < 20 * 1.2
    assert (ran.tallies[0].limit, ran.tallies[0].source) == (None, RateSource.NONE)


TWENTY_MS = steady(0.02)


@pytest.mark.slow  # 20,000 rows each
@pytest.mark.parametrize("share", [0.002, 0.03])
def test_rare_bare_503s_hardly_slow_a_run_down(share: float) -> None:
    rows, sound = 5_000, simulate(Server(latency=TWENTY_MS), 5_000).seconds
    took = []
    for seed in (1, 2, 3):
        ran = simulate(Server(latency=TWENTY_MS, faults=Faults(share), seed=seed), rows)
        assert ran.states() == {State.UPDATED: rows}
        took.append(ran.seconds)
    assert sum(took) / len(took) <= sound / 0.9


@pytest.mark.slow  # 15,000 rows each
@pytest.mark.parametrize("share", [0.03])
def test_bare_503s_do_not_hide_a_limit(share: float) -> None:
    rows, over = 5_000, []
    for seed in (1, 2, 3):
        server = Server(
            HUNDRED, tells=retry_after, latency=TWENTY_MS, faults=Faults(share), seed=seed
        )
        ran = simulate(server, rows)
        assert ran.states() == {State.UPDATED: rows}
        assert ran.refused_per_100 < 3
        over.append(ran.seconds / optimum(server, rows))
    assert sum(over) / len(over) <= 1.15
    assert max(over) <= 1.3


REFUSED = Failure("connection", "refused", may_have_arrived=False)


@pytest.mark.parametrize(
    "outage", [REFUSED, Reply(500, {}, b""), Reply(503, {}, b""), Reply(200, {}, b"<html>")]
)
@pytest.mark.parametrize("seconds", [10, 300])
def test_an_outage_that_ends_in_time_fails_no_row_and_is_hardly_asked(
    outage: Reply | Failure, seconds: int
) -> None:
    server = Server(outages=[(5, 5 + seconds)], outage=outage)
    ran = simulate(server, 2000, rates=(Rate(100, 1),), policy=usual_policy(max_attempts=3))
    assert ran.states() == {State.UPDATED: 2000}
    asked = sum(status == 0 for _, _, status in server.arrived)
    assert asked < 40
    assert ran.seconds < 20 + seconds + 35


def test_an_outage_that_outlasts_the_time_to_retry_leaves_rows_pending() -> None:
    ran = simulate(Server(outages=[(5, 5000)]), 2000, rates=(Rate(100, 1),))
    assert set(ran.states()) == {State.UPDATED, State.PENDING}
    assert isinstance(ran.stopped[0], Outage)
    assert 900 <= ran.seconds < 920


def choking(first: int, last: int) -> Any:
    keys = {f"k{number}" for number in range(first, last)}
    return lambda key, _count: key in keys


@pytest.mark.parametrize(("first", "last"), [(100, 140), (0, 30), (995, 1000)])
def test_a_block_of_rows_that_the_server_chokes_on_fails_and_nothing_else(
    first: int, last: int
) -> None:
    ran = simulate(Server(chokes_on=choking(first, last)), 1000, workers=8)
    if first == 0:  # nothing tells such a start from an API that answers 500 to all
        assert set(ran.states()) <= {State.UPDATED, State.FAILED, State.PENDING}
        return
    assert ran.states() == {State.UPDATED: 1000 - (last - first), State.FAILED: last - first}


def test_a_block_at_the_end_stays_pending_and_fails_when_it_was_tried_before() -> None:
    first = simulate(Server(chokes_on=choking(970, 1000)), 1000)
    assert first.states() == {State.UPDATED: 970, State.PENDING: 30}
    again = simulate(Server(chokes_on=choking(0, 30)), 31, tried=True)
    assert again.states() == {State.UPDATED: 1, State.FAILED: 30}


def test_retries_are_a_fifth_at_most_while_others_wait() -> None:
    server = Server(chokes_on=lambda key, count: crc32(key.encode()) % 10 < 3 and count < 2)
    ran = simulate(server, 1500, policy=usual_policy(max_attempts=6))
    assert ran.states()[State.UPDATED] == 1500
    firsts: set[str] = set()
    retries = 0
    for _, key, _ in server.arrived:
        retries += key in firsts
        firsts.add(key)
        if len(firsts) == 1450:
            break
    assert retries <= 0.2 * (retries + 1450) + 16


@pytest.mark.parametrize("seed", [1, 2, 3, 11, 14])
@pytest.mark.parametrize("jitter", [0.0, 0.15])
def test_a_lock_out_that_each_try_renews_is_sat_out_also_where_requests_arrive_unevenly(
    monkeypatch: pytest.MonkeyPatch, seed: int, jitter: float
) -> None:
    """As Airtable does it: 5 a second, then half a minute of silence is demanded."""
    monkeypatch.setattr(simulation, "STARTED", STARTED + timedelta(seconds=7.31 * seed))
    rule = LockOut(SlidingLog(5, 1), 30)
    server = Server(rule, latency=lambda dice: 0.02 + jitter * dice.random(), seed=seed)
    ran = simulate(server, 60)
    assert ran.states() == {State.UPDATED: 60}
    assert ran.seconds < 300


@pytest.mark.parametrize("most", [0.03, 0.3, 1.0])
@pytest.mark.parametrize("tells", [ratelimit(), nothing])
def test_a_busy_machine_that_sends_late_is_not_refused_for_it(tells: Teller, most: float) -> None:
    def late(dice: random.Random) -> float:
        return dice.random() * (most if dice.random() < 0.3 else 0.001)

    server = Server(SlidingLog(5, 1), tells)
    ran = simulate(server, 300, rates=(Rate(5, 1),) if tells is nothing else (), late=late)
    assert [at for at, _, status in server.arrived if status == 429] == []
    # A request whose turn comes late takes no turn of another one.
    assert ran.seconds < 60 * (1.02 + 0.45 * most)


@pytest.mark.parametrize("share", [1, 3])
def test_a_stated_rate_is_soon_back_when_others_used_it_up_for_a_while(share: int) -> None:
    busy_until = START + 30

    def others(_key: str, _count: int) -> bool:
        """Let others take permits at each request; none fails for it."""
        now = asyncio.get_running_loop().time()
        for _ in range(share if now < busy_until else 0):
            if rule.wait(now, 0) <= 0:
                rule.passed(now)
        return False

    server = Server(SlidingLog(5, 1), ratelimit(), chokes_on=others)
    rule = cast("SlidingLog", server.rule)
    simulate(server, 400)
    passed = [at for at, _, status in server.arrived if status == 200]
    refused = [at for at, _, status in server.arrived if status == 429]
    assert refused
    assert len(refused) < 0.05 * len(passed)
    first = busy_until + 20
    assert sum(first <= at < first + 20 for at in passed) >= 0.9 * 5 * 20


@pytest.mark.parametrize("tells", [ratelimit(), nothing])
def test_a_stated_rate_is_back_within_a_minute_after_refusals_that_it_does_not_explain(
    tells: Teller,
) -> None:
    busy_until = START + 40

    def chokes(key: str, count: int) -> bool:
        is_busy = asyncio.get_running_loop().time() < busy_until
        return is_busy and count == 1 and crc32(key.encode()) % 50 == 0

    server = Server(SlidingLog(5, 1), tells, chokes_on=chokes, chokes_with=429)
    ran = simulate(server, 750, rates=(Rate(5, 1),) if tells is nothing else ())
    refused = [at for at, _, status in server.arrived if status == 429]
    assert sum(at < busy_until for at in refused) >= 2
    passed = [at for at, _, status in server.arrived if status == 200]
    first = busy_until + 60
    assert sum(first <= at < first + 30 for at in passed) >= 0.9 * 5 * 30
    assert ran.refused_per_100 < 1
