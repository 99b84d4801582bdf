"""The pacer in simulated time: no window above rate and burst, no time lost, holds held; and Retry-After's text."""

from __future__ import annotations

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.model import Rate
from bulk_sync.send.headers import LONGEST_WAIT, retry_after
from bulk_sync.send.pace import Pacer


def permits(rate: Rate, seconds: float, late: list[float]) -> list[float]:
    """The moments of permits when somebody always asks, and each wake-up comes a little late."""
    pacer, now, given_at = Pacer(rate), 100.0, []
    turn = 0
    while now < 100 + seconds:
        wait = pacer.wait(now)
        if wait > 0:
            now += wait + late[turn % len(late)]
            turn += 1
            continue
        pacer.take(now)
        given_at.append(now)
    return given_at


@given(
    st.builds(Rate, st.floats(0.5, 200), st.sampled_from([1.0, 60.0])),
    st.lists(st.floats(0, 0.05), min_size=1, max_size=20),
    st.floats(0.5, 5),
)
def test_no_window_holds_more_than_rate_and_burst(rate: Rate, late: list[float], window: float) -> None:
    given_at = permits(rate, 8, late)
    for first, start in enumerate(given_at):
        inside = bisect_left(given_at, start + window) - first
        assert inside <= rate.per_second * window + rate.burst + 1e-6


def test_late_wake_ups_do_not_eat_the_rate() -> None:
    given_at = permits(Rate(50, 1), 60, [0.001, 0.004, 0.0005])
    assert len(given_at) >= 0.995 * 50 * 60


def test_time_nobody_asked_in_is_not_saved_up() -> None:
    pacer = Pacer(Rate(50, 1))
    pacer.take(0.0)
    given_at = []
    now = 30.0  # the process was stopped for half a minute
    while now < 31.0:
        wait = pacer.wait(now)
        if wait:
            now += wait
            continue
        pacer.take(now)
        given_at.append(now)
    assert len(given_at) <= 50 + Rate(50, 1).burst


def test_without_a_rate_permits_are_always_due_but_for_a_hold() -> None:
    pacer = Pacer(None)
    for _ in range(1000):
        assert pacer.wait(5.0) == 0
        pacer.take(5.0)
    pacer.hold(7.5)
    pacer.hold(6.0)
    assert pacer.held_until == 7.5
    assert pacer.wait(5.0) == 2.5
    assert pacer.wait(7.5) == 0


@pytest.mark.parametrize(
    ("text", "date", "seconds"),
    [
        ("120", "", 120),
        ("0", "", 0),
        (" 3 ", "", 3),
        ("-1", "", None),
        ("1.5", "", None),
        ("", "", None),
        ("soon", "", None),
        ("nan", "", None),
        ("٣", "", None),
        ("9" * 40, "", LONGEST_WAIT),
        ("Mon, 02 Mar 2026 10:00:30 GMT", "Mon, 02 Mar 2026 10:00:00 GMT", 30),
        ("Monday, 02-Mar-26 10:00:30 GMT", "Mon, 02 Mar 2026 10:00:00 GMT", 30),
        ("Mon Mar  2 10:00:30 2026", "Mon, 02 Mar 2026 10:00:00 GMT", 30),
        ("Mon, 02 Mar 2026 09:00:00 GMT", "Mon, 02 Mar 2026 10:00:00 GMT", 0),
        ("Fri, 31 Dec 2138 23:59:59 GMT", "Mon, 02 Mar 2026 10:00:00 GMT", LONGEST_WAIT),
        ("Mon, 02 Mar 2026 10:00:30 GMT", "", None),
        ("Mon, 01 Jan 99999999999 00:00:00 GMT", "Mon, 02 Mar 2026 10:00:00 GMT", None),
        ("Mon, 99 Mar 2026 10:00:30 GMT", "Mon, 02 Mar 2026 10:00:00 GMT", None),
    ],
)
def test_retry_after(text: str, date: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": text, "date": date}) == seconds


def test_without_retry_after_nothing_is_asked() -> None:
    assert retry_after({}) is None


@given(st.text(), st.text())
def test_any_header_text_is_a_bounded_wait_or_none(text: str, date: str) -> None:
    seconds = retry_after({"retry-after": text, "date": date})
    assert seconds is None or 0 <= seconds <= LONGEST_WAIT
