"""Match the header row to fields.

A header names a field by the user's mapping (`--map`), by the field's own name or by an alias. Two
headers for one field, or a header that is nearly a name, are refused with the option that decides,
because a silent choice would put data where it does not belong.
"""

from __future__ import annotations

import difflib
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct

from bulk_sync.check.naming import (
    LONGEST_HEADER,
    TARGETS,
    by_position,
    existing_field,
    header_list,
    map_option,
    place_of,
    plain,
    refuse_moved,
    same_header,
    shortened,
)
from bulk_sync.check.showing import ALIASES, ANYONES, ID_COLUMN, KEY_COLUMN
from bulk_sync.errors import InputError, UsageError
from bulk_sync.model.own import MARK, is_mark
from bulk_sync.model.places import column_name, column_number

OWN_COLUMNS = frozenset(
    {
        "error",
        "undo_expects",
        "undo_unknown",
        "undo_clears",
        "reconcile_row",
        "reconcile_there",
        "reconcile_conflicts",
        "reconcile_clears",
    }
)
"""Columns of our own reports that are for people; a push of such a file ignores them."""

# Names, in their plain form, of columns with time zones.
_ZONES = frozenset({"timezone", "tz", "timezonename", "timezoneid", "utcoffset", "gmtoffset"})

# Words that are usual in headers and only a letter away from a name.
_OTHER_WORDS = frozenset({"reported"})


class Column(Struct, frozen=True):
    """A column of the sheet, counted from 0, and the field it fills; None when it is ignored.

    `why` is `name`, `alias` or `--map`, and of an ignored column `unknown`, `blank`, `--map`,
    `ours` or `ambiguous`. `may_be` is the field that an ambiguous one could fill.
    """

    index: int
    header: str
    field: str | None
    why: str
    may_be: str = ""

    @property
    def name(self) -> str:
        """The header as a message has it, or the place of a column without one."""
        return shortened(self.header) or f"column {self.index + 1}, which has no header"


class HeaderMap(Struct, frozen=True):
    """The columns of a sheet, up to the last header, and those that a profile adds beyond it."""

    columns: tuple[Column, ...]
    added: tuple[Column, ...] = ()

    @property
    def filling(self) -> tuple[Column, ...]:
        """The columns that fill a field."""
        return tuple(one for one in (*self.columns, *self.added) if one.field is not None)

    @property
    def ignored(self) -> tuple[str, ...]:
        """The columns that are ignored without the user having said so."""
        return tuple(column.name for column in self.columns if column.why in {"unknown", "blank"})

    @property
    def ambiguous(self) -> tuple[Column, ...]:
        """The columns that are ignored because they may be about somebody else."""
        return tuple(column for column in self.columns if column.why == "ambiguous")

    @property
    def zones(self) -> tuple[Column, ...]:
        """The columns that may have the time zone of each row; none is read."""
        return tuple(
            column
            for column in self.columns
            if column.why == "unknown" and plain(column.header) in _ZONES
        )

    def index_of(self, field: str) -> int | None:
        """Return the position of the column that fills a field, if any does."""
        return next((column.index for column in self.filling if column.field == field), None)

    def reference(self, column: Column) -> str:
        """Return the name of a column in `--map` and profiles."""
        return _reference(column, self.columns)

    def column_of(self, field: str) -> Column:
        """Return the column that fills a field."""
        return next(column for column in self.filling if column.field == field)


Derive = Callable[[HeaderMap], HeaderMap]
"""Adds the columns that a profile makes."""


class OfProfile(Struct, frozen=True):
    """More of a profile: the headers that the columns had which it names as `column N`, and what it
    makes.
    """

    seen: Mapping[str, str] = {}
    derive: Derive | None = None


