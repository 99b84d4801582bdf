"""The endpoints of the API: replies according to the contract, limits, and injected faults.

Knows the contract and the sandbox's own storage. It must not import `check` or `send`, because
they are tested against it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bulk_sync.clock import Clock, SystemClock
from bulk_sync.sandbox.account import Key, month_start, users_me
from bulk_sync.sandbox.behaviour import Behaviour
from bulk_sync.sandbox.contract import CreateBody, PatchBody, read_body
from bulk_sync.sandbox.faults import Drawn, draw
from bulk_sync.sandbox.gate import Gate
from bulk_sync.sandbox.replies import Answer, as_sent, refusal, refused_by
from bulk_sync.sandbox.severed import Connections, Severed
from bulk_sync.sandbox.storage import KeyTakenError, Storage

_SHOWINGS = b"/v1/showings/"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# Bytes of a request body; a larger one is answered with 413.
_LARGEST_BODY = 1 << 20

# Seconds that `GET /v1/users/me` takes when it is slow, and a reply when it is late.
_SLOW_SECONDS = 30.0
_LATE_SECONDS = 10.0

# The permission that a method needs.
_ACTIONS = {"PATCH": "update", "POST": "create"}


@dataclass
class NorthApi:
    """The endpoints, on one storage.

    `connections` lets a fault reset the connection of a request, which ASGI can't.
    """

    storage: Storage
    behaviour: Behaviour = field(default_factory=Behaviour)
    clock: Clock = field(default_factory=SystemClock)
    connections: Connections = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._gate = Gate(self.behaviour)
        self._in_flight = 0
        self._requests = 0
        # Windows are aligned to the clock, but its corrections must not end one twice.
        self._epoch = self.clock.now().timestamp() - self.clock.monotonic()

    def app(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/v1/showings/{showing:path}", self._serve, methods=["PATCH"]),
                Route("/v1/showings", self._serve, methods=["POST"]),
                Route("/v1/users/me", self._serve, methods=["GET"]),
                Route("/_sandbox/journal", self._journal),
                Route("/_sandbox/stats", self._stats),
                Route("/_sandbox/showings/{showing:path}", self._showing),
            ],
            exception_handlers={HTTPException: self._no_such_route},
        )

    async def _serve(self, request: Request) -> Response:
        """Serve one request: journal, limit, latency, fault, answer."""
        body = await self._body(request)
        name = _named(request, body)
        drawn = self._draw(name)
        seq = self.storage.arrived(
            at=self.clock.now().timestamp(),
            method=request.method,
            path=request.scope["raw_path"].decode("latin-1"),
            key=name,
            idempotency_key=request.headers.get("idempotency-key"),
            content_type=request.headers.get("content-type"),
            body=None if body is None else body.decode("utf-8", "backslashreplace"),
            in_flight=self._in_flight,
        )
        self._requests += 1
        self._in_flight += 1
        try:
            headers: dict[str, str] = {}
            answer = self._refused(request, body, headers)
            if answer is not None:
                # No fault on top of a refusal: real servers refuse before the code that may fail.
                drawn = None
            else:
                await self._sleep(self.behaviour.latency_seconds)
                if drawn is not None and not drawn.applied:
                    answer = refused_by(drawn.fault.kind)
                else:
                    answer = await self._answer(request, name, body or b"")
                if drawn is not None and drawn.fault.kind == "late":
                    await self._sleep(_LATE_SECONDS)
        finally:
            self._in_flight -= 1
        self._note(seq, answer, drawn)
        return self._reply(request, answer, headers, drawn)

    def _draw(self, name: str | None) -> Drawn | None:
        if not self.behaviour.faults or name is None:
            return None
        asked_before = self.storage.times_asked(name)
        return draw(self.behaviour.faults, self.behaviour.seed, name, asked_before)

    async def _sleep(self, seconds: float) -> None:
        if seconds:
            await self.clock.sleep(seconds / self.behaviour.speed)

    def _now(self) -> float:
        """Return the time of the limits, which passes `speed` times as fast."""
        return (self._epoch + self.clock.monotonic()) * self.behaviour.speed

    def _refused(
        self, request: Request, body: bytes | None, headers: dict[str, str]
    ) -> Answer | None:
        """Return the refusal of a wrong key, a missing permission, a large body or the limit."""
        key = self._key(request)
        revoke_after = self.behaviour.revoke_after
        if key is None or (revoke_after is not None and self._requests > revoke_after):
            return refusal(401, "Invalid API key")
        action = _ACTIONS.get(request.method)
        if action is not None and not key.may(action):
            return refusal(403, f"Permission denied: showings:{action}")
        if body is None:
            return refusal(413, "Request body too large")
        if request.method != "GET" and not _is_json(request):
            return refusal(415, "Content-Type must be application/json")
        if request.method == "GET" and self.behaviour.users_me == "free":
            return None
        # This request is in flight already; the limits ask for the others.
        passage = self._gate.ask(self._now(), self._in_flight - 1)
        headers.update(passage.headers)
        return None if passage.passes else refusal(429, "Too many requests")

    def _key(self, request: Request) -> Key | None:
        return Key.of(request.headers.get("authorization", ""), self.behaviour)

    async def _answer(self, request: Request, name: str | None, body: bytes) -> Answer:
        try:
            if request.method == "GET":
                return await self._account(request)
            if request.method == "POST":
                return self._create(body)
            return self._update(name or "", body)
        except KeyTakenError:
            return refusal(409, "Another showing has this unique_showing_key")

    async def _account(self, request: Request) -> Answer:
        if self.behaviour.users_me == "missing":
            return refusal(404, "Not found")
        if self.behaviour.users_me == "slow":
            await self._sleep(_SLOW_SECONDS)
        key = self._key(request)
        assert key is not None  # noqa: S101 - `_refused` has seen to it
        now = self.clock.now()
        calls = self.storage.calls_since(month_start(now).timestamp())
        allowance = self._gate.allowance(self._now())
        return Answer(200, users_me(self.behaviour, key, allowance, calls, now))

    def _update(self, key: str, body: bytes) -> Answer:
        # Clients and proxies resolve dot segments, so they can't address a showing.
        if key in {"", ".", ".."} or ("/" in key and not self._exists(key)):
            return refusal(404, "Showing not found")
        changes = read_body(PatchBody, body)
        if isinstance(changes, str):
            return refusal(422, changes)
        showing = self.storage.find(key)
        if showing is None and self.behaviour.accept_any:
            identity = key if _UUID.fullmatch(key) else None
            named = None if identity else key
            showing = self.storage.create(named, {}, self.clock.now(), identity)
        if showing is None:
            return refusal(404, "Showing not found")
        showing = self.storage.update(showing, _set_fields(changes), self.clock.now())
        content = {"data": _public(showing), "message": "Showing updated successfully"}
        return Answer(200, content, applied=True, showing_id=showing["id"])

    def _exists(self, key: str) -> bool:
        return self.behaviour.accept_any or self.storage.find(key) is not None

    def _create(self, body: bytes) -> Answer:
        wanted = read_body(CreateBody, body)
        if isinstance(wanted, str):
            return refusal(422, wanted)
        data: dict[str, Any] = {
            "event_type": "showing",
            "attendees_count": 1,
            **_set_fields(wanted),
        }
        showing = self.storage.create(data.pop("unique_showing_key", None), data, self.clock.now())
        content = {"data": _public(showing), "message": "Showing created successfully"}
        return Answer(201, content, applied=True, showing_id=showing["id"])

    def _note(self, seq: int, answer: Answer, drawn: Drawn | None) -> None:
        unanswered = drawn is not None and drawn.fault.kind in {"reset", "timeout"}
        self.storage.ended(
            seq,
            status=None if unanswered else answer.status,
            fault=drawn.fault.kind if drawn else None,
            applied=answer.applied,
            showing_id=answer.showing_id,
            ended_at=self.clock.now().timestamp(),
        )

    def _reply(
        self, request: Request, answer: Answer, headers: Mapping[str, str], drawn: Drawn | None
    ) -> Response:
        kind = drawn.fault.kind if drawn else None
        sent = as_sent(answer, kind)
        reply = Response(sent.body, sent.status, {**headers, **sent.headers}, sent.media_type)
        if kind in {"reset", "timeout", "cut"}:
            return Severed(reply, kind, self.connections.get(tuple(request.scope["client"])))
        return reply

    async def _body(self, request: Request) -> bytes | None:
        """Return the body, None when it is larger than `_LARGEST_BODY`."""
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > _LARGEST_BODY:
                return None
        return bytes(body)

    async def _no_such_route(self, _: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        answer = refusal(status, "Method not allowed" if status == 405 else "Not found")
        return Response(json.dumps(answer.content), status, media_type="application/json")

    # The records, for tests and users

    async def _journal(self, request: Request) -> Response:
        after = int(request.query_params.get("after", 0))
        limit = int(request.query_params.get("limit", -1))
        return _json(list(self.storage.journal(after, limit)))

    async def _stats(self, _: Request) -> Response:
        return _json(self.storage.stats() | {"in_flight": self._in_flight})

    async def _showing(self, request: Request) -> Response:
        showing = self.storage.find(unquote(_last_segment(request, b"/_sandbox/showings/")))
        if showing is None:
            return _json(dict(refusal(404, "Showing not found").content), 404)
        return _json(showing)


def _named(request: Request, body: bytes | None) -> str | None:
    """Return the showing of a request: the path's last segment, or the key in a creation's body.

    The segment is decoded from the raw path, where `%2F` is not a slash.
    """
    if request.method == "PATCH":
        return unquote(_last_segment(request, _SHOWINGS))
    if request.method != "POST":
        return None
    try:
        content = json.loads(body or b"")
    except ValueError:
        return None
    key = content.get("unique_showing_key") if isinstance(content, dict) else None
    return key if isinstance(key, str) else None


def _last_segment(request: Request, prefix: bytes) -> str:
    raw: bytes = request.scope["raw_path"]
    return raw.removeprefix(prefix).decode("latin-1")


def _is_json(request: Request) -> bool:
    media_type = request.headers.get("content-type", "").partition(";")[0]
    return media_type.strip().lower() == "application/json"


def _set_fields(body: BaseModel) -> dict[str, Any]:
    return body.model_dump(mode="json", exclude_unset=True)


def _public(showing: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties that the contract has in a reply."""
    names = ("id", "north_id", "showing_date", "feedback", "updated_at")
    return {name: showing[name] for name in names if showing.get(name) is not None}


def _json(content: Any, status: int = 200) -> Response:  # noqa: ANN401 - whatever JSON can hold
    return Response(json.dumps(content, ensure_ascii=False), status, media_type="application/json")
