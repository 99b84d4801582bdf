"""What the API answers, to what becomes of each row. The journal says what was sent, and how often."""

from __future__ import annotations

import json
import socket
import threading
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import Program
from tests.faultserver import (
    Deed,
    Journal,
    Request,
    Script,
    all_good,
    always,
    answers,
    closes,
    fault_server,
    for_keys,
    good,
    in_turn,
    refuses,
    resets,
    says,
)
from tests.helpers import Ran, numbered, read_csv, reply, write_sheet

ROWS = 12
Results = dict[str, dict[str, str]]


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    return write_sheet(tmp_path / "x.csv", numbered(ROWS))


def pushed(
    program: Program, sheet: Path, script: Script, *options: object
) -> tuple[Ran, Results, Journal]:
    with fault_server(script) as journal:
        ran = program("push", sheet, "--base-url", journal.base_url, "--json", *options)
    lines = read_csv(sheet.with_name("x.results.csv"))
    assert sum(ran.summary["states"].values()) == len(lines)
    return ran, {line["unique_showing_key"]: line for line in lines}, journal


def states(ran: Ran) -> dict[str, int]:
    return {state: count for state, count in ran.summary["states"].items() if count}


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, "refused"),
        (402, "refused"),
        (404, "not_found"),
        (405, "refused"),
        (409, "refused"),
        (410, "not_found"),
        (412, "refused"),
        (413, "refused"),
        (414, "refused"),
        (415, "refused"),
        (422, "refused"),
        (428, "refused"),
        (451, "refused"),
        (501, "refused"),
        (505, "refused"),
    ],
)
def test_a_refusal_is_final_for_its_row_alone_and_keeps_the_apis_words(
    program: Program, sheet: Path, status: int, error: str
) -> None:
    words = "No:\x00 \x1b[31mnot\r\nthis\u2028" + "x" * 1000
    script = for_keys({"ext_5": always(refuses(status, words, "Content-Type: application/json"))})
    ran, results, journal = pushed(program, sheet, script)
    assert ran.code == 3
    assert Counter(journal.patched) == {f"ext_{number}": 1 for number in range(ROWS)}
    line = results.pop("ext_5")
    assert (line["state"], line["error"], line["http_status"], line["attempts"]) == (
        "rejected",
        error,
        str(status),
        "1",
    )
    assert line["message"].startswith("No:")
    assert len(line["message"]) <= 300
    assert "\n" not in line["message"]
    assert "\r" not in line["message"]
    assert {line["state"] for line in results.values()} == {"updated"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>No</html>",
        b"\xff\xfe\x00",
        b"\xef\xbb\xbf{}",
        b"{}",
        b"null",
        b'"no"',
        b'{"error": null}',
        b'{"error": {"message": {"deep": 1}}}',
        b'{"error": {"message": "   "}}',
        b'{"error": {"message": "\\ud800"}}',
        b'{"error": {"message": "\\u0000\\u001b"}}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 100_000,
        b"NaN",
        b'{"error": {"message": "' + b"x" * 900_000 + b'"}}',
    ],
    ids=range(17),
)
def test_whatever_the_body_of_a_refusal_is_the_status_decides(
    program: Program, sheet: Path, body: bytes
) -> None:
    ran, results, journal = pushed(
        program, sheet, for_keys({"ext_5": always(says(reply(422, body)))})
    )
    assert ran.code == 3
    assert len(journal.patched) == ROWS
    assert (results["ext_5"]["state"], results["ext_5"]["http_status"]) == ("rejected", "422")
    assert results["ext_5"]["message"]


TRANSIENT = (408, 425, 500, 502, 503, 504, 507, 520, 599)


def test_what_may_pass_is_tried_again_until_it_has_passed(program: Program, sheet: Path) -> None:
    write_sheet(sheet, numbered(60))
    failing = {
        f"ext_{4 * number + 3}": in_turn(answers(status), good)
        for number, status in enumerate(TRANSIENT)
    }
    ran, results, journal = pushed(program, sheet, for_keys(failing))
    assert ran.code == 0
    asked = Counter(journal.patched)
    assert asked == {key: 2 if key in failing else 1 for key in results}
    assert all(
        len({one.headers["idempotency-key"] for one in journal.of(key)}) == 1 for key in asked
    )


