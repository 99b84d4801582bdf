"""From an answer of the API to the state of its row; the journal says what was sent."""

from __future__ import annotations

import itertools
import json
import shutil
import threading
from collections import Counter
from collections.abc import Sequence
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
    first,
    for_keys,
    good,
    in_turn,
    refuses,
    resets,
    says,
)
from tests.helpers import Ran, let_pass, numbered, read_csv, reply, write_sheet

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


def spread(deeds: Sequence[Deed]) -> dict[str, Deed]:
    """A key for each deed; rows that fare well lie between."""
    return {f"ext_{3 * number + 1}": deed for number, deed in enumerate(deeds)}


REFUSALS = {
    **dict.fromkeys((400, 402, 405, 409, 412, 413, 414, 415, 422, 428, 451, 501, 505), "refused"),
    404: "not_found",
    410: "not_found",
}


def test_a_refusal_is_final_for_its_row_alone_and_keeps_the_apis_words(
    program: Program, sheet: Path
) -> None:
    words = "No:\x00 \x1b[31mnot\r\nthis\u2028" + "x" * 1000
    refused = spread(
        [refuses(status, words, "Content-Type: application/json") for status in REFUSALS]
    )
    write_sheet(sheet, numbered(60))
    script = for_keys({key: always(deed) for key, deed in refused.items()})
    ran, results, journal = pushed(program, sheet, script, "--max-failures", "100%")
    assert ran.code == 3
    assert Counter(journal.patched) == {f"ext_{number}": 1 for number in range(60)}
    for key, (status, error) in zip(refused, REFUSALS.items(), strict=True):
        line = results.pop(key)
        assert (line["state"], line["error"], line["http_status"], line["attempts"]) == (
            "rejected",
            error,
            str(status),
            "1",
        )
        assert line["message"].startswith("No:")
        assert len(line["message"]) <= 300
        assert not {"\n", "\r"} & set(line["message"])
    assert {line["state"] for line in results.values()} == {"updated"}


BODIES = [
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
]


def test_whatever_the_body_of_a_refusal_is_the_status_decides(
    program: Program, sheet: Path
) -> None:
    refused = spread([says(reply(422, body)) for body in BODIES])
    write_sheet(sheet, numbered(60))
    script = for_keys({key: always(deed) for key, deed in refused.items()})
    ran, results, journal = pushed(program, sheet, script, "--max-failures", "100%")
    assert ran.code == 3
    assert Counter(journal.patched) == {f"ext_{number}": 1 for number in range(60)}
    for key, line in results.items():
        if key in refused:
            assert (line["state"], line["http_status"]) == ("rejected", "422"), line
            assert line["message"], line
        else:
            assert line["state"] == "updated", line


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


def test_after_a_failure_the_next_answer_decides(program: Program, sheet: Path) -> None:
    cases = [
        (answers(503), refuses(400, "no"), "rejected"),
        (resets, refuses(404, "no"), "rejected"),
        (says(reply(200, b"<html>")), refuses(422, "no"), "rejected"),
        (closes, answers(204), "updated"),
        (answers(504), answers(202), "updated"),
        (answers(500), good, "updated"),
    ]
    write_sheet(sheet, numbered(60))
    twice = {f"ext_{3 * number + 1}": case for number, case in enumerate(cases)}
    script = for_keys({key: in_turn(one, then) for key, (one, then, _) in twice.items()})
    ran, results, journal = pushed(program, sheet, script)
    assert ran.code == 3
    assert Counter(journal.patched) == {key: 2 if key in twice else 1 for key in results}
    for key, line in results.items():
        assert line["state"] == (twice[key][2] if key in twice else "updated"), line


@pytest.mark.parametrize("failure", [resets, answers(502)])
def test_after_a_failure_a_refused_key_ends_the_run(
    program: Program, sheet: Path, failure: Deed
) -> None:
    script = for_keys({"ext_5": in_turn(failure, refuses(401, "who"))})
    ran, results, journal = pushed(program, sheet, script)
    assert (ran.code, results["ext_5"]["state"]) == (5, "pending")
    assert len(journal.of("ext_5")) == 2
    assert set(journal.patched) <= set(results)


