"""The checkpoint against a plain model: stage, hand out, record, crash, edit the sheet, resume, in
any order.
"""

from __future__ import annotations

import random
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bulk_sync.job import sealing
from bulk_sync.job.ledger_entries import json_text
from bulk_sync.job.store import Store
from bulk_sync.model.rows import Change, Outcome, State
from tests.helpers import examples
from tests.unit.checkpoints import (
    Pair,
    Sheet,
    as_killed,
    body_of,
    stage,
)

KEYS = st.sampled_from("ABCDE")
VALUES = st.sampled_from(["1", "2"])


class Checkpoint(RuleBasedStateMachine):
    """The facts about each (key, value) that the checkpoint keeps, in plain sets; the rows that a
    run took, and those that it left out, of which `former` have an outcome of the job before.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "x.checkpoint.sqlite"
        self.stack = ExitStack()
        self.sheet: Sheet = []
        self.apart: Sheet = []
        self.former: set[Pair] = set()
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
        before = {*self.sheet, *self.apart}
        settled = before <= self.acknowledged
        goes_on = not settled or set(edited) == before
        self.sheet, self.apart = edited[:limit], edited[limit:]
        known = self.former if goes_on else self.acknowledged
        self.former = known & set(self.apart)
        self.keep(set(edited) if goes_on else set())
        stage(self.store, self.sheet, left_out=self.apart)
        self.begin()

    def keep(self, pairs: set[Pair]) -> None:
        """Forget all but these pairs; of the job before, the values that the ledger had."""
        self.acknowledged &= pairs
        self.attempted &= pairs
        self.in_doubt &= pairs
        kept = self.attempted | self.in_doubt | self.former
        self.before = {pair: value for pair, value in self.before.items() if pair in kept}

    @rule()
    def run_again(self) -> None:
        self.crash()
        self.store.outbox.requeue()
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
    def the_results_have_all_rows_with_the_outcome_that_is_known(self) -> None:
        lines = [line for line, *_ in self.store.views.lines()]
        assert [line[1] for line in lines] == [key for key, _ in [*self.sheet, *self.apart]]
        updated = {line[1] for line in lines if line[2] == "updated"}
        known = (self.acknowledged & {*self.sheet, *self.apart}) | self.former
        assert updated == {key for key, _ in known}
        assert self.store.views.left_out() == len(self.apart)

    @invariant()
    def the_ledger_knows_what_was_acknowledged_and_nothing_that_was_sent_since(self) -> None:
        known = {target: body_of(value) for target, value in self.ledger.items()}
        assert {
            one.target: json_text(one.values)
            for one in self.store.known.acknowledged()
            if one.values
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


TestCheckpoint = pytest.mark.slow(Checkpoint.TestCase)  # many steps for each example
TestCheckpoint.settings = settings(
    max_examples=examples(0.5), stateful_step_count=25, deadline=None
)
TestSealedCheckpoint = pytest.mark.slow(SealedCheckpoint.TestCase)
TestSealedCheckpoint.settings = settings(
    max_examples=examples(0.3), stateful_step_count=25, deadline=None
)
