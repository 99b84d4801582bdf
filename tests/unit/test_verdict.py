"""The verdict on a run."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from bulk_sync.errors import KeyRefused, Outage
from bulk_sync.model.rows import State
from bulk_sync.report.verdict import Tone, verdict
from tests.unit.pages import SUMMARY

VERDICTS = [
    ({State.UPDATED: 3}, {}, Tone.GOOD, "All 3 rows are done."),
    ({State.UPDATED: 1}, {}, Tone.GOOD, "The one row is done."),
    ({State.UPDATED: 1, State.CREATED: 1}, {}, Tone.GOOD, "All 2 rows are done."),
    ({}, {}, Tone.GOOD, "The sheet has no rows."),
    (
        {State.UPDATED: 1, State.REJECTED: 1},
        {},
        Tone.ATTENTION,
        "1 of 2 rows is done; 1 needs correction.",
    ),
    ({State.UPDATED: 1, State.FAILED: 2}, {}, Tone.ATTENTION, "1 of 3 rows is done; 2 failed."),
    (
        {State.UNCHANGED: 2, State.INVALID: 2},
        {},
        Tone.ATTENTION,
        "2 of 4 rows are done; 2 need correction.",
    ),
    (
        {State.PENDING: 1},
        {},
        Tone.STOPPED,
        "Not finished: 0 of 1 row is done, 1 is pending.",
    ),
    (
        {State.UPDATED: 9, State.PENDING: 2},
        {"stopped": Outage("Gone.")},
        Tone.STOPPED,
        "Stopped early: 9 of 11 rows",
    ),
    (
        {State.UPDATED: 9, State.PENDING: 2},
        {"running": True},
        Tone.STOPPED,
        "A run is in progress: 9 of 11 rows are finished.",
    ),
]


@pytest.mark.parametrize(("states", "others", "tone", "sentence"), VERDICTS)
def test_the_verdict_in_a_sentence(
    states: dict[State, int], others: dict[str, Any], tone: Tone, sentence: str
) -> None:
    told = verdict(replace(SUMMARY, rows=sum(states.values()), states=states, **others))
    assert (told.tone, told.sentence[: len(sentence)]) == (tone, sentence)


def test_the_next_step_names_the_file_or_the_key_and_what_is_in_flight() -> None:
    files = replace(SUMMARY.files, failed="in/my showings.failed.csv")
    words = ("push", SUMMARY.input, "--sandbox", "--page", "x.html", "--sheet=March")
    told = verdict(replace(SUMMARY, files=files, command=words))
    assert told.command == "bulk-sync push 'in/my showings.failed.csv' --sandbox"
    assert verdict(replace(SUMMARY, files=files)).command is None
    pending = replace(SUMMARY, states={State.PENDING: 3}, in_flight=2, stopped=KeyRefused("No."))
    told = verdict(pending)
    assert told.next_step.startswith("Correct the API key")
    assert told.detail == "No. 2 of the pending rows are in flight: they may have been applied."
    assert verdict(replace(SUMMARY, files=replace(SUMMARY.files, failed=None))).command is None


@pytest.mark.parametrize(
    ("created", "detail"),
    [
        (0, "2 updated; 3 unchanged needed no request."),
        (4, "2 updated, 4 created; 3 unchanged needed no request."),
    ],
)
def test_the_verdict_counts_what_was_created(created: int, detail: str) -> None:
    states = {State.UPDATED: 2, State.CREATED: created, State.UNCHANGED: 3}
    told = verdict(replace(SUMMARY, rows=5 + created, states=states))
    assert told.detail == detail
