"""Every value of a checkpoint is of its column's type, in range, and readable."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bulk_sync.errors import CheckpointDamaged
from bulk_sync.job.layout import Column, read_layout, tables_of
from bulk_sync.job.store import Store
from bulk_sync.job.values import (
    check_cells,
    read_cells,
    read_patch,
    read_values,
    unreadable,
    unsound,
)
from bulk_sync.model.rows import Outcome, State
from tests.unit.checkpoints import stage
from tests.unit.test_schema import BACK_TO_VERSION

TEXT, FILLED = Column("word", "TEXT", filled=False), Column("word", "TEXT", filled=True)
COUNT, SIZE = Column("count", "INTEGER", filled=False), Column("count", "INTEGER", filled=True)
FLAG, SECONDS = Column("partial", "INTEGER", filled=True), Column("seconds", "REAL", filled=True)
MOMENT = Column("changed_ns", "INTEGER", filled=True)


@pytest.mark.parametrize(
    ("column", "sound", "unsound_values"),
    [
        (TEXT, ["'x'", "''", "NULL"], ["x'00'"]),
        (FILLED, ["'x'", "''"], ["x'00'", "NULL"]),
        (COUNT, ["0", "-3", str(2**40), "NULL"], ["'x'", "0.5", "-4", str(2**40 + 1), "x'31'"]),
        (SIZE, ["7"], ["NULL", "9e999"]),
        (FLAG, ["0", "1"], ["2", "-1", "NULL", "'y'"]),
        (SECONDS, ["0", "0.5", "1e10"], ["-0.1", "1.1e10", "9e999", "'x'", "NULL"]),
        (MOMENT, ["0", str(2**63 - 1)], ["-1", "NULL", "0.5"]),
    ],
)
def test_types_and_ranges(column: Column, sound: list[str], unsound_values: list[str]) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        for value in [*sound, *unsound_values]:
            db.executescript(
                f"DROP TABLE IF EXISTS t; CREATE TABLE t ({column.name} {column.type})"
            )
            db.execute(f"INSERT INTO t VALUES ({value})")  # noqa: S608
            found = db.execute(unsound("t", [column])).fetchone()
            assert (found is not None) == (value in unsound_values), value


def test_texts_that_are_no_utf_8_or_that_their_reader_refuses() -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE t (word TEXT, count INTEGER)")
        db.execute("""INSERT INTO t VALUES ('{"a":1}', 1), (NULL, 2)""")
        readers = {"t.word": read_patch}
        assert unreadable(db, "t", [TEXT, COUNT], readers) is None
        assert unreadable(db, "t", [COUNT], {}) is None
        db.execute("INSERT INTO t VALUES ('[]', 3)")
        assert unreadable(db, "t", [TEXT, COUNT], {}) is None
        assert unreadable(db, "t", [TEXT, COUNT], readers) == "word"
        db.execute("UPDATE t SET word = CAST(x'66ff' AS TEXT)")
        with pytest.raises(sqlite3.OperationalError, match="UTF-8"):
            unreadable(db, "t", [TEXT, COUNT], {})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[" * 100_000,
        '{"a":[]}',
        '{"a":1e999}',
        '{"a":NaN}',
        "1",
    ],
)
def test_a_patch_has_plain_values(text: str) -> None:
    with pytest.raises((ValueError, RecursionError)):
        read_patch(text)
    with pytest.raises((ValueError, RecursionError)):
        read_values(text)


def test_cells_are_read_alike_whether_or_not_they_are_texts() -> None:
    assert read_values("null") is None
    assert read_cells("null") == ()
    assert read_cells('["a",["int","7"]]') == ("a", 7)
    for text in ('["a"]', '["a",["int","7"]]', "null"):
        check_cells(text)
    assert read_cells('["\\ud83d\\ude00"]') == ("\U0001f600",)
    for text in (
        '["\\ud83d"]',
        '["a",["formatted","\\uD83d"]]',
        '["a",7]',
        '{"a":1}',
        '["a",["int","x"]]',
        '["a",["odd","x"]]',
        "[",
        '"a"',
    ):
        with pytest.raises((ValueError, TypeError, KeyError)):
            check_cells(text)


@pytest.mark.parametrize("version", [*BACK_TO_VERSION, None])
def test_bytes_in_any_column_of_any_version_are_damage(tmp_path: Path, version: int | None) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path) as store:
        stage(store, [("A", "1"), ("B", "1"), ("C", "bad")])
        (change,) = store.outbox.exchange(limit=1)
        store.outbox.exchange([Outcome(change.id, State.UPDATED, 1)])
    with closing(sqlite3.connect(path)) as db:
        if version is not None:
            db.executescript(BACK_TO_VERSION[version])
        tables = [*tables_of(read_layout(db))]
    sound = path.read_bytes()
    tried = 0
    for table, columns in tables:
        for column in columns:
            path.write_bytes(sound)
            try:
                with closing(sqlite3.connect(path)) as db, db:
                    db.execute("PRAGMA ignore_check_constraints = ON")
                    found = db.execute(f"UPDATE {table} SET {column.name} = x'00ff'")  # noqa: S608
            except sqlite3.IntegrityError:  # a row's number
                continue
            if found.rowcount:
                tried += 1
                with pytest.raises(CheckpointDamaged), Store.read(path):
                    pass
    assert tried > 20
