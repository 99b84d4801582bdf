"""Bring spreadsheets of property showings into North.

    from bulk_sync import PushSettings, SheetSettings, check, push

`push` takes a `PushSettings` and returns a `Summary`; `check` takes a `SheetSettings` and returns a `CheckSummary`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = ["CheckSummary", "PushSettings", "SheetSettings", "Summary", "__version__", "check", "push"]

if TYPE_CHECKING:
    from bulk_sync.model import CheckSummary, Summary
    from bulk_sync.pipeline import check, push
    from bulk_sync.settings import PushSettings, SheetSettings

_HOMES = {
    "check": "bulk_sync.pipeline",
    "push": "bulk_sync.pipeline",
    "PushSettings": "bulk_sync.settings",
    "SheetSettings": "bulk_sync.settings",
    "CheckSummary": "bulk_sync.model",
    "Summary": "bulk_sync.model",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - as the language has it
    """Import on first use, so that `import bulk_sync` and `--version` stay quick."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
