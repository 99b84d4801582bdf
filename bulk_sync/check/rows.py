"""From a row to a record or a problem.

Blank cells are left out, so that the showing keeps what it has; outer spaces are
trimmed; everything else of a text stays as it is.
"""

from __future__ import annotations

import hashlib
import unicodedata
from urllib.parse import quote

from pydantic import ValidationError

from bulk_sync.check.headers import Mapping
from bulk_sync.check.showing import KEY_COLUMN, ShowingPatch
from bulk_sync.model import Problem, Record, Row

LONGEST_SEGMENT = 2000
"""Characters of a percent-encoded key: servers commonly end a URL at 8 KiB, some proxies at 2,083."""


def check_row(row: Row, mapping: Mapping) -> Record | Problem:
    """Make a patch of a row, or say why it can't be one."""
    cells = {name: cell.strip() for name, cell in zip(mapping.columns, row.cells, strict=False) if name is not None}
    key = cells.pop(KEY_COLUMN, "")
    problem = _cells_without_header(row, mapping) or bad_key(key)
    if problem is not None:
        return Problem(row, key, *problem)
    values = {name: cell for name, cell in cells.items() if cell}
    if not values:
        return Problem(row, key, "nothing_to_send", "every field of this row is blank: there is nothing to change")
    try:
        patch = ShowingPatch.model_validate(values)
    except ValidationError as error:
        return Problem(row, key, "bad_value", _sentences(error))
    body = patch.model_dump_json(exclude_unset=True)
    fields = tuple(name for name in ShowingPatch.model_fields if name in values)
    return Record(row, key, body, digest_of(body), fields)


def digest_of(body: str) -> str:
    """The name of a patch's content: half a SHA-256, in hex."""
    return hashlib.sha256(body.encode()).hexdigest()[:32]


def bad_key(key: str) -> tuple[str, str] | None:
    """Code and sentence when a key can't address a showing; None when it can.

    `.` and `..` are steps in a path to every client and server between here and North:
    they would reach another resource (RFC 3986, section 5.2.4).
    """
    if not key:
        return "missing_key", f"{KEY_COLUMN} is blank: this row names no showing"
    if key in {".", ".."}:
        return "bad_key", f"{KEY_COLUMN}: {key!r} can't stand in an address"
    if any(unicodedata.category(character) == "Cc" for character in key):
        return "bad_key", f"{KEY_COLUMN}: {shown(key)} holds a control character, such as a line break or tab"
    if len(quote(key, safe="")) > LONGEST_SEGMENT:
        return "bad_key", f"{KEY_COLUMN}: {shown(key)} is too long for an address ({len(key)} characters)"
    return None


def shown(value: str) -> str:
    """A cell's text in a sentence: quoted, controls escaped, cut at 40 characters."""
    return repr(value if len(value) <= 40 else value[:37] + "...")


def _cells_without_header(row: Row, mapping: Mapping) -> tuple[str, str] | None:
    if len(row.cells) > len(mapping.columns):
        for cell in row.cells[len(mapping.columns) :]:
            if cell.strip():
                return "bad_value", (
                    f"{shown(cell)} stands beyond the last column: the row has {len(row.cells)} cells, "
                    f"the header {len(mapping.columns)}; is a cell with a comma missing its quotes?"
                )
    return None


def _sentences(error: ValidationError) -> str:
    return "; ".join(
        f"{detail['loc'][0]}: {shown(str(detail['input']))} is not {detail['msg']}"
        for detail in error.errors(include_url=False)
    )
