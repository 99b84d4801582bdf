"""Send signals to pushes at any moment and see how they end.

    python -m tests.benchmarks.signals [--rounds 300] [--seed N]
    python -m tests.benchmarks.signals --sweep [--stride N] [--calls write,fsync]

A round starts a `push` in a process of its own against a sandbox in another, with a log, metrics, a
page and a hook, and sends it SIGTERM, SIGINT or SIGHUP at a random moment from its first
millisecond to past its end, and in every third round a second one soon after. The sweep sends one
at the first system call of a kind, then at the second, the third ..., and needs strace.

Each push must end within a bound, with the code of the signal or its own, which is also that of
its JSON, and without a traceback. The sandbox's journal, the checkpoint and the results must agree,
and an undisturbed run must finish the sheet: see `crashes`. A signal that reaches the interpreter
before the program's first line is Python's own affair, and is only counted. Exit code 1 when
anything was found.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from bulk_sync.clock import SystemClock
from tests.benchmarks.crash_findings import Findings
from tests.benchmarks.crashes import Job
from tests.helpers import Witness, command, environment, let_pass, read_csv, sandbox_process

NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

BOUND_SECONDS = 60.0
"""How long a push of so few rows may take to end, on a busy machine."""

CALLS = ("write", "pwrite64", "fsync", "openat", "rename", "sendto", "recvfrom", "epoll_wait")
"""System calls of a run's beginning, of its middle and of its end."""


_WRONG_WORDS = ("Traceback", "Exception ignored", "this is a bug", "race condition", "Fatal Python")


@dataclass
class Ends:
    """How pushes ended; `wrong` must be empty."""

    findings: Findings = field(default_factory=Findings)
    codes: Counter[int] = field(default_factory=Counter)
    before_first_line: int = 0
    missed: int = 0
    wrong: list[str] = field(default_factory=list)

    def table(self) -> str:
        codes = ", ".join(f"{code}: {times}" for code, times in sorted(self.codes.items()))
        return (
            f"{self.findings.table()}\n"
            f"{'exit codes':40} {codes}\n"
            f"{'before the first line':40} {self.before_first_line:9,}\n"
            f"{'signals after the end':40} {self.missed:9,}\n"
            f"{'ended wrongly':40} {len(self.wrong):9,}  must be 0"
        )

    def problems(self) -> list[str]:
        """Return everything that was found."""
        bad = self.findings.must_not_be()
        return [*self.wrong, *(self.findings.notes if any(bad.values()) else ())]


