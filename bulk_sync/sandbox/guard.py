"""Lets only programs of this machine's user reach a sandbox, not the pages of a browser.

Invariants:

1. A request for another host than this machine by name (`HOSTS`) and port is refused with 421, also
   when its name leads here (DNS rebinding). So is one without a Host (RFC 9110, section 7.2).
2. A request that a browser marks as another origin's is refused with 403 (Fetch Standard, "Origin
   header"; Fetch Metadata, `Sec-Fetch-Site`), and no reply allows one (no CORS headers).
3. The records under `/_sandbox/` are given only for the token of the run, which is compared in
   constant time.
"""

from __future__ import annotations

import hmac
import json
from urllib.parse import parse_qs

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bulk_sync.sandbox.replies import refusal

HOSTS = ("127.0.0.1", "localhost", "[::1]")

TOKEN_HEADER = "X-Sandbox-Token"  # noqa: S105 - the name of a header
"""The header that carries the token; a `token` in the query does as well."""

_NO_TOKEN = (
    "The records are for whoever started the sandbox: add the token that it printed, as ?token=... "
    f"or in the header {TOKEN_HEADER}"
)


class Guard:
    """An ASGI application that passes on to another one what is allowed."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        refused = self._refused(scope) if scope["type"] == "http" else None
        if refused is None:
            await self._app(scope, receive, send)
            return
        status, why = refused
        body = json.dumps(refusal(status, why).content)
        await Response(body, status, media_type="application/json")(scope, receive, send)

    def _refused(self, scope: Scope) -> tuple[int, str] | None:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        port = scope["server"][1]
        own = {f"{host}:{port}" for host in HOSTS} | (set(HOSTS) if port == 80 else set())
        hosts = [value.decode("latin-1").lower() for name, value in headers if name == b"host"]
        if len(hosts) != 1 or hosts[0] not in own:
            return (
                421,
                f"This is a sandbox on one machine: address it as http://127.0.0.1:{port}",
            )
        if any(_is_foreign(name, value, own) for name, value in headers):
            return 403, "A sandbox serves programs, not pages of other origins"
        if scope["path"].startswith("/_sandbox") and not self._has_token(scope, headers):
            return 401, _NO_TOKEN
        return None

    def _has_token(self, scope: Scope, headers: list[tuple[bytes, bytes]]) -> bool:
        wanted = TOKEN_HEADER.lower().encode()
        given = [value for name, value in headers if name == wanted]
        # As text of any byte: of bytes, parse_qs takes and gives ASCII only.
        query = parse_qs(scope["query_string"].decode("latin-1"), errors="replace")
        given += [one.encode() for one in query.get("token", [])]
        return any(hmac.compare_digest(one, self._token) for one in given)


def _is_foreign(name: bytes, value: bytes, own: set[str]) -> bool:
    """True for a header of a browser whose page is not the sandbox's own."""
    if name == b"origin":
        return value.decode("latin-1").lower().removeprefix("http://") not in own
    return name == b"sec-fetch-site" and value not in {b"same-origin", b"none"}
