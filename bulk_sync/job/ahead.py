"""The changes of a staged sheet compared with what the API acknowledged, in a temporary store."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from bulk_sync.job.database import Database
from bulk_sync.job.ledger import Acknowledged
from bulk_sync.job.ledger_entries import Values, holds, json_text

_PENDING = "staged.generation = ? AND staged.state = 'pending'"


class ChangeAhead(NamedTuple):
    """A change that would be sent, with the acknowledged values of its showing."""

    id: int
    number: int
    target: str
    name: str
    body: str
    known: Values


class Ahead:
    """The changes of a staged sheet that would be sent."""

    def __init__(self, database: Database, generation: int) -> None:
        self._database = database
        self._db = database.connection
        self._generation = generation
        self._db.execute("CREATE TEMP TABLE known (target PRIMARY KEY, fields) WITHOUT ROWID")

    def learn(self, entries: Iterable[Acknowledged]) -> None:
        """Take over the entries of a ledger that are about these changes."""
        self._db.executemany(
            "INSERT OR REPLACE INTO known SELECT ?1, ?2 WHERE EXISTS "
            "(SELECT 1 FROM staged WHERE target = ?1 AND generation = ?3 AND state = 'pending')",
            ((one.target, json_text(one.values), self._generation) for one in entries),
        )

    def has_done(self) -> bool:
        """Return whether the sheet's job spares any of its changes (`leftover.left_by`)."""
        found = self._db.execute(
            "SELECT 1 FROM staged WHERE generation = ? AND state = 'updated' LIMIT 1",
            (self._generation,),
        )
        return found.fetchone() is not None

    def take_up(self, entries: Iterable[Acknowledged]) -> int:
        """Make changes pending again whose showings have other values by now; return their number.

        `entries` are those that others wrote; see `Known.find_overwritten`.
        """
        ids = {
            row
            for entry in entries
            for row, body in self._db.execute(
                "SELECT id, body FROM staged WHERE generation = ? AND state = 'updated' "
                "AND target IN (?, ?, ?)",
                (self._generation, entry.target, entry.key, entry.showing_id),
            )
            if not holds(entry.values, body)
        }
        with self._database.commit() as db:
            db.executemany("UPDATE staged SET state = 'pending' WHERE id = ?", ((i,) for i in ids))
        return len(ids)

    def known(self) -> Iterator[ChangeAhead]:
        """Yield the changes of showings with acknowledged values, in input order."""
        return self._changes("JOIN", -1)

    def first(self, most: int) -> list[ChangeAhead]:
        """Return the first changes."""
        return [*self._changes("LEFT JOIN", most)]

    def leave_out(self, ids: Iterable[int]) -> None:
        """Make rows `unchanged`."""
        with self._database.commit() as db:
            db.executemany(
                "UPDATE staged SET state = 'unchanged' WHERE id = ?", ((one,) for one in ids)
            )

    def _changes(self, join: str, most: int) -> Iterator[ChangeAhead]:
        found = self._db.execute(
            "SELECT id, number, staged.target, iif(key <> '', key, staged.target), body, "
            f"coalesce(known.fields, '{{}}') FROM staged {join} known "
            f"ON known.target = staged.target WHERE {_PENDING} ORDER BY id LIMIT ?",
            (self._generation, most),
        )
        for row, number, target, name, body, fields in found:
            yield ChangeAhead(row, number, target, name, body, json.loads(fields))
