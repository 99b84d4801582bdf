"""Checkpoints of every earlier version become ones of this version."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from bulk_sync.job.connection import connect, migrate
from bulk_sync.job.schema import SCHEMA_VERSION
from bulk_sync.job.store import Store
from bulk_sync.model.problems import Expected, Reason
from bulk_sync.model.rows import Outcome, Result, State
from bulk_sync.report.problems import full_message_of
from tests.unit.checkpoints import (
    doubtful,
    stage,
)

BACK_TO_VERSION_11 = """
    DROP TABLE holder;
    PRAGMA user_version = 11;
"""
BACK_TO_VERSION_10 = "".join(
    (
        BACK_TO_VERSION_11,
        """
    DROP VIEW row;
    ALTER TABLE outcome DROP COLUMN tries;
    CREATE VIEW row AS
        SELECT staged.id, generation, number, cells, target, key, content, body, digest, fields,
            before, coalesce(outcome.state, staged.state) AS state, coalesce(in_flight,
            staged.state = 'pending' AND generation > 0
            AND staged.id <= (SELECT taken FROM job), 0) AS in_flight,
            coalesce(may_have_been_applied, 0) AS may_have_been_applied,
            coalesce(tried_before, 0) AS tried_before, http_status,
            coalesce(attempts, 0) AS attempts, coalesce(throttled, 0) AS throttled,
            iif(outcome.id IS NULL, staged.error, outcome.error) AS error,
            outcome.message, iif(outcome.id IS NULL, staged.reasons, NULL) AS reasons, given_up,
            showing_id, updated_at, sent_at, duration_ms, echo
        FROM staged LEFT JOIN outcome ON outcome.id = staged.id;
    ALTER TABLE ledger DROP COLUMN times;
    PRAGMA user_version = 10;
""",
    )
)
BACK_TO_VERSION_9 = "".join(
    (
        BACK_TO_VERSION_10,
        """
    DROP VIEW row;
    ALTER TABLE outcome DROP COLUMN echo;
    CREATE VIEW row AS
        SELECT staged.id, generation, number, cells, target, key, content, body, digest, fields,
            before, coalesce(outcome.state, staged.state) AS state, coalesce(in_flight,
            staged.state = 'pending' AND staged.id <= (SELECT taken FROM job), 0) AS in_flight,
            coalesce(may_have_been_applied, 0) AS may_have_been_applied,
            coalesce(tried_before, 0) AS tried_before, http_status,
            coalesce(attempts, 0) AS attempts, coalesce(throttled, 0) AS throttled,
            iif(outcome.id IS NULL, staged.error, outcome.error) AS error,
            outcome.message, iif(outcome.id IS NULL, staged.reasons, NULL) AS reasons, given_up,
            showing_id, updated_at, sent_at, duration_ms
        FROM staged LEFT JOIN outcome ON outcome.id = staged.id;
    ALTER TABLE staged DROP COLUMN report_id;
    ALTER TABLE staged DROP COLUMN whole;
    DROP INDEX staged_twin;
    ALTER TABLE staged DROP COLUMN twin;
    ALTER TABLE staged DROP COLUMN blank;
    DROP TABLE creation;
    DROP TABLE ledger_place;
    DROP INDEX ledger_writer;
    ALTER TABLE ledger DROP COLUMN writer;
    ALTER TABLE job DROP COLUMN team_id;
    ALTER TABLE job DROP COLUMN team_name;
    ALTER TABLE job DROP COLUMN key_proven;
    ALTER TABLE job DROP COLUMN source;
    ALTER TABLE job DROP COLUMN elsewhere;
    ALTER TABLE job DROP COLUMN command;
    ALTER TABLE job DROP COLUMN ended_at;
    ALTER TABLE job DROP COLUMN exit_code;
    ALTER TABLE ledger_account DROP COLUMN team_id;
    CREATE TABLE timeline_before AS SELECT began, at_ms, width_ms, covered_ms, states, requests,
        retries, throttled, requests_per_second, source, latencies FROM timeline;
    DROP TABLE timeline;
    CREATE TABLE timeline (
        began TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        width_ms INTEGER NOT NULL,
        covered_ms INTEGER NOT NULL,
        states TEXT NOT NULL,
        requests INTEGER NOT NULL,
        retries INTEGER NOT NULL,
        throttled INTEGER NOT NULL,
        requests_per_second REAL,
        source TEXT NOT NULL,
        latencies TEXT NOT NULL,
        PRIMARY KEY (began, at_ms)
    ) WITHOUT ROWID;
    INSERT INTO timeline SELECT * FROM timeline_before;
    DROP TABLE timeline_before;
    PRAGMA user_version = 9;
