"""Recognise the files that the program wrote, by their first texts.

A file is looked at before it is read, to know how, and before it is replaced, because only our own
may be. A spreadsheet program may have saved it in between: in another encoding, with another
separator, as another kind of workbook.
"""

from __future__ import annotations

import json
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

from bulk_sync.model.own import DIFFERENCES, MARK, RESULTS, VERSION, Kind

# The header is among the first texts of a file, also after a program has saved it.
_FIRST_BYTES = 1 << 20
_LAST_BYTES = 1 << 16

_CODECS = ("ascii", "utf-16-le", "utf-16-be")
# The parts of XLSX, XLSB and ODS that may have the texts of a header.
_TEXTS = ("sharedstrings.xml", "sharedstrings.bin", "content.xml")

# Whatever zipfile and its decompressors raise for damaged bytes.
_DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    RuntimeError,
    NotImplementedError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
)


class Output(Enum):
    """The kinds of files that a run replaces, by their names in messages."""

    REPORT = "results or differences"
    FAILED = "failed rows"
    UNDO = "earlier values"
    UNKNOWN = "rows that can't be undone"
    CHANGES = "changes"
    TEMPLATE = "differences to edit"
    PAGE = "a page"
    METRICS = "metrics"
    LOG = "a log"
    SHEET = "an empty sheet"


# The beginnings of the marks of a kind.
_MARKS: dict[Output, str] = {
    Output.REPORT: f"{MARK}{VERSION} {Kind.RESULTS} ",
    Output.FAILED: f"{MARK}{VERSION} {Kind.FAILED} ",
    Output.UNDO: f"{MARK}{VERSION} {Kind.UNDO} ",
    Output.UNKNOWN: f"{MARK}{VERSION} {Kind.UNKNOWN} ",
    Output.CHANGES: f"{MARK}{VERSION} {Kind.CHANGES} ",
    Output.TEMPLATE: f"{MARK}{VERSION} {Kind.TEMPLATE} ",
}

# The columns of a kind, in versions that wrote no mark and in files whose mark somebody deleted.
_COLUMNS: dict[Output, tuple[frozenset[str], ...]] = {
    Output.REPORT: (RESULTS, DIFFERENCES),
    Output.UNDO: (frozenset({"undo_clears", "undo_expects"}),),
    Output.UNKNOWN: (frozenset({"undo_expects", "row"}),),
    Output.CHANGES: (frozenset({"reconcile_there"}),),
    Output.TEMPLATE: (frozenset({"reconcile_there"}),),
}

_LOG_LINE = re.compile(
    rb'\d{4}-\d\d-\d\dT[\d:.]+Z (DEBUG|INFO|WARNING|ERROR) |\{"time": "\d{4}-[^"]*", "level": "'
)


def may_be_own(path: Path) -> bool:
    """Return True if the mark's beginning is among a file's first texts; never raises."""
    try:
        return path.is_file() and any(_has(text, MARK) for text in _first_texts(path))
    except _DAMAGE:
        return False  # whoever opens the file says why it can't be read


def may_replace(path: Path, kind: Output) -> bool:
    """Return True if nothing is lost when a file of this kind takes the place of what is there.

    That is nothing, an empty file, or one of the same kind that the program wrote. A log is added
    to, not replaced, and a SHEET replaces none: the earlier one may be filled in. Never raises.
    """
    try:
        if not path.exists():
            return True
        if not path.is_file():
            return False
        if path.stat().st_size == 0:
            return True
        return _is_of_kind(path, kind)
    except _DAMAGE:
        return False


def _is_of_kind(path: Path, kind: Output) -> bool:
    if kind is Output.SHEET:
        return False
    if kind is Output.LOG:
        return _is_log(path)
    if kind is Output.METRICS:
        return _first_bytes(path).startswith((b"# HELP bulk_sync_", b"bulk_sync_"))
    if kind is Output.PAGE:
        head = _first_bytes(path)
        return head.startswith(b"<!doctype html>") and b"<b>bulk-sync</b>" in head
    mark = _MARKS.get(kind)
    if mark is not None and any(_has(text, mark) for text in _first_texts(path)):
        return True
    for found in _first_columns(path):
        if kind is Output.FAILED and found[-1:] == ("error",):
            return True
        if any(columns <= set(found) for columns in _COLUMNS.get(kind, ())):
            return True
    return False


def _has(text: bytes, sign: str) -> bool:
    return any(sign.encode(codec) in text for codec in _CODECS)


def _is_log(path: Path) -> bool:
    """Return True if the first or the last whole line is ours: the last one may have been cut."""
    with path.open("rb") as file:
        first = file.readline(_FIRST_BYTES)
        file.seek(max(0, path.stat().st_size - _LAST_BYTES))
        last = file.read().rstrip(b"\n").splitlines()[-2:]
    return any(_LOG_LINE.match(line) for line in (first, *last))


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_FIRST_BYTES)


def _first_texts(path: Path) -> Iterator[bytes]:
    """Yield the texts that may have the header: of a workbook, some of its parts."""
    head = _first_bytes(path)
    yield head
    if head[:2] == b"PK":
        yield from _parts(path)


def _parts(path: Path) -> Iterator[bytes]:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist()[:1000]:
            plain = name.lower()
            if plain.endswith(_TEXTS) or "worksheets/sheet" in plain:
                with archive.open(name) as part:
                    yield part.read(_FIRST_BYTES)


def _first_columns(path: Path) -> Iterator[tuple[str, ...]]:
    """Yield the names that may be those of a file's columns."""
    head = _first_bytes(path)
    if head[:2] == b"PK":
        for text in _parts(path):
            yield tuple(name.decode() for name in re.findall(rb">([a-z_]+)<", text))
        return
    is_utf16 = head[:2] in {b"\xff\xfe", b"\xfe\xff"}
    line = head.decode("utf-16" if is_utf16 else "utf-8-sig", "replace").partition("\n")[0]
    if line.startswith("{"):
        yield tuple(json.loads(line))
    else:
        yield tuple(name.strip('\r "') for name in re.split("[,;\t|]", line))