@pytest.mark.parametrize(
    ("script", "most", "words"),
    [
        (always(refuses(401, "Invalid API key")), 1, "Invalid API key (401)"),
        (always(refuses(403, "Permission denied")), 1, "Permission denied (403)"),
        (first(20, good, then=refuses(401, "Key revoked")), 20 + 4, "Key revoked (401)"),
        # One that overtakes the last of the good replies is counted before it, and the count of
        # ten begins anew.
        (first(20, good, then=refuses(403, "Plan ended")), 20 + 2 * 10 + 4, "Plan ended (403)"),
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


@pytest.mark.usefixtures("fast_time")
@pytest.mark.parametrize(
    "deed", [answers(500), answers(503), closes, resets, says(reply(200, b"<html>Sign in</html>"))]
)
def test_an_outage_leaves_rows_pending_and_the_next_run_sends_them(
    program: Program, sheet: Path, deed: Deed
) -> None:
    write_sheet(sheet, numbered(200))
    failing, healed = first(50, good, then=deed), threading.Event()
    bounds = ("--workers", 4, "--max-attempts", 1, "--retry-for", "1s", "--json")

    def script(request: Request, number: int) -> Deed:
        # The first request of the run, for users/me, is not one of the fifty.
        return good if healed.is_set() or not journal.requests[1:] else failing(request, number)

    with fault_server(script) as journal:
        ran = program("push", sheet, "--base-url", journal.base_url, *bounds)
        assert (ran.code, states(ran)) == (6, {"updated": 50, "pending": 150})
        assert len(journal.patched) < 100
        acknowledged = {
            line["unique_showing_key"]
            for line in read_csv(sheet.with_name("x.results.csv"))
            if line["state"] == "updated"
        }
        healed.set()
        ran = program("push", sheet, "--base-url", journal.base_url, *bounds)
        assert states(ran) == {"updated": 200}
    asked = Counter(journal.patched)
    assert len(asked) == 200
    assert {asked[key] for key in acknowledged} == {1}


@pytest.mark.usefixtures("fast_time")
def test_a_short_outage_is_waited_out(program: Program, sheet: Path) -> None:
    """As a restart is: a probe now and then finds out whether it is over.

    Four requests at once can't use the outage up before the first probe leaves. Were that probe
    to get through, the failures would count, as they should.
    """
    write_sheet(sheet, numbered(150))
    came, lost = itertools.count(), list[str]()

    def script(request: Request, _: int) -> Deed:
        if next(came) not in range(60, 80):
            return good
        lost.append(request.method)
        return resets

    ran, results, journal = pushed(program, sheet, script, "--max-attempts", 2, "--workers", 4)
    assert ran.code == 0
    assert {line["state"] for line in results.values()} == {"updated"}
    assert len(journal.patched) == 150 + lost.count("PATCH")
    assert len(lost) == 20


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
                let_pass(0.005)
                busiest["served"] += 1
                good(connection)  # type: ignore[arg-type]

        return deed

    ran, results, journal = pushed(program, sheet, queued, "--workers", 32, "--timeout", 60)
    assert ran.code == 0
    assert len(journal.patched) == 100
    assert ran.summary["requests"] == busiest["served"] == 1 + 100
    assert {line["attempts"] for line in results.values()} == {"1"}


def test_each_request_is_the_contracts(program: Program, sheet: Path) -> None:
    _, _, journal = pushed(program, sheet, all_good)
    account, *patches = journal.requests
    assert (account.method, account.path, account.body) == ("GET", "/v1/users/me", b"")
    for request in patches:
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


@pytest.mark.usefixtures("fast_time")
def test_what_the_deadline_cuts_off_is_sent_by_the_next_run(program: Program, sheet: Path) -> None:
    with fault_server(all_good) as journal:
        to = ("push", sheet, "--base-url", journal.base_url, "--json")
        ran = program(*to, "--rate", "2/m", "--deadline", "30s")
        assert (ran.code, "--deadline" in ran.err) == (6, True)
        assert journal.patched == ["ext_0"]
        assert states(ran) == {"updated": 1, "pending": ROWS - 1}
        shutil.rmtree(sheet.parent / "state")  # the rate that it kept to
        ran = program(*to, "--deadline", "1h30m")
    assert (ran.code, states(ran)) == (0, {"updated": ROWS})
    assert sorted(journal.patched) == sorted(f"ext_{number}" for number in range(ROWS))
