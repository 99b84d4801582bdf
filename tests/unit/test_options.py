"""Options that meet: a check gives the patches and refusals of the plain model."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from datetime import UTC, datetime, time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.errors import InputError, UsageError
from bulk_sync.job.store import Store
from bulk_sync.model.rows import State
from bulk_sync.quantities import Condition, RowRange, Scale
from bulk_sync.run.findings import refusal_by_columns
from bulk_sync.run.rows import stage_rows
from bulk_sync.run.sheet import open_sheet
from bulk_sync.settings.meaning import Meaning
from bulk_sync.settings.reading import Reading
from bulk_sync.settings.sheet import SheetSettings
from tests.models.sheets import FIELD_OF, KEY, Line, Options, Outcome, Refused, outcomes

TOKENS = ["CLR", "-"]
CELLS = {
    KEY: ["a", "a", "a", "b", "b", "c", ""],
    "feedback": ["", "", "Nice", "Fine", "Nice", *TOKENS],
    "title": ["", "Open", "Open house", *TOKENS],
    "rating": ["", "4", "5", "2", "4", "5", "superb", *TOKENS],
    "showing_date": [
        "",
        "",
        *(2 * ["03/04/2026 10:00", "04/03/2026 22:30", "2026-03-04T16:00:00Z"]),
        "03/04/2026",
        "25/12/2026 10:00",
    ],
    "": ["", "x", "Nice", "4"],
}
FIELDS = [KEY, "feedback", "title", "rating", "showing_date"]


@st.composite
def sheets(draw: st.DrawFn) -> list[list[str]]:
    """Draw the lines of a sheet: perhaps a title, the header, and rows of its columns' kinds."""
    usual = ["feedback", "Comments", "rating", "Stars", "rating", "title", "showing_date"]
    names = draw(
        st.lists(
            st.sampled_from([*usual, *usual, "Other", "More", ""]),
            min_size=1,
            max_size=4,
            unique_by=lambda name: FIELD_OF.get(name, name),
        )
    )
    if not draw(st.integers(0, 7)):
        names.append(draw(st.sampled_from(usual)))
    key = draw(st.sampled_from(["unique_showing_key", "Showing Key", "Nr"]))
    header = draw(st.permutations([key, *names]))
    if not header[-1]:  # a cell without a header at the end is not in the sheet
        header[-1] = "Last"
    kinds = [FIELD_OF.get(name, KEY if name == "Nr" else "") for name in header]
    cells = st.tuples(*(st.sampled_from(CELLS[kind]) for kind in kinds))
    rows = draw(st.lists(cells, min_size=2, max_size=7))
    title = ["March", *[""] * (len(header) - 1)]
    above = draw(st.sampled_from([[], [], [title], [title, title]]))
    return [*above, list(header), *map(list, rows)]


