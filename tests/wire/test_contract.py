"""Every request that is sent is one that the OpenAPI document allows, says a validator that knows
no model of ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from openapi_core import OpenAPI
from openapi_core.testing import MockRequest

from bulk_sync.sandbox.faults import Fault
from tests.conftest import Program, Sandboxes
from tests.helpers import KEY, write_sheet

CONTRACT = Path(__file__).parents[1] / "contract" / "north-showings.openapi.yaml"
SAMPLES = Path(__file__).parents[2] / "sample_data"


def validate(entries: list[dict[str, Any]]) -> None:
    document = OpenAPI.from_file_path(str(CONTRACT))
    for entry in entries:
        request = MockRequest(
            "https://api.northreports.com",
            entry["method"].lower(),
            "/v1/showings/" + entry["key"].replace("/", "_") if entry["key"] else entry["path"],
            headers={"Authorization": f"Bearer {KEY}"},
            data=entry["body"].encode(),
            content_type=entry["content_type"] or "application/json",
        )
        document.validate_request(request)
        assert unquote(entry["path"].rpartition("/")[2]) == entry["key"]


@pytest.mark.usefixtures("fast_time")
def test_the_samples(program: Program, sandboxes: Sandboxes, tmp_path: Path) -> None:
    with sandboxes(faults=(Fault(0.05, "503"),)) as witness:
        ran = program(
            "push",
            SAMPLES / "sample-showings.csv",
            "--base-url",
            witness.base_url,
            "--out",
            tmp_path,
        )
        journal = witness.patches()
    assert ran.code == 0
    assert len(journal) > 200
    validate(journal)


@pytest.mark.parametrize("name", ["messy-showings.csv", "messy-showings.xlsx"])
@pytest.mark.parametrize("policy", ["error", "last", "merge"])
def test_the_messy_samples(
    program: Program, sandboxes: Sandboxes, tmp_path: Path, name: str, policy: str
) -> None:
    told = (
        "--date-order",
        "mdy",
        "--timezone",
        "America/Chicago",
        "--default-time",
        "9:00",
        "--on-duplicate",
        policy,
    )
    with sandboxes() as witness:
        ran = program(
            "push", SAMPLES / name, *told, "--base-url", witness.base_url, "--out", tmp_path
        )
        journal = witness.patches()
    assert ran.code == 3
    assert len(journal) > 40
    validate(journal)


def test_every_field_and_awkward_text(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    moment = "2026-03-02 10:00-06:00"
    keys = [
        "ext_1",
        "a/b",
        "é ü",
        "%2e%2e",
        "?x#y",
        "00123",
        "...",
        ";:@&=+$,",
        "\\",
        "😀",
    ]
    texts = [
        "=1+1",
        'a "quoted"\nline',
        "a\ufeffb\u200b",
        "null",
        "0",
        "\x7f\x1b[31m",
        "<script>",
        "𝕏" * 200,
    ]
    same: dict[str, object] = {
        "showing_date": moment,
        "scheduled_date": moment,
        "showing_time_start": moment,
        "showing_time_end": moment,
        "attendee_email": "a@example.com",
        "attendee_phone": "+1 312 555 0100",
        "rating": 5,
        "interested": "FALSE",
        "event_type": "showing",
        "attendees_count": 0,
    }
    named = ("attendee_name", "agent_name", "feedback", "title")
    header = ["unique_showing_key", *named, *same]
    rows = [[key, *[text] * 4, *same.values()] for key, text in zip(keys, texts * 2, strict=False)]
    sheet = write_sheet(tmp_path / "x.csv", rows, header)
    with sandboxes() as witness:
        ran = program("push", sheet, "--base-url", witness.base_url)
        journal = witness.patches()
    assert ran.code == 0, ran
    assert sorted(entry["key"] for entry in journal) == sorted(keys)
    validate(journal)
