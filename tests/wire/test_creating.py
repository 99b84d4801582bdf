"""`--create-missing`: showings that North does not have are created, each exactly once."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from bulk_sync.quantities import Rate
from bulk_sync.sandbox.faults import parse_fault
from bulk_sync.send import attempt, creating
from tests.conftest import Program, Sandboxes
from tests.fast_time import FastTime
from tests.faultserver import Deed, Request, answers, fault_server, good, refuses
from tests.helpers import (
    HEADER,
    Ran,
    Witness,
    numbered,
    poll,
    read_csv,
    started,
    write_sheet,
)

pytestmark = pytest.mark.uncovered

REPORT = "550e8400-e29b-41d4-a716-446655440000"
OTHER_REPORT = "550e8400-e29b-41d4-a716-446655440001"
ID = "3c90c3cc-0d44-4b50-8888-8dd25736052a"


@pytest.fixture
def witness(sandboxes: Sandboxes) -> Iterator[Witness]:
    with sandboxes(accept_any=False) as witness:
        yield witness


@pytest.fixture(autouse=True)
def _settles_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox applies a POST before its answer is lost, or never."""
    monkeypatch.setattr(creating, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(attempt, "SETTLE_SECONDS", 0.0)


def creations(witness: Witness) -> Counter[str]:
    return Counter(
        entry["key"]
        for entry in witness.journal()
        if entry["method"] == "POST" and entry["applied"]
    )


def created_again(witness: Witness) -> list[str]:
    """The keys of POSTs that only the sandbox's guard kept from making a second showing."""
    return [
        entry["key"]
        for entry in witness.journal()
        if entry["method"] == "POST" and entry["status"] == 409
    ]


def posted(witness: Witness, key: str) -> dict[str, Any]:
    """The body of the one POST for a key."""
    (body,) = {
        entry["body"]
        for entry in witness.journal()
        if entry["method"] == "POST" and entry["key"] == key
    }
    found: dict[str, Any] = json.loads(body)
    return found


def methods(witness: Witness, after: int = 0) -> list[str]:
    """What was sent for rows, in order."""
    return [entry["method"] for entry in witness.journal_after(after) if entry["key"] is not None]


def create(program: Program, sheet: Path, witness: Witness, *more: object) -> Ran:
    report = () if "--report" in more else ("--report", REPORT)
    options = ("--base-url", witness.base_url, "--create-missing", *report, "--json", *more)
    return program("push", sheet, *options)


def test_what_is_missing_is_created_once_and_counts_as_done(
    program: Program, witness: Witness, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(20))
    ran = create(program, sheet, witness)
    assert (ran.code, ran.summary["states"]["created"]) == (0, 20)
    assert creations(witness) == {f"ext_{number}": 1 for number in range(20)}
    assert posted(witness, "ext_3") == {
        "feedback": "Liked it, number 3",
        "rating": 4,
        "unique_showing_key": "ext_3",
        "report_id": REPORT,
    }
    for line in read_csv(tmp_path / "x.results.csv"):
        showing = witness.showing(line["unique_showing_key"])
        assert (line["state"], line["http_status"], line["attempts"]) == ("created", "201", "2")
        assert line["showing_id"] == showing["id"]
    before = len(witness.journal())
    again = create(program, sheet, witness)
    assert (again.code, again.summary["states"]["created"]) == (0, 20)
    assert methods(witness, before) == []
    # An edited row is an update of what was created.
    write_sheet(sheet, [*numbered(19), ("ext_19", "Edited", 1)])
    edited = create(program, sheet, witness)
    assert edited.summary["states"] | {"updated": 20, "created": 0} == edited.summary["states"]
    assert sum(creations(witness).values()) == 20


def test_the_log_has_a_creation_as_an_event_and_not_as_a_retry(
    program: Program, witness: Witness, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(3))
    ran = create(program, sheet, witness, "--log-format", "json")
    events = Counter(json.loads(line)["event"] for line in ran.err.splitlines())
    assert (events["create"], events["retry"], ran.summary["retries"]) == (3, 0, 0)


def test_each_row_is_created_in_its_own_report_else_in_that_of_the_option(
    program: Program, witness: Witness, tmp_path: Path
) -> None:
    rows = [("a", "Fine", 5, OTHER_REPORT.upper()), ("b", "Fine", 5, ""), ("c", "Fine", 5, "12")]
    sheet = write_sheet(tmp_path / "x.csv", rows, (*HEADER, "report_id"))
    ran = create(program, sheet, witness)
    assert ran.code == 3
    assert posted(witness, "a")["report_id"] == OTHER_REPORT
    assert posted(witness, "b")["report_id"] == REPORT
    bad = read_csv(tmp_path / "x.results.csv")[2]
    assert (bad["state"], bad["error"]) == ("invalid", "bad_value")
    assert "report_id" in bad["message"]
    # The report is no field of a patch.
    patches = [json.loads(entry["body"]) for entry in witness.patches()]
    assert patches == [{"feedback": "Fine", "rating": 5}] * 2


def test_rows_without_a_report_or_with_an_id_are_not_created(
    program: Program, witness: Witness, tmp_path: Path
) -> None:
    header = ("showing_id", *HEADER, "report_id")
    rows = [("", "a", "Fine", 5, ""), (ID, "b", "Fine", 5, REPORT), ("", "c", "Fine", 5, REPORT)]
    sheet = write_sheet(tmp_path / "x.csv", rows, header)
    ran = program("push", sheet, "--base-url", witness.base_url, "--create-missing", "--json")
    assert ran.code == 3
    lines = read_csv(tmp_path / "x.results.csv")
    assert [(line["state"], line["error"]) for line in lines] == [
        ("rejected", "not_found"),
        ("rejected", "not_found"),
        ("created", ""),
    ]
    assert "--report" in lines[0]["message"]
    assert "--report" not in lines[1]["message"]
    assert creations(witness) == {"c": 1}
    # With a report, the same rows again: what could not be created is.
    create(program, sheet, witness)
    assert creations(witness) == {"a": 1, "c": 1}


def test_nothing_names_a_report(program: Program, witness: Witness, tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(2))
    for command in (("push", sheet, "--base-url", witness.base_url), ("check", sheet)):
        ran = program(*command, "--create-missing")
        assert ran.code == 2
        assert "--report" in ran.err
        assert "report_id" in ran.err
    ran = program("push", sheet, "--create-missing", "--report", "Main Street 5")
    assert ran.code == 2
    assert "UUID" in ran.err
    assert witness.journal() == []


def test_check_says_which_rows_could_be_created(program: Program, tmp_path: Path) -> None:
    header = ("showing_id", *HEADER, "report_id")
    rows: list[tuple[object, ...]] = [("", f"n{number}", "Fine", 5, "") for number in range(7)]
    rows += [
        (ID, "b", "Fine", 5, REPORT),
        ("", "c", "Fine", 5, REPORT),
        ("", "d", "Fine", "good", ""),
    ]
    sheet = write_sheet(tmp_path / "x.csv", rows, header)
    found = program("check", sheet, "--create-missing", "--json").summary["create_missing"]
    assert found == {
        "rows": 1,
        "by_id": 1,
        "first_by_id": [9],
        "without_report": 7,
        "first_without_report": [2, 3, 4, 5, 6],
    }
    text = program("check", sheet, "--create-missing").out
    assert "Create:     1 row can create a missing showing" in text
    assert "7 rows (2, 3, 4, 5, 6 and 2 more) have no report_id" in " ".join(text.split())
    assert "row 9 addresses its showing by id" in " ".join(text.split())
    with_report = program("check", sheet, "--create-missing", "--report", REPORT, "--json")
    assert with_report.summary["create_missing"]["rows"] == 8
    assert program("check", sheet, "--json").summary["create_missing"] is None


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.usefixtures("fast_time", "transport")
def test_faults_of_every_kind_leave_one_showing_of_each(
    program: Program, sandboxes: Sandboxes, tmp_path: Path, seed: int
) -> None:
    kinds = ("reset", "timeout", "503", "cut", "garbage", "429")
    faults = tuple(parse_fault(f"6%:{kind}") for kind in kinds)
    seeds = write_sheet(tmp_path / "there.csv", numbered(10))
    sheet = write_sheet(tmp_path / "x.csv", numbered(60))
    more = ("--max-attempts", 20, "--workers", 8, "--timeout", 1)
    with sandboxes(accept_any=False, faults=faults, seed=seed, seed_file=seeds) as witness:
        ran = create(program, sheet, witness, *more)
        assert ran.code == 0, ran.summary
        assert ran.summary["states"]["updated"] == 10
        assert ran.summary["states"]["created"] == 50
        assert creations(witness) == {f"ext_{number}": 1 for number in range(10, 60)}
        assert created_again(witness) == []
        faulted = {entry["fault"] for entry in witness.journal() if entry["method"] == "POST"} - {
            None
        }
    assert len(faulted) > 3, "the faults met POSTs, too"


LIMITS: dict[str, dict[str, Any]] = {
    "by the second": {"limit": Rate(20, 1), "limit_headers": "none"},
    "with Retry-After": {"limit": Rate(20, 1), "limit_style": "fixed-window"},
    "with a window that is told": {
        "allowances": (Rate(60, 20),),
        "allowance_told": ("headers",),
        "window": "fixed-from-first",
    },
}


@pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)
@pytest.mark.usefixtures("fast_time", "transport")
def test_under_a_limit_each_showing_is_created_once(
    program: Program, sandboxes: Sandboxes, tmp_path: Path, limit: dict[str, Any]
) -> None:
    faults = tuple(parse_fault(f"8%:{kind}") for kind in ("reset", "503", "cut"))
    sheet = write_sheet(tmp_path / "x.csv", numbered(40))
    more = ("--max-attempts", 20, "--rate", "auto")
    with sandboxes(accept_any=False, faults=faults, seed=5, **limit) as witness:
        ran = create(program, sheet, witness, *more)
        assert (ran.code, ran.summary["states"]["created"]) == (0, 40), ran.summary
        assert creations(witness) == {f"ext_{number}": 1 for number in range(40)}
        assert created_again(witness) == []


