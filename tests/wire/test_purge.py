"""--purge: the cells are gone for good, what became of the rows is not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bulk_sync.job import connection
from tests.conftest import Program, Sandboxes
from tests.helpers import Witness, read_csv, write_sheet

ROWS = [(f"ext_{n}", f"Zanzibar kitchen {n}", 4) for n in range(300)]
BAD = ("ext_900", "Zanzibar cellar", "Zanzibar")


def traces(folder: Path) -> list[str]:
    files = (path for path in folder.iterdir() if ".checkpoint." in path.name)
    return [path.name for path in files if b"anzibar" in path.read_bytes()]


@pytest.fixture
def witness(sandboxes: Sandboxes) -> Iterator[Witness]:
    with sandboxes() as witness:
        yield witness


@pytest.mark.parametrize("how", ["push", "report"])
def test_the_text_of_cells_is_gone_and_what_was_acknowledged_is_known(
    program: Program, witness: Witness, tmp_path: Path, how: str
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", [*ROWS, BAD])
    push = ["push", sheet, "--base-url", witness.base_url]
    assert program(*push, *(["--purge"] if how == "push" else [])).code == 3
    if how == "report":
        assert traces(tmp_path) == ["x.checkpoint.sqlite"]
        assert program("report", sheet, "--purge").code == 0
    assert traces(tmp_path) == []
    failed, results = (tmp_path / "x.failed.csv").read_bytes(), read_csv(tmp_path / "x.results.csv")
    assert b"Zanzibar" in failed
    assert program("status", sheet, "--json").summary["states"]["updated"] == 300
    again = program("report", sheet)
    assert (
        "x.failed.csv was not written: the cells of its rows were removed by --purge" in again.out
    )
    assert (tmp_path / "x.failed.csv").read_bytes() == failed
    kept = read_csv(tmp_path / "x.results.csv")
    assert [{**line, "message": ""} for line in kept] == [
        {**line, "message": ""} for line in results
    ]
    assert program("report", sheet, "--purge").code == 0
    # The same sheet, then one more row, then the bad one mended: nothing is sent twice.
    assert program(*push).code == 3
    assert len(witness.patches()) == 300
    assert program(*push, "--purge").code == 3
    write_sheet(sheet, [("ext_901", "", 1), *ROWS, (*BAD[:2], 4)])
    assert program(*push).code == 0
    assert {entry["key"] for entry in witness.patches()[300:]} == {"ext_901", "ext_900"}


def test_rejected_rows_are_tried_again_after_a_purge(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", ROWS[:5])
    with sandboxes(accept_any=False) as witness:
        push = ["push", sheet, "--base-url", witness.base_url, "--purge"]
        assert program(*push).code == 3
        assert program(*push, "--json").summary["requests"] == 1 + 5
    assert traces(tmp_path) == []
    assert len(read_csv(tmp_path / "x.failed.csv")) == 5


def test_an_unfinished_job_is_not_purged(
    program: Program, witness: Witness, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", ROWS[:5])
    push = ["push", sheet, "--max-attempts", 1, "--base-url"]
    ran = program(*push, "http://127.0.0.1:9", "--purge")
    assert ran.code == 6
    assert "Not purged: 5 rows are pending" in ran.out
    refused = program("report", sheet, "--purge")
    assert refused.code == 2
    assert refused.err.endswith(
        "5 rows are pending, so nothing can be purged yet: push the sheet again first.\n"
    )
    assert program(*push, witness.base_url, "--fresh").code == 0
    assert len(witness.patches()) == 5


def test_a_reader_in_the_way_is_named(
    program: Program, witness: Witness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_SECONDS", 0.5)
    sheet = write_sheet(tmp_path / "x.csv", ROWS[:5])
    program("push", sheet, "--base-url", witness.base_url)
    with closing(sqlite3.connect(tmp_path / "x.checkpoint.sqlite")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM row").fetchone()
        ran = program("report", sheet, "--purge")
    assert ran.code == 8
    assert "another program is reading the checkpoint" in ran.err
    assert program("report", sheet, "--purge").code == 0
    assert traces(tmp_path) == []


def test_a_shared_ledger_is_purged_on_request_and_its_jobs_are_done(
    program: Program, witness: Witness, tmp_path: Path
) -> None:
    ledger = tmp_path / "team.ledger.sqlite"
    shared = ("--base-url", witness.base_url, "--ledger", ledger)
    sheets = [
        write_sheet(tmp_path / "x.csv", ROWS[:20]),
        write_sheet(tmp_path / "y.csv", ROWS[20:40]),
    ]
    for sheet in sheets:
        assert program("push", sheet, *shared).code == 0
        assert program("report", sheet, "--purge").code == 0
    assert b"anzibar" in ledger.read_bytes()
    assert program("report", sheets[0], "--purge-ledger").code == 2
    ran = program("report", sheets[0], "--purge", "--purge-ledger")
    assert ran.code == 0
    assert "The values of all jobs were removed from" in " ".join(ran.out.split())
    files = (path for path in tmp_path.rglob("*") if path.is_file())
    kept = [path.name for path in files if b"anzibar" in path.read_bytes()]
    assert sorted(kept) == ["x.csv", "y.csv"]
    # Both jobs are done; a value that a later sheet brings is sent all the same, and the last wins.
    for sheet in sheets:
        assert program("push", sheet, *shared).code == 0
    assert len(witness.patches()) == 40
    third = write_sheet(tmp_path / "z.csv", [("ext_0", "Zanzibar again", 4)])
    assert program("push", third, *shared, "--only-changed").code == 0
    assert program("push", sheets[0], *shared).code == 0
    assert witness.showing("ext_0")["feedback"] == "Zanzibar kitchen 0"
    assert len(witness.patches()) == 42


def test_a_ledger_that_is_another_sheets_checkpoint_is_purged_too(
    program: Program, witness: Witness, tmp_path: Path
) -> None:
    first, second = (
        write_sheet(tmp_path / "x.csv", ROWS[:2]),
        write_sheet(tmp_path / "y.csv", ROWS[2:4]),
    )
    to = ("--base-url", witness.base_url)
    assert program("push", first, *to).code == 0
    assert program("push", second, *to, "--ledger", tmp_path / "x.checkpoint.sqlite").code == 0
    assert program("report", first, "--purge").code == 0
    assert program("report", second, "--purge", "--purge-ledger").code == 0
    assert traces(tmp_path) == []
    for sheet in (first, second):
        assert program("push", sheet, *to).code == 0
    assert len(witness.patches()) == 4


def test_without_a_shared_ledger_there_is_nothing_more_to_purge(
    program: Program, witness: Witness, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", ROWS[:2])
    assert program("push", sheet, "--base-url", witness.base_url).code == 0
    ran = program("report", sheet, "--purge", "--purge-ledger")
    assert "shares no ledger with others" in ran.out
