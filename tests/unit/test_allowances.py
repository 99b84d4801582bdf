"""Allowances: what is left is spent at once, to the last request, and never more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.model.rows import RateSource
from bulk_sync.quantities import Rate, Share
from bulk_sync.send.allowances import Allowances, Given, Now, Spent, Stated, reserve_of
from bulk_sync.send.headers import Quota
from bulk_sync.send.known import allowances_of
from bulk_sync.send.observation import Observation
from bulk_sync.send.pace import Pace

NOTHING = Share(count=0)
HOURLY = Rate(1000, 3600)


def state(at: float, taken: float, *, answered: float | None = None, leave: Share = NOTHING) -> Now:
    return Now(at, taken, taken if answered is None else answered, at, 0.02, leave)


@given(
    st.integers(1, 60),
    st.lists(st.tuples(st.floats(0, 40), st.integers(1, 9)), min_size=1, max_size=80),
)
def test_no_window_of_a_given_rate_holds_more_than_its_requests(
    most: int, wanted: list[tuple[float, int]]
) -> None:
    rate, spent = Rate(most, 60), Spent(60.0)
    sent: list[float] = []
    now = 0.0
    for passed, number in wanted:
        now += passed
        room = spent.room(rate, state(now, len(sent)))
        if room.permits < 1:
            assert room.until > now
            continue
        permits = int(min(number, room.permits))
        spent.granted(now, now, permits)
        sent += [now] * permits
    for start in sent:
        assert sum(start <= at <= start + 60 for at in sent) <= most


def test_a_given_allowance_comes_back_after_its_window() -> None:
    spent = Spent(3600.0)
    for number in range(1000):
        spent.granted(number / 300, number / 300, 1)
    assert spent.room(HOURLY, state(4, 1000)).permits == 0
    assert spent.room(HOURLY, state(4, 1000)).until == pytest.approx(3600, abs=8)
    assert spent.room(HOURLY, state(3610, 1000)).permits == 1000


@pytest.mark.parametrize(
    ("leave", "limit", "reserve"),
    [
        (Share(count=0), 1000, 0),
        (Share(count=50), 1000, 50),
        (Share(percent=10), 1000, 100),
        (Share(percent=1), 50, 1),  # rounded up: never less is left
        (Share(percent=10), 0, 0),
    ],
)
def test_the_reserve_is_a_count_or_a_share(leave: Share, limit: float, reserve: float) -> None:
    assert reserve_of(leave, limit) == reserve


def stated(*told: tuple[float, float, Quota]) -> Stated:
    slot = Stated(source=1.0)
    for begun, ordinal, quota in told:
        slot.stated(begun, ordinal, quota, ordinal)
    return slot


def test_what_is_left_is_spent_at_once_and_then_waited_for() -> None:
    slot = stated((10.0, 1, Quota(1000, 3600, 999, 3000)))
    assert slot.room(state(10.1, 1)).permits == 999
    assert slot.room(state(12.0, 1000)).permits == 0
    assert 3010 <= slot.room(state(12.0, 1000)).until <= 3011.1


def test_a_reserve_is_left_to_others() -> None:
    slot = stated((10.0, 1, Quota(1000, 3600, 999, 3000)))
    assert slot.room(state(10.1, 1, leave=Share(percent=10))).permits == 899


def test_requests_in_flight_are_not_left() -> None:
    # 16 permits were taken before the reply to the first one came.
    slot = stated((10.0, 1, Quota(1000, 3600, 999, 3000)))
    assert slot.room(state(10.1, 17)).permits == 983


def test_replies_that_overtake_each_other_show_no_more_than_is_left() -> None:
    slot = stated((10.0, 1, Quota(100, 60, 99, 50)))
    # The server counts 3 before 2: the reply to 3 still states 98.
    slot.stated(10.0, 3, Quota(100, 60, 98, 50), 3)
    slot.stated(10.0, 2, Quota(100, 60, 97, 50), 3)
    assert slot.room(state(10.1, 3)).permits <= 97


def test_after_a_reset_one_request_leaves_alone_and_shows_what_there_is() -> None:
    slot = stated((10.0, 1, Quota(100, 60, 0, 20)))
    reset = slot.resets_at
    now = state(reset, 1)
    assert slot.room(now).permits == 1
    slot.granted(now, 1)
    assert slot.room(state(reset + 0.01, 2)).permits == 0
    slot.stated(reset, 2, Quota(100, 60, 99, 60), 2)
    assert slot.room(state(reset + 0.02, 2)).permits == 99


def test_a_window_lasts_as_long_as_the_longest_time_to_a_reset_unless_that_was_untrue() -> None:
    slot = stated((0, 1, Quota(400, None, 399, 58.0)), (50, 2, Quota(400, None, 0, 8.0)))
    assert slot.longest == 58
    slot.doubt(state(50, 2), 51)
    slot.granted(state(50, 2), 1)
    slot.stated(50.1, 3, Quota(400, None, 399, 20.0), 3)
    assert slot.longest == 20


def test_a_bucket_that_refills_evenly_is_drawn_on_as_it_refills() -> None:
    slot = Stated(source=1.0)
    for ordinal in range(1, 101):  # a burst of 100: the time until it is full grows
        left = 100 - ordinal
        slot.stated(
            10.0 + ordinal / 300, ordinal, Quota(100, 60, left, (100 - left) * 0.6), ordinal
        )
    assert slot.refill == pytest.approx(100 / 60)
    room = slot.room(state(10.4, 100))
    assert room.permits == 0
    assert room.until < 12
    assert slot.room(state(16.4, 100)).permits >= 9


def test_only_what_resets_at_once_has_a_window_that_lasts_so_long() -> None:
    pace = Pace()
    window, bucket = pace.allowances.stated[:2]
    for slot, refill in ((window, 0.0), (bucket, 5.0)):
        slot.source, slot.limit, slot.longest, slot.refill = 1.0, 100.0, 58.0, refill
        slot.at, slot.end, slot.end_before, slot.resets_at = 10.0, 50.0, 50.0, 68.0
    shown = allowances_of(pace, 20.0, Given(), 0.0)
    assert [one.at_least_seconds for one in shown] == [58.0, None]


def test_quotas_with_short_windows_are_returned() -> None:
    short, long = Quota(10, 1, 9, 1), Quota(1000, 3600, 999, 1800)
    seen = Observation(1, "through", 0.02, quotas=(short, long))
    allowances = Allowances()
    assert allowances.observe(10.0, 1, seen) == (short,)
    assert allowances.room(state(10.1, 1), Given()).permits == 999


def test_the_last_seconds_of_a_long_window_without_a_length_stay_an_allowance() -> None:
    allowances = Allowances()
    allowances.observe(10.0, 1, Observation(1, "through", 0.02, quotas=(Quota(100, None, 50, 12),)))
    late = Observation(2, "through", 0.02, quotas=(Quota(100, None, 49, 7),))
    assert allowances.observe(15.0, 2, late) == ()


def test_an_account_that_is_not_asked_after_its_reset_is_not_relied_on() -> None:
    pace = Pace()
    told = Observation(
        1,
        "through",
        0.02,
        quotas=(Quota(remaining=0, reset_seconds=20),),
        source=RateSource.ACCOUNT,
    )
    pace.reserve_group(10.0, 1)
    pace.observe(10.02, told, 0.5)
    reset = pace.wait_until(10.1)
    assert 30 <= reset < 31.2
    pace.reserve_group(reset, 1)
    assert pace.wait_until(reset + 0.01) > reset + 1
    pace.observe(reset + 0.02, Observation(2, "through", 0.02), 0.5)
    assert pace.wait_until(reset + 0.03) < reset
