"""Bring spreadsheets of property showings into North.

`push` takes a `PushSettings` and returns a `Summary`; `push_async` does so for programs on asyncio.
`check` takes a `SheetSettings` and returns a `CheckSummary`; `reconcile` takes a
`ReconcileSettings` and returns a `Reconciliation`. `results` reads what became of each row. Errors
for the user are below `BulkSyncError`, whose `exit_code` is the command's. Times are in seconds,
rates in requests per second; log records go to the logger `bulk_sync`.

A push into a sandbox on this machine, in place of North:

>>> from pathlib import Path
>>> from tempfile import TemporaryDirectory
>>> from bulk_sync import PushSettings, State, push, results
>>> from bulk_sync.cli.sandbox import any_sandbox
>>> folder = TemporaryDirectory()
>>> sheet = Path(folder.name, "showings.csv")
>>> rows = ["unique_showing_key,feedback,rating", "ext_1,Bright kitchen,4", "ext_2,Too small,9"]
>>> _ = sheet.write_text("\\n".join(rows))
>>> settings = PushSettings.checked(
...     input=sheet, base_url="sandbox:", key="north_sk_test_0000000000000000"
... )
>>> with any_sandbox() as address:
...     summary = push(
...         settings, send_to=address, on_row=lambda row: print(row.key, row.state.value)
...     )
ext_1 updated
>>> summary.states[State.UPDATED], summary.states[State.INVALID], summary.exit_code
(1, 1, 3)
>>> [(row.number, row.state.value, row.error) for row in results(settings.files.checkpoint)]
[(2, 'updated', None), (3, 'invalid', 'bad_value')]
>>> folder.cleanup()

For whoever takes the code over: `bulk_sync.pipeline` is a run on one page. How the pace finds the
limit and keeps below it stands in `bulk_sync.send.pace`, how runs on a host share it in
`bulk_sync.send.budget`; what the workers promise in `bulk_sync.send.sender`, what a reply leads to
in `bulk_sync.send.decide`, how an outage is told from bad rows in `bulk_sync.send.circuit`; what
the checkpoint promises at every commit in `bulk_sync.job.store` and its parts, how outcomes get there in
`bulk_sync.job.recorder`, and what is known of a showing in `bulk_sync.job.ledger`. The states are
`bulk_sync.State`: a row is `pending` until it is decided, and only what the API acknowledged is
`updated`. Values are named tuples on the way of each row to the API and back, else structs of
msgspec's, whose classes are made without compiling code at every start. What changes while a run
goes on is a dataclass, whose attributes are set in half the time, and so are the few values that
`--help` needs: to import msgspec takes longer than to make them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bulk_sync.version import __version__

__all__ = [
    "BulkSyncError",
    "CheckSummary",
    "PushSettings",
    "ReconcileSettings",
    "Reconciliation",
    "Result",
    "RowDecided",
    "SheetSettings",
    "State",
    "Summary",
    "__version__",
    "check",
    "push",
    "push_async",
    "reconcile",
    "results",
]

if TYPE_CHECKING:
    from bulk_sync.errors import BulkSyncError
    from bulk_sync.model.comparison import Reconciliation
    from bulk_sync.model.rows import Result, RowDecided, State
    from bulk_sync.model.summaries import CheckSummary, Summary
    from bulk_sync.pipeline import check, push, push_async, results
    from bulk_sync.reconciliation import reconcile
    from bulk_sync.settings.push import PushSettings
    from bulk_sync.settings.reconcile import ReconcileSettings
    from bulk_sync.settings.sheet import SheetSettings

_HOMES = {
    "check": "bulk_sync.pipeline",
    "push": "bulk_sync.pipeline",
    "push_async": "bulk_sync.pipeline",
    "results": "bulk_sync.pipeline",
    "reconcile": "bulk_sync.reconciliation",
    "PushSettings": "bulk_sync.settings.push",
    "ReconcileSettings": "bulk_sync.settings.reconcile",
    "SheetSettings": "bulk_sync.settings.sheet",
    "BulkSyncError": "bulk_sync.errors",
    "CheckSummary": "bulk_sync.model.summaries",
    "Result": "bulk_sync.model.rows",
    "RowDecided": "bulk_sync.model.rows",
    "State": "bulk_sync.model.rows",
    "Reconciliation": "bulk_sync.model.comparison",
    "Summary": "bulk_sync.model.summaries",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - as the language has it
    """Import on first use, so that `import bulk_sync` and `--version` stay quick.

    All at once: the package `bulk_sync.check`, which the others import, would else take the
    function's name.
    """
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    globals().update(
        {export: getattr(import_module(home), export) for export, home in _HOMES.items()}
    )
    return globals()[name]
