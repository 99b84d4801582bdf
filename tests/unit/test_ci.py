"""The workflow for GitHub-like runners: each system and Python that is claimed, few rights."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
WORKFLOW: dict[Any, Any] = yaml.safe_load(TEXT)
JOBS: dict[str, dict[str, Any]] = WORKFLOW["jobs"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def commands(job: str) -> str:
    return "\n".join(step.get("run", "") for step in JOBS[job]["steps"])


def test_the_pythons_are_those_that_the_package_names() -> None:
    prefix = "Programming Language :: Python :: 3."
    named = [one for one in PROJECT["classifiers"] if one.startswith(prefix)]
    pythons = JOBS["suite"]["strategy"]["matrix"]["python"]
    assert pythons == [one.removeprefix(prefix[:-2]) for one in named]
    supported = SpecifierSet(PROJECT["requires-python"])
    assert all(supported.contains(one) for one in pythons)
    oldest = int(pythons[0].removeprefix("3."))
    assert not supported.contains(f"3.{oldest - 1}")
    assert pythons == [f"3.{oldest + place}" for place in range(len(pythons))], "without a gap"


def test_the_systems_are_the_three() -> None:
    systems = JOBS["suite"]["strategy"]["matrix"]["os"]
    assert [one.partition("-")[0] for one in systems] == ["ubuntu", "windows", "macos"]
    assert JOBS["suite"]["strategy"]["fail-fast"] is False


def test_jobs_have_few_rights_and_a_bound_and_no_secrets() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert "secrets." not in TEXT
    for job in JOBS.values():
        assert "permissions" not in job
        assert 0 < job["timeout-minutes"] <= 60


def test_actions_are_pinned_to_a_commit_and_keep_no_token() -> None:
    uses = [step for job in JOBS.values() for step in job["steps"] if "uses" in step]
    assert uses
    for step in uses:
        assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", step["uses"])
        if step["uses"].startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False
    assert len(re.findall(r"@[0-9a-f]{40} # v\d+\.\d+\.\d+$", TEXT, re.MULTILINE)) == len(uses)


def test_the_gate_and_the_whole_suite_are_run() -> None:
    assert ".ci/run" in commands("gate")
    suite = commands("suite")
    assert "--require-hashes -r .ci/constraints.txt" in suite
    assert re.search(r"^\$BIN/python -m pytest \$\{\{", suite, re.MULTILINE), "without a choice"
    assert not re.search(r"pytest .*(?:-k|-m|--deselect|--ignore|tests/)", suite)
    assert "bulk-sync demo" in suite


@pytest.mark.parametrize("tool", ["zsh", "fish", "strace", "faketime"])
def test_the_tools_of_the_gate_are_installed_where_they_exist(tool: str) -> None:
    loop = re.search(r"^for tool in (.+); do$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    assert loop is not None
    assert tool in loop[1].split()
    install = next(step for step in JOBS["suite"]["steps"] if "apt-get" in step.get("run", ""))
    assert tool in install["run"].split()
    assert install["if"] == "matrix.os == 'ubuntu-latest'"
