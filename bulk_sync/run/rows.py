"""Stage the rows of a sheet in a store, and decide about duplicates."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from bulk_sync.check.cells import excerpt
from bulk_sync.check.keys import KeyCounts, ends_in_point_zero, is_rounded
from bulk_sync.check.patches import merged
from bulk_sync.check.showing import ID_COLUMN, KEY_COLUMN
from bulk_sync.errors import InputError
from bulk_sync.job.staged import MAX_GROUP_CHARACTERS, Decided
from bulk_sync.job.staged import Twin as StagedTwin
from bulk_sync.job.store import Store
from bulk_sync.model.problems import Expected, Reason, Remedy
from bulk_sync.model.rows import State
from bulk_sync.plan import OnDuplicate, Twin, Verdict, report_of_twins, settle_rivals, settle_twins
from bulk_sync.run.sheet import OnRows, Sheet

T = TypeVar("T")

# Rows with one key that are decided in one commit, in whole groups, and rows whose keys are refused
# in one.
_ROWS_PER_COMMIT = 2000


class StagedRows(Struct, frozen=True):
    """The rows of a sheet in a store, by their generation.

    `left_out` counts the rows that --limit, --rows or --where left out, `duplicates` the rows that
    share a showing.
    """

    generation: int
    left_out: int
    duplicates: int


class Judgement(Struct, frozen=True):
    """The decisions about the rows of one sheet in a run of several; see `run.several`.

    `digest` and `meaning` are those of the sheet as it was read, `elsewhere` is the digest of the
    decisions if rows of other files had part in them, else "". `shared` counts the rows that have a
    showing in common with these.
    """

    digest: str
    meaning: str
    elsewhere: str
    shared: int
    duplicates: int
    decided: Callable[[], Iterator[Decided]]

    def refuse_if_changed(self, sheet: Sheet) -> None:
        """Raise InputError for a sheet that is not the one that was judged."""
        if (sheet.table.digest, sheet.digest) != (self.digest, self.meaning):
            raise _changed(sheet, "it was compared with the other files of this run")


class Reviewed(Struct, frozen=True):
    """A sheet as the user looked it over before anything was sent; see `review`."""

    digest: str
    meaning: str

    def refuse_if_changed(self, sheet: Sheet) -> None:
        """Raise InputError for a sheet that is not the one that was looked over."""
        if (sheet.table.digest, sheet.digest) != (self.digest, self.meaning):
            raise _changed(sheet, "it was looked over")


def _changed(sheet: Sheet, since: str) -> InputError:
    return InputError(
        f"{sheet.reading.input}: changed after {since}, so nothing of it is sent. Run again"
    )


class Origin(Struct, frozen=True):
    """A sheet whose rows are judged: the id of its first row, and its policy for duplicates.

    In a run of several sheets `name` is its file's, and nothing of a `held` sheet is sent.
    """

    first: int
    policy: OnDuplicate
    name: str = ""
    held: bool = False


OnGroup = Callable[[Sequence[tuple[int, Twin]]], None]
"""Called with each group of rows of one showing: the places of their origins, and the rows."""


def stage_rows(
    sheet: Sheet,
    store: Store,
    on_rows: OnRows = lambda _: None,
    *,
    keep_cells: bool = True,
    judgement: Judgement | None = None,
) -> StagedRows:
    """Check the rows of a sheet into a store and decide about duplicates; raises InputError.

    Rows that are left out take part in what is decided: what a row means doesn't depend on which
    others are taken. A `judgement` is what was decided in a run of several sheets.
    """
    checked = sheet.chosen_rows()
    generation = store.staged.stage(checked, keep_cells=keep_cells, on_rows=on_rows)
    sheet.refuse_empty_choice()
    refuse_keys(store, generation, sheet.keys)
    if judgement is None:
        duplicates = 0

        def count(group: Sequence[tuple[int, Twin]]) -> None:
            nonlocal duplicates
            duplicates += sum(not twin.left_out for _, twin in group)

        judging = Judging([Origin(0, sheet.meaning.on_duplicate)], on_group=count)
        judging.settle(store, generation, by_id=has_ids(sheet))
    else:
        store.staged.overrule(generation, judgement.decided())
        duplicates = judgement.duplicates
    left_out = 0 if sheet.reading.takes_all else store.staged.left_out()
    return StagedRows(generation, left_out, duplicates)


def has_ids(sheet: Sheet) -> bool:
    """Return whether a sheet has a column of ids; else rows of one key have one target."""
    return sheet.mapping.index_of(ID_COLUMN) is not None


def refuse_keys(store: Store, generation: int, counts: KeyCounts, ids: range | None = None) -> None:
    """Refuse the keys that their column shows to be damaged, in all rows or in some."""
    damaged: list[tuple[Callable[[str], bool], Expected, Remedy]] = []
    if counts.are_rounded:
        damaged.append((is_rounded, Expected.UNROUNDED_KEY, Remedy.CONFIRM_KEYS))
    if counts.are_decimals:
        expected, remedy = Expected.KEY_WITHOUT_POINT, Remedy.REMOVE_POINT_ZERO
        damaged.append((ends_in_point_zero, expected, remedy))
    for is_damaged, expected, remedy in damaged:
        rows = (row for row in store.staged.keys(generation, ids) if is_damaged(row[1]))
        while batch := list(islice(rows, _ROWS_PER_COMMIT)):
            store.staged.refuse_keys(
                (row, Reason(expected, KEY_COLUMN, excerpt(key), remedy)) for row, key in batch
            )


class Judging:
    """Decides about rows of one showing, of one sheet or of several.

    `policy` is for rows of several sheets.
    """

    def __init__(
        self,
        origins: Sequence[Origin],
        policy: OnDuplicate = "error",
        on_group: OnGroup = lambda _: None,
    ) -> None:
        self._origins = origins
        self._policy = policy
        self._on_group = on_group
        self._firsts = [origin.first for origin in origins]

    def settle(self, store: Store, generation: int, *, by_id: bool) -> None:
        """Decide about the staged rows; without `by_id`, rows of one key have one target."""
        for twins in _batched(store.staged.twins(generation)):
            self._settle_twins(store, twins)
        if by_id:
            for groups in _batched(store.staged.rivals(generation)):
                _record(store, (verdict for group in groups for verdict in self._rivals(group)))

    def _rivals(self, group: Sequence[tuple[int, int, int, int]]) -> Iterator[Verdict]:
        rivals = [
            self._placed(Twin(row, number, "" if usable else None, left_out=bool(left_out)))
            for row, number, usable, left_out in group
        ]
        self._on_group(rivals)
        return settle_rivals([twin for _, twin in rivals])

    def _settle_twins(self, store: Store, groups: Sequence[Sequence[StagedTwin]]) -> None:
        # Made one by one when they are recorded: only one group can have many.
        verdicts: list[Iterable[Verdict]] = []
        reports: list[tuple[int, str]] = []
        merges: list[tuple[int, str, str, str]] = []
        characters = 0
        for group in groups:
            placed = [
                self._placed(Twin(*twin[:-1], left_out=bool(twin.left_out))) for twin in group
            ]
            self._on_group(placed)
            twins, policy = [twin for _, twin in placed], self._policy_for(placed)
            decided, merge = settle_twins(twins, policy)
            verdicts.append(decided)
            if report := report_of_twins(twins, policy):
                reports.append(report)
            if merge is None:
                continue
            patch = merged(store.staged.bodies(twin.id for twin in merge.twins))
            if isinstance(patch, Reason):  # valid alone, but not together: an end before a start
                verdicts.append([Verdict(merge.id, State.INVALID, "bad_value", patch)])
            else:
                merges.append((merge.id, *patch))
                characters += len(patch[0])
            if characters > MAX_GROUP_CHARACTERS:
                store.staged.replace_patches(merges)
                merges, characters = [], 0
        store.staged.replace_patches(merges)
        store.staged.name_reports(reports)
        _record(store, chain.from_iterable(verdicts))

    def _placed(self, twin: Twin) -> tuple[int, Twin]:
        place = bisect_right(self._firsts, twin.id) - 1
        origin = self._origins[place]
        return place, replace(twin, file=origin.name, held=origin.held)

    def _policy_for(self, group: Sequence[tuple[int, Twin]]) -> OnDuplicate:
        places = {place for place, _ in group}
        return self._origins[places.pop()].policy if len(places) == 1 else self._policy


def _record(store: Store, verdicts: Iterable[Verdict]) -> None:
    store.staged.decide((v.id, v.state, v.error, v.reason) for v in verdicts)


def _batched(groups: Iterable[Sequence[T]]) -> Iterator[list[Sequence[T]]]:
    """Yield groups of rows in batches, bounded in their rows unless a single group has more."""
    batch: list[Sequence[T]] = []
    rows = 0
    for group in groups:
        batch.append(group)
        rows += len(group)
        if rows >= _ROWS_PER_COMMIT:
            yield batch
            batch, rows = [], 0
    if batch:
        yield batch
