"""Push the files of several jobs at the same time, each job in a thread, with its team's key.

Invariants:

1. A job touches no other one. Whatever ends it, the others go on; two jobs that would share a
   checkpoint are refused before one begins.
2. The files of a job are pushed one after the other; see `batch`.
3. Jobs of one key share its limit, as processes on this host do; see `run.shared_limit`.
4. At most `at_once` jobs run. The others begin in their order, each when one ends.
5. After a stop no job begins, and those that run end as a push does: requests in flight end, the
   other rows stay pending.
6. Every job has a result, also when its settings are wrong or the program has a bug.
7. All jobs send in one event loop, and take turns at the processor otherwise; see `run.loops`.
"""

from __future__ import annotations

import logging
import math
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from bulk_sync import batch
from bulk_sync.clock import Clock
from bulk_sync.errors import BulkSyncError, UsageError
from bulk_sync.model.rows import State, Tally
from bulk_sync.model.summaries import Batch, JobResult, Summary
from bulk_sync.open_files import allow_files_of_jobs
from bulk_sync.pipeline import push_in_run
from bulk_sync.run.follow import AboutToSend, Callbacks, StopRequest
from bulk_sync.run.loops import CommonLoop, common_loop
from bulk_sync.run.rows import Judgement
from bulk_sync.run.send import End, ending_at, seconds_left
from bulk_sync.run.several import Judged
from bulk_sync.run.sheet import OnRows
from bulk_sync.settings.files import Files
from bulk_sync.settings.inbox import Inbox
from bulk_sync.settings.outputs import Outputs
from bulk_sync.settings.push import PushSettings

_log = logging.getLogger("bulk_sync.run")

# How often the main thread looks for signals while jobs run.
_SIGNAL_POLL_SECONDS = 0.2

current_job: ContextVar[str] = ContextVar("current_job", default="")
"""The name of the job that this thread, or a task of it, works for."""


class Ready(Struct, frozen=True):
    """The settings of a job: those of its push, with the key, and of its folders."""

    settings: PushSettings
    inbox: Inbox


class Job(Struct, frozen=True):
    """A job as the user named it.

    `make` validates its settings and reads its key, and raises BulkSyncError. It is called when
    the job begins, so that a missing key ends this job alone. Nothing is sent from `finish_at` on,
    an instant of the clock of the run: a time of day would be tomorrow's for a job that has to wait
    until it has passed. With `asks`, `make` may ask the user.
    """

    name: str
    named: tuple[Path, ...]
    outputs: Outputs
    make: Callable[[], Ready]
    finish_at: float = math.inf
    asks: bool = False


class Phase(Enum):
    """The phase that a job is in."""

    WAITING = "waiting"
    READING = "reading"
    SENDING = "sending"
    ENDED = "ended"
    LEFT = "not started"


@dataclass
class Standing:
    """A job on its way; other threads may read it at any moment.

    `rows` were read of the current file, and `tally` counts what is sent of it. `to_come` has the
    rows of the files that are still to be sent; a new mapping takes its place when one begins.
    `begun`, `sending_since` and `ended` are instants of the monotonic clock.
    """

    job: Job
    phase: Phase = Phase.WAITING
    file: str = ""
    rows: int = 0
    tally: Tally | None = None
    sending: AboutToSend | None = None
    begun: float = 0.0
    sending_since: float = 0.0
    ended: float = 0.0
    result: JobResult | None = None
    earlier: list[Tally] = field(default_factory=list)
    to_come: Mapping[str, int] = field(default_factory=dict)

    def take_file(self) -> int:
        """Take the current file from those to come; return its rows, 0 if they are unknown."""
        rows = self.to_come.get(self.file, 0)
        self.to_come = {file: n for file, n in self.to_come.items() if file != self.file}
        return rows


def refuse_shared_checkpoints(jobs: Sequence[Job], clock: Clock) -> None:
    """Refuse jobs that would push one sheet, or use one checkpoint; raises UsageError.

    A folder that can't be read is its job's own error, later.
    """
    seen: dict[Path, tuple[str, Path]] = {}
    for job, file, checkpoint in _files_of(jobs, clock):
        if str(file) == "-":
            raise UsageError(f"{job.name}: a job reads files, not standard input")
        for path in (checkpoint, file):
            name, other = seen.setdefault(path.resolve(), (job.name, file))
            if name != job.name:
                raise UsageError(
                    f"{file}: the jobs {name} and {job.name} would both push it"
                    if other == file
                    else f"the jobs {name} ({other}) and {job.name} ({file}) would use one "
                    f"checkpoint, {checkpoint}: give one of them another folder with out"
                )


def folders_of(jobs: Sequence[Job], clock: Clock) -> tuple[Path, ...]:
    """Return the folders of the jobs' checkpoints, in the order of the jobs."""
    return tuple(dict.fromkeys(path.parent for _, _, path in _files_of(jobs, clock)))


def _files_of(jobs: Sequence[Job], clock: Clock) -> Iterator[tuple[Job, Path, Path]]:
    """Yield the files of jobs, each with its checkpoint."""
    for job in jobs:
        try:
            files = batch.inputs_of(job.named, 0.0, clock.now()).files
        except BulkSyncError:
            continue
        outputs = job.outputs
        for file in files:
            yield (
                job,
                file,
                Files.of(file, out=outputs.out, checkpoint=outputs.checkpoint).checkpoint,
            )


