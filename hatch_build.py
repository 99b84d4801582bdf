"""Make the man page while the wheel is built: docs/reference.md and docs/results.md as roff(7)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_HEAD = """\
.TH BULK-SYNC 1 "" "bulk-sync {version}" "User Commands"
.SH NAME
bulk-sync \\- {description}
.SH SYNOPSIS
.B bulk-sync
.I COMMAND
.RI [ OPTIONS ]
.SH DESCRIPTION
.B bulk-sync help
lists the pages of the documentation, and
.B bulk-sync help
.I TOPIC
prints one.
"""


class ManPage(BuildHookInterface[Any]):
    """Adds share/man/man1/bulk-sync.1, which pipx and a distribution's packages install."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the page, and name it to the builder of the wheel."""
        if self.target_name != "wheel" or version == "editable":
            return
        page = Path(self.directory) / "bulk-sync.1"
        page.parent.mkdir(parents=True, exist_ok=True)
        metadata = self.metadata
        text = man_page(Path(self.root) / "docs", metadata.version, metadata.core.description)
        page.write_text(text, encoding="utf-8")
        build_data["shared_data"][str(page)] = "share/man/man1/bulk-sync.1"

    def finalize(self, *_: object) -> None:
        """Leave nothing but the wheel."""
        (Path(self.directory) / "bulk-sync.1").unlink(missing_ok=True)


def man_page(docs: Path, version: str, description: str) -> str:
    """Return the man page as roff."""
    reference = (docs / "reference.md").read_text(encoding="utf-8")
    results = (docs / "results.md").read_text(encoding="utf-8")
    commands, _, fields = reference.partition("\n## Fields\n")
    head = _HEAD.format(version=version, description=description.replace("-", "\\-"))
    codes = results.partition("\n## Exit codes\n")[2].partition("\n## ")[0]
    parts = [
        ".SH COMMANDS",
        *_lines(commands.partition("\n## ")[2], heading=True),
        ".SH FIELDS",
        *_lines(fields),
        ".SH EXIT STATUS",
        *_lines(codes),
    ]
    return head + "\n".join(parts) + "\n"


def _lines(text: str, *, heading: bool = False) -> Iterator[str]:
    """Yield paragraphs and tables of Markdown as roff; the text may begin with a heading."""
    names: list[str] = []
    lines = text.splitlines()
    if heading:
        yield f".SS {_escaped(lines.pop(0))}"
    for line in lines:
        if line.startswith("## "):
            yield f".SS {_escaped(line[3:])}"
        elif not line.startswith("|"):
            names = []
            yield _escaped(line) if line else ".PP"
        elif not names:
            names = _cells(line)
        elif not line.startswith("|--"):
            first, text, *rest = _cells(line)
            yield ".TP"
            yield f"\\fB{_escaped(first)}\\fR"
            yield _escaped(_sentences([text, *map(": ".join, _named(names[2:], rest))]))


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def _named(names: list[str], cells: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the cells that aren't blank, with the names of their columns."""
    for name, cell in zip(names, cells, strict=True):
        if cell:
            yield name.capitalize(), cell


def _sentences(texts: list[str]) -> str:
    return " ".join(text if text.endswith(".") else f"{text}." for text in texts)


def _escaped(text: str) -> str:
    """Return text of Markdown for roff: no marks, no requests, and dashes that can be copied."""
    plain = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text)
    plain = plain.replace("\\|", "|").replace("`", "").replace("**", "")
    plain = plain.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{plain}" if plain.startswith((".", "'")) else plain
