"""The checkpoint as a file: its connection, its transactions, and what it says of the job as a whole.

It promises that `commit` is one durable transaction (WAL, synchronous=FULL): all of the block, or
nothing of it, is on the disk when the block ends. So whatever another part of the store promises
"at every commit" holds after a crash at any instant. One thread at a time uses a database.
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct

from bulk_sync.errors import CheckpointError, OutputError
from bulk_sync.job import ledger
from bulk_sync.job.damage import (
    BUSY_SECONDS,
    damaged,
    refuse_what_is_no_file,
    translated,
)
from bulk_sync.job.health import examine
from bulk_sync.job.purge import PURGED, purge
from bulk_sync.job.schema import CREATE, SCHEMA_VERSION, migrate
from bulk_sync.job.sealing import is_large, keep_sealed, seal

GROUP = 2000
"""Rows in one commit while staging."""

# Parts of statements; all of them constant text of ours.
OF_THE_JOB = "generation = (SELECT generation FROM job)"

LISTED = "(SELECT value FROM json_each(?))"
"""A list in one parameter: a statement that takes a group is one step of SQLite's, in which other
threads go on.
"""

UNKNOWN = "(in_flight = 1 OR may_have_been_applied = 1)"
ON_THE_WAY = (
    f"{OF_THE_JOB} AND state = 'pending' AND id > (SELECT ended FROM job) AND id <= (SELECT taken FROM job) "
    "AND NOT EXISTS (SELECT 1 FROM outcome WHERE outcome.id = staged.id)"
)
"""Rows that were handed out for the first time, and have no outcome."""


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


class Database:
    """An open checkpoint, made by `opened`, `scratch` or `readable`; not for two threads at once."""

    def __init__(
        self, connection: sqlite3.Connection, path: Path, ledger_schema: str = "main"
    ) -> None:
        self.connection = connection
        self.path = path
        self.ledger_schema = ledger_schema
        self.written_from: float = math.inf
        """Rows from this id on were written through this connection."""

    @property
    def has_shared_ledger(self) -> bool:
        """True when a file that other jobs share takes the place of the ledger in the checkpoint."""
        return self.ledger_schema == ledger.SHARED

    @contextmanager
    def commit(self) -> Iterator[sqlite3.Connection]:
        """One durable transaction: all of the block, or nothing of it."""
        with translated(self.path, in_use=True):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    @contextmanager
    def at_one_moment(self) -> Iterator[None]:
        """Let several questions be answered as of one moment, though a run may write in between."""
        if self.connection.in_transaction:
            yield
            return
        self.connection.execute("BEGIN")
        try:
            yield
        finally:
            if self.connection.in_transaction:
                self.connection.execute("COMMIT")

    def job(self) -> Job | None:
        """The job, or None when nothing was staged yet."""
        found = self.connection.execute(
            "SELECT generation, input, input_digest, meaning, partial, headers, base_url, key_fingerprint, seconds "
            "FROM job"
        ).fetchone()
        if found is None:
            return None
        generation, name, digest, meaning, partial, headers, *rest = found
        return Job(
            generation, name, digest, meaning, bool(partial), texts(self.path, headers), *rest
        )

    def accept_key(self, fingerprint: str) -> None:
        """Note which key the API accepted, or that the user vouched for."""
        with self.commit() as db:
            db.execute("UPDATE job SET key_fingerprint = ?", (fingerprint,))

    def add_seconds(self, seconds: float) -> None:
        """Add a run's duration to the job's."""
        with self.commit() as db:
            db.execute("UPDATE job SET seconds = seconds + ?", (seconds,))

    def wrote_report(self, path: Path, digest: str) -> bool:
        """True when a report of this digest was written there by the program."""
        known = (storable(str(path.absolute())), digest)
        return (
            self.connection.execute(
                "SELECT 1 FROM report WHERE path = ? AND digest = ?", known
            ).fetchone()
            is not None
        )

    def note_report(self, path: Path, digest: str) -> None:
        """Keep the digest of a report before it takes its place, beside those of the ones before.

        Noted afterwards, a crash in between would make it look like somebody's edit.
        """
        with self.commit() as db:
            db.execute(
                "INSERT OR IGNORE INTO report VALUES (?, ?)",
                (storable(str(path.absolute())), digest),
            )

    def purge(self) -> None:
        """Remove cells, patches and the messages that may quote them, from the rows and from the
        disk's free pages.
        """
        with translated(self.path, in_use=True):
            purge(self.connection, self.path)

    def attach(self, others: Mapping[str, Database]) -> sqlite3.Connection:
        """This database, with others attached under names of their own."""
        for name, other in others.items():
            self.connection.execute(f"ATTACH ? AS {name}", (other.address,))
        return self.connection

    @property
    def address(self) -> str:
        """The file, as another connection names it."""
        return f"{self.path.absolute().as_uri()}?mode=rw"


@contextmanager
def opened(
    path: Path, shared_ledger: Path | None = None, examined: Callable[[], None] | None = None
) -> Iterator[Database]:
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
        schema = "main"
        if shared_ledger is not None:
            ledger.attach(connection, shared_ledger)
            connection.execute("DELETE FROM acknowledged")
            schema = ledger.SHARED
        keep_sealed(connection, kept=is_large(path))
        yield Database(connection, path, schema)
        seal(connection, path)


@contextmanager
def scratch(path: Path | None = None) -> Iterator[Database]:
    """A database that is gone afterwards, for a look at what staging would give; it promises no
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
        yield Database(connection, path)


@contextmanager
def readable(path: Path) -> Iterator[Database]:
    """Open for a look, also while a run holds it; raises CheckpointError when there is nothing
    to see.

    SQLite opens it for writing where it may, only to tidy its side files away at the end.
    """
    refuse_what_is_no_file(path)
    if not path.exists():
        raise CheckpointError(f"{path}: there is no checkpoint here: this file was never pushed.")
    with translated(path):
        examine(path, SCHEMA_VERSION)
        with closing(_connect(path)) as connection:
            migrate(connection)
            yield Database(connection, path)


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


def storable(name: str) -> str:
    """The name of a file as SQLite takes it: one that isn't UTF-8 has its odd bytes escaped."""
    return name.encode("utf-8", "backslashreplace").decode()


def texts(path: Path, encoded: str) -> tuple[str, ...]:
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


def pragma(connection: sqlite3.Connection, name: str) -> int:
    """Return the number that a PRAGMA answers with."""
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
