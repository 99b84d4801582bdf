"""The side of a worker: the tasks of a run in this process, and what they say and hear.

A task leaves Dask's thread pool as soon as it begins (`secede`), because it waits for an API nearly
all of its time: how many run is the coordinator's choice, not the worker's number of threads.
"""

from __future__ import annotations

import logging
import pickle
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import anyio
from distributed import Reschedule, WorkerPlugin, get_worker, secede
from msgspec.structs import replace

from bulk_sync import together
from bulk_sync.clock import Clock, SystemClock
from bulk_sync.cluster.line import exchange_of
from bulk_sync.cluster.messages import (
    HANDLER,
    LEASH_SECONDS,
    Ended,
    Line,
    Order,
    Progress,
    Report,
    Work,
)
from bulk_sync.cluster.remote import Exchange, Lease, leased
from bulk_sync.errors import (
    BulkSyncError,
    CheckpointBusy,
    CheckpointLocked,
    Outage,
    StoppedEarly,
    UsageError,
)
from bulk_sync.model.summaries import JobResult
from bulk_sync.run.cell_rules import home_zone
from bulk_sync.run.follow import Callbacks, StopRequest
from bulk_sync.together import Ready, Standing
from bulk_sync.version import __version__

if TYPE_CHECKING:
    from distributed import Worker

BUSY_SECONDS = 60.0
"""How long a task waits for a checkpoint that another task or run holds.

Longer than a task that was cut off from its scheduler goes on (`LEASH_SECONDS`), and than the note
of a host counts that is gone (`job.holding`), both one after the other.
"""

_BUSY_PAUSE_SECONDS = 0.5
_LEASH_POLL_SECONDS = 1.0

# How long a worker that closes waits for its tasks, within the time of Dask's own (30 s).
_CLOSING_SECONDS = 20.0
_CLOSING_POLL_SECONDS = 0.1

# Between two messages of the coordinator; a night with -v has thousands of lines a second.
_MOST_LINES = 20_000

# Runs that are remembered, so that a task which Dask begins late knows that its run has ended.
_MOST_RUNS = 100


class Crew:
    """The tasks of one run in this process."""

    def __init__(self, clock: Clock) -> None:
        self.stop = StopRequest()
        self.closes = False
        self.is_cut_off = False
        self._clock = clock
        self._heard = clock.monotonic()
        self._tasks = 0
        self._standings: list[Standing] = []
        self._lines: deque[Line] = deque()
        self._left_out = 0
        self._turn = threading.Lock()

    @property
    def is_at_work(self) -> bool:
        """True while a task of the run is in this process."""
        return self._tasks > 0

    @contextmanager
    def task(self) -> Iterator[None]:
        """Count a task as one of the crew in this block, and watch the leash while there is one."""
        with self._turn:
            self._tasks += 1
            if self._tasks == 1:
                self._heard = self._clock.monotonic()
                if self.is_cut_off:  # and is heard of again, because it got a task
                    self.stop, self.is_cut_off = StopRequest(), False
                threading.Thread(target=self._keep_to_leash, name="leash", daemon=True).start()
        try:
            yield
        finally:
            with self._turn:
                self._tasks -= 1

    @contextmanager
    def shown(self, standing: Standing) -> Iterator[None]:
        """Report a standing in this block."""
        self._standings.append(standing)
        try:
            yield
        finally:
            self._standings.remove(standing)

    def take(self, order: Order) -> Report:
        """Take a message of the coordinator; return what happened since the last one."""
        self._heard = self._clock.monotonic()
        if order.stop is not None:
            self.end(order.stop.reason, hurry=order.stop.hurry)
        with self._turn:
            lines, self._lines = self._lines, deque()
            left_out, self._left_out = self._left_out, 0
        now = self._clock.monotonic()
        progress = filter(None, (progress_of(one, now) for one in tuple(self._standings)))
        return Report(tuple(progress), tuple(lines), left_out)

    def end(self, reason: BulkSyncError, *, hurry: bool = False) -> None:
        """Let the tasks end as a push does that is stopped."""
        if not self.stop.is_set():
            self.stop.reason = reason
            self.stop.set()
        self.stop.hurry |= hurry

    def log(self, record: logging.LogRecord, job: str) -> None:
        """Keep a record of a job until the coordinator asks."""
        with self._turn:
            if len(self._lines) >= _MOST_LINES:
                self._left_out += 1
            else:
                self._lines.append(Line.of(record, job))

    def lines_of(self, job: str) -> tuple[Line, ...]:
        """Return the lines of a job that the coordinator hasn't had, and forget them."""
        with self._turn:
            found = tuple(line for line in self._lines if line.job == job)
            self._lines = deque(line for line in self._lines if line.job != job)
        return found

    def _keep_to_leash(self) -> None:
        pause = threading.Event()
        while self.is_at_work:
            silent = self._clock.monotonic() - self._heard
            if silent > LEASH_SECONDS:
                self.is_cut_off |= not self.stop.is_set()
                self.end(
                    Outage(
                        f"This worker heard nothing of the run for {silent:.0f} s: the scheduler, "
                        "the command or the way to them is gone. Run it again."
                    )
                )
            pause.wait(_LEASH_POLL_SECONDS)


