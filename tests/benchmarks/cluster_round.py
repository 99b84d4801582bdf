"""A run of several teams on a cluster, for `cluster_faults`: its jobs, and rules for its rows."""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bulk_sync.errors import BulkSyncError
from bulk_sync.jobs import results
from bulk_sync.model.rows import ACKNOWLEDGED_STATES
from tests.dask_cluster import DaskCluster
from tests.helpers import Witness, poll, read_csv, started, write_sheet

TEAMS = 4
ROWS = 120
RATE = 30
"""Rows per second of a team: with `ROWS`, a run takes about four seconds."""

LONGEST_RUN_SECONDS = 600
"""A run that takes longer waits for something that won't come."""


@dataclass
class Counts:
    """The sums of all rounds, the rules that were broken, and figures by name."""

    rounds: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    twice: int = 0
    broken: list[str] = field(default_factory=list)
    figures: dict[str, list[float]] = field(default_factory=dict)


class Round:
    """A run of several teams on a cluster of its own."""

    def __init__(
        self, folder: Path, name: str, witness: Witness, counts: Counts, rows: int = ROWS
    ) -> None:
        self.rows = TEAMS * rows
        self.dice = random.Random(name)
        self.counts = counts
        self.witness = witness
        self._name = name
        self._folder = folder
        self._prefix = name.replace(" ", "_")
        self.keys: list[list[str]] = []
        self._seq = max((entry["seq"] for entry in witness.journal_after(0)), default=0)
        self._values: dict[str, str] = {}
        self._settled: set[str] = set()
        folder.mkdir(parents=True)
        self.jobs_file = self._write_jobs()

    def _write_jobs(self) -> Path:
        text = ""
        for team in range(TEAMS):
            keys = [f"{self._prefix}_{team}_{number}" for number in range(self.rows // TEAMS)]
            self._values |= {key: f"Seen {key}" for key in keys}
            self.keys.append(keys)
            (self._folder / str(team)).mkdir()
            write_sheet(self._sheet(team), [(key, self._values[key], 3) for key in keys])
            secret = self._folder / f"{team}.key"
            # Nothing of it is in a row: what looks like a part of a key is masked in replies.
            secret.write_text(f"north_sk_test_{team}{secrets.token_hex(16)}", "utf-8")
            secret.chmod(0o600)
            text += (
                f'[[job]]\nname = "team-{team}"\nfiles = "{self._sheet(team)}"\n'
                f'key-file = "{secret}"\nbase-url = "{self.witness.base_url}"\n'
                f'rate = "{RATE}/s"\nworkers = "4"\n'
            )
        path = self._folder / "jobs.toml"
        path.write_text(text, "utf-8")
        path.chmod(0o600)
        return path

    def _sheet(self, team: int) -> Path:
        return self._folder / str(team) / "x.csv"

    def add_job(self, name: str, key_command: str) -> None:
        """Add a job with a sheet of one row, whose values North never gets."""
        (self._folder / name).mkdir()
        sheet = write_sheet(self._folder / name / "x.csv", [(f"{self._prefix}_{name}", "x", 3)])
        with self.jobs_file.open("a", encoding="utf-8") as file:
            file.write(
                f'[[job]]\nname = "{name}"\nfiles = "{sheet}"\n'
                f'key-command = "{key_command}"\nbase-url = "{self.witness.base_url}"\n'
            )

    @contextmanager
    def run(self, cluster: DaskCluster) -> Iterator[subprocess.Popen[str]]:
        """The command, on its way."""
        env = {name: value for name, value in os.environ.items() if name != "NORTH_API_KEY"}
        with started(
            "run", "--jobs", self.jobs_file, "--dask", cluster.file, "--json", env=env
        ) as running:
            yield running

    def wait_for_rows(self, running: subprocess.Popen[str], count: int) -> None:
        """Wait until so many rows of this round were sent."""

        def enough() -> bool:
            assert running.poll() is None, running.communicate()
            return len(self.patches()) >= count

        poll(enough, within=600)  # on a busy machine

    def patches(self) -> list[dict[str, Any]]:
        """Return the patches of this round that the API applied or refused."""
        return self.witness.patches(self._seq)

    def strike(self, worker: subprocess.Popen[bytes]) -> None:
        """Stop a worker, and note which rows the checkpoints of its jobs have as acknowledged."""
        worker.send_signal(signal.SIGSTOP)
        for team in range(TEAMS):
            if self._holder(team) == worker.pid:
                self._note_settled(team)

    def note_all(self) -> None:
        """Note which rows all checkpoints have as acknowledged."""
        for team in range(TEAMS):
            self._note_settled(team)

    def _note_settled(self, team: int) -> None:
        checkpoint = self._sheet(team).with_suffix(".checkpoint.sqlite")
        # One that is in the middle of a commit can't be read, and says nothing.
        try:
            found = [one.key for one in results(checkpoint) if one.state in ACKNOWLEDGED_STATES]
        except BulkSyncError:
            return
        self._settled.update(found)

    def _holder(self, team: int) -> int | None:
        note = self._sheet(team).with_suffix(".checkpoint.sqlite.holder")
        try:
            return int(json.loads(note.read_text("utf-8"))["pid"])
        except (OSError, ValueError):
            return None

    def ended(self, running: subprocess.Popen[str], code: int) -> dict[str, Any]:
        """Wait for the end of the run, and expect its exit code."""
        try:
            out, err = running.communicate(timeout=LONGEST_RUN_SECONDS)
        except subprocess.TimeoutExpired:
            self.expect(False, f"the run did not end within {LONGEST_RUN_SECONDS} s")
            running.kill()
            _, err = running.communicate()
            out = ""
        summary: dict[str, Any] = json.loads(out) if out else {}
        jobs = {
            job["job"]: (
                job["exit_code"],
                job["error"] or [one.get("error") for one in job.get("files", ())],
            )
            for job in summary.get("jobs", ())
        }
        ended = f"exit code {running.returncode}: {jobs}: {err[-500:]}"
        self.expect(running.returncode == code, ended)
        self.expect("Traceback" not in err, f"a traceback: {err}")
        return summary

    def check(self) -> None:
        """Compare what North got with the sheets, and the results with both."""
        for team, keys in enumerate(self.keys):
            results_file = self._sheet(team).with_suffix(".results.csv")
            rows = read_csv(results_file) if results_file.exists() else []
            updated = [row["unique_showing_key"] for row in rows if row["state"] == "updated"]
            states = dict(Counter(row["state"] for row in rows))
            self.expect(updated == keys, f"results of team {team}: {states}")
        sent = Counter(str(entry["key"]) for entry in self.patches())
        held = {
            str(entry["key"]): json.loads(entry["body"])["feedback"]
            for entry in self.patches()
            if entry["status"] == 200
        }
        self.expect(held == self._values, f"{len(self._values.keys() - held.keys())} rows missing")
        often = [key for key, times in sent.items() if times > 2]
        self.expect(not often, f"sent more than twice: {often[:5]}")
        again = [key for key in self._settled if sent[key] > 1]
        self.expect(not again, f"sent again although recorded: {again[:5]}")
        self.counts.sent += sum(sent.values())
        self.counts.twice += sum(times - 1 for times in sent.values())

    def expect(self, holds: bool, sentence: str) -> None:
        """Note a rule that was broken."""
        if not holds:
            self.counts.broken.append(f"{self._name}: {sentence}")
