"""A run's first request, in simulated time: what it finds out, and what no row leaves without."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import anyio
import pytest
from msgspec.structs import replace

from bulk_sync.errors import BulkSyncError, KeyRefused, Outage, StoppedEarly, WrongTeam
from bulk_sync.model.account import Team
from bulk_sync.model.rows import State, Tally
from bulk_sync.send.account import Account, Preflight, Wanted
from bulk_sync.send.account_watch import INTERVAL_SECONDS, MOST_TRIES
from bulk_sync.send.bounds import Bounds
from bulk_sync.send.budget import Budget
from bulk_sync.send.context import Terms
from bulk_sync.send.pace import Pace
from bulk_sync.send.pace_store import LocalPermits, PaceInMemory
from bulk_sync.send.sender import Sender
from bulk_sync.send.transport.interface import Failure, Reply
from tests.models.rules import FixedWindow
from tests.simulation import STARTED, Server, VirtualClock, in_virtual_time, simulate, steady
from tests.unit.test_sender import BROKEN, BUSY, OK, START, Script, Work, terms_of

TEAM = Team("550e8400-e29b-41d4-a716-446655440000", "Example Realty")
MISSING = Reply(404, {}, b'{"error": {"message": "Not found"}}')
HOUR = 3600.0


def account(remaining: int | None = None, resets_in: float = HOUR, **parts: object) -> Reply:
    """An answer in the published shape; the reset is that long after the start."""
    data: dict[str, object] = {"team": {"id": TEAM.id, "name": TEAM.name}, **parts}
    if remaining is not None:
        at = STARTED + timedelta(seconds=START + resets_in)
        data["rate_limit"] = {"remaining": remaining, "resets_at": at.isoformat()}
    return Reply(200, {}, json.dumps({"data": data}).encode())


GOOD = account()


@dataclass
class Api(Script):
    """Users/me gives its answers in order, and keeps to the last; it takes `seconds` for each."""

    of_account: Sequence[Reply | Failure] = (GOOD,)
    seconds: float = 0.05
    row_seconds: float = 0.0
    asked: list[float] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0

    async def get(self, path: str) -> Reply | Failure:
        assert path == "/v1/users/me"
        self.asked.append(self.clock.monotonic())
        number = min(len(self.asked), len(self.of_account))
        await anyio.sleep(self.seconds)  # noqa: TID251 - virtual time
        return self.of_account[number - 1]

    async def renew(self, *, for_good: bool) -> None:
        """There are no connections."""

    async def patch(self, path: str, body: bytes, idempotency_key: str) -> Reply | Failure:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await anyio.sleep(self.row_seconds)  # noqa: TID251 - virtual time
            return await super().patch(path, body, idempotency_key)
        finally:
            self.in_flight -= 1


@dataclass
class Ended:
    api: Api
    states: list[State]
    stopped: BulkSyncError | None
    tally: Tally
    recorded: list[tuple[Account | None, int]]

    @property
    def sent(self) -> list[float]:
        return [at for _, at in self.api.sent]


def push(
    *answers: Reply | Failure,
    rows: int = 6,
    wanted: Wanted | None = None,
    terms: Terms | None = None,
    known: Account | None = None,
    seconds: float = 0.05,
    row_seconds: float = 0.0,
    of_rows: Mapping[str, list[Reply | Failure]] | None = None,
    pace: Pace | None = None,
) -> Ended:
    dice = random.Random(1)
    clock, tally = VirtualClock(dice), Tally()
    work = Work([f"k{number}" for number in range(rows)], tried=False)
    api = Api(dict(of_rows or {}), clock, of_account=answers or (GOOD,))
    api.seconds, api.row_seconds = seconds, row_seconds
    recorded: list[tuple[Account | None, int]] = []

    async def record(account: Account | None) -> None:
        recorded.append((account, len(api.sent)))

    preflight = Preflight(wanted or Wanted(), 10.0, record, known)

    async def run() -> BulkSyncError | None:
        sender = Sender(
            api,
            work,
            budget=Budget(LocalPermits(PaceInMemory(pace), clock, dice), clock),
            terms=replace(terms or terms_of(workers=4), preflight=preflight),
            clock=clock,
            dice=dice,
            tally=tally,
        )
        await sender.run()
        return sender.stopped

    stopped = in_virtual_time(run)
    outcomes = {outcome.id: outcome.state for outcome in work.outcomes}
    states = [outcomes.get(row, State.PENDING) for row in range(rows)]
    return Ended(api, states, stopped, tally, recorded)


def test_a_good_answer_comes_before_the_first_row_and_is_recorded() -> None:
    ended = push()
    assert ended.stopped is None
    assert ended.states == [State.UPDATED] * 6
    assert len(ended.api.asked) == 1
    assert ended.api.asked[0] < min(ended.sent)
    assert [(one and one.team, sent) for one, sent in ended.recorded] == [(TEAM, 0)]
    assert ended.tally.team == TEAM
    assert ended.tally.requests == 1 + 6


@pytest.mark.parametrize(("answer", "together"), [(GOOD, True), (MISSING, False)])
def test_rows_need_not_go_alone_once_the_account_is_known(answer: Reply, together: bool) -> None:
    ended = push(answer, rows=2, row_seconds=5.0)
    assert ended.api.most_in_flight == (2 if together else 1)
    assert ended.states == [State.UPDATED] * 2


@pytest.mark.parametrize(
    "answer",
    [
        MISSING,
        BUSY,
        BROKEN,
        OK,
        Reply(200, {}, b"<html>Sign in</html>"),
        Reply(403, {}, b"<html>Access denied</html>"),
        Reply(405, {}, b""),
        Reply(501, {}, b""),
        Reply(302, {"location": "/login"}, b""),
    ],
)
def test_without_an_answer_the_push_goes_on(answer: Reply | Failure) -> None:
    ended = push(answer)
    assert ended.stopped is None
    assert ended.states == [State.UPDATED] * 6
    assert len(ended.api.asked) == 1
    assert (ended.recorded, ended.tally.team) == ([(None, 0)], None)


def test_a_slow_answer_is_waited_for_ten_seconds_at_most() -> None:
    ended = push(GOOD, seconds=60)
    assert ended.states == [State.UPDATED] * 6
    assert 10 <= min(ended.sent) - ended.api.asked[0] < 10.5
    assert ended.recorded == [(None, 0)]


def test_a_wait_that_it_is_answered_with_holds_the_rows() -> None:
    ended = push(Reply(429, {"retry-after": "30"}, b""))
    assert ended.states == [State.UPDATED] * 6
    assert min(ended.sent) >= ended.api.asked[0] + 30
    assert ended.tally.throttled == 1


REFUSALS = [
    (Reply(401, {}, b'{"error": {"message": "Invalid API key"}}'), Wanted(), KeyRefused),
    (Reply(403, {}, b'{"error": {"message": "No"}}'), Wanted(), KeyRefused),
    (account(api_key={"permissions": {"showings": ["read"]}}), Wanted(), KeyRefused),
    (GOOD, Wanted(team="Other Realty"), WrongTeam),
    (GOOD, Wanted(job_team=Team("6", "Other Realty")), WrongTeam),
    (GOOD, Wanted(job_team=Team("6", "Other Realty"), team="Example Realty"), WrongTeam),
    (MISSING, Wanted(team="Example Realty"), WrongTeam),
    (OK, Wanted(team="Example Realty"), WrongTeam),
]


@pytest.mark.parametrize(("answer", "wanted", "error"), REFUSALS)
def test_a_refusal_sends_no_row_and_leaves_all_pending(
    answer: Reply, wanted: Wanted, error: type[BulkSyncError]
) -> None:
    ended = push(answer, wanted=wanted)
    assert type(ended.stopped) is error
    assert ended.stopped.exit_code == 5
    assert ended.states == [State.PENDING] * 6
    assert (len(ended.api.asked), ended.sent, ended.recorded) == (1, [], [])


def test_a_refused_key_is_told_from_a_block_by_the_apis_own_words() -> None:
    refused = push(Reply(403, {}, b'{"error": {"message": "Permission denied: users:read"}}'))
    assert "Permission denied: users:read (403)" in str(refused.stopped)
    blocked = push(Reply(403, {}, b"<html>Access denied</html>"))
    assert blocked.stopped is None


@pytest.mark.parametrize("failing", [BUSY, BROKEN, Reply(429, {"retry-after": "5"}, b"")])
def test_a_demanded_team_is_asked_for_again_while_the_endpoint_fails(
    failing: Reply | Failure,
) -> None:
    wanted = Wanted(team="Example Realty")
    ended = push(failing, failing, GOOD, wanted=wanted)
    assert ended.states == [State.UPDATED] * 6
    assert len(ended.api.asked) == 3
    never = push(failing, wanted=wanted)
    assert isinstance(never.stopped, Outage)
    assert never.stopped.exit_code == 6
    assert "couldn't be checked" in str(never.stopped)
    assert (len(never.api.asked), never.sent) == (MOST_TRIES, [])


def test_a_stop_ends_the_wait_for_the_answer() -> None:
    ended = push(
        GOOD,
        seconds=9,
        terms=terms_of(bounds=Bounds(deadline=START + 3)),
    )
    assert isinstance(ended.stopped, StoppedEarly)
    assert (ended.sent, ended.recorded) == ([], [])
    assert ended.states == [State.PENDING] * 6


def test_an_account_that_is_known_is_not_requested_again() -> None:
    ended = push(known=Account(team=TEAM))
    assert (ended.api.asked, ended.tally.team) == ([], TEAM)
    assert [one and one.team for one, _ in ended.recorded] == [TEAM]
    assert ended.states == [State.UPDATED] * 6


def test_a_run_without_a_preflight_begins_with_a_row() -> None:
    dice = random.Random(1)

    async def run() -> None:
        clock, work = VirtualClock(dice), Work(["a"], tried=False)
        api = Api({}, clock)
        budget = Budget(LocalPermits(PaceInMemory(), clock, dice), clock)
        await Sender(
            api, work, budget=budget, terms=terms_of(), clock=clock, dice=dice, tally=Tally()
        ).run()
        assert (api.asked, len(api.sent)) == ([], 1)

    in_virtual_time(run)


# The allowance


@pytest.mark.parametrize("seconds", [0.05, 3.0])
def test_the_allowance_that_is_told_is_kept_and_asked_for_again_at_its_reset(
    seconds: float,
) -> None:
    """Five requests are left; the first permit after the reset is for users/me."""
    ended = push(account(5, 120), account(1000, HOUR), rows=20, seconds=seconds)
    assert ended.states == [State.UPDATED] * 20
    resets_at = START + 120
    assert sum(at < resets_at for at in ended.sent) <= 5
    assert len(ended.api.asked) == 2
    assert resets_at <= ended.api.asked[1] <= min(at for at in ended.sent if at >= resets_at)
    assert ended.tally.requests == 2 + 20


def test_rows_on_their_way_at_a_reset_leave_the_new_window_as_it_is_told() -> None:
    """Users/me is asked when the pace, too, takes the old window for over."""
    rule = FixedWindow(100, HOUR, phase=START + 20.3)
    ran = simulate(Server(rule, latency=steady(3.0), answers_me=True), 250, workers=8)
    assert ran.states() == {State.UPDATED: 250}
    assert ran.refused_per_100 == 0
    assert len(ran.server.asked_me) == 1 + 3  # at the start and at each reset


def test_after_a_refusal_it_is_asked_again_once_a_minute_at_most() -> None:
    refused: dict[str, list[Reply | Failure]] = {
        f"k{number}": [Reply(429, {"retry-after": "20"}, b"")] for number in (2, 4, 6, 8, 10, 12)
    }
    ended = push(account(10_000), rows=15, of_rows=refused, terms=terms_of(workers=1))
    assert ended.states == [State.UPDATED] * 15
    gaps = [later - one for one, later in zip(ended.api.asked, ended.api.asked[1:], strict=False)]
    assert gaps
    assert min(gaps) >= INTERVAL_SECONDS


@pytest.mark.parametrize(
    "told", [account(), Reply(200, {"ratelimit": '"hour";r=500;t=60'}, account(500).body)]
)
def test_it_is_not_asked_again_where_none_was_told_or_headers_tell_it(told: Reply) -> None:
    with_headers: Reply = Reply(200, told.headers, OK.body)
    refused: dict[str, list[Reply | Failure]] = {
        f"k{number}": [Reply(429, {**told.headers, "retry-after": "40"}, b""), with_headers]
        for number in (2, 4, 6)
    }
    ended = push(told, rows=15, of_rows=refused, terms=terms_of(workers=1))
    assert ended.states == [State.UPDATED] * 15
    assert len(ended.api.asked) == 1
