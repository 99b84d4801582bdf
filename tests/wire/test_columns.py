"""Cells are judged with their columns: nothing of a doubtful column is sent, damage is named."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from bulk_sync import PushSettings, push
from tests.conftest import Program, Sandboxes
from tests.helpers import KEY, Ran, Witness, write_sheet

ZONE = ("--timezone", "America/Chicago")


def write_workbook(path: Path, rows: Sequence[Sequence[Any]], formats: dict[str, str]) -> Path:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(row)
    for cell, code in formats.items():
        sheet[cell].number_format = code
    book.save(path)
    return path


def sent(witness: Witness) -> dict[str, Any]:
    return {entry["key"]: json.loads(entry["body"]) for entry in witness.patches()}


def pushed(program: Program, witness: Witness, sheet: Path, *arguments: object) -> Ran:
    return program("push", sheet, "--base-url", witness.base_url, *arguments)


RATINGS = [("sh-1", 4), ("sh-2", 3), ("sh-3", 9), ("sh-4", 5), ("sh-5", 2), ("sh-6", 8)]


def test_a_rating_column_on_another_scale_is_not_sent_unless_its_scale_is_named(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", RATINGS, ("unique_showing_key", "Rating"))
    profile = tmp_path / "p.toml"
    profile.write_text('scale = "0-10"\n', encoding="utf-8")
    with sandboxes() as witness:
        refused = pushed(program, witness, sheet)
        assert refused.code == 4
        for part in ("'Rating'", "up to 9", "'8' in row 7", "1 to 5", "--scale 10", "Rating="):
            assert part in refused.err
        assert witness.patches() == []
        shown = program("check", sheet, "--show", 3)
        assert (shown.code, "PATCH" in shown.out) == (4, False)
        only = pushed(program, witness, sheet, "--scale", 5, "--json", "--out", tmp_path / "five")
        assert (only.code, only.summary["states"]["invalid"]) == (3, 2)
        ran = pushed(program, witness, sheet, "--scale", 10, "--out", tmp_path / "ten")
        assert ran.code == 0
        assert "Ratings are converted (--scale): 1 and 2 become 1, 3 and 4 become 2" in ran.out
        assert {key: body["rating"] for key, body in sent(witness).items()} == {
            "sh-1": 2,
            "sh-2": 2,
            "sh-3": 5,
            "sh-4": 3,
            "sh-5": 1,
            "sh-6": 4,
        }
        assert pushed(program, witness, sheet, "--profile", profile, "--fresh").code == 0
        assert sent(witness)["sh-5"] == {"rating": 2}


def test_a_scale_that_is_none_is_refused(program: Program, tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "x.csv", RATINGS, ("unique_showing_key", "Rating"))
    ran = program("check", sheet, "--scale", "stars")
    assert ran.code == 2
    assert "such as 10" in ran.err
    profile = tmp_path / "p.toml"
    profile.write_text("scale = 1000\n", encoding="utf-8")
    assert "scale" in program("check", sheet, "--profile", profile).err
    saved = tmp_path / "saved.toml"
    assert program("check", sheet, "--scale", "0-10", "--save-profile", saved).code == 0
    assert 'scale = "0-10"' in saved.read_text(encoding="utf-8")


def test_levels_of_interest_are_not_sent_as_yes_and_no(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    rows = [(f"sh-{number}", level) for number, level in enumerate((1, 0, 1, 3, 1, 5), start=1)]
    sheet = write_sheet(tmp_path / "x.csv", rows, ("unique_showing_key", "Interest Level"))
    with sandboxes() as witness:
        ran = pushed(program, witness, sheet, "--max-problems", "100%")
        assert ran.code == 4
        assert "up to 5" in ran.err
        assert "0 and 1 are not read as no and yes" in ran.err
        assert witness.patches() == []


def test_dates_that_a_program_converted_by_half_are_not_sent(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    rows = [
        ("unique_showing_key", "showing_date"),
        ("sh-1", datetime(2026, 4, 3, 16, 30)),  # noqa: DTZ001 - a workbook's dates have no zone
        ("sh-2", "13/03/2026 16:30"),
        ("sh-3", datetime(2026, 11, 3, 10)),  # noqa: DTZ001 - same
        ("sh-4", "25/03/2026 09:00"),
    ]
    sheet = write_workbook(tmp_path / "x.xlsx", rows, {})
    with sandboxes() as witness:
        for order in ("dmy", None):
            ran = pushed(
                program, witness, sheet, *ZONE, *(("--date-order", order) if order else ())
            )
            assert ran.code == 4
            for part in ("day of 12 or less", "day above 12", "month first", "all texts"):
                assert part in ran.err
        assert witness.patches() == []


def test_phone_and_email_next_to_a_lone_agent_are_sent_only_if_the_user_says_whose(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    header = ("Confirmation #", "Showing Agent", "Phone", "Email", "Feedback")
    row = ("sh-1", "Kim Lee", "555-0100", "kim@example.com", "Nice")
    sheet = write_sheet(tmp_path / "x.csv", [row], header)
    buyer = write_sheet(tmp_path / "buyer.csv", [(*row, "Ann")], (*header, "Buyer"))
    named = ("--map", "Phone=attendee_phone", "--map", "Email=attendee_email")
    with sandboxes() as witness:
        ran = pushed(program, witness, sheet)
        assert ran.code == 0
        assert "--map Phone=attendee_phone --map Email=attendee_email" in ran.out
        assert sent(witness) == {"sh-1": {"agent_name": "Kim Lee", "feedback": "Nice"}}
        for path, arguments in ((sheet, (*named, "--fresh")), (buyer, ())):
            ran = pushed(program, witness, path, *arguments)
            assert "Ambiguous" not in ran.out
            assert sent(witness)["sh-1"]["attendee_email"] == "kim@example.com"
    assert program("check", sheet, "--strict").code == 4
    columns = program("check", sheet, "--json").summary["columns"]
    assert [column["field"] for column in columns][2:4] == [None, None]


DAMAGED = [
    ("sh-1", "NULL", "None", ""),
    ("sh-2", "nan", "Jos\u00c3\u00a9 Garc\u00c3\u00ada", "\u202a555-0100\u202c"),
    ("sh-3", "\\N", "Ren\ufffd M\ufffdller", ""),
    ("sh-4", "\u200b", "Ann Lee", "555-0101"),
]
DAMAGED_HEADER = ("unique_showing_key", "feedback", "attendee_name", "attendee_phone")
NOTED = [
    "4 cells look like blanks written by another program",
    "'NULL' (row 2), 'nan' (row 3), '\\N' (row 4)",
    "was 'Jos\u00e9 Garc\u00eda'",
    "U+FFFD",
    "U+202A",
]


def test_damage_is_on_terminal_page_json_and_log_and_the_texts_are_unchanged(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", DAMAGED, DAMAGED_HEADER)
    page, log = tmp_path / "x.html", tmp_path / "x.log"
    with sandboxes() as witness:
        ran = pushed(program, witness, sheet, "--page", page, "--log-file", log, "--json")
        assert ran.code == 0
        assert sent(witness) == {
            "sh-1": {"attendee_name": "None", "feedback": "NULL"},
            "sh-2": {
                "attendee_name": DAMAGED[1][2],
                "attendee_phone": "555-0100",
                "feedback": "nan",
            },
            "sh-3": {"attendee_name": DAMAGED[2][2], "feedback": "\\N"},
            "sh-4": {"attendee_name": "Ann Lee", "attendee_phone": "555-0101"},
        }
    checked = program("check", sheet)
    texts = {
        "json": "\n".join(ran.summary["notes"]),
        "stderr": ran.err,
        "check": checked.out,
        "log": log.read_text(encoding="utf-8"),
        "page": page.read_text(encoding="utf-8").replace("&#x27;", "'").replace("&#39;", "'"),
    }
    missing = [(name, part) for name, text in texts.items() for part in NOTED if part not in text]
    assert missing == []
    assert texts["log"].index("U+FFFD") < texts["log"].index("ends with exit code")
    assert texts["log"].count("U+FFFD") == 1


def test_damage_is_said_before_anything_is_sent(sandboxes: Sandboxes, tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "x.csv", DAMAGED, DAMAGED_HEADER)
    said: list[tuple[str, int]] = []
    with sandboxes() as witness:
        push(
            PushSettings(input=sheet, key=KEY, base_url=witness.base_url, rate="1000/s"),
            on_warning=lambda warning: said.append((warning, len(witness.patches()))),
        )
        assert len(witness.patches()) == 4
    assert len(said) == 4
    assert {patches for _, patches in said} == {0}


def test_a_time_of_24_hours_and_more_is_never_a_day_of_1900(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    rows = [
        ("unique_showing_key", "showing_date", "showing_time_start"),
        ("sh-1", date(2026, 3, 14), 34 / 24),
        ("sh-2", date(2026, 3, 14), time(10)),
    ]
    sheet = write_workbook(tmp_path / "x.xlsx", rows, {"C2": "h:mm AM/PM", "C3": "h:mm AM/PM"})
    with sandboxes() as witness:
        ran = pushed(program, witness, sheet, *ZONE, "--default-time", "09:00")
        assert ran.code in {0, 3}
        starts = {body.get("showing_time_start") for body in sent(witness).values()}
    assert starts == {"2026-03-14T10:00:00-05:00"}


def test_zeros_of_programs_sums_and_grouped_numbers_are_not_sent(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    header = ("unique_showing_key", "showing_date", "showing_time_start", "attendees_count")
    rows = [
        ("sh-1", "2026-03-14T16:30:00-05:00", "12/30/1899 4:30 PM", "2"),
        ("sh-2", "0001-01-01T00:00:00Z", "", ""),
        ("sh-3", "", "", "1.000"),
        ("sh-4", "", "", "12.0"),
        ("Total", "", "", "5"),
        ("Total-17", "", "", "5"),
    ]
    sheet = write_sheet(tmp_path / "x.csv", rows, header)
    with sandboxes() as witness:
        ran = pushed(program, witness, sheet, *ZONE, "--json")
        assert ran.code == 3
        assert ran.summary["problems"] == {"bad_value": 2, "bad_key": 1}
        assert sent(witness) == {
            "sh-1": {
                "showing_date": "2026-03-14T16:30:00-05:00",
                "attendees_count": 2,
                "showing_time_start": "2026-03-14T16:30:00-05:00",
            },
            "sh-4": {"attendees_count": 12},
            "Total-17": {"attendees_count": 5},
        }


def test_a_zone_that_contradicts_its_date_is_noted(program: Program, tmp_path: Path) -> None:
    sheet = write_sheet(
        tmp_path / "x.csv",
        [("sh-1", "2026-07-14 4:30 PM EST")],
        ("unique_showing_key", "showing_date"),
    )
    ran = program("check", sheet, "--timezone", "America/New_York", "--show", 1)
    assert ran.code == 0
    for part in ("EDT (-04:00)", "EST (-05:00)", "which is taken", "T16:30:00-05:00"):
        assert part in ran.out


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
@pytest.mark.parametrize("title", [False, True])
def test_a_key_column_that_is_named_by_its_place_keeps_the_header_row(
    program: Program, sandboxes: Sandboxes, tmp_path: Path, kind: str, *, title: bool
) -> None:
    header = ("", "Buyer", "Feedback", "Rating")
    rows = [("sh-1", "Ann Lee", "Loved it", "5"), ("sh-2", "Bo Ray", "Too dark", "3")]
    above = [("Showings", "of March", "", "")] if title else []
    sheet = tmp_path / f"x.{kind}"
    if kind == "csv":
        write_sheet(sheet, [*above, header, *rows][1:], [*above, header][0])
    else:
        write_workbook(sheet, [*above, header, *rows], {})
    with sandboxes() as witness:
        ran = pushed(program, witness, sheet, "--map", "column 1=unique_showing_key")
        assert ran.code == 0, ran.err
        assert sent(witness) == {
            "sh-1": {"attendee_name": "Ann Lee", "feedback": "Loved it", "rating": 5},
            "sh-2": {"attendee_name": "Bo Ray", "feedback": "Too dark", "rating": 3},
        }


def test_columns_that_are_all_named_by_their_places_need_no_known_header(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", [("sh-1", "Fine")], ("Ref", "Wo"))
    named = ("--map", "column 1=unique_showing_key", "--map", "column 2=feedback")
    with sandboxes() as witness:
        assert pushed(program, witness, sheet, *named).code == 0
        assert sent(witness) == {"sh-1": {"feedback": "Fine"}}


def test_rows_beyond_the_limit_stop_a_column_and_are_not_noted(
    program: Program, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", RATINGS, ("unique_showing_key", "Rating"))
    assert program("check", sheet, "--limit", 2).code == 4
    rows = [("sh-1", "Fine"), ("sh-2", "NULL")]
    sheet = write_sheet(tmp_path / "y.csv", rows, ("unique_showing_key", "feedback"))
    assert "NULL" not in "".join(program("check", sheet, "--limit", 1, "--json").summary["notes"])
    assert "NULL" in "".join(program("check", sheet, "--json").summary["notes"])


def test_a_comparison_notes_a_scale_and_a_push_of_it_is_refused(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    here = write_sheet(tmp_path / "here.csv", RATINGS, ("unique_showing_key", "Rating"))
    rows = [(key, 4) for key, _ in RATINGS]
    there = write_sheet(tmp_path / "there.csv", rows, ("unique_showing_key", "Rating"))
    with sandboxes() as witness:
        compared = ("reconcile", here, "--with", there, "--max-problems", "100%")
        ran = program(*compared, "--json")
        assert (ran.code, ran.summary["classes"]["problem"]) == (3, 2)
        assert any("so a push of it is refused" in note for note in ran.summary["notes"])
        pushing = program(*compared, "--push", "--base-url", witness.base_url)
        assert pushing.code == 4
        assert witness.patches() == []


@pytest.mark.parametrize("name", ["sample-showings.csv", "messy-showings.csv"])
def test_the_samples_have_no_damage(program: Program, name: str) -> None:
    sheet = Path(__file__).parents[2] / "sample_data" / name
    notes = program("check", sheet, "--date-order", "mdy", *ZONE, "--json").summary["notes"]
    assert [note for note in notes if note.split()[1] in {"cell", "cells"}] == []
