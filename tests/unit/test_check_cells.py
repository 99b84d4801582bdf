"""The meaning of cells that hold no date or time."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from email_validator import SPECIAL_USE_DOMAIN_NAMES
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.check.cells import (
    _PLAIN_DOMAIN,
    _PLAIN_LOCAL_PART,
    _SPECIAL_ENDS,
    _checked_address,
    _is_plain_domain,
)
from bulk_sync.check.patches import encoded
from bulk_sync.check.showing import ShowingPatch
from bulk_sync.model.problems import Expected, Remedy
from bulk_sync.model.rows import Cell, CellError, Record
from tests.unit.checking import checked, patch, problem, words


@pytest.mark.parametrize(
    ("field", "cell", "value"),
    [
        ("rating", "4", 4),
        ("rating", " 5 ", 5),
        ("rating", "4.0", 4),
        ("rating", "4,0", 4),
        ("rating", "04", 4),
        ("rating", "4,000", None),
        ("rating", 4.0, 4),
        ("rating", 4, 4),
        ("rating", "4/5", 4),
        ("rating", "4 / 5.0", 4),
        ("rating", "4 out of 5", 4),
        ("rating", "3 Stars", 3),
        ("rating", "1 star", 1),
        ("rating", "★★★★", 4),
        ("rating", "★★★☆☆", 3),
        ("rating", "⭐️⭐️", 2),
        ("rating", "★★★☆", None),
        ("rating", "★★★★★★", None),
        ("rating", "0", None),
        ("rating", "6", None),
        ("rating", "4.5", None),
        ("rating", 4.5, None),
        ("rating", True, None),
        ("rating", "8/10", None),
        ("rating", "4/10", None),
        ("rating", "five", None),
        ("rating", "٤", None),
        ("rating", "#N/A", None),
        ("rating", CellError("#REF!"), None),
        ("rating", date(2026, 4, 5), None),
        ("rating", "9" * 5000, None),
        ("attendees_count", "0", 0),
        ("attendees_count", "2.0", 2),
        ("attendees_count", 3.0, 3),
        ("attendees_count", "-1", None),
        ("attendees_count", "2 people", None),
        ("attendees_count", float("nan"), None),
        ("interested", "true", True),
        ("interested", "False", False),
        ("interested", "YES", True),
        ("interested", "n", False),
        ("interested", "x", True),
        ("interested", "1", True),
        ("interested", 0.0, False),
        ("interested", False, False),
        ("interested", "Not  Interested", False),
        ("interested", "Interested", True),
        ("interested", "maybe", None),
        ("interested", "ja", None),
        ("event_type", "open_house", "open_house"),
        ("event_type", "Open House", "open_house"),
        ("event_type", "open-house\xa0", "open_house"),
        ("event_type", "Private Showing", "showing"),
        ("event_type", "closed house", None),
        ("event_type", 1.0, None),
        ("attendee_email", "Ana.Abara@Example.com", "Ana.Abara@Example.com"),
        ("attendee_email", "o'hara!x@example.com", "o'hara!x@example.com"),
        ("attendee_email", "ana(at)example.com", None),
        ("attendee_email", "ana@example", None),
        ("attendee_email", "ana@example.invalid", None),
        ("attendee_email", "anä@example.com", None),
        ("attendee_email", 3.0, None),
        ("attendee_phone", "+1 (312) 555-0100 ext. 7", "+1 (312) 555-0100 ext. 7"),
        ("attendee_phone", 13125550100.0, "13125550100"),
        ("attendee_phone", '="13125550100"', "13125550100"),
        ("feedback", '="00123"', '="00123"'),
        ("rating", '="4"', 4),
        ("attendee_phone", "1.31256E+10", None),
        ("attendee_phone", "1.5551234567E10", None),
        ("feedback", "  two\nlines ", "two\nlines"),
        ("feedback", "=1+1", "=1+1"),
        ("feedback", "#1 choice", "#1 choice"),
        ("feedback", "#REF!", None),
        ("feedback", "Excellent", "Excellent"),
        ("feedback", 4.5, "4.5"),
        ("feedback", True, "TRUE"),
        ("feedback", 4.89290024005183e17, None),
        ("feedback", date(2026, 3, 4), None),
        ("feedback", "x" * 1_000_001, None),
        ("title", "null", "null"),
    ],
)
def test_cells(field: str, cell: Cell, value: object) -> None:
    if value is None:
        found = problem(**{field: cell})
        assert found.code == "bad_value"
        assert [reason.field for reason in found.reasons] == [field]
    else:
        assert patch(**{field: cell}) == {field: value}


def test_a_rating_on_another_scale_says_how_it_is_converted() -> None:
    (reason,) = problem(rating="8/10").reasons
    assert (reason.expected, reason.remedy) == (Expected.RATING, Remedy.CONVERT_RATING)
    assert "--scale 10" in words(problem(rating="8/10"))


@given(
    st.from_regex(_PLAIN_LOCAL_PART, fullmatch=True), st.from_regex(_PLAIN_DOMAIN, fullmatch=True)
)
def test_plain_mail_addresses_are_some_that_the_full_check_accepts(local: str, domain: str) -> None:
    if _is_plain_domain(domain):
        address = f"{local}@{domain}"
        assert _checked_address.__wrapped__(address) == address


def test_a_domain_of_special_use_is_left_to_the_full_check() -> None:
    assert {name.rpartition(".")[2] for name in SPECIAL_USE_DOMAIN_NAMES} == _SPECIAL_ENDS


VALUES = st.one_of(
    st.text(max_size=12),
    st.floats(allow_nan=True),
    st.booleans(),
    st.sampled_from(["4", "4/5", "yes", "Open House", "a@b.de", "3/14/2026 16:30", "-", ""]),
)


@given(st.sampled_from(sorted(ShowingPatch.model_fields)), VALUES)
def test_whatever_a_cell_holds_its_value_is_one_that_the_contract_allows(
    field: str, cell: Cell
) -> None:
    """Values are not validated row by row: their readers give no others."""
    found = checked({"clear": {field: {"-"}}}, **{field: cell})
    if isinstance(found, Record):
        ShowingPatch.model_validate_json(found.body)


@given(st.text(max_size=30), st.booleans() | st.none(), st.integers(-(2**63), 2**63 - 1))
def test_a_body_is_the_text_that_its_digest_always_named(
    text: str, interested: bool | None, count: int
) -> None:
    """Digests in ledgers are of the JSON that pydantic writes."""
    values: dict[str, Any] = {"feedback": text, "interested": interested, "attendees_count": count}
    model = ShowingPatch.model_construct(**values)
    assert encoded(values)[0] == model.model_dump_json(exclude_unset=True)
