"""Bring spreadsheets of property showings into North.

`push` takes a `PushSettings` and returns a `Summary`; `push_async` does the same for programs on
asyncio. `check` takes a `SheetSettings` and returns a `CheckSummary`; `reconcile` takes a
`ReconcileSettings` and returns a `Reconciliation`. `results` iterates over the outcomes of a job's
rows, of all or of those in some states. Errors for the user derive from `BulkSyncError`; its
`exit_code` is that of the command. Log records go to the logger `bulk_sync`.

Settings take the options of the commands, by name and as they are typed. They store them in parts,
with units in the names: durations in seconds, rates in requests per second.

>>> from bulk_sync import PushSettings
>>> settings = PushSettings(
...     input="showings.csv", key="north_sk_test_0000000000000000", rate="10/s", deadline="2h"
... )
>>> settings.pacing.rates[0].per_second, settings.stopping.deadline_seconds
(10.0, 7200.0)
>>> settings.sending.workers
16
>>> settings.files.results.name
'showings.results.csv'
>>> PushSettings(input="showings.csv", key="north_sk_test_0000000000000000", workers=0)
Traceback (most recent call last):
bulk_sync.errors.UsageError: --workers: 0 is less than 1: write 1 to 500

A push into a sandbox on this machine instead of North:

>>> from pathlib import Path
>>> from tempfile import TemporaryDirectory
>>> from bulk_sync import State, push, results
>>> from bulk_sync.cli.sandbox import any_sandbox
>>> folder = TemporaryDirectory()
>>> sheet = Path(folder.name, "showings.csv")
>>> rows = ["unique_showing_key,feedback,rating", "ext_1,Bright kitchen,4", "ext_2,Too small,9"]
>>> _ = sheet.write_text("\\n".join(rows))
>>> settings = PushSettings(input=sheet, sandbox=True)
>>> with any_sandbox() as address:
...     summary = push(
...         settings, send_to=address, on_row=lambda row: print(row.key, row.state.value)
...     )
ext_1 updated
>>> summary.states[State.UPDATED], summary.states[State.INVALID], summary.exit_code
(1, 1, 3)
>>> [(row.number, row.state.value, row.error) for row in results(settings.files.checkpoint)]
[(2, 'updated', None), (3, 'invalid', 'bad_value')]
>>> [one["message"][:15] for one in results(settings.files.checkpoint, "invalid").to_dicts()]
["rating: '9' is "]
>>> folder.cleanup()

Where to read on: `bulk_sync.pipeline` is a run on one page. `bulk_sync.settings` declares the
options; `bulk_sync.send.pace` finds the rate limit and stays below it, `bulk_sync.send.budget`
shares it among the runs on a host, `bulk_sync.send.decide` decides what a reply leads to,
`bulk_sync.send.circuit` separates an outage from bad rows, and `bulk_sync.send.sender` sends.
`bulk_sync.job.store` holds the checkpoint, `bulk_sync.job.recorder` writes outcomes to it, and
`bulk_sync.job.ledger` knows what the API acknowledged. A row is `pending` until it is decided, and
`updated` only when the API acknowledged it.

Values that are created for every row are named tuples. Other values are msgspec structs, because
Python compiles code for each dataclass at every start. Dataclasses are used for state that changes
during a run, because setting their attributes takes half the time, and for options, which `--help`
needs without msgspec.
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
    "Results",
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
    from bulk_sync.jobs import Results, results
    from bulk_sync.model.comparison import Reconciliation
    from bulk_sync.model.rows import Result, RowDecided, State
    from bulk_sync.model.summaries import CheckSummary, Summary
    from bulk_sync.pipeline import check, push, push_async
    from bulk_sync.reconciliation import reconcile
    from bulk_sync.settings.push import PushSettings
    from bulk_sync.settings.reconcile import ReconcileSettings
    from bulk_sync.settings.sheet import SheetSettings

_HOMES = {
    "check": "bulk_sync.pipeline",
    "push": "bulk_sync.pipeline",
    "push_async": "bulk_sync.pipeline",
    "results": "bulk_sync.jobs",
    "Results": "bulk_sync.jobs",
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
    """Import the exports on first use, so that `import bulk_sync` and `--version` stay quick.

    All at once, because importing the package `bulk_sync.check` later would replace the function
    of that name.
    """
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    globals().update(
        {export: getattr(import_module(home), export) for export, home in _HOMES.items()}
    )
    return globals()[name]
