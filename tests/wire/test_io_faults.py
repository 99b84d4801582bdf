"""System calls that fail in pushes with every output; `benchmarks.io_faults` does it at length."""

from __future__ import annotations

import shutil

import pytest

from tests.benchmarks.io_faults import ERRORS, sweep
from tests.conftest import Sandboxes

pytestmark = [
    pytest.mark.slow,  # each of them runs the program several times
    pytest.mark.skipif(not shutil.which("strace"), reason="strace makes system calls fail"),
]


@pytest.mark.parametrize(
    ("call", "first", "stride"),
    [("pwrite64", 3, 30), ("openat", 2, 9), ("rename", 1, 2), ("flock", 2, 3)],
)
def test_a_call_that_fails_ends_in_a_sentence_and_the_next_run_finishes(
    sandboxes: Sandboxes, call: str, first: int, stride: int
) -> None:
    with sandboxes() as witness:
        faults = sweep(ERRORS, [call], first=first, stride=stride, most=2, witness=witness)
    assert faults.problems() == []
    assert faults.codes
