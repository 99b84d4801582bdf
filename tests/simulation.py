"""An hour in a second: the real sender against models of servers, on an event loop whose time is
virtual.

The loop's clock moves only when nothing is left to do but wait. A server is a transport:
it has a rule (`sandbox.limits`, or the leaky bucket below), a way to tell of it, a
latency, and outages.
"""

from __future__ import annotations

import asyncio
import math
import random
import selectors
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio

from bulk_sync.errors import BulkSyncError
from bulk_sync.model.rows import Change, Creation, Outcome, State, Tally
from bulk_sync.quantities import Rate
from bulk_sync.sandbox.limits import (
    Limit,
    LimitHeaders,
    LimitStyle,
    Verdict,
    limit_headers,
    make_limit,
)
from bulk_sync.send.bounds import Bounds
from bulk_sync.send.budget import Budget, PaceInMemory
from bulk_sync.send.context import Terms
from bulk_sync.send.decide import RetryPolicy
from bulk_sync.send.pace import Pace
from bulk_sync.send.sender import Sender
from bulk_sync.send.transport.interface import Failure, Reply
from bulk_sync.settings.sending import Sending

OUT_OF_ORDER = Failure("connection", "refused", may_have_arrived=False)

Latency = Callable[[random.Random], float]

STARTED = datetime(2026, 3, 2, 9, tzinfo=UTC)


def usual_policy(max_attempts: int = Sending.max_attempts) -> RetryPolicy:
    """The policy of a push without options, but for the attempts."""
    return RetryPolicy(
        max_attempts=max_attempts,
        retry_for_seconds=Sending.retry_for_seconds,
        repeat_ambiguous=True,
    )


