"""One row checked at a time, for the tests of `bulk_sync.check`."""

from __future__ import annotations

import json
from typing import Any
from zoneinfo import ZoneInfo

from bulk_sync.check.headers import map_headers
from bulk_sync.check.rows import Checker
from bulk_sync.check.rules import Rules
from bulk_sync.model.rows import Cell, Problem, Record, Row
from bulk_sync.report.problems import message_of

CHICAGO = ZoneInfo("America/Chicago")


def checker(*headers: str, **rules: Any) -> Checker:
    return Checker(map_headers(headers, "x.csv"), Rules(**{"timezone": CHICAGO, **rules}))


def checked(rules: dict[str, Any] | None = None, /, **cells: Cell) -> Record | Problem:
    cells = {"unique_showing_key": "ext_1", **cells}
    return checker(*cells, **(rules or {})).check(Row(2, tuple(cells.values())))


def patch(rules: dict[str, Any] | None = None, /, **cells: Cell) -> dict[str, object]:
    record = checked(rules, **cells)
    assert isinstance(record, Record), record
    body: dict[str, object] = json.loads(record.body)
    return body


def words(found: Problem) -> str:
    """Return the sentence that the results have for a problem."""
    return message_of(found.reasons) or ""


def problem(rules: dict[str, Any] | None = None, /, **cells: Cell) -> Problem:
    found = checked(rules, **cells)
    assert isinstance(found, Problem), found
    return found
