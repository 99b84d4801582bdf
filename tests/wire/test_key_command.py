"""The API key from a command: run without a shell, and never shown."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from tests.conftest import Program
from tests.faultserver import all_good, fault_server
from tests.helpers import KEY, environment, numbered, started, write_sheet

OTHER_KEY = KEY.replace("c4n4ry", "0th3r0")


@pytest.fixture
def sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("NORTH_API_KEY")
    return write_sheet(tmp_path / "x.csv", numbered(2))


def printing(tmp_path: Path, code: str) -> str:
    """A command that runs this program."""
    script = tmp_path / "give key.py"
    script.write_text(f"import os, sys\nKEY = {KEY!r}\n{code}\n", encoding="utf-8")
    return shlex.join([sys.executable, str(script)])


@pytest.mark.parametrize("ending", ["", "\\n", "\\r\\n", "\\nuser: ana\\n"])
def test_the_key_is_the_first_line(
    program: Program, sheet: Path, tmp_path: Path, ending: str
) -> None:
    command = printing(tmp_path, f"sys.stdout.write(KEY + {ending!r})".replace("\\\\", "\\"))
    with fault_server(all_good) as journal:
        assert (
            program("push", sheet, "--base-url", journal.base_url, "--key-command", command).code
            == 0
        )
    assert {request.headers["authorization"] for request in journal.requests} == {f"Bearer {KEY}"}


def test_the_command_gets_neither_another_key_nor_the_sheet(sheet: Path, tmp_path: Path) -> None:
    code = "assert 'NORTH_API_KEY' not in os.environ\nassert not sys.stdin.read()\nprint(KEY)"
    with (
        fault_server(all_good) as journal,
        sheet.open("rb") as rows,
        started(
            *("push", "-", "--checkpoint", tmp_path / "c.sqlite", "--results", tmp_path / "r.csv"),
            *("--base-url", journal.base_url, "--key-command", printing(tmp_path, code)),
            stdin=rows,
            env=environment(NORTH_API_KEY=OTHER_KEY),
        ) as running,
    ):
        _, err = running.communicate(timeout=120)
    assert running.returncode == 0, err
    assert {request.headers["authorization"] for request in journal.requests} == {f"Bearer {KEY}"}
    assert len(journal.requests) == 3


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("print(KEY); sys.exit(3)", "ended with exit code 3"),
        ("pass", "is blank"),
        ("print(); print(KEY)", "is blank"),
        ("sys.stdout.buffer.write(b'\\xff' + KEY.encode())", "is no text"),
        ("print(KEY, KEY)", "not a North API key"),
    ],
)
def test_a_command_without_a_key_ends_the_run_with_a_sentence(
    program: Program, sheet: Path, tmp_path: Path, code: str, words: str
) -> None:
    log = tmp_path / "x.log"
    with fault_server(all_good) as journal:
        ran = program(
            "push", sheet, "--base-url", journal.base_url, "--log-file", log,
            "--key-command", printing(tmp_path, code),
        )  # fmt: skip
        assert journal.requests == []
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err
    assert KEY not in ran.err + log.read_text("utf-8")
    assert "give key" not in ran.err + log.read_text("utf-8"), "an argument may be a secret"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (KEY, "not the key itself"),
        (" ", "blank"),
        ("pass 'show", "quotation mark"),
        ("no-such-program-of-ours", "no such file"),
        ("echo $NORTH; rm -rf x", "not a North API key"),  # one argument each: there is no shell
    ],
)
def test_a_wrong_command_is_refused(
    program: Program, sheet: Path, command: str, words: str
) -> None:
    ran = program("push", sheet, "--base-url", "http://127.0.0.1:9", "--key-command", command)
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err
    assert KEY not in ran.err


def test_a_key_comes_from_one_place(program: Program, sheet: Path) -> None:
    ran = program("push", sheet, "--key-command", "echo x", "--key-file", sheet)
    assert (ran.code, ran.out) == (2, "")
    assert "give one of them" in ran.err


def test_doctor_names_the_source_and_not_the_command(program: Program, tmp_path: Path) -> None:
    with fault_server(all_good) as journal:
        ran = program(
            "doctor", "--base-url", journal.base_url,
            "--key-command", printing(tmp_path, "print(KEY)"),
        )  # fmt: skip
    assert ran.code == 0, ran.out
    assert "--key-command" in ran.out
    assert KEY not in ran.out
    assert "give key" not in ran.out
