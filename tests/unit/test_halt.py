"""The early end of a run: what is cancelled, and what is not."""

from __future__ import annotations

import anyio
import pytest

from bulk_sync.errors import Outage, StoppedEarly
from bulk_sync.send.halt import Halt, interruptible
from tests.helpers import SimulatedClock

pytestmark = pytest.mark.asyncio


async def test_the_first_reason_stays() -> None:
    halt, first = Halt(), Outage("first")
    halt.stop(first)
    halt.stop(StoppedEarly("second"))
    halt.abandon()
    assert halt.reason is first


@pytest.mark.parametrize("at_once", [False, True])
async def test_a_stop_lets_a_request_end_and_an_abandoned_run_cuts_it_off(at_once: bool) -> None:
    halt, replied, ended = Halt(), anyio.Event(), []

    async def request() -> None:
        with halt.request_scope(shield=True):
            await replied.wait()
            ended.append("reply")

    with halt.waits:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(request)
            await anyio.lowlevel.checkpoint()
            halt.abandon() if at_once else halt.stop(Outage("no more"))
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
                replied.set()
    assert ended == ([] if at_once else ["reply"])


async def test_within_a_shielded_scope_a_stop_ends_only_what_is_interruptible() -> None:
    halt, passed = Halt(), []
    with halt.waits, halt.request_scope(shield=True) as scope:
        halt.stop(Outage("no more"))
        await anyio.lowlevel.checkpoint()
        passed.append("shielded")
        with interruptible(scope):
            await anyio.lowlevel.checkpoint()
            passed.append("interruptible")
    assert passed == ["shielded"]
    assert scope.shield


@pytest.mark.parametrize(("seconds", "slept"), [(5.0, [5.0]), (0.0, []), (-1.0, [])])
async def test_a_deadline_is_slept_out_or_stops_at_once_when_it_has_passed(
    seconds: float, slept: list[float]
) -> None:
    halt, clock = Halt(), SimulatedClock()
    await halt.stop_at(clock.monotonic() + seconds, clock)
    assert isinstance(halt.reason, StoppedEarly)
    assert clock.slept == slept
    over_at = "2026-03-02T00:16:45" if seconds > 0 else "2026-03-02T00:16:40"
    over_at = "2026-03-02T00:16:39" if seconds < 0 else over_at
    assert str(halt.reason).endswith(f"was over at {over_at}.000Z")
