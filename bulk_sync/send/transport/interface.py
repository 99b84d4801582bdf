"""What every way of speaking HTTP offers.

What can befall a request is a value. A `Failure` says whether the request may have
arrived; nobody guesses it later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, Protocol

from msgspec import Struct

LARGEST_REPLY = 1 << 20
"""Bytes of a reply's body; more is an error of that attempt (the contract's replies are under 1
KiB).
"""

CONNECT_SECONDS = 10.0
"""A connection that takes longer has failed, whatever the whole time-out."""


KEEPALIVE_SECONDS = 3.0
"""Servers commonly close an idle connection after 5 s (nginx users set it, uvicorn has it by
default); leaving first avoids the race in which a request meets a closing connection."""

NEVER_PROXIED = ("localhost", "127.0.0.1", "[::1]")
"""As Go's net/http has it: what is on this machine is reached without a proxy."""


class Reply(NamedTuple):
    """A whole reply; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Failure(Struct, frozen=True):
    """No whole reply came.

    `may_have_arrived` is False only when it is certain that the server saw nothing.
    `hopeless` marks what no repetition mends: a certificate, a host that does not exist.
    """

    kind: Literal["timeout", "connection", "bad_reply"]
    message: str
    may_have_arrived: bool
    hopeless: bool = False


class Transport(Protocol):
    """Speaks to one base URL with one key; never follows redirects, never keeps cookies."""

    async def patch(self, path: str, body: bytes, idempotency_key: str) -> Reply | Failure:
        """Send a patch; the path is percent-encoded already."""
        ...

    async def get(self, path: str) -> Reply | Failure:
        """Ask for a resource."""
        ...
