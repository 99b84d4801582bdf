"""Choose and open a transport: installed packages, proxies, certificates, open files."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from importlib import import_module
from importlib.util import find_spec
from typing import Literal
from urllib.parse import urlsplit

from pydantic import SecretStr

from bulk_sync.errors import UsageError, install_with
from bulk_sync.open_files import allow_open_files
from bulk_sync.send.transport.interface import NEVER_PROXIED, Transport

Name = Literal["httptools", "httpx"]

_PROXY_SCHEMES = {"http", "https", "socks5", "socks5h"}


def _is_fast_installed() -> bool:
    return all(map(find_spec, ("httptools", "aiohappyeyeballs")))


def choose_transport(requested: Literal["auto", "httptools", "httpx"], base_url: str) -> Name:
    """Return the transport to use.

    `auto` is the fastest one installed; only httpx can use a proxy. Raises UsageError when the
    requested one isn't installed or can't reach `base_url`, and when a proxy can't be used.
    """
    with _usage_errors():
        proxied = _proxy_for(base_url) is not None
    if requested == "auto":
        return "httptools" if _is_fast_installed() and not proxied else "httpx"
    if requested == "httptools" and not _is_fast_installed():
        raise UsageError(f"--transport httptools needs more packages: {install_with('fast')}")
    if requested == "httptools" and proxied:
        raise UsageError(
            "--transport httptools can't use the proxy that the environment names: "
            "use --transport auto, or add the API's host to NO_PROXY"
        )
    return requested


def load(name: Name) -> None:
    """Import a transport ahead of time, so that the first request's latency doesn't include it."""
    import_module(f"bulk_sync.send.transport.{name}")


@asynccontextmanager
async def open_transport(
    name: Name,
    base_url: str,
    key: SecretStr,
    *,
    timeout_seconds: float,
    connections: int,
    user_agent: str,
) -> AsyncIterator[Transport]:
    """Open a transport to `base_url`; proxies come from the usual environment variables.

    Raises UsageError when the address, or a proxy or certificates named by the environment, can't
    be used, and when the limit of open files is too low for `connections`.
    """
    allow_open_files(connections)
    async with AsyncExitStack() as stack:
        with _usage_errors():
            if name == "httptools":
                from bulk_sync.send.transport.httptools import open_httptools

                opening: AbstractAsyncContextManager[Transport] = open_httptools(
                    base_url, key, timeout_seconds=timeout_seconds, user_agent=user_agent
                )
            else:
                from bulk_sync.send.transport.httpx import open_httpx

                opening = open_httpx(
                    base_url, key, timeout_seconds=timeout_seconds, user_agent=user_agent
                )
            transport = await stack.enter_async_context(opening)
        yield transport


def _proxy_for(base_url: str) -> str | None:
    """Return the proxy that the environment names for an address.

    Raises ValueError when one of its proxies can't be used.
    """
    # Elsewhere the system's settings may name one. urllib.request is slow to import.
    if sys.platform == "linux" and not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass

    named = getproxies()
    for address in filter(None, map(named.get, ("http", "https", "all"))):
        _check_proxy(_with_scheme(address))
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if f"[{host}]" in NEVER_PROXIED or host in NEVER_PROXIED or proxy_bypass(host):
        return None
    proxy = named.get(parts.scheme) or named.get("all")
    return _with_scheme(proxy) if proxy else None


def _check_proxy(address: str) -> None:
    """Raise ValueError unless the address of a proxy can be used.

    The message repeats nothing of it: a `/`, `?` or `#` that is not encoded in a password makes
    another part of the address of what is before and after it.
    """
    try:
        parts = urlsplit(address)
        well_formed = bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, well_formed = None, False
    if parts is None or not well_formed or "@" in parts.path + parts.query + parts.fragment:
        raise ValueError(
            "the proxy's address is not of the form http://user:password@host:port; in the "
            "password, write / as %2F, ? as %3F, # as %23 and @ as %40"
        )
    if parts.scheme not in _PROXY_SCHEMES:
        raise ValueError(
            "a proxy of that kind is not supported: its address begins with http://, https:// or "
            "socks5://"
        )


def _with_scheme(address: str) -> str:
    return address if "://" in address else f"http://{address}"


@contextmanager
def _usage_errors() -> Iterator[None]:
    """Turn the errors of settings that can't be used into UsageError."""
    try:
        yield
    except ValueError as error:
        raise UsageError(
            f"--base-url, or a proxy that the environment names, can't be used: {error}"
        ) from None
    except OSError as error:
        named = (
            os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR") or "of this machine"
        )
        raise UsageError(
            f"the certificates {named} (SSL_CERT_FILE, SSL_CERT_DIR) can't be read: {error}"
        ) from None
