"""Words, formats and colours that reports share."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bulk_sync.model.comparison import Author, RowClass
from bulk_sync.model.rows import RateSource, State
from bulk_sync.report import words
from bulk_sync.report.words import CLASSES, CODES, STATES, printable
from tests.unit.pages import contrast


def test_every_code_and_state_has_its_words() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    table = readme[readme.index("| `updated` |") : readme.index("| `pending` |")]
    codes = set(
        re.findall(r"`([a-z]+_[a-z_]+|timeout|connection|refused|forbidden|throttled)`", table)
    )
    assert codes == set(CODES)
    assert set(STATES) == set(State)
    assert set(CLASSES) == set(RowClass)
    assert set(words.AUTHORS) == set(Author)


def test_the_colours_of_a_workbook_have_a_contrast_of_7_to_1() -> None:
    for look in (*STATES.values(), *CLASSES.values()):
        assert contrast(look.ground, look.letters) >= 7, look.name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 😀", "plain é 😀"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\nb", "a\\nb"),
        ("\u202e", "\\u202e"),
        ("\ud800", "\\ud800"),
    ],
)
def test_no_control_reaches_the_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("limit", "source", "text"),
    [
        (10.0, RateSource.OPTION, "limit 10/s (set by --rate)"),
        (0.5, RateSource.HEADER, "limit 30/min (stated by the API)"),
        (98.76, RateSource.FOUND, "limit 98.8/s (measured)"),
    ],
)
def test_a_limit_has_its_source(limit: float, source: RateSource, text: str) -> None:
    assert words.limit_text(limit, source) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.25, "0.2 s"),
        (5, "5 s"),
        (59.96, "1 min"),
        (125.2, "2 min 5 s"),
        (600, "10 min"),
        (9000, "2 h 30 min"),
        (7200, "2 h"),
    ],
)
def test_spans(seconds: float, text: str) -> None:
    assert words.span(seconds) == text


@pytest.mark.parametrize(
    ("per_second", "text"),
    [(1500.0, "1,500/s"), (999.4, "999/s"), (1.0, "1/s"), (0.25, "15/min")],
)
def test_rates(per_second: float, text: str) -> None:
    assert words.rate(per_second) == text


NOW = datetime(2026, 3, 14, 17, 27, 17)  # noqa: DTZ001 - the time of day here, wherever it is


@pytest.mark.parametrize(
    ("later", "shown"),
    [
        (timedelta(seconds=-13), "17:27"),
        (timedelta(0), "17:27"),
        (timedelta(microseconds=40), "17:27:17"),
        (timedelta(milliseconds=1), "17:27:18"),
        (timedelta(seconds=46), "17:28:03"),
        (timedelta(seconds=46, milliseconds=300), "17:28:04"),
        (timedelta(minutes=59, seconds=59), "18:27:16"),
        (timedelta(hours=1), "18:28"),
        (timedelta(hours=1, seconds=43), "18:28"),
        (timedelta(hours=1, seconds=43, milliseconds=1), "18:29"),
        (timedelta(days=1), "2026-03-15 17:28"),
        (timedelta(days=-1), "2026-03-13 17:27"),
    ],
)
def test_a_time_of_day_is_never_later_than_it_was_nor_earlier_than_it_will_be(
    later: timedelta, shown: str
) -> None:
    moment = (NOW + later).astimezone(UTC)
    assert words.time_of_day(moment, NOW.astimezone(UTC)) == shown


@pytest.mark.parametrize(
    ("later", "shown"),
    [
        (timedelta(seconds=43), "2026-03-14 17:28"),
        (timedelta(seconds=46), "2026-03-14 17:28:03"),
        (timedelta(seconds=45, milliseconds=1), "2026-03-14 17:28:03"),
        (timedelta(minutes=32, seconds=43), "2026-03-14 18:00"),
    ],
)
def test_a_moment_to_come_is_shown_to_the_second(later: timedelta, shown: str) -> None:
    assert words.local_time((NOW + later).astimezone(UTC)) == shown
