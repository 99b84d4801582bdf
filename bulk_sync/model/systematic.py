"""Systematic differences of two sheets, as data; the words are in `report.systematic`."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from bulk_sync.model.problems import Fact


class Pattern(StrEnum):
    """The kinds of systematic differences; comments list their facts."""

    NO_COMMON_KEY = "no_common_key"  # here, there: a key of each sheet
    KEY_FORM = "key_form"  # form, here, there: one key in both forms

    TIME_OFFSET = "time_offset"  # minutes: list, one or two; same_clock: 1 if only the zone differs
    DAY_AND_MONTH = "day_and_month"
    SCALED = "scaled"  # times, parts: here is there * times / parts
    ADDED = "added"  # plus
    REVERSED = "reversed"  # sum: here is sum - there; or none for yes and no
    SHIFTED = "shifted"  # in: here, there or either; moved: up or down
    SWAPPED = "swapped"  # with
    OTHER_COLUMN = "other_column"  # with
    CUT = "cut"  # in: here or there; unit: characters or bytes; longest
    TEXT_FORM = "text_form"  # form
    CLEARED = "cleared"
    BLANK_THERE = "blank_there"

    @property
    def overwrites(self) -> bool:
        """True when a push of the differences would replace values in North by the wrong ones."""
        return self not in _HARMLESS


_HARMLESS = frozenset({Pattern.NO_COMMON_KEY, Pattern.KEY_FORM, Pattern.BLANK_THERE})


class Systematic(Struct, frozen=True):
    """One cause that explains nearly all differences of a field.

    `rows` of the `of` rows that could show the pattern do. `field` is the key for patterns of keys.
    """

    pattern: Pattern
    field: str
    rows: int
    of: int
    facts: dict[str, Fact] = {}
