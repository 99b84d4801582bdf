"""HTTP through httpx, which is always installed.

`translate` maps httpx's errors to failures; a test proves that it covers every transport error.
Each connection has a client of its own, a lane, because httpcore's pool searches all of its
connections for every request and so gets slower with each one.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import anyio
import httpcore
import httpx
from msgspec.structs import replace
from pydantic import SecretStr

from bulk_sync.errors import UsageError
from bulk_sync.send.transport.broken import broken, not_connected
from bulk_sync.send.transport.interface import (
    CONNECT_SECONDS,
    KEEPALIVE_SECONDS,
    LARGEST_REPLY,
    NEVER_PROXIED,
    Failure,
    Reply,
)
from bulk_sync.send.transport.masking import Masking
from bulk_sync.send.transport.replies import (
    TOO_LARGE,
    is_surplus,
    reply_of,
    two_replies,
    unasked,
    why_unreadable,
)

# Bytes that are known to have arrived are there at once, unless they are no whole record of TLS.
_UNREAD_SECONDS = 0.05


class _Lane:
    """A client of one connection."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.stream: Any = None  # of the latest reply: an `httpcore.AsyncNetworkStream`

    async def unasked(self) -> bytes:
        """Return the bytes, and not only the end, that arrived while the connection was idle.

        They are read, so the connection can't be used any more. httpcore closes one on which
        anything arrived, but doesn't say what it was.
        """
        if self.stream is None or not self.stream.get_extra_info("is_readable"):
            return b""
        read = b""
        with (
            suppress(httpcore.NetworkError, httpcore.TimeoutException),
            anyio.move_on_after(_UNREAD_SECONDS),
        ):
            read = await self.stream.read(1 << 16)
        return bytes(read)


class HttpxTransport:
    """Lanes of one connection each, opened as needed; made by `open_httpx`."""

    def __init__(
        self, open_lane: Callable[[int], httpx.AsyncClient], key: SecretStr, timeout_seconds: float
    ) -> None:
        self._open_lane = open_lane
        self._lanes = AsyncExitStack()
        # A stack: the lane used last is reused first, so that few connections stay open.
        self._free: list[_Lane] = []
        self._kept_alive = 1  # connections of a lane, 0 or 1
        self._masking = Masking(key)
        self._timeout = timeout_seconds
        self._connect_timeout = min(CONNECT_SECONDS, timeout_seconds)

    async def patch(self, path: str, body: bytes, idempotency_key: str) -> Reply | Failure:
        """Send a patch."""
        return await self._write("PATCH", path, body, idempotency_key)

    async def post(self, path: str, body: bytes, idempotency_key: str) -> Reply | Failure:
        """Create a resource."""
        return await self._write("POST", path, body, idempotency_key)

    async def get(self, path: str) -> Reply | Failure:
        """Request a resource."""
        return await self._exchange("GET", path)

    async def close(self) -> None:
        """Close every lane."""
        await self._lanes.aclose()

    async def _write(
        self, method: str, path: str, body: bytes, idempotency_key: str
    ) -> Reply | Failure:
        headers = {"Content-Type": "application/json", "Idempotency-Key": idempotency_key}
        return await self._exchange(method, path, content=body, headers=headers)

    async def _exchange(
        self,
        method: str,
        path: str,
        **parts: Any,  # noqa: ANN401 - as httpx takes them
    ) -> Reply | Failure:
        lane = await self._take_lane()
        kept_alive = self._kept_alive
        request = lane.client.build_request(method, path, **parts)
        progress = _Progress(request.url)
        try:
            return await self._send(lane, request, progress)
        finally:
            # httpcore keeps a connection whose tunnel failed, and the next request would wait.
            if kept_alive == self._kept_alive and not progress.tunnel_failed:
                self._free.append(lane)
            else:
                await self._close_lane(lane)

    async def _take_lane(self) -> _Lane:
        while self._free:
            lane = self._free.pop()
            unasked_bytes = await lane.unasked()
            if not unasked_bytes:
                return lane
            await self._close_lane(lane)
            if is_surplus(unasked_bytes):
                await self.renew(for_good=True)
        client = await self._lanes.enter_async_context(self._open_lane(self._kept_alive))
        return _Lane(client)

    async def renew(self, *, for_good: bool) -> None:
        """Close the idle connections, and with `for_good` keep none from now on."""
        if for_good:
            self._kept_alive = 0
        free, self._free = self._free, []
        for lane in free:
            await self._close_lane(lane)

    async def _close_lane(self, lane: _Lane) -> None:
        # Shielded, because a cancelled request would leave its connection open.
        with anyio.CancelScope(shield=True):
            await lane.client.aclose()

    async def _send(
        self, lane: _Lane, request: httpx.Request, progress: _Progress
    ) -> Reply | Failure:
        request.extensions["trace"] = progress.note
        try:
            with anyio.fail_after(self._timeout):
                response = await lane.client.send(request, stream=True)
                lane.stream = response.extensions.get("network_stream")
                try:
                    return await self._read(response, progress)
                finally:
                    await response.aclose()
        except _SpokeFirst:
            return unasked(progress.where)
        except TimeoutError:
            if not progress.request_left:
                return translate(httpx.ConnectTimeout(""), progress.where, self._connect_timeout)
            return Failure(
                "timeout", f"no whole reply within {self._timeout:g} s", may_have_arrived=True
            )
        except httpx.TransportError as error:
            failure = translate(error, progress.where, self._connect_timeout)
            return failure if progress.request_left else replace(failure, may_have_arrived=False)
        except OSError as error:
            # httpcore doesn't map ssl's errors after the handshake.
            return Failure(
                "connection", broken(error, progress.where), may_have_arrived=progress.request_left
            )
        except (httpx.InvalidURL, UnicodeError):
            # httpx parses the Location of a redirect even if it doesn't follow it.
            return Failure(
                "bad_reply", "a redirect to an address that can't be read", may_have_arrived=True
            )

    async def _read(self, response: httpx.Response, progress: _Progress) -> Reply | Failure:
        headers = self._masking.headers(response.headers.items())
        wrong = why_unreadable(response.status_code, response.http_version, headers)
        if wrong is not None:
            return wrong
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > LARGEST_REPLY:
                return TOO_LARGE
        if await _leave_surplus(response.stream):
            # More of them might arrive between the look at an idle connection and the next request
            # on it, and be taken for its reply.
            await self.renew(for_good=True)
            if not progress.is_new:
                return two_replies(progress.where)
        return reply_of(response.status_code, headers, bytes(body), self._masking)


