"""A sheet staged for a comparison: in this process, or beside it in one of its own.

Reading and checking keep one processor busy. Of two large sheets the other one is staged by
`python -m bulk_sync.run.staging`, which is told the settings on standard input and answers with what
it found, or with the error for the user, on standard output. It ends with the comparison at the
latest.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct

from bulk_sync import errors
from bulk_sync.errors import BulkSyncError
from bulk_sync.job.store import Store
from bulk_sync.run.sheet import OnRows, open_sheet
from bulk_sync.settings.sheet import SheetSettings

_LARGE_BYTES = 2_000_000
"""From about 20,000 rows on, a process of its own gains more than its start costs (half a second).
"""


class Staged(Struct, frozen=True):
    """One side: its rows, the fields that it has columns for (None: only what is there is known),
    what was found.

    `partial` says that --limit left out rows.
    """

    store: Store
    columns: frozenset[str] | None
    notes: tuple[str, ...] = ()
    partial: bool = False


@contextmanager
def staged(settings: SheetSettings, on_rows: OnRows = lambda _: None) -> Iterator[Staged]:
    """A sheet, staged; raises InputError when it is not to be relied on."""
    with Store.scratch() as store:
        yield _stage(settings, store, on_rows)


def is_large(path: Path) -> bool:
    """True for a file that is worth a process of its own."""
    return path.is_file() and path.stat().st_size > _LARGE_BYTES


@contextmanager
def staged_beside(settings: SheetSettings) -> Iterator[Callable[[], Staged]]:
    """Stage a sheet in a process of its own; what is yielded waits for it, and raises as `staged`
    does.
    """
    with TemporaryDirectory(prefix="bulk-sync-") as folder:
        path = Path(folder, "there.sqlite")
        told = {"settings": settings.model_dump(mode="json"), "path": str(path)}
        process = subprocess.Popen(
            [sys.executable, "-m", "bulk_sync.run.staging"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        with process, ExitStack() as opened:
            opened.callback(process.kill)
            assert process.stdin is not None  # noqa: S101 - as Popen was told
            process.stdin.write(json.dumps(told).encode())
            process.stdin.close()
            yield lambda: _answer(process, opened, path)


def _answer(process: subprocess.Popen[bytes], opened: ExitStack, path: Path) -> Staged:
    assert process.stdout is not None  # noqa: S101 - as Popen was told
    text = process.stdout.read()
    if process.wait() != 0:
        raise RuntimeError(f"reading ended with {process.returncode}")
    answer = json.loads(text)
    if "error" in answer:
        raise getattr(errors, answer["error"])(answer["sentence"])
    store = opened.enter_context(Store.scratch(path))
    return Staged(store, frozenset(answer["columns"]), tuple(answer["notes"]), answer["partial"])


def main() -> None:
    """Stage what standard input says."""
    told = json.load(sys.stdin)
    answer: dict[str, object]
    try:
        with Store.scratch(Path(told["path"])) as store:
            found = _stage(SheetSettings(**told["settings"]), store, lambda _: None)
    except BulkSyncError as error:
        answer = {"error": type(error).__name__, "sentence": str(error)}
    else:
        answer = {
            "columns": sorted(found.columns or ()),
            "notes": found.notes,
            "partial": found.partial,
        }
    json.dump(answer, sys.stdout)


def _stage(settings: SheetSettings, store: Store, on_rows: OnRows) -> Staged:
    with open_sheet(settings, on_rows) as sheet:
        found = sheet.stage(store, keep_cells=False)
        store.staged.accept_blank(found.generation)
        refusal = sheet.refusal(store, found.generation)
        if refusal is not None:
            raise refusal
        columns = frozenset(column.field for column in sheet.mapping.columns if column.field)
        notes = (*sheet.notes(), *sheet.assumptions())
        return Staged(
            store,
            columns,
            tuple(f"{settings.reading.input}: {note}" for note in notes),
            found.partial,
        )


if __name__ == "__main__":
    main()
