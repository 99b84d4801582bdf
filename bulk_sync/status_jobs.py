"""The state of all jobs of a jobs file, from checkpoints and sheets; nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bulk_sync import batch
from bulk_sync.clock import Clock, SystemClock
from bulk_sync.errors import BulkSyncError, CheckpointDamaged, InputError
from bulk_sync.job.lock import is_held
from bulk_sync.job.store import Store
from bulk_sync.jobs import read_status
from bulk_sync.model.job_status import FileStatus, JobsStatus, JobStatus, LastRun, Progress
from bulk_sync.model.rows import State
from bulk_sync.model.summaries import Summary
from bulk_sync.platforms import why_refused
from bulk_sync.run.dated import of_last_run
from bulk_sync.settings.files import Files
from bulk_sync.timeline import Run
from bulk_sync.together import Job

_RECENT_MS = 60_000


def read_jobs_status(jobs: Sequence[Job], clock: Clock) -> JobsStatus:
    """Return the state of the files that the jobs have now, also while a run holds them."""
    return JobsStatus(tuple(_job(job, clock) for job in jobs))


def _job(job: Job, clock: Clock) -> JobStatus:
    try:
        inputs = batch.inputs_of(job.named, 0.0, clock.now())
    except BulkSyncError as error:
        return JobStatus(job.name, error=error)
    return JobStatus(
        job.name, tuple(_file(job, file) for file in inputs.files), unsettled=inputs.unsettled
    )


def _file(job: Job, file: Path) -> FileStatus:
    outputs = job.outputs
    place = Files.of(file, out=outputs.out, checkpoint=outputs.checkpoint).checkpoint
    outputs = of_last_run(outputs, place, SystemClock())
    files = Files.of(file, out=outputs.out, results=outputs.results, checkpoint=outputs.checkpoint)
    name, checkpoint = str(file), str(files.checkpoint)
    try:
        if not files.checkpoint.exists():
            return FileStatus(name, checkpoint, Progress.NOT_BEGUN)
        with Store.read(files.checkpoint) as store:
            job_of_file = store.database.job()
            if job_of_file is None:  # a run that was cut off before it had read the sheet
                reading = is_held(files.checkpoint)
                return FileStatus(
                    name, checkpoint, Progress.RUNNING if reading else Progress.NOT_BEGUN
                )
            runs, ended = store.views.runs(), job_of_file.ended
        summary = read_status(files, file)
    except CheckpointDamaged as error:
        return FileStatus(name, checkpoint, Progress.DAMAGED, error=error)
    except InputError as error:
        return FileStatus(name, checkpoint, Progress.UNREADABLE, error=error)
    except OSError as error:
        unreadable = InputError(f"{checkpoint}: {why_refused(error)}.")
        return FileStatus(name, checkpoint, Progress.UNREADABLE, error=unreadable)
    last_run = LastRun(
        runs[-1].began if runs else None,
        None if ended is None or summary.running else ended.at,
        None if ended is None or summary.running else ended.exit_code,
        recent_rate(runs[-1]) if runs else None,
    )
    return FileStatus(name, checkpoint, _progress(summary), summary, last_run)


def _progress(summary: Summary) -> Progress:
    if summary.running:
        return Progress.RUNNING
    if summary.changed:
        return Progress.CHANGED
    return Progress.PENDING if summary.states.get(State.PENDING, 0) else Progress.DONE


def recent_rate(run: Run) -> float | None:
    """Return the rows per second of the last minute of a run."""
    last = run.points[-1]
    end = last.at_ms + last.covered_ms
    recent = [point for point in run.points if point.at_ms + point.covered_ms > end - _RECENT_MS]
    rows = sum(sum(point.counts.states.values()) for point in recent)
    covered = end - recent[0].at_ms
    return rows * 1000 / covered if covered else None
