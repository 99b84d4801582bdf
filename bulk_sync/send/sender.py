"""The workers of a run: take changes, send them, and put an outcome for each.

Invariants, of this module and those it drives (`retries`, `attempt`, `availability`, `outcomes`):

1. Each change that was taken ends in exactly one outcome, under its own id. If the run stops
   before the change is decided, its outcome is `pending`, with a flag if it may have been applied.
2. Every request takes a permit first, including retries and the check of the API itself.
3. A stop does not cut off requests that have left; only `--timeout` and `abandon` do. A worker's
   task is shielded except while it waits for anything but a reply, and it does not wait between a
   reply and putting its outcome.
4. Until the API was reached once, one request at a time is in flight, so that a refused key or a
   wrong address costs one request instead of one per worker. The first one is users/me; where that
   is missing, the first change goes alone. No change leaves with the key of a wrong team.
5. At most `workers` requests are in flight. A row that waits after a failure, or for a probe,
   holds no worker. One that was throttled or excused while the circuit is closed keeps its worker,
   because it waits for the next permit, as every request does. At most `workers + MOST_WAITING`
   rows are open; then no new ones are taken. While a few rows wait for a permit, no other begins.
6. No request leaves while an outcome waits too long to be kept (`Work.is_behind`); its permit is
   dropped.
7. While the circuit is open, one request at a time leaves, after a gap, and its failure does not
   count against its row.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from bulk_sync.clock import Clock
from bulk_sync.errors import BulkSyncError
from bulk_sync.model.rows import RowDecided, State, Tally
from bulk_sync.send.attempt import Attempts
from bulk_sync.send.availability import Availability
from bulk_sync.send.backlog import Backlog, Work, Workers
from bulk_sync.send.bounds import KeyTrust
from bulk_sync.send.budget import Budget
from bulk_sync.send.case import Case, TryAgain
from bulk_sync.send.context import Context, Terms
from bulk_sync.send.evidence import Evidence
from bulk_sync.send.halt import Halt, Stopping, interruptible
from bulk_sync.send.outcomes import Outcomes
from bulk_sync.send.retries import Retries
from bulk_sync.send.transport.interface import Transport


class Sender:
    """Sends the changes of `work` through `transport`, paced by `budget`."""

    def __init__(
        self,
        transport: Transport,
        work: Work,
        *,
        budget: Budget,
        terms: Terms,
        clock: Clock,
        dice: random.Random,
        tally: Tally,
        on_row: Callable[[RowDecided], None] | None = None,
    ) -> None:
        self._halt = Halt()
        self._context = Context(
            transport, budget, terms, clock, dice, tally, self._halt, Evidence()
        )
        budget.on_change = self._show_limits
        key = KeyTrust(terms.key_accepted)
        self._backlog = Backlog(work, terms.workers)
        self._workers = Workers(terms.workers)
        self._outcomes = Outcomes(self._context, work.put, key, on_row)
        self._availability = Availability(self._context, self._backlog, self._outcomes)
        self._attempts = Attempts(self._context, self._availability, key, work)
        self._retries = Retries(
            self._context, self._attempts, self._availability, self._backlog, self._workers
        )
        self._circuit = self._availability.circuit
        self._handed: deque[Case] = deque()
        self._ready = anyio.Semaphore(0, fast_acquire=True)
        self._started_tasks = 0
        self._row_ended = anyio.Event()
        self._feed_waits = False  # spares setting an event for every row

    @property
    def stopped(self) -> BulkSyncError | None:
        """The reason why the run stopped early; None if it did not."""
        return self._halt.reason

    def stop(self, reason: BulkSyncError) -> None:
        """Take no more changes, and let requests in flight end. The first reason stays."""
        self._halt.stop(reason)

    def abandon(self) -> None:
        """Cut off the requests in flight, too; their changes stay pending."""
        self._halt.abandon()

    def _show_limits(self) -> None:
        """Copy the limits to the tally, for the terminal and the summary."""
        budget, tally = self._context.budget, self._context.tally
        tally.limit, tally.source = budget.limit, budget.source
        tally.allowances, tally.waiting_until = budget.allowances, budget.held_until
        tally.waits_for_user = budget.waits_for_user

    async def run(self) -> None:
        """Send until nothing is left or the run stops early; `stopped` has the reason then."""
        deadline = self._context.terms.bounds.deadline
        with self._halt.waits:
            async with anyio.create_task_group() as tasks:
                if deadline < math.inf:
                    tasks.start_soon(self._halt.stop_at, deadline, self._context.clock)
                with suppress(Stopping):  # then the scope around us is cancelled
                    await self._availability.preflight()
                    await self._feed(tasks)
                tasks.cancel_scope.cancel()  # the workers wait for cases that won't come
        for case in (*self._handed, *self._circuit.suspects, *self._backlog.again):
            self._outcomes.add(case.outcome(State.PENDING), case)
        # Shielded, because other runs need the limit that a cancelled run has seen.
        # Without the source of permits, what was seen is lost with it.
        with anyio.CancelScope(shield=True), suppress(BulkSyncError):
            await self._context.budget.settle()
        self._context.tally.throttled_seconds = self._context.budget.throttled_seconds

    async def _feed(self, tasks: TaskGroup) -> None:
        """Hand every change to a worker; at the end, decide the suspects."""
        backlog, workers = self._backlog, self._workers
        while True:
            if backlog.is_full:
                await self._wait_for_a_row()
                continue
            await self._context.budget.wait_for_room()
            await workers.acquire()
            case = await backlog.next_case()
            if case is not None:
                await self._hand_over(case, tasks)
                await checkpoint()  # the worker begins, and waits for a permit if there is none
                continue
            workers.release()
            if backlog.open_rows:
                await self._wait_for_a_row()
            elif self._circuit.suspects:
                with suppress(Stopping):  # then the scope around us is cancelled
                    await self._availability.decide_suspects()
            elif not backlog.again:
                return

    async def _wait_for_a_row(self) -> None:
        self._availability.wake()  # nothing but retries may be left
        self._row_ended = anyio.Event()
        self._feed_waits = True
        await self._row_ended.wait()
        self._feed_waits = False

    async def _hand_over(self, case: Case, tasks: TaskGroup) -> None:
        case.has_worker = True
        self._backlog.begin(case)
        self._handed.append(case)
        self._ready.release()
        # Tasks start as rows need them: a run of ten rows needs no 16 tasks.
        if self._backlog.open_rows > self._started_tasks:
            tasks.start_soon(self._work)
            self._started_tasks += 1
        if not self._availability.is_reached:
            await self._availability.wait_until_reached()

    async def _work(self) -> None:
        """Process cases one at a time, as they are handed over."""
        # One scope for all requests of the task, because opening one for each is slower.
        with self._halt.request_scope() as scope:
            while True:
                await self._ready.acquire()
                case: Case | None = self._handed.popleft()
                scope.shield = True
                while case is not None:
                    case.scope = scope
                    case = await self._process(case)
                scope.shield = False

    async def _process(self, case: Case) -> Case | None:
        """Send one change until it has an outcome; return the worker's next case, if any."""
        following: Case | None = None
        try:
            try:
                outcome = await self._attempts.make(case)
            except TryAgain as first:
                with interruptible(case.scope):
                    outcome = await self._retries.make(case, first.decision)
        except (anyio.get_cancelled_exc_class(), Stopping) as ended:
            self._outcomes.add(case.outcome(State.PENDING), case)
            if not isinstance(ended, Stopping):
                raise
        else:
            if outcome is not None:
                self._outcomes.add(outcome, case)
                following = self._next_case_nowait() if case.has_worker else None
        finally:
            self._backlog.end(case)
            if following is None:
                self._workers.release_from(case)
            else:
                self._backlog.begin(following)
            if not self._availability.is_reached:
                self._availability.mark_reached()
            if self._feed_waits:
                self._row_ended.set()
        return following

    def _next_case_nowait(self) -> Case | None:
        """Return a new case without waiting; None when `_feed` must choose the next one."""
        if self._workers.waiting or self._circuit.open or self._halt.reason is not None:
            return None
        if self._context.budget.has_many_waiting:
            return None
        return self._backlog.take()
