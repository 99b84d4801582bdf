"""Nightly sheets: exactly what changed reaches the API, and an undo file puts it back."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bulk_sync.job.lock import held
from tests.conftest import Program, Sandboxes
from tests.faultserver import fault_server, for_keys, good, in_turn, resets
from tests.helpers import Witness, read_csv, write_sheet

HEADER = ("unique_showing_key", "feedback", "rating", "showing_date")
Sheet = dict[str, tuple[str, int, str]]


@pytest.fixture
def witness(sandboxes: Sandboxes) -> Iterator[Witness]:
    with sandboxes() as witness:
        yield witness


def write(path: Path, sheet: Sheet, *, order: random.Random | None = None) -> Path:
    rows = [(key, *values) for key, values in sheet.items()]
    if order is not None:
        order.shuffle(rows)
    return write_sheet(path, rows, HEADER)


def bodies(witness: Witness, after: int) -> dict[str, Any]:
    """What was sent after that line of the journal, by key; each showing once."""
    entries = witness.patches(after)
    assert len({entry["key"] for entry in entries}) == len(entries)
    return {entry["key"]: json.loads(entry["body"]) for entry in entries}


def last(witness: Witness) -> int:
    return max((entry["seq"] for entry in witness.journal()), default=0)


def test_each_night_exactly_the_changed_fields_are_sent(
    program: Program, witness: Witness, tmp_path: Path
) -> None:
    dice = random.Random(7)
    sheet: Sheet = {
        f"ext_{n}": (f"Liked it {n}", n % 5 + 1, "2026-03-14T15:00:00Z") for n in range(60)
    }
    path = tmp_path / "showings.csv"
    push = ["push", path, "--base-url", witness.base_url, "--only-changed", "--json"]
    program(
        "push", write(path, sheet), "--base-url", witness.base_url
    )  # the first night needs no option
    changed: dict[str, dict[str, Any]] = {}
    for night in range(5):
        changed = {key: {"rating": sheet[key][1] % 5 + 1} for key in dice.sample(sorted(sheet), 4)}
        sheet |= {
            key: (sheet[key][0], patch["rating"], sheet[key][2]) for key, patch in changed.items()
        }
        # The same instant in other words is no change.
        sheet["ext_0"] = (*sheet["ext_0"][:2], f"2026-03-14T{15 + night}:00:00+0{night}:00")
        new = {f"new_{night}": ("Just added", 3, "2026-03-15T10:00:00Z")}
        sheet |= new
        before = last(witness)
        write(path, sheet, order=dice)
        ran = program(*push, *(["--fresh"] if night == 3 else []))
        assert ran.code == 0
        added = {
            f"new_{night}": {
                "feedback": "Just added",
                "rating": 3,
                "showing_date": "2026-03-15T10:00:00Z",
            }
        }
        assert bodies(witness, before) == changed | added
        assert ran.summary["states"]["updated"] == 5
        assert ran.summary["states"]["unchanged"] == len(sheet) - 5
    rows = {row["unique_showing_key"]: row for row in read_csv(tmp_path / "showings.results.csv")}
    some = next(key for key in sheet if rows[key]["state"] == "unchanged")
    assert (rows[some]["attempts"], rows[some]["sent_at"]) == ("0", "")
    assert rows[next(iter(changed))]["fields"] == "rating"


def test_a_lost_answer_leaves_nothing_to_rely_on(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    one: Sheet = {"ext_1": ("Bright", 4, "2026-03-14T15:00:00Z")}
    two: Sheet = {"ext_1": ("Bright", 5, "2026-03-14T15:00:00Z")}
    with fault_server(for_keys({"ext_1": in_turn(good, resets, good)})) as journal:
        push = ("push", path, "--base-url", journal.base_url, "--only-changed")
        write(path, one)
        assert program(*push).code == 0
        write(path, two)
        assert program(*push, "--max-attempts", 1).code == 3
        # Back to what was acknowledged last: not to be left out, for the 5 may have arrived.
        write(path, one)
        assert program(*push).code == 0
    assert [request.patch for request in journal.of("ext_1")][1:] == [{"rating": 5}, {"rating": 4}]


def test_an_undo_file_puts_back_what_was_there(
    program: Program, witness: Witness, tmp_path: Path
) -> None:
    path, undo = tmp_path / "x.csv", tmp_path / "undo.csv"
    one: Sheet = {
        f"ext_{n}": (f'=Was, \n"{n}" ½', n % 5 + 1, f"2026-03-1{n}T15:00:00Z") for n in range(5)
    }
    two = {key: (f"Now {key}", 5, "2026-04-01T09:30:00-05:00") for key in [*one, "ext_9"]}
    push = ["push", path, "--base-url", witness.base_url]
    write(path, one)
    program(*push)
    before = {key: witness.showing(key) for key in one}
    write(path, two)
    ran = program(*push, "--undo-file", undo, "--json")
    assert ran.summary["undo"] == str(undo)
    assert "can't be restored" in " ".join(ran.summary["notes"])
    assert [row["unique_showing_key"] for row in read_csv(tmp_path / "undo.unknown.csv")] == [
        "ext_9"
    ]
    back = program("push", undo, "--base-url", witness.base_url, "--strict", "--json")
    assert (back.code, back.summary["rows"]) == (0, 5)
    for key, showing in before.items():
        now = witness.showing(key)
        assert {name: now[name] for name in showing if name != "updated_at"} == {
            name: value for name, value in showing.items() if name != "updated_at"
        }


def test_a_shared_ledger_knows_what_a_sheet_of_another_name_set(
    program: Program, witness: Witness, tmp_path: Path
) -> None:
    ledger = tmp_path / "north.ledger"
    sheet: Sheet = {
        "ext_1": ("Bright", 4, "2026-03-14T15:00:00Z"),
        "ext_2": ("Dark", 2, "2026-03-14T16:00:00Z"),
    }
    push = ["--base-url", witness.base_url, "--ledger", ledger, "--only-changed", "--json"]
    assert (
        program("push", write(tmp_path / "monday.csv", sheet), *push).summary["states"]["updated"]
        == 2
    )
    sheet["ext_2"] = ("Dark", 3, "2026-03-14T16:00:00Z")
    before = last(witness)
    ran = program("push", write(tmp_path / "tuesday.csv", sheet), *push)
    assert bodies(witness, before) == {"ext_2": {"rating": 3}}
    assert ran.summary["states"]["unchanged"] == 1


def test_a_job_that_gets_a_shared_ledger_brings_what_it_knows(
    program: Program, witness: Witness, tmp_path: Path
) -> None:
    ledger = tmp_path / "north.ledger"
    sheet: Sheet = {
        "ext_1": ("Bright", 4, "2026-03-14T15:00:00Z"),
        "ext_2": ("Dark", 2, "2026-03-14T16:00:00Z"),
    }
    path = write(tmp_path / "x.csv", sheet)
    push = ("push", path, "--base-url", witness.base_url, "--only-changed", "--json")
    assert program(*push).code == 0
    before = last(witness)
    assert program(*push, "--ledger", ledger).code == 0
    for asked in (("--ledger", ledger), ()):  # the checkpoint knows where its ledger is now
        compared = program("reconcile", path, "--with", "ledger", *asked, "--json")
        assert (compared.code, compared.summary["classes"]["same"]) == (0, 2)
        assert compared.summary["ledger"]["path"] == str(ledger)
    other: Sheet = {**sheet, "ext_2": ("Dark", 3, "2026-03-14T16:00:00Z")}
    second = ("push", write(tmp_path / "y.csv", other), *push[2:], "--ledger", ledger)
    assert program(*second).code == 0
    assert bodies(witness, before) == {"ext_2": {"rating": 3}}
    # Without the option the job goes on with the ledger that it used last.
    before = last(witness)
    write(path, sheet | {"ext_1": ("Sunny", 4, "2026-03-14T15:00:00Z")})
    ran = program(*push)
    assert str(ledger) in " ".join(ran.summary["notes"])
    assert bodies(witness, before) == {"ext_1": {"feedback": "Sunny"}, "ext_2": {"rating": 2}}
    # Once it is gone, nothing is known.
    before = last(witness)
    ledger.unlink()
    write(path, sheet)
    ran = program(*push)
    assert "is missing" in " ".join(ran.summary["notes"])
    assert bodies(witness, before).keys() == sheet.keys()


RATED = ("unique_showing_key", "rating")


@pytest.mark.parametrize("ledger", [(), ("--ledger", "north.ledger")])
def test_an_undo_changes_what_the_ledger_of_its_sheet_knows(
    program: Program, witness: Witness, tmp_path: Path, ledger: tuple[str, ...]
) -> None:
    (tmp_path / "undos").mkdir()
    path, undo = tmp_path / "x.csv", tmp_path / "undos" / "back.csv"
    to = ("--base-url", witness.base_url, "--only-changed")
    for ratings in ((4, 2), (5, 2)):
        write_sheet(path, [("ext_1", ratings[0]), ("ext_2", ratings[1])], RATED)
        assert program("push", path, *to, *ledger, "--undo-file", undo).code == 0
    redo = ("--undo-file", tmp_path / "redo.csv")
    assert program("push", undo, *to, *redo).code == 0
    assert witness.showing("ext_1")["rating"] == 4
    assert [row["rating"] for row in read_csv(redo[1])] == ["5"]  # the undo can be undone
    compared = program("reconcile", path, "--with", "ledger", "--json")
    assert compared.summary["fields"] == {"rating": 1}
    before = last(witness)
    write_sheet(path, [("ext_1", 5), ("ext_2", 3)], RATED)
    assert program("push", path, *to).code == 0
    assert bodies(witness, before) == {"ext_1": {"rating": 5}, "ext_2": {"rating": 3}}


@pytest.mark.parametrize("by_mark", [True, False])
@pytest.mark.parametrize("name", ["x.csv", "x.tsv"])
def test_corrected_rows_change_what_the_ledger_of_their_sheet_knows(
    program: Program, witness: Witness, tmp_path: Path, name: str, *, by_mark: bool
) -> None:
    path, out = tmp_path / name, tmp_path / "out"
    to = ("--base-url", witness.base_url, "--only-changed", "--out", out)
    failed = out / f"{name.removesuffix('.csv')}.failed.csv"
    delimiter = ("--delimiter", ",")
    monday = [("ext_1", 3), ("ext_2", 4)]
    write_sheet(path, monday, RATED)
    assert program("push", path, *to, *delimiter).code == 0
    write_sheet(path, [("ext_1", 3), ("ext_2", 9)], RATED)
    assert program("push", path, *to, *delimiter).code == 3
    failed.write_text(failed.read_text("utf-8-sig").replace(",9,", ",7,"), "utf-8")
    assert program("push", failed, *to).code == 4  # wrong again, so there are two generations
    again = failed.with_name(f"{failed.stem}.failed.csv")
    if by_mark:
        corrected = tmp_path / "corrected.csv"
        corrected.write_text(again.read_text("utf-8-sig").replace(",7,", ",5,", 1), "utf-8")
        again = corrected
    else:
        write_sheet(again, [("ext_2", 5)], RATED)
    ran = program("push", again, *to, "--json")
    assert "as for the sheet that this file was made from" in " ".join(ran.summary["notes"])
    before = last(witness)
    write_sheet(path, monday, RATED)
    assert program("push", path, *to, *delimiter).code == 0
    assert bodies(witness, before) == {"ext_2": {"rating": 4}}


@pytest.mark.parametrize("only_changed", [(), ("--only-changed",)])
@pytest.mark.parametrize("ledger", [(), ("--ledger", "north.ledger")])
def test_a_finished_sheet_is_sent_again_where_others_changed_its_showings(
    program: Program,
    witness: Witness,
    tmp_path: Path,
    ledger: tuple[str, ...],
    only_changed: tuple[str, ...],
) -> None:
    path, undo = tmp_path / "x.csv", tmp_path / "x.undo.csv"
    to = ("--base-url", witness.base_url, *ledger, *only_changed)
    write_sheet(path, [("ext_1", 4), ("ext_2", 2), ("ext_3", 1)], RATED)
    assert program("push", path, *to).code == 0
    write_sheet(path, [("ext_1", 5), ("ext_2", 2), ("ext_3", 1)], RATED)
    assert program("push", path, *to, "--undo-file", undo).code == 0
    other = undo
    if ledger:  # another sheet of the ledger, with the showing by its id in North
        other = tmp_path / "y.csv"
        known = witness.showing("ext_2")["id"]
        write_sheet(other, [(known, "", 3)], ("showing_id", *RATED))
    assert program("push", other, *to).code == 0
    before = last(witness)
    ran = program("push", path, *to, "--json")
    assert ran.code == 0
    assert "Not taken for done any more: 1 row" in " ".join(ran.summary["notes"])
    expected = {"ext_2": {"rating": 2}} if ledger else {"ext_1": {"rating": 5}}
    assert bodies(witness, before) == expected
    before = last(witness)
    assert program("push", path, *to).code == 0  # and now it is done
    assert bodies(witness, before) == {}
    if ledger:  # the other one is not
        assert program("push", other, *to).code == 0
        assert [*bodies(witness, before).values()] == [{"rating": 3}]


def test_a_file_whose_sheet_is_not_there_says_so(
    program: Program, witness: Witness, tmp_path: Path
) -> None:
    path, undo, moved = tmp_path / "x.csv", tmp_path / "back.csv", tmp_path / "a" / "b" / "back.csv"
    to = ("--base-url", witness.base_url, "--undo-file", undo)
    for rating in (4, 5):
        write_sheet(path, [("ext_1", rating)], RATED)
        assert program("push", path, *to).code == 0
    moved.parent.mkdir(parents=True)
    undo.rename(moved)
    checkpoint = (tmp_path / "x.checkpoint.sqlite").rename(tmp_path / "y.checkpoint.sqlite")
    push = ("push", moved, *to[:2], "--json")
    told = program(*push).summary["notes"]
    assert any("is not there, so its ledger does not learn" in note for note in told)
    assert witness.showing("ext_1")["rating"] == 4
    # Named, the ledger learns what the undo sent; and whose it is is known from then on.
    assert program(*push, "--ledger", checkpoint).code == 0
    assert any(f"is {checkpoint}, as before" in note for note in program(*push).summary["notes"])
    before = last(witness)
    assert program("push", path, *to[:2], "--checkpoint", checkpoint).code == 0
    assert bodies(witness, before) == {"ext_1": {"rating": 5}}


def test_while_a_sheet_is_pushed_no_file_made_from_it_is(
    program: Program, witness: Witness, tmp_path: Path
) -> None:
    path, undo = tmp_path / "x.csv", tmp_path / "x.undo.csv"
    to = ("--base-url", witness.base_url)
    write_sheet(path, [("ext_1", 4)], RATED)
    assert program("push", path, *to).code == 0
    write_sheet(undo, [("ext_1", 3)], RATED)
    with held(tmp_path / "x.checkpoint.sqlite"):
        assert program("push", undo, *to).code == 7


def test_a_damaged_ledger_of_a_sheet_does_not_keep_its_corrected_rows_back(
    program: Program, witness: Witness, tmp_path: Path
) -> None:
    path, undo = tmp_path / "x.csv", tmp_path / "x.undo.csv"
    checkpoint = tmp_path / "x.checkpoint.sqlite"
    to = ("--base-url", witness.base_url)
    write_sheet(path, [("ext_1", 4)], RATED)
    assert program("push", path, *to).code == 0
    checkpoint.write_bytes(checkpoint.read_bytes()[:8192])
    damaged = checkpoint.read_bytes()
    write_sheet(undo, [("ext_1", 3)], RATED)
    ran = program("push", undo, *to, "--json")
    assert ran.code == 0
    assert "damaged" in " ".join(ran.summary["notes"])
    assert checkpoint.read_bytes() == damaged
    assert program("push", undo, *to, "--ledger", checkpoint).code == 4


@pytest.mark.parametrize("option", ["--undo-file", "--ledger"])
def test_no_file_takes_the_place_of_another(
    program: Program, witness: Witness, tmp_path: Path, option: str
) -> None:
    sheet = write(tmp_path / "x.csv", {"ext_1": ("Bright", 4, "2026-03-14T15:00:00Z")})
    content = sheet.read_bytes()
    assert program("push", sheet, "--base-url", witness.base_url, option, sheet).code == 2
    assert sheet.read_bytes() == content
    assert not witness.patches()


def test_an_undo_file_that_cannot_be_written_ends_the_run_at_the_start(
    program: Program, witness: Witness, tmp_path: Path
) -> None:
    sheet = write(tmp_path / "x.csv", {"ext_1": ("Bright", 4, "2026-03-14T15:00:00Z")})
    ran = program(
        "push",
        sheet,
        "--base-url",
        witness.base_url,
        "--undo-file",
        tmp_path / "nowhere" / "undo.csv",
    )
    assert ran.code == 8
    assert not witness.patches()
