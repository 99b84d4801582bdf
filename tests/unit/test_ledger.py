"""What the API last acknowledged: never more than is known, through lost answers, crashes and
namesakes.
"""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulk_sync.check.patches import body_of, digest_of, fields_of, same, without_known
from bulk_sync.errors import CheckpointError
from bulk_sync.job.database import Job
from bulk_sync.job.store import Store
from bulk_sync.model.account import Team
from bulk_sync.model.own import Kind, read_header, read_mark
from bulk_sync.model.rows import CLEARED, Outcome, Record, Row, Sent, State
from bulk_sync.report.written.undo import unknown_path, write_undo
from bulk_sync.run.stage import leave_out_known_values
from tests.helpers import examples

ADDRESS = "https://a.example.com"
KEYS = st.sampled_from("AB")
PATCHES = st.fixed_dictionaries(
    {"feedback": st.sampled_from(["Bright", "Dark"])},
    optional={
        "rating": st.integers(1, 2),
        "showing_date": st.sampled_from(["2026-03-14T15:00:00-05:00"]),
    },
)
Sheet = Mapping[str, Mapping[str, Any]]

ENDS = (
    "acknowledged",
    "refused",
    "lost and applied",
    "lost and not applied",
    "killed and applied",
    "killed before",
)


def records(sheet: Sheet) -> Iterator[Record]:
    for number, (key, values) in enumerate(sheet.items(), start=2):
        body = body_of(dict(values))
        yield Record(Row(number, (key,)), key, body, digest_of(body), fields_of(dict(values)), key)


def begin(store: Store, sheet: Sheet) -> None:
    """A night's run up to the sending, with --only-changed."""
    generation = store.staged.stage(records(sheet))
    store.adoption.adopt(
        Job(generation, "x.csv", str(sheet), "meaning", False, ("k",), ADDRESS, "key", 0.0)
    )
    store.outbox.requeue()
    assert store.known.trust("key", None, same_team=False)
    leave_out_known_values(store)


def acknowledge_all(store: Store) -> dict[str, Any]:
    """Let everything through; returns the patches that were sent, by target."""
    sent = store.outbox.exchange(limit=100)
    store.outbox.exchange(
        [Outcome(change.id, State.UPDATED, 1, showing_id=f"id-{change.target}") for change in sent]
    )
    return {change.target: json.loads(change.body) for change in sent}


@pytest.mark.slow  # a checkpoint for each example
@settings(max_examples=examples(0.8))
@given(
    nights=st.lists(
        st.tuples(
            st.dictionaries(KEYS, PATCHES, min_size=1),
            st.lists(st.sampled_from(ENDS), min_size=2, max_size=2),
        ),
        min_size=1,
        max_size=6,
    )
)
@pytest.mark.uncovered
def test_however_nights_end_the_last_one_leaves_the_showings_as_the_sheet_has_them(
    nights: list[tuple[dict[str, dict[str, Any]], list[str]]],
) -> None:
    showings: dict[str, dict[str, Any]] = {"A": {}, "B": {}}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.checkpoint.sqlite"
        for sheet, ends in nights:
            with Store.open(path) as store:
                begin(store, sheet)
                for change, end in zip(store.outbox.exchange(limit=2), ends, strict=False):
                    if end == "acknowledged" or end.endswith("and applied"):
                        showings[change.target] |= json.loads(change.body)
                    if end == "acknowledged":
                        store.outbox.exchange([Outcome(change.id, State.UPDATED, 1)])
                    elif end == "refused":
                        store.outbox.exchange(
                            [Outcome(change.id, State.REJECTED, 1, error="refused", message="no")]
                        )
                    elif end.startswith("lost"):
                        failed = Outcome(
                            change.id, State.FAILED, 1, error="timeout", may_have_been_applied=True
                        )
                        store.outbox.exchange([failed])
        last, _ = nights[-1]
        with Store.open(path) as store:
            begin(store, last)
            for target, patch in acknowledge_all(store).items():
                showings[target] |= patch
            assert all(state in {State.UPDATED, State.UNCHANGED} for state in store.views.counts())
    for key, values in last.items():
        assert showings[key] == showings[key] | values


