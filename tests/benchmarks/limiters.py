"""Limiters that nobody here wrote, in front of a sandbox: nginx and HAProxy, where installed."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.helpers import poll

# limit_req with nodelay: an even stream, and a burst beyond it that passes at once.
_NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/errors;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    limit_req_zone $http_authorization zone=key:1m rate={rate}r/s;
    limit_req_status {status};
    upstream sandbox {{ server 127.0.0.1:{sandbox}; keepalive 32; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            limit_req zone=key burst={burst} nodelay;
            proxy_pass http://sandbox; proxy_http_version 1.1; proxy_set_header Connection "";
        }}
    }}
}}
"""

# A stick table's http_req_rate: a sliding counter.
_HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend limited
    bind 127.0.0.1:{port}
    stick-table type string len 80 size 1k expire 2m store http_req_rate({window}s)
    http-request track-sc0 req.hdr(authorization)
    http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt {requests} }}
    default_backend sandbox
backend sandbox
    server sandbox 127.0.0.1:{sandbox}
"""


@contextmanager
def nginx(base_url: str, *, rate: int, burst: int, status: int) -> Iterator[str]:
    """Yield the address of nginx in front of a sandbox."""
    with _in_front(base_url, ("nginx", "-c"), _NGINX, rate=rate, burst=burst, status=status) as url:
        yield url


@contextmanager
def haproxy(base_url: str, *, requests: int, window: int) -> Iterator[str]:
    """Yield the address of HAProxy in front of a sandbox."""
    with _in_front(base_url, ("haproxy", "-f"), _HAPROXY, requests=requests, window=window) as url:
        yield url


def is_installed(program: str) -> bool:
    """Return whether a limiter is on the path."""
    return shutil.which(program) is not None


@contextmanager
def _in_front(
    base_url: str, program: Sequence[str], template: str, **words: object
) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        file = Path(folder) / "limiter.conf"
        behind = base_url.rpartition(":")[2]
        file.write_text(template.format(folder=folder, port=port, sandbox=behind, **words))
        limiter = subprocess.Popen(
            [*program, str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            poll(lambda: _listens(port), within=5.0)
            yield f"http://127.0.0.1:{port}"
        finally:
            limiter.terminate()
            limiter.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
