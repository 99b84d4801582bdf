"""Reply or failure to decision: a table, with expected values worked out by hand."""

from __future__ import annotations

import pytest

from bulk_sync.errors import KeyRefused, Outage
from bulk_sync.model.rows import GivenUp
from bulk_sync.send.acknowledgement import Acknowledged
from bulk_sync.send.decide import (
    Decision,
    RetryIn,
    RetryPolicy,
    RowFailed,
    RowRejected,
    SoFar,
    StopRun,
    decide,
    is_throttled,
    pace_kind,
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
