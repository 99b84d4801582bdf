"""An option is declared once: a field that is added to a part is found wherever options are."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import typer

from bulk_sync.cli.catalogue import COMMANDS
from bulk_sync.cli.config import SettingsFile, read_sources, template
from bulk_sync.cli.declare import Given, for_typer
from bulk_sync.errors import UsageError
from bulk_sync.settings.composed import part
from bulk_sync.settings.option import Kind, Option, declared
from bulk_sync.settings.sending import Sending
from tests.conftest import Program
from tests.tools.make_reference import reference
from tests.unit.test_config import written


@dataclass(frozen=True, kw_only=True)
class Bursting(Sending):
    """The part with a field more."""

    burst_size: Annotated[
        int, Option("Requests that may leave at once.", "N", name="burst", at_least=1, at_most=9)
    ] = 3


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> list[Given]:
    """What `push` is given, once it has the options of the larger part."""
    given: list[Given] = []

    def run(one: Given) -> int:
        """Push."""
        given.append(one)
        return 0

    run.__name__ = "push"
    push = COMMANDS["push"]
    groups = tuple(Bursting if group is Sending else group for group in push.groups)
    monkeypatch.setitem(COMMANDS, "push", dataclasses.replace(push, run=run, groups=groups))
    return given


def test_the_command_line_has_it(program: Program, added: list[Given]) -> None:
    ran = program("push", "x.csv", "--rate", "9/s", "--burst", "5")
    assert (ran.code, added[0].values["burst"]) == (0, "5")
    assert part(Bursting, added[0].values).burst_size == 5
    assert added[0].typed == {"files", "rate", "burst"}
    shown = " ".join(program("push", "--help").out.split())
    assert "--burst N Requests that may leave at once." in shown
    assert "[default: 3]" in shown


def test_the_environment_and_a_file_set_it(
    program: Program, added: list[Given], monkeypatch: pytest.MonkeyPatch
) -> None:
    written(Path("config/bulk-sync/bulk-sync.toml"), "burst = 4")
    program("push", "x.csv")
    monkeypatch.setenv("BULK_SYNC_BURST", "6")
    program("push", "x.csv")
    assert [one.values["burst"] for one in added] == ["4", "6"]
    assert [one.typed for one in added] == [{"files", "rate"}] * 2
    assert added[1].elsewhere["burst"].source == "BULK_SYNC_BURST"


@pytest.mark.usefixtures("added")
def test_init_doctor_and_the_reference_have_it(program: Program) -> None:
    program("init", "--user")
    text = Path("config/bulk-sync/bulk-sync.toml").read_text(encoding="utf-8")
    assert "\n# Requests that may leave at once.\n# burst = 3\n" in text
    shown = program("doctor", "--json", "--base-url", "http://127.0.0.1:9")
    assert json.loads(shown.out)["settings"]["burst"] == {"value": "3", "from": "default"}
    assert "| `--burst N` | Requests that may leave at once. | 3 | 1 to 9 |" in reference()


def test_a_wrong_value_is_named_as_it_is_typed() -> None:
    with pytest.raises(UsageError, match=r"^--burst: 10 is more than 9: write 1 to 9$"):
        part(Bursting, {"burst": "10"})


def test_a_default_is_not_handed_on(program: Program, added: list[Given]) -> None:
    program("push", "x.csv", "--rate", "9/s")
    assert added[0].values == {"files": [Path("x.csv")], "rate": ["9/s"]}


def test_every_option_of_every_command_is_declared_with_what_its_readers_need() -> None:
    for command in COMMANDS.values():
        names = [option.name for option in command.options]
        assert len(names) == len(set(names))
        for option in command.options:
            assert option.option.help.endswith("."), option.name
            assert option.metavar or option.kind in {Kind.FLAG, Kind.COUNT}, option.name
            if command.takes_settings:
                example = option.default_text or option.option.example
                assert example or option.kind is Kind.COUNT, option.name


def test_every_example_of_inits_file_is_accepted(tmp_path: Path) -> None:
    options = COMMANDS["push"].options
    lines = [
        line.removeprefix("# ")
        for line in template(options).splitlines()
        if line.startswith("# ") and " = " in line and "=1h" not in line
    ]
    assert len(lines) == len(options)
    path = written(tmp_path / "bulk-sync.toml", "\n".join(lines))
    assert tomllib.loads(path.read_text(encoding="utf-8"))
    kinds = {option.name: option.kind for option in options}
    values = read_sources(kinds, {}, [SettingsFile(path)])
    given = {option.keyword: values[option.name].value for option in options}
    for group in COMMANDS["push"].groups:
        for kind in group if isinstance(group, tuple) else (group,):
            if isinstance(kind, type) and kind.__name__ != "Reading":
                assert part(kind, given)


def test_each_heading_of_inits_file_occurs_once() -> None:
    text = template(COMMANDS["push"].options)
    panels = {option.panel for option in COMMANDS["push"].options}
    for panel in panels:
        assert text.splitlines().count(f"# {panel}") == 1


def test_a_flag_from_elsewhere_can_be_false(program: Program, added: list[Given]) -> None:
    written(Path("config/bulk-sync/bulk-sync.toml"), "strict = false\nverbose = 2")
    program("push", "x.csv")
    assert (added[0].values["strict"], added[0].values["verbose"]) == (False, 2)


def test_typer_sees_one_parameter_for_each_option() -> None:
    push = COMMANDS["push"]
    app = typer.Typer()
    app.command()(for_typer(push, dict, Annotated[Path | None, typer.Option("--config")]))
    with suppress(SystemExit):
        typer.main.get_command(app)(["--help"], prog_name="push")
    assert {one.field for one in declared(Sending)} <= {one.field for one in push.options}
