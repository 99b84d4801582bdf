"""The check of jobs that would run at the same time."""

from __future__ import annotations

import math
from typing import Literal

from msgspec import Struct

from bulk_sync.errors import BulkSyncError
from bulk_sync.model.schedule import Expected
from bulk_sync.model.summaries import CheckedBatch, CheckSummary, most_pressing

Key = Literal["read", "not asked", "missing", "wrong"]
"""The key of a checked job. A command or a keychain is not asked for it, because it may ask the
user; it is missing where the environment has none, and wrong where its file can't be used.
"""


class CheckedJob(Struct, frozen=True):
    """The check of a job: its files, or the error that keeps them from being read.

    `key_error` is why its key file can't be used. `expected` is its course among the other jobs.
    """

    name: str
    batch: CheckedBatch | None = None
    error: BulkSyncError | None = None
    key: Key = "read"
    key_error: BulkSyncError | None = None
    expected: Expected = Expected(0.0, 0.0, math.inf, 0, known=True)

    @property
    def exit_code(self) -> int:
        """The exit code with which a run of this job would begin."""
        codes = [error.exit_code for error in (self.error, self.key_error) if error is not None]
        return most_pressing([*codes, 0 if self.batch is None else self.batch.exit_code])

    @property
    def is_usable(self) -> bool:
        """True unless its settings or all of its files can't be used, whatever its key is."""
        if self.batch is None or self.error is not None:
            return False
        parts = self.batch.parts
        return not parts or any(one.stopped is None for one in self.summaries)

    @property
    def is_bound(self) -> bool:
        """True if it is usable and has a bound, its own or that of the run."""
        return self.is_usable and math.isfinite(self.expected.window)

    @property
    def suffices(self) -> bool | None:
        """True if its bounds leave enough time; None if that is unknown, or it has none."""
        return self.expected.suffices if self.is_bound else None

    @property
    def pending(self) -> int | None:
        """The requests that its bounds leave no time for; None where `suffices` is None."""
        return None if self.suffices is None else self.expected.pending

    @property
    def summaries(self) -> tuple[CheckSummary, ...]:
        """The summaries of the files that could be read."""
        parts = () if self.batch is None else self.batch.parts
        return tuple(part.summary for part in parts if part.summary is not None)

    @property
    def requests(self) -> int:
        """The requests of a run, retries apart; also where its key is still to be corrected."""
        if self.error is not None:
            return 0
        return sum(one.requests for one in self.summaries if one.stopped is None)

    @property
    def seconds(self) -> float | None:
        """The time from the beginning of the run until the job is done.

        None if it is unknown, or if the job sends nothing because it isn't usable.
        """
        return self.expected.needs if self.is_usable and self.expected.known else None


class CheckedJobs(Struct, frozen=True):
    """The check of all jobs of a run; `window_seconds` is the time of the whole run."""

    jobs: tuple[CheckedJob, ...]
    window_seconds: float | None = None

    @property
    def requests(self) -> int:
        """The requests of all jobs."""
        return sum(job.requests for job in self.jobs)

    @property
    def is_hindered(self) -> bool:
        """True if nothing can be sent because jobs aren't usable."""
        return not self.requests and not all(job.is_usable for job in self.jobs)

    @property
    def seconds(self) -> float | None:
        """The time until all jobs are done.

        None if it is unknown for one of them, or if nothing can be sent.
        """
        if self.is_hindered:
            return None
        found = [job.seconds for job in self.jobs if job.requests]
        known = [one for one in found if one is not None]
        return max(known, default=0.0) if len(known) == len(found) else None

    @property
    def bound(self) -> tuple[CheckedJob, ...]:
        """The usable jobs that have a bound."""
        return tuple(job for job in self.jobs if job.is_bound)

    @property
    def has_window(self) -> bool:
        """True if the run has a bound, or one of its jobs."""
        return any(math.isfinite(job.expected.window) for job in self.jobs)

    @property
    def suffices(self) -> bool | None:
        """True if no bound ends a job; None if that is unknown, or no usable job has one."""
        found = [job.suffices for job in self.bound]
        if False in found:
            return False
        return None if None in found or not found else True

    @property
    def pending(self) -> int | None:
        """The requests that bounds leave no time for; None where `suffices` is None."""
        if self.suffices is None:
            return None
        return sum(job.pending or 0 for job in self.bound)

    @property
    def exit_code(self) -> int:
        """The most pressing exit code of the jobs."""
        return most_pressing(job.exit_code for job in self.jobs)
