"""Open a sheet, map its header and check its rows, for `push`, `check` and `reconcile`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from bulk_sync.check.findings import Findings
from bulk_sync.check.headers import HeaderMap, Names, map_headers, recognise
from bulk_sync.check.rows import Checker
from bulk_sync.check.showing import REPORT_COLUMN
from bulk_sync.check.verdicts import findings_about
from bulk_sync.errors import UsageError
from bulk_sync.model.findings import ColumnFinding
from bulk_sync.model.rows import Problem, Record, Row
from bulk_sync.read.files import open_table
from bulk_sync.read.interface import ReadOptions, Table
from bulk_sync.run.cell_rules import digest_of_settings, rules_of
from bulk_sync.settings.creating import Creating
from bulk_sync.settings.meaning import Meaning
from bulk_sync.settings.reading import Reading

OnRows = Callable[[int], None]
"""Called now and then with the number of rows read so far."""


@contextmanager
def open_sheet(reading: Reading, meaning: Meaning) -> Iterator[Sheet]:
    """Open a sheet and map its header; raises InputError, UsageError."""
    names = Names(meaning.aliases)
    options = ReadOptions(
        recognise=partial(recognise, names=names, mapped=meaning.map_hints | meaning.map),
        delimiter=reading.delimiter,
        encoding=reading.encoding,
        sheet=reading.sheet,
        header_row=reading.header_row,
    )
    with _path_of(reading) as path, open_table(path, options) as table:
        mapping = map_headers(
            table.headers,
            str(reading.input),
            names=names,
            mapped=meaning.map,
            hints=meaning.map_hints,
            strict=meaning.strict,
        )
        yield Sheet(reading, meaning, table, mapping, names)


def refuse_without_report(sheet: Sheet, creating: Creating) -> None:
    """Raise UsageError when showings are to be created and nothing names their report."""
    if not creating.create_missing or creating.report is not None:
        return
    if sheet.mapping.index_of(REPORT_COLUMN) is None:
        raise UsageError(
            f"--create-missing: a showing is created in a report, and {sheet.reading.input} has no "
            f"column {REPORT_COLUMN}. Give the report of all rows with --report ID, or add the "
            "column"
        )


@contextmanager
def _path_of(reading: Reading) -> Iterator[Path]:
    if not reading.from_standard_input:
        yield reading.input
        return
    # A sheet is read twice, for its format and for its rows, which a pipe does not allow.
    with TemporaryDirectory(prefix="bulk-sync-") as folder:
        path = Path(folder, "standard input")
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield path


class Sheet:
    """An open sheet with its header mapped; `findings` grow while its rows are checked."""

    def __init__(
        self, reading: Reading, meaning: Meaning, table: Table, mapping: HeaderMap, names: Names
    ) -> None:
        self.reading = reading
        self.meaning = meaning
        self.table = table
        self.mapping = mapping
        cells = rules_of(meaning)
        self.rules, self.zone_name = cells.rules, cells.zone_name
        self._names = names
        self._checker = Checker(mapping, self.rules, names)
        self._rows: Iterator[Row] | None = None
        self._beyond: Findings | None = None

    @property
    def findings(self) -> Findings:
        """The findings in the rows checked so far."""
        return self._checker.findings

    def about_columns(self) -> tuple[ColumnFinding, ...]:
        """Return the findings about columns.

        Those that stop the sheet are also about rows that --limit leaves out, because these show
        how a column is to be read.
        """
        taken, all_rows = (
            findings_about(one.evidence, self.mapping, one.filled, self.rules)
            for one in (self.findings, self._beyond or self.findings)
        )
        stopping = (one for one in all_rows if one.kind.stops)
        return (*stopping, *(one for one in taken if not one.kind.stops))

    @property
    def digest(self) -> str:
        """The digest of everything that affects the patches, except the bytes of the file."""
        encoding = self.table.understood.encoding
        return digest_of_settings(self.reading, self.meaning, self.zone_name, encoding)

    def checked_rows(self) -> Iterator[Record | Problem]:
        """Check the rows up to --limit; raises InputError when the file can't be read on."""
        self._rows = self.table.rows()
        return map(self._checker.check, islice(self._rows, self.reading.limit))

    def check_beyond_limit(self) -> bool:
        """Check the rows after `checked_rows`; return True if --limit left out any.

        They are evidence about columns: a date there may contradict the assumed order.
        """
        if self._rows is None:
            raise RuntimeError("the rows up to the limit come first")
        beyond = Checker(self.mapping, self.rules, self._names, self.findings.so_far())
        count = sum(1 for _ in map(beyond.check, self._rows))
        self._beyond = beyond.findings if count else None
        return count > 0
