"""The program in processes that are like those of Windows: see tests/like_windows.py."""

from __future__ import annotations

import os
import signal
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
from tests.like_windows import BREAK, command

pytestmark = pytest.mark.skipif(os.name != "posix", reason="this is Windows itself")


def like_windows(*arguments: object) -> list[str]:
    return command(*in_haste(arguments))


@pytest.fixture(autouse=True)
def _temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders of programs that aren't like Windows are locked in another way."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))


EVERYTHING = (
    *("--log-file", "run.log", "--on-finish", "cat", "--page", "page.html"),
    *("--results", "x.xlsx", "--undo-file", "undo.csv", "--metrics-file", "x.prom"),
    *("--archive", "done", "--max-problems", "100%"),
)


@pytest.mark.parametrize("more", [(), EVERYTHING])
def test_push_runs_without_what_windows_lacks(tmp_path: Path, more: Sequence[str]) -> None:
    rows = [*numbered(3), ("bad", "x", "★★★★★★★")]
    sheet = write_sheet(tmp_path / "sheet.csv", rows)
    with fault_server(all_good) as journal:
        ran = run(
            "push", sheet, "--base-url", journal.base_url, *more, program=like_windows, cwd=tmp_path
        )
        assert (ran.code, "Traceback" in ran.err) == (3, False), ran.err
        assert sorted(journal.patched) == ["ext_0", "ext_1", "ext_2"]
        if more:
            assert "3 updated" in (tmp_path / "run.log").read_text(encoding="utf-8")
            return
        states = [line["state"] for line in read_csv(tmp_path / "sheet.results.csv")]
        assert states == ["updated"] * 3 + ["invalid"]
        assert "not shared" not in ran.err, "the limit, whose file msvcrt locks"
        # Over what the first run left: nothing is sent again, and every report is replaced.
        again = run("push", sheet, "--base-url", journal.base_url, program=like_windows)
        assert (again.code, len(journal.patched)) == (3, 3), again.err


@pytest.mark.parametrize("command", ["demo", "doctor", "status", "check", "reconcile", "template"])
def test_other_commands_run_without_what_windows_lacks(tmp_path: Path, command: str) -> None:
    sheet = write_sheet(tmp_path / "sheet.csv", numbered(3))
    with fault_server(all_good) as journal:
        words: tuple[object, ...] = (sheet,)
        if command == "status":
            pushed = run("push", sheet, "--base-url", journal.base_url, program=like_windows)
            assert pushed.code == 0
        elif command == "doctor":
            words = ("--base-url", journal.base_url)
        elif command == "reconcile":
            words = (sheet, "--with", write_sheet(tmp_path / "other.csv", numbered(3)))
        elif command == "template":
            words = (tmp_path / "new.xlsx",)
        elif command == "demo":
            words = ()
        ran = run(command, *words, program=like_windows, cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert "Traceback" not in ran.err


@pytest.mark.slow  # a process is struck
@pytest.mark.parametrize("number", [signal.SIGINT, signal.Signals(BREAK)])
def test_ctrl_c_stops_tidily_on_a_loop_without_signal_handlers(
    tmp_path: Path, number: signal.Signals
) -> None:
    sheet = write_sheet(tmp_path / "sheet.csv", numbered(50))
    release = threading.Event()
    with fault_server(first(1, good, then=held(release)), me=no_account) as journal:
        push = ("push", sheet, "--base-url", journal.base_url, "--workers", 4)
        with started(*push, program=like_windows) as process:
            when_sent(1 + 4, journal.requests, process)
            signalled(process, number)
            release.set()
            _, err = process.communicate()
        assert process.returncode == 130
        assert "Traceback" not in err
        sent = set(journal.patched)
    lines = read_csv(tmp_path / "sheet.results.csv")
    assert {line["unique_showing_key"] for line in lines if line["state"] == "updated"} == sent
