"""Replies that break HTTP, or the contract of what is in them: an error of that attempt, never of
another row.

Each is seen by the transport itself, over a socket, and by the decision about what it saw; a
handful go through whole runs.
"""

from __future__ import annotations

import socket
from functools import partial
from pathlib import Path

import pytest

from bulk_sync.send.acknowledgement import Acknowledged
from bulk_sync.send.decide import (
    Decision,
    RetryIn,
    RetryPolicy,
    SoFar,
    decide,
    may_have_been_applied,
)
from bulk_sync.send.transport.choose import Name
from bulk_sync.send.transport.interface import LARGEST_REPLY, Failure, Reply
from tests.conftest import Program
from tests.faultserver import (
    ACKNOWLEDGED,
    Deed,
    always,
    answers,
    fault_server,
    for_keys,
    good,
    in_turn,
    says,
)
from tests.helpers import numbered, read_csv, reply, write_sheet
from tests.transports import BODY, CHUNKED, LENGTH, Ask, asked, of, raw

pytestmark = pytest.mark.uncovered


@pytest.fixture
def ask(transport: Name) -> Ask:
    return partial(asked, transport)


def decided(seen: Reply | Failure) -> Decision:
    """Decide about the first request for a row, with a key that the API has accepted."""
    so_far = SoFar(attempts=1, throttled=0, elapsed_seconds=0, key_accepted=True)
    policy = RetryPolicy(max_attempts=5, retry_for_seconds=900, repeat_ambiguous=True)
    return decide(seen, so_far, policy, target="ext_1", sent="{}", dice=0.5)


