"""How plausible the words of a file are in each 8-bit encoding that it may be in. Pure.

A byte that one encoding reads as a letter and another as a quotation mark proves nothing by itself,
but its neighbours do: in Mac Roman the bytes of `García` are a name, and in Windows-1252 they have
a quotation mark inside a word. Every encoding reads the words, and pays points for each character
where texts don't have it. One is clear if all others that give another text pay much more. Words
count once, because a name in every row is no more evidence than in one.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final, NamedTuple

DISTANCE: Final = 6
"""Points by which an encoding has to be better than all others. An impossible character, such as a
capital after a small letter, costs more; one that is unusual in its place costs about half.
"""

CANDIDATES: Final = {
    "cp1252": 0,
    "mac_roman": 3,
    "cp437": 3,
    "cp850": 3,
    "cp1250": 3,
    "iso8859_2": 3,
    "iso8859_15": 3,
    "cp1254": 3,
    "cp1257": 3,
    "cp852": 4,
    "cp1251": 3,
    "koi8_r": 4,
    "cp866": 4,
    "cp1253": 3,
}
"""The encodings in question by Python's name, with points that say how rare they are today."""

# A word with what clings to it, as bytes: separators of cells end it as blanks do.
_WORD = re.compile(rb'[^\x00-\x20,;|"]*[\x80-\xff][^\x00-\x20,;|"]*')

# More are no more evidence, and take time.
_MOST_WORDS: Final = 1000


def words_beyond_ascii(sample: bytes) -> list[bytes]:
    """Return the first different words with a byte beyond ASCII, in their order."""
    return list(dict.fromkeys(_WORD.findall(sample)))[:_MOST_WORDS]


class Reading(NamedTuple):
    """The words as an encoding reads them, and its points: the fewer, the more plausible."""

    codec: str
    points: int
    words: tuple[str, ...]


def readings(words: list[bytes]) -> list[Reading]:
    """Return the readings in encodings that have all the bytes, the most plausible first."""
    found = [reading_in(codec, words) for codec in CANDIDATES]
    # A stable sort: the rarer one of equals stays behind.
    return sorted((one for one in found if one is not None), key=lambda one: one.points)


def is_clear(reading: Reading, others: list[Reading]) -> bool:
    """Return whether every reading with another text is less plausible by `DISTANCE`."""
    return all(
        other.points >= reading.points + DISTANCE
        for other in others
        if other.words != reading.words
    )


def points_of(text: str) -> int:
    """Return the points of words, one a line: those of every character out of place."""
    return sum(points * len(pattern.findall(text)) for points, pattern in _RULES)


def _foreign_words(words: tuple[str, ...], codec: str) -> int:
    """Return how many words have letters that the language of the others doesn't have.

    Only for encodings of few languages, whose texts hardly mix these: ñ and ö are in one sheet more
    often than Polish, Czech and Hungarian letters.
    """
    languages = _LANGUAGES.get(codec, ())
    letters = [_LATIN & set(word.lower()) for word in words]
    return min((sum(not one <= alphabet for one in letters) for alphabet in languages), default=0)


def are_words(reading: Reading) -> bool:
    """Return whether the text has words of the encoding's languages, if anything does."""
    return reading.points < _UNUSUAL * (len(reading.words) + 1)


def reading_in(codec: str, words: list[bytes]) -> Reading | None:
    """Return the reading in any encoding; None if it lacks some of the bytes."""
    try:
        # One by one, because a line end may be the second byte of an East Asian character.
        read = tuple(word.decode(codec) for word in words)
    except UnicodeDecodeError:
        return None
    points = CANDIDATES.get(codec, 0) + points_of("\n".join(read))
    points += _SLIGHT * _foreign_words(read, codec)
    return Reading(codec, points, read)


# The characters of all candidates, by what they are


def _repertoire() -> set[str]:
    found: set[str] = set()
    for codec in CANDIDATES:
        found.update(bytes(range(0x80, 0x100)).decode(codec, errors="ignore"))
    return found


_ALL = _repertoire()
_NO_LETTERS = frozenset("ªºµƒ")  # that Unicode takes for letters
_LETTERS = {one for one in _ALL if one.isalpha() and one not in _NO_LETTERS}
_LATIN = {one for one in _LETTERS if unicodedata.name(one).startswith("LATIN ")}
_VOWEL_BASES = frozenset("aeiouyAEIOUYæÆøØœŒı")


def _class(characters: set[str] | frozenset[str] | str) -> str:
    return "".join(sorted(re.escape(one) for one in characters))


