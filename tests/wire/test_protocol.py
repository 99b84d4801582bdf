"""Connections that serve several requests: no bytes said of one are taken for the answer to
another, and nothing endless is read to its end.
"""

from __future__ import annotations

import json
import math
import socket
import threading
from collections.abc import Callable
from functools import partial

import anyio
import anyio.to_thread
import pytest

from bulk_sync.send.transport import httptools
from bulk_sync.send.transport.choose import Name
from bulk_sync.send.transport.httptools import HttptoolsTransport
from bulk_sync.send.transport.interface import Failure, Reply
from tests.faultserver import (
    ACKNOWLEDGED,
    Deed,
    always,
    closes,
    fault_server,
    for_keys,
    good,
    in_turn,
    refuses,
    says,
)
from tests.helpers import let_pass, reply, turns
from tests.transports import BODY, LENGTH, Ask, asked, opened, raw


@pytest.fixture
def ask(transport: Name) -> Ask:
    return partial(asked, transport)


@pytest.mark.parametrize(
    "surplus",
    [ACKNOWLEDGED, reply(500), b"\r\n", b"}", ACKNOWLEDGED[:40], b"HTTP/1.1 100 Continue\r\n\r\n"],
    ids=["a reply", "another", "a line", "a byte", "half a reply", "an interim reply"],
)
def test_what_follows_a_reply_on_its_connection_is_no_answer_to_the_next_request(
    ask: Ask, surplus: bytes
) -> None:
    """Else a row would be acknowledged by what was said of another."""
    script = for_keys(
        {"a": always(says(ACKNOWLEDGED + surplus))},
        others=lambda one, _: refuses(422, f"no {one.key}"),
    )
    seen, patched = ask(script, "a", "b", "c")
    assert patched == ["a", "b", "c"]
    assert [one.status for one in seen if isinstance(one, Reply)] == [200, 422, 422]
    assert [one.body for one in seen if isinstance(one, Reply)][1:] == [
        json.dumps({"error": {"message": f"no {key}", "status": 422}}).encode() for key in "bc"
    ]


def test_nor_is_what_comes_while_the_connection_rests(transport: Name) -> None:
    """Such as the 408 that some servers say before they close an idle connection."""
    read, sent = threading.Event(), threading.Event()

    def late(connection: socket.socket) -> None:
        good(connection)
        read.wait(60)
        connection.sendall(ACKNOWLEDGED)
        sent.set()

    async def run(base_url: str) -> list[Reply | Failure]:
        async with opened(transport, base_url) as ours:
            first = await ours.patch("/v1/showings/a", b"{}", "a")
            read.set()
            await anyio.to_thread.run_sync(sent.wait, 60)
            return [first, await ours.patch("/v1/showings/b", b"{}", "b")]

    with fault_server(for_keys({"a": always(late), "b": always(refuses(422, "no b"))})) as journal:
        seen = anyio.run(run, journal.base_url)
    assert [one.status for one in seen if isinstance(one, Reply)] == [200, 422]
    assert journal.patched == ["a", "b"]


def connections_of(transport: Name, first: Deed, *, between: Callable[[], object]) -> list[int]:
    """The client's port for each of four requests, after the first of which more may come."""
    ports: list[int] = []

    def noted(deed: Deed) -> Deed:
        def both(connection: socket.socket) -> None:
            ports.append(connection.getpeername()[1])
            deed(connection)

        return both

    script = for_keys({"a": always(noted(first))}, others=always(noted(good)))
    seen, patched = asked(transport, script, *"abcd", between=between)
    assert [one.status for one in seen if isinstance(one, Reply)] == [200] * 4
    assert patched == [*"abcd"]
    return ports


@pytest.mark.parametrize("comes", ["with the reply", "later"])
def test_after_surplus_bytes_each_connection_is_used_once(transport: Name, comes: str) -> None:
    """More of them might arrive between the look at an idle connection and the next request."""
    read, sent = threading.Event(), threading.Event()

    def late(connection: socket.socket) -> None:
        good(connection)
        read.wait(60)
        connection.sendall(ACKNOWLEDGED)
        sent.set()

    def between() -> None:
        read.set()
        sent.wait(60)

    if comes == "later":
        ports = connections_of(transport, late, between=between)
    else:
        ports = connections_of(transport, says(ACKNOWLEDGED * 2), between=lambda: None)
    assert len(set(ports)) == 4


@pytest.mark.parametrize("ends", [True, False])
def test_the_end_of_a_connection_is_no_surplus(transport: Name, *, ends: bool) -> None:
    ended = threading.Event()

    def closing(connection: socket.socket) -> None:
        good(connection)
        if ends:
            connection.close()
        ended.set()

    first, *others = connections_of(transport, closing, between=partial(ended.wait, 60))
    assert len(set(others)) == 1
    assert (first in others) != ends


