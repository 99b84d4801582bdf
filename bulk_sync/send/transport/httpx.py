"""HTTP through httpx.

The border where httpx's errors become ours: `translate` knows every transport error
there is (a test proves it). The key is added here and masked here, so that no reply
that echoes it carries it further.
"""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import anyio
import httpx
from pydantic import SecretStr

from bulk_sync.errors import UsageError
from bulk_sync.send.transport.interface import CONNECT_SECONDS, LARGEST_REPLY, Failure, Reply

_MASK = b"[key]"

# Servers commonly close an idle connection after 5 s (nginx users set it, uvicorn has it by
# default); leaving first avoids the race in which a request meets a closing connection.
_KEEPALIVE_SECONDS = 3.0


class HttpxTransport:
    """One client, one pool; made by `open_httpx`."""

    def __init__(self, client: httpx.AsyncClient, key: SecretStr, timeout_seconds: float) -> None:
        self._client = client
        self._key = key.get_secret_value().encode()
        self._timeout = timeout_seconds
        self._connect_timeout = min(CONNECT_SECONDS, timeout_seconds)

    async def patch(self, path: str, body: bytes, idempotency_key: str) -> Reply | Failure:
        """Send a patch."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": idempotency_key}
        return await self._exchange(self._client.build_request("PATCH", path, content=body, headers=headers))

    async def get(self, path: str) -> Reply | Failure:
        """Ask for a resource."""
        return await self._exchange(self._client.build_request("GET", path))

    async def _exchange(self, request: httpx.Request) -> Reply | Failure:
        way = _Way(request.url)
        request.extensions["trace"] = way.note
        try:
            with anyio.fail_after(self._timeout):
                response = await self._client.send(request, stream=True)
                try:
                    return await self._read(response)
                finally:
                    await response.aclose()
        except TimeoutError:
            if not way.request_left:
                return translate(httpx.ConnectTimeout(""), way.where, self._connect_timeout)
            return Failure("timeout", f"no whole reply within {self._timeout:g} s", may_have_arrived=True)
        except httpx.TransportError as error:
            failure = translate(error, way.where, self._connect_timeout)
            return failure if way.request_left else replace(failure, may_have_arrived=False)
        except OSError as error:
            # TLS that breaks after the handshake comes through httpcore as ssl has it.
            return Failure("connection", _broken(error, way.where), may_have_arrived=way.request_left)
        except (httpx.InvalidURL, UnicodeError):
            # httpx reads the Location of a redirect even when it won't follow it.
            return Failure("bad_reply", "a redirect to an address that can't be read", may_have_arrived=True)

    async def _read(self, response: httpx.Response) -> Reply | Failure:
        headers = self._masked(response.headers)
        wrong = _unfit(response.http_version, headers)
        if wrong is not None:
            return Failure("bad_reply", wrong, may_have_arrived=True)
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > LARGEST_REPLY:
                return Failure("bad_reply", f"the reply is larger than {LARGEST_REPLY} bytes", may_have_arrived=True)
        await _leave_surplus(response.stream)
        return Reply(response.status_code, headers, self._masked_body(bytes(body)))

    def _masked_body(self, body: bytes) -> bytes:
        """The body without the key, also where JSON spells it with escapes."""
        masked = body.replace(self._key, _MASK)
        if b"\\" in masked:
            try:
                plain = json.dumps(json.loads(masked), ensure_ascii=False).encode("utf-8", "backslashreplace")
            except (ValueError, RecursionError):
                return masked
            if self._key in plain:
                return plain.replace(self._key, _MASK)
        return masked

    def _masked(self, headers: httpx.Headers) -> dict[str, str]:
        key = self._key.decode()
        return {name: value.replace(key, _MASK.decode()) for name, value in headers.items()}


class _Way:
    """How far a request came: to the API or to a proxy before it, and whether the API may have seen it."""

    def __init__(self, url: httpx.URL) -> None:
        self._peer = (url.raw_host, url.port or {"https": 443}.get(url.scheme, 80))
        self.where = self._api = f"{url.host}:{self._peer[1]}"
        self.request_left = False

    async def note(self, event: str, details: Mapping[str, Any]) -> None:
        """Called by httpcore at each step."""
        if event == "connection.connect_tcp.started":
            host, port = details["host"], details["port"]
            self.where = self._api if (host.encode(), port) == self._peer else f"the proxy {host}:{port}"
        elif event == "http11.send_request_headers.started" and details["request"].method != b"CONNECT":
            self.where = self._api
            self.request_left = True
        elif event == "proxy.start_tls.started":
            self.where = f"{self._api} behind {self.where}"


def _unfit(http_version: str, headers: Mapping[str, str]) -> str | None:
    """What keeps a reply from being read, by its head; None when nothing does."""
    if not http_version.startswith("HTTP/1."):
        return f"the reply is of another version of HTTP ({http_version})"
    if {"transfer-encoding", "content-length"} <= headers.keys():
        # Two statements of where the reply ends: one may be smuggled in (RFC 9112, section 6.3).
        return "the reply states its length in two ways"
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding not in {"identity", ""}:
        # None was asked for, and what unpacks may unpack without end.
        return f"the reply came in an encoding that was not asked for ({encoding[:40]})"
    return None


async def _leave_surplus(stream: Any) -> None:  # noqa: ANN401 - through attributes that nobody promises
    """Close the connection when more came on it than the reply; curl does the same.

    h11 keeps what is left over and would read it as the answer to the next request: a row
    acknowledged by a reply to another. httpx and httpcore have no way to ask for it, hence the way
    through their attributes; a test over a socket watches that it leads there.
    """
    for name in ("_stream", "_httpcore_stream", "_stream", "_connection"):
        stream = getattr(stream, name, None)
    parser = getattr(stream, "_h11_state", None)
    if parser is not None and parser.trailing_data[0]:
        await stream.aclose()


def translate(error: httpx.TransportError, where: str, connect_seconds: float = CONNECT_SECONDS) -> Failure:
    """An error of httpx as a failure: did the request leave, and is there hope? `where` names who was spoken to."""
    match error:
        case httpx.ConnectTimeout():
            return Failure(
                "timeout", f"{where} took no connection within {connect_seconds:g} s", may_have_arrived=False
            )
        case httpx.PoolTimeout():
            return Failure("timeout", f"no free connection to {where}", may_have_arrived=False)
        case httpx.TimeoutException():
            return Failure("timeout", f"{where} did not answer in time", may_have_arrived=True)
        case httpx.ConnectError():
            return _not_connected(error, where)
        case httpx.ProxyError():
            refusal = re.match(r"[45]\d\d(?!\d)", str(error))
            status = f" ({refusal[0]})" if refusal else ""
            return Failure("connection", f"{where} refused{status}", may_have_arrived=False)
        case httpx.UnsupportedProtocol() | httpx.LocalProtocolError():
            # Its text may hold a header's value, and so the key.
            return Failure(
                "bad_reply", f"the request to {where} can't be made ({type(error).__name__})", may_have_arrived=False
            )
        case httpx.RemoteProtocolError() if "without sending a response" in str(error):
            return Failure("connection", f"{where} closed the connection without an answer", may_have_arrived=True)
        case httpx.RemoteProtocolError() | httpx.DecodingError():
            return Failure("bad_reply", f"{where} {_what_is_wrong(error)}", may_have_arrived=True)
        case _:
            return Failure("connection", _broken(error, where), may_have_arrived=True)


def _broken(error: Exception, where: str) -> str:
    reasons = (cause.reason for cause in _causes(error) if isinstance(cause, ssl.SSLError))
    return f"the connection to {where} broke ({next(reasons, None) or type(error).__name__})"


def _what_is_wrong(error: httpx.TransportError) -> str:
    """A malformed reply in our words: those of h11 may hold a piece of it, and so the key."""
    words = str(error)
    if "without sending complete message body" in words:
        return "closed the connection in the middle of a reply"
    if "too long" in words:
        return "sent a reply whose head is too long"
    return f"sent no well-formed reply ({type(error).__name__})"


_NO_TLS_IN_COMMON = {
    "WRONG_VERSION_NUMBER",
    "UNSUPPORTED_PROTOCOL",
    "TLSV1_ALERT_PROTOCOL_VERSION",
    "SSLV3_ALERT_HANDSHAKE_FAILURE",
}
"""What OpenSSL calls a server that speaks no TLS, or none of ours, and won't learn it; all else may be a restart."""

