"""The rows of a sheet while it is staged: written, merged and decided.

Invariant, kept at every commit: rows being staged carry a generation that is not the job's, so the
job stays as it was until `adoption` replaces it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from itertools import chain, groupby, islice
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec

from bulk_sync.job.database import APART, EARLIER, GROUP, PARKED, Database
from bulk_sync.job.sealing import keep_in_wal
from bulk_sync.model.own import typed
from bulk_sync.model.problems import Reason, encoded
from bulk_sync.model.rows import Cell, LeftOut, Problem, Record, State
from bulk_sync.model.summaries import Creatable

# Rows in one statement; it may have 32,766 values (SQLITE_MAX_VARIABLE_NUMBER).
_ROWS_A_STATEMENT = 500

MAX_GROUP_CHARACTERS = 4_000_000
"""Characters of the rows in one commit, apart from the last one; bounds memory when cells are huge.

Two groups are in memory at a time: one is written while the next one is filled.
"""


# Selects the rows of the sheet that is staged, those that are left out too.
_IN_SHEET = f"generation IN (?1, {APART})"

# A bad row takes part among twins, because with its values or its key corrected it would be one.
_HAS_VALUES = (
    "(digest IS NOT NULL OR (error = 'bad_value' AND target <> '') "
    "OR (error = 'bad_key' AND twin IS NOT NULL))"
)


class Twin(NamedTuple):
    """One of several rows of a showing; see `plan.Twin`."""

    id: int
    number: int
    digest: str | None
    report_id: str | None
    spelling: str
    left_out: int


class Decided(NamedTuple):
    """A staged row as its twins, rivals and merging left it, by its place among all of its sheet.

    `place` counts from 0, in input order.
    """

    place: int
    number: int
    state: str
    error: str | None
    reasons: str | None
    body: str | None
    content: str | None
    digest: str | None
    fields: str
    report_id: str | None


class StagedRows:
    """Writes the rows of a sheet, and settles which of several rows of a showing is sent."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._db = database.connection

    def stage(
        self,
        checked: Iterable[Record | Problem | LeftOut],
        *,
        keep_cells: bool = True,
        on_rows: Callable[[int], None] = lambda _: None,
    ) -> int:
        """Write rows under a new generation, and return it; see `Adoption.adopt`.

        `on_rows` is called with the number of rows so far, once for each group.
        """
        job = self._database.job()
        generation = job.generation + 1 if job else 1
        # Staging writes much; a WAL that keeps all of it would double the disk that is needed.
        keep_in_wal(self._db, kept=False)
        with self._database.commit() as db:
            db.execute(
                "DELETE FROM staged WHERE generation NOT IN (?, ?, ?)",
                (generation - 1, PARKED, EARLIER),
            )
            (last,) = db.execute("SELECT coalesce(max(id), 0) FROM staged").fetchone()
        self._database.written_from = last + 1
        count = 0
        # While SQLite writes a group in the thread, without the interpreter's lock, the next group
        # is read and checked here.
        with ThreadPoolExecutor(1) as thread:
            written: Future[None] | None = None
            for group in _groups(
                _staged(item, generation, keep_cells=keep_cells) for item in checked
            ):
                on_rows(count := count + len(group))
                if written is not None:
                    written.result()
                written = thread.submit(self._insert, group)
            if written is not None:
                written.result()
        return generation

    def _insert(self, group: Sequence[tuple[Any, ...]]) -> None:
        with self._database.commit() as db:
            for at in range(0, len(group), _ROWS_A_STATEMENT):
                some = group[at : at + _ROWS_A_STATEMENT]
                db.execute(_insert(len(some)), tuple(chain.from_iterable(some)))

    def twins(self, generation: int) -> Iterator[list[Twin]]:
        """Yield groups of staged rows of one showing, in input order.

        An invalid row with values for the showing is part of a group, without a digest.
        """
        # Rows whose keys only look the same; rare, and found by an index of their own.
        has_others = self._db.execute(
            f"SELECT 1 FROM staged WHERE {_IN_SHEET} AND twin IS NOT NULL LIMIT 1", (generation,)
        ).fetchone()
        if has_others:
            yield from self._lookalikes(generation)
        # Usually there are none, which a scan of the index shows without reading rows.
        if not self._db.execute(
            "SELECT 1 FROM staged WHERE target > '' GROUP BY target HAVING count(*) > 1"
        ).fetchone():
            return
        no_others = (
            "AND twin IS NULL AND NOT EXISTS (SELECT 1 FROM staged AS other "
            f"WHERE other.twin = staged.target AND other.{_IN_SHEET})"
        )
        last = ""  # read in batches, because a target may have thousands of characters
        while groups := self._db.execute(
            f"SELECT target FROM staged WHERE {_IN_SHEET} AND target > ?2 AND {_HAS_VALUES} "
            f"{no_others if has_others else ''} "
            "GROUP BY target HAVING count(*) > 1 AND count(digest) > 0 LIMIT ?3",
            (generation, last, GROUP),
        ).fetchall():
            for (last,) in groups:
                yield self._twins(generation, "target = ?2", last)

    def _lookalikes(self, generation: int) -> Iterator[list[Twin]]:
        last = ""
        while groups := self._db.execute(
            f"SELECT DISTINCT twin FROM staged WHERE {_IN_SHEET} AND twin > ?2 "
            "ORDER BY twin LIMIT ?3",
            (generation, last, GROUP),
        ).fetchall():
            for (last,) in groups:
                twins = self._twins(generation, "(twin = ?2 OR target = ?2)", last)
                if len(twins) > 1 and any(each.digest is not None for each in twins):
                    yield twins

    def _twins(self, generation: int, condition: str, name: str) -> list[Twin]:
        found = self._db.execute(
            "SELECT id, number, digest, report_id, iif(twin IS NULL, '', key), "
            f"generation = {APART} FROM staged WHERE {_IN_SHEET} "
            f"AND {condition} AND {_HAS_VALUES} ORDER BY id",
            (generation, name),
        )
        return [Twin(*row) for row in found]

    def bodies(self, ids: Iterable[int]) -> Iterator[tuple[str, list[str]]]:
        """Yield the patches of staged rows, each with the fields that a blank cell clears in it.

        One at a time, because a patch may have millions of characters.
        """
        for row in ids:
            body, blank = self._db.execute(
                "SELECT body, coalesce(blank, '') FROM staged WHERE id = ?", (row,)
            ).fetchone()
            yield body, blank.split()

    def keys(self, generation: int, ids: range | None = None) -> Iterator[tuple[int, str]]:
        """Yield id and key of the rows whose key names a showing; rows may be decided meanwhile.

        With `ids`, of these rows only.
        """
        last, end = (0, None) if ids is None else (ids.start - 1, ids.stop)
        while batch := self._db.execute(
            f"SELECT id, key FROM staged WHERE {_IN_SHEET} AND id > ?2 "
            "AND id < coalesce(?4, id + 1) AND key <> '' AND target <> '' ORDER BY id LIMIT ?3",
            (generation, last, GROUP, end),
        ).fetchall():
            last = batch[-1][0]
            yield from batch

    def refuse_keys(self, rows: Iterable[tuple[int, Reason]]) -> None:
        """Make staged rows invalid whose keys name no showing: (id, reason)."""
        with self._database.commit() as db:
            db.executemany(
                "UPDATE staged SET state = 'invalid', error = 'bad_key', reasons = ?2, "
                "target = '', content = NULL, body = NULL, digest = NULL, fields = '' "
                "WHERE id = ?1",
                ((row, encoded((why,))) for row, why in rows),
            )

    def rivals(self, generation: int) -> Iterator[list[tuple[int, int, int, int]]]:
        """Yield groups of staged rows with one key and several targets, in input order.

        Each row is (id, number, 1 if it would be sent, 1 if it is left out).
        """
        candidates = (
            f"FROM staged WHERE {_IN_SHEET} AND key <> '' AND target <> '' "
            "AND (state = 'pending' OR error IN ('bad_value', 'duplicate_key'))"
        )
        if not self._db.execute(
            f"SELECT 1 {candidates} AND target <> key LIMIT 1", (generation,)
        ).fetchone():
            return
        # All groups at once, because no index has the keys: a question for each group would read
        # the whole sheet as often as it has groups. In memory, because rows are decided meanwhile,
        # but without the keys, which may have thousands of characters.
        found = self._db.execute(
            f"SELECT key, id, number, state = 'pending', generation = {APART} {candidates} "
            f"AND key IN (SELECT key {candidates} GROUP BY key "
            "HAVING count(DISTINCT target) > 1 AND sum(state = 'pending') > 0) ORDER BY key, id",
            (generation,),
        )
        groups = [[row[1:] for row in group] for _, group in groupby(found, key=itemgetter(0))]
        yield from groups

    def decide(self, verdicts: Iterable[tuple[int, State, str | None, Reason]]) -> None:
        """Decide staged rows that won't be sent: (id, state, error, reason)."""
        with self._database.commit() as db:
            db.executemany(
                "UPDATE staged SET state = ?2, error = ?3, reasons = ?4 WHERE id = ?1",
                ((row, state.value, error, encoded((why,))) for row, state, error, why in verdicts),
            )

    def replace_patches(self, patches: Iterable[tuple[int, str, str, str]]) -> None:
        """Give staged rows the patches merged from their twins: (id, body, digest, fields)."""
        with self._database.commit() as db:
            db.executemany(
                "UPDATE staged SET body = ?2, digest = ?3, content = ?3, fields = ?4 WHERE id = ?1",
                patches,
            )

    def name_reports(self, reports: Iterable[tuple[int, str]]) -> None:
        """Give staged rows the report that a twin names: (id, report id)."""
        with self._database.commit() as db:
            db.executemany("UPDATE staged SET report_id = ?2 WHERE id = ?1", reports)

    def overrule(self, generation: int, rows: Iterable[Decided]) -> None:
        """Give staged rows what was decided about the same rows in a run of several sheets."""
        (first,) = self._db.execute(
            f"SELECT min(id) FROM staged WHERE {_IN_SHEET}", (generation,)
        ).fetchone()
        decided = iter(rows)
        while batch := list(islice(decided, GROUP)):
            with self._database.commit() as db:
                db.executemany(
                    "UPDATE staged SET state = ?3, error = ?4, reasons = ?5, body = ?6, "
                    "content = ?7, digest = ?8, fields = ?9, report_id = ?10 "
                    "WHERE id = ?1 + ?11 AND number = ?2",
                    ((*row, first) for row in batch),
                )

    def left_out(self) -> int:
        """Return how many rows of the sheet that is staged are left out."""
        (count,) = self._db.execute(
            "SELECT count(*) FROM staged WHERE generation = ?", (APART,)
        ).fetchone()
        return int(count)

    def drop_left_out(self) -> None:
        """Delete the rows of a staged sheet that are left out, to compare the others."""
        with self._database.commit() as db:
            db.execute("DELETE FROM staged WHERE generation = ?", (APART,))

    def accept_blank(self, generation: int) -> None:
        """Make rows with nothing to send pending, with an empty patch, for a comparison.

        One whose showing has another row is superseded.
        """
        blank = "generation = ?1 AND state = 'invalid' AND error = 'nothing_to_send'"
        other = (
            "EXISTS (SELECT 1 FROM staged AS other "
            "WHERE other.generation = ?1 AND other.target = staged.target "
            "AND other.id <> staged.id "
            "AND (other.error IS NOT 'nothing_to_send' OR other.id < staged.id))"
        )
        with self._database.commit() as db:
            db.execute(
                f"UPDATE staged SET state = 'superseded' WHERE {blank} AND {other}", (generation,)
            )
            db.execute(
                "UPDATE staged SET state = 'pending', error = NULL, reasons = NULL, body = '{}' "
                f"WHERE {blank}",
                (generation,),
            )

    def creatable(self, generation: int, report_id: str | None, most: int) -> Creatable:
        """Return which staged rows could create their showing; `report_id` is the default.

        Lists the numbers of the first `most` rows of those that could not.
        """
        pending = "FROM staged WHERE generation = ? AND state = 'pending'"
        by_id, no_report = "target <> key", "target = key AND report_id IS NULL"
        if report_id is not None:
            no_report = "0"

        def rows(condition: str) -> tuple[int, tuple[int, ...]]:
            (count,) = self._db.execute(
                f"SELECT count(*) {pending} AND {condition}", (generation,)
            ).fetchone()
            first = self._db.execute(
                f"SELECT number {pending} AND {condition} ORDER BY id LIMIT ?", (generation, most)
            )
            return count, tuple(number for (number,) in first)

        possible, _ = rows(f"NOT ({by_id}) AND NOT ({no_report})")
        return Creatable(possible, *rows(by_id), *rows(no_report))

    def patches(self, limit: int, generation: int) -> tuple[tuple[str, str], ...]:
        """Return (target, body) of the first staged patches that would be sent."""
        return tuple(
            self._db.execute(
                "SELECT target, body FROM staged WHERE generation = ? AND state = 'pending' "
                "ORDER BY id LIMIT ?",
                (generation, limit),
            )
        )


