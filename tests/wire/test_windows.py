"""The program without what Windows lacks: names of `os`, flock, and event loops with signals."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.faultserver import all_good, fault_server, first, good, held, no_account
from tests.helpers import (
    in_haste,
    numbered,
    read_csv,
    run,
    signalled,
    started,
    when_sent,
    write_sheet,
)

# As Python documents it: "Availability: Unix" (os, fcntl), and "Unix" for the loop's methods
# (asyncio, "Platform Support").
LIKE_WINDOWS = """
import asyncio, importlib.util, os, signal, sys
from asyncio import unix_events
for name in (
    "O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "geteuid", "pread", "pwrite",
    "killpg",
):
    delattr(os, name)
sys.modules["fcntl"] = None
del signal.SIGHUP
for name in ("add_signal_handler", "remove_signal_handler"):
    setattr(unix_events._UnixSelectorEventLoop, name, getattr(asyncio.AbstractEventLoop, name))
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "uvloop" else find_spec(name, *rest)
from bulk_sync.__main__ import main
main()
"""


def like_windows(*arguments: object) -> list[str]:
    return [sys.executable, "-c", LIKE_WINDOWS, *in_haste(arguments)]


@pytest.mark.parametrize(
    "more", [(), ("--log-file", "run.log"), ("--on-finish", "cat"), ("--page", "page.html")]
)
def test_push_runs_without_what_windows_lacks(tmp_path: Path, more: Sequence[str]) -> None:
    sheet = write_sheet(tmp_path / "sheet.csv", numbered(3))
    with fault_server(all_good) as journal:
        push = ("push", sheet, "--base-url", journal.base_url, *more)
        ran = run(*push, program=like_windows, cwd=tmp_path)
    assert (ran.code, ran.err) == (0, ran.err)
    assert sorted(journal.patched) == ["ext_0", "ext_1", "ext_2"]
    states = [line["state"] for line in read_csv(tmp_path / "sheet.results.csv")]
    assert states == ["updated"] * 3
    if "run.log" in more:
        assert "3 updated" in (tmp_path / "run.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", ["demo", "doctor", "status", "check"])
def test_other_commands_run_without_what_windows_lacks(tmp_path: Path, command: str) -> None:
    sheet = write_sheet(tmp_path / "sheet.csv", numbered(3))
    with fault_server(all_good) as journal:
        assert run("push", sheet, "--base-url", journal.base_url, program=like_windows).code == 0
        files = (sheet,) if command in {"status", "check"} else ()
        to = ("--base-url", journal.base_url) if command == "doctor" else ()
        ran = run(command, *files, *to, program=like_windows, cwd=tmp_path)
    # filelock has other locks on Windows; here it has none, and doctor says so.
    assert ran.code == (8 if command == "doctor" else 0), ran.err
    assert "Traceback" not in ran.err


@pytest.mark.slow  # a process is struck
def test_ctrl_c_stops_tidily_on_a_loop_without_signal_handlers(tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "sheet.csv", numbered(50))
    release = threading.Event()
    with fault_server(first(1, good, then=held(release)), me=no_account) as journal:
        push = ("push", sheet, "--base-url", journal.base_url, "--workers", 4)
        with started(*push, program=like_windows) as process:
            when_sent(1 + 4, journal.requests, process)
            signalled(process, signal.SIGINT)
            release.set()
            _, err = process.communicate()
        assert process.returncode == 130
        assert "Traceback" not in err
        sent = set(journal.patched)
    lines = read_csv(tmp_path / "sheet.results.csv")
    assert {line["unique_showing_key"] for line in lines if line["state"] == "updated"} == sent
