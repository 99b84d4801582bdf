"""Runs that are killed: nothing is lost, repeated or lied about. `tests.benchmarks.crashes` does it at length."""

from __future__ import annotations

import shutil

import pytest

from tests.benchmarks.crashes import rounds, sweep


def test_kills_at_any_moment_lose_nothing_and_send_nothing_acknowledged_again() -> None:
    findings = rounds(9, seed=20260302)
    assert not any(findings.must_not_be().values()), findings.notes
    assert findings.strikes


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace kills at system calls")
@pytest.mark.parametrize(("calls", "first", "stride"), [("write", 12, 16), ("sync", 9, 5), ("rename", 1, 1)])
def test_a_kill_at_a_system_call_loses_nothing(calls: str, first: int, stride: int) -> None:
    findings = sweep([calls], first=first, stride=stride, most=3, twice=True)
    assert not any(findings.must_not_be().values()), findings.notes
    assert findings.strikes
