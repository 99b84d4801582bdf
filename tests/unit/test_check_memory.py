"""What the check remembers of a sheet's cells makes it faster and changes nothing else."""

from __future__ import annotations

import importlib
import pkgutil
from collections import Counter
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bulk_sync.check import headers as any_module
from bulk_sync.check.headers import map_headers
from bulk_sync.check.memory import LONGEST_REMEMBERED, MOST_REMEMBERED, Memory
from bulk_sync.check.rows import Checker
from bulk_sync.check.rules import Rules
from bulk_sync.check.showing import INSTANTS, ShowingPatch
from bulk_sync.model.problems import Expected, Reason
from bulk_sync.model.rows import Cell, CellError, Problem, Record, Row

# A coverage run triples the time of these loops; faster tests reach the same lines.
pytestmark = pytest.mark.uncovered

HEADERS = (*ShowingPatch.model_fields, "showing_id")
ID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"

FOLDER = str(Path(any_module.__file__).parent)
MODULES = [
    importlib.import_module(found.name)
    for found in pkgutil.iter_modules([FOLDER], "bulk_sync.check.")
]


def fresh(columns: tuple[str, ...], rules: Rules) -> Checker:
    """A checker of a process that has checked nothing yet."""
    for module in MODULES:
        for function in vars(module).values():
            if hasattr(function, "cache_clear"):
                function.cache_clear()
    return Checker(map_headers(columns, "x.csv"), rules)


TEXTS: list[Cell] = [
    *("Fine", "", "Nice\t", "ext", "#1", "#N/A", "Err:502", "E", "=1+1", '="12"', 'a "b" \\ c'),
    *("x\ny", "  ", "-", 4.0, True, CellError("#REF!"), date(2026, 3, 4)),
]
DAYS = [
    *("3/14/2026", "03/08/2026", "11/1/2026", "3/8/26", "13/3/2026", "2/30/2026", "12/31/9999"),
    *("1/1/0001", "2026-03-14", "2026-11-01", "2026-02-29", "14.03.2026", "3.4.2026", "3-4-2026"),
    *("2026/3/14", "Mar 3 2026", "Sat, 14 Mar 2026", "1/1/1850", "26-3-4", "", "4:30"),
]
TIMES = [
    *("4:30 PM", "4:30pm", "4:30", "04:30", "1:30 AM", "2:30 AM", "02:30", "16:30:15", "12:00 AM"),
    *("24:00", "13:00 PM", "4:30 PM EST", "16:30Z", "16:30-17:30", "4 PM", "16:30:15.5", ""),
    *("4:30\u202fPM", "9:00 a.m.", "09:00:00-05:00", "2 to 4 PM"),
]
LOCAL_MOMENTS = st.tuples(
    st.sampled_from(DAYS), st.sampled_from([" ", " ", " ", "  ", ", ", "T"]), st.sampled_from(TIMES)
).map("".join)
EXACT_MOMENTS = st.tuples(
    st.sampled_from(
        ["2026-03-02", "2026-02-29", "2024-02-29", "9999-12-31", "0001-01-01", "0000-01-01"]
    ),
    st.sampled_from(
        ["T09:00:00", " 23:59:59", "T24:00:00", "T23:59:60", "T00:00:00", "T09:00", "t09:00:00"]
    ),
    st.sampled_from(["Z", "+00:00", "-00:00", "-05:00", "+05:75", "+24:00", "", "z", "+0530"]),
).map("".join)
TYPED_MOMENTS = st.sampled_from(
    [
        datetime(2026, 3, 14, 16, 30),  # noqa: DTZ001 - a workbook's dates have no zone
        date(2026, 3, 14),
        time(16, 30),
        46095.5,
    ]
)
MOMENTS: st.SearchStrategy[Cell] = st.one_of(EXACT_MOMENTS, LOCAL_MOMENTS, TYPED_MOMENTS)

CELLS: dict[str, list[Cell]] = {
    "unique_showing_key": [
        *(
            "ext_1",
            "",
            "12",
            "K-a",
            " ext_2",
            "feedback",
            "Showing ID",
            ".",
            "1.2E+17",
            '="7"',
            7.0,
        ),
    ],
    "showing_id": [ID, "", ID.upper(), f" {ID}", "17"],
    "attendee_email": [
        *("a.b@example.com", "", "A@B.CO", "a@b.invalid", "a@b@c.de", "ä@x.de", "a..b@x.de"),
        *("a..b@example.com", f"{'a' * 31}@example.com", "ana+x_1@b.de", ".a@b.de", "a@b.de", "a@"),
    ],
    "attendee_phone": ["(312) 555-0100", "", "1.31256E+10", "1.5e10", "=312", '="312"', 312.0],
    "rating": ["4", "", " 4", "4/5", "★★", "8/10", "-", 4.0, True, 1.0, "1", 1],
    "interested": ["no", "", "Yes", "maybe", "0", 0.0, -0.0, False, "-", " "],
    "event_type": ["showing", "", "Open House", "party", 1.0, '="showing"'],
    "attendees_count": ["0", "", "2.0", "-1", 0.0, False, 2.0, '="2"'],
}
"""Cells of each field; the first two are in most rows of most sheets."""

ODD = st.one_of(st.sampled_from([*TEXTS, *DAYS, *TIMES]), st.text(max_size=8))


def usual_cell(field: str) -> st.SearchStrategy[Cell]:
    if field in INSTANTS:
        return st.sampled_from(["2026-03-02T09:00:00Z", "", "3/4/2026 4:30 PM"])
    return st.sampled_from(CELLS.get(field, TEXTS)[:2])