_crews: dict[str, Crew] = {}
_crews_turn = threading.Lock()
_current: ContextVar[Crew | None] = ContextVar("current_crew", default=None)


def crew_of(run: str) -> Crew:
    """Return the crew of a run in this process."""
    with _crews_turn:
        found = _crews.pop(run, None) or Crew(SystemClock())
        _crews[run] = found  # the last one used is the last one in order
        for name in [*_crews][:-_MOST_RUNS]:
            if not _crews[name].is_at_work:
                del _crews[name]
        return found


class _Collector(logging.Handler):
    """Gives the records of tasks to their crews."""

    def emit(self, record: logging.LogRecord) -> None:
        crew = _current.get()
        if crew is not None:
            crew.log(record, together.current_job.get())


_collector = _Collector()


def _collect(level: int | None) -> None:
    """Collect log records from this level on."""
    if level is None:
        return
    logger = logging.getLogger("bulk_sync")
    if _collector not in logger.handlers:
        logger.addHandler(_collector)
        logger.setLevel(level)
    logger.setLevel(min(level, logger.level or level))


def progress_of(standing: Standing, now: float) -> bytes | None:
    """Return a job's progress, pickled; None if its thread changed it in the middle, or before it
    has begun.
    """
    tally = standing.tally
    progress = Progress(
        standing.job.name,
        standing.phase,
        standing.file,
        standing.rows,
        tally,
        tuple(standing.earlier),
        standing.to_come,
        standing.sending,
        now - standing.begun,
        now - standing.sending_since if tally is not None else 0.0,
        max(0.0, tally.waiting_until - now) if tally is not None else 0.0,
    )
    try:
        return pickle.dumps(progress)
    except RuntimeError:  # "dictionary changed size during iteration"
        return None


def run_job(version: str, payload: bytes) -> bytes:
    """Run a job until it has ended: the task. Takes a `Work` and returns an `Ended`, both pickled.

    Raises Reschedule when the worker closes, so that Dask runs it on another one; UsageError when
    the coordinator's version is another one.
    """
    if version != __version__:  # a worker that came after the versions were compared
        raise UsageError(
            f"A worker that came later has bulk-sync {__version__}, and the command {version}: "
            "install the same, start it again, and run this again."
        )
    worker = get_worker()
    secede()
    work: Work = pickle.loads(payload)  # noqa: S301 - from the coordinator, as all of Dask's tasks
    crew = crew_of(work.run)
    _collect(work.log_level)
    with crew.task():
        task = _Task(work, crew, worker.address, exchange_of(worker))
        result = task.run()
        if crew.closes and result.exit_code == StoppedEarly.exit_code:
            raise Reschedule
        bug = "" if result.bug is None else type(result.bug).__name__
        lines = crew.lines_of(work.job.name)
        cut_off = result.exit_code == Outage.exit_code and (crew.is_cut_off or task.is_cut_off)
    return pickle.dumps(Ended(replace(result, bug=None), bug, task.progress(), lines, cut_off))


