"""`--page`: what a run came to as one HTML file that loads nothing, from anywhere.

The charts are drawn by uPlot (1.6.32, MIT, 51 KB, shipped in `assets` as it was published): it
is well kept, the smallest of the libraries that draw axes, and follows the width of a phone and the
colours of the system, where an SVG drawn beforehand would scale its letters away. Everything
it draws also stands in a table, for screen readers and where no scripts run.

Texts of the sheet and of the server are escaped by construction (`markup.py`), or stand in a
block of JSON that the page's own script reads and writes as text, never as markup. A
Content-Security-Policy lets that script run and nothing else, and lets nothing be loaded or sent.

What is written is bounded: rows stream from the checkpoint into the file, as many as a browser is
quick with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path, PurePath
from typing import TextIO

from bulk_sync.address import SANDBOX_TARGET
from bulk_sync.model.rows import MENDABLE_STATES, Result, State
from bulk_sync.model.summaries import CauseGroup, ProblemGroup, Summary
from bulk_sync.report.page.charts import LINES, Drawing, draw, drawing_data, time_section
from bulk_sync.report.page.frame import (
    asset,
    bottom,
    close_page,
    header_row,
    open_page,
    section,
    top,
    verdict_section,
)
from bulk_sync.report.page.markup import Html, element, join, json_text
from bulk_sync.report.words import STATES, TITLES, Tone, Verdict, full_message, rows_of, verdict
from bulk_sync.report.written.atomic import replacing
from bulk_sync.timeline import Run

MOST_ROWS = 50_000
"""Beyond so many rows those that are updated are left out, and then others."""

MOST_BYTES = 8_500_000
"""Of rows: the page stays under 10 MB."""

_LONGEST_KEY = 200
_LONGEST_MESSAGE = 1000
_LONGEST_VALUE = 60
_MOST_SHARED_TEXTS = 5000
"""Texts that come again are written once; page.js counts along."""

Rows = Callable[[Iterable[State]], Iterable[Result]]
"""Rows in these states, in input order."""


def write_page(
    path: Path,
    summary: Summary,
    runs: Sequence[Run],
    rows: Rows,
    *,
    made_at: datetime,
    version: str,
) -> None:
    """Write the page; raises OutputError."""
    with replacing(path) as file:
        _write(file, summary, draw(runs), rows, made_at, version)


def _write(
    file: TextIO,
    summary: Summary,
    drawing: Drawing | None,
    rows: Rows,
    made_at: datetime,
    version: str,
) -> None:
    told = verdict(summary)
    open_page(file, f"{PurePath(summary.input).name}: {told.sentence}", _style(), _script())
    file.write(element("a", "Skip to the rows", href="#rows", class_="skip") + "\n")
    file.write(_top(summary, made_at, version) + "\n<main>\n")
    sections = (
        _verdict_section(summary, told),
        _states_section(summary),
        time_section(summary, drawing),
        _problems_section(summary),
        _files_section(summary, told),
    )
    file.write("\n".join(sections))
    _write_rows(file, summary, rows)
    file.write(f"</main>\n{bottom(version, 'Charts: uPlot, © Leon Sorokin, MIT License.')}\n")
    if drawing is not None:
        file.write(_json_block("drawing", drawing_data(drawing)) + "\n")
    close_page(file, _script())


# The frame


@cache
def _script() -> str:
    """uPlot, drawing twice as fine as most screens so that print is sharp, and the page's own
    script.
    """
    library = asset("uPlot.iife.min.js")
    fine = "Math.max(2, self.devicePixelRatio || 1)"
    return f"const uPlot = (devicePixelRatio => {{\n{library}\nreturn uPlot;\n}})({fine});\n{asset('page.js')}"


@cache
def _style() -> str:
    return asset("uPlot.min.css") + asset("page.css")


def _top(summary: Summary, made_at: datetime, version: str) -> Html:
    to = (
        "a sandbox on this machine (a rehearsal)"
        if summary.base_url == SANDBOX_TARGET
        else summary.base_url
    )
    return top(
        "report", (("Sheet", PurePath(summary.input).name), ("Sent to", to)), made_at, version
    )


def _verdict_section(summary: Summary, told: Verdict) -> Html:
    link = (
        None
        if told.tone is Tone.GOOD
        else element("p", element("a", "What to do next", href="#next"))
    )
    return verdict_section(told.tone, told.sentence, told.detail, summary.notes, link)


# States


_LEAST_SHARE = 0.008
"""Of the bar: a single row of a million is seen."""


def _states_section(summary: Summary) -> Html:
    counts = [(state, summary.states[state]) for state in STATES if summary.states.get(state, 0)]
    if not counts:
        return section("states", "Rows by state", element("p", "There are no rows."), class_="card")
    label = (
        "Rows by state: " + ", ".join(f"{count:,} {state.value}" for state, count in counts) + "."
    )
    lines = (
        element(
            "tr",
            element("th", _swatch(f"s-{state.value}"), element("span", state.value), scope="row"),
            element("td", f"{count:,}", class_="number"),
            element("td", _percent(count, summary.rows), class_="number"),
            element("td", STATES[state], class_="what"),
        )
        for state, count in counts
    )
    return section(
        "states",
        "Rows by state",
        _bar(counts, label),
        element(
            "table",
            element("caption", "Rows by state", class_="aside"),
            header_row("State", "Rows", "Share", "Meaning"),
            element("tbody", *lines),
            class_="states",
        ),
        class_="card",
    )


def _percent(count: int, total: int) -> str:
    share = 100 * count / total
    if 0 < share < 0.1:
        return "<0.1 %"
    return f"{min(share, 99.9) if count < total else 100:.1f} %"


def _bar(counts: Sequence[tuple[State, int]], label: str) -> Html:
    """The states as one bar; a pattern beside the colour tells those apart that need a person."""
    total = sum(count for _, count in counts)
    shares = [max(count / total, _LEAST_SHARE) for _, count in counts]
    begins, at = [], 0.0
    for share in shares:
        begins.append(at)
        at += share
    pieces = (
        element(
            "rect",
            x=f"{begin / at:.4%}",
            width=f"{share / at:.4%}",
            height="100%",
            class_=f"piece s-{state.value}",
        )
        for (state, _), begin, share in zip(counts, begins, shares, strict=True)
    )
    return element(
        "svg",
        element("title", label),
        element("defs", *map(_pattern, ("invalid", "rejected", "failed", "pending"))),
        *pieces,
        class_="bar",
        role="img",
        aria_label=label,
    )


def _pattern(name: str) -> Html:
    return element(
        "pattern",
        element("rect", width=8, height=8, class_=f"ground-{name}"),
        element("path", d=LINES[name], class_="lines"),
        id=f"p-{name}",
        width=8,
        height=8,
        patternUnits="userSpaceOnUse",
    )


def _swatch(kind: str) -> Html:
    return element(
        "svg",
        element("rect", width="100%", height="100%", rx=3, class_=kind),
        class_="swatch",
        width=14,
        height=14,
        aria_hidden="true",
    )


# Over time


# Problems, files


_MOST_CAUSES = 12
"""Of one code; the failed rows name each."""


def _problems_section(summary: Summary) -> Html:
    if not summary.problems:
        return section("problems", "Problems", element("p", "None."), class_="card")
    articles = (
        _problem(group, [cause for cause in summary.causes if cause.code == group.code])
        for group in summary.problems
    )
    return section("problems", "Problems by cause", *articles, class_="card")


def _problem(group: ProblemGroup, causes: Sequence[CauseGroup]) -> Html:
    more = len(causes) - _MOST_CAUSES
    return element(
        "article",
        element(
            "h3",
            TITLES.get(group.code, group.code),
            element("span", f" {rows_of(group.count)} "),
            element("code", group.code),
        ),
        element("ol", *map(_cause, causes[:_MOST_CAUSES]), class_="causes"),
        element("p", f"and {more:,} {'kind' if more == 1 else 'kinds'} more", class_="rest")
        if more > 0
        else None,
        element(
            "button",
            f"Show the {group.code} rows",
            type="button",
            data_cause=group.code,
            hidden="hidden",
        ),
        class_="problem",
    )


def _cause(group: CauseGroup) -> Html:
    doubt = f"; {group.in_doubt:,} of them may have been applied" if group.in_doubt else ""
    return element(
        "li",
        element(
            "p",
            element("bdi", _cut(group.cause.removeprefix(f"{group.code}: "), _LONGEST_MESSAGE)),
            class_="cause",
        ),
        element(
            "p",
            element("b", rows_of(group.rows), doubt),
            ": ",
            element("bdi", *_with_options(_cut(group.remedy, _LONGEST_MESSAGE))),
        ),
        element("p", *_first_rows(group), class_="first"),
    )


def _first_rows(group: CauseGroup) -> Iterator[str]:
    for number, value in group.first_rows:
        seen = element("bdi", _cut(value, _LONGEST_VALUE), class_="value") if value else None
        yield element("span", "row ", element("b", f"{number:,}"), " ", seen)
        yield " "
    if group.rows > len(group.first_rows):
        yield "…"


def _with_options(text: str) -> Iterator[str]:
    """The text, its options kept from being broken at their dashes."""
    for part in re.split(r"(--[a-z-]+)", text):
        yield element("span", part, class_="option") if part.startswith("--") else part


def _files_section(summary: Summary, told: Verdict) -> Html:
    named = (
        ("Results", summary.results, "one line for each row"),
        ("To mend", summary.failed, "the rows that need a person, cells as they were"),
        ("Undo", summary.undo, "puts earlier values back"),
        ("Checkpoint", summary.checkpoint, "the job; keep it until all is done"),
    )
    lines = (
        element(
            "tr",
            element("th", name, scope="row"),
            element("td", element("code", element("bdi", PurePath(path).name))),
            element("td", what, class_="what"),
        )
        for name, path, what in named
        if path
    )
    return section(
        "next",
        "What to do next",
        element("p", told.next_step, class_="step"),
        element("pre", element("code", told.command), tabindex=0) if told.command else None,
        element("h3", "Files"),
        element(
            "table",
            element("caption", "Files of this job", class_="aside"),
            element("tbody", *lines),
            class_="files",
        ),
        class_="card",
    )


# Rows


def _write_rows(file: TextIO, summary: Summary, rows: Rows) -> None:
    """The section of the rows; they stream, and what had to be left out is said after them."""
    states, left_out = _states_shown(summary)
    file.write('<section id="rows" class="card" aria-labelledby="rows-title">\n')
    file.write(element("h2", "Rows", id="rows-title"))
    file.write('<script type="application/json" id="data">[')
    taken = _write_lines(file, rows(states))
    file.write("]</script>\n")
    expected = sum(summary.states.get(state, 0) for state in states)
    notes = [left_out, _cut_short(summary, taken, expected)]
    file.write(join(*(element("p", note, class_="left-out") for note in notes if note)))
    file.write(_table_frame(taken))
    file.write("\n</section>\n")


_NARROWER = (
    tuple(state for state in State if state is not State.UPDATED),
    (*sorted(MENDABLE_STATES), State.PENDING),
    tuple(sorted(MENDABLE_STATES)),
)


def _states_shown(summary: Summary) -> tuple[tuple[State, ...], str | None]:
    """The states whose rows are on the page, and a note on the others."""
    if summary.rows <= MOST_ROWS:
        return tuple(State), None
    counts = [sum(summary.states.get(state, 0) for state in states) for states in _NARROWER]
    fitting = [n for n, count in enumerate(counts) if 0 < count <= MOST_ROWS]
    crowded = [n for n, count in enumerate(counts) if count > MOST_ROWS]
    states = _NARROWER[fitting[0] if fitting else crowded[-1] if crowded else 0]
    left_out = [state for state in State if state not in states and summary.states.get(state, 0)]
    named = ", ".join(f"{summary.states[state]:,} {state.value}" for state in left_out)
    return (
        states,
        f"The sheet has {summary.rows:,} rows; left out here are those that are {named}. {_all_in(summary)}",
    )


def _cut_short(summary: Summary, taken: int, expected: int) -> str | None:
    if taken >= expected:
        return None
    return f"These are the first {taken:,} of {expected:,}, as many as a browser is quick with. {_all_in(summary)}"


def _all_in(summary: Summary) -> str:
    return (
        f"All rows are in {PurePath(summary.results).name}."
        if summary.results
        else "The results hold all rows."
    )


def _write_lines(file: TextIO, results: Iterable[Result]) -> int:
    """Write rows until they are too many or too long; returns how many."""
    taken = size = 0
    texts = SharedTexts()
    first = True
    for result in results:
        line = json_text(_line_of(result, texts))
        size += len(line.encode()) + 2
        if taken == MOST_ROWS or size > MOST_BYTES:
            break
        file.write(line if first else ",\n" + line)
        first = False
        taken += 1
    return taken


class SharedTexts:
    """Texts that come again are their place among those that came."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def __call__(self, text: str | None) -> str | int | None:
        """The text, or the number of its first coming."""
        if not text:
            return None
        place = self._places.get(text)
        if place is None and len(self._places) < _MOST_SHARED_TEXTS:
            self._places[text] = len(self._places)
        return text if place is None else place


