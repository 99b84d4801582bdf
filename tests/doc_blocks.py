"""The blocks of README.md and docs/, and a reader who copies and runs them."""

from __future__ import annotations

import configparser
import csv
import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import openpyxl
import yaml

from tests.helpers import KEY

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

_FENCE = re.compile(
    r'^( *)```([a-z]*)(?: title="([^"]+)")?\n(.*?)^\1```$', re.MULTILINE | re.DOTALL
)

NOT_RUN = {
    ".venv/bin/pip install": "the gate runs the README's demo command as it is written",
    ".venv-dev/bin/pip install": "the gate runs the README's test command as it is written",
    "pipx ": "installs for the user, from a package index",
    "uv tool ": "installs for the user, from a package index",
    "/pip install": "installs from a package index",
    "bulk-sync --install-completion": "writes to the shell's own files; test_completion tries it",
    "docker ": "needs Docker",
    " --dask ": "starts a cluster, or needs one; test_cluster does both",
    "dask ssh ": "needs hosts that one can log in to",
    "/bin/dask ": "runs until somebody stops it",
    "schtasks ": "needs Windows",
    "py -m venv ": "needs Windows",
    "[y/N]": "is asked on a terminal; test_asking answers there",
    ".venv-one/": "installs PyInstaller from a package index, and takes a minute",
}
"""Texts of commands that are not run here, and why."""

# A full path, because Windows has a bash of its own that can't run these.
BASH = shutil.which("bash") or "bash"
# A command of bulk-sync alone, without pipes, variables or a second command.
_IS_SIMPLE = re.compile(r"bulk-sync [^|&;<>$`]*$")
# Commands end with one of these: all is done, or rows need a person. The exit code of `status` says
# where the job stands, and a page may ask before everything is sent.
_FINE = (0, 3)
_FINE_FOR_STATUS = (*_FINE, 6)
_PORT = "8787"


@dataclass(frozen=True)
class Block:
    """A fenced block; `title` is the file that it shows."""

    page: str
    line: int
    language: str
    title: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    def commands(self) -> Iterator[tuple[str, str | None]]:
        """Yield each command with its output; a line without a prompt has none."""
        if self.language == "sh":
            for line in self.text.replace("\\\n", "").splitlines():
                yield line, None
            return
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = [
        Block(
            page.name,
            text.count("\n", 0, match.start()) + 1,
            match[2],
            match[3] or "",
            textwrap.dedent(match[4]),
        )
        for match in _FENCE.finditer(text)
    ]
    assert len(found) * 2 == len(re.findall(r"^ *```", text, re.MULTILINE)), page
    return found


def reason_not_to_run(command: str) -> str | None:
    return next((why for text, why in NOT_RUN.items() if text in command), None)


def well_formed(block: Block) -> None:
    """Parse a block of data; a language that nobody parses is an error."""
    if block.language == "toml":
        tomllib.loads(block.text)
    elif block.language == "csv":
        header, *rows = block.text.splitlines()
        assert all(row.count(",") >= header.count(",") for row in rows), block.place
    elif block.language == "yaml":
        assert isinstance(yaml.safe_load(block.text), dict), block.place
    elif block.language == "ini":
        configparser.ConfigParser(interpolation=None, strict=False).read_string(block.text)
    elif block.language == "cron":
        for line in block.text.splitlines():
            *times, command = line.split(maxsplit=5)
            assert len(times) == 5, block.place
            assert re.match("/[a-z/.]+/bulk-sync (?:push|run --jobs) /", command), block.place
    elif block.language in {"bat", "text"}:
        assert reason_not_to_run(block.text), block.place
    else:
        assert block.language in {"sh", "console", "python"}, block.place


