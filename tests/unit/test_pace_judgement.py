"""Refusals as the pace judges them: a fault, a limit, a window that is used up."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest

from bulk_sync.model.rows import RateSource
from bulk_sync.send.advertised import Advertised
from bulk_sync.send.faults import Faults
from bulk_sync.send.headers import Quota
from bulk_sync.send.observation import Kind, Observation
from bulk_sync.send.pace import Pace
from tests.unit.test_pace import at_most, ended, seen, take

LATENCY = 0.01


def served(
    pace: Pace, requests: int, kind_of: Callable[[int, float], Kind], start: float = 1.0
) -> float:
    """Send one request after another to a server that answers by number and rate of the pace;
    return the time.
    """
    now = start
    for number in range(requests):
        now = max(now, take(pace, now))
        rate = pace.per_second(now)
        kind = kind_of(number, rate)
        pace.observe(now + LATENCY, Observation(pace.taken, kind, LATENCY), dice=0.5)
    return now


def test_503s_that_a_lower_rate_does_not_change_are_faults_and_the_rate_comes_back() -> None:
    pace = Pace()

    def faulty(number: int, _: float) -> Kind:
        assert pace.busy.excused
        return "busy" if number % 7 == 6 else "through"

    now = served(pace, 1000, faulty)
    assert pace.per_second(now) > 150


def test_503s_that_end_at_a_lower_rate_are_a_limit_from_then_on() -> None:
    pace = Pace()
    held: list[float] = []

    def overloaded(number: int, rate: float) -> Kind:
        held.append(pace.held_until)
        return "busy" if rate > 40 and number % 2 else "through"

    now = served(pace, 1500, overloaded)
    assert not pace.busy.excused
    assert pace.search.limit
    assert pace.per_second(now) < 80
    # Each loss holds everyone, for at most five seconds.
    pauses = [after for before, after in pairwise(held) if after > before]
    assert pauses
    # The next refusal lowers the rate at once.
    now = max(now, take(pace, now + 10))
    before = pace.search.limit
    ended(pace, now + LATENCY, "busy")
    assert pace.search.pauses or pace.suspicion.witnesses
    assert pace.search.limit <= before
    assert now < pace.wait_until(now) or pace.suspicion.witnesses


def fault(pace: Pace, now: float) -> float:
    """One refusal that no later request shares."""
    given = at_most(100)
    refused = take(pace, now, given)
    pace.observe(refused + LATENCY, Observation(pace.taken, "throttled", LATENCY), 0.5, given)
    now = refused + LATENCY
    for _ in range(12):
        now = max(now, take(pace, now, given)) + LATENCY
        ended(pace, now, seconds=LATENCY, given=given)
    return now


def limit(pace: Pace, now: float) -> float:
    """Two refusals in a row, and requests that get through after the pause."""
    given = at_most(100)
    for _ in range(2):
        now = max(now, take(pace, now, given)) + LATENCY
        ended(pace, now, "throttled", LATENCY, given=given)
    for _ in range(200):
        now = max(now, take(pace, now, given)) + LATENCY
        ended(pace, now, seconds=LATENCY, given=given)
    return now


@pytest.mark.parametrize(
    ("events", "excused"),
    [
        ((fault,), False),
        ((fault, fault), True),
        ((fault, limit), False),
        ((fault, limit, fault), False),
        ((fault, limit, fault, fault), True),
        ((limit, fault, fault), True),
    ],
)
def test_two_refusals_in_a_row_that_no_later_request_shares_make_them_faults(
    events: tuple[Callable[[Pace, float], float], ...], excused: bool
) -> None:
    pace, now = Pace(), 1.0
    for _ in range(40):
        now = max(now, take(pace, now, at_most(100))) + LATENCY
        ended(pace, now, seconds=LATENCY, given=at_most(100))
    for event in events:
        now = event(pace, now)
    assert bool(pace.throttled.excused) is excused
    if excused:  # earlier refusals were taken for a limit by mistake
        assert pace.search.limit == 0
    elif limit in events:
        assert pace.search.limit > 0


def test_a_run_that_is_faster_than_another_waits_its_own_part_of_the_others_interval() -> None:
    for slow, fast in ((2, 20), (1, 100), (5, 10)):
        pace = Pace()
        take(pace, 100.0, at_most(slow))
        assert pace.due_at(100.0, at_most(slow)) == pytest.approx(100 + 1.007 / slow, abs=0.006)
        assert pace.due_at(100.0, at_most(fast)) == pytest.approx(
            100 + 1.007 / fast, abs=0.006 * slow / fast
        )
    late = Pace()
    take(late, 100.0, at_most(2))
    # Once it is due it stays due.
    due = late.due_at(200.0, at_most(2))
    assert late.due_at(200.0, at_most(20)) == due < 101


def test_after_a_refusal_a_request_leaves_two_latencies_after_the_one_before() -> None:
    pace, given = Pace(), at_most(100)
    take(pace, 1.0, given)
    ended(pace, 1.5, seconds=0.5, given=given)
    take(pace, 2.0, given)
    ended(pace, 2.5, "throttled", 0.5, 1.0, given)
    first = take(pace, 2.5, given)
    assert first == 3.5
    assert take(pace, first, given) == pytest.approx(first + 1.0, abs=0.006)


def test_requests_that_left_before_a_refusal_count_once_each_and_do_not_end_it() -> None:
    pace, given = Pace(), at_most(10)
    for number in range(4):
        take(pace, 1.0 + number / 10, given)
    pace.observe(2.0, Observation(1, "throttled", 0.1, 1.0), 0.5, given)
    assert pace.found.loss_at == 2.0
    for count, ordinal in enumerate((2, 3, 4), start=1):
        pace.observe(2.1, Observation(ordinal, "through", 0.1), 0.5, given)
        assert (pace.found.count, pace.found.loss_at) == (count, 2.0)
    assert pace.search.pauses
    now = take(pace, 3.1, given)
    ended(pace, now + 0.1, given=given)
    assert not pace.search.pauses
    assert (pace.found.count, pace.found.loss_at) == (4, -math.inf)


def test_a_window_is_counted_from_its_first_reply_or_from_a_stated_reset() -> None:
    pace = Pace()
    take(pace, 1.0)
    assert pace.found.first_at == -math.inf
    ended(pace, 1.1)
    assert (pace.found.first_at, pace.found.count) == (1.1, 1)
    seen(pace, Quota(1000, 60, 900, 30), at=2.0)
    take(pace, 3.0)
    assert pace.found.first_at == 1.1
    now = take(pace, 60.0)
    assert (pace.found.first_at, pace.found.count) == (now, 0)


@pytest.mark.parametrize(("asked", "until"), [(45.0, 55.0), (5.0, 40.0), (None, 40.0)])
def test_a_refusal_within_a_used_up_allowance_waits_for_its_reset_or_longer_if_asked(
    asked: float | None, until: float
) -> None:
    pace = Pace()
    take(pace, 9.0)
    seen(pace, Quota(100, 60, 0, 30), at=10.0)
    pace.observe(10.0, Observation(1, "throttled", 0.01, asked), 0.5)
    assert pace.wait_until(10.1) == pytest.approx(until, abs=1.1)
    assert not pace.search.limit, "the rate is not to blame"


def test_a_limit_that_seems_higher_than_stated_is_the_stated_one_again_after_a_refusal() -> None:
    pace, now = Pace(), 10.0
    quota = Quota(100, 2, 60, 1)  # however fast requests leave, sixty remain
    for _ in range(150):
        now = max(now, take(pace, now))
        pace.observe(now, Observation(pace.taken, "through", LATENCY, quotas=(quota,)), 0.5)
    assert pace.limit(now) == (100, RateSource.HEADER)
    now = max(now, take(pace, now))
    pace.observe(now, Observation(pace.taken, "throttled", LATENCY, 1.0), 0.5)
    assert pace.limit(now) == (50, RateSource.HEADER)


@pytest.mark.parametrize("depth", [0.3, 0.1])
@pytest.mark.parametrize("blocked", [20.0, 300.0])
@pytest.mark.parametrize(
    ("interval", "requests", "most"),
    [
        (0.2, 40, 5),  # eight seconds: the busiest second is what is proven
        (0.1, 15, 10),  # a second and a half
        (0.05, 15, 15),  # less than a second: all of them
    ],
)
def test_after_a_long_block_the_rate_is_what_got_through_in_a_second_before_it(
    interval: float, requests: int, most: int, blocked: float, depth: float
) -> None:
    pace, given = Pace(), at_most(19)
    now = 100.0
    for number in range(requests):
        take(pace, now + number * interval, given)
        ended(pace, now + number * interval, seconds=0.0, given=given)
    now += requests * interval
    until = now + blocked
    while (now := max(now, take(pace, now, given))) < until:
        ended(pace, now, "throttled", 0.0, given=given)
    pace.search.depth = depth
    ended(pace, now, seconds=0.0, given=given)
    assert pace.found.content == requests
    assert pace.search.pauses == 0
    assert 0.5 * most <= pace.search.limit <= most
    if blocked > 100:
        assert pace.search.limit == pytest.approx(0.95 * most)
    assert pace.search.depth == min(depth, 0.15)
    assert pace.search.calm >= 20 * pace.found.pause
    assert pace.search.blocked == 0


def test_bare_503s_hold_everyone_for_no_longer_than_five_seconds_and_longer_each_time() -> None:
    pace, now, pauses = Pace(), 1.0, []
    for _ in range(60):
        now = max(now, take(pace, now))
        ended(pace, now, "busy")
        pauses.append(max(0.0, pace.held_until - now))
    held = [pause for pause in pauses if pause]
    assert held == pytest.approx(sorted(held))
    assert held[0] < 2
    assert held[-1] == pytest.approx(5.0)


@pytest.mark.parametrize(("asked", "last"), [(7.0, 1.0), (1.0, 1.0), (0.5, 0.5)])
def test_of_a_wait_that_the_api_asks_for_a_second_at_most_may_be_for_nothing(
    asked: float, last: float
) -> None:
    pace = Pace()
    take(pace, 1.0)
    ended(pace, 1.1, "throttled", asked=asked)
    assert (pace.search.last_pause, pace.search.was_asked) == (last, 1.0)
    now = take(pace, 10.0)
    ended(pace, now, "throttled")
    assert pace.search.was_asked == 0.0


@pytest.mark.parametrize("knows", ["", "content", "lockout"])
def test_after_ten_idle_minutes_all_is_forgotten_but_windows_and_what_they_taught(
    knows: str,
) -> None:
    pace = Pace()
    take(pace, 1.0)
    seen(pace, Quota(10, 1, 9, 1), at=1.5)
    ended(pace, 2.0, "throttled", asked=1.0)
    pace.busy.refused = pace.throttled.refused = 5.0
    pace.busy.excused, pace.throttled.excused = 0.0, 1.0
    if knows:
        setattr(pace.found, knows, 60.0)
    before = pace.search.limit
    assert before
    pace.reserve_group(2000.0, 1)
    assert pace.latency == 0.0
    assert pace.busy == Faults(excused=1.0)
    assert pace.throttled == Faults()
    assert pace.advertised == Advertised()
    assert pace.search.limit == (before if knows else 0.0)
    assert pace.search.recovered == 1.0


def test_the_first_refusal_halves_a_rate_that_was_found_and_lowers_one_that_was_given_less() -> (
    None
):
    for given, share in ((at_most(None), 0.5), (at_most(10), 0.97)):
        pace, now = Pace(), 1.0
        for _ in range(40):
            now = max(now, take(pace, now, given))
            ended(pace, now, seconds=0.0, given=given)
        now = max(now, take(pace, now, given))
        rate = pace.per_second(now, given)
        ended(pace, now, "throttled", 0.0, 1.0, given)
        assert pace.search.limit == pytest.approx(share * rate)


@pytest.mark.parametrize(
    ("per_second", "knows", "asked", "is_doubtful"),
    [
        (100, "", None, True),
        (20, "", None, True),
        (19, "", None, False),
        (100, "", 1.0, False),
        (100, "content", None, False),
        (100, "lockout", None, False),
        (100, "stated", None, False),
        (100, "nothing left", None, False),
    ],
)
def test_a_refusal_is_in_doubt_at_a_high_rate_where_nothing_else_speaks_for_a_limit(
    per_second: float, knows: str, asked: float | None, is_doubtful: bool
) -> None:
    pace, given = Pace(), at_most(per_second)
    take(pace, 1.0, given)
    if knows == "stated":
        seen(pace, Quota(10_000, 3600, 9_000, 1800), at=1.5)
    elif knows in {"content", "lockout"}:
        setattr(pace.found, knows, 1000.0)
    take(pace, 2.0, given)
    left = (Quota(remaining=0),) if knows == "nothing left" else ()
    pace.observe(2.1, Observation(pace.taken, "throttled", 0.1, asked, left), 0.5, given)
    assert bool(pace.suspicion.witnesses) is is_doubtful
    assert bool(pace.search.pauses) is not is_doubtful


def test_a_stated_reset_counts_from_when_its_request_left() -> None:
    pace = Pace()
    take(pace, 10.0)
    spent = (Quota(100, 60, 0, 30),)
    pace.observe(15.0, Observation(1, "through", 5.0, quotas=spent), 0.5)
    assert pace.wait_until(15.0) == pytest.approx(40, abs=1.1)
