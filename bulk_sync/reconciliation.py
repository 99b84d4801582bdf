"""Compare two sheets, or a sheet and the ledger, value by value.

Both are read and mapped as in a push. Each is staged in its own scratch checkpoint, their rows are
joined in SQL, and only pairs whose text differs are compared field by field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from msgspec import Struct

from bulk_sync.check.compare import Side, blank_here, compare, unseen
from bulk_sync.check.patches import digest_of, fields_of, same
from bulk_sync.check.showing import KEY_COLUMN
from bulk_sync.check.systematic import (
    LEAST,
    find_systematic,
    key_findings,
    loose_key,
    no_common_key,
)
from bulk_sync.clock import Clock, SystemClock
from bulk_sync.errors import InputError, UsageError
from bulk_sync.job.comparison import Comparison, Pair
from bulk_sync.job.ledger import Acknowledged
from bulk_sync.job.ledger_entries import json_text
from bulk_sync.job.store import Store
from bulk_sync.model.comparison import (
    Author,
    Difference,
    Reconciliation,
    RowClass,
    SideCounts,
)
from bulk_sync.model.rows import Record, Row, State
from bulk_sync.model.systematic import Pattern, Systematic
from bulk_sync.recognise import Output
from bulk_sync.report.facts import reconciliation_facts
from bulk_sync.report.page.comparison import write_comparison_page
from bulk_sync.report.written.atomic import check_writable, digest
from bulk_sync.report.written.differences import Rows, write_changes, write_differences
from bulk_sync.report.written.lines import refuse_unknown_kind
from bulk_sync.run.dated import dated
from bulk_sync.run.findings import Role
from bulk_sync.run.ledgers import Evidence, acknowledged_values, doubt
from bulk_sync.run.paths import Use, refuse_clashes, uses_of_job, uses_of_settings
from bulk_sync.run.sheet import OnRows
from bulk_sync.run.side import StagedSide, is_large, staged_in_child, staged_side
from bulk_sync.settings.files import Files
from bulk_sync.settings.option import Access
from bulk_sync.settings.reconcile import ReconcileSettings
from bulk_sync.version import __version__
from bulk_sync.wording import are, counted

# The columns that name a showing.
_NAMES = frozenset({KEY_COLUMN, "showing_id"})

# Showings of each class and field that a summary names.
_SHOWN = 5


def reconcile(
    settings: ReconcileSettings, on_rows: OnRows = lambda _: None, clock: Clock | None = None
) -> Reconciliation:
    """Compare a sheet with another or with the ledger, and write the files that are asked for.

    Raises InputError if a sheet can't be used, CheckpointError without a ledger, UsageError,
    OutputError.
    """
    settings = dated(settings, clock or SystemClock())
    _check_files(settings)
    folder = settings.own_folder
    with ExitStack() as opened:
        other = opened.enter_context(_other_side(settings))
        is_sent = settings.comparing.push or settings.outputs.template is not None
        role = Role.SENT if is_sent else Role.COMPARED
        here = opened.enter_context(staged_side(settings, on_rows, role=role, folder=folder))
        there = other()
        base = None
        if settings.snapshot is not None:
            base = opened.enter_context(
                staged_side(settings.snapshot, on_rows, role=Role.OTHER, folder=folder)
            )
        base_rows = None if base is None else base.store.database
        comparison = Comparison(here.store.database, there.store.database, base_rows)
        _refuse_without_common_field(settings, here, there)
        cells = _compare(comparison, here, there, base)
        settings = _one_way_if_partial(settings, here)
        notes = (*_notes(settings, here, there, base), *_on_cells(cells, base))
        systematic = (*_on_keys(comparison), *_on_fields(comparison, there))
        found = _Found(settings, comparison, notes, there, systematic, here.left_out)
        return _write(found, clock or SystemClock())


def _one_way_if_partial(settings: ReconcileSettings, here: StagedSide) -> ReconcileSettings:
    """Ignore rows that are only there if rows here were left out: they may be among these."""
    one_way = settings.comparing.one_way or here.left_out > 0
    return settings.changed(comparing=replace(settings.comparing, one_way=one_way))


def _check_files(settings: ReconcileSettings) -> None:
    """Raise UsageError or OutputError for files that overlap, or can't be written."""
    _refuse_one_file_for_two(settings)
    outputs = settings.outputs
    if outputs.results is not None:
        refuse_unknown_kind(outputs.results)
    if outputs.template is not None:
        refuse_unknown_kind(outputs.template, "--export-template")
        if outputs.template.suffix.lower() == ".jsonl":
            raise UsageError(
                f"--export-template {outputs.template}: a sheet to edit is a .csv or an .xlsx"
            )
    written = {
        Output.REPORT: outputs.results,
        Output.PAGE: outputs.page,
        Output.TEMPLATE: outputs.template,
        Output.CHANGES: settings.changes,
    }
    for kind, path in written.items():
        if path is not None:
            check_writable(path, kind)


