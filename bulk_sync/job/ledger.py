"""The ledger: what the API last acknowledged, by showing and field, across the jobs of a
checkpoint.

Invariant: a value stands in it only if the API acknowledged a patch that set it, and no patch
of ours that names the field was handed out since whose end is not known. So a value is taken
out when a patch that may change it is handed out, in the same commit; it comes back when the
API acknowledges the patch, as what the patch says, or when the patch certainly did nothing.
Whatever happens between, the ledger knows too little, never too much: what it doesn't know is sent.

A showing may be addressed by its key and by North's id. What is known under one name is
forgotten when a patch goes out under the other, as soon as sheet or API say that both are one.

It is part of the checkpoint, or a file of its own (`--ledger`) that jobs of several names share. Of
its own, a checkpoint notes only which rows were acknowledged, and the ledger learns from them all
at once, before a run asks it or the rows go (`Known.learn`); who only reads learns from them in a
copy (`Known.acknowledged`). A shared one learns at once: what came later may be another job's.

It speaks of one account: values that another API key was told are not relied on.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from bulk_sync.errors import CheckpointError, OutputError
from bulk_sync.job.damage import damaged_ledger, translated
from bulk_sync.job.ledger_entries import Entries, Entry, Values

SCHEMA = """
CREATE TABLE {schema}.ledger (
    base_url TEXT NOT NULL,
    target TEXT NOT NULL,          -- what addresses the showing: its id or its key
    key TEXT NOT NULL,             -- the key as the sheet has it; '' when it names none
    showing_id TEXT,               -- as the API said
    fields TEXT NOT NULL,          -- JSON object: the fields and the values that were acknowledged
    PRIMARY KEY (base_url, target)
) WITHOUT ROWID;
CREATE INDEX {schema}.ledger_other_key ON ledger (base_url, key) WHERE key <> target;
CREATE INDEX {schema}.ledger_showing ON ledger (base_url, showing_id) WHERE showing_id IS NOT NULL;
CREATE TABLE {schema}.ledger_account (
    base_url TEXT PRIMARY KEY,
    key_fingerprint TEXT NOT NULL  -- of the key that what is known was acknowledged to
) WITHOUT ROWID;
"""

NEW_INDEXES = """
DROP INDEX IF EXISTS ledger_key;
DROP INDEX IF EXISTS ledger_other_key;
DROP INDEX ledger_showing;
CREATE INDEX ledger_other_key ON ledger (base_url, key) WHERE key <> target;
CREATE INDEX ledger_showing ON ledger (base_url, showing_id) WHERE showing_id IS NOT NULL;
"""
"""What makes a ledger of the first version one of the second: most keys are targets, whose index
there is anyway.
"""

# Parts of statements. The index of each look-up is named: the planner, who has no statistics, would
# rather read all that is known of an address.
_BY_NAME = (
    "{0} WHERE base_url = ?1 AND target = name.name",
    "{0} INDEXED BY ledger_other_key WHERE base_url = ?1 AND key = name.name AND key <> target",
    "{0} INDEXED BY ledger_showing WHERE base_url = ?1 AND showing_id = name.name",
)
_SHARED_NAMES = (
    (
        "SELECT showing_id FROM {0} INDEXED BY ledger_showing WHERE base_url = ?1 AND showing_id IS NOT NULL "
        "GROUP BY showing_id HAVING count(*) > 1"
    ),
    (
        "SELECT key FROM {0} INDEXED BY ledger_other_key WHERE base_url = ?1 AND key <> target AND key <> '' "
        "GROUP BY key HAVING count(*) > 1"
    ),
    (
        "SELECT showing_id FROM {0} AS one INDEXED BY ledger_showing WHERE base_url = ?1 AND showing_id IS NOT NULL "
        "AND showing_id <> target AND EXISTS (SELECT 1 FROM {0} WHERE base_url = ?1 AND target = one.showing_id)"
    ),
    (
        "SELECT key FROM {0} AS one INDEXED BY ledger_other_key WHERE base_url = ?1 AND key <> target "
        "AND EXISTS (SELECT 1 FROM {0} WHERE base_url = ?1 AND target = one.key)"
    ),
    (
        "SELECT key FROM {0} AS one INDEXED BY ledger_other_key WHERE base_url = ?1 AND key <> target AND EXISTS "
        "(SELECT 1 FROM {0} INDEXED BY ledger_showing WHERE base_url = ?1 AND showing_id = one.key "
        "AND target <> one.target)"
    ),
)
"""Names by which two showings go: both by the same kind of name, or one by its target what the
other's id or key is.
"""

_APPLICATION_ID = 0x62534C67  # "bSLg"
_VERSION = 2
SHARED = "shared"
_APART = "apart"


class PendingKnown(Struct, frozen=True):
    """A row that waits to be sent, and what was acknowledged for its showing."""

    id: int
    body: str
    values: Values


class Acknowledged(Struct, frozen=True):
    """What was acknowledged for a showing: what addresses it, its key and North's id ("" where none
    is known).
    """

    target: str
    key: str
    showing_id: str
    values: Values


class Ledger:
    """What is known of one account; every method is part of the caller's transaction."""

    def __init__(self, db: sqlite3.Connection, base_url: str, schema: str = "main") -> None:
        self._db = db
        self._base_url = base_url
        self.name = f"{schema}.ledger"

    def apart(self) -> Ledger:
        """One that knows nothing yet, in a database that is gone with the connection; not within a
        transaction.
        """
        if _APART in {name for _, name, _ in self._db.execute("PRAGMA database_list")}:
            self._db.execute(f"DELETE FROM {_APART}.ledger")
        else:
            self._db.execute(f"ATTACH '' AS {_APART}")
            self._db.executescript(SCHEMA.format(schema=_APART))
        return Ledger(self._db, self._base_url, _APART)

    def copy(self, other: Ledger) -> None:
        """Know what the other one knows; only for one that knows nothing."""
        self._db.execute(
            f"INSERT INTO {self.name} SELECT * FROM {other.name} WHERE base_url = ?",
            (self._base_url,),
        )

    def belongs_to(self, fingerprint: str, *, same_account: bool) -> bool:
        """Note whose key it is; False when it was another's, and what was known is forgotten.

        `same_account`: the user says that the new key acts for the same team.
        """
        before = self._db.execute(
            f"SELECT key_fingerprint FROM {self.name}_account WHERE base_url = ?", (self._base_url,)
        ).fetchone()
        if before is not None and before[0] == fingerprint:
            return True
        kept = before is None or same_account
        if not kept:
            self.forget()
        self._db.execute(
            f"INSERT OR REPLACE INTO {self.name}_account VALUES (?, ?)",
            (self._base_url, fingerprint),
        )
        return kept

    def forget(self) -> None:
        """Know nothing any more."""
        self._db.execute(f"DELETE FROM {self.name} WHERE base_url = ?", (self._base_url,))

    @contextmanager
    def of(self, names: Iterable[str]) -> Iterator[Entries]:
        """What is known of the showings that go by these names; what is changed of it is written at
        the end.

        `names`: every target, key and id that will be spoken of.
        """
        entries, wanted = Entries(), set(names)
        entries.load(self._found(wanted))
        entries.load(self._found(entries.ids() - wanted))  # what else the same showings go by
        yield entries
        written, gone = entries.changes()
        if gone:
            self._db.execute(
                f"DELETE FROM {self.name} WHERE base_url = ? AND target IN (SELECT value FROM json_each(?))",
                (self._base_url, json_list(gone)),
            )
        if written:
            self._db.execute(
                f"INSERT OR REPLACE INTO {self.name} SELECT ?, json_extract(value, '$[0]'), "
                "json_extract(value, '$[1]'), json_extract(value, '$[2]'), json_extract(value, '$[3]') "
                "FROM json_each(?)",
                (self._base_url, json_list(written)),
            )

    def _found(self, names: set[str]) -> Iterator[Entry]:
        """The entries that go by any of the names."""
        wanted = sorted(names - {""})
        if wanted:
            by_name = " UNION ALL ".join(
                "SELECT target, key, showing_id, fields FROM (SELECT value AS name FROM json_each(?2)) AS name "
                f"CROSS JOIN {found.format(self.name)}"
                for found in _BY_NAME
            )
            (found,) = self._db.execute(
                f"SELECT json_group_array(json_array(target, key, showing_id, fields)) FROM ({by_name})",
                (self._base_url, json_list(wanted)),
            ).fetchone()
            yield from map(Entry._make, json.loads(found))

    def is_empty(self) -> bool:
        """True when nothing is known."""
        found = self._db.execute(
            f"SELECT 1 FROM {self.name} WHERE base_url = ? LIMIT 1", (self._base_url,)
        )
        return found.fetchone() is None

    def learn_all(self, acknowledged: str) -> None:
        """Know what was acknowledged of the rows that a query gives: (target, key, showing_id,
        body).

        Only for a ledger that is empty. Of showings that share a name nothing is known afterwards:
        which patch of theirs came last was not asked.
        """
        self._db.execute(
            f"INSERT OR REPLACE INTO {self.name} "
            f"SELECT ?1, target, key, nullif(showing_id, ''), body FROM ({acknowledged})",
            (self._base_url,),
        )
        self._db.execute("CREATE TEMP TABLE shared (name TEXT PRIMARY KEY) WITHOUT ROWID")
        for query in _SHARED_NAMES:
            self._db.execute(
                f"INSERT OR IGNORE INTO shared {query.format(self.name)}", (self._base_url,)
            )
        for found in _BY_NAME:
            self._db.execute(
                f"DELETE FROM {self.name} WHERE base_url = ?1 AND target IN "
                f"(SELECT target FROM shared AS name CROSS JOIN {found.format(self.name)})",
                (self._base_url,),
            )
        self._db.execute("DROP TABLE shared")

    def all(self) -> Iterator[Acknowledged]:
        """Every showing, in the order of their targets."""
        return _all(self._db, self.name, self._base_url)


