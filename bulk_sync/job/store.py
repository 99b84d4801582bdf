"""The checkpoint: one SQLite file with the job, its rows and what became of each.

Invariants, kept at every commit, whatever happens between two of them:

1. A row is `updated` only when an outcome that says so was recorded for its id.
2. A change leaves `exchange` only after it was committed as in flight, so that after a crash
   every row that may have been sent is either decided or known to be in flight.
3. A sheet becomes the job's in one commit (`adopt`). Until then the rows being staged
   carry a generation of their own, and the job is what it was before.
4. At that commit a row whose target and content were acknowledged is acknowledged again.
5. A patch of which an attempt is without the API's answer is marked so, through crashes and
   edits of the sheet, until the API acknowledges it.
6. What the ledger (`ledger.py`) knows is what the API acknowledged, and nothing that was sent
   since. Rows that were
   acknowledged and are not known there yet are listed in `acknowledged`, in the commit that
   recorded them; they are learnt before a run asks the ledger or the rows go; who only reads learns
   them apart (`Store.ledger`).

Its tables are those of `schema.py`. Writes are durable when a method returns (WAL,
synchronous=FULL).
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from functools import lru_cache, partial
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Self

import msgspec
from msgspec import Struct

from bulk_sync.errors import CheckpointError, OutputError
from bulk_sync.job import ledger
from bulk_sync.job.damage import (
    BUSY_SECONDS,
    damaged,
    damaged_in_use,
    refuse_what_is_no_file,
    translated,
)
from bulk_sync.job.health import examine, examined_beside
from bulk_sync.job.ledger import Acknowledged, Known, Ledger, json_list
from bulk_sync.job.ledger_entries import text_of as ledger_text
from bulk_sync.job.purge import PURGED, purge
from bulk_sync.job.schema import CREATE, SCHEMA_VERSION, migrate
from bulk_sync.job.sealing import bytes_beside, is_large, keep_sealed, seal
from bulk_sync.job.timeline import forget_runs, keep, runs
from bulk_sync.model.rows import (
    MENDABLE_STATES,
    SETTLED_STATES,
    Cell,
    Change,
    Outcome,
    Problem,
    Record,
    Result,
    Sent,
    State,
    text_of,
)
from bulk_sync.model.summaries import BadRow, ProblemGroup
from bulk_sync.settings import SANDBOX_TARGET
from bulk_sync.timeline import Run, Unsaved

_PARKED = -1
"""The generation of rows that a --limit left out, acknowledged or in doubt: not part of the job,
not forgotten.
"""

_GROUP = 2000
"""Rows in one commit while staging."""

_MUCH_BESIDE = 16 << 20
"""Bytes in the side file from which on a run moves them into the checkpoint, which it then seals.
"""

_ROWS_A_STATEMENT = 500
"""Rows in one statement while staging: fewer statements, of at most 32,766 values
(SQLITE_MAX_VARIABLE_NUMBER).
"""

_GROUP_CHARACTERS = 4_000_000
"""Characters of cells in one commit while staging: bounds memory when cells are huge."""


def _in(states: Iterable[State]) -> str:
    names = ", ".join(f"'{state.value}'" for state in sorted(states))
    return f"state IN ({names})"


CUT_OFF = "It was on its way when a run was cut off or an answer was lost, and may have been applied; run again"
UNCHANGED = "Not sent: the API acknowledged these values before"
IN_DOUBT = "may have been applied"
"""The words that every message about it holds, the sender's too."""

# Parts of statements; all of them constant text of ours.
_OF_THE_JOB = "generation = (SELECT generation FROM job)"
_OF_A_SHEET = "generation = coalesce(?, (SELECT generation FROM job))"
_BAD_ROWS = f"{_OF_A_SHEET} AND {_in(MENDABLE_STATES)}"
_LISTED = "(SELECT value FROM json_each(?))"
"""A list in one parameter: a statement that takes a group is one step of SQLite's, in which other
threads go on.
"""

_ENDED = (
    "SELECT id, target, key, body, state, error, may_have_been_applied, showing_id, before FROM row "
    f"WHERE id IN {_LISTED}"
)

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

