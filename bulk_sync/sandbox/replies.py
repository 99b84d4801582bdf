"""The replies of the sandbox: the API's own, and the odd ones that a fault puts in their place.

Pure. Replies that are cut, reset or withheld are `severed`'s.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# A login page, a body cut in the middle, bytes that are not UTF-8, and JSON that is no object: each
# is a 200 that acknowledges nothing.
_GARBAGE = (
    (b"<!doctype html><title>Sign in</title><p>Please sign in to continue.</p>", "text/html"),
    (b'{"data": {"id": "3c90c3cc-0d44-4b5', "application/json"),
    (b"\x00\xff\xfe{]\x1b[2J", "application/json"),
    (b'"OK"', "application/json"),
)

_BLOCK_PAGE = (
    b"<!doctype html><title>Just a moment...</title>"
    b"<p>Checking your connection before you proceed.</p>"
)
# As Cloudflare marks its challenges.
_BLOCK_HEADERS = {"cf-mitigated": "challenge", "Server": "cloudflare"}

_ANOTHER_ID = "00000000-0000-4000-8000-000000000000"

# Characters of `feedback` that a shortened reply has.
_SHORT = 8


@dataclass(frozen=True, slots=True)
class Answer:
    """The reply of the API before any fault is applied; `applied` when it changed a showing."""

    status: int
    content: Mapping[str, Any]
    applied: bool = False
    showing_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """The content as JSON in UTF-8."""
        return json.dumps(self.content, ensure_ascii=False).encode()


@dataclass(frozen=True, slots=True)
class Sent:
    """A reply as it is sent."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    media_type: str = "application/json"


def refusal(status: int, message: str, **headers: str) -> Answer:
    """Return the API's error body; underscores in the names of headers become hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"error": {"message": message, "status": status}}, headers=named)


def refused_by(kind: str) -> Answer:
    """Return the answer to a request that meets this fault before it is applied."""
    if kind == "conflict":
        return refusal(409, "Showing is being edited", Retry_After="1")
    if kind == "error200":
        return Answer(200, {"errors": [{"message": "Fault injected by --fault"}]})
    if kind == "block403":
        return refusal(403, "Blocked")
    return refusal(int(kind) if kind.isdigit() else 500, "Fault injected by --fault")


def as_sent(answer: Answer, kind: str | None) -> Sent:
    """Return the reply to an answer, as a fault of this kind changes it."""
    whole = Sent(answer.status, answer.body, answer.headers)
    if kind == "garbage":
        text, media_type = _GARBAGE[hashlib.sha256(whole.body).digest()[0] % len(_GARBAGE)]
        return Sent(200, text, {}, media_type)
    if kind == "block403":
        return Sent(403, _BLOCK_PAGE, _BLOCK_HEADERS, "text/html; charset=UTF-8")
    if not answer.applied:
        return whole
    data = answer.content["data"]
    if kind == "queued":
        queued = {"message": "Accepted", "job": hashlib.sha256(whole.body).hexdigest()[:8]}
        return Sent(202, json.dumps(queued).encode(), answer.headers)
    if kind == "swapped":
        return _with_data(answer, {**data, "id": _ANOTHER_ID, "north_id": _ANOTHER_ID})
    if kind == "shortened" and "feedback" in data:
        return _with_data(answer, {**data, "feedback": data["feedback"][:_SHORT]})
    return whole


def _with_data(answer: Answer, data: Mapping[str, Any]) -> Sent:
    content = {**answer.content, "data": data}
    return Sent(answer.status, json.dumps(content, ensure_ascii=False).encode(), answer.headers)
