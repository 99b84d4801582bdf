"""The mark by which the program knows its own files again, and reads them as it wrote them.

A file of ours has one more column. Its header is `bulk_sync 1 KIND {...}`: the format's version,
the kind of file, and as JSON the other columns with their fields and the settings that gave their
cells a meaning. In each row it has a `Mark`: the cells as they were written, with their types, and
why the row was refused. So a file means the same wherever it is pushed, whatever the settings are
there, and a spreadsheet program may sort it or leave out rows. A file without the column is the
user's, and so is a row with nothing in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from bulk_sync.model.problems import Reason
from bulk_sync.model.rows import CLEARED, Cell, CellError, Cleared, Formatted

VERSION = 1
"""The version of the format."""

MARK = "bulk_sync "
"""The beginning of the header of the column."""

RESULT_COLUMNS = (
    "row",
    "unique_showing_key",
    "state",
    "http_status",
    "attempts",
    "error",
    "message",
    "fields",
    "showing_id",
    "updated_at",
    "sent_at",
    "duration_ms",
)
"""The columns of the results of a push, in their order."""

RESULTS = frozenset({"row", "state", "http_status", "attempts", "error", "message", "fields"})
"""Columns by which the results of a push are recognised. People add columns, and push them."""

DIFFERENCES = frozenset(
    {"row", "row_there", "class", "field", "there", "here", "base", "changed_by", "message"}
)
"""Columns by which the differences of a comparison are recognised."""

NOTES_SHEET = "Notes"
"""The name of the sheet of an empty workbook that explains its columns."""

NOTES_HEADING = "Column, and its name in the API"
"""Its first cell. No cell of it may be the name of a field: a reader would take it for a header."""

_HEADER = re.compile(r"bulk_sync (\d{1,4}) (\w+)(?: (\{.*\}))?", re.ASCII | re.DOTALL)

# Longer texts are kept as a digest; no program changes them into anything else.
_LONGEST_TEXT = 40


class Kind(StrEnum):
    """The kinds of files that can be pushed, and `unknown` for the rows without an earlier value.

    Marks have these names: add to them, don't rename.
    """

    FAILED = "failed"
    RESULTS = "results"
    UNDO = "undo"
    UNKNOWN = "unknown"
    CHANGES = "changes"
    TEMPLATE = "template"

    @property
    def is_of_sheet(self) -> bool:
        """True for rows of a sheet, which are read with its settings; else they are North's."""
        return self in {Kind.FAILED, Kind.RESULTS}


class DamagedMark(ValueError):
    """A mark that no version of the program writes, or a newer one."""


class Source(Struct, frozen=True, omit_defaults=True):
    """The fields and settings by which the cells of a file are read.

    `columns` has the header of each column and the field that it fills, "" for none. `settings`
    are those of `settings.meaning` that are not the default; None when they are not known.
    `escaped` is true of a CSV, where an apostrophe goes before what looks like a formula; see
    `model.inert`. `checkpoint` has the paths of that of the sheet that the file was made from:
    first the one from the file's folder, then the absolute one. `compared` is a digest of the sheet
    that differed. `renamed` are the columns whose header is another one in the file, with the
    header that they have in the sheet; see `model.headings`.
    """

    columns: tuple[tuple[str, str], ...] = ()
    settings: dict[str, Any] | None = None
    checkpoint: tuple[str, ...] = ()
    compared: str = ""
    escaped: bool = False
    renamed: dict[str, str] = {}


class LongText(Struct, frozen=True):
    """A text of which only the digest is known."""

    digest: str


Original = Cell | LongText


class Mark(Struct, frozen=True):
    """A row as it was written: its cells, and for one that was refused the code and the reasons."""

    cells: tuple[Original, ...]
    code: str | None = None
    why: tuple[Reason, ...] = ()


class _Mark(Struct, frozen=True, omit_defaults=True):
    row: list[Any]
    code: str | None = None
    why: tuple[Reason, ...] = ()


_decode_source = msgspec.json.Decoder(Source).decode
_decode_mark = msgspec.json.Decoder(_Mark).decode


def source_text(source: Source) -> str:
    """Return a source as JSON."""
    return msgspec.json.encode(source).decode()


def read_source(text: str) -> Source:
    """Return a source from its JSON; raises DamagedMark."""
    try:
        return _decode_source(text)
    except (msgspec.DecodeError, RecursionError):
        raise DamagedMark("it is not one that bulk-sync writes") from None


def header_text(kind: Kind, source: str) -> str:
    """Return the header of the column; `source` is JSON, as `source_text` makes it."""
    return f"{MARK}{VERSION} {kind} {source}"


def is_mark(header: str) -> bool:
    """Return True for a header of ours, also one of another version."""
    return header.startswith(MARK) and _HEADER.fullmatch(header) is not None


