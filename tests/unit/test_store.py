"""The checkpoint against a plain model: stage, hand out, record, crash, edit the sheet, resume, in
any order.
"""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from bulk_sync.check.rows import digest_of
from bulk_sync.errors import CheckpointDamaged, CheckpointError, OutputError
from bulk_sync.job import damage, health, outbox, sealing, staged
from bulk_sync.job.database import GROUP, Job
from bulk_sync.job.ledger_entries import text_of
from bulk_sync.job.lock import held, is_held
from bulk_sync.job.schema import SCHEMA_VERSION
from bulk_sync.job.staged import _ROWS_A_STATEMENT, _compact
from bulk_sync.job.store import Store
from bulk_sync.job.views import Views
from bulk_sync.model.rows import Cell, Change, Outcome, Problem, Record, Row, State
from bulk_sync.model.rows import text_of as text_of_cell

KEYS = st.sampled_from("ABCDE")
VALUES = st.sampled_from(["1", "2"])
Pair = tuple[str, str]
Sheet = list[Pair]


def body_of(value: str) -> str:
    return f'{{"rating":{value}}}'


def record_of(number: int, key: str, value: str) -> Record | Problem:
    row = Row(number, (key, value))
    if value == "bad":
        return Problem(row, key, "bad_value", "bad", key)
    body = body_of(value)
    return Record(row, key, body, digest_of(body), ("rating",), key)


def stage(store: Store, sheet: Sheet, *, partial: bool = False) -> None:
    generation = store.staged.stage(
        record_of(number, key, value) for number, (key, value) in enumerate(sheet, start=2)
    )
    known = store.database.job()
    fingerprint = known.key_fingerprint if known else None
    store.adoption.adopt(
        Job(
            generation,
            "x.csv",
            "digest",
            "meaning",
            partial,
            ("k", "v"),
            "https://a.example.com",
            fingerprint,
            0.0,
        )
    )


