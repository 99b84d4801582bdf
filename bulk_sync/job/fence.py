"""Fences off a run whose checkpoint another run has opened since.

Locks, leases and the notes of holders keep two runs apart, but the one that lost its right may not
know yet: its process was stopped, its machine suspended, or its host cut off.

Invariants:

1. Whoever opens a checkpoint for a run puts its own random token into it.
2. Each commit looks for that token in its own transaction. One without it writes nothing and raises
   CheckpointBusy, so that a run never writes over what a later one made of the checkpoint.

This needs what SQLite needs of a file system, that a process sees what another has committed.
"""

from __future__ import annotations

import secrets
import sqlite3
from pathlib import Path

from bulk_sync.errors import CheckpointBusy


class Fence:
    """The token of a run; `put` it before anything else is written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._token = secrets.token_hex(8)
        self._is_put = False

    def put(self, db: sqlite3.Connection) -> None:
        """Put the token in the open transaction, so that earlier runs are refused from now on."""
        db.execute("INSERT OR REPLACE INTO holder VALUES (1, ?)", (self._token,))
        self._is_put = True

    def check(self, db: sqlite3.Connection) -> None:
        """Raise CheckpointBusy, in an open transaction, if a later run put its token."""
        if not self._is_put:
            return
        if db.execute("SELECT token FROM holder").fetchone() != (self._token,):
            raise CheckpointBusy(
                f"{self._path}: another run took this checkpoint while this one had it: a run that "
                "is stopped or cut off for a while can lose it, and so can one on a folder whose "
                "locks hold on one host only. The other run goes on."
            )
