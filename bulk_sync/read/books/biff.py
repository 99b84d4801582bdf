"""BIFF records of XLS: their bounds, their texts and the code pages of these ([MS-XLS] 2.1.4).

A text of BIFF8 is UTF-16, whatever CODEPAGE says; one of BIFF5 has a byte for each character of a
code page, or two in East Asian ones.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

from bulk_sync.read.books.interface import BadWorkbook

AGAIN = "Open the workbook in a spreadsheet program and save it as XLSX."
CONTINUE = 0x3C

_HEAD = struct.Struct("<HH").unpack_from
_TEXT_HEAD = struct.Struct("<HB").unpack_from
_COUNT = struct.Struct("<H").unpack_from
_SIZE = struct.Struct("<I").unpack_from

# Flags of a text ([MS-XLS] 2.5.293): two bytes for each character, phonetic data, formatting.
_WIDE, _PHONETIC, _RICH = 1, 4, 8
_FLAGS = _WIDE | _PHONETIC | _RICH

# [MS-XLS] 2.4.52, by Python's names. 0x8000 and 0x8001 are Apple Roman and Windows-1252 in BIFF
# before version 8 (OpenOffice.org's documentation of the Excel file format, 5.17).
CODE_PAGES: Mapping[int, str] = {
    367: "ascii",
    **{
        page: f"cp{page}"
        for page in (
            437, 720, 737, 775, 850, 852, 855, 857, 858, 860, 861, 862, 863, 864, 865, 866, 869,
            874, 932, 936, 949, 950, 1250, 1251, 1252, 1253, 1254, 1255, 1256, 1257, 1258,
        )
    },
    1361: "johab",
    10000: "mac_roman",
    10006: "mac_greek",
    10007: "mac_cyrillic",
    10029: "mac_latin2",
    10079: "mac_iceland",
    10081: "mac_turkish",
    28591: "latin_1",
    0x8000: "mac_roman",
    0x8001: "cp1252",
}  # fmt: skip


def cut_short() -> BadWorkbook:
    """Return the error for a record or a text that ends too early."""
    return BadWorkbook(f"a record of it is cut short. {AGAIN}")


def records(stream: bytes, at: int) -> Iterator[tuple[int, int, int]]:
    """Yield the records from an offset on as (type, start of the data, its end)."""
    last = len(stream)
    while at + 4 <= last:
        kind, size = _HEAD(stream, at)
        start, at = at + 4, at + 4 + size
        if at > last:
            raise cut_short()
        yield kind, start, at
    raise cut_short()  # each substream ends with an EOF record, at which the caller stops


class Texts:
    """The texts of a workbook, as its version of BIFF has them."""

    def __init__(self, stream: bytes, *, is_biff8: bool) -> None:
        self._stream = stream
        self._is_biff8 = is_biff8
        self.code_page: int | None = None

    def short(self, start: int, end: int) -> str:
        """Return a text whose length takes one byte: a sheet's name, or a format of BIFF5."""
        if start >= end:
            raise cut_short()
        return self._text(self._stream[start], start + 1, end)

    def long(self, start: int, end: int) -> str:
        """Return a text whose length takes two bytes; it may go on in CONTINUE records."""
        if start + 2 > end:
            raise cut_short()
        return self._text(_COUNT(self._stream, start)[0], start + 2, end)

    def _text(self, count: int, start: int, end: int) -> str:
        if self._is_biff8:
            return _Spans(self._stream, start, end).characters(count)
        data = _Spans(self._stream, start, end).take(count)
        return self._in_code_page(data)

    def _in_code_page(self, data: bytes) -> str:
        if data.isascii():
            return data.decode("ascii")
        page = self.code_page
        if page is None or page not in CODE_PAGES:
            said = "doesn't say in which code page" if page is None else f"says in code page {page}"
            raise BadWorkbook(
                f"it {said} its texts are, so {data[:40].decode('ascii', 'replace')!r} can't be "
                f"read. {AGAIN}"
            )
        try:
            return data.decode(CODE_PAGES[page])
        except UnicodeDecodeError:
            raise BadWorkbook(
                f"its texts are in code page {page}, which doesn't have all characters of "
                f"{data[:40].decode(CODE_PAGES[page], 'replace')!r}. {AGAIN}"
            ) from None


