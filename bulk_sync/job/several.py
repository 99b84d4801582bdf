"""The rows of several sheets, staged as those of one.

Each sheet has a range of ids. What is decided about rows can be taken back, because whether a sheet
is refused, and so which row is sent for its twins, depends on the decisions themselves.
"""

from __future__ import annotations

from collections.abc import Iterator

from bulk_sync.job.database import APART, Database
from bulk_sync.job.staged import Decided
from bulk_sync.model.rows import State

# The columns of a row that a decision may change.
_COLUMNS = ("state", "error", "reasons", "body", "content", "digest", "fields", "report_id")


class SeveralSheets:
    """The staged rows of several sheets in a temporary store, by the ranges of their ids."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._db = database.connection

    def drop(self, ids: range) -> None:
        """Delete the rows of a sheet."""
        with self._database.commit() as db:
            db.execute("DELETE FROM staged WHERE id >= ? AND id < ?", (ids.start, ids.stop))

    def keep_originals(self) -> None:
        """Keep each row from now on as it was before the first decision about it."""
        self._db.execute(
            f"CREATE TEMP TABLE original AS SELECT id, {', '.join(_COLUMNS)} FROM staged WHERE 0"
        )
        self._db.execute("CREATE UNIQUE INDEX temp.original_id ON original (id)")
        old = ", ".join(f"old.{column}" for column in _COLUMNS)
        self._db.execute(
            "CREATE TEMP TRIGGER keep_original AFTER UPDATE ON main.staged "
            f"BEGIN INSERT OR IGNORE INTO original VALUES (old.id, {old}); END"
        )

    def take_back(self) -> None:
        """Take all decisions back."""
        with self._database.commit() as db:
            changes = ", ".join(f"{column} = original.{column}" for column in _COLUMNS)
            db.execute(f"UPDATE staged SET {changes} FROM original WHERE original.id = staged.id")
            db.execute("DELETE FROM original")

    def counts(self, ids: range) -> dict[State, int]:
        """Return how many rows of a sheet have each state, without those left out by choice."""
        found = self._db.execute(
            "SELECT state, count(*) FROM staged WHERE id >= ? AND id < ? "
            f"AND generation <> {APART} GROUP BY state",
            (ids.start, ids.stop),
        )
        return {State(state): count for state, count in found}

    def decided(self, ids: range) -> Iterator[Decided]:
        """Yield the rows of a sheet that were decided about, in input order."""
        found = self._db.execute(
            f"SELECT staged.id - ?1, number, {', '.join(f'staged.{one}' for one in _COLUMNS)} "
            "FROM original JOIN staged ON staged.id = original.id "
            "WHERE original.id >= ?1 AND original.id < ?2 ORDER BY original.id",
            (ids.start, ids.stop),
        )
        return map(Decided._make, found)
