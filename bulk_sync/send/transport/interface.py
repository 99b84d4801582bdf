"""The seam between the sender and HTTP.

Whatever can happen to a request is a value. A `Failure` says whether the request may have arrived;
nobody guesses it later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, Protocol

from msgspec import Struct

LARGEST_REPLY = 1 << 20
"""Bytes of a reply's body; more fails the attempt (the contract's replies are under 1 KiB)."""

CONNECT_SECONDS = 10.0
"""A connection that takes longer has failed, even when the time-out of the request is longer."""

KEEPALIVE_SECONDS = 3.0
"""Servers commonly close an idle connection after 5 s (nginx users set it, uvicorn has it by
default); leaving first avoids the race in which a request meets a closing connection.
"""

NEVER_PROXIED = ("localhost", "127.0.0.1", "[::1]")
"""Hosts on this machine are reached without a proxy, as in Go's net/http."""


class Reply(NamedTuple):
    """A whole reply; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Failure(Struct, frozen=True):
    """No whole reply came.

    `may_have_arrived` is False only when it is certain that the server saw nothing.
    `hopeless` marks a failure that no repetition cures: a bad certificate, an unknown host.
    """

    kind: Literal["timeout", "connection", "bad_reply"]
    message: str
    may_have_arrived: bool
    hopeless: bool = False


class Transport(Protocol):
    """Sends requests to one base URL with one key; follows no redirects, keeps no cookies."""

    async def patch(self, path: str, body: bytes, idempotency_key: str) -> Reply | Failure:
        """Send a patch; the path is percent-encoded already."""
        ...

    async def get(self, path: str) -> Reply | Failure:
        """Request a resource."""
        ...
