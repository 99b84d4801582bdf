"""The encoding of a text file: found when it is sure, told by the user, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from bulk_sync.errors import InputError, UsageError
from tests.unit.tables import csv_of, read, refused, understood

PEOPLE = [
    ["unique_showing_key", "feedback"],
    ["ext_1", "Zoë’s café – “très” bien, 5 €"],
    ["ext_2", "Señor Núñez"],
]


@pytest.mark.parametrize(
    ("encoding", "title"),
    [
        ("utf-8", "UTF-8"),
        ("utf-8-sig", "UTF-8 with byte order mark"),
        ("utf-16", "UTF-16"),
        ("utf-32", "UTF-32"),
        ("cp1252", "Windows-1252"),
    ],
)
def test_encodings_that_are_found(tmp_path: Path, encoding: str, title: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(csv_of(PEOPLE).encode(encoding))
    file, _, rows = understood(path)
    assert file.encoding == title
    assert [row.cells[1] for row in rows] == [cells[1] for cells in PEOPLE[1:]]
    if encoding == "cp1252":
        assert "taken for Windows-1252: line 2 reads" in file.notes[0]
        assert "Zoë" in file.notes[0]


RUSSIAN = [
    "Очень понравилась светлая кухня и тихая улица",
    "Покупатели хотят прийти ещё раз",
    "Цена кажется высокой",
]


JAPANESE = [
    "とても明るいキッチンが気に入りました。",
    "静かな通りで、学校も近いです。",
    "価格が少し高いと思います。",
]


@pytest.mark.parametrize(
    ("sentences", "encoding"), [(RUSSIAN, "cp1251"), (JAPANESE, "shift_jis"), (RUSSIAN, "koi8-r")]
)
def test_other_encodings_are_read_right_or_refused_and_never_garbled(
    tmp_path: Path, sentences: list[str], encoding: str
) -> None:
    path = tmp_path / "x.csv"
    rows = [
        ["unique_showing_key", "feedback"],
        *([f"ext_{n}", text] for n, text in enumerate(sentences * 5)),
    ]
    path.write_bytes(csv_of(rows).encode(encoding))
    try:
        _, found = read(path)
    except InputError as error:
        assert "--encoding" in str(error)  # noqa: PT017 - one of two ways that are right
    else:
        assert [row.cells[1] for row in found] == sentences * 5
    assert [row.cells[1] for row in read(path, encoding=encoding)[1]] == sentences * 5


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("café très bien à côté", "mac-roman"),
        ("café très bien à côté", "cp437"),
        ("Größe", "cp850"),
        ("Bardzo ładny", "cp1250"),
        ("Ayşe", "cp1254"),
        ("Příliš žluťoučký kůň", "cp1250"),
        ("静かな通り", "iso2022_jp"),
        ("да", "cp1251"),
        ("집", "euc-kr"),
    ],
)
def test_other_letters_are_not_taken_for_windows_1252(
    tmp_path: Path, text: str, encoding: str
) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(f"unique_showing_key,feedback\next_1,{text}\n".encode(encoding))
    try:
        cells = read(path)[1][0].cells
    except InputError as error:
        assert "--encoding" in str(error)  # noqa: PT017 - one of two ways that are right
    else:
        assert cells[1] == text
    assert read(path, encoding=encoding)[1][0].cells[1] == text


@pytest.mark.parametrize(
    "told", ["no-such-encoding", "base64", "rot13", "utf-7", "punycode", "undefined"]
)
def test_an_encoding_that_there_is_not(tmp_path: Path, told: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text("key,a\n1,x\n", encoding="utf-8")
    with pytest.raises(UsageError, match="no such encoding"):
        read(path, encoding=told)


@pytest.mark.parametrize(
    ("content", "encoding", "words"),
    [
        (b"key,a\n1,x\n2,caf\xe9\n", "utf-8", "line 3 is not valid UTF-8"),
        (
            b"key,a\r\n1,x\r\n2,caf\xe9\r\n",
            "ascii",
            "line 3 is not valid ascii, as --encoding says",
        ),
        (b"key,a\n1,x\n", "utf-16", "line 1 is not valid UTF-16, as --encoding says"),
        (b"key,a\n1,xy\n", "utf-16", "line 1 is not valid UTF-16, as --encoding says"),
        (b"\xef\xbb\xbfkey,a\n1,caf\xe9\n", None, "line 2 is not valid UTF-8 with byte order mark"),
        (b"key,a\n1,\x81\x8d\xff\xfe\n", None, "line 2 is not UTF-8 text"),
        (
            b"key,a\n1,x\n2,\x1b$B\n",
            None,
            "line 3 switches to another alphabet as ISO 2022 does",
        ),
    ],
)
def test_bytes_that_do_not_belong_are_said_with_their_line(
    tmp_path: Path, content: bytes, encoding: str | None, words: str
) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    assert words in refused(path, encoding=encoding)
