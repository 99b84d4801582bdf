"""Adopting a staged sheet as the checkpoint's job, and dropping a job.

Invariants:

1. A sheet becomes the job's in one commit. Before it, the job is the earlier one.
2. If the job goes on, a row whose target and content were acknowledged is acknowledged again in
   that commit, unless another job may have changed its showing since (`Known.find_overwritten`).
   One that may have been applied keeps that mark.
3. Acknowledged rows are learnt by the ledger before they are deleted.
4. A job is of the whole sheet; a choice (--rows, --where, --limit) only says which of its rows a
   run takes. The others are kept outside of the job's generation, where nothing is sent, and keep
   the outcome of their content: as `PARKED`, or as `EARLIER` if it is a former job's. A later run
   that takes them goes on from there.
"""

from __future__ import annotations

import json
import sqlite3

from bulk_sync.address import SANDBOX_TARGET
from bulk_sync.job.database import (
    ACKNOWLEDGED,
    APART,
    EARLIER,
    OWN_CONTENT,
    PARKED,
    Database,
    Job,
    storable,
)
from bulk_sync.job.known import Known
from bulk_sync.job.outbox import Outbox
from bulk_sync.job.sealing import is_large, keep_in_wal, seal
from bulk_sync.job.timeline import forget_runs
from bulk_sync.job.tries import with_last
from bulk_sync.job.views import Views
from bulk_sync.model.rows import SETTLED_STATES

# Selects old rows whose content North still has, as far as is known.
_DONE = f"old.{ACKNOWLEDGED} AND old.id NOT IN (SELECT id FROM overwritten)"

# Selects the new rows that are kept with their outcome, and not sent.
_SAME_LEFT_OUT = (
    "FROM staged CROSS JOIN row AS old "
    "ON old.target = staged.target AND old.content = staged.content "
    f"WHERE staged.generation = {APART} AND staged.state = 'pending' "
    f"AND old.generation NOT IN (?1, {APART}) AND old.id NOT IN (SELECT id FROM overwritten) "
    "AND (old.in_flight = 1 OR old.id IN (SELECT id FROM outcome))"
)

# The columns of an outcome that stay with a row that is left out.
_KEPT = (
    "tried_before, http_status, attempts, throttled, error, message, showing_id, updated_at, "
    "sent_at, duration_ms, given_up, echo, tries"
)