class _Task:
    """A job in its task."""

    def __init__(self, work: Work, crew: Crew, worker: str, exchange: Exchange) -> None:
        self._work = work
        self._crew = crew
        self._worker = worker
        self._exchange = exchange
        self._clock = SystemClock()
        self._standing: Standing | None = None
        self._is_fenced_off = False
        self.is_cut_off = False

    def run(self) -> JobResult:
        """Run the job; again while another has it or its checkpoint, for a bounded time.

        The other one may be this very job, on a worker that Dask has given up.
        """
        clock = self._clock
        end = clock.monotonic() + self._work.seconds
        until = clock.monotonic() + BUSY_SECONDS
        while True:
            result = self._leased(end)
            waits = _is_busy(result) and not self._is_fenced_off
            if not waits or self._crew.stop.is_set() or clock.monotonic() > min(end, until):
                return result
            self._crew.stop.wait(_BUSY_PAUSE_SECONDS)

    def progress(self) -> bytes | None:
        """Return the last progress, pickled."""
        if self._standing is None:
            return None
        return progress_of(self._standing, self._clock.monotonic())

    def _leased(self, end: float) -> JobResult:
        job = self._work.job
        # Two runs of one jobs file have the same names, and two files may both have a job "north".
        name = f"{job.name} ({job.named[0]})" if job.named else job.name
        begun = self._clock.monotonic()
        try:
            with leased(self._exchange, name, self._worker) as lease:
                result = self._run(end, lease)
                if _is_busy(result):
                    lease.renew()  # a task that lost it doesn't wait for the checkpoint
                self._is_fenced_off, self.is_cut_off = lease.is_lost, lease.is_given_up
                return result
        except BulkSyncError as error:
            self.is_cut_off = isinstance(error, Outage)
            seconds = self._clock.monotonic() - begun
            return JobResult(job.name, error=error, seconds=seconds, begun=True)

    def _run(self, end: float, lease: Lease) -> JobResult:
        work, crew = self._work, self._crew

        def make() -> Ready:
            # Called first in the thread of the job, whose log lines belong to this crew, and whose
            # sheet means what `check` says of it on the coordinator's machine.
            _current.set(crew)
            home_zone.set(work.zone)
            ready = work.job.make()
            settings = ready.settings.changed(on_shared_storage=work.across_hosts)
            return replace(ready, settings=settings)

        job = replace(work.job, make=make)
        with ExitStack() as stack:

            def watch(standings: Sequence[Standing]) -> None:
                self._standing = standings[0]
                stack.enter_context(crew.shown(standings[0]))

            (result,) = together.run(
                (job,),
                at_once=1,
                end=end,
                clock=self._clock,
                stop=crew.stop,
                watch=watch,
                callbacks=Callbacks(
                    on_row=stack.enter_context(work.watching_rows()),
                    open_permits=lease.permits if work.across_hosts else None,
                    leases=(lease,),
                ),
                on_end=lambda _: None,
            )
        return result


def _is_busy(result: JobResult) -> bool:
    """Return whether nothing was done because another holds the checkpoint.

    One that was stopped in the middle of a commit keeps SQLite's lock, at times alone: some network
    folders share that one only.
    """
    parts = () if result.batch is None else result.batch.parts
    errors = [result.error, *(one.error for one in parts)]
    return not result.summaries and any(
        isinstance(one, CheckpointBusy | CheckpointLocked) for one in errors
    )


class CrewPlugin(WorkerPlugin):
    """Lets a worker take the messages of coordinators, and end its tasks before it closes."""

    name = "bulk-sync"
    idempotent = True  # two runs on one cluster share it

    def setup(self, worker: Worker) -> None:
        """Take messages in this worker."""
        worker.handlers[HANDLER] = exchange

    async def teardown(self, worker: Worker) -> None:  # noqa: ARG002 - Dask's interface
        """End all tasks, as a push ends that is stopped, and wait for them a bounded time."""
        for crew in tuple(_crews.values()):
            if crew.is_at_work:
                crew.closes = True
                crew.end(StoppedEarly("The worker closes."))
        with anyio.move_on_after(_CLOSING_SECONDS):
            while any(crew.is_at_work for crew in tuple(_crews.values())):
                await SystemClock().sleep(_CLOSING_POLL_SECONDS)


async def exchange(order: bytes) -> bytes:
    """Take a pickled `Order`; return a pickled `Report`."""
    message: Order = pickle.loads(order)  # noqa: S301 - from the coordinator, as Dask's own
    return pickle.dumps(crew_of(message.run).take(message))