@pytest.mark.slow  # a checkpoint for each example
@settings(max_examples=examples(0.8))
@given(
    one=st.dictionaries(KEYS, PATCHES, min_size=1), two=st.dictionaries(KEYS, PATCHES, min_size=1)
)
def test_after_an_undisturbed_night_exactly_what_differs_is_sent(one: Sheet, two: Sheet) -> None:
    with TemporaryDirectory() as folder, Store.open(Path(folder) / "x.checkpoint.sqlite") as store:
        begin(store, one)
        assert acknowledge_all(store) == one
        begin(store, two)
        differing = {
            key: {
                name: value for name, value in values.items() if one.get(key, {}).get(name) != value
            }
            for key, values in two.items()
        }
        went_on = dict(one) == dict(two)
        expected = {} if went_on else {key: values for key, values in differing.items() if values}
        assert acknowledge_all(store) == expected
        unchanged = store.views.counts().get(State.UNCHANGED, 0)
        assert unchanged == (0 if went_on else len(two) - len(expected))


def test_the_ledger_survives_a_fresh_start_and_no_other_key(tmp_path: Path) -> None:
    sheet = {"A": {"rating": 4}}
    with Store.open(tmp_path / "x.sqlite") as store:
        begin(store, sheet)
        acknowledge_all(store)
        store.adoption.drop()
        begin(store, sheet)
        assert store.views.counts() == {State.UNCHANGED: 1}
        assert not store.known.trust("another key", None, same_team=False)
        assert not list(store.known.acknowledged())


def test_a_key_that_nothing_was_acknowledged_to_leaves_nothing_to_drop(tmp_path: Path) -> None:
    with Store.open(tmp_path / "x.sqlite") as store:
        begin(store, {"A": {"rating": 4}})
        assert store.known.trust("refused key", None, same_team=False)
        assert store.known.trust("another key", None, same_team=False)
        acknowledge_all(store)
        assert not store.known.trust("a third key", None, same_team=False)


TEAM, OTHER = Team("1", "Example Realty"), Team("2", "Other Realty")


@pytest.mark.parametrize(
    ("before", "key", "after", "vouched", "kept"),
    [
        (TEAM, "another key", TEAM, False, True),
        (TEAM, "another key", OTHER, False, False),
        (TEAM, "another key", OTHER, True, False),  # nobody can vouch for that
        (TEAM, "key", OTHER, True, False),
        (TEAM, "another key", None, False, False),
        (TEAM, "another key", None, True, True),
        (None, "another key", TEAM, False, False),
        (None, "another key", TEAM, True, True),
        (None, "key", TEAM, False, True),
    ],
)
def test_the_ledger_is_of_a_team(
    tmp_path: Path, before: Team | None, key: str, after: Team | None, vouched: bool, kept: bool
) -> None:
    with Store.open(tmp_path / "x.sqlite") as store:
        begin(store, {"A": {"rating": 4}})
        if before is not None:
            store.known.bind("key", before)
        acknowledge_all(store)
        store.known.learn()
        assert store.known.trust(key, after, same_team=vouched) is kept
        assert bool(list(store.known.acknowledged())) is kept
        account = store.known.account(ADDRESS)
        assert account is not None
        assert account.fingerprint == key
        of_team = after or (before if kept else None)
        assert (account.team and account.team.id) == (of_team and of_team.id)
        assert store.known.account("https://other.example.com") is None


