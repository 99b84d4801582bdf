"""Hand out a job again whose workers died, without letting it take other jobs with it.

Dask gives up a task once several workers died that ran it. It counts for all tasks of a worker that
dies, whichever is the reason, if any is: a machine that is switched off counts too. So a job is
handed out again, up to `MOST_TASKS` times. Only one at a time begins anew, until it sends: a job
that kills its worker when it begins dies while the others wait, and is not handed out once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import TypeVar

from bulk_sync.clock import Clock
from bulk_sync.wording import counted

MOST_TASKS = 5
"""The maximum of tasks that a job is given."""

ALONE_SECONDS = 120.0
"""The longest wait for a job that is handed out again to send, before the next one begins."""

_POLL_SECONDS = 0.1

T = TypeVar("T")


class WorkersDied(Exception):
    """Workers died while they ran a task; `workers` is their number."""

    def __init__(self, workers: int) -> None:
        super().__init__(f"{counted(workers, 'worker')} died while running this job")
        self.workers = workers


class Again:
    """The jobs of a run that are handed out again; `is_over` returns True once it is stopped."""

    def __init__(self, clock: Clock, is_over: Callable[[], bool]) -> None:
        self._clock = clock
        self._is_over = is_over
        self._alone = asyncio.Lock()

    async def outcome(
        self, run: Callable[[int], Awaitable[T]], is_sending: Callable[[], bool]
    ) -> T:
        """Run a job until it has an outcome.

        `run` runs it as a task with a number from 0 on, and raises WorkersDied. Raises WorkersDied
        with all workers when the job is given up, or has to begin anew after a stop.
        """
        died = 0
        for number in range(MOST_TASKS):
            async with self._alone if number else nullcontext():
                if number and self._is_over():
                    break
                task = asyncio.ensure_future(run(number))
                was_alone = number > 0 and not await self._sends(task, is_sending)
            try:
                return await task
            except WorkersDied as error:
                died += error.workers
            if was_alone:
                break
        raise WorkersDied(died)

    async def _sends(self, task: asyncio.Future[T], is_sending: Callable[[], bool]) -> bool:
        """Wait until a task sends or has had its time; return False if it ended before."""
        until = self._clock.monotonic() + ALONE_SECONDS
        while not task.done():
            if is_sending() or self._clock.monotonic() > until:
                return True
            await self._clock.sleep(_POLL_SECONDS)
        return False
