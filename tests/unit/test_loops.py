"""The loop of several jobs, and their turns at the processor."""

from __future__ import annotations

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from bulk_sync.clock import SystemClock
from bulk_sync.run.follow import StopRequest
from bulk_sync.run.loops import (
    LONGEST_TURN_SECONDS,
    SWITCH_SECONDS,
    CommonLoop,
    OwnLoop,
    Turns,
    common_loop,
)
from tests.helpers import SimulatedClock, poll


async def loop_and_thread(_: int) -> tuple[int, int]:
    return id(asyncio.get_running_loop()), threading.get_ident()


def test_all_jobs_run_in_one_loop_and_each_gets_its_own_result() -> None:
    with common_loop(3, 2, SystemClock()) as new_loop, ThreadPoolExecutor(3) as threads:
        ran = list(threads.map(lambda place: new_loop().run(loop_and_thread, place), range(3)))
    assert len(set(ran)) == 1
    assert ran[0][1] != threading.get_ident()


def test_what_one_job_raises_ends_no_other() -> None:
    async def fail() -> None:
        raise ValueError("mine")

    async def wait(until: asyncio.Event) -> str:
        await until.wait()
        return "well"

    with common_loop(2, 2, SystemClock()) as new_loop, ThreadPoolExecutor(1) as threads:
        event = asyncio.Event()
        other = threads.submit(new_loop().run, wait, event)
        with pytest.raises(ValueError, match="mine"):
            new_loop().run(fail)

        async def release() -> None:
            event.set()

        new_loop().run(release)
        assert other.result(60) == "well"


def test_a_job_that_sends_keeps_none_from_its_turn() -> None:
    """With one turn in all, a second job has it while the first is in the loop."""
    had = threading.Event()

    async def until_the_other_had_its_turn() -> bool:
        return await asyncio.to_thread(had.wait, 60)

    with common_loop(2, 1, SimulatedClock()) as new_loop, ThreadPoolExecutor(1) as threads:
        first, second = new_loop(), new_loop()

        def other() -> None:
            with second.turn():
                had.set()

        with first.turn():
            working = threads.submit(other)
            assert first.run(until_the_other_had_its_turn)
            working.result(60)


def test_turns_are_had_in_the_order_of_asking() -> None:
    turns = Turns(1, SimulatedClock())
    order: list[int] = []
    running = turns.begin()

    def have(name: int) -> None:
        turn = turns.begin()
        order.append(name)
        turns.end(turn)

    with ThreadPoolExecutor(5) as threads:
        for name in range(5):
            threads.submit(have, name)
            poll(lambda: len(turns.waiting) == name + 1)  # noqa: B023 - called at once
        turns.end(running)
    assert order == list(range(5))


def test_a_turn_that_lasts_too_long_does_not_count() -> None:
    clock = SimulatedClock()
    turns = Turns(1, clock)
    slow = turns.begin()
    clock.seconds += LONGEST_TURN_SECONDS + 0.1
    other = turns.begin()  # would wait for ever
    turns.end(slow)
    with ThreadPoolExecutor(1) as threads:
        third = threads.submit(turns.begin)
        poll(lambda: len(turns.waiting) == 1)
        assert not third.done()  # that of the slow one ended no other's
        turns.end(other)
        turns.end(third.result(60))


def test_without_others_a_run_has_a_loop_in_its_own_thread() -> None:
    assert OwnLoop().run(loop_and_thread, 0)[1] == threading.get_ident()


def test_a_stop_is_passed_on_once_it_is_set_and_again_to_hurry() -> None:
    stop = StopRequest()
    calls: list[bool] = []
    with stop.handed_to(lambda: calls.append(stop.hurry)):
        stop.take(2)
        stop.take(2)
    assert calls == [False, True]
    with stop.handed_to(lambda: calls.append(stop.hurry)):
        pass
    assert calls == [False, True, True]
    stop.take(2)  # nobody is listening any more
    assert len(calls) == 3


def test_a_job_without_a_turn_can_use_the_loop() -> None:
    with common_loop(1, 1, SystemClock()) as new_loop:
        loop: CommonLoop = new_loop()
        assert loop.run(loop_and_thread, 0)[1] != threading.get_ident()


def test_threads_switch_often_while_jobs_share_a_loop_and_not_after_it() -> None:
    before = sys.getswitchinterval()
    with common_loop(1, 1, SystemClock()):
        assert sys.getswitchinterval() == pytest.approx(SWITCH_SECONDS)
    assert sys.getswitchinterval() == before
