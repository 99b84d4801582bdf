"""What the README says is what the program does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from bulk_sync.check.headers import Names
from bulk_sync.check.showing import FIELDS, KEY_COLUMN
from bulk_sync.model import State
from bulk_sync.report.results import COLUMNS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_fields_states_columns_and_codes_are_all_named() -> None:
    for name in (*FIELDS, KEY_COLUMN, *State, *COLUMNS):
        assert f"`{name}`" in README, name
    codes = re.findall(r"^\| ([\d, ]+) \|", README, re.MULTILINE)
    assert [int(code) for line in codes for code in line.split(",")] == [*range(9), 129, 130, 143]


def test_the_names_of_columns_that_the_readme_gives_are_known() -> None:
    names = Names()
    rows = re.findall(r"^\| ((?:`[a-z_]+`(?:, )?)+) \| ([^`|]+) \| [^|]+\|$", README, re.MULTILINE)
    shown = [(name, re.findall(r"`([a-z_]+)`", fields)) for fields, text in rows for name in re.split(r"[,;] ", text)]
    assert len(shown) > 20
    for name, fields in shown:
        assert names.field_of(name) in fields, name


def test_options_that_the_readme_shows_exist() -> None:
    helps = "".join(
        subprocess.run(
            [sys.executable, "-m", "bulk_sync", name, "--help"], capture_output=True, text=True, check=True
        ).stdout
        for name in ("push", "check", "reconcile", "status", "report", "sandbox", "demo", "doctor", "init")
    )
    shown = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README)) - {"--debug"}
    assert {option for option in shown if option not in helps} == set()


def test_the_sample_data_is_what_its_maker_makes(tmp_path: Path) -> None:
    code = (
        "import runpy, pathlib, sys; module = runpy.run_path(sys.argv[1]);"
        "module['main'].__globals__['FOLDER'] = pathlib.Path(sys.argv[2]); module['main']()"
    )
    maker = ROOT / "tests" / "tools" / "make_sample_data.py"
    subprocess.run([sys.executable, "-c", code, str(maker), str(tmp_path)], check=True)
    for name in ("sample-showings.csv", "sample-north-export.csv", "messy-showings.csv"):
        assert (tmp_path / name).read_bytes() == (ROOT / "sample_data" / name).read_bytes()
    assert (tmp_path / "messy-showings.xlsx").stat().st_size > 5000
