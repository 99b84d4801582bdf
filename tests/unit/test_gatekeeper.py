"""The gate's own rules: each is broken in a small suite, and the run fails."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bulk_sync.errors import BulkSyncError
from tests import fuzz
from tests.benchmarks.figures import Figure, exit_code
from tests.benchmarks.goals import GOALS
from tests.gatekeeper import ALLOWED, is_on

ROOT = Path(__file__).parents[2]
PASSES = "def test_it() -> None:\n    pass\n"
GATE = (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def suite(folder: Path, **files: str) -> None:
    """Write a suite with these files of tests and a good one, whose conftest is as ours."""
    tests = folder / "tests"
    tests.mkdir()
    (folder / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\ntestpaths = ["tests"]\nxfail_strict = true\n'
        'empty_parameter_set_mark = "fail_at_collect"\n',
        encoding="utf-8",
    )
    (tests / "conftest.py").write_text(
        "from tests.gatekeeper import Gatekeeper, is_on\n\n"
        "def pytest_configure(config):\n"
        "    if is_on():\n"
        "        config.pluginmanager.register(Gatekeeper())\n",
        encoding="utf-8",
    )
    for name, text in {"test_good": PASSES, **files}.items():
        (tests / f"{name}.py").write_text(text, encoding="utf-8")


def run(folder: Path, *arguments: str, ci: str = "true") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", *arguments]
    command += ["-p", "xdist"] if "-n" in arguments else []
    environment = {
        **os.environ,
        "CI": ci,
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_suite_without_fault_passes(tmp_path: Path) -> None:
    suite(tmp_path)
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout


SKIPS = {
    "test_call": "import pytest\ndef test_a():\n    pytest.skip('the tool is not here')\n",
    "test_mark": "import pytest\n@pytest.mark.skip(reason='later')\ndef test_b():\n    pass\n",
    "test_if": "import pytest\n@pytest.mark.skipif(True, reason='no strace')\ndef test_c(): ...\n",
    "test_fixture": (
        "import pytest\n@pytest.fixture\ndef tool():\n    pytest.skip('not installed')\n"
        "def test_d(tool): ...\n"
    ),
    "test_file": "import pytest\npytest.skip('no browser', allow_module_level=True)\n",
    "test_import": "import pytest\npytest.importorskip('no_such_module')\n",
    "test_empty_set": (
        "import pytest\n@pytest.mark.parametrize('x', [])\ndef test_e(x): ...\n"
    ),
}  # fmt: skip


def test_every_kind_of_skip_fails_the_gate_and_names_its_test(tmp_path: Path) -> None:
    suite(tmp_path, **SKIPS)
    done = run(tmp_path, "-n", "1", "--continue-on-collection-errors")
    assert done.returncode != 0
    for name in SKIPS:
        assert f"tests/{name}.py" in done.stdout, name
    assert "tests/gatekeeper.py" in done.stdout


@pytest.mark.parametrize("name", [name for name in SKIPS if name != "test_empty_set"])
def test_a_single_skip_is_enough(tmp_path: Path, name: str) -> None:
    suite(tmp_path, **{name: SKIPS[name]})
    done = run(tmp_path)
    assert done.returncode != 0
    assert f"{name}.py" in done.stdout
    assert "tests/gatekeeper.py" in done.stdout


def test_without_a_gate_a_skip_is_shown_and_passes(tmp_path: Path) -> None:
    suite(tmp_path, test_call=SKIPS["test_call"])
    done = run(tmp_path, ci="")
    assert done.returncode == 0
    assert "the tool is not here" in done.stdout


def test_a_reason_that_is_allowed_passes_the_gate(tmp_path: Path) -> None:
    suite(
        tmp_path,
        test_a="import pytest\ndef test_a():\n"
        f"    pytest.skip({'no permission to mount a file system'!r})\n",
    )
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "no permission to mount" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("-k", "good"),
        ("-m", "not slow"),
        ("--deselect", "tests/test_good.py::test_it"),
        ("--ignore", "tests/test_other.py"),
    ],
)
def test_a_run_that_leaves_tests_out_is_refused(tmp_path: Path, arguments: tuple[str, str]) -> None:
    suite(tmp_path, test_other=PASSES)
    done = run(tmp_path, *arguments)
    assert done.returncode not in {0, 5}
    assert "the gate runs every test" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("test_nothing", "def check_it() -> None:\n    pass\n"),
        ("tests_of_another_name", PASSES),
        ("test_broken", "import no_such_module\n" + PASSES),
    ],
)
@pytest.mark.parametrize("workers", [(), ("-n", "1")])
def test_a_test_that_cannot_be_collected_fails_the_gate(
    tmp_path: Path, name: str, text: str, workers: tuple[str, ...]
) -> None:
    suite(tmp_path, **{name: text})
    done = run(tmp_path, *workers)
    assert done.returncode not in {0, 5}
    assert f"{name}.py" in done.stdout + done.stderr


def test_what_a_plugin_leaves_out_fails_the_gate(tmp_path: Path) -> None:
    suite(tmp_path, test_other=PASSES)
    conftest = tmp_path / "tests" / "conftest.py"
    hook = (
        "def pytest_collection_modifyitems(config, items):\n"
        "    gone = items.pop()\n"
        "    config.hook.pytest_deselected(items=[gone])\n"
    )
    conftest.write_text(conftest.read_text(encoding="utf-8") + hook, encoding="utf-8")
    done = run(tmp_path)
    assert done.returncode == 1
    assert "tests/test_other.py::test_it was left out" in done.stdout


def test_each_reason_that_is_allowed_is_one_of_a_test() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("*/test_*.py")]
    for reason, why in ALLOWED.items():
        assert any(f'"{reason}"' in text for text in texts), reason
        assert why


def test_the_gate_is_on_where_the_environment_says_so() -> None:
    assert is_on({"CI": "true"})
    assert is_on({"CI": "1"})
    assert not is_on({"CI": "false"})
    assert not is_on({})
    assert "\nexport CI=true\n" in GATE


def tools_step() -> str:
    """The part of the gate that gets the tools, which ends where the README's command begins."""
    begin = GATE.index('step "tools for the tests"')
    return GATE[begin : GATE.index('step "the README\'s test command"')]


