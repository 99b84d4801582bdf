"""The transports over real sockets, with servers that uvicorn is too polite to be."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from functools import partial

import anyio
import httpx
import pytest
import trustme
from pydantic import SecretStr

from bulk_sync.send.transport.choose import Name
from bulk_sync.send.transport.connection import Connection
from bulk_sync.send.transport.httptools import HttptoolsTransport, open_httptools
from bulk_sync.send.transport.httpx import translate
from bulk_sync.send.transport.interface import LARGEST_REPLY, Failure, Reply
from tests.faultserver import (
    Deed,
    always,
    answers,
    closes,
    fault_server,
    for_keys,
    hangs,
    resets,
    says,
)
from tests.helpers import KEY, let_pass, reply
from tests.transports import LONG_ENOUGH, Ask, asked, opened

CUT = reply(200, b"{}", length=50)


@pytest.fixture
def ask(transport: Name) -> Ask:
    return partial(asked, transport)


@pytest.mark.parametrize(
    ("deed", "kind"),
    [
        (hangs, "timeout"),
        (closes, "connection"),
        (resets, "connection"),
        (says(b"HTTP/1.1 200 OK\r\nContent-", then="close"), "connection"),
        (says(CUT, then="close"), "bad_reply"),
        (says(CUT, then="reset"), "connection"),
        (says(CUT, then="hang"), "timeout"),
        (says(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "bad_reply"),
        (says(b"HTTP/1.1 abc\r\n\r\n"), "bad_reply"),
        (
            says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
            "bad_reply",
        ),
        (says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "bad_reply"),
        (says(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 600_000, then="close"), "bad_reply"),
        (says(reply(200, b"x" * (LARGEST_REPLY + 1)), then="close"), "bad_reply"),
    ],
    ids=[
        "no answer",
        "closed before any byte",
        "reset before the answer",
        "cut in the head",
        "cut in the body",
        "reset in the body",
        "hang in the body",
        "not HTTP",
        "bad status line",
        "two lengths",
        "bad chunk",
        "an endless head",
        "a large body",
    ],
)
def test_what_is_no_whole_reply_is_a_failure_of_a_request_that_may_have_arrived(
    ask: Ask, deed: Deed, kind: str
) -> None:
    bound = {"timeout_seconds": 0.3} if kind == "timeout" else {}
    (seen,), _ = ask(always(deed), "a", **bound)
    assert isinstance(seen, Failure)
    assert (seen.kind, seen.may_have_arrived, seen.hopeless) == (kind, True, False), seen


def test_a_reply_that_drips_is_cut_by_the_whole_time_out(ask: Ask) -> None:
    def drip(connection: socket.socket) -> None:
        for byte in reply(200, b"{}" * 50):
            connection.sendall(bytes([byte]))
            let_pass(0.05)

    (seen,), _ = ask(always(drip), "a", timeout_seconds=0.5)
    assert isinstance(seen, Failure)
    assert (seen.kind, seen.may_have_arrived) == ("timeout", True)


@pytest.mark.parametrize(
    "data",
    [
        reply(200, b"{}"),
        b"HTTP/1.0 200 OK\r\n\r\n{}",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
        + reply(200, b"{}"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        reply(200, b"{}", "Content-Encoding: identity"),
    ],
)
def test_unusual_but_whole_replies_are_replies(ask: Ask, data: bytes) -> None:
    (seen,), _ = ask(always(says(data, then="close")), "a")
    assert isinstance(seen, Reply)
    assert (seen.status, seen.body) == (200, b"{}")


def test_what_the_api_says_of_its_limit_is_among_the_headers(ask: Ask) -> None:
    told = ('RateLimit: "default";r=0;t=2', "RETRY-AFTER: 3", "Date: Mon, 02 Mar 2026 10:00:00 GMT")
    (seen,), _ = ask(always(answers(429, {}, *told)), "a")
    assert isinstance(seen, Reply)
    named = {name: seen.headers[name] for name in ("ratelimit", "retry-after", "date")}
    assert named == {
        "ratelimit": '"default";r=0;t=2',
        "retry-after": "3",
        "date": "Mon, 02 Mar 2026 10:00:00 GMT",
    }


def test_a_post_has_its_method_path_body_and_idempotency_key(transport: Name) -> None:
    async def create(base_url: str) -> Reply | Failure:
        async with opened(transport, base_url) as client:
            await client.patch("/v1/showings/a", b"{}", "of the patch")
            return await client.post("/v1/showings", b'{"rating": 5}', "of the post")

    with fault_server(always(answers(201, {"data": {"id": "x"}}))) as journal:
        seen = anyio.run(create, journal.base_url)
    assert isinstance(seen, Reply)
    assert seen.status == 201
    request = journal.requests[1]
    assert (request.method, request.path, request.body) == (
        "POST",
        "/v1/showings",
        b'{"rating": 5}',
    )
    assert request.headers["idempotency-key"] == "of the post"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["authorization"] == f"Bearer {KEY}"


def test_a_connection_that_the_server_closed_between_requests_costs_nothing(ask: Ask) -> None:
    closed = threading.Semaphore(0)

    def once(connection: socket.socket) -> None:
        connection.sendall(reply(204))
        connection.close()
        closed.release()

    seen, patched = ask(always(once), *"abcde", between=partial(closed.acquire, timeout=60))
    assert all(isinstance(one, Reply) for one in seen)
    assert patched == [*"abcde"]


def one_request(name: Name, base_url: str) -> Reply | Failure:
    async def run() -> Reply | Failure:
        async with opened(name, base_url) as ours:
            return await ours.patch("/v1/showings/a", b"{}", "same")

    return anyio.run(run)


def test_refused_and_unknown_hosts_never_left(transport: Name) -> None:
    refused = one_request(transport, "http://127.0.0.1:9")
    assert isinstance(refused, Failure)
    assert (refused.kind, refused.may_have_arrived, refused.hopeless) == (
        "connection",
        False,
        False,
    )
    assert "127.0.0.1:9 refuses connections" in refused.message
    unknown = one_request(transport, "https://no-such-host.invalid")
    assert isinstance(unknown, Failure)
    assert not unknown.may_have_arrived
    assert "no-such-host.invalid" in unknown.message


def test_a_certificate_that_nobody_vouches_for_ends_all_hope(transport: Name) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    seen_by_server: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                try:
                    with context.wrap_socket(connection, server_side=True) as secure:
                        seen_by_server.append(secure.recv(100))
                except OSError:
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        seen = one_request(transport, f"https://localhost:{listener.getsockname()[1]}")
        thread.join(60)
    assert isinstance(seen, Failure)
    assert (seen.hopeless, seen.may_have_arrived) == (True, False)
    assert "certificate of localhost" in seen.message
    assert seen_by_server in ([], [b""])


def test_a_handshake_that_breaks_is_tried_again_but_a_server_without_tls_is_not(
    transport: Name,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"https://127.0.0.1:{listener.getsockname()[1]}"
        for answer, hopeless in ((b"", False), (b"HTTP/1.1 400 Bad Request\r\n\r\n", True)):

            def serve(answer: bytes = answer) -> None:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            seen = one_request(transport, address)
            thread.join(60)
            assert isinstance(seen, Failure)
            assert (seen.hopeless, seen.may_have_arrived) == (hopeless, False), seen


def test_a_request_that_waits_for_its_connection_keeps_its_deadline_whatever_leaves_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All requests of a transport have one timer, which is set for the first that may be late."""
    connect = HttptoolsTransport._connect

    async def run(base_url: str) -> None:
        may_connect, asks = anyio.Event(), anyio.Event()

        async def late(self: HttptoolsTransport) -> Connection | Failure:
            await may_connect.wait()
            try:
                return await connect(self)
            finally:
                asyncio.get_running_loop().call_soon(asks.set)

        async with (
            open_httptools(
                base_url, SecretStr(KEY), timeout_seconds=LONG_ENOUGH, user_agent="test"
            ) as ours,
            anyio.create_task_group() as tasks,
        ):
            monkeypatch.setattr(HttptoolsTransport, "_connect", late)
            tasks.start_soon(ours.patch, "/v1/showings/never", b"{}", "same")
            await anyio.wait_all_tasks_blocked()
            monkeypatch.setattr(HttptoolsTransport, "_connect", connect)
            assert isinstance(await ours.patch("/v1/showings/a", b"{}", "same"), Reply)
            of_the_later_one = ours._timer_at
            may_connect.set()
            await asks.wait()
            assert ours._timer_at < of_the_later_one
            tasks.cancel_scope.cancel()

    with fault_server(for_keys({"never": always(hangs)})) as journal:
        anyio.run(run, journal.base_url)


def test_every_transport_error_of_httpx_has_a_translation() -> None:
    def tree(root: type[httpx.TransportError]) -> set[type[httpx.TransportError]]:
        return {root}.union(*(tree(child) for child in root.__subclasses__()))

    never_left = {
        "ConnectTimeout",
        "PoolTimeout",
        "ConnectError",
        "ProxyError",
        "UnsupportedProtocol",
        "LocalProtocolError",
    }
    for kind in tree(httpx.TransportError):
        failure = translate(kind(f"Bearer {KEY}"), "api.example.com:443")
        assert failure.kind in {"timeout", "connection", "bad_reply"}
        assert failure.may_have_arrived == (kind.__name__ not in never_left), kind
        assert "api.example.com:443" in failure.message
