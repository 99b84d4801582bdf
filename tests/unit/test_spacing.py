"""However late requests leave or arrive, no second gets more of them than the limit allows."""

from __future__ import annotations

import math
from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.send.spacing import MOST_LATE_SECONDS, MOST_SPACED, Spacing

USUAL_SECONDS = 0.05


def used_to_it(spacing: Spacing) -> Spacing:
    """Let a spacing know how long a reply usually takes."""
    for _ in range(100):
        spacing.replied(-1, USUAL_SECONDS)
    return spacing


@given(
    st.integers(1, 64) | st.floats(1, MOST_SPACED),
    st.lists(
        st.tuples(
            st.just(0.0) | st.floats(0, 1.5),  # how late a task wakes up
            st.just(0.0) | st.floats(0, MOST_LATE_SECONDS),  # a delay on the way
        ),
        max_size=200,
    ),
)
def test_no_more_requests_arrive_in_a_second_than_the_limit_allows(
    limit: float, delays: list[tuple[float, float]]
) -> None:
    spacing, now, arrived = used_to_it(Spacing()), 100.0, list[float]()
    for ordinal, (wakes_late, on_the_way) in enumerate(delays):
        now = max(now, spacing.next_at(limit, is_given=False)) + wakes_late
        spacing.left(ordinal, now)
        arrived.append(now + on_the_way)
        if on_the_way > 0.01:
            # As if its reply were here before the next request leaves, and were the first to be so
            # late: the ones before are forgotten.
            used_to_it(spacing)
            spacing.replied(ordinal, USUAL_SECONDS + on_the_way)
    arrived.sort()
    for place, at in enumerate(arrived):
        # What is below the hundredth is no news to the spacing.
        assert bisect_left(arrived, at + 1 - 0.011) - place <= math.ceil(limit)


def test_one_late_request_of_many_delays_only_the_one_that_would_be_too_many() -> None:
    spacing = used_to_it(Spacing())
    for ordinal in range(50):
        spacing.left(ordinal, ordinal / 50)
    before = spacing.next_at(50, is_given=False)
    spacing.replied(0, USUAL_SECONDS + MOST_LATE_SECONDS)
    assert spacing.next_at(50, is_given=False) == pytest.approx(before + 1 / 50)


def test_what_varies_is_not_late() -> None:
    spacing = Spacing()
    for ordinal in range(200):
        spacing.left(ordinal, ordinal / 5)
        spacing.replied(ordinal, 0.1 if ordinal % 2 else 0.5)
    assert spacing.next_at(5, is_given=False) == pytest.approx(195 / 5 + 1, abs=0.005)


@pytest.mark.parametrize(("limit", "is_given"), [(MOST_SPACED + 1, False), (5, False), (500, True)])
def test_nothing_is_spaced_that_is_too_fast_or_too_few(limit: int, *, is_given: bool) -> None:
    spacing = Spacing()
    for ordinal in range(limit if limit > MOST_SPACED and not is_given else limit - 1):
        spacing.left(ordinal, 1.0)
    assert spacing.next_at(limit, is_given=is_given) == -math.inf
    spacing.left(limit, 1.0)
    is_kept = is_given or limit <= MOST_SPACED
    assert (spacing.next_at(limit, is_given=is_given) > 1.0) == is_kept


def test_a_long_run_keeps_what_counts() -> None:
    spacing = Spacing()
    for ordinal in range(5000):
        spacing.left(ordinal, ordinal / 500)
    assert spacing.next_at(500, is_given=True) == pytest.approx(4500 / 500 + 1)
