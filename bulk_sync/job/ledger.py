"""The ledger: what the API last acknowledged, by showing and field, across a checkpoint's jobs.

Invariant: it holds a value only if the API acknowledged a patch that set it, and if every later
patch of ours that names the field has ended. So a value is withdrawn when a patch that may change
it is handed out, in the same commit; it comes back when the API acknowledges that patch, with the
patch's value, or when the patch certainly did nothing. Whatever happens in between, the ledger
knows too little and never too much: a value that it doesn't know is sent.

A showing may be addressed by its key and by North's id. An entry under one name is dropped when a
patch goes out under the other, as soon as sheet or API say that both are one showing.

The ledger is part of the checkpoint, or another file that several jobs share (`--ledger`), which
may be a checkpoint. For its own ledger a checkpoint only lists the acknowledged rows, and the
ledger learns them together, before a run reads it or the rows are deleted (`Known.learn`); readers
learn them in a copy (`Known.acknowledged`). A shared ledger learns each group at once, because a
later value may be another job's.

An entry names the last writer: the checkpoint that handed out a patch for the showing last. An
entry that has no values may be kept for that alone, as a trace. So a job finds out that a showing
which it changed may have other values now (`Known.find_overwritten`): its row counts as done only
while the last writer is the job itself, or the ledger has all values of the row. A comparison that
finds other values in North leaves a trace without a writer. For its own ledger a checkpoint is the
writer NULL.

An entry also has the times at which its values were acknowledged, for people to read: no decision
depends on them. The times of a value that was withdrawn stay, because it may come back.

Two ledgers become one when a job changes its ledger (`Ledger.join`). A value on which they differ,
or that one of two entries of a showing lacks, is dropped, because nobody knows which is later.

A ledger is of one team. Values that another API key acknowledged are relied on only if users/me
names the same team for both, or if the user vouches for that where it names none.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

import msgspec
from msgspec import Struct

from bulk_sync.job.ledger_entries import (
    NOBODY,
    TRACE,
    Entries,
    Entry,
    Times,
    Values,
    times_of,
)
from bulk_sync.model.account import Team, same_team

EARLIER_SCHEMA = """
CREATE TABLE {schema}.ledger (
    base_url TEXT NOT NULL,
    target TEXT NOT NULL,          -- addresses the showing: its id or its key
    key TEXT NOT NULL,             -- the key as the sheet has it; '' when it names none
    showing_id TEXT,               -- North's id, as the API returned it
    fields TEXT NOT NULL,          -- JSON object: the acknowledged fields and values
    PRIMARY KEY (base_url, target)
) WITHOUT ROWID;
CREATE INDEX {schema}.ledger_other_key ON ledger (base_url, key) WHERE key <> target;
CREATE INDEX {schema}.ledger_showing ON ledger (base_url, showing_id) WHERE showing_id IS NOT NULL;
CREATE TABLE {schema}.ledger_account (
    base_url TEXT PRIMARY KEY,
    key_fingerprint TEXT NOT NULL  -- of the API key that the values were acknowledged to
) WITHOUT ROWID;
"""
"""The tables before `NEW_COLUMNS`."""

NEW_COLUMNS = """
ALTER TABLE {schema}.ledger_account ADD COLUMN team_id TEXT;  -- that users/me named for that key
ALTER TABLE {schema}.ledger ADD COLUMN writer TEXT;  -- of the last patch; NULL: the checkpoint here
CREATE INDEX {schema}.ledger_writer ON ledger (base_url, writer) WHERE writer IS NOT NULL;
"""
"""Migrates a ledger from version 2 to 3."""

NEW_TIMES = """
ALTER TABLE {schema}.ledger ADD COLUMN times TEXT;  -- JSON, see `ledger_entries.times_text`
"""
"""Migrates a ledger from version 3 to 4."""

SCHEMA = EARLIER_SCHEMA + NEW_COLUMNS + NEW_TIMES

NEW_INDEXES = """
DROP INDEX IF EXISTS ledger_key;
DROP INDEX IF EXISTS ledger_other_key;
DROP INDEX ledger_showing;
CREATE INDEX ledger_other_key ON ledger (base_url, key) WHERE key <> target;
CREATE INDEX ledger_showing ON ledger (base_url, showing_id) WHERE showing_id IS NOT NULL;
"""
"""Migrates a ledger from version 1 to 2: most keys are targets, which the primary key indexes.
"""

EARLIER_INDEXES = frozenset({"ledger_key"})
"""Indexes of version 1 that later ones don't have."""

