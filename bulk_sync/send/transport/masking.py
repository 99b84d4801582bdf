r"""Mask the API key in all that a server, or a proxy, sends back. Does no I/O.

Invariant: no text of a reply, nor anything that a reader could decode from it in one or two usual
steps, has a run of twelve characters of the key's secret part. A body is searched after its own
decoding (content coding, character set), the one that JSON brings included, and the result is what
everything above the transport sees. The forms of the key that are known:

| form | why it occurs |
|---|---|
| as it is, in another case, or with anything between its characters | line breaks, wrapped logs |
| escaped: `\u006e`, `\x6e`, `%6e`, `&#110;`, `=6E`, also twice | JSON in JSON, URLs, HTML, mails |
| base64, also of UTF-16 (so UTF-7, RFC 2152), at any offset | an echoed `Authorization` |
| hexadecimal | dumps |
| compatibility forms of its characters (full-width) | Unicode, NFKC |

A secret part of fewer than twelve characters, as in a sandbox's key, is often a word of its own:
`vale` of the team Vale Realty. It is searched for together with the key's prefix.

A word of a text that has the key is replaced; if the key is only in several words together, the
whole text is.
"""

from __future__ import annotations

import base64
import html
import json
import re
import string
import unicodedata
from collections.abc import Iterable, Iterator
from urllib.parse import unquote

from pydantic import SecretStr

MASK = "[key]"

# A run of twelve characters has a whole piece of six of a grid, wherever it begins. Six random
# letters and digits occur by chance once in 10 ** 10 places.
_PIECE = 6
_SHORT = 2 * _PIECE

# Zeros of the sandbox's key are in every null UUID.
_FEWEST_DISTINCT = 3

# Texts that decoding in steps may lead to; real ones have two or three.
_MOST_VIEWS = 24
_MOST_STEPS = 3

_PREFIX = re.compile(r"north_sk_(?:(?:live|test)_)?")
_WORDS = (string.ascii_letters + string.digits).encode()
_LOWER = bytes(range(256)).lower()
_NOT_WORDS = bytes(set(range(256)) - set(_WORDS))

_ESCAPED = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([0-7]{3}))")
_CONTROLS = re.compile(r"\\[nrtbf]")
_BETWEEN = re.compile(r"[^!-~]+")  # blanks, line breaks, invisible characters within an escape
_QUOTED = re.compile(r"=([0-9A-Fa-f]{2})")  # RFC 2045, section 6.7
_SOFT_BREAK = re.compile(r"=[ \t]*\r?\n")


# Bytes of a body that may have to be decoded first. Accents, quotes and `\n` are not among them,
# because many replies have these.
_TO_DECODE = re.compile(
    rb"[\0\xfe\xff\xf0]|\\(?:u(?!00[c-f]|201)|[x0-7\\])|%[0-9a-fA-F]{2}|&[#\w]|=[0-9A-Fa-f\s]"
    # The characters in UTF-8 that are ASCII in NFKC: superscripts, circled, full-width and others.
    rb"|\xc2[\xaa\xb2\xb3\xb9\xba]|\xc5\xbf|[\xca\xcb]|\xe1[\xb4-\xb7]|\xe2[\x81-\x93\xb1]"
    rb"|\xef[\xac\xbc\xbd]"
)
# The bytes that begin none of these.
_PLAIN_BYTES = bytes(range(1, 128)).translate(None, rb"\%&=")
_HARMLESS_ESCAPES = re.compile(rb"\\(?:[nrtbf]|u00[c-f][0-9a-f]|u201[0-9a-f])")


