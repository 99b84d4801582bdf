"""Kill, stop and mislead the processes of a Dask cluster while jobs run, and ask the API.

    python -m tests.benchmarks.cluster_faults [--rounds 20] [--seed 1] [--part killed ...]
        [--namespaces] [--rows 120] [--latency 10ms] [--keep FOLDER]

Teams share nothing but the cluster; the sandbox's journal is the witness. The parts, with what is
promised in docs/cluster.md:

- `killed`: a worker is killed (SIGKILL) at a random moment, and another one started. The run ends
  with 0, North holds every value, and a row is sent twice at most, never one that the checkpoint
  had as acknowledged when its worker died.
- `stopped`: a worker is stopped (SIGSTOP) for 10 s and continued, and Dask gives it up meanwhile.
  The same, so that two tasks never worked at one job.
- `scheduler`: the scheduler is killed. The run ends with 6 within a minute, and the next one, on
  another cluster, with 0. The same for the rows.
- `unlocked`: as `stopped`, on storage whose locks and notes hold on one host only: each worker has
  lock files of its own, so that the lease and the checkpoint itself keep two tasks apart. With
  `--rows 600` the new task is still at work when the old one goes on.
- `poison`: the key command of one job kills the worker that runs it, whenever it begins. That job
  ends with 6, all others with 0.
- `signalled`: the command gets SIGINT or SIGTERM, at times a second one at once. It ends with 130
  or 143, and the next run, on another cluster, with 0. The same for the rows.
- `command`: the command is killed (SIGKILL), and run again at once on the same cluster, whose
  workers are still at the jobs. The second one ends with 0. The same for the rows.
- `hung`: the scheduler is stopped (SIGSTOP). The run ends with 6 within a minute. Then the
  scheduler goes on, and the next run on it ends with 0. The same for the rows.
- `clock`: the clock of one worker is an hour ahead, and two workers share a key with a limit: as
  many refusals as with clocks that agree.

With `--namespaces` (Linux, root) each worker is in a network namespace and has a state folder of
its own, and there is one part, with locks that hold everywhere or, by chance, on one host only:

- `cut`: the link of a worker to the scheduler goes down for 10 to 60 s, by chance that to the API
  too, and comes up again. Each job has one worker at a time. The one that was cut off sends nothing
  more after `GIVE_UP_SECONDS`; it ends if Dask gave it up, else its jobs go on there. The same for
  exit code and rows as in `stopped`.

Exit code 1 when a rule was broken, 2 where `ip netns` is not permitted.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from bulk_sync.clock import SystemClock
from bulk_sync.cluster.leases import GIVE_UP_SECONDS, LEASE_SECONDS
from tests.benchmarks import namespaces
from tests.benchmarks.cluster_round import RATE, ROWS, TEAMS, Counts, Round
from tests.benchmarks.namespaces import Network, network
from tests.dask_cluster import dask_cluster
from tests.helpers import (
    let_pass,
    poll,
    sandbox_process,
)

WORKERS = 3
LONGEST_END_SECONDS = 60.0

# Above the ten heartbeats of half a second that Dask waits in any case.
_TTL = "6s"
_STOP_SECONDS = 10.0

# A worker is given up after its leases could have ended, as with Dask's own TTL of five minutes.
_LONGER_TTL = f"{LEASE_SECONDS + 1:g}s"


def killed(one: Round, folder: Path) -> None:
    """Kill a worker at a random moment."""
    with dask_cluster(folder, workers=WORKERS) as cluster, one.run(cluster) as running:
        one.wait_for_rows(running, one.dice.randrange(1, one.rows * 4 // 5))
        worker = one.dice.choice(cluster.workers)
        one.strike(worker)
        worker.kill()
        worker.wait()
        cluster.add_worker()
        one.ended(running, 0)
    one.check()


def stopped(one: Round, folder: Path) -> None:
    """Stop a worker for longer than Dask waits for it, and let it go on."""
    with (
        dask_cluster(folder, DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL=_TTL) as cluster,
        one.run(cluster) as running,
    ):
        one.wait_for_rows(running, one.dice.randrange(1, one.rows // 2))
        worker = one.dice.choice(cluster.workers)
        one.strike(worker)
        let_pass(_STOP_SECONDS)
        worker.send_signal(signal.SIGCONT)
        one.ended(running, 0)
    one.check()


def scheduler(one: Round, folder: Path) -> None:
    """Kill the scheduler, and run the jobs again on another cluster."""
    clock = SystemClock()
    with dask_cluster(folder / "first", workers=WORKERS) as cluster, one.run(cluster) as running:
        one.wait_for_rows(running, one.dice.randrange(1, one.rows * 4 // 5))
        assert cluster.scheduler is not None
        cluster.scheduler.kill()
        killed_at = clock.monotonic()
        summary = one.ended(running, 6)
        seconds = clock.monotonic() - killed_at
        one.expect(seconds < LONGEST_END_SECONDS, f"the run ended only after {seconds:.0f} s")
        one.counts.figures.setdefault("seconds to the end, killed", []).append(seconds)
        codes = {job["exit_code"] for job in summary.get("jobs", ())}
        one.expect(codes <= {0, 6}, f"jobs ended with {codes}")
        for worker in cluster.workers:  # without a scheduler they end by themselves
            worker.wait(LONGEST_END_SECONDS)
    one.note_all()
    with dask_cluster(folder / "second") as cluster, one.run(cluster) as running:
        one.ended(running, 0)
    one.check()


def unlocked(one: Round, folder: Path) -> None:
    """Stop a worker and let it go on, where locks hold on one host only."""
    with dask_cluster(folder, 0, DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL=_LONGER_TTL) as cluster:
        for number in range(2):
            cluster.add_worker(**_with_own_locks(folder / f"locks {number}"))
        cluster.wait_for(2)
        with one.run(cluster) as running:
            one.wait_for_rows(running, one.dice.randrange(1, one.rows // 2))
            worker = one.dice.choice(cluster.workers)
            worker.send_signal(signal.SIGSTOP)
            one.note_all()
            let_pass(LEASE_SECONDS + _STOP_SECONDS)
            worker.send_signal(signal.SIGCONT)
            one.ended(running, 0)
    one.check()


def _with_own_locks(folder: Path) -> dict[str, str]:
    folder.mkdir()
    return {"preload": "tests.benchmarks.own_locks", "OWN_LOCKS": str(folder)}


def poison(one: Round, folder: Path) -> None:
    """Let a job kill each worker that runs it, as one would whose workbook takes all memory."""
    one.add_job("poison", "sh -c 'kill -9 $PPID'")
    ended = threading.Event()
    with dask_cluster(folder, workers=WORKERS) as cluster, one.run(cluster) as running:

        def keep() -> None:  # as a nanny would
            while not ended.wait(0.2):
                dead = [worker for worker in cluster.workers if worker.poll() is not None]
                for worker in dead:
                    cluster.workers.remove(worker)
                    cluster.add_worker()

        nanny = threading.Thread(target=keep)
        nanny.start()
        try:
            summary = one.ended(running, 6)
        finally:
            ended.set()
            nanny.join()
    codes = {job["job"]: job["exit_code"] for job in summary.get("jobs", ())}
    one.expect(codes.pop("poison", None) == 6, "the job that kills did not end with 6")
    one.expect(set(codes.values()) == {0}, f"other jobs ended with {codes}")
    one.check()


def signalled(one: Round, folder: Path) -> None:
    """Stop the command by one or two signals, and run the jobs again on another cluster."""
    number = one.dice.choice((signal.SIGINT, signal.SIGTERM))
    with dask_cluster(folder / "first", workers=WORKERS) as cluster, one.run(cluster) as running:
        one.wait_for_rows(running, one.dice.randrange(1, one.rows * 4 // 5))
        running.send_signal(number)
        if one.dice.random() < 0.5:
            let_pass(one.dice.random())
            if running.poll() is None:
                running.send_signal(number)
        summary = one.ended(running, 128 + number)
        codes = {job["exit_code"] for job in summary.get("jobs", ())}
        one.expect(codes <= {0, 128 + number}, f"jobs ended with {codes}")
        one.note_all()
        updated = sum(job["states"]["updated"] for job in summary.get("jobs", ()))
        sent = len({str(entry["key"]) for entry in one.patches()})
        one.expect(updated <= sent, f"{updated} rows updated in the summary, {sent} sent")
    with dask_cluster(folder / "second") as cluster, one.run(cluster) as running:
        one.ended(running, 0)
    one.check()


def command(one: Round, folder: Path) -> None:
    """Kill the command, and run the jobs again while workers are still at them."""
    with dask_cluster(folder, workers=WORKERS) as cluster:
        with one.run(cluster) as running:
            one.wait_for_rows(running, one.dice.randrange(1, one.rows * 4 // 5))
            running.kill()
            running.wait()
        one.note_all()
        with one.run(cluster) as running:
            one.ended(running, 0)
    one.check()


def hung(one: Round, folder: Path) -> None:
    """Stop the scheduler; let it go on when the run has ended, and run the jobs again."""
    clock = SystemClock()
    with dask_cluster(folder, workers=WORKERS) as cluster:
        assert cluster.scheduler is not None
        with one.run(cluster) as running:
            one.wait_for_rows(running, one.dice.randrange(1, one.rows * 4 // 5))
            cluster.scheduler.send_signal(signal.SIGSTOP)
            stopped_at = clock.monotonic()
            one.ended(running, 6)
            seconds = clock.monotonic() - stopped_at
        one.expect(seconds < LONGEST_END_SECONDS, f"the run ended only after {seconds:.0f} s")
        one.counts.figures.setdefault("seconds to the end, hung", []).append(seconds)
        one.note_all()
        cluster.scheduler.send_signal(signal.SIGCONT)
        with one.run(cluster) as running:
            one.ended(running, 0)
    one.check()


PARTS: dict[str, Callable[[Round, Path], None]] = {
    "killed": killed,
    "stopped": stopped,
    "scheduler": scheduler,
    "unlocked": unlocked,
    "poison": poison,
    "signalled": signalled,
    "command": command,
    "hung": hung,
}


def cut(one: Round, folder: Path) -> None:
    """Cut a worker off from the scheduler, and bring it back."""
    own_locks = one.dice.random() < 0.5
    links = one.dice.choice((("cluster",), ("cluster", "api")))
    port = int(one.witness.base_url.rpartition(":")[2])
    with (
        network(folder / "network", port, 2) as net,
        dask_cluster(
            folder, 0, namespaces.HUB, DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL=_LONGER_TTL
        ) as cluster,
    ):
        for number in range(2):
            own = folder / f"worker {number}"
            own.mkdir()
            settings = _with_own_locks(own / "locks") if own_locks else {}
            cluster.add_worker(
                *net.before(number),
                host=net.address(number),
                XDG_STATE_HOME=str(own / "state"),
                **settings,
            )
        cluster.wait_for(2)
        with one.run(cluster) as running:
            one.wait_for_rows(running, one.dice.randrange(1, one.rows * 4 // 5))
            number = one.dice.randrange(2)
            one.note_all()
            net.set(number, "down", *links)
            cut_at = SystemClock().monotonic()
            let_pass(one.dice.uniform(10, 60))
            net.set(number, "up", *links)
            up_at = SystemClock().monotonic()
            one.ended(running, 0)
            if f"Remove worker addr: tcp://{net.address(number)}:" in cluster.log():
                cluster.workers[number].wait(LONGEST_END_SECONDS)
        _check_sends(one, net, number, cut_at, up_at)
    one.check()


def _check_sends(one: Round, net: Network, cut_off: int, cut_at: float, up_at: float) -> None:
    """Look who sent when: no job had two workers at once, and the one cut off fell silent."""
    last = [at - cut_at for at, _ in net.sends(cut_off) if at < up_at]
    late = max(last, default=0)
    one.expect(late < GIVE_UP_SECONDS + 1, f"the worker cut off sent {late:.1f} s later")
    one.counts.figures.setdefault("last request after the cut, s", []).append(late)
    back = sum(at >= up_at for at, _ in net.sends(cut_off))
    one.counts.figures.setdefault("requests after it came back", []).append(back)
    every = sorted((at, number, key) for number in range(2) for at, key in net.sends(number))
    for team, keys in enumerate(one.keys):
        known = set(keys)
        workers = [number for _, number, key in every if key in known]
        turns = sum(before != after for before, after in pairwise(workers))
        one.expect(turns <= 1, f"team {team} was sent by two workers in turns ({turns})")


NETWORK_PARTS: dict[str, Callable[[Round, Path], None]] = {"cut": cut}


def clock(folder: Path, counts: Counts) -> None:
    """Let two workers share a limit, with clocks that agree and with one that doesn't."""
    refused = {}
    for name, before in {
        "agree": (),
        "differ": ("faketime", "-f", "+1h"),
    }.items():
        with sandbox_process(
            "--accept-any", "--limit", "40/s", "--limit-headers", "ratelimit"
        ) as witness:
            one = Round(folder / name, f"clock {name}", witness, counts)
            for team in range(TEAMS):  # one key, from files of different names: on all workers
                (folder / name / f"{team}.key").write_text("north_sk_test_" + "k" * 32, "utf-8")
            text = one.jobs_file.read_text("utf-8").replace(f'rate = "{RATE}/s"\n', "")
            one.jobs_file.write_text(text, "utf-8")
            with dask_cluster(folder / name / "dask", workers=1) as cluster:
                cluster.add_worker(*before, FAKETIME_DONT_FAKE_MONOTONIC="1")
                poll(lambda: cluster.log().count("Registered to") == 2)
                with one.run(cluster) as running:
                    one.ended(running, 0)
            refused[name] = sum(entry["status"] == 429 for entry in one.patches())
        counts.figures.setdefault(f"refused, clocks {name}", []).append(refused[name])
    counts.rounds["clock"] += 1
    if refused["differ"] > refused["agree"] + 0.01 * TEAMS * ROWS:
        counts.broken.append(f"clock: {refused}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1, help="of the first round")
    parser.add_argument("--rows", type=int, default=ROWS, help="of each team")
    parser.add_argument("--part", choices=[*PARTS, "clock"], action="append")
    parser.add_argument(
        "--latency", default="10ms", help="of the API: the higher, the more rows are in flight"
    )
    parser.add_argument("--namespaces", action="store_true", help="cut off workers in networks")
    parser.add_argument("--keep", type=Path, help="a folder for the files of rounds with faults")
    options = parser.parse_args(arguments)
    parts, every = options.part or [*PARTS, "clock"], {**PARTS, **NETWORK_PARTS}
    if options.namespaces:
        given = sys.argv[1:] if arguments is None else arguments
        code = namespaces.enter("tests.benchmarks.cluster_faults", given)
        if code is not None:
            return code
        parts = [*NETWORK_PARTS]
    counts = Counts()
    with (
        TemporaryDirectory() as made,
        sandbox_process("--accept-any", "--latency", options.latency) as seen,
    ):
        folder = Path(made)
        for part in parts:
            for number in range(options.seed, options.seed + options.rounds):
                known = len(counts.broken)
                if part == "clock":
                    clock(folder / f"clock {number}", counts)
                    break  # nothing in it is left to chance
                name = f"{part} {number}"
                one = Round(folder / name / "jobs", name, seen, counts, options.rows)
                every[part](one, folder / name / "dask")
                counts.rounds[part] += 1
                for sentence in counts.broken[known:]:
                    print(sentence, flush=True)
                if options.keep is not None and counts.broken[known:]:
                    journal = json.dumps(one.patches())
                    (folder / name / "journal.json").write_text(journal, "utf-8")
                    shutil.copytree(folder / name, options.keep / name, dirs_exist_ok=True)
    print(
        f"rounds {dict(counts.rounds)}: {counts.sent} requests, {counts.twice} of them a second "
        f"time; rules broken: {len(counts.broken)}"
    )
    for name, values in counts.figures.items():
        print(f"{name}: {min(values):.1f} to {max(values):.1f}")
    return 1 if counts.broken else 0


if __name__ == "__main__":
    sys.exit(main())
