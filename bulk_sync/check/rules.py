"""What a user says about the meaning of cells, in one value."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, time, tzinfo
from typing import Literal

from msgspec import Struct, field

DateOrder = Literal["mdy", "dmy", "ymd"]


class Rules(Struct, frozen=True):
    """How cells are read.

    `timezone` is for times without an offset; None when there is none for them. `order` is of
    numeric dates; when `order_told` is False it is the default, and a column that speaks
    against it is not to be sent. `clear`
    holds, by field, the texts that clear it; `blank_clears` the fields that a blank cell clears.
    """

    timezone: tzinfo | None = UTC
    order: DateOrder = "mdy"
    order_told: bool = False
    default_time: time | None = None
    clear: Mapping[str, str] = field(default_factory=dict)
    blank_clears: frozenset[str] = frozenset()
