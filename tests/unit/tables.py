"""Text files as the reader sees them, for its tests."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from bulk_sync.check.headers import Names, recognise
from bulk_sync.errors import InputError
from bulk_sync.model.rows import Row
from bulk_sync.model.summaries import Understood
from bulk_sync.read.files import open_table
from bulk_sync.read.interface import ReadOptions

NAMES = Names()


def options(**told: Any) -> ReadOptions:
    return ReadOptions(lambda cells: recognise(cells, NAMES, {}), **told)


def understood(path: Path, **told: Any) -> tuple[Understood, tuple[str, ...], list[Row]]:
    with open_table(path, options(**told)) as table:
        return table.understood, table.headers, list(table.rows())


def read(path: Path, **told: Any) -> tuple[tuple[str, ...], list[Row]]:
    return understood(path, **told)[1:]


def refused(path: Path, **told: Any) -> str:
    with pytest.raises(InputError) as raised:
        read(path, **told)
    sentence = str(raised.value)
    assert sentence.startswith(f"{path}: ")
    assert "\n" not in sentence
    return sentence


def csv_of(rows: list[list[str]], **dialect: Any) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, **dialect).writerows(rows)
    return text.getvalue()
