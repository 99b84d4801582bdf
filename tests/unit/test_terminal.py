"""What a person sees, rendered without a terminal."""

from __future__ import annotations

import io
import threading

import pytest
from msgspec.structs import replace
from rich.console import Console

from bulk_sync.errors import Interrupted
from bulk_sync.model.rows import RateSource, State, Tally
from bulk_sync.model.summaries import CauseGroup, ProblemGroup, Summary
from bulk_sync.report import words
from bulk_sync.report.terminal import progress as progress_view
from bulk_sync.report.terminal.progress import progress
from bulk_sync.report.terminal.summary import facts_of, show_error, show_summary
from bulk_sync.report.words import printable

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
    requests=9,
    retries=2,
    throttled=1,
    seconds=3.0,
    rows_per_second=2.3,
    limit=10.0,
    source=RateSource.OPTION,
    utilisation=0.3,
    results="x.results.csv",
    failed="x.failed.csv",
    checkpoint="x.checkpoint.sqlite",
    notes=("A note.",),
)


def rendered(summary: Summary, next_command: str | None = None, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    show_summary(console, summary, next_command)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_summary_names_states_problems_files_and_the_next_command() -> None:
    lines = [line.rstrip() for line in rendered(SUMMARY, "bulk-sync push x.csv").splitlines()]
    assert lines == [
        "A note.",
        "updated   7",
        "invalid   3",
        "pending   2  2 of them in flight: they may have been applied",
        "rows     12",
        "  2 rows: rating 8, 9: expected 1 to 5 (rows 2, 5)",
        "  4 rows: timeout: no\\x1b answer: run again (rows 1, 6, 7, ...; 1 may have been applied)",
        "9 requests, 1.00 a row, 2 retries, 1 told to wait, 3.0 s, 2.3 rows/s, limit 10/s from --rate, 30% of it used",
        "Results:    x.results.csv",
        "To mend:    x.failed.csv",
        "Checkpoint: x.checkpoint.sqlite",
        "Next:       bulk-sync push x.csv",
    ]


def test_a_narrow_terminal_cuts_no_path() -> None:
    text = rendered(
        replace(SUMMARY, results="/a/rather/long/path/to/showings.results.csv"), width=20
    )
    assert "/a/rather/long/path/to/showings.results.csv" in text


def test_a_long_cause_hangs_under_itself_on_a_terminal_and_is_one_line_in_a_file() -> None:
    group = CauseGroup(
        "bad_value", "rating 6 to 10", 12, ((7, "6"), (9, "8")), "expected a rating from 1 to 5"
    )
    summary = replace(SUMMARY, causes=(group,))
    line = "12 rows: rating 6 to 10: expected a rating from 1 to 5 (rows 7, 9, ...)"
    console = Console(file=io.StringIO(), width=40, force_terminal=True, color_system=None)
    show_summary(console, summary, None)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    shown = text[text.index("  12 rows") : text.index("9 requests")].splitlines()
    assert len(shown) == 2
    assert max(map(len, shown)) <= 40
    assert " ".join(" ".join(shown).split()) == line
    assert f"\n  {line}\n" in rendered(summary, width=40)


def test_of_many_causes_the_first_are_shown_and_the_rest_counted() -> None:
    causes = tuple(
        CauseGroup("refused", f"refused 422: kind {n}", 1, ((n, "k"),), "mend") for n in range(14)
    )
    text = rendered(replace(SUMMARY, causes=causes))
    assert "kind 11: mend" in text
    assert "kind 12" not in text
    assert "  and 2 kinds more, see the failed rows" in text
    many = tuple(replace(causes[0], cause=f"kind {n}") for n in range(60))
    facts = list(facts_of(replace(SUMMARY, causes=many)))
    assert ("refused: 1 row", "kind 49: mend (row 0)") in facts
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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 😀", "plain é 😀"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\nb", "a\\nb"),
        ("\u202e", "\\u202e"),
        ("\ud800", "\\ud800"),
    ],
)
def test_no_control_reaches_the_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_an_error_is_one_sentence_with_one_full_stop() -> None:
    console = Console(file=io.StringIO(), width=20)
    show_error(console, "[bold]it\nbroke")
    show_error(console, "it broke.")
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "Error: [bold]it\\nbroke.\nError: it broke.\n"


def test_a_live_terminal_shows_rows_rate_limit_and_waits() -> None:
    tally = Tally(
        total=1000,
        settled_before=100,
        retries=3,
        limit=50.0,
        source=RateSource.OPTION,
        waiting_until=30.0,
    )
    tally.decided = {State.UPDATED: 200, State.REJECTED: 2}
    moments = iter([0.0, *[10.0] * 50])
    console = Console(file=io.StringIO(), width=160, force_terminal=True, color_system=None)
    with progress(console, tally, lambda: next(moments)):
        pass
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "302 of 1,000 rows" in shown
    assert (
        "698 left, 20.2 rows/s, limit 50/s from --rate, 3 retries, 2 rejected or failed, about 35 s to go"
        in shown
    )
    assert "the API asked to wait: 20 s" in shown


def test_elsewhere_a_line_comes_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_view, "LINE_EVERY_SECONDS", 0.01)
    written = threading.Event()

    class Lines(io.StringIO):
        def write(self, text: str) -> int:
            written.set()
            return super().write(text)

    console = Console(file=Lines(), width=20)
    with progress(console, Tally(total=5), lambda: 1.0):
        assert written.wait(10)
    assert isinstance(console.file, io.StringIO)
    assert "0 of 5 rows, 5 left, 0.0 rows/s, no limit met, 0 retries" in console.file.getvalue()


def test_an_outage_is_shown_with_its_reason_and_the_next_try() -> None:
    tally = Tally(total=5, trouble="it refuses\x1b", waiting_until=12.0)
    assert (
        progress_view._waiting(tally, 3.0)
        == "nothing gets through (it refuses\\x1b), next try in 9 s"
    )


@pytest.mark.parametrize(
    ("limit", "source", "text"),
    [
        (None, RateSource.NONE, "no limit met"),
        (10.0, RateSource.OPTION, "limit 10/s from --rate"),
        (0.5, RateSource.HEADER, "limit 30/m as the API says"),
        (98.76, RateSource.FOUND, "limit about 98.8/s as found"),
    ],
)
def test_a_limit_and_who_says_so(limit: float | None, source: RateSource, text: str) -> None:
    assert words.limit_text(limit, source) == text


@pytest.mark.parametrize(("seconds", "text"), [(5, "5 s"), (600, "10 min"), (9000, "2.5 h")])
def test_spans(seconds: float, text: str) -> None:
    assert words.span(seconds) == text


def test_reading_is_shown_on_a_terminal_only_and_leaves_nothing() -> None:
    for forced in (True, False):
        console = Console(file=io.StringIO(), force_terminal=forced, width=80, color_system=None)
        with progress_view.reading(console, "x\x1b.csv") as on_rows:
            on_rows(5000)
        assert isinstance(console.file, io.StringIO)
        text = console.file.getvalue()
        assert ("Reading x\\x1b.csv: 5,000 rows" in text) == forced
