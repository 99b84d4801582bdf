"""How does the work of each parser grow with a text that was made to be hard for it?

    python -m tests.work [--length 4000] [--only NAME]

Every parser of a cell, a header, a setting, a reply's header, a number format and a message is fed
texts of a length and of four times that, made of pieces of what it knows, and its CPU time is
compared. Ends with 1 when one grows much faster than its text (the square would be 16 times), or
needs too deep a recursion. The suite does the same with shorter texts, and counts calls
instead of time (tests/unit/test_work.py).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any, NamedTuple

from bulk_sync.address import check_base_url
from bulk_sync.check.cells import mail_address, number_in
from bulk_sync.check.headers import Names, map_headers
from bulk_sync.check.moments import read_start
from bulk_sync.check.naming import by_position, existing_field
from bulk_sync.check.rows import Checker
from bulk_sync.check.rules import Rules
from bulk_sync.check.showing import FIELDS
from bulk_sync.check.systematic import loose_key
from bulk_sync.check.templates import parse_template
from bulk_sync.check.verdicts import scale_in
from bulk_sync.errors import BulkSyncError
from bulk_sync.model.own import is_mark, read_header, read_mark, read_source
from bulk_sync.model.places import column_number
from bulk_sync.model.rows import Row
from bulk_sync.quantities import (
    parse_clock_time,
    parse_condition,
    parse_duration,
    parse_latency,
    parse_rates,
    parse_reserve,
    parse_rows,
    parse_scale,
)
from bulk_sync.read.books.formats import kind_of_format
from bulk_sync.read.books.mixed import resolved
from bulk_sync.read.books.ods.document import paragraph
from bulk_sync.read.books.styles import text_as_shown
from bulk_sync.read.books.xlsx.values import unescaped
from bulk_sync.read.kinds import kind_of
from bulk_sync.read.number_format import shown
from bulk_sync.read.suspicion import swallowed
from bulk_sync.report.causes import _split
from bulk_sync.report.text_diff import changed_parts
from bulk_sync.send.header_values import moment, number, span
from bulk_sync.send.headers import limits, retry_after
from bulk_sync.send.messages import api_message, document, one_line
from bulk_sync.send.spellings import SPELLINGS
from bulk_sync.send.transport.interface import Reply
from bulk_sync.settings.zones import check_timezone

Parse = Callable[[str], object]

_KEY = "unique_showing_key"
_LIMIT_HEADERS = (
    "ratelimit-policy",
    "ratelimit",
    *(
        f"{prefix}{part}"
        for prefix in ("ratelimit-", "x-ratelimit-")
        for part in ("limit", "remaining", "used", "reset", "policy", "interval-seconds")
    ),
    *(name for spelling in SPELLINGS for name in spelling.announced_by),
)

# What any text may be made of: blanks of every kind, quotes, brackets, signs, digits, letters with
# and without a case or an accent, escapes, and characters that nobody sees.
_ANY = (
    " ", "\t", "\n", "\u00a0", "\u2009", "a", "A ", "é", "e\u0301", "Ã¤", "ß", "\u0660", "字", "🏠",
    "\u200b", "\ufe0f", "0", "1", "9 ", "1,", "1.", "1-", "1:", "1/", "+1", "-", "--", "_", ".",
    ",", ";", ":", "/", "\\", "'", '"', '""', "(", ")", "(1", "[", "[h", "]", "{", "{a", "}", "<",
    "<b ", ">", "&", "&#", "&amp;", "&#1", "#", "=", '="', "@", "a@", "a.", "a-", "%", "%41", "*",
    "?", "!", "~", "^", "|", "$", "$1 ", "_x00", "_x000D_", "★", "☆", "E+", "1E+1", "\r\n",
    "bulk_sync 1 ", "showing ", "key ", "rating ", "feedback ", "Column 1 ", "1 of ",
)  # fmt: skip
_DATES = (
    "Mon ", "mon, ", "Mar ", "14 ", "14. ", "1st of ", "2026-", "2026-03-14 ", "3/14/", "T", "T10:",
    "10:", "10:00 ", "10:00-", "10:00:00.", "am ", "p.m.", "to ", "at ", "UTC", "UTC+", "+05:", "Z",
    "America/", "(CST) ", "CST ", " de ", "GMT+", "2026-03-14T10:00:00", "yyyy-", "[$-409]", "0.0",
    '"a"', "General", "_-", "* ", "\\a", "#,##0", "AM/PM", "??/", "[<1]", "[Red]",
)  # fmt: skip
_HEADERS = (
    "r=1;", "q=1;w=1,", '"a";q=1,', "limit=1,", "100;w=60,", "1/2,", "1h", "1ms", "1.5s", "pt1m",
    "10:00:00", "Sun, 06 Nov ", "08:49:37 ", "GMT ", "(comment", "<a@b>", '{"a":', '["a",', "-1",
    '{"error":{"message":', '{"errors":[', "HTTP/1.1 500 ",
)  # fmt: skip
PIECES = (*_ANY, *_DATES, *_HEADERS)

_MANY_WORDS = "word " * 400


def _field(name: str, **rules: Any) -> Parse:
    headers = (_KEY, name, "north_showing_id") if name == _KEY else (_KEY, name)
    mapping = map_headers([_KEY] if name == _KEY else headers, "x.csv")
    checker = Checker(mapping, Rules(**rules))

    def parse(text: str) -> object:
        cells = (text,) if name == _KEY else ("k1", text)
        return checker.check(Row(2, cells))

    return parse


def _reply_body(text: str) -> object:
    return api_message(Reply(400, {}, text.encode("utf-8", "surrogatepass")))


def _limits(text: str) -> object:
    return limits(dict.fromkeys(_LIMIT_HEADERS, text) | {"date": text})


def parsers() -> Mapping[str, Parse]:
    """Return every parser by its name."""
    names = Names()
    return {
        **{f"field {name}": _field(name) for name in (_KEY, *FIELDS)},
        "field dmy": _field("showing_date", order="dmy"),
        "start": partial(read_start, "mdy"),
        "number": number_in,
        "email": mail_address,
        "loose key": loose_key,
        "header": lambda text: map_headers((_KEY, text), "x.csv", names=names),
        "header without key": lambda text: map_headers((text, "rating"), "x.csv", names=names),
        "near": names.near,
        "closest": lambda text: names.closest([text], _KEY),
        "scale": scale_in,
        "map": lambda text: by_position((_KEY, text), {text: "rating"}, insist=True),
        "mapped": lambda text: by_position((_KEY, text), {f"{text}x": "rating"}, insist=True),
        "field name": existing_field,
        "template": parse_template,
        "column": column_number,
        "mark": is_mark,
        "own header": read_header,
        "own mark": read_mark,
        "source": read_source,
        "timezone": check_timezone,
        "base url": check_base_url,
        "rates": parse_rates,
        "duration": parse_duration,
        "latency": parse_latency,
        "reserve": parse_reserve,
        "scale setting": parse_scale,
        "rows": parse_rows,
        "condition": parse_condition,
        "clock time": parse_clock_time,
        "number format": lambda text: shown(1234.5, text),
        "text format": lambda text: text_as_shown("some text", text),
        "format kind": kind_of_format,
        "xlsx text": lambda text: unescaped([text]),
        "ods text": paragraph,
        "references": resolved,
        "kind": lambda text: kind_of(text.encode("utf-8", "surrogatepass")[:4096]),
        "cells over rows": lambda text: swallowed(("k1", text, "b"), ",", 3, "\n"),
        "retry-after": lambda text: retry_after({"retry-after": text, "date": text}),
        "limits": _limits,
        "number header": number,
        "span": lambda text: span(text, "Sun, 06 Nov 2026 08:49:37 GMT"),
        "moment": moment,
        "error body": _reply_body,
        "json": lambda text: document(text.encode("utf-8", "surrogatepass")),
        "line": one_line,
        # Short texts are aligned word by word, at bounded cost.
        "changed parts": lambda text: changed_parts(
            f"{_MANY_WORDS}{text}", f"{_MANY_WORDS}x{text}"
        ),
        "cause": _split,
    }


def texts(piece: str, length: int) -> Iterator[str]:
    """Yield texts of about a length that repeat a piece: alone, and around what ends a match."""
    body = piece * max(1, length // len(piece))
    yield body
    yield f"{body}\0x"
    yield f"x{body}!"
    yield f"{{{body}}}"
    yield f"2026-03-14 {body}10:00"


def run(parse: Parse, text: str) -> None:
    """Parse a text; its parser's own errors are fine."""
    with suppress(ValueError, BulkSyncError):
        parse(text)