_UP = _class({one for one in _LETTERS if one.isupper()})
_LOW = _class({one for one in _LETTERS if one.islower()})
_ALIEN = _class(_LETTERS - _LATIN)
_GREEK = _class({one for one in _LETTERS if unicodedata.name(one).startswith("GREEK ")})
_LATIN_CLASS = _class(_LATIN)
_V = _class(
    {one for one in _LATIN if unicodedata.normalize("NFD", one)[0] in _VOWEL_BASES}
    | set("aeiouyAEIOUY")
)
_L = "[^\\W\\d_ªºµƒ]"

# Small letters beyond ASCII of the languages that an encoding is for
_CENTRAL = (
    frozenset("ąćęłńóśźż"),  # Polish
    frozenset("áäčďéěíĺľňóôŕřšťúůýž"),  # Czech, Slovak
    frozenset("áéíóöőúüű"),  # Hungarian
    frozenset("ăâîşţ"),  # Romanian
    frozenset("čćđšž"),  # Croatian, Slovene
)
_BALTIC = (
    frozenset("ąčęėįšųūž"),  # Lithuanian
    frozenset("āčēģīķļņōŗšūž"),  # Latvian
    frozenset("äõöüšž"),  # Estonian
)
_LANGUAGES = {
    "cp1250": _CENTRAL,
    "iso8859_2": _CENTRAL,
    "cp852": _CENTRAL,
    "cp1254": (frozenset("âçğıîöşûü"),),
    "cp1257": _BALTIC,
}

# Points, and the characters that cost them. A rule names a language's spelling only where another
# encoding has another letter in that place; small letters stand for capitals as well under (?i).
_IMPOSSIBLE: Final = 12
_ODD: Final = 8
_UNUSUAL: Final = 4
_SLIGHT: Final = 2

_CASE = (
    (_IMPOSSIBLE, f"(?<=[a-z{_LOW}])[{_UP}]"),
    (_ODD, f"[{_LOW}](?=[A-Z][a-z])"),
    (_ODD, f"(?:[A-Z][{_UP}][A-Z{_UP}]*|[{_UP}][A-Z{_UP}]+)[a-z{_LOW}]"),
    (_UNUSUAL, f"(?<=[A-Z])[{_LOW}](?=[A-Z])"),
    (_ODD, f"(?<=\\d)[{_UP}{_LOW}]|[{_UP}{_LOW}](?=\\d)"),
    (_ODD, f"[{_LATIN_CLASS}]{{3,}}"),
    # Words without a plain letter
    (_ODD, f"(?<!{_L})[{_LATIN_CLASS}]{{2,}}(?!{_L})"),
    (_ODD, f"(?<!{_L})(?![àÀèÈéÉóÓòÒíÍáÁâÂ])[{_LATIN_CLASS}](?!{_L})"),
    (_SLIGHT, f"(?<!{_L})[àÀèÈéÉóÓòÒíÍáÁâÂ](?!{_L})"),
    (_IMPOSSIBLE, "[ˆⁿƒﬁﬂ]"),
)

_SCRIPTS = (
    (_IMPOSSIBLE, f"(?<=[A-Za-z{_LATIN_CLASS}])[{_ALIEN}]|[{_ALIEN}](?=[A-Za-z{_LATIN_CLASS}])"),
    (_ODD, f"(?<![{_GREEK}])[{_GREEK}](?![{_GREEK}])"),
    # Words and abbreviations of one letter
    (_SLIGHT, f"(?<![{_ALIEN}])[{_ALIEN}](?![{_ALIEN}])"),
    (6, f"(?<![{_ALIEN}])(?![авикосуяієАВИКОСУЯІЄ])[{_ALIEN}](?![{_ALIEN}.])"),
    (_IMPOSSIBLE, "[\x80-\x9f]"),  # controls of ISO 8859
)

# Ends of English words that an 's may follow
_ENDS = "er|or|nt|ng|ck|ry|ty|th|ht|ey|ly"

