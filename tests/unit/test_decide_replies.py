"""The meaning of a reply apart from its row: in doubt, a block, a limit, a sign of the API."""

from __future__ import annotations

import pytest

from bulk_sync.model.rows import GivenUp
from bulk_sync.send.acknowledgement import Acknowledged
from bulk_sync.send.decide import (
    Blocked,
    RetryIn,
    RowFailed,
    block_text,
    contradicted,
    decide,
    is_block,
    is_throttled,
    may_come_from_api,
    may_have_been_applied,
    pace_kind,
    shows_api_is_up,
    wait_of_all,
)
from bulk_sync.send.transport.interface import Failure, Reply
from tests.unit.deciding import (
    CAUTIOUS,
    FIRST,
    LAST,
    LATER,
    OWN_REFUSAL,
    POLICY,
    SENT,
    cautiously,
    decided,
)


@pytest.mark.parametrize(
    ("seen", "kind"),
    [
        (Reply(200, {}, b""), "through"),
        (Reply(404, {}, b""), "through"),
        (Reply(429, {}, b""), "throttled"),
        (Reply(503, {"retry-after": "1"}, b""), "throttled"),
        (Reply(503, {}, b""), "busy"),
        (Reply(500, {}, b""), "other"),
        (Failure("timeout", "slow", may_have_arrived=True), "other"),
    ],
)
def test_what_a_reply_says_about_the_rate(seen: Reply | Failure, kind: str) -> None:
    assert pace_kind(seen) == kind


def test_a_503_without_a_time_is_no_request_to_wait() -> None:
    assert not is_throttled(Reply(503, {}, b""))
    assert not is_throttled(Reply(503, {"retry-after": "soon"}, b""))
    assert is_throttled(Reply(503, {"retry-after": "1"}, b""))
    assert is_throttled(Reply(429, {}, b""))


MAY_BE_APPLIED = [408, 500, 502, 503, 504, 507, 520]
SURELY_NOT_APPLIED = [300, 301, 302, 308, 400, 401, 403, 404, 409, 421, 422, 425, 429, 501, 505]


@pytest.mark.parametrize("status", MAY_BE_APPLIED)
def test_a_server_error_may_have_been_applied_and_is_not_repeated_by_the_cautious(
    status: int,
) -> None:
    seen = Reply(status, {}, b"")
    assert may_have_been_applied(seen)
    failed = cautiously(seen)
    assert failed == RowFailed(
        "server_error", f"{status}: status {status}", GivenUp.AMBIGUOUS, final=True
    )


@pytest.mark.parametrize("status", SURELY_NOT_APPLIED)
def test_any_other_error_was_not_applied_and_is_nothing_to_look_at(status: int) -> None:
    seen = Reply(status, {}, OWN_REFUSAL)
    assert may_have_been_applied(seen) is False
    assert getattr(cautiously(seen), "given_up", None) is not GivenUp.AMBIGUOUS


@pytest.mark.parametrize("body", [b"", b" ", b"\t", b"\r\n \n"])
@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_a_success_with_a_blank_body_is_taken_for_one_and_noted(status: int, body: bytes) -> None:
    note = f"the API confirmed nothing in words ({status})"
    assert decided(status, body) == Acknowledged(None, None, note)
    assert decided(status, body, LAST) == Acknowledged(None, None, note)


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"[]", b"null", b"ok", b"\0"])
@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_a_success_that_acknowledges_nothing_may_have_been_applied(
    status: int, body: bytes
) -> None:
    seen = Reply(status, {}, body)
    assert may_have_been_applied(seen)
    again = decided(status, body)
    assert isinstance(again, RetryIn)
    assert (again.seconds, again.decided, again.everyone) == (0.25, False, False)
    failed = cautiously(seen)
    assert isinstance(failed, RowFailed)
    assert (failed.error, failed.given_up, failed.final) == ("bad_reply", GivenUp.AMBIGUOUS, True)
    last = decided(status, body, LAST)
    assert isinstance(last, RowFailed)
    assert (last.error, last.given_up, last.final) == ("bad_reply", GivenUp.ATTEMPTS, False)


