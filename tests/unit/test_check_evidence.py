"""Cells are judged with their columns: what stops a sheet, what is noted, what is neither."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.check.damage import NULL_WORDS
from bulk_sync.check.evidence import Sign
from bulk_sync.check.headers import map_headers
from bulk_sync.check.invisible import as_seen, shows_nothing
from bulk_sync.check.rows import Checker
from bulk_sync.check.rules import Rules
from bulk_sync.check.verdicts import findings_about
from bulk_sync.model.findings import MOST_EXAMPLES, ColumnFinding, Example, Kind
from bulk_sync.model.rows import Cell, Problem, Record, Row
from bulk_sync.quantities import Scale
from tests.unit.checking import CHICAGO, checker, patch, problem, words
from tests.unit.test_check_mojibake import SOUND, WORDS, misread


def checked_column(field: str, cells: Sequence[Cell], **rules: Any) -> Checker:
    """A checker that has read one column, in rows from 2 on."""
    mapping = map_headers(("unique_showing_key", field), "x.csv")
    checker = Checker(mapping, Rules(**{"timezone": CHICAGO, **rules}))
    for row, cell in enumerate(cells, start=2):
        checker.check(Row(row, (f"ext_{row}", cell)))
    return checker


def found_in(field: str, cells: Sequence[Cell], **rules: Any) -> list[ColumnFinding]:
    checker = checked_column(field, cells, **rules)
    mapping = map_headers(("unique_showing_key", field), "x.csv")
    findings = checker.findings
    return [
        *findings_about(
            findings.evidence, mapping, findings.filled, Rules(**{"order": "mdy", **rules})
        )
    ]


def kinds(field: str, cells: Sequence[Cell], **rules: Any) -> list[Kind]:
    return [finding.kind for finding in found_in(field, cells, **rules)]


# Ratings


@pytest.mark.parametrize(
    ("cells", "highest"),
    [
        (["4", "3", "9", "5", "2", "8"], "9"),
        (["4", "8/10", "7/10"], "10"),
        (["4", "8 of 10", "8 out of 10"], "10"),
        (["4", "80%", "60%"], "100"),
        (["4", "7.5", "8.5"], "8.5"),
        (["4", "7,5", "6"], "7.5"),
        ([4.0, 9.0, 3.0, 8.0], "9"),
        (["4", "6 stars", "7 stars"], "7"),
        (["85", "72", "5"], "85"),
        (["4"] * 38 + ["8", "7"], "8"),
        (["9", "8", "1"], "9"),
        (["★★★★★★★", "★★★", "★★★★★★★★"], "8"),
        (["★★★☆☆☆☆☆☆☆", "★★☆☆☆☆☆☆☆☆"], "10"),
    ],
)
def test_a_column_with_ratings_beyond_5_is_on_another_scale(
    cells: list[Cell], highest: str
) -> None:
    (finding,) = found_in("rating", cells)
    assert finding.kind is Kind.SCALE
    assert finding.facts["highest"] == highest


@pytest.mark.parametrize(
    "cells",
    [
        ["4", "3", "5", "1"],
        ["4/5", "5 of 5", "★★★", "2 stars"],
        ["4"] * 300 + ["9", "8"],
        ["4"] * 39 + ["9", "8"],
        ["4", "3", "8", "5", "2"],
        ["4", "9", "3"],
        ["4", "8/10", "3"],
        ["4", "0", "5"],
        ["4", "4.5", "5"],
        ["4", "great", "5"],
        ["0.5", *(["4"] * 20)],
        [4.0, True, "x"],
    ],
)
def test_a_column_of_ratings_from_1_to_5_is_not_stopped(cells: list[Cell]) -> None:
    assert kinds("rating", cells) == []


def test_shares_of_1_are_another_scale_because_100_percent_would_be_the_lowest_rating() -> None:
    assert kinds("rating", [0.8, 1.0, 0.6, 1.0, 0.4]) == [Kind.SCALE]


@given(st.integers(0, 12), st.integers(0, 300))
def test_one_in_twenty_ratings_beyond_5_stops_the_column_unless_it_is_the_only_one(
    beyond: int, sound: int
) -> None:
    found = kinds("rating", ["8"] * beyond + ["4"] * sound)
    assert found == ([Kind.SCALE] if beyond > 1 and beyond * 20 >= beyond + sound else [])


def test_the_scale_that_is_suggested_has_the_highest_and_a_zero() -> None:
    assert found_in("rating", ["8", "9"])[0].facts["suggested"] == "10"
    assert found_in("rating", ["8", "9", "0"])[0].facts["suggested"] == "0-10"
    assert found_in("rating", ["40", "90"])[0].facts["suggested"] == "100"
    assert found_in("rating", ["40", "900"])[0].facts["suggested"] == ""


@pytest.mark.parametrize(
    ("header", "scale"),
    [
        ("Rating (1-10)", "10"),
        ("Rating (0 to 10)", "0-10"),
        ("Score out of 100", "100"),
        ("Stars /10", "10"),
        ("Rating (0-5)", "0-5"),
        ("Rating (1-5)", None),
        ("Rating /5", None),
        ("Rating 2026", None),
        ("Date 1/2026", None),
        ("Rating", None),
    ],
)
def test_a_header_that_names_another_scale_stops_the_column(header: str, scale: str | None) -> None:
    mapping = map_headers(("unique_showing_key", header), "x.csv", mapped={header: "rating"})
    checker = Checker(mapping, Rules())
    checker.check(Row(2, ("ext_1", "4")))
    found = findings_about(checker.findings.evidence, mapping, {"rating": 1}, Rules())
    assert [one.facts["scale"] for one in found] == ([scale] if scale else [])
    named = Rules(scale=Scale(1, 10))
    assert findings_about(checker.findings.evidence, mapping, {"rating": 1}, named) == ()


@pytest.mark.parametrize(
    ("scale", "cell", "sent"),
    [
        (Scale(1, 10), "8", 4),
        (Scale(1, 10), "8/10", 4),
        (Scale(1, 10), "7", 4),
        (Scale(1, 10), "1", 1),
        (Scale(1, 10), 10.0, 5),
        (Scale(0, 10), "0", 1),
        (Scale(0, 5), "5", 5),
        (Scale(1, 3), "2", 3),
        (Scale(1, 100), "80%", 4),
        (Scale(1, 10), "0", None),
        (Scale(1, 10), "11", None),
        (Scale(1, 10), "7.5", None),
        (Scale(1, 10), "4/5", None),
        (Scale(1, 10), "80%", None),
        (Scale(1, 10), "★★★★★★★", 4),
        (Scale(1, 10), "★★★☆☆☆☆☆☆☆", 2),
        (Scale(1, 10), "★★★", None),
        (Scale(1, 10), "★★★☆☆", None),
        (Scale(1, 10), "good", None),
        (Scale(1, 10), True, None),
        (Scale(1, 5), "4", 4),
        (Scale(1, 5), "9", None),
    ],
)
def test_a_rating_of_a_named_scale_is_converted_or_refused(
    scale: Scale, cell: Cell, sent: int | None
) -> None:
    if sent is None:
        assert "--scale" in words(problem({"scale": scale}, rating=cell))
    else:
        assert patch({"scale": scale}, rating=cell) == {"rating": sent}


@given(st.builds(Scale, st.sampled_from([0, 1]), st.integers(2, 100)))
def test_conversion_keeps_the_order_and_the_ends(scale: Scale) -> None:
    numbers = range(scale.low, scale.high + 1)
    sent = [patch({"scale": scale}, rating=str(number))["rating"] for number in numbers]
    assert (sent[0], sent[-1]) == (1, 5)
    assert sent == sorted(sent, key=lambda value: int(str(value)))


def test_a_scale_that_the_user_names_is_not_questioned() -> None:
    assert kinds("rating", ["4", "9", "8"]) == [Kind.SCALE]
    assert kinds("rating", ["4", "9", "8"], scale=Scale(1, 5)) == []
    assert kinds("rating", ["4", "9", "8"], scale=Scale(1, 10)) == []


def test_sums_and_averages_below_the_table_are_no_evidence() -> None:
    mapping = map_headers(("unique_showing_key", "rating"), "x.csv")
    checker = Checker(mapping, Rules())
    for row in (("a", "4"), ("b", "5"), ("Total", "9"), ("", "45")):
        checker.check(Row(2, row))
    assert findings_about(checker.findings.evidence, mapping, {}, Rules()) == ()


# Yes and no


@pytest.mark.parametrize(
    "cells",
    [
        ["1", "0", "1", "3", "1", "5"],
        ["1", "2", "3"],
        [1.0, 4.0],
        ["0", "0.5"],
        ["1", "3/5"],
        ["1", "0", "1", "1", "3/5"],
        ["1", "0", "1", "1", "3", "3"],
    ],
)
def test_levels_are_no_yes_and_no(cells: list[Cell]) -> None:
    (finding,) = found_in("interested", cells)
    assert finding.kind is Kind.LEVELS
    assert "--map" in str(finding.facts["leave_out"])


@pytest.mark.parametrize(
    "cells",
    [
        ["1", "0", "1"],
        ["yes", "no", "3"],
        ["yes", "no", "maybe"],
        [True, False],
        ["1", "0"] * 100 + ["2"],
        ["1", "0", "1", "7"],
        ["yes", "1", "no", "7", "0"],
    ],
)
def test_yes_and_no_are_read_as_such(cells: list[Cell]) -> None:
    assert kinds("interested", cells) == []


def test_a_header_that_names_a_scale_makes_a_level_of_a_single_number() -> None:
    header = "Interested (0-5)"
    mapping = map_headers(("unique_showing_key", header), "x.csv", mapped={header: "interested"})
    reader = Checker(mapping, Rules())
    for cell in ("1", "0", "1", "3"):
        reader.check(Row(2, ("a", cell)))
    (finding,) = findings_about(reader.findings.evidence, mapping, {"interested": 3}, Rules())
    assert finding.kind is Kind.LEVELS


@pytest.mark.parametrize(
    ("field", "word"), [("rating", "NULL"), ("showing_date", "nan"), ("interested", "None")]
)
def test_words_for_a_blank_are_noted_in_every_column(field: str, word: str) -> None:
    assert kinds(field, [word]) == [Kind.NULL_WORD]


# Dates


def opened_month_first(day: date) -> Cell:
    """A day-first text as a US spreadsheet program keeps it: converted where it can be."""
    if day.day <= 12:
        return datetime(day.year, day.day, day.month, 16, 30)  # noqa: DTZ001 - a workbook's
    return day.strftime("%d/%m/%Y 16:30")


def opened_day_first(day: date) -> Cell:
    """A month-first text in a European program."""
    if day.day <= 12:
        return datetime(day.year, day.day, day.month, 16, 30)  # noqa: DTZ001 - a workbook's
    return day.strftime("%m/%d/%Y 16:30")


DAYS = st.lists(st.dates(date(2026, 1, 1), date(2027, 12, 31)), min_size=1, max_size=30)


@given(
    DAYS, st.sampled_from([opened_month_first, opened_day_first]), st.sampled_from(["mdy", "dmy"])
)
def test_a_column_that_was_converted_by_half_is_stopped(
    days: list[date], opened: Any, order: str
) -> None:
    cells = [opened(day) for day in days]
    texts = [cell for cell in cells if isinstance(cell, str)]
    found = kinds("showing_date", cells, order=order, order_given=True)
    assert found == ([Kind.HALF_CONVERTED] if texts and len(texts) < len(cells) else [])


@given(DAYS, st.sampled_from(["%d/%m/%Y 10:00", "%Y-%m-%d 10:00", "%b %d, %Y 10:00"]))
def test_a_column_of_texts_alone_is_not_stopped(days: list[date], form: str) -> None:
    cells = [day.strftime(form) for day in days]
    assert kinds("showing_date", cells, order="dmy", order_given=True) == []


@pytest.mark.parametrize(
    "more",
    [
        [datetime(2026, 3, 14, 10)],  # noqa: DTZ001 - a workbook's
        ["4/5/2026 10:00"],
    ],
)
def test_a_late_date_or_a_text_that_could_be_swapped_shows_that_nothing_was_converted(
    more: list[Cell],
) -> None:
    cells = [datetime(2026, 4, 3, 10), "3/25/2026 10:00", *more]  # noqa: DTZ001 - a workbook's
    assert kinds("showing_date", cells) == []


def test_dates_that_were_converted_by_half_and_saved_as_text_are_stopped() -> None:
    iso = [f"2026-{month:02}-03 16:30" for month in range(1, 5)]
    texts = ["13/03/2026 16:30", "25/03/2026 09:00"]
    assert kinds("showing_date", [*iso, *texts], order="dmy", order_given=True) == [
        Kind.HALF_CONVERTED
    ]
    late = ["2026-03-14 10:00"]
    assert kinds("showing_date", [*iso, *texts, *late], order="dmy", order_given=True) == []
    assert kinds("showing_date", [iso[0], texts[0]], order="dmy", order_given=True) == []
    # A spreadsheet program writes no T, so it converted none of these.
    with_t = [text.replace(" ", "T") for text in iso]
    assert kinds("showing_date", [*with_t, *texts], order="dmy", order_given=True) == []


@pytest.mark.parametrize(
    ("day", "start", "is_other"),
    [
        ("2026-03-14 10:00", "2026-03-15 10:00", True),
        ("2026-03-14 10:00", "2026-03-13 09:00", True),
        ("2026-03-14T10:00Z", "2026-03-15T10:00-05:00", True),
        ("2026-03-14 10:00", "2026-03-14 20:00", False),
        ("2026-03-14 23:00", "2026-03-15 00:30", False),
        ("2026-03-14T20:00-05:00", "2026-03-15T01:00Z", False),
        ("2026-03-14 10:00", "10:00", False),
        ("2026-03-14 10:00", "", False),
    ],
)
def test_a_start_on_another_day_than_showing_date_is_noted(
    day: str, start: str, *, is_other: bool
) -> None:
    headers = ("unique_showing_key", "showing_date", "Start")
    reader = checker(*headers)
    assert isinstance(reader.check(Row(2, ("ext_1", day, start))), Record)
    mapping = map_headers(headers, "x.csv")
    found = findings_about(reader.findings.evidence, mapping, {}, Rules())
    assert [(one.kind, one.header) for one in found if one.kind is Kind.OTHER_DAY] == (
        [(Kind.OTHER_DAY, "Start")] if is_other else []
    )


@pytest.mark.parametrize(
    ("cell", "zone", "there"),
    [
        ("2026-07-14 4:30 PM EST", "America/New_York", "EDT"),
        ("2026-07-14 4:30 PM CST", "America/Chicago", "CDT"),
        ("2026-01-14 4:30 PM EDT", "America/New_York", "EST"),
        ("2026-01-14 4:30 PM PDT", "America/Chicago", "PST"),
        ("2026-07-14 16:30 CET", "Europe/Berlin", "CEST"),
        ("2026-07-14 16:30 GMT", "Europe/London", "BST"),
        ("2026-07-14 4:30 PM EDT", "America/New_York", None),
        ("2026-01-14 4:30 PM EST", "America/New_York", None),
        ("2026-07-14 4:30 PM PDT", "America/New_York", None),
        ("2026-07-14 4:30 PM MST", "America/Phoenix", None),
        ("2026-07-14 4:30 PM EST", "America/Panama", None),
        ("2026-07-14 4:30 PM ET", "America/New_York", None),
        ("2026-07-14 16:30 UTC", "Europe/London", None),
        ("2026-07-14 16:30 GMT", "America/New_York", None),
        ("2026-07-14T16:30:00-05:00", "America/New_York", None),
        ("2026-07-14 16:30 -05:00", "America/New_York", None),
    ],
)
def test_a_zone_out_of_season_is_noted(cell: str, zone: str, there: str | None) -> None:
    found = found_in("showing_date", [cell], timezone=ZoneInfo(zone))
    assert [finding.facts["there"] for finding in found] == ([there] if there else [])


# Damage

LONG = "x" * 32_767


@pytest.mark.parametrize(
    ("field", "cell", "kind"),
    [
        ("attendee_name", "JosÃ© GarcÃ\xada", Kind.MOJIBAKE),
        ("feedback", "itâ€™s nice", Kind.MOJIBAKE),
        ("title", "Ren\ufffd", Kind.REPLACED),
        ("agent_name", "Ren\ufffd M\ufffdller", Kind.REPLACED),
        ("attendee_name", "M?ller", Kind.REPLACED),
        ("feedback", "NULL", Kind.NULL_WORD),
        ("attendee_name", "None", Kind.NULL_WORD),
        ("feedback", " nan ", Kind.NULL_WORD),
        ("title", "\\N", Kind.NULL_WORD),
        ("attendee_phone", "NaN", Kind.NULL_WORD),
        ("feedback", "[object Object]", Kind.NULL_WORD),
        ("feedback", LONG, Kind.CUT),
        ("feedback", "y" * 32_765 + "👍", Kind.CUT),
        ("feedback", "x" * 65_535, Kind.CUT),
        ("feedback", "Light &amp; airy", Kind.ESCAPED),
        ("attendee_name", "Jos&#233;", Kind.ESCAPED),
        ("feedback", "Nice_x000D_\nvery", Kind.ESCAPED),
        ("feedback", "'=SUM of all", Kind.ESCAPED),
        ("feedback", "'- small kitchen", Kind.ESCAPED),
        ("attendee_name", '="Lee"', Kind.ESCAPED),
        ("feedback", 'The \\"den\\" is small', Kind.ESCAPED),
        ("feedback", "Nice\\nWould come back", Kind.ESCAPED),
        ("feedback", "Nice\\r\\nvery", Kind.ESCAPED),
        ("feedback", "Nice<br>Would come back", Kind.ESCAPED),
        ("feedback", "<p>Caf\u00e9 nearby</p>", Kind.ESCAPED),
        ("attendee_phone", "'+1 (312) 555-0100", Kind.ESCAPED),
        ("attendee_phone", "'3125550100", Kind.ESCAPED),
        ("attendee_phone", "\u202a(312) 555-0100\u202c", Kind.INVISIBLE),
        ("attendee_email", "ana\u200b@example.com", Kind.INVISIBLE),
        ("rating", "\u200e4", Kind.INVISIBLE),
        ("showing_date", "\u200e3/\u200e14/\u200e2026 16:30", Kind.INVISIBLE),
    ],
)
def test_damage_is_noted_with_its_column_and_the_row_is_sent(
    field: str, cell: str, kind: Kind
) -> None:
    (finding,) = found_in(field, ["", cell, ""])
    assert (finding.kind, finding.header, finding.count) == (kind, field, 1)
    assert [one.row for one in finding.examples] == [3]
    assert not kind.stops
    assert field in patch(**{field: cell})


@pytest.mark.parametrize(
    ("field", "cell"),
    [
        ("attendee_name", "Anna Null"),
        ("feedback", "None of the rooms had light"),
        ("feedback", "n/a"),
        ("feedback", "Really? Yes?No"),
        ("attendee_name", "Ann Lee?"),
        ("feedback", "AT&T; R&D; Lee & Co"),
        ("feedback", "'70s kitchen"),
        ("feedback", "'Nice', she said"),
        ("feedback", "Rock'n'-roll & more"),
        ("feedback", "C:\\new, or \\ so"),
        ("feedback", "price < 500 > 400, <3, <browsing>"),
        ("feedback", "= 5 of 5"),
        ("feedback", "x" * 32_766),
        ("feedback", "x" * 255),
        ("feedback", "soft\u00adhyphen \u200b👨\u200d👩\u200d👧"),
        ("interested", "✔\ufe0f"),
        ("rating", "⭐\ufe0f⭐\ufe0f"),
        ("attendee_phone", "(312)\u00a0555-0100"),
        ("attendee_name", ""),
    ],
)
def test_what_people_write_is_no_damage(field: str, cell: str) -> None:
    assert kinds(field, [cell]) == []


def test_texts_of_255_characters_are_cut_if_they_are_several_and_the_longest() -> None:
    full = ["x" * 255] * 3
    assert kinds("feedback", ["short", *full]) == [Kind.CUT]
    assert kinds("feedback", ["short", *full[:2]]) == []
    assert kinds("feedback", ["x" * 256, *full]) == []


def test_a_word_that_clears_is_no_damage() -> None:
    assert kinds("feedback", ["NULL"], clear={"feedback": {"NULL"}}) == []


def test_a_finding_counts_all_cells_and_names_the_first() -> None:
    (finding,) = found_in("feedback", ["NULL"] * 50)
    assert finding.count == 50
    assert finding.examples == tuple(Example(row, "NULL") for row in (2, 3, 4))


# Invisible characters

INVISIBLE = st.sampled_from(
    "\u200b\u200c\u200d\u200e\u200f\u202a\u202c\u2060\u2066\u2069\ufeff\u00ad\u061c"
)
VALUES: list[tuple[str, str]] = [
    ("attendee_email", "ana@example.com"),
    ("attendee_phone", "(312) 555-0100"),
    ("rating", "4"),
    ("attendees_count", "12"),
    ("interested", "yes"),
    ("event_type", "open house"),
    ("showing_date", "3/14/2026 4:30 PM"),
    ("scheduled_date", "2026-03-14T16:30:00-05:00"),
]


@given(
    st.sampled_from(VALUES),
    st.lists(st.tuples(INVISIBLE, st.integers(0, 30)), min_size=1, max_size=4),
)
def test_invisible_characters_never_travel_in_values(
    value: tuple[str, str], inserted: list[tuple[str, int]]
) -> None:
    field, plain = value
    cell = plain
    for character, place in inserted:
        cell = cell[:place] + character + cell[place:]
    assert patch(**{field: cell}) == patch(**{field: plain})
    assert kinds(field, [cell]) == [Kind.INVISIBLE]


@given(st.text(alphabet=st.one_of(INVISIBLE, st.sampled_from("ab ")), min_size=1, max_size=8))
def test_invisible_characters_stay_in_free_text_unless_they_are_all(text: str) -> None:
    assert shows_nothing(text) is (as_seen(text) == "")
    if shows_nothing(text):
        assert patch(feedback=text, rating="4") == {"rating": 4}
    else:
        assert patch(feedback=text)["feedback"] == text.strip()


@pytest.mark.parametrize(
    "cell", ["\u200b", "\ufeff", " \u00a0\u200e ", "\u2800", "\u3164", "\x07", "\u00ad"]
)
def test_a_cell_that_shows_nothing_is_blank(cell: str) -> None:
    for field in ("feedback", "attendee_phone", "rating", "showing_date", "attendee_email"):
        values: dict[str, Cell] = {field: cell, "title": "x"}
        assert patch(**values) == {"title": "x"}
    assert patch({"blank_clears": frozenset({"feedback"})}, feedback=cell) == {"feedback": None}


def test_a_visible_format_character_is_shown() -> None:
    assert not shows_nothing("\u0600")


# Sound sheets

SOUND_CELLS: dict[str, st.SearchStrategy[Cell]] = {
    "feedback": st.sampled_from(SOUND),
    "attendee_name": st.sampled_from(WORDS),
    "title": st.text(
        alphabet=st.characters(codec="ascii", exclude_characters="&?'=<\\"), max_size=30
    ).filter(lambda text: text.strip() not in NULL_WORDS),
    "rating": st.sampled_from(["1", "2", "3", "4", "5", "4/5", "5 stars", "★★★★★", 3.0, ""]),
    "interested": st.sampled_from(["yes", "no", "1", "0", True, ""]),
    "attendees_count": st.integers(0, 40).map(str),
    "attendee_email": st.just("ana@example.com"),
    "attendee_phone": st.just("(312) 555-0100"),
    "showing_date": st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)),  # noqa: DTZ001
    "scheduled_date": st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)).map(  # noqa: DTZ001
        lambda moment: moment.replace(tzinfo=UTC).isoformat()
    ),
}


@given(st.lists(st.fixed_dictionaries(SOUND_CELLS), min_size=1, max_size=12))
@pytest.mark.uncovered
def test_sheets_without_damage_have_no_findings(rows: list[dict[str, Cell]]) -> None:
    headers = ("unique_showing_key", *SOUND_CELLS)
    mapping = map_headers(headers, "x.csv")
    checker = Checker(mapping, Rules(timezone=CHICAGO))
    for number, cells in enumerate(rows, start=2):
        checker.check(Row(number, (f"ext_{number}", *(cells[name] for name in SOUND_CELLS))))
    assert (
        findings_about(checker.findings.evidence, mapping, checker.findings.filled, Rules()) == ()
    )


ODD: list[tuple[str, Cell]] = [
    *(("rating", cell) for cell in ("8", "4", "0", "9/10", 0.5)),
    *(("interested", cell) for cell in ("1", "3", "yes")),
    *(("feedback", cell) for cell in ("NULL", "fine", misread("José", "cp1252"))),
]


@given(st.lists(st.sampled_from(ODD), max_size=12), st.randoms(use_true_random=False))
def test_findings_do_not_depend_on_the_order_of_the_rows(
    drawn: list[tuple[str, Cell]], random: Any
) -> None:
    shuffled = [*drawn]
    random.shuffle(shuffled)

    def summary(cells: list[tuple[str, Cell]]) -> list[tuple[Kind, str, int, Any]]:
        headers = ("unique_showing_key", "rating", "interested", "feedback")
        mapping = map_headers(headers, "x.csv")
        checker = Checker(mapping, Rules())
        for number, (field, cell) in enumerate(cells, start=2):
            row = [cell if name == field else "" for name in headers[1:]]
            assert isinstance(checker.check(Row(number, (f"ext_{number}", *row))), Record | Problem)
        found = findings_about(checker.findings.evidence, mapping, checker.findings.filled, Rules())
        return [(one.kind, one.header, one.count, one.facts.get("highest")) for one in found]

    assert sorted(summary(drawn)) == sorted(summary(shuffled))


def test_evidence_does_not_grow_with_the_rows() -> None:
    """Every cell of 3,000 rows has a sign; what is kept is three examples of each sign."""
    cells = [cell for _ in range(1000) for cell in ("NULL", "Ren\ufffd", "&amp;")]
    evidence = checked_column("feedback", cells).findings.evidence
    seen = [evidence.of("feedback", sign) for sign in Sign]
    assert sum(one.count for one in seen) == 3000
    assert sum(len(one.examples) for one in seen) == 3 * MOST_EXAMPLES


# Days that no showing has


@pytest.mark.parametrize(
    ("cell", "part"),
    [
        ("0001-01-01T00:00:00Z", ".NET"),
        ("1/1/1970 10:00", "Unix"),
        ("1970-01-01T00:00:00Z", "Unix"),
        ("1969-12-31T18:00:00-06:00", "Unix"),
        ("1899-12-30T16:30:00-06:00", "Access"),
        ("12/30/1899", "Access"),
        ("1900-01-01 10:00", "24 hours"),
        (datetime(1900, 1, 1, 10), "24 hours"),  # noqa: DTZ001 - a workbook's
        (datetime(1900, 1, 3, 10), "24 hours"),  # noqa: DTZ001 - same
        (date(1904, 1, 1), "Mac"),
        ("9999-12-31 23:59", "last day"),
        ("12/31/9999", "last day"),
        ("2038-01-19T03:14:07Z", "32 bits"),
        ("1601-01-01T00:00:00Z", "Windows"),
        ("1997-05-05 10:00", "from 2000 to 2099"),
        ("2199-05-05 10:00", "from 2000 to 2099"),
    ],
)
def test_a_day_that_means_none_is_refused_with_its_origin(cell: Cell, part: str) -> None:
    rules = {"default_time": time(9)}
    assert part in words(problem(rules, showing_date=cell))


@pytest.mark.parametrize(
    "cell",
    ["12/30/1899 4:30 PM", "1899-12-30 16:30:00", datetime(1899, 12, 30, 16, 30)],  # noqa: DTZ001
)
def test_a_time_on_the_day_zero_of_access_is_a_time(cell: Cell) -> None:
    sent = patch(showing_date="2026-03-14T09:00:00-05:00", showing_time_start=cell)
    assert sent["showing_time_start"] == "2026-03-14T16:30:00-05:00"


def test_a_time_of_24_hours_in_a_duration_format_is_refused() -> None:
    found = problem(showing_date="2026-03-14 10:00", showing_time_start=timedelta(hours=34))
    assert found.code == "bad_value"


# Rows of sums, and numbers with a point


@pytest.mark.parametrize(
    "key", ["Total", "TOTALS", "Grand Total:", "Sub-total", "Average", "Summe", "Gesamt", "Moyenne"]
)
def test_a_row_of_sums_is_no_showing(key: str) -> None:
    found = problem(unique_showing_key=key, attendees_count="5")
    assert found.code == "bad_key"
    assert "sums up others" in words(found)


def test_a_row_of_sums_is_known_by_its_first_cell_if_a_number_of_keys_is_its_key() -> None:
    rows: list[tuple[tuple[Cell, Cell], bool]] = [
        (("Total", "3"), False),
        (("Summe:", 3.0), False),
        (("Total", "sh-3"), True),
        (("Ann Total", "3"), True),
    ]
    for cells, is_sent in rows:
        found = checker("agent_name", "unique_showing_key").check(Row(2, cells))
        assert isinstance(found, Record) is is_sent


@pytest.mark.parametrize("cell", ["5550100.0", "+13125550100.0"])
def test_a_phone_number_that_became_a_decimal_is_refused(cell: str) -> None:
    assert "made a decimal of it" in words(problem(attendee_phone=cell))
    assert patch(attendee_phone=cell.removesuffix(".0"))


@pytest.mark.parametrize("key", ["Total-17", "Totals2", "Summerhill", "Average Joe", "17-total-x"])
def test_a_key_with_such_a_word_in_it_is_a_key(key: str) -> None:
    assert patch(unique_showing_key=key, rating="4") == {"rating": 4}


@pytest.mark.parametrize("cell", ["1.000", "12.000", "999.000", "+1.000", "1.234"])
def test_a_point_before_three_digits_is_refused(cell: str) -> None:
    assert problem(attendees_count=cell).code == "bad_value"


@pytest.mark.parametrize(
    ("cell", "sent"),
    [("1.0", 1), ("12.00", 12), ("3.0000", 3), (1.0, 1), ("1000.000", 1000), ("12", 12)],
)
def test_other_points_are_decimal(cell: Cell, sent: int) -> None:
    assert patch(attendees_count=cell) == {"attendees_count": sent}
