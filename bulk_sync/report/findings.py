"""Word the findings in a sheet: notes and assumptions. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import time
from itertools import groupby

from msgspec import Struct

from bulk_sync.model.places import column_letters
from bulk_sync.model.summaries import Understood
from bulk_sync.quoting import quoted
from bulk_sync.wording import listed

# The formats that a suffix stands for.
_FORMATS = {
    ".csv": ("CSV", "TSV"),
    ".tsv": ("CSV", "TSV"),
    ".txt": ("CSV", "TSV"),
    ".xlsx": ("XLSX",),
    ".xlsm": ("XLSM",),
    ".xls": ("XLS",),
    ".xlsb": ("XLSB",),
    ".ods": ("ODS",),
    ".fods": ("FODS",),
}

# Values of a profile that a note lists.
_MOST_VALUES = 12

# A sentence for each kind of assumption, in the order in which they are shown.
_ASSUMPTIONS = {
    "timezone": "times without an offset are in {timezone}",
    "order": "numeric dates are {order}",
    "default_time": "a date without a time means {default_time}",
    "day": "a time without a date is on the day of the row's showing_date, scheduled_date or start",
    "time": "a showing_date without a time begins with showing_time_start",
    "early": "times such as 4:30, without AM or PM, are before noon",
    "span": "of a range of times, the start is taken",
    "access": "a time on 12/30/1899 has no date: Access and Google Sheets write it so",
}

SCALE = "scale"
"""The kind of a rating that --scale converts."""

_LONGEST_EXAMPLE = 40


class Assumed(Struct, frozen=True):
    """The number of times something was assumed, and the first row and cell."""

    count: int
    row: int
    value: str


class RulesUsed(Struct, frozen=True):
    """The rules for cells, and which of them the user gave.

    `converted` has what the ratings of another scale become; empty if none are converted.
    """

    zone_name: str | None
    zone_given: bool
    order: str
    order_given: bool
    default_time: time | None
    converted: Sequence[tuple[int, int]] = ()


def sheet_notes(
    understood: Understood,
    suffix: str,
    ignored: Sequence[str],
    hidden: Sequence[tuple[int, str]] = (),
    ambiguous: Sequence[str] = (),
) -> tuple[str, ...]:
    """Return notes for a person: those of the reader, a wrong suffix, hidden and ignored columns.

    `hidden` has the columns that are read and not seen: number, counted from 1, and name in --map.
    `ambiguous` are the `--map` options that send columns which may be another person's.
    """
    notes = list(understood.notes)
    suffix = suffix.lower()
    if understood.format not in _FORMATS.get(suffix, (understood.format,)):
        notes.append(
            f"The file is named {suffix}, but it was read as {understood.format}, the format of "
            "its content."
        )
    if hidden:
        named = ", ".join(f"{column_letters(number - 1)} {name!r}" for number, name in hidden)
        words = (
            "Column {} is hidden and is" if len(hidden) == 1 else "Columns {} are hidden and are"
        )
        option = f"--map {quoted(f'{hidden[0][1]}=')}"
        notes.append(f"{words.format(named)} read; {option} leaves it out.")
    if ignored:
        notes.append(f"Ignored columns (no matching field): {', '.join(ignored)}.")
    if ambiguous:
        notes.append(
            "Ambiguous columns, not sent: the sheet names an agent and no attendee, so phone and "
            f"email may be the agent's. If they are the attendee's: {' '.join(ambiguous)}."
        )
    return tuple(notes)


def assumption_lines(assumed: Mapping[str, Assumed], rules: RulesUsed) -> tuple[str, ...]:
    """Return a sentence for each kind of assumption that was made."""
    texts = assumption_texts(rules)
    lines = [
        f"Assumed: {text}; {_where(assumed[kind])}."
        for kind, text in texts.items()
        if kind in assumed
    ]
    if SCALE in texts:
        lines.append(f"{texts[SCALE].capitalize()}.")
    return tuple(lines)


def assumption_texts(rules: RulesUsed) -> dict[str, str]:
    """Return the words of each kind of assumption under the rules, in the order of notes."""
    zone = (rules.zone_name or "") + (
        "" if rules.zone_given else ", this machine's time zone (--timezone)"
    )
    order = rules.order + ("" if rules.order_given else " (the default; --date-order)")
    default_time = rules.default_time.isoformat("minutes") if rules.default_time else ""
    values = {"timezone": zone, "order": order, "default_time": default_time}
    texts = {
        kind: text.format(**values)
        for kind, text in _ASSUMPTIONS.items()
        # A zone without a name can't be mentioned.
        if not (kind == "timezone" and rules.zone_name is None)
    }
    if rules.converted:
        texts[SCALE] = f"ratings are converted (--scale): {_conversion(rules.converted)}"
    return texts


def _conversion(pairs: Sequence[tuple[int, int]]) -> str:
    """Return `1 and 2 to 1, 3 and 4 to 2, ...` of ratings and what they become."""
    parts = []
    for to, group in groupby(pairs, key=lambda pair: pair[1]):
        given = [number for number, _ in group]
        text = f"{given[0]} to {given[-1]}" if len(given) > 2 else " and ".join(map(str, given))
        parts.append(f"{text} become{'s' if len(given) == 1 else ''} {to}")
    return ", ".join(parts)


def _where(assumed: Assumed) -> str:
    cells = "one cell, in" if assumed.count == 1 else f"{assumed.count:,} cells, the first in"
    return f"{cells} row {assumed.row}: {assumed.value[:_LONGEST_EXAMPLE]!r}"


def unused_values(texts: Sequence[str]) -> tuple[str, ...]:
    """Return a note on the values of a profile that no cell shows: perhaps a typing error."""
    if not texts:
        return ()
    named = listed(texts, _MOST_VALUES, separator="; ")
    return (f"Values of the profile that no cell shows: {named}.",)
