"""The short way of rows gives what the full way gives, and leaves to it what is not written as
usual.
"""

from __future__ import annotations

from datetime import UTC, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bulk_sync.check.cells import is_plain_address
from bulk_sync.check.headers import map_headers
from bulk_sync.check.moments import _EXACT, exact, text_of_instant
from bulk_sync.check.rows import READERS, Checker
from bulk_sync.check.rules import Rules
from bulk_sync.check.showing import INSTANTS, ShowingPatch
from bulk_sync.check.usual import Instants, MailAddresses, _keep
from bulk_sync.model.rows import Cell, CellError, Problem, Record, Row

HEADERS = (*ShowingPatch.model_fields, "showing_id")
ID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"


def checkers(*headers: str, **rules: Any) -> tuple[Checker, Checker]:
    """One that goes the short way where it can, and one that never does."""
    mapping = map_headers(headers, "x.csv")
    usual, full = Checker(mapping, Rules(**rules)), Checker(mapping, Rules(**rules))
    full._usual = None
    return usual, full


TEXTS: list[Cell] = [
    "Fine",
    "",
    "Nice\t",
    "ext",
    "#1",
    "#N/A",
    "Err:502",
    "E",
    "=1+1",
    '="12"',
    'a "b" \\ c',
    "x\ny",
]
MOMENTS: list[Cell] = [
    "2026-03-02T09:00:00Z", "", "2026-03-02 09:00:00+00:00", "2026-03-02T09:00:00-05:00", "2026-03-02T09:30:00+05:75",
    "2026-03-02T24:00:00Z", "2026-02-30T09:00:00Z", "0000-01-01T00:00:00Z", "2026-03-02", "9:30", "3/2/2026 9:00",
    "3/8/2026 2:30 AM", "2026-11-01 01:30", "14.03.2026 16:30",
]  # fmt: skip
CELLS: dict[str, list[Cell]] = dict.fromkeys(INSTANTS, MOMENTS) | {
    "unique_showing_key": [
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
    ],
    "showing_id": [ID, "", ID.upper(), f" {ID}", "17"],
    "attendee_email": [
        "a.b@example.com",
        "",
        "A@B.CO",
        "a@b.invalid",
        "a@b@c.de",
        "ä@x.de",
        "a..b@x.de",
    ],
    "attendee_phone": ["(312) 555-0100", "", "1.31256E+10", "1.5e10", "=312", '="312"'],
    "rating": ["4", "", " 4", "4/5", "★★", "8/10"],
    "interested": ["no", "", "Yes", "maybe"],
    "event_type": ["showing", "", "Open House", "party"],
    "attendees_count": ["0", "", "2.0", "-1"],
}
"""Cells of each field; the first two are usual ones."""

ODD = st.one_of(
    st.sampled_from([*TEXTS, *MOMENTS, "  ", 4.0, True, CellError("#REF!")]), st.text(max_size=8)
)


ZONES = st.sampled_from(
    [None, UTC, *map(ZoneInfo, ("America/Chicago", "Europe/London", "Asia/Kolkata"))]
)


def usual_cell(field: str) -> st.SearchStrategy[Cell]:
    return st.sampled_from(CELLS.get(field, TEXTS)[:2])


def any_cell(field: str) -> st.SearchStrategy[tuple[int, Cell]]:
    return st.tuples(
        st.just(HEADERS.index(field)), st.one_of(st.sampled_from(CELLS.get(field, TEXTS)), ODD)
    )


ROWS = st.lists(
    st.tuples(
        st.tuples(*map(usual_cell, HEADERS)),
        st.lists(st.sampled_from(HEADERS).flatmap(any_cell), max_size=2),
        st.sampled_from([(), (), (), ("",), ("x",), (0.0,), None]),
        st.sampled_from([None, None, None, None, "not to be trusted"]),
    ),
    min_size=1,
    max_size=6,
)
"""For each row: usual cells, others in the place of some, cells beyond (None: one too few), a
fault.
"""


