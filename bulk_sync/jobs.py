"""What can be done with a job from its checkpoint: status, report, purge."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from bulk_sync.clock import SystemClock
from bulk_sync.errors import UsageError
from bulk_sync.job.lock import held, is_held
from bulk_sync.job.store import Store
from bulk_sync.model.summaries import Summary
from bulk_sync.report.written.atomic import check_writable
from bulk_sync.report.written.lines import refuse_too_many, refuse_unknown_kind
from bulk_sync.run.outputs import (
    PURGED_NOTE,
    named_files,
    not_to_be_purged,
    page_of,
    refuse_one_name_for_two,
    summary_of_job,
    with_files,
    write_report_files,
    write_run_page,
)
from bulk_sync.settings.files import Files


def read_summary(files: Files) -> Summary:
    """Where a job stands, from its checkpoint alone; raises CheckpointError when there is none."""
    with Store.read(files.checkpoint) as store:
        return replace(summary_of_job(store, files), running=is_held(files.checkpoint))


def purge(files: Files) -> Summary:
    """Write the reports, then remove from the checkpoint what a finished job no longer needs.

    Raises UsageError while rows are pending, CheckpointBusy, CheckpointError, OutputError.
    """
    with held(files.checkpoint):
        with Store.read(files.checkpoint) as store:
            why_not = not_to_be_purged(store)
        if why_not is not None:
            raise UsageError(f"{files.checkpoint}: {why_not}")
        summary = _write_again(files, running=False)
        with Store.open(files.checkpoint) as store:
            store.database.purge()
        return replace(summary, notes=(*summary.notes, PURGED_NOTE))


def write_reports(files: Files) -> Summary:
    """Write the reports again from the checkpoint; raises CheckpointError, OutputError, UsageError."""
    return _write_again(files, running=is_held(files.checkpoint))


def _write_again(files: Files, *, running: bool) -> Summary:
    refuse_unknown_kind(files.results)
    with Store.read(files.checkpoint) as store:
        job, summary = store.database.job(), summary_of_job(store, files)
        refuse_one_name_for_two({"the input": Path(summary.input), **named_files(files)})
        refuse_too_many(files.results, summary.rows)
        for page in page_of(files):
            check_writable(page)
        notes = write_report_files(store, files, job.headers if job else (), summary)
        write_run_page(
            store,
            files,
            replace(with_files(summary, files, None, notes), running=running),
            SystemClock(),
        )
        return with_files(summary, files, None, notes)
