"""Hosts that lack something: streams, a home folder, room for the log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from bulk_sync.clock import SystemClock
from bulk_sync.job.lock import note_path
from tests.conftest import Program, Sandboxes
from tests.faultserver import Deed, Request, fault_server, good
from tests.helpers import KEY, numbered, write_sheet

Ran = subprocess.CompletedProcess[str]

ROOT = Path(__file__).parents[2]


def run(
    *arguments: object,
    closed: tuple[int, ...] = (),
    environ: dict[str, str] | None = None,
) -> Ran:
    def close() -> None:
        for number in closed:
            os.close(number)

    return subprocess.run(
        [sys.executable, "-m", "bulk_sync", *map(str, arguments)],
        env={"NORTH_API_KEY": KEY, "PATH": os.environ["PATH"]} | (environ or {}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=close,
    )


@pytest.fixture
def with_state(tmp_path: Path) -> dict[str, str]:
    return {"XDG_STATE_HOME": str(tmp_path / "state"), "XDG_CONFIG_HOME": str(tmp_path / "config")}


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)], ids=str)
def test_every_command_runs_with_closed_streams(
    tmp_path: Path, sandboxes: Sandboxes, with_state: dict[str, str], closed: tuple[int, ...]
) -> None:
    sheet = write_sheet(tmp_path / "s.csv", numbered(3))
    with sandboxes() as witness:
        url = ("--base-url", witness.base_url)
        for command in (
            ("push", sheet, *url),
            ("check", sheet),
            ("status", sheet),
            ("report", sheet),
            ("reconcile", sheet, "--with", "ledger", *url),
            ("doctor", *url),
            ("--version",),
        ):
            ran = run(*command, closed=closed, environ=with_state)
            assert ran.returncode == 0, (command, ran.stderr)
            assert "Traceback" not in ran.stderr
        assert [one["method"] for one in witness.journal()].count("PATCH") == 3
    assert (tmp_path / "s.checkpoint.sqlite").read_bytes().startswith(b"SQLite format 3")


def test_a_command_runs_in_a_folder_that_was_removed(
    tmp_path: Path, with_state: dict[str, str]
) -> None:
    sheet, gone = write_sheet(tmp_path / "s.csv", numbered(3)), tmp_path / "gone"
    gone.mkdir()
    program = (sys.executable, "-P", "-m", "bulk_sync")
    ran = subprocess.run(
        ["/bin/sh", "-c", 'rmdir "$PWD" && exec "$@"', "sh", *program, "check", str(sheet)],
        cwd=gone,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | with_state,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_disk_under_the_log_changes_no_exit_code(
    tmp_path: Path, sandboxes: Sandboxes, with_state: dict[str, str]
) -> None:
    sheet = write_sheet(tmp_path / "s.csv", numbered(3))
    with sandboxes() as witness:
        url = ("--base-url", witness.base_url)
        ran = run("push", sheet, *url, "--json", "--log-file", "/dev/full", environ=with_state)
    summary = json.loads(ran.stdout)
    assert (ran.returncode, summary["exit_code"], summary["states"]["updated"]) == (0, 0, 3)
    assert "--log-file /dev/full can't be written (the disk is full; make room)" in ran.stderr


@pytest.fixture
def homeless() -> Callable[..., Ran]:
    """Run a command as a user without a home folder and without an entry in /etc/passwd, where no
    temporary folder can be written.
    """
    script = (
        "import os, pwd, sys\n"
        "def unknown(_): raise KeyError\n"
        "pwd.getpwuid = pwd.getpwnam = unknown\n"
        "import tempfile\n"
        "tempfile._candidate_tempdir_list = lambda: ['/missing']\n"
        "from bulk_sync.__main__ import main\n"
        "sys.argv = ['bulk-sync', *sys.argv[1:]]\n"
        "main()\n"
    )

    def run_homeless(*arguments: object, stdin: str = "") -> Ran:
        return subprocess.run(
            [sys.executable, "-c", script, *map(str, arguments)],
            input=stdin,
            env={"NORTH_API_KEY": KEY, "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run_homeless


def test_without_a_home_folder_the_limit_is_not_shared(
    tmp_path: Path, sandboxes: Sandboxes, homeless: Callable[..., Ran]
) -> None:
    sheet = write_sheet(tmp_path / "s.csv", numbered(3))
    assert homeless("check", sheet).returncode == 0
    with sandboxes() as witness:
        pushed = homeless("push", sheet, "--base-url", witness.base_url)
        examined = homeless("doctor", "--base-url", witness.base_url, "--out", tmp_path)
    assert pushed.returncode == 0, pushed.stderr
    assert (pushed.stdout + pushed.stderr).count("set XDG_STATE_HOME") == 1
    assert examined.returncode == 0
    assert "no home folder" in examined.stdout
    assert "the output folder is used" in examined.stdout
    assert homeless("status", sheet).returncode == homeless("report", sheet).returncode == 0
    refused = homeless("init", "--user")
    assert refused.returncode == 2
    assert "set XDG_CONFIG_HOME" in refused.stderr


def test_without_a_temporary_folder_the_folder_of_the_run_is_used(
    tmp_path: Path, sandboxes: Sandboxes, homeless: Callable[..., Ran]
) -> None:
    sheet, other = write_sheet(tmp_path / "s.csv", numbered(3)), tmp_path / "other.csv"
    write_sheet(other, numbered(30_000))  # large enough for a child process
    out = tmp_path / "out"
    with sandboxes() as witness:
        url = ("--base-url", witness.base_url, "--rate", "1000/s")
        for code, *arguments in (
            (0, "check", sheet),
            (0, "check", sheet, other),
            (0, "push", sheet, *url, "--results", tmp_path / "r.xlsx"),
            (0, "push", "-", *url, "--results", out / "r.csv", "--checkpoint", out / "x.sqlite"),
            (0, "report", sheet, "--results", tmp_path / "again.xlsx"),
            (0, "reconcile", sheet, "--with", "ledger", *url),
            (3, "reconcile", sheet, "--with", other),
            (0, "push", sheet, *url, "--fresh", "--purge"),
        ):
            ran = homeless(*arguments, stdin=sheet.read_text(encoding="utf-8"))
            assert ran.returncode == code, (arguments, ran.stderr)
        assert len(witness.patches()) == 9
    assert not list(tmp_path.rglob(".bulk-sync-*"))


@pytest.mark.parametrize(
    ("option", "code"),
    [
        *dict.fromkeys(
            ("--results", "--page", "--undo-file", "--metrics-file", "--log-file"), 8
        ).items(),
        *dict.fromkeys(("--checkpoint", "--ledger"), 4).items(),
        *dict.fromkeys(("--key-file", "--profile", "--config"), 2).items(),
    ],
)
def test_a_pipe_in_place_of_a_file_is_refused_and_not_waited_for(
    tmp_path: Path, with_state: dict[str, str], option: str, code: int
) -> None:
    sheet, pipe = write_sheet(tmp_path / "s.csv", numbered(3)), tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    ran = run("push", sheet, "--base-url", "http://127.0.0.1:9", option, pipe, environ=with_state)
    assert ran.returncode == code, ran.stderr
    assert str(pipe) in ran.stderr
    assert pipe.is_fifo()
    assert not (tmp_path / "s.results.csv").exists()


def test_the_status_of_a_pipe_is_none(tmp_path: Path, with_state: dict[str, str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    for command in ("status", "report"):
        assert run(command, tmp_path / "pipe", environ=with_state).returncode == 4


@pytest.mark.parametrize("of_ledger", [False, True], ids=["checkpoint", "ledger"])
def test_a_run_whose_lock_another_host_takes_sends_nothing_more(
    tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch, *, of_ledger: bool
) -> None:
    monkeypatch.setattr("bulk_sync.job.lock.RENEWAL_SECONDS", 0.001)
    sheet, ledger = write_sheet(tmp_path / "s.csv", numbered(500)), tmp_path / "ledger.sqlite"
    taken = note_path(ledger if of_ledger else tmp_path / "s.checkpoint.sqlite")

    def script(request: Request, _: int) -> Deed:
        # With each request, because this run's renewal may write over a note between its look at
        # the note and its write.
        if request.key != "ext_0":
            written = taken.read_bytes()
            own = json.loads(written)
            other = json.dumps(own | {"host": "elsewhere", "boot": "other", "token": "other"})
            with taken.open("r+b") as file:
                file.write(other.encode().ljust(len(written)))
        return good

    with fault_server(script) as journal:
        url = ("--base-url", journal.base_url, "--rate", "20/s", "--ledger", ledger)
        ran = program("push", sheet, *url)
        sent = len(journal.requests)
    assert ran.code == 7
    assert "elsewhere" in ran.err
    assert "locks hold on one host only" in ran.err
    assert sent < 500
    assert not (tmp_path / "s.results.csv").exists()


@pytest.mark.parametrize("days", [-1.0, 1.0, -400.0])
def test_a_clock_that_is_set_in_mid_run_changes_nothing_but_times(
    tmp_path: Path,
    program: Program,
    sandboxes: Sandboxes,
    monkeypatch: pytest.MonkeyPatch,
    days: float,
) -> None:
    sheet, readings, now = write_sheet(tmp_path / "s.csv", numbered(30)), count(), SystemClock.now

    def jumping(clock: SystemClock) -> datetime:
        return now(clock) + (timedelta(days=days) if next(readings) > 40 else timedelta())

    monkeypatch.setattr(SystemClock, "now", jumping)
    with sandboxes() as witness:
        url = ("--base-url", witness.base_url, "--deadline", "1h", "--page", tmp_path / "p.html")
        first = program("push", sheet, *url, "--limit", "20", "--json")
        again = program("push", sheet, *url, "--json")
        assert (first.code, again.code) == (0, 0)
        assert again.summary["states"]["updated"] == len(witness.patches()) == 30
        assert again.summary["throttled_seconds"] == 0
    assert program("report", sheet, "--page", tmp_path / "p.html").code == 0
    assert program("status", sheet).code == 0
