"""Group commits: outcomes are taken without waiting, written in order, all of them, by one thread
at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import cast

import anyio
import pytest
from anyio import to_thread

from bulk_sync.errors import BulkSyncError, CheckpointBusy, OutputError
from bulk_sync.job.database import Locked
from bulk_sync.job.loop_time import LoopTime
from bulk_sync.job.outbox import Outbox
from bulk_sync.job.recorder import (
    ENOUGH_OUTCOMES,
    GROUP_SECONDS,
    IDLE_SECONDS,
    LONGEST_SHARED_SECONDS,
    LONGEST_UNWRITTEN_SECONDS,
    MOST_IN_LOOP,
    PREFETCH_SECONDS,
    SECONDS_A_RUN,
    Recorder,
    _TimeLine,
)
from bulk_sync.model.rows import Change, Creation, Outcome, State, Tally
from bulk_sync.timeline import Unsaved
from tests.helpers import SimulatedClock


class Disk:
    """A store that notes what is written, and by how many at once."""

    has_more = False
    """True if it returns fewer changes than wanted because no more fit."""

    def __init__(self, *, full: bool = False, body: str = "{}") -> None:
        self.body = body
        self.is_local = True
        self.locked = False
        self.threads: list[int] = []
        self.wanted: list[int] = []
        self.groups: list[list[int]] = []
        self.points: list[Unsaved | None] = []
        self.full = full
        self._busy = threading.Lock()

    def exchange(
        self,
        outcomes: Sequence[Outcome],
        points: Unsaved | None,
        limit: int,
        *,
        waits: bool = True,
    ) -> list[Change]:
        if self.locked and not waits:
            raise Locked
        self.threads.append(threading.get_ident())
        assert self._busy.acquire(blocking=False)
        try:
            if self.full:
                raise OutputError("the disk is full")
            self.groups.append([outcome.id for outcome in outcomes])
            self.points.append(points)
            self.wanted.append(limit)
            return [Change(-number, -number, "a", self.body, "d") for number in range(limit)]
        finally:
            self._busy.release()

    def begin_creations(
        self, wanted: Sequence[tuple[int, str | None]]
    ) -> dict[int, Creation | None]:
        assert self._busy.acquire(blocking=False)
        try:
            if self.full:
                raise OutputError("the disk is full")
            self.groups.append([row for row, _ in wanted])
            return {row: Creation("{}", "d", report) for row, report in wanted}
        finally:
            self._busy.release()


def outcome(row: int, state: State = State.FAILED) -> Outcome:
    return Outcome(row, state, 1)


@pytest.mark.asyncio
async def test_what_comes_together_is_written_together_and_all_of_it_in_order() -> None:
    disk, noted = Disk(), []
    recorder = Recorder(cast("Outbox", disk), SimulatedClock(), lambda: noted.append("accepted"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(recorder.run)
        for row in range(500):
            recorder.put(outcome(row, State.UPDATED if row > 3 else State.FAILED))
            if row % 100 == 99:
                await anyio.lowlevel.checkpoint()
        assert len(await recorder.claim(7)) == 7
        recorder.put(outcome(500))
        recorder.close()
    assert [row for group in disk.groups for row in group] == list(range(501))
    assert len(disk.groups) < 20
    assert noted == ["accepted"]


@pytest.mark.asyncio
async def test_creations_that_begin_together_are_noted_together() -> None:
    disk, begun = Disk(), {}
    recorder = Recorder(cast("Outbox", disk), SimulatedClock(), lambda: None)

    async def begin(row: int) -> None:
        begun[row] = await recorder.begin_creation(Change(row, row, "a", "{}", "d"), f"of {row}")

    async with anyio.create_task_group() as tasks:
        for row in range(50):
            tasks.start_soon(begin, row)
    assert begun == {row: Creation("{}", "d", f"of {row}") for row in range(50)}
    assert sorted(row for group in disk.groups for row in group) == list(range(50))
    assert len(disk.groups) <= 2  # the first, and all others while it was written


@pytest.mark.asyncio
async def test_creations_that_cannot_be_noted_all_end_the_run() -> None:
    recorder = Recorder(cast("Outbox", Disk(full=True)), SimulatedClock(), lambda: None)
    ended: list[int] = []

    async def begin(row: int) -> None:
        with pytest.raises(OutputError):
            await recorder.begin_creation(Change(row, row, "a", "{}", "d"), None)
        ended.append(row)

    async with anyio.create_task_group() as tasks:
        for row in range(3):
            tasks.start_soon(begin, row)
    assert sorted(ended) == [0, 1, 2]


@pytest.mark.asyncio
async def test_nothing_put_nothing_written() -> None:
    disk = Disk()
    recorder = Recorder(cast("Outbox", disk), SimulatedClock(), lambda: None)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(recorder.run)
        await anyio.lowlevel.checkpoint()
        recorder.close()
    assert disk.groups == []


@pytest.mark.asyncio
async def test_what_was_put_is_written_even_when_all_is_cancelled() -> None:
    disk = Disk()
    recorder = Recorder(cast("Outbox", disk), SimulatedClock(), lambda: None)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(recorder.run)
        tasks.start_soon(recorder.claim, 1)
        for row in range(50):
            recorder.put(outcome(row))
            if row == 25:
                await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    assert [row for group in disk.groups for row in group] == list(range(50))


@pytest.mark.asyncio
async def test_a_failed_write_ends_the_run() -> None:
    recorder = Recorder(cast("Outbox", Disk(full=True)), SimulatedClock(), lambda: None)
    with pytest.raises(ExceptionGroup) as raised:  # noqa: PT012 - a task group is several statements
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(recorder.run)
            recorder.put(outcome(1))
            await anyio.Event().wait()
    assert raised.group_contains(OutputError, match="full")


@pytest.mark.asyncio
@pytest.mark.parametrize("error", [OutputError("full"), CheckpointBusy("another run took it")])
async def test_the_last_try_to_write_hides_no_reason_why_the_run_ended(
    error: BulkSyncError,
) -> None:
    class Refusing(Disk):
        def exchange(self, *_: object, **__: object) -> list[Change]:
            raise error

    recorder = Recorder(cast("Outbox", Refusing()), SimulatedClock(), lambda: None)
    recorder.put(outcome(1))
    with pytest.raises(type(error)):
        await recorder.claim(1)
    await recorder.save()  # raises nothing


@pytest.mark.asyncio
async def test_outcomes_that_a_full_disk_refused_are_written_once_there_is_room() -> None:
    disk = Disk(full=True)
    recorder = Recorder(cast("Outbox", disk), SimulatedClock(), lambda: None)
    with pytest.raises(ExceptionGroup):  # noqa: PT012 - same
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(recorder.run)
            recorder.put(outcome(1))
            await anyio.Event().wait()
    recorder.put(outcome(2))  # of a request that was on its way
    await recorder.save()
    assert disk.groups == []
    disk.full = False
    await recorder.save()
    assert disk.groups == [[1, 2]]


@pytest.mark.asyncio
async def test_changes_are_taken_ahead_with_a_group_and_handed_out_before_others() -> None:
    clock = SimulatedClock()
    recorder = Recorder(cast("Outbox", Disk()), clock, lambda: None)
    assert recorder.take() is None
    recorder.put(outcome(1))
    recorder.put(outcome(2))
    await clock.sleep(0.125)
    claimed = await recorder.claim(3)
    assert [change.id for change in claimed] == [0, -1, -2]
    per_second = 2 / 0.125
    ahead = int(per_second * PREFETCH_SECONDS)
    assert [change.id for change in iter(recorder.take, None)] == [
        -number for number in range(3, ahead)
    ]
    more = [change.id for change in [*await recorder.claim(2), *iter(recorder.take, None)]]
    assert more == [
        -number for number in range(16)
    ]  # none was at hand again so soon: four times as many as before


@pytest.mark.asyncio
async def test_nothing_is_taken_ahead_once_the_end_has_come() -> None:
    recorder = Recorder(cast("Outbox", Disk()), SimulatedClock(), lambda: None)
    recorder.put(outcome(1))
    recorder.close()
    await recorder.run()
    assert recorder.take() is None


@pytest.mark.asyncio
async def test_the_last_changes_are_handed_out_whoever_asks_for_them() -> None:
    class Ending(Disk):
        def exchange(
            self,
            outcomes: Sequence[Outcome],
            points: Unsaved | None,
            limit: int,
            *,
            waits: bool = True,
        ) -> list[Change]:
            return super().exchange(outcomes, points, limit, waits=waits)[:5]

    recorder = Recorder(cast("Outbox", Ending()), SimulatedClock(), lambda: None)
    handed = [
        await recorder.claim(2),
        await recorder.claim(4),
        await recorder.claim(4),
        await recorder.claim(4),
    ]
    assert [len(changes) for changes in handed] == [2, 4, 1, 0]


@pytest.mark.asyncio
async def test_a_claim_gets_changes_though_others_take_those_that_came_meanwhile() -> None:
    disk = Disk()

    def others_are_quick() -> None:
        while anyio.from_thread.run_sync(recorder.take):
            pass

    recorder = Recorder(cast("Outbox", disk), SimulatedClock(), others_are_quick)
    recorder.put(outcome(0, State.UPDATED))
    assert len(await recorder.claim(7)) == 7


@pytest.mark.asyncio
async def test_nothing_more_is_handed_out_once_a_write_failed() -> None:
    disk = Disk(full=True)
    recorder = Recorder(cast("Outbox", disk), SimulatedClock(), lambda: None)
    recorder.put(outcome(1))
    with pytest.raises(OutputError):
        await recorder.claim(2)
    disk.full = False
    await recorder.save()
    assert disk.groups == [[1]]
    assert recorder.take() is None
    assert await recorder.claim(2) == []


@pytest.mark.asyncio
async def test_prefetched_changes_are_bounded_by_their_length(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However fast rows end: nothing is added to a queue that is full of long patches."""
    monkeypatch.setattr("bulk_sync.job.recorder.MAX_PREFETCHED_CHARACTERS", 5000)
    disk, clock = Disk(body="x" * 1000), SimulatedClock()
    recorder = Recorder(cast("Outbox", disk), clock, lambda: None)
    added = []
    for _ in range(20):
        await recorder.claim(8)
        for row in range(8):
            recorder.put(outcome(row))
        await clock.sleep(0.02)
        wanted = sum(disk.wanted)
        await recorder.save()
        added.append((recorder._characters, sum(disk.wanted) - wanted))
    assert [more for characters, more in added if characters - 1000 * more >= 5000 and more] == []
    assert any(more for _, more in added)
    while recorder.take() is not None:
        pass
    assert recorder._characters == 0


