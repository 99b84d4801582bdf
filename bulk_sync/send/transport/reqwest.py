"""HTTP through pyreqwest: reqwest, in Rust, on a thread of its own. Comes with the extra `fast`.

The border where its errors become ours. pyreqwest tells an error by its class and by the messages
of its causes, those of reqwest, hyper, hyper-util and rustls; `Border` knows which of them mean
that no connection came about. Whatever it doesn't know may have arrived. What rustls says of TLS is
put in the words of OpenSSL, which httpx speaks through, so that a log reads the same with both.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import urlsplit

import anyio
import anyio.lowlevel
from pydantic import SecretStr
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import (
    DecodeError,
    DetailedPyreqwestError,
    PyreqwestError,
    RequestTimeoutError,
)
from pyreqwest.http import Url
from pyreqwest.proxy import ProxyBuilder
from pyreqwest.request import RequestBuilder
from pyreqwest.response import Response

from bulk_sync.send.transport.interface import (
    CONNECT_SECONDS,
    KEEPALIVE_SECONDS,
    LARGEST_REPLY,
    Failure,
    Reply,
)
from bulk_sync.send.transport.replies import TOO_LARGE, Masking, unfit

_NOT_CONNECTED = "client error (Connect)"
"""As hyper-util names all that befalls a request before there is a connection for it."""

_SHARE_FOR_CONNECTING = 0.98
"""Of the whole time-out, at the most: so a connection that doesn't come is told from a reply that
doesn't.
"""


class ReqwestTransport:
    """One client, one pool; made by `open_reqwest`."""

    def __init__(self, client: Client, base_url: str, key: SecretStr, border: Border) -> None:
        self._client = client
        self._base_url = base_url
        self._masking = Masking(key)
        self._border = border

    async def patch(self, path: str, body: bytes, idempotency_key: str) -> Reply | Failure:
        """Send a patch."""
        request = self._client.patch(self._base_url + path).body_bytes(body)
        return await self._exchange(
            request.headers(
                {"Content-Type": "application/json", "Idempotency-Key": idempotency_key}
            )
        )

    async def get(self, path: str) -> Reply | Failure:
        """Ask for a resource."""
        return await self._exchange(self._client.get(self._base_url + path))

    async def _exchange(self, request: RequestBuilder) -> Reply | Failure:
        try:
            async with request.build_streamed() as response:
                headers = self._masking.headers(_headers_of(response))
                wrong = unfit(response.status, response.version, headers)
                if wrong is not None:
                    return wrong
                body = await response.body_reader.read(LARGEST_REPLY + 1)
                if body is None:
                    return Reply(response.status, headers, b"")
                if len(body) > LARGEST_REPLY:
                    return TOO_LARGE
                return Reply(response.status, headers, self._masking.body(bytes(body)))
        except PyreqwestError as error:
            return self._border.translate(error)
        except anyio.get_cancelled_exc_class():
            await (
                anyio.lowlevel.checkpoint_if_cancelled()
            )  # anyio knows its own cancellation, not pyreqwest's copy
            raise


def _headers_of(response: Response) -> Sequence[tuple[str, str]]:
    """Headers as they came; one that is no text of ASCII is of no use to us, and left out."""
    try:
        return list(response.headers.items())
    except ValueError:
        found: list[tuple[str, str]] = []
        for name in dict.fromkeys(response.headers.keys()):
            try:
                found += [(name, value) for value in response.headers.getall(name)]
            except ValueError:
                continue
        return found


class Border:
    """Makes failures of errors, for requests to one address, straight or through one proxy."""

    def __init__(self, base_url: str, proxy: str | None, timeout_seconds: float) -> None:
        self._api = _address(base_url)
        self._proxy = None if proxy is None else f"the proxy {_address(proxy)}"
        self._timeout = timeout_seconds
        self._connect_timeout = min(CONNECT_SECONDS, timeout_seconds)

    def translate(self, error: PyreqwestError) -> Failure:
        """An error of pyreqwest as a failure: did the request leave, and is there hope?"""
        causes = _causes(error)
        if _NOT_CONNECTED in causes:
            return self._not_connected(causes[causes.index(_NOT_CONNECTED) + 1 :])
        if isinstance(error, RequestTimeoutError):
            return Failure(
                "timeout", f"no whole reply within {self._timeout:g} s", may_have_arrived=True
            )
        last = causes[-1] if causes else type(error).__name__
        if last == "connection closed before message completed":
            return _lost(f"{self._api} closed the connection without an answer")
        tls = _tls_reason(last)
        if tls is None and isinstance(error, DecodeError):
            return Failure(
                "bad_reply", f"{self._api} {_what_is_wrong(last)}", may_have_arrived=True
            )
        # The last cause is the system's word or rustls's own: neither holds a piece of what was
        # sent.
        return _lost(f"the connection to {self._api} broke ({tls or _plain(last)})")

    def _not_connected(self, causes: Sequence[str]) -> Failure:
        """What kept a connection from coming about, by the causes below that statement."""
        first, last = (causes[0], causes[-1]) if causes else ("", "")
        beyond = self._proxy is not None and not first.startswith(
            "tunnel error"
        )  # the proxy's part was done
        where = (
            self._api
            if self._proxy is None or first == "error resolving for socks proxy"
            else self._proxy
        )
        if last in {"operation timed out", "deadline has elapsed"}:
            return Failure(
                "timeout",
                f"{where} took no connection within {self._connect_timeout:g} s",
                may_have_arrived=False,
            )
        if "dns error" in causes or first == "error resolving for socks proxy":
            reason = last.removeprefix("failed to lookup address information: ")
            gone = reason in _NO_SUCH_NAME
            return _never_left(f"no host was found for {where}: {reason}", hopeless=gone)
        if last.startswith("Connection refused"):
            return _never_left(f"{where} refuses connections")
        if last.startswith("Too many open files"):
            return _never_left(f"no connection to {where}: too many open files")
        if first == "error connecting to socks proxy":
            return _never_left(f"no connection to {where}: {_plain(last)}")
        if first.startswith("tunnel error: "):
            return _never_left(self._tunnel_error(first.removeprefix("tunnel error: "), last))
        return self._no_tls(last, f"{self._api} behind {self._proxy}" if beyond else self._api)

    def _tunnel_error(self, what: str, last: str) -> str:
        if what == "proxy authorization required":
            return f"{self._proxy} refused (407)"
        if what == "unexpected end of file":
            return f"{self._proxy} closed the connection without an answer"
        if what == "unsuccessful":
            return f"{self._proxy} refused, or sent no well-formed reply"
        return f"the connection to {self._proxy} broke ({_plain(last)})"

    def _no_tls(self, what: str, where: str) -> Failure:
        if what.startswith("invalid peer certificate: "):
            return _never_left(
                f"the certificate of {where} can't be trusted: "
                f"{_certificate_reason(what.removeprefix('invalid peer certificate: '))}",
                hopeless=True,
            )
        reason = _tls_reason(what)
        if reason is None:
            return _never_left(f"no connection to {where}: {_plain(what)}")
        return _never_left(
            f"no TLS connection to {where}: {reason}", hopeless=reason in _NO_TLS_IN_COMMON
        )


def _never_left(message: str, *, hopeless: bool = False) -> Failure:
    return Failure("connection", message, may_have_arrived=False, hopeless=hopeless)


def _lost(message: str) -> Failure:
    return Failure("connection", message, may_have_arrived=True)


def _causes(error: PyreqwestError) -> list[str]:
    """The messages of what it came from, the nearest first."""
    if not isinstance(error, DetailedPyreqwestError):
        return []
    return [cause["message"] for cause in error.details["causes"] or ()]


_NO_SUCH_NAME = {
    "Name or service not known",
    "nodename nor servname provided, or not known",
    "No such host is known.",
}
"""What resolvers say of a name that does not exist; all else may mend itself."""

_NO_TLS_IN_COMMON = {
    "WRONG_VERSION_NUMBER",
    "TLSV1_ALERT_PROTOCOL_VERSION",
    "SSLV3_ALERT_HANDSHAKE_FAILURE",
}
"""What a server speaks no TLS by, or none of ours, and won't learn it."""

