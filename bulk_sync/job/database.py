"""The checkpoint as a file: its connection, its transactions, and the job as a whole.

Invariant: `commit` is one durable transaction (see `filesystem.choose_journal`). Once its block
ends, all of the block is on the disk; after a crash within it, nothing is. What the other parts
promise "at every commit" therefore holds after a crash at any instant.

One thread at a time may use a database.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path

from msgspec import Struct

from bulk_sync import platforms
from bulk_sync.errors import CheckpointError, OutputError
from bulk_sync.job import ledger_file
from bulk_sync.job.bounded import TooSlow
from bulk_sync.job.connection import connect, migrate
from bulk_sync.job.damage import (
    BUSY_TIMEOUT_SECONDS,
    damaged,
    error_code,
    keep_side_files,
    refuse_special_files,
    translated,
)
from bulk_sync.job.fence import Fence
from bulk_sync.job.filesystem import choose_journal, refuse_without_shared_memory
from bulk_sync.job.health import examine, place_of_ledger
from bulk_sync.job.ledger import SHARED, Ledger
from bulk_sync.job.purge import purge
from bulk_sync.job.schema import APPLICATION_ID, CREATE, MIGRATIONS, SCHEMA_VERSION
from bulk_sync.job.sealing import is_large, keep_in_wal, seal
from bulk_sync.job.trust import refuse_untrusted
from bulk_sync.job.values import read_cells
from bulk_sync.model.account import Team
from bulk_sync.model.rows import Cell, text_of
from bulk_sync.platforms import why_refused
from bulk_sync.scratch import scratch_folder

GROUP = 2000
"""Rows written, or learnt, in one statement or commit."""

# SQLite's cache where memory is spared, of 2,000 by default.
_SPARE_CACHE_KIB = 256

PARKED = -1
"""The generation of the sheet's rows that the job's last run left out by choice.

Their outcomes are of earlier runs of the job; a row without one was never sent.
"""

EARLIER = -2
"""As `PARKED`, with an outcome of the job before: the row's content is still to be sent."""

APART = -3
"""The generation of rows that a run leaves out, while its sheet is staged.

They are judged together with the others, because they are in the sheet, too.
"""

# Parts of statements, all of them constant.
IN_JOB = "generation = (SELECT generation FROM job)"
"""Selects the rows of the job, not those being staged or parked."""

LISTED = "(SELECT value FROM json_each(?))"
"""The values of a JSON list, so that a group is one parameter of one statement: SQLite lets other
threads run while it executes one.
"""

ACKNOWLEDGED = "state IN ('updated', 'created')"
"""Selects rows whose content the API acknowledged."""

IN_DOUBT = "(in_flight = 1 OR may_have_been_applied = 1)"
"""Selects rows of the view that may have been applied without an acknowledgement."""

OWN_CONTENT = "(state <> 'superseded' OR json_extract(reasons, '$[0].facts.files') IS NOT NULL)"
"""Selects rows that say what the sheet wants of a showing.

A row that one of another file took the place of is among them: another run may take it.
"""

UNRECORDED = (
    f"{IN_JOB} AND state = 'pending' "
    "AND id > (SELECT ended FROM job) AND id <= (SELECT taken FROM job) "
    "AND NOT EXISTS (SELECT 1 FROM outcome WHERE outcome.id = staged.id)"
)
"""Selects staged rows that were handed out for the first time and have no outcome."""


class Locked(Exception):
    """Another process writes to the checkpoint, or to its ledger, now."""


class Ended(Struct, frozen=True):
    """The end of a push: when, in UTC, and its exit code."""

    at: str
    exit_code: int


class Job(Struct, frozen=True):
    """The sheet, the settings and the address that a checkpoint is for.

    `meaning` is a digest of the settings that change patches; `partial` is True when rows were
    left out by choice; `seconds` is the duration of all runs so far. `team` is the one that
    users/me named for the key, and `key_proven` True once the API acknowledged a row with it.
    `source` is how the cells were read, as JSON (see `model.own.Source`); empty in a job of an
    earlier version. `elsewhere` is a digest of what other files of the run decided about the rows,
    "" for nothing. `command` has the words of the last push from a command line. `ended` is how it
    ended; None while it runs, if it was cut off, and in a job of an earlier version.
    """

    generation: int
    input: str
    input_digest: str
    meaning: str
    partial: bool
    headers: tuple[str, ...]
    base_url: str
    key_fingerprint: str | None
    seconds: float
    team: Team | None = None
    key_proven: bool = False
    source: str = ""
    elsewhere: str = ""
    command: tuple[str, ...] = ()
    ended: Ended | None = None


