"""The control law and the circuit against models of servers, in virtual time: scenarios with the
ranges to keep.

`python -m tests.benchmarks.pace_table` has all of them, and rivals.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import pytest

from bulk_sync.errors import Outage
from bulk_sync.model.rows import RateSource, State
from bulk_sync.quantities import Rate
from bulk_sync.send.transport.interface import Failure, Reply
from tests.simulation import Server, heavy_tail, simulate, usual_policy

HUNDRED, TEN, THOUSAND_A_MINUTE = Rate(100, 1), Rate(10, 1), Rate(1000, 60)


@dataclass(frozen=True)
class Scenario:
    claim: str
    server: dict[str, Any]
    seconds: float
    over: float
    refused: float
    options: dict[str, Any] = field(default_factory=dict)
    optimum: float = 1.0


SCENARIOS = [
    Scenario(
        "a given limit is filled and never tripped",
        {"rate": TEN, "style": "sliding-window"},
        120,
        1.01,
        0,
        {"ceiling": 10},
    ),
    Scenario(
        "so by four processes",
        {"rate": TEN, "style": "fixed-window"},
        120,
        1.02,
        0,
        {"ceiling": 10, "processes": 4},
    ),
    Scenario(
        "a slow tail of replies costs little",
        {"rate": HUNDRED, "latency": heavy_tail(0.15)},
        60,
        1.03,
        0,
        {"ceiling": 100},
    ),
    Scenario(
        "RateLimit headers are kept", {"rate": HUNDRED, "headers": "ratelimit"}, 60, 1.03, 0.5
    ),
    Scenario(
        "X-RateLimit headers too",
        {"rate": TEN, "headers": "x-ratelimit", "style": "fixed-window"},
        120,
        1.03,
        0.5,
    ),
    Scenario(
        "Retry-After alone",
        {"rate": HUNDRED, "headers": "retry-after", "style": "fixed-window"},
        120,
        1.10,
        2,
    ),
    Scenario("bare refusals", {"rate": HUNDRED}, 60, 1.15, 3),
    Scenario("a strict window", {"rate": TEN, "style": "sliding-window"}, 300, 1.15, 3),
    Scenario(
        "a leaky bucket with little burst", {"rate": HUNDRED, "style": "leaky-bucket"}, 60, 1.15, 3
    ),
    Scenario(
        "a limit by the minute", {"rate": THOUSAND_A_MINUTE, "style": "fixed-window"}, 300, 1.15, 3
    ),
    Scenario(
        "bare 503s as nginx has them",
        {"rate": HUNDRED, "style": "leaky-bucket", "refuses_with": 503},
        60,
        1.3,
        6,
    ),
    Scenario(
        "a limit that halves",
        {"rate": HUNDRED, "changes": [(30, Rate(50, 1))]},
        60,
        1.15,
        3,
        optimum=0.75,
    ),
    Scenario(
        "a limit that falls to a fiftieth and comes back",
        {"rate": HUNDRED, "changes": [(20, Rate(2, 1)), (80, HUNDRED)]},
        200,
        1.9,
        3,
        optimum=0.7,
    ),
    Scenario(
        "a header that says ten times too much",
        {
            "rate": TEN,
            "wrong_headers": {"ratelimit-policy": '"x";q=100;w=1', "ratelimit": '"x";r=99;t=1'},
        },
        120,
        1.25,
        10,
    ),
]


LONG = {
    "a slow tail of replies costs little",
    "RateLimit headers are kept",
    "Retry-After alone",
    "bare refusals",
    "a limit that falls to a fiftieth and comes back",
}


@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(one, id=one.claim, marks=[pytest.mark.slow] if one.claim in LONG else [])
        for one in SCENARIOS
    ],
)
def test_the_limit_is_found_and_filled(scenario: Scenario) -> None:
    server = Server(**{**scenario.server, "changes": list(scenario.server.get("changes", []))})
    assert server.rate is not None
    rows = int(server.rate.per_second * scenario.seconds * scenario.optimum)
    ran = simulate(server, rows, **scenario.options)
    assert ran.states() == {State.UPDATED: rows}
    assert ran.seconds / scenario.seconds < scenario.over
    assert ran.refused_per_100 <= scenario.refused


def test_without_a_limit_the_workers_are_the_bound() -> None:
    ran = simulate(Server(), 16 * 20 * 20, workers=16)
    assert ran.server.busiest == 16
    assert ran.seconds < 20 * 1.2
    assert (ran.tallies[0].limit, ran.tallies[0].source) == (None, RateSource.NONE)


REFUSED = Failure("connection", "refused", may_have_arrived=False)


@pytest.mark.parametrize(
    "outage", [REFUSED, Reply(500, {}, b""), Reply(503, {}, b""), Reply(200, {}, b"<html>")]
)
@pytest.mark.parametrize("seconds", [10, 300])
def test_an_outage_that_ends_in_time_fails_no_row_and_is_hardly_asked(
    outage: Reply | Failure, seconds: int
) -> None:
    server = Server(outages=[(5, 5 + seconds)], outage=outage)
    ran = simulate(server, 2000, ceiling=100, policy=usual_policy(max_attempts=3))
    assert ran.states() == {State.UPDATED: 2000}
    asked = sum(status == 0 for _, _, status in server.arrived)
    assert asked < 40
    assert ran.seconds < 20 + seconds + 35


def test_an_outage_that_outlasts_the_time_to_retry_leaves_rows_pending() -> None:
    ran = simulate(Server(outages=[(5, 5000)]), 2000, ceiling=100)
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
