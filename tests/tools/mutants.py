"""Do the unit tests notice small faults in a module? Plant them one at a time and see.

    python -m tests.tools.mutants [MODULE ...] [--sample 60] [--seed N] [--most 10]

A MODULE is named without the package (`send.decide`); without any, all of MODULES are tried.
A mutant lives in a child process only: the checkout is never touched. The tests that run the
changed lines are run against it: of the files of unit tests that are named after the module or
import it, as a first run with coverage says, whose answer is kept in `.mutants/`. A mutant is
killed by a failed test, an error, or a run that takes far longer than it should. Those that
survive are printed as diffs; `equivalent_mutants.toml` names those that change nothing that
anyone could notice. Ends with 1 when more than `--most` per cent of a module's sample survive.

One process at a time, at a low priority. It needs `fork`: Linux or macOS.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from tests.tools.mutating import Mutant, mutants

ROOT = Path(__file__).parents[2]
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.toml")
CACHE = ROOT / ".mutants"
TESTS = "tests/unit"

MODULES = (
    "send.decide",
    "send.pace",
    "send.headers",
    "send.circuit",
    "plan",
    "check.cells",
    "check.moments",
    "check.rows",
    "check.headers",
    "report.causes",
    "job.ledger",
)

# A run against a mutant may take this much, and this many times as long as it does without.
_PATIENCE_SECONDS = 30.0
_PATIENCE_FACTOR = 6

# Plain asserts need no rewriting of each file of tests. The libraries are imported by then.
_OPTIONS = ("-q", "-n", "0", "--no-cov", "--assert=plain", "-p", "no:cacheprovider")

# Line by line of a module, the tests that run it; and how long each test takes.
Runs = dict[int, set[str]]
Seconds = dict[str, float]


@dataclass(frozen=True)
class Equivalent:
    """A mutant that changes nothing that could be noticed, and why."""

    module: str
    within: str
    was: str
    becomes: str
    reason: str


@dataclass(frozen=True)
class Tally:
    """The mutants of one module's sample by their fate."""

    module: str
    tried: int
    equivalent: int
    survived: list[Mutant]

    @property
    def percent(self) -> float:
        """Survivors among the mutants that change anything."""
        return 100 * len(self.survived) / max(1, self.tried - self.equivalent)

    def line(self) -> str:
        """Return a row of a Markdown table."""
        return (
            f"| {self.module} | {self.tried} | {self.equivalent} | {len(self.survived)} "
            f"| {self.percent:.0f} % |"
        )


def equivalents() -> list[Equivalent]:
    """Return the mutants that are named as equivalent."""
    named = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8"))
    return [Equivalent(**one) for one in named.get("mutant", [])]


def path_of(module: str) -> Path:
    """Return the file of a module of the package."""
    return ROOT / "bulk_sync" / (module.replace(".", "/") + ".py")


# Which tests run which line.


def files_of(module: str) -> list[str]:
    """Return the files of unit tests that are named after a module, that import it themselves
    or by a helper of the tests, and those named after its package that use a helper which imports
    anything of that.
    """
    package, _, name = f"bulk_sync.{module}".rpartition(".")
    named = {f"test_{name}.py", f"test_{module.replace('.', '_')}.py"}
    imported = re.compile(
        rf"from {re.escape(package)} import .*\b{name}\b"
        rf"|(from|import) bulk_sync\.{re.escape(module)}\b"
    )
    texts = {path: path.read_text(encoding="utf-8") for path in (ROOT / TESTS).glob("*.py")}
    direct = {path for path, text in texts.items() if imported.search(text) or path.name in named}
    helpers = {path.stem: text for path, text in texts.items() if path.stem[:5] != "test_"}
    near = {stem for stem, text in helpers.items() if f"{package}." in text}
    nearest = {path.stem for path in direct}

    def uses(path: Path) -> bool:
        own = path.name.startswith(f"test_{package.rpartition('.')[2]}_")
        used = {stem for stem in helpers if f"tests.unit.{stem} " in texts[path]}
        return bool(used & nearest) or (own and bool(used & near))

    tests = {
        path for path in texts if path.name.startswith("test_") and (path in direct or uses(path))
    }
    return sorted(str(path.relative_to(ROOT)) for path in tests)


def tests_by_line(module: str) -> tuple[Runs, Seconds]:
    """Return the unit tests by the line of the module that they run, and their durations. Of those
    that fail as they are it prints the names; they run no line.

    The test "" is the import. Files that haven't changed since the last time are not run again.
    """
    CACHE.mkdir(exist_ok=True)
    kept = CACHE / "runs.json"
    cache = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    stale = [name for name in files_of(module) if not _is_fresh(cache.get(name), name, module)]
    if stale:
        cache |= _measured(stale)
        kept.write_text(json.dumps(cache), encoding="utf-8")
    runs: Runs = {}
    seconds: Seconds = {}
    for name in files_of(module):
        seconds |= cache[name]["seconds"]
        failed = set(cache[name]["failed"])
        for test in sorted(failed):
            print(f"left out, because it fails without a fault: {test}", flush=True)
        for line, tests in cache[name]["modules"][module]["lines"].items():
            runs.setdefault(int(line), set()).update(set(tests) - failed)
    return runs, seconds


