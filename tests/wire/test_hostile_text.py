"""Text of others, from cells, keys, file names and the server: no terminal acts on it, no log line
is forged by it.
"""

from __future__ import annotations

import json
import shutil
import unicodedata
from pathlib import Path

import pytest

from tests.conftest import Program
from tests.faultserver import always, fault_server, for_keys, refuses, says
from tests.helpers import Ran, read_csv, reply, write_sheet

EVIL = (
    "\x1b]0;owned\x07\x1b[2J\x9b31m\x7f\u202e\u2028\r\n2026-03-02 00:00:00,000 INFO row 9: "
    "attempt 1: 200 (1 ms)\n"
)
FORMULAS = ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠1"]


def assert_harmless(*ends: Ran) -> None:
    for ran in ends:
        for line in (ran.out + ran.err).split("\n"):
            assert not [
                c for c in line if unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp", "Cs"}
            ], line
            assert not line.startswith("2026-03-02 00:00:00,000"), line
        assert "Traceback" not in ran.err


def evil_sheet(folder: Path) -> Path:
    odd = folder / "a\x1b[31mb"
    odd.mkdir()
    name = EVIL.replace("/", "").replace("\n", "").replace("\r", "")[:30]
    return write_sheet(odd / f"{name}.csv", [("k\u202e", "fine", 5), ("b", EVIL, 4)])


@pytest.mark.usefixtures("fast_time")
@pytest.mark.parametrize("status", [200, 302, 401, 403, 404, 422, 429, 503])
@pytest.mark.parametrize("polite", [False, True], ids=["in all of it", "in the body"])
def test_whatever_the_server_says_no_terminal_acts_on_it(
    program: Program, tmp_path: Path, status: int, polite: bool
) -> None:
    sheet = evil_sheet(tmp_path)
    body = json.dumps(
        {"error": {"message": EVIL, "code": EVIL}, "data": {"id": EVIL, "updated_at": EVIL}}
    ).encode()
    said = reply(status, body, *([] if polite else ["Retry-After: \x1b[1m", "Location: /\x1b[2J"]))
    if not polite:
        said = said.replace(b" X\r\n", b" \x1b[31m \x9b \xc2\x9b\r\n", 1)
    with fault_server(always(says(said))) as journal:
        push = ("push", sheet, "--base-url", journal.base_url, "--fresh")
        bounds = ("--max-attempts", 1, "--retry-for", "0s", "--max-wait", "0s")
        ends = [program(*push, *bounds, "-vv")]
        shutil.rmtree(tmp_path / "state")  # so that it need not wait as the run before was told
        ends.append(program(*push, *bounds, "--json"))
    ends += [program("status", sheet), program("status", sheet, "--json"), program("report", sheet)]
    assert_harmless(*ends)
    assert all(ran.code in {0, 3, 5, 6} for ran in ends), ends


def test_whatever_the_sheet_says_no_terminal_acts_on_it(program: Program, tmp_path: Path) -> None:
    sheet = evil_sheet(tmp_path)
    ends = [program("check", sheet, "--show", 2), program("check", sheet, "--json")]
    assert_harmless(*ends)
    assert [ran.code for ran in ends] == [3, 3]  # one of its keys can't be seen in full


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


def test_what_the_server_says_is_no_formula_and_what_the_sheet_says_is_kept(
    program: Program, tmp_path: Path
) -> None:
    keys = [f"{text.strip()}key{number}" for number, text in enumerate(FORMULAS)]
    cells = [text.strip() for text in FORMULAS]
    rows = [(key, cell, 5) for key, cell in zip(keys, cells, strict=True)]
    sheet = write_sheet(tmp_path / "x.csv", rows)
    script = for_keys(
        {key: always(refuses(422, text)) for key, text in zip(keys, FORMULAS, strict=True)}
    )
    with fault_server(script) as journal:
        assert program("push", sheet, "--base-url", journal.base_url).code == 3
    results = read_csv(tmp_path / "x.results.csv")
    assert [line["unique_showing_key"] for line in results] == keys
    for line in results:
        assert line["message"][:1] in {"'", "1", "x"} or line["message"][:1].isalpha(), line
    failed = read_csv(tmp_path / "x.failed.csv")
    assert [line["unique_showing_key"] for line in failed] == keys
    assert [line["feedback"] for line in failed] == cells
    assert all(line["error"][0].isalpha() for line in failed)
