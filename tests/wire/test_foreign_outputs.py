"""A file that is not ours is never replaced or altered, whichever option or name leads to it."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bulk_sync.errors import NameTaken
from bulk_sync.job.database import is_checkpoint
from bulk_sync.pipeline import push
from bulk_sync.settings.push import PushSettings
from tests.conftest import Program, Sandboxes
from tests.helpers import KEY, numbered, read_csv, write_sheet

CONTACTS = "name,phone\nAnn Example,555-0100\n"


@pytest.fixture
def sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_sheet(tmp_path / "o.csv", [("ext_0", "Other", 3)])
    return write_sheet(tmp_path / "s.csv", [*numbered(3), ("ext_9", "fine", 9)])


def workbook(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")


def contacts(path: Path) -> None:
    path.write_text(CONTACTS, encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("c.csv", ("--results", "c.csv")),
        ("c.xlsx", ("--results", "c.xlsx")),
        ("c.jsonl", ("--results", "c.jsonl")),
        ("s.results.csv", ()),
        ("c.html", ("--page", "c.html")),
        ("c.csv", ("--undo-file", "c.csv")),
        ("c.unknown.csv", ("--undo-file", "c.csv")),
        ("c.toml", ("--metrics-file", "c.toml")),
        ("c.csv", ("--log-file", "c.csv")),
    ],
)
def test_a_push_refuses_to_replace_a_file_of_somebody_else_before_it_sends(
    program: Program, sandboxes: Sandboxes, sheet: Path, name: str, options: tuple[str, ...]
) -> None:
    path = sheet.parent / name
    for make in (contacts, workbook):
        make(path)
        before = path.read_bytes()
        with sandboxes() as witness:
            ran = program("push", sheet, "--base-url", witness.base_url, *options)
            assert ran.code == 8, ran.err
            assert name in ran.err
            assert "move this one away" in ran.err
            assert witness.patches() == []
        assert path.read_bytes() == before
    path.unlink()
    with sandboxes() as witness:
        assert program("push", sheet, "--base-url", witness.base_url, *options).code in {2, 3}


@pytest.mark.parametrize("rating", [4, 9])
def test_a_file_of_somebody_else_under_the_name_of_the_failed_rows_is_kept(
    program: Program, sandboxes: Sandboxes, sheet: Path, rating: int
) -> None:
    """It stops no push: without failed rows it stays, otherwise it gets another name."""
    write_sheet(sheet, [*numbered(3), ("ext_9", "fine", rating)])
    failed, kept = Path("s.failed.csv"), Path("s.failed.edited.csv")
    contacts(failed)
    with sandboxes() as witness:
        ran = program("push", sheet, "--base-url", witness.base_url, "--json")
        assert ran.code == (3 if rating == 9 else 0), ran.err
        assert len(witness.patches()) == (3 if rating == 9 else 4)
    assert (kept if rating == 9 else failed).read_text(encoding="utf-8") == CONTACTS
    assert ran.summary["failed"] == (str(sheet.parent / failed) if rating == 9 else None)
    assert (f"it is kept as {sheet.parent / kept}" in str(ran.summary)) == (rating == 9)
    if rating == 9:
        assert read_csv(failed)[0]["unique_showing_key"] == "ext_9"


def test_a_refused_sheet_names_the_file_that_its_failed_rows_made_way_for(
    program: Program, sheet: Path
) -> None:
    sheet.write_text("unique_showing_key,rating\next_8,six\next_9,7 of 5\n", encoding="utf-8")
    contacts(Path("s.failed.csv"))
    ran = program("push", sheet, "--sandbox")
    assert ran.code == 4
    assert "it is kept as" in " ".join(ran.err.split())
    assert Path("s.failed.edited.csv").read_text(encoding="utf-8") == CONTACTS


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("c.csv", ("--results", "c.csv")),
        ("c.html", ("--page", "c.html")),
        ("c.csv", ("--export-template", "c.csv")),
        ("s.changes.csv", ("--push",)),
    ],
)
def test_reconcile_does_neither(
    program: Program, sandboxes: Sandboxes, sheet: Path, name: str, options: tuple[str, ...]
) -> None:
    contacts(sheet.parent / name)
    with sandboxes() as witness:
        to = ("--base-url", witness.base_url)
        ran = program("reconcile", sheet, "--with", "o.csv", *to, *options)
        assert witness.journal() == []
    assert ran.code == 8
    assert (sheet.parent / name).read_text(encoding="utf-8") == CONTACTS


def test_report_does_neither(program: Program, sandboxes: Sandboxes, sheet: Path) -> None:
    with sandboxes() as witness:
        assert program("push", sheet, "--base-url", witness.base_url).code == 3
    for name, options in (("s.results.csv", ()), ("c.html", ("--page", "c.html"))):
        contacts(sheet.parent / name)
        assert program("report", sheet, *options).code == 8
        assert (sheet.parent / name).read_text(encoding="utf-8") == CONTACTS
        (sheet.parent / name).unlink()


def test_files_of_earlier_runs_are_replaced_and_added_to_as_before(
    program: Program, sandboxes: Sandboxes, sheet: Path
) -> None:
    outputs = ("--page", "p.html", "--undo-file", "u.csv", "--metrics-file", "m", "--log-file", "l")
    compared = ("--results", "d.csv", "--export-template", "t.xlsx", "--page", "q.html")
    for _ in range(3):
        with sandboxes() as witness:
            to = ("--base-url", witness.base_url)
            assert program("push", sheet, *to, *outputs, "--fresh").code == 3
        assert program("reconcile", sheet, "--with", "o.csv", *compared).code == 3
        assert program("report", sheet, "--page", "p.html").code == 0
    assert Path("l").read_text(encoding="utf-8").count("begins: ") == 3


def come_late(name: str) -> Callable[[object], None]:
    return lambda _: contacts(Path(name))


@pytest.mark.parametrize("name", ["s.results.csv", "p.html", "u.csv", "s.failed.csv"])
def test_a_file_that_comes_during_the_run_stays_and_the_others_are_written(
    sandboxes: Sandboxes, sheet: Path, name: str
) -> None:
    with sandboxes() as witness:
        settings = PushSettings(
            input=sheet, base_url=witness.base_url, key=KEY, page="p.html", undo_file="u.csv"
        )
        if name == "s.failed.csv":  # one that was edited is kept as before
            push(settings, on_row=come_late(name))
            assert Path("s.failed.edited.csv").read_text(encoding="utf-8") == CONTACTS
            return
        with pytest.raises(NameTaken, match=name) as error:
            push(settings, on_row=come_late(name))
    assert error.value.exit_code == 8
    assert Path(name).read_text(encoding="utf-8") == CONTACTS
    (kept,) = Path().glob("*.kept.*")
    assert str(kept) in str(error.value)
    for other in {"s.results.csv", "p.html", "u.csv", "s.failed.csv"} - {name}:
        assert Path(other).exists(), other
    if name == "s.results.csv":
        assert len(read_csv(kept)) == 4


def test_a_file_under_the_name_of_the_holders_note_stays(
    program: Program, sandboxes: Sandboxes, sheet: Path
) -> None:
    contacts(Path("s.checkpoint.sqlite.holder"))
    with sandboxes() as witness:
        assert program("push", sheet, "--base-url", witness.base_url).code == 3
    assert Path("s.checkpoint.sqlite.holder").read_text(encoding="utf-8") == CONTACTS


def test_a_sandbox_uses_no_database_of_something_else(
    program: Program, sandboxes: Sandboxes, sheet: Path
) -> None:
    with sandboxes() as witness:
        assert program("push", sheet, "--base-url", witness.base_url).code == 3
    checkpoint = Path("s.checkpoint.sqlite")
    before = checkpoint.read_bytes()
    ran = program("sandbox", "--port", "0", "--db", checkpoint)
    assert ran.code == 8
    assert "no database of a sandbox" in ran.err
    assert is_checkpoint(checkpoint)
    assert checkpoint.read_bytes() == before


@pytest.mark.parametrize("length", [229, 236, 251, 255])
def test_a_sheet_with_a_long_name_has_files_with_shorter_ones(
    program: Program, sandboxes: Sandboxes, sheet: Path, length: int
) -> None:
    long = sheet.rename("x" * (length - 4) + ".csv")
    with sandboxes() as witness:
        to = ("--base-url", witness.base_url, "--json")
        first = program("push", long, *to)
        assert first.code == 3, first.err
        again = program("push", long, *to)
        assert again.summary["requests"] <= 1
        assert program("status", long).code == 3  # a row to correct
        assert program("report", long).code == 0
        failed = first.summary["failed"]
        assert program("push", failed, *to, "--max-problems", "100%").code == 3
        pushed = program("reconcile", long, "--with", "o.csv", "--push", *to)
        assert pushed.code in {0, 3}, pushed.err


@pytest.mark.parametrize(
    ("option", "code"),
    [
        *dict.fromkeys(
            ("--results", "--page", "--undo-file", "--metrics-file", "--log-file", "--checkpoint"),
            8,
        ).items(),
        *dict.fromkeys(("--ledger", "--out"), 8).items(),
        *dict.fromkeys(("--key-file", "--profile"), 2).items(),
    ],
)
def test_a_name_that_is_too_long_for_a_file_ends_in_a_sentence(
    program: Program, sandboxes: Sandboxes, sheet: Path, option: str, code: int
) -> None:
    name = "y" * 252 + ".csv"
    with sandboxes() as witness:
        ran = program("push", sheet, "--base-url", witness.base_url, option, name)
        assert (ran.code, witness.patches()) == (code, []), ran.err
    assert "name too long" in ran.err.lower()
    assert name in ran.err