@dataclass
class Reader:
    """Somebody who copies the blocks of a page, in its order, into a folder and a shell."""

    folder: Path
    base_url: str
    program: Callable[[list[str]], int]
    """Runs bulk-sync in this process, which takes a tenth of the time of another one."""
    port: str = _PORT

    def copy(self, block: Block, opened: ExitStack) -> None:
        well_formed(block)
        if block.title:
            path = self.folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            text = re.sub(
                '^team = ".*"$', 'team = "Example Realty"', block.text, flags=re.MULTILINE
            )
            path.write_text(self._own(text), encoding="utf-8")
        elif block.language == "python":
            key = self.folder / "north.key"
            key.write_text(KEY, encoding="utf-8")
            key.chmod(0o600)
            # A program reads no environment, so the API's address is added to its settings.
            settings = f"PushSettings(base_url={self.base_url!r}, "
            code = block.text.replace("PushSettings(", settings)
            self._run(block, f"{shlex.quote(sys.executable)} -c {shlex.quote(code)}", None)
        elif block.language in {"sh", "console"}:
            for command, output in block.commands():
                self._command(block, command, output, opened)

    def _command(self, block: Block, command: str, output: str | None, opened: ExitStack) -> None:
        if reason_not_to_run(command) is not None:
            return
        if command.startswith("bulk-sync sandbox"):
            opened.enter_context(self._sandbox(command))
        elif output is None and _IS_SIMPLE.match(command):
            words = shlex.split(self._own(command), comments=True)[1:]
            code, fine = self.program(words), _FINE_FOR_STATUS if words[0] == "status" else _FINE
            assert code in fine, f"{block.place}: {command}: exit code {code}"
        else:
            self._run(block, command, output)

    def _run(self, block: Block, command: str, output: str | None) -> None:
        """Run a command in a shell, in processes of its own."""
        command = self._own(command)
        done = subprocess.run(
            [BASH, "-c", command],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode in _FINE, f"{block.place}: {command}\n{done.stdout}"
        for path in self.folder.glob("*.key"):
            if not path.read_bytes():  # the page says to paste the key here
                path.write_text(KEY, encoding="utf-8")
        if output is not None:
            assert re.fullmatch(_pattern(output), _shown(done.stdout)), (
                f"{block.place}: {command}\n{_shown(done.stdout)}"
            )

    def _own(self, command: str) -> str:
        """A command or file with a key and the port of the page's own sandbox."""
        return command.replace("NORTH_API_KEY=...", f"NORTH_API_KEY={KEY}").replace(
            _PORT, self.port
        )

    @contextmanager
    def _sandbox(self, command: str) -> Iterator[None]:
        process = subprocess.Popen(
            [BASH, "-c", f"exec {command.strip()} --port 0"],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            text=True,
        )
        with process:
            assert process.stdout is not None
            listening = re.search(
                r"listening on http://127\.0\.0\.1:(\d+)", process.stdout.readline()
            )
            assert listening is not None
            self.port = listening[1]
            try:
                yield
            finally:
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=30)


def reader(folder: Path, base_url: str, program: Callable[[list[str]], int]) -> Reader:
    """Return a reader in a folder of their own."""
    desk = folder / "desk"
    desk.mkdir(parents=True)
    _lay_out(desk)
    return Reader(desk, base_url, program)


def environment(folder: Path, base_url: str) -> dict[str, str]:
    """Return the environment of a reader, with bulk-sync on the path and the address of an API."""
    path = folder / "bin" / "bulk-sync"
    path.parent.mkdir(parents=True)
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m bulk_sync "$@"\n')
    path.chmod(0o755)
    return {
        "PATH": f"{path.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(folder),
        "TZ": "America/Chicago",
        "COLUMNS": "80",
        "BULK_SYNC_BASE_URL": base_url,
    }


def _lay_out(desk: Path) -> None:
    """Write the files that every page may use: the sheet of "Getting started", an export, and a
    folder and a key for each of two teams.
    """
    (first,) = (
        block.text
        for block in blocks_of(ROOT / "docs" / "getting-started.md")
        if block.title == "showings.csv"
    )
    (desk / "showings.csv").write_text(first, encoding="utf-8")
    rows = [*csv.reader(io.StringIO(first))]
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(desk / "showings.xlsx")
    (desk / "north-export.csv").write_text(_EXPORT, encoding="utf-8")
    for name, folder in (("vale", desk / "vale"), ("hill", desk / "hill" / "inbox")):
        folder.mkdir(parents=True)
        (folder / "showings.csv").write_text(first.replace("SH-", f"{name}-"), encoding="utf-8")
        key = desk / "keys" / name
        key.parent.mkdir(exist_ok=True)
        key.write_text(f"{KEY[:-4]}{name}", encoding="utf-8")
        key.chmod(0o600)


_EXPORT = """\
unique_showing_key,attendee_name,feedback,rating
SH-1001,Ana Abara,Loved the kitchen,4
SH-1002,Noor Brandt,Too dark,2
SH-1003,Luis Solis,Wants to come again,5
SH-1005,Jo Lind,,3
"""

_NUMBER = r"\d[\d,.]*"


def _pattern(output: str) -> str:
    """Return shown output as a pattern: `...` is any text, and times and speeds are any number."""
    lines = []
    for line in output.rstrip().split("\n"):
        if line.strip() == "...":
            lines.append(r"(?:.*\n)*?")
            continue
        pattern = re.escape(line.rstrip()).replace(re.escape("..."), ".*")
        if "requests, " in line:
            pattern = re.sub(r"(?:\d|,(?=\d)|\\\.(?=\d))+", lambda _: _NUMBER, pattern)
        lines.append(f"{pattern}\n")
    return "".join(lines)


def _shown(output: str) -> str:
    """Return output as a reader of the page sees it, without this test's address."""
    text = re.sub(r" --base-url http://127\.0\.0\.1:\d+", "", output)
    text = re.sub(r"http://127\.0\.0\.1:\d+", "https://api.northreports.com", text)
    return "".join(f"{line.rstrip()}\n" for line in text.rstrip().split("\n"))
