"""Examine a file before it is used: is it a checkpoint, and is it whole?

The examination opens a file that has a WAL for reading only, so SQLite neither moves the WAL into
it nor removes it, and a damaged checkpoint stays byte for byte what it was. The rows of a large
file are checked in one thread while SQLite checks its structure in another, because SQLite lets
other threads run meanwhile. (Two threads that check rows would only block each other: json_valid
allocates memory, which SQLite counts under one lock.)

Before any row is read, the file has to be this user's (`trust.py`), and its tables ours
(`layout.py`). The whole examination has a deadline that grows with the file (`bounded.py`).

A sealed checkpoint (`sealing.py`) is not read as a whole. Bits that a disk loses in one show where
they are read: a patch is compared with its digest before it is sent, and SQLite finds pages that
don't fit together.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec

from bulk_sync.errors import BulkSyncError, CheckpointError, OutputError
from bulk_sync.job.bounded import (
    Background,
    Deadline,
    TooSlow,
    allowed_seconds,
    bytes_on_disk,
    within,
)
from bulk_sync.job.connection import connect
from bulk_sync.job.damage import NOT_WRITABLE, damaged, error_code, why_damaged
from bulk_sync.job.filesystem import refuse_without_shared_memory
from bulk_sync.job.layout import Layout, read_layout, tables_of
from bulk_sync.job.schema import APPLICATION_ID, SCHEMA_VERSION, difference_from
from bulk_sync.job.sealing import is_cut, is_large, is_sealed, wal_bytes, wal_path
from bulk_sync.job.timeline import runs
from bulk_sync.job.trust import refuse_untrusted
from bulk_sync.job.values import (
    check_cells,
    read_cells,
    read_patch,
    read_times,
    read_values,
    unreadable,
    unsound,
)
from bulk_sync.model.attempts import decode_attempts
from bulk_sync.model.own import read_source
from bulk_sync.model.problems import decoded
from bulk_sync.model.rows import Echo, GivenUp, State
from bulk_sync.platforms import why_refused

# The size from which threads gain more than they cost.
_LARGE_BYTES = 10_000_000

# No cell, patch or list of ours comes near.
_LONGEST_VALUE = 200_000_000

_STATES = ", ".join(f"'{state.value}'" for state in State)

# Finds a row that no run can have written.
#
# Rows of another generation than the job's are those being staged, and those that were left out
# by choice: see `job.staged`.
_UNSOUND = f"""
SELECT 1 FROM {{table}} WHERE NOT (
    state IN ({_STATES}) AND (state <> 'pending' OR body IS NOT NULL {{decided}}) AND {{readable}}
) OR generation NOT IN (
    SELECT generation + step FROM job, (SELECT 0 AS step UNION SELECT 1) UNION SELECT -1 UNION
    SELECT -2 UNION SELECT -3 UNION
    SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM job)) {{other_key}} LIMIT 1
"""

# Up to version 9; since then each text is read as it will be.
_READABLE = "json_valid(cells) AND (body IS NULL OR json_valid(body))"
_REASONS = "(reasons IS NULL OR json_valid(reasons))"

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
SELECT 1 FROM outcome WHERE state NOT IN ({_STATES})
OR (SELECT state FROM staged WHERE staged.id = outcome.id) IS NOT 'pending' LIMIT 1
"""

# Finds a pending row that no run would ever take: it counts as recorded and has no outcome.
_NEVER_HANDED_OUT = """
SELECT 1 FROM staged WHERE generation = (SELECT generation FROM job) AND state = 'pending'
AND id <= (SELECT ended FROM job)
AND NOT EXISTS (SELECT 1 FROM outcome WHERE outcome.id = staged.id) LIMIT 1
"""

_UNSOUND_LIST = "SELECT 1 FROM acknowledged WHERE NOT json_valid(ids) LIMIT 1"

_PLACES = """
SELECT count(*) FROM ledger_place WHERE typeof(writer) = 'text' AND (path IS NULL
    OR typeof(path) = 'text' AND length(CAST(path AS BLOB)) BETWEEN 1 AND 4096
    AND instr(path, char(0)) = 0)
"""

