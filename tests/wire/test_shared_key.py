"""Jobs of one key, in one run or in two on this host: they share its limit, and none starves."""

from __future__ import annotations

import json
import threading
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from bulk_sync.clock import SystemClock
from bulk_sync.quantities import Rate
from bulk_sync.sandbox.limits import LimitHeaders, TokenBucket, limit_headers
from tests.faultserver import Deed, Request, answers, fault_server, held, refuses, slowly
from tests.helpers import KEY, numbered, started, write_sheet

LIMIT = 40
ROWS = 120
"""Of all jobs together."""

WORKERS = 8
LATENCY_SECONDS = 0.1
"""A job sends twice the limit at most, and not all that a full bucket has at once."""


class OneLimit:
    """An API with a limit, which answers no change before each job has sent one.

    Then the jobs send at the same time, however long their processes took to start.
    """

    def __init__(self, jobs: Sequence[str], told: LimitHeaders) -> None:
        self.sent: list[str] = []
        """The jobs of the changes that passed, in order of arrival."""
        self.refused = 0
        self._told = told
        self._bucket = TokenBucket(Rate(LIMIT, 1.0))
        self._missing = set(jobs)
        self._all_send = threading.Event()
        self._lock = threading.Lock()

    def __call__(self, request: Request, _: int) -> Deed:
        with self._lock:
            verdict = self._bucket.ask(SystemClock().monotonic(), 0)
            told = limit_headers(self._told, self._bucket, verdict)
            headers = [f"{name}: {value}" for name, value in told.items()]
            if not verdict.passes:
                self.refused += 1
                return refuses(429, "Too many requests", *headers)
            if request.method == "GET":
                return answers(200, {"data": {"team": {"id": "t1", "name": "Vale"}}}, *headers)
            job = request.key.partition("-")[0]
            self.sent.append(job)
            self._missing.discard(job)
            if not self._missing:
                self._all_send.set()
        showing = {"id": str(uuid.uuid5(uuid.NAMESPACE_URL, request.key))}
        return held(
            self._all_send, slowly(LATENCY_SECONDS, answers(200, {"data": showing}, *headers))
        )


def write_jobs(folder: Path, base_url: str, names: Sequence[str], rows_each: int) -> Path:
    """Write a jobs file of jobs with one key, whose rows begin with the job's name."""
    folder.mkdir()
    key = folder / "team.key"
    key.write_text(KEY, encoding="utf-8")
    key.chmod(0o600)
    lines = [
        f'[defaults]\nbase-url = "{base_url}"\nkey-file = "team.key"\nworkers = {WORKERS}',
    ]
    for name in names:
        rows = [(f"{name}-{number}", text, rating) for number, text, rating in numbered(rows_each)]
        write_sheet(folder / f"{name}.csv", rows)
        lines.append(f'[[job]]\nname = "{name}"\nfiles = "{name}.csv"')
    path = folder / "teams.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    path.chmod(0o600)
    return path


def send(folder: Path, told: LimitHeaders, runs: Sequence[Sequence[str]]) -> OneLimit:
    """Send the jobs of each run, all runs at once; return what the API saw."""
    jobs = [name for names in runs for name in names]
    api, rows_each = OneLimit(jobs, told), ROWS // len(jobs)
    with ExitStack() as stack:
        journal = stack.enter_context(fault_server(api))
        paths = [
            write_jobs(folder / f"run{place}", journal.base_url, names, rows_each)
            for place, names in enumerate(runs)
        ]
        programs = [stack.enter_context(started("run", "--jobs", path, "--json")) for path in paths]
        for program in programs:
            out, err = program.communicate(timeout=120)
            assert program.returncode == 0, err
            assert json.loads(out)["states"]["updated"] == rows_each * len(runs[0])
    return api


def refuse_starving(jobs: Sequence[str]) -> None:
    """Fail unless each job has half of an equal share while all of them have rows to send."""
    names = set(jobs)
    first = max(jobs.index(name) for name in names)
    last = min(len(jobs) - jobs[::-1].index(name) for name in names)
    assert last - first > ROWS / 6, "they hardly ran at the same time"
    shares = Counter(jobs[first:last])
    fair = (last - first) / len(names)
    assert min(shares[name] for name in names) >= fair / 2 - 1, shares


@pytest.mark.parametrize("runs", [[("vale", "hill", "lake")], [("vale",), ("hill",)]])
def test_jobs_of_one_key_keep_a_stated_limit_together(
    tmp_path: Path, runs: list[tuple[str, ...]]
) -> None:
    api = send(tmp_path, "ratelimit", runs)
    refuse_starving(api.sent)
    assert api.refused == 0


def test_no_job_starves_while_a_limit_is_searched_for(tmp_path: Path) -> None:
    refuse_starving(send(tmp_path, "none", [("vale", "hill", "lake")]).sent)
