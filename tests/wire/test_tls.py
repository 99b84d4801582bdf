"""TLS and proxies: the key leaves for nobody who can't prove to be the API."""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import SHUT_WR, create_connection, socket

import pytest
import trustme

from bulk_sync.send.transport import choose
from tests.conftest import Program
from tests.faultserver import (
    ACKNOWLEDGED,
    Deed,
    all_good,
    always,
    closes,
    fault_server,
    for_keys,
    good,
    hangs,
    in_turn,
    resets,
    says,
)
from tests.helpers import KEY, numbered, raw_server, read_csv, reply, write_sheet

pytestmark = pytest.mark.usefixtures("transport", "fast_time")

CA = trustme.CA()
DAY = timedelta(days=1)


def serving(cert: trustme.LeafCert, *, chain: bool = True) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    cert.configure_cert(context)
    if not chain:
        with cert.private_key_pem.tempfile() as key, cert.cert_chain_pems[0].tempfile() as alone:
            context.load_cert_chain(alone, key)
    return context


def only(highest: ssl.TLSVersion, ciphers: str) -> ssl.SSLContext:
    context = serving(CA.issue_cert("localhost"))
    context.maximum_version = highest
    context.set_ciphers(ciphers)
    return context


def old(highest: ssl.TLSVersion) -> ssl.SSLContext:
    with pytest.warns(DeprecationWarning, match="TLS"):
        context = only(highest, "ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLS"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    return context


@pytest.fixture(autouse=True)
def _trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    CA.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    return write_sheet(tmp_path / "x.csv", numbered(30))


def issued(*names: str, before: timedelta = -DAY, after: timedelta = DAY) -> trustme.LeafCert:
    now = datetime.now(UTC)
    return CA.issue_cert(*names, not_before=now + before, not_after=now + after)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: serving(issued("localhost", before=-2 * DAY, after=-DAY)),
            "expired, according to this machine's clock",
        ),
        (
            lambda: serving(issued("localhost", before=DAY, after=2 * DAY)),
            "not yet valid, according to this machine's clock",
        ),
        (lambda: serving(CA.issue_cert("api.example.com")), "Hostname mismatch"),
        (lambda: serving(trustme.CA().issue_cert("localhost")), "unable to get local issuer"),
        (
            lambda: serving(CA.create_child_ca().issue_cert("localhost"), chain=False),
            "unable to get local issuer",
        ),
        (lambda: old(ssl.TLSVersion.TLSv1), "no TLS connection to localhost"),
        (lambda: old(ssl.TLSVersion.TLSv1_1), "no TLS connection to localhost"),
        (lambda: only(ssl.TLSVersion.TLSv1_2, "AES128-SHA"), "no TLS connection to localhost"),
    ],
    ids=[
        "expired",
        "not yet",
        "other host",
        "unknown root",
        "half a chain",
        "TLS 1.0",
        "TLS 1.1",
        "no cipher in common",
    ],
)
def test_who_can_not_be_trusted_is_asked_once_and_never_sees_the_key(
    program: Program, sheet: Path, make: Callable[[], ssl.SSLContext], words: str
) -> None:
    with fault_server(all_good, tls=make(), host="localhost") as journal:
        ran = program("push", sheet, "--base-url", journal.base_url, "--json")
        assert journal.requests == []
    assert (ran.code, ran.summary["requests"], ran.summary["states"]["pending"]) == (6, 1, 30)
    assert words in ran.err
    assert ".." not in ran.err


@pytest.mark.parametrize("make", [lambda: CA, CA.create_child_ca], ids=["root", "whole chain"])
def test_who_can_be_trusted_gets_every_row(
    program: Program, sheet: Path, make: Callable[[], trustme.CA]
) -> None:
    with fault_server(
        all_good, tls=serving(make().issue_cert("localhost")), host="localhost"
    ) as journal:
        assert program("push", sheet, "--base-url", journal.base_url).code == 0
    assert sorted(journal.patched) == sorted(key for key, _, _ in numbered(30))


