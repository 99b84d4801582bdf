"""`python -m bulk_sync`, and the console script.

Until the commands are imported, a signal ends the program immediately: nothing has been done yet,
and a traceback from the middle of an import helps nobody; see `signals`.
"""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress
from typing import NoReturn

from bulk_sync import signals
from bulk_sync.search_path import without_current_folder
from bulk_sync.version import __version__

# The interpreter's switch interval.
#
# While a sheet is staged, SQLite writes one group of rows in a thread and the next is checked in
# another. SQLite lets the interpreter go for less than Python's usual 5 ms, so staging takes a
# fifth longer with that; sending takes the same time with either. The process is ours alone here,
# so it may be set; the library leaves it to its host.
_SWITCH_SECONDS = 1e-4


def main() -> NoReturn:
    """Import the commands and run one; `--version` needs no import."""
    signals.install()
    _open_closed_streams()
    if sys.argv[1:] == ["--version"]:
        _print_version()
    _import_nothing_from_here()
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.disable()  # imports create no garbage; `cli.collector` turns it on again
    from bulk_sync.cli import main as run
    from bulk_sync.cli.bugs import show_no_texts

    show_no_texts()
    run()


def _open_closed_streams() -> None:
    """Open the standard streams that are closed on the null device.

    Schedulers start programs so. A file that is opened later must not get one of their numbers, or
    what is printed would end up in it.
    """
    # The lowest free number is given out first.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:  # closed when Python started
            # It is open as long as the process, and a descriptor is no path.
            stream = open(number, "r" if number == 0 else "w", encoding="utf-8")  # noqa: PTH123, SIM115
            setattr(sys, name, stream)


def _import_nothing_from_here() -> None:
    """Remove the current folder, where `python -m` looks first, from the search path.

    It stays if the package itself is there, as in a checkout.
    """
    root = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # noqa: PTH120 - quick
    folders = without_current_folder(sys.path)
    if root in folders or root not in map(os.path.realpath, sys.path):
        sys.path[:] = folders


def _print_version() -> None:
    """Print the version and exit; return when standard output can't be written."""
    with suppress(OSError):  # the commands have the words for it
        print(f"bulk-sync {__version__}", flush=True)  # noqa: T201 - it prints
        sys.exit(0)


if __name__ == "__main__":
    main()
