"""Text of others, from cells, keys, file names and the server: no terminal acts on it, no log line
is forged by it.
"""

from __future__ import annotations

import csv
import json
import shutil
import unicodedata
from pathlib import Path

import pytest
from openpyxl import load_workbook

from bulk_sync.model.inert import exact
from tests.conftest import Program
from tests.faultserver import all_good, always, fault_server, for_keys, refuses, says
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


def cells_of(path: Path) -> list[object]:
    if path.suffix == ".xlsx":
        sheets = load_workbook(path).worksheets
        return [cell for sheet in sheets for row in sheet.iter_rows() for cell in row]
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [cell for line in csv.reader(file) for cell in line]


def is_calculated(cell: object) -> bool:
    """Whether a spreadsheet program may calculate a cell, or make a link of it."""
    if isinstance(cell, str):
        return cell[:1] in {"\t", "\r", "\n"} or cell.lstrip()[:1] in set("=+-@＝＋－＠")
    return getattr(cell, "data_type", "") == "f" or getattr(cell, "hyperlink", None) is not None


def test_what_the_server_and_the_sheet_say_is_no_formula_in_any_file(
    program: Program, tmp_path: Path
) -> None:
    """In results, failed rows, differences and changes, which are sent again as they were."""
    texts = [text.strip() for text in FORMULAS] + ["=cmd|'/C calc'!A0", "+15550100", "='x'"]
    keys = [f"{text}key{number}" for number, text in enumerate(texts)]
    sheet = write_sheet(tmp_path / "=x.csv", [(*pair, 5) for pair in zip(keys, texts, strict=True)])
    write_sheet(tmp_path / "export.csv", [(key, "@there", 4) for key in keys])
    script = for_keys(
        {key: always(refuses(422, text)) for key, text in zip(keys, texts, strict=True)}
    )
    with fault_server(script) as journal:
        assert program("push", sheet, "--base-url", journal.base_url).code == 3
    for ending in ("csv", "xlsx"):
        assert program("report", sheet, "--results", f"again.{ending}").code == 0
        files = ("--export-template", f"changes.{ending}", "--results", f"differs.{ending}")
        assert program("reconcile", sheet, "--with", "export.csv", "--one-way", *files).code == 3
    written = {path for path in tmp_path.iterdir() if path.suffix in {".csv", ".xlsx"}}
    written -= {sheet, tmp_path / "export.csv"}
    assert {path.name for path in written} >= {
        *("=x.results.csv", "=x.failed.csv", "again.csv", "again.xlsx"),
        *("changes.csv", "changes.xlsx", "differs.csv", "differs.xlsx"),
    }
    for path in written:
        assert [cell for cell in cells_of(path) if is_calculated(cell)] == [], path.name
    results = read_csv(tmp_path / "=x.results.csv")
    assert [exact(line["unique_showing_key"]) for line in results] == keys
    for name in ("=x.failed.csv", "changes.csv", "changes.xlsx"):
        with fault_server(all_good) as journal:
            again = program("push", name, "--base-url", journal.base_url)
        assert again.code == 0, again.err
        sent = {one.key: one.patch["feedback"] for one in journal.requests if one.body}
        assert sent == dict(zip(keys, texts, strict=True)), name
