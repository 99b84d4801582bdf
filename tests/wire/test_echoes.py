"""Values that come back changed are reported at the end of every command about the job."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Program
from tests.faultserver import Deed, Request, Script, answers, fault_server
from tests.helpers import read_csv, write_sheet

ROWS = [("sh-1", "Too dark for the family", 4), ("sh-2", "Fine", 3)]
LINE = 'row 2, feedback: "Too dark for the family" was sent, "Too dark" came back'
NOTE = "the API's reply has another feedback than was sent"


def cutting(*keys: str, fails: frozenset[str] = frozenset()) -> Script:
    """A server that cuts the feedback of these showings to eight characters."""

    def script(request: Request, count: int) -> Deed:
        if request.method == "GET":
            return answers(404, {"error": {"message": "no such page", "status": 404}})
        if request.key in fails and count == 1:
            return answers(422, {"error": {"message": "not now", "status": 422}})
        patch: dict[str, Any] = request.patch
        if request.key in keys and "feedback" in patch:
            patch["feedback"] = patch["feedback"][:8]
        return answers(200, {"data": {"id": f"id-{request.key}", **patch}})

    return script


@pytest.mark.parametrize("transport", ["httpx", "httptools"])
def test_a_push_says_so_in_every_output(program: Program, tmp_path: Path, transport: str) -> None:
    sheet, page = write_sheet(tmp_path / "sheet.csv", ROWS), tmp_path / "x.html"
    with fault_server(cutting("sh-1")) as api:
        push = ["push", sheet, "--base-url", api.base_url, "--transport", transport]
        ran = program(*push, "--page", page, "--json", "--metrics-file", tmp_path / "x.prom")
        assert ran.code == 3
        assert ran.summary["states"]["updated"] == 2
        assert ran.summary["echo_differs"] == 1
        assert ran.summary["exit_code"] == 3
        # The job is finished: nothing is sent again, and the values still differ.
        again = program(*push)
        assert again.code == 3
        assert sorted(api.patched) == ["sh-1", "sh-1", "sh-2"]  # asked twice, to be sure
    assert LINE in again.out
    assert "Next:       compare the rows that came back changed with North" in again.out
    first, second = read_csv(tmp_path / "sheet.results.csv")
    assert (first["state"], first["message"]) == ("updated", NOTE)
    assert (second["state"], second["message"]) == ("updated", "")
    assert "Values that came back changed" in page.read_text(encoding="utf-8")
    assert f'bulk_sync_echo_differs{{job="{sheet}"}} 1.0' in (tmp_path / "x.prom").read_text()
    assert not (tmp_path / "sheet.failed.csv").exists()
    for command in ("status", "report"):
        told = program(command, sheet, "--json").summary
        assert (told["echo_differs"], told["exit_code"]) == (1, 3)
        assert LINE in program(command, sheet).out


def test_a_later_run_keeps_what_an_earlier_one_found(program: Program, tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "sheet.csv", ROWS)
    with fault_server(cutting("sh-1", fails=frozenset({"sh-2"}))) as api:
        push = ["push", sheet, "--base-url", api.base_url, "--json"]
        assert program(*push).summary["states"]["rejected"] == 1
        write_sheet(sheet, ROWS[::-1])  # in another order
        ran = program(*push)
        assert ran.summary["states"]["updated"] == 2
        assert (ran.summary["echo_differs"], ran.code) == (1, 3)
        assert ran.summary["echoes"] == [
            {"row": 3, "field": "feedback", "sent": ROWS[0][1], "came_back": "Too dark"}
        ]
        assert sorted(api.patched) == ["sh-1", "sh-1", "sh-2", "sh-2"]
        # A value that North keeps whole ends it.
        write_sheet(sheet, [("sh-1", "Too dark", 4), ROWS[1]])
        ran = program(*push)
    assert (ran.code, ran.summary["echo_differs"]) == (0, 0)


def test_a_purge_removes_the_values(program: Program, tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "sheet.csv", ROWS)
    with fault_server(cutting("sh-1")) as api:
        push = ["push", sheet, "--base-url", api.base_url]
        assert program(*push, "--purge").code == 3
        assert b"Too dark" not in (tmp_path / "sheet.checkpoint.sqlite").read_bytes()
        ran = program(*push)
    assert ran.code == 3
    assert "row 2, feedback: a value that is no longer in the checkpoint" in ran.out
    (first, _) = read_csv(tmp_path / "sheet.results.csv")
    assert first["message"] == NOTE


def test_only_changed_sends_a_field_again_that_came_back_changed(
    program: Program, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "sheet.csv", ROWS)
    with fault_server(cutting("sh-1")) as api:
        push = ["push", sheet, "--base-url", api.base_url, "--only-changed", "--json"]
        program(*push)
        before = len(api.requests)
        write_sheet(sheet, [*ROWS, ("sh-3", "New", 1)])
        ran = program(*push)
    sent = {one.key: one.patch for one in api.requests[before:] if one.method == "PATCH"}
    assert sent == {
        "sh-1": {"feedback": "Too dark for the family"},
        "sh-3": {"feedback": "New", "rating": 1},
    }
    assert ran.summary["states"]["unchanged"] == 1
    assert (ran.code, ran.summary["echo_differs"]) == (3, 1)


def test_a_batch_counts_those_of_all_files(program: Program, tmp_path: Path) -> None:
    other = [(f"x{key}", *values) for key, *values in ROWS]
    sheets = [write_sheet(tmp_path / "a.csv", ROWS), write_sheet(tmp_path / "b.csv", other)]
    with fault_server(cutting("sh-1", "xsh-1")) as api:
        push = ["push", *sheets, "--base-url", api.base_url]
        ran = program(*push, "--json")
        assert (ran.code, ran.summary["echo_differs"]) == (3, 2)
        assert "1 row came back with another value than was sent." in program(*push).out


def test_a_log_names_the_row(program: Program, tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "sheet.csv", ROWS)
    with fault_server(cutting("sh-1")) as api:
        ran = program("push", sheet, "--base-url", api.base_url, "--log-format", "json")
    lines = [json.loads(line) for line in ran.err.splitlines()]
    *doubts, line = [line for line in lines if line.get("row") == 2]
    assert len(doubts) == 1  # it was sent once more, to be sure
    assert (line["level"], line["state"]) == ("WARNING", "updated")
    assert "feedback" in line["message"]
    assert "Too dark" not in ran.err  # no values of cells


def test_no_ledger_learns_a_value_that_came_back_changed(program: Program, tmp_path: Path) -> None:
    """By a push, a creation, or the push of a comparison; also a ledger that sheets share."""
    created: list[str] = []

    def script(request: Request, _: int) -> Deed:
        if request.method == "GET":
            return answers(404, {"error": {"message": "no such page", "status": 404}})
        patch: dict[str, Any] = request.patch
        key = patch.get("unique_showing_key", request.key)
        created.extend([key] if request.method == "POST" else [])
        if key == "sh-2" and not created:
            return answers(404, {"error": {"message": "no such showing", "status": 404}})
        return answers(200, {"data": {"id": f"id-{key}", "feedback": patch["feedback"][:3]}})

    def known() -> list[dict[str, Any]]:
        with closing(sqlite3.connect(ledger)) as db:
            return [json.loads(one) for (one,) in db.execute("SELECT fields FROM ledger")]

    sheet, ledger = write_sheet(tmp_path / "sheet.csv", ROWS), tmp_path / "team.ledger"
    export = write_sheet(tmp_path / "export.csv", [("sh-1", "Old", 4), ("sh-2", "Older", 3)])
    with fault_server(script) as api:
        to = ["--base-url", api.base_url]
        creating = ["--create-missing", "--report", "11111111-1111-4111-8111-111111111111"]
        ran = program("push", sheet, *to, *creating, "--ledger", ledger, "--json")
        assert (ran.summary["echo_differs"], created) == (2, ["sh-2"])
        assert known() == [{"rating": 4}, {"rating": 3}]
        program("reconcile", sheet, "--with", export, "--push", *to)
        assert not any("feedback" in fields for fields in known())
