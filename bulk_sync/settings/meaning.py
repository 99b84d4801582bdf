"""The meaning of columns and cells."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import time
from pathlib import Path
from typing import Annotated, Literal

from bulk_sync.quantities import Scale
from bulk_sync.settings.forms import CLOCK_TIME, PAIRS, SCALE, TOKEN, ZONE
from bulk_sync.settings.option import Access, Option

Value = str | bool | int | float
"""A cell's value in a profile."""


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """The mapping of columns to fields, and the rules for cells.

    `map` maps headers to fields; "" ignores a column. Fields without an option come from a profile:
    `map_hints` is like `map`, but the sheet may lack its columns; `headers_seen` has the headers
    that columns had which it names as `column N`; `aliases` are more names of fields;
    `field_clears` has the text that clears a field; `blank_clears` the fields that a blank cell
    clears; `values` has by field the values of cells by their texts, `constants` the value of all
    rows, `templates` the text that is made of columns. `timezone` None is this machine's.
    """

    PANEL = "Mapping"
    ABOUT_SHEET = True

    map: Annotated[
        dict[str, str],
        Option(
            "The field that a column fills; 'HEADER=' ignores the column. Repeatable.",
            "'HEADER=FIELD'",
            form=PAIRS,
            example="Client said=feedback",
        ),
    ] = field(default_factory=dict)
    profile: Annotated[
        Path | None,
        Option(
            "A mapping in TOML, as check --save-profile writes it.",
            "FILE",
            example="profile.toml",
            access=Access.READ,
        ),
    ] = None
    timezone: Annotated[
        str | None,
        Option(
            "The time zone of times without an offset; default: this machine's.",
            "AREA/CITY",
            form=ZONE,
            example="America/Chicago",
        ),
    ] = None
    date_order: Annotated[
        Literal["mdy", "dmy", "ymd"] | None,
        Option(
            "The order of numeric dates such as 02/03/2026; default: mdy, unless the column "
            "contradicts it.",
            example="dmy",
        ),
    ] = None
    default_time: Annotated[
        time | None,
        Option(
            "The time for dates without one; default: such dates are refused.",
            "HH:MM",
            form=CLOCK_TIME,
            example="09:00",
        ),
    ] = None
    scale: Annotated[
        Scale | None,
        Option(
            "The scale of the sheet's ratings, which are converted to North's 1 to 5; default: "
            "1 to 5, unless the column contradicts it.",
            "HIGHEST",
            form=SCALE,
            example="10",
        ),
    ] = None
    clear: Annotated[
        str | None,
        Option(
            "A cell with this text clears the field: it sends null, which the API's published "
            "schema does not promise to accept.",
            "TOKEN",
            form=TOKEN,
            example="n/a",
        ),
    ] = None
    on_duplicate: Annotated[
        Literal["error", "last", "merge"],
        Option(
            "With several rows for one showing: send none, the last, or all merged into one.",
            example="last",
        ),
    ] = "error"
    strict: Annotated[bool, Option("Unknown columns are an error.")] = False

    map_hints: dict[str, str] = field(default_factory=dict)
    headers_seen: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, list[str]] = field(default_factory=dict)
    field_clears: dict[str, str] = field(default_factory=dict)
    blank_clears: tuple[str, ...] = ()
    values: dict[str, dict[str, Value]] = field(default_factory=dict)
    constants: dict[str, Value] = field(default_factory=dict)
    templates: dict[str, str] = field(default_factory=dict)
