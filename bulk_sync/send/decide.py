"""Turn a reply or a failure into a decision. Pure: it never sleeps, sends or retries.

| reply or failure | decision |
|---|---|
| 2xx that acknowledges the patch (see `acknowledgement`) | Acknowledged |
| 2xx that refuses it, with a message | RowRejected: refused |
| any other 2xx, 3xx | RetryIn, full jitter; in the end bad_reply |
| 401; 403 in the API's words before any acknowledgement | StopRun: the key is refused |
| 403 in the API's words after an acknowledgement | RowRejected: forbidden |
| any other 403; any reply marked as a firewall's | Blocked: hold, and probe within --retry-for |
| 407, 511 | StopRun: a proxy or the network asks to sign in |
| other 4xx, 501, 505 with Retry-After; 409 of our own repeat | RetryIn for the row, then rejected |
| 404, 410 | RowRejected: not_found |
| 408, 421, 425, 5xx but 501 and 505 | RetryIn, full jitter, or when the server says |
| 420, 429; 403, 503 with Retry-After | RetryIn for everyone, at no cost; StopRun past --max-wait |
| 403 whose headers state that nothing is left | the same |
| other 4xx, 501, 505 | RowRejected: refused |
| connection and time-out errors | RetryIn, full jitter |
| certificate refused, no such host | StopRun: outage |

When attempts or time are used up, RetryIn becomes RowFailed. Full jitter is a wait drawn uniformly
from zero to the exponential bound (Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture
Blog, 2015).
"""

from __future__ import annotations

import math
import re
from typing import Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from bulk_sync.errors import KeyRefused, Outage, StoppedEarly
from bulk_sync.model.rows import GivenUp
from bulk_sync.quantities import duration_text
from bulk_sync.send.acknowledgement import (
    Acknowledged,
    acknowledgement,
    is_of_a_firewall,
    is_refusal,
    may_be_the_apis,
)
from bulk_sync.send.headers import limits, retry_after
from bulk_sync.send.messages import LONGEST_MESSAGE, api_message, is_own_error, one_line
from bulk_sync.send.observation import Kind
from bulk_sync.send.transport.interface import Failure, Reply

# The server can't do this at all, now or later.
_NOT_SUPPORTED = frozenset({501, 505})

# Not about the row: a slow connection, replayed early data, the wrong connection.
_TRANSIENT = frozenset({408, 421, 425})

# Nor are these: a proxy, or the network, asks to sign in.
_ABOUT_THE_ROUTE = frozenset({407, 511})

# With Retry-After: an edit, a lock or a full store that passes (RFC 9110, 15.5.10 and 15.5.14).
_LOCKED = frozenset({409, 413, 423, 425})

# 420 is what Twitter's first API had in place of 429, and some still have.
_TOO_MANY = frozenset({420, 429})

# Whether to repeat a request, in the words of Stripe (its API reference, "Advanced error handling")
# and of SDKs that follow it.
_TO_REPEAT = ("stripe-should-retry", "x-should-retry")


class RetryPolicy(Struct, frozen=True):
    """The limits of retries.

    A row gets `max_attempts` attempts within `retry_for_seconds` of its first request, waits for
    the API apart: those may take `max_wait_seconds` on end. Without `repeat_ambiguous`, a request
    that may have been applied is not sent again.
    """

    max_attempts: int
    retry_for_seconds: float
    repeat_ambiguous: bool
    max_wait_seconds: float = 7200.0
    base_seconds: float = 0.5
    longest_seconds: float = 30.0

    def backoff(self, failures: int, dice: float) -> float:
        """Return a wait with full jitter; `dice` is drawn from 0 to 1."""
        # The exponent is capped because a float overflows beyond 2.0 ** 1023.
        return dice * min(self.longest_seconds, self.base_seconds * 2.0 ** min(failures - 1, 30))


class SoFar(NamedTuple):
    """The attempts of a row, including the one that just ended.

    `throttled` counts those that the API answered with a wait, `excused` those that an outage gave
    back. `elapsed_seconds` leaves out outages and waits for the API; `left_seconds` remain until
    --deadline. Every request was throttled for `refused_seconds`, or with `refused_alone` only this
    row's. `key_accepted` is True once the API acknowledged anything with this key,
    `may_have_been_applied` if an earlier attempt may have been.
    """

    attempts: int
    throttled: int
    elapsed_seconds: float
    key_accepted: bool
    excused: int = 0
    left_seconds: float = math.inf
    refused_seconds: float = 0.0
    refused_alone: bool = False
    may_have_been_applied: bool = False

    @property
    def failures(self) -> int:
        """The number of attempts that count."""
        return self.attempts - self.throttled - self.excused


