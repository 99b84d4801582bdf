"""Made-up jobs of a run, ended in every way, for the tests of what is shown of them."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from bulk_sync.errors import (
    BulkSyncError,
    InputError,
    Interrupted,
    KeyRefused,
    OutputError,
    StoppedEarly,
    UsageError,
)
from bulk_sync.model.account import Team
from bulk_sync.model.rows import State
from bulk_sync.model.summaries import (
    Batch,
    CauseGroup,
    JobResult,
    Part,
    ProblemGroup,
    ReportFiles,
    Summary,
    Traffic,
)

FOLDER = Path("/srv/teams")


def summary(
    name: str,
    states: dict[State, int],
    *,
    stopped: BulkSyncError | None = None,
    page: bool = False,
    notes: tuple[str, ...] = (),
    echo_differs: int = 0,
) -> Summary:
    """The summary of one sheet, with a cause for each kind of error."""
    stem = str(FOLDER / name / "showings")
    wrong = {State.INVALID: "bad_value", State.REJECTED: "refused", State.FAILED: "timeout"}
    codes = [(wrong[state], count) for state, count in states.items() if state in wrong and count]
    return Summary(
        input=f"{stem}.csv",
        base_url="https://api.example.com",
        rows=sum(states.values()),
        states=states,
        problems=tuple(ProblemGroup(code, count, ()) for code, count in codes),
        causes=tuple(
            CauseGroup(code, f"{code}: not as North wants it", count, ((2, "9"),), "correct it")
            for code, count in codes
        ),
        in_flight=0,
        traffic=Traffic(9, 1, 0, 2.0, rows_per_second=4.5, statuses={"200": 9}),
        files=ReportFiles(
            f"{stem}.results.csv",
            f"{stem}.failed.csv" if codes else None,
            f"{stem}.checkpoint.sqlite",
            page=f"{stem}.report.html" if page else None,
        ),
        notes=notes,
        stopped=stopped,
        team=Team(id="t1", name=name.title()),
        echo_differs=echo_differs,
    )


def job(name: str, *summaries: Summary, error: BulkSyncError | None = None) -> JobResult:
    """A job that ended with these sheets, or with an error before there was one."""
    parts = tuple(Part(one.input, one) for one in summaries)
    batch = None if error is not None else Batch(parts, ())
    return JobResult(name, batch, error, seconds=75.0, begun=True)


def good(name: str, rows: int = 2000, *, page: bool = False) -> JobResult:
    """A job that is done."""
    return job(name, summary(name, {State.UPDATED: rows - 10, State.UNCHANGED: 10}, page=page))


def bad_rows(name: str) -> JobResult:
    """A job with rows to correct."""
    return job(name, summary(name, {State.UPDATED: 90, State.INVALID: 7, State.REJECTED: 3}))


def cut(name: str, error: BulkSyncError) -> JobResult:
    """A job that ended before its rows were sent."""
    return job(name, summary(name, {State.UPDATED: 40, State.PENDING: 60}, stopped=error))


REFUSED = KeyRefused("Vale's key is refused: Invalid API key (401)")
GONE = StoppedEarly("Nothing gets through to the API: api.example.com does not answer")


def of_every_kind() -> tuple[JobResult, ...]:
    """One job for each way to end."""
    return (
        good("done"),
        bad_rows("to-correct"),
        job("failed", summary("failed", {State.UPDATED: 5, State.FAILED: 5})),
        job("changed", summary("changed", {State.UPDATED: 5}, echo_differs=2)),
        cut("refused", REFUSED),
        cut("outage", GONE),
        cut("interrupted", Interrupted(2)),
        JobResult("left"),
        job("no-key", error=UsageError("--key-file absent: No such file")),
        job("no-header", error=InputError("x.csv: no column names the showings")),
        job("disk", error=OutputError("x.results.csv: can't be written: No space left")),
        replace(job("bug", error=None), batch=None, bug=TypeError("secret value")),
        replace(job("empty"), batch=Batch((), ())),
    )


def sixty() -> tuple[JobResult, ...]:
    """An agency's night: most jobs are done."""
    odd = {job.name: job for job in of_every_kind()}
    names = [*odd, *(f"team-{number:02}" for number in range(60 - len(odd)))]
    return tuple(odd.get(name) or good(name, page=name.endswith("5")) for name in names)
