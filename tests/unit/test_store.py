"""The checkpoint against a plain model: stage, hand out, record, crash, edit the sheet, resume, in any order."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bulk_sync.check.rows import digest_of
from bulk_sync.errors import CheckpointError, InputError, OutputError
from bulk_sync.job.lock import held, is_held
from bulk_sync.job.store import CUT_OFF, SCHEMA_VERSION, Job, Store
from bulk_sync.model import SETTLED_STATES, Change, Outcome, Problem, Record, Row, State

KEYS = st.sampled_from("ABCDE")
VALUES = st.sampled_from(["1", "2"])
Sheet = list[tuple[str, str]]


def record_of(number: int, key: str, value: str) -> Record | Problem:
    row = Row(number, (key, value))
    if value == "bad":
        return Problem(row, key, "bad_value", "bad", key)
    body = f'{{"rating":{value}}}'
    return Record(row, key, body, digest_of(body), ("rating",), key)


def stage(store: Store, sheet: Sheet, *, partial: bool = False) -> None:
    generation = store.stage(record_of(number, key, value) for number, (key, value) in enumerate(sheet, start=2))
    known = store.job()
    fingerprint = known.key_fingerprint if known else None
    store.adopt(
        Job(generation, "x.csv", "digest", "meaning", partial, ("k", "v"), "https://a.example.com", fingerprint, 0.0)
    )


class Checkpoint(RuleBasedStateMachine):
    """What was acknowledged, by key and content, and what the API holds."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "x.checkpoint.sqlite"
        self.stack = ExitStack()
        self.sheet: Sheet = []
        self.acknowledged: dict[str, str] = {}
        self.in_flight: dict[str, Change] = {}
        self.sent_since_staging: set[str] = set()

    def teardown(self) -> None:
        self.stack.close()
        self.folder.cleanup()

    @initialize(sheet=st.dictionaries(KEYS, VALUES, min_size=1))
    def first_run(self, sheet: dict[str, str]) -> None:
        self.store = self.stack.enter_context(Store.open(self.path))
        self.sheet = list(sheet.items())
        stage(self.store, self.sheet)

    @rule(sheet=st.dictionaries(KEYS, VALUES, min_size=1), order=st.randoms())
    def edit_and_run_again(self, sheet: dict[str, str], order: object) -> None:
        self.restart()
        settled = set(self.store.counts()) <= SETTLED_STATES
        edited = list(sheet.items())
        order.shuffle(edited)  # type: ignore[attr-defined]
        if settled and sorted(edited) != sorted(self.sheet):
            self.acknowledged = {}
        self.sheet = edited
        self.acknowledged = {key: value for key, value in self.acknowledged.items() if (key, value) in self.sheet}
        stage(self.store, self.sheet)

    @rule()
    def run_again(self) -> None:
        self.restart()
        self.store.retry_undone()

    @rule(count=st.integers(1, 3))
    def hand_out(self, count: int) -> None:
        for change in self.store.claim(count):
            assert change.target not in self.in_flight
            assert change.target not in self.acknowledged
            self.in_flight[change.target] = change

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), state=st.sampled_from([State.UPDATED, State.REJECTED, State.FAILED, State.PENDING]))
    def record(self, data: st.DataObject, state: State) -> None:
        target = data.draw(st.sampled_from(sorted(self.in_flight)))
        change = self.in_flight.pop(target)
        self.store.record([Outcome(change.id, state, 1, showing_id=f"id of {target}")])
        if state is State.UPDATED:
            self.acknowledged[target] = change.body

    @rule()
    def crash(self) -> None:
        """Drop the connection with whatever is in flight."""
        self.restart()

    def restart(self) -> None:
        self.stack.close()
        self.stack = ExitStack()
        self.in_flight = {}
        self.store = self.stack.enter_context(Store.open(self.path))
        self.acknowledged = {
            key: value if value in {"1", "2"} else value.removeprefix('{"rating":').removesuffix("}")
            for key, value in self.acknowledged.items()
        }

    @invariant()
    def rows_are_in_one_state_each_and_none_is_lost(self) -> None:
        results = list(self.store.results())
        assert [result.target for result in results] == [key for key, _ in self.sheet]
        assert sum(self.store.counts().values()) == len(self.sheet)
        updated = {result.target for result in results if result.state is State.UPDATED}
        assert updated == set(self.acknowledged)
        assert all(result.showing_id == f"id of {result.target}" for result in results if result.state is State.UPDATED)

    @invariant()
    def what_is_handed_out_is_in_flight(self) -> None:
        in_flight = {result.target for result in self.store.results() if result.in_flight}
        assert set(self.in_flight) <= in_flight
        assert not in_flight & set(self.acknowledged)


TestCheckpoint = Checkpoint.TestCase
TestCheckpoint.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def acknowledge(store: Store) -> None:
    store.record([Outcome(change.id, State.UPDATED, 1) for change in store.claim(100)])


