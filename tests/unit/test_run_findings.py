"""What was found in a sheet, and the words for it."""

from __future__ import annotations

import re
import shlex
from datetime import time
from pathlib import Path

import pytest

from bulk_sync.job.store import Store
from bulk_sync.model.summaries import Understood
from bulk_sync.quantities import Share
from bulk_sync.report.findings import Assumed, RulesUsed, assumption_lines, sheet_notes
from bulk_sync.run.findings import refusal_of
from bulk_sync.run.rows import stage_rows
from bulk_sync.run.sheet import open_sheet
from bulk_sync.settings.meaning import Meaning
from bulk_sync.settings.reading import Reading

RULES = RulesUsed("America/Chicago", False, "month, day, year", False, time(9))


def understood(kind: str, *notes: str) -> Understood:
    return Understood(kind, header_row=1, notes=notes)


@pytest.mark.parametrize(
    ("suffix", "kind", "named"),
    [
        (".csv", "CSV", False),
        (".CSV", "TSV", False),
        (".txt", "TSV", False),
        (".csv", "XLSX", True),
        (".xls", "XLSX", True),
        (".dat", "XLSX", False),
        ("", "CSV", False),
    ],
)
def test_a_suffix_that_promises_another_format_is_noted(
    suffix: str, kind: str, named: bool
) -> None:
    notes = sheet_notes(understood(kind), suffix, ())
    assert any(kind in note and suffix.lower() in note for note in notes) is named


def test_notes_are_those_of_the_reader_then_ignored_columns() -> None:
    assert sheet_notes(understood("CSV", "A note."), ".csv", ("Agent phone", "Office")) == (
        "A note.",
        "Ignored columns (no matching field): Agent phone, Office.",
    )


def test_hidden_columns_that_are_read_are_named() -> None:
    assert sheet_notes(understood("XLSX"), ".xlsx", (), [(3, "rating")]) == (
        "Column C 'rating' is hidden and is read; --map rating= leaves it out.",
    )
    (note,) = sheet_notes(understood("XLSX"), ".xlsx", (), [(3, "Buyer's rating")])
    (option,) = re.findall(r"--map (.*) leaves it out", note)
    assert shlex.split(option) == ["Buyer's rating="]
    (note,) = sheet_notes(understood("XLSX"), ".xlsx", (), [(3, "rating"), (28, "Notes")])
    assert note.startswith("Columns C 'rating', AB 'Notes' are hidden and are read;")


def test_an_assumption_says_what_how_often_and_where() -> None:
    found = {
        "order": Assumed(1, 7, "02/03/2026"),
        "timezone": Assumed(1200, 3, "10:00"),
        "default_time": Assumed(2, 4, "2026-03-02"),
    }
    zone, order, time_of_day = assumption_lines(found, RULES)
    assert zone == (
        "Assumed: times without an offset are in America/Chicago, this machine's time zone "
        "(--timezone); "
        "1,200 cells, the first in row 3: '10:00'."
    )
    assert order == (
        "Assumed: numeric dates are month, day, year (the default; --date-order); one cell, in "
        "row 7: '02/03/2026'."
    )
    assert time_of_day == (
        "Assumed: a date without a time means 09:00; 2 cells, the first in row 4: '2026-03-02'."
    )


def test_what_the_user_gave_is_not_called_a_default() -> None:
    given = RulesUsed("America/Chicago", True, "day, month, year", True, None)
    found = {"timezone": Assumed(1, 2, "x" * 100), "order": Assumed(1, 2, "x")}
    lines = assumption_lines(found, given)
    assert "this machine's" not in lines[0]
    assert "'" + "x" * 40 + "'" in lines[0]
    assert "default" not in lines[1]


def test_a_zone_without_a_name_is_not_mentioned() -> None:
    nameless = RulesUsed(None, False, "month, day, year", False, None)
    assert assumption_lines({"timezone": Assumed(1, 2, "10:00")}, nameless) == ()


def refused(path: Path, text: str, meaning: Meaning, most: Share) -> str | None:
    path.write_text(text, encoding="utf-8")
    with open_sheet(Reading(input=path), meaning) as sheet, Store.scratch() as store:
        rows = stage_rows(sheet, store)
        refusal = refusal_of(sheet, store, rows.generation, most, listed_in=Path("x.failed.csv"))
    return None if refusal is None else str(refusal)


def test_a_sheet_is_refused_beyond_the_problems_that_are_allowed(tmp_path: Path) -> None:
    text = "unique_showing_key,rating\na,4\nb,good\nc,bad\n"
    path = tmp_path / "x.csv"
    found = refused(path, text, Meaning(), Share(count=1))
    assert found is not None
    assert f"{path}: 2 of 3 rows can't be sent" in found
    assert "row 3: " in found
    assert "x.failed.csv lists what is wrong" in found
    assert refused(path, text, Meaning(), Share(count=2)) is None


def test_a_contradicted_order_is_refused_unless_it_was_given(tmp_path: Path) -> None:
    text = "unique_showing_key,showing_date\na,02/03/2026 10:00\nb,25/12/2026 10:00\n"
    path = tmp_path / "x.csv"
    found = refused(path, text, Meaning(timezone="UTC"), Share(percent=100))
    assert found is not None
    assert "row 3: 'showing_date' is '25/12/2026 10:00'" in found
    assert "--date-order dmy" in found
    given = Meaning(timezone="UTC", date_order="mdy")
    assert refused(path, text, given, Share(percent=100)) is None


@pytest.mark.parametrize(
    ("header", "cell", "mapped", "is_refused"),
    [
        ("Time Zone", "2026-03-04 10:00", {}, True),
        ("TZ", "3/4/2026 10:00 AM", {}, True),
        ("Time Zone", "2026-03-04 10:00", {"Time Zone": ""}, False),
        ("Time Zone", "2026-03-04T10:00Z", {}, False),
        ("Zone", "2026-03-04 10:00", {}, False),
    ],
)
def test_a_column_of_time_zones_that_is_not_read_stops_times_without_one(
    tmp_path: Path, header: str, cell: str, mapped: dict[str, str], is_refused: bool
) -> None:
    text = f"unique_showing_key,showing_date,{header}\na,{cell},America/New_York\n"
    meaning = Meaning(timezone="America/Chicago", map=mapped)
    words = refused(tmp_path / "x.csv", text, meaning, Share(count=1))
    assert (words is not None) == is_refused
    assert words is None or f"--map {shlex.quote(f'{header}=')}, so that all" in words
