"""The command line: it declares the commands, calls the library, and prints."""

from __future__ import annotations

from bulk_sync.cli.main import main

__all__ = ["main"]
