"""Messages between the coordinator and the workers of a cluster, pickled as Dask's own are.

Instants don't cross: each process has its own clock, so that durations are sent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from msgspec import Struct

from bulk_sync.errors import BulkSyncError, Interrupted, StoppedEarly
from bulk_sync.model.rows import Tally
from bulk_sync.model.summaries import JobResult
from bulk_sync.run.follow import AboutToSend, OnRow
from bulk_sync.together import Job, Phase

LEASH_SECONDS = 20.0
"""How long a task goes on without a message of its coordinator.

Without a word of the scheduler it ends sooner, because it gets no permits: see `leases`.
"""

HANDLER = "bulk_sync_exchange"
"""The operation of a worker that takes an `Order` and returns a `Report`."""


class Work(Struct, frozen=True):
    """A job for a worker, as it is handed to Dask.

    `run` is the id of the whole run, `seconds` what is left of its time. `log_level` is None if
    nobody reads the log. `across_hosts` as in `terms.Place`.
    `watching_rows` is called on the worker for the callback of decided rows. `zone` is the name of
    the coordinator's time zone, if it has one: that of a sheet which names none.
    """

    run: str
    job: Job
    seconds: float
    log_level: int | None
    across_hosts: bool
    watching_rows: Callable[[], AbstractContextManager[OnRow | None]]
    zone: str | None


class Stop(Struct, frozen=True):
    """Why the tasks of a run have to end; `number` is that of a signal, or None."""

    text: str
    number: int | None
    hurry: bool

    @classmethod
    def of(cls, reason: BulkSyncError, *, hurry: bool) -> Stop:
        """Return the message for a reason to stop."""
        number = reason.exit_code - 128 if isinstance(reason, Interrupted) else None
        return cls(str(reason), number, hurry)

    @property
    def reason(self) -> BulkSyncError:
        """The error that the tasks end with."""
        return StoppedEarly(self.text) if self.number is None else Interrupted(self.number)


class Order(Struct, frozen=True):
    """A message to a worker: this run goes on, or has to stop."""

    run: str
    stop: Stop | None


_OF_EVERY_RECORD = frozenset(vars(logging.makeLogRecord({})))


class Line(Struct, frozen=True):
    """A log record of a job."""

    job: str
    logger: str
    level: int
    message: str
    created: float
    process: int | None
    fields: Mapping[str, Any]

    @classmethod
    def of(cls, record: logging.LogRecord, job: str) -> Line:
        """Return a record of a job, with the fields that bulk-sync gave it."""
        fields = {
            name: value
            for name, value in vars(record).items()
            if name not in _OF_EVERY_RECORD and isinstance(value, str | int | float)
        }
        return cls(
            job,
            record.name,
            record.levelno,
            record.getMessage(),
            record.created,
            record.process,
            fields,
        )

    def record(self) -> logging.LogRecord:
        """Return the record for the handlers of this process."""
        record = logging.LogRecord(self.logger, self.level, "", 0, self.message, None, None)
        record.created, record.process = self.created, self.process
        vars(record).update(self.fields)
        return record


class Progress(Struct, frozen=True):
    """A job on its way, as `together.Standing` has it.

    `begun` and `sending` are seconds since then, `waits` those for which nothing is sent.
    """

    job: str
    phase: Phase
    file: str
    rows: int
    tally: Tally | None
    earlier: tuple[Tally, ...]
    to_come: Mapping[str, int]
    about: AboutToSend | None
    begun: float
    sending: float
    waits: float


class Report(Struct, frozen=True):
    """The answer of a worker: the jobs of the run that are here, each pickled, and log lines.

    `left_out` counts the lines that didn't fit.
    """

    progress: tuple[bytes, ...] = ()
    lines: tuple[Line, ...] = ()
    left_out: int = 0


class Ended(Struct, frozen=True):
    """The result of a task. A bug is named by its type, because not every exception travels.

    `cut_off` if it ended because it heard nothing of its scheduler or coordinator for a while.
    """

    result: JobResult
    bug: str
    progress: bytes | None
    lines: tuple[Line, ...]
    cut_off: bool = False
