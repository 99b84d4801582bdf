"""The showing that a row addresses, by its id when it has one, else by its key; and its report."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

from bulk_sync.address import UUID
from bulk_sync.check.cells import (
    ERROR_TEXTS,
    BadCell,
    excerpt,
    failed_formula,
    is_scientific,
    text_of_formula,
)
from bulk_sync.check.damage import before_escaping
from bulk_sync.check.formatted import facts_of
from bulk_sync.check.headers import HeaderMap
from bulk_sync.check.invisible import unseen_in
from bulk_sync.check.keys import (
    KeyCounts,
    is_converted,
    is_misread,
    is_null_word,
    is_quoted,
    is_too_narrow,
    may_be_damaged,
)
from bulk_sync.check.naming import map_option
from bulk_sync.check.showing import ID_COLUMN, KEY_COLUMN, REPORT_COLUMN
from bulk_sync.model.problems import Expected, Fact, Reason, Remedy
from bulk_sync.model.rows import Cell, CellError, Formatted, text_of

LONGEST_SEGMENT = 2000
"""Characters of a percent-encoded key: servers commonly end a URL at 8 KiB, some proxies at 2,083.
"""

# Keys that need no further check, which is nearly all of them: at most 15 characters, or with one
# that is no digit, so that no spreadsheet program has rounded them. See also `may_be_damaged`.
_PLAIN_KEY = re.compile(r"(?:[\w-]{1,15}|(?=\d*[A-Za-z_-])[\w-]{1,64})", re.ASCII)

# Characters of a fraction that the format `General` shows at most.
_LONGEST_FRACTION = 11

Bad = tuple[str, Reason]
"""Why a row addresses no showing: an error code of the results, and the reason."""


class AddressReader:
    """Reads key and id from a row's cells."""

    def __init__(self, mapping: HeaderMap, counts: KeyCounts) -> None:
        self._counts = counts
        self._key_at = mapping.index_of(KEY_COLUMN)
        self._id_at = mapping.index_of(ID_COLUMN)
        self._report_at = mapping.index_of(REPORT_COLUMN)
        self._id_header = "" if self._id_at is None else mapping.column_of(ID_COLUMN).header

    def read(self, cells: tuple[Cell, ...]) -> tuple[str, str]:
        """Return key and id of a row; empty when there is none.

        The key is as the sheet has it, the id in the small letters of RFC 9562.
        """
        key = "" if self._key_at is None else key_text(cells[self._key_at])
        return key, "" if self._id_at is None else key_text(cells[self._id_at]).lower()

    def report(self, cells: tuple[Cell, ...]) -> str | Reason | None:
        """Return the id of the row's report, the reason why it is none, or None if it is blank."""
        if self._report_at is None:
            return None
        cell = cells[self._report_at]
        text = key_text(cell).lower()
        if not text or UUID.fullmatch(text):
            return text or None
        return (
            (failed_formula(cell) or BadCell(Expected.REPORT_ID))
            .in_cell(cell)
            .reason(REPORT_COLUMN)
        )

    def problem(self, cells: tuple[Cell, ...], key: str, uuid: str) -> Bad | None:
        """Return what keeps a row from addressing a showing; None when nothing does."""
        if uuid and not UUID.fullmatch(uuid):
            return "bad_key", Reason(
                Expected.ID,
                ID_COLUMN,
                excerpt(uuid),
                Remedy.MAP_ID,
                {
                    "leave_out": map_option(self._id_header),
                    "map_as_key": map_option(self._id_header, KEY_COLUMN),
                },
            )
        # A row with both is checked for its key too, because that is part of the patch.
        if uuid and not key:
            return None
        if self._key_at is None:
            return "missing_key", Reason(Expected.KEY, ID_COLUMN, remedy=Remedy.ENTER_KEY)
        cell = cells[self._key_at]
        if isinstance(cell, str) and _PLAIN_KEY.fullmatch(key) and not may_be_damaged(key):
            # One number is evidence enough.
            if not self._counts.numbers and key.isdigit():
                self._counts.count(key)
            return None
        bad = bad_key(cell, key)
        if bad is None and not (isinstance(cell, str) and _is_confirmed(cell)):
            self._counts.count(key)
        return bad


def _is_confirmed(cell: str) -> bool:
    """Return whether somebody vouches for a key by its form, ="1.0": no program converted it."""
    return cell.lstrip()[:1] == "="


