"""A night of an agency: the jobs of many teams in one run, killed at random moments.

    python -m tests.benchmarks.agency [--teams 60] [--rows 100] [--kills 5] [--seed 1] [--strict]
        [--dask local:3 [--worker-kills 12]]

Each team has an API with a limit of its own kind, its own key (from a file, a command or a
keychain) and its own sheet. One team's key is refused, one is another team's, one is missing; one
sheet is broken; one API is down for a while and one all night; two jobs have one key. `bulk-sync
run` is killed (SIGKILL) or asked to end (SIGTERM) at random moments, run again each time, and then
runs to its end. The APIs are the witnesses:

1. Every row of a sheet is applied at its own team, with the sheet's values, and acknowledged.
2. What a checkpoint calls acknowledged was applied, stays acknowledged, and is not sent again.
3. A row is sent once more at most for each kill at which it was in flight.
4. A refused, foreign or missing key and a broken sheet end their own jobs, with 5, 5, 2 and 4, and
   change nothing. The API that is down all night leaves its rows pending, with 6; the other jobs
   end with 0.
5. The exit code of the run is the most pressing.
6. No API sees another team's key. No file, log or output of the program has a key in it.
7. A limit that is stated refuses nothing, but for what a kill leaves in flight, and for the few
   requests that a busy machine holds up (`HELD_UP`).
8. Nothing of the program's own is left over. SIGTERM ends the run with 143 and no row in flight.

With `--worker-kills`, single workers of the cluster are killed (SIGKILL) in the last run, again and
again, so that Dask takes most jobs for the reason; the same has to hold.

With `--strict` the command ends with 1 when one of these is broken.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

from bulk_sync.clock import SystemClock
from tests.benchmarks.agency_servers import serving
from tests.benchmarks.agency_teams import (
    BROKEN,
    DOWN,
    FOREIGN,
    KEYLESS,
    KINDS,
    REFUSED,
    SPECIAL,
    TWIN,
    Broken,
    Team,
)
from tests.helpers import Ran, Witness, command, poll, read_csv

WORKERS = 4

REFUSED_AT_A_KILL = WORKERS
"""Requests that were in flight at a kill count at the API, and the next run can't know of them."""

HELD_UP = 0.02
"""The share of requests that may come later than they were sent, several at a time."""

LIMIT_KEPT = "a stated limit is kept"
"""The rule that a busy machine may break."""

TEAMS_IN_A_PROCESS = 20

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL)

_KEYCHAIN = """
from pathlib import Path
from keyring.backends.null import Keyring as Null

class Keyring(Null):
    priority = 1

    def get_password(self, service, username):
        return Path({folder!r}, username).read_text("utf-8")
"""


