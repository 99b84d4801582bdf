"""The layout of a database: its tables, indexes and views, compared with the ones that we make.

A view or a trigger that somebody added could change what is read and sent, and a column of another
type or collation what is equal. So a file must have exactly our tables, each column as we declare
it. The order of columns is not compared, because a migration appends them.

Files of earlier versions are migrated before a row is read, which makes the view anew, and in the
oldest ones the indexes. Their columns' names and types must be ours, and every declaration of a
kind that we use; the defaults differed from release to release.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing

from msgspec import Struct

# More than any version has, and few enough to read.
_MOST_ITEMS = 100
_LONGEST_NAME = 60

_COMMENT = re.compile(r"--[^\n]*")
_QUOTED_NAME = re.compile(r'"(\w+)"', re.ASCII)
_TABLE = re.compile(r"CREATE TABLE \w+ ?\((.*)\)( WITHOUT ROWID)?", re.ASCII | re.DOTALL)
# The declarations that some version of ours makes.
_DECLARATION = re.compile(
    r"(?P<name>\w+) (?P<type>INTEGER|REAL|TEXT)(?: PRIMARY KEY)?(?: CHECK \(only = 1\))?"
    r"(?P<filled> NOT NULL)?(?: DEFAULT (?:\d+|'(?:{}|\[\])?'))?|PRIMARY KEY \(\w+, \w+\)",
    re.ASCII,
)


KINDS = ("table", "index", "view")
"""The kinds of items that a database of ours has."""


class Column(Struct, frozen=True, order=True):
    """A column as declared: its type, and whether it is never NULL."""

    name: str
    type: str
    filled: bool


class Item(Struct, frozen=True):
    """A table, index or view; `parts` are its declarations without comments and blanks."""

    kind: str
    table: str
    parts: frozenset[str]


Layout = Mapping[str, Item]
"""The items of a database by their names."""


def layout_of_script(*scripts: str) -> Layout:
    """Return the layout that statements make in an empty database."""
    with closing(sqlite3.connect(":memory:")) as db:
        for script in scripts:
            db.executescript(script)
        return read_layout(db)


def read_layout(db: sqlite3.Connection) -> Layout:
    """Return the layout of a database; raises ValueError for one that can't be ours."""
    found = db.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_master LIMIT ?", (_MOST_ITEMS,)
    ).fetchall()
    if len(found) == _MOST_ITEMS:
        raise ValueError("it has too many tables")
    items = {}
    for kind, name, table, sql in found:
        if not all(isinstance(text, str) for text in (kind, name, table, sql or "")):
            raise ValueError("the list of its tables can't be read")
        items[name] = Item(kind, table, frozenset(_parts(kind, sql or "")))
    return items


def difference(
    found: Layout, ours: Layout, exactly: Collection[str] = KINDS, also: Collection[str] = ()
) -> str | None:
    """Return how a layout differs from ours; None if it doesn't.

    Kinds that are not compared `exactly` may be declared otherwise: tables with the same columns,
    indexes and views as they like; an index or a view may be missing, and one named in `also` be
    there.
    """
    for name, item in found.items():
        if name in also and item.kind == "index" and item.kind not in exactly:
            continue
        if name not in ours or ours[name].kind != item.kind:
            article = "an" if item.kind == "index" else "a"
            return f"it has {article} {item.kind} {shown(name)}, which is not ours"
    for name, expected in ours.items():
        one = found.get(name)
        if one is None and (expected.kind == "table" or expected.kind in exactly):
            return f"it has no {expected.kind} {name}"
        if one is not None and not _is_as(one, expected, exactly):
            return f"the {expected.kind} {name} in it is not as bulk-sync makes it"
    return None


def tables_of(layout: Layout) -> Iterator[tuple[str, tuple[Column, ...]]]:
    """Yield each table's name and columns."""
    for name, item in layout.items():
        if item.kind == "table":
            yield name, tuple(sorted(_columns(item.parts)))


def shown(name: str) -> str:
    """Return a name from a file as it may be printed."""
    return ascii(name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}...")


def _parts(kind: str, sql: str) -> Iterator[str]:
    text = _QUOTED_NAME.sub(r"\1", " ".join(_COMMENT.sub(" ", sql).split()))
    table = _TABLE.fullmatch(text) if kind == "table" else None
    if table is None:
        yield text
        return
    yield f"rows{table[2] or ''}"
    depth, start = 0, 0
    inner = f"{table[1]},"
    for place, character in enumerate(inner):
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            yield inner[start:place].strip()
            start = place + 1


def _columns(parts: Iterable[str]) -> Iterator[Column]:
    for part in parts:
        found = _DECLARATION.fullmatch(part)
        if found is not None and found["name"]:
            yield Column(found["name"], found["type"], found["filled"] is not None)


def _is_as(item: Item, expected: Item, exactly: Collection[str]) -> bool:
    if item.kind in exactly:
        return item == expected
    if item.kind != "table":
        return item.table == expected.table
    # The same names and types, and no declaration that we never make.
    known = all(_DECLARATION.fullmatch(part) or part.startswith("rows") for part in item.parts)
    found, ours = (
        {(column.name, column.type) for column in _columns(one.parts)} for one in (item, expected)
    )
    return known and found == ours
