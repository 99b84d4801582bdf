"""Rate limits of servers. Pure: the time goes in, a verdict comes out."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal, Protocol, assert_never

from bulk_sync.quantities import Rate

LimitStyle = Literal["token-bucket", "fixed-window", "sliding-window", "concurrency"]
LimitHeaders = Literal["none", "retry-after", "ratelimit", "x-ratelimit"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one request.

    `remaining` requests would pass now; one more would in `next_seconds`, the full quota in
    `reset_seconds`.
    """

    passes: bool
    remaining: int
    next_seconds: float
    reset_seconds: float


class Limit(Protocol):
    """A server's limit: `quota` requests in `window_seconds`."""

    quota: int
    window_seconds: float

    def ask(self, now: float, in_flight: int) -> Verdict:
        """Judge a request that arrives now while `in_flight` others are being served."""
        ...


class TokenBucket:
    """A token bucket that holds one window's quota and refills evenly."""

    def __init__(self, rate: Rate) -> None:
        self.quota, self.window_seconds = _quota(rate), rate.period_seconds
        self._rate = rate.per_second
        self._tokens = float(self.quota)
        self._at = 0.0

    def ask(self, now: float, in_flight: int) -> Verdict:  # noqa: ARG002 - the protocol's
        """Take a token if there is one."""
        self._tokens = min(self.quota, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = now
        passes = self._tokens >= 1
        self._tokens -= passes
        missing = self.quota - self._tokens
        return Verdict(
            passes,
            int(self._tokens),
            max(0.0, (1 - self._tokens) / self._rate),
            missing / self._rate,
        )


class FixedWindow:
    """A quota for each window of the clock; twice the rate can pass across a boundary."""

    def __init__(self, rate: Rate) -> None:
        self.quota, self.window_seconds = _quota(rate), rate.period_seconds
        self._window = -1
        self._used = 0

    def ask(self, now: float, in_flight: int) -> Verdict:  # noqa: ARG002 - the protocol's
        """Count the request in the current window."""
        window = int(now // self.window_seconds)
        if window != self._window:
            self._window, self._used = window, 0
        passes = self._used < self.quota
        self._used += passes
        left = (window + 1) * self.window_seconds - now
        return Verdict(passes, self.quota - self._used, left, left)


class SlidingWindow:
    """A quota for any window: a log of the times at which requests passed."""

    def __init__(self, rate: Rate) -> None:
        self.quota, self.window_seconds = _quota(rate), rate.period_seconds
        self._passed: deque[float] = deque()

    def ask(self, now: float, in_flight: int) -> Verdict:  # noqa: ARG002 - the protocol's
        """Count the request in the window that ends now."""
        while self._passed and self._passed[0] <= now - self.window_seconds:
            self._passed.popleft()
        passes = len(self._passed) < self.quota
        if passes:
            self._passed.append(now)
        left = self._passed[0] + self.window_seconds - now
        return Verdict(passes, self.quota - len(self._passed), left, left)


class Concurrency:
    """A bound on requests in flight; the period of the rate is ignored."""

    def __init__(self, rate: Rate) -> None:
        self.quota, self.window_seconds = _quota(rate), 1.0

    def ask(self, now: float, in_flight: int) -> Verdict:  # noqa: ARG002 - the protocol's
        """Count the requests in flight."""
        return Verdict(in_flight < self.quota, max(0, self.quota - in_flight - 1), 1.0, 1.0)


def make_limit(rate: Rate, style: LimitStyle) -> Limit:
    """Return the limit of that style."""
    match style:
        case "token-bucket":
            return TokenBucket(rate)
        case "fixed-window":
            return FixedWindow(rate)
        case "sliding-window":
            return SlidingWindow(rate)
        case "concurrency":
            return Concurrency(rate)
    assert_never(style)


def limit_headers(kind: LimitHeaders, limit: Limit, verdict: Verdict) -> dict[str, str]:
    """Return the headers that a server of that kind sends.

    `ratelimit` follows draft-ietf-httpapi-ratelimit-headers-08 and later.
    """
    seconds = str(max(1, math.ceil(verdict.reset_seconds)))
    refused = (
        {} if verdict.passes else {"Retry-After": str(max(1, math.ceil(verdict.next_seconds)))}
    )
    match kind:
        case "none":
            return {}
        case "retry-after":
            return refused
        case "ratelimit":
            policy = f'"default";q={limit.quota};w={limit.window_seconds:.0f}'
            return {
                "RateLimit-Policy": policy,
                "RateLimit": f'"default";r={verdict.remaining};t={seconds}',
            } | refused
        case "x-ratelimit":
            return {
                "X-RateLimit-Limit": str(limit.quota),
                "X-RateLimit-Remaining": str(verdict.remaining),
                "X-RateLimit-Reset": seconds,
            } | refused
    assert_never(kind)


def _quota(rate: Rate) -> int:
    return max(1, int(rate.requests))
