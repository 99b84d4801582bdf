"""Messages of rows to causes: which are one, what is shown of what varies, and the remedy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.check.headers import map_headers
from bulk_sync.check.rows import Checker
from bulk_sync.check.rules import Rules
from bulk_sync.model.rows import Problem, Row
from bulk_sync.model.summaries import BadRow, CauseGroup
from bulk_sync.report.as_json import cause_json
from bulk_sync.report.causes import MOST_CAUSES, causes_of

NO_RATING = "is not a rating from 1 to 5, such as 4, 4/5, 4 stars or ★★★★"


def bad(message: str | None, number: int = 2, code: str = "bad_value") -> BadRow:
    return BadRow(number, code, None, message, f"ext_{number}", f"ext_{number}", in_doubt=False)


def refused(
    message: str | None, number: int, status: int = 404, code: str = "not_found", key: str = ""
) -> BadRow:
    return BadRow(number, code, status, message, key or f"ext_{number}", "", in_doubt=False)


def told(*rows: BadRow) -> list[tuple[str, int, str]]:
    return [(group.cause, group.rows, group.remedy) for group in causes_of(rows)]


def values(*ratings: str) -> str:
    (group,) = causes_of(
        bad(f"rating: {rating!r} {NO_RATING}", number) for number, rating in enumerate(ratings, 2)
    )
    return group.cause


@pytest.mark.parametrize(
    ("ratings", "cause"),
    [
        (["9"], "rating 9"),
        (["9", "9"], "rating 9"),
        (["10", "6", "8", "7", "9"], "rating 6 to 10"),
        (["0", "6", "7", "8"], "rating 0, 6 to 8"),
        (["6", "7"], "rating 6, 7"),
        (["-1", "0", "2.5"], "rating -1, 0, 2.5"),
        (["10", "20", "30", "40", "50"], "rating 10, 20, 30, 40, ..."),
        ([str(number) for number in range(100, 400)], "rating 100 to 199, ..."),
        (["great", "9"], "rating 'great', '9'"),
        (["a", "b", "c", "d", "e"], "rating 'a', 'b', 'c', 'd', ..."),
        (["it's"], 'rating "it\'s"'),
        (["\x1b[31m"], "rating '\\x1b[31m'"),
    ],
)
def test_values_are_ranges_of_whole_numbers_or_the_first_ones(
    ratings: list[str], cause: str
) -> None:
    assert values(*ratings) == cause


def test_a_cause_has_its_first_rows_their_values_and_what_would_be_right() -> None:
    (group,) = causes_of(bad(f"rating: '{number}' {NO_RATING}", number) for number in range(6, 20))
    assert group == CauseGroup(
        code="bad_value",
        cause="rating 6 to 19",
        rows=14,
        first_rows=((6, "6"), (7, "7"), (8, "8"), (9, "9"), (10, "10")),
        remedy="expected a rating from 1 to 5, such as 4, 4/5, 4 stars or ★★★★",
    )
    assert cause_json(group)["first_rows"][0] == {"row": 6, "value": "6"}


def test_a_row_with_two_bad_cells_counts_under_both() -> None:
    mail = "attendee_email: 'x' is not a mail address, such as ana@example.com"
    both, one = bad(f"rating: '9' {NO_RATING}; {mail}", 2), bad(mail, 3)
    assert [(cause, rows) for cause, rows, _ in told(both, one)] == [
        ("attendee_email 'x'", 2),
        ("rating 9", 1),
    ]


@pytest.mark.parametrize(
    ("message", "cause", "remedy"),
    [
        (
            (
                "attendee_phone: '1.5E+10' is not a phone number but a rounded one; format its cells as text and enter "
                "it again"
            ),
            "attendee_phone '1.5E+10'",
            "a rounded one; format its cells as text and enter it again",
        ),
        (
            "feedback: '#N/A' is not a value: a formula failed here. Mend it, or blank the cell",
            "feedback '#N/A'",
            "a formula failed here. Mend it, or blank the cell",
        ),
        (
            "unique_showing_key is blank: this row names no showing",
            "unique_showing_key is blank: this row names no showing",
            "mend the row",
        ),
        (
            "this row is the header once more: leave it out",
            "this row is the header once more",
            "leave it out",
        ),
        (
            (
                "unique_showing_key: '1.2E+17' was rounded by a spreadsheet program, its last digits are lost: format "
                "the column as text and enter the keys again"
            ),
            "unique_showing_key '1.2E+17' was rounded by a spreadsheet program, its last digits are lost",
            "format the column as text and enter the keys again",
        ),
    ],
)
def test_the_sentence_of_the_check_holds_the_remedy(message: str, cause: str, remedy: str) -> None:
    assert told(bad(message)) == [(cause, 1, remedy)]


def test_what_varies_is_left_out_only_where_it_does() -> None:
    same = "the same showing stands in row {} with other values: keep the one that is meant"
    assert told(bad(same.format(3), 2), bad(same.format(3), 4)) == [
        ("the same showing stands in row 3 with other values", 2, "keep the one that is meant")
    ]
    assert told(bad(same.format(3), 2), bad(same.format(2), 3)) == [
        ("the same showing stands in row ... with other values", 2, "keep the one that is meant")
    ]
    day = "showing_date: '{0} 10:00' is not a day that exists ({0} does not)"
    assert told(bad(day.format("2026-02-30")), bad(day.format("2026-04-31"))) == [
        ("showing_date '2026-02-30 10:00', '2026-04-31 10:00'", 2, "expected a day that exists")
    ]


def test_refusals_are_grouped_by_what_the_api_said_without_keys_and_numbers() -> None:
    look = "look the key up in North, or was the showing deleted?"
    rows = [
        refused(f"No showing {key} (request {number})", number, key=key)
        for number, key in enumerate(["elm", "o-1"])
    ]
    assert told(*rows) == [("not_found: No showing ... (request ...)", 2, look)]
    limits = [refused(f"rating must be 1 to 5, not {n}", n, 422, "refused") for n in (8, 9)]
    assert told(*limits) == [
        ("refused 422: rating must be 1 to 5, not ...", 2, "mend what the API names")
    ]
    other = refused("rating must be 1 to 5, not 9", 9, 409, "refused")
    assert len(causes_of([*limits, other])) == 2


def test_failures_name_status_and_say_run_again_whatever_was_tried() -> None:
    def failed(message: str, code: str, status: int | None = None) -> BadRow:
        return BadRow(2, code, status, message, "k", "k", in_doubt=True)

    rows = [
        failed(
            f"503: busy; given up after {n} attempts",
            "server_error",
            503,
        )
        for n in (4, 5)
    ]
    assert told(*rows) == [("server_error 503: busy", 2, "run the command again")]
    assert causes_of(rows)[0].in_doubt == 2
    assert (
        told(failed("status 500; given up after 2 s", "server_error", 500))[0][0]
        == "server_error 500"
    )
    assert told(failed("no whole reply within 30 s; given up after 2 s", "timeout"))[0][0] == (
        "timeout: no whole reply within 30 s"
    )


def test_where_the_messages_were_purged_the_code_is_left() -> None:
    rows = [refused(None, 2), refused(None, 3), bad(None, 4), bad(None, 5, "missing_key")]
    assert [(cause, count) for cause, count, _ in told(*rows)] == [
        ("not_found", 2),
        ("bad_value", 1),
        ("missing_key", 1),
    ]


def test_of_endless_kinds_the_rest_of_a_code_is_one() -> None:
    def word(number: int) -> str:
        return "".join(chr(ord("a") + int(digit)) for digit in str(number))

    groups = causes_of(refused(f"no {word(number)}", number) for number in range(3 * MOST_CAUSES))
    assert len(groups) == MOST_CAUSES + 1
    assert (groups[0].cause, groups[0].rows) == ("other causes", 2 * MOST_CAUSES)
    assert sum(group.rows for group in groups) == 3 * MOST_CAUSES


@given(
    st.lists(
        st.tuples(st.text(max_size=50), st.text(max_size=50), st.text(max_size=50)), max_size=5
    )
)
def test_whatever_stands_in_cells_each_bad_cell_counts_once(
    cells: list[tuple[str, str, str]],
) -> None:
    """Also text that looks like a message of ours: `_cells_apart` takes nothing inside quotes for
    one.
    """
    headers = ("unique_showing_key", "rating", "attendee_email", "showing_date")
    checker = Checker(map_headers(headers, "x.csv"), Rules())
    problems = [
        (problem, checker)
        for number, row in enumerate(cells, 2)
        if isinstance(problem := checker.check(Row(number, (f"ext_{number}", *row))), Problem)
    ]
    expected = sum(seen.count for seen in checker.findings.bad.values())
    groups = causes_of(
        bad(problem.message, problem.row.number)
        for problem, _ in problems
        if problem.code == "bad_value"
    )
    assert sum(group.rows for group in groups) == expected


def test_a_cell_that_quotes_our_own_words_is_still_one_cell() -> None:
    hostile = "9 is; rating: '9' is not x"
    checker = Checker(
        map_headers(("unique_showing_key", "rating", "showing_date"), "x.csv"), Rules()
    )
    problem = checker.check(Row(2, ("ext_1", hostile, f"2026-03-02 10:00 {hostile[:20]}")))
    assert isinstance(problem, Problem)
    assert [group.rows for group in causes_of([bad(problem.message)])] == [1, 1]
