"""Python's garbage collector, which `__main__` turns off while the program is imported."""

from __future__ import annotations

import gc


def start_collector() -> None:
    """Turn the collector on for the objects of a command."""
    if gc.isenabled():
        return
    gc.freeze()  # imported objects live until the end, so don't scan them again and again
    # Sending creates few cycles, and many objects that live until they are recorded.
    gc.set_threshold(20_000, 20, 20)
    gc.enable()
