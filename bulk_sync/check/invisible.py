"""Characters that nobody can see, and what a person sees of a text with them. Pure.

Unicode's property Default_Ignorable_Code_Point (UAX #44, DerivedCoreProperties.txt), the format
characters (category Cf) that have no sign of their own, and the blank Braille pattern. Visible
format characters, such as U+0600 ARABIC NUMBER SIGN, are not among them.
"""

from __future__ import annotations

import re

# They choose between two looks of the sign before them, so that every phone writes them.
_SELECTORS = "\ufe00-\ufe0f\U000e0100-\U000e01ef"
_OTHERS = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u2800\u3164\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
)
_INVISIBLE = re.compile(f"[{_SELECTORS}{_OTHERS}]")
_NAMED = re.compile(f"[{_OTHERS}]")
# A control character shows nothing either; NUL is left to be refused, because it ends texts in
# other programs.
_NOTHING = re.compile(f"[{_SELECTORS}{_OTHERS}\\s\x01-\x1f\x7f-\x9f]*")
# Blanks that are not U+0020, such as the no-break space.
_BLANK = re.compile(r"[^\S \t\r\n]")
_UNSEEN = re.compile(f"{_INVISIBLE.pattern}|{_BLANK.pattern}")


def shows_nothing(text: str) -> bool:
    """Return True for a text without a character that a person could see."""
    return _NOTHING.fullmatch(text) is not None


def invisible_in(text: str) -> str | None:
    """Return the first invisible character as `U+200B`; variation selectors don't count."""
    found = _NAMED.search(text)
    return None if found is None else f"U+{ord(found[0]):04X}"


def unseen_in(text: str) -> tuple[str, int] | None:
    """Return the first character that `as_seen` changes, as `U+200B`, and its place from 1 on."""
    found = None if text.isascii() else _UNSEEN.search(text)
    return None if found is None else (f"U+{ord(found[0]):04X}", found.start() + 1)


def as_seen(text: str) -> str:
    """Return a text without invisible characters, its blanks as plain ones, trimmed."""
    return _BLANK.sub(" ", _INVISIBLE.sub("", text)).strip()
