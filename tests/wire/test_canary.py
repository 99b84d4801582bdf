"""No trace, log, hint or error shows a secret or a cell, whatever fails."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from bulk_sync.check.rows import Checker
from bulk_sync.cli import bugs
from bulk_sync.job.staged import StagedRows
from bulk_sync.read.delimited import DelimitedTable
from bulk_sync.report.written import failed
from bulk_sync.send.outcomes import Outcomes
from tests.conftest import Program
from tests.faultserver import Deed, Request, all_good, fault_server, good, says
from tests.helpers import KEY, Ran, numbered, reply, write_sheet

pytestmark = pytest.mark.uncovered

CELL = "canarycell"
TOKEN = "hook_t0ken_c4n4ry"
PASSWORD = "pr0xypass"


def found_in(secret: str, folder: Path, *ran: Ran, besides: tuple[str, ...] = ()) -> list[str]:
    """Return where a secret is found: streams, and files but those whose names begin so."""
    streams = [
        name
        for end in ran
        for name, text in (("stdout", end.out), ("stderr", end.err))
        if secret in text
    ]
    files = (path for path in folder.rglob("*") if path.is_file())
    return streams + [
        path.name
        for path in files
        if not path.name.startswith(besides) and secret.encode() in path.read_bytes()
    ]


def raising(*values: object, **more: object) -> Any:
    raise ValueError(f"{values!r} {more!r} {CELL} {KEY}")


FAULTS: dict[str, tuple[object, str]] = {
    "read": (DelimitedTable, "_records"),
    "check": (Checker, "check"),
    "stage": (StagedRows, "_insert"),
    "send": (Outcomes, "add"),
    "report": (failed, "_mark"),
}


@pytest.mark.parametrize("stage", FAULTS)
@pytest.mark.parametrize("debug", [(), ("--debug",)], ids=["", "debug"])
def test_a_bug_in_any_stage_is_shown_by_its_place_alone(
    program: Program,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
    debug: tuple[str, ...],
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", [("a", CELL, 5), ("b", CELL, 77)])
    owner, name = FAULTS[stage]
    monkeypatch.setattr(owner, name, raising)
    with fault_server(all_good) as journal:
        push = ("push", sheet, "--base-url", journal.base_url, "-v", "--log-file", "run.log")
        ran = program(*debug, *push, "--metrics-file", "run.prom", "--on-finish", "cat > told.json")
    assert ran.code == 1
    assert "this is a bug in bulk-sync (ValueError at " in ran.err
    assert ("Traceback, without values" in ran.err) == bool(debug)
    log = (tmp_path / "run.log").read_text(encoding="utf-8")
    assert re.search(r"bug in bulk-sync \(ValueError at bulk_sync/\S+, line \d+, in \S+\)", log)
    assert found_in(CELL, tmp_path, ran, besides=("x.",)) == []
    assert found_in(KEY, tmp_path, ran) == []


def grouped() -> None:
    members = [OSError(2, CELL), ValueError(CELL)]
    try:
        dict[str, str]()[CELL]
    except KeyError as error:
        error.add_note(CELL)
        raise ExceptionGroup(CELL, members) from error


def test_causes_and_members_of_a_group_are_named_by_their_types() -> None:
    with pytest.raises(ExceptionGroup) as raised:
        grouped()
    shown = bugs.trace(raised.value)
    assert CELL not in shown
    names = [line for line in shown.splitlines() if line.isidentifier()]
    assert names == ["KeyError", "ExceptionGroup", "FileNotFoundError", "ValueError"]
    assert re.search(r"wire/test_canary\.py, line \d+, in grouped", shown)


UNCAUGHT = {
    "the program": "raise ValueError(TEXT)",
    "a thread": "import threading; t = threading.Thread(target=fail); t.start(); t.join()",
    "a destructor": "A()",
    "a task": """
async def main():
    asyncio.create_task(failing())
    await asyncio.sleep(0)
    import gc
    gc.collect()
asyncio.run(main())
""",
}


@pytest.mark.parametrize("where", UNCAUGHT)
def test_what_nobody_catches_is_shown_so_too(where: str) -> None:
    code = f"""
