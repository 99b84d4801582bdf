"""The files of a job whose worker is out of reach, as their checkpoints have them."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path

from bulk_sync import batch
from bulk_sync.clock import SystemClock
from bulk_sync.errors import BulkSyncError
from bulk_sync.job.store import Store
from bulk_sync.jobs import read_summary
from bulk_sync.model.rows import State
from bulk_sync.model.summaries import Batch, Part
from bulk_sync.run.dated import of_last_run
from bulk_sync.settings.files import Files
from bulk_sync.together import Job, Standing


def recorded(standing: Standing, why: BulkSyncError, now: datetime) -> Batch | None:
    """Return the files of a job with the counts of their checkpoints; None if none has any.

    A checkpoint counts if it is of the sheet as it is now, or if the job was seen to send from it:
    another one may be of an earlier sheet. `why` is the error of the files that are not done.
    """
    try:
        files = batch.inputs_of(standing.job.named, 0.0, now).files
    except BulkSyncError:
        files = ()
    current = Path(standing.file)
    if standing.tally is not None and current not in files:  # perhaps in an archive by now
        files = (*files, current)
    parts = tuple(_part(standing, file, why) for file in files)
    return Batch(parts, ()) if any(part.summary for part in parts) else None


def _part(standing: Standing, file: Path, why: BulkSyncError) -> Part:
    is_current = str(file) == standing.file
    files = _files(standing.job, file)
    try:
        if not (is_current and standing.tally is not None) and not _is_of_sheet(files):
            return _without_summary(standing, file, why)
        summary = read_summary(files)
    except (BulkSyncError, OSError):
        return _without_summary(standing, file, why)
    is_done = not summary.states.get(State.PENDING, 0)
    return Part(str(file), summary, None if is_done else why)


def _without_summary(standing: Standing, file: Path, why: BulkSyncError) -> Part:
    if str(file) == standing.file:
        return Part(str(file), error=why)
    return Part(str(file), unsent=standing.to_come.get(str(file)))


def _files(job: Job, file: Path) -> Files:
    outputs = job.outputs
    checkpoint = Files.of(file, out=outputs.out, checkpoint=outputs.checkpoint).checkpoint
    outputs = of_last_run(outputs, checkpoint, SystemClock())
    return Files.of(file, out=outputs.out, results=outputs.results, checkpoint=outputs.checkpoint)


def _is_of_sheet(files: Files) -> bool:
    """Return whether a checkpoint has a job of the sheet's content; raises OSError."""
    if not files.checkpoint.exists():
        return False
    with Store.read(files.checkpoint) as store:
        job = store.database.job()
    if job is None:
        return False
    with Path(job.input).open("rb") as sheet:
        return hashlib.file_digest(sheet, "sha256").hexdigest() == job.input_digest
