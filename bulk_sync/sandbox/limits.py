"""Rate limits of servers. Pure: the time goes in, a verdict comes out.

`look` judges a request without counting it and `ask` counts the one that passes, so that several
limits can hold at once and a server can report its state.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Literal, Protocol, assert_never

from bulk_sync.quantities import Rate

LimitStyle = Literal["token-bucket", "fixed-window", "sliding-window", "concurrency"]
LimitHeaders = Literal["none", "retry-after", "ratelimit", "x-ratelimit"]
AllowanceWindow = Literal["fixed", "fixed-from-first", "sliding"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one request.

    `remaining` more would pass now; one more would in `next_seconds`. `reset_seconds` is the time
    that a server of this kind calls the reset: the end of a fixed window, a full bucket, or the
    oldest request leaving a sliding window.
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


class Quota(ABC):
    """A limit whose state can be seen, and that a refused request does not change."""

    def __init__(self, rate: Rate) -> None:
        # A rate below one would never let a request through.
        self.quota, self.window_seconds = max(1, int(rate.requests)), rate.period_seconds

    @abstractmethod
    def look(self, now: float, in_flight: int) -> Verdict:
        """Return the verdict on a request that would arrive now; count nothing."""

    @abstractmethod
    def _count(self, now: float) -> None:
        """Count a request that passed."""

    def ask(self, now: float, in_flight: int) -> Verdict:
        """Judge a request that arrives now, and count it if it passes."""
        verdict = self.look(now, in_flight)
        if verdict.passes:
            self._count(now)
            verdict = replace(self.look(now, in_flight + 1), passes=True)
        return verdict


class TokenBucket(Quota):
    """A token bucket that holds one window's quota and refills evenly."""

    def __init__(self, rate: Rate) -> None:
        super().__init__(rate)
        self._rate = rate.per_second
        self._tokens = float(self.quota)
        self._at = 0.0

    def look(self, now: float, in_flight: int) -> Verdict:  # noqa: ARG002 - the protocol's
        """Pass if there is a token."""
        tokens = min(self.quota, self._tokens + max(0.0, now - self._at) * self._rate)
        next_seconds = max(0.0, (1 - tokens) / self._rate)
        return Verdict(tokens >= 1, int(tokens), next_seconds, (self.quota - tokens) / self._rate)

    def _count(self, now: float) -> None:
        self._tokens = min(self.quota, self._tokens + max(0.0, now - self._at) * self._rate) - 1
        self._at = now


