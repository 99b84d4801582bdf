"""Every file of a run is for its owner only, whatever the umask."""

from __future__ import annotations

import os
import signal
import stat
import threading
from pathlib import Path

import pytest

from tests.conftest import Program
from tests.faultserver import always, fault_server, held
from tests.helpers import numbered, started, when_sent, write_sheet


def modes(folder: Path, stem: str) -> dict[str, int]:
    return {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in folder.glob(f"{stem}.*")
        if path.suffix != ".src"
    }


@pytest.mark.slow  # a process has a umask
def test_modes_under_umask_000_in_mid_run_and_after(program: Program, tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "x.csv", [*numbered(100), ("ext_900", "", 9)])
    sheet.chmod(0o600)
    release = threading.Event()
    with fault_server(always(held(release))) as journal:
        push = ("push", sheet, "--base-url", journal.base_url, "--quiet")
        with started(*push, umask=0) as process:
            when_sent(1, journal.requests, process)
            during = modes(tmp_path, "x")
            process.send_signal(signal.SIGTERM)
            release.set()
            process.communicate()
    after = modes(tmp_path, "x")
    before = os.umask(0)
    try:
        assert program("report", sheet).code == 0
    finally:
        os.umask(before)
    assert {
        "x.checkpoint.sqlite",
        "x.checkpoint.sqlite-wal",
        "x.checkpoint.sqlite-shm",
        "x.checkpoint.sqlite.lock",
        "x.checkpoint.sqlite.holder",
    } <= during.keys()
    assert {"x.results.csv", "x.failed.csv"} <= after.keys()
    assert {*during.values(), *after.values(), *modes(tmp_path, "x").values()} == {0o600}


@pytest.mark.slow  # two processes at once
def test_two_reports_at_once_both_end_well_and_leave_one_whole_file(
    program: Program, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(3000))
    ran = program("push", sheet, "--base-url", "http://127.0.0.1:9", "--max-attempts", 1)
    assert ran.code == 6
    whole = (tmp_path / "x.results.csv").read_bytes()
    with started("report", sheet) as one, started("report", sheet) as other:
        for process in (one, other):
            process.communicate()
    assert [one.returncode, other.returncode] == [0, 0]
    assert (tmp_path / "x.results.csv").read_bytes() == whole
    assert not list(tmp_path.glob(".bulk-sync-*"))
