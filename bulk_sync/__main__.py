"""`python -m bulk_sync`, and the console script: until the commands are imported, a signal ends the program at once.

Nothing has been done by then, and a traceback through half an import helps nobody.
"""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import NoReturn


def main() -> NoReturn:
    """Import the commands and run one."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows knows no SIGHUP
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end_at_once)
    from bulk_sync.cli import main as run

    run()


def _end_at_once(number: int, _: FrameType | None) -> NoReturn:
    os._exit(128 + number)


if __name__ == "__main__":
    main()