class _SpokeFirst(Exception):
    """Something came on a new connection before the request had left."""


class _Progress:
    """The progress of a request: to a proxy or the API, and whether the API may have seen it."""

    def __init__(self, url: httpx.URL) -> None:
        self._peer = (url.raw_host, url.port or {"https": 443}.get(url.scheme, 80))
        self.where = self._api = f"{url.host}:{self._peer[1]}"
        self.request_left = False
        self.tunnel_failed = False
        self.is_new = False
        """True when the connection was opened for this request."""
        self._stream: Any = None  # of a connection without TLS, until the request leaves

    async def note(self, event: str, details: Mapping[str, Any]) -> None:
        """Note a step; httpcore calls this for each."""
        if event == "connection.connect_tcp.complete":
            self.is_new, self._stream = True, details["return_value"]
        elif event in {"connection.start_tls.started", "proxy.start_tls.started"}:
            self._stream = None  # TLS has messages of its own
        if event == "connection.connect_tcp.started":
            host, port = details["host"], details["port"]
            self.where = (
                self._api if (host.encode(), port) == self._peer else f"the proxy {host}:{port}"
            )
        elif (
            event == "http11.send_request_headers.started"
            and details["request"].method != b"CONNECT"
        ):
            self.where = self._api
            if self._stream is not None and self._stream.get_extra_info("is_readable"):
                raise _SpokeFirst
            self.request_left = True
        elif event == "proxy.start_tls.failed":
            self.tunnel_failed = True
        elif event == "proxy.start_tls.started":
            self.where = f"{self._api} behind {self.where}"


async def _leave_surplus(
    stream: Any,  # noqa: ANN401 - the attributes below are undocumented
) -> bool:
    """Close the connection when surplus bytes follow the reply, as curl does; True if there are.

    Empty lines don't count, which httptools skips: they can't be taken for a reply.
    """
    # h11 keeps surplus bytes and would take them for the reply to the next request, so a row would
    # be acknowledged by the reply to another. httpx and httpcore don't expose them, hence
    # the walk through their attributes; a test over a socket fails if it leads nowhere.
    for name in ("_stream", "_httpcore_stream", "_stream", "_connection"):
        stream = getattr(stream, name, None)
    parser = getattr(stream, "_h11_state", None)
    surplus = b"" if parser is None else parser.trailing_data[0]
    if surplus:
        await stream.aclose()
    return bool(surplus.strip(b"\r\n"))