class Checkpoint(RuleBasedStateMachine):
    """What is known of each (key, value) that the checkpoint keeps, in plain sets; and the sheet
    and its part.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "x.checkpoint.sqlite"
        self.stack = ExitStack()
        self.sheet: Sheet = []
        self.partial = False
        self.of_settled = False
        self.acknowledged: set[Pair] = set()
        self.attempted: set[Pair] = set()
        self.in_doubt: set[Pair] = set()
        self.ledger: dict[str, str] = {}
        self.before: dict[Pair, str] = {}
        self.running = False
        self.queue: Sheet = []
        self.in_flight: dict[Pair, Change] = {}

    def teardown(self) -> None:
        self.stack.close()
        self.folder.cleanup()

    @initialize(sheet=st.dictionaries(KEYS, VALUES, min_size=1))
    def first_run(self, sheet: dict[str, str]) -> None:
        self.store = self.stack.enter_context(Store.open(self.path))
        self.sheet = list(sheet.items())
        stage(self.store, self.sheet)
        self.begin()

    @rule(
        sheet=st.dictionaries(KEYS, VALUES, min_size=1), order=st.randoms(), limit=st.integers(1, 8)
    )
    def edit_and_run_again(self, sheet: dict[str, str], order: random.Random, limit: int) -> None:
        self.crash()
        edited = list(sheet.items())
        order.shuffle(edited)
        partial = limit < len(edited)
        edited = edited[:limit]
        settled = (not self.partial or self.of_settled) and set(self.sheet) <= self.acknowledged
        same = set(edited) <= self.acknowledged if partial else set(edited) == self.acknowledged
        goes_on = not settled or same
        self.keep(set(edited) if goes_on else set(), and_others=partial and goes_on)
        self.sheet, self.partial, self.of_settled = edited, partial, partial and goes_on and settled
        stage(self.store, self.sheet, partial=partial)
        self.begin()

    def keep(self, pairs: set[Pair], *, and_others: bool) -> None:
        """Forget all but these pairs and, of showings that they don't speak of, what is worth
        keeping.
        """
        keys = {key for key, _ in pairs}
        others = (
            {pair for pair in self.acknowledged | self.in_doubt if pair[0] not in keys}
            if and_others
            else set()
        )
        self.acknowledged &= pairs | others
        self.attempted &= pairs | others
        self.in_doubt &= pairs | others
        tried = self.attempted | self.in_doubt
        self.before = {
            pair: value
            for pair, value in self.before.items()
            if pair in tried and pair in pairs | others
        }

    @rule()
    def run_again(self) -> None:
        self.crash()
        self.store.outbox.retry_undone()
        self.begin()

    def begin(self) -> None:
        tried = self.attempted | self.in_doubt
        self.queue = sorted(
            (pair for pair in self.sheet if pair not in self.acknowledged), key=lambda p: p in tried
        )
        self.running = True

    @precondition(lambda self: self.running)
    @rule(count=st.integers(1, 3))
    def hand_out(self, count: int) -> None:
        changes = self.store.outbox.exchange(limit=count)
        expected, self.queue = self.queue[:count], self.queue[count:]
        assert [(change.target, change.body) for change in changes] == [
            (key, body_of(v)) for key, v in expected
        ]
        self.in_flight |= dict(zip(expected, changes, strict=True))
        for pair in expected:
            if pair[0] in self.ledger:
                self.before[pair] = self.ledger.pop(pair[0])

    @precondition(lambda self: self.in_flight)
    @rule(
        data=st.data(),
        state=st.sampled_from([State.UPDATED, State.REJECTED, State.FAILED, State.PENDING]),
        message=st.sampled_from([None, "words"]),
        doubt=st.booleans(),
    )
    def record(
        self, data: st.DataObject, state: State, message: str | None, *, doubt: bool
    ) -> None:
        pair = data.draw(st.sampled_from(sorted(self.in_flight)))
        self.end(pair, state, message, doubt=doubt)

    @precondition(lambda self: self.running)
    @rule()
    def run_to_the_end(self) -> None:
        self.hand_out(len(self.sheet))
        for pair in list(self.in_flight):
            self.end(pair, State.UPDATED)

    def end(
        self, pair: Pair, state: State, message: str | None = None, *, doubt: bool = False
    ) -> None:
        change = self.in_flight.pop(pair)
        told = Outcome(
            change.id, state, 1, message=message, showing_id=pair[0], may_have_been_applied=doubt
        )
        self.store.outbox.exchange([told])
        self.attempted.add(pair)
        if state is State.UPDATED:
            self.acknowledged.add(pair)
            self.in_doubt.discard(pair)
            self.ledger[pair[0]] = pair[1]
        elif doubt:
            self.in_doubt.add(pair)
        self.know_again(pair)

    def know_again(self, pair: Pair) -> None:
        """A patch that certainly did nothing leaves the showing as the ledger had it."""
        if pair not in self.in_doubt | self.acknowledged and pair in self.before:
            self.ledger[pair[0]] = self.before.pop(pair)

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def stop_before_the_first_request(self, data: st.DataObject) -> None:
        pair = data.draw(st.sampled_from(sorted(self.in_flight)))
        self.store.outbox.exchange([Outcome(self.in_flight.pop(pair).id, State.PENDING, 0)])
        self.know_again(pair)

    @precondition(lambda self: self.running)
    @rule()
    def stop(self) -> None:
        """All requests ended; what was handed out and is without an outcome was never sent."""
        self.store.outbox.release()
        for pair in self.in_flight:
            self.know_again(pair)
        self.in_flight = {}
        self.running = False

    @rule()
    def crash(self) -> None:
        """Drop the connection with whatever is in flight."""
        self.stack.close()
        self.stack = ExitStack()
        self.store = self.stack.enter_context(Store.open(self.path))
        self.in_doubt |= set(self.in_flight)
        self.in_flight = {}
        self.running = False

    @invariant()
    def rows_are_in_one_state_each_and_none_is_lost(self) -> None:
        results = {result.cells: result for result in self.store.views.results()}
        assert list(results) == self.sheet
        assert sum(self.store.views.counts().values()) == len(self.sheet)
        updated = {cells for cells, result in results.items() if result.state is State.UPDATED}
        assert updated == self.acknowledged & set(self.sheet)
        assert all(results[pair].showing_id == pair[0] for pair in updated)

    @invariant()
    def the_ledger_knows_what_was_acknowledged_and_nothing_that_was_sent_since(self) -> None:
        known = {target: body_of(value) for target, value in self.ledger.items()}
        assert {
            one.target: text_of(one.values) for one in self.store.known.acknowledged() if one.values
        } == known

    @invariant()
    def what_may_have_been_applied_says_so(self) -> None:
        pending = 0
        for result in self.store.views.results():
            unknown = result.cells in self.in_doubt | set(self.in_flight)
            assert result.may_have_been_applied == unknown
            assert "may have been applied" not in (result.message or "")
            pending += unknown and result.state is State.PENDING
        assert self.store.views.totals()[3] == pending


class SealedCheckpoint(Checkpoint):
    """The same with a checkpoint that is sealed; a crash leaves its files as they are in the middle
    of a run.
    """

    def __init__(self) -> None:
        self.usual, sealing.SEALED_BYTES = sealing.SEALED_BYTES, 0
        super().__init__()

    def teardown(self) -> None:
        sealing.SEALED_BYTES = self.usual
        super().teardown()

    @rule()
    def crash(self) -> None:
        """Leave the files to the next run as a kill would."""
        killed = as_killed(self.path, self.path.parent / "next")
        self.stack.close()
        self.path = killed
        super().crash()


TestCheckpoint = Checkpoint.TestCase
TestCheckpoint.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestSealedCheckpoint = SealedCheckpoint.TestCase
TestSealedCheckpoint.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)


def acknowledge(store: Store) -> None:
    store.outbox.exchange(
        [Outcome(change.id, State.UPDATED, 1) for change in store.outbox.exchange(limit=100)]
    )


def doubtful(store: Store) -> list[str]:
    """The targets of the rows that may have been applied."""
    return [row.target for row in store.views.results() if row.may_have_been_applied]


def test_a_crash_while_staging_leaves_the_job_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path) as store:
        stage(store, [("A", "1"), ("B", "bad")])
        acknowledge(store)
    with Store.open(path) as store:
        store.staged.stage(
            record_of(number, "C", "1") for number in range(5000)
        )  # and never adopted
    with Store.open(path) as store:
        assert [result.target for result in store.views.results()] == ["A", "B"]
        stage(store, [("A", "1"), ("B", "2")])
        assert store.views.counts() == {State.UPDATED: 1, State.PENDING: 1}
        assert store.views.totals()[0] == 1


def test_what_a_limit_left_out_is_neither_shown_nor_forgotten(tmp_path: Path) -> None:
    with Store.open(tmp_path / "x.sqlite") as store:
        stage(store, [("A", "1"), ("B", "1"), ("C", "bad")])
        acknowledge(store)
        stage(store, [("C", "1")], partial=True)
        assert [result.target for result in store.views.results()] == ["C"]
        stage(store, [("A", "1"), ("B", "2"), ("C", "1")])
        assert [result.state for result in store.views.results()] == [
            State.UPDATED,
            State.PENDING,
            State.PENDING,
        ]


def test_a_parked_acknowledgement_yields_to_a_newer_row_for_its_target(tmp_path: Path) -> None:
    with Store.open(tmp_path / "x.sqlite") as store:
        stage(store, [("A", "1"), ("B", "bad")])
        acknowledge(store)
        stage(store, [("B", "bad")], partial=True)
        stage(store, [("A", "2")], partial=True)
        acknowledge(store)
        stage(store, [("A", "1"), ("B", "bad")])
        assert store.views.counts()[State.PENDING] == 1  # North holds 2 now: 1 must be sent again


@pytest.mark.parametrize(
    "content",
    [b"not a database at all, but long enough to be looked at", b"SQLite format 3\0" + b"x" * 4096],
)
def test_a_damaged_checkpoint_is_named_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.sqlite"
    path.write_bytes(content)
    for opened in (Store.open(path), Store.read(path)):
        with pytest.raises(CheckpointError, match="damaged"), opened:
            pass
    assert path.read_bytes() == content


BACK_TO_VERSION_6 = """
    CREATE TABLE row_before AS SELECT * FROM row;
    DROP VIEW row;
    DROP TABLE sealed;
    DROP TABLE staged;
    DROP TABLE outcome;
    ALTER TABLE row_before RENAME TO row;
    CREATE INDEX row_target ON row (target, content);
    CREATE INDEX row_pending ON row (generation, tried_before, id) WHERE state = 'pending';
    ALTER TABLE job DROP COLUMN taken;
    ALTER TABLE job DROP COLUMN ended;
    ALTER TABLE job DROP COLUMN staged_states;
    PRAGMA user_version = 6;