def key_text(cell: Cell) -> str:
    """Return a cell as the text of a key."""
    if not isinstance(cell, str):
        return text_of(cell)
    text = cell.strip()
    return text_of_formula(text) if text[:1] == "=" else text


def bad_key(cell: Cell, key: str) -> Bad | None:
    """Return why a cell with this text is no key; None when it is one."""
    if not key:
        return "missing_key", Reason(Expected.KEY, KEY_COLUMN, remedy=Remedy.ENTER_KEY)
    unsafe = _unsafe(key)
    if unsafe is not None:
        return unsafe
    if isinstance(cell, str) and is_quoted(key) and not _is_confirmed(cell):
        return _bad(Expected.BARE_KEY, key, Remedy.CONFIRM_QUOTES)
    return _failed(key) if isinstance(cell, str) else _bad_type(cell, key)


def _unsafe(key: str) -> Bad | None:
    """Return what keeps a text from being a segment of a URL's path."""
    # `.` and `..` are steps in a path to every client and server on the way: they would reach
    # another resource (RFC 3986, section 5.2.4).
    if len(key) > LONGEST_SEGMENT:  # first, because the rules below walk through all of it
        return _bad(Expected.SHORT_KEY, key, Remedy.CORRECT_KEY, characters=len(key))
    if key in {".", ".."}:
        return _bad(Expected.SAFE_KEY, key, Remedy.CORRECT_KEY)
    if any(unicodedata.category(character) == "Cc" for character in key):
        return _bad(Expected.PRINTABLE_KEY, key, Remedy.CORRECT_KEY)
    if found := unseen_in(key):
        character, place = found
        remedy = Remedy.TYPE_KEY_ANEW
        return _bad(Expected.VISIBLE_KEY, key, remedy, character=character, place=place)
    if is_misread(key) or before_escaping(key) != key:
        return _bad(Expected.UNDAMAGED_KEY, key, Remedy.SAVE_AS_UTF_8)
    if len(quote(key, safe="")) > LONGEST_SEGMENT:
        return _bad(Expected.SHORT_KEY, key, Remedy.CORRECT_KEY, characters=len(key))
    return _damaged(key)


def _damaged(key: str) -> Bad | None:
    """Return what another program has made of a key."""
    if is_scientific(key) or is_too_narrow(key):
        return _bad(Expected.UNROUNDED_KEY, key, Remedy.TYPE_KEYS_AS_TEXT)
    if is_converted(key):
        return _bad(Expected.UNCONVERTED_KEY, key, Remedy.TYPE_KEYS_AS_TEXT)
    if is_null_word(key):
        return _bad(Expected.KEY_NOT_NULL, key, Remedy.ENTER_KEY)
    return None


def _failed(key: str) -> Bad | None:
    return _bad(Expected.NO_ERROR, key, Remedy.CORRECT_FORMULA) if key in ERROR_TEXTS else None


def _bad_type(cell: Cell, key: str) -> Bad | None:
    """Return what only a cell's type says of a key."""
    if isinstance(cell, CellError):
        return _bad(Expected.NO_ERROR, key, Remedy.CORRECT_FORMULA)
    if isinstance(cell, Formatted):
        return _uncertain(cell, key)
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return _bad(Expected.KEY_AS_TEXT, key, Remedy.TYPE_KEYS_AS_TEXT)
    # Spreadsheet programs keep 15 digits of a number.
    if abs(cell) >= 1e15:
        return _bad(Expected.UNROUNDED_KEY, key, Remedy.TYPE_KEYS_AS_TEXT)
    # A longer fraction is rounded to what fits into the column.
    if cell % 1 and (len(key) > _LONGEST_FRACTION or "e" in key):
        return _uncertain(Formatted(cell, "General", None), key)
    return None


def _uncertain(cell: Formatted, key: str) -> Bad | None:
    """Return why the text that a cell shows is no key, although it holds a value."""
    if cell.text is None:
        return _bad(Expected.CERTAIN_KEY, key, Remedy.TYPE_KEYS_AS_TEXT, **facts_of(cell))
    if cell.is_local:  # 1,000.5 here is 1.000,5 elsewhere: neither is the key that was meant
        expected = Expected.KEY_WITHOUT_SEPARATORS
        return _bad(expected, key, Remedy.TYPE_KEYS_AS_TEXT, **facts_of(cell))
    return None


def _bad(expected: Expected, key: str, remedy: Remedy, **facts: Fact) -> Bad:
    return "bad_key", Reason(expected, KEY_COLUMN, excerpt(key), remedy, facts)
