"""Find the API's message in a JSON body, whatever usual shape it has. Pure.

The contract has `{"error": {"message": ...}}`. Other real APIs, and gateways in front of them, use:

| shape | seen in |
|---|---|
| `error.message`, `error.errors[].message` | Google, Stripe, Microsoft Graph |
| `errors[].message`, `errors[].detail`, a list of texts | GraphQL, JSON:API, GitHub |
| `errors: {"rating": ["is too high"]}` | Rails, Laravel |
| `detail`, `title`; `detail: [{"loc": [...], "msg": ...}]` | RFC 9457, Django, FastAPI |
| `errorSummary`, `errorCauses[].errorSummary` | Okta |
| a list of `{"message": ..., "errorCode": ...}` | Salesforce |
| `description`, `details: {"rating": [{"description": ...}]}` | Zendesk |
| a short text that is no JSON | many frameworks and proxies |
| `error: text` with `error_description` or `message` | OAuth (RFC 6749), NestJS |
| `success: false` or `ok: false` with `message` or `error` | Slack, many others |
| `status: "fail"` or `"error"` with `message` or `data` | JSend |
| a list of parts, each with a status and a message | 207 of bulk endpoints, batch APIs |
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from itertools import islice

from bulk_sync.send.transport.interface import Reply

LONGEST_MESSAGE = 300
"""Characters of a server's message that a report keeps."""

# In place of NUL, with which results and failed rows could not be read back.
SYMBOL_FOR_NUL = "\u2400"

# The most telling first: RFC 9457's `title` only names the kind of its `detail`.
_TEXTS = (
    *("message", "detail", "error_description", "error_message", "errorMessage"),
    *("description", "msg", "reason", "errorSummary", "title", "Message"),
)
_NESTED = ("error", "errors", "errorCauses", "body", "response")
_BY_FIELD = ("errors", "error", "details", "invalid-params")
_PLACES = ("field", "param", "path", "pointer", "attribute", "name", "loc")

# No real error is nested deeper, and no report shows more parts.
_DEEPEST = 6
_MOST_PARTS = 3

_STATUS = re.compile(r"(?:HTTP/\S+ )?([1-5]\d\d)\b", re.ASCII)
_FAILING_WORDS = frozenset({"error", "fail", "failed", "failure"})


def api_message(reply: Reply) -> str:
    """Return the message of an error reply, on one line; without one, the status."""
    found = document(reply.body)
    message = _text_alone(reply) if found is None else _any_message(found)
    return message or f"status {reply.status}"


def _text_alone(reply: Reply) -> str | None:
    """Return a short text that is no JSON; pages and documents say nothing in one line."""
    kind = reply.headers.get("content-type", "text/plain")
    if not kind.startswith("text/plain") or len(reply.body) > LONGEST_MESSAGE:
        return None
    try:
        text = reply.body.decode()
    except UnicodeDecodeError:
        return None
    is_text = "<" not in text and all(one.isprintable() or one.isspace() for one in text)
    return _line(text) if is_text else None


