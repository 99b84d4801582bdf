"""Servers whose replies are out of step with the requests: no row is acknowledged that was never
read, and none has the id of another showing.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bulk_sync.send.evidence import OUT_OF_STEP
from bulk_sync.send.transport.choose import Name
from tests.conftest import Program
from tests.faultserver import Deed, Request, answers, fault_server, no_account
from tests.helpers import numbered, read_csv, write_sheet
from tests.out_of_step import DEEDS, Found, Plan, odd_api

ROWS = 60


@pytest.mark.uncovered
@pytest.mark.parametrize("deed", DEEDS)
def test_no_row_is_acknowledged_by_the_reply_to_another(
    program: Program, tmp_path: Path, transport: Name, deed: str
) -> None:
    plan = Plan(7, deeds=(deed,), share=0.2, latency=0.01)
    sheet = write_sheet(tmp_path / "x.csv", numbered(ROWS))
    with odd_api(plan) as api:
        ran = program("push", sheet, "--base-url", api.base_url, "--workers", 8, "--json")
        found = Found.of(tmp_path / "x.results.csv", api)
    assert ran.code in {0, 3}, ran.err
    assert (found.never_read, found.of_another) == (0, 0)
    assert found.acknowledged >= ROWS - 5  # `short` may fail the same row five times
    assert transport


@pytest.mark.usefixtures("transport")
def test_one_id_for_all_keys_acknowledges_one_of_them(program: Program, tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(3))

    def script(request: Request, _: int) -> Deed:
        return no_account if request.method == "GET" else answers(200, {"data": {"id": "one"}})

    with fault_server(script) as api:
        ran = program(
            *("push", sheet, "--base-url", api.base_url, "--max-attempts", 2, "--workers", 1),
            "--json",
        )
    assert ran.code == 3
    first, *others = read_csv(tmp_path / "x.results.csv")
    assert (first["state"], first["showing_id"]) == ("updated", "one")
    for row in others:
        assert (row["state"], row["error"], row["showing_id"]) == ("failed", "bad_reply", "")
        assert "its id (one) is that of the key ext_0" in row["message"]
    assert OUT_OF_STEP in json.loads(ran.out)["notes"]


@pytest.mark.usefixtures("transport")
def test_values_are_doubted_no_further_than_requests_may_be_repeated(
    program: Program, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(2))

    def script(request: Request, _: int) -> Deed:
        if request.method == "GET":
            return no_account
        return answers(200, {"data": {"id": request.key, "feedback": "another"}})

    with fault_server(script) as api:
        push = ["push", sheet, "--base-url", api.base_url, "--json", "--ambiguous", "stop"]
        ran = program(*push)
    assert (ran.code, ran.summary["echo_differs"]) == (3, 2)
    assert sorted(api.patched) == ["ext_0", "ext_1"]
