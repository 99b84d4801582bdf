"""A person's night: two sheets, options, and files that the program wrote before."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.helpers import KEY, read_csv, write_sheet
from tests.models.north import FIELDS, id_of, key_of

SHOWINGS = 6
HEADER = ("unique_showing_key", "showing_id", *FIELDS)
CLEAR = "(none)"
BAD = "many"
"""A rating that no sheet may have."""

TEXTS: dict[str, tuple[str, ...]] = {
    "feedback": ("", "Bright", "Dark", "Long words about it", CLEAR),
    "rating": ("", "1", "2", "3", BAD),
    "interested": ("", "yes", "no"),
    "attendee_name": ("", "Ann Example", "Bob Example"),
}
VALUES: dict[str, tuple[Any, ...]] = {
    "feedback": (None, "Bright", "Dark", "Long wor"),
    "rating": (None, 1, 2, 3),
    "interested": (None, True, False),
    "attendee_name": (None, "Ann Example", "Bob Example"),
}
LEDGERS = ("shared", "own", "of the other", "shared later")
SHEETS = ("a", "b")

Stated = dict[str, Any]
"""The values that a row states, None for a field that it clears."""


@dataclass(frozen=True)
class Options:
    """The options of a push that change what is sent."""

    clear: bool = False
    blank_clears: bool = False
    on_duplicate: str = "error"
    limit: int | None = None
    only_changed: bool = False
    fresh: bool = False
    new_key: bool = False
    key: str = KEY
    ambiguous: str = "retry"
    names_ledger: bool = True
    """Whether --ledger is given where the job has it already."""


@dataclass(frozen=True)
class Cut:
    """The point at which a run is cut off: its n-th request or commit."""

    kind: str
    """stop (tidily), before or after (a request's effect), commit (after it), torn (the checkpoint
    has a commit and the shared ledger does not)."""
    number: int


@dataclass(frozen=True)
class Night:
    """Edits, and the act after them; see `Nights.edit` and `Nights.act`."""

    act: tuple[Any, ...]
    edits: tuple[tuple[Any, ...], ...] = ()
    options: Options = Options()
    faults: tuple[tuple[int, str], ...] = ()
    cut: Cut | None = None

    def __str__(self) -> str:
        changed = ", ".join(
            f"{name}={value!r}"
            for name, value in vars(self.options).items()
            if value != getattr(Options, name)
        )
        words = [
            *(f"edit {edit}" for edit in self.edits),
            *(f"fault {fault}" for fault in self.faults),
            f"act {self.act}" + (f" with {changed}" if changed else ""),
        ]
        return "; ".join(words) + (f"; cut {self.cut.kind} {self.cut.number}" if self.cut else "")


# Sheets


@dataclass
class Row:
    """A row of a sheet."""

    showing: int
    cells: dict[str, str]


@dataclass
class Sheet:
    """A sheet of the person; `by` has how its rows name a showing: key, id or both."""

    rows: list[Row]
    by: dict[int, str] = field(default_factory=dict)
    options: Options = Options()
    """Those of its last push."""

    def lines(self) -> Iterator[tuple[str, ...]]:
        for row in self.rows:
            by = self.by.get(row.showing, "key")
            yield (
                "" if by == "id" else key_of(row.showing),
                "" if by == "key" else id_of(row.showing),
                *(row.cells[name] for name in FIELDS),
            )


def stated(cells: dict[str, str], options: Options) -> Stated | None:
    """Return what a row says; None if it is invalid."""
    values: Stated = {}
    for name in FIELDS:
        text = cells.get(name, "")
        if text == "":
            if name == "attendee_name" and options.blank_clears and name in cells:
                values[name] = None
        elif options.clear and text == CLEAR:
            values[name] = None
        elif name == "rating":
            if text == BAD:
                return None
            values[name] = int(text)
        elif name == "interested":
            values[name] = text in {"yes", "true"}
        else:
            values[name] = text
    return values


@dataclass(frozen=True)
class Said:
    """A row of a file that was pushed, as the model reads it."""

    number: int
    showing: int
    values: Stated | None


def winners(rows: Sequence[Said], options: Options) -> dict[int, Said]:
    """Return rows by number with the values that count if they are sent; `merge` joins twins."""
    found = {row.number: row for row in rows}
    if options.on_duplicate == "merge":
        for row in rows:
            twins = [one for one in rows if one.showing == row.showing]
            if len(twins) > 1 and row is twins[-1] and all(one.values is not None for one in twins):
                joined: Stated = {}
                for one in twins:
                    joined |= one.values or {}
                found[row.number] = replace(row, values=joined)
    return found


# Our own files


def text_of(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def said_in(path: Path, meaning: Options) -> Iterator[Said]:
    """Yield the rows of one of our files, as they were written."""
    if not path.exists():
        return
    names = {key_of(one): one for one in range(SHOWINGS)}
    names |= {id_of(one): one for one in range(SHOWINGS)}
    for number, line in enumerate(read_csv(path), start=2):
        cleared = set()
        for column in ("undo_clears", "reconcile_clears"):
            cleared |= set((line.get(column) or "").split())
        cells = {name: line[name] for name in FIELDS if name in line and name not in cleared}
        values = stated(cells, meaning)
        name = line.get("showing_id") or line["unique_showing_key"]
        yield Said(number, names[name], None if values is None else values | dict.fromkeys(cleared))


def replace_cells(path: Path, column: str, old: str, new: str) -> None:
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    place = header.index(column)
    for row in rows:
        if row[place] == old:
            row[place] = new
    write_sheet(path, rows, header)
