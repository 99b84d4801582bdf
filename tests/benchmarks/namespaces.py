"""Workers in network namespaces, whose links can be cut (Linux, as root).

The command itself, the scheduler and the sandbox are in a namespace of their own, each worker in
another one, with two links: one to the scheduler, and one to the API. Nothing of it is seen by the
rest of the machine, and all ends with the processes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

_IP = shutil.which("ip") or "ip"

_INSIDE = "TEST_NETWORK_NAMESPACE"

HUB = "10.77.0.1"
_API_HUB = "10.78.0.1"
_LINKS = {"cluster": "10.77.0", "api": "10.78.0"}


def enter(module: str, arguments: Sequence[str]) -> int | None:
    """Run a module in a network namespace of its own; return its exit code, None inside of it.

    It is 2, with a sentence, where that is not permitted.
    """
    if _INSIDE in os.environ:
        _ip("link", "set", "lo", "up")
        for link, net in _LINKS.items():
            _ip("link", "add", link, "type", "bridge")
            _ip("addr", "add", f"{net}.1/24", "dev", link)
            _ip("link", "set", link, "up")
        return None
    name = f"bulk-sync-{os.getpid()}"
    try:
        _ip("netns", "add", name)
    except (OSError, subprocess.CalledProcessError) as error:
        why = getattr(error, "stderr", None) or str(error)
        print(
            f"--namespaces needs `ip netns`, which is not permitted here: {why.strip()}. Run it as "
            "root on Linux, with iproute2 (in a container: with --privileged).",
            file=sys.stderr,
        )
        return 2
    try:
        return subprocess.call(
            [_IP, "netns", "exec", name, sys.executable, "-m", module, *arguments],
            env={**os.environ, _INSIDE: name},
        )
    finally:
        _ip("netns", "del", name)


class Network:
    """Namespaces of workers; each reaches the API at the port that it has on loopback here."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._port = port
        self._names: list[str] = []
        self._opened = ExitStack()
        folder.mkdir(parents=True)
        self._forward((), _API_HUB, "127.0.0.1")

    def add(self) -> int:
        """Make a namespace, and return its number."""
        number = len(self._names)
        name = f"{os.environ[_INSIDE]}-{number}"
        _ip("netns", "add", name)
        self._names.append(name)
        _ip("-n", name, "link", "set", "lo", "up")
        for link, net in _LINKS.items():
            outer = f"{link}{number}"
            _ip("link", "add", outer, "type", "veth", "peer", "name", link, "netns", name)
            _ip("link", "set", outer, "master", link)
            _ip("link", "set", outer, "up")
            _ip("-n", name, "addr", "add", f"{net}.{10 + number}/24", "dev", link)
            _ip("-n", name, "link", "set", link, "up")
        self._forward(self.before(number), "127.0.0.1", _API_HUB, self._notes(number))
        return number

    def before(self, number: int) -> tuple[str, ...]:
        """Return the words that start a command in a namespace."""
        return (_IP, "netns", "exec", self._names[number])

    def address(self, number: int) -> str:
        """Return the address of a namespace at the scheduler's link."""
        return f"{_LINKS['cluster']}.{10 + number}"

    def set(self, number: int, state: str, *links: str) -> None:
        """Set links of a namespace `up` or `down`: `cluster`, `api`."""
        for link in links:
            _ip("link", "set", f"{link}{number}", state)

    def sends(self, number: int) -> list[tuple[float, str]]:
        """Return when a client in a namespace sent which key."""
        try:
            lines = self._notes(number).read_text("utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [(float(at), key) for at, _, key in (line.partition(" ") for line in lines)]

    def close(self) -> None:
        """Remove the namespaces."""
        self._opened.close()
        for number, name in enumerate(self._names):
            for link in _LINKS:
                with suppress(subprocess.CalledProcessError):
                    _ip("link", "del", f"{link}{number}")
            _ip("netns", "del", name)

    def _notes(self, number: int) -> Path:
        return self._folder / f"{number}.sends"

    def _forward(self, before: Sequence[str], host: str, to: str, *notes: Path) -> None:
        process = subprocess.Popen(
            [
                *(*before, sys.executable, "-m", "tests.benchmarks.forwarder"),
                *(host, str(self._port), to, str(self._port), *map(str, notes)),
            ],
            stdout=subprocess.PIPE,
        )
        self._opened.enter_context(process)
        self._opened.callback(process.kill)
        assert process.stdout is not None
        assert process.stdout.readline(), "the forwarder has ended"


@contextmanager
def network(folder: Path, port: int, workers: int) -> Iterator[Network]:
    """Yield namespaces for so many workers."""
    made = Network(folder, port)
    try:
        for _ in range(workers):
            made.add()
        yield made
    finally:
        made.close()


def _ip(*arguments: str) -> None:
    subprocess.run([_IP, *arguments], check=True, capture_output=True, text=True)
