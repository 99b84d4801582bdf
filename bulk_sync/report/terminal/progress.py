"""The progress of a run: live on a terminal, otherwise one line every ten seconds."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from bulk_sync.model.estimates import seconds_to_send, windows_for
from bulk_sync.model.rows import ERROR_STATES, RateSource, Tally
from bulk_sync.report.terminal.lines import lines_of_parts
from bulk_sync.report.words import (
    about,
    limit_text,
    printable,
    quota_text,
    row_rate,
    span,
    time_of_day,
)
from bulk_sync.wording import counted

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from bulk_sync.clock import Clock

LINE_EVERY_SECONDS = 10.0

_REFRESHES_PER_SECOND = 5
_BAR_WIDTH, _LEAST_BAR = 30, 8
# Seconds; a shorter wait would only flicker.
_SHORTEST_WAIT = 0.5
# Seconds; shorter waits are how a limit sets the pace, so they count for the time to go.
_LONGEST_OF_PACE = 5.0
# Seconds; the end of a longer wait is shown as a time of day.
_LONG_WAIT = 60.0
# Seconds of sending; the first ones say little about the time to go.
_SOONEST_ESTIMATE = 3.0
# The rate of now is that of so many seconds of sending, and of so many rows.
_RECENT_SECONDS, _RECENT_ROWS = 30.0, 10

_SENDS, _WAITS, _FAILS = "green", "yellow", "red"


class View:
    """A run's progress; each `look`, or text, is of the tally now."""

    def __init__(self, tally: Tally, clock: Clock, since: float | None = None) -> None:
        """Follow a run that sends since an instant of the monotonic clock; default: now."""
        self.tally = tally  # of a run elsewhere, another one comes with each report
        self._clock = clock
        self._started = self._looked = clock.monotonic() if since is None else since
        self._sending = 0.0  # seconds, long waits for the API apart
        self._until, self._is_apart = -math.inf, False
        self._recent = deque([(0.0, 0)])  # rows done after so many seconds of sending

    def pace(self) -> list[str]:
        """Return rows left, rate, limit, retries, the time so far and the time to go."""
        self.look()
        tally = self.tally
        left = max(0, tally.total - _done(tally))
        parts = [
            f"{left:,} left",
            *([] if self.is_held or not self.per_second else [row_rate(self.per_second)]),
            *_limit_text(tally),
            counted(tally.retries, "retry", "retries"),
        ]
        if tally.throttled:
            parts.append(f"{tally.throttled:,} throttled")
        errors = sum(tally.decided.get(state, 0) for state in ERROR_STATES)
        if errors:
            parts.append(f"{errors:,} rejected or failed")
        parts.append(f"{span(round(self._looked - self._started))} elapsed")
        if (seconds := self.seconds_left()) is not None:
            parts.append(f"about {about(seconds)} remaining")
        return parts

    @property
    def is_held(self) -> bool:
        """True in an outage and in a long wait for a limit, as of the last look."""
        return self.tally.trouble is not None or (self._is_apart and self._looked < self._until)

    @property
    def style(self) -> str:
        """Green while rows are sent, yellow in a wait for a limit, red in an outage."""
        if self.tally.trouble is not None:
            return _FAILS
        return _WAITS if self.waiting() else _SENDS

    @property
    def per_second(self) -> float:
        """The rows per second of the last seconds of sending, long waits for the API apart."""
        since, before = self._recent[0]
        sent = self._sending - since
        return (self.tally.done - before) / sent if sent > 0 else 0.0

    def look(self) -> None:
        """Take the time since the last look into account."""
        now, until = self._clock.monotonic(), self.tally.waiting_until
        if until != self._until:
            self._until, self._is_apart = until, until - now > _LONGEST_OF_PACE
        # Of the time since the last look, what follows a long wait.
        waited = min(now, until) if self._is_apart else -math.inf
        self._sending += max(0.0, now - max(self._looked, waited))
        self._looked = now
        self._recent.append((self._sending, self.tally.done))
        while len(self._recent) > 2 and self._is_past(*self._recent[1]):
            self._recent.popleft()

    def _is_past(self, seconds: float, done: int) -> bool:
        """Return whether enough was sent since for a rate."""
        is_long_ago = seconds <= self._sending - _RECENT_SECONDS
        return is_long_ago and self.tally.done - done >= _RECENT_ROWS

    def seconds_left(self, to_come: int = 0) -> float | None:
        """Return the time to go, as of the last look; None if it is unknown or nothing is left.

        `to_come` counts the rows that are sent after those of the tally.
        """
        tally = self.tally
        rows = max(0, tally.total - _done(tally)) + to_come
        if not rows or tally.trouble is not None:
            return None
        held = max(0.0, tally.waiting_until - self._looked)
        windows = windows_for((), tally.allowances, self._clock.now(), tally.leave)
        if any(one.contents is None and rows > (one.left or 0) for one in windows):
            return None  # nobody knows how often it will have to wait
        if held > _LONGEST_OF_PACE and not windows and not self._knows_what_holds:
            return None
        per_second = self._pace_to_come(held)
        seconds = seconds_to_send(rows, per_second, windows, held_seconds=held)
        if per_second is None:
            # Windows alone say how long it takes if the rows are more than fit into one.
            return seconds if held < seconds < math.inf else None
        return seconds if math.isfinite(seconds) else held + rows / per_second

    @property
    def _knows_what_holds(self) -> bool:
        """True if a wait follows from the limit that is known; one that was found explains none."""
        source = self.tally.source
        return source is RateSource.HEADER or (
            source is RateSource.OPTION and self.tally.waits_for_user
        )

    def _pace_to_come(self, held_seconds: float) -> float | None:
        """Return the rows per second once rows are sent again; None if that is unknown.

        A run that is held before it has a rate of its own will send at its limit.
        """
        tally, per_second = self.tally, self.per_second
        if per_second <= 0 or self._sending < _SOONEST_ESTIMATE:
            return (tally.limit or None) if held_seconds > _SHORTEST_WAIT else None
        # The rows of a first burst may still be among those of the last seconds.
        if tally.limit and tally.source is RateSource.FOUND:
            return min(per_second, tally.limit)
        return per_second

    def waiting(self) -> str:
        """Return why nothing is sent now and until when, "" while something is."""
        tally = self.tally
        left = max(0.0, tally.waiting_until - self._clock.monotonic())
        if tally.trouble is not None:
            trouble = printable(tally.trouble)
            again = f"next attempt in {span(round(left))}" if round(left) else "trying again"
            return f"API unavailable, {again}: {trouble}"
        if left > _LONG_WAIT:
            now = self._clock.now()
            until = time_of_day(now + timedelta(seconds=left), now)
            whom = "--rate or --leave" if tally.waits_for_user else "the API"
            return f"waiting for {whom} until {until}, {span(round(left))} from now"
        if left <= _SHORTEST_WAIT:
            return ""
        why = "at the limit of --rate or --leave" if tally.waits_for_user else "throttled"
        return f"{why}: waiting {span(round(left))}"


