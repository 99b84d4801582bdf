"""Read the answer to `GET /v1/users/me`, and judge whether rows may be sent with this key. Pure.

The published page shows an example and promises nothing: each part may be missing, or be something
else. A part of a wrong type is ignored, and no answer raises an exception.

| answer | judgement |
|---|---|
| 2xx of the published shape, the right team, the permissions needed | Known |
| the same, but another team, or without a permission that is needed | Refused |
| 401; 403 with the API's error body; a failure that no retry cures | Refused |
| 404, 405, 501, another shape | Unknown |
| any other status, HTML, a failure | Unknown for now: a later try may tell |
"""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from msgspec import Struct

from bulk_sync.errors import BulkSyncError, KeyRefused, Outage, WrongTeam
from bulk_sync.model.account import Team, same_team, wrong_team
from bulk_sync.send.decide import (
    block_text,
    hopeless,
    is_about_the_route,
    is_block,
    is_throttled,
    no_route,
)
from bulk_sync.send.headers import YEAR_SECONDS, Quota
from bulk_sync.send.messages import api_message, is_own_error
from bulk_sync.send.transport.interface import Failure, Reply

PATH = "/v1/users/me"

LONGEST_SECONDS = 10.0
"""The bound of the wait for an answer, unless --timeout is shorter: the push can do without it."""

RESOURCE = "showings"
"""The name of showings among a key's permissions."""

UPDATE = frozenset({"update"})
"""The permissions on showings that a push needs."""

_ANY = "*"  # not in the published example, but a usual way to permit all
_LONGEST_TEXT = 200
_MOST_LISTED = 50

MISSING = frozenset({404, 405, 410, 501})
"""The statuses of an API without this endpoint."""


class Account(Struct, frozen=True):
    """A key's team, permissions and allowance; None, or empty, where the answer leaves it out.

    `permissions` has the verbs of each resource, in lower case. `remaining` requests are left until
    `resets_at`; `calls_this_month` are counted until `month_resets_at`.
    """

    team: Team | None = None
    permissions: Mapping[str, tuple[str, ...]] = {}
    remaining: int | None = None
    resets_at: datetime | None = None
    calls_this_month: int | None = None
    month_resets_at: datetime | None = None
    key_name: str | None = None

    def missing(self, verbs: frozenset[str]) -> tuple[str, ...]:
        """Return the verbs on showings that the key lacks; none if nothing is said of showings."""
        granted = self.permissions.get(RESOURCE)
        if granted is None or _ANY in granted:
            return ()
        return tuple(sorted(verbs - set(granted)))


# Read


def read_account(reply: Reply) -> Account | None:
    """Return the account in a reply; None unless it has some part of the published shape."""
    if not 200 <= reply.status < 300:
        return None
    try:
        found = json.loads(reply.body)
    except (ValueError, RecursionError):
        return None
    root = _dict(found)
    data = _dict(root.get("data"))
    parts = [_dict(data.get(name)) for name in ("team", "api_key", "rate_limit", "subscription")]
    if root.get("error") is not None or not any(parts):
        return None
    team, key, limit, subscription = parts
    usage = _dict(subscription.get("api_usage"))
    return Account(
        team=Team(_text(team.get("id")), _text(team.get("name"))) or None,
        permissions=_permissions(key.get("permissions")),
        remaining=_count(limit.get("remaining")),
        resets_at=_moment(limit.get("resets_at")),
        calls_this_month=_count(usage.get("calls_this_month")),
        month_resets_at=_moment(usage.get("resets_at")),
        key_name=_text(key.get("name")),
    )


def allowance(account: Account, headers: Mapping[str, str], now: datetime) -> Quota | None:
    """Return what is left of the key's allowance; None if the answer says too little.

    The reset is compared with the reply's own `Date`, so that a wrong clock on either side does no
    harm; without one, with `now`. A reset that has passed says nothing of what is left now.
    """
    if account.remaining is None or account.resets_at is None:
        return None
    seconds = _seconds_between(_date(headers) or now, account.resets_at)
    if not 0 < seconds <= YEAR_SECONDS:
        return None
    return Quota(remaining=float(account.remaining), reset_seconds=seconds)


def _seconds_between(earlier: datetime, later: datetime) -> float:
    try:
        return (later - earlier).total_seconds()
    except OverflowError:  # offsets at either end of the calendar
        return math.inf


