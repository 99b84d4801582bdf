"""The paths of a command: its argument, its options, and the files named after its sheets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bulk_sync.errors import UsageError
from bulk_sync.run.paths import (
    Identities,
    Use,
    refuse_clashes,
    uses_of_job,
    uses_of_options,
    with_its_files,
)
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


def refuse_overlaps_of_jobs(
    options: Iterable[Declared],
    given: Mapping[str, Any],
    jobs: Iterable[tuple[str, Iterable[Path], Mapping[str, Any]]],
    of_jobs: Iterable[Declared],
) -> None:
    """Refuse a file that would be written and has another use in another job, or in the run.

    `options` and `given` are those of the run; of each job the name, its sheets and folders, and
    its values of the options `of_jobs`. Clashes within a job are its own error, later. Raises
    UsageError.
    """
    seen: dict[object, tuple[str, Use]] = {}
    identities = Identities()
    of_jobs = tuple(of_jobs)
    everyone = [("", list(uses_of_options(options, given)))]
    everyone += [
        (name, [*_uses_of_all(named, values), *uses_of_options(of_jobs, values)])
        for name, named, values in jobs
    ]
    for name, uses in everyone:
        for use in (one for given_use in uses for one in with_its_files(given_use)):
            if use.access is Access.FOLDER or str(use.path) == "-":
                continue
            before, other = seen.setdefault(identities.of(use.path), (name, use))
            # Jobs may share a ledger; a checkpoint is refused with the sheets that would share it.
            shared = {other.access, use.access} == {Access.READ} or (
                other.name == use.name and use.name.startswith(("--ledger", "--checkpoint"))
            )
            if before != name and not shared:
                raise UsageError(
                    f"{use.path}: {_of(other.name, before)} and {_of(use.name, name)} can't be the "
                    "same file; name another."
                )


def _uses_of_all(named: Iterable[Path], values: Mapping[str, Any]) -> Iterator[Use]:
    fields = frozenset({"undo_file"})
    for path in named:
        yield from _uses_of_sheets(path, fields, values)


def _of(use: str, job: str) -> str:
    return f"{use} of {job}" if job else use
