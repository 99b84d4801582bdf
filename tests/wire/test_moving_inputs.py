"""Inputs that somebody edits, sorts, cuts, replaces or deletes, between runs and while one reads
them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest

from bulk_sync.check.rows import Checker
from bulk_sync.model.rows import Problem, Record, Row
from tests.conftest import Program, Sandboxes
from tests.helpers import numbered, write_sheet

CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "appended": (
        lambda path: path.write_bytes(path.read_bytes() + b"ext_9000,more,1\r\n"),
        "was changed while",
    ),
    "cut": (lambda path: os.truncate(path, path.stat().st_size // 2), "was changed while"),
    "touched": (lambda path: os.utime(path, (1, 1)), "was changed while"),
    "replaced": (
        lambda path: write_sheet(path.with_suffix(".new"), numbered(9)).replace(path),
        "another file took",
    ),
    "deleted": (lambda path: path.unlink(), "was moved or deleted"),
    "renamed": (lambda path: path.rename(path.with_suffix(".old")), "was moved or deleted"),
}


def edit_unnoticed(path: Path) -> None:
    """Another text of the same length; the time of change given back."""
    times = path.stat()
    with path.open("r+b") as file:
        content = file.read()
        file.seek(content.rindex(b"Liked"))
        file.write(b"Loved")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


CHANGES["edited unnoticed"] = (edit_unnoticed, "was changed while")


def when_row(
    number: int, change: Callable[[Path], object], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Change the file when that row is read."""
    check = Checker.check

    def checked(self: Checker, row: Row) -> Record | Problem:
        if row.number == number:
            change(path)
        return check(self, row)

    monkeypatch.setattr(Checker, "check", checked)


@pytest.mark.parametrize("how", CHANGES)
def test_a_file_that_moves_while_it_is_read_is_not_sent(
    program: Program,
    sandboxes: Sandboxes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(5000))
    change, words = CHANGES[how]
    with sandboxes() as witness, monkeypatch.context() as patched:
        when_row(4000, change, sheet, patched)
        ran = program("push", sheet, "--base-url", witness.base_url)
        assert (ran.code, ran.out, witness.patches()) == (4, "", [])
    assert ran.err.count("\n") == 1
    assert words in ran.err
    assert "nothing was sent" in ran.err
    monkeypatch.undo()
    assert "nothing was staged" in program("status", sheet).err


def test_a_workbook_that_moves_while_it_is_read_is_not_sent(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = openpyxl.Workbook()
    for row in (["unique_showing_key", "rating"], ["a", 1], ["b", 2]):
        book.worksheets[0].append(row)
    sheet = tmp_path / "x.xlsx"
    book.save(sheet)
    when_row(3, lambda path: path.unlink(), sheet, monkeypatch)
    ran = program("push", sheet, "--base-url", "http://127.0.0.1:9")
    assert ran.code == 4
    assert "was moved or deleted" in ran.err


def test_a_copy_in_its_place_is_as_good(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(50))

    def saved_again(path: Path) -> None:
        copy = path.with_suffix(".copy")
        copy.write_bytes(path.read_bytes())
        copy.replace(path)

    when_row(20, saved_again, sheet, monkeypatch)
    assert program("check", sheet).code == 0


def test_after_staging_it_does_not_matter_what_becomes_of_the_file(
    program: Program, sandboxes: Sandboxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(30))
    with sandboxes() as witness:
        from bulk_sync import pipeline
        from bulk_sync.run.send import SendingRun, send_pending
        from bulk_sync.run.summary import Sent

        def delete_then_send(run: SendingRun) -> Sent:
            sheet.unlink()
            return send_pending(run)

        monkeypatch.setattr(pipeline, "send_pending", delete_then_send)
        assert (
            program("push", sheet, "--base-url", witness.base_url, "--json").summary["states"][
                "updated"
            ]
            == 30
        )


def test_between_runs_a_sheet_may_be_sorted_cut_and_extended(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    rows = numbered(40)
    sheet = write_sheet(tmp_path / "x.csv", [*rows, ("ext_900", "", 9)])
    with sandboxes() as witness:
        push = ["push", sheet, "--base-url", witness.base_url]
        assert program(*push).code == 3
        write_sheet(sheet, [("ext_900", "", 5), *reversed(rows[10:]), ("ext_901", "new", 1)])
        ran = program(*push, "--json")
        assert (ran.code, ran.summary["states"]["updated"]) == (0, 32)
        assert [entry["key"] for entry in witness.patches()[40:]] == ["ext_900", "ext_901"]
        sheet.unlink()
        assert program(*push).code == 4
        assert program("status", sheet, "--json").summary["states"]["updated"] == 32


def test_another_file_under_the_same_name_is_another_job_once_the_first_is_done(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(3))
    with sandboxes() as witness:
        push = ["push", sheet, "--base-url", witness.base_url]
        program(*push)
        write_sheet(
            sheet, [["b_1", "2026-05-01T10:00:00Z"]], ["unique_showing_key", "showing_date"]
        )
        ran = program(*push)
    assert ran.code == 0
    assert "starting a new job. All of its rows are sent" in ran.out
