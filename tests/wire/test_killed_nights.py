"""Nights of whole programs that are killed: a few rounds of `tests.benchmarks.killed_nights`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.killed_nights import Counts, Round
from tests.helpers import sandbox_process


@pytest.mark.slow
@pytest.mark.parametrize("number", [3])
def test_after_kills_north_has_what_was_sent_last(tmp_path: Path, number: int) -> None:
    counts = Counts()
    with sandbox_process("--accept-any", "--latency", "10ms") as witness:
        Round(tmp_path / "round", number, witness, counts).play()
    assert counts.requests > 0
    assert counts.broken == []
