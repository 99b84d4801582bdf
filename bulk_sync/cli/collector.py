"""Python's garbage collector, which `__main__` turns off while the program is imported."""

from __future__ import annotations

import gc


def start_collector() -> None:
    """Turn the collector on, for what a command makes: nothing that was imported is garbage."""
    if gc.isenabled():
        return
    gc.freeze()
    # Sending makes hardly any cycles, and much that lives until it is recorded.
    gc.set_threshold(20_000, 20, 20)
    gc.enable()