def any_cell(field: str) -> st.SearchStrategy[tuple[int, Cell]]:
    of_field = MOMENTS if field in INSTANTS else st.sampled_from(CELLS.get(field, TEXTS))
    return st.tuples(st.just(HEADERS.index(field)), st.one_of(of_field, ODD))


ROW = st.tuples(
    st.tuples(*map(usual_cell, HEADERS)),
    st.lists(st.sampled_from(HEADERS).flatmap(any_cell), max_size=3),
    st.sampled_from([(), (), (), ("",), ("x",), (0.0,), None]),
    st.sampled_from([None, None, None, None, Reason(Expected.SINGLE_ROW)]),
)
"""Usual cells, others in the place of some, cells beyond the header (None: one too few), a fault.
"""

RULES = st.builds(
    Rules,
    timezone=st.sampled_from(
        [None, UTC, *map(ZoneInfo, ("America/Chicago", "Europe/London", "Asia/Kolkata"))]
    ),
    order=st.sampled_from(["mdy", "dmy", "ymd"]),
    order_given=st.booleans(),
    default_time=st.sampled_from([None, time(9)]),
    clear=st.sampled_from(
        [
            {},
            {},
            dict.fromkeys(ShowingPatch.model_fields, frozenset({"-"})),
            {"rating": frozenset({"4", "-"})},
        ]
    ),
    blank_clears=st.sampled_from([frozenset(), frozenset(), frozenset({"title", "rating"})]),
)


def rows_of(drawn: list[Any], order: list[int], width: int) -> list[Row]:
    rows = []
    for number, (usual, others, beyond, fault) in enumerate(drawn, start=2):
        by_place = dict(enumerate(usual)) | dict(others)
        cells = tuple(by_place[place] for place in order[:width])
        rows.append(Row(number, cells[:-1] if beyond is None else cells + beyond, fault))
    return rows


@given(
    st.lists(ROW, min_size=1, max_size=6),
    st.lists(ROW, min_size=1, max_size=3),
    st.permutations(range(len(HEADERS))),
    st.integers(2, len(HEADERS)),
    RULES,
)
def test_a_row_means_the_same_whatever_rows_came_before(
    before: list[Any], drawn: list[Any], order: list[int], width: int, rules: Rules
) -> None:
    """A record, and what is found on the way, depend on the row and the rules only."""
    headers = tuple(HEADERS[place] for place in order[:width])
    if not {"unique_showing_key", "showing_id"} & set(headers):
        return
    rows = rows_of(before + drawn * 2, order, width)
    alone = []
    filled: Counter[str] = Counter()
    assumed: Counter[str] = Counter()
    for row in rows:
        checker = fresh(headers, rules)
        alone.append(checker.check(row))
        filled += checker.findings.filled
        assumed += {kind: seen.count for kind, seen in checker.findings.assumed.items()}
    warmed = fresh(headers, rules)
    assert [warmed.check(row) for row in rows] == alone
    assert +warmed.findings.filled == +filled
    assert {kind: seen.count for kind, seen in warmed.findings.assumed.items()} == assumed


@given(st.lists(MOMENTS, min_size=1, max_size=8), RULES)
@example(["2026-03-02T09:00:00Z", "2026-02-29T09:00:00-05:00"], Rules())
def test_a_moment_means_the_same_whatever_moments_came_before(
    moments: list[Cell], rules: Rules
) -> None:
    headers = ("unique_showing_key", "showing_date", "showing_time_start", "showing_time_end")
    warmed = Checker(map_headers(headers, "x.csv"), rules)
    for one, other in zip(moments * 2, moments[::-1] * 2, strict=True):
        for cells in ((one, "", ""), ("", one, one), (one, one, other)):
            row = Row(2, ("ext_1", *cells))
            assert warmed.check(row) == fresh(headers, rules).check(row)


def test_values_that_are_equal_in_python_are_not_one_cell() -> None:
    """1, 1.0 and True are one key of a dictionary, and so are 0.0 and -0.0."""
    rows = [Row(2, ("ext_1", cell)) for cell in ("1", 1.0, True, 1, 0.0, -0.0, False, "0")]
    for field in ("rating", "interested", "attendees_count"):
        headers = ("unique_showing_key", field)
        for first in rows:
            warmed = fresh(headers, Rules())
            warmed.check(first)
            for row in rows:
                assert warmed.check(row) == fresh(headers, Rules()).check(row)


def test_memory_is_bounded() -> None:
    memory = Memory(str)
    for number in range(3 * MOST_REMEMBERED):
        assert memory[f"text {number}"] == f"text {number}"
    assert len(memory) <= MOST_REMEMBERED
    assert memory["x" * 1000] == "x" * 1000
    assert max(map(len, map(str, memory))) <= LONGEST_REMEMBERED
    bounds = [
        function.cache_info().maxsize
        for module in MODULES
        for function in vars(module).values()
        if hasattr(function, "cache_info")
    ]
    assert bounds
    assert None not in bounds


def test_rows_that_are_wrong_are_refused_with_the_same_words_each_time() -> None:
    headers = ("unique_showing_key", "showing_time_start", "showing_time_end", "rating")
    checker = Checker(map_headers(headers, "x.csv"), Rules())
    late = Row(2, ("ext_1", "2026-03-02T10:00:00Z", "2026-03-02T09:00:00Z", "4"))
    first, again = checker.check(late), checker.check(late)
    assert isinstance(first, Problem)
    assert first == again
    across = Row(3, ("ext_1", "2026-03-02T10:00:00+02:00", "2026-03-02T09:00:00Z", "4"))
    assert isinstance(checker.check(across), Record)
