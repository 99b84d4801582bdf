"""The key reaches no file and no output, at -v and on every error path, even when the server throws
it back.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from bulk_sync.sandbox.faults import Fault
from tests.conftest import Program, Sandboxes
from tests.helpers import KEY, Ran, numbered, raw_server, reply, write_sheet

pytestmark = pytest.mark.usefixtures("fast_time")


def leaks(folder: Path, *ran: Ran) -> list[str]:
    found = [
        name
        for end in ran
        for name, text in (("stdout", end.out), ("stderr", end.err))
        if KEY in text
    ]
    return found + [
        path.name
        for path in folder.rglob("*")
        if path.is_file() and KEY.encode() in path.read_bytes()
    ]


def test_not_in_a_run_with_faults_refusals_and_bad_rows_at_vv(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", [*numbered(40), ("..", "", 1), ("ext_99", "", 9)])
    faults = (
        Fault(0.1, "503"),
        Fault(0.1, "reset"),
        Fault(0.1, "garbage"),
        Fault(0.1, "cut"),
        Fault(0.1, "404"),
    )
    with sandboxes(faults=faults, accept_any=True) as witness:
        ran = program("push", sheet, "--base-url", witness.base_url, "--max-attempts", 2, "-vv")
        rest = [
            program("status", sheet),
            program("report", sheet),
            program("push", sheet, "--base-url", witness.base_url, "--max-attempts", 2),
        ]
        assert "attempt 1" in ran.err
        journal = str(witness.journal())
    assert KEY not in journal
    assert leaks(tmp_path, ran, *rest) == []


@pytest.mark.parametrize("status", [200, 302, 401, 403, 422, 429, 500])
def test_not_when_the_server_echoes_it(program: Program, tmp_path: Path, status: int) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(2))
    body = f'{{"error": {{"message": "you sent Bearer {KEY}"}}}}'.encode()
    headers = [
        f"Location: https://example.com/{KEY}",
        f"Content-Type: {KEY}",
        "Retry-After: 100000",
    ]
    with raw_server(
        lambda connection, _: connection.sendall(reply(status, body, *headers))
    ) as base_url:
        ran = program(
            "push", sheet, "--base-url", base_url, "--max-attempts", 1, "--retry-for", "1s", "-v"
        )
    assert ran.code in {3, 5, 6}
    assert leaks(tmp_path, ran) == []


def test_not_when_nothing_listens_or_the_key_is_malformed(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(2))
    refused = program("push", sheet, "--base-url", "http://127.0.0.1:9", "--max-attempts", 1, "-v")
    assert refused.code == 6
    monkeypatch.setenv("NORTH_API_KEY", KEY + " é")
    malformed = program("--debug", "push", sheet)
    assert malformed.code == 2
    assert leaks(tmp_path, refused, malformed) == []


def test_a_redirect_does_not_take_the_key_to_another_host(program: Program, tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(2))
    visited: list[bytes] = []
    with raw_server(lambda _, request: visited.append(request)) as elsewhere:
        answer = reply(307, b"", f"Location: {elsewhere}/v1/showings/x", "Set-Cookie: track=1")
        with raw_server(lambda connection, _: connection.sendall(answer)) as base_url:
            ran = program("push", sheet, "--base-url", base_url, "--max-attempts", 2)
    assert visited == []
    assert ran.code == 6
    assert "redirects are not followed" in ran.err


def test_no_cookie_is_kept_and_netrc_is_left_alone(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password hunter2\n", encoding="utf-8")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    sheet = write_sheet(tmp_path / "x.csv", numbered(3))
    requests: list[bytes] = []

    def answer(connection: object, request: bytes) -> None:
        requests.append(request)
        connection.sendall(reply(200, b'{"data": {}}', "Set-Cookie: session=1; Path=/"))  # type: ignore[attr-defined]

    with raw_server(answer) as base_url:
        assert program("push", sheet, "--base-url", base_url, "--workers", 1).code == 0
    assert len(requests) == 1 + 3
    assert all(f"Bearer {KEY}".encode() in request for request in requests)
    assert not any(b"cookie" in request.lower() for request in requests)


@pytest.mark.parametrize(
    "data",
    [
        f"HTTP/1.1 200 OK\r\nBearer {KEY}\r\n\r\n".encode(),
        f"ERR bad token {KEY}\r\n\r\n".encode(),
        reply(
            422,
            json.dumps({"error": {"message": "for ?"}})
            .replace("?", "".join(f"\\u{ord(c):04x}" for c in KEY))
            .encode(),
        ),
    ],
)
def test_not_in_what_is_said_of_a_malformed_or_escaped_reply(
    program: Program, tmp_path: Path, data: bytes
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(2))

    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(data)
        connection.close()

    with raw_server(answer) as base_url:
        ran = program("push", sheet, "--base-url", base_url, "--max-attempts", 1, "-v")
    assert ran.code in {3, 6}
    assert leaks(tmp_path, ran) == []


def test_half_a_surrogate_in_a_message_is_written_as_its_escape(
    program: Program, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(2))
    body = rb'{"error": {"message": "cut \ud83d"}}'
    with raw_server(lambda connection, _: connection.sendall(reply(422, body))) as base_url:
        ran = program("push", sheet, "--base-url", base_url)
    assert ran.code == 3
    assert "cut \\ud83d" in (tmp_path / "x.results.csv").read_text(encoding="utf-8")
