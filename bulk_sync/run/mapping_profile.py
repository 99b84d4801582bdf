"""Make a profile from the way a sheet was read, for the next sheet from that source."""

from __future__ import annotations

from bulk_sync.check.derived import PART
from bulk_sync.check.headers import OWN_COLUMNS, Column, HeaderMap
from bulk_sync.model.places import column_number
from bulk_sync.profile import Dates, FieldRule, Profile, Read
from bulk_sync.run.sheet import Sheet
from bulk_sync.settings.meaning import Meaning
from bulk_sync.settings.reading import Reading


def profile_of(sheet: Sheet) -> Profile:
    """Return the profile; without --timezone it has this machine's time zone."""
    reading, meaning = sheet.reading, sheet.meaning
    return Profile(
        on_duplicate=meaning.on_duplicate,
        strict=meaning.strict,
        clear=meaning.clear,
        scale=None if meaning.scale is None else str(meaning.scale),
        read=_layout(reading),
        map=_columns(sheet.mapping),
        headers=_headers(sheet.mapping),
        aliases=meaning.aliases,
        dates=Dates(
            timezone=sheet.zone_name,
            order=meaning.date_order,
            default_time=meaning.default_time.isoformat("minutes")
            if meaning.default_time
            else None,
        ),
        fields=_field_rules(meaning),
    )


def _layout(reading: Reading) -> Read:
    return Read(
        delimiter=reading.delimiter,
        encoding=reading.encoding,
        sheet=reading.sheet,
        header_row=reading.header_row,
    )


def _columns(mapping: HeaderMap) -> dict[str, str]:
    """Return the field of each column, without the program's own columns of a results file.

    Ambiguous ones are left out, because it is the user who decides about them, and so are those
    that only are part of a text.
    """
    return {mapping.reference(column): column.field or "" for column in _kept(mapping)}


def _headers(mapping: HeaderMap) -> dict[str, str]:
    """Return the headers of the columns whose names in the profile are, or look like, places."""
    named = {mapping.reference(column): column.header for column in _kept(mapping)}
    return {name: header for name, header in named.items() if column_number(name) is not None}


def _kept(mapping: HeaderMap) -> list[Column]:
    return [
        column
        for column in mapping.columns
        if (column.header or column.field is not None)
        and column.why not in {"ambiguous", PART}
        and column.header not in OWN_COLUMNS
    ]


def _field_rules(meaning: Meaning) -> dict[str, FieldRule]:
    return {
        name: FieldRule.model_validate(
            {
                "clear": meaning.field_clears.get(name),
                "blank": "clear" if name in meaning.blank_clears else "keep",
                "values": meaning.values.get(name, {}),
                "constant": meaning.constants.get(name),
                "from": meaning.templates.get(name),
            }
        )
        for name in dict.fromkeys(
            (
                *meaning.field_clears,
                *meaning.blank_clears,
                *meaning.values,
                *meaning.constants,
                *meaning.templates,
            )
        )
    }
