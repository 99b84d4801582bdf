"""Values that a reply echoes, compared with those that were sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bulk_sync.check.showing import FIELDS as OF_A_PATCH
from bulk_sync.check.showing import KEY_COLUMN, REPORT_COLUMN
from bulk_sync.model.rows import Echo
from bulk_sync.send.acknowledgement import Acknowledged, acknowledgement
from bulk_sync.send.echo import FIELDS, Echoed, differing_echoes
from bulk_sync.send.transport.interface import Reply

DATE = "2026-03-02T09:00:00-06:00"


def compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def of_reply(data: dict[str, Any], sent: dict[str, Any], status: int = 200) -> Acknowledged:
    body = json.dumps({"data": data}).encode()
    found = acknowledgement(Reply(status, {}, body), "ext_1", compact(sent))
    assert isinstance(found, Acknowledged)
    return found


# Field, what was sent, what came back.
SAME = [
    ("feedback", "Fine", "Fine"),
    ("showing_date", DATE, DATE),
    ("showing_date", DATE, "2026-03-02T15:00:00Z"),
    ("showing_date", DATE, "2026-03-02T15:00:00.000Z"),
    ("scheduled_date", DATE, "2026-03-02 16:00:00+01:00"),
    ("showing_time_end", DATE, "2026-03-02T15:00:00+00:00"),
    ("rating", 4, 4),
    ("rating", 4, 4.0),
    ("rating", 4, "4"),
    ("attendees_count", 0, "0.0"),
    ("interested", True, True),
    ("interested", False, "false"),
    ("interested", True, 1),
    ("title", "12", 12),
    ("feedback", None, None),
    ("feedback", None, ""),
    ("attendee_email", "Ann@Example.com", "ann@example.com"),
    ("attendee_phone", "+1 (303) 555-0100", "+13035550100"),
    ("event_type", "open_house", "open_house"),
]
OTHER = [
    ("feedback", "Too dark for the family", "Too dark"),
    ("feedback", "Fine", "Fine "),
    ("feedback", "Fine", "fine"),
    ("feedback", "Fine", ""),
    ("feedback", "Fine", None),
    ("feedback", None, "kept"),
    ("feedback", "Fine", 5),
    ("feedback", "1", True),
    ("feedback", "Fine", ["Fine"]),
    ("feedback", "Fine", {"text": "Fine"}),
    ("showing_date", DATE, "2026-03-02T15:00:01Z"),
    ("showing_date", DATE, "2026-03-02T09:00:00Z"),
    ("showing_date", DATE, "2026-03-02T09:00:00"),  # without a zone
    ("showing_date", DATE, "2026-03-02"),
    ("showing_date", DATE, "soon"),
    ("showing_date", DATE, 1772463600),
    ("showing_date", DATE, None),
    ("showing_date", None, DATE),
    ("rating", 4, 5),
    ("rating", 1, True),
    ("rating", 4, "four"),
    ("rating", 4, None),
    ("attendees_count", 12, 1),
    ("interested", True, False),
    ("interested", True, "false"),
    ("interested", False, None),
    ("attendee_email", "ann@example.com", "an@example.com"),
    ("attendee_phone", "303 555 0100", "303 555 0101"),
    ("attendee_phone", "ext", ""),
    ("title", "Open house", "Open House"),
]


@pytest.mark.parametrize(("field", "sent", "echoed"), SAME)
def test_a_value_in_other_words_is_the_same(field: str, sent: object, echoed: object) -> None:
    assert of_reply({field: echoed}, {field: sent, "agent_name": "Bo"}).echoes == ()


@pytest.mark.parametrize(("field", "sent", "echoed"), OTHER)
def test_another_value_is_reported(field: str, sent: object, echoed: object) -> None:
    (echo,) = of_reply({"id": "u-1", field: echoed}, {"agent_name": "Bo", field: sent}).echoes
    if isinstance(echoed, list | dict):
        echoed = "[...]" if isinstance(echoed, list) else "{...}"
    assert echo == Echo(field, sent, echoed)


def test_all_fields_of_a_row_are_compared() -> None:
    sent = {"showing_date": DATE, "feedback": "Fine", "rating": 4, "interested": True}
    echoed = {"feedback": "Fi", "rating": 4, "interested": False, "showing_date": DATE}
    echoes = of_reply(echoed, sent).echoes
    assert echoes == (Echo("feedback", "Fine", "Fi"), Echo("interested", True, False))


@given(st.text(), st.text())
@example('":\\', '"feedback":"Fine')
@example('Fine","feedback":"Bad', "Bad")
def test_a_text_is_compared_as_a_value_whatever_is_in_it(sent: str, echoed: str) -> None:
    assert (of_reply({"feedback": echoed}, {"feedback": sent}).echoes == ()) == (sent == echoed)


VALUES = st.none() | st.booleans() | st.integers(0, 30) | st.text('a1"\\:,{}', max_size=4)
PATCHES = st.dictionaries(st.sampled_from(FIELDS), VALUES)


@given(sent=PATCHES, echoed=PATCHES)
@example(sent={"attendees_count": 12}, echoed={"attendees_count": 1})
def test_a_difference_is_found_wherever_it_is(sent: dict[str, Any], echoed: dict[str, Any]) -> None:
    found = {echo.field for echo in differing_echoes(Echoed(**echoed), compact(sent))}
    alone = {
        field
        for field in sent.keys() & echoed.keys()
        if differing_echoes(Echoed(**{field: echoed[field]}), compact({field: sent[field]}))
    }
    assert found == alone
    assert not any(echoed[field] == sent[field] for field in found if sent[field] not in (0, 1))


def test_a_field_that_was_not_sent_says_nothing() -> None:
    for data in ({"feedback": "old"}, {"showing_date": DATE}, {"title": None}):
        assert of_reply(data, {"rating": 4}).echoes == ()


def test_every_field_that_is_sent_is_compared() -> None:
    assert set(FIELDS) == {*OF_A_PATCH, KEY_COLUMN, REPORT_COLUMN}


def test_a_created_showing_is_compared_with_its_creation() -> None:
    report = "3C90C3CC-0d44-4b50-8888-8dd25736052a"
    sent = {"feedback": "Fine", "unique_showing_key": "ext_1", "report_id": report}
    assert of_reply({**sent, "report_id": report.lower()}, sent, status=201).echoes == ()
    (echo,) = of_reply({**sent, "report_id": "another"}, sent, status=201).echoes
    assert echo == Echo("report_id", report, "another")


def test_what_is_kept_is_bounded_and_can_be_written() -> None:
    (echo,) = of_reply({"feedback": "x" * 500_000}, {"feedback": "Fine"}).echoes
    assert isinstance(echo.came_back, str)
    assert len(echo.came_back) < 100
    body = b'{"data": {"feedback": "a\\u0000b\\ud800"}}'
    found = acknowledgement(Reply(200, {}, body), "ext_1", '{"feedback":"Fine"}')
    assert isinstance(found, Acknowledged)
    (echo,) = found.echoes
    assert echo.came_back == "a\u2400b\\ud800"
