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

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from bulk_sync.errors import CheckpointError
from bulk_sync.job.damage import BUSY_SECONDS, NOT_WRITABLE, damaged, error_code
from bulk_sync.job.sealing import beside_of, bytes_beside, is_sealed
from bulk_sync.model.rows import State

APPLICATION_ID = 0x6253796E  # "bSyn": tells our files from other SQLite files

_LARGE_BYTES = 10_000_000
"""From here on threads gain more than they cost."""


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
            if error_code(error) in NOT_WRITABLE:
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


def _stamps(path: Path) -> list[tuple[int, int, int] | None]:
    """What changes with a file's content, of a checkpoint and of the side file with its newest
    pages.
    """
    stats = (one.stat() if one.exists() else None for one in (path, beside_of(path)))
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
    if made_by < 7 or not is_sealed(connection, path):
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
