"""No text of a reply shows the key, in whatever form a server, or a proxy, sends it back."""

from __future__ import annotations

import base64
import gzip
import html
import json
import quopri
import re
import unicodedata
import zlib
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from bulk_sync.send.messages import LONGEST_MESSAGE, api_message
from bulk_sync.send.transport.interface import Reply
from bulk_sync.send.transport.masking import MASK, Masking
from bulk_sync.send.transport.replies import reply_of

KEY = "north_sk_live_7hQz0Vb2mKx94LsTnWc8RyJd5GfPa1Ue"
SECRET = KEY.removeprefix("north_sk_live_")
RUN = 12
MASKING = Masking(SecretStr(KEY))
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\u180e\u200e"


def shows_the_key(text: str, steps: int = 3) -> bool:
    """Whether a reader finds a run of the secret, by decoding in a few steps."""
    words = re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", text)).lower()
    secret = SECRET.lower()
    if any(secret[at : at + RUN] in words for at in range(len(secret) - RUN + 1)):
        return True
    return bool(steps) and any(shows_the_key(one, steps - 1) for one in _decodings(text))


def _decodings(text: str) -> set[str]:
    found = {unquote(text), html.unescape(text), _unescaped(text), _unquoted(text)}
    packed = re.sub(rf"[\s{INVISIBLE}]", "", text).replace("\\n", "")
    for word in re.findall(r"[A-Za-z0-9+/]{16,}", packed):
        for at in range(4):
            data = base64.b64decode(word[at : at + (len(word) - at) // 4 * 4])
            found.add("".join(chr(one) for one in data if one < 128))
    for word in re.findall(r"(?:[0-9a-fA-F]{2}){12,}", packed):
        found.add("".join(chr(one) for one in bytes.fromhex(word) if one < 128))
    return found - {text}


def _unquoted(text: str) -> str:
    return quopri.decodestring(text.encode("ascii", "ignore")).decode("latin-1")


def _unescaped(text: str) -> str:
    plain = re.sub(r"\\u([0-9a-f]{4})|\\x([0-9a-f]{2})", _character, text)
    return plain.replace("\\\\", "\\").replace("\\n", "\n")


def _character(match: re.Match[str]) -> str:
    return chr(int(match[1] or match[2], 16))


def _between(separator: str, every: int = 4) -> Callable[[str], str]:
    return lambda text: separator.join(text[at : at + every] for at in range(0, len(text), every))


def _each(form: str) -> Callable[[str], str]:
    return lambda text: "".join(form.format(ord(one)) for one in text)


def _base64_of(prefix: str, encoding: str = "utf-8") -> Callable[[str], str]:
    return lambda text: base64.b64encode((prefix + text).encode(encoding)).decode()


def _quoted_printable(text: str) -> str:
    return "=\r\n".join(_each("={:02X}")(text[at : at + 20]) for at in range(0, len(text), 20))


FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "another case": str.upper,
    "half of it": lambda text: text[: len(text) - 15],
    "its end": lambda text: text[-14:],
    "JSON escapes": _each("\\u{:04x}"),
    "byte escapes": _each("\\x{:02x}"),
    "percent": _each("%{:02X}"),
    "percent, twice": lambda text: quote(_each("%{:02x}")(text)),
    "references": _each("&#{};"),
    "references in hexadecimal": _each("&#x{:x};"),
    "quoted-printable": _quoted_printable,
    "soft breaks": _between("=\r\n"),
    "line breaks": _between("\n"),
    "CR LF and a blank": _between("\r\n "),
    "escaped line breaks": _between("\\n"),
    "blanks": _between(" ", 1),
    "invisible": _between("\u200b", 1),
    "soft hyphens": _between("\u00ad", 3),
    "joiners": _between("\u034f", 2),
    "NUL": _between("\0", 1),
    "punctuation": _between(".", 2),
    "full-width": lambda text: "".join(chr(ord(one) + 0xFEE0) for one in text),
    "base64 of the header": _base64_of("Bearer "),
    "base64 of a pair": _base64_of("user:"),
    "base64 in lines": lambda text: _between("\r\n", 16)(_base64_of("Bearer ")(text)),
    "base64 in base64's URL form": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "UTF-7": lambda text: f"+{_base64_of('', 'utf-16-be')(text).rstrip('=')}-",
    "base64 of UTF-16": _base64_of("Bearer ", "utf-16-le"),
    "base64, percent": lambda text: _each("%{:02x}")(_base64_of("Bearer ")(text)),
    "hexadecimal": lambda text: text.encode().hex(),
    "JSON in JSON": lambda text: json.dumps({"m": _each("\\u{:04x}")(text)}),
}
# What is packed after it was spelled in another way is not recognised.
SPELLED = {
    name: form
    for name, form in FORMS.items()
    if not name.startswith(("base64", "UTF-7", "hexadecimal", "full-width", "half", "its"))
}
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be")
# Not UTF-8, so what the label says counts.
LABELLED = ("utf-16", "utf-32", "cp037")
CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
}


def _shown(status: int, headers: dict[str, str], body: bytes) -> list[str]:
    """Return all that any part of the program could show of a reply."""
    reply = reply_of(status, MASKING.headers(headers.items()), body, MASKING)
    shown = [api_message(reply), *reply.headers, *reply.headers.values()]
    with suppress(ValueError):
        shown.append(json.dumps(json.loads(reply.body), ensure_ascii=False))
    return [*shown, reply.body.decode("utf-8", "replace")]


