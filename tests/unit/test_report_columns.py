"""The words for findings about columns."""

from __future__ import annotations

import pytest

from bulk_sync.model.findings import ColumnFinding, Example, Kind
from bulk_sync.model.problems import Fact
from bulk_sync.report.columns import column_notes, comparison_notes, refusal_text

FACTS: dict[str, Fact] = {
    "text_row": 3,
    "text": "13/03/2026",
    "day_first": 1,
    "highest": "9",
    "suggested": "10",
    "scale": "0-10",
    "leave_out": "--map Rating=",
    "was": "José",
    "read_as": "Windows-1252",
    "characters": 32767,
    "character": "U+200B",
    "zone": "America/New_York",
    "there": "EDT",
    "offset_there": "-04:00",
    "said": "EST",
    "offset_said": "-05:00",
    "short_year": 1,
    "day": "2026-03-14T10:00:00-05:00",
}


def finding(kind: Kind, header: str = "Buyer", count: int = 1, *values: str) -> ColumnFinding:
    examples = [Example(row, value) for row, value in enumerate(values or ("x",), start=2)]
    return ColumnFinding(kind, header, count, tuple(examples), FACTS)


def told(*findings: ColumnFinding) -> str | None:
    return refusal_text(findings, "x.csv", header_row=1, order="month, day, year")


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_is_a_note_or_a_refusal_with_the_row(kind: Kind) -> None:
    text = told(finding(kind)) or ""
    (note,) = column_notes([finding(kind)]) or ("",)
    assert bool(text) is kind.stops
    assert bool(note) is not kind.stops
    assert ("row 2" in text + note) is (kind is not Kind.NAMED_SCALE)
    assert not set("{}") & set(text + note)


@pytest.mark.parametrize(("short_year", "says"), [(0, False), (1, True)])
def test_a_year_of_two_digits_may_be_the_first_number(short_year: int, *, says: bool) -> None:
    """Told to take 26-03-14 day first, the program would send the year 2014."""
    odd = ColumnFinding(
        Kind.DATE_ORDER, "Date", 1, (Example(2, "26-03-14"),), {"short_year": short_year}
    )
    text = refusal_text([odd], "x.csv", header_row=1, order="month, day, year")
    assert text is not None
    assert ("ymd if the year is first" in text) is says


def test_a_note_counts_the_cells_and_names_columns_rows_and_values() -> None:
    (note,) = column_notes(
        [
            finding(Kind.NULL_WORD, "Buyer", 1, "None"),
            finding(Kind.NULL_WORD, "Feedback", 1200, "NULL", "nan", "\\N"),
        ]
    )
    assert note == (
        "1,201 cells look like blanks written by another program: column 'Buyer' (1): 'None' "
        "(row 2); column 'Feedback' (1,200): 'NULL' (row 2), 'nan' (row 3), '\\N' (row 4) "
        "and 1,197 more. In texts the words are sent as they are. Blank these cells to keep what "
        "North has, or clear the fields with --clear None."
    )


def test_a_note_on_mojibake_has_the_text_as_it_was() -> None:
    (note,) = column_notes([finding(Kind.MOJIBAKE, "Buyer", 1, "JosÃ©")])
    assert "'JosÃ©' was 'José': UTF-8, read as Windows-1252" in note


def test_what_cannot_be_seen_is_escaped() -> None:
    (note,) = column_notes([finding(Kind.INVISIBLE, "Phone", 1, "\u200e555")])
    assert "'\\u200e555' (row 2)" in note


def test_a_scale_question_names_the_ways_out() -> None:
    text = told(finding(Kind.SCALE, "Rating", 2, "9", "8")) or ""
    assert text.startswith(
        "x.csv: column 'Rating' has ratings up to 9 ('9' in row 2, '8' in row 3)"
    )
    for part in ("from 1 to 5", "--scale 10", "--scale 5", "--map Rating="):
        assert part in text


def test_two_columns_are_both_named() -> None:
    text = told(finding(Kind.SCALE, "Rating"), finding(Kind.LEVELS, "Interest")) or ""
    assert "'Rating'" in text
    assert "'Interest'" in text


def test_dates_that_were_converted_by_half_are_described() -> None:
    text = told(finding(Kind.HALF_CONVERTED, "Date", 2, "2026-04-03")) or ""
    for part in (
        "day of 12 or less",
        "day above 12",
        "month first (04/03 as April 3)",
        "all texts",
    ):
        assert part in text


@pytest.mark.parametrize("kind", Kind)
def test_a_comparison_notes_what_stops_only_a_push(kind: Kind) -> None:
    found = [finding(kind)]
    refused = refusal_text(found, "x.csv", header_row=1, order="month, day, year", compared=True)
    noted = comparison_notes(found)
    assert bool(noted) is kind.leaves_comparable
    assert bool(refused) is (kind.stops and not kind.leaves_comparable)
    assert all("so a push of it is refused" in note for note in noted)
