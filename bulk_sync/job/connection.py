"""Connections to files that may be damaged or forged: SQLite trusts nothing that a schema says."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from bulk_sync.job.damage import BUSY_TIMEOUT_SECONDS
from bulk_sync.job.filesystem import keep_temporary_files

# Steps of SQLite's virtual machine between two looks at the time: about a millisecond.
_STEPS = 100_000

_DEFENSIVE = 1010  # SQLITE_DBCONFIG_DEFENSIVE, which Python 3.11 doesn't name

# Our longest statements have some ten thousand characters; a schema's may not have a million.
_LONGEST_SQL = 1_000_000


def connect(
    path: Path,
    mode: Literal["ro", "rw"] = "rw",
    *,
    any_thread: bool = False,
    is_over: Callable[[], bool] | None = None,
    temporary: bool = False,
) -> sqlite3.Connection:
    """Connect to a database that exists; transactions are begun by the caller.

    `is_over` is asked every few milliseconds while a statement runs, and ends it when it returns
    True. A `temporary` file is one that this process made for itself: it needs no durability, and
    defensive connections don't do without a journal.
    """
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",  # never makes a file
        uri=True,
        isolation_level=None,  # transactions are begun here, not by the module
        timeout=BUSY_TIMEOUT_SECONDS,
        check_same_thread=not any_thread,
    )
    keep_temporary_files(connection, path)
    if not temporary:
        harden(connection)
    if is_over is not None:
        connection.set_progress_handler(is_over, _STEPS)
    return connection


def harden(connection: sqlite3.Connection) -> None:
    """Let a schema call no function with side effects, and check each page that is read.

    As sqlite.org/security.html advises for files from elsewhere.
    """
    connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, _LONGEST_SQL)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    # Python 3.12 and newer can also keep statements from writing to the schema table itself.
    if configure := getattr(connection, "setconfig", None):
        configure(_DEFENSIVE, True)  # noqa: FBT003 - SQLite's interface


def migrate(connection: sqlite3.Connection, newest: int, steps: Mapping[int, str]) -> None:
    """Bring a file up to its newest version; `steps` has the script that each version needs.

    Each step is a transaction of its own. Another process may migrate the file meanwhile. Raises
    sqlite3.Error.
    """
    while (version := _version(connection)) < newest:
        script = f"BEGIN IMMEDIATE; {steps[version]} PRAGMA user_version = {version + 1}; COMMIT;"
        try:
            connection.executescript(script)
        except sqlite3.OperationalError:
            if connection.in_transaction:
                connection.rollback()
            if _version(connection) == version:
                raise


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