@pytest.mark.slow  # processes, of which one is killed
def test_two_processes_of_one_key_create_each_showing_once(
    program: Program, sandboxes: Sandboxes, tmp_path: Path, fast_time: FastTime
) -> None:
    """Both meet lost answers and the limit, and one is killed while its rows are created."""
    faults = tuple(parse_fault(f"8%:{kind}") for kind in ("reset", "503", "cut"))
    sheets = [
        write_sheet(tmp_path / f"{first}.csv", numbered(40, first=first)) for first in (0, 40)
    ]
    of_killed = {f"ext_{number}" for number in range(40)}
    limited = {"limit": Rate(100, 1), "limit_headers": "none", "latency_seconds": 0.5}
    with sandboxes(accept_any=False, faults=faults, seed=6, **limited) as witness:
        options = ("--base-url", witness.base_url, "--create-missing", "--report", REPORT)
        more = ("--max-attempts", 20, "--workers", 8, "--rate", "auto")

        def push(sheet: Path) -> AbstractContextManager[subprocess.Popen[str]]:
            return started("push", sheet, *options, *more, "--json", program=fast_time.command)

        with push(sheets[0]) as killed, push(sheets[1]) as other:
            poll(lambda: sum(key in of_killed for key in creations(witness)) >= 10)
            killed.kill()
            killed.communicate()
            assert other.wait() == 0
        ran = create(program, sheets[0], witness, *more)
        assert (ran.code, ran.summary["states"]["created"]) == (0, 40), ran.summary
        assert creations(witness) == {f"ext_{number}": 1 for number in range(80)}
        assert created_again(witness) == []


