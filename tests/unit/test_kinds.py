"""What a file is, by its first bytes."""

from __future__ import annotations

import pytest

from bulk_sync.read.kinds import WORKBOOK_KINDS, Kind, kind_of, refusal


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"", Kind.TEXT),
        (b"key,feedback\r\n", Kind.TEXT),
        (b"\xef\xbb\xbfkey\n", Kind.TEXT),
        ("key,a\n".encode("utf-16"), Kind.TEXT),
        ("key,a\n".encode("utf-16-le"), Kind.TEXT),
        (b"k\xe9y,a\n", Kind.TEXT),
        (b"<5 minutes,key\n", Kind.TEXT),
        (b"PK\x03\x04", Kind.ZIP),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Kind.OLE2),
        (b"\x09\x08\x10\x00\x00\x06\x05\x00", Kind.BIFF),
        (b"\r\n <!DOCTYPE html><p>", Kind.HTML),
        (b'\xef\xbb\xbf<html xmlns:x="urn:schemas-microsoft-com:office:excel">', Kind.HTML),
        ("<html><body>".encode("utf-16"), Kind.HTML),
        (b"<TABLE border=1>", Kind.HTML),
        (
            (
                b'<?xml version="1.0"?><?mso-application progid="Excel.Sheet"?>'
                b'<Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet">'
            ),
            Kind.XML_2003,
        ),
        (b'<?xml version="1.0"?><rows/>', Kind.XML),
        (b'{"unique_showing_key": "a", "rating": 4}\n', Kind.JSON),
        (b'\xef\xbb\xbf[\n  {\n    "key": "a"', Kind.JSON),
        (b'[["key", "rating"], ["a", 4]]', Kind.JSON),
        (b"[Key],[Rating]\n", Kind.TEXT),
        (b"{key},rating\n", Kind.TEXT),
        (b"\0\0\xfe\xff" + "key,a\n".encode("utf-32-be"), Kind.TEXT),
        (
            (
                b'<?xml version="1.0"?>\n<o:document '
                b'xmlns:o="urn:oasis:names:tc:opendocument:xmlns:office:1.0"><o:meta/>'
            ),
            Kind.FLAT_ODF,
        ),
        (b"ID;PWXL;N;E\r\nP;PGeneral\r\nB;Y1;X1\r\nC;X1;Y1\r\n", Kind.SYLK),
        (b"ID;Price;Key\n1;2;3\n4;5;6\n7;8;9\n", Kind.TEXT),
        (b'TABLE\r\n0,1\r\n"EXCEL"\r\nVECTORS\r\n', Kind.DIF),
        (b"TABLE,1\n0,1\n", Kind.TEXT),
        (b"%PDF-1.4", Kind.PDF),
        (b"{\\rtf1", Kind.RTF),
        (b"\x1f\x8b\x08", Kind.GZIP),
        (b"7z\xbc\xaf\x27\x1c", Kind.PACKED),
        (b"\x89PNG\r\n\x1a\n", Kind.IMAGE),
        (b"RIFF\x00\x00\x00\x00WEBP", Kind.IMAGE),
        (b"SQLite format 3\x00", Kind.SQLITE),
        (b"\x7fELF\x02\x01\x01\x00\x00", Kind.BINARY),
    ],
)
def test_the_kind_of_a_file(head: bytes, kind: Kind) -> None:
    assert kind_of(head) is kind


@pytest.mark.parametrize("kind", list(Kind))
def test_each_kind_has_a_reader_or_a_sentence(kind: Kind) -> None:
    sentence = refusal(kind)
    assert (sentence is None) == (kind in WORKBOOK_KINDS or kind is Kind.TEXT)
    assert sentence is None or sentence.endswith(".")
