from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn.server
from hypothesis import HealthCheck, settings

from bulk_sync.cli import main
from bulk_sync.clock import SystemClock
from bulk_sync.run import send as run_send
from bulk_sync.sandbox.behaviour import Behaviour
from bulk_sync.sandbox.server import in_thread
from bulk_sync.send.transport import choose
from bulk_sync.send.transport.choose import Name
from tests.fast_time import FastTime
from tests.gatekeeper import NEEDS_POSIX, Gatekeeper, is_on, needs_posix
from tests.helpers import KEY, Ran, Witness, in_haste

# A noisy machine makes single examples slow; what is claimed here is never about time.
# The gate tries half of the usual examples, the same ones each time: what it says is about the
# change. Others, and more of them, are looked for with --hypothesis-profile=search.
settings.register_profile(
    "gate",
    deadline=None,
    max_examples=50,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "search", settings.get_profile("gate"), derandomize=False, max_examples=500
)
settings.load_profile("gate")

# A shell starts what is to run in the background deaf to Ctrl-C, and nohup deaf to a closed
# terminal; the programs started here would be deaf too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return how many processes share the tests: one more than there are cores, for the waits in
    them. None for single files, which are through before the processes have started.
    """
    parts = [Path(argument.partition("::")[0]) for argument in config.args]
    return 0 if all(part.is_file() for part in parts) else 1 + (os.cpu_count() or 1)


def _measures_coverage(config: pytest.Config) -> bool:
    """Tell a run of the whole suite, or one that asks for coverage, from a run of a part."""
    asked = any(str(word).startswith("--cov") for word in config.invocation_params.args)
    parts = [Path(argument).absolute() for argument in config.args]
    return asked or (
        parts == [config.rootpath / "tests"]
        and not (config.option.markexpr or config.option.keyword)
    )


def pytest_configure(config: pytest.Config) -> None:
    """Watch the gate. Leave out coverage where a part of the suite runs: it costs time, and its
    bound is the whole suite's.
    """
    if is_on():
        config.pluginmanager.register(Gatekeeper())
    coverage = config.pluginmanager.get_plugin("_cov")
    worker = getattr(config, "workerinput", None)
    measures = _measures_coverage(config) if worker is None else worker["measures_coverage"]
    if coverage is None:
        return
    # In a process of pytest-xdist, pytest-cov starts a second measurement with the session and
    # leaves the first one waiting below it: whenever the second pauses, the first one goes on.
    if coverage.cov_controller is not None and not (measures and worker is None):
        coverage.cov_controller.pause()
    coverage.options.no_cov |= not measures  # pytest-cov looks at it when the session starts


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Measure no coverage in tests that are marked as `uncovered`."""
    # pytest-cov's own mark, no_cover, fails where no coverage is measured at all.
    plugin = item.config.pluginmanager.get_plugin("_cov")
    control = None if plugin is None or plugin.options.no_cov else plugin.cov_controller
    if control is None or item.get_closest_marker("uncovered") is None:
        yield
        return
    control.pause()
    try:
        yield
    finally:
        control.resume()


class _NeedsPosix(pytest.Module):
    """A file of tests that are skipped, without importing it."""

    def collect(self) -> list[pytest.Item]:
        pytest.skip(NEEDS_POSIX, allow_module_level=True)


def pytest_pycollect_makemodule(
    module_path: Path, parent: pytest.Collector
) -> pytest.Module | None:
    """Skip on Windows what it can't run; names that it lacks would fail at the import."""
    if sys.platform == "win32" and needs_posix(module_path.read_text(encoding="utf-8")):
        module: pytest.Module = _NeedsPosix.from_parent(parent, path=module_path)
        return module
    return None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Let the processes of pytest-xdist know what this one has found."""
    node.workerinput["measures_coverage"] = _measures_coverage(node.config)


Program = Callable[..., Ran]
Sandboxes = Callable[..., AbstractContextManager[Witness]]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("BULK_SYNC_", "NORTH_", "OTEL_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NORTH_API_KEY", KEY)
    monkeypatch.setenv(
        "XDG_STATE_HOME", str(tmp_path / "state")
    )  # what runs share is each test's own
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=["httpx", "httptools"])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Name:
    """What speaks HTTP in this process."""
    monkeypatch.setattr(
        run_send,
        "choose_transport",
        lambda _, base_url: choose.choose_transport(request.param, base_url),
    )
    name: Name = request.param
    return name


@pytest.fixture
def fast_time(monkeypatch: pytest.MonkeyPatch) -> FastTime:
    """Let time pass ten times as fast for the program and the sandbox in this process: waits,
    rates and bounds keep their proportions. Time-outs of connections are as long as ever.
    """
    fast = FastTime.from_now(10.0)
    for name, method in fast.methods().items():
        monkeypatch.setattr(SystemClock, name, method)
    return fast


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    """The program, run in this process as the console script would."""

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["bulk-sync", *in_haste(arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return Ran(code, captured.out, captured.err)

    return run


class _Brisk:
    """asyncio for uvicorn, which looks every tenth of a second whether it is to end, then waits
    another one: here every five milliseconds.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.005))  # noqa: TID251 - uvicorn's own


@pytest.fixture
def sandboxes(monkeypatch: pytest.MonkeyPatch) -> Sandboxes:
    """Sandboxes in a thread of this process, by their behaviour."""
    monkeypatch.setattr(uvicorn.server, "asyncio", _Brisk())

    @contextmanager
    def open_one(*, seed_file: Path | None = None, **behaviour: Any) -> Iterator[Witness]:
        with in_thread(Behaviour(**{"accept_any": True, **behaviour}), seed=seed_file) as running:
            yield Witness(running.base_url, running.token)

    return open_one
