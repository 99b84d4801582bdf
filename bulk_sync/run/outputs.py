"""Write the files of a run, and refuse names by which one would overwrite another."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec.structs import replace

from bulk_sync.clock import Clock
from bulk_sync.errors import NameTaken
from bulk_sync.job.store import Store
from bulk_sync.model.rows import ERROR_STATES, State
from bulk_sync.model.summaries import Summary
from bulk_sync.recognise import Output, may_be_own, may_replace
from bulk_sync.report.facts import summary_facts
from bulk_sync.report.written.atomic import check_writable, digest, remove, set_aside
from bulk_sync.report.written.failed import write_failed
from bulk_sync.report.written.lines import refuse_too_many, refuse_unknown_kind
from bulk_sync.report.written.results import write_results
from bulk_sync.report.written.undo import unknown_path, write_undo
from bulk_sync.report.written.with_cells import (
    SheetOfJob,
    refuse_what_no_workbook_holds,
    write_results_with_cells,
)
from bulk_sync.report.written.workbook import LONGEST_TEXT
from bulk_sync.run.cell_rules import wants_byte_order_mark
from bulk_sync.run.paths import Use, refuse_clashes, uses_of_job, uses_of_settings
from bulk_sync.run.purge import purge_or_explain
from bulk_sync.run.summary import summary_of_job, with_files
from bulk_sync.settings.files import Files
from bulk_sync.settings.option import Access
from bulk_sync.settings.outputs import Outputs
from bulk_sync.settings.push import PushSettings
from bulk_sync.version import __version__
from bulk_sync.wording import are, counted

# Names and paths, before anything is read


def refuse_names(settings: PushSettings) -> None:
    """Raise UsageError for two uses of one file, and for results of an unknown format."""
    sheet = Use("the input", settings.reading.input, Access.READ)
    refuse_clashes([sheet, *uses_of_settings(settings), *uses_of_job(settings.files)])
    refuse_unknown_kind(settings.files.results)


def check_outputs(files: Files, undo_file: Path | None = None) -> None:
    """Raise OutputError for a file that can't be written, or isn't ours, before rows are sent.

    A file that has the name of the failed rows is no reason: it is kept under another name.
    """
    undo, unknown = _undo_files(undo_file) or (None, None)
    written = {
        Output.REPORT: files.results,
        Output.PAGE: files.page,
        Output.UNDO: undo,
        Output.UNKNOWN: unknown,
    }
    for kind, path in written.items():
        if path is not None:
            check_writable(path, kind)
    check_writable(files.failed, Output.FAILED, any_file=True)


def _undo_files(undo_file: Path | None) -> tuple[()] | tuple[Path, Path]:
    return () if undo_file is None else (undo_file, unknown_path(undo_file))


# Files, when sending has ended


def write_outputs(
    store: Store,
    files: Files,
    outputs: Outputs,
    headers: Sequence[str],
    summary: Summary,
    clock: Clock,
) -> Summary:
    """Write all files of a run, then purge the job if asked; return the summary with their names.

    Raises OutputError.
    """
    undo_file = outputs.undo_file
    notes: tuple[str, ...] = ()

    def sheets() -> tuple[str, ...]:
        nonlocal notes
        notes = _each(
            lambda: write_reports(store, files, headers, summary),
            lambda: _write_undo_file(store, undo_file),
        )
        return notes

    def page() -> tuple[str, ...]:
        write_page_of_job(store, files, with_files(summary, files, undo_file, notes), clock)
        return ()

    _each(sheets, page)
    if outputs.purge:  # last, because the files above need the cells
        notes = (*notes, purge_or_explain(store))
    return with_files(summary, files, undo_file, notes)


def _each(*writers: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
    """Call all writers, also when one of them finds its name taken; return their notes.

    Raises NameTaken at the end, and OutputError at once, because a full disk is full for all.
    """
    notes: list[str] = []
    taken: list[str] = []
    for write in writers:
        try:
            notes += write()
        except NameTaken as error:
            taken.append(str(error))
    if taken:
        raise NameTaken(" ".join(taken))
    return tuple(notes)


def write_reports(
    store: Store, files: Files, headers: Sequence[str], summary: Summary
) -> tuple[str, ...]:
    """Write results and failed rows; return notes for the user."""

    return _each(
        lambda: _write_results_of_job(store, files, headers, summary),
        lambda: _write_failed_of_job(store, files, headers, summary),
    )


def _write_results_of_job(
    store: Store, files: Files, headers: Sequence[str], summary: Summary
) -> tuple[str, ...]:
    path, facts = files.results, summary_facts(summary)
    kept = Kept(store, path, Output.REPORT)
    notes: tuple[str, ...] = ()
    if files.with_cells and not store.views.purged():
        rows = store.views.lines_with_cells()
        write_results_with_cells(path, rows, _sheet_of_job(store, headers), facts, kept.before)
    else:
        # Nobody corrects results alone, so these are only recorded where they replace a copy.
        write_results(path, store.views.lines(), facts, kept.before if kept.is_there else None)
        if files.with_cells:
            notes = (f"{path} has no cells of the sheet: they were removed by --purge.",)
    return (*kept.notes, *notes)


def _sheet_of_job(store: Store, headers: Sequence[str]) -> SheetOfJob:
    job = store.database.job()
    meaning, source = (job.meaning, job.source) if job else ("", "")
    marked = wants_byte_order_mark(meaning)
    return SheetOfJob(tuple(headers), source, store.database.path, marked)


def refuse_unfit_results(store: Store, files: Files, headers: Sequence[str], rows: int) -> None:
    """Raise UsageError for results that a workbook has no room for."""
    refuse_too_many(files.results, rows)
    if files.with_cells:
        # A mark has more characters than its row's cells, but few: long texts are digests in it.
        lines = store.views.lines_with_cells(longer_than=LONGEST_TEXT // 4)
        refuse_what_no_workbook_holds(files.results, lines, _sheet_of_job(store, headers))


def _write_failed_of_job(
    store: Store, files: Files, headers: Sequence[str], summary: Summary
) -> tuple[str, ...]:
    # Without failed rows no file is created, but the one of an earlier run must go.
    if ERROR_STATES.isdisjoint(summary.states) and not os.path.lexists(files.failed):
        return ()
    job = store.database.job()
    meaning, source = (job.meaning, job.source) if job else ("", "")
    return write_failed_rows(store, files.failed, headers, meaning, source=source)


class Kept:
    """Keeps a file that would be replaced under another name if anybody but this job wrote it.

    Of results that is a copy of the sheet alone, because others are for reading. `notes` say so.
    Raises OutputError.
    """

    def __init__(self, store: Store, path: Path, kind: Output) -> None:
        self._database, self._path, self._kind = store.database, path, kind
        is_for_people = kind is Output.FAILED or may_be_own(path)
        self._written = digest(path) if is_for_people else None
        self.notes: tuple[str, ...] = ()

    @property
    def is_there(self) -> bool:
        """True if there was such a file."""
        return self._written is not None

    def before(self, new: str) -> None:
        """Make room for the file with this digest, which is about to take the place."""
        if self._written not in {None, new}:
            self._set_aside()
        # Recorded before the rename. After a crash in between, the program's own file would
        # otherwise look edited.
        self._database.note_report(self._path, new)

    def remove(self) -> None:
        """Remove an outdated file of ours; one that isn't ours stays as it is."""
        if self._written is not None and may_replace(self._path, self._kind):
            self._set_aside()
            remove(self._path, self._kind)

    def _set_aside(self) -> None:
        if self._written is None or self._database.wrote_report(self._path, self._written):
            return
        why = f"is no file of {self._kind.value} that bulk-sync wrote"
        if may_replace(self._path, self._kind):
            why = "was edited, or written by another job, since this job wrote it"
        self.notes = (f"{self._path} {why}: it is kept as {set_aside(self._path)}.",)