""",
    )
)
BACK_TO_VERSION_8 = "".join(
    (
        BACK_TO_VERSION_9,
        """
    DROP VIEW row;
    ALTER TABLE outcome DROP COLUMN given_up;
    ALTER TABLE staged RENAME COLUMN reasons TO message;
    UPDATE staged SET message = 'rating: ''bad'' is not it' WHERE message IS NOT NULL;
    CREATE VIEW row AS
        SELECT staged.id, generation, number, cells, target, key, content, body, digest, fields,
            before, coalesce(outcome.state, staged.state) AS state, coalesce(in_flight,
            staged.state = 'pending' AND staged.id <= (SELECT taken FROM job), 0) AS in_flight,
            coalesce(may_have_been_applied, 0) AS may_have_been_applied,
            coalesce(tried_before, 0) AS tried_before, http_status,
            coalesce(attempts, 0) AS attempts, coalesce(throttled, 0) AS throttled,
            iif(outcome.id IS NULL, staged.error, outcome.error) AS error,
            iif(outcome.id IS NULL, staged.message, outcome.message) AS message,
            showing_id, updated_at, sent_at, duration_ms
        FROM staged LEFT JOIN outcome ON outcome.id = staged.id;
    PRAGMA user_version = 8;
""",
    )
)
BACK_TO_VERSION_7 = f"{BACK_TO_VERSION_8} PRAGMA user_version = 7;"
BACK_TO_VERSION_6 = "".join(
    (
        BACK_TO_VERSION_8,
        """
    CREATE TABLE row_before AS SELECT * FROM row;
    DROP VIEW row;
    DROP TABLE sealed;
    DROP TABLE staged;
    DROP TABLE outcome;
    CREATE TABLE row (
        id INTEGER PRIMARY KEY,
        generation INTEGER NOT NULL,
        number INTEGER NOT NULL,
        cells TEXT NOT NULL,
        target TEXT NOT NULL,
        key TEXT NOT NULL,
        content TEXT,
        body TEXT,
        digest TEXT,
        fields TEXT NOT NULL DEFAULT '',
        before TEXT,
        state TEXT NOT NULL,
        in_flight INTEGER NOT NULL DEFAULT 0,
        may_have_been_applied INTEGER NOT NULL DEFAULT 0,
        tried_before INTEGER NOT NULL DEFAULT 0,
        http_status INTEGER,
        attempts INTEGER NOT NULL DEFAULT 0,
        throttled INTEGER NOT NULL DEFAULT 0,
        error TEXT,
        message TEXT,
        showing_id TEXT,
        updated_at TEXT,
        sent_at TEXT,
        duration_ms INTEGER
    );
    INSERT INTO row SELECT * FROM row_before;
    DROP TABLE row_before;
    CREATE INDEX row_target ON row (target, content);
    CREATE INDEX row_pending ON row (generation, tried_before, id) WHERE state = 'pending';
    ALTER TABLE job DROP COLUMN taken;
    ALTER TABLE job DROP COLUMN ended;
    ALTER TABLE job DROP COLUMN staged_states;
    PRAGMA user_version = 6;
""",
    )
)
BACK_TO_VERSION_5 = f"""
    {BACK_TO_VERSION_6}
    DROP TABLE acknowledged;
    DROP INDEX ledger_other_key;
    CREATE INDEX ledger_key ON ledger (base_url, key);
    PRAGMA user_version = 5;
"""
BACK_TO_VERSION_4 = f"{BACK_TO_VERSION_5} DROP TABLE timeline; PRAGMA user_version = 4;"
BACK_TO_VERSION_3 = f"""
    {BACK_TO_VERSION_4}
    DROP TABLE ledger;
    DROP TABLE ledger_account;
    DROP INDEX row_target;
    ALTER TABLE row DROP COLUMN content;
    ALTER TABLE row DROP COLUMN before;
    CREATE INDEX row_target ON row (target, digest);
    PRAGMA user_version = 3;
"""
BACK_TO_VERSION_2 = f"""
    {BACK_TO_VERSION_3}
    DROP INDEX row_pending;
    CREATE INDEX row_pending ON row (generation, id) WHERE state = 'pending';
    ALTER TABLE row DROP COLUMN may_have_been_applied;
    ALTER TABLE row DROP COLUMN tried_before;
    ALTER TABLE job DROP COLUMN of_settled;
    PRAGMA user_version = 2;
"""
BACK_TO_VERSION_1 = f"""
    {BACK_TO_VERSION_2}
    ALTER TABLE row DROP COLUMN key;
    PRAGMA user_version = 1;