def _refuse_one_file_for_two(settings: ReconcileSettings) -> None:
    sheets = {
        "the input": settings.reading.input,
        "--with": settings.there.reading.input if settings.there else None,
        "--base": settings.snapshot.reading.input if settings.snapshot else None,
    }
    uses = [Use(name, path, Access.READ) for name, path in sheets.items() if path is not None]
    uses += uses_of_settings(settings)
    uses += uses_of_job(settings.files, with_reports=False)
    if settings.changes is not None:
        uses.append(Use("the changes", settings.changes, Access.WRITTEN))
    refuse_clashes(uses)


# Both sides


@contextmanager
def _other_side(settings: ReconcileSettings) -> Iterator[Callable[[], StagedSide]]:
    """Yield a function that returns the other side, staged.

    A child process starts to read a large sheet immediately, while the caller reads its own.
    """
    if settings.there is None:
        with (
            acknowledged_values(settings) as known,
            Store.scratch(otherwise=settings.own_folder) as store,
        ):
            store.staged.stage(map(_record, known.entries), keep_cells=False)
            yield lambda: StagedSide(store, None, ledger=known.side)
    elif is_large(settings.there.reading.input):
        with staged_in_child(settings.there, settings.own_folder) as wait:
            yield wait
    else:
        with ExitStack() as opened:
            sheet = settings.there
            yield lambda: opened.enter_context(
                staged_side(sheet, role=Role.OTHER, folder=settings.own_folder)
            )


def _record(one: Acknowledged) -> Record:
    """Return acknowledged values as a row of a sheet, without a number."""
    target = one.showing_id or one.target
    body = json_text(one.values)
    return Record(Row(0, ()), target, body, digest_of(body), fields_of(one.values), one.key)


def _refuse_without_common_field(
    settings: ReconcileSettings, here: StagedSide, there: StagedSide
) -> None:
    """Raise InputError when the sheets have no field in common: nothing could be compared."""
    if here.columns is None or there.columns is None or settings.there is None:
        return
    ours, theirs = here.columns - _NAMES, there.columns - _NAMES
    if ours & theirs:
        return
    other = settings.there.reading.input
    ignored = f" (ignored there: {', '.join(there.ignored)})" if there.ignored else ""
    raise InputError(
        f"No field is in both sheets, so nothing can be compared: {settings.reading.input} has "
        f"{_listed(ours)}, {other} has {_listed(theirs)}{ignored}. Say which columns hold them: "
        "--map 'Header=field' is for the first sheet, --with-profile for the other"
    )


def _listed(fields: frozenset[str]) -> str:
    return ", ".join(sorted(fields)) or "none of the known fields"


@dataclass(slots=True)
class _Cells:
    """Counts of cells that are no difference.

    `blank` here and filled in the base, else there; `unseen` differ only in what nobody sees.
    """

    blank: int = 0
    unseen: int = 0


def _compare(
    comparison: Comparison, here: StagedSide, there: StagedSide, base: StagedSide | None
) -> _Cells:
    """Compare the pairs whose text differs."""
    cells = _Cells()

    def compared() -> Iterator[tuple[int, list[Difference]]]:
        for pair in comparison.pairs():
            ours, theirs = Side(pair.here, here.columns), Side(pair.there, there.columns)
            origin = None if base is None else _origin(pair, base)
            if there.columns is not None:
                cells.blank += blank_here(ours, origin or theirs)
            cells.unseen += unseen(ours, theirs)
            yield pair.id, compare(ours, theirs, origin)

    comparison.settle(compared())
    return cells


