"""The meaning of cells that hold no date or time."""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from math import floor
from typing import Any

import pytest
from email_validator import SPECIAL_USE_DOMAIN_NAMES
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.check.cells import (
    _PLAIN_DOMAIN,
    _PLAIN_LOCAL_PART,
    _SPECIAL_ENDS,
    HIGHEST_RATING,
    BadCell,
    _checked_address,
    _is_plain_domain,
    boolean,
    converted,
    failed_formula,
    kind_of_event,
    mail_address,
    number_in,
    phone_number,
    plain_text,
    rating,
    rating_on,
    whole_number,
)
from bulk_sync.check.patches import encoded
from bulk_sync.check.showing import ShowingPatch
from bulk_sync.model.problems import Expected, Remedy
from bulk_sync.model.rows import Cell, CellError, Record
from bulk_sync.quantities import Scale
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
        ("rating", "★ ★ ★ ☆ ☆", 3),
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
        ("feedback", "x" * 1_000_000, "x" * 1_000_000),
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


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        *((word, True) for word in ("y", "Y", "yes", "YES", "true", "TRUE", "1", "1.0", "x", "X")),
        *((word, True) for word in ("✓", "✔", "Interested", " y ", True, 1, 1.0)),
        *((word, False) for word in ("n", "N", "no", "No", "false", "FALSE", "0", "0.0", False)),
        *((word, False) for word in ("Not  interested", "not-interested", 0, 0.0)),
        *((word, None) for word in ("ye", "yn", "2", "-1", "maybe", "j", 2, 0.5, date(2026, 1, 1))),
    ],
)
def test_each_word_for_yes_or_no_and_no_other(cell: Cell, value: bool | None) -> None:
    if value is None:
        with pytest.raises(BadCell) as refused:
            boolean(cell)
        assert refused.value.expected is Expected.YES_OR_NO
    else:
        assert boolean(cell) is value


@given(st.integers(-50, 50), st.integers(1, 100))
def test_a_scale_is_converted_end_to_end_in_equal_steps_and_halves_go_up(
    low: int, steps: int
) -> None:
    scale = Scale(low, low + steps)
    values = [converted(low + step, scale) for step in range(steps + 1)]
    assert (values[0], values[-1]) == (1, 5)
    assert values == sorted(values)
    for step, value in enumerate(values):
        exact = 1 + Fraction(4 * step, steps)
        assert value == floor(exact + Fraction(1, 2))


RATED: list[tuple[Cell, int | None]] = [
    ("0/10", 1),
    (0, 1),
    ("10/10", 5),
    (10.0, 5),
    ("8", 4),
    ("8 of 10", 4),
    ("8.0/10.0", 4),
    ("8,0", 4),
    ("8 points", 4),
    ("7 pts", 4),
    ("★★★★★★★★☆☆", 4),
    ("★★★★★★★★", 4),
    ("8/5", None),
    ("80 %", None),
    ("8.5", None),
    ("-1", None),
    ("11", None),
    ("★★★☆☆", None),
    ("☆☆★★", None),
    ("good", None),
    (True, None),
    ("", None),
]


@pytest.mark.parametrize(("cell", "value"), RATED)
def test_a_rating_is_read_on_the_scale_that_the_user_names(cell: Cell, value: int | None) -> None:
    read = rating_on(Scale(0, 10))
    if value is None:
        with pytest.raises(BadCell) as refused:
            read(cell)
        assert refused.value.expected is Expected.RATING_ON_SCALE
        assert refused.value.reason("rating").facts == {"low": 0, "high": 10}
    else:
        assert read(cell) == value


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("8/10", (8.0, 10)),
        ("4", (4.0, None)),
        ("4,5", (4.5, None)),
        ("+3", (3.0, None)),
        ("90%", (90.0, 100)),
        ("90 %", (90.0, 100)),
        ("3 out of 4", (3.0, 4)),
        ("★★★★★★", (6.0, None)),
        ("★★★☆☆☆", (3.0, 6)),
        ("★ ★ ☆", (2.0, 3)),
        (3, (3.0, None)),
        (True, None),
        ("x4", None),
        ("4 of", None),
        ("☆★", None),
        (date(2026, 1, 1), None),
    ],
)
def test_the_number_of_a_cell_and_the_scale_that_it_names(
    cell: Cell, number: tuple[float, int | None] | None
) -> None:
    assert number_in(cell) == number


@pytest.mark.parametrize("cell", [1, 5, 1.0, 5.0, "1", "5", "★", "★★★★★", "⭐⭐", "1 star"])
def test_a_rating_reaches_both_its_ends(cell: Cell) -> None:
    expected = len(cell) if isinstance(cell, str) and cell[0] in "★⭐" else int(str(cell)[0])
    assert rating(cell) == expected
    assert HIGHEST_RATING == 5


@pytest.mark.parametrize("cell", [0, 6, -1, 1.5, "0", "6", True, "★" * 6, "★☆", date(2026, 1, 1)])
def test_a_number_beyond_the_ends_is_no_rating(cell: Cell) -> None:
    with pytest.raises(BadCell) as refused:
        rating(cell)
    assert refused.value.expected is Expected.RATING


