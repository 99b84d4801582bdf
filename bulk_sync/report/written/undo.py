"""`--undo-file`: a sheet whose push would put back what the API had acknowledged before.

One row for each patch that was or may have been applied and of which an earlier value is
known. Under a field's header stands the value that was acknowledged before; a field whose
earlier value is not known stays blank, so that it keeps what it has. Two more columns are for
the reader, and are left out when the file is pushed: `undo_expects`, the values that the push
set (JSON), which should still be there, and `undo_unknown`, the fields that can't be put back.
Rows of which nothing is known stand in a file of their own beside it: there is nothing to push.

The cells are the user's own, as they were sent: they stay exact.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from bulk_sync.model.rows import Sent
from bulk_sync.report.written.atomic import remove, replacing

EXPECTS, UNKNOWN = "undo_expects", "undo_unknown"
CLEARED = "NULL"
"""The cell of a field that was cleared before; `--clear NULL` makes a push clear it again."""

_ADDRESS = ("showing_id", "unique_showing_key")


class Undo(Struct, frozen=True):
    """What an undo file holds: rows that can be put back, rows of which nothing is known, and if
    any was cleared.
    """

    rows: int
    unknown: int
    clears: bool


def beside(path: Path) -> Path:
    """Where the rows stand of which nothing is known."""
    return path.with_name(f"{path.stem}.unknown.csv")


def write_undo(path: Path, sent: Callable[[], Iterable[Sent]]) -> Undo:
    """Write both files, or take one away that would have no row; `sent` gives the patches anew at
    each call.

    Raises OutputError.
    """
    fields = _fields(sent())
    rows = clears = 0
    with replacing(path) as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow([*_ADDRESS, *fields, EXPECTS, UNKNOWN])
        for one in sent():
            earlier = _earlier(one)
            if earlier:
                rows += 1
                clears |= None in earlier.values()
                writer.writerow(
                    [
                        *_address(one),
                        *(_cell(earlier, name) for name in fields),
                        *_for_the_reader(one),
                    ]
                )
    unknown = _write_unknown(beside(path), (one for one in sent() if not _known(one)))
    return Undo(rows, unknown, bool(clears))


def _write_unknown(path: Path, sent: Iterator[Sent]) -> int:
    first = next(sent, None)
    if first is None:
        remove(path)
        return 0
    count = 0
    with replacing(path) as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(["row", *_ADDRESS, EXPECTS, UNKNOWN])
        for count, one in enumerate(_chain(first, sent), start=1):  # noqa: B007 - the count is what is returned
            writer.writerow([one.number, *_address(one), *_for_the_reader(one)])
    return count


def _chain(first: Sent, others: Iterator[Sent]) -> Iterator[Sent]:
    yield first
    yield from others


def _address(one: Sent) -> tuple[str, str]:
    """The cells that address the showing: its id alone, lest its key become part of the patch, or
    its key.
    """
    return ("", one.target) if one.target == one.key else (one.target, "")


def _known(one: Sent) -> bool:
    return bool(one.before.keys() & _set(one).keys())


def _set(one: Sent) -> dict[str, Any]:
    """The fields that a patch set; its key, beside an id, is what it goes by."""
    return {name: value for name, value in one.values.items() if name not in _ADDRESS}


def _earlier(one: Sent) -> dict[str, Any]:
    """The fields that have another value now, as they were."""
    now = _set(one)
    return {name: value for name, value in one.before.items() if name in now and now[name] != value}


def _fields(sent: Iterable[Sent]) -> list[str]:
    """The fields of all rows, in the order in which they come up."""
    names: dict[str, None] = {}
    for one in sent:
        names |= dict.fromkeys(_earlier(one))
    return list(names)


def _cell(values: dict[str, Any], name: str) -> str:
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
