"""The documents say what the program does."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from bulk_sync.check.headers import Names
from bulk_sync.check.showing import FIELDS, KEY_COLUMN
from bulk_sync.cli.catalogue import COMMANDS
from bulk_sync.model.own import RESULT_COLUMNS as COLUMNS
from bulk_sync.model.rows import State
from tests.conftest import Program
from tests.tools.make_reference import PATH, reference

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
REFERENCE = PAGES["reference"]
WRITTEN = README + "".join(text for name, text in PAGES.items() if name != "reference")


OTHERS = {
    "--worker-port",  # of Dask's own worker
    "--debug",
    "--version",
    "--install-completion",
    "--show-completion",
    "--force",
    "--parallel",
    "--quick",
    "--clusters",
    "--rounds",
    "--part",
    "--teams",
    "--kills",
    "--worker-kills",
    "--seconds",
    "--rivals",
    "--invalid",
    "--full",
    "--repeat",
    "--rm",
    "--hostname",
    "--read-only",
    "--sample",
    "--hostfile",
    "--namespaces",
    "--nthreads",
    "--no-dashboard",
    "--remote-python",
    "--scheduler-file",
}
"""Options of the program itself, and those of other programs."""


def test_fields_states_columns_and_codes_are_all_named() -> None:
    for name in (*State, *COLUMNS):
        assert f"`{name}`" in WRITTEN, name
    for name in (*FIELDS, KEY_COLUMN):
        assert f"| `{name}` |" in REFERENCE, name
    for state in State:
        assert f"`{state}`" in README, state
    codes = re.findall(r"^\| ([\d, ]+) \|", README, re.MULTILINE)
    assert [int(code) for line in codes for code in line.split(",")] == [*range(9), 129, 130, 143]


def test_the_readme_and_the_page_on_results_have_the_same_exit_codes() -> None:
    def table(text: str) -> str:
        return text.split("## Exit codes\n")[1].split("\n## ", maxsplit=1)[0]

    assert table(README) == table(PAGES["results"])


def test_every_extra_for_users_is_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = set(project["project"]["optional-dependencies"]) - {"dev", "docs"}
    shown = re.findall(r"^\| `([a-z]+)` \|", PAGES["installing"], re.MULTILINE)
    assert set(shown) == extras


def test_nothing_suggests_to_install_a_name_that_is_on_no_index() -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in (ROOT / "bulk_sync").rglob("*.py")}
    texts |= {path: path.read_text(encoding="utf-8") for path in ROOT.glob("docs/*.md")}
    texts[ROOT / "README.md"] = README
    asked = re.compile(
        r"\b(?:pip|pipx|uv)\b[^\n`]*?\binstall\b[^\n`]*?[ '\"]bulk-sync(?:[\['\"`\s]|$)"
    )
    found = {path.name: asked.findall(text) for path, text in texts.items()}
    assert {name: hits for name, hits in found.items() if hits} == {}
    assert asked.search("run: pip install 'bulk-sync[fast]'")


def test_the_names_of_columns_that_the_pages_give_are_known() -> None:
    names = Names()
    row = r"^\| ((?:`[a-z_]+`(?:, )?)+) \| ([^`|]+) \| [^|]+\|$"
    rows = re.findall(row, PAGES["sheets"], re.MULTILINE)
    shown = [
        (name, re.findall(r"`([a-z_]+)`", fields))
        for fields, text in rows
        for name in re.split(r"[,;] ", text)
    ]
    assert len(shown) > 20
    for name, fields in shown:
        assert names.field_of(name) in fields, name


def test_options_that_the_documents_show_exist(program: Program) -> None:
    helps = "".join(program(name, "--help").out for name in COMMANDS)
    shown = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", WRITTEN)) - OTHERS
    assert {option for option in shown if option not in helps} == set()


def test_the_reference_is_made_from_the_program() -> None:
    """`python -m tests.tools.make_reference` makes it anew."""
    assert PATH.read_text(encoding="utf-8") == reference()


@pytest.mark.parametrize("path", [ROOT / "README.md", *(ROOT / "docs").glob("*.md")], ids=str)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / link).is_file(), link


def test_the_commands_that_the_gate_runs_follow_their_marks() -> None:
    for mark in ("demo", "tests"):
        assert re.search(rf"^<!-- {mark} -->\n```sh\n[^\n]+\n```$", README, re.MULTILINE), mark


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGES["automation"], re.MULTILINE | re.DOTALL)


def test_the_units_of_automation_are_systemds(tmp_path: Path) -> None:
    service, timer = blocks("ini")
    program = tmp_path / "bulk-sync"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    (tmp_path / "bulk-sync.service").write_text(
        service.replace("/usr/local/bin/bulk-sync", str(program))
    )
    (tmp_path / "bulk-sync.timer").write_text(timer)
    assert "\nOnCalendar=" in timer
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("systemd-analyze is not here")
    units = [str(tmp_path / f"bulk-sync.{kind}") for kind in ("service", "timer")]
    done = subprocess.run(
        [verify, "verify", "--man=no", *units], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_manifests_of_automation_are_well_formed_and_their_commands_are_known() -> None:
    cron_job, workflow = map(yaml.safe_load, blocks("yaml"))
    assert (cron_job["apiVersion"], cron_job["kind"]) == ("batch/v1", "CronJob")
    job = cron_job["spec"]["jobTemplate"]["spec"]
    (container,) = job["template"]["spec"]["containers"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {
        volume["name"] for volume in job["template"]["spec"]["volumes"]
    }
    assert job["podFailurePolicy"]["rules"][0]["onExitCodes"]["containerName"] == container["name"]
    assert container["args"][0] == "push"
    assert set(workflow["jobs"]["push"]) == {"runs-on", "concurrency", "steps"}
    assert all({"uses", "run"} & set(step) for step in workflow["jobs"]["push"]["steps"])


def test_the_man_page_has_every_option_and_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hook:
        """In place of hatchling, which only a build has."""

        def __class_getitem__(cls, _: object) -> type[Hook]:
            return cls

    interface = "hatchling.builders.hooks.plugin.interface"
    monkeypatch.setitem(sys.modules, interface, SimpleNamespace(BuildHookInterface=Hook))
    made = runpy.run_path(str(ROOT / "hatch_build.py"))["man_page"](ROOT / "docs", "1.2", "A-b.")
    assert "bulk-sync 1.2" in made
    assert all(line.startswith("\\fB") for line in re.findall(r"\.TP\n(.*)", made))
    plain = made.replace("\\-", "-").replace("\\&", "").replace("\\e", "\\")
    for command in COMMANDS.values():
        assert f".SS bulk-sync {command.name}" in plain
        assert all(f"{option.flag}" in plain for option in command.options)
    status = plain.partition(".SH EXIT STATUS")[2]
    codes = re.findall(r"^\\fB([\d, ]+)\\fR$", status, re.MULTILINE)
    assert [int(code) for line in codes for code in line.split(",")] == [*range(9), 129, 130, 143]
    known = r"\.(?:TH|SH|SS|B|I|RI|PP|TP)\b"
    assert all(re.match(known, line) for line in made.splitlines() if line.startswith((".", "'")))


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
