"""The seam between the sender and HTTP.

Whatever can happen to a request is a value. A `Failure` states whether the request may have
arrived, because nothing above the transport can know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, Protocol

from msgspec import Struct

LARGEST_REPLY = 1 << 20
"""Bytes of a reply's body; a larger one fails the attempt (those of the contract are under 1 KiB).
"""

CONNECT_SECONDS = 10.0
"""The time-out of a connection, unless that of the request is shorter."""

KEEPALIVE_SECONDS = 3.0
"""The time for which an idle connection is kept. Servers commonly close theirs after 5 s (uvicorn's
default); closing first avoids the race in which a request meets a closing connection.
"""

NEVER_PROXIED = ("localhost", "127.0.0.1", "[::1]")
"""Hosts that are reached without a proxy, as in Go's net/http."""


class Reply(NamedTuple):
    """A whole reply; header names are in lower case.

    The body is decoded. One that can't be is empty, and `undecoded` has the reason.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    undecoded: str | None = None


class Failure(Struct, frozen=True):
    """No whole reply arrived.

    `may_have_arrived` is False only if the server certainly saw nothing of the request. `hopeless`
    marks a failure that a retry can't cure: a bad certificate, an unknown host.
    """

    kind: Literal["timeout", "connection", "bad_reply"]
    message: str
    may_have_arrived: bool
    hopeless: bool = False


class Transport(Protocol):
    """Sends requests to one base URL with one key, without redirects and cookies."""

    async def patch(self, path: str, body: bytes, idempotency_key: str) -> Reply | Failure:
        """Send a patch; the path is percent-encoded already."""
        ...

    async def post(self, path: str, body: bytes, idempotency_key: str) -> Reply | Failure:
        """Create a resource in the collection at a path."""
        ...

    async def get(self, path: str) -> Reply | Failure:
        """Request a resource."""
        ...

    async def renew(self, *, for_good: bool) -> None:
        """Close the idle connections, because a reply may not be that to its request.

        The reply to that request may still come, and would be taken for the next one's. With
        `for_good` each connection carries one request only from now on.
        """
        ...