class Database:
    """An open checkpoint; made by `opened`, `scratch` or `readable`.

    `shared_ledger` is the file that takes the place of the checkpoint's own ledger.
    """

    def __init__(
        self, connection: sqlite3.Connection, path: Path, shared_ledger: Path | None = None
    ) -> None:
        self.connection = connection
        self.path = path
        self.shared_ledger = shared_ledger
        self._fence = Fence(path)
        self._identities = {one: _identity(one) for one in (path, shared_ledger) if one}
        # Settled rows that this run sends again: see `Known.find_overwritten`.
        connection.execute("CREATE TEMP TABLE IF NOT EXISTS overwritten (id INTEGER PRIMARY KEY)")
        self.written_from: float = math.inf
        """Rows from this id on were written through this connection, so they need no check."""

    def missing(self) -> Path | None:
        """Return checkpoint or ledger if another file, or none, has its name now.

        SQLite goes on with the file that it has open, whatever becomes of its name.
        """
        for path, identity in self._identities.items():
            if _identity(path) != identity:
                return path
        return None

    @property
    def has_shared_ledger(self) -> bool:
        """True if the job uses a ledger file that other jobs share."""
        return self.shared_ledger is not None

    @property
    def has_wal(self) -> bool:
        """True if the journal is a WAL, False for a rollback journal."""
        (mode,) = self.connection.execute("PRAGMA journal_mode").fetchone()
        return bool(mode == "wal")

    @property
    def is_local(self) -> bool:
        """True if all of its files are certainly on disks of this host."""
        return all(map(platforms.is_on_own_disk, self._identities))

    @property
    def ledger_schema(self) -> str:
        """The schema of the ledger that the job uses."""
        return SHARED if self.has_shared_ledger else "main"

    def ledger(self, base_url: str) -> Ledger:
        """Return the job's ledger of a base URL."""
        writer = self.writer() if self.has_shared_ledger else None
        return Ledger(self.connection, base_url, self.ledger_schema, writer)

    def writer(self) -> str:
        """Return the name of this checkpoint in the ledgers of others.

        A copy of the file gets another name, so that both are not taken for one.
        """
        (own,) = self.connection.execute("SELECT writer FROM ledger_place").fetchone()
        name = f"{own} {storable(str(self.path.absolute()))}"
        return hashlib.sha256(name.encode()).hexdigest()[:16]

    @contextmanager
    def commit(self, *, waits: bool = True) -> Iterator[sqlite3.Connection]:
        """Run the block as one durable transaction: all of it, or nothing.

        Raises CheckpointBusy when another run has taken the checkpoint: see `take`. One that does
        not wait for another process raises Locked while that writes, and does nothing.
        """
        with translated(self.path, in_use=True, ledger=self.shared_ledger):
            self._begin(waits=waits)
            try:
                self._fence.check(self.connection)
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    def _begin(self, *, waits: bool) -> None:
        # IMMEDIATE, because a read transaction that turns into a write fails with SQLITE_BUSY at
        # once when another process has written since, whatever the busy timeout says.
        if waits:
            self.connection.execute("BEGIN IMMEDIATE")
            return
        self.connection.execute("PRAGMA busy_timeout = 0")
        try:
            self.connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error_code(error) == sqlite3.SQLITE_BUSY:
                raise Locked from None
            raise
        finally:
            self.connection.execute(f"PRAGMA busy_timeout = {1000 * BUSY_TIMEOUT_SECONDS}")

    def take(self) -> None:
        """Take the checkpoint for this run: one that had it before can't commit any more."""
        with self.commit() as db:
            self._fence.put(db)

    def spare_memory(self) -> None:
        """Give back what staging cached, and cache little: sending reads each row once, in order.

        A sixth of the memory of a job of 2,000 rows, which counts where hundreds run.
        """
        self.connection.execute("PRAGMA shrink_memory")
        self.connection.execute(f"PRAGMA cache_size = -{_SPARE_CACHE_KIB}")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let the block's queries see one state of the checkpoint, even while a run writes."""
        # SQLite has no nested transactions, and the one around sees one state already.
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
        """Return the job, or None before a sheet was adopted."""
        found = self.connection.execute(
            "SELECT generation, input, input_digest, meaning, partial, headers, base_url, "
            "key_fingerprint, seconds, team_id, team_name, key_proven, source, elsewhere, "
            "command, ended_at, exit_code FROM job"
        ).fetchone()
        if found is None:
            return None
        *rest, team_id, team_name, key_proven, source, elsewhere, command, at, code = found
        if not isinstance(at, str | None) or not isinstance(code, int | None):
            raise damaged(self.path, "the end of its last run is impossible")
        generation, name, digest, meaning, partial, headers, base_url, fingerprint, seconds = rest
        return Job(
            generation,
            name,
            digest,
            meaning,
            bool(partial),
            texts(self.path, headers),
            base_url,
            fingerprint,
            seconds,
            Team(team_id, team_name) or None,
            bool(key_proven),
            source,
            elsewhere,
            texts(self.path, command),
            None if at is None or code is None else Ended(at, code),
        )

    def note_begin(self, command: Sequence[str]) -> None:
        """Record the words of the command that pushes from now on; none for a program's call."""
        words = json.dumps([storable(one) for one in command])
        with self.commit() as db:
            db.execute("UPDATE job SET command = ?, ended_at = NULL, exit_code = NULL", (words,))

    def note_end(self, ended: Ended) -> None:
        """Record the end of the push."""
        with self.commit() as db:
            db.execute("UPDATE job SET ended_at = ?, exit_code = ?", (ended.at, ended.exit_code))

    def accept_key(self, fingerprint: str) -> None:
        """Record the fingerprint of a key that the API accepted or the user vouches for."""
        with self.commit() as db:
            db.execute("UPDATE job SET key_fingerprint = ?, key_proven = 1", (fingerprint,))

    def add_seconds(self, seconds: float) -> None:
        """Add a run's duration to the job's."""
        with self.commit() as db:
            db.execute("UPDATE job SET seconds = seconds + ?", (seconds,))

    def wrote_report(self, path: Path, digest: str) -> bool:
        """Return whether the program wrote a report with this digest to this path."""
        found = self.connection.execute(
            "SELECT 1 FROM report WHERE path = ? AND digest = ?",
            (storable(str(path.absolute())), digest),
        )
        return found.fetchone() is not None

    def note_report(self, path: Path, digest: str) -> None:
        """Record the digest of a report before the file is put in place.

        Recorded afterwards, a crash in between would make the file look edited.
        """
        with self.commit() as db:
            db.execute(
                "INSERT OR IGNORE INTO report VALUES (?, ?)",
                (storable(str(path.absolute())), digest),
            )

    def note_output(self, name: str, path: Path) -> None:
        """Record the path that an output of the run has: the name takes the place of a digest."""
        with self.commit() as db:
            # REPLACE gives the row a new rowid, by which it is the last one.
            db.execute(
                "INSERT OR REPLACE INTO report VALUES (?, ?)",
                (storable(str(path.absolute())), name),
            )

    def outputs(self, name: str) -> list[Path]:
        """Return the paths that an output had, the last one first."""
        found = self.connection.execute(
            "SELECT path FROM report WHERE digest = ? ORDER BY rowid DESC", (name,)
        )
        return [Path(path) for (path,) in found]

    def purge(self) -> None:
        """Remove cells, patches and messages from the rows and from free pages; see `job.purge`."""
        with translated(self.path, in_use=True, ledger=self.shared_ledger):
            with self.commit():
                pass  # not while another run works with them
            purge(self.connection, self.path)

    def attach(self, others: Mapping[str, Database]) -> sqlite3.Connection:
        """Attach other databases under the given names; return this one's connection."""
        for name, other in others.items():
            self.connection.execute(f"ATTACH ? AS {name}", (other.address,))
        return self.connection

    @property
    def address(self) -> str:
        """The URI by which another connection attaches the file."""
        return f"{self.path.absolute().as_uri()}?mode=rw"


