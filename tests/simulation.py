"""An hour in a second: the real sender against models of servers, on an event loop whose time is
virtual.

The loop's clock moves only when nothing is left to do but wait. A server is a transport: it has a
rule and a way to tell of it (`tests.models`), a latency, faults, and outages.
"""

from __future__ import annotations

import asyncio
import copy
import math
import random
import selectors
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import anyio

from bulk_sync.errors import BulkSyncError
from bulk_sync.model.rows import Change, Creation, Outcome, State, Tally
from bulk_sync.quantities import Rate
from bulk_sync.send.account import Account, Preflight, Wanted
from bulk_sync.send.allowances import Given
from bulk_sync.send.backlog import NoWork
from bulk_sync.send.bounds import Bounds
from bulk_sync.send.budget import Budget
from bulk_sync.send.context import Terms
from bulk_sync.send.decide import RetryPolicy
from bulk_sync.send.pace import Pace
from bulk_sync.send.pace_store import LocalPermits, PaceInMemory
from bulk_sync.send.sender import Sender
from bulk_sync.send.transport.interface import Failure, Reply
from bulk_sync.settings.sending import Sending
from tests.models.optimum import Latency, optimum_seconds, transit, with_repeats
from tests.models.rules import Rule
from tests.models.telling import Teller, Told, nothing, users_me

OUT_OF_ORDER = Failure("connection", "refused", may_have_arrived=False)

STARTED = datetime(2026, 3, 2, 9, tzinfo=UTC)
START = 1000.0
"""The loop's time at the start of a run. Windows that are aligned to the hour end at 3600."""


def wall(now: float) -> datetime:
    """Return the time of day at an instant of the loop."""
    return STARTED + timedelta(seconds=now)


def usual_policy(max_attempts: int = Sending.max_attempts) -> RetryPolicy:
    """The policy of a push without options, but for the attempts."""
    return RetryPolicy(
        max_attempts=max_attempts,
        retry_for_seconds=Sending.retry_for_seconds,
        repeat_ambiguous=True,
    )


class _InstantSelector(selectors.DefaultSelector):
    """Waits for nothing: a wait moves the loop's clock instead."""

    passed = START

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


def idle_machine(dice: random.Random) -> float:
    """Return how late a task wakes up, in seconds."""
    return dice.random() * 0.001


class VirtualClock:
    """The loop's time; every wake-up is `late`, by up to a millisecond unless it is given."""

    def __init__(self, dice: random.Random, late: Latency = idle_machine) -> None:
        self._dice = dice
        self._late = late

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def now(self) -> datetime:
        return wall(self.monotonic())

    async def sleep(self, seconds: float) -> None:
        assert seconds >= 0, "anyio refuses to sleep for a negative time"
        await anyio.sleep(seconds + self._late(self._dice))  # noqa: TID251 - virtual time


def steady(seconds: float) -> Latency:
    return lambda _: seconds


def heavy_tail(median: float) -> Latency:
    """Log-normal, cut at two seconds: one reply in ten takes three times the median."""
    return lambda dice: min(2.0, median * math.exp(dice.gauss(0, 0.85)))


FIFTY_MS = steady(0.05)


@dataclass(frozen=True)
class Faults:
    """A share of the requests that pass gets a bare status at random, and is not applied."""

    share: float
    status: int = 503


def no_row(_key: str, _count: int) -> bool:
    """Choke on no row."""
    return False


