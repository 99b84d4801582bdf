"""Fields of text take what a cell shows, fields of numbers the number; see `check.formatted`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.model.rows import Cell, Formatted
from bulk_sync.read.books.styles import number_as_shown
from tests.unit.checking import patch, problem, words

PHONE = "[<=9999999]###-####;(###) ###-####"


@pytest.mark.parametrize(
    ("field", "cell", "sent"),
    [
        ("attendee_phone", Formatted(3125550100.0, PHONE, "(312) 555-0100"), "(312) 555-0100"),
        ("attendee_phone", Formatted(5550100.0, "0000-0000", "0555-0100"), "0555-0100"),
        ("feedback", Formatted(12.5, "0.00", "12.50", is_local=True), "12.50"),
        ("feedback", Formatted("fine", '"- "@', "- fine"), "- fine"),
        ("rating", Formatted(4.0, '0" stars"', "4 stars"), 4),
        ("rating", Formatted(4.0, "0.00", "4.00", is_local=True), 4),
        ("rating", Formatted(4.0, "00", "04"), 4),
        ("rating", Formatted(4.0, '0 "of 5"', "4 of 5"), 4),
        ("rating", Formatted(4.0, "# ?/?", None), 4),
        ("attendees_count", Formatted(1200.0, "#,##0", "1,200", is_local=True), 1200),
        ("attendees_count", Formatted(1200.0, "", "1.200", is_local=True), 1200),
        ("attendees_count", Formatted(1200.0, "", "1\u202f200,00", is_local=True), 1200),
        ("rating", Formatted(4.0, "", "4,00", is_local=True), 4),
        ("interested", Formatted(1.0, '"Yes";;"No"', "Yes"), True),
        ("interested", Formatted(0.0, '"Yes";;"No"', "No"), False),
        ("interested", Formatted(1.0, '"No";;"Yes"', "No"), False),
        ("showing_date", Formatted(20260314.0, "0000-00-00", "2026-03-14"), None),
    ],
)
def test_a_field_takes_what_is_shown(field: str, cell: Cell, sent: object) -> None:
    if field == "showing_date":
        found = patch(showing_date=cell, showing_time_start=Formatted(1630.0, "00\\:00", "16:30"))
        assert found["showing_time_start"] == "2026-03-14T16:30:00-05:00"
        return
    assert patch(**{field: cell}) == {field: sent}


@pytest.mark.parametrize(
    ("field", "cell", "message"),
    [
        ("attendee_phone", Formatted(0.5, "# ?/?", None), "(the cell holds 0.5 as '# ?/?')"),
        ("feedback", Formatted(5.0, "yyyy", None), "format the cells as text and enter it again"),
        ("rating", Formatted(0.04, "0%", "4%"), "'4%' is not the number behind it"),
        ("rating", Formatted(4000.0, "0,", "4"), "'4' is not the number behind it"),
        ("attendees_count", Formatted(3.0, '"1"0', "13"), "(the cell holds 3 as '\"1\"0')"),
        ("attendees_count", Formatted(1200.0, "", "1,2", is_local=True), "(the cell holds 1200"),
        ("rating", Formatted(3.6, "0", "4"), "(the cell holds 3.6 as '0')"),
    ],
)
def test_what_is_shown_and_what_is_held_must_agree(field: str, cell: Cell, message: str) -> None:
    """A number counts only with the digits that the cell shows."""
    assert message in words(problem(**{field: cell}))


@pytest.mark.parametrize("field", ["rating", "feedback", "attendee_phone", "interested"])
def test_a_cell_that_shows_nothing_is_blank(field: str) -> None:
    cells: dict[str, Cell] = {field: Formatted(4.0, ";;;", ""), "title": "Open"}
    assert patch(**cells) == {"title": "Open"}


CODES = ("0", "00000", "#,##0", "0.00", '"SH-"0', "0%", ";;;", "# ?/?", "General", '0" stars"')


@given(number=st.integers(0, 10**9), code=st.sampled_from(CODES))
def test_a_count_is_the_number_that_is_held_and_shown(number: int, code: str) -> None:
    """Or the row is refused, or the cell shows nothing."""
    number %= 1000
    cell = number_as_shown(float(number), code)
    if code == "0%":
        assert number == 0 or problem(attendees_count=cell).code == "bad_value"
    elif code == ";;;":
        assert patch(attendees_count=cell, title="x") == {"title": "x"}
    else:
        assert patch(attendees_count=cell) == {"attendees_count": number}
