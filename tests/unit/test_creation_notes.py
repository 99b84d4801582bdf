"""The checkpoint's notes of showings that are about to be created."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bulk_sync.check.patches import digest_of
from bulk_sync.job.store import Store
from bulk_sync.model.rows import Change, Creation, Outcome, Record, Row, State
from bulk_sync.run.stage import leave_out_known_values
from tests.unit.checkpoints import adopt, as_killed, stage

REPORT, OWN_REPORT = "550e8400-e29b-41d4-a716-446655440000", "550e8400-e29b-41d4-a716-446655440001"


def record(
    number: int, key: str, body: str, *, target: str = "", report: str | None = None
) -> Record:
    names = tuple(name for name in json.loads(body) if name != "unique_showing_key")
    return Record(Row(number, ()), target or key, body, digest_of(body), names, key, report)


def put(store: Store, *records: Record) -> None:
    adopt(store, store.staged.stage(iter(records)))


def changes(store: Store) -> list[Change]:
    return store.outbox.exchange(limit=9)


def begin(store: Store, change: Change, report: str | None = REPORT) -> Creation | None:
    return store.outbox.begin_creations([(change.id, report)])[change.id]


def noted(store: Store) -> list[str]:
    found = store.database.connection.execute("SELECT target FROM creation ORDER BY target")
    return [target for (target,) in found]


def test_a_kill_after_the_note_leaves_it_to_the_next_run_and_the_one_after(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path) as store:
        stage(store, [("A", "1"), ("B", "2")])
        first, _ = changes(store)
        assert not first.may_be_created
        begin(store, first)
        killed = as_killed(path, tmp_path / "1")
    with Store.open(killed) as store:
        store.outbox.requeue()
        assert [(one.target, one.may_be_created) for one in changes(store)] == [
            ("A", True),
            ("B", False),
        ]
        twice = as_killed(killed, tmp_path / "2")
    with Store.open(twice) as store:
        store.outbox.requeue()
        doubtful, _ = changes(store)
        assert doubtful.may_be_created
        store.outbox.exchange([Outcome(doubtful.id, State.CREATED, 1)])
        assert noted(store) == []
        assert store.views.counts() == {State.CREATED: 1, State.PENDING: 1}


@pytest.mark.parametrize(
    ("outcome", "kept"),
    [
        (Outcome(1, State.CREATED, 2, http_status=201), False),
        (Outcome(1, State.UPDATED, 3, http_status=200), False),
        (Outcome(1, State.REJECTED, 2, http_status=422, error="refused"), False),
        (Outcome(1, State.PENDING, 2), False),
        (Outcome(1, State.FAILED, 4, error="timeout", may_be_created=True), True),
        (Outcome(1, State.PENDING, 2, may_be_created=True), True),
        (Outcome(1, State.REJECTED, 4, error="not_found", may_be_created=True), True),
    ],
)
def test_a_note_stays_until_an_outcome_settles_it(
    tmp_path: Path, outcome: Outcome, kept: bool
) -> None:
    with Store.open(tmp_path / "x.sqlite") as store:
        stage(store, [("A", "1")])
        (change,) = changes(store)
        begin(store, change)
        store.outbox.exchange([outcome._replace(id=change.id)])
        assert noted(store) == ["A"] * kept
        store.outbox.release()
        store.outbox.requeue()
        assert [one.may_be_created for one in changes(store)] in ([], [kept])


def test_a_note_outlives_an_edit_of_the_sheet_but_not_the_job(tmp_path: Path) -> None:
    with Store.open(tmp_path / "x.sqlite") as store:
        stage(store, [("A", "1")])
        (change,) = changes(store)
        begin(store, change)
        stage(store, [("new", "4"), ("A", "5")])
        assert [(one.target, one.may_be_created) for one in changes(store)] == [
            ("new", False),
            ("A", True),
        ]
        store.adoption.drop()
        assert noted(store) == []


def test_a_report_of_the_row_comes_first_and_without_any_nothing_is_noted(tmp_path: Path) -> None:
    with Store.open(tmp_path / "x.sqlite") as store:
        body = '{"rating":1}'
        put(store, record(2, "A", body, report=OWN_REPORT), record(3, "B", body))
        own, other = changes(store)
        assert begin(store, own) == Creation(body, digest_of(body), OWN_REPORT)
        assert begin(store, other, None) == Creation(body, digest_of(body), None)
        assert noted(store) == ["A"]
        assert begin(store, other) == Creation(body, digest_of(body), REPORT)


def test_a_row_that_addresses_its_showing_by_id_creates_nothing(tmp_path: Path) -> None:
    with Store.open(tmp_path / "x.sqlite") as store:
        put(store, record(2, "A", '{"rating":1,"unique_showing_key":"A"}', target=OWN_REPORT))
        (change,) = changes(store)
        assert begin(store, change) is None
        assert noted(store) == []


def test_a_missing_showing_gets_what_only_changed_had_left_out(tmp_path: Path) -> None:
    whole, cut = '{"feedback":"Fine","rating":1}', '{"feedback":"Fine"}'
    path = tmp_path / "x.sqlite"
    with Store.open(path) as store:
        stage(store, [("A", "1")])
        (change,) = changes(store)
        store.outbox.exchange([Outcome(change.id, State.UPDATED, 1)])
        put(store, record(2, "A", whole))
        leave_out_known_values(store)
        (change,) = changes(store)
        assert change.body == cut
        assert begin(store, change) == Creation(whole, digest_of(whole), REPORT)
        # What was known of it does not hold any more, whatever becomes of the POST.
        assert list(store.known.acknowledged()) == []
        store.outbox.exchange([Outcome(change.id, State.REJECTED, 2, error="refused")])
        assert list(store.known.acknowledged()) == []
        killed = as_killed(path, tmp_path / "killed")
    with Store.open(killed) as store:
        store.outbox.requeue()
        leave_out_known_values(store)
        (change,) = changes(store)
        assert (change.body, change.digest) == (whole, digest_of(whole))
        store.outbox.exchange([Outcome(change.id, State.CREATED, 2, showing_id="id-1")])
        (result,) = store.views.results()
        assert result.fields == "feedback rating"
        store.known.learn()
        (known,) = store.known.acknowledged()
        assert known.values == {"feedback": "Fine", "rating": 1}


@pytest.mark.parametrize("with_ledger", [False, True])
def test_fields_that_a_creation_left_out_are_not_known_as_cleared(
    tmp_path: Path, with_ledger: bool
) -> None:
    body = '{"attendee_name":null,"feedback":"\\"Größe\\" \\\\ 😀","rating":1,"interested":false}'
    with Store.open(tmp_path / "x.sqlite") as store:
        if with_ledger:
            stage(store, [("other", "1")])
            (other,) = changes(store)
            store.outbox.exchange([Outcome(other.id, State.UPDATED, 1)])
            store.known.learn()
        put(store, record(2, "A", body))
        (change,) = changes(store)
        begin(store, change)
        store.outbox.exchange([Outcome(change.id, State.CREATED, 2)])
        store.known.learn()
        known = {one.target: one.values for one in store.known.acknowledged()}
    assert known["A"] == {"feedback": '"Größe" \\ 😀', "rating": 1, "interested": False}


def test_created_rows_are_settled_and_are_not_undone(tmp_path: Path) -> None:
    sheet = [("A", "1"), ("B", "2")]
    with Store.open(tmp_path / "x.sqlite") as store:
        stage(store, sheet)
        first, second = changes(store)
        begin(store, first)
        store.outbox.exchange(
            [Outcome(first.id, State.CREATED, 2), Outcome(second.id, State.UPDATED, 1)]
        )
        assert [one.target for one in store.views.sent()] == ["B"]
        requests, retries, *_ = store.views.totals()
        assert (requests, retries) == (3, 0)
        stage(store, [*reversed(sheet)])
        assert changes(store) == []
        assert store.views.counts() == {State.CREATED: 1, State.UPDATED: 1}
