"""ZIP archives from anywhere: every byte that is returned was checked.

Sizes are checked before a part is unpacked and again while it is. The unpacking is a loop of our
own over zlib, because ZIP readers differ in what they trust: some ignore the checksum, some the
declared size. Knows nothing of the parts' meaning.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO

# A workbook has a few dozen, and another one for each picture.
MAX_PARTS = 5_000
MAX_UNPACKED_BYTES = 4 * 1024 * 1024 * 1024
"""Total size of the parts that are read, each counted once. It bounds the time, because parts are
streamed; a full sheet of ten columns has a fifth of it as XML.
"""
MAX_RATIO = 200
"""Unpacked to packed size of parts above `RATIO_FROM_BYTES`. A sheet of equal rows reaches 100."""
RATIO_FROM_BYTES = 64 * 1024 * 1024
CHUNK_BYTES = 64 * 1024

# Signature, flags, method, and the lengths of name and extra field (APPNOTE.TXT 4.3.7). The sizes
# are skipped, because a streaming writer leaves them zero and adds them after the data.
_LOCAL_HEADER = struct.Struct("<4s2xHH4x4x4x4xHH")
# Bits of the flags: traditional and strong encryption, and a name in UTF-8 (APPNOTE.TXT 4.4.4).
_ENCRYPTED = 0x1 | 0x40
_UTF_8_NAME = 0x800


class BadArchive(Exception):
    """The archive can't be trusted; the message says why, without the file's name."""


class Archive:
    """The parts of a ZIP file, by names that ignore case and the direction of slashes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        try:
            with zipfile.ZipFile(file) as directory:
                entries, comment = directory.infolist(), directory.comment
        except (
            zipfile.BadZipFile,
            NotImplementedError,
            struct.error,
            ValueError,
            EOFError,
            OSError,
        ):
            raise BadArchive(
                "the file is damaged or cut short: a workbook is a ZIP archive, and the table of "
                "contents at its end can't be read. Download or copy it again, or save it again in "
                "a spreadsheet program"
            ) from None
        # Readers disagree on which of two directories counts: one could check, the other read.
        if b"PK\x05\x06" in comment:
            raise BadArchive("the archive inside holds two tables of contents")
        if len(entries) > MAX_PARTS:
            raise BadArchive(
                f"the archive inside holds {len(entries):,} parts; a workbook has a few dozen"
            )
        self._entries = _by_name(entries)
        # Of the parts read so far; a second reading finds the same bytes.
        self._sizes: dict[str, int] = {}

    def __contains__(self, name: str) -> bool:
        return canonical(name) in self._entries

    def names(self) -> list[str]:
        """Return the canonical names of all parts."""
        return list(self._entries)

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield a part's bytes.

        Raises BadArchive as soon as a size is wrong, and at the end for a wrong checksum.
        """
        entry = self._entries.get(canonical(name))
        if entry is None:
            raise BadArchive(f"the part {name} is missing")
        self._refuse_unsafe(entry)
        checksum = size = 0
        for chunk in self._unpack(entry):
            size += len(chunk)
            # Before the chunk is passed on, so that a false size costs no more than one chunk.
            if size > entry.file_size:
                raise BadArchive(f"the part {name} unpacks to more than it declares")
            checksum = zlib.crc32(chunk, checksum)
            yield chunk
        if size != entry.file_size or checksum != entry.CRC:
            raise BadArchive(f"the part {name} is damaged: its checksum is wrong")

    def read(self, name: str, limit: int) -> bytes:
        """Return a whole part; raises BadArchive when it has more than `limit` bytes."""
        entry = self._entries.get(canonical(name))
        if entry is not None and entry.file_size > limit:
            raise BadArchive(
                f"the part {name} has {entry.file_size:,} bytes; expected {limit:,} at most"
            )
        return b"".join(self.chunks(name))

    def _refuse_unsafe(self, entry: zipfile.ZipInfo) -> None:
        if entry.flag_bits & _ENCRYPTED:
            raise BadArchive("it is protected by a password. Save it without one")
        if entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise BadArchive(
                f"the part {entry.filename} is packed in a way that workbooks don't use"
            )
        packed = entry.compress_size
        if entry.file_size > RATIO_FROM_BYTES and entry.file_size > packed * MAX_RATIO:
            raise BadArchive(
                f"the part {entry.filename} would unpack from {packed:,} to "
                f"{entry.file_size:,} bytes"
            )
        self._sizes[entry.filename] = entry.file_size
        if sum(self._sizes.values()) > MAX_UNPACKED_BYTES:
            raise BadArchive(
                f"its parts unpack to more than {MAX_UNPACKED_BYTES // 2**20:,} MB. Save the sheet "
                "as 'CSV UTF-8', which may have any length"
            )

    def _unpack(self, entry: zipfile.ZipInfo) -> Iterator[bytes]:
        self._file.seek(entry.header_offset)
        header = self._file.read(_LOCAL_HEADER.size)
        if len(header) < _LOCAL_HEADER.size:
            raise BadArchive("the file is cut short")
        magic, flags, method, name_length, extra_length = _LOCAL_HEADER.unpack(header)
        if magic != b"PK\x03\x04" or method != entry.compress_type or flags & _ENCRYPTED:
            raise BadArchive(f"the part {entry.filename} is not where the table of contents says")
        name = self._file.read(name_length).decode(
            "utf-8" if flags & _UTF_8_NAME else "cp437", "replace"
        )
        # A reader that goes by local headers would see another part than the one checked here.
        if canonical(name) != canonical(entry.orig_filename):
            raise BadArchive(f"the part {entry.filename} has two names")
        self._file.seek(extra_length, 1)
        packed = self._packed(entry)
        return packed if method == zipfile.ZIP_STORED else _inflate(packed, entry.filename)

    def _packed(self, entry: zipfile.ZipInfo) -> Iterator[bytes]:
        # The position is kept here, because other parts may be read in between.
        place, left = self._file.tell(), entry.compress_size
        while left:
            self._file.seek(place)
            chunk = self._file.read(min(left, CHUNK_BYTES))
            if not chunk:
                raise BadArchive("the file is cut short")
            place, left = place + len(chunk), left - len(chunk)
            yield chunk


def canonical(name: str) -> str:
    """Return a part's name for comparison, with slashes and case evened out (OPC 6.2.2.3)."""
    return name.replace("\\", "/").lstrip("/").lower()


def _by_name(entries: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    found: dict[str, zipfile.ZipInfo] = {}
    for entry in entries:
        # zipfile ends `filename` at a NUL; the original keeps two such names apart.
        name = canonical(entry.orig_filename)
        if name in found:
            raise BadArchive(f"the archive inside holds two parts called {entry.filename}")
        found[name] = entry
    return found


def _inflate(packed: Iterator[bytes], name: str) -> Iterator[bytes]:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)  # negative: raw deflate, as ZIP has it
    try:
        for chunk in packed:
            rest = chunk
            while rest and not inflater.eof:
                yield inflater.decompress(rest, CHUNK_BYTES)
                rest = inflater.unconsumed_tail
        while not inflater.eof:
            # zlib's remaining output comes in bounded pieces too.
            piece = inflater.decompress(b"", CHUNK_BYTES)
            if not piece:
                break
            yield piece
    except zlib.error:
        raise BadArchive(f"the part {name} is damaged") from None
    if not inflater.eof:
        raise BadArchive(f"the part {name} is cut short")
