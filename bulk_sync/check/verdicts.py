"""Decide about columns by the signs of their cells, once the sheet was read.

Pure: the same evidence gives the same findings. A finding either stops the sheet or is for a person
to know (`model.findings.Kind.stops`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from bulk_sync.check.evidence import Evidence, Seen, Sign
from bulk_sync.check.headers import HeaderMap
from bulk_sync.check.instants import MONTHS
from bulk_sync.check.naming import map_option
from bulk_sync.check.rules import Rules
from bulk_sync.check.showing import FIELDS, INSTANTS
from bulk_sync.model.findings import ColumnFinding, Kind
from bulk_sync.model.problems import Fact
from bulk_sync.quantities import parse_scale

FEWEST_PERCENT: Final = 5
"""The share of a column's cells that makes a sign of single ones a sign of all; fewer are typing
errors. On a scale of 1 to 10 about half of the ratings are beyond 5.
"""

FEWEST_RATINGS: Final = 2
"""Ratings beyond 5 that make another scale likelier than a typing error, in any column: on a scale
of 1 to 10 only one column in six of five cells has a single one.
"""

# ISO dates are written by people and programs alike, so that a few early ones prove nothing: by
# chance all of 3 are early in 6% of sheets, and 2 numeric dates late in 36% of these.
_FEWEST_ISO_DAYS: Final = 3
_FEWEST_TEXTS: Final = 2

# Texts of exactly 255 characters in a column without a longer one: chance makes one of them.
_FEWEST_CUT: Final = 3

# Numbers other than 0 and 1 that make levels of a column of yes and no. A single one among so many
# values is a typing error, unless it or the header names a scale.
_FEWEST_LEVELS: Final = 2
_ENOUGH_ANSWERS: Final = 3

_SCALES: Final = (10, 100)


class _Column:
    """The evidence about one column: its field, and how many of its cells were read as values."""

    def __init__(self, evidence: Evidence, field: str, mapping: HeaderMap, values: int) -> None:
        self._evidence = evidence
        self.field = field
        self.values = values
        self.header = mapping.column_of(field).name if field else ""
        self.leave_out = map_option(mapping.reference(mapping.column_of(field))) if field else ""

    def seen(self, sign: Sign) -> Seen:
        """Return what was seen of a sign."""
        return self._evidence.of(self.field, sign)

    def finding(self, kind: Kind, seen: Seen, **facts: Fact) -> ColumnFinding:
        """Return a finding about the cells of a sign."""
        return ColumnFinding(
            kind, self.header, seen.count, tuple(seen.examples), {**seen.facts, **facts}
        )


def findings_about(
    evidence: Evidence, mapping: HeaderMap, values: Mapping[str, int], rules: Rules
) -> tuple[ColumnFinding, ...]:
    """Return the findings about columns in the order of their kinds; `values` counts by field."""
    # Rows that are no showings are no evidence about a column, but about the sheet ("").
    fields = ["", *(field for field in FIELDS if mapping.index_of(field) is not None)]
    columns = [_Column(evidence, field, mapping, values.get(field, 0)) for field in fields]
    found = [one for column in columns for one in _about(column, rules)]
    order = list(Kind)
    return tuple(sorted(found, key=lambda finding: order.index(finding.kind)))


def _about(column: _Column, rules: Rules) -> Iterator[ColumnFinding]:
    if column.field in INSTANTS:
        yield from _dates(column, rules)
    if column.field == "rating" and rules.scale is None:
        yield from _scale(column)
    if column.field == "interested":
        yield from _levels(column)
    for kind, sign in _SIMPLE.items():
        seen = column.seen(sign)
        if seen.count:
            yield column.finding(kind, seen)
    cut = column.seen(Sign.SHORTEST_CUT)
    if cut.count >= _FEWEST_CUT and not column.seen(Sign.LONGER).count:
        yield column.finding(Kind.CUT, cut, characters=255)


# Signs that mean the same by themselves.
_SIMPLE: Final = {
    Kind.SECOND_TABLE: Sign.OTHER_HEADER,
    Kind.MOJIBAKE: Sign.MOJIBAKE,
    Kind.REPLACED: Sign.REPLACED,
    Kind.ESCAPED: Sign.ESCAPED,
    Kind.NULL_WORD: Sign.NULL_WORD,
    Kind.CUT: Sign.CUT,
    Kind.INVISIBLE: Sign.INVISIBLE,
    Kind.OTHER_DAY: Sign.OTHER_DAY,
    Kind.ZONE: Sign.ZONE,
}


def _dates(column: _Column, rules: Rules) -> Iterator[ColumnFinding]:
    half = _half_converted(column)
    if half is not None:
        yield half
    against = column.seen(Sign.AGAINST_ORDER)
    if half is None and against.count and not rules.order_given:
        yield column.finding(Kind.DATE_ORDER, against)


def _half_converted(column: _Column) -> ColumnFinding | None:
    """Return the finding of a column whose dates a program converted where it could.

    A program that takes 13/03 for a month and a day leaves it as a text, and makes 3 April of
    04/03. So the dates are all early, and no text could have been read the other way round.
    """
    texts = column.seen(Sign.UNSWAPPABLE_TEXT)
    if not texts.count or column.seen(Sign.SWAPPABLE_TEXT).count:
        return None
    early, late = column.seen(Sign.EARLY_DAY), column.seen(Sign.LATE_DAY)
    if not early.count:  # dates that were converted, and then saved as CSV
        early, late = column.seen(Sign.EARLY_ISO_DAY), column.seen(Sign.LATE_ISO_DAY)
        if early.count < _FEWEST_ISO_DAYS or texts.count < _FEWEST_TEXTS:
            return None
    if not early.count or late.count:
        return None
    first = texts.examples[0]
    return column.finding(
        Kind.HALF_CONVERTED,
        early,
        text_row=first.row,
        text=first.value,
        day_first=int(texts.highest > MONTHS),
    )


def _scale(column: _Column) -> Iterator[ColumnFinding]:
    """Yield a finding if a column of ratings seems to be on another scale than 1 to 5."""
    if (named := scale_in(column.header)) is not None:
        yield ColumnFinding(
            Kind.NAMED_SCALE, column.header, 0, (), {"scale": named, "leave_out": column.leave_out}
        )
        return
    beyond, fraction = column.seen(Sign.BEYOND_SCALE), column.seen(Sign.FRACTION)
    facts: dict[str, Fact] = {"leave_out": column.leave_out}
    if beyond.count >= FEWEST_RATINGS and _is_frequent(beyond, column.values):
        low = "0-" if column.seen(Sign.ZERO).count else ""
        fitting = next((high for high in _SCALES if beyond.highest <= high), None)
        suggested = f"{low}{fitting}" if fitting else ""
        yield column.finding(
            Kind.SCALE, beyond, highest=f"{beyond.highest:g}", suggested=suggested, **facts
        )
    # Shares of 1, as a percentage format has them: half stars alone are fewer.
    elif fraction.count and fraction.count >= column.values / 4:
        yield column.finding(Kind.SCALE, fraction, highest="1", suggested="", **facts)


# `Rating (1-10)`, `Score out of 100`, `Stars /10`
_SCALE = re.compile(
    r"(?:(?<!\d)([01])\s*(?:-|–|to)\s*|/\s*|(?:out )?of\s*)(\d{1,3})(?!\d)", re.ASCII
)


def scale_in(header: str) -> str | None:
    """Return the scale that a header names, as --scale takes it; None if it is 1 to 5 or none."""
    match = _SCALE.search(header.lower())
    if match is None or (match[1] != "0" and match[2] == "5"):
        return None
    try:
        return str(parse_scale(f"0-{match[2]}" if match[1] == "0" else match[2]))
    except ValueError:
        return None


def _levels(column: _Column) -> Iterator[ColumnFinding]:
    """Yield a finding if a column of yes and no holds levels, of which 0 and 1 are two."""
    other = column.seen(Sign.OTHER_NUMBER)
    is_named = column.seen(Sign.NAMED_LEVEL).count > 0 or scale_in(column.header) is not None
    is_slip = other.count < _FEWEST_LEVELS and column.values >= _ENOUGH_ANSWERS and not is_named
    is_likely = _is_frequent(other, column.values) and not is_slip
    if column.seen(Sign.ZERO_OR_ONE).count and is_likely:
        yield column.finding(
            Kind.LEVELS, other, highest=f"{other.highest:g}", leave_out=column.leave_out
        )


def _is_frequent(seen: Seen, values: int) -> bool:
    """Return True when so many cells have a sign that it is no typing error."""
    return 0 < seen.count >= (seen.count + values) * FEWEST_PERCENT / 100