class Agency:
    """The teams of a folder, their jobs file, and the program that runs it."""

    def __init__(self, folder: Path, teams: int, rows: int, seed: int) -> None:
        self.folder, self.broken = folder, Broken()
        self.strikes: Counter[str] = Counter()
        self.dice = random.Random(seed)
        kinds = [*SPECIAL, *(KINDS[number % len(KINDS)] for number in range(teams - len(SPECIAL)))]
        self.teams = [
            Team(f"{kind.name}-{number}", kind, folder / "teams", rows)
            for number, kind in enumerate(kinds)
        ]
        one, other = [team for team in self.teams if team.kind is TWIN]
        other.shares_key_of = one
        self.dice.shuffle(self.teams)
        self._outputs: list[str] = []
        self._processes: list[Witness] = []
        self.options: tuple[str, ...] = ()
        self._clock = SystemClock()

    def serve(self, stack: ExitStack) -> None:
        """Start the APIs, and write the keys and the jobs file."""
        own = [team for team in self.teams if team.shares_key_of is None]
        for first in range(0, len(own), TEAMS_IN_A_PROCESS):
            some = own[first : first + TEAMS_IN_A_PROCESS]
            witnesses = stack.enter_context(serving([team.api for team in some]))
            self._processes.append(witnesses[0])
            for team, witness in zip(some, witnesses, strict=True):
                team.witness = witness
        for team in self.teams:
            if team.shares_key_of is not None:
                team.witness = team.shares_key_of.witness
        keys = self.folder / "keys"
        keys.mkdir()
        (self.folder / "backend").mkdir()
        (self.folder / "backend" / "agency_keychain.py").write_text(
            _KEYCHAIN.format(folder=str(keys)), encoding="utf-8"
        )
        for team in self.teams:
            (keys / team.name).touch(mode=0o600)
            (keys / team.name).write_text(team.key, encoding="utf-8")
        self.jobs_file.write_text("\n".join(self._jobs()), encoding="utf-8")
        self.jobs_file.chmod(0o600)

    @property
    def jobs_file(self) -> Path:
        """The jobs file."""
        return self.folder / "teams.toml"

    def _jobs(self) -> Iterator[str]:
        yield f"[defaults]\nworkers = {WORKERS}\n"
        for number, team in enumerate(self.teams):
            source = (
                {"key-file": f"keys/{team.name}"},
                {"key-command": f"cat {self.folder / 'keys' / team.name}"},
                {"keychain": team.name},
            )[0 if team.kind is KEYLESS else number % 3]
            given = {"base-url": team.witness.base_url, **source, **team.kind.job}
            yield f'[[job]]\nname = "{team.name}"\nfiles = "teams/{team.name}/*.csv"'
            yield "".join(f"{name} = {json.dumps(value)}\n" for name, value in given.items())

    def _command(self) -> list[str]:
        return command(
            *("run", "--jobs", self.jobs_file, "--json", "-v"),
            *("--log-file", self.folder / "run.log"),
            *("--metrics-file", self.folder / "run.prom"),
            *self.options,
        )

    def _environment(self) -> dict[str, str]:
        dropped = ("BULK_SYNC_", "NORTH_", "PYTHONPATH")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        return kept | {
            "XDG_STATE_HOME": str(self.folder / "state"),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "PYTHONPATH": os.pathsep.join([str(self.folder / "backend"), *sys.path]),
            "PYTHON_KEYRING_BACKEND": "agency_keychain.Keyring",
        }

    def seen(self, name: str) -> int:
        """Return how many requests of a kind all APIs saw; see `agency_servers.Seen`."""
        return sum(seen[name] for seen in self._seen().values())

    def _seen(self) -> dict[str, dict[str, int]]:
        return {
            team: seen
            for witness in self._processes
            for team, seen in witness.get("/_sandbox/seen").items()
        }

    def seen_at(self, kind: str, name: str = "requests") -> int:
        """Return how many requests of a kind the APIs of a kind of team saw."""
        of_kind = {team.name for team in self.teams if team.kind.name == kind}
        return sum(seen[name] for team, seen in self._seen().items() if team in of_kind)

    def strike(self, number: signal.Signals, requests: int) -> None:
        """Run the jobs and send them a signal after so many requests, if they still run."""
        before = self.seen("requests")
        with subprocess.Popen(
            self._command(),
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            poll(
                lambda: process.poll() is not None or self.seen("requests") - before >= requests,
                within=600,
            )
            ended = process.poll() is not None
            struck_at = self._clock.now().timestamp()
            process.send_signal(number)
            out, _ = process.communicate(timeout=120)
        self._outputs.append(out)
        if ended:
            return
        self.strikes[number.name] += 1
        for team in self.teams:
            team.look(self.broken, struck_at, killed=number == signal.SIGKILL)
        if number != signal.SIGKILL:
            code = process.returncode
            self.broken.expect(code == 128 + number, "exit code of a stop", f"{code}: {out[-300:]}")

    def finish(self, worker_kills: int = 0) -> Ran:
        """Run the jobs to their end, and kill so many workers meanwhile."""
        left = sum(len(team.sheet) for team in self.teams if team.kind.code == 0)
        # No pipes: nobody reads them while workers are killed.
        with TemporaryFile("w+") as out, TemporaryFile("w+") as err:
            with subprocess.Popen(
                self._command(), env=self._environment(), stdout=out, stderr=err
            ) as process:
                for _ in range(worker_kills):
                    self._kill_worker(process, self.dice.uniform(0.1, 1.0) * left / worker_kills)
                process.wait(1800)
            out.seek(0)
            err.seek(0)
            ran = Ran(process.returncode, out.read(), err.read())
        self._outputs += [ran.out, ran.err]
        return ran

    def _kill_worker(self, process: subprocess.Popen[bytes], requests: float) -> None:
        """Kill a worker after so many requests, if the run still goes on."""
        before = self.seen("requests")

        def is_time() -> bool:
            return process.poll() is not None or (
                self.seen("requests") - before >= requests and bool(workers_of(process.pid))
            )

        poll(is_time, within=600)
        workers = workers_of(process.pid)
        if process.poll() is not None or not workers:
            return
        worker = self.dice.choice(workers)
        # Stopped first, so that its checkpoints are looked at as it leaves them.
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGSTOP)
            struck_at = self._clock.now().timestamp()
            for team in self.teams:
                if team.holder() == worker:
                    team.look(self.broken, struck_at, killed=True)
            os.kill(worker, signal.SIGKILL)
            self.strikes["SIGKILL of a worker"] += 1

    def judge(self, ran: Ran) -> None:
        """Compare how the run ended with what the APIs saw."""
        codes = {job["job"]: job["exit_code"] for job in ran.summary["jobs"]}
        self.broken.expect(ran.code == 5, "exit code of the run", f"{ran.code}: {ran.err[-300:]}")
        for team in self.teams:
            code, expected = codes.get(team.name), team.kind.code
            self.broken.expect(code == expected, "exit code of a job", f"{team.name}: {code}")
            self._judge_rows(team)
            self._judge_repeats(team)
        foreign = self.seen("of_other_keys")
        self.broken.expect(foreign == 0, "keys at another team", foreign)
        self._judge_limits()
        self._judge_files()

    def _judge_rows(self, team: Team) -> None:
        expect, journal = self.broken.expect, team.journal()
        holds = {e["key"]: json.loads(e["body"]) for e in journal if e["applied"]}
        path = team.folder / "showings.results.csv"
        states = {row["unique_showing_key"]: row["state"] for row in _results(path)}
        updated = {key for key, state in states.items() if state == "updated"}
        if team.kind in (REFUSED, FOREIGN, KEYLESS, BROKEN):
            expect(not holds, "changes without a right", f"{team.name}: {len(holds)}")
            expect(not updated, "acknowledged without a right", f"{team.name}: {len(updated)}")
            return
        team.compare(updated, self.broken)
        wrong = [key for key, values in holds.items() if values != team.sheet[key]]
        expect(not wrong, "other values than the sheet's", f"{team.name}: {wrong[:3]}")
        expect(states.keys() == team.sheet.keys(), "a result for each row", team.name)
        if team.kind is DOWN:
            left = {states[key] for key in states.keys() - updated}
            expect(left == {"pending"}, "rows of an outage are pending", f"{team.name}: {left}")
        else:
            expect(updated == team.sheet.keys(), "every row is acknowledged", team.name)

    def _judge_repeats(self, team: Team) -> None:
        again = team.sent_again()
        often = {key: n for key, n in again.items() if n > team.in_flight[key]}
        self.broken.expect(not often, "sent again without a kill", f"{team.name}: {often}")

    def refusals(self) -> dict[str, int]:
        """Return the requests over the limit by kind of team."""
        found: Counter[str] = Counter()
        for team in self.teams:
            if team.shares_key_of is None:
                entries = team.witness.journal()
                found[team.kind.name] += sum(entry["status"] == 429 for entry in entries)
        return dict(found)

    def _judge_limits(self) -> None:
        for team in self.teams:
            if team.kind.stated and team.shares_key_of is None:
                statuses = Counter(entry["status"] for entry in team.witness.journal())
                kills = self.strikes["SIGKILL"] + self.strikes["SIGKILL of a worker"]
                allowed = kills * REFUSED_AT_A_KILL + HELD_UP * statuses.total()
                self.broken.expect(
                    statuses[429] <= allowed, LIMIT_KEPT, f"{team.name}: {statuses[429]} refused"
                )

    def _judge_files(self) -> None:
        keys = [team.key.encode() for team in self.teams]
        for text in self._outputs:
            self.broken.expect("north_sk_test" not in text, "no key in an output", text[:200])
            self.broken.expect("Traceback" not in text, "no traceback", text[-500:])
        for path in self.folder.rglob("*"):
            if not path.is_file() or path.parent.name == "keys":
                continue
            content = path.read_bytes()
            self.broken.expect(not any(key in content for key in keys), "no key in a file", path)
            name = path.name
            litter = name.startswith(".") or ".part" in name or name.endswith(("-wal", "-shm"))
            self.broken.expect(not litter, "nothing is left over", path)


