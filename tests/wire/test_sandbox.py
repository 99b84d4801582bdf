"""The sandbox keeps the contract, and bears true witness."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from openapi_core import OpenAPI
from openapi_core.testing import MockRequest, MockResponse

from bulk_sync.quantities import Rate
from bulk_sync.sandbox.faults import parse_fault
from tests.conftest import Program, Sandboxes
from tests.helpers import KEY, Witness, numbered, sandbox_process, write_sheet

CONTRACT = Path(__file__).parents[1] / "contract" / "north-showings.openapi.yaml"
SAMPLES = Path(__file__).parents[2] / "sample_data"
JSON = {"Content-Type": "application/json; charset=utf-8"}


@pytest.fixture
def client(sandboxes: Sandboxes) -> Iterator[httpx.Client]:
    with (
        sandboxes() as witness,
        httpx.Client(
            base_url=witness.base_url, headers={"Authorization": f"Bearer {KEY}"}
        ) as client,
    ):
        yield client


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"{",
        b"\xff",
        b'{"unknown": 1}',
        b'{"rating": 6}',
        b'{"rating": 0}',
        b'{"rating": "4"}',
        b'{"rating": 4.5}',
        b'{"rating": true}',
        b'{"rating": null}',
        b'{"feedback": 5}',
        b'{"feedback": null}',
        b'{"interested": "true"}',
        b'{"event_type": "party"}',
        b'{"attendee_email": "nobody"}',
        b'{"showing_date": "2026-03-02"}',
        b'{"showing_date": "2026-02-30T10:00:00Z"}',
        b'{"showing_date": "2026-03-02T10:00:00"}',
        b'{"showing_date": 1772445600}',
    ],
)
def test_what_the_schema_forbids_is_a_422_in_the_apis_words(
    client: httpx.Client, body: bytes
) -> None:
    answered = client.patch("/v1/showings/ext_1", content=body, headers=JSON)
    assert answered.status_code == 422
    assert answered.json()["error"]["status"] == 422
    assert answered.json()["error"]["message"]
    assert client.get("/_sandbox/showings/ext_1").status_code == 404


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/json"}])
def test_a_body_that_is_not_declared_as_json_is_a_415(
    client: httpx.Client, headers: dict[str, str]
) -> None:
    body = b'{"rating": 4}'
    answered = client.patch("/v1/showings/ext_1", content=body, headers=headers)
    assert answered.status_code == 415
    assert client.get("/_sandbox/showings/ext_1").status_code == 404


def test_the_team_of_the_key_is_an_object_as_in_the_contract(client: httpx.Client) -> None:
    document = OpenAPI.from_file_path(str(CONTRACT))
    answered = client.get("/v1/users/me")
    document.validate_response(
        MockRequest(
            "https://api.northreports.com",
            "get",
            "/v1/users/me",
            headers={"Authorization": f"Bearer {KEY}"},
        ),
        MockResponse(answered.content, answered.status_code, content_type="application/json"),
    )
    assert answered.json()["data"]["team"]["name"]


def test_a_patch_changes_what_it_names_and_answers_as_the_contract_shows(
    client: httpx.Client,
) -> None:
    client.patch("/v1/showings/ext_1", json={"feedback": "Fine", "rating": 4})
    answered = client.patch(
        "/v1/showings/ext_1", json={"showing_date": "2026-03-02T10:00:00.5+01:00"}
    )
    assert answered.status_code == 200
    data = answered.json()["data"]
    assert set(data) == {"id", "north_id", "showing_date", "feedback", "updated_at"}
    assert data["id"] == data["north_id"]
    assert (data["feedback"], data["showing_date"]) == ("Fine", "2026-03-02T10:00:00.5+01:00")
    by_id = client.patch(f"/v1/showings/{data['id']}", json={"rating": 5}).json()["data"]
    assert by_id["id"] == data["id"]
    assert client.get("/_sandbox/showings/ext_1").json()["rating"] == 5


def test_keys_and_permissions(client: httpx.Client) -> None:
    for value in ("", "Bearer", f"bearer {KEY}", "Bearer sk_123", f"Basic {KEY}"):
        answered = client.get("/v1/users/me", headers={"Authorization": value})
        assert answered.status_code == 401
        assert answered.json() == {"error": {"message": "Invalid API key", "status": 401}}
    readonly = {"Authorization": "Bearer north_sk_test_readonly"}
    assert client.get("/v1/users/me", headers=readonly).status_code == 200
    refused = client.patch("/v1/showings/ext_1", json={"rating": 4}, headers=readonly)
    assert refused.status_code == 403
    assert refused.json()["error"]["message"].startswith("Permission denied")


def test_create_and_conflict(client: httpx.Client) -> None:
    report = {"report_id": "3c90c3cc-0d44-4b50-8888-8dd25736052a"}
    created = client.post(
        "/v1/showings", json={**report, "unique_showing_key": "ext_1", "feedback": "Fine"}
    )
    assert created.status_code == 201
    assert client.get("/_sandbox/showings/ext_1").json()["attendees_count"] == 1
    assert (
        client.post("/v1/showings", json={**report, "unique_showing_key": "ext_1"}).status_code
        == 409
    )
    assert client.post("/v1/showings", json={"feedback": "Fine"}).status_code == 422
    assert client.post("/v1/showings", json={"report_id": "x"}).status_code == 422
    client.patch("/v1/showings/ext_2", json={"rating": 1})
    assert (
        client.patch("/v1/showings/ext_2", json={"unique_showing_key": "ext_1"}).status_code == 409
    )


def test_other_routes_answer_with_the_apis_error_body(client: httpx.Client) -> None:
    assert client.get("/v1/nothing").json() == {"error": {"message": "Not found", "status": 404}}
    assert client.get("/v1/showings/ext_1").json()["error"]["status"] == 405
    assert client.patch("/v1/showings/", json={"rating": 1}).status_code == 404
    assert client.patch("/v1/showings/x", content=b" " * (2 << 20)).status_code == 413


def test_an_unknown_key_is_404_unless_any_is_accepted(sandboxes: Sandboxes) -> None:
    with sandboxes(accept_any=False) as witness:
        answered = httpx.patch(
            witness.base_url + "/v1/showings/x",
            json={"rating": 1},
            headers={"Authorization": f"Bearer {KEY}"},
        )
    assert answered.status_code == 404


def test_limits_answer_429_with_the_headers_asked_for(sandboxes: Sandboxes) -> None:
    with sandboxes(
        limit=Rate(2, 60), limit_style="fixed-window", limit_headers="ratelimit"
    ) as witness:
        answers = [
            httpx.get(witness.base_url + "/v1/users/me", headers={"Authorization": f"Bearer {KEY}"})
            for _ in range(6)
        ]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) >= 2
    assert int(refused[0].headers["retry-after"]) > 0
    assert answers[0].headers["ratelimit-policy"] == '"default";q=2;w=60'


def test_the_journal_pages_and_counts(client: httpx.Client) -> None:
    for number in range(5):
        client.patch(f"/v1/showings/ext_{number}", json={"rating": number})
    page = client.get("/_sandbox/journal", params={"after": 2, "limit": 2}).json()
    assert [(entry["seq"], entry["key"], entry["status"]) for entry in page] == [
        (3, "ext_2", 200),
        (4, "ext_3", 200),
    ]
    stats = client.get("/_sandbox/stats").json()
    assert (stats["requests"], stats["keys"], stats["applied"], stats["showings"]) == (5, 5, 4, 4)
    assert stats["answers"] == {"200": 4, "422": 1}


@pytest.mark.slow  # two sandboxes in processes of their own
def test_a_database_file_outlives_the_sandbox_and_seeds_load(tmp_path: Path) -> None:
    database = tmp_path / "north.sqlite"
    with sandbox_process(
        "--db", database, "--seed", SAMPLES / "sample-north-export.csv"
    ) as witness:
        identity = witness.showing("ext_10001")["id"]
        assert witness.get("/_sandbox/stats")["showings"] == 206
    with sandbox_process("--db", database) as witness:
        assert witness.showing("ext_10001")["id"] == identity


def test_a_seed_that_cannot_be_loaded_is_named(program: Program, tmp_path: Path) -> None:
    bad = write_sheet(tmp_path / "bad.csv", [("ext_1", "", 9)])
    twice = write_sheet(tmp_path / "twice.csv", [("ext_1", "", 1), ("ext_1", "", 1)])
    for path, words in (
        (bad, "row 2: rating"),
        (twice, "row 3: 'ext_1' is the key of an earlier row"),
    ):
        ran = program("sandbox", "--port", 0, "--seed", path)
        assert ran.code == 4
        assert words in ran.err


def test_a_port_in_use_is_said(program: Program, sandboxes: Sandboxes) -> None:
    with sandboxes() as witness:
        ran = program("sandbox", "--port", witness.base_url.rpartition(":")[2])
    assert ran.code == 8
    assert "can't listen" in ran.err


@pytest.mark.slow  # a sandbox in a process of its own
@pytest.mark.usefixtures("fast_time")
def test_the_same_seed_gives_the_same_faults_whatever_the_order(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(80))

    def fates(witness: Witness, workers: int) -> list[tuple[str, str]]:
        push = ("push", sheet, "--base-url", witness.base_url, "--fresh")
        ran = program(*push, "--workers", workers)
        assert ran.code == 0, ran
        return sorted((entry["key"], str(entry["fault"])) for entry in witness.patches())

    faults = ("--fault", "10%:503", "--fault", "5%:cut", "--seed-random", 5)
    with sandbox_process("--accept-any", *faults) as witness:
        by_three = fates(witness, 3)
    with sandboxes(faults=(parse_fault("10%:503"), parse_fault("5%:cut")), seed=5) as witness:
        by_sixteen = fates(witness, 16)
    assert by_three == by_sixteen
    assert any(fault == "cut" for _, fault in by_three)


def test_json_of_the_journal_is_plain(client: httpx.Client) -> None:
    client.patch("/v1/showings/" + "a%2Fb", content=b'{"feedback": "\xc3\xa9"}', headers=JSON)
    entry = json.loads(client.get("/_sandbox/journal").text)[0]
    assert (entry["path"], entry["key"], entry["body"]) == (
        "/v1/showings/a%2Fb",
        "a/b",
        '{"feedback": "é"}',
    )
