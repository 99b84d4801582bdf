"""Profiles: what a file says, what an option says over it, and what is wrong with one."""

from __future__ import annotations

from datetime import time
from pathlib import Path

import pytest

from bulk_sync.errors import OutputError, UsageError
from bulk_sync.profile import Profile
from bulk_sync.quantities import parse_clock_time
from bulk_sync.settings.sheet import SheetSettings

WHOLE = """
on_duplicate = "last"
strict = true
clear = "-"
[read]
delimiter = ";"
encoding = "cp1252"
sheet = 2
header_row = 3
[map]
"Buyer's Agent" = "agent_name"
"Internal note" = ""
[aliases]
rating = ["Satisfaction"]
[dates]
timezone = "America/Chicago"
order = "dmy"
default_time = "9:30 PM"
[fields.feedback]
clear = "n/a"
blank = "clear"
[fields.title]
blank = "keep"
"""


def settings(text: str, tmp_path: Path, **given: object) -> SheetSettings:
    path = tmp_path / "p.toml"
    path.write_text(text, encoding="utf-8")
    return SheetSettings(input="x.csv", profile=path, **given)


def test_a_profile_says_how_a_sheet_is_read_and_options_win_over_it(tmp_path: Path) -> None:
    told = settings(WHOLE, tmp_path)
    reading, meaning = told.reading, told.meaning
    assert (reading.delimiter, reading.encoding) == (";", "cp1252")
    assert (reading.sheet, reading.header_row) == ("2", 3)
    assert (meaning.on_duplicate, meaning.strict) == ("last", True)
    assert meaning.map == {}
    assert meaning.map_hints == {"Buyer's Agent": "agent_name", "Internal note": ""}
    assert meaning.aliases == {"rating": ["Satisfaction"]}
    assert meaning.timezone == "America/Chicago"
    assert (meaning.date_order, meaning.default_time) == ("dmy", time(21, 30))
    assert (meaning.clear, meaning.field_clears) == ("-", {"feedback": "n/a"})
    assert meaning.blank_clears == ("feedback",)
    over = settings(
        WHOLE, tmp_path, map=["Internal note=title"], delimiter=",", date_order="mdy", clear="!"
    )
    assert (over.reading.delimiter, over.reading.sheet) == (",", "2")
    assert over.meaning.date_order == "mdy"
    assert over.meaning.map == {"Internal note": "title"}
    assert (over.meaning.clear, over.meaning.field_clears) == ("!", {"feedback": "n/a"})
    again = over.changed(clear=None, header_row=7)
    assert (again.meaning.clear, again.reading.header_row) == (None, 7)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("maps = {}", "maps is not known: did you mean map?"),
        ("[dates]\ntimezon = 'x'", "dates.timezon is not known: did you mean timezone?"),
        ("[fields.feedback]\nempty = 'x'", "fields.feedback.empty is not known"),
        ("[dates]\norder = 'american'", "dates.order: 'american' is not one of mdy, dmy, ymd"),
        ("[read]\nheader_row = 'three'", "read.header_row: 'three' is not a whole number"),
        ("map = 3", "map: 3 is not a table"),
        ("strict = 'yes'", "strict: 'yes' is not true or false"),
        ("[read]\nheader_row = 0", "read.header_row: 0 is less than 1"),
        ("not toml", "not TOML"),
        ("[dates]\ndefault_time = '25:00'", "is not a time of day"),
        ("[dates]\ntimezone = 'Chicago'", "did you mean America/Chicago?"),
    ],
)
def test_what_is_wrong_with_a_profile_is_said(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError) as raised:
        settings(text, tmp_path)
    assert words in str(raised.value)


def test_a_profile_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        Profile.load(tmp_path / "none.toml")


def test_a_saved_profile_loads_as_it_was_and_never_replaces_a_file(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(WHOLE, encoding="utf-8")
    profile = Profile.load(path)
    profile.save(tmp_path / "q.toml")
    assert Profile.load(tmp_path / "q.toml") == profile
    with pytest.raises(OutputError, match="exists already"):
        profile.save(path)
    with pytest.raises(OutputError, match="can't be written"):
        profile.save(tmp_path / "none" / "q.toml")


@pytest.mark.parametrize(
    ("text", "value"), [("09:00", time(9)), ("9:30 pm", time(21, 30)), ("12:00am", time(0))]
)
def test_times_of_day(text: str, value: time) -> None:
    assert parse_clock_time(text) == value


@pytest.mark.parametrize("text", ["24:00", "13:00 pm", "9", "", "09:60"])
def test_times_of_day_that_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write it as 09:00"):
        parse_clock_time(text)


@pytest.mark.parametrize(
    ("pair", "words"),
    [("rating", "write it as 'Header=field'"), ("=rating", "write it as 'Header=field'")],
)
def test_a_map_without_both_sides(pair: str, words: str) -> None:
    with pytest.raises(UsageError, match=f"--map: .*{words}"):
        SheetSettings(input="x.csv", map=[pair])


def test_a_header_has_one_field() -> None:
    with pytest.raises(UsageError, match="'Note' is mapped twice, to 'title' and to 'feedback'"):
        SheetSettings(input="x.csv", map=["Note=title", "Note=feedback"])
    twice = SheetSettings(input="x.csv", map=["Note=title", "Note=title"])
    assert twice.meaning.map == {"Note": "title"}


def test_a_profile_may_say_nothing_but_what_a_blank_cell_means(tmp_path: Path) -> None:
    told = settings('[fields.feedback]\nblank = "clear"\n', tmp_path)
    assert told.meaning.blank_clears == ("feedback",)
    assert told.meaning.field_clears == {}
    assert told.meaning.clear == settings("", tmp_path).meaning.clear
    kept = settings('[fields.feedback]\nblank = "keep"\n', tmp_path)
    assert kept.meaning.blank_clears == ()
