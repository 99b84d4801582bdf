"""The progress of a run: live on a terminal, otherwise one line every ten seconds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bulk_sync.model.rows import ERROR_STATES, Tally
from bulk_sync.report.words import counted, limit_text, printable, span

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

LINE_EVERY_SECONDS = 10.0

_REFRESHES_PER_SECOND = 5
_BAR_WIDTH = 30
# Seconds; a shorter wait would only flicker.
_SHORTEST_WAIT = 0.5


@contextmanager
def reading(console: Console, name: str) -> Iterator[Callable[[int], None]]:
    """Show how many rows of a file were read, on a terminal only and until the block ends."""
    if not console.is_terminal:
        yield lambda _: None
        return
    from rich.live import Live
    from rich.text import Text

    with Live(console=console, refresh_per_second=_REFRESHES_PER_SECOND, transient=True) as live:
        yield lambda rows: live.update(
            Text(f"Reading {printable(name)}: {counted(rows, 'row')}", style="dim")
        )


@contextmanager
def progress(console: Console, tally: Tally, monotonic: Callable[[], float]) -> Iterator[None]:
    """Show a run's progress while the block runs."""
    from rich.live import Live
    from rich.text import Text

    if not console.is_terminal:

        def line(text: str) -> None:
            console.print(Text(text), soft_wrap=True)

        with progress_lines(tally, monotonic, line):
            yield
        return
    started = monotonic()

    def now() -> RenderableType:
        return _progress_view(tally, monotonic() - started, monotonic())

    with Live(
        console=console,
        get_renderable=now,
        refresh_per_second=_REFRESHES_PER_SECOND,
        transient=True,
    ):
        yield


@contextmanager
def progress_lines(
    tally: Tally, monotonic: Callable[[], float], say: Callable[[str], None]
) -> Iterator[None]:
    """Pass a run's progress to `say` as a line every ten seconds, while the block runs."""
    started = monotonic()
    ended = threading.Event()

    # In a thread, so that a busy event loop does not delay the lines.
    def report() -> None:
        while not ended.wait(LINE_EVERY_SECONDS):
            say(_progress_line(tally, monotonic() - started, monotonic()))

    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _progress_view(tally: Tally, elapsed: float, now: float) -> RenderableType:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    bar = Table.grid(padding=(0, 1))
    bar.add_row(
        ProgressBar(total=max(1, tally.total), completed=_done(tally), width=_BAR_WIDTH),
        Text(_done_text(tally)),
    )
    text = Text(_pace_text(tally, elapsed), style="dim")
    waiting = _waiting_text(tally, now)
    if waiting:
        text.append(f"\n{waiting}", style="yellow")
    return Group(bar, text)


def _progress_line(tally: Tally, elapsed: float, now: float) -> str:
    parts = (_done_text(tally), _pace_text(tally, elapsed), _waiting_text(tally, now))
    return ", ".join(filter(None, parts))


def _done(tally: Tally) -> int:
    return tally.settled_before + tally.done


def _done_text(tally: Tally) -> str:
    team = f" to {printable(tally.team.name or str(tally.team))}" if tally.team else ""
    return f"{_done(tally):,} of {counted(tally.total, 'row')}{team}"


def _waiting_text(tally: Tally, now: float) -> str:
    left = max(0.0, tally.waiting_until - now)
    if tally.trouble is not None:
        return f"API unavailable ({printable(tally.trouble)}), next attempt in {span(round(left))}"
    return f"throttled: waiting {span(round(left))}" if left > _SHORTEST_WAIT else ""


def _pace_text(tally: Tally, elapsed: float) -> str:
    rate = tally.done / elapsed if elapsed > 0 else 0.0
    left = max(0, tally.total - _done(tally))
    parts = [
        f"{left:,} left",
        f"{rate:.1f} rows/s",
        limit_text(tally.limit, tally.source),
        counted(tally.retries, "retry", "retries"),
    ]
    if tally.throttled:
        parts.append(f"{tally.throttled:,} throttled")
    errors = sum(tally.decided.get(state, 0) for state in ERROR_STATES)
    if errors:
        parts.append(f"{errors:,} rejected or failed")
    if rate > 0 and left:
        parts.append(f"about {span(round(left / rate))} remaining")
    return ", ".join(parts)
