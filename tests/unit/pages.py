"""Pages of made-up runs for the tests, and their parts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from html.parser import HTMLParser
from io import StringIO
from typing import Any

from bulk_sync.model.rows import RateSource, Result, State
from bulk_sync.model.summaries import ProblemGroup, ReportFiles, Summary, Traffic
from bulk_sync.report.page import run as page
from bulk_sync.report.page.drawing import draw
from bulk_sync.report.page.rows import MOST_SHARED_TEXTS
from bulk_sync.timeline import Counts, Line, Run

SUMMARY = Summary(
    input="in/showings.csv",
    base_url="https://api.example.com",
    rows=3,
    states={State.UPDATED: 2, State.REJECTED: 1},
    problems=(ProblemGroup("refused", 1, ((4, "Rating is for others"),)),),
    in_flight=0,
    traffic=Traffic(
        4, 1, 0, 1.5, rows_per_second=2.0, limit=10.0, source=RateSource.HEADER, utilisation=None
    ),
    files=ReportFiles(
        "in/showings.results.csv", "in/showings.failed.csv", "in/showings.checkpoint.sqlite"
    ),
)
MADE_AT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
RESULT = Result(
    2, (), "k", "k", State.UPDATED, False, 200, 1, None, None, "rating", None, None, None, 12
)

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "]]>--><svg onload=alert(1)>",
    "\u2028\u2029\x00\x85\ufeff\uffff",
    "\u202eevil\u2066",
    "a\ud800b",
    "\"'`&lt;&#60;${x}\\u003c\\",
    "x" * 199,
    "👩‍👩‍👧",
]


class Parsed(HTMLParser):
    """Elements with their attributes, and the texts of `<script>` by id."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str | None, str] = {}
        self.text = ""
        self._script: str | None = None
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self._inside, self._script = True, dict(attrs).get("id")

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data
        else:
            self.text += data


def parsed(html: str) -> Parsed:
    """A page, parsed."""
    found = Parsed()
    found.feed(html)
    found.close()
    return found


def written(summary: Summary, results: Iterable[Result] = (), runs: tuple[Run, ...] = ()) -> str:
    """A page as text."""
    file = StringIO()
    kept = list(results)
    page._write(
        file,
        summary,
        draw(runs),
        lambda states: (r for r in kept if r.state in set(states)),
        MADE_AT,
        "1.2.3",
    )
    return file.getvalue()


def rows_of(found: Parsed) -> list[list[Any]]:
    """The rows as page.js has them: places are texts again."""
    rows = json.loads(found.scripts["data"])
    texts: list[str] = []
    for row in rows:
        row.extend([None] * (11 - len(row)))
        for place in (7, 8, 9):
            if isinstance(row[place], int):
                row[place] = texts[row[place]]
            elif row[place] is not None and len(texts) < MOST_SHARED_TEXTS:
                texts.append(row[place])
    return rows  # type: ignore[no-any-return]


def a_run() -> Run:
    """A run of 7.4 seconds."""
    line = Line("2026-03-02T09:00:00.000Z")
    for second in range(30):
        line.add(
            second * 250 + 150,
            Counts({State.UPDATED: 5}, 6, 1, 0, 20.0, RateSource.HEADER, {20: 6}),
        )
    news = line.unsaved()
    assert news is not None
    return Run(news.began, news.points)


def _luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Contrast of two colours, 1 to 21 (WCAG 2.2)."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
