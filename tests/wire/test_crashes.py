"""Runs that are killed: nothing is lost, repeated or lied about. `tests.benchmarks.crashes` does it
at length, and at random.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from bulk_sync.sandbox.faults import parse_fault
from tests.benchmarks.crash_findings import Findings
from tests.benchmarks.crashes import Job, sweep
from tests.conftest import Sandboxes

pytestmark = pytest.mark.slow  # each of them runs the program two or three times

FAULTS = (parse_fault("3%:reset"),)


def assert_nothing_was_found(findings: Findings, strikes: int) -> None:
    assert not any(findings.must_not_be().values()), findings.notes
    assert findings.strikes == strikes


def test_a_kill_while_rows_are_staged_loses_nothing(tmp_path: Path, sandboxes: Sandboxes) -> None:
    findings = Findings()
    with sandboxes(latency_seconds=0.05) as witness:
        job = Job(tmp_path / "job", witness, findings, good=80, bad=8_000)
        assert job.killed_when(job.checkpoint.exists)
        job.finish()
    assert_nothing_was_found(findings, strikes=1)


def test_kills_while_rows_are_sent_lose_nothing_and_send_nothing_acknowledged_again(
    tmp_path: Path, sandboxes: Sandboxes
) -> None:
    findings = Findings()
    with sandboxes(latency_seconds=0.05, faults=FAULTS, seed=3) as witness:
        job = Job(tmp_path / "job", witness, findings, good=150, bad=3)
        for sent in (20, 60):
            assert job.killed_when(lambda sent=sent: len(witness.journal()) >= sent)  # type: ignore[misc]
        job.finish()
    assert findings.strikes_while_sending == 2
    assert_nothing_was_found(findings, strikes=2)


def test_kills_while_showings_are_created_leave_one_of_each(
    tmp_path: Path, sandboxes: Sandboxes
) -> None:
    findings = Findings()
    faults = tuple(parse_fault(f"5%:{kind}") for kind in ("reset", "503", "cut"))
    with sandboxes(accept_any=False, latency_seconds=0.02, faults=faults, seed=4) as witness:
        job = Job(tmp_path / "job", witness, findings, good=80, bad=2, creates=True)
        for sent in (30, 90):
            assert job.killed_when(lambda sent=sent: len(witness.journal()) >= sent)  # type: ignore[misc]
        job.finish()
    assert findings.strikes_while_sending == 2
    assert_nothing_was_found(findings, strikes=2)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace kills at system calls")
@pytest.mark.parametrize(("call", "first"), [("pwrite64", 24), ("write", 6), ("fdatasync", 7)])
def test_a_kill_at_a_system_call_leaves_one_showing_of_each(
    sandboxes: Sandboxes, call: str, first: int
) -> None:
    with sandboxes(accept_any=False) as witness:
        findings = sweep(
            [call], first=first, most=1, again=random.Random(0), witness=witness, creates=True
        )
    assert not any(findings.must_not_be().values()), findings.notes
    assert findings.strikes


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace kills at system calls")
@pytest.mark.parametrize(("call", "first"), [("pwrite64", 20), ("fdatasync", 6), ("rename", 1)])
def test_a_kill_at_a_system_call_loses_nothing(sandboxes: Sandboxes, call: str, first: int) -> None:
    with sandboxes() as witness:
        findings = sweep([call], first=first, most=1, again=random.Random(0), witness=witness)
    assert not any(findings.must_not_be().values()), findings.notes
    assert findings.strikes
