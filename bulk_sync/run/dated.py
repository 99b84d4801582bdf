"""Names of outputs with the date and time of a run: `--results 'showings.{date}.csv'`.

A run gives its outputs the date on which it began, in the machine's zone, so that one that goes on
with a job on another day has files of its own. The checkpoint keeps these names from the start:
`status` and `report` are about the files of the last run, whatever day it is by now.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import replace

from bulk_sync.clock import Clock
from bulk_sync.errors import BulkSyncError
from bulk_sync.job.store import Store
from bulk_sync.model.names import dated_name, is_dated, matches_dated
from bulk_sync.settings.files import Files
from bulk_sync.settings.outputs import JobFiles
from bulk_sync.settings.push import PushSettings
from bulk_sync.settings.reconcile import ReconcileSettings

_S = TypeVar("_S", PushSettings, ReconcileSettings)
_F = TypeVar("_F", bound=JobFiles)

_FIELDS = ("results", "page")


def dated(settings: _S, clock: Clock) -> _S:
    """Return the settings of a run that begins now, with the names that its outputs get."""
    at = clock.now().astimezone()
    names: dict[str, Any] = {
        name: dated_name(path, at) for name, path in _patterns(settings.outputs)
    }
    return settings.model_copy(update={"outputs": dataclasses.replace(settings.outputs, **names)})


def note_names(store: Store, files: Files) -> None:
    """Record the names of a run's outputs, before it writes them."""
    store.database.note_output("results", files.results)
    if files.page is not None:
        store.database.note_output("page", files.page)


def as_last_named(files: Files, given: JobFiles) -> Files:
    """Return the files of a job, those that no option names as the last run named them."""
    names: dict[str, Any] = {}
    for name in _FIELDS:
        default: Path | None = getattr(files, name)
        known, _ = _last_run(files.checkpoint, name)
        is_named = getattr(given, name, None) is not None
        if known and not is_named and (default is None or known[0] != default.absolute()):
            names[name] = _short(known[0])
    return replace(files, **names)


def of_last_run(outputs: _F, checkpoint: Path, clock: Clock) -> _F:
    """Return the outputs with the names that they had in the job's last run.

    Those that it did not have get the date on which it began; without a run, that of today.
    """
    names: dict[str, Any] = {}
    for name, path in _patterns(outputs):
        known, at = _last_run(checkpoint, name)
        found = next((one for one in known if matches_dated(path.absolute(), one)), None)
        moment = (at or clock.now()).astimezone()
        names[name] = path.with_name(found.name) if found else dated_name(path, moment)
    return dataclasses.replace(outputs, **names)


def _last_run(checkpoint: Path, name: str) -> tuple[list[Path], datetime | None]:
    """Return the names that an output had, the last one first, and the start of the last run."""
    try:
        with Store.read(checkpoint) as store:
            runs = store.views.runs()
            began = datetime.fromisoformat(runs[-1].began) if runs else None
            return store.database.outputs(name), began
    except (BulkSyncError, OSError):  # whoever needs the checkpoint says why
        return [], None


def _patterns(outputs: JobFiles) -> Iterator[tuple[str, Path]]:
    for name in _FIELDS:
        path = getattr(outputs, name, None)
        if path is not None and is_dated(path):
            yield name, path


def _short(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
