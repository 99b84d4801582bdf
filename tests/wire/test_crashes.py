"""Runs that are killed: nothing is lost, repeated or lied about. `tests.benchmarks.crashes` does it
at length.
"""

from __future__ import annotations

import shutil

import pytest

from tests.benchmarks.crashes import rounds, sweep


def test_kills_at_any_moment_lose_nothing_and_send_nothing_acknowledged_again() -> None:
    findings = rounds(4, seed=20260302, shapes=("faults", "staging and reporting"))
    assert not any(findings.must_not_be().values()), findings.notes
    assert findings.strikes


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace kills at system calls")
@pytest.mark.parametrize(
    ("call", "first", "stride"), [("pwrite64", 20, 17), ("fdatasync", 6, 3), ("rename", 1, 1)]
)
def test_a_kill_at_a_system_call_loses_nothing(call: str, first: int, stride: int) -> None:
    findings = sweep([call], first=first, stride=stride, most=1, twice=True)
    assert not any(findings.must_not_be().values()), findings.notes
    assert findings.strikes
