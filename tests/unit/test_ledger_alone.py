"""A ledger without a checkpoint: what it learns, looks up, and takes over from another."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulk_sync.job.ledger import SCHEMA, Ledger, LedgerAccount
from bulk_sync.model.account import Team
from tests.helpers import examples

ADDRESS = "https://a.example.com"
TEAM, OTHER = Team("1", "Example Realty"), Team("2", "Other Realty")
NAMES = st.sampled_from(["a", "b", "c", "d"])


@settings(max_examples=examples(2))
@given(
    rows=st.lists(
        st.tuples(NAMES, NAMES | st.just(""), NAMES | st.none()),
        max_size=6,
        unique_by=lambda row: row[0],
    )
)
def test_what_is_learnt_at_once_is_all_but_that_of_showings_that_share_a_name(
    rows: list[tuple[str, str, str | None]],
) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(SCHEMA.format(schema="main"))
        db.execute("CREATE TABLE ended (target, key, showing_id, body, at)")
        db.executemany(
            "INSERT INTO ended VALUES (?, ?, ?, ?, NULL)",
            ((*row, f'{{"rating":{n}}}') for n, row in enumerate(rows)),
        )
        ledger = Ledger(db, ADDRESS)
        assert ledger.is_empty()
        ledger.learn_all("SELECT * FROM ended")
        known = {(one.target, one.key, one.showing_id or None): one.values for one in ledger.all()}
    names = {row: {name for name in row if name} for row in rows}
    alone = [
        row for row in rows if not any(names[row] & names[other] for other in rows if other != row)
    ]
    assert known == {row: {"rating": rows.index(row)} for row in alone}


def test_every_name_is_looked_up_in_an_index() -> None:
    """Otherwise each group of rows reads all that is known, and a large job takes hours."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(SCHEMA.format(schema="main"))
        asked: list[str] = []
        db.set_trace_callback(asked.append)
        with Ledger(db, ADDRESS).entries(["a", "b"]) as entries:
            entries.learn("a", "k", "i", "{}")
        db.set_trace_callback(None)
        plans = [
            step
            for text in asked
            for *_, step in db.execute(f"EXPLAIN QUERY PLAN {text}")
            if "ledger" in step
        ]
    assert len(plans) == 3
    assert all(step.count("=?") == 2 for step in plans), plans


Values = dict[str, Any]