def test_a_row_that_only_changed_had_cut_down_is_created_whole(
    program: Program, tmp_path: Path
) -> None:
    there = {"a"}

    def north(request: Request, _: int) -> Deed:
        if request.method == "POST":
            there.add(request.patch["unique_showing_key"])
            return answers(201, {"data": {"id": ID}})
        return good if request.key in there else refuses(404, "Not found")

    def push(rating: int, feedback: str) -> list[Any]:
        before = len(journal.requests)
        sheet = write_sheet(tmp_path / "x.csv", [("a", feedback, rating)])
        options = ("--base-url", journal.base_url, "--create-missing", "--report", REPORT)
        assert program("push", sheet, *options, "--only-changed").code == 0
        sent = journal.requests[before:]
        return [(one.method, one.patch) for one in sent if one.method != "GET"]

    with fault_server(north) as journal:
        whole = {"feedback": "Fine", "rating": 5}
        assert push(5, "Fine") == [("PATCH", whole)]
        there.clear()
        assert push(4, "Fine") == [
            ("PATCH", {"rating": 4}),
            ("POST", {**whole, "rating": 4, "unique_showing_key": "a", "report_id": REPORT}),
        ]
        (line,) = read_csv(tmp_path / "x.results.csv")
        assert (line["state"], line["fields"]) == ("created", "feedback rating")
        # And is known as it was created.
        assert push(4, "Loud") == [("PATCH", {"feedback": "Loud"})]


