"""A folder with sheets may hold anything else: none of it is run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bulk_sync.run.side import staged_in_child
from bulk_sync.settings.sheet import SheetSettings
from tests.conftest import Sandboxes
from tests.helpers import KEY, numbered, write_sheet

PLANTED = (
    *("msgspec", "pydantic", "typer", "httptools", "openpyxl", "rich", "platformdirs", "click"),
    *("json", "csv", "tempfile", "sqlite3", "zipfile", "uuid", "tomllib", "asyncio", "socket"),
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with modules that record whatever imports them."""
    for name in PLANTED:
        (tmp_path / f"{name}.py").write_text(
            "import os\n"
            f"open({str(tmp_path / 'imported')!r}, 'a').write({name!r} + os.environ.get("
            "'NORTH_API_KEY', '-'))\n"
            "raise ImportError('planted')\n",
            encoding="utf-8",
        )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_push_imports_nothing_from_the_current_folder(
    planted: Path, sandboxes: Sandboxes
) -> None:
    write_sheet(planted / "s.csv", numbered(3))
    with sandboxes() as witness:
        command = ("push", "s.csv", "--json", "--base-url", witness.base_url)
        ran = subprocess.run(
            [sys.executable, "-m", "bulk_sync", *command],
            env=os.environ | {"PYTHONPATH": str(ROOT), "NORTH_API_KEY": KEY},
            capture_output=True,
            timeout=60,
            check=False,
        )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["states"]["updated"] == 3
    assert not (planted / "imported").exists()


@pytest.mark.parametrize("here", ["", "the folder"])
def test_a_child_imports_nothing_from_it_either_and_has_no_key(
    planted: Path, monkeypatch: pytest.MonkeyPatch, here: str
) -> None:
    monkeypatch.setenv("NORTH_API_KEY", KEY)
    monkeypatch.syspath_prepend(here and str(planted))
    sheet = write_sheet(planted / "s.csv", numbered(3))
    with staged_in_child(SheetSettings(input=sheet)) as wait:
        assert "feedback" in (wait().columns or ())
    assert not (planted / "imported").exists()
