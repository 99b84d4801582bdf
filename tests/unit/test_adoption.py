"""Pushes of an edited sheet, a part of one, or another one over an earlier job."""

from __future__ import annotations

from pathlib import Path

from bulk_sync.job.store import Store
from bulk_sync.model.rows import State
from tests.unit.checkpoints import (
    acknowledge,
    doubtful,
    record_of,
    stage,
)


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
        stage(store, [("C", "1")], left_out=[("A", "1"), ("B", "1")])
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
        stage(store, [("B", "bad")], left_out=[("A", "1")])
        stage(store, [("A", "2")], left_out=[("B", "bad")])
        acknowledge(store)
        stage(store, [("A", "1"), ("B", "bad")])
        assert store.views.counts()[State.PENDING] == 1  # North holds 2 now: 1 must be sent again


def test_other_content_over_a_settled_job_forgets_it_also_when_a_limit_comes_first(
    tmp_path: Path,
) -> None:
    with Store.open(tmp_path / "x.sqlite") as store:
        stage(store, [("A", "1"), ("B", "1")])
        acknowledge(store)
        stage(
            store, [("A", "2")], left_out=[("B", "1")]
        )  # tonight's export: a new job, all of it is to be sent
        acknowledge(store)
        stage(store, [("A", "2"), ("B", "1")])
        assert [result.state for result in store.views.results()] == [State.UPDATED, State.PENDING]


def test_what_may_have_been_applied_is_not_forgotten_when_a_limit_leaves_it_out(
    tmp_path: Path,
) -> None:
    with Store.open(tmp_path / "x.sqlite") as store:
        stage(store, [("A", "1"), ("B", "1"), ("C", "1")])
        store.outbox.exchange(limit=2)  # and the run is killed
        stage(store, [("A", "1")], left_out=[("B", "1"), ("C", "1")])
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
        stage(store, [("A", "1")], left_out=[("B", "1")])
        assert store.views.counts() == {State.UPDATED: 1}
        stage(store, [("B", "1"), ("A", "1")])
        assert store.views.counts() == {State.UPDATED: 2}  # the same content: nothing is sent
        stage(store, [("A", "1")], left_out=[("B", "1")])
        stage(store, [("A", "1"), ("B", "2")])
        assert store.views.counts() == {
            State.PENDING: 2
        }  # other content over a settled job: all is sent


def test_a_row_in_doubt_that_a_limit_left_out_stands_no_purge_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path) as store:
        stage(store, [("A", "1"), ("B", "1")])
        store.outbox.exchange(limit=2)  # and the run is killed
    with Store.open(path) as store:
        stage(store, [("A", "1")], left_out=[("B", "1")])
        acknowledge(store)
        store.database.purge()
    with Store.open(path) as store:
        stage(store, [("A", "1"), ("B", "1")])
        assert doubtful(store) == ["B"]
        assert [change.target for change in store.outbox.exchange(limit=9)] == ["B"]
