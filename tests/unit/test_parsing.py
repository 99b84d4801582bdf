"""Bytes of a connection to replies, without a connection."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from bulk_sync.send.transport.interface import LARGEST_REPLY, Failure, Reply
from bulk_sync.send.transport.masking import Masking
from bulk_sync.send.transport.parsing import Head, ReplyParser
from bulk_sync.send.transport.replies import TOO_LARGE, TWO_LENGTHS
from tests.helpers import KEY

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
LAST = b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
WITHOUT_LENGTH = b"HTTP/1.1 200 OK\r\n\r\n{}"


def parser(heads: dict[bytes, Head] | None = None) -> ReplyParser:
    return ReplyParser("api:443", Masking(SecretStr(KEY)), {} if heads is None else heads)


def fed(data: bytes, cuts: list[int] | None = None) -> tuple[Reply | Failure | None, bool]:
    """What the data is, in pieces that end at `cuts`, and whether the connection is reusable."""
    reader, seen = parser(), None
    edges = sorted({0, len(data), *(cut % len(data) for cut in cuts or [])})
    for begin, end in pairwise(edges):
        seen = reader.feed(data[begin:end])
        if seen is not None:
            return (seen, reader.reusable) if end == len(data) else (seen, False)
    return seen, reader.reusable


@pytest.mark.parametrize(
    ("data", "status", "reusable"),
    [(WHOLE, 200, True), (CHUNKED, 200, True), (INTERIM + WHOLE, 200, True), (LAST, 404, False)],
)
@given(cuts=st.lists(st.integers(1, 200), max_size=4))
def test_a_reply_is_the_same_in_whatever_pieces_it_comes(
    data: bytes, status: int, *, reusable: bool, cuts: list[int]
) -> None:
    seen, may_be_used_again = fed(data, cuts)
    assert isinstance(seen, Reply)
    assert (seen.status, seen.body, may_be_used_again) == (status, b"{}", reusable)


@pytest.mark.parametrize(
    "data", [b"HTTP/1.1 200", INTERIM, WHOLE[:-1], CHUNKED[:-2], WITHOUT_LENGTH]
)
def test_what_is_not_whole_is_no_reply_yet(data: bytes) -> None:
    assert fed(data) == (None, False)


@pytest.mark.parametrize(
    ("data", "failure"),
    [
        (b"SSH-2.0-OpenSSH\r\n", "api:443 sent no well-formed reply"),
        (b"HTTP/1.1 200 O\0K\r\n", "api:443 sent no well-formed reply"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * (129 << 10), "api:443 sent a reply whose head is too"),
        (b"HTTP/1.1 101 Other\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "another protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (LARGEST_REPLY + 1), TOO_LARGE.message),
        (CHUNKED.replace(b"Transfer", b"Content-Length: 2\r\nTransfer"), TWO_LENGTHS.message),
    ],
)
def test_what_can_not_be_a_reply_is_a_failure_that_may_have_arrived(
    data: bytes, failure: str
) -> None:
    seen, reusable = fed(data)
    assert isinstance(seen, Failure)
    assert failure in seen.message
    assert (seen.kind, seen.may_have_arrived, reusable) == ("bad_reply", True, False)


def test_a_connection_on_which_a_second_reply_came_is_not_used_again() -> None:
    seen, reusable = fed(WHOLE + WHOLE)
    assert isinstance(seen, Reply)
    assert not reusable


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "closed the connection without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "closed the connection without an answer"),
        (WHOLE[:-1], "closed the connection in the middle of a reply"),
        (CHUNKED[:-2], "closed the connection in the middle of a reply"),
    ],
)
def test_the_end_of_the_connection_breaks_a_reply_off(data: bytes, message: str) -> None:
    reader = parser()
    assert data == b"" or reader.feed(data) is None
    seen = reader.end()
    assert isinstance(seen, Failure)
    assert (message in seen.message, seen.may_have_arrived) == (True, True)


def test_the_end_of_the_connection_ends_a_reply_without_a_length() -> None:
    reader = parser()
    assert reader.feed(WITHOUT_LENGTH) is None
    assert reader.end() == Reply(200, {}, b"{}")


def test_a_head_that_was_parsed_before_gives_the_same_mapping_and_the_new_body() -> None:
    heads: dict[bytes, Head] = {}
    first = parser(heads).feed(WHOLE)
    second = parser(heads).feed(WHOLE[:-2] + b"[]")
    assert isinstance(first, Reply)
    assert isinstance(second, Reply)
    assert second.headers is first.headers
    assert (first.body, second.body) == (b"{}", b"[]")


def test_after_a_reset_nothing_of_the_reply_before_is_left() -> None:
    reader = parser()
    assert isinstance(reader.feed(CHUNKED), Reply)
    reader.reset()
    assert not reader.reusable
    assert reader.feed(LAST) == Reply(404, {"connection": "close", "content-length": "2"}, b"{}")
