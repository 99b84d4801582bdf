"""Cells that a profile makes: values, constants, and texts of several columns."""

from __future__ import annotations

import tempfile
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.check.derived import with_derived
from bulk_sync.check.headers import OfProfile, map_headers
from bulk_sync.check.rows import Checker
from bulk_sync.check.rules import Rules
from bulk_sync.check.templates import Derivations, Part, Template, parse_template
from bulk_sync.errors import InputError, UsageError
from bulk_sync.job.store import Store
from bulk_sync.model.rows import Cell, Formatted, Problem, Record, Row
from bulk_sync.profile import Profile
from bulk_sync.report.problems import message_of
from bulk_sync.run.findings import columns_of, notes_on
from bulk_sync.run.mapping_profile import profile_of
from bulk_sync.run.rows import stage_rows
from bulk_sync.run.sheet import open_sheet
from bulk_sync.settings.sheet import SheetSettings
from tests.helpers import write_sheet

KEY_FROM = '[fields.unique_showing_key]\nfrom = "{MLS}-{Date:YYYY-MM-DD}"\n'


def settings_of(path: Path, profile: str = "", **options: Any) -> SheetSettings:
    (path.parent / "p.toml").write_text(profile, encoding="utf-8")
    values = {"timezone": "UTC", "max_problems": "100%", **options}
    return SheetSettings(input=path, profile=path.parent / "p.toml", **values)


def results(settings: SheetSettings) -> list[tuple[Any, ...]]:
    """Return key, state, patch and message of each row."""
    with open_sheet(settings.reading, settings.meaning) as sheet, Store.scratch() as store:
        rows = stage_rows(sheet, store)
        patches = dict(store.staged.patches(1000, rows.generation))
        return [
            (row.key, row.state, patches.get(row.target), row.reasons)
            for row in store.views.results(generation=rows.generation)
        ]


def messages(settings: SheetSettings) -> list[str]:
    return [message_of(reasons) or "" for *_, reasons in results(settings)]


def notes(settings: SheetSettings) -> str:
    with open_sheet(settings.reading, settings.meaning) as sheet, Store.scratch() as store:
        stage_rows(sheet, store)
        return "\n".join(notes_on(sheet))


@pytest.mark.parametrize(
    ("text", "template"),
    [
        ("{First} {Last}", Template("{First} {Last}", (Part("", "First"), Part(" ", "Last")))),
        ("#{MLS}!", Template("#{MLS}!", (Part("#", "MLS"),), "!")),
        ("{Date:YYYYMMDD}", Template("{Date:YYYYMMDD}", (Part("", "Date", "YYYYMMDD"),))),
        ("{Date: start}", Template("{Date: start}", (Part("", "Date: start"),))),
        ("{a:b:DD.MM. HH:mm}", Template("{a:b:DD.MM. HH:mm}", (Part("", "a:b", "DD.MM. HH:mm"),))),
    ],
)
def test_templates(text: str, template: Template) -> None:
    assert parse_template(text) == template