"""
BACK_TO_VERSION = {
    1: BACK_TO_VERSION_1,
    2: BACK_TO_VERSION_2,
    3: BACK_TO_VERSION_3,
    4: BACK_TO_VERSION_4,
    5: BACK_TO_VERSION_5,
    6: BACK_TO_VERSION_6,
    7: BACK_TO_VERSION_7,
    8: BACK_TO_VERSION_8,
    9: BACK_TO_VERSION_9,
    10: BACK_TO_VERSION_10,
    11: BACK_TO_VERSION_11,
}

EARLIER = Reason(Expected.EARLIER_TEXT, facts={"text": "rating: 'bad' is not it"})


def with_texts(results: Iterable[Result]) -> list[Result]:
    """Rows with the sentences of version 8 in place of reasons."""
    return [replace(one, reasons=(EARLIER,)) if one.reasons else one for one in results]


SAME = "as it was"


@pytest.mark.parametrize(
    ("state", "message", "kept", "doubt"),
    [
        ("failed", "503: busy; it may have been applied all the same", "503: busy", True),
        ("pending", "503: busy; it may have been applied all the same", "503: busy", True),
        ("pending", "It may have been applied all the same; run again", None, True),
        (
            "pending",
            (
                "It was on its way when a run was cut off or an answer was lost, and may have "
                "been applied; run again"
            ),
            None,
            True,
        ),
        (
            "pending",
            "It was on its way when a run was cut off and may have been applied; run again",
            None,
            True,
        ),
        (
            "failed",
            "It may have been applied; the rest was removed by --purge",
            "Message removed by --purge",
            False,
        ),
        (
            "failed",
            "What was said was removed by --purge",
            "Message removed by --purge",
            False,
        ),
        # The API's own words are no word of ours.
        ("rejected", "no; it may have been applied all the same", SAME, False),
        ("failed", "409: 'x' may have been applied; look", SAME, False),
        ("updated", "it may have been applied all the same", SAME, False),
    ],
)
def test_sentences_of_doubt_in_a_checkpoint_of_version_7_become_the_column(
    tmp_path: Path, state: str, message: str, kept: str | None, *, doubt: bool
) -> None:
    path = tmp_path / "x.checkpoint.sqlite"
    with Store.open(path) as store:
        stage(store, [("A", "1")])
        (change,) = store.outbox.exchange(limit=1)
        store.outbox.exchange([Outcome(change.id, State(state), 1, message=message)])
    with closing(sqlite3.connect(path)) as db:
        db.executescript(BACK_TO_VERSION_7)
    with Store.read(path) as store:
        (result,) = store.views.results()
    expected = message if kept == SAME else kept
    assert (result.state, result.message, result.may_have_been_applied) == (state, expected, doubt)


def test_a_job_of_version_6_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x.checkpoint.sqlite"
    with Store.open(path) as store:
        stage(store, [(key, "1") for key in "ABCDE"] + [("F", "bad")])
        one, two, three, _ = store.outbox.exchange(limit=4)
        store.outbox.exchange(
            [
                Outcome(one.id, State.UPDATED, 1, http_status=200, showing_id="u-1"),
                Outcome(two.id, State.REJECTED, 1, error="not_found", message="no such showing"),
                Outcome(three.id, State.FAILED, 2, error="timeout", may_have_been_applied=True),
            ]
        )
        before = with_texts(store.views.results())
    with closing(sqlite3.connect(path)) as db:
        db.executescript(BACK_TO_VERSION_6)
        # As --only-changed left a row that was tried before.
        db.execute("UPDATE row SET state = 'unchanged', error = NULL WHERE key = 'B'")
        db.commit()
    before[1] = replace(before[1], state=State.UNCHANGED, error=None)
    with Store.read(path) as store:
        assert list(store.views.results()) == before
        assert store.views.counts() == Counter(result.state for result in before)
    with Store.open(path) as store:
        store.outbox.requeue()
        assert [change.target for change in store.outbox.exchange(limit=9)] == ["E", "C", "D"]
        assert set(doubtful(store)) == {
            "C",
            "D",
            "E",
        }


def test_what_may_have_been_applied_is_known_by_its_words_in_a_checkpoint_of_version_2(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.checkpoint.sqlite"
    with Store.open(path) as store:
        stage(store, [("A", "1"), ("B", "1"), ("C", "1"), ("D", "1")])
        for change, message in zip(
            store.outbox.exchange(limit=3),
            ["time-out; it may have been applied all the same", "refused", None],
            strict=True,
        ):
            if message:
                store.outbox.exchange(
                    [Outcome(change.id, State.FAILED, 1, error="timeout", message=message)]
                )
    with closing(sqlite3.connect(path)) as db:
        db.executescript(BACK_TO_VERSION_2)
    with Store.open(path) as store:
        store.outbox.requeue()
        assert set(doubtful(store)) == {
            "A",
            "C",
        }
        assert {row.message for row in store.views.results()} == {"time-out", "refused", None}
        assert [change.target for change in store.outbox.exchange(limit=9)] == ["D", "A", "B", "C"]


def test_a_checkpoint_of_an_older_version_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "x.checkpoint.sqlite"
    with Store.open(path) as store:
        stage(store, [("A", "1"), ("B", "bad")])
    with closing(sqlite3.connect(path)) as db:
        db.executescript(BACK_TO_VERSION_1)
    with Store.read(path) as store:
        assert [result.key for result in store.views.results()] == ["A", "B"]
    with Store.open(path) as store:
        assert [change.target for change in store.outbox.exchange(limit=9)] == ["A"]


@pytest.mark.parametrize("version", range(1, 9))
def test_no_sentence_of_an_earlier_version_is_lost(tmp_path: Path, version: int) -> None:
    path = tmp_path / "x.checkpoint.sqlite"
    purged = "Message removed by --purge"
    with Store.open(path) as store:
        stage(store, [("A", "1"), ("B", "bad"), ("C", "bad")])
    with closing(sqlite3.connect(path)) as db:
        db.executescript(BACK_TO_VERSION[version])
        table = "row" if version < 7 else "staged"
        db.execute(f"UPDATE {table} SET message = ? WHERE target = 'C'", (purged,))  # noqa: S608
        db.commit()
    with Store.open(path) as store:
        results = list(store.views.results())
    assert [full_message_of(result) for result in results] == [
        None,
        "rating: 'bad' is not it",
        purged,
    ]
    assert results[2].reasons == (Reason(Expected.PURGED),)


def layout_of(path: Path) -> dict[str, list[str]]:
    """The columns of each table, index and view."""
    with closing(sqlite3.connect(path)) as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master ORDER BY name")]
        return {
            name: [column[1] for column in db.execute(f"PRAGMA table_xinfo('{name}')")]
            or [str(column[2]) for column in db.execute(f"PRAGMA index_info('{name}')")]
            for name in names
            if not name.startswith("sqlite_")
        }


def test_there_is_a_migration_from_every_version() -> None:
    assert sorted(BACK_TO_VERSION) == list(range(1, SCHEMA_VERSION))


@pytest.mark.parametrize("version", BACK_TO_VERSION)
def test_a_checkpoint_of_every_earlier_version_gets_the_tables_of_this_one(
    tmp_path: Path, version: int
) -> None:
    path = tmp_path / "x.checkpoint.sqlite"
    with Store.open(path) as store:
        stage(store, [("A", "1"), ("B", "bad"), ("C", "1")])
        (change,) = store.outbox.exchange(limit=1)
        store.outbox.exchange([Outcome(change.id, State.UPDATED, 1)])
        before = list(store.views.results())
    if version < 9:
        before = with_texts(before)
    layout = layout_of(path)
    with closing(sqlite3.connect(path)) as db:
        db.executescript(BACK_TO_VERSION[version])
    assert version > 6 or layout_of(path) != layout
    with Store.read(path) as store:
        assert list(store.views.results()) == before
    assert set(layout_of(path)) == set(layout)
    assert {name: set(columns) for name, columns in layout_of(path).items()} == {
        name: set(columns) for name, columns in layout.items()
    }


class AnotherIsFirst(dict[int, str]):
    """Migrations of a file that another process migrates, just before the first step of this."""

    def __init__(self, path: Path, newest: int, steps: dict[int, str]) -> None:
        super().__init__(steps)
        self.path, self.newest, self.is_first = path, newest, False

    def __getitem__(self, version: int) -> str:
        if not self.is_first:
            self.is_first = True
            with closing(connect(self.path)) as db:
                migrate(db, self.newest, self)
        return super().__getitem__(version)


def test_two_processes_may_migrate_a_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.executescript("CREATE TABLE x (a); PRAGMA user_version = 1;")
    steps = {1: "ALTER TABLE x ADD COLUMN b;", 2: "ALTER TABLE x ADD COLUMN c;"}
    with closing(connect(path)) as db:
        migrate(db, 3, AnotherIsFirst(path, 3, steps))
        assert [row[1] for row in db.execute("PRAGMA table_info(x)")] == ["a", "b", "c"]
        assert db.execute("PRAGMA user_version").fetchone() == (3,)


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.executescript("CREATE TABLE x (a); PRAGMA user_version = 1;")
    steps = {1: "ALTER TABLE x ADD COLUMN b; ALTER TABLE y ADD COLUMN b;"}
    with closing(connect(path)) as db:
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            migrate(db, 2, steps)
        assert [row[1] for row in db.execute("PRAGMA table_info(x)")] == ["a"]
