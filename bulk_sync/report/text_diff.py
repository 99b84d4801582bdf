"""The changes between two texts, word by word."""

from __future__ import annotations

import json
import re
from difflib import SequenceMatcher
from typing import Any

Part = tuple[str, bool]
"""A stretch of a text, and whether it changed."""

# Longer texts (in words) are compared at both ends only, because alignment takes quadratic time.
_MOST_WORDS = 600

# difflib's ratio of common words; above it, two texts are taken for versions of one.
_SIMILAR = 0.5

# How many unchanged characters are shown on either side of a change.
_CONTEXT = 30


def text_of_value(value: Any) -> str:  # noqa: ANN401 - JSON
    """Return a JSON value as text for people; null is ""."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def around_change(old: str, new: str, most: int) -> tuple[str, str]:
    """Return both texts, cut to `most` characters that begin shortly before the first change."""
    if len(old) <= most and len(new) <= most:
        return old, new
    low, high = 0, min(len(old), len(new))  # the first change is between them
    while low < high:
        middle = (low + high + 1) // 2
        if old[low:middle] == new[low:middle]:
            low = middle
        else:
            high = middle - 1
    start = max(0, low - most // 4)
    return _cut(old, start, most), _cut(new, start, most)


def _cut(text: str, start: int, most: int) -> str:
    begin, end = "..." if start else "", "..." if len(text) > start + most else ""
    return f"{begin}{text[start : start + most]}{end}"


def changed_parts(old: str, new: str) -> tuple[list[Part], list[Part]]:
    """Return the parts of both texts; long unchanged parts are shortened."""
    olds, news = _words(old), _words(new)
    align = _common_ends if max(len(olds), len(news)) > _MOST_WORDS else _aligned
    blocks = align(olds, news)
    before: list[Part] = []
    after: list[Part] = []
    last = len(blocks) - 1
    for place, (equal, one, other) in enumerate(blocks):
        for parts, words in ((before, one), (after, other)):
            text = "".join(words)
            if text:
                short = _shortened(text, left=place > 0, right=place < last) if equal else text
                parts.append((short, not equal))
    return before, after


def _aligned(olds: list[str], news: list[str]) -> list[tuple[bool, list[str], list[str]]]:
    """Align all words; return blocks of (equal, old, new)."""
    matcher = SequenceMatcher(None, olds, news, autojunk=False)
    if matcher.ratio() < _SIMILAR:
        # Marking single words of unrelated texts helps nobody.
        return [(False, olds, news)]
    blocks: list[tuple[bool, list[str], list[str]]] = []
    for tag, a, b, c, d in matcher.get_opcodes():
        # A blank between two changes is part of the change.
        equal = tag == "equal" and not (a > 0 and b < len(olds) and not "".join(olds[a:b]).strip())
        if blocks and blocks[-1][0] is equal:
            _, one, other = blocks.pop()
            blocks.append((equal, one + olds[a:b], other + news[c:d]))
        else:
            blocks.append((equal, olds[a:b], news[c:d]))
    return blocks


def _common_ends(olds: list[str], news: list[str]) -> list[tuple[bool, list[str], list[str]]]:
    """Compare both ends only, in linear time, for texts that are too long to align."""
    shorter = min(len(olds), len(news))
    begin = next((place for place in range(shorter) if olds[place] != news[place]), shorter)
    end = next(
        (place for place in range(shorter - begin) if olds[-1 - place] != news[-1 - place]),
        shorter - begin,
    )
    return [
        (True, olds[:begin], news[:begin]),
        (False, olds[begin : len(olds) - end], news[begin : len(news) - end]),
        (True, olds[len(olds) - end :], news[len(news) - end :]),
    ]


def _shortened(text: str, *, left: bool, right: bool) -> str:
    """Shorten an unchanged part; `left` and `right` are the sides that have a change."""
    if len(text) <= 2 * _CONTEXT:
        return text
    kept_left, kept_right = _CONTEXT * left, _CONTEXT * right
    return f"{text[:kept_left]}...{text[len(text) - kept_right :]}"


def _words(text: str) -> list[str]:
    # Blanks are words, too, so that joining them restores the text.
    return re.findall(r"\s+|\w+|[^\w\s]", text)
