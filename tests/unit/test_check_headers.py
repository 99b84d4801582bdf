"""Headers: which columns fill which fields, and what is refused with which words."""

from __future__ import annotations

from typing import Any

import pytest

from bulk_sync.check.headers import Names, OfProfile, map_headers, map_own_headers, recognise
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


ZONES = ("Time Zone", "TZ", "timezone_name", "Timezone ID", "UTC offset", "GMT-Offset")


@pytest.mark.parametrize("header", ZONES)
def test_a_column_of_time_zones_is_named_unless_the_user_speaks_of_it(header: str) -> None:
    headers = ["unique_showing_key", header, "rating", "Zone"]
    assert [column.header for column in map_headers(headers, "x.csv").zones] == [header]
    for field in ("", "title"):
        assert map_headers(headers, "x.csv", mapped={header: field}).zones == ()


def test_each_column_says_why_it_fills_its_field_or_none() -> None:
    headers = ["Unique Showing Key", "Stars", "Code", "Notes", "", "error", "Mine", "Title"]
    mapping = map_headers(
        headers,
        "x.csv",
        mapped={"Code": "feedback", "column 4": ""},
        ours=frozenset({"Mine"}),
    )
    assert [(column.field, column.why) for column in mapping.columns] == [
        ("unique_showing_key", "name"),
        ("rating", "alias"),
        ("feedback", "--map"),
        (None, "--map"),
        (None, "blank"),
        (None, "ours"),
        (None, "ours"),
        ("title", "name"),
    ]


@pytest.mark.parametrize(
    ("others", "is_ambiguous"),
    [
        (("Showing Agent",), True),
        (("agent_name",), True),
        (("Listing Broker",), True),
        (("Listing Broker", "Showing Agent"), True),
        (("Showing Agent", "Buyer"), False),
        (("Showing Agent", "Purchaser 2"), False),
        (("Showing Agent", "attendee_phone_type"), False),
        (("Buyer",), False),
        (("Remarks",), False),
        ((), False),
    ],
)
def test_a_phone_or_mail_column_is_anyones_where_the_sheet_names_agents_only(
    others: tuple[str, ...], is_ambiguous: bool
) -> None:
    headers = ["unique_showing_key", "Mobile", "E-Mail", *others]
    mapping = map_headers(headers, "x.csv")
    assert [(one.header, one.field, one.may_be) for one in mapping.ambiguous] == (
        [("Mobile", None, "attendee_phone"), ("E-Mail", None, "attendee_email")]
        if is_ambiguous
        else []
    )
    filled = {column.field for column in mapping.filling}
    assert ({"attendee_phone", "attendee_email"} <= filled) is not is_ambiguous
    # What the user says of a column is certain.
    told = map_headers(headers, "x.csv", mapped={"Mobile": "attendee_phone"})
    assert "Mobile" not in {one.header for one in told.ambiguous}
    if is_ambiguous:
        with pytest.raises(InputError, match="Mobile"):
            map_headers(headers, "x.csv", strict=True)


@pytest.mark.parametrize(
    ("header", "near"),
    [
        ("Comemnts", ["feedback"]),  # two letters swapped
        ("Commnets", ["feedback"]),
        ("Ratng", ["rating"]),
        ("Rateing", ["rating"]),
        ("Razing", ["rating"]),
        ("Razinh", []),
        ("Scote", ["rating"]),
        ("Tale", []),  # short words are often one letter apart
        ("Event type xx", ["event_type"]),  # a tenth of both together
        ("Event type xxx", []),
        ("Showing da", ["showing_date"]),
    ],
)
def test_a_header_is_nearly_a_name_if_a_letter_or_a_tenth_of_it_differs(
    header: str, near: list[str]
) -> None:
    assert Names().near(header) == near


@pytest.mark.parametrize(
    ("cells", "mapped", "seen", "count"),
    [
        # A column that is named by its place counts in every row that reaches it.
        (["Ref", "Stars"], {"column 1": "unique_showing_key"}, {}, 2),
        (["Stars"], {"column 2": "unique_showing_key"}, {}, 0),
        (["Stars", ""], {"column 2": "unique_showing_key"}, {}, 2),
        # It makes no header of a row by itself, whatever its own cell says.
        (["Rating", "x"], {"column 1": "unique_showing_key"}, {}, 0),
        (["", ""], {"column 1": "unique_showing_key"}, {}, 0),
        # With the header that it had, it counts where it has that, and then as a name.
        (["Ref", "x"], {"column 1": "unique_showing_key"}, {"column 1": "REF"}, 1),
        (["Other", "Stars"], {"column 1": "unique_showing_key"}, {"column 1": "Ref"}, 0),
        (["Stars"], {"column 2": "unique_showing_key"}, {"column 2": "Ref"}, 0),
        # A row without any address is no header.
        (["Stars", "Feedback"], {}, {}, 0),
        (["Stars", "Feedback", "North ID"], {}, {}, 3),
        (["Stars", "Rating", "Showing Key"], {}, {}, 2),
    ],
)
def test_how_many_columns_a_row_names_if_it_is_the_header(
    cells: list[str], mapped: dict[str, str], seen: dict[str, str], count: int
) -> None:
    assert recognise(cells, Names(), mapped, seen) == count


