"""The decision on each reply of the table, and on anything else that a 2xx may hold."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.send.acknowledgement import Acknowledged, NotAcknowledged, acknowledgement
from bulk_sync.send.messages import api_message
from bulk_sync.send.transport.interface import Reply
from tests.replies import CONTRACT, REPLIES, TOO_HIGH, check, seen_of


@pytest.mark.parametrize("name", REPLIES)
def test_the_decision_is_the_tables(name: str) -> None:
    check(REPLIES[name], seen_of(REPLIES[name]))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "error", "errors", "message", "success", "status", "id"])
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(status=st.integers(200, 299), found=JSON)
def test_only_an_object_with_data_and_without_errors_acknowledges(
    status: int, found: object
) -> None:
    answer = acknowledgement(Reply(status, {}, json.dumps(found).encode()), "ext_1", "{}")
    if isinstance(answer, Acknowledged):
        assert isinstance(found, dict)
        assert isinstance(found["data"], dict)
        assert not found.get("error")
        assert not found.get("errors")
        assert found.get("success") is not False
    else:
        assert answer.why.startswith(str(status))
        assert answer.refusal is None or 0 < len(answer.refusal) <= 300


@given(JSON)
def test_errors_next_to_data_take_the_acknowledgement_away(errors: object) -> None:
    body = json.dumps({**CONTRACT, "errors": errors}).encode()
    answer = acknowledgement(Reply(200, {}, body), "ext_1", "{}")
    assert isinstance(answer, NotAcknowledged) == bool(errors)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"message": "Validation Failed", "errors": [{"code": "missing"}]}, "Validation Failed"),
        ({"type": "about:blank", "title": "Invalid", "detail": TOO_HIGH}, TOO_HIGH),
        ({"error": {"message": TOO_HIGH, "param": "rating"}}, TOO_HIGH),
        ({"error": {"message": "is too high", "param": "rating"}}, "rating: is too high"),
        ({"errors": [{"field": "rating", "message": "is too high"}]}, "rating: is too high"),
        (
            {"message": "The given data was invalid.", "errors": {"rating": ["is too high"]}},
            "rating: is too high",  # Laravel
        ),
        (
            {"title": "One or more validation errors occurred.", "errors": {"title": ["too long"]}},
            "title: too long",  # ASP.NET; `title` is a field of a showing, too
        ),
        (
            {
                "error": "RecordInvalid",
                "description": "Record validation errors",
                "details": {"rating": [{"description": "is too high"}]},
            },
            "rating: is too high",  # Zendesk
        ),
        (
            {"errorSummary": "Api validation failed", "errorCauses": [{"errorSummary": TOO_HIGH}]},
            TOO_HIGH,  # Okta
        ),
        (
            [{"message": TOO_HIGH, "errorCode": "X"}, {"message": "and more"}],
            f"{TOO_HIGH}; and more",
        ),
        (
            {"errors": [{"detail": "too high", "source": {"pointer": "/data/attributes/rating"}}]},
            "rating: too high",  # JSON:API
        ),
        (
            {"status": 400, "error": "Bad Request", "message": TOO_HIGH, "path": "/v1/showings/x"},
            TOO_HIGH,  # Spring
        ),
        (
            {"title": "Invalid", "invalid-params": [{"name": "rating", "reason": "too high"}]},
            "Invalid",
        ),
        ({"code": 20001, "message": TOO_HIGH, "more_info": "x", "status": 400}, TOO_HIGH),  # Twilio
        ({"error": {"code": "invalid"}}, "status 422"),
        ({"errors": [[[[[[[[[TOO_HIGH]]]]]]]]]}, "status 422"),
        ({"errors": [f"{number}" for number in range(100)]}, "0; 1; 2"),
        ({"errors": {"message": 5, "rating": [7]}}, "status 422"),
    ],
)
def test_the_message_of_an_error_is_found_in_its_usual_places(body: object, message: str) -> None:
    assert api_message(Reply(422, {}, json.dumps(body).encode())) == message


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (b"Bad rating", "text/plain", "Bad rating"),
        (b"Bad\n rating\n", "text/plain; charset=utf-8", "Bad rating"),
        (b"<html>Bad rating</html>", "text/plain", "status 400"),
        (b"Bad rating", "text/html", "status 400"),
        (b"Bad \x00 rating", "text/plain", "status 400"),
        (b"\xff", "text/plain", "status 400"),
        (b"x" * 301, "text/plain", "status 400"),
        (b" ", "text/plain", "status 400"),
    ],
)
def test_a_short_text_is_a_message_and_a_page_is_none(body: bytes, kind: str, message: str) -> None:
    assert api_message(Reply(400, {"content-type": kind}, body)) == message


@given(st.integers(400, 599), JSON)
def test_an_error_always_has_a_message_of_one_line(status: int, found: object) -> None:
    message = api_message(Reply(status, {}, json.dumps(found).encode()))
    assert 0 < len(message) <= 300
    assert len(message.splitlines()) == 1
