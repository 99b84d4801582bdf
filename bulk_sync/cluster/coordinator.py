"""Hand the jobs of a run to the workers of a cluster, and follow them.

Invariants:

1. At most `at_once` jobs are with the workers; the others begin in their order, each when one ends.
2. Jobs of one key go to one worker while it lives, each other key to the worker that has fewest
   jobs. Dask may run a task elsewhere when its worker is gone.
3. Each worker hears of the run every second or so; see `messages.LEASH_SECONDS`. A worker that
   doesn't answer holds up no other one.
4. A job is handed out again when Dask gives up its task because workers died; see `again`.
5. After a stop, or when the scheduler is gone, everything here ends within a bounded time, whatever
   answers: what is not known then is in the checkpoints.
"""

from __future__ import annotations

import asyncio
import logging
import math
import pickle
import re
import secrets
from collections import Counter
from collections.abc import Hashable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from typing import Any

from distributed import CancelledError, Client, Future, KilledWorker
from msgspec.structs import replace

from bulk_sync.cluster.again import Again, WorkersDied
from bulk_sync.cluster.connect import (
    connected,
    refuse_differences,
    register,
    wait_for_workers,
)
from bulk_sync.cluster.crew import CrewPlugin, run_job
from bulk_sync.cluster.messages import HANDLER, Ended, Line, Order, Progress, Report, Stop, Work
from bulk_sync.cluster.plugin import DeskPlugin
from bulk_sync.cluster.recorded import recorded
from bulk_sync.cluster.terms import Place, Terms
from bulk_sync.errors import BulkSyncError, Outage, StoppedEarly, UsageError
from bulk_sync.model.summaries import JobResult
from bulk_sync.run.cell_rules import local_zone_name
from bulk_sync.together import Job, Phase, Standing, current_job
from bulk_sync.version import __version__

_LOGGER = logging.getLogger("bulk_sync")

LOST_SECONDS = 30.0
"""How long the scheduler may be silent before the run ends without it."""

NO_WORKERS_SECONDS = 120.0
"""How long a run waits for a worker when all are gone: for one to be started again."""

STOPPED_SECONDS = 60.0
"""How long tasks may take to end after a stop: requests in flight, and the files of results."""

HURRIED_SECONDS = 10.0
"""How long they may take after a second signal."""

# The bound of a job's own deadline comes first; this one is for a task that began again elsewhere.
_DEADLINE_GRACE_SECONDS = 10.0

# A worker that hears nothing of its scheduler for a while ends its jobs, and may come back before
# Dask gives it up: then they go on. The pause is for those of its jobs that still end.
_MOST_TIMES_CUT_OFF = 5
_CUT_OFF_PAUSE_SECONDS = 5.0

_EXCHANGE_SECONDS = 0.5
_WORKERS_PER_SECOND = 100
_ANSWER_SECONDS = 10.0
_LOOK_SECONDS = 1.0
_STOP_POLL_SECONDS = 0.1


def run(
    jobs: Sequence[Job], keys: Sequence[Hashable], place: Place, terms: Terms
) -> tuple[JobResult, ...]:
    """Push all jobs on the cluster; return their results in the order of the jobs.

    `keys` has for each job what identifies its key and API. No two jobs may share a checkpoint: see
    `together.refuse_shared_checkpoints`. Raises UsageError, Outage, or the
    reason of a stop that comes before the first job.
    """
    standings = [Standing(job) for job in jobs]
    terms.watch(standings)
    asyncio.run(_run(standings, keys, place, terms))
    return tuple(one.result or JobResult(one.job.name) for one in standings)


async def _run(
    standings: Sequence[Standing], keys: Sequence[Hashable], place: Place, terms: Terms
) -> None:
    async with connected(place.address, terms.stop) as client:
        await wait_for_workers(client, place.address, terms.stop)
        await refuse_differences(client, place.address, terms.stop)
        await register(client, DeskPlugin(), terms.stop)
        await register(client, CrewPlugin(), terms.stop)
        await _Coordinator(client, place, terms).run(standings, keys)


