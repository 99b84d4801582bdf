"""Checks and masking of replies, the same for every transport."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from pydantic import SecretStr

from bulk_sync.send.transport.interface import LARGEST_REPLY, Failure

TOO_LARGE = Failure(
    "bad_reply", f"the reply is larger than {LARGEST_REPLY} bytes", may_have_arrived=True
)

TWO_LENGTHS = Failure("bad_reply", "the reply states its length in two ways", may_have_arrived=True)

_MASK = "[key]"


class Masking:
    """Removes the key from anything that the API, or a proxy, sends back."""

    def __init__(self, key: SecretStr) -> None:
        self._key = key.get_secret_value()
        self._bytes = self._key.encode()

    def headers(self, headers: Iterable[tuple[str, str]]) -> dict[str, str]:
        """Return headers by their names in lower case.

        One that came several times is joined with commas (RFC 9110, section 5.2).
        """
        plain: dict[str, str] = {}
        for name, value in headers:
            known = plain.get(name)
            plain[name] = value if known is None else f"{known}, {value}"
        if self._key in "\n".join(plain.values()):
            return {name: value.replace(self._key, _MASK) for name, value in plain.items()}
        return plain

    def body(self, body: bytes) -> bytes:
        """Return the body without the key, even where JSON spells it with escapes."""
        masked = body.replace(self._bytes, _MASK.encode())
        if b"\\" in masked:
            try:
                plain = json.dumps(json.loads(masked), ensure_ascii=False).encode(
                    "utf-8", "backslashreplace"
                )
            except (ValueError, RecursionError):
                return masked
            if self._bytes in plain:
                return plain.replace(self._bytes, _MASK.encode())
        return masked


def unfit(status: int, http_version: str, headers: Mapping[str, str]) -> Failure | None:
    """Return why a reply can't be read, by its head; None when it can."""
    if not http_version.startswith("HTTP/1."):
        return _bad(f"the reply is of another version of HTTP ({http_version})")
    if status == 101:
        return _bad("the reply switches to another protocol, which was not asked for")
    transfer = headers.get("transfer-encoding")
    if transfer is not None and transfer.strip().lower() != "chunked":
        return _encoded(transfer)
    if transfer is not None and "content-length" in headers:
        # Two statements of where the reply ends: one may be smuggled in (RFC 9112, section 6.3).
        return TWO_LENGTHS
    encoding = headers.get("content-encoding")
    if encoding is not None and encoding.strip().lower() not in {"identity", ""}:
        # Identity was asked for, and a compressed body may unpack without end.
        return _encoded(encoding)
    length = headers.get("content-length", "")
    return (
        TOO_LARGE
        if length.isdecimal() and len(length) < 20 and int(length) > LARGEST_REPLY
        else None
    )


def _encoded(encoding: str) -> Failure:
    name = encoding.strip().lower()[:40]
    return _bad(f"the reply came in an encoding that was not asked for ({name})")


def _bad(what: str) -> Failure:
    return Failure("bad_reply", what, may_have_arrived=True)
