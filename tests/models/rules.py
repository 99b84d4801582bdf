"""Rules by which servers limit requests. Pure: the time is an argument.

A rule is asked for the wait until a request would pass, and notified of each one that passed or was
refused. The two are separate, so that the greedy schedule (`optimum`) can look for the first
instant that passes without counting a request. Instants are in seconds on any clock that never goes
back; a window that is aligned to the clock begins at its multiples.

The rules are written from the servers' documents and not from `bulk_sync.sandbox.limits`, so that
one mistake isn't made twice; `tests/unit/test_models.py` compares the two.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Count(NamedTuple):
    """What a server may tell of one rule: `remaining` of `quota` requests until the reset."""

    quota: int
    window_seconds: float
    remaining: int
    reset_seconds: float


class Rule(Protocol):
    """A server's limit."""

    def wait(self, now: float, in_flight: int) -> float:
        """Return a lower bound for the seconds until a request passes; 0 when one passes now.

        It counts nothing. `in_flight` requests are being served.
        """
        ...

    def passed(self, now: float) -> None:
        """Count a request that passed."""
        ...

    def refused(self, now: float) -> None:
        """Take note of a request that was refused."""
        ...

    def counts(self, now: float) -> Sequence[Count]:
        """Return what the server may tell after a request."""
        ...


class _Unlocked:
    """A rule that a refused request does not change."""

    def refused(self, now: float) -> None:
        """Take no note."""


class TokenBucket(_Unlocked):
    """A bucket of `burst` tokens, full at first, that refills at `rate` tokens a second."""

    def __init__(self, rate: float, burst: float, tokens: float | None = None) -> None:
        self.rate, self.burst = rate, burst
        self._tokens = burst if tokens is None else tokens
        self._at: float | None = None

    def _level(self, now: float) -> float:
        passed = 0.0 if self._at is None else max(0.0, now - self._at)
        return min(self.burst, self._tokens + passed * self.rate)

    def wait(self, now: float, in_flight: int) -> float:  # noqa: ARG002 - the protocol's
        """Return the seconds until there is a token."""
        return _positive((1 - self._level(now)) / self.rate)

    def passed(self, now: float) -> None:
        """Take a token."""
        self._tokens, self._at = max(0.0, self._level(now) - 1), now

    def counts(self, now: float) -> Sequence[Count]:
        """Tell the tokens, and the time until the bucket is full again."""
        level = self._level(now)
        full = (self.burst - level) / self.rate
        return (Count(int(self.burst), self.burst / self.rate, int(level + 1e-9), full),)


class LeakyBucket(_Unlocked):
    """An even stream, and a burst beyond it that passes at once.

    nginx's `limit_req` with `nodelay`, after ngx_http_limit_req_module.c: the excess over the even
    stream may be `burst` requests.
    """

    def __init__(self, rate: float, burst: int) -> None:
        self.rate, self.burst = rate, burst
        self._excess, self._at = 0.0, -math.inf

    def _next_excess(self, now: float) -> float:
        if self._at == -math.inf:  # nginx lets the first request of a key through with none
            return 0.0
        return max(0.0, self._excess - (now - self._at) * self.rate + 1)

    def wait(self, now: float, in_flight: int) -> float:  # noqa: ARG002 - the protocol's
        """Return the seconds until the excess leaves room for a request."""
        return _positive((self._next_excess(now) - self.burst) / self.rate)

    def passed(self, now: float) -> None:
        """Add a request to the excess."""
        self._excess, self._at = self._next_excess(now), now

    def counts(self, now: float) -> Sequence[Count]:
        """Tell the rest of the burst, and when it is whole again."""
        excess = max(0.0, self._excess - (now - self._at) * self.rate)
        left = int(max(0.0, self.burst - excess))
        return (Count(self.burst + 1, (self.burst + 1) / self.rate, left, excess / self.rate),)


