"""Recognise what other programs leave in texts: lost characters, cut ends, words for a blank. Pure.

Text is never changed: what is recognised is evidence about its column (see `evidence`).
"""

from __future__ import annotations

import html
import re
from html.entities import html5
from typing import Final

from bulk_sync.check.cells import excerpt, text_of_formula
from bulk_sync.check.evidence import Evidence, Sign
from bulk_sync.check.mojibake import before_mojibake

NULL_WORDS: Final = frozenset(
    {
        # SQL, as clients and dumps print it; `Null` is a surname.
        *("NULL", "null", "(null)", "(NULL)", "<null>", "<NULL>", "[NULL]", "[null]", "\\N"),
        # Python and its libraries, JavaScript, Ruby
        *("None", "nan", "NaN", "NaT", "<NA>", "undefined", "[object Object]", "nil"),
    }
)
"""Texts that databases and libraries write for a missing value."""

SHORTEST_CUT: Final = 255
"""Characters of the shortest text that may be cut: a field of older databases and of ODBC."""

# Excel's specification: characters in a cell, in units of UTF-16 (Microsoft Support, "Excel
# specifications and limits"); MySQL's: bytes of a TEXT (MySQL Reference Manual, 13.3.1).
_EXCEL_CELL: Final = 32_767
_MYSQL_TEXT: Final = 65_535

# ECMA-376 Part 1, 22.9.2.19 (ST_Xstring) writes control characters so, and libraries leave it.
_XML_ESCAPE = re.compile(r"_x00([01][0-9A-Fa-f])_")
# What keeps a spreadsheet program from reading a cell as a formula (OWASP, "CSV Injection") or as a
# number, in a file for another one: '+1 312 555 0100, but not '70s kitchen.
_TEXT_MARK = re.compile(r"\A'(?=[=+@-]|[\d().\s-]+$)", re.ASCII)
_ENTITY = re.compile(r"&(?:#\d{2,6}|#[xX][0-9A-Fa-f]{2,5}|[A-Za-z]{2,24}\d{0,2});")
# A letter that was replaced inside a name: M?ller, Garc?a.
_LOST_LETTER = re.compile(r"[^\W\d_]\?[^\W\d_]")


def look_for_damage(
    evidence: Evidence, field: str, raw: str, text: str, *, is_name: bool = False
) -> None:
    """Report the signs of damage in a text; `raw` is the cell before it was trimmed."""
    if text in NULL_WORDS:
        evidence.saw(field, Sign.NULL_WORD, text)
        return
    if not text.isascii():
        _look_for_lost_characters(evidence, field, text)
    elif is_name and _LOST_LETTER.search(text):
        evidence.saw(field, Sign.REPLACED, text)
    look_for_escapes(evidence, field, text)
    if len(text) >= SHORTEST_CUT:
        _look_for_cut(evidence, field, raw)


# Escapes of JSON and of databases, and tags: of texts alone, because keys may have such parts.
_BACKSLASHED = {r"\"": '"', r"\r\n": "\n", r"\n": "\n"}
_BACKSLASH = re.compile(r'\\"|\\r\\n|\\n(?![a-z])')
_TAG = re.compile(r"</?(?:br|p|div|span|b|i|u|strong|em|li|ul)\b[^<>]*>", re.IGNORECASE)


def look_for_escapes(evidence: Evidence, field: str, text: str) -> None:
    """Report an escape in a text."""
    was = text
    if "&" in text or "_x00" in text or text[:1] in {"'", "="}:
        was = before_escaping(text)
    if "\\" in text:
        was = _BACKSLASH.sub(lambda match: _BACKSLASHED[match[0]], was)
    if "<" in text:
        was = _TAG.sub("", was)
    if was != text:
        evidence.saw(field, Sign.ESCAPED, text, facts={"was": excerpt(was)})


def _look_for_lost_characters(evidence: Evidence, field: str, text: str) -> None:
    found = before_mojibake(text)
    if found is not None:
        was, read_as = found
        evidence.saw(field, Sign.MOJIBAKE, text, facts={"was": excerpt(was), "read_as": read_as})
    elif "\ufffd" in text:
        evidence.saw(field, Sign.REPLACED, text)


def _look_for_cut(evidence: Evidence, field: str, raw: str) -> None:
    length = len(raw.encode("utf-16-le", errors="replace")) // 2
    if length == _EXCEL_CELL:
        evidence.saw(field, Sign.CUT, raw, facts={"characters": _EXCEL_CELL})
    elif len(raw.encode(errors="replace")) == _MYSQL_TEXT:
        evidence.saw(field, Sign.CUT, raw, facts={"characters": _MYSQL_TEXT})
    elif length == SHORTEST_CUT:
        evidence.saw(field, Sign.SHORTEST_CUT, raw)
    else:
        evidence.saw(field, Sign.LONGER, raw)


def before_escaping(text: str) -> str:
    """Return a text without the escapes of HTML, XLSX and CSV: `Lee & Co` of `Lee &amp; Co`."""

    def unescaped(match: re.Match[str]) -> str:
        name = match[0][1:]
        return html.unescape(match[0]) if name[0] == "#" or name in html5 else match[0]

    text = text_of_formula(_TEXT_MARK.sub("", text, count=1))
    text = _ENTITY.sub(unescaped, text)
    return _XML_ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