def test_a_job_is_bound_to_the_team_and_the_key(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path) as store:
        begin(store, {"A": {"rating": 4}})
        store.known.bind("key", Team("1", "Example Realty"))
        store.database.accept_key("key")
    with Store.open(path) as store:
        job = store.database.job()
        assert job is not None
        assert (job.team, job.key_fingerprint, job.key_proven) == (TEAM, "key", True)
        # The team was renamed, and its key replaced by one that no row was sent with.
        store.known.bind("key two", Team("1", "Renamed Realty"))
        job = store.database.job()
        assert job is not None
        assert job.team == Team("1", "Renamed Realty")
        assert (job.key_fingerprint, job.key_proven) == ("key two", False)
        store.known.bind("key two", Team(None, "Renamed Realty"))
        assert store.database.job() == job
        store.adoption.drop()
        assert store.database.job() is None


def test_a_shared_ledger_of_an_earlier_version_learns_about_teams(tmp_path: Path) -> None:
    ledger, path = tmp_path / "ledger.sqlite", tmp_path / "x.sqlite"
    with Store.open(path, ledger) as store:
        begin(store, {"A": {"rating": 4}})
        acknowledge_all(store)
    with closing(sqlite3.connect(ledger)) as db:
        db.executescript(
            "ALTER TABLE ledger_account DROP COLUMN team_id; DROP INDEX ledger_other_key; "
            "DROP INDEX ledger_writer; ALTER TABLE ledger DROP COLUMN times; "
            "ALTER TABLE ledger DROP COLUMN writer; "
            "DROP INDEX ledger_showing; "
            "CREATE INDEX ledger_showing ON ledger (base_url, showing_id); "
            "CREATE INDEX ledger_key ON ledger (base_url, key); PRAGMA user_version = 1;"
        )
    with Store.open(path, ledger) as store:
        store.known.bind("key", TEAM)
        account = store.known.account(ADDRESS)
        assert account is not None
        assert account.team == Team("1")
        assert [one.target for one in store.known.acknowledged()] == ["A"]


def test_what_is_known_by_the_key_is_forgotten_when_a_patch_goes_out_by_the_id(
    tmp_path: Path,
) -> None:
    with Store.open(tmp_path / "x.sqlite") as store:
        begin(store, {"A": {"rating": 4}})
        acknowledge_all(store)  # the API says: its id is id-A
        begin(store, {"id-A": {"rating": 5}})
        store.outbox.exchange(limit=1)
        assert not list(store.known.acknowledged())
    with Store.open(tmp_path / "x.sqlite") as store:
        begin(store, {"A": {"rating": 4}})
        assert store.views.counts() == {State.PENDING: 1}


def test_a_showing_that_is_gone_is_not_known_any_more(tmp_path: Path) -> None:
    with Store.open(tmp_path / "x.sqlite") as store:
        begin(store, {"A": {"rating": 4, "feedback": "Bright"}})
        acknowledge_all(store)
        begin(store, {"A": {"rating": 5, "feedback": "Bright"}})
        (change,) = store.outbox.exchange(limit=1)
        assert json.loads(change.body) == {"rating": 5}
        store.outbox.exchange(
            [Outcome(change.id, State.REJECTED, 1, error="not_found", message="no such showing")]
        )
        begin(store, {"A": {"rating": 5, "feedback": "Bright"}, "B": {"rating": 1}})
        assert [json.loads(change.body) for change in store.outbox.exchange(limit=1)] == [
            {"rating": 1}
        ]
        assert not list(store.known.acknowledged())


def test_a_ledger_of_its_own_is_shared_by_checkpoints(tmp_path: Path) -> None:
    ledger = tmp_path / "north.ledger"
    with Store.open(tmp_path / "monday.sqlite", ledger) as store:
        begin(store, {"A": {"rating": 4}})
        acknowledge_all(store)
    assert ledger.stat().st_mode & 0o777 == 0o600
    with Store.open(tmp_path / "tuesday.sqlite", ledger) as store:
        begin(store, {"A": {"rating": 4, "feedback": "Bright"}})
        assert acknowledge_all(store) == {"A": {"feedback": "Bright"}}