@dataclass
class _Placed:
    """The worker of each key, and the number of jobs with each worker."""

    workers: frozenset[str] = frozenset()
    homes: dict[Hashable, str] = field(default_factory=dict)
    jobs: Counter[str] = field(default_factory=Counter)

    def place(self, key: Hashable) -> str | None:
        """Return the worker for a job of a key, and count it; None if there is no worker."""
        home = self.homes.get(key)
        if home not in self.workers:
            if not self.workers:
                return None
            home = min(self.workers, key=lambda worker: (self.jobs[worker], worker))
            self.homes[key] = home
        self.jobs[home] += 1
        return home

    def ended(self, worker: str | None) -> None:
        """Count a job less."""
        if worker is not None:
            self.jobs[worker] -= 1


class _Coordinator:
    def __init__(self, client: Client, place: Place, terms: Terms) -> None:
        self._client = client
        self._place = place
        self._terms = terms
        self._clock = terms.clock
        self._stop = terms.stop
        self._run = secrets.token_hex(4)
        self._standings: dict[str, Standing] = {}
        self._placed = _Placed()
        self._zone = local_zone_name()
        self._again = Again(self._clock, self._stop.is_set)
        self._is_lost = False
        self._given_up = asyncio.Event()
        self._why: BulkSyncError = StoppedEarly("Its worker doesn't answer. Run it again.")

    async def run(self, standings: Sequence[Standing], keys: Sequence[Hashable]) -> None:
        """Run all jobs until each has a result."""
        self._standings = {one.job.name: one for one in standings}
        slots = asyncio.Semaphore(self._terms.at_once)
        self._placed.workers = frozenset(await self._client.nthreads())
        looking = [asyncio.create_task(self._look()), asyncio.create_task(self._bound())]
        try:
            await asyncio.gather(
                *(
                    self._follow(number, one, key, slots)
                    for number, (one, key) in enumerate(zip(standings, keys, strict=True))
                )
            )
        finally:
            for task in looking:
                task.cancel()
            await asyncio.gather(*looking, return_exceptions=True)

    # A job

    async def _follow(
        self, number: int, standing: Standing, key: Hashable, slots: asyncio.Semaphore
    ) -> None:
        async with slots:
            name = standing.job.name
            if self._stop.is_set():
                standing.phase, standing.result = Phase.LEFT, JobResult(name)
                return
            standing.begun = self._clock.monotonic()
            standing.result = await self._outcome(number, standing, key)
            standing.ended, standing.tally = self._clock.monotonic(), None
            standing.phase = Phase.ENDED if standing.result.begun else Phase.LEFT
            if standing.result.begun:
                with _as_job(name):
                    self._terms.on_end(standing)

    async def _outcome(self, number: int, standing: Standing, key: Hashable) -> JobResult:
        name = standing.job.name

        async def run(attempt: int) -> JobResult:
            times = 0
            while True:
                standing.phase, standing.tally = Phase.READING, None
                worker = self._placed.place(key)
                try:
                    future = self._submit(f"{number}-{attempt}-{times}", standing.job, worker)
                    result, cut_off = await self._result(future, name)
                except KilledWorker as error:
                    raise WorkersDied(error.allowed_failures + 1) from None
                finally:
                    self._placed.ended(worker)
                times += 1
                if not cut_off or self._stop.is_set() or times >= _MOST_TIMES_CUT_OFF:
                    return result
                await self._clock.sleep(_CUT_OFF_PAUSE_SECONDS)

        try:
            return await self._again.outcome(run, lambda: standing.tally is not None)
        except WorkersDied as error:
            why = f"{error}; their logs may say why. Run it again."
            return self._unknown(name, self._stop.reason if self._stop.is_set() else Outage(why))

    def _submit(self, task: str, job: Job, worker: str | None) -> Future[bytes]:
        work = Work(
            self._run,
            replace(job, finish_at=math.inf),  # its clock may be another
            min(self._terms.end, job.finish_at) - self._clock.monotonic(),
            _LOGGER.level if _LOGGER.hasHandlers() and _LOGGER.level else None,
            self._place.across_hosts,
            self._place.watching_rows,
            self._zone,
        )
        # The name is for the dashboard: whatever a user called the job, in characters of a name.
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", job.name)[:40]
        future: Future[bytes] = self._client.submit(
            run_job,
            __version__,
            pickle.dumps(work),
            key=f"bulk-sync-{self._run}-{task}-{name}",
            workers=None if worker is None else [worker],
            allow_other_workers=worker is not None,
            pure=False,
        )
        return future

    async def _result(self, future: Future[bytes], name: str) -> tuple[JobResult, bool]:
        """Wait for the result of a job; one whose task is lost has an error as its result.

        The second value is True if its worker was cut off, and came back. Raises KilledWorker when
        Dask gave the task up.
        """
        given_up = asyncio.create_task(self._given_up.wait())
        waiting = asyncio.ensure_future(_value_of(future))
        await asyncio.wait({given_up, waiting}, return_when=asyncio.FIRST_COMPLETED)
        given_up.cancel()
        if not waiting.done():
            waiting.cancel()
            return self._unknown(name, self._why), False
        try:
            ended: Ended = pickle.loads(waiting.result())  # noqa: S301 - from our own task
        except CancelledError:  # Dask's own: the client forgets its futures with the scheduler
            self._lose(_LOST)
            return self._unknown(name, self._why), False
        except KilledWorker:
            raise
        except ImportError as error:  # Dask's, of a worker that came later
            late = UsageError(f"A worker that came later lacks bulk-sync, or a part: {error}")
            return self._unknown(name, late), False
        except Exception as error:  # noqa: BLE001 - kept as the result of this job
            return self._unknown(name, error), False
        self._take_lines(ended.lines)
        if ended.progress is not None:
            self._take_progress(pickle.loads(ended.progress))  # noqa: S301 - the same
        if not ended.bug:
            return ended.result, ended.cut_off
        return replace(ended.result, bug=type(ended.bug, (Exception,), {})()), False

    def _unknown(self, name: str, error: Exception) -> JobResult:
        standing = self._standings[name]
        seconds = self._clock.monotonic() - standing.begun
        if not isinstance(error, BulkSyncError):
            return JobResult(name, bug=error, seconds=seconds, begun=True)
        batch = recorded(standing, error, self._clock.now())
        if batch is not None:
            return JobResult(name, batch, seconds=seconds, begun=True)
        if error is _CUT_OFF:
            error = Outage("It was cut off, and its checkpoint has nothing of this sheet yet.")
        return JobResult(name, error=error, seconds=seconds, begun=True)

    # The cluster

    async def _look(self) -> None:
        """Talk to each worker, and notice when the scheduler or all workers are gone."""
        talks: dict[str, asyncio.Task[None]] = {}
        answered = had_workers = self._clock.monotonic()
        try:
            while True:
                with suppress(Exception):  # whatever a broken connection raises; see below
                    async with asyncio.timeout(_ANSWER_SECONDS):
                        self._placed.workers = frozenset(await self._client.nthreads())
                    answered = self._clock.monotonic()
                now = self._clock.monotonic()
                if self._placed.workers:
                    had_workers = now
                if now - answered > LOST_SECONDS:
                    self._lose(_LOST)
                elif now - had_workers > NO_WORKERS_SECONDS:
                    self._lose("All workers of the cluster are gone. Start some, and run it again.")
                for worker in self._placed.workers - talks.keys():
                    talks[worker] = asyncio.create_task(self._talk(worker))
                for worker in talks.keys() - self._placed.workers:
                    talks.pop(worker).cancel()
                await self._clock.sleep(_LOOK_SECONDS)
        finally:
            for task in talks.values():
                task.cancel()
            await asyncio.gather(*talks.values(), return_exceptions=True)

    async def _talk(self, worker: str) -> None:
        """Exchange messages with a worker until this is cancelled."""
        while True:
            was_stopped = self._stop.is_set()
            order = Order(self._run, self._stop_message())
            # An answer that doesn't come is no news: the next one has all that counts.
            with suppress(Exception):
                async with asyncio.timeout(_ANSWER_SECONDS):
                    scheduler: Any = self._client.scheduler
                    answers = await scheduler.broadcast(
                        msg={"op": HANDLER, "order": pickle.dumps(order)},
                        workers=[worker],
                        on_error="ignore",
                    )
                for answer in answers.values():
                    self._take(pickle.loads(answer))  # noqa: S301 - from our own handler
            pause = max(_EXCHANGE_SECONDS, len(self._placed.workers) / _WORKERS_PER_SECOND)
            until = self._clock.monotonic() + pause
            while self._clock.monotonic() < until and self._stop.is_set() == was_stopped:
                await self._clock.sleep(_STOP_POLL_SECONDS)

    def _stop_message(self) -> Stop | None:
        if not self._stop.is_set():
            return None
        return Stop.of(self._stop.reason, hurry=self._stop.hurry)

    def _take(self, report: Report) -> None:
        for one in report.progress:
            self._take_progress(pickle.loads(one))  # noqa: S301 - from our own handler
        self._take_lines(report.lines)
        if report.left_out:
            _LOGGER.warning(
                "%d lines of a worker's log were left out: it has too many a second",
                report.left_out,
                extra={"event": "note"},
            )

    def _take_progress(self, progress: Progress) -> None:
        standing = self._standings.get(progress.job)
        # A worker that was given up may still speak of a job that has ended elsewhere.
        if standing is None or standing.phase in {Phase.ENDED, Phase.LEFT}:
            return
        now = self._clock.monotonic()
        if progress.phase not in {Phase.ENDED, Phase.LEFT}:
            standing.phase = progress.phase
        standing.file, standing.rows = progress.file, progress.rows
        standing.sending, standing.earlier = progress.about, list(progress.earlier)
        standing.to_come = progress.to_come
        standing.sending_since = now - progress.sending
        if progress.tally is not None:
            progress.tally.waiting_until = now + progress.waits
        standing.tally = progress.tally

    def _take_lines(self, lines: Sequence[Line]) -> None:
        for line in lines:
            with _as_job(line.job):
                _LOGGER.handle(line.record())

    # The end

    def _lose(self, why: str) -> None:
        """End the run without the cluster: the reason is an Outage unless the user stopped it.

        It is said once, of the run: its jobs have a short one.
        """
        if not self._stop.is_set():
            self._stop.reason = Outage(why)
            self._stop.set()
            _LOGGER.error("%s", why, extra={"event": "note"})
            self._is_lost = True
        self._why = _CUT_OFF if self._is_lost else self._stop.reason
        self._given_up.set()

    async def _bound(self) -> None:
        """Stop at the deadline; give up what doesn't end in time after a stop."""
        while not self._stop.is_set():
            if self._clock.monotonic() > self._terms.end + _DEADLINE_GRACE_SECONDS:
                self._stop.reason = StoppedEarly("The time of the run is over. Run it again.")
                self._stop.set()
            await self._clock.sleep(_STOP_POLL_SECONDS)
        until = self._clock.monotonic() + STOPPED_SECONDS
        hurried = math.inf
        while self._clock.monotonic() < min(until, hurried):
            if self._stop.hurry and math.isinf(hurried):
                hurried = self._clock.monotonic() + HURRIED_SECONDS
            await self._clock.sleep(_STOP_POLL_SECONDS)
        self._given_up.set()


_CUT_OFF = Outage("It was cut off; the counts are those of its checkpoint.")
"""The error of a job that was with the workers when the run lost them."""

_LOST = (
    "The scheduler of the cluster is gone, or doesn't answer. Its workers stop sending within "
    "20 s, and the other rows stay pending. Run it again when there is a scheduler."
)


async def _value_of(future: Future[bytes]) -> bytes:
    value: bytes = await future
    return value


class _as_job(AbstractContextManager[None]):  # noqa: N801 - a block, as those of contextlib
    """Let log lines in this block be those of a job."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        self._token = current_job.set(self._name)

    def __exit__(self, *_: object) -> None:
        current_job.reset(self._token)
