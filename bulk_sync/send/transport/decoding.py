"""Decode the body of a reply, within bounds. Does no I/O.

Requests ask for `identity`, but some gateways compress all the same. The status counts in any case:
a body that can't be decoded costs its message only.
"""

from __future__ import annotations

import json
import zlib

from bulk_sync.send.transport.interface import LARGEST_REPLY

_GZIP, _ZLIB, _RAW_DEFLATE = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_GZIP_MAGIC = b"\x1f\x8b"

# IANA's registry of content codings, without those below. The body of a reply that names one is
# binary. Any other name, such as `UTF-8`, is a mistake of the server about a body that is plain.
_OTHER_CODINGS = frozenset(
    {"aes128gcm", "br", "compress", "dcb", "dcz", "exi", "pack200-gzip", "x-compress", "zstd"}
)

# RFC 9110 lets a server apply several; nobody does.
_MOST_CODINGS = 3


class _Undecodable(Exception):
    pass


def decoded(body: bytes, encoding: str) -> tuple[bytes, str | None]:
    """Return a body without its content codings, and None; else empty, with the reason."""
    names = [name for part in encoding.split(",") if (name := part.strip().lower())]
    if not body or all(name == "identity" for name in names):
        return body, None
    if len(names) > _MOST_CODINGS:
        return b"", "too many encodings"
    try:
        for name in reversed(names):  # they are listed in the order in which they were applied
            body = _without(name, body)
    except _Undecodable as error:
        return b"", str(error)
    return body, None


def _without(name: str, body: bytes) -> bytes:
    if name in {"gzip", "x-gzip"}:
        return _inflated(name, body, _GZIP)
    if name == "deflate":
        # RFC 9110 means zlib's format; some servers send the raw one (zlib's FAQ, 39).
        is_zlib = len(body) > 1 and body[0] & 0x0F == 8 and int.from_bytes(body[:2]) % 31 == 0
        return _inflated(name, body, _ZLIB if is_zlib else _RAW_DEFLATE)
    if name == "identity" or (name not in _OTHER_CODINGS and _is_json(body)):
        return body
    raise _Undecodable(f"encoded as {name[:40]}, which was not requested")


def _inflated(name: str, body: bytes, window_bits: int) -> bytes:
    """Inflate up to `LARGEST_REPLY` bytes; gzip may come in several members."""
    whole = bytearray()
    while True:
        inflater = zlib.decompressobj(window_bits)
        try:
            whole += inflater.decompress(body, LARGEST_REPLY + 1 - len(whole))
        except zlib.error:
            raise _Undecodable(f"not in the {name} that it says") from None
        if len(whole) > LARGEST_REPLY:
            raise _Undecodable(f"{name} that unpacks to more than {LARGEST_REPLY} bytes")
        if not inflater.eof:
            raise _Undecodable(f"{name} without its end")
        body = inflater.unused_data
        if window_bits != _GZIP or not body.startswith(_GZIP_MAGIC):
            return bytes(whole)


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True
