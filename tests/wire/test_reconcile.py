"""Two sheets cell by cell: every planted difference is found, none is invented, and only what
differs is sent.
"""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from tests.conftest import Program, Sandboxes
from tests.helpers import Witness, read_csv, write_sheet

HEADER = ("unique_showing_key", "feedback", "rating", "showing_date", "interested")
Values = dict[str, str]
Sheet = dict[str, Values]

EXAMPLE = {
    "feedback": "Liked it",
    "rating": "4",
    "showing_date": "2026-03-02T15:00:00Z",
    "interested": "yes",
}


def some(count: int) -> Sheet:
    return {
        f"ext_{n}": EXAMPLE | {"feedback": f"Liked it {n}", "rating": str(n % 5 + 1)}
        for n in range(count)
    }


def copy(sheet: Sheet) -> Sheet:
    return {key: dict(values) for key, values in sheet.items()}


def write(
    path: Path, sheet: Sheet, header: tuple[str, ...] = HEADER, keys: list[str] | None = None
) -> Path:
    rows = [(key, *(sheet[key].get(name, "") for name in header[1:])) for key in keys or sheet]
    return write_sheet(path, rows, header)


@pytest.fixture
def witness(sandboxes: Sandboxes) -> Iterator[Witness]:
    with sandboxes() as witness:
        yield witness


def last(witness: Witness) -> int:
    return max((entry["seq"] for entry in witness.journal()), default=0)


def sent(witness: Witness, after: int = 0) -> dict[str, Any]:
    entries = [entry for entry in witness.journal_after(after) if entry["method"] == "PATCH"]
    return {entry["key"]: json.loads(entry["body"]) for entry in entries}


