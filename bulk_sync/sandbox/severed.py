"""Replies that are cut, reset or withheld."""

from __future__ import annotations

import asyncio
import socket
import struct

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

# Seconds after which a request with the fault `timeout` is dropped if its client never leaves.
_LONGEST_SILENCE = 600.0

Connections = dict[tuple[str, int], asyncio.Transport]
"""The open connections by the client's address."""


class Severed(Response):
    """A reply that never arrives whole.

    `kind` is `cut` (half of the body), `reset` (RST before the reply) or `timeout` (no reply).
    """

    def __init__(self, whole: Response, kind: str, connection: asyncio.Transport | None) -> None:
        super().__init__(status_code=whole.status_code)
        self._whole = whole
        self._kind = kind
        self._connection = connection

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        """Send as much of the reply as its kind allows, then wait for the client to leave."""
        if self._kind == "cut":
            await send(
                {
                    "type": "http.response.start",
                    "status": self._whole.status_code,
                    "headers": self._whole.raw_headers,
                }
            )
            half = bytes(self._whole.body)[: len(self._whole.body) // 2]
            await send({"type": "http.response.body", "body": half, "more_body": True})
        if self._connection is not None and self._kind == "reset":
            # SO_LINGER with a time of zero makes the kernel send RST instead of FIN.
            raw: socket.socket = self._connection.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._connection.abort()
        elif self._connection is not None and self._kind == "cut":
            self._connection.close()
        # Starlette would end the response when this returns, so the request stays open until then.
        try:
            async with asyncio.timeout(_LONGEST_SILENCE):
                while (await receive())["type"] != "http.disconnect":
                    pass
        except TimeoutError:
            if self._connection is not None:
                self._connection.abort()
