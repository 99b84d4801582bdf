"""A network that fails: no row is lost, and the journal agrees with the report."""

from __future__ import annotations

import socket
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bulk_sync.run import loops
from bulk_sync.send.circuit import FAILURES_IN_A_ROW
from tests.conftest import Program
from tests.faultserver import (
    ACKNOWLEDGED,
    Deed,
    Request,
    always,
    closes,
    fault_server,
    for_keys,
    good,
    hangs,
    in_turn,
    resets,
    says,
)
from tests.helpers import numbered, read_csv, write_sheet

pytestmark = pytest.mark.usefixtures("transport")

CUT = ACKNOWLEDGED[:-20]


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    return write_sheet(tmp_path / "x.csv", numbered(20))


def results(sheet: Path) -> dict[str, dict[str, str]]:
    return {line["unique_showing_key"]: line for line in read_csv(sheet.with_name("x.results.csv"))}


BREAKS = {
    "no answer": hangs,
    "end before the answer": closes,
    "reset before the answer": resets,
    "end in the head": says(ACKNOWLEDGED[:30], then="close"),
    "half a body and the end": says(CUT, then="close"),
    "half a body and a reset": says(CUT, then="reset"),
}
"""More of them in test_transport.py, one by one."""

BROKEN = {f"ext_{2 * number + 1}": deed for number, deed in enumerate(BREAKS.values())}
"""By row; good ones lie between, or it would be an outage."""


@pytest.mark.slow  # a time-out passes
def test_what_broke_off_is_sent_again_with_the_same_idempotency_key(
    program: Program, sheet: Path
) -> None:
    write_sheet(sheet, numbered(60))
    script = for_keys({key: in_turn(deed, good) for key, deed in BROKEN.items()})
    with fault_server(script) as journal:
        ran = program("push", sheet, "--base-url", journal.base_url, "--timeout", 3, "--json")
    assert (ran.code, ran.summary["states"]["updated"]) == (0, 60)
    for key, line in results(sheet).items():
        seen = journal.of(key)
        assert len(seen) == int(line["attempts"]) >= (2 if key in BROKEN else 1)
        assert len({(one.headers["idempotency-key"], one.body) for one in seen}) == 1


@pytest.mark.slow  # same
def test_a_row_that_only_ever_breaks_off_fails_and_says_that_it_may_have_been_applied(
    program: Program, sheet: Path
) -> None:
    """One more of them, and in a row they would be taken for an outage."""
    assert 0 < len(BROKEN) < FAILURES_IN_A_ROW
    script = for_keys({key: always(deed) for key, deed in BROKEN.items()})
    with fault_server(script) as journal:
        bounds = ("--timeout", 3, "--max-attempts", 1)
        ran = program("push", sheet, "--base-url", journal.base_url, *bounds)
    assert ran.code == 3, ran.err
    for key, line in results(sheet).items():
        if key in BROKEN:
            assert (line["state"], line["attempts"]) == ("failed", "1"), line
            assert line["error"] in {"timeout", "connection", "bad_reply"}
            assert "it may have been applied" in line["message"]
        else:
            assert line["state"] == "updated", line


@pytest.mark.usefixtures("fast_time")
def test_an_applied_patch_whose_answer_was_lost_is_acknowledged_by_its_repetition(
    program: Program, sheet: Path
) -> None:
    """Here every first request is applied, and the connection reset in place of an answer."""
    with fault_server(in_turn(resets, good)) as journal:
        ran = program("push", sheet, "--base-url", journal.base_url, "--json")
    assert (ran.code, ran.summary["states"]["updated"]) == (0, 20)
    patches = [request for request in journal.requests if request.method == "PATCH"]
    keys = Counter(request.headers["idempotency-key"] for request in patches)
    assert len(keys) == 20
    assert ran.summary["requests"] == len(journal.requests)


def test_a_server_that_ends_each_connection_after_five_requests_costs_no_row(
    program: Program, sheet: Path
) -> None:
    used: Counter[int] = Counter()

    def five(_: Request, __: int) -> Deed:
        def deed(connection: socket.socket) -> None:
            used[id(connection)] += 1
            good(connection)
            if used[id(connection)] == 5:
                connection.close()
                del used[id(connection)]

        return deed

    write_sheet(sheet, numbered(200))
    with fault_server(five) as journal:
        ran = program("push", sheet, "--base-url", journal.base_url, "--json")
    assert (ran.code, ran.summary["states"]["updated"]) == (0, 200)
    assert set(journal.patched) == set(results(sheet))


@contextmanager
def black_hole() -> Iterator[int]:
    """A port whose queue is full: what asks for a connection gets no answer at all."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere a full queue is refused, not passed over"
)
def test_a_host_that_takes_no_connection_was_never_reached(program: Program, sheet: Path) -> None:
    with black_hole() as port:
        bounds = ("--timeout", 0.3, "--max-attempts", 2)
        ran = program("push", sheet, "--base-url", f"http://127.0.0.1:{port}", *bounds, "--json")
    assert (ran.code, ran.summary["states"]["pending"]) == (6, 20)
    assert f"127.0.0.1:{port} accepted no connection within 0.3 s" in ran.err
    assert not any("may have been applied" in line["message"] for line in results(sheet).values())


def test_another_address_of_the_host_serves_when_the_first_is_dead(
    program: Program, sheet: Path
) -> None:
    """`localhost` is ::1 first on most machines, and nothing listens there."""
    with fault_server(always(good), host="localhost") as journal:
        assert program("push", sheet, "--base-url", journal.base_url, "--max-attempts", 1).code == 0


@pytest.mark.parametrize(
    "transport", ["httpx"], indirect=True
)  # asks the resolver from Python, on asyncio's loop
@pytest.mark.parametrize(
    ("number", "requests", "words"),
    [
        (
            socket.EAI_NONAME,
            1,
            "no host was found for api.example.com:443: no server has this name; check --base-url",
        ),
        (
            socket.EAI_AGAIN,
            1 + 2,
            "no host was found for api.example.com:443: the name can't be looked up",
        ),
    ],
)
def test_a_name_that_is_not_found_is_final_one_that_can_not_be_asked_for_is_not(
    program: Program,
    sheet: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    requests: int,
    words: str,
) -> None:
    def look_up(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(number, "as the resolver says")

    monkeypatch.setattr(loops, "find_spec", lambda _: None)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    ran = program(
        "push", sheet, "--base-url", "https://api.example.com", "--max-attempts", 2, "--json"
    )
    assert (ran.code, ran.summary["requests"], ran.summary["states"]["pending"]) == (
        6,
        requests,
        20,
    )
    assert words in ran.err
    assert "as the resolver says" not in ran.err
