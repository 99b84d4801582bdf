"""The plugin of a Dask scheduler that keeps budgets and leases (`desk`).

It answers on the scheduler's event loop, one question after the other, so that nothing needs a
lock. Its state is lost with the scheduler: a fresh one learns the limits again, from users/me and
headers, and begins with a careful pace.
"""

from __future__ import annotations

import random
import secrets
from typing import TYPE_CHECKING

from distributed import SchedulerPlugin

from bulk_sync.clock import SystemClock
from bulk_sync.cluster.desk import Desk
from bulk_sync.cluster.desk_messages import HANDLER, encoded, question_of

if TYPE_CHECKING:
    from distributed import Scheduler


class DeskPlugin(SchedulerPlugin):
    """Hands out permits and leases; registered once, and kept by later runs on the cluster."""

    name = "bulk-sync-desk"
    idempotent = True

    def __init__(self) -> None:
        self._desk: Desk | None = None
        self._clock = SystemClock()
        self._dice = random.Random()  # noqa: S311 - jitter, no secret

    async def start(self, scheduler: Scheduler) -> None:
        """Answer questions from now on."""
        # Made here, because the plugin travels to the scheduler.
        self._desk = Desk(secrets.token_hex(8))
        scheduler.handlers[HANDLER] = self.answer

    async def answer(self, question: bytes) -> bytes:
        """Answer a question of a worker."""
        assert self._desk is not None  # noqa: S101 - it has started
        now = self._clock.monotonic()
        offset = self._clock.now().timestamp() - now
        reply = self._desk.reply(now, offset, question_of(question), self._dice.random)
        return encoded(reply)

    def remove_worker(self, scheduler: Scheduler, worker: str, **_: object) -> None:
        """End the leases of a worker that Dask has given up, and let its jobs go anywhere.

        A task waits for ever when no worker is left and it has a favourite: one that comes later is
        offered only tasks that have none, whether or not others are allowed.
        """
        if self._desk is not None:
            self._desk.leases.worker_is_gone(worker)
        for task in scheduler.tasks.values():
            favourites = task.worker_restrictions
            if task.loose_restrictions and favourites and worker in favourites:
                task.worker_restrictions = set()