@pytest.mark.parametrize(
    ("first", "then", "code", "state"),
    [
        (answers(503), refuses(400, "no"), 3, "rejected"),
        (resets, refuses(404, "no"), 3, "rejected"),
        (says(reply(200, b"<html>")), refuses(409, "no"), 3, "rejected"),
        (closes, answers(204), 0, "updated"),
        (answers(504), answers(202), 0, "updated"),
        (answers(500), good, 0, "updated"),
        (resets, refuses(401, "who"), 5, "pending"),
        (answers(502), refuses(401, "who"), 5, "pending"),
    ],
)
def test_after_a_failure_the_next_answer_decides(
    program: Program, sheet: Path, first: Deed, then: Deed, code: int, state: str
) -> None:
    ran, results, journal = pushed(program, sheet, for_keys({"ext_5": in_turn(first, then)}))
    assert (ran.code, results["ext_5"]["state"]) == (code, state)
    assert len(journal.of("ext_5")) == 2
    assert set(journal.patched) <= set(results)


def after(number: int, deed: Deed, *, first: Deed = good) -> Script:
    """One deed for the first requests, another for all that follow, whatever their key."""
    lock, seen = threading.Lock(), Counter[str]()

    def script(_: Request, __: int) -> Deed:
        with lock:
            seen["all"] += 1
            return first if seen["all"] <= number else deed

    return script


def late(deed: Deed) -> Deed:
    """The same, once what was answered before is read."""

    def waits(connection: socket.socket) -> None:
        threading.Event().wait(0.05)
        deed(connection)

    return waits


@pytest.mark.parametrize(
    ("script", "most", "words"),
    [
        (always(refuses(401, "Invalid API key")), 1, "Invalid API key (401)"),
        (always(refuses(403, "Permission denied")), 1, "Permission denied (403)"),
        (after(20, refuses(401, "Key revoked")), 20 + 4, "Key revoked (401)"),
        # A refusal that overtook one of the last good replies would be counted before it, and the
        # count begin anew.
        (after(20, late(refuses(403, "Plan ended"))), 20 + 10 + 4, "Plan ended (403)"),
    ],
    ids=["401 at once", "403 at once", "401 in between", "403 in between"],
)
def test_a_refused_key_stops_the_run_after_a_few_requests(
    program: Program, sheet: Path, script: Script, most: int, words: str
) -> None:
    write_sheet(sheet, numbered(300))
    ran, results, journal = pushed(program, sheet, script, "--workers", 4)
    assert ran.code == 5
    assert words in ran.err
    assert len(journal.patched) <= most
    assert Counter(line["state"] for line in results.values())["pending"] >= 300 - most


@pytest.mark.parametrize(
    "deed", [answers(500), answers(503), closes, resets, says(reply(200, b"<html>Sign in</html>"))]
)
def test_an_outage_leaves_rows_pending_and_the_next_run_sends_them(
    program: Program, sheet: Path, deed: Deed
) -> None:
    write_sheet(sheet, numbered(200))
    failing, healed = after(50, deed), threading.Event()
    bounds = ("--workers", 4, "--max-attempts", 1, "--retry-for", "1s", "--json")
    with fault_server(
        lambda request, number: good if healed.is_set() else failing(request, number)
    ) as journal:
        ran = program("push", sheet, "--base-url", journal.base_url, *bounds)
        states = ran.summary["states"]
        assert (ran.code, states["updated"], states["pending"]) == (6, 50, 150)
        assert len(journal.patched) < 100
        acknowledged = {
            line["unique_showing_key"]
            for line in read_csv(sheet.with_name("x.results.csv"))
            if line["state"] == "updated"
        }
        healed.set()
        assert (
            program("push", sheet, "--base-url", journal.base_url, *bounds).summary["states"][
                "updated"
            ]
            == 200
        )
    asked = Counter(journal.patched)
    assert len(asked) == 200
    assert {asked[key] for key in acknowledged} == {1}


