"""Find columns by the names that users give them: by header, or by place as `column N`."""

from __future__ import annotations

import difflib
import re
import shlex
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache

from bulk_sync.check.showing import FIELDS, ID_COLUMN, KEY_COLUMN, REPORT_COLUMN
from bulk_sync.errors import InputError, UsageError
from bulk_sync.model.places import column_name, column_number

TARGETS = (KEY_COLUMN, ID_COLUMN, *FIELDS, REPORT_COLUMN)
"""Fields that a column can fill."""


@lru_cache(maxsize=4096)
def plain(header: str) -> str:
    """Return a header in lower case, NFKC, without blanks and punctuation."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", header).casefold())


def existing_field(name: str) -> str:
    """Return the field of this name; raises UsageError with the closest names if there is none."""
    wanted = plain(name)
    for target in TARGETS:
        if wanted == plain(target) or (target == ID_COLUMN and wanted in {"id", "northid"}):
            return target
    close = difflib.get_close_matches(name.lower(), TARGETS, n=3, cutoff=0.5)
    hint = (
        f"did you mean {' or '.join(close)}?" if close else f"the fields are {', '.join(TARGETS)}"
    )
    raise UsageError(f"there is no field {name!r}: {hint}")


def map_option(header: str, field: str = "") -> str:
    """Return the `--map` option for a column, quoted for a shell."""
    return f"--map {shlex.quote(f'{header}={field}')}"


def listed(headers: Sequence[str]) -> str:
    """Return headers as a message lists them, at most twenty."""
    named = [header for header in headers if header]
    more = f" and {len(named) - 20} more" if len(named) > 20 else ""
    return (", ".join(repr(header[:60]) for header in named[:20]) or "only blank cells") + more


def same_header(one: str, other: str) -> bool:
    """Return True for one header in another case, or with other blanks and punctuation."""
    return one.strip() == other.strip() or (plain(one) == plain(other) != "")


def by_position(
    headers: Sequence[str],
    mapped: Mapping[str, str],
    *,
    insist: bool,
    seen: Mapping[str, str] | None = None,
) -> dict[int, str]:
    """Find mapped columns: by exact header, else by plain form, else as `column N`.

    `seen` has the headers that columns had, by such names: it shows which of the two is meant.
    Raises UsageError for an unknown field, and with `insist` for names that fit no column or that
    give one column different fields.
    """
    found: dict[int, str] = {}
    for named, field in mapped.items():
        before = (seen or {}).get(named)
        place = None if before is None else place_of(named, before)
        if place is None:
            find = _matches if before is None else _by_header
            if not insist and not find(headers, named):
                continue
            place = column_named(headers, named, "--map")
        elif place >= len(headers):
            continue
        target = existing_field(field) if field.strip() else ""
        if insist and found.get(place, target) != target:
            raise UsageError(
                f"--map {named!r}: {column_name(place)} is mapped twice, to different fields"
            )
        found[place] = target
    return found


def column_named(headers: Sequence[str], named: str, option: str) -> int:
    """Return the index of the column that a name in an option means.

    Raises UsageError when there is none, or more than one.
    """
    matches = _matches(headers, named)
    if not matches:
        close = difflib.get_close_matches(named, headers, n=3, cutoff=0.5)
        hint = (
            f"did you mean {' or '.join(map(repr, close))}?"
            if close
            else f"there are {listed(headers)}"
        )
        raise UsageError(f"{option} {named!r}: no column has this header: {hint}")
    if len(matches) > 1:
        numbers = " and ".join(str(index + 1) for index in matches)
        raise UsageError(
            f"{option} {named!r}: columns {numbers} have this header; name one as "
            f"'column {matches[0] + 1}'"
        )
    return matches[0]


def _matches(headers: Sequence[str], named: str) -> list[int]:
    """Return the indexes of the columns that a name may mean."""
    found = _by_header(headers, named)
    # Last, because a header may be called `Column 3`.
    index = column_number(named)
    by_place = [index] if index is not None and 0 <= index < len(headers) else []
    return found or by_place


def _by_header(headers: Sequence[str], named: str) -> list[int]:
    """Return the indexes of the columns that have a header, in its exact form if any has."""
    exact = [index for index, header in enumerate(headers) if header == named.strip()]
    if exact:
        return exact
    wanted = plain(named)
    alike = [index for index, header in enumerate(headers) if header and plain(header) == wanted]
    return alike if wanted else []


def place_of(name: str, before: str) -> int | None:
    """Return the index of the column that `column N` names; None if that was its header."""
    return None if same_header(name, before) else column_number(name)


def refuse_moved(headers: Sequence[str], index: int, before: str, source: str) -> None:
    """Raise InputError when a column that a profile maps by its place has another header."""
    if index >= len(headers) or same_header(headers[index], before):
        return
    now = headers[index]
    places = [at for at, header in enumerate(headers) if before and same_header(header, before)]
    moved = f" ({before!r} is {' and '.join(map(column_name, places))} here)" if places else ""
    name = column_name(index)
    raise InputError(
        f"{source}: {name} is {now!r}, but the profile maps {name} by its place for a sheet that "
        f"had {before!r} there{moved}. Say what it is with {map_option(name, 'FIELD')}, or "
        f"{map_option(name)} to ignore it; or save a new profile for such sheets"
    )
