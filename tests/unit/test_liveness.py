from __future__ import annotations

from bulk_sync.model import Outcome, State
from bulk_sync.send.liveness import Liveness


def outcome(row: int) -> Outcome:
    return Outcome(row, State.FAILED, 5)


def test_a_later_request_that_gets_through_convicts_the_suspect() -> None:
    liveness = Liveness(workers=4, answered=True)
    assert not liveness.used_up(outcome(1), ended=10.0)
    assert liveness.got_through(begun=9.9) == []
    assert liveness.suspects == [outcome(1)]
    assert liveness.got_through(begun=10.0) == [outcome(1)]
    assert liveness.suspects == []


def test_as_many_suspects_as_workers_make_an_outage() -> None:
    liveness = Liveness(workers=4, answered=True)
    assert [liveness.used_up(outcome(row), ended=1.0) for row in range(4)] == [False, False, False, True]
    assert len(liveness.suspects) == 4


def test_fewer_than_three_suspects_make_none_however_few_the_workers() -> None:
    liveness = Liveness(workers=1, answered=True)
    assert [liveness.used_up(outcome(row), ended=1.0) for row in range(3)] == [False, False, True]


def test_when_nothing_was_ever_answered_one_is_enough() -> None:
    assert Liveness(workers=16).used_up(outcome(1), ended=1.0)
