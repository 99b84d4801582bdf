"""One side of a comparison: a sheet, staged in this process or in a child process.

Reading and checking keep one core busy, so the second of two large sheets is staged by
`python -m bulk_sync.run.side`. It reads the settings from standard input and writes its findings,
or the error for the user, to standard output. It is killed if the comparison ends first.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from msgspec import Struct

from bulk_sync import errors
from bulk_sync.check.showing import REPORT_COLUMN
from bulk_sync.child import start_module
from bulk_sync.errors import BulkSyncError
from bulk_sync.job.store import Store
from bulk_sync.model.comparison import LedgerSide
from bulk_sync.run.findings import Role, assumptions_of, notes_on, refusal_of
from bulk_sync.run.rows import stage_rows
from bulk_sync.run.sheet import OnRows, open_sheet
from bulk_sync.scratch import scratch_folder
from bulk_sync.settings.sheet import SheetSettings

# About 20,000 rows: staging them takes longer than starting a process (half a second).
_LARGE_BYTES = 2_000_000


class StagedSide(Struct, frozen=True):
    """A staged sheet: its rows, the fields that its columns fill, and notes for the user.

    `columns` None is the ledger, which has only the fields that were acknowledged. `left_out`
    counts the rows that were left out by choice. `ledger` says which ledger it is. `ignored` has
    the headers of columns that fill no field.
    """

    store: Store
    columns: frozenset[str] | None
    notes: tuple[str, ...] = ()
    left_out: int = 0
    ledger: LedgerSide | None = None
    ignored: tuple[str, ...] = ()


@contextmanager
def staged_side(
    settings: SheetSettings, on_rows: OnRows = lambda _: None, *, role: Role, folder: Path
) -> Iterator[StagedSide]:
    """Stage a sheet, in `folder` where the system keeps no temporary files.

    Raises InputError when it can't be used.
    """
    with Store.scratch(otherwise=folder) as store:
        yield _stage(settings, store, on_rows, role, folder)


def is_large(path: Path) -> bool:
    """Return True for a file that is worth a child process."""
    return path.is_file() and path.stat().st_size > _LARGE_BYTES


@contextmanager
def staged_in_child(
    settings: SheetSettings, folder: Path | None = None
) -> Iterator[Callable[[], StagedSide]]:
    """Stage a sheet in a child process; yield a function that waits for it.

    `folder` is used where the system keeps no temporary files. The function raises as
    `staged_side` does.
    """
    with scratch_folder(otherwise=folder) as made:
        path = made / "there.sqlite"
        request = {"settings": settings.model_dump(mode="json"), "path": str(path)}
        try:
            process = start_module("bulk_sync.run.side")
        except OSError:  # no more processes are allowed: it only takes longer
            with ExitStack() as opened:
                yield lambda: opened.enter_context(
                    staged_side(settings, role=Role.OTHER, folder=made)
                )
            return
        with process, ExitStack() as opened:
            opened.callback(process.kill)
            assert process.stdin is not None  # noqa: S101 - it is a pipe
            process.stdin.write(json.dumps(request).encode())
            process.stdin.close()
            yield lambda: _wait_for(process, opened, path)


def _wait_for(process: subprocess.Popen[bytes], opened: ExitStack, path: Path) -> StagedSide:
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    text = process.stdout.read()
    if process.wait() != 0:
        raise RuntimeError(f"the child that stages a sheet ended with {process.returncode}")
    answer = json.loads(text)
    if "error" in answer:
        raise getattr(errors, answer["error"])(answer["sentence"])
    store = opened.enter_context(Store.scratch(path))
    return StagedSide(
        store,
        frozenset(answer["columns"]),
        tuple(answer["notes"]),
        answer["left_out"],
        ignored=tuple(answer["ignored"]),
    )


def main() -> None:
    """Stage the sheet that standard input describes."""
    request = json.load(sys.stdin)
    answer: dict[str, object]
    try:
        with Store.scratch(Path(request["path"])) as store:
            settings = SheetSettings(**request["settings"])
            found = _stage(settings, store, lambda _: None, Role.OTHER)
    except BulkSyncError as error:
        answer = {"error": type(error).__name__, "sentence": str(error)}
    else:
        answer = {
            "columns": sorted(found.columns or ()),
            "notes": found.notes,
            "left_out": found.left_out,
            "ignored": found.ignored,
        }
    json.dump(answer, sys.stdout)


def _stage(
    settings: SheetSettings,
    store: Store,
    on_rows: OnRows,
    role: Role,
    folder: Path | None = None,
) -> StagedSide:
    with open_sheet(settings.reading, settings.meaning, folder) as sheet:
        rows = stage_rows(sheet, store, on_rows, keep_cells=False)
        store.staged.drop_left_out()
        # A row of blanks is an error in a push, but a comparison compares blank cells, too.
        store.staged.accept_blank(rows.generation)
        most = settings.stopping.max_problems
        refusal = refusal_of(sheet, store, rows.generation, most, role=role)
        if refusal is not None:
            raise refusal
        fields = {column.field for column in sheet.mapping.filling if column.field}
        columns = frozenset(fields - {REPORT_COLUMN})  # a patch can't change it
        source = settings.reading.input
        noted = (*notes_on(sheet, role=role), *assumptions_of(sheet))
        notes = (f"{source}: {note}" for note in noted)
        ignored = tuple(sheet.mapping.ignored)
        return StagedSide(store, columns, tuple(notes), rows.left_out, ignored=ignored)


if __name__ == "__main__":
    main()
