"""The acknowledged values of a job's showings: the job's side of the ledger.

Invariants, kept at every commit:

1. The ledger (`ledger.py`) holds only what the API acknowledged, and nothing of a showing that a
   later patch may have changed, or of a field that came back with another value than was sent.
2. Acknowledged rows that the ledger has not learnt are listed in `acknowledged`, in the commit that
   recorded them. They are learnt before a run reads the ledger and before the rows go. Readers
   learn them in a copy.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from bulk_sync.job.database import (
    ACKNOWLEDGED,
    GROUP,
    IN_DOUBT,
    IN_JOB,
    LISTED,
    Database,
    storable,
)
from bulk_sync.job.ledger import Acknowledged, Ledger, LedgerAccount, json_list
from bulk_sync.job.ledger_entries import TRACE, Entry, Values, holds, json_text
from bulk_sync.model.account import Team
from bulk_sync.model.rows import ACKNOWLEDGED_STATES, Change

UNCHANGED = "Not sent: the API acknowledged these values before"
"""The message of rows that need no request."""

# A created showing has no value in a field that was to be cleared, or North's default.
_CREATED = "iif(row.state = 'created', json_patch('{}', row.body), row.body)"
# RFC 7396: null removes a field.
_DIFFERING = (
    "(SELECT json_group_object(json_extract(value, '$.field'), NULL) FROM json_each(row.echo))"
)
_LEARNT = f"iif(row.echo IS NULL, {_CREATED}, json_patch({_CREATED}, {_DIFFERING})) AS body"
# When the reply arrived; NULL without a time that SQLite can read.
_AT = (
    "strftime('%Y-%m-%dT%H:%M:%fZ', row.sent_at, "
    "printf('+%.3f seconds', coalesce(row.duration_ms, 0) / 1000.0)) AS at"
)
_ENDED = (
    f"SELECT id, target, key, {_LEARNT}, state, error, may_have_been_applied, showing_id, before, "
    f"{_AT} FROM row WHERE id IN {LISTED}"
)
_ACKNOWLEDGED = (
    f"SELECT row.target, row.key, row.showing_id, {_LEARNT}, {_AT} "
    "FROM acknowledged, json_each(acknowledged.ids) AS one CROSS JOIN row ON row.id = one.value "
    f"WHERE row.{ACKNOWLEDGED} AND row.body IS NOT NULL"
)
# Settled rows whose entries have another writer and not the same text, or aren't found by target.
_SETTLED = (
    "SELECT row.id, row.target, row.key, row.showing_id, "
    "coalesce((SELECT whole FROM staged WHERE staged.id = row.id), body) AS said, "
    "known.target, known.key, known.showing_id, known.fields, known.writer, known.times "
    "FROM job CROSS JOIN row LEFT JOIN {0} AS known "
    "ON known.base_url = job.base_url AND known.target = row.target "
    "WHERE row.generation BETWEEN -1 AND job.generation "
    "AND state IN ('updated', 'created', 'unchanged') "
    "AND (known.target IS NULL OR known.writer IS NOT ?1 AND known.fields IS NOT said)"
)
_LISTED_OF = (
    "SELECT row.id FROM acknowledged, json_each(acknowledged.ids) AS one "
    f"CROSS JOIN row ON row.id = one.value WHERE row.{ACKNOWLEDGED} AND row.body IS NOT NULL "
    f"AND (row.key IN {LISTED} OR row.target IN {LISTED} OR row.showing_id IN {LISTED}) "
    "ORDER BY acknowledged.rowid, one.id"
)
_DOUBTFUL = f"SELECT target, key, body FROM row WHERE {IN_DOUBT} AND body IS NOT NULL"
_ANY_LISTED = "SELECT 1 FROM acknowledged LIMIT 1"
_ANY_OWN = "SELECT 1 FROM main.ledger UNION ALL SELECT 1 FROM acknowledged LIMIT 1"
_REPLACES = "ON CONFLICT (id) DO UPDATE SET state = excluded.state, message = excluded.message"


class PendingKnown(Struct, frozen=True):
    """A row waiting to be sent, with the acknowledged values of its showing."""

    id: int
    body: str
    values: Values


class _Ended(NamedTuple):
    """A row with an outcome."""

    id: int
    target: str
    key: str
    body: str
    state: str
    error: str | None
    may_have_been_applied: int
    showing_id: str | None
    before: str | None
    at: str | None


class Known:
    """The acknowledged values of the showings of a checkpoint's job."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._db = database.connection
        # None until they are looked up.
        self._cached_ledger: Ledger | None = None
        self._ledger_is_empty: bool | None = None

    def reset(self) -> None:
        """Forget which ledger the job uses, because the job is replaced."""
        self._cached_ledger = self._ledger_is_empty = None

    def account(self, base_url: str) -> LedgerAccount | None:
        """Return the key, and its team, that the ledger's values were acknowledged to."""
        return self._database.ledger(base_url).account()

    def bind(self, fingerprint: str, team: Team) -> None:
        """Record the team that users/me names for this run's key: the job's, and the ledger's."""
        job = self._database.job()
        assert job is not None  # noqa: S101 - a run has a job
        same_key = job.key_fingerprint == fingerprint
        before = job.team or Team()
        after = Team(team.id or before.id, team.name or before.name)
        if same_key and after == before and self._ledger_knows(fingerprint, team):
            return
        with self._database.commit() as db:
            db.execute(
                "UPDATE job SET key_fingerprint = ?, team_id = ?, team_name = ?, key_proven = ?",
                (fingerprint, after.id, after.name, job.key_proven and same_key),
            )
            self._ledger().belongs_to(LedgerAccount(fingerprint, team), same_team=True)

    def _ledger_knows(self, fingerprint: str, team: Team) -> bool:
        found = self._ledger().account()
        return (
            found is not None
            and found.fingerprint == fingerprint
            and (team.id is None or found.team is not None)
        )

    def trust(self, fingerprint: str, team: Team | None, *, same_team: bool) -> bool:
        """Record this run's API key; return False when another team's values were dropped.

        `team` is the one that users/me names; where it is unknown, `same_team` decides. A key that
        the API refused left no values.
        """
        with self._database.commit() as db:
            key, ledger = LedgerAccount(fingerprint, team), self._ledger()
            is_new = ledger.is_empty() and db.execute(_ANY_LISTED).fetchone() is None
            trusted = ledger.belongs_to(key, same_team=same_team)
            if not trusted:
                db.execute("DELETE FROM acknowledged")
                self._ledger_is_empty = None
            return trusted or is_new

    def move(self) -> None:
        """Let the ledger that the job uses from now on take over what its own one knows.

        A job that goes back to its own ledger starts with none, because others know more by now.
        """
        path = self._database.shared_ledger
        place = None if path is None else storable(str(path.absolute()))
        (before,) = self._db.execute("SELECT path FROM ledger_place").fetchone()
        if before == place and (path is None or not self._db.execute(_ANY_OWN).fetchone()):
            return
        with self._database.commit() as db:
            db.execute("UPDATE ledger_place SET path = ?", (place,))
            if path is None:
                return
            job = self._database.job()
            if job is not None:
                self._learn_listed(Ledger(db, job.base_url), db)
            db.execute("DELETE FROM acknowledged")
            for (base_url,) in db.execute("SELECT base_url FROM main.ledger_account").fetchall():
                own = Ledger(db, base_url)
                self._database.ledger(base_url).join(own, is_of=self._database.writer())
                own.forget()

    # While a run sends

    def is_in_use(self) -> bool:
        """Return whether outcomes and changes have to be compared with the ledger.

        The checkpoint's own ledger, while it is empty, needs no look-ups: it learns at the end.
        """
        if self._ledger_is_empty is None:
            shared = self._database.has_shared_ledger
            self._ledger_is_empty = not shared and self._ledger().is_empty()
        return not self._ledger_is_empty

    def withdraw(self, db: sqlite3.Connection, changes: Sequence[Change]) -> None:
        """Withdraw the values that changes may alter; their rows keep the earlier values."""
        rows = db.execute(
            f"SELECT id, target, key, body, before FROM staged WHERE id IN {LISTED}",
            (json_list(change.id for change in changes),),
        ).fetchall()
        names = (name for _, target, key, *_ in rows for name in (target, key))
        with self._ledger().entries(names) as entries:
            for row, target, key, body, before in rows:
                withdrawn = entries.withdraw(target, key, body)
                if withdrawn:
                    kept = json.loads(before) if before else {}
                    db.execute(
                        "UPDATE staged SET before = ? WHERE id = ?",
                        (json_text(kept | withdrawn), row),
                    )

    def learn_outcomes(
        self, db: sqlite3.Connection, ids: Sequence[int], ledger: Ledger | None = None
    ) -> None:
        """Learn the patches of acknowledged rows; restore the values before those without effect.

        `ids` are in the order of their outcomes. `ledger` takes the place of the job's.
        """
        ended = {one[0]: _Ended._make(one) for one in db.execute(_ENDED, (json_list(ids),))}
        rows = [ended[row] for row in ids]
        names = (name for one in rows for name in (one.target, one.key, one.showing_id or ""))
        with (ledger or self._ledger()).entries(names) as entries:
            for one in rows:
                if one.state in ACKNOWLEDGED_STATES:
                    entries.learn(one.target, one.key, one.showing_id, one.body, one.at)
                elif one.error == "not_found":
                    # Whatever showing gets this name later is another one.
                    entries.forget(one.target, one.key)
                elif one.before and not one.may_have_been_applied:
                    entries.restore(one.target, one.key, json.loads(one.before))
                    db.execute("UPDATE staged SET before = NULL WHERE id = ?", (one.id,))

    def forget_missing(self, db: sqlite3.Connection, rows: Iterable[tuple[int, str]]) -> None:
        """Drop the values of showings that North does not have: (id of the row, target)."""
        found = list(rows)
        with self._ledger().entries(target for _, target in found) as entries:
            for row, target in found:
                entries.forget(target, target)
                db.execute("UPDATE staged SET before = NULL WHERE id = ?", (row,))

    def learn(self) -> None:
        """Let the ledger learn all acknowledged rows that it has not learnt."""
        if self._db.execute(_ANY_LISTED).fetchone() is None:
            return
        with self._database.commit() as db:
            self._learn_listed(self._ledger(), db)
            db.execute("DELETE FROM acknowledged")
            self._ledger_is_empty = None

    def _learn_listed(self, ledger: Ledger, db: sqlite3.Connection) -> None:
        if ledger.is_empty():
            ledger.learn_all(_ACKNOWLEDGED)
        else:
            for (ids,) in db.execute("SELECT ids FROM acknowledged ORDER BY rowid").fetchall():
                self.learn_outcomes(db, json.loads(ids), ledger)
        self._withdraw_doubtful(db, ledger)

    def _withdraw_doubtful(self, db: sqlite3.Connection, ledger: Ledger) -> None:
        """Withdraw values that a row in doubt may have changed, perhaps under another name."""
        rows = db.execute(_DOUBTFUL)
        while group := rows.fetchmany(GROUP):
            with ledger.entries(
                name for target, key, _ in group for name in (target, key)
            ) as entries:
                for row in group:
                    entries.withdraw(*row)

    def _ledger(self) -> Ledger:
        if self._cached_ledger is None:
            (base_url,) = self._db.execute("SELECT base_url FROM job").fetchone()
            self._cached_ledger = self._database.ledger(base_url)
        return self._cached_ledger

    # Before a run sends

    def find_overwritten(self) -> int:
        """Find settled rows whose showings others may have changed since; return their number.

        They are not carried over when the sheet is adopted again: see `Adoption`.
        """
        self.learn()
        with self._database.commit() as db:
            db.execute("DELETE FROM overwritten")
            if not self._ledger().has_other_writers():
                return 0
            me = self._database.writer() if self._database.has_shared_ledger else None
            settled = db.execute(_SETTLED.format(self._ledger().name), (me,))
            while group := settled.fetchmany(GROUP):
                found = self._overwritten(group, me)
                db.executemany("INSERT INTO overwritten VALUES (?)", ((row,) for row in found))
            (count,) = db.execute("SELECT count(*) FROM overwritten").fetchone()
            return int(count)

    def _overwritten(self, rows: Sequence[Sequence[Any]], me: str | None) -> Iterator[int]:
        """Yield the ids of those rows of `_SETTLED` that North may not have any more."""
        names = {row[0]: set(row[1:4]) - {None, ""} for row in rows if row[5] is None}
        with self._ledger().entries(one for some in names.values() for one in some) as entries:
            for row, _, _, _, body, *entry in rows:
                found = [Entry._make(entry)] if row not in names else entries.of(names[row])
                others = (one for one in found if one.writer != me)
                if any(body is None or not holds(one.values, body) for one in others):
                    yield row

    # For --only-changed

    def settle(self) -> None:
        """Make pending rows `unchanged` whose patch is exactly what the API acknowledged last."""
        self.learn()
        with self._database.commit() as db:
            db.execute(
                "INSERT INTO outcome (id, state, message) SELECT row.id, 'unchanged', ? "
                f"FROM row, job, {self._ledger().name} AS known "
                f"WHERE row.{IN_JOB} AND row.state = 'pending' AND NOT {IN_DOUBT} "
                "AND known.base_url = job.base_url AND known.target = row.target "
                f"AND known.fields = row.body {_REPLACES}",
                (UNCHANGED,),
            )

    def pending_known(self, after: int = 0, limit: int = 1000) -> list[PendingKnown]:
        """Return the next pending rows after an id, if their showings have acknowledged values."""
        found = self._db.execute(
            "SELECT row.id, body, known.fields "
            f"FROM row CROSS JOIN {self._ledger().name} AS known "
            f"WHERE {IN_JOB} AND state = 'pending' AND row.id > ? "
            "AND known.target = row.target AND known.base_url = (SELECT base_url FROM job) "
            f"AND known.fields <> '{TRACE}' "
            "ORDER BY row.id LIMIT ?",
            (after, limit),
        )
        return [PendingKnown(row, body, json.loads(fields)) for row, body, fields in found]

    def leave_out(self, rest: Iterable[tuple[int, tuple[str, str, str] | None]]) -> None:
        """Replace the patches of pending rows, by id, with their rest: (body, digest, fields).

        A row without a rest becomes `unchanged`.
        """
        with self._database.commit() as db:
            for row, patch in rest:
                if patch is None:
                    db.execute(
                        "INSERT INTO outcome (id, state, message) SELECT id, 'unchanged', ? "
                        f"FROM row WHERE id = ? AND NOT {IN_DOUBT} {_REPLACES}",
                        (UNCHANGED, row),
                    )
                else:
                    db.execute(
                        "UPDATE staged SET whole = coalesce(whole, body), "
                        "body = ?, digest = ?, fields = ? WHERE id = ?",
                        (*patch, row),
                    )

    # For explain

    def find(self, base_url: str, names: Iterable[str]) -> list[Acknowledged]:
        """Return what the API acknowledged last of the showings with any of these names.

        As `acknowledged`, it changes nothing.
        """
        known = {*names} - {""}
        ledger = self._database.ledger(base_url)
        copy = ledger.temporary()
        with self._database.snapshot():
            copy.copy_from(ledger, known)
            listed = json_list(known)
            rows = self._db.execute(_LISTED_OF, (listed, listed, listed)).fetchall()
            self.learn_outcomes(self._db, [row for (row,) in rows], copy)
            doubtful = self._db.execute(
                f"{_DOUBTFUL} AND (key IN {LISTED} OR target IN {LISTED})", (listed, listed)
            )
            with copy.entries(known) as entries:
                for row in doubtful.fetchall():
                    entries.withdraw(*row)
        return copy.find(known)

    # For reconcile

    def acknowledged(self) -> Iterator[Acknowledged]:
        """Yield all acknowledged values at the job's base URL, sorted by target.

        The ledger itself learns nothing here. Only a run may write to it, because a run relies on
        the values that it had when rows were handed out.
        """
        if self._db.execute(_ANY_LISTED).fetchone() is None:
            return self._ledger().all()
        copy = self._ledger().temporary()
        with self._database.snapshot():
            copy.copy_from(self._ledger())
            self._learn_listed(copy, self._db)
        return copy.all()
