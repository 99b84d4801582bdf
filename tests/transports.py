"""The transports by themselves, over real sockets against the fault server; and raw replies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread
from pydantic import SecretStr

from bulk_sync.send.transport.choose import Name, open_transport
from bulk_sync.send.transport.interface import Failure, Reply, Transport
from tests.faultserver import Script, fault_server
from tests.helpers import KEY

Asked = tuple[list[Reply | Failure], list[str]]
Ask = Callable[..., Asked]

LONG_ENOUGH = 60.0
"""Seconds for replies that come: a time-out that a busy machine doesn't reach."""


@asynccontextmanager
async def opened(
    name: Name, base_url: str, *, timeout_seconds: float = LONG_ENOUGH
) -> AsyncIterator[Transport]:
    """A transport that keeps one connection."""
    async with open_transport(
        name,
        base_url,
        SecretStr(KEY),
        timeout_seconds=timeout_seconds,
        connections=1,
        user_agent="test",
    ) as transport:
        yield transport


def asked(
    name: Name,
    script: Script,
    *keys: str,
    timeout_seconds: float = LONG_ENOUGH,
    between: Callable[[], object] = lambda: None,
) -> Asked:
    """Patch these keys one after the other over one connection; return what the client saw and
    which keys the server saw.
    """

    async def run(base_url: str) -> list[Reply | Failure]:
        seen: list[Reply | Failure] = []
        async with opened(name, base_url, timeout_seconds=timeout_seconds) as transport:
            for key in keys:
                seen.append(await transport.patch(f"/v1/showings/{key}", b"{}", key))
                await anyio.to_thread.run_sync(between)
        return seen

    with fault_server(script) as journal:
        return anyio.run(run, journal.base_url), journal.patched


BODY = b'{"data": {"at": "x"}}'
"""Without an id, because one id for several keys would be evidence against a reply."""
LENGTH = b"Content-Length: 21"
CHUNKED = b"Transfer-Encoding: chunked"


def raw(line: bytes, *headers: bytes, body: bytes = BODY) -> bytes:
    return b"\r\n".join([line, *headers, b"", b""]) + body


def of(*headers: bytes, body: bytes = BODY) -> bytes:
    return raw(b"HTTP/1.1 200 OK", *headers, body=body)