_STATES_IN_ORDER = tuple(State)


def _line_of(result: Result, shared: SharedTexts) -> list[object]:
    """A row as page.js reads it; trailing blanks are left out."""
    message = full_message(
        result.state, result.message, may_have_been_applied=result.may_have_been_applied
    )
    line: list[object] = [
        result.number,
        _cut(result.key, _LONGEST_KEY),
        _STATES_IN_ORDER.index(result.state),
        result.attempts,
        result.http_status,
        _second(result.sent_at),
        result.duration_ms,
        shared(result.error),
        shared(_cut(message or "", _LONGEST_MESSAGE)),
        shared(result.fields),
        _cut(result.showing_id or "", _LONGEST_KEY) or None,
    ]
    while line[-1] is None:
        line.pop()
    return line


def _second(text: str | None) -> int | None:
    """A time as reports show it, in seconds since 1970."""
    if text is None:
        return None
    try:
        return int(datetime.fromisoformat(text).timestamp())
    except ValueError:
        return None


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


_COLUMNS = ("Row", "Key", "State", "What was said", "Attempts", "HTTP", "Sent (UTC)", "Took")


def _table_frame(taken: int) -> Html:
    """What page.js fills."""
    states = json.dumps([state.value for state in _STATES_IN_ORDER])
    return join(
        element(
            "noscript",
            element(
                "p",
                "The table of rows needs scripts, which are off here; the results hold all rows.",
            ),
        ),
        element(
            "div",
            element(
                "div",
                element("label", "Search keys, messages, ids and row numbers", for_="search"),
                element(
                    "input", id="search", type="search", autocomplete="off", spellcheck="false"
                ),
                class_="search",
            ),
            element(
                "div", id="filters", class_="filters", role="group", aria_label="Show rows by state"
            ),
            element("p", id="count", role="status", aria_live="polite"),
            element(
                "table",
                element("caption", "Rows of the sheet, in its order", class_="aside"),
                header_row(*_COLUMNS),
                element("tbody", id="body"),
                class_="rows",
            ),
            element("nav", id="pages", aria_label="Pages of rows"),
            id="table",
            hidden="hidden",
            data_states=states,
            data_rows=taken,
            data_shared=_MOST_SHARED_TEXTS,
        ),
    )


def _json_block(name: str, value: object) -> Html:
    return element("script", json_text(value), type="application/json", id=name)
