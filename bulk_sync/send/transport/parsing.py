"""Parse the replies of a connection, through httptools. Does no I/O.

Heads are cached by their bytes. httptools runs only when a head is not in the cache, or when the
reply does not arrive in one piece.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from bulk_sync.send.transport.heads import rewritten
from bulk_sync.send.transport.interface import LARGEST_REPLY, Failure, Reply
from bulk_sync.send.transport.masking import Masking
from bulk_sync.send.transport.replies import (
    TOO_LARGE,
    TWO_LENGTHS,
    is_plain,
    reply_of,
    why_unreadable,
)

# Bytes of a reply's head, interim replies apart; Apache and nginx stay under 64 KiB.
_LARGEST_HEAD = 128 << 10

# Bytes of a reply with everything that chunks add to it.
_LARGEST_ON_THE_WIRE = 2 * LARGEST_REPLY

# Heads in the cache; those of one API differ at least in `Date`, which changes every second.
_MOST_HEADS = 64

# Bytes; longer heads are not cached.
_LONGEST_KNOWN_HEAD = 4096

_SWITCHING_PROTOCOLS = 101

# Worded as in the httpx transport, so that logs don't depend on the transport.
_HEAD_TOO_LONG = "sent a reply whose head is too long"
_NOT_WELL_FORMED = "sent no well-formed reply"


class Head(NamedTuple):
    """The parsed head of a final reply that has a length and keeps the connection open."""

    status: int
    headers: Mapping[str, str]
    body_bytes: int


class ReplyParser:
    """Parses the replies of one connection, one at a time.

    `heads` is the cache that all parsers of a transport share. The `on_...` methods are httptools'
    callbacks.
    """

    def __init__(self, where: str, masking: Masking, heads: dict[bytes, Head]) -> None:
        self._where = where
        self._masking = masking
        self._known_heads = heads
        self._parser = self._new_parser()
        self._is_fresh = True
        self.reusable = False
        """True when the reply was whole, keeps the connection open, and nothing followed it."""
        self.has_surplus = False
        """True when something followed the reply."""
        self._head = b""  # what arrived until the head was whole, interim replies included
        self._is_rewritten = False
        self._expect()

    def _new_parser(self) -> HttpResponseParser:
        parser = HttpResponseParser(self)
        # Some servers pad the size of a chunk with blanks, and h11 accepts it.
        parser.set_dangerous_leniencies(lenient_spaces_after_chunk_size=True)
        return parser

    def _expect(self) -> None:
        """Reset the state of the current reply."""
        self._outcome: Reply | Failure | None = None
        self._status = 0
        self._received: list[tuple[str, str]] = []
        self._headers: dict[str, str] = {}
        self._pieces: list[bytes] = []
        self._wire_bytes = 0
        self._head_bytes = 0
        self._body_bytes = 0
        self._head_is_read = False

    def reset(self) -> None:
        """Prepare for the reply to the next request."""
        self.reusable = self.has_surplus = False
        if not self._is_fresh:
            self._head = b""
            self._is_rewritten = False
            self._expect()
            self._is_fresh = True

    def feed(self, data: bytes) -> Reply | Failure | None:
        """Parse a piece; return the reply or the failure, None while it is not whole."""
        if self._is_fresh:
            end = data.find(b"\r\n\r\n") + 4
            known = self._known_heads.get(data[:end])
            if known is not None and len(data) == end + known.body_bytes:
                self.reusable = True
                return Reply(known.status, known.headers, self._masking.body(data[end:]))
            self._is_fresh = False
            if data[:1] in {b"\r", b"\n"}:  # httptools would skip an empty line
                return self._wrong(_NOT_WELL_FORMED)
        self._wire_bytes += len(data)  # an interim reply in it starts the count again
        if not self._head_is_read:
            self._head += data
        self._parse(data)
        if self._head_is_read:
            self._head = b""
        elif self._wire_bytes > _LARGEST_HEAD:
            self._settle(self._wrong(_HEAD_TOO_LONG))
        if self._wire_bytes > _LARGEST_ON_THE_WIRE:
            self._settle(TOO_LARGE)
        elif self.reusable and self._wire_bytes == len(data):
            self._remember(data)
        return self._outcome

    def _parse(self, data: bytes) -> None:
        try:
            with suppress(HttpParserUpgrade):  # `why_unreadable` refused it by its head
                self._parser.feed_data(data)
        except HttpParserError as error:
            self.reusable = False
            if isinstance(self._outcome, Reply):
                self.has_surplus = True
            elif "Transfer-Encoding" in str(error):
                self._settle(TWO_LENGTHS)
            elif self._head_is_read or self._is_rewritten:
                self._settle(self._wrong(_NOT_WELL_FORMED))
            else:
                self._parse_rewritten()

    def _parse_rewritten(self) -> None:
        """Parse once more, with a head that httptools takes, if RFC 9112 lets a client accept it.

        Until that head is whole, httptools refuses each piece, and all of them come here again.
        """
        received = rewritten(self._head)
        if received is None:
            self._settle(self._wrong(_NOT_WELL_FORMED))
        elif received and self._outcome is None:
            self._is_rewritten = True
            self._expect()
            self._wire_bytes = len(received)
            self._parser = self._new_parser()
            self._parse(received)

    def end(self) -> Reply | Failure:
        """Return the reply or the failure, now that the server has closed the connection."""
        if not self._head_is_read:
            message = f"{self._where} closed the connection without an answer"
            return Failure("connection", message, may_have_arrived=True)
        if "content-length" in self._headers or "transfer-encoding" in self._headers:
            return self._wrong("closed the connection in the middle of a reply")
        return self._reply()  # one without a length ends with its connection

    def _remember(self, reply: bytes) -> None:
        """Cache the head of a reply that arrived in one piece and has a length."""
        end = reply.find(b"\r\n\r\n") + 4
        if (
            not self._is_rewritten
            and "transfer-encoding" not in self._headers
            and is_plain(self._headers)
            and self._headers.get("content-length") == str(self._body_bytes)
            and len(reply) == end + self._body_bytes
            and end <= _LONGEST_KNOWN_HEAD
        ):
            if len(self._known_heads) >= _MOST_HEADS:
                self._known_heads.clear()
            self._known_heads[reply[:end]] = Head(self._status, self._headers, self._body_bytes)

    def _settle(self, outcome: Reply | Failure) -> None:
        """Set the outcome; the first one stays."""
        if self._outcome is None:
            self._outcome = outcome

    def _wrong(self, what: str) -> Failure:
        return Failure("bad_reply", f"{self._where} {what}", may_have_arrived=True)

    def _reply(self) -> Reply:
        return reply_of(self._status, self._headers, b"".join(self._pieces), self._masking)

    def on_message_begin(self) -> None:
        """Begin a reply; after an outcome it is surplus."""
        if self._outcome is not None:
            self.reusable, self.has_surplus = False, True
        elif self._status:  # the reply before was an interim one
            self._expect()

    def on_status(self, reason: bytes) -> None:
        """Refuse a NUL in the reason phrase, as h11 does."""
        if b"\0" in reason:
            self._settle(self._wrong(_NOT_WELL_FORMED))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header; trailers, which follow the body, are ignored."""
        if not self._head_is_read:
            self._head_bytes += len(name) + len(value)
            self._received.append((_lower(name), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """Check a complete head, unless it is that of an interim reply."""
        self._status = status = self._parser.get_status_code()
        if (status < 200 and status != _SWITCHING_PROTOCOLS) or self._outcome is not None:
            return
        self._head_is_read = True
        self._headers = self._masking.headers(self._received)
        wrong = why_unreadable(status, f"HTTP/{self._parser.get_http_version()}", self._headers)
        if wrong is not None:
            self._settle(wrong)
        elif self._head_bytes > _LARGEST_HEAD:
            self._settle(self._wrong(_HEAD_TOO_LONG))

    def on_body(self, body: bytes) -> None:
        """Collect a piece of the body."""
        self._body_bytes += len(body)
        if self._body_bytes <= LARGEST_REPLY:
            self._pieces.append(body)
        else:
            self._settle(TOO_LARGE)

    def on_message_complete(self) -> None:
        """Set the reply as the outcome, unless it is an interim one."""
        if self._head_is_read and self._outcome is None:
            self.reusable = self._parser.should_keep_alive()
            self._settle(self._reply())


@lru_cache(maxsize=256)
def _lower(name: bytes) -> str:
    return name.decode("latin-1").lower()
