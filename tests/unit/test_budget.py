"""The budget that the runs on a host share: one file, whole or begun anew, never in the way."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import anyio
import pytest

from bulk_sync.model.rows import Allowance
from bulk_sync.quantities import Rate, Share
from bulk_sync.send.allowances import NO_LIMITS, Given
from bulk_sync.send.budget import Budget, NoPermit
from bulk_sync.send.headers import Quota
from bulk_sync.send.observation import Observation
from bulk_sync.send.pace import NEAR, Pace
from bulk_sync.send.pace_store import LocalPermits, PaceInFile, PaceInMemory
from bulk_sync.send.permits import Answer, Grant, Request, answer
from tests.simulation import VirtualClock, in_virtual_time


def budgets(path: Path, count: int, ceiling: float | None) -> list[Budget]:
    dice = random.Random(1)
    given = Given() if ceiling is None else Given((Rate(ceiling, 1.0),))
    clock = VirtualClock(dice)
    return [Budget(LocalPermits(PaceInFile(path), clock, dice), clock, given) for _ in range(count)]


def test_two_that_share_a_file_share_the_rate(tmp_path: Path) -> None:
    async def main() -> list[float]:
        at: list[float] = []
        clock = VirtualClock(random.Random(1))

        async def use(budget: Budget) -> None:
            for _ in range(50):
                await budget.permit()
                at.append(clock.monotonic())

        async with anyio.create_task_group() as tasks:
            for budget in budgets(tmp_path / "x.pace", 2, ceiling=10):
                tasks.start_soon(use, budget)
        return at

    at = sorted(in_virtual_time(main))
    assert len(at) == 100
    assert 9.9 <= at[-1] - at[0] <= 10.2
    assert all(after - before >= 1.0 for before, after in zip(at, at[10:], strict=False))


class _Counting(LocalPermits):
    """Counts the questions."""

    questions = 0

    async def ask(self, request: Request) -> Answer:
        self.questions += 1
        return await super().ask(request)


def _sent(
    budget: Budget, clock: VirtualClock, at: list[float], number: int, quota: Quota | None = None
) -> Callable[[], Coroutine[Any, Any, None]]:
    """Return a task that takes so many permits, a reply after each."""

    async def send() -> None:
        for _ in range(number):
            ordinal = await budget.permit()
            at.append(clock.monotonic())
            await clock.sleep(0.03)
            quotas = () if quota is None else (quota,)
            budget.observe(Observation(ordinal, "through", 0.03, quotas=quotas))

    return send


@pytest.mark.parametrize("quota", [None, Quota(5, 1.0, 1, 1.0)], ids=["given", "stated"])
def test_a_run_that_alone_keeps_a_limit_asks_for_a_second_at_a_time(quota: Quota | None) -> None:
    async def main() -> tuple[list[float], list[int]]:
        at: list[float] = []
        clock, dice = VirtualClock(random.Random(1)), random.Random(1)
        source = _Counting(PaceInMemory(), clock, dice)
        budget = Budget(source, clock, Given(() if quota else (Rate(5, 1.0),)))
        questions = []
        for number in (80, 100):
            before = source.questions
            async with anyio.create_task_group() as tasks:
                for _ in range(4):
                    tasks.start_soon(_sent(budget, clock, at, number // 4, quota))
            questions.append(source.questions - before)
        return at, questions

    at, (first, later) = in_virtual_time(main)
    assert first > 50  # nothing is known of others yet
    assert later < 40
    assert all(after - before >= 1.0 for before, after in zip(at[5:], at[10:], strict=False))
    assert at[-1] - at[80] < 99 / 5 * 1.01


@pytest.mark.parametrize("seed", range(3))
def test_a_run_that_is_joined_shares_at_once(seed: int) -> None:
    async def main() -> tuple[list[float], list[float]]:
        clock, dice, pace = VirtualClock(random.Random(seed)), random.Random(seed), PaceInMemory()
        first, second = (
            Budget(LocalPermits(pace, clock, dice), clock, Given((Rate(5, 1.0),))) for _ in range(2)
        )
        at: tuple[list[float], list[float]] = ([], [])
        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(_sent(first, clock, at[0], 40))
            await clock.sleep(20.0 + seed / 3)
            for _ in range(4):
                tasks.start_soon(_sent(second, clock, at[1], 10))
        return at

    first, second = in_virtual_time(main)
    both = sorted([*first, *second])
    assert all(after - before >= 1.0 for before, after in zip(both, both[5:], strict=False))
    since = second[0]
    shared = sum(since <= at < second[-1] for at in first)
    assert 0.8 * len(second) <= shared <= 1.25 * len(second)


def test_a_refusal_ends_the_permits_that_a_run_alone_had_ahead() -> None:
    async def main() -> float:
        at: list[float] = []
        clock, dice = VirtualClock(random.Random(1)), random.Random(1)
        budget = Budget(LocalPermits(PaceInMemory(), clock, dice), clock, Given((Rate(5, 1.0),)))
        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(_sent(budget, clock, at, 20))
        ordinal = await budget.permit()
        budget.observe(Observation(ordinal, "throttled", 0.03, 7.0))
        refused = clock.monotonic()
        await budget.permit()
        return clock.monotonic() - refused

    assert 7.0 <= in_virtual_time(main) < 8.0


@pytest.mark.parametrize(("workers", "seconds"), [(1, 0.3), (2, 0.5)])
def test_a_run_alone_whose_tasks_wait_for_replies_loses_no_permits(
    workers: int, seconds: float
) -> None:
    async def main() -> float:
        clock, dice = VirtualClock(random.Random(1)), random.Random(1)
        budget = Budget(LocalPermits(PaceInMemory(), clock, dice), clock, Given((Rate(5, 1.0),)))
        at: list[float] = []

        async def send() -> None:
            while len(at) < 200:
                ordinal = budget.permit_nowait()
                if ordinal is None:
                    ordinal = await budget.permit()
                at.append(clock.monotonic())
                await clock.sleep(seconds * (0.7 + 0.6 * dice.random()))
                budget.observe(Observation(ordinal, "through", seconds))

        async with anyio.create_task_group() as tasks:
            for _ in range(workers):
                tasks.start_soon(send)
        return len(at) / (at[-1] - at[0])

    assert in_virtual_time(main) > 0.93 * workers / seconds


def test_runs_whose_groups_are_due_much_later_see_a_hold_of_another_run() -> None:
    async def main() -> tuple[int, int]:
        clock, pace, at = VirtualClock(random.Random(1)), PaceInMemory(), list[float]()
        first, *others = (
            Budget(LocalPermits(pace, clock, random.Random(run)), clock, Given((Rate(1000, 1.0),)))
            for run in range(30)
        )
        async with anyio.create_task_group() as tasks:
            for budget in others:
                for _ in range(8):
                    tasks.start_soon(_sent(budget, clock, at, 1000))
            await clock.sleep(3.0)
            first.observe(Observation(await first.permit(), "throttled", 0.03, 7.0))
            await first.settle()
            before = len(at)
            await clock.sleep(6.0)
            tasks.cancel_scope.cancel()
        return before, len(at) - before

    before, after = in_virtual_time(main)
    assert before > 2000
    assert after <= 20  # the rest of groups that had begun


class _Far:
    """A source whose permits have to be used in time; notes their instants, by ordinal."""

    reach = NEAR._replace(late_seconds=0.1)

    def __init__(self, clock: VirtualClock) -> None:
        self._pace, self._clock = Pace(), clock
        self.instants: dict[float, float] = {}

    def prepare(self, request: Request) -> None:
        """Nothing is asked ahead."""

    async def ask(self, request: Request) -> Answer:
        now = self._clock.monotonic()
        answered = answer(self._pace, now, request, lambda: 0.5, 0.0, self.reach)
        if isinstance(answered.outcome, Grant):
            start, interval, number, ordinal = answered.outcome.group
            for index in range(number):
                self.instants[ordinal + index] = start + index * interval
        return answered


def test_no_permit_is_used_too_late_however_late_the_requests_before_it_left() -> None:
    def late(dice: random.Random) -> float:
        return 0.095 if dice.random() < 0.5 else 0.0

    async def main() -> tuple[list[float], int]:
        clock = VirtualClock(random.Random(1), late)
        source, used = _Far(clock), list[float]()
        budget = Budget(source, clock, Given((Rate(5, 1.0),)))
        for _ in range(500):
            ordinal = await budget.permit()
            used.append(clock.monotonic() - source.instants[ordinal])
        return used, len(source.instants)

    used, taken = in_virtual_time(main)
    assert 0.09 < max(used) <= _Far.reach.late_seconds
    assert taken < 1.2 * len(used)  # half of the requests are late by nearly all that is allowed


@pytest.mark.parametrize(("own", "stated"), [(2, 10), (5, 10), (9, 10), (200, 1000)])
def test_a_run_with_a_lower_rate_keeps_it_and_makes_no_other_exceed_the_limit(
    own: int, stated: int
) -> None:
    async def main() -> tuple[list[float], list[float]]:
        clock, pace = VirtualClock(random.Random(1)), PaceInMemory()
        at: tuple[list[float], list[float]] = ([], [])
        quota = Quota(stated, 1.0, 1, 1.0)
        async with anyio.create_task_group() as tasks:
            for given, sent in zip((Given((Rate(own, 1.0),)), Given()), at, strict=True):
                budget = Budget(LocalPermits(pace, clock, random.Random(1)), clock, given)
                for _ in range(16):
                    tasks.start_soon(_sent(budget, clock, sent, 10**6, quota))
            await clock.sleep(5 + 40 / own)
            tasks.cancel_scope.cancel()
        return at

    slow, fast = in_virtual_time(main)
    both = sorted(slow + fast)
    for sent, most in ((slow, own), (both, stated)):
        later = [at for at in sent if at > sent[0] + 3]  # the limit is known by then
        assert max(bisect_left(later, at + 1) - index for index, at in enumerate(later)) <= most + 1
    if stated < 100:  # beyond, 16 requests at once are too few
        assert len(both) > 0.9 * stated * (both[-1] - both[0] - 3)


def test_a_run_whose_tasks_wait_asks_once_for_each_permit(tmp_path: Path) -> None:
    async def main() -> tuple[list[float], int]:
        at: list[float] = []
        clock, dice = VirtualClock(random.Random(1)), random.Random(1)
        source = _Counting(PaceInFile(tmp_path / "x.pace"), clock, dice)
        budget = Budget(source, clock, Given((Rate(5, 1.0),)))

        async def use() -> None:
            for _ in range(10):
                ordinal = await budget.permit()
                at.append(clock.monotonic())
                budget.observe(Observation(ordinal, "through", 0.03))

        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(use)
        return at, source.questions

    at, questions = in_virtual_time(main)
    assert len(at) == 40
    assert questions <= 42
    assert all(after - before >= 1.0 for before, after in zip(at, at[5:], strict=False))
    assert at[-1] - at[0] <= 39 / 5 * 1.02


def test_a_permit_that_was_reserved_for_a_task_is_not_used_once_none_waits(tmp_path: Path) -> None:
    async def main() -> float | None:
        (budget,) = budgets(tmp_path / "x.pace", 1, ceiling=5)
        clock = VirtualClock(random.Random(1))
        await budget.permit()

        async def stopped() -> None:
            await clock.sleep(0.01)  # the other one waits already
            with anyio.CancelScope() as scope:
                budget.on_change = scope.cancel  # when the other's wait is over
                await budget.permit()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(budget.permit)
            tasks.start_soon(stopped)
        await clock.sleep(5)
        return budget.permit_nowait()

    assert in_virtual_time(main) is None


def test_a_wait_that_one_was_told_holds_the_other(tmp_path: Path) -> None:
    async def main() -> float:
        one, other = budgets(tmp_path / "x.pace", 2, ceiling=1000)
        clock = VirtualClock(random.Random(1))
        ordinal = await one.permit()
        begun = clock.monotonic()
        one.observe(Observation(ordinal, "throttled", 0.05, asked_seconds=7))
        await one.settle()
        await other.permit()
        return clock.monotonic() - begun

    assert 7 <= in_virtual_time(main) < 7.1


def test_a_wait_that_another_was_told_just_before_is_kept(tmp_path: Path) -> None:
    async def main() -> float:
        (one,) = budgets(tmp_path / "x.pace", 1, ceiling=1000)
        clock, other = VirtualClock(random.Random(1)), PaceInFile(tmp_path / "x.pace")
        async with anyio.create_task_group() as tasks:
            begun = clock.monotonic()
            pace = other.try_open(clock.monotonic)
            assert pace is not None
            tasks.start_soon(one.permit)
            await clock.sleep(0.0005)  # the one above looks meanwhile, and finds it locked
            pace.reserve_group(clock.monotonic(), 1)
            pace.hold(begun + 7)
            other.close(pace)
        return clock.monotonic() - begun

    assert 7 <= in_virtual_time(main) < 7.1


def test_who_slept_through_a_hold_waits_for_its_end(tmp_path: Path) -> None:
    async def main() -> float:
        one, other = budgets(tmp_path / "x.pace", 2, ceiling=1)
        clock = VirtualClock(random.Random(1))
        ordinal = await one.permit()
        begun = clock.monotonic()

        async def refuse() -> None:
            await clock.sleep(0.5)
            one.observe(Observation(ordinal, "throttled", 0.05, asked_seconds=9))
            await one.settle()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(refuse)
            await other.permit()
        return clock.monotonic() - begun

    assert in_virtual_time(main) >= 9.5


def test_a_wait_that_this_run_was_told_is_heeded_within_a_group(tmp_path: Path) -> None:
    async def main() -> float:
        (budget,) = budgets(tmp_path / "x.pace", 1, ceiling=20_000)
        clock = VirtualClock(random.Random(1))
        ordinal = await budget.permit()
        while (another := budget.permit_nowait()) is None:  # until some of a group are left
            ordinal = await budget.permit()
        assert another == ordinal + 1
        begun = clock.monotonic()
        budget.observe(Observation(ordinal, "throttled", 0.05, asked_seconds=7))
        assert budget.permit_nowait() is None
        await budget.permit()
        return clock.monotonic() - begun

    assert in_virtual_time(main) >= 7


def test_permits_at_hand_keep_to_the_rate_and_to_the_order_of_asking(tmp_path: Path) -> None:
    async def main() -> tuple[list[float], list[float]]:
        at: list[float] = []
        ordinals: list[float] = []
        (budget,) = budgets(tmp_path / "x.pace", 1, ceiling=5_000)
        clock = VirtualClock(random.Random(1))

        async def use() -> None:
            for _ in range(500):
                ordinal = budget.permit_nowait()
                if ordinal is None:
                    ordinal = await budget.permit()
                ordinals.append(ordinal)
                at.append(clock.monotonic())
                await clock.sleep(0.001)

        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(use)
        return at, ordinals

    at, ordinals = in_virtual_time(main)
    assert ordinals == sorted(set(ordinals))
    assert 0.8 <= at[-1] - at[0] <= 0.9  # 4,000 of them
    for first, start in enumerate(at):
        assert bisect_left(at, start + 0.1) - first <= 5_000 * (0.1 + 0.005 + 0.001) + 1


def test_the_lock_is_another_holders_until_it_is_given_back(tmp_path: Path) -> None:
    one, other = PaceInFile(tmp_path / "x.pace"), PaceInFile(tmp_path / "x.pace")
    pace = one.try_open(lambda: 1.0)
    assert pace is not None
    assert other.try_open(lambda: 1.0) is None
    one.close(pace)
    assert other.try_open(lambda: 1.0) is not None
    other.end()  # as when its process dies
    assert one.try_open(lambda: 1.0) is not None
    one.end()


@pytest.mark.parametrize("damage", ["cut", "flipped", "other", "from the future"])
def test_a_file_that_makes_no_sense_is_begun_anew(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "x.pace"
    pace_store = PaceInFile(path)
    pace = pace_store.try_open(lambda: 5.0)
    assert pace is not None
    pace.reserve_group(5.0, 1)
    pace_store.close(pace)
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[:-9]
    elif damage == "flipped":
        content[90] ^= 1
    elif damage == "other":
        content = bytearray(b"hello")
    path.write_bytes(content)
    pace_store.end()
    pace_store = PaceInFile(path)
    read = pace_store.try_open(lambda: 1.0 if damage == "from the future" else 6.0)
    pace_store.end()
    assert read == Pace()


def test_the_file_is_for_its_user_alone(tmp_path: Path) -> None:
    PaceInFile(tmp_path / "new" / "x.pace").end()
    assert (tmp_path / "new" / "x.pace").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_a_disk_that_breaks_ends_no_run_and_passes_no_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> int:
        raise OSError(28, "No space left on device")

    async def main() -> float:
        (budget,) = budgets(tmp_path / "x.pace", 1, ceiling=10)
        clock = VirtualClock(random.Random(1))
        begun = clock.monotonic()
        for number in range(51):
            if number == 20:
                monkeypatch.setattr("os.pwrite", broken)
            await budget.permit()
        return clock.monotonic() - begun

    assert 4.9 <= in_virtual_time(main) <= 5.2


def test_a_wait_for_an_allowance_is_shown_when_it_begins(tmp_path: Path) -> None:
    async def main() -> list[tuple[float, float, tuple[Allowance, ...]]]:
        (budget,) = budgets(tmp_path / "x.pace", 1, ceiling=None)
        clock = VirtualClock(random.Random(1))
        begun = clock.monotonic()
        shown: list[tuple[float, float, tuple[Allowance, ...]]] = []

        def show() -> None:
            at = clock.monotonic() - begun
            shown.append((at, budget.held_until - begun, budget.allowances))

        ordinal = await budget.permit()
        budget.on_change = show
        quota = Quota(1000, 3600, 0, 1800)
        budget.observe(Observation(ordinal, "through", 0.05, quotas=(quota,)))
        await budget.permit()
        return shown

    shown = in_virtual_time(main)
    at, until, allowances = shown[0]
    assert at < 1
    assert 1800 <= until <= 1803
    assert (allowances[0].limit, allowances[0].remaining) == (1000, 0)
    assert shown[-1][0] >= 1800


@pytest.mark.parametrize(
    ("given", "stated", "by_user"),
    [
        (Given((Rate(2, 3600),)), 1000, True),
        (Given(leave=Share(count=990)), 10, True),
        (Given((Rate(2, 3600),)), 0, False),
        (NO_LIMITS, 0, False),
    ],
)
def test_a_wait_for_the_users_own_limits_is_not_called_the_apis(
    given: Given, stated: int, *, by_user: bool
) -> None:
    async def main() -> Budget:
        clock = VirtualClock(random.Random(1))
        budget = Budget(LocalPermits(PaceInMemory(), clock, random.Random(1)), clock, given)
        for _ in range(2):
            ordinal = await budget.permit()
            quota = Quota(1000, 3600, stated, 1800)
            budget.observe(Observation(ordinal, "through", 0.05, quotas=(quota,)))
            if not by_user:
                break
        with pytest.raises(NoPermit) as raised:
            await budget.permit(patience_seconds=60.0)
        assert raised.value.by_user == by_user
        await budget.permit()
        return budget

    budget = in_virtual_time(main)
    assert budget.waited_seconds > 600
    assert budget.waits_for_user == by_user
    assert (budget.throttled_seconds == 0) == by_user
