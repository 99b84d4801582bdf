"""How a staged sheet becomes the job's, and how a job goes.

Invariants, kept at every commit:

1. A sheet becomes the job's in one commit (`adopt`).
2. At that commit a row whose target and content were acknowledged is acknowledged again.
3. A patch of which an attempt is without the API's answer stays marked so through edits of the sheet.
"""

from __future__ import annotations

import json
import sqlite3

from bulk_sync.address import SANDBOX_TARGET
from bulk_sync.job.database import UNKNOWN, Database, Job, storable
from bulk_sync.job.known import Known
from bulk_sync.job.ledger import Ledger
from bulk_sync.job.outbox import Outbox
from bulk_sync.job.sealing import is_large, keep_sealed, seal
from bulk_sync.job.staged import PARKED
from bulk_sync.job.timeline import forget_runs
from bulk_sync.job.views import Views
from bulk_sync.model.rows import (
    SETTLED_STATES,
)


class Adoption:
    """Hands the checkpoint on from one sheet to the next."""

    def __init__(self, database: Database, known: Known, outbox: Outbox, views: Views) -> None:
        self._database = database
        self._db = database.connection
        self._known = known
        self._outbox = outbox
        self._views = views

    def adopt(self, job: Job) -> bool:
        """Make the rows staged as `job.generation` the job's, in one commit; True when it goes on
        with the one before.

        What was acknowledged for a target and content is carried over, unless the job before
        was settled and this is other content: then it is a new job, and all is sent.
        """
        staged = self._views.counts(job.generation)
        self._known.learn()
        with self._database.commit() as db:
            self._known.look_up_again()
            before = self._database.job()
            settled = before is not None and self._settled(before)
            goes_on = before is not None and (not settled or self._same_content(before, job))
            if goes_on:
                self._carry_over(db, job.generation)
            else:
                forget_runs(db)
            if job.partial and goes_on:
                self._park(db, job.generation)
            else:
                db.execute("DELETE FROM staged WHERE generation <> ?", (job.generation,))
            db.execute(
                "DELETE FROM outcome WHERE NOT EXISTS (SELECT 1 FROM staged WHERE staged.id = outcome.id)"
            )
            self._outbox.begin()
            db.execute(
                "INSERT OR REPLACE INTO job VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?)",
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
                    job.partial and goes_on and settled,
                    json.dumps(staged),
                ),
            )
        keep_sealed(self._db, kept=is_large(self._database.path))
        seal(self._db, self._database.path)
        return goes_on

    def _park(self, db: sqlite3.Connection, generation: int) -> None:
        """Keep what a --limit left out, acknowledged or in doubt; one with a newer row for its
        target is history.
        """
        newer = "EXISTS (SELECT 1 FROM staged AS new WHERE new.generation = ?1 AND new.target = row.target)"
        db.execute(
            "DELETE FROM staged WHERE id IN (SELECT id FROM row WHERE generation <> ?1 "
            f"AND (NOT (state = 'updated' OR {UNKNOWN}) OR {newer}))",
            (generation,),
        )
        db.execute(
            "INSERT INTO outcome (id, state, may_have_been_applied) SELECT id, state, 1 FROM row "
            "WHERE generation <> ? AND in_flight = 1 ON CONFLICT (id) DO UPDATE SET may_have_been_applied = 1, "
            "in_flight = 0",
            (generation,),
        )
        db.execute("UPDATE staged SET generation = ? WHERE generation <> ?", (PARKED, generation))

    def _settled(self, job: Job) -> bool:
        """True when nothing is left to do; of a sheet that --limit cut short only if it was so
        before.
        """
        if job.partial and not self._db.execute("SELECT of_settled FROM job").fetchone()[0]:
            return False
        return set(self._views.counts(job.generation)) <= SETTLED_STATES

    def _same_content(self, before: Job, job: Job) -> bool:
        """True when both sheets hold the same changes, in whatever order; a part of the sheet need
        not hold all.
        """
        contents = "SELECT target, content FROM staged WHERE generation IN (?, ?) AND state <> 'superseded'"
        old, new = (before.generation, PARKED), (job.generation, job.generation)
        pairs = ((new, old),) if job.partial else ((new, old), (old, new))
        return not any(
            self._db.execute(f"{contents} EXCEPT {contents} LIMIT 1", (*these, *those)).fetchone()
            for these, those in pairs
        )

    def _carry_over(self, db: sqlite3.Connection, generation: int) -> None:
        """Take over from the rows before what became of them, for rows of the same target and
        content.
        """
        pairs = (
            "FROM staged CROSS JOIN row AS old ON old.target = staged.target AND old.content = staged.content "
            "WHERE staged.generation = ?1 AND staged.state = 'pending' AND old.generation <> ?1"
        )
        db.execute(
            "INSERT INTO outcome (id, state, http_status, error, message, showing_id, updated_at, sent_at, "
            "duration_ms) SELECT staged.id, old.state, old.http_status, old.error, old.message, old.showing_id, "
            f"old.updated_at, old.sent_at, old.duration_ms {pairs} AND old.state = 'updated' "
            "ON CONFLICT (id) DO NOTHING",
            (generation,),
        )
        db.execute(
            "UPDATE staged SET body = coalesce(old.body, staged.body), digest = old.digest, fields = old.fields FROM "
            "(SELECT staged.id, old.body, old.digest, old.fields "
            f"{pairs} AND old.state = 'updated' AND old.digest IS NOT staged.digest) AS old WHERE old.id = staged.id",
            (generation,),
        )
        tried = "(old.attempts > 0 OR old.in_flight = 1 OR old.may_have_been_applied = 1)"
        db.execute(
            "UPDATE staged SET before = old.before FROM "
            f"(SELECT staged.id, old.before {pairs} AND (old.state = 'updated' OR {tried}) "
            "AND old.before IS NOT NULL) AS old WHERE old.id = staged.id",
            (generation,),
        )
        db.execute(
            "INSERT INTO outcome (id, state, attempts, throttled, tried_before, may_have_been_applied, message) "
            "SELECT staged.id, 'pending', old.attempts, old.throttled, 1, old.in_flight OR old.may_have_been_applied, "
            f"CASE WHEN old.state IN ('pending', 'failed') THEN old.message END {pairs} AND {tried} "
            "ON CONFLICT (id) DO UPDATE SET attempts = excluded.attempts, throttled = excluded.throttled",
            (generation,),
        )

    def drop(self) -> None:
        """Drop the job and its rows: what follows starts over. The ledger stays, but for that of a
        sandbox now gone.
        """
        self._known.learn()
        with self._database.commit() as db:
            db.execute("DELETE FROM job")
            db.execute("DELETE FROM staged")
            db.execute("DELETE FROM outcome")
            forget_runs(db)
            self._known.look_up_again()
            Ledger(db, SANDBOX_TARGET, self._database.ledger_schema).forget()
