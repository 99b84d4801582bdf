"""The state of jobs, each with its files, as their checkpoints have it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from bulk_sync.errors import BulkSyncError
from bulk_sync.model.rows import State
from bulk_sync.model.summaries import Summary, most_pressing


class Progress(StrEnum):
    """The progress of a file, or of a job: that of the file which needs most attention."""

    DAMAGED = "damaged"
    UNREADABLE = "unreadable"
    RUNNING = "running"
    PENDING = "pending"
    CHANGED = "changed since"
    NOT_BEGUN = "not begun"
    DONE = "done"
    EMPTY = "no files"


_ORDER = tuple(Progress)
# The exit codes of `status` that are no errors, the most pressing first: running, unsent, errors.
_CALM = (7, 6, 3)
_UNSENT = {Progress.RUNNING: 7, Progress.CHANGED: 6, Progress.NOT_BEGUN: 6}


class LastRun(Struct, frozen=True):
    """The last push of a file.

    `began` is of the last one that sent something; `ended` and `exit_code` are None while it runs,
    if it was cut off, and for one of an earlier version. `rows_per_second` is the mean of the last
    minute in which it sent.
    """

    began: str | None = None
    ended: str | None = None
    exit_code: int | None = None
    rows_per_second: float | None = None


class FileStatus(Struct, frozen=True):
    """The state of a file: the summary of its checkpoint, or the error if it can't be read."""

    input: str
    checkpoint: str
    progress: Progress
    summary: Summary | None = None
    last_run: LastRun = LastRun()
    error: BulkSyncError | None = None

    @property
    def exit_code(self) -> int:
        """The exit code of `status` for this file; 6 for one that was not pushed yet."""
        if self.error is not None:
            return self.error.exit_code
        if self.summary is not None:
            return self.summary.exit_code
        return _UNSENT.get(self.progress, 0)


class JobStatus(Struct, frozen=True):
    """The state of a job; `error` is why its files are unknown."""

    name: str
    files: tuple[FileStatus, ...] = ()
    unsettled: tuple[Path, ...] = ()
    error: BulkSyncError | None = None

    @property
    def progress(self) -> Progress:
        """The progress of the file that needs most attention."""
        if self.error is not None:
            return Progress.UNREADABLE
        found = {file.progress for file in self.files}
        if {Progress.DONE, Progress.NOT_BEGUN} <= found:
            found.add(Progress.PENDING)
        return next((one for one in _ORDER if one in found), Progress.EMPTY)

    @property
    def states(self) -> Counter[State]:
        """The rows by state, of the files that were begun and have not changed since."""
        states: Counter[State] = Counter()
        for summary in self._current:
            states.update(summary.states)
        return states

    @property
    def rows(self) -> int:
        """The rows of the files that were begun and have not changed since."""
        return sum(summary.rows for summary in self._current)

    @property
    def is_counted(self) -> bool:
        """False if no file was begun, or all of them have changed since."""
        return bool(self._current)

    @property
    def _current(self) -> list[Summary]:
        # The rows of a sheet that has changed say nothing of those that are to be sent.
        found = (file.summary for file in self.files if file.progress is not Progress.CHANGED)
        return [summary for summary in found if summary is not None]

    @property
    def last_run(self) -> LastRun:
        """The last run of its files: the one that runs, else the one that ended last."""
        runs = [file.last_run for file in self.files if file.progress is Progress.RUNNING]
        runs = runs or [file.last_run for file in self.files if file.summary is not None]
        return max(runs, key=lambda run: run.ended or run.began or "", default=LastRun())

    @property
    def exit_code(self) -> int:
        """The most pressing exit code of its files; 0 without files."""
        if self.error is not None:
            return self.error.exit_code
        return _most_pressing(file.exit_code for file in self.files)


class JobsStatus(Struct, frozen=True):
    """The state of all jobs of a jobs file."""

    jobs: tuple[JobStatus, ...]

    @property
    def states(self) -> Counter[State]:
        """The rows of all jobs by state."""
        return sum((job.states for job in self.jobs), Counter())

    @property
    def exit_code(self) -> int:
        """The most pressing exit code of the jobs."""
        return _most_pressing(job.exit_code for job in self.jobs)


def _most_pressing(codes: Iterable[int]) -> int:
    """Return the exit code for several: that of an error, then 7, 6, 3 and 0.

    Unlike at the end of a run, 7 comes before 6: what is pending may be of the run in progress.
    """
    found = set(codes)
    errors = found - {0, *_CALM}
    return most_pressing(errors) if errors else next((one for one in _CALM if one in found), 0)
