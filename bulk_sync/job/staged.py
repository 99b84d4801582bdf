"""Rows while their sheet is being staged: written under a generation of their own, decided, merged.

Invariant, kept at every commit: rows being staged carry a generation that is not the job's, so the
job is what it was before until `adoption` makes them the job's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from itertools import chain
from typing import Any

import msgspec

from bulk_sync.job.database import GROUP, Database
from bulk_sync.job.sealing import keep_sealed
from bulk_sync.model.rows import (
    Cell,
    Problem,
    Record,
    State,
    text_of,
)

PARKED = -1
"""The generation of rows that a --limit left out, acknowledged or in doubt: not part of the job,
not forgotten.
"""

_ROWS_A_STATEMENT = 500
"""Rows in one statement while staging: fewer statements, of at most 32,766 values
(SQLITE_MAX_VARIABLE_NUMBER).
"""

_GROUP_CHARACTERS = 4_000_000
"""Characters of cells in one commit while staging: bounds memory when cells are huge."""


class StagedRows:
    """Writes the rows of a sheet, and decides what becomes of those that speak of one showing."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._db = database.connection

    def stage(
        self,
        checked: Iterable[Record | Problem],
        *,
        keep_cells: bool = True,
        on_rows: Callable[[int], None] = lambda _: None,
    ) -> int:
        """Write rows under a generation that no job has yet, and return it; see `adopt`.

        `on_rows` is told now and then how many there are so far.
        """
        job = self._database.job()
        generation = job.generation + 1 if job else 1
        keep_sealed(self._db, kept=False)
        with self._database.commit() as db:
            db.execute(
                "DELETE FROM staged WHERE generation NOT IN (?, ?)", (generation - 1, PARKED)
            )
            (last,) = db.execute("SELECT coalesce(max(id), 0) FROM staged").fetchone()
        self._database.written_from = last + 1
        count = 0
        # While SQLite writes one group, which it does beside Python, the next one is checked.
        with ThreadPoolExecutor(1) as thread:
            written: Future[None] | None = None
            for group in _groups(_staged(item, keep_cells=keep_cells) for item in checked):
                on_rows(count := count + len(group))
                if written is not None:
                    written.result()
                written = thread.submit(self._insert, generation, group)
            if written is not None:
                written.result()
        return generation

    def _insert(self, generation: int, group: Sequence[tuple[Any, ...]]) -> None:
        with self._database.commit() as db:
            for at in range(0, len(group), _ROWS_A_STATEMENT):
                some = group[at : at + _ROWS_A_STATEMENT]
                db.execute(_insert(len(some)), (generation, *chain.from_iterable(some)))

    def twins(self, generation: int) -> Iterator[list[tuple[int, int, str | None, str | None]]]:
        """Groups of (id, number, digest, body), in input order, of staged rows with one target.

        A row that says something of the showing and can't be read has neither digest nor body.
        """
        # Usually there are none; then the index alone says so.
        if not self._db.execute(
            "SELECT 1 FROM staged WHERE target > '' GROUP BY target HAVING count(*) > 1"
        ).fetchone():
            return
        says_something = "(digest IS NOT NULL OR (error = 'bad_value' AND target <> ''))"
        groups = self._db.execute(
            f"SELECT target FROM staged WHERE generation = ? AND {says_something} GROUP BY target HAVING count(*) > 1 "
            "AND count(digest) > 0",
            (generation,),
        ).fetchall()
        for (target,) in groups:
            yield self._db.execute(
                f"SELECT id, number, digest, body FROM staged WHERE generation = ? AND target = ? AND {says_something} "
                "ORDER BY id",
                (generation, target),
            ).fetchall()

    def rivals(self, generation: int) -> Iterator[list[tuple[int, int, int]]]:
        """Groups of (id, number, would be sent), in input order, of staged rows with one key and
        several targets.
        """
        of_rows = (
            "FROM staged WHERE generation = ? AND key <> '' AND target <> '' "
            "AND (state = 'pending' OR error IN ('bad_value', 'duplicate_key'))"
        )
        if not self._db.execute(
            f"SELECT 1 {of_rows} AND target <> key LIMIT 1", (generation,)
        ).fetchone():
            return
        groups = self._db.execute(
            f"SELECT key {of_rows} GROUP BY key HAVING count(DISTINCT target) > 1 AND sum(state = 'pending') > 0",
            (generation,),
        ).fetchall()
        for (key,) in groups:
            yield self._db.execute(
                f"SELECT id, number, state = 'pending' {of_rows} AND key = ? ORDER BY id",
                (generation, key),
            ).fetchall()

    def decide(self, verdicts: Iterable[tuple[int, State, str | None, str]]) -> None:
        """Set the state of staged rows that won't be sent: (id, state, error, message)."""
        with self._database.commit() as db:
            db.executemany(
                "UPDATE staged SET state = ?2, error = ?3, message = ?4 WHERE id = ?1",
                ((row, state.value, error, message) for row, state, error, message in verdicts),
            )

    def replace_patches(self, patches: Iterable[tuple[int, str, str, str]]) -> None:
        """Give staged rows the patches that their twins were merged into: (id, body, digest,
        fields).
        """
        with self._database.commit() as db:
            db.executemany(
                "UPDATE staged SET body = ?2, digest = ?3, content = ?3, fields = ?4 WHERE id = ?1",
                patches,
            )

    def accept_blank(self, generation: int) -> None:
        """Take staged rows that have nothing to send for showings without values, as a comparison
        sees them.

        One that stands beside another row for its showing says nothing.
        """
        blank = "generation = ?1 AND state = 'invalid' AND error = 'nothing_to_send'"
        other = (
            "EXISTS (SELECT 1 FROM staged AS other WHERE other.generation = ?1 AND other.target = staged.target "
            "AND other.id <> staged.id AND (other.error IS NOT 'nothing_to_send' OR other.id < staged.id))"
        )
        with self._database.commit() as db:
            db.execute(
                f"UPDATE staged SET state = 'superseded' WHERE {blank} AND {other}", (generation,)
            )
            db.execute(
                f"UPDATE staged SET state = 'pending', error = NULL, message = NULL, body = '{{}}' WHERE {blank}",
                (generation,),
            )

    def patches(self, limit: int, generation: int) -> tuple[tuple[str, str], ...]:
        """(target, body) of the first staged patches that would be sent."""
        return tuple(
            self._db.execute(
                "SELECT target, body FROM staged WHERE generation = ? AND state = 'pending' ORDER BY id LIMIT ?",
                (generation, limit),
            )
        )


