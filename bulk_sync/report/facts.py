"""Summaries as (name, value) lines and as single sentences, for reports that list them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from bulk_sync.address import SANDBOX_TARGET
from bulk_sync.model.account import Team
from bulk_sync.model.comparison import Reconciliation
from bulk_sync.model.rows import State
from bulk_sync.model.summaries import CauseGroup, CheckedPart, Part, Summary
from bulk_sync.quantities import duration_text
from bulk_sync.report.echoes import echo_lines
from bulk_sync.report.systematic import systematic_lines
from bulk_sync.report.words import (
    CLASSES,
    UNCOMPARED,
    Look,
    allowance_text,
    limit_text,
    row_rate,
    span,
)
from bulk_sync.wording import counted, listed, were

_MOST_CAUSES = 50
# How many rows the sentence of a cause names.
_FIRST_ROWS = 3

_UNSETTLED_NAMED = 5


def sending_text(rows: int, base_url: str, team: Team | None) -> str:
    """Return where the rows of a run are about to go, as a sentence."""
    if base_url == SANDBOX_TARGET:
        return f"Sending {counted(rows, 'row')} to a sandbox on this machine, not to North."
    return f"Sending {counted(rows, 'row')} to {where_text(base_url, team)}."


def where_text(
    base_url: str, team: Team | None, otherwise: str = "the API does not name the key's team"
) -> str:
    """Return the API and the team of the key, or the words `otherwise`."""
    return f"{base_url}, for the team {team}" if team else f"{base_url}; {otherwise}"


def summary_facts(summary: Summary) -> Iterator[tuple[str, object]]:
    """Return the lines of a push: counts, causes, pace, notes."""
    yield "input", summary.input
    yield "sent to", summary.base_url
    if summary.team:
        yield "team", str(summary.team)
    yield "rows", summary.rows
    yield from (
        (state.value, summary.states[state]) for state in State if summary.states.get(state, 0)
    )
    if summary.left_out:
        yield "left out by choice", summary.left_out
    yield from (
        (f"{group.code}: {counted(group.rows, 'row')}", cause_text(group))
        for group in summary.causes[:_MOST_CAUSES]
    )
    if len(summary.causes) > _MOST_CAUSES:
        yield "causes left out", len(summary.causes) - _MOST_CAUSES
    if summary.echo_differs:
        yield "came back changed", counted(summary.echo_differs, "row")
    yield from (("came back changed", line) for line in echo_lines(summary.echoes))
    if summary.traffic.requests:
        yield "pace", pace_text(summary)
    yield from (("allowance", allowance_text(one)) for one in summary.traffic.allowances)
    yield from (("note", note) for note in summary.notes)
    if summary.stopped is not None:
        yield "stopped", str(summary.stopped)


def unsettled_text(unsettled: Sequence[Path], settle_seconds: float) -> str:
    """Return the sentence about files that may still be being written."""
    named = listed([*map(str, unsettled)], _UNSETTLED_NAMED)
    return (
        f"{counted(len(unsettled), 'sheet')} changed less than {duration_text(settle_seconds)} ago "
        f"and {were(len(unsettled))} left for the next run (--settle): {named}"
    )


def reason_of(part: Part | CheckedPart) -> str | None:
    """Return why one of several files was not pushed to its end, with the name of the file."""
    why = part.error or (part.summary.stopped if part.summary else None)
    if why is None:
        return None
    sentence = str(why)
    # A sentence about an option has no file.
    return sentence if part.input in sentence else f"{part.input}: {sentence}"


def cause_text(group: CauseGroup) -> str:
    """Return cause, remedy and rows: `rating 9: expected 1 to 5 (rows 7, 8, 9 and 2 more)`."""
    numbers = listed([str(number) for number, _ in group.first_rows], _FIRST_ROWS, group.rows)
    doubt = f"; {group.in_doubt:,} may have been applied" if group.in_doubt else ""
    rows = "row" if group.rows == 1 else "rows"
    return f"{group.cause}: {group.remedy} ({rows} {numbers}{doubt})"


def pace_text(summary: Summary) -> str:
    """Return requests, retries, duration, rate and limit of a run."""
    return ", ".join(pace_parts(summary))


def pace_parts(summary: Summary) -> list[str]:
    """Return the same in parts, for lines that end between them."""
    parts = [counted(summary.traffic.requests, "request")]
    # Requests per sent row show the cost of retries.
    if summary.traffic.retries and summary.traffic.decided:
        parts.append(f"{summary.traffic.requests / summary.traffic.decided:.2f} per row")
    parts.append(counted(summary.traffic.retries, "retry", "retries"))
    if summary.traffic.throttled:
        parts.append(f"{summary.traffic.throttled:,} throttled")
    if summary.traffic.seconds:
        parts.append(span(summary.traffic.seconds))
    if summary.traffic.rows_per_second:
        parts.append(row_rate(summary.traffic.rows_per_second))
    if summary.traffic.limit is not None:
        parts.append(limit_text(summary.traffic.limit, summary.traffic.source))
    if summary.traffic.utilisation is not None:
        parts.append(f"{summary.traffic.utilisation:.0%} of it used")
    return parts


def reconciliation_facts(summary: Reconciliation) -> Iterator[tuple[str, object]]:
    """Return the lines of a comparison: counts by class and field, notes."""
    yield "input", summary.input
    yield "with", other_side(summary)
    if summary.base:
        yield "base", summary.base
    yield from (("systematic", line) for line in systematic_lines(summary))
    for line in class_lines(summary):
        yield line.look.name, f"{line.here:,} here, {line.there:,} there"
    yield "rows", f"{summary.here.rows:,} here, {summary.there.rows:,} there"
    yield from ((f"differing: {field}", count) for field, count in summary.fields.items())
    yield from (("note", note) for note in (*summary.notes, *base_notes(summary)))


class ClassLine(Struct, frozen=True):
    """The rows of both sheets in one class."""

    id: str
    look: Look
    here: int
    there: int


def class_lines(summary: Reconciliation) -> Iterator[ClassLine]:
    """Return a line for each class that has rows; those of a sheet add up to all its rows."""
    here, there = summary.here, summary.there
    lines = [
        ClassLine(one.value, look, here.classes[one], there.classes[one])
        for one, look in CLASSES.items()
    ]
    lines += [
        ClassLine("superseded", UNCOMPARED["superseded"], here.superseded, there.superseded),
        ClassLine("left_out", UNCOMPARED["left_out"], here.left_out, there.left_out),
    ]
    yield from (line for line in lines if line.here or line.there)


def other_side(summary: Reconciliation) -> str:
    """Return the other side of a comparison: the sheet, or whose values the ledger has."""
    if summary.other is not None or summary.ledger is None:
        return summary.other or "ledger"
    ledger = summary.ledger
    by = "the sandbox of a rehearsal" if ledger.address == SANDBOX_TARGET else ledger.address
    kept = f" ({ledger.path})" if ledger.path else ""
    return f"the values that {by} acknowledged last{kept}"


def base_notes(summary: Reconciliation) -> Iterator[str]:
    """Return sentences about values that others changed since the base."""
    if summary.stale:
        yield f"{_changed(summary.stale)} only there since the base: kept there, not sent."
    if summary.conflicts:
        end = (
            "the value here is sent (--prefer here)"
            if summary.prefer_here
            else "not sent (--prefer here sends the value here)"
        )
        yield f"{_changed(summary.conflicts)} on both sides since the base: a conflict, {end}."


def _changed(count: int) -> str:
    return f"{counted(count, 'value')} {were(count)} changed"
