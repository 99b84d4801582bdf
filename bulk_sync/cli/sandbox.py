"""Sandboxes for the commands; imported late, because the extra may be missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from rich.console import Console
from rich.text import Text

from bulk_sync.errors import UsageError, install_with
from bulk_sync.quantities import duration_text
from bulk_sync.wording import counted

__all__ = ["Behaviour", "any_sandbox", "demo_sandbox", "run_sandbox", "sample_file"]

try:
    from bulk_sync.sandbox.behaviour import Behaviour, Serving
    from bulk_sync.sandbox.faults import Fault
    from bulk_sync.sandbox.server import Running, in_thread, serve
except ModuleNotFoundError as error:
    raise UsageError(
        f"The sandbox needs {error.name}, which is not installed: {install_with('sandbox')}"
    ) from None


def run_sandbox(console: Console, behaviour: Behaviour, serving: Serving) -> None:
    """Serve until a signal ends it."""

    def announce(running: Running) -> None:
        held = f" with {counted(running.showings, 'showing')}" if running.showings else ""
        console.print(Text(f"Sandbox listening on {running.base_url}{held}"), soft_wrap=True)
        console.print(Text(_terms(behaviour)), soft_wrap=True)
        command = f"bulk-sync push FILE --base-url {running.base_url}"
        text = f"Push to it: NORTH_API_KEY=north_sk_test_anything {command}"
        console.print(Text(text), soft_wrap=True)
        records = f"Its records: {running.base_url}/_sandbox/journal?token={running.token}"
        console.print(Text(records), soft_wrap=True)
        console.file.flush()

    serve(behaviour, port=serving.port, database=serving.db, seed=serving.seed, on_ready=announce)


def _terms(behaviour: Behaviour) -> str:
    """Return the team and the limits of a sandbox in a sentence."""
    rates = [behaviour.limit] if behaviour.limit else []
    limits = ", ".join(map(str, [*rates, *behaviour.allowances]))
    parts = [f"Team: {behaviour.team}", f"limits: {limits or 'none'}"]
    if behaviour.lock_out_seconds:
        parts.append(f"lock-out: {duration_text(behaviour.lock_out_seconds)}")
    if behaviour.speed != 1:
        parts.append(f"time passes {behaviour.speed:g} times as fast")
    return "; ".join(parts) + "."


@contextmanager
def any_sandbox() -> Iterator[str]:
    """Run the sandbox of a rehearsal, in which every showing exists; yield its address."""
    with in_thread(Behaviour(accept_any=True)) as running:
        yield running.base_url


@contextmanager
def demo_sandbox() -> Iterator[str]:
    """Run the demo's slow and faulty sandbox on the sample export; yield its address."""
    behaviour = Behaviour(
        latency_seconds=0.06,
        faults=(Fault(0.03, "503"), Fault(0.02, "reset"), Fault(0.01, "garbage")),
        seed=7,
    )
    with in_thread(behaviour, seed=sample_file("sample-north-export.csv")) as running:
        yield running.base_url


def sample_file(name: str) -> Path:
    """Return a sample file, from the installed package or from a checkout; raises UsageError."""
    package = Path(str(files("bulk_sync")))
    for folder in (package / "sample_data", package.parent / "sample_data"):
        if (folder / name).is_file():
            return folder / name
    raise UsageError(
        f"The sample data is missing: {name} is neither in {package} nor in {package.parent}."
    )
