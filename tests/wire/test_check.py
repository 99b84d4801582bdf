"""`bulk-sync check`: what it shows is what push does, and it touches neither network nor files."""

from __future__ import annotations

import io
import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import tzlocal

from bulk_sync.run import send
from tests.conftest import Program, Sandboxes
from tests.helpers import numbered, read_csv, write_sheet

SAMPLES = Path(__file__).parents[2] / "sample_data"
MESSY = ("--date-order", "mdy", "--timezone", "America/Chicago")


@pytest.fixture(autouse=True)
def _no_network_for_check(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "sandboxes" not in request.fixturenames:
        monkeypatch.setattr(send, "open_transport", None)


@pytest.mark.parametrize("name", ["messy-showings.csv", "messy-showings.xlsx"])
def test_the_verdicts_of_check_are_those_of_push(
    program: Program, sandboxes: Sandboxes, tmp_path: Path, name: str
) -> None:
    checked = program("check", SAMPLES / name, *MESSY, "--json")
    with sandboxes() as witness:
        pushed = program(
            "push",
            SAMPLES / name,
            *MESSY,
            "--base-url",
            witness.base_url,
            "--json",
            "--out",
            tmp_path,
        )
        assert len(witness.patches()) == checked.summary["patches"] == 43
    states = {
        **checked.summary["states"],
        "updated": checked.summary["states"]["pending"],
        "pending": 0,
    }
    assert pushed.summary["states"] == states
    assert pushed.summary["problems"] == checked.summary["problems"]
    keys = ("code", "cause", "rows", "first_rows", "remedy")
    assert [[cause[key] for key in keys] for cause in pushed.summary["causes"]] == [
        [cause[key] for key in keys] for cause in checked.summary["causes"]
    ]
    assert (checked.code, pushed.code) == (3, 3)
    results = {
        line["row"]: line
        for line in read_csv(tmp_path / f"{name.removesuffix('.csv')}.results.csv")
    }
    assert "a spreadsheet program rounded it" in results["49"]["message"]
    assert results["50"]["unique_showing_key"] == "00417"
    assert results["50"]["state"] == "updated"


def test_every_problem_that_check_counts_is_listed(program: Program, tmp_path: Path) -> None:
    sheet = write_sheet(
        tmp_path / "x.csv",
        [("a", "Nice", 4), ("b", "Dark", 9), ("c", "one", "too", "many"), ("", "Sunny", 5)],
    )
    out = program("check", sheet).out
    assert "bad_value: 2 rows" in out
    assert "  1 row: rating 9: expected a rating from 1 to 5" in out
    assert "  1 row: cells beyond the last column: check for missing quotes" in out
    assert "missing_key: 1 row" in out
    assert "  1 row: unique_showing_key is blank: enter the showing's key" in out
    assert [f"(row {row})" in out for row in (2, 3, 4, 5)] == [False, True, True, True]


def test_check_needs_no_key_and_leaves_nothing_behind(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NORTH_API_KEY")
    sheet = write_sheet(tmp_path / "x.csv", [*numbered(3), ("ext_9", "", 9)])
    ran = program("check", sheet, "--rate", "1/s", "--show", 1)
    assert ran.code == 3
    assert "CSV, UTF-8, separated by comma, header in row 1" in ran.out
    assert "bad_value: 1 row" in ran.out
    assert "3 patches, one request each: at least 3 s at 1/s" in ran.out
    assert 'PATCH ext_0 {"feedback":"Liked it, number 0","rating":1}' in ran.out
    assert f"Next:       bulk-sync push {sheet} --rate 1/s\n" in ran.out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.csv"]


@pytest.mark.parametrize(("columns", "examples"), [("50", False), ("80", True)])
def test_headers_and_fields_are_readable_also_on_a_narrow_terminal(
    program: Program, monkeypatch: pytest.MonkeyPatch, columns: str, *, examples: bool
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    ran = program("check", SAMPLES / "messy-showings.csv", *MESSY)
    assert re.search(r"^Comments +feedback ", ran.out, re.MULTILINE)
    assert ('"ext_10001"' in ran.out) == examples


def test_json_of_check_holds_all_that_was_understood(program: Program, tmp_path: Path) -> None:
    sheet = tmp_path / "x.csv"
    sheet.write_bytes(
        b"Showings\r\n\r\nShowing Key;Stars;Visit date;Wo?\r\na;4;02/03/2026 9:00;caf\xe9\r\n"
    )
    ran = program("check", sheet, "--timezone", "America/Chicago", "--json", "--show", 5)
    assert ran.code == 0
    found: dict[str, Any] = ran.summary
    assert found["file"]["header_row"] == 3
    assert (found["file"]["encoding"], found["file"]["delimiter"]) == ("Windows-1252", "semicolon")
    assert [
        (column["header"], column["field"], column["filled"]) for column in found["columns"]
    ] == [
        ("Showing Key", "unique_showing_key", 1),
        ("Stars", "rating", 1),
        ("Visit date", "showing_date", 1),
        ("Wo?", None, 0),
    ]
    assert found["unknown_columns"] == ["Wo?"]
    assert any("America/Chicago" in text for text in found["assumptions"])
    assert any("month, day, year" in text for text in found["assumptions"])
    assert found["shown"] == [
        {"target": "a", "patch": {"showing_date": "2026-02-03T09:00:00-06:00", "rating": 4}}
    ]
    assert (found["rows"], found["patches"], found["exit_code"], found["stopped"]) == (
        1,
        1,
        0,
        None,
    )


def test_dates_that_speak_against_the_default_order_stop_the_sheet_until_the_user_decides(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    rows = [("a", "02/03/2026 10:00"), ("b", "13/02/2026 10:00")]
    sheet = write_sheet(tmp_path / "x.csv", rows, ("unique_showing_key", "showing_date"))
    checked = program("check", sheet)
    assert checked.code == 4
    assert "row 3: 'showing_date' is '13/02/2026 10:00', which contradicts the order" in checked.err
    assert "--date-order dmy" in checked.err
    with sandboxes() as witness:
        assert program("push", sheet, "--base-url", witness.base_url).code == 4
        assert not witness.patches()
        told = ("--date-order", "dmy", "--timezone", "UTC")
        assert program("push", sheet, "--base-url", witness.base_url, *told).code == 0
        assert witness.showing("a")["showing_date"] == "2026-03-02T10:00:00Z"


@pytest.mark.parametrize(
    ("policy", "states", "rating"),
    [
        ("error", {"invalid": 2, "updated": 1}, None),
        ("last", {"superseded": 1, "updated": 2}, 5),
        ("merge", {"superseded": 1, "updated": 2}, 5),
    ],
)
def test_rows_with_one_key_as_the_user_decides(
    program: Program,
    sandboxes: Sandboxes,
    tmp_path: Path,
    policy: str,
    states: dict[str, int],
    rating: int | None,
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", [("a", "first", 3), ("b", "fine", 4), ("a", "", 5)])
    with sandboxes() as witness:
        arguments = (
            "push",
            sheet,
            "--base-url",
            witness.base_url,
            "--json",
            "--max-problems",
            "100%",
        )
        ran = program(*arguments, "--on-duplicate", policy)
        assert {state: count for state, count in ran.summary["states"].items() if count} == states
        if rating is not None:
            showing = witness.showing("a")
            assert showing["rating"] == rating
            assert showing.get("feedback") == ("first" if policy == "merge" else None)
    if policy == "merge":
        assert "merged into row 4" in read_csv(tmp_path / "x.results.csv")[0]["message"]


def test_a_profile_is_saved_and_used(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(
        tmp_path / "x.csv", [("a", "2026-03-02", 3)], ("Code", "Tag", "Zufriedenheit")
    )
    told = (
        "--map",
        "Code=unique_showing_key",
        "--map",
        "Tag=showing_date",
        "--map",
        "Zufriedenheit=rating",
    )
    profile = tmp_path / "p.toml"
    dates = ("--timezone", "Europe/Berlin", "--default-time", "10:00")
    ran = program("check", sheet, *told, *dates, "--save-profile", profile)
    assert ran.code == 0
    assert f"--profile {profile}" in ran.out
    with sandboxes() as witness:
        assert (
            program("push", sheet, "--profile", profile, "--base-url", witness.base_url).code == 0
        )
        assert witness.showing("a")["showing_date"] == "2026-03-02T10:00:00+01:00"
    assert program("check", sheet, *told, *dates, "--save-profile", profile).code == 8


def test_a_token_clears_a_field(program: Program, sandboxes: Sandboxes, tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "x.csv", [("a", "-", 3)])
    with sandboxes() as witness:
        ran = program("push", sheet, "--clear", "-", "--base-url", witness.base_url, "--json")
        entry = witness.patches()[0]
    assert json.loads(entry["body"]) == {"feedback": None, "rating": 3}
    assert ran.summary["requests"] == 1 + 1


def test_an_id_addresses_the_showing(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    uuid = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
    sheet = write_sheet(
        tmp_path / "x.csv", [(uuid, "a", 3), ("", "b", 4)], ("showing_id", "key", "rating")
    )
    ran = program("check", sheet, "--map", "key=unique_showing_key", "--json", "--show", 2)
    assert ran.summary["shown"] == [
        {"target": uuid, "patch": {"rating": 3, "unique_showing_key": "a"}},
        {"target": "b", "patch": {"rating": 4}},
    ]
    with sandboxes() as witness:
        program("push", sheet, "--map", "key=unique_showing_key", "--base-url", witness.base_url)
        assert [entry["path"] for entry in witness.patches()] == [
            f"/v1/showings/{uuid}",
            "/v1/showings/b",
        ]
    assert [line["unique_showing_key"] for line in read_csv(tmp_path / "x.results.csv")] == [
        "a",
        "b",
    ]


def test_a_sheet_from_standard_input(
    program: Program, sandboxes: Sandboxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stdin() -> None:
        text = io.TextIOWrapper(io.BytesIO(b"unique_showing_key,rating\na,4\nb,9\nc,5\n"))
        monkeypatch.setattr(sys, "stdin", text)

    stdin()
    assert program("check", "-", "--json").summary["states"]["invalid"] == 1
    assert program("push", "-").code == 2
    named = ("--checkpoint", tmp_path / "c.sqlite", "--results", tmp_path / "r.csv")
    with sandboxes() as witness:
        stdin()
        ran = program("push", "-", *named, "--base-url", witness.base_url, "--json")
        assert (ran.code, ran.summary["states"]["updated"]) == (3, 2)
        assert [line["unique_showing_key"] for line in read_csv(tmp_path / "r.failed.csv")] == ["b"]
        stdin()
        again = program("push", "-", *named, "--base-url", witness.base_url, "--json")
        assert again.summary["requests"] == 0
        assert len(witness.patches()) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--map", "Nope=rating"), 2, "no column has this header"),
        (("--map", "rating"), 2, "write it as 'Header=field'"),
        (("--timezone", "Chicago"), 2, "did you mean America/Chicago?"),
        (("--profile", "none.toml"), 2, "no such file"),
        (("--header-row", "99"), 4, "beyond the end"),
        (("--strict",), 4, "--strict allows no unknown columns"),
        (("--max-problems", "0"), 4, "1 of 2 rows can't be sent"),
        (("--encoding", "klingon"), 2, "no such encoding"),
    ],
)
def test_check_ends_as_push_would(
    program: Program, tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    sheet = write_sheet(
        tmp_path / "x.csv", [("a", "x", 3), ("b", "x", 9)], ("unique_showing_key", "Wo", "rating")
    )
    ran = program("check", sheet, *arguments)
    assert ran.code == code
    assert words in ran.err
    assert ran.err.count("\n") == 1
    assert program("push", sheet, *arguments, "--base-url", "http://127.0.0.1:9").code == code


def test_files_of_one_stem_are_jobs_of_their_own(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    with sandboxes() as witness:
        for name in ("x.csv", "x.tsv", "x.txt"):
            write_sheet(tmp_path / name, [(name, "", 4)])
            assert program("push", tmp_path / name, "--base-url", witness.base_url).code == 0
    assert len(list(tmp_path.glob("*.checkpoint.sqlite"))) == 3


def test_mended_rows_are_pushed_as_plain_csv_whatever_the_sheet_was(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    profile = tmp_path / "p.toml"
    profile.write_text('[read]\nencoding = "cp1252"\nheader_row = 2\n', encoding="utf-8")
    sheet = tmp_path / "x.csv"
    sheet.write_bytes("Showings\nkey;Stars;Comments\na;4;caf\xe9\nb;9;caf\xe9\n".encode("cp1252"))
    with sandboxes() as witness:
        arguments = (
            "--map",
            "key=unique_showing_key",
            "--base-url",
            witness.base_url,
            "--profile",
            profile,
        )
        ran = program("push", sheet, "--delimiter", ";", *arguments)
        assert ran.code == 3
        failed = tmp_path / "x.failed.csv"
        command = ran.out.partition("then: bulk-sync ")[2].splitlines()[0]
        failed.write_text(
            failed.read_text(encoding="utf-8").replace("b,9", "b,5"), encoding="utf-8"
        )
        again = program(*shlex.split(command))
        assert again.code == 0, again
        assert witness.showing("b")["feedback"] == "caf\xe9"


def test_a_profile_of_a_sheet_with_repeated_headers_fits_it_and_none_with_others_there(
    program: Program, tmp_path: Path
) -> None:
    sheet = write_sheet(
        tmp_path / "x.csv", [("a", "fine", "b")], ("Showing Key", "Comments", "Comments")
    )
    profile = tmp_path / "p.toml"
    assert program("check", sheet).code == 4
    assert program("check", sheet, "--map", "column 3=", "--save-profile", profile).code == 0
    again = program("check", sheet, "--profile", profile, "--json")
    assert [column["field"] for column in again.summary["columns"]] == [
        "unique_showing_key",
        "feedback",
        None,
    ]
    write_sheet(sheet, [("a", 4)], ("Showing Key", "Stars"))
    other = program("check", sheet, "--profile", profile)
    assert (other.code, "column 2 is 'Stars'" in other.err) == (4, True)


def test_a_second_table_below_keeps_the_sheet_from_being_sent(
    program: Program, tmp_path: Path
) -> None:
    sheet = write_sheet(
        tmp_path / "x.csv",
        [("a", "fine"), ("Comments", "Showing Key"), ("nice", "b")],
        ("Showing Key", "Comments"),
    )
    ran = program("check", sheet)
    assert ran.code == 4
    assert "row 3 has column names, as row 1 has: another table begins there" in ran.err


def test_evidence_against_the_date_order_counts_wherever_it_stands(
    program: Program, tmp_path: Path
) -> None:
    rows = [(f"k{day}", f"03/0{day}/2026 10:00") for day in range(1, 10)]
    for last in (("k", "25/03/2026 10:00"), ("", "25/03/2026 10:00")):
        sheet = write_sheet(tmp_path / "x.csv", [*rows, last], ("Showing Key", "Date"))
        for limit in ((), ("--limit", 5)):
            ran = program("check", sheet, *limit)
            assert ran.code == 4
            assert "row 11: 'Date' is '25/03/2026 10:00', which contradicts the order" in ran.err


def test_rows_beyond_the_limit_are_no_part_of_what_is_shown(
    program: Program, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", [*numbered(3), ("z", "", 9)])
    found = program("check", sheet, "--limit", 2, "--json").summary
    assert (found["rows"], found["exit_code"], found["causes"]) == (2, 0, [])
    assert {column["filled"] for column in found["columns"]} == {2}
    assert any("Left out by choice: 2 rows" in note for note in found["notes"])


def test_a_key_twin_with_an_id_counts_as_a_duplicate_also_when_one_cannot_be_read(
    program: Program, tmp_path: Path
) -> None:
    uuid = "11111111-1111-4111-8111-111111111111"
    rows = [("K1", uuid, 4), ("K1", "", 0), ("K2", "", 4), ("K2", "", 0), ("K3", "", 4)]
    sheet = write_sheet(tmp_path / "x.csv", rows, ("Showing Key", "North ID", "Rating"))
    ran = program("check", sheet, "--json", "--max-problems", "100%", "--show", 9)
    assert [shown["target"] for shown in ran.summary["shown"]] == ["K3"]


def test_a_refused_sheet_leaves_the_results_of_what_was_sent(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", [("a", "", 4), ("b", "", 9)])
    with sandboxes() as witness:
        program("push", sheet, "--base-url", witness.base_url)
        write_sheet(sheet, [("a", "", 0), ("b", "", 9)])
        assert program("push", sheet, "--base-url", witness.base_url).code == 4
    assert [line["state"] for line in read_csv(tmp_path / "x.results.csv")] == [
        "updated",
        "invalid",
    ]
    assert len(read_csv(tmp_path / "x.failed.csv")) == 2
    moved = (tmp_path / "x.checkpoint.sqlite").rename(tmp_path / "any.name")
    assert program("status", moved, "--json").summary["states"]["updated"] == 1


def test_a_machine_without_a_time_zone_matters_only_for_times_without_offset(
    program: Program, tmp_path: Path
) -> None:
    rows = [("a", "2026-03-02T10:00:00Z"), ("b", "2026-03-02 10:00")]
    sheet = write_sheet(tmp_path / "x.csv", rows, ("unique_showing_key", "showing_date"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tzlocal, "get_localzone", lambda: ZoneInfo("Mars/Olympus"))
        ran = program("check", sheet, "--json")
    assert (ran.code, ran.summary["states"]["pending"]) == (3, 1)
    assert "name the zone with --timezone Area/City" in ran.summary["problem_rows"][0]["message"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--rate", "1000/h"), "at least 1 h at 1000/h"),
        (("--rate", "10/s", "--rate", "1000/h"), "at least 1 h at 10/s and 1000/h"),
        (("--rate", "1000/h", "--leave", "40%"), "at least 2 h at 1000/h"),
        (("--rate", "9000/d"), "the duration depends on the API's limit"),
        (
            ("--rate", "1000/h", "--rate", "10/s", "--deadline", "30m"),
            "but only 30 min are available: about 500 would stay pending (exit code 6)",
        ),
        (("--rate", "1000/h", "--rate", "10/s", "--deadline", "2h"), "within the 2 h available"),
    ],
)
def test_the_estimate_spends_an_allowance_and_waits_for_it(
    program: Program, tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(1500))
    assert words in program("check", sheet, *options).out


def test_a_sheet_of_keys_alone_is_refused_in_one_sentence(program: Program, tmp_path: Path) -> None:
    sheet = tmp_path / "x.csv"
    sheet.write_text("unique_showing_key,Comment on it\na,x\nb,y\n", encoding="utf-8")
    for command in ("check", "push"):
        ran = program(command, sheet)
        assert ran.code == 4
        assert "no column holds a field to change; the header row has" in ran.err
        assert "--map 'Comment on it=feedback'" in ran.err
        assert "--max-problems" not in ran.err
