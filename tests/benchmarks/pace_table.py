"""Our pace against models of servers, in virtual time, compared with the greedy schedule.

    python -m tests.benchmarks.pace_table [--quick] [--only NAME] [--all] [--rivals]

For each scenario of `pace_scenarios`: time over the optimum (each request at the first instant at
which the server's rule passes it), and refusals per 100 requests; the mean, the worst, and the
goal. Scenarios that miss their goal are marked, and their worst cases listed.
"""

from __future__ import annotations

import argparse
import logging
import math
import multiprocessing
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

from bulk_sync.model.rows import State
from tests.benchmarks.pace_scenarios import SCENARIOS, Case, Scenario
from tests.benchmarks.rivals import Adaptive, Limiter, NoLimiter, Static, simulate_rival
from tests.simulation import START, Ran, optimum, simulate

_QUICK_CASES = 6
_QUICK_ROWS = 6000
_SHOWN_MISSES = 3


@dataclass(frozen=True)
class Point:
    """A case's result; `trouble` says which rows were not sent."""

    label: str
    seconds: float
    best: float
    over: float
    refused: float
    trouble: str = ""


def ours(case: Case, plus: float) -> Point:
    """Send with our own pace; `plus` seconds are allowed beyond the share of the optimum."""
    ran = _run(case)
    states = ran.states()
    missing = case.rows - states[State.UPDATED] - bool(case.always_refused)
    if case.always_refused:
        seconds = max(at for at, _, status in ran.server.arrived if status == 200) - START
    else:
        seconds = ran.seconds
    best = _run(case, sound=True).seconds if case.without_faults else _best(case)
    over = math.inf if missing else max(0.0, seconds - plus) / best
    trouble = ""
    if missing:
        reason = next((str(reason) for reason in ran.stopped if reason), "")
        trouble = f"{missing} rows of {case.rows} not sent: {dict(states)} {reason[:90]}"
    refused = max(0.0, ran.refused_per_100) if not case.always_refused else 0.0
    return Point(case.label, seconds, best, over, refused, trouble)


def _run(case: Case, *, sound: bool = False) -> Ran:
    return simulate(
        case.server(sound=sound),
        case.rows,
        workers=case.workers,
        rates=case.rates,
        processes=case.processes,
    )


def _best(case: Case) -> float:
    server = case.server()
    server.first_rule = case.yardstick or server.first_rule
    return optimum(server, case.rows, workers=case.workers, processes=case.processes)


RIVALS: dict[str, Callable[[float], Limiter]] = {
    "no limiter, back-off": lambda _: NoLimiter(),
    "static, half the rate": lambda per_second: Static(per_second / 2),
    "CUBIC as in AWS SDKs": lambda _: Adaptive(),
}


def rival(case: Case, name: str) -> Point:
    """Send with a rival's limiter; time counts in full for the share of rows that got through.

    The static one goes by the mean rate of the greedy schedule.
    """
    server, best = case.server(), _best(case)
    took, done = simulate_rival(
        lambda: RIVALS[name](case.rows / best),
        server,
        case.rows,
        workers=case.workers,
        give_up_seconds=4 * best,
    )
    arrived = len(server.arrived)
    refused = sum(status in {429, 503} for *_, status in server.arrived) - server.faulty
    over = took / best / (max(1, done) / case.rows)
    return Point(case.label, took, best, over, 100 * refused / arrived)


def quick(cases: Sequence[Case]) -> list[Case]:
    """Return a few short cases, evenly chosen."""
    short = [case for case in cases if case.rows <= _QUICK_ROWS] or list(cases[:1])
    step = math.ceil(len(short) / _QUICK_CASES)
    return short[::step]


def line(scenario: Scenario, found: Sequence[Point]) -> str:
    """Return the scenario's line of the table."""
    over, refused = [point.over for point in found], [point.refused for point in found]
    missed = "MISSED" if misses(scenario, found) else ""
    plus = f" + {scenario.plus:g} s" if scenario.plus else ""
    goal = f"{scenario.over:.2f}{plus}"
    return (
        f"{scenario.name:<48}{mean(over):7.3f} {max(over):8.3f}  {goal:<11}"
        f"{mean(refused):7.2f} {max(refused):7.2f}  {scenario.refused:<5g}{missed}"
    )


def misses(scenario: Scenario, found: Sequence[Point]) -> bool:
    """Whether the mean of a scenario misses its goal."""
    slow = mean([point.over for point in found]) > scenario.over
    # Half a hundredth: a single refusal in a long run is not shown either.
    return slow or mean([point.refused for point in found]) > scenario.refused + 0.005


def worst(scenario: Scenario, found: Sequence[Point]) -> Iterator[str]:
    """Yield the points that miss the goal by themselves, the worst first."""
    bad = [p for p in found if p.over > scenario.over or p.refused > scenario.refused + 0.005]
    bad.sort(key=lambda point: (point.over, point.refused), reverse=True)
    yield from map(shown, bad)


def shown(point: Point) -> str:
    """Return a case's line."""
    figures = f"{point.over:7.3f} {point.refused:6.2f}  {point.seconds:9.1f} s of {point.best:.1f}"
    return f"    {point.label:<62} {figures}  {point.trouble}".rstrip()


def mean(values: Sequence[float]) -> float:
    """Return the arithmetic mean."""
    return sum(values) / len(values)


def _quiet() -> None:
    logging.disable(logging.WARNING)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a few short cases of each scenario")
    parser.add_argument("--all", action="store_true", help="show every case")
    parser.add_argument("--rivals", action="store_true", help="compare with other limiters")
    parser.add_argument("--only", default="", help="scenarios whose names hold this")
    parser.add_argument("--processes", type=int, default=2, help="simulations at a time")
    asked: Any = parser.parse_args()
    print(f"{'':48}{'time over optimum':<30}{'refused per 100':<22}")
    print(f"{'':48}{'   mean    worst  goal':<30}{'  mean   worst  goal':<22}")
    missed = 0
    with ProcessPoolExecutor(asked.processes, multiprocessing.get_context("fork"), _quiet) as pool:
        for number, scenario in enumerate(SCENARIOS):
            if asked.only not in scenario.name:
                continue
            cases = quick(scenario.cases) if asked.quick else scenario.cases
            where = [(number, scenario.cases.index(case)) for case in cases]
            found = list(pool.map(_point, where))
            print(line(scenario, found), flush=True)
            missed += misses(scenario, found)
            bad = list(worst(scenario, found))
            lines = map(shown, found) if asked.all else bad[:_SHOWN_MISSES]
            print(*lines, sep="\n", end="\n" if asked.all or bad else "", flush=True)
            if asked.rivals and not scenario.cases[0].rates and scenario.cases[0].processes == 1:
                for name in RIVALS:
                    points = [rival(case, name) for case in cases if not case.without_faults]
                    if points:
                        print(
                            "  "
                            + line(scenario, points).replace(f"{scenario.name:<48}", f"{name:<46}")
                        )
    print(f"{missed} scenarios miss their goal" if missed else "every goal is met")
    return 1 if missed else 0


def _point(where: tuple[int, int]) -> Point:
    # By number, because rules and tellers can't be pickled.
    scenario = SCENARIOS[where[0]]
    return ours(scenario.cases[where[1]], scenario.plus)


if __name__ == "__main__":
    sys.exit(main())
