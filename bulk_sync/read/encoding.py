"""The encoding of a text file, in which all of it must be valid.

A byte order mark decides. Without one, valid UTF-8 is UTF-8, and `guess` decides about other text.
Nothing is ever decoded with replacements.
"""

from __future__ import annotations

import codecs
import hashlib
import io
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from bulk_sync.errors import InputError, UsageError
from bulk_sync.read.bounds import MAX_LINE_CHARACTERS

_CHUNK_BYTES = 1 << 17
# Bytes of lines beyond ASCII that a guess is made from; bounds charset-normalizer's time.
_SAMPLE_BYTES = 1 << 16

_MARKS = (  # longer ones first, because UTF-32's begins like UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Python's codecs that no file is written in, or that decode to surrogates.
_NO_CHARSETS = frozenset(
    {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7", "mbcs"}
)

# Switches to Japanese, Korean or Chinese in ISO 2022, whose text otherwise looks like ASCII.
_SHIFT = "\x1b$"

_TITLES = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8 with byte order mark",
    "utf-16": "UTF-16",
    "utf-32": "UTF-32",
    "cp1252": "Windows-1252",
}


class Encoding(Struct, frozen=True):
    """An encoding in which all of the file is valid.

    `codec` is Python's name, `digest` the SHA-256 of the file's bytes in hex, and `note` says what
    was guessed. `quotes` and `backslash_quotes`: the text has `"`, and `\\"`.
    """

    codec: str
    digest: str
    note: str | None = None
    quotes: bool = False
    backslash_quotes: bool = False

    @property
    def title(self) -> str:
        """The encoding's name for people."""
        return _TITLES.get(self.codec, self.codec)


def find_encoding(file: io.BufferedReader, path: Path, given: str | None) -> Encoding:
    """Find the encoding by reading the whole file once, or twice when it is not UTF-8.

    `given` is the user's option. Raises InputError with the line of an invalid byte, UsageError for
    an unknown `given`.
    """
    file.seek(0)
    mark = _bom_codec(file.read(4))
    codec = _codec_of(given) if given is not None else mark or "utf-8"
    if given is not None and mark is not None and mark.startswith(codec):
        codec = mark  # so that the mark is not read as text
    elif given is not None and codec == "utf-8-sig":
        codec = "utf-8"  # without a mark, the mark's codec reads the same text
    first = _read_through(file, codec)
    if first.bad_line is None:
        return _accepted(first, codec, path)
    if given is not None or mark is not None:
        raise InputError(
            f"{path}: line {first.bad_line} is not valid {_TITLES.get(codec, codec)}"
            f"{'' if given is None else ', as --encoding says'}. Save the file as 'CSV UTF-8', or "
            "name its encoding with --encoding"
        )
    if b"\0" in first.sample:
        raise _holds_nul(path, first.bad_line)
    # Imported late: its rules take a sixth of the time in which the program starts.
    from bulk_sync.read.guess import guess

    codec = guess(first.sample, path, first.bad_line)
    second = _read_through(file, codec)
    if second.bad_line is not None:
        raise InputError(
            f"{path}: line {first.bad_line} is not UTF-8 text, and line {second.bad_line} not "
            f"{_TITLES.get(codec, codec)}. Save the file as 'CSV UTF-8', or name its encoding with "
            "--encoding"
        )
    title = _TITLES.get(codec, codec)
    note = (
        f"The file is not UTF-8 and was taken for {title}: line {first.bad_line} reads "
        f"{_around(first.sample, codec)!r}. If that is wrong, name the encoding with --encoding."
    )
    return _accepted(second, codec, path, note)


def _accepted(seen: _Seen, codec: str, path: Path, note: str | None = None) -> Encoding:
    if seen.nul_line is not None:
        raise _holds_nul(path, seen.nul_line)
    if seen.long_line is not None:
        raise InputError(
            f"{path}: line {seen.long_line} has more than {MAX_LINE_CHARACTERS:,} "
            "characters, and no row of a sheet is that long. Check that the file is a table with a "
            "line for each row"
        )
    if seen.shift_line is not None:
        raise InputError(
            f"{path}: line {seen.shift_line} switches to another alphabet as ISO 2022 does. Save "
            "the file as 'CSV UTF-8', or name its encoding with --encoding, such as iso2022_jp or "
            "iso2022_kr"
        )
    return Encoding(codec, seen.digest, note, seen.quotes, seen.backslash_quotes)


def _holds_nul(path: Path, line: int) -> InputError:
    return InputError(
        f"{path}: line {line} holds a NUL character. Either the file is damaged: export it again. "
        "Or it is in UTF-16 without a byte order mark: name that with --encoding utf-16-le or "
        "--encoding utf-16-be"
    )


def _bom_codec(head: bytes) -> str | None:
    return next((codec for mark, codec in _MARKS if head.startswith(mark)), None)


def _codec_of(name: str) -> str:
    try:
        codec = codecs.lookup(name).name
        "".encode(codec)  # fails for a codec that is not of text, such as base64
    except (LookupError, UnicodeError):
        codec = None
    if codec is None or codec in _NO_CHARSETS:
        raise UsageError(
            f"--encoding {name!r}: no such encoding; write it as utf-8, utf-16, cp1252 or latin-1"
        )
    return codec


@dataclass(slots=True)
class _Seen:
    """Findings of one reading of the bytes; lines count from 1."""

    digest: str = ""
    bad_line: int | None = None
    nul_line: int | None = None
    shift_line: int | None = None
    long_line: int | None = None
    sample: bytes = b""
    quotes: bool = False
    backslash_quotes: bool = False


def _read_through(file: io.BufferedReader, codec: str) -> _Seen:
    seen = _Seen()
    hashed = hashlib.sha256()
    decoder = codecs.getincrementaldecoder(codec)()
    bad = nul = shift = long = None
    line_length = 0  # of the line that goes on in the next chunk
    file.seek(0)
    for number in itertools.count():
        chunk = file.read(_CHUNK_BYTES)
        hashed.update(chunk)
        if bad is None:
            try:
                text = decoder.decode(chunk, final=not chunk)
            # UTF-16 without a byte order mark raises a plain UnicodeError, at the first bytes.
            except UnicodeError as error:
                bad = _Place(number, _decoded_before(error, codec))
                seen.sample = b""
            else:
                # ASCII in UTF-16 without a mark is valid UTF-8 with NULs.
                if nul is None and "\0" in text:
                    nul = _Place(number, text[: text.index("\0")])
                end = max(text.rfind("\n"), text.rfind("\r"))
                line_length = line_length + len(text) if end < 0 else len(text) - end
                if long is None and line_length > MAX_LINE_CHARACTERS:
                    long = _Place(number, "")
                # To find one character is many times faster than to find two.
                if shift is None and _SHIFT[0] in text and _SHIFT in text:
                    shift = _Place(number, text[: text.index(_SHIFT)])
                seen.quotes = seen.quotes or '"' in text
                seen.backslash_quotes = seen.backslash_quotes or ("\\" in text and '\\"' in text)
        if len(seen.sample) < _SAMPLE_BYTES:
            seen.sample += _lines_beyond_ascii(chunk, _SAMPLE_BYTES - len(seen.sample))
        if not chunk:
            break
    seen.digest = hashed.hexdigest()
    seen.bad_line, seen.nul_line, seen.shift_line, seen.long_line = (
        _line_of(place, file, codec) for place in (bad, nul, shift, long)
    )
    return seen


class _Place(NamedTuple):
    """A position in the file: after whole chunks, and after a text of the next one."""

    chunks: int
    text: str


def _line_of(place: _Place | None, file: io.BufferedReader, codec: str) -> int | None:
    """Return the line of a place; lines are counted only when something is wrong."""
    if place is None:
        return None
    decoder = codecs.getincrementaldecoder(codec)()
    # Turns every kind of line end into "\n".
    lines = io.IncrementalNewlineDecoder(None, translate=True)
    file.seek(0)
    before = (decoder.decode(file.read(_CHUNK_BYTES)) for _ in range(place.chunks))
    ended = sum(lines.decode(text).count("\n") for text in before)
    ended += lines.decode(place.text, final=True).count("\n")
    return ended + 1


def _decoded_before(error: UnicodeError, codec: str) -> str:
    if not isinstance(error, UnicodeDecodeError):
        return ""
    before = error.object[: error.start]
    return bytes(before).decode("utf-8" if codec == "utf-8-sig" else codec, errors="ignore")


def _lines_beyond_ascii(chunk: bytes, limit: int) -> bytes:
    """Return a chunk's lines with a letter beyond ASCII, because only those are evidence."""
    if chunk.isascii():
        return b""
    return b"\n".join(line for line in chunk.splitlines() if not line.isascii())[:limit] + b"\n"


def _around(sample: bytes, codec: str) -> str:
    """Return the text around the first letter beyond ASCII, for a person to judge."""
    text = sample.decode(codec, errors="ignore")
    first = next((index for index, letter in enumerate(text) if not letter.isascii()), 0)
    return text[max(0, first - 12) : first + 12].strip()
