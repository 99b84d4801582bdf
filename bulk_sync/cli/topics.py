"""`bulk-sync help TOPIC`: the pages of the documentation, in the terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

from bulk_sync.cli.streams import out, standard_output
from bulk_sync.errors import UsageError
from bulk_sync.similar import closest

_INDEX = "index"
_LINK = re.compile(r"\[([^\]]+)\]\(([a-z-]+)\.md(?:#[a-z0-9-]+)?\)")
_HERE = re.compile(r"\[([^\]]+)\]\(#[a-z0-9-]+\)")


def topics() -> tuple[str, ...]:
    """Return the names of the pages, in the order of the index; raises UsageError."""
    listed = [match[2] for match in _LINK.finditer(_page(_INDEX))]
    return tuple(dict.fromkeys(listed))


def show_topic(topic: str, commands: Iterable[str]) -> None:
    """Print a page; raises UsageError for an unknown one, with the names that there are."""
    known = topics()
    name = topic.lower()
    if name not in known:
        close = closest(name, [*known, *commands], 1, cutoff=0.6)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise UsageError(
            f"there is no help about {topic!r}.{hint} The topics are {', '.join(known)}; "
            "bulk-sync help COMMAND shows the options of a command"
        )
    _show(_page(name))


def show_topics() -> None:
    """Print the list of the topics."""
    _, _, table = _page(_INDEX).partition("\n\n|")
    _show(f"**bulk-sync help TOPIC** prints a page of the documentation:\n\n|{table}")


def _page(name: str) -> str:
    """Return the text of a page, from the installed package or from a checkout."""
    package = Path(str(files("bulk_sync")))
    for folder in (package / "docs", package.parent / "docs"):
        path = folder / f"{name}.md"
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise UsageError(
        f"the page {name}.md is neither in {package / 'docs'} nor in {package.parent / 'docs'}: "
        "install bulk-sync again"
    )


def _show(text: str) -> None:
    # rich takes 40 ms to import, and no other command reads Markdown.
    from bulk_sync.report.terminal.markdown import show_markdown

    linked = _LINK.sub(r"\1 (`bulk-sync help \2`)", _HERE.sub(r"\1", text))
    with standard_output():
        show_markdown(out(), linked)