@pytest.mark.asyncio
async def test_fewer_changes_than_wanted_are_not_the_last_ones_if_there_are_more() -> None:
    class Sparing(Disk):
        has_more = True

        def exchange(
            self,
            outcomes: Sequence[Outcome],
            points: Unsaved | None,
            limit: int,
            *,
            waits: bool = True,
        ) -> list[Change]:
            return super().exchange(outcomes, points, min(limit, 1), waits=waits)

    disk = Sparing()
    recorder = Recorder(cast("Outbox", disk), SimulatedClock(), lambda: None)
    assert [len(await recorder.claim(5)) for _ in range(4)] == [1, 1, 1, 1]
    disk.has_more = False
    assert len(await recorder.claim(5)) == 1
    assert await recorder.claim(5) == []


class SlowDisk(Disk):
    """Writes only when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()
        self.may_end = threading.Event()

    def exchange(
        self,
        outcomes: Sequence[Outcome],
        points: Unsaved | None,
        limit: int,
        *,
        waits: bool = True,
    ) -> list[Change]:
        self.begun.set()
        assert self.may_end.wait(10)
        return super().exchange(outcomes, points, limit, waits=waits)


@pytest.mark.asyncio
async def test_sending_waits_while_an_outcome_is_not_written_in_time() -> None:
    disk, clock = SlowDisk(), SimulatedClock()
    recorder = Recorder(cast("Outbox", disk), clock, lambda: None)
    assert not recorder.is_behind()
    recorder.put(outcome(1))
    clock.seconds += LONGEST_UNWRITTEN_SECONDS - 0.01
    assert not recorder.is_behind()
    clock.seconds += 0.02
    assert recorder.is_behind()  # nobody writes it
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(recorder.run)
        await to_thread.run_sync(disk.begun.wait)
        recorder.put(outcome(2))  # a newer one hides no older one
        assert recorder.is_behind()
        disk.may_end.set()
        await recorder.catch_up()
        assert not recorder.is_behind()
        recorder.close()
    assert disk.groups == [[1], [2]]


@pytest.mark.asyncio
async def test_outcomes_of_a_failed_write_are_as_old_as_they_were() -> None:
    disk, clock = Disk(full=True), SimulatedClock()
    recorder = Recorder(cast("Outbox", disk), clock, lambda: None)
    recorder.put(outcome(1))
    clock.seconds += LONGEST_UNWRITTEN_SECONDS + 0.01
    await recorder.save()
    assert recorder.is_behind()
    disk.full = False
    await recorder.save()
    assert not recorder.is_behind()
    assert disk.groups == [[1]]


def test_the_time_line_is_stored_now_and_then_and_whole_at_the_end() -> None:
    clock, tally = SimulatedClock(), Tally()
    line = _TimeLine(clock, tally)
    stored: dict[int, int] = {}
    writes = 0
    for number in range(50):
        tally.requests += 1
        line.is_ending = number == 49
        news = line.unsaved()
        if news is not None and number != 20:  # a write that fails is made up for
            stored |= {point.at_ms: point.counts.requests for point in news.points}
            writes += 1
        if number != 20:
            line.saved()
        clock.seconds += 0.2
    assert sum(stored.values()) == 50
    assert writes <= 50 * 0.2 / IDLE_SECONDS + 1


class StoppedClock(SimulatedClock):
    """Lets no wait end by itself; `waits` are those that began."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []
        self.began = anyio.Event()
        self.goes_on = anyio.Event()

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.began.set()
        self.began = anyio.Event()
        await self.goes_on.wait()
        self.seconds += seconds

    def go_on(self) -> None:
        self.goes_on.set()
        self.goes_on = anyio.Event()


