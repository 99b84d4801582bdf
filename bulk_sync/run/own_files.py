"""Recognise the program's own files, and the settings that they are read with.

A file of failed rows is read with the settings of its sheet, which its mark has. Undo files,
templates and changes hold values as North has them: settings about cells don't apply to them, but
for those that complete dates that a person typed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from functools import lru_cache
from typing import Any

from msgspec import Struct
from pydantic import TypeAdapter, ValidationError

from bulk_sync.check.headers import OWN_COLUMNS, HeaderMap
from bulk_sync.check.naming import plain
from bulk_sync.errors import InputError
from bulk_sync.model.inert import exact
from bulk_sync.model.own import (
    DIFFERENCES,
    RESULT_COLUMNS,
    RESULTS,
    DamagedMark,
    Kind,
    Source,
    is_mark,
    read_header,
    source_text,
)
from bulk_sync.settings.meaning import Meaning
from bulk_sync.settings.reading import Reading

# Settings that say which columns fill which fields; a mark has the outcome instead.
_OF_COLUMNS = frozenset({"map", "map_hints", "headers_seen", "aliases"})
# Settings of a run, whatever the cells mean.
_OF_THE_RUN = frozenset({"profile", "strict"})
# Settings that complete what a person typed into a file of values.
_OF_TYPED_CELLS = frozenset({"timezone", "date_order", "default_time", "on_duplicate"})

_OPTIONS = {
    "field_clears": "the clear rules of the profile",
    "blank_clears": "blank = clear of the profile",
    "values": "the values of the profile",
    "constants": "the constants of the profile",
    "templates": "the texts that the profile makes of columns",
}

_TITLES = {
    Kind.FAILED: "failed rows",
    Kind.RESULTS: "results with the cells of their sheet",
    Kind.UNDO: "earlier values, to undo a push",
    Kind.CHANGES: "changes that reconcile wrote",
    Kind.TEMPLATE: "differences to edit, as reconcile wrote them",
}

# Further columns of results that are for their reader.
_MORE_OF_RESULTS = frozenset({"updated_at", "sent_at", "duration_ms"})


class OwnFile(Struct, frozen=True):
    """One of our files: its kind, the place of its marks, how it was written, and the sheet's own
    columns, by their places.
    """

    kind: Kind
    mark: int
    source: Source
    kept: tuple[int, ...]


def has_mark(headers: Sequence[str]) -> bool:
    """Return True if a header is that of the marks."""
    return any(map(is_mark, headers))


def own_file(headers: Sequence[str], name: str) -> OwnFile | None:
    """Return the file of ours that a header row shows; None for the user's own.

    Raises InputError for a mark that can't be read, and for a file without values.
    """
    marks = [place for place, header in enumerate(headers) if is_mark(header)]
    if not marks:
        return None
    if len(marks) > 1:
        raise InputError(
            f"{name}: columns {marks[0] + 1} and {marks[1] + 1} are both bulk-sync's own: rows of "
            "two of its files. Push each file by itself"
        )
    (mark,) = marks
    try:
        kind, source = read_header(headers[mark])
    except DamagedMark as error:
        raise InputError(
            f"{name}: the header of column {mark + 1}, {headers[mark][:40]!r}, says that "
            f"bulk-sync wrote this file, but {error}. Make the file again; or delete the column, "
            "and the file is read like any other"
        ) from None
    if kind is Kind.UNKNOWN:
        raise InputError(
            f"{name}: these are the rows of a push of which no earlier value is known, so there "
            "is nothing to push"
        )
    left = [header for header, _ in source.columns]
    ours = OWN_COLUMNS.union(RESULT_COLUMNS if kind is Kind.RESULTS else ())
    kept = []
    for place, header in enumerate(map(exact, headers) if source.escaped else headers):
        if header in left:
            left.remove(header)
        elif place == mark or header in ours:
            continue
        kept.append(place)
    return OwnFile(kind, mark, source, tuple(kept))


def report_columns(headers: Sequence[str]) -> frozenset[str]:
    """Return the headers of a report of ours that are for its reader; none of any other sheet."""
    if set(headers) >= RESULTS:
        return RESULTS | _MORE_OF_RESULTS
    return DIFFERENCES if set(headers) >= DIFFERENCES else frozenset()


# Settings


def source_of(mapping: HeaderMap, meaning: Meaning, zone_name: str | None) -> str:
    """Return, as JSON, how the cells of a sheet were read; see `model.own.Source`."""
    columns = tuple((column.header, column.field or "") for column in mapping.columns)
    values = _adapter().dump_python(
        replace(meaning, timezone=zone_name), mode="json", exclude_defaults=True
    )
    left_out = _OF_COLUMNS | _OF_THE_RUN
    return source_text(
        Source(columns, {name: value for name, value in values.items() if name not in left_out})
    )


def settings_for(
    own: OwnFile, reading: Reading, meaning: Meaning, name: str
) -> tuple[Reading, Meaning]:
    """Return the settings that one of our files is read with; raises InputError."""
    reading = replace(reading, delimiter=None, encoding=None, sheet=None, header_row=None)
    settings = own.source.settings
    if not own.kind.is_of_sheet:
        kept = _OF_TYPED_CELLS | _OF_THE_RUN
    elif settings is None:  # a job of an earlier version, which did not keep them
        return reading, meaning
    else:
        kept = _OF_THE_RUN
    of_file = _meaning(settings or {}) if own.kind.is_of_sheet else Meaning()
    if of_file is None:
        raise InputError(
            f"{name}: the header of column {own.mark + 1} is damaged: its settings can't be read. "
            "Make the file again; or delete the column, and the file is read like any other"
        )
    return reading, replace(of_file, **{one: getattr(meaning, one) for one in kept})


def _meaning(settings: dict[str, Any]) -> Meaning | None:
    """Return settings from those of a mark; None if they are not ours."""
    if not settings.keys() <= {one.name for one in fields(Meaning)}:
        return None
    try:
        found: Meaning = _adapter().validate_python(settings)
    except (ValueError, ValidationError):
        return None
    return found


def note_on(own: OwnFile, given: Meaning, used: Meaning) -> str:
    """Return a note for the user: what kind of file it is, and which settings it ignores."""
    ignored = ", ".join(_ignored(own, given, used))
    without = f" Not applied: {ignored}." if ignored else ""
    again = (
        " A row that was refused is refused again until its cells change; for other options, push "
        "the sheet itself."
        if own.kind.is_of_sheet
        else ""
    )
    changed = (
        " All of its rows are pushed, of which only values are sent that differ from what North "
        "acknowledged last."
        if own.kind is Kind.RESULTS
        else ""
    )
    title = _TITLES[own.kind]
    read = f"bulk-sync wrote this file ({title}): it is read as it was written."
    return f"{read}{without}{changed}{again}"


def _ignored(own: OwnFile, given: Meaning, used: Meaning) -> list[str]:
    default = Meaning()
    names = []
    for one in fields(Meaning):
        name, value = one.name, getattr(given, one.name)
        if name in _OF_COLUMNS | _OF_THE_RUN or value in (getattr(default, name), {}, ()):
            continue
        if value != getattr(used, name):
            names.append(_OPTIONS.get(name, f"--{name.replace('_', '-')}"))
    if _maps_otherwise(own, given.map):
        names.append("--map")
    if _maps_otherwise(own, given.map_hints):
        names.append("the map of the profile")
    return names


def _maps_otherwise(own: OwnFile, mapped: dict[str, str]) -> bool:
    wanted = {plain(header): plain(field) for header, field in mapped.items()}
    return any(
        plain(header) in wanted and wanted[plain(header)] != plain(field)
        for header, field in own.source.columns
    )


@lru_cache(1)  # making it takes longer than reading a small sheet
def _adapter() -> TypeAdapter[Any]:
    return TypeAdapter(Meaning)
