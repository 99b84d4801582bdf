"""What `reconcile` shows: the counts, then field by field what is there and what is here, the
change marked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bulk_sync.model.comparison import Compared, Difference, Reconciliation, Standing
from bulk_sync.report.as_json import reconciliation_json
from bulk_sync.report.terminal.summary import json_line
from bulk_sync.report.words import printable, rows_of

_WIDE = 100
"""Characters of a terminal from which on old and new stand beside each other."""

_MOST_WORDS = 600
"""Words of a text up to which its words are compared; of longer ones only beginning and end are."""

_ALIKE = 0.5
"""The share of words in common (difflib's ratio) from which on texts are taken for two versions of
one.
"""

_KEPT = 30
"""Characters of an unchanged stretch that are shown on either side of a change."""

_IN_WORDS = {
    Standing.SAME: ("same", "green"),
    Standing.DIFFERS: ("differ", "yellow"),
    Standing.CONFLICT: ("in conflict", "red"),
    Standing.ONLY_HERE: ("only here", "cyan"),
    Standing.ONLY_THERE: ("only there", "dim"),
    Standing.PROBLEM: ("with a problem", "red"),
}

Part = tuple[str, bool]
"""A stretch of a text, and whether it is part of the change."""


def show_reconciliation_json(
    console: Console, summary: Reconciliation, pushed: dict[str, Any] | None
) -> None:
    """The summary as one JSON object, with that of a push that followed."""
    console.file.write(
        json_line(reconciliation_json(summary) | ({} if pushed is None else {"push": pushed}))
    )


def show_reconciliation(
    console: Console, summary: Reconciliation, next_command: str | None
) -> None:
    """The summary for a person."""
    _line(console, f"{summary.input} against {_other(summary)}")
    for note in summary.notes:
        _line(console, note)
    console.print(_counts(summary))
    for field, rows in summary.first:
        _show_field(console, field, summary.fields[field], rows)
    _show_listed(console, summary)
    for sentence in about_base(summary):
        _line(console, sentence)
    files = (
        ("Results", summary.results),
        ("Page", summary.page),
        ("To edit", summary.template),
        ("Changes", summary.changes),
    )
    for name, path in files:
        if path:
            _line(console, f"{name + ':':<12}{path}")
    if next_command:
        console.print(
            Text("Next:       ") + Text(printable(next_command), style="bold"), soft_wrap=True
        )


def facts_of(summary: Reconciliation) -> Iterator[tuple[str, object]]:
    """What the summary says, as (name, value), for a report that lists it."""
    yield "input", summary.input
    yield "with", summary.other or "ledger"
    if summary.base:
        yield "base", summary.base
    yield "rows", summary.rows
    yield from ((_IN_WORDS[one][0], count) for one, count in summary.standings.items() if count)
    yield from ((f"differing: {field}", count) for field, count in summary.fields.items())
    yield from (("note", note) for note in (*summary.notes, *about_base(summary)))


def _line(console: Console, text: str) -> None:
    console.print(Text(printable(text)), soft_wrap=True)


def _other(summary: Reconciliation) -> str:
    other = summary.other or "what the API acknowledged last"
    return f"{other}, both since {summary.base}" if summary.base else other


def _counts(summary: Reconciliation) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for standing, count in summary.standings.items():
        if count:
            words, style = _IN_WORDS[standing]
            table.add_row(Text(words, style=style), Text(f"{count:,}", justify="right"))
    if summary.superseded:
        table.add_row(
            Text("superseded", style="dim"), Text(f"{summary.superseded:,}", justify="right")
        )
    table.add_row(
        Text("rows here", style="bold"), Text(f"{summary.rows:,}", style="bold", justify="right")
    )
    return table


def about_base(summary: Reconciliation) -> Iterator[str]:
    """Sentences on what others changed since the base."""
    if summary.stale:
        yield f"{_values(summary.stale)} only there since the base: not to be undone, so not sent."
    if summary.conflicts:
        end = (
            "the value here is sent, as --prefer here says"
            if summary.prefer_here
            else "not sent (--prefer here)"
        )
        yield f"{_values(summary.conflicts)} on both sides since the base: a conflict, {end}."


def _values(count: int) -> str:
    return "1 value was changed" if count == 1 else f"{count:,} values were changed"


# The differences


def _show_field(console: Console, field: str, count: int, rows: tuple[Compared, ...]) -> None:
    console.print(Text(f"{field}: {rows_of(count)}", style="bold"))
    marks = _Marks(
        in_colour=console.is_terminal and console.color_system is not None and not console.no_color
    )
    if console.is_terminal and console.width >= _WIDE:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for name, ratio in (("  row", None), ("showing", 2), ("there", 4), ("here", 4)):
            table.add_column(name, ratio=ratio, overflow="fold")
        for row in rows:
            there, here = marks.of(row.differences[0])
            table.add_row(
                f"  {row.number}",
                Text(printable(row.key or row.target)),
                there,
                _authored(row, here),
            )
        console.print(table)
    else:
        for row in rows:
            there, here = marks.of(row.differences[0])
            _line(console, f"  row {row.number}, {row.key or row.target}")
            console.print(Text("    there: ") + there, soft_wrap=True)
            console.print(Text("    here:  ") + _authored(row, here), soft_wrap=True)
    if count > len(rows):
        console.print(Text(f"  and {count - len(rows):,} more (--results)", style="dim"))


def _authored(row: Compared, here: Text) -> Text:
    author = row.differences[0].author
    return here if author is None else here + Text(f"  ({_AUTHORS[author.value]})", style="dim")


_AUTHORS = {"here": "changed here", "there": "changed there", "both": "changed on both sides"}


class _Marks:
    """Old and new text with what changed marked: by colour, else as `git diff --word-diff` has it."""

    def __init__(self, *, in_colour: bool) -> None:
        self._in_colour = in_colour

    def of(self, one: Difference) -> tuple[Text, Text]:
        old, new = changed_parts(text_of_value(one.there), text_of_value(one.here))
        return self._marked(old, "red", ("[-", "-]")), self._marked(new, "green", ("{+", "+}"))

    def _marked(self, parts: list[Part], colour: str, marks: tuple[str, str]) -> Text:
        if not parts:
            return Text("(blank)", style="dim")
        text = Text()
        for part, changed in parts:
            if not changed:
                text.append(printable(part))
            elif self._in_colour:
                text.append(printable(part), style=f"bold {colour} underline")
            else:
                text.append(f"{marks[0]}{printable(part)}{marks[1]}")
        return text


def text_of_value(value: Any) -> str:  # noqa: ANN401 - JSON
    """A value as people read it; a blank one is ""."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def changed_parts(old: str, new: str) -> tuple[list[Part], list[Part]]:
    """Both texts as stretches, those that changed marked as such; long unchanged ones are cut in
    their middle.
    """
    olds, news = _words(old), _words(new)
    align = _ends_in_common if max(len(olds), len(news)) > _MOST_WORDS else _aligned
    blocks = align(olds, news)
    before: list[Part] = []
    after: list[Part] = []
    last = len(blocks) - 1
    for place, (equal, one, other) in enumerate(blocks):
        for parts, words in ((before, one), (after, other)):
            text = "".join(words)
            if text:
                short = _shortened(text, left=place > 0, right=place < last) if equal else text
                parts.append((short, not equal))
    return before, after


def _aligned(olds: list[str], news: list[str]) -> list[tuple[bool, list[str], list[str]]]:
    """Stretches that are equal and that are not; a blank between two changes is part of the change.

    Texts that have little in common are one change: marks all over them would tell nothing.
    """
    matcher = SequenceMatcher(None, olds, news, autojunk=False)
    if matcher.ratio() < _ALIKE:
        return [(False, olds, news)]
    blocks: list[tuple[bool, list[str], list[str]]] = []
    for tag, a, b, c, d in matcher.get_opcodes():
        equal = tag == "equal" and not (a > 0 and b < len(olds) and not "".join(olds[a:b]).strip())
        if blocks and blocks[-1][0] is equal:
            _, one, other = blocks.pop()
            blocks.append((equal, one + olds[a:b], other + news[c:d]))
        else:
            blocks.append((equal, olds[a:b], news[c:d]))
    return blocks


def _ends_in_common(olds: list[str], news: list[str]) -> list[tuple[bool, list[str], list[str]]]:
    """What both begin and end with, and what is between: enough for texts that are too long to be
    aligned.
    """
    shorter = min(len(olds), len(news))
    begin = next((place for place in range(shorter) if olds[place] != news[place]), shorter)
    end = next(
        (place for place in range(shorter - begin) if olds[-1 - place] != news[-1 - place]),
        shorter - begin,
    )
    return [
        (True, olds[:begin], news[:begin]),
        (False, olds[begin : len(olds) - end], news[begin : len(news) - end]),
        (True, olds[len(olds) - end :], news[len(news) - end :]),
    ]


def _shortened(text: str, *, left: bool, right: bool) -> str:
    """An unchanged stretch without its middle, or, at the end of a text, without what is far from
    the change.
    """
    if len(text) <= 2 * _KEPT:
        return text
    kept_left, kept_right = _KEPT * left, _KEPT * right
    return f"{text[:kept_left]}...{text[len(text) - kept_right :]}"


def _words(text: str) -> list[str]:
    return re.findall(r"\s+|\w+|[^\w\s]", text)


def _show_listed(console: Console, summary: Reconciliation) -> None:
    for standing in (Standing.PROBLEM, Standing.ONLY_HERE, Standing.ONLY_THERE):
        rows = [row for row in summary.listed if row.standing is standing]
        if not rows:
            continue
        count = summary.standings[standing]
        console.print(Text(f"{_IN_WORDS[standing][0]}: {rows_of(count)}", style="bold"))
        if standing is Standing.PROBLEM:
            for row in rows:
                number = row.number if row.number is not None else row.number_there
                place = f"row {number}" if row.number is not None else f"row {number} there"
                _line(console, f"  {place}: {row.message}")
        else:
            numbers = (row.number if row.number is not None else row.number_there for row in rows)
            names = (
                f"{row.key or row.target}{f' (row {number})' if number else ''}"
                for row, number in zip(rows, numbers, strict=True)
            )
            more = f" and {count - len(rows):,} more (--results)" if count > len(rows) else ""
            _line(console, f"  {', '.join(names)}{more}")
