"""Is a checkpoint whole, and is it ours? Asked before it is used, so that damage becomes no wrong
claim, and no bug.

The examination opens a file that has a side file for reading only: SQLite then neither moves that
into it nor removes it, so that a damaged checkpoint stays byte for byte what it was. All of the
file is read, so the rows of a large one are looked at while SQLite's own check of its structure
goes on: SQLite lets other threads run meanwhile. (Two threads that look at rows would only be in
each other's way: json_valid allocates memory, which SQLite counts under one lock.)

A large one is not read as a whole where that can be spared. A run seals it: it writes a time into
it, gives it that time as its time of change, and from then on writes to the side file alone, whose
frames SQLite checks one by one, until it seals it again. Whoever else writes to it gives it another
time, and so does a copy, but for one that keeps times. What a disk loses by itself shows where it
is read: a patch is checked against its digest before it is sent, and SQLite finds pages that don't
fit together.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from bulk_sync.errors import CheckpointDamaged, CheckpointError, OutputError
from bulk_sync.model import State

APPLICATION_ID = 0x6253796E  # "bSyn": tells our files from other SQLite files

_MAGIC = b"SQLite format 3\0"
_LARGE_BYTES = 10_000_000
"""From here on threads gain more than they cost."""

BUSY_SECONDS = 10
"""So long SQLite waits for another that writes."""

SEALED_BYTES = 50_000_000
"""From here on a checkpoint is sealed: examining it would take the better part of a second."""

_PAGES_AT_ONCE = 1000
"""SQLite's own measure of how much may stand in the side file."""

_SIDE_FILES = ("-wal", "-shm", "-journal")

_NOT_WRITABLE = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PROTOCOL,
    }
)
_DAMAGED = frozenset(
    {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_FORMAT,
        # Our statements are constant: what is wrong with them is the tables, or what stands in
        # them.
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
    }
)

_STATES = ", ".join(f"'{state.value}'" for state in State)

_OUTCOME = """
    typeof(attempts) = 'integer' AND typeof(throttled) = 'integer' AND in_flight IN (0, 1)
    AND typeof(http_status) IN ('integer', 'null') AND typeof(duration_ms) IN ('integer', 'null')
    AND typeof(error) IN ('text', 'null') AND typeof(message) IN ('text', 'null')
    AND typeof(showing_id) IN ('text', 'null') AND typeof(updated_at) IN ('text', 'null')
    AND typeof(sent_at) IN ('text', 'null')
"""
"""What became of a row; up to version 6 it stood in the row itself."""

_UNSOUND = f"""
SELECT 1 FROM {{table}} WHERE NOT (
    typeof(number) = 'integer' AND typeof(target) = 'text' AND typeof(fields) = 'text' AND state IN ({_STATES})
    AND typeof(error) IN ('text', 'null') AND typeof(message) IN ('text', 'null')
    AND (state <> 'pending' OR body IS NOT NULL {{decided}}) AND {{outcome}}
    AND json_valid(cells) AND (body IS NULL OR json_valid(body))
) OR generation NOT IN (SELECT generation + step FROM job, (SELECT 0 AS step UNION SELECT 1) UNION SELECT -1 UNION
    SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM job)) {{other_key}} LIMIT 1
"""
"""A row that no run of ours can have written. Of another generation than the job's are only rows
that are being staged, and those that a --limit parked."""

_OTHER_KEY = """
OR (key <> '' AND key <> target AND body IS NOT NULL AND json_extract(body, '$.unique_showing_key') IS NOT key)
"""
"""A row that goes by one key and changes the showing of another; one with North's id has its key in
its patch.
"""

_DECIDED = """
OR EXISTS (SELECT 1 FROM outcome WHERE outcome.id = staged.id AND outcome.state <> 'pending')
OR (generation = -1 AND cells = 'null')
"""
"""What was purged is pending no more, or it was left out by a --limit and only its doubt is kept.
"""

