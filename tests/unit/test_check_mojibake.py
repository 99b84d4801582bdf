"""UTF-8 that was read in another encoding is recognised, and sound text never is."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.check.mojibake import NAMES, before_mojibake

WORDS = [
    *(
        "José García",
        "René Müller",
        "Ångström",
        "Łukasz Żółw",
        "Paweł",
        "Zoë",
        "São Paulo",
        "Ä",
        "É",
    ),
    *("it’s “nice” – really…", "20 °C", "£5", "9 €", "naïve café", "Çelik", "Şişli", "Ștefan"),
    *(
        "Œuvre",
        "ÉCOLE",
        "KÖLN",
        "GARÇON",
        "crème brûlée",
        "Straße",
        "ñandú",
        "½ bath",
        "à la carte",
    ),
    *("Привет мир", "Ελλάδα", "שלום לכולם", "日本語です", "👍 great", "José\u00a0García"),
    unicodedata.normalize("NFD", "José García"),
]
SOUND = [
    *WORDS,
    *("“CAFÉ”", "«AMANHû", "AMANHÃ…", "“AMANHÔ", "«É»", "«Ó»", "CAFFÈ™", "«“café”»", "“LÀ”…"),
    *(
        "Spaß”",
        "”BRÄ”",
        "til Å – ok",
        "2×–3×",
        "L’été, c’est “chouette”…",
        "¿Qué? ¡Olé!",
        "déjà–vu",
    ),
    *("CORAÇÃO–SÃO", "CASĂ”", "√ ok", "├── leaf", "5½″", "Côte d’Azur®", "ÄÖÜ", "Trần Thị Ánh"),
    *("Рёв", "Гараж – ок…", "«Вид»", "Škoda™", "MÜLLER’S", "NOËL…", "ÎLE–DE–FRANCE", "Ã", "a · b"),
    *(
        "Plain text, nothing else.",
        "$450,000 (asking)",
        "—",
        "…",
        "★★★★☆",
        "naïve",
        "tschüß",
        "ÅÄÖ",
    ),
]


def misread(text: str, codec: str) -> str:
    """A text in UTF-8 as a program shows it that takes it for another encoding.

    Bytes without a character there become control characters, as in browsers.
    """
    return "".join(
        bytes([byte]).decode(codec, errors="ignore") or chr(byte) for byte in text.encode()
    )


@pytest.mark.parametrize("codec", [*NAMES, "latin-1"])
@pytest.mark.parametrize("word", WORDS)
def test_a_word_that_was_misread_is_named_with_the_word_that_it_was(codec: str, word: str) -> None:
    text = misread(word, codec)
    found = before_mojibake(text)
    if codec in {"cp1252", "latin-1", "mac_roman", "cp1251"}:
        assert found is not None
        assert found[0] == word
    elif found is not None:  # in the others one letter alone may be too little to say
        assert found[0] == word
    else:
        assert (codec, word) in {("cp850", "É"), ("cp437", "É"), ("cp850", "Ä"), ("cp437", "Ä")}


def test_the_encoding_is_named() -> None:
    assert before_mojibake("JosÃ© GarcÃ\xada") == ("José García", "Windows-1252")
    assert before_mojibake("Jos√© Garc√≠a") == ("José García", "Mac Roman")


@given(st.sampled_from(WORDS), st.integers(2, 3))
def test_a_word_that_was_misread_several_times_is_named(word: str, times: int) -> None:
    text = word
    for _ in range(times):
        text = misread(text, "cp1252")
    found = before_mojibake(text)
    assert found is not None
    assert found[0] == word


def test_one_wrong_word_among_sound_ones_is_found() -> None:
    assert before_mojibake("José and JosÃ© — both") == ("José and José — both", "Windows-1252")


@pytest.mark.parametrize("text", SOUND)
def test_sound_text_is_none(text: str) -> None:
    assert before_mojibake(text) is None


@given(st.lists(st.sampled_from(SOUND), min_size=1, max_size=6).map(" ".join))
def test_sound_texts_in_a_row_are_none(text: str) -> None:
    assert before_mojibake(text) is None
