"""Standard output and error: what goes where, hostile text, streams that can't take it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import Program, Sandboxes
from tests.helpers import (
    after_sending_line,
    command,
    environment,
    numbered,
    raw_server,
    read_csv,
    reply,
    run,
    write_sheet,
)


def test_quiet_prints_nothing_when_all_is_well(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(2))
    with sandboxes() as witness:
        ran = program("push", sheet, "--base-url", witness.base_url, "--quiet")
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_json_holds_the_contracts_keys_and_is_alone_on_standard_output(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", [*numbered(2), ("ext_9", "", 9)])
    with sandboxes() as witness:
        ran = program("push", sheet, "--base-url", witness.base_url, "--json", "--rate", "100/s")
    summary = json.loads(ran.out)
    assert set(summary) >= {
        "input",
        "rows",
        "states",
        "problems",
        "requests",
        "retries",
        "throttled",
        "seconds",
        "rows_per_second",
        "rate_limit",
        "results",
        "failed",
        "checkpoint",
        "exit_code",
    }
    assert set(summary["rate_limit"]) == {
        "requests_per_second",
        "source",
        "utilisation",
        "allowances",
    }
    assert summary["rate_limit"]["requests_per_second"] == 100
    assert summary["states"] == {
        "updated": 2,
        "created": 0,
        "unchanged": 0,
        "invalid": 1,
        "superseded": 0,
        "rejected": 0,
        "failed": 0,
        "pending": 0,
    }
    assert summary["problems"] == {"bad_value": 1}
    assert summary["exit_code"] == ran.code == 3


def test_hostile_text_reaches_neither_terminal_nor_spreadsheet_raw(
    program: Program, tmp_path: Path
) -> None:
    sheet = write_sheet(
        tmp_path / "x.csv", [("a[red]", "fi\u202ene", 5), ("b", "fine", "\x1b[31m9")]
    )
    message = json.dumps(
        {"error": {"message": '=HYPERLINK("http://x")\x1b]0;owned\x07\u2028[bold]'}}
    ).encode()
    with raw_server(lambda connection, _: connection.sendall(reply(422, message))) as base_url:
        ran = program("push", sheet, "--base-url", base_url, "-v")
    assert ran.code == 3
    assert not any(character in ran.out + ran.err for character in "\x1b\x07\u202e\u2028")
    assert "[bold]" in ran.out
    assert "\\x1b[31m9" in ran.out
    results = read_csv(tmp_path / "x.results.csv")
    assert results[0]["message"].startswith("'=HYPERLINK")
    assert results[0]["unique_showing_key"] == "a[red]"
    failed = read_csv(tmp_path / "x.failed.csv")
    assert failed[1]["rating"] == "\x1b[31m9"


@pytest.mark.slow  # a process's own streams
def test_a_terminal_that_knows_no_unicode_gets_escapes(
    sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", [("é", "", 9), ("ok", "", 1)])
    with sandboxes() as witness:
        ran = run(
            "push",
            sheet,
            "--base-url",
            witness.base_url,
            LC_ALL="C",
            PYTHONIOENCODING="ascii",
            PYTHONUTF8="0",
        )
    assert ran.code == 3
    assert "Traceback" not in ran.err


@pytest.mark.slow  # same
def test_a_reader_that_leaves_early_loses_no_state(sandboxes: Sandboxes, tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(5))
    with sandboxes() as witness:
        read_end, write_end = os.pipe()
        os.close(read_end)
        process = subprocess.Popen(
            command("push", sheet, "--base-url", witness.base_url),
            env=environment(),
            stdout=write_end,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(write_end)
        _, err = process.communicate()
    assert (process.returncode, after_sending_line(err)) == (0, "")
    with closing(sqlite3.connect(tmp_path / "x.checkpoint.sqlite")) as db:
        assert db.execute("SELECT state, count(*) FROM row GROUP BY state").fetchall() == [
            ("updated", 5)
        ]


@pytest.mark.slow  # same
@pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="this system has no device that is always full"
)
@pytest.mark.parametrize(
    "words",
    [("check", "x.csv"), ("--version",), ("--help",), ("help",), ("help", "sheets"), ("key", "-h")],
)
def test_a_full_disk_behind_standard_output_is_said(tmp_path: Path, words: Sequence[str]) -> None:
    write_sheet(tmp_path / "x.csv", numbered(5))
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            command(*words),
            cwd=tmp_path,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 8
    assert done.stderr == "Error: standard output can't be written: the disk is full; make room.\n"


@pytest.mark.slow  # same
@pytest.mark.parametrize("words", [("--help",), ("--version",)])
def test_help_that_nobody_reads_is_no_failure(words: Sequence[str]) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w", encoding="utf-8") as left:
        done = subprocess.run(
            command(*words), env=environment(), stdout=left, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (0, b"")
