"""The pace by itself: no window above rate and burst, no time lost, holds held, headers heeded; and
its bytes.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.model.rows import RateSource
from bulk_sync.quantities import Rate
from bulk_sync.send.allowances import NO_LIMITS, Given
from bulk_sync.send.headers import Quota
from bulk_sync.send.observation import Kind, Observation
from bulk_sync.send.pace import GROUP_SECONDS, TOLERANCE_SECONDS, Pace
from bulk_sync.send.packed import pack, shift, unpack


def at_most(per_second: float | None) -> Given:
    """The user's limit by the second."""
    return Given() if per_second is None else Given((Rate(per_second, 1.0),))


def take(pace: Pace, now: float, given: Given = NO_LIMITS) -> float:
    """Wait and take a permit as a run does; return when it is due."""
    for _ in range(1000):
        until = pace.wait_until(now, given)
        if until <= now:
            return pace.reserve_group(now, 1, given).start
        now = until
    raise AssertionError("no permit ever comes")


def permits(per_second: float, seconds: float, late: list[float]) -> list[float]:
    """The moments of permits when somebody always asks, and each wake-up comes a little late."""
    pace, now, given_at = Pace(), 100.0, []
    turn = 0
    while now < 100 + seconds:
        due = take(pace, now, at_most(per_second))
        if due > now:
            now = due + late[turn % len(late)]
            turn += 1
        given_at.append(now)
    return given_at


@given(
    st.builds(Rate, st.floats(0.5, 200), st.sampled_from([1.0, 60.0])),
    st.lists(st.floats(0, 0.05), min_size=1, max_size=20),
    st.floats(0.5, 5),
)
def test_no_window_holds_more_than_rate_and_burst(
    rate: Rate, late: list[float], window: float
) -> None:
    given_at = permits(rate.per_second, 8, late)
    latest = max(late) + TOLERANCE_SECONDS
    for first, start in enumerate(given_at):
        inside = bisect_left(given_at, start + window) - first
        assert inside <= rate.per_second * (window + latest) + 1 + 1e-6


@given(
    st.builds(Rate, st.floats(0.5, 20_000), st.just(1.0)),
    st.lists(st.tuples(st.integers(1, 400), st.floats(0, 0.05)), min_size=1, max_size=60),
    st.floats(0.01, 1),
)
def test_no_window_holds_more_than_rate_and_burst_when_permits_are_taken_in_groups(
    rate: Rate, asked: list[tuple[int, float]], window: float
) -> None:
    pace, now = Pace(), 100.0
    due: list[float] = []
    ordinals: list[float] = []
    for most, later in asked:
        group = pace.reserve_group(now, most, at_most(rate.per_second))
        assert 1 <= group.number <= most
        assert (group.number - 1) * group.interval <= GROUP_SECONDS
        due += [
            max(now, group.start + number * group.interval) for number in range(group.number)
        ]  # late ones: at once
        ordinals += [group.ordinal + number for number in range(group.number)]
        now = max(now, group.start) + later
    assert ordinals == [float(number + 1) for number in range(len(due))]
    assert due == sorted(due)
    for first, start in enumerate(due):
        inside = bisect_left(due, start + window) - first
        assert inside <= rate.per_second * (window + TOLERANCE_SECONDS) + 1 + 1e-6


def test_a_group_is_one_permit_while_a_refusal_is_not_got_over_or_headers_tell_what_is_left() -> (
    None
):
    refused, told = Pace(), Pace()
    assert refused.reserve_group(1.0, 50, at_most(1000)).number == 9
    assert told.reserve_group(1.0, 50, at_most(1000)).number == 9
    refused.observe(1.01, Observation(1, "throttled", 0.01), 0.5, at_most(1000))
    told.observe(
        1.01,
        Observation(1, "through", 0.01, quotas=(Quota(limit=100, remaining=90, reset_seconds=6),)),
        0.5,
        at_most(1000),
    )
    held = refused.wait_until(1.02)
    assert refused.reserve_group(held, 50, at_most(1000)).number == 1
    assert told.reserve_group(1.02, 50, at_most(1000)).number == 1


def test_a_strict_window_never_holds_one_too_many() -> None:
    given_at = permits(10, 600, [0.0, 0.001, 0.002])
    assert all(
        after - before >= 1.0 for before, after in zip(given_at, given_at[10:], strict=False)
    )


def test_late_wake_ups_do_not_eat_the_rate() -> None:
    assert len(permits(50, 60, [0.001, 0.004, 0.0005])) >= 0.99 * 50 * 60


