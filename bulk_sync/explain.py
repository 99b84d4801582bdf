"""Everything known of one row: from its sheet, from its job's checkpoint, and from the ledger.

The sheet is staged as a push stages it, in a temporary checkpoint, because other rows of a showing
decide about a row, too. Nothing is sent, locked or written: a run may use the checkpoint meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from bulk_sync.check.explained import RowReader
from bulk_sync.errors import InputError
from bulk_sync.job.database import Job
from bulk_sync.job.ledger import Acknowledged
from bulk_sync.job.ledger_entries import time_of
from bulk_sync.job.lock import is_held
from bulk_sync.job.store import Store
from bulk_sync.model.explained import (
    CellRead,
    Explanation,
    KeptRow,
    KnownValue,
    ReadAs,
    RowExplained,
)
from bulk_sync.model.own import DamagedMark, Source, read_source
from bulk_sync.model.places import cell_reference
from bulk_sync.model.rows import Row
from bulk_sync.report.explained import no_such_key, no_such_row
from bulk_sync.report.findings import assumption_texts
from bulk_sync.run.findings import refusal_of, rules_used
from bulk_sync.run.ledgers import KnownShowings, known_showings
from bulk_sync.run.rows import stage_rows
from bulk_sync.run.sheet import OnRows, open_sheet
from bulk_sync.settings.sheet import SheetSettings


class Wanted(Struct, frozen=True):
    """The row to explain: its number as a spreadsheet program shows it, or its key or id."""

    number: int | None = None
    key: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The keys and targets of the rows; an id is one in small letters."""
        return tuple({self.key, self.key.lower()} - {""})


def explain(
    settings: SheetSettings, wanted: Wanted, checkpoint: Path, on_rows: OnRows = lambda _: None
) -> Explanation:
    """Explain rows of a sheet, with what its job and the ledger know of them.

    `on_rows` is called now and then with the number of rows read. Raises InputError when the sheet
    can't be read or has no such row, UsageError, CheckpointError.
    """
    folder, source = settings.own_folder, str(settings.reading.input)
    with (
        open_sheet(settings.reading, settings.meaning, folder) as sheet,
        Store.scratch(otherwise=folder) as store,
    ):
        staged = stage_rows(sheet, store, on_rows)
        found = _find(store, staged.generation, wanted, source)
        places = [sheet.number_of(column) - 1 for column in sheet.mapping.columns]
        reader = RowReader(sheet.mapping, sheet.rules, sheet.names, places)
        read = [(row, _read(reader, row)) for row in found]
        texts = assumption_texts(rules_used(sheet))
        stopped = refusal_of(sheet, store, staged.generation, settings.stopping.max_problems)
    if not checkpoint.exists():
        rows = tuple(_explained(row, cells, (), {}) for row, cells in read)
        return Explanation(source, str(checkpoint), rows, texts, stopped=stopped, has_job=False)
    with Store.read(checkpoint) as store:
        job = store.database.job()
        rows, ledger = _with_job(store, job, read)
    running = is_held(checkpoint)
    return Explanation(
        source, str(checkpoint), rows, texts, ledger, running, stopped, job is not None
    )


def explain_kept(checkpoint: Path, wanted: Wanted) -> Explanation:
    """Explain rows of a job from its checkpoint alone: its cells, without what they were read as.

    Raises CheckpointError without a checkpoint, InputError when it has no such row.
    """
    with Store.read(checkpoint) as store:
        job = store.database.job()
        if job is None:
            raise InputError(f"{checkpoint}: this checkpoint has no job, so no row is known.")
        found = _find(store, None, wanted, str(checkpoint))
        read = [(row, tuple(_kept_cells(row, job))) for row in found]
        rows, ledger = _with_job(store, job, read, is_kept=True)
    return Explanation(job.input, str(checkpoint), rows, ledger=ledger, running=is_held(checkpoint))


def _find(store: Store, generation: int | None, wanted: Wanted, source: str) -> list[KeptRow]:
    views = store.views
    found = views.find(generation, number=wanted.number, names=wanted.names)
    if found:
        return found
    if wanted.number is not None:
        raise InputError(no_such_row(source, wanted.number, views.numbers(generation)))
    raise InputError(no_such_key(source, wanted.key, views.keys(generation)))


def _read(reader: RowReader, row: KeptRow) -> tuple[CellRead, ...]:
    result = row.result
    return reader.explain(Row(result.number, result.cells), result.reasons)


def _with_job(
    store: Store,
    job: Job | None,
    read: Sequence[tuple[KeptRow, tuple[CellRead, ...]]],
    *,
    is_kept: bool = False,
) -> tuple[tuple[RowExplained, ...], str | None]:
    """Return the rows with those of the job and with the ledger's values, and the ledger's path."""
    explained: list[RowExplained] = []
    found: dict[frozenset[str], KnownShowings] = {}  # rows of one showing have the same
    ledger: str | None = None
    for row, cells in read:
        if job is None:
            explained.append(_explained(row, cells, (), {}))
            continue
        names = {row.result.target, row.result.key} - {""}
        kept = [row] if is_kept else store.views.find(None, number=row.result.number, names=names)
        names |= {one.result.showing_id or "" for one in kept if one.result.target in names}
        name = frozenset(names)
        known = found[name] = found.get(name) or known_showings(store, job.base_url, names)
        ledger = None if known.path is None else str(known.path)
        values = _values(known.found)
        explained.append(
            RowExplained(row.result.number, cells, None, row, is_same=True, known=values)
            if is_kept
            else _explained(row, cells, kept, values)
        )
    return tuple(explained), ledger


def _explained(
    row: KeptRow,
    cells: tuple[CellRead, ...],
    kept: Sequence[KeptRow],
    known: Mapping[str, KnownValue],
) -> RowExplained:
    """Return a row of the sheet with the job's row that fits best: by content, then by showing."""
    number, target = row.result.number, row.result.target

    def is_same(one: KeptRow) -> bool:
        if one.content is None and row.content is None:  # both invalid
            return one.result.cells == row.result.cells
        return one.result.target == target and one.content == row.content

    def fit(one: KeptRow) -> tuple[bool, bool]:
        return is_same(one), one.result.number == number

    fitting = [one for one in kept if is_same(one) or (target and one.result.target == target)]
    best = max(fitting, key=fit, default=None)
    return RowExplained(number, cells, row, best, best is not None and is_same(best), known)


def _values(found: Sequence[Acknowledged]) -> dict[str, KnownValue]:
    """Return the values of a showing; those of two entries for it only where both agree."""
    values: dict[str, KnownValue] = {}
    for entry in found:
        for name, value in entry.values.items():
            values[name] = KnownValue(value, time_of(entry.times, name))
    return values


def _kept_cells(row: KeptRow, job: Job) -> Iterator[CellRead]:
    fields = _fields(job)
    for place, cell in enumerate(row.result.cells):
        header = job.headers[place] if place < len(job.headers) else ""
        field = fields[place][1] if place < len(fields) else ""
        reference = cell_reference(row.result.number - 1, place)
        read_as = ReadAs.UNKNOWN if field or not fields else ReadAs.IGNORED
        bad = tuple(one for one in row.result.reasons if field and one.field == field)
        yield CellRead(reference, header, cell, field or None, None, read_as, bad=bad)


def _fields(job: Job) -> Sequence[tuple[str, str]]:
    try:
        return (read_source(job.source) if job.source else Source()).columns
    except DamagedMark:
        return ()