class Names:
    """The names of fields in headers; `more` are the user's own aliases, by field.

    Raises UsageError for a field that does not exist, or an alias that is another field's name.
    """

    def __init__(self, more: Mapping[str, Iterable[str]] | None = None) -> None:
        self._field_of: dict[str, str] = {}
        self._anyones = {plain(name) for name in ANYONES}
        for field in TARGETS:
            for name in (field, *ALIASES.get(field, ())):
                self._field_of[plain(name)] = field
        for named, aliases in (more or {}).items():
            field = existing_field(named)
            for alias in aliases:
                self._add(alias, field)
                self._anyones.discard(plain(alias))

    def _add(self, alias: str, field: str) -> None:
        other = self._field_of.get(plain(alias), field)
        if other != field and plain(alias) == plain(other):
            raise UsageError(
                f"the alias {alias!r} of {field} is the name of another field, {other}"
            )
        self._field_of[plain(alias)] = field

    def field_of(self, header: str) -> str | None:
        """Return the field that a header names, if any."""
        return self._field_of.get(plain(header))

    def is_anyones(self, header: str) -> bool:
        """Return True for a name that doesn't say whose phone or address the column has."""
        return plain(header) in self._anyones

    def near(self, header: str) -> list[str]:
        """Return the fields whose names are nearly this header, closest first."""
        name = plain(header)
        if name in _OTHER_WORDS or len(header) > LONGEST_HEADER:
            return []
        # Loose bounds; `_is_typo` decides. That of the length costs the least, for each column.
        least, most = len(name) * 4 // 5, len(name) * 5 // 4 + 1
        names = [other for other in self._field_of if least <= len(other) <= most]
        close = difflib.get_close_matches(name, names, n=6, cutoff=0.7)
        near = [other for other in close if _is_typo(name, other)]
        return list(dict.fromkeys(self._field_of[other] for other in near))

    def closest(self, headers: Sequence[str], field: str) -> str | None:
        """Return the header that is most like a name of a field, if one is similar enough."""
        names = [name for name, target in self._field_of.items() if target == field]
        scored = [
            (difflib.SequenceMatcher(None, plain(header), name).ratio(), header)
            for header in [one for one in headers if len(one) <= _LONGEST_LIKELY][:_MOST_LIKELY]
            for name in names
        ]
        ratio, header = max(scored, default=(0.0, ""))
        return header if ratio >= 0.6 else None


# Headers of which one may be a name of the key: how many, and how long. difflib's time grows with
# the cube of the length.
_MOST_LIKELY = 500
_LONGEST_LIKELY = 60

# More than a header can have columns.
_CERTAIN = 1_000_000


def recognise(
    cells: Sequence[str],
    names: Names,
    mapped: Mapping[str, str],
    seen: Mapping[str, str] | None = None,
) -> int:
    """Count the cells of a row that name columns; 0 when none of them addresses a showing.

    `mapped` is the user's mapping of headers to fields. A column that it names by its place counts
    in every row, whatever the cell there is, but makes none the header: that takes a cell with a
    name. `seen` has the headers that columns had which a profile names by their places: one counts
    where it has that header, and then as a name. The header of one of our own files is certain.
    Raises UsageError for an unknown field.
    """
    if any(cell.startswith(MARK) and is_mark(cell) for cell in cells):
        return _CERTAIN
    by_name: dict[str, str | None] = {}
    by_index: dict[int, str | None] = {}
    found: set[str | None] = set()
    for header, named in mapped.items():
        field = existing_field(named) if named else None
        by_name[plain(header)] = field
        index = column_number(header)
        before = (seen or {}).get(header)
        if index is None:
            continue
        if before is None:
            by_index[index] = field
        elif index < len(cells) and same_header(cells[index], before):
            found.add(field)
    for index, cell in enumerate(cells):
        # A longer cell is text, and normalising it costs time.
        name = plain(cell) if len(cell) <= LONGEST_HEADER else ""
        if name in by_name:
            found.add(by_name[name])
        elif name and index not in by_index:
            found.add(names.field_of(cell))
    placed = {field for index, field in by_index.items() if index < len(cells)}
    fields = (found | placed) - {None}
    return len(fields) if found - {None} and fields & {KEY_COLUMN, ID_COLUMN} else 0