def is_live(console: Console) -> bool:
    """Return True for a terminal that can draw lines again; TERM=dumb can't."""
    return console.is_terminal and not console.is_dumb_terminal


@contextmanager
def reading(console: Console, name: str) -> Iterator[Callable[[int], None]]:
    """Show how many rows of a file were read, on a terminal only and until the block ends."""
    if not is_live(console):
        yield lambda _: None
        return
    from rich.live import Live
    from rich.text import Text

    with Live(console=console, refresh_per_second=_REFRESHES_PER_SECOND, transient=True) as live:
        yield lambda rows: live.update(
            Text(f"Reading {printable(name)}: {counted(rows, 'row')}", style="dim")
        )


@contextmanager
def progress(console: Console, tally: Tally, clock: Clock, name: str = "") -> Iterator[None]:
    """Show a run's progress while the block runs, with the name of its file if there is one."""
    from rich.live import Live
    from rich.text import Text

    if not is_live(console):

        def line(text: str) -> None:
            console.print(Text(text), soft_wrap=True)

        with progress_lines(tally, clock, line, name):
            yield
        return
    view = View(tally, clock)

    def now() -> RenderableType:
        return _progress_view(tally, view, console.width, name)

    with Live(
        console=console,
        get_renderable=now,
        refresh_per_second=_REFRESHES_PER_SECOND,
        transient=True,
    ):
        yield


@contextmanager
def progress_lines(
    tally: Tally, clock: Clock, say: Callable[[str], None], name: str = ""
) -> Iterator[None]:
    """Pass a run's progress to `say` as a line every ten seconds, while the block runs."""
    begin = f"{name}: " if name else ""
    view = View(tally, clock)

    def line() -> str:
        parts = (_done_text(tally), *view.pace(), view.waiting())
        return begin + ", ".join(filter(None, parts))

    with lines_of(line, say):
        yield


@contextmanager
def lines_of(line: Callable[[], str], say: Callable[[str], None]) -> Iterator[None]:
    """Pass a line to `say` every ten seconds, while the block runs."""
    ended = threading.Event()

    # In a thread, so that a busy event loop does not delay the lines.
    def report() -> None:
        while not ended.wait(LINE_EVERY_SECONDS):
            say(line())

    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _progress_view(tally: Tally, view: View, width: int, name: str) -> RenderableType:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    pace, waiting, style = view.pace(), view.waiting(), view.style
    bar = Table.grid(padding=(0, 1))
    bar.add_row(
        ProgressBar(
            total=max(1, tally.total),
            completed=_done(tally),
            width=min(_BAR_WIDTH, max(_LEAST_BAR, width // 4)),
            complete_style=style,
            finished_style=style,
        ),
        Text(_done_text(tally)),
    )
    lines = [Text(line, style="dim") for line in lines_of_parts(pace, width)]
    heading = [Text(f"Sending {printable(name)}", style="dim")] if name else []
    return Group(*heading, bar, *lines, *([Text(waiting, style=style)] if waiting else []))


def _limit_text(tally: Tally) -> list[str]:
    """Return the limit, or else the allowance that will be used up first, if one is known."""
    if tally.limit is not None:
        return [limit_text(tally.limit, tally.source)]
    known = [one for one in tally.allowances if one.remaining is not None]
    if not known:
        return []
    first = min(known, key=lambda one: one.remaining or 0.0)
    quota = quota_text(first.limit, first.window_seconds)
    return [f"{first.remaining or 0.0:,.0f} of {quota} left"]


def _done(tally: Tally) -> int:
    return tally.settled_before + tally.done


def _done_text(tally: Tally) -> str:
    team = f" to {printable(tally.team.name or str(tally.team))}" if tally.team else ""
    rows = f"{_done(tally):,} of {counted(tally.total, 'row')}{team}"
    # Rounded down: all of it only when every row is done.
    return f"{100 * _done(tally) // tally.total}%, {rows}" if tally.total else rows
