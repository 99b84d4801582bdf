"""A plain model of how rows and options become patches and refusals. Slow, and simple to check.

It is written from the guide and not from `bulk_sync.check`, so that one mistake isn't made twice;
`tests/unit/test_options.py` compares the two on random sheets and options. It knows the few headers
and forms of cells that these have, and every option that gives them a meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from math import floor
from typing import Literal
from zoneinfo import ZoneInfo

KEY = "unique_showing_key"

# By header, the field that it names.
FIELD_OF = {
    "unique_showing_key": KEY,
    "Showing Key": KEY,
    "feedback": "feedback",
    "Comments": "feedback",
    "rating": "rating",
    "Stars": "rating",
    "title": "title",
    "showing_date": "showing_date",
}

Line = Sequence[str]
Body = dict[str, object]


@dataclass(frozen=True)
class Options:
    """Options of a check. `map` has header or `column N`, and field; `rows` first and last."""

    map: tuple[tuple[str, str], ...] = ()
    header_row: int | None = None
    strict: bool = False
    clear: str | None = None
    field_clears: dict[str, str] = field(default_factory=dict)
    blank_clears: frozenset[str] = frozenset()
    on_duplicate: Literal["error", "last", "merge"] = "error"
    date_order: Literal["mdy", "dmy"] | None = None
    default_time: str | None = None
    timezone: str = "UTC"
    scale: tuple[int, int] | None = None
    rows: tuple[tuple[int, int], ...] = ()
    where: tuple[tuple[str, str], ...] = ()
    limit: int | None = None


@dataclass(frozen=True)
class Outcome:
    """The end of a row before anything is sent: its state, and its patch or its error."""

    state: Literal["pending", "superseded", "invalid"]
    body: Body | None = None
    error: str | None = None


class Refused(Exception):
    """The whole sheet is refused, with this exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class _Row:
    number: int
    key: str
    body: Body
    by_blank: set[str]
    error: str | None

    @property
    def counts_for_its_showing(self) -> bool:
        return self.key != "" and self.error in {None, "bad_value"}


def outcomes(lines: Sequence[Line], options: Options) -> dict[int, Outcome]:
    """Return the outcome of each row that is taken, by its number; raises Refused."""
    at = _header(lines, options)
    fields = _fields([cell.strip() for cell in lines[at - 1]], options)
    below = [(number, line) for number, line in enumerate(lines, start=1) if number > at]
    below = [(number, line) for number, line in below if any(cell.strip() for cell in line)]
    wanted = _wanted([cell.strip() for cell in lines[at - 1]], options)
    rows = [_row(number, line, fields, lines[at - 1], options) for number, line in below]
    taken = _taken(below, wanted, options)
    if options.date_order is None and "showing_date" in fields:
        place = fields.index("showing_date")
        if any(_is_against(line[place]) for _, line in below):
            raise Refused(4)
    settled = _settled(rows, set(taken), options)
    return {number: settled[number] for number in taken}


# The header


def _header(lines: Sequence[Line], options: Options) -> int:
    """Return the number of the header: the one given, or the first line that names columns."""
    if options.header_row is not None:
        return options.header_row
    mapped = dict(options.map)
    for number, line in enumerate(lines, start=1):
        named = {
            mapped.get(cell.strip(), FIELD_OF.get(cell.strip()))
            for place, cell in enumerate(line, start=1)
            if f"column {place}" not in mapped
        }
        placed = {
            mapped[f"column {place}"]
            for place, _ in enumerate(line, start=1)
            if f"column {place}" in mapped
        }
        if named - {None, ""} and KEY in named | placed:
            return number
    return next(number for number, line in enumerate(lines, 1) if any(map(str.strip, line)))


def _fields(header: Sequence[str], options: Options) -> list[str | None]:
    """Return the field of each column; its width is that of the last header."""
    width = max((place for place, name in enumerate(header, start=1) if name), default=0)
    header = header[:width]
    by_user: dict[int, str] = {}
    for name, target in options.map:
        place = _column(header, name)
        if by_user.get(place, target) != target:
            raise Refused(2)
        by_user[place] = target
    fields = [
        (by_user[place] or None) if place in by_user else FIELD_OF.get(name)
        for place, name in enumerate(header)
    ]
    filled = [one for one in fields if one is not None]
    if len(filled) != len(set(filled)) or KEY not in filled:
        raise Refused(4)
    unknown = [place for place, one in enumerate(fields) if one is None and place not in by_user]
    if options.strict and unknown:
        raise Refused(4)
    return fields


def _column(header: Sequence[str], name: str) -> int:
    places = [place for place, other in enumerate(header) if other == name]
    if not places and name.startswith("column "):
        places = [place for place, _ in enumerate(header) if name == f"column {place + 1}"]
    if len(places) != 1:
        raise Refused(2)
    return places[0]


