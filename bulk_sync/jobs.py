"""Status, results, reports and purge of a job, from its checkpoint alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from msgspec.structs import replace

from bulk_sync.clock import SystemClock
from bulk_sync.errors import UsageError
from bulk_sync.job.database import is_checkpoint
from bulk_sync.job.lock import held, is_held
from bulk_sync.job.store import Store
from bulk_sync.model.rows import Result
from bulk_sync.model.summaries import Summary
from bulk_sync.report.problems import full_message_of
from bulk_sync.report.written.lines import refuse_unknown_kind
from bulk_sync.run.ledgers import learn_all, place_of_ledger
from bulk_sync.run.outputs import (
    check_outputs,
    refuse_unfit_results,
    write_page_of_job,
    write_reports,
)
from bulk_sync.run.paths import Use, refuse_clashes, uses_of_job
from bulk_sync.run.purge import PURGED_NOTE, purge_ledger, why_not_to_purge
from bulk_sync.run.summary import summary_of_job, with_files
from bulk_sync.settings.files import Files
from bulk_sync.settings.option import Access


def read_summary(files: Files) -> Summary:
    """Return the summary of a job; raises CheckpointError when there is no checkpoint."""
    with Store.read(files.checkpoint) as store:
        return replace(summary_of_job(store, files), running=is_held(files.checkpoint))


def results(checkpoint: Path) -> Iterator[Result]:
    """Yield the result of each row of a job in input order; raises CheckpointError."""
    with Store.read(checkpoint) as store:
        for result in store.views.results():
            # Most rows were acknowledged, and need no sentence.
            if result.reasons or result.given_up or result.echoes:
                yield replace(result, message=full_message_of(result, in_doubt=False))
            else:
                yield result


def purge(files: Files, *, with_ledger: bool = False) -> Summary:
    """Write the reports, then remove cells and patches of a finished job from its checkpoint.

    `with_ledger` removes the values of the ledger that it shares with other jobs, too. Raises
    UsageError while rows are pending, CheckpointBusy, CheckpointError, OutputError.
    """
    with held(files.checkpoint):
        with Store.read(files.checkpoint) as store:
            why_not = why_not_to_purge(store)
        if why_not is not None:
            raise UsageError(f"{files.checkpoint}: {why_not}")
        summary = _write_again(files, running=False)
        ledger = place_of_ledger(files.checkpoint, None).path
        with ExitStack() as holding:
            if ledger is not None:  # opened without it, the job would move to a ledger of its own
                holding.enter_context(held(ledger, "--ledger"))
                if is_checkpoint(ledger):
                    learn_all(ledger)
            with Store.open(files.checkpoint, ledger) as store:
                store.database.purge()
            notes = (PURGED_NOTE, *([purge_ledger(ledger)] if with_ledger else []))
        return replace(summary, notes=(*summary.notes, *notes))


def write_again(files: Files) -> Summary:
    """Write the reports of a job again; raises CheckpointError, OutputError, UsageError."""
    return _write_again(files, running=is_held(files.checkpoint))


def _write_again(files: Files, *, running: bool) -> Summary:
    refuse_unknown_kind(files.results)
    with Store.read(files.checkpoint) as store:
        job, summary = store.database.job(), summary_of_job(store, files)
        sheet = Use("the input", Path(summary.input), Access.READ)
        refuse_clashes([sheet, *uses_of_job(files)])
        headers = job.headers if job else ()
        refuse_unfit_results(store, files, headers, summary.rows)
        check_outputs(files)
        notes = write_reports(store, files, headers, summary)
        summary = with_files(summary, files, None, notes)
        write_page_of_job(store, files, replace(summary, running=running), SystemClock())
        # The page is one of the files that exist now.
        return with_files(summary, files, None, ())