class RetryIn(Struct, frozen=True):
    """Try again after a wait.

    With `everyone` the server throttled the whole run, and the pace decides how long it waits.
    `decided` means that the API answered about this row, so that nothing failed; without
    `costs_attempt` it also said when to come again.
    """

    seconds: float
    why: str
    everyone: bool = False
    decided: bool = False
    costs_attempt: bool = True


class RowRejected(Struct, frozen=True):
    """The API refused this row for good."""

    error: Literal["not_found", "refused", "forbidden"]
    message: str


class RowFailed(Struct, frozen=True):
    """Attempts or time are used up.

    `final` means that the row is not retried even if an outage turns out to be the reason.
    """

    error: Literal["timeout", "connection", "server_error", "throttled", "bad_reply"]
    message: str
    given_up: GivenUp | None = None
    final: bool = False


class Blocked(Struct, frozen=True):
    """Something in front of the API blocks requests: only probes may leave.

    `otherwise` is the decision if it blocks this row alone.
    """

    why: str
    otherwise: RetryIn | RowFailed


class StopRun(Struct, frozen=True):
    """No other row would fare better: stop sending, leave the rest pending.

    Another run may fare better after `again_in_seconds`; None if that is unknown.
    """

    reason: KeyRefused | Outage | StoppedEarly
    again_in_seconds: float | None = None


Decision = Acknowledged | RetryIn | RowRejected | RowFailed | Blocked | StopRun


def why_again(decision: Decision | None) -> str | None:
    """Return why a row is tried again after a decision, as far as the decision says."""
    match decision:
        case RetryIn(why=why) | Blocked(why=why):
            return why
        case RowFailed(message=message) | RowRejected(message=message):
            return message
        case _:
            return None


def decide(
    seen: Reply | Failure,
    so_far: SoFar,
    policy: RetryPolicy,
    *,
    target: str,
    sent: str,
    dice: float,
    by_id: bool = False,
) -> Decision:
    """Return what to do next.

    `target` is the key of the showing, or its id if `by_id`, and `sent` the patch as JSON; `dice`
    is drawn from 0 to 1, for the jitter.
    """
    if isinstance(seen, Failure):
        if seen.hopeless:
            return StopRun(hopeless(seen))
        return _retry_or_fail(
            seen.kind, seen.message, so_far, policy, dice, ambiguous=seen.may_have_arrived
        )
    if is_block(seen):
        return _blocked(seen, so_far, policy, dice)
    if 200 <= seen.status < 300:
        answer = acknowledgement(seen, target, sent, by_id=by_id)
        if isinstance(answer, Acknowledged):
            return answer
        if answer.refusal is not None:
            return RowRejected("refused", answer.refusal)
        return _retry_or_fail("bad_reply", answer.why, so_far, policy, dice, ambiguous=True)
    return _refusal(seen, so_far, policy, dice)


def contradicted(why: str, so_far: SoFar, policy: RetryPolicy, dice: float) -> Decision:
    """Return what to do after a 2xx that other replies show to be about another showing."""
    return _retry_or_fail("bad_reply", why, so_far, policy, dice, ambiguous=True)


def hopeless(seen: Failure) -> Outage:
    """Return the end of a run after a failure that no retry cures."""
    return Outage(f"{seen.message}. Sending stopped here; fix this, then run again")


def _no_access(reply: Reply, so_far: SoFar) -> Decision:
    """Decide about a refusal of the key, of the row, or by what is on the way to the API."""
    message = api_message(reply)
    if reply.status in _ABOUT_THE_ROUTE:
        return StopRun(no_route(reply))
    if reply.status == 403 and so_far.key_accepted:
        return RowRejected("forbidden", message)
    return StopRun(KeyRefused(f"The API refused the key: {message} ({reply.status})"))


def _blocked(reply: Reply, so_far: SoFar, policy: RetryPolicy, dice: float) -> Blocked:
    alone = block_text(reply, "this row alone")
    otherwise = _retry_or_fail("bad_reply", alone, so_far, policy, dice, ambiguous=False)
    return Blocked(block_text(reply), otherwise)


def _refusal(reply: Reply, so_far: SoFar, policy: RetryPolicy, dice: float) -> Decision:
    message = api_message(reply)
    match reply.status:
        case _ if is_throttled(reply):
            return _throttled(reply, so_far, policy, dice)
        case 401 | 403 | 407 | 511:
            return _no_access(reply, so_far)
        case status if status in _TRANSIENT or (status >= 500 and status not in _NOT_SUPPORTED):
            if status == 425 and _is_to_pass(reply, so_far):
                return _wait_or_reject(reply, so_far, policy, dice)
            return _retry_or_fail(
                "server_error",
                f"{status}: {message}",
                so_far,
                policy,
                dice,
                ambiguous=may_have_been_applied(reply),
                asked=retry_after(reply.headers),
            )
        case status if 300 <= status < 400:
            where = reply.headers.get("location", "nowhere")[:LONGEST_MESSAGE]
            return _retry_or_fail(
                "bad_reply",
                f"{status}: redirects are not followed; this one leads to {where}",
                so_far,
                policy,
                dice,
                ambiguous=False,
            )
    if _is_to_pass(reply, so_far):
        return _wait_or_reject(reply, so_far, policy, dice)
    return _rejected(reply)


