"""Creating what is missing: the decisions, and the protocol against a model of the API."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, repeat

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.errors import BulkSyncError, KeyRefused
from bulk_sync.model.rows import Change, Creation, Outcome, State, Tally
from bulk_sync.send.backlog import NoWork
from bulk_sync.send.bounds import Bounds
from bulk_sync.send.budget import Budget
from bulk_sync.send.context import Terms
from bulk_sync.send.creating import (
    FORBIDDEN_IN_A_ROW,
    SETTLE_SECONDS,
    after_post,
    creation_body,
    creation_key,
    patch_goes_first,
)
from bulk_sync.send.decide import (
    Decision,
    RetryIn,
    RetryPolicy,
    RowFailed,
    RowRejected,
    SoFar,
    StopRun,
    decide,
)
from bulk_sync.send.pace_store import LocalPermits, PaceInMemory
from bulk_sync.send.sender import Sender
from bulk_sync.send.transport.interface import Failure, Reply
from tests.simulation import VirtualClock, in_virtual_time

REPORT = "550e8400-e29b-41d4-a716-446655440000"
POLICY = RetryPolicy(max_attempts=3, retry_for_seconds=900, repeat_ambiguous=True)
PATIENT = RetryPolicy(max_attempts=100, retry_for_seconds=86400, repeat_ambiguous=True)
LOOK_FIRST = RetryPolicy(max_attempts=3, retry_for_seconds=900, repeat_ambiguous=False)
LOST = Failure("timeout", "no whole reply within 30 s", may_have_arrived=True)
_TIMEOUT_SECONDS = 30.0
NEVER_LEFT = Failure("connection", "refused", may_have_arrived=False)


def refusal(status: int, message: str = "No") -> Reply:
    return Reply(status, {}, json.dumps({"error": {"message": message}}).encode())


def after(
    seen: Reply | Failure, *, attempts: int = 1, forbidden: int = 0, policy: RetryPolicy = POLICY
) -> Decision:
    """The decision about a POST, with the longest wait of its jitter."""
    so_far = SoFar(attempts, 0, 1.0, key_accepted=True)
    decision = decide(seen, so_far, policy, target="k", sent="{}", dice=1.0)
    return after_post(seen, decision, so_far, policy, dice=1.0, forbidden=forbidden)


# What was seen, the decision's class, the least wait, and whether the PATCH goes first again
TABLE = [
    (LOST, RetryIn, SETTLE_SECONDS, True),
    (NEVER_LEFT, RetryIn, 0.5, False),
    (refusal(500), RetryIn, SETTLE_SECONDS, True),
    (refusal(503), RetryIn, SETTLE_SECONDS, True),
    (refusal(408), RetryIn, SETTLE_SECONDS, True),
    (Reply(200, {}, b"<html>"), RetryIn, SETTLE_SECONDS, True),
    (Reply(503, {"retry-after": "7"}, b""), RetryIn, 0.0, True),
    (Reply(429, {"retry-after": "7"}, b""), RetryIn, 0.0, False),
    (refusal(409), RetryIn, 0.5, True),
    (refusal(422), RowRejected, None, False),
    (refusal(400), RowRejected, None, False),
    (refusal(404), RowRejected, None, False),
    (refusal(403), RowRejected, None, False),
    (refusal(401), StopRun, None, False),
]


@pytest.mark.parametrize(("seen", "kind", "seconds", "patch_first"), TABLE)
def test_what_follows_a_post(
    seen: Reply | Failure, kind: type[Decision], seconds: float | None, patch_first: bool
) -> None:
    decision = after(seen)
    assert isinstance(decision, kind)
    assert patch_goes_first(seen) is patch_first
    if isinstance(decision, RetryIn):
        assert decision.seconds == seconds


def test_a_refused_creation_says_so_with_the_message_of_the_api() -> None:
    assert after(refusal(422, "report_id: unknown")) == RowRejected(
        "refused", "Not created: report_id: unknown"
    )
    # The report is missing, so `not_found`, which is about the showing, would mislead.
    assert after(refusal(404, "Report not found")) == RowRejected(
        "refused", "Not created: Report not found"
    )


def test_a_key_that_stays_taken_although_no_showing_has_it_is_refused_in_the_end() -> None:
    assert isinstance(after(refusal(409), attempts=2), RetryIn)
    assert after(refusal(409, "Taken"), attempts=3) == RowRejected(
        "refused", "Not created, and not found either: Taken"
    )


def test_a_post_that_stays_ambiguous_fails_in_the_end_or_at_once() -> None:
    assert isinstance(after(LOST, attempts=3), RowFailed)
    assert isinstance(after(LOST, policy=LOOK_FIRST), RowFailed)


def test_forbidden_creations_reject_their_rows_until_they_are_ten_in_a_row() -> None:
    forbidden = refusal(403, "Permission denied: showings:create")
    assert after(forbidden, forbidden=FORBIDDEN_IN_A_ROW - 1) == RowRejected(
        "forbidden", "Not created: Permission denied: showings:create"
    )
    decision = after(forbidden, forbidden=FORBIDDEN_IN_A_ROW)
    assert isinstance(decision, StopRun)
    assert isinstance(decision.reason, KeyRefused)
    assert "--create-missing" in str(decision.reason)


def test_a_post_has_the_fields_that_are_set_the_key_and_the_report() -> None:
    body = creation_body(
        '{"feedback":"Größe 😀","rating":null,"interested":false}', "ext_1", REPORT
    )
    assert json.loads(body) == {
        "feedback": "Größe 😀",
        "interested": False,
        "unique_showing_key": "ext_1",
        "report_id": REPORT,
    }


def test_equal_posts_have_equal_idempotency_keys_and_others_do_not() -> None:
    bodies = [creation_body(patch, key, REPORT) for patch in ("{}", '{"rating":1}') for key in "ab"]
    assert len({creation_key(body) for body in (*bodies, *bodies)}) == 4


# The protocol


class Killed(Exception):
    """The process ends here: nothing that it knows is written any more."""


@dataclass
class North:
    """A model of the API: what becomes of each request is its next fate, and in the end `fine`.

    `guard` is what keeps it from making two showings: it refuses a taken key, it honours the
    Idempotency-Key, or it does neither. A late request is applied after its answer was lost.
    """

    fates: Iterator[tuple[str, float]]
    guard: str
    clock: VirtualClock
    showings: list[str] = field(default_factory=list)
    abandon: Callable[[], None] = lambda: None
    answered: set[str] = field(default_factory=set)
    late: list[tuple[float, str, str]] = field(default_factory=list)
    requests: list[tuple[str, str, str]] = field(default_factory=list)

    def apply_late(self) -> None:
        now = self.clock.monotonic()
        for due in [one for one in self.late if one[0] <= now]:
            self.late.remove(due)
            self._create(due[1], due[2])

    def _create(self, key: str, idempotency_key: str) -> Reply:
        created = Reply(201, {}, json.dumps({"data": {"id": f"id-{key}"}}).encode())
        if self.guard == "unique" and key in self.showings:
            return refusal(409, "Taken")
        if self.guard == "idempotent" and idempotency_key in self.answered:
            return created
        self.answered.add(idempotency_key)
        self.showings.append(key)
        return created

    async def renew(self, *, for_good: bool) -> None:
        """There are no connections."""

    async def patch(self, path: str, body: bytes, idempotency_key: str) -> Reply | Failure:  # noqa: ARG002
        key = path.rpartition("/")[2]
        self.requests.append(("PATCH", key, idempotency_key))
        fate, _ = await self._next()
        if fate in {"lost", "late", "slow", "lost after"}:
            return LOST
        if fate in {"503", "429"}:
            return refusal(int(fate))
        return Reply(200, {}, b'{"data": {}}') if key in self.showings else refusal(404)

    async def post(self, path: str, body: bytes, idempotency_key: str) -> Reply | Failure:
        assert path == "/v1/showings"
        key = json.loads(body)["unique_showing_key"]
        self.requests.append(("POST", key, idempotency_key))
        fate, delay = await self._next(lambda: self._create(key, idempotency_key))
        match fate:
            case "lost":
                return LOST
            case "lost after":
                self._create(key, idempotency_key)
                return LOST
            case "late":
                self.late.append((self.clock.monotonic() + delay, key, idempotency_key))
                return LOST
            case "slow":  # the client's time-out, and once more as long at most
                await anyio.sleep(_TIMEOUT_SECONDS)  # noqa: TID251 - virtual time
                again = delay / SETTLE_SECONDS * _TIMEOUT_SECONDS
                self.late.append((self.clock.monotonic() + again, key, idempotency_key))
                return LOST
            case "garbage":
                self._create(key, idempotency_key)
                return Reply(200, {}, b"<html>")
            case "503" | "429" | "403":
                return refusal(int(fate))
            case "taken":
                self._create(key, "another program's")
            case _:
                pass
        return self._create(key, idempotency_key)

    async def get(self, path: str) -> Reply | Failure:  # noqa: ARG002
        return Reply(200, {}, b"{}")

    async def _next(self, apply: object = None) -> tuple[str, float]:
        await anyio.sleep(0.01)  # noqa: TID251 - virtual time
        self.apply_late()
        fate, delay = next(self.fates)
        if fate == "killed after" and callable(apply):
            apply()
        if fate.startswith("killed"):
            raise Killed
        if fate == "abandoned":
            self.abandon()
            await anyio.sleep_forever()
        return fate, delay


@dataclass
class Rows(NoWork):
    """The rows of a run, and the notes that outlive it."""

    left: list[Change]
    notes: set[str]
    at_once: bool
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    written: dict[int, Outcome] = field(default_factory=dict)

    async def claim(self, limit: int) -> list[Change]:
        await anyio.lowlevel.checkpoint()
        taken, self.left = self.left[:limit], self.left[limit:]
        return taken

    def take(self) -> Change | None:
        return None

    async def begin_creation(self, change: Change, report_id: str | None) -> Creation | None:
        await anyio.lowlevel.checkpoint()
        self.notes.add(change.target)
        return Creation(change.body, change.digest, report_id)

    def put(self, outcome: Outcome) -> None:
        assert outcome.id not in self.outcomes
        self.outcomes[outcome.id] = outcome
        if self.at_once:
            self.commit()

    def commit(self) -> None:
        """Write the outcomes, and settle the notes with them."""
        self.written = dict(self.outcomes)
        self.notes -= {f"k{row}" for row, one in self.written.items() if not one.may_be_created}


@dataclass
class Run:
    stopped: BulkSyncError | None
    written: dict[int, Outcome]


@dataclass
class Ended:
    north: North
    outcomes: dict[int, Outcome]
    tally: Tally
    notes: set[str]
    runs: list[Run]

    def methods(self, key: str = "k0") -> list[str]:
        return [method for method, of, _ in self.north.requests if of == key]


def push(
    rows: int,
    *runs: list[tuple[str, float]],
    guard: str = "unique",
    existing: tuple[str, ...] = (),
    report: str | None = REPORT,
    create: bool = True,
    workers: int = 3,
    at_once: bool = False,
    policy: RetryPolicy = POLICY,
) -> Ended:
    """Push these rows once for each list of fates, and once more with nothing but luck.

    A kill loses the outcomes of its run, unless each is written `at_once`.
    """

    async def main() -> Ended:
        dice = random.Random(1)
        clock = VirtualClock(dice)
        north = North(iter(()), guard, clock, list(existing))
        notes: set[str] = set()
        done: dict[int, Outcome] = {}
        ended: list[Run] = []
        tally = Tally()
        written: dict[int, Outcome] = {}
        for fates in (*runs, []):
            north.fates = chain(fates, repeat(("fine", 0.0)))
            left = [
                Change(
                    row,
                    row + 2,
                    f"k{row}",
                    '{"rating":5}',
                    "d",
                    may_be_created=f"k{row}" in notes,
                )
                for row in range(rows)
                if row not in done
            ]
            if not left:
                break
            work, tally = Rows(left, notes, at_once), Tally()
            sender = Sender(
                north,
                work,
                budget=Budget(LocalPermits(PaceInMemory(), clock, dice), clock),
                terms=Terms(policy, Bounds(), workers, create_missing=create, report_id=report),
                clock=clock,
                dice=dice,
                tally=tally,
            )
            north.abandon = sender.abandon
            try:
                await sender.run()
                work.commit()
            except* Killed:
                pass
            ended.append(Run(sender.stopped, work.written))
            written = work.written
            done |= {
                row: outcome
                for row, outcome in work.written.items()
                if outcome.state in {State.CREATED, State.UPDATED}
            }
        await clock.sleep(60)
        north.apply_late()
        return Ended(north, written | done, tally, notes, ended)

    pushed: Ended = in_virtual_time(main)
    return pushed


def test_a_missing_showing_is_created_and_another_updated() -> None:
    ended = push(2, existing=("k1",))
    assert {row: one.state for row, one in ended.outcomes.items()} == {
        0: State.CREATED,
        1: State.UPDATED,
    }
    assert ended.methods("k0") == ["PATCH", "POST"]
    assert ended.methods("k1") == ["PATCH"]
    created = ended.outcomes[0]
    assert (created.http_status, created.attempts, created.showing_id) == (201, 2, "id-k0")
    assert (ended.tally.requests, ended.tally.retries) == (3, 0)
    assert ended.notes == set()


def test_nothing_is_created_that_nobody_asked_for() -> None:
    ended = push(1, create=False)
    assert ended.outcomes[0].error == "not_found"
    assert ended.methods() == ["PATCH"]


def test_a_row_without_a_report_is_rejected_with_what_it_needs() -> None:
    ended = push(1, report=None)
    assert ended.outcomes[0].error == "not_found"
    assert "--report" in (ended.outcomes[0].message or "")
    assert ended.methods() == ["PATCH"]


@pytest.mark.parametrize(
    ("fates", "methods", "state"),
    [
        # The answer was lost: the PATCH shows what became of it.
        ([("fine", 0), ("lost after", 0)], ["PATCH", "POST", "PATCH"], State.CREATED),
        ([("fine", 0), ("garbage", 0)], ["PATCH", "POST", "PATCH"], State.CREATED),
        ([("fine", 0), ("lost", 0)], ["PATCH", "POST", "PATCH", "POST"], State.CREATED),
        ([("fine", 0), ("503", 0)], ["PATCH", "POST", "PATCH", "POST"], State.CREATED),
        ([("fine", 0), ("late", 1.0)], ["PATCH", "POST", "PATCH"], State.CREATED),
        # A time-out: the 404 after 2 seconds says nothing yet.
        ([("fine", 0), ("slow", 1.0)], ["PATCH", "POST", "PATCH", "PATCH"], State.CREATED),
        # It certainly was not applied: the POST is repeated.
        ([("fine", 0), ("429", 0)], ["PATCH", "POST", "POST"], State.CREATED),
        # Of the PATCH
        ([("lost", 0)], ["PATCH", "PATCH", "POST"], State.CREATED),
    ],
)
def test_the_requests_of_one_row(
    fates: list[tuple[str, float]], methods: list[str], state: State
) -> None:
    ended = push(1, fates, guard="none")
    assert ended.methods() == methods
    assert ended.outcomes[0].state is state
    assert ended.north.showings == ["k0"]
    assert len({key for method, _, key in ended.north.requests if method == "POST"}) == 1


@pytest.mark.parametrize("when", ["killed before", "killed after"])
def test_a_kill_during_the_post_leaves_one_showing_that_counts_as_created(when: str) -> None:
    ended = push(1, [("fine", 0), (when, 0)], guard="none")
    assert ended.north.showings == ["k0"]
    assert ended.outcomes[0].state is State.CREATED


def test_after_a_kill_a_post_on_its_way_gets_time_before_another_is_sent() -> None:
    """It was applied only after the next run's first PATCH."""
    fates = [("fine", 0.0), ("late", 1.5), ("killed before", 0.0)]
    ended = push(2, fates, guard="none", workers=1)
    assert Counter(ended.north.showings) == {"k0": 1, "k1": 1}