# Choice of rows


def _wanted(header: Sequence[str], options: Options) -> dict[int, set[str]]:
    wanted: dict[int, set[str]] = {}
    for name, text in options.where:
        wanted.setdefault(_column(header, name), set()).add(text)
    return wanted


def _taken(
    rows: Sequence[tuple[int, Line]], wanted: dict[int, set[str]], options: Options
) -> list[int]:
    """Return the numbers of the rows that are taken; the others are judged, but not sent."""
    taken = [
        number
        for number, line in rows
        if not options.rows or any(first <= number <= last for first, last in options.rows)
    ]
    for first, last in options.rows:
        if rows and not any(first <= number <= last for number, _ in rows):
            raise Refused(4)
    by_number = dict(rows)
    taken = [
        number
        for number in taken
        if all(by_number[number][place].strip() in texts for place, texts in wanted.items())
    ]
    if rows and not taken:
        raise Refused(4)
    return taken[: options.limit]


# Cells


def _row(
    number: int, line: Line, fields: Sequence[str | None], header: Line, options: Options
) -> _Row:
    cells = [cell.strip() for cell in line]
    key = cells[fields.index(KEY)]
    if any(cells[len(fields) :]):
        return _Row(number, "", {}, set(), "bad_value")
    if cells == [cell.strip() for cell in header]:
        return _Row(number, "", {}, set(), "bad_key")
    if not key:
        return _Row(number, "", {}, set(), "missing_key")
    body: Body = {}
    by_blank = set()
    is_bad = False
    for cell, name in zip(cells, fields, strict=False):
        if name is None or name == KEY:
            continue
        if cell == "":
            if name in options.blank_clears:
                body[name] = None
                by_blank.add(name)
        elif cell in {options.clear, options.field_clears.get(name)}:
            body[name] = None
        else:
            try:
                body[name] = _value(name, cell, options)
            except ValueError:
                is_bad = True
    error = "bad_value" if is_bad else None if body else "nothing_to_send"
    return _Row(number, key, body, by_blank, error)


def _value(name: str, cell: str, options: Options) -> object:
    if name == "rating":
        return _rating(int(cell), options.scale or (1, 5))
    return _moment(cell, options) if name == "showing_date" else cell


def _rating(number: int, scale: tuple[int, int]) -> int:
    low, high = scale
    if not low <= number <= high:
        raise ValueError
    # The ends become 1 and 5, halves are rounded up.
    return floor(1 + Fraction(4 * (number - low), high - low) + Fraction(1, 2))


def _moment(cell: str, options: Options) -> datetime:
    if cell.endswith("Z"):
        return datetime.strptime(cell, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    day, _, clock = cell.partition(" ")
    order = "%d/%m/%Y" if options.date_order == "dmy" else "%m/%d/%Y"
    if not clock and options.default_time is None:
        raise ValueError
    local = f"{day} {clock or options.default_time}"
    moment = datetime.strptime(local, f"{order} %H:%M").replace(tzinfo=ZoneInfo(options.timezone))
    return moment.astimezone(UTC)


def _is_against(cell: str) -> bool:
    """Return whether a date can't have the month first, as is assumed."""
    first = cell.strip().partition("/")[0]
    return first.isdigit() and int(first) > 12 and cell.strip().count("/") == 2


# Several rows of one showing


def _settled(rows: Sequence[_Row], taken: set[int], options: Options) -> dict[int, Outcome]:
    settled = {
        row.number: Outcome("invalid", error=row.error) if row.error else _pending(row.body)
        for row in rows
    }
    for key in {row.key for row in rows}:
        twins = [row for row in rows if row.key == key and row.counts_for_its_showing]
        good = [row for row in twins if row.error is None]
        if len(twins) < 2 or not good:
            continue
        lost: list[_Row] = []
        refused: list[_Row] = []
        if options.on_duplicate == "last":
            lost = twins[:-1]
        elif options.on_duplicate == "merge" and good == twins:
            lost = twins[:-1]
            settled[twins[-1].number] = _pending(_merged(twins))
        elif good == twins and all(row.body == twins[0].body for row in twins):
            sent = next((row for row in twins if row.number in taken), twins[0])
            lost = [row for row in twins if row is not sent]
        else:
            refused = good
        settled |= {row.number: Outcome("superseded") for row in lost}
        settled |= {row.number: Outcome("invalid", error="duplicate_key") for row in refused}
    return settled


def _pending(body: Body) -> Outcome:
    return Outcome("pending", body=body)


def _merged(rows: Sequence[_Row]) -> Body:
    """Return the later of the values; a blank cell clears only what no other row has."""
    merged: Body = {}
    for row in rows:
        merged |= {name: None for name in row.by_blank if name not in merged}
    for row in rows:
        merged |= {name: row.body[name] for name in row.body if name not in row.by_blank}
    return merged
