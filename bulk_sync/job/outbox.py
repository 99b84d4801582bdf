"""Changes on their way: handed out to be sent, and what became of them.

Invariants, kept at every commit:

1. A row is `updated` only when an outcome that says so was recorded for its id.
2. A change leaves `exchange` only after it was committed as in flight, so that after a crash every
   row that may have been sent is either decided or known to be in flight.
3. A patch of which an attempt is without the API's answer is marked so, through crashes, until the
   API acknowledges it.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from itertools import chain
from operator import itemgetter

import msgspec

from bulk_sync.job.damage import (
    damaged_in_use,
)
from bulk_sync.job.database import LISTED, ON_THE_WAY, UNKNOWN, Database
from bulk_sync.job.known import Known
from bulk_sync.job.ledger import json_list
from bulk_sync.job.sealing import bytes_beside, seal
from bulk_sync.job.timeline import keep
from bulk_sync.model.rows import (
    Change,
    Outcome,
    State,
)
from bulk_sync.timeline import Unsaved

_MUCH_BESIDE = 16 << 20
"""Bytes in the side file from which on a run moves them into the checkpoint, which it then seals.
"""

_CHANGES = "SELECT json_group_array(json_array(id, number, target, body, digest, json({tried}))) FROM ({rows} LIMIT ?)"
_FRESH = _CHANGES.format(
    tried="'false'",
    rows="SELECT id, number, target, body, digest FROM staged WHERE generation = (SELECT generation FROM job) "
    "AND state = 'pending' AND id > (SELECT taken FROM job) "
    "AND NOT EXISTS (SELECT 1 FROM outcome WHERE outcome.id = staged.id) ORDER BY id",
)
_AGAIN = _CHANGES.format(
    tried="iif(?1, 'true', 'false')",
    rows="SELECT outcome.id, number, target, body, digest FROM outcome INDEXED BY outcome_not_updated "
    "CROSS JOIN staged ON staged.id = outcome.id WHERE outcome.state = 'pending' AND outcome.state <> 'updated' "
    "AND tried_before = ?1 AND outcome.id > ?2 AND generation = (SELECT generation FROM job) ORDER BY outcome.id",
)

_TOLD = {name: f"json_extract(value, '$[{place}]')" for place, name in enumerate(Outcome._fields)}
_TOLD["may_have_been_applied"] = (
    f"CASE {_TOLD['state']} WHEN 'updated' THEN 0 ELSE {_TOLD['may_have_been_applied']} END"
)

_ADDED = """
    ON CONFLICT (id) DO UPDATE SET
        state = excluded.state, in_flight = 0, http_status = excluded.http_status,
        attempts = attempts + excluded.attempts, throttled = throttled + excluded.throttled, error = excluded.error,
        message = coalesce(excluded.message, CASE excluded.state WHEN 'pending' THEN message END),
        showing_id = excluded.showing_id, updated_at = excluded.updated_at, sent_at = excluded.sent_at,
        duration_ms = excluded.duration_ms, may_have_been_applied = CASE excluded.state WHEN 'updated' THEN 0
            ELSE max(may_have_been_applied, excluded.may_have_been_applied) END
"""
"""What this run did is added to what the runs before did."""

_RECORD = f"INSERT INTO outcome ({', '.join(_TOLD)}) SELECT {', '.join(_TOLD.values())} FROM json_each(?) WHERE true {_ADDED}"
_USUAL = ("id", "http_status", "message", "showing_id", "updated_at", "sent_at", "duration_ms")
"""What differs between outcomes that are acknowledged at the first attempt."""

_USUAL_VALUES = itemgetter(*map(Outcome._fields.index, _USUAL))

_AT_ONCE = (1024, 512, 256, 128, 64)
"""Of the usual outcomes so many go into one statement, of which each is kept; what is left over
goes with the others.

