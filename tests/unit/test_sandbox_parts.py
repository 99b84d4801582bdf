"""The sandbox's pure parts: faults that can be repeated, limits as servers have them."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.quantities import Rate
from bulk_sync.sandbox.faults import KINDS, Fault, draw, parse_fault
from bulk_sync.sandbox.limits import (
    All,
    FixedWindow,
    Limit,
    LimitStyle,
    LockOut,
    Quota,
    SlidingWindow,
    TokenBucket,
    Verdict,
    WindowFromFirst,
    limit_headers,
    make_allowance,
    make_limit,
)
from bulk_sync.sandbox.replies import Answer, as_sent, refusal, refused_by
from bulk_sync.sandbox.storage import Storage

FAULTS = (Fault(0.1, "503"), Fault(0.1, "reset"), Fault(0.05, "garbage"))


def test_faults_by_their_text() -> None:
    assert parse_fault("2%:503") == Fault(0.02, "503")
    assert parse_fault("0.5%:cut") == Fault(0.005, "cut")
    assert parse_fault("100%:timeout").status is None
    assert [parse_fault(f"1%:{kind}").kind for kind in KINDS] == [*KINDS]


@pytest.mark.parametrize(
    "text", ["503", "2:503", "101%:503", "2%:200", "2%:oops", "%:503", "-1%:503", ""]
)
def test_what_is_no_fault(text: str) -> None:
    with pytest.raises(ValueError, match="2%:503"):
        parse_fault(text)


def test_a_draw_hangs_on_seed_key_and_number_alone() -> None:
    drawn = [draw(FAULTS, 1, f"ext_{number}", 0) for number in range(4000)]
    assert drawn == [draw(FAULTS, 1, f"ext_{number}", 0) for number in range(4000)]
    assert drawn != [draw(FAULTS, 2, f"ext_{number}", 0) for number in range(4000)]
    assert drawn != [draw(FAULTS, 1, f"ext_{number}", 1) for number in range(4000)]
    shares = {
        fault: sum(d is not None and d.fault is fault for d in drawn) / 4000 for fault in FAULTS
    }
    assert all(shares[fault] == pytest.approx(fault.share, abs=0.02) for fault in FAULTS)


def test_a_refusing_status_comes_before_a_garbled_reply_after_and_a_reset_either_way() -> None:
    drawn = [d for d in (draw(FAULTS, 1, f"ext_{number}", 0) for number in range(4000)) if d]
    assert {d.applied for d in drawn if d.fault.kind == "503"} == {False}
    assert {d.applied for d in drawn if d.fault.kind == "garbage"} == {True}
    assert {d.applied for d in drawn if d.fault.kind == "reset"} == {True, False}


def test_a_conflict_meets_the_first_request_for_a_key_only() -> None:
    faults = (parse_fault("100%:conflict"),)
    first, second = (draw(faults, 1, "ext_1", asked_before) for asked_before in (0, 1))
    assert first is not None
    assert not first.applied
    assert second is None


DATA = {"id": "a", "north_id": "a", "feedback": "Too dark, too loud", "updated_at": "x"}
UPDATED = Answer(200, {"data": DATA, "message": "Showing updated"}, applied=True, showing_id="a")


def test_odd_replies_to_a_change_that_was_applied() -> None:
    queued = as_sent(UPDATED, "queued")
    assert queued.status == 202
    assert "data" not in json.loads(queued.body)
    swapped = json.loads(as_sent(UPDATED, "swapped").body)["data"]
    assert swapped["id"] == swapped["north_id"] != "a"
    shortened = json.loads(as_sent(UPDATED, "shortened").body)["data"]
    assert shortened == DATA | {"feedback": "Too dark"}
    for kind in (None, "late"):
        assert json.loads(as_sent(UPDATED, kind).body) == UPDATED.content


@pytest.mark.parametrize("kind", ["queued", "swapped", "shortened", "late"])
def test_a_refusal_is_sent_as_it_is(kind: str) -> None:
    refused = refusal(404, "Showing not found")
    assert as_sent(refused, kind) == as_sent(refused, None)


def test_odd_replies_to_a_change_that_was_not_applied() -> None:
    errors = as_sent(refused_by("error200"), "error200")
    assert errors.status == 200
    assert json.loads(errors.body)["errors"][0]["message"]
    block = as_sent(refused_by("block403"), "block403")
    assert (block.status, block.headers["cf-mitigated"]) == (403, "challenge")
    assert block.media_type.startswith("text/html")
    conflict = as_sent(refused_by("conflict"), "conflict")
    assert (conflict.status, conflict.headers) == (409, {"Retry-After": "1"})
    assert json.loads(conflict.body)["error"]["status"] == 409


def passed(limit: Limit | All | LockOut, moments: list[float]) -> list[bool]:
    return [limit.ask(moment, 0).passes for moment in moments]


def test_token_bucket() -> None:
    limit = make_limit(Rate(2, 1), "token-bucket")
    assert passed(limit, [10, 10, 10, 10.4, 10.5, 10.6, 20, 20, 20]) == [
        True, True, False, False, True, False, True, True, False,
    ]  # fmt: skip
    assert limit.ask(20, 0) == Verdict(
        passes=False, remaining=0, next_seconds=0.5, reset_seconds=1.0
    )


def test_fixed_window_allows_twice_the_rate_across_a_boundary() -> None:
    limit = make_limit(Rate(2, 1), "fixed-window")
    assert passed(limit, [10.8, 10.9, 10.95, 11.0, 11.1, 11.2]) == [
        True,
        True,
        False,
        True,
        True,
        False,
    ]
    assert limit.ask(11.5, 0) == Verdict(
        passes=False, remaining=0, next_seconds=0.5, reset_seconds=0.5
    )


def test_sliding_window_does_not() -> None:
    limit = make_limit(Rate(2, 1), "sliding-window")
    assert passed(limit, [10.8, 10.9, 11.0, 11.8, 11.85, 11.9]) == [
        True,
        True,
        False,
        True,
        False,
        True,
    ]


def test_concurrency_counts_those_under_way() -> None:
    limit = make_limit(Rate(2, 1), "concurrency")
    assert [limit.ask(1, busy).passes for busy in (0, 1, 2, 3)] == [True, True, False, False]


@pytest.mark.parametrize(
    ("limit", "moments", "expected"),
    [
        # A window of two seconds that begins with its first request, at 7 and at 30.
        (make_allowance(Rate(2, 2), "fixed-from-first"), [7, 8, 8.9, 9, 30, 31, 31.5, 32],
         [True, True, False, True, True, True, False, True]),
        # Windows of the clock begin at 6, 8, 10.
        (make_allowance(Rate(2, 2), "fixed"), [7, 7.5, 7.9, 8, 8.1, 9.9, 10],
         [True, True, False, True, True, False, True]),
        (make_allowance(Rate(2, 2), "sliding"), [7, 8, 8.9, 9, 9.5, 10],
         [True, True, False, True, False, True]),
        # Two a second and three in ten: the fourth of a window waits for the next one.
        (All([FixedWindow(Rate(2, 1)), FixedWindow(Rate(3, 10))]), [10, 10, 10, 11, 12, 20],
         [True, True, False, True, False, True]),
        (All([]), [10, 10, 10], [True, True, True]),
        # Locked out from 10.5 on, and anew by the try at 11 that the window alone would pass.
        (LockOut(All([FixedWindow(Rate(1, 1))]), 30), [10, 10.5, 11, 40.9, 70.9],
         [True, False, False, False, True]),
    ],
)  # fmt: skip
def test_which_requests_pass(
    limit: Limit | All | LockOut, moments: list[float], expected: list[bool]
) -> None:
    assert passed(limit, moments) == expected


def test_a_request_that_one_limit_refuses_is_not_counted_by_the_others() -> None:
    hour = FixedWindow(Rate(100, 3600))
    both = All([FixedWindow(Rate(2, 1)), hour])
    assert passed(both, [10.0] * 50).count(True) == 2
    assert hour.look(10, 0).remaining == 98


def test_the_verdict_of_several_is_the_tightest() -> None:
    both = All([FixedWindow(Rate(2, 1)), FixedWindow(Rate(3, 10))])
    verdicts = [both.ask(10.5, 0) for _ in range(3)]
    assert verdicts == [
        Verdict(passes=True, remaining=1, next_seconds=0.0, reset_seconds=0.5),
        Verdict(passes=True, remaining=0, next_seconds=0.5, reset_seconds=0.5),
        Verdict(passes=False, remaining=0, next_seconds=0.5, reset_seconds=0.5),
    ]
    both.ask(11, 0)
    # Now both are used up, or nearly: the longer wait counts.
    assert both.ask(11, 0) == Verdict(
        passes=False, remaining=0, next_seconds=9.0, reset_seconds=9.0
    )


def test_a_lock_out_is_counted_from_the_last_try() -> None:
    limit = LockOut(All([FixedWindow(Rate(1, 1))]), 30)
    assert [limit.ask(moment, 0).next_seconds for moment in (10, 10.5, 20)] == [1.0, 30.0, 30.0]
    assert limit.look(45, 0).next_seconds == 5.0
    assert limit.look(50, 0).passes


QUOTAS: list[Callable[[], Quota]] = [
    lambda: TokenBucket(Rate(3, 2)),
    lambda: FixedWindow(Rate(3, 2)),
    lambda: WindowFromFirst(Rate(3, 2)),
    lambda: SlidingWindow(Rate(3, 2)),
]


@given(
    st.sampled_from(QUOTAS), st.lists(st.floats(0, 1.5).map(lambda gap: round(gap, 3)), max_size=40)
)
def test_looking_counts_nothing_and_a_request_passes_after_the_wait(
    make: Callable[[], Quota], gaps: list[float]
) -> None:
    limit, unseen, now = make(), make(), 100.0
    for gap in gaps:
        now += gap
        seen = limit.look(now, 0)
        verdict = limit.ask(now, 0)
        assert verdict == unseen.ask(now, 0)
        assert seen.passes == verdict.passes
        assert 0 <= verdict.remaining <= limit.quota
        assert (verdict.remaining > 0) == limit.look(now, 0).passes
        if not verdict.passes:
            assert not limit.look(now + verdict.next_seconds * 0.99, 0).passes
            assert limit.look(now + verdict.next_seconds + 1e-9, 0).passes


@pytest.mark.parametrize(
    ("kind", "passes", "headers"),
    [
        ("none", False, {}),
        ("retry-after", True, {}),
        ("retry-after", False, {"Retry-After": "13"}),
        (
            "ratelimit",
            True,
            {"RateLimit-Policy": '"default";q=600;w=60', "RateLimit": '"default";r=5;t=30'},
        ),
        (
            "x-ratelimit",
            False,
            {
                "X-RateLimit-Limit": "600",
                "X-RateLimit-Remaining": "5",
                "X-RateLimit-Reset": "30",
                "Retry-After": "13",
            },
        ),
    ],
)
def test_headers_of_a_limit(kind: str, passes: bool, headers: dict[str, str]) -> None:
    limit = make_limit(Rate(600, 60), "fixed-window")
    verdict = Verdict(passes, 5, 12.2, 29.2)
    assert limit_headers(kind, limit, verdict) == headers  # type: ignore[arg-type]


@pytest.mark.parametrize("style", ["token-bucket", "fixed-window", "sliding-window", "concurrency"])
def test_a_rate_below_one_still_lets_one_through(style: LimitStyle) -> None:
    assert make_limit(Rate(0.5, 1), style).ask(100, 0).passes


def test_a_sandbox_that_is_opened_again_gives_ids_of_their_own_to_new_showings(
    tmp_path: Path,
) -> None:
    ids = []
    for key in ("ext_1", "ext_2"):
        with closing(Storage(tmp_path / "sandbox.sqlite", seed=7)) as storage:
            ids.append(storage.create(key, {}, datetime(2026, 3, 2, tzinfo=UTC))["id"])
    with closing(Storage(None, seed=7)) as storage:
        assert storage.create("ext_1", {}, datetime(2026, 3, 2, tzinfo=UTC))["id"] == ids[0]
    assert len(set(ids)) == 2
