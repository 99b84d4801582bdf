"""From a row to a record or a problem.

Blank cells are left out, so that the showing keeps what it has; outer spaces are
trimmed; everything else of a text stays as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from bulk_sync.check.address import AddressReader
from bulk_sync.check.cells import (
    LONGEST_TEXT,
    BadCell,
    boolean,
    kind_of_event,
    mail_address,
    phone_number,
    plain_text,
    rating,
    refuse_error,
    shown,
    whole_number,
    without_formula,
)
from bulk_sync.check.findings import Findings
from bulk_sync.check.headers import HeaderMap, Names
from bulk_sync.check.instants import BadCells, InstantReader
from bulk_sync.check.moments import text_of_instant
from bulk_sync.check.rules import Rules
from bulk_sync.check.showing import FIELDS, ID_COLUMN, INSTANTS, KEY_COLUMN, ShowingPatch
from bulk_sync.check.usual import FullWay, UsualRows
from bulk_sync.model.rows import Cell, Problem, Record, Row, text_of

READERS: dict[str, Callable[[Cell], object]] = {
    "attendee_name": plain_text,
    "attendee_email": mail_address,
    "attendee_phone": phone_number,
    "agent_name": plain_text,
    "feedback": plain_text,
    "rating": rating,
    "interested": boolean,
    "event_type": kind_of_event,
    "title": plain_text,
    # The contract bounds nothing; an event with a negative number of people, or with millions, is a
    # slip.
    "attendees_count": whole_number(0, 1_000_000),
}
"""The reader of each field that takes one cell; those of `INSTANTS` need their neighbours."""

_FEW_VALUES = frozenset({"rating", "interested", "event_type", "attendees_count"})
"""Fields whose cells repeat so much that what was read of them is kept."""

_MOST_KEPT = 4096

_PLACE = {field: place for place, field in enumerate(ShowingPatch.model_fields)}
_validate = ShowingPatch.__pydantic_validator__.validate_python
_serialize = ShowingPatch.__pydantic_serializer__.to_json


class Checker:
    """Makes patches of the rows of one sheet; `findings` tells what was seen on the way.

    Rows that are written as usual go the short way of `usual`, the rest the full one here.
    """

    def __init__(self, mapping: HeaderMap, rules: Rules, names: Names | None = None) -> None:
        self._findings = Findings()
        self._names = names or Names()
        self._rules = rules
        self._width = len(mapping.columns)
        self._headers = tuple(column.header for column in mapping.columns)
        self._address = AddressReader(mapping)
        at = {field: place for field in FIELDS if (place := mapping.index_of(field)) is not None}
        self._texts = tuple(
            (field, place) for field, place in at.items() if READERS.get(field) is plain_text
        )
        self._others = tuple(
            (field, place)
            for field, place in at.items()
            if field in READERS and READERS[field] is not plain_text
        )
        self._kept: dict[str, dict[Cell, object]] = {field: {} for field in at}
        self._instants_at = tuple(
            (field, place) for field, place in at.items() if field in INSTANTS
        )
        headers = {field: self._headers[place] for field, place in at.items()}
        self._instants = InstantReader(rules, headers, self._findings)
        self._without_example = {
            name for name in (KEY_COLUMN, ID_COLUMN, *at) if mapping.index_of(name) is not None
        }
        clears = bool(rules.clear) or bool(rules.blank_clears)
        repeating = {field: kept for field, kept in self._kept.items() if field in _FEW_VALUES}
        full = FullWay(self._count, self._findings.assume, self._instants.read, self._refuse)
        self._usual = None if clears else UsualRows(mapping, self._names, rules, repeating, full)

    @property
    def findings(self) -> Findings:
        """What was seen so far."""
        for columns, rows in () if self._usual is None else self._usual.counted():
            for column in columns:
                self._findings.filled[column] += rows
        return self._findings

    def check(self, row: Row) -> Record | Problem:
        """Make a patch of a row, or say why it can't be one."""
        usual = None if self._usual is None else self._usual.record(row)
        return self._check(row) if usual is None else usual

    def _check(self, row: Row) -> Record | Problem:
        cells = row.cells
        if len(cells) < self._width:
            cells = (*cells, *("",) * (self._width - len(cells)))
        key, uuid = self._address.key(cells), self._address.id(cells)
        fault = self._fault(row, key) or self._address.problem(cells, key, uuid)
        bad: BadCells = []
        if fault is not None:
            if row.fault is None and len(cells) == self._width:
                self._values(row, cells, bad)  # its dates are evidence all the same
            return Problem(row, "", *fault, key)
        values = self._values(row, cells, bad)
        if bad:
            return self._refuse(row, values, bad, key, uuid)
        self._count(values, key, uuid)
        target = uuid or key
        if not values:
            text = "every field of this row is blank: there is nothing to change"
            return Problem(row, target, "nothing_to_send", text, key)
        if uuid and key:
            values[KEY_COLUMN] = key
        body = body_of(values)
        return Record(row, target, body, digest_of(body), fields_of(values), key)

    def _refuse(
        self, row: Row, values: dict[str, object], bad: BadCells, key: str, uuid: str
    ) -> Problem:
        self._count(values, key, uuid)
        return Problem(row, uuid or key, "bad_value", self._sentences(row, bad), key)

    def _fault(self, row: Row, key: str) -> tuple[str, str] | None:
        """What is wrong with the row as such."""
        if row.fault is not None:
            return "bad_value", row.fault
        cells = row.cells
        if len(cells) > self._width and (beyond := _beyond(cells, self._width)) is not None:
            return "bad_value", (
                f"{shown(beyond)} stands beyond the last column: the row has {len(cells)} cells, "
                f"the header {self._width}; is a cell with a separator missing its quotes?"
            )
        if cells[0] == self._headers[0] and self._is_header(cells):
            return "bad_key", "this row is the header once more: leave it out"
        if key and not key[-1].isdigit() and self._names_columns(key, cells):
            self._findings.other_headers.append(row.number)
            return "bad_key", "this row names columns: it is the header of another table"
        return None

    def _names_columns(self, key: str, cells: tuple[Cell, ...]) -> bool:
        """True for a header in another order than ours: what is below it would be taken for what it
        is not.
        """
        if self._names.field_of(key) is None:
            return False
        named = {
            self._names.field_of(cell)
            for cell in cells
            if isinstance(cell, str) and cell and len(cell) < 60
        }
        return len(named - {None}) > 1 and not named.isdisjoint({KEY_COLUMN, ID_COLUMN})

    def _is_header(self, cells: tuple[Cell, ...]) -> bool:
        return all(
            text_of(cell).strip() == header
            for cell, header in zip(cells, self._headers, strict=False)
        )

    def _values(self, row: Row, cells: tuple[Cell, ...], bad: BadCells) -> dict[str, object]:
        values: dict[str, object] = {}
        special = bool(self._rules.clear) or bool(self._rules.blank_clears)
        for field, place in self._texts:
            cell = cells[place]
            if isinstance(cell, str) and not special:
                cell = cell.strip()
                if not cell:
                    continue
                if cell[0] not in "#E" and len(cell) <= LONGEST_TEXT:
                    values[field] = cell
                    continue
            self._read(field, cell, values, bad)
        for field, place in self._others:
            cell = cells[place]
            if isinstance(cell, str):
                known = self._kept[field].get(cell)
                if known is not None:
                    values[field] = known
                    continue
            self._read(field, cell, values, bad)
        if self._instants_at:
            told = [
                (field, cell)
                for field, place in self._instants_at
                if (cell := self._told(field, cells[place], values)) != ""
            ]
            if told:
                for field, instant in self._instants.read(row.number, told, bad).items():
                    values[field] = text_of_instant(instant)
        return values

    def _read(self, field: str, cell: Cell, values: dict[str, object], bad: BadCells) -> None:
        told = self._told(field, cell, values)
        if isinstance(told, str) and not told:
            return
        try:
            refuse_error(told)
            value = values[field] = READERS[field](told)
        except BadCell as problem:
            bad.append((field, told, problem))
            return
        if field in _FEW_VALUES and isinstance(cell, str) and not self._rules.clear:
            kept = self._kept[field]
            if len(kept) == _MOST_KEPT:
                kept.clear()
            body_of({field: value})  # what is kept was validated, wherever it is used then
            kept[cell] = value

    def _told(self, field: str, cell: Cell, values: dict[str, object]) -> Cell:
        """A cell trimmed; blank also when it clears the field, which `values` then says."""
        text = cell.strip() if isinstance(cell, str) else text_of(cell)
        if text.startswith("=") and READERS.get(field) is not plain_text:
            text = without_formula(text)
        if text:
            if text != self._rules.clear.get(field):
                return text if isinstance(cell, str) else cell
        elif field not in self._rules.blank_clears:
            return ""
        values[field] = None
        return ""

    def _sentences(self, row: Row, bad: BadCells) -> str:
        for field, cell, problem in bad:
            self._findings.found_bad(f"{field}: not {problem}", row.number, shown(cell))
        return "; ".join(f"{field}: {shown(cell)} is not {problem}" for field, cell, problem in bad)

    def _count(self, values: dict[str, object], key: str, uuid: str) -> None:
        filled = self._findings.filled
        filled.update(values.keys())
        if key:
            filled[KEY_COLUMN] += 1
        if uuid:
            filled[ID_COLUMN] += 1
        if self._without_example:
            seen = values | {
                name: text for name, text in ((KEY_COLUMN, key), (ID_COLUMN, uuid)) if text
            }
            for name in self._without_example & seen.keys():
                self._findings.examples[name] = seen[name]
                self._without_example.discard(name)


