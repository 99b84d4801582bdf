"""The limit of open files, raised for jobs that run at the same time, or refused."""

from __future__ import annotations

import pytest

from bulk_sync.errors import UsageError
from bulk_sync.open_files import allow_files_of_jobs

resource = pytest.importorskip("resource", reason="Windows has no such limit")
ENDLESS = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("jobs", "limits", "raised"),
    [
        (300, (1024, 524_288), (7224, 524_288)),  # 300 * 24 + 24
        (300, (1024, ENDLESS), (7224, ENDLESS)),
        (300, (1024, 4096), (4096, 4096)),  # enough for a few connections of each
        (300, (ENDLESS, ENDLESS), None),
        (300, (20_000, 20_000), None),
        (1, (1024, 4096), None),
    ],
)
def test_the_limit_is_raised_as_far_as_needed_and_allowed(
    monkeypatch: pytest.MonkeyPatch,
    jobs: int,
    limits: tuple[int, int],
    raised: tuple[int, int] | None,
) -> None:
    set_to: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, given: set_to.append(given))
    allow_files_of_jobs(jobs)
    assert set_to == ([] if raised is None else [raised])


def test_too_low_a_limit_is_refused_before_a_job_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 1024))
    with pytest.raises(UsageError, match=r"--at-once 300: that many jobs need 3024 open files"):
        allow_files_of_jobs(300)