SQLite takes values in a fifth of the time that it takes for a JSON list; but each statement lets
another thread in.
"""
_TRIED = f"(attempts > 0 OR {UNKNOWN})"

_TAKEN = msgspec.json.Decoder(list[Change])


class Outbox:
    """Hands out the changes of a job, each once in a run, and records their outcomes."""

    def __init__(self, database: Database, known: Known) -> None:
        self._database = database
        self._db = database.connection
        self._known = known
        self._seal_from = _MUCH_BESIDE
        self.begin()

    def begin(self) -> None:
        """Hand out from the start: a run begins."""
        self._on_the_way: set[int] = set()  # rows that were handed out, and have no outcome yet
        self._again_after = [0, 0]  # by `tried_before`
        # One after the other: none gets more while the run goes on.
        self._sources: list[Callable[[int], list[Change]]] = [
            partial(self._again, 0),
            self._fresh,
            partial(self._again, 1),
        ]

    def retry_undone(self) -> None:
        """Begin another run of the job: make rejected and failed rows pending again.

        What a crashed run had in flight is so no more, but says so.
        """
        with self._database.commit() as db:
            db.execute(
                f"INSERT INTO outcome (id, state, in_flight) SELECT id, state, 1 FROM staged WHERE {ON_THE_WAY}"
            )
            db.execute("UPDATE job SET ended = taken WHERE ended <> taken")
            db.execute(
                "UPDATE outcome SET may_have_been_applied = max(may_have_been_applied, in_flight), in_flight = 0, "
                "tried_before = 1, http_status = NULL, error = NULL, "
                "message = CASE WHEN state <> 'rejected' THEN message END, state = 'pending' "
                f"WHERE state <> 'updated' AND (state IN ('rejected', 'failed') OR state = 'pending' AND {_TRIED})"
            )
        self.begin()

    def exchange(
        self, outcomes: Sequence[Outcome] = (), points: Unsaved | None = None, limit: int = 0
    ) -> list[Change]:
        """Write what became of changes, each under the id it was claimed with, and claim others, in
        one commit.

        `points` go into the run's time line. One that was stopped before its first request is what
        it was before the run. What may have been applied before is still so, unless it is
        acknowledged now: a rejection speaks of one attempt only.

        Claimed are up to `limit` pending rows, each once in a run; they are in flight from here on.
        First those that no earlier run attempted, then the others, both in input order: a block of
        rows that the server chokes on can't end every run where it begins.
        """
        with self._database.commit() as db:
            if outcomes:
                self._record(db, outcomes)
            if points is not None:
                keep(db, points)
            changes = self._claim(db, limit) if limit else []
        if bytes_beside(self._database.path) >= self._seal_from:
            seal(self._db, self._database.path)
            self._seal_from = _MUCH_BESIDE + bytes_beside(
                self._database.path
            )  # if others read, much is still there
        return changes

    def release(self) -> None:
        """End a run whose requests have ended: rows that were handed out and have no outcome were
        never sent.
        """
        with self._database.commit() as db:
            unsent = sorted(self._on_the_way)
            _not_tried(db, unsent)
            db.execute("UPDATE job SET ended = taken")
            if unsent and self._known.asks_ledger():
                self._known.note(db, unsent)
        self.begin()

    def _claim(self, db: sqlite3.Connection, limit: int) -> list[Change]:
        found: list[Change] = []
        while self._sources and len(found) < limit:
            wanted = limit - len(found)
            taken = self._sources[0](wanted)
            if len(taken) < wanted:
                del self._sources[0]
            found += taken
            self._on_the_way.update([change.id for change in taken])
        if found and self._known.asks_ledger():
            self._known.take_out(db, found)
        return found

    def _fresh(self, limit: int) -> list[Change]:
        """The next rows that were never handed out."""
        found = self._changes(_FRESH, (limit,))
        if found:
            first = min(self._on_the_way, default=found[0].id)
            self._db.execute(
                "UPDATE job SET taken = ?, ended = max(ended, ? - 1)", (found[-1].id, first)
            )
        return found

    def _again(self, tried: int, limit: int) -> list[Change]:
        """The next pending rows that were handed out before, attempted or not."""
        found = self._changes(_AGAIN, (tried, self._again_after[tried], limit))
        if found:
            self._again_after[tried] = found[-1].id
            listed = json_list(change.id for change in found)
            self._db.execute(f"UPDATE outcome SET in_flight = 1 WHERE id IN {LISTED}", (listed,))
        return found

    def _changes(self, query: str, values: tuple[int, ...]) -> list[Change]:
        (rows,) = self._db.execute(query, values).fetchone()
        try:
            found = sorted(_TAKEN.decode(rows))
        except msgspec.ValidationError as error:
            raise damaged_in_use(
                self._database.path, f"a row to be sent is not what it was: {error}"
            ) from None
        for change in found:
            if change.id >= self._database.written_from:
                break
            if hashlib.sha256(change.body.encode()).hexdigest()[:32] != change.digest:
                raise damaged_in_use(
                    self._database.path, f"the patch of row {change.number} is not what it was"
                )
        return found

    def _record(self, db: sqlite3.Connection, outcomes: Sequence[Outcome]) -> None:
        ids = [outcome.id for outcome in outcomes]
        self._on_the_way.difference_update(ids)
        usual, others = _by_kind(outcomes)
        for rows in _AT_ONCE:
            while len(usual) >= rows:
                db.execute(
                    _record_usual(rows), [*chain.from_iterable(map(_USUAL_VALUES, usual[:rows]))]
                )
                del usual[:rows]
        if usual or others:
            db.execute(
                _RECORD, (json_list(chain(usual, (one for one in others if one.attempts > 0))),)
            )
        untried = [outcome.id for outcome in others if outcome.attempts == 0]
        if untried:
            _not_tried(db, untried)
        if self._database.has_shared_ledger:
            self._known.note(db, ids)
            return
        acknowledged = (
            [outcome.id for outcome in outcomes if outcome.state is State.UPDATED]
            if others
            else ids
        )
        if acknowledged:
            db.execute("INSERT INTO acknowledged VALUES (?)", (json_list(acknowledged),))
        if len(acknowledged) < len(ids) and self._known.asks_ledger():
            self._known.note(
                db, [outcome.id for outcome in others if outcome.state is not State.UPDATED]
            )


def _by_kind(outcomes: Iterable[Outcome]) -> tuple[list[Outcome], list[Outcome]]:
    """Those that are acknowledged at the first attempt, and the others."""
    usual: list[Outcome] = []
    others: list[Outcome] = []
    for one in outcomes:
        at_once = one.state is State.UPDATED and one.attempts == 1 and not one.throttled
        (usual if at_once else others).append(one)
    return usual, others


@lru_cache(maxsize=len(_AT_ONCE))
def _record_usual(rows: int) -> str:
    """The statement for the values of so many usual outcomes."""
    values = ", ".join([f"({', '.join('?' * len(_USUAL))}, 'updated', 1)"] * rows)
    return f"INSERT INTO outcome ({', '.join(_USUAL)}, state, attempts) VALUES {values} {_ADDED}"


def _not_tried(db: sqlite3.Connection, ids: Sequence[int]) -> None:
    """Rows that were handed out and never sent are what they were before the run."""
    db.execute(
        f"INSERT INTO outcome (id, state) SELECT value, 'pending' FROM ({LISTED}) WHERE true "
        "ON CONFLICT (id) DO UPDATE SET in_flight = 0",
        (json_list(ids),),
    )
