"""`--page`: the report of a run as one HTML file that loads nothing.

uPlot draws the charts (1.6.32, MIT, 51 KB, shipped unchanged in `assets`). It is small and
maintained, and adapts to the width of a phone and the system's colours, where the labels of a
static SVG would become too small to read. A table repeats all of its data, for screen readers and
browsers without scripts.

Texts from the sheet and the server are escaped (`markup`), or are JSON that the page's script
reads as text, never as markup. A Content-Security-Policy allows that script and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from pathlib import Path, PurePath
from typing import TextIO

from bulk_sync.address import SANDBOX_TARGET
from bulk_sync.model.rows import State
from bulk_sync.model.summaries import Summary
from bulk_sync.recognise import Output
from bulk_sync.report.page.charts import Drawing, draw, drawing_data, time_section
from bulk_sync.report.page.frame import (
    asset,
    bottom,
    close_page,
    header_row,
    open_page,
    section,
    swatch,
    top,
    verdict_section,
)
from bulk_sync.report.page.markup import Html, element, json_text
from bulk_sync.report.page.problems import echoes_section, problems_section
from bulk_sync.report.page.rows import Rows, write_rows
from bulk_sync.report.verdict import Tone, Verdict, verdict
from bulk_sync.report.words import STATES
from bulk_sync.report.written.atomic import replacing
from bulk_sync.timeline import Run


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
    with replacing(path, Output.PAGE) as file:
        _write(file, summary, draw(runs), rows, made_at, version)


def _write(
    file: TextIO,
    summary: Summary,
    drawing: Drawing | None,
    rows: Rows,
    made_at: datetime,
    version: str,
) -> None:
    found = verdict(summary)
    open_page(file, f"{PurePath(summary.input).name}: {found.sentence}", _style(), _script())
    file.write(element("a", "Skip to the rows", href="#rows", class_="skip") + "\n")
    file.write(_top(summary, made_at, version) + "\n<main>\n")
    sections = (
        _verdict_section(summary, found),
        _states_section(summary),
        time_section(summary, drawing),
        problems_section(summary),
        echoes_section(summary),
        _next_section(summary, found),
    )
    file.write("\n".join(filter(None, sections)))
    write_rows(file, summary, rows)
    file.write(f"</main>\n{bottom(version, 'Charts: uPlot, © Leon Sorokin, MIT License.')}\n")
    if drawing is not None:
        data = json_text(drawing_data(drawing))
        file.write(element("script", data, type="application/json", id="drawing") + "\n")
    close_page(file, _script())


@cache
def _script() -> str:
    """Return uPlot and the page's own script."""
    library = asset("uPlot.iife.min.js")
    # Shadow devicePixelRatio, so that uPlot draws at twice the resolution of most screens: the
    # charts stay sharp in print.
    fine = "Math.max(2, self.devicePixelRatio || 1)"
    wrapped = f"(devicePixelRatio => {{\n{library}\nreturn uPlot;\n}})({fine})"
    return f"const uPlot = {wrapped};\n{asset('page.js')}"


@cache
def _style() -> str:
    return asset("uPlot.min.css") + asset("page.css")


def _top(summary: Summary, made_at: datetime, version: str) -> Html:
    rehearsal = summary.base_url == SANDBOX_TARGET
    target = "a sandbox on this machine (rehearsal)" if rehearsal else summary.base_url
    team = (("Team", str(summary.team)),) if summary.team else ()
    facts = (("Sheet", PurePath(summary.input).name), ("Sent to", target), *team)
    return top("report", facts, made_at, version)


def _verdict_section(summary: Summary, found: Verdict) -> Html:
    link = None
    if found.tone is not Tone.GOOD:
        link = element("p", element("a", "What to do next", href="#next"))
    return verdict_section(found.tone, found.sentence, found.detail, summary.notes, link)


# States


# The smallest share of the bar, so that one row in a million is visible.
_LEAST_SHARE = 0.008

# SVG patterns for states that need attention, because colour alone is not accessible.
_HATCHING = {
    "invalid": "M0 4h8",
    "rejected": "M-2 2l4-4M0 8l8-8M6 10l4-4",
    "failed": "M-2 2l4-4M0 8l8-8M6 10l4-4M-2 6l4 4M0 0l8 8M6-2l4 4",
    "pending": "M2 4h2",
}


def _states_section(summary: Summary) -> Html:
    counts = [(state, summary.states[state]) for state in STATES if summary.states.get(state, 0)]
    if not counts:
        return section("states", "Rows by state", element("p", "No rows."), class_="card")
    listed = ", ".join(f"{count:,} {state.value}" for state, count in counts)
    lines = (
        element(
            "tr",
            element("th", swatch(f"s-{state.value}"), element("span", state.value), scope="row"),
            element("td", f"{count:,}", class_="number"),
            element("td", _percent(count, summary.rows), class_="number"),
            element("td", STATES[state].meaning, class_="what"),
        )
        for state, count in counts
    )
    table = element(
        "table",
        element("caption", "Rows by state", class_="aside"),
        header_row("State", "Rows", "Share", "Meaning"),
        element("tbody", *lines),
        class_="states",
    )
    bar = _bar(counts, f"Rows by state: {listed}.")
    return section("states", "Rows by state", bar, table, class_="card")


def _percent(count: int, total: int) -> str:
    share = 100 * count / total
    if 0 < share < 0.1:
        return "<0.1 %"
    return f"{min(share, 99.9) if count < total else 100:.1f} %"


def _bar(counts: Sequence[tuple[State, int]], label: str) -> Html:
    """Return the shares of the states as one bar."""
    total = sum(count for _, count in counts)
    shares = [max(count / total, _LEAST_SHARE) for _, count in counts]
    starts, end = [], 0.0
    for share in shares:
        starts.append(end)
        end += share
    pieces = (
        element(
            "rect",
            x=f"{start / end:.4%}",
            width=f"{share / end:.4%}",
            height="100%",
            class_=f"piece s-{state.value}",
        )
        for (state, _), start, share in zip(counts, starts, shares, strict=True)
    )
    return element(
        "svg",
        element("title", label),
        element("defs", *map(_pattern, _HATCHING)),
        *pieces,
        class_="bar",
        role="img",
        aria_label=label,
    )


def _pattern(name: str) -> Html:
    return element(
        "pattern",
        element("rect", width=8, height=8, class_=f"ground-{name}"),
        element("path", d=_HATCHING[name], class_="lines"),
        id=f"p-{name}",
        width=8,
        height=8,
        patternUnits="userSpaceOnUse",
    )


# What to do next


def _next_section(summary: Summary, found: Verdict) -> Html:
    files = (
        ("Results", summary.files.results, "one line for each row"),
        ("To correct", summary.files.failed, "the rows with errors, their cells unchanged"),
        ("Undo", summary.files.undo, "restores the values before"),
        ("Checkpoint", summary.files.checkpoint, "the job; keep it until all rows are done"),
    )
    lines = (
        element(
            "tr",
            element("th", name, scope="row"),
            element("td", element("code", element("bdi", PurePath(path).name))),
            element("td", meaning, class_="what"),
        )
        for name, path, meaning in files
        if path
    )
    command = found.command and element("pre", element("code", found.command), tabindex=0)
    return section(
        "next",
        "What to do next",
        element("p", found.next_step, class_="step"),
        command,
        element("h3", "Files"),
        element(
            "table",
            element("caption", "Files of this job", class_="aside"),
            element("tbody", *lines),
            class_="files",
        ),
        class_="card",
    )
