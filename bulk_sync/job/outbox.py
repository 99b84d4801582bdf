"""Changes handed out to be sent, and their outcomes.

Invariants, kept at every commit:

1. A row is `updated` only when an outcome that says so was recorded for its id.
2. A change leaves `exchange` only after it was committed as in flight. So after a crash every row
   that may have been sent has an outcome or is known to be in flight.
3. A row with an attempt that got no answer from the API is marked `may_have_been_applied`, through
   crashes, until the API acknowledges its patch.
4. What an outcome means for the ledger is learnt, or listed to be learnt, in the same commit.
5. Under `--ambiguous stop` a row whose request left in any run of the job, and whose outcome isn't
   known, is not handed out: see `leave_ambiguous`.
6. A showing is listed in `creation` before `begin_creations` returns its row, and until an outcome
   settles whether it was created. From then on the row's patch is all that the sheet says of it.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from itertools import accumulate, chain
from operator import itemgetter

import msgspec

from bulk_sync.job.damage import damaged_during_run
from bulk_sync.job.database import (
    ACKNOWLEDGED,
    IN_DOUBT,
    IN_JOB,
    LISTED,
    UNRECORDED,
    Database,
)
from bulk_sync.job.known import Known
from bulk_sync.job.ledger import json_list
from bulk_sync.job.sealing import seal, wal_bytes
from bulk_sync.job.timeline import keep
from bulk_sync.job.tries import ADDED, with_last
from bulk_sync.model.rows import (
    ACKNOWLEDGED_STATES,
    Change,
    Creation,
    GivenUp,
    Outcome,
    State,
)
from bulk_sync.timeline import Unsaved

MAX_HANDED_CHARACTERS = 4 * 1024 * 1024
"""Characters of the patches that are handed out at once, unless a single one has more."""

# The WAL's high-water mark, at which a run moves it into the checkpoint and seals that.
_SEAL_WAL_BYTES = 16 << 20

# In the order of `Change`. A row has its key's text as its target unless its id addresses it.
_CHANGES = (
    "SELECT json_group_array(json_array(id, number, target, body, digest, json({tried}), "
    "json(iif(target <> key, 'true', 'false')), json({in_doubt}))) "
    "FROM ({rows} LIMIT ?) AS rows"
)
_LENGTHS = "SELECT coalesce(length(body), 0) FROM ({rows} LIMIT ?)"
_ALL_LENGTHS = "SELECT count(*), coalesce(sum(length(body)), 0) FROM ({rows} LIMIT ?)"
_FRESH_ROWS = (
    "SELECT id, number, target, key, body, digest FROM staged "
    "WHERE generation = (SELECT generation FROM job) AND state = 'pending' "
    "AND id > (SELECT taken FROM job) "
    "AND NOT EXISTS (SELECT 1 FROM outcome WHERE outcome.id = staged.id) ORDER BY id"
)
_FRESH = _CHANGES.format(tried="'false'", in_doubt="'false'", rows=_FRESH_ROWS)
# The state is compared twice, because SQLite uses the partial index only with its own condition.
_REPEATED_ROWS = (
    "SELECT outcome.id, number, target, key, body, digest "
    "FROM outcome INDEXED BY outcome_not_updated CROSS JOIN staged ON staged.id = outcome.id "
    "WHERE outcome.state = 'pending' AND outcome.state <> 'updated' "
    "AND tried_before = ?1 AND outcome.id > ?2 "
    "AND generation = (SELECT generation FROM job) ORDER BY outcome.id"
)
_REPEATED = _CHANGES.format(
    tried="iif(?1, 'true', 'false')",
    # A subquery for each row that is handed out keeps the scan itself within the index.
    in_doubt="iif((SELECT may_have_been_applied FROM outcome AS its WHERE its.id = rows.id), "
    "'true', 'false')",
    rows=_REPEATED_ROWS,
)
_DECODER = msgspec.json.Decoder(list[Change])

_VALUES = {
    name: f"json_extract(value, '$[{place}]')"
    for place, name in enumerate(Outcome._fields)
    if name != "may_be_created"  # kept in `creation`
}
_VALUES["may_have_been_applied"] = (
    f"iif({_VALUES['state']} IN ('updated', 'created'), 0, {_VALUES['may_have_been_applied']})"
)
# This run's counts are added to those of earlier runs.
_ADDED = f"""
    ON CONFLICT (id) DO UPDATE SET
        state = excluded.state, in_flight = 0, http_status = excluded.http_status,
        attempts = attempts + excluded.attempts, throttled = throttled + excluded.throttled,
        error = excluded.error,
        message = coalesce(excluded.message, CASE excluded.state WHEN 'pending' THEN message END),
        showing_id = excluded.showing_id, updated_at = excluded.updated_at,
        sent_at = excluded.sent_at, duration_ms = excluded.duration_ms,
        given_up = excluded.given_up, echo = excluded.echo, tries = {ADDED},
        may_have_been_applied = iif(excluded.{ACKNOWLEDGED}, 0,
            max(may_have_been_applied, excluded.may_have_been_applied))
