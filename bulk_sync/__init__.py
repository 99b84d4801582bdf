"""Bring spreadsheets of property showings into North.

    from bulk_sync import PushSettings, ReconcileSettings, SheetSettings, check, push, reconcile

`push` takes a `PushSettings` and returns a `Summary`; `check` takes a `SheetSettings` and returns a `CheckSummary`;
`reconcile` takes a `ReconcileSettings` and returns a `Reconciliation`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "CheckSummary",
    "PushSettings",
    "ReconcileSettings",
    "Reconciliation",
    "SheetSettings",
    "Summary",
    "__version__",
    "check",
    "push",
    "reconcile",
]

if TYPE_CHECKING:
    from bulk_sync.model import CheckSummary, Reconciliation, Summary
    from bulk_sync.pipeline import check, push
    from bulk_sync.reconciliation import reconcile
    from bulk_sync.settings import PushSettings, ReconcileSettings, SheetSettings

_HOMES = {
    "check": "bulk_sync.pipeline",
    "push": "bulk_sync.pipeline",
    "reconcile": "bulk_sync.reconciliation",
    "PushSettings": "bulk_sync.settings",
    "ReconcileSettings": "bulk_sync.settings",
    "SheetSettings": "bulk_sync.settings",
    "CheckSummary": "bulk_sync.model",
    "Reconciliation": "bulk_sync.model",
    "Summary": "bulk_sync.model",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - as the language has it
    """Import on first use, so that `import bulk_sync` and `--version` stay quick.

    All at once: the package `bulk_sync.check`, which the others import, would else take the function's name.
    """
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    globals().update({export: getattr(import_module(home), export) for export, home in _HOMES.items()})
    return globals()[name]
