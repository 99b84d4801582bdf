"""Text of others, from cells, keys, file names and the server: no terminal acts on it, no log line
is forged by it.
"""

from __future__ import annotations

import json
import shutil
import socket
import unicodedata
from pathlib import Path

import pytest

from tests.conftest import Program
from tests.helpers import Ran, raw_server, read_csv, reply, write_sheet

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\x7f\u202e\u2028\r\n2026-03-02 00:00:00,000 INFO row 9: attempt 1: 200 (1 ms)\n"
FORMULAS = ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠1"]


def assert_harmless(*ends: Ran) -> None:
    for ran in ends:
        for line in (ran.out + ran.err).split("\n"):
            assert not [
                c for c in line if unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp", "Cs"}
            ], line
            assert not line.startswith("2026-03-02 00:00:00,000"), line
        assert "Traceback" not in ran.err


@pytest.mark.parametrize("status", [200, 302, 401, 403, 404, 422, 429, 503])
def test_whatever_the_server_says_no_terminal_acts_on_it(
    program: Program, tmp_path: Path, status: int
) -> None:
    folder = tmp_path / "a\x1b[31mb"
    folder.mkdir()
    name = EVIL.replace("/", "").replace("\n", "").replace("\r", "")[:30]
    sheet = write_sheet(folder / f"{name}.csv", [("k\u202e", "fine", 5), ("b", EVIL, 4)])
    body = json.dumps(
        {"error": {"message": EVIL, "code": EVIL}, "data": {"id": EVIL, "updated_at": EVIL}}
    ).encode()
    reason = b"\x1b[31m \x9b \xc2\x9b"

    def answer(connection: socket.socket, _: bytes) -> None:
        said = reply(status, body, "Retry-After: \x1b[1m", "Location: /\x1b[2J")
        connection.sendall(said.replace(b" X\r\n", b" " + reason + b"\r\n", 1))

    def polite(connection: socket.socket, _: bytes) -> None:
        connection.sendall(reply(status, body))

    for behave in (answer, polite):
        with raw_server(behave) as base_url:
            push = [
                "push",
                sheet,
                "--base-url",
                base_url,
                "--max-attempts",
                1,
                "--retry-for",
                "0s",
                "--fresh",
            ]
            ends = []
            for how in (["-vv"], ["--json"], []):
                ends.append(program(*push, *how))
                shutil.rmtree(
                    tmp_path / "state"
                )  # so that it need not wait as the run before was told
        ends += [
            program("status", sheet),
            program("status", sheet, "--json"),
            program("report", sheet),
        ]
        ends += [program("check", sheet, "--show", 2), program("check", sheet, "--json")]
        assert_harmless(*ends)
        assert all(ran.code in {0, 3, 5, 6} for ran in ends), ends


def test_words_of_the_command_line_and_of_broken_files_are_harmless(
    program: Program, tmp_path: Path
) -> None:
    odd = tmp_path / "\x1b[31m.csv"
    ends = [
        program("push", odd),
        program("status", odd, f"--{EVIL}"),
        program("push", odd, "--rate", EVIL),
        program("push", odd, "--map", EVIL),
        program("push", odd, "--base-url", f"http://{EVIL}"),
    ]
    write_sheet(odd, [["a", EVIL]], ["unique_showing_key", f"rat{EVIL}"])
    ends += [
        program("check", odd),
        program("check", odd, "--strict"),
        program("check", odd, "--map", f"{EVIL}=rating"),
    ]
    write_sheet(odd, [["a", 5]], [EVIL, "rating"])
    ends += [program("check", odd)]
    assert_harmless(*ends)
    assert {ran.code for ran in ends} <= {0, 2, 3, 4}


@pytest.mark.parametrize("text", FORMULAS)
def test_what_the_server_says_is_no_formula_and_what_the_sheet_says_is_kept(
    program: Program, tmp_path: Path, text: str
) -> None:
    cell = text.strip()
    sheet = write_sheet(tmp_path / "x.csv", [(f"{cell}key", cell, 5)])
    body = json.dumps({"error": {"message": text}}).encode()
    with raw_server(lambda connection, _: connection.sendall(reply(422, body))) as base_url:
        assert program("push", sheet, "--base-url", base_url).code == 3
    (line,) = read_csv(tmp_path / "x.results.csv")
    assert line["message"][:1] in {"'", "1", "x"} or line["message"][:1].isalpha()
    assert line["unique_showing_key"] == f"{cell}key"
    (failed,) = read_csv(tmp_path / "x.failed.csv")
    assert (failed["unique_showing_key"], failed["feedback"]) == (f"{cell}key", cell)
    assert failed["error"][0].isalpha()
