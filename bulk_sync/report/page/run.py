"""`--page`: the report of a run as one HTML file that loads nothing.

The order is that of use: the verdict, what to do next, the problems, the rows, and how the sending
went. Charts are SVG (`plot`), and a table repeats their data for screen readers.

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
from bulk_sync.report.page.charts import time_section
from bulk_sync.report.page.drawing import Drawing, draw
from bulk_sync.report.page.frame import (
    asset,
    bottom,
    close_page,
    command_block,
    files_table,
    open_page,
    section,
    top,
    verdict_section,
)
from bulk_sync.report.page.markup import Html, element
from bulk_sync.report.page.problems import echoes_section, problems_section
from bulk_sync.report.page.rows import Rows, write_rows
from bulk_sync.report.page.states import states_section
from bulk_sync.report.verdict import Verdict, verdict
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
    open_page(
        file, f"{PurePath(summary.input).name}: {found.sentence}", asset("page.css"), _script()
    )
    file.write(element("a", "Skip to the rows", href="#rows", class_="skip") + "\n")
    file.write(_top(summary, made_at, version) + "\n<main>\n")
    sections = (
        verdict_section(found.tone, found.sentence, found.detail, summary.notes),
        _next_section(summary, found),
        problems_section(summary),
        echoes_section(summary),
        states_section(summary.states, summary.rows),
    )
    file.write("\n".join(filter(None, sections)) + "\n")
    write_rows(file, summary, rows)
    file.write(time_section(summary, drawing))
    file.write(f"\n</main>\n{bottom(version)}\n")
    close_page(file, _script())


@cache
def _script() -> str:
    return asset("common.js") + asset("page.js")


def _top(summary: Summary, made_at: datetime, version: str) -> Html:
    rehearsal = summary.base_url == SANDBOX_TARGET
    target = "a sandbox on this machine (rehearsal)" if rehearsal else summary.base_url
    team = (("Team", str(summary.team)),) if summary.team else ()
    facts = (("Sheet", PurePath(summary.input).name), ("Sent to", target), *team)
    return top("report", facts, made_at, version)


# What to do next


def _next_section(summary: Summary, found: Verdict) -> Html:
    files = (
        ("Results", summary.files.results, "one line for each row"),
        ("To correct", summary.files.failed, "the rows with errors, their cells unchanged"),
        ("Undo", summary.files.undo, "restores the values before"),
        ("Checkpoint", summary.files.checkpoint, "the job; keep it until all rows are done"),
    )
    return section(
        "next",
        "What to do next",
        element("p", found.next_step, class_="step"),
        command_block(found.command),
        files_table(files),
        class_="card",
    )
