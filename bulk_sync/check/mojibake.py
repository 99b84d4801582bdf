"""Recognise UTF-8 that a program has read in another encoding: `JosÃ©` for `José`. Pure.

A character beyond ASCII has two to four bytes in UTF-8, a leading one (C2 to F4) and continuations
(80 to BF; RFC 3629, section 3). Read in an encoding of one byte each, they are a letter followed by
signs that hardly ever follow a letter. A text is taken for damaged only if its characters beyond
ASCII all make sense as UTF-8, or if one pair is unmistakable.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

# Signs that may follow the last letter of a word in capitals: “CAFÉ”, «MANHû, `À…`.
_CLOSING = frozenset("»›”’“‘…–—™®")

# The characters that people write, as ranges: Latin with its signs, the combining marks of
# decomposed letters, punctuation, currencies, letterlike signs and arrows, symbols, emoji. Lone
# accents are among them, because text may have been misread more than once.
_LATIN = re.compile(
    "[\u00a0-\u017f\u0192\u02c6\u02dc\u0218-\u021b\u0300-\u0308\u0327\u1e00-\u1eff\u2010-\u2027\u2030-\u203a"
    "\u20a0-\u20bf\u2100-\u21ff\u2212\u2248\u2260-\u2265\u25a0-\u27bf\ufe0f\ufeff\ufffd"
    "\U0001f300-\U0001faff\u200b-\u200f]"
)
# Windows-1252 has none of these; what was misread twice has them in between.
_CONTROLS = re.compile("[\x80-\x9f]")
# Other scripts, where one character alone is no evidence.
_OTHER_SCRIPTS = re.compile(
    "[\u0370-\u03ff\u0400-\u045f\u05d0-\u05ea\u0600-\u06ff\u0900-\u0dff\u0e00-\u0e7f\u3000-\u30ff"
    "\u4e00-\u9fff\uac00-\ud7a3\uff00-\uffef]"
)
_ENOUGH_OF_OTHER_SCRIPTS: Final = 2
_MOST_JUDGED: Final = 10_000  # characters
_BEFORE: Final = 100  # characters before the first that may be damaged
_MOST_ROUNDS: Final = 3  # of one text through wrong readings

_UNMISTAKABLE = {
    "cp1252": r"Ã[\x80-\xbf]|â€[^\s\w]|Â[\xa0-\xbf]|ðŸ|ï»¿|ï¿½",
    "mac_roman": r"√[^\s\w]|‚Ä[^\sA-Za-z]|¬[†°¢£§•´∞±∑∏]",
    "cp437": r"(?<=[A-Za-z])[├┬].|ΓÇ.",
    "cp850": r"(?<=[A-Za-z])[├┬].|ÔÇ[^A-Za-z\s]",
}
NAMES: Final = {
    "cp1252": "Windows-1252",
    "cp1250": "Windows-1250",
    "mac_roman": "Mac Roman",
    "cp437": "code page 437",
    "cp850": "code page 850",
    "cp1251": "Windows-1251",
}
"""The encodings in question by their Python names, the likeliest first."""


class _Before(NamedTuple):
    """A text as it was, and whether it explains every character beyond ASCII."""

    text: str
    complete: bool


class _Reading:
    """A wrong encoding: the characters that stand for the bytes of UTF-8 in it."""

    def __init__(self, codec: str) -> None:
        self._codec = codec
        self._byte_of = {
            bytes([byte]).decode(codec, errors="replace"): byte for byte in range(0x80, 0x100)
        }
        self._byte_of.pop("\ufffd", None)
        # Bytes without a character become control characters (WHATWG Encoding, index windows-1252),
        # and in ISO 8859-1 all of these do.
        self._byte_of |= {chr(byte): byte for byte in range(0x80, 0xA0)}
        then = self.signs(0x80, 0xC0)
        self._sequence = re.compile(
            f"[{self.signs(0xC2, 0xE0)}][{then}]|[{self.signs(0xE0, 0xF0)}][{then}]{{2}}"
            f"|[{self.signs(0xF0, 0xF5)}][{then}]{{3}}"
        )
        self._high = re.compile(f"[{self.signs(0x80, 0x100)}]")
        self._unmistakable = re.compile(_UNMISTAKABLE.get(codec, r"(?!)"))

    def signs(self, low: int, end: int) -> str:
        """Return the characters of a range of bytes, for a class of a regular expression."""
        return "".join(re.escape(sign) for sign, byte in self._byte_of.items() if low <= byte < end)

    def before(self, text: str) -> _Before | None:
        """Return the text as it was before it was read in this encoding; None if it wasn't."""
        found = [
            None if _ends_a_word(match) else self._decoded(match[0])
            for match in self._sequence.finditer(text)
        ]
        latin = sum(1 for one in found if one is not None and self._is_latin(one))
        others = sum(1 for one in found if one is not None and _OTHER_SCRIPTS.fullmatch(one))
        if not latin and others < _ENOUGH_OF_OTHER_SCRIPTS:
            return None
        rest = self._high.search(self._sequence.sub("", text))
        complete = rest is None and latin + others == len(found)
        if complete or (latin and self._unmistakable.search(text)):
            # In a damaged text what looks like the end of a word is damage, too.
            was = self._sequence.sub(lambda match: self._decoded(match[0]) or match[0], text)
            return _Before(was, complete)
        return None

    def _is_latin(self, character: str) -> bool:
        return _LATIN.fullmatch(character) is not None or (
            self._codec == "cp1252" and _CONTROLS.fullmatch(character) is not None
        )

    def _decoded(self, sequence: str) -> str | None:
        """Return the character of a sequence; None for one that people don't write."""
        try:
            character = bytes(self._byte_of[sign] for sign in sequence).decode()
        except UnicodeDecodeError:
            return None
        usual = self._is_latin(character) or _OTHER_SCRIPTS.fullmatch(character) is not None
        return character if usual else None


def _ends_a_word(match: re.Match[str]) -> bool:
    """Return True for a capital letter that ends a word, and a closing sign: `CAFÉ”`, `À…`."""
    text, start, end = match.string, match.start(), match.end()
    follows_small_letter = text[:start][-1:].islower()
    goes_on = text[end : end + 1].isalpha()
    return text[start + 1 : end] in _CLOSING and not follows_small_letter and not goes_on


@lru_cache(maxsize=1)
def _readings() -> dict[str, _Reading]:
    return {name: _Reading(codec) for codec, name in NAMES.items()}


@lru_cache(maxsize=1)
def _pair() -> re.Pattern[str]:
    """Two characters that may be one of UTF-8, in any of the encodings; few sound texts have it."""
    readings = _readings().values()
    first = "".join(reading.signs(0xC2, 0xF5) for reading in readings)
    second = "".join(reading.signs(0x80, 0xC0) for reading in readings)
    return re.compile(f"[{first}][{second}]")


def before_mojibake(text: str) -> tuple[str, str] | None:
    """Return what a text was, and the encoding in which it was read; None for a sound text."""
    suspect = _pair().search(text)
    if suspect is None:
        return None
    # The part around it is evidence enough of a long text, and each character takes microseconds.
    if len(text) > _MOST_JUDGED:
        text = text[max(0, suspect.start() - _BEFORE) :][:_MOST_JUDGED]
    found = {name: before for name, one in _readings().items() if (before := one.before(text))}
    if not found:
        return None
    # The first of those that explain most.
    name = max(found, key=lambda name: found[name].complete)
    was = found[name].text
    for _ in range(_MOST_ROUNDS - 1):
        earlier = _readings()[name].before(was)
        if earlier is None:
            break
        was = earlier.text
    return was, name
