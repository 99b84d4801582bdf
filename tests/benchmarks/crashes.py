"""Kill pushes and see whether anything was lost, repeated or lied about.

    python -m tests.benchmarks.crashes [--rounds 200] [--seed N]
    python -m tests.benchmarks.crashes --sweep [--stride N] [--calls pwrite64,fsync] [--error
    ENOSPC] [--twice] [--create-missing]

A round starts a `push` in a process of its own against a sandbox in another, kills it
(SIGKILL) at a random moment once, twice or three times in a row, while it stages, sends or
reports, with and without faults of the sandbox, and then lets an undisturbed run finish. The
sweep kills it at the first system call of a kind, then at the second, the third ..., until a
run gets through, as SQLite's own tests do; with `--error` the call fails instead, as on a full or
broken disk, and `--twice` strikes the run after it, too. It needs strace. With `--create-missing`
the sandbox has none of the showings, and each must be created exactly once.

The sandbox's journal is the witness, the checkpoint is read without the program's help, and
what must not be is counted, see `Findings`. Exit code 1 when any of it was.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bulk_sync.clock import SystemClock
from tests.benchmarks.crash_findings import Findings, rows_of
from tests.helpers import (
    Witness,
    command,
    environment,
    poll,
    read_csv,
    run,
    sandbox_process,
    write_sheet,
)

WORKERS = 8

_LONGEST_RUN_SECONDS = 1800.0
"""A safety net for a run that would hang."""
REPORT = "550e8400-e29b-41d4-a716-446655440000"

FAULTS = ("--fault", "2%:reset", "--fault", "2%:503", "--fault", "1%:cut", "--fault", "1%:garbage")

CALLS = (
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "rename",
    "unlink",
    "ftruncate",
    "sendto",
    "recvfrom",
)
"""System calls that change files, and those that speak to the API. One at a time: strace counts
each by itself.
"""

KILL = "signal=KILL"

_INLINE = """
import anyio.to_thread, sys
async def at_once(function, *arguments, **_): return function(*arguments)
anyio.to_thread.run_sync = at_once
from bulk_sync.cli import main
main()
"""
"""The program with its one writing thread folded into the main one, for strace counts calls by
thread. The order of the calls is the same: one thread at a time touches the checkpoint."""


class Job:
    """One sheet on its way through runs that are killed, and what is known of it."""

    def __init__(
        self,
        folder: Path,
        witness: Witness,
        findings: Findings,
        *,
        good: int,
        bad: int = 0,
        creates: bool = False,
        more: Sequence[object] = (),
        program: Callable[..., list[str]] = command,
    ) -> None:
        folder.mkdir(parents=True)
        self._creates = creates
        self._more = more
        self._program = program
        self.folder = folder
        self._witness = witness
        self._findings = findings
        self.good = [f"{folder.name}_{number}" for number in range(good)]
        self.bad = [f"{folder.name}_bad_{number}" for number in range(bad)]
        rows = [(key, f"Liked it, {key}", 4) for key in self.good] + [
            (key, "Liked it", "bad") for key in self.bad
        ]
        self.sheet = write_sheet(folder / "showings.csv", rows)
        self.checkpoint = folder / "showings.checkpoint.sqlite"
        self._begun = self._looked = max(
            (entry["seq"] for entry in witness.journal_after(0)), default=0
        )
        self._known: set[str] = set()
        self._in_flight: Counter[str] = Counter()

    def arguments(self) -> list[object]:
        """Those of a push of it."""
        more = ("--workers", WORKERS, "--max-problems", "100%", "--max-attempts", 9)
        create = ("--create-missing", "--report", REPORT) if self._creates else ()
        to = ("--base-url", self._witness.base_url)
        return ["push", self.sheet, *to, *more, *create, *self._more]

    def killed_after(self, seconds: float) -> bool:
        """Start a push and kill it; False when it ended before."""
        return self._killed(lambda process: _ended(process, seconds))

    def killed_when(self, reached: Callable[[], bool]) -> bool:
        """Start a push and kill it once that is reached; False when it ended before."""

        def wait(process: subprocess.Popen[bytes]) -> bool:
            poll(lambda: reached() or process.poll() is not None, _LONGEST_RUN_SECONDS)
            return process.poll() is not None

        return self._killed(wait)

    def _killed(self, ended: Callable[[subprocess.Popen[bytes]], bool]) -> bool:
        with subprocess.Popen(
            self._program(*self.arguments()),
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            if ended(process):
                return False
            process.kill()
        self.look()
        return True

    def struck(self, call: str, strike: str) -> bool:
        """Run a push in which strace strikes at one of these system calls; False when there were
        too few of them.
        """
        trace = self.folder.with_suffix(".strace")
        strace = [
            "strace",
            "-f",
            "-qq",
            "-o",
            str(trace),
            "-e",
            f"trace={call}",
            "-e",
            f"inject={call}:{strike}",
        ]
        ended = subprocess.run(
            [*strace, sys.executable, "-B", "-c", _INLINE, *map(str, self.arguments())],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if ended.returncode == -signal.SIGKILL:
            self.look()
            return True
        failed = [
            line
            for line in trace.read_text(encoding="utf-8", errors="replace").splitlines()
            if "(INJECTED)" in line
        ]
        if not failed:
            self._count(
                "wrong_exit_code", ended.returncode != self._expected_exit(), ended.stderr[-300:]
            )
            return False
        if any(" write(1, " in line or " write(2, " in line for line in failed):
            self.look()  # what was to be said could not be
        else:
            self.look_after_error(ended.returncode, ended.stderr, may_leave_parts=call == "unlink")
        return True

    def look_after_error(self, code: int, stderr: str, *, may_leave_parts: bool = False) -> None:
        """After a run that met a full or broken disk: it ended with 8, a sentence that names a
        file, and no litter.
        """
        self.look()
        if code != self._expected_exit():
            self._findings.stopped_with_8 += code == 8
            sentences = [line for line in stderr.splitlines() if line.startswith("Error: ")]
            named = len(sentences) == 1 and str(self.folder / "showings.") in sentences[0]
            self._count("wrong_exit_code", code != 8 or not named, f"{code} {stderr[-300:]}")
        left = [
            path.name
            for path in self.folder.iterdir()
            if path.suffix == ".part" or ".edited" in path.name
        ]
        self._count("files_missing_or_left_over", 0 if may_leave_parts else len(left), left)

    def look(self) -> None:
        """After a kill: compare journal and checkpoint, and keep what must hold from now on."""
        self._findings.strikes += 1
        now = rows_of(self.checkpoint)
        sent = self._sent_since_last_look()
        self._findings.strikes_while_sending += bool(sent)
        known = {key for key, row in now.items() if row.state == self._done}
        self._compare(sent, known)
        ever = {entry["key"] for entry in self._journal()}
        unsaid = {key for key in ever - known if not (key in now and now[key].in_doubt)}
        self._count("sent_and_not_said_to_be_in_doubt", len(unsaid), sorted(unsaid)[:3])
        in_flight = [key for key, row in now.items() if row.in_flight]
        self._in_flight.update(in_flight)
        self._findings.most_in_flight_at_a_strike = max(
            self._findings.most_in_flight_at_a_strike, len(in_flight)
        )
        self._known = known

    def finish(self) -> None:
        """Let a run end undisturbed, and see whether all is as if none had been killed."""
        last = run(*self.arguments(), "--json", program=self._program, within=_LONGEST_RUN_SECONDS)
        wrong = last.code != self._expected_exit()
        self._count("wrong_exit_code", wrong, f"{last.code} {last.err.strip()[-300:]}")
        sent = self._sent_since_last_look()
        now = rows_of(self.checkpoint)
        updated = {key for key, row in now.items() if row.state == self._done}
        self._compare(sent, updated)
        self._count("wrong_results", len(set(self.good) - updated), f"rows are not {self._done}")
        twice = self._sent_twice()
        beyond = {key: count for key, count in twice.items() if count > self._in_flight[key]}
        self._count("sent_twice_and_not_in_flight_at_a_strike", len(beyond), beyond)
        if self._creates:
            created = Counter(
                entry["key"]
                for entry in self._journal()
                if entry["method"] == "POST" and entry["applied"]
            )
            # But for the sandbox's guard these would have made a second showing.
            created.update(
                entry["key"]
                for entry in self._journal()
                if entry["method"] == "POST" and entry["status"] == 409
            )
            other = {key: created[key] for key in self.good if created[key] != 1}
            self._count("not_created_exactly_once", len(other), other)
        self._findings.rows += len(self.good)
        self._findings.requests += len(self._journal())
        self._findings.rows_sent_twice += len(twice)
        self._findings.rounds += 1
        self._look_at_results()
        self._look_at_files()

    def _sent_twice(self) -> dict[str, int]:
        """How often rows were sent again although nothing but a kill was the reason, by key."""
        # A request that met a fault, or a limit, is repeated in the same run.
        entries = [e for e in self._journal() if e["fault"] is None and e["status"] != 429]
        if self._creates:
            # The POST that creates a showing ends its row. What precedes it, and the PATCH after a
            # POST that met a fault, belong to the protocol.
            entries = [entry for entry in entries if entry["method"] == "POST"]
        answered = Counter(entry["key"] for entry in entries)
        return {key: count - 1 for key, count in answered.items() if count > 1}

    @property
    def _done(self) -> str:
        return "created" if self._creates else "updated"

    def _look_at_results(self) -> None:
        path = self.folder / "showings.results.csv"
        results = read_csv(path) if path.exists() else []
        ids = {entry["key"]: entry["showing_id"] for entry in self._journal() if entry["applied"]}
        expected = [(key, self._done, ids.get(key, "?")) for key in self.good] + [
            (key, "invalid", "") for key in self.bad
        ]
        shown = [
            (line["unique_showing_key"], line["state"], line["showing_id"]) for line in results
        ]
        wrong = sum(pair[0] != pair[1] for pair in zip(shown, expected, strict=False))
        self._count(
            "wrong_results",
            wrong + abs(len(shown) - len(expected)),
            f"{len(shown)} results, {wrong} wrong",
        )
        rows = [line["row"] for line in results] != [
            str(number) for number in range(2, len(expected) + 2)
        ]
        doubts = sum("may have been applied" in line["message"] for line in results)
        self._count(
            "wrong_results", rows + doubts, "row numbers, or doubts about acknowledged rows"
        )
        failed = self.folder / "showings.failed.csv"
        if self.bad and failed.exists():
            keys = [line["unique_showing_key"] for line in read_csv(failed)]
            self._count("wrong_results", keys != self.bad, "the failed file has other rows")

    def _look_at_files(self) -> None:
        endings = ["csv", "checkpoint.sqlite", "checkpoint.sqlite.lock", "results.csv"]
        wanted = {
            f"showings.{ending}" for ending in [*endings, *(["failed.csv"] if self.bad else [])]
        }
        there = {path.name for path in self.folder.iterdir()}
        self._count("files_missing_or_left_over", len(there ^ wanted), sorted(there ^ wanted))

    def _compare(self, sent: set[str], updated: set[str]) -> None:
        applied = {entry["key"] for entry in self._journal() if entry["applied"]}
        self._count(
            "updated_and_not_applied", len(updated - applied), sorted(updated - applied)[:3]
        )
        self._count(
            "acknowledged_and_lost", len(self._known - updated), sorted(self._known - updated)[:3]
        )
        again = self._known & sent
        self._count("acknowledged_and_sent_again", len(again), sorted(again)[:3])

    def _expected_exit(self) -> int:
        return 3 if self.bad else 0

    def _journal(self) -> list[dict[str, Any]]:
        return [
            entry for entry in self._witness.journal_after(self._begun) if entry["key"] is not None
        ]

    def _sent_since_last_look(self) -> set[str]:
        entries = self._witness.journal_after(self._looked)
        self._looked = max((entry["seq"] for entry in entries), default=self._looked)
        return {entry["key"] for entry in entries if entry["key"] is not None}

    def _count(self, name: str, count: int, words: object) -> None:
        if count:
            setattr(self._findings, name, getattr(self._findings, name) + count)
            self._findings.notes.append(f"{self.folder.name}: {name.replace('_', ' ')}: {words}")


def _ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


@dataclass(frozen=True)
class Shape:
    """A kind of round: rows to send, rows that are only staged and reported, and the sandbox."""

    good: int
    bad: int
    sandbox: tuple[object, ...]
    creates: bool = False


SHAPES = {
    "sending": Shape(300, 0, ("--latency", "10ms")),
    "faults": Shape(120, 3, ("--latency", "5ms", *FAULTS)),
    "creating": Shape(60, 3, ("--latency", "5ms", *FAULTS), creates=True),
    "staging and reporting": Shape(40, 8_000, ()),
}


def rounds(number_of: int, seed: int, shapes: Sequence[str] = tuple(SHAPES)) -> Findings:
    """Kill at random moments of runs, whose length is measured first; the shapes take turns."""
    dice = random.Random(seed)
    findings = Findings()
    clock = SystemClock()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        lengths: dict[str, float] = {}
        witnesses: dict[str, Witness] = {}
        for name in shapes:
            witnesses[name] = stack.enter_context(
                sandbox_process(*_options(creates=SHAPES[name].creates), *SHAPES[name].sandbox)
            )
        for number in range(number_of):
            name = shapes[number % len(shapes)]
            shape = SHAPES[name]
            job = Job(
                folder / f"r{number}",
                witnesses[name],
                findings,
                good=shape.good,
                bad=shape.bad,
                creates=shape.creates,
            )
            if name in lengths:
                for _ in range(dice.choice((1, 1, 2, 3))):
                    job.killed_after(lengths[name] * (0.15 + 0.85 * dice.random()))
                job.finish()
            else:
                begun = clock.monotonic()
                job.finish()
                lengths[name] = clock.monotonic() - begun
            shutil.rmtree(job.folder)
    return findings


def _options(*, creates: bool) -> tuple[str, ...]:
    return () if creates else ("--accept-any",)


def sweep(
    names: Sequence[str],
    *,
    strike: str = KILL,
    stride: int = 1,
    first: int = 1,
    most: int | None = None,
    again: random.Random | None = None,
    witness: Witness | None = None,
    creates: bool = False,
) -> Findings:
    """Strike at the nth call of each kind, for n from `first` in steps of `stride`, until a run
    makes fewer.

    `most` bounds how often, for each kind. The dice `again` choose the call at which the run after
    it is struck. The pushes go to `witness`, or to a sandbox of their
    own. With `creates` they create what is missing.
    """
    findings = Findings()
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory())
        witness = witness or stack.enter_context(sandbox_process(*_options(creates=creates)))
        for name in names:
            for number in islice(count(first, stride), most):
                job = Job(
                    Path(folder, f"{name}{number}"),
                    witness,
                    findings,
                    good=4,
                    bad=1,
                    creates=creates,
                )
                struck = job.struck(name, f"{strike}:when={number}")
                if struck and again is not None:
                    job.struck(name, f"{strike}:when={again.randint(1, number + 1)}")
                job.finish()
                if not struck:
                    break
    return findings


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill pushes and see whether anything was lost.")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=20260302)
    parser.add_argument(
        "--sweep", action="store_true", help="kill at the nth system call; needs strace"
    )
    parser.add_argument("--twice", action="store_true", help="strike the run after it, too")
    parser.add_argument(
        "--error", metavar="ENOSPC|EIO|...", help="let the nth system call fail, instead of a kill"
    )
    parser.add_argument("--stride", type=int, default=1, help="only every nth call of each kind")
    parser.add_argument("--create-missing", action="store_true", help="in the sweep")
    parser.add_argument("--calls", default=",".join(CALLS), help=f"by default {', '.join(CALLS)}")
    told = parser.parse_args()
    clock = SystemClock()
    begun = clock.monotonic()
    if told.sweep:
        if shutil.which("strace") is None:
            raise SystemExit(
                "The sweep kills at system calls by means of strace, which is not installed."
            )
        findings = sweep(
            told.calls.split(","),
            strike=f"error={told.error}" if told.error else KILL,
            stride=told.stride,
            again=random.Random(told.seed) if told.twice else None,
            creates=told.create_missing,
        )
    else:
        findings = rounds(told.rounds, told.seed)
    print(findings.table())
    print(f"{clock.monotonic() - begun:.0f} s")
    for note in findings.notes[:40]:
        print(note)
    if any(findings.must_not_be().values()):
        raise SystemExit(1)
    if not findings.strikes:
        raise SystemExit("nothing was struck, so nothing is shown")


if __name__ == "__main__":
    main()
