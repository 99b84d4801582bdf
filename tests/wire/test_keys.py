"""Keys from the cell to the path of the request."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Program
from tests.faultserver import Journal, all_good, fault_server
from tests.helpers import Ran, read_csv, write_sheet
from tests.unit.test_workbook_shown import WRITERS
from tests.unit.workbooks import ods_parts, ods_row, ods_text, write

pytestmark = pytest.mark.usefixtures("fast_time")

# Format, number, its text in an ODS, and the key; None where that isn't certain.
SHOWN = [
    ("00000", 123.0, "00123", "00123"),
    ("000-00-0000", 12345678.0, "012-34-5678", "012-34-5678"),
    ('"SH-"General', 77.0, "SH-77", "SH-77"),
    ("General", 42.0, "42", "42"),
    ("General", 123456789012345.0, "123456789012345", "123456789012345"),
    ('[>=1000]"K-"0;"S-"0', 999.0, "S-999", "S-999"),
    ("#,##0", 70002.0, "70,002", None),
    ("0.00", 1001.0, "1001.00", None),
    ("0.00E+00", 1001.0, "1.00E+03", None),
]
BAD = sum(key is None for *_, key in SHOWN)


def as_ods(path: Path) -> Path:
    rows = [
        ods_row(
            f'<table:table-cell office:value-type="float" office:value="{value}">'
            f"<text:p>{text}</text:p></table:table-cell>",
            ods_text("4"),
        )
        for _, value, text, _ in SHOWN
    ]
    header = ods_row(ods_text("key"), ods_text("rating"))
    return write(path, ods_parts(header + "".join(rows)))


def pushed(program: Program, sheet: Path, *options: object) -> tuple[Ran, Journal]:
    with fault_server(all_good) as journal:
        options = ("--base-url", journal.base_url, "--max-problems", "100%", *options)
        return program("push", sheet, *options), journal


@pytest.mark.parametrize("kind", ["xlsx", "xls", "xlsb", "ods"])
def test_a_key_is_what_the_workbook_shows(program: Program, tmp_path: Path, kind: str) -> None:
    """A row in which that isn't certain is refused, and so it is from the file of failed rows."""
    path = tmp_path / f"x.{kind}"
    if kind == "ods":
        as_ods(path)
    else:
        WRITERS[kind](path, [(code, value) for code, value, *_ in SHOWN])
    ran, journal = pushed(program, path, "--map", "key=unique_showing_key")
    assert ran.code == 3, ran.err
    assert sorted(journal.patched) == sorted(key for *_, key in SHOWN if key)
    assert {request.body for request in journal.requests if request.body} == {b'{"rating":4}'}
    failed = tmp_path / f"x.{kind}.failed.csv"
    assert len(read_csv(failed)) == BAD
    again, journal = pushed(program, failed)
    assert again.code == 3
    assert journal.patched == []


@pytest.mark.parametrize(
    ("keys", "sent"),
    [
        (["sh-1\u200b", "sh-2", "sh-1"], ["sh-2"]),
        (["caf\u00e9-1", "cafe\u0301-1", "sh-2"], ["sh-2"]),
        (["caf\u00e9-1", "sh-2"], ["caf\u00e9-1", "sh-2"]),
        ([str(2026031400000008 + n) for n in range(4)],) * 2,
        (["2026031400000010", "2026031400000020"], []),
        (["1001.0", "", "1003.0"], []),
        (["1001.0", "1001.1"], ["1001.0", "1001.1"]),
        (["2-Jul", "Jul-26", "NULL", "nan", "\\N", "Caf\ufffd", "A&amp;B", "####", "ok"], ["ok"]),
    ],
)
def test_only_keys_that_name_a_showing_are_sent(
    program: Program, tmp_path: Path, keys: list[str], sent: list[str]
) -> None:
    sheet = write_sheet(
        tmp_path / "x.csv",
        [(key, number % 5 + 1) for number, key in enumerate(keys)],
        ["unique_showing_key", "rating"],
    )
    ran, journal = pushed(program, sheet)
    assert ran.code == (0 if sent == keys else 3)
    assert sorted(journal.patched) == sorted(sent)
    if sent != keys:
        again, journal = pushed(program, tmp_path / "x.failed.csv")
        assert again.code == 3
        assert journal.patched == []