@pytest.mark.parametrize("arrived", [True, False])
def test_a_failure_is_in_doubt_if_the_request_may_have_arrived(arrived: bool) -> None:
    seen = Failure("connection", "it broke", may_have_arrived=arrived)
    assert may_have_been_applied(seen) is arrived
    found = cautiously(seen)
    if arrived:
        assert found == RowFailed("connection", "it broke", GivenUp.AMBIGUOUS, final=True)
    else:
        assert found == RetryIn(0.25, "it broke")


FIREWALL = Reply(403, {"content-type": "text/html; charset=utf-8"}, b"<html>blocked</html>")


def test_what_is_no_word_of_the_api_is_a_block_with_a_decision_if_it_is_about_one_row() -> None:
    why = "something in front of the API blocks requests (403, text/html)"
    alone = "something in front of the API blocks this row alone (403, text/html)"
    for so_far in (FIRST, LATER):
        found = decide(FIREWALL, so_far, POLICY, target="ext_1", sent=SENT, dice=0.5)
        assert found == Blocked(why, RetryIn(0.25, alone))
    last = decide(FIREWALL, LAST, POLICY, target="ext_1", sent=SENT, dice=0.5)
    assert last == Blocked(why, RowFailed("bad_reply", alone, GivenUp.ATTEMPTS))
    # Nothing behind a firewall was reached, so the cautious may repeat it.
    assert cautiously(FIREWALL) == Blocked(why, RetryIn(0.25, alone))
    assert may_have_been_applied(FIREWALL) is False
    assert block_text(Reply(403, {}, b"")) == (
        "something in front of the API blocks requests (403, no content type)"
    )
    # Of a content type that is no type sixty characters are enough.
    long = block_text(Reply(403, {"content-type": "x" * 99}, b""))
    assert long.endswith(f"(403, {'x' * 60})")


@pytest.mark.parametrize(
    ("reply", "blocks"),
    [
        (FIREWALL, True),
        (Reply(403, {}, b""), True),
        (Reply(403, {"content-type": "application/json"}, OWN_REFUSAL), False),
        (Reply(403, {"content-type": "text/html", "retry-after": "5"}, b"<html>"), False),
        (Reply(401, {"content-type": "text/html"}, b"<html>"), False),
        (Reply(404, {"content-type": "text/html"}, b"<html>"), False),
        (Reply(200, {}, b"{}"), False),
    ],
)
def test_a_block_is_a_403_in_other_words_than_the_apis(reply: Reply, blocks: bool) -> None:
    assert is_block(reply) is blocks
    if blocks:
        assert pace_kind(reply) == "other"
        assert not shows_api_is_up(reply)
        assert not may_come_from_api(reply)


def test_a_403_with_nothing_left_is_a_limit_and_a_404_is_not() -> None:
    spent = {"x-ratelimit-limit": "100", "x-ratelimit-remaining": "0"}
    left = {"x-ratelimit-limit": "100", "x-ratelimit-remaining": "1"}
    assert is_throttled(Reply(403, spent, OWN_REFUSAL))
    assert not is_throttled(Reply(403, left, OWN_REFUSAL))
    for status in (200, 400, 404, 500, 503):
        assert not is_throttled(Reply(status, spent, OWN_REFUSAL))
    assert is_throttled(Reply(420, {}, b""))
    assert is_throttled(Reply(403, {"retry-after": "1"}, OWN_REFUSAL))
    for status in (401, 404, 500, 502):
        assert not is_throttled(Reply(status, {"retry-after": "1"}, b""))


