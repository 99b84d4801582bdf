"""After a comparison, only what differs is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from openpyxl import load_workbook

from tests.conftest import Program, Sandboxes
from tests.faultserver import fault_server, for_keys, good, in_turn, refuses
from tests.helpers import KEY, Witness, read_csv, write_sheet
from tests.sheets import EXAMPLE, copy, last, sent, some, write


@pytest.fixture
def witness(sandboxes: Sandboxes) -> Iterator[Witness]:
    with sandboxes() as witness:
        yield witness


def test_only_the_fields_that_differ_are_sent_and_then_nothing_differs(
    program: Program, witness: Witness, tmp_path: Path
) -> None:
    there = some(20)
    here = copy(there)
    here["ext_3"]["rating"] = "5"
    here["ext_7"] |= {"feedback": "Said: “too small”,\nthen left", "interested": "no"}
    here["ext_9"]["feedback"] = ""  # blank: keep
    here["new"] = dict(EXAMPLE)
    a, b = write(tmp_path / "a.csv", here), write(tmp_path / "b.csv", there)
    push = [
        "reconcile",
        a,
        "--with",
        b,
        "--push",
        "--base-url",
        witness.base_url,
        "--rate",
        "1000/s",
        "--json",
    ]
    ran = program(*push)
    assert sent(witness) == {
        "ext_3": {"rating": 5},
        "ext_7": {"feedback": "Said: “too small”,\nthen left", "interested": False},
    }
    assert (ran.code, ran.summary["push"]["states"]["updated"]) == (3, 2)  # one is only here
    # The sheet was never pushed, so no checkpoint of it is missing.
    assert not any("is not there" in note for note in ran.summary["push"]["notes"])
    assert [row["state"] for row in read_csv(tmp_path / "a.changes.results.csv")] == [
        "updated",
        "updated",
    ]
    del here["new"]
    write(a, here)
    before = last(witness)
    assert program(*push).code == 0  # the export shows the old values, so they are sent again
    assert set(sent(witness, before)) == {"ext_3", "ext_7"}
    assert program("reconcile", a, "--with", write(b, here)).code == 0


def test_a_cell_changed_on_both_sides_is_listed_and_not_sent_unless_preferred(
    program: Program, witness: Witness, tmp_path: Path
) -> None:
    base = some(6)
    here, there = copy(base), copy(base)
    here["ext_1"]["rating"] = "5"  # only here
    there["ext_2"]["feedback"] = "Somebody else's words"  # only there
    here["ext_3"]["feedback"], there["ext_3"]["feedback"] = "My words", "Their words"
    here["ext_3"]["interested"] = "no"  # and a change of ours in the same row
    here["ext_4"]["rating"] = there["ext_4"]["rating"] = "1"  # the same change
    paths = {
        name: write(tmp_path / f"{name}.csv", sheet)
        for name, sheet in zip("abo", (here, there, base), strict=True)
    }
    command = [
        "reconcile",
        paths["a"],
        "--with",
        paths["b"],
        "--base",
        paths["o"],
        "--results",
        tmp_path / "d.csv",
    ]
    ran = program(*command)
    assert ran.code == 3
    assert "1 value was changed only there since the base" in ran.out
    assert (
        "1 value was changed on both sides since the base: a conflict, not sent "
        "(--prefer here sends the value here)."
    ) in ran.out
    changed = {
        (row["unique_showing_key"], row["field"]): row["changed_by"]
        for row in read_csv(tmp_path / "d.csv")
    }
    assert changed == {
        ("ext_1", "rating"): "here",
        ("ext_2", "feedback"): "there",
        ("ext_3", "feedback"): "both",
        ("ext_3", "interested"): "here",
    }
    push = [*command, "--push", "--base-url", witness.base_url, "--rate", "1000/s"]
    assert program(*push).code == 3
    assert sent(witness) == {"ext_1": {"rating": 5}, "ext_3": {"interested": False}}
    before = last(witness)
    assert program(*push, "--prefer", "here").code == 0
    assert sent(witness, before)["ext_3"] == {"feedback": "My words", "interested": False}
    assert "ext_2" not in sent(witness)


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_the_exported_template_can_be_edited_and_pushed(
    program: Program, witness: Witness, tmp_path: Path, ending: str
) -> None:
    base = {"0012": dict(EXAMPLE), "ext_1": dict(EXAMPLE), "ext_2": dict(EXAMPLE)}
    here, there = copy(base), copy(base)
    here["0012"] |= {
        "feedback": '=SUM(1), "quoted"\nand more',
        "showing_date": "2026-05-01T10:00:00+02:00",
    }
    here["ext_1"]["rating"], there["ext_1"]["rating"] = "1", "2"
    here["ext_2"]["interested"] = "no"
    template = tmp_path / f"t.{ending}"
    sheets = [
        write(tmp_path / f"{name}.csv", sheet)
        for name, sheet in (("a", here), ("b", there), ("o", base))
    ]
    ran = program(
        "reconcile",
        sheets[0],
        "--with",
        sheets[1],
        "--base",
        sheets[2],
        "--export-template",
        template,
    )
    assert f"To edit:    {template}" in ran.out
    if ending == "csv":
        rows = read_csv(template)
        assert rows[1]["rating"] == ""  # a conflict, left to a person
        assert json.loads(rows[1]["reconcile_conflicts"]) == {
            "rating": {"here": 1, "there": 2, "base": 4}
        }
        rows[1]["rating"] = "3"
        write_sheet(template, [tuple(row.values()) for row in rows], tuple(rows[0]))
    else:
        book = load_workbook(template)
        columns = [cell.value for cell in book.active[1]]
        book.active.cell(3, columns.index("rating") + 1).value = 3
        book.save(template)
    assert program("push", template, "--base-url", witness.base_url).code == 0
    assert sent(witness) == {
        "0012": {
            "feedback": '=SUM(1), "quoted"\nand more',
            "showing_date": "2026-05-01T10:00:00+02:00",
        },
        "ext_1": {"rating": 3},
        "ext_2": {"interested": False},
    }


def test_the_results_of_a_push_can_be_edited_and_pushed(
    program: Program, witness: Witness, tmp_path: Path
) -> None:
    sheet = write(tmp_path / "a.csv", some(3))
    assert program("push", sheet, "--base-url", witness.base_url).code == 0
    rows = read_csv(tmp_path / "a.results.csv")
    edited = write_sheet(
        tmp_path / "edited.csv", [(*row.values(), "5") for row in rows], (*rows[0], "rating")
    )
    before = last(witness)
    assert program("push", edited, "--base-url", witness.base_url).code == 0
    assert [json.loads(entry["body"])["rating"] for entry in witness.patches(before)] == [
        5,
        5,
        5,
    ]


def test_a_cleared_value_is_sent_as_null_even_if_its_token_is_somebodys_text(
    program: Program, witness: Witness, tmp_path: Path
) -> None:
    there = some(3)
    here = copy(there)
    here["ext_0"]["feedback"] = "(none)"
    here["ext_1"]["feedback"] = "NULL"
    a, b = write(tmp_path / "a.csv", here), write(tmp_path / "b.csv", there)
    program(
        "reconcile",
        a,
        "--with",
        b,
        "--clear",
        "(none)",
        "--push",
        "--base-url",
        witness.base_url,
        "--rate",
        "99/s",
    )
    assert sent(witness) == {"ext_0": {"feedback": None}, "ext_1": {"feedback": "NULL"}}


def test_against_the_ledger_what_was_acknowledged_is_the_other_side(
    program: Program, witness: Witness, tmp_path: Path
) -> None:
    sheet = some(5)
    path = write(tmp_path / "a.csv", sheet)
    assert program("reconcile", path, "--with", "ledger").code == 4  # never pushed
    assert program("push", path, "--base-url", witness.base_url).code == 0
    assert program("reconcile", path, "--with", "ledger").code == 0
    sheet["ext_2"]["rating"] = "5"
    sheet["new"] = dict(EXAMPLE)
    write(path, sheet)
    ran = program("reconcile", path, "--with", "ledger", "--json")
    assert (ran.code, ran.summary["classes"]["differs"], ran.summary["classes"]["only_here"]) == (
        3,
        1,
        1,
    )
    before = last(witness)
    push = ["--push", "--base-url", witness.base_url, "--rate", "1000/s"]
    assert program("reconcile", path, "--with", "ledger", *push).code == 0
    assert set(sent(witness, before)) == {"ext_2", "new"}
    assert sent(witness, before)["ext_2"] == {"rating": 5}
    assert program("reconcile", path, "--with", "ledger").code == 0


def test_what_a_reconcile_changes_is_not_taken_for_known_by_the_sheets_own_ledger(
    program: Program, witness: Witness, tmp_path: Path
) -> None:
    sheet = some(3)
    path = write(tmp_path / "a.csv", sheet)
    to = ["--base-url", witness.base_url, "--rate", "1000/s"]
    assert program("push", path, *to).code == 0
    edited = copy(sheet)
    edited["ext_1"]["rating"] = "5"
    other = write(tmp_path / "b.csv", sheet)
    write(path, edited)
    assert program("reconcile", path, "--with", other, "--push", *to).code == 0
    write(path, sheet)  # and back again
    before = last(witness)
    assert program("push", path, "--only-changed", *to).code == 0
    assert sent(witness, before)["ext_1"]["rating"] == 2


def test_a_shared_ledger_can_be_the_other_side(
    program: Program, witness: Witness, tmp_path: Path
) -> None:
    path, ledger = write(tmp_path / "a.csv", some(3)), tmp_path / "north.ledger"
    to = ["--ledger", ledger, "--base-url", witness.base_url]
    assert program("reconcile", path, "--with", "ledger", *to).code == 4
    assert program("push", path, *to).code == 0
    assert (
        program("reconcile", write(tmp_path / "b.csv", some(3)), "--with", "ledger", *to).code == 0
    )


def test_a_ledger_answers_only_for_its_own_address_and_key(
    program: Program, witness: Witness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, shared = write(tmp_path / "a.csv", some(2)), tmp_path / "north.ledger"
    compare = ("reconcile", path, "--with", "ledger")
    elsewhere = ("--base-url", "https://north.example.com")
    assert program("push", path, "--sandbox").code == 0
    for asked in (elsewhere, ()):
        refused = program(*compare, *asked)
        assert (refused.code, "rehearsal" in refused.err) == (2, True)
    assert "the sandbox of a rehearsal" in program(*compare, "--sandbox").out.splitlines()[0]

    for ledger in ((), ("--ledger", shared)):
        if ledger:
            compare = ("reconcile", path := write(tmp_path / "b.csv", some(2)), *compare[2:])
        assert program("push", path, "--base-url", witness.base_url, *ledger).code == 0
        equal = program(*compare, *ledger)
        assert (equal.code, witness.base_url in equal.out.splitlines()[0]) == (0, True)
        told = program(*compare, *ledger, "--json").summary["ledger"]
        assert told == {"base_url": witness.base_url, "path": str(shared) if ledger else None}
        refused = program(*compare, *ledger, *elsewhere)
        assert refused.code == 2
        assert witness.base_url in refused.err
        assert elsewhere[1] in refused.err
        with monkeypatch.context() as other:
            other.setenv("NORTH_API_KEY", KEY + "other")
            refused = program(*compare, *ledger)
            assert (refused.code, "another API key" in refused.err) == (2, True)
            assert program(*compare, *ledger, "--new-key").code == 0
            other.delenv("NORTH_API_KEY")
            assert program(*compare, *ledger).code == 0


@pytest.mark.parametrize("pushed_before", [True, False])
def test_changes_that_were_cut_off_go_on_where_they_were(
    program: Program, tmp_path: Path, pushed_before: bool
) -> None:
    sheet = some(4)
    a = write(tmp_path / "a.csv", sheet)
    there = copy(sheet)
    for showing in there.values():
        showing["rating"] = "5" if showing["rating"] != "5" else "4"
    b = write(tmp_path / "b.csv", there)
    cut_off = in_turn(*[good] * pushed_before, refuses(401, "expired"), good)
    with fault_server(for_keys({"ext_1": cut_off})) as server:
        to = ("--base-url", server.base_url, "--rate", "1000/s", "--workers", "1")

        def patched() -> list[str]:
            return [one.key for one in server.requests if one.method == "PATCH"]

        if pushed_before:
            assert program("push", a, *to).code == 0
        push = ("reconcile", a, "--with", b, "--push", *to)
        assert program(*push).code == 5
        sent = patched()
        assert program(*push).code == 0
        assert patched()[len(sent) :] == ["ext_2", "ext_3", "ext_1"]
        # Now they are complete, so the export is taken at its word.
        sent = patched()
        assert program(*push).code == 0
        assert sorted(patched()[len(sent) :]) == [*sheet]


def test_changes_that_were_cut_off_do_not_outlive_another_export(
    program: Program, tmp_path: Path
) -> None:
    sheet = some(3)
    a = write(tmp_path / "a.csv", sheet)
    there = copy(sheet)
    for showing in there.values():
        showing["rating"] = "5" if showing["rating"] != "5" else "4"
    monday, tuesday = write(tmp_path / "b.csv", there), tmp_path / "c.csv"
    with fault_server(for_keys({"ext_1": in_turn(refuses(401, "expired"), good)})) as server:
        push = ("--push", "--base-url", server.base_url, "--rate", "1000/s", "--workers", "1")
        assert program("reconcile", a, "--with", monday, *push).code == 5
        assert server.patched == ["ext_0", "ext_1"]
        # Somebody put the value of ext_0 back, so an export looks nearly as before.
        there["ext_new"] = dict(EXAMPLE)
        write(tuesday, there)
        program("reconcile", a, "--with", tuesday, *push)
        assert sorted(server.patched[2:]) == ["ext_0", "ext_1", "ext_2"]


def test_an_export_ends_what_another_sheet_of_the_ledger_counts_as_done(
    program: Program, witness: Witness, tmp_path: Path
) -> None:
    sheet, other = some(2), some(1)
    other["ext_0"]["rating"] = "5"
    a, b = write(tmp_path / "a.csv", sheet), write(tmp_path / "b.csv", other)
    to = ("--base-url", witness.base_url, "--ledger", tmp_path / "north.ledger", "--rate", "1000/s")
    assert program("push", a, *to).code == 0
    there = copy(sheet)
    there["ext_0"]["rating"] = "5"  # a colleague's: as b has it, and not as a has it
    export = write(tmp_path / "export.csv", there)
    before = last(witness)
    assert program("reconcile", b, "--with", export, "--push", "--one-way", *to).code == 0
    assert sent(witness, before) == {}
    assert program("push", a, *to, "--only-changed").code == 0
    assert [*sent(witness, before)] == ["ext_0"]
    assert witness.showing("ext_0")["rating"] == 1


def test_an_edited_template_is_sent_though_its_values_were_acknowledged_before(
    program: Program, witness: Witness, tmp_path: Path
) -> None:
    sheet = some(3)
    path, edit = write(tmp_path / "a.csv", sheet), tmp_path / "edit.csv"
    to = ("--base-url", witness.base_url, "--rate", "1000/s")
    assert program("push", path, *to).code == 0
    there = copy(sheet)
    there["ext_1"]["rating"] = "5"
    other = write(tmp_path / "b.csv", there)
    assert program("reconcile", path, "--with", other, "--export-template", edit).code == 3
    before = last(witness)
    assert program("push", edit, "--only-changed", *to).code == 0
    assert sent(witness, before) == {"ext_1": {"rating": 2}}


def test_differences_with_one_cause_are_not_sent_unless_accepted(
    program: Program, witness: Witness, tmp_path: Path
) -> None:
    there = some(12)
    here = copy(there)
    for values in here.values():
        values["showing_date"] = "2026-03-02T20:00:00Z"
    here["ext_3"]["feedback"] = "Another"
    a, b = write(tmp_path / "a.csv", here), write(tmp_path / "b.csv", there)
    push = ["reconcile", a, "--with", b, "--push", "--base-url", witness.base_url]
    ran = program(*push, "--json")
    assert (ran.code, ran.summary["exit_code"], ran.summary["push_refused"]) == (4, 4, True)
    (cause,) = ran.summary["systematic"]
    assert (cause["pattern"], cause["field"], cause["rows"]) == ("time_offset", "showing_date", 12)
    assert cause["facts"]["minutes"] == [300]
    assert not (tmp_path / "a.changes.csv").exists()
    ran = program(*push)
    assert ran.code == 4
    assert ran.out.index("5 hours later here than there") < ran.out.index("\ndiffer ")
    assert "Nothing was sent" in ran.out
    assert sent(witness) == {}
    # The differences stay what they are, and without --push there is nothing to refuse.
    ran = program("reconcile", a, "--with", b, "--json")
    assert (ran.code, ran.summary["fields"]) == (3, {"showing_date": 12, "feedback": 1})
    # Somebody else's changes are not sent, so their cause keeps nothing back.
    assert program(*push, "--base", a).code == 0
    assert sent(witness) == {}
    accepted = program(*push, "--accept-systematic", "--json")
    assert (accepted.code, accepted.summary["push_refused"]) == (0, False)
    assert len(sent(witness)) == 12


def test_against_the_ledger_one_cause_is_refused_too(
    program: Program, witness: Witness, tmp_path: Path
) -> None:
    sheet = some(12)
    a = write(tmp_path / "a.csv", sheet)
    to = ["--base-url", witness.base_url]
    assert program("push", a, *to).code == 0
    before = last(witness)
    for values in sheet.values():
        values["showing_date"] = "2026-03-02T09:00:00Z"
    write(a, sheet)
    push = ["reconcile", a, "--with", "ledger", "--push", *to]
    ran = program(*push)
    assert (ran.code, "6 hours earlier here than there" in ran.out) == (4, True)
    assert sent(witness, before) == {}
    assert program(*push, "--accept-systematic").code == 0
    assert len(sent(witness, before)) == 12
