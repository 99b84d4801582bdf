"""APIs of many teams in one process: sandboxes on ports of their own, each with its team's key.

`python -m tests.benchmarks.agency_servers` reads their descriptions as JSON from standard input and
prints where they listen. A team's API takes that team's key only. It notes every other key, and may
refuse its own one, or be down for a while after some requests.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn
from msgspec import Struct
from msgspec import json as msgspec_json
from msgspec.structs import asdict
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bulk_sync.clock import SystemClock
from bulk_sync.sandbox.app import NorthApi
from bulk_sync.sandbox.behaviour import Behaviour
from bulk_sync.sandbox.guard import Guard
from bulk_sync.sandbox.server import _listen
from bulk_sync.sandbox.storage import Storage
from bulk_sync.settings.composed import part
from tests.helpers import Witness

TOKEN = "agency"

_DOWN = Response("<html>Service Unavailable</html>", 503, media_type="text/html")


class Api(Struct, frozen=True):
    """A team's API: `sandbox` are the sandbox's options as they are typed, by keyword.

    It is down from its `down_after`th request on, for `down_seconds`.
    """

    team: str
    key: str
    sandbox: dict[str, Any]
    refuses: bool = False
    down_after: int | None = None
    down_seconds: float = 0.0


class Seen(Struct):
    """The requests that did not reach a team's sandbox, and all of them."""

    requests: int = 0
    of_other_keys: int = 0
    refused: int = 0
    while_down: int = 0


class TeamsApi:
    """An ASGI application that stands before a team's sandbox."""

    def __init__(self, api: Api, clock: SystemClock) -> None:
        behaviour = part(Behaviour, {"team": api.team, "accept_any": True, **api.sandbox})
        self._app: ASGIApp = Guard(NorthApi(Storage(None, 0), behaviour).app(), TOKEN)
        self.team = api.team
        self._api = api
        self._clock = clock
        self._down_until: float | None = None
        self.seen = Seen()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        own = None if scope["path"].startswith("/_sandbox") else self._own_answer(scope)
        await (self._app if own is None else own)(scope, receive, send)

    def _own_answer(self, scope: Scope) -> Response | None:
        self.seen.requests += 1
        given = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        if given != f"Bearer {self._api.key}":
            self.seen.of_other_keys += 1
        if given != f"Bearer {self._api.key}" or self._api.refuses:
            self.seen.refused += 1
            error = {"message": "Invalid API key", "status": 401}
            return JSONResponse({"error": error}, 401)
        if self._is_down():
            self.seen.while_down += 1
            return _DOWN
        return None

    def _is_down(self) -> bool:
        after = self._api.down_after
        if after is None or self.seen.requests <= after:
            return False
        if self._down_until is None:
            self._down_until = self._clock.monotonic() + self._api.down_seconds
        return self._clock.monotonic() < self._down_until


class ByPort:
    """An ASGI application that passes a request to the one of its port."""

    def __init__(self, apps: dict[int, TeamsApi]) -> None:
        self._apps = apps

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request; `/_sandbox/seen` is what all teams of this process saw."""
        if scope["path"] == "/_sandbox/seen":
            seen = {app.team: asdict(app.seen) for app in self._apps.values()}
            await JSONResponse(seen)(scope, receive, send)
            return
        await self._apps[scope["server"][1]](scope, receive, send)


def serve(apis: Sequence[Api]) -> None:
    """Serve the APIs until this process is ended; print their base URLs as JSON first."""
    clock = SystemClock()
    listeners = [_listen(0) for _ in apis]
    ports = [listener.getsockname()[1] for listener in listeners]
    by_port = ByPort({port: TeamsApi(api, clock) for port, api in zip(ports, apis, strict=True)})
    print(json.dumps([f"http://127.0.0.1:{port}" for port in ports]), flush=True)
    config = uvicorn.Config(
        by_port, lifespan="off", access_log=False, log_level="critical", timeout_keep_alive=75
    )
    uvicorn.Server(config).run(sockets=listeners)


@contextmanager
def serving(apis: Sequence[Api]) -> Iterator[list[Witness]]:
    """Serve the APIs in a process of its own; yield their witnesses."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.agency_servers"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(msgspec_json.encode(list(apis)))
            process.stdin.close()
            urls: list[str] = json.loads(process.stdout.readline())
            yield [Witness(url, TOKEN) for url in urls]
        finally:
            process.kill()


if __name__ == "__main__":
    serve(msgspec_json.decode(sys.stdin.buffer.read(), type=list[Api]))