def without_tools(folder: Path, *, apt_get: str | None) -> subprocess.CompletedProcess[str]:
    """Run that part where no tool is, with an apt-get as given."""
    programs = folder / "bin"
    programs.mkdir()
    for name in ("tail", "cat"):
        found = shutil.which(name)
        assert found
        (programs / name).symlink_to(found)
    if apt_get is not None:
        (programs / "apt-get").write_text(f"#!/bin/sh\n{apt_get}\n", encoding="utf-8")
        (programs / "apt-get").chmod(0o755)
    bash = shutil.which("bash")
    assert bash
    code = f"set -euo pipefail\nwork={folder}\nstep() {{ echo; }}\n{tools_step()}\necho passed"
    return subprocess.run(
        [bash, "-c", code],
        env={"PATH": str(programs)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("apt_get", [None, "exit 100", "echo nothing; exit 0"])
def test_a_tool_that_cannot_be_installed_fails_the_gate(
    tmp_path: Path, apt_get: str | None
) -> None:
    done = without_tools(tmp_path, apt_get=apt_get)
    assert done.returncode == 1
    assert "passed" not in done.stdout
    for tool in ("zsh", "fish", "strace", "faketime", "chromium", "chromedriver"):
        assert tool in done.stdout.splitlines()[-1]


def test_the_gate_fuzzes_in_short_and_sweeps_crashes_among_its_tests() -> None:
    assert re.search(r'"\$dev/python" -m tests\.fuzz --seconds \d+ --seed \d+\n', GATE)
    assert "sweep(" in (ROOT / "tests" / "wire" / "test_crashes.py").read_text(encoding="utf-8")


def test_fuzzing_that_tries_nothing_in_earnest_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object) -> None:
        raise BulkSyncError("refused")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["fuzz", "--seconds", "0", "--seed", "1"])
    monkeypatch.setattr("tests.fuzz.resource.setrlimit", lambda *_: None)
    monkeypatch.setattr("tests.fuzz.samples", lambda: ())
    for attempt in (refuse, lambda *_: None):
        monkeypatch.setattr("tests.fuzz.try_case", attempt)
        assert fuzz.main() == 1


def test_a_strict_benchmark_fails_when_a_goal_is_missed_or_not_measured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    slow, small = Figure("staging a CSV", 29_999.0, "rows/s"), Figure("size of the page", 9.0, "MB")
    without_goal = Figure("rows a night", 0.0, "")
    assert exit_code([slow], strict=False) == 0
    assert capsys.readouterr().out == ""
    assert exit_code([slow, small], strict=True) == 1
    assert capsys.readouterr().out == (
        "goal missed: | staging a CSV | 29,999 rows/s | at least 30000 | short |\n"
    )
    assert exit_code([small, without_goal], strict=True) == 0
    assert exit_code([Figure("size of the page", 10.5, "MB")], strict=True) == 1
    assert exit_code([Figure("size of the page", None, "MB")], strict=True) == 1
    assert exit_code([small], strict=True, expected=["staging a CSV"]) == 1


def test_each_goal_is_one_of_a_figure_that_is_measured() -> None:
    """A figure's name is written in full, or made of words around numbers."""
    folder = ROOT / "tests" / "benchmarks"
    texts = "".join(
        path.read_text(encoding="utf-8") for path in folder.glob("*.py") if path.name != "goals.py"
    )
    for name in GOALS:
        words = re.sub(r"^[\d,]+|(?<=^check of )\w+$|(?<=^bulk-sync ).*|\w+$", "", name)
        assert len(words) > 4, name
        assert words in texts, name


def test_what_the_documents_call_a_goal_is_the_goal() -> None:
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\| ([^|]+) \| [^|]+ \| (at (?:least|most) [\d.]+) \|", text, re.MULTILINE)
    assert len(shown) > 10
    assert dict(shown) == {name: str(GOALS[name]) for name, _ in shown}


@pytest.mark.uncovered
def test_no_coverage_is_measured_where_the_mark_says_so() -> None:
    assert type(sys.gettrace()).__module__.partition(".")[0] != "coverage"
