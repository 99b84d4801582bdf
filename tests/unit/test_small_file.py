"""The TOML of small files is parsed in a bounded time, and ends in one kind of error."""

from __future__ import annotations

import tomllib

import pytest

from bulk_sync.small_file import parse_toml


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "text",
    [
        "a." * 400_000 + "a = 1",
        "'a' . " * 150_000 + "a = 1",
        '["a".' + '"b".' * 200_000 + "c]",
        "x = { " + "a-1." * 200_000 + "a = 1 }",
        "a = " + "9" * 900_000,
        "a = " + "1_" * 400_000 + "1",
        "a" * 900_000,
        '"' * 900_000,
        ("a." * 99 + "a " + "\n") * 4_000,
    ],
)
def test_a_text_that_would_take_minutes_is_no_toml(text: str) -> None:
    with pytest.raises(tomllib.TOMLDecodeError):
        parse_toml(text)


def test_dots_in_texts_and_short_keys_are_as_meant() -> None:
    parsed = parse_toml('a.b."c.d" = "...."\n[dates]\norder = "1.2.3 " # ' + "." * 500)
    assert parsed == {"a": {"b": {"c.d": "...."}}, "dates": {"order": "1.2.3 "}}
