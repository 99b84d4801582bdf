"""Bring spreadsheets of property showings into North.

    from bulk_sync import PushSettings, push

`push` takes a `PushSettings` and returns a `Summary`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = ["PushSettings", "Summary", "__version__", "push"]

if TYPE_CHECKING:
    from bulk_sync.model import Summary
    from bulk_sync.pipeline import push
    from bulk_sync.settings import PushSettings

_HOMES = {"push": "bulk_sync.pipeline", "PushSettings": "bulk_sync.settings", "Summary": "bulk_sync.model"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - as the language has it
    """Import on first use, so that `import bulk_sync` and `--version` stay quick."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