"""
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


BACK_TO_VERSION_7 = "PRAGMA user_version = 7;"
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
            "What was said was removed by --purge",
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
        store.outbox.retry_undone()
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
        db.executescript(
            BACK_TO_VERSION_2 + "ALTER TABLE row DROP COLUMN key; PRAGMA user_version = 1;"
        )
    with Store.read(path) as store:
        assert [result.key for result in store.views.results()] == ["A", "B"]
    with Store.open(path) as store:
        assert [change.target for change in store.outbox.exchange(limit=9)] == ["A"]


def test_rows_with_one_key_and_different_ids_are_found(tmp_path: Path) -> None:
    def rows() -> Iterator[Record]:
        for number, (target, key) in enumerate(
            [("u1", "A"), ("u2", "A"), ("B", "B"), ("u3", "C"), ("C", "C")], 2
        ):
            yield Record(Row(number, (key,)), target, "{}", "d", ("rating",), key)

    with Store.open(tmp_path / "x.checkpoint.sqlite") as store:
        generation = store.staged.stage(rows())
        assert [
            [number for _, number, _ in group] for group in store.staged.rivals(generation)
        ] == [
            [2, 3],
            [5, 6],
        ]
        assert not list(store.staged.twins(generation))


def test_a_checkpoint_of_a_newer_version_or_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path):
        pass
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(CheckpointError, match="newer version"), Store.open(path):
        pass
    foreign = tmp_path / "foreign.sqlite"
    with closing(sqlite3.connect(foreign)) as db:
        db.execute("CREATE TABLE mine (x)")
    with pytest.raises(CheckpointError, match="not a checkpoint"), Store.open(foreign):
        pass


def test_nothing_to_see_is_said(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with pytest.raises(CheckpointError, match="never pushed"), Store.read(path):
        pass
    path.touch()
    for opened in (Store.read(path), Store.open(path)):
        with pytest.raises(CheckpointDamaged, match="it is empty"), opened:
            pass


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(OutputError, match="can't be written"),
        Store.open(tmp_path / "file" / "x.sqlite"),
    ):
        pass
    with (
        pytest.raises(OutputError, match="no checkpoint can be made here"),
        held(tmp_path / "file" / "x.sqlite"),
    ):
        pass


def test_a_lock_is_held_by_one_and_freed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    assert not is_held(path)
    with held(path):
        assert is_held(path)
    assert not is_held(path)


def test_other_content_over_a_settled_job_forgets_it_also_when_a_limit_comes_first(
    tmp_path: Path,
) -> None:
    with Store.open(tmp_path / "x.sqlite") as store:
        stage(store, [("A", "1"), ("B", "1")])
        acknowledge(store)
        stage(
            store, [("A", "2")], partial=True
        )  # tonight's export: a new job, all of it is to be sent
        acknowledge(store)
        stage(store, [("A", "2"), ("B", "1")])
        assert [result.state for result in store.views.results()] == [State.UPDATED, State.PENDING]


@pytest.mark.parametrize("edited", [False, True])
def test_what_may_have_been_applied_says_so_until_it_is_sent_again(
    tmp_path: Path, *, edited: bool
) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path) as store:
        stage(store, [("A", "1"), ("B", "1"), ("C", "bad")])
        (change,) = store.outbox.exchange(limit=1)  # and the run is killed
    with Store.open(path) as store:
        if edited:
            stage(store, [("C", "1"), ("A", "1"), ("B", "1")])
        else:
            store.outbox.retry_undone()
        doubts = {result.target: result.may_have_been_applied for result in store.views.results()}
        assert doubts == {"A": True, "B": False, "C": False}
        change = next(change for change in store.outbox.exchange(limit=5) if change.target == "A")
        store.outbox.exchange([Outcome(change.id, State.PENDING, 0)])
        store.outbox.exchange([Outcome(change.id, State.PENDING, 1)])
        assert "A" in doubtful(store)
        store.outbox.exchange(
            [Outcome(change.id, State.REJECTED, 1, error="refused", message="no")]
        )
        assert [
            (result.message, result.may_have_been_applied)
            for result in store.views.results([State.REJECTED])
        ] == [("no", True)]
        store.outbox.exchange([Outcome(change.id, State.UPDATED, 1)])
        assert not next(store.views.results([State.UPDATED])).may_have_been_applied


def test_what_may_have_been_applied_is_not_forgotten_when_a_limit_leaves_it_out(
    tmp_path: Path,
) -> None:
    with Store.open(tmp_path / "x.sqlite") as store:
        stage(store, [("A", "1"), ("B", "1"), ("C", "1")])
        store.outbox.exchange(limit=2)  # and the run is killed
        stage(store, [("A", "1")], partial=True)
        store.outbox.exchange(limit=1)
        store.outbox.release()
        stage(store, [("A", "1"), ("B", "1"), ("C", "1")])
        assert [result.may_have_been_applied for result in store.views.results()] == [
            True,
            True,
            False,
        ]


def test_a_limit_over_a_settled_job_leaves_it_settled(tmp_path: Path) -> None:
    with Store.open(tmp_path / "x.sqlite") as store:
        stage(store, [("A", "1"), ("B", "1")])
        acknowledge(store)
        stage(store, [("A", "1")], partial=True)
        assert store.views.counts() == {State.UPDATED: 1}
        stage(store, [("B", "1"), ("A", "1")])
        assert store.views.counts() == {State.UPDATED: 2}  # the same content: nothing is sent
        stage(store, [("A", "1")], partial=True)
        stage(store, [("A", "1"), ("B", "2")])
        assert store.views.counts() == {
            State.PENDING: 2
        }  # other content over a settled job: all is sent


def test_rows_that_were_never_attempted_come_first_and_an_index_finds_them(tmp_path: Path) -> None:
    with Store.open(tmp_path / "x.sqlite") as store:
        stage(store, [(key, "1") for key in "ABCDE"])
        store.outbox.exchange(
            [Outcome(change.id, State.PENDING, 1) for change in store.outbox.exchange(limit=2)]
        )
        assert [change.target for change in store.outbox.exchange(limit=9)] == [
            "C",
            "D",
            "E",
        ]  # each once in a run
        store.outbox.release()
        store.outbox.retry_undone()
        statements: list[str] = []
        store.database.connection.set_trace_callback(statements.append)
        assert [
            change.target
            for change in store.outbox.exchange(limit=3) + store.outbox.exchange(limit=3)
        ] == [
            "C",
            "D",
            "E",
            "A",
            "B",
        ]
        store.database.connection.set_trace_callback(None)
        query = next(statement for statement in statements if statement.startswith("SELECT"))
        plan = " ".join(
            str(line[-1])
            for line in store.database.connection.execute("EXPLAIN QUERY PLAN " + query)
        )
        assert (
            "USING COVERING INDEX outcome_not_updated (state=? AND tried_before=? AND rowid>?)"
            in plan
        )
        assert "TEMP B-TREE" not in plan


@given(
    st.lists(
        st.one_of(st.text(), st.floats(allow_nan=False), st.booleans(), st.dates(), st.integers()),
        max_size=5,
    )
)
def test_cells_are_kept_as_the_texts_that_reports_show(cells: list[Cell]) -> None:
    kept = _compact(cells)
    assert kept == json.dumps(
        [text_of_cell(cell) for cell in cells], ensure_ascii=False, separators=(",", ":")
    )


@pytest.mark.parametrize(
    "rows", [1, _ROWS_A_STATEMENT - 1, _ROWS_A_STATEMENT, _ROWS_A_STATEMENT + 1, 2 * GROUP + 3]
)
def test_rows_are_staged_in_input_order_however_many_go_into_a_statement(rows: int) -> None:
    with Store.scratch() as store:
        generation = store.staged.stage(
            record_of(number, f"ext_{number}", str(number)) for number in range(rows)
        )
        assert store.views.counts(generation) == {State.PENDING: rows}
        found = store.staged.patches(rows, generation)
    assert found == tuple((f"ext_{number}", body_of(str(number))) for number in range(rows))


@pytest.mark.parametrize("at_once", [1, 63, 64, 500])
def test_outcomes_are_recorded_alike_however_many_come_at_once(
    tmp_path: Path, at_once: int
) -> None:
    def of(change: Change, run: int) -> Outcome:
        state = State.UPDATED if change.id % 5 or run else State.REJECTED
        if state is State.REJECTED:
            return Outcome(
                change.id, state, 2, 1, 422, "validation", "no such rating", duration_ms=5
            )
        note = "The API changed feedback" if change.id % 7 == 0 else None
        sent_at = f"2026-03-02T09:00:00.{change.id:03}Z"
        return Outcome(
            change.id,
            state,
            1 + (change.id % 11 == 0),
            0,
            200 + run,
            None,
            note,
            f"id {change.id}",
            "now",
            sent_at,
            3,
        )

    with Store.open(tmp_path / "x.checkpoint.sqlite") as store:
        stage(store, [(f"key {number}", "1") for number in range(500)])
        told: dict[int, Outcome] = {}
        for run in range(2):
            outcomes = [of(change, run) for change in store.outbox.exchange(limit=500)]
            for first in range(0, len(outcomes), at_once):
                store.outbox.exchange(outcomes[first : first + at_once])
            for one in outcomes:
                before = told.get(one.id)
                attempts, throttled = (before.attempts, before.throttled) if before else (0, 0)
                told[one.id] = one._replace(
                    attempts=one.attempts + attempts, throttled=one.throttled + throttled
                )
            store.outbox.retry_undone()
    with closing(sqlite3.connect(tmp_path / "x.checkpoint.sqlite")) as seen:
        seen.row_factory = sqlite3.Row
        rows = seen.execute("SELECT * FROM outcome ORDER BY id")
        found = [tuple(row[name] for name in Outcome._fields) for row in rows]
    assert found == [tuple(told[row]) for row in sorted(told)]
    assert len(found) == 500


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
        before = list(store.views.results())
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
        store.outbox.retry_undone()
        assert [change.target for change in store.outbox.exchange(limit=9)] == ["E", "C", "D"]
        assert set(doubtful(store)) == {
            "C",
            "D",
            "E",
        }


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Checkpoints that were read as a whole; here any is large enough to be sealed."""
    seen: list[Path] = []
    read_all = health._read_all

    def noted(connection: sqlite3.Connection, path: Path, made_by: int) -> None:
        seen.append(path)
        read_all(connection, path, made_by)

    monkeypatch.setattr(sealing, "SEALED_BYTES", 0)
    monkeypatch.setattr(health, "_read_all", noted)
    return seen


