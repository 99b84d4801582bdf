"""Permits of a scheduler's desk: none early, none late, none twice, whatever becomes of messages,
workers and clocks.
"""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_left
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

import anyio
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bulk_sync.cluster.dating import Dating
from bulk_sync.cluster.desk import FAR, Desk
from bulk_sync.cluster.desk_messages import (
    Acquire,
    Answered,
    Ask,
    Leased,
    Question,
    Release,
    Renew,
    Reply,
    Restarted,
    Taken,
    encoded,
    question_of,
    reply_of,
)
from bulk_sync.cluster.leases import GIVE_UP_SECONDS, LEASE_SECONDS, Leases
from bulk_sync.cluster.remote import Lease, RemotePermits
from bulk_sync.errors import BulkSyncError, CheckpointBusy, Outage
from bulk_sync.quantities import Rate, Share
from bulk_sync.send.allowances import Given
from bulk_sync.send.budget import Budget
from bulk_sync.send.headers import Quota
from bulk_sync.send.observation import Observation
from bulk_sync.send.pace import TOLERANCE_SECONDS, Pace
from bulk_sync.send.permits import Grant, Request
from tests.simulation import VirtualClock, in_virtual_time, wall

# A coverage run triples the time of these loops; faster tests reach the same lines.
pytestmark = pytest.mark.uncovered

RATE = 50.0
KEY = "fingerprint"


def at_rate(per_second: float = RATE) -> Given:
    return Given((Rate(per_second, 1.0),))


class OwnClock(VirtualClock):
    """A worker's clock, which is off by any time; it does nothing from `stops` to `goes_on`."""

    def __init__(self, dice: random.Random, off: float) -> None:
        super().__init__(dice)
        self.off = off
        self.stops, self.goes_on = float("inf"), float("inf")

    def monotonic(self) -> float:
        return super().monotonic() + self.off

    def now(self) -> datetime:
        return wall(super().monotonic()) + timedelta(seconds=self.off)

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        now = super().monotonic()
        if self.stops <= now < self.goes_on:
            await anyio.sleep(self.goes_on - now)  # noqa: TID251 - virtual time


