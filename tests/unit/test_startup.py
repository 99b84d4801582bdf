"""A command imports what it needs: the help and the version are there at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

LATE = {
    "anyio",
    "bulk_sync.pipeline",
    "email_validator",
    "httpx",
    "openpyxl",
    "sqlite3",
    "starlette",
    "tenacity",
    "uvicorn",
}


NOT_FOR_A_PLAIN_PUSH = {
    "bulk_sync.read.workbook",
    "bulk_sync.report.page.run",
    "charset_normalizer",
    "email_validator",
    "httpx",
    "openpyxl",
    "prometheus_client",
    "rich",
    "starlette",
    "urllib.request",
    "xlsxwriter",
}


def imported(*arguments: str) -> tuple[set[str], str]:
    """The modules that a command had imported at its end, and what it printed."""
    code = f"""
import json, sys
from bulk_sync.__main__ import main
sys.argv = ["bulk-sync", *{arguments!r}]
try:
    main()
finally:
    json.dump(sorted(sys.modules), sys.stderr)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(ran.stderr)), ran.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["push", "--help"]])
def test_help_imports_nothing_of_what_a_run_needs(arguments: list[str]) -> None:
    modules, out = imported(*arguments)
    assert "Usage" in out
    assert not modules & LATE


def test_the_declarations_of_the_options_need_neither_pydantic_nor_msgspec() -> None:
    """Only the help of all commands shows it: typer imports pydantic to run one of them."""
    modules, _ = imported("--help")
    assert "bulk_sync.settings.sending" in modules
    assert not modules & {"msgspec", "pydantic"}


def test_the_version_needs_no_command_line() -> None:
    modules, out = imported("--version")
    assert out.startswith("bulk-sync ")
    assert not modules & (
        LATE | {"typer", "rich", "pydantic"}
    )  # typer itself imports pydantic for its parameters


def test_a_push_that_nobody_watches_imports_only_what_it_needs(tmp_path: Path) -> None:
    sheet = tmp_path / "x.csv"
    sheet.write_text("unique_showing_key,attendee_email\next_1,ana@example.com\n", encoding="utf-8")
    modules, out = imported("check", str(sheet), "--json")
    assert json.loads(out)["rows"] == 1
    assert not modules & (NOT_FOR_A_PLAIN_PUSH - {"rich"})
    sheet.write_text("unique_showing_key,attendee_email\n", encoding="utf-8")
    modules, out = imported("push", str(sheet), "--json")
    assert json.loads(out)["rows"] == 0
    assert not modules & NOT_FOR_A_PLAIN_PUSH
