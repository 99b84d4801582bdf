"""Kill whole programs in nights of pushes, undo files, comparisons and archives.

    python -m tests.benchmarks.killed_nights [--rounds 300] [--seed 1]

A round has two sheets in an inbox, with a shared ledger or each with its own, and a few acts on
them. Every run of the program is a process of its own, and may be killed (SIGKILL) or asked to end
(SIGTERM, SIGHUP) at random moments, also between the last reply and the end; then it is run again
until it ends by itself. The sandbox's journal is the model: nobody else writes, so that after each
act

1. North holds what the sheet says that was sent last: a push, an undo file, a comparison's push;
2. each value that a ledger claims is the one that North holds;
3. a key was sent at most once, and once more for each kill;
4. each sheet that was archived is in the archive once, byte for byte, and no longer in the inbox;
   nothing of the program's own is left over;
5. the program ended with 0, or with the signal's code, and never with a traceback.

Exit code 1 when a rule was broken.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bulk_sync.job.ledger import Acknowledged
from bulk_sync.job.ledger_file import read_shared
from bulk_sync.job.store import Store
from tests.helpers import (
    HEADER,
    Witness,
    command,
    environment,
    read_csv,
    run,
    sandbox_process,
    write_sheet,
)

SHOWINGS = 24
FEEDBACK = ("Liked it", "Too dark", "Would buy", "No parking")
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)
ACTS = ("push", "push", "undo", "reconcile", "with ledger", "archive")
LONGEST_ACT_SECONDS = 2.0
WORKERS = 4

Values = dict[str, Any]


@dataclass
class Counts:
    """What happened in all rounds."""

    acts: Counter[str] = field(default_factory=Counter)
    signals: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    broken: list[str] = field(default_factory=list)


class Round:
    """Two sheets, and the acts on them."""

    def __init__(self, folder: Path, number: int, witness: Witness, counts: Counts) -> None:
        self._dice = random.Random(number)
        self._name = f"round {number}"
        self._folder = folder
        self._inbox, self._archive = folder / "inbox", folder / "done"
        self._inbox.mkdir(parents=True)
        self._ledger = folder / "north.ledger" if self._dice.random() < 0.6 else None
        self._witness = witness
        self._counts = counts
        self._seq = max((entry["seq"] for entry in witness.journal_after(0)), default=0)
        self._holdings: dict[str, Values] = {}
        self._keys_of: dict[str, str] = {}  # by North's ids
        keys = [f"r{number}_{index}" for index in range(SHOWINGS)]
        # Sheets with ledgers of their own don't know of each other's pushes.
        b_keys = keys[SHOWINGS // 3 :] if self._ledger else keys[SHOWINGS // 2 :]
        a_keys = keys[: 2 * SHOWINGS // 3] if self._ledger else keys[: SHOWINGS // 2]
        self._sheets = {
            name: {key: self._values() for key in of_sheet}
            for name, of_sheet in (("a", a_keys), ("b", b_keys))
        }

        self._acts: dict[str, Callable[[str], None]] = {
            "push": self._push,
            "undo": self._push_undo,
            "reconcile": self._reconcile,
            "with ledger": self._compare_with_ledger,
            "archive": self._archive_both,
        }

    def play(self) -> None:
        """Play the acts of this round."""
        for act in ("push", *self._dice.choices(ACTS, k=4)):
            name = self._dice.choice(["a", "b"])
            self._counts.acts[act] += 1
            self._edit(name)
            self._acts[act](name)
            self._check_ledgers(act)
            self._check_litter(act)

    # Acts

    def _push(self, name: str) -> None:
        sheet = self._write(name)
        changed = ["--only-changed"] if self._dice.random() < 0.3 else []
        self._run("push", sheet, "--undo-file", self._undo(name), *self._with_ledger(), *changed)
        self._check_holds(f"push {name}", self._sheets[name])

    def _push_undo(self, name: str) -> None:
        if not self._undo(name).exists():
            return
        rows = read_csv(self._undo(name))
        stated = {row["unique_showing_key"]: _stated(row) for row in rows}
        self._run("push", self._undo(name), *self._with_ledger())
        self._check_holds(f"undo {name}", stated)

    def _undo(self, name: str) -> Path:
        return self._folder / f"{name}.undo.csv"

    def _reconcile(self, name: str) -> None:
        # The first push must have made a job that the changes belong to.
        if not (self._inbox / f"{name}.checkpoint.sqlite").exists():
            return
        export = write_sheet(
            self._folder / "export.csv",
            [
                (key, values.get("feedback", ""), values.get("rating", ""))
                for key, values in self._holdings.items()
            ],
        )
        sheet = self._write(name)
        self._run(
            "reconcile", sheet, "--with", export, "--push", "--accept-systematic",
            "--max-problems", "100%", *self._with_ledger(), also={3},
        )  # fmt: skip
        here = {key: v for key, v in self._sheets[name].items() if key in self._holdings}
        self._check_holds(f"reconcile {name}", here)

    def _compare_with_ledger(self, name: str) -> None:
        if not (self._inbox / f"{name}.checkpoint.sqlite").exists():
            return
        sheet = self._write(name)
        self._run(
            "reconcile", sheet, "--with", "ledger", "--push", "--accept-systematic",
            *self._with_ledger(),
        )  # fmt: skip
        self._check_holds(f"reconcile {name} with the ledger", self._sheets[name])

    def _archive_both(self, _: str) -> None:
        # One showing in both sheets with two values would keep both in the inbox.
        common = self._sheets["a"].keys() & self._sheets["b"].keys()
        self._sheets["b"].update({key: dict(self._sheets["a"][key]) for key in common})
        sheets = {name: self._write(name).read_bytes() for name in self._sheets}
        before = Counter(self._archived())
        self._run(
            "push", self._inbox, "--archive", self._archive, "--settle", "0s", *self._with_ledger(),
            is_done=lambda: not any((self._inbox / f"{name}.csv").exists() for name in sheets),
        )  # fmt: skip
        for name in sheets:
            self._check_holds(f"archive {name}", self._sheets[name])
        self._expect(
            Counter(self._archived()) == before + Counter(sheets.values()),
            "archive: the archive has not each sheet once",
        )
        left = [name for name in sheets if (self._inbox / f"{name}.csv").exists()]
        self._expect(not left, f"archive: {left} are left in the inbox")

    def _archived(self) -> list[bytes]:
        if not self._archive.exists():
            return []
        return [path.read_bytes() for path in self._archive.iterdir() if path.is_file()]

    # Running

    def _with_ledger(self) -> list[object]:
        return ["--ledger", self._ledger] if self._ledger else []

    def _run(
        self,
        *arguments: object,
        also: Collection[int] = (),
        is_done: Callable[[], bool] = lambda: False,
    ) -> None:
        """Run a command that is struck up to twice, until it ends by itself."""
        given = (*arguments, "--base-url", self._witness.base_url, "--workers", WORKERS)
        given = (*given, "--rate", "1000/s")
        strikes = self._dice.choice([0, 1, 1, 2])
        for _ in range(strikes):
            self._struck(given)
            if is_done():
                break
        done = is_done()  # then the last run finds no sheet
        ended = run(*given)
        self._expect(
            ended.code in {0, *also} or (done and ended.code == 4),
            f"{arguments[0]} ended with {ended.code}: {ended.err[-300:]}",
        )
        self._look(strikes)

    def _struck(self, given: Sequence[object]) -> None:
        number = self._dice.choice(SIGNALS)
        with subprocess.Popen(
            command(*given), env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process:
            with suppress(subprocess.TimeoutExpired):
                process.wait(self._dice.uniform(0.1, LONGEST_ACT_SECONDS))
            if process.poll() is None:
                process.send_signal(number)
                self._counts.signals[number.name] += 1
            _, err = process.communicate(timeout=120)
        text = err.decode(errors="replace")
        allowed = {0, 3, 4, -number, 128 + number}
        self._expect(
            process.returncode in allowed and "Traceback" not in text and "bug" not in text,
            f"{given[0]} after {number.name}: {process.returncode}: {text[-300:]}",
        )

    def _look(self, strikes: int) -> None:
        """Take up the journal's new entries."""
        sent: Counter[tuple[str, str]] = Counter()
        for entry in self._witness.journal_after(self._seq):
            self._seq = max(self._seq, entry["seq"])
            if entry["method"] != "PATCH":
                continue
            self._counts.requests += 1
            sent[entry["key"], entry["body"]] += 1
            if entry["applied"]:
                key = self._keys_of.get(entry["key"], entry["key"])
                self._keys_of[entry["showing_id"]] = key
                self._holdings.setdefault(key, {}).update(json.loads(entry["body"]))
        often = {one: times for one, times in sent.items() if times > 1 + strikes}
        self._expect(not often, f"sent too often after {strikes} strikes: {often}")

    # Sheets

    def _values(self) -> Values:
        return {"feedback": self._dice.choice(FEEDBACK), "rating": self._dice.randint(1, 5)}

    def _edit(self, name: str) -> None:
        rows = self._sheets[name]
        for key in self._dice.sample(sorted(rows), self._dice.randint(0, len(rows) // 2)):
            rows[key] = self._values()

    def _write(self, name: str) -> Path:
        return write_sheet(
            self._inbox / f"{name}.csv",
            [(key, row["feedback"], row["rating"]) for key, row in self._sheets[name].items()],
            HEADER,
        )

    # Rules

    def _expect(self, true: object, otherwise: str) -> None:
        if not true:
            self._counts.broken.append(f"{self._name}: {otherwise}")

    def _check_holds(self, what: str, stated: dict[str, Values]) -> None:
        wrong = {
            key: (name, value, self._holdings.get(key, {}).get(name))
            for key, values in stated.items()
            for name, value in values.items()
            if self._holdings.get(key, {}).get(name) != value
        }
        self._expect(not wrong, f"{what}: (field, sheet, North) {dict(list(wrong.items())[:3])}")

    def _check_ledgers(self, act: str) -> None:
        for path, entry in self._claims():
            key = entry.key or self._keys_of.get(entry.showing_id) or entry.target
            there = self._holdings.get(key, {})
            wrong = {name: v for name, v in entry.values.items() if there.get(name) != v}
            self._expect(not wrong, f"{act}: {path.name} claims {wrong} of {key}; North: {there}")

    def _claims(self) -> Iterator[tuple[Path, Acknowledged]]:
        if self._ledger is not None:
            if self._ledger.exists():
                with read_shared(self._ledger) as file:
                    for entry in file.of(self._witness.base_url).all():
                        yield self._ledger, entry
            return
        for name in self._sheets:
            path = self._inbox / f"{name}.checkpoint.sqlite"
            if path.exists():
                with Store.read(path) as store:
                    for entry in store.known.acknowledged():
                        yield path, entry

    def _check_litter(self, act: str) -> None:
        found = [
            path.name
            for folder in (self._folder, self._inbox, self._archive)
            if folder.exists()
            for path in folder.iterdir()
            if path.name.startswith((".", "tmp")) or ".part" in path.name
        ]
        self._expect(not found, f"{act}: left over: {found}")


def _stated(row: dict[str, str]) -> Values:
    values: Values = {}
    if row.get("feedback"):
        values["feedback"] = row["feedback"]
    if row.get("rating"):
        values["rating"] = int(row["rating"])
    return values


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1, help="of the first round")
    options = parser.parse_args()
    counts = Counts()
    with (
        TemporaryDirectory() as folder,
        sandbox_process("--accept-any", "--latency", "10ms") as witness,
    ):
        for number in range(options.seed, options.seed + options.rounds):
            known = len(counts.broken)
            Round(Path(folder, str(number)), number, witness, counts).play()
            for sentence in counts.broken[known:]:
                print(sentence, flush=True)
    print(
        f"{options.rounds} rounds: acts {dict(counts.acts)}, signals {dict(counts.signals)}, "
        f"{counts.requests} requests, rules broken: {len(counts.broken)}"
    )
    return 1 if counts.broken else 0


if __name__ == "__main__":
    sys.exit(main())