def as_killed(path: Path, folder: Path) -> Path:
    """The files of a checkpoint that is open, as a kill would leave them."""
    folder.mkdir()
    for name in (path.name, path.name + "-wal"):
        shutil.copy2(path.with_name(name), folder / name)
    return folder / path.name


@pytest.mark.parametrize("opened", [Store.open, Store.read])
def test_what_a_kill_left_half_written_while_the_checkpoint_was_made_is_taken_back(
    tmp_path: Path, opened: Callable[[Path], AbstractContextManager[Store]]
) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path) as store:
        stage(store, [(f"key {number}", "1") for number in range(500)])
    folder = tmp_path / "killed"
    folder.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as half_written:
        half_written.executescript("PRAGMA journal_mode = DELETE; PRAGMA cache_size = 1; BEGIN")
        half_written.execute("UPDATE staged SET number = number + 1, cells = '[]'")
        for name in (path.name, path.name + "-journal"):
            shutil.copy2(path.with_name(name), folder / name)
    with opened(folder / path.name) as store:
        assert [row.number for row in store.views.results()] == list(range(2, 502))
    assert [file.name for file in folder.iterdir()] == [path.name]


def test_who_asks_what_was_acknowledged_while_a_run_goes_on_leaves_the_checkpoint_to_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.sqlite"

    def known() -> dict[str, object]:
        with Store.read(path) as other:
            return {one.target: one.values for one in other.known.acknowledged()}

    with Store.open(path) as run:
        stage(run, [("key1", "5"), ("id-1", "1")])
        (one,) = run.outbox.exchange(limit=1)
        run.outbox.exchange([Outcome(one.id, State.UPDATED, 1, showing_id="id-1")])
        assert known() == {"key1": {"rating": 5}}
        (other_name,) = run.outbox.exchange(limit=1)  # the same showing, as the API said
        assert known() == {}
        run.outbox.exchange(
            [Outcome(other_name.id, State.FAILED, 1, error="timeout", may_have_been_applied=True)]
        )
        run.outbox.release()
        assert known() == {}
    with Store.open(path) as later:
        later.known.learn()
        assert list(later.known.acknowledged()) == []


