"""Look over a push before its first row leaves, so that a person can decide.

Invariants, with the caller's part in them (`cli.asking`):

1. No request that changes anything leaves before the answer. Only GET /v1/users/me does, for the
   team.
2. Sheets are sent as they were looked over, or not at all: their bytes and settings are compared
   (`run.rows.Reviewed`).
3. Nothing is begun before the answer: no job, no checkpoint. So a run that comes later counts as
   resumed only if an earlier one sent a row.
4. A job that goes on is not asked about again, as long as it sends nothing but what it has had.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from bulk_sync.clock import Clock
from bulk_sync.errors import Outage, StoppedEarly
from bulk_sync.job.ledger import LedgerAccount
from bulk_sync.job.leftover import JobPlace, Sending
from bulk_sync.job.lock import held, is_held
from bulk_sync.job.store import Store
from bulk_sync.model.account import Team
from bulk_sync.model.estimates import windows_for
from bulk_sync.model.rows import Tally
from bulk_sync.model.summaries import CheckSummary
from bulk_sync.pipeline import check
from bulk_sync.run.dated import dated
from bulk_sync.run.findings import many_changes
from bulk_sync.run.follow import Callbacks
from bulk_sync.run.outputs import check_outputs, refuse_names
from bulk_sync.run.rows import Judgement
from bulk_sync.run.send import SendingRun, ask_first, choose_destination
from bulk_sync.run.shared_limit import known_pace
from bulk_sync.run.sheet import OnRows
from bulk_sync.secret import fingerprint
from bulk_sync.send.bounds import Bounds
from bulk_sync.settings.push import PushSettings

_TEAM_SECONDS = 15.0
"""The longest wait for the team's name. The push asks for it again, and waits longer."""


def look_over(
    settings: PushSettings, judgement: Judgement | None, on_rows: OnRows, clock: Clock
) -> CheckSummary:
    """Return what a push of a sheet would do; refuse here what the push would refuse anyway.

    `stopped` has the reason if the sheet as it is can't be sent: then the push refuses it, too.
    Raises as `pipeline.push` does, before anything is written.
    """
    settings = dated(settings, clock)
    source, files = settings.reading.input, settings.files
    target = settings.target
    choose_destination(target, None, settings.key, settings.sending)
    refuse_names(settings)
    if is_held(files.checkpoint):
        with held(files.checkpoint):  # has the words for it
            pass
    check_outputs(files, settings.outputs.undo_file)
    account = LedgerAccount(fingerprint(settings.key))
    # Whether more would be sent than --max-changes allows, the push can find otherwise.
    summary = check(
        settings.changed(max_changes=None),
        on_rows=on_rows,
        job=JobPlace(files.checkpoint, target.base_url, Sending(settings.history, account)),
        judgement=judgement,
    )
    most = settings.stopping.max_changes
    if (refused := many_changes(source, summary.requests, summary.rows, most)) is not None:
        raise refused
    return summary


def needs_answer(summaries: Sequence[CheckSummary]) -> bool:
    """Return whether any of these sheets would send rows of a job that has sent none so far."""
    return any(one.stopped is None and one.requests and not one.is_resumed for one in summaries)


def team_of(settings: PushSettings, clock: Clock) -> Team | None:
    """Ask users/me for the key's team; None if the API names none, or doesn't answer soon.

    An API that can't be reached, or asks to wait, is the push's to wait for. Raises KeyRefused,
    WrongTeam, Interrupted.
    """
    to = choose_destination(settings.target, None, settings.key, settings.sending)
    bounds = Bounds(None, clock.monotonic() + _TEAM_SECONDS)
    with Store.scratch(otherwise=settings.own_folder) as store:
        run = SendingRun.of(
            settings, store, to, bounds, Callbacks(), clock, Tally(leave=settings.pacing.leave), ()
        )
        try:
            return ask_first(run, None).team
        except (Outage, StoppedEarly):
            return None


def estimated(
    settings: PushSettings, summary: CheckSummary, window_seconds: float | None, clock: Clock
) -> CheckSummary:
    """Return a summary with the time that sending takes at the limits that are known by now."""
    pacing = settings.pacing
    known = known_pace(settings.target.base_url, settings.key, settings.state_folder)
    return replace(
        summary,
        limit=known.limit,
        windows=windows_for(pacing.rates, known.allowances, clock.now(), pacing.leave),
        held_seconds=known.held_seconds,
        window_seconds=window_seconds,
    )
