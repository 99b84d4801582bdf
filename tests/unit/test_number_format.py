"""Numbers are read as spreadsheet programs show them, or not at all."""

from __future__ import annotations

import csv
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.read.number_format import (
    Shown,
    _compiled,
    changes_texts,
    is_plain,
    shown,
    shown_of_text,
)
from tests.tools.record_shown_texts import CODES, FRACTIONS, RECORDING, TEXTS, VALUES

# Formats whose whole numbers are never known: the programs differ, or their languages.
UNCERTAIN = {
    *("yyyy-mm-dd", "m/d/yyyy", "hh:mm", "[h]:mm", "d-mmm", "mmm-yy", "# ?/?", "# ??/16", "0/0"),
    *("0.00E+00", "##0.0E+0", "0E+0", "N0", "SH-0", "x0", "0!x", '"unclosed', '0"unclosed', "\\"),
    *(
        "[$-2000401]0",
        "[DBNum1]0",
        "[Red]",
        "0.",
        "#.",
        "0.###",
        "#.##",
        "0.0,",
        "0.00,,",
        "0%%",
        "*x0",
        '"SH-"@',
    ),
    *('@"x"', "0;0;0;0;0"),
}


def _recorded() -> dict[str, list[tuple[str, str]]]:
    """Value and text by code, as LibreOffice shows them."""
    texts = defaultdict(list)
    with RECORDING.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            texts[row["code"]].append((row["value"], row["shown"]))
    return texts


RECORDED = _recorded()


def _text(value: str, code: str) -> str | None:
    if value in TEXTS:
        return shown_of_text(value, code)
    result = shown(float(value), code)
    return None if result is None else result.text


def test_the_recording_is_of_the_formats_listed() -> None:
    assert list(RECORDED) == list(CODES)
    assert {len(texts) for texts in RECORDED.values()} == {
        len(VALUES) + len(FRACTIONS) + len(TEXTS)
    }


@pytest.mark.parametrize("code", CODES)
def test_a_text_is_that_of_libreoffice_or_unknown(code: str) -> None:
    """The ends are trimmed, as they are in every cell."""
    if code == "0;0;0;0;0":  # not a format: the programs repair it, each in its way
        assert shown(5, code) is None
        return
    for value, text in RECORDED[code]:
        ours = _text(value, code)
        assert ours is None or ours.strip() == text.strip(), (code, value)


def test_certain_formats_are_known() -> None:
    """The formats of keys are read, not refused: all whole numbers up to 15 digits."""
    unknown = {
        code: {value for value in VALUES if _text(str(value), code) is None} for code in CODES
    }
    assert {code for code, values in unknown.items() if len(values) == len(VALUES)} == UNCERTAIN
    partly = {code: values for code, values in unknown.items() if values and code not in UNCERTAIN}
    assert partly == {
        # Digits that may be left out after one that must be there: the programs differ.
        "0#": {0},
        "0##": {0, 1, 7},
        "0???": {0, 1, 7, 12, 77},
        # Excel keeps the point without decimals, LibreOffice doesn't.
        "0.##;-0.##;": set(VALUES) - {0},
    }


@pytest.mark.parametrize(
    ("value", "code", "text"),
    [
        (2.5, "0", "3"),  # half up, not to even
        (2.675, "0.00", "2.68"),  # of the decimal number, not of the binary one below it
        (1.005, "0.00", "1.01"),
        (0.1 + 0.2, "General", "0.3"),
        (999.5, "0000", "1000"),
        (1.5, "#,##0.0", "1.5"),
        (12345678, "000-00-0000", "012-34-5678"),
        (77, '"SH-"General', "SH-77"),
        (5550100, "[<=9999999]###-####;(###) ###-####", "555-0100"),
        (3125550100, "[<=9999999]###-####;(###) ###-####", "(312) 555-0100"),
        (930, "00:00", "09:30"),
        (0.04, "0%", "4%"),
    ],
)
def test_known_texts(value: float, code: str, text: str) -> None:
    result = shown(value, code)
    assert result is not None
    assert result.text == text


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (1e15, "0"),  # 16 digits, the last one lost
        (1234.56789012345, "General"),  # depends on the width of the column
        (1e-5, "General"),  # 0.00001 or 1E-05
        (-0.4, "0"),  # 0 or -0
        (-5, '[<10]"a"0;0'),
        (5, "[>10]0"),
        (5, '"SH" 0* "x"'),  # filled up to the column's width
        (5, "0" * 300),
        (5, "[$-1000409]0"),  # the digits of another script
    ],
)
def test_unknown_texts(value: float, code: str) -> None:
    assert shown(value, code) is None