def test_time_nobody_asked_in_is_not_saved_up() -> None:
    pace = Pace()
    take(pace, 0.0, at_most(50))
    # The process was stopped for half a minute.
    due = [take(pace, 30.0, at_most(50)) for _ in range(52)]
    assert due[0] == 30.0
    assert due[51] >= 31.0


def test_a_hold_is_held_by_all_and_ends_one_by_one() -> None:
    pace = Pace()
    pace.observe(5.0, Observation(0, "throttled", 0.05, asked_seconds=2.5), 0.5, at_most(100))
    due = [take(pace, 5.0, at_most(100)) for _ in range(3)]
    assert due[0] == 7.5
    assert due[0] < due[1] < due[2]


def test_a_run_does_not_wait_at_the_lower_rate_of_another() -> None:
    pace = Pace()
    assert take(pace, 100.0, at_most(1 / 3600)) == 100
    assert pace.due_at(100.1, at_most(1 / 3600)) > 3000
    assert take(pace, 101.0, at_most(10)) < 101.2
    pace = Pace()
    take(pace, 100.0, at_most(1 / 3600))
    assert take(pace, 101.0) < 102, "without a rate of its own"


def test_runs_with_different_rates_share_the_permits_of_the_higher_one() -> None:
    """A slow run's permit that is reserved ahead counts as one, whatever the time between two."""
    pace, now = Pace(), 100.0
    given_at = []
    for turn in range(200):
        now = max(now, take(pace, now, at_most(2) if turn % 20 == 0 else at_most(20)))
        given_at.append(now)
    for start in given_at:
        assert sum(start <= at < start + 1 for at in given_at) <= 22


def test_a_limit_that_is_stated_counts_rather_than_one_that_was_found() -> None:
    pace = Pace()
    seen(pace, Quota(10, 4, 5, 2), at=10.0)
    pace.search.limit = 1.9
    assert pace.limit(11.0) == (2.5, RateSource.HEADER)
    assert pace.limit(11.0, at_most(1)) == (1, RateSource.OPTION)
    assert pace.limit(1000.0) == (1.9, RateSource.FOUND)


def seen(pace: Pace, *quotas: Quota, at: float = 10.0) -> None:
    pace.observe(at, Observation(pace.taken, "through", 0.02, quotas=quotas), dice=0.5)


def test_a_quota_and_its_window_are_the_rate() -> None:
    pace = Pace()
    seen(pace, Quota(100, 6, 99, 6))
    limit, source = pace.limit(10.0)
    assert (limit, source) == (100 / 6, RateSource.HEADER)


def test_the_lowest_of_what_is_told_is_kept() -> None:
    pace = Pace()
    seen(pace, Quota(10, 1, 1000, 1), Quota(50, 10, 40, 9))
    assert pace.limit(10.0)[0] == pytest.approx(5)
    assert pace.limit(10.0, at_most(2.0)) == (2.0, RateSource.OPTION)


def test_nothing_left_waits_for_the_reset() -> None:
    pace = Pace()
    seen(pace, Quota(remaining=0, reset_seconds=5))
    assert take(pace, 10.0) == pytest.approx(15.0, abs=0.05)


def test_little_left_is_spread_over_the_time_until_the_reset() -> None:
    pace = Pace()
    seen(pace, Quota(100, 10, 5, 10))
    assert pace.per_second(10.0) == pytest.approx(0.5)
    assert pace.per_second(21.0) > 0.5


def test_resets_in_whole_seconds_are_no_shortage() -> None:
    pace = Pace()
    seen(pace, Quota(10, 1, 0, 1))
    assert pace.held_until < 10.0


def test_a_refusal_lowers_the_rate_once_however_many_had_left_before() -> None:
    pace = Pace()
    for _ in range(20):
        take(pace, 1.0, at_most(100))
    for ordinal in range(10, 20):
        pace.observe(2.0, Observation(ordinal, "throttled", 0.05), 0.5, at_most(100))
    assert pace.search.limit == pytest.approx(50)


def test_what_was_found_long_ago_is_forgotten_and_a_wait_is_not() -> None:
    pace = Pace()
    take(pace, 0.0)
    pace.observe(1.0, Observation(1, "throttled", 0.05), dice=0.5)
    pace.hold(5000.0)
    assert take(pace, 4000.0) == 5000.0
    assert pace.search.limit > 0
    take(pace, 6000.0)
    assert pace.search.limit == 0


def random_faults_of(share: int) -> Pace:
    pace, now = Pace(), 0.0
    for number in range(3000):
        now = take(pace, now)
        kind = "busy" if number % share == share - 1 else "through"
        pace.observe(now + 0.01, Observation(pace.taken, kind, 0.01), dice=0.5)  # type: ignore[arg-type]
    return pace


