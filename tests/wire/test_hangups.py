"""Terminals that close, readers that leave, and signals while the program starts."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
from functools import partial
from pathlib import Path

import pytest

from tests.helpers import command, environment, numbered, read_csv, sandbox_process, write_sheet


def test_a_closed_terminal_ends_the_run_tidily(tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(400))
    with sandbox_process("--accept-any", "--latency", "200ms") as witness:
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            command("push", sheet, "--base-url", witness.base_url, "--workers", 4),
            env=environment(),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=partial(fcntl.ioctl, 0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - one call of the kernel's
        )
        os.close(theirs)
        while len(witness.journal()) < 8:
            assert process.poll() is None
        os.close(ours)
        assert process.wait(20) == 129
        applied = {entry["key"] for entry in witness.patches() if entry["applied"]}
    results = read_csv(tmp_path / "x.results.csv")
    assert {line["unique_showing_key"] for line in results if line["state"] == "updated"} == applied
    assert len(results) == 400


def test_under_nohup_a_closed_terminal_changes_nothing(tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(40))
    with sandbox_process("--accept-any", "--latency", "100ms") as witness:
        process = subprocess.Popen(
            [
                "/bin/sh",
                "-c",
                'trap "" HUP; exec "$@"',
                "sh",
                *command("push", sheet, "--base-url", witness.base_url, "--workers", 4, "--quiet"),
            ],
            env=environment(),
        )
        while not witness.journal():
            assert process.poll() is None
        process.send_signal(signal.SIGHUP)
        assert process.wait(30) == 0


def test_readers_of_all_output_that_leave_early_end_no_run(tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(20))
    with sandbox_process("--accept-any") as witness:
        read_end, write_end = os.pipe()
        os.close(read_end)
        process = subprocess.Popen(
            command("push", sheet, "--base-url", witness.base_url, "-v"),
            env=environment(),
            stdout=write_end,
            stderr=write_end,
        )
        os.close(write_end)
        assert process.wait(30) == 0
    assert {line["state"] for line in read_csv(tmp_path / "x.results.csv")} == {"updated"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_the_program_starts_leaves_no_traceback(
    tmp_path: Path, number: signal.Signals
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(3))
    # Stops for good at the first module that takes long to import, as if the disk were slow.
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, time\n"
        "class Slow:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'typer':\n"
        "            print('importing', flush=True)\n"
        "            time.sleep(60)\n"
        "sys.meta_path.insert(0, Slow())\n",
        encoding="utf-8",
    )
    for start in (["-m", "bulk_sync"], ["-c", "from bulk_sync.__main__ import main; main()"]):
        process = subprocess.Popen(
            [sys.executable, *start, "status", str(sheet)],
            env=environment(PYTHONPATH=str(tmp_path)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "importing\n"
        process.send_signal(number)
        assert process.communicate(timeout=20) == ("", "")
        assert process.returncode == 128 + number
