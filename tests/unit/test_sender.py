"""The sender in simulated time, with a transport that follows a script."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.errors import BulkSyncError, Outage, StoppedEarly
from bulk_sync.model.rows import Change, Creation, GivenUp, Outcome, State, Tally
from bulk_sync.quantities import Rate, parse_share
from bulk_sync.send.allowances import NO_LIMITS, Given
from bulk_sync.send.backlog import NoWork
from bulk_sync.send.bounds import Bounds
from bulk_sync.send.budget import MANY_WAITING, Budget
from bulk_sync.send.context import Terms
from bulk_sync.send.decide import RetryPolicy
from bulk_sync.send.pace import Pace
from bulk_sync.send.pace_store import LocalPermits, PaceInMemory
from bulk_sync.send.search import Search
from bulk_sync.send.sender import Sender
from bulk_sync.send.transport.interface import Failure, Reply
from tests.simulation import VirtualClock, in_virtual_time

START = 1000.0  # by the virtual clock
OK = Reply(200, {}, b'{"data": {}}')
BUSY = Reply(503, {}, b"")
FORBIDDEN = Reply(403, {}, b'{"error": {"message": "No"}}')
BROKEN = Failure("connection", "it broke", may_have_arrived=True)
REFUSED = Failure("connection", "refused", may_have_arrived=False)


@dataclass
class Script:
    """Answers for each path, in order; then `rest`."""

    answers: dict[str, list[Reply | Failure]]
    clock: VirtualClock
    rest: Reply | Failure = OK
    me: Reply | Failure = OK
    seconds: float = 0.01
    sent: list[tuple[str, float]] = field(default_factory=list)
    under_way: set[str] = field(default_factory=set)

    async def renew(self, *, for_good: bool) -> None:
        """There are no connections."""

    async def patch(self, path: str, body: bytes, idempotency_key: str) -> Reply | Failure:  # noqa: ARG002
        assert path not in self.under_way
        self.under_way.add(path)
        self.sent.append((path.rpartition("/")[2], self.clock.monotonic()))
        await anyio.sleep(self.seconds)  # noqa: TID251 - virtual time
        self.under_way.discard(path)
        queue = self.answers.get(path.rpartition("/")[2], [])
        return queue.pop(0) if queue else self.rest

    async def post(self, path: str, body: bytes, idempotency_key: str) -> Reply | Failure:  # noqa: ARG002
        raise AssertionError("nothing is created unless it was asked for")

    async def get(self, path: str) -> Reply | Failure:
        self.sent.append((path, self.clock.monotonic()))
        return self.me


class Work(NoWork):
    def __init__(self, keys: Sequence[str], *, tried: bool, in_doubt: bool = False) -> None:
        self.left = deque(
            Change(number, number + 2, key, "{}", "d", tried, in_doubt=in_doubt)
            for number, key in enumerate(keys)
        )
        self.outcomes: list[Outcome] = []

    async def claim(self, limit: int) -> list[Change]:
        await anyio.lowlevel.checkpoint()
        return [self.left.popleft() for _ in range(min(limit, len(self.left)))]

    def take(self) -> Change | None:
        return self.left.popleft() if self.left else None

    async def begin_creation(self, change: Change, report_id: str | None) -> Creation | None:  # noqa: ARG002
        raise AssertionError("nothing is created unless it was asked for")

    def put(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


@dataclass
class Ended:
    script: Script
    outcomes: dict[int, Outcome]
    stopped: BulkSyncError | None
    tally: Tally

    def states(self) -> list[str]:
        return [self.outcomes[row].state.value for row in sorted(self.outcomes)]


def refused(asked: str | None) -> Reply:
    headers = {} if asked is None else {"retry-after": asked}
    return Reply(429, headers, b'{"error": {"message": "Daily quota exceeded", "status": 429}}')


def terms_of(
    *,
    workers: int = 1,
    attempts: int = 3,
    repeat_ambiguous: bool = True,
    bounds: Bounds | None = None,
    max_wait: float = 7200,
) -> Terms:
    policy = RetryPolicy(
        max_attempts=attempts,
        retry_for_seconds=900,
        repeat_ambiguous=repeat_ambiguous,
        max_wait_seconds=max_wait,
    )
    return Terms(policy, bounds or Bounds(), workers)


def send(
    keys: Sequence[str],
    answers: dict[str, list[Reply | Failure]],
    terms: Terms | None = None,
    *,
    rest: Reply | Failure = OK,
    me: Reply | Failure = OK,
    tried: bool = False,
    in_doubt: bool = False,
    pace: Pace | None = None,
    work: Work | None = None,
    seconds: float = 0.01,
    limits: Given = NO_LIMITS,
) -> Ended:
    dice = random.Random(1)
    clock, tally = VirtualClock(dice), Tally()
    work = work or Work(keys, tried=tried, in_doubt=in_doubt)
    script = Script(answers, clock, rest, me, seconds)

    async def run() -> BulkSyncError | None:
        sender = Sender(
            script,
            work,
            budget=Budget(LocalPermits(PaceInMemory(pace), clock, dice), clock, limits),
            terms=terms or terms_of(),
            clock=clock,
            dice=dice,
            tally=tally,
        )
        await sender.run()
        return sender.stopped

    stopped = in_virtual_time(run)
    outcomes = {outcome.id: outcome for outcome in work.outcomes}
    assert len(outcomes) == len(work.outcomes), "an outcome for each change, and one only"
    return Ended(script, outcomes, stopped, tally)


def test_what_fails_at_first_is_tried_again_after_a_wait() -> None:
    named = Reply(200, {}, b'{"data": {"id": "x"}}')
    ended = send(["a"], {"a": [BUSY, BROKEN, named]})
    assert ended.outcomes[0].state is State.UPDATED
    assert (ended.outcomes[0].attempts, ended.outcomes[0].showing_id) == (3, "x")
    assert (ended.tally.requests, ended.tally.retries) == (3, 2)


def test_a_retry_after_holds_every_worker() -> None:
    keys = [f"k{number}" for number in range(6)]
    ended = send(keys, {"k0": [Reply(429, {"retry-after": "20"}, b"")]}, terms_of(workers=3))
    assert ended.states() == ["updated"] * 6
    refused_at = ended.script.sent[0][1]
    assert all(at >= refused_at + 20 for _, at in ended.script.sent[1:])
    assert ended.outcomes[0].throttled == 1


def test_a_wait_that_another_run_was_told_ends_this_one_at_once_when_it_is_too_long() -> None:
    ended = send(["a"], {}, pace=Pace(held_until=START + 7201, used_at=START))
    assert (ended.script.sent, ended.states()) == ([], ["pending"])
    assert isinstance(ended.stopped, Outage)
    assert "longer than --max-wait (2h). Run again after 20" in str(ended.stopped)
    ended = send(["a"], {}, pace=Pace(held_until=START + 7199, used_at=START))
    assert ended.states() == ["updated"]


def test_the_deadline_ends_the_run_and_lets_what_is_under_way_end() -> None:
    keys = [f"k{number}" for number in range(400)]
    ended = send(keys, {}, terms_of(workers=4, bounds=Bounds(deadline=START + 2)))
    assert isinstance(ended.stopped, StoppedEarly)
    assert "--deadline" in str(ended.stopped)
    states = ended.states()
    assert set(states) <= {"updated", "pending"}
    assert len(ended.script.sent) == states.count("updated") < 400
    assert max(at for _, at in ended.script.sent) <= START + 2


def test_a_deadline_that_passed_before_sending_began_ends_the_run_with_every_row_pending() -> None:
    ended = send(["a", "b"], {}, terms_of(bounds=Bounds(deadline=START - 0.2)))
    assert isinstance(ended.stopped, StoppedEarly)
    assert "--deadline" in str(ended.stopped)
    assert ended.script.sent == []
    assert set(ended.states()) <= {"pending"}


@pytest.mark.parametrize("asked", ["20", "4"])
def test_a_wait_beyond_the_deadline_ends_the_run_at_once(asked: str) -> None:
    ended = send(
        ["a", "b"],
        {"a": [Reply(429, {"retry-after": asked}, b"")]},
        terms_of(bounds=Bounds(deadline=START + 10)),
    )
    if asked == "4":
        assert (ended.stopped, ended.states()) == (None, ["updated"] * 2)
        return
    assert "The API asks to wait 20 s (429), longer than --deadline or --finish-by leave (" in str(
        ended.stopped
    )
    assert len(ended.script.sent) == 1
    late = send(
        ["a"],
        {},
        terms_of(bounds=Bounds(deadline=START + 10)),
        pace=Pace(held_until=START + 20, used_at=START),
    )
    assert (late.script.sent, late.states()) == ([], ["pending"])
    assert "after the end that --deadline or --finish-by sets" in str(late.stopped)


NOT_FOUND = Reply(404, {}, b'{"error": {"message": "No such showing"}}')


def test_when_none_of_the_first_hundred_is_accepted_the_run_ends() -> None:
    keys = [f"k{number}" for number in range(300)]
    ended = send(keys, {}, terms_of(workers=4), rest=NOT_FOUND)
    assert isinstance(ended.stopped, StoppedEarly)
    assert "None of the first 100 rows was accepted" in str(ended.stopped)
    assert "not_found: No such showing" in str(ended.stopped)
    assert ended.states().count("rejected") in range(100, 105)
    assert send(keys, {"k50": [OK]}, terms_of(workers=4), rest=NOT_FOUND).stopped is None
    assert (
        send(keys, {}, terms_of(bounds=Bounds(parse_share("100%"))), rest=NOT_FOUND).stopped is None
    )


@pytest.mark.parametrize(("share", "tried"), [("3", 4), ("0", 1), ("3%", 120), ("5%", None)])
def test_max_failures_ends_the_run(share: str, tried: int | None) -> None:
    keys = [f"k{number}" for number in range(200)]
    bad: dict[str, list[Reply | Failure]] = {key: [NOT_FOUND] for key in (*keys[:4], keys[119])}
    ended = send(keys, bad, terms_of(bounds=Bounds(parse_share(share))))
    assert len(ended.script.sent) == (tried or 200)
    assert (ended.stopped is None) == (tried is None)
    if tried:
        assert f"more than --max-failures {share} allows" in str(ended.stopped)


def test_the_first_request_goes_alone_until_the_api_is_reached() -> None:
    ended = send(["a", "b", "c"], {}, terms_of(workers=3, attempts=2), rest=REFUSED)
    assert [key for key, _ in ended.script.sent] == ["a", "a"]
    assert isinstance(ended.stopped, Outage)
    assert ended.states() == ["pending"] * len(ended.outcomes)


def test_an_outage_midway_leaves_rows_pending_not_failed() -> None:
    keys = [f"k{number}" for number in range(20)]
    ended = send(keys, {key: [OK] for key in keys[:8]}, terms_of(workers=4), rest=BUSY)
    assert isinstance(ended.stopped, Outage)
    assert set(ended.states()) == {"updated", "pending"}
    assert ended.states().count("updated") == 8


def test_a_poisoned_row_fails_when_later_ones_get_through() -> None:
    ended = send(["a", "b", "c"], {"b": [BROKEN] * 3}, terms_of(workers=1))
    assert ended.states() == ["updated", "failed", "updated"]
    assert ended.outcomes[1].may_have_been_applied
    assert ended.stopped is None


@pytest.mark.parametrize(("me", "state"), [(OK, "failed"), (BUSY, "pending"), (REFUSED, "pending")])
def test_for_a_poisoned_last_row_a_look_at_the_api_decides(me: Reply | Failure, state: str) -> None:
    ended = send(["a", "b"], {"b": [BUSY] * 5000}, me=me)
    assert ended.states() == ["updated", state]
    assert (ended.stopped is None) == (state == "failed")
    assert "/v1/users/me" in [key for key, _ in ended.script.sent]


def test_a_403_rejects_a_row_but_ten_in_sequence_mean_the_key() -> None:
    keys = [f"k{number}" for number in range(30)]
    ended = send(keys, {"k0": [OK], "k2": [OK]}, rest=FORBIDDEN)
    assert ended.states()[:4] == ["updated", "rejected", "updated", "rejected"]
    assert ended.states().count("rejected") == 11
    assert ended.stopped is not None
    assert ended.stopped.exit_code == 5


def test_waiting_for_the_api_is_no_part_of_the_time_to_retry() -> None:
    keys = [f"k{number}" for number in range(3)]
    ended = send(
        keys,
        {
            "k0": [Reply(429, {"retry-after": "2589"}, b""), BUSY, OK],
            "k1": [BUSY, OK],
            "k2": [BUSY, Reply(429, {"retry-after": "2589"}, b""), BUSY, OK],
        },
        terms_of(workers=3, attempts=3),
    )
    assert ended.states() == ["updated"] * 3
    assert max(at for _, at in ended.script.sent) >= START + 2 * 2589


def test_a_wait_longer_than_max_wait_ends_the_run_and_is_named() -> None:
    ended = send(["a", "b"], {"b": [refused("86400")]})
    assert ended.states() == ["updated", "pending"]
    said = str(ended.stopped)
    assert "asks to wait 86400 s (429: Daily quota exceeded), longer than --max-wait (2h)" in said
    assert "Run again after 2026-03-03T" in said


@pytest.mark.parametrize("asked", ["86400", "999999999999", "7201"])
def test_a_wait_that_ended_a_run_binds_no_later_one(asked: str) -> None:
    pace = Pace()
    first = send(["a", "b"], {"a": [refused(asked)]}, pace=pace)
    assert isinstance(first.stopped, Outage)
    assert pace.held_until < START + 60
    assert send(["a", "b"], {}, pace=pace).states() == ["updated"] * 2


@pytest.mark.parametrize("workers", [1, 8, 64])
@pytest.mark.parametrize("asked", [None, "1"])
def test_refusals_without_end_stop_the_run_within_its_bound(
    workers: int, asked: str | None
) -> None:
    keys = [f"k{number}" for number in range(60)]
    ended = send(
        keys,
        {key: [OK] for key in keys[:20]},
        terms_of(workers=workers, max_wait=5),
        rest=refused(asked),
    )
    # Rows that no worker took have no outcome, and stay pending as they were.
    assert ended.states()[:20] == ["updated"] * 20
    assert set(ended.states()[20:]) == {"pending"}
    assert isinstance(ended.stopped, Outage)
    assert "(429: Daily quota exceeded)" in str(ended.stopped)
    assert "--max-wait (5s)" in str(ended.stopped)
    first = next(at for key, at in ended.script.sent if key not in keys[:20])
    assert max(at for _, at in ended.script.sent) - first <= 10


def test_refusals_end_no_run_while_others_get_through() -> None:
    keys = [f"k{number}" for number in range(30)]
    often: dict[str, list[Reply | Failure]] = {key: [refused("2")] for key in keys[::5]}
    ended = send(keys, often, terms_of(workers=2, max_wait=5))
    assert (ended.stopped, ended.states()) == (None, ["updated"] * 30)


def test_an_ambiguous_row_is_not_sent_again_when_the_user_would_rather_look() -> None:
    ended = send(
        ["a", "b", "c"], {"b": [BROKEN, OK], "c": [REFUSED, OK]}, terms_of(repeat_ambiguous=False)
    )
    assert ended.states() == ["updated", "failed", "updated"]
    assert ended.outcomes[1].given_up is GivenUp.AMBIGUOUS
    assert ended.outcomes[1].may_have_been_applied


def test_what_never_left_is_not_said_to_have_been_applied() -> None:
    ended = send(
        ["a", "b"], {"a": [REFUSED] * 3, "b": [OK]}, terms_of(workers=1, attempts=3), me=OK
    )
    assert not ended.outcomes[0].may_have_been_applied


ANSWERS = st.sampled_from(
    [
        OK,
        BUSY,
        BROKEN,
        REFUSED,
        FORBIDDEN,
        Reply(404, {}, b""),
        Reply(429, {}, b""),
        Reply(200, {}, b"<html>"),
    ]
)


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.lists(ANSWERS, max_size=4)),
    st.integers(1, 5),
    ANSWERS,
    st.sampled_from([OK, BUSY]),
)
@pytest.mark.uncovered
def test_whatever_the_api_does_each_change_that_was_taken_ends_in_one_outcome(
    answers: dict[str, list[Reply | Failure]], workers: int, rest: Reply | Failure, me: Reply
) -> None:
    acknowledged = {key for key, queue in answers.items() if OK in queue} | (
        {*"abcdefgh"} if rest is OK else set()
    )
    ended = send("abcdefgh", answers, terms_of(workers=workers), rest=rest, me=me)
    sent = [key for key, _ in ended.script.sent if not key.startswith("/")]
    for outcome in ended.outcomes.values():
        key = "abcdefgh"[outcome.id]
        assert outcome.attempts == sent.count(key)
        assert outcome.state is not State.UPDATED or key in acknowledged
    assert {"abcdefgh".index(key) for key in sent} <= set(ended.outcomes)
    assert ended.stopped is not None or len(ended.outcomes) == 8
    assert ended.stopped is not None or State.PENDING not in {
        outcome.state for outcome in ended.outcomes.values()
    }


def used_up(reset_seconds: int) -> Reply:
    state = {
        "ratelimit-policy": '"hour";q=1000;w=86400',
        "ratelimit": f'"hour";r=0;t={reset_seconds}',
    }
    return Reply(200, state, OK.body)


def test_an_allowance_that_is_used_up_is_waited_for_and_shown() -> None:
    ended = send(["a", "b"], {"a": [used_up(1800)]}, terms_of(workers=1))
    assert (ended.stopped, ended.states()) == (None, ["updated"] * 2)
    assert ended.script.sent[1][1] >= START + 1800
    assert START + 1800 <= ended.tally.waiting_until <= START + 1803


def test_an_allowance_that_is_used_up_for_longer_than_max_wait_ends_the_run() -> None:
    ended = send(["a", "b", "c"], {"a": [refused(None), OK], "b": [used_up(7210)]})
    assert ended.states()[:2] == ["updated", "updated"]
    assert isinstance(ended.stopped, Outage)
    said = str(ended.stopped)
    assert "An allowance is used up for longer than --max-wait (2h). Run again after 20" in said
    assert [(one.limit, one.remaining) for one in ended.tally.allowances] == [(1000, 0)]


BLOCK = Reply(403, {"content-type": "text/html"}, b"<html>")


@pytest.mark.parametrize("workers", [1, 4])
def test_a_block_is_probed_and_then_passes_without_harm_to_any_row(workers: int) -> None:
    keys = [f"k{number}" for number in range(20)]
    answers: dict[str, list[Reply | Failure]] = {key: [BLOCK, BLOCK, OK] for key in keys[8:10]}
    ended = send(keys, answers, terms_of(workers=workers))
    assert ended.states() == ["updated"] * 20
    assert ended.stopped is None


@pytest.mark.parametrize("attempts", [1, 3])
@pytest.mark.parametrize("place", [0, 10, 19])
@pytest.mark.parametrize("workers", [1, 4])
def test_a_row_that_a_firewall_refuses_alone_fails_alone(
    workers: int, place: int, attempts: int
) -> None:
    """Its text may look like an attack, say."""
    keys = [f"k{number}" for number in range(20)]
    terms = terms_of(workers=workers, attempts=attempts)
    ended = send(keys, {f"k{place}": [BLOCK] * 500}, terms)
    states = ended.states()
    assert (states.pop(place), set(states)) == ("failed", {"updated"})
    assert ended.stopped is None
    outcome = ended.outcomes[place]
    assert outcome.error == "bad_reply"
    assert outcome.message == (
        "something in front of the API blocks this row alone (403, text/html)"
    )
    assert not outcome.may_have_been_applied


def test_many_rows_that_are_blocked_stay_pending_even_if_the_api_itself_answers() -> None:
    ended = send([f"k{number}" for number in range(20)], {}, terms_of(workers=4), rest=BLOCK)
    assert isinstance(ended.stopped, Outage)
    assert set(ended.states()) == {"pending"}


@pytest.mark.parametrize("workers", [1, 4])
def test_blocks_at_random_fail_no_row(workers: int) -> None:
    keys = [f"k{number}" for number in range(200)]
    dice = random.Random(7)
    answers: dict[str, list[Reply | Failure]] = {
        key: [BLOCK if dice.random() < 0.2 else OK for _ in range(20)] for key in keys
    }
    ended = send(keys, answers, terms_of(workers=workers, attempts=5))
    assert set(ended.states()) == {"updated"}


def test_a_block_costs_no_attempt() -> None:
    keys = [f"k{number}" for number in range(20)]
    answers: dict[str, list[Reply | Failure]] = {key: [BLOCK, OK] for key in keys[5:9]}
    ended = send(keys, answers, terms_of(workers=4, attempts=1))
    assert ended.states() == ["updated"] * 20


def test_a_block_that_lasts_ends_the_run_as_an_outage() -> None:
    keys = [f"k{number}" for number in range(20)]
    ended = send(keys, {key: [OK] for key in keys[:8]}, terms_of(workers=4), rest=BLOCK, me=BLOCK)
    assert isinstance(ended.stopped, Outage)
    assert "blocks requests (403, text/html)" in str(ended.stopped)
    assert ended.states() == ["updated"] * 8 + ["pending"] * 12
    assert ended.tally.requests < 200  # probes, half a minute apart


def test_a_proxy_that_asks_for_a_password_ends_the_run_at_its_first_reply() -> None:
    ended = send(["a", "b"], {}, rest=Reply(407, {}, b""))
    assert isinstance(ended.stopped, Outage)
    assert (ended.states(), ended.tally.requests) == (["pending"], 1)


@pytest.mark.parametrize("workers", [1, 8])
@pytest.mark.parametrize("asked", [None, "1"])
def test_a_row_that_always_gets_429_fails_alone(workers: int, asked: str | None) -> None:
    keys = [f"k{number}" for number in range(200)]
    ended = send(keys, {"k20": [refused(asked)] * 500}, terms_of(workers=workers))
    states = ended.states()
    assert states[20] == "failed"
    assert states.count("updated") == 199
    assert ended.outcomes[20].error == "throttled"


def test_a_lock_that_stays_is_a_rejection_and_holds_nobody_up() -> None:
    locked = Reply(423, {"retry-after": "1"}, b'{"error": {"message": "Being edited"}}')
    ended = send(["a", *(f"k{number}" for number in range(50))], {"a": [locked] * 5000})
    assert ended.states() == ["rejected", *["updated"] * 50]
    assert ended.outcomes[0].message == "Being edited"
    assert ended.stopped is None
    assert 5 < ended.outcomes[0].attempts < 120  # back-off within the 15 minutes of --retry-for
    last_other = max(at for key, at in ended.script.sent if key != "a")
    assert last_other - START < 60


def test_a_conflict_with_a_repeat_across_runs_is_waited_out() -> None:
    conflict = Reply(409, {}, b'{"error": {"message": "In progress"}}')
    for in_doubt, state in ((True, "updated"), (False, "rejected")):
        ended = send(["a"], {"a": [conflict, OK]}, in_doubt=in_doubt)
        assert ended.states() == [state]


def test_a_locked_showing_is_asked_again_when_the_api_says() -> None:
    locked = Reply(423, {"retry-after": "3"}, b'{"error": {"message": "Being edited"}}')
    ended = send(["a", "b"], {"a": [locked]}, terms_of(workers=2))
    assert ended.states() == ["updated", "updated"]
    at = [at for key, at in ended.script.sent if key == "a"]
    assert at[1] - at[0] >= 3


class LateWork(Work):
    """Is behind after every third outcome, for a second each time."""

    def __init__(self, keys: Sequence[str]) -> None:
        super().__init__(keys, tried=False)
        self.behind_since: float | None = None
        self.waits: list[tuple[float, float]] = []

    def put(self, outcome: Outcome) -> None:
        super().put(outcome)
        if self.behind_since is None and len(self.outcomes) % 3 == 0:
            self.behind_since = anyio.current_time()

    def is_behind(self) -> bool:
        return self.behind_since is not None

    async def catch_up(self) -> None:
        assert self.behind_since is not None
        begun, end = self.behind_since, self.behind_since + 1
        await anyio.sleep(end - anyio.current_time())  # noqa: TID251 - virtual time
        if self.behind_since == begun:
            self.behind_since = None
            self.waits.append((begun, end))


@pytest.mark.parametrize("workers", [1, 8])
def test_no_request_leaves_while_outcomes_wait_too_long_to_be_kept(workers: int) -> None:
    keys = [f"k{number}" for number in range(40)]
    work = LateWork(keys)
    ended = send(keys, {"k5": [BUSY]}, terms_of(workers=workers), work=work)
    assert ended.states() == ["updated"] * len(keys)
    assert len(work.waits) >= 3
    assert not [at for _, at in ended.script.sent for begun, end in work.waits if begun < at < end]


@given(
    workers=st.integers(1, 40),
    rate=st.floats(1, 300),
    seconds=st.floats(0.001, 1),
)
def test_few_rows_begin_before_a_permit_is_there_for_them_and_none_is_lost_for_that(
    workers: int, rate: float, seconds: float
) -> None:
    ended = send(
        [f"k{number}" for number in range(400)],
        {},
        terms_of(workers=workers, bounds=Bounds(deadline=START + 10)),
        pace=Pace(search=Search(rate=1000.0)),
        seconds=seconds,
        limits=Given((Rate(rate, 1.0),)),
    )
    waited = len(ended.outcomes) - len(ended.script.sent)
    assert waited <= MANY_WAITING
    possible = min(rate, workers / seconds)
    assert len(ended.script.sent) >= min(400, 0.9 * 10 * possible - workers)