@pytest.mark.parametrize("seed", range(4))
def test_every_planted_difference_is_found_and_none_invented(
    program: Program, tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    there = some(300)
    here = copy(there)
    planted = set()
    for key in dice.sample(sorted(here), 40):
        for field in dice.sample(HEADER[1:], dice.randint(1, 3)):
            other = {
                "feedback": "Other words",
                "rating": "",
                "showing_date": "2026-04-01T10:00:00Z",
                "interested": "no",
            }
            value = other[field] or str(int(here[key]["rating"]) % 5 + 1)
            here[key][field] = value
            planted.add((key, field))
    for key in sorted(here):  # the same in other words
        values = here[key]
        if dice.random() < 0.3:
            values["rating"] = dice.choice(
                (f"{values['rating']}.0", f"{values['rating']}/5", f" {values['rating']} ")
            )
        if values["showing_date"].startswith("2026-03-02T15") and dice.random() < 0.3:
            values["showing_date"] = "2026-03-02T09:00:00-06:00"
    only_here, only_there = (
        [f"new_{n}" for n in range(3)],
        dice.sample(sorted(set(there) - {k for k, _ in planted}), 5),
    )
    here |= {key: dict(EXAMPLE) for key in only_here}
    for key in only_there:
        del here[key]
    keys = dice.sample(sorted(here), len(here))
    results = tmp_path / "d.jsonl"
    ran = program(
        "reconcile",
        write(tmp_path / "here.csv", here, keys=keys),
        "--with",
        write(tmp_path / "there.csv", there, header=(HEADER[0], *reversed(HEADER[1:]))),
        "--results",
        results,
        "--json",
    )
    assert ran.code == 3
    lines = [json.loads(line) for line in results.read_text(encoding="ascii").splitlines()]
    assert {
        (line["unique_showing_key"], line["field"]) for line in lines if line["class"] == "differs"
    } == planted
    assert {line["unique_showing_key"] for line in lines if line["class"] == "only_here"} == set(
        only_here
    )
    assert {line["unique_showing_key"] for line in lines if line["class"] == "only_there"} == set(
        only_there
    )
    assert len(lines) == len(planted) + len(only_here) + len(only_there)
    assert all(
        line["row"] == keys.index(line["unique_showing_key"]) + 2 for line in lines if line["row"]
    )
    differing = len({key for key, _ in planted})
    assert ran.summary["classes"] == {
        "same": len(here) - differing - 3,
        "differs": differing,
        "conflict": 0,
        "only_here": 3,
        "only_there": 5,
        "problem": 0,
    }
    assert sum(ran.summary["fields"].values()) == len(planted)


@pytest.mark.parametrize("broken", [False, True])
def test_a_large_sheet_is_staged_by_a_process_of_its_own_with_the_same_result(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, broken: bool
) -> None:
    there = some(50)
    here = copy(there)
    here["ext_7"]["rating"] = "1"
    a = write(tmp_path / "a.csv", here)
    b = write(tmp_path / "b.csv", there, header=("No key", *HEADER[1:]) if broken else HEADER)
    words = ["reconcile", a, "--with", b, "--json"]
    alone = program(*words)
    monkeypatch.setattr("bulk_sync.run.staging._LARGE_BYTES", 0)
    beside = program(*words)
    assert (beside.code, beside.out, beside.err) == (alone.code, alone.out, alone.err)
    assert alone.code == (4 if broken else 3)


def test_equal_sheets_exit_with_0_and_what_is_only_there_counts_unless_one_way(
    program: Program, tmp_path: Path
) -> None:
    here, there = write(tmp_path / "a.csv", some(5)), write(tmp_path / "b.csv", some(6))
    assert program("reconcile", here, "--with", here).code == 0
    ran = program("reconcile", here, "--with", there)
    assert (ran.code, "only there: 1 row\n  ext_5 (row 7)" in ran.out) == (3, True)
    assert program("reconcile", here, "--with", there, "--one-way").code == 0
    assert program("reconcile", here, "--with", there, "--limit", 2).code == 0


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
    assert [row["state"] for row in read_csv(tmp_path / "a.changes.results.csv")] == [
        "updated",
        "updated",
    ]
    del here["new"]
    write(a, here)
    assert program(*push).code == 0  # the same changes: acknowledged before, so nothing is sent
    assert len(sent(witness)) == 2
    assert len(witness.patches()) == 2


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


def test_rows_meet_by_id_when_both_have_one_else_by_key(program: Program, tmp_path: Path) -> None:
    one, two, three = (f"00000000-0000-4000-8000-00000000000{n}" for n in (1, 2, 3))
    there = write_sheet(
        tmp_path / "there.csv",
        [(one, "ext_1", "a"), (two, "ext_2", "b"), (three, "ext_3", "c")],
        ("showing_id", "unique_showing_key", "feedback"),
    )
    by_key = write_sheet(
        tmp_path / "k.csv", [("ext_1", "a"), ("ext_2", "B")], ("unique_showing_key", "feedback")
    )
    by_id = write_sheet(
        tmp_path / "i.csv", [(one.upper(), "A"), (two, "b")], ("showing_id", "feedback")
    )
    both = write_sheet(
        tmp_path / "b.csv",
        [
            (one, "renamed", "a"),
            ("", "ext_2", "b"),
            ("00000000-0000-4000-8000-000000000009", "ext_3", "c"),
        ],
        ("showing_id", "unique_showing_key", "feedback"),
    )
    found = []
    for sheet in (by_key, by_id, both):
        ran = program(
            "reconcile",
            sheet,
            "--with",
            there,
            "--one-way",
            "--json",
            "--results",
            tmp_path / "d.csv",
        )
        rows = read_csv(tmp_path / "d.csv")
        found.append(
            [(row["class"], row["field"], row["there"], row["here"]) for row in rows if row["row"]]
        )
        assert ran.code == 3
    assert found == [
        [("differs", "feedback", "b", "B")],
        [("differs", "feedback", "a", "A")],
        [("differs", "unique_showing_key", "ext_1", "renamed"), ("only_here", "", "", "")],
    ]


def test_rows_that_can_not_be_read_are_problems_wherever_they_are_and_have_no_other_class(
    program: Program, tmp_path: Path
) -> None:
    here, there = some(8), some(8)
    here["ext_1"]["rating"] = "9"
    there["ext_2"]["rating"] = "many"
    there["ext_3"] = {}  # a showing without values is none
    del here["ext_4"], there["ext_5"]
    a = write(tmp_path / "a.csv", here, keys=[*here, "ext_6"])  # twice, but the same
    with a.open("a", encoding="utf-8", newline="") as file:
        csv.writer(file).writerow(("ext_7", "Other words", "", "", ""))  # twice, and not the same
    ran = program(
        "reconcile",
        a,
        "--with",
        write(tmp_path / "b.csv", there),
        "--json",
        "--results",
        tmp_path / "d.csv",
    )
    assert ran.summary["classes"] == {
        "same": 2,
        "differs": 1,
        "conflict": 0,
        "only_here": 1,
        "only_there": 1,
        "problem": 4,
    }
    assert (ran.code, ran.summary["superseded"], ran.summary["rows"]) == (3, 1, 9)
    messages = {
        row["row"]: row["message"]
        for row in read_csv(tmp_path / "d.csv")
        if row["class"] == "problem"
    }
    assert "'9' is not" in messages["3"]
    assert messages["4"].startswith("there: rating: 'many' is not")
    assert len(messages) == 4


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
    assert [json.loads(entry["body"])["rating"] for entry in witness.journal_after(before)] == [
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


def test_the_page_of_a_comparison_is_written_and_named(program: Program, tmp_path: Path) -> None:
    there = some(5)
    here = copy(there)
    here["ext_3"]["feedback"] = "Not for them"
    a, b = write(tmp_path / "a.csv", here), write(tmp_path / "b.csv", there)
    ran = program("reconcile", a, "--with", b, "--page", tmp_path / "p.html", "--json")
    assert (ran.code, ran.summary["page"]) == (3, str(tmp_path / "p.html"))
    text = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert "1 of 5 rows differ." in text
    assert "<ins>Not for them</ins>" in text
    assert "ext_2" not in text


def test_what_people_wrote_does_not_act_on_the_terminal_or_in_a_spreadsheet(
    program: Program, tmp_path: Path
) -> None:
    a = write_sheet(
        tmp_path / "a.csv",
        [("ext_1", "[bold]red[/bold] \u202e hidden")],
        ("unique_showing_key", "feedback"),
    )
    b = write_sheet(
        tmp_path / "b.csv",
        [("ext_1", "=HYPERLINK(1) \x1b]0;x\x07")],
        ("unique_showing_key", "feedback"),
    )
    ran = program("reconcile", a, "--with", b, "--results", tmp_path / "d.csv")
    assert "[bold]red[/bold]" in ran.out
    assert not {"\x1b", "\x07", "\u202e"} & set(ran.out)
    assert read_csv(tmp_path / "d.csv")[0]["there"].startswith("'=HYPERLINK")


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("--with", "absent.csv"), 4, "absent.csv"),
        (("--with", "a.csv", "--results", "a.csv"), 2, "can't be the same file"),
        (("--with", "a.csv", "--results", "d.txt"), 2, "chooses the format, .csv, .jsonl or .xlsx"),
        (("--with", "a.csv", "--export-template", "t.jsonl"), 2, "is a .csv or an .xlsx"),
        (("--with", "a.csv", "--prefer", "there"), 2, "--prefer"),
        (("--with", "no-key.csv"), 4, "no-key.csv"),
        (("--with", "ledger", "--ledger", "absent.ledger"), 4, "absent.ledger"),
        (("--with", "a.csv", "--base-url", "http://north.example.com", "--push"), 2, "unencrypted"),
    ],
)
def test_what_is_wrong_is_said(
    program: Program,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    code: int,
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("a.csv"), some(2))
    write_sheet(Path("no-key.csv"), [("x",)], ("feedback",))
    ran = program("reconcile", "a.csv", *words)
    assert (ran.code, sentence in ran.err) == (code, True), ran.err
    assert ran.err.count("\n") == 1
