"""Record and what is known, to what will be done. Pure.

Two decisions live here: how a run begins when there is a checkpoint already, and which
of several rows for one showing is sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Literal

from msgspec import Struct

from bulk_sync.address import SANDBOX_TARGET
from bulk_sync.errors import UsageError
from bulk_sync.model.rows import State


class JobFacts(Struct, frozen=True):
    """What tells one job from another.

    `meaning` names the settings and the version that turned the rows into patches;
    `key_fingerprint` is None while no key was accepted yet.
    """

    base_url: str
    key_fingerprint: str | None
    input_digest: str
    meaning: str


class Start(Enum):
    """How a run begins."""

    NEW = "read the sheet; nothing is known"
    RESUME = "the very same sheet, read the same way: go on where it stopped"
    RESTAGE = "another sheet: read it, and keep what was acknowledged by key and content"


def how_to_start(known: JobFacts | None, asked: JobFacts, *, fresh: bool, new_key: bool) -> Start:
    """Decide how a run begins; raises UsageError when the checkpoint is of somewhere else.

    A job that went to a sandbox of its own run is never gone on with: that sandbox is gone.
    """
    if known is None or fresh or known.base_url == SANDBOX_TARGET:
        return Start.NEW
    if known.base_url != asked.base_url:
        raise UsageError(
            f"this checkpoint is of a job for {known.base_url}, not for {_place(asked.base_url)}. Choose another "
            "place with --out or --checkpoint, or start over with --fresh (what was acknowledged is then forgotten)"
        )
    if known.key_fingerprint not in {None, asked.key_fingerprint} and not new_key:
        raise UsageError(
            "this checkpoint is of a job that another API key began, perhaps another team's. If the new key acts for "
            "the same team, go on with --new-key; else start over with --fresh"
        )
    same = known.input_digest == asked.input_digest and known.meaning == asked.meaning
    return Start.RESUME if same else Start.RESTAGE


def _place(base_url: str) -> str:
    return "a sandbox" if base_url == SANDBOX_TARGET else base_url


class Twin(Struct, frozen=True):
    """One of several rows for the same showing; `digest` and `body` are None for one that can't be
    read.
    """

    id: int
    number: int
    digest: str | None
    body: str | None = None


class Verdict(Struct, frozen=True):
    """What becomes of a row that is not sent because of its twins."""

    id: int
    state: State
    error: str | None
    message: str


class Merge(Struct, frozen=True):
    """The row that is to carry one patch made of these bodies, a later value over an earlier."""

    id: int
    bodies: tuple[str, ...]


OnDuplicate = Literal["error", "last", "merge"]


def settle_twins(
    twins: Sequence[Twin], policy: OnDuplicate = "error"
) -> tuple[list[Verdict], Merge | None]:
    """Decide about rows for one showing, given in input order.

    `error`: identical ones are one change, the first is sent and the others are superseded; if
    they differ, none is sent, for nobody knows which is meant, and each names the others.
    `last`: the last row counts, also when it can't be read: then nothing is sent.
    `merge`: the last row carries what all of them say; none does when one can't be read.
    """
    if policy == "last":
        return [_superseded(twin, twins[-1]) for twin in twins[:-1]], None
    unread = [twin for twin in twins if twin.digest is None]
    if policy == "merge" and not unread:
        merge = Merge(twins[-1].id, tuple(twin.body or "{}" for twin in twins))
        text = f"merged into row {twins[-1].number}, which is of the same showing"
        return [Verdict(twin.id, State.SUPERSEDED, None, text) for twin in twins[:-1]], merge
    first = twins[0]
    if all(twin.digest == first.digest for twin in twins):
        text = f"the same as row {first.number}, which stands for both"
        return [Verdict(twin.id, State.SUPERSEDED, None, text) for twin in twins[1:]], None
    return [
        _duplicate(twin, twins, unread, policy) for twin in twins if twin.digest is not None
    ], None


def settle_rivals(rivals: Sequence[tuple[int, int, int]]) -> list[Verdict]:
    """Decide about rows (id, number, would be sent) with one key and different ids: nobody knows
    which is meant.
    """
    twins = [Twin(row, number, "" if sent else None) for row, number, sent in rivals]
    return [
        Verdict(
            twin.id,
            State.INVALID,
            "duplicate_key",
            f"the same key stands in {_rows(twin, twins)} with another showing_id: keep the one that is meant",
        )
        for twin in twins
        if twin.digest is not None
    ]


def _superseded(twin: Twin, winner: Twin) -> Verdict:
    why = "" if winner.digest else ", though that one can't be sent"
    text = f"row {winner.number} is of the same showing and comes later{why} (--on-duplicate last)"
    return Verdict(twin.id, State.SUPERSEDED, None, text)


def _duplicate(
    twin: Twin, twins: Sequence[Twin], unread: Sequence[Twin], policy: OnDuplicate
) -> Verdict:
    if policy == "merge":
        text = f"row {unread[0].number} is of the same showing and can't be read: mend it, so that they can be merged"
    else:
        text = f"the same showing stands in {_rows(twin, twins)} with other values: keep the one that is meant"
    return Verdict(twin.id, State.INVALID, "duplicate_key", text)


def _rows(twin: Twin, twins: Sequence[Twin]) -> str:
    others = [str(other.number) for other in twins if other is not twin]
    if len(others) == 1:
        return f"row {others[0]}"
    more = f" and {len(others) - 5} more" if len(others) > 5 else ""
    return f"rows {', '.join(others[:5])}{more}"
