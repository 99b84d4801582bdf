"""The sheets of one run, judged together before any row is sent.

Invariants:

1. Rows of one showing in several files get the decision that they would get as rows of one file,
   in the order of the run: equal values are sent once, different ones not at all unless
   --on-duplicate says which counts. Columns and keys are judged by sheet.
2. No row of a run is sent before each of its sheets was read to its end and judged. A sheet is sent
   as it was judged, or not at all: its bytes and settings are compared.
3. The decision depends on the files of the run alone, not on what was sent before. So a run that
   was cut off ends like an undisturbed one, and the second run of the same files sends nothing.
4. A sheet that can't be read takes no part. The rows of one that is refused as a whole (for a
   column, or by --max-problems) contradict others, but are never sent in their place.
5. Files that have showings in common are connected; one is finished only when all are, because
   without it a later run would decide otherwise. See `batch`.
6. Memory doesn't grow with the files: rows are in a temporary database without their cells.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import msgspec
from msgspec import Struct

from bulk_sync.check.keys import KeyCounts
from bulk_sync.errors import BulkSyncError, InputError, UsageError
from bulk_sync.job.database import storable
from bulk_sync.job.several import SeveralSheets
from bulk_sync.job.store import Store
from bulk_sync.model.rows import LeftOut, Problem, Record, State
from bulk_sync.plan import OnDuplicate, Twin
from bulk_sync.run.findings import refusal_by_columns
from bulk_sync.run.rows import Judgement, Judging, Origin, has_ids, refuse_keys
from bulk_sync.run.sheet import OnRows, Sheet, open_sheet, refuse_without_report
from bulk_sync.settings.sheet import SheetSettings


class Judged(Struct, frozen=True):
    """A sheet of a run: the decisions about its rows, or the error that keeps it from being read.

    Sheets of one `circle` have showings in common, directly or through others. `rows` counts those
    of the sheet, without those left out by choice. A run of one sheet has none of these, because
    its rows are judged when they are staged.
    """

    circle: int
    judgement: Judgement | None = None
    error: BulkSyncError | None = None
    rows: int | None = None


class _Read(Struct):
    """A sheet that was read: the ids of its rows, and what matters of it to judge them."""

    ids: range
    digest: str = ""
    meaning: str = ""
    keys: KeyCounts = msgspec.field(default_factory=KeyCounts)
    policy: OnDuplicate = "error"
    by_id: bool = False
    held: bool = False
    error: BulkSyncError | None = None


@dataclass
class _Groups:
    """The groups of rows of one showing, summed up by the place of their sheets."""

    duplicates: list[int]
    shared: list[int]
    _circles: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, sheets: int) -> _Groups:
        return cls([0] * sheets, [0] * sheets, list(range(sheets)))

    def add(self, group: Sequence[tuple[int, Twin]]) -> None:
        places = {place for place, _ in group}
        for place, twin in group:
            self.duplicates[place] += not twin.left_out
            self.shared[place] += len(places) > 1
        first, *others = places
        for other in others:
            self._circles[self.circle(other)] = self.circle(first)

    def circle(self, place: int) -> int:
        """Return one place for all sheets that are connected with this one."""
        while (next_place := self._circles[place]) != place:
            self._circles[place] = place = self._circles[next_place]
        return place


@contextmanager
def judged_together(
    sheets: Sequence[SheetSettings], on_rows: OnRows = lambda _: None
) -> Iterator[Sequence[Judged]]:
    """Read all sheets of a run and judge their rows; yield the decisions about each.

    They can be read until the block ends. `on_rows` is called now and then with the number of rows
    read. Raises OutputError when the temporary database can't be written.
    """
    if len(sheets) < 2:
        yield [Judged(place) for place, _ in enumerate(sheets)]
        return
    with Store.scratch(otherwise=sheets[0].own_folder) as store:
        read: list[_Read] = []
        generation = store.staged.stage(_rows(sheets, read), keep_cells=False, on_rows=on_rows)
        several = SeveralSheets(store.database)
        for one in read:
            if one.error is not None:
                several.drop(one.ids)
            else:
                refuse_keys(store, generation, one.keys, one.ids)
        several.keep_originals()
        settle = partial(_settle, store, generation, sheets, read)
        groups = settle()
        while _hold_refused(several, sheets, read, groups):
            several.take_back()
            groups = settle()
        yield [_judged(several, place, one, groups) for place, one in enumerate(read)]


def _rows(
    sheets: Sequence[SheetSettings], read: list[_Read]
) -> Iterator[Record | Problem | LeftOut]:
    """Yield the rows of all sheets, and add to `read` each sheet whose rows are all yielded."""
    last = 0
    for settings in sheets:
        first = last + 1
        try:
            with open_sheet(settings.reading, settings.meaning) as sheet:
                refuse_without_report(sheet, settings.creating)
                for row in sheet.chosen_rows():
                    last += 1
                    yield row
                read.append(_read(sheet, range(first, last + 1)))
        except (InputError, UsageError) as error:
            read.append(_Read(range(first, last + 1), error=error))


def _read(sheet: Sheet, ids: range) -> _Read:
    held = refusal_by_columns(sheet) is not None
    try:
        sheet.refuse_empty_choice()
    except InputError:
        held = True
    return _Read(
        ids,
        sheet.table.digest,
        sheet.digest,
        sheet.keys,
        sheet.meaning.on_duplicate,
        has_ids(sheet),
        held,
    )


def _settle(
    store: Store, generation: int, sheets: Sequence[SheetSettings], read: Sequence[_Read]
) -> _Groups:
    groups = _Groups.of(len(read))
    origins = [
        # As the checkpoint stores it; a path may have bytes that are no text.
        Origin(one.ids.start, one.policy, storable(str(settings.reading.input)), one.held)
        for one, settings in zip(read, sheets, strict=True)
    ]
    judging = Judging(origins, sheets[0].meaning.on_duplicate, groups.add)
    judging.settle(store, generation, by_id=any(one.by_id for one in read))
    return groups


def _hold_refused(
    several: SeveralSheets,
    sheets: Sequence[SheetSettings],
    read: Sequence[_Read],
    groups: _Groups,
) -> bool:
    """Hold the sheets that have too many problems now; return whether this may change decisions."""
    changed = False
    for place, (one, settings) in enumerate(zip(read, sheets, strict=True)):
        if one.held or one.error is not None or not groups.shared[place]:
            continue
        counts = several.counts(one.ids)
        invalid, total = counts.get(State.INVALID, 0), sum(counts.values())
        one.held = settings.stopping.max_problems.exceeded_by(invalid, total)
        changed = changed or one.held
    return changed


def _judged(several: SeveralSheets, place: int, one: _Read, groups: _Groups) -> Judged:
    if one.error is not None:
        return Judged(place, error=one.error)
    decided = partial(several.decided, one.ids)
    shared = groups.shared[place]
    judgement = Judgement(
        digest=one.digest,
        meaning=one.meaning,
        elsewhere=_digest(decided) if shared else "",
        shared=shared,
        duplicates=groups.duplicates[place],
        decided=decided,
    )
    rows = sum(several.counts(one.ids).values())
    return Judged(groups.circle(place), judgement, rows=rows)


def _digest(decided: Callable[[], Iterator[tuple[object, ...]]]) -> str:
    digest = hashlib.sha256()
    for row in decided():
        digest.update(repr(tuple(row)).encode("utf-8", "backslashreplace"))
    return digest.hexdigest()[:16]
