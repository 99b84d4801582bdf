"""Turn a reply or a failure into a decision. Pure: it never sleeps, sends or retries.

| reply or failure | decision |
|---|---|
| 2xx with the contract's JSON, or without a body | Acknowledged |
| 2xx with anything else or about another showing, 3xx | as a failed attempt: bad_reply |
| 401; 403 before any acknowledgement | StopRun: the key is refused |
| 403 after an acknowledgement | RowRejected: forbidden |
| 404, 410 | RowRejected: not_found |
| 408, 425, 5xx but 501 and 505 | RetryIn, full jitter |
| 429, 503 with Retry-After | RetryIn for everyone, no attempt used; StopRun past --retry-for |
| other 4xx, 501, 505 | RowRejected: refused |
| connection and time-out errors | RetryIn, full jitter |
| certificate refused, no such host | StopRun: outage |

When attempts or time are used up, RetryIn becomes RowFailed. Full jitter is a wait drawn uniformly
from zero to the exponential bound (Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture
Blog, 2015).
"""

from __future__ import annotations

import json
import math
import re
from datetime import datetime
from json.encoder import encode_basestring
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import Struct

from bulk_sync.errors import KeyRefused, Outage, StoppedEarly
from bulk_sync.model.rows import GivenUp
from bulk_sync.send.headers import retry_after
from bulk_sync.send.observation import Kind
from bulk_sync.send.transport.interface import Failure, Reply

LONGEST_MESSAGE = 300
"""Characters of a server's message that a report keeps."""

# The server can't do this at all, now or later.
_NOT_SUPPORTED = frozenset({501, 505})


class RetryPolicy(Struct, frozen=True):
    """The limits of retries.

    A row gets `max_attempts` attempts within `retry_for_seconds` of its first request. Without
    `repeat_ambiguous`, a request that may have been applied is not sent again.
    """

    max_attempts: int
    retry_for_seconds: float
    repeat_ambiguous: bool
    base_seconds: float = 0.5
    longest_seconds: float = 30.0

    def backoff(self, failures: int, dice: float) -> float:
        """Return a wait with full jitter; `dice` is drawn from 0 to 1."""
        # The exponent is capped because a float overflows beyond 2.0 ** 1023.
        return dice * min(self.longest_seconds, self.base_seconds * 2.0 ** min(failures - 1, 30))


class SoFar(NamedTuple):
    """The attempts of a row, including the one that just ended.

    `throttled` counts those that the API answered with a wait, `excused` those that an outage gave
    back. `elapsed_seconds` leaves out outages, and `left_seconds` remain until --deadline.
    `key_accepted` is True once the API acknowledged anything with this key.
    """

    attempts: int
    throttled: int
    elapsed_seconds: float
    key_accepted: bool
    excused: int = 0
    left_seconds: float = math.inf

    @property
    def failures(self) -> int:
        """The number of attempts that count."""
        return self.attempts - self.throttled - self.excused


class Acknowledged(NamedTuple):
    """The API applied the patch."""

    showing_id: str | None
    updated_at: str | None
    note: str | None = None


class RetryIn(Struct, frozen=True):
    """Try again after a wait.

    With `everyone` the server throttled the whole run, and the pace decides how long it waits.
    """

    seconds: float
    why: str
    everyone: bool = False


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


class StopRun(Struct, frozen=True):
    """No other row would fare better: stop sending, leave the rest pending."""

    reason: KeyRefused | Outage | StoppedEarly


Decision = Acknowledged | RetryIn | RowRejected | RowFailed | StopRun


class _Data(Struct):
    id: str | None = None
    north_id: Any = None
    unique_showing_key: Any = None  # not in the published reply
    updated_at: str | None = None
    feedback: str | None = None
    showing_date: str | None = None


class _Acknowledgement(Struct):
    data: _Data | None = None
    message: str | None = None
    error: Any = None


# Ten times as fast as a pydantic model; ignores other fields and coerces nothing.
_decode = msgspec.json.Decoder(_Acknowledgement).decode


def decide(
    seen: Reply | Failure,
    so_far: SoFar,
    policy: RetryPolicy,
    *,
    target: str,
    sent: str,
    dice: float,
) -> Decision:
    """Return what to do next.

    `target` is the key or id of the showing and `sent` the patch as JSON; `dice` is drawn from 0 to
    1, for the jitter.
    """
    if isinstance(seen, Failure):
        if seen.hopeless:
            return StopRun(
                Outage(f"{seen.message}. Sending stopped here; fix this, then run again")
            )
        return _retry_or_fail(
            seen.kind, seen.message, so_far, policy, dice, ambiguous=seen.may_have_arrived
        )
    if 200 <= seen.status < 300:
        answer = acknowledgement(seen, target, sent)
        if isinstance(answer, str):
            return _retry_or_fail("bad_reply", answer, so_far, policy, dice, ambiguous=True)
        return answer
    return _refusal(seen, so_far, policy, dice)


