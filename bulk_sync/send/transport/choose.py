"""Which transport a run uses, and what is the same with each: proxies, certificates, open files."""

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
from typing import Literal, cast
from urllib.parse import urlsplit

from pydantic import SecretStr

from bulk_sync.errors import UsageError
from bulk_sync.send.transport.interface import NEVER_PROXIED, Transport

Name = Literal["httptools", "httpx"]

_OTHER_FILES = 24
"""Checkpoint, event loop, name look-ups, standard streams: 15 were seen at once."""

_PROXY_SCHEMES = {"http", "https", "socks5", "socks5h"}


_PACKAGES = {
    "httptools": ("httptools", "aiohappyeyeballs"),
    "httpx": ("httpx",),
}
"""What each transport needs, the fastest one first."""


def chosen(asked: Literal["auto", "httptools", "httpx"], base_url: str) -> Name:
    """The transport to use; `auto` takes the fastest one that is installed and leads to `base_url`.

    Raises UsageError when one is asked for and isn't there, or can't get there, or when a proxy
    can't be used.
    """
    with _settings_that_work():
        proxied = _proxy_for(base_url) is not None
    if asked == "auto":
        fit = (name for name, packages in _PACKAGES.items() if all(map(find_spec, packages)))
        return cast("Name", next(name for name in fit if name != "httptools" or not proxied))
    if not all(map(find_spec, _PACKAGES[asked])):
        raise UsageError(
            f"--transport {asked} needs a further package: pip install 'bulk-sync[fast]'"
        )
    if asked == "httptools" and proxied:
        raise UsageError(
            "--transport httptools goes straight to the API, and the environment names a proxy: say "
            "--transport auto, or name the API's host in NO_PROXY"
        )
    return asked


def load(name: Name) -> None:
    """Import what a transport needs: that is no part of the first request."""
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

    Raises UsageError when the address, a proxy's or the certificates that the environment names
    can't be used, or when so many connections can't be open.
    """
    _make_room(connections)
    async with AsyncExitStack() as stack:
        with _settings_that_work():
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
    """The proxy that the environment names for an address; raises ValueError when one of its
    proxies can't be used.
    """
    if sys.platform == "linux" and not any(name.lower().endswith("_proxy") for name in os.environ):
        return None  # elsewhere the system may name one
    from urllib.request import getproxies, proxy_bypass

    named = getproxies()
    for address in filter(None, map(named.get, ("http", "https", "all"))):
        parts = urlsplit(_with_scheme(address))
        _ = parts.port  # a wrong one is a ValueError
        if parts.scheme not in _PROXY_SCHEMES:
            raise ValueError(f"{parts.scheme} is no kind of proxy that is known here")
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if f"[{host}]" in NEVER_PROXIED or host in NEVER_PROXIED or proxy_bypass(host):
        return None
    proxy = named.get(parts.scheme) or named.get("all")
    return _with_scheme(proxy) if proxy else None


def _with_scheme(address: str) -> str:
    return address if "://" in address else f"http://{address}"


def _make_room(connections: int) -> None:
    """Raise this process's limit of open files as far as the connections need it; else each too
    many is an error.
    """
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
    """What becomes of settings that can't be used, as sentences."""
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
