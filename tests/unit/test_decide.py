"""Reply or failure to decision: a table, with expected values worked out by hand."""

from __future__ import annotations

import pytest

from bulk_sync.errors import KeyRefused, Outage, StoppedEarly
from bulk_sync.model.rows import GivenUp
from bulk_sync.send.acknowledgement import Acknowledged
from bulk_sync.send.decide import (
    RetryIn,
    RetryPolicy,
    RowFailed,
    RowRejected,
    SoFar,
    StopRun,
    decide,
    refused_too_long,
)
from bulk_sync.send.transport.interface import Failure, Reply
from tests.unit.deciding import FIRST, LAST, LATER, NO_MORE, POLICY, SENT, decided


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


def test_a_wait_beyond_the_horizon_stops_the_run_and_names_it() -> None:
    found = decided(429, retry_after="86400")
    assert isinstance(found, StopRun)
    assert isinstance(found.reason, Outage)
    assert "86400 s" in str(found.reason)


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


def test_a_key_that_is_refused_is_named_with_the_apis_words_and_the_status() -> None:
    found = decided(401, b'{"error": {"message": "Unknown key"}}')
    assert isinstance(found, StopRun)
    assert str(found.reason).startswith("The API refused the key: Unknown key (401)")


def test_a_row_that_nothing_is_said_of_was_not_refused_for_a_moment_and_has_all_its_time() -> None:
    impatient = RetryPolicy(
        max_attempts=3, retry_for_seconds=60, repeat_ambiguous=True, max_wait_seconds=0.5
    )
    for reply, so_far, again in (
        (Reply(429, {}, b""), FIRST, True),
        (Reply(429, {}, b""), FIRST._replace(refused_seconds=0.5), False),
        (Reply(409, {"retry-after": "59"}, b""), FIRST, True),
        (Reply(409, {"retry-after": "59"}, b""), FIRST._replace(left_seconds=58.0), False),
        (Reply(409, {}, b""), FIRST, False),
        (Reply(409, {}, b""), FIRST._replace(may_have_been_applied=True), True),
    ):
        found = decide(reply, so_far, impatient, target="ext_1", sent=SENT, dice=0.5)
        assert isinstance(found, RetryIn) is again, (reply, so_far)
    assert FIRST.failures == 1


@pytest.mark.parametrize(
    ("status", "headers", "of"),
    [
        (500, {}, (False, False, True)),
        (302, {}, (False, False, True)),
        (200, {}, (False, False, True)),
        (422, {"retry_after": "1"}, (False, True, True)),
        (423, {"retry_after": "1"}, (False, True, False)),
        (429, {}, (True, False, True)),
    ],
)
def test_each_wait_says_whom_it_holds_whether_the_api_decided_and_what_it_costs(
    status: int, headers: dict[str, str], of: tuple[bool, bool, bool]
) -> None:
    found = decided(status, b"{}", FIRST, **headers)
    assert isinstance(found, RetryIn)
    assert (found.everyone, found.decided, found.costs_attempt) == of


@pytest.mark.parametrize(
    ("attempts", "most", "throttled", "waits"),
    [
        (1, 1, 0, False),
        (1, 2, 0, True),
        (2, 2, 0, False),
        (2, 3, 0, True),
        (2, 2, 1, True),
        # The attempt that was just refused counts as one, whatever came before.
        (1, 1, 1, False),
        (1, 2, 1, True),
    ],
)
def test_a_refusal_that_says_when_to_come_again_gets_each_of_its_attempts(
    attempts: int, most: int, throttled: int, waits: bool
) -> None:
    policy = RetryPolicy(max_attempts=most, retry_for_seconds=60, repeat_ambiguous=True)
    so_far = SoFar(attempts, throttled, 0.0, key_accepted=True)
    reply = Reply(422, {"retry-after": "1"}, b"")
    found = decide(reply, so_far, policy, target="ext_1", sent=SENT, dice=0.5)
    assert isinstance(found, RetryIn) is waits
