"""What is known of a group of showings, in memory."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.job.ledger_entries import (
    NOBODY,
    TRACE,
    Entries,
    Entry,
    Values,
    json_text,
    time_of,
    times_of,
    times_text,
)

NAMES = st.sampled_from(["a", "b", "c"])
FIELDS = st.dictionaries(st.sampled_from(["name", "rating"]), st.integers(1, 3), min_size=1)


def test_a_patch_on_its_way_is_not_known_and_known_again_when_it_did_nothing() -> None:
    entries = Entries()
    entries.load([Entry("k", "k", "shw_1", '{"name":"Ann","rating":5}')])
    taken = entries.withdraw("k", "k", '{"rating":1}')
    assert taken == {"rating": 5}
    assert entries.changes() == ([Entry("k", "k", "shw_1", '{"name":"Ann"}')], [])
    entries.restore("k", "k", taken)
    assert entries.changes() == ([Entry("k", "k", "shw_1", '{"name":"Ann","rating":5}')], [])


def test_what_is_here_already_is_newer_than_what_the_file_holds() -> None:
    entries = Entries()
    entries.learn("k", "k", "shw_1", '{"rating":5}')
    entries.load([Entry("k", "k", "shw_1", '{"rating":1}')])
    assert entries.changes()[0] == [Entry("k", "k", "shw_1", '{"rating":5}')]


def test_a_showing_is_known_under_one_name_only() -> None:
    entries = Entries()
    entries.load([Entry("k", "k", "shw_1", '{"rating":5}')])
    entries.learn("shw_1", "", None, '{"rating":4}')
    assert entries.changes() == ([Entry("shw_1", "k", "shw_1", '{"rating":4}')], ["k"])
    entries.doubt("k", "k", None)
    assert entries.changes() == ([Entry("k", "k", "shw_1", TRACE, NOBODY)], ["shw_1"])


@given(st.lists(st.tuples(NAMES, st.one_of(st.none(), NAMES), FIELDS), max_size=20))
def test_no_two_entries_share_a_name_whatever_is_learnt(
    acknowledged: list[tuple[str, str | None, dict[str, int]]],
) -> None:
    entries = Entries()
    for target, showing_id, values in acknowledged:
        entries.learn(target, target, showing_id, json_text(values))
    written, gone = entries.changes()
    names = [name for entry in written for name in entry.names]
    assert len(names) == len(set(names))
    assert not {entry.target for entry in written} & set(gone)
    if acknowledged:
        target, _, values = acknowledged[-1]
        (last,) = [entry for entry in written if entry.target == target]
        assert values.items() <= json.loads(last.fields).items()


def test_a_writer_leaves_its_name_on_a_showing_that_it_may_change() -> None:
    entries = Entries("B")
    entries.load([Entry("k", "k", None, '{"rating":5}', "A"), Entry("l", "l", None, "{}", "A")])
    entries.withdraw("k", "k", '{"name":"Ann"}')  # nothing known is withdrawn
    entries.withdraw("m", "m", '{"name":"Ann"}')  # nor is there an entry
    entries.forget("l", "l")
    assert sorted(entries.changes()[0]) == [
        Entry("k", "k", None, '{"rating":5}', "B"),
        Entry("l", "l", None, TRACE, "B"),
        Entry("m", "m", None, TRACE, "B"),
    ]


def test_in_its_own_ledger_a_checkpoint_leaves_its_name_only_over_that_of_another() -> None:
    entries = Entries()
    entries.load([Entry("k", "k", None, '{"rating":5}', "A"), Entry("l", "l", None, "{}")])
    entries.forget("k", "k")
    entries.forget("l", "l")
    entries.withdraw("m", "m", '{"name":"Ann"}')
    assert sorted(entries.changes()[0]) == [
        Entry("k", "k", None, TRACE),
        Entry("l", "l", None, TRACE),  # another job may have been done with it before
    ]


SHOWINGS = st.lists(st.tuples(NAMES, FIELDS), max_size=3, unique_by=lambda one: one[0])


@given(SHOWINGS, SHOWINGS)
def test_of_two_ledgers_that_become_one_only_what_neither_denies_is_kept(
    here: list[tuple[str, Values]], there: list[tuple[str, Values]]
) -> None:
    entries = Entries("A")
    entries.load(Entry(name, name, None, json_text(values), "A") for name, values in here)
    for name, values in there:
        entries.join(Entry(name, name, None, json_text(values), "B"))
    one, other = dict(here), dict(there)
    for name in one.keys() | other.keys():
        (entry,) = entries.of([name])
        if name in one and name in other:
            both = dict(one[name].items() & other[name].items())
            agree = one[name] == other[name]
            assert (json.loads(entry.fields), entry.writer) == (both, "A" if agree else NOBODY)
        else:
            expected = ((one | other)[name], "A" if name in one else "B")
            assert (json.loads(entry.fields), entry.writer) == expected


def test_showings_of_two_ledgers_meet_by_any_name() -> None:
    entries = Entries("A")
    entries.load([Entry("k", "k", "shw_1", '{"rating":5}', "A")])
    entries.join(Entry("shw_1", "", None, '{"rating":4}', "B"))
    assert entries.changes()[0] == [Entry("k", "k", "shw_1", "{}", NOBODY)]


MARCH, APRIL, MAY = (f"2026-0{month}-14T16:30:00.000Z" for month in (3, 4, 5))
TIMES = st.dictionaries(
    st.sampled_from(["", "name", "rating", "feedback"]), st.sampled_from(["", MARCH, APRIL])
)


@given(TIMES)
def test_times_are_read_as_they_were_written(times: dict[str, str]) -> None:
    read = times_of(times_text(times))
    for field in ("name", "rating", "feedback", "title"):
        assert time_of(read, field) == time_of(times, field)


def times_in(entries: Entries) -> dict[str, str | None]:
    ((entry,), _) = entries.changes()
    return {field: time_of(entry.acknowledged, field) for field in entry.values}


def test_each_value_has_the_time_of_its_own_acknowledgement() -> None:
    entries = Entries()
    entries.learn("k", "k", None, '{"name":"Ann","rating":5}', MARCH)
    entries.learn("k", "k", None, '{"rating":4}', APRIL)
    assert times_in(entries) == {"name": MARCH, "rating": APRIL}
    entries.learn("k", "k", None, '{"rating":3}')
    assert times_in(entries) == {"name": MARCH, "rating": None}


def test_a_value_that_comes_back_has_its_time_again() -> None:
    entries = Entries()
    entries.load([Entry("k", "k", None, '{"name":"Ann","rating":5}', None, f'{{"{MARCH}":""}}')])
    taken = entries.withdraw("k", "k", '{"rating":1}')
    entries.learn("k", "k", None, '{"name":"Bo"}', APRIL)
    entries.restore("k", "k", taken)
    assert times_in(entries) == {"name": APRIL, "rating": MARCH}


def test_an_entry_of_an_earlier_version_learns_the_times_of_new_values_only() -> None:
    entries = Entries()
    entries.load([Entry("k", "k", None, '{"name":"Ann","rating":5}')])
    entries.learn("k", "k", None, '{"rating":4}', APRIL)
    assert times_in(entries) == {"name": None, "rating": APRIL}


def test_of_two_ledgers_with_one_value_the_later_time_is_kept() -> None:
    entries = Entries()
    ann, both = '{"name":"Ann"}', '{"name":"Ann","rating":5}'
    entries.load([Entry("k", "k", None, both, "A", times_text({"name": MAY, "rating": MARCH}))])
    entries.join(Entry("k", "k", None, both, "B", times_text({"": APRIL})))
    assert times_in(entries) == {"name": MAY, "rating": APRIL}
    entries.join(Entry("k", "k", None, ann, "C"))  # of an earlier version
    assert times_in(entries) == {"name": MAY}


def test_what_is_forgotten_or_doubted_has_no_time() -> None:
    entries = Entries()
    entries.learn("k", "k", None, '{"rating":5}', MARCH)
    entries.forget("k")
    assert entries.changes()[0] == [Entry("k", "k", None, TRACE)]
    entries.learn("k", "k", None, '{"rating":5}', MARCH)
    entries.doubt("k", "k", None)
    assert entries.changes()[0] == [Entry("k", "k", None, TRACE, NOBODY)]
