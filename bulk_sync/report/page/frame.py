"""The frame of every page: head, header, verdict, sections, footer.

A page is one file that loads nothing: its Content-Security-Policy allows its own script and style
by their hashes and forbids all requests.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files as package_files
from pathlib import PurePath
from typing import TextIO

from bulk_sync.report.page.markup import Html, element, join
from bulk_sync.report.verdict import Tone
from bulk_sync.wording import counted


@cache
def asset(name: str) -> str:
    """Read a file of the package's assets."""
    return package_files("bulk_sync.report").joinpath("assets", name).read_text(encoding="utf-8")


def open_page(file: TextIO, title: str, style: str, script: str | None = None) -> None:
    """Write a page up to the start of its body; `close_page` writes the script."""
    file.write(f'<!doctype html>\n<html lang="en">\n{_head(title, style, script)}\n<body>\n')


def close_page(file: TextIO, script: str | None = None) -> None:
    """Write the end of a page, with the script that `open_page` allowed."""
    if script is not None:
        file.write(f"<script>{script}</script>\n")
    file.write("</body>\n</html>\n")


def _head(title: str, style: str, script: str | None) -> Html:
    scripts = f"script-src {_hash(script)}; " if script is not None else ""
    policy = (
        f"default-src 'none'; {scripts}style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return element(
        "head",
        element("meta", charset="utf-8"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        # Else phones make links of numbers and addresses in the cells.
        element("meta", name="format-detection", content="telephone=no, email=no, address=no"),
        element("title", title),
        element("link", rel="icon", href="data:,"),  # else browsers request /favicon.ico
        Html(f"<style>{style}</style>"),
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def top(kind: str, facts: Iterable[tuple[str, str]], made_at: datetime, version: str) -> Html:
    """Return the header: the kind of page, and facts (name, value)."""
    at = made_at.astimezone(UTC)
    return element(
        "header",
        element(
            "p", element("b", "bulk-sync"), f" {version} ", element("span", kind), class_="brand"
        ),
        element(
            "dl",
            *(_fact(name, element("bdi", value)) for name, value in facts),
            _fact(
                "Written",
                element("time", at.strftime("%Y-%m-%d %H:%M UTC"), datetime=at.isoformat()),
            ),
            class_="facts",
        ),
    )


def _fact(name: str, *value: str) -> Html:
    return element("div", element("dt", name), element("dd", *value))


def bottom(version: str) -> Html:
    """Return the footer."""
    text = (
        f"Written by bulk-sync {version}. This page loads nothing and sends nothing. "
        "It contains keys and messages of rows."
    )
    return element("footer", element("p", text))


def section(name: str, title: str, *inside: str | None, class_: str | None = None) -> Html:
    """Return a section with a heading."""
    heading = element("h2", title, id=f"{name}-title")
    return element(
        "section", heading, *inside, id=name, aria_labelledby=f"{name}-title", class_=class_
    )


def header_row(*names: str) -> Html:
    """Return the header of a table."""
    return element("thead", element("tr", *(element("th", name, scope="col") for name in names)))


def swatch(class_: str) -> Html:
    """Return the square before a state, in the state's colour."""
    return element(
        "svg",
        element("rect", width="100%", height="100%", rx=3, class_=class_),
        class_="swatch",
        width=14,
        height=14,
        aria_hidden="true",
    )


# The SVG path and the label of each sign.
_SIGNS = {
    Tone.GOOD: ("M5 13l4.5 4.5L19.5 7", "Done"),
    Tone.ATTENTION: ("M12 6v8M12 17.6v.4", "Needs attention"),
    Tone.STOPPED: ("M9 7v10M15 7v10", "Not finished"),
}


def verdict_section(tone: Tone, sentence: str, detail: str | None, notes: Iterable[str]) -> Html:
    """Return the section that comes first: sign, sentence, detail and notes."""
    path, word = _SIGNS[tone]
    sign = element(
        "svg",
        element("path", d=path),
        viewBox="0 0 24 24",
        class_="sign",
        role="img",
        aria_label=f"{word}:",
    )
    return element(
        "section",
        sign,
        element(
            "div",
            element("h1", sentence, id="verdict-title"),
            element("p", element("bdi", detail)) if detail else None,
            _folded_notes([*notes]),
        ),
        id="verdict",
        class_=f"card {tone.value}",
        aria_labelledby="verdict-title",
    )


def _folded_notes(notes: Sequence[str]) -> Html | None:
    if not notes:
        return None
    return element(
        "details",
        element("summary", counted(len(notes), "note")),
        element("ul", *(element("li", element("bdi", note)) for note in notes)),
        class_="notes",
        data_fold="screen",
    )


def search_tools(label: str, filters_label: str) -> Html:
    """Return the search field and the group of filters; a page's script fills and shows them."""
    return join(
        element(
            "div",
            element("label", label, for_="search"),
            element("input", id="search", type="search", autocomplete="off", spellcheck="false"),
            class_="search",
        ),
        element("div", id="filters", class_="filters", role="group", aria_label=filters_label),
        element("p", id="count", role="status", aria_live="polite"),
    )


def files_table(files: Iterable[tuple[str, str | None, str]]) -> Html | None:
    """Return the table of files (name, path, meaning); None if none was written."""
    lines = [
        element(
            "tr",
            element("th", name, scope="row"),
            element("td", element("code", element("bdi", PurePath(path).name))),
            element("td", meaning, class_="what"),
        )
        for name, path, meaning in files
        if path
    ]
    if not lines:
        return None
    return join(
        element("h3", "Files"),
        element(
            "table",
            element("caption", "Files of this job", class_="aside"),
            element("tbody", *lines),
            class_="files",
        ),
    )


def unbroken_options(text: str) -> Iterator[str]:
    """Yield the text in parts, with each option in a span, so that it isn't broken at a dash."""
    for part in re.split(r"(--[a-z-]+)", text):
        yield element("span", part, class_="option") if part.startswith("--") else part


def command_block(command: str | None) -> Html | None:
    """Return a command to copy; None if there is none."""
    return element("pre", element("code", *unbroken_options(command))) if command else None
