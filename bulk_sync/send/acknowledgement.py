"""Read a 2xx: does it acknowledge the patch that was sent? Pure.

| reply | verdict |
|---|---|
| JSON with an object as `data`, which names no other showing | acknowledged |
| no body | acknowledged, with a note that nothing was confirmed in words |
| an error or `success: false` with a message; also in a part of a 207 | refused, with it |
| an error without a message, `data: null` or a list, other JSON | no acknowledgement |
| a firewall's challenge | no acknowledgement |
| 202 without `data` | no acknowledgement: the API may apply the patch later |
| HTML, half a body, an encoding that can't be decoded | no acknowledgement |
| a reply that names another showing | no acknowledgement |

Evidence beyond the reply itself that it is no acknowledgement: see `evidence`.

What is harmless is passed over: `error: null`, `errors: []`, a byte order mark, other fields.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from bulk_sync.model.rows import Echo
from bulk_sync.send.echo import FIELDS, Echoed, differing_echoes
from bulk_sync.send.messages import (
    SYMBOL_FOR_NUL,
    document,
    has_failed,
    is_failing,
    one_line,
    refusal,
    refuses_all,
    reports_failure,
    says_no,
)
from bulk_sync.send.transport.interface import Reply
from bulk_sync.wording import counted

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Acknowledged(NamedTuple):
    """The API applied the patch; `echoes` are fields that came back with another value."""

    showing_id: str | None
    updated_at: str | None
    note: str | None = None
    echoes: tuple[Echo, ...] = ()


class NotAcknowledged(NamedTuple):
    """A 2xx that acknowledges nothing, and the reason.

    `refusal` is the API's message if the reply refuses the patch; `of_another` means that it names
    another showing.
    """

    why: str
    refusal: str | None = None
    of_another: bool = False


class _Data(Echoed):
    id: str | None = None
    north_id: Any = None
    updated_at: str | None = None
    error: Any = None
    errors: Any = None
    success: Any = None
    ok: Any = None


class _Document(Struct):
    data: _Data | None = None
    error: Any = None
    errors: Any = None
    success: Any = None
    ok: Any = None
    status: Any = None


# Ten times as fast as a pydantic model; ignores other fields and coerces nothing.
_decode = msgspec.json.Decoder(_Document).decode


def acknowledgement(
    reply: Reply, target: str, sent: str, *, by_id: bool = False
) -> Acknowledged | NotAcknowledged:
    """Return the acknowledgement in a 2xx, or the reason why it is not one of this patch.

    `target` is the key of the showing, or its id if `by_id`; `sent` is the patch as JSON.
    """
    # Nearly every reply is the contract's, and is decoded once. The rest is looked at closely.
    try:
        read = _decode(reply.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _look_closely(reply, target, sent, by_id=by_id)
    data = read.data
    if (
        data is None
        or reply.status > 201
        or read.error
        or read.errors
        or (read.success is not None and says_no(read.success))
        or (read.ok is not None and says_no(read.ok))
        or (read.status is not None and is_failing(read.status))
        or data.error
        or data.errors
        or (data.success is not None and says_no(data.success))
        or (data.ok is not None and says_no(data.ok))
    ):
        return _look_closely(reply, target, sent, by_id=by_id)
    return _about_this_showing(data, reply, target, sent, by_id=by_id)


def may_be_the_apis(reply: Reply) -> bool:
    """True for a 2xx without a body or with a JSON object: no page of a proxy or captive portal."""
    return not reply.undecoded and (
        not _text_of(reply.body) or isinstance(document(reply.body), dict)
    )


def is_of_a_firewall(reply: Reply) -> bool:
    """True for a reply that is marked as that of a firewall in front of the API.

    So does Cloudflare (its page "Detect a challenge page response"), and AWS WAF, whose challenges
    are 202 without a body, or 405 (its page "CAPTCHA and challenge action behavior").
    """
    # Not a loop over the names, because every reply is asked.
    return "cf-mitigated" in reply.headers or "x-amzn-waf-action" in reply.headers


def is_refusal(reply: Reply) -> bool:
    """True for a 2xx that only says why the API refused the patch, so that it was not applied."""
    found = document(reply.body)
    return refusal(found) is not None and refuses_all(found)


def _look_closely(
    reply: Reply, target: str, sent: str, *, by_id: bool
) -> Acknowledged | NotAcknowledged:
    status = reply.status
    if reply.undecoded:
        return NotAcknowledged(f"{status}, but the reply can't be decoded ({reply.undecoded})")
    if is_of_a_firewall(reply):
        return NotAcknowledged(f"{status}, but a firewall in front of the API replied")
    if not _text_of(reply.body):
        return Acknowledged(None, None, f"the API confirmed nothing in words ({status})")
    found = document(reply.body)
    data = found.get("data") if isinstance(found, dict) else None
    failed = isinstance(found, dict) and (
        reports_failure(found) or (isinstance(data, dict) and has_failed(data))
    )
    if message := refusal(found):
        return NotAcknowledged(f"{status}, but the API refused the patch: {message}", message)
    if isinstance(data, dict) and not failed:
        return _about_this_showing(_lenient(data), reply, target, sent, by_id=by_id)
    if status == 202:
        return NotAcknowledged("202: the API accepted the request and may apply it later")
    return NotAcknowledged(_unexpected(reply, found))


def _about_this_showing(
    data: _Data, reply: Reply, target: str, sent: str, *, by_id: bool
) -> Acknowledged | NotAcknowledged:
    if by_id or isinstance(data.unique_showing_key, str):
        other = (_other_id if by_id else _other_key)(data, target, sent)
        if other is not None:
            why = f"{reply.status}, but the reply is about another showing ({one_line(other)})"
            return NotAcknowledged(why, of_another=True)
    note = None
    if reply.status == 202:
        note = "the API accepted the request and may apply it later (202)"
    echoes = differing_echoes(data, sent)
    if b"\\u0000" in reply.body:
        return Acknowledged(_without_nul(data.id), _without_nul(data.updated_at), note, echoes)
    return Acknowledged(data.id, data.updated_at, note, echoes)


def _text_of(body: bytes) -> bytes:
    return body.removeprefix(_BYTE_ORDER_MARK).strip()


def _lenient(data: dict[str, Any]) -> _Data:
    """Take what can be used of `data`: a field of another type says nothing."""

    def text(name: str) -> str | None:
        value = data.get(name)
        if not isinstance(value, str):
            return None
        # Half a surrogate pair can't be written to a UTF-8 file.
        return _without_nul(value.encode("utf-8", "replace").decode())

    echoed = {name: data[name] for name in FIELDS if name in data}
    return _Data(
        id=text("id"), north_id=data.get("north_id"), updated_at=text("updated_at"), **echoed
    )


def _ids(data: _Data) -> list[str]:
    ids = (data.id, data.north_id)
    return [one.lower() for one in ids if isinstance(one, str) and one]


def _other_key(data: _Data, target: str, sent: str) -> str | None:
    """Return the reply's key when it is neither the requested one nor the patch's new one.

    A reply without a key decides nothing, because an id can't be compared with a key.
    """
    key = data.unique_showing_key
    if not isinstance(key, str) or target == key or target.lower() in _ids(data):
        return None
    return None if json.loads(sent).get("unique_showing_key") == key else key


def _other_id(data: _Data, target: str, sent: str) -> str | None:
    """Return the reply's id when it is not the requested one; UUIDs compare without case.

    A reply without an id is judged by the key that the patch set, if it has one.
    """
    if ids := _ids(data):
        return None if target.lower() in ids else ids[0]
    key, set_to = data.unique_showing_key, json.loads(sent).get("unique_showing_key")
    return key if isinstance(key, str) and set_to not in (None, key) else None


def _without_nul(text: str | None) -> str | None:
    return text and text.replace("\0", SYMBOL_FOR_NUL)


def _unexpected(reply: Reply, found: object) -> str:
    kind = reply.headers.get("content-type", "no content type")[:60]
    if isinstance(found, dict):
        return f"{reply.status}, but the reply's JSON acknowledges no patch: {_excerpt(reply.body)}"
    size = counted(len(reply.body), "byte")
    return f"{reply.status}, but the reply is not the API's JSON ({kind}, {size})"


def _excerpt(body: bytes) -> str:
    text = one_line(body[:400].decode("utf-8", "replace").removeprefix("\ufeff"))
    return text if len(text) <= 100 else f"{text[:97]}..."