ERRORS = (
    *("#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!", "#SPILL!", "#CALC!"),
    *("#FIELD!", "#BLOCKED!", "#UNKNOWN!", "#CONNECT!", "#BUSY!", "#GETTING_DATA", "#ERROR!"),
    *("Err:502", "Err:504", "Err:508", "Err:522"),
)


@pytest.mark.parametrize("text", ERRORS)
def test_what_a_failed_formula_shows_is_no_text(text: str) -> None:
    for read in (plain_text, phone_number):
        with pytest.raises(BadCell) as refused:
            read(text)
        assert refused.value.expected is Expected.NO_ERROR
    failed = failed_formula(text)
    assert failed is not None
    assert failed.expected is Expected.NO_ERROR
    assert failed_formula(f"{text} ") is None
    assert failed_formula(5) is None
    assert failed_formula(CellError(text)) is not None
    with pytest.raises(BadCell) as refused:
        plain_text(CellError(text))
    assert refused.value.expected is Expected.NO_ERROR


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("5550100.0", Expected.WHOLE_PHONE_NUMBER),
        ("+15550100.0", Expected.WHOLE_PHONE_NUMBER),
        ("1.5555E+10", Expected.PHONE_NUMBER),
        ("1,5E+9", Expected.PHONE_NUMBER),
        ("1.5555e10", Expected.PHONE_NUMBER),
        ("555-0100", None),
        ("555.0100", None),
        ("555.0", None),
        ("55501.00", None),
        ("Extension 5", None),
        (5550100, None),
    ],
)
def test_a_phone_number_that_a_program_has_changed_is_refused(
    cell: Cell, expected: Expected | None
) -> None:
    if expected is None:
        assert phone_number(cell) == str(cell)
    else:
        with pytest.raises(BadCell) as refused:
            phone_number(cell)
        assert refused.value.expected is expected


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("7", 7),
        ("7.0", 7),
        ("+7", 7),
        ("-2", -2),
        (7.0, 7),
        ("10", 10),
        ("-5", -5),
        ("11", None),
        ("-6", None),
        ("7.5", None),
        ("x7", None),
        ("7x", None),
        ("1.000", None),
        (7.5, None),
        (True, None),
    ],
)
def test_a_whole_number_lies_between_its_ends(cell: Cell, number: int | None) -> None:
    read = whole_number(-5, 10)
    if number is None:
        with pytest.raises(BadCell) as refused:
            read(cell)
        assert refused.value.expected is Expected.WHOLE_NUMBER
        assert refused.value.reason("rating").facts == {"low": -5, "high": 10}
    else:
        assert read(cell) == number


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a@example.com", None),
        ("a.b+c@mail.example.com", None),
        ("o'hara@example.com", None),
        (f"{'a' * 30}@{'.'.join(['b' * 40] * 3)}.{'c' * 12}", None),
        ("a@b@example.com", Expected.EMAIL),
        ("@example.com", Expected.EMAIL),
        ("a@example", Expected.EMAIL),
        ("a@printer.local", Expected.EMAIL),
        ("a@b.localhost", Expected.EMAIL),
        ("a@b.onion", Expected.EMAIL),
        ("a@b.test", Expected.EMAIL),
        ("a@b.invalid", Expected.EMAIL),
        ("a@b.arpa", Expected.EMAIL),
        ("nobody", Expected.EMAIL),
        ("jürgen@example.com", Expected.ASCII_EMAIL),
        ("a@exämple.com", Expected.ASCII_EMAIL),
        (5, Expected.EMAIL),
    ],
)
def test_which_texts_are_mail_addresses(text: Cell, expected: Expected | None) -> None:
    if expected is None:
        assert mail_address(text) == text
    else:
        with pytest.raises(BadCell) as refused:
            mail_address(text)
        assert refused.value.expected is expected


def test_an_address_has_at_most_254_characters() -> None:
    longest = f"{'a' * 64}@{'.'.join(['b' * 61] * 3)}.com"
    assert len(longest) == 254
    assert mail_address(longest) == longest
    # The second is one that needs no full check.
    label = f"{'c' * 40}-{'d' * 20}."
    for most, end in ((254, "eeeee"), (255, "eeeeee")):
        address = f"{'a' * 30}.{'b' * 15}.{'b' * 15}@{label * 3}{end}"
        assert len(address) == most
        if most == 254:
            assert mail_address(address) == address
        else:
            with pytest.raises(BadCell):
                mail_address(address)
    plain = f"{'a' * 30}.{'b' * 15}.{'b' * 15}@{label * 3}{'e' * 12}"
    for longer in (longest.replace(".com", ".info"), plain):
        assert len(longer) > 254
        with pytest.raises(BadCell):
            mail_address(longer)


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        ("Open House", "open_house"),
        ("open-house", "open_house"),
        ("OPEN_HOUSE", "open_house"),
        ("openhouse", "open_house"),
        ("Private Showing", "showing"),
        ("showing", "showing"),
        ("tour", None),
        (5, None),
    ],
)
def test_the_kinds_of_events(cell: Cell, kind: str | None) -> None:
    if kind is None:
        with pytest.raises(BadCell):
            kind_of_event(cell)
    else:
        assert kind_of_event(cell) == kind