import asyncio
TEXT = "canary" + "cell"
def fail():
    raise ValueError(TEXT)
async def failing():
    fail()
class A:
    def __del__(self):
        fail()
from bulk_sync.cli.bugs import show_no_texts
show_no_texts()
{UNCAUGHT[where]}
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ValueError" in ran.stderr
    assert CELL not in ran.stderr + ran.stdout


@pytest.mark.parametrize("separator", [" ", "="])
def test_the_next_step_repeats_no_hook(program: Program, tmp_path: Path, separator: str) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(2))
    hook = f"--on-finish{separator}true;{TOKEN}=1".split(" ")
    push = ("push", sheet, "--base-url", "http://127.0.0.1:9", "--max-attempts", 1, *hook)
    ran = program(*push, "--log-file", "run.log", "--page", "page.html", "-v")
    assert f"--on-finish{separator}... " in ran.out
    ends = [program(*push, "--json"), program("report", sheet)]
    ends += [program("status", sheet), program("status", sheet, "--json")]
    assert found_in(TOKEN, tmp_path, ran, *ends) == []


def test_after_mending_and_in_the_settings_the_hook_is_hidden(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", [*numbered(2), ("ext_9", "", 9)])
    with fault_server(all_good) as journal:
        doctor = ("doctor", "--base-url", journal.base_url)
        push = ("push", sheet, "--base-url", journal.base_url, "--on-finish", f"true {TOKEN}")
        ran = program(*push)
        assert "x.failed.csv" in ran.out
        assert "--on-finish ..." in ran.out
        monkeypatch.setenv("BULK_SYNC_ON_FINISH", f"true {TOKEN}")
        looked = [program(*doctor), program(*doctor, "--json")]
    assert found_in(TOKEN, tmp_path, ran, *looked) == []


PROXIES = [
    f"http://user:{PASSWORD}@127.0.0.1:9",
    f"user:{PASSWORD}@127.0.0.1:9",
    f"https://user:{PASSWORD}@127.0.0.1:9",
    f"socks5://user:{PASSWORD}@127.0.0.1:9",
    f"ftp://user:{PASSWORD}@127.0.0.1:9",
    f"{PASSWORD}://user@127.0.0.1:9",
    f"http://user:{PASSWORD}@127.0.0.1:port",
    f"http://user:{PASSWORD}@[bad",
    *(f"http://user:{PASSWORD}{sign}x@127.0.0.1:9" for sign in "/?#@:[] \\%\t"),
    *(f"http://user:9{sign}{PASSWORD}@127.0.0.1:9" for sign in "/?#@:[] \\%\t"),
    f"http://u:p@127.0.0.1:{PASSWORD}",
]


@pytest.mark.parametrize("proxy", PROXIES)
def test_no_password_of_a_proxy_is_shown(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(2))
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    to = ("--base-url", "https://api.example.com")
    push = ("push", sheet, *to, "--max-attempts", 1, "--retry-for", "1s", "--log-file", "run.log")
    ends = [program(*push, "-v"), program("--debug", *push, "--json"), program("doctor", *to)]
    ends += [program("doctor", *to, "--json"), program("status", sheet, "--json")]
    assert found_in(PASSWORD, tmp_path, *ends) == []
    assert all(end.code in {2, 4, 6, 0} for end in ends), [end.err for end in ends]


@pytest.mark.parametrize(
    "address",
    [
        *(f"https://user:{PASSWORD}{sign}@api.example.com" for sign in ["", *"/?#% "]),
        f"https://{PASSWORD}@api.example.com",
        f"//user:{PASSWORD}@api.example.com",
        f"user:{PASSWORD}@api.example.com",
        f"https://api.example.com?token={PASSWORD}",
        f"https://api.example.com#{PASSWORD}",
    ],
)
def test_no_password_in_an_address_is_shown(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(1))
    ends = [
        program("push", sheet, "--base-url", address, "--log-file", "run.log"),
        program("check", sheet, "--base-url", address, "--json"),
        program("doctor", "--base-url", address, "--json"),
    ]
    monkeypatch.setenv("BULK_SYNC_BASE_URL", address)
    ends += [program("push", sheet), program("doctor")]
    assert {end.code for end in ends} == {2}
    assert found_in(PASSWORD, tmp_path, *ends) == []


# A whole run


def echoes_the_key(request: Request) -> bytes:
    """Return what a server says that throws the authorization back, in a form for each row."""
    sent = request.headers["authorization"]
    forms = (
        sent,
        base64.b64encode(sent.encode()).decode(),
        "".join(f"%{ord(one):02x}" for one in sent),
        "\u200b".join(sent),
        "\n".join(sent[at : at + 5] for at in range(0, len(sent), 5)),
    )
    number = int(request.key.rpartition("_")[2]) if request.key != "me" else 0
    said = json.dumps({"error": {"message": f"bad: {forms[number % len(forms)]}"}})
    return said.encode("utf-16" if number % 2 else "utf-8")


def reads_as_key(text: str) -> bool:
    """Whether a run of the key's secret part is in a text, when it is decoded once."""
    secret = KEY.rpartition("_")[2]
    words = re.findall(r"(?:[A-Za-z0-9+/]{4}){5,}", text)
    packed = [base64.b64decode(word) for word in words]
    texts = [text, unquote(text), *(one.decode("latin-1") for one in packed)]
    runs = [secret[at : at + 12] for at in range(len(secret) - 11)]
    return any(run in re.sub(r"[\W_]", "", one) for one in texts for run in runs)


def test_nothing_that_is_written_has_the_key_and_no_log_has_a_cell(
    program: Program, tmp_path: Path
) -> None:
    rows = [(f"ext_{number}", f"{CELL} {number}", 5) for number in range(12)]
    sheet = write_sheet(tmp_path / "x.csv", [*rows, ("ext_90", CELL, CELL)])
    write_sheet(tmp_path / "export.csv", [(key, "other", 4) for key, *_ in rows])

    def script(request: Request, _: int) -> Deed:
        refused = request.key != "me" and int(request.key.rpartition("_")[2]) % 3
        status = 422 if refused else 200
        return says(reply(status, echoes_the_key(request))) if refused else good

    files = ("--metrics-file", "run.prom", "--page", "page.html", "--undo-file", "undo.csv")
    with fault_server(script) as journal:
        to = ("--base-url", journal.base_url)
        ends = [
            program("check", sheet),
            program("check", sheet, "--json"),
            program("push", sheet, *to, *files, "-v", "--log-file", "run.log"),
            program("push", sheet, *to, "-v", "--log-format", "json", "--log-file", "json.log"),
            program("push", sheet, *to, "--on-finish", "cat > told.json", "--json"),
            program("reconcile", sheet, "--with", "export.csv", "--one-way", "--log-file", "r.log"),
            program("reconcile", sheet, *to, "--with", "ledger", "-v", "--json"),
            program("status", sheet),
            program("status", sheet, "--json"),
            program("report", sheet, "--results", "again.xlsx", "--page", "again.html"),
            program("push", "undo.csv", *to, "-v"),
            program("doctor", *to),
            program("doctor", *to, "--json"),
            program("demo", "--out", "demo", "--quiet"),
        ]
    assert {end.code for end in ends} <= {0, 3, 6}
    assert [end.err for end in ends if "Traceback" in end.err or "bug in" in end.err] == []
    written = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    texts = {str(path): text.decode("latin-1") for path, text in written.items()}
    texts |= {f"{at} stdout": end.out for at, end in enumerate(ends)}
    texts |= {f"{at} stderr": end.err for at, end in enumerate(ends)}
    for path in tmp_path.rglob("*.xlsx"):
        with zipfile.ZipFile(path) as book:
            texts |= {f"{path} {name}": book.read(name).decode() for name in book.namelist()}
    assert [name for name, text in texts.items() if reads_as_key(text)] == []
    assert "[key]" in (tmp_path / "x.results.csv").read_text(encoding="utf-8")
    quiet = [path for path in written if path.suffix in {".log", ".prom", ".lock", ".holder"}]
    assert len(quiet) >= 4
    assert [path.name for path in quiet if CELL.encode() in written[path]] == []
