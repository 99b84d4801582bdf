"""A Dask cluster of processes on loopback, whose scheduler and workers a test may stop and kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.helpers import poll

ROOT = Path(__file__).parents[1]


@dataclass
class DaskCluster:
    """The processes of a cluster; workers have no nanny, so that a dead one stays dead."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    host: str = "127.0.0.1"
    scheduler: subprocess.Popen[bytes] | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return self.folder / "scheduler.json"

    @property
    def address(self) -> str:
        return str(json.loads(self.file.read_text("utf-8"))["address"])

    def start(self, workers: int) -> None:
        self.scheduler = self._start(
            "scheduler", "--host", self.host, "--port", "0", "--no-show",
            "--scheduler-file", str(self.file),
        )  # fmt: skip
        poll(lambda: self.file.exists() and self.file.read_text("utf-8").strip().endswith("}"))
        for _ in range(workers):
            self.add_worker()
        self.wait_for(workers)

    def wait_for(self, workers: int) -> None:
        """Wait until so many workers have come."""
        poll(lambda: self.log().count("Registered to") == workers, within=300)

    def add_worker(
        self, *before: str, host: str = "", preload: str = "", **settings: str
    ) -> subprocess.Popen[bytes]:
        """Start one more worker; `before` is the command that starts it, such as faketime's."""
        worker = self._start(
            "worker", "--scheduler-file", str(self.file), "--nthreads", "1", "--no-nanny",
            "--no-dashboard", "--host", host or self.host, "--memory-limit", "0",
            *(("--preload", preload) if preload else ()),
            before=before, settings=settings,
        )  # fmt: skip
        self.workers.append(worker)
        return worker

    def log(self) -> str:
        """Everything that scheduler and workers have printed."""
        return "".join(
            path.read_text("utf-8", "replace") for path in sorted(self.folder.glob("*.log"))
        )

    def end(self) -> None:
        for process in (*self.workers, *filter(None, [self.scheduler])):
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()

    def _start(
        self,
        kind: str,
        *arguments: str,
        before: tuple[str, ...] = (),
        settings: dict[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        number = len(list(self.folder.glob("*.log")))
        with (self.folder / f"{kind}.{number}.log").open("wb") as log:
            return subprocess.Popen(
                [*before, sys.executable, "-m", f"distributed.cli.dask_{kind}", *arguments],
                cwd=self.folder,
                env=_environment() | self.settings | (settings or {}),
                stdout=log,
                stderr=log,
            )


def _environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if name != "NORTH_API_KEY"}
    return own | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}


@contextmanager
def dask_cluster(
    folder: Path, workers: int = 2, host: str = "127.0.0.1", **settings: str
) -> Iterator[DaskCluster]:
    """A cluster with its files in a folder; `settings` are environment variables."""
    folder.mkdir(parents=True, exist_ok=True)
    cluster = DaskCluster(folder, settings, host)
    try:
        cluster.start(workers)
        yield cluster
    finally:
        cluster.end()
