"""When jobs that run at the same time are done: worked out by hand, and what always holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bulk_sync.check_jobs import limits_of_key
from bulk_sync.model.estimates import KnownPace, Window
from bulk_sync.model.rows import Allowance, RateSource
from bulk_sync.model.schedule import Expected, KeyLimits, PlannedJob, expected
from bulk_sync.quantities import Rate, Share
from bulk_sync.settings.pacing import Pacing

FIVE = KeyLimits(5.0)
HOURLY = KeyLimits(10.0, (Window(1000, 3600),))
UNKNOWN = KeyLimits()


def plan(at_once: int, limits: Mapping[str, KeyLimits], *jobs: PlannedJob) -> list[Expected]:
    return list(expected(jobs, limits, at_once))


def needs(at_once: int, limits: Mapping[str, KeyLimits], *jobs: PlannedJob) -> list[float]:
    return [round(one.needs, 3) for one in plan(at_once, limits, *jobs)]


def test_jobs_of_different_keys_do_not_wait_for_each_other() -> None:
    limits = {"a": FIVE, "b": KeyLimits(10.0)}
    assert needs(9, limits, PlannedJob("a", 100), PlannedJob("b", 100)) == [20, 10]


def test_jobs_of_one_key_share_it_equally() -> None:
    # Each gets half: 100 of both are sent after 40 s, then the other has all of it.
    assert needs(9, {"a": FIVE}, PlannedJob("a", 100), PlannedJob("a", 300)) == [40, 80]


def test_an_allowance_of_a_key_is_spent_by_all_of_its_jobs() -> None:
    # 1,000 in the first 100 s, of each 500; the others from the next hour on.
    found = needs(9, {"a": HOURLY}, PlannedJob("a", 500), PlannedJob("a", 700))
    assert found == [100, 3620]


def test_jobs_wait_for_their_turn_in_their_order() -> None:
    limits = {"a": FIVE, "b": FIVE, "c": FIVE}
    jobs = [PlannedJob("a", 100), PlannedJob("b", 50), PlannedJob("c", 50)]
    found = plan(2, limits, *jobs)
    assert [(one.begins, one.needs) for one in found] == [(0, 20), (0, 10), (10, 20)]


def test_an_allowance_resets_while_no_job_of_its_key_runs() -> None:
    limits = {"a": KeyLimits(10.0, (Window(1000, 3600),)), "b": KeyLimits(1.0)}
    jobs = [PlannedJob("a", 1000), PlannedJob("b", 4000), PlannedJob("a", 1000)]
    assert needs(1, limits, *jobs) == [100, 4100, 4200]


def test_a_job_without_requests_takes_no_time() -> None:
    found = plan(1, {"a": FIVE}, PlannedJob("a", 0), PlannedJob("a", 10))
    assert [(one.begins, one.needs, one.known) for one in found] == [(0, 0, True), (0, 2, True)]


def test_its_own_rate_holds_for_a_job_of_a_faster_key() -> None:
    limits = {"a": KeyLimits(10.0)}
    found = needs(9, limits, PlannedJob("a", 100, per_second=2.0), PlannedJob("a", 100))
    assert found == [50, 20]


def test_a_window_ends_jobs_and_leaves_the_rest_pending() -> None:
    job = PlannedJob("a", 100, until=12.0)
    (found,) = plan(9, {"a": FIVE}, job)
    assert (found.needs, found.window, found.pending, found.suffices) == (20, 12, 40, False)
    (found,) = plan(9, {"a": FIVE}, PlannedJob("a", 100, until=20.0))
    assert (found.pending, found.suffices) == (0, True)


def test_a_deadline_counts_from_the_beginning_of_its_job() -> None:
    limits = {"a": FIVE, "b": FIVE}
    jobs = [PlannedJob("a", 100), PlannedJob("b", 100, within=25.0)]
    found = plan(1, limits, *jobs)
    assert [(one.window, one.suffices) for one in found] == [(math.inf, None), (45, True)]


def test_a_job_that_its_bound_ends_leaves_the_key_to_the_others() -> None:
    # Until 10 s each sends 25; from then on the second has all of it: 75 more in 15 s.
    jobs = [PlannedJob("a", 100, until=10.0), PlannedJob("a", 100, until=25.0)]
    first, second = plan(9, {"a": FIVE}, *jobs)
    assert (first.pending, second.pending) == (75, 0)
    assert (first.suffices, second.suffices) == (False, True)


@pytest.mark.parametrize(
    "limits", [UNKNOWN, KeyLimits(held_seconds=5.0), KeyLimits(1.0, (Window(0.5, 3600),))]
)
def test_nothing_is_promised_where_no_limit_is_known(limits: KeyLimits) -> None:
    found = plan(9, {"a": limits, "b": FIVE}, PlannedJob("a", 10, until=60), PlannedJob("b", 10))
    assert [one.known for one in found] == [False, True]
    assert found[0].suffices is None


def test_a_job_behind_one_of_unknown_length_has_no_known_end() -> None:
    limits = {"a": UNKNOWN, "b": FIVE}
    a, b = PlannedJob("a", 10, until=60), PlannedJob("b", 10, until=60)
    assert [one.known for one in plan(1, limits, a, b)] == [False, False]
    assert [one.known for one in plan(1, limits, b, a)] == [True, False]
    # Too short is too short, however long the others take.
    late = PlannedJob("b", 1000, until=60)
    assert plan(1, limits, a, late)[1].suffices is False


RATES = st.sampled_from([0.5, 1.0, 5.0, 50.0])
WINDOWS = st.builds(
    Window,
    st.sampled_from([10.0, 100.0, 1000.0]),
    st.sampled_from([1.0, 60.0, 3600.0]),
)
LIMITS = st.builds(
    KeyLimits,
    RATES,
    st.lists(WINDOWS, max_size=1).map(tuple),
    st.sampled_from([0.0, 0.0, 30.0]),
)
JOBS = st.lists(
    st.builds(PlannedJob, st.sampled_from("abc"), st.integers(0, 400)), min_size=1, max_size=8
)


@example([PlannedJob("a", 10)] * 3, dict.fromkeys("abc", HOURLY), 1)
@given(JOBS, st.fixed_dictionaries(dict.fromkeys("abc", LIMITS)), st.integers(1, 9))
def test_a_night_is_as_long_as_its_longest_key_and_no_longer_than_all_keys_in_turn(
    jobs: list[PlannedJob], limits: dict[str, KeyLimits], at_once: int
) -> None:
    totals = {name: sum(job.requests for job in jobs if job.key == name) for name in limits}
    alone = [limits[name].seconds(total) for name, total in totals.items()]
    found = plan(at_once, limits, *jobs)
    end = max(one.needs for one in found)
    assert end >= max(alone) * (1 - 1e-9) - 1e-6
    assert end <= sum(alone) * (1 + 1e-9) + 1e-6
    for job, one in zip(jobs, found, strict=True):
        assert one.begins <= one.needs
        assert one.needs - one.begins >= job.requests / limits[job.key].spaced - 1e-6
    begins = [one.begins for one in found]
    assert begins == sorted(begins)
    for instant in begins:
        running = sum(one.begins <= instant < one.needs for one in found)
        assert running <= at_once


@given(
    JOBS,
    st.fixed_dictionaries(dict.fromkeys("abc", LIMITS)),
    st.integers(1, 9),
    st.floats(1.0, 5000.0),
)
def test_a_window_suffices_if_and_only_if_all_is_sent_before_its_end(
    jobs: list[PlannedJob], limits: dict[str, KeyLimits], at_once: int, until: float
) -> None:
    freely = plan(at_once, limits, *jobs)
    bound = [PlannedJob(job.key, job.requests, until=until) for job in jobs]
    for job, free, one in zip(jobs, freely, plan(at_once, limits, *bound), strict=True):
        assert 0 <= one.pending <= job.requests
        if free.needs < until - 1e-3:
            assert one.pending == 0
        if free.needs > until + 3 / limits[job.key].spaced and job.requests:
            assert one.pending > 0


NOW = datetime(2026, 3, 14, 16, 30, tzinfo=UTC)
TOLD = KnownPace(20.0, (Allowance(1000, 400, NOW, RateSource.HEADER, 3600.0),), 7.0)


def test_the_limits_of_a_key_are_those_that_the_api_told_and_all_of_its_jobs_set() -> None:
    five, ten = Rate(5, 1.0), Rate(10, 1.0)
    hourly, daily = Rate(500, 3600.0), Rate(9000, 86400.0)
    one, other = Pacing(rates=(five, hourly, daily)), Pacing(rates=(ten, hourly))
    found = limits_of_key([one, other], TOLD, NOW)
    assert (found.per_second, found.held_seconds) == (10.0, 7.0)
    assert [window.contents for window in found.windows] == [500, 1000]
    assert limits_of_key([one, Pacing()], TOLD, NOW).per_second == 20.0
    assert limits_of_key([one, Pacing()], KnownPace(), NOW) == KeyLimits()


def test_the_reserve_for_others_counts_if_all_jobs_of_a_key_leave_it() -> None:
    leaving = Pacing(leave=Share(count=100))
    (window,) = limits_of_key([leaving, leaving], TOLD, NOW).windows
    assert (window.contents, window.left) == (900, 300)
    (window,) = limits_of_key([leaving, Pacing()], TOLD, NOW).windows
    assert (window.contents, window.left) == (1000, 400)
