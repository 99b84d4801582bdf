"""Signals at any moment of a push; `tests.benchmarks.signals` sends them at length."""

from __future__ import annotations

import random
import shutil
import sys
from pathlib import Path

import pytest

from tests.benchmarks.signals import rounds, sweep
from tests.conftest import Sandboxes
from tests.faultserver import all_good, fault_server
from tests.helpers import in_haste, numbered, read_csv, run, write_sheet

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


SIGNALLED_AT_THE_REPORTS = """
import os
from bulk_sync.report.written import atomic
take_place = atomic._take_place
def struck(part, path, kind):
    if ".results." in path.name:
        for number in NUMBERS:
            os.kill(os.getpid(), number)
    take_place(part, path, kind)
atomic._take_place = struck
from bulk_sync.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("numbers", "code"), [("[15]", 0), ("[1, 1]", 0), ("[2, 15]", 143), ("[15, 2]", 130)]
)
def test_while_reports_are_written_the_first_changes_nothing_and_the_second_ends_at_once(
    tmp_path: Path, numbers: str, code: int
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(3))
    program = SIGNALLED_AT_THE_REPORTS.replace("NUMBERS", numbers)
    with fault_server(all_good) as journal:
        push = ("push", sheet, "--base-url", journal.base_url)
        ran = run(
            *push,
            "--json",
            program=lambda *words: [sys.executable, "-c", program, *in_haste(words)],
        )
        assert (ran.code, bool(ran.out)) == (code, code == 0)
        assert "Traceback" not in ran.err
        if code == 0:
            assert ran.summary["exit_code"] == 0
        assert run(*push).code == 0
        assert sorted(journal.patched) == ["ext_0", "ext_1", "ext_2"]  # each once
    assert {line["state"] for line in read_csv(tmp_path / "x.results.csv")} == {"updated"}


def test_a_signal_ends_the_hook_and_not_the_exit_code_that_it_was_told(tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(3))
    hook = f'cp /dev/stdin "{tmp_path}/told.json"; kill -TERM $PPID; sleep 100'
    with fault_server(all_good) as journal:
        ran = run("push", sheet, "--base-url", journal.base_url, "--on-finish", hook)
    assert ran.code == 0
    assert "--on-finish: the command was killed. Stopped by SIGTERM." in ran.err
    assert '"exit_code": 0' in (tmp_path / "told.json").read_text(encoding="utf-8")