def acknowledgement(reply: Reply, target: str, sent: str) -> Acknowledged | str:
    """Return the acknowledgement in a 2xx, or the reason why it is not one of this patch."""
    read = _read(reply)
    if read is None:
        return _unexpected(reply)
    if other := _other_showing(read, target, sent):
        return f"{reply.status}, but the reply is about another showing ({other})"
    note = _differing_echo(read, sent)
    if b"\\u0000" in reply.body:
        return Acknowledged(_without_nul(read.id), _without_nul(read.updated_at), note)
    return Acknowledged(read.id, read.updated_at, note)


def _refusal(reply: Reply, so_far: SoFar, policy: RetryPolicy, dice: float) -> Decision:
    message = api_message(reply)
    match reply.status:
        case 401:
            return StopRun(KeyRefused(f"The API refused the key: {message} (401)"))
        case 403 if not so_far.key_accepted:
            return StopRun(KeyRefused(f"The API refused the key: {message} (403)"))
        case 403:
            return RowRejected("forbidden", message)
        case 404 | 410:
            return RowRejected("not_found", message)
        case 429 | 503 if is_throttled(reply):
            return _throttled(reply, so_far, policy)
        case 408 | 425:
            return _retry_or_fail(
                "server_error",
                f"{reply.status}: {message}",
                so_far,
                policy,
                dice,
                ambiguous=may_have_been_applied(reply),
            )
        case status if status in _NOT_SUPPORTED:
            return RowRejected("refused", message)
        case status if status >= 500:
            return _retry_or_fail(
                "server_error", f"{status}: {message}", so_far, policy, dice, ambiguous=True
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
    return RowRejected("refused", message)


def may_have_been_applied(seen: Reply | Failure) -> bool:
    """True when the patch may have been applied.

    An error status rules that out, except the ones that a proxy may send on the API's behalf.
    """
    if isinstance(seen, Failure):
        return seen.may_have_arrived
    return (
        seen.status < 300
        or seen.status == 408
        or (seen.status >= 500 and seen.status not in _NOT_SUPPORTED)
    )


def _retry_or_fail(
    error: Literal["timeout", "connection", "server_error", "bad_reply"],
    why: str,
    so_far: SoFar,
    policy: RetryPolicy,
    dice: float,
    *,
    ambiguous: bool,
) -> RetryIn | RowFailed:
    failures = max(1, so_far.failures)
    seconds = policy.backoff(failures, dice)
    if ambiguous and not policy.repeat_ambiguous:
        return RowFailed(error, why, GivenUp.AMBIGUOUS, final=True)
    if failures >= policy.max_attempts:
        return RowFailed(error, why, GivenUp.ATTEMPTS)
    if so_far.elapsed_seconds + seconds > policy.retry_for_seconds:
        return RowFailed(error, why, GivenUp.TIME)
    return RetryIn(seconds, why)


def is_throttled(reply: Reply) -> bool:
    """True when the server limits the rate: the attempt doesn't count against the row."""
    return reply.status == 429 or (reply.status == 503 and retry_after(reply.headers) is not None)


def _throttled(reply: Reply, so_far: SoFar, policy: RetryPolicy) -> Decision:
    # The pace does the waiting: it holds every request, and chooses the time if the API names none.
    asked = retry_after(reply.headers) or 0.0
    if asked > so_far.left_seconds:
        return StopRun(
            StoppedEarly(
                f"The API asks to wait {asked:.0f} s ({reply.status}), longer than --deadline or "
                f"--finish-by leave ({max(0.0, so_far.left_seconds):.0f} s). "
                "Run again after that time"
            )
        )
    if so_far.elapsed_seconds + asked <= policy.retry_for_seconds:
        return RetryIn(0.0, f"{reply.status}: asked to wait", everyone=True)
    if asked:
        return StopRun(
            Outage(
                f"The API asks to wait {asked:.0f} s ({reply.status}), longer than what is left "
                f"of --retry-for ({policy.retry_for_seconds:.0f} s). Run again after that time"
            )
        )
    return RowFailed(
        "throttled", f"the API asked to wait for {so_far.elapsed_seconds:.0f} s on end"
    )


def _read(reply: Reply) -> _Data | None:
    """Read the body of a 2xx; None when it is not the contract's JSON."""
    if not reply.body.strip():
        return _Data()
    try:
        read = _decode(reply.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if read.error is not None:  # a 2xx that reports an error acknowledges nothing
        return None
    return read.data or _Data()


def _other_showing(data: _Data, target: str, sent: str) -> str | None:
    """Return the reply's key when it is neither the requested one nor the patch's new one.

    A reply without a key decides nothing, because an id can't be compared with a key.
    """
    key = data.unique_showing_key
    # A tuple rather than a set: a malformed north_id may be a list, which has no hash.
    names = (key, data.id, data.north_id)
    if not isinstance(key, str) or target in names:
        return None
    return None if json.loads(sent).get("unique_showing_key") == key else _one_line(key)


def _differing_echo(data: _Data, sent: str) -> str | None:
    """Return a note on fields that the API echoes with another value than was sent."""
    # Search the text of the patch, which is our own compact JSON: parsing it for every row would
    # cost as much as everything else here.
    names = []
    if (
        data.feedback is not None
        and not _echoes(data.feedback, "feedback", sent)
        and '"feedback":' in sent
    ):
        names.append("feedback")
    if data.showing_date is not None and not _echoes(data.showing_date, "showing_date", sent):
        date = _SENT_DATE.search(sent)
        if date is not None and not _same_instant(date[1], data.showing_date):
            names.append("showing_date")
    return f"the API's reply has another {' and '.join(names)} than was sent" if names else None


_SENT_DATE = re.compile(r'"showing_date":"([^"]*)"')


def _echoes(value: str, field: str, sent: str) -> bool:
    """True when the patch has exactly this value."""
    # A value can't be mistaken for a field, because its quotes are escaped.
    return f'"{field}":{encode_basestring(value)}' in sent


def _same_instant(sent: str, echoed: str) -> bool:
    try:
        return datetime.fromisoformat(sent) == datetime.fromisoformat(echoed)
    except (ValueError, TypeError):
        return False


def pace_kind(seen: Reply | Failure) -> Kind:
    """Return the kind of a reply or failure for the pace."""
    if isinstance(seen, Failure):
        return "other"
    if is_throttled(seen):
        return "throttled"
    if seen.status == 503:
        return "busy"
    return "through" if seen.status < 500 else "other"


def shows_api_is_up(reply: Reply) -> bool:
    """True when a reply to `GET /v1/users/me` shows that the API is up.

    A redirect or an HTML page may come from a proxy; after 5xx, 408 or 429 a row would not get
    through either.
    """
    if reply.status in {408, 429} or reply.status >= 500 or 300 <= reply.status < 400:
        return False
    if reply.status >= 400:  # a refusal shows that something decides
        return True
    try:
        json.loads(reply.body or b"{}")
    except (ValueError, RecursionError):
        return False
    return True


def may_come_from_api(seen: Reply | Failure) -> bool:
    """True unless the reply looks like that of a wrong address, a proxy or a captive portal.

    Those don't answer, redirect, or send a 2xx whose body is not the API's.
    """
    if isinstance(seen, Failure):
        return seen.may_have_arrived and seen.kind != "bad_reply" and not seen.hopeless
    if 300 <= seen.status < 400:
        return False
    return seen.status >= 400 or _read(seen) is not None


def api_message(reply: Reply) -> str:
    """Return the message in the API's error body, on one line; without one, the status."""
    try:
        message = json.loads(reply.body)["error"]["message"]
    except (ValueError, KeyError, TypeError, RecursionError):
        message = None
    if not isinstance(message, str) or not message.strip():
        return f"status {reply.status}"
    return _one_line(message)


def _one_line(text: str) -> str:
    # JSON may hold half a surrogate pair, which can't be written to a UTF-8 file.
    whole = text.replace("\0", _SYMBOL_FOR_NUL).encode("utf-8", "backslashreplace").decode()
    return " ".join(whole.split())[:LONGEST_MESSAGE]


# In place of NUL, with which results and failed rows could not be read back.
_SYMBOL_FOR_NUL = "\u2400"


def _without_nul(text: str | None) -> str | None:
    return text and text.replace("\0", _SYMBOL_FOR_NUL)


def _unexpected(reply: Reply) -> str:
    kind = reply.headers.get("content-type", "no content type")[:60]
    return f"{reply.status}, but the reply is not the API's JSON ({kind}, {len(reply.body)} bytes)"