def test_a_sealed_checkpoint_is_not_read_as_a_whole_again_after_a_run_or_a_kill(
    tmp_path: Path, readings: list[Path]
) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path) as store:
        stage(store, [(key, "1") for key in "ABCDE"])
        one, two, _ = store.outbox.exchange(limit=3)
        store.outbox.exchange([Outcome(two.id, State.UPDATED, 1)])
        store.outbox.exchange([Outcome(one.id, State.UPDATED, 1)], limit=1)
        killed = as_killed(path, tmp_path / "killed")
    with Store.open(path) as store:
        assert store.views.counts() == {State.UPDATED: 2, State.PENDING: 3}
    with Store.open(killed) as store:
        store.outbox.retry_undone()
        assert store.views.counts() == {State.UPDATED: 2, State.PENDING: 3}
        assert doubtful(store) == [
            "C",
            "D",
        ]
        assert [change.target for change in store.outbox.exchange(limit=9)] == ["E", "C", "D"]
        twice = as_killed(killed, tmp_path / "twice")
    with Store.open(twice) as store:
        store.outbox.retry_undone()
        assert doubtful(store) == [
            "C",
            "D",
            "E",
        ]
    assert readings == []


def test_a_sealed_checkpoint_that_somebody_wrote_to_is_read_as_a_whole(
    tmp_path: Path, readings: list[Path]
) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path) as store:
        stage(store, [("A", "1")])
    with Store.open(path) as store:
        killed = as_killed(path, tmp_path / "killed")
    copied = tmp_path / "copied.sqlite"
    shutil.copyfile(path, copied)
    for changed in (killed, path):
        data = changed.read_bytes()
        changed.write_bytes(data.replace(b'{"rating":1}', b'{"rating":2}', 1))
    with Store.open(copied):
        pass
    with (
        Store.open(path) as store,
        pytest.raises(OutputError, match="patch of row 2 is not what it was"),
    ):
        store.outbox.exchange(limit=1)
    with closing(sqlite3.connect(killed)) as db:
        db.execute("UPDATE staged SET state = 'upfated'")
        db.commit()
    with pytest.raises(CheckpointDamaged), Store.open(killed):
        pass
    assert readings == [copied, path, killed]