_TLS_REASONS = {
    "tls handshake eof": "UNEXPECTED_EOF_WHILE_READING",
    "received corrupt message of type InvalidContentType": "WRONG_VERSION_NUMBER",
    "received fatal alert: ProtocolVersion": "TLSV1_ALERT_PROTOCOL_VERSION",
    "received fatal alert: HandshakeFailure": "SSLV3_ALERT_HANDSHAKE_FAILURE",
    "received fatal alert: the server requires certificate authentication": "TLSV13_ALERT_CERTIFICATE_REQUIRED",
    "received fatal alert: CertificateRequired": "TLSV13_ALERT_CERTIFICATE_REQUIRED",
}
"""What rustls says, as OpenSSL has it."""


def _tls_reason(what: str) -> str | None:
    """What TLS broke by; None when it was something else."""
    if what in _TLS_REASONS:
        return _TLS_REASONS[what]
    if what.startswith("peer is incompatible: "):
        return "SSLV3_ALERT_HANDSHAKE_FAILURE"
    if what.startswith(
        ("received fatal alert: ", "received corrupt message", "received unexpected", "peer ")
    ):
        return _plain(what)
    return None


def _certificate_reason(what: str) -> str:
    name = what.partition(":")[0].partition(" ")[0]
    if what.startswith("certificate expired") or name == "Expired":
        return "certificate has expired, if the clock of this machine is right"
    if what.startswith("certificate not valid yet") or name == "NotValidYet":
        return "certificate is not yet valid, if the clock of this machine is right"
    if what.startswith("certificate not valid for name") or name == "NotValidForName":
        return "Hostname mismatch"
    if name == "UnknownIssuer":
        return "unable to get local issuer certificate"
    return _plain(what)


