"""Reply or failure to decision: a table, with expected values worked out by hand."""

from __future__ import annotations

import pytest

from bulk_sync.errors import KeyRefused, Outage, StoppedEarly
from bulk_sync.model.rows import GivenUp
from bulk_sync.send.acknowledgement import Acknowledged
from bulk_sync.send.decide import (
    Blocked,
    Decision,
    RetryIn,
    RetryPolicy,
    RowFailed,
    RowRejected,
    SoFar,
    StopRun,
    block_text,
    contradicted,
    decide,
    is_block,
    is_throttled,
    may_come_from_api,
    may_have_been_applied,
    pace_kind,
    refused_too_long,
    shows_api_is_up,
    wait_of_all,
)
from bulk_sync.send.transport.interface import Failure, Reply

POLICY = RetryPolicy(
    max_attempts=3,
    retry_for_seconds=60,
    repeat_ambiguous=True,
    max_wait_seconds=300,
    base_seconds=0.5,
    longest_seconds=30,
)
FIRST = SoFar(attempts=1, throttled=0, elapsed_seconds=0, key_accepted=False)
LATER = SoFar(attempts=1, throttled=0, elapsed_seconds=0, key_accepted=True)
LAST = SoFar(attempts=3, throttled=0, elapsed_seconds=5, key_accepted=True)
SENT = '{"feedback":"Fine","showing_date":"2026-03-02T09:00:00-06:00"}'


def decided(
    status: int, body: bytes = b"", so_far: SoFar = FIRST, sent: str = SENT, **headers: str
) -> Decision:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return decide(Reply(status, named, body), so_far, POLICY, target="ext_1", sent=sent, dice=0.5)


def test_the_contracts_reply_names_the_showing() -> None:
    body = (
        b'{"data": {"id": "a-1", "updated_at": "2026-03-02T15:00:00Z", "new": 1}, "message": "ok"}'
    )
    assert decided(200, body) == Acknowledged("a-1", "2026-03-02T15:00:00Z")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, "refused"),
        (402, "refused"),
        (404, "not_found"),
        (405, "refused"),
        (409, "refused"),
        (410, "not_found"),
        (412, "refused"),
        (413, "refused"),
        (415, "refused"),
        (422, "refused"),
        (428, "refused"),
        (501, "refused"),
        (505, "refused"),
    ],
)
def test_what_is_refused_for_good(status: int, error: str) -> None:
    rejected = decided(status, b'{"error": {"message": "rating:\\n too high", "status": 422}}')
    assert rejected == RowRejected(error, "rating: too high")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"{}", b'{"error": {"message": 5}}', b"[" * 100_000],
)
def test_without_the_apis_message_the_status_stands_for_it(body: bytes) -> None:
    assert decided(422, body) == RowRejected("refused", "status 422")


def test_a_nul_in_the_apis_words_becomes_its_symbol() -> None:
    answer = decided(200, b'{"data": {"id": "a\\u0000b", "updated_at": "c\\u0000"}}')
    assert answer == Acknowledged("a\u2400b", "c\u2400")
    refused = decided(422, b'{"error": {"message": "no\\u0000w"}}')
    assert refused == RowRejected("refused", "no\u2400w")


def test_a_long_message_is_cut() -> None:
    rejected = decided(422, b'{"error": {"message": "' + b"x" * 5000 + b'"}}')
    assert isinstance(rejected, RowRejected)
    assert len(rejected.message) == 300


@pytest.mark.parametrize(
    "status", [408, 421, 425, 500, 502, 503, 504, 507, 520, 301, 302, 307, 308]
)
def test_what_is_tried_again_with_full_jitter_and_fails_in_the_end(status: int) -> None:
    first = decided(status)
    assert isinstance(first, RetryIn)
    assert (first.seconds, first.everyone) == (0.25, False)
    second = decided(status, so_far=SoFar(2, 0, 1, key_accepted=True))
    assert isinstance(second, RetryIn)
    assert second.seconds == 0.5
    last = decided(status, so_far=LAST)
    assert isinstance(last, RowFailed)
    assert last.error == ("bad_reply" if status < 400 else "server_error")
    assert last.given_up is GivenUp.ATTEMPTS


def test_a_redirect_says_where_it_leads() -> None:
    again = decided(302, location="https://elsewhere.example.com/")
    assert isinstance(again, RetryIn)
    assert "https://elsewhere.example.com/" in again.why


def test_time_is_used_up_before_attempts() -> None:
    late = decided(500, so_far=SoFar(1, 0, 59.9, key_accepted=True))
    assert isinstance(late, RowFailed)
    assert late.given_up is GivenUp.TIME


