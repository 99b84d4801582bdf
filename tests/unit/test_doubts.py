"""Allowances that were used up in an earlier run: believed, but only after one request more."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from bulk_sync.errors import Outage
from bulk_sync.model.rows import RateSource, State
from bulk_sync.send.account import Account
from bulk_sync.send.headers import Quota
from bulk_sync.send.observation import Observation
from bulk_sync.send.pace import Pace
from bulk_sync.send.packed import pack, unpack
from bulk_sync.send.transport.interface import Failure, Reply
from tests.unit.test_preflight import account, push
from tests.unit.test_sender import OK, START, terms_of

HOUR, DAY = 3600.0, 86400.0
USED_UP = Quota(1000, DAY, 0, 20 * HOUR)
OF_HEADERS = Observation(1, "through", 0.02, quotas=(USED_UP,))
OF_ACCOUNT = OF_HEADERS._replace(
    quotas=(Quota(remaining=0, reset_seconds=20 * HOUR),), source=RateSource.ACCOUNT
)
FREE = Observation(2, "through", 0.02)
OF_USERS_ME = FREE._replace(of_account=True)
REFUSED = FREE._replace(kind="throttled")


def used_up(told: Observation = OF_HEADERS) -> Pace:
    """A pace whose first request, at 10 s, was told that the allowance is used up."""
    pace = Pace()
    pace.reserve_group(10.0, 1)
    pace.observe(10.02, told, 0.5)
    return pace


def doubted(told: Observation = OF_HEADERS) -> Pace:
    """The same, after a request that left at 100 s all the same."""
    pace = used_up(told)
    pace.doubt(100.0, 100 + 2 * HOUR)
    assert pace.wait_until(100.0) <= 100
    pace.reserve_group(100.0, 1)
    assert pace.wait_until(100.01) > 100.5, "alone, until it is answered"
    return unpack(pack(pace))


def test_a_reset_that_can_be_waited_for_is_not_doubted() -> None:
    pace = used_up()
    reset = pace.wait_until(100.0)
    pace.doubt(100.0, 100 + 24 * HOUR)
    assert pace.wait_until(100.0) == reset > 100 + 19 * HOUR


@pytest.mark.parametrize(
    ("told", "seen"),
    [(OF_ACCOUNT, OF_USERS_ME), (OF_ACCOUNT, FREE), (OF_HEADERS, FREE)],
    ids=["account, users/me", "account, a row", "headers, a row"],
)
def test_a_reply_that_does_not_repeat_it_ends_it(told: Observation, seen: Observation) -> None:
    pace = doubted(told)
    pace.observe(100.02, seen, 0.5)
    assert pace.wait_until(100.03) <= 100.03
    assert not pace.allowances.are_stated


def test_what_users_me_lacks_among_its_headers_is_asked_of_a_row_alone() -> None:
    pace = doubted()
    pace.observe(100.02, OF_USERS_ME, 0.5)
    assert pace.wait_until(100.03) <= 100.03
    assert pace.reserve_group(100.03, 5).number == 1
    assert pace.wait_until(100.04) > 100.5
    pace.observe(100.05, FREE._replace(ordinal=3), 0.5)
    assert pace.wait_until(100.06) <= 100.06


def test_a_reply_that_repeats_it_confirms_it_and_teaches_nothing_of_the_next_window() -> None:
    pace = doubted()
    later = Quota(1000, DAY, 0, 20 * HOUR - 90)
    pace.observe(100.02, OF_HEADERS._replace(ordinal=2, quotas=(later,)), 0.5)
    assert pace.wait_until(101.0) == pytest.approx(10 + 20 * HOUR, abs=2)
    slot = next(slot for slot in pace.allowances.stated if slot.source)
    assert (slot.limit, slot.refill) == (1000, 0)


def test_a_refusal_confirms_it() -> None:
    pace = doubted()
    reset = used_up().wait_until(50.0)
    pace.observe(100.02, REFUSED, 0.5)
    assert pace.wait_until(100.03) == reset


def test_a_reply_that_states_more_ends_it() -> None:
    pace = doubted()
    pace.observe(100.02, FREE._replace(quotas=(Quota(1000, DAY, 900, 20 * HOUR),)), 0.5)
    assert pace.wait_until(100.03) <= 100.03
    assert pace.allowances.are_stated


# Whole runs


def earlier(source: RateSource) -> Pace:
    """The pace of an earlier run, which ended because 0 requests are left for 200 days."""
    pace = Pace()
    pace.reserve_group(START - 100, 1)
    quota = Quota(remaining=0, reset_seconds=200 * DAY)
    pace.observe(START - 99, Observation(1, "through", 0.02, quotas=(quota,), source=source), 0.5)
    return pace


@pytest.mark.parametrize("source", [RateSource.HEADER, RateSource.ACCOUNT])
def test_an_absurd_reset_stops_no_later_run(source: RateSource) -> None:
    ended = push(account(), pace=earlier(source))
    assert (ended.states, ended.stopped) == ([State.UPDATED] * 6, None)
    assert max(ended.sent) < START + 5


@pytest.mark.parametrize("source", [RateSource.HEADER, RateSource.ACCOUNT])
def test_one_that_users_me_repeats_ends_the_run_after_one_request(source: RateSource) -> None:
    ended = push(account(0, 200 * DAY), pace=earlier(source))
    assert (ended.sent, len(ended.api.asked)) == ([], 1)
    assert isinstance(ended.stopped, Outage)
    assert "Run again after 20" in str(ended.stopped)


def test_one_that_a_row_is_refused_for_ends_the_run_after_that_row() -> None:
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": f"{200 * DAY:.0f}"}
    no: dict[str, list[Reply | Failure]] = {
        f"k{number}": [Reply(429, headers, b"")] for number in range(6)
    }
    ended = push(account(), pace=earlier(RateSource.HEADER), of_rows=no)
    assert (len(ended.sent), ended.states) == (1, [State.PENDING] * 6)
    assert "An allowance is used up for longer than --max-wait (2h)" in str(ended.stopped)


def test_users_me_that_was_asked_before_is_not_doubted() -> None:
    terms = replace(terms_of(workers=4), account_was_asked=True)
    ended = push(known=Account(), pace=earlier(RateSource.ACCOUNT), terms=terms)
    assert (ended.sent, ended.api.asked, ended.states) == ([], [], [State.PENDING] * 6)
    assert isinstance(ended.stopped, Outage)


def test_what_is_used_up_in_mid_run_is_believed() -> None:
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": f"{200 * DAY:.0f}"}
    last: dict[str, list[Reply | Failure]] = {"k2": [Reply(200, headers, OK.body)]}
    ended = push(account(), of_rows=last, terms=terms_of(workers=1))
    assert ended.states == [State.UPDATED] * 3 + [State.PENDING] * 3
    assert isinstance(ended.stopped, Outage)