def _on_keys(comparison: Comparison) -> tuple[Systematic, ...]:
    """Return findings on keys that only one sheet has."""
    counts = comparison.counts()
    if not (counts[RowClass.ONLY_HERE] and counts[RowClass.ONLY_THERE]):
        return ()
    of, pairs = comparison.lone_keys(loose_key)
    found = key_findings(of, pairs)
    if not found and not comparison.are_met():
        here, there = (
            next(comparison.rows(one, limit=1)) for one in (RowClass.ONLY_HERE, RowClass.ONLY_THERE)
        )
        found = (no_common_key(here.key or here.target, there.key or there.target),)
    return found


def _on_fields(comparison: Comparison, there: StagedSide) -> tuple[Systematic, ...]:
    """Return findings on the values of fields."""
    return find_systematic(
        [field for field, rows in comparison.fields().items() if rows >= LEAST],
        partial(comparison.values, "here"),
        partial(comparison.values, "there"),
        are_columns_known=there.columns is not None,
    )


def _origin(pair: Pair, base: StagedSide) -> Side:
    """Return the values of the base; if it lacks the showing, no field is known."""
    return Side({}, frozenset()) if pair.base is None else Side(pair.base, base.columns)


# The result


_NOT_THE_SAME = tuple(one for one in RowClass if one is not RowClass.SAME)


class _Found(Struct, frozen=True):
    """A comparison that is made, and the settings by which it is reported."""

    settings: ReconcileSettings
    comparison: Comparison
    notes: tuple[str, ...]
    there: StagedSide
    systematic: tuple[Systematic, ...]
    left_out: int

    @property
    def is_refused(self) -> bool:
        """True if a push would send differences with one cause, and that was not asked for."""
        comparing = self.settings.comparing
        if not comparing.push or comparing.accept_systematic:
            return False
        if self.settings.there is None and any(
            one.pattern is Pattern.KEY_FORM and one.rows >= LEAST for one in self.systematic
        ):
            return True  # against the ledger, rows that are only here are sent, too
        return any(
            one.pattern.overwrites
            and self.comparison.is_sent(one.field, prefer_here=comparing.prefer_here)
            for one in self.systematic
        )


def _write(found: _Found, clock: Clock) -> Reconciliation:
    settings, comparison = found.settings, found.comparison
    differing = partial(comparison.rows, RowClass.DIFFERS, RowClass.CONFLICT)
    template = changes = 0
    if settings.outputs.template is not None:
        template = write_changes(
            settings.outputs.template,
            differing,
            prefer_here=settings.comparing.prefer_here,
            with_conflicts=True,
            checkpoint=settings.files.checkpoint,
        )
    if settings.changes is not None and not found.is_refused:
        changes = write_changes(
            settings.changes,
            differing,
            prefer_here=settings.comparing.prefer_here,
            with_conflicts=False,
            checkpoint=settings.files.checkpoint,
            compared=_digest_there(settings),
        )
    _doubt(found, differing, template=template, changes=changes)
    summary = _summary(found, template, changes)
    if settings.outputs.results is not None:
        write_differences(
            settings.outputs.results, comparison.rows(*_NOT_THE_SAME), reconciliation_facts(summary)
        )
    if settings.outputs.page is not None:
        rows = comparison.rows(*_NOT_THE_SAME)
        write_comparison_page(
            settings.outputs.page, summary, rows, made_at=clock.now(), version=__version__
        )
    return summary


def _digest_there(settings: ReconcileSettings) -> str:
    return (settings.there and digest(settings.there.reading.input)) or ""