def test_backoff_is_bounded() -> None:
    assert POLICY.backoff(1, 1.0) == 0.5
    assert POLICY.backoff(7, 1.0) == 30
    assert POLICY.backoff(10_000, 1.0) == 30
    assert POLICY.backoff(5, 0.0) == 0


@pytest.mark.parametrize(
    ("status", "so_far", "decision"),
    [
        (401, FIRST, StopRun),
        (401, LATER, StopRun),
        (403, FIRST, StopRun),
        (403, LATER, RowRejected),
    ],
)
def test_a_refused_key_stops_the_run(status: int, so_far: SoFar, decision: type) -> None:
    found = decided(status, b'{"error": {"message": "Permission denied"}}', so_far)
    assert isinstance(found, decision)
    if isinstance(found, StopRun):
        assert isinstance(found.reason, KeyRefused)
        assert "Permission denied" in str(found.reason)
    else:
        assert found == RowRejected("forbidden", "Permission denied")


@pytest.mark.parametrize(
    ("status", "text"), [(429, "7"), (503, "7"), (429, "0"), (429, "soon"), (429, "-3")]
)
def test_a_throttled_request_holds_everyone_and_uses_up_no_attempt(status: int, text: str) -> None:
    used_up = SoFar(attempts=40, throttled=1, elapsed_seconds=5, key_accepted=True)
    found = decided(status, so_far=used_up, retry_after=text)
    assert isinstance(found, RetryIn)
    assert (found.seconds, found.everyone) == (0.0, True)


def test_attempts_that_an_outage_made_worthless_do_not_count() -> None:
    so_far = SoFar(attempts=9, throttled=0, elapsed_seconds=5, key_accepted=True, excused=8)
    assert isinstance(decided(500, so_far=so_far), RetryIn)


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


def test_a_wait_beyond_the_horizon_stops_the_run_and_names_it() -> None:
    found = decided(429, retry_after="86400")
    assert isinstance(found, StopRun)
    assert isinstance(found.reason, Outage)
    assert "86400 s" in str(found.reason)


NO_MORE = b'{"error": {"message": "Daily quota exceeded", "status": 429}}'


@pytest.mark.parametrize(
    ("asked", "refused_seconds", "stops"),
    [
        ("300", 0, False),
        ("301", 0, True),
        ("10", 299, False),
        ("10", 300, True),
    ],
)
def test_a_run_waits_for_the_api_no_longer_than_max_wait(
    asked: str,
    refused_seconds: float,
    stops: bool,
) -> None:
    so_far = LATER._replace(elapsed_seconds=9999, refused_seconds=refused_seconds)
    found = decided(429, NO_MORE, so_far, retry_after=asked)
    if not stops:
        assert found == RetryIn(0.0, "429: asked to wait", everyone=True)
        return
    assert isinstance(found, StopRun)
    assert isinstance(found.reason, Outage)
    assert "(429: Daily quota exceeded)" in str(found.reason)
    assert "--max-wait (5m)" in str(found.reason)
    assert found.again_in_seconds == (301 if asked == "301" else None)


@pytest.mark.parametrize("kind", ["timeout", "connection", "bad_reply"])
def test_failures_are_tried_again_and_keep_their_name(kind: str) -> None:
    failure = Failure(kind, "it broke", may_have_arrived=True)  # type: ignore[arg-type]
    assert decide(failure, FIRST, POLICY, target="ext_1", sent=SENT, dice=0.5) == RetryIn(
        0.25, "it broke"
    )
    assert decide(failure, LAST, POLICY, target="ext_1", sent=SENT, dice=0.5) == RowFailed(
        kind,  # type: ignore[arg-type]
        "it broke",
        GivenUp.ATTEMPTS,
    )


def test_what_no_repetition_mends_stops_the_run() -> None:
    failure = Failure("connection", "no host named x", may_have_arrived=False, hopeless=True)
    found = decide(failure, FIRST, POLICY, target="ext_1", sent=SENT, dice=0.5)
    assert isinstance(found, StopRun)
    assert "no host named x" in str(found.reason)


def test_a_conflict_with_our_own_repeat_is_waited_out_and_then_final() -> None:
    ours = SoFar(2, 0, 1, key_accepted=True, may_have_been_applied=True)
    waits = decided(409, so_far=ours)
    assert isinstance(waits, RetryIn)
    assert waits.decided
    last = decided(409, so_far=LAST._replace(may_have_been_applied=True))
    assert last == RowRejected("refused", "status 409")