def _rejected(reply: Reply) -> RowRejected:
    is_missing = reply.status in {404, 410}
    return RowRejected("not_found" if is_missing else "refused", api_message(reply))


def is_block(reply: Reply) -> bool:
    """True for what a firewall says, and for a 403 that is not in the API's words.

    A wait for everyone is none.
    """
    is_marked = is_of_a_firewall(reply)
    if not (is_marked or reply.status == 403) or is_throttled(reply):
        return False
    return is_marked or not is_own_error(reply)


def block_text(reply: Reply, blocked: str = "requests") -> str:
    """Describe a block, of all requests or some."""
    kind = reply.headers.get("content-type", "no content type").partition(";")[0][:60]
    return f"something in front of the API blocks {blocked} ({reply.status}, {kind})"


def is_about_the_route(reply: Reply) -> bool:
    """True when a proxy or the network on the way answers, and no request would get past it."""
    return reply.status in _ABOUT_THE_ROUTE


def no_route(reply: Reply) -> Outage:
    """Return why nothing gets past a proxy or the network."""
    if reply.status == 511:
        return Outage(
            "The network between here and the API asks to sign in first: status 511. Sign in with "
            "a browser, then run again"
        )
    asked = reply.headers.get("proxy-authenticate", "")
    realm = re.search(r'realm="([^"]{1,60})"', asked, re.IGNORECASE)
    of_realm = f' (realm "{one_line(realm[1])}")' if realm else ""
    return Outage(
        f"A proxy between here and the API asks for a password{of_realm}: status 407. Set it in "
        "the proxy's address, which HTTPS_PROXY names (http://user:password@host:port), then run "
        "again"
    )


def _is_to_pass(reply: Reply, so_far: SoFar) -> bool:
    """Return whether a refusal is likely to pass: the API says when, or it is our own conflict.

    An earlier attempt of the row may still be at work, and the repeat is in conflict with it.
    """
    if retry_after(reply.headers) is not None:
        return True
    if any(reply.headers.get(name, "").strip().lower() == "true" for name in _TO_REPEAT):
        return True
    return reply.status == 409 and so_far.may_have_been_applied


def _wait_or_reject(
    reply: Reply, so_far: SoFar, policy: RetryPolicy, dice: float
) -> RetryIn | RowRejected:
    """Wait before a refusal becomes final.

    Without limit but --retry-for where a lock, and the time of its end, is what the status means;
    elsewhere Retry-After may be on every refusal of a gateway, so attempts bound it as well.
    """
    asked = retry_after(reply.headers)
    # Back-off grows with every request, so that `Retry-After: 0` is no invitation to hammer.
    seconds = max(asked or 0.0, policy.backoff(max(1, so_far.attempts), dice))
    costs_attempt = asked is None or reply.status not in _LOCKED
    has_attempts = max(1, so_far.failures) < policy.max_attempts or not costs_attempt
    is_in_time = so_far.elapsed_seconds + seconds <= policy.retry_for_seconds
    if has_attempts and is_in_time and seconds <= so_far.left_seconds:
        return RetryIn(seconds, _said(reply), decided=True, costs_attempt=costs_attempt)
    return _rejected(reply)


def may_have_been_applied(seen: Reply | Failure) -> bool:
    """True when the patch may have been applied.

    An error status rules that out, except the ones that a proxy may send on the API's behalf. So
    does a 2xx that only says why the API refused the patch.
    """
    if isinstance(seen, Failure):
        return seen.may_have_arrived
    if is_of_a_firewall(seen):
        return False
    if seen.status < 300:
        return not is_refusal(seen)
    return seen.status == 408 or (seen.status >= 500 and seen.status not in _NOT_SUPPORTED)


def _retry_or_fail(
    error: Literal["timeout", "connection", "server_error", "throttled", "bad_reply"],
    why: str,
    so_far: SoFar,
    policy: RetryPolicy,
    dice: float,
    *,
    ambiguous: bool,
    asked: float | None = None,
) -> RetryIn | RowFailed:
    failures = max(1, so_far.failures)
    seconds = policy.backoff(failures, dice)
    # A wait that doesn't fit is not a reason to fail a row that a retry may still get through.
    if asked is not None and so_far.elapsed_seconds + asked <= policy.retry_for_seconds:
        seconds = max(seconds, asked)
    if ambiguous and not policy.repeat_ambiguous:
        return RowFailed(error, why, GivenUp.AMBIGUOUS, final=True)
    if failures >= policy.max_attempts:
        return RowFailed(error, why, GivenUp.ATTEMPTS)
    if so_far.elapsed_seconds + seconds > policy.retry_for_seconds:
        return RowFailed(error, why, GivenUp.TIME)
    return RetryIn(seconds, why)