def translate(
    error: httpx.TransportError, where: str, connect_seconds: float = CONNECT_SECONDS
) -> Failure:
    """Return an error of httpx as a failure; `where` names the peer."""
    match error:
        case httpx.ConnectTimeout():
            return Failure(
                "timeout",
                f"{where} accepted no connection within {connect_seconds:g} s",
                may_have_arrived=False,
            )
        case httpx.PoolTimeout():
            return Failure("timeout", f"no free connection to {where}", may_have_arrived=False)
        case httpx.TimeoutException():
            return Failure("timeout", f"{where} did not answer in time", may_have_arrived=True)
        case httpx.ConnectError():
            return not_connected(error, where)
        case httpx.ProxyError():
            refusal = re.match(r"[45]\d\d(?!\d)", str(error))
            if refusal and refusal[0] == "407":
                return Failure(
                    "connection",
                    f"{where} asks for a password (407): set it in the proxy's address, which "
                    "HTTPS_PROXY names (http://user:password@host:port)",
                    may_have_arrived=False,
                    hopeless=True,
                )
            status = f" ({refusal[0]})" if refusal else ""
            return Failure("connection", f"{where} refused{status}", may_have_arrived=False)
        case httpx.UnsupportedProtocol() | httpx.LocalProtocolError():
            # Its text may hold a header's value, and so the key.
            return Failure(
                "bad_reply",
                f"the request to {where} can't be made ({type(error).__name__})",
                may_have_arrived=False,
            )
        case httpx.RemoteProtocolError() if "without sending a response" in str(error):
            return Failure(
                "connection",
                f"{where} closed the connection without an answer",
                may_have_arrived=True,
            )
        case httpx.RemoteProtocolError() | httpx.DecodingError():
            return Failure("bad_reply", f"{where} {_what_is_wrong(error)}", may_have_arrived=True)
        case _:
            return Failure("connection", broken(error, where), may_have_arrived=True)


def _what_is_wrong(error: httpx.TransportError) -> str:
    """Describe a malformed reply without h11's message, which may quote it, and so the key."""
    words = str(error)
    if "without sending complete message body" in words:
        return "closed the connection in the middle of a reply"
    if "too long" in words:
        return "sent a reply whose head is too long"
    return f"sent no well-formed reply ({type(error).__name__})"


class _NoAuth(httpx.Auth):
    """Leave the request as it is."""


@asynccontextmanager
async def open_httpx(
    base_url: str, key: SecretStr, *, timeout_seconds: float, user_agent: str
) -> AsyncIterator[HttpxTransport]:
    """Open a transport to `base_url`; proxies come from the usual environment variables.

    Raises ValueError when the address or a proxy's can't be used, OSError when certificates can't
    be read, UsageError when a proxy needs a package that isn't there.
    """
    ssl_context = httpx.create_ssl_context()  # shared, because it loads hundreds of certificates

    def lane(kept_alive: int) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=base_url,
            verify=ssl_context,
            headers={
                "Authorization": f"Bearer {key.get_secret_value()}",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": user_agent,
            },
            # Without this, httpx reads .netrc, which may replace the key's authorization.
            auth=_NoAuth(),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            timeout=httpx.Timeout(timeout_seconds, connect=min(CONNECT_SECONDS, timeout_seconds)),
            limits=httpx.Limits(
                max_connections=1,
                max_keepalive_connections=kept_alive,
                keepalive_expiry=KEEPALIVE_SECONDS,
            ),
            follow_redirects=False,
            mounts={f"all://{host}": None for host in NEVER_PROXIED},
        )

    try:
        # httpx decodes the host on use, so a malformed one would fail the first request.
        _ = httpx.URL(base_url).host
    except httpx.InvalidURL as error:
        raise ValueError(str(error)) from None
    try:
        async with lane(1):
            pass
    except (httpx.InvalidURL, ValueError):  # its text may quote the password
        raise ValueError("the address of a proxy is not well-formed") from None
    except ImportError:
        raise UsageError(
            "the environment names a SOCKS proxy (ALL_PROXY, HTTPS_PROXY), which needs another "
            "package: pip install 'httpx[socks]'"
        ) from None
    transport = HttpxTransport(lane, key, timeout_seconds)
    try:
        yield transport
    finally:
        await transport.close()
