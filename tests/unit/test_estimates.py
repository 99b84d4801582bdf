"""How long sending takes: worked out by hand, and against a simulation of every request."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bulk_sync.model.estimates import (
    Window,
    requests_within,
    seconds_to_send,
    spaced_rate,
    windows_for,
)
from bulk_sync.model.rows import Allowance, RateSource
from bulk_sync.quantities import Rate, Share

NOW = datetime(2026, 3, 14, 16, 30, tzinfo=UTC)
HOUR = Window(1000, 3600)


@pytest.mark.parametrize(
    ("requests", "per_second", "windows", "seconds"),
    [
        (0, 10, (), 0),
        (100, 10, (), 10),
        (100, None, (), 0),
        (300, 10, (HOUR,), 30),
        (1000, 10, (HOUR,), 100),
        # One more waits for the next hour.
        (1001, 10, (HOUR,), 3600.1),
        (5000, 10, (HOUR,), 4 * 3600 + 100),
        (5000, None, (HOUR,), 4 * 3600),
        # 985 are left until the hour is over, in 20 minutes.
        (985, 10, (Window(1000, 3600, 985, 1200),), 98.5),
        (1500, 10, (Window(1000, 3600, 985, 1200),), 1200 + 51.5),
        (2000, 10, (Window(1000, 3600, 985, 1200),), 1200 + 3600 + 1.5),
        (10, 10, (Window(1000, 3600, 0, 1200),), 1201),
        # The rate is too low to use the hour up.
        (5000, 0.1, (HOUR,), 50000),
        # By the hour and by the day
        (6000, None, (HOUR, Window(5000, 86400)), 86400),
        (8500, None, (Window(5000, 86400), HOUR), 86400 + 3 * 3600),
        # Short windows are spaced.
        (100, None, (Window(10, 1),), 10),
        (100, 50, (Window(10, 1), HOUR), 10),
        # Nothing is known of the window after this one, or how long it is.
        (100, 10, (Window(None, None, 50, 30),), 40),
        (100, 10, (Window(60, None, 50, 30),), 30 + 5),
        (200, 10, (Window(60, None, 50, 30),), 30 + 2 * 30 + 3),
        (100, 10, (Window(0.5, 60),), math.inf),
        (100, 10, (Window(60, None),), 10),
    ],
)
def test_the_least_time(
    requests: int, per_second: float | None, windows: tuple[Window, ...], seconds: float
) -> None:
    assert seconds_to_send(requests, per_second, windows) == pytest.approx(seconds)


def test_a_hold_comes_first_and_windows_reset_in_it() -> None:
    window = Window(1000, 3600, 0, 60)
    assert seconds_to_send(100, 10, (window,), held_seconds=90) == 100
    assert seconds_to_send(100, 10, (window,), held_seconds=30) == 70
    assert seconds_to_send(100, 10, (), held_seconds=30) == 40
    assert seconds_to_send(0, 10, (), held_seconds=30) == 0


@pytest.mark.parametrize(
    ("seconds", "sent"), [(0, 0), (9.9, 99), (10, 100), (3599, 1000), (3600.1, 1001), (1e9, 5000)]
)
def test_what_can_be_sent_in_a_time(seconds: float, sent: int) -> None:
    assert requests_within(seconds, 5000, 10, (HOUR,)) == sent


@pytest.mark.parametrize(
    ("at_least", "resets_in", "length"),
    [
        (None, 16, 60),
        (59.5, 16, 60),
        (61, None, 60),
        (62, 5, 3600),
        (None, 61.5, 3600),
        (3500, None, 3600),
        (10_000, 1, 86400),
        (100_000, 1, 100_000),
        (None, None, None),
    ],
)
def test_a_window_of_unknown_length_is_a_minute_an_hour_or_a_day(
    at_least: float | None, resets_in: float | None, length: float | None
) -> None:
    (window,) = windows_for(
        (),
        [
            Allowance(
                limit=400,
                remaining=None if resets_in is None else 180,
                resets_at=None if resets_in is None else NOW + timedelta(seconds=resets_in),
                source=RateSource.ACCOUNT,
                at_least_seconds=at_least,
            )
        ],
        NOW,
    )
    assert window.seconds == length


def test_rows_for_three_minutes_take_as_long_whenever_in_the_first_one_is_asked() -> None:
    """900 rows at 400 a minute, of which 7 a second were sent since the last reset."""
    for gone in range(60):
        told = Allowance(
            limit=400,
            remaining=max(0, 400 - 7 * gone),
            resets_at=NOW + timedelta(seconds=60 - gone),
            source=RateSource.ACCOUNT,
            at_least_seconds=59.0,
        )
        left = 900 - min(400, 7 * gone)
        seconds = seconds_to_send(left, 7, windows_for((), [told], NOW))
        assert gone + seconds == pytest.approx(120 + 100 / 7)


def test_allowances_of_user_and_api_without_what_others_get() -> None:
    rates = (Rate(10, 1), Rate(1000, 3600), Rate(9000, 86400))
    told = (
        Allowance(500, 400, NOW + timedelta(seconds=90), RateSource.HEADER, 3600),
        Allowance(None, 100, NOW - timedelta(seconds=90), RateSource.ACCOUNT),
        Allowance(),
    )
    assert spaced_rate(rates) == 10
    assert spaced_rate(()) is None
    assert windows_for(rates, told, NOW, Share(percent=10)) == (
        Window(900, 3600),
        Window(8100, 86400),
        Window(450, 3600, 350, 90),
        Window(None, None, 90, 0),
    )
    assert windows_for((), told[:1], NOW, Share(count=450)) == (Window(50, 3600, 0, 90),)


def sent_one_by_one(requests: int, per_second: float, windows: tuple[Window, ...]) -> float:
    """Return when the last request is over, each at the first instant that all windows pass."""
    at = 0.0
    resets = [window.resets_in or window.seconds or 0.0 for window in windows]
    left = [(window.contents or 0.0) if window.left is None else window.left for window in windows]
    for _ in range(requests):
        while True:
            for index, window in enumerate(windows):
                while at >= resets[index] - 1e-9:
                    resets[index] += window.seconds or 0.0
                    left[index] = window.contents or 0.0
            empty = [resets[index] for index in range(len(windows)) if left[index] < 1]
            if not empty:
                break
            at = max(empty)
        left = [one - 1 for one in left]
        at += 1 / per_second
    return at


WINDOWS = st.builds(
    lambda contents, seconds, used, share: Window(
        contents, seconds, max(0, contents - used), share * seconds
    ),
    st.integers(1, 30),
    st.sampled_from([60.0, 3600.0, 86400.0]),
    st.integers(0, 30),
    st.floats(0.01, 1),
)


@given(st.integers(1, 300), WINDOWS)
@example(31, Window(30, 60.0, 0, 60.0))
def test_an_allowance_is_spent_at_once_and_waited_for(requests: int, window: Window) -> None:
    """At a rate that no window outlasts, the estimate is the greedy schedule."""
    assert seconds_to_send(requests, 1000, (window,)) == pytest.approx(
        sent_one_by_one(requests, 1000, (window,)), abs=1
    )


@given(st.integers(1, 300), st.floats(0.01, 100), st.lists(WINDOWS, max_size=3))
def test_the_estimate_is_late_by_no_more_than_the_shorter_windows(
    requests: int, per_second: float, windows: list[Window]
) -> None:
    """It takes a shorter window to begin with a longer one; the server's may be half over then."""
    least = seconds_to_send(requests, per_second, windows)
    shorter = sum(sorted(window.seconds or 0.0 for window in windows)[:-1])
    simulated = sent_one_by_one(requests, per_second, tuple(windows))
    assert least <= simulated * (1 + 1e-9) + 1e-6 + shorter
    assert least >= requests / per_second * (1 - 1e-9)
    assert requests_within(least * (1 + 1e-9), requests, per_second, windows) == requests