@pytest.mark.asyncio
@pytest.mark.parametrize("runs", [2, 60, 500])
async def test_a_group_waits_for_more_outcomes_the_more_runs_share_the_loop(runs: int) -> None:
    disk, clock = Disk(), StoppedClock()
    recorder = Recorder(cast("Outbox", disk), clock, lambda: None, runs=lambda: runs)
    await recorder.claim(1)
    async with anyio.create_task_group() as tasks:
        recorder.put(outcome(1))
        began = clock.began
        tasks.start_soon(recorder.run)
        await began.wait()
        assert clock.waits == [pytest.approx(GROUP_SECONDS)]
        shared = min(LONGEST_SHARED_SECONDS, SECONDS_A_RUN * (runs - 1))
        if shared > GROUP_SECONDS:
            began = clock.began
            clock.go_on()
            await began.wait()
            assert clock.waits[1:] == [pytest.approx(shared - GROUP_SECONDS)]
            for row in range(2, ENOUGH_OUTCOMES + 1):
                assert disk.groups == [[]]
                assert not recorder.is_behind()
                recorder.put(outcome(row))
        else:
            clock.go_on()
        await recorder.catch_up()
        recorder.close()
    last = ENOUGH_OUTCOMES if shared > GROUP_SECONDS else 1
    assert disk.groups == [[], list(range(1, last + 1))]


