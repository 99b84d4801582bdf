"""Group bad rows by cause, for terminal, page and `--json`.

Rows that were not sent are grouped by their reasons. Rows that were sent are grouped by error code,
status and the API's message: messages that differ only in variable parts (the row's key, quoted
text, words with a digit) have one cause. A variable part that is the same in all rows is shown;
otherwise it is replaced by `...`. Sentences in checkpoints of earlier versions are grouped in the
same way: each row of a pair of duplicates has a different one.

A row with two bad cells has two causes. Memory is bounded: beyond `MOST_CAUSES`, the remaining rows
of a code form one cause.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import NamedTuple

from bulk_sync.model.problems import Expected, Reason
from bulk_sync.model.summaries import BadRow, CauseGroup, ProblemGroup
from bulk_sync.report.problems import cause_of, message_of
from bulk_sync.wording import and_more

MOST_CAUSES = 500

_FIRST_ROWS = 5
_EXAMPLES = 3
# How many different values of a cause are kept, for a range or a list of them.
_MOST_VALUES = 100

_SHOWN_VALUES = 4

_AGAIN = "run the command again"
_LOOK_UP = "look the showings up in North; --ambiguous retry sends them again"
# By error code, for causes without a remedy of their own.
_REMEDIES = {
    "missing_key": "enter the showing's key, or leave the row out",
    "bad_key": "enter the showing's key as North has it",
    "bad_value": "correct the row",
    "nothing_to_send": "fill in what is to change, or leave the row out",
    "duplicate_key": "keep one of the rows",
    "not_found": "check the key in North; the showing may have been deleted",
    "refused": "correct what the API names",
    "forbidden": "use a key that may change these showings, or leave them out",
    "timeout": _AGAIN,
    "connection": _AGAIN,
    "server_error": _AGAIN,
    "bad_reply": f"{_AGAIN}; if it stays so, check the address",
    "throttled": f"{_AGAIN}, perhaps with a lower --rate",
}

# Codes that cover several HTTP statuses, which are shown for that reason.
_NAMES_STATUS = frozenset({"refused", "server_error"})


def problems_of(
    rows: Iterable[BadRow],
) -> tuple[tuple[ProblemGroup, ...], tuple[CauseGroup, ...]]:
    """Group rows by error code and by cause, the most frequent first; `rows` are read once."""
    codes: dict[str, _Code] = {}
    causes: dict[tuple[object, ...], _Cause] = {}
    for row in rows:
        code = codes.setdefault(row.code, _Code(row.code))
        code.add(row)
        for one in _groupings(row):
            is_one_more = one.name not in causes and len(causes) >= MOST_CAUSES
            seen = _Others(row.code) if is_one_more else one
            causes.setdefault(seen.name, _Cause(row.code, seen)).add(row, seen)
    # `sorted` is stable: with equal counts, the first to appear is first.
    return (
        tuple(sorted((code.group() for code in codes.values()), key=lambda one: -one.count)),
        tuple(sorted((cause.group() for cause in causes.values()), key=lambda one: -one.rows)),
    )


class _Code:
    """Counts the rows with one error code."""

    def __init__(self, code: str) -> None:
        self._code = code
        self._rows = 0
        self._examples: list[tuple[int, str]] = []

    def add(self, row: BadRow) -> None:
        self._rows += 1
        if len(self._examples) < _EXAMPLES:
            message = message_of(row.reasons) if row.reasons else row.message
            self._examples.append((row.number, message or ""))

    def group(self) -> ProblemGroup:
        return ProblemGroup(self._code, self._rows, tuple(self._examples))


# The parts of a message: constant and variable ones in turn, beginning and ending with a constant.
_Split = tuple[str, ...]


class _NotSent(NamedTuple):
    """One reason that a row was not sent."""

    code: str
    reason: Reason

    @property
    def name(self) -> tuple[object, ...]:
        return self.code, self.reason.field, self.reason.expected, self.reason.remedy

    @property
    def value(self) -> str | None:
        return self.reason.value

    @property
    def parts(self) -> _Split:
        return ()

    def describe(self, values: str, _: Sequence[str]) -> tuple[str, str]:
        return cause_of(self.reason, values, _REMEDIES.get(self.code, "correct the row"))


class _Sent(NamedTuple):
    """A reply of the API, or the lack of one."""

    code: str
    subject: str
    value: str | None
    parts: _Split
    left_in_doubt: bool = False

    @property
    def name(self) -> tuple[object, ...]:
        return self.code, self.subject, self.left_in_doubt, *self.parts[::2]

    def describe(self, _: str, parts: Sequence[str]) -> tuple[str, str]:
        message = "".join(parts)
        remedy = _REMEDIES.get(self.code, "correct the row")
        if self.left_in_doubt:
            remedy = _LOOK_UP
        return f"{self.subject}: {message}" if message else self.subject, remedy


class _Earlier(NamedTuple):
    """A sentence that an earlier version stored instead of the data of a reason."""

    code: str
    parts: _Split
    value: str | None = None

    @property
    def name(self) -> tuple[object, ...]:
        return self.code, Expected.EARLIER_TEXT, *self.parts[::2]

    def describe(self, _: str, parts: Sequence[str]) -> tuple[str, str]:
        return "".join(parts), _REMEDIES.get(self.code, "correct the row")


class _Others(NamedTuple):
    """The rows of a code beyond `MOST_CAUSES`."""

    code: str
    value: str | None = None
    parts: _Split = ()

    @property
    def name(self) -> tuple[object, ...]:
        return (self.code,)

    def describe(self, _: str, __: Sequence[str]) -> tuple[str, str]:
        return "other causes", _REMEDIES.get(self.code, "correct the row")


_Grouping = _NotSent | _Sent | _Earlier | _Others


def _groupings(row: BadRow) -> Iterable[_Grouping]:
    if row.reasons:
        return [_reason_of(row.code, reason) for reason in row.reasons]
    return [_reply_of(row)._replace(left_in_doubt=row.left_in_doubt)]


def _reason_of(code: str, reason: Reason) -> _NotSent | _Earlier:
    if reason.expected is Expected.EARLIER_TEXT:
        return _Earlier(code, _split(str(reason.facts["text"])))
    return _NotSent(code, reason)


# Replaces the row's own key in a message.
_OWN = "\ufffc"

# The variable parts: quoted text, the row's own key, words with a digit. An apostrophe within a
# word opens no quote. Possessive and atomic groups keep the time linear for hostile messages.
_QUOTED = r"""(?<![^\s(:])(?>'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+")"""
_WITH_DIGIT = r"""(?<![^\s,;()'"])[^\s,;()'"\d]*+\d(?:[^\s,;()'"]*[\w%/])?"""
_VARYING = re.compile(rf"{_QUOTED}|{_OWN}|{_WITH_DIGIT}", re.DOTALL)


def _reply_of(row: BadRow) -> _Sent:
    named = row.http_status is not None and row.code in _NAMES_STATUS
    subject = f"{row.code} {row.http_status}" if named else row.code
    if row.message is None:  # removed by --purge
        return _Sent(row.code, row.code, None, ("",))
    message = row.message.removeprefix(f"{row.http_status}: ") if named else row.message
    value = row.key or row.target
    if message == f"status {row.http_status}":
        return _Sent(row.code, subject, value, ("",))
    # Keys of one or two characters would be found in any word.
    own = next((name for name in (row.key, row.target) if len(name) > 2 and name in message), None)
    if own is None:
        return _Sent(row.code, subject, value, _split(message))
    parts = (part.replace(_OWN, own) for part in _split(message.replace(own, _OWN)))
    return _Sent(row.code, subject, value, tuple(parts))


def _split(message: str) -> _Split:
    constants = _VARYING.split(message)
    varying = _VARYING.findall(message)
    return tuple(
        part for parts in zip_longest(constants, varying) for part in parts if part is not None
    )


class _Cause:
    """A cause while its rows are counted."""

    def __init__(self, code: str, first: _Grouping) -> None:
        self._code = code
        self._groupings = first
        self._parts = list(first.parts)
        self._rows = 0
        self._in_doubt = 0
        self._first: list[tuple[int, str | None]] = []
        self._values: dict[str, None] = {}  # a set that keeps the order
        self._more_values = False

    def add(self, row: BadRow, seen: _Grouping) -> None:
        self._rows += 1
        self._in_doubt += row.in_doubt
        value = seen.value
        if len(self._first) < _FIRST_ROWS:
            # `repr` escapes control characters; its quotes are dropped.
            self._first.append((row.number, None if value is None else repr(value)[1:-1]))
        for place in range(1, len(self._parts), 2):
            if self._parts[place] != seen.parts[place]:
                self._parts[place] = "..."
        if value is None or value in self._values:
            return
        if len(self._values) < _MOST_VALUES:
            self._values[value] = None
        else:
            self._more_values = True

    def group(self) -> CauseGroup:
        values = _values_text([*self._values], more=self._more_values)
        cause, remedy = self._groupings.describe(values, self._parts)
        left = isinstance(self._groupings, _Sent) and self._groupings.left_in_doubt
        first = tuple(self._first)
        return CauseGroup(self._code, cause, self._rows, first, remedy, self._in_doubt, left)


_PLAIN_NUMBER = re.compile(r"-?\d{1,15}(?:\.\d{1,6})?", re.ASCII)


def _values_text(values: list[str], *, more: bool) -> str:
    """Return values as a short text: ranges of whole numbers, or the first few texts.

    With `more` there are others that were not kept, and nobody counted how many differ.
    """
    if all(map(_is_plain_number, values)):
        texts = _runs(sorted({float(text) for text in values}))
    else:
        texts = [(repr(value), 1) for value in values]
    shown = ", ".join(text for text, _ in texts[:_SHOWN_VALUES])
    rest = "and others" if more else and_more(sum(count for _, count in texts[_SHOWN_VALUES:]))
    return f"{shown} {rest}" if rest else shown


def _is_plain_number(text: str) -> bool:
    """Return True for a number that looks the same as a text of its value; 1.000 and 007 don't."""
    return _PLAIN_NUMBER.fullmatch(text) is not None and f"{float(text):.15g}" == text


def _runs(numbers: list[float]) -> list[tuple[str, int]]:
    """Return sorted numbers as texts, each with how many it names.

    Three or more consecutive whole ones become `6 to 10`.
    """
    runs: list[list[float]] = []
    for number in numbers:
        if runs and number.is_integer() and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    texts: list[tuple[str, int]] = []
    for run in runs:
        if len(run) > 2:
            texts.append((f"{run[0]:.15g} to {run[-1]:.15g}", len(run)))
        else:
            texts += [(f"{number:.15g}", 1) for number in run]
    return texts
