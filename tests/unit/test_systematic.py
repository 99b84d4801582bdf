"""One cause of many differences is found in any sheet; unrelated differences have none."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.check.compare import Side, compare
from bulk_sync.check.systematic import (
    LEAST,
    _Column,
    find_systematic,
    key_findings,
    loose_key,
    no_common_key,
)
from bulk_sync.model.comparison import Reconciliation, RowClass, SideCounts
from bulk_sync.model.systematic import Pattern, Systematic
from bulk_sync.report.systematic import refusal, systematic_lines
from tests.work import calls_of

Row = dict[str, Any]
Sheet = list[Row]

CHICAGO, NEW_YORK, PHOENIX = (
    ZoneInfo(name) for name in ("America/Chicago", "America/New_York", "America/Phoenix")
)
WORDS = "bright kitchen small garden quiet street old roof new bath large loud near far"
FIELDS = ("showing_date", "rating", "attendees_count", "interested", "feedback", "attendee_name")
SEEDS = st.integers(0, 2**32)


def instant(moment: datetime, zone: ZoneInfo = CHICAGO) -> str:
    return moment.astimezone(zone).isoformat()


def a_sheet(dice: random.Random, rows: int = 60) -> Sheet:
    """Rows of a year, in no order of time."""
    start = datetime(2026, 1, 1, 15, tzinfo=UTC)
    return [
        {
            "showing_date": instant(start + timedelta(minutes=30 * dice.randrange(17_000))),
            "rating": dice.randint(1, 5),
            "attendees_count": dice.randint(1, 9),
            "interested": dice.random() < 0.5,
            "feedback": " ".join(dice.choices(WORDS.split(), k=dice.randint(4, 12))),
            "attendee_name": f"{dice.choice(WORDS.split()).title()} Sample {number}",
        }
        for number in range(rows)
    ]


def found(
    here: Sheet, there: Sheet, order: list[int] | None = None, *, ledger: bool = False
) -> list[Systematic]:
    """The findings on two sheets, of which the other has its rows in this order."""
    columns = frozenset(FIELDS)
    counts = dict.fromkeys(FIELDS, 0)
    for ours, theirs in zip(here, there, strict=True):
        for one in compare(Side(ours, columns), Side(theirs, None if ledger else columns)):
            counts[one.field] += 1
    pairs = list(zip(here, there, strict=True))
    return list(
        find_systematic(
            [field for field in FIELDS if counts[field] >= LEAST],
            lambda: iter(pairs),
            lambda: (pairs[place] for place in order or range(len(pairs))),
            are_columns_known=not ledger,
        )
    )


def changed(sheet: Sheet, field: str, change: Callable[[Any], Any]) -> Sheet:
    return [row | {field: change(row[field])} for row in sheet]


def the_one(findings: list[Systematic]) -> Systematic:
    (one,) = findings
    return one


def moved_by(minutes: float) -> Callable[[str], str]:
    return lambda text: (datetime.fromisoformat(text) + timedelta(minutes=minutes)).isoformat()


def read_in(zone: ZoneInfo) -> Callable[[str], str]:
    """The same time of day, read in another zone."""
    return lambda text: datetime.fromisoformat(text[:19]).replace(tzinfo=zone).isoformat()


def the_other_order(text: str) -> str:
    """Day and month swapped, where both can be either."""
    year, month, day = text[:10].split("-")
    if int(day) > 12:
        return text
    swapped = datetime.fromisoformat(f"{year}-{day}-{month}{text[10:19]}")
    return swapped.replace(tzinfo=CHICAGO).isoformat()


# Dates with times


@given(SEEDS, st.sampled_from([-1462 * 1440, -1440, -330, -60, 15, 60, 345, 1440]))
def test_one_offset_of_all_times(seed: int, minutes: int) -> None:
    there = a_sheet(random.Random(seed))
    one = the_one(found(changed(there, "showing_date", moved_by(minutes)), there))
    assert (one.pattern, one.field) == (Pattern.TIME_OFFSET, "showing_date")
    assert (one.facts["minutes"], one.rows, one.of) == ([minutes], 60, 60)
    assert not one.facts["same_clock"]


@given(SEEDS, st.sampled_from([NEW_YORK, ZoneInfo("UTC"), PHOENIX, ZoneInfo("Asia/Kolkata")]))
def test_times_read_in_another_zone_have_an_offset_by_season(seed: int, zone: ZoneInfo) -> None:
    there = a_sheet(random.Random(seed), 120)
    here = changed(there, "showing_date", read_in(zone))
    one = the_one(found(here, there))
    assert one.pattern is Pattern.TIME_OFFSET
    assert one.facts["same_clock"]
    moments = (
        [datetime.fromisoformat(row["showing_date"]) for row in pair]
        for pair in zip(here, there, strict=True)
    )
    passed = {round((ours - theirs) / timedelta(minutes=1)) for ours, theirs in moments}
    assert set(one.facts["minutes"]) == passed  # type: ignore[arg-type]


@given(SEEDS)
def test_day_and_month_swapped(seed: int) -> None:
    there = a_sheet(random.Random(seed))
    here = changed(there, "showing_date", the_other_order)
    one = the_one(found(here, there))
    assert one.pattern is Pattern.DAY_AND_MONTH
    assert one.rows == one.of == sum(a != b for a, b in zip(here, there, strict=True))


@given(SEEDS)
def test_some_showings_moved_by_an_hour_are_no_time_zone(seed: int) -> None:
    dice = random.Random(seed)
    there = a_sheet(dice)
    here = list(there)
    for place in dice.sample(range(60), 12):
        here[place] = here[place] | {"showing_date": moved_by(60)(here[place]["showing_date"])}
    assert found(here, there) == []


# Numbers


@given(
    SEEDS,
    st.sampled_from(["rating", "attendees_count"]),
    st.sampled_from(
        [
            (lambda n: n * 2, Pattern.SCALED, {"times": 2, "parts": 1}),
            (lambda n: n * 20, Pattern.SCALED, {"times": 20, "parts": 1}),
            (lambda n: n + 1, Pattern.ADDED, {"plus": 1}),
            (lambda n: 6 - n, Pattern.REVERSED, {"sum": 6}),
        ]
    ),
)
def test_another_scale(
    seed: int, field: str, change: tuple[Callable[[int], int], Pattern, dict[str, int]]
) -> None:
    transform, pattern, facts = change
    there = a_sheet(random.Random(seed))
    here = changed(there, field, transform)
    one = the_one(found(here, there))
    assert (one.pattern, one.field, one.facts) == (pattern, field, facts)
    back = the_one(found(there, here))
    assert back.rows == one.rows
    if pattern is Pattern.SCALED:
        assert back.facts == {"times": 1, "parts": facts["times"]}


@given(SEEDS)
def test_yes_in_place_of_no(seed: int) -> None:
    there = a_sheet(random.Random(seed))
    one = the_one(found(changed(there, "interested", lambda yes: not yes), there))
    assert (one.pattern, one.field, one.facts) == (Pattern.REVERSED, "interested", {})


# Columns


def moved(values: list[Any], by: int, first: int) -> list[Any]:
    """Values that moved by a row from some row on; what drops out is lost."""
    if by > 0:
        return [*values[:first], None, *values[first:-1]]
    return [*values[:first], *values[first + 1 :], None]


def with_values(rows: Sheet, field: str, values: list[Any]) -> Sheet:
    filled = (row | {field: value} for row, value in zip(rows, values, strict=True))
    return [{name: one for name, one in row.items() if one is not None} for row in filled]


@given(SEEDS, st.sampled_from(FIELDS), st.sampled_from([-1, 1]), st.integers(0, 25))
@pytest.mark.uncovered
def test_a_column_that_moved_by_a_row_is_found_in_the_order_of_its_sheet(
    seed: int, field: str, by: int, first: int
) -> None:
    dice = random.Random(seed)
    # Where values repeat, neighbours agree by chance.
    count = 200 if field == "interested" else 60
    sheet = a_sheet(dice, count)
    order = dice.sample(range(count), count)
    here = with_values(sheet, field, moved([row[field] for row in sheet], by, first))
    one = the_one(found(here, sheet, order))
    assert (one.pattern, one.field) == (Pattern.SHIFTED, field)
    assert one.facts == {"in": "here", "moved": "down" if by > 0 else "up"}

    rows = [sheet[place] for place in order]
    rows = with_values(rows, field, moved([row[field] for row in rows], by, first))
    there = [row for _, row in sorted(zip(order, rows, strict=True), key=lambda one: one[0])]
    one = the_one(found(sheet, there, order))
    assert (one.pattern, one.field) == (Pattern.SHIFTED, field)
    assert one.facts == {"in": "there", "moved": "down" if by > 0 else "up"}

    one = the_one(found(here, sheet))
    assert one.facts["in"] == "either"


@given(SEEDS)
@pytest.mark.uncovered
def test_two_columns_in_each_others_place_or_one_in_the_place_of_another(seed: int) -> None:
    there = a_sheet(random.Random(seed))
    swapped = [
        row | {"feedback": row["attendee_name"], "attendee_name": row["feedback"]} for row in there
    ]
    assert [(one.pattern, one.field, one.facts["with"]) for one in found(swapped, there)] == [
        (Pattern.SWAPPED, "feedback", "attendee_name"),
        (Pattern.SWAPPED, "attendee_name", "feedback"),
    ]
    copied = [row | {"feedback": row["attendee_name"]} for row in there]
    one = the_one(found(copied, there))
    assert (one.pattern, one.facts) == (Pattern.OTHER_COLUMN, {"with": "attendee_name"})


def test_a_field_that_is_blank_there_and_one_that_is_cleared_here() -> None:
    sheet = a_sheet(random.Random(1), 8)
    without = [{name: row[name] for name in row if name != "rating"} for row in sheet]
    one = the_one(found(sheet, without))
    assert (one.pattern, one.rows, one.of) == (Pattern.BLANK_THERE, 8, 8)
    assert not one.pattern.overwrites
    # The ledger does not know values that were never sent; that is no finding.
    assert found(sheet, without, ledger=True) == []
    one = the_one(found(changed(sheet, "rating", lambda _: None), sheet))
    assert (one.pattern, one.rows) == (Pattern.CLEARED, 8)


# Texts


@given(SEEDS, st.sampled_from(["", "...", "…"]), st.booleans())
def test_texts_that_one_side_cuts(seed: int, dots: str, cut_here: bool) -> None:
    long = a_sheet(random.Random(seed))
    cut = changed(
        long,
        "feedback",
        lambda text: text if len(text) <= 30 else text[: 30 - len(dots)].strip() + dots,
    )
    here, there = (cut, long) if cut_here else (long, cut)
    one = the_one(found(here, there))
    assert one.pattern is Pattern.CUT
    assert one.facts["in"] == ("here" if cut_here else "there")
    assert one.rows == sum(a != b for a, b in zip(here, there, strict=True))


@pytest.mark.parametrize(
    ("form", "change"),
    [
        ("case", str.upper),
        ("spaces", lambda text: text.replace(" ", "  ")),
        ("entities", lambda text: text.replace("a", "&#97;")),
        ("accents", lambda text: text.replace("a", "á")),
        ("punctuation", lambda text: text.replace(" ", "-")),
    ],
)
def test_texts_in_another_form(form: str, change: Callable[[str], str]) -> None:
    there = a_sheet(random.Random(form))
    one = the_one(found(changed(there, "feedback", change), there))
    assert (one.pattern, one.facts) == (Pattern.TEXT_FORM, {"form": form})


def test_a_few_texts_that_people_corrected_are_no_other_form() -> None:
    there = a_sheet(random.Random(7))
    here = [row | {"feedback": row["feedback"].title()} for row in there[:9]] + there[9:]
    assert found(here, there) == []


def test_notes_that_people_went_on_with_are_not_cut() -> None:
    there = a_sheet(random.Random(8))
    here = changed(there, "feedback", lambda text: f"{text}, called back")
    assert found(here, there) == []
    template = changed(there, "feedback", lambda _: "Left a message")
    here = changed(template, "feedback", lambda text: f"{text} on Monday")
    assert found(here, template) == []


# Unrelated differences


@given(SEEDS, st.sampled_from([0.05, 0.3, 1.0]))
def test_unrelated_differences_have_no_cause(seed: int, share: float) -> None:
    dice = random.Random(seed)
    there, other = a_sheet(dice, 80), a_sheet(dice, 80)
    here = [
        row | {name: value for name, value in unrelated.items() if dice.random() < share}
        for row, unrelated in zip(there, other, strict=True)
    ]
    assert found(here, there, dice.sample(range(80), 80)) == []


@given(SEEDS)
def test_a_cause_is_found_among_other_differences(seed: int) -> None:
    dice = random.Random(seed)
    there = a_sheet(dice, 100)
    here = changed(there, "showing_date", moved_by(300))
    for place in dice.sample(range(100), 8):
        here[place] = here[place] | {"showing_date": moved_by(7)(here[place]["showing_date"])}
        here[place]["rating"] = here[place]["rating"] % 5 + 1
    one = the_one([one for one in found(here, there) if one.field == "showing_date"])
    assert (one.rows, one.of, one.facts["minutes"]) == (92, 100, [300])


# Keys


@pytest.mark.parametrize(
    ("here", "there", "form"),
    [
        ("12", "0012", "zeros_there"),
        ("SH-0012", "SH-12", "zeros_here"),
        ("12", "12.0", "decimal"),
        ("sh-a", "SH-A", "case"),
        ("SH 12", "sh-012", "punctuation"),
    ],
)
def test_keys_in_two_forms(here: str, there: str, form: str) -> None:
    assert loose_key(here) == loose_key(there)
    (one,) = key_findings(4, [(here, there)] * 3)
    assert (one.pattern, one.rows, one.of) == (Pattern.KEY_FORM, 3, 4)
    assert one.facts == {"form": form, "here": here, "there": there}


@given(st.text("0123456789", min_size=1, max_size=8), st.text("0123456789", min_size=1, max_size=8))
def test_different_numbers_are_different_keys(one: str, other: str) -> None:
    assert (loose_key(one) == loose_key(other)) is (int(one) == int(other))


# The words


def summary(*findings: Systematic, refused: bool = False) -> Reconciliation:
    counts = SideCounts(dict.fromkeys(RowClass, 0))
    nothing: Mapping[str, Any] = dict.fromkeys(
        ("other", "base", "results", "page", "template", "changes")
    )
    return Reconciliation(
        input="here.csv",
        classes=dict(counts.classes),
        here=counts,
        there=counts,
        fields={},
        first=(),
        listed=(),
        conflicts=0,
        stale=0,
        to_send=0,
        one_way=False,
        prefer_here=False,
        notes=(),
        systematic=findings,
        refused=refused,
        **nothing,
    )


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"minutes": [-300]}, "5 hours earlier here than there in 9 of 10 rows, as with another"),
        ({"minutes": [300, 360]}, "5 or 6 hours later here than there"),
        ({"minutes": [0, 60]}, "1 hour, but for a season, later here"),
        ({"minutes": [330], "same_clock": 1}, "the same time of day is in another time zone"),
        (
            {"minutes": [1462 * 1440]},
            "1,462 days later here than there in 9 of 10 rows, as",
        ),
        ({"minutes": [-1440]}, "1 day earlier here than there"),
    ],
)
def test_offsets_in_words(facts: dict[str, Any], said: str) -> None:
    one = Systematic(Pattern.TIME_OFFSET, "showing_date", 9, 10, facts)
    (line,) = systematic_lines(summary(one))
    assert said in line


@pytest.mark.parametrize(
    ("side", "moved", "said"),
    [
        ("here", "down", "the row above there: the column was moved down by a row here"),
        ("here", "up", "the row below there: the column was moved up by a row here"),
        ("there", "down", "the row below there: the column was moved down by a row there"),
        ("there", "up", "the row above there: the column was moved up by a row there"),
        ("either", "down", "the row above there: the column was moved by a row in one of the"),
    ],
)
def test_moved_columns_in_words(side: str, moved: str, said: str) -> None:
    one = Systematic(Pattern.SHIFTED, "rating", 9, 10, {"in": side, "moved": moved})
    (line,) = systematic_lines(summary(one))
    assert said in line


def test_every_pattern_has_a_sentence_and_a_refusal_names_the_way_out() -> None:
    sheet = a_sheet(random.Random(3))
    some: dict[Pattern, dict[str, Any]] = {
        Pattern.TIME_OFFSET: {"minutes": [60]},
        Pattern.SCALED: {"times": 1, "parts": 2},
        Pattern.ADDED: {"plus": -1},
        Pattern.REVERSED: {"sum": 6},
        Pattern.SHIFTED: {"in": "here", "moved": "up"},
        Pattern.SWAPPED: {"with": "title"},
        Pattern.OTHER_COLUMN: {"with": "title"},
        Pattern.CUT: {"in": "here", "unit": "bytes", "longest": 255},
        Pattern.TEXT_FORM: {"form": "case"},
        Pattern.CLEARED: {},
        Pattern.BLANK_THERE: {},
    }
    findings = [
        no_common_key("a", "b"),
        *key_findings(1, [("12", "012")]),
        *found(changed(sheet, "showing_date", the_other_order), sheet),
        Systematic(Pattern.REVERSED, "interested", 1, 1),
        *(Systematic(pattern, "rating", 1, 1, facts) for pattern, facts in some.items()),
    ]
    assert {one.pattern for one in findings} == set(Pattern)
    lines = list(systematic_lines(summary(*findings)))
    assert all(line.endswith(".") and ".." not in line for line in lines)
    assert refusal(summary()) is None
    assert "--accept-systematic" in (refusal(summary(refused=True)) or "")


def test_long_texts_are_neither_kept_nor_compared_character_by_character() -> None:
    rows = [({"feedback": f"{n}a" * 50_000}, {"feedback": f"{n}b" * 50_000}) for n in range(20)]
    column = _Column("feedback")

    def see(_text: str) -> None:
        for here, there in rows:
            column.see(here, there)

    assert calls_of(see, "") < 200 * len(rows)
    assert column._values.total() == len(rows)
    assert sum(len(str(value)) for value in column._values) < 100 * len(rows)
