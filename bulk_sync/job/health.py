"""Examine a file before it is used: is it a checkpoint, and is it whole?

The examination opens a file that has a WAL for reading only, so SQLite neither moves the WAL into
it nor removes it, and a damaged checkpoint stays byte for byte what it was. The rows of a large
file are checked in one thread while SQLite checks its structure in another, because SQLite lets
other threads run meanwhile. (Two threads that check rows would only block each other: json_valid
allocates memory, which SQLite counts under one lock.)

A sealed checkpoint (`sealing.py`) is not read as a whole. Bits that a disk loses in one show where
they are read: a patch is compared with its digest before it is sent, and SQLite finds pages that
don't fit together.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from bulk_sync.errors import CheckpointError
from bulk_sync.job.damage import BUSY_TIMEOUT_SECONDS, NOT_WRITABLE, damaged, error_code
from bulk_sync.job.filesystem import keep_temporary_files, refuse_without_shared_memory
from bulk_sync.job.sealing import is_sealed, wal_bytes, wal_path
from bulk_sync.model.rows import State

APPLICATION_ID = 0x6253796E  # "bSyn"
"""Marks our files among other SQLite files (PRAGMA application_id)."""

# The size from which threads gain more than they cost.
_LARGE_BYTES = 10_000_000

_STATES = ", ".join(f"'{state.value}'" for state in State)

# The columns of an outcome, which up to version 6 were part of the row.
_OUTCOME = """
    typeof(attempts) = 'integer' AND typeof(throttled) = 'integer' AND in_flight IN (0, 1)
    AND typeof(http_status) IN ('integer', 'null') AND typeof(duration_ms) IN ('integer', 'null')
    AND typeof(error) IN ('text', 'null') AND typeof(message) IN ('text', 'null')
    AND typeof(showing_id) IN ('text', 'null') AND typeof(updated_at) IN ('text', 'null')
    AND typeof(sent_at) IN ('text', 'null')
"""

# Finds a row that no run can have written.
#
# Rows of another generation than the job's are those being staged, and those that were left out
# by choice: see `job.staged`.
_UNSOUND = f"""
SELECT 1 FROM {{table}} WHERE NOT (
    typeof(number) = 'integer' AND typeof(target) = 'text' AND typeof(fields) = 'text'
    AND state IN ({_STATES}) AND typeof(error) IN ('text', 'null') AND {{why}}
    AND (state <> 'pending' OR body IS NOT NULL {{decided}}) AND {{outcome}}
    AND json_valid(cells) AND (body IS NULL OR json_valid(body))
) OR generation NOT IN (
    SELECT generation + step FROM job, (SELECT 0 AS step UNION SELECT 1) UNION SELECT -1 UNION
    SELECT -2 UNION SELECT -3 UNION
    SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM job)) {{other_key}} LIMIT 1
"""

_MESSAGE = "typeof(message) IN ('text', 'null')"
_REASONS = "(reasons IS NULL OR typeof(reasons) = 'text' AND json_valid(reasons))"

# Finds a row with one key that changes another showing.
#
# A row addressed by North's id has its key in its patch.
_OTHER_KEY = """
OR (key <> '' AND key <> target AND body IS NOT NULL
    AND json_extract(body, '$.unique_showing_key') IS NOT key)
"""

# Admits a pending row without a patch: one that was purged after it was decided, or one that a
# choice left out, and that has no patch to send as long as it is.
_DECIDED = """
OR EXISTS (SELECT 1 FROM outcome WHERE outcome.id = staged.id AND outcome.state <> 'pending')
OR (generation < 0 AND cells = 'null')
"""

_UNSOUND_OUTCOME = f"""
SELECT 1 FROM outcome WHERE NOT (state IN ({_STATES}) AND {_OUTCOME})
OR (SELECT state FROM staged WHERE staged.id = outcome.id) IS NOT 'pending' LIMIT 1
"""

# Finds a pending row that no run would ever take: it counts as recorded and has no outcome.
_NEVER_HANDED_OUT = """
SELECT 1 FROM staged WHERE generation = (SELECT generation FROM job) AND state = 'pending'
AND id <= (SELECT ended FROM job)
AND NOT EXISTS (SELECT 1 FROM outcome WHERE outcome.id = staged.id) LIMIT 1
"""

_UNSOUND_LIST = "SELECT 1 FROM acknowledged WHERE NOT json_valid(ids) LIMIT 1"

_UNSOUND_SINCE_10 = """
SELECT 1 FROM creation WHERE typeof(target) <> 'text'
UNION ALL SELECT 1 FROM outcome WHERE NOT (echo IS NULL OR json_valid(echo))
UNION ALL SELECT 1 FROM staged WHERE typeof(report_id) NOT IN ('text', 'null')
    OR NOT (whole IS NULL OR json_valid(whole)) LIMIT 1
"""

_UNSOUND_TEAM = """
SELECT 1 FROM job WHERE typeof(team_id) NOT IN ('text', 'null')
    OR typeof(team_name) NOT IN ('text', 'null') OR key_proven NOT IN (0, 1)