_NOT_YET_VALID, _EXPIRED = 9, 10
"""How OpenSSL numbers what a certificate's dates are wrong about (X509_V_ERR_..., x509_vfy.h)."""


def _not_connected(error: httpx.ConnectError, where: str) -> Failure:
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            reason = (cause.verify_message or "it was refused").rstrip(".")
            if cause.verify_code in {_NOT_YET_VALID, _EXPIRED}:
                reason += ", if the clock of this machine is right"
            return Failure(
                "connection",
                f"the certificate of {where} can't be trusted: {reason}",
                may_have_arrived=False,
                hopeless=True,
            )
        if isinstance(cause, ssl.SSLError):
            reason = cause.reason or "the connection broke"
            # A server that speaks no TLS, or none of ours, won't learn it; all else may be a restart.
            return Failure(
                "connection",
                f"no TLS connection to {where}: {reason}",
                may_have_arrived=False,
                hopeless=reason in _NO_TLS_IN_COMMON,
            )
        if isinstance(cause, socket.gaierror):
            gone = cause.errno == socket.EAI_NONAME
            return Failure(
                "connection",
                f"no host was found for {where}: {cause.strerror}",
                may_have_arrived=False,
                hopeless=gone,
            )
        if isinstance(cause, ConnectionRefusedError):
            return Failure("connection", f"{where} refuses connections", may_have_arrived=False)
        if isinstance(cause, OSError) and cause.errno in {errno.EMFILE, errno.ENFILE}:
            return Failure("connection", f"no connection to {where}: too many open files", may_have_arrived=False)
    return Failure("connection", f"no connection to {where}: {error}", may_have_arrived=False)


