"""Write the files of a run, and summarize it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from bulk_sync.address import SANDBOX_TARGET
from bulk_sync.clock import Clock
from bulk_sync.errors import BulkSyncError, InputError, UsageError
from bulk_sync.job.database import Job
from bulk_sync.job.store import Store
from bulk_sync.model.rows import ERROR_STATES, State, Tally
from bulk_sync.model.summaries import ReportFiles, Summary, Traffic
from bulk_sync.report.causes import problems_of
from bulk_sync.report.facts import summary_facts
from bulk_sync.report.written.atomic import digest, set_aside
from bulk_sync.report.written.failed import write_failed
from bulk_sync.report.written.results import write_results
from bulk_sync.report.written.undo import CLEARED, unknown_path, write_undo
from bulk_sync.run.sheet import wants_mark
from bulk_sync.settings.files import Files
from bulk_sync.settings.push import PushSettings
from bulk_sync.version import __version__


def undo_files(undo_file: Path | None) -> tuple[Path, ...]:
    """Return the undo file and that of the rows that can't be undone, where they are asked for."""
    return () if undo_file is None else (undo_file, unknown_path(undo_file))


def refuse_one_file_for_two(settings: PushSettings) -> None:
    """A report must not take the place of the sheet, the checkpoint or another report."""
    named = {"the input": settings.reading.input, **named_files(settings.files)}
    named |= {"--ledger": settings.history.ledger} if settings.history.ledger else {}
    undo = undo_files(settings.outputs.undo_file)
    named |= dict(zip(("--undo-file", "the rows that can't be undone"), undo, strict=False))
    refuse_one_name_for_two(named)


def named_files(files: Files) -> dict[str, Path]:
    """Return the files that must not share a path, by what they are called."""
    named = {
        "--results": files.results,
        "the failed rows": files.failed,
        "--checkpoint": files.checkpoint,
    }
    return named | ({"--page": files.page} if files.page else {})


def page_of(files: Files) -> tuple[Path, ...]:
    """Return the page, where one is asked for."""
    return () if files.page is None else (files.page,)


def refuse_one_name_for_two(named: Mapping[str, Path]) -> None:
    """Raise UsageError where two names are one path."""
    seen: dict[Path, str] = {}
    for name, path in named.items():
        other = seen.setdefault(path.resolve(), name)
        if other != name:
            raise UsageError(f"{path}: {other} and {name} can't be the same file; name another.")


PURGED_NOTE = (
    "Cells and patches were removed from the checkpoint; what became of each row stays there."
)


def not_to_be_purged(store: Store) -> str | None:
    """Why the checkpoint still needs what it holds, as a sentence; None when it doesn't."""
    counts = store.views.counts()
    pending = counts.get(State.PENDING, 0)
    if pending:
        return f"{pending:,} rows are pending, so nothing can be purged yet: push the sheet again first."
    return (
        None if counts else "nothing was staged in this checkpoint, so there is nothing to purge."
    )


def purged_or_why_not(store: Store) -> str:
    """Purge a finished job, or say why it can not be."""
    why_not = not_to_be_purged(store)
    if why_not is not None:
        return f"Not purged: {why_not}"
    store.database.purge()
    return PURGED_NOTE


def write_report_files(
    store: Store, files: Files, headers: Sequence[str], summary: Summary
) -> tuple[str, ...]:
    """Write results and failed rows; a failed file that somebody edited is kept under another name,
    as a note says.
    """
    write_results(files.results, store.views.lines(), summary_facts(summary))
    if ERROR_STATES.isdisjoint(summary.states) and not os.path.lexists(files.failed):
        return ()
    job = store.database.job()
    return write_failed_file(store, files, headers, job.meaning if job else "")


def write_run_page(store: Store, files: Files, summary: Summary, clock: Clock) -> None:
    """Write the page, if it is asked for: it tells of all runs of the job, as its charts do."""
    if files.page is None:
        return
    from bulk_sync.report.page.run import write_page

    job, runs = summary_of_job(store, files), store.views.runs()
    counted = [point.counts for run in runs for point in run.points]
    of_job = job.traffic
    # A job that an older version began has requests without a time line.
    complete = sum(counts.requests for counts in counted) >= of_job.requests
    traffic = replace(
        summary.traffic,
        requests=of_job.requests,
        # A row's first request in a later run is no retry, though its attempts say so.
        retries=sum(counts.retries for counts in counted) if complete else of_job.retries,
        throttled=of_job.throttled,
        seconds=of_job.seconds,
        rows_per_second=of_job.rows_per_second,
    )
    of_all = replace(summary, traffic=traffic)
    write_page(
        files.page, of_all, runs, store.views.results, made_at=clock.now(), version=__version__
    )