def map_headers(
    headers: Sequence[str],
    source: str,
    *,
    names: Names | None = None,
    mapped: Mapping[str, str] | None = None,
    hints: Mapping[str, str] | None = None,
    strict: bool = False,
    ours: frozenset[str] = frozenset(),
    profile: OfProfile | None = None,
) -> HeaderMap:
    """Match headers to fields.

    `mapped` is `--map`: fields by header, "" for a column to ignore. `hints` are the same of a
    profile, which may name columns that this sheet does not have; `profile` has more of it. `ours`
    are headers of a report of ours that only `mapped` can give a field. Raises UsageError for a
    `--map` that fits no column, InputError with `source` for a header row that can't be used.
    """
    names, profile = names or Names(), profile or OfProfile()
    seen, derive = profile.seen, profile.derive
    width = max((position for position, header in enumerate(headers, start=1) if header), default=0)
    shown = headers[:width]
    hinted = by_position(shown, hints or {}, insist=False, seen=seen)
    by_user = {index: field for index, field in hinted.items() if shown[index] not in ours}
    given = by_position(shown, mapped or {}, insist=True)
    for name, before in seen.items():
        index = place_of(name, before)
        if name in (hints or {}) and index is not None and index not in given:
            refuse_moved(shown, index, before, source)
    by_user |= given
    columns = tuple(
        _column(index, header, names, by_user, ours) for index, header in enumerate(shown)
    )
    columns = _without_anyones(columns, names)
    _refuse_rivals(columns, source)
    _refuse_near(columns, names, source)
    mapping = HeaderMap(columns)
    return _usable(derive(mapping) if derive else mapping, names, source, strict=strict)


def _usable(mapping: HeaderMap, names: Names, source: str, *, strict: bool) -> HeaderMap:
    """Return a mapping; raises InputError without a key, or with `strict` for unknown columns."""
    if not any(column.field in {KEY_COLUMN, ID_COLUMN} for column in mapping.filling):
        headers = [column.header for column in mapping.columns]
        raise InputError(_no_key_column(headers, names, source))
    unused = (*mapping.ignored, *(column.name for column in mapping.ambiguous))
    if strict and unused:
        raise InputError(
            f"{source}: --strict allows no unknown columns, and there are: "
            f"{', '.join(unused)}. Map them to fields, or ignore one with "
            f"{map_option(unused[0])}"
        )
    return mapping


def map_own_headers(
    headers: Sequence[str],
    written: Sequence[tuple[str, str]],
    source: str,
    *,
    strict: bool = False,
    derive: Derive | None = None,
    renamed: Mapping[str, str] | None = None,
) -> tuple[HeaderMap, tuple[int | None, ...]]:
    """Match the headers of one of our own files to the columns that it was written with.

    `written` has the header and the field of each of these. Returns the mapping, and for each
    column its number in `written`; None for one that was added since, which fills a field if it has
    the field's own name and no other column does. `renamed` has the headers that columns of the
    mapping get, by those in the file. Raises InputError.
    """
    renamed = renamed or {}
    numbers = _numbers(headers, written)
    taken = {written[number][1] for number in numbers if number is not None}
    columns = []
    for index, (header, number) in enumerate(zip(headers, numbers, strict=True)):
        if number is not None:
            field = written[number][1]
            why = ("name" if plain(header) == plain(field) else "--map") if field else "ours"
            name = renamed.get(written[number][0], header)
            columns.append(Column(index, name, field or None, why))
            continue
        named = next((name for name in TARGETS if plain(name) == plain(header)), "")
        field = "" if named in taken else named
        why = "blank" if not header else "name" if field else "unknown"
        columns.append(Column(index, header, field or None, why))
        taken.add(field)
    mapping = HeaderMap(tuple(columns))
    mapping = derive(mapping) if derive else mapping
    return _usable(mapping, Names(), source, strict=strict), tuple(numbers)


def _numbers(headers: Sequence[str], written: Sequence[tuple[str, str]]) -> list[int | None]:
    """Return the number of each column among those written; equal headers in their order.

    A header may have other case, blanks or line ends by now, or be the name of the column's field.
    Otherwise its cells would count as new ones, and those that were refused would be sent.
    """
    names = [plain(header) or None for header in headers]  # a blank one only equals a blank one
    taken: set[int] = set()
    numbers: list[int | None] = [None] * len(headers)
    for now, before in (
        (headers, [header for header, _ in written]),
        (names, [plain(header) for header, _ in written]),
        (names, [plain(field) for _, field in written]),
    ):
        left: dict[str | None, deque[int]] = {}  # those of one name in their order
        for one, header in enumerate(before):
            if one not in taken:
                left.setdefault(header, deque()).append(one)
        for place, name in enumerate(now):
            if numbers[place] is None and (same := left.get(name)):
                numbers[place] = number = same.popleft()
                taken.add(number)
    return numbers


