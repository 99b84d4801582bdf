"""The sandbox keeps the contract, and bears true witness."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from openapi_core import OpenAPI
from openapi_core.testing import MockRequest, MockResponse

from bulk_sync.quantities import Rate
from bulk_sync.sandbox.faults import parse_fault
from tests.conftest import Program, Sandboxes
from tests.helpers import KEY, TOKEN_HEADER, Witness, numbered, sandbox_process, write_sheet

CONTRACT = Path(__file__).parents[1] / "contract" / "north-showings.openapi.yaml"
SAMPLES = Path(__file__).parents[2] / "sample_data"
REPORT = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
JSON = {"Content-Type": "application/json; charset=utf-8"}


@pytest.fixture
def client(sandboxes: Sandboxes) -> Iterator[httpx.Client]:
    with (
        sandboxes() as witness,
        httpx.Client(
            base_url=witness.base_url,
            headers={"Authorization": f"Bearer {KEY}", TOKEN_HEADER: witness.token},
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


def users_me(base_url: str, key: str = KEY) -> httpx.Response:
    return httpx.get(base_url + "/v1/users/me", headers={"Authorization": f"Bearer {key}"})


def assert_as_published(answered: httpx.Response) -> None:
    OpenAPI.from_file_path(str(CONTRACT)).validate_response(
        MockRequest(
            "https://api.northreports.com",
            "get",
            "/v1/users/me",
            headers={"Authorization": f"Bearer {KEY}"},
        ),
        MockResponse(answered.content, answered.status_code, content_type="application/json"),
    )


def published_example() -> Any:
    document = yaml.safe_load(CONTRACT.read_text(encoding="utf-8"))
    replied = document["paths"]["/v1/users/me"]["get"]["responses"]["200"]
    return replied["content"]["application/json"]["example"]["data"]


def test_users_me_has_every_part_of_the_published_example(sandboxes: Sandboxes) -> None:
    with sandboxes(allowances=(Rate(1000, 3600),)) as witness:
        answered = users_me(witness.base_url)
    assert_as_published(answered)
    data, example = answered.json()["data"], published_example()
    assert data.keys() == example.keys()
    for name, part in example.items():
        assert data[name].keys() == part.keys()
    assert KEY not in answered.text


def test_users_me_counts_every_request_that_a_limit_let_through(sandboxes: Sandboxes) -> None:
    began = datetime.now(UTC)
    with sandboxes(
        allowances=(Rate(5, 3600),), window="fixed-from-first", allowance_told=("users-me",)
    ) as witness:
        states = []
        for _ in range(2):
            states.append(users_me(witness.base_url).json()["data"])
            patch(witness, "ext_1", rating=4)
        last = patch(witness, "ext_1", rating=4)
        refused = users_me(witness.base_url)
    calls = [state["subscription"]["api_usage"]["calls_this_month"] for state in states]
    assert calls == [1, 3]
    assert [state["rate_limit"]["remaining"] for state in states] == [4, 2]
    assert (last.status_code, refused.status_code) == (200, 429)
    assert "retry-after" not in refused.headers
    resets_at = datetime.fromisoformat(states[0]["rate_limit"]["resets_at"])
    assert timedelta(hours=1) <= resets_at - began <= timedelta(hours=1, minutes=2)


def patch(witness: Witness, showing: str, key: str = KEY, **fields: object) -> httpx.Response:
    return httpx.patch(
        f"{witness.base_url}/v1/showings/{showing}",
        json=fields,
        headers={"Authorization": f"Bearer {key}"},
    )


def post(witness: Witness, key: str, **fields: object) -> httpx.Response:
    return httpx.post(
        f"{witness.base_url}/v1/showings",
        json={"report_id": REPORT, "unique_showing_key": key, **fields},
        headers={"Authorization": f"Bearer {KEY}"},
    )


def test_windows_are_as_much_shorter_as_time_is_faster(sandboxes: Sandboxes) -> None:
    began = datetime.now(UTC)
    with sandboxes(
        allowances=(Rate(1, 3600),), allowance_told=("users-me", "headers"), speed=60.0
    ) as witness:
        answered = users_me(witness.base_url)
    assert answered.headers["ratelimit-policy"] == '"default";q=1;w=60'
    resets_at = datetime.fromisoformat(answered.json()["data"]["rate_limit"]["resets_at"])
    assert resets_at.second == 0, "aligned to the full minute"
    assert resets_at - began <= timedelta(minutes=2)


def test_the_team_and_its_permissions_are_those_of_the_options(sandboxes: Sandboxes) -> None:
    with sandboxes(
        team="Acme Realty", permissions={"showings": ("read", "update"), "reports": ("read",)}
    ) as witness:
        answered = users_me(witness.base_url)
        patched, posted = patch(witness, "ext_1", rating=4), post(witness, "ext_2")
    assert_as_published(answered)
    data = answered.json()["data"]
    assert data["team"]["name"] == "Acme Realty"
    assert data["api_key"]["permissions"] == {"showings": ["read", "update"], "reports": ["read"]}
    assert (patched.status_code, posted.status_code) == (200, 403)
    assert posted.json() == {
        "error": {"message": "Permission denied: showings:create", "status": 403}
    }


def test_a_key_without_update_may_not_patch(sandboxes: Sandboxes) -> None:
    with sandboxes(permissions={"showings": ("read",)}) as witness:
        refused = patch(witness, "ext_1", rating=4)
    assert refused.status_code == 403
    assert refused.json()["error"]["message"] == "Permission denied: showings:update"


def test_users_me_can_be_missing_odd_or_free(sandboxes: Sandboxes) -> None:
    with sandboxes(users_me="missing") as witness:
        answered = users_me(witness.base_url)
        assert answered.status_code == 404
        assert answered.json()["error"]["status"] == 404
    with sandboxes(users_me="odd") as witness:
        assert "data" not in users_me(witness.base_url).json()
    with sandboxes(
        users_me="free", allowances=(Rate(1, 3600),), window="fixed-from-first"
    ) as witness:
        left = [users_me(witness.base_url).json()["data"]["rate_limit"] for _ in range(2)]
        assert [state["remaining"] for state in left] == [1, 1]
        assert patch(witness, "ext_1", rating=4).status_code == 200
        assert patch(witness, "ext_1", rating=4).status_code == 429
        assert users_me(witness.base_url).json()["data"]["rate_limit"]["remaining"] == 0


@pytest.mark.usefixtures("fast_time")
def test_slow_and_late_replies_come_in_the_end(sandboxes: Sandboxes) -> None:
    late = (parse_fault("100%:late"),)
    with sandboxes(users_me="slow", faults=late, speed=100.0) as witness:
        assert users_me(witness.base_url).status_code == 200
        assert patch(witness, "ext_1", rating=4).status_code == 200
        times = [(entry["ended_at"] - entry["at"]) * 100 for entry in witness.journal()]
    # A timer may fire a millisecond early, which is a tenth of a second at this speed.
    assert times[0] >= 29.5
    assert times[1] >= 9.5


@pytest.mark.parametrize(
    ("kind", "applied", "status"),
    [
        ("error200", False, 200),
        ("block403", False, 403),
        ("queued", True, 202),
        ("swapped", True, 200),
        ("shortened", True, 200),
    ],
)
def test_odd_replies_on_demand(sandboxes: Sandboxes, kind: str, applied: bool, status: int) -> None:
    with sandboxes(faults=(parse_fault(f"100%:{kind}"),)) as witness:
        answered = patch(witness, "ext_1", feedback="Too dark, too loud")
        [entry] = witness.journal()
    assert (answered.status_code, entry["applied"], entry["fault"]) == (status, applied, kind)
    assert "Too dark, too loud" not in answered.text or kind == "swapped"


def test_a_conflict_passes_by_itself(sandboxes: Sandboxes) -> None:
    with sandboxes(faults=(parse_fault("100%:conflict"),)) as witness:
        first, second = (patch(witness, "ext_1", rating=4) for _ in range(2))
        assert (first.status_code, first.headers["retry-after"]) == (409, "1")
        assert second.status_code == 200
        assert witness.showing("ext_1")["rating"] == 4


def test_creations_meet_faults_by_their_key_and_are_counted(sandboxes: Sandboxes) -> None:
    def fates(witness: Witness) -> list[tuple[str, str, bool]]:
        for number in range(40):
            post(witness, f"ext_{number}")
        return [
            (entry["key"], str(entry["fault"]), entry["applied"]) for entry in witness.journal()
        ]

    faults = (parse_fault("20%:503"), parse_fault("20%:garbage"))
    with sandboxes(faults=faults, seed=3) as witness:
        seen = fates(witness)
        stats = witness.get("/_sandbox/stats")
        [entry] = [entry for entry in witness.journal() if entry["key"] == "ext_0"]
        assert entry["method"] == "POST"
        assert (entry["showing_id"] is not None) == entry["applied"]
    with sandboxes(faults=faults, seed=3) as witness:
        assert fates(witness) == seen
    assert {fault for _, fault, _ in seen} == {"None", "503", "garbage"}
    created = sum(applied for _, _, applied in seen)
    assert stats["created"] == stats["showings"] == created < 40


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
    report = {"report_id": REPORT}
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
