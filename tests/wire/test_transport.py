"""The transport over real sockets, with servers that uvicorn is too polite to be."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from functools import partial

import anyio
import anyio.to_thread
import httpx
import pytest
import trustme
from pydantic import SecretStr

from bulk_sync.clock import SystemClock
from bulk_sync.send.transport.choose import Name, open_transport
from bulk_sync.send.transport.connection import Connection
from bulk_sync.send.transport.httptools import HttptoolsTransport, open_httptools
from bulk_sync.send.transport.httpx import translate
from bulk_sync.send.transport.interface import LARGEST_REPLY, Failure, Reply
from tests.helpers import KEY, raw_server, reply, reset

Ask = Callable[..., Reply | Failure]


@pytest.fixture
def ask(transport: Name) -> Ask:
    return partial(_ask, transport)


def _ask(
    name: Name,
    base_url: str,
    *,
    timeout_seconds: float = 2.0,
    times: int = 1,
    between: Callable[[], object] = lambda: None,
) -> Reply | Failure:
    async def run() -> Reply | Failure:
        async with open_transport(
            name,
            base_url,
            SecretStr(KEY),
            timeout_seconds=timeout_seconds,
            connections=2,
            user_agent="test",
        ) as opened:
            for _ in range(times - 1):
                await opened.patch("/v1/showings/a", b"{}", "same")
                await anyio.to_thread.run_sync(between)
            return await opened.patch("/v1/showings/a", b"{}", "same")

    return anyio.run(run)


def sends(data: bytes, *, then: str = "close") -> Callable[[socket.socket, bytes], None]:
    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(data)
        if then == "close":
            connection.close()
        elif then == "reset":
            reset(connection)
        elif then == "hang":
            connection.recv(1)

    return answer


@pytest.mark.parametrize(
    ("name", "answer", "kind", "may_have_arrived"),
    [
        ("no answer", sends(b"", then="hang"), "timeout", True),
        ("closed before any byte", sends(b""), "connection", True),
        ("reset before the answer", sends(b"", then="reset"), "connection", True),
        ("cut in the head", sends(b"HTTP/1.1 200 OK\r\nContent-"), "connection", True),
        ("cut in the body", sends(reply(200, b"{}", length=50)), "bad_reply", True),
        (
            "reset in the body",
            sends(reply(200, b"{}", length=50), then="reset"),
            "connection",
            True,
        ),
        ("hang in the body", sends(reply(200, b"{}", length=50), then="hang"), "timeout", True),
        ("not HTTP", sends(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "bad_reply", True),
        ("bad status line", sends(b"HTTP/1.1 abc\r\n\r\n"), "bad_reply", True),
        (
            "two lengths",
            sends(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
            "bad_reply",
            True,
        ),
        (
            "bad chunk",
            sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
            "bad_reply",
            True,
        ),
        ("an endless head", sends(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 600_000), "bad_reply", True),
        ("a large body", sends(reply(200, b"x" * (LARGEST_REPLY + 1))), "bad_reply", True),
        (
            "packed without being asked",
            sends(reply(200, b"\x1f\x8b", "Content-Encoding: gzip")),
            "bad_reply",
            True,
        ),
    ],
)
def test_what_is_no_whole_reply_is_a_failure_that_says_whether_it_may_have_arrived(
    ask: Ask,
    name: str,
    answer: Callable[[socket.socket, bytes], None],
    kind: str,
    may_have_arrived: bool,
) -> None:
    with raw_server(answer) as base_url:
        seen = ask(base_url, timeout_seconds=0.5)
    assert isinstance(seen, Failure), name
    assert (seen.kind, seen.may_have_arrived, seen.hopeless) == (kind, may_have_arrived, False), (
        seen
    )


@pytest.mark.parametrize("to", ["mailto:x", "http://xn--/"])
def test_a_redirect_to_what_is_no_address_is_one_all_the_same_or_no_reply(
    ask: Ask, to: str
) -> None:
    with raw_server(sends(reply(302, b"", f"Location: {to}"))) as base_url:
        seen = ask(base_url)
    assert (isinstance(seen, Reply) and seen.status == 302) or (
        isinstance(seen, Failure) and seen.kind == "bad_reply"
    )


def test_a_reply_that_drips_is_cut_by_the_whole_time_out(ask: Ask) -> None:
    def drip(connection: socket.socket, _: bytes) -> None:
        waited = threading.Event()
        for byte in reply(200, b"{}" * 50):
            connection.sendall(bytes([byte]))
            waited.wait(0.05)

    with raw_server(drip) as base_url:
        seen = ask(base_url, timeout_seconds=0.5)
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
    with raw_server(sends(data)) as base_url:
        seen = ask(base_url)
    assert isinstance(seen, Reply)
    assert (seen.status, seen.body) == (200, b"{}")


def test_a_connection_that_the_server_closed_between_requests_costs_nothing(ask: Ask) -> None:
    closed = threading.Semaphore(0)

    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(reply(204))
        connection.close()
        closed.release()

    def rest() -> None:
        closed.acquire(timeout=5)

    with raw_server(answer) as base_url:
        assert isinstance(ask(base_url, times=5, between=rest), Reply)


def test_refused_and_unknown_hosts_never_left(ask: Ask) -> None:
    refused = ask("http://127.0.0.1:9")
    assert isinstance(refused, Failure)
    assert (refused.kind, refused.may_have_arrived, refused.hopeless) == (
        "connection",
        False,
        False,
    )
    assert "127.0.0.1:9 refuses connections" in refused.message
    unknown = ask("https://no-such-host.invalid")
    assert isinstance(unknown, Failure)
    assert not unknown.may_have_arrived
    assert "no-such-host.invalid" in unknown.message


def test_a_certificate_that_nobody_vouches_for_ends_all_hope(ask: Ask) -> None:
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
        seen = ask(f"https://localhost:{listener.getsockname()[1]}")
        thread.join(5)
    assert isinstance(seen, Failure)
    assert (seen.hopeless, seen.may_have_arrived) == (True, False)
    assert "certificate of localhost" in seen.message
    assert seen_by_server in ([], [b""])


def test_a_handshake_that_breaks_is_tried_again_but_a_server_without_tls_is_not(ask: Ask) -> None:
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
            seen = ask(address)
            thread.join(5)
            assert isinstance(seen, Failure)
            assert (seen.hopeless, seen.may_have_arrived) == (hopeless, False), seen


def test_a_request_that_waits_for_its_connection_ends_by_its_deadline_whatever_leaves_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connect = HttptoolsTransport._connect

    async def slowly(self: HttptoolsTransport) -> Connection | Failure:
        await SystemClock().sleep(0.8)
        return await connect(self)

    def answer(stream: socket.socket, request: bytes) -> None:
        if b"/never" in request:
            stream.recv(1)
        else:
            stream.sendall(reply(200, b"{}"))

    async def ask_in_vain(opened: HttptoolsTransport) -> None:
        with anyio.fail_after(1.5):
            failure = await opened.patch("/v1/showings/never", b"{}", "same")
        assert isinstance(failure, Failure)
        assert failure.kind == "timeout"

    async def run(base_url: str) -> None:
        async with (
            open_httptools(
                base_url, SecretStr(KEY), timeout_seconds=1.0, user_agent="test"
            ) as opened,
            anyio.create_task_group() as tasks,
        ):
            monkeypatch.setattr(HttptoolsTransport, "_connect", slowly)
            tasks.start_soon(ask_in_vain, opened)
            await SystemClock().sleep(0.7)
            monkeypatch.setattr(HttptoolsTransport, "_connect", connect)
            assert isinstance(await opened.patch("/v1/showings/a", b"{}", "same"), Reply)

    with raw_server(answer) as base_url:
        anyio.run(run, base_url)


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
