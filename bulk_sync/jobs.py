"""Status, results, reports and purge of a job, from its checkpoint alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import date, time
from itertools import zip_longest
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from bulk_sync.clock import SystemClock
from bulk_sync.errors import UsageError
from bulk_sync.job.database import is_checkpoint
from bulk_sync.job.lock import held, is_held
from bulk_sync.job.store import Store
from bulk_sync.model.headings import Headings
from bulk_sync.model.own import RESULT_COLUMNS
from bulk_sync.model.rows import Result, State, text_of
from bulk_sync.model.summaries import Summary
from bulk_sync.read.opened import differs
from bulk_sync.report.problems import full_message_of
from bulk_sync.report.written.failed import without_blank_end
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


def read_status(files: Files, sheet: Path) -> Summary:
    """Return the summary of a job, with `changed` and a note if its sheet is another one by now.

    A sheet that is gone is no change: a push may have moved it to an archive. While a run holds the
    job, the sheet is not looked at. Raises CheckpointError, and InputError when the sheet can't be
    read.
    """
    summary = read_summary(files)
    if summary.running or not differs(sheet, summary.digest):
        return summary
    return replace(summary, changed=True, notes=(*summary.notes, _CHANGED_NOTE))


_CHANGED_NOTE = (
    "The sheet has changed since its last push. The rows here are those of that push; the next one "
    "reads the sheet as it is now."
)


class Results(Iterator[Result]):
    """The results of a job's rows, in input order; made by `results`.

    Reads the checkpoint while it is iterated over, so that memory stays constant.
    """

    def __init__(self, checkpoint: Path, states: frozenset[State]) -> None:
        self._checkpoint, self._states = checkpoint, states
        self._rows = self._read()

    def __next__(self) -> Result:
        """Return the next row's result; raises CheckpointError."""
        return next(self._rows)

    def to_dicts(self, *, with_cells: bool = False) -> Iterator[dict[str, Any]]:
        """Yield each row as a dict with the columns of the results, as `pandas.DataFrame` takes it.

        `with_cells` adds the cells of the sheet, by its headers as `--with-cells` writes them:
        dates and times as such, other cells as numbers and texts, None after a purge. Begins with
        the first row, wherever the iteration is. Raises CheckpointError.
        """
        with Store.read(self._checkpoint) as store:
            job = store.database.job()
            headers = without_blank_end(job.headers) if job else ()
            headings = Headings(list(map(text_of, headers))) if with_cells else None
            for result in store.views.results(self._states):
                yield _as_dict(_with_sentence(result), headings)

    def _read(self) -> Iterator[Result]:
        with Store.read(self._checkpoint) as store:
            yield from map(_with_sentence, store.views.results(self._states))


def results(
    checkpoint: str | Path, states: State | str | Iterable[State | str] | None = None
) -> Results:
    """Return the results of a job's rows in input order, of those in one or several states.

    Raises UsageError for an unknown state; iterating raises CheckpointError.
    """
    wanted = State if states is None else [states] if isinstance(states, str) else states
    try:
        return Results(Path(checkpoint), frozenset(map(State, wanted)))
    except ValueError:
        known = ", ".join(state.value for state in State)
        raise UsageError(f"states: {states!r} is not a state, or some of them: {known}") from None


def _with_sentence(result: Result) -> Result:
    # Most rows were acknowledged, and need no sentence.
    if result.reasons or result.given_up or result.echoes:
        return replace(result, message=full_message_of(result, in_doubt=False))
    return result


def _as_dict(result: Result, headings: Headings | None) -> dict[str, Any]:
    values: dict[str, Any] = {
        name: getattr(result, _FIELDS.get(name, name)) for name in RESULT_COLUMNS
    }
    values["state"] = result.state.value
    if headings is not None:
        names = headings.of(max(len(headings.columns), len(result.cells)))
        plain: list[Any] = [
            cell if isinstance(cell, _PLAIN) else text_of(cell) for cell in result.cells
        ]
        blank: Any = "" if plain else None  # after a purge nothing is known
        values |= zip_longest(names, plain, fillvalue=blank)
    return values


_FIELDS = {"row": "number", "unique_showing_key": "key"}
_PLAIN = (bool, int, float, date, time)  # a datetime is a date, too


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
