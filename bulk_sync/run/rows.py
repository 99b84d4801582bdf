"""Stage the rows of a sheet in a store, and decide about duplicates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from msgspec import Struct

from bulk_sync.check.cells import excerpt
from bulk_sync.check.keys import KeyCounts, ends_in_point_zero, is_rounded
from bulk_sync.check.patches import merged
from bulk_sync.check.showing import ID_COLUMN, KEY_COLUMN
from bulk_sync.job.store import Store
from bulk_sync.model.problems import Expected, Reason, Remedy
from bulk_sync.model.rows import State
from bulk_sync.plan import OnDuplicate, Twin, Verdict, report_of_twins, settle_rivals, settle_twins
from bulk_sync.run.sheet import OnRows, Sheet

T = TypeVar("T")

# Groups of rows with one key that are decided in one commit.
_GROUPS_PER_COMMIT = 1000


class StagedRows(Struct, frozen=True):
    """The rows of a sheet in a store, by their generation.

    `left_out` counts the rows that --limit, --rows or --where left out, `duplicates` the rows that
    share a showing.
    """

    generation: int
    left_out: int
    duplicates: int


def stage_rows(
    sheet: Sheet, store: Store, on_rows: OnRows = lambda _: None, *, keep_cells: bool = True
) -> StagedRows:
    """Check the rows of a sheet into a store and decide about duplicates; raises InputError.

    Rows that are left out take part in what is decided: what a row means doesn't depend on which
    others are taken.
    """
    checked = sheet.chosen_rows()
    generation = store.staged.stage(checked, keep_cells=keep_cells, on_rows=on_rows)
    sheet.refuse_empty_choice()
    _refuse_keys(store, generation, sheet.keys)
    duplicates = _settle_twins(store, generation, sheet.meaning.on_duplicate)
    # Without a column of ids, rows of one key have one target: they are twins already.
    if sheet.mapping.index_of(ID_COLUMN) is not None:
        duplicates += _settle_rivals(store, generation)
    left_out = 0 if sheet.reading.takes_all else store.staged.left_out()
    return StagedRows(generation, left_out, duplicates)


def _refuse_keys(store: Store, generation: int, counts: KeyCounts) -> None:
    """Refuse the keys that their column shows to be damaged."""
    damaged: list[tuple[Callable[[str], bool], Expected, Remedy]] = []
    if counts.are_rounded:
        damaged.append((is_rounded, Expected.UNROUNDED_KEY, Remedy.CONFIRM_KEYS))
    if counts.are_decimals:
        expected, remedy = Expected.KEY_WITHOUT_POINT, Remedy.REMOVE_POINT_ZERO
        damaged.append((ends_in_point_zero, expected, remedy))
    for is_damaged, expected, remedy in damaged:
        rows = (row for row in store.staged.keys(generation) if is_damaged(row[1]))
        for batch in _batched(rows, _GROUPS_PER_COMMIT):
            store.staged.refuse_keys(
                (row, Reason(expected, KEY_COLUMN, excerpt(key), remedy)) for row, key in batch
            )


def _settle_twins(store: Store, generation: int, policy: OnDuplicate) -> int:
    """Decide about rows with one target; return how many they are."""
    duplicates = 0
    for groups in _batched(store.staged.twins(generation), _GROUPS_PER_COMMIT):
        verdicts: list[Verdict] = []
        reports: list[tuple[int, str]] = []
        patches: list[tuple[int, str, str, str]] = []
        for group in groups:
            twins = [Twin(*twin[:-1], left_out=bool(twin.left_out)) for twin in group]
            duplicates += sum(not twin.left_out for twin in twins)
            decided, merge = settle_twins(twins, policy)
            verdicts += decided
            if report := report_of_twins(twins, policy):
                reports.append(report)
            if merge is None:
                continue
            patch = merged([(twin.body or "{}", twin.blank.split()) for twin in merge.twins])
            if isinstance(patch, Reason):  # valid alone, but not together: an end before a start
                verdicts.append(Verdict(merge.id, State.INVALID, "bad_value", patch))
            else:
                patches.append((merge.id, *patch))
        store.staged.replace_patches(patches)
        store.staged.name_reports(reports)
        _record(store, verdicts)
    return duplicates


def _settle_rivals(store: Store, generation: int) -> int:
    """Decide about rows with one key and different ids; return how many they are."""
    duplicates = 0
    for groups in _batched(store.staged.rivals(generation), _GROUPS_PER_COMMIT):
        duplicates += sum(not left_out for rivals in groups for *_, left_out in rivals)
        _record(store, [verdict for rivals in groups for verdict in settle_rivals(rivals)])
    return duplicates


def _record(store: Store, verdicts: Iterable[Verdict]) -> None:
    store.staged.decide((v.id, v.state, v.error, v.reason) for v in verdicts)


def _batched(items: Iterator[T], size: int) -> Iterator[list[T]]:
    while batch := list(islice(items, size)):
        yield batch
