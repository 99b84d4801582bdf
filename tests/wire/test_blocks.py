"""What answers in place of the API, and what the API says of later: no verdict on a row."""

from __future__ import annotations

import gzip
import json
import math
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Program
from tests.faultserver import (
    Deed,
    Journal,
    Request,
    Script,
    always,
    fault_server,
    first,
    for_keys,
    good,
    in_turn,
    refuses,
    says,
)
from tests.helpers import Ran, numbered, read_csv, reply, write_sheet

pytestmark = pytest.mark.usefixtures("transport")

PAGE = says(
    reply(
        403,
        b"<!DOCTYPE html><title>One moment</title>",
        "Content-Type: text/html; charset=UTF-8",
        "cf-mitigated: challenge",
    )
)


def pushed(
    program: Program, folder: Path, rows: int, script: Script, *options: object
) -> tuple[Ran, Counter[str], list[dict[str, str]], Journal]:
    sheet = write_sheet(folder / "x.csv", numbered(rows))
    with fault_server(script) as journal:
        ran = program("push", sheet, "--base-url", journal.base_url, "--json", *options)
    lines = read_csv(folder / "x.results.csv")
    return ran, Counter(line["state"] for line in lines), lines, journal


def for_a_while(count: int, seconds: float, refuse: Callable[[float], Deed]) -> Script:
    """After so many patches, refuse every request for some seconds; then answer again."""
    lock, came, until = threading.Lock(), [0], [math.inf]

    def script(request: Request, _: int) -> Deed:
        with lock:
            came[0] += request.method == "PATCH"
            if came[0] > count and until[0] == math.inf:
                until[0] = request.at + seconds
            is_held = came[0] > count and request.at < until[0]
            return refuse(until[0] - request.at) if is_held else good

    return script


@pytest.mark.usefixtures("fast_time")
def test_a_page_in_mid_run_rejects_no_row_and_ends_the_run_as_an_outage(
    program: Program, tmp_path: Path
) -> None:
    came = Counter[str]()

    def script(request: Request, _: int) -> Deed:
        if request.method == "GET" and came["PATCH"] == 0:
            return good
        came[request.method] += 1
        return good if came["PATCH"] <= 40 and request.method == "PATCH" else PAGE

    ran, states, lines, journal = pushed(program, tmp_path, 60, script, "--retry-for", "4s")
    assert (ran.code, states) == (6, {"updated": 40, "pending": 20}), ran.err
    assert "something in front of the API blocks requests (403, text/html)" in ran.err
    assert "refused the key" not in ran.err
    assert {line["error"] for line in lines} == {""}
    assert len(journal.patched) < 40 + 16 + 10  # those under way, and probes


@pytest.mark.usefixtures("fast_time")
def test_a_page_from_the_start_is_not_about_the_key_in_doctor_either(
    program: Program, tmp_path: Path
) -> None:
    ran, states, _, journal = pushed(program, tmp_path, 5, always(PAGE), "--retry-for", "4s")
    assert (ran.code, states) == (6, {"pending": 5})
    assert len(journal.requests) > 3  # it is tried again within the time
    with fault_server(always(PAGE)) as journal:
        examined = program("doctor", "--base-url", journal.base_url)
    assert examined.code == 6
    for text in (ran.err, examined.out):
        assert "in front of the API blocks requests (403, text/html)" in text
        assert "refused" not in text


@pytest.mark.usefixtures("fast_time")
def test_a_short_block_is_waited_out(program: Program, tmp_path: Path) -> None:
    script = for_a_while(20, 0.5, lambda _: PAGE)
    ran, states, lines, _ = pushed(program, tmp_path, 40, script, "--max-attempts", 1)
    assert (ran.code, states) == (0, {"updated": 40})
    assert {line["message"] for line in lines} == {""}


def test_a_403_with_retry_after_holds_everyone_and_uses_up_no_attempt(
    program: Program, tmp_path: Path
) -> None:
    def refuse(seconds: float) -> Deed:
        return refuses(403, "Secondary rate limit", f"Retry-After: {math.ceil(seconds)}")

    script = for_a_while(20, 1.0, refuse)
    ran, states, _, journal = pushed(program, tmp_path, 40, script, "--max-attempts", 1)
    assert (ran.code, states) == (0, {"updated": 40}), ran.err
    assert ran.summary["throttled"] >= 1
    assert len(journal.patched) <= 40 + 16  # those under way when it began


