"""The note on a limit that --workers keeps a run from using up."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.model.rows import Tally
from bulk_sync.quantities import Rate
from bulk_sync.run.summary import note_on_workers
from bulk_sync.send.allowances import Given
from bulk_sync.send.pace import Pace
from bulk_sync.send.search import Search
from bulk_sync.settings.sending import MOST_WORKERS
from tests.unit.test_sender import send, terms_of


@given(st.integers(1, MOST_WORKERS), st.floats(1, 2000), st.floats(0.01, 5))
def test_the_number_that_is_named_suffices_for_the_limit(
    workers: int, limit: float, latency: float
) -> None:
    needed = limit * latency
    rate = min(limit, workers / latency)
    requests = round(1000 * rate)
    busy = requests if workers <= needed else 0
    tally = Tally(limit=limit, requests=requests, all_busy=busy)
    notes = note_on_workers(tally, 1000, workers)
    if workers < 0.79 * needed and workers < MOST_WORKERS:
        (note,) = notes
        named = int(note.partition("With --workers ")[2].split()[0])
        assert named >= min(MOST_WORKERS, math.floor(needed))
        assert named <= min(MOST_WORKERS, 1.02 * needed + 1)
    if workers > 0.81 * needed:
        assert notes == ()


@pytest.mark.parametrize(
    "tally",
    [
        Tally(requests=1000, all_busy=1000),
        Tally(limit=100, requests=1000, all_busy=400),
        Tally(limit=100),
    ],
    ids=["no limit is known", "something else held it up", "nothing was sent"],
)
def test_without_a_limit_that_they_miss_workers_are_not_noted(tally: Tally) -> None:
    assert note_on_workers(tally, 60, 16) == ()
    assert note_on_workers(Tally(limit=100, requests=1000, all_busy=900), 60, 16)
    assert not note_on_workers(Tally(limit=100, requests=1000, all_busy=900), 10, 16)


@pytest.mark.parametrize(("workers", "are_busy"), [(4, True), (40, False)])
def test_requests_with_which_all_workers_are_busy_are_counted(
    workers: int, *, are_busy: bool
) -> None:
    """At 100/s and 0.2 s a reply, about 20 are in flight."""
    tally = send(
        [f"k{number}" for number in range(600)],
        {},
        terms_of(workers=workers),
        pace=Pace(search=Search(rate=1000.0)),
        seconds=0.2,
        limits=Given((Rate(100, 1.0),)),
    ).tally
    assert (tally.all_busy > 0.9 * tally.requests) == are_busy
    assert are_busy or not tally.all_busy
