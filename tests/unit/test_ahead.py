"""The words for what a push would do, which `check` and the question before a push share."""

from __future__ import annotations

import io

import pytest
from msgspec.structs import replace
from rich.console import Console

from bulk_sync.model.account import Team
from bulk_sync.model.ahead import FieldChange, FirstChange
from bulk_sync.model.rows import State
from bulk_sync.model.summaries import CheckSummary, Understood
from bulk_sync.quantities import Rate
from bulk_sync.report.ahead import first_lines, push_text, question, together
from bulk_sync.report.facts import where_text
from bulk_sync.report.terminal.ahead import show_ahead, show_review

SUMMARY = CheckSummary(
    input="a.csv",
    understood=Understood("CSV", 1),
    columns=(),
    rows=12,
    states={State.PENDING: 10, State.INVALID: 2},
    problems=(),
    causes=(),
    duplicates=0,
    assumptions=("Assumed: times without an offset are in UTC.",),
    notes=("A note.",),
    rates=(Rate(10, 1.0),),
    limit=None,
    window_seconds=None,
    patches=(),
    acknowledged=3,
    first=(FirstChange(2, "k\x1b[2J", (FieldChange("rating", 5, 4, is_known=True),)),),
)


def printed(width: int, *summaries: CheckSummary) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    show_review(console, summaries, "http://x, for the team Vale")
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (FieldChange("rating", 5), "rating 5"),
        (FieldChange("rating", 5, 4, is_known=True), "rating 4 -> 5"),
        (FieldChange("rating", 5, 5, is_known=True), "1 field as before"),
        (FieldChange("rating", None, 4, is_known=True), "rating 4 -> empty"),
        (FieldChange("rating", 4, None, is_known=True), "rating empty -> 4"),
        (FieldChange("feedback", "a\nb\x07"), 'feedback "a\\nb\\u0007"'),
        (FieldChange("feedback", "x" * 99), f'feedback "{"x" * 36}...'),
    ],
)
def test_a_change_is_the_old_value_and_the_new_one(change: FieldChange, words: str) -> None:
    (line,) = first_lines([FirstChange(7, "KEY", (change,))])
    assert line == f"row 7, KEY: {words}"


def test_a_row_names_its_first_fields_and_counts_the_others() -> None:
    fields = tuple(FieldChange(f"f{place}", place) for place in range(7))
    (line,) = first_lines([FirstChange(7, "K" * 100, fields)])
    assert line.endswith("f2 2, and 4 more fields")
    assert line.startswith(f"row 7, {'K' * 57}...: f0 0")


@pytest.mark.parametrize(
    ("requests", "team", "words"),
    [
        (1, Team("1", "Vale"), "Send 1 change to the team Vale (1)? [y/N] "),
        (1200, None, "Send 1,200 changes to http://x? [y/N] "),
        (2, Team(None, "\x1b]0;x\x07"), "Send 2 changes to the team \\x1b]0;x\\x07? [y/N] "),
    ],
)
def test_the_question_names_changes_and_team(requests: int, team: Team | None, words: str) -> None:
    assert question(requests, "http://x", team) == words
    assert (str(team) in where_text("http://x", team)) == (team is not None)


def test_check_and_question_have_the_same_facts() -> None:
    console = Console(file=io.StringIO(), width=200)
    show_ahead(console, SUMMARY)
    assert isinstance(console.file, io.StringIO)
    of_check = console.file.getvalue()
    of_question = printed(200, SUMMARY)
    assert (
        of_check.splitlines()
        == [line for line in of_question.splitlines()[2:] if not line.startswith("To:")][:-1]
    )
    assert "Rows:       12, 2 invalid\n" in of_check
    assert "7 patches, one request each (3 more were acknowledged before)" in of_check
    assert "First:      row 2, k\\x1b[2J: rating 4 -> 5\n" in of_check


def test_on_a_narrow_terminal_no_word_breaks() -> None:
    lines = printed(40, SUMMARY).splitlines()
    assert all(len(line.rstrip()) <= 40 for line in lines)
    assert " ".join(" ".join(lines).split()).count("acknowledged before") == 1


def test_several_sheets_are_one_push() -> None:
    refused = replace(SUMMARY, input="b.csv", stopped=ValueError())
    both = together([SUMMARY, SUMMARY, refused])
    assert both.requests == 14
    assert push_text(both).startswith("14 patches, one request each: at least ")
    shown = printed(100, *([SUMMARY] * 13))
    assert shown.count("File: ") == 10
    assert "and 3 more files\n" in shown
    assert "All files:  156 rows, 91 patches to send\n" in shown


def test_a_short_push_takes_a_second() -> None:
    assert "at least 1 s at " in push_text(replace(SUMMARY, rates=(Rate(85, 1.0),)))


@pytest.mark.parametrize("acknowledged", [0, 2])
def test_unchanged_rows_are_said_to_be(acknowledged: int) -> None:
    states = {State.PENDING: 5, State.UNCHANGED: 2}
    summary = replace(SUMMARY, states=states, acknowledged=acknowledged)
    assert "(2 rows unchanged)" in push_text(summary)
    nothing = replace(summary, states={State.UNCHANGED: 2}, acknowledged=0)
    assert push_text(nothing) == "nothing: the API acknowledged all of these values before"
