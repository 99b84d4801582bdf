"""Examine the values of a database: each of its column's type, in its range, and readable.

SQLite keeps any value in any column, whatever its type says (sqlite.org/datatype3.html), and texts
that are no UTF-8. So what a file holds is looked at before it is used.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from bulk_sync.job.layout import Column
from bulk_sync.model.own import from_typed
from bulk_sync.model.rows import Cell

Readers = Mapping[str, Callable[[str], object]]
"""Functions that read a column's texts, by `table.column`; they raise ValueError."""

_FLAGS = frozenset(
    (
        "in_flight",
        "key_proven",
        "may_have_been_applied",
        "of_settled",
        "only",
        "partial",
        "tried_before",
    )
)
# Generations may be negative. Sums of a billion counts stay below SQLite's largest integer.
_INTEGERS = f"BETWEEN -3 AND {2**40}"
_NANOSECONDS = f"BETWEEN 0 AND {2**63 - 1}"
_REALS = "BETWEEN 0 AND 1e10"  # seconds: three centuries

Value = None | bool | int | float | str

_read_texts = msgspec.json.Decoder(list[str]).decode
_read_names = msgspec.json.Decoder(dict[str, str]).decode
_read_patch = msgspec.json.Decoder(dict[str, Value]).decode


def unsound(table: str, columns: Iterable[Column]) -> str:
    """Return a query that finds a row with a value of another type or out of range."""
    conditions = [_condition(column) for column in columns]
    return f"SELECT 1 FROM {table} WHERE NOT ({' AND '.join(conditions)}) LIMIT 1"


def unreadable(
    db: sqlite3.Connection, table: str, columns: Sequence[Column], readers: Readers
) -> str | None:
    """Return the first column with a text that is no UTF-8 or that its reader refuses."""
    names = [column.name for column in columns if column.type == "TEXT"]
    if not names:
        return None
    read = [
        (place, name, readers[f"{table}.{name}"])
        for place, name in enumerate(names)
        if f"{table}.{name}" in readers
    ]
    # Python's own decoding finds what is no UTF-8: sqlite3.OperationalError.
    rows = db.execute(f"SELECT {', '.join(names)} FROM {table}")
    for row in rows:
        for place, name, reader in read:
            text = row[place]
            if text is not None:
                try:
                    reader(text)
                except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
                    return name
    return None


def read_patch(text: str) -> object:
    """Read a JSON object of plain values; raises ValueError."""
    return _read_patch(text)


def read_values(text: str) -> object:
    """Read a JSON object of plain values, or null; raises ValueError."""
    return None if text == "null" else _read_patch(text)


def read_times(text: str) -> object:
    """Read when fields were acknowledged (see `ledger_entries.times_text`); raises ValueError."""
    found = _read_names(text)
    for at in found:
        if at:
            datetime.fromisoformat(at)
    return found


def read_cells(text: str) -> tuple[Cell, ...]:
    """Read the cells of a row, none after a purge; raises ValueError, TypeError or KeyError."""
    found = json.loads(text)
    if found is None:
        return ()
    if not isinstance(found, list):
        raise TypeError("the cells of a row are a list")
    if "\\ud" in text.lower():
        # Half of a surrogate pair, which no report could be written with: UnicodeEncodeError.
        json.dumps(found, ensure_ascii=False).encode()
    return tuple(map(from_typed, found))


def check_cells(text: str) -> object:
    """Do the same for a check alone: most cells are texts, which takes a tenth of the time."""
    try:
        return _read_texts(text)
    except msgspec.DecodeError:
        return read_cells(text)


def _condition(column: Column) -> str:
    name = column.name
    types = "('{0}')" if column.filled else "('{0}', 'null')"
    kind = f"typeof({name}) IN {types.format(column.type.lower())}"
    match column.type:
        case "TEXT":
            return kind
        case "REAL":
            bounds = f"coalesce({name}, 0) {_REALS}"
        case _ if name in _FLAGS:
            bounds = f"coalesce({name}, 0) IN (0, 1)"
        case _:
            within = _NANOSECONDS if name.endswith("_ns") else _INTEGERS
            bounds = f"coalesce({name}, 0) {within}"
    return f"{kind} AND {bounds}"
