"""The sandbox's limits together, and what replies and `users/me` state of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.errors import UsageError
from bulk_sync.quantities import Rate
from bulk_sync.sandbox.account import Key, users_me
from bulk_sync.sandbox.behaviour import Behaviour
from bulk_sync.sandbox.gate import Gate
from bulk_sync.sandbox.limits import Verdict
from bulk_sync.settings.composed import part
from tests.models.rules import FixedWindow, LockOut, Rule, Several

HOUR = 3600.0
NOW = datetime(2026, 3, 14, 16, 30, 0, 250_000, tzinfo=UTC)
KEY = "Bearer north_sk_test_0123456789abcdef0123456789abcdef"


def gate(*allowances: Rate, **behaviour: Any) -> Gate:
    return Gate(Behaviour(allowances=allowances, **behaviour))


def headers(on: Gate, *moments: float) -> dict[str, str]:
    """Return the headers of the last of the requests at those moments."""
    return dict([on.ask(moment, 0) for moment in moments][-1].headers)


@pytest.mark.parametrize(
    ("told", "passes", "expected"),
    [
        ((), True, {}),
        (("users-me",), False, {}),
        (("none",), False, {}),
        (("retry-after",), True, {}),
        (("retry-after",), False, {"Retry-After": "1800"}),
        (("headers",), True, {"RateLimit-Policy": '"default";q=2;w=3600',
                              "RateLimit": '"default";r=1;t=1800'}),
        (("headers",), False, {"RateLimit-Policy": '"default";q=2;w=3600',
                               "RateLimit": '"default";r=0;t=1800', "Retry-After": "1800"}),
        (("x-headers",), True, {"X-RateLimit-Limit": "2", "X-RateLimit-Remaining": "1",
                                "X-RateLimit-Reset": "1800"}),
        (("users-me", "retry-after"), False, {"Retry-After": "1800"}),
    ],
)  # fmt: skip
def test_an_allowance_is_stated_where_the_option_says(
    told: tuple[str, ...], passes: bool, expected: dict[str, str]
) -> None:
    on = gate(Rate(2, HOUR), allowance_told=told)
    half_past = 10.5 * HOUR
    assert headers(on, *[half_past] * (1 if passes else 3)) == expected
    assert (on.allowance(half_past) is not None) == ("users-me" in told)


def test_several_limits_are_members_of_one_header_and_the_longest_wait_counts() -> None:
    on = gate(Rate(2, 1), Rate(3, HOUR), allowance_told=("headers",))
    assert headers(on, 10.0) == {
        "RateLimit-Policy": '"second";q=2;w=1, "hour";q=3;w=3600',
        "RateLimit": '"second";r=1;t=1, "hour";r=2;t=3590',
    }
    # The second's quota is used up, the hour's is not.
    assert headers(on, 10.0, 10.0)["Retry-After"] == "1"
    assert headers(on, 11.0, 11.0)["Retry-After"] == "3589"


def test_one_set_of_x_headers_is_about_the_tightest_limit() -> None:
    on = gate(Rate(2, 1), Rate(3, HOUR), allowance_told=("x-headers",))
    assert headers(on, 10.0)["X-RateLimit-Limit"] == "2"
    assert headers(on, 11.0, 12.0)["X-RateLimit-Limit"] == "3"


def test_a_limit_and_an_allowance_are_stated_each_in_its_own_way() -> None:
    behaviour = {"limit": Rate(1, 1), "limit_style": "fixed-window", "limit_headers": "ratelimit"}
    on = gate(Rate(3, HOUR), **behaviour)
    assert headers(on, 10.0) == {
        "RateLimit-Policy": '"default";q=1;w=1',
        "RateLimit": '"default";r=0;t=1',
    }
    # Of the hour's end, at which a request would pass again, the headers say nothing.
    assert headers(on, 11.0, 12.0, 13.5)["RateLimit"] == '"default";r=1;t=1'
    assert "Retry-After" not in headers(on, 13.5)


def test_users_me_has_the_allowance_with_the_longest_window() -> None:
    on = gate(Rate(10, 1), Rate(1000, HOUR))
    for _ in range(3):
        on.ask(1800.0, 0)
    state = on.allowance(1800.0)
    assert state is not None
    assert (state.remaining, state.reset_seconds) == (997, 1800.0)
    assert Gate(Behaviour(limit=Rate(10, 1))).allowance(1800.0) is None


def test_a_lock_out_refuses_without_a_word() -> None:
    on = gate(limit=Rate(1, 1), limit_headers="ratelimit", lock_out_seconds=30.0)
    assert [on.ask(moment, 0).passes for moment in (10.0, 10.5, 12.0, 41.9, 71.9)] == [
        True,
        False,
        False,
        False,
        True,
    ]
    assert "RateLimit" in headers(on, 73.0)
    assert headers(on, 73.5) == {}


def test_replies_are_in_real_seconds_whatever_the_speed() -> None:
    on = gate(Rate(2, HOUR), allowance_told=("users-me", "headers"), speed=60.0)
    # 16:30:15 by the wall clock is a quarter into the sandbox's hour.
    moment = (16 * HOUR + 30 * 60 + 15) * 60
    assert headers(on, moment, moment, moment) == {
        "RateLimit-Policy": '"default";q=2;w=60',
        "RateLimit": '"default";r=0;t=45',
        "Retry-After": "45",
    }
    state = on.allowance(moment)
    assert state is not None
    assert state.reset_seconds == 45.0
    assert on.ask(moment + 45 * 60, 0).passes


@given(
    st.lists(st.floats(0, 4).map(lambda gap: round(gap, 2)), max_size=60),
    st.sampled_from([None, 3.0]),
)
def test_limits_together_pass_what_the_models_of_the_benchmarks_pass(
    gaps: list[float], lock_out: float | None
) -> None:
    both: Rule = Several(FixedWindow(2, 1), FixedWindow(5, 60))
    model = both if lock_out is None else LockOut(both, lock_out)
    on = gate(Rate(2, 1), Rate(5, 60), lock_out_seconds=lock_out)
    now = 100.0
    for gap in gaps:
        now += gap
        passes = model.wait(now, 0) == 0
        (model.passed if passes else model.refused)(now)
        assert on.ask(now, 0).passes == passes


def account(header: str = KEY, allowance: Verdict | None = None, **behaviour: Any) -> Any:
    made = Behaviour(**behaviour)
    key = Key.of(header, made)
    assert key is not None
    return users_me(made, key, allowance, 150, NOW)["data"]


def test_users_me_has_the_published_parts() -> None:
    left = Verdict(passes=True, remaining=985, next_seconds=0.0, reset_seconds=1799.75)
    data = account(allowance=left)
    assert data["rate_limit"] == {
        "tier": "standard",
        "remaining": 985,
        "resets_at": "2026-03-14T17:00:00Z",
    }
    usage = {"calls_this_month": 150, "resets_at": "2026-04-01T00:00:00Z"}
    assert data["subscription"]["api_usage"] == usage
    assert data["api_key"]["prefix"] == "north_sk_test_01234567"
    assert account()["rate_limit"] == {"tier": "standard"}


def test_a_reset_is_never_stated_too_early() -> None:
    left = Verdict(passes=True, remaining=1, next_seconds=0.0, reset_seconds=10.0)
    assert account(allowance=left)["rate_limit"]["resets_at"] == "2026-03-14T16:30:11Z"


@pytest.mark.parametrize(
    ("secret", "shown"), [("a" * 32, 8), ("a" * 31, 7), ("anything", 2), ("abc", 0)]
)
def test_the_prefix_shows_at_most_a_quarter_of_a_key(secret: str, shown: int) -> None:
    prefix = account(f"Bearer north_sk_live_{secret}")["api_key"]["prefix"]
    assert prefix == "north_sk_live_" + secret[:shown]


def test_teams_of_other_names_have_other_ids() -> None:
    ids = {account(team=name)["team"]["id"] for name in ("Sandbox Realty", "Acme", "Example")}
    assert len(ids) == 3
    assert account(team="Acme")["team"] == account(team="Acme")["team"]
    given = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
    assert account(team="Acme", given_team_id=given)["team"]["id"] == given


def test_a_key_may_do_what_its_permissions_name() -> None:
    for behaviour, header, may in (
        (Behaviour(), KEY, (True, True)),
        (Behaviour(permissions={"showings": ("read", "update")}), KEY, (True, False)),
        (Behaviour(permissions={"reports": ("read", "update")}), KEY, (False, False)),
        (Behaviour(), "Bearer north_sk_test_readonly", (False, False)),
    ):
        key = Key.of(header, behaviour)
        assert key is not None
        assert (key.may("update"), key.may("create")) == may
    readonly = account("Bearer north_sk_test_readonly")["api_key"]["permissions"]
    assert readonly == {"showings": ["read"], "reports": ["read"]}


def test_options_are_read_as_they_are_typed() -> None:
    made = part(
        Behaviour,
        {
            "allowance": ["10/s", "1000/h"],
            "allowance_told": ["users-me", "headers"],
            "permissions": ["showings:read,update", "comps:"],
            "team_id": "550E8400-E29B-41D4-A716-446655440001",
            "lock_out": "30s",
            "speed": "60",
        },
    )
    assert made.allowances == (Rate(10, 1), Rate(1000, HOUR))
    assert made.allowance_told == ("users-me", "headers")
    assert made.permissions == {"showings": ("read", "update"), "comps": ()}
    assert made.team_id == "550e8400-e29b-41d4-a716-446655440001"
    assert (made.lock_out_seconds, made.speed) == (30.0, 60.0)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("allowance", ["1000"], "1000/h|50/s"),
        ("allowance_told", ["header"], "users-me, headers, x-headers, retry-after, none"),
        ("permissions", ["showings"], "showings:read,update"),
        ("team_id", "Acme", "not a UUID"),
        ("speed", "fast", "such as 60"),
        ("speed", "0.5", "less than 1"),
        ("lock_out", "0", "above 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(name: str, value: object, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        part(Behaviour, {name: value})