_UNSOUND_OUTCOME = f"""
SELECT 1 FROM outcome WHERE NOT (state IN ({_STATES}) AND {_OUTCOME})
OR (SELECT state FROM staged WHERE staged.id = outcome.id) IS NOT 'pending' LIMIT 1
"""

_NEVER_TO_BE_HANDED_OUT = """
SELECT 1 FROM staged WHERE generation = (SELECT generation FROM job) AND state = 'pending'
AND id <= (SELECT ended FROM job) AND NOT EXISTS (SELECT 1 FROM outcome WHERE outcome.id = staged.id) LIMIT 1
"""
"""A pending row that no run would ever take: it counts as ended, and has no outcome."""

_NO_LIST = "SELECT 1 FROM acknowledged WHERE NOT json_valid(ids) LIMIT 1"

_ALL_TABLES = "SELECT * FROM row, outcome, report, acknowledged, ledger, ledger_account, timeline, sealed LIMIT 0"

_UNSOUND_JOB = f"""
SELECT 1 FROM job WHERE typeof(taken) <> 'integer' OR typeof(ended) <> 'integer' OR ended > taken
OR EXISTS (SELECT 1 FROM json_each(staged_states) WHERE key NOT IN ({_STATES}) OR type <> 'integer')
"""

_MISCOUNTED = """
SELECT 1 FROM (
    SELECT state, count(*) FROM staged WHERE generation = (SELECT generation FROM job) GROUP BY state
    EXCEPT SELECT key, value FROM job, json_each(job.staged_states)
) UNION ALL SELECT 1 FROM job
    WHERE (SELECT sum(value) FROM json_each(job.staged_states))
        <> (SELECT count(*) FROM staged WHERE generation = job.generation)
LIMIT 1
"""


def examine(path: Path, version: int) -> None:
    """Raise when a checkpoint is damaged, of a newer version than `version`, or none of ours; it is
    left as it is.
    """
    with closing(_connect_for_reading(path)) as connection:
        try:
            _examine(connection, path, version)
        except (
            MemoryError,
            UnicodeDecodeError,
        ):  # a length without bounds; a name in SQLite's own message
            raise damaged(path, "what it says of itself can't be read") from None
        except sqlite3.Error as error:
            if _code(error) in _NOT_WRITABLE:
                raise
            raise damaged(path, str(error)) from None


@contextmanager
def examined_beside(path: Path, version: int) -> Iterator[Callable[[], None]]:
    """Begin to examine a large checkpoint in a thread; what is yielded waits for that, and raises
    as `examine` does.

    A file that changed since is examined once more: it was not locked yet.
    """
    before = _stamps(path)
    if not path.is_file() or path.stat().st_size < _LARGE_BYTES:
        yield lambda: examine(path, version)
        return
    with ThreadPoolExecutor(1) as thread:
        examining = thread.submit(examine, path, version)

        def wait() -> None:
            if examining.exception() is not None or _stamps(path) != before:
                examine(path, version)

        yield wait


def is_large(path: Path) -> bool:
    """True for a checkpoint that is sealed: to read all of it takes time."""
    return path.stat().st_size >= SEALED_BYTES


def bytes_beside(path: Path) -> int:
    """What stands in the side file."""
    beside = _beside_of(path)
    return beside.stat().st_size if beside.exists() else 0


def _beside_of(path: Path) -> Path:
    """The side file with a checkpoint's newest pages."""
    return path.with_name(path.name + "-wal")


def seal(connection: sqlite3.Connection, path: Path) -> None:
    """Seal a large checkpoint that was written to.

    What can't be done is left undone: then the checkpoint is examined before it is used again.
    """
    if not is_large(path) or not bytes_beside(path):
        return
    # That of the last write, so that what copies files by their times sees a new one; yet no time
    # that a write gives.
    changed_ns = max(one.stat().st_mtime_ns for one in (path, _beside_of(path))) + 1
    with suppress(sqlite3.Error, OSError):
        connection.execute("INSERT OR REPLACE INTO sealed VALUES (1, ?)", (changed_ns,))
        connection.execute("PRAGMA busy_timeout = 0")  # who reads now is not waited for
        try:
            others_read, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            connection.execute(f"PRAGMA busy_timeout = {1000 * BUSY_SECONDS}")
        if not others_read:
            os.utime(path, ns=(path.stat().st_atime_ns, changed_ns))