class _InstantSelector(selectors.DefaultSelector):
    """Waits for nothing: a wait moves the loop's clock instead."""

    passed = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if not ready:
            assert timeout is not None, "everybody waits for ever"
            self.passed += max(0.0, timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only in waits, and then at once."""

    def __init__(self) -> None:
        self._instant = _InstantSelector()
        super().__init__(self._instant)

    def time(self) -> float:
        return self._instant.passed


def in_virtual_time(main: Callable[[], Any]) -> Any:
    return anyio.run(main, backend="asyncio", backend_options={"loop_factory": VirtualLoop})


class VirtualClock:
    """The loop's time; every wake-up is up to a millisecond late."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def now(self) -> datetime:
        return STARTED + timedelta(seconds=self.monotonic())

    async def sleep(self, seconds: float) -> None:
        assert seconds >= 0, "anyio refuses to sleep for a negative time"
        await anyio.sleep(seconds + self._dice.random() * 0.001)  # noqa: TID251 - virtual time


class LeakyBucket:
    """As nginx's limit_req with `nodelay`: so many in a burst beyond an even stream."""

    def __init__(self, rate: Rate, burst: int = 5) -> None:
        self.quota, self.window_seconds = max(1, int(rate.requests)), rate.period_seconds
        self._rate, self._burst = rate.per_second, burst
        self._excess, self._at = 0.0, -math.inf

    def ask(self, now: float, in_flight: int) -> Verdict:  # noqa: ARG002 - the protocol's
        excess = (
            max(0.0, self._excess - (now - self._at) * self._rate) + 1
            if self._at > -math.inf
            else 0.0
        )
        passes = excess <= self._burst
        if passes:
            self._excess, self._at = excess, now
        left = max(0.0, (excess - self._burst) / self._rate)
        return Verdict(passes, int(max(0.0, self._burst - excess)), left, excess / self._rate)


RULES: dict[str, Callable[[Rate], Limit]] = {"leaky-bucket": LeakyBucket}


def rule(style: str, rate: Rate) -> Limit:
    made = RULES.get(style)
    if made is not None:
        return made(rate)
    name: LimitStyle = style  # type: ignore[assignment]
    return make_limit(rate, name)


def steady(seconds: float) -> Latency:
    return lambda _: seconds


def heavy_tail(median: float) -> Latency:
    """Log-normal, cut at two seconds: one reply in ten takes three times the median."""
    return lambda dice: min(2.0, median * math.exp(dice.gauss(0, 0.85)))


FIFTY_MS = steady(0.05)


@dataclass
class Server:
    """A model of the API: a rule that may change, headers, latency, outages as (from, to) after the
    start.
    """

    style: str = "token-bucket"
    rate: Rate | None = None
    headers: LimitHeaders = "none"
    latency: Latency = FIFTY_MS
    seed: int = 1
    refuses_with: int = 429
    changes: list[tuple[float, Rate]] = field(default_factory=list)
    outages: Sequence[tuple[float, float]] = ()
    outage: Reply | Failure = OUT_OF_ORDER
    chokes_on: Callable[[str, int], bool] = lambda _key, _count: False
    wrong_headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.rule = rule(self.style, self.rate) if self.rate else None
        self.arrived: list[tuple[float, str, int]] = []
        self.times: Counter[str] = Counter()
        self.in_flight = 0
        self.busiest = 0
        self.began: float | None = None

    async def patch(self, path: str, body: bytes, idempotency_key: str) -> Reply | Failure:  # noqa: ARG002
        loop = asyncio.get_running_loop()
        took = self.latency(self.dice)
        there = min(0.003, took / 4) * (0.5 + self.dice.random())
        await asyncio.sleep(there)  # noqa: TID251 - virtual time
        now = loop.time()
        self.began = now if self.began is None else self.began
        key = path.rpartition("/")[2]
        self.times[key] += 1
        if any(begin <= now - self.began < end for begin, end in self.outages):
            self.arrived.append((now, key, 0))
            return self.outage
        while self.changes and now - self.began >= self.changes[0][0]:
            self.rule = rule(self.style, self.changes.pop(0)[1])
        headers = dict(self.wrong_headers)
        if self.rule is not None:
            verdict = self.rule.ask(now, self.in_flight)
            told = limit_headers(self.headers, self.rule, verdict)
            headers |= {name.lower(): text for name, text in told.items()}
            if not verdict.passes:
                self.arrived.append((now, key, self.refuses_with))
                await asyncio.sleep(0.002)  # noqa: TID251 - virtual time
                return Reply(self.refuses_with, headers, b"")
        self.in_flight += 1
        self.busiest = max(self.busiest, self.in_flight)
        await asyncio.sleep(took - there)  # noqa: TID251 - virtual time
        self.in_flight -= 1
        status = 500 if self.chokes_on(key, self.times[key]) else 200
        self.arrived.append((now, key, status))
        return Reply(status, headers, b'{"data": {"id": "x"}}' if status == 200 else b"")

    async def post(self, path: str, body: bytes, idempotency_key: str) -> Reply | Failure:
        """Ask the same rule; what is created is not kept."""
        return await self.patch(path, body, idempotency_key)

    async def get(self, path: str) -> Reply | Failure:  # noqa: ARG002
        now = asyncio.get_running_loop().time()
        if self.began is not None and any(
            begin <= now - self.began < end for begin, end in self.outages
        ):
            return self.outage
        return Reply(200, {}, b"{}")


@dataclass
class Rows:
    """The rows of one process."""

    left: deque[Change]
    outcomes: dict[int, Outcome] = field(default_factory=dict)

    async def claim(self, limit: int) -> list[Change]:
        await anyio.lowlevel.checkpoint()
        return [self.left.popleft() for _ in range(min(limit, len(self.left)))]

    def take(self) -> Change | None:
        return self.left.popleft() if len(self.left) % 2 else None

    async def begin_creation(self, change: Change, report_id: str | None) -> Creation | None:  # noqa: ARG002
        raise AssertionError("nothing is created unless it was asked for")

    def put(self, outcome: Outcome) -> None:
        assert outcome.id not in self.outcomes
        self.outcomes[outcome.id] = outcome


@dataclass
class Ran:
    """How a run went; seconds are from its start to its last reply."""

    server: Server
    rows: int
    seconds: float
    outcomes: dict[int, Outcome]
    tallies: list[Tally]
    stopped: list[BulkSyncError | None]

    @property
    def requests(self) -> int:
        return len(self.server.arrived)

    @property
    def refused_per_100(self) -> float:
        refused = sum(status in {429, 503} for _, _, status in self.server.arrived)
        return 100 * refused / max(1, self.requests)

    def over_optimum(self, per_second: float) -> float:
        return self.seconds / (self.rows / per_second)

    def states(self) -> Counter[State]:
        return Counter(outcome.state for outcome in self.outcomes.values())


def simulate(
    server: Server,
    rows: int,
    *,
    workers: int = 64,
    ceiling: float | None = None,
    processes: int = 1,
    policy: RetryPolicy | None = None,
    tried: bool = False,
) -> Ran:
    """Send so many rows to the server, by so many processes that share a budget."""

    async def main() -> Ran:
        dice = random.Random(server.seed)
        clock = VirtualClock(dice)
        pace_store = PaceInMemory(Pace())
        changes = [
            Change(number, number + 2, f"k{number}", "{}", "d", tried) for number in range(rows)
        ]
        works = [Rows(deque(changes[first::processes])) for first in range(processes)]
        tallies = [Tally() for _ in works]
        senders = [
            Sender(
                server,
                work,
                budget=Budget(pace_store, clock, dice, ceiling),
                terms=Terms(policy or usual_policy(), Bounds(), workers),
                clock=clock,
                dice=dice,
                tally=tally,
            )
            for work, tally in zip(works, tallies, strict=True)
        ]
        begun = clock.monotonic()
        async with anyio.create_task_group() as tasks:
            for sender in senders:
                tasks.start_soon(sender.run)
        outcomes = {row: outcome for work in works for row, outcome in work.outcomes.items()}
        seconds = clock.monotonic() - begun
        return Ran(server, rows, seconds, outcomes, tallies, [sender.stopped for sender in senders])

    ran: Ran = in_virtual_time(main)
    return ran