@pytest.mark.parametrize("status", [409, 413, 423, 425])
def test_a_lock_is_waited_out_within_the_time_whatever_the_attempts(status: int) -> None:
    waits = decided(status, so_far=LAST._replace(attempts=9), retry_after="3")
    assert isinstance(waits, RetryIn)
    assert (waits.decided, waits.costs_attempt, waits.seconds) == (True, False, 15)  # back-off
    late = decided(status, so_far=LAST._replace(elapsed_seconds=58), retry_after="3")
    assert late == RowRejected("refused", f"status {status}")


@pytest.mark.parametrize("status", [400, 404, 422, 501])
def test_other_refusals_that_say_when_to_come_again_are_bounded_by_attempts(status: int) -> None:
    waits = decided(status, retry_after="3")
    assert isinstance(waits, RetryIn)
    assert (waits.decided, waits.costs_attempt, waits.seconds) == (True, True, 3)
    assert isinstance(decided(status, so_far=LAST, retry_after="3"), RowRejected)


@pytest.mark.parametrize(("asked", "seconds"), [("3", 3), ("0", 0.25), ("61", 0.25)])
@pytest.mark.parametrize("status", [408, 421, 500, 502, 504])
def test_a_server_error_comes_again_when_the_server_says_if_that_is_in_time(
    status: int, asked: str, seconds: float
) -> None:
    again = decided(status, retry_after=asked)
    assert isinstance(again, RetryIn)
    assert (again.seconds, again.decided, again.everyone) == (seconds, False, False)


def test_a_wait_that_does_not_fit_is_a_rejection() -> None:
    assert decided(409, retry_after="61") == RowRejected("refused", "status 409")
    assert isinstance(decided(409, retry_after="59"), RetryIn)


def test_a_row_that_is_refused_alone_fails_like_any_other() -> None:
    alone = FIRST._replace(refused_alone=True)
    assert isinstance(decided(429, so_far=alone), RetryIn)
    failed = decided(429, so_far=LAST._replace(refused_alone=True))
    assert isinstance(failed, RowFailed)
    assert failed.error == "throttled"


CAUTIOUS = RetryPolicy(max_attempts=3, retry_for_seconds=60, repeat_ambiguous=False)
MAY_BE_APPLIED = [408, 500, 502, 503, 504, 507, 520]
SURELY_NOT_APPLIED = [301, 302, 308, 400, 401, 403, 404, 409, 421, 422, 425, 429, 501, 505]
OWN_REFUSAL = b'{"error": {"message": "no"}}'


def cautiously(seen: Reply | Failure, so_far: SoFar = LATER) -> Decision:
    return decide(seen, so_far, CAUTIOUS, target="ext_1", sent=SENT, dice=0.5)


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
    assert not may_have_been_applied(seen)
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
    assert not may_have_been_applied(FIREWALL)
    assert block_text(Reply(403, {}, b"")) == (
        "something in front of the API blocks requests (403, no content type)"
    )


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


def test_a_route_that_asks_to_sign_in_stops_the_run_with_what_to_do() -> None:
    asked = decided(407, proxy_authenticate='Basic realm="Example Office"')
    assert isinstance(asked, StopRun)
    assert str(asked.reason).startswith(
        "A proxy between here and the API asks for a password "
        '(realm "Example Office"): status 407. Set it in the proxy\'s address, which HTTPS_PROXY'
    )
    plain = decided(407)
    assert isinstance(plain, StopRun)
    assert "asks for a password: status 407." in str(plain.reason)
    portal = decided(511)
    assert isinstance(portal, StopRun)
    assert str(portal.reason) == (
        "The network between here and the API asks to sign in first: status 511. Sign in with "
        "a browser, then run again"
    )
    for stop in (asked, plain, portal):
        assert isinstance(stop.reason, Outage)
        assert stop.again_in_seconds is None


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


def test_a_wait_that_the_deadline_leaves_no_time_for_stops_the_run_early() -> None:
    short = LATER._replace(left_seconds=10.0)
    assert isinstance(decided(429, so_far=short, retry_after="10"), RetryIn)
    found = decided(429, NO_MORE, short, retry_after="11")
    assert isinstance(found, StopRun)
    assert isinstance(found.reason, StoppedEarly)
    assert found.again_in_seconds == 11
    assert str(found.reason) == (
        "The API asks to wait 11 s (429: Daily quota exceeded), longer than --deadline or "
        "--finish-by leave (10 s)"
    )
    over = decided(429, so_far=LATER._replace(left_seconds=-5.0), retry_after="1")
    assert isinstance(over, StopRun)
    assert "leave (0 s)" in str(over.reason)
    locked = LATER._replace(left_seconds=2.0)
    assert decided(409, so_far=locked, retry_after="3") == RowRejected("refused", "status 409")