def is_throttled(reply: Reply) -> bool:
    """True when the server limits the rate: the attempt doesn't count against the row."""
    if reply.status in _TOO_MANY:
        return True
    if reply.status not in {403, 503}:
        return False
    if retry_after(reply.headers) is not None:
        return True
    # GitHub's primary limit is a 403 with `X-RateLimit-Remaining: 0` (its page "Rate limits").
    return reply.status == 403 and any(
        quota.remaining == 0 for quota in limits(reply.headers).quotas
    )


def wait_of_all(reply: Reply, policy: RetryPolicy) -> float | None:
    """Return the seconds for which a throttled request holds all runs with its key; None if none.

    A wait longer than --max-wait ends the run, and holds no other: it may be a mistake of the
    server's.
    """
    asked = retry_after(reply.headers) if is_throttled(reply) else None
    return None if asked is None or asked > policy.max_wait_seconds else asked


def _throttled(reply: Reply, so_far: SoFar, policy: RetryPolicy, dice: float) -> Decision:
    if so_far.refused_alone:
        why = f"the API refuses this row alone ({_said(reply)})"
        alone = _retry_or_fail("throttled", why, so_far, policy, dice, ambiguous=False)
        # Others got through, so it needs no proof that there is no outage.
        return replace(alone, final=True) if isinstance(alone, RowFailed) else alone
    # The pace does the waiting: it holds every request, and chooses the time if the API names none.
    asked = retry_after(reply.headers) or 0.0
    most = f"--max-wait ({duration_text(policy.max_wait_seconds)})"
    if asked > so_far.left_seconds:
        return StopRun(
            StoppedEarly(
                f"The API asks to wait {asked:.0f} s ({_said(reply)}), longer than --deadline or "
                f"--finish-by leave ({max(0.0, so_far.left_seconds):.0f} s)"
            ),
            asked,
        )
    if asked > policy.max_wait_seconds:
        return StopRun(
            Outage(f"The API asks to wait {asked:.0f} s ({_said(reply)}), longer than {most}"),
            asked,
        )
    if so_far.refused_seconds >= policy.max_wait_seconds:
        return StopRun(refused_too_long(so_far.refused_seconds, reply, policy))
    return RetryIn(0.0, f"{reply.status}: asked to wait", everyone=True)


def refused_too_long(seconds: float, last: Reply, policy: RetryPolicy) -> Outage:
    """Return the reason to stop when every request was throttled for so long, as `last` was."""
    most = f"--max-wait ({duration_text(policy.max_wait_seconds)})"
    bound = f"a run waits no longer than {most}"
    if seconds < policy.max_wait_seconds:
        bound = f"the next try would be later than {most} allows"
    return Outage(
        f"The API has refused every request for {seconds:.0f} s ({_said(last)}), and {bound}. "
        "Run again later"
    )


def _said(reply: Reply) -> str:
    """Return `429: Daily quota exceeded`, or `429` where the API says no more."""
    words = api_message(reply)
    return str(reply.status) if words == f"status {reply.status}" else f"{reply.status}: {words}"


def pace_kind(seen: Reply | Failure) -> Kind:
    """Return the kind of a reply or failure for the pace."""
    if isinstance(seen, Failure):
        return "other"
    if is_throttled(seen):
        return "throttled"
    if is_block(seen):
        return "other"
    if seen.status == 503:
        return "busy"
    return "through" if seen.status < 500 else "other"


def shows_api_is_up(reply: Reply) -> bool:
    """True when a reply to `GET /v1/users/me` shows that the API is up.

    A redirect or an HTML page may come from a proxy; after 5xx, 408 or 429 a row would not get
    through either.
    """
    if reply.status == 408 or reply.status >= 500 or 300 <= reply.status < 400:
        return False
    if is_throttled(reply) or is_about_the_route(reply) or is_block(reply):
        return False
    # A refusal shows that something decides.
    return reply.status >= 400 or may_be_the_apis(reply)


def may_come_from_api(seen: Reply | Failure) -> bool:
    """True unless the reply looks like that of a wrong address, a proxy or a captive portal.

    Those don't answer, redirect, or send a 2xx whose body is not the API's.
    """
    if isinstance(seen, Failure):
        return seen.may_have_arrived and seen.kind != "bad_reply" and not seen.hopeless
    if 300 <= seen.status < 400:
        return False
    if is_about_the_route(seen) or is_block(seen):
        return False
    return seen.status >= 400 or may_be_the_apis(seen)
