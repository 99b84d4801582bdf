"""Programs on a terminal of their own: a pseudo-terminal that the test types into."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from tests.helpers import environment, started


class Terminal:
    """The other end of a program's terminal, and all that was shown so far."""

    def __init__(self, descriptor: int, process: subprocess.Popen[Any]) -> None:
        self._descriptor = descriptor
        self.process = process
        self.shown = ""

    def until(self, text: str) -> str:
        """Read until a text is shown; return all that was shown so far."""
        while text not in self.shown:
            more = self._read()
            assert more, f"ended without {text!r}:\n{self.shown}"
            self.shown += more
        return self.shown

    def types(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def end(self) -> int:
        """Read to the end; return the exit code."""
        while more := self._read():
            self.shown += more
        return self.process.wait()

    def _read(self) -> str:
        with suppress(OSError):  # EIO: nobody has the terminal open any more
            return os.read(self._descriptor, 65536).decode(errors="replace")
        return ""


@contextmanager
def on_terminal(*arguments: object, columns: int = 100, **changes: str) -> Iterator[Terminal]:
    """The program on a terminal of this width that controls it."""
    ours, theirs = pty.openpty()
    try:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        with started(
            *arguments,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment(**changes),
            start_new_session=True,
            preexec_fn=partial(fcntl.ioctl, 0, termios.TIOCSCTTY, 0),
        ) as process:
            os.close(theirs)
            yield Terminal(ours, process)
    finally:
        os.close(ours)