@dataclass
class Cluster:
    """A desk, and the way to it: messages take their time or are lost."""

    seed: int = 1
    longest_seconds: float = 0.02
    lost: float = 0.0
    is_gone: bool = False
    in_a_row: int = 0
    """How many messages were lost one after the other."""
    off: float = -500.0
    """How far the scheduler's clock is ahead of the loop's."""
    granted: dict[float, float] = field(default_factory=dict)
    """When each permit is due, in the loop's time."""
    used: list[tuple[float, int, float]] = field(default_factory=list)
    """When each permit was used, by which worker, and its ordinal."""

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.desk = Desk("first")

    def exchange(self, data: bytes) -> Future[bytes | None]:
        loop = asyncio.get_running_loop()
        future: Future[bytes | None] = Future()

        def answer() -> None:
            if self.is_gone:
                future.set_exception(ConnectionRefusedError())
            elif not self._loses():
                reply = self.ask(question_of(data), loop.time())
                if not self._loses():
                    loop.call_later(self._delay(), arrive, encoded(reply))

        def arrive(reply: bytes) -> None:
            if not future.cancelled():
                future.set_result(reply)

        loop.call_later(self._delay(), answer)
        return future

    def ask(self, question: Question, now: float) -> Reply:
        reply = self.desk.reply(now + self.off, 1e9, question, self.dice.random)
        if isinstance(reply, Answered) and isinstance(reply.answer.outcome, Grant):
            group = reply.answer.outcome.group
            for index in range(group.number):
                assert group.ordinal + index not in self.granted, "a permit was given twice"
                self.granted[group.ordinal + index] = now + group.start + index * group.interval
        return reply

    def _loses(self) -> bool:
        """Return whether a message is lost; of a few that follow each other, not all are."""
        is_lost = self.dice.random() < self.lost and (self.in_a_row < 2 or self.lost == 1)
        self.in_a_row = self.in_a_row + 1 if is_lost else 0
        return is_lost

    def _delay(self) -> float:
        return self.dice.random() * self.longest_seconds

    def lease(self, clock: VirtualClock, worker: int, job: str = "") -> Lease:
        """Take the job of a worker, or another one, at once."""
        job = job or f"job {worker}"
        now = asyncio.get_running_loop().time()
        reply = self.desk.reply(
            now + self.off, 0.0, Acquire(job, f"{worker}", f"tcp://{worker}"), self.dice.random
        )
        assert isinstance(reply, Leased)
        return Lease(self.exchange, job, clock, reply)

    def budget(self, clock: VirtualClock, lease: Lease, given: Given) -> Budget:
        permits = RemotePermits(lease, self.exchange, "https://api.example.com", KEY, clock)
        return Budget(permits, clock, given)

    async def use(self, budget: Budget, worker: int, requests: int, tasks: int = 8) -> None:
        """Send so many requests, each of which takes 50 ms; without tasks, one after the other."""
        left = [requests]
        loop = asyncio.get_running_loop()

        async def send() -> None:
            while left[0] > 0:
                left[0] -= 1
                ordinal = budget.permit_nowait()
                if ordinal is None:
                    ordinal = await budget.permit()
                self.used.append((loop.time(), worker, ordinal))
                await anyio.sleep(0.05)  # noqa: TID251 - virtual time
                budget.observe(Observation(ordinal, "through", 0.05))

        if not tasks:
            await send()
        async with anyio.create_task_group() as group:
            for _ in range(tasks):
                group.start_soon(send)

    def check(self, late: float) -> None:
        """Each permit was used once, never early, and at most so late."""
        ordinals = [ordinal for _, _, ordinal in self.used]
        assert len(ordinals) == len(set(ordinals))
        for at, _, ordinal in self.used:
            due = self.granted[ordinal]
            assert due - TOLERANCE_SECONDS <= at <= due + late


def shared(
    cluster: Cluster, offs: list[float], requests: int, given: Given, dies_at: float = 1e9
) -> list[float]:
    """Let workers with clocks off by so much send; return how long each took. The first may die."""

    async def main() -> list[float]:
        seconds: list[float] = []

        async def work(worker: int, off: float) -> None:
            clock = OwnClock(random.Random(worker), off)
            begun = asyncio.get_running_loop().time()
            budget = cluster.budget(clock, cluster.lease(clock, worker), given)
            with anyio.move_on_after(dies_at if worker == 0 else 1e9):
                await cluster.use(budget, worker, requests)
            seconds.append(asyncio.get_running_loop().time() - begun)

        async with anyio.create_task_group() as tasks:
            for worker, off in enumerate(offs):
                tasks.start_soon(work, worker, off)
        return seconds

    took: list[float] = in_virtual_time(main)
    return took


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    offs=st.lists(st.sampled_from([0.0, 3600.0, -3600.0, 0.3]), min_size=1, max_size=4),
    longest=st.floats(0.0, 0.06),
    lost=st.sampled_from([0.0, 0.05]),
    rate=st.sampled_from([3.0, 50.0, 400.0]),
    dies_at=st.sampled_from([1e9, 1.0]),
)
def test_no_permit_is_used_early_late_or_twice_whatever_happens(
    seed: int, offs: list[float], longest: float, lost: float, rate: float, dies_at: float
) -> None:
    cluster = Cluster(seed, longest, lost)
    shared(cluster, offs, min(int(rate * 2), 200), at_rate(rate), dies_at)
    cluster.check(late=FAR.late_seconds + 2 * longest + 0.01)
    # What leaves in any window is what the rate allows in it, and in the time that is late.
    at = sorted(at for at, _, _ in cluster.used)
    late = max(at - cluster.granted[ordinal] for at, _, ordinal in cluster.used)
    for first, start in enumerate(at):
        inside = bisect_left(at, start + 1) - first
        assert inside <= rate * (1 + max(0.0, late) + TOLERANCE_SECONDS) + 1