_ACKNOWLEDGED = (
    "SELECT row.target, row.key, row.showing_id, row.body "
    "FROM acknowledged, json_each(acknowledged.ids) AS one CROSS JOIN row ON row.id = one.value "
    "WHERE row.state = 'updated' AND row.body IS NOT NULL"
)
_UNKNOWN = "(in_flight = 1 OR may_have_been_applied = 1)"
_ON_THE_WAY = (
    f"{_OF_THE_JOB} AND state = 'pending' AND id > (SELECT ended FROM job) AND id <= (SELECT taken FROM job) "
    "AND NOT EXISTS (SELECT 1 FROM outcome WHERE outcome.id = staged.id)"
)
"""Rows that were handed out for the first time, and have no outcome."""
_TRIED = f"(attempts > 0 OR {_UNKNOWN})"
_DECIDED = "ON CONFLICT (id) DO UPDATE SET state = excluded.state, message = excluded.message"


_TAKEN = msgspec.json.Decoder(list[Change])


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


class Job(Struct, frozen=True):
    """What the checkpoint belongs to."""

    generation: int
    input: str
    input_digest: str
    meaning: str
    partial: bool
    headers: tuple[str, ...]
    base_url: str
    key_fingerprint: str | None
    seconds: float


class _ShortTurns:
    """While any thread is in here, threads hand the interpreter over often.

    By default one waits for 5 ms until it is given back what it let go for SQLite, which is longer
    than SQLite takes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._usual = 0.0

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._usual = sys.getswitchinterval()
                sys.setswitchinterval(1e-4)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                sys.setswitchinterval(self._usual)


_SHORT_TURNS = _ShortTurns()
"""One for the process, as the interval is."""


class Store:
    """An open checkpoint. Not for two threads at once; made by `open` or `read`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._db = connection
        self._path = path
        self._begin()
        self._seal_from = _MUCH_BESIDE
        self._written_from: float = (
            math.inf
        )  # rows from this id on are what this object wrote itself
        self._shared_ledger = False
        self._ledger: Ledger | None = None  # None: not looked up yet, here and below
        self._ledger_is_empty: bool | None = None
        self._counted: tuple[tuple[int | None, int, int], dict[State, int]] | None = None

    @classmethod
    @contextmanager
    def open(
        cls,
        path: Path,
        shared_ledger: Path | None = None,
        examined: Callable[[], None] | None = None,
    ) -> Iterator[Self]:
        """Open for a run, and make it when there is none; `shared_ledger` takes the place of the
        ledger in it.

        `examined`: of `examined_beside`, which began before.

        Raises OutputError when it can't be written, CheckpointDamaged when it is not whole,
        CheckpointError when it is none of ours.
        """
        refuse_what_is_no_file(path)
        if path.exists():
            with translated(path):
                (examined or partial(examine, path, SCHEMA_VERSION))()
        else:
            _make(path)
        with translated(path):
            connection = _connect(path)
        with translated(path, in_use=True), closing(connection):
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            migrate(connection)
            store = cls(connection, path)
            if shared_ledger is not None:
                ledger.attach(connection, shared_ledger)
                connection.execute("DELETE FROM acknowledged")
                store._shared_ledger = True
            keep_sealed(connection, kept=is_large(path))
            yield store
            seal(connection, path)

    @staticmethod
    def examined_beside(path: Path) -> AbstractContextManager[Callable[[], None]]:
        """Begin to look whether a checkpoint is whole, for `open` later, while something else is
        done.
        """
        return examined_beside(path, SCHEMA_VERSION)

    @classmethod
    @contextmanager
    def scratch(cls, path: Path | None = None) -> Iterator[Self]:
        """A store that is gone afterwards, for a look at what staging would give; it promises no
        durability.

        With a path, the one there, made if there is none, and left there.
        """
        with ExitStack() as stack:
            if path is None:
                path = Path(
                    stack.enter_context(TemporaryDirectory(prefix="bulk-sync-")), "check.sqlite"
                )
            made = not path.exists()
            path.touch(0o600)
            stack.enter_context(translated(path))
            connection = stack.enter_context(closing(_connect(path)))
            connection.executescript(
                "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + CREATE * made
            )
            yield cls(connection, path)

    @classmethod
    @contextmanager
    def read(cls, path: Path) -> Iterator[Self]:
        """Open for a look, also while a run holds it; raises CheckpointError when there is nothing
        to see.

        SQLite opens it for writing where it may, only to tidy its side files away at the end.
        """
        refuse_what_is_no_file(path)
        if not path.exists():
            raise CheckpointError(
                f"{path}: there is no checkpoint here: this file was never pushed."
            )
        with translated(path):
            examine(path, SCHEMA_VERSION)
            with closing(_connect(path)) as connection:
                migrate(connection)
                yield cls(connection, path)

    # The job

    def job(self) -> Job | None:
        """The job, or None when nothing was staged yet."""
        found = self._db.execute(
            "SELECT generation, input, input_digest, meaning, partial, headers, base_url, key_fingerprint, seconds "
            "FROM job"
        ).fetchone()
        if found is None:
            return None
        generation, name, digest, meaning, partial, headers, *rest = found
        return Job(
            generation, name, digest, meaning, bool(partial), _texts(self._path, headers), *rest
        )

    def forget(self) -> None:
        """Drop the job and its rows: what follows starts over. The ledger stays, but for that of a
        sandbox now gone.
        """
        self.learn()
        with self._commit() as db:
            db.execute("DELETE FROM job")
            db.execute("DELETE FROM staged")
            db.execute("DELETE FROM outcome")
            forget_runs(db)
            self._ledger = self._ledger_is_empty = None
            Ledger(db, SANDBOX_TARGET, self._ledger_schema()).forget()

    def accept_key(self, fingerprint: str) -> None:
        """Note which key the API accepted, or that the user vouched for."""
        with self._commit() as db:
            db.execute("UPDATE job SET key_fingerprint = ?", (fingerprint,))

    def add_seconds(self, seconds: float) -> None:
        """Add a run's duration to the job's."""
        with self._commit() as db:
            db.execute("UPDATE job SET seconds = seconds + ?", (seconds,))

    def wrote_report(self, path: Path, digest: str) -> bool:
        """True when a report of this digest was written there by the program."""
        known = (_storable(str(path.absolute())), digest)
        return (
            self._db.execute("SELECT 1 FROM report WHERE path = ? AND digest = ?", known).fetchone()
            is not None
        )

    def note_report(self, path: Path, digest: str) -> None:
        """Keep the digest of a report before it takes its place, beside those of the ones before.

        Noted afterwards, a crash in between would make it look like somebody's edit.
        """
        with self._commit() as db:
            db.execute(
                "INSERT OR IGNORE INTO report VALUES (?, ?)",
                (_storable(str(path.absolute())), digest),
            )

    def purged(self) -> bool:
        """True when cells and patches of the job's rows were removed; see `job.purge`."""
        found = self._db.execute(
            f"SELECT cells = '{PURGED}' FROM staged WHERE {_OF_THE_JOB} ORDER BY id LIMIT 1"
        ).fetchone()
        return found is not None and bool(found[0])  # it is all of them or none

    def purge(self) -> None:
        """Remove cells, patches and the messages that may quote them, from the rows and from the
        disk's free pages.
        """
        with translated(self._path, in_use=True):
            purge(self._db, self._path)

    # Staging

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
        job = self.job()
        generation = job.generation + 1 if job else 1
        keep_sealed(self._db, kept=False)
        with self._commit() as db:
            db.execute(
                "DELETE FROM staged WHERE generation NOT IN (?, ?)", (generation - 1, _PARKED)
            )
            (last,) = db.execute("SELECT coalesce(max(id), 0) FROM staged").fetchone()
        self._written_from = last + 1
        count = 0
        # While SQLite writes one group, which it does beside Python, the next one is checked.
        with ThreadPoolExecutor(1) as thread, _SHORT_TURNS:
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
        with self._commit() as db:
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

    def decide_staged(self, verdicts: Iterable[tuple[int, State, str | None, str]]) -> None:
        """Set the state of staged rows that won't be sent: (id, state, error, message)."""
        with self._commit() as db:
            db.executemany(
                "UPDATE staged SET state = ?2, error = ?3, message = ?4 WHERE id = ?1",
                ((row, state.value, error, message) for row, state, error, message in verdicts),
            )

    def replace_patches(self, patches: Iterable[tuple[int, str, str, str]]) -> None:
        """Give staged rows the patches that their twins were merged into: (id, body, digest,
        fields).
        """
        with self._commit() as db:
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
        with self._commit() as db:
            db.execute(
                f"UPDATE staged SET state = 'superseded' WHERE {blank} AND {other}", (generation,)
            )
            db.execute(
                f"UPDATE staged SET state = 'pending', error = NULL, message = NULL, body = '{{}}' WHERE {blank}",
                (generation,),
            )

    def beside(self, others: Mapping[str, Store]) -> sqlite3.Connection:
        """This store's database, with those of others under names of their own."""
        for name, other in others.items():
            self._db.execute(f"ATTACH ? AS {name}", (other.address,))
        return self._db

    @property
    def address(self) -> str:
        """The file, as another connection names it."""
        return f"{self._path.absolute().as_uri()}?mode=rw"

    def patches(self, limit: int, generation: int) -> tuple[tuple[str, str], ...]:
        """(target, body) of the first staged patches that would be sent."""
        return tuple(
            self._db.execute(
                "SELECT target, body FROM staged WHERE generation = ? AND state = 'pending' ORDER BY id LIMIT ?",
                (generation, limit),
            )
        )

    def adopt(self, job: Job) -> bool:
        """Make the rows staged as `job.generation` the job's, in one commit; True when it goes on
        with the one before.

        What was acknowledged for a target and content is carried over, unless the job before
        was settled and this is other content: then it is a new job, and all is sent.
        """
        staged = self.counts(job.generation)
        self.learn()
        with self._commit() as db:
            self._ledger = self._ledger_is_empty = None
            before = self.job()
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
            self._begin()
            db.execute(
                "INSERT OR REPLACE INTO job VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?)",
                (
                    job.generation,
                    _storable(job.input),
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
        keep_sealed(self._db, kept=is_large(self._path))
        seal(self._db, self._path)
        return goes_on

    def _park(self, db: sqlite3.Connection, generation: int) -> None:
        """Keep what a --limit left out, acknowledged or in doubt; one with a newer row for its
        target is history.
        """
        newer = "EXISTS (SELECT 1 FROM staged AS new WHERE new.generation = ?1 AND new.target = row.target)"
        db.execute(
            "DELETE FROM staged WHERE id IN (SELECT id FROM row WHERE generation <> ?1 "
            f"AND (NOT (state = 'updated' OR {_UNKNOWN}) OR {newer}))",
            (generation,),
        )
        db.execute(
            "INSERT INTO outcome (id, state, may_have_been_applied) SELECT id, state, 1 FROM row "
            "WHERE generation <> ? AND in_flight = 1 ON CONFLICT (id) DO UPDATE SET may_have_been_applied = 1, "
            "in_flight = 0",
            (generation,),
        )
        db.execute("UPDATE staged SET generation = ? WHERE generation <> ?", (_PARKED, generation))

    def _settled(self, job: Job) -> bool:
        """True when nothing is left to do; of a sheet that --limit cut short only if it was so
        before.
        """
        if job.partial and not self._db.execute("SELECT of_settled FROM job").fetchone()[0]:
            return False
        return set(self.counts(job.generation)) <= SETTLED_STATES

    def _same_content(self, before: Job, job: Job) -> bool:
        """True when both sheets hold the same changes, in whatever order; a part of the sheet need
        not hold all.
        """
        contents = "SELECT target, content FROM staged WHERE generation IN (?, ?) AND state <> 'superseded'"
        old, new = (before.generation, _PARKED), (job.generation, job.generation)
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

    # Sending

    def retry_undone(self) -> None:
        """Begin another run of the job: make rejected and failed rows pending again.

        What a crashed run had in flight is so no more, but says so.
        """
        with self._commit() as db:
            db.execute(
                f"INSERT INTO outcome (id, state, in_flight) SELECT id, state, 1 FROM staged WHERE {_ON_THE_WAY}"
            )
            db.execute("UPDATE job SET ended = taken WHERE ended <> taken")
            db.execute(
                "UPDATE outcome SET may_have_been_applied = max(may_have_been_applied, in_flight), in_flight = 0, "
                "tried_before = 1, http_status = NULL, error = NULL, "
                "message = CASE WHEN state <> 'rejected' THEN message END, state = 'pending' "
                f"WHERE state <> 'updated' AND (state IN ('rejected', 'failed') OR state = 'pending' AND {_TRIED})"
            )
        self._begin()

    def _claim(self, db: sqlite3.Connection, limit: int) -> list[Change]:
        found: list[Change] = []
        while self._sources and len(found) < limit:
            wanted = limit - len(found)
            taken = self._sources[0](wanted)
            if len(taken) < wanted:
                del self._sources[0]
            found += taken
            self._on_the_way.update([change.id for change in taken])
        if found and self._asks_ledger():
            self._take_out(db, found)
        return found

    def _take_out(self, db: sqlite3.Connection, changes: Sequence[Change]) -> None:
        """Take out of the ledger what the changes may alter; their rows keep what it was."""
        rows = db.execute(
            f"SELECT id, target, key, body, before FROM staged WHERE id IN {_LISTED}",
            (json_list(change.id for change in changes),),
        ).fetchall()
        with self._known().of(
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

    def _asks_ledger(self) -> bool:
        """True unless nothing is known of any showing; what is acknowledged meanwhile it learns
        later.
        """
        if self._ledger_is_empty is None:
            self._ledger_is_empty = not self._shared_ledger and self._known().is_empty()
        return not self._ledger_is_empty

    def _known(self) -> Ledger:
        if self._ledger is None:
            (base_url,) = self._db.execute("SELECT base_url FROM job").fetchone()
            self._ledger = Ledger(self._db, base_url, self._ledger_schema())
        return self._ledger

    def _ledger_schema(self) -> str:
        return ledger.SHARED if self._shared_ledger else "main"

    def _begin(self) -> None:
        """Hand out from the start: a run begins."""
        self._on_the_way: set[int] = set()  # rows that were handed out, and have no outcome yet
        self._again_after = [0, 0]  # by `tried_before`
        # One after the other: none gets more while the run goes on.
        self._sources: list[Callable[[int], list[Change]]] = [
            partial(self._again, 0),
            self._fresh,
            partial(self._again, 1),
        ]

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
            self._db.execute(f"UPDATE outcome SET in_flight = 1 WHERE id IN {_LISTED}", (listed,))
        return found

    def _changes(self, query: str, values: tuple[int, ...]) -> list[Change]:
        (rows,) = self._db.execute(query, values).fetchone()
        try:
            found = sorted(_TAKEN.decode(rows))
        except msgspec.ValidationError as error:
            raise damaged_in_use(
                self._path, f"a row to be sent is not what it was: {error}"
            ) from None
        for change in found:
            if change.id >= self._written_from:
                break
            if hashlib.sha256(change.body.encode()).hexdigest()[:32] != change.digest:
                raise damaged_in_use(
                    self._path, f"the patch of row {change.number} is not what it was"
                )
        return found

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
        with self._commit() as db:
            if outcomes:
                self._record(db, outcomes)
            if points is not None:
                keep(db, points)
            changes = self._claim(db, limit) if limit else []
        if bytes_beside(self._path) >= self._seal_from:
            seal(self._db, self._path)
            self._seal_from = _MUCH_BESIDE + bytes_beside(
                self._path
            )  # if others read, much is still there
        return changes

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
        if self._shared_ledger:
            self._note_in_ledger(db, ids)
            return
        acknowledged = (
            [outcome.id for outcome in outcomes if outcome.state is State.UPDATED]
            if others
            else ids
        )
        if acknowledged:
            db.execute("INSERT INTO acknowledged VALUES (?)", (json_list(acknowledged),))
        if len(acknowledged) < len(ids) and self._asks_ledger():
            self._note_in_ledger(
                db, [outcome.id for outcome in others if outcome.state is not State.UPDATED]
            )

    def release(self) -> None:
        """End a run whose requests have ended: rows that were handed out and have no outcome were
        never sent.
        """
        with self._commit() as db:
            unsent = sorted(self._on_the_way)
            _not_tried(db, unsent)
            db.execute("UPDATE job SET ended = taken")
            if unsent and self._asks_ledger():
                self._note_in_ledger(db, unsent)
        self._begin()

    def _note_in_ledger(
        self, db: sqlite3.Connection, ids: Sequence[int], apart: Ledger | None = None
    ) -> None:
        """Know what rows' patches set if acknowledged, and what was known before if they certainly
        did nothing.
        """
        ended = {one[0]: _Ended._make(one) for one in db.execute(_ENDED, (json_list(ids),))}
        rows = [ended[row] for row in ids]  # in the order of what became of them
        names = (name for one in rows for name in (one.target, one.key, one.showing_id or ""))
        with (apart or self._known()).of(names) as known:
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

    def runs(self) -> list[Run]:
        """What the runs of the job did and when, the first one first."""
        return runs(self._db, self._path)

    # The ledger

    def learn(self) -> None:
        """Let the ledger know of all that was acknowledged."""
        if self._db.execute("SELECT 1 FROM acknowledged LIMIT 1").fetchone() is None:
            return
        with self._commit() as db:
            self._learn_into(self._known(), db)
            db.execute("DELETE FROM acknowledged")
            self._ledger_is_empty = None

    def _learn_into(self, known: Ledger, db: sqlite3.Connection) -> None:
        if known.is_empty():
            known.learn_all(_ACKNOWLEDGED)
        else:
            for (ids,) in db.execute("SELECT ids FROM acknowledged ORDER BY rowid").fetchall():
                self._note_in_ledger(db, json.loads(ids), known)
        self._take_out_what_is_in_doubt(db, known)

    def _take_out_what_is_in_doubt(self, db: sqlite3.Connection, known: Ledger) -> None:
        """A showing that was acknowledged under one name may have been changed since under another."""
        rows = db.execute(
            f"SELECT target, key, body FROM row WHERE {_UNKNOWN} AND body IS NOT NULL"
        )
        while group := rows.fetchmany(_GROUP):
            with known.of(name for target, key, _ in group for name in (target, key)) as entries:
                for row in group:
                    entries.take_out(*row)

    def trust_ledger_of(self, fingerprint: str, *, same_account: bool) -> bool:
        """Say whose key this run has; False when what is known was another's, and is forgotten."""
        with self._commit() as db:
            trusted = self._known().belongs_to(fingerprint, same_account=same_account)
            if not trusted:
                db.execute("DELETE FROM acknowledged")
                self._ledger_is_empty = None
            return trusted

    def settle_known(self) -> None:
        """Call pending rows unchanged whose patch is exactly what the API acknowledged last."""
        self.learn()
        with self._commit() as db:
            db.execute(
                f"INSERT INTO outcome (id, state, message) SELECT row.id, 'unchanged', ? FROM row, job, "
                f"{self._known().name} AS known WHERE row.{_OF_THE_JOB} AND row.state = 'pending' "
                f"AND NOT {_UNKNOWN} AND known.base_url = job.base_url AND known.target = row.target "
                f"AND known.fields = row.body {_DECIDED}",
                (UNCHANGED,),
            )

    def known(self, after: int = 0, limit: int = 1000) -> list[Known]:
        """Pending rows beyond the id `after`, with what was acknowledged for their showings, when
        anything was.
        """
        found = self._db.execute(
            f"SELECT row.id, body, known.fields FROM row CROSS JOIN {self._known().name} AS known "
            f"WHERE {_OF_THE_JOB} AND state = 'pending' AND row.id > ? AND known.target = row.target "
            "AND known.base_url = (SELECT base_url FROM job) ORDER BY row.id LIMIT ?",
            (after, limit),
        )
        return [Known(row, body, json.loads(fields)) for row, body, fields in found]

    def leave_out(self, rest: Iterable[tuple[int, tuple[str, str, str] | None]]) -> None:
        """Give pending rows what is left of their patches, (body, digest, fields); with None they
        are unchanged.
        """
        with self._commit() as db:
            for row, patch in rest:
                if patch is None:
                    db.execute(
                        "INSERT INTO outcome (id, state, message) SELECT id, 'unchanged', ? FROM row "
                        f"WHERE id = ? AND NOT {_UNKNOWN} {_DECIDED}",
                        (UNCHANGED, row),
                    )
                else:
                    db.execute(
                        "UPDATE staged SET body = ?, digest = ?, fields = ? WHERE id = ?",
                        (*patch, row),
                    )

    def ledger(self) -> Iterator[Acknowledged]:
        """All that the API acknowledged at the job's address, by target.

        The ledger itself learns nothing: a run that goes on must be the only one that writes there,
        for it relies on what it knew when it took rows.
        """
        if self._db.execute("SELECT 1 FROM acknowledged LIMIT 1").fetchone() is None:
            return self._known().all()
        known = self._known().apart()
        with self._at_one_moment():
            known.copy(self._known())
            self._learn_into(known, self._db)
        return known.all()

    def forget_acknowledged(self, names: Iterable[str]) -> None:
        """Another job is about to change showings that go by these keys or ids: rely on nothing
        acknowledged for them.

        A push of this job's sheet, as it was, sends them again.
        """
        self.learn()
        with self._commit() as db:
            known = self._known()
            db.execute("CREATE TEMP TABLE changed (name TEXT PRIMARY KEY) WITHOUT ROWID")
            remaining = iter(names)
            while some := list(islice(remaining, _GROUP)):
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

    def sent(self) -> Iterator[Sent]:
        """Patches of the job that were or may have been applied, in input order, and what they
        replaced.
        """
        found = self._db.execute(
            f"SELECT number, target, key, body, before FROM row WHERE {_OF_THE_JOB} AND body IS NOT NULL "
            f"AND (state = 'updated' OR {_UNKNOWN}) ORDER BY id"
        )
        for number, target, key, body, before in found:
            yield Sent(number, target, key, json.loads(body), json.loads(before) if before else {})

    # Reporting

    # of the job's sheet, or of one that is staged and not adopted, by its generation

    def counts(self, generation: int | None = None) -> dict[State, int]:
        """Rows by state."""
        as_of = (generation, self._db.total_changes, _pragma(self._db, "data_version"))
        if self._counted is None or self._counted[0] != as_of:
            with self._at_one_moment():
                counts = self._count(generation)
            self._counted = as_of, {state: count for state, count in counts.items() if count}
        return dict(self._counted[1])

    def _count(self, generation: int | None) -> Counter[State]:
        job = self._db.execute("SELECT generation FROM job").fetchone()
        if job is None or generation not in {None, job[0]}:
            # It reads every row
            of_sheet = "SELECT state, count(*) FROM staged WHERE generation = ? GROUP BY state"
            return self._by_state(self._db.execute(of_sheet, (generation,)))
        counts = self._by_state(
            self._db.execute("SELECT key, value FROM job, json_each(staged_states)")
        )
        ended = self._ended()
        counts[State.PENDING] -= sum(ended.values())  # as which they were staged
        counts.update(ended)
        return counts

    def _by_state(self, counts: Iterable[tuple[str, int]]) -> Counter[State]:
        return Counter({self._state(state): count for state, count in counts})

    def _state(self, name: str) -> State:
        try:
            return State(name)
        except ValueError:
            raise damaged(self._path, "the state of a row in it is not what it was") from None

    @contextmanager
    def _at_one_moment(self) -> Iterator[None]:
        """Let several questions be answered as of one moment, though a run may write in between."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            if self._db.in_transaction:
                self._db.execute("COMMIT")

    def _ended(self) -> Counter[State]:
        """The job's outcomes by state. An index has those that are not updated, so the others are
        the rest.
        """
        of_job = self._outcomes()
        (total,) = self._db.execute(f"SELECT count(*) FROM outcome WHERE {of_job}").fetchone()
        others = f"SELECT state, count(*) FROM outcome WHERE state <> 'updated' AND {of_job} GROUP BY state"
        counts = self._by_state(self._db.execute(others))
        counts[State.UPDATED] = total - sum(counts.values())
        return counts

    def _outcomes(self) -> str:
        """Which outcomes are the job's: all, unless rows are parked, which come first."""
        first = self._db.execute(f"SELECT {_OF_THE_JOB} FROM staged ORDER BY id LIMIT 1").fetchone()
        all_are = first is None or first[0]
        return (
            "1"
            if all_are
            else "(SELECT generation FROM staged WHERE id = outcome.id) = (SELECT generation FROM job)"
        )

    def totals(self) -> tuple[int, int, int, int]:
        """(requests, retries, throttled, pending rows in doubt) of the whole job, as far as
        recorded.
        """
        with self._at_one_moment():
            requests, retries, throttled, in_doubt = self._db.execute(
                "SELECT coalesce(sum(attempts), 0), coalesce(sum(max(attempts - 1, 0)), 0), "
                f"coalesce(sum(throttled), 0), coalesce(sum(state = 'pending' AND {_UNKNOWN}), 0) "
                f"FROM outcome WHERE {self._outcomes()}"
            ).fetchone()
            (on_the_way,) = self._db.execute(
                f"SELECT count(*) FROM staged WHERE {_ON_THE_WAY}"
            ).fetchone()
        return requests, retries, throttled, in_doubt + on_the_way

    def problems(
        self, examples: int = 3, generation: int | None = None
    ) -> tuple[ProblemGroup, ...]:
        """Rows that ended badly by error code, the most frequent first."""
        groups = self._db.execute(
            f"SELECT error, count(*) FROM row WHERE {_BAD_ROWS} GROUP BY error ORDER BY 2 DESC, 1",
            (generation,),
        ).fetchall()
        first = f"SELECT number, state, {_UNKNOWN}, message FROM row WHERE {_BAD_ROWS} AND error = ? ORDER BY id LIMIT ?"
        return tuple(
            ProblemGroup(
                code,
                count,
                tuple(
                    (number, _with_doubt(self._state(state), message, doubt=bool(doubt)) or "")
                    for number, state, doubt, message in self._db.execute(
                        first, (generation, code, examples)
                    )
                ),
            )
            for code, count in groups
        )

    def bad_rows(self) -> Iterator[BadRow]:
        """The rows that ended badly, in input order, with what tells why."""
        found = self._db.execute(
            f"SELECT number, error, http_status, CASE WHEN cells <> '{PURGED}' THEN message END, key, target, "
            f"{_UNKNOWN} FROM row WHERE {_BAD_ROWS} ORDER BY id",
            (None,),
        )
        for number, code, status, message, key, target, doubt in found:
            yield BadRow(number, code, status, message, key, target, bool(doubt))

    def results(
        self, states: Iterable[State] = State, generation: int | None = None
    ) -> Iterator[Result]:
        """Rows as reports show them, in input order."""
        found = self._db.execute(
            f"SELECT number, cells, target, key, state, {_UNKNOWN}, http_status, attempts, error, message, fields, "
            f"showing_id, updated_at, sent_at, duration_ms FROM row WHERE {_OF_A_SHEET} AND {_in(states)} "
            "ORDER BY id",
            (generation,),
        )
        for (
            number,
            cells,
            target,
            key,
            name,
            unknown,
            status,
            attempts,
            error,
            message,
            *rest,
        ) in found:
            state, doubt = self._state(name), bool(unknown)
            told = _with_doubt(state, message, doubt=doubt)
            yield Result(
                number,
                _texts(self._path, cells),
                target,
                key,
                state,
                doubt,
                status,
                attempts,
                error,
                told,
                *rest,
            )

    def lines(self) -> Iterator[tuple[str | int | None, ...]]:
        """The job's rows in input order, as the results have them: what of a `Result` they show."""
        found = self._db.execute(
            "SELECT number, key, state, http_status, attempts, error, message, fields, showing_id, updated_at, "
            f"sent_at, duration_ms, {_UNKNOWN} FROM row WHERE {_OF_THE_JOB} ORDER BY id"
        )
        for line in found:
            if line[-1]:
                told = _with_doubt(self._state(line[_STATE]), line[_MESSAGE], doubt=True)
                yield (*line[:_MESSAGE], told, *line[_MESSAGE + 1 : -1])
            else:
                yield line[:-1]

    @contextmanager
    def _commit(self) -> Iterator[sqlite3.Connection]:
        """One durable transaction: all of the block, or nothing of it."""
        with translated(self._path, in_use=True):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise


_STATE, _MESSAGE = 2, 6
"""Of a line of the results."""


def _with_doubt(state: State, message: str | None, *, doubt: bool) -> str | None:
    """The message of a row; it says whether the row may have been applied, if no word of it does."""
    if not doubt or IN_DOUBT in (message or ""):
        return message
    if state is State.REJECTED:
        return f"{message}; an attempt before {IN_DOUBT} all the same"
    return f"{message}; it {IN_DOUBT} all the same" if message else CUT_OFF


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
        f"INSERT INTO outcome (id, state) SELECT value, 'pending' FROM ({_LISTED}) WHERE true "
        "ON CONFLICT (id) DO UPDATE SET in_flight = 0",
        (json_list(ids),),
    )


def _storable(name: str) -> str:
    """The name of a file as SQLite takes it: one that isn't UTF-8 has its odd bytes escaped."""
    return name.encode("utf-8", "backslashreplace").decode()


def _make(path: Path) -> None:
    """Make a checkpoint; it comes into its place whole, so that one that is empty was emptied."""
    new = path.with_name(path.name + ".new")
    try:
        new.unlink(missing_ok=True)
        os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        with translated(path), closing(_connect(new)) as connection:
            connection.executescript(CREATE)
        new.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise OutputError(f"{path}: the checkpoint can't be written: {error.strerror}.") from None


def _sync_folder(folder: Path) -> None:
    """Make a new name last through a power cut; where folders can't be opened the system sees to
    it.
    """
    if os.name == "posix":
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def _texts(path: Path, encoded: str) -> tuple[str, ...]:
    """Cells, or headers, as they were kept."""
    if encoded == PURGED:
        return ()
    try:
        texts = json.loads(encoded)
    except (ValueError, TypeError, RecursionError):
        texts = None
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise damaged(path, "cells in it are not what they were")
    return tuple(texts)


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",  # never makes a file
        uri=True,
        isolation_level=None,
        timeout=BUSY_SECONDS,
        check_same_thread=False,  # one thread at a time: the recorder sees to it
    )


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _groups(rows: Iterator[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    """Rows in groups that are bounded in number and in the length of their cells."""
    group: list[tuple[Any, ...]] = []
    characters = 0
    for row in rows:
        group.append(row)
        characters += len(row[1])
        if len(group) == _GROUP or characters > _GROUP_CHARACTERS:
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