def test_bare_503s_that_slowing_down_does_not_mend_are_left_out_of_account() -> None:
    assert random_faults_of(20).search.rate > 50


SEEN = st.builds(
    Observation,
    st.floats(0, 1000),
    st.sampled_from(["through", "throttled", "busy", "other"]),
    st.floats(0, 60),
    st.none() | st.floats(0, 1e6),
    st.lists(
        st.builds(
            Quota,
            st.none() | st.floats(1, 1e15),
            st.none() | st.floats(1, 86400),
            st.none() | st.floats(0, 1e15),
            st.none() | st.floats(0, 3600),
        ),
        max_size=2,
    ).map(tuple),
    st.sampled_from([RateSource.HEADER, RateSource.ACCOUNT]),
)


@given(st.lists(st.tuples(st.floats(0, 30), SEEN), max_size=60), st.none() | st.floats(0.001, 1e5))
@pytest.mark.uncovered
def test_whatever_is_seen_permits_stay_in_order_and_bytes_bring_the_same_pace(
    events: list[tuple[float, Observation]], ceiling: float | None
) -> None:
    pace, now, before, given = Pace(), 0.0, 0.0, at_most(ceiling)
    for passed, what in events:
        now += passed
        pace.observe(now, what, 0.5, given, 1.7e9)
        held_until = pace.held_until
        due = take(pace, now, given)
        assert due >= max(now, held_until)
        assert due >= before - TOLERANCE_SECONDS
        before = due
        assert pace.per_second(now, given) > 0
        assert unpack(pack(pace)) == pace