def test_changes_that_are_taken_in_several_pieces_are_all_in_flight(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path) as store:
        stage(store, [(key, "1") for key in "ABCDEFG"])
        assert [len(store.outbox.exchange(limit=limit)) for limit in (2, 2, 1)] == [
            2,
            2,
            1,
        ]  # and the run is killed
    with Store.open(path) as store:
        store.outbox.retry_undone()
        assert [change.target for change in store.outbox.exchange(limit=9)] == [*"FG", *"ABCDE"]


def test_who_reads_a_sealed_checkpoint_is_not_waited_for_again_and_again(
    tmp_path: Path, readings: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.sqlite"
    sealed: list[int] = []
    monkeypatch.setattr(outbox, "_MUCH_BESIDE", 30_000)

    def noted(db: sqlite3.Connection, path: Path) -> None:
        sealed.append(sealing.bytes_beside(path))
        sealing.seal(db, path)

    monkeypatch.setattr(outbox, "seal", noted)
    with Store.open(path) as store, closing(sqlite3.connect(path)) as reader:
        stage(store, [(str(number), "1") for number in range(30)])
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM row").fetchone()
        sealed.clear()
        for change in store.outbox.exchange(limit=30):
            store.outbox.exchange([Outcome(change.id, State.UPDATED, 1)])
        (waits,) = store.database.connection.execute("PRAGMA busy_timeout").fetchone()
    assert waits == 1000 * damage.BUSY_SECONDS
    assert len(sealed) > 2
    assert all(later - before >= 30_000 for before, later in pairwise(sealed[:-1]))
    assert readings == []


def test_counts_are_those_of_one_moment_while_a_run_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.sqlite"
    outcomes = Views._outcomes
    with Store.open(path) as store, Store.read(path) as look:
        stage(store, [(key, "1") for key in "ABCD"])
        changes = iter(store.outbox.exchange(limit=4))

        def and_a_run_writes(self: Views) -> str:
            store.outbox.exchange([Outcome(next(changes).id, State.REJECTED, 1)])
            return outcomes(self)

        monkeypatch.setattr(Views, "_outcomes", and_a_run_writes)
        assert look.views.counts() == {State.PENDING: 4}
        assert look.views.totals()[0] == 2  # it looks for the first time after that
        monkeypatch.undo()
        assert look.views.counts() == {State.PENDING: 2, State.REJECTED: 2}


def test_a_row_in_doubt_that_a_limit_left_out_stands_no_purge_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path) as store:
        stage(store, [("A", "1"), ("B", "1")])
        store.outbox.exchange(limit=2)  # and the run is killed
    with Store.open(path) as store:
        stage(store, [("A", "1")], partial=True)
        acknowledge(store)
        store.database.purge()
    with Store.open(path) as store:
        stage(store, [("A", "1"), ("B", "1")])
        assert doubtful(store) == ["B"]
        assert [change.target for change in store.outbox.exchange(limit=9)] == ["B"]


def test_what_is_known_is_looked_up_row_by_row(tmp_path: Path) -> None:
    with Store.open(tmp_path / "x.sqlite") as store:
        stage(store, [("A", "1")])
        statements: list[str] = []
        store.database.connection.set_trace_callback(statements.append)
        store.known.of_pending()
        store.database.connection.set_trace_callback(None)
        query = next(statement for statement in statements if "known.fields" in statement)
        plan = " ".join(
            str(line[-1])
            for line in store.database.connection.execute("EXPLAIN QUERY PLAN " + query)
        )
    assert "AUTOMATIC" not in plan
    assert "TEMP B-TREE" not in plan


def test_threads_that_stage_at_once_leave_the_interpreter_as_it_was() -> None:
    usual = sys.getswitchinterval()
    with staged._SHORT_TURNS:
        with staged._SHORT_TURNS:
            assert sys.getswitchinterval() < usual
        assert sys.getswitchinterval() < usual
    assert sys.getswitchinterval() == usual