@given(
    ROWS,
    st.permutations(range(len(HEADERS))),
    st.integers(2, len(HEADERS)),
    st.sampled_from(["mdy", "dmy"]),
    ZONES,
)
def test_the_short_way_and_the_full_way_say_the_same(
    rows: list[
        tuple[tuple[Cell, ...], list[tuple[int, Cell]], tuple[Cell, ...] | None, str | None]
    ],
    order: list[int],
    width: int,
    dates: str,
    zone: tzinfo | None,
) -> None:
    headers = tuple(HEADERS[place] for place in order[:width])
    if not {"unique_showing_key", "showing_id"} & set(headers):
        return
    usual, full = checkers(*headers, order=dates, timezone=zone)
    for number, (usual_cells, others, beyond, fault) in enumerate(rows * 2, start=2):
        by_place = dict(enumerate(usual_cells)) | dict(others)
        cells = tuple(by_place[place] for place in order[:width])
        row = Row(number, cells[:-1] if beyond is None else cells + beyond, fault)
        assert usual.check(row) == full.check(row)
    assert usual.findings == full.findings


@given(st.text(max_size=30), st.text(max_size=30))
@example("\x00\b\f\r\t\x1f", '"\\/\x7f\x80\u2028\U0001f600')
def test_any_text_is_written_the_same_way(feedback: str, title: str) -> None:
    usual, full = checkers("unique_showing_key", "feedback", "title")
    row = Row(2, ("ext_1", feedback, title))
    assert usual.check(row) == full.check(row)


def test_rows_as_people_write_them_go_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    usual, _ = checkers(
        "unique_showing_key",
        "showing_date",
        "attendee_email",
        "attendee_phone",
        "feedback",
        "rating",
    )
    first = usual.check(
        Row(2, ("ext_1", "2026-03-02T09:00:00Z", "a@example.com", "312", "Fine", "4"))
    )
    assert isinstance(first, Record)
    monkeypatch.setattr(usual, "_check", None)
    later = usual.check(
        Row(3, ("ext_2", "2026-03-03T09:30:00-05:00", "b@example.org", "", "Nice", "4", "", ""))
    )
    assert isinstance(later, Record)
    assert later.body == (
        '{"showing_date":"2026-03-03T09:30:00-05:00","attendee_email":"b@example.org","feedback":"Nice","rating":4}'
    )
    assert usual.findings.filled["unique_showing_key"] == 2
    assert usual.findings.filled["attendee_phone"] == 1


def test_where_cells_can_clear_a_field_every_row_goes_the_full_way() -> None:
    mapping = map_headers(("unique_showing_key", "feedback"), "x.csv")
    for rules in (Rules(clear={"feedback": "-"}), Rules(blank_clears=frozenset({"feedback"}))):
        found = [
            Checker(mapping, rules).check(Row(2, ("ext_1", cell))) for cell in ("-", "", "Fine")
        ]
        assert [one.body if isinstance(one, Record) else one.code for one in found] == (
            ['{"feedback":null}', "nothing_to_send", '{"feedback":"Fine"}']
            if rules.clear
            else ['{"feedback":"-"}', '{"feedback":null}', '{"feedback":"Fine"}']
        )


def test_text_that_is_sent_as_it_stands_needs_no_validation() -> None:
    """The short way doesn't ask the model about texts: it would take any."""
    properties = ShowingPatch.model_json_schema()["properties"]
    texts = set(READERS) - {"rating", "interested", "event_type", "attendees_count"}
    for field in (*texts, *INSTANTS, "unique_showing_key"):
        assert properties[field]["anyOf"] == [{"type": "string"}, {"type": "null"}], field


PIECES = st.tuples(
    st.sampled_from(
        ["2026-03-02", "2026-02-29", "2024-02-29", "9999-12-31", "0001-01-01", "0000-01-01"]
    ),
    st.sampled_from(
        ["T09:00:00", " 23:59:59", "T24:00:00", "T23:59:60", "T00:00:00", "T09:00", "t09:00:00"]
    ),
    st.sampled_from(
        ["Z", "+00:00", "-00:00", "-05:00", "+05:75", "+24:00", "-23:59", "", "z", "+0530"]
    ),
)


@given(
    st.lists(
        st.one_of(PIECES.map("".join), st.from_regex(_EXACT, fullmatch=True)),
        min_size=1,
        max_size=12,
    )
)
def test_instants_read_by_their_pieces_are_those_of_the_whole(texts: list[str]) -> None:
    instants = Instants(Rules(timezone=None))
    for text in texts * 2:
        whole = exact(text)
        assert instants.read(text) == (None if whole is None else text_of_instant(whole))


