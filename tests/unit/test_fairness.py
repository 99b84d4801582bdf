"""Jobs of one key share its limit fairly: none starves, whenever it joins."""

from __future__ import annotations

import random

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulk_sync.quantities import Rate
from bulk_sync.send.allowances import Given
from bulk_sync.send.budget import Budget
from bulk_sync.send.observation import Observation
from bulk_sync.send.pace_store import LocalPermits, PaceInMemory, PaceStore
from tests.helpers import examples
from tests.simulation import VirtualClock, in_virtual_time

# A coverage run triples the time of these loops; faster tests reach the same lines.
pytestmark = pytest.mark.uncovered

SECONDS = 24.0
"""How long the jobs send."""
SLOWEST_SECONDS = 0.1
WINDOW = 4.0
"""In any such stretch each job gets its share."""


def shares(
    store: PaceStore, rate: float, begins: list[float], workers: list[int], seed: int
) -> list[list[float]]:
    """Return when the requests of each job left; the jobs begin at these seconds."""

    async def main() -> list[list[float]]:
        dice = random.Random(seed)
        clock = VirtualClock(dice)
        given = Given((Rate(rate, 1.0),))
        began = clock.monotonic()
        left: list[list[float]] = [[] for _ in begins]

        async def work(budget: Budget, mine: list[float]) -> None:
            while True:
                ordinal = await budget.permit()
                mine.append(clock.monotonic() - began)
                took = dice.uniform(0.01, SLOWEST_SECONDS)
                await clock.sleep(took)
                budget.observe(Observation(ordinal, "through", took))

        async with anyio.create_task_group() as tasks:

            async def job(begin: float, number: int, mine: list[float]) -> None:
                await clock.sleep(begin)
                budget = Budget(LocalPermits(store, clock, dice), clock, given)
                for _ in range(number):
                    tasks.start_soon(work, budget, mine)

            for begin, number, mine in zip(begins, workers, left, strict=True):
                tasks.start_soon(job, begin, number, mine)
            await clock.sleep(SECONDS)
            tasks.cancel_scope.cancel()
        return left

    found: list[list[float]] = in_virtual_time(main)
    return found


def refuse_unfair(
    left: list[list[float]], rate: float, begins: list[float], workers: list[int]
) -> None:
    """Fail unless each job has half of an equal share in any window from its beginning on.

    A job takes no more than its workers can send.
    """
    for begin, number, mine in zip(begins, workers, left, strict=True):
        fair = WINDOW * min(rate / len(left), number / SLOWEST_SECONDS)
        starts = [begin, *(one for one in mine if one <= SECONDS - WINDOW)]
        for start in starts:
            got = sum(start <= one < start + WINDOW for one in mine)
            assert got >= fair / 2 - 1, (start, got, fair)


@given(
    st.sampled_from([3.0, 5.0, 20.0, 150.0]),
    st.lists(
        st.tuples(st.floats(0.0, SECONDS - 2 * WINDOW), st.sampled_from([1, 2, 16])),
        min_size=2,
        max_size=5,
    ),
    st.integers(0, 2**16),
)
@settings(max_examples=examples(0.3))
def test_no_job_of_a_key_starves(rate: float, jobs: list[tuple[float, int]], seed: int) -> None:
    begins, workers = [begin for begin, _ in jobs], [number for _, number in jobs]
    left = shares(PaceInMemory(), rate, begins, workers, seed)
    refuse_unfair(left, rate, begins, workers)
    assert sum(map(len, left)) <= rate * SECONDS + 2 * len(jobs) + 1