# Parts of statements. They name the index of each look-up, because without statistics the planner
# reads all entries of a base URL instead.
_BY_NAME = (
    "{0} WHERE base_url = ?1 AND target = name.name",
    "{0} INDEXED BY ledger_other_key WHERE base_url = ?1 AND key = name.name AND key <> target",
    "{0} INDEXED BY ledger_showing WHERE base_url = ?1 AND showing_id = name.name",
)
# Names that two showings share: both by the same kind of name, or one as its target and the other
# as its id or key.
_SHARED_NAMES = (
    (
        "SELECT showing_id FROM {0} INDEXED BY ledger_showing "
        "WHERE base_url = ?1 AND showing_id IS NOT NULL GROUP BY showing_id HAVING count(*) > 1"
    ),
    (
        "SELECT key FROM {0} INDEXED BY ledger_other_key "
        "WHERE base_url = ?1 AND key <> target AND key <> '' GROUP BY key HAVING count(*) > 1"
    ),
    (
        "SELECT showing_id FROM {0} AS one INDEXED BY ledger_showing "
        "WHERE base_url = ?1 AND showing_id IS NOT NULL AND showing_id <> target "
        "AND EXISTS (SELECT 1 FROM {0} WHERE base_url = ?1 AND target = one.showing_id)"
    ),
    (
        "SELECT key FROM {0} AS one INDEXED BY ledger_other_key "
        "WHERE base_url = ?1 AND key <> target "
        "AND EXISTS (SELECT 1 FROM {0} WHERE base_url = ?1 AND target = one.key)"
    ),
    (
        "SELECT key FROM {0} AS one INDEXED BY ledger_other_key "
        "WHERE base_url = ?1 AND key <> target "
        "AND EXISTS (SELECT 1 FROM {0} INDEXED BY ledger_showing "
        "WHERE base_url = ?1 AND showing_id = one.key AND target <> one.target)"
    ),
)

# Entries that are changed in one step.
_GROUP = 2000

SHARED = "shared"
_TEMPORARY = "temporary"


Shown = tuple[str, str, Values]
"""A showing in an export: its target and key, and the values of all fields that it has columns of.
"""

Same = Callable[[str, object, object], bool]
"""Compares two values of a field."""


class Acknowledged(Struct, frozen=True):
    """A showing's acknowledged values; key and North's id are "" where unknown.

    `writer` sent the last patch; None is the checkpoint that has the ledger.
    """

    target: str
    key: str
    showing_id: str
    values: Values
    times: Times = {}
    writer: str | None = None


class LedgerAccount(Struct, frozen=True):
    """The API key that values were acknowledged to, and its team as far as known."""

    fingerprint: str
    team: Team | None = None

    def is_of_one_team(self, other: LedgerAccount, *, otherwise: bool) -> bool:
        """Return whether both keys act for one team; `otherwise` where nothing shows it."""
        same = same_team(self.team, other.team)
        if same is not None:
            return same
        return self.fingerprint == other.fingerprint or otherwise