@contextmanager
def opened(
    path: Path,
    shared_ledger: Path | None = None,
    examined: Callable[[], None] | None = None,
    *,
    between_hosts: bool = False,
) -> Iterator[Database]:
    """Open a checkpoint for a run, and make it if there is none.

    `shared_ledger` replaces the checkpoint's own ledger; another checkpoint was opened before, so
    that it is examined and migrated. `examined` is the function that
    `health.examining` yielded, when the examination has begun already. `between_hosts` as in
    `filesystem.choose_journal`.

    Raises OutputError when the file can't be written, CheckpointDamaged when it is not whole,
    CheckpointError when it is another program's or a newer version's.
    """
    refuse_special_files(path)
    refuse_untrusted(path)
    if path.exists():
        with translated(path):
            (examined or partial(examine, path))()
    else:
        _make(path)
    with translated(path):
        connection = connect(path, any_thread=True)
    with translated(path, in_use=True, ledger=shared_ledger), closing(connection):
        choose_journal(connection, path, between_hosts=between_hosts)
        migrate(connection, SCHEMA_VERSION, MIGRATIONS)
        if shared_ledger is not None:
            ledger_file.attach(
                connection,
                shared_ledger,
                examined=is_checkpoint(shared_ledger),
                between_hosts=between_hosts,
            )
        keep_in_wal(connection, kept=is_large(path))
        database = Database(connection, path, shared_ledger)
        database.take()
        yield database
        if database.missing() is None:
            seal(connection, path)


