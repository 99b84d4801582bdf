"""The servers that benchmarks send to: nginx, and a small one that notes when it is asked."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from bulk_sync.clock import SystemClock

ECHO = Path("/usr/lib/nginx/modules/ngx_http_echo_module.so")  # Debian: libnginx-mod-http-echo

REPLY = json.dumps(
    {
        "data": {
            "id": "3c90c3cc-0d44-4b50-8888-8dd25736052a",
            "north_id": "3c90c3cc-0d44-4b50-8888-8dd25736052a",
            "showing_date": "2023-11-07T05:31:56Z",
            "feedback": "Loved the light",
            "updated_at": "2023-11-07T05:31:56Z",
        },
        "message": "Showing updated successfully",
    }
)
"""The example of the contract."""

OWN_IDS = REPLY.replace("3c90c3cc-0d44-4b50-8888-8dd25736052a", "$request_id")
"""The same with an id for each showing: nginx makes one for each request."""

NGINX = """
{modules}
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 100000000; default_type application/json;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; location / {{ {answer} }} }}
}}
"""


def find_tool(name: str) -> str:
    """The path of a program, or its name where it is not installed."""
    return shutil.which(name) or name


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def static_server(
    folder: Path, reply: str = OWN_IDS, port: int = 0, latency_seconds: float | None = None
) -> Iterator[str]:
    """Run nginx that acknowledges everything, at once or after `latency_seconds` (module echo)."""
    port = port or free_port()
    modules, answer = "", f"return 200 '{reply}';"
    if latency_seconds is not None:
        modules, answer = f"load_module {ECHO};", f"echo_sleep {latency_seconds}; echo '{reply}';"
    config = folder / "nginx.conf"
    config.write_text(
        NGINX.format(folder=folder, port=port, modules=modules, answer=answer), encoding="utf-8"
    )
    server = subprocess.Popen([find_tool("nginx"), "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        _until_it_listens(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


def _until_it_listens(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        Event().wait(0.05)
    raise SystemExit(f"no server on port {port}")


class _Answering(asyncio.Protocol):
    """Answers each request with one status; needs a Content-Length where there is a body."""

    def __init__(self, status: str, asked: list[float]) -> None:
        self._reply = (
            f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(REPLY)}\r\n\r\n{REPLY}"
        ).encode()
        self._asked = asked
        self._data = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while b"\r\n\r\n" in self._data:
            head, rest = self._data.split(b"\r\n\r\n", 1)
            length = next(
                (
                    int(line[15:])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length:")
                ),
                0,
            )
            if len(rest) < length:
                return
            self._data = rest[length:]
            self._asked.append(SystemClock().monotonic())
            self._answer()

    def _answer(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._reply)


@contextmanager
def small_server(status: str, port: int = 0) -> Iterator[tuple[str, list[float]]]:
    """Run a server in a thread; yield its URL and the monotonic times of its requests."""
    asked: list[float] = []
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(
        loop.create_server(lambda: _Answering(status, asked), "127.0.0.1", port)
    )
    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        server.close()
        loop.close()