def test_four_workers_share_a_rate_without_losing_time() -> None:
    cluster = Cluster(longest_seconds=0.005)
    seconds = shared(cluster, [0.0, 3600.0, -3600.0, 7.0], 300, at_rate())
    assert max(seconds) <= 1.05 * 4 * 300 / RATE


@pytest.mark.parametrize("longest", [0.05, 0.15])
def test_a_slow_way_to_the_scheduler_costs_half_of_the_rate_at_most(longest: float) -> None:
    cluster = Cluster(longest_seconds=longest)
    (seconds,) = shared(cluster, [3600.0], 60, at_rate(1))
    assert seconds <= 2 * 60
    cluster.check(late=FAR.late_seconds + 2 * longest + 0.01)


@pytest.mark.parametrize("longest", [0.001, 0.05])
def test_none_starves(longest: float) -> None:
    cluster = Cluster(longest_seconds=longest)
    shared(cluster, [0.0, 0.0, 0.0, 0.0], 200, at_rate())
    early = [worker for _, worker, _ in sorted(cluster.used)[:400]]
    assert min(early.count(worker) for worker in range(4)) >= 60


def test_a_dead_worker_wastes_its_last_groups_at_most() -> None:
    cluster = Cluster(longest_seconds=0.005)
    shared(cluster, [0.0, 0.0], 400, at_rate(), dies_at=2.0)
    used = sorted(at for at, _, _ in cluster.used)
    gaps = [after - before for before, after in pairwise(used)]
    assert max(gaps) <= 0.25  # two groups of 100 ms, of which one may have been asked for ahead


def test_a_hold_stops_all_workers_until_it_is_over() -> None:
    cluster = Cluster(longest_seconds=0.005)
    told: list[float] = []

    async def main() -> None:
        clocks = [OwnClock(random.Random(off), off) for off in (0.0, 3600.0, -3600.0)]
        budgets = [
            cluster.budget(clock, cluster.lease(clock, worker), at_rate(200))
            for worker, clock in enumerate(clocks)
        ]

        async def refuse() -> None:
            await anyio.sleep(1.0)  # noqa: TID251 - virtual time
            ordinal = await budgets[0].permit()
            told.append(asyncio.get_running_loop().time())
            budgets[0].observe(Observation(ordinal, "throttled", 0.01, asked_seconds=5))
            await budgets[0].settle()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(refuse)
            for worker, budget in enumerate(budgets):
                tasks.start_soon(cluster.use, budget, worker, 300)

    in_virtual_time(main)
    # Others may use what they had: the group in use and the one that was asked for ahead.
    held = [at for at, _, _ in cluster.used if told[0] + 0.45 < at < told[0] + 5]
    assert held == []
    assert max(at for at, _, _ in cluster.used) > told[0] + 5


def test_a_worker_that_was_stopped_has_no_permit_left_when_it_goes_on() -> None:
    cluster = Cluster(longest_seconds=0.005)

    async def main() -> None:
        stopped, other = OwnClock(random.Random(1), 50.0), OwnClock(random.Random(2), 0.0)
        now = asyncio.get_running_loop().time()
        stopped.stops, stopped.goes_on = now + 1, now + 11
        async with anyio.create_task_group() as tasks:
            for worker, clock in enumerate((stopped, other)):
                budget = cluster.budget(clock, cluster.lease(clock, worker), at_rate())
                tasks.start_soon(cluster.use, budget, worker, 150)

    in_virtual_time(main)
    cluster.check(late=FAR.late_seconds + 0.02)


