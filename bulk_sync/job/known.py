"""What the API acknowledged, as a job asks and feeds the ledger.

Invariants, kept at every commit:

1. What the ledger (`ledger.py`) knows is what the API acknowledged, and nothing that was sent since.
2. Rows that were acknowledged and are not known there yet are listed in `acknowledged`, in the commit
   that recorded them; they are learnt before a run asks the ledger or the rows go. Who only reads
   learns them apart (`Known.acknowledged`).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from bulk_sync.job.database import GROUP, LISTED, OF_THE_JOB, UNKNOWN, Database
from bulk_sync.job.ledger import Acknowledged, Ledger, PendingKnown, json_list
from bulk_sync.job.ledger_entries import text_of as ledger_text
from bulk_sync.model.rows import (
    Change,
    State,
)

UNCHANGED = "Not sent: the API acknowledged these values before"

_ENDED = (
    "SELECT id, target, key, body, state, error, may_have_been_applied, showing_id, before FROM row "
    f"WHERE id IN {LISTED}"
)

_ACKNOWLEDGED = (
    "SELECT row.target, row.key, row.showing_id, row.body "
    "FROM acknowledged, json_each(acknowledged.ids) AS one CROSS JOIN row ON row.id = one.value "
    "WHERE row.state = 'updated' AND row.body IS NOT NULL"
)

_DECIDED = "ON CONFLICT (id) DO UPDATE SET state = excluded.state, message = excluded.message"


class _Ended(NamedTuple):
    """A row for the ledger, when something became of it."""

    id: int
    target: str
    key: str
    body: str
    state: str
    error: str | None
    doubt: int
    showing_id: str | None
    before: str | None


class Known:
    """What is known of the showings that a checkpoint speaks of."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._db = database.connection
        self._ledger: Ledger | None = None  # None: not looked up yet, here and below
        self._ledger_is_empty: bool | None = None

    def look_up_again(self) -> None:
        """Ask the ledger afresh: the job is another."""
        self._ledger = self._ledger_is_empty = None

    def learn(self) -> None:
        """Let the ledger know of all that was acknowledged."""
        if self._db.execute("SELECT 1 FROM acknowledged LIMIT 1").fetchone() is None:
            return
        with self._database.commit() as db:
            self._learn_into(self._of_job(), db)
            db.execute("DELETE FROM acknowledged")
            self._ledger_is_empty = None

    def _learn_into(self, known: Ledger, db: sqlite3.Connection) -> None:
        if known.is_empty():
            known.learn_all(_ACKNOWLEDGED)
        else:
            for (ids,) in db.execute("SELECT ids FROM acknowledged ORDER BY rowid").fetchall():
                self.note(db, json.loads(ids), known)
        self._take_out_what_is_in_doubt(db, known)

    def _take_out_what_is_in_doubt(self, db: sqlite3.Connection, known: Ledger) -> None:
        """A showing that was acknowledged under one name may have been changed since under another."""
        rows = db.execute(f"SELECT target, key, body FROM row WHERE {UNKNOWN} AND body IS NOT NULL")
        while group := rows.fetchmany(GROUP):
            with known.of(name for target, key, _ in group for name in (target, key)) as entries:
                for row in group:
                    entries.take_out(*row)

    def note(self, db: sqlite3.Connection, ids: Sequence[int], apart: Ledger | None = None) -> None:
        """Know what rows' patches set if acknowledged, and what was known before if they certainly
        did nothing.
        """
        ended = {one[0]: _Ended._make(one) for one in db.execute(_ENDED, (json_list(ids),))}
        rows = [ended[row] for row in ids]  # in the order of what became of them
        names = (name for one in rows for name in (one.target, one.key, one.showing_id or ""))
        with (apart or self._of_job()).of(names) as known:
            for one in rows:
                if one.state == State.UPDATED:
                    known.learn(one.target, one.key, one.showing_id, one.body)
                elif (
                    one.error == "not_found"
                ):  # should a showing of that name come back, it is another
                    known.forget(one.target)
                elif one.before and not one.doubt:
                    known.put_back(one.target, one.key, json.loads(one.before))
                    db.execute("UPDATE staged SET before = NULL WHERE id = ?", (one.id,))

    def take_out(self, db: sqlite3.Connection, changes: Sequence[Change]) -> None:
        """Take out of the ledger what the changes may alter; their rows keep what it was."""
        rows = db.execute(
            f"SELECT id, target, key, body, before FROM staged WHERE id IN {LISTED}",
            (json_list(change.id for change in changes),),
        ).fetchall()
        with self._of_job().of(
            name for _, target, key, *_ in rows for name in (target, key)
        ) as known:
            for row, target, key, body, before in rows:
                taken = known.take_out(target, key, body)
                if taken:
                    kept = json.loads(before) if before else {}
                    db.execute(
                        "UPDATE staged SET before = ? WHERE id = ?",
                        (ledger_text(kept | taken), row),
                    )

    def asks_ledger(self) -> bool:
        """True unless nothing is known of any showing; what is acknowledged meanwhile it learns
        later.
        """
        if self._ledger_is_empty is None:
            self._ledger_is_empty = (
                not self._database.has_shared_ledger and self._of_job().is_empty()
            )
        return not self._ledger_is_empty

    def _of_job(self) -> Ledger:
        if self._ledger is None:
            (base_url,) = self._db.execute("SELECT base_url FROM job").fetchone()
            self._ledger = Ledger(self._db, base_url, self._database.ledger_schema)
        return self._ledger

    def trust(self, fingerprint: str, *, same_account: bool) -> bool:
        """Say whose key this run has; False when what is known was another's, and is forgotten."""
        with self._database.commit() as db:
            trusted = self._of_job().belongs_to(fingerprint, same_account=same_account)
            if not trusted:
                db.execute("DELETE FROM acknowledged")
                self._ledger_is_empty = None
            return trusted

    def settle(self) -> None:
        """Call pending rows unchanged whose patch is exactly what the API acknowledged last."""
        self.learn()
        with self._database.commit() as db:
            db.execute(
                f"INSERT INTO outcome (id, state, message) SELECT row.id, 'unchanged', ? FROM row, job, "
                f"{self._of_job().name} AS known WHERE row.{OF_THE_JOB} AND row.state = 'pending' "
                f"AND NOT {UNKNOWN} AND known.base_url = job.base_url AND known.target = row.target "
                f"AND known.fields = row.body {_DECIDED}",
                (UNCHANGED,),
            )

    def of_pending(self, after: int = 0, limit: int = 1000) -> list[PendingKnown]:
        """Pending rows beyond the id `after`, with what was acknowledged for their showings, when
        anything was.
        """
        found = self._db.execute(
            f"SELECT row.id, body, known.fields FROM row CROSS JOIN {self._of_job().name} AS known "
            f"WHERE {OF_THE_JOB} AND state = 'pending' AND row.id > ? AND known.target = row.target "
            "AND known.base_url = (SELECT base_url FROM job) ORDER BY row.id LIMIT ?",
            (after, limit),
        )
        return [PendingKnown(row, body, json.loads(fields)) for row, body, fields in found]

    def leave_out(self, rest: Iterable[tuple[int, tuple[str, str, str] | None]]) -> None:
        """Give pending rows what is left of their patches, (body, digest, fields); with None they
        are unchanged.
        """
        with self._database.commit() as db:
            for row, patch in rest:
                if patch is None:
                    db.execute(
                        "INSERT INTO outcome (id, state, message) SELECT id, 'unchanged', ? FROM row "
                        f"WHERE id = ? AND NOT {UNKNOWN} {_DECIDED}",
                        (UNCHANGED, row),
                    )
                else:
                    db.execute(
                        "UPDATE staged SET body = ?, digest = ?, fields = ? WHERE id = ?",
                        (*patch, row),
                    )

    def acknowledged(self) -> Iterator[Acknowledged]:
        """All that the API acknowledged at the job's address, by target.

        The ledger itself learns nothing: a run that goes on must be the only one that writes there,
        for it relies on what it knew when it took rows.
        """
        if self._db.execute("SELECT 1 FROM acknowledged LIMIT 1").fetchone() is None:
            return self._of_job().all()
        known = self._of_job().apart()
        with self._database.at_one_moment():
            known.copy(self._of_job())
            self._learn_into(known, self._db)
        return known.all()

    def forget(self, names: Iterable[str]) -> None:
        """Another job is about to change showings that go by these keys or ids: rely on nothing
        acknowledged for them.

        A push of this job's sheet, as it was, sends them again.
        """
        self.learn()
        with self._database.commit() as db:
            known = self._of_job()
            db.execute("CREATE TEMP TABLE changed (name TEXT PRIMARY KEY) WITHOUT ROWID")
            remaining = iter(names)
            while some := list(islice(remaining, GROUP)):
                with known.of(some) as entries:
                    for name in some:
                        entries.forget_all_of(name)
                db.executemany(
                    "INSERT OR IGNORE INTO changed VALUES (?)", ((name,) for name in some)
                )
            db.execute(
                "UPDATE staged SET content = NULL WHERE id IN (SELECT id FROM row WHERE state = 'updated' "
                "AND (target IN (SELECT name FROM changed) OR key IN (SELECT name FROM changed)))"
            )
            db.execute("DROP TABLE changed")
            db.execute(
                "UPDATE job SET input_digest = ''"
            )  # else the same file would not be looked at again
