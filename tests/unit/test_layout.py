"""A database has exactly our tables, indexes and views."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bulk_sync.errors import CheckpointDamaged, CheckpointError
from bulk_sync.job.layout import difference, layout_of_script, read_layout
from bulk_sync.job.ledger_file import read_shared
from bulk_sync.job.schema import CREATE, SCHEMA_VERSION, difference_from, layout_of
from bulk_sync.job.store import Store
from tests.unit.test_schema import BACK_TO_VERSION

# A view that never ends, and one that doubles with each step.
ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"

FORGERIES = {
    "a table": "CREATE TABLE more (x)",
    "a view": f"CREATE VIEW more AS {ENDLESS}",
    "an index": "CREATE INDEX more ON ledger (fields)",
    "a trigger": ("CREATE TRIGGER more AFTER UPDATE ON ledger BEGIN DELETE FROM ledger; END"),
    "statistics": "ANALYZE",
    "a virtual table": "CREATE VIRTUAL TABLE more USING fts5(x)",
    "a column": "ALTER TABLE ledger ADD COLUMN more TEXT",
    "a computed column": "ALTER TABLE ledger ADD COLUMN more TEXT AS (target)",
    "a column of another name": "ALTER TABLE ledger RENAME COLUMN fields TO felds",
    "a table that is missing": "DROP TABLE ledger_account",
    "an index that is missing": "DROP INDEX ledger_writer",
    "an index of other rows": (
        "DROP INDEX ledger_writer; "
        "CREATE INDEX ledger_writer ON ledger (base_url, writer) WHERE writer = 'x'"
    ),
    "a table in place of an index": "DROP INDEX ledger_writer; CREATE TABLE ledger_writer (x)",
    "a view in place of a table": (
        f"DROP TABLE ledger_account; CREATE VIEW ledger_account AS {ENDLESS}"
    ),
    "a table of other columns": (
        "DROP TABLE ledger_account; CREATE TABLE ledger_account "
        "(base_url TEXT PRIMARY KEY, key_fingerprint INTEGER NOT NULL, team_id TEXT)"
    ),
    "letters that are alike": (
        "DROP TABLE ledger_account; CREATE TABLE ledger_account (base_url TEXT COLLATE NOCASE "
        "PRIMARY KEY, key_fingerprint TEXT NOT NULL, team_id TEXT) WITHOUT ROWID"
    ),
    "rows with numbers": (
        "DROP TABLE ledger_account; CREATE TABLE ledger_account (base_url TEXT PRIMARY KEY, "
        "key_fingerprint TEXT NOT NULL, team_id TEXT)"
    ),
}


def forge(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript(script)


@pytest.mark.parametrize("forgery", FORGERIES)
def test_what_is_not_ours_in_a_checkpoint_or_a_ledger_is_damage(
    tmp_path: Path, forgery: str
) -> None:
    checkpoint, ledger = tmp_path / "x.sqlite", tmp_path / "north.ledger"
    with Store.open(checkpoint, ledger):
        pass
    for path in (checkpoint, ledger):
        forge(path, FORGERIES[forgery])
    there = [path.read_bytes() for path in (checkpoint, ledger)]
    with pytest.raises(CheckpointDamaged, match="damaged"), Store.read(checkpoint):
        pass
    with pytest.raises(CheckpointDamaged, match="damaged"), Store.open(checkpoint):
        pass
    with pytest.raises(CheckpointError, match="ledger is damaged"), read_shared(ledger):
        pass
    with (
        pytest.raises(CheckpointError, match="ledger is damaged"),
        Store.open(tmp_path / "new.sqlite", ledger),
    ):
        pass
    assert [path.read_bytes() for path in (checkpoint, ledger)] == there


@pytest.mark.parametrize("version", BACK_TO_VERSION)
@pytest.mark.parametrize(
    "forgery",
    [
        "CREATE TABLE more (x)",
        "CREATE TRIGGER more AFTER UPDATE ON job BEGIN DELETE FROM report; END",
        "CREATE VIEW more AS SELECT 1",
        "CREATE INDEX more ON job (input)",
        "ALTER TABLE job ADD COLUMN more TEXT",
        "ALTER TABLE job ADD COLUMN more TEXT AS (input)",
    ],
)
def test_so_it_is_in_a_checkpoint_of_an_earlier_version(
    tmp_path: Path, version: int, forgery: str
) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path):
        pass
    forge(path, BACK_TO_VERSION[version] + forgery)
    with pytest.raises(CheckpointDamaged), Store.open(path):
        pass


def test_the_order_of_columns_comments_and_blanks_is_not_compared() -> None:
    one = "CREATE TABLE a (x TEXT NOT NULL, -- first\n y INTEGER DEFAULT 0); CREATE INDEX i ON a(x)"
    two = "CREATE TABLE a (y   INTEGER DEFAULT 0, x TEXT NOT NULL); CREATE INDEX  i  ON a(x)"
    assert difference(layout_of_script(one), layout_of_script(two)) is None


def test_migrations_lead_to_the_tables_of_this_version() -> None:
    for version in range(1, SCHEMA_VERSION):
        assert difference_from(version, layout_of(version)) is None
    assert difference_from(SCHEMA_VERSION, layout_of_script(CREATE)) is None


def test_a_schema_of_too_many_items_is_not_read() -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        for number in range(100):
            db.execute(f"CREATE TABLE t{number} (x)")
        with pytest.raises(ValueError, match="too many"):
            read_layout(db)
