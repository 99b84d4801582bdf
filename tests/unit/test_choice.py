"""The rows that --rows, --where and --limit take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from bulk_sync.errors import InputError, UsageError
from bulk_sync.model.rows import Formatted, Row
from bulk_sync.plan import Twin, settle_twins
from bulk_sync.quantities import Condition, RowRange, parse_condition, parse_rows
from bulk_sync.run.choice import Choice
from bulk_sync.settings.reading import Reading

HEADERS = ("Key", "Status", "Agent")


def choice(**options: Any) -> Choice:
    reading = TypeAdapter(Reading).validate_python({"input": Path("x.csv"), **options})
    return Choice(reading, HEADERS)


def taken(chosen: Choice, *statuses: object, first: int = 2) -> list[int]:
    """Return the numbers of the rows that are taken of rows with these statuses."""
    rows = [Row(number, ("K", one, "Ann")) for number, one in enumerate(statuses, first)]  # type: ignore[arg-type]
    return [row.number for row in rows if chosen.takes(row)]


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("5", [RowRange(5, 5)]),
        ("5-20,31", [RowRange(5, 20), RowRange(31, 31)]),
        (" 5 - 20 , 40- ", [RowRange(5, 20), RowRange(40, None)]),
        ("7–9", [RowRange(7, 9)]),
    ],
)
def test_lists_of_rows(text: str, ranges: list[RowRange]) -> None:
    assert parse_rows(text) == tuple(ranges)
    assert parse_rows(",".join(map(str, ranges))) == tuple(ranges)


@pytest.mark.parametrize("text", ["", "0", "5-3", "a", "5,", "-5", "5--7", "1.5", "٣"])
def test_other_texts_name_no_rows(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as 10-20,35|write 3-5"):
        parse_rows(text)


@pytest.mark.parametrize(
    ("text", "column", "wanted"),
    [
        ("Status=Open", "Status", "Open"),
        ("Status= a=b ", "Status", "a=b"),
        ("Status=", "Status", ""),
    ],
)
def test_conditions(text: str, column: str, wanted: str) -> None:
    assert parse_condition(text) == Condition(column, wanted)


@pytest.mark.parametrize("text", ["Status", "=Open", " = x"])
def test_a_condition_needs_a_column(text: str) -> None:
    with pytest.raises(ValueError, match="'Column=text'"):
        parse_condition(text)


def test_rows_are_taken_by_their_numbers() -> None:
    assert taken(choice(rows="3-4,6-"), *"abcdefg") == [3, 4, 6, 7, 8]


def test_a_condition_compares_the_cell_as_it_is_shown() -> None:
    shown = Formatted(0.5, "0%", "50%")
    chosen = choice(where=["status=OPEN", "Status=50%", "status="])
    assert taken(chosen, "Open", " open\u200b", "Opened", shown, 0.5, "") == [2, 3, 5, 7]


def test_texts_of_one_column_are_alternatives_and_columns_must_all_fit() -> None:
    assert taken(choice(where=["Status=a", "Status=b", "Agent=ann"]), *"abc") == [2, 3]
    assert taken(choice(where=["Status=a", "Agent=Bob"]), *"abc") == []


def test_a_cell_beyond_a_short_row_is_blank() -> None:
    assert choice(where=["Agent="]).takes(Row(2, ("K",)))


def test_a_limit_counts_the_rows_that_the_others_take() -> None:
    assert taken(choice(rows="3-", where=["Status=a"], limit=2), *"aabaaa") == [3, 5]


def test_an_unknown_column_is_a_wrong_option() -> None:
    with pytest.raises(UsageError, match=r"--where 'Statsu': .* did you mean 'Status'"):
        choice(where=["Statsu=Open"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": "2,40-50"}, "--rows 40-50 names no row of the sheet, whose last row is 4"),
        ({"rows": "1"}, "--rows 1 names no row"),
        ({"where": ["Status=x"]}, "no row fits --where 'Status=x'"),
        ({"rows": "2-3", "where": ["Status=c"]}, "no row among those of --rows fits --where"),
    ],
)
def test_a_choice_without_rows_is_refused(options: dict[str, Any], message: str) -> None:
    chosen = choice(**options)
    taken(chosen, *"abc")
    with pytest.raises(InputError, match=message):
        chosen.refuse_empty("x.csv")


def test_a_sheet_without_rows_has_nothing_to_choose_from() -> None:
    choice(rows="2").refuse_empty("x.csv")


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.booleans()).map(lambda one: Twin(0, 0, *one[:1])),
        min_size=2,
        max_size=4,
    ),
    st.lists(st.booleans(), min_size=4, max_size=4),
    st.sampled_from(["error", "last", "merge"]),
)
def test_twins_that_are_left_out_are_judged_with_the_others(
    rows: list[Twin], left_out: list[bool], policy: Any
) -> None:
    """A choice changes which of equal rows is sent, and nothing else."""
    digests = [row.digest for row in rows]
    twins = [
        Twin(place, place + 2, digest, left_out=left_out[place])
        for place, digest in enumerate(digests)
    ]
    all_taken = [Twin(twin.id, twin.number, twin.digest) for twin in twins]

    def sent(among: list[Twin]) -> set[int]:
        verdicts, _ = settle_twins(among, policy)
        return {twin.id for twin in among} - {verdict.id for verdict in verdicts}

    assert len(sent(twins)) == len(sent(all_taken))
    assert {digests[one] for one in sent(twins)} == {digests[one] for one in sent(all_taken)}
    if policy == "error" and len(set(digests)) == 1 and not all(left_out[: len(twins)]):
        (one,) = sent(twins)
        assert not twins[one].left_out


def test_a_reason_about_a_row_that_is_left_out_says_so() -> None:
    verdicts, _ = settle_twins([Twin(1, 2, "a", left_out=True), Twin(2, 3, "b")])
    assert [verdict.reason.facts for verdict in verdicts] == [
        {"rows": [3]},
        {"rows": [2], "left_out": 1},
    ]
