"""`--page` of a push and of the checkpoint: it says what happened, and is written whole or not at
all.
"""

from __future__ import annotations

import json
import re
import socket
import stat
from pathlib import Path

import pytest

from tests.conftest import Program, Sandboxes
from tests.helpers import no_file_beyond, numbered, raw_server, reply, write_sheet
from tests.unit.pages import HOSTILE, Parsed, parsed, rows_of

STATES = (
    "updated",
    "created",
    "unchanged",
    "invalid",
    "superseded",
    "rejected",
    "failed",
    "pending",
)


def look(path: Path) -> Parsed:
    return parsed(path.read_text(encoding="utf-8"))


def states_of(found: Parsed) -> list[str]:
    return [STATES[row[2]] for row in rows_of(found)]


def figures_of(path: Path) -> list[list[str]]:
    """The lines of the charts as a table: time, rates, limit, counts, latencies."""
    html = path.read_text(encoding="utf-8")
    table = html[html.index('class="numbers"') :]
    lines = re.findall(r"<tr>(.*?)</tr>", table[: table.index("</table>")])
    return [re.findall(r"<t[hd][^>]*>([^<]*)<", line) for line in lines[1:]]


def runs_of(path: Path) -> int:
    """The number of runs that are told apart in the first chart."""
    html = path.read_text(encoding="utf-8")
    return 1 + html[: html.index('class="words"')].count('class="begin"')


def test_a_push_writes_the_page_and_a_report_writes_it_again(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", [*numbered(40), ("ext_40", "Loud", 9)])
    page = tmp_path / "x.report.html"
    with sandboxes() as witness:
        ran = program(
            "push", sheet, "--base-url", witness.base_url, "--rate", "60/s", "--page", page
        )
    assert ran.code == 3
    assert f"Page:       {page}" in ran.out
    assert "--page" not in ran.out  # the push of the corrected rows leaves this page
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    found = look(page)
    assert states_of(found) == ["updated"] * 40 + ["invalid"]
    assert "40 of 41 rows are done; 1 needs correction." in found.text
    assert "x.failed.csv" in found.text
    figures = figures_of(page)
    assert {line[3] for line in figures} - {"–"} == {"60"}  # unknown before the first reply
    assert all(line[8] == "–" or float(line[8].replace(",", "")) > 0 for line in figures)
    again = tmp_path / "again.html"
    ran = program("report", sheet, "--page", again, "--json")
    assert (ran.code, ran.summary["page"]) == (0, str(again))
    assert rows_of(look(again)) == rows_of(found)
    assert figures_of(again) == figures


def test_without_the_option_there_is_none(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(1))
    with sandboxes() as witness:
        assert (
            program("push", sheet, "--base-url", witness.base_url, "--json").summary["page"] is None
        )
    assert program("report", sheet, "--json").summary["page"] is None
    assert not list(tmp_path.glob("*.html"))


def test_a_run_that_is_stopped_says_so_and_fresh_begins_anew(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(30))
    page = tmp_path / "page.html"
    with sandboxes(revoke_after=1 + 12) as witness:
        push = [
            "push",
            sheet,
            "--rate",
            "20/s",
            "--page",
            page,
            "--workers",
            2,
            "--base-url",
            witness.base_url,
        ]
        assert program(*push).code == 5
    found = look(page)
    assert "Stopped early: 12 of 30 rows are done, 18 are pending." in found.text
    assert "Correct the API key" in found.text
    assert states_of(found) == ["updated"] * 12 + ["pending"] * 18
    assert runs_of(page) == 1
    with sandboxes() as witness:
        assert (
            program("push", sheet, "--page", page, "--base-url", witness.base_url).code == 2
        )  # another address
        assert states_of(look(page)) == states_of(found)
        assert (
            program(
                *("push", sheet, "--page", page, "--base-url", witness.base_url),
                *("--fresh", "--rate", "40/s"),
            ).code
            == 0
        )
    assert runs_of(page) == 1  # --fresh begins anew


def test_runs_of_one_job_stand_side_by_side(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(10))
    page = tmp_path / "page.html"
    with sandboxes(accept_any=False) as witness:
        push = ["push", sheet, "--page", page, "--base-url", witness.base_url]
        assert program(*push).code == 3
        assert program(*push).code == 3
    figures = figures_of(page)
    assert runs_of(page) == 2
    found = look(page)
    assert states_of(found) == ["rejected"] * 10
    assert "No such showing 10 rows" in found.text
    assert program("report", sheet, "--page", page, "--purge").code == 0
    assert program("report", sheet, "--page", page).code == 0
    assert figures_of(page) == figures  # a purge leaves counts


@pytest.mark.parametrize("status", [200, 422, 503])
def test_what_a_server_says_stays_text(program: Program, tmp_path: Path, status: int) -> None:
    said = "".join(text for text in HOSTILE if "\ud800" not in text)
    name = "a<img src=x onerror=alert(1)>\u202e'\".csv".replace("/", "")
    sheet = write_sheet(
        tmp_path / name,
        [("k</script><b>", said.replace("\0", ""), 5), ("</title><svg onload=x>", "fine", 4)],
    )
    body = json.dumps(
        {"error": {"message": said}, "data": {"id": said, "updated_at": said}}
    ).encode()

    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(reply(status, body))

    page = tmp_path / "page.html"
    with raw_server(answer) as base_url:
        push = [
            "push",
            sheet,
            "--base-url",
            base_url,
            "--max-attempts",
            1,
            "--retry-for",
            "0s",
            "--max-wait",
            "0s",
            "--page",
            page,
        ]
        assert program(*push).code in {0, 3, 6}
    found = look(page)
    assert [row[1] for row in rows_of(found)] == ["k</script><b>", "</title><svg onload=x>"]
    assert not [attrs for _, attrs in found.elements if any(key.startswith("on") for key in attrs)]
    assert {name for name, _ in found.elements}.isdisjoint({"img", "b onload"})
    assert [name for name, _ in found.elements].count("script") == len(found.scripts)
    if status == 422:
        assert any(said[:40] in (row[8] or "") for row in rows_of(found))


def test_a_page_that_can_not_be_written_is_refused_before_anything_is_sent(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(1))
    with sandboxes() as witness:
        push = ["push", sheet, "--base-url", witness.base_url, "--page"]
        assert program(*push, tmp_path).code == 8
        assert program(*push, tmp_path / "missing" / "page.html").code == 8
        for other, named in (
            (sheet, "the input and --page"),
            (tmp_path / "x.results.csv", "--results and --page"),
        ):
            ran = program(*push, other)
            assert ran.code == 2
            assert f"{named} can't be the same file" in ran.err
        assert witness.journal() == []
        assert program(*push[:-1]).code == 0
    assert program("report", sheet, "--page", sheet).code == 2
    assert program("report", sheet, "--page", tmp_path / "x.checkpoint.sqlite").code == 2
    assert program("report", sheet, "--page", tmp_path / "missing" / "page.html").code == 8


def test_a_page_that_does_not_fit_leaves_the_one_before(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(150))
    report = ["report", sheet, "--page", tmp_path / "page.html"]
    with sandboxes() as witness:
        assert program("push", sheet, "--base-url", witness.base_url).code == 0
    assert program(*report).code == 0
    before = (tmp_path / "page.html").read_bytes()
    with no_file_beyond(40_000):
        ended = program(*report)
    assert (ended.code, ended.err.count("\n")) == (8, 1), ended.err
    assert "page.html" in ended.err
    assert (tmp_path / "page.html").read_bytes() == before
    assert not list(tmp_path.glob(".bulk-sync-*"))