class FixedWindow(Quota):
    """A quota for each window of the clock; twice the rate can pass across a boundary.

    Windows begin at multiples of their length, as a quota that resets on the full hour does.
    """

    def __init__(self, rate: Rate) -> None:
        super().__init__(rate)
        self._window = -1
        self._used = 0

    def look(self, now: float, in_flight: int) -> Verdict:  # noqa: ARG002 - the protocol's
        """Pass while the current window has some of its quota left."""
        window = int(now // self.window_seconds)
        remaining = self.quota - (self._used if window == self._window else 0)
        left = (window + 1) * self.window_seconds - now
        return _window_verdict(remaining, left)

    def _count(self, now: float) -> None:
        window = int(now // self.window_seconds)
        self._used = 1 + (self._used if window == self._window else 0)
        self._window = window


class WindowFromFirst(Quota):
    """A quota for a window that begins with the first request after the last one has ended."""

    def __init__(self, rate: Rate) -> None:
        super().__init__(rate)
        self._end = -math.inf
        self._used = 0

    def look(self, now: float, in_flight: int) -> Verdict:  # noqa: ARG002 - the protocol's
        """Pass while the window has some of its quota left, or has ended."""
        if now >= self._end:
            return _window_verdict(self.quota, self.window_seconds)
        return _window_verdict(self.quota - self._used, self._end - now)

    def _count(self, now: float) -> None:
        if now >= self._end:
            self._end, self._used = now + self.window_seconds, 0
        self._used += 1


class SlidingWindow(Quota):
    """A quota for any window: a log of the times at which requests passed."""

    def __init__(self, rate: Rate) -> None:
        super().__init__(rate)
        self._passed: deque[float] = deque()

    def look(self, now: float, in_flight: int) -> Verdict:  # noqa: ARG002 - the protocol's
        """Pass while the window that ends now has some of its quota left."""
        old = self._old(now)
        oldest = self._passed[old] if old < len(self._passed) else now
        remaining = self.quota - len(self._passed) + old
        return _window_verdict(remaining, oldest + self.window_seconds - now)

    def _old(self, now: float) -> int:
        """Return how many requests of the log have left the window."""
        begin = now - self.window_seconds
        return sum(1 for _ in takewhile(lambda at: at <= begin, self._passed))

    def _count(self, now: float) -> None:
        for _ in range(self._old(now)):
            self._passed.popleft()
        self._passed.append(now)


class Concurrency(Quota):
    """A bound on requests in flight; the period of the rate is ignored."""

    def __init__(self, rate: Rate) -> None:
        super().__init__(Rate(rate.requests, 1.0))

    def look(self, now: float, in_flight: int) -> Verdict:  # noqa: ARG002 - the protocol's
        """Pass while fewer requests than the bound are in flight."""
        return Verdict(in_flight < self.quota, max(0, self.quota - in_flight), 1.0, 1.0)

    def _count(self, now: float) -> None:
        """Count nothing: `in_flight` is the count."""


class All:
    """Several limits at once: a request passes when each one passes it.

    The verdict is that of the tightest. A request that one limit refuses is not counted by the
    others. Some servers count it all the same, so that a limit by the second uses up the quota of
    the day (Envoy's rate limit service, envoyproxy/ratelimit#1060); then nothing but fewer refusals
    helps a client.
    """

    def __init__(self, limits: Sequence[Quota]) -> None:
        self.limits = tuple(limits)

    def look(self, now: float, in_flight: int) -> Verdict:
        """Return the verdict of the tightest limit."""
        return tightest([limit.look(now, in_flight) for limit in self.limits])

    def ask(self, now: float, in_flight: int) -> Verdict:
        """Count the request for every limit, if every limit passes it."""
        verdict = self.look(now, in_flight)
        if not verdict.passes:
            return verdict
        return tightest([limit.ask(now, in_flight) for limit in self.limits])


class LockOut:
    """A limit whose refusals lock the client out.

    Each refusal starts a lock-out, and each request during one starts it anew. Airtable documents
    30 seconds after a 429; GitHub's secondary limits grow while a client goes on.
    """

    def __init__(self, limit: All, seconds: float) -> None:
        self.limit, self.seconds = limit, seconds
        self._until = -math.inf

    def look(self, now: float, in_flight: int) -> Verdict:
        """Return a refusal during a lock-out, and the limit's verdict otherwise."""
        left = self._until - now
        if left <= 0:
            return self.limit.look(now, in_flight)
        return Verdict(passes=False, remaining=0, next_seconds=left, reset_seconds=left)

    def ask(self, now: float, in_flight: int) -> Verdict:
        """Judge the request; a refusal starts the lock-out anew."""
        if now >= self._until:
            verdict = self.limit.ask(now, in_flight)
            if verdict.passes:
                return verdict
        self._until = now + self.seconds
        return self.look(now, in_flight)


def tightest(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the verdict that keeps a client waiting longest.

    Of refusals the one with the longest wait; otherwise the one with the fewest requests left, of
    equal ones that which resets last. Without any verdict everything passes.
    """
    if not verdicts:
        return Verdict(passes=True, remaining=_ENDLESS, next_seconds=0.0, reset_seconds=0.0)
    return min(
        verdicts,
        key=lambda one: (
            one.passes,
            0.0 if one.passes else -one.next_seconds,
            one.remaining,
            -one.reset_seconds,
        ),
    )


# The requests left where there is no limit.
_ENDLESS = 1 << 62


def make_limit(rate: Rate, style: LimitStyle) -> Quota:
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


def make_allowance(rate: Rate, window: AllowanceWindow) -> Quota:
    """Return the quota whose windows begin in that way."""
    match window:
        case "fixed":
            return FixedWindow(rate)
        case "fixed-from-first":
            return WindowFromFirst(rate)
        case "sliding":
            return SlidingWindow(rate)
    assert_never(window)


def limit_headers(
    kind: LimitHeaders,
    limit: Limit,
    verdict: Verdict,
    *,
    name: str = "default",
    speed: float = 1.0,
) -> dict[str, str]:
    """Return the headers that a server of that kind sends.

    `ratelimit` follows draft-ietf-httpapi-ratelimit-headers-08 and later. The verdict is in real
    seconds, of which the limit's window lasts fewer by `speed`.
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
            window = max(1, round(limit.window_seconds / speed))
            return {
                "RateLimit-Policy": f'"{name}";q={limit.quota};w={window}',
                "RateLimit": f'"{name}";r={verdict.remaining};t={seconds}',
            } | refused
        case "x-ratelimit":
            return {
                "X-RateLimit-Limit": str(limit.quota),
                "X-RateLimit-Remaining": str(verdict.remaining),
                "X-RateLimit-Reset": seconds,
            } | refused
    assert_never(kind)


def _window_verdict(remaining: int, left: float) -> Verdict:
    return Verdict(remaining > 0, remaining, 0.0 if remaining > 0 else left, left)
