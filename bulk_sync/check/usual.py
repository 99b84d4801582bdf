"""The short way of a row: for one whose cells are all written as nearly everybody writes them.

`Checker` has the full way, and it alone says what a cell means, what is wrong and what was
assumed. The short way gives the very record that the full one would, or None: then nothing was
noted of the row, and it goes the full way. Only dates and times may be written in any way.
A test holds the two against each other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from hashlib import sha256
from typing import Final, NamedTuple, TypeVar

import msgspec

from bulk_sync.check.address import PLAIN_KEY, UUID
from bulk_sync.check.cells import LONGEST_TEXT, PLAIN_LOCAL_PART, BadCell, is_plain_address
from bulk_sync.check.headers import HeaderMap, Names
from bulk_sync.check.instants import BadCells
from bulk_sync.check.moments import Written, exact, resolve, text_of_instant, written
from bulk_sync.check.rules import Rules
from bulk_sync.check.showing import ID_COLUMN, INSTANTS, KEY_COLUMN, ShowingPatch
from bulk_sync.model.rows import Cell, Problem, Record, Row

K = TypeVar("K")
V = TypeVar("V")

_MOST_KEPT: Final = 4096
"""Pieces of cells that are kept of a kind; a sheet in which more of them come up gains nothing from
keeping them.
"""

_is_plain_key = PLAIN_KEY.fullmatch
_is_uuid = UUID.fullmatch
_is_plain_local_part = PLAIN_LOCAL_PART.fullmatch


class _Step(NamedTuple):
    """What to do for a field: look its cell up in what is `known`, or `read` it; neither: its text
    is the value.
    """

    field: str
    place: int
    known: Callable[[Cell], object] | None
    read: Callable[[str], str | None] | None


class FullWay(NamedTuple):
    """What the full way does for rows of the short one.

    `note` takes a row's (values, key, id), `assume` (kind, row number, text); `read_instants` is
    that of `InstantReader`; `refuse` makes the problem of a row, its values without the bad ones,
    bad cells, key and id.
    """

    note: Callable[[dict[str, object], str, str], None]
    assume: Callable[[str, int, str], None]
    read_instants: Callable[[int, Sequence[tuple[str, Cell]], BadCells], dict[str, datetime]]
    refuse: Callable[[Row, dict[str, object], BadCells, str, str], Problem]


@dataclass(slots=True)
class _Shape:
    """A set of fields that rows fill, and how many did since that was asked."""

    fields: tuple[str, ...]
    count: int = 0


class UsualRows:
    """Makes records of the rows of one sheet, of which no cell clears a field.

    `known` holds, by field, what the full way read in cells that repeat, as it is now and will be
    then. The first row of each set of fields is given to `FullWay.note`; `counted` knows of the
    others.
    """

    def __init__(
        self,
        mapping: HeaderMap,
        names: Names,
        rules: Rules,
        known: Mapping[str, Mapping[Cell, object]],
        full: FullWay,
    ) -> None:
        self._names = names
        self._full = full
        self._instants = Instants(rules)
        self._width = len(mapping.columns)
        self._first_header = mapping.columns[0].header
        self._key_at = mapping.index_of(KEY_COLUMN)
        self._id_at = mapping.index_of(ID_COLUMN)
        readers: dict[str, Callable[[str], str | None]] = {
            "attendee_email": MailAddresses().read,
            "attendee_phone": _phone_number,
            KEY_COLUMN: str,
        }
        readers |= dict.fromkeys(INSTANTS, self._instants.read)
        # In the contract's order, so that the values need not be put into it.
        with_key = tuple(
            _Step(field, place, known[field].get if field in known else None, readers.get(field))
            for field in ShowingPatch.model_fields
            if (place := mapping.index_of(field)) is not None
        )
        by_key = tuple(step for step in with_key if step.field != KEY_COLUMN)
        self._steps = (by_key, by_key, with_key)
        self._steps_to_tell = tuple(tuple(map(_to_tell, steps)) for steps in self._steps)
        self._failed = ""
        self._has_span = {"showing_time_start", "showing_time_end"} <= {
            step.field for step in with_key
        }
        # By how a row addresses its showing: by its key, its id, or its id with the key in the
        # patch.
        self._shapes: tuple[dict[tuple[str, ...], _Shape], ...] = ({}, {}, {})

    def record(self, row: Row) -> Record | Problem | None:
        """The record of a row; a problem when nothing but its instants is wrong; None when it is to
        go the full way.
        """
        number, cells, fault = row
        if (
            fault is not None
            or (len(cells) != self._width and not self._fits(cells))
            or cells[0] == self._first_header
        ):
            return None
        key = "" if self._key_at is None else cells[self._key_at]
        uuid = "" if self._id_at is None else cells[self._id_at]
        if not isinstance(key, str) or not isinstance(uuid, str) or not self._addresses(key, uuid):
            return None
        uuid = uuid.lower()
        way = 0 if not uuid else 2 if key else 1
        assumed = self._instants.assumed
        if assumed:
            assumed.clear()  # they are of a row that went the full way
        self._failed = ""
        values = self._values(cells, self._steps[way])
        if values is not None and self._has_span and not _in_order(values):
            values, self._failed = None, "showing_time_end"
        if values is None:
            bad: BadCells = []
            values = self._with_odd_instants(number, cells, way, bad)
            if values is None:
                return None
            if bad:
                return self._full.refuse(row, values, bad, key, uuid)
        names = tuple(values)
        shape = self._shapes[way].get(names)
        if shape is None:
            fields = tuple(name for name in names if name != KEY_COLUMN)
            if not fields:
                return None  # there is nothing to send
            shape = self._shapes[way][names] = _Shape(fields)
            self._full.note({field: values[field] for field in fields}, key, uuid)
        else:
            shape.count += 1
        if assumed:
            for kind, text in assumed:
                self._full.assume(kind, number, text)
        body = msgspec.json.encode(values)
        return Record(
            row, uuid or key, body.decode(), sha256(body).hexdigest()[:32], shape.fields, key
        )

    def _with_odd_instants(
        self, number: int, cells: tuple[Cell, ...], way: int, bad: BadCells
    ) -> dict[str, object] | None:
        """The values of a row of which nothing but instants is unusual; those are read the full
        way.

        None, and then nothing was noted, when something else is. When there are `bad` ones, the
        values are what is left, without the key.
        """
        if self._failed not in INSTANTS:
            return None
        self._instants.assumed.clear()
        values = self._values(cells, self._steps_to_tell[way])
        if values is None:
            return None
        told = [
            (field, text)
            for field, text in values.items()
            if field in INSTANTS and isinstance(text, str)
        ]
        found = self._full.read_instants(number, told, bad)
        if bad:
            values = {
                field: value
                for field, value in values.items()
                if field not in INSTANTS and field != KEY_COLUMN
            }
        for field, instant in found.items():
            values[field] = text_of_instant(instant)
        return values

    def counted(self) -> Iterator[tuple[tuple[str, ...], int]]:
        """Columns that rows filled, and how many did so since this was last asked."""
        for shapes, told in zip(
            self._shapes, ((KEY_COLUMN,), (ID_COLUMN,), (KEY_COLUMN, ID_COLUMN)), strict=True
        ):
            for shape in shapes.values():
                yield (*shape.fields, *told), shape.count
                shape.count = 0

    def _fits(self, cells: tuple[Cell, ...]) -> bool:
        """True for a row that is no shorter than the header, and blank beyond it."""
        return (
            len(cells) >= self._width and cells[self._width :].count("") == len(cells) - self._width
        )

    def _addresses(self, key: str, uuid: str) -> bool:
        """True when there is nothing to say against key and id as they stand."""
        if uuid and not _is_uuid(uuid):
            return False
        if not key:
            return uuid != ""
        # A name of a column where a key should be may be the header of another table.
        return _is_plain_key(key) is not None and (
            key[-1].isdigit() or self._names.field_of(key) is None
        )

    def _values(
        self, cells: tuple[Cell, ...], steps: tuple[_Step, ...]
    ) -> dict[str, object] | None:
        values: dict[str, object] = {}
        for field, place, known, read in steps:
            cell = cells[place]
            if not cell:
                if cell != "":
                    return None
            elif known is not None:
                value = known(cell)
                if value is None:
                    return None
                values[field] = value
            elif not isinstance(cell, str):
                return None
            elif text := cell.strip():
                if read is None:
                    if text[0] in "#E" or len(text) > LONGEST_TEXT:
                        return None
                    values[field] = text
                else:
                    value = read(text)
                    if value is None:
                        self._failed = field
                        return None
                    values[field] = value
        return values


# A date and a time with one blank between them, of which neither changes how the other is read.
_DAY = re.compile(
    r"\d{4}-\d\d-\d\d|\d{1,2}/\d{1,2}/(?:\d{4}|\d\d)|\d{1,2}\.\d{1,2}\.\d{4}", re.ASCII
)
_TIME = re.compile(r"\d{1,2}:\d\d(?::\d\d)?(?: ?[AaPp][Mm])?", re.ASCII)


class Instants:
    """Reads instants in the usual forms, with what was learned of their pieces.

    Whether a day, a time of day and an offset exist, and how each is written, does not hang on the
    other two. What was assumed is in `assumed`, as (kind, text), for whoever makes a record of it.
    """

    def __init__(self, rules: Rules) -> None:
        self._zone = rules.timezone
        self._order = rules.order
        self.assumed: list[tuple[str, str]] = []
        self._days: dict[str, str] = {}
        self._times: dict[str, str] = {}
        self._offsets: dict[str, str] = {}
        self._dates: dict[str, tuple[date, bool]] = {}
        self._clock: dict[str, tuple[time, bool]] = {}
        self._of_zone: dict[timedelta | None, str] = {}

    def read(self, text: str) -> str | None:
        """The instant as it is sent; None when the text is of another form, or of no instant."""
        try:
            return self._days[text[:10]] + self._times[text[10:19]] + self._offsets[text[19:]]
        except KeyError:
            return self._read_exact(text) or self._read_local(text)

    def _read_exact(self, text: str) -> str | None:
        instant = exact(text)
        if instant is None:
            return None
        told = text_of_instant(instant)
        if (
            told[:10] == text[:10] and told[11:19] == text[11:19]
        ):  # else it was 24:00, which is of another day
            _keep(self._days, text[:10], told[:10])
            _keep(self._times, text[10:19], told[10:19])
            _keep(self._offsets, text[19:], told[19:])
        return told

    def _read_local(self, text: str) -> str | None:
        """A date and a time without an offset: in the zone of the rules, unless clocks are changed
        around it.
        """
        of_day, _, of_time = text.partition(" ")
        if not (of_day in self._dates and of_time in self._clock) and not self._learn(
            text, of_day, of_time
        ):
            return None
        day, ordered = self._dates[of_day]
        at, early = self._clock[of_time]
        instant = datetime.combine(day, at, self._zone)
        offset = instant.utcoffset()
        if offset != instant.replace(fold=1).utcoffset():
            return None
        if offset not in self._of_zone:
            try:
                told = text_of_instant(resolve(Written(day, at), self._zone))
            except BadCell:
                return None
            _keep(self._of_zone, offset, told[19:])
        if ordered:
            self.assumed.append(("order", text))
        if early:
            self.assumed.append(("early", text))
        self.assumed.append(("timezone", text))
        return f"{day.isoformat()}T{at.isoformat()}{self._of_zone[offset]}"

    def _learn(self, text: str, of_day: str, of_time: str) -> bool:
        if self._zone is None or not _DAY.fullmatch(of_day) or not _TIME.fullmatch(of_time):
            return False
        try:
            moment = written(text, self._order)
        except BadCell:
            return False
        if moment.day is None or moment.time is None or moment.zone is not None or moment.against:
            return False
        _keep(self._dates, of_day, (moment.day, moment.ordered))
        _keep(self._clock, of_time, (moment.time, moment.early))
        return True


class MailAddresses:
    """Reads mail addresses that are certain to be some, with the domains that were in them."""

    def __init__(self) -> None:
        self._domains: dict[str, str] = {}

    def read(self, text: str) -> str | None:
        """The address; None when only the full check can tell."""
        local, _, domain = text.partition("@")
        if domain in self._domains and _is_plain_local_part(local):
            return text
        if not is_plain_address(text):
            return None
        _keep(self._domains, domain, domain)
        return text


def _keep(kept: dict[K, V], name: K, value: V) -> None:
    if len(kept) >= _MOST_KEPT:
        kept.clear()
    kept[name] = value


def _phone_number(text: str) -> str | None:
    """The text; None when it may be a rounded number, a formula's, or that of one that failed."""
    return (
        None if "E" in text or "e" in text or text[0] in "#=" or len(text) > LONGEST_TEXT else text
    )


def _to_tell(step: _Step) -> _Step:
    """The step for a row whose instants are read the full way: of those the text is taken."""
    return step._replace(read=_no_formula) if step.field in INSTANTS else step


def _no_formula(text: str) -> str | None:
    return None if text[0] == "=" else text


def _in_order(values: dict[str, object]) -> bool:
    """True unless a showing ends before it starts."""
    start, end = values.get("showing_time_start"), values.get("showing_time_end")
    if not isinstance(start, str) or not isinstance(end, str):
        return True
    if start[19:] == end[19:]:
        return start <= end
    return datetime.fromisoformat(start) <= datetime.fromisoformat(end)
