"""Heads as servers write them: the parser takes what h11, under httpx, takes, and nothing else."""

from __future__ import annotations

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr

from bulk_sync.send.transport.heads import rewritten
from bulk_sync.send.transport.interface import Reply
from bulk_sync.send.transport.masking import Masking
from bulk_sync.send.transport.parsing import ReplyParser
from bulk_sync.send.transport.replies import why_unreadable
from tests.helpers import KEY

FIRST = st.sampled_from(
    [
        *(b"HTTP/1.1 200 OK", b"HTTP/1.1 200", b"HTTP/1.1 200 ", b"HTTP/1.0 404 \xe9"),
        *(b"HTTP/1.1 204 No", b"HTTP/1.1 200 O\tK", b"HTTP/1.1 200 a\x01", b"http/1.1 200 OK"),
        *(b"HTTP/1.1  200 OK", b"HTTP/1.1 099 x", b"HTTP/1.2 200 OK", b"HTTP/1.1 101 Switching"),
    ]
)
LENGTH = st.sampled_from(
    [
        *(b"Content-Length: 5", b"content-length:5 ", b"Content-Length: 5, 5", b"X: none"),
        *(b"Content-Length: 5,", b"Content-Length: 05", b"Content-Length: ", b"Content-Length"),
        *(b"Transfer-Encoding: Chunked", b"Transfer-Encoding: gzip, chunked"),
        *(b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding: identity"),
    ]
)
OTHER = st.sampled_from(
    [
        *(b"X: y", b"X:", b"X: a\tb", b"X: a\x01b", b"X: a\x7fb", b"X: \xff", b"X : y", b"X y"),
        *(b" folded", b"\tfolded", b"(x): y", b"X-\xe9: y", b"X: a\rb", b"X: a\r", b":", b""),
        *(b"Connection: close", b"Connection: upgrade", b"Upgrade: h2c", b"Trailer: x"),
    ]
)
END = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r\r\n", b"\r"])
BODY = st.sampled_from(
    [
        *(b"hello", b"", b"hell", b"5\r\nhello\r\n0\r\n\r\n", b"5 \r\nhello\r\n0\r\n\r\n"),
        *(b"05;x=y\r\nhello\r\n0\r\nT: x\r\n\r\n", b"5\nhello\n0\n\n", b"5\r\nhello0\r\n\r\n"),
        *(b"0x5\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\nT : x\r\n\r\n"),
    ]
)


@st.composite
def replies(draw: st.DrawFn) -> bytes:
    lines = draw(st.lists(OTHER, max_size=2))
    lines.extend(draw(st.lists(LENGTH, min_size=1, max_size=2)))
    lines = [draw(FIRST), *draw(st.permutations(lines)), b""]
    head = b"".join(line + draw(END) for line in lines)
    interim = draw(st.sampled_from([b"", b"", b"HTTP/1.1 103 Hints\nX: y\r\n\r\n"]))
    return interim + head + draw(BODY)


MASKING = Masking(SecretStr(KEY))
Seen = tuple[int, bytes] | None


def by_h11(data: bytes) -> Seen:
    """Status and body of a reply that the server ends with the connection."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    status, body = 0, b""
    try:
        client.receive_data(data)
        while True:
            event = client.next_event()
            if event is h11.NEED_DATA:
                client.receive_data(b"")
            elif isinstance(event, h11.Response):
                status = event.status_code
                headers = MASKING.headers(
                    (str(n, "ascii"), str(v, "latin-1")) for n, v in event.headers
                )
                version = f"HTTP/{event.http_version.decode()}"
                if why_unreadable(status, version, headers) is not None:
                    return None
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return status, body
            elif not isinstance(event, h11.InformationalResponse) or event.status_code == 101:
                return None
    except h11.RemoteProtocolError:
        return None


def by_ours(data: bytes) -> Seen:
    parser = ReplyParser("api:443", MASKING, {})
    seen = parser.feed(data) or parser.end()
    return (seen.status, seen.body) if isinstance(seen, Reply) else None


@given(replies())
@example(b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello")
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello")
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 4\r\n\r\nhello")
@example(b"HTTP/1.1 200 OK\nContent-Length: 5\nTransfer-Encoding: chunked\n\n0\r\n\r\n")
def test_both_transports_read_the_same_out_of_the_same_bytes(data: bytes) -> None:
    assert by_ours(data) == by_h11(data)


@given(st.binary())
def test_what_is_rewritten_has_one_head_of_crlf_lines(tail: bytes) -> None:
    found = rewritten(b"HTTP/1.1 200 OK\n" + tail)
    if found:
        head, _, _ = found.partition(b"\r\n\r\n")
        assert b"\n" not in head.replace(b"\r\n", b"")


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"HTTP", b""),
        (b"HTTP/1.1 200 OK\nX: y\n", b""),
        (b"HTTP/1.1 103 Hints\n\n", b""),
        (b"SSH-2.0", None),
        (b"HTTP/1.1 OK\n", None),
        (b"HTTP/1.1 200 OK\n\nbody", b"HTTP/1.1 200 OK\r\n\r\nbody"),
    ],
)
def test_a_head_is_rewritten_once_it_is_whole(data: bytes, found: bytes | None) -> None:
    assert rewritten(data) == found
