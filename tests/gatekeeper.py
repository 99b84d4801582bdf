"""No vacuous pass: a plugin of pytest for the gate, where the environment has `CI=true`.

A test that is skipped for any reason outside `ALLOWED` fails, and so does a file that is skipped
as a whole. A run in which tests are left out (`-m`, `-k`, `--deselect`, `--ignore`) is refused
at its start. A file of tests in which nothing is collected, or tests in a file of another name,
fail a run of the whole suite.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

ALLOWED = {
    "no permission to mount a file system": "containers without CAP_SYS_ADMIN; the full disk is"
    " tried by strace and RLIMIT_FSIZE, too",
    "only the administrator can become somebody else": "the gate may run as anybody",
    "systemd-analyze is not here": "systemd belongs to a whole machine, not to a container",
    "this system has no device that is always full": "Linux has /dev/full, macOS has not",
    "the system has no /dev/full": "Linux has it, macOS has not",
}
"""Reasons for which the gate lets a test be skipped, and why: a system is like that. A tool that
can be installed isn't among them.
"""

ALLOWED_ELSEWHERE = {
    "as Linux writes beyond a limit": "what write() does at RLIMIT_FSIZE",
    "elsewhere a full queue is refused, not passed over": "what Linux's listen() does",
    "fish is not here": "no part of macOS or Windows",
    "libfaketime is not installed": "it is made for Linux",
    "no Chromium and chromedriver here (Debian: chromium, chromium-driver)": "under other names",
    "sends them by means of strace": "it looks at Linux's system calls",
    "strace kills at system calls": "same",
    "strace makes system calls fail": "same",
    "the clock of Linux": "CLOCK_BOOTTIME",
    "the system has no /proc": "what processes have open is known by Linux's",
    "this host makes no PID namespaces": "they are Linux's",
}
"""Reasons on systems other than Linux, beside those above."""

NEEDS_POSIX = "it needs signals, shells, owners or locks of POSIX"

ALLOWED_ON_WINDOWS = {
    NEEDS_POSIX: "tests/conftest.py finds that in the text of a file",
    "Windows has no such limit": "RLIMIT_NOFILE",
    "bash is not here": "the other completions are asked on the other systems",
    "open files are limited by the shell": "Windows has no ulimit",
    "owners and modes are looked at there": "files have none there",
    "pipes and devices are files there": "not there",
    "this is Windows itself": "the tests that make a process like those of Windows",
    "zsh is not here": "as bash",
}
"""Reasons on Windows, beside all above."""


def allowed(platform: str = sys.platform) -> frozenset[str]:
    """Return the reasons for which a test may be skipped on a system."""
    return frozenset(
        {
            *ALLOWED,
            *(ALLOWED_ELSEWHERE if platform != "linux" else ()),
            *(ALLOWED_ON_WINDOWS if platform == "win32" else ()),
        }
    )


# Whole files whose tests are about what Windows has not, or use it to strike programs.
_POSIX_ONLY = re.compile(
    r"^import (?:fcntl|pty|resource|termios)$|\bos\.(?:chown|fork|geteuid|getuid|kill|killpg|mkfifo"
    r"|mknod|setsid|symlink|umask)\b|\bsignal\.SIG(?:CONT|HUP|KILL|STOP|USR1)\b|\bsignalled\(|\b0o[0-7]{3}"
    r"|\bst_mode\b|[\"'/]dev/|/proc/|\bstrace\b|[\"']/?(?:bin/)?(?:ba|z|fi)?sh[\"']|\bchmod\b",
    re.MULTILINE,
)


def needs_posix(text: str) -> bool:
    """Return whether the tests of a file can't run on Windows."""
    return _POSIX_ONLY.search(text) is not None


_IS_TEST = re.compile(r"^(?:async )?def test_", re.MULTILINE)


def is_on(environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether this is the gate."""
    return environment.get("CI", "").lower() in {"1", "true"}


class Gatekeeper:
    """The rules as hooks; every process of pytest-xdist has them."""

    def pytest_configure(self, config: pytest.Config) -> None:
        """Refuse a run in which tests are left out."""
        left_out = [
            name
            for name in ("markexpr", "keyword", "deselect", "ignore", "ignore_glob")
            if getattr(config.option, name, None)
        ]
        if left_out:
            raise pytest.UsageError(f"the gate runs every test, without {', '.join(left_out)}")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Any:
        """Let a test that is skipped fail, unless its reason is among those allowed."""
        report = yield
        if report.skipped and not hasattr(report, "wasxfail"):
            _judge(report)
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self) -> Any:
        """The same for a whole file."""
        report = yield
        if report.skipped:
            _judge(report)
        return report

    def __init__(self) -> None:
        self._left_out: list[str] = []

    def pytest_deselected(self, items: Iterable[pytest.Item]) -> None:
        """Note what another plugin leaves out."""
        self._left_out += [item.nodeid for item in items]

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Add a failure for each test that is left out, and, in a whole suite, for each file
        that has no test or has them where none is found.
        """
        faults = [f"{name} was left out" for name in self._left_out]
        folder = config.rootpath / "tests"
        if [Path(one).absolute() for one in config.args] == [folder] and not session.testsfailed:
            silent = unheard(folder, {item.path for item in items})
            faults += [
                f"no test was collected from {path.relative_to(config.rootpath)}" for path in silent
            ]
        items += [_Fault.from_parent(session, name=fault) for fault in faults]


class _Fault(pytest.Item):
    """A failure of the collection, as a test: that reaches whoever counts, from any process."""

    def runtest(self) -> None:
        """Fail."""
        pytest.fail(f"{self.name}: the gate (CI=true) runs every test", pytrace=False)


def unheard(folder: Path, collected: set[Path]) -> list[Path]:
    """Return the files that are named as tests, or that define some, and gave none."""
    files = sorted(folder.rglob("*.py"))
    return [
        path
        for path in files
        if path not in collected
        and (path.name.startswith("test_") or _IS_TEST.search(path.read_text(encoding="utf-8")))
    ]


def _judge(report: Any) -> None:
    """Turn a skip into a failure, unless its reason is among those allowed."""
    where = report.longrepr
    reason = where[2] if isinstance(where, tuple) else str(where)
    reason = reason.removeprefix("Skipped: ")
    if reason not in allowed():
        report.outcome = "failed"
        report.longrepr = (
            f"{report.nodeid} was skipped: {reason}\nIn the gate (CI=true) a test may be skipped"
            " for the reasons in tests/gatekeeper.py only. Install what it needs."
        )
