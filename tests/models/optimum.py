"""The greedy schedule: each request at the first instant at which the server's rule passes it.

It knows the rule and is never refused: the yardstick for every pace.
"""

from __future__ import annotations

import copy
import heapq
import random
from collections.abc import Callable

from tests.models.rules import Rule

Latency = Callable[[random.Random], float]

_LEAST_STEP = 1e-6
"""Seconds; a wait may be short by a rounding error."""


def transit(took: float) -> float:
    """Return the seconds of a round trip until the request has arrived, without jitter."""
    return min(0.003, took / 4)


def optimum_seconds(
    rule: Rule | None,
    requests: float,
    *,
    workers: int,
    latency: Latency,
    start: float = 0.0,
    seed: int = 1,
) -> float:
    """Return the seconds from `start` to the last reply of so many requests.

    `workers` requests at a time are under way; a request passes at the first instant that the rule
    allows from its arrival on, in the order of arrival. The rule itself is left as it is.
    """
    rule, dice = copy.deepcopy(rule), random.Random(seed)
    free = [start] * workers  # when each worker may send
    serving: list[float] = []  # when the replies under way leave the server
    now = end = start
    for _ in range(round(requests)):
        took = latency(dice)
        there = transit(took)
        now = max(now, heapq.heappop(free) + there)
        now = _first_passing(rule, now, serving)
        if rule is not None:
            rule.passed(now)
        replied = now + took - there
        heapq.heappush(serving, replied)
        heapq.heappush(free, replied)
        end = max(end, replied)
    return end - start


def _first_passing(rule: Rule | None, now: float, serving: list[float]) -> float:
    """Return the first instant from `now` on at which the rule passes a request."""
    while True:
        while serving and serving[0] <= now:
            heapq.heappop(serving)
        wait = rule.wait(now, len(serving)) if rule is not None else 0.0
        if wait <= 0:
            return now
        # A reply may make room for a request before that.
        later = now + max(wait, _LEAST_STEP)
        now = min(later, serving[0]) if serving else later


def with_repeats(rows: int, fault_share: float) -> float:
    """Return the requests that so many rows need when a share of all that pass fails at random."""
    return rows / (1 - fault_share)
