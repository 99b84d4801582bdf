"""From the header row to fields.

A header is a field's own name, or the column is left out and named as such. One that
is nearly a field's name is refused: leaving it out in silence would lose data.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from bulk_sync.check.showing import FIELDS, KEY_COLUMN
from bulk_sync.errors import InputError

ERROR_COLUMN = "error"
"""The column that `*.failed.csv` adds: ignored when the mended file is pushed."""

_KNOWN = {name.replace("_", ""): name for name in (*FIELDS, KEY_COLUMN)}


@dataclass(frozen=True, slots=True)
class Mapping:
    """For each column up to the last header the field it fills, or None; and the headers that fill nothing."""

    columns: tuple[str | None, ...]
    ignored: tuple[str, ...]

    @property
    def key_index(self) -> int:
        """The position of the key column."""
        return self.columns.index(KEY_COLUMN)


def map_headers(headers: Sequence[str], source: str) -> Mapping:
    """Match headers to fields; raises InputError, naming `source`, for what can't be used."""
    columns: list[str | None] = []
    ignored = []
    width = max((position for position, header in enumerate(headers, start=1) if header), default=0)
    for position, header in enumerate(headers[:width], start=1):
        known = header == KEY_COLUMN or header in FIELDS
        near = None if known else _KNOWN.get(_plain(header))
        if near is not None and (near != KEY_COLUMN or KEY_COLUMN not in headers):
            raise InputError(
                f"{source}: the column {header!r} is nearly the field {near!r}. Rename it to {near}, "
                "or to something else if it is not meant to be sent."
            )
        if known and header in columns:
            raise InputError(f"{source}: two columns are named {header!r}; keep the one that is meant.")
        columns.append(header if known else None)
        if not known and header != ERROR_COLUMN:
            ignored.append(header or f"column {position}, which has no header")
    if KEY_COLUMN not in columns:
        raise InputError(_no_key_column(headers, source))
    return Mapping(tuple(columns), tuple(ignored))


def _plain(header: str) -> str:
    return re.sub(r"[\W_]+", "", header).lower()


def _no_key_column(headers: Sequence[str], source: str) -> str:
    named = [header for header in headers if header]
    found = ", ".join(repr(header) for header in named[:20]) or "only blank cells"
    text = f"{source}: no column is named {KEY_COLUMN}; the header row has {found}."
    separator = next((mark for mark in ";\t|" if len(headers) == 1 and mark in headers[0]), None)
    if separator is not None:
        return f"{text} The cells seem to be separated by {separator!r}: save the file with commas between them."
    plain = {_plain(header): header for header in named}
    close = difflib.get_close_matches(_plain(KEY_COLUMN), plain, n=1, cutoff=0.6)
    if close:
        return f"{text} If {plain[close[0]]!r} holds the showings' keys, rename it to {KEY_COLUMN}."
    return f"{text} Name the column that holds the showings' keys {KEY_COLUMN}."