@pytest.mark.parametrize(
    ("value", "code", "is_local"),
    [
        (1001, "0", False),
        (1001, "#,##0", True),
        (77, "#,##0", False),  # no separator is shown
        (77, "0.0", True),
        (12.5, "General", True),
        (12.5, '"SH-"General', True),
        (77, "000\\.000", False),  # a literal is the same in every language
    ],
)
def test_separators_depend_on_the_language(value: float, code: str, *, is_local: bool) -> None:
    result = shown(value, code)
    assert result is not None
    assert result.is_local is is_local


@pytest.mark.parametrize(
    ("text", "code", "expected"),
    [
        ("77", "@", "77"),
        ("77", "0000", "77"),  # a format for numbers leaves texts alone
        ("77", '"SH-"@', "SH-77"),
        ("77", '0;0;0;"SH-"@', "SH-77"),
        ("77", ";;;", ""),
        ("77", "yyyy-mm-dd;@", "77"),
        ("77", 'N"SH-"@', None),
    ],
)
def test_texts_in_a_format(text: str, code: str, expected: str | None) -> None:
    assert shown_of_text(text, code) == expected
    assert changes_texts(code) is (expected != text)


def test_plain_formats() -> None:
    assert [code for code in ("General", "GENERAL", "@", "", "0", "00") if is_plain(code)] == [
        "General",
        "GENERAL",
        "@",
        "",
    ]


CODE = st.text('0#?.,%;@-/E+yd"\\ _*[]()Gx<=>1$€\u200b', max_size=20)


@given(code=CODE, value=st.integers(0, 10**15 - 1) | st.floats(-1e15, 1e15))
def test_any_code_gives_a_text_or_none(code: str, value: float) -> None:
    result = shown(value, code)
    assert result is None or isinstance(result, Shown)
    assert shown_of_text("abc", code) is not None or "@" in code or code.count(";") > 2


@given(digits=st.integers(1, 15), value=st.integers(0, 10**15 - 1))
def test_padding_loses_no_digit(digits: int, value: int) -> None:
    assert shown(value, "0" * digits) == Shown(str(value).rjust(digits, "0"))


@given(
    value=st.integers(0, 10**12),
    groups=st.lists(st.integers(1, 4), min_size=2, max_size=4),
)
def test_literals_between_digits_change_none(value: int, groups: list[int]) -> None:
    result = shown(value, "-".join("0" * size for size in groups))
    assert result is not None
    assert result.text.replace("-", "").lstrip("0") == str(value).lstrip("0")
    assert [len(part) for part in result.text.split("-")][1:] == groups[1:]


USUAL = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(("", '"SH-"', "\\#", "$", "_(")),
    st.sampled_from(("0", "00000", "#,##0", "##0", "###0", "0,000", "#")),
    st.sampled_from(("", ".0", ".00", ".000", ".0#")),
    st.sampled_from(("", "%", ",", '" x"', "_)")),
)


@given(code=USUAL, value=st.integers(0, 10**12) | st.floats(0, 1e12))
def test_the_short_way_shows_what_the_long_one_shows(code: str, value: float) -> None:
    (section,) = _compiled(code)._numbers
    short = section.render(value)
    _compiled.cache_clear()
    section._usual = None
    assert section.render(value) == short