def run(
    jobs: Sequence[Job],
    *,
    at_once: int,
    end: float,
    clock: Clock,
    stop: StopRequest,
    watch: Callable[[Sequence[Standing]], None],
    callbacks: Callbacks,
    on_end: Callable[[Standing], None],
) -> tuple[JobResult, ...]:
    """Push all jobs; return their results in the order of the jobs.

    None sends after `end`, an instant of the clock. `watch` is called once with the standings
    before the first job begins, `on_end` in the job's thread when it has ended. `callbacks` are
    those of each push, but for `watch`, `on_rows` and `stop`. Raises UsageError.
    """
    refuse_shared_checkpoints(jobs, clock)
    standings = [Standing(job) for job in jobs]
    watch(standings)
    at_once = min(at_once, len(jobs)) or 1
    allow_files_of_jobs(at_once)
    with (
        common_loop(at_once, os.cpu_count() or 1, clock) as new_loop,
        ThreadPoolExecutor(at_once, "job") as threads,
    ):
        common = _Common(end, clock, stop, callbacks, on_end, new_loop)
        working = [threads.submit(_run_one, one, common) for one in standings]
        # The kernel may give a second signal to another thread. Python handles it in this one, and
        # a wait without an end would not notice.
        while wait(working, timeout=_SIGNAL_POLL_SECONDS).not_done:
            pass
    for thread in working:
        thread.result()
    return tuple(one.result or JobResult(one.job.name) for one in standings)


@dataclass(frozen=True)
class _Common:
    """The arguments of `run`, and other things that all jobs have in common.

    A key command may ask the user, who answers one question at a time: hence the lock.
    """

    end: float
    clock: Clock
    stop: StopRequest
    callbacks: Callbacks
    on_end: Callable[[Standing], None]
    new_loop: Callable[[], CommonLoop]
    keys: threading.Lock = field(default_factory=threading.Lock)


def _run_one(standing: Standing, common: _Common) -> None:
    name = standing.job.name
    if common.stop.is_set():
        standing.phase, standing.result = Phase.LEFT, JobResult(name)
        return
    current_job.set(name)
    clock, loop = common.clock, common.new_loop()
    standing.begun = clock.monotonic()
    ended: Batch | None = None
    error: BulkSyncError | None = None
    bug: Exception | None = None
    try:
        # A question that nobody answers must not hold up the jobs that ask none.
        with common.keys if standing.job.asks else nullcontext():
            ready = standing.job.make()
        own_end = clock.monotonic() + seconds_left(ready.settings.stopping, clock)
        own_end = min(own_end, standing.job.finish_at, common.end)
        ready = replace(ready, settings=ending_at(ready.settings, own_end, clock))
        with loop.turn():
            followed = _followed(standing, common, loop)
            followed.on_rows(0)  # ends it when a stop was requested while it waited
            standing.phase = Phase.READING
            ended = _push(standing, ready, clock, followed)
    except BulkSyncError as caught:
        error = caught
    except Exception as caught:  # noqa: BLE001 - kept, so that the other jobs go on
        _log.exception("a bug in bulk-sync", extra={"event": "end", "exit_code": 1})
        bug = caught
    standing.ended = clock.monotonic()
    standing.result = JobResult(
        name, ended, error, bug, seconds=standing.ended - standing.begun, begun=True
    )
    standing.phase = Phase.ENDED
    common.on_end(standing)


def _followed(standing: Standing, common: _Common, loop: CommonLoop) -> Callbacks:
    """Return the callbacks of a job's pushes, which keep its standing."""
    clock, stop, callbacks = common.clock, common.stop, common.callbacks

    @contextmanager
    def watch(tally: Tally) -> Iterator[None]:
        standing.sending_since = clock.monotonic()
        standing.take_file()
        standing.tally, standing.phase = tally, Phase.SENDING
        try:
            yield
        finally:
            standing.earlier.append(tally)
            standing.tally, standing.phase = None, Phase.READING

    def on_rows(rows: int) -> None:
        standing.rows = rows
        if stop.is_set():  # nothing of this sheet was sent yet
            raise stop.reason

    def on_sending(about: AboutToSend) -> None:
        standing.sending = about
        callbacks.on_sending(about)

    return replace(
        callbacks, watch=watch, on_rows=on_rows, stop=stop, on_sending=on_sending, loop=loop
    )


def _push(standing: Standing, ready: Ready, clock: Clock, callbacks: Callbacks) -> Batch:
    def push_it(one: PushSettings, judgement: Judgement | None) -> Summary:
        standing.file, standing.rows = str(one.reading.input), 0
        decided = 0
        try:
            summary = push_in_run(one, judgement, callbacks)
            decided = summary.rows - summary.states.get(State.PENDING, 0)
        finally:
            # Nothing was sent of it, or its tally would have taken its place.
            if rows := standing.take_file():
                standing.earlier.append(Tally(total=rows, settled_before=decided))
        return summary

    def all_read(sheets: Sequence[tuple[PushSettings, Judged]], end: End) -> End:
        standing.to_come = {
            str(one.reading.input): judged.rows for one, judged in sheets if judged.rows
        }
        return end

    @contextmanager
    def reading(name: str) -> Iterator[OnRows]:
        standing.file = name
        yield callbacks.on_rows

    return batch.run(
        standing.job.named, ready.settings, ready.inbox, push_it, clock, reading, all_read
    )
