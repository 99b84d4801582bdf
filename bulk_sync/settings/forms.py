"""The forms of options that are more than a number or a word."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import time

from bulk_sync.address import UUID, check_base_url
from bulk_sync.quantities import (
    all_of,
    duration_text,
    parse_clock_time,
    parse_condition,
    parse_duration,
    parse_rates,
    parse_reserve,
    parse_rows,
    parse_scale,
    parse_share,
)
from bulk_sync.settings.option import Form
from bulk_sync.settings.zones import check_timezone


def parse_pair(text: str) -> tuple[str, str]:
    """Return `Header=field` as both; raises ValueError without an equals sign."""
    header, equals, field = text.rpartition("=")  # a header may have an equals sign
    if not equals or not header.strip():
        raise ValueError(f"{text!r}: write it as 'Header=field', or 'Header=' to ignore the column")
    return header.strip(), field.strip()


def all_pairs(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return pairs as a mapping; raises ValueError for a header with different fields."""
    found: dict[str, str] = {}
    for header, field in pairs:
        if found.setdefault(header, field) != field:
            raise ValueError(f"{header!r} is mapped twice, to {found[header]!r} and to {field!r}")
    return found


def parse_clear(text: str) -> str:
    """Return the token of --clear; raises ValueError for a blank one."""
    if not text.strip():
        raise ValueError(
            'a blank cell clears nothing; a profile can say so for a field: blank = "clear"'
        )
    return text


def parse_name(text: str) -> str:
    """Return a name without blanks around it; raises ValueError for a blank one."""
    if not text.strip():
        raise ValueError("a blank name fits nothing")
    return text.strip()


def parse_report_id(text: str) -> str:
    """Return the id of a report in lower case; raises ValueError for anything but a UUID."""
    if not UUID.fullmatch(text.strip()):
        raise ValueError(
            f"{text!r} is not the id of a report: North's are UUIDs, such as "
            "550e8400-e29b-41d4-a716-446655440000"
        )
    return text.strip().lower()


def _clock_time_text(value: time) -> str:
    return value.isoformat("minutes")


RATES = Form("rate", "50/s, 600/m, 5000/h or 9000/d", parse_rates, none="auto", collect=all_of)
RESERVE = Form("number of requests or share", "100 or 10%", parse_reserve)
SHARE = Form("number of rows or share", "20 or 5%", parse_share)
DURATION = Form("duration", "90s, 15m or 5h30m", parse_duration, duration_text)
CLOCK_TIME = Form("time of day", "09:00", parse_clock_time, _clock_time_text)
SCALE = Form("scale of ratings", "10 or 0-10", parse_scale)
ZONE = Form("time zone", "America/Chicago", check_timezone)
BASE_URL = Form("base URL", "https://api.northreports.com", check_base_url)
PAIRS = Form("mapping", "'Client said=feedback'", parse_pair, collect=all_pairs, is_mapping=True)
REPORT_ID = Form("report id", "550e8400-e29b-41d4-a716-446655440000", parse_report_id)
TOKEN = Form("text", "n/a", parse_clear)
ROWS = Form("list of rows", "10-20,35", parse_rows, collect=all_of)
CONDITIONS = Form("condition", "'Status=Confirmed'", parse_condition, collect=all_of)
NAME = Form("name", "Example Realty", parse_name)