def test_a_short_outage_is_waited_out(program: Program, sheet: Path) -> None:
    """Down for two seconds in the middle, as a restart is: a probe now and then looks whether it is
    over.
    """
    write_sheet(sheet, numbered(150))
    lock, seen, up = threading.Lock(), Counter[str](), threading.Event()

    def script(_: Request, __: int) -> Deed:
        with lock:
            if seen["good"] == 60 and not seen["bad"]:
                threading.Timer(2, up.set).start()
            is_up = seen["good"] < 60 or up.is_set()
            seen["good" if is_up else "bad"] += 1
        return good if is_up else resets

    ran, results, journal = pushed(program, sheet, script, "--max-attempts", 2)
    assert ran.code == 0
    assert {line["state"] for line in results.values()} == {"updated"}
    assert len(journal.requests) == 150 + seen["bad"]  # a look at the API is one of them
    assert seen["bad"] < 40


def test_two_rows_of_one_showing_are_never_under_way_at_once(program: Program, sheet: Path) -> None:
    write_sheet(sheet, [("ext_1", "first", 1), ("ext_2", "x", 2), ("ext_1", "second", 5)])
    for policy, code, sent in (("error", 3, []), ("last", 0, ["second"]), ("merge", 0, ["second"])):
        ran, _, journal = pushed(
            program, sheet, all_good, "--on-duplicate", policy, "--fresh", "--max-problems", "100%"
        )
        assert ran.code == code
        assert [one.patch["feedback"] for one in journal.of("ext_1")] == sent


def test_slow_answers_under_load_fail_no_row(program: Program, sheet: Path) -> None:
    """One at a time is served, so each waits for all before it."""
    write_sheet(sheet, numbered(100))
    turn = threading.Lock()
    busiest = Counter[str]()

    def queued(_: Request, __: int) -> Deed:
        def deed(connection: object) -> None:
            with turn:
                threading.Event().wait(0.005)
                busiest["served"] += 1
                good(connection)  # type: ignore[arg-type]

        return deed

    ran, results, journal = pushed(program, sheet, queued, "--workers", 32, "--timeout", 5)
    assert ran.code == 0
    assert len(journal.patched) == ran.summary["requests"] == busiest["served"] == 100
    assert {line["attempts"] for line in results.values()} == {"1"}


def test_each_request_is_the_contracts(program: Program, sheet: Path) -> None:
    _, _, journal = pushed(program, sheet, all_good)
    for request in journal.requests:
        assert (request.method, request.headers["content-type"]) == ("PATCH", "application/json")
        assert request.headers["accept-encoding"] == "identity"
        assert request.path.startswith("/v1/showings/ext_")
        assert json.loads(request.body).keys() == {"feedback", "rating"}


def test_a_wrong_address_ends_the_run_after_a_hundred_rows(
    program: Program, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(150))
    with fault_server(always(refuses(404, "Not found"))) as journal:
        ran = program("push", sheet, "--base-url", journal.base_url, "--workers", 4, "--json")
        assert ran.code == 6
        assert "None of the first 100 rows was accepted" in ran.err
        assert "--max-failures 100%" in ran.err
        assert len(journal.patched) == states(ran)["rejected"] < 110
        assert Counter(
            line["state"] for line in read_csv(sheet.with_name("x.results.csv"))
        ) == states(ran)
        ran = program(
            "push", sheet, "--base-url", journal.base_url, "--max-failures", "100%", "--json"
        )
    assert (ran.code, states(ran)) == (3, {"rejected": 150})


def test_what_the_deadline_cuts_off_is_sent_by_the_next_run(program: Program, sheet: Path) -> None:
    with fault_server(all_good) as journal:
        ran = program(
            "push",
            sheet,
            "--base-url",
            journal.base_url,
            "--rate",
            "4/s",
            "--deadline",
            "1s",
            "--json",
        )
        assert (ran.code, "--deadline" in ran.err) == (6, True)
        first = len(journal.patched)
        assert 0 < first < ROWS
        assert states(ran) == {"updated": first, "pending": ROWS - first}
        ran = program(
            "push", sheet, "--base-url", journal.base_url, "--deadline", "1h30m", "--json"
        )
    assert (ran.code, states(ran)) == (0, {"updated": ROWS})
    assert sorted(journal.patched) == sorted(f"ext_{number}" for number in range(ROWS))
