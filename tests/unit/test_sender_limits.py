"""How long what the API says of its limit holds the sender, in simulated time.

Over a socket, in whole runs: tests/wire/test_rate.py.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from bulk_sync.send.pace import Pace
from bulk_sync.send.search import Search
from bulk_sync.send.transport.interface import Reply
from tests.unit.test_sender import OK, send, terms_of

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
"""By the server's clock."""

DATE = {"date": format_datetime(NOW, usegmt=True)}
LATE = 0.1
"""Seconds that a request takes and a sleeper is late, with room; and less than any wait below."""


def pause(reply: Reply, *, workers: int = 1) -> float:
    """Return the seconds between a reply and the next request that was not under way by then."""
    keys = [f"k{number}" for number in range(60)]
    ended = send(
        keys, {"k20": [reply]}, terms_of(workers=workers), pace=Pace(search=Search(rate=1000.0))
    )
    assert ended.states() == ["updated"] * 60
    told_at = next(at for key, at in ended.script.sent if key == "k20") + 0.01
    return min(at for _, at in ended.script.sent if at > told_at) - told_at


def throttled(**headers: str) -> Reply:
    return Reply(429, {name.replace("_", "-"): text for name, text in headers.items()}, b"")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"ratelimit": '"default";r=0;t=2'}, 2.0),
        (
            {
                "ratelimit": '"burst";r=50;t=1, "default";r=0;t=2',
                "ratelimit-policy": '"default";q=100;w=1',
            },
            2.0,
        ),
        ({"ratelimit": "limit=100, remaining=0, reset=2"}, 2.0),
        (
            {
                "ratelimit-limit": "100, 100;w=1",
                "ratelimit-remaining": "0",
                "ratelimit-reset": "2",
            },
            2.0,
        ),
        (
            {"x-ratelimit-limit": "200", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "2"},
            2.0,
        ),
        (
            {
                "x-ratelimit-remaining": "0",
                "x-ratelimit-reset": str(int(NOW.timestamp()) + 2),
                **DATE,
            },
            2.0,
        ),
        ({"ratelimit": '"default";r=0;t=31536000'}, 0.0),
        ({"ratelimit": '"default";r=-1;t=-1'}, 0.0),
        (
            {"x-ratelimit-limit": "NaN", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1e9"},
            0.0,
        ),
        (
            {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW.timestamp()) + 2)},
            0.0,
        ),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "99999999999999", **DATE}, 0.0),
        ({"ratelimit": ';;;"', "ratelimit-policy": "q=0;w=0"}, 0.0),
    ],
    ids=str,
)
@pytest.mark.parametrize("workers", [1, 16])
def test_what_a_good_reply_says_holds_all_before_the_first_refusal_and_nothing_absurd_does(
    headers: dict[str, str], seconds: float, workers: int
) -> None:
    assert seconds <= pause(Reply(200, headers, OK.body), workers=workers) <= seconds + LATE


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"retry_after": "0"},
        {"retry_after": "-5"},
        {"retry_after": "soon"},
        {"retry_after": ""},
        {"retry_after": "nan"},
        {"retry_after": "0x10"},
        {"retry_after": "86400, 86400"},
        {"retry_after": "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"retry_after": "Fri, 31 Dec 2038 23:59:59 GMT", "date": "yesterday"},
    ],
    ids=lambda headers: " & ".join(headers.values()) or "none",
)
def test_a_refusal_that_names_no_sound_wait_has_a_short_one(headers: dict[str, str]) -> None:
    assert pause(throttled(**headers)) < 1


@pytest.mark.parametrize("text", ["1.5", "1500ms"])
def test_a_decimal_wait_is_kept(text: str) -> None:
    assert 1.5 <= pause(throttled(retry_after=text)) <= 1.5 + LATE


def test_a_wait_holds_all_workers_and_ends_in_no_rush() -> None:
    keys = [f"k{number}" for number in range(60)]
    ended = send(
        keys,
        {"k20": [throttled(retry_after="5")]},
        terms_of(workers=16),
        pace=Pace(search=Search(rate=100.0)),
    )
    assert ended.states() == ["updated"] * 60
    told_at = next(at for key, at in ended.script.sent if key == "k20") + 0.01
    later = sorted(at for _, at in ended.script.sent if at > told_at)
    assert later[0] >= told_at + 5
    assert sum(at < later[0] + 0.05 for at in later) <= 8, "spaced, not all at once"
