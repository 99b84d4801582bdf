"""Summaries on a terminal, rendered without one."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from time import tzset

import pytest
from msgspec.structs import replace
from rich.console import Console

from bulk_sync.errors import Interrupted
from bulk_sync.model.rows import Allowance, RateSource, State
from bulk_sync.model.summaries import CauseGroup, ProblemGroup, ReportFiles, Summary, Traffic
from bulk_sync.report.facts import summary_facts
from bulk_sync.report.terminal.lines import show_error
from bulk_sync.report.terminal.summary import show_summary

SUMMARY = Summary(
    input="x.csv",
    base_url="https://api.example.com",
    rows=12,
    states={State.UPDATED: 7, State.INVALID: 3, State.PENDING: 2},
    problems=(
        ProblemGroup("bad_value", 3, ((2, "rating: '9' is not"), (5, "rating: '8' is not"))),
    ),
    causes=(
        CauseGroup("bad_value", "rating 8, 9", 2, ((2, "9"), (5, "8")), "expected 1 to 5"),
        CauseGroup(
            "timeout",
            "timeout: no\x1b answer",
            4,
            ((1, "a"), (6, "b"), (7, "c"), (8, "d")),
            "run again",
            1,
        ),
    ),
    in_flight=2,
    traffic=Traffic(
        9,
        2,
        1,
        3.0,
        rows_per_second=2.3,
        limit=10.0,
        source=RateSource.OPTION,
        utilisation=0.3,
        decided=7,
    ),
    files=ReportFiles("x.results.csv", "x.failed.csv", "x.checkpoint.sqlite"),
    notes=("A note.",),
)


ALLOWANCES = (
    Allowance(10, None, None, RateSource.OPTION, 1),
    Allowance(1000, 985, datetime(2026, 3, 14, 16, 59, 30, tzinfo=UTC), RateSource.HEADER, 3600),
)


def rendered(summary: Summary, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    show_summary(console, summary)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_summary_names_states_problems_files_and_the_next_command() -> None:
    pushed = replace(SUMMARY, command=("push", "x.csv"))
    lines = [line.rstrip() for line in rendered(pushed).splitlines()]
    assert lines == [
        "A note.",
        "updated   7",
        "invalid   3",
        "pending   2  2 of them in flight: they may have been applied",
        "rows     12",
        "  2 rows: rating 8, 9: expected 1 to 5 (rows 2, 5)",
        (
            "  4 rows: timeout: no\\x1b answer: run again (rows 1, 6, 7 and 1 more; 1 may have "
            "been applied)"
        ),
        (
            "9 requests, 1.29 per row, 2 retries, 1 throttled, 3 s, 2.3 rows/s, "
            "limit 10/s (set by --rate), 30% of it used"
        ),
        "Results:    x.results.csv",
        "To correct: x.failed.csv",
        "Checkpoint: x.checkpoint.sqlite",
        "Next:       bulk-sync push x.csv --base-url https://api.example.com",
    ]


def test_a_run_that_goes_on_counts_its_requests_by_its_own_rows() -> None:
    traffic = replace(SUMMARY.traffic, decided=3)  # the others were sent by an earlier run
    assert "9 requests, 3.00 per row" in rendered(replace(SUMMARY, traffic=traffic))


def test_the_first_row_that_was_sent_in_vain_can_be_explained() -> None:
    summary = replace(SUMMARY, states={**SUMMARY.states, State.FAILED: 4})
    assert "Explain:    bulk-sync explain x.checkpoint.sqlite --row 1\n" in rendered(summary)
    assert "Explain:" not in rendered(SUMMARY)  # nothing that was sent failed
    only_invalid = replace(summary, causes=SUMMARY.causes[:1])
    assert "Explain:" not in rendered(only_invalid)


def test_a_note_that_the_terminal_has_had_is_not_repeated() -> None:
    summary = replace(SUMMARY, notes=("Two cells are damaged.", "Another note."))
    console = Console(file=io.StringIO(), width=80)
    show_summary(console, summary, ("Two cells are damaged.",))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert ("damaged" in text, "Another note." in text) == (False, True)


def test_a_narrow_terminal_cuts_no_path() -> None:
    text = rendered(
        replace(
            SUMMARY,
            files=replace(SUMMARY.files, results="/a/rather/long/path/to/showings.results.csv"),
        ),
        width=20,
    )
    assert "/a/rather/long/path/to/showings.results.csv" in text


def test_a_long_cause_hangs_under_itself_on_a_terminal_and_is_one_line_in_a_file() -> None:
    group = CauseGroup(
        "bad_value", "rating 6 to 10", 12, ((7, "6"), (9, "8")), "expected a rating from 1 to 5"
    )
    summary = replace(SUMMARY, causes=(group,))
    line = "12 rows: rating 6 to 10: expected a rating from 1 to 5 (rows 7, 9 and 10 more)"
    console = Console(file=io.StringIO(), width=40, force_terminal=True, color_system=None)
    show_summary(console, summary)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    shown = text[text.index("  12 rows") : text.index("9 requests")].splitlines()
    assert len(shown) == 3
    assert max(map(len, shown)) <= 40
    assert " ".join(" ".join(shown).split()) == line
    assert f"\n  {line}\n" in rendered(summary, width=40)


def test_of_many_causes_the_first_are_shown_and_the_rest_counted() -> None:
    causes = tuple(
        CauseGroup("refused", f"refused 422: kind {n}", 1, ((n, "k"),), "correct it")
        for n in range(14)
    )
    text = rendered(replace(SUMMARY, causes=causes))
    assert "kind 11: correct it" in text
    assert "kind 12" not in text
    assert "  and 2 more causes, see the failed rows" in text
    many = tuple(replace(causes[0], cause=f"kind {n}") for n in range(60))
    facts = list(summary_facts(replace(SUMMARY, causes=many)))
    assert ("refused: 1 row", "kind 49: correct it (row 0)") in facts
    assert ("causes left out", 10) in facts


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, 6),
        ({"states": {State.UPDATED: 7, State.INVALID: 3}}, 3),
        ({"states": {State.UPDATED: 7, State.SUPERSEDED: 1, State.UNCHANGED: 1}}, 0),
        ({"states": {}}, 0),
        ({"states": {State.FAILED: 1}}, 3),
        ({"states": {State.UPDATED: 7}, "stopped": Interrupted(2)}, 130),
    ],
)
def test_the_exit_code_follows_from_the_states_and_the_stop(
    change: dict[str, object], code: int
) -> None:
    assert replace(SUMMARY, **change).exit_code == code


def test_an_error_is_one_sentence_with_one_full_stop() -> None:
    console = Console(file=io.StringIO(), width=20)
    show_error(console, "[bold]it\nbroke")
    show_error(console, "it broke.")
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "Error: [bold]it\\nbroke.\nError: it broke.\n"


def test_the_summary_names_the_allowances(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    tzset()
    try:
        told = rendered(replace(SUMMARY, traffic=replace(SUMMARY.traffic, allowances=ALLOWANCES)))
    finally:
        monkeypatch.undo()
        tzset()
    lines = " ".join(told.split())
    assert "Allowance: 10 requests per second (set by --rate) Allowance" in lines
    assert (
        "Allowance: 1,000 requests per hour (stated by the API), 985 left until 2026-03-14 16:59:30"
        in lines
    )
