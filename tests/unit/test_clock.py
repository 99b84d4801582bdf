"""The machine's clock counts on while the machine is suspended."""

from __future__ import annotations

import time

import anyio
import pytest

from bulk_sync import clock
from bulk_sync.clock import SystemClock


class Suspended:
    """A machine that is suspended for an hour during each wait."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, suspended_seconds: float) -> None:
        self.now = 100.0
        self.waits: list[float] = []
        self.suspended_seconds = suspended_seconds
        monkeypatch.setattr(clock, "_seconds", lambda: self.now)
        monkeypatch.setattr(anyio, "sleep", self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds + self.suspended_seconds


@pytest.mark.asyncio
async def test_a_long_wait_ends_soon_after_a_suspend(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Suspended(monkeypatch, suspended_seconds=3600.0)
    await SystemClock().sleep(1800.0)
    assert machine.waits == [5.0, 0.0]


@pytest.mark.asyncio
async def test_without_a_suspend_it_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Suspended(monkeypatch, suspended_seconds=0.0)
    await SystemClock().sleep(17.0)
    assert machine.now == 117.0
    await SystemClock().sleep(0.01)
    assert machine.waits == [5.0, 5.0, 5.0, 2.0, 0.01]


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="the clock of Linux")
def test_the_clock_is_the_one_that_counts_a_suspend() -> None:
    clock: int = getattr(time, "CLOCK_BOOTTIME")  # noqa: B009 - not on macOS
    before = time.clock_gettime(clock)
    assert before <= SystemClock().monotonic() <= time.clock_gettime(clock)
