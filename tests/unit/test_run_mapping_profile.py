"""Saved profiles: a sheet like theirs is read the same way, and any other one is refused."""

from __future__ import annotations

import csv
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bulk_sync.errors import InputError, UsageError
from bulk_sync.run.mapping_profile import profile_of
from bulk_sync.run.sheet import open_sheet
from bulk_sync.settings.sheet import SheetSettings

KEY = "unique_showing_key"
NAMES = ["Phone", "Phone", "Notes", "rating", "", "Column1", "column 2", "Column 3", "Stars", "%"]
FIELDS = ["feedback", "title", "attendee_phone", ""]


def mapping(path: Path, headers: list[str], **settings: object) -> list[tuple[str, str | None]]:
    """Return header and field of each column."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([headers, [f"cell {place}" for place in range(len(headers))]])
    told = SheetSettings(input=path, **settings)
    with open_sheet(told.reading, told.meaning) as sheet:
        assert sheet.table.understood.header_row == 1
        return [(column.header, column.field) for column in sheet.mapping.columns]


def saved(path: Path, profile: Path, mapped: list[str]) -> list[tuple[str, str | None]]:
    """Save the profile of a sheet that is there; return header and field of each column."""
    told = SheetSettings(input=path, map=mapped)
    with open_sheet(told.reading, told.meaning) as sheet:
        profile.unlink(missing_ok=True)
        profile_of(sheet).save(profile)
        return [(column.header, column.field) for column in sheet.mapping.columns]


# A header that looks like a place and is there twice has no name of its own: it is refused.
headers_of_sheets = (
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=5)
    .filter(lambda names: len(names) == len({*names}) or "olumn" not in "".join(names))
    .map(lambda names: [KEY, *names])
)
maps = st.dictionaries(st.integers(2, 6), st.sampled_from(FIELDS), max_size=3).map(
    lambda map_: [f"column {place}={field}" for place, field in map_.items()]
)


@given(headers_of_sheets, headers_of_sheets, maps)
def test_a_saved_profile_puts_no_column_where_its_sheet_had_another(
    headers: list[str], others: list[str], mapped: list[str]
) -> None:
    with TemporaryDirectory() as folder:
        path, profile = Path(folder, "x.csv"), Path(folder, "p.toml")
        try:
            first = mapping(path, headers, map=mapped)
        except (InputError, UsageError):
            assume(False)
        assert saved(path, profile, mapped) == first
        assert mapping(path, headers, profile=profile) == first
        try:
            later = mapping(path, others, profile=profile)
        except (InputError, UsageError):
            return
        alone = {header: field for header, field in first if headers.count(header) == 1 and header}
        for place, (header, field) in enumerate(later):
            before = first[place] if place < len(first) else (None, None)
            usual = mapping(path, [KEY, header])[1:] if place and header else []
            assert (
                (header, field) == before
                or alone.get(header, "") == field
                or [(header, field)] == usual
                or (field is None and (header == "" or header not in alone))
            )


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ([KEY, "Notes", "Phone", "Feedback"], "'Phone' is column 3 here"),
        ([KEY, "", "Phone", "Feedback"], "column 2 is '', but the profile maps column 2"),
        ([KEY, "Phone", "Mobile", "Feedback"], "column 3 is 'Mobile'"),
    ],
)
def test_another_header_where_a_profile_maps_by_place_is_refused_with_the_way_out(
    tmp_path: Path, others: list[str], words: str
) -> None:
    path, profile = tmp_path / "x.csv", tmp_path / "p.toml"
    mapping(path, [KEY, "Phone", "Phone", "Feedback"], map=["column 2=attendee_phone", "column 3="])
    saved(path, profile, ["column 2=attendee_phone", "column 3="])
    with pytest.raises(InputError, match=words):
        mapping(path, others, profile=profile)
    decided = ["column 2=attendee_phone", "column 3="]
    fields = [field for _, field in mapping(path, others, profile=profile, map=decided)]
    assert fields == [KEY, "attendee_phone", None, "feedback"]
    alike = mapping(path, [KEY, "PHONE", "phone ", "Feedback"], profile=profile)
    assert [field for _, field in alike] == fields


def test_a_column_without_a_header_keeps_its_field_in_a_profile(tmp_path: Path) -> None:
    path, profile = tmp_path / "x.csv", tmp_path / "p.toml"
    headers = [KEY, "", "rating"]
    first = mapping(path, headers, map=["column 2=feedback"])
    assert first[1] == ("", "feedback")
    saved(path, profile, ["column 2=feedback"])
    assert mapping(path, headers, profile=profile) == first
    with pytest.raises(InputError, match="'Notes', but the profile maps column 2"):
        mapping(path, [KEY, "Notes", "rating"], profile=profile)


def test_a_header_that_looks_like_a_place_is_a_header_in_a_saved_profile(tmp_path: Path) -> None:
    path, profile = tmp_path / "x.csv", tmp_path / "p.toml"
    mapping(path, [KEY, "Column1", "rating"], map=["Column1=feedback"])
    saved(path, profile, ["Column1=feedback"])
    assert mapping(path, [KEY, "Notes", "rating"], profile=profile) == [
        (KEY, KEY),
        ("Notes", None),
        ("rating", "rating"),
    ]
    assert mapping(path, ["Column1", KEY], profile=profile) == [("Column1", "feedback"), (KEY, KEY)]


def test_the_header_is_searched_by_what_a_profile_saw_at_a_place(tmp_path: Path) -> None:
    path, profile = tmp_path / "x.csv", tmp_path / "p.toml"
    mapping(path, ["Nr", "Wo", "Wo"], map=["column 1=unique_showing_key", "column 2=title"])
    saved(path, profile, ["column 1=unique_showing_key", "column 2=title"])
    path.write_text("March\nNr,Wo,Wo\nsh-1,Here,There\nrating,title,feedback\n", encoding="utf-8")
    told = SheetSettings(input=path, profile=profile)
    with open_sheet(told.reading, told.meaning) as sheet:
        assert sheet.table.understood.header_row == 2
        assert [column.field for column in sheet.mapping.columns] == [KEY, "title", None]


def test_the_headers_of_a_profile_are_those_of_places(tmp_path: Path) -> None:
    profile = tmp_path / "p.toml"
    profile.write_text('[headers]\nPhone = "Phone"\n', encoding="utf-8")
    with pytest.raises(UsageError, match="headers: 'Phone' is no place: write it as 'column 3'"):
        SheetSettings(input="x.csv", profile=profile)
