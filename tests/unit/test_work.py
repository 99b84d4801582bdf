"""The work of each parser grows no faster than its text, whatever that is made of.

Calls are counted, because they are the same on each machine; `python -m tests.work` measures the
time that patterns take, which call nothing.
"""

from __future__ import annotations

import pytest

from tests.work import PIECES, calls_of, parsers, run, texts

# A coverage run triples the time of these loops; faster tests reach the same lines.
pytestmark = pytest.mark.uncovered

_LENGTH = 150
# Below it, what is called once counts more than what is called for each character.
_FEW_CALLS = 400
# Linear is 4, the square 16.
_MOST_TIMES = 8

PARSERS = parsers()


@pytest.mark.parametrize("name", PARSERS)
def test_work_grows_no_faster_than_the_text(name: str) -> None:
    parse = PARSERS[name]
    for piece in PIECES:
        for short, long in zip(texts(piece, _LENGTH), texts(piece, 4 * _LENGTH), strict=True):
            run(parse, short)  # so that patterns are compiled
            few, many = calls_of(parse, short), calls_of(parse, long)
            assert many <= max(_FEW_CALLS, _MOST_TIMES * few), long[:60]


@pytest.mark.parametrize("name", PARSERS)
def test_no_text_is_nested_too_deeply(name: str) -> None:
    """`run` lets pass what a parser raises on purpose, and no RecursionError."""
    for piece in PIECES:
        for text in texts(piece, 1500 * len(piece)):
            run(PARSERS[name], text)
