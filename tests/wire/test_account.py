"""The team of a key: named before a row leaves, and never another than the user's or the job's."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import Program
from tests.faultserver import (
    Deed,
    Request,
    account,
    all_good,
    always,
    answers,
    closes,
    fault_server,
    held,
    no_account,
    refuses,
    says,
    team,
)
from tests.helpers import KEY, numbered, read_csv, reply, started, when_sent, write_sheet

pytestmark = pytest.mark.uncovered

ROWS = 6
EXAMPLE_ID, OTHER_ID = (
    "550e8400-e29b-41d4-a716-446655440000",
    "650e8400-e29b-41d4-a716-446655440000",
)
EXAMPLE, OTHER = team("Example Realty", EXAMPLE_ID), team("Other Realty", OTHER_ID)


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    return write_sheet(tmp_path / "x.csv", numbered(ROWS))


def test_the_team_is_named_everywhere(program: Program, sheet: Path, tmp_path: Path) -> None:
    log, page = tmp_path / "x.log", tmp_path / "x.html"
    with fault_server(all_good, me=EXAMPLE) as journal:
        to = ("push", sheet, "--base-url", journal.base_url)
        ran = program(*to, "--json", "--log-file", log, "--log-format", "json", "--page", page)
        assert [request.path for request in journal.account] == ["/v1/users/me"]
        assert program(*to).code == 0
        assert len(journal.account) == 1, "nothing to send, so nothing to ask"
    assert ran.code == 0
    assert ran.summary["team"] == {"id": EXAMPLE_ID, "name": "Example Realty"}
    assert f"Example Realty ({EXAMPLE_ID})" in page.read_text("utf-8")
    lines = map(json.loads, log.read_text("utf-8").splitlines())
    told = [line["team"] for line in lines if line["event"] == "team"]
    assert told == [f"Example Realty ({EXAMPLE_ID})"]


@pytest.mark.parametrize(
    ("me", "whose"),
    [
        (EXAMPLE, f", for the team Example Realty ({EXAMPLE_ID})."),
        (no_account, "; the API does not name the key's team."),
    ],
)
def test_address_and_team_are_named_before_the_first_row_leaves(
    sheet: Path, me: Deed, whose: str
) -> None:
    answer = threading.Event()
    with (
        fault_server(always(held(answer)), me=me) as journal,
        started("push", sheet, "--base-url", journal.base_url) as running,
    ):
        assert running.stderr is not None
        first = running.stderr.readline()
        answer.set()
        assert first.strip() == f"Sending 6 rows to {journal.base_url}{whose}"
        assert running.wait(60) == 0


def test_a_rehearsal_names_the_sandbox(program: Program, sheet: Path) -> None:
    ran = program("push", sheet, "--sandbox")
    assert ran.err.splitlines()[0] == ("Sending 6 rows to a sandbox on this machine, not to North.")


@pytest.mark.parametrize("name", ["Example Realty", " example realty", EXAMPLE_ID.upper()])
def test_the_right_team_is_pushed_to(program: Program, sheet: Path, name: str) -> None:
    with fault_server(all_good, me=EXAMPLE) as journal:
        ran = program("push", sheet, "--base-url", journal.base_url, "--team", name)
    assert ran.code == 0
    assert f"Team:       Example Realty ({EXAMPLE_ID})" in ran.out
    assert len(journal.patched) == ROWS


@pytest.mark.parametrize("options", [(), ("--fresh",), ("--new-key",), ("--only-changed",)])
def test_a_push_to_the_wrong_team_sends_no_row(
    program: Program, sheet: Path, options: tuple[str, ...]
) -> None:
    with fault_server(all_good, me=OTHER) as journal:
        to = ("push", sheet, "--base-url", journal.base_url, "--team", "Example Realty", *options)
        ran = program(*to, "--json")
        assert (ran.code, ran.summary["states"]["pending"]) == (5, ROWS)
        assert ran.summary["team"] == {"id": OTHER_ID, "name": "Other Realty"}
        assert f"acts for the team Other Realty ({OTHER_ID})" in ran.err
        assert "--team Example Realty" in ran.err
        assert program(*to).code == 5
    assert journal.patched == []
    assert {line["state"] for line in read_csv(sheet.with_name("x.results.csv"))} == {"pending"}


def test_the_team_may_be_set_for_all_pushes(
    program: Program, sheet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BULK_SYNC_TEAM", "Example Realty")
    with fault_server(all_good, me=OTHER) as journal:
        assert program("push", sheet, "--base-url", journal.base_url).code == 5
    assert journal.patched == []
    # A rehearsal reaches nobody.
    assert program("push", sheet, "--sandbox", "--fresh").code == 0


@pytest.mark.slow  # four processes
def test_four_processes_send_nothing_to_the_wrong_team(tmp_path: Path) -> None:
    sheets = [
        write_sheet(tmp_path / f"{part}.csv", numbered(50, first=50 * part)) for part in range(4)
    ]
    with fault_server(all_good, me=OTHER) as journal, ExitStack() as stack:
        to = ("--base-url", journal.base_url, "--team", EXAMPLE_ID)
        runs = [stack.enter_context(started("push", sheet, *to)) for sheet in sheets]
        for run in runs:
            run.communicate()
        assert [run.returncode for run in runs] == [5] * 4
        assert (journal.patched, len(journal.account)) == ([], 4)


@pytest.mark.usefixtures("fast_time")
@pytest.mark.parametrize(
    ("me", "code"),
    [
        (no_account, 5),
        (answers(405), 5),
        (answers(200, {"data": {"id": "x"}}), 5),
        (account(api_key={"name": "x"}), 5),
        (answers(503), 6),
        (says(reply(200, b"<html>Sign in</html>")), 6),
        (says(reply(403, b"<html>Access denied</html>")), 6),
        (closes, 6),
    ],
)
def test_a_team_that_can_not_be_checked_is_refused(
    program: Program, sheet: Path, me: Deed, code: int
) -> None:
    with fault_server(all_good, me=me) as journal:
        to = ("push", sheet, "--base-url", journal.base_url)
        ran = program(*to, "--team", "Example Realty", "--json")
        assert (ran.code, ran.summary["states"]["pending"]) == (code, ROWS)
        assert "couldn't be checked against --team Example Realty" in ran.err
        assert journal.patched == []
        ran = program(*to, "--json")
        assert (ran.code, ran.summary["team"]) == (0, None)
        assert len(journal.patched) == ROWS


@pytest.mark.parametrize(
    ("permissions", "code"),
    [
        ({"reports": ["read", "update"]}, 0),
        ({"showings": ["read", "update"]}, 0),
        ({"showings": ["read"], "reports": ["update"]}, 5),
        ({"showings": []}, 5),
    ],
)
def test_a_key_that_may_not_update_showings_sends_no_row(
    program: Program, sheet: Path, permissions: dict[str, list[str]], code: int
) -> None:
    with fault_server(all_good, me=account(api_key={"permissions": permissions})) as journal:
        ran = program("push", sheet, "--base-url", journal.base_url, "--json")
    assert ran.code == code
    assert len(journal.patched) == (0 if code else ROWS)
    if code:
        assert "The key may not update showings" in ran.err
        assert ran.summary["states"]["pending"] == ROWS


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_found_before_a_row_is_sent(
    program: Program, sheet: Path, status: int
) -> None:
    with fault_server(all_good, me=refuses(status, "Invalid API key")) as journal:
        ran = program("push", sheet, "--base-url", journal.base_url, "--json")
    assert (ran.code, ran.summary["states"]["pending"], journal.patched) == (5, ROWS, [])
    assert f"The API refused the key: Invalid API key ({status})" in ran.err


# A job belongs to its team


ANOTHER_KEY = "north_sk_test_another_key_altogether"


@pytest.fixture
def one_left(sheet: Path) -> Path:
    """A sheet of which one row can't be sent, so that its job stays open."""
    return write_sheet(sheet, [("ext_1", "good", 5), ("ext_2", "bad", 9)])