@contextmanager
def scratch(path: Path | None = None, otherwise: Path | None = None) -> Iterator[Database]:
    """Open a temporary checkpoint, for a dry run of staging; it is not durable.

    With a path, that file is used, made if there is none, and kept. `otherwise` is the folder to
    use where the system has no temporary folder.
    """
    with ExitStack() as stack:
        if path is None:
            path = stack.enter_context(scratch_folder(otherwise=otherwise)) / "check.sqlite"
        made = not path.exists()
        path.touch(0o600)  # before SQLite makes it with the umask's mode
        stack.enter_context(translated(path))
        opened = closing(connect(path, any_thread=True, temporary=True))
        connection = stack.enter_context(opened)
        connection.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + CREATE * made
        )
        yield Database(connection, path)


@contextmanager
def readable(path: Path) -> Iterator[Database]:
    """Open a checkpoint for reading, also while a run holds it.

    SQLite opens it for writing where permitted, only to remove the WAL at the end. Raises
    CheckpointError when there is none, and as `opened` does.
    """
    refuse_special_files(path)
    if not path.exists():
        raise CheckpointError(
            f"{path}: there is no checkpoint here: this file was never pushed, or with another "
            "--checkpoint. Push it with bulk-sync push, or name its checkpoint."
        )
    with translated(path):
        examine(path)
        with closing(connect(path, any_thread=True)) as connection:
            migrate(connection, SCHEMA_VERSION, MIGRATIONS)
            yield Database(connection, path)


def is_checkpoint(path: Path) -> bool:
    """Return whether a file is marked as a checkpoint; other files and none are not."""
    # The application id of a database (sqlite.org/fileformat2.html, section 1.3).
    try:
        if not path.is_file():  # opening a pipe would wait for its writer
            return False
        with path.open("rb") as file:
            return file.read(72)[68:] == APPLICATION_ID.to_bytes(4, "big")
    except OSError:
        return False


def recorded_ledger(path: Path) -> Path | None:
    """Return the ledger that the last run of a checkpoint used; None for its own.

    Also None for a file that can't be read, because its examination has the words for that.
    Raises OutputError for one that can't be used in its folder.
    """
    if not is_checkpoint(path):
        return None
    refuse_without_shared_memory(path)
    with suppress(sqlite3.Error, CheckpointError, TooSlow):
        return place_of_ledger(path)
    return None


def _make(path: Path) -> None:
    """Make a checkpoint under another name and rename it, so that it is never incomplete."""
    new = path.with_name(path.name + ".new")
    try:
        new.unlink(missing_ok=True)
        os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        with translated(path), closing(connect(new)) as connection:
            connection.executescript(CREATE)
        keep_side_files(path)
        new.replace(path)
        platforms.sync_folder(path.parent)
    except OSError as error:
        raise OutputError(
            f"{path}: the checkpoint can't be written: {why_refused(error)}."
        ) from None


def _identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of a file; None without one."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def storable(name: str) -> str:
    """Return a file's name as SQLite stores it: bytes that aren't UTF-8 are escaped."""
    return name.encode("utf-8", "backslashreplace").decode()


def texts(path: Path, encoded: str) -> tuple[str, ...]:
    """Decode headers; raises CheckpointDamaged."""
    return tuple(map(text_of, cells(path, encoded)))


def cells(path: Path, encoded: str) -> tuple[Cell, ...]:
    """Decode the cells of a row; none after a purge. Raises CheckpointDamaged."""
    try:
        return read_cells(encoded)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        raise damaged(path, "a row's cells in it can't be read") from None