class FixedWindow(_Unlocked):
    """A quota for each window of the clock; twice the quota can pass across a boundary.

    Windows begin at `phase` and every `seconds` from it. `used` of the first one are gone already.
    """

    def __init__(self, quota: int, seconds: float, *, phase: float = 0.0, used: int = 0) -> None:
        self.quota, self.seconds, self.phase = quota, seconds, phase
        self._window: int | None = None
        self._used = used

    def _turn(self, now: float) -> float:
        """Start the window of this instant; return its end."""
        window = math.floor((now - self.phase) / self.seconds)
        end = self.phase + (window + 1) * self.seconds
        if end <= now:  # by rounding
            window, end = window + 1, end + self.seconds
        if self._window is not None and window > self._window:
            self._used = 0
        self._window = window
        return end

    def wait(self, now: float, in_flight: int) -> float:  # noqa: ARG002 - the protocol's
        """Return the seconds until the next window, if this one's quota is used up."""
        end = self._turn(now)
        return end - now if self._used >= self.quota else 0.0

    def passed(self, now: float) -> None:
        """Count a request in its window."""
        self._turn(now)
        self._used += 1

    def counts(self, now: float) -> Sequence[Count]:
        """Tell the rest of the window."""
        end = self._turn(now)
        return (Count(self.quota, self.seconds, max(0, self.quota - self._used), end - now),)


class WindowFromFirst(_Unlocked):
    """A quota for a window that begins with the first request after the one before has ended."""

    def __init__(self, quota: int, seconds: float) -> None:
        self.quota, self.seconds = quota, seconds
        self._end = -math.inf
        self._used = 0

    def wait(self, now: float, in_flight: int) -> float:  # noqa: ARG002 - the protocol's
        """Return the seconds until the window ends, if its quota is used up."""
        return max(0.0, self._end - now) if self._used >= self.quota else 0.0

    def passed(self, now: float) -> None:
        """Count a request, in a new window if need be."""
        if now >= self._end:
            self._end, self._used = now + self.seconds, 0
        self._used += 1

    def counts(self, now: float) -> Sequence[Count]:
        """Tell the rest of the window."""
        is_over = now >= self._end
        used = 0 if is_over else self._used
        left = self.seconds if is_over else self._end - now
        return (Count(self.quota, self.seconds, self.quota - used, left),)


class SlidingLog(_Unlocked):
    """A quota for any window of that length: a log of the requests that passed."""

    def __init__(self, quota: int, seconds: float) -> None:
        self.quota, self.seconds = quota, seconds
        self._log: deque[float] = deque()

    def _drop_old(self, now: float) -> None:
        while self._log and self._log[0] + self.seconds <= now:
            self._log.popleft()

    def wait(self, now: float, in_flight: int) -> float:  # noqa: ARG002 - the protocol's
        """Return the seconds until the oldest request leaves a full window."""
        self._drop_old(now)
        return self._log[0] + self.seconds - now if len(self._log) >= self.quota else 0.0

    def passed(self, now: float) -> None:
        """Log a request."""
        self._log.append(now)

    def counts(self, now: float) -> Sequence[Count]:
        """Tell the rest of the quota, and when the oldest request leaves the window."""
        self._drop_old(now)
        oldest = self._log[0] + self.seconds - now if self._log else self.seconds
        return (Count(self.quota, self.seconds, max(0, self.quota - len(self._log)), oldest),)


class SlidingCounter(_Unlocked):
    """Two counters in place of a log: the last window's count fades while this one passes.

    As Cloudflare describes it ("How we built rate limiting capable of scaling to millions of
    domains", blog.cloudflare.com, 2017): last * (1 - share of this window that has passed) + this.
    """

    def __init__(self, quota: int, seconds: float) -> None:
        self.quota, self.seconds = quota, seconds
        self._window = -1
        self._last, self._this = 0, 0

    def _turn(self, now: float) -> float:
        """Start the window of this instant; return the share of it that has passed."""
        window = math.floor(now / self.seconds)
        if window > self._window:
            self._last = self._this if window == self._window + 1 else 0
            self._window, self._this = window, 0
        return now / self.seconds - window

    def _fading(self, room: float, count: int) -> float:
        """Return the share of a window at which `count` has faded to `room`."""
        return 0.0 if count <= room else 1 - room / count

    def wait(self, now: float, in_flight: int) -> float:  # noqa: ARG002 - the protocol's
        """Return the seconds until the last window's count has faded enough."""
        share = self._turn(now)
        room = self.quota - 1 - self._this
        if room >= 0:
            return _positive((self._fading(room, self._last) - share) * self.seconds)
        fading = self._fading(self.quota - 1, self._this)
        return _positive((1 - share + fading) * self.seconds)

    def passed(self, now: float) -> None:
        """Count a request."""
        self._turn(now)
        self._this += 1

    def counts(self, now: float) -> Sequence[Count]:
        """Tell the rest of the estimate."""
        share = self._turn(now)
        left = self.quota - math.ceil(self._last * (1 - share) + self._this)
        return (Count(self.quota, self.seconds, max(0, left), (1 - share) * self.seconds),)