def test_a_post_that_is_cut_off_by_a_second_interrupt_counts_as_created_when_it_is_found() -> None:
    ended = push(1, [("fine", 0.0), ("abandoned", 0.0)])
    (pending,) = ended.runs[0].written.values()
    assert (pending.state, pending.may_have_been_applied) == (State.PENDING, True)
    assert pending.may_be_created
    assert ended.outcomes[0].state is State.CREATED


def test_a_showing_that_somebody_else_creates_meanwhile_is_updated() -> None:
    ended = push(1, [("fine", 0.0), ("taken", 0.0)])
    assert ended.methods() == ["PATCH", "POST", "PATCH"]
    assert ended.outcomes[0].state is State.UPDATED
    assert ended.north.showings == ["k0"]
    assert ended.notes == set()


def test_ten_refused_creations_in_a_row_stop_the_run_and_updates_in_between_do_not() -> None:
    every_post = [("fine", 0.0), ("403", 0.0)]
    ended = push(30, every_post * 30, workers=1)
    assert isinstance(ended.runs[0].stopped, KeyRefused)
    assert Counter(one.state for one in ended.runs[0].written.values()) == {
        State.REJECTED: FORBIDDEN_IN_A_ROW - 1,
        State.PENDING: 1,
    }
    others = tuple(f"k{row}" for row in range(0, 60, 5))
    fates = [step for row in range(60) for step in (every_post if row % 5 else [("fine", 0.0)])]
    ended = push(60, fates, existing=others, workers=1)
    assert ended.runs[0].stopped is None
    assert ended.runs[0].written[1].error == "forbidden"


