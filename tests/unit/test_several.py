"""The sheets of one run, judged together: their rows as those of one sheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.errors import InputError
from bulk_sync.job.store import Store
from bulk_sync.model.rows import State
from bulk_sync.quantities import Share
from bulk_sync.report.problems import message_of
from bulk_sync.run.rows import stage_rows
from bulk_sync.run.several import Judged, judged_together
from bulk_sync.run.sheet import open_sheet
from bulk_sync.settings.sheet import SheetSettings

Policy = Literal["error", "last", "merge"]
HEADER = "unique_showing_key,showing_id,rating,title\n"
ONE, TWO = "3c90c3cc-0d44-4b50-8888-8dd25736052a", "3c90c3cc-0d44-4b50-8888-8dd25736052b"


class Judgable(NamedTuple):
    """A row as a run leaves it, without what only a message says."""

    state: State
    error: str | None
    patch: str | None


def settings_of(path: Path, policy: Policy = "error", **more: object) -> SheetSettings:
    return SheetSettings(input=path, on_duplicate=policy, **{"max_problems": "100%", **more})


def written(folder: Path, sheets: Sequence[Sequence[str]]) -> list[Path]:
    paths = [folder / f"{number}.csv" for number in range(len(sheets))]
    for path, rows in zip(paths, sheets, strict=True):
        path.write_text(HEADER + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return paths


def staged(settings: SheetSettings, judged: Judged) -> tuple[list[Judgable], list[str | None]]:
    """Stage a sheet as a push does; return its rows and the messages about them."""
    assert judged.error is None
    with (
        open_sheet(settings.reading, settings.meaning) as sheet,
        Store.scratch() as store,
    ):
        rows = stage_rows(sheet, store, judgement=judged.judgement)
        found = store.database.connection.execute(
            "SELECT state, error, iif(state = 'pending', body, NULL) FROM staged "
            "WHERE generation = ? ORDER BY id",
            (rows.generation,),
        ).fetchall()
        messages = [message_of(row.reasons) for row in store.views.results(generation=1)]
        return [Judgable(State(state), *rest) for state, *rest in found], messages


def run(all_settings: Sequence[SheetSettings]) -> tuple[list[list[Judgable]], list[str | None]]:
    with judged_together(all_settings) as all_judged:
        found = [staged(one, judged) for one, judged in zip(all_settings, all_judged, strict=True)]
    return [rows for rows, _ in found], [message for _, messages in found for message in messages]


KEYS = st.sampled_from(["a", "b", "c", "caf\u00e9", "cafe\u0301", ""])
IDS = st.sampled_from(["", "", "", ONE, TWO])
ROWS = st.builds(
    lambda key, id_, rating, title: f"{key},{id_},{rating},{title}",
    KEYS,
    IDS,
    st.sampled_from(["", "1", "2", "many"]),
    st.sampled_from(["", "x"]),
)


@given(
    sheets=st.lists(st.lists(ROWS, max_size=5), min_size=2, max_size=4),
    policy=st.sampled_from(["error", "last", "merge"]),
)
@pytest.mark.uncovered
def test_rows_of_several_sheets_end_like_those_of_one(
    sheets: list[list[str]], policy: Policy
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        together = [row for sheet in sheets for row in sheet]
        (one,) = written(folder, [together])
        (expected, _) = staged(settings_of(one, policy), Judged(0))
        paths = written(folder, sheets)
        found, _ = run([settings_of(path, policy) for path in paths])
        assert [row for rows in found for row in rows] == expected


@pytest.mark.parametrize(
    ("policy", "states", "patches"),
    [
        ("error", ["invalid", "invalid"], []),
        ("last", ["superseded", "pending"], ['{"rating":5}']),
        ("merge", ["superseded", "pending"], ['{"rating":5,"title":"Open"}']),
    ],
)
def test_different_values_follow_the_policy_and_each_message_names_the_other_file(
    tmp_path: Path, policy: Policy, states: list[str], patches: list[str]
) -> None:
    paths = written(tmp_path, [["a,,2,Open"], ["b,,1,", "a,,5,"]])
    found, messages = run([settings_of(path, policy) for path in paths])
    ((first,), (_, second)) = found
    assert [first.state.value, second.state.value] == states
    assert [row.patch for row in (first, second) if row.patch] == patches
    told = [message for message in messages if message]
    assert f"row 3 of {paths[1]}" in told[0]
    if policy == "error":
        assert f"row 2 of {paths[0]}" in told[1]
        assert "--on-duplicate last" in told[1]


def test_equal_values_are_sent_once_for_the_first_file(tmp_path: Path) -> None:
    paths = written(tmp_path, [["a,,2,"], ["a,,2,", "a,,2,"], ["b,,2,"]])
    found, messages = run([settings_of(path) for path in paths])
    assert [[row.state.value for row in rows] for rows in found] == [
        ["pending"],
        ["superseded", "superseded"],
        ["pending"],
    ]
    assert messages[1] == f"the same as row 2 of {paths[0]}, which is sent for both"


def test_a_message_names_a_row_of_another_file_among_many_of_its_own(tmp_path: Path) -> None:
    paths = written(tmp_path, [[f"a,,{1 + n % 2}," for n in range(9)], ["a,,5,"]])
    _, messages = run([settings_of(path) for path in paths])
    assert messages[0] is not None
    assert f"row 2 of {paths[1]} and 4 more have" in messages[0]


def test_a_sheet_that_cannot_be_read_takes_no_part(tmp_path: Path) -> None:
    paths = written(tmp_path, [["a,,2,"], ["a,,5,"]])
    paths[1].write_bytes(paths[1].read_bytes() + b'c,,1,"cut')
    with judged_together([settings_of(path) for path in paths]) as (first, second):
        assert isinstance(second.error, InputError)
        rows, _ = staged(settings_of(paths[0]), first)
    assert [row.state for row in rows] == [State.PENDING]


def test_a_refused_sheet_contradicts_others_and_is_never_sent_for_them(tmp_path: Path) -> None:
    bad = ["x,,many,", "y,,many,", "z,,many,"]
    paths = written(tmp_path, [["a,,2,", "b,,2,", *bad], ["a,,2,", "b,,5,", "c,,1,"]])
    strict = [settings_of(path, max_problems="50%") for path in paths]
    assert strict[0].stopping.max_problems == Share(percent=50)
    found, _ = run(strict)
    assert [row.state.value for row in found[1]] == ["pending", "invalid", "pending"]


def test_a_sheet_that_is_refused_because_of_another_takes_no_place(tmp_path: Path) -> None:
    """Merged into a sheet that is not sent, values would be lost."""
    paths = written(tmp_path, [["a,,2,"], ["a,,,x", "b,,many,", "c,,many,"]])
    found, messages = run([settings_of(path, "merge", max_problems="50%") for path in paths])
    assert [row.error for row in found[0]] == ["duplicate_key"]
    assert f"row 2 of {paths[1]}" in (messages[0] or "")


def test_a_sheet_is_not_sent_otherwise_than_it_was_judged(tmp_path: Path) -> None:
    paths = written(tmp_path, [["a,,2,"], ["b,,5,"]])
    all_settings = [settings_of(path) for path in paths]
    with judged_together(all_settings) as (_, second):
        written(tmp_path, [["a,,2,"], ["a,,5,"]])
        with open_sheet(all_settings[1].reading, all_settings[1].meaning) as sheet:
            assert second.judgement is not None
            with pytest.raises(InputError, match="changed after it was compared"):
                second.judgement.refuse_if_changed(sheet)


def test_sheets_with_showings_in_common_are_in_one_circle(tmp_path: Path) -> None:
    paths = written(tmp_path, [["a,,2,"], ["b,,5,"], ["c,,1,", "a,,2,"], ["c,,1,"]])
    with judged_together([settings_of(path) for path in paths]) as all_judged:
        circles = [judged.circle for judged in all_judged]
        elsewhere = [one.judgement.elsewhere for one in all_judged if one.judgement]
    assert circles[0] == circles[2] == circles[3] != circles[1]
    assert [bool(digest) for digest in elsewhere] == [True, False, True, True]


def test_rows_are_counted_over_all_files_while_they_are_read(tmp_path: Path) -> None:
    paths = written(tmp_path, [["a,,2,"], ["b,,5,", "c,,5,"]])
    seen: list[int] = []
    with judged_together([settings_of(path) for path in paths], seen.append) as all_judged:
        assert seen == [3]
        assert [judged.rows for judged in all_judged] == [1, 2]