_UNSOUND_JOB = f"""
SELECT 1 FROM job WHERE typeof(taken) <> 'integer' OR typeof(ended) <> 'integer' OR ended > taken
OR instr(input, char(0))
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


def _read_staged_states(text: str) -> object:
    return msgspec.json.decode(text, type=dict[State, int])


# What reads the texts that are more than texts, since version 10.
_READERS: dict[str, Callable[[str], object]] = {
    "acknowledged.ids": msgspec.json.Decoder(list[int]).decode,
    "job.command": read_cells,
    "job.headers": read_cells,
    "job.source": lambda text: text and read_source(text),
    "job.staged_states": _read_staged_states,
    "ledger.fields": read_values,
    "ledger.times": read_times,
    "outcome.echo": msgspec.json.Decoder(tuple[Echo, ...]).decode,
    "outcome.given_up": GivenUp,
    "outcome.tries": decode_attempts,
    "staged.before": read_patch,
    "staged.body": read_patch,
    "staged.cells": check_cells,
    "staged.reasons": decoded,
    "staged.whole": read_patch,
}


def examine(path: Path, deadline: Deadline | None = None) -> None:
    """Examine a checkpoint, and leave it unchanged.

    Raises CheckpointDamaged when it is not whole, or not examined before the deadline;
    CheckpointError when somebody else could have written it, or it is of a newer version or another
    program's.
    """
    refuse_untrusted(path)
    refuse_without_shared_memory(path)
    deadline = deadline or Deadline(allowed_seconds(bytes_on_disk(path)))
    try:
        within(deadline, partial(_examine, path, deadline))
    except TooSlow as error:
        raise damaged(path, str(error)) from None
    except (MemoryError, UnicodeDecodeError):
        # From a length without bounds, and from a name in a message of SQLite's.
        raise damaged(path, "its header can't be read") from None
    except OSError as error:  # removed meanwhile, for one
        raise OutputError(f"{path}: can't be read: {why_refused(error)}.") from None
    except sqlite3.Error as error:
        if error_code(error) in NOT_WRITABLE:
            raise
        raise damaged(path, why_damaged(error)) from None


@contextmanager
def examining(path: Path) -> Iterator[Callable[[], None]]:
    """Examine a large checkpoint in a thread; yield a function that waits for the result.

    The function raises as `examine` does. It examines a file that changed meanwhile once more,
    because the file was not locked yet.
    """
    before = _stamps(path)
    if before[0] is None or before[0][1] < _LARGE_BYTES:
        yield partial(examine, path)
        return
    deadline = Deadline(allowed_seconds(bytes_on_disk(path)))
    thread = Background(partial(examine, path, deadline))

    def wait() -> None:
        try:
            thread.result()
        except (BulkSyncError, sqlite3.Error):
            examine(path)
        else:
            if _stamps(path) != before:
                examine(path)

    try:
        yield wait
    finally:
        deadline.cancel()


def _stamps(path: Path) -> list[tuple[int, int, int] | None]:
    """Return inode, size and modification time of a checkpoint and of its WAL."""
    stats = (one.stat() if one.exists() else None for one in (path, wal_path(path)))
    return [stat and (stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats]


def _examine(path: Path, deadline: Deadline) -> None:
    with closing(_connect(path, deadline)) as connection:
        made_by, layout = examine_layout(connection, path)
        pages = pragma(connection, "page_count")
        if is_cut(path, pragma(connection, "page_size"), pages):
            # SQLite would read zeros where the end is cut off.
            raise damaged(path, "its size is no whole number of pages")
        if made_by > 6:
            if made_by > 9 and connection.execute(_PLACES).fetchone() != (1,):
                raise damaged(path, "the place of its ledger can't be read")
            if connection.execute(_UNSOUND_JOB).fetchone():
                raise damaged(path, "its job is not as a run writes it")
        if made_by < 7 or not (is_large(path) and is_sealed(connection, path)):
            _read_all(connection, path, made_by, layout, deadline)


def place_of_ledger(path: Path) -> Path | None:
    """Return the ledger that the last run of a checkpoint used; None for its own.

    Only the layout and that place are examined. Raises CheckpointError, sqlite3.Error and TooSlow.
    """
    refuse_untrusted(path)
    deadline = Deadline(allowed_seconds(0))

    def read() -> Path | None:
        with closing(_connect(path, deadline)) as connection:
            made_by, _ = examine_layout(connection, path)
            if made_by < 10 or connection.execute(_PLACES).fetchone() != (1,):
                return None
            (found,) = connection.execute("SELECT path FROM ledger_place").fetchone()
            return None if found is None else Path(found)

    return within(deadline, read)


def examine_layout(connection: sqlite3.Connection, path: Path) -> tuple[int, Layout]:
    """Return version and layout of a checkpoint; no row is read.

    Raises CheckpointDamaged when a table is not ours, CheckpointError when the file is of a newer
    version or another program's.
    """
    if pragma(connection, "application_id") != APPLICATION_ID:
        # Raises for a file that is no database at all.
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        raise CheckpointError(
            f"{path}: this is not a checkpoint of bulk-sync; name another with --checkpoint."
        )
    made_by = pragma(connection, "user_version")
    if made_by > SCHEMA_VERSION:
        raise CheckpointError(
            f"{path}: a newer version of bulk-sync made this checkpoint; use that version."
        )
    if made_by < 1:
        raise damaged(path, f"its version is {made_by}")
    try:
        layout = read_layout(connection)
    except ValueError as error:
        raise damaged(path, str(error)) from None
    if (differs := difference_from(made_by, layout)) is not None:
        raise damaged(path, differs)
    return made_by, layout


def _read_all(
    connection: sqlite3.Connection, path: Path, made_by: int, layout: Layout, deadline: Deadline
) -> None:
    """Raise CheckpointDamaged unless structure and rows are as version `made_by` writes them."""
    structure = Background(partial(_structure, path, deadline))
    if path.stat().st_size < _LARGE_BYTES:
        # First, because rows of pages that are linked twice seem to be without end.
        structure.result()
    try:
        unsound = any(
            connection.execute(query).fetchone() for query in _unsound_rows(made_by, layout)
        )
    except sqlite3.Error as error:
        if error_code(error) == sqlite3.SQLITE_INTERRUPT:
            raise
        unsound = True  # the structure shows why
    structure.result()
    if unsound:
        raise damaged(path, "a row in it is not as a run writes it")
    _read_texts(connection, path, layout, _READERS if made_by > 9 else {})


def _unsound_rows(made_by: int, layout: Layout) -> list[str]:
    """Return the queries that find rows which version `made_by` does not write."""
    queries = [
        *(unsound(table, columns) for table, columns in tables_of(layout)),
        _UNSOUND.format(
            table="row" if made_by < 7 else "staged",
            other_key=_OTHER_KEY if made_by > 1 else "",
            decided="" if made_by < 7 else _DECIDED,
            readable=_readable(made_by),
        ),
    ]
    if 5 < made_by < 10:
        queries.append(_UNSOUND_LIST)
    if made_by > 6:
        queries += [_UNSOUND_OUTCOME, _MISCOUNTED, _NEVER_HANDED_OUT]
    return queries


def _readable(made_by: int) -> str:
    if made_by > 9:
        return "true"
    return f"{_READABLE} AND {_REASONS}" if made_by == 9 else _READABLE


def _read_texts(
    connection: sqlite3.Connection,
    path: Path,
    layout: Layout,
    readers: dict[str, Callable[[str], object]],
) -> None:
    for table, columns in tables_of(layout):
        if (column := unreadable(connection, table, columns, readers)) is not None:
            raise damaged(path, f"the column {column} of its table {table} can't be read")
    if readers:
        runs(connection, path)


def _structure(path: Path, deadline: Deadline) -> None:
    """Raise CheckpointDamaged if pages and indexes of a file don't fit together."""
    # A connection of its own, because SQLite runs one statement of a connection at a time.
    with closing(_connect(path, deadline)) as connection:
        (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        raise damaged(path, " ".join(str(found).split()))


def _connect(path: Path, deadline: Deadline) -> sqlite3.Connection:
    # A connection that may only read would leave an empty WAL behind where there was none, and
    # couldn't roll back what a kill left half written while the file was made.
    mode: Literal["ro", "rw"] = "ro" if wal_bytes(path) else "rw"
    connection = connect(path, mode, is_over=deadline.is_over)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
    return connection


def pragma(connection: sqlite3.Connection, name: str) -> int:
    """Return the number that a PRAGMA answers with."""
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
