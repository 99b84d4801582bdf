"""Push or check several sheets in one run, and move finished ones away.

Invariants:
- A file in a folder is taken only if nothing was written to it for a while.
- No file is pushed before all were read.
- Each file has its own checkpoint and results, so a failed push never affects another file.
- A file is moved only if its run ends with 0 (all of its rows are settled) and it is still the
  file that was read. Files that have showings in common are moved together, in an order in which
  a run of those that are left sends no older value: see `_Archive`.
- Moving never overwrites a file; see `run.archive`.

Rows of one showing in several files: see `run.several`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from datetime import datetime
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from bulk_sync.clock import Clock
from bulk_sync.errors import BulkSyncError, InputError, OutputError, UsageError
from bulk_sync.model.summaries import (
    Batch,
    CheckedBatch,
    CheckedPart,
    CheckSummary,
    Part,
    Summary,
)
from bulk_sync.plan import OnDuplicate
from bulk_sync.platforms import why_refused
from bulk_sync.run.archive import archived, identity, refuse_archive, settle
from bulk_sync.run.paths import Use, identity_of, refuse_clashes, uses_of_job
from bulk_sync.run.rows import Judgement
from bulk_sync.run.send import End, ending_at
from bulk_sync.run.several import Judged, judged_together
from bulk_sync.run.sheet import OnRows
from bulk_sync.settings.inbox import Inbox
from bulk_sync.settings.option import Access
from bulk_sync.settings.outputs import Outputs
from bulk_sync.settings.push import PushSettings
from bulk_sync.settings.sheet import SheetSettings
from bulk_sync.wording import counted

_log = logging.getLogger("bulk_sync.run")

_ENDINGS = frozenset({".csv", ".tsv", ".txt", ".xlsx", ".xlsm", ".xls", ".xlsb", ".ods", ".fods"})
# What precedes the suffix of a file that the program wrote, or of an edited one that it kept.
_OURS = (".results", ".failed", ".changes", ".undo", ".unknown", ".edited", ".kept")


# Exit codes that end the whole run, because the next file would end the same way.
_END_ALL = frozenset({129, 130, 143, 5, 6, 8})


Push = Callable[[PushSettings, Judgement | None], Summary]
"""Pushes one file, with what was decided about its rows among all files of the run."""

Check = Callable[[SheetSettings, Judgement | None], CheckSummary]
"""Checks one file, with the same."""

Reading = Callable[[str], AbstractContextManager[OnRows]]
"""Follows the reading of files under a name; the function that it gives gets the rows so far."""


Ask = Callable[[Sequence[tuple[PushSettings, Judged]], End], End]
"""Called when all files are read and nothing is sent; returns when the run has to end."""


class Inputs(Struct, frozen=True):
    """The sheets to push, and the unsettled ones, which may still be being written."""

    files: tuple[Path, ...]
    unsettled: tuple[Path, ...]


def inputs_of(named: Sequence[Path], settle_seconds: float, now: datetime) -> Inputs:
    """Return the named files, and the sheets in named folders, sorted by name.

    A named file is taken even if it is not settled. Raises UsageError for a file that is named
    twice, InputError for a folder that can't be read.
    """
    files: list[Path] = []
    unsettled: list[Path] = []
    for path in named:
        if not is_folder(path):
            files.append(path)
            continue
        try:
            found = sorted(one for one in path.iterdir() if is_sheet(one))
        except OSError as error:
            raise InputError(f"{path}: {why_refused(error)}") from None
        for one in found:
            (files if _is_settled(one, settle_seconds, now) else unsettled).append(one)
    seen: dict[Path, Path] = {}
    for path in files:
        other = seen.setdefault(path.resolve(), path)
        if other is not path:
            raise UsageError(f"{path}: named twice")
    return Inputs(tuple(files), tuple(unsettled))


def prepare_archive(named: Sequence[Path], archive: Path | None, clock: Clock) -> None:
    """Refuse an archive that can't be used, and end moves that were killed in earlier runs.

    Raises UsageError, OutputError.
    """
    if archive is not None:
        refuse_archive(archive, named)
    homes = {path if is_folder(path) else path.parent for path in named if str(path) != "-"}
    for home in sorted(homes):
        for sentence in settle(home, archive, clock.now()):
            _log.info("%s", sentence, extra={"event": "note"})


def is_folder(path: Path) -> bool:
    """Return True for a folder; a path that can't be examined counts as a file."""
    try:
        return path.is_dir()
    except OSError:  # the push of the file reports why
        return False


