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
from bulk_sync.model.summaries import Summary
from bulk_sync.recognise import Output
from bulk_sync.report.page.charts import Drawing, draw, drawing_data, is_charted, time_section
from bulk_sync.report.page.frame import (
    asset,
    bottom,
    close_page,
    open_page,
    section,
    top,
    verdict_section,
)
from bulk_sync.report.page.markup import Html, element, json_text
from bulk_sync.report.page.problems import echoes_section, problems_section
from bulk_sync.report.page.rows import Rows, write_rows
from bulk_sync.report.page.states import states_section
from bulk_sync.report.verdict import Tone, Verdict, verdict
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
        states_section(summary.states, summary.rows),
        time_section(summary, drawing),
        problems_section(summary),
        echoes_section(summary),
        _next_section(summary, found),
    )
    file.write("\n".join(filter(None, sections)))
    write_rows(file, summary, rows)
    file.write(f"</main>\n{bottom(version, 'Charts: uPlot, © Leon Sorokin, MIT License.')}\n")
    if drawing is not None and is_charted(drawing):
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
