"""Base URLs of the API: where a key may be sent. Pure."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

DEFAULT_BASE_URL = "https://api.northreports.com"

SANDBOX_TARGET = "sandbox:"
"""What a checkpoint notes instead of a base URL when the job went to a sandbox of its own run."""


def is_loopback(host: str) -> bool:
    """True for localhost, 127.0.0.0/8 and ::1."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_base_url(text: str) -> str:
    """The base URL in its plain form, without `/v1`; ValueError when the key must not travel there.

    What may be a password or a key is not part of the sentence.
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
    blank = re.search(r"[\x00-\x20\x7f]", text)  # urlsplit drops some of them in silence
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
            "a base URL carries no user name or password: the API takes a key (NORTH_API_KEY)"
        )
    if "?" in text or "#" in text:
        raise ValueError(
            f"{shown} is not the whole of what was given: leave out what follows ? or #"
        )
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError(
            f"{shown} would send the key unencrypted: use https:// (http:// is for loopback only)"
        )
    return _plain(parts.scheme, host, port) + _base_path(parts.path, shown)


def _plain(scheme: str, host: str, port: int | None) -> str:
    """Scheme, host and port as one spelling: a job knows its address by the text."""
    named = f"[{host}]" if ":" in host else host
    return f"{scheme}://{named}" + (
        "" if port in {None, {"http": 80, "https": 443}[scheme]} else f":{port}"
    )


def _base_path(path: str, shown: str) -> str:
    """What comes before `/v1`: nothing for North itself, something behind a gateway."""
    segments = path.strip("/").split("/")
    if segments[-1] == "v1":
        segments.pop()
    if "v1" in segments:
        raise ValueError(f"{shown} is an address within the API: end it before /v1")
    if segments in ([], [""]):
        return ""
    if not all(
        re.fullmatch(r"(?!\.\.?$)(?:[\w.~!$&'()*+,;=:@-]|%[0-9a-fA-F]{2})+", one, re.ASCII)
        for one in segments
    ):
        raise ValueError(
            f"{shown} is not a base URL: its path has blank or other segments that no server keeps"
        )
    return "/" + "/".join(segments)


def _is_host(host: str) -> bool:
    """True for a name or number that can be looked up; letters beyond ASCII are for the name's
    registry to judge.
    """
    return re.fullmatch(r"[0-9a-f.%]*:[0-9a-f:.%]*", host) is not None or all(
        re.fullmatch(r"(?!-)[\w-]{1,63}(?<!-)", label)
        for label in host.removesuffix(".").split(".")
    )


def without_secrets(url: str) -> str:
    """A text that is no base URL, without what stands before an @ or after a ? or #."""
    return re.sub(r"^.*@", "***@", re.split(r"[?#]", url)[0], flags=re.DOTALL)[:200]