def is_sheet(path: Path) -> bool:
    """Return True for a file of a folder that is pushed: its name is neither ours nor hidden."""
    # By the suffixes before the last: x.results.csv, but not results.csv.
    ours = any(ending in path.suffixes[:-1] for ending in _OURS)
    hidden = path.name.startswith((".", "~$"))  # ~$ is Excel's lock file of an open workbook
    if path.suffix.lower() not in _ENDINGS or ours or hidden:
        return False
    try:
        return path.is_file()
    except OSError:  # the push of the file reports why
        return True


def _is_settled(path: Path, seconds: float, now: datetime) -> bool:
    """Return True when the content has not changed for `seconds`."""
    try:
        found = path.stat()
    except OSError:
        return False
    # A copy that keeps its modification time (cp -p, rsync -t) still has a new ctime.
    return max(found.st_mtime, found.st_ctime) <= now.timestamp() - seconds


def run(
    named: Sequence[Path],
    settings: PushSettings,
    inbox: Inbox,
    push: Push,
    clock: Clock,
    reading: Reading = lambda _: nullcontext(lambda _: None),
    ask: Ask = lambda _, end: end,
) -> Batch:
    """Push the named files, and those of named folders, one after the other, within one deadline.

    `settings` are those of all files but for the input; `reading` follows the reading of all files
    before the first is pushed. `ask` is called then, and an error of it ends the run. Raises
    UsageError when two files would write the same one, InputError for a folder that can't be read.
    """
    refuse_options_of_one_sheet(named, settings, settings.outputs)
    end = End.of(settings.stopping, clock)
    prepare_archive(named, inbox.archive, clock)
    inputs = inputs_of(named, inbox.settle_seconds, clock.now())
    all_settings = [settings.changed(input=file) for file in inputs.files]
    _refuse_shared_names((one.reading.input, one.files.checkpoint) for one in all_settings)
    refuse_clashes(use for one in all_settings for use in _uses_of(one))
    parts: list[Part] = []
    archive = _Archive(inbox.archive, inputs.files, settings.meaning.on_duplicate, clock)
    with ExitStack() as opened:
        with reading(counted(len(all_settings), "file")) as on_rows:
            all_judged = opened.enter_context(judged_together(all_settings, on_rows))
        last_of = {judged.circle: place for place, judged in enumerate(all_judged)}
        sheets = [*zip(all_settings, all_judged, strict=True)]
        end = ask(sheets, end)
        for place, (one, judged) in enumerate(sheets):
            if any(part.exit_code in _END_ALL for part in parts):
                parts.append(Part(str(one.reading.input), unsent=judged.rows))
                continue
            # One deadline for all files: each push gets what is left of it.
            parts.append(_part(ending_at(one, end.at, clock), judged, push))
            if last_of[judged.circle] == place:
                circle = [
                    at for at, other in enumerate(all_judged) if other.circle == judged.circle
                ]
                archive.take(circle, parts)
    return Batch(tuple(parts), inputs.unsettled, inbox.settle_seconds)


def check(
    named: Sequence[Path],
    settings: SheetSettings,
    inbox: Inbox,
    check: Check,
    checkpoint_of: Callable[[Path], Path],
    clock: Clock,
    reading: Reading = lambda _: nullcontext(lambda _: None),
) -> CheckedBatch:
    """Check the named files, and those of named folders, as `run` would push them.

    `checkpoint_of` returns the path of a file's checkpoint. Raises as `run` does.
    """
    refuse_options_of_one_sheet(named, settings)
    inputs = inputs_of(named, inbox.settle_seconds, clock.now())
    _refuse_shared_names((file, checkpoint_of(file)) for file in inputs.files)
    all_settings = [settings.changed(input=file) for file in inputs.files]
    parts = []
    with ExitStack() as opened:
        with reading(counted(len(all_settings), "file")) as on_rows:
            all_judged = opened.enter_context(judged_together(all_settings, on_rows))
        for one, judged in zip(all_settings, all_judged, strict=True):
            file = str(one.reading.input)
            if judged.error is not None:
                parts.append(CheckedPart(file, error=judged.error))
                continue
            try:
                parts.append(CheckedPart(file, check(one, judged.judgement)))
            except (InputError, UsageError) as error:
                parts.append(CheckedPart(file, error=error))
    return CheckedBatch(tuple(parts), inputs.unsettled, inbox.settle_seconds)