@pytest.mark.asyncio
async def test_a_group_waits_no_longer_when_changes_run_short_or_the_run_ends() -> None:
    disk, clock = Disk(), StoppedClock()
    recorder = Recorder(cast("Outbox", disk), clock, lambda: None, runs=lambda: 500)
    for row in (1, 2):  # how long a group waits is known from the second one on
        recorder.put(outcome(row))
        clock.seconds += 0.125
        await recorder.claim(1)
        await recorder.save()
    async with anyio.create_task_group() as tasks:
        recorder.put(outcome(3))
        began = clock.began
        tasks.start_soon(recorder.run)
        await began.wait()
        while recorder.take() is not None:
            pass
        await recorder.catch_up()
        assert disk.groups == [[1], [2], [3]]
        assert recorder.take() is not None
        recorder.put(outcome(4))
        await clock.began.wait()
        recorder.close()
    assert disk.groups == [[1], [2], [3], [4]]


@pytest.mark.asyncio
async def test_a_group_waits_for_others_while_long_patches_fill_the_queue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Writing sooner prefetches none then."""
    monkeypatch.setattr("bulk_sync.job.recorder.MAX_PREFETCHED_CHARACTERS", 2000)
    disk, clock = Disk(body="x" * 1000), StoppedClock()
    recorder = Recorder(cast("Outbox", disk), clock, lambda: None)
    for row in range(64):
        recorder.put(outcome(row))
    clock.seconds += 0.25
    await recorder.claim(1)  # 75 more would be prefetched each time
    while recorder._characters > 4000:
        recorder.take()
    async with anyio.create_task_group() as tasks:
        recorder.put(outcome(64))
        began = clock.began
        tasks.start_soon(recorder.run)
        await began.wait()
        assert recorder.take() is not None
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        assert not recorder._gathering.cancel_called
        assert recorder.take() is not None
        assert recorder.take() is not None
        await recorder.catch_up()  # now it is short
        recorder.close()
    assert [len(group) for group in disk.groups if group] == [64, 1]


@pytest.mark.asyncio
@pytest.mark.parametrize("why", ["nothing", "no time", "locked", "not local", "large", "alone"])
async def test_a_small_group_is_written_in_a_common_loop_unless_that_may_take_long(
    why: str,
) -> None:
    disk, clock, left = Disk(), SimulatedClock(), LoopTime()
    disk.locked, disk.is_local = why == "locked", why != "not local"
    if why == "no time":
        left.spend(clock.monotonic(), clock.monotonic() + 60)
    recorder = Recorder(
        cast("Outbox", disk), clock, lambda: None, loop_time=None if why == "alone" else left
    )
    for row in range(MOST_IN_LOOP + (why == "large")):
        recorder.put(outcome(row))
    await recorder.save()
    (thread,) = disk.threads
    assert (thread == threading.get_ident()) == (why == "nothing")
