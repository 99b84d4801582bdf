"""Create the showings that North does not have: the protocol of one row. Pure.

A row's PATCH goes first. A 404 to it is followed by `POST /v1/showings` with everything that the
row says, and the row ends `created`. Exactly one showing per key is to come of it, although a POST
adds and its answer may be lost. The invariants:

1. A POST leaves only after a 404 to a PATCH of the row. It is repeated without another PATCH only
   if it is known not to have been applied (429, no connection).
2. After a POST that may have been applied (no whole reply, 5xx, an unusable 2xx), the PATCH goes
   first again, `SETTLE_SECONDS` later, because North may have applied the POST late, or may answer
   a PATCH from a replica that lags. Its 404 counts only when the time that the POST had taken has
   passed once more (`settle_seconds`). The PATCH goes first after a 409, too: the showing exists,
   whoever made it.
3. The checkpoint notes that a showing is about to be created before the POST leaves, until a reply
   settles what became of it. After a kill in between, or a run that gave up, the row's PATCH goes
   first, with two differences to a row that was never tried: a 404 counts only `SETTLE_SECONDS`
   after that PATCH left, and an acknowledgement means `created`, because it was most likely this
   job that made the showing.
4. One request of a row is in flight at a time, one row of a sheet addresses a showing, and one run
   holds a checkpoint. So no two POSTs for a key are ever in flight, except one that a time-out or a
   kill left behind.
5. The POSTs of one content carry one Idempotency-Key, so an API that honours it makes one showing
   even of those two. So does one that refuses a key that is taken.

One gap remains, and docs/changes.md names it: an API that does neither, and applies a POST later
than that. Another program that creates the same showing at the same time is beyond any client's
reach in such an API.

Once a showing was missing, nothing that was known of it holds: its row sends everything it says
from then on, also in a PATCH.
"""

from __future__ import annotations

import hashlib
import json

from msgspec.structs import replace

from bulk_sync.errors import KeyRefused
from bulk_sync.send.decide import (
    Decision,
    RetryIn,
    RetryPolicy,
    RowRejected,
    SoFar,
    StopRun,
    may_have_been_applied,
)
from bulk_sync.send.transport.interface import Failure, Reply

CREATE_PATH = "/v1/showings"

SETTLE_SECONDS = 2.0
"""The least time that a POST whose answer was lost has to be applied, before its row is looked for.
"""

FORBIDDEN_IN_A_ROW = 10
"""This many POSTs refused with 403, with nothing acknowledged in between, end the run."""


def settle_seconds(took_seconds: float) -> float:
    """Return how long after a POST of this duration a 404 doesn't show yet that it was lost.

    An API that was slow for so long may need as long again.
    """
    return max(SETTLE_SECONDS, took_seconds)


def creation_body(patch: str, key: str, report_id: str) -> str:
    """Return the body of a POST: the patch, the key and the report.

    Fields to be cleared are left out, because a new showing has nothing in them.
    """
    values = {name: value for name, value in json.loads(patch).items() if value is not None}
    values |= {"unique_showing_key": key, "report_id": report_id}
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def creation_key(body: str) -> str:
    """Return the idempotency key, equal for every POST of one content."""
    return hashlib.sha256(f"POST\0{body}".encode()).hexdigest()[:32]


def patch_goes_first(seen: Reply | Failure) -> bool:
    """True when a PATCH has to show what became of a POST before another one."""
    return may_have_been_applied(seen) or _key_is_taken(seen)


def after_post(
    seen: Reply | Failure,
    decision: Decision,
    so_far: SoFar,
    policy: RetryPolicy,
    *,
    dice: float,
    forbidden: int,
) -> Decision:
    """Return what to do after a POST, given the decision that a PATCH would get.

    `forbidden` counts the POSTs in a row that were refused with 403, including this one.
    """
    match decision:
        case RetryIn(seconds=seconds, everyone=False) if may_have_been_applied(seen):
            return replace(decision, seconds=max(seconds, SETTLE_SECONDS))
        case RowRejected(error="forbidden", message=message):
            if forbidden < FORBIDDEN_IN_A_ROW:
                return RowRejected("forbidden", f"Not created: {message}")
            return StopRun(
                KeyRefused(
                    f"The API refused to create {forbidden} showings in a row: {message} (403). "
                    "Use a key that may create showings, or push without --create-missing"
                )
            )
        case RowRejected(message=message) if _key_is_taken(seen):
            failures = max(1, so_far.failures)
            if failures < policy.max_attempts:
                return RetryIn(policy.backoff(failures, dice), "409: the key is taken by now")
            return RowRejected("refused", f"Not created, and not found either: {message}")
        case RowRejected(message=message):
            return RowRejected("refused", f"Not created: {message}")
        case _:
            return decision


def _key_is_taken(seen: Reply | Failure) -> bool:
    return isinstance(seen, Reply) and seen.status == 409


def without_report(rejected: RowRejected) -> RowRejected:
    """Return the rejection of a missing showing that can't be created, with the reason."""
    return RowRejected(
        rejected.error,
        f"{rejected.message}. It can't be created, because the row has no report_id and --report "
        "is not given",
    )
