"""Read, check, stage: from a sheet to rows in a store, the way that `push` and `check` share.

The three stages know nothing of each other; here they meet.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar
from zoneinfo import ZoneInfo

import tzlocal
from msgspec import Struct

from bulk_sync.check.findings import ASSUMPTIONS
from bulk_sync.check.headers import OURS, HeaderMap, Names, existing_field, map_headers, recognise
from bulk_sync.check.instants import ORDERS
from bulk_sync.check.patches import merged
from bulk_sync.check.rows import Checker
from bulk_sync.check.rules import Rules
from bulk_sync.check.showing import FIELDS, ID_COLUMN
from bulk_sync.errors import InputError
from bulk_sync.job.store import Store
from bulk_sync.model.problems import Reason
from bulk_sync.model.rows import Problem, Record, Row, State
from bulk_sync.model.summaries import ColumnSeen
from bulk_sync.plan import Twin, Verdict, settle_rivals, settle_twins
from bulk_sync.profile import Dates, FieldRule, Profile, Read
from bulk_sync.read.files import open_table
from bulk_sync.read.interface import ReadOptions, Table
from bulk_sync.report.causes import problems_of
from bulk_sync.settings.meaning import Meaning
from bulk_sync.settings.sheet import SheetSettings
from bulk_sync.version import __version__

T = TypeVar("T")

_GROUPS_AT_ONCE = 1000
"""Groups of rows with one key that are decided in one commit."""


class Staged(Struct, frozen=True):
    """A sheet in a store: under which generation, whether --limit left out rows, rows whose key
    comes twice.
    """

    generation: int
    partial: bool
    duplicates: int


OnRows = Callable[[int], None]
"""Told now and then how many rows were read so far."""


@contextmanager
def open_sheet(settings: SheetSettings, on_rows: OnRows = lambda _: None) -> Iterator[Sheet]:
    """Open a sheet and map its header; raises InputError, UsageError."""
    names = Names(settings.meaning.aliases)
    options = ReadOptions(
        recognise=partial(
            recognise, names=names, told=settings.meaning.map_hints | settings.meaning.map
        ),
        delimiter=settings.reading.delimiter,
        encoding=settings.reading.encoding,
        sheet=settings.reading.sheet,
        header_row=settings.reading.header_row,
    )
    with _path_of(settings) as path, open_table(path, options) as table:
        mapping = map_headers(
            table.headers,
            str(settings.reading.input),
            names=names,
            told=settings.meaning.map,
            hinted=settings.meaning.map_hints,
            strict=settings.meaning.strict,
        )
        yield Sheet(settings, table, mapping, names, on_rows)


@contextmanager
def _path_of(settings: SheetSettings) -> Iterator[Path]:
    """The input; standard input is copied to a file first, for it is read several times."""
    if not settings.reading.from_standard_input:
        yield settings.reading.input
        return
    with TemporaryDirectory(prefix="bulk-sync-") as folder:
        path = Path(folder, "standard input")
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield path


class Sheet:
    """A sheet that is open, its header mapped; after `stage` it tells what was found in it."""

    def __init__(
        self,
        settings: SheetSettings,
        table: Table,
        mapping: HeaderMap,
        names: Names,
        on_rows: OnRows,
    ) -> None:
        self._on_rows = on_rows
        self.table = table
        self.mapping = mapping
        self._settings = settings
        self._zone_name, self._rules = _rules(settings.meaning)
        self._names = names
        self._checker = Checker(mapping, self._rules, names)

    def stage(self, store: Store, *, keep_cells: bool = True) -> Staged:
        """Read and check the rows into a store, duplicates decided; raises InputError."""
        rows = self.table.rows()
        checked = map(self._checker.check, islice(rows, self._settings.reading.limit))
        generation = store.staged.stage(checked, keep_cells=keep_cells, on_rows=self._on_rows)
        return Staged(generation, self._look_beyond(rows), self._settle(store, generation))

    def _look_beyond(self, rows: Iterator[Row]) -> bool:
        """True when --limit left out rows. They are read still: a date far below may speak against
        those above.
        """
        rest = Checker(self.mapping, self._rules, self._names)
        count = sum(1 for _ in map(rest.check, rows))
        ours = self._checker.findings
        ours.against_order = rest.findings.against_order | ours.against_order
        ours.other_headers += rest.findings.other_headers
        return count > 0

    def checked(self) -> Iterator[Record | Problem]:
        """The rows, checked, once; raises InputError when the file can't be read on."""
        return map(self._checker.check, self.table.rows())

    def _settle(self, store: Store, generation: int) -> int:
        """Decide about rows for one showing; returns how many rows that are."""
        duplicates = 0
        for groups in _batched(store.staged.twins(generation), _GROUPS_AT_ONCE):
            verdicts: list[Verdict] = []
            patches: list[tuple[int, str, str, str]] = []
            for group in groups:
                duplicates += len(group)
                decided, merge = settle_twins(
                    [Twin(*twin) for twin in group], self._settings.meaning.on_duplicate
                )
                verdicts += decided
                if merge is None:
                    continue
                patch = merged(merge.bodies)
                if isinstance(patch, Reason):
                    verdicts.append(Verdict(merge.id, State.INVALID, "bad_value", patch))
                else:
                    patches.append((merge.id, *patch))
            store.staged.replace_patches(patches)
            store.staged.decide((v.id, v.state, v.error, v.reason) for v in verdicts)
        # Without ids a key is the target of all of its rows.
        for rivals in (
            store.staged.rivals(generation) if self.mapping.index_of(ID_COLUMN) is not None else ()
        ):
            duplicates += len(rivals)
            store.staged.decide((v.id, v.state, v.error, v.reason) for v in settle_rivals(rivals))
        return duplicates

    def meaning(self) -> str:
        """What else than the file's bytes decides about the patches, as a digest: rules, mapping,
        options, version.
        """
        told = _deciding(self._settings) | {"timezone": self._zone_name}
        text = json.dumps([__version__, told], sort_keys=True)
        meaning = f"{__version__} {hashlib.sha256(text.encode()).hexdigest()[:16]}"
        return meaning if self.table.understood.encoding == "UTF-8" else meaning + _MARK

    def refusal(
        self, store: Store, generation: int | None, *, listed_in: Path | None = None
    ) -> InputError | None:
        """Why this sheet is not to be sent, or None; to be asked when it is staged."""
        source = self._settings.reading.input
        other = self._checker.findings.other_headers
        if other:
            return InputError(
                f"{source}: row {other[0]} names columns, as row {self.table.understood.header_row} does: another "
                "table begins there, and nothing is sent. Make a file of each, or say which is the header with "
                "--header-row"
            )
        against = self._checker.findings.against_order
        if against and self._settings.meaning.date_order is None:
            header, seen = next(iter(against.items()))
            return InputError(
                f"{source}: row {seen.row}: {header!r} is {seen.value!r}, which speaks against the order "
                f"{ORDERS[self._rules.order]} that dates such as 02/03/2026 would be read in, so nothing is sent. "
                "Say which order is meant: --date-order dmy, or --date-order mdy, and that row is the mistake"
            )
        counts = store.views.counts(generation)
        invalid, total = counts.get(State.INVALID, 0), sum(counts.values())
        bound = self._settings.stopping.max_problems
        if not bound.exceeded_by(invalid, total):
            return None
        groups, _ = problems_of(store.views.bad_rows(generation))
        first = "; ".join(
            f"row {number}: {text}" for group in groups for number, text in group.examples[:1]
        )
        lists = f" ({listed_in} lists what is wrong)" if listed_in else ""
        return InputError(
            f"{source}: {invalid} of {total} rows can't be sent, more than --max-problems allows ({bound}), so "
            f"nothing is sent. {first}. Mend {source} and push it again{lists}, or raise --max-problems"
        )

    # What was found

    def notes(self) -> tuple[str, ...]:
        """What a person should look at before it is sent: what the reader found, and columns left
        out.
        """
        notes = list(self.table.understood.notes)
        called, found = self._settings.reading.input.suffix.lower(), self.table.understood.format
        if called in _NAMED and found not in _NAMED[called]:
            notes.append(f"The file is called {called}, but holds {found}, and was read as that.")
        if self.mapping.ignored:
            notes.append(
                f"Columns left out, because no field has their name: {', '.join(self.mapping.ignored)}."
            )
        return tuple(notes)

    def assumptions(self) -> tuple[str, ...]:
        """What was assumed, how often and where first."""
        rules = self._rules
        told = {
            "timezone": (self._zone_name or "")
            + ("" if self._settings.meaning.timezone else ", this machine's time zone"),
            "order": ORDERS[rules.order]
            + ("" if rules.order_told else " (the default; --date-order)"),
            "default_time": rules.default_time.isoformat("minutes") if rules.default_time else "",
        }
        assumed = self._checker.findings.assumed
        return tuple(
            f"Assumed: {text.format(**told)}; {_cells(assumed[kind].count)} row "
            f"{assumed[kind].row}: {assumed[kind].value[:40]!r}."
            for kind, text in ASSUMPTIONS.items()
            if kind in assumed and not (kind == "timezone" and self._zone_name is None)
        )

    def columns_seen(self) -> tuple[ColumnSeen, ...]:
        """The mapping table."""
        findings = self._checker.findings
        return tuple(
            ColumnSeen(
                header=column.name,
                field=column.field,
                why=column.why,
                example=findings.examples.get(column.field or ""),
                filled=findings.filled[column.field or ""],
            )
            for column in self.mapping.columns
            if column.why != "blank"
        )

    def profile(self) -> Profile:
        """How this sheet was read, for the next of its kind."""
        reading, meaning = self._settings.reading, self._settings.meaning
        named = {
            self.mapping.reference(column): column.field or ""
            for column in self.mapping.columns
            if column.header
        }
        rules = {
            name: FieldRule(
                clear=meaning.field_clears.get(name),
                blank="clear" if name in meaning.blank_clears else "keep",
            )
            for name in {*meaning.field_clears, *meaning.blank_clears}
        }
        return Profile(
            on_duplicate=meaning.on_duplicate,
            strict=meaning.strict,
            clear=meaning.clear,
            read=Read(
                delimiter=reading.delimiter,
                encoding=reading.encoding,
                sheet=reading.sheet,
                header_row=reading.header_row,
            ),
            map={header: field for header, field in named.items() if header not in OURS},
            aliases=meaning.aliases,
            dates=Dates(
                timezone=self._zone_name,
                order=meaning.date_order,
                default_time=meaning.default_time.isoformat("minutes")
                if meaning.default_time
                else None,
            ),
            fields=rules,
        )


