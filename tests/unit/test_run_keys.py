"""Keys among the other keys of their sheet, and of the sheet that they are compared with."""

from __future__ import annotations

from pathlib import Path

import pytest

from bulk_sync.job.comparison import Comparison
from bulk_sync.job.store import Store
from bulk_sync.model.comparison import RowClass
from bulk_sync.model.problems import Expected, Reason
from bulk_sync.model.rows import Result, State
from bulk_sync.plan import OnDuplicate
from bulk_sync.report.problems import message_of
from bulk_sync.run.rows import stage_rows
from bulk_sync.run.sheet import open_sheet
from bulk_sync.settings.meaning import Meaning
from bulk_sync.settings.reading import Reading

NFC, NFD = "caf\u00e9-1", "cafe\u0301-1"


def results(
    path: Path, keys: list[str], policy: OnDuplicate = "error", limit: int | None = None
) -> list[Result]:
    """The rows of a sheet with these keys and a rating of 4, the first with one of 3."""
    lines = [f"{key},{3 if number == 0 else 4}" for number, key in enumerate(keys)]
    text = "\n".join(["unique_showing_key,rating", *lines])
    path.write_text(text + "\n", encoding="utf-8")
    reading, meaning = Reading(input=path, limit=limit), Meaning(on_duplicate=policy)
    with open_sheet(reading, meaning) as sheet, Store.scratch() as store:
        return list(store.views.results(generation=stage_rows(sheet, store).generation))


def reasons(rows: list[Result]) -> list[Expected | None]:
    return [row.reasons[0].expected if row.reasons else None for row in rows]


def test_keys_that_all_end_in_zeros_are_refused(tmp_path: Path) -> None:
    rows = results(tmp_path / "x.csv", ["2026031400000010", "2026031400000020", "sh-1"])
    assert [row.error for row in rows] == ["bad_key", "bad_key", None]
    assert reasons(rows) == [Expected.UNROUNDED_KEY, Expected.UNROUNDED_KEY, None]
    assert [row.key for row in rows] == ["2026031400000010", "2026031400000020", "sh-1"]


def test_a_key_ends_in_zero_by_chance(tmp_path: Path) -> None:
    keys = [str(2026031400000008 + n) for n in range(5)]
    assert {row.state for row in results(tmp_path / "x.csv", keys)} == {State.PENDING}


def test_a_limit_judges_by_the_whole_column(tmp_path: Path) -> None:
    keys = [str(2026031400000010 + n) for n in range(5)]
    assert [row.state for row in results(tmp_path / "x.csv", keys, limit=1)] == [State.PENDING]


def test_rounded_keys_are_no_twins(tmp_path: Path) -> None:
    """Two keys that were rounded to one are two showings: neither names the other."""
    rows = results(tmp_path / "x.csv", ["2026031400000010", "2026031400000010"])
    assert reasons(rows) == [Expected.UNROUNDED_KEY, Expected.UNROUNDED_KEY]


@pytest.mark.parametrize("policy", ["error", "last", "merge"])
def test_decimals_of_a_table_library_are_refused(tmp_path: Path, policy: OnDuplicate) -> None:
    rows = results(tmp_path / "x.csv", ["1001.0", "", "1003.0"], policy)
    assert [row.error for row in rows] == ["bad_key", "missing_key", "bad_key"]
    assert reasons(rows)[0] is Expected.KEY_WITHOUT_POINT


def test_versions_are_no_decimals(tmp_path: Path) -> None:
    rows = results(tmp_path / "x.csv", ["1001.0", "1001.1"])
    assert {row.state for row in rows} == {State.PENDING}


@pytest.mark.parametrize("key", ["1.0", "2026031400000010"])
def test_a_key_that_somebody_vouches_for_is_sent(tmp_path: Path, key: str) -> None:
    (row,) = results(tmp_path / "x.csv", [key])
    assert 'if they are right as they are, write them in the form ="' in (
        message_of(row.reasons) or ""
    )
    (row,) = results(tmp_path / "x.csv", [f'"=""{key}"""'])
    assert (row.state, row.key) == (State.PENDING, key)


def test_a_key_with_an_invisible_character_is_a_twin(tmp_path: Path) -> None:
    rows = results(tmp_path / "x.csv", ["sh-1\u200b", "sh-2", "sh-1"])
    assert [row.error for row in rows] == ["bad_key", None, "duplicate_key"]
    assert reasons(rows) == [Expected.VISIBLE_KEY, None, Expected.ONE_SPELLING_A_KEY]
    assert rows[2].reasons[0].facts == {"rows": [2]}


