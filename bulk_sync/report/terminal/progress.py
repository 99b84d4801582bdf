"""Progress on a terminal, as a bar or as log lines."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bulk_sync.model.rows import MENDABLE_STATES, Tally
from bulk_sync.report.words import limit_text, printable, span

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

LINE_EVERY_SECONDS = 10.0


@contextmanager
def reading(console: Console, name: str) -> Iterator[Callable[[int], None]]:
    """Show, on a terminal, how many rows of a long file were read; the line is gone at the end."""
    if not console.is_terminal:
        yield lambda _: None
        return
    from rich.live import Live
    from rich.text import Text

    with Live(console=console, refresh_per_second=5, transient=True) as live:
        yield lambda rows: live.update(
            Text(f"Reading {printable(name)}: {rows:,} rows", style="dim")
        )


@contextmanager
def progress(console: Console, tally: Tally, monotonic: Callable[[], float]) -> Iterator[None]:
    """Show a run's progress: live on a terminal, else a line every ten seconds."""
    from rich.live import Live
    from rich.text import Text

    if not console.is_terminal:
        with progress_lines(
            tally, monotonic, lambda line: console.print(Text(line), soft_wrap=True)
        ):
            yield
        return
    begun = monotonic()

    def now() -> RenderableType:
        return _progress_view(tally, monotonic() - begun, monotonic())

    with Live(console=console, get_renderable=now, refresh_per_second=5, transient=True):
        yield


@contextmanager
def progress_lines(
    tally: Tally, monotonic: Callable[[], float], say: Callable[[str], None]
) -> Iterator[None]:
    """Say a run's progress as a line every ten seconds."""
    begun = monotonic()
    ended = threading.Event()

    def report() -> None:
        while not ended.wait(LINE_EVERY_SECONDS):
            say(_progress_line(tally, monotonic() - begun, monotonic()))

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

    done = tally.settled_before + tally.done
    bar = Table.grid(padding=(0, 1))
    bar.add_row(
        ProgressBar(total=max(1, tally.total), completed=done, width=30),
        Text(f"{done:,} of {tally.total:,} rows"),
    )
    text = Text(_pace_now(tally, elapsed), style="dim")
    waiting = _waiting(tally, now)
    if waiting:
        text.append(f"\n{waiting}", style="yellow")
    return Group(bar, text)


def _progress_line(tally: Tally, elapsed: float, now: float) -> str:
    done = f"{tally.settled_before + tally.done:,} of {tally.total:,} rows"
    return ", ".join(filter(None, (done, _pace_now(tally, elapsed), _waiting(tally, now))))


def _waiting(tally: Tally, now: float) -> str:
    left = tally.waiting_until - now
    if tally.trouble is not None:
        return (
            f"nothing gets through ({printable(tally.trouble)}), next try in {max(0.0, left):.0f} s"
        )
    return f"the API asked to wait: {left:.0f} s" if left > 0.5 else ""


def _pace_now(tally: Tally, elapsed: float) -> str:
    rate = tally.done / elapsed if elapsed > 0 else 0.0
    left = max(0, tally.total - tally.settled_before - tally.done)
    limit = limit_text(tally.limit, tally.source)
    parts = [f"{left:,} left", f"{rate:.1f} rows/s", limit, f"{tally.retries:,} retries"]
    if tally.throttled:
        parts.append(f"{tally.throttled:,} told to wait")
    bad = sum(tally.decided.get(state, 0) for state in MENDABLE_STATES)
    if bad:
        parts.append(f"{bad:,} rejected or failed")
    if rate > 0 and left:
        parts.append(f"about {span(left / rate)} to go")
    return ", ".join(parts)
