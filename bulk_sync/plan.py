"""Two decisions of staging. Pure.

How a run begins when there is a checkpoint, and which of several rows for one showing is sent.
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
    """What identifies a job.

    `meaning` is a digest of the settings and the version that turned the rows into patches.
    `key_fingerprint` is None until the API has accepted a key.
    """

    base_url: str
    key_fingerprint: str | None
    input_digest: str
    meaning: str


class Start(Enum):
    """How a run begins, and why."""

    NEW = "there is no job to continue: stage the sheet"
    RESUME = "the same sheet, read the same way: continue the job"
    RESTAGE = "the sheet has changed: stage it, and keep acknowledgements by key and content"


def how_to_start(known: JobFacts | None, asked: JobFacts, *, fresh: bool, new_key: bool) -> Start:
    """Decide how a run begins.

    A rehearsal is never continued, because its sandbox ended with it. Raises UsageError when the
    checkpoint belongs to another API or another key.
    """
    if known is None or fresh or known.base_url == SANDBOX_TARGET:
        return Start.NEW
    if known.base_url != asked.base_url:
        raise UsageError(
            f"this checkpoint belongs to a job for {known.base_url}, not for {_place(asked.base_url)}. "
            "Choose another with --out or --checkpoint, or start over with --fresh "
            "(acknowledgements are then forgotten)"
        )
    if known.key_fingerprint not in {None, asked.key_fingerprint} and not new_key:
        raise UsageError(
            "this checkpoint belongs to a job of another API key, perhaps another team's. If the new "
            "key acts for the same team, continue with --new-key; if not, start over with --fresh"
        )
    same = known.input_digest == asked.input_digest and known.meaning == asked.meaning
    return Start.RESUME if same else Start.RESTAGE


def _place(base_url: str) -> str:
    return "a sandbox" if base_url == SANDBOX_TARGET else base_url


class Twin(Struct, frozen=True):
    """One of several rows for one showing; `digest` and `body` are None for an invalid row."""

    id: int
    number: int
    digest: str | None
    body: str | None = None


class Verdict(Struct, frozen=True):
    """The state of a row that is not sent because of its twins."""

    id: int
    state: State
    error: str | None
    message: str


class Merge(Struct, frozen=True):
    """The row that carries one patch made of these bodies; later values win."""

    id: int
    bodies: tuple[str, ...]


OnDuplicate = Literal["error", "last", "merge"]


def settle_twins(
    twins: Sequence[Twin], policy: OnDuplicate = "error"
) -> tuple[list[Verdict], Merge | None]:
    """Decide about rows for one showing, given in input order.

    `error`: of identical rows the first is sent and the others are superseded; rows that differ are
    all invalid, because nobody knows which is right, and each names the others.
    `last`: the last row counts even when it is invalid; then nothing is sent.
    `merge`: the last row carries the values of all; nothing is sent when one is invalid.
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
    """Decide about rows with one key and different ids: none is sent.

    A rival is (row id, row number, whether it would be sent).
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
