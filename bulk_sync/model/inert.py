"""Texts that spreadsheet programs would take for formulas, in the CSV files that we write.

A CSV has no types, so an apostrophe goes before such a text. Our own files are pushed again, and
their header says that they have such apostrophes (`model.own.Source`).

Invariant: `exact(inert(text)) == text` for every text. It holds because a text with an apostrophe
before it is taken for a formula whenever the text is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from bulk_sync.model.rows import Cell, text_of

# OWASP's list ("CSV Injection"), also after what programs may drop: blanks, quotes, characters that
# nobody sees. The full-width signs count in East Asian locales.
_FORMULA = re.compile(
    r"[\t\r\n]|[\s'\"\u2018\u2019\u201c\u201d\xad\u200b-\u200f\u2060\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]"
)

_APOSTROPHE = "'"


def is_like_a_formula(text: str) -> bool:
    """Return True for a text that a spreadsheet program might read as a formula."""
    return _FORMULA.match(text) is not None


def are_like_formulas(texts: Sequence[str]) -> bool:
    """Return True if a spreadsheet program might read any of the texts as a formula."""
    # Almost all texts begin with a letter or a digit, which no formula does.
    firsts = "".join([text[:1] for text in texts])
    return not firsts.isalnum() and any(map(is_like_a_formula, texts))


def inert(text: str) -> str:
    """Return a text that spreadsheet programs don't read as a formula."""
    return _APOSTROPHE + text if is_like_a_formula(text) else text


def inert_cell(cell: Cell) -> str:
    """Return a cell as text that is no formula. A number is none, also a negative one."""
    text = text_of(cell)
    return text if isinstance(cell, int | float) else inert(text)


def exact(text: str) -> str:
    """Return the text of which `inert` made this one."""
    is_ours = text.startswith(_APOSTROPHE) and is_like_a_formula(text[1:])
    return text[1:] if is_ours else text
