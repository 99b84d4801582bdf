"""The kind of a file by its first bytes; its name is no evidence.

Pure: bytes in, a kind out. The content of an archive is the workbook reader's concern.
"""

from __future__ import annotations

import re
from enum import Enum

HEAD_BYTES = 4096
"""First bytes of a file that `kind_of` needs."""


class Kind(Enum):
    """Kinds of files; `PACKED` is any archive but ZIP, `BIFF` an XLS file without a container."""

    TEXT = "text"
    ZIP = "zip"
    OLE2 = "ole2"
    BIFF = "biff"
    HTML = "html"
    XML_2003 = "xml_2003"
    FLAT_ODF = "flat_odf"
    SYLK = "sylk"
    DIF = "dif"
    XML = "xml"
    JSON = "json"
    PDF = "pdf"
    RTF = "rtf"
    GZIP = "gzip"
    PACKED = "packed"
    IMAGE = "image"
    SQLITE = "sqlite"
    BINARY = "binary"


WORKBOOK_KINDS = frozenset({Kind.ZIP, Kind.OLE2, Kind.BIFF, Kind.FLAT_ODF})
"""Kinds for the workbook reader. `TEXT` is for the delimited one; the rest are refused."""

_MAGIC = (
    # A first part, an empty archive, and one that was split (APPNOTE.TXT 4.3.7, 4.3.16, 8.5).
    (b"PK\x03\x04", Kind.ZIP),
    (b"PK\x05\x06", Kind.ZIP),
    (b"PK\x07\x08", Kind.ZIP),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Kind.OLE2),
    # BOF of BIFF2 to BIFF5 outside of a container, [MS-XLS] 2.4.21 and its predecessors.
    (b"\x09\x00\x04\x00", Kind.BIFF),
    (b"\x09\x02\x06\x00", Kind.BIFF),
    (b"\x09\x04\x06\x00", Kind.BIFF),
    (b"\x09\x08\x08\x00", Kind.BIFF),
    (b"\x09\x08\x10\x00", Kind.BIFF),
    (b"%PDF-", Kind.PDF),
    (b"{\\rtf", Kind.RTF),
    (b"\x1f\x8b", Kind.GZIP),
    (b"7z\xbc\xaf\x27\x1c", Kind.PACKED),
    (b"Rar!\x1a\x07", Kind.PACKED),
    (b"BZh", Kind.PACKED),
    (b"\xfd7zXZ\x00", Kind.PACKED),
    (b"\x28\xb5\x2f\xfd", Kind.PACKED),
    (b"\x89PNG\r\n\x1a\n", Kind.IMAGE),
    (b"\xff\xd8\xff", Kind.IMAGE),
    (b"GIF8", Kind.IMAGE),
    (b"II*\x00", Kind.IMAGE),
    (b"MM\x00*", Kind.IMAGE),
    (b"SQLite format 3\x00", Kind.SQLITE),
)

# Text files of spreadsheet programs that are no tables as text. A CSV may begin with the headers ID
# and P..., hence the lines after them.
_SYLK = re.compile(rb"id;p[^\r\n]*(?:\r\n?|\n)(?:[a-z]{1,2};[a-z][^\r\n]*(?:\r\n?|\n)){3}")
_DIF = re.compile(rb'table(?:\r\n?|\n)0,1(?:\r\n?|\n)"')
# The root of a document in one file (OpenDocument 1.3 part 3, 3.1.2), after declarations.
_FLAT_ODF = re.compile(rb"<(?:[\w.-]+:)?document\s")

# An object, or a list of objects or lists; no separator of cells comes so early in a table.
_JSON = re.compile(rb'\{\s*"|\[\s*[\[{]')

# UTF-32's mark in little-endian begins like UTF-16's.
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")

_REMEDY = (
    "Open it in a spreadsheet program and save it as XLSX or as 'CSV UTF-8', then push that file."
)

_EXPORT = "Export the rows as XLSX or CSV, then push that file."

_REFUSALS = {
    Kind.HTML: "this is a web page, whatever its name (many systems export tables as one). "
    + _REMEDY,
    Kind.XML_2003: "this is an 'XML Spreadsheet 2003', whatever its name. " + _REMEDY,
    Kind.SYLK: "this is a SYLK file, whatever its name. " + _REMEDY,
    Kind.DIF: "this is a DIF file, whatever its name. " + _REMEDY,
    Kind.JSON: "this is JSON, not a spreadsheet. " + _EXPORT,
    Kind.XML: "this is an XML file, not a spreadsheet. " + _EXPORT,
    Kind.PDF: "this is a PDF, not a spreadsheet. " + _EXPORT,
    Kind.RTF: "this is a text document (RTF), not a spreadsheet. " + _REMEDY,
    Kind.GZIP: "this is a compressed file (gzip). Unpack it, then push what was in it.",
    Kind.PACKED: "this is a packed archive. Unpack it, then push what was in it.",
    Kind.IMAGE: "this is an image, not a spreadsheet. " + _EXPORT,
    Kind.SQLITE: "this is a database (SQLite), not a spreadsheet. Export the rows as CSV, then "
    "push that file.",
    Kind.BINARY: "this is neither text nor a workbook. " + _EXPORT,
}


def kind_of(head: bytes) -> Kind:
    """Return the kind of a file with these first `HEAD_BYTES` bytes; an empty file is `TEXT`."""
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return Kind.IMAGE
    is_marked = head.startswith(_WIDE_MARKS)
    # In UTF-16 of Western text every second byte is zero; the text reader judges such a file.
    if not is_marked and _mostly_controls(head) and not _reads_as_utf_16(head):
        return Kind.BINARY
    return _kind_of_markup(head)


def refusal(kind: Kind) -> str | None:
    """Return the sentence, without the path, for a kind that no reader takes; else None."""
    return _REFUSALS.get(kind)


def _mostly_controls(head: bytes) -> bool:
    """Return whether there are more control bytes than a slip would leave in a text.

    The text reader names the line of a slip.
    """
    controls = sum(head.count(byte) for byte in (*range(9), *range(14, 32)))
    return b"\0" in head and controls * 10 > len(head)


def _reads_as_utf_16(head: bytes) -> bool:
    even, odd = head[0::2], head[1::2]
    for zeros, letters in ((odd, even), (even, odd)):
        # Not all are zero: typographic quotes and dashes are beyond the first 256 characters.
        if zeros.count(0) > 0.7 * len(zeros) and letters.count(0) == 0:
            return True
    return False


def _kind_of_markup(head: bytes) -> Kind:
    text = head.replace(b"\0", b"").removeprefix(b"\xef\xbb\xbf")
    text = text.removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff").lstrip().lower()
    if _SYLK.match(text):
        return Kind.SYLK
    if _DIF.match(text):
        return Kind.DIF
    if _JSON.match(text):
        return Kind.JSON
    if not text.startswith(b"<"):
        return Kind.TEXT
    if b"urn:oasis:names:tc:opendocument:xmlns:office:1.0" in text and _FLAT_ODF.search(text):
        return Kind.FLAT_ODF
    # Excel's web pages may name that schema too.
    if b"urn:schemas-microsoft-com:office:spreadsheet" in text and b"<html" not in text:
        return Kind.XML_2003
    if re.search(rb"<(!doctype html|html|head|body|table|div|meta|style)\b", text):
        return Kind.HTML
    # A processing instruction that starts Excel; the schema may be named beyond these bytes.
    if b'progid="excel.sheet"' in text:
        return Kind.XML_2003
    return Kind.XML if text.startswith(b"<?xml") else Kind.TEXT