@pytest.mark.parametrize("text", ["", "MLS", "{}", "{ }", "{MLS", "MLS}", "{{MLS}}", "{MLS}{"])
def test_other_texts_are_no_templates(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as \{First"):
        parse_template(text)


# A profile and its sheet are the sheet with these cells typed by hand.

LEADS = {"Hot": 5, "warm": 3, "Not for us": 1, "?": ""}
CHECKS = {"checked": True, "unchecked": False}
CELLS = st.fixed_dictionaries(
    {
        "Lead": st.sampled_from([*LEADS, "HOT", " hot\u00a0", "4", "", "Lukewarm", "9"]),
        "Interest": st.sampled_from([*CHECKS, "yes", "", "perhaps"]),
        "First": st.sampled_from(["Ana", "", "  ", "Élodie"]),
        "Last": st.sampled_from(["Example", "", "O'Neil"]),
        "MLS": st.sampled_from(["00123", "A-7", ""]),
        "Comments": st.sampled_from(["Nice", ""]),
    }
)
PROFILE = """
[map]
Lead = "rating"
[fields.rating.values]
Hot = 5
warm = 3
"Not for us" = 1
"?" = ""
[fields.interested.values]
checked = true
unchecked = false
[fields.event_type]
constant = "open house"
[fields.attendee_name]
from = "{First} {Last}"
[fields.unique_showing_key]
from = "SH-{MLS}/{No}"
"""


@given(st.lists(CELLS, min_size=1, max_size=8))
def test_a_profile_means_what_the_cells_typed_by_hand_mean(rows: list[dict[str, str]]) -> None:
    def typed(known: dict[str, Any], cell: str) -> str:
        shown = {text.casefold(): value for text, value in known.items()}
        value = shown.get(cell.replace("\u00a0", " ").strip().casefold(), cell)
        return str(value).upper() if isinstance(value, bool) else str(value)

    by_hand = [
        (
            f"SH-{row['MLS']}/{number}" if row["MLS"] else "",
            typed(LEADS, row["Lead"]),
            typed(CHECKS, row["Interest"]),
            " ".join(filter(None, (row["First"].strip(), row["Last"]))),
            row["Comments"],
            "open house",
        )
        for number, row in enumerate(rows)
    ]
    with tempfile.TemporaryDirectory() as folder:
        header = ("MLS", "No", "Lead", "Interest", "First", "Last", "Comments")
        given_rows = [
            (row["MLS"], number, *(row[name] for name in header[2:]))
            for number, row in enumerate(rows)
        ]
        sheet = write_sheet(Path(folder, "x.csv"), given_rows, header)
        fields = ("Showing key", "Rating", "Interested", "Attendee", "Feedback", "Event type")
        plain = write_sheet(Path(folder, "y.csv"), by_hand, fields)
        made = results(settings_of(sheet, PROFILE))
        wanted = results(settings_of(plain))
    assert [row[:3] for row in made] == [row[:3] for row in wanted]


def test_a_value_that_is_not_known_is_refused_with_those_that_are(tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "x.csv", [("A", "Hot"), ("B", "Warm")], ("Key", "Rating"))
    profile = '[map]\nKey = "unique_showing_key"\n[fields.rating.values]\nHot = 5\nCold = 1\n'
    good, bad = messages(settings_of(sheet, profile))
    assert good == ""
    assert bad.startswith("rating: 'Warm' is not a rating from 1 to 5")
    assert bad.endswith("nor one of the profile's values: 'Hot', 'Cold'")


def test_a_value_that_no_cell_shows_is_noted_as_the_profile_has_it(tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "x.csv", [("A", "hot"), ("B", 2)], ("Showing key", "Rating"))
    profile = '[fields.rating.values]\nHot = 5\n"Luke Warm" = 1\n'
    assert "Values of the profile that no cell shows: rating: Luke Warm." in notes(
        settings_of(sheet, profile)
    )
    assert "no cell shows" not in notes(settings_of(sheet, profile, limit=1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[fields.rating.values]\nHot = 7", "fields.rating.values: 'Hot': rating: '7' is not a ra"),
        ("[fields.rating.values]\nHot = [5]", "fields.rating.values.Hot: a value is a text in qu"),
        ("[fields.rating.values]\nHot = 5\n'hot ' = 4", "'hot ' and 'Hot' are the same text"),
        ("[fields.rating.values]\n' ' = 4", "' ' is blank. For blank cells there is blank"),
        ("[fields.ratng.values]\nHot = 5", "fields.ratng: there is no field 'ratng': did you mean"),
        ("[fields.rating]\nvalue = {Hot = 5}", "fields.rating.value is not known: did you mean v"),
        ("[fields.unique_showing_key.values]\na = 'b'", "names the showing or its report, so it"),
        ("[fields.event_type]\nconstant = 'party'", "fields.event_type.constant: event_type: 'par"),
        ("[fields.rating]\nfrom = '{First}'", "only a text can be made of columns: unique_show"),
        ("[fields.title]\nfrom = 'First'", "fields.title.from: 'First' is not made of columns"),
        ("[fields.title]\nfrom = '{Frist}'", "fields.title.from: 'Frist': no column has this hea"),
        ("[fields.feedback]\nconstant = 'x'", "column 'Comments' fills feedback, too"),
        ("[fields.title]\nconstant = 'x'\nfrom = '{First}'", "has a constant and from: keep one"),
    ],
)
def test_an_error_in_a_profile_names_the_key_and_what_would_be_right(
    tmp_path: Path, text: str, message: str
) -> None:
    header = ("Showing key", "First", "Rating", "Comments")
    sheet = write_sheet(tmp_path / "x.csv", [("A", "Ana", 3, "")], header)
    with pytest.raises((UsageError, InputError)) as raised:
        results(settings_of(sheet, text))
    assert message in str(raised.value)
    assert "profile" in str(raised.value)


def making(made: Derivations) -> OfProfile:
    return OfProfile(derive=lambda found: with_derived(found, made))


def checker(columns: tuple[str, ...], template: str, **rules: Any) -> Checker:
    made = Derivations(templates={"unique_showing_key": parse_template(template)})
    mapping = map_headers(columns, "x.csv", profile=making(made))
    return Checker(mapping, Rules(derivations=made, **rules))


def key_of(template: str, *cells: Cell, **rules: Any) -> str:
    """Return the key of a row with MLS, Date and a rating, or why it has none."""
    columns = ("MLS", "Date of it", "Rating")
    found = checker(columns, template, **rules).check(Row(2, (*cells, 4)))
    if isinstance(found, Record):
        return found.key
    return f"{found.code}: {message_of(found.reasons)}"


@pytest.mark.parametrize(
    ("template", "cells", "key"),
    [
        ("{MLS}-{Date of it}", ("00123", "3/14/2026"), "00123-3/14/2026"),
        ("{MLS}-{Date of it}", (123, "a b"), "123-a b"),
        ("{MLS}-{Date of it}", (Formatted(7, "000", "007"), "x"), "007-x"),
        ("{MLS}-{Date of it:YYYY-MM-DD}", ("1", "3/14/2026"), "1-2026-03-14"),
        ("{MLS}-{Date of it:YYYY-MM-DD}", ("1", date(2026, 3, 14)), "1-2026-03-14"),
        ("{MLS}-{Date of it:YYYY-MM-DD}", ("1", datetime(2026, 3, 14, 9, 30)), "1-2026-03-14"),  # noqa: DTZ001
        ("{MLS}-{Date of it:DDMMYY HH.mm}", ("1", "2026-03-14T09:30:00-05:00"), "1-140326 09.30"),
        ("{Date of it:MM/DD}#{MLS}", ("1", "March 4, 2026"), "03/04#1"),
    ],
)
def test_a_key_of_several_columns_takes_texts_as_they_are_and_dates_in_their_form(
    template: str, cells: tuple[Cell, Cell], key: str
) -> None:
    assert key_of(template, *cells) == key


@pytest.mark.parametrize(
    ("template", "cells", "words"),
    [
        ("{MLS}-{Date of it}", ("", "x"), "missing_key: MLS is blank, and unique_showing_key is"),
        ("{MLS}-{Date of it}", ("1", " \u200b"), "missing_key: Date of it is blank"),
        ("{MLS}-{Date of it:YYYY}", ("1", ""), "missing_key: Date of it is blank"),
        ("{MLS}-{Date of it}", ("1", date(2026, 3, 14)), "such as {Date of it:YYYY-MM-DD}"),
        ("{MLS}-{Date of it:YYYY}", ("1", "soon"), "'soon' is not a date for the key"),
        ("{MLS}-{Date of it:YYYY}", ("1", "02/03/2026"), "need --date-order"),
        ("{MLS}-{Date of it:HH}", ("1", "3/14/2026"), "is not a date for the key"),
        ("{MLS}-{Date of it}", (1.23457e17, "x"), "bad_key: unique_showing_key: "),
        ("{MLS}-{Date of it}", ("#N/A", "x"), "bad_key: unique_showing_key: '#N/A'"),
        ("{MLS}-{Date of it}", ("NULL", "x"), "bad_key: unique_showing_key: 'NULL'"),
        ("{MLS}-{Date of it}", ("a\u200bb", "x"), "a character that nobody can see"),
    ],
)
def test_a_key_with_a_part_that_can_not_be_known_is_refused_with_the_way_out(
    template: str, cells: tuple[Cell, Cell], words: str
) -> None:
    assert words in key_of(template, *cells)


def test_an_order_that_is_given_reads_the_date_in_a_key() -> None:
    cells = ("1", "02/03/2026")
    form = "{MLS}-{Date of it:YYYY-MM-DD}"
    assert key_of(form, *cells, order="dmy", order_given=True) == "1-2026-03-02"
    assert key_of(form, *cells, order="mdy", order_given=True) == "1-2026-02-03"


@pytest.mark.parametrize(
    ("cells", "name"),
    [
        (("Ana", "Example"), "(Ana, Example)"),
        (("Ana", ""), "(Ana)"),
        (("", "Example"), "(Example)"),
        (("", " "), None),
        ((7, "x"), "(7, x)"),
    ],
)
def test_a_blank_part_of_a_text_is_left_out_with_its_separator(
    cells: tuple[Cell, Cell], name: str | None
) -> None:
    made = Derivations(templates={"attendee_name": parse_template("({First}, {Last})")})
    mapping = map_headers(
        ("Showing key", "First", "Last", "Rating"),
        "x.csv",
        profile=making(made),
    )
    found = Checker(mapping, Rules(derivations=made)).check(Row(2, ("A", *cells, 4)))
    assert isinstance(found, Record)
    assert (f'"attendee_name":"{name}"' in found.body) is (name is not None)
    assert ("attendee_name" in found.fields) is (name is not None)


def test_a_part_that_failed_is_refused_as_a_cell_of_the_field() -> None:
    made = Derivations(templates={"title": parse_template("{First} {Last}")})
    mapping = map_headers(
        ("Showing key", "First", "Last"),
        "x.csv",
        profile=making(made),
    )
    found = Checker(mapping, Rules(derivations=made)).check(
        Row(2, ("A", "x", Formatted(0.5, "?/?", None)))
    )
    assert isinstance(found, Problem)
    assert (message_of(found.reasons) or "").startswith("title: '0.5' is not")


def test_what_a_profile_makes_is_shown_among_the_columns_and_saved(tmp_path: Path) -> None:
    rows = [("7", "3/14/2026", "Ana", "Example", "Hot")]
    sheet = write_sheet(tmp_path / "x.csv", rows, ("MLS", "Date", "First", "Last", "Rating"))
    profile = PROFILE.replace("SH-{MLS}/{No}", "{MLS}-{Date:YYYY-MM-DD}").replace(
        'Lead = "rating"', ""
    )
    settings = settings_of(sheet, profile, strict=True, default_time="09:00")
    with open_sheet(settings.reading, settings.meaning) as opened, Store.scratch() as store:
        stage_rows(opened, store)
        seen = {column.header: (column.field, column.why) for column in columns_of(opened)}
        saved = profile_of(opened)
    assert seen["First"] == (None, "part")
    assert seen["{First} {Last}"] == ("attendee_name", "profile")
    assert seen["'open house'"] == ("event_type", "profile")
    saved.save(tmp_path / "q.toml")
    again = Profile.load(tmp_path / "q.toml")
    assert again.fields == Profile.load(tmp_path / "p.toml").fields
    assert "First" not in again.map
    loaded = SheetSettings(input=sheet, profile=tmp_path / "q.toml", timezone="UTC")
    assert results(loaded) == results(settings)


@pytest.mark.parametrize(
    ("cell", "time"),
    [
        ("3:00 PM - 3:30 PM", "15:00"),
        ("3:00 pm–3:30 pm", "15:00"),
        ("3 PM to 4 PM", "15:00"),
        ("3:00 PM - 4", "15:00"),
        ("15:00 - 15:30", "15:00"),
        ("3:00 - 3:30 PM", None),  # in the morning, or in the afternoon?
        ("15:00-15:30", None),  # an offset, perhaps
        ("15:00 - ", None),
    ],
)
def test_of_a_range_of_times_the_start_is_taken_where_it_is_certain(
    tmp_path: Path, cell: str, time: str | None
) -> None:
    header = ("Showing key", "Start Date", "Showing Time")
    sheet = write_sheet(tmp_path / "x.csv", [("A", "2026-03-14", cell)], header)
    ((_, _, patch, _),) = results(settings_of(sheet))
    assert (patch is not None) == (time is not None)
    if time is not None:
        start = f'"2026-03-14T{time}:00Z"'
        assert patch == f'{{"showing_date":{start},"showing_time_start":{start}}}'


def test_the_end_of_a_showing_is_no_range(tmp_path: Path) -> None:
    header = ("Showing key", "Start Date", "Start Time", "End Time")
    row = ("A", "2026-03-14", "3 PM", "4 PM - 5 PM")
    sheet = write_sheet(tmp_path / "x.csv", [row], header)
    (message,) = messages(settings_of(sheet))
    assert message.startswith("showing_time_end: '4 PM - 5 PM' is not a single time")
