"""The sandbox's pure parts: faults that can be repeated, limits as servers have them."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bulk_sync.quantities import Rate
from bulk_sync.sandbox.faults import Fault, draw, parse_fault
from bulk_sync.sandbox.limits import Limit, LimitStyle, Verdict, limit_headers, make_limit
from bulk_sync.sandbox.storage import Storage

FAULTS = (Fault(0.1, "503"), Fault(0.1, "reset"), Fault(0.05, "garbage"))


def test_faults_by_their_text() -> None:
    assert parse_fault("2%:503") == Fault(0.02, "503")
    assert parse_fault("0.5%:cut") == Fault(0.005, "cut")
    assert parse_fault("100%:timeout").status is None


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


def passed(limit: Limit, moments: list[float]) -> list[bool]:
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
