"""Evidence against acknowledgements: ids and values that belong to other showings."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.model.rows import Change
from bulk_sync.send import evidence
from bulk_sync.send.acknowledgement import Acknowledged, acknowledgement
from bulk_sync.send.evidence import MOST_DOUBTS, Doubt, Evidence
from bulk_sync.send.transport.interface import Reply


def change(key: str, *, by_id: bool = False) -> Change:
    return Change(1, 2, key, json.dumps({"feedback": f"of {key}"}), "d", by_id=by_id)


def said(of: str, to: Change, *, showing_id: str | None = None) -> Acknowledged:
    """The reply about one showing, as an acknowledgement of the change of another or the same."""
    data = {"id": showing_id or f"id-{of}", "feedback": f"of {of}"}
    body = json.dumps({"data": data}).encode()
    found = acknowledgement(Reply(200, {}, body), to.target, to.body, by_id=to.by_id)
    assert isinstance(found, Acknowledged)
    return found


def test_an_id_is_that_of_one_key() -> None:
    run, one, other = Evidence(), change("a"), change("b")
    assert run.against(one, said("a", one), 200) is None
    assert run.against(one, said("a", one), 200) is None  # the same again, in a later run of a row
    doubt = run.against(other, said("b", other, showing_id="ID-A"), 200)
    assert doubt == Doubt(
        "200, but the reply is about another showing: its id (id-a) is that of the key a",
        of_values=False,
    )
    assert run.is_out_of_step
    assert run.against(other, said("b", other), 200) is None


def test_an_id_that_a_row_addresses_may_be_that_of_a_key_too() -> None:
    uuid = "11111111-1111-4111-8111-111111111111"
    run, by_id, by_key = Evidence(), change(uuid, by_id=True), change("a")
    assert run.against(by_id, said(uuid, by_id, showing_id=uuid), 200) is None
    assert run.against(by_key, said("a", by_key, showing_id=uuid), 200) is None
    assert run.against(by_id, said(uuid, by_id, showing_id=uuid), 200) is None


def test_keys_that_differ_in_case_may_be_one_showing() -> None:
    run, one, other = Evidence(), change("EXT_1"), change("ext_1")
    assert run.against(one, said("EXT_1", one, showing_id="x"), 200) is None
    assert run.against(other, said("ext_1", other, showing_id="x"), 200) is None


def test_long_keys_are_told_apart_beyond_what_is_shown() -> None:
    run, one, other = Evidence(), change("k" * 90 + "1"), change("k" * 90 + "2")
    assert run.against(one, said(one.target, one, showing_id="x"), 200) is None
    doubt = run.against(other, said(other.target, other, showing_id="x"), 200)
    assert doubt is not None
    assert len(doubt.why) < 220


def test_ids_are_remembered_for_a_generation_and_no_longer_than_two(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(evidence, "_GENERATION", 3)
    run, late = Evidence(), change("late")
    for number in range(8):
        one = change(f"k{number}")
        assert run.against(one, said(one.target, one), 200) is None
    for known in (7, 6, 5):
        doubt = run.against(late, said("late", late, showing_id=f"id-k{known}"), 200)
        assert doubt is not None
    assert len(run._keys) + len(run._earlier_keys) <= 6


def test_values_that_come_back_changed_twice_are_the_apis_own_doing() -> None:
    run, one, other = Evidence(), change("a"), change("b")
    first = said("x", one, showing_id="id-a")
    doubt = run.against(one, first, 200)
    assert doubt == Doubt("200, but with another value than was sent: feedback", of_values=True)
    assert run.against(one, first, 200, (first,)) is None
    assert not run.is_out_of_step
    assert run.against(other, said("y", other, showing_id="id-b"), 200) is None  # a known habit


def test_values_that_come_back_right_the_second_time_show_that_replies_are_out_of_step() -> None:
    run, one = Evidence(), change("a")
    first = said("b", one)
    assert run.against(one, first, 200) is not None
    assert run.against(one, said("a", one), 200, (first,)) is None
    assert run.is_out_of_step


def test_a_known_habit_excuses_no_value_once_replies_are_out_of_step() -> None:
    run, one, other = Evidence(), change("a"), change("b")
    first = said("x", one, showing_id="id-a")
    run.against(one, first, 200)
    run.against(one, first, 200, (first,))
    run.is_out_of_step = True
    assert run.against(other, said("y", other), 200) is not None


def test_values_are_not_doubted_where_nothing_may_be_sent_twice() -> None:
    run, one = Evidence(), change("a")
    assert run.against(one, said("x", one), 200, may_repeat=False) is None


def test_values_that_change_at_random_end_no_row() -> None:
    run, one = Evidence(), change("a")
    doubted: tuple[Acknowledged, ...] = ()
    while run.against(one, answer := said(f"x{len(doubted)}", one), 200, doubted) is not None:
        doubted = (*doubted, answer)
    assert len(doubted) == MOST_DOUBTS


KEYS = st.sampled_from("abcdef")


@given(schedule=st.lists(st.tuples(KEYS, KEYS), max_size=40))
def test_whatever_is_repeated_late_or_exchanged_an_id_is_believed_for_one_key_only(
    schedule: list[tuple[str, str]],
) -> None:
    """Each pair is a request and the showing that the reply is about."""
    run = Evidence()
    doubted: dict[str, tuple[Acknowledged, ...]] = {}
    keys_of: dict[str, set[str]] = {}
    for asked, of in schedule:
        one = change(asked)
        answer = said(of, one)
        doubt = run.against(one, answer, 200, doubted.get(asked, ()))
        if doubt is None:
            if not answer.echoes:
                keys_of.setdefault(f"id-{of}", set()).add(asked)
            repeated = any(answer.echoes == earlier.echoes for earlier in doubted.get(asked, ()))
            in_the_end = len(doubted.get(asked, ())) == MOST_DOUBTS
            assert asked == of or repeated or in_the_end or "feedback" in run._changed_fields
        elif doubt.of_values:
            assert asked != of
            doubted[asked] = (*doubted.get(asked, ()), answer)
    assert all(len(keys) == 1 for keys in keys_of.values())