# Letters by what is next to them
_LETTER_RULES = (
    # A consonant that no vowel carries
    (_ODD, f"(?i:(?<![{_V}])[ñçß](?![{_V}]))"),
    (_UNUSUAL, f"(?i:(?<={_L})(?<![{_V}])(?<![^\\W{_V}][rl])č(?=[lmrtvgdbpz]))"),
    (_UNUSUAL, f"(?i:(?<={_L})(?<![{_V}])č(?=s\\b))"),
    (_UNUSUAL, f"(?i:(?<={_L})(?<![{_V}])ř(?=[nrlsgdmz]))"),
    (_UNUSUAL, f"(?i:(?<={_L})(?<![{_V}])[ćďňđğşţģķļņ](?![{_V}]))"),
    (_ODD, f"(?i:ñ(?![{_V}]))"),  # Spanish
    (_ODD, f"(?i:[ńśź](?=[{_V}])|(?<![{_V}])ń)"),  # Polish writes ni, si, zi before a vowel
    (_UNUSUAL, "(?i:ť(?=[ou])|ď(?=[cvlrpn]))"),
    (_ODD, "(?i:úu|ß(?=[dnrlszc]\\b))"),
    (_UNUSUAL, "(?i:ß(?=[rn])|ō)"),
    (_IMPOSSIBLE, f"(?i:(?<![{_V}])ß)"),
    (_UNUSUAL, "(?i:ç(?![aouáàâãóôõúäöü]))"),
    (_ODD, f"(?i:è(?=[{_V}])|(?<=[aeyáéíóúæøý])è)"),
    (_UNUSUAL, f"(?i:[àò](?={_L}))"),
    (6, f"(?i:[ìù](?={_L}))"),
    (6, f"(?i:[ê](?=[{_V}])|(?<=[aoe])ê)"),
    (_ODD, f"(?i:(?<!{_L})[ęěůűąő]|(?<=[aeouyáéíóúý])[ęěůűő]|[ęěůűő](?=[{_V}]))"),
    (_ODD, "(?i:õ(?!es?\\b))"),  # Portuguese; Hungarian has ő there
    (_ODD, f"(?i:ã(?![oe]|s?(?!{_L})))"),
    (_ODD, "(?i:ă(?=[oeăâ]))"),
    # août, goût, sûr, mûr, brûler, flûte, bûche, dû
    (_ODD, "(?i:û(?<![aoed]û)(?<!brû)(?<!flû)(?<!\\bsû)(?<!\\bmû(?=r))(?<!bû(?=c)))"),
    (_SLIGHT, "(?i:[ĺŕ])"),
    (_UNUSUAL, f"(?i:(?<![^\\W{_V}])[ĺŕ]|[ĺŕ](?![^\\W{_V}]))"),
    (_SLIGHT, f"(?i:(?<=[{_V}])å)"),
    (_UNUSUAL, f"(?i:(?<=[{_V}])å(?={_L})|å(?=[aou]))"),
    (_UNUSUAL, f"(?<!{_L})È(?={_L})"),
    (6, f"(?<!{_L})(?:[æ](?={_L})|è(?={_L})|ê(?=[^\\Wt]))"),
    (_ODD, f"(?i:(?<=[{_V}])[æøœ]|æ(?=[{_V}])|œ(?![ui]))"),
    (_SLIGHT, f"(?i:ø(?=[{_V}]))"),
    (_UNUSUAL, f"(?i:(?<={_L})ćo|ęr|ô(?!{_L}))"),
    (6, f"(?<!{_L})[ëìùûïÿôåãõ](?={_L})|î(?!{_L})|[ãõëïÿ](?<!{_L}.)(?={_L})"),
    (6, f"(?<!{_L})[ËÌÙÛÏŸÔÃÕ](?={_L})"),
    (_SLIGHT, f"(?<!{_L})Í(?={_L})"),
    (_ODD, "[ÿŸþðÞÐıŀĿŉﬁﬂ]"),
    (_ODD, f"(?i:[ėē](?=[{_V}])|(?<=[{_V}])[ė])"),
    (_UNUSUAL, "(?i:[ģķ](?![ei])|[įźļņ])"),
    (_UNUSUAL, f"(?i:ų(?={_L}))"),
    (_SLIGHT, "[ýÝ]"),
    # English contractions, where Mac Roman has í for the apostrophe
    (
        _ODD,
        (
            "(?i:\\b(?:do|does|did|is|was|are|were|would|could|should|ca|wo|have|has|had)nít\\b"
            "|\\b(?:it|that|there|here|what|he|she|who|let)ís\\b|\\biím\\b"
            "|\\b(?:we|they|you)íre\\b|\\b(?:i|we|they|you)í(?:ve|ll|d)\\b)"
        ),
    ),
    (_SLIGHT, f"(?<={_ENDS})ís\\b"),
    (_UNUSUAL, "ĺs\\b"),
)