def counted(deed: Deed, other: Deed, number: int) -> Deed:
    """One answer for so many requests, then the other."""
    left = [deed] * number

    def answer(connection: socket.socket) -> None:
        (left.pop() if left else other)(connection)

    return answer


@pytest.mark.parametrize("options", [(), ("--only-changed",), ("--new-key",)])
def test_a_rotated_key_of_the_same_team_goes_on(
    program: Program,
    one_left: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
) -> None:
    with fault_server(all_good, me=EXAMPLE) as journal:
        to = ("push", one_left, "--base-url", journal.base_url, *options, "--json")
        assert program(*to).code == 3
        monkeypatch.setenv("NORTH_API_KEY", ANOTHER_KEY)
        write_sheet(one_left, [("ext_1", "good", 5), ("ext_2", "better", 4)])
        ran = program(*to)
        assert (ran.code, ran.summary["states"]["updated"]) == (0, 2)
        assert journal.patched == ["ext_1", "ext_2"]
        # One request for each run, also where it comes before the sheet is staged.
        assert len(journal.account) == 2
        assert program(*to).code == 0
        assert len(journal.account) == 2
    assert [one.headers["authorization"] for one in journal.account] == [
        f"Bearer {KEY}",
        f"Bearer {ANOTHER_KEY}",
    ]