@pytest.mark.parametrize("before", [0, 1], ids=["to users/me", "to the first row"])
def test_a_407_ends_the_run_at_its_first_reply(
    program: Program, tmp_path: Path, before: int
) -> None:
    asks = says(
        reply(407, b"<html>", 'Proxy-Authenticate: Basic realm="office"', "Content-Type: text/html")
    )
    ran, states, _, journal = pushed(program, tmp_path, 150, first(before, good, then=asks))
    assert (ran.code, states) == (6, {"pending": 150})
    assert 'a password (realm "office")' in ran.err
    assert "HTTPS_PROXY" in ran.err
    assert len(journal.patched) == before


@pytest.mark.parametrize(("status", "waits"), [(409, True), (423, True), (413, True), (409, False)])
def test_a_refusal_that_says_when_to_come_again_is_asked_again(
    program: Program, tmp_path: Path, status: int, *, waits: bool
) -> None:
    header = ["Retry-After: 1"] if waits else []
    script = for_keys({"ext_5": in_turn(refuses(status, "Showing is being edited", *header), good)})
    ran, states, lines, journal = pushed(program, tmp_path, 20, script)
    if not waits:
        assert (ran.code, states) == (3, {"updated": 19, "rejected": 1})
        assert lines[5]["message"] == "Showing is being edited"
        return
    assert (ran.code, states) == (0, {"updated": 20})
    begun, again = journal.of("ext_5")
    assert again.at - begun.at >= 1


@pytest.mark.usefixtures("fast_time")
def test_a_lock_that_stays_is_rejected_with_the_apis_message(
    program: Program, tmp_path: Path
) -> None:
    script = for_keys({"ext_5": always(refuses(423, "Locked by Ada", "Retry-After: 1"))})
    ran, states, lines, _ = pushed(program, tmp_path, 20, script, "--retry-for", "5s")
    assert (ran.code, states) == (3, {"updated": 19, "rejected": 1})
    assert (lines[5]["error"], lines[5]["message"]) == ("refused", "Locked by Ada")


@pytest.mark.usefixtures("fast_time")
def test_a_conflict_with_our_own_repeat_is_not_the_last_word(
    program: Program, tmp_path: Path
) -> None:
    """The first request is still at work, so its repeat is refused for a while."""
    cut = says(b"HTTP/1.1 200 OK\r\n", then="close")
    busy = refuses(409, "A request with this Idempotency-Key is in progress")
    script = for_keys({"ext_5": in_turn(cut, busy, busy, good), "ext_9": in_turn(cut, busy)})
    ran, states, lines, _ = pushed(program, tmp_path, 20, script)
    assert (ran.code, states) == (3, {"updated": 19, "rejected": 1})
    assert "an earlier attempt may have been applied" in lines[9]["message"]


def packed(status: int, message: str, *headers: str) -> Deed:
    body: dict[str, Any] = {"error": {"message": message, "status": status}}
    return says(
        reply(status, gzip.compress(json.dumps(body).encode()), "Content-Encoding: gzip", *headers)
    )


def test_a_compressed_refusal_is_one(program: Program, tmp_path: Path) -> None:
    script = for_keys({"ext_2": always(packed(404, "No such showing"))})
    ran, _, lines, journal = pushed(program, tmp_path, 4, script)
    assert (ran.code, len(journal.of("ext_2"))) == (3, 1)
    assert (lines[2]["error"], lines[2]["message"]) == ("not_found", "No such showing")


def test_a_compressed_401_stops_the_run(program: Program, tmp_path: Path) -> None:
    script = first(2, good, then=packed(401, "Key revoked"))
    ran, states, _, journal = pushed(program, tmp_path, 6, script, "--workers", 1)
    assert (ran.code, states) == (5, {"updated": 1, "pending": 5})
    assert "Key revoked (401)" in ran.err
    assert len(journal.patched) == 2


def test_the_wait_in_a_compressed_429_is_kept(program: Program, tmp_path: Path) -> None:
    script = for_a_while(
        10, 1.0, lambda left: packed(429, "Slow down", f"Retry-After: {math.ceil(left)}")
    )
    ran, states, _, _ = pushed(program, tmp_path, 19, script, "--workers", 2)
    assert (ran.code, states) == (0, {"updated": 19})
    assert 1 <= ran.summary["throttled"] <= 2  # those under way
