"""Showings and the journal in one SQLite database, in memory or in a file.

The journal has an entry for each request that reached the API. It is inserted on arrival and
completed when the reply, or the fault, is known: an entry without `ended_at` is in flight.
"""

from __future__ import annotations

import json
import random
import sqlite3
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from bulk_sync.clock import utc_text
from bulk_sync.errors import OutputError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS showing (
    id TEXT PRIMARY KEY,
    unique_showing_key TEXT UNIQUE,
    data TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS journal (
    seq INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    key TEXT,
    idempotency_key TEXT,
    content_type TEXT,
    body TEXT,
    in_flight INTEGER NOT NULL,
    status INTEGER,
    fault TEXT,
    applied INTEGER NOT NULL DEFAULT 0,
    showing_id TEXT,
    ended_at REAL
);
CREATE INDEX IF NOT EXISTS journal_key ON journal (key);
"""

JOURNAL_COLUMNS = (
    "seq", "at", "method", "path", "key", "idempotency_key", "content_type", "body", "in_flight",
    "status", "fault", "applied", "showing_id", "ended_at",
)  # fmt: skip


_JOURNAL = (
    f"SELECT {', '.join(JOURNAL_COLUMNS)} FROM journal"  # noqa: S608 - constant
    " WHERE seq > ? ORDER BY seq LIMIT ?"
)


class KeyTakenError(Exception):
    """Another showing has this key."""


class Storage:
    """Showings and the journal; used by one thread at a time."""

    def __init__(self, path: Path | None, seed: int) -> None:
        self._dice = random.Random(seed)  # noqa: S311 - ids of made-up showings
        try:
            if path is not None:  # for its user only, as its records over HTTP are
                with suppress(FileExistsError):
                    path.touch(mode=0o600, exist_ok=False)
            self._db = sqlite3.connect(
                path or ":memory:", isolation_level=None, check_same_thread=False
            )
            self._refuse_foreign_tables(path)
            self._db.execute("PRAGMA journal_mode = WAL")
            # Made-up data may be lost in a power cut.
            self._db.execute("PRAGMA synchronous = OFF")
            self._db.executescript(_SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise OutputError(f"--db {path}: can't be opened as a database: {error}.") from None

    def _refuse_foreign_tables(self, path: Path | None) -> None:
        """Refuse a database of something else, such as a checkpoint, which would be altered."""
        tables = {name for (name,) in self._db.execute("SELECT name FROM sqlite_master")}
        if tables and not tables >= {"showing", "journal"}:
            raise OutputError(
                f"--db {path}: this is no database of a sandbox, so it is not used. Name another "
                "file."
            )

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def create(
        self, key: str | None, data: Mapping[str, Any], at: datetime, identity: str | None = None
    ) -> dict[str, Any]:
        """Store a new showing and return it; raises KeyTakenError.

        Without an `identity` it gets the next free id.
        """
        identity = identity or self._free_id()
        try:
            self._db.execute(
                "INSERT INTO showing VALUES (?, ?, ?, ?)",
                (identity, key, _json(data), utc_text(at)),
            )
        except sqlite3.IntegrityError:
            raise KeyTakenError from None
        found = self.find(identity)
        assert found is not None  # noqa: S101 - it was written just now
        return found

    def _free_id(self) -> str:
        """Return the next id of the seed's sequence that no showing has.

        A database that is opened again starts the sequence over, so its first ids are taken.
        """
        while True:
            identity = str(uuid.UUID(int=self._dice.getrandbits(128), version=4))
            if self.find(identity) is None:
                return identity

    def find(self, name: str) -> dict[str, Any] | None:
        """Return the showing with this id or key."""
        row = self._db.execute(
            "SELECT id, unique_showing_key, data, updated_at FROM showing"
            " WHERE unique_showing_key = ?1 OR id = ?1",
            (name,),
        ).fetchone()
        if row is None:
            return None
        identity, key, data, updated_at = row
        named = {
            "id": identity,
            "north_id": identity,
            "unique_showing_key": key,
            "updated_at": updated_at,
        }
        return {**json.loads(data), **named}

    def update(
        self, showing: Mapping[str, Any], changes: Mapping[str, Any], at: datetime
    ) -> dict[str, Any]:
        """Change a showing and return it; raises KeyTakenError."""
        identity = showing["id"]
        merged = {**showing, **changes}
        key = merged.pop("unique_showing_key")
        data = {
            name: value
            for name, value in merged.items()
            if name not in {"id", "north_id", "updated_at"}
        }
        updated_at = utc_text(at)
        try:
            self._db.execute(
                "UPDATE showing SET unique_showing_key = ?, data = ?, updated_at = ? WHERE id = ?",
                (key, _json(data), updated_at, identity),
            )
        except sqlite3.IntegrityError:
            raise KeyTakenError from None
        return {
            **data,
            "id": identity,
            "north_id": identity,
            "unique_showing_key": key,
            "updated_at": updated_at,
        }

    # The journal

    def times_asked(self, key: str) -> int:
        """Return the number of earlier requests for this key."""
        return int(
            self._db.execute("SELECT count(*) FROM journal WHERE key = ?", (key,)).fetchone()[0]
        )

    def calls_since(self, moment: float) -> int:
        """Return the number of requests from a moment on that were not refused by key or limit."""
        counted = (
            "SELECT count(*) FROM journal WHERE at >= ? AND coalesce(status, 0) NOT IN (401, 429)"
        )
        return int(self._db.execute(counted, (moment,)).fetchone()[0])

    def arrived(self, **entry: Any) -> int:  # noqa: ANN401 - columns of the journal
        """Insert an entry and return its number."""
        columns, marks = ", ".join(entry), ", ".join("?" * len(entry))
        # The columns are keyword arguments of our own code, so nothing foreign gets in.
        statement = f"INSERT INTO journal ({columns}) VALUES ({marks})"  # noqa: S608
        cursor = self._db.execute(statement, tuple(entry.values()))
        return int(cursor.lastrowid or 0)

    def ended(
        self,
        seq: int,
        *,
        status: int | None,
        fault: str | None,
        applied: bool,
        showing_id: str | None,
        ended_at: float,
    ) -> None:
        """Complete an entry."""
        self._db.execute(
            "UPDATE journal SET status = ?, fault = ?, applied = ?, showing_id = ?, ended_at = ?"
            " WHERE seq = ?",
            (status, fault, applied, showing_id, ended_at, seq),
        )

    def journal(self, after: int, limit: int) -> Iterator[dict[str, Any]]:
        """Yield the entries after `after` in order of arrival; a negative limit means all."""
        found = self._db.execute(_JOURNAL, (after, limit))
        for row in found:
            entry = dict(zip(JOURNAL_COLUMNS, row, strict=True))
            entry["applied"] = bool(entry["applied"])
            yield entry

    def stats(self) -> dict[str, Any]:
        """Return counts of requests, keys, applied changes, creations, showings and replies."""
        statuses = self._db.execute(
            "SELECT coalesce(fault, status, 'unanswered'), count(*) FROM journal"
            " GROUP BY 1 ORDER BY 2 DESC"
        )
        requests, keys, applied = self._db.execute(
            "SELECT count(*), count(DISTINCT key), coalesce(sum(applied), 0) FROM journal"
        ).fetchone()
        created = self._db.execute(
            "SELECT count(*) FROM journal WHERE method = 'POST' AND applied"
        ).fetchone()[0]
        showings = self._db.execute("SELECT count(*) FROM showing").fetchone()[0]
        return {
            "requests": requests,
            "keys": keys,
            "applied": applied,
            "created": created,
            "showings": showings,
            "answers": {str(name): count for name, count in statuses},
        }


def _json(data: Mapping[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False)
