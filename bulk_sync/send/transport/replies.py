"""Checks of replies and what is done to each, shared by the transports."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from email.utils import format_datetime

from bulk_sync.clock import SystemClock
from bulk_sync.send.transport.decoding import decoded
from bulk_sync.send.transport.interface import LARGEST_REPLY, Failure, Reply
from bulk_sync.send.transport.masking import Masking

TOO_LARGE = Failure(
    "bad_reply", f"the reply is larger than {LARGEST_REPLY} bytes", may_have_arrived=True
)

TWO_LENGTHS = Failure("bad_reply", "the reply states its length in two ways", may_have_arrived=True)

_CHARSET = re.compile(r'charset="?([A-Za-z0-9_.:-]{1,40})', re.ASCII | re.IGNORECASE)
_UTF_8 = frozenset({"utf-8", "utf8"})

_IDLE_TIMEOUT = re.compile(rb"HTTP/1\.[01] 408\b")

_VERSIONS = frozenset({"HTTP/1.0", "HTTP/1.1"})


def reply_of(status: int, headers: Mapping[str, str], body: bytes, masking: Masking) -> Reply:
    """Return a whole reply, decoded and without the key; the headers are masked already."""
    if "date" not in headers and any(map(_tells_a_time, headers)):
        headers = {**headers, "date": format_datetime(SystemClock().now(), usegmt=True)}
    encoding = headers.get("content-encoding")
    undecoded = None
    if encoding is not None:
        body, undecoded = decoded(body, encoding)
    if (charset := charset_of(headers)) not in _UTF_8:
        body = _as_utf_8(body, charset)
    return Reply(status, headers, masking.body(body), undecoded)


def is_plain(headers: Mapping[str, str]) -> bool:
    """Return whether `reply_of` takes headers and body as they are, but for the key in the body."""
    return (
        "content-encoding" not in headers
        and ("date" in headers or not any(map(_tells_a_time, headers)))
        and charset_of(headers) in _UTF_8
    )


def charset_of(headers: Mapping[str, str]) -> str:
    """Return the character set that a reply states, in lower case."""
    found = _CHARSET.search(headers.get("content-type", ""))
    return found[1].lower() if found else "utf-8"


def _tells_a_time(name: str) -> bool:
    """Return whether a header may state an instant, which is compared with the reply's `Date`.

    A recipient adds the `Date` that a reply lacks (RFC 9110, section 6.6.1).
    """
    return "retry-after" in name or "reset" in name


def _as_utf_8(body: bytes, charset: str) -> bytes:
    """Return a body of another character set as UTF-8, if it says so truly.

    JSON is UTF-8 (RFC 8259, section 8.1); some servers send what the label says all the same.
    """
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        with suppress(LookupError, UnicodeError):
            return body.decode(charset).encode()
    return body


def why_unreadable(status: int, http_version: str, headers: Mapping[str, str]) -> Failure | None:
    """Return the failure if a reply's head shows that it can't be read; None if it can."""
    if http_version not in _VERSIONS:
        return _bad(f"the reply is of another version of HTTP ({http_version})")
    if status == 101:
        return _bad("the reply switches to another protocol, which was not requested")
    transfer = headers.get("transfer-encoding")
    if transfer is not None and transfer.strip().lower() != "chunked":
        name = transfer.strip().lower()[:40]
        return _bad(f"the reply has a transfer encoding that was not requested ({name})")
    if transfer is not None and "content-length" in headers:
        # The two may disagree on where the reply ends: request smuggling (RFC 9112, section 6.3).
        return TWO_LENGTHS
    length = headers.get("content-length", "")
    # `int` refuses very long numbers; the limit of the body itself covers those.
    is_number = length.isdecimal() and len(length) < 20
    return TOO_LARGE if is_number and int(length) > LARGEST_REPLY else None


def _bad(what: str) -> Failure:
    return Failure("bad_reply", what, may_have_arrived=True)


def is_surplus(unasked: bytes) -> bool:
    """True for bytes that came without a request and might have been taken for a reply.

    Empty lines can't be, and 408 is how servers announce that they close an idle connection: it
    acknowledges nothing.
    """
    return bool(unasked.strip(b"\r\n")) and not _IDLE_TIMEOUT.match(unasked)


def two_replies(where: str) -> Failure:
    """Return the failure of a request that more than one reply followed.

    On a connection that had carried others, the first of them may be late, and about another row.
    """
    message = f"{where} sent more than one reply, and either may be about another request"
    return Failure("bad_reply", message, may_have_arrived=True)


def unasked(where: str) -> Failure:
    """Return the failure of a new connection on which something came before a request had left."""
    message = f"{where} closed the connection at once, or spoke before it was asked"
    return Failure("connection", message, may_have_arrived=False)
