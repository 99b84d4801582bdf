"""Changes handed out, and their outcomes recorded."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.job import outbox
from bulk_sync.job.store import Store
from bulk_sync.model.rows import Change, Echo, Outcome, Record, State
from tests.unit.checkpoints import (
    adopt,
    doubtful,
    record_of,
    stage,
)


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
            store.outbox.requeue()
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


@pytest.mark.parametrize("edited", [False, True])
@pytest.mark.parametrize("last", ["none", "pending", "failed", "rejected"])
def test_without_repeats_what_may_have_been_applied_is_not_handed_out_by_any_later_run(
    tmp_path: Path, last: str, *, edited: bool
) -> None:
    path = tmp_path / "x.sqlite"
    rows = [("A", "1"), ("B", "1"), ("C", "1")]
    with Store.open(path) as store:
        stage(store, rows)
        (change,) = store.outbox.exchange(limit=1)
        if last != "none":  # an attempt without an answer is known, else only that it left
            state = State(last)
            error = None if state is State.PENDING else "refused"
            outcome = Outcome(change.id, state, 1, error=error, may_have_been_applied=True)
            store.outbox.exchange([outcome])
    for _ in range(2):
        with Store.open(path) as store:
            if edited:
                stage(store, [*reversed(rows), ("D", "1")])
            else:
                store.outbox.requeue(repeat_ambiguous=False)
            store.outbox.leave_ambiguous()
            handed = {change.target for change in store.outbox.exchange(limit=9)}
            store.outbox.release()
            assert handed == {"B", "C", *("D" if edited else ())}
            (left,) = [one for one in store.views.results() if one.target == "A"]
            assert left.may_have_been_applied
            kept = last == "rejected" and not edited
            assert left.state == ("rejected" if kept else "failed")
    with Store.open(path) as store:
        store.outbox.requeue()
        assert "A" in {change.target for change in store.outbox.exchange(limit=9)}


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
        store.outbox.requeue()
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
        query = next(one for one in statements if one.startswith("SELECT") and "outcome" in one)
        plan = " ".join(
            str(line[-1])
            for line in store.database.connection.execute("EXPLAIN QUERY PLAN " + query)
        )
        assert (
            "USING COVERING INDEX outcome_not_updated (state=? AND tried_before=? AND rowid>?)"
            in plan
        )
        assert "TEMP B-TREE" not in plan


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
            echoes=(Echo("rating", 1, None),) if change.id % 9 == 0 else (),
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
            store.outbox.requeue()
    elsewhere = {"may_be_created", "echoes", "tries"}
    columns = [name for name in Outcome._fields if name not in elsewhere]
    with Store.read(tmp_path / "x.checkpoint.sqlite") as store:
        echoes = [row.echoes for row in store.views.results()]
    assert echoes == [told[row].echoes for row in sorted(told)]
    with closing(sqlite3.connect(tmp_path / "x.checkpoint.sqlite")) as seen:
        seen.row_factory = sqlite3.Row
        rows = seen.execute("SELECT * FROM outcome ORDER BY id")
        found = [tuple(row[name] for name in columns) for row in rows]
    assert found == [tuple(getattr(told[row], name) for name in columns) for row in sorted(told)]
    assert len(found) == 500


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
        store.outbox.requeue()
        assert [change.target for change in store.outbox.exchange(limit=9)] == [*"FG", *"ABCDE"]


def test_a_change_says_how_it_addresses_its_showing_and_whether_it_is_in_doubt(
    tmp_path: Path,
) -> None:
    by_id, by_key = record_of(2, "A", "1"), record_of(3, "B", "1")
    assert isinstance(by_id, Record)
    with Store.open(tmp_path / "x.sqlite") as store:
        adopt(store, store.staged.stage([by_id._replace(target="an-id"), by_key]))
        changes = store.outbox.exchange(limit=9)
        assert [(one.target, one.by_id, one.in_doubt) for one in changes] == [
            ("an-id", True, False),
            ("B", False, False),
        ]
        store.outbox.exchange(
            [Outcome(one.id, State.FAILED, 1, may_have_been_applied=one.by_id) for one in changes]
        )
        store.outbox.requeue()
        again = store.outbox.exchange(limit=9)
        assert [(one.target, one.by_id, one.in_doubt) for one in again] == [
            ("an-id", True, True),
            ("B", False, False),
        ]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), st.integers(1, 12), st.booleans())
def test_changes_are_handed_out_in_groups_of_bounded_length(
    lengths: list[int], limit: int, again: bool
) -> None:
    """Each once, in order, and all of them; a patch that is longer than the bound goes alone."""
    with pytest.MonkeyPatch.context() as patched, Store.scratch() as store:
        patched.setattr(outbox, "MAX_HANDED_CHARACTERS", 50)
        stage(store, [(f"k{number}", "1" * length) for number, length in enumerate(lengths)])
        if again:  # as after a run that was killed
            store.outbox.exchange(limit=len(lengths))
            while store.outbox.exchange(limit=len(lengths)):
                pass
            store.outbox.requeue()
        handed = []
        while store.outbox.has_more:
            changes = store.outbox.exchange(limit=limit)
            total = sum(len(change.body) for change in changes)
            assert len(changes) == 1 or total <= 50
            assert changes or not store.outbox.has_more
            handed += [change.target for change in changes]
        assert handed == [f"k{number}" for number in range(len(lengths))]
