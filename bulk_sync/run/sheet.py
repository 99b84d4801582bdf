"""Open a sheet, map its header and check its rows, for `push`, `check` and `reconcile`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from bulk_sync.check.derived import with_derived
from bulk_sync.check.findings import Findings
from bulk_sync.check.headers import (
    Column,
    Derive,
    HeaderMap,
    Names,
    OfProfile,
    map_headers,
    map_own_headers,
    recognise,
)
from bulk_sync.check.keys import KeyCounts
from bulk_sync.check.own_rows import OwnRows, Places
from bulk_sync.check.rows import Checker
from bulk_sync.check.showing import REPORT_COLUMN
from bulk_sync.check.verdicts import findings_about
from bulk_sync.errors import InputError, OutputError, UsageError
from bulk_sync.model.findings import ColumnFinding
from bulk_sync.model.findings import Kind as FindingKind
from bulk_sync.model.inert import exact
from bulk_sync.model.own import Kind
from bulk_sync.model.places import column_number
from bulk_sync.model.rows import LeftOut, Problem, Record, Row
from bulk_sync.platforms import why_refused
from bulk_sync.read.files import open_table
from bulk_sync.read.interface import ReadOptions, Table
from bulk_sync.recognise import may_be_own
from bulk_sync.run.cell_rules import digest_of_settings, rules_of
from bulk_sync.run.choice import Choice
from bulk_sync.run.derivations import derivations_of, key_columns
from bulk_sync.run.own_files import (
    OwnFile,
    has_mark,
    note_on,
    own_file,
    report_columns,
    settings_for,
    source_of,
)
from bulk_sync.scratch import scratch_folder, sweep
from bulk_sync.settings.creating import Creating
from bulk_sync.settings.meaning import Meaning
from bulk_sync.settings.reading import Reading

OnRows = Callable[[int], None]
"""Called now and then with the number of rows read so far."""

# Of standard input, copied at a time.
_PIECE_BYTES = 1 << 16

_Check = Callable[[Row], Record | Problem]


@contextmanager
def open_sheet(
    reading: Reading, meaning: Meaning, otherwise: Path | None = None
) -> Iterator[Sheet]:
    """Open a sheet and map its header; raises InputError, UsageError, OutputError.

    One of our own files is read as it was written, whatever the settings are: see `own_files`.
    `otherwise` is the folder for a copy of standard input where the system keeps no temporary
    files.
    """
    names = Names(meaning.aliases)
    with _path_of(reading, otherwise) as path, _open_table(path, reading, meaning, names) as table:
        source = str(reading.input)
        own = own_file(table.headers, source)
        if own is None:
            _refuse_without_effect(reading, is_text=table.understood.sheet is None)
            mapping = _mapping(table.headers, meaning, names, source)
            yield Sheet(reading, meaning, table, mapping, names)
        else:
            yield _own_sheet(own, reading, meaning, table)


def _refuse_without_effect(reading: Reading, *, is_text: bool) -> None:
    """Raise UsageError for an option about this sheet that can't concern a file of its kind."""
    vain = {
        "sheet": (is_text, "a text file, which has no sheets"),
        "delimiter": (not is_text, "a workbook, whose cells need no separator"),
        "encoding": (not is_text, "a workbook, which says its own encoding"),
    }
    for name, (is_vain, kind) in vain.items():
        given = getattr(reading, name)
        if is_vain and given is not None and name not in reading.for_all_sheets:
            raise UsageError(f"--{name} {given}: {reading.input} is {kind}: leave the option out")


def _own_sheet(own: OwnFile, reading: Reading, given: Meaning, table: Table) -> Sheet:
    source = str(reading.input)
    reading, meaning = settings_for(own, reading, given, source)
    headers = tuple(table.headers[place] for place in own.kept)
    if own.source.escaped:
        headers = tuple(map(exact, headers))
    mapping, numbers = map_own_headers(
        headers,
        own.source.columns,
        source,
        strict=meaning.strict,
        derive=_derive(meaning),
        renamed=own.source.renamed,
    )
    # From here on the columns have the names that they have in the sheet.
    headers = tuple(own.source.renamed.get(header, header) for header in headers)
    names = Names()
    if own.kind.is_of_sheet and own.source.settings is None:
        names = Names(meaning.aliases)
        mapping = _mapping(headers, meaning, names, source)
    places = Places(
        own.mark,
        len(table.headers),
        own.kept,
        numbers,
        len(own.source.columns),
        own.source.escaped,
    )
    note = note_on(own, given, meaning)
    own_sheet = OwnSheet(own.kind, places, headers, note, own.source.checkpoint)
    return Sheet(reading, meaning, table, mapping, names, own_sheet)