def _date(headers: Mapping[str, str]) -> datetime | None:
    try:
        moment = parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _dict(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    """Return a text on one line, as SQLite and files can store it."""
    if not isinstance(value, str):
        return None
    whole = value.replace("\0", " ").encode("utf-8", "backslashreplace").decode()
    return " ".join(whole.split())[:_LONGEST_TEXT] or None


def _count(value: object) -> int | None:
    """Return a whole number; a negative one, as of an overdrawn allowance, is 0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not value.is_integer():
        return None  # also for an infinite one
    return min(max(0, int(value)), 2**53)


def _moment(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _permissions(value: object) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, verbs in list(_dict(value).items())[:_MOST_LISTED]:
        if not isinstance(verbs, list):
            continue
        texts = [text.lower() for text in map(_text, verbs[:_MOST_LISTED]) if text]
        resource = _text(name)
        if resource and (texts or not verbs):  # a list without a single text is no list of verbs
            found[resource.lower()] = tuple(dict.fromkeys(texts))
    return found


# Judge


class Wanted(Struct, frozen=True):
    """The demands of a run on its key.

    `verbs` are needed on showings. `team` is that of `--team`; `job_team` that of the job, if it
    has one. `key_is_new` is True if the job, or its ledger, is of another key: then only the team
    can show that both belong together.
    """

    verbs: frozenset[str] = UPDATE
    team: str | None = None
    job_team: Team | None = None
    key_is_new: bool = False

    @property
    def needs_answer(self) -> bool:
        """True if it is worth several tries."""
        return self.team is not None or self.key_is_new


class Preflight(Struct, frozen=True):
    """The terms of a run's first request.

    `record` is called before any row leaves: with an account that is not refused, or with None when
    rows are sent without one. `known` is the account if it was read before the sheet was staged;
    then it is not requested again.
    """

    wanted: Wanted
    timeout_seconds: float
    record: Callable[[Account | None], Awaitable[None]]
    known: Account | None = None


class Known(Struct, frozen=True):
    """The key is good, and the API is reached."""

    account: Account


class Unknown(Struct, frozen=True):
    """Nothing is known of the key; `for_now` if a later try may tell."""

    why: str
    for_now: bool


class Refused(Struct, frozen=True):
    """No row may be sent; `team` is the key's, if the answer names one."""

    reason: BulkSyncError
    team: Team | None = None


Judgement = Known | Unknown | Refused


def judge(seen: Reply | Failure, wanted: Wanted) -> Judgement:
    """Return whether rows may be sent with the key that got this answer."""
    if isinstance(seen, Failure):
        if seen.hopeless:  # the first row would fare no better
            return Refused(hopeless(seen))
        return Unknown(seen.message, for_now=True)
    account = read_account(seen)
    if account is not None:
        reason = _why_not(account, wanted)
        return Known(account) if reason is None else Refused(reason, account.team)
    if is_throttled(seen):
        return Unknown(f"throttled ({seen.status})", for_now=True)
    if is_block(seen):
        return Unknown(block_text(seen), for_now=True)
    if is_about_the_route(seen):  # the first row would fare no better
        return Refused(no_route(seen))
    if seen.status == 401 or (seen.status == 403 and is_own_error(seen)):
        return Refused(KeyRefused(f"The API refused the key: {api_message(seen)} ({seen.status})"))
    if 200 <= seen.status < 300:
        return Unknown("an answer of another shape", for_now=not _is_json(seen))
    return Unknown(api_message(seen), for_now=seen.status not in MISSING)


def refusal_without_answer(unknown: Unknown, wanted: Wanted) -> BulkSyncError | None:
    """Return why no row may be sent if users/me gives no answer; None to send all the same."""
    if wanted.team is None:
        return None
    text = (
        f"The team of the key couldn't be checked against --team {wanted.team}: "
        f"GET {PATH}: {unknown.why}. Nothing was sent"
    )
    if unknown.for_now:
        return Outage(f"{text}. Run again later")
    return WrongTeam(f"{text}. Without --team the push goes on without that check")


def _why_not(account: Account, wanted: Wanted) -> BulkSyncError | None:
    team = account.team
    if wanted.team is not None and not (team and team.is_meant_by(wanted.team)):
        whose = f"acts for the team {team}" if team else f"has no team that GET {PATH} names"
        return WrongTeam(
            f"The key {whose}, not for --team {wanted.team}. Nothing was sent. "
            "Use that team's key, or correct --team"
            if team
            else f"The key {whose}, so it couldn't be checked against --team {wanted.team}. "
            "Nothing was sent. Without --team the push goes on without that check"
        )
    if team and wanted.job_team and same_team(team, wanted.job_team) is False:
        return wrong_team(wanted.job_team, team)
    missing = account.missing(wanted.verbs)
    if missing:
        granted = ", ".join(account.permissions[RESOURCE]) or "none"
        return KeyRefused(
            f"The key may not {' and '.join(missing)} {RESOURCE} (its permissions for them: "
            f"{granted}). Nothing was sent. Use a key that may "
            f"{' and '.join(sorted(wanted.verbs))} {RESOURCE}"
        )
    return None


def _is_json(reply: Reply) -> bool:
    try:
        json.loads(reply.body)
    except (ValueError, RecursionError):
        return False
    return True