MALFORMED = {
    "an empty line": b"\r\n\r\n",
    "a page without a head": b"<html><body>hello</body></html>",
    "a greeting of mail": b"220 mail.example.com ESMTP\r\n",
    "an alert of TLS": b"\x15\x03\x01\x00\x02\x02\x46",
    "frames of HTTP/2": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
    "no version": raw(b"200 OK", LENGTH),
    "version 0.9": raw(b"HTTP/0.9 200 OK", LENGTH),
    "version 2.0": raw(b"HTTP/2.0 200 OK", LENGTH),
    "version 3": raw(b"HTTP/3 200 OK", LENGTH),
    "version x.y": raw(b"HTTP/x.y 200 OK", LENGTH),
    "no status": raw(b"HTTP/1.1", LENGTH),
    "status OK": raw(b"HTTP/1.1 OK OK", LENGTH),
    "status 20": raw(b"HTTP/1.1 20 OK", LENGTH),
    "status 2000": raw(b"HTTP/1.1 2000 OK", LENGTH),
    "status -200": raw(b"HTTP/1.1 -200 OK", LENGTH),
    "digits of another script": raw("HTTP/1.1 ٢٠٠ OK".encode(), LENGTH),
    "a switch of protocols": raw(
        b"HTTP/1.1 101 Switching", b"Upgrade: websocket", b"Connection: upgrade", body=b""
    ),
    "NUL in the reason": raw(b"HTTP/1.1 200 O\0K", LENGTH),
    "a header without a colon": of(b"nonsense", LENGTH),
    "a header without a name": of(b": 1", LENGTH),
    "a blank before the colon": of(b"X : 1", LENGTH),
    "NUL in a header": of(b"X: a\0b", LENGTH),
    "CR in a header": of(b"X: a\rb", LENGTH),
    "length in words": of(b"Content-Length: ten"),
    "length below zero": of(b"Content-Length: -1"),
    "length with a sign": of(b"Content-Length: +21"),
    "length of 5,000 digits": of(b"Content-Length: " + b"9" * 5000),
    "two lengths": of(b"Content-Length: 2", LENGTH),
    "length and chunks": of(LENGTH, CHUNKED, body=b"15\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "chunks in gzip": of(
        b"Transfer-Encoding: gzip, chunked", body=b"15\r\n" + BODY + b"\r\n0\r\n\r\n"
    ),
    "chunks twice": of(CHUNKED, CHUNKED, body=b"15\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "chunk of size zz": of(CHUNKED, body=b"zz\r\n"),
    "chunk of size -1": of(CHUNKED, body=b"-1\r\nx"),
    "chunk of an endless size": of(CHUNKED, body=b"f" * 30 + b"\r\n"),
    "chunk longer than it says": of(CHUNKED, body=b"5\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "no last chunk": of(CHUNKED, body=b"15\r\n" + BODY + b"\r\n"),
    "a trailer that is none": of(CHUNKED, body=b"15\r\n" + BODY + b"\r\n0\r\nnonsense\r\n\r\n"),
    "a header of 1 MB": of(b"X: " + b"x" * (1 << 20), LENGTH),
    "10,000 headers": of(
        *(b"X-Filler-%05d: of some length" % number for number in range(10_000)), LENGTH
    ),
    "two lengths in one header": of(b"Content-Length: 21, 22"),
    "a length twice with a zero": of(LENGTH, b"Content-Length: 021"),
    "an empty line first": b"\r\n" + of(LENGTH),
    "LF alone and two lengths": of(LENGTH, b"Content-Length: 2").replace(b"\r", b""),
    "LF alone and a blank before the colon": of(b"X : 1", LENGTH).replace(b"\r", b""),
    "LF alone, length and chunks": of(LENGTH, CHUNKED).replace(b"\r", b""),
    "a folded status": b"HTTP/1.1 200 OK\r\n Content-Length: 21\r\n\r\n" + BODY,
    "chunks that end with LF alone": of(CHUNKED, body=b"15\n" + BODY + b"\n0\n\n"),
    "version 1.2": raw(b"HTTP/1.2 200 OK", LENGTH),
    "a body cut by the end": of(b"Content-Length: 22"),
    "HTML for JSON": reply(200, b"<html>Sign in</html>", "Content-Type: text/html"),
    "data that is null": reply(200, b'{"data": null}'),
    "invalid UTF-8": reply(200, b'{"data": {"id": "\xff"}}'),
    "NUL in JSON": reply(200, b'{"data": {"id": "a\0b"}}'),
    "JSON 100,000 deep": reply(200, b"[" * 100_000 + b"]" * 100_000),
    "a number of 100,000 digits": reply(200, b'{"data": ' + b"9" * 100_000 + b"}"),
    "two documents": reply(200, BODY + BODY),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_reply_is_tried_again_over_another_connection(ask: Ask, name: str) -> None:
    script = in_turn(says(MALFORMED[name], then="close"), good)
    (seen, again), patched = ask(script, "a", "a")
    assert isinstance(decided(seen), RetryIn)
    assert may_have_been_applied(seen)
    if isinstance(seen, Failure):
        assert (seen.kind in {"bad_reply", "connection"}, seen.hopeless) == (True, False)
        assert isinstance(again, Reply)
    else:  # whole as HTTP goes, so the connection may be tried once more, and is found closed
        assert seen.status == 200
        assert isinstance(again, Reply) or again.kind == "connection"
    assert patched in (["a", "a"], ["a"])


HANDFUL: dict[str, Deed] = {
    "ext_1": says(MALFORMED["an empty line"], then="close"),
    "ext_3": says(MALFORMED["status 2000"], then="close"),
    "ext_5": says(MALFORMED["two lengths"], then="close"),
    "ext_7": says(MALFORMED["a body cut by the end"], then="close"),
    "ext_9": says(MALFORMED["HTML for JSON"]),
    "ext_11": says(MALFORMED["data that is null"]),
}
"""By row; rows that fare well lie between, or it would be an outage."""


@pytest.mark.usefixtures("transport")
def test_after_a_malformed_reply_the_row_is_sent_again(program: Program, tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(30))
    script = for_keys({key: in_turn(deed, good) for key, deed in HANDFUL.items()})
    with fault_server(script) as journal:
        ran = program("push", sheet, "--base-url", journal.base_url, "--json")
    assert (ran.code, ran.summary["retries"]) == (0, len(HANDFUL)), ran.err
    for line in read_csv(tmp_path / "x.results.csv"):
        seen = journal.of(line["unique_showing_key"])
        times = 2 if line["unique_showing_key"] in HANDFUL else 1
        assert (line["state"], len(seen), int(line["attempts"])) == ("updated", times, times)
        assert len({request.headers["idempotency-key"] for request in seen}) == 1


@pytest.mark.usefixtures("transport")
def test_a_row_that_gets_nothing_else_fails_and_may_have_been_applied(
    program: Program, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(30))
    script = for_keys({key: always(deed) for key, deed in HANDFUL.items()})
    with fault_server(script) as journal:
        ran = program("push", sheet, "--base-url", journal.base_url, "--max-attempts", 1)
    assert ran.code == 3, ran.err
    for line in read_csv(tmp_path / "x.results.csv"):
        if line["unique_showing_key"] in HANDFUL:
            assert line["state"] == "failed", line
            assert line["error"] in {"bad_reply", "connection"}, line
            assert "it may have been applied" in line["message"], line
        else:
            assert line["state"] == "updated", line


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (reply(200, BODY, length=50), "closed the connection in the middle of a reply"),
        (of(CHUNKED, body=b"15\r\n" + BODY[:3]), "closed the connection in the middle of a reply"),
        (MALFORMED["a header of 1 MB"], "head is too long"),
        (MALFORMED["version 2.0"], "of another version of HTTP"),
        (MALFORMED["length and chunks"], "length in two ways"),
        (
            of(b"Content-Length: 1000000000", body=b"x" * (LARGEST_REPLY + 1)),
            f"larger than {LARGEST_REPLY} bytes",
        ),
        (
            of(CHUNKED, body=(b"10000\r\n" + b"x" * 65536 + b"\r\n") * 17),
            f"larger than {LARGEST_REPLY} bytes",
        ),
    ],
)
def test_what_was_wrong_is_said(ask: Ask, data: bytes, words: str) -> None:
    (seen,), _ = ask(always(says(data, then="close")), "a")
    assert isinstance(seen, Failure)
    assert words in seen.message


UNUSUAL: list[Deed] = [
    good,
    answers(200),
    answers(202),
    answers(204),
    answers(201, {"data": {}, "errors": None}),
    says(of(LENGTH, b"Connection: close"), then="close"),
    says(raw(b"HTTP/1.0 200 OK"), then="close"),
    says(raw(b"HTTP/1.1 200 OK"), then="close"),
    says(raw(b"HTTP/1.1 200", LENGTH)),
    says(of(LENGTH, b"X: \xe9\xff")),
    says(of(CHUNKED, body=b"15;a=b\r\n" + BODY + b"\r\n0\r\nTrailer: x\r\n\r\n")),
    says(
        b"HTTP/1.1 100 Continue\r\n\r\n" * 100
        + b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        + ACKNOWLEDGED
    ),
    says(reply(200, b" \r\n" + BODY + b"\n")),
]


@pytest.mark.parametrize("deed", UNUSUAL)
def test_an_unusual_acknowledgement_counts(ask: Ask, deed: Deed) -> None:
    (seen,), patched = ask(always(deed), "a")
    assert isinstance(seen, Reply)
    assert isinstance(decided(seen), Acknowledged)
    assert patched == ["a"]


@pytest.mark.usefixtures("transport")
def test_unusual_acknowledgements_are_reported_as_any_other(
    program: Program, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(len(UNUSUAL)))
    script = for_keys({f"ext_{number}": always(deed) for number, deed in enumerate(UNUSUAL)})
    with fault_server(script) as journal:
        ran = program("push", sheet, "--base-url", journal.base_url, "--max-attempts", 1, "--json")
    assert (ran.code, ran.summary["states"]["updated"]) == (0, len(UNUSUAL)), ran.err
    assert sorted(journal.patched) == sorted(f"ext_{number}" for number in range(len(UNUSUAL)))


TOLERATED = {
    "LF alone": of(LENGTH, b"X: y").replace(b"\r", b""),
    "LF alone here and there": of(LENGTH, b"X: y").replace(b"\r\nX", b"\nX"),
    "LF alone after CRLF": b"HTTP/1.1 200 OK\r\n%b\r\n\n%b" % (LENGTH, BODY),
    "LF alone and CRLF in the body": of(b"Content-Length: 25", body=BODY + b"\r\n\r\n").replace(
        b"\r\n", b"\n", 3
    ),
    "LF alone before chunks": b"HTTP/1.1 200 OK\n%b\n\n15\r\n%b\r\n0\r\n\r\n" % (CHUNKED, BODY),
    "length twice": of(LENGTH, LENGTH),
    "length twice, apart": of(LENGTH, b"X: y", LENGTH.lower()),
    "length twice in one header": of(LENGTH + b", 21"),
    "length three times, with LF alone": of(LENGTH, LENGTH, LENGTH).replace(b"\r", b""),
    "a folded header": of(LENGTH, b"Y: a\r\n b"),
    "a folded length": of(b"Content-Length:\r\n\t21"),
    "after interim replies with LF": b"HTTP/1.1 103 Hints\nX: y\n\n" * 9 + of(LENGTH),
    "LF alone after an interim reply": b"HTTP/1.1 100 Continue\r\n\r\n"
    + of(LENGTH).replace(b"\r", b""),
}


@pytest.mark.parametrize("name", TOLERATED)
def test_what_a_client_may_accept_is_accepted_whole_and_in_pieces(ask: Ask, name: str) -> None:
    """RFC 9112, sections 2.2 and 5.2; RFC 9110, section 8.6. The connection stays usable."""
    data = TOLERATED[name]

    def in_bytes(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(len(data)):
            connection.sendall(data[number : number + 1])

    script = for_keys({"b": always(in_bytes)}, others=always(says(data)))
    seen, patched = ask(script, "a", "b", "a", "c")
    assert patched == ["a", "b", "a", "c"]
    for one in seen:
        assert isinstance(one, Reply), one
        assert (one.status, one.body.strip()) == (200, BODY)


LOCATIONS = {
    "same": "Location: /v1/showings/elsewhere",
    "other": "Location: {other}/v1/showings/ext_0",
    "nowhere": "X-Nothing: here",
    "unreadable": "Location: http://[::1",
    "mail": "Location: mailto:x",
    "no name": "Location: http://xn--/",
}


@pytest.mark.parametrize("status", [300, 301, 302, 303, 305, 307, 308])
@pytest.mark.parametrize("to", LOCATIONS)
def test_a_redirect_is_not_followed_anywhere(ask: Ask, status: int, to: str) -> None:
    with fault_server(always(good)) as other:
        header = LOCATIONS[to].format(other=other.base_url)
        (seen,), patched = ask(always(answers(status, None, header)), "a")
    assert patched == ["a"]
    assert other.requests == []
    if isinstance(seen, Reply):
        assert seen.status == status
        assert isinstance(decided(seen), RetryIn)
    else:  # a client may refuse such an address
        assert (to in {"unreadable", "mail", "no name"}, seen.kind) == (True, "bad_reply")


@pytest.mark.usefixtures("transport")
def test_a_redirect_leaves_the_row_pending(program: Program, tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(1))
    with fault_server(always(good)) as other:
        header = LOCATIONS["other"].format(other=other.base_url)
        with fault_server(always(answers(307, None, header))) as journal:
            to = ("--base-url", journal.base_url, "--max-attempts", 1, "--json")
            ran = program("push", sheet, *to)
    assert (ran.code, ran.summary["states"]["pending"]) == (6, 1)
    assert other.requests == []
    assert journal.patched == ["ext_0"]