def _groups(rows: Iterator[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    """Yield rows in groups, bounded in number and in the length of their texts."""
    group: list[tuple[Any, ...]] = []
    characters = 0
    for row in rows:
        group.append(row)
        # Cells, patch and reasons; the other columns have no more than the cells have, but a key.
        characters += len(row[2]) + len(row[4]) + len(row[6] or row[11] or "")
        if len(group) == GROUP or characters > MAX_GROUP_CHARACTERS:
            yield group
            group, characters = [], 0
    if group:
        yield group


_STAGED = (
    "generation",
    "number",
    "cells",
    "target",
    "key",
    "content",
    "body",
    "digest",
    "fields",
    "state",
    "error",
    "reasons",
    "report_id",
    "twin",
    "blank",
)


@lru_cache(maxsize=2)
def _insert(rows: int) -> str:
    """Return the statement that takes each row's values from `_staged`."""
    values = f"({', '.join('?' * len(_STAGED))})"
    return f"INSERT INTO staged ({', '.join(_STAGED)}) VALUES {', '.join([values] * rows)}"


_INVALID, _PENDING = State.INVALID.value, State.PENDING.value


def _staged(
    item: Record | Problem | LeftOut, generation: int, *, keep_cells: bool
) -> tuple[Any, ...]:
    if isinstance(item, LeftOut):
        item, generation = item.item, APART
    number, raw, _ = item.row
    cells = _compact(raw) if keep_cells else "[]"
    if isinstance(item, Problem):
        return (
            generation,
            number,
            cells,
            item.target,
            item.key,
            None,
            None,
            None,
            "",
            _INVALID,
            item.code,
            encoded(item.reasons),
            None,
            item.twin,
            None,
        )
    _, target, body, digest, fields, key, report, twin, blank = item
    return (
        generation,
        number,
        cells,
        target,
        key,
        digest,
        body,
        digest,
        _joined(fields),
        _PENDING,
        None,
        None,
        report,
        twin,
        _joined(blank) or None,
    )


@lru_cache(maxsize=4096)
def _joined(fields: tuple[str, ...]) -> str:
    return " ".join(fields)


def _compact(cells: Sequence[Cell]) -> str:
    """Encode cells as a JSON list; those of a workbook keep their types."""
    encoded: Sequence[object] = cells
    try:
        # The quickest test that all cells are texts, which is so for every row of a CSV.
        "".join(cells)  # type: ignore[arg-type]  # others raise
    except TypeError:
        # No call for a text, because most cells of a workbook are texts, too.
        encoded = [cell if cell.__class__ is str else typed(cell) for cell in cells]
    return msgspec.json.encode(encoded).decode()
