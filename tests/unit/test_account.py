"""The answer to users/me: read as far as it can be, and judged."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.errors import BulkSyncError, KeyRefused, Outage, WrongTeam
from bulk_sync.model.account import Team, same_team
from bulk_sync.model.rows import RateSource
from bulk_sync.send.account import (
    Account,
    Known,
    Refused,
    Unknown,
    Wanted,
    allowance,
    judge,
    read_account,
    refusal_without_answer,
)
from bulk_sync.send.account_watch import INTERVAL_SECONDS, Reminder
from bulk_sync.send.headers import Quota
from bulk_sync.send.transport.interface import Failure, Reply

TEAM = Team("550e8400-e29b-41d4-a716-446655440000", "Example Realty")
OTHER = Team("650e8400-e29b-41d4-a716-446655440000", "Other Realty")

PUBLISHED: dict[str, Any] = {
    "team": {
        "id": "550e8400-e29b-41d4-a716-446655440000",
        "name": "Example Realty",
        "created_at": "2024-01-15T10:30:00Z",
        "member_count": 3,
        "reports_count": 25,
    },
    "subscription": {
        "plan": "professional",
        "status": "active",
        "api_usage": {"calls_this_month": 150, "resets_at": "2024-02-01T00:00:00Z"},
    },
    "api_key": {
        "name": "Nightly sync",
        "prefix": "north_sk_live_abc12345",
        "permissions": {"reports": ["read", "create", "update"], "comps": ["read"]},
        "rate_limit_tier": "standard",
    },
    "rate_limit": {
        "tier": "standard",
        "remaining": 985,
        "resets_at": "2024-01-20T17:00:00Z",
    },
}


def reply(status: int = 200, body: object = None, **headers: str) -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(
        status, {name.replace("_", "-"): value for name, value in headers.items()}, content
    )


def answer(**parts: object) -> Reply:
    """The published answer with some parts replaced; None leaves one out."""
    data = {name: value for name, value in {**PUBLISHED, **parts}.items() if value is not None}
    return reply(200, {"data": data})


def known(**parts: object) -> Account:
    account = read_account(answer(**parts))
    assert account is not None
    return account


# Read


def test_the_published_example_is_read_in_full() -> None:
    assert known() == Account(
        team=TEAM,
        permissions={"reports": ("read", "create", "update"), "comps": ("read",)},
        remaining=985,
        resets_at=datetime(2024, 1, 20, 17, tzinfo=UTC),
        calls_this_month=150,
        month_resets_at=datetime(2024, 2, 1, tzinfo=UTC),
        key_name="Nightly sync",
    )


@pytest.mark.parametrize("part", PUBLISHED)
def test_each_part_may_be_missing(part: str) -> None:
    without, full = known(**{part: None}), known()
    gone = {
        "team": {"team"},
        "subscription": {"calls_this_month", "month_resets_at"},
        "api_key": {"permissions", "key_name"},
        "rate_limit": {"remaining", "resets_at"},
    }[part]
    for name in Account.__struct_fields__:
        empty = Account.__struct_defaults__[Account.__struct_fields__.index(name)]
        expected = (empty if name != "permissions" else {}) if name in gone else getattr(full, name)
        assert getattr(without, name) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Sign in</html>",
        b"[" * 100_000,
        b"9" * 10_000,
        b"\xff\xfe",
        b"null",
        b"[]",
        b'"data"',
        b"{}",
        b'{"data": null}',
        b'{"data": []}',
        b'{"data": {}}',
        b'{"data": {"id": "3c90c3cc"}, "message": "ok"}',
        b'{"data": {"team": "Example Realty"}}',
        b'{"data": {"team": {"name": "x"}}, "error": {"message": "no"}}',
    ],
)
def test_another_shape_is_no_account(body: bytes) -> None:
    assert read_account(reply(200, body)) is None


def test_only_a_success_is_an_account() -> None:
    for status in (199, 300, 401, 403, 404, 500):
        assert read_account(answer()._replace(status=status)) is None


@pytest.mark.parametrize("wrong", [None, True, "985", [], {}, -1.5, math.nan, math.inf, 1e400])
def test_a_count_of_a_wrong_type_is_ignored(wrong: object) -> None:
    limit = {"remaining": wrong, "resets_at": "2024-01-20T17:00:00Z"}
    assert known(rate_limit=limit).remaining is None


@pytest.mark.parametrize(("number", "count"), [(0, 0), (12.0, 12), (-3, 0), (10**30, 2**53)])
def test_a_count_is_a_whole_number_that_is_not_negative(number: float, count: int) -> None:
    assert known(rate_limit={"remaining": number}).remaining == count


@pytest.mark.parametrize("wrong", [1705770000, "", "soon", "2024-13-01T00:00:00Z", None, ["x"]])
def test_a_moment_of_a_wrong_form_is_ignored(wrong: object) -> None:
    assert known(rate_limit={"remaining": 5, "resets_at": wrong}).resets_at is None


@pytest.mark.parametrize(
    ("permissions", "read"),
    [
        ({"Showings": ["Read", "UPDATE", "read"]}, {"showings": ("read", "update")}),
        ({"showings": ["read", 5, None, "update"]}, {"showings": ("read", "update")}),
        ({"showings": []}, {"showings": ()}),
        ({"showings": [1, 2]}, {}),
        ({"showings": "update"}, {}),
        ({"showings": {"update": True}}, {}),
        (["showings:update"], {}),
        ("all", {}),
        (None, {}),
    ],
)
def test_permissions_are_lists_of_verbs_by_resource(
    permissions: object, read: dict[str, tuple[str, ...]]
) -> None:
    assert known(api_key={"name": "x", "permissions": permissions}).permissions == read


def test_a_name_is_one_line_that_files_can_store() -> None:
    account = known(team={"id": 5, "name": "Ex\0ample\r\n \ud800 Realty" + "x" * 1000})
    assert account.team is not None
    assert account.team.id is None
    name = account.team.name
    assert name is not None
    assert name.startswith("Ex ample \\ud800 Realty")
    assert len(name) == 200


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = sorted(
    {
        *PUBLISHED,
        *(name for part in PUBLISHED.values() for name in part),
        "calls_this_month",
        "showings",
        "data",
        "error",
    }
)


def shaped(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(st.sampled_from(NAMES), inner, max_size=6)


@given(
    status=st.sampled_from([200, 201, 204, 301, 401, 403, 404, 429, 500, 503]),
    data=json_values | shaped(json_values | shaped(json_values | shaped(json_values))),
    date=st.sampled_from(["", "soon", "Sat, 20 Jan 2024 16:30:00 GMT"]),
    wanted=st.builds(
        Wanted, team=st.none() | st.text(min_size=1), job_team=st.sampled_from([None, TEAM])
    ),
)
def test_no_answer_raises_an_exception(
    status: int, data: object, date: str, wanted: Wanted
) -> None:
    for body in ({"data": data}, data):
        seen = reply(status, body, date=date)
        judged = judge(seen, wanted)
        if isinstance(judged, Known):
            quota = allowance(judged.account, seen.headers, datetime(2024, 1, 20, tzinfo=UTC))
            assert quota is None or 0 < (quota.reset_seconds or 0) < math.inf
            str(judged.account.team).encode()
        elif isinstance(judged, Unknown):
            refusal_without_answer(judged, wanted)


@given(status=st.integers(100, 599), body=st.binary())
def test_no_bytes_raise_an_exception(status: int, body: bytes) -> None:
    judge(reply(status, body), Wanted(team="x"))


# The allowance


NOW = datetime(2024, 1, 20, 12, tzinfo=UTC)  # by our clock, which is wrong


def test_the_reset_is_counted_from_the_replys_own_date() -> None:
    headers = {"date": "Sat, 20 Jan 2024 16:30:00 GMT"}
    told = Quota(remaining=985.0, reset_seconds=1800.0)
    assert allowance(known(), headers, NOW) == told
    assert allowance(known(), {}, datetime(2024, 1, 20, 16, 30, tzinfo=UTC)) == told


@pytest.mark.parametrize(
    "limit",
    [
        {"remaining": 985},
        {"resets_at": "2024-01-20T17:00:00Z"},
        {"remaining": 985, "resets_at": "2024-01-20T12:00:00Z"},  # now
        {"remaining": 985, "resets_at": "2023-01-20T17:00:00Z"},
        {"remaining": 0, "resets_at": "9999-12-31T23:59:59-23:59"},
        {"remaining": 0, "resets_at": "0001-01-01T00:00:00+23:59"},
    ],
)
def test_an_allowance_without_a_sound_reset_is_none(limit: dict[str, object]) -> None:
    assert allowance(known(rate_limit=limit), {}, NOW) is None


def test_the_allowance_is_asked_again_after_a_reset_or_a_refusal_once_a_minute() -> None:
    """A reset in whole seconds is certain a second later."""
    reminder = Reminder()
    assert not reminder.is_due(1e6, RateSource.NONE)  # none was told
    reminder.asked(100.0)
    reminder.answered(100.1, reset_seconds=1800.0)
    for source in (RateSource.NONE, RateSource.ACCOUNT, RateSource.FOUND, RateSource.OPTION):
        assert not reminder.is_due(1901.0, source)
        assert reminder.is_due(1901.2, source)
    assert not reminder.is_due(1901.2, RateSource.HEADER)
    reminder.refused = True
    assert not reminder.is_due(100.0 + INTERVAL_SECONDS - 0.1, RateSource.ACCOUNT)
    assert reminder.is_due(100.0 + INTERVAL_SECONDS, RateSource.ACCOUNT)
    reminder.asked(200.0)
    assert not reminder.is_due(200.0 + INTERVAL_SECONDS, RateSource.ACCOUNT)


def test_a_reset_soon_after_the_start_of_a_run_is_not_missed() -> None:
    reminder = Reminder()
    reminder.asked(100.0)
    reminder.answered(100.1, reset_seconds=20.0)
    assert not reminder.is_due(121.0, RateSource.ACCOUNT)
    assert reminder.is_due(121.2, RateSource.ACCOUNT)
    reminder.asked(121.2)
    # Its windows are shorter than a minute: they are not asked about one by one.
    reminder.answered(121.3, reset_seconds=19.0)
    assert not reminder.is_due(142.0, RateSource.ACCOUNT)
    assert reminder.is_due(121.2 + INTERVAL_SECONDS, RateSource.ACCOUNT)


def test_each_reset_of_a_window_of_a_minute_is_asked_about() -> None:
    reminder = Reminder()
    reminder.asked(100.0)
    reminder.answered(100.1, reset_seconds=20.0)
    reminder.asked(121.3)
    reminder.answered(121.4, reset_seconds=58.5)
    assert reminder.is_due(181.1, RateSource.ACCOUNT)


# Judge


API_403 = {"error": {"message": "Permission denied: users:read", "status": 403}}


@pytest.mark.parametrize(
    ("seen", "for_now"),
    [
        (reply(404, {"error": {"message": "Not found"}}), False),
        (reply(405, b""), False),
        (reply(501, b""), False),
        (reply(200, {"data": {"id": "x"}}), False),
        (reply(204, b""), True),
        (reply(200, b"<html>Sign in</html>"), True),
        (reply(302, b"", location="/login"), True),
        (reply(403, b"<html>Access denied</html>"), True),
        (reply(403, {"message": "blocked"}), True),
        (reply(429, b"", retry_after="5"), True),
        (reply(500, b""), True),
        (reply(503, b""), True),
        (Failure("timeout", "no answer", may_have_arrived=True), True),
    ],
)
def test_without_an_account_a_push_goes_on_unless_a_team_is_demanded(
    seen: Reply | Failure, for_now: bool
) -> None:
    judged = judge(seen, Wanted())
    assert isinstance(judged, Unknown)
    assert judged.for_now is for_now
    assert refusal_without_answer(judged, Wanted()) is None
    refusal = refusal_without_answer(judged, Wanted(team="Example Realty"))
    assert isinstance(refusal, Outage if for_now else WrongTeam)
    assert "couldn't be checked against --team Example Realty" in str(refusal)


@pytest.mark.parametrize(
    "seen",
    [
        reply(401, {"error": {"message": "Invalid API key", "status": 401}}),
        reply(401, b"<html>"),
        reply(403, API_403),
    ],
)
def test_a_refused_key_stops_the_push(seen: Reply) -> None:
    judged = judge(seen, Wanted())
    assert isinstance(judged, Refused)
    assert type(judged.reason) is KeyRefused
    assert f"({seen.status})" in str(judged.reason)


def test_a_failure_that_no_retry_cures_stops_the_push() -> None:
    seen = Failure("connection", "no such host", may_have_arrived=False, hopeless=True)
    judged = judge(seen, Wanted())
    assert isinstance(judged, Refused)
    assert isinstance(judged.reason, Outage)
    assert "no such host" in str(judged.reason)


def refusal(account: Reply, wanted: Wanted) -> BulkSyncError | None:
    judged = judge(account, wanted)
    assert isinstance(judged, Known | Refused)
    return judged.reason if isinstance(judged, Refused) else None


@pytest.mark.parametrize(
    ("granted", "needed", "missing"),
    [
        ({"reports": ["read"]}, {"update"}, None),  # as in the published example
        ({"showings": ["read", "update"]}, {"update"}, None),
        ({"showings": ["*"]}, {"create", "update"}, None),
        ({"showings": ["read"]}, {"update"}, "may not update showings"),
        ({"showings": []}, {"update"}, "may not update showings"),
        ({"showings": ["read", "update"]}, {"create", "update"}, "may not create showings"),
        ({"showings": ["read"]}, {"create", "update"}, "may not create and update showings"),
    ],
)
def test_a_key_that_may_not_do_what_is_needed_is_refused(
    granted: dict[str, list[str]], needed: set[str], missing: str | None
) -> None:
    seen = answer(api_key={"permissions": granted})
    reason = refusal(seen, Wanted(verbs=frozenset(needed)))
    assert (reason is None) == (missing is None)
    if missing:
        assert isinstance(reason, KeyRefused)
        assert reason.exit_code == 5
        assert missing in str(reason)


@pytest.mark.parametrize(
    ("team", "passes"),
    [
        ("Example Realty", True),
        ("  example   REALTY ", True),
        ("550e8400-e29b-41d4-a716-446655440000", True),
        ("550E8400-E29B-41D4-A716-446655440000", True),
        ("550e8400", False),
        ("Example", False),
        ("Other Realty", False),
    ],
)
def test_the_team_of_the_option_is_a_whole_name_or_id(team: str, passes: bool) -> None:
    reason = refusal(answer(), Wanted(team=team))
    assert (reason is None) == passes
    if reason is not None:
        assert isinstance(reason, WrongTeam)
        assert str(TEAM) in str(reason)
        assert team in str(reason)


def test_a_demanded_team_that_users_me_leaves_out_is_refused() -> None:
    reason = refusal(answer(team=None), Wanted(team="Example Realty"))
    assert isinstance(reason, WrongTeam)
    assert "couldn't be checked" in str(reason)


def test_another_team_than_the_jobs_is_refused_and_both_are_named() -> None:
    reason = refusal(answer(), Wanted(job_team=OTHER))
    assert isinstance(reason, WrongTeam)
    assert str(TEAM) in str(reason)
    assert str(OTHER) in str(reason)
    assert refusal(answer(), Wanted(job_team=TEAM)) is None
    assert refusal(answer(team=None), Wanted(job_team=TEAM)) is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (TEAM, TEAM, True),
        (TEAM, Team(str(TEAM.id).upper(), "Renamed Realty"), True),
        (TEAM, Team(OTHER.id, TEAM.name), False),
        (TEAM, OTHER, False),
        (Team(None, "Example Realty"), Team(None, "example realty"), None),
        (Team(None, "Example Realty"), OTHER, False),
        (Team("1", None), Team(None, "Example Realty"), None),
        (TEAM, Team(), None),
        (TEAM, None, None),
        (None, None, None),
    ],
)
def test_ids_decide_whether_two_teams_are_one(
    one: Team | None, other: Team | None, same: bool | None
) -> None:
    assert same_team(one, other) is same
    assert same_team(other, one) is same
