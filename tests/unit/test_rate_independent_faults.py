"""Refusals that don't depend on the rate never cost much of the pace in the long run, and a limit
is found and respected all the same.

A driver without the sender: some requests in flight, each answered after about the same latency.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from bulk_sync.send.faults import Faults
from bulk_sync.send.observation import Kind, Observation
from bulk_sync.send.pace import Pace

# A coverage run triples the time of these loops; faster tests reach the same lines.
pytestmark = pytest.mark.uncovered

IN_FLIGHT, LATENCY = 16, 0.05
SOUND = IN_FLIGHT / LATENCY
"""Requests per second without refusals."""

Refuses = Callable[[int, float, random.Random], bool]
"""Whether a server refuses a request, by its number, the instant it left, and dice."""


@dataclass
class Bucket:
    """A token bucket, and faults at random for what it passes."""

    per_second: float
    tokens: float
    faults: float = 0.0
    most: float = field(init=False)
    at: float = 0.0

    def __post_init__(self) -> None:
        self.most = self.tokens

    def __call__(self, _number: int, now: float, dice: random.Random) -> bool:
        gained = max(0.0, now - self.at) * self.per_second
        self.tokens, self.at = min(self.most, self.tokens + gained), max(now, self.at)
        if self.tokens < 1:
            return True
        self.tokens -= 1
        return dice.random() < self.faults


@dataclass
class Drove:
    """The pace after a drive, and when each reply came, refused or not."""

    pace: Pace
    replies: list[tuple[float, bool]]

    def per_second(self, last: int) -> float:
        """Return the rate of the last replies."""
        return (last - 1) / (self.replies[-1][0] - self.replies[-last][0])


def drive(refuses: Refuses, replies: int, kind: Kind, seed: int) -> Drove:
    """Send until so many replies came, each as soon as the pace permits."""
    pace, dice, now = Pace(), random.Random(seed), 0.0
    in_flight: list[tuple[float, float, float]] = []  # when it ends, ordinal, when it left
    drove = Drove(pace, [])
    while len(drove.replies) < replies:
        due = max(now, pace.wait_until(now), pace.due_at(now) - 1e-6)
        if len(in_flight) < IN_FLIGHT and not (in_flight and in_flight[0][0] <= due):
            if due > now:
                now = due
                continue
            group = pace.reserve_group(now, IN_FLIGHT - len(in_flight))
            for number in range(group.number):
                left = max(now, group.start + number * group.interval)
                ends = left + LATENCY * (0.9 + 0.2 * dice.random())
                heapq.heappush(in_flight, (ends, group.ordinal + number, left))
            continue
        ends, ordinal, left = heapq.heappop(in_flight)
        now = max(now, ends)
        refused = refuses(int(ordinal), left, dice)
        seen = Observation(ordinal, kind if refused else "through", now - left)
        pace.observe(now, seen, dice.random())
        drove.replies.append((now, refused))
    return drove


def at_random(share: float) -> Refuses:
    return lambda _number, _now, dice: dice.random() < share


def every(nth: int) -> Refuses:
    return lambda number, _now, _dice: number % nth == 0


@pytest.mark.parametrize("seed", [1, 5])
@pytest.mark.parametrize("share", [0.005, 0.03, 0.1, 0.25, 0.4])
def test_bare_503s_at_random_cost_no_speed_in_the_long_run(share: float, seed: int) -> None:
    assert drive(at_random(share), 7000, "busy", seed).per_second(500) > 0.9 * SOUND


@pytest.mark.parametrize("nth", [200, 20, 7, 5, 4, 3])
def test_a_bare_503_for_each_nth_request_costs_no_speed_in_the_long_run(nth: int) -> None:
    drove = drive(every(nth), 3000, "busy", 1)
    assert drove.per_second(500) > 0.9 * SOUND
    assert drove.per_second(3000) > 0.7 * SOUND


@pytest.mark.parametrize("share", [0.02, 0.1, 0.2])
def test_rate_independent_429s_are_excused_after_losses_that_do_not_help(share: float) -> None:
    for seed in (3, 4):
        drove = drive(at_random(share), 4000, "throttled", seed)
        assert drove.pace.throttled.excused
        assert drove.per_second(500) > 0.2 * SOUND


@pytest.mark.parametrize("kind", ["busy", "throttled"])
@pytest.mark.parametrize(("per_second", "burst"), [(10, 1), (10, 10), (30, 30), (100, 5)])
def test_a_bare_limit_is_found_filled_and_rarely_exceeded(
    per_second: int, burst: int, kind: Kind
) -> None:
    drove = drive(Bucket(per_second, burst), 120 * per_second, kind, 1)
    last = drove.replies[len(drove.replies) // 2 :]
    through = sum(not refused for _, refused in last)
    assert through / (last[-1][0] - last[0][0]) > 0.85 * per_second
    assert len(last) - through < 0.02 * len(last)


@pytest.mark.parametrize("faults", [0.1, 0.25])
@pytest.mark.parametrize(("per_second", "burst"), [(30, 30), (100, 20)])
def test_a_limit_with_bare_503s_is_respected_although_others_are_faults(
    per_second: int, burst: int, faults: float
) -> None:
    drove = drive(Bucket(per_second, burst, faults), 4000, "busy", 1)
    last = drove.replies[2000:]
    through = sum(not refused for _, refused in last)
    assert through / (last[-1][0] - last[0][0]) > 0.35 * per_second * (1 - faults)
    assert 1 - through / len(last) < faults + 0.1


def alarmed(share: float) -> Faults:
    """Refusals whose share has raised an alarm."""
    faults = Faults(excused=1.0)
    assert any(faults.is_alarm(refused=number % round(1 / share) == 0) for number in range(300))
    faults.begin_trial(100.0, 50.0)
    return faults


@pytest.mark.parametrize(
    ("shares", "verdicts"),
    [
        ((0.15, 0.15), ["FUTILE"]),
        ((0.25, 0.25), ["FUTILE"]),
        ((0.25, 0.0), ["HELPED"]),
        ((0.15, 0.0), ["HELPED"]),
        ((1.0, 1.0), ["OVERLOAD"]),
        ((1.0, 0.05), ["HELPED"]),
    ],
)
def test_a_trial_tells_a_share_that_fell_from_one_that_did_not(
    shares: tuple[float, float], verdicts: list[str]
) -> None:
    before, after = shares
    faults = alarmed(before)
    dice = random.Random(1)
    judged = (faults.verdict(refused=dice.random() < after) for _ in range(500))
    found = next(verdict for verdict in judged if verdict)
    assert [found.name] == verdicts
    assert (faults.rate_before, faults.limit_before) == (100.0, 50.0)
    assert bool(faults.trial_share) is (verdicts == ["OVERLOAD"])
    assert bool(faults.excused) is (verdicts != ["HELPED"] or after > 0.03)
    if verdicts == ["FUTILE"]:  # the share is known now: the same one raises no alarm again
        assert faults.share == pytest.approx(after, rel=0.6)
        assert faults.acquittals == 1
