"""Word the systematic differences of two sheets. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bulk_sync.model.comparison import Reconciliation
from bulk_sync.model.problems import Fact
from bulk_sync.model.systematic import Pattern, Systematic
from bulk_sync.wording import counted

_MINUTES_OF_DAY = 24 * 60
# Between the dates of workbooks that count days from 1900 and from 1904.
_DATE_SYSTEMS = 1462 * _MINUTES_OF_DAY


def systematic_lines(summary: Reconciliation) -> Iterator[str]:
    """Return a sentence or two for each finding: the cause, and the way out."""
    for one in summary.systematic:
        yield f"{_SENTENCES[one.pattern](one)}."


def refusal(summary: Reconciliation) -> str | None:
    """Return why nothing was pushed; None if it may be."""
    if not summary.refused:
        return None
    return (
        "Nothing was sent, because differences with one cause are rarely meant for North. Remove "
        "the cause; or, if the values here are right, push them with --accept-systematic."
    )


def _in_rows(one: Systematic) -> str:
    return f"in {one.rows:,} of {counted(one.of, 'row')}"


# Keys


def _no_common_key(one: Systematic) -> str:
    return (
        f"No showing is in both sheets: keys here are such as {one.facts['here']}, there such as "
        f"{one.facts['there']}. Check that the sheets belong together and that the same column "
        "has the key in both (--map here, --with-profile there)"
    )


_AS_TEXT = "Format the column as text and enter or export the keys again"
_AS_NORTH = "Write them as North does"
_KEY_FORMS = {
    "zeros_there": ("keys here have lost their leading zeros", _AS_TEXT),
    "zeros_here": ("keys there have lost their leading zeros", _AS_TEXT),
    "decimal": ("numbers with and without .0", _AS_TEXT),
    "case": ("upper and lower case", _AS_NORTH),
    "punctuation": ("blanks, punctuation, case or leading zeros", _AS_NORTH),
}


def _key_form(one: Systematic) -> str:
    what, way = _KEY_FORMS[str(one.facts["form"])]
    return (
        f"{one.rows:,} of {counted(one.of, 'key')} without a counterpart have one in another form: "
        f"{what} ({one.facts['here']} here, {one.facts['there']} there). {way}"
    )


# Values


def _time_offset(one: Systematic) -> str:
    minutes = _list(one.facts["minutes"])
    size = " or ".join(_span(abs(each)) for each in minutes if each)
    size = size.replace(" hours or", " or").replace(" hour or", " or")
    if 0 in minutes:
        size += ", but for a season,"
    direction = "later" if sum(minutes) > 0 else "earlier"
    cause = "as with another time zone"
    way = "Say the zone of each sheet: --timezone here, timezone in --with-profile there"
    if one.facts.get("same_clock"):
        cause = "because the same time of day is in another time zone"
    elif abs(minutes[0]) == _DATE_SYSTEMS:
        cause = "as between workbooks that count days from 1900 and from 1904"
        way = "Set the same date system in both workbooks"
    elif abs(minutes[0]) >= _MINUTES_OF_DAY:
        cause = "all of them by the same time"
        way = "Check which sheet is right"
    return f"{one.field}: {size} {direction} here than there {_in_rows(one)}, {cause}. {way}"


def _day_and_month(one: Systematic) -> str:
    return (
        f"{one.field}: day and month are swapped {_in_rows(one)} in which they can be. Say the "
        "order of each sheet: --date-order here, date-order in --with-profile there"
    )


def _scaled(one: Systematic) -> str:
    times, parts = one.facts["times"], one.facts["parts"]
    factor = f"{times}" if parts == 1 else f"{times}/{parts}"
    way = "Say the scale of each sheet: --scale here, scale in --with-profile there"
    end = f": another scale. {way}" if one.field == "rating" else ""
    return f"{one.field}: the values here are {factor} times those there {_in_rows(one)}{end}"


def _added(one: Systematic) -> str:
    plus = one.facts["plus"]
    assert isinstance(plus, int)  # noqa: S101 - declared so
    direction = "higher" if plus > 0 else "lower"
    return f"{one.field}: the values here are {abs(plus)} {direction} than there {_in_rows(one)}"


def _reversed(one: Systematic) -> str:
    total = one.facts.get("sum")
    if isinstance(total, int):
        end = f"here counts down where there counts up: 1 here is {total - 1} there"
    else:
        end = "here and there have each other's value"
    return f"{one.field}: {end}, {_in_rows(one)}"


def _shifted(one: Systematic) -> str:
    side, moved = one.facts["in"], one.facts["moved"]
    neighbour = "above" if (moved == "down") is (side != "there") else "below"
    where = {"here": f"{moved} by a row here", "there": f"{moved} by a row there"}
    return (
        f"{one.field}: {one.rows:,} of {counted(one.of, 'differing value')} here are those of the "
        f"row {neighbour} there: the column was moved "
        f"{where.get(str(side), 'by a row in one of the sheets')}. Move it back"
    )


def _swapped(one: Systematic) -> str:
    return (
        f"{one.field}: has the values of {one.facts['with']} there, and the reverse, "
        f"{_in_rows(one)}: the columns are swapped in one of the sheets. Check what fills them "
        "(--map here, --with-profile there)"
    )


def _other_column(one: Systematic) -> str:
    return (
        f"{one.field}: the values here are those of {one.facts['with']} there {_in_rows(one)}. "
        "Check which columns fill the fields (--map here, --with-profile there)"
    )


def _cut(one: Systematic) -> str:
    side = one.facts["in"]
    other = "here" if side == "there" else "there"
    way = (
        "Export the texts in full"
        if side == "there"
        else "A push would shorten them: take the texts in full"
    )
    return (
        f"{one.field}: the texts {side} end after {one.facts['longest']} {one.facts['unit']} where "
        f"those {other} go on, {_in_rows(one)}. {way}"
    )


_TEXT_FORMS = {
    "spaces": "differ only in blanks and line breaks",
    "entities": "differ only in characters written as in HTML, such as &amp;",
    "case": "differ only in upper and lower case",
    "accents": "differ only in accents and other marks of letters",
    "punctuation": "differ only in punctuation, blanks and case",
}


def _text_form(one: Systematic) -> str:
    return f"{one.field}: the texts {_TEXT_FORMS[str(one.facts['form'])]}, {_in_rows(one)}"


def _cleared(one: Systematic) -> str:
    return (
        f"{one.field}: cleared here {_in_rows(one)} that have a value there. Check that the column "
        "is not empty by mistake"
    )


def _blank_there(one: Systematic) -> str:
    return (
        f"{one.field}: blank there in all {counted(one.rows, 'row')} that have a value here. If "
        "North has values, export that column, too"
    )


_SENTENCES: dict[Pattern, Callable[[Systematic], str]] = {
    Pattern.NO_COMMON_KEY: _no_common_key,
    Pattern.KEY_FORM: _key_form,
    Pattern.TIME_OFFSET: _time_offset,
    Pattern.DAY_AND_MONTH: _day_and_month,
    Pattern.SCALED: _scaled,
    Pattern.ADDED: _added,
    Pattern.REVERSED: _reversed,
    Pattern.SHIFTED: _shifted,
    Pattern.SWAPPED: _swapped,
    Pattern.OTHER_COLUMN: _other_column,
    Pattern.CUT: _cut,
    Pattern.TEXT_FORM: _text_form,
    Pattern.CLEARED: _cleared,
    Pattern.BLANK_THERE: _blank_there,
}


def _list(value: Fact) -> list[int]:
    assert isinstance(value, list)  # noqa: S101 - declared so
    return value


def _span(minutes: int) -> str:
    if minutes % _MINUTES_OF_DAY == 0:
        return counted(minutes // _MINUTES_OF_DAY, "day")
    hours, rest = divmod(minutes, 60)
    parts = [counted(hours, "hour")] if hours else []
    parts += [counted(rest, "minute")] if rest else []
    return " ".join(parts)