def workers_of(pid: int) -> list[int]:
    """Return the processes of the workers that a run started, from /proc."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    children = [one for one, parent in parents.items() if parents.get(parent) == pid]
    return [one for one in children if b"spawn_main" in _command_line(one)]


def _command_line(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _results(path: Path) -> Sequence[Mapping[str, str]]:
    return read_csv(path) if path.exists() else []


@contextmanager
def night(
    folder: Path,
    *options: str,
    teams: int,
    rows: int,
    kills: int,
    seed: int,
    worker_kills: int = 0,
) -> Iterator[Agency]:
    """Run the jobs of an agency with so many kills; yield what was found, and the witnesses.

    `options` are more of those of the run.
    """
    agency = Agency(folder, teams, rows, seed)
    agency.options = options
    with ExitStack() as stack:
        agency.serve(stack)
        rows_to_send = sum(len(team.sheet) for team in agency.teams if team.kind.code == 0)
        for number in range(kills):
            # At the start, while keys are read and sheets are staged, or later.
            most = agency.dice.choice([0.1, 1.0, 1.0]) * rows_to_send / kills
            agency.strike(SIGNALS[number % len(SIGNALS)], round(agency.dice.uniform(0, most)))
        agency.judge(agency.finish(worker_kills))
        yield agency


def _print(agency: Agency) -> None:
    again = sum(team.sent_again().total() for team in agency.teams)
    print(
        f"{len(agency.teams)} teams, {dict(agency.strikes)}, {agency.seen('requests'):,} requests, "
        f"{again} rows sent again, {agency.seen('while_down')} while an API was down"
    )
    late = max(team.unrecorded_seconds for team in agency.teams)
    print(f"oldest reply that a kill found unrecorded: {late:.2f} s")
    refusals = ", ".join(f"{kind} {count}" for kind, count in sorted(agency.refusals().items()))
    print(f"over the limit: {refusals}")
    for rule, places in agency.broken.places.items():
        print(f"BROKEN: {rule}: {len(places)} times", *places[:5], sep="\n  ")
    if not agency.broken.places:
        print("no rule broken")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--teams", type=int, default=60, help=f"at least {len(SPECIAL)}")
    parser.add_argument("--rows", type=int, default=100, help="of each team")
    parser.add_argument("--kills", type=int, default=5, help="a third of them with SIGTERM")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dask", metavar="local:N", help="on so many worker processes")
    parser.add_argument("--worker-kills", type=int, default=0, help="of --dask, in the last run")
    parser.add_argument("--keep", type=Path, help="a folder for the files of the night")
    parser.add_argument("--strict", action="store_true", help="end with 1 when a rule is broken")
    asked: Any = parser.parse_args()
    clock = SystemClock()
    begun = clock.monotonic()
    options = ("--dask", asked.dask) if asked.dask else ()
    size = {"teams": asked.teams, "rows": asked.rows, "worker_kills": asked.worker_kills}
    with (
        TemporaryDirectory() as folder,
        night(Path(folder), *options, **size, kills=asked.kills, seed=asked.seed) as agency,
    ):
        _print(agency)
        if asked.keep is not None:
            shutil.copytree(folder, asked.keep, dirs_exist_ok=True)
    print(f"{clock.monotonic() - begun:.0f} s")
    return 1 if asked.strict and agency.broken.places else 0


if __name__ == "__main__":
    sys.exit(main())
