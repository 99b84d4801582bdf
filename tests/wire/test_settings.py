"""Settings as a user meets them: precedence on a real run, `doctor`, `init`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Program, Sandboxes
from tests.helpers import numbered, raw_server, reply, write_sheet
from tests.unit.test_config import written
from tests.wire.test_columns import write_workbook


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    return write_sheet(tmp_path / "s.csv", numbered(5))


def test_a_file_sets_what_the_command_line_leaves_out(
    program: Program, sandboxes: Sandboxes, sheet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sandboxes() as witness:
        written(
            Path("config/bulk-sync/bulk-sync.toml"),
            f'base-url = "{witness.base_url}"\nlimit = 9\njson = true',
        )
        written(Path("bulk-sync.toml"), "limit = 4")
        assert program("push", sheet).summary["rows"] == 4
        monkeypatch.setenv("BULK_SYNC_LIMIT", "3")
        assert program("push", sheet, "--fresh").summary["rows"] == 3
        assert program("push", sheet, "--fresh", "--limit", "2").summary["rows"] == 2


def test_a_wrong_value_says_where_it_stands(
    program: Program, sheet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(Path("bulk-sync.toml"), 'limit = "many"')
    refused = program("push", sheet)
    assert (refused.code, refused.out) == (2, "")
    assert "--limit is set in bulk-sync.toml" in refused.err
    Path("bulk-sync.toml").unlink()
    monkeypatch.setenv("BULK_SYNC_WORKERS", "0")
    refused = program("push", sheet)
    assert refused.code == 2
    assert "--workers is set in BULK_SYNC_WORKERS" in refused.err
    assert "--workers is set in BULK_SYNC_WORKERS" in program("doctor").err
    monkeypatch.setenv("BULK_SYNC_WORKERS", "3")
    monkeypatch.setenv("BULK_SYNC_RETRY_FOR", "soon")
    for command in (("push", sheet), ("doctor",)):
        refused = program(*command)
        assert (refused.code, refused.out) == (2, "")
        assert "--retry-for is set in BULK_SYNC_RETRY_FOR" in refused.err
    monkeypatch.delenv("BULK_SYNC_RETRY_FOR")
    monkeypatch.setenv("BULK_SYNC_WROKERS", "3")
    assert "did you mean BULK_SYNC_WORKERS?" in program("push", sheet).err
    assert not list(Path().glob("*.sqlite"))


def test_what_is_set_for_all_sheets_refuses_none_that_it_does_not_concern(
    program: Program, sheet: Path
) -> None:
    written(Path("bulk-sync.toml"), 'sheet = "March"\n[map]\n"Client said" = "feedback"')
    assert program("check", sheet).code == 0
    written(Path("p.toml"), 'read = {sheet = "March"}\n[map]\n"Client said" = "feedback"')
    assert program("check", sheet, "--profile", "p.toml").code == 0
    for typed, words in (
        (("--sheet", "March"), "--sheet March"),
        (("--map", "Client said=feedback"), "--map 'Client said'"),
    ):
        refused = program("check", sheet, *typed)
        assert (refused.code, words in refused.err) == (2, True), refused.err


def test_options_about_text_are_refused_for_a_workbook(program: Program) -> None:
    write_workbook(Path("x.xlsx"), [["unique_showing_key", "rating"], ["a", 4]], {})
    for option, value in (("--delimiter", ";"), ("--encoding", "utf-8")):
        refused = program("check", "x.xlsx", option, value)
        assert refused.code == 2
        assert f"{option} {value}: x.xlsx is a workbook" in refused.err


def test_a_folders_file_runs_no_command(program: Program, sheet: Path) -> None:
    file = written(Path("bulk-sync.toml"), 'on-finish = "touch ran"')
    options = ("--base-url", "http://127.0.0.1:9", "--max-attempts", "1")
    refused = program("push", sheet, *options)
    assert (refused.code, refused.out) == (2, "")
    assert "on-finish is not read from the file of the current folder" in refused.err
    assert not Path("ran").exists()
    program("push", sheet, *options, "--config", file)
    assert Path("ran").exists()


def test_doctor_shows_every_value_and_where_it_comes_from(
    program: Program, sandboxes: Sandboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "north_sk_test_00000000000000000000000000a1b2"
    monkeypatch.setenv("NORTH_API_KEY", key)
    monkeypatch.setenv("BULK_SYNC_RATE", "5/s, 1000/h\n9000/d")
    written(Path("config/bulk-sync/bulk-sync.toml"), "retry-for = '1h'")
    with sandboxes() as witness:
        shown = program("doctor", "--base-url", witness.base_url, "--json")
        text = program("doctor", "--base-url", witness.base_url)
    assert (shown.code, text.code) == (0, 0)
    told = json.loads(shown.out)
    assert told["settings"]["key"] == {
        "value": f"set, {len(key)} characters, ends in ...a1b2",
        "from": "NORTH_API_KEY",
    }
    assert told["settings"]["rate"] == {
        "value": "5/s, 1000/h, 9000/d",
        "from": "BULK_SYNC_RATE",
    }
    assert told["settings"]["max-wait"] == {"value": "2h", "from": "default"}
    assert told["settings"]["retry-for"]["from"].endswith("config/bulk-sync/bulk-sync.toml")
    assert told["settings"]["base-url"] == {"value": witness.base_url, "from": "command line"}
    assert told["settings"]["workers"] == {"value": "16", "from": "default"}
    assert {found["standing"] for found in told["findings"]} <= {"well", "notice"}
    assert "accepts the key" in text.out
    assert key not in shown.out + text.out


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (
            reply(401, b'{"error": {"message": "Invalid API key", "status": 401}}'),
            5,
            "the key is refused",
        ),
        (reply(403, b'{"error": {"message": "No"}}'), 5, "the key is refused"),
        (reply(403, b"<html>Access denied</html>"), 6, "blocks requests (403, no content type)"),
        (reply(403, b'{"error": {"message": "Slow down"}}', "Retry-After: 9"), 6, "asks to wait"),
        (reply(407, b"", 'Proxy-Authenticate: Basic realm="office"'), 6, '(realm "office")'),
        (reply(429, b"", "Retry-After: 90"), 6, "asks to wait for 1 min 30 s: run it again"),
        (reply(404, b"nothing here"), 6, "is not from North"),
        (
            reply(404, b'{"error": {"message": "Not found", "status": 404}}'),
            0,
            "has no GET /v1/users/me: the first row of a push shows",
        ),
        (reply(503, b"<html>"), 6, "fails: run it again later"),
        (
            reply(200, b"{}", 'RateLimit-Policy: "a";q=1000;w=3600', 'RateLimit: "a";r=998;t=60'),
            0,
            "allowance: 1,000 requests per hour (stated by the API), 998 left until 20",
        ),
        (
            reply(200, b"{}", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 60"),
            0,
            "allowance: 0 requests left until 20",
        ),
        (reply(302, b"", "Location: /login"), 6, "is not from North"),
        (reply(200, b"{}", "Date: Tue, 03 Mar 2020 10:00:00 GMT"), 0, "ahead of the server's"),
        (reply(200, b"{}", "Date: soon"), 0, "sends no time"),
    ],
)
def test_doctor_says_what_is_wrong_with_the_answer(
    program: Program, answer: bytes, code: int, words: str
) -> None:
    with raw_server(lambda connection, _: connection.sendall(answer)) as base_url:
        examined = program("doctor", "--base-url", base_url)
    assert examined.code == code
    assert words in examined.out


ACCOUNT = {
    "team": {"id": "550e8400-e29b-41d4-a716-446655440000", "name": "Example Realty"},
    "subscription": {"api_usage": {"calls_this_month": 1500, "resets_at": "2024-02-01T00:00:00Z"}},
    "api_key": {"permissions": {"showings": ["read", "update"], "comps": ["read"]}},
    "rate_limit": {"remaining": 985, "resets_at": "2024-01-20T17:00:00Z"},
}


@pytest.mark.parametrize(
    ("parts", "options", "code", "found"),
    [
        (
            {},
            (),
            0,
            {
                "team": ("well", "Example Realty (550e8400-e29b-41d4-a716-446655440000)"),
                "permissions": ("well", "showings: read, update; comps: read"),
                "allowance": ("well", "985 requests left until 2024-01-2"),
                "usage": ("well", "1,500 calls this month, counted until 2024-0"),
            },
        ),
        ({}, ("--team", "example realty"), 0, {"team": ("well", "Example Realty")}),
        ({}, ("--team", "Other Realty"), 5, {"team": ("wrong", "so a push is refused")}),
        (
            {"team": None},
            ("--team", "Other Realty"),
            5,
            {"team": ("wrong", "it can't be checked and a push is refused")},
        ),
        ({"team": None}, (), 0, {"team": ("notice", "GET /v1/users/me does not name it")}),
        (
            {"api_key": {"permissions": {"showings": ["read"]}}},
            (),
            5,
            {"permissions": ("wrong", "showings: read: the key may not update showings")},
        ),
        (
            {"api_key": {"permissions": {"comps": ["read"]}}},
            (),
            0,
            {"permissions": ("well", "comps: read; showings are not among them")},
        ),
        (
            {"api_key": None, "rate_limit": {"remaining": 0}, "subscription": None},
            (),
            0,
            {
                "permissions": ("well", "GET /v1/users/me names none"),
                "allowance": ("notice", "0 requests left"),
            },
        ),
    ],
)
def test_doctor_shows_what_the_api_says_of_the_key(
    program: Program,
    parts: dict[str, object],
    options: tuple[str, ...],
    code: int,
    found: dict[str, tuple[str, str]],
) -> None:
    data = {name: part for name, part in {**ACCOUNT, **parts}.items() if part is not None}
    answer = reply(200, json.dumps({"data": data}).encode())
    with raw_server(lambda connection, _: connection.sendall(answer)) as base_url:
        examined = program("doctor", "--base-url", base_url, "--json", *options)
    assert examined.code == code
    findings = {one["about"]: one for one in json.loads(examined.out)["findings"]}
    for about, (standing, words) in found.items():
        assert findings[about]["standing"] == standing
        assert words in findings[about]["text"]
    assert ("usage" in findings) == ("subscription" not in parts)


def test_doctor_with_create_missing_needs_the_permission_to_create(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BULK_SYNC_CREATE_MISSING", "true")
    answer = reply(200, json.dumps({"data": ACCOUNT}).encode())
    with raw_server(lambda connection, _: connection.sendall(answer)) as base_url:
        examined = program("doctor", "--base-url", base_url)
    assert examined.code == 5
    assert "the key may not create showings" in examined.out


def test_doctor_without_key_api_or_folder(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sheet: Path
) -> None:
    nobody = program("doctor", "--base-url", "http://127.0.0.1:9")
    assert nobody.code == 6
    assert "refuses connections" in nobody.out
    assert program("doctor", "--base-url", "http://api.example.com").code == 2
    monkeypatch.delenv("NORTH_API_KEY")
    assert program("doctor").code == 2
    assert "set NORTH_API_KEY" in program("doctor").out
    key = written(tmp_path / "key", "north_sk_test_00000000000000000000000000a1b2")
    examined = program(
        "doctor", "--key-file", key, "--base-url", "http://127.0.0.1:9", "--out", sheet
    )
    assert f"{sheet}: can't be written" in examined.out


def test_init_writes_what_can_be_taken_and_overwrites_nothing(
    program: Program, sheet: Path
) -> None:
    assert program("init").code == 0
    before = Path("bulk-sync.toml").read_text(encoding="utf-8")
    assert "# timezone = " in before
    assert "# base-url = " not in before
    assert program("check", sheet).code == 0
    again = program("init")
    assert again.code == 2
    assert "exists already" in again.err
    assert Path("bulk-sync.toml").read_text(encoding="utf-8") == before
    assert program("init", "--user").code == 0
    of_user = Path("config/bulk-sync/bulk-sync.toml").read_text(encoding="utf-8")
    assert "# retry-for = " in of_user
    assert "# timezone = " in of_user
