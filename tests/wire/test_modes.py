"""Every file of a run is for its owner only, whatever the umask."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from pathlib import Path

from tests.helpers import command, environment, numbered, run, sandbox_process, write_sheet


def modes(folder: Path, stem: str) -> dict[str, int]:
    return {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in folder.glob(f"{stem}.*")
        if path.suffix != ".src"
    }


def test_modes_under_umask_000_in_mid_run_and_after(tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "x.csv", [*numbered(100), ("ext_900", "", 9)])
    sheet.chmod(0o600)
    with sandbox_process("--accept-any", "--latency", "400ms") as witness:
        process = subprocess.Popen(
            command("push", sheet, "--base-url", witness.base_url, "--workers", 4, "--quiet"),
            env=environment(),
            umask=0,
        )
        while not witness.journal():
            assert process.poll() is None
        during = modes(tmp_path, "x")
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        after = modes(tmp_path, "x")
        before = os.umask(0)
        try:
            assert run("report", sheet).code == 0
        finally:
            os.umask(before)
    assert {
        "x.checkpoint.sqlite", "x.checkpoint.sqlite-wal", "x.checkpoint.sqlite-shm", "x.checkpoint.sqlite.lock",
        "x.checkpoint.sqlite.holder",
    } <= during.keys()  # fmt: skip
    assert {"x.results.csv", "x.failed.csv"} <= after.keys()
    assert {*during.values(), *after.values(), *modes(tmp_path, "x").values()} == {0o600}


def test_two_reports_at_once_both_end_well_and_leave_one_whole_file(tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(3000))
    assert run("push", sheet, "--base-url", "http://127.0.0.1:9", "--max-attempts", 1).code == 6
    whole = (tmp_path / "x.results.csv").read_bytes()
    racers = [
        subprocess.Popen(command("report", sheet, "--quiet"), env=environment()) for _ in range(3)
    ]
    assert [process.wait(60) for process in racers] == [0, 0, 0]
    assert (tmp_path / "x.results.csv").read_bytes() == whole
    assert not list(tmp_path.glob(".bulk-sync-*"))
