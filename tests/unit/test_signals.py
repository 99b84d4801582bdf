"""What becomes of a signal, by the block in which it arrives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bulk_sync import signals
from bulk_sync.errors import InputError, Interrupted
from bulk_sync.signals import handed_to, held, hold, raising
from tests.helpers import poll

_NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The handlers of a command in this process, as at its start."""
    before = {number: signal.getsignal(number) for number in _NUMBERS}
    monkeypatch.setattr(signals, "_state", signals._State())
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr("atexit.register", lambda _: None)
    signals.install()
    hold()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("number", _NUMBERS)
def test_in_a_raising_block_a_signal_raises(number: signal.Signals) -> None:
    with pytest.raises(Interrupted) as raised, raising():
        signal.raise_signal(number)
    assert raised.value.exit_code == 128 + number


@pytest.mark.usefixtures("installed")
def test_one_that_came_before_a_block_is_raised_at_its_beginning() -> None:
    signal.raise_signal(signal.SIGTERM)
    reached = False
    with pytest.raises(Interrupted), raising():
        reached = True
    assert not reached
    with raising():  # once
        reached = True
    assert reached


@pytest.mark.usefixtures("installed")
def test_a_block_may_leave_earlier_signals_alone() -> None:
    signal.raise_signal(signal.SIGTERM)
    with raising(earlier=False):
        pass
    with pytest.raises(Interrupted), raising():
        pass


@pytest.mark.usefixtures("installed")
def test_one_that_is_swallowed_in_a_block_is_raised_at_its_end() -> None:
    with pytest.raises(Interrupted), raising(), suppress(Interrupted):
        signal.raise_signal(signal.SIGTERM)


@pytest.mark.usefixtures("installed")
def test_one_that_becomes_another_error_is_raised_in_its_place() -> None:
    def callback() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except Interrupted:
            raise InputError("the callback failed") from None

    with pytest.raises(Interrupted), raising():
        callback()


@pytest.mark.usefixtures("installed")
def test_one_that_a_finalizer_gets_is_raised_in_the_code_around_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Ending:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    def long_work() -> None:
        ending = Ending()
        del ending
        poll(lambda: False)

    with pytest.raises(Interrupted), raising():
        long_work()
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("installed")
def test_one_that_came_after_a_block_is_kept_for_the_next() -> None:
    with raising() as interruptible:
        interruptible.end()
        signal.raise_signal(signal.SIGTERM)
    with pytest.raises(Interrupted), raising():
        pass


@pytest.mark.usefixtures("installed")
def test_within_a_held_block_a_signal_waits_for_its_end() -> None:
    done: list[str] = []

    def work() -> None:
        with held():
            signal.raise_signal(signal.SIGINT)
            done.append("held")
        done.append("not reached")

    with pytest.raises(Interrupted), raising():
        work()
    assert done == ["held"]


@pytest.mark.usefixtures("installed")
def test_who_is_sending_gets_the_one_that_was_kept_and_the_second() -> None:
    seen: list[int] = []
    signal.raise_signal(signal.SIGTERM)
    with handed_to(seen.append):
        assert seen == [signal.SIGTERM]
        signal.raise_signal(signal.SIGINT)
    assert seen == [signal.SIGTERM, signal.SIGINT]
    with raising():  # nothing is left
        pass


@pytest.mark.usefixtures("installed")
def test_a_terminal_that_closes_says_so_twice_and_counts_once() -> None:
    seen: list[int] = []
    with handed_to(seen.append):
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
    signal.raise_signal(signal.SIGHUP)
    assert seen == [signal.SIGHUP]


def test_a_library_has_its_hosts_handlers_back_and_none_in_threads() -> None:
    before = [signal.getsignal(number) for number in _NUMBERS]
    seen: list[int] = []
    in_thread: list[object] = []

    def work() -> None:
        with raising(), held(), handed_to(seen.append):
            in_thread.extend(signal.getsignal(number) for number in _NUMBERS)

    with raising(), handed_to(seen.append):
        signal.raise_signal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.SIGTERM]
    assert in_thread == before == [signal.getsignal(number) for number in _NUMBERS]


def ran(body: str) -> subprocess.CompletedProcess[str]:
    """Run code with the handlers of a command in a process of its own."""
    code = "import os, signal, sys\nfrom bulk_sync import signals\nsignals.install()\n"
    return subprocess.run(
        [sys.executable, "-c", code + textwrap.dedent(body)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(signals.__file__).parents[1])},
    )


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param("signal.raise_signal(15)", 143, id="before anything was done"),
        pytest.param(
            "signals.hold(); signal.raise_signal(15); signal.raise_signal(2)", 130, id="the second"
        ),
        pytest.param(
            "with signals.handed_to(lambda _: None):\n"
            "    for _ in range(3): signal.raise_signal(15)\n",
            143,
            id="the third while sending",
        ),
        pytest.param(
            "signals.announced(3); signal.raise_signal(15); signal.raise_signal(15)",
            3,
            id="the second when the code was printed",
        ),
        pytest.param("signals.ended(3); signal.raise_signal(15)", 3, id="when the code is known"),
        pytest.param(
            "class Late:\n"
            "    def __del__(self, kill=os.kill, pid=os.getpid()): kill(pid, 15)\n"
            "late = Late(); late.itself = late\n"
            "signals.ended(3); sys.exit(3)\n",
            3,
            id="while the interpreter takes modules apart",
        ),
    ],
)
def test_a_process_ends_at_once_with_the_code_that_counts(body: str, code: int) -> None:
    done = ran(f"print('said')\n{body}\nprint('went on')")
    assert (done.returncode, done.stdout, done.stderr) == (code, "said\n", "")


def test_at_the_end_signals_are_ignored_because_other_threads_may_get_them() -> None:
    """Python restores the default action of every handler, but not of what is ignored."""
    ending = (
        "import atexit, signal\n"
        "def last(): print([signal.getsignal(n) is signal.SIG_IGN for n in (1, 2, 15)])\n"
        "atexit.register(last)\n"
        "from bulk_sync import signals\nsignals.install()\nsignals.ended(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", ending], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "[True, True, True]\n")


def test_a_program_that_shows_no_texts_loses_no_signal_in_a_finalizer() -> None:
    body = """
        from bulk_sync.cli.bugs import show_no_texts
        show_no_texts()  # after the handlers, as the program does
        import threading
        class Ending:
            def __del__(self): signal.raise_signal(15)
        class Faulty:
            def __del__(self): raise KeyError("a cell")
        Faulty()
        try:
            with signals.raising():
                Ending()
                threading.Event().wait(60)
        except signals.Interrupted:
            print("interrupted")
    """
    done = ran(body)
    assert (done.returncode, done.stdout) == (0, "interrupted\n")
    assert "KeyError" in done.stderr
    assert "Interrupted" not in done.stderr
    assert "a cell" not in done.stderr


def test_what_a_signal_cut_off_does_not_complain() -> None:
    body = (
        "class Cut:\n"
        "    def __del__(self): raise KeyError(self)\n"
        "try:\n"
        "    with signals.raising(): signal.raise_signal(15)\n"
        "except signals.Interrupted: pass\n"
        "Cut()\n"
    )
    done = ran(body)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_ignored_signal_stays_ignored() -> None:
    ignoring = (
        "import os, signal, sys\nsignal.signal(1, signal.SIG_IGN)\n"
        "from bulk_sync import signals\nsignals.install()\nsignal.raise_signal(1)\nprint('on')"
    )
    done = subprocess.run(
        [sys.executable, "-c", ignoring], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "on\n")