@pytest.mark.parametrize("key", [KEY, ANOTHER_KEY])
@pytest.mark.parametrize("options", [(), ("--new-key",), ("--only-changed",)])
def test_a_key_of_another_team_is_refused(
    program: Program,
    one_left: Path,
    monkeypatch: pytest.MonkeyPatch,
    key: str,
    options: tuple[str, ...],
) -> None:
    with fault_server(all_good, me=counted(EXAMPLE, OTHER, 1)) as journal:
        to = ("push", one_left, "--base-url", journal.base_url)
        assert program(*to).code == 3
        monkeypatch.setenv("NORTH_API_KEY", key)
        write_sheet(one_left, [("ext_1", "changed", 5), ("ext_2", "better", 4)])
        ran = program(*to, *options)
        assert ran.code == 5
        assert f"belongs to the team Example Realty ({EXAMPLE_ID})" in ran.err
        assert f"acts for the team Other Realty ({OTHER_ID})" in ran.err
        assert "--fresh" not in ran.err
        assert journal.patched == ["ext_1"]
        status = program("status", one_left, "--json").summary
        assert status["team"] == {"id": EXAMPLE_ID, "name": "Example Realty"}


def test_a_job_is_bound_before_its_first_row_is_acknowledged(
    program: Program, sheet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fault_server(all_good, me=counted(EXAMPLE, OTHER, 1)) as journal:
        to = ("push", sheet, "--base-url", journal.base_url)
        # The only permit in this time is for users/me.
        assert program(*to, "--rate", "1/h", "--deadline", "1m").code == 6
        monkeypatch.setenv("NORTH_API_KEY", ANOTHER_KEY)
        assert program(*to).code == 5
        assert journal.patched == []


@pytest.mark.slow  # a process is killed
@pytest.mark.parametrize("options", [(), ("--new-key",)])
def test_a_killed_job_is_not_continued_for_another_team(
    program: Program, sheet: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    release = threading.Event()
    with fault_server(always(held(release)), me=counted(EXAMPLE, OTHER, 1)) as journal:
        to = ("push", sheet, "--base-url", journal.base_url, *options)
        with started(*to) as process:
            when_sent(1, journal.requests, process)
            process.kill()
            process.communicate()
        release.set()
        monkeypatch.setenv("NORTH_API_KEY", ANOTHER_KEY)
        ran = program(*to)
        assert ran.code == 5
        assert "belongs to the team Example Realty" in ran.err
    keys = {request.headers["authorization"] for request in journal.requests}
    assert keys == {f"Bearer {KEY}"}
    assert journal.account[-1].headers["authorization"] == f"Bearer {ANOTHER_KEY}"


def test_every_way_to_push_asks_for_the_team(program: Program, sheet: Path) -> None:
    other = write_sheet(sheet.with_name("export.csv"), numbered(ROWS, first=1))
    folder = sheet.parent / "inbox"
    folder.mkdir()
    write_sheet(folder / "a.csv", numbered(3))
    with fault_server(all_good, me=OTHER) as journal:
        to = ("--base-url", journal.base_url, "--team", "Example Realty")
        assert program("push", folder, *to, "--settle", "0s").code == 5
        # ext_1 to ext_5 are in both, and equal; one row differs.
        write_sheet(sheet, [*numbered(1), ("ext_1", "Changed", 3)])
        assert program("reconcile", sheet, "--with", other, "--push", *to).code == 5
        assert program("push", sheet, other, *to).code == 5
    assert (journal.patched, len(journal.account)) == ([], 3)


REPORT = "550e8400-e29b-41d4-a716-446655440000"
WAYS = {
    "again": ("push", "x.csv"),
    "as a folder": ("push", "inbox", "--settle", "0s"),
    "as several files": ("push", "x.csv", "new.csv"),
    "what changed": ("push", "x.csv", "--only-changed"),
    "what is missing": ("push", "x.csv", "--create-missing", "--report", REPORT),
    "what failed": ("push", "x.failed.csv"),
    "what differs from the ledger": ("reconcile", "x.csv", "--with", "ledger", "--push"),
    "what differs from a sheet": ("reconcile", "x.csv", "--with", "export.csv", "--push"),
    "with a key that is vouched for": ("push", "x.csv", "--new-key"),
}


@pytest.mark.parametrize("is_open", [True, False], ids=["open", "finished"])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_no_way_leads_from_the_sheet_of_a_team_to_another_team(
    program: Program,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    way: tuple[str, ...],
    *,
    is_open: bool,
) -> None:
    def write_all(first: tuple[object, ...], unsound: list[tuple[object, ...]]) -> None:
        for name in ("x.csv", "inbox/a.csv"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            write_sheet(tmp_path / name, [first, *numbered(ROWS - 1, first=1), *unsound])

    with fault_server(all_good, me=counted(EXAMPLE, OTHER, 2)) as journal:
        to = ("--base-url", journal.base_url)
        write_sheet(tmp_path / "export.csv", [("ext_0", "Before", 1), *numbered(3, first=1)])
        write_all(("ext_0", "Good", 4), [("..", "no key", 3)] if is_open else [])
        program("push", "x.csv", *to)
        program("push", "inbox", *to, "--settle", "0s")
        before = len(journal.patched)
        assert before == 2 * ROWS
        monkeypatch.setenv("NORTH_API_KEY", ANOTHER_KEY)
        write_all(("ext_0", "Edited", 2), [])
        write_sheet(tmp_path / "new.csv", numbered(2, first=100))
        if "x.failed.csv" in way:
            write_sheet(tmp_path / "x.failed.csv", [("ext_9", "Corrected", 3)])
        ran = program(*way, *to)
        assert (ran.code, len(journal.patched)) == (5, before), ran.err
    assert "belongs to the team" in ran.err


def test_where_the_api_names_no_team_another_key_is_refused_until_the_user_vouches(
    program: Program, one_left: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fault_server(all_good, me=no_account) as journal:
        to = ("push", one_left, "--base-url", journal.base_url)
        assert program(*to).code == 3
        monkeypatch.setenv("NORTH_API_KEY", ANOTHER_KEY)
        ran = program(*to)
        assert ran.code == 2
        assert "--new-key" in ran.err
        assert program(*to, "--new-key").code == 3
        assert journal.patched == ["ext_1"]
        assert program(*to).code == 3


def test_a_fresh_start_for_another_team_relies_on_nothing_of_the_first(
    program: Program, sheet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fault_server(all_good, me=counted(EXAMPLE, OTHER, 1)) as journal:
        to = ("push", sheet, "--base-url", journal.base_url, "--only-changed", "--json")
        assert program(*to).code == 0
        monkeypatch.setenv("NORTH_API_KEY", ANOTHER_KEY)
        ran = program(*to, "--fresh")
        assert (ran.code, ran.summary["states"]["updated"]) == (0, ROWS)
        assert len(journal.patched) == 2 * ROWS
        assert any("not relied on" in note for note in ran.summary["notes"])
        assert ran.summary["team"] == {"id": OTHER_ID, "name": "Other Realty"}


@pytest.mark.parametrize("named", [EXAMPLE, OTHER])
def test_a_refused_fresh_start_leaves_the_job_as_it_is(
    program: Program, one_left: Path, named: Deed
) -> None:
    with fault_server(all_good, me=counted(EXAMPLE, named, 1)) as journal:
        to = ("push", one_left, "--base-url", journal.base_url)
        assert program(*to).code == 3
        team = "Other Realty" if named is EXAMPLE else "Example Realty"
        assert program(*to, "--fresh", "--team", team).code == 5
        assert journal.patched == ["ext_1"]
        assert program("status", one_left, "--json").summary["states"]["updated"] == 1


def test_a_shared_ledger_is_of_one_team(
    program: Program, sheet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = sheet.with_name("ledger.sqlite")
    same = sheet.with_name("same.csv")
    other = sheet.with_name("other.csv")
    for copy in (same, other):
        write_sheet(copy, numbered(ROWS))

    def acknowledged(request: Request, _: int) -> Deed:
        return answers(200, {"data": {"id": f"id of {request.key}"}})

    with fault_server(acknowledged, me=counted(EXAMPLE, OTHER, 2)) as journal:
        options = ("--base-url", journal.base_url, "--ledger", ledger, "--only-changed", "--json")
        assert program("push", sheet, *options).summary["states"]["updated"] == ROWS
        monkeypatch.setenv("NORTH_API_KEY", ANOTHER_KEY)
        assert program("push", same, *options).summary["states"]["unchanged"] == ROWS
        monkeypatch.setenv("NORTH_API_KEY", f"{ANOTHER_KEY}_2")
        assert program("push", other, *options).summary["states"]["updated"] == ROWS


def test_nothing_of_the_answer_reveals_the_key(program: Program, sheet: Path) -> None:
    """As an API would that repeats the key in its answer."""
    me = account(team={"id": KEY, "name": f"Team {KEY}"}, api_key={"name": KEY, "prefix": KEY})
    with fault_server(all_good, me=me) as journal:
        ran = program(
            "push", sheet, "--base-url", journal.base_url, "--page", sheet.with_name("x.html")
        )
    assert ran.code == 0
    assert KEY not in ran.out + ran.err
    for file in sheet.parent.rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file
