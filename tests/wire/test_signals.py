"""Signals at any moment of a push; `tests.benchmarks.signals` sends them at length."""

from __future__ import annotations

import random
import shutil

import pytest

from tests.benchmarks.signals import rounds, sweep
from tests.conftest import Sandboxes

pytestmark = pytest.mark.slow  # each of them runs the program several times


def test_at_random_moments_each_run_ends_with_a_code_that_is_true(sandboxes: Sandboxes) -> None:
    with sandboxes(latency_seconds=0.005) as witness:
        ends = rounds(4, random.randrange(1 << 32), witness)
    assert ends.problems() == []
    assert ends.findings.rounds == 4


@pytest.mark.skipif(not shutil.which("strace"), reason="sends them by means of strace")
@pytest.mark.parametrize(("call", "first", "stride"), [("write", 1, 9), ("pwrite64", 2, 14)])
def test_at_system_calls_each_run_ends_with_a_code_that_is_true(
    sandboxes: Sandboxes, call: str, first: int, stride: int
) -> None:
    with sandboxes() as witness:
        ends = sweep([call], first=first, stride=stride, most=2, witness=witness)
    assert ends.problems() == []
