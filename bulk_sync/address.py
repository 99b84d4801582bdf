"""Base URLs of the API: where a key may be sent; and the form of its ids. Pure."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

DEFAULT_BASE_URL = "https://api.northreports.com"

SANDBOX_TARGET = "sandbox:"
"""The base URL, in checkpoints too, of a push to a sandbox of its own."""

UUID = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE
)
"""An id of a showing or a report, in any case (RFC 9562)."""


def is_loopback(host: str) -> bool:
    """Return True for localhost, 127.0.0.0/8 and ::1."""
    # The name is not looked up, because a DNS server could send the key anywhere.
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_base_url(text: str) -> str:
    """Return the base URL in its normal form, without `/v1`.

    Raises ValueError when the text is not a base URL, or when the key must not be sent there. The
    message never contains what may be a password or a key.
    """
    if text == SANDBOX_TARGET:
        return text
    text = text.strip()
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"not a base URL: write it as {DEFAULT_BASE_URL}") from None
    shown = repr(f"{parts.scheme}://{host}{'' if port is None else f':{port}'}{parts.path}")
    blank = re.search(r"[\x00-\x20\x7f]", text)  # urlsplit drops some of them silently
    if (
        blank
        or parts.scheme not in {"http", "https"}
        or not host
        or port == 0
        or not _is_host(host)
    ):
        raise ValueError(
            f"{without_secrets(text)!r} is not a base URL: write it as {DEFAULT_BASE_URL}"
        )
    if "@" in parts.netloc:
        raise ValueError(
            "a base URL has no user name or password: the API takes a key (NORTH_API_KEY)"
        )
    if "?" in text or "#" in text:
        raise ValueError(f"{shown} must not have a query or fragment: remove ? or # and the rest")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError(
            f"{shown} would send the key unencrypted: use https:// (http:// is for loopback only)"
        )
    return _origin(parts.scheme, host, port) + _base_path(parts.path, shown)


def _origin(scheme: str, host: str, port: int | None) -> str:
    """Return the origin in its normal form, because a job compares addresses as text."""
    named = f"[{host}]" if ":" in host else host
    return f"{scheme}://{named}" + (
        "" if port in {None, {"http": 80, "https": 443}[scheme]} else f":{port}"
    )


def _base_path(path: str, shown: str) -> str:
    """Return the path before `/v1`: empty for North itself, a prefix for a gateway."""
    segments = path.strip("/").split("/")
    if segments[-1] == "v1":
        segments.pop()
    if "v1" in segments:
        raise ValueError(f"{shown} is an address within the API: end it before /v1")
    if segments in ([], [""]):
        return ""
    # RFC 3986's segment characters; `.` and `..` are excluded, because servers resolve them.
    if not all(
        re.fullmatch(r"(?!\.\.?$)(?:[\w.~!$&'()*+,;=:@-]|%[0-9a-fA-F]{2})+", one, re.ASCII)
        for one in segments
    ):
        raise ValueError(
            f"{shown} is not a base URL: its path has segments that are empty, . or .., or not "
            "percent-encoded"
        )
    return "/" + "/".join(segments)


def _is_host(host: str) -> bool:
    """Return True for a syntactically valid host name or address.

    Letters beyond ASCII pass, because each registry has its own rules for them.
    """
    return re.fullmatch(r"[0-9a-f.%]*:[0-9a-f:.%]*", host) is not None or all(
        re.fullmatch(r"(?!-)[\w-]{1,63}(?<!-)", label)
        for label in host.removesuffix(".").split(".")
    )


def without_secrets(url: str) -> str:
    """Return a malformed URL without userinfo, query and fragment, which may hold secrets."""
    return re.sub(r"^.*@", "***@", re.split(r"[?#]", url)[0], flags=re.DOTALL)[:200]
