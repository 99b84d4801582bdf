"""Two sheets value by value: every planted difference is found, and none is invented."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import NamedTuple

import pytest
from openpyxl import Workbook

from tests.conftest import Program
from tests.helpers import read_csv, write_sheet
from tests.sheets import EXAMPLE, HEADER, Sheet, Values, copy, some, write


class Planted(NamedTuple):
    """Two sheets, and what differs between them."""

    here: Sheet
    there: Sheet
    values: set[tuple[str, str]]
    only_here: set[str]
    only_there: set[str]


def plant(dice: random.Random) -> Planted:
    there = some(300)
    here = copy(there)
    values = set()
    for key in dice.sample(sorted(here), 40):
        for field in dice.sample(HEADER[1:], dice.randint(1, 3)):
            other = {
                "feedback": "Other words",
                "rating": str(int(here[key]["rating"]) % 5 + 1),
                "showing_date": "2026-04-01T10:00:00Z",
                "interested": "no",
            }
            here[key][field] = other[field]
            values.add((key, field))
    for key in sorted(here):
        write_otherwise(here[key], dice)
    only_here = {f"new_{n}" for n in range(3)}
    only_there = set(dice.sample(sorted(set(there) - {key for key, _ in values}), 5))
    here |= {key: dict(EXAMPLE) for key in sorted(only_here)}
    for key in only_there:
        del here[key]
    return Planted(here, there, values, only_here, only_there)


def write_otherwise(values: Values, dice: random.Random) -> None:
    """The same values in another form, now and then."""
    rating = values["rating"]
    if dice.random() < 0.3:
        values["rating"] = dice.choice((f"{rating}.0", f"{rating}/5", f" {rating} "))
    if values["showing_date"].startswith("2026-03-02T15") and dice.random() < 0.3:
        values["showing_date"] = "2026-03-02T09:00:00-06:00"


@pytest.mark.parametrize("seed", range(4))
def test_every_planted_difference_is_found_and_none_invented(
    program: Program, tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    planted = plant(dice)
    keys = dice.sample(sorted(planted.here), len(planted.here))
    there = write(tmp_path / "there.csv", planted.there, header=(HEADER[0], *reversed(HEADER[1:])))
    here, results = write(tmp_path / "here.csv", planted.here, keys=keys), tmp_path / "d.jsonl"
    ran = program("reconcile", here, "--with", there, "--results", results, "--json")
    assert ran.code == 3
    lines = [json.loads(line) for line in results.read_text(encoding="ascii").splitlines()]
    found = {
        name: [one for one in lines if one["class"] == name] for name in ran.summary["classes"]
    }
    values = {(line["unique_showing_key"], line["field"]) for line in found["differs"]}
    assert values == planted.values
    for name, expected in (("only_here", planted.only_here), ("only_there", planted.only_there)):
        assert {line["unique_showing_key"] for line in found[name]} == expected
    assert len(lines) == len(planted.values) + 3 + 5
    for line in lines:
        assert not line["row"] or line["row"] == keys.index(line["unique_showing_key"]) + 2
    differing = len({key for key, _ in planted.values})
    assert ran.summary["classes"] == {
        "same": len(planted.here) - differing - 3,
        "differs": differing,
        "conflict": 0,
        "only_here": 3,
        "only_there": 5,
        "problem": 0,
    }
    assert sum(ran.summary["fields"].values()) == len(planted.values)


@pytest.mark.slow  # processes for large sheets
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
    monkeypatch.setattr("bulk_sync.run.side._LARGE_BYTES", 0)
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


def sheet_of(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
    return path


def test_what_gives_the_users_cells_a_meaning_is_not_applied_to_the_other_side(
    program: Program, tmp_path: Path
) -> None:
    here = sheet_of(tmp_path / "here.csv", "unique_showing_key,feedback", "sh-1,N/A", "sh-2,")
    there = sheet_of(tmp_path / "there.csv", "unique_showing_key,feedback", "sh-1,N/A", "sh-2,x")
    profile = sheet_of(tmp_path / "p.toml", 'clear = "N/A"', "[fields.feedback]", 'blank = "clear"')
    for options in (("--clear", "N/A"), ("--profile", profile)):
        ran = program("reconcile", here, "--with", there, "--json", *options)
        assert ran.code == 3
        assert ran.summary["classes"]["differs"] == (2 if "--profile" in options else 1)
    # A profile of its own says what the cells there mean.
    own = program(
        "reconcile", here, "--with", there, "--with-profile", profile, "--clear", "N/A", "--json"
    )
    assert own.code == 0


def test_two_rows_of_one_showing_in_an_export_are_decided_by_an_option_of_its_own(
    program: Program, tmp_path: Path
) -> None:
    here = sheet_of(tmp_path / "here.csv", "unique_showing_key,rating", "sh-1,5")
    there = sheet_of(tmp_path / "there.csv", "unique_showing_key,rating", "sh-1,4", "sh-1,5")
    refused = program("reconcile", here, "--with", there, "--on-duplicate", "last")
    assert refused.code == 4
    assert "there.csv: 2 of 2 rows can't be compared" in refused.err
    assert "--with-on-duplicate last" in refused.err
    assert "push" not in refused.err
    assert "sent" not in refused.err
    taken = program("reconcile", here, "--with", there, "--with-on-duplicate", "last")
    assert taken.code == 0


def test_a_comparison_without_a_common_field_is_no_success(
    program: Program, tmp_path: Path
) -> None:
    here = sheet_of(tmp_path / "here.csv", "unique_showing_key,rating", "sh-1,5")
    there = sheet_of(tmp_path / "there.csv", "unique_showing_key,Stars given", "sh-1,1")
    refused = program("reconcile", here, "--with", there)
    assert refused.code == 4
    for words in ("here.csv has rating", "none of the known fields", "Stars given", "--map"):
        assert words in refused.err
    profile = sheet_of(tmp_path / "p.toml", "[map]", '"Stars given" = "rating"')
    assert program("reconcile", here, "--with", there, "--with-profile", profile).code == 3
    for one, other in ((here, there), (there, here)):
        assert program("reconcile", one, "--with", other).code == 4


def test_differences_that_nobody_sees_are_counted_and_not_sent(
    program: Program, tmp_path: Path
) -> None:
    here = sheet_of(
        tmp_path / "here.csv", "unique_showing_key,feedback", 'sh-1,"Caf\u00e9\r\nGood"'
    )
    there = sheet_of(
        tmp_path / "there.csv", "unique_showing_key,feedback", 'sh-1,"Cafe\u0301\nGood"'
    )
    ran = program("reconcile", here, "--with", there)
    assert ran.code == 0
    assert "1 text differs only in line ends" in ran.out


def test_rows_of_both_sheets_add_up_and_are_the_same_everywhere(
    program: Program, tmp_path: Path
) -> None:
    header = ("unique_showing_key", "rating")
    here = [("a", "1"), ("b", "2"), ("c", "3"), ("d", "x"), ("e", "1"), ("e", "1"), ("f", "2")]
    there = [("a", "1"), ("b", "3"), ("d", "1"), ("g", "2"), ("h", "x"), ("a", "1")]
    a = write_sheet(tmp_path / "a.csv", here, header)
    b = write_sheet(tmp_path / "b.csv", there, header)
    page = tmp_path / "page.html"
    words = ["reconcile", a, "--with", b, "--rows", "2-7", "--page", page]
    ran = program(*words, "--json")
    classes = {"same": 1, "differs": 1, "conflict": 0, "problem": 1, "superseded": 1}
    expected = {
        "here": classes | {"only_here": 2, "only_there": 0, "left_out": 1, "rows": len(here)},
        "there": classes | {"only_here": 0, "only_there": 1, "left_out": 0, "rows": len(there)},
    }
    expected["there"]["problem"] = 2
    for side, counts in expected.items():
        assert ran.summary[side] == counts
        assert sum(counts.values()) == 2 * counts["rows"]
    ran = program(*words)
    lines = [line.rsplit(maxsplit=2) for line in ran.out.splitlines()]
    assert ["superseded", "1", "1"] in lines
    assert ["left out", "1", "0"] in lines
    assert ["rows", "7", "6"] in lines
    text = page.read_text(encoding="utf-8")
    assert all(f">{name}</span>" in text for name in ("superseded", "left out", "problem"))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (("12", "13"), "keys here have lost their leading zeros (12 here, 0012 there)"),
        (("x", "y"), "No showing is in both sheets: keys here are such as x, there such as 0012"),
    ],
)
def test_keys_of_which_none_is_in_both_sheets_are_named_first(
    program: Program, tmp_path: Path, keys: tuple[str, str], said: str
) -> None:
    header = ("unique_showing_key", "rating")
    a = write_sheet(tmp_path / "a.csv", [(key, "1") for key in keys], header)
    b = write_sheet(tmp_path / "b.csv", [("0012", "1"), ("0013", "1")], header)
    ran = program("reconcile", a, "--with", b)
    assert ran.code == 3
    assert ran.out.index(said) < ran.out.index("only here")
    assert program("reconcile", b, "--with", b).code == 0


def test_hidden_columns_of_both_sheets_are_named(program: Program, tmp_path: Path) -> None:
    sheets = []
    for name, hidden in (("here.xlsx", "C"), ("there.xlsx", "B")):
        book = Workbook()
        sheet = book.active
        assert sheet is not None
        sheet.append(("unique_showing_key", "rating", "feedback"))
        sheet.append(("ext_1", 4, "Fine"))
        sheet.column_dimensions[hidden].hidden = True
        book.save(tmp_path / name)
        sheets.append(tmp_path / name)
    page = tmp_path / "page.html"
    words = ["reconcile", sheets[0], "--with", sheets[1], "--page", page]
    notes = program(*words, "--json").summary["notes"]
    assert any("here.xlsx: Column C 'feedback' is hidden" in note for note in notes)
    assert any("there.xlsx: Column B 'rating' is hidden" in note for note in notes)
    said = program(*words).out
    assert said.count("is hidden and is read") == 2
    assert page.read_text(encoding="utf-8").count("is hidden and is read") == 2


def test_a_list_that_is_cut_says_how_many_more_there_are(program: Program, tmp_path: Path) -> None:
    header = ("unique_showing_key", "rating")
    rows = [(f"ext_{n}", "4" if n < 16 else "x") for n in range(24)]
    a = write_sheet(tmp_path / "a.csv", [*rows, rows[0]], header)
    b = write_sheet(tmp_path / "b.csv", [(key, "4") for key, _ in rows], header)
    ran = program("reconcile", a, "--with", b)
    assert "with a problem: 8 rows" in ran.out
    assert "and 3 more (--results)" in ran.out
    lines = [line.rsplit(maxsplit=2) for line in ran.out.splitlines()]
    assert ["superseded", "1", "0"] in lines
    assert ["rows", "25", "24"] in lines