def _is_fresh(entry: Any, name: str, module: str) -> bool:
    return (
        entry is not None
        and entry["digest"] == _digest(ROOT / name)
        and entry["modules"][module]["digest"] == _digest(path_of(module))
    )


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class _Measuring:
    """A plugin of pytest: name each test to coverage, and note how long it takes."""

    def __init__(self, measured: Any) -> None:
        self.measured = measured
        self.seconds: Seconds = {}
        self.failed: set[str] = set()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Begin a test."""
        self.measured.switch_context(nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Add the time of a test's set-up, call and end."""
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        if report.failed:
            self.failed.add(report.nodeid)


def _measured(files: Sequence[str]) -> dict[str, Any]:
    """Run files of tests with coverage of MODULES; return the lines of each test, its seconds."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result")
        said = f"{folder}/said"
        code = _in_child(lambda: _measure(files, folder, result), 1800, said)
        # A few tests that fail here, such as those about a terminal, can't judge a mutant.
        if code not in {0, 1} or not result.exists():
            raise SystemExit(f"the tests can't be run:\n{_tail(said)}")
        entries: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        return entries


def _measure(files: Sequence[str], folder: str, result: Path) -> int:
    import coverage
    import pytest

    paths = {module: path_of(module) for module in MODULES}
    measured = coverage.Coverage(
        data_file=f"{folder}/data",
        include=[str(path) for path in paths.values()],
        config_file=False,
    )
    measuring = _Measuring(measured)
    measured.start()
    code = int(pytest.main([*files, *_OPTIONS, f"--basetemp={folder}/t"], plugins=[measuring]))
    measured.stop()
    entries: dict[str, Any] = {
        name: {
            "digest": _digest(ROOT / name),
            "seconds": {},
            "failed": [],
            "modules": {one: {"digest": _digest(paths[one]), "lines": {}} for one in MODULES},
        }
        for name in files
    }
    for test, took in measuring.seconds.items():
        entries[test.partition("::")[0]]["seconds"][test] = took
    for test in measuring.failed:
        entries[test.partition("::")[0]]["failed"].append(test)
    for module, path in paths.items():
        for line, tests in measured.get_data().contexts_by_lineno(str(path)).items():
            for test in tests:
                # The import is the same for every file: the first one has it.
                entry = entries[test.partition("::")[0] or files[0]]
                entry["modules"][module]["lines"].setdefault(line, []).append(test)
    result.write_text(json.dumps(entries), encoding="utf-8")
    return code


# A mutant in the place of its module, in a child process.


class _Mutated(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Import one module from a text instead of its file."""

    def __init__(self, name: str, path: Path, source: str) -> None:
        self.name = name
        self.path = path
        self.source = source

    def find_spec(
        self, name: str, _path: object = None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Answer for the one module."""
        if name != self.name:
            return None
        return importlib.util.spec_from_file_location(name, self.path, loader=self)

    def get_source(self, _name: str) -> str:
        """Return the text, for tracebacks."""
        return self.source

    def get_code(self, _name: str) -> CodeType:
        """Compile the text; it leaves no file behind."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return compile(self.source, str(self.path), "exec")


class _Loop:
    """A plugin of pytest: once the tests are collected, let a function run them."""

    def __init__(self, loop: Callable[[dict[str, Any]], None]) -> None:
        self.loop = loop

    def pytest_runtestloop(self, session: Any) -> bool:
        """Hand over the tests by their names."""
        self.loop({item.nodeid: item for item in session.items})
        return True


def _collect(files: Sequence[str], folder: str, loop: Callable[[dict[str, Any]], None]) -> int:
    """Collect the tests of files, and let the loop run them; return pytest's exit code."""
    import pytest

    options = [*_OPTIONS, "--hypothesis-profile=mutants", f"--basetemp={folder}/t"]
    return int(pytest.main([*files, *options], plugins=[_Loop(loop)]))


def _first_failure(items: Sequence[Any]) -> int:
    """Run tests until one fails; return 1 then, else 0."""
    from _pytest.runner import runtestprotocol

    for item, following in zip_longest(items, items[1:]):
        if any(report.failed for report in runtestprotocol(item, nextitem=following, log=False)):
            return 1
    return 0


def _function_around(code: CodeType, lines: range) -> CodeType | None:
    """Return the code of the outermost function that has these lines; classes are looked into."""
    for inner in code.co_consts:
        if not isinstance(inner, CodeType) or inner.co_firstlineno > lines.start:
            continue
        last = max((line for *_, line in inner.co_lines() if line), default=0)
        if inner.co_flags & inspect.CO_OPTIMIZED:  # a function's names are fast ones
            found: CodeType | None = inner if last >= lines.start else None
        else:
            found = _function_around(inner, lines)
        if found is not None:
            return found
    return None


def _swap(path: Path, mutant: Mutant) -> bool:
    """Give the function that has a fault its mutant's code; return False where that can't be.

    The module itself stays as it was imported, so that the tests need no new import.
    """
    whole = compile(mutant.source, str(path), "exec")
    code = _function_around(whole, range(mutant.first_line, mutant.last_line + 1))
    swapped = False
    for function in gc.get_objects():
        if code is None or not isinstance(function, FunctionType):
            continue
        old = function.__code__
        if (old.co_filename, old.co_qualname, old.co_firstlineno) == (
            str(path),
            code.co_qualname,
            code.co_firstlineno,
        ):
            if old.co_freevars != code.co_freevars:
                return False
            function.__code__ = code
            swapped = True
    return swapped


def _in_child(work: Callable[[], int], seconds: float, output: str = os.devnull) -> int | None:
    """Run in a forked process that keeps quiet; return its exit code, None if it took too long."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            os.setpgid(0, 0)
            quiet = os.open(output, os.O_RDWR | os.O_CREAT, 0o600)
            for descriptor in range(3):
                os.dup2(quiet, descriptor)
            code = work()
        finally:
            os._exit(code)
    deadline = time.monotonic() + seconds  # noqa: TID251 - a command of contributors
    with contextlib.suppress(OSError):
        os.setpgid(child, child)
    try:
        while True:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > deadline:  # noqa: TID251
                return None
            time.sleep(0.01)  # noqa: TID251
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)


def _tail(said: str) -> str:
    return Path(said).read_text(encoding="utf-8", errors="replace")[-3000:]


# Imported by each child itself: what a mutant is about, and what looks at its thread when it is
# imported.
_OWN = ("bulk_sync", "tests", "xdist", "execnet", "asyncio", "anyio", "sniffio")


def _prepare() -> None:
    """Import what the tests import, our package apart, so that each child starts with it."""
    listing = (
        "import sys, pytest; pytest.main(['-q', '--collect-only', '-n', '0', '--no-cov', '-p',"
        f" 'no:cacheprovider', '{TESTS}']); print(); print(*sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", listing], cwd=ROOT, capture_output=True, text=True, check=False
    )
    for name in done.stdout.splitlines()[-1].split():
        if not name.startswith(_OWN) and not name.startswith("_"):
            with contextlib.suppress(Exception):
                importlib.import_module(name)
    from hypothesis import HealthCheck, Phase, settings

    settings.register_profile(
        "mutants",
        deadline=None,
        max_examples=50,
        derandomize=True,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate),
    )


class Trial:
    """The unit tests of one module, ready to meet its mutants."""

    def __init__(self, module: str, folder: str) -> None:
        self.module = module
        self.path = path_of(module)
        self.source = self.path.read_text(encoding="utf-8")
        self.files = files_of(module)
        self.runs, self.seconds = tests_by_line(module)
        self.folder = folder

    def survivors(self, sample: Sequence[Mutant]) -> list[Mutant]:
        """Return the mutants that no test notices; raise SystemExit if the tests fail without."""
        survived: list[Mutant] = []
        left: list[Mutant] = []
        with open(f"{self.folder}/survived", "w+b") as told:  # noqa: PTH123 - shared with the child

            def loop(items: dict[str, Any]) -> None:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    for number, mutant in enumerate(sample):
                        fate = self._fate(mutant, items)
                        told.write(bytes([number]) + fate.encode())
                        told.flush()

            seconds = 60 + 3 * _PATIENCE_FACTOR * len(sample) * (5 + sum(self.seconds.values()))
            said = f"{self.folder}/said"
            if _in_child(lambda: _collect(self.files, self.folder, loop), seconds, said) != 0:
                raise SystemExit(f"{self.module}: its tests can't be run:\n{_tail(said)}")
            told.seek(0)
            fates = told.read()
        for number, fate in zip(fates[::2], fates[1::2], strict=True):
            {ord("s"): survived, ord("?"): left}.get(fate, []).append(sample[number])
        survived += [mutant for mutant in left if not self._is_killed_at_import(mutant)]
        return sorted(survived, key=lambda one: one.first_line)

    def check_unchanged(self) -> None:
        """Raise SystemExit unless the tests pass against the module as it is."""

        def loop(items: dict[str, Any]) -> None:
            os._exit(_first_failure(self._in_order(items, set(items))))

        said = f"{self.folder}/said"
        if _in_child(lambda: _collect(self.files, self.folder, loop), 900, said) != 0:
            raise SystemExit(f"{self.module}: its tests fail without any fault:\n{_tail(said)}")

    def _fate(self, mutant: Mutant, items: dict[str, Any]) -> str:
        """Return k for killed, s for survived, ? for one that has to be there at the import."""
        lines = range(mutant.first_line, mutant.last_line + 1)
        tests = {test for line in lines for test in self.runs.get(line, ())}
        if mutant.at_import or "" in tests:
            return "?"
        chosen_items = self._in_order(items, tests)

        def work() -> int:
            return _first_failure(chosen_items) if _swap(self.path, mutant) else 3

        code = _in_child(work, self._limit(tests)) if chosen_items else 0
        return {0: "s", 3: "?"}.get(-1 if code is None else code, "k")

    def _is_killed_at_import(self, mutant: Mutant) -> bool:
        """Import the mutant in the module's place, and everything else after it."""

        def loop(items: dict[str, Any]) -> None:
            os._exit(_first_failure(self._in_order(items, set(items))))

        def work() -> int:
            name = f"bulk_sync.{self.module}"
            sys.meta_path.insert(0, _Mutated(name, self.path, mutant.source))
            return _collect(self.files, self.folder, loop)

        return _in_child(work, self._limit(set(self.seconds))) != 0

    def _in_order(self, items: dict[str, Any], tests: set[str]) -> list[Any]:
        """Return tests that run the module, the quick ones first. A mutant may rename a test by
        its values: a test that isn't known is one of them.
        """
        running = {test for ran in self.runs.values() for test in ran}
        kept = [
            name
            for name in items
            if name in tests and (name in running or name not in self.seconds)
        ]
        return [items[name] for name in sorted(kept, key=lambda one: self.seconds.get(one, 0.0))]

    def _limit(self, tests: set[str]) -> float:
        took = sum(self.seconds.get(test, 0.0) for test in tests)
        return _PATIENCE_SECONDS + _PATIENCE_FACTOR * took


def chosen(module: str, sample: int, seed: int) -> list[Mutant]:
    """Return a random sample of a module's mutants, in the order of its text."""
    every = mutants(path_of(module).read_text(encoding="utf-8"))
    dice = random.Random(f"{seed} {module}")
    taken = dice.sample(range(len(every)), min(sample, len(every)))
    return [every[number] for number in sorted(taken)]


def try_module(module: str, sample: Sequence[Mutant], folder: str) -> Tally:
    """Try a sample of a module's mutants; print those that survive as diffs."""
    trial = Trial(module, folder)
    trial.check_unchanged()
    named = {(e.within, e.was, e.becomes) for e in equivalents() if e.module == module}
    differ = [one for one in sample if (one.within, *one.changed(trial.source)) not in named]
    survived = trial.survivors(differ)
    where = str(trial.path.relative_to(ROOT))
    for mutant in survived:
        print(f"\n{where}, {mutant.within}: {mutant.kind}\n{mutant.diff(trial.source, where)}")
    return Tally(module, len(sample), len(sample) - len(differ), survived)


def main(arguments: Iterable[str] | None = None) -> int:
    """Try the modules that are named, or all; return 1 when too many mutants survive."""
    options = _options(arguments)
    os.chdir(ROOT)
    with contextlib.suppress(OSError):
        os.nice(5)
    unknown = [module for module in options.module if not path_of(module).is_file()]
    if unknown:
        raise SystemExit(f"no such module: {', '.join(unknown)}; known are {', '.join(MODULES)}")
    tallies = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        # Compiled tests are kept here for the children, not in the checkout.
        sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = f"{folder}/compiled"
        _prepare()
        for module in options.module or MODULES:
            print(f"== {module}", flush=True)
            sample = chosen(module, options.sample, options.seed)
            tallies.append(try_module(module, sample, folder))
            print(tallies[-1].line(), flush=True)
    print("\n| module | mutants | equivalent | survived | of those that differ |")
    print("|---|---|---|---|---|")
    for tally in tallies:
        print(tally.line())
    return int(any(tally.percent > options.most for tally in tallies))


def _options(arguments: Iterable[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.tools.mutants")
    parser.add_argument("module", nargs="*", help=f"such as {MODULES[0]}; all, without any")
    parser.add_argument("--sample", type=int, default=60, help="mutants of each module")
    parser.add_argument("--seed", type=int, default=1, help="another sample for another number")
    parser.add_argument("--most", type=float, default=10.0, help="survivors, in per cent")
    return parser.parse_args(None if arguments is None else list(arguments))


if __name__ == "__main__":
    sys.exit(main())