@pytest.fixture
def ledgers() -> Iterator[tuple[Ledger, Ledger]]:
    """The ledger of a job, and one that several share."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.execute("ATTACH ':memory:' AS shared")
        for schema in ("main", "shared"):
            db.executescript(SCHEMA.format(schema=schema))
        yield Ledger(db, ADDRESS), Ledger(db, ADDRESS, "shared", "this job")


def learn(ledger: Ledger, values: Mapping[str, Values]) -> None:
    with ledger.entries(values) as entries:
        for key, fields in values.items():
            entries.learn(key, key, None, json.dumps(fields))


def known(ledger: Ledger) -> dict[str, Values]:
    return {one.target: dict(one.values) for one in ledger.all()}


MANY = {f"k{number}": {"rating": number % 5 + 1} for number in range(2500)}


@pytest.mark.parametrize("before", [{}, {"other": {"rating": 1}}])
def test_a_ledger_takes_over_all_entries_of_another_and_keeps_its_own(
    ledgers: tuple[Ledger, Ledger], before: Mapping[str, Values]
) -> None:
    own, shared = ledgers
    shared.belongs_to(LedgerAccount("key", TEAM), same_team=False)
    own.belongs_to(LedgerAccount("key"), same_team=False)
    learn(shared, before)
    learn(own, MANY)
    shared.join(own, is_of="the job")
    assert known(shared) == {**MANY, **before}
    assert known(own) == MANY
    assert shared.has_other_writers()
    account = shared.account()
    assert account is not None
    assert (account.fingerprint, account.team and account.team.id) == ("key", "1")


@pytest.mark.parametrize(
    ("own_account", "shared_account", "joins"),
    [
        (None, None, False),
        (None, LedgerAccount("key"), False),
        (LedgerAccount("key"), None, True),
        (LedgerAccount("key", TEAM), None, True),
        (LedgerAccount("key"), LedgerAccount("key"), True),
        (LedgerAccount("key"), LedgerAccount("another"), False),
        (LedgerAccount("key", TEAM), LedgerAccount("another", TEAM), True),
        (LedgerAccount("key", TEAM), LedgerAccount("key", OTHER), False),
    ],
)
@pytest.mark.parametrize("before", [{}, {"other": {"rating": 1}}])
def test_a_ledger_takes_over_entries_of_its_own_team_only(
    ledgers: tuple[Ledger, Ledger],
    own_account: LedgerAccount | None,
    shared_account: LedgerAccount | None,
    joins: bool,
    before: Mapping[str, Values],
) -> None:
    own, shared = ledgers
    for ledger, account in ((own, own_account), (shared, shared_account)):
        if account is not None:
            ledger.belongs_to(account, same_team=False)
    learn(own, {"A": {"rating": 4}})
    learn(shared, before)
    shared.join(own, is_of="the job")
    assert known(shared) == ({**before, "A": {"rating": 4}} if joins else before)
    taken = shared.account()
    expected = shared_account or (own_account if joins else None)
    assert (taken and taken.fingerprint) == (expected and expected.fingerprint)
    assert (taken and taken.team and taken.team.id) == (
        expected and expected.team and expected.team.id
    )


def test_an_export_that_shows_another_value_of_any_field_ends_a_claim(
    ledgers: tuple[Ledger, Ledger],
) -> None:
    own, _ = ledgers
    learn(own, {name: {"rating": 4, "feedback": "Bright"} for name in "ABCDE"})
    shown: list[tuple[str, str, Values]] = [
        ("A", "A", {"rating": 4, "feedback": "Bright"}),
        ("B", "B", {"rating": 4, "feedback": "Dark"}),
        ("C", "C", {"rating": 5, "feedback": "Bright"}),
        ("D", "D", {"rating": 4}),
        ("E", "E", {"title": "Tour"}),
        ("F", "F", {"rating": 4}),
    ]
    own.doubt_claims(shown, lambda _, one, other: one == other)
    kept = known(own)
    assert {name for name in "ABCDE" if kept.get(name)} == set("ADE")


def test_a_temporary_ledger_is_empty_each_time_and_none_of_the_jobs(
    ledgers: tuple[Ledger, Ledger],
) -> None:
    own, _ = ledgers
    learn(own, {"A": {"rating": 4}})
    for name in "BC":
        temporary = own.temporary()
        assert temporary.is_empty()
        learn(temporary, {name: {"rating": 5}})
        assert known(temporary) == {name: {"rating": 5}}
    temporary = own.temporary()
    temporary.copy_from(own)
    assert known(temporary) == known(own) == {"A": {"rating": 4}}


def test_values_of_another_key_are_forgotten_unless_the_user_vouches_for_its_team(
    ledgers: tuple[Ledger, Ledger],
) -> None:
    """`--new-key` vouches; without it nothing that the earlier key sent is relied on."""
    own, _ = ledgers
    for new_key, kept in ((True, True), (False, False)):
        own.forget()
        own.belongs_to(LedgerAccount("first"), same_team=True)
        learn(own, {"A": {"rating": 4}})
        assert own.belongs_to(LedgerAccount("second"), same_team=new_key) is kept
        assert known(own) == ({"A": {"rating": 4}} if kept else {})
        # Another job must not take its rows for unchanged: a trace is left.
        assert not own.is_empty()
        # It is the second key's now, and asked for the first again it decides the same way.
        assert own.belongs_to(LedgerAccount("first"), same_team=new_key) is kept


def test_of_showings_that_share_a_name_a_ledger_learns_nothing(
    ledgers: tuple[Ledger, Ledger],
) -> None:
    own, _ = ledgers
    rows = (
        ("A", "A", "", '{"rating":1}'),
        ("id-B", "B", "id-B", '{"rating":2}'),
        ("B", "B", "", '{"rating":3}'),
        ("C", "C", "id-C", '{"rating":4}'),
        ("id-C", "id-C", "", '{"rating":5}'),
    )
    values = ", ".join(f"('{a}', '{b}', '{c}', '{d}')" for a, b, c, d in rows)
    query = f"SELECT column1 AS target, column2 AS key, column3 AS showing_id, column4 AS body, NULL AS at FROM (VALUES {values})"  # noqa: E501, S608
    own.learn_all(query)
    assert known(own) == {"A": {"rating": 1}}
    assert not own.has_other_writers()


def test_of_two_ledgers_that_both_have_a_showing_what_both_say_of_it_is_kept(
    ledgers: tuple[Ledger, Ledger],
) -> None:
    """A value on which they differ, or that one lacks, is dropped: nobody knows the later one."""
    own, shared = ledgers
    for ledger in ledgers:
        ledger.belongs_to(LedgerAccount("key"), same_team=False)
    learn(own, {"A": {"rating": 4, "feedback": "Bright"}, "B": {"rating": 4}, "C": {"rating": 3}})
    learn(
        shared, {"A": {"rating": 5, "feedback": "Bright"}, "B": {"rating": 4}, "D": {"rating": 1}}
    )
    shared.join(own, is_of="the job")
    assert known(shared) == {
        "A": {"feedback": "Bright"},
        "B": {"rating": 4},
        "C": {"rating": 3},
        "D": {"rating": 1},
    }


@pytest.mark.parametrize("before", [{}, {"other": {"rating": 1}}])
def test_entries_that_are_taken_over_have_the_writer_that_the_other_ledger_calls_its_own(
    ledgers: tuple[Ledger, Ledger], before: Mapping[str, Values]
) -> None:
    own, shared = ledgers
    for ledger in ledgers:
        ledger.belongs_to(LedgerAccount("key"), same_team=False)
    learn(shared, before)
    learn(own, {"A": {"rating": 4}})
    shared.join(own, is_of="this job")
    assert not shared.has_other_writers()
    learn(own, {"B": {"rating": 4}})
    shared.join(own, is_of="another job")
    assert shared.has_other_writers()
