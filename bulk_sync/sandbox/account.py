"""`GET /v1/users/me`: the team, the key and what is left of its allowance. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from bulk_sync.sandbox.behaviour import Behaviour
from bulk_sync.sandbox.limits import Verdict

_BEARER = re.compile(r"Bearer (north_sk_(?:live|test)_)(\w+)", re.ASCII)
# The published prefix shows 8 of 32 characters; of a shorter key it shows as small a share.
_SHOWN_CHARACTERS = 8
_SHOWN_SHARE = 4

# Whole seconds are rounded up, but not for the rounding errors of a window's end.
_ROUNDING_SECONDS = 0.001

_CREATED = "2024-01-15T10:30:00Z"


@dataclass(frozen=True, slots=True)
class Key:
    """An API key, of which only the published prefix is kept, and its permissions."""

    prefix: str
    permissions: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, header: str, behaviour: Behaviour) -> Self | None:
        """Return the key of an Authorization header, None for what is no key.

        One that begins with `readonly` may read and nothing else.
        """
        match = _BEARER.fullmatch(header)
        if match is None:
            return None
        shown = min(_SHOWN_CHARACTERS, len(match[2]) // _SHOWN_SHARE)
        permissions = behaviour.permissions
        if match[2].startswith("readonly"):
            permissions = {
                resource: tuple(action for action in actions if action == "read")
                for resource, actions in permissions.items()
            }
        return cls(match[1] + match[2][:shown], permissions)

    def may(self, action: str) -> bool:
        """Return True when the key may do this with showings."""
        return action in self.permissions.get("showings", ())


def users_me(
    behaviour: Behaviour, key: Key, allowance: Verdict | None, calls: int, now: datetime
) -> dict[str, Any]:
    """Return the content of the reply, in the published shape.

    `calls` is the number of this month. Without an allowance that is stated here, `rate_limit` has
    the tier alone.
    """
    if behaviour.users_me == "odd":
        return {"user": {"email": "sync@example.com", "organisation": behaviour.team}}
    rate_limit: dict[str, Any] = {"tier": "standard"}
    if allowance is not None:
        rate_limit["remaining"] = allowance.remaining
        rate_limit["resets_at"] = _whole_second(now, allowance.reset_seconds)
    data = {
        "team": {
            "id": behaviour.team_id,
            "name": behaviour.team,
            "created_at": _CREATED,
            "member_count": 3,
            "reports_count": 25,
        },
        "subscription": {
            "plan": "professional",
            "status": "active",
            "api_usage": {
                "calls_this_month": calls,
                "resets_at": _text(month_start(now.replace(day=28) + timedelta(days=4))),
            },
        },
        "api_key": {
            "name": "Sandbox key",
            "prefix": key.prefix,
            "permissions": {name: list(actions) for name, actions in key.permissions.items()},
            "rate_limit_tier": "standard",
            "last_used_at": _text(now),
            "created_at": _CREATED,
        },
        "rate_limit": rate_limit,
    }
    return {"data": data}


def month_start(moment: datetime) -> datetime:
    """Return the start of the month in UTC."""
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _whole_second(now: datetime, seconds: float) -> str:
    moment = math.ceil(now.timestamp() + seconds - _ROUNDING_SECONDS)
    return _text(datetime.fromtimestamp(moment, UTC))


def _text(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