def _causes(error: BaseException) -> list[BaseException]:
    """The error and all it came from; anyio raises a group when it tried several addresses."""
    found: list[BaseException] = []
    queue: list[BaseException | None] = [error]
    while queue:
        current = queue.pop()
        if current is None or current in found:
            continue
        found.append(current)
        queue += [current.__cause__, current.__context__]
        if isinstance(current, BaseExceptionGroup):
            queue += current.exceptions
    return found


_OTHER_FILES = 24
"""Checkpoint, event loop, name look-ups, standard streams: 15 were seen at once."""


class _NoAuth(httpx.Auth):
    """Leaves the request as it is."""


@asynccontextmanager
async def open_httpx(
    base_url: str, key: SecretStr, *, timeout_seconds: float, connections: int, user_agent: str
) -> AsyncIterator[HttpxTransport]:
    """Open a client for `base_url`; proxies come from the usual environment variables.

    Raises UsageError when the address, a proxy's or the certificates that the environment names can't be used,
    or when so many connections can't be open.
    """
    _make_room(connections)
    with _settings_that_work():
        client = httpx.AsyncClient(
            base_url=base_url,
            headers={
                "Authorization": f"Bearer {key.get_secret_value()}",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": user_agent,
            },
            # .netrc is left unread: it would put another authorization in the key's place.
            auth=_NoAuth(),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            timeout=httpx.Timeout(timeout_seconds, connect=min(CONNECT_SECONDS, timeout_seconds)),
            limits=httpx.Limits(
                max_connections=connections,
                max_keepalive_connections=connections,
                keepalive_expiry=_KEEPALIVE_SECONDS,
            ),
            follow_redirects=False,
            # As Go's net/http has it: what is on this machine is reached without a proxy.
            mounts={f"all://{host}": None for host in ("localhost", "127.0.0.1", "[::1]")},
        )
        for address in filter(None, map(getproxies().get, ("http", "https", "all"))):
            _ = urlsplit(address if "://" in address else f"http://{address}").port  # a wrong one is a ValueError
        _ = client.base_url.host  # decoded on use: a name that can't be would break off the first request
    async with client:
        yield HttpxTransport(client, key, timeout_seconds)


def _make_room(connections: int) -> None:
    """Raise this process's limit of open files as far as the connections need it; else each too many is an error."""
    if sys.platform == "win32":
        return
    import resource

    needed = connections + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or needed <= soft:
        return
    if hard != resource.RLIM_INFINITY and needed > hard:
        raise UsageError(
            f"--workers {connections}: so many connections need {needed} open files, and {hard} are allowed here: "
            "name fewer, or allow more with ulimit -n"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


@contextmanager
def _settings_that_work() -> Iterator[None]:
    """What httpx makes of settings that it can't use, as sentences."""
    try:
        yield
    except httpx.InvalidURL as error:
        raise UsageError(f"--base-url, or a proxy that the environment names, is no address: {error}") from None
    except ImportError:
        raise UsageError(
            "a SOCKS proxy is named in the environment (ALL_PROXY, HTTPS_PROXY), which needs a further package: "
            "pip install 'httpx[socks]'"
        ) from None
    except ValueError as error:
        raise UsageError(f"--base-url, or a proxy that the environment names, can't be used: {error}") from None
    except OSError as error:
        named = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR") or "of this machine"
        raise UsageError(f"the certificates {named} (SSL_CERT_FILE, SSL_CERT_DIR) can't be read: {error}") from None