_FIELDS_OF: dict[tuple[str, ...], tuple[str, ...]] = {}


def fields_of(values: dict[str, object]) -> tuple[str, ...]:
    """The fields of a patch in the contract's order; few sets of them come up, so each is sorted
    once.
    """
    names = tuple(values)
    known = _FIELDS_OF.get(names)
    if known is None:
        known = _FIELDS_OF[names] = tuple(
            sorted((name for name in names if name != KEY_COLUMN), key=_PLACE.__getitem__)
        )
    return known


def body_of(values: dict[str, object]) -> str:
    """The JSON text of a patch, in the contract's order; a value that is no patch's is a bug of
    ours.
    """
    patch: ShowingPatch = _validate(values)
    body: bytes = _serialize(patch, exclude_unset=True)
    return body.decode()


def merged(bodies: Sequence[str]) -> tuple[str, str, str] | str:
    """One patch of several for one showing, (body, digest, fields); a later value takes the place
    of an earlier.

    A sentence instead when together they make no sense.
    """
    values: dict[str, object] = {}
    for body in bodies:
        values.update(json.loads(body))
    start, end = (values.get(name) for name in ("showing_time_start", "showing_time_end"))
    if (
        isinstance(start, str)
        and isinstance(end, str)
        and datetime.fromisoformat(end) < datetime.fromisoformat(start)
    ):
        return f"merged with the others, showing_time_end ({end}) is before showing_time_start ({start})"
    body = body_of(values)
    return body, digest_of(body), " ".join(fields_of(values))