def test_a_worker_whose_job_was_taken_is_refused_and_sends_nothing_more() -> None:
    cluster = Cluster(longest_seconds=0.005)
    ended: list[tuple[float, BulkSyncError]] = []
    taken_at: list[float] = []

    async def main() -> None:
        loop, clock = asyncio.get_running_loop(), OwnClock(random.Random(1), 0.0)
        lease = cluster.lease(clock, 0, "vale")

        async def work() -> None:
            try:
                await cluster.use(cluster.budget(clock, lease, at_rate()), 0, 1000, tasks=0)
            except BulkSyncError as error:
                ended.append((loop.time(), error))

        async def take_over() -> None:
            await anyio.sleep(2.0)  # noqa: TID251 - virtual time
            cluster.desk.leases.worker_is_gone("tcp://0")
            assert cluster.lease(clock, 1, "vale").number > lease.number
            taken_at.append(loop.time())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            tasks.start_soon(take_over)
        assert lease.is_lost
        with pytest.raises(CheckpointBusy):
            lease.check()

    in_virtual_time(main)
    at, error = ended[0]
    assert isinstance(error, CheckpointBusy)
    assert "tcp://1" in str(error)
    assert at < taken_at[0] + 0.5
    assert max(at for at, _, _ in cluster.used) < taken_at[0] + 0.3


@pytest.mark.parametrize("lost", ["gone", "silent", "restarted"])
def test_without_its_scheduler_a_run_ends_as_for_an_outage_in_bounded_time(lost: str) -> None:
    cluster = Cluster(longest_seconds=0.005)

    async def main() -> float:
        loop, clock = asyncio.get_running_loop(), OwnClock(random.Random(1), 0.0)
        budget = cluster.budget(clock, cluster.lease(clock, 0), at_rate())
        await cluster.use(budget, 0, 50)
        begun = loop.time()
        if lost == "restarted":
            cluster.desk = Desk("second")
        else:
            cluster.is_gone, cluster.lost = lost == "gone", 1.0
        with pytest.raises(Outage):
            await cluster.use(budget, 0, 100, tasks=0)
        return loop.time() - begun

    assert in_virtual_time(main) < GIVE_UP_SECONDS + 3


def test_an_observation_counts_once_however_often_its_question_is_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted: list[float] = []
    observe = Pace.observe

    def count(pace: Pace, now: float, seen: Observation, *others: object) -> None:
        counted.append(seen.ordinal)
        observe(pace, now, seen, *others)  # type: ignore[arg-type]  # passed on as they are

    monkeypatch.setattr(Pace, "observe", count)
    cluster = Cluster(seed=3, lost=0.07)
    shared(cluster, [0.0, 3600.0], 60, at_rate(20))
    assert len(counted) == len(set(counted))
    assert set(counted) <= {ordinal for _, _, ordinal in cluster.used}
    assert len(counted) >= 100  # those of the end are passed on by `settle`


def test_no_permit_without_the_lease() -> None:
    desk, dice = Desk("first"), random.Random(1).random
    ask = Ask("first", "vale", 1, "https://api.example.com", KEY, "s", 1, Request(most=1))
    assert isinstance(desk.reply(1.0, 0.0, ask, dice), Taken)
    desk.reply(1.0, 0.0, Acquire("vale", "a", "tcp://1"), dice)
    assert isinstance(desk.reply(1.0, 0.0, ask, dice), Answered)
    other = Ask("then", "vale", 1, "https://api.example.com", KEY, "s", 1, Request(most=1))
    assert isinstance(desk.reply(1.0, 0.0, other, dice), Restarted)


def test_messages_keep_their_meaning_as_bytes() -> None:
    seen = Observation(3.0, "throttled", 0.05, 7.0, (Quota(100, 60.0, 0, 3.5, exact=True),))
    request = Request(
        Given((Rate(5, 1.0), Rate(1000, 3600.0)), Share(percent=5.0)), ((-0.2, seen),), most=4
    )
    messages: list[Question] = [
        Ask("e", "vale", 3, "https://api.example.com", KEY, "s", 7, request),
        Acquire("vale", "a", "tcp://1"),
        Renew("e", "vale", 3),
        Release("e", "vale", 3),
    ]
    assert [question_of(encoded(one)) for one in messages] == messages
    desk = Desk("e")
    desk.reply(1.0, 0.0, messages[1], lambda: 0.5)
    for wanted in (0, 1, 50):
        ask = Ask("e", "vale", 1, "https://api.example.com", KEY, "s", 1, Request(most=wanted))
        reply = desk.reply(2.0, 0.0, ask, lambda: 0.5)
        assert reply_of(encoded(reply)) == reply


