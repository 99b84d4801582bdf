"""The plugin of a Dask scheduler that keeps budgets and leases (`desk`).

It answers on the scheduler's event loop, one question after the other, so that nothing needs a
lock. Its state is lost with the scheduler: a fresh one learns the limits again, from users/me and
headers, and begins with a careful pace.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Container
from typing import TYPE_CHECKING

from distributed import SchedulerPlugin

from bulk_sync.clock import SystemClock
from bulk_sync.cluster.desk import Desk
from bulk_sync.cluster.desk_messages import HANDLER, encoded, question_of

if TYPE_CHECKING:
    from dask.typing import Key
    from distributed import Scheduler
    from distributed.scheduler import SchedulerState, TaskState


class DeskPlugin(SchedulerPlugin):
    """Hands out permits and leases; registered once, and kept by later runs on the cluster."""

    name = "bulk-sync-desk"
    idempotent = True

    def __init__(self) -> None:
        self._desk: Desk | None = None
        self._scheduler: SchedulerState | None = None
        self._clock = SystemClock()
        self._dice = random.Random()  # noqa: S311 - jitter, no secret

    async def start(self, scheduler: Scheduler) -> None:
        """Answer questions from now on."""
        # Made here, because the plugin travels to the scheduler.
        self._desk = Desk(secrets.token_hex(8))
        self._scheduler = scheduler
        scheduler.handlers[HANDLER] = self.answer

    async def answer(self, question: bytes) -> bytes:
        """Answer a question of a worker."""
        assert self._desk is not None  # noqa: S101 - it has started
        now = self._clock.monotonic()
        offset = self._clock.now().timestamp() - now
        reply = self._desk.reply(now, offset, question_of(question), self._dice.random)
        return encoded(reply)

    def remove_worker(self, scheduler: Scheduler, worker: str, **_: object) -> None:
        """End the leases of a worker that Dask has given up, and let its jobs go anywhere."""
        if self._desk is not None:
            self._desk.leases.worker_is_gone(worker)
        for task in scheduler.tasks.values():
            _forget_favourites(task, scheduler.workers)

    def transition(
        self,
        key: Key,
        start: str,  # noqa: ARG002 - Dask's interface
        finish: str,
        *_: object,
        **__: object,
    ) -> None:
        """Let a task that no worker could take go to any that comes.

        Its favourite may have died before it was submitted, or with all others.
        """
        if finish == "no-worker" and self._scheduler is not None:
            _forget_favourites(self._scheduler.tasks[key], self._scheduler.workers)


def _forget_favourites(task: TaskState, workers: Container[str]) -> None:
    """Forget the workers that a task prefers and that are gone.

    Dask offers a task that waits for a worker to one that comes only if it has no favourite,
    whether or not others are allowed: it would wait for ever.
    """
    if task.loose_restrictions and task.worker_restrictions:
        task.worker_restrictions = {one for one in task.worker_restrictions if one in workers}