def test_the_header_of_our_own_files_is_more_certain_than_any_other() -> None:
    every = [*TARGETS]
    assert recognise([*every, "bulk_sync 1 undo {}"], Names(), {}) > len(every)
    assert recognise([*every, "bulk_sync of today"], Names(), {}) == len(every)


def test_a_column_that_a_profile_names_by_its_place_has_the_header_that_it_had() -> None:
    hints = {"column 2": "title"}
    profile = OfProfile(seen={"column 2": "Wo"})
    for headers in (["unique_showing_key", "Wo"], ["unique_showing_key", "WO"]):
        assert fields(*headers, hints=hints, profile=profile) == ["unique_showing_key", "title"]
    assert fields("unique_showing_key", hints=hints, profile=profile) == ["unique_showing_key"]
    moved = ("unique_showing_key", "Wer", "Wo")
    with pytest.raises(InputError, match=r"column 2 is 'Wer', but .* had 'Wo' there"):
        fields(*moved, hints=hints, profile=profile)
    for field in ("", "feedback"):
        told = fields(*moved, hints=hints, profile=profile, mapped={"column 2": field})
        assert told == ["unique_showing_key", field or None, None]


def test_of_many_headers_the_first_500_that_are_short_may_hold_the_keys() -> None:
    names, like = Names(), "unique_showing_key"
    assert names.closest(["x", like + "." * 42], "unique_showing_key") == like + "." * 42
    assert names.closest(["x", like + "." * 43], "unique_showing_key") is None
    assert names.closest([*["x"] * 499, like], "unique_showing_key") == like
    assert names.closest([*["x"] * 500, like], "unique_showing_key") is None
    assert names.closest([*["y" * 61] * 500, like], "unique_showing_key") == like


def test_columns_of_our_own_files_are_known_again_and_added_ones_fill_free_fields() -> None:
    written = [
        ("Ref", "unique_showing_key"), ("Rating", "rating"), ("Stars", "title"), ("error", ""),
    ]  # fmt: skip
    headers = ["REF", "Rating", "Stars", "error", "feedback", "Feedback", "title", "Notes", ""]
    mapping, numbers = map_own_headers(headers, written, "x.csv")
    assert numbers == (0, 1, 2, 3, None, None, None, None, None)
    assert [(column.field, column.why) for column in mapping.columns] == [
        ("unique_showing_key", "--map"),
        ("rating", "name"),
        ("title", "--map"),
        (None, "ours"),
        ("feedback", "name"),
        (None, "unknown"),  # the field is taken
        (None, "unknown"),
        (None, "unknown"),
        (None, "blank"),
    ]
    with pytest.raises(InputError, match="--strict allows no unknown columns"):
        map_own_headers(headers, written, "x.csv", strict=True)


def test_equal_headers_of_our_own_files_keep_their_order() -> None:
    written = [("Key", "unique_showing_key"), ("Notes", "feedback"), ("Notes", "title")]
    for headers, numbers in (
        (["Notes", "Notes", "Key"], (1, 2, 0)),
        (["notes", "Notes", "Key"], (2, 1, 0)),  # the one that is written the same comes first
        (["Notes", "Key"], (1, 0)),
        (["Key", "title", "feedback"], (0, 2, 1)),  # the fields' own names
        (["Key", "", "Notes"], (0, None, 1)),
    ):
        mapping, found = map_own_headers(headers, written, "x.csv")
        assert found == numbers
        assert [column.field for column in mapping.columns] == [
            None if number is None else written[number][1] for number in numbers
        ]


@pytest.mark.parametrize(
    "header",
    [
        "error", "undo_expects", "undo_unknown", "undo_clears", "reconcile_row", "reconcile_there",
        "reconcile_conflicts", "reconcile_clears",
    ],
)  # fmt: skip
def test_columns_of_our_reports_that_are_for_people_fill_nothing_and_are_not_unknown(
    header: str,
) -> None:
    mapping = map_headers(["unique_showing_key", header], "x.csv", strict=True)
    assert [(column.field, column.why) for column in mapping.columns[1:]] == [(None, "ours")]


def test_no_header_is_like_the_key_where_there_are_none_or_none_is_similar() -> None:
    for headers in ([], ["x"], ["", "Price"]):
        assert Names().closest(headers, "unique_showing_key") is None