def test_a_showing_that_another_job_changed_and_found_gone_is_not_done(tmp_path: Path) -> None:
    ledger, sheet = tmp_path / "north.ledger", {"A": {"rating": 4}}
    with Store.open(tmp_path / "monday.sqlite", ledger) as store:
        begin(store, sheet)
        acknowledge_all(store)
    with Store.open(tmp_path / "tuesday.sqlite", ledger) as store:
        begin(store, {"A": {"rating": 5}})
        acknowledge_all(store)
        begin(store, {"A": {"rating": 3}})
        (change,) = store.outbox.exchange(limit=1)
        store.outbox.exchange([Outcome(change.id, State.REJECTED, 1, error="not_found")])
    with Store.open(tmp_path / "monday.sqlite", ledger) as store:
        assert store.known.find_overwritten() == 1


def test_a_ledger_that_another_team_took_over_leaves_no_row_for_done(tmp_path: Path) -> None:
    ledger = tmp_path / "north.ledger"
    with Store.open(tmp_path / "monday.sqlite", ledger) as store:
        begin(store, {"A": {"rating": 4}})
        acknowledge_all(store)
    with Store.open(tmp_path / "tuesday.sqlite", ledger) as store:
        begin(store, {"A": {"rating": 5}})
        acknowledge_all(store)
        assert not store.known.trust("another key", OTHER, same_team=False)
        assert not list(store.known.acknowledged())
    with Store.open(tmp_path / "monday.sqlite", ledger) as store:
        assert store.known.find_overwritten() == 1


def test_a_refusal_brings_back_no_value_of_before_an_acknowledgement(tmp_path: Path) -> None:
    with Store.open(tmp_path / "x.sqlite") as store:
        for rating in (4, 5):
            begin(store, {"A": {"rating": rating}})
            acknowledge_all(store)
        store.known.learn()
        with store.database.commit():
            store.database.ledger(ADDRESS).doubt([("A", "A", "id-A")])
        assert store.known.find_overwritten() == 1
        begin(store, {"A": {"rating": 5}})
        (change,) = store.outbox.exchange(limit=1)
        store.outbox.exchange([Outcome(change.id, State.REJECTED, 1, error="refused")])
        store.known.learn()
        assert not list(store.known.acknowledged())


def test_an_export_ends_what_it_contradicts_and_nothing_else(tmp_path: Path) -> None:
    with Store.open(tmp_path / "x.sqlite") as store:
        when = "2026-03-14T15:00:00-05:00"
        begin(store, {"A": {"rating": 4}, "B": {"rating": 4}, "C": {"showing_date": when}})
        acknowledge_all(store)
        store.known.learn()
        shown: list[tuple[str, str, dict[str, Any]]] = [
            ("A", "A", {"rating": None}),  # a blank cell
            ("id-B", "", {"rating": 4, "feedback": "Dark"}),  # a field that nobody sent
            ("C", "C", {"showing_date": "2026-03-14T20:00:00Z"}),  # the same instant
        ]
        with store.database.commit():
            store.database.ledger(ADDRESS).doubt_claims(shown, same)
        assert {one.target for one in store.known.acknowledged()} == {"B", "C"}
        assert store.known.find_overwritten() == 1


def test_what_a_checkpoint_knew_alone_is_not_relied_on_beside_a_shared_ledger(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path) as store:
        begin(store, {"A": {"rating": 4}})
        acknowledge_all(store)
    with Store.open(path, tmp_path / "north.ledger") as store:
        begin(store, {"A": {"rating": 5}})
        acknowledge_all(store)
    with Store.open(path) as store:
        begin(store, {"A": {"rating": 4}})
        assert store.views.counts() == {State.PENDING: 1}