def calls_of(parse: Parse, text: str) -> int:
    """Return how many functions are called to parse a text, those of C included."""
    count = 0

    def counted(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        run(parse, text)
    finally:
        sys.setprofile(before)
    return count


class Hard(NamedTuple):
    """A text whose parser does more than its length allows, or fails."""

    parser: str
    text: str
    why: str

    def __str__(self) -> str:
        return f"{self.parser}: {self.text!r}: {self.why}"


def _seconds(parse: Parse, text: str) -> float:
    begun = time.process_time()
    run(parse, text)
    return time.process_time() - begun


# Less is measured too coarsely. The square of four would be 16.
_LEAST_SECONDS = 0.05
_MOST_TIMES = 8.0


def hard_ones(length: int, only: str = "") -> Iterator[Hard]:
    """Yield the texts that take a parser much longer than their length explains."""
    for name, parse in parsers().items():
        if only not in name:
            continue
        for piece in PIECES:
            for short, long in zip(texts(piece, length), texts(piece, 4 * length), strict=True):
                try:
                    seconds = _seconds(parse, long)
                except RecursionError as error:
                    yield Hard(name, long[:40], repr(error)[:80])
                    continue
                if seconds < _LEAST_SECONDS:
                    continue
                # Again, because another process may have had the core's cache.
                seconds = min(seconds, _seconds(parse, long))
                before = min(_seconds(parse, short) for _ in range(3))
                if seconds > max(_LEAST_SECONDS, _MOST_TIMES * before):
                    why = f"{seconds:.2f} s, {seconds / max(before, 1e-6):.0f} times"
                    yield Hard(name, long[:40], why)


def main() -> int:
    """Compare all; 1 when one grows too fast."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--length", type=int, default=4000)
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    found = 0
    for hard in hard_ones(asked.length, asked.only):
        found += 1
        print(hard, flush=True)
    print(f"{found} of {len(parsers()) * len(PIECES) * 5:,} texts are too hard")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
