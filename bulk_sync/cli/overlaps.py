"""The paths of a command: its argument, its options, and the files named after its sheets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bulk_sync.run.paths import Use, refuse_clashes, uses_of_job, uses_of_options
from bulk_sync.settings.files import Files
from bulk_sync.settings.option import Access, Declared


def refuse_overlaps(
    options: Iterable[Declared],
    given: Mapping[str, Any],
    config: Path | None,
    *,
    reads_sheets: bool,
) -> None:
    """Refuse a file that would be written and has another use in the command.

    `given` are the values by keyword, `config` is the file of --config. Raises UsageError,
    OutputError for a name that is too long.
    """
    options = tuple(options)
    uses = list(uses_of_options(options, given))
    if config is not None:
        uses.append(Use("--config", config, Access.READ))
    if not any(use.access in {Access.WRITTEN, Access.DATABASE} for use in uses):
        refuse_clashes(uses)  # names that are too long
        return
    if reads_sheets:
        named = given.get("files") or [given["file"]]
        fields = frozenset(one.field for one in options)
        uses[:0] = [use for one in named for use in _uses_of_sheets(one, fields, given)]
    refuse_clashes(uses)


def _uses_of_sheets(named: Path, fields: frozenset[str], given: Mapping[str, Any]) -> Iterator[Use]:
    if str(named) == "-":
        return
    sheets = [named]
    if named.is_dir():
        from bulk_sync.batch import is_sheet  # late, because few commands get a folder

        with suppress(OSError):
            sheets = [path for path in named.iterdir() if is_sheet(path)]
    for sheet in sheets:
        yield Use("the input" if sheet is named else str(sheet), sheet, Access.READ)
        yield from _uses_of_job(sheet, fields, given)


def _uses_of_job(sheet: Path, fields: frozenset[str], given: Mapping[str, Any]) -> Iterator[Use]:
    out = given.get("out")
    files = Files.of(
        sheet, out=out, results=given.get("results"), checkpoint=given.get("checkpoint")
    )
    yield from uses_of_job(files, with_reports="undo_file" in fields)
    if given.get("push"):
        changes = Files.named_after(sheet, "changes.csv", out=out)
        yield Use("the changes", changes, Access.WRITTEN)