"""
_VALUES["echo"] = f"nullif({_VALUES.pop('echoes')}, '[]')"
_VALUES["tries"] = f"nullif({_VALUES['tries']}, '[]')"
_RECORD = (
    f"INSERT INTO outcome ({', '.join(_VALUES)}) SELECT {', '.join(_VALUES.values())} "
    f"FROM json_each(?) WHERE true {_ADDED}"
)

_TO_CREATE = "SELECT target, key, coalesce(whole, body), report_id FROM staged WHERE id = ?"
_MAKE_WHOLE = (
    "UPDATE staged SET body = ?1, digest = ?2, whole = NULL, fields = "
    "(SELECT group_concat(key, ' ') FROM json_each(?1)) WHERE id = ?3 AND whole IS NOT NULL"
)

# The columns that vary among rows acknowledged at the first attempt, with the values as sent.
_USUAL = ("id", "http_status", "message", "showing_id", "updated_at", "sent_at", "duration_ms")

_usual_values = itemgetter(*map(Outcome._fields.index, _USUAL))

# Numbers of usual outcomes in one statement, each prepared once: SQLite takes bound values in a
# fifth of the time that it takes for a JSON list.
_USUAL_SIZES = (1024, 256, 64, 16, 4, 1)

# Acknowledgements that were carried over to an edited sheet have no attempts.
_WAS_SENT = (
    "SELECT taken > 0 "
    f"OR EXISTS (SELECT 1 FROM outcome WHERE attempts > 0 OR {ACKNOWLEDGED}) FROM job"
)

_TRIED = f"(attempts > 0 OR {IN_DOUBT})"

_CUT_OFF = "The run was cut off, or the response was lost"


class Outbox:
    """Hands out the changes of a job, each once in a run, and records their outcomes."""

    def __init__(self, database: Database, known: Known) -> None:
        self._database = database
        self._db = database.connection
        self._known = known
        self._seal_from = _SEAL_WAL_BYTES
        self.begin()

    def begin(self) -> None:
        """Hand out from the start, because a run begins."""
        self._unrecorded: set[int] = set()  # ids of rows handed out and without an outcome
        self._last_repeated = [0, 0]  # ids, by `tried_before`
        # Targets of `creation`; those of an earlier run, until their rows are handed out.
        found = self._db.execute("SELECT target FROM creation").fetchall()
        self._doubtful = {target for (target,) in found}
        self._being_created: dict[int, str] = {}  # targets in `creation`, by row
        # Used in turn; each returns whether it has more in this run.
        self._sources: list[Callable[[int], tuple[list[Change], bool]]] = [
            partial(self._repeated, 0),
            self._fresh,
            partial(self._repeated, 1),
        ]

    @property
    def is_local(self) -> bool:
        """True if the checkpoint, with its ledger, is certainly on a disk of this host."""
        return self._database.is_local

    @property
    def has_more(self) -> bool:
        """False once all changes of this run are handed out."""
        return bool(self._sources)

    def was_sent(self) -> bool:
        """Return whether a row of the job may have left in any run."""
        (sent,) = self._db.execute(_WAS_SENT).fetchone()
        return bool(sent)

    def requeue(self, *, repeat_ambiguous: bool = True) -> None:
        """Make rejected and failed rows pending again, because another run begins.

        Rows that a crash left in flight are marked as in doubt instead. Without `repeat_ambiguous`
        rows that may have been applied stay as they are.
        """
        stays = "false" if repeat_ambiguous else f"state <> 'pending' AND {IN_DOUBT}"
        with self._database.commit() as db:
            db.execute(
                "INSERT INTO outcome (id, state, in_flight) "
                f"SELECT id, state, 1 FROM staged WHERE {UNRECORDED}"
            )
            db.execute("UPDATE job SET ended = taken WHERE ended <> taken")
            db.execute(
                "UPDATE outcome SET "
                "may_have_been_applied = max(may_have_been_applied, in_flight), in_flight = 0, "
                "tried_before = 1, http_status = NULL, error = NULL, "
                "message = CASE WHEN state <> 'rejected' THEN message END, given_up = NULL, "
                f"tries = {with_last('outcome')}, state = 'pending' "
                "WHERE state <> 'updated' "
                f"AND (state IN ('rejected', 'failed') OR state = 'pending' AND {_TRIED}) "
                f"AND NOT ({stays})"
            )
        self.begin()

    def leave_ambiguous(self) -> int:
        """Let pending rows that may have been applied fail instead of handing them out.

        Returns how many. To be called after the job's rows are staged or requeued, and before any
        is handed out.
        """
        with self._database.commit() as db:
            return db.execute(
                "UPDATE outcome SET state = 'failed', given_up = ?, "
                "error = coalesce(error, 'connection'), message = coalesce(message, ?), "
                "in_flight = 0, may_have_been_applied = 1, tried_before = 1 "
                f"WHERE state = 'pending' AND {IN_DOUBT} "
                f"AND id IN (SELECT id FROM staged WHERE {IN_JOB})",
                (GivenUp.AMBIGUOUS.value, _CUT_OFF),
            ).rowcount

    def exchange(
        self,
        outcomes: Sequence[Outcome] = (),
        points: Unsaved | None = None,
        limit: int = 0,
        *,
        waits: bool = True,
    ) -> list[Change]:
        """Record outcomes and hand out up to `limit` changes, in one commit.

        An outcome belongs to the change with its id. One without attempts leaves its row as it was
        before the run. A row in doubt stays so unless its patch is acknowledged now, because a
        rejection is about one attempt only. `points` are added to the run's time line.

        Rows that no earlier run attempted come first, then the others, both in input order, so that
        rows that make the server fail can't end every run at its beginning.

        None are handed out once the checkpoint or the ledger is not under its name any more: what
        they record would be lost with the run.

        Raises OutputError when the checkpoint can't be written or is found damaged, and Locked,
        unless it `waits`, while another process writes to it.
        """
        if limit and self._database.missing() is not None:
            self._sources.clear()
            limit = 0
        with self._database.commit(waits=waits) as db:
            if outcomes:
                self._record(db, outcomes)
            if points is not None:
                keep(db, points)
            changes = self._hand_out(db, limit) if limit else []
        wal = wal_bytes(self._database.path)
        if wal >= self._seal_from and self._database.missing() is None:
            seal(self._db, self._database.path)
            # A reader may have kept the WAL from being emptied.
            self._seal_from = _SEAL_WAL_BYTES + wal_bytes(self._database.path)
        return changes

    def begin_creations(
        self, wanted: Sequence[tuple[int, str | None]]
    ) -> dict[int, Creation | None]:
        """Note that showings are about to be created: (id of the row, report unless it names one).

        Returns the content of each row, or None for one that addresses its showing by id, which
        can't be chosen. One without a report is not noted, because nothing will be sent for it.
        """
        found: dict[int, Creation | None] = {}
        with self._database.commit() as db:
            begun: list[tuple[int, str]] = []
            for row, report in wanted:
                target, key, patch, own_report = db.execute(_TO_CREATE, (row,)).fetchone()
                if target != key:
                    found[row] = None
                    continue
                digest = hashlib.sha256(patch.encode()).hexdigest()[:32]
                found[row] = Creation(patch, digest, own_report or report)
                if own_report or report:
                    begun.append((row, target))
                    db.execute(_MAKE_WHOLE, (patch, digest, row))
            db.executemany(
                "INSERT OR IGNORE INTO creation VALUES (?)", [(target,) for _, target in begun]
            )
            if begun and self._known.is_in_use():
                self._known.forget_missing(db, begun)
        self._being_created.update(begun)
        return found

    def release(self) -> None:
        """End a run after its requests have ended: rows without an outcome were never sent."""
        with self._database.commit() as db:
            unsent = sorted(self._unrecorded)
            _record_unsent(db, unsent)
            db.execute("UPDATE job SET ended = taken")
            if unsent and self._known.is_in_use():
                self._known.learn_outcomes(db, unsent)
        self.begin()

    # Handing out

    def _hand_out(self, db: sqlite3.Connection, limit: int) -> list[Change]:
        found: list[Change] = []
        has_room = True
        while self._sources and len(found) < limit and has_room:
            taken, has_more = self._sources[0](limit - len(found))
            if has_more:
                has_room = False
            else:
                del self._sources[0]
            if self._doubtful:
                taken = [self._with_doubt(change) for change in taken]
            found += taken
            self._unrecorded.update([change.id for change in taken])
        if found and self._known.is_in_use():
            self._known.withdraw(db, found)
        return found

    def _with_doubt(self, change: Change) -> Change:
        if change.target not in self._doubtful:
            return change
        self._being_created[change.id] = change.target
        return change._replace(may_be_created=True)

    def _fresh(self, limit: int) -> tuple[list[Change], bool]:
        """Take the next rows that were never handed out; return whether there may be more."""
        fitting, has_more = self._fitting(_FRESH_ROWS, (), limit)
        found = self._changes(_FRESH, (fitting,))
        if found:
            first = min(self._unrecorded, default=found[0].id)
            self._db.execute(
                "UPDATE job SET taken = ?, ended = max(ended, ? - 1)", (found[-1].id, first)
            )
        return found, has_more

    def _repeated(self, tried: int, limit: int) -> tuple[list[Change], bool]:
        """Take the next pending rows that an earlier run handed out, attempted or not; return
        whether there may be more.
        """
        since = (tried, self._last_repeated[tried])
        fitting, has_more = self._fitting(_REPEATED_ROWS, since, limit)
        found = self._changes(_REPEATED, (*since, fitting))
        if found:
            self._last_repeated[tried] = found[-1].id
            listed = json_list(change.id for change in found)
            self._db.execute(f"UPDATE outcome SET in_flight = 1 WHERE id IN {LISTED}", (listed,))
        return found, has_more

    def _fitting(self, rows: str, values: tuple[int, ...], limit: int) -> tuple[int, bool]:
        """Return how many of the next rows are handed out, and whether there may be more.

        They are as many as `limit`, or as their patches leave room for, and at least one.
        """
        count, characters = self._db.execute(
            _ALL_LENGTHS.format(rows=rows), (*values, limit)
        ).fetchone()
        if characters <= MAX_HANDED_CHARACTERS:  # nearly always
            return limit, count == limit
        lengths = self._db.execute(_LENGTHS.format(rows=rows), (*values, limit))
        totals = accumulate(length for (length,) in lengths)
        fitting = sum(1 for total in totals if total <= MAX_HANDED_CHARACTERS)
        return max(1, fitting), True

    def _changes(self, query: str, values: tuple[int, ...]) -> list[Change]:
        (rows,) = self._db.execute(query, values).fetchone()
        try:
            found = sorted(_DECODER.decode(rows))
        except msgspec.ValidationError as error:
            raise damaged_during_run(
                self._database.path, f"a row to be sent can't be read: {error}"
            ) from None
        for change in found:
            # Rows that this process wrote itself need no check.
            if change.id >= self._database.written_from:
                break
            if hashlib.sha256(change.body.encode()).hexdigest()[:32] != change.digest:
                raise damaged_during_run(
                    self._database.path, f"the patch of row {change.number} is not what it was"
                )
        return found

    # Recording

    def _record(self, db: sqlite3.Connection, outcomes: Sequence[Outcome]) -> None:
        ids = [outcome.id for outcome in outcomes]
        self._unrecorded.difference_update(ids)
        usual, others = _by_kind(outcomes)
        for rows in _USUAL_SIZES:
            while len(usual) >= rows:
                values = map(_usual_values, usual[:rows])
                db.execute(_record_usual(rows), [*chain.from_iterable(values)])
                del usual[:rows]
        attempted = [one for one in others if one.attempts > 0]
        if attempted:
            db.execute(_RECORD, (json_list(attempted),))
        unsent = [outcome.id for outcome in others if outcome.attempts == 0]
        if unsent:
            _record_unsent(db, unsent)
        if self._being_created:
            settled = [
                (self._being_created.pop(one.id),)
                for one in outcomes
                if one.id in self._being_created and not one.may_be_created
            ]
            db.executemany("DELETE FROM creation WHERE target = ?", settled)
        self._update_ledger(db, outcomes)

    def _update_ledger(self, db: sqlite3.Connection, outcomes: Sequence[Outcome]) -> None:
        if self._database.has_shared_ledger:
            # At once, because another job may change the same showing next.
            self._known.learn_outcomes(db, [one.id for one in outcomes])
            return
        acknowledged = [one.id for one in outcomes if one.state in ACKNOWLEDGED_STATES]
        if acknowledged:
            db.execute("INSERT INTO acknowledged VALUES (?)", (json_list(acknowledged),))
        if len(acknowledged) < len(outcomes) and self._known.is_in_use():
            others = [one.id for one in outcomes if one.state not in ACKNOWLEDGED_STATES]
            self._known.learn_outcomes(db, others)


def _by_kind(outcomes: Iterable[Outcome]) -> tuple[list[Outcome], list[Outcome]]:
    """Separate outcomes acknowledged at the first attempt, with the values as sent."""
    usual: list[Outcome] = []
    others: list[Outcome] = []
    for one in outcomes:
        at_once = (
            one.state is State.UPDATED
            and one.attempts == 1
            and not one.throttled
            and not one.echoes
        )
        (usual if at_once else others).append(one)
    return usual, others


@lru_cache(maxsize=len(_USUAL_SIZES))
def _record_usual(rows: int) -> str:
    """Return the statement that records this number of usual outcomes."""
    values = ", ".join([f"({', '.join('?' * len(_USUAL))}, 'updated', 1)"] * rows)
    return f"INSERT INTO outcome ({', '.join(_USUAL)}, state, attempts) VALUES {values} {_ADDED}"


def _record_unsent(db: sqlite3.Connection, ids: Sequence[int]) -> None:
    """Record that rows were handed out and not sent, so they are as before the run."""
    db.execute(
        f"INSERT INTO outcome (id, state) SELECT value, 'pending' FROM ({LISTED}) WHERE true "
        "ON CONFLICT (id) DO UPDATE SET in_flight = 0",
        (json_list(ids),),
    )