# Leases

_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["acquire", "renew", "release", "gone"]),
        st.integers(0, 3),
        st.floats(0, 2 * LEASE_SECONDS),
    ),
    max_size=60,
)


@given(_STEPS)
def test_a_job_has_one_holder_and_numbers_only_grow(steps: list[tuple[str, int, float]]) -> None:
    leases, now, highest = Leases(), 0.0, 0
    numbers = dict.fromkeys(range(4), 0)
    renewed = dict.fromkeys(range(4), -1e9)
    for step, who, later in steps:
        now += later
        if step == "acquire":
            held = leases.acquire(now, "vale", f"{who}", f"tcp://{who}")
            if held is not None:
                assert held.number >= highest
                others = [one for one in range(4) if one != who and numbers[one] == highest]
                if held.number > highest:
                    # Whoever had it was silent, or has ended.
                    assert all(
                        now - renewed[one] >= LEASE_SECONDS or not numbers[one] for one in others
                    )
                numbers[who], renewed[who], highest = held.number, now, held.number
        elif step == "renew":
            held = leases.renewed(now, "vale", numbers[who])
            assert held is None or numbers[who] == highest, "a lower number was renewed"
            if held is not None:
                renewed[who] = now
        elif step == "release":
            leases.release("vale", numbers[who])
            numbers[who] = 0
        else:
            leases.worker_is_gone(f"tcp://{who}")
            numbers[who] = 0
        holders = [one for one in range(4) if leases.renewed(now, "vale", numbers[one])]
        assert len(holders) <= 1
        for one in holders:
            renewed[one] = now


def test_a_silent_holder_goes_on_unless_another_took_its_job() -> None:
    leases = Leases()
    first = leases.acquire(0.0, "vale", "a", "tcp://1")
    assert first is not None
    assert leases.renewed(100.0, "vale", first.number) is first
    assert leases.acquire(100.0 + LEASE_SECONDS - 0.1, "vale", "b", "tcp://2") is None
    second = leases.acquire(100.0 + LEASE_SECONDS, "vale", "b", "tcp://2")
    assert second is not None
    assert second.number > first.number
    assert leases.renewed(113.0, "vale", first.number) is None
    leases.release("vale", first.number)  # too late to end that of another
    assert leases.renewed(113.0, "vale", second.number) is second


def test_whoever_gets_no_answer_gives_up_before_another_can_take_its_job() -> None:
    assert GIVE_UP_SECONDS < LEASE_SECONDS


# Clocks

_DELAYS = st.lists(st.tuples(st.floats(0, 3), st.floats(0, 1), st.floats(0, 1)), min_size=1)


@example([(1.05, 0.0, 0.0), (0.07, 0.0, 1.0)], 3600.0)  # rounded to just before the question
@given(_DELAYS, st.sampled_from([0.0, 3600.0, -3600.0, 1e6]))
def test_an_instant_is_dated_between_its_coming_and_its_arrival(
    delays: list[tuple[float, float, float]], off: float
) -> None:
    dating, now, shortest = Dating(), 10.0, 1e9
    dated = given_at = 0.0
    for pause, to, fro in delays:
        asked = now + pause
        given_at, now = asked + to, asked + to + fro
        dated = dating.date(asked, given_at + off, now)
        shortest = min(shortest, fro)
        assert given_at - 1e-6 <= dated <= now + 1e-6
    if now < 20:  # none is forgotten yet
        assert dated <= given_at + shortest + 1e-6


@pytest.mark.parametrize("jump", [-5.0, 5.0])
def test_a_clock_that_jumps_is_believed_within_the_time_of_one_answer(jump: float) -> None:
    dating = Dating()
    dating.date(10.0, 510.001, 10.002)
    assert 11.0 <= dating.date(11.0, 511.5 + jump, 12.0) <= 12.0
    assert dating.date(13.0, 513.001 + jump, 13.002) == pytest.approx(13.002, abs=0.002)