def test_a_crash_while_staging_leaves_the_job_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path) as store:
        stage(store, [("A", "1"), ("B", "bad")])
        acknowledge(store)
    with Store.open(path) as store:
        store.stage(record_of(number, "C", "1") for number in range(5000))  # and never adopted
    with Store.open(path) as store:
        assert [result.target for result in store.results()] == ["A", "B"]
        stage(store, [("A", "1"), ("B", "2")])
        assert store.counts() == {State.UPDATED: 1, State.PENDING: 1}
        assert store.totals()[0] == 1


def test_what_a_limit_left_out_is_neither_shown_nor_forgotten(tmp_path: Path) -> None:
    with Store.open(tmp_path / "x.sqlite") as store:
        stage(store, [("A", "1"), ("B", "1"), ("C", "bad")])
        acknowledge(store)
        stage(store, [("C", "1")], partial=True)
        assert [result.target for result in store.results()] == ["C"]
        stage(store, [("A", "1"), ("B", "2"), ("C", "1")])
        assert [result.state for result in store.results()] == [State.UPDATED, State.PENDING, State.PENDING]


def test_a_parked_acknowledgement_yields_to_a_newer_row_for_its_target(tmp_path: Path) -> None:
    with Store.open(tmp_path / "x.sqlite") as store:
        stage(store, [("A", "1"), ("B", "bad")])
        acknowledge(store)
        stage(store, [("B", "bad")], partial=True)
        stage(store, [("A", "2")], partial=True)
        acknowledge(store)
        stage(store, [("A", "1"), ("B", "bad")])
        assert store.counts()[State.PENDING] == 1  # North holds 2 now: 1 must be sent again


@pytest.mark.parametrize(
    "content", [b"not a database at all, but long enough to be looked at", b"SQLite format 3\0" + b"x" * 4096]
)
def test_a_damaged_checkpoint_is_named_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.sqlite"
    path.write_bytes(content)
    for opened in (Store.open(path), Store.read(path)):
        with pytest.raises(CheckpointError, match="damaged"), opened:
            pass
    assert path.read_bytes() == content


def test_a_checkpoint_of_an_older_version_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "x.checkpoint.sqlite"
    with Store.open(path) as store:
        stage(store, [("A", "1"), ("B", "bad")])
    with closing(sqlite3.connect(path)) as db:
        db.executescript("ALTER TABLE row DROP COLUMN key; PRAGMA user_version = 1;")
    with Store.read(path) as store:
        assert [result.key for result in store.results()] == ["A", "B"]
    with Store.open(path) as store:
        assert [change.target for change in store.claim(9)] == ["A"]


def test_rows_with_one_key_and_different_ids_are_found(tmp_path: Path) -> None:
    def rows() -> Iterator[Record]:
        for number, (target, key) in enumerate([("u1", "A"), ("u2", "A"), ("B", "B"), ("u3", "C"), ("C", "C")], 2):
            yield Record(Row(number, (key,)), target, "{}", "d", ("rating",), key)

    with Store.open(tmp_path / "x.checkpoint.sqlite") as store:
        generation = store.stage(rows())
        assert [[number for _, number, _ in group] for group in store.rivals(generation)] == [[2, 3], [5, 6]]
        assert not list(store.twins(generation))


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
    with pytest.raises(InputError, match="nothing was staged"), Store.read(path):
        pass


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="can't be written"), Store.open(tmp_path / "file" / "x.sqlite"):
        pass
    with pytest.raises(OutputError, match="no checkpoint can be made here"), held(tmp_path / "file" / "x.sqlite"):
        pass


def test_a_lock_is_held_by_one_and_freed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    assert not is_held(path)
    with held(path):
        assert is_held(path)
    assert not is_held(path)


def test_other_content_over_a_settled_job_forgets_it_also_when_a_limit_comes_first(tmp_path: Path) -> None:
    with Store.open(tmp_path / "x.sqlite") as store:
        stage(store, [("A", "1"), ("B", "1")])
        acknowledge(store)
        stage(store, [("A", "2")], partial=True)  # tonight's export: a new job, all of it is to be sent
        acknowledge(store)
        stage(store, [("A", "2"), ("B", "1")])
        assert [result.state for result in store.results()] == [State.UPDATED, State.PENDING]


@pytest.mark.parametrize("edited", [False, True])
def test_what_may_have_been_applied_says_so_until_it_is_sent_again(tmp_path: Path, *, edited: bool) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path) as store:
        stage(store, [("A", "1"), ("B", "1"), ("C", "bad")])
        (change,) = store.claim(1)  # and the run is killed
    with Store.open(path) as store:
        if edited:
            stage(store, [("C", "1"), ("A", "1"), ("B", "1")])
        else:
            store.retry_undone()
        doubts = {result.target: result.message for result in store.results() if result.message != "bad"}
        assert doubts == {"A": CUT_OFF, "B": None} | ({"C": None} if edited else {})
        change = next(change for change in store.claim(5) if change.target == "A")
        store.record([Outcome(change.id, State.PENDING, 0)])
        store.record([Outcome(change.id, State.PENDING, 1)])
        assert CUT_OFF in {result.message for result in store.results()}
        store.record([Outcome(change.id, State.UPDATED, 1)])
        assert CUT_OFF not in {result.message for result in store.results()}
