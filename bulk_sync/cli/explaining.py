"""`bulk-sync explain`: everything known of one row. Sends nothing and needs no key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bulk_sync.batch import is_folder
from bulk_sync.cli.collector import start_collector
from bulk_sync.cli.commands import files_of, is_sqlite
from bulk_sync.cli.parts import Following, OneRow
from bulk_sync.cli.streams import err, out, standard_output
from bulk_sync.errors import UsageError
from bulk_sync.explain import Wanted, explain, explain_kept
from bulk_sync.model.explained import Explanation
from bulk_sync.report.terminal.progress import reading as reading_rows
from bulk_sync.settings.composed import part
from bulk_sync.settings.sheet import SheetSettings


def explain_row(given: Mapping[str, Any]) -> int:
    """Explain the rows with a number or a key; return the exit code."""
    from bulk_sync.report.terminal.explained import show_explanation, show_explanation_json

    start_collector()
    found = _explained(given)
    show = show_explanation_json if part(Following, given).json else show_explanation
    with standard_output():
        show(out(), found)
    return 0


def _explained(given: Mapping[str, Any]) -> Explanation:
    file: Path = given["file"]
    wanted = _wanted(part(OneRow, given))
    if str(file) == "-":
        raise UsageError(
            "explain needs the name of the sheet or of its checkpoint, because standard input "
            "can't be looked up again: save it in a file first"
        )
    if is_folder(file):
        raise UsageError(f"{file}: explain is about a row of one sheet, and this is a folder")
    checkpoint = files_of(given).checkpoint
    if is_sqlite(file):
        return explain_kept(checkpoint, wanted)
    settings = SheetSettings.of(given, input=file)
    with reading_rows(err(), str(file)) as on_rows:
        return explain(settings, wanted, checkpoint, on_rows)


def _wanted(one: OneRow) -> Wanted:
    if (one.row is None) == (one.key is None):
        raise UsageError("name the row with either --row N or --key KEY")
    if one.key is not None and not one.key.strip():
        raise UsageError("--key: a blank key names no row; --row N names one without a key")
    return Wanted(one.row, (one.key or "").strip())
