"""A row that always gets 429 fails alone, and no row does because of a limit; in virtual time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bulk_sync.errors import Outage
from bulk_sync.model.rows import State
from bulk_sync.send.alone import Answer, Refusals
from tests.models.rules import FixedWindow, LockOut, Rule, SlidingLog, TokenBucket
from tests.simulation import Ran, Server, simulate

# A coverage run triples the time of these loops; faster tests reach the same lines.
pytestmark = pytest.mark.uncovered

HOUR = 3600.0


def refusals(times: int, *, others_pass: bool) -> Refusals:
    """So many refusals after a first one, a second apart."""
    found = Refusals(passed_before=0, refused_before=0)
    for second in range(times + 1):
        found.add(float(second), second - 0.5 if others_pass else -1.0)
    return found


@pytest.mark.parametrize(
    ("times", "passed", "refused", "alone"),
    [
        (2, 10_000, 0, False),  # one might be unlucky twice
        (3, 98, 0, True),
        (3, 90, 0, False),
        (6, 6, 0, False),
        (7, 7, 0, True),  # one worker: another row between any two refusals
        (6, 90, 10, False),  # others are refused, too
        (7, 90, 10, True),
        (20, 20, 80, False),  # hardly anything passes, as at a slow limit
    ],
)
def test_a_row_is_to_blame_when_chance_is_not(
    *, times: int, passed: int, refused: int, alone: bool
) -> None:
    assert refusals(times, others_pass=True).are_improbable(passed, refused) == alone


def test_refusals_between_which_nothing_passed_show_nothing() -> None:
    """The others got through before the first refusal was known."""
    assert not refusals(50, others_pass=False).are_improbable(1000, 0)


@pytest.mark.parametrize(
    ("answer", "passed_once", "seconds", "longest", "alone"),
    [
        (Answer.PASSES, True, 120, 60, True),
        (Answer.PASSES, True, 119, 0, False),  # a lock-out may last for a minute
        (Answer.PASSES, True, 300, 151, False),  # a wait of this length was nothing unusual
        (Answer.PASSES, False, 7200, 0, False),  # users/me may not count for the limit
        (Answer.LEFT, False, 120, 0, True),
        (Answer.NONE, True, 7200, 0, False),
    ],
)
def test_users_me_takes_the_place_of_others(
    *, answer: Answer, passed_once: bool, seconds: float, longest: float, alone: bool
) -> None:
    found = refusals(1, others_pass=passed_once)
    for second in range(3):
        found.answer = answer
        found.add(10.0 + second, -1.0)
    assert found.are_alone(seconds, longest) == alone


# Whole runs


def push(
    rows: int, *bad: int, rule: Rule | None = None, workers: int = 16, told: bool = False
) -> Ran:
    """Send rows, some of which always get 429; users/me does not count for the rule unless told."""
    keys = {f"k{row}" for row in bad}
    chokes: Callable[[str, int], bool] = lambda key, _: key in keys  # noqa: E731
    server = Server(rule, chokes_on=chokes, chokes_with=429, me_counts=told, answers_me=told)
    return simulate(server, rows, workers=workers)


@pytest.mark.parametrize("workers", [1, 2, 16])
@pytest.mark.parametrize(("rows", "bad"), [(5, 2), (10, 0), (20, 3), (100, 50), (300, 150)])
def test_a_row_that_always_gets_429_fails_within_minutes(rows: int, bad: int, workers: int) -> None:
    ran = push(rows, bad, workers=workers)
    assert ran.states() == {State.UPDATED: rows - 1, State.FAILED: 1}
    assert ran.seconds < 600
    failed = ran.outcomes[bad]
    assert failed.error == "throttled"
    assert "refuses this row alone (429)" in (failed.message or "")


@pytest.mark.parametrize(("rows", "bad"), [(1, 0), (5, 4), (40, 39)])
def test_so_does_the_last_one_where_users_me_says_that_requests_are_left(
    rows: int, bad: int
) -> None:
    ran = push(rows, bad, rule=FixedWindow(1000, HOUR), told=True)
    assert ran.states()[State.FAILED] == 1
    assert ran.states()[State.UPDATED] == rows - 1
    assert ran.seconds < 600


def test_a_last_row_that_nothing_is_known_of_stays_pending() -> None:
    """It may be the first one beyond a limit on changes."""
    ran = push(20, 19)
    assert ran.states() == {State.UPDATED: 19, State.PENDING: 1}
    assert isinstance(ran.stopped[0], Outage)


def test_a_row_that_failed_alone_does_not_wait_for_others_that_are_refused() -> None:
    ran = push(40, 3, 20, 39)
    assert [ran.outcomes[row].state for row in (3, 20, 39)] == [
        State.FAILED,
        State.FAILED,
        State.PENDING,
    ]


SLOW_LIMITS: dict[str, Rule] = {
    "20 an hour": FixedWindow(20, HOUR),
    "20 an hour, sliding": SlidingLog(20, HOUR),
    "a bucket, one every 20 s": TokenBucket(1 / 20, 20),
    "a bucket, one in 3 min": TokenBucket(1 / 180, 20),
    "5/s, else half a minute": LockOut(SlidingLog(5, 1), 30),
    "5/s, else a minute": LockOut(SlidingLog(5, 1), 60),
}


@pytest.mark.parametrize("rows", [21, 24, 28, 40])
@pytest.mark.parametrize("limit", SLOW_LIMITS)
def test_no_row_fails_at_a_limit_on_changes_alone(limit: str, rows: int) -> None:
    """Although users/me gets through all the time."""
    ran = push(rows, rule=SLOW_LIMITS[limit])
    assert ran.states() == {State.UPDATED: rows}


def test_no_row_fails_for_being_refused_longer_than_others() -> None:
    """One token in three minutes: the last rows wait for hours."""
    ran = push(100, rule=TokenBucket(1 / 180, 20), told=False)
    assert set(ran.states()) <= {State.UPDATED, State.PENDING}
    assert ran.states()[State.UPDATED] > 40
