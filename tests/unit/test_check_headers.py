"""Headers: which columns fill which fields, and what is refused with which words."""

from __future__ import annotations

from typing import Any

import pytest

from bulk_sync.check.headers import Names, map_headers, recognise
from bulk_sync.check.naming import TARGETS, plain
from bulk_sync.check.showing import ALIASES
from bulk_sync.errors import InputError, UsageError


def fields(*headers: str, **options: Any) -> list[str | None]:
    return [column.field for column in map_headers(headers, "x.csv", **options).columns]


def test_headers_map_whatever_their_case_blanks_and_punctuation() -> None:
    assert fields("Unique-Showing KEY", "SHOWING_DATE", "Attendee Name:", "attendeesCount") == [
        "unique_showing_key", "showing_date", "attendee_name", "attendees_count",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("header", "field"),
    [
        ("Buyer's Agent", "agent_name"),
        ("Showing Agent", "agent_name"),
        ("Feedback Notes", "feedback"),
        ("Comments", "feedback"),
        ("Stars", "rating"),
        ("Score", "rating"),
        ("Interest Level", "interested"),
        ("Interested?", "interested"),
        ("Start time", "showing_time_start"),
        ("End Time", "showing_time_end"),
        ("Type of event", "event_type"),
        ("# People", "attendees_count"),
        ("E-Mail", "attendee_email"),
        ("Phone #", "attendee_phone"),
        ("Internal note", None),
        ("Listing agent", None),
        ("Notes", None),
        ("error", None),
    ],
)
def test_aliases_that_real_exports_use(header: str, field: str | None) -> None:
    assert fields("Confirmation #", header) == ["unique_showing_key", field]


def test_what_fills_no_field_is_named() -> None:
    mapping = map_headers(["id no", "unique_showing_key", "", "rating", "error", ""], "x.csv")
    assert [column.field for column in mapping.columns] == [
        None,
        "unique_showing_key",
        None,
        "rating",
        None,
    ]
    assert mapping.ignored == ("id no", "column 3, which has no header")


def test_the_users_word_comes_first() -> None:
    headers = ("Code", "Comments", "Feedback", "Notes", "Notes")
    told = {"Code": "unique_showing_key", "comments": "", "column 5": "title"}
    assert fields(*headers, mapped=told) == ["unique_showing_key", None, "feedback", None, "title"]
    names = Names({"rating": ["Zufriedenheit"], "unique showing key": ["Code"]})
    assert fields("Code", "zufriedenheit", names=names) == ["unique_showing_key", "rating"]
    assert map_headers(headers, "x.csv", mapped=told).ignored == ("Notes",)
    hints = {"Code": "unique_showing_key", "Comments": "", "Absent": "title", "Feedback": "rating"}
    assert fields("Code", "Comments", "Feedback", hints=hints, mapped={"Feedback": "title"}) == [
        "unique_showing_key", None, "title",
    ]  # fmt: skip


def test_what_the_user_says_of_columns_counts_when_the_header_is_looked_for() -> None:
    names = Names()
    assert recognise(["Ref", "Wo"], names, {"ref": "Unique Showing Key"}) == 1
    assert recognise(["Ref", "Wo"], names, {"column 1": "unique_showing_key", "Wo": "title"}) == 2
    assert recognise(["ID", "Stars"], names, {"ID": ""}) == 0
    assert recognise(["ID", "Stars"], names, {}) == 2
    assert recognise(["March", ""], names, {}) == 0


@pytest.mark.parametrize(
    ("headers", "told", "words"),
    [
        (
            ["feedback", "Showings Keys"],
            {},
            "'Showings Keys' is nearly a name for unique_showing_key",
        ),
        (
            ["a", "Code"],
            {},
            "the header row has 'a', 'Code'. If 'a' holds their keys, add --map a=unique_",
        ),
        (
            ["unique_showing_key", "Ratng"],
            {},
            "--map Ratng=rating, or --map Ratng= to ignore it",
        ),
        (["unique_showing_key", "Emial"], {}, "nearly a name for attendee_email"),
        (["unique_showing_key", "Feedbck"], {}, "nearly a name for feedback"),
        (
            ["unique_showing_key", "rating", "Stars"],
            {},
            "'rating' and 'Stars' both name rating; ignore one, with",
        ),
        (["unique_showing_key", "rating", "rating"], {}, "--map 'column 2=' or --map 'column 3='"),
        (["unique_showing_key", "External ID"], {}, "both name unique_showing_key"),
        (["", ""], {}, "only blank cells"),
        (
            ["K1", "Great house", "4"],
            {},
            "That looks like a row of data: put a row with the names of the columns above it",
        ),
        (["Buyer's key", "x"], {}, """add --map 'Buyer'"'"'s key=unique_showing_key'"""),
    ],
)
def test_headers_that_cannot_be_used(headers: list[str], told: dict[str, str], words: str) -> None:
    with pytest.raises(InputError) as raised:
        map_headers(headers, "x.csv", mapped=told)
    assert str(raised.value).startswith("x.csv: ")
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"Rting": "rating"}, "no column has this header: did you mean 'Rating'?"),
        ({"zzz": "rating"}, "there are 'key', 'Rating', 'Notes', 'Notes'"),
        ({"Rating": "ratings"}, "there is no field 'ratings': did you mean rating?"),
        ({"Rating": "zzz"}, "the fields are unique_showing_key, showing_id"),
        ({"Notes": "feedback"}, "columns 3 and 4 have this header; name one as 'column 3'"),
        ({"column 9": "feedback"}, "no column has this header"),
    ],
)
def test_a_mapping_that_fits_nothing_says_what_there_is(told: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError) as raised:
        map_headers(["key", "Rating", "Notes", "Notes"], "x.csv", mapped=told)
    assert words in str(raised.value)


def test_strict_allows_no_unknown_columns() -> None:
    with pytest.raises(
        InputError, match="--strict allows no unknown columns, and there are: Notes"
    ):
        map_headers(["unique_showing_key", "Notes", "error"], "x.csv", strict=True)
    assert fields("unique_showing_key", "Notes", mapped={"Notes": ""}, strict=True) == [
        "unique_showing_key",
        None,
    ]


def test_an_alias_may_not_take_another_fields_name() -> None:
    with pytest.raises(UsageError, match="is the name of another field, feedback"):
        Names({"rating": ["Feedback"]})


def test_no_alias_names_two_fields() -> None:
    names = [plain(name) for field in TARGETS for name in (field, *ALIASES.get(field, ()))]
    assert len(names) == len(set(names)), sorted(name for name in names if names.count(name) > 1)


def test_a_usual_word_is_no_typing_error_for_a_name() -> None:
    """`Reported` is a letter away from `report_id`, and often a date."""
    mapping = map_headers(["unique_showing_key", "Reported"], "x.csv")
    assert mapping.ignored == ("Reported",)
    with pytest.raises(InputError, match="nearly a name for report_id"):
        map_headers(["unique_showing_key", "Report Ids"], "x.csv")