@dataclass
class Server:
    """A model of the API; outages are pairs of instants, counted from the first request.

    The rule is copied, so that one may serve several runs. `answers_me` makes `GET /v1/users/me`
    state what is left, as the contract has it; with `me_counts` such a request counts for the rule.
    `arrived` lists the rows as they came, with instant and status (0 in an outage), `asked_me` the
    requests for `users/me`. `chokes_on` picks requests, by row and number of times it came, that
    get `chokes_with`.
    """

    rule: Rule | None = None
    tells: Teller = nothing
    latency: Latency = FIFTY_MS
    seed: int = 1
    refuses_with: int = 429
    answers_me: bool = False
    me_counts: bool = True
    faults: Faults | None = None
    outages: Sequence[tuple[float, float]] = ()
    outage: Reply | Failure = OUT_OF_ORDER
    chokes_on: Callable[[str, int], bool] = no_row
    chokes_with: int = 500
    wrong_headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.first_rule = self.rule
        self.rule = copy.deepcopy(self.rule)
        self.dice = random.Random(self.seed)
        self.fault_dice = random.Random(self.seed + 1000)
        self.arrived: list[tuple[float, str, int]] = []
        self.asked_me: list[tuple[float, int]] = []
        self.faulty = 0
        self.times: Counter[str] = Counter()
        self.in_flight = 0
        self.busiest = 0
        self.began: float | None = None
        self._date_at, self._date = -1, ""

    async def renew(self, *, for_good: bool) -> None:
        """There are no connections."""

    async def patch(self, path: str, body: bytes, idempotency_key: str) -> Reply | Failure:  # noqa: ARG002
        key = path.rpartition("/")[2]
        self.times[key] += 1
        return await self._serve(key)

    async def post(self, path: str, body: bytes, idempotency_key: str) -> Reply | Failure:
        """Ask the same rule; what is created is not kept."""
        return await self.patch(path, body, idempotency_key)

    async def get(self, path: str) -> Reply | Failure:
        return await self._serve(path)

    async def _serve(self, key: str) -> Reply | Failure:
        loop = asyncio.get_running_loop()
        is_row = not key.startswith("/")
        took = self.latency(self.dice)
        there = transit(took) * (0.5 + self.dice.random())
        await asyncio.sleep(there)  # noqa: TID251 - virtual time
        now = loop.time()
        self.began = now if self.began is None else self.began
        if any(begin <= now - self.began < end for begin, end in self.outages):
            self._note(now, key, 0)
            return self.outage
        passes, headers, body = self._judge(now, counts=is_row or self.me_counts)
        if not passes:
            self._note(now, key, self.refuses_with)
            await asyncio.sleep(0.002)  # noqa: TID251 - virtual time
            return Reply(self.refuses_with, headers, b"")
        self.in_flight += 1
        self.busiest = max(self.busiest, self.in_flight)
        await asyncio.sleep(took - there)  # noqa: TID251 - virtual time
        self.in_flight -= 1
        status = self._status(key) if is_row else 200
        self._note(now, key, status)
        if not is_row:
            return Reply(200, headers, body)
        return Reply(status, headers, b'{"data": {}}' if status == 200 else b"")

    def _note(self, now: float, key: str, status: int) -> None:
        if key.startswith("/"):
            self.asked_me.append((now, status))
        else:
            self.arrived.append((now, key, status))

    def _judge(self, now: float, *, counts: bool) -> tuple[bool, dict[str, str], bytes]:
        """Apply the rule to a request; return whether it passes, the headers, and `users/me`."""
        headers = {"date": self._http_date(now)} | self.wrong_headers
        rule = self.rule
        if rule is None:
            return True, headers, b"{}"
        passes = not counts or rule.wait(now, self.in_flight) <= 0
        if not passes:
            rule.refused(now)
        elif counts:
            rule.passed(now)
        if self.tells is nothing and not self.answers_me:
            return passes, headers, b"{}"
        told = Told(passes, rule.wait(now, self.in_flight), rule.counts(now), wall(now))
        headers |= {name.lower(): text for name, text in self.tells(told).items()}
        return passes, headers, users_me(told) if self.answers_me else b"{}"

    def _status(self, key: str) -> int:
        if self.chokes_on(key, self.times[key]):
            return self.chokes_with
        if self.faults is not None and self.fault_dice.random() < self.faults.share:
            self.faulty += 1
            return self.faults.status
        return 200

    def _http_date(self, now: float) -> str:
        if int(now) != self._date_at:
            self._date_at, self._date = int(now), format_datetime(wall(now), usegmt=True)
        return self._date


@dataclass
class Rows(NoWork):
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
        return len(self.server.arrived) + len(self.server.asked_me)

    @property
    def refused_per_100(self) -> float:
        """Requests that the rule refused; faults don't count."""
        refused = sum(status in {429, 503} for *_, status in self.server.arrived)
        refused += sum(status in {429, 503} for _, status in self.server.asked_me)
        return 100 * (refused - self.server.faulty) / max(1, self.requests)

    def states(self) -> Counter[State]:
        return Counter(outcome.state for outcome in self.outcomes.values())


async def _record(_account: Account | None) -> None:
    """Keep no account."""
    await anyio.lowlevel.checkpoint()


PREFLIGHT = Preflight(Wanted(), 10.0, _record)


def simulate(
    server: Server,
    rows: int,
    *,
    workers: int = Sending.workers,
    rates: Sequence[Rate] = (),
    processes: int = 1,
    policy: RetryPolicy | None = None,
    tried: bool = False,
    late: Latency = idle_machine,
) -> Ran:
    """Send so many rows to the server, by so many processes that share a budget.

    `workers` are those of each process; `rates` are the user's; `late` is how late tasks wake up.
    """

    async def main() -> Ran:
        dice = random.Random(server.seed)
        clock = VirtualClock(dice, late)
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
                budget=Budget(LocalPermits(pace_store, clock, dice), clock, Given(tuple(rates))),
                terms=Terms(policy or usual_policy(), Bounds(), workers, preflight=PREFLIGHT),
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


def optimum(
    server: Server,
    rows: int,
    *,
    workers: int = Sending.workers,
    processes: int = 1,
    reserve: int = 0,
) -> float:
    """Return the seconds of the greedy schedule for a server's rule, latency and faults.

    Repeats of faults count, and `reserve` further requests that leave first, as the one to
    `users/me` does.
    """
    share = server.faults.share if server.faults else 0.0
    return optimum_seconds(
        server.first_rule,
        with_repeats(rows, share) + reserve,
        workers=workers * processes,
        latency=server.latency,
        start=START,
        seed=server.seed,
    )
