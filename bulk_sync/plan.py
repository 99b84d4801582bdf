"""The decisions of staging: how to use a checkpoint, and which duplicate to send. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from enum import Enum
from itertools import chain
from typing import Literal

from msgspec import Struct

from bulk_sync.address import DEFAULT_BASE_URL, SANDBOX_TARGET
from bulk_sync.errors import UsageError
from bulk_sync.model.account import Team, same_team, wrong_team
from bulk_sync.model.problems import Expected, Fact, Reason, Remedy
from bulk_sync.model.rows import State


class JobFacts(Struct, frozen=True):
    """The facts that identify a job.

    `meaning` is a digest of the settings and the version that turned the rows into patches,
    `elsewhere` one of what other files of the run decided about its rows, "" for nothing.
    `key_fingerprint` is None until the API has accepted a key; `team` is the one that users/me
    names for it, as far as known.
    """

    base_url: str
    key_fingerprint: str | None
    input_digest: str
    meaning: str
    team: Team | None = None
    elsewhere: str = ""

    def is_of_same_sheet(self, other: JobFacts) -> bool:
        """Return whether both are of the same content, read the same way."""
        return (self.input_digest, self.meaning) == (other.input_digest, other.meaning)


class Start(Enum):
    """The ways for a run to begin."""

    NEW = "there is no job to continue: stage the sheet"
    RESUME = "the same sheet, read the same way: continue the job"
    RESTAGE = "the sheet has changed: stage it, and keep acknowledgements by key and content"


def how_to_start(known: JobFacts | None, wanted: JobFacts, *, fresh: bool, new_key: bool) -> Start:
    """Decide how a run begins.

    A rehearsal is never continued, because its sandbox is gone. Raises UsageError when the
    checkpoint belongs to another API, or to another key that may be another team's; WrongTeam when
    it is.
    """
    if known is None or fresh or known.base_url == SANDBOX_TARGET:
        return Start.NEW
    if known.base_url != wanted.base_url:
        raise UsageError(
            f"this checkpoint belongs to a job for {known.base_url}, "
            f"not for {_place(wanted.base_url)}. Choose another with --out or --checkpoint, "
            "or start over with --fresh (acknowledgements are then forgotten)"
        )
    same = same_team(known.team, wanted.team)
    if same is False and known.team and wanted.team:
        raise wrong_team(known.team, wanted.team)
    is_new = known.key_fingerprint not in {None, wanted.key_fingerprint}
    if is_new and not same and not new_key:
        raise UsageError(
            "this checkpoint belongs to a job of another API key, perhaps another team's: the API "
            "did not name the team of both. "
            "If the new key acts for the same team, continue with --new-key; "
            "if not, start over with --fresh"
        )
    unchanged = known.is_of_same_sheet(wanted) and known.elsewhere == wanted.elsewhere
    return Start.RESUME if unchanged else Start.RESTAGE


def address_of_ledger(known: Collection[str], wanted: str | None) -> str:
    """Return the base URL whose acknowledged values a question to a ledger is about.

    `known` are the base URLs that the ledger has values of, `wanted` the one that was asked for;
    None asks for the one that the ledger is of. Raises UsageError when the ledger is of another.
    """
    if wanted is not None and wanted in known:
        return wanted
    # The data of a rehearsal is gone with its sandbox, so only --sandbox asks for it.
    real = [base_url for base_url in known if base_url != SANDBOX_TARGET]
    if wanted is None and len(real) == 1:
        return real[0]
    if not known:
        return wanted or DEFAULT_BASE_URL
    if wanted is None and real:
        raise UsageError(
            f"this ledger has values of {' and '.join(real)}: choose one with --base-url"
        )
    of = f"values of {' and '.join(real)}" if real else "only values of a rehearsal in the sandbox"
    rehearsal = "" if real else "; push the sheet first, or compare with --sandbox"
    raise UsageError(
        f"this ledger has {of}, none of {_place(wanted or DEFAULT_BASE_URL)}{rehearsal}"
    )


def refuse_key_of_another(known: str | None, wanted: str | None, *, new_key: bool) -> None:
    """Raise UsageError when a ledger is another API key's, perhaps another team's.

    Both are fingerprints; None where there is no key.
    """
    if known is None or wanted is None or known == wanted or new_key:
        return
    raise UsageError(
        "this ledger has values that another API key sent, perhaps another team's. If this is a "
        "new key of the same team, compare with --new-key; if not, use the key that pushed"
    )


def _place(base_url: str) -> str:
    return "a sandbox" if base_url == SANDBOX_TARGET else base_url


# Rows that a reason names.
_MOST_ROWS = 5


class Twin(Struct, frozen=True):
    """One of several rows for one showing; `digest` is None for an invalid row.

    `report_id` is the report that it names, if any, `spelling` the key where it differs from the
    one that a person reads. A row that is `left_out` by choice is not sent, and takes part in the
    decision, because it is in the sheet. `file` is the name of its file in a run of several;
    nothing of a file that is `held` is sent, because it was refused as a whole. It has no patch,
    because a showing may have a row in every line of a sheet.
    """

    id: int
    number: int
    digest: str | None
    report_id: str | None = None
    spelling: str = ""
    left_out: bool = False
    file: str = ""
    held: bool = False


class Verdict(Struct, frozen=True):
    """The state of a row that is not sent because of its twins."""

    id: int
    state: State
    error: str | None
    reason: Reason


class Merge(Struct, frozen=True):
    """The row that carries one patch made of those of these rows; later values win."""

    id: int
    twins: tuple[Twin, ...]


OnDuplicate = Literal["error", "last", "merge"]


def settle_twins(
    twins: Sequence[Twin], policy: OnDuplicate = "error"
) -> tuple[Iterator[Verdict], Merge | None]:
    """Decide about rows for one showing, given in input order.

    The verdicts are made one by one, because each has facts about others.

    `error`: the first of identical rows is sent, of those that are taken, and the others are
    superseded; differing rows are all invalid, because any of them may be right, and each names
    the others. Rows that name different reports differ, and so do rows whose keys only look the
    same.
    `last`: the last row counts, and if it is invalid, nothing is sent.
    `merge`: the last row carries the values of all; if one row is invalid, nothing is sent. A blank
    cell changes nothing in the others' values, also where it clears a field.
    Rows of a held file contradict others, but are never sent in their place.
    """
    if policy == "last":
        return (_superseded(twin, twins[-1]) for twin in twins[:-1]), None
    if policy == "merge":
        unmerged = _not_merged(twins)
        first_unmerged = next(unmerged, None)
        if first_unmerged is not None:
            return chain([first_unmerged], unmerged), None
        if any(twin.digest is None for twin in twins):
            return iter(()), None
        merge = Merge(twins[-1].id, tuple(twins))
        return (_replaced(twin, Expected.MERGED_ROW, twins[-1]) for twin in twins[:-1]), merge
    first = twins[0]
    if any(twin.spelling != first.spelling for twin in twins):
        return _each_naming_others(
            twins, Expected.ONE_SPELLING_A_KEY, Remedy.KEEP_NORTHS_SPELLING
        ), None
    if all(twin.digest == first.digest for twin in twins) and len(_reports(twins)) < 2:
        sent = _first_taken(twins)
        return (
            _replaced(twin, Expected.FIRST_OF_EQUALS, sent) for twin in twins if twin is not sent
        ), None
    in_run = _first_of_another_file(first, twins) is not None
    remedy = Remedy.KEEP_ONE_OF_THE_RUN if in_run else Remedy.KEEP_ONE
    return _each_naming_others(twins, Expected.ONE_ROW_A_SHOWING, remedy), None


def report_of_twins(twins: Sequence[Twin], policy: OnDuplicate) -> tuple[int, str] | None:
    """Return the row that is sent, and the report that its twins name; None if it keeps its own.

    A later report wins where the values do.
    """
    reports = _reports(twins)
    if policy == "last" or not reports:
        return None
    return (twins[-1] if policy == "merge" else _first_taken(twins)).id, reports[-1]


def _first_taken(twins: Sequence[Twin]) -> Twin:
    return min(twins, key=lambda twin: twin.left_out or twin.held)


def _reports(twins: Sequence[Twin]) -> list[str]:
    """Return the different reports that rows name, the last one last."""
    named = [twin.report_id for twin in reversed(twins) if twin.report_id is not None]
    return [*dict.fromkeys(named)][::-1]


def settle_rivals(rivals: Sequence[Twin]) -> Iterator[Verdict]:
    """Decide about rows with one key and different ids: none is sent.

    A rival that is not sent in any case has no digest.
    """
    return _each_naming_others(rivals, Expected.ONE_ID_A_KEY, Remedy.KEEP_ONE)


def _superseded(twin: Twin, winner: Twin) -> Verdict:
    usable = winner.digest is not None and not (winner.held and winner.file != twin.file)
    return _replaced(twin, Expected.LAST_ROW if usable else Expected.USABLE_LAST_ROW, winner)


def _replaced(twin: Twin, expected: Expected, by: Twin) -> Verdict:
    facts = _facts(twin, [by], 1, left_out=by.left_out)
    return Verdict(twin.id, State.SUPERSEDED, None, Reason(expected, facts=facts))


def _duplicate(twin: Twin, reason: Reason) -> Verdict:
    return Verdict(twin.id, State.INVALID, "duplicate_key", reason)


def _not_merged(twins: Sequence[Twin]) -> Iterator[Verdict]:
    """Refuse the rows that can't be merged, because others are invalid or in files that are held;
    none if all can be.
    """
    unread = next((twin for twin in twins if twin.digest is None), None)
    held = [twin for twin in twins if twin.held]
    other_held = _first_of_another_file(held[0], held) if held else None
    for twin in twins:
        held_elsewhere = held[0] if held and held[0].file != twin.file else other_held
        unusable = unread or held_elsewhere
        if unusable is None or twin.digest is None:
            continue
        facts = _facts(twin, [unusable], 1, left_out=unusable.left_out)
        reason = Reason(Expected.USABLE_TWIN, remedy=Remedy.CORRECT_TWIN, facts=facts)
        yield _duplicate(twin, reason)


def _each_naming_others(
    twins: Sequence[Twin], expected: Expected, remedy: Remedy
) -> Iterator[Verdict]:
    """Refuse all rows that are valid alone; the reason of each names the others."""
    # Walks through all rows once, not for each of them: a key may be in every row of a sheet.
    first = twins[: _MOST_ROWS + 1]
    left_out = sum(twin.left_out for twin in twins)
    other_file = _first_of_another_file(first[0], twins)
    for twin in twins:
        if twin.digest is None:
            continue
        others = [other for other in first if other is not twin][:_MOST_ROWS]
        if other_file is not None and all(other.file == twin.file for other in others):
            others[-1] = other_file if other_file.file != twin.file else first[0]
        facts = _facts(twin, others, len(twins) - 1, left_out=left_out > twin.left_out)
        yield _duplicate(twin, Reason(expected, remedy=remedy, facts=facts))


def _first_of_another_file(of: Twin, twins: Sequence[Twin]) -> Twin | None:
    return next((twin for twin in twins if twin.file != of.file), None)


def _facts(of: Twin, named: Sequence[Twin], count: int, *, left_out: bool) -> dict[str, Fact]:
    """Return the facts about `count` rows, of which these are named: their numbers, and their files
    if any is in another one.
    """
    # Otherwise a key in a thousand rows would store a million row numbers.
    facts: dict[str, Fact] = {"rows": [twin.number for twin in named]}
    if _first_of_another_file(of, named) is not None:
        facts["files"] = ["" if twin.file == of.file else twin.file for twin in named]
    if count > len(named):
        facts["more"] = count - len(named)
    if left_out:
        facts["left_out"] = 1
    return facts