def keep_sealed(connection: sqlite3.Connection, *, kept: bool) -> None:
    """Let SQLite move what was written into the checkpoint only when it is told, or again whenever
    it is much.
    """
    connection.execute(f"PRAGMA wal_autocheckpoint = {0 if kept else _PAGES_AT_ONCE}")


def _is_sealed(connection: sqlite3.Connection, path: Path) -> bool:
    noted = connection.execute("SELECT changed_ns FROM sealed").fetchone()
    return noted is not None and noted[0] == path.stat().st_mtime_ns


def _stamps(path: Path) -> list[tuple[int, int, int] | None]:
    """What changes with a file's content, of a checkpoint and of the side file with its newest
    pages.
    """
    stats = (one.stat() if one.exists() else None for one in (path, _beside_of(path)))
    return [stat and (stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats]


def _examine(connection: sqlite3.Connection, path: Path, version: int) -> None:
    if _pragma(connection, "application_id") != APPLICATION_ID:
        connection.execute(
            "SELECT count(*) FROM sqlite_master"
        ).fetchone()  # what is no database at all is said so
        raise CheckpointError(
            f"{path}: this is not a checkpoint of bulk-sync; name another with --checkpoint."
        )
    made_by = _pragma(connection, "user_version")
    if made_by > version:
        raise CheckpointError(
            f"{path}: a newer version of bulk-sync made this checkpoint; use that version."
        )
    if made_by < 1:
        raise damaged(path, f"it says that it is of version {made_by}")
    if path.stat().st_size % _pragma(connection, "page_size"):
        raise damaged(
            path, "its end is missing, or not its own"
        )  # SQLite would read zeros in place of what is cut off
    if made_by > 6:
        connection.execute(_ALL_TABLES)
        if connection.execute(_UNSOUND_JOB).fetchone():
            raise damaged(path, "what it says of the job can't be as it was written")
    if made_by < 7 or not _is_sealed(connection, path):
        _read_all(connection, path, made_by)


def _read_all(connection: sqlite3.Connection, path: Path, made_by: int) -> None:
    """Raise CheckpointDamaged unless structure and rows are as a run of version `made_by` writes
    them.
    """
    with _beside(path, connection) as ask:
        structure = ask("PRAGMA integrity_check(1)")
        rows = [
            ask(
                _UNSOUND.format(
                    table="row" if made_by < 7 else "staged",
                    other_key=_OTHER_KEY if made_by > 1 else "",
                    outcome=_OUTCOME if made_by < 7 else "true",
                    decided="" if made_by < 7 else _DECIDED,
                )
            )
        ]
        if made_by > 5:
            rows.append(ask(_NO_LIST))
        if made_by > 6:
            rows += [ask(_UNSOUND_OUTCOME), ask(_MISCOUNTED), ask(_NEVER_TO_BE_HANDED_OUT)]
        found = " ".join(str(structure()[0]).split())
        if found != "ok":
            raise damaged(path, found)
        if any(part() for part in rows):
            raise damaged(path, "a row in it can't be as it was written")


@contextmanager
def _beside(
    path: Path, connection: sqlite3.Connection
) -> Iterator[Callable[[str], Callable[[], Any]]]:
    """Ask a question at once, and wait for its first row when the answer is called; of a small file
    at that time.
    """
    if path.stat().st_size < _LARGE_BYTES:
        yield lambda question: lambda: connection.execute(question).fetchone()
        return

    def ask(question: str) -> Any:  # noqa: ANN401 - a row of whatever columns
        with closing(_connect_for_reading(path)) as own:
            return own.execute(question).fetchone()

    with ThreadPoolExecutor() as threads:
        yield lambda question: threads.submit(ask, question).result


def damaged(path: Path, why: str) -> CheckpointDamaged:
    """The error for a checkpoint that can't be trusted."""
    return CheckpointDamaged(
        f"{path}: this checkpoint is damaged ({why}). It was left as it is: push with --fresh keeps it under another "
        "name and starts over."
    )


def damaged_ledger(path: Path, why: str) -> CheckpointError:
    """The error for a shared ledger that can't be trusted."""
    return CheckpointError(
        f"{path}: this ledger is damaged ({' '.join(why.split())}). It was left as it is: move it away, and the next "
        "push makes a new one and sends all fields once more."
    )


def damaged_in_use(path: Path, why: str) -> OutputError:
    """The error for a checkpoint that a run can't go on with."""
    return OutputError(
        f"{path}: the checkpoint was damaged while it was in use ({why}). What was sent may be more than it says: look "
        "after the disk, then push with --fresh, which sends all rows again."
    )


@contextmanager
def translated(path: Path, *, in_use: bool = False) -> Iterator[None]:
    """SQLite's errors as the user's: what to mend, and that the file is left as it is.

    What is found in a checkpoint that a run has in use ends that run: rows may have been sent.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = _code(error)
        if code in _DAMAGED or (
            code is None and isinstance(error, sqlite3.OperationalError | sqlite3.DataError)
        ):
            # Without a code it is Python that could not make sense of what SQLite read.
            if in_use:
                raise damaged_in_use(path, str(error)) from None
            raise damaged(path, str(error)) from None
        if code in _NOT_WRITABLE:
            raise OutputError(
                f"{path}: the checkpoint can't be written ({error}). Make room or grant permission, then run again."
            ) from None
        raise


def refuse_what_is_no_file(path: Path) -> None:
    """Raise CheckpointError for a folder, a symbolic link, or a file that was emptied.

    Runs that came by two names would hold two locks. An empty file is never ours: a new one
    comes into its place when it is filled.
    """
    if path.is_symlink():
        raise CheckpointError(
            f"{path}: a symbolic link; name the checkpoint itself: --checkpoint {path.resolve()}"
        )
    if path.is_dir():
        raise CheckpointError(
            f"{path}: this is a folder, not a checkpoint; name another with --checkpoint."
        )
    if path.exists() and not path.is_file():
        raise CheckpointError(
            f"{path}: not a regular file, so no checkpoint; name another with --checkpoint."
        )
    if path.exists() and path.stat().st_size == 0:
        raise damaged(path, "it is empty")


def set_aside(path: Path) -> Path:
    """Rename a damaged checkpoint and its side files to the first free `NAME.damaged.sqlite`, and
    return that name.

    Raises CheckpointDamaged for a file that nothing marks as a checkpoint: it may be anything of
    the user's.
    """
    try:
        with path.open("rb") as file:
            is_ours = file.read(len(_MAGIC)) == _MAGIC or path.suffix == ".sqlite"
        if not is_ours:
            raise CheckpointDamaged(
                f"{path}: this is not a checkpoint of bulk-sync; name another with --checkpoint."
            )
        endings = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
        names = (path.with_name(f"{path.stem}.damaged{ending}{path.suffix}") for ending in endings)
        kept = next(name for name in names if not name.exists())
        for side in _SIDE_FILES:  # first, so that none of them ever lies beside a new checkpoint
            beside = path.with_name(path.name + side)
            if beside.exists():
                beside.rename(kept.with_name(kept.name + side))
        return path.rename(kept)
    except OSError as error:
        raise OutputError(f"{path}: can't be renamed: {error.strerror}.") from None


def _connect_for_reading(path: Path) -> sqlite3.Connection:
    # One that may only read would leave empty side files behind where there were none; and what a
    # kill left half written while the file was made, or turned into one with a side file, it could
    # not take back.
    mode = "ro" if bytes_beside(path) else "rw"
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        timeout=BUSY_SECONDS,
    )


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _code(error: sqlite3.Error) -> int | None:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
