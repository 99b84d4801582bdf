from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.errors import UsageError
from bulk_sync.model import State
from bulk_sync.plan import JobFacts, Start, Twin, how_to_start, settle_twins
from bulk_sync.settings import SANDBOX_TARGET

KNOWN = JobFacts("https://api.example.com", "key one", "digest", "meaning")


@pytest.mark.parametrize(
    ("known", "asked", "start"),
    [
        (None, KNOWN, Start.NEW),
        (KNOWN, KNOWN, Start.RESUME),
        (KNOWN, replace(KNOWN, input_digest="other"), Start.RESTAGE),
        (KNOWN, replace(KNOWN, meaning="other"), Start.RESTAGE),
        (replace(KNOWN, key_fingerprint=None), KNOWN, Start.RESUME),
        (replace(KNOWN, base_url=SANDBOX_TARGET), KNOWN, Start.NEW),
        (replace(KNOWN, base_url=SANDBOX_TARGET), replace(KNOWN, base_url=SANDBOX_TARGET), Start.NEW),
    ],
)
def test_how_a_run_begins(known: JobFacts | None, asked: JobFacts, start: Start) -> None:
    assert how_to_start(known, asked, fresh=False, new_key=False) is start


@pytest.mark.parametrize("change", [{"base_url": "https://other.example.com"}, {"key_fingerprint": "key two"}])
def test_a_checkpoint_of_somewhere_else_is_refused_unless_fresh(change: dict[str, str]) -> None:
    asked = replace(KNOWN, **change)
    with pytest.raises(UsageError, match="--fresh"):
        how_to_start(KNOWN, asked, fresh=False, new_key=False)
    assert how_to_start(KNOWN, asked, fresh=True, new_key=False) is Start.NEW


def test_another_key_of_the_same_team_goes_on_when_the_user_says_so() -> None:
    asked = replace(KNOWN, key_fingerprint="key two")
    assert how_to_start(KNOWN, asked, fresh=False, new_key=True) is Start.RESUME


def test_identical_twins_are_one_change() -> None:
    verdicts = settle_twins([Twin(1, 2, "a"), Twin(5, 6, "a"), Twin(9, 10, "a")])
    assert [(verdict.id, verdict.state) for verdict in verdicts] == [(5, State.SUPERSEDED), (9, State.SUPERSEDED)]
    assert "row 2" in verdicts[0].message


def test_differing_twins_are_invalid_and_name_each_other() -> None:
    verdicts = settle_twins([Twin(1, 2, "a"), Twin(5, 6, "b"), Twin(9, 10, "a")])
    assert {verdict.state for verdict in verdicts} == {State.INVALID}
    assert "rows 6, 10" in verdicts[0].message
    assert "rows 2, 10" in verdicts[1].message


@given(st.lists(st.sampled_from("ab"), min_size=2, max_size=12))
def test_of_twins_at_most_one_is_sent(digests: list[str]) -> None:
    twins = [Twin(position, position + 2, digest) for position, digest in enumerate(digests)]
    left = {twin.id for twin in twins} - {verdict.id for verdict in settle_twins(twins)}
    assert len(left) == (1 if len(set(digests)) == 1 else 0)