@pytest.mark.parametrize("data", [b"", b"x", b"\xff" * len(pack(Pace()))])
def test_other_bytes_are_no_pace(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a pace"):
        unpack(data)


def test_a_pace_of_another_boot_keeps_its_instants() -> None:
    pace = Pace()
    take(pace, 100.0)
    seen(pace, Quota(1000, 3600, 0, 600), at=110.0)
    before = pace.wait_until(110.0)
    shift(pace, -90.0)
    assert pace.wait_until(20.0) == pytest.approx(before - 90)


def ended(
    pace: Pace,
    now: float,
    kind: str = "through",
    seconds: float = 0.1,
    asked: float | None = None,
    given: Given = NO_LIMITS,
) -> None:
    """The latest request has ended."""
    pace.observe(now, Observation(pace.taken, kind, seconds, asked), 0.5, given)  # type: ignore[arg-type]


def test_the_latency_is_the_first_one_and_then_moves_a_tenth_of_the_way() -> None:
    pace = Pace()
    for now, seconds, smoothed in ((1.0, 0.5, 0.5), (3.0, 1.5, 0.6), (5.0, 0.6, 0.6)):
        take(pace, now)
        ended(pace, now + seconds, seconds=seconds)
        assert pace.latency == pytest.approx(smoothed)


@pytest.mark.parametrize("kind", ["throttled", "busy"])
def test_a_wait_that_the_api_asks_for_is_waited_and_a_shorter_one_after_it_changes_nothing(
    kind: str,
) -> None:
    pace = Pace()
    take(pace, 1.0)
    ended(pace, 1.1, kind, asked=7.0)
    assert pace.wait_until(1.2) == pytest.approx(8.1)
    assert take(pace, 1.2) >= 8.1
    pace.hold(20.0)
    pace.hold(10.0)
    assert pace.wait_until(9.0) == 20.0


def test_a_refusal_without_a_wait_pauses_and_doubles_the_pauses_that_follow() -> None:
    pace, now, pauses = Pace(), 1.0, []
    for _ in range(4):
        now = max(now, take(pace, now))
        ended(pace, now + 0.1, "throttled")
        pauses.append(pace.wait_until(now + 0.1) - now - 0.1)
        now += 0.1
    assert all(pause > 0 for pause in pauses)
    assert pauses == sorted(pauses)
    assert pauses[-1] > pauses[0]


def test_one_bare_503_holds_nobody_and_is_no_limit() -> None:
    pace = Pace()
    take(pace, 1.0)
    ended(pace, 1.1, "busy")
    assert pace.wait_until(1.2) <= 1.2
    assert pace.limit(1.2) == (None, RateSource.NONE)


@pytest.mark.parametrize(("idle", "forgotten"), [(599.0, False), (600.0, True)])
def test_what_was_found_is_forgotten_ten_minutes_after_the_last_permit_or_hold(
    idle: float, forgotten: bool
) -> None:
    pace = Pace()
    take(pace, 1.0)
    ended(pace, 1.0, "throttled", asked=1.0)
    assert pace.limit(1.0)[1] is RateSource.FOUND
    pace.reserve_group(2.0 + idle, 1)  # the hold ends at 2
    assert (pace.limit(2.0 + idle)[1] is RateSource.NONE) is forgotten


def test_the_rate_in_force_is_the_lowest_of_the_users_the_stated_and_the_found() -> None:
    for ceiling, stated, found in ((1.0, 2.0, 3.0), (3.0, 1.0, 2.0), (2.0, 3.0, 1.0)):
        pace = Pace()
        if stated:
            seen(pace, Quota(stated * 4, 4, stated * 4, 4), at=10.0)
        pace.search.limit = found
        rate = pace.per_second(10.0, at_most(ceiling))
        assert rate <= min(ceiling, stated) + 1e-9
        assert pace.per_second(10.0, at_most(0.25)) <= 0.25
    assert Pace().per_second(1.0, at_most(1e6)) == 1e6


def test_permits_are_counted_and_a_reply_tells_up_to_which_one_is_answered() -> None:
    pace = Pace()
    for number in range(1, 4):
        group = pace.reserve_group(100.0 + number, 1, at_most(100))
        assert (group.number, group.ordinal, pace.taken) == (1, number, number)
    for ordinal, answered in ((2.0, 2.0), (1.0, 2.0), (3.0, 3.0)):
        pace.observe(110.0, Observation(ordinal, "through", 0.1), 0.5)
        assert pace.answered == answered
    many = pace.reserve_group(200.0, 5, at_most(10_000))
    assert (many.number, many.ordinal, pace.taken) == (5, 4, 8)


def test_a_group_has_the_permits_of_a_hundredth_of_a_second_at_the_rates_interval() -> None:
    for per_second, most, number in (
        (1000, 100, 9),
        (1000, 4, 4),
        (50, 100, 1),
        (20_000, 500, 198),
    ):
        pace = Pace()
        group = pace.reserve_group(100.0, most, at_most(per_second))
        assert group.number == number
        assert group.interval == pytest.approx(1.007 / per_second if number > 1 else 0.0)
        assert group.start == 100.0
        # A single permit may make up for a late wake-up.
        due = pace.due_at(100.0, at_most(per_second))
        spent = group.start + number * 1.007 / per_second
        assert due == pytest.approx(spent - (TOLERANCE_SECONDS if number == 1 else 0.0))


def test_unanswered_refusals_of_a_fast_run_are_judged_by_the_replies_after_them() -> None:
    """At a slow rate a refusal is a limit at once; at a fast one it may be a fault."""
    for rate, is_limit in ((10, True), (100, False)):
        pace = Pace()
        given = at_most(rate)
        for step in range(30):
            take(pace, 1.0 + step / 10, given)
        ended(pace, 5.0, "throttled", given=given)
        assert bool(pace.search.pauses) is is_limit


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("in_a_row", [1, 2, 3])
def test_a_refusal_that_a_stated_limit_explains_is_not_waited_for_long(
    in_a_row: int, seed: int
) -> None:
    """However many came in a row at first: each states its end, so it is no lock-out."""
    dice, pace, now = random.Random(seed), Pace(), 100.0
    holds = []
    for through, refused in [(3, in_a_row)] * 4 + [(30, 1)] * 10:
        for is_through in (True,) * through + (False,) * refused:
            now = max(now, pace.wait_until(now), pace.due_at(now))
            group = pace.reserve_group(now, 1)
            now = max(now, group.start) + 0.05
            quotas = (Quota(5, 1.0, 2.0 if is_through else 0.0, 1.0),)
            kind: Kind = "through" if is_through else "throttled"
            seen = Observation(group.ordinal, kind, 0.05, quotas=quotas)
            pace.observe(now, seen, dice.random())
        holds.append(pace.held_until - now)
    assert max(holds[4:]) < 5


@pytest.mark.parametrize("reset", [1.0, None])
def test_a_refusal_is_explained_only_by_a_limit_that_states_its_end(reset: float | None) -> None:
    pace = Pace()
    for kind, left, end in (("through", 2.0, 1.0), ("throttled", 0.0, reset)):
        group = pace.reserve_group(100.0, 1)
        quotas = (Quota(5, 1.0, left, end),)
        seen = Observation(group.ordinal, cast("Kind", kind), 0.05, quotas=quotas)
        pace.observe(100.0, seen, 0.5)
    assert (pace.found.loss_at == -math.inf) is (reset is not None)