_SIGN_RULES = (
    # Dashes
    (6, f"(?<={_L})–(?={_L})"),
    (_UNUSUAL, f"(?<={_L})—(?={_L})"),
    (_UNUSUAL, f"(?<={_L})[–—](?!{_L})|(?<!{_L})[–—](?={_L})|»(?<={_L}.)"),
    # Quotation marks and apostrophes
    (10, f"(?<=[\\w.,!?)])[‘“](?={_L})|(?<={_L})[”„‚](?={_L})|(?<={_L})[‚„](?!\\w*[‘’“”])"),
    (_ODD, "(?<=[\\w.!?])[‘“](?!\\w)|(?<![\\w.!?)…’%$€-])”|(?<!\\w)[‚„](?!\\w+[‘’“”])"),
    (
        6,
        (
            f"(?i:(?<={_L})’(?={_L})(?!(?:s|t|re|ve|ll|d|m|em|er|all|clock|n)\\b)"
            "(?<!\\b[odljmtsnc]’)(?<!\\b(?:qu|un)’)(?<!\\ball’)(?<!\\bdell’))"
        ),
    ),
    (_ODD, f"(?i:\\b[jmtsnc]’(?![{_V}h]))"),
    (_SLIGHT, f"(?i:(?<={_L})(?<!{_ENDS})’s\\b|(?<=[a-rt-z])’(?!\\w)|(?<!\\w)’(?={_L}))"),
    (_UNUSUAL, "(?<!\\S)[‘’“”](?!\\S)"),
    (_SLIGHT, "…(?=\\w)"),
    # Currencies go with numbers
    (_SLIGHT, "(?<!\\S)£(?!\\S)"),
    (_SLIGHT, "¥"),
    (3, "(?<!\\d\\d)¢"),
    (_SLIGHT, "(?<=\\d\\d)[¼½¾]"),
    (10, f"(?<={_L})[€£¥¢](?!\\d)|[€£¥¢](?={_L})"),
    # Signs after a number
    (_ODD, f"(?<!\\d)[°²³¼½¾](?={_L})|(?<=[^\\s\\d(-])[¼½¾]|(?<![\\dmtq])²|(?<![\\dm])³"),
    (_ODD, f"[²³¼½¾](?={_L})|(?<=[A-Za-z{_LATIN_CLASS}])°(?!\\w)"),
    (_UNUSUAL, "(?<!\\d)°"),
    (_UNUSUAL, "¹"),
    (_ODD, f"(?<!\\d)[ªº](?={_L})|(?<=[{_LATIN_CLASS}a-z])[ªº]|(?<![\\w.])[ªº]"),
    # Marks at words
    (_ODD, f"(?<!{_L})[®™]|[®™](?=\\w)|(?<=\\w)©|©(?=\\w)|§(?={_L})|(?<=\\S)§"),
    (_ODD, "(?<=\\w)«|»(?=\\w)|(?<=\\d)‹|(?<=\\w)‹|›(?=\\w)"),
    (_SLIGHT, "[‹›]"),
    (10, f'(?<=\\w)[¡¿]|[¡¿](?!{_L}|[«“"])|[¡¿](?={_L})(?!\\S*[!?])(?<=¡)'),
    (10, f"(?<={_L})[•·](?={_L})(?<!l·)|[•](?<=\\w•)"),
    (_UNUSUAL, f"[•·](?={_L})|·"),
    (_SLIGHT, f"•(?={_L})"),
    (10, "(?<=\\w)[§¶†‡]|[¶†‡](?=\\w)"),
    (_UNUSUAL, "[¶†‡]"),
    (_UNUSUAL, f"(?<={_L})[´`](?={_L})"),
    (10, "(?<!\\w)´|´(?!\\w)|[¨¸ˆ˜¯¤¦¬ƒ¸‰˙˚˘˝ˇ˛ˉ]"),
    (_ODD, f"(?<={_L})[×÷±](?={_L})|(?<={_L})[×÷±]|[×÷±](?={_L})"),
    (_ODD, "µ(?![mg]\\b)"),
    (_UNUSUAL, "(?<!\\d)±|÷"),
    (10, "[∞∂∆∏∑√∫◊⁄Ω‗⌐∩∙■□⌠⌡\u2500-\u259f\uf8ff]|[≤≥≈≠≡№](?!\\d)"),
    (_SLIGHT, "[≤≥≈≠≡]"),
    (10, "[₧₤\u00ad]"),
    # A no-break space goes with signs, numbers and other spaces.
    (6, f"(?<={_L})\u00a0(?={_L})"),
    (_SLIGHT, "\u00a0"),
)

_RULES = tuple(
    (points, re.compile(pattern))
    for points, pattern in (*_CASE, *_SCRIPTS, *_LETTER_RULES, *_SIGN_RULES)
)