def test_a_server_that_wants_a_certificate_of_ours_is_named(
    program: Program, sheet: Path, tmp_path: Path
) -> None:
    context = serving(CA.issue_cert("localhost"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(tmp_path / "ca.pem")
    with fault_server(all_good, tls=context, host="localhost") as journal:
        ran = program(
            "push", sheet, "--base-url", journal.base_url, "--max-attempts", 1, "--retry-for", "1s"
        )
        assert journal.requests == []
    assert ran.code == 6
    assert "broke" in ran.err


@pytest.mark.parametrize(
    "before",
    [b"", ACKNOWLEDGED[:30], ACKNOWLEDGED[:-20]],
    ids=["at once", "in the head", "in the body"],
)
def test_what_is_no_tls_in_the_middle_of_a_connection_breaks_one_attempt(
    program: Program, sheet: Path, before: bytes
) -> None:
    def tampered(connection: socket) -> None:
        if before:
            connection.sendall(before)
        os.write(
            connection.fileno(), b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        )  # beneath the encryption
        connection.recv(1)

    script = for_keys({"ext_3": in_turn(tampered, good), "ext_5": always(tampered)})
    with fault_server(script, tls=serving(CA.issue_cert("localhost")), host="localhost") as journal:
        ran = program("push", sheet, "--base-url", journal.base_url, "--max-attempts", 2, "--json")
    assert (ran.code, ran.summary["states"]["updated"]) == (3, 29)
    assert (len(journal.of("ext_3")), len(journal.of("ext_5"))) == (2, 2)
    line = next(
        line for line in read_csv(sheet.with_name("x.results.csv")) if line["state"] == "failed"
    )
    assert "broke (WRONG_VERSION_NUMBER)" in line["message"]
    assert "it may have been applied" in line["message"]


@pytest.mark.parametrize("name", ["none", "x.csv", "."])
def test_certificates_that_can_not_be_read_are_named(
    program: Program, sheet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / name))
    ran = program("push", sheet, "--base-url", "https://localhost:9")
    assert ran.code == 2
    assert "SSL_CERT_FILE" in ran.err


# Proxies

through_proxies = pytest.mark.parametrize("transport", ["httpx"], indirect=True)


def pump(source: socket, sink: socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(SHUT_WR)
    except OSError:
        return


def tunnel(to: str, seen: list[bytes]) -> Callable[[socket, bytes], None]:
    """A proxy that leads wherever it is asked to `to`."""

    def answer(connection: socket, request: bytes) -> None:
        seen.append(request)
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with create_connection(("127.0.0.1", int(to.rpartition(":")[2]))) as upstream:
            back = threading.Thread(target=pump, args=(upstream, connection), daemon=True)
            back.start()
            pump(connection, upstream)
            back.join(5)

    return answer


@through_proxies
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_tunnels_and_never_sees_the_key(
    program: Program, sheet: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    asked: list[bytes] = []
    with (
        fault_server(all_good, tls=serving(CA.issue_cert("api.example.com"))) as journal,
        raw_server(tunnel(journal.base_url, asked)) as proxy,
    ):
        monkeypatch.setenv(name, proxy.replace("://", "://me:hunter2@"))
        ran = program("push", sheet, "--base-url", "https://api.example.com", "-v")
    assert ran.code == 0, ran.err
    assert len(journal.patched) == 30
    assert {request.headers["authorization"] for request in journal.requests} == {f"Bearer {KEY}"}
    assert not any("proxy" in header for request in journal.requests for header in request.headers)
    assert asked
    assert all(
        one.startswith(b"CONNECT api.example.com:443 ") and KEY.encode() not in one for one in asked
    )
    assert "hunter2" not in ran.out + ran.err


@through_proxies
@pytest.mark.parametrize(
    ("deed", "words"),
    [
        (says(reply(407, b"", "Proxy-Authenticate: Basic")), "asks for a password (407)"),
        (says(reply(502)), "refused"),
        (closes, "closed the connection without an answer"),
        (resets, "broke"),
        (hangs, "accepted no connection within 0.3 s"),
        (says(b"SSH-2.0\r\n\r\n", then="close"), "sent no well-formed reply"),
        (
            says(b"HTTP/1.1 200 OK\r\n\r\n", then="read and close"),
            "no TLS connection to api.example.com:443 behind the proxy",
        ),
    ],
)
def test_a_proxy_that_fails_is_named_and_nothing_was_applied(
    program: Program, sheet: Path, monkeypatch: pytest.MonkeyPatch, deed: Deed, words: str
) -> None:
    with raw_server(lambda connection, _: deed(connection)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.replace("://", "://me:hunter2@"))
        bounds = ("--timeout", 0.3, "--max-attempts", 1)
        ran = program("push", sheet, "--base-url", "https://api.example.com", *bounds, "--json")
    assert ran.code == 6
    assert ran.summary["states"]["pending"] == 30
    assert words in ran.err
    assert f"the proxy {proxy.removeprefix('http://')}" in ran.err
    assert "may have been applied" not in ran.err
    assert "hunter2" not in ran.err


@through_proxies
@pytest.mark.parametrize(
    ("address", "code", "words"),
    [
        ("http://127.0.0.1:9", 6, "the proxy 127.0.0.1:9 refuses connections"),
        ("http://no-such-proxy.invalid", 6, "the proxy no-such-proxy.invalid:80"),
        ("http://me:hunter2@127.0.0.1:99999", 2, "a proxy that the environment names"),
        ("127.0.0.1:99999", 2, "a proxy that the environment names"),
        ("ftp://me:hunter2@127.0.0.1", 2, "a proxy that the environment names"),
        ("http://[::1", 2, "a proxy that the environment names"),
    ],
)
def test_a_proxy_that_can_not_be_used_is_named(
    program: Program,
    sheet: Path,
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    code: int,
    words: str,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", address)
    ran = program("push", sheet, "--base-url", "https://api.example.com", "--max-attempts", 1)
    assert ran.code == code
    assert words in ran.err
    assert "hunter2" not in ran.err


@through_proxies
def test_a_socks_proxy_needs_a_package(
    program: Program, sheet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5h://me:hunter2@127.0.0.1:9")
    ran = program("push", sheet, "--base-url", "https://api.example.com", "--max-attempts", 1)
    assert (ran.code, "httpx[socks]" in ran.err) == (2, True), ran.err
    assert "hunter2" not in ran.err


@through_proxies
def test_no_proxy_is_heeded(program: Program, sheet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []
    with raw_server(lambda _, request: asked.append(request)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        monkeypatch.setenv("NO_PROXY", "other.example.com,.invalid")
        ran = program("push", sheet, "--base-url", "https://north.invalid", "--max-attempts", 1)
    assert ran.code == 6
    assert "north.invalid:443" in ran.err
    assert asked == []


@pytest.mark.parametrize("transport", ["httptools"], indirect=True)
def test_what_goes_straight_is_not_taken_where_a_proxy_leads(
    program: Program, sheet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    ran = program("push", sheet, "--base-url", "https://api.example.com")
    assert ran.code == 2
    assert "--transport auto" in ran.err
    assert choose.choose_transport("auto", "https://api.example.com") == "httpx"
    assert choose.choose_transport("auto", "http://127.0.0.1:9") == "httptools"