@pytest.mark.parametrize("end", [False, True], ids=["bytes too many", "the end"])
def test_nor_is_what_comes_before_the_request_was_written(
    end: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests of one turn of the event loop are written at its end; what is read until then was
    said before them.
    """
    monkeypatch.setattr(httptools, "_NEAR_SECONDS", math.inf)

    async def run(base_url: str) -> list[Reply | Failure]:
        async with opened("httptools", base_url) as ours:
            assert isinstance(ours, HttptoolsTransport)
            seen = [await ours.patch("/v1/showings/a", b"{}", "a")]
            (connection,) = ours._open

            async def ask() -> None:
                seen.append(await ours.patch("/v1/showings/b", b"{}", "b"))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask)
                await turns(lambda: connection._unwritten is not None)
                connection.connection_lost(None) if end else connection.data_received(ACKNOWLEDGED)
            return seen

    with fault_server(for_keys({"a": always(good), "b": always(refuses(422, "no b"))})) as journal:
        seen = anyio.run(run, journal.base_url)
    assert [one.status for one in seen if isinstance(one, Reply)] == [200, 422]
    assert journal.patched == ["a", "b"]


@pytest.mark.parametrize(("near_seconds", "held"), [(math.inf, 1), (0.0, 0)], ids=["near", "far"])
def test_only_a_request_to_a_server_that_is_near_waits_for_others_to_be_written_with(
    near_seconds: float, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(httptools, "_NEAR_SECONDS", near_seconds)

    async def run(base_url: str) -> int:
        async with opened("httptools", base_url) as ours:
            assert isinstance(ours, HttptoolsTransport)
            await ours.patch("/v1/showings/a", b"{}", "a")
            request = ours.patch("/v1/showings/a", b"{}", "a")
            request.send(None)  # up to where it waits for the reply
            held = len(ours._prepared)
            request.close()
            return held

    with fault_server(always(good)) as journal:
        assert anyio.run(run, journal.base_url) == held


def test_a_head_that_came_before_means_the_same_however_its_body_comes(ask: Ask) -> None:
    bodies = {key: b'{"data": {"id": "%s"}}' % key.encode() for key in "abcdef"}
    replies = {
        key: raw(b"HTTP/1.1 200 OK", LENGTH, b"X-Of: all", body=body)
        for key, body in bodies.items()
    }

    def in_pieces(connection: socket.socket) -> None:
        for piece in (replies["c"][:-5], replies["c"][-5:]):
            connection.sendall(piece)
            let_pass(0.05)  # so that they are read one by one

    script = for_keys(
        {
            **{key: always(says(data)) for key, data in replies.items()},
            "c": always(in_pieces),
            "e": always(says(replies["e"] + b"too many")),
        }
    )
    seen, patched = ask(script, *"abcdef")
    *_, surplus, _ = seen  # which of the two is the reply, nobody knows
    assert isinstance(surplus, Failure)
    assert [one.body for one in seen if isinstance(one, Reply)] == [bodies[key] for key in "abcdf"]
    assert patched == list("abcdef")


def endless(data: bytes) -> Deed:
    def deed(connection: socket.socket) -> None:
        while True:
            connection.sendall(data)

    return deed


@pytest.mark.parametrize(
    ("head", "more", "kind"),
    [
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", "timeout"),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1000, "bad_reply"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y" * 65536, "bad_reply"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n", b"y" * 65536, "bad_reply"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"8;" + b"e" * 65536,
            "bad_reply",
        ),
        (b"HTTP/1.0 200 OK\r\n\r\n", b"y" * 65536, "bad_reply"),
    ],
    ids=[
        "interim replies",
        "headers",
        "one header",
        "a stated length",
        "a chunk's extension",
        "no length",
    ],
)
def test_what_has_no_end_is_cut_off(ask: Ask, head: bytes, more: bytes, kind: str) -> None:
    def deed(connection: socket.socket) -> None:
        connection.sendall(head)
        endless(more)(connection)

    bound = {"timeout_seconds": 0.5} if kind == "timeout" else {}
    (seen,), _ = ask(always(deed), "a", **bound)
    assert isinstance(seen, Failure)
    assert (seen.kind, seen.may_have_arrived) == (kind, True)


def test_the_connection_of_a_reply_that_broke_off_is_not_used_again(ask: Ask) -> None:
    """Bytes that come late would be read as the answer to another row."""
    connections: list[socket.socket] = []

    def late(connection: socket.socket) -> None:
        connections.append(connection)
        connection.sendall(ACKNOWLEDGED[:30])
        connection.recv(1)

    def also(connection: socket.socket) -> None:
        connections.append(connection)
        good(connection)

    seen, _ = ask(for_keys({"a": always(late)}, others=always(also)), "a", "b", timeout_seconds=1)
    assert isinstance(seen[0], Failure)
    assert isinstance(seen[1], Reply)
    assert connections[0] is not connections[1]


def test_a_reply_before_the_end_of_the_connection_counts_and_the_next_row_takes_a_new_one(
    ask: Ask,
) -> None:
    last = says(reply(200, BODY, "Connection: close"), then="close")
    seen, patched = ask(for_keys({"a": always(last), "b": in_turn(closes, good)}), *"abb")
    assert isinstance(seen[0], Reply)
    assert isinstance(seen[1], Failure)
    assert isinstance(seen[2], Reply)
    assert patched == ["a", "b", "b"]
