"""Run the sandbox in this process, or in a thread of a run."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path

import uvicorn
from msgspec import Struct
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from bulk_sync import signals
from bulk_sync.clock import SystemClock
from bulk_sync.errors import InputError, Interrupted, OutputError
from bulk_sync.model.rows import Problem
from bulk_sync.platforms import why_refused
from bulk_sync.report.problems import message_of
from bulk_sync.run.sheet import open_sheet
from bulk_sync.sandbox.app import NorthApi
from bulk_sync.sandbox.behaviour import Behaviour
from bulk_sync.sandbox.guard import Guard
from bulk_sync.sandbox.severed import Connections
from bulk_sync.sandbox.storage import KeyTakenError, Storage
from bulk_sync.settings.meaning import Meaning
from bulk_sync.settings.reading import Reading

HOST = "127.0.0.1"

# Connections that wait to be accepted; uvicorn's default.
_BACKLOG = 2048


class Running(Struct, frozen=True):
    """A sandbox that listens: its base URL, the number of showings loaded, and the token that its
    records want.
    """

    base_url: str
    showings: int
    token: str


class _Server(uvicorn.Server):
    """A server without handlers of its own: uvicorn raises a signal again when it has ended."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End on the first signal, without waiting for connections on the second."""
        with signals.handed_to(lambda number: self.handle_exit(number, None)):
            yield


def seed_showings(storage: Storage, path: Path, at: datetime) -> int:
    """Load showings from a sheet and return how many.

    Raises InputError with the row that can't be a showing.
    """
    count = 0
    with open_sheet(Reading(input=path), Meaning()) as sheet:
        for checked in sheet.checked_rows():
            number = checked.row.number
            if isinstance(checked, Problem) and checked.code != "nothing_to_send":
                raise InputError(f"--seed {path}: row {number}: {message_of(checked.reasons)}.")
            data = {} if isinstance(checked, Problem) else json.loads(checked.body)
            try:
                storage.create(checked.target, data, at)
            except KeyTakenError:
                raise InputError(
                    f"--seed {path}: row {number}: {checked.target!r} is the key of an earlier row."
                ) from None
            count += 1
    return count


@contextmanager
def _prepared(
    behaviour: Behaviour, *, port: int, database: Path | None, seed: Path | None
) -> Iterator[tuple[uvicorn.Server, socket.socket, Running]]:
    with closing(Storage(database, behaviour.seed)) as storage:
        clock = SystemClock()
        showings = seed_showings(storage, seed, clock.now()) if seed else 0
        api = NorthApi(storage, behaviour, clock)
        token = secrets.token_urlsafe(16)
        with _listen(port) as listener:
            config = uvicorn.Config(
                Guard(api.app(), token),
                http=_tracking(api.connections),
                lifespan="off",
                access_log=False,
                log_level="critical",  # uvicorn logs each connection that a fault aborts
                server_header=False,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=1,
                backlog=_BACKLOG,
            )
            where = f"http://{HOST}:{listener.getsockname()[1]}"
            yield _Server(config), listener, Running(where, showings, token)


def serve(
    behaviour: Behaviour,
    *,
    port: int,
    database: Path | None,
    seed: Path | None,
    on_ready: Callable[[Running], None],
) -> None:
    """Run a sandbox until a signal ends it; call `on_ready` once it listens."""
    with _prepared(behaviour, port=port, database=database, seed=seed) as (
        server,
        listener,
        running,
    ):
        on_ready(running)
        # Here a signal is the normal end.
        with suppress(Interrupted, KeyboardInterrupt), signals.held():
            server.run(sockets=[listener])


@contextmanager
def in_thread(behaviour: Behaviour, *, seed: Path | None = None) -> Iterator[Running]:
    """Run a sandbox in a thread, with its storage in memory, while the block runs."""
    with _prepared(behaviour, port=0, database=None, seed=seed) as (server, listener, running):
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield running
        finally:
            server.should_exit = True
            thread.join()


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        # Connections queue up from here on, so a client need not wait for uvicorn's loop.
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise OutputError(
            f"--port {port}: can't listen on {HOST}: {why_refused(error)}. "
            "Choose another port, or 0 for a free one."
        ) from None
    return listener


def _tracking(connections: Connections) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol with a register of its connections.

    ASGI has no way to reset a connection, and a fault does that.
    """

    class Tracking(AutoHTTPProtocol):  # type: ignore[misc,valid-type]
        def connection_made(self, transport: asyncio.Transport) -> None:
            self._client = tuple(transport.get_extra_info("peername"))
            connections[self._client] = transport
            super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            connections.pop(self._client, None)
            super().connection_lost(exc)

    return Tracking