@st.composite
def options_for(draw: st.DrawFn, lines: Sequence[Line]) -> Options:
    """Draw two or three options, most of which fit a sheet."""
    header = next(place for place, line in enumerate(lines) if line[0] != "March")
    below = [number for number, line in enumerate(lines, 1) if number > header + 1 and any(line)]
    names = st.sampled_from(
        [*lines[header], *(f"column {place}" for place in range(1, len(lines[0]) + 2)), "None"]
    ).filter(bool)
    fields = st.sampled_from(FIELDS[1:])
    pairs = st.tuples(names, st.sampled_from([*FIELDS, ""]))
    numbers = st.integers(header + 1, len(lines) + 1)
    some: dict[str, st.SearchStrategy[Any]] = {
        "map": st.lists(pairs, min_size=1, max_size=3, unique_by=lambda pair: pair[0]).map(tuple),
        "header_row": st.sampled_from([header + 1, *below[:1]]),
        "strict": st.just(True),
        "clear": st.sampled_from(TOKENS),
        "field_clears": st.dictionaries(fields, st.sampled_from(TOKENS), max_size=2),
        "blank_clears": st.frozensets(fields, min_size=1),
        "on_duplicate": st.sampled_from(["last", "merge"]),
        "date_order": st.sampled_from(["mdy", "dmy"]),
        "default_time": st.just("09:00"),
        "timezone": st.sampled_from(["America/Chicago", "Asia/Tokyo"]),
        "scale": st.sampled_from([(1, 10), (0, 5), (1, 5)]),
        "rows": st.lists(
            st.tuples(numbers, numbers).map(lambda two: (min(two), max(two))),
            min_size=1,
            max_size=2,
            unique=True,
        ).map(tuple),
        "where": st.tuples(st.tuples(names, st.sampled_from(["a", "Nice", "4", ""]))),
        "limit": st.integers(1, 5),
    }
    chosen = draw(st.lists(st.sampled_from(sorted(some)), min_size=1, max_size=4, unique=True))
    if "Nr" in lines[header] and draw(st.integers(0, 3)):
        place = f"column {1 + lines[header].index('Nr')}"
        key = draw(st.sampled_from([("Nr", KEY), (place, KEY)]))
        drawn = {name: draw(some[name]) for name in chosen}
        return Options(**drawn | {"map": (key, *drawn.get("map", ()))})
    return Options(**{name: draw(some[name]) for name in chosen})


cases = sheets().flatmap(lambda lines: st.tuples(st.just(lines), options_for(lines)))


def found(lines: Sequence[Line], options: Options) -> dict[int, Outcome]:
    """Return the outcomes of the program itself; raises Refused."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "x.csv")
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(lines)
        try:
            return _found(path, options)
        except UsageError:
            raise Refused(2) from None
        except InputError:
            raise Refused(4) from None


def settings_of(path: Path, options: Options) -> tuple[Reading, Meaning]:
    """Return the program's settings for options of the model."""
    reading = Reading(
        input=path,
        delimiter=",",
        header_row=options.header_row,
        rows=tuple(RowRange(first, last) for first, last in options.rows),
        where=tuple(Condition(name, text) for name, text in options.where),
        limit=options.limit,
    )
    told = SheetSettings(input=path, map=[f"{name}={target}" for name, target in options.map])
    meaning = Meaning(
        map=told.meaning.map,
        strict=options.strict,
        clear=options.clear,
        field_clears=options.field_clears,
        blank_clears=tuple(options.blank_clears),
        on_duplicate=options.on_duplicate,
        date_order=options.date_order,
        default_time=time.fromisoformat(options.default_time) if options.default_time else None,
        timezone=options.timezone,
        scale=Scale(*options.scale) if options.scale else None,
    )
    return reading, meaning


def _found(path: Path, options: Options) -> dict[int, Outcome]:
    reading, meaning = settings_of(path, options)
    with open_sheet(reading, meaning) as sheet, Store.scratch() as store:
        staged = stage_rows(sheet, store)
        if (refusal := refusal_by_columns(sheet)) is not None:
            raise refusal
        bodies = iter(store.staged.patches(1000, staged.generation))
        return {
            row.number: Outcome(
                row.state.value,  # type: ignore[arg-type]  # one of these, before a push
                _body(next(bodies)[1]) if row.state is State.PENDING else None,
                row.error,
            )
            for row in store.views.results(generation=staged.generation)
        }


def _body(text: str) -> dict[str, object]:
    body: dict[str, object] = json.loads(text)
    if isinstance(at := body.get("showing_date"), str):
        body["showing_date"] = datetime.fromisoformat(at).astimezone(UTC)
    return body


def or_refused(lines: Sequence[Line], options: Options, of: Any) -> dict[int, Outcome] | int:
    try:
        outcomes_: dict[int, Outcome] = of(lines, options)
    except Refused as refused:
        return refused.code
    return outcomes_


@given(cases)
def test_options_that_meet_do_what_each_of_them_says(case: tuple[list[list[str]], Options]) -> None:
    lines, options = case
    assert or_refused(lines, options, found) == or_refused(lines, options, outcomes)
