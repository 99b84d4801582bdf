"""Rows that ended badly, by cause: which are one, what is shown of what varies, and the remedy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.check.headers import map_headers
from bulk_sync.check.rows import Checker
from bulk_sync.check.rules import Rules
from bulk_sync.model.problems import Expected, Fact, Reason, Remedy
from bulk_sync.model.rows import Problem, Row
from bulk_sync.model.summaries import BadRow, CauseGroup
from bulk_sync.report.as_json import cause_json
from bulk_sync.report.causes import MOST_CAUSES, problems_of

A_RATING = "expected a rating from 1 to 5, such as 4, 4/5, 4 stars or ★★★★"


def bad(number: int, *reasons: Reason, code: str = "bad_value") -> BadRow:
    key = f"ext_{number}"
    return BadRow(number, code, None, None, key, key, in_doubt=False, reasons=reasons)


def rating(value: str, remedy: Remedy | None = None) -> Reason:
    return Reason(Expected.RATING, "rating", value, remedy)


def refused(
    message: str | None, number: int, status: int = 404, code: str = "not_found", key: str = ""
) -> BadRow:
    return BadRow(number, code, status, message, key or f"ext_{number}", "", in_doubt=False)


def causes_of(*rows: BadRow) -> tuple[CauseGroup, ...]:
    return problems_of(rows)[1]


def told(*rows: BadRow) -> list[tuple[str, int, str]]:
    return [(group.cause, group.rows, group.remedy) for group in causes_of(*rows)]


@pytest.mark.parametrize(
    ("ratings", "cause"),
    [
        (["9"], "rating 9"),
        (["9", "9"], "rating 9"),
        (["10", "6", "8", "7", "9"], "rating 6 to 10"),
        (["0", "6", "7", "8"], "rating 0, 6 to 8"),
        (["6", "7"], "rating 6, 7"),
        (["-1", "0", "2.5"], "rating -1, 0, 2.5"),
        (["10", "20", "30", "40", "50"], "rating 10, 20, 30, 40 and 1 more"),
        ([str(number) for number in range(100, 400)], "rating 100 to 199 and others"),
        (["great", "9"], "rating 'great', '9'"),
        (["1.000"], "rating '1.000'"),
        (["007", "9.0"], "rating '007', '9.0'"),
        (["a", "b", "c", "d", "e"], "rating 'a', 'b', 'c', 'd' and 1 more"),
        (["it's"], 'rating "it\'s"'),
        (["\x1b[31m"], "rating '\\x1b[31m'"),
    ],
)
def test_values_are_ranges_of_whole_numbers_or_the_first_ones(
    ratings: list[str], cause: str
) -> None:
    (group,) = causes_of(*(bad(number, rating(value)) for number, value in enumerate(ratings, 2)))
    assert group.cause == cause


def test_a_cause_has_its_first_rows_their_values_and_what_would_be_right() -> None:
    (group,) = causes_of(*(bad(number, rating(str(number))) for number in range(6, 20)))
    assert group == CauseGroup(
        code="bad_value",
        cause="rating 6 to 19",
        rows=14,
        first_rows=((6, "6"), (7, "7"), (8, "8"), (9, "9"), (10, "10")),
        remedy=A_RATING,
    )
    assert cause_json(group)["first_rows"][0] == {"row": 6, "value": "6"}


def test_a_row_with_two_bad_cells_counts_under_both_causes_and_once_under_its_code() -> None:
    mail = Reason(Expected.EMAIL, "attendee_email", "x")
    groups, causes = problems_of([bad(2, rating("9"), mail), bad(3, mail)])
    assert [(group.cause, group.rows) for group in causes] == [
        ("attendee_email 'x'", 2),
        ("rating 9", 1),
    ]
    (group,) = groups
    assert (group.code, group.count) == ("bad_value", 2)
    assert group.examples[1] == (
        3,
        "attendee_email: 'x' is not an email address, such as ana@example.com",
    )


def test_one_field_has_a_cause_for_each_expectation_and_each_remedy() -> None:
    rows = [
        bad(2, rating("9")),
        bad(3, rating("8/10", Remedy.CONVERT_RATING)),
        bad(4, Reason(Expected.NO_ERROR, "rating", "#N/A", Remedy.CORRECT_FORMULA)),
        bad(5, rating("7")),
    ]
    assert told(*rows) == [
        ("rating 7, 9", 2, A_RATING),
        (
            "rating '8/10'",
            1,
            f"{A_RATING}; write it out of 5, or name the scale of the column, such as --scale 10",
        ),
        (
            "rating '#N/A'",
            1,
            "expected a value: a formula failed here; correct it, or blank the cell",
        ),
    ]


@pytest.mark.parametrize(
    ("expected", "facts", "others"),
    [
        (Expected.ONE_ROW_A_SHOWING, {"rows": [3]}, {"rows": [2, 7, 9]}),
        (Expected.CELLS_IN_COLUMNS, {"cells": 4, "columns": 3}, {"cells": 5, "columns": 3}),
        (Expected.DAY_THAT_EXISTS, {"day": "2026-02-30"}, {"day": "2026-04-31"}),
        (Expected.END_AFTER_START, {"start": "10:00"}, {"start": "11:00"}),
        (Expected.TIME_NOT_SKIPPED, {"zone": "Europe/Paris"}, {"zone": "Europe/Berlin"}),
    ],
)
def test_facts_of_single_rows_split_no_cause(
    expected: Expected, facts: dict[str, Fact], others: dict[str, Fact]
) -> None:
    groups = causes_of(
        bad(2, Reason(expected, "showing_date", "x", facts=facts)),
        bad(3, Reason(expected, "showing_date", "x", facts=others)),
    )
    assert [group.rows for group in groups] == [2]


def test_sentences_of_an_old_checkpoint_are_causes_as_they_are() -> None:
    def old(text: str, number: int) -> BadRow:
        return bad(number, Reason(Expected.EARLIER_TEXT, facts={"text": text}))

    assert told(old("rating: '9' is not it", 2), old("{x}", 3), old("{x}", 4)) == [
        ("{x}", 2, "correct the row"),
        ("rating: '9' is not it", 1, "correct the row"),
    ]


def test_sentences_of_an_old_checkpoint_that_differ_in_rows_and_values_are_one_cause() -> None:
    def old(text: str, number: int) -> BadRow:
        return bad(number, Reason(Expected.EARLIER_TEXT, facts={"text": text}))

    duplicates = [
        old(f"the same showing stands in row {n + 600} with other values", n) for n in range(600)
    ]
    ratings = [old(f"rating: '{n}' is not a rating from 1 to 5", n) for n in (8, 9)]
    assert told(*duplicates, *ratings) == [
        ("the same showing stands in row ... with other values", 600, "correct the row"),
        ("rating: ... is not a rating from 1 to 5", 2, "correct the row"),
    ]


def test_refusals_are_grouped_by_what_the_api_said_without_keys_and_numbers() -> None:
    look = "check the key in North; the showing may have been deleted"
    rows = [
        refused(f"No showing {key} (request {number})", number, key=key)
        for number, key in enumerate(["elm", "o-1"])
    ]
    assert told(*rows) == [("not_found: No showing ... (request ...)", 2, look)]
    limits = [refused(f"rating must be 1 to 5, not {n}", n, 422, "refused") for n in (8, 9)]
    assert told(*limits) == [
        ("refused 422: rating must be 1 to 5, not ...", 2, "correct what the API names")
    ]
    other = refused("rating must be 1 to 5, not 9", 9, 409, "refused")
    assert len(causes_of(*limits, other)) == 2
    words = [refused(f"the field '{name}' is 'x'", 2) for name in "ab"]
    assert told(*words)[0][0] == "not_found: the field ... is 'x'"


def test_failures_name_the_status_and_say_run_again() -> None:
    def failed(message: str, code: str, status: int | None = None) -> BadRow:
        return BadRow(2, code, status, message, "k", "k", in_doubt=True)

    rows = [failed("503: busy", "server_error", 503)] * 2
    assert told(*rows) == [("server_error 503: busy", 2, "run the command again")]
    assert causes_of(*rows)[0].in_doubt == 2
    assert told(failed("status 500", "server_error", 500))[0][0] == "server_error 500"
    assert told(failed("no whole reply within 30 s", "timeout"))[0][0] == (
        "timeout: no whole reply within 30 s"
    )


def test_where_the_messages_were_purged_the_code_is_left() -> None:
    rows = [refused(None, 2), refused(None, 3), bad(4), bad(5, code="missing_key")]
    assert [(cause, count) for cause, count, _ in told(*rows)] == [
        ("not_found", 2),
        ("bad_value", 1),
        ("missing_key", 1),
    ]


def test_of_endless_kinds_the_rest_of_a_code_is_one() -> None:
    def word(number: int) -> str:
        return "".join(chr(ord("a") + int(digit)) for digit in str(number))

    groups = causes_of(
        *(refused(f"no {word(number)}", number) for number in range(3 * MOST_CAUSES))
    )
    assert len(groups) == MOST_CAUSES + 1
    assert (groups[0].cause, groups[0].rows) == ("other causes", 2 * MOST_CAUSES)
    assert sum(group.rows for group in groups) == 3 * MOST_CAUSES


@given(
    st.lists(
        st.tuples(st.text(max_size=50), st.text(max_size=50), st.text(max_size=50)), max_size=5
    )
)
def test_each_bad_cell_counts_once_whatever_it_holds(cells: list[tuple[str, str, str]]) -> None:
    headers = ("unique_showing_key", "rating", "attendee_email", "showing_date")
    checker = Checker(map_headers(headers, "x.csv"), Rules())
    problems = [
        problem
        for number, row in enumerate(cells, 2)
        if isinstance(problem := checker.check(Row(number, (f"ext_{number}", *row))), Problem)
    ]
    groups = causes_of(*(bad(one.row.number, *one.reasons, code=one.code) for one in problems))
    assert sum(group.rows for group in groups) == sum(len(one.reasons) for one in problems)


# What a person does about rows of each code, where no cause says more.
REMEDIES = {
    "missing_key": "enter the showing's key, or leave the row out",
    "bad_key": "enter the showing's key as North has it",
    "bad_value": "correct the row",
    "nothing_to_send": "fill in what is to change, or leave the row out",
    "duplicate_key": "keep one of the rows",
    "not_found": "check the key in North; the showing may have been deleted",
    "refused": "correct what the API names",
    "forbidden": "use a key that may change these showings, or leave them out",
    "timeout": "run the command again",
    "connection": "run the command again",
    "server_error": "run the command again",
    "bad_reply": "run the command again; if it stays so, check the address",
    "throttled": "run the command again, perhaps with a lower --rate",
    "a code of a later version": "correct the row",
}


@pytest.mark.parametrize(("code", "remedy"), REMEDIES.items())
def test_each_code_has_its_remedy(code: str, remedy: str) -> None:
    (sent,) = causes_of(refused("something", 2, code=code))
    earlier = bad(3, Reason(Expected.EARLIER_TEXT, facts={"text": "said before"}), code=code)
    (before,) = causes_of(earlier)
    assert (sent.remedy, before.remedy) == (remedy, remedy)
    left = BadRow(4, code, None, "lost", "ext_4", "", in_doubt=True, left_in_doubt=True)
    (doubtful,) = causes_of(left)
    assert doubtful.remedy == ("look the showings up in North; --ambiguous retry sends them again")


def test_codes_come_by_their_rows_the_most_frequent_first_and_equal_ones_as_they_appear() -> None:
    rows = [
        refused("gone", number, code=code)
        for number, code in enumerate(["timeout", "refused", "not_found", "refused", "throttled"])
    ]
    codes, causes = problems_of(rows)
    assert [(one.code, one.count) for one in codes] == [
        ("refused", 2),
        ("timeout", 1),
        ("not_found", 1),
        ("throttled", 1),
    ]
    assert [one.rows for one in causes] == [2, 1, 1, 1]


def test_a_code_has_three_examples_with_the_words_of_their_rows() -> None:
    rows = [refused(f"no {number}", number) for number in range(2, 7)]
    (code,), _ = problems_of([*rows[:2], bad(9, rating("9"), code="not_found"), *rows[2:]])
    assert code.count == 6
    assert code.examples[:2] == ((2, "no 2"), (3, "no 3"))
    assert code.examples[2][0] == 9
    assert "rating" in code.examples[2][1]
    assert len(code.examples) == 3


def test_the_rest_of_each_code_is_a_cause_of_its_own() -> None:
    assert MOST_CAUSES == 500
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [one + two for one in letters for two in letters]
    rows = [refused(f"no {word}", number) for number, word in enumerate(words[:500])]
    rows += [refused(f"more {words[0]}", 600), refused(f"more {words[1]}", 601, code="forbidden")]
    rows += [refused(f"no {words[7]}", 602)]
    groups = causes_of(*rows)
    assert len(groups) == 502
    rest = [(one.code, one.rows) for one in groups if one.cause == "other causes"]
    assert rest == [("not_found", 1), ("forbidden", 1)]
    assert (groups[0].cause, groups[0].rows) == (f"not_found: no {words[7]}", 2)


def test_a_key_is_left_out_of_a_message_only_where_it_is_no_part_of_any_word() -> None:
    """A key of one or two characters is in many words; the names of rows differ, the cause not."""
    long = causes_of(
        refused("no showing alpha here", 2, key="alpha"),
        refused("no showing beta here", 3, key="beta"),
    )
    assert [(one.cause, one.rows) for one in long] == [("not_found: no showing ... here", 2)]
    short = causes_of(
        refused("no showing no here", 2, key="no"), refused("no showing us here", 3, key="us")
    )
    assert [one.rows for one in short] == [1, 1]
    alone = causes_of(refused("the key alpha is not alpha", 2, key="alpha"))
    assert alone[0].cause == "not_found: the key alpha is not alpha"
    absent = causes_of(refused("closed", 2, key="alpha"), refused("closed", 3, key="beta"))
    assert [(one.cause, one.rows) for one in absent] == [("not_found: closed", 2)]