def test_a_key_that_may_not_create_is_refused_before_a_row_is_sent(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(3))
    permissions = {"showings": ("read", "update")}
    with sandboxes(accept_any=False, permissions=permissions) as witness:
        ran = create(program, sheet, witness)
        assert ran.code == 5
        assert methods(witness) == []
        assert program("push", sheet, "--base-url", witness.base_url).code == 3  # not found


def test_a_key_whose_permissions_are_unknown_and_that_may_not_create(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    there = write_sheet(tmp_path / "there.csv", numbered(4))
    sheet = write_sheet(tmp_path / "x.csv", numbered(6))
    permissions = {"showings": ("read", "update")}
    with sandboxes(
        accept_any=False, permissions=permissions, users_me="missing", seed_file=there
    ) as witness:
        ran = create(program, sheet, witness)
        assert ran.code == 3
        assert ran.summary["problems"] == {"forbidden": 2}
        assert ran.summary["states"]["updated"] == 4
        refused = read_csv(tmp_path / "x.results.csv")[5]["message"]
        assert refused.startswith("Not created: Permission denied")
        # Where nothing else gets through, ten are enough.
        others = write_sheet(tmp_path / "y.csv", numbered(40, first=100))
        ran = create(program, others, witness, "--workers", 1)
        assert ran.code == 5
        assert "--create-missing" in ran.err + str(ran.summary["stopped"])
        assert ran.summary["states"]["pending"] == 31


def test_created_showings_are_named_where_an_undo_file_cannot_help(
    program: Program, witness: Witness, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(2))
    ran = create(program, sheet, witness, "--undo-file", tmp_path / "x.undo.csv")
    assert any("2 created showings" in note for note in ran.summary["notes"])
    assert read_csv(tmp_path / "x.undo.csv") == []


def test_a_comparison_with_the_ledger_creates_what_is_missing(
    program: Program, witness: Witness, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(2))
    create(program, sheet, witness)
    write_sheet(sheet, numbered(3))
    push = ("reconcile", sheet, "--with", "ledger", "--base-url", witness.base_url, "--push")
    ran = program(*push, "--create-missing", "--report", REPORT, "--json")
    assert ran.code == 0, ran.err
    assert creations(witness) == {"ext_0": 1, "ext_1": 1, "ext_2": 1}


def test_a_comparison_with_a_sheet_needs_the_option_for_what_it_creates(
    program: Program, witness: Witness, tmp_path: Path
) -> None:
    rows = [(*row, REPORT) for row in numbered(2)]
    here = write_sheet(tmp_path / "x.csv", rows, (*HEADER, "report_id"))
    there = write_sheet(tmp_path / "y.csv", [("ext_0", "Other", 1), *numbered(1, first=1)])
    push = ("reconcile", here, "--with", there, "--base-url", witness.base_url, "--push")
    ran = program(*push, "--create-missing")
    assert (ran.code, "--report" in ran.err) == (2, True)
    assert program(*push, "--create-missing", "--report", REPORT).code == 0
    assert creations(witness) == {"ext_0": 1}