def _mapping(headers: Sequence[str], meaning: Meaning, names: Names, source: str) -> HeaderMap:
    return map_headers(
        headers,
        source,
        names=names,
        mapped=meaning.map,
        hints=meaning.map_hints,
        strict=meaning.strict,
        ours=report_columns(headers),
        profile=OfProfile(_headers_seen(meaning), _derive(meaning)),
    )


def _headers_seen(meaning: Meaning) -> dict[str, str]:
    """Return the headers that the profile's columns had, but for those that --map decides about."""
    decided = set(map(column_number, meaning.map))
    return {
        name: header
        for name, header in meaning.headers_seen.items()
        if column_number(name) not in decided
    }


def _derive(meaning: Meaning) -> Derive | None:
    """Return how the columns are added that a profile makes; None if it makes none."""
    made = derivations_of(meaning)
    return None if made is None else partial(with_derived, derivations=made)


@contextmanager
def _open_table(path: Path, reading: Reading, meaning: Meaning, names: Names) -> Iterator[Table]:
    """Open a table; options about the layout are the user's sheet's, not those of our files."""
    mapped = key_columns(meaning) | meaning.map_hints | meaning.map
    options = ReadOptions(
        recognise=partial(recognise, names=names, mapped=mapped, seen=_headers_seen(meaning)),
        delimiter=reading.delimiter,
        encoding=reading.encoding,
        multiline_cells=reading.multiline_cells,
        sheet=reading.sheet,
        header_row=reading.header_row,
    )
    plain = ReadOptions(recognise=options.recognise)
    with ExitStack() as opened:
        table = _own_table(path, plain, opened) if options != plain and may_be_own(path) else None
        if table is not None:
            yield table
            return
    with open_table(path, options) as table:
        yield table


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
def _path_of(reading: Reading, otherwise: Path | None) -> Iterator[Path]:
    sweep(*([] if otherwise is None else [otherwise]))
    if not reading.from_standard_input:
        yield reading.input
        return
    # A sheet is read twice, for its format and for its rows, which a pipe does not allow.
    with scratch_folder(otherwise=otherwise) as folder:
        path = folder / "standard input"
        try:
            with path.open("wb") as file:
                while piece := _piece_of_input():
                    file.write(piece)
        except OSError as error:
            raise OutputError(
                f"{folder.parent}: a copy of standard input can't be written there: "
                f"{why_refused(error)}. Make room, or set TMPDIR to another folder."
            ) from None
        yield path


def _piece_of_input() -> bytes:
    try:
        return sys.stdin.buffer.read(_PIECE_BYTES)
    except OSError as error:
        raise InputError(
            f"Standard input can't be read on: {why_refused(error)}. Nothing was sent."
        ) from None


def _own_table(path: Path, options: ReadOptions, opened: ExitStack) -> Table | None:
    """Open one of our own files; None for any other, and for one whose layout is not detected."""
    try:
        table = opened.enter_context(open_table(path, options))
    except InputError:
        return None
    return table if has_mark(table.headers) else None


class OwnSheet(Struct, frozen=True):
    """One of our own files: its kind, the places of its cells, its headers without ours, a note on
    it, and the paths of the checkpoint of the sheet that it was made from.
    """

    kind: Kind
    places: Places
    headers: tuple[str, ...]
    note: str
    checkpoint: tuple[str, ...]