def shared_strings(stream: bytes, start: int, end: int) -> list[str]:
    """Return the texts of an SST record and its CONTINUE records ([MS-XLS] 2.4.265)."""
    if end - start < 8:
        raise cut_short()
    count = _SIZE(stream, start + 4)[0]
    if count > len(stream):
        raise BadWorkbook(f"it claims to hold {count} texts. {AGAIN}")
    spans = _Spans(stream, start + 8, end)
    found: list[str] = []
    while len(found) < count:
        _whole_strings(spans, count, found)
        if len(found) < count:  # one that goes on in the next record, or has more than characters
            found.append(spans.rich_string())
    return found


def _whole_strings(spans: _Spans, count: int, found: list[str]) -> None:
    """Add the next plain strings that end in the record where they begin, at full speed."""
    stream, at, end = spans.stream, spans.at, spans.end
    while len(found) < count and at + 3 <= end:
        size, flags = _TEXT_HEAD(stream, at)
        flags &= _FLAGS
        stop = at + 3 + (size << 1 if flags else size)
        if flags > _WIDE or stop > end:
            break
        # A lone half of a character becomes U+FFFD, which the check points out.
        found.append(stream[at + 3 : stop].decode("utf-16-le" if flags else "latin-1", "replace"))
        at = stop
    spans.at = at


class _Spans:
    """The data of a record and of its CONTINUE records, to be taken in pieces."""

    def __init__(self, stream: bytes, start: int, end: int) -> None:
        self.stream, self.at, self.end = stream, start, end

    def take(self, size: int) -> bytes:
        """Return the next bytes, wherever they are."""
        if self.at + size <= self.end:
            self.at += size
            return self.stream[self.at - size : self.at]
        pieces = bytearray()
        while len(pieces) < size:
            if self.at == self.end:
                self._advance()
            piece = self.stream[self.at : min(self.end, self.at + size - len(pieces))]
            self.at += len(piece)
            pieces += piece
        return bytes(pieces)

    def characters(self, count: int) -> str:
        """Return a text of BIFF8 without its count: flags, then the characters."""
        if not count and self.at == self.end:  # an empty text may end before its flags
            return ""
        flags = self.take(1)[0]
        runs = _COUNT(self.take(2))[0] if flags & _RICH else 0
        extra = _SIZE(self.take(4))[0] if flags & _PHONETIC else 0
        text = self._characters(count, is_wide=bool(flags & _WIDE))
        self._skip(4 * runs + extra)
        return text

    def rich_string(self) -> str:
        """Return a text of BIFF8 with its count, formatting and phonetic data skipped."""
        return self.characters(_COUNT(self.take(2))[0])

    def _characters(self, count: int, *, is_wide: bool) -> str:
        pieces = bytearray()
        while count:
            if self.at == self.end:
                # A text that continues states its characters' width again ([MS-XLS] 2.5.293).
                self._advance()
                is_wide = bool(self.take(1)[0] & _WIDE)
            width = 2 if is_wide else 1
            part = min(count, (self.end - self.at) // width)
            if not part:
                raise cut_short()
            data = self.take(part * width)
            pieces += data if is_wide else data.decode("latin-1").encode("utf-16-le")
            count -= part
        return pieces.decode("utf-16-le", "replace")

    def _skip(self, size: int) -> None:
        while size > self.end - self.at:
            size -= self.end - self.at
            self._advance()
        self.at += size

    def _advance(self) -> None:
        if self.end + 4 > len(self.stream):
            raise cut_short()
        kind, size = _HEAD(self.stream, self.end)
        self.at = self.end + 4
        if kind != CONTINUE or self.at + size > len(self.stream):
            raise cut_short()
        self.end = self.at + size
