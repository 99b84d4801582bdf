"""Ways in which servers tell of their limits: headers in several spellings, and `users/me`. Pure.

A `Teller` makes the headers of one reply. `Date`, which every real server sends, is added by the
server model.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from tests.models.rules import Count


@dataclass(frozen=True)
class Told:
    """What a server knows after a request: `wait_seconds` until one more would pass."""

    passes: bool
    wait_seconds: float
    counts: Sequence[Count]
    now: datetime


Teller = Callable[[Told], dict[str, str]]
Rounding = Literal["up", "down"]


def nothing(told: Told) -> dict[str, str]:  # noqa: ARG001 - a teller's
    """Tell nothing."""
    return {}


def retry_after(told: Told) -> dict[str, str]:
    """On refusals: `Retry-After` in whole seconds, rounded up."""
    return {} if told.passes else {"Retry-After": str(_whole(told.wait_seconds, "up", least=1))}


def retry_after_decimal(told: Told) -> dict[str, str]:
    """On refusals: `Retry-After` with three decimals (urllib3#2861), rounded up."""
    if told.passes:
        return {}
    return {"Retry-After": f"{math.ceil(told.wait_seconds * 1000) / 1000:.3f}"}


def all_of(*tellers: Teller) -> Teller:
    """Tell in several ways at once."""

    def tell(told: Told) -> dict[str, str]:
        return {name: text for teller in tellers for name, text in teller(told).items()}

    return tell


def ratelimit(rounding: Rounding = "up", *, policy: bool = True) -> Teller:
    """`RateLimit` and `RateLimit-Policy` of draft-ietf-httpapi-ratelimit-headers-08 and later.

    Several rules make several members, as the draft has it.
    """

    def tell(told: Told) -> dict[str, str]:
        policies, states = [], []
        for number, count in enumerate(told.counts):
            name = f'"w{number}"'
            policies.append(f"{name};q={count.quota};w={_whole(count.window_seconds, 'up')}")
            left = _whole(count.reset_seconds, rounding)
            states.append(f"{name};r={count.remaining};t={left}")
        headers = {"RateLimit": ", ".join(states)}
        return headers | ({"RateLimit-Policy": ", ".join(policies)} if policy else {})

    return tell


def ratelimit_07(told: Told) -> dict[str, str]:
    """`RateLimit: limit=, remaining=, reset=` of draft -07: the tightest rule only."""
    count = tightest(told.counts)
    reset = _whole(count.reset_seconds, "up")
    return {
        "RateLimit": f"limit={count.quota}, remaining={count.remaining}, reset={reset}",
        "RateLimit-Policy": f"{count.quota};w={_whole(count.window_seconds, 'up')}",
    }


Reset = Literal["seconds", "epoch", "epoch-ms", "iso"]


def separate(
    prefix: str = "X-RateLimit",
    reset: Reset = "seconds",
    rounding: Rounding = "up",
    *,
    decimals: bool = False,
) -> Teller:
    """`...-Limit`, `...-Remaining` and `...-Reset` about the tightest rule, in one's spelling."""

    def tell(told: Told) -> dict[str, str]:
        count = tightest(told.counts)
        remaining = float(count.remaining) if told.passes or not decimals else -1.0
        return {
            f"{prefix}-Limit": str(count.quota),
            f"{prefix}-Remaining": f"{remaining:.1f}" if decimals else str(count.remaining),
            f"{prefix}-Reset": reset_text(told.now, count.reset_seconds, reset, rounding),
        }

    return tell


def per_window(told: Told) -> dict[str, str]:
    """Kong's headers of each window, and `RateLimit-*` about the tightest of them.

    developer.konghq.com, plugin rate-limiting: "X-RateLimit-Limit-Minute",
    "X-RateLimit-Remaining-Minute"; `RateLimit-Reset` in seconds.
    """
    names = {1: "Second", 60: "Minute", 3600: "Hour", 86400: "Day"}
    headers = {}
    for count in told.counts:
        name = names[int(count.window_seconds)]
        headers[f"X-RateLimit-Limit-{name}"] = str(count.quota)
        headers[f"X-RateLimit-Remaining-{name}"] = str(count.remaining)
    count = tightest(told.counts)
    return headers | {
        "RateLimit-Limit": str(count.quota),
        "RateLimit-Remaining": str(count.remaining),
        "RateLimit-Reset": str(_whole(count.reset_seconds, "up", least=1)),
    }


def shopify(told: Told) -> dict[str, str]:
    """Shopify's used tokens of the bucket, and `Retry-After` with a decimal on refusals."""
    count = told.counts[0]
    headers = {"X-Shopify-Shop-Api-Call-Limit": f"{count.quota - count.remaining}/{count.quota}"}
    seconds = f"{_whole(told.wait_seconds, 'up', least=1)}.0"
    return headers if told.passes else headers | {"Retry-After": seconds}


def hubspot(told: Told) -> dict[str, str]:
    """HubSpot's headers: the first rule by its interval in milliseconds, the second by the day."""
    short, day = told.counts
    return {
        "X-HubSpot-RateLimit-Max": str(short.quota),
        "X-HubSpot-RateLimit-Remaining": str(short.remaining),
        "X-HubSpot-RateLimit-Interval-Milliseconds": f"{short.window_seconds * 1000:.0f}",
        "X-HubSpot-RateLimit-Daily": str(day.quota),
        "X-HubSpot-RateLimit-Daily-Remaining": str(day.remaining),
    }


def reddit(told: Told) -> dict[str, str]:
    """Reddit's headers, without a limit: used, remaining as a decimal, seconds to the reset."""
    count = told.counts[0]
    return {
        "X-Ratelimit-Used": str(count.quota - count.remaining),
        "X-Ratelimit-Remaining": f"{count.remaining:.1f}",
        "X-Ratelimit-Reset": str(_whole(count.reset_seconds, "down")),
    }


def tightest(counts: Sequence[Count]) -> Count:
    """Return the count with the fewest requests left; of equal ones, the longest to wait for."""
    return min(counts, key=lambda count: (count.remaining, -count.reset_seconds))


def reset_text(now: datetime, seconds: float, form: Reset, rounding: Rounding) -> str:
    """Return a reset as servers write it: a time in whole seconds, or in ms for `epoch-ms`."""
    if form == "seconds":
        return str(_whole(seconds, rounding))
    moment = now + timedelta(seconds=seconds)
    if form == "epoch-ms":
        return str(_whole(moment.timestamp() * 1000, rounding))
    whole = _whole(moment.timestamp(), rounding)
    if form == "epoch":
        return str(whole)
    return f"{datetime.fromtimestamp(whole, now.tzinfo):%Y-%m-%dT%H:%M:%SZ}"


def users_me(told: Told) -> bytes:
    """Return the body of `GET /v1/users/me` as the contract has it: the rest of the longest window.

    The reset is an ISO time in whole seconds, rounded down as most formatters do. Without a rule
    the body has no `rate_limit`.
    """
    data: dict[str, Any] = {
        "team": {"id": "550e8400-e29b-41d4-a716-446655440000", "name": "Example Realty"},
        "api_key": {"name": "Nightly sync", "permissions": {"showings": ["read", "update"]}},
    }
    if told.counts:
        count = max(told.counts, key=lambda one: one.window_seconds)
        at = reset_text(told.now, count.reset_seconds, "iso", "down")
        data["rate_limit"] = {"tier": "standard", "remaining": count.remaining, "resets_at": at}
    return json.dumps({"data": data}).encode()


def _whole(seconds: float, rounding: Rounding, least: int = 0) -> int:
    # Less than a microsecond is a rounding error of the model.
    rounded = math.ceil(seconds - 1e-6) if rounding == "up" else math.floor(seconds + 1e-6)
    return max(least, rounded)
