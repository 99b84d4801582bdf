"""Remove from a finished job's checkpoint the data it no longer needs.

Cells, patches, the ledger, messages that may quote them, also of earlier attempts, and the values
that came back changed are removed. Keys, targets, digests, states, times and the names of the
changed fields stay, so a later push of the job still knows which patches were acknowledged; one
with `--only-changed` sends all fields once more. After `purge` no page of the file and no WAL holds
the removed data; blocks that a disk keeps after overwriting them are beyond a program's reach.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from bulk_sync.errors import OutputError
from bulk_sync.model.problems import Expected, Reason, encoded

PURGED = "null"
"""Replaces a row's cells."""

PURGED_MESSAGE = "Message removed by --purge"
"""Replaces a row's message."""

PURGED_REASONS = encoded((Reason(Expected.PURGED),))
"""Replaces the reasons that a row was not sent."""

_NAMES_ONLY = (
    "(SELECT json_group_array(json_object('field', json_extract(value, '$.field'))) "
    "FROM json_each(echo))"
)
_WITHOUT_WORDS = (
    "(SELECT json_group_array(json_remove(value, '$.why')) FROM json_each(outcome.tries))"
)
_STATEMENTS = (
    "UPDATE staged SET body = NULL, whole = NULL, before = NULL",
    "UPDATE job SET command = '[]'",  # --where has a cell's text
    f"UPDATE staged SET cells = '{PURGED}' WHERE cells <> '{PURGED}'",
    f"UPDATE staged SET reasons = '{PURGED_REASONS}' WHERE reasons IS NOT NULL",
    f"UPDATE outcome SET message = '{PURGED_MESSAGE}' WHERE message IS NOT NULL",
    f"UPDATE outcome SET echo = {_NAMES_ONLY} WHERE echo IS NOT NULL",
    f"UPDATE outcome SET tries = {_WITHOUT_WORDS} WHERE tries IS NOT NULL",
    "DELETE FROM ledger",
    "DELETE FROM acknowledged",
)


def purge(connection: sqlite3.Connection, path: Path) -> None:
    """Remove the data for good; raises OutputError while another program reads the file."""
    begin_purge(connection)
    # Rows of a sheet that was being staged and never became the job's: see `job.staged.APART`.
    connection.execute(
        "DELETE FROM staged WHERE generation > (SELECT generation FROM job) OR generation = -3"
    )
    for statement in _STATEMENTS:
        connection.execute(statement)
    end_purge(connection, path)


def begin_purge(connection: sqlite3.Connection) -> None:
    """Begin a transaction whose deletions leave no traces."""
    connection.execute("PRAGMA secure_delete = ON")
    # SQLite's temporary files would hold copies of the data.
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("BEGIN IMMEDIATE")


def end_purge(connection: sqlite3.Connection, path: Path, kind: str = "checkpoint") -> None:
    """Commit it, and remove what free pages and the WAL have of the data; raises OutputError."""
    connection.execute("COMMIT")
    connection.execute("VACUUM")
    blocked, *_ = connection.execute("PRAGMA main.wal_checkpoint(TRUNCATE)").fetchone()
    if blocked:
        raise OutputError(
            f"{path}: another program is reading the {kind}, so {path}-wal still has traces of "
            "the cells. Close that program and run report --purge again."
        )