class Adoption:
    """Replaces the job of a checkpoint by another one."""

    def __init__(self, database: Database, known: Known, outbox: Outbox, views: Views) -> None:
        self._database = database
        self._db = database.connection
        self._known = known
        self._outbox = outbox
        self._views = views
        # New rows that are left out, each with the former row whose outcome it keeps; `former` is 1
        # if that is of the job before already.
        self._db.execute(
            "CREATE TEMP TABLE IF NOT EXISTS left_out (id INTEGER PRIMARY KEY, old, former)"
        )

    def adopt(self, job: Job, *, same_sheet: bool = False) -> bool:
        """Make the rows staged as `job.generation` the job's; return whether the job goes on.

        It goes on, keeping the outcomes of rows with the same target and content, unless it was
        settled and the content differs: then a new job begins, and all rows are sent. With
        `same_sheet` the content is known to be the same, whatever other files of the run decide
        about its rows.
        """
        staged = self._views.counts(job.generation)
        self._known.learn()
        with self._database.commit() as db:
            self._known.reset()
            before = self._database.job()
            settled = before is not None and self.is_settled(before)
            goes_on = before is not None and (
                not settled or same_sheet or self._same_content(before, job)
            )
            if job.partial:
                self._leave_out(db, job.generation)
            if goes_on:
                self._carry_over(db, job.generation)
            else:
                forget_runs(db)
                db.execute("DELETE FROM creation")
            self._replace_rows(db, job.generation, goes_on=goes_on)
            # Outcomes refer to rows by id, and ids of deleted rows may be used again.
            db.execute(
                "DELETE FROM outcome "
                "WHERE NOT EXISTS (SELECT 1 FROM staged WHERE staged.id = outcome.id)"
            )
            self._outbox.begin()
            db.execute(
                "INSERT OR REPLACE INTO job "
                "VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?, ?, ?, ?, ?, '[]', "
                "NULL, NULL)",
                (
                    job.generation,
                    storable(job.input),
                    job.input_digest,
                    job.meaning,
                    job.partial,
                    json.dumps(job.headers),
                    job.base_url,
                    job.key_fingerprint,
                    job.seconds,
                    True,
                    json.dumps(staged),
                    job.team and job.team.id,
                    job.team and job.team.name,
                    job.key_proven,
                    job.source,
                    job.elsewhere,
                ),
            )
        keep_in_wal(self._db, kept=is_large(self._database.path))
        seal(self._db, self._database.path)
        return goes_on

    def _leave_out(self, db: sqlite3.Connection, generation: int) -> None:
        """Give the new rows that are left out the outcomes of the same target and content."""
        db.execute(
            f"INSERT INTO left_out SELECT staged.id, min(old.id), old.generation = {EARLIER} "
            f"{_SAME_LEFT_OUT} GROUP BY staged.id",
            (generation,),
        )
        db.execute(
            f"INSERT INTO outcome (id, state, may_have_been_applied, {_KEPT}) "
            f"SELECT left_out.id, state, in_flight OR may_have_been_applied, {_KEPT} "
            "FROM left_out CROSS JOIN row ON row.id = left_out.old"
        )
        # The patch as it was sent: --only-changed may have left out fields.
        db.execute(
            "UPDATE staged SET whole = staged.body, body = coalesce(old.body, staged.body), "
            "digest = old.digest, fields = old.fields "
            "FROM (SELECT left_out.id, row.body, row.digest, row.fields FROM left_out "
            f"CROSS JOIN row ON row.id = left_out.old WHERE row.{ACKNOWLEDGED}) AS old "
            "WHERE old.id = staged.id AND old.digest IS NOT staged.digest"
        )
        db.execute(
            "UPDATE staged SET before = old.before FROM (SELECT left_out.id, row.before "
            "FROM left_out CROSS JOIN row ON row.id = left_out.old) AS old "
            "WHERE old.id = staged.id"
        )

    def _replace_rows(self, db: sqlite3.Connection, generation: int, *, goes_on: bool) -> None:
        """Delete the rows of the former sheet, and keep those of this one that are left out."""
        db.execute("DELETE FROM staged WHERE generation NOT IN (?, ?)", (generation, APART))
        former = "former" if goes_on else "1"
        db.execute(
            f"UPDATE staged SET generation = {EARLIER} "
            f"WHERE id IN (SELECT id FROM left_out WHERE {former})"
        )
        db.execute(f"UPDATE staged SET generation = {PARKED} WHERE generation = {APART}")
        db.execute("DELETE FROM left_out")

    def is_settled(self, job: Job) -> bool:
        """Return whether nothing is left to do, for rows that the last run left out either."""
        # Up to version 9 a part of a sheet said so of the whole.
        if job.partial and not self._db.execute("SELECT of_settled FROM job").fetchone()[0]:
            return False
        if not set(self._views.counts(job.generation)) <= SETTLED_STATES:
            return False
        settled = ", ".join(f"'{state.value}'" for state in sorted(SETTLED_STATES))
        unsettled = (
            f"SELECT 1 FROM row WHERE generation = {EARLIER} "
            f"OR (generation = {PARKED} AND state NOT IN ({settled})) LIMIT 1"
        )
        return not job.partial or self._db.execute(unsettled).fetchone() is None

    def _same_content(self, before: Job, job: Job) -> bool:
        """Return whether both sheets have the same changes, in any order."""
        contents = (
            f"SELECT target, content FROM staged WHERE generation IN (?, ?, ?) AND {OWN_CONTENT}"
        )
        old, new = (before.generation, PARKED, EARLIER), (job.generation, APART, APART)
        return not any(
            self._db.execute(f"{contents} EXCEPT {contents} LIMIT 1", (*these, *those)).fetchone()
            for these, those in ((new, old), (old, new))
        )

    def _carry_over(self, db: sqlite3.Connection, generation: int) -> None:
        """Copy outcomes to the new rows of the same target and content."""
        # CROSS JOIN keeps the planner from changing the order: the new rows look up the old ones.
        pairs = (
            "FROM staged CROSS JOIN row AS old "
            "ON old.target = staged.target AND old.content = staged.content "
            "WHERE staged.generation = ?1 AND staged.state = 'pending' "
            f"AND old.generation NOT IN (?1, {APART}, {EARLIER})"
        )
        db.execute(
            "INSERT INTO outcome (id, state, http_status, error, message, showing_id, updated_at, "
            "sent_at, duration_ms, echo) SELECT staged.id, old.state, old.http_status, old.error, "
            "old.message, old.showing_id, old.updated_at, old.sent_at, old.duration_ms, old.echo "
            f"{pairs} AND {_DONE} ON CONFLICT (id) DO NOTHING",
            (generation,),
        )
        # The patch as it was sent: --only-changed may have left out fields.
        db.execute(
            "UPDATE staged SET whole = staged.body, body = coalesce(old.body, staged.body), "
            "digest = old.digest, fields = old.fields "
            "FROM (SELECT staged.id, old.body, old.digest, old.fields "
            f"{pairs} AND {_DONE} AND old.digest IS NOT staged.digest) AS old "
            "WHERE old.id = staged.id",
            (generation,),
        )
        tried = "(old.attempts > 0 OR old.in_flight = 1 OR old.may_have_been_applied = 1)"
        # Not of rows that are sent again after an acknowledgement: a refusal would make the ledger
        # claim values of before that.
        db.execute(
            "UPDATE staged SET before = old.before FROM "
            f"(SELECT staged.id, old.before {pairs} "
            f"AND ({_DONE} OR NOT old.{ACKNOWLEDGED} AND {tried}) "
            "AND old.before IS NOT NULL) AS old WHERE old.id = staged.id",
            (generation,),
        )
        db.execute(
            "INSERT INTO outcome (id, state, attempts, throttled, tried_before, "
            "may_have_been_applied, tries, message) SELECT staged.id, 'pending', old.attempts, "
            "old.throttled, 1, old.in_flight OR old.may_have_been_applied, "
            f"iif({_DONE}, old.tries, {with_last('old')}), "
            "CASE WHEN old.state IN ('pending', 'failed') THEN old.message END "
            f"{pairs} AND {tried} ON CONFLICT (id) DO UPDATE SET attempts = excluded.attempts, "
            "throttled = excluded.throttled, tries = excluded.tries",
            (generation,),
        )

    def drop(self) -> None:
        """Drop the job and its rows, so that the next one starts over.

        The ledger stays, except for values of a sandbox, whose data is gone.
        """
        self._known.learn()
        with self._database.commit() as db:
            db.execute("DELETE FROM job")
            db.execute("DELETE FROM staged")
            db.execute("DELETE FROM outcome")
            db.execute("DELETE FROM creation")
            forget_runs(db)
            self._known.reset()
            self._database.ledger(SANDBOX_TARGET).forget()
