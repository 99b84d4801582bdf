"""Word the findings about columns: why a sheet is not sent, and notes for a person. Pure.

Each kind of finding has its words here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from msgspec import Struct

from bulk_sync.model.findings import ColumnFinding, Kind
from bulk_sync.quoting import quoted
from bulk_sync.wording import counted, listed


class _Note(Struct, frozen=True):
    """The words of a note: what is wrong with the cells, and what follows from it.

    `one` and `many` follow the number of cells. Facts of the first finding fill the braces.
    """

    one: str
    many: str
    then: str


_NOTES: Mapping[Kind, _Note] = {
    Kind.MOJIBAKE: _Note(
        "was decoded wrongly by another program",
        "were decoded wrongly by another program",
        "{first_value} was {was}: UTF-8, read as {read_as}. The text is sent as it is, so "
        "export the sheet again as UTF-8, or correct it",
    ),
    Kind.REPLACED: _Note(
        "has lost a letter in another program",
        "have lost letters in another program",
        "U+FFFD or a question mark has taken its place, and nothing here can restore it. The text "
        "is sent as it is, so export the sheet again as UTF-8, or correct it",
    ),
    Kind.ESCAPED: _Note(
        "holds an escape of HTML, XLSX or CSV",
        "hold escapes of HTML, XLSX or CSV",
        "{first_value} was {was}. The text is sent as it is: correct it, if people are to read it",
    ),
    Kind.NULL_WORD: _Note(
        "looks like a blank written by another program",
        "look like blanks written by another program",
        "In texts the words are sent as they are. Blank these cells to keep what North has, or "
        "clear the fields with --clear {clear}",
    ),
    Kind.CUT: _Note(
        "was probably cut by another program",
        "were probably cut by another program",
        "A text of exactly {characters:,} {unit} is as long as {keeper} keeps it. It is sent as it "
        "is: check its end",
    ),
    Kind.INVISIBLE: _Note(
        "has characters that nobody can see",
        "have characters that nobody can see",
        "The first one is {character}. They are left out of what is sent",
    ),
    Kind.OTHER_DAY: _Note(
        "is on another day than showing_date",
        "are on another day than showing_date",
        "The first one is a day or more from {day}. Both are sent as they are: correct the wrong "
        "one",
    ),
    Kind.ZONE: _Note(
        "names a zone that contradicts its date",
        "name zones that contradict their dates",
        "{zone} is on {there} ({offset_there}) at that time, and the cell says {said} "
        "({offset_said}), which is taken. If local time is meant, leave the zone out",
    ),
}

# By the number of characters: unit, and the program that keeps no more.
_KEEPERS = {
    255: ("characters", "a text field of many databases"),
    32_767: ("characters", "Excel"),
    65_535: ("bytes", "MySQL"),
}


def column_notes(findings: Sequence[ColumnFinding]) -> tuple[str, ...]:
    """Return a note for each kind of finding that doesn't stop the sheet, with its columns."""
    noted = [finding for finding in findings if not finding.kind.stops]
    return tuple(
        _note(kind, list(of_kind)) for kind, of_kind in groupby(noted, key=lambda one: one.kind)
    )


def _note(kind: Kind, findings: Sequence[ColumnFinding]) -> str:
    words = _NOTES[kind]
    count = sum(finding.count for finding in findings)
    verb = words.one if count == 1 else words.many
    columns = "; ".join(_column(one, alone=len(findings) == 1) for one in findings)
    return f"{counted(count, 'cell')} {verb}: {columns}. {_filled(words.then, findings[0])}."


def _column(finding: ColumnFinding, *, alone: bool) -> str:
    """Return `column 'Buyer' (12): 'NULL' (row 2) and 11 more`; no number if alone."""
    examples = [f"{_quoted(one.value)} (row {one.row})" for one in finding.examples]
    cells = listed(examples, len(examples), finding.count)
    number = "" if alone else f" ({finding.count:,})"
    return f"column {finding.header!r}{number}: {cells}"


def _quoted(value: object) -> str:
    """Return a value in quotes, what can't be seen in it as escapes."""
    text = str(value)
    return f"'{text}'" if text.isprintable() and "'" not in text else repr(text)