class Round:
    """One push that gets signals, and the undisturbed one after it."""

    def __init__(self, folder: Path, witness: Witness, ends: Ends, rows: int = 40) -> None:
        self._ends = ends
        self._name = folder.name
        self._around = folder.parent
        # Outside the folder, whose files `Job` knows.
        outputs = {
            "--log-file": self._around / f"{self._name}.log",
            "--metrics-file": self._around / f"{self._name}.prom",
            "--page": self._around / f"{self._name}.html",
            "--on-finish": "cat >/dev/null",
        }
        more = [word for pair in outputs.items() for word in pair]
        self._job = Job(folder, witness, ends.findings, good=rows, bad=1, more=more)

    def push(self, at: Sequence[tuple[float, signal.Signals]]) -> None:
        """Push, and send these signals, each so many seconds after what precedes it."""
        with self._started(command(*self._job.arguments(), "--json")) as process:
            for seconds, number in at:
                let_pass(seconds)
                self._ends.missed += process.poll() is not None
                process.send_signal(number)
            self._await(process, str(at))

    def push_struck(self, call: str, number: signal.Signals, when: int) -> bool:
        """Push, and send a signal at a system call; False when there were too few of them."""
        trace = self._around / f"{self._name}.strace"
        strike = f"inject={call}:signal={number.name.removeprefix('SIG')}:when={when}"
        strace = ["strace", "-f", "-qq", "-o", str(trace), "-e", f"trace={call}", "-e", strike]
        arguments = command(*self._job.arguments(), "--json")
        with self._started([*strace, *arguments]) as process:
            self._await(process, f"{number.name} at {call} {when}")
        text = trace.read_text(encoding="utf-8", errors="replace")
        trace.unlink()
        return f"--- {number.name} " in text

    def finish(self) -> None:
        """Let a run end undisturbed, and compare all that is known of the sheet."""
        self._job.finish()

    @contextmanager
    def _started(self, words: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
        with subprocess.Popen(
            words,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a closed terminal of ours would be another signal
            preexec_fn=_ignore_none,  # noqa: PLW1509 - two system calls, no lock
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def _await(self, process: subprocess.Popen[str], what: str) -> None:
        try:
            out, err = process.communicate(timeout=BOUND_SECONDS)
        except subprocess.TimeoutExpired:
            self._ends.wrong.append(f"{self._name}: {what}: still running")
            process.kill()
            process.communicate()
            return
        code = process.returncode
        self._ends.codes[code] += 1
        self._job.look()
        self._ends.wrong += [
            f"{self._name}: {what}: {code}: {sentence}" for sentence in self._wrong(code, out, err)
        ]

    def _wrong(self, code: int, out: str, err: str) -> Iterator[str]:
        if self._is_before_first_line(code, err):
            self._ends.before_first_line += 1
            return
        if code not in {3, *(128 + number for number in NUMBERS)}:
            yield f"not a code of a signal nor the run's own: {err[-300:]}"
        yield from (f"{word}: {err[-600:]}" for word in _WRONG_WORDS if word in err)
        if out:
            summary = json.loads(out)
            if summary["exit_code"] != code:
                yield f"the JSON says {summary['exit_code']}"
            yield from self._unlike_results(summary["states"])
        elif code == 3:
            yield "no JSON"

    def _is_before_first_line(self, code: int, err: str) -> bool:
        by_default = code in {-number for number in NUMBERS} and not err
        by_exception = "KeyboardInterrupt" in err and ", in main\n" not in err
        return by_default or by_exception

    def _unlike_results(self, states: dict[str, int]) -> Iterator[str]:
        """Compare the summary of a run that ended by itself with the results that it wrote."""
        results = self._job.folder / "showings.results.csv"
        there = Counter(line["state"] for line in read_csv(results)) if results.exists() else {}
        said = {state: number for state, number in states.items() if number}
        if there != said:
            yield f"the results have {dict(there)}, the JSON {said}"


def _ignore_none() -> None:
    # nohup ignores SIGHUP, and a shell SIGINT in the background; a child inherits that.
    for number in NUMBERS:
        signal.signal(number, signal.SIG_DFL)


def rounds(number_of: int, seed: int, witness: Witness | None = None) -> Ends:
    """Send signals at random moments of runs, whose length is measured first."""
    dice, ends, clock = random.Random(seed), Ends(), SystemClock()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        witness = witness or stack.enter_context(
            sandbox_process("--accept-any", "--latency", "5ms")
        )
        begun = clock.monotonic()
        Round(folder / "first", witness, ends).push([])
        length = clock.monotonic() - begun
        for number in range(number_of):
            one = Round(folder / f"r{number}", witness, ends)
            at = [(dice.random() * 1.1 * length, dice.choice(NUMBERS))]
            if number % 3 == 2:
                at.append((dice.random() * 0.2, dice.choice(NUMBERS)))
            one.push(at)
            begun = clock.monotonic()
            one.finish()
            # The machine's speed changes, and most signals should come before the end.
            length = 0.7 * length + 0.3 * (clock.monotonic() - begun)
            shutil.rmtree(folder / f"r{number}")
    return ends


def sweep(
    calls: Sequence[str],
    *,
    stride: int = 1,
    first: int = 1,
    most: int | None = None,
    witness: Witness | None = None,
) -> Ends:
    """Send a signal at the nth call of each kind, for n from `first`, until a run makes fewer."""
    ends = Ends()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        witness = witness or stack.enter_context(sandbox_process("--accept-any"))
        for call in calls:
            for turn, when in enumerate(islice(count(first, stride), most)):
                one = Round(folder / f"{call}{when}", witness, ends, rows=4)
                struck = one.push_struck(call, NUMBERS[turn % len(NUMBERS)], when)
                one.finish()
                shutil.rmtree(folder / f"{call}{when}")
                if not struck:
                    break
    return ends


def main() -> None:
    parser = argparse.ArgumentParser(description="Send signals to pushes and see how they end.")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=20260302)
    parser.add_argument("--sweep", action="store_true", help="at system calls; needs strace")
    parser.add_argument("--stride", type=int, default=1, help="only every nth call of each kind")
    parser.add_argument("--calls", default=",".join(CALLS), help=f"by default {', '.join(CALLS)}")
    told = parser.parse_args()
    clock = SystemClock()
    begun = clock.monotonic()
    if told.sweep:
        if shutil.which("strace") is None:
            raise SystemExit("The sweep needs strace, which is not installed.")
        ends = sweep(told.calls.split(","), stride=told.stride)
    else:
        ends = rounds(told.rounds, told.seed)
    print(ends.table())
    print(f"{clock.monotonic() - begun:.0f} s")
    problems = ends.problems()
    for problem in problems[:40]:
        print(problem)
    if problems:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
