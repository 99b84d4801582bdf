"""An explanation agrees with the check about each row, and says what each cell was read as."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from bulk_sync.errors import InputError, UsageError
from bulk_sync.explain import Wanted, explain, explain_kept
from bulk_sync.job.store import Store
from bulk_sync.model.explained import Explanation, KeptRow, ReadAs, RowExplained
from bulk_sync.model.rows import Outcome, State
from bulk_sync.report.explained import explanation_json, mapped_text, reasons_of
from bulk_sync.report.terminal.explained import show_explanation
from bulk_sync.run.rows import stage_rows
from bulk_sync.run.sheet import open_sheet
from bulk_sync.settings.meaning import Meaning
from bulk_sync.settings.reading import Reading
from bulk_sync.settings.sheet import SheetSettings
from tests.helpers import examples
from tests.models.sheets import Options
from tests.unit.checkpoints import stage
from tests.unit.test_options import cases, settings_of

ADDRESS = {"unique_showing_key", "showing_id", "report_id"}


def shown(explanation: Explanation, width: int | None = None) -> str:
    """The text on a terminal of this width; without a width, that in a file."""
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=width is not None, no_color=True)
    show_explanation(console, explanation)
    return out.getvalue()


def sheet_of(folder: Path, *lines: str) -> Path:
    path = folder / "x.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def explained(path: Path, number: int, **values: Any) -> RowExplained:
    values = {"timezone": "America/Chicago", **values}
    found = explain(SheetSettings(input=path, **values), Wanted(number), path.with_suffix(".no"))
    (row,) = found.rows
    return row


def why(path: Path, number: int, field: str, **values: Any) -> list[str]:
    """The reasons for what the cell of a field was read as."""
    values = {"timezone": "America/Chicago", **values}
    found = explain(SheetSettings(input=path, **values), Wanted(number), path.with_suffix(".no"))
    (cell,) = [cell for cell in found.rows[0].cells if cell.field == field]
    return list(reasons_of(cell, found.assumptions))


def rows_of_check(reading: Reading, meaning: Meaning) -> list[KeptRow]:
    with open_sheet(reading, meaning) as sheet, Store.scratch() as store:
        generation = stage_rows(sheet, store).generation
        numbers = store.views.numbers(generation)
        return [one for number in numbers for one in store.views.find(generation, number=number)]


@settings(max_examples=examples(0.4))
@given(cases, st.integers(0, 6))
def test_an_explanation_agrees_with_the_check_about_every_row(
    case: tuple[list[list[str]], Options], place: int
) -> None:
    lines, options = case
    with TemporaryDirectory() as folder:
        path = Path(folder, "x.csv")
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(lines)
        reading, meaning = settings_of(path, options)
        try:
            rows = rows_of_check(reading, meaning)
        except (InputError, UsageError) as refused:
            with pytest.raises(type(refused)):
                _of(reading, meaning, 2)
            return
        if not rows:
            return
        checked = rows[place % len(rows)]
        found = _of(reading, meaning, checked.result.number)
    (row,) = found.rows
    assert row.staged is not None
    assert (row.staged.body, row.staged.result) == (checked.body, checked.result)
    is_merged = options.on_duplicate == "merge"
    if checked.body is not None and checked.result.state is State.PENDING and not is_merged:
        read = {
            cell.field: cell.value
            for cell in row.cells
            if cell.read_as in {ReadAs.VALUE, ReadAs.CLEARED} and cell.field not in ADDRESS
        }
        assert read == json.loads(checked.body)
    unusable = {cell.field for cell in row.cells if cell.read_as is ReadAs.UNUSABLE}
    mapped = {cell.field for cell in row.cells}
    assert {one.field for one in checked.result.reasons} & mapped <= unusable
    assert [cell.cell for cell in row.cells if cell.place] == list(
        (*checked.result.cells, *("",) * len(row.cells))[: len(row.cells)]
    )
    assert json.dumps(explanation_json(found))
    assert str(row.number) in shown(found, width=30)


def _of(reading: Reading, meaning: Meaning, number: int) -> Explanation:
    settings_ = SheetSettings(reading=reading, meaning=meaning)
    return explain(settings_, Wanted(number), reading.input.with_suffix(".no"))


HEADER = "unique_showing_key,Date,Stars,Feedback,Start,End"


@pytest.mark.parametrize(
    ("line", "field", "values", "expected"),
    [
        (
            "a,03/04/2026 4:30 PM,,,,",
            "showing_date",
            {},
            [
                "numeric dates are month, day, year (the default; --date-order)",
                "times without an offset are in America/Chicago",
            ],
        ),
        ("a,2026-03-04T16:30:00Z,,,,", "showing_date", {}, []),
        (
            "a,14/3/2026 16:30,,,,",
            "showing_date",
            {"date_order": "dmy"},
            ["times without an offset are in America/Chicago"],
        ),
        (
            "a,2026-03-04,,,,",
            "showing_date",
            {"default_time": "09:00"},
            [
                "a date without a time means 09:00",
                "times without an offset are in America/Chicago",
            ],
        ),
        (
            "a,2026-03-04,,,16:30,",
            "showing_date",
            {},
            [
                "a showing_date without a time begins with showing_time_start",
                "times without an offset are in America/Chicago",
            ],
        ),
        (
            "a,2026-03-04 16:30,,,17:00,",
            "showing_time_start",
            {},
            [
                (
                    "a time without a date is on the day of the row's showing_date, "
                    "scheduled_date or start"
                ),
                "times without an offset are in America/Chicago",
            ],
        ),
        (
            "a,,7,,,",
            "rating",
            {"scale": 10},
            [
                (
                    "ratings are converted (--scale): 1 and 2 become 1, 3 and 4 become 2, "
                    "5 and 6 become 3, 7 and 8 become 4, 9 and 10 become 5"
                )
            ],
        ),
        (
            "a,,4,n/a,,",
            "feedback",
            {"clear": "n/a"},
            ["the cell's text clears the field (--clear or a profile)"],
        ),
        (
            "a,,4,,,",
            "feedback",
            {"blank_clears": ["feedback"]},
            ["a blank cell clears the field, as the profile says"],
        ),
        (
            "a,,super,,,",
            "rating",
            {"values": {"rating": {"super": 5}}},
            ["the profile's value for it is '5'"],
        ),
    ],
)
def test_each_cell_says_why_it_was_read_so(
    tmp_path: Path, line: str, field: str, values: dict[str, Any], expected: list[str]
) -> None:
    assert why(sheet_of(tmp_path, HEADER, line), 2, field, **values) == expected


def test_each_column_says_why_it_fills_its_field(tmp_path: Path) -> None:
    path = sheet_of(tmp_path, "unique_showing_key,Stars,Said,Other,,Skip", "a,4,Nice,x,,y")
    row = explained(
        path,
        2,
        map=["Said=feedback", "Skip="],
        constants={"event_type": "showing"},
        templates={"title": "House {Other}"},
    )
    assert [(cell.place, cell.field, cell.value, mapped_text(cell)) for cell in row.cells] == [
        ("A2", "unique_showing_key", "a", "the header is the field's name"),
        ("B2", "rating", 4, "the header is a usual name of the field"),
        ("C2", "feedback", "Nice", "mapped by --map or a profile"),
        ("D2", None, None, None),
        ("E2", None, None, None),
        ("F2", None, None, None),
        (None, "event_type", "showing", "made by the profile"),
        (None, "title", "House x", "made by the profile"),
    ]
    text = shown(explain(SheetSettings(input=path, map=["Skip="]), Wanted(2), tmp_path / "no"))
    assert "  F2 Skip: 'y'\n    ignored, as --map or a profile says\n" in text
    assert "  D2 Other: 'x'\n    ignored: no field has this name\n" in text


def test_what_is_wrong_with_a_row_is_at_its_cell_or_above_all(tmp_path: Path) -> None:
    path = sheet_of(tmp_path, HEADER, "a,,six,,,", "b,,4,Nice,,", "b,,5,Fine,,", ",,4,,,")
    sheet = SheetSettings(input=path, max_problems="100%")
    text = shown(explain(sheet, Wanted(2), tmp_path / "no"))
    assert "    rating, can't be used (the header is a usual name of the field)\n" in text
    assert "    rating: 'six' is not a rating from 1 to 5" in text
    assert text.count("'six' is not") == 1
    found = explain(sheet, Wanted(key="b"), tmp_path / "no")
    assert [row.number for row in found.rows] == [3, 4]
    assert "row 4 has the same showing" in shown(found)
    blank = explain(sheet, Wanted(5), tmp_path / "no")
    assert "unique_showing_key is blank" in shown(blank)


def test_a_row_that_is_left_out_is_explained_and_says_so(tmp_path: Path) -> None:
    path = sheet_of(tmp_path, HEADER, "a,,4,,,", "b,,5,,,")
    found = explain(SheetSettings(input=path, rows="2"), Wanted(3), tmp_path / "no")
    text = shown(found)
    assert "State:      left out by choice (--rows, --where, --limit)" in text
    assert 'PATCH b {"rating":5}' in text
    assert explanation_json(found)["rows"][0]["left_out"] is True


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(3), "row 3 is blank. * next to it there are rows 2 and 4"),
        (Wanted(9), "row 9 is not in the sheet. * next to it there is row 4"),
        (Wanted(1), "row 1 is not in the sheet. * next to it there is row 2"),
        (Wanted(key="sh-2"), "no row has the key or id 'sh-2'. Close to it: SH-1*"),
        (Wanted(key="zzz"), "no row has the key or id 'zzz'. The first ones are SH-1, B"),
    ],
)
def test_a_row_that_is_missing_is_answered_with_those_that_there_are(
    tmp_path: Path, wanted: Wanted, expected: str
) -> None:
    path = sheet_of(tmp_path, HEADER, "SH-1,,4,,,", ",,,,,", "B,,5,,,")
    with pytest.raises(InputError) as caught:
        explain(SheetSettings(input=path), wanted, tmp_path / "no")
    first, _, rest = expected.partition("*")
    assert first.strip() in str(caught.value)
    assert str(caught.value).endswith(rest.strip())


def test_damage_in_a_cell_is_told_in_the_words_of_the_check(tmp_path: Path) -> None:
    path = sheet_of(tmp_path, HEADER, "a,,4,CafÃ© kitchen,,")
    (note,) = why(path, 2, "feedback")
    assert note.startswith("1 cell was decoded wrongly by another program: column 'Feedback'")


def pushed(path: Path) -> Path:
    """A checkpoint with rows of a job: A acknowledged, B failed, C left out."""
    with Store.open(path) as store:
        stage(store, [("A", "1"), ("B", "2")], left_out=[("C", "3")])
        one, two = store.outbox.exchange(limit=2)
        at = "2026-03-14T16:30:00.000Z"
        store.outbox.exchange(
            [
                Outcome(one.id, State.UPDATED, 1, http_status=200, sent_at=at, duration_ms=500),
                Outcome(two.id, State.FAILED, 2, error="timeout", message="No reply", sent_at=at),
            ]
        )
    return path


def test_a_checkpoint_alone_explains_a_row_as_far_as_it_has_it(tmp_path: Path) -> None:
    path = pushed(tmp_path / "x.checkpoint.sqlite")
    found = explain_kept(path, Wanted(key="A"))
    (row,) = found.rows
    assert row.known["rating"].value == 1
    assert row.known["rating"].at == "2026-03-14T16:30:00.500Z"
    assert [cell.cell for cell in row.cells] == ["A", "1"]
    assert "rating 1, " in shown(found)
    assert "failed, attempts or time used up; No reply" in shown(explain_kept(path, Wanted(3)))
    assert "left out by choice" in shown(explain_kept(path, Wanted(4)))
    with pytest.raises(InputError, match="row 5 is not in the sheet"):
        explain_kept(path, Wanted(5))


def test_what_the_api_acknowledged_is_told_before_and_after_the_ledger_learnt_it(
    tmp_path: Path,
) -> None:
    path = pushed(tmp_path / "x.checkpoint.sqlite")
    before = explain_kept(path, Wanted(2)).rows[0].known
    with Store.open(path) as store:
        store.known.learn()
    assert explain_kept(path, Wanted(2)).rows[0].known == before
    with Store.open(path) as store:  # the next job of the same showing, on its way
        stage(store, [("A", "5")])
        store.outbox.exchange(limit=1)
    assert explain_kept(path, Wanted(2)).rows[0].known == {}


def test_a_purged_job_keeps_the_outcome_and_no_value(tmp_path: Path) -> None:
    path = pushed(tmp_path / "x.checkpoint.sqlite")
    with Store.open(path) as store:
        store.database.purge()
    text = shown(explain_kept(path, Wanted(2)))
    assert "removed by --purge" in text
    assert "Outcome:    updated" in text
    assert datetime.fromisoformat("2026-03-14T16:30:00Z").astimezone().isoformat(" ")[:19] in text


def test_times_and_texts_that_somebody_forged_are_shown_without_harm(tmp_path: Path) -> None:
    path = pushed(tmp_path / "x.checkpoint.sqlite")
    with Store.open(path) as store:
        store.database.connection.execute(
            "UPDATE outcome SET sent_at = '\x1b[2J', updated_at = '9999-99-99'"
        )
        store.database.connection.commit()
    assert "\x1b[2J" not in shown(explain_kept(path, Wanted(2)))