DAYS = st.sampled_from(
    [
        *(
            "3/14/2026",
            "03/08/2026",
            "11/1/2026",
            "3/8/26",
            "13/3/2026",
            "2/30/2026",
            "12/31/9999",
            "1/1/0001",
        ),
        *(
            "2026-03-14",
            "2026-11-01",
            "2026-02-29",
            "14.03.2026",
            "3.4.2026",
            "3-4-2026",
            "2026/3/14",
            "Mar 3 2026",
        ),
        *("1/1/1850", "26-3-4", "", "4:30", "2026-03-14T"),
    ]
)
TIMES = st.sampled_from(
    [
        *(
            "4:30 PM",
            "4:30pm",
            "4:30",
            "04:30",
            "1:30 AM",
            "2:30 AM",
            "02:30",
            "16:30:15",
            "12:00 AM",
            "24:00",
        ),
        *(
            "13:00 PM",
            "4:30 PM EST",
            "16:30Z",
            "16:30-17:30",
            "4 PM",
            "16:30:15.5",
            "",
            "4:30\u202fPM",
            "9:00 a.m.",
        ),
    ]
)


@given(
    st.lists(
        st.tuples(DAYS, st.sampled_from([" ", " ", " ", "  ", ", ", "T"]), TIMES),
        min_size=1,
        max_size=8,
    ),
    ZONES,
    st.sampled_from(["mdy", "dmy", "ymd"]),
    st.booleans(),
)
def test_times_without_an_offset_are_read_and_assumed_alike(
    pieces: list[tuple[str, str, str]], zone: tzinfo | None, order: str, told: bool
) -> None:
    headers = ("unique_showing_key", "showing_date", "showing_time_start", "showing_time_end")
    usual, full = checkers(*headers, timezone=zone, order=order, order_told=told)
    texts = ["".join(piece) for piece in pieces] * 2
    for number, (one, other) in enumerate(zip(texts, texts[::-1], strict=True), start=2):
        for cells in ((one, "", ""), ("", one, one), (one, one, other)):
            row = Row(number, ("ext_1", *cells))
            assert usual.check(row) == full.check(row)
    assert usual.findings == full.findings


def test_dates_as_spreadsheet_programs_write_them_go_the_short_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual, _ = checkers("unique_showing_key", "showing_date", timezone=ZoneInfo("America/Chicago"))
    monkeypatch.setattr(usual, "_check", None)
    found = usual.check(Row(2, ("ext_1", "3/4/2026 4:30 PM")))
    assert isinstance(found, Record)
    assert found.body == '{"showing_date":"2026-03-04T16:30:00-06:00"}'
    assert {kind: seen.count for kind, seen in usual.findings.assumed.items()} == {
        "order": 1,
        "timezone": 1,
    }


def test_what_was_assumed_of_a_row_that_went_the_full_way_counts_once() -> None:
    usual, full = checkers(
        "unique_showing_key", "showing_date", "rating", timezone=ZoneInfo("America/Chicago")
    )
    for number, rating in enumerate(("8/10", "4", "4", "9/10", "4"), start=2):
        row = Row(number, ("ext_1", "3/4/2026 4:30", rating))
        assert usual.check(row) == full.check(row)
    assert usual.findings == full.findings
    assert usual.findings.assumed["early"].count == 5


LOCAL = st.sampled_from(["a", "a.b", "a..b", "", "a" * 31, "a@b", "ana+x_1", ".a", "ä"])
DOMAIN = st.sampled_from(
    ["example.com", "b.de", "b.invalid", "b", "-b.com", "b.com@b.com", "", "example.com "]
)


@given(st.lists(st.tuples(LOCAL, DOMAIN), min_size=1, max_size=12))
def test_mail_addresses_with_a_known_domain_are_those_of_the_whole(
    pieces: list[tuple[str, str]],
) -> None:
    addresses = MailAddresses()
    for local, domain in pieces * 2:
        address = f"{local}@{domain}"
        assert addresses.read(address) == (address if is_plain_address(address) else None)


def test_what_is_kept_is_bounded() -> None:
    kept: dict[str, str] = {}
    for number in range(10_000):
        _keep(kept, str(number), "x")
    assert len(kept) <= 4096
    assert "9999" in kept


def test_a_row_that_is_wrong_is_told_as_ever() -> None:
    usual, full = checkers("unique_showing_key", "showing_time_start", "showing_time_end", "rating")
    row = Row(2, ("ext_1", "2026-03-02T10:00:00Z", "2026-03-02T09:00:00Z", "4"))
    found = usual.check(row)
    assert isinstance(found, Problem)
    assert found == full.check(row)
    across = Row(3, ("ext_1", "2026-03-02T10:00:00+02:00", "2026-03-02T09:00:00Z", "4"))
    assert isinstance(usual.check(across), Record)
    assert usual.check(across) == full.check(across)
