"""Keys that name no showing for certain: characters that nobody can see, and what other programs
leave in place of a key. Pure.

A key is compared as a person reads it: `identity` is the same for keys that look the same. A key
that isn't its own identity is never sent in its place, because North may know either.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from bulk_sync.check.damage import NULL_WORDS
from bulk_sync.check.invisible import as_seen
from bulk_sync.check.mojibake import before_mojibake

_NULL_WORDS = frozenset({"n/a", "(blank)", *(word.lower() for word in NULL_WORDS)})
_LONGEST_WORD = max(map(len, _NULL_WORDS))
_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
# Excel's formats for a date that it takes a text such as 7-2 or 7/26 for: d-mmm and mmm-yy.
_CONVERTED = re.compile(rf"\d{{1,2}}-(?:{_MONTHS})|(?:{_MONTHS})-\d\d", re.ASCII)
# What a column shows that is too narrow for its numbers.
_TOO_NARROW = re.compile("#{3,}")
_QUOTES = frozenset({'""', "``", "“”", "‘’", "„“", "«»"})
# The sign for a lost character, and halves of characters.
_LOST = re.compile("[\ufffd\ud800-\udfff]")


def identity(key: str) -> str:
    """Return a key as a person reads it: composed (NFC), without characters that can't be seen."""
    return key if key.isascii() else unicodedata.normalize("NFC", as_seen(key))


def twin_of(key: str) -> str | None:
    """Return the identity of a key, where that is another text."""
    if key.isascii():
        return None
    seen = identity(key)
    return None if seen == key else seen


def may_be_damaged(key: str) -> bool:
    """Return False, at little cost, for nearly all keys of ASCII letters, digits and hyphens that
    are no word for a blank, no date, and have no escape of XLSX.
    """
    if len(key) > _LONGEST_WORD:
        return "_x00" in key
    return key.isalpha() or key[-3:].isalpha() or key[3:4] == "-" or "_x00" in key


def is_null_word(key: str) -> bool:
    """Return whether it is a word that programs write for a missing value, in any case."""
    return key.lower() in _NULL_WORDS


def is_converted(key: str) -> bool:
    """Return whether it is a date as Excel shows one, such as `2-Jul`: it was 7-2 before."""
    return _CONVERTED.fullmatch(key) is not None


def is_too_narrow(key: str) -> bool:
    """Return whether it is what a column shows that is too narrow for its numbers."""
    return _TOO_NARROW.fullmatch(key) is not None


def is_quoted(key: str) -> bool:
    """Return whether it has quotes around it, or the apostrophe that marks a text in CSV."""
    return key[0] == "'" or key[0] + key[-1] in _QUOTES


def is_misread(key: str) -> bool:
    """Return whether characters of it were lost or read in another encoding."""
    if key.isascii():
        return False
    return _LOST.search(key) is not None or before_mojibake(key) is not None


# Keys that only their column can tell from damaged ones.
_LONG = re.compile(r"\d{16,}", re.ASCII)
_POINT_ZERO = re.compile(r"\d+\.0", re.ASCII)
_FRACTION = re.compile(r"\d+\.\d+", re.ASCII)
# Digits that a spreadsheet program keeps of a number.
_MOST_DIGITS = 15


def is_rounded(key: str) -> bool:
    """Return whether it is a number with zeros in all places that spreadsheet programs round."""
    return _LONG.fullmatch(key) is not None and not key[_MOST_DIGITS:].strip("0")


def ends_in_point_zero(key: str) -> bool:
    """Return whether it is a whole number as a decimal, such as `1001.0`."""
    return _POINT_ZERO.fullmatch(key) is not None


@dataclass(slots=True)
class KeyCounts:
    """The keys of a sheet that are judged together, by their kind.

    `long` are numbers of more than 15 digits, of which `rounded` end in zeros. `point_zero` are
    whole numbers as decimals, `numbers` all other numbers.
    """

    long: int = 0
    rounded: int = 0
    point_zero: int = 0
    numbers: int = 0

    def count(self, key: str) -> None:
        """Count a key, which no other rule refuses."""
        if _LONG.fullmatch(key):
            self.long += 1
            self.rounded += is_rounded(key)
            self.numbers += 1
        elif ends_in_point_zero(key):
            self.point_zero += 1
        elif key.isdigit() or _FRACTION.fullmatch(key):
            self.numbers += 1

    @property
    def are_rounded(self) -> bool:
        """True if all long keys end in zeros: one in ten does by chance."""
        return 0 < self.rounded == self.long

    @property
    def are_decimals(self) -> bool:
        """True if all keys that are numbers end in `.0`."""
        return self.point_zero > 0 and not self.numbers