class Ledger:
    """The entries of one base URL; every method is part of the caller's transaction."""

    def __init__(
        self,
        db: sqlite3.Connection,
        base_url: str,
        schema: str = "main",
        writer: str | None = None,
    ) -> None:
        self._db = db
        self._base_url = base_url
        self._writer = writer
        self.name = f"{schema}.ledger"

    def temporary(self) -> Ledger:
        """Return an empty ledger in a temporary database; not within a transaction."""
        if _TEMPORARY in {name for _, name, _ in self._db.execute("PRAGMA database_list")}:
            self._db.execute(f"DELETE FROM {_TEMPORARY}.ledger")
        else:
            self._db.execute(f"ATTACH '' AS {_TEMPORARY}")
            self._db.executescript(SCHEMA.format(schema=_TEMPORARY))
        return Ledger(self._db, self._base_url, _TEMPORARY)

    def copy_from(self, other: Ledger, names: set[str] | None = None) -> None:
        """Copy another ledger's entries into this one, which must be empty; or those of names."""
        if names is None:
            self._db.execute(
                f"INSERT INTO {self.name} SELECT * FROM {other.name} WHERE base_url = ?",
                (self._base_url,),
            )
            return
        targets = json_list({entry.target for entry in other._found(names)})
        self._db.execute(
            f"INSERT INTO {self.name} SELECT * FROM {other.name} WHERE base_url = ? "
            "AND target IN (SELECT value FROM json_each(?))",
            (self._base_url, targets),
        )

    def account(self) -> LedgerAccount | None:
        """Return the key that the entries were acknowledged to; None if there never was one."""
        found = self._db.execute(
            f"SELECT key_fingerprint, team_id FROM {self.name}_account WHERE base_url = ?",
            (self._base_url,),
        ).fetchone()
        return found and LedgerAccount(found[0], found[1] and Team(found[1]))

    def belongs_to(self, key: LedgerAccount, *, same_team: bool) -> bool:
        """Record the key of a run; return False when values of another team were dropped.

        Where the teams of both keys are not known, `same_team` keeps the entries: the user vouches
        that the new key acts for the same one.
        """
        before = self.account()
        kept = before is None or before.is_of_one_team(key, otherwise=same_team)
        if not kept:
            # Traces stay: a job of the first team must not take its rows for done because of this.
            self._db.execute(
                f"UPDATE {self.name} SET fields = '{TRACE}', writer = '{NOBODY}', "
                "times = NULL "
                "WHERE base_url = ?",
                (self._base_url,),
            )
        team = key.team or (before.team if before and kept else None)
        if before != (after := LedgerAccount(key.fingerprint, team)):
            self._db.execute(
                f"INSERT OR REPLACE INTO {self.name}_account VALUES (?, ?, ?)",
                (self._base_url, after.fingerprint, after.team and after.team.id),
            )
        return kept

    def forget(self) -> None:
        """Drop all entries."""
        self._db.execute(f"DELETE FROM {self.name} WHERE base_url = ?", (self._base_url,))

    @contextmanager
    def entries(self, names: Iterable[str]) -> Iterator[Entries]:
        """Yield the entries of the showings with these names, and write their changes at the end.

        `names` are all targets, keys and ids that the block uses.
        """
        entries, wanted = Entries(self._writer), set(names)
        entries.load(self._found(wanted))
        entries.load(self._found(entries.ids() - wanted))  # other entries of the same showings
        yield entries
        written, gone = entries.changes()
        if gone:
            self._db.execute(
                f"DELETE FROM {self.name} WHERE base_url = ? "
                "AND target IN (SELECT value FROM json_each(?))",
                (self._base_url, json_list(gone)),
            )
        if written:
            self._db.execute(
                f"INSERT OR REPLACE INTO {self.name} SELECT ?, json_extract(value, '$[0]'), "
                "json_extract(value, '$[1]'), json_extract(value, '$[2]'), "
                "json_extract(value, '$[3]'), json_extract(value, '$[4]'), "
                "json_extract(value, '$[5]') FROM json_each(?)",
                (self._base_url, json_list(written)),
            )

    def _found(self, names: set[str]) -> Iterator[Entry]:
        """Yield the entries with any of these names."""
        wanted = sorted(names - {""})
        if wanted:
            by_name = " UNION ALL ".join(
                "SELECT target, key, showing_id, fields, writer, times "
                "FROM (SELECT value AS name FROM json_each(?2)) AS name "
                f"CROSS JOIN {found.format(self.name)}"
                for found in _BY_NAME
            )
            (found,) = self._db.execute(
                "SELECT json_group_array(json_array(target, key, showing_id, fields, writer, "
                f"times)) FROM ({by_name})",
                (self._base_url, json_list(wanted)),
            ).fetchone()
            yield from map(Entry._make, json.loads(found))

    def is_empty(self) -> bool:
        """Return whether there are no entries."""
        found = self._db.execute(
            f"SELECT 1 FROM {self.name} WHERE base_url = ? LIMIT 1", (self._base_url,)
        )
        return found.fetchone() is None

    def learn_all(self, acknowledged: str) -> None:
        """Learn the rows of a query: (target, key, showing_id, body, at).

        The ledger must be empty. Showings that share a name get no entry, because the order of
        their patches is unknown.
        """
        self._db.execute(
            f"INSERT OR REPLACE INTO {self.name} "
            "SELECT ?1, target, key, nullif(showing_id, ''), body, ?2, "
            f"iif(at IS NULL, NULL, json_object(at, '')) FROM ({acknowledged})",
            (self._base_url, self._writer),
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

    def has_other_writers(self) -> bool:
        """Return whether any entry was written by another than this ledger's writer."""
        other = "NOT NULL" if self._writer is None else "NOT ?2"  # a constant, so that SQLite
        found = self._db.execute(  # takes the partial index
            f"SELECT 1 FROM {self.name} WHERE base_url = ?1 AND writer IS {other} LIMIT 1",
            (self._base_url, self._writer)[: 1 if self._writer is None else 2],
        )
        return found.fetchone() is not None

    def doubt(self, showings: Iterable[tuple[str, str, str]]) -> None:
        """Drop the values of showings in which North was found to differ: (target, key, id)."""
        rest = iter(showings)
        while group := [*islice(rest, _GROUP)]:
            with self.entries(name for showing in group for name in showing) as entries:
                for target, key, showing_id in group:
                    entries.doubt(target, key, showing_id or None)

    def doubt_claims(self, shown: Iterable[Shown], same: Same) -> None:
        """Drop the values of showings of which an export shows another value in any field."""
        rest = iter(shown)
        while group := [*islice(rest, _GROUP)]:
            with self.entries(name for target, key, _ in group for name in (target, key)) as known:
                for target, key, values in group:
                    for entry in [*known.of({target, key})]:
                        claims = entry.values
                        both = claims.keys() & values.keys()
                        if not all(same(name, claims[name], values[name]) for name in both):
                            known.doubt(entry.target, entry.key, entry.showing_id)

    def join(self, other: Ledger, *, is_of: str) -> None:
        """Take over another ledger's entries; `is_of` is the writer that it calls NULL.

        Entries of another team are left out.
        """
        account, here = other.account(), self.account()
        if account is None:
            return
        if here is None:
            self._db.execute(
                f"INSERT INTO {self.name}_account VALUES (?, ?, ?)",
                (self._base_url, account.fingerprint, account.team and account.team.id),
            )
        elif not here.is_of_one_team(account, otherwise=False):
            return
        if self.is_empty():
            self._db.execute(
                f"INSERT INTO {self.name} SELECT base_url, target, key, showing_id, fields, "
                f"coalesce(writer, ?), times FROM {other.name} WHERE base_url = ?",
                (is_of, self._base_url),
            )
            return
        found = self._db.execute(
            "SELECT target, key, showing_id, fields, coalesce(writer, ?), times "
            f"FROM {other.name} WHERE base_url = ?",
            (is_of, self._base_url),
        )
        while group := [Entry._make(row) for row in found.fetchmany(_GROUP)]:
            with self.entries(name for entry in group for name in entry.names) as entries:
                for entry in group:
                    entries.join(entry)

    def all(self) -> Iterator[Acknowledged]:
        """Yield every entry but traces, sorted by target."""
        found = self._db.execute(
            "SELECT target, key, coalesce(showing_id, ''), fields, times, writer "
            f"FROM {self.name} WHERE base_url = ? AND fields <> '{TRACE}' ORDER BY target",
            (self._base_url,),
        )
        for target, key, showing_id, fields, times, writer in found:
            values = json.loads(fields)
            yield Acknowledged(target, key, showing_id, values, times_of(times), writer)

    def find(self, names: Iterable[str]) -> list[Acknowledged]:
        """Return the entries, but traces, with any of these names."""
        return [
            Acknowledged(one.target, one.key, one.showing_id or "", one.values, one.acknowledged)
            for one in dict.fromkeys(self._found(set(names)))
            if one.values
        ]


def json_list(values: Iterable[object]) -> str:
    """Return values as one parameter of a statement, for `json_each`."""
    return msgspec.json.encode(list(values)).decode()
