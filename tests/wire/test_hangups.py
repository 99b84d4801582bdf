"""Terminals that close, readers that leave, and signals while the program starts."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import threading
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from tests.faultserver import all_good, always, fault_server, first, good, held, no_account
from tests.helpers import command, environment, numbered, read_csv, started, when_sent, write_sheet


@pytest.mark.slow  # a process has a terminal
def test_a_closed_terminal_ends_the_run_tidily(tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(400))
    release = threading.Event()
    with fault_server(first(1, good, then=held(release)), me=no_account) as journal:
        ours, theirs = pty.openpty()
        with started(
            *("push", sheet, "--base-url", journal.base_url, "--workers", 4, "--yes"),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=partial(fcntl.ioctl, 0, termios.TIOCSCTTY, 0),
        ) as process:
            os.close(theirs)
            when_sent(1 + 4, journal.requests, process)
            os.close(ours)
            release.set()
            assert process.wait() == 129
    results = read_csv(tmp_path / "x.results.csv")
    updated = {line["unique_showing_key"] for line in results if line["state"] == "updated"}
    assert updated == set(journal.patched)
    assert len(updated) < len(results) == 400


@pytest.mark.slow  # a process is struck
def test_under_nohup_a_closed_terminal_changes_nothing(tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(40))
    release = threading.Event()
    with fault_server(always(held(release))) as journal:
        deaf = ["/bin/sh", "-c", 'trap "" HUP; exec "$@"', "sh"]
        push = command("push", sheet, "--base-url", journal.base_url, "--quiet")
        with subprocess.Popen([*deaf, *push], env=environment()) as process:
            when_sent(1, journal.requests, process)
            process.send_signal(signal.SIGHUP)
            release.set()
            assert process.wait() == 0
    assert Counter(journal.patched) == {f"ext_{number}": 1 for number in range(40)}


@pytest.mark.slow  # a process's own streams
def test_readers_of_all_output_that_leave_early_end_no_run(tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(20))
    with fault_server(all_good) as journal:
        read_end, write_end = os.pipe()
        os.close(read_end)
        push = ("push", sheet, "--base-url", journal.base_url, "-v")
        with started(*push, stdout=write_end, stderr=write_end) as process:
            os.close(write_end)
            assert process.wait() == 0
    assert {line["state"] for line in read_csv(tmp_path / "x.results.csv")} == {"updated"}


def stopping_at_first_import(folder: Path) -> dict[str, str]:
    """The environment of a program that stops at the first module that takes long to import, as if
    the disk were slow, and says `importing` then.
    """
    (folder / "sitecustomize.py").write_text(
        "import sys, time\n"
        "class Slow:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'typer':\n"
        "            print('importing', flush=True)\n"
        "            time.sleep(60)\n"
        "sys.meta_path.insert(0, Slow())\n",
        encoding="utf-8",
    )
    return environment(PYTHONPATH=str(folder))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_the_program_starts_leaves_no_traceback(
    tmp_path: Path, number: signal.Signals
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(3))
    changed = stopping_at_first_import(tmp_path)
    for start in (["-m", "bulk_sync"], ["-c", "from bulk_sync.__main__ import main; main()"]):
        with subprocess.Popen(
            [sys.executable, *start, "status", str(sheet)],
            env=changed,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "importing\n"
            process.send_signal(number)
            assert process.communicate() == ("", "")
        assert process.returncode == 128 + number


AS_PROCESS_1 = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child")


def can_be_process_1() -> bool:
    try:
        return not subprocess.run(
            [*AS_PROCESS_1, "true"], check=False, capture_output=True
        ).returncode
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not can_be_process_1(), reason="this host makes no PID namespaces")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_as_process_1_a_signal_counts_from_the_first_import(
    tmp_path: Path, number: signal.Signals
) -> None:
    """The kernel drops what process 1 of a PID namespace has no handler for."""
    with subprocess.Popen(
        [*AS_PROCESS_1, sys.executable, "-m", "bulk_sync", "status", str(tmp_path / "x.csv")],
        env=stopping_at_first_import(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "importing\n"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        os.kill(int(children.read_text("ascii")), number)
        assert process.communicate() == ("", "")
    assert process.returncode == 128 + number


def test_the_image_starts_through_an_init_for_the_time_before_that() -> None:
    dockerfile = Path(__file__).parents[2] / "Dockerfile"
    last = [
        line
        for line in dockerfile.read_text(encoding="utf-8").splitlines()
        if line.startswith("ENTRYPOINT")
    ]
    assert last == ['ENTRYPOINT ["tini", "--", "bulk-sync"]']
