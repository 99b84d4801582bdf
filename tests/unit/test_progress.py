"""The progress of a run, on a terminal and elsewhere."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import tzset

import pytest
from msgspec.structs import replace
from rich.console import Console

from bulk_sync.clock import SystemClock
from bulk_sync.model.rows import Allowance, RateSource, State, Tally
from bulk_sync.quantities import Share
from bulk_sync.report.terminal import progress as progress_view
from bulk_sync.report.terminal.lines import lines_of_parts
from bulk_sync.report.terminal.progress import progress, reading

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)


@dataclass
class Still(SystemClock):
    """A clock that a test sets."""

    at: float = 0.0

    def monotonic(self) -> float:
        return self.at

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.at)


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    tzset()
    yield
    monkeypatch.undo()
    tzset()


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

    class Clock(Still):
        def monotonic(self) -> float:
            return next(moments)

    console = Console(file=io.StringIO(), width=160, force_terminal=True, color_system=None)
    tally.waiting_until = 0.0
    with progress(console, tally, Clock(), "vale/b.csv"):
        tally.waiting_until = 30.0
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "Sending vale/b.csv" in shown
    assert "30%, 302 of 1,000 rows" in shown
    assert (
        "698 left, limit 50/s (set by --rate), 3 retries, 2 rejected or failed, 10 s elapsed"
        in shown
    )
    assert "throttled: waiting 20 s" in shown


def looked_at(tally: Tally, clock: Still, seconds: float) -> progress_view.View:
    """Return a view after some time of sending, looked at every second."""
    view = progress_view.View(tally, clock)
    for _ in range(round(seconds)):
        clock.at += 1
        view.look()
    return view


def pace_of(view: progress_view.View) -> str:
    return ", ".join(view.pace())


def test_the_time_to_go_counts_the_windows_and_not_the_waits_so_far() -> None:
    clock = Still()
    tally = Tally(total=3000, decided={State.UPDATED: 1000})
    view = looked_at(tally, clock, 100)  # ten rows a second
    assert "10.0 rows/s" in pace_of(view)
    assert "about 3 min remaining" in pace_of(view)
    hour = Allowance(1000, 0, NOON + timedelta(hours=1), RateSource.HEADER, 3600)
    tally.allowances = (hour,)
    # The next thousand leave in an hour, the last in two.
    assert "0 of 1,000 requests per hour left" in pace_of(view)
    assert "about 2 h remaining" in pace_of(view)
    tally.leave = Share(percent=50)
    assert "about 3 h 59 min remaining" in pace_of(view)
    tally.leave = Share(count=0)
    tally.waiting_until = 3600
    for _ in range(3500):
        assert "rows/" not in pace_of(view)
        clock.at += 1
        view.look()
    assert clock.at == 3600
    assert "1 h elapsed" in pace_of(view)
    tally.allowances = (Allowance(1000, 1000, NOON + timedelta(hours=2), RateSource.HEADER, 3600),)
    assert "about 1 h 2 min remaining" in pace_of(view)


@pytest.mark.parametrize("every_seconds", [1, 10])
def test_the_time_to_go_counts_the_short_waits_that_set_the_pace(every_seconds: int) -> None:
    """Else 25 rows a second, sent between waits of half a second, would seem to be many more."""
    clock, tally = Still(), Tally(total=1500)
    view = progress_view.View(tally, clock)
    for _ in range(30 // every_seconds):
        clock.at += every_seconds
        tally.decided = {State.UPDATED: round(25 * clock.at)}
        tally.waiting_until = clock.at + 0.5
        view.look()
    assert view.seconds_left() == pytest.approx(30, abs=1)


def test_after_a_burst_the_time_to_go_is_that_of_the_limit_that_was_found() -> None:
    clock, tally = Still(), Tally(total=900, limit=4.0, source=RateSource.FOUND)
    view = progress_view.View(tally, clock)
    clock.at = 10
    tally.decided = {State.UPDATED: 200}
    view.look()
    assert view.per_second == pytest.approx(20)
    assert view.seconds_left() == pytest.approx(700 / 4)


@pytest.mark.usefixtures("utc")
def test_a_long_wait_has_its_end() -> None:
    clock = Still()
    view = progress_view.View(Tally(total=5, waiting_until=1500.0), clock)
    assert view.waiting() == "waiting for the API until 12:25:00, 25 min from now"
    clock.at = 1441
    assert view.waiting() == "throttled: waiting 59 s"
    clock.at = 1499.8
    assert not view.waiting()
    own = progress_view.View(Tally(waiting_until=1500.0, waits_for_user=True), clock := Still())
    assert own.waiting() == "waiting for --rate or --leave until 12:25:00, 25 min from now"
    clock.at = 1441
    assert own.waiting() == "at the limit of --rate or --leave: waiting 59 s"
    tomorrow = progress_view.View(Tally(total=5, waiting_until=90000.0), Still())
    assert tomorrow.waiting() == "waiting for the API until 2026-03-15 13:00, 25 h from now"


def test_elsewhere_a_line_comes_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_view, "LINE_EVERY_SECONDS", 0.01)
    written = threading.Event()

    class Lines(io.StringIO):
        def write(self, text: str) -> int:
            written.set()
            return super().write(text)

    console = Console(file=Lines(), width=20)
    with progress(console, Tally(total=5), Still()):
        assert written.wait(10)
    assert isinstance(console.file, io.StringIO)
    assert "0%, 0 of 5 rows, 5 left, 0 retries, 0 s elapsed\n" in console.file.getvalue()


def test_an_outage_is_shown_with_its_reason_and_the_next_try() -> None:
    tally = Tally(total=5, trouble="it refuses\x1b", waiting_until=12.0)
    clock = Still(3.0)
    view = progress_view.View(tally, clock)
    assert view.waiting() == "API unavailable, next attempt in 9 s: it refuses\\x1b"
    clock.at = 12.0
    assert view.waiting() == "API unavailable, trying again: it refuses\\x1b"


def test_green_is_sending_yellow_waiting_red_an_outage() -> None:
    tally, clock = Tally(total=5), Still()
    view = progress_view.View(tally, clock)
    assert view.style == "green"
    tally.waiting_until = 30.0
    assert view.style == "yellow"
    tally.trouble = "it refuses"
    assert view.style == "red"


def test_the_rate_and_the_time_to_go_are_those_of_now() -> None:
    clock, tally = Still(), Tally(total=1000)
    view = progress_view.View(tally, clock)
    for second in range(1, 101):  # ten rows a second, then two
        clock.at = second
        tally.decided = {State.UPDATED: 10 * min(second, 50) + 2 * max(0, second - 50)}
        view.look()
    assert view.per_second == pytest.approx(2)
    assert view.seconds_left() == pytest.approx(200)
    # In an outage nobody knows.
    tally.trouble = "it refuses"
    assert view.seconds_left() is None
    assert "rows/" not in pace_of(view)


@pytest.mark.parametrize("width", [1, 10, 40, 80, 1000])
def test_lines_end_between_parts_and_fit_where_a_part_does(width: int) -> None:
    parts = ["463 left", "19.0 rows/s", "limit 28.9/s (measured)", "about 24 s remaining"]
    lines = lines_of_parts(parts, width)
    assert " ".join(lines) == ", ".join(parts)
    assert all(line.rstrip(",") in parts or len(line) <= width for line in lines)


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=io.StringIO(), force_terminal=True)
    assert progress_view.is_live(console)
    monkeypatch.setenv("TERM", "dumb")
    assert not progress_view.is_live(Console(file=io.StringIO(), force_terminal=True))
    assert not progress_view.is_live(Console(file=io.StringIO(), force_terminal=False))


def test_reading_is_shown_on_a_terminal_only_and_leaves_nothing() -> None:
    for forced in (True, False):
        console = Console(file=io.StringIO(), force_terminal=forced, width=80, color_system=None)
        with reading(console, "x\x1b.csv") as on_rows:
            on_rows(5000)
        assert isinstance(console.file, io.StringIO)
        text = console.file.getvalue()
        assert ("Reading x\\x1b.csv: 5,000 rows" in text) == forced


MINUTE = Allowance(100, 0, NOON + timedelta(seconds=42), RateSource.HEADER, 60)


@pytest.mark.parametrize(
    ("tally", "waits", "seconds"),
    [
        # Of 504 rows 100 leave at 42 s and each minute after it; the last 4 in the sixth.
        (Tally(total=504, allowances=(MINUTE,)), 42.0, 42 + 5 * 60),
        (Tally(total=504, allowances=(MINUTE,), limit=2.0), 42.0, 42 + 5 * 60 + 2),
        (Tally(total=504, limit=12.0, source=RateSource.HEADER), 42.0, 42 + 42),
        (Tally(total=504, limit=12.0, source=RateSource.HEADER), 0.0, None),
        (Tally(total=504, limit=12.0, source=RateSource.FOUND), 42.0, None),
        (Tally(total=504, limit=12.0, source=RateSource.OPTION), 42.0, None),
        (Tally(total=504, limit=12.0, source=RateSource.FOUND), 2.0, 2 + 42),
        (
            Tally(total=504, limit=12.0, source=RateSource.OPTION, waits_for_user=True),
            42.0,
            42 + 42,
        ),
        (Tally(total=504), 42.0, None),
        (Tally(total=50, allowances=(replace(MINUTE, remaining=90),)), 0.0, None),
        (Tally(total=504, allowances=(replace(MINUTE, limit=None),)), 42.0, None),
        (Tally(total=504, limit=12.0, trouble="503"), 42.0, None),
    ],
)
def test_a_run_that_waits_before_it_has_a_rate_goes_on_at_its_known_limit(
    tally: Tally, waits: float, seconds: float | None
) -> None:
    clock = Still()
    view = progress_view.View(tally, clock)
    tally.waiting_until = waits
    view.look()
    found = view.seconds_left()
    assert found == (None if seconds is None else pytest.approx(seconds))