def _column(
    index: int, header: str, names: Names, by_user: Mapping[int, str], ours: frozenset[str]
) -> Column:
    if index in by_user:
        return Column(index, header, by_user[index] or None, "--map")
    if not header:
        return Column(index, header, None, "blank")
    if header in OWN_COLUMNS or header in ours:
        return Column(index, header, None, "ours")
    field = names.field_of(header)
    if field is None:
        return Column(index, header, None, "unknown")
    return Column(index, header, field, "name" if plain(header) == plain(field) else "alias")


# Words in headers of columns that fill no field, but show whom the sheet is about.
_AGENTS = re.compile(r"agent|broker|realtor|makler|agente|courtier")
_ATTENDEES = re.compile(r"attendee|buyer|visitor|guest|client|prospect|customer|purchaser|tenant")


def _without_anyones(columns: tuple[Column, ...], names: Names) -> tuple[Column, ...]:
    """Leave out phone and email columns that may be anyone's if the sheet names agents only."""
    anyones = [one for one in columns if one.why == "alias" and names.is_anyones(one.header)]
    left_out = {one.index for one in anyones}
    others = [one for one in columns if one.index not in left_out]
    agents = _any_about(others, ("agent_name",), _AGENTS)
    attendees = ("attendee_name", "attendee_email", "attendee_phone")
    if not anyones or not agents or _any_about(others, attendees, _ATTENDEES):
        return columns
    return tuple(
        Column(one.index, one.header, None, "ambiguous", one.field or "")
        if one.index in left_out
        else one
        for one in columns
    )


def _any_about(columns: Sequence[Column], fields: Sequence[str], words: re.Pattern[str]) -> bool:
    return any(
        column.field in fields
        or (column.why == "unknown" and words.search(plain(column.header)) is not None)
        for column in columns
    )


def _refuse_rivals(columns: Sequence[Column], source: str) -> None:
    seen: dict[str, Column] = {}
    for column in columns:
        if column.field is None:
            continue
        other = seen.setdefault(column.field, column)
        if other is not column:
            one, two = _reference(other, columns), _reference(column, columns)
            raise InputError(
                f"{source}: the columns {one!r} and {two!r} both name {column.field}; ignore one, "
                f"with {map_option(one)} or {map_option(two)}"
            )


def _reference(column: Column, columns: Sequence[Column]) -> str:
    alone = sum(other.header == column.header for other in columns) == 1
    return column.header if column.header and alone else column_name(column.index)


def _refuse_near(columns: Sequence[Column], names: Names, source: str) -> None:
    # A typing error in a header would leave its column out, and nobody would notice.
    for column in columns:
        if column.why != "unknown":
            continue
        near = names.near(column.header)
        if near:
            header = column.header
            raise InputError(
                f"{source}: the column {header!r} is nearly a name for {' or '.join(near)}. "
                f"Say which: {map_option(header, near[0])}, or {map_option(header)} to ignore it"
            )


def _is_typo(name: str, other: str) -> bool:
    """Return True for one letter too many, too few, wrong or swapped; more in long names."""
    # Short words are often one letter apart, such as `rate` and `date`.
    if min(len(name), len(other)) < 5:
        return False
    if difflib.SequenceMatcher(None, name, other).ratio() >= 0.9:
        return True
    if len(name) != len(other):
        return False  # one letter more or less of five already has a ratio of 0.9
    apart = [index for index, (a, b) in enumerate(zip(name, other, strict=True)) if a != b]
    swapped = len(apart) == 2 and apart[1] == apart[0] + 1 and sorted(name) == sorted(other)
    return len(apart) == 1 or swapped


def _is_data(header: str) -> bool:
    """Return True for a text that names no column: a number, date, email address or sentence."""
    return (
        len(header) > 100  # first, because the pattern tries each blank as the end of a number
        or "@" in header
        or re.fullmatch(r"[\d\s.,:/+()★-]+(?:\s*[AaPp][Mm])?", header) is not None
    )


def _no_key_column(headers: Sequence[str], names: Names, source: str) -> str:
    text = (
        f"{source}: no column names the showings ({KEY_COLUMN}); the header row has "
        f"{header_list(headers)}."
    )
    named = [header for header in headers if header]
    if any(map(_is_data, named)):
        return (
            f"{text} That looks like a row of data: put a row with the names of the columns "
            "above it"
        )
    close = names.closest(named, KEY_COLUMN) or (named[0] if named else None)
    if close is None:
        return text
    return (
        f"{text} If {close!r} holds their keys, add {map_option(close, KEY_COLUMN)}; "
        "if another row is the header, --header-row N"
    )
