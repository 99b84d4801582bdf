"""The contracts about imports bite: each violation is planted in a copy of the package and seen."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from tests.contracts import (
    BUILTINS,
    CLOCKS,
    CONNECTIONS,
    FOREIGN,
    HOST_NAME_ONLY,
    PATHS,
    PURE,
    ROOT,
    Violation,
    imports,
    pure_modules,
    reached,
    violations,
)

CONTRACTS: list[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))[
    "tool"
]["importlinter"]["contracts"]

pytestmark = pytest.mark.uncovered  # it reads source code, and runs none of it


def test_the_package_keeps_the_rules_that_only_names_show() -> None:
    assert list(map(str, violations(ROOT))) == []


def file_of(folder: Path, module: str) -> Path:
    path = folder / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def plant(folder: Path, module: str, line: str) -> None:
    """Add a line of code to a module, inside a function, where it would be run late."""
    path = file_of(folder, module)
    text = path.read_text(encoding="utf-8")
    path.write_text(f"{text}\n\ndef planted() -> None:\n    {line}\n", encoding="utf-8")


def names_of(layer: str) -> list[str]:
    return layer.split(" | ")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package and its contracts."""
    shutil.copytree(ROOT / "bulk_sync", tmp_path / "bulk_sync", ignore=lambda *_: ["__pycache__"])
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def linted(folder: Path) -> str:
    """What import-linter says, with blanks for line ends, which it puts anywhere."""
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--no-cache", "--no-logo"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return re.sub(r"\s+", " ", done.stdout)


def test_each_contract_of_the_linter_is_broken_by_a_violation_of_its_own(package: Path) -> None:
    """One name is planted for each rule, all of them in one copy."""
    expected = []
    for contract in CONTRACTS:
        if contract["type"] == "layers":
            (container,) = contract["containers"]
            highest, lowest = names_of(contract["layers"][0])[0], names_of(contract["layers"][-1])
            plant(package, f"{container}.{lowest[-1]}", f"import {container}.{highest}")
            expected.append(f"{container}.{lowest[-1]} -> {container}.{highest} (l.")
        elif contract["type"] == "protected":
            for name in contract["protected_modules"]:
                plant(package, "bulk_sync.doctor", f"import {name}")
                expected.append(f"bulk_sync.doctor -> {name} (l.")
    said = linted(package)
    assert [one for one in expected if one not in said] == []
    names = {contract["name"] for contract in CONTRACTS} - {PURE}
    assert [name for name in names if f"{name} BROKEN" not in said] == []


def test_each_name_that_is_forbidden_to_pure_modules_is_seen_and_each_module_is_watched(
    package: Path,
) -> None:
    """A name for each module, in turn: every name and every module once at least."""
    (contract,) = (one for one in CONTRACTS if one["name"] == PURE)
    modules, forbidden = contract["source_modules"], contract["forbidden_modules"]
    longer, shorter = max(modules, forbidden, key=len), min(modules, forbidden, key=len)
    pairs = list(zip(longer, cycle(shorter), strict=False))
    if longer is forbidden:
        pairs = [(module, name) for name, module in pairs]
    for module, name in pairs:
        plant(package, module, f"import {name}")
    said = linted(package)
    assert f"{PURE} BROKEN" in said
    missed = [(m, n) for m, n in pairs if f"{m} is not allowed to import {n}:" not in said]
    assert missed == []


PLANTED = [
    *(("bulk_sync.plan", f"{name}('x')", name) for name in sorted(BUILTINS)),
    *(("bulk_sync.send.decide", f"datetime.{name}()", name) for name in sorted(CLOCKS)),
    *(("bulk_sync.send.pace", f"read = date.{name}", name) for name in sorted(CLOCKS)),
    *(("bulk_sync.check.cells", f"Path('x').{name}()", name) for name in sorted(PATHS)),
    ("bulk_sync.check.moments", "map(Path.read_text, ())", "Path.read_text"),
    ("bulk_sync.check.moments", "datetime(2026, 1, 1).astimezone()", "astimezone"),
    # What pure modules import has to be pure, too, wherever it is.
    ("bulk_sync.send.transport.interface", "open('x')", "open"),
    ("bulk_sync.plan", "import urllib.request", "urllib.request"),
    ("bulk_sync.plan", "from urllib import request", "urllib.request"),
    ("bulk_sync.doctor", "from urllib.request import urlopen", "urllib.request.urlopen"),
    ("bulk_sync.doctor", "import urllib", "urllib"),
    ("bulk_sync.send.transport.httpx", "import http.client", "http.client"),
    ("bulk_sync.sandbox.app", "from http.server import HTTPServer", "http.server.HTTPServer"),
    *(("bulk_sync.send.attempt", f"import {name}", name) for name in sorted(FOREIGN)),
    *(("bulk_sync.send.attempt", f"loop.{name}()", name) for name in sorted(CONNECTIONS)),
    *((module, "socket.create_server(())", "socket.create_server") for module in HOST_NAME_ONLY),
    *((module, "from socket import socket", "from socket import") for module in HOST_NAME_ONLY),
]


def test_each_call_and_part_that_is_forbidden_is_seen(package: Path) -> None:
    expected = set()
    for module, line, used in PLANTED:
        plant(package, module, line)
        path = file_of(package, module)
        expected.add((module, len(path.read_text(encoding="utf-8").splitlines()), used))
    found = {(one.module, one.line, one.used) for one in violations(package)}
    assert expected - found == set()


def test_what_is_allowed_is_not_reported(package: Path) -> None:
    for module, line in (
        ("bulk_sync.plan", "from urllib.parse import quote"),
        ("bulk_sync.doctor", "open('x'); datetime.now(); Path('x').read_text()"),
        ("bulk_sync.sandbox.server", "asyncio.start_server(); socket.create_server(())"),
        ("bulk_sync.send.circuit", "self.open = 'x'.replace('x', 'y') and self.open"),
        ("bulk_sync.host", "socket.gethostname()"),
    ):
        plant(package, module, line)
    assert violations(package) == []


def test_modules_are_pure_with_all_that_they_import() -> None:
    trees = {
        "bulk_sync.a": ast.parse("from bulk_sync.b import thing"),
        "bulk_sync.b": ast.parse("def late() -> None:\n    import bulk_sync.c\n"),
        "bulk_sync.c": ast.parse("if TYPE_CHECKING:\n    import bulk_sync.d\n"),
        "bulk_sync.d": ast.parse(""),
        "bulk_sync.a.inner": ast.parse(""),
    }
    assert reached(trees, ["bulk_sync.a"]) == {
        "bulk_sync.a",
        "bulk_sync.a.inner",
        "bulk_sync.b",
        "bulk_sync.c",
    }
    assert list(imports(trees["bulk_sync.b"])) == [("bulk_sync.c", 2)]


def test_the_modules_that_are_named_as_pure_exist() -> None:
    assert len(pure_modules()) > 30
    assert all(file_of(ROOT, module).is_file() for module in pure_modules())


def test_a_violation_says_where_it_is() -> None:
    assert str(Violation("bulk_sync.plan", 3, "rule", "open")) == (
        "bulk_sync.plan, line 3: open (rule)"
    )
