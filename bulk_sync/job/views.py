"""The rows of a checkpoint as reports read them; nothing here writes.

Invariants: the counts add up to the number of rows, and are of one state of the checkpoint even
while a run writes. Whether a row may have been applied comes from its column alone.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from bulk_sync.job.damage import damaged
from bulk_sync.job.database import (
    APART,
    EARLIER,
    IN_DOUBT,
    IN_JOB,
    LISTED,
    PARKED,
    UNRECORDED,
    Database,
    cells,
)
from bulk_sync.job.health import pragma
from bulk_sync.job.ledger import json_list
from bulk_sync.job.purge import PURGED
from bulk_sync.job.timeline import last_limit, runs, seconds_sent
from bulk_sync.model.attempts import Attempt, decode_attempts
from bulk_sync.model.explained import KeptRow
from bulk_sync.model.problems import DamagedReasons, Expected, Reason, decoded
from bulk_sync.model.rows import ERROR_STATES, Cell, Echo, GivenUp, RateSource, Result, Sent, State
from bulk_sync.model.summaries import BadRow, EchoedRow
from bulk_sync.timeline import Run


def _in(states: Iterable[State]) -> str:
    names = ", ".join(f"'{state.value}'" for state in sorted(states))
    return f"state IN ({names})"


# Parts of statements, all of them constant.
_IN_GENERATION = "generation = coalesce(?, (SELECT generation FROM job))"
_LEFT_OUT = f"generation IN ({PARKED}, {EARLIER})"
# Rows that this job sent, in a run that took them or in an earlier one.
_OF_JOB = f"({IN_JOB} OR generation = {PARKED})"
_BAD_ROWS = f"{_IN_GENERATION} AND {_in(ERROR_STATES)}"


def _in_sheet(generation: int | None) -> str:
    """Return the condition for rows of the job, or of a sheet that is staged; of all of them."""
    if generation is None:
        return f"({IN_JOB} OR {_LEFT_OUT})"
    return f"generation IN ({generation:d}, {APART})"


_LEFT_OUT_BY_CHOICE = Reason(Expected.LEFT_OUT)

_decode_echoes = msgspec.json.Decoder(tuple[Echo, ...]).decode

# The columns of the results, and what else there is to say of a row.
_LINE = (
    "number, key, state, http_status, attempts, error, message, fields, showing_id, "
    f"updated_at, sent_at, duration_ms, reasons, given_up, echo, {IN_DOUBT}, "
    f"{_LEFT_OUT} AND state = 'pending'"
)
_OF_SHEET = f"{IN_JOB} OR {_LEFT_OUT}"

Line = tuple[str | int | None, ...]
"""The values of a row, column by column."""

Recorded = tuple[Line, tuple[Reason, ...], GivenUp | None, bool, tuple[Echo, ...]]
"""A row as results have it: its line, why it was not sent or given up, whether it may have been
applied, and what came back with another value.
"""


class Totals(NamedTuple):
    """Sums over all rows and runs of a job.

    `in_doubt` counts the pending rows that may have been applied, `echo_differs` the rows of which
    a field came back with another value than was sent.
    """

    requests: int
    retries: int
    throttled: int
    in_doubt: int
    echo_differs: int


class Views:
    """Reads the rows of the job, or of the generation of a sheet that is staged and not adopted."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._db = database.connection
        self._counted: tuple[tuple[int | None, int, int], dict[State, int]] | None = None

    def counts(self, generation: int | None = None) -> dict[State, int]:
        """Return the number of rows by state."""
        # Counted anew only after a change, through this connection or another.
        as_of = (generation, self._db.total_changes, pragma(self._db, "data_version"))
        if self._counted is None or self._counted[0] != as_of:
            with self._database.snapshot():
                counts = self._count(generation)
            self._counted = as_of, {state: count for state, count in counts.items() if count}
        return dict(self._counted[1])

    def _count(self, generation: int | None) -> Counter[State]:
        job = self._db.execute("SELECT generation FROM job").fetchone()
        if job is None or generation not in {None, job[0]}:
            # Not the job's, so its rows have no outcomes.
            found = self._db.execute(
                "SELECT state, count(*) FROM staged WHERE generation = ? GROUP BY state",
                (generation,),
            )
            return self._by_state(found)
        counts = self._by_state(
            self._db.execute("SELECT key, value FROM job, json_each(staged_states)")
        )
        ended = self._outcomes_by_state()
        counts[State.PENDING] -= sum(ended.values())  # the state they were staged with
        counts.update(ended)
        return counts

    def _by_state(self, counts: Iterable[tuple[str, int]]) -> Counter[State]:
        return Counter({self._state(state): count for state, count in counts})

    def _state(self, name: str) -> State:
        try:
            return State(name)
        except ValueError:
            raise damaged(self._database.path, f"a row in it has the state {name!r}") from None

    def _outcomes_by_state(self) -> Counter[State]:
        """Count the job's outcomes by state.

        An index has those that are not `updated`; the rest of the total is.
        """
        in_job = self._outcomes_of_job()
        (total,) = self._db.execute(f"SELECT count(*) FROM outcome WHERE {in_job}").fetchone()
        others = (
            "SELECT state, count(*) FROM outcome "
            f"WHERE state <> 'updated' AND {in_job} GROUP BY state"
        )
        counts = self._by_state(self._db.execute(others))
        counts[State.UPDATED] = total - sum(counts.values())
        return counts

    def _outcomes_of_job(self) -> str:
        """Return the condition for the job's outcomes: all, unless rows are left out by choice."""
        job = self._db.execute("SELECT partial FROM job").fetchone()
        if job is None or not job[0]:
            return "1"
        return (
            "(SELECT generation FROM staged WHERE id = outcome.id) = (SELECT generation FROM job)"
        )

    def left_out(self) -> int:
        """Return how many rows of the sheet the job's last run left out by choice."""
        (count,) = self._db.execute(
            f"SELECT count(*) FROM staged WHERE {_LEFT_OUT} AND (SELECT partial FROM job)"
        ).fetchone()
        return int(count)

    def totals(self) -> Totals:
        """Return the sums over all rows and runs of the job."""
        with self._database.snapshot():
            requests, retries, throttled, in_doubt, echo_differs = self._db.execute(
                "SELECT coalesce(sum(attempts), 0), "
                # To create a showing takes two requests, and neither is a retry.
                "coalesce(sum(max(attempts - 1 - (state = 'created'), 0)), 0), "
                f"coalesce(sum(throttled), 0), coalesce(sum(state = 'pending' AND {IN_DOUBT}), 0), "
                "count(echo) "
                f"FROM outcome WHERE {self._outcomes_of_job()}"
            ).fetchone()
            # Handed out for the first time: in flight without a row in `outcome`.
            (unrecorded,) = self._db.execute(
                f"SELECT count(*) FROM staged WHERE {UNRECORDED}"
            ).fetchone()
        return Totals(requests, retries, throttled, in_doubt + unrecorded, echo_differs)

    def echoed(self, limit: int) -> tuple[EchoedRow, ...]:
        """Return the first rows of which a field came back with another value than was sent."""
        found = self._db.execute(
            f"SELECT number, key, echo FROM row WHERE {IN_JOB} AND echo IS NOT NULL "
            "ORDER BY id LIMIT ?",
            (limit,),
        )
        return tuple(EchoedRow(number, key, self._echoes(echo)) for number, key, echo in found)

    def bad_rows(self, generation: int | None = None) -> Iterator[BadRow]:
        """Yield the rows that ended badly, in input order, with what shows the cause."""
        found = self._db.execute(
            f"SELECT number, error, http_status, iif(cells <> '{PURGED}', message, NULL), "
            f"iif(cells <> '{PURGED}', reasons, NULL), key, target, {IN_DOUBT}, given_up "
            f"FROM row WHERE {_BAD_ROWS} ORDER BY id",
            (generation,),
        )
        for number, code, status, message, reasons, key, target, doubt, given_up in found:
            why = self._reasons(reasons)
            left = self._given_up(given_up) is GivenUp.AMBIGUOUS
            yield BadRow(number, code, status, message, key, target, bool(doubt), why, left)

    def results(
        self,
        states: Iterable[State] = State,
        generation: int | None = None,
        *,
        of_all_runs: bool = False,
    ) -> Iterator[Result]:
        """Yield rows in these states, in input order.

        Those `of_all_runs` of the job include rows that its last run left out by choice.
        """
        rows = _IN_GENERATION
        if of_all_runs:
            rows = f"({rows} OR generation = {PARKED} AND id IN (SELECT id FROM outcome))"
        found = self._db.execute(
            f"SELECT number, cells, target, key, state, {IN_DOUBT}, http_status, attempts, error, "
            "message, fields, showing_id, updated_at, sent_at, duration_ms, reasons, given_up, "
            f"echo FROM row WHERE {rows} AND {_in(states)} ORDER BY id",
            (generation,),
        )
        path = self._database.path
        for number, raw, target, key, state, doubt, *rest, reasons, given_up, echo in found:
            row = Result(
                number, cells(path, raw), target, key, self._state(state), bool(doubt), *rest
            )
            if reasons or given_up or echo:
                row = replace(
                    row,
                    reasons=self._reasons(reasons),
                    given_up=self._given_up(given_up),
                    echoes=self._echoes(echo),
                )
            yield row

    def lines(self) -> Iterator[Recorded]:
        """Yield the sheet's rows in input order, with the columns of the results.

        Rows that were left out by choice have the outcome of an earlier run, if any.
        """
        found = self._db.execute(f"SELECT {_LINE} FROM row WHERE {_OF_SHEET} ORDER BY id")
        return map(self._recorded, found)

    def lines_with_cells(
        self, *, longer_than: int = -1
    ) -> Iterator[tuple[Recorded, tuple[Cell, ...]]]:
        """Yield the same with the cells of each row; only rows of which they take more characters.

        A row's characters are those of the JSON that keeps its cells.
        """
        found = self._db.execute(
            f"SELECT cells, {_LINE} FROM row WHERE ({_OF_SHEET}) AND length(cells) > ? ORDER BY id",
            (longer_than,),
        )
        path = self._database.path
        return ((self._recorded(line), cells(path, raw)) for raw, *line in found)

    def _recorded(self, found: Sequence[Any]) -> Recorded:
        *values, reasons, given_up, echo, doubt, left_out = found
        return (
            tuple(values),
            (_LEFT_OUT_BY_CHOICE,) if left_out and not doubt else self._reasons(reasons),
            self._given_up(given_up),
            bool(doubt),
            self._echoes(echo),
        )

    def find(
        self, generation: int | None, *, number: int | None = None, names: Iterable[str] = ()
    ) -> list[KeptRow]:
        """Return the rows with a number, or with a key or target among names, in input order.

        They are those of the job, or of a sheet that is staged as another generation; rows that are
        left out by choice are among them.
        """
        found = self._db.execute(
            f"SELECT row.id, number, cells, target, key, state, {IN_DOUBT}, http_status, attempts, "
            "error, message, fields, showing_id, updated_at, sent_at, duration_ms, reasons, "
            "given_up, echo, content, body, tries, in_flight, generation < 0, "
            "(SELECT whole FROM staged WHERE staged.id = row.id) FROM row "
            f"WHERE {_in_sheet(generation)} "
            f"AND (number = ? OR key IN {LISTED} OR target IN {LISTED}) ORDER BY row.id",
            (number, listed := json_list(names), listed),
        )
        return [self._kept(row) for row in found]

    def _kept(self, row: Sequence[Any]) -> KeptRow:
        id_, number, raw, target, key, state, doubt, *rest = row[:16]
        reasons, given_up, echo, content, body, tries, in_flight, left_out, whole = row[16:]
        result = Result(
            number,
            cells(self._database.path, raw),
            target,
            key,
            self._state(state),
            bool(doubt),
            *rest,
        )
        result = replace(
            result,
            reasons=self._reasons(reasons),
            given_up=self._given_up(given_up),
            echoes=self._echoes(echo),
        )
        attempts = self._attempts(tries)
        return KeptRow(id_, result, content, body, whole, attempts, bool(in_flight), bool(left_out))

    def numbers(self, generation: int | None) -> list[int]:
        """Return the numbers of all rows of a sheet, in input order."""
        found = self._db.execute(
            f"SELECT number FROM staged WHERE {_in_sheet(generation)} ORDER BY id"
        )
        return [number for (number,) in found]

    def keys(self, generation: int | None) -> list[str]:
        """Return the different keys and ids of a sheet's rows, in input order."""
        found = self._db.execute(
            f"SELECT iif(key = '', target, key) FROM staged WHERE {_in_sheet(generation)} "
            "ORDER BY id"
        )
        return list(dict.fromkeys(key for (key,) in found if key))

    def _attempts(self, text: str | None) -> tuple[Attempt, ...]:
        try:
            return decode_attempts(text) if text else ()
        except (msgspec.DecodeError, UnicodeEncodeError):
            raise damaged(self._database.path, "an attempt in it can't be read") from None

    def _given_up(self, name: str | None) -> GivenUp | None:
        try:
            return GivenUp(name) if name else None
        except ValueError:
            raise damaged(self._database.path, "an outcome in it is not one of ours") from None

    def _reasons(self, text: str | None) -> tuple[Reason, ...]:
        try:
            return decoded(text) if text else ()
        except DamagedReasons:
            raise damaged(self._database.path, "a reason in it is not one of ours") from None

    def _echoes(self, text: str | None) -> tuple[Echo, ...]:
        try:
            return _decode_echoes(text) if text else ()
        except (msgspec.DecodeError, UnicodeEncodeError):
            raise damaged(self._database.path, "an echo in it can't be read") from None

    def sent(self) -> Iterator[Sent]:
        """Yield patches that were or may have been applied, in input order, with earlier values."""
        found = self._db.execute(
            "SELECT number, target, key, body, before FROM row "
            f"WHERE {_OF_JOB} AND body IS NOT NULL AND (state = 'updated' OR {IN_DOUBT}) "
            "ORDER BY id"
        )
        for number, target, key, body, before in found:
            yield Sent(number, target, key, json.loads(body), json.loads(before) if before else {})

    def runs(self) -> list[Run]:
        """Return the time lines of the job's runs, the first one first."""
        return runs(self._db, self._database.path)

    def seconds_sent(self) -> float:
        """Return how long the runs sent, as far as their time lines are kept."""
        return seconds_sent(self._db)

    def last_limit(self) -> tuple[float | None, RateSource]:
        """Return the limit that the last run knew at its end, in requests per second."""
        return last_limit(self._db)

    def purged(self) -> bool:
        """Return whether cells and patches of the job's rows were removed; see `job.purge`."""
        found = self._db.execute(
            f"SELECT cells = '{PURGED}' FROM staged WHERE {IN_JOB} ORDER BY id LIMIT 1"
        ).fetchone()
        return found is not None and bool(found[0])  # all rows are purged, or none
