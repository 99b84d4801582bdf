"""Jobs of one key, in one run or in two on this host: they share its limit, and none starves."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import KEY, Witness, numbered, sandbox_process, started, write_sheet

LIMIT = 40
ROWS = 40


def write_jobs(folder: Path, base_url: str, names: Sequence[str]) -> Path:
    """Write a jobs file of jobs with one key, whose rows begin with the job's name."""
    folder.mkdir()
    key = folder / "team.key"
    key.write_text(KEY, encoding="utf-8")
    key.chmod(0o600)
    lines = [f'[defaults]\nbase-url = "{base_url}"\nkey-file = "team.key"']
    for name in names:
        rows = [(f"{name}-{number}", text, rating) for number, text, rating in numbered(ROWS)]
        write_sheet(folder / f"{name}.csv", rows)
        lines.append(f'[[job]]\nname = "{name}"\nfiles = "{name}.csv"')
    path = folder / "teams.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    path.chmod(0o600)
    return path


def send(folder: Path, witness: Witness, runs: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """Send the jobs of each run, all runs at once; return the requests for showings."""
    with ExitStack() as stack:
        paths = [
            write_jobs(folder / f"run{place}", witness.base_url, names)
            for place, names in enumerate(runs)
        ]
        programs = [stack.enter_context(started("run", "--jobs", path, "--json")) for path in paths]
        for program in programs:
            out, err = program.communicate(timeout=120)
            assert program.returncode == 0, err
            assert json.loads(out)["states"]["updated"] == ROWS * len(runs[0])
    return [entry for entry in witness.journal() if entry["method"] == "PATCH"]


def refuse_starving(patches: Sequence[dict[str, Any]]) -> None:
    """Fail unless each job has half of an equal share while all of them have rows to send."""
    jobs = [entry["key"].partition("-")[0] for entry in patches if entry["status"] == 200]
    names = set(jobs)
    first = max(jobs.index(name) for name in names)
    last = min(len(jobs) - jobs[::-1].index(name) for name in names)
    assert last - first > ROWS / 2, "they hardly ran at the same time"
    shares = Counter(jobs[first:last])
    fair = (last - first) / len(names)
    assert min(shares[name] for name in names) >= fair / 2 - 1, shares


@pytest.mark.parametrize("runs", [[("vale", "hill", "lake")], [("vale",), ("hill",)]])
def test_jobs_of_one_key_keep_a_stated_limit_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: list[tuple[str, ...]]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    stated = ("--limit", f"{LIMIT}/s", "--limit-headers", "ratelimit")
    with sandbox_process("--accept-any", *stated) as witness:
        patches = send(tmp_path, witness, runs)
        refuse_starving(patches)
        refused = sum(entry["status"] == 429 for entry in witness.journal())
    assert refused == 0


def test_no_job_starves_while_a_limit_is_searched_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    unstated = ("--limit", f"{LIMIT}/s", "--limit-headers", "none")
    with sandbox_process("--accept-any", *unstated) as witness:
        refuse_starving(send(tmp_path, witness, [("vale", "hill", "lake")]))
