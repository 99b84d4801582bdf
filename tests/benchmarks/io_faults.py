"""Let system calls of pushes fail, one at a time, and see what the pushes make of it.

    python -m tests.benchmarks.io_faults [--errors EIO,ENOSPC] [--calls write,fsync] [--stride N]
    [--most N]

The nth call of a kind fails for n = 1, 2, 3 ... until a run makes fewer, as on a full or broken
disk, a network folder that went away, or a file system without locks. The push has all outputs:
results, page, log, metrics, a shared ledger, an undo file and an archive. It needs strace.

No push may end in a traceback or call itself a bug. Its exit code is its own, that of an input (4)
or of an output (8) that failed, and 7 for a lock; the JSON has the same. The sandbox's journal and
the checkpoint must agree, and an undisturbed run must finish the sheet: see `crashes`. Exit code 1
when anything was found.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from bulk_sync.clock import SystemClock
from tests.benchmarks.crash_findings import Findings
from tests.benchmarks.crashes import Job
from tests.helpers import Witness, command, environment, sandbox_process

ERRORS = ("EIO", "ENOSPC", "EDQUOT", "ENOLCK")

CALLS = (
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "rename",
    "openat",
    "ftruncate",
    "flock",
    "fcntl",
)

_BOUND_SECONDS = 120.0
_WRONG_WORDS = ("Traceback", "Exception ignored", "this is a bug")
# Python itself makes these calls while it starts and imports; only those for our files fail.
_OF_PYTHON = frozenset({"openat", "fcntl"})
_OF_LOCKS = frozenset({"flock", "fcntl"})


@dataclass
class Faults:
    """What pushes made of failing calls; `wrong` must be empty."""

    findings: Findings = field(default_factory=Findings)
    codes: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def table(self) -> str:
        codes = ", ".join(f"{code}: {times}" for code, times in sorted(self.codes.items()))
        return (
            f"{self.findings.table()}\n{'exit codes':40} {codes}\n"
            f"{'ended wrongly':40} {len(self.wrong):9,}  must be 0"
        )

    def problems(self) -> list[str]:
        """Return everything that was found."""
        bad = self.findings.must_not_be()
        return [*self.wrong, *(self.findings.notes if any(bad.values()) else ())]


class FaultyJob(Job):
    """A sheet with every output, whose pushes meet faults."""

    def __init__(self, folder: Path, witness: Witness, faults: Faults) -> None:
        self._faults = faults
        self.outputs = {
            "--log-file": folder.with_suffix(".log"),
            "--metrics-file": folder.with_suffix(".prom"),
            "--page": folder.with_suffix(".html"),
            "--ledger": folder.with_suffix(".ledger.sqlite"),
            "--undo-file": folder.with_suffix(".undo.csv"),
            "--archive": folder.with_suffix(".done"),
        }
        more = [word for pair in self.outputs.items() for word in pair]
        super().__init__(folder, witness, faults.findings, good=4, bad=0, more=more)

    def push_faulty(self, call: str, error: str, when: int) -> bool:
        """Push while the nth of these calls fails; False when there were fewer."""
        trace = self.folder.with_suffix(".strace")
        strace = ["strace", "-f", "-qq", "-o", str(trace), "-e", f"trace={call}"]
        if call in _OF_PYTHON:
            strace += [word for path in self._paths() for word in ("-P", str(path))]
        strace += ["-e", f"inject={call}:error={error}:when={when}"]
        try:
            done = subprocess.run(
                [*strace, *command(*self.arguments(), "--json")],
                env=environment(),
                capture_output=True,
                text=True,
                check=False,
                timeout=_BOUND_SECONDS,
            )
        except subprocess.TimeoutExpired:
            self._note(call, error, when, "still running")
            return True
        text = trace.read_text(encoding="utf-8", errors="replace")
        trace.unlink()
        failed = [line for line in text.splitlines() if "(INJECTED)" in line]
        self._faults.codes[done.returncode] += 1
        self.put_back()
        self.look()
        for sentence in self._wrong(call, done, failed):
            self._note(call, error, when, f"{sentence} {failed[:1]}")
        return bool(failed)

    def put_back(self) -> None:
        """Move the sheet back out of the archive."""
        archived = self.outputs["--archive"] / self.sheet.name
        if archived.exists() and not self.sheet.exists():
            archived.rename(self.sheet)

    def _paths(self) -> Iterator[Path]:
        yield self.sheet
        yield self.folder
        for path in (self.checkpoint, *self.outputs.values()):
            yield from (path.with_name(path.name + end) for end in ("", "-wal", "-shm", ".lock"))
        yield self.folder / "showings.results.csv"

    def _wrong(
        self, call: str, done: subprocess.CompletedProcess[str], failed: Sequence[str]
    ) -> Iterator[str]:
        code, err = done.returncode, done.stderr
        if not failed and code != 0:
            yield f"nothing failed, but {code}: {err[-300:]}"
        allowed = {0, 3, 4, 8, *((7,) if call in _OF_LOCKS else ())}
        # What was to be printed could not be.
        printing = any(" write(1, " in line or " write(2, " in line for line in failed)
        # The event loop aborts when it can't wake itself through a pipe or an eventfd, which no
        # disk makes fail.
        waking = any('"*", 1' in line or r'"\1\0\0\0' in line for line in failed)
        if code not in allowed and not (waking and code == -signal.SIGABRT):
            yield f"exit code {code}: {err[-400:]}"
        yield from (f"{word}: {err[-600:]}" for word in _WRONG_WORDS if word in err)
        if code in {4, 7, 8} and "Error: " not in err and not printing:
            yield f"{code} without a sentence: {err[-300:]}"
        if done.stdout and not printing:
            summary = json.loads(done.stdout)
            # An archive that fails is found after the summary, which is shown all the same.
            if summary["exit_code"] != code and not (code == 8 and "--archive" in err):
                yield f"{code}, but the JSON says {summary['exit_code']}"

    def _note(self, call: str, error: str, when: int, sentence: str) -> None:
        self._faults.wrong.append(f"{call} {when} {error}: {sentence}")

    def _look_at_files(self) -> None:
        self.put_back()


def sweep(
    errors: Sequence[str],
    calls: Sequence[str],
    *,
    stride: int = 1,
    first: int = 1,
    most: int | None = None,
    witness: Witness | None = None,
) -> Faults:
    """Let the nth call of each kind fail, for n from `first` in steps; the errors take turns."""
    faults = Faults()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        witness = witness or stack.enter_context(sandbox_process("--accept-any"))
        for call in calls:
            for turn, when in enumerate(islice(count(first, stride), most)):
                job = FaultyJob(folder / f"{call}{when}", witness, faults)
                failed = job.push_faulty(call, errors[turn % len(errors)], when)
                job.finish()
                if not failed:
                    break
    return faults


def main() -> None:
    parser = argparse.ArgumentParser(description="Let system calls of pushes fail.")
    parser.add_argument("--errors", default=",".join(ERRORS))
    parser.add_argument("--calls", default=",".join(CALLS))
    parser.add_argument("--stride", type=int, default=1, help="only every nth call of each kind")
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--most", type=int, help="at most so many of each kind")
    told = parser.parse_args()
    if shutil.which("strace") is None:
        raise SystemExit("System calls fail by means of strace, which is not installed.")
    clock = SystemClock()
    begun = clock.monotonic()
    faults = sweep(
        told.errors.split(","),
        told.calls.split(","),
        stride=told.stride,
        first=told.first,
        most=told.most,
    )
    print(faults.table())
    print(f"{clock.monotonic() - begun:.0f} s")
    problems = faults.problems()
    for problem in problems[:60]:
        print(problem)
    if problems:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