def is_own_error(reply: Reply) -> bool:
    """True for the contract's error body, JSON with `error.message`.

    A firewall's page has none, and neither has the JSON of a gateway in front of the API.
    """
    found = document(reply.body)
    error = found.get("error") if isinstance(found, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    return isinstance(message, str) and bool(message.strip())


def refusal(found: object) -> str | None:
    """Return the message of a JSON document that refuses what was asked, although it is a 2xx.

    A bare `message` is no refusal: the contract's acknowledgement has one, too.
    """
    data = found.get("data") if isinstance(found, dict) else None
    if isinstance(data, dict) and has_failed(data) and (message := _any_message(data)):
        return message
    if isinstance(found, dict) and reports_failure(found):
        if isinstance(found.get("data"), dict):  # then `message` may belong to it
            errors = {name: one for name, one in found.items() if name != "message"}
            if message := _any_message(errors):
                return message
        in_data = found.get("data") if found.get("status") == "fail" else None
        return _any_message(found) or _line(_fields(in_data, or_texts=True))
    failed = (part for part in _parts(found) if reports_failure(part))
    return _joined([_any_message(part) for part in islice(failed, _MOST_PARTS)])


def refuses_all(found: object) -> bool:
    """True when a JSON document reports nothing but failure, so that nothing was applied.

    With `data` some of a patch may have been applied all the same.
    """
    if isinstance(found, dict):
        if isinstance(found.get("data"), dict):
            return False
        if reports_failure(found):
            return not isinstance(found.get("data"), list)
    parts = _parts(found)
    return bool(parts) and all(map(reports_failure, parts))


def reports_failure(found: dict[str, object]) -> bool:
    """True when a JSON object says that the request failed; `error: null` or `[]` is harmless."""
    return has_failed(found) or (
        any(is_failing(found.get(name)) for name in ("status", "statusCode", "status_code"))
    )


def has_failed(found: dict[str, object]) -> bool:
    """True when an object has errors, or says that it is no success, whatever its `status` is.

    Without the status, also for `data`: a showing may have one of its own.
    """
    return bool(found.get("error") or found.get("errors")) or any(
        says_no(found.get(name)) for name in ("success", "ok")
    )


def says_no(flag: object) -> bool:
    """True for `false` and 0, also as texts."""
    if isinstance(flag, str):
        return flag.strip().lower() in {"false", "0", "no"}
    return isinstance(flag, int) and not flag


def is_failing(status: object) -> bool:
    """True for a status of 400 or more, in any spelling, and for words such as `fail`."""
    if isinstance(status, str):
        number = _STATUS.match(status)
        return number[1] >= "400" if number else status.lower() in _FAILING_WORDS
    return isinstance(status, int) and 400 <= status < 600


def document(body: bytes) -> object:
    """Return a body as JSON, with or without a byte order mark; None when it is not JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def one_line(text: str) -> str:
    """Return a text as reports show it: whitespace collapsed, at most `LONGEST_MESSAGE`."""
    # JSON may hold half a surrogate pair, which can't be written to a UTF-8 file.
    whole = text.replace("\0", SYMBOL_FOR_NUL).encode("utf-8", "backslashreplace").decode()
    return " ".join(whole.split())[:LONGEST_MESSAGE]


def _any_message(found: object) -> str | None:
    return _line(_text(found) if isinstance(found, dict | list) else None)


def _line(text: str | None) -> str | None:
    return (one_line(text) or None) if text else None


def _text(error: object, depth: int = 0) -> str | None:
    """Return the text of an error: of itself, else of what it holds."""
    if isinstance(error, str):
        return error if error.strip() else None
    if depth > _DEEPEST:
        return None
    if isinstance(error, list):
        return _joined([_text(one, depth + 1) for one in error[:_MOST_PARTS]])
    if not isinstance(error, dict):
        return None
    # A nested object is more telling than a text next to it, such as "Bad Request".
    if by_field := next(filter(None, (_fields(error.get(name)) for name in _BY_FIELD)), None):
        return by_field
    nested = (error.get(name) for name in _NESTED)
    held = [one for one in nested if isinstance(one, dict | list)]
    texts = (*held, *(error.get(name) for name in (*_TEXTS, "error")))
    text = next(filter(None, (_text(one, depth + 1) for one in texts)), None)
    return _placed(error, text) if text else _fields(error.get("errors"), or_texts=True)


def _placed(error: dict[str, object], text: str) -> str:
    """Put the field that an error names in front of its text, unless the text has it."""
    source = error.get("source")  # JSON:API has the place in it
    where = {**source, **error} if isinstance(source, dict) else error
    for name in _PLACES:
        place = where.get(name)
        if isinstance(place, list) and place:
            place = place[-1]
        if isinstance(place, str) and name in {"path", "pointer"}:
            if place.startswith("/v"):  # of the request: Spring has it in every error
                continue
            place = place.rpartition("/")[2]
        if isinstance(place, str) and place and place not in text:
            return f"{place}: {text}"
    return text


def _fields(errors: object, *, or_texts: bool = False) -> str | None:
    """Return the text of errors by field, as in `{"rating": ["is too high"]}`.

    None unless all of them are lists of texts, or of objects that have one; with `or_texts` they
    may be single texts, and others are left out.
    """
    if not isinstance(errors, dict):
        return None
    texts = []
    for name, about in errors.items():
        many = [about] if or_texts and isinstance(about, str) else about
        said = []
        if isinstance(many, list):
            said = [_text(one, _DEEPEST) for one in many[:_MOST_PARTS]]
        if said and all(said):
            texts.append(f"{name}: {', '.join(map(str, said))}")
        elif not or_texts:
            return None
    return _joined(texts[:_MOST_PARTS])


def _joined(texts: Iterable[str | None]) -> str | None:
    return "; ".join(dict.fromkeys(text for text in texts if text)) or None


def _parts(found: object) -> list[dict[str, object]]:
    """Return the parts of a multi-status document: the objects of its lists."""
    lists = found.values() if isinstance(found, dict) else [found]
    return [
        part for one in lists if isinstance(one, list) for part in one if isinstance(part, dict)
    ]