@pytest.mark.parametrize("form", FORMS)
def test_no_form_of_the_key_is_in_a_reply(form: str) -> None:
    said = FORMS[form](KEY)
    assert shows_the_key(said)
    shapes = (
        json.dumps({"error": {"message": f"you sent {said}"}}),
        json.dumps({"data": {"feedback": said, said: 1}, "errors": [said, {"detail": said}]}),
        json.dumps({"message": said}, ensure_ascii=False),
        f"no such token {said}",
        # Escapes that JSON itself resolves.
        '{"error": {"message": "?"}}'.replace("?", _each("\\u{:04x}")(said)),
    )
    for shape in shapes:
        for encoding in ENCODINGS:
            shown = _shown(422, {"content-type": "text/plain"}, shape.encode(encoding))
            assert [one for one in shown if shows_the_key(one)] == []
        for coding, encode in CODINGS.items():
            headers = {"content-type": "application/json", "content-encoding": coding}
            shown = _shown(422, headers, encode(shape.encode()))
            assert [one for one in shown if shows_the_key(one)] == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("encoding", LABELLED)
def test_nor_in_one_whose_label_says_how_to_decode_it(form: str, encoding: str) -> None:
    said = FORMS[form](KEY)
    body = json.dumps({"error": {"message": f"you sent {said}"}}).encode(encoding)
    shown = _shown(500, {"content-type": f"application/json; charset={encoding}"}, body)
    assert [one for one in shown if shows_the_key(one)] == []


@pytest.mark.parametrize("form", FORMS)
def test_nor_in_a_header(form: str) -> None:
    said = FORMS[form](KEY)
    shown = _shown(429, {"retry-after": f"for {said}", f"x-{said}": "1", "server": said}, b"")
    assert [one for one in shown if shows_the_key(one)] == []


@given(
    st.sampled_from(sorted(FORMS)),
    st.sampled_from(sorted(SPELLED)),
    st.sampled_from(ENCODINGS),
    st.text(max_size=20),
    st.integers(0, len(SECRET) - RUN),
)
def test_two_forms_of_a_part_in_any_text(
    inner: str, outer: str, encoding: str, around: str, start: int
) -> None:
    said = SPELLED[outer](FORMS[inner](SECRET[start : start + RUN + 4]))
    body = json.dumps({"error": {"message": f"{around} {said} {around}"}}).encode(encoding)
    assert [one for one in _shown(422, {}, body) if shows_the_key(one)] == []


def test_the_words_around_the_key_stay() -> None:
    body = json.dumps({"error": {"message": f"the token {KEY} was revoked"}}).encode()
    reply = reply_of(401, {}, body, MASKING)
    assert api_message(reply) == f"the token {MASK} was revoked"


@given(st.text(max_size=LONGEST_MESSAGE), st.sampled_from(ENCODINGS))
def test_what_has_no_key_is_left_as_it_is(text: str, encoding: str) -> None:
    body = json.dumps({"error": {"message": text}}).encode(encoding)
    assert MASKING.body(body) == body
    assert MASKING.headers([("x-a", text)]) == {"x-a": text}


def test_a_key_that_is_hardly_secret_masks_no_null_uuid() -> None:
    masking = Masking(SecretStr("north_sk_test_0000000000000000000000000sandbox"))
    body = b'{"data": {"id": "00000000-0000-0000-0000-000000000000", "at": "00:00:00.000000Z"}}'
    assert masking.body(body) == body


@pytest.mark.parametrize("key", ["abcdefgh", "north_sk_live_", "aaaaaaaaaaaa", "a/b+c=d&e%20"])
def test_a_key_of_another_form_is_masked_as_it_is(key: str) -> None:
    body = json.dumps({"message": f"key {key}!"}).encode()
    assert key.encode() not in Masking(SecretStr(key)).body(body)


def test_almost_no_reply_is_searched_more_than_once() -> None:
    """The usual acknowledgement must stay cheap: see `_may_be_in`."""
    text = "Liked it: 50% & more, the caf\u00e9 next door; it\u2019s fine. " * 6
    body = json.dumps({"data": {"feedback": f"{text}\nBest"}}, ensure_ascii=False).encode()
    assert not MASKING._may_be_in(body)


def test_deep_and_long_replies_are_masked_too() -> None:
    escaped = _each("\\u{:04x}")(KEY)
    deep = b"[" * 5000 + f'"{escaped}"'.encode() + b"]" * 5000
    long = json.dumps({"message": "%41 " * 50_000 + KEY}).encode()
    for body in (deep, long):
        reply = reply_of(500, {}, body, MASKING)
        assert not shows_the_key(reply.body.decode())
        assert isinstance(reply, Reply)


@pytest.mark.parametrize("secret", ["vale", "valley", "realty", "hill-vale"])
def test_a_short_secret_that_is_a_word_hides_no_word(secret: str) -> None:
    """Else the name of a key's team is not the one that `--team` names."""
    name = f"{secret.title()} Realty"
    masking = Masking(SecretStr(f"north_sk_test_{secret}"))
    assert masking.body(json.dumps({"name": name}).encode()) == json.dumps({"name": name}).encode()
    echoed = f"Bad key North_SK_test_{secret}, of {name}"
    assert masking.text(echoed) == f"Bad key {MASK} of {name}"
    packed = base64.b64encode(f"Bearer north_sk_test_{secret}".encode()).decode()
    assert packed not in masking.text(f"Authorization was {packed}")