def _part(settings: PushSettings, judged: Judged, push: Push) -> Part:
    file = str(settings.reading.input)
    if judged.error is not None:
        return Part(file, error=judged.error)
    try:
        return Part(file, push(settings, judged.judgement))
    except BulkSyncError as error:
        return Part(file, error=error)


class _Archive:
    """Moves finished files away, those that have showings in common all together or not at all.

    A later run of some of them alone would send rows that gave way to those of the others: an older
    value, or one without what was merged into it. So the row that was sent is moved last: a run
    that is cut off in between leaves it in place.
    """

    def __init__(
        self, folder: Path | None, files: Sequence[Path], policy: OnDuplicate, clock: Clock
    ) -> None:
        self._folder = folder
        self._files = files
        self._before = [identity(file) for file in files]
        self._first_is_sent = policy == "error"
        self._clock = clock

    def take(self, circle: Sequence[int], parts: list[Part]) -> None:
        """Move these files, by their places, if all are finished; note in their parts what became
        of them.
        """
        if self._folder is None:
            return
        left = [at for at in circle if (done := parts[at].summary) is None or not done.is_finished]
        changed = [at for at in circle if identity(self._files[at]) != self._before[at]]
        for at in sorted(circle, reverse=self._first_is_sent):
            others = [other for other in (*left, *changed) if other != at]
            if at in left:
                continue
            if others:
                note = (
                    f"{self._files[at]} was not moved to {self._folder}: it has showings in common "
                    f"with {self._files[others[0]]}, which is not finished"
                )
                parts[at] = replace(parts[at], note=note)
                continue
            try:
                note = archived(
                    self._files[at],
                    self._folder,
                    self._before[at],
                    parts[at].digest,
                    self._clock.now(),
                )
            except OutputError as error:
                parts[at] = replace(parts[at], error=error)
                return
            parts[at] = replace(parts[at], note=note)


def refuse_options_of_one_sheet(
    named: Sequence[Path], settings: SheetSettings, outputs: Outputs | None = None
) -> None:
    """Refuse options that can be about one sheet only, if there may be several.

    Raises UsageError.
    """
    if len(named) == 1 and not is_folder(named[0]):
        return
    if outputs is not None:
        _refuse_names_of_one_file(outputs)
    if settings.reading.rows:
        raise UsageError(
            "--rows names the rows of one sheet, and there are several: choose rows by what they "
            "show, with --where"
        )
    if any(str(path) == "-" for path in named):
        raise UsageError("- is a sheet from standard input, which can't be one of several")


def _refuse_names_of_one_file(outputs: Outputs) -> None:
    """Refuse options by which all sheets would write the same file; raises UsageError."""
    named = {
        "--results": outputs.results,
        "--page": outputs.page,
        "--checkpoint": outputs.checkpoint,
        "--undo-file": outputs.undo_file,
    }
    for option, path in named.items():
        if path is not None:
            raise UsageError(
                f"{option} names one file, and several sheets are pushed: name a folder with --out"
            )


def _uses_of(settings: PushSettings) -> Iterator[Use]:
    """Yield the files of one of several sheets: another sheet may be named like a result of it."""
    sheet = settings.reading.input
    yield Use(str(sheet), sheet, Access.READ)
    for use in uses_of_job(settings.files):
        yield Use(f"{use.name} of {sheet}", use.path, use.access)


def _refuse_shared_names(checkpoints: Iterable[tuple[Path, Path]]) -> None:
    """Raise UsageError for two sheets with one checkpoint."""
    seen: dict[object, Path] = {}
    for source, checkpoint in checkpoints:
        other = seen.setdefault(identity_of(checkpoint), source)
        if other != source:
            raise UsageError(
                f"{other} and {source} would share {checkpoint}: push them in two runs"
            )
