"""Keys are compared as a person reads them, and damaged ones are recognised."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.check.invisible import unseen_in
from bulk_sync.check.keys import (
    KeyCounts,
    ends_in_point_zero,
    identity,
    is_converted,
    is_misread,
    is_quoted,
    is_rounded,
    twin_of,
)
from bulk_sync.model.problems import Expected
from bulk_sync.model.rows import Problem, Record, Row
from tests.unit.checking import checked, checker

# One of each kind: zero width, joiners, bidi marks, BOM, soft hyphen, fillers, selectors.
INVISIBLE = (
    "\u200b\u200c\u200d\u2060\u00ad\ufeff\u200e\u200f\u061c\u202a\u202e\u2066\u2069\u034f\u115f"
    "\u3164\uffa0\u2800\ufe0f\U000e0041\U000e0100\u180e\ufff9"
)
BLANKS = "\xa0\u202f\u2007\u3000\u2028\u2029"
VISIBLE = st.text("aZ09-_é東Ж", min_size=1, max_size=12)


@pytest.mark.parametrize("character", INVISIBLE + BLANKS)
@pytest.mark.parametrize("place", [0, 1, 2, 4])
def test_an_invisible_character_is_named_with_its_place(character: str, place: int) -> None:
    """Blanks at the ends are trimmed, as in any cell."""
    key = "sh-1"[:place] + character + "sh-1"[place:]
    if key.strip() == "sh-1":
        assert isinstance(checked(unique_showing_key=key, rating="4"), Record)
        return
    assert unseen_in(key) == (f"U+{ord(character):04X}", place + 1)
    seen = key.replace(character, " " if character in BLANKS else "")
    assert identity(key) == seen
    found = checked(unique_showing_key=key, rating="4")
    assert isinstance(found, Problem)
    assert found.code == "bad_key"
    (reason,) = found.reasons
    assert reason.expected is Expected.VISIBLE_KEY
    assert reason.facts == {"character": f"U+{ord(character):04X}", "place": place + 1}
    assert (found.target, found.twin) == ("", seen)


@given(text=st.text(max_size=20))
def test_a_key_that_is_sent_can_be_seen(text: str) -> None:
    """Whatever the cell holds."""
    found = checked(unique_showing_key=text, rating="4")
    if isinstance(found, Record):
        assert unseen_in(found.target) is None
        assert not any(
            unicodedata.category(each) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for each in found.target
        )


@given(key=VISIBLE, noise=st.lists(st.tuples(st.integers(0, 12), st.sampled_from(INVISIBLE))))
def test_keys_that_look_the_same_have_one_identity(key: str, noise: list[tuple[int, str]]) -> None:
    other = unicodedata.normalize("NFD", key)
    for place, character in noise:
        other = other[:place] + character + other[place:]
    composed = unicodedata.normalize("NFC", key)
    # Between a letter and its accent, a character keeps the two apart.
    if unicodedata.is_normalized("NFD", key) or not noise:
        assert identity(other) == identity(key) == composed
    assert identity(identity(other)) == identity(other)
    assert twin_of(other) in {None, identity(other)}


@given(text=st.text(max_size=30))
def test_an_identity_is_its_own(text: str) -> None:
    assert twin_of(identity(text)) is None


@pytest.mark.parametrize(
    ("key", "converted"),
    [
        ("2-Jul", True),
        ("12-Mar", True),
        ("Jul-26", True),
        ("2-JUL", False),
        ("Jul-2026", False),
        ("2-July", False),
        ("123-Jul", False),
        ("A2-Jul", False),
    ],
)
def test_dates_made_of_keys(key: str, *, converted: bool) -> None:
    assert is_converted(key) is converted


@pytest.mark.parametrize(
    ("key", "quoted"),
    [
        ("'00123", True),
        ("'SH-1", True),
        ('"00123"', True),
        ("“SH-1”", True),
        ("'SH-1'", True),
        ("«SH-1»", True),
        ('""', True),
        ("O'Neil-1", False),
        ("O'-1", False),
        ("SH-1'", False),
        ('12"', False),
        ('"Elm" 5', False),
        ("“Elm” 5", False),
    ],
)
def test_quotes_that_another_program_put_around_a_key(key: str, *, quoted: bool) -> None:
    assert is_quoted(key) is quoted
    found = checked(unique_showing_key=key, rating="4")
    assert isinstance(found, Problem if quoted else Record)


def test_a_key_with_an_apostrophe_can_be_confirmed() -> None:
    found = checked(unique_showing_key='="\'A-1"', rating="4")
    assert isinstance(found, Record)
    assert found.target == "'A-1"


@pytest.mark.parametrize(
    ("key", "misread"),
    [("Müller", False), ("MÃ¼ller", True), ("M\ufffdller", True), ("Jos‚àö", False), ("É", False)],
)
def test_keys_of_another_encoding(key: str, *, misread: bool) -> None:
    assert is_misread(key) is misread


@pytest.mark.parametrize(
    ("key", "rounded"),
    [
        ("2026031400000010", True),
        ("2026031400000011", False),
        ("123456789012345000", True),
        ("123456789012345", False),
        ("1234567890123450A", False),
    ],
)
def test_numbers_that_may_be_rounded(key: str, *, rounded: bool) -> None:
    assert is_rounded(key) is rounded


def counts_of(*keys: str) -> KeyCounts:
    check = checker("unique_showing_key", "rating")
    for key in keys:
        check.check(Row(2, (key, "4")))
    return check.findings.keys


@pytest.mark.parametrize(
    ("keys", "are_rounded"),
    [
        (["2026031400000010", "2026031400000020"], True),
        (["2026031400000010"], True),
        (["2026031400000010", "sh-1", "123", ""], True),  # others say nothing of rounding
        (["2026031400000010", "2026031400000011"], False),
        (["2026031400000011"], False),
        (["sh-1", "123"], False),
    ],
)
def test_rounding_shows_in_the_column(keys: list[str], *, are_rounded: bool) -> None:
    assert counts_of(*keys).are_rounded is are_rounded


@given(first=st.integers(10**15, 10**16 - 100), count=st.integers(10, 30))
def test_consecutive_numbers_are_not_rounded(first: int, count: int) -> None:
    assert not counts_of(*(str(first + n) for n in range(count))).are_rounded


@pytest.mark.parametrize(
    ("keys", "are_decimals"),
    [
        (["1001.0", "1003.0"], True),
        (["1001.0", "", "sh-1"], True),
        (["1001.0", "1002"], False),
        (["1002", "1001.0"], False),
        (["1001.0", "1001.5"], False),
        (["1.0.0", "2.0.0"], False),
        (["1001"], False),
    ],
)
def test_point_zero_shows_in_the_column(keys: list[str], *, are_decimals: bool) -> None:
    assert counts_of(*keys).are_decimals is are_decimals


@given(st.permutations(["1001.0", "1002", "sh-1", "2026031400000010", "2026031400000011"]))
def test_the_order_of_rows_does_not_matter(keys: list[str]) -> None:
    counts = counts_of(*keys)
    assert (counts.are_rounded, counts.are_decimals) == (False, False)
    assert ends_in_point_zero("1001.0")