def _what_is_wrong(cause: str) -> str:
    """A malformed reply in our words: those of the causes may hold a piece of it, and so the key."""
    if cause == "end of file before message length reached":
        return "closed the connection in the middle of a reply"
    if cause == "message head is too large":
        return "sent a reply whose head is too long"
    if cause == "invalid HTTP version parsed":
        return "sent a reply of another version of HTTP, or of none"
    return "sent no well-formed reply"


def _plain(words: str) -> str:
    """A cause without what Rust adds to the system's words."""
    return words.partition(" (os error")[0][:100].rstrip(".")


def _address(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or {'https': 443, 'socks5': 1080, 'socks5h': 1080}.get(parts.scheme, 80)}"


@asynccontextmanager
async def open_reqwest(
    base_url: str,
    key: SecretStr,
    *,
    timeout_seconds: float,
    connections: int,
    user_agent: str,
    proxy: str | None,
) -> AsyncIterator[ReqwestTransport]:
    """Open a transport to `base_url`, straight or through `proxy`.

    Raises ValueError for an address that can't be used.
    """
    Url(base_url)
    connect_seconds = min(CONNECT_SECONDS, timeout_seconds * _SHARE_FOR_CONNECTING)
    builder = (
        ClientBuilder()
        .default_headers(
            {
                "Authorization": f"Bearer {key.get_secret_value()}",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": user_agent,
            }
        )
        .timeout(timedelta(seconds=timeout_seconds))
        .connect_timeout(timedelta(seconds=connect_seconds))
        .pool_idle_timeout(timedelta(seconds=KEEPALIVE_SECONDS))
        .pool_max_idle_per_host(connections)
        .follow_redirects(enable=False)
        .referer(enable=False)
        .gzip(enable=False)
        .brotli(enable=False)
        .zstd(enable=False)
        .deflate(enable=False)
        .http1_allow_obsolete_multiline_headers_in_responses(value=True)
        .no_proxy()
    )
    if proxy is not None:
        builder = builder.proxy(ProxyBuilder.all(proxy))
    async with builder.build() as client:
        yield ReqwestTransport(
            client, base_url.rstrip("/"), key, Border(base_url, proxy, timeout_seconds)
        )