def _filled(text: str, finding: ColumnFinding) -> str:
    first = finding.examples[0]
    facts = {**finding.facts, "first_value": _quoted(first.value)}
    if "was" in facts:
        facts["was"] = _quoted(facts["was"])
    if finding.kind is Kind.NULL_WORD:
        facts["clear"] = quoted(first.value)
    if finding.kind is Kind.CUT:
        characters = finding.facts["characters"]
        facts["unit"], facts["keeper"] = _KEEPERS.get(
            characters if isinstance(characters, int) else 0, ("characters", "another program")
        )
    return text.format(**facts)


# Why a sheet is not sent. `cells` are the first cells with their rows.
_REFUSALS: Mapping[Kind, str] = {
    Kind.SECOND_TABLE: (
        "row {first_row} has column names, as row {header_row} has: another table begins there, "
        "{so}. Save each table as its own file, or name the header with --header-row"
    ),
    Kind.HALF_CONVERTED: (
        "column {header!r}: every date cell has a day of 12 or less, such as {first_value} (row "
        "{first_row}), and every text has a day above 12, such as '{text}' (row {text_row}). A "
        "spreadsheet program has probably read {order} and swapped day and month where it could, "
        "{so}. Give the column all dates or all texts: open the original again, with "
        "the column imported as text"
    ),
    Kind.DATE_ORDER: (
        "row {first_row}: {header!r} is {first_value!r}, which contradicts the order {used_order} "
        "of dates such as 02/03/2026, {so}. Give the order with --date-order dmy{or_ymd}; or "
        "with --date-order mdy, if that row is wrong"
    ),
    Kind.NAMED_SCALE: (
        "column {header!r} names another scale than North's 1 to 5, {so}. Have the "
        "ratings converted with --scale {scale}; or, if they are from 1 to 5, say --scale 5; or "
        "leave the column out with {leave_out}"
    ),
    Kind.SCALE: (
        "column {header!r} has ratings up to {highest} ({cells}), and North's are from 1 to 5: the "
        "lower ones may be on another scale too, {so}. {way_out}; or, if only these cells are "
        "wrong, correct them or say --scale 5; or leave the column out with {leave_out}"
    ),
    Kind.LEVELS: (
        "column {header!r} has numbers up to {highest} ({cells}), where 0 and 1 are not read as no "
        "and yes, {so}. Write yes and no, or leave the column out with {leave_out}"
    ),
}


def refusal_text(
    findings: Sequence[ColumnFinding],
    source: str,
    *,
    header_row: int,
    order: str,
    compared: bool = False,
) -> str | None:
    """Return why a sheet is not sent because of its columns; None if nothing stops it.

    `order` is the order in which its numeric dates are read. With `compared` it is why the sheet
    can't be compared.
    """
    sentences = [
        _refusal(finding, "so nothing is sent", header_row, order)
        for finding in findings
        if finding.kind.stops and not (compared and finding.kind.leaves_comparable)
    ]
    return f"{source}: {'. '.join(sentences)}" if sentences else None


def comparison_notes(findings: Sequence[ColumnFinding]) -> tuple[str, ...]:
    """Return a note for each column that would stop a push, but not a comparison."""
    return tuple(
        f"{_refusal(finding, 'so a push of it is refused')}."
        for finding in findings
        if finding.kind.leaves_comparable
    )


def _refusal(finding: ColumnFinding, so: str, header_row: int = 0, order: str = "") -> str:
    facts = {**finding.facts, "header": finding.header}
    facts |= {"so": so, "header_row": header_row, "used_order": order}
    for first in finding.examples[:1]:
        facts |= {"first_value": first.value, "first_row": first.row}
    facts["cells"] = ", ".join(f"{_quoted(one.value)} in row {one.row}" for one in finding.examples)
    if finding.kind is Kind.DATE_ORDER:
        facts["or_ymd"] = ", or ymd if the year is first" if finding.facts["short_year"] else ""
    if finding.kind is Kind.HALF_CONVERTED:
        facts["order"] = (
            "the texts month first (04/03 as April 3)"
            if finding.facts["day_first"]
            else "the texts day first (03/04 as 3 April)"
        )
    if finding.kind is Kind.SCALE:
        suggested = finding.facts["suggested"]
        facts["way_out"] = (
            f"Have them converted with --scale {suggested}" if suggested else "Convert them"
        )
    return _REFUSALS[finding.kind].format(**facts)
