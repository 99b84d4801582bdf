"""Find columns by the names that users give them: by header, or by place as `column N`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from bulk_sync.check.showing import FIELDS, ID_COLUMN, KEY_COLUMN, REPORT_COLUMN
from bulk_sync.errors import InputError, UsageError
from bulk_sync.model.places import column_name, column_number
from bulk_sync.quoting import quoted
from bulk_sync.similar import closest
from bulk_sync.wording import listed

TARGETS = (KEY_COLUMN, ID_COLUMN, *FIELDS, REPORT_COLUMN)
"""Fields that a column can fill."""


LONGEST_HEADER: Final = 200
"""Characters of a header that may name a field."""


def plain(header: str) -> str:
    """Return a header in lower case, NFKC, without blanks and punctuation.

    A longer one than `LONGEST_HEADER` is a text, and is compared as it is.
    """
    return _plain(header) if len(header) <= LONGEST_HEADER else header


@lru_cache(maxsize=4096)
def _plain(header: str) -> str:
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", header).casefold())


def existing_field(name: str) -> str:
    """Return the field of this name; raises UsageError with the closest names if there is none."""
    wanted = plain(name)
    for target in TARGETS:
        if wanted == plain(target) or (target == ID_COLUMN and wanted in {"id", "northid"}):
            return target
    close = closest(name.lower(), TARGETS, 3)
    hint = (
        f"did you mean {' or '.join(close)}?" if close else f"the fields are {', '.join(TARGETS)}"
    )
    raise UsageError(f"there is no field {shortened(name)!r}: {hint}")


def shortened(name: str) -> str:
    """Return a name as a message has it; a longer one than a header can't be told apart anyway."""
    return name if len(name) <= LONGEST_HEADER else f"{name[: LONGEST_HEADER - 3]}..."


def map_option(header: str, field: str = "") -> str:
    """Return the `--map` option for a column, quoted for a shell."""
    return f"--map {quoted(f'{header}={field}')}"


def header_list(headers: Sequence[str]) -> str:
    """Return headers as a message lists them, at most twenty."""
    named = [header for header in headers if header]
    return listed([repr(header[:60]) for header in named], 20) or "only blank cells"


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
    known = _Places(headers)
    for named, field in mapped.items():
        before = (seen or {}).get(named)
        place = None if before is None else place_of(named, before)
        if place is None:
            find = known.matches if before is None else known.by_header
            if not insist and not find(named):
                continue
            place = _only(known, named, "--map")
        elif place >= len(headers):
            continue
        target = existing_field(field) if field.strip() else ""
        if insist and found.get(place, target) != target:
            raise UsageError(
                f"--map {shortened(named)!r}: {column_name(place)} is mapped twice, to different "
                "fields"
            )
        found[place] = target
    return found


def column_named(headers: Sequence[str], named: str, option: str) -> int:
    """Return the index of the column that a name in an option means.

    Raises UsageError when there is none, or more than one.
    """
    return _only(_Places(headers), named, option)


def _only(known: _Places, named: str, option: str) -> int:
    matches = known.matches(named)
    if not matches:
        close = closest(named, known.headers, 3)
        hint = (
            f"did you mean {' or '.join(map(repr, close))}?"
            if close
            else f"there are {header_list(known.headers)}"
        )
        raise UsageError(f"{option} {shortened(named)!r}: no column has this header: {hint}")
    if len(matches) > 1:
        numbers = " and ".join(str(index + 1) for index in matches[:_MOST_PLACES])
        raise UsageError(
            f"{option} {shortened(named)!r}: columns {numbers} have this header; name one as "
            f"'column {matches[0] + 1}'"
        )
    return matches[0]


# Columns with one header that a message names.
_MOST_PLACES = 20


class _Places:
    """The columns of a sheet by their headers, found without a walk through all for each name."""

    def __init__(self, headers: Sequence[str]) -> None:
        self.headers = headers
        self._exact: dict[str, list[int]] = {}
        self._alike: dict[str, list[int]] = {}
        for index, header in enumerate(headers):
            self._exact.setdefault(header, []).append(index)
            if header and (name := plain(header)):
                self._alike.setdefault(name, []).append(index)

    def matches(self, named: str) -> list[int]:
        """Return the indexes of the columns that a name may mean."""
        found = self.by_header(named)
        # Last, because a header may be called `Column 3`.
        index = column_number(named)
        by_place = [index] if index is not None and 0 <= index < len(self.headers) else []
        return found or by_place

    def by_header(self, named: str) -> list[int]:
        """Return the indexes of the columns that have a header, in its exact form if any has."""
        return self._exact.get(named.strip()) or self._alike.get(plain(named)) or []


def place_of(name: str, before: str) -> int | None:
    """Return the index of the column that `column N` names; None if that was its header."""
    return None if same_header(name, before) else column_number(name)


def refuse_moved(headers: Sequence[str], index: int, before: str, source: str) -> None:
    """Raise InputError when a column that a profile maps by its place has another header."""
    if index >= len(headers) or same_header(headers[index], before):
        return
    now = headers[index]
    places = [at for at, header in enumerate(headers) if before and same_header(header, before)]
    places = places[:_MOST_PLACES]
    now, before = shortened(now), shortened(before)
    moved = f" ({before!r} is {' and '.join(map(column_name, places))} here)" if places else ""
    name = column_name(index)
    raise InputError(
        f"{source}: {name} is {now!r}, but the profile maps {name} by its place for a sheet that "
        f"had {before!r} there{moved}. Say what it is with {map_option(name, 'FIELD')}, or "
        f"{map_option(name)} to ignore it; or save a new profile for such sheets"
    )
