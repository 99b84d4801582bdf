"""Bad rows to causes: what is wrong, in how many rows, in which first, and the closest remedy.
Pure.

A cause is read from what the checkpoint keeps of a row, its error code, status and message, so that
`status` and `report` tell the same ones long after the run. Messages that differ only in what
varies from row to row (the row's key, quoted text, words with a digit) are one cause. Where those
parts are the same in all rows they are shown, else `...` stands in their place. The cells' own
values are listed instead: `6 to 10`.

A row with two bad cells counts under two causes. Memory is bounded: beyond `MOST_CAUSES` the rest
of a code is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import zip_longest

from bulk_sync.model.summaries import BadRow, CauseGroup

MOST_CAUSES = 500
"""Causes that are told apart."""

_FIRST_ROWS = 5
_MOST_VALUES = 100
"""Different values of a cause that are kept, to tell a range from single ones."""

_SHOWN_VALUES = 4

_REMEDIES = {
    "missing_key": "enter the showing's key, or leave the row out",
    "bad_key": "enter the showing's key as North has it",
    "bad_value": "mend the row",
    "nothing_to_send": "fill in what is to change, or leave the row out",
    "duplicate_key": "keep the row that is meant",
    "not_found": "look the key up in North, or was the showing deleted?",
    "refused": "mend what the API names",
    "forbidden": "use a key that may change these showings, or leave them out",
    "timeout": "run the command again",
    "connection": "run the command again",
    "server_error": "run the command again",
    "bad_reply": "run the command again; if it stays so, is the address right?",
    "throttled": "run the command again, perhaps with a lower --rate",
}
_OF_SENDING = frozenset(
    {
        "not_found",
        "refused",
        "forbidden",
        "timeout",
        "connection",
        "server_error",
        "bad_reply",
        "throttled",
    }
)
_NAMES_STATUS = frozenset({"refused", "server_error"})

# What `repr` makes of a cell; an apostrophe within a word opens none. No part of it is read twice.
_QUOTED = r"""(?<![^\s(:])(?>'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+")"""
_BAD_CELL = re.compile(rf"([a-z_]+): ({_QUOTED}) is not ", re.DOTALL)
_NEXT_CELL = re.compile(rf"; (?=[a-z_]+: {_QUOTED} is not )|{_QUOTED}", re.DOTALL)
_ABOUT_CELL = re.compile(rf"([a-z_]+): ({_QUOTED}) (?=\S)", re.DOTALL)

_OWN = "\ufffc"
"""In place of the row's own key."""
_ROW_NUMBERS = r"(?<=rows )\d+(?:, \d+)*+(?: and \d+ more)?"
_WITH_DIGIT = r"""(?<![^\s,;()'"])[^\s,;()'"\d]*+\d(?:[^\s,;()'"]*[\w%/])?"""
_VARYING = re.compile(
    rf"{_QUOTED}|{_OWN}|{_ROW_NUMBERS}|\b(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day\b|\b[AP]M\b|{_WITH_DIGIT}",
    re.DOTALL,
)

_SAID_OF_ATTEMPTS = re.compile(
    r"; (?:given up after [^;]*|not sent again, as --ambiguous stop says)"
)
_INSTRUCTION = re.compile(
    r"(.*?\S)(?:[;:]|\.) ((?:leave|keep|format|mend|enter|blank|type|is a|say|write|give|decide|do) .*)",
    re.DOTALL | re.IGNORECASE,
)
_PLAIN_NUMBER = re.compile(r"-?\d{1,15}(?:\.\d{1,6})?", re.ASCII)

_Split = tuple[str, ...]
"""A sentence, in turns what is constant of it and what varies; it begins and ends with a constant.
"""


_Seen = tuple[str, str | None, _Split]
"""What is wrong with a row: of what, the value there as `repr` shows it, and the rest of the
sentence.
"""

_OTHERS: _Seen = ("other causes", None, ("",))


def causes_of(rows: Iterable[BadRow]) -> tuple[CauseGroup, ...]:
    """Group rows that ended badly, the most frequent cause first; `rows` come in input order and
    are read once.
    """
    found: dict[tuple[str, ...], _Cause] = {}
    for row in rows:
        for seen in _causes(row):
            subject, value, sentence = seen
            name = (row.code, subject, *sentence[::2])
            if name not in found and len(found) >= MOST_CAUSES:
                subject, value, sentence = _OTHERS
                name = (row.code, subject)
            if name not in found:
                found[name] = _Cause(row.code, subject, sentence)
            found[name].add(row, value, sentence)
    return tuple(sorted((cause.group() for cause in found.values()), key=lambda group: -group.rows))


def _causes(row: BadRow) -> Iterable[_Seen]:
    if row.message is None:  # --purge took it away
        return [(row.code if row.code in _OF_SENDING else "", None, ("",))]
    if row.code in _OF_SENDING:
        return [_of_answer(row, row.message)]
    return _of_cells(row.message)


def _of_answer(row: BadRow, message: str) -> _Seen:
    said = _SAID_OF_ATTEMPTS.sub("", message)
    subject = row.code
    if row.http_status is not None and row.code in _NAMES_STATUS:
        subject = f"{row.code} {row.http_status}"
        said = said.removeprefix(f"{row.http_status}: ")
    if said == f"status {row.http_status}":
        return subject, row.key or row.target, ("",)
    own = next((name for name in (row.key, row.target) if len(name) > 2 and name in said), None)
    if own is None:
        return subject, row.key or row.target, _split(said)
    split = _split(said.replace(own, _OWN))
    return subject, row.key or row.target, tuple(part.replace(_OWN, own) for part in split)


@lru_cache(maxsize=4096)
def _of_cells(message: str) -> tuple[_Seen, ...]:
    if _BAD_CELL.match(message):
        return tuple(_of_cell(part) for part in _cells_apart(message))
    about = _ABOUT_CELL.match(message)
    if about is not None:
        return ((about[1], about[2], _split(message[about.end() :])),)
    return (("", None, _split(message)),)


def _of_cell(part: str) -> _Seen:
    match = _BAD_CELL.match(part)
    assert match is not None  # noqa: S101 - `_cells_apart` cuts before such
    return match[1], match[2], _split("is not " + part[match.end() :])


def _cells_apart(message: str) -> list[str]:
    """A message of several bad cells, cell by cell; what looks like one inside quotes is none."""
    ends = [match.start() for match in _NEXT_CELL.finditer(message) if match[0] == "; "]
    begins = [0, *(end + 2 for end in ends)]
    return [message[begin:end] for begin, end in zip(begins, [*ends, len(message)], strict=True)]


def _split(sentence: str) -> _Split:
    constants = _VARYING.split(sentence)
    varying = _VARYING.findall(sentence)
    return tuple(
        part for parts in zip_longest(constants, varying) for part in parts if part is not None
    )


class _Cause:
    """A cause while its rows are counted."""

    def __init__(self, code: str, subject: str, sentence: _Split) -> None:
        self._code = code
        self._subject = subject
        self._sentence = list(sentence)
        self._rows = 0
        self._in_doubt = 0
        self._first: list[tuple[int, str | None]] = []
        self._values: dict[str, None] = {}  # a set that keeps the order
        self._more_values = False

    def add(self, row: BadRow, value: str | None, sentence: _Split) -> None:
        self._rows += 1
        self._in_doubt += row.in_doubt
        if len(self._first) < _FIRST_ROWS:
            self._first.append((row.number, _unquoted(value)))
        for place in range(1, len(self._sentence), 2):
            if self._sentence[place] != sentence[place]:
                self._sentence[place] = "..."
        if value is None or value in self._values:
            return
        if len(self._values) < _MOST_VALUES:
            self._values[value] = None
        else:
            self._more_values = True

    def group(self) -> CauseGroup:
        text = "".join(self._sentence)
        cause, remedy = self._of_answer(text) if self._code in _OF_SENDING else self._of_cells(text)
        return CauseGroup(self._code, cause, self._rows, tuple(self._first), remedy, self._in_doubt)

    def _of_answer(self, said: str) -> tuple[str, str]:
        return f"{self._subject}: {said}" if said else self._subject, _REMEDIES[self._code]

    def _of_cells(self, text: str) -> tuple[str, str]:
        """Cause and remedy of what our own check says, which often holds the remedy."""
        expected = text.removeprefix("is not ") if text.startswith("is not ") else None
        values = _values_text([*self._values], more=self._more_values)
        subject = f"{self._subject} {values}".strip()
        if expected is not None:
            return subject, _expected(expected)
        told = _INSTRUCTION.fullmatch(text)
        if told is not None:
            text, remedy = told[1], told[2]
        else:
            remedy = _REMEDIES.get(self._code, "mend the row")
        return f"{subject} {text}".strip() or self._code, remedy


def _expected(what: str) -> str:
    """What follows "is not", as a remedy: what is right instead, or what a person can do."""
    what = what.replace(" (... does not)", "")
    if what.startswith("a value: "):
        return what.removeprefix("a value: ")
    for kind in ("text but ", "a phone number but "):
        if what.startswith(kind):
            return what.removeprefix(kind)
    return f"expected {what}"


def _values_text(values: list[str], *, more: bool) -> str:
    """Values in few words: whole numbers as ranges, texts as the first of them."""
    plain = [
        text
        for value in values
        if (text := _unquoted(value)) is not None and _PLAIN_NUMBER.fullmatch(text)
    ]
    if len(plain) < len(values):
        shown = values[:_SHOWN_VALUES]
        return ", ".join(shown) + (", ..." if more or len(values) > len(shown) else "")
    parts = _runs(sorted({float(text) for text in plain}))
    if not more and len(parts) <= _SHOWN_VALUES:
        return ", ".join(parts)
    return ", ".join(parts[:_SHOWN_VALUES]) + ", ..."


def _runs(numbers: list[float]) -> list[str]:
    """Sorted numbers, three and more whole ones in a row as `6 to 10`."""
    runs: list[list[float]] = []
    for number in numbers:
        if runs and number.is_integer() and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return [
        text
        for run in runs
        for text in (
            [f"{run[0]:.15g} to {run[-1]:.15g}"]
            if len(run) > 2
            else [f"{number:.15g}" for number in run]
        )
    ]


def _unquoted(value: str | None) -> str | None:
    """A value without the quotes that `repr` put around it; its escapes stay, for a terminal may
    see it.
    """
    if value is not None and len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value
