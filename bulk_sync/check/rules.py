"""The user's rules for the meaning of cells."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, time, tzinfo
from typing import Literal

from msgspec import Struct, field

from bulk_sync.check.templates import Derivations
from bulk_sync.quantities import Scale

DateOrder = Literal["mdy", "dmy", "ymd"]


class Rules(Struct, frozen=True):
    """Rules for reading cells.

    `timezone` is for times without an offset; None refuses them. `order` is for numeric dates;
    unless `order_given` it is the default, and a column that contradicts it keeps the sheet from
    being sent. `clear` has, by field, the texts that clear it; a blank cell clears the fields of
    `blank_clears`. `scale` is that of the sheet's ratings; None is North's, 1 to 5, and a column
    that contradicts it keeps the sheet from being sent.
    `own` is for one of our own files, which has cells of the type `Cleared`, and `grid` for a
    workbook, whose cells have places that its reader sees. `derivations` are the
    cells that a profile makes, None if it makes none.
    """

    timezone: tzinfo | None = UTC
    order: DateOrder = "mdy"
    order_given: bool = False
    default_time: time | None = None
    clear: Mapping[str, frozenset[str]] = field(default_factory=dict)
    blank_clears: frozenset[str] = frozenset()
    scale: Scale | None = None
    own: bool = False
    grid: bool = False
    derivations: Derivations | None = None
