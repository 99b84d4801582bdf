"""A job whose workers died is handed out again, and one that kills them takes no other with it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

import pytest

from bulk_sync.cluster.again import ALONE_SECONDS, MOST_TASKS, Again, WorkersDied
from tests.simulation import VirtualClock, in_virtual_time

ALLOWED = 3
"""The maximum of workers that Dask lets die under a task."""


@dataclass
class Dask:
    """Workers that are always started again, and tasks that count the dead ones as Dask does.

    A task of `kills` kills its worker so many seconds after it begins there.
    """

    kills: dict[str, float]
    seconds: float = 40.0
    reading: float = 2.0
    workers: int = 3
    dice: random.Random = field(default_factory=lambda: random.Random(1))
    on: dict[str, int] = field(default_factory=dict)
    died: dict[str, int] = field(default_factory=dict)
    sending: set[str] = field(default_factory=set)
    tasks: dict[str, int] = field(default_factory=dict)
    deaths: int = 0

    async def run(self, job: str) -> str:
        loop = asyncio.get_running_loop()
        self.tasks[job] = self.tasks.get(job, 0) + 1
        self.died[job] = 0
        while True:
            self.sending.discard(job)
            self.on[job] = self.dice.randrange(self.workers)
            known, begun = self.died[job], loop.time()
            while self.died[job] == known:
                await asyncio.sleep(0.2)  # noqa: TID251 - virtual time
                lived = loop.time() - begun
                if lived > self.kills.get(job, float("inf")):
                    self.kill(self.on[job])
                elif lived > self.seconds:
                    del self.on[job]
                    return job
                elif lived > self.reading:
                    self.sending.add(job)
            if self.died[job] > ALLOWED:
                self.on.pop(job, None)
                raise WorkersDied(self.died[job])

    def kill(self, worker: int) -> None:
        self.deaths += 1
        for job, where in self.on.items():
            if where == worker:
                self.died[job] += 1


def outcomes(dask: Dask, jobs: list[str], over_at: float = float("inf")) -> dict[str, Any]:
    async def main() -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        again = Again(VirtualClock(random.Random(1)), lambda: loop.time() >= over_at)

        async def one(job: str) -> str:
            return await again.outcome(lambda _: dask.run(job), lambda: job in dask.sending)

        ended = await asyncio.gather(*map(one, jobs), return_exceptions=True)
        return dict(zip(jobs, ended, strict=True))

    found: dict[str, Any] = in_virtual_time(main)
    return found


@pytest.mark.parametrize("kills_after", [0.3, 1.7])
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_job_that_kills_its_worker_when_it_begins_takes_no_other_with_it(
    kills_after: float, workers: int
) -> None:
    jobs = [f"job {number}" for number in range(8)]
    dask = Dask({"job 5": kills_after}, workers=workers)
    found = outcomes(dask, jobs)
    assert isinstance(found.pop("job 5"), WorkersDied)
    assert list(found) == list(found.values())
    assert dask.deaths == 2 * (ALLOWED + 1)


def test_jobs_of_workers_that_die_for_other_reasons_go_on() -> None:
    dask = Dask({}, seconds=150, workers=2)
    jobs = [f"job {number}" for number in range(10)]

    async def strike() -> None:
        for number in range(12):
            await asyncio.sleep(5)  # noqa: TID251 - virtual time
            dask.kill(number % 2)

    async def main() -> list[str]:
        again = Again(VirtualClock(random.Random(1)), lambda: False)
        striking = asyncio.create_task(strike())

        def one(job: str) -> Awaitable[str]:
            return again.outcome(lambda _: dask.run(job), lambda: True)

        ended = await asyncio.gather(*map(one, jobs))
        await striking
        return ended

    assert in_virtual_time(main) == jobs
    assert max(dask.tasks.values()) > 1


def test_a_job_that_kills_its_worker_later_is_given_up_in_the_end() -> None:
    dask = Dask({"bad": 10.0})
    (found,) = outcomes(dask, ["bad"]).values()
    assert isinstance(found, WorkersDied)
    assert found.workers == dask.deaths == MOST_TASKS * (ALLOWED + 1)


def test_a_job_that_reads_for_long_holds_up_the_others_a_bounded_time() -> None:
    dask = Dask({"slow": 400.0}, reading=1e9, workers=1)

    async def main() -> float:
        loop = asyncio.get_running_loop()
        again = Again(VirtualClock(random.Random(1)), lambda: False)
        begun = {}

        async def run(number: int, job: str) -> str:
            if not number:
                raise WorkersDied(4)
            begun[job] = loop.time()
            return await dask.run(job)

        def one(job: str) -> Awaitable[str]:
            return again.outcome(lambda number: run(number, job), lambda: False)

        ended = await asyncio.gather(one("slow"), one("other"), return_exceptions=True)
        assert ended[1] == "other"
        return begun["other"] - begun["slow"]

    assert in_virtual_time(main) < ALONE_SECONDS + 1


def test_after_a_stop_nothing_begins_again() -> None:
    dask = Dask({"bad": 1.0})
    (found,) = outcomes(dask, ["bad"], over_at=0).values()
    assert (type(found), dask.tasks) == (WorkersDied, {"bad": 1})


def test_an_error_of_a_job_is_its_own() -> None:
    async def main() -> None:
        async def run(_: int) -> None:
            raise ValueError("a bug")

        with pytest.raises(ValueError, match="a bug"):
            await Again(VirtualClock(random.Random(1)), lambda: False).outcome(run, lambda: False)

    in_virtual_time(main)
