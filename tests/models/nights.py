"""Nights of a person with two sheets, colleagues in North, exports, undo, failed rows and kills.

A night is a few edits, and then one act: a push of a sheet or of one of our own files, or a
comparison, with or without its push. Whatever the nights before were, after each the following
rules hold. `unseen` and `claims` are those of the act's family; see `tests.models.north`.

1. **The sheet is what North has.** For each row that ended `updated` or `unchanged`, each field
   that it states has that value in North, as North stores it; unless somebody outside the family
   changed the field since, and no export that the family was compared with has shown it.
2. **A ledger never claims too much.** Each value in each ledger is the one that North acknowledged
   last through the ledger's family. A lost request, or an export that differs, ends the claim.
3. **A comparison finds what differs.** Compared with an export made at that moment, a sheet differs
   in exactly those fields that it states and North has otherwise. (Looked at every third night.)
4. **Every row is counted once.** The results have each row of the file exactly once, and the states
   of the summary add up to the number of rows that the run took.
5. **Nothing goes to another team.** A push with its key is refused before the first patch.
6. **An undo file has values that North had acknowledged** through the family before.

A history is a list of nights that is drawn without looking at the world, so that a part of it is
a history, too, and a violation can be reduced to few nights.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bulk_sync.cli.pushing import _push_after
from bulk_sync.errors import BulkSyncError, CheckpointError
from bulk_sync.job.database import is_checkpoint
from bulk_sync.job.ledger import Acknowledged
from bulk_sync.job.ledger_file import read_shared
from bulk_sync.job.store import Store
from bulk_sync.model.summaries import Summary
from bulk_sync.pipeline import push
from bulk_sync.quantities import parse_rate
from bulk_sync.reconciliation import reconcile
from bulk_sync.settings.push import PushSettings
from bulk_sync.settings.reconcile import ReconcileSettings
from tests.helpers import KEY, read_csv, write_sheet
from tests.models.kills import Clock, Kills, team_of
from tests.models.north import FIELDS, FOREIGN_KEY, Family, Field, North, id_of, key_of, stored
from tests.models.person import (
    BAD,
    CLEAR,
    HEADER,
    LEDGERS,
    SHEETS,
    SHOWINGS,
    TEXTS,
    VALUES,
    Night,
    Options,
    Row,
    Said,
    Sheet,
    replace_cells,
    said_in,
    stated,
    text_of,
    winners,
)

ADDRESS = "http://127.0.0.1:9"
"""Of nobody: requests go to the model."""

HASTY: dict[str, Any] = {
    "base_url": ADDRESS,
    "rate": parse_rate("100000/s"),
    "workers": 3,
    "max_attempts": 2,
    "retry_for": "1s",
    "max_problems": "100%",
    "max_failures": "100%",
}
"""The settings of each run."""

TEAM = "team-one"


class Violation(AssertionError):
    """A rule that a night broke."""


class Nights:
    """The world of a history; `play` plays a night and raises Violation."""

    def __init__(self, folder: Path, seed: int) -> None:
        dice = random.Random(seed)
        self._folder = folder / "sheets"
        self._folder.mkdir()
        self._state = folder / "state"
        self._ledger = self._folder / "north.ledger"
        self.ledgers = dice.choice(LEDGERS)
        showings = [{name: dice.choice(VALUES[name]) for name in FIELDS} for _ in range(SHOWINGS)]
        self.north = North(showings)
        self._kills = Kills(self._folder, folder / "kept", self.north)
        self._families = {name: Family() for name in SHEETS}
        if self.ledgers in {"shared", "of the other"}:
            self._families["b"] = self._families["a"]
        self.north.families = [*{id(one): one for one in self._families.values()}.values()]
        self._on_shared = {"a", "b"} if self.ledgers == "shared" else set[str]()
        self._sheets = {
            name: Sheet(
                [
                    Row(showing, {one: dice.choice(TEXTS[one][:3]) for one in FIELDS})
                    for showing in range(SHOWINGS - (name == "b"))
                ]
            )
            for name in SHEETS
        }
        self._exports: list[Path] = []
        self._seen: list[dict[Field, Any]] = []
        self._compared: dict[str, int] = {}
        self._failed: dict[str, Options] = {}
        profile = '[fields.attendee_name]\nblank = "clear"\n'
        (self._folder / "blank.toml").write_text(profile, "utf-8")

    # Edits

    def edit(self, kind: str, *values: Any) -> None:
        """Do what a person, or a colleague in North, does."""
        if kind == "colleague":
            showing, name, value = values
            self.north.edit(showing, name, value)
            return
        if kind == "export":
            self._export(*values)
            return
        name, *rest = values
        sheet = self._sheets[name]
        if kind == "add":
            sheet.rows.append(Row(rest[0], {**dict.fromkeys(FIELDS, ""), rest[1]: rest[2]}))
        elif kind == "address":
            sheet.by[rest[0]] = rest[1]
        elif not sheet.rows:
            return
        elif kind == "cell":
            sheet.rows[rest[0] % len(sheet.rows)].cells[rest[1]] = rest[2]
        elif kind == "drop":
            del sheet.rows[rest[0] % len(sheet.rows)]
        elif kind == "sort":
            random.Random(rest[0]).shuffle(sheet.rows)

    def _export(self, columns: Sequence[str], showings: Sequence[int]) -> None:
        path = self._folder / f"export{len(self._exports)}.csv"
        seen = {
            (showing, name): self.north.showings[showing][name]
            for showing in showings
            for name in columns
        }
        rows = [
            (key_of(showing), id_of(showing), *(text_of(seen[showing, name]) for name in columns))
            for showing in showings
        ]
        write_sheet(path, rows, ("unique_showing_key", "showing_id", *columns))
        self._exports.append(path)
        self._seen.append(seen)

    # Acts

    def play(self, night: Night) -> None:
        """Play a night, and look whether the rules hold after it."""
        for edit in night.edits:
            self.edit(*edit)
        for name, sheet in self._sheets.items():
            write_sheet(self._path(name), [*sheet.lines()], HEADER)
        self.north.faults = dict(night.faults)
        kind, name, *rest = night.act
        family = self._join(name, night)
        if family is None:
            return
        if kind == "push":
            self._push_sheet(name, family, night)
        elif kind == "own":
            self._push_own(name, family, night, *rest)
        elif kind == "reconcile":
            self._reconcile(name, family, night, *rest)
        elif kind == "ledger":
            self._reconcile_ledger(name, family, night, *rest)
        self.north.faults = {}
        self._check_ledgers()

    def _join(self, name: str, night: Night) -> Family | None:
        """Return the family of a sheet's jobs; None where it can't be pushed yet."""
        if self.ledgers == "of the other" and name == "b":
            return self._families["a"] if is_checkpoint(self._checkpoint("a")) else None
        is_late = self.ledgers == "shared later" and night.options.names_ledger
        if is_late and night.act[0] == "push" and name not in self._on_shared:
            others = [*self._on_shared]
            self._on_shared.add(name)
            if others:
                shared, own = self._families[others[0]], self._families[name]
                shared.join(own)
                self._families[name] = shared
                self.north.families = [shared]
        return self._families[name]

    def _has_ledger(self, name: str) -> bool:
        """Return whether the family has a ledger; changes without one start their own."""
        of_other = self.ledgers == "of the other" and name == "b"
        return name in self._on_shared or of_other or is_checkpoint(self._checkpoint(name))

    def _history(self, name: str, options: Options) -> dict[str, Any]:
        """Return the settings about earlier runs and the ledger."""
        given: dict[str, Any] = {
            "only_changed": options.only_changed,
            "fresh": options.fresh,
            "new_key": options.new_key,
        }
        named = options.names_ledger or not is_checkpoint(self._checkpoint(name))
        if name in self._on_shared and named:
            given["ledger"] = self._ledger
        if self.ledgers == "of the other" and name == "b" and named:
            given["ledger"] = self._checkpoint("a")
        return given

    def _settings(self, path: Path, options: Options, **more: Any) -> PushSettings:
        return PushSettings(
            input=path,
            key=options.key,
            state_folder=self._state,
            **HASTY,
            ambiguous=options.ambiguous,
            **self._cells(options),
            **({"limit": options.limit} if options.limit else {}),
            **more,
        )

    def _cells(self, options: Options) -> dict[str, Any]:
        """Return the settings about cells."""
        given: dict[str, Any] = {"on_duplicate": options.on_duplicate}
        if options.clear:
            given["clear"] = CLEAR
        if options.blank_clears:
            given["profile"] = self._folder / "blank.toml"
        return given

    def _push_sheet(self, name: str, family: Family, night: Night) -> None:
        options, sheet = night.options, self._sheets[name]
        rows = [
            Said(number, row.showing, stated(row.cells, options))
            for number, row in enumerate(sheet.rows, start=2)
        ]
        if options.key != FOREIGN_KEY:
            sheet.options = options
        undo = self._folder / f"{name}.undo.csv"
        settings = self._settings(
            self._path(name), options, undo_file=undo, **self._history(name, options)
        )
        summary = self._run(settings, family, night)
        if summary is not None:
            self._failed[name] = options
            self._check_rows(settings, summary, winners(rows, options), family)
            self._check_undo(undo, family)

    def _push_own(
        self, name: str, family: Family, night: Night, kind: str, corrected: bool
    ) -> None:
        """Push failed rows, changes or an undo file, with the person's usual options."""
        path = self._folder / f"{name}.{kind}.csv"
        if not path.exists() or night.options.key == FOREIGN_KEY:
            return
        meaning = Options()
        if kind == "failed":
            if name not in self._failed:
                return
            meaning = self._failed[name]
            if corrected:
                replace_cells(path, "rating", BAD, "3")
        options = replace(night.options, limit=None)
        rows = [*said_in(path, meaning)]
        used = self._history(name, options)
        if kind != "failed" or self.ledgers != "shared":
            used.pop("ledger", None)
        settings = self._settings(path, options, **used)
        summary = self._run(settings, family, night)
        if summary is not None:
            self._check_rows(settings, summary, winners(rows, meaning), family)

    def _reconcile(
        self, name: str, family: Family, night: Night, which: int, pushes: bool, base: int | None
    ) -> None:
        """Compare with an export: the newest one, or one of some nights ago."""
        if not self._exports or (pushes and not self._has_ledger(name)):
            return
        number = max(0, len(self._exports) - 1 - which)
        options = replace(night.options, limit=None, on_duplicate="error", key=KEY)
        settings = ReconcileSettings(
            input=self._path(name),
            with_=str(self._exports[number]),
            key=KEY,
            push=pushes,
            accept_systematic=True,
            **HASTY,
            results=self._folder / f"{name}.differences.csv",
            **self._cells(options),
            **self._history(name, replace(options, only_changed=False)),
            **(
                {}
                if base is None
                else {"base": self._exports[max(0, number - base)], "prefer": "here"}
            ),
        )
        changes = self._path(f"{name}.changes")
        with self._kills.cutting(family, night.cut):
            found = reconcile(settings, clock=Clock())
            # A push that was cut off goes on if the export is the one that it was made from.
            again, self._compared[name] = self._compared.get(name) == number, number
            if pushes and not self._kills.is_dead and not again:
                self.north.show(family, self._seen[number])
            pushing = _push_after(settings, found) if pushes and not self._kills.is_dead else None
            if pushing is None:
                return
            rows = [*said_in(changes, Options())]
            pushing = pushing.changed(state_folder=self._state)
            summary = self._push(pushing)
        if summary is not None and not self._kills.was_killed:
            self._check_rows(pushing, summary, winners(rows, Options()), family)

    def _reconcile_ledger(self, name: str, family: Family, night: Night, pushes: bool) -> None:
        """Compare with the ledger, and perhaps push."""
        options, sheet = replace(night.options, limit=None, key=KEY), self._sheets[name]
        settings = ReconcileSettings(
            input=self._path(name),
            with_="ledger",
            key=KEY,
            push=pushes,
            accept_systematic=True,
            **HASTY,
            results=self._folder / f"{name}.differences.csv",
            **self._cells(options),
            **self._history(name, options),
        )
        rows = [
            Said(number, row.showing, stated(row.cells, options))
            for number, row in enumerate(sheet.rows, start=2)
        ]
        with self._kills.cutting(family, night.cut):
            try:
                found = reconcile(settings, clock=Clock())
            except BulkSyncError as error:
                _expect(error.exit_code in {2, 4}, f"compared with the ledger: {error}")
                return
            pushing = _push_after(settings, found) if pushes else None
            if pushing is None:
                return
            sheet.options = options
            pushing = pushing.changed(state_folder=self._state)
            summary = self._push(pushing)
        if summary is not None and not self._kills.was_killed:
            self._failed[name] = options
            self._check_rows(pushing, summary, winners(rows, options), family)

    # Running

    def _run(self, settings: PushSettings, family: Family, night: Night) -> Summary | None:
        """Push; return the summary, or None when the run was refused or killed."""
        before, of_job = self.north.foreign_patches, team_of(settings.files.checkpoint)
        with self._kills.cutting(family, night.cut):
            summary = self._push(settings)
        if night.options.key == FOREIGN_KEY and not night.options.fresh and of_job == TEAM:
            known = summary is None and self.north.foreign_patches == before
            _expect(known, "rule 5: patches went to another team")
        return None if self._kills.was_killed else summary

    def _push(self, settings: PushSettings) -> Summary | None:
        try:
            return push(settings, stop=self._kills.stop, clock=Clock())
        except BulkSyncError as error:
            self.refused = error
            return None

    # Rules

    def _check_rows(
        self, settings: PushSettings, summary: Summary, rows: dict[int, Said], family: Family
    ) -> None:
        results = read_csv(settings.files.results)
        numbers = [int(line["row"]) for line in results]
        _expect(numbers == sorted(rows), f"rule 4: results have the rows {numbers}, not {[*rows]}")
        chosen = min(len(rows), settings.reading.limit or len(rows))
        _expect(
            sum(summary.states.values()) == chosen == summary.rows,
            f"rule 4: {summary.states} don't add up to {chosen}",
        )
        for line in results[:chosen]:
            said = rows[int(line["row"])]
            if line["state"] not in {"updated", "unchanged"}:
                continue
            _expect(
                said.values is not None, f"row {said.number} is invalid and was {line['state']}"
            )
            for name, value in (said.values or {}).items():
                there = self.north.showings[said.showing][name]
                if there != stored(name, value) and (said.showing, name) not in family.unseen:
                    raise Violation(
                        f"rule 1: {settings.reading.input.name} row {said.number} is "
                        f"{line['state']}, and says {name} = {value!r} for "
                        f"{key_of(said.showing)}; North has {there!r}"
                    )

    def _check_undo(self, path: Path, family: Family) -> None:
        for said in said_in(path, Options()):
            for name, value in (said.values or {}).items():
                known = family.ever.get((said.showing, name), [])
                _expect(
                    any(value == one and type(value) is type(one) for one in known),
                    f"rule 6: the undo file puts back {name} = {value!r} for "
                    f"{key_of(said.showing)}; acknowledged were {known}",
                )

    def _check_ledgers(self) -> None:
        for path, family, entries in self._claimed():
            for entry in entries:
                showing = self.north.number(entry.showing_id or entry.target)
                assert showing is not None, entry
                for name in entry.values.keys() & set(FIELDS):
                    one = (showing, name)
                    last = family.claims.get(one, "known to nobody")
                    _expect(
                        one in family.claims and entry.values[name] == last,
                        f"rule 2: {path.name} claims {name} = {entry.values[name]!r} for "
                        f"{entry.target}; acknowledged last: {last!r}",
                    )

    def _claimed(self) -> Iterator[tuple[Path, Family, list[Acknowledged]]]:
        if self._ledger.exists() and self._on_shared:
            (name, *_) = self._on_shared
            with read_shared(self._ledger) as file:
                yield self._ledger, self._families[name], [*file.of(ADDRESS).all()]
        for path in sorted(self._folder.glob("*.checkpoint.sqlite")):
            origin = self._checkpoint(path.name[0])
            if path != origin and is_checkpoint(origin):
                continue  # its job uses the ledger of the sheet by now, whatever its own one has
            try:
                with Store.read(path) as store:
                    job = store.database.job()
                    if job is not None:
                        entries = [*store.known.acknowledged()]
                        yield path, self._families[path.name[0]], entries
            except CheckpointError:
                if is_checkpoint(path):
                    raise

    def check_comparison(self, name: str) -> None:
        """Compare a sheet with an export of this moment."""
        if not self._path(name).exists():
            return
        sheet, options = self._sheets[name], Options()
        path = self._folder / "now.csv"
        rows = [
            (key_of(showing), id_of(showing), *(text_of(values[one]) for one in FIELDS))
            for showing, values in enumerate(self.north.showings)
        ]
        write_sheet(path, rows, ("unique_showing_key", "showing_id", *FIELDS))
        differences = self._folder / "now.differences.csv"
        write_sheet(self._path(name), [*sheet.lines()], HEADER)
        reconcile(
            ReconcileSettings(
                input=self._path(name),
                with_=str(path),
                results=differences,
                max_problems="100%",
                **self._cells(options),
            ),
            clock=Clock(),
        )
        counted = [row.showing for row in sheet.rows]
        single = {showing for showing in counted if counted.count(showing) == 1}
        expected = set()
        for row in sheet.rows:
            values = stated(row.cells, options) if row.showing in single else None
            for field_name, value in (values or {}).items():
                if self.north.showings[row.showing][field_name] != value:
                    expected.add((row.showing, field_name))
        found = {
            (self.north.number(line["showing_id"] or line["unique_showing_key"]), line["field"])
            for line in read_csv(differences)
            if line["field"]
        }
        found = {one for one in found if one[0] in single}
        _expect(
            found == expected,
            f"rule 3: {name}.csv differs in {sorted(expected)}; found was {sorted(found)}",
        )

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.csv"

    def _checkpoint(self, name: str) -> Path:
        return self._folder / f"{name}.checkpoint.sqlite"


def _expect(true: object, otherwise: str) -> None:
    if not true:
        raise Violation(otherwise)