_MARK = " byte-order-mark"
"""Ends the meaning of a sheet whose failed rows are to begin with a byte order mark."""


def wants_mark(meaning: str) -> bool:
    """True when the CSV for mending a sheet of this meaning is to begin with a byte order mark.

    Excel takes a CSV without one for text of another encoding, and garbles it. Who came with plain
    UTF-8 gets it back; who came with a workbook, or any other text, has a spreadsheet program.
    """
    return meaning.endswith(_MARK)


def _cells(count: int) -> str:
    return "one cell, in" if count == 1 else f"{count:,} cells, the first in"


def _batched(items: Iterator[T], size: int) -> Iterator[list[T]]:
    while batch := list(islice(items, size)):
        yield batch


_NAMED = {
    ".csv": ("CSV", "TSV"),
    ".tsv": ("CSV", "TSV"),
    ".txt": ("CSV", "TSV"),
    ".xlsx": ("XLSX",),
    ".xlsm": ("XLSM",),
    ".xls": ("XLS",),
    ".xlsb": ("XLSB",),
    ".ods": ("ODS",),
}
"""The formats that a name promises."""


def _deciding(settings: SheetSettings) -> dict[str, object]:
    """The settings that decide about patches, in a shape that checkpoints know a job by."""
    reading, meaning = asdict(settings.reading), asdict(settings.meaning)
    clear = {"": settings.meaning.clear} if settings.meaning.clear else {}
    told = reading | meaning | {"clear": clear | settings.meaning.field_clears}
    time = settings.meaning.default_time
    told["default_time"] = None if time is None else time.isoformat()
    return {name: told[name] for name in told.keys() - {"input", "profile", "field_clears"}}


def _rules(meaning: Meaning) -> tuple[str | None, Rules]:
    """The time zone's name, if the machine's own has one, and the rules of cells."""
    zone_name = meaning.timezone or _machines_zone()
    clear = dict.fromkeys(FIELDS, meaning.clear) if meaning.clear else {}
    clear |= {existing_field(name): token for name, token in meaning.field_clears.items()}
    rules = Rules(
        timezone=None if zone_name is None else ZoneInfo(zone_name),
        order=meaning.date_order or "mdy",
        order_told=meaning.date_order is not None,
        default_time=meaning.default_time,
        clear=clear,
        blank_clears=frozenset(map(existing_field, meaning.blank_clears)),
    )
    return zone_name, rules


def _machines_zone() -> str | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it assumes is shown with the rest of the assumptions
        try:
            return tzlocal.get_localzone().key
        except (LookupError, ValueError, OSError, AttributeError):
            return None