def write_failed_rows(
    store: Store,
    path: Path,
    headers: Sequence[str],
    meaning: str,
    generation: int | None = None,
    source: str = "",
) -> tuple[str, ...]:
    """Write the failed rows of the job, or of the refused sheet with this generation.

    `meaning` is the digest of the settings that `source` has; see `model.own.Source`.
    A file that was edited since this job wrote it, or that bulk-sync didn't write, is kept under
    another name; a note says so.
    """
    if generation is None and store.views.purged():
        if ERROR_STATES.isdisjoint(store.views.counts()):
            return ()
        why = "the cells of its rows were removed by --purge. Push the sheet again"
        return (f"{path} was not written: {why}.",)
    kept = Kept(store, path, Output.FAILED)
    rows = store.views.results(ERROR_STATES, generation, of_all_runs=generation is None)
    marked = wants_byte_order_mark(meaning)
    place = store.database.path
    if not write_failed(path, headers, rows, source, kept.before, marked=marked, checkpoint=place):
        kept.remove()
    return kept.notes


def write_page_of_job(store: Store, files: Files, summary: Summary, clock: Clock) -> None:
    """Write the page, if one is asked for, with the totals of all runs of the job."""
    if files.page is None:
        return
    # Imported late, because few runs write a page.
    from bulk_sync.report.page.run import write_page

    job, runs = summary_of_job(store, files).traffic, store.views.runs()
    points = [point.counts for run in runs for point in run.points]
    # A job of an older version has runs without a timeline.
    complete = sum(counts.requests for counts in points) >= job.requests
    traffic = replace(
        summary.traffic,
        requests=job.requests,
        # A row's first request in a later run is no retry, though its attempts say so.
        retries=sum(counts.retries for counts in points) if complete else job.retries,
        throttled=job.throttled,
        seconds=job.seconds,
        rows_per_second=job.rows_per_second,
        decided=job.decided,
    )
    of_all = replace(summary, traffic=traffic)
    write_page(
        files.page, of_all, runs, store.views.results, made_at=clock.now(), version=__version__
    )


def _write_undo_file(store: Store, path: Path | None) -> tuple[str, ...]:
    """Write the sheet that restores earlier values, if one is asked for; return notes on it."""
    if path is None:
        return ()
    if store.views.purged():
        return (f"{path} was not written: earlier values were removed by --purge.",)
    undo = write_undo(path, store.views.sent, store.database.path)
    notes = [f"{path}: pushing it restores earlier values of {counted(undo.rows, 'row')}."]
    if not undo.rows:
        notes = [f"{path} restores nothing."]
    if undo.unknown:
        notes.append(
            f"{counted(undo.unknown, 'row')} can't be restored, because nothing earlier is known "
            f"of the showings: {unknown_path(path)}."
        )
    if created := store.views.counts().get(State.CREATED, 0):
        notes.append(
            f"{counted(created, 'created showing')} {are(created)} in neither: no push takes a "
            "showing away. Delete what was created in North."
        )
    return (" ".join(notes),)
