"""Look ahead at what a push of a staged sheet would send, and at the values that it would replace.

Nothing is written but the temporary store of the sheet. What the ledger knows helps a person to
look over the changes. A ledger that can't be read, or is another team's, is as good as none here:
the push has the words for that.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from bulk_sync.check.patches import same, without_known
from bulk_sync.check.showing import KEY_COLUMN
from bulk_sync.errors import BulkSyncError
from bulk_sync.job.ahead import Ahead, ChangeAhead
from bulk_sync.job.database import is_checkpoint
from bulk_sync.job.ledger import Acknowledged, LedgerAccount
from bulk_sync.job.ledger_file import read_shared
from bulk_sync.job.leftover import JobPlace, Sending
from bulk_sync.job.store import Store
from bulk_sync.model.ahead import FieldChange, FirstChange
from bulk_sync.run.ledgers import origin_of, place_of_ledger
from bulk_sync.run.sheet import Sheet

FIRST = 3
"""The number of first changes that are shown."""


class LookedAhead(Struct, frozen=True):
    """The rows that --only-changed leaves out, and the first changes.

    `overwritten` counts the changes that the job knows as done, and that others undid since.
    """

    overwritten: int
    unchanged: int
    first: tuple[FirstChange, ...]


def look_ahead(sheet: Sheet, store: Store, generation: int, job: JobPlace | None) -> LookedAhead:
    """Look at the pending rows of a staged sheet; mark those as unchanged that would be left out.

    `job` is where the sheet's job would be.
    """
    sending = None if job is None else job.sending
    ahead = Ahead(store.database, generation)
    overwritten = _take_up(ahead, sheet, job) if job is not None and ahead.has_done() else 0
    unchanged = 0
    only_changed = sheet.is_results or (sending is not None and sending.history.only_changed)
    if job is not None:
        # Of a large ledger, reading all takes longer than the rest of a check.
        some = None if only_changed else [one.target for one in ahead.first(FIRST)]
        with (
            suppress(BulkSyncError, sqlite3.Error),
            _acknowledged(sheet, job, some) as entries,
        ):
            ahead.learn(entries)
    if only_changed:
        left_out = [one.id for one in ahead.known() if without_known(one.body, one.known) is None]
        unchanged = len(left_out)
        ahead.leave_out(left_out)
    first = tuple(_first_change(one, only_changed=only_changed) for one in ahead.first(FIRST))
    return LookedAhead(overwritten, unchanged, first)


def _take_up(ahead: Ahead, sheet: Sheet, job: JobPlace) -> int:
    """Take changes for not done, as the push does, whose showings another file changed since."""
    with suppress(BulkSyncError, sqlite3.Error):
        path = _ledger_of(sheet, job)
        with Store.read(job.checkpoint) as store:
            me = None if path == job.checkpoint else store.database.writer()
            if me is None and not store.database.ledger(job.base_url).has_other_writers():
                return 0  # reading all of the ledger takes longer
        with _acknowledged(sheet, job, None) as entries:
            return ahead.take_up(one for one in entries if one.writer != me)
    return 0


def _ledger_of(sheet: Sheet, job: JobPlace) -> Path:
    """Return the ledger that a push of the sheet would use."""
    origin = origin_of(sheet.reading.input, sheet.made_from, of_push=sheet.is_of_push)
    named = None if job.sending is None else job.sending.history.ledger
    return place_of_ledger(job.checkpoint, named, origin).path or job.checkpoint


@contextmanager
def _acknowledged(
    sheet: Sheet, job: JobPlace, targets: Sequence[str] | None
) -> Iterator[Iterator[Acknowledged]]:
    """Open the ledger that a push of the sheet would use; yield its entries of that API.

    All of them, or those of some targets.
    """
    sending, path = job.sending, _ledger_of(sheet, job)
    if not is_checkpoint(path):
        with read_shared(path) as file:
            ledger = file.of(job.base_url)
            if not _is_trusted(ledger.account(), sending):
                yield iter(())
            else:
                yield ledger.all() if targets is None else iter(ledger.find({*targets}))
        return
    with Store.read(path) as store:
        found = store.database.job()
        of_api = found is not None and found.base_url == job.base_url
        trusted = of_api and _is_trusted(store.known.account(job.base_url), sending)
        if not trusted:
            yield iter(())
        elif targets is None:
            yield store.known.acknowledged()
        else:
            yield iter(store.known.find(job.base_url, targets))


def _is_trusted(known: LedgerAccount | None, sending: Sending | None) -> bool:
    """Return whether a push would rely on values that were acknowledged to this key."""
    if known is None or sending is None:
        return True
    return known.is_of_one_team(sending.account, otherwise=sending.history.new_key)


def _first_change(one: ChangeAhead, *, only_changed: bool) -> FirstChange:
    values: dict[str, object] = json.loads(one.body)
    return FirstChange(
        one.number,
        one.name,
        tuple(
            FieldChange(field, value, one.known.get(field), is_known=field in one.known)
            for field, value in values.items()
            if field != KEY_COLUMN
            and not (only_changed and field in one.known and same(field, value, one.known[field]))
        ),
    )
