"""Ten teams on a cluster of two workers against ten teams in one process, and journals.

    python -m tests.benchmarks.cluster_jobs [--teams 10] [--rows 500]

- `told`: each team is told 25 rows a second, which any machine can do: the span over the optimum.
- `at once`: no limit: rows per second of all teams together, to a sandbox in a process of its own.
- `journal`: rows per second of one job whose checkpoint has a WAL, and a rollback journal as on
  storage that hosts share.

Three rounds of each, in turns; the median counts, because other programs use the machine, too.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bulk_sync import PushSettings, push
from tests.dask_cluster import dask_cluster
from tests.helpers import Witness, numbered, sandbox_process, started, write_sheet

TOLD = 25
TOLD_SECONDS = 8
ROUNDS = 3
JOURNAL_ROWS = 5000
NO_LIMIT = 100_000


def jobs_file(folder: Path, base_url: str, teams: int, rows: int, rate: int) -> Path:
    """Write the sheets, keys and jobs of a run; return its jobs file."""
    folder.mkdir(parents=True)
    text = ""
    for team in range(teams):
        (folder / str(team)).mkdir()
        sheet = write_sheet(folder / str(team) / "x.csv", numbered(rows, first=team * rows))
        key = folder / f"{team}.key"
        key.write_text(f"north_sk_test_{team:032}", "utf-8")
        key.chmod(0o600)
        text += (
            f'[[job]]\nname = "team-{team}"\nfiles = "{sheet}"\nkey-file = "{key}"\n'
            f'base-url = "{base_url}"\nrate = "{rate}/s"\n'
        )
    path = folder / "jobs.toml"
    path.write_text(text, "utf-8")
    path.chmod(0o600)
    return path


def span(path: Path, witness: Witness, *arguments: object) -> float:
    """Run jobs; return the seconds from the first row that arrived to the last."""
    seq = max((entry["seq"] for entry in witness.journal()), default=0)
    env = {name: value for name, value in os.environ.items() if name != "NORTH_API_KEY"}
    with started("run", "--jobs", path, "--quiet", *arguments, env=env) as running:
        _, err = running.communicate()
    if running.returncode:
        sys.exit(f"the run ended with {running.returncode}: {err}")
    at = [entry["at"] for entry in witness.patches(seq)]
    return float(max(at) - min(at))


def journal(folder: Path, base_url: str, *, on_shared_storage: bool) -> float:
    """Push a sheet; return its rows per second."""
    folder.mkdir(parents=True)
    sheet = write_sheet(folder / "x.csv", numbered(JOURNAL_ROWS))
    settings = PushSettings(
        input=sheet,
        key=f"north_sk_test_{0:032}",
        base_url=base_url,
        rate=f"{NO_LIMIT}/s",
        workers=64,
        on_shared_storage=on_shared_storage,
        state_folder=folder,
    )
    summary = push(settings)
    if summary.exit_code:
        sys.exit(f"the push ended with {summary.exit_code}: {summary.stopped}")
    return summary.traffic.rows_per_second


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--teams", type=int, default=10)
    parser.add_argument("--rows", type=int, default=500, help="of a team, without a limit")
    options = parser.parse_args(arguments)
    found: dict[str, list[float]] = {}
    with (
        TemporaryDirectory() as made,
        sandbox_process("--accept-any") as witness,
        dask_cluster(Path(made) / "dask", workers=2) as cluster,
    ):
        for number in range(ROUNDS):
            folder = Path(made, str(number))
            for name, given in {"one process": (), "cluster": ("--dask", cluster.file)}.items():
                seconds = told(folder / f"told {name}", witness, options.teams, *given)
                found.setdefault(f"told, {name}: span over the optimum", []).append(
                    seconds / TOLD_SECONDS
                )
                path = jobs_file(
                    folder / f"fast {name}", witness.base_url, options.teams, options.rows, NO_LIMIT
                )
                found.setdefault(f"at once, {name}: rows/s", []).append(
                    options.teams * options.rows / span(path, witness, *given)
                )
            for name, shared in {"WAL": False, "rollback journal": True}.items():
                found.setdefault(f"{name}: rows/s", []).append(
                    journal(folder / name, witness.base_url, on_shared_storage=shared)
                )
    for name, values in found.items():
        print(f"{name}: {median(values):,.2f} ({min(values):,.2f} to {max(values):,.2f})")


def told(folder: Path, witness: Witness, teams: int, *given: object) -> float:
    """Run teams that are told a rate; return the span in seconds."""
    rows = TOLD * TOLD_SECONDS
    return span(jobs_file(folder, witness.base_url, teams, rows, TOLD), witness, *given)


if __name__ == "__main__":
    main()