@pytest.mark.parametrize(
    "content", [b"", b"no database, but long enough to be looked at" * 9, None]
)
def test_a_file_that_is_no_ledger_is_refused_and_left_as_it_is(
    tmp_path: Path, content: bytes | None
) -> None:
    ledger = tmp_path / "north.ledger"
    if content is None:
        with closing(sqlite3.connect(ledger)) as db:
            db.execute("CREATE TABLE mine (x)")
    else:
        ledger.write_bytes(content)
    before = ledger.read_bytes()
    with pytest.raises(CheckpointError, match="ledger"), Store.open(tmp_path / "x.sqlite", ledger):
        pass
    assert ledger.read_bytes() == before


# What is left of a patch


@pytest.mark.parametrize(
    ("patch", "known", "left"),
    [
        ({"rating": 4}, {}, {"rating": 4}),
        ({"rating": 4}, {"rating": 4}, None),
        ({"rating": 4}, {"rating": 5}, {"rating": 4}),
        ({"rating": None}, {"rating": 4}, {"rating": None}),
        ({"rating": None}, {"rating": None}, None),
        ({"rating": None}, {}, {"rating": None}),
        (
            {"interested": True, "rating": 1},
            {"interested": 1, "rating": True},
            {"interested": True, "rating": 1},
        ),
        ({"feedback": "Bright "}, {"feedback": "Bright"}, {"feedback": "Bright "}),
        (
            {"showing_date": "2026-03-14T15:00:00-05:00"},
            {"showing_date": "2026-03-14T20:00:00Z"},
            None,
        ),
        ({"unique_showing_key": "A", "rating": 4}, {"unique_showing_key": "A", "rating": 4}, None),
        (
            {"unique_showing_key": "A", "rating": 5},
            {"unique_showing_key": "A", "rating": 4},
            {"unique_showing_key": "A", "rating": 5},
        ),
    ],
)
def test_what_is_left_of_a_patch(
    patch: dict[str, Any], known: dict[str, Any], left: dict[str, Any] | None
) -> None:
    came = without_known(body_of(patch), known)
    assert (None if came is None else json.loads(came[0])) == left


def test_texts_that_look_like_instants_are_compared_exactly() -> None:
    assert not same("feedback", "2026-03-14T15:00:00-05:00", "2026-03-14T20:00:00Z")


# Undo


def test_an_undo_file_names_what_was_there_what_should_be_and_what_nobody_knows(
    tmp_path: Path,
) -> None:
    path = tmp_path / "undo.csv"
    sent = [
        Sent(2, "A", "A", {"rating": 5, "feedback": "=now"}, {"rating": 4, "feedback": "=was"}),
        Sent(3, "B", "B", {"rating": 5, "feedback": "Dark"}, {"feedback": "Bright"}),
        Sent(
            4,
            "u-1",
            "C",
            {"unique_showing_key": "C", "rating": 1},
            {"unique_showing_key": "C", "rating": None},
        ),
        Sent(5, "D", "D", {"rating": 5}, {}),
        Sent(6, "E", "E", {"rating": 5}, {"rating": 5}),
    ]
    undo = write_undo(path, lambda: iter(sent))
    assert (undo.rows, undo.unknown, undo.clears) == (3, 1, True)
    with path.open(encoding="utf-8", newline="") as file:
        written = list(csv.reader(file))
    assert [line[:-1] for line in written] == [
        [
            "showing_id",
            "unique_showing_key",
            "rating",
            "feedback",
            "undo_clears",
            "undo_expects",
            "undo_unknown",
        ],
        ["", "A", "4", "'=was", "", '{"rating": 5, "feedback": "=now"}', ""],
        ["", "B", "", "Bright", "", '{"rating": 5, "feedback": "Dark"}', "rating"],
        ["u-1", "", "", "", "rating", '{"rating": 1}', ""],
    ]
    assert read_header(written[0][-1])[0] is Kind.UNDO
    assert read_mark(written[3][-1]).cells == ("u-1", "", CLEARED, "")
    with unknown_path(path).open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file))[1:] == [["5", "", "D", '{"rating": 5}', "rating", ""]]
