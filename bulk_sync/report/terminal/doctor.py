"""The settings and findings of `doctor` on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bulk_sync.model.summaries import Finding
from bulk_sync.report.as_json import doctor_json, json_line
from bulk_sync.report.words import printable

_STYLES = {"well": "green", "notice": "yellow", "wrong": "red"}


def show_findings(
    console: Console, settings: Sequence[tuple[str, str, str]], findings: Sequence[Finding]
) -> None:
    """Print settings (name, value, source), defaults dimmed, then the findings."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("setting", "value", "from"):
        table.add_column(heading, overflow="fold")
    for name, value, source in settings:
        style = "dim" if source == "default" else ""
        table.add_row(*(Text(printable(text), style=style) for text in (name, value, source)))
    console.print(table)
    console.print()
    for found in findings:
        line = Text(f"{found.standing:<7}", style=_STYLES[found.standing]) + Text(
            f"{found.about}: {printable(found.text)}", style="default"
        )
        console.print(line, soft_wrap=True)


def show_findings_json(
    console: Console, settings: Sequence[tuple[str, str, str]], findings: Sequence[Finding]
) -> None:
    """Print the same as one JSON object."""
    console.file.write(json_line(doctor_json(settings, findings)))
