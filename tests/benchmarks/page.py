"""How large a page of many rows is, and how long headless Chromium takes from its address to its
table and charts.

    python -m tests.benchmarks.page [--rows N] [--pictures FOLDER]

The page must stay under 10 MB and open in under two seconds; both are checked. `--pictures` also
leaves what it looks like at three widths, light and dark, and as printed.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from bulk_sync.clock import SystemClock, utc_text
from bulk_sync.model.rows import RateSource, Result, State
from bulk_sync.model.summaries import BadRow, ReportFiles, Summary, Traffic
from bulk_sync.report.causes import problems_of
from bulk_sync.report.page.run import write_page
from bulk_sync.timeline import Counts, Line, Run, latency_bucket
from tests.benchmarks.figures import Figure, exit_code
from tests.benchmarks.goals import add_strict
from tests.browser.chromium import Browser, browser

WIDTHS = (390, 820, 1400)
TIMES = 5
STATES = [State.UPDATED] * 960 + [State.REJECTED] * 14 + [State.FAILED] * 9 + [State.INVALID] * 17
SAID = {
    State.UPDATED: (None, None),
    State.REJECTED: ("not_found", "There is no showing with this key"),
    State.FAILED: ("timeout", "No reply within 30 s; it may have been applied"),
    State.INVALID: (
        "bad_value",
        "rating: '{rating}' is not a rating from 1 to 5, such as 4, 4/5, 4 stars or ★★★★",
    ),
}


def results(count: int) -> Iterator[Result]:
    """Rows as a large sheet has them, with ids and messages of their own."""
    dice = random.Random(7)
    for number in range(2, count + 2):
        state = dice.choice(STATES)
        error, said = SAID[state]
        yield Result(
            number=number,
            cells=(),
            target="",
            key=f"ShowingTime-{dice.randrange(10**9):09}",
            state=state,
            may_have_been_applied=False,
            http_status={State.UPDATED: 200, State.REJECTED: 404}.get(state),
            attempts=0 if state is State.INVALID else 1 + (dice.random() < 0.03),
            error=error,
            message=said and said.format(rating=6 + number % 5),
            fields="feedback rating attendee_name",
            showing_id=str(UUID(int=dice.getrandbits(128))) if state is State.UPDATED else None,
            updated_at=None,
            sent_at=utc_text(datetime.fromtimestamp(1_772_442_000 + number // 120, UTC)),
            duration_ms=dice.randrange(40, 400),
        )


def runs(count: int) -> tuple[Run, ...]:
    """A run that finds its limit of 120 a second, is told to wait now and then, and is resumed
    once.
    """
    dice = random.Random(8)
    made = []
    for began, rows in (
        ("2026-03-02T09:00:00.000Z", count * 2 // 3),
        ("2026-03-02T11:30:00.000Z", count // 3),
    ):
        line, at, rate, left = Line(began), 0, 4.0, rows
        while left > 0:
            at += 250
            throttled = dice.randrange(2, 9) if rate > 130 else 0
            rate = min(rate * 1.15, 118 + dice.random() * 14) if not throttled else 104.0
            done = min(left, max(1, round(rate / 4)))
            latencies = [latency_bucket(dice.lognormvariate(-2.4, 0.5)) for _ in range(done)]
            found = {bucket: latencies.count(bucket) for bucket in set(latencies)}
            retries = throttled + (dice.random() < 0.05)
            line.add(
                at,
                Counts(
                    {State.UPDATED: done},
                    done + retries,
                    retries,
                    throttled,
                    120.0,
                    RateSource.FOUND,
                    found,
                ),
            )
            left -= done
        news = line.unsaved()
        assert news is not None
        made.append(Run(began, news.points))
    return tuple(made)


def write(path: Path, count: int) -> None:
    """A page of so many rows."""
    states: dict[State, int] = {}
    for result in results(count):
        states[result.state] = states.get(result.state, 0) + 1
    groups, causes = problems_of(
        BadRow(row.number, row.error, row.http_status, row.message, row.key, "", False, row.reasons)
        for row in results(count)
        if row.error
    )
    summary = Summary(
        input="exports/march-showings.csv",
        base_url="https://api.example.com",
        rows=count,
        states=states,
        causes=causes,
        problems=groups,
        in_flight=0,
        traffic=Traffic(
            count + count // 30,
            count // 30,
            count // 40,
            count / 110,
            rows_per_second=110.0,
            limit=120.0,
            source=RateSource.FOUND,
            utilisation=0.93,
        ),
        files=ReportFiles(
            "march-showings.results.csv",
            "march-showings.failed.csv",
            "march-showings.checkpoint.sqlite",
        ),
    )

    def rows(states: Iterable[State]) -> Iterator[Result]:
        wanted = set(states)
        return (result for result in results(count) if result.state in wanted)

    write_page(
        path,
        summary,
        runs(count),
        rows,
        made_at=datetime(2026, 3, 2, 12, tzinfo=UTC),
        version="0.1.0",
    )


def seconds_to_open(window: Browser, path: Path) -> float:
    """From the command to go there to a page that is drawn: its script is through and a frame was
    painted.
    """
    clock = SystemClock()
    begun = clock.monotonic()
    window.open(path)
    window.driver.execute_async_script("requestAnimationFrame(() => setTimeout(arguments[0]))")
    return clock.monotonic() - begun


def milliseconds_to_search(window: Browser, text: str) -> float:
    """A search, without the pause that waits for the next key."""
    code = """(() => { const field = document.getElementById("search"); field.value = arguments[0];
        const begun = performance.now(); document.querySelector('[data-filter="all"]').click();
        document.body.offsetHeight; return performance.now() - begun; })()"""
    return float(window.js(code.replace("arguments[0]", repr(text))))


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the page.")
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--pictures", type=Path)
    add_strict(parser)
    told = parser.parse_args()
    clock = SystemClock()
    with TemporaryDirectory() as folder, browser() as window:
        path = Path(folder, "march-showings.report.html")
        begun = clock.monotonic()
        write(path, told.rows)
        print(
            f"{told.rows:,} rows: written in {clock.monotonic() - begun:.1f} s, "
            "rows made up included"
        )
        megabytes = path.stat().st_size / 1e6
        window.size(1400)
        opened = [seconds_to_open(window, path) for _ in range(TIMES)]
        searches = [
            milliseconds_to_search(window, text)
            for text in ("4711", "timeout", "no such row", "time 99")
        ]
        print(
            f"{megabytes:.2f} MB; opens in {statistics.median(opened):.2f} s "
            f"(at worst {max(opened):.2f} s)"
        )
        print(
            "searches took",
            ", ".join(f"{search:.0f} ms" for search in searches),
            "(the first prepares)",
        )
        print("console:", window.log() or "nothing")
        if told.pictures:
            take_pictures(window, path, told.pictures)
    figures = [
        Figure("size of the page", megabytes, "MB"),
        Figure("slowest opening of the page", max(opened), "s"),
    ]
    return exit_code(figures, strict=told.strict)


def take_pictures(window: Browser, path: Path, folder: Path) -> None:
    """Light and dark, at three widths, and as PDF."""
    folder.mkdir(parents=True, exist_ok=True)
    for scheme in ("light", "dark"):
        window.scheme(scheme)
        for width in WIDTHS:
            window.size(width)
            window.open(path)
            window.picture(folder / f"{scheme}-{width}.png")
    (folder / "printed.pdf").write_bytes(window.pdf())


if __name__ == "__main__":
    sys.exit(main())