def test_two_keys_with_invisible_characters_alone_are_each_refused(tmp_path: Path) -> None:
    rows = results(tmp_path / "x.csv", ["sh-1\u200b", "s\u00adh-1"])
    assert reasons(rows) == [Expected.VISIBLE_KEY, Expected.VISIBLE_KEY]


@pytest.mark.parametrize("keys", [[NFC, NFD], [NFD, NFC], ["x", NFC, NFD], [NFD, NFC, NFD]])
def test_keys_in_another_normal_form_are_twins(tmp_path: Path, keys: list[str]) -> None:
    """Also with the same values, because North has one of the keys."""
    rows = results(tmp_path / "x.csv", keys)
    twins = [row for row in rows if row.key != "x"]
    assert {row.error for row in twins} == {"duplicate_key"}
    assert {row.reasons[0].expected for row in twins} == {Expected.ONE_SPELLING_A_KEY}
    for row in twins:
        others = [other.number for other in twins if other is not row]
        assert row.reasons[0].facts == {"rows": others}


def test_a_key_alone_keeps_its_form(tmp_path: Path) -> None:
    (row,) = results(tmp_path / "x.csv", [NFD])
    assert (row.state, row.target) == (State.PENDING, NFD)


@pytest.mark.parametrize(
    ("keys", "policy", "states"),
    [
        ([NFC, NFD], "last", [State.SUPERSEDED, State.PENDING]),
        (["sh-1", "sh-1\u200b"], "last", [State.SUPERSEDED, State.INVALID]),
        (["sh-1\u200b", "sh-1"], "last", [State.SUPERSEDED, State.PENDING]),
        (["sh-1\u200b", "sh-1"], "merge", [State.INVALID, State.INVALID]),
        ([NFC, NFD], "merge", [State.SUPERSEDED, State.PENDING]),
    ],
)
def test_a_policy_decides_about_them_too(
    tmp_path: Path, keys: list[str], policy: OnDuplicate, states: list[State]
) -> None:
    assert [row.state for row in results(tmp_path / "x.csv", keys, policy)] == states


def test_equal_keys_in_one_form_are_twins_as_ever(tmp_path: Path) -> None:
    rows = results(tmp_path / "x.csv", ["x", NFD, NFD])
    assert [row.state for row in rows] == [State.PENDING, State.PENDING, State.SUPERSEDED]


# Comparisons


def compared(folder: Path, here: list[str], there: list[str]) -> dict[RowClass, list[Reason]]:
    """The classes of two sheets with these keys, and the reasons of the rows in each."""
    stores = [Store.scratch(), Store.scratch()]
    with stores[0] as first, stores[1] as second:
        for store, keys in ((first, here), (second, there)):
            path = folder / "x.csv"
            rows = [f"{key},4" for key in keys]
            path.write_text("\n".join(["unique_showing_key,rating", *rows]), encoding="utf-8")
            with open_sheet(Reading(input=path), Meaning()) as sheet:
                stage_rows(sheet, store)
        comparison = Comparison(first.database, second.database)
        comparison.settle(())
        found: dict[RowClass, list[Reason]] = {}
        for row_class in RowClass:
            if row_class is not RowClass.SAME:
                for row in comparison.rows(row_class):
                    found.setdefault(row_class, []).extend(row.reasons)
        if comparison.counts()[RowClass.SAME]:
            found[RowClass.SAME] = []
        return found


@pytest.mark.parametrize(
    ("here", "there"),
    [(NFC, NFD), (NFD, NFC), ("sh-1\u200b", "sh-1"), ("sh-1", "sh-1\u200b"), ("é", "e\u0301")],
)
def test_keys_that_look_the_same_meet(tmp_path: Path, here: str, there: str) -> None:
    """As one showing with a problem, not as two that are each missing on the other side."""
    found = compared(tmp_path, [here], [there])
    assert list(found) == [RowClass.PROBLEM]
    assert len(found[RowClass.PROBLEM]) == 1


def test_the_row_here_is_told_how_north_spells_its_key(tmp_path: Path) -> None:
    (reason,) = compared(tmp_path, [NFD], [NFC])[RowClass.PROBLEM]
    assert reason.expected is Expected.KEY_AS_NORTH_HAS_IT
    assert reason.facts == {"here": r"'cafe\u0301-1'", "there": r"'caf\xe9-1'"}


def test_the_same_key_in_the_same_form_is_the_same(tmp_path: Path) -> None:
    assert compared(tmp_path, [NFD, "a"], [NFD, "a"]) == {RowClass.SAME: []}


def test_each_row_meets_one_other(tmp_path: Path) -> None:
    found = compared(tmp_path, ["sh-1"], ["sh-1", "sh-1\u200b"])
    assert sum(len(each) for each in found.values()) >= 1
    assert RowClass.ONLY_HERE not in found
