"""Open a path as a table, by the file's content; its name is no evidence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bulk_sync.errors import InputError
from bulk_sync.read.delimited import DelimitedTable
from bulk_sync.read.interface import ReadOptions, Table
from bulk_sync.read.kinds import HEAD_BYTES, WORKBOOK_KINDS, kind_of, refusal
from bulk_sync.read.opened import opened


@contextmanager
def open_table(path: Path, options: ReadOptions) -> Iterator[Table]:
    """Open a sheet; raises InputError when it can't be used, UsageError for a wrong option."""
    with opened(path) as file:
        kind = kind_of(file.read(HEAD_BYTES))
        if kind in WORKBOOK_KINDS:
            # Here, because its libraries take longer to import than a small CSV to read.
            from bulk_sync.read.workbook import workbook_in

            yield workbook_in(file, path, options)
            return
        sentence = refusal(kind)
        if sentence is not None:
            raise InputError(f"{path}: {sentence}")
        yield DelimitedTable(file, path, options)
