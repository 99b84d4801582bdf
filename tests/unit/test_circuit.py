"""Rows or the API: when the circuit opens, whom an outage excuses, and what retries may cost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bulk_sync.send.circuit import FAILURES_IN_A_ROW, ROWS_IN_A_ROW, Circuit, RetryBudget


def failing(circuit: Circuit[str], rows: int, *, first: float = 10.0) -> None:
    for number in range(rows):
        circuit.failed(f"row {number}", first + number, first + number + 0.5, dice=1.0)


def test_it_opens_after_failures_in_a_row_of_several_rows() -> None:
    circuit: Circuit[str] = Circuit()
    failing(circuit, FAILURES_IN_A_ROW - 1)
    assert not circuit.open
    failing(circuit, 1, first=50)
    assert circuit.open
    assert circuit.began == 10.0


def test_one_row_alone_never_opens_it() -> None:
    circuit: Circuit[str] = Circuit()
    row = "the row"
    for number in range(50):
        assert circuit.failed(row, number, number + 0.5, dice=1.0)
    assert not circuit.open


def test_no_two_rows_open_it_and_a_third_does() -> None:
    assert ROWS_IN_A_ROW == 3
    circuit: Circuit[str] = Circuit()
    for number in range(50):
        circuit.failed(("one row", "another")[number % 2], number, number + 0.5, dice=1.0)
    assert not circuit.open
    circuit.failed("a third", 60.0, 61.0, dice=1.0)
    assert circuit.open


def test_a_new_series_of_failures_begins_with_its_own_first_request() -> None:
    circuit: Circuit[str] = Circuit()
    failing(circuit, 2, first=10)
    circuit.got_through(20.0)
    failing(circuit, 2, first=30)
    assert circuit.began == 30.0


def test_a_success_in_between_starts_the_count_again() -> None:
    circuit: Circuit[str] = Circuit()
    failing(circuit, FAILURES_IN_A_ROW - 1)
    circuit.got_through(20.0)
    failing(circuit, FAILURES_IN_A_ROW - 1, first=30)
    assert not circuit.open


def test_probes_come_with_growing_gaps_and_are_nobodys_fault() -> None:
    circuit: Circuit[str] = Circuit()
    failing(circuit, FAILURES_IN_A_ROW)
    gaps = []
    now = circuit.probe_at
    for _ in range(9):
        assert not circuit.failed("probe", now, now + 0.1, dice=1.0)
        gaps.append(circuit.probe_at - now - 0.1)
        now = circuit.probe_at
    assert [round(gap) for gap in gaps] == [1, 2, 4, 8, 16, 30, 30, 30, 30]


def test_a_gap_is_half_fixed_and_half_random() -> None:
    for dice in (0.0, 0.25, 1.0):
        circuit: Circuit[str] = Circuit()
        circuit.break_open(100.0, dice)
        assert circuit.probe_at - 100.0 == 0.25 + 0.25 * dice


def test_a_failure_that_was_on_its_way_when_it_opened_is_no_probe() -> None:
    circuit: Circuit[str] = Circuit()
    circuit.break_open(100.0, 1.0)
    probe_at = circuit.probe_at
    assert not circuit.failed("late", 99.9, 130.0, dice=1.0)
    assert circuit.probe_at == probe_at
    assert circuit.failed_probes == 0
    assert not circuit.failed("probe", 100.0, 130.0, dice=1.0)
    assert circuit.probe_at == 131.0
    assert circuit.failed_probes == 1


def test_each_excuse_widens_the_gap_as_a_failed_probe_does() -> None:
    circuit: Circuit[str] = Circuit()
    now = 100.0
    gaps = []
    for _ in range(9):
        circuit.excuse(now, 1.0)
        assert circuit.open
        gaps.append(circuit.probe_at - now)
        now = circuit.probe_at
    assert gaps == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_an_excuse_returns_the_suspects_for_retry_once() -> None:
    circuit: Circuit[str] = Circuit()
    circuit.suspect("row", 5.0)
    assert circuit.excuse(100.0, 1.0) == ["row"]
    assert circuit.excuse(101.0, 1.0) == []


def test_an_outage_that_is_excused_began_with_the_failures_before_it_if_there_were_any() -> None:
    circuit: Circuit[str] = Circuit()
    circuit.excuse(100.0, 1.0)
    assert circuit.began == 100.0
    circuit = Circuit()
    failing(circuit, 2, first=10)
    circuit.excuse(100.0, 1.0)
    assert circuit.began == 10.0


def test_after_an_excuse_a_success_gives_the_attempts_before_it_back_only_if_a_probe_failed() -> (
    None
):
    circuit: Circuit[str] = Circuit()
    failing(circuit, 2)
    circuit.excuse(100.0, 1.0)
    assert circuit.got_through(101.0) == ([], [], [])
    failing(circuit, 2, first=200)
    circuit.excuse(300.0, 1.0)
    circuit.excuse(301.0, 1.0)
    assert circuit.got_through(302.0) == ([], [], ["row 0", "row 1"])


def test_a_block_opens_it_at_once_and_counts_against_no_row() -> None:
    circuit: Circuit[str] = Circuit()
    assert circuit.blocked("row", 9.0, 10.0, 1.0, alone=False) is False
    assert circuit.open
    assert circuit.began == 9.0
    assert circuit.probe_at == 10.5
    # A probe that is blocked, too, widens the gap, whoever else was blocked.
    assert not circuit.blocked("row", 10.5, 11.0, 1.0, alone=False)
    assert circuit.probe_at == 12.0
    assert not circuit.blocked("other", 12.0, 12.5, 1.0, alone=True)
    assert circuit.probe_at == 14.5
    assert circuit.blocked_cases == ["row", "row", "other"]
    circuit.got_through(20.0)
    assert circuit.blocked_cases == []


def test_a_block_after_failures_began_with_them() -> None:
    circuit: Circuit[str] = Circuit()
    failing(circuit, 2, first=5)
    circuit.blocked("row", 9.0, 10.0, 1.0, alone=False)
    assert circuit.began == 5.0


def test_a_row_that_is_blocked_alone_pays_for_it() -> None:
    circuit: Circuit[str] = Circuit()
    assert circuit.blocked("row", 9.0, 10.0, 1.0, alone=True)
    assert not circuit.open
    assert circuit.blocked_cases == []


def test_while_the_api_is_trusted_failures_and_blocks_are_the_rows_own() -> None:
    circuit: Circuit[str] = Circuit()
    failing(circuit, FAILURES_IN_A_ROW)
    circuit.trust()
    assert not circuit.open
    failing(circuit, 3 * FAILURES_IN_A_ROW)
    assert circuit.blocked("row", 90.0, 91.0, 1.0, alone=False)
    assert not circuit.open
    # The next success ends it: what fails after that may be an outage again.
    circuit.got_through(100.0)
    failing(circuit, FAILURES_IN_A_ROW, first=200)
    assert circuit.open


def test_an_acquittal_closes_it_and_returns_the_suspects_as_failed_once() -> None:
    circuit: Circuit[str] = Circuit()
    failing(circuit, FAILURES_IN_A_ROW)
    circuit.suspect("row", 17.0)
    assert circuit.acquit() == ["row"]
    assert not circuit.open
    assert circuit.acquit() == []
    failing(circuit, FAILURES_IN_A_ROW - 1, first=20)
    assert not circuit.open


@pytest.mark.parametrize(
    "disturb",
    [
        lambda circuit: circuit.failed("row", 1.0, 2.0, dice=1.0),
        lambda circuit: circuit.suspect("row", 1.0),
        lambda circuit: circuit.break_open(1.0, 1.0),
        lambda circuit: circuit.trust(),
    ],
)
def test_it_is_at_rest_only_while_nothing_failed(disturb: Callable[[Circuit[str]], object]) -> None:
    circuit: Circuit[str] = Circuit()
    assert circuit.at_rest()
    disturb(circuit)
    assert not circuit.at_rest()


def test_a_probe_can_be_hurried_never_delayed() -> None:
    circuit: Circuit[str] = Circuit()
    failing(circuit, FAILURES_IN_A_ROW)
    due = circuit.probe_at
    circuit.hurry(due + 5)
    assert circuit.probe_at == due
    circuit.hurry(due - 0.25)
    assert circuit.probe_at == due - 0.25


def test_every_success_is_counted_also_one_that_was_on_its_way() -> None:
    circuit: Circuit[str] = Circuit()
    assert circuit.successes == 0
    circuit.got_through(1.0)
    circuit.break_open(10.0, 1.0)
    circuit.got_through(9.0)
    assert circuit.successes == 2
    assert circuit.open
    circuit.got_through(10.0)
    assert circuit.successes == 3
    assert not circuit.open


def test_a_reply_that_was_on_its_way_when_it_opened_does_not_close_it() -> None:
    circuit: Circuit[str] = Circuit()
    failing(circuit, FAILURES_IN_A_ROW)
    circuit.got_through(11.0)
    assert circuit.open
    circuit.got_through(30.0)
    assert not circuit.open


def test_an_outage_gives_attempts_back_and_a_first_probe_that_gets_through_does_not() -> None:
    for failed_probes, expected in ((1, FAILURES_IN_A_ROW), (0, 0)):
        circuit: Circuit[str] = Circuit()
        failing(circuit, FAILURES_IN_A_ROW)
        for _ in range(failed_probes):
            circuit.failed("probe", 40.0, 41.0, dice=1.0)
        _, _, given_back = circuit.got_through(50.0)
        assert len(given_back) == expected


def test_a_suspect_is_failed_by_a_later_success_and_only_by_a_later_one() -> None:
    circuit: Circuit[str] = Circuit()
    circuit.suspect("row", 10.0)
    assert circuit.got_through(9.0) == ([], [], [])
    assert circuit.got_through(10.0) == (["row"], [], [])
    assert circuit.suspects == []


def test_a_suspect_of_an_outage_is_tried_again() -> None:
    circuit: Circuit[str] = Circuit()
    failing(circuit, FAILURES_IN_A_ROW)
    circuit.suspect("row", 17.0)
    circuit.failed("probe", 40.0, 41.0, dice=1.0)
    failed, again, _ = circuit.got_through(50.0)
    assert (failed, again) == ([], ["row"])


def test_retries_stay_under_a_fifth_of_what_gets_through() -> None:
    budget = RetryBudget()
    taken = sum(budget.take(1.0, only_retries_left=False, per_second=100) for _ in range(100))
    assert taken == 16
    for _ in range(100):
        budget.succeeded()
    assert sum(budget.take(2.0, only_retries_left=False, per_second=100) for _ in range(100)) == 16
    for _ in range(10):
        budget.succeeded()
    assert sum(budget.take(2.0, only_retries_left=False, per_second=100) for _ in range(100)) in {
        1,
        2,
    }


def test_a_budget_never_holds_more_than_it_began_with() -> None:
    budget = RetryBudget()
    for _ in range(1000):
        budget.succeeded()
    budget.take(1.0, only_retries_left=True, per_second=1000)
    for _ in range(2):
        budget.take(1000.0, only_retries_left=True, per_second=1000)
    taken = sum(budget.take(1000.0, only_retries_left=False, per_second=1) for _ in range(100))
    assert taken == 14


def test_a_slow_pace_still_allows_a_retry_a_second() -> None:
    budget = RetryBudget(tokens=0.0)
    assert not budget.take(10.0, only_retries_left=True, per_second=0.1)
    assert not budget.take(10.9, only_retries_left=True, per_second=0.1)
    assert budget.take(11.1, only_retries_left=True, per_second=0.1)


def test_time_feeds_the_budget_only_while_nothing_but_retries_is_left() -> None:
    budget = RetryBudget(tokens=0.0)
    budget.take(10.0, only_retries_left=True, per_second=10)
    assert not budget.take(20.0, only_retries_left=False, per_second=10)
    assert not budget.take(30.0, only_retries_left=True, per_second=10)
    assert budget.take(31.0, only_retries_left=True, per_second=10)


def test_when_only_retries_are_left_time_feeds_the_budget_too() -> None:
    budget = RetryBudget(tokens=0.0)
    assert not budget.take(1.0, only_retries_left=True, per_second=10)
    assert sum(
        budget.take(1.0 + step / 10, only_retries_left=True, per_second=10) for step in range(1, 31)
    ) in {5, 6}
