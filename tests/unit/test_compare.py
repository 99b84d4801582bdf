"""Whether two values are the same, whose change a difference is, and how it is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.check.compare import Side, blank_here, compare
from bulk_sync.model.comparison import Author, Difference
from bulk_sync.report.terminal.comparison import changed_parts

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


def test_what_the_other_sheet_has_no_column_for_can_not_differ_but_in_the_ledger_it_is_unknown() -> (
    None
):
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


@given(st.text("ab c.", max_size=25), st.text("ab c.", max_size=25))
def test_the_stretches_of_short_texts_are_the_texts(old: str, new: str) -> None:
    before, after = changed_parts(old, new)
    assert "".join(part for part, _ in before) == old
    assert "".join(part for part, _ in after) == new
    assert [part for part, changed in before if not changed] == [
        part for part, changed in after if not changed
    ]
    assert any(changed for _, changed in before + after) is (old != new)


def test_only_the_words_that_changed_are_marked_and_long_stretches_cut() -> None:
    same = "the garden and the light in every single room of this house and the house next door"
    before, after = changed_parts(f"Loved {same}", f"Disliked {same}")
    assert before == [("Loved", True), (" the garden and the light in e...", False)]
    assert after[0] == ("Disliked", True)
    assert changed_parts("Not reached", "Liked it all") == (
        [("Not reached", True)],
        [("Liked it all", True)],
    )


@pytest.mark.timeout(20)
def test_very_long_texts_are_marked_by_their_ends() -> None:
    old = "word " * 100_000
    before, after = changed_parts(old + "end", old + "other")
    assert before[-1] == ("end", True)
    assert after[-1] == ("other", True)
