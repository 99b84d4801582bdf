"""Rows or the API: when the circuit opens, whom an outage excuses, and what retries may cost."""

from __future__ import annotations

from bulk_sync.send.circuit import FAILURES_IN_A_ROW, Circuit, RetryBudget


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


def test_when_only_retries_are_left_time_feeds_the_budget_too() -> None:
    budget = RetryBudget(tokens=0.0)
    assert not budget.take(1.0, only_retries_left=True, per_second=10)
    assert sum(
        budget.take(1.0 + step / 10, only_retries_left=True, per_second=10) for step in range(1, 31)
    ) in {5, 6}
