"""Which of the old encodings, of one byte a character, a text is in.

It is Windows-1252 when that reading of its words is clearly more plausible than all others (see
`plausible`); else charset-normalizer detects it, and is believed when all its candidates give the
same text and the words don't contradict it.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from bulk_sync.errors import InputError
from bulk_sync.read.plausible import (
    CANDIDATES,
    DISTANCE,
    Reading,
    are_words,
    is_clear,
    reading_in,
    readings,
    words_beyond_ascii,
)

# Letters beyond ASCII from which charset-normalizer is believed: fewer fit encodings by chance.
_ENOUGH_LETTERS = 40
# Letters of Icelandic, Turkish and Slavic languages, and a sign that is the euro in Latin-9. A text
# with one is never taken for Windows-1252, because few of its texts have them.
_OF_ANOTHER_ALPHABET = re.compile("[þðýÞÐÝŠšŽž¤]")
# Encodings that are rare, and that short texts fit by chance.
_NOT_BELIEVED = frozenset(
    {"cp1252", "iso8859_3", "iso8859_4", "iso8859_10", "iso8859_14", "iso8859_16"}
)
_ASCII = bytes(range(0x20, 0x7F))
# Readings that an error shows, and words of each.
_MOST_NAMED = 4
_MOST_WORDS = 3


def guess(sample: bytes, path: Path, line: int) -> str:
    """Return Python's name of the encoding; raises InputError with the candidates.

    `sample` has lines beyond ASCII, the first of which is `line` of the file at `path`.
    """
    words = words_beyond_ascii(sample)
    found = readings(words)
    western = next((one for one in found if one.codec == "cp1252"), None)
    if (
        western is not None
        and is_clear(western, found)
        and not _OF_ANOTHER_ALPHABET.search(" ".join(western.words))
    ):
        return western.codec
    from charset_normalizer import from_bytes  # slow to import, and hardly ever needed

    matches = list(from_bytes(sample))
    if len({str(match) for match in matches}) == 1:
        codec, text = matches[0].encoding, str(matches[0])
        if _is_believable(codec) and _is_enough(text) and _agrees(codec, text, words, found):
            return codec
    shown = _likeliest(found)
    if not (found and are_words(found[0])):
        others = [reading_in(match.encoding, words) for match in matches[:_MOST_NAMED]]
        shown = [*(one for one in others if one is not None), *shown][:_MOST_NAMED]
    raise InputError(
        f"{path}: line {line} is not UTF-8 text, and its encoding can't be found for certain"
        f"{_named(shown)}. Name the right one with --encoding, or save the file as 'CSV UTF-8'"
    )


def _is_believable(codec: str) -> bool:
    """Return False for a rare encoding, and for one that differs from ASCII below 128."""
    return (
        codec not in _NOT_BELIEVED
        and _ASCII.decode(codec, errors="ignore").encode("ascii", "ignore") == _ASCII
    )


def _is_enough(text: str) -> bool:
    """Return whether there are enough letters to recognise a language."""
    return sum(letter.isalpha() and not letter.isascii() for letter in text) >= _ENOUGH_LETTERS


def _agrees(codec: str, text: str, words: list[bytes], found: list[Reading]) -> bool:
    """Return whether the words don't contradict an encoding that was found in another way."""
    if codec in CANDIDATES:
        reading = reading_in(codec, words)
        return reading is not None and is_clear(reading, found)
    # Other encodings of Latin letters read the same bytes as other letters.
    letters = [letter for letter in text if letter.isalpha() and not letter.isascii()]
    latin = sum(unicodedata.name(letter, "").startswith("LATIN") for letter in letters)
    return latin * 2 < len(letters) and not (found and are_words(found[0]))


def _likeliest(found: list[Reading]) -> list[Reading]:
    """Return the likeliest readings, one of each text and at least two."""
    texts: dict[tuple[str, ...], Reading] = {}
    for one in found:
        texts.setdefault(one.words, one)
    different = list(texts.values())
    if not different:
        return []
    near = [one for one in different if one.points <= different[0].points + 2 * DISTANCE]
    return (near if len(near) > 1 else different[:2])[:_MOST_NAMED]


def _named(shown: list[Reading]) -> str:
    """Return the end of a sentence: the options, and the words that each would give."""
    if not shown:
        return ""
    # Words that all read the same help nobody to choose.
    places = [
        place
        for place, texts in enumerate(zip(*(one.words for one in shown), strict=True))
        if len(set(texts)) > 1
    ] or range(len(shown[0].words))
    options = ", ".join(
        f"--encoding {one.codec.replace('_', '-')} reads "
        + " ".join(repr(_shortened(one.words[place])) for place in places[:_MOST_WORDS])
        for one in shown
    )
    return f": {options}"


def _shortened(word: str) -> str:
    """Return the text around the first character beyond ASCII of a word."""
    first = next((index for index, letter in enumerate(word) if not letter.isascii()), 0)
    return word[max(0, first - 15) : first + 15]