UNION ALL SELECT 1 FROM ledger_account WHERE typeof(team_id) NOT IN ('text', 'null') LIMIT 1
"""

_PLACES = """
SELECT count(*) FROM ledger_place WHERE typeof(writer) = 'text' AND typeof(path) IN ('text', 'null')
"""

# Fails unless every table and the view are there.
_ALL_TABLES = (
    "SELECT * FROM row, outcome, report, acknowledged, ledger, ledger_account, timeline, sealed "
    "LIMIT 0"
)

_UNSOUND_JOB = f"""
SELECT 1 FROM job WHERE typeof(taken) <> 'integer' OR typeof(ended) <> 'integer' OR ended > taken
OR EXISTS (SELECT 1 FROM json_each(staged_states) WHERE key NOT IN ({_STATES}) OR type <> 'integer')
"""

# Finds a state whose number of rows differs from the count that staging recorded.
_MISCOUNTED = """
SELECT 1 FROM (
    SELECT state, count(*) FROM staged
    WHERE generation = (SELECT generation FROM job) GROUP BY state
    EXCEPT SELECT key, value FROM job, json_each(job.staged_states)
) UNION ALL SELECT 1 FROM job
    WHERE (SELECT sum(value) FROM json_each(job.staged_states))
        <> (SELECT count(*) FROM staged WHERE generation = job.generation)
LIMIT 1
"""


def examine(path: Path, version: int) -> None:
    """Examine a checkpoint, and leave it unchanged.

    Raises CheckpointDamaged when it is not whole, CheckpointError when it is of a newer version
    than `version` or another program's.
    """
    refuse_without_shared_memory(path)
    with closing(_connect_for_reading(path)) as connection:
        try:
            _examine(connection, path, version)
        except (MemoryError, UnicodeDecodeError):
            # From a length without bounds, and from a name in a message of SQLite's.
            raise damaged(path, "its header can't be read") from None
        except sqlite3.Error as error:
            if error_code(error) in NOT_WRITABLE:
                raise
            raise damaged(path, str(error)) from None


@contextmanager
def examining(path: Path, version: int) -> Iterator[Callable[[], None]]:
    """Examine a large checkpoint in a thread; yield a function that waits for the result.

    The function raises as `examine` does. It examines a file that changed meanwhile once more,
    because the file was not locked yet.
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


def _stamps(path: Path) -> list[tuple[int, int, int] | None]:
    """Return inode, size and modification time of a checkpoint and of its WAL."""
    stats = (one.stat() if one.exists() else None for one in (path, wal_path(path)))
    return [stat and (stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats]


def _examine(connection: sqlite3.Connection, path: Path, version: int) -> None:
    if pragma(connection, "application_id") != APPLICATION_ID:
        # Raises for a file that is no database at all.
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        raise CheckpointError(
            f"{path}: this is not a checkpoint of bulk-sync; name another with --checkpoint."
        )
    made_by = pragma(connection, "user_version")
    if made_by > version:
        raise CheckpointError(
            f"{path}: a newer version of bulk-sync made this checkpoint; use that version."
        )
    if made_by < 1:
        raise damaged(path, f"its version is {made_by}")
    if path.stat().st_size % pragma(connection, "page_size"):
        # SQLite would read zeros where the end is cut off.
        raise damaged(path, "its size is no whole number of pages")
    if made_by > 6:
        connection.execute(_ALL_TABLES)
        if made_by > 9:
            connection.execute("SELECT target FROM creation LIMIT 0")
            if connection.execute(_PLACES).fetchone() != (1,):
                raise damaged(path, "the place of its ledger can't be read")
        if connection.execute(_UNSOUND_JOB).fetchone():
            raise damaged(path, "its job is not as a run writes it")
    if made_by < 7 or not is_sealed(connection, path):
        _read_all(connection, path, made_by)


def _read_all(connection: sqlite3.Connection, path: Path, made_by: int) -> None:
    """Raise CheckpointDamaged unless structure and rows are as version `made_by` writes them."""
    with _queries(path, connection) as query:
        structure = query("PRAGMA integrity_check(1)")
        rows = [
            query(
                _UNSOUND.format(
                    table="row" if made_by < 7 else "staged",
                    other_key=_OTHER_KEY if made_by > 1 else "",
                    outcome=_OUTCOME if made_by < 7 else "true",
                    decided="" if made_by < 7 else _DECIDED,
                    why=_MESSAGE if made_by < 9 else _REASONS,
                )
            )
        ]
        if made_by > 5:
            rows.append(query(_UNSOUND_LIST))
        if made_by > 6:
            rows += [query(_UNSOUND_OUTCOME), query(_MISCOUNTED), query(_NEVER_HANDED_OUT)]
        if made_by > 9:
            rows += [query(_UNSOUND_SINCE_10), query(_UNSOUND_TEAM)]
        found = " ".join(str(structure()[0]).split())
        if found != "ok":
            raise damaged(path, found)
        if any(part() for part in rows):
            raise damaged(path, "a row in it is not as a run writes it")


@contextmanager
def _queries(
    path: Path, connection: sqlite3.Connection
) -> Iterator[Callable[[str], Callable[[], Any]]]:
    """Yield a function that starts a query and returns one that waits for its first row.

    Queries of a large file run in threads; those of a small one run when they are waited for.
    """
    if path.stat().st_size < _LARGE_BYTES:
        yield lambda sql: lambda: connection.execute(sql).fetchone()
        return

    def first_row(sql: str) -> Any:  # noqa: ANN401 - a row of whatever columns
        # A connection of its own, because SQLite runs one statement of a connection at a time.
        with closing(_connect_for_reading(path)) as own:
            return own.execute(sql).fetchone()

    with ThreadPoolExecutor() as threads:
        yield lambda sql: threads.submit(first_row, sql).result


def _connect_for_reading(path: Path) -> sqlite3.Connection:
    # A connection that may only read would leave an empty WAL behind where there was none, and
    # couldn't roll back what a kill left half written while the file was made.
    mode = "ro" if wal_bytes(path) else "rw"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        timeout=BUSY_TIMEOUT_SECONDS,
    )
    keep_temporary_files(connection, path)
    return connection


def pragma(connection: sqlite3.Connection, name: str) -> int:
    """Return the number that a PRAGMA answers with."""
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
