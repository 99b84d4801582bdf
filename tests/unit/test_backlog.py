"""The order of changes that wait to be sent, and the workers that they wait for."""

from __future__ import annotations

from collections import deque

import anyio
import pytest

from bulk_sync.model.rows import Change, Creation, Outcome
from bulk_sync.send.backlog import MOST_WAITING, Backlog, NoWork, Workers
from bulk_sync.send.case import Case

pytestmark = pytest.mark.asyncio


def change(number: int) -> Change:
    return Change(number, number + 2, f"k{number}", "{}", "d")


class Work(NoWork):
    """Changes of which `ready` need no wait."""

    def __init__(self, number: int, *, ready: int = 0) -> None:
        self.left = deque(map(change, range(number)))
        self.ready = ready

    async def claim(self, limit: int) -> list[Change]:
        await anyio.lowlevel.checkpoint()
        return [self.left.popleft() for _ in range(min(limit, len(self.left)))]

    def take(self) -> Change | None:
        self.ready -= 1
        return self.left.popleft() if self.ready >= 0 and self.left else None

    async def begin_creation(self, change: Change, report_id: str | None) -> Creation | None:  # noqa: ARG002
        raise AssertionError("nothing is created unless it was asked for")

    def put(self, outcome: Outcome) -> None:
        raise AssertionError(outcome)


async def rest_of(backlog: Backlog) -> list[int]:
    found = []
    while (case := await backlog.next_case()) is not None:
        found.append(case.change.id)
    return found


async def test_changes_come_in_order_and_each_once_whichever_way_they_are_taken() -> None:
    backlog = Backlog(Work(7, ready=2), workers=2)
    taken = [case.change.id for case in (backlog.take(), backlog.take()) if case is not None]
    assert backlog.take() is None
    assert backlog.has_new  # None says nothing about what `claim` may bring
    assert taken + await rest_of(backlog) == list(range(7))
    assert not backlog.has_new


async def test_cases_that_are_tried_again_come_before_all_new_ones() -> None:
    backlog = Backlog(Work(2, ready=2), workers=1)
    again = Case(change(9))
    backlog.try_again([again])
    assert backlog.take() is None
    assert await backlog.next_case() is again
    assert await rest_of(backlog) == [0, 1]


async def test_only_retries_are_left_once_nothing_new_is_or_too_many_rows_are_open() -> None:
    backlog = Backlog(Work(1), workers=3)
    assert not backlog.only_retries_left
    backlog.open_rows = 3 + MOST_WAITING
    assert (backlog.is_full, backlog.only_retries_left) == (True, True)
    backlog.open_rows = 1
    assert not backlog.only_retries_left
    await rest_of(backlog)
    assert backlog.only_retries_left
    backlog.try_again([Case(change(9))])
    assert not backlog.only_retries_left


async def test_a_case_gives_its_worker_back_once_and_the_next_that_waits_has_it() -> None:
    workers, first, second = Workers(1), Case(change(0)), Case(change(1))
    await workers.acquire()
    second.has_worker = False
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(workers.take_for, second)
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        assert (workers.waiting, second.has_worker) == (1, False)
        workers.release_from(first)
        workers.release_from(first)
    assert (workers.waiting, first.has_worker, second.has_worker) == (0, False, True)
    with anyio.move_on_after(0) as in_vain:
        await workers.acquire()
    assert in_vain.cancelled_caught


async def test_the_patches_of_open_rows_are_bounded_by_their_length(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bulk_sync.send.backlog.MAX_OPEN_CHARACTERS", 100)
    work = Work(9, ready=9)
    work.left = deque(one._replace(body="x" * 40) for one in work.left)
    backlog = Backlog(work, workers=4)
    begun = []
    while not backlog.is_full:
        case = await backlog.next_case()
        assert case is not None
        backlog.begin(case)
        begun.append(case)
    assert (len(begun), backlog.take()) == (3, None)
    assert backlog.only_retries_left
    backlog.end(begun[0])
    assert not backlog.is_full
    assert backlog.take() is not None
