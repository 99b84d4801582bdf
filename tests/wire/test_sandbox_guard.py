"""A sandbox serves programs of this machine's user, not the pages of a browser."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import Program, Sandboxes
from tests.helpers import KEY, TOKEN_HEADER, Witness, sandbox_process

PATCH = "/v1/showings/ext_1"
RECORDS = ("/_sandbox/journal", "/_sandbox/stats", "/_sandbox/showings/ext_1")


@pytest.fixture
def witness(sandboxes: Sandboxes) -> Iterator[Witness]:
    with sandboxes() as witness:
        yield witness


def patch(witness: Witness, headers: dict[str, str]) -> int:
    headers = {"Authorization": f"Bearer {KEY}"} | headers
    return httpx.patch(witness.base_url + PATCH, headers=headers, json={"rating": 4}).status_code


def port(witness: Witness) -> str:
    return witness.base_url.rpartition(":")[2]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_this_machine_may_be_named_in_any_way(witness: Witness, host: str) -> None:
    assert patch(witness, {"Host": f"{host}:{port(witness)}"}) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example.com:PORT", "127.0.0.1.example.com:PORT", "localhost.:PORT", "0.0.0.0:PORT",
        "127.0.0.1", "localhost:1", "127.0.0.1:PORT,evil.example.com", "user@127.0.0.1:PORT", "",
    ],
)  # fmt: skip
def test_another_host_is_refused_wherever_its_name_leads(witness: Witness, host: str) -> None:
    assert patch(witness, {"Host": host.replace("PORT", port(witness))}) == 421
    assert witness.journal() == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example.com"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1:PORT"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_another_origin_can_send_nothing(
    witness: Witness, headers: dict[str, str]
) -> None:
    sent = {name: value.replace("PORT", port(witness)) for name, value in headers.items()}
    assert patch(witness, sent) == 403
    preflight = httpx.options(
        witness.base_url + PATCH, headers={"Access-Control-Request-Method": "PATCH"} | sent
    )
    assert preflight.status_code == 403
    form = httpx.post(witness.base_url + "/v1/showings", data={"a": "b"}, headers=sent)
    assert form.status_code == 403
    for seen in (preflight, form):
        assert not [name for name in seen.headers if name.startswith("access-control")]
    assert witness.journal() == []


@pytest.mark.parametrize("path", RECORDS)
def test_the_records_want_the_token_of_the_run(witness: Witness, path: str) -> None:
    assert patch(witness, {}) == 200
    key = {"Authorization": f"Bearer {KEY}"}

    def status(headers: dict[str, str] | None = None, query: str = "") -> int:
        found = httpx.get(witness.base_url + path + query, headers=key | (headers or {}))
        return found.status_code

    assert status() == status(query="?token=") == status(query="?token=wrong") == 401
    assert status(query="?token=%ff%C3%A9") == status(query="?%ff=&token=%ed%a0%80") == 401
    assert status({TOKEN_HEADER: witness.token[:-1]}) == status({TOKEN_HEADER: ""}) == 401
    assert status({TOKEN_HEADER: witness.token}) == status(query=f"?token={witness.token}") == 200


def test_each_run_has_a_token_of_its_own_and_a_private_file(tmp_path: Path) -> None:
    database = tmp_path / "north.db"
    with sandbox_process("--accept-any", "--db", database) as first:
        assert first.journal() == []
    with sandbox_process("--accept-any", "--db", database) as second:
        assert second.journal() == []
    assert first.token != second.token
    assert stat.S_IMODE(database.stat().st_mode) == 0o600


@pytest.mark.parametrize("option", ["--host", "--bind"])
def test_it_listens_on_no_other_address(program: Program, option: str) -> None:
    ran = program("sandbox", option, "0.0.0.0")  # noqa: S104 - refused
    assert ran.code == 2
    assert "listens on 127.0.0.1 only" in ran.err
