"""The progress of a run, on a terminal and elsewhere."""

from __future__ import annotations

import io
import threading

import pytest
from rich.console import Console

from bulk_sync.model.rows import RateSource, State, Tally
from bulk_sync.report.terminal import progress as progress_view
from bulk_sync.report.terminal.progress import progress, reading


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
        "698 left, 20.2 rows/s, limit 50/s (set by --rate), 3 retries, "
        "2 rejected or failed, about 35 s remaining"
    ) in shown
    assert "throttled: waiting 20 s" in shown


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
        progress_view._waiting_text(tally, 3.0)
        == "API unavailable (it refuses\\x1b), next attempt in 9 s"
    )


def test_reading_is_shown_on_a_terminal_only_and_leaves_nothing() -> None:
    for forced in (True, False):
        console = Console(file=io.StringIO(), force_terminal=forced, width=80, color_system=None)
        with reading(console, "x\x1b.csv") as on_rows:
            on_rows(5000)
        assert isinstance(console.file, io.StringIO)
        text = console.file.getvalue()
        assert ("Reading x\\x1b.csv: 5,000 rows" in text) == forced