def _groups(rows: Iterator[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    """Rows in groups that are bounded in number and in the length of their cells."""
    group: list[tuple[Any, ...]] = []
    characters = 0
    for row in rows:
        group.append(row)
        characters += len(row[1])
        if len(group) == GROUP or characters > _GROUP_CHARACTERS:
            yield group
            group, characters = [], 0
    if group:
        yield group


_STAGED = (
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
    "message",
)


@lru_cache(maxsize=2)
def _insert(rows: int) -> str:
    """The statement for the generation and then, row by row, what `_staged` gives."""
    values = f"(?1{', ?' * len(_STAGED)})"
    return (
        f"INSERT INTO staged (generation, {', '.join(_STAGED)}) VALUES {', '.join([values] * rows)}"
    )


_INVALID, _PENDING = State.INVALID.value, State.PENDING.value


def _staged(item: Record | Problem, *, keep_cells: bool) -> tuple[Any, ...]:
    number, raw, _ = item.row
    cells = _compact(raw) if keep_cells else "[]"
    if isinstance(item, Problem):
        return (
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
            item.message,
        )
    _, target, body, digest, fields, key = item
    return number, cells, target, key, digest, body, digest, _joined(fields), _PENDING, None, None


@lru_cache(maxsize=4096)
def _joined(fields: tuple[str, ...]) -> str:
    return " ".join(fields)


def _compact(cells: Sequence[Cell]) -> str:
    """A JSON list of texts; cells of a workbook are kept as the text that reports show."""
    try:
        "".join(cells)  # type: ignore[arg-type] # fails for what is no text
    except TypeError:
        cells = [text_of(cell) for cell in cells]
    return msgspec.json.encode(cells).decode()
