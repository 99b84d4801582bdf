"""A push on a terminal asks before the first row of a job leaves, and only yes sends.

Invariant: no request that changes anything leaves before the answer, and whatever ends the question
but yes leaves nothing by which a later run counts as resumed.
"""

from __future__ import annotations

import io
import os
import pty
import select
import signal
import sys
import termios
import tty
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from bulk_sync import platforms
from bulk_sync.cli import asking
from bulk_sync.errors import Interrupted
from tests.conftest import Program
from tests.faultserver import Journal, all_good, fault_server, first, good, refuses, team
from tests.helpers import numbered, read_csv, write_sheet
from tests.terminals import Terminal, on_terminal

ROWS = 20
VALE = team("Vale Realty", "vale-1")


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    return write_sheet(tmp_path / "x.csv", numbered(ROWS))


# On a terminal


def enter(text: str) -> Callable[[Terminal], None]:
    return lambda terminal: terminal.types(text)


@pytest.mark.slow  # each process has a terminal
def test_no_row_leaves_before_yes_and_nothing_stays_of_a_no(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    sheet = write_sheet(folder / "x.csv", numbered(ROWS))
    refusals = [
        (enter("\x03"), 130),
        (lambda terminal: terminal.process.send_signal(signal.SIGTERM), 143),
    ]
    with fault_server(all_good, me=VALE) as journal:
        push = ("push", sheet, "--base-url", journal.base_url)
        for refuse, code in refusals:
            with on_terminal(*push, columns=40, TERM="dumb", LANG="C") as terminal:
                terminal.until("[y/N] ")
                refuse(terminal)
                assert terminal.end() == code, terminal.shown
                assert "Nothing was sent." in terminal.shown
        assert {(one.method, one.key) for one in journal.account} == {("GET", "me")}
        assert journal.requests == []
        assert [*folder.iterdir()] == [sheet], "a checkpoint would make the next run a resumed one"
        with on_terminal(*push) as terminal:
            terminal.until("Send 20 changes to the team Vale Realty (vale-1)? [y/N] ")
            assert journal.requests == []
            terminal.types("maybe\n")
            terminal.until("Answer y or n.")
            terminal.types("yes\n")
            assert terminal.end() == 0, terminal.shown
        assert len(journal.patched) == ROWS
    assert {line["state"] for line in read_csv(folder / "x.results.csv")} == {"updated"}


# As if on a terminal: the answers are given in order, and each question is kept


class Person:
    def __init__(self) -> None:
        self.answers: list[bool] = []
        self.asked: list[str] = []

    def __call__(self, text: str) -> bool:
        self.asked.append(text)
        return self.answers.pop(0)


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Person:
    found = Person()
    monkeypatch.setattr(asking, "_at_terminal", lambda: True)
    monkeypatch.setattr(asking, "_answer", found)
    return found


def to(journal: Journal) -> tuple[object, ...]:
    return ("--base-url", journal.base_url, "--workers", 1)


def test_a_job_that_goes_on_is_not_asked_about_again(
    program: Program, sheet: Path, person: Person
) -> None:
    person.answers = [True, True]
    with fault_server(first(8, good, then=refuses(401, "Gone")), me=VALE) as journal:
        assert program("push", sheet, *to(journal)).code == 5
        assert len(person.asked) == 1
        assert program("push", sheet, *to(journal)).code == 5
        assert len(person.asked) == 1, "rows of it were sent"
        write_sheet(sheet, [*numbered(ROWS), ("new", "New", 1)])
        assert program("push", sheet, *to(journal)).code == 5
        assert person.asked[1:] == ["Send 13 changes to the team Vale Realty (vale-1)? [y/N] "]


def test_rows_that_a_choice_left_out_are_asked_about(
    program: Program, sheet: Path, person: Person
) -> None:
    person.answers = [True, False]
    with fault_server(all_good, me=VALE) as journal:
        assert program("push", sheet, *to(journal), "--limit", 3).code == 0
        assert program("push", sheet, *to(journal)).code == 130
        assert len(journal.patched) == 3
        assert "Send 17 changes" in person.asked[1]


def test_a_sheet_that_was_declined_leaves_the_earlier_job_as_it_was(
    program: Program, sheet: Path, person: Person
) -> None:
    person.answers = [True, False, False]
    with fault_server(all_good, me=VALE) as journal:
        assert program("push", sheet, *to(journal)).code == 0
        write_sheet(sheet, numbered(ROWS, first=5))
        assert program("push", sheet, *to(journal)).code == 130
        assert program("push", sheet, *to(journal), "--fresh").code == 130
        write_sheet(sheet, numbered(ROWS))
        again = program("push", sheet, *to(journal), "--json")
        assert (again.code, again.summary["states"]["updated"]) == (0, ROWS)
        assert len(journal.patched) == ROWS


@pytest.mark.usefixtures("person")
def test_a_sheet_that_changes_during_the_question_is_not_sent(
    program: Program, sheet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def edit(_: str) -> bool:
        write_sheet(sheet, numbered(ROWS + 1))
        return True

    monkeypatch.setattr(asking, "_answer", edit)
    with fault_server(all_good, me=VALE) as journal:
        ran = program("push", sheet, *to(journal))
        assert ran.code == 4
        assert "changed after it was looked over" in ran.err
        assert journal.requests == []


def test_several_files_are_asked_about_once(
    program: Program, tmp_path: Path, person: Person
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name, at in (("a", 0), ("b", 5)):
        write_sheet(folder / f"{name}.csv", numbered(5, first=at))
    (folder / "c.csv").write_text("nothing\n1\n", encoding="utf-8")
    person.answers = [False, True]
    with fault_server(all_good, me=VALE) as journal:
        push = ("push", folder, *to(journal), "--settle", "0s")
        assert program(*push).code == 130
        assert len(journal.patched) == 0
        ran = program(*push)
        assert ran.code == 4, "c.csv"
        assert "All files:  10 rows, 10 patches to send" in ran.out
        assert f"Not sent:   {folder / 'c.csv'}: no column" in ran.out
        assert person.asked == ["Send 10 changes to the team Vale Realty (vale-1)? [y/N] "] * 2
        assert len(journal.patched) == 10


def test_a_comparison_asks_before_it_pushes(
    program: Program, sheet: Path, tmp_path: Path, person: Person
) -> None:
    changed = [("ext_0", "Changed", 5), *numbered(ROWS - 1, first=1)]
    export = write_sheet(tmp_path / "export.csv", changed)
    person.answers = [False, True]
    with fault_server(all_good, me=VALE) as journal:
        push = ("reconcile", sheet, "--with", export, "--push", *to(journal))
        assert program(*push).code == 130
        assert journal.requests == []
        assert program(*push).code == 0
        assert (journal.patched, len(person.asked)) == (["ext_0"], 2)


def test_changes_that_another_file_undid_are_asked_about(
    program: Program, sheet: Path, person: Person
) -> None:
    other = write_sheet(sheet.with_name("y.csv"), [(key, "Else", 1) for key, _, _ in numbered(3)])
    person.answers = [False, True]
    with fault_server(all_good, me=VALE) as journal:
        shared = (*to(journal), "--ledger", sheet.with_name("north.ledger"))
        for file in (sheet, other):
            assert program("push", file, *shared, "--yes").code == 0
        assert program("push", sheet, *shared).code == 130
        assert len(journal.patched) == ROWS + 3
        assert program("push", sheet, *shared).code == 0
        assert len(journal.patched) == ROWS + 6
        assert program("push", sheet, *shared).code == 0
    assert person.asked == ["Send 3 changes to the team Vale Realty (vale-1)? [y/N] "] * 2


def test_only_changed_counts_what_is_left(program: Program, sheet: Path, person: Person) -> None:
    person.answers = [True, True]
    with fault_server(all_good, me=VALE) as journal:
        assert program("push", sheet, *to(journal)).code == 0
        write_sheet(sheet, [("ext_0", "Changed\x1b[2J", 1), *numbered(ROWS, first=1)])
        ran = program("push", sheet, *to(journal), "--only-changed")
        assert ran.code == 0
        assert "Send 2 changes" in person.asked[1]
        assert "2 patches, one request each (19 rows unchanged)" in ran.out
        shown = 'row 2, ext_0: feedback "Liked it, number 0" -> "Changed\\u001b[2J"\n'
        assert shown in ran.out, "and not the rating, which stays"
        assert len(journal.patched) == ROWS + 2


@pytest.mark.parametrize("option", ["--yes", "-y", "--sandbox", "--json"])
def test_these_options_ask_nothing(
    program: Program, sheet: Path, person: Person, option: str
) -> None:
    with fault_server(all_good, me=VALE) as journal:
        where = () if option == "--sandbox" else to(journal)
        assert program("push", sheet, *where, option).code == 0
        assert person.asked == []


def test_the_environment_may_say_yes_and_no_folder_may(
    program: Program, sheet: Path, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sheet.parent)
    with fault_server(all_good, me=VALE) as journal:
        Path("bulk-sync.toml").write_text("yes = true\n", encoding="utf-8")
        assert program("push", sheet, *to(journal)).code == 2
        assert journal.patched == []
        Path("bulk-sync.toml").unlink()
        monkeypatch.setenv("BULK_SYNC_YES", "true")
        assert program("push", sheet, *to(journal)).code == 0
        assert (len(journal.patched), person.asked) == (ROWS, [])


def test_a_terminal_in_raw_mode_gives_lines_for_the_question() -> None:
    ours, theirs = pty.openpty()
    try:
        tty.setraw(theirs)
        before = termios.tcgetattr(theirs)
        os.write(ours, b"y\n")  # typed before the question
        assert select.select([theirs], [], [], 60)[0], "it takes a moment to arrive"
        with platforms.typed_lines(theirs):
            os.write(ours, b"no\r")
            assert os.read(theirs, 100) == b"no\n"
        assert termios.tcgetattr(theirs) == before
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_signal_that_came_just_before_the_wait_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """It interrupts no call of the system: only a wait that ends by itself lets Python see it."""
    waits: list[float] = []

    def nothing_twice(ready: list[int], *_: object) -> tuple[list[int], list[int], list[int]]:
        waits.append(float(str(_[-1])))
        return (ready if len(waits) == 3 else []), [], []

    ours, theirs = pty.openpty()
    try:
        with platforms.typed_lines(theirs) as wait:
            monkeypatch.setattr(select, "select", nothing_twice)
            wait()
        assert len(waits) == 3
        assert all(0 < seconds < 1 for seconds in waits)
    finally:
        os.close(ours)
        os.close(theirs)


def test_too_many_changes_are_refused_without_a_question(
    program: Program, sheet: Path, person: Person
) -> None:
    with fault_server(all_good, me=VALE) as journal:
        ran = program("push", sheet, *to(journal), "--max-changes", 5)
        assert (ran.code, person.asked, journal.account) == (4, [], [])


def test_a_foreign_file_in_the_place_of_the_results_is_found_before_the_question(
    program: Program, sheet: Path, person: Person
) -> None:
    now = datetime.now().astimezone()
    for day in (now, now + timedelta(days=1)):  # it may be midnight
        (sheet.parent / f"x.{day:%Y-%m-%d}.csv").write_text("mine", encoding="utf-8")
    with fault_server(all_good, me=VALE) as journal:
        ran = program("push", sheet, *to(journal), "--results", sheet.parent / "x.{date}.csv")
        assert (ran.code, person.asked, journal.account) == (8, [], [])


def test_a_key_that_is_refused_ends_the_push_before_the_question(
    program: Program, sheet: Path, person: Person
) -> None:
    with fault_server(all_good, me=refuses(401, "Invalid API key")) as journal:
        assert program("push", sheet, *to(journal)).code == 5
        assert (person.asked, journal.requests) == ([], [])


@pytest.mark.usefixtures("person")
def test_an_interrupted_question_is_no_answer(
    program: Program, sheet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(_: str) -> bool:
        raise Interrupted(signal.SIGINT)

    monkeypatch.setattr(asking, "_answer", stopped)
    with fault_server(all_good, me=VALE) as journal:
        assert program("push", sheet, *to(journal)).code == 130
        assert journal.requests == []


@pytest.mark.parametrize(
    ("typed", "sends"),
    [
        ("y\n", True),
        (" YES \n", True),
        ("ye\n\xff\ny\n", True),
        ("n\n", False),
        ("\n", False),
        ("", False),
        ("maybe\n", False),
        ("maybe", False),
    ],
)
def test_only_yes_is_yes(monkeypatch: pytest.MonkeyPatch, typed: str, *, sends: bool) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    assert asking.typed_yes("?") is sends


def test_nobody_is_asked_about_a_sheet_from_standard_input(
    program: Program, sheet: Path, monkeypatch: pytest.MonkeyPatch, person: Person
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(sheet.read_bytes())))
    files = (
        "--checkpoint",
        sheet.with_suffix(".sqlite"),
        "--results",
        sheet.with_suffix(".out.csv"),
    )
    with fault_server(all_good, me=VALE) as journal:
        assert program("push", "-", *to(journal), *files).code == 0
        assert (len(journal.patched), person.asked) == (ROWS, [])