class Sheet:
    """An open sheet with its header mapped; `findings` grow while its rows are checked."""

    def __init__(
        self,
        reading: Reading,
        meaning: Meaning,
        table: Table,
        mapping: HeaderMap,
        names: Names,
        own: OwnSheet | None = None,
    ) -> None:
        self.reading = reading
        self.meaning = meaning
        self.table = table
        self.mapping = mapping
        cells = rules_of(meaning)
        self.zone_name = cells.zone_name
        is_grid = table.understood.sheet is not None
        self.rules = replace(cells.rules, own=own is not None, grid=is_grid)
        self._own = own
        self._names = names
        self._checker = Checker(mapping, self.rules, names)
        # None unless rows are left out; the findings are those of all rows.
        self._choice: Choice | None = None
        self._all_rows: Findings | None = None

    @property
    def headers(self) -> tuple[str, ...]:
        """The headers, without the columns that we add to our own files."""
        return self.table.headers if self._own is None else self._own.headers

    @property
    def made_from(self) -> tuple[str, ...]:
        """The paths of the checkpoint of the sheet that one of our own files was made from."""
        return () if self._own is None else self._own.checkpoint

    @property
    def is_of_push(self) -> bool:
        """True for a file of ours that a push made, not a comparison."""
        return self._own is not None and (self._own.kind.is_of_sheet or self._own.kind is Kind.UNDO)

    @property
    def is_results(self) -> bool:
        """True for results with the cells of their sheet: most of the rows are done."""
        return self._own is not None and self._own.kind is Kind.RESULTS

    @property
    def names(self) -> Names:
        """The names of fields in headers."""
        return self._names

    def number_of(self, column: Column) -> int:
        """Return the number of a column in the file, from 1."""
        return 1 + (column.index if self._own is None else self._own.places.kept[column.index])

    @property
    def findings(self) -> Findings:
        """The findings in the rows checked so far."""
        return self._checker.findings

    @property
    def keys(self) -> KeyCounts:
        """The keys of all rows that are judged together, those that are left out too.

        None of our own files: in their sheet these keys were judged among more of them.
        """
        return KeyCounts() if self._own else (self._all_rows or self.findings).keys

    def about_columns(self) -> tuple[ColumnFinding, ...]:
        """Return the findings about columns.

        Those that stop the sheet are also about rows that are left out, because these show how
        a column is to be read.
        """
        taken, all_rows = (
            findings_about(one.evidence, self.mapping, one.filled, self.rules)
            for one in (self.findings, self._all_rows or self.findings)
        )
        stopping = (one for one in all_rows if one.kind.stops and self._is_evidence(one))
        return (*stopping, *(one for one in taken if not one.kind.stops))

    def _is_evidence(self, about: ColumnFinding) -> bool:
        """Return whether a finding says how a column is to be read; of our own files that is known.

        Failed rows are no fair sample of their sheet.
        """
        return self._own is None or about.kind is FindingKind.SECOND_TABLE

    @property
    def unused_values(self) -> tuple[str, ...]:
        """The values of the profile that no cell of the rows checked so far shows."""
        # A job that goes on doesn't read its sheet, and other rows may show what some don't.
        if not self.findings.evidence.row or not self.reading.takes_all:
            return ()
        return self._checker.unused_values

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on a file of our own."""
        return () if self._own is None else (self._own.note,)

    @property
    def digest(self) -> str:
        """The digest of everything that affects the patches, except the bytes of the file."""
        encoding = self.table.understood.encoding
        return digest_of_settings(self.reading, self.meaning, self.zone_name, encoding)

    @property
    def source(self) -> str:
        """The reading of the cells as JSON, for the mark of the file of failed rows."""
        return source_of(self.mapping, self.meaning, self.zone_name)

    def checked_rows(self) -> Iterator[Record | Problem]:
        """Check all rows; raises InputError when the file can't be read on."""
        return map(self._check(self._checker), self.table.rows())

    def chosen_rows(self) -> Iterator[Record | Problem | LeftOut]:
        """Check all rows, and mark those that are left out by choice.

        Raises InputError when the file can't be read on, UsageError for a choice that the columns
        don't allow.
        The rows that are left out are evidence about columns: a date there may contradict the
        assumed order. They may be twins of others, too.
        """
        if self.reading.takes_all:
            return self.checked_rows()
        self._choice = Choice(self.reading, self.table.headers)
        return self._marked_rows(self._choice)

    def _marked_rows(self, choice: Choice) -> Iterator[Record | Problem | LeftOut]:
        check = self._check(self._checker)
        everything = Checker(self.mapping, self.rules, self._names)
        self._all_rows = everything.findings
        check_all = self._check(everything)
        for row in self.table.rows():
            item = check_all(row)
            # A second time, because what is shown is about the rows that are taken.
            yield check(row) if choice.takes(row) else LeftOut(item)

    def refuse_empty_choice(self) -> None:
        """Raise InputError when the sheet has no rows that --rows or --where name."""
        if self._choice is not None:
            self._choice.refuse_empty(str(self.reading.input))

    def _check(self, checker: Checker) -> _Check:
        if self._own is None:
            return checker.check
        trial = Checker(self.mapping, self.rules, self._names)
        return OwnRows(self._own.places, self.mapping, checker, trial).check