def without_known(body: str, known: Mapping[str, object]) -> tuple[str, str, str] | None:
    """What is left of a patch without what a showing is known to have: (body, digest, fields);
    None: nothing.

    A patch that is addressed by id keeps its key as long as anything is left: it says whose it is.
    """
    values: dict[str, object] = json.loads(body)
    rest = {
        name: value
        for name, value in values.items()
        if name not in known or not same(name, value, known[name])
    }
    if not rest:
        return None
    if KEY_COLUMN in values:
        rest[KEY_COLUMN] = values[KEY_COLUMN]
    left = body_of(rest)
    return left, digest_of(left), " ".join(fields_of(rest))


def same(field: str, one: object, other: object) -> bool:
    """True when the API takes two values of a field for one: instants by what they name, everything
    else exactly.
    """
    if field in INSTANTS and isinstance(one, str) and isinstance(other, str):
        return datetime.fromisoformat(one) == datetime.fromisoformat(other)
    return one == other and type(one) is type(other)


def digest_of(body: str) -> str:
    """The name of a patch's content: half a SHA-256, in hex."""
    return hashlib.sha256(body.encode()).hexdigest()[:32]


def _beyond(cells: tuple[Cell, ...], width: int) -> Cell | None:
    """The first cell that is not blank beyond the last column."""
    return next((cell for cell in cells[width:] if not isinstance(cell, str) or cell.strip()), None)
