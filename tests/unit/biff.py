"""XLS files record by record, as programs write them and as they shouldn't: for the tests."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

Record = tuple[int, bytes]

BIFF5, BIFF8 = 0x0500, 0x0600


def record(kind: int, data: bytes = b"") -> bytes:
    return struct.pack("<HH", kind, len(data)) + data


def text_8(text: str, *, wide: bool = False) -> bytes:
    """A text of BIFF8 with its count in two bytes."""
    data = text.encode("utf-16-le" if wide else "latin-1")
    return struct.pack("<HB", len(data) // (2 if wide else 1), int(wide)) + data


def text_5(data: bytes) -> bytes:
    """A text of BIFF5, encoded already."""
    return struct.pack("<H", len(data)) + data


def label(row: int, column: int, text: bytes, style: int = 0) -> Record:
    return 0x204, struct.pack("<HHH", row, column, style) + text


def number(row: int, column: int, value: float, style: int = 0) -> Record:
    return 0x203, struct.pack("<HHHd", row, column, style, value)


def rk(row: int, column: int, raw: int, style: int = 0) -> Record:
    return 0x27E, struct.pack("<HHHI", row, column, style, raw)


def shared(row: int, column: int, index: int) -> Record:
    return 0xFD, struct.pack("<HHHI", row, column, 0, index)


def formula(row: int, column: int, result: bytes, kind: int = 0x06, style: int = 0) -> Record:
    """A formula with its cached result in eight bytes; the formula itself is 1."""
    parsed = struct.pack("<HIH", 0, 0, 3) + b"\x1e\x01\x00"
    return kind, struct.pack("<HHH", row, column, style) + result + parsed


def special(kind: int, value: int = 0) -> bytes:
    """The cached result of a formula that is no number: 0 a text, 1 a truth value, 2 an error, 3 a
    blank text.
    """
    return struct.pack("<BxBxxxH", kind, value, 0xFFFF)


def stream(
    cells: Sequence[Record],
    *,
    version: int = BIFF8,
    code_page: int | None = 1200,
    formats: Sequence[tuple[int, str]] = (),
    styles: Sequence[int] = (0,),
    strings: Sequence[bytes] = (),
    more: Sequence[Record] = (),
) -> bytes:
    """A workbook stream with one sheet, `S`; `styles` are the ids of the styles' formats.

    `strings` are SST and its CONTINUE records, without the first one's counts.
    """
    head: list[Record] = [(0x809, struct.pack("<HHHHII", version, 5, 0, 0, 0, 0))]
    if code_page is not None:
        head.append((0x42, struct.pack("<H", code_page)))
    head.extend(more)
    for number_, code in formats:
        text = text_8(code) if version == BIFF8 else bytes([len(code)]) + code.encode("ascii")
        head.append((0x41E, struct.pack("<H", number_) + text))
    head.extend((0xE0, struct.pack("<HHH", 0, style, 0) + bytes(14)) for style in styles)
    tail: list[Record] = []
    for index, data in enumerate(strings):
        tail.append((0x3C, data) if index else (0xFC, data))
    tail.append((0x0A, b""))
    name = b"\x01\x00S" if version == BIFF8 else b"\x01S"
    before = b"".join(record(*each) for each in head)
    after = b"".join(record(*each) for each in tail)
    offset = len(before) + 4 + 6 + len(name) + len(after)
    bound = record(0x85, struct.pack("<IBB", offset, 0, 0) + name)
    sheet = [(0x809, struct.pack("<HHHHII", version, 0x10, 0, 0, 0, 0)), *cells, (0x0A, b"")]
    return before + bound + after + b"".join(record(*each) for each in sheet)


KEY = label(0, 0, text_8("key"))
KEY_5 = label(0, 0, text_5(b"key"))


def xls(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
