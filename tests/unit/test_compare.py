"""Whether two values are equal, and whose change a difference is."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.check.compare import Side, blank_here, compare, unseen
from bulk_sync.model.comparison import Author, Difference

ALL = frozenset({"feedback", "rating", "showing_date", "interested"})


def side(**values: object) -> Side:
    return Side(values, ALL)


@pytest.mark.parametrize(
    ("here", "there", "differ"),
    [
        ({"rating": 4}, {"rating": 4}, False),
        ({"rating": 4}, {"rating": 5}, True),
        ({"rating": 4}, {}, True),
        ({}, {"rating": 4}, False),  # a blank cell changes nothing
        ({"rating": None}, {"rating": 4}, True),  # one that clears does
        ({"rating": None}, {}, False),
        ({"feedback": "Bright"}, {"feedback": "bright"}, True),
        ({"interested": True}, {"interested": 1}, True),  # never equal by accident of types
        (
            {"showing_date": "2026-03-02T15:00:00Z"},
            {"showing_date": "2026-03-02T09:00:00-06:00"},
            False,
        ),
        ({"showing_date": "2026-03-02T15:00:00Z"}, {"showing_date": "2026-03-02T15:00:01Z"}, True),
    ],
)
def test_values_are_compared_as_the_api_sees_them(
    here: dict[str, object], there: dict[str, object], *, differ: bool
) -> None:
    assert bool(compare(side(**here), side(**there))) is differ


@given(st.text("aeé\u0301ßﬁ \n", max_size=20), st.sampled_from(["NFC", "NFD"]), st.booleans())
def test_texts_that_look_the_same_are_equal_and_counted(text: str, form: str, crlf: bool) -> None:
    other = unicodedata.normalize(form, text)  # type: ignore[arg-type] # one of its names
    if crlf:
        other = other.replace("\n", "\r\n")
    here, there = side(feedback=text), side(feedback=other)
    assert compare(here, there) == []
    assert unseen(here, there) == int(text != other)
    longer = compare(here, side(feedback=other + "x"), side(feedback=text))
    assert [one.author for one in longer] == [Author.THERE]


@pytest.mark.parametrize("other", ["Cafe", "CAFÉ", "Café ", "Ca fé", "Café\n", "Ｃafé"])
def test_texts_that_look_different_differ(other: str) -> None:
    here, there = side(feedback="Café"), side(feedback=other)
    assert compare(here, there) != []
    assert unseen(here, there) == 0


def test_a_field_without_a_column_there_can_not_differ_but_in_the_ledger_it_is_unknown() -> None:
    here = side(rating=4)
    assert compare(here, Side({}, frozenset({"feedback"}))) == []
    assert compare(here, Side({}, None)) == [Difference("rating", None, 4, None, None)]
    assert compare(side(rating=None), Side({}, None)) != []


@pytest.mark.parametrize(
    ("base", "there", "here", "author"),
    [
        (3, 3, 4, Author.HERE),
        (3, 4, 3, Author.THERE),
        (3, 4, 5, Author.BOTH),
        (None, None, 4, Author.HERE),
        (None, 3, 4, Author.BOTH),
        (3, None, 4, Author.BOTH),
        (3, 4, 4, None),
    ],
)
def test_three_sheets_tell_whose_change_it_is(
    base: object, there: object, here: object, author: Author | None
) -> None:
    sides = [side(**({} if value is None else {"rating": value})) for value in (here, there, base)]
    assert [one.author for one in compare(*sides)] == ([] if author is None else [author])


def test_a_base_that_does_not_know_the_value_makes_every_difference_a_conflict() -> None:
    for base in (Side({}, frozenset()), Side({}, frozenset({"feedback"}))):
        (one,) = compare(side(rating=4), side(rating=3), base)
        assert one.author is Author.BOTH
        assert not one.sendable(prefer_here=False)
        assert one.sendable(prefer_here=True)


@pytest.mark.parametrize("author", [None, Author.HERE, Author.THERE, Author.BOTH])
def test_somebody_elses_change_is_never_undone(author: Author | None) -> None:
    one = Difference("rating", 3, 4, None, author)
    assert one.sendable(prefer_here=False) is (author in {None, Author.HERE})
    assert one.sendable(prefer_here=True) is (author is not Author.THERE)


def test_cells_that_are_blank_here_only_are_counted_if_the_column_is_there() -> None:
    here = Side({"feedback": "x"}, frozenset({"feedback", "rating"}))
    assert blank_here(here, side(feedback="y", rating=3, interested=True)) == 1
    assert blank_here(here, side(rating=None)) == 0