FATES = ["fine", "lost", "lost after", "late", "garbage", "503", "429"]
DEATHS = ["killed before", "killed after"]


@given(
    rows=st.integers(1, 4),
    runs=st.lists(
        st.lists(
            st.tuples(
                st.sampled_from([*FATES, *DEATHS]), st.floats(0, SETTLE_SECONDS, exclude_max=True)
            ),
            max_size=14,
        ),
        min_size=1,
        max_size=3,
    ),
    guard=st.sampled_from(["unique", "idempotent", "none"]),
    existing=st.booleans(),
    at_once=st.booleans(),
)
def test_there_is_one_showing_per_key_whatever_is_lost_late_or_killed(
    rows: int, runs: list[list[tuple[str, float]]], guard: str, existing: bool, at_once: bool
) -> None:
    known = ("k0",) if existing else ()
    ended = push(rows, *runs, guard=guard, existing=known, at_once=at_once)
    assert Counter(ended.north.showings) == {f"k{row}": 1 for row in range(rows)}
    for row in range(rows):
        is_old = existing and row == 0
        assert ended.outcomes[row].state is (State.UPDATED if is_old else State.CREATED)
    assert ended.notes == set()


@given(
    rows=st.integers(1, 4),
    fates=st.lists(
        st.tuples(
            st.sampled_from([*FATES, "slow"]), st.floats(0, SETTLE_SECONDS, exclude_max=True)
        ),
        max_size=20,
    ),
)
def test_a_run_that_does_not_give_up_makes_one_showing_although_posts_time_out(
    rows: int, fates: list[tuple[str, float]]
) -> None:
    """By an API without a guard, which takes up to twice the time-out."""
    ended = push(rows, fates, guard="none", policy=PATIENT)
    assert Counter(ended.north.showings) == {f"k{row}": 1 for row in range(rows)}


@given(
    delays=st.lists(st.floats(SETTLE_SECONDS, 50), min_size=1, max_size=4),
    guard=st.sampled_from(["unique", "idempotent"]),
)
def test_an_api_with_a_guard_makes_one_showing_however_late_a_post_is_applied(
    delays: list[float], guard: str
) -> None:
    fates = [step for delay in delays for step in (("fine", 0.0), ("late", delay))]
    ended = push(1, fates, guard=guard)
    assert ended.north.showings == ["k0"]
