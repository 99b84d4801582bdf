"""The library leaves the interpreter's settings to its host; the command sets its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

KNOBS = """
import csv, gc, sys
def knobs():
    return csv.field_size_limit(), sys.getswitchinterval(), gc.isenabled(), gc.get_threshold()
"""
CHECK = """
before = knobs()
import bulk_sync
found = bulk_sync.check(bulk_sync.SheetSettings(input=bulk_sync_input))
assert knobs() == before, knobs()
assert sum(found.states.values()) == 1, found
"""
COMMAND = """
import bulk_sync.cli
from bulk_sync.__main__ import main
bulk_sync.cli.main = lambda: print(*knobs())
main()
"""


def run(code: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", KNOBS + code], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_a_check_by_a_program_sets_nothing_and_reads_a_cell_beyond_the_limit_of_csv(
    tmp_path: Path,
) -> None:
    sheet = tmp_path / "x.csv"
    sheet.write_text(f"unique_showing_key,rating,notes\nA,5,{'x' * 200_000}\n", encoding="utf-8")
    run(f"import pathlib; bulk_sync_input = pathlib.Path({str(sheet)!r})" + CHECK)


def test_the_command_lets_threads_switch_often_and_collects_nothing_while_it_imports() -> None:
    _, interval, collects, *_ = run(COMMAND).split()
    assert (f"{float(interval):.4f}", collects) == ("0.0001", "False")
