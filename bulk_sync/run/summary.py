"""Summarize a run, or all runs of a job, from the checkpoint."""

from __future__ import annotations

import math
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from bulk_sync.address import SANDBOX_TARGET
from bulk_sync.errors import BulkSyncError, InputError
from bulk_sync.job.database import Job
from bulk_sync.job.store import Store
from bulk_sync.model.rows import ERROR_STATES, State, Tally
from bulk_sync.model.summaries import ReportFiles, Summary, Traffic
from bulk_sync.report.causes import problems_of
from bulk_sync.report.words import rate
from bulk_sync.settings.files import Files
from bulk_sync.settings.sending import MOST_WORKERS
from bulk_sync.wording import counted

# Rows that a summary names of those that came back with another value than was sent.
_ECHOES_NAMED = 12

# A shorter run is mostly the search for a rate.
_NOTED_FROM_SECONDS = 20.0
# The part of the requests with which all workers were busy, from which on that was the reason, and
# the part of a limit that counts as all of it.
_MOSTLY, _USED_UP = 0.5, 0.8

_NOT_SENT = (State.INVALID, State.SUPERSEDED, State.UNCHANGED, State.PENDING)


class Sent(Struct, frozen=True):
    """The result of sending: its seconds, the reason if it stopped early, notes for the user."""

    seconds: float
    stopped: BulkSyncError | None = None
    notes: tuple[str, ...] = ()


def summary_of_job(store: Store, files: Files) -> Summary:
    """Return the summary of all runs of a job; raises InputError when nothing was staged."""
    job = store.database.job()
    if job is None:
        raise InputError(
            f"{files.checkpoint}: nothing was staged in this checkpoint, so nothing was sent."
        )
    counts = store.views.counts()
    any_bad = not ERROR_STATES.isdisjoint(counts)
    problems, causes = problems_of(store.views.bad_rows()) if any_bad else ((), ())
    totals = store.views.totals()
    left_out = store.views.left_out() if job.partial else 0
    decided = sum(count for state, count in counts.items() if state not in _NOT_SENT)
    # The job counts the seconds of runs that ended; the time line has those of killed ones, too,
    # though not of all runs.
    seconds = max(job.seconds, store.views.seconds_sent())
    limit, source = store.views.last_limit()
    return Summary(
        input=job.input,
        base_url=job.base_url,
        rows=sum(counts.values()),
        states=counts,
        problems=problems,
        causes=causes,
        in_flight=totals.in_doubt,
        traffic=Traffic(
            totals.requests,
            totals.retries,
            totals.throttled,
            seconds,
            rows_per_second=decided / seconds if seconds else 0.0,
            limit=limit,
            source=source,
            decided=decided,
        ),
        files=_files(files, None, any_bad=any_bad),
        notes=_notes_on(job, left_out),
        left_out=left_out,
        digest=job.input_digest,
        command=job.command,
        team=job.team,
        echo_differs=totals.echo_differs,
        echoes=store.views.echoed(_ECHOES_NAMED) if totals.echo_differs else (),
    )


def summary_of_run(
    store: Store, files: Files, source: Path, tally: Tally, sent: Sent, notes: tuple[str, ...]
) -> Summary:
    """Return the summary of the run that just ended; `source` is its sheet."""
    summary = summary_of_job(store, files)
    return replace(
        summary,
        input=str(source),
        traffic=traffic_of(tally, sent.seconds),
        notes=(*summary.notes, *notes, *sent.notes, *tally.notes.values()),
        stopped=sent.stopped,
        team=summary.team or tally.team,
    )


def traffic_of(tally: Tally, seconds: float) -> Traffic:
    """Return the requests of a run that sent for this long."""
    # The share of the requests that the limit would have allowed in this time.
    used = None
    if tally.limit and seconds and tally.requests:
        # A run may spend what earlier ones left of it.
        used = min(1.0, tally.requests / (seconds * tally.limit))
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
        allowances=tally.allowances,
        decided=tally.done,
    )


def note_on_workers(tally: Tally, seconds: float, workers: int) -> tuple[str, ...]:
    """Return the note that with more requests in flight more of the limit could have been used."""
    if tally.limit is None or seconds < _NOTED_FROM_SECONDS or workers >= MOST_WORKERS:
        return ()
    used = tally.requests / (seconds * tally.limit)
    if tally.all_busy < _MOSTLY * tally.requests or not 0 < used < _USED_UP:
        return ()
    enough = min(MOST_WORKERS, math.ceil(workers / used))
    text = (
        f"The limit of {rate(tally.limit)} was not used up, because --workers allows only "
        f"{counted(workers, 'request')} in flight. With --workers {enough} it may be."
    )
    return (text,)


def with_files(
    summary: Summary, files: Files, undo_file: Path | None, notes: tuple[str, ...]
) -> Summary:
    """Return the summary with the files that exist now, and further notes."""
    any_bad = not ERROR_STATES.isdisjoint(summary.states)
    found = _files(files, undo_file, any_bad=any_bad)
    return replace(summary, files=found, notes=(*summary.notes, *notes))


def note_on_choice(left_out: int) -> tuple[str, ...]:
    """Return the note on rows that --rows, --where or --limit left out."""
    if not left_out:
        return ()
    text = (
        f"Left out by choice: {counted(left_out, 'row')} (--rows, --where, --limit). A push "
        "without the option sends them, apart from those that are done."
    )
    return (text,)


def _notes_on(job: Job, left_out: int) -> tuple[str, ...]:
    """Return notes without which the counts would mislead."""
    rehearsal = job.base_url == SANDBOX_TARGET
    text = "Rehearsal: sent to a sandbox on this machine, nothing reached North."
    return (*((text,) if rehearsal else ()), *note_on_choice(left_out))


def _files(files: Files, undo_file: Path | None, *, any_bad: bool) -> ReportFiles:
    return ReportFiles(
        _if_exists(files.results),
        # Without failed rows, a file of that name is another one.
        _if_exists(files.failed) if any_bad else None,
        str(files.checkpoint),
        page=_if_exists(files.page) if files.page else None,
        undo=_if_exists(undo_file) if undo_file else None,
    )


def _if_exists(path: Path) -> str | None:
    return str(path) if path.exists() else None
