"""The findings and settings of `doctor` on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bulk_sync.model.summaries import Finding
from bulk_sync.report.as_json import doctor_json, json_line
from bulk_sync.report.terminal.lines import show_line
from bulk_sync.report.words import printable

_STYLES = {"well": "green", "notice": "yellow", "wrong": "red"}


def show_findings(
    console: Console,
    settings: Sequence[tuple[str, str, str]],
    findings: Sequence[Finding],
    *,
    all_settings: bool = False,
) -> None:
    """Print the findings, then the settings (name, value, source) that are no default, or all."""
    for found in findings:
        line = Text(f"{found.standing:<7}", style=_STYLES[found.standing]) + Text(
            f"{found.about}: {printable(found.text)}", style="default"
        )
        console.print(line, soft_wrap=True)
    console.print()
    shown = [one for one in settings if all_settings or one[2] != "default"]
    if shown:
        _show_settings(console, shown)
    if defaults := len(settings) - len(shown):
        have = "setting has its" if defaults == 1 else "settings have their"
        others = "other " if shown else ""
        text = f"{defaults:,} {others}{have} default; -v shows all"
        show_line(console, text, style="dim")


def _show_settings(console: Console, settings: Sequence[tuple[str, str, str]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("setting", "value", "from"):
        table.add_column(heading, overflow="fold")
    for name, value, source in settings:
        style = "dim" if source == "default" else ""
        table.add_row(*(Text(printable(text), style=style) for text in (name, value, source)))
    console.print(table)


def show_findings_json(
    console: Console, settings: Sequence[tuple[str, str, str]], findings: Sequence[Finding]
) -> None:
    """Print the same as one JSON object."""
    console.file.write(json_line(doctor_json(settings, findings)))