def _doubt(found: _Found, differing: Rows, *, template: int, changes: int) -> None:
    """Let the ledgers forget what the export contradicts, before what differs is sent.

    Also where nothing differs here: another sheet on the ledger may say otherwise than the export.
    """
    settings, columns = found.settings, found.there.columns
    if columns is None:  # the ledger itself is the other side
        return
    is_pushed = settings.changes is not None and not found.is_refused
    if not (is_pushed or template):
        return
    if changes and settings.changes and _is_interrupted(settings.changes, settings.outputs.out):
        return
    doubt(
        settings,
        Evidence(
            lambda: ((row.target, row.key, row.showing_id) for row in differing()),
            partial(found.comparison.there, columns - {KEY_COLUMN}),
            same,
        ),
    )


def _summary(found: _Found, template: int, changes: int) -> Reconciliation:
    settings, comparison = found.settings, found.comparison
    fields = comparison.fields()
    listed = (
        RowClass.PROBLEM,
        RowClass.ONLY_HERE,
        *(() if settings.comparing.one_way else (RowClass.ONLY_THERE,)),
    )
    return Reconciliation(
        input=str(settings.reading.input),
        other=str(settings.there.reading.input) if settings.there else None,
        base=str(settings.snapshot.reading.input) if settings.snapshot else None,
        classes=comparison.counts(),
        here=SideCounts(comparison.counts_here(), comparison.superseded, found.left_out),
        there=SideCounts(comparison.counts_there(), comparison.superseded_there),
        fields=fields,
        first=tuple((field, tuple(comparison.first(field, _SHOWN))) for field in fields),
        listed=tuple(
            row for row_class in listed for row in comparison.rows(row_class, limit=_SHOWN)
        ),
        conflicts=comparison.authored(Author.BOTH),
        stale=comparison.authored(Author.THERE),
        to_send=changes,
        one_way=settings.comparing.one_way,
        prefer_here=settings.comparing.prefer_here,
        notes=found.notes,
        results=str(settings.outputs.results) if settings.outputs.results else None,
        page=str(settings.outputs.page) if settings.outputs.page else None,
        template=str(settings.outputs.template) if template else None,
        changes=str(settings.changes) if changes else None,
        ledger=found.there.ledger,
        systematic=found.systematic,
        refused=found.is_refused,
        base_url=settings.target.base_url,
        sends=settings.comparing.push and not found.is_refused,
        command=settings.command,
    )


def _notes(
    settings: ReconcileSettings, here: StagedSide, there: StagedSide, base: StagedSide | None
) -> tuple[str, ...]:
    notes = list(dict.fromkeys((*here.notes, *there.notes, *(base.notes if base else ()))))
    if here.columns is not None and there.columns is not None and settings.there is not None:
        alone = sorted(here.columns - there.columns - _NAMES)
        if alone:
            notes.append(
                f"Not compared, because {settings.there.reading.input} has no such column: "
                f"{', '.join(alone)}."
            )
    if here.left_out:
        notes.append(
            f"Not compared, because they were left out by choice: {counted(here.left_out, 'row')} "
            "(--rows, --where, --limit). So rows that are only there are no difference."
        )
    return tuple(notes)


def _on_cells(cells: _Cells, base: StagedSide | None) -> tuple[str, ...]:
    notes = []
    if cells.blank:
        where = "in the base" if base else "there"
        notes.append(
            f"{counted(cells.blank, 'cell')} {are(cells.blank)} blank here and filled {where}: a "
            "blank cell changes nothing, so it is no difference (see --clear)."
        )
    if cells.unseen:
        notes.append(
            f"{counted(cells.unseen, 'text')} differ{'s' if cells.unseen == 1 else ''} only in "
            "line ends (CRLF, LF) or in the Unicode form of the same letters: nobody sees that, so "
            "it is no difference."
        )
    return tuple(notes)


def _is_interrupted(changes: Path, out: Path | None) -> bool:
    """Return whether a push of just these changes was cut off.

    Then the push goes on with it: the export is no newer than what that push sent.
    """
    checkpoint = Files.of(changes, out=out).checkpoint
    if not checkpoint.exists():
        return False
    with Store.read(checkpoint) as store:
        job = store.database.job()
        return (
            job is not None
            and job.input_digest == digest(changes)
            and store.views.counts().get(State.PENDING, 0) > 0
        )
