"""What a finished job no longer needs goes: the cells, the patches, the ledger, and the messages
that may quote them.

What stays says what became of which showing: keys, targets, digests, states, times. So a
later push of the job still knows which patches were acknowledged; one with --only-changed sends
all fields once more. After `purge` no page of the file and no side file holds what was removed;
what a disk keeps of overwritten blocks is beyond a program.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from bulk_sync.errors import OutputError

PURGED = "null"
"""In place of a row's cells."""

PURGED_MESSAGE = "What was said was removed by --purge"

_FORGET = (
    f"UPDATE staged SET body = NULL, before = NULL, cells = '{PURGED}' WHERE cells <> '{PURGED}'",
    f"UPDATE staged SET message = '{PURGED_MESSAGE}' WHERE message IS NOT NULL",
    f"UPDATE outcome SET message = '{PURGED_MESSAGE}' WHERE message IS NOT NULL",
    "DELETE FROM ledger",
    "DELETE FROM acknowledged",
)


def purge(connection: sqlite3.Connection, path: Path) -> None:
    """Remove them for good; raises OutputError when another program that reads the file is in the
    way.
    """
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("BEGIN IMMEDIATE")
    # Rows of a sheet that was being staged and never became the job's.
    connection.execute("DELETE FROM staged WHERE generation > (SELECT generation FROM job)")
    for statement in _FORGET:
        connection.execute(statement)
    connection.execute("COMMIT")
    connection.execute("VACUUM")
    in_the_way, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if in_the_way:
        raise OutputError(
            f"{path}: another program is reading the checkpoint, so traces of the cells are still in {path}-wal. "
            "Close it and run report --purge again."
        )