@pytest.mark.parametrize(
    ("seen", "up", "from_api"),
    [
        (Reply(200, {"content-type": "application/json"}, b'{"data": {}}'), True, True),
        (Reply(200, {"content-type": "text/html"}, b"<html>"), False, False),
        (Reply(299, {"content-type": "text/html"}, b"<html>"), False, False),
        (Reply(300, {}, b""), False, False),
        (Reply(302, {}, b""), False, False),
        (Reply(399, {}, b""), False, False),
        (Reply(400, {}, b""), True, True),
        (Reply(404, {}, OWN_REFUSAL), True, True),
        (Reply(407, {}, b""), False, False),
        (Reply(408, {}, b""), False, True),
        (Reply(429, {}, b""), False, True),
        (Reply(499, {}, b""), True, True),
        (Reply(500, {}, b""), False, True),
        (Reply(503, {"retry-after": "1"}, b""), False, True),
        (Reply(511, {}, b""), False, False),
    ],
)
def test_which_replies_show_that_the_api_is_up_and_which_may_be_its(
    seen: Reply, up: bool, from_api: bool
) -> None:
    assert shows_api_is_up(seen) is up
    assert may_come_from_api(seen) is from_api


@pytest.mark.parametrize(
    ("kind", "arrived", "is_hopeless", "may"),
    [
        ("timeout", True, False, True),
        ("connection", True, False, True),
        ("timeout", False, False, False),
        ("bad_reply", True, False, False),
        ("connection", True, True, False),
    ],
)
def test_a_failure_may_be_the_apis_if_the_request_reached_something(
    kind: str, arrived: bool, is_hopeless: bool, may: bool
) -> None:
    seen = Failure(kind, "x", may_have_arrived=arrived, hopeless=is_hopeless)  # type: ignore[arg-type]
    assert may_come_from_api(seen) is may


@pytest.mark.parametrize(
    ("status", "asked", "seconds"),
    [
        (429, "7", 7.0),
        (429, "300", 300.0),
        (429, "301", None),
        (429, None, None),
        (503, "7", 7.0),
        (500, "7", None),
    ],
)
def test_a_throttled_request_holds_other_runs_for_no_longer_than_max_wait(
    status: int, asked: str | None, seconds: float | None
) -> None:
    headers = {} if asked is None else {"retry-after": asked}
    assert wait_of_all(Reply(status, headers, b""), POLICY) == seconds


@pytest.mark.parametrize(
    ("status", "up", "from_api", "kind"),
    [
        (200, True, True, "through"),
        (299, True, True, "through"),
        (300, False, False, "through"),
        (399, False, False, "through"),
        (400, True, True, "through"),
        (499, True, True, "through"),
        (500, False, True, "other"),
        (599, False, True, "other"),
    ],
)
def test_each_class_of_statuses_ends_where_the_next_begins(
    status: int, up: bool, from_api: bool, kind: str
) -> None:
    # At an error a body of another kind may be a gateway's on the API's behalf.
    body = b'{"data": {}}' if status < 300 else b"<html>"
    kept = {"content-type": "application/json" if status < 300 else "text/html"}
    reply = Reply(status, kept, body)
    assert (shows_api_is_up(reply), may_come_from_api(reply)) == (up, from_api)
    assert pace_kind(reply) == kind
    if status >= 300:
        decision = decide(reply, LATER, POLICY, target="ext_1", sent=SENT, dice=0.5)
        assert isinstance(decision, RetryIn) is (status < 400 or status >= 500)


def test_what_stays_doubtful_under_stop_is_what_may_have_been_applied_and_nothing_else() -> None:
    wrong_showing = contradicted("another showing's", LATER, CAUTIOUS, 0.5)
    assert wrong_showing == RowFailed(
        "bad_reply", "another showing's", GivenUp.AMBIGUOUS, final=True
    )
    assert contradicted("another showing's", LATER, POLICY, 0.5) == RetryIn(
        0.25, "another showing's"
    )
    alone = cautiously(Reply(429, {}, b""), LATER._replace(refused_alone=True))
    assert alone == RetryIn(0.25, "the API refuses this row alone (429)")
