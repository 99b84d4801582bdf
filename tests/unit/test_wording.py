"""Counts and lists as English has them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.wording import and_more, are, counted, enumerated, listed

_NAMES = st.lists(st.from_regex(r"[a-z]{1,6}", fullmatch=True), max_size=12)


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 retries"), (1, "1 retry"), (2, "2 retries"), (1200, "1,200 retries")]
)
def test_counts_have_their_plural(count: int, text: str) -> None:
    assert counted(count, "retry", "retries") == text


@pytest.mark.parametrize(
    ("count", "total", "verb"), [(0, None, "are"), (1, None, "is"), (0, 1, "is"), (1, 2, "is")]
)
def test_verbs_follow_the_count(count: int, total: int | None, verb: str) -> None:
    assert are(count, total) == verb


@given(
    names=_NAMES,
    most=st.integers(1, 8),
    beyond=st.integers(0, 5000),
    separator=st.sampled_from([", ", "; "]),
)
def test_a_list_shows_at_most_so_many_and_states_the_exact_rest(
    names: list[str], most: int, beyond: int, separator: str
) -> None:
    total = len(names) + beyond
    text = listed(names, most, total, separator=separator)
    end = re.search(r"(?:^|and )(\d[\d,]*) more$", text)
    stated = int(end[1].replace(",", "")) if end else 0
    shown = re.findall(r"[a-z]+", text[: end.start()] if end else text)
    assert shown == names[:most]
    assert len(shown) + stated == total
    assert "..." not in text
    assert not re.search(r"\b0 more", text)


@pytest.mark.parametrize(
    ("rest", "noun", "text"),
    [
        (-1, None, ""),
        (0, "row", ""),
        (1, "row", "and 1 more row"),
        (7, "row", "and 7 more rows"),
        (1200, None, "and 1,200 more"),
    ],
)
def test_the_end_of_a_list_counts_what_is_left_out(rest: int, noun: str | None, text: str) -> None:
    assert and_more(rest, noun) == text


@pytest.mark.parametrize(
    ("parts", "rest", "text"),
    [
        (["a"], 0, "a"),
        (["a", "b"], 0, "a and b"),
        (["a"], 2, "a and 2 more"),
        (["a", "b"], 1, "a, b and 1 more"),
    ],
)
def test_an_enumeration_ends_with_and(parts: list[str], rest: int, text: str) -> None:
    assert enumerated(parts, rest) == text
