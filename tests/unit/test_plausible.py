"""Names and remarks in every 8-bit encoding are decoded right or refused, never otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.errors import InputError
from bulk_sync.read.plausible import is_clear, readings, words_beyond_ascii
from tests.unit.tables import read

WESTERN = ("cp1252", "mac_roman", "cp437", "cp850", "iso8859_15")
CENTRAL = ("cp1250", "iso8859_2", "cp852")

# Invented people, well-known places, remarks; each language with the encodings of its programs.


def _texts(*lines: str) -> tuple[str, ...]:
    return tuple("|".join(lines).split("|"))


TEXTS = {
    "English": (
        _texts(
            "don’t|it’s|the seller’s price|Sellers’ agent|Pat O’Brien|the O’Neil family",
            "“nice”|“Great kitchen” they said|Nice — but small|too dark – again|wait…",
            "…and more|wonderful—but|72° inside|Zillow™|Realtor®|© 2026|½ bath|3½ baths",
            "£500|50 €|€50|50¢|1,200 ft²|20 m³|• bright|naïve|café|‘quoted’|Zoë’s|I’m sure",
            "§ 5|5\u00a0pm|± 5%",
        ),
        WESTERN,
    ),
    "Spanish": (
        _texts(
            "María García|José|Hernández|Muñoz|Núñez|López|Gómez|Peña|Íñigo|Ángel|Álvarez",
            "Óscar|Úrsula|Raúl|Solís|Luís|Sofía|Suárez|Juárez|Julián|HERNÁNDEZ|MUÑOZ|PEÑA",
            "¿Qué?|¡Hola!|2º piso|Mª Elena|el baño está sucio|año|pingüino|Íngrid|Ramón",
            "Martínez|Joaquín|Adrián",
        ),
        WESTERN,
    ),
    "French": (
        _texts(
            "café|très bien|à côté|Hélène|Irène|Noël|Loïc|Benoît|François|Ça va|Îles|Île",
            "Émile|Édouard|château|août|goût|sûr|œuvre|cœur|sœur|où|déjà|voilà|« bonjour »",
            "l’eau|d’accord|qu’il|fenêtre|tête|maître|naïveté|Gaëlle|Anaïs|première",
            "problème|Élise",
        ),
        WESTERN,
    ),
    "German": (
        _texts(
            "Müller|Jürgen|Größe|Weiß|Groß|Strauß|Straße|Fußball|Österreich|Öberg|Ärger",
            "Übung|Bäcker|schön|Köln|„gut“|Köster|Preuß|Voß|größer|Süßmann|MÜLLER|KÖLN",
        ),
        WESTERN,
    ),
    "Portuguese": (
        _texts(
            "João|Conceição|São Paulo|Índia|Íris|França|Esperança|Antônio|Vitória|opções",
            "põe|irmã|Lousã|Tânia|Inês|você|avó|água|Ângela|coração|maçã",
        ),
        WESTERN,
    ),
    "Italian": (
        _texts("città|perché|più|è bello|cioè|lunedì|però|Niccolò|Donà|caffè|Boldù"),
        WESTERN,
    ),
    "Nordic": (
        _texts(
            "Håkan|Åse|Ståhl|Björk|Malmö|Skellefteå|Umeå|Mäkinen|Hämäläinen|Söderström", "Östersund"
        ),
        WESTERN,
    ),
    "Danish": (
        _texts("Søren|Jørgensen|Ærø|Kjær|Græsted|Livø|Øyvind|Bøe|Åsen|åsen"),
        ("cp1252", "mac_roman", "cp850"),
    ),
    "Polish": (
        _texts(
            "Łódź|Gdańsk|Toruń|Węgrzyn|Wąs|Śnieg|Ścibior|Środa|Żak|Kościół|Bardzo ładny",
            "Góra|Kubiś|Jaśko|Zięba|Wójcik|Kamiński|Pawłowski",
        ),
        CENTRAL,
    ),
    "Czech": (
        _texts(
            "Dvořák|Jiří|Horáček|Kovačič|Čech|Zdeněk|Dvůr|Růžička|Příliš žluťoučký kůň",
            "Vlčková|Krč|Hřbitov|Petřvald|Telč|Šmíd|Žďár|Tůma|Lišov|Košťany|Kolář|Kráľova",
            "Kĺzavá|Modrý Kameň|Láďa",
        ),
        CENTRAL,
    ),
    "Hungarian": (
        _texts("Erdős|Szűcs|Győr|fűszer|Sűrű|Kovács|Nagy Éva|Bőr|Tőke|hűtő|ŐRI"),
        CENTRAL,
    ),
    "Croatian": (
        _texts("Marić|Ivanović|Ćosić|Šimić|Đorđe|Grčka|Žižek|Kovačević|Črnomelj"),
        CENTRAL,
    ),
    "Romanian": (_texts("Brătianu|Ioniţă|Mureşan|Câmpina|înainte|casă|Ştefan|Ţepeş"), CENTRAL),
    "Turkish": (_texts("Ayşe|Yağmur|Şahin|Çelik|Işık|İnce|Özgür|Doğan"), ("cp1254",)),
    "Baltic": (
        _texts("Jānis|Līga|Pēteris|Eglė|Šarūnas|Jonė|Kļaviņa|Ķēniņš|Žukauskas|Mõis|Pärt|Ūla"),
        ("cp1257",),
    ),
    "Cyrillic": (
        _texts("да|Иванов|и|Очень понравилась кухня|с ними|ЦЕНА"),
        ("cp1251", "koi8_r", "cp866"),
    ),
    "Greek": (_texts("Γιώργος|ναι|Αθήνα|και"), ("cp1253",)),
}

_SHEETS = st.sampled_from(list(TEXTS)).flatmap(
    lambda language: st.tuples(
        st.sampled_from(TEXTS[language][1]),
        st.lists(st.sampled_from(TEXTS[language][0]), min_size=1, max_size=8),
    )
)


def _bytes_of(texts: list[str], encoding: str) -> bytes | None:
    try:
        return "\n".join(texts).encode(encoding)
    except UnicodeEncodeError:
        return None


def _assert_right_or_refused(path: Path, texts: list[str], encoding: str) -> None:
    rows = "".join(f"ext_{number},{text}\n" for number, text in enumerate(texts))
    try:
        path.write_bytes(f"unique_showing_key,feedback\n{rows}".encode(encoding))
    except UnicodeEncodeError:
        return
    try:
        found = read(path)[1]
    except InputError as error:
        assert "--encoding" in str(error)  # noqa: PT017 - one of two ways that are right
    else:
        assert [",".join(map(str, row.cells[1:])) for row in found] == texts


@given(sheet=_SHEETS)
def test_no_text_is_decoded_otherwise(
    tmp_path_factory: pytest.TempPathFactory, sheet: tuple[str, list[str]]
) -> None:
    encoding, texts = sheet
    _assert_right_or_refused(tmp_path_factory.mktemp("csv") / "x.csv", texts, encoding)


@pytest.mark.parametrize("language", TEXTS)
def test_no_single_text_is_taken_for_windows_1252(language: str) -> None:
    texts, encodings = TEXTS[language]
    for encoding in encodings:
        for text in texts:
            content = _bytes_of([text], encoding)
            if content is None or content.isascii():
                continue
            words = words_beyond_ascii(content)
            found = readings(words)
            western = next((one for one in found if one.codec == "cp1252"), None)
            # Icelandic and Slavic letters are refused before; see `encoding`.
            if western is not None and is_clear(western, found) and "Š" not in text:
                assert western.words == tuple(word.decode(encoding) for word in words), text


@pytest.mark.parametrize(
    "text",
    [
        "José",
        "Müller",
        "Muñoz",
        "café",
        "Zoë",
        "don’t",
        "Pat O’Brien",
        "“Great” – and … well",
        "50 €",
        "72° inside",
        "Realtor®",
        "HERNÁNDEZ",
        "It’s the seller’s agent’s and the buyer’s doctor’s fault",
        "María García; Núñez; Peña; Suárez",
        "Très bien, à côté de la fenêtre, déjà vu, François",
        "Größe; Weiß; Straße; schön; Müller",
        "João; São Paulo; Conceição; Antônio",
        "Håkan; Björk; Umeå; Ståhl; Mäkinen",
        "Søren; Jørgensen; Kjær; Åse; Ærø",
    ],
)
def test_clear_windows_1252_is_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(f'unique_showing_key,feedback\next_1,"{text}"\n'.encode("cp1252"))
    assert read(path)[1][0].cells[1] == text


@pytest.mark.parametrize(
    ("text", "encoding", "named"),
    [
        ("Mar\x92a Garc\x92a", "mac-roman", "'María' 'García'"),
        ("Hern\xa0ndez", "cp437", "'Hernández'"),
        ("Sol\x92s", "mac-roman", "'Solís'"),
        ("W\xeagrzyn", "cp1250", "'Węgrzyn'"),
        ("Kova\xe8i\xe6", "cp1250", "'Kovačić'"),
        ("Realtor\xa9", "cp850", "'Realtor®'"),
        ("50\xbd", "cp850", "'50¢'"),
    ],
)
def test_a_refusal_names_the_words_of_each_encoding(
    tmp_path: Path, text: str, encoding: str, named: str
) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(f"unique_showing_key,feedback\next_1,{text}\n".encode("latin-1"))
    with pytest.raises(InputError) as refused:
        read(path)
    assert f"--encoding {encoding} reads {named}" in str(refused.value)
    assert str(refused.value).count(" reads ") > 1
