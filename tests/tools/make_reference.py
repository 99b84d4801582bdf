"""docs/reference.md, made from the declarations: `python -m tests.tools.make_reference`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bulk_sync.check.described import DESCRIBED
from bulk_sync.check.showing import ALIASES
from bulk_sync.cli.catalogue import COMMANDS
from bulk_sync.cli.declare import Command
from bulk_sync.settings.option import Declared, Kind

PATH = Path(__file__).parents[2] / "docs" / "reference.md"

_HEAD = """# Reference

Made from the program by `python -m tests.tools.make_reference`; edit the declarations in
`bulk_sync/settings/`, `bulk_sync/check/showing.py` and `bulk_sync/check/described.py` instead.

An option is given on the command line (`--retry-for 1h`), in the environment
(`BULK_SYNC_RETRY_FOR=1h`) or in a `bulk-sync.toml` (`retry-for = "1h"`); the earlier of these wins.
In the environment and in files a flag is `true` or `false`. An option that may be repeated is a
text or a list in a file, and has one value per line in the environment. `template`, `init`,
`sandbox` and `demo` take their options from the command line only.
"""


def reference() -> str:
    """Return the text of the file."""
    sections = (line for one in COMMANDS.values() for line in _section(one))
    return "\n".join([_HEAD, *sections, *_fields()])


def _fields() -> Iterable[str]:
    yield "## Fields\n"
    yield "A header is compared without case, blanks and punctuation.\n"
    yield "| field | headers that name it, too | what it is | what is read | example |"
    yield "|---|---|---|---|---|"
    for one in DESCRIBED:
        names = ", ".join(ALIASES[one.field])
        yield f"| `{one.field}` | {names} | {one.meaning} | {one.accepts} | `{one.example}` |"
    yield ""


def _section(command: Command) -> Iterable[str]:
    argument = f" {command.argument.metavar}" if command.argument else ""
    yield f"## bulk-sync {command.name}{argument}\n"
    paragraph = command.help.split("\n\nExamples:")[0]
    yield paragraph + "\n"
    if command.argument:
        yield f"`{command.argument.metavar}`: {command.argument.help}\n"
    if command.options or command.takes_settings:
        yield "| option | | default | range |"
        yield "|---|---|---|---|"
    for option in command.options:
        yield _row(option)
    if command.takes_settings:
        yield "| `--config FILE` | Read settings from this file only. | | |"
    yield ""


def _row(option: Declared) -> str:
    short = f"{option.option.short}, " if option.option.short else ""
    metavar = f" {option.metavar}" if option.metavar else ""
    typed = f"{short}{option.flag}{metavar}".replace("|", "\\|")
    default = "" if option.kind in {Kind.FLAG, Kind.COUNT} else option.default_text
    cells = (f"`{typed}`", option.option.help, default, _range(option))
    return "| " + " | ".join(cells) + " |"


def _range(option: Declared) -> str:
    bounds = option.option
    if bounds.above is not None:
        return f"above {bounds.text_of(bounds.above)}"
    if bounds.at_least is not None and bounds.at_most is not None:
        return f"{bounds.text_of(bounds.at_least)} to {bounds.text_of(bounds.at_most)}"
    return "" if bounds.at_least is None else f"from {bounds.text_of(bounds.at_least)}"


if __name__ == "__main__":
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(reference(), encoding="utf-8")