def with_files(
    summary: Summary, files: Files, undo_file: Path | None, notes: tuple[str, ...]
) -> Summary:
    """The summary, now that the files are written."""
    return replace(
        summary,
        files=ReportFiles(
            _if_there(files.results),
            _if_there(files.failed),
            str(files.checkpoint),
            page=_if_there(files.page) if files.page else None,
            undo=_if_there(undo_file) if undo_file else None,
        ),
        notes=(*summary.notes, *notes),
    )


def write_failed_file(
    store: Store, files: Files, headers: Sequence[str], meaning: str, generation: int | None = None
) -> tuple[str, ...]:
    """Write the rows to mend, of the job's sheet or of one that is refused."""
    if generation is None and store.views.purged():
        if not set(store.views.counts()) & ERROR_STATES:
            return ()
        return (
            f"{files.failed} was not written: the cells of its rows were removed by --purge. Push the sheet again.",
        )
    there = digest(files.failed)
    edited = there is not None and not store.database.wrote_report(files.failed, there)
    kept = set_aside(files.failed) if edited else None
    rows = store.views.results(ERROR_STATES, generation)
    before = partial(store.database.note_report, files.failed)
    write_failed(files.failed, headers, rows, before, marked=wants_mark(meaning))
    return (
        (f"{files.failed} was edited since it was written; the edited file is now {kept}.",)
        if kept
        else ()
    )


def write_undo_file(undo_file: Path | None, store: Store) -> tuple[str, ...]:
    """Write the sheet that would put earlier values back, if it is asked for; a note tells what it
    can't.
    """
    if undo_file is None:
        return ()
    if store.views.purged():
        return (f"{undo_file} was not written: what the rows were was removed by --purge.",)
    undo = write_undo(undo_file, store.views.sent)
    notes = [f"{undo_file}: a push of it puts back earlier values of {undo.rows:,} rows."]
    if undo.clears:
        notes.append(f"Some were cleared before: push it with --clear {CLEARED}.")
    if undo.unknown:
        notes.append(
            f"Of {undo.unknown:,} rows nothing earlier is known, so they can't be put back: "
            f"{unknown_path(undo_file)}."
        )
    return (" ".join(notes),)


def summary_of_job(store: Store, files: Files) -> Summary:
    """Return the summary of all runs of a job."""
    job = store.database.job()
    if job is None:
        raise InputError(
            f"{files.checkpoint}: nothing was staged in this checkpoint, so nothing was sent."
        )
    counts = store.views.counts()
    any_bad = not ERROR_STATES.isdisjoint(counts)
    problems, causes = problems_of(store.views.bad_rows()) if any_bad else ((), ())
    requests, retries, throttled, in_flight = store.views.totals()
    return Summary(
        input=job.input,
        base_url=job.base_url,
        rows=sum(counts.values()),
        states=counts,
        problems=problems,
        causes=causes,
        in_flight=in_flight,
        traffic=Traffic(
            requests,
            retries,
            throttled,
            job.seconds,
            rows_per_second=counts.get(State.UPDATED, 0) / job.seconds if job.seconds else 0.0,
        ),
        files=ReportFiles(_if_there(files.results), _if_there(files.failed), str(files.checkpoint)),
        notes=_kind_of_job(job),
    )


def summary_of_run(
    settings: PushSettings,
    store: Store,
    files: Files,
    tally: Tally,
    seconds: float,
    stopped: BulkSyncError | None,
    notes: tuple[str, ...],
) -> Summary:
    """Return the summary of the run that just ended."""
    summary = summary_of_job(store, files)
    return replace(
        summary,
        input=str(settings.reading.input),
        traffic=_traffic(tally, seconds),
        notes=(*summary.notes, *notes, *tally.notes.values()),
        stopped=stopped,
    )


def _traffic(tally: Tally, seconds: float) -> Traffic:
    used = None
    if tally.limit and seconds and tally.requests:
        used = tally.requests / (seconds * tally.limit)
    return Traffic(
        tally.requests,
        tally.retries,
        tally.throttled,
        seconds,
        rows_per_second=tally.done / seconds if tally.done and seconds else 0.0,
        throttled_seconds=tally.throttled_seconds,
        statuses=dict(sorted(tally.statuses.items())),
        limit=tally.limit,
        source=tally.source,
        utilisation=used,
    )


def _kind_of_job(job: Job) -> tuple[str, ...]:
    """What a reader of the counts must know first."""
    notes = []
    if job.base_url == SANDBOX_TARGET:
        notes.append("Rehearsal: sent to a sandbox on this machine, nothing reached North.")
    return (*notes, *partial_note(partial=job.partial))


def partial_note(*, partial: bool) -> tuple[str, ...]:
    """Return the note of a run with --limit."""
    return ("Only the first rows were taken, as --limit says.",) if partial else ()


def _if_there(path: Path) -> str | None:
    return str(path) if path.exists() else None
