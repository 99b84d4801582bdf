"""`bulk-sync template`: write an empty sheet to fill in. Not the template of `reconcile`, which has
differences in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bulk_sync.check.described import DESCRIBED
from bulk_sync.check.naming import existing_field
from bulk_sync.check.showing import FIELDS, ID_COLUMN, KEY_COLUMN
from bulk_sync.cli.collector import start_collector
from bulk_sync.cli.streams import out, standard_output
from bulk_sync.errors import UsageError
from bulk_sync.quoting import joined
from bulk_sync.report.written.empty_sheet import write_empty_sheet
from bulk_sync.wording import counted


def template(path: Path, fields: str | None) -> int:
    """Write an empty sheet with columns for these fields; return the exit code."""
    start_collector()
    chosen = columns_for(fields)
    described = {one.field: one for one in DESCRIBED}
    write_empty_sheet(path, [described[name] for name in chosen])
    command = joined(["bulk-sync", "check", str(path)])
    with standard_output():
        out().print(
            f"Wrote {path}, a sheet with {counted(len(chosen), 'column')} and no rows. "
            f"Fill it in, then: {command}",
            markup=False,
            soft_wrap=True,
        )
    return 0


def columns_for(fields: str | None) -> Sequence[str]:
    """Return the fields of the columns: first what addresses the showing, else in their order.

    `fields` are separated by commas; the key comes with them if they have no address. Raises
    UsageError for an unknown field, and if they leave nothing to change.
    """
    if fields is None:
        return (KEY_COLUMN, *FIELDS)
    named = dict.fromkeys(existing_field(name) for name in fields.split(",") if name.strip())
    addresses = [name for name in (KEY_COLUMN, ID_COLUMN) if name in named] or [KEY_COLUMN]
    others = [name for name in named if name not in {KEY_COLUMN, ID_COLUMN}]
    if not set(others) & set(FIELDS):
        raise UsageError(
            f"--fields {fields}: none of them is a field that a push changes; name some of "
            f"{', '.join(FIELDS)}"
        )
    return (*addresses, *others)
