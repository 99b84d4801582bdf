"""Which showing a row speaks of: its id when it has one, else its key; and what can't be either."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

from bulk_sync.check.cells import (
    failed_formula,
    is_rounded,
    is_scientific,
    shown,
    text_of_formula,
)
from bulk_sync.check.headers import HeaderMap, map_option
from bulk_sync.check.showing import ID_COLUMN, KEY_COLUMN
from bulk_sync.model.rows import Cell, CellError, text_of

LONGEST_SEGMENT = 2000
"""Characters of a percent-encoded key: servers commonly end a URL at 8 KiB, some proxies at 2,083.
"""

UUID = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE
)

# Nothing that `bad_key` looks for can be in these, which nearly all keys are.
PLAIN_KEY = re.compile(r"(?:[\w-]{1,15}|(?=\d*[A-Za-z_-])[\w-]{1,64})", re.ASCII)

_Bad = tuple[str, str] | None
"""An error code of the results and a sentence, or None when all is well."""


class AddressReader:
    """Reads key and id from a row's cells."""

    def __init__(self, mapping: HeaderMap) -> None:
        self._key_at = mapping.index_of(KEY_COLUMN)
        self._id_at = mapping.index_of(ID_COLUMN)
        self._id_header = "" if self._id_at is None else mapping.header_of(ID_COLUMN)

    def read(self, cells: tuple[Cell, ...]) -> tuple[str, str]:
        """Return key and id of a row; empty when there is none.

        The key is as the sheet has it, the id in the small letters of RFC 9562.
        """
        key = "" if self._key_at is None else cells[self._key_at]
        if not isinstance(key, str):
            key = text_of(key)
        else:
            key = key.strip()
            if key[:1] == "=":
                key = text_of_formula(key)
        return key, "" if self._id_at is None else _text(cells[self._id_at]).lower()

    def problem(self, cells: tuple[Cell, ...], key: str, uuid: str) -> _Bad:
        """What keeps this row from addressing a showing."""
        if uuid and not UUID.fullmatch(uuid):
            header = self._id_header
            return "bad_key", (
                f"{ID_COLUMN}: {shown(uuid)} is not an id of North's (a UUID); blank it, or leave the column out "
                f"with {map_option(header)}, or if it holds the showing's key, {map_option(header, KEY_COLUMN)}"
            )
        if uuid and not key:
            return None
        if (
            self._key_at is not None
            and PLAIN_KEY.fullmatch(key)
            and isinstance(cells[self._key_at], str)
        ):
            return None
        if self._key_at is None:
            return "missing_key", f"{self._id_header} is blank: this row names no showing"
        return bad_key(key) or _bad_cell(cells[self._key_at], key)


def _text(cell: Cell) -> str:
    if not isinstance(cell, str):
        return text_of(cell)
    text = cell.strip()
    return text_of_formula(text) if text[:1] == "=" else text


def bad_key(key: str) -> _Bad:
    """Code and sentence when a key can't address a showing; None when it can.

    `.` and `..` are steps in a path to every client and server between here and North:
    they would reach another resource (RFC 3986, section 5.2.4).
    """
    if PLAIN_KEY.fullmatch(key):
        return None
    if not key:
        return "missing_key", f"{KEY_COLUMN} is blank: this row names no showing"
    if key in {".", ".."}:
        return "bad_key", f"{KEY_COLUMN}: {key!r} can't stand in an address"
    if any(unicodedata.category(character) == "Cc" for character in key):
        return (
            "bad_key",
            f"{KEY_COLUMN}: {shown(key)} holds a control character, such as a line break or tab",
        )
    if len(quote(key, safe="")) > LONGEST_SEGMENT:
        return (
            "bad_key",
            f"{KEY_COLUMN}: {shown(key)} is too long for an address ({len(key)} characters)",
        )
    if is_scientific(key) or is_rounded(key):
        return "bad_key", (
            f"{KEY_COLUMN}: {shown(key)} was rounded by a spreadsheet program, its last digits are lost: "
            "format the column as text and enter the keys again"
        )
    return None


def _bad_cell(cell: Cell, key: str) -> _Bad:
    """What only the cell's type tells: a number beyond 15 digits, a date, a formula that failed."""
    if isinstance(cell, str):
        bad = failed_formula(key)
        return None if bad is None else ("bad_key", f"{KEY_COLUMN}: {shown(key)} is not {bad}")
    if isinstance(cell, CellError):
        return "bad_key", f"{KEY_COLUMN}: the cell shows {key}: its formula failed; mend it"
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return (
            "bad_key",
            f"{KEY_COLUMN}: {shown(key)} is a date, time or checkbox, not a key: format the cell as text",
        )
    if abs(cell) >= 1e15:
        return "bad_key", (
            f"{KEY_COLUMN}: {shown(key)} is a number of more than 15 digits, which a spreadsheet program rounds: "
            "format the column as text and enter the keys again"
        )
    return None