def json_list(values: Iterable[object]) -> str:
    """Values as one parameter of a statement, for `json_each`."""
    return msgspec.json.encode(list(values)).decode()


def _all(db: sqlite3.Connection, table: str, base_url: str) -> Iterator[Acknowledged]:
    found = db.execute(
        f"SELECT target, key, coalesce(showing_id, ''), fields FROM {table} WHERE base_url = ? ORDER BY target",
        (base_url,),
    )
    for target, key, showing_id, fields in found:
        yield Acknowledged(target, key, showing_id, json.loads(fields))


@contextmanager
def read_shared(path: Path, base_url: str) -> Iterator[Iterator[Acknowledged]]:
    """What a shared ledger knows of an address; raises CheckpointError when there is no such
    ledger.
    """
    if not path.is_file():
        raise CheckpointError(
            f"{path}: there is no ledger here; a push with --ledger {path} makes one."
        )
    with translated(path):
        _examine(path)
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=10)
        ) as db:
            yield _all(db, "main.ledger", base_url)


def attach(db: sqlite3.Connection, path: Path) -> None:
    """Use a ledger that several jobs share, and make it when there is none.

    What the checkpoint knew by itself is dropped: the other jobs may have changed it since.
    Raises CheckpointError when it is none of ours or damaged, OutputError when it can't be written.
    """
    if path.exists() and not path.is_file():
        raise CheckpointError(
            f"{path}: not a regular file, so no ledger; name another with --ledger."
        )
    if not path.exists():
        _make(path)
    with translated(path):
        _examine(path)
        _migrate(path)
        db.execute(f"ATTACH ? AS {SHARED}", (f"{path.absolute().as_uri()}?mode=rw",))
        db.execute(f"PRAGMA {SHARED}.journal_mode = WAL")
        db.execute(f"PRAGMA {SHARED}.synchronous = FULL")
    db.execute("DELETE FROM main.ledger")


