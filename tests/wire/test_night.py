"""A night against an hourly limit, killed twice: every row is applied as it was acknowledged, and
the limit is kept.

Time is compressed twice: the sandbox's windows last 100 s in place of an hour, and the clocks of
program and sandbox run 50 times as fast. On a slow machine windows pass between two runs, which
changes nothing of what is claimed. `tests.benchmarks.night` is the whole night, in real time.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

import pytest
import uvicorn

from bulk_sync.clock import SystemClock
from bulk_sync.quantities import Rate
from bulk_sync.sandbox.behaviour import AllowanceTold
from tests.benchmarks.night import spend_night
from tests.conftest import Sandboxes
from tests.fast_time import FastTime

pytestmark = pytest.mark.slow  # each of them runs the program three times

QUOTA = Rate(40, 3600)
ROWS = 80
"""Two windows and a half; the kills are in the first and in the second."""

FEW = 40
"""Refusals where nothing is told: those of the search, and of the probes in three windows."""


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> FastTime:
    fast = FastTime.from_now(50.0)
    for name, method in fast.methods().items():
        monkeypatch.setattr(SystemClock, name, method)
    # uvicorn's own clock is the machine's; without a Date the program goes by its own, as fast.
    monkeypatch.setattr(uvicorn, "Config", partial(uvicorn.Config, date_header=False))
    return fast


# With one worker, nothing is in flight at a reset, or when a stated window is nearly used up: a
# machine that stops for 20 ms, a second of this test, would make such requests look lost.
@pytest.mark.parametrize(
    ("told", "workers", "refusals"), [("users-me", 1, 0), ("headers", 1, 0), ("none", 8, FEW)]
)
def test_a_night_that_is_killed_twice_applies_every_row_as_it_is_acknowledged(
    tmp_path: Path,
    sandboxes: Sandboxes,
    fast: FastTime,
    told: AllowanceTold,
    workers: int,
    refusals: int,
) -> None:
    behaviour = {"allowances": (QUOTA,), "allowance_told": (told,), "speed": 36.0}
    folder = tmp_path / "night"
    with sandboxes(**behaviour, latency_seconds=90.0 * workers / 8) as witness:
        night = spend_night(folder, witness, ROWS, workers=workers, program=fast.command)
        content = {n: witness.showing(f"night_{n}")["feedback"] for n in range(ROWS)}
    assert not any(night.findings.must_not_be().values()), night.findings.notes
    assert night.findings.strikes_while_sending == 2
    assert content == {n: f"Liked it, night_{n}" for n in range(ROWS)}
    assert night.refused <= refusals
    # Each row was applied once, and again only if a kill caught it in flight.
    applied = Counter(entry["key"] for entry in night.journal if entry["applied"])
    again = sum(applied.values()) - ROWS
    assert again <= 2 * night.findings.most_in_flight_at_a_strike
    assert night.passed == ROWS + again + night.for_account