class Masking:
    """Masks one key."""

    def __init__(self, key: SecretStr) -> None:
        self._key = key.get_secret_value()
        secret = _PREFIX.sub("", self._key, count=1)
        if len(secret) < _SHORT:
            secret = self._key
            self._plain = _any_of(_whole(secret))
        else:
            self._plain = _any_of(_plain_pieces(secret))
        self._packed = _any_of(_base64_pieces(secret))

    def headers(self, headers: Iterable[tuple[str, str]]) -> dict[str, str]:
        """Return headers by lower-case name, without the key.

        Repeated ones are joined with commas (RFC 9110, section 5.2).
        """
        plain: dict[str, str] = {}
        for name, value in headers:
            known = plain.get(name)
            plain[name] = value if known is None else f"{known}, {value}"
        whole = "\n".join((*plain, *plain.values()))
        if self._may_be_in(whole.encode("utf-8", "surrogatepass")):
            return {self.text(name): self.text(value) for name, value in plain.items()}
        return plain

    def body(self, body: bytes) -> bytes:
        """Return a body without the key; one that has it becomes UTF-8."""
        if not self._may_be_in(body):
            return body
        encoding = json.detect_encoding(body)  # which `json.loads` takes: UTF-16 and UTF-32 too
        if not self._is_in(body.decode(encoding, "replace")):
            return body
        try:
            masked = self._document(json.loads(body))
            return json.dumps(masked, ensure_ascii=False).encode("utf-8", "backslashreplace")
        except (ValueError, RecursionError):
            text = body.decode("utf-8", "surrogateescape")
            return self.text(text).encode("utf-8", "surrogateescape")

    def text(self, text: str) -> str:
        """Return a text without the key."""
        text = text.replace(self._key, MASK)
        if not self._is_in(text):
            return text
        words = re.split(r"(\s+)", text)
        masked = "".join(MASK if self._is_in(word) else word for word in words)
        return MASK if self._is_in(masked) else masked

    def _document(self, found: object) -> object:
        if isinstance(found, str):
            return self.text(found)
        if isinstance(found, list):
            return [self._document(one) for one in found]
        if isinstance(found, dict):
            return {self.text(name): self._document(one) for name, one in found.items()}
        is_number = isinstance(found, int | float) and not isinstance(found, bool)
        return MASK if is_number and self._is_in(str(found)) else found

    def _may_be_in(self, data: bytes) -> bool:
        """Return False for almost all replies; they must cost next to nothing."""
        if data.translate(None, _PLAIN_BYTES) and _TO_DECODE.search(data):
            return True
        return self._is_within(_HARMLESS_ESCAPES.sub(b"", data) if b"\\" in data else data)

    def _is_in(self, text: str) -> bool:
        return any(self._is_within(view.encode("utf-8", "replace")) for view in _views(text))

    def _is_within(self, data: bytes) -> bool:
        return bool(
            self._plain.search(data.translate(_LOWER, _NOT_WORDS))
            or self._packed.search(data.translate(None, _NOT_WORDS))
        )


def _whole(key: str) -> tuple[bytes, ...]:
    """Return a whole key as `_plain_pieces` returns pieces."""
    words = key.encode().translate(_LOWER, _NOT_WORDS)
    return tuple(filter(None, (words, key.encode().hex().encode())))


def _plain_pieces(secret: str) -> tuple[bytes, ...]:
    """Return the pieces of the secret itself, and of its hexadecimal form."""
    words = secret.encode().translate(_LOWER, _NOT_WORDS)
    pieces = list(_grid(words, _PIECE))
    return (*pieces, *(piece.hex().encode() for piece in _grid(secret.encode(), _PIECE)))


def _base64_pieces(secret: str) -> tuple[bytes, ...]:
    """Return the pieces of the secret in base64, where three characters become four.

    Letters and digits never become `+` or `/`, so the alphabet for URLs needs no care.
    """
    found: dict[bytes, None] = {}
    for encoding, width in (("utf-8", 1), ("utf-16-be", 2), ("utf-16-le", 2)):
        data = secret.encode(encoding)
        for offset in range(3):
            # Six characters, or twelve bytes: both are whole groups of three.
            pieces = _grid(data[offset:], _PIECE * width)
            found |= dict.fromkeys(
                base64.b64encode(piece).translate(None, b"+/=") for piece in pieces
            )
    return tuple(found)


def _any_of(pieces: Iterable[bytes]) -> re.Pattern[bytes]:
    return re.compile(b"|".join(map(re.escape, pieces)) or b"(?!)")


def _grid(data: bytes, size: int) -> Iterator[bytes]:
    """Yield the pieces of a secret, or all of it if it is short or hardly one."""
    pieces = [data[start : start + size] for start in range(0, len(data) - size + 1, size)]
    telling = [piece for piece in pieces if len(set(piece)) >= _FEWEST_DISTINCT]
    yield from telling or ([data] if data else [])


def _views(text: str) -> Iterator[str]:
    """Yield a text and what it reads as when its escapes are resolved, in up to three steps."""
    seen = {text: None}
    yield text
    fresh = [text]
    for _ in range(_MOST_STEPS):
        further = []
        for one in fresh:
            for other in _resolved(one):
                if other not in seen and len(seen) < _MOST_VIEWS:
                    seen[other] = None
                    further.append(other)
                    yield other
        fresh = further


def _resolved(text: str) -> Iterator[str]:
    if any(sign in text for sign in "\\%&="):
        yield _BETWEEN.sub("", text)
    if not text.isascii():
        yield unicodedata.normalize("NFKC", text)
    if "\\" in text:
        # Line breaks first: the letter of a `\n` would separate what belongs together.
        yield _ESCAPED.sub(_of_escape, _CONTROLS.sub("", text))
    if "%" in text:
        yield unquote(text, errors="replace")
    if "&" in text:
        yield html.unescape(text)
    if "=" in text:
        yield _QUOTED.sub(lambda match: chr(int(match[1], 16)), _SOFT_BREAK.sub("", text))


def _of_escape(match: re.Match[str]) -> str:
    of_unicode, of_byte, octal = match.groups()
    return chr(int(octal, 8) if octal else int(of_unicode or of_byte, 16))
