"""Our pace and three rivals against models of servers, in virtual time.

    python -m tests.benchmarks.pace_table

For each scenario, over several rules, limits and latencies: time over the optimum N/limit,
refusals per 100 requests, requests per row; the mean and the worst.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bulk_sync.quantities import Rate
from bulk_sync.sandbox.limits import LimitHeaders
from tests.benchmarks.rivals import Adaptive, Limiter, NoLimiter, Static, simulate_rival
from tests.simulation import Latency, Server, heavy_tail, simulate, steady, usual_policy

RATES = (Rate(2, 1), Rate(10, 1), Rate(100, 1), Rate(60, 60), Rate(1000, 60))
STYLES = ("token-bucket", "fixed-window", "sliding-window", "leaky-bucket")
LATENCIES = {"20 ms": steady(0.02), "tail to 2 s": heavy_tail(0.15)}
WORKERS = 64
_CAP_LATENCY = 0.2
"""Seconds that a request takes at a server with a cap on concurrency."""


@dataclass(frozen=True)
class Scenario:
    """A scenario of server and sender; `time` and `refused` are the goals."""

    name: str
    time: float
    refused: float
    headers: LimitHeaders = "none"
    given: bool = False
    processes: int = 1
    halves: bool = False
    styles: Sequence[str] = STYLES
    rates: Sequence[Rate] = RATES
    latencies: dict[str, Latency] = field(default_factory=lambda: LATENCIES)


SCENARIOS = (
    Scenario("limit given with --rate", 1.01, 0, given=True),
    Scenario("limit in headers (RateLimit)", 1.03, 0.5, headers="ratelimit"),
    Scenario("limit in headers (X-RateLimit)", 1.03, 0.5, headers="x-ratelimit"),
    Scenario("only 429 with Retry-After", 1.08, 2, headers="retry-after"),
    Scenario("only bare 429s", 1.15, 3),
    Scenario("limit halves midway", 1.15, 3, halves=True, rates=RATES[:3]),
    Scenario("four processes, limit given", 1.03, 0, given=True, processes=4),
    Scenario(
        "concurrency cap of 10 or 40",
        1.15,
        3,
        styles=("concurrency",),
        rates=(Rate(10, 1), Rate(40, 1)),
    ),
)


def seconds_of(rate: Rate) -> float:
    """Seconds that the optimum takes: five minutes, fifteen for limits by the minute."""
    return 900.0 if rate.period_seconds > 1 else 300.0


@dataclass
class Point:
    label: str
    over: float
    refused: float
    per_row: float


@dataclass(frozen=True)
class Case:
    """A server of a scenario, and the rows that it passes in `optimum` seconds at the best."""

    scenario: Scenario
    style: str
    rate: Rate
    named: str
    latency: Latency

    @property
    def capped(self) -> bool:
        """True for a cap on requests in flight; its optimum is known for one latency only."""
        return self.style == "concurrency"

    @property
    def per_second(self) -> float:
        return self.rate.requests / _CAP_LATENCY if self.capped else self.rate.per_second

    @property
    def optimum(self) -> float:
        return 120.0 if self.capped else seconds_of(self.rate)

    @property
    def rows(self) -> int:
        return int(self.per_second * self.optimum * (0.75 if self.scenario.halves else 1))

    @property
    def label(self) -> str:
        return f"{self.style} {self.rate} {self.named}"

    def server(self) -> Server:
        """A fresh server, whose limit halves midway where the scenario says so."""
        half = Rate(self.rate.requests / 2, self.rate.period_seconds)
        changes = [(seconds_of(self.rate) / 2, half)] if self.scenario.halves else []
        latency = steady(_CAP_LATENCY) if self.capped else self.latency
        return Server(self.style, self.rate, self.scenario.headers, latency, changes=changes)

    def ours(self) -> Point:
        """Send with our own pace."""
        ran = simulate(
            self.server(),
            self.rows,
            workers=WORKERS,
            ceiling=self.per_second if self.scenario.given else None,
            processes=self.scenario.processes,
            policy=usual_policy(),
        )
        if sum(ran.states().values()) != self.rows or any(ran.stopped):
            print("  not all rows were sent:", ran.states(), ran.stopped, file=sys.stderr)
        over = ran.seconds / self.optimum
        return Point(self.label, over, ran.refused_per_100, ran.requests / self.rows)

    def rival(self, make: Callable[[float], Limiter]) -> Point:
        """Send with a rival's; time counts in full for the share of rows that got through."""
        server = self.server()
        took, done = simulate_rival(
            lambda: make(self.per_second),
            server,
            self.rows,
            workers=WORKERS,
            give_up_seconds=4 * self.optimum,
        )
        arrived = len(server.arrived)
        refused = 100 * sum(status in {429, 503} for _, _, status in server.arrived) / arrived
        share = max(1, done) / self.rows
        return Point(self.label, took / self.optimum / share, refused, arrived / max(1, done))


def cases(scenario: Scenario) -> Iterator[Case]:
    """Every style, rate and latency of a scenario."""
    for style in scenario.styles:
        for rate in scenario.rates:
            for named, latency in scenario.latencies.items():
                yield Case(scenario, style, rate, named, latency)


def line(name: str, found: Sequence[Point]) -> str:
    def both(value: Callable[[Point], float]) -> str:
        values = [value(point) for point in found]
        return f"{sum(values) / len(values):6.3f} {max(values):7.3f}"

    figures = (both(lambda p: p.over), both(lambda p: p.refused), both(lambda p: p.per_row))
    return f"  {name:<26}{'   '.join(figures)}"


RIVALS: dict[str, Callable[[float], Limiter]] = {
    "no limiter, back-off": lambda _: NoLimiter(),
    "static, half the rate": lambda per_second: Static(per_second / 2),
    "CUBIC as in AWS SDKs": lambda _: Adaptive(),
}


def unlimited() -> str:
    """No limit at all, 50 ms latency: against the time that 64 workers need by themselves."""
    rows = 64 * 20 * 30
    ran = simulate(Server(latency=steady(0.05)), rows, workers=64)
    return f"  {'ours':<26}{ran.seconds / (rows * 0.0505 / 64):6.3f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="show every point of ours")
    parser.add_argument("--no-rivals", action="store_true")
    parser.add_argument("--only", default="", help="scenarios whose names hold this")
    asked: Any = parser.parse_args()
    print(f"{'':28}{'time over optimum':<17}{'refused per 100':<17}{'requests per row':<17}")
    print(f"{'':28}{'  mean   worst':<17}{'  mean   worst':<17}{'  mean   worst':<17}")
    for scenario in SCENARIOS:
        if asked.only not in scenario.name:
            continue
        print(f"{scenario.name}: under {scenario.time:g}, {scenario.refused:g} per 100")
        found = list(cases(scenario))
        ours = [case.ours() for case in found]
        print(line("ours", ours), flush=True)
        if asked.all:
            for point in ours:
                figures = f"{point.over:6.3f} {point.refused:6.2f} {point.per_row:6.3f}"
                print(f"    {point.label:<38} {figures}")
        if not asked.no_rivals and scenario.processes == 1:
            for name, make in RIVALS.items():
                print(line(name, [case.rival(make) for case in found]), flush=True)
    if asked.only in "no limit at all":
        print("no limit at all, 50 ms, 64 workers: under 1.10 of 64 fixed workers")
        print(unlimited())
    return 0


if __name__ == "__main__":
    sys.exit(main())
