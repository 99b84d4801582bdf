"""`--undo-file`: a sheet whose push restores the values that the API had acknowledged before.

It has a row for each patch that was or may have been applied, if an earlier value is known. A field
with an unknown earlier value is blank, so that a push leaves it unchanged. Three more columns are
for the reader and ignored by a push: `undo_clears`, the fields that were empty and are cleared,
`undo_expects`, the values that this push set (JSON) and that should still be there, and
`undo_unknown`, the fields that can't be restored. The last column has the marks by which a push
reads the values as they are, whatever its settings (see `model.own`). Rows without any known value
are in a second file, `*.unknown.csv`, because there is nothing to push. Showings that were created
are in neither, because values can't undo a creation.

The values are the user's own, as they were sent; what looks like a formula has an apostrophe before
it, which a push takes away again (see `model.inert`).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from msgspec import Struct

from bulk_sync.model.inert import inert, inert_cell
from bulk_sync.model.own import Kind, Mark, mark_text, values_header
from bulk_sync.model.rows import CLEARED, Cell, Sent
from bulk_sync.recognise import Output
from bulk_sync.report.written.atomic import remove, replacing
from bulk_sync.report.written.lines import paths_to

CLEARS, EXPECTS, UNKNOWN = "undo_clears", "undo_expects", "undo_unknown"

_ADDRESS = ("showing_id", "unique_showing_key")


class Undo(Struct, frozen=True):
    """The undo file: its rows, the rows without a known value, and whether it clears a field."""

    rows: int
    unknown: int
    clears: bool


def unknown_path(path: Path) -> Path:
    """Return the path of the second file, with the rows that can't be restored."""
    return path.with_name(f"{path.stem}.unknown.csv")


def write_undo(
    path: Path, sent: Callable[[], Iterable[Sent]], checkpoint: Path | None = None
) -> Undo:
    """Write both files, the second only if it has a row.

    `sent` returns the patches from the start at each call. `checkpoint` is the one of the job.
    Raises OutputError.
    """
    # Several passes instead of a list of all patches, so that memory stays constant.
    fields = _fields(sent())
    rows, clears = 0, False
    with replacing(path, Output.UNDO) as file:
        writer = csv.writer(file, lineterminator="\r\n")
        columns = [*_ADDRESS, *fields]
        own = values_header(Kind.UNDO, columns, paths_to(checkpoint, path) if checkpoint else ())
        writer.writerow([*columns, CLEARS, EXPECTS, UNKNOWN, own])
        for one in sent():
            earlier = _earlier(one)
            if earlier:
                rows += 1
                cleared = [name for name in fields if name in earlier and earlier[name] is None]
                clears |= bool(cleared)
                cells = (*_address(one), *(_cell(earlier, name) for name in fields))
                reader = (" ".join(cleared), *_for_the_reader(one))
                writer.writerow([*map(inert_cell, cells), *reader, mark_text(Mark(cells))])
    unknown = _write_unknown(unknown_path(path), (one for one in sent() if not _known(one)))
    return Undo(rows, unknown, clears)


def _write_unknown(path: Path, sent: Iterator[Sent]) -> int:
    first = next(sent, None)
    if first is None:
        remove(path, Output.UNKNOWN)
        return 0
    count = 0
    with replacing(path, Output.UNKNOWN) as file:
        writer = csv.writer(file, lineterminator="\r\n")
        own = values_header(Kind.UNKNOWN, _ADDRESS)
        writer.writerow(["row", *_ADDRESS, EXPECTS, UNKNOWN, own])
        for one in chain((first,), sent):
            count += 1
            writer.writerow([one.number, *map(inert, _address(one)), *_for_the_reader(one), ""])
    return count


def _address(one: Sent) -> tuple[str, str]:
    """Return the cells of id and key; one is blank, because a key next to an id is a change."""
    return ("", one.target) if one.target == one.key else (one.target, "")


def _known(one: Sent) -> bool:
    return bool(one.before.keys() & _set(one).keys())


def _set(one: Sent) -> dict[str, Any]:
    """Return the fields that a patch set, without those that address the showing."""
    return {name: value for name, value in one.values.items() if name not in _ADDRESS}


def _earlier(one: Sent) -> dict[str, Any]:
    """Return the earlier values of the fields that the patch changed."""
    now = _set(one)
    return {name: value for name, value in one.before.items() if name in now and now[name] != value}


def _fields(sent: Iterable[Sent]) -> list[str]:
    """Return the fields of all rows, in order of appearance."""
    names: dict[str, None] = {}
    for one in sent:
        names |= dict.fromkeys(_earlier(one))
    return list(names)


def _cell(values: dict[str, Any], name: str) -> Cell:
    if name not in values:
        return ""
    value = values[name]
    if value is None:
        return CLEARED
    return value if isinstance(value, str) else json.dumps(value)


def _for_the_reader(one: Sent) -> tuple[str, str]:
    now = _set(one)
    return json.dumps(now, ensure_ascii=False), " ".join(
        name for name in now if name not in one.before
    )