def _migrate(path: Path) -> None:
    with closing(
        sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=10)
    ) as db:
        if db.execute("PRAGMA user_version").fetchone()[0] < _VERSION:
            db.executescript(
                f"BEGIN IMMEDIATE; {NEW_INDEXES} PRAGMA user_version = {_VERSION}; COMMIT;"
            )


def _make(path: Path) -> None:
    new = path.with_name(path.name + ".new")
    try:
        new.unlink(missing_ok=True)
        os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        with translated(path), closing(sqlite3.connect(new)) as db:
            db.executescript(
                f"BEGIN; {SCHEMA.format(schema='main')} PRAGMA application_id = {_APPLICATION_ID}; "
                f"PRAGMA user_version = {_VERSION}; COMMIT;"
            )
        new.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: the ledger can't be written: {error.strerror}.") from None


def _examine(path: Path) -> None:
    with closing(
        sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=10)
    ) as db:
        try:
            if db.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION_ID:
                db.execute("SELECT count(*) FROM sqlite_master").fetchone()
                raise CheckpointError(
                    f"{path}: this is not a ledger of bulk-sync; name another with --ledger."
                )
            if db.execute("PRAGMA user_version").fetchone()[0] > _VERSION:
                raise CheckpointError(
                    f"{path}: a newer version of bulk-sync made this ledger; use that version."
                )
            found = str(db.execute("PRAGMA integrity_check(1)").fetchone()[0])
            if (
                found == "ok"
                and db.execute(
                    "SELECT 1 FROM ledger WHERE NOT json_valid(fields) LIMIT 1"
                ).fetchone()
            ):
                found = "what is known of a showing can't be read"
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            found = str(error)
        if found != "ok":
            raise damaged_ledger(path, found)