def read_header(header: str) -> tuple[Kind, Source]:
    """Return the kind and the source that the header of the column names; raises DamagedMark."""
    match = _HEADER.fullmatch(header)
    if match is None or int(match[1]) < VERSION:
        raise DamagedMark("it is not one that bulk-sync writes")
    if int(match[1]) > VERSION:
        raise DamagedMark("it was written by a newer version of bulk-sync")
    try:
        return Kind(match[2]), read_source(match[3] or "{}")
    except DamagedMark:
        raise
    except ValueError:
        raise DamagedMark("it is not one that bulk-sync writes") from None


def values_header(
    kind: Kind,
    fields: Sequence[str],
    checkpoint: tuple[str, ...] = (),
    compared: str = "",
    *,
    escaped: bool = True,
) -> str:
    """Return the header of the column in a file of North's values: each column is a field."""
    columns = tuple((name, name) for name in fields)
    source = Source(columns, checkpoint=checkpoint, compared=compared, escaped=escaped)
    return header_text(kind, source_text(source))


def of_checkpoint(
    source: str, names: Sequence[str], checkpoint: tuple[str, ...], *, escaped: bool
) -> Source:
    """Return the source of a file with cells of a sheet: `source` is that of its job, as JSON.

    `names` are the headers of its columns; an empty `source` is of a job that kept none.
    """
    known = read_source(source) if source else Source(tuple((name, "") for name in names))
    columns = known.columns[: len(names)]
    return replace(known, columns=columns, checkpoint=checkpoint, escaped=escaped)


def mark_text(mark: Mark) -> str:
    """Return the cell of a row as JSON."""
    row = [_encoded(cell) for cell in mark.cells]
    return msgspec.json.encode(_Mark(row, mark.code, mark.why)).decode()


def read_mark(text: str) -> Mark:
    """Return the mark in the cell of a row; raises DamagedMark."""
    try:
        found = _decode_mark(text)
        return Mark(tuple(map(_decoded, found.row)), found.code, found.why)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError, msgspec.DecodeError):
        raise DamagedMark(text[:_LONGEST_TEXT]) from None


def digest_of_text(text: str) -> str:
    """Return a digest of a text, whatever ends its lines and surrounds it."""
    plain = "\n".join(text.strip().splitlines())
    return sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()[:16]


# Cells


def typed(cell: Cell) -> str | list[str]:
    """Return a cell as JSON has it: a text, or the type and the exact value of any other."""
    if isinstance(cell, str):
        return cell
    for cls in type(cell).__mro__:
        if (found := _WRITERS.get(cls)) is not None:
            kind, write = found
            return [kind, write(cell)]
    raise TypeError(type(cell).__name__)


def from_typed(encoded: object) -> Cell:
    """Return the cell of `typed`; raises ValueError, KeyError or TypeError for anything else."""
    if isinstance(encoded, str):
        return encoded
    if not isinstance(encoded, list) or not all(isinstance(part, str) for part in encoded):
        raise TypeError("a cell is a text, or a type and a value")
    kind, text = encoded
    cell: Cell = _TYPES[kind][2](text)
    return cell


def _duration(text: str) -> timedelta:
    return timedelta(microseconds=int(text))


# By the name in the JSON: the type, and how its values are written and read.
_TYPES: dict[str, tuple[type, Any, Any]] = {
    "bool": (bool, str, lambda text: {"True": True, "False": False}[text]),
    "int": (int, str, int),
    "float": (float, repr, float),
    "datetime": (datetime, datetime.isoformat, datetime.fromisoformat),
    "date": (date, date.isoformat, date.fromisoformat),
    "time": (time, time.isoformat, time.fromisoformat),
    "duration": (timedelta, lambda span: str(span // timedelta(microseconds=1)), _duration),
    "error": (CellError, lambda cell: cell.code, CellError),
    "formatted": (
        Formatted,
        lambda cell: msgspec.json.encode(cell).decode(),
        lambda text: msgspec.json.decode(text, type=Formatted),
    ),
    "cleared": (Cleared, lambda _: "", lambda _: CLEARED),
}

_WRITERS = {cls: (kind, write) for kind, (cls, write, _) in _TYPES.items()}


def _encoded(cell: Original) -> str | list[str]:
    if isinstance(cell, LongText):
        return ["digest", cell.digest]
    if isinstance(cell, str) and len(cell) > _LONGEST_TEXT:
        return ["digest", digest_of_text(cell)]
    return typed(cell)


def _decoded(encoded: object) -> Original:
    if isinstance(encoded, list) and encoded[:1] == ["digest"]:
        (_, digest) = encoded
        return LongText(str(digest))
    return from_typed(encoded)