def test_a_run_that_was_refused_for_too_long_says_which_bound_it_met() -> None:
    last = Reply(429, {}, b"")
    assert str(refused_too_long(300, last, POLICY)) == (
        "The API has refused every request for 300 s (429), and a run waits no longer than "
        "--max-wait (5m). Run again later"
    )
    assert str(refused_too_long(299, last, POLICY)) == (
        "The API has refused every request for 299 s (429), and the next try would be later than "
        "--max-wait (5m) allows. Run again later"
    )


def test_a_row_that_is_refused_alone_ends_without_proof_that_the_api_is_up() -> None:
    failed = decided(429, NO_MORE, LAST._replace(refused_alone=True))
    assert failed == RowFailed(
        "throttled",
        "the API refuses this row alone (429: Daily quota exceeded)",
        GivenUp.ATTEMPTS,
        final=True,
    )
    again = decided(429, NO_MORE, FIRST._replace(refused_alone=True))
    assert again == RetryIn(0.25, "the API refuses this row alone (429: Daily quota exceeded)")


@pytest.mark.parametrize("name", ["stripe-should-retry", "x-should-retry"])
@pytest.mark.parametrize(("said", "again"), [("true", True), (" TRUE ", True), ("false", False)])
def test_a_refusal_is_repeated_where_the_api_says_that_it_may_be(
    name: str, said: str, again: bool
) -> None:
    found = decide(
        Reply(400, {name: said}, b""), FIRST, POLICY, target="ext_1", sent=SENT, dice=0.5
    )
    assert isinstance(found, RetryIn) is again


def test_a_conflict_that_is_not_our_own_is_final() -> None:
    assert decided(409) == RowRejected("refused", "status 409")
    missing = {decided(status) for status in (404, 410)}
    assert {one.error for one in missing if isinstance(one, RowRejected)} == {"not_found"}
    assert len(missing) == 2


@pytest.mark.parametrize(("attempts", "elapsed", "given_up"), [
    (2, 59.5, None), (2, 59.51, GivenUp.TIME), (3, 0.0, GivenUp.ATTEMPTS),
])  # fmt: skip
def test_attempts_and_time_are_used_up_exactly_at_their_bounds(
    attempts: int, elapsed: float, given_up: GivenUp | None
) -> None:
    found = decided(500, so_far=SoFar(attempts, 0, elapsed, key_accepted=True))
    assert getattr(found, "given_up", None) is given_up
    fits = decided(500, so_far=SoFar(1, 0, 30, key_accepted=True), retry_after="30")
    assert isinstance(fits, RetryIn)
    assert fits.seconds == 30


def test_without_numbers_of_the_users_a_row_waits_two_hours_and_backs_off_to_half_a_minute() -> (
    None
):
    usual = RetryPolicy(max_attempts=1, retry_for_seconds=1, repeat_ambiguous=True)
    assert (usual.max_wait_seconds, usual.backoff(1, 1.0), usual.backoff(99, 1.0)) == (
        7200,
        0.5,
        30,
    )
    assert usual.backoff(2, 0.5) == 0.5


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


def test_a_key_that_is_refused_is_named_with_the_apis_words_and_the_status() -> None:
    found = decided(401, b'{"error": {"message": "Unknown key"}}')
    assert isinstance(found, StopRun)
    assert str(found.reason).startswith("The API refused the key: Unknown key (401)")


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


def test_a_wait_costs_an_attempt_and_is_decided_for_one_row_unless_it_says_otherwise() -> None:
    usual = RetryIn(1.0, "why")
    assert (usual.everyone, usual.decided, usual.costs_attempt) == (False, False, True)
    assert (FIRST.refused_seconds, FIRST.refused_alone, FIRST.excused) == (0.0, False, 0)
    assert FIRST.left_seconds > 1e300
    assert not FIRST.may_have_been_applied


@pytest.mark.parametrize(
    ("attempts", "most", "waits"), [(1, 1, False), (1, 2, True), (2, 2, False), (2, 3, True)]
)
def test_a_refusal_that_says_when_to_come_again_gets_each_of_its_attempts(
    attempts: int, most: int, waits: bool
) -> None:
    policy = RetryPolicy(max_attempts=most, retry_for_seconds=60, repeat_ambiguous=True)
    so_far = SoFar(attempts, 0, 0.0, key_accepted=True)
    reply = Reply(422, {"retry-after": "1"}, b"")
    found = decide(reply, so_far, policy, target="ext_1", sent=SENT, dice=0.5)
    assert isinstance(found, RetryIn) is waits