class Concurrency(_Unlocked):
    """A bound on requests that are served at the same time."""

    def __init__(self, most: int) -> None:
        self.most = most

    def wait(self, now: float, in_flight: int) -> float:  # noqa: ARG002 - the protocol's
        """Return 0 when another request may be served; else inf, as only a reply makes room."""
        return 0.0 if in_flight < self.most else math.inf

    def passed(self, now: float) -> None:
        """Count nothing: `in_flight` is the count."""

    def counts(self, now: float) -> Sequence[Count]:  # noqa: ARG002 - the protocol's
        """Tell nothing."""
        return ()


class Several:
    """Several rules at once; a request passes when it passes each, and counts for each then."""

    def __init__(self, *rules: Rule) -> None:
        self.rules = rules

    def wait(self, now: float, in_flight: int) -> float:
        """Return the longest wait."""
        return max(rule.wait(now, in_flight) for rule in self.rules)

    def passed(self, now: float) -> None:
        """Count a request for every rule."""
        for rule in self.rules:
            rule.passed(now)

    def refused(self, now: float) -> None:
        """Let every rule take note."""
        for rule in self.rules:
            rule.refused(now)

    def counts(self, now: float) -> Sequence[Count]:
        """Tell of every rule, in their order."""
        return tuple(count for rule in self.rules for count in rule.counts(now))


class Changing:
    """A rule that others replace, each at its instant."""

    def __init__(self, first: Rule, *later: tuple[float, Rule]) -> None:
        self._now, self._later = first, deque(later)

    def _turn(self, now: float) -> Rule:
        while self._later and now >= self._later[0][0]:
            self._now = self._later.popleft()[1]
        return self._now

    def wait(self, now: float, in_flight: int) -> float:
        """Return the wait by the rule in force, or until the next one."""
        wait = self._turn(now).wait(now, in_flight)
        return min(wait, self._later[0][0] - now) if self._later else wait

    def passed(self, now: float) -> None:
        """Count a request."""
        self._turn(now).passed(now)

    def refused(self, now: float) -> None:
        """Let the rule in force take note."""
        self._turn(now).refused(now)

    def counts(self, now: float) -> Sequence[Count]:
        """Tell of the rule in force."""
        return self._turn(now).counts(now)


class LockOut:
    """A rule whose refusals lock the client out.

    Each refusal starts a lock-out of `seconds`; with `renewed`, one during a lock-out starts it
    anew.
    """

    def __init__(self, rule: Rule, seconds: float, *, renewed: bool = True) -> None:
        self.rule, self.seconds, self.renewed = rule, seconds, renewed
        self._until = -math.inf

    def wait(self, now: float, in_flight: int) -> float:
        """Return the rest of the lock-out, or the rule's wait."""
        return max(0.0, self._until - now, self.rule.wait(now, in_flight))

    def passed(self, now: float) -> None:
        """Count a request."""
        self.rule.passed(now)

    def refused(self, now: float) -> None:
        """Lock the client out."""
        self.rule.refused(now)
        if self.renewed or now >= self._until:
            self._until = now + self.seconds

    def counts(self, now: float) -> Sequence[Count]:
        """Tell of the rule, and nothing of the lock-out."""
        return self.rule.counts(now)


def _positive(seconds: float) -> float:
    """Return the seconds, and 0 for what is only a rounding error."""
    return seconds if seconds > 1e-9 else 0.0
