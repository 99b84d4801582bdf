"""The command line: declarations and calls, no logic; the only place that exits."""

from __future__ import annotations

from bulk_sync.cli.main import main

__all__ = ["main"]
