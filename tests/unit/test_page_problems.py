"""The problems on the page."""

from __future__ import annotations

from msgspec.structs import replace

from bulk_sync.model.summaries import CauseGroup, ProblemGroup
from tests.unit.pages import SUMMARY, parsed, written


def test_problems_are_grouped_by_code_and_cause_with_rows_values_and_remedy() -> None:
    causes = [
        CauseGroup("bad_value", f"rating 6 to {n}", 12, ((7, "6"), (1200, None)), "expected 1 to 5")
        for n in range(14)
    ]
    problems = (ProblemGroup("bad_value", 168, ()), ProblemGroup("timeout", 1, ()))
    causes.append(
        CauseGroup("timeout", "timeout: no reply", 1, ((9, "k"),), "push with --timeout 60", 1)
    )
    found = parsed(written(replace(SUMMARY, problems=problems, causes=tuple(causes))))
    assert "Invalid value 168 rows bad_value" in found.text
    assert "rating 6 to 9" in found.text
    assert "12 rows: expected 1 to 5row 7 6 row 1,200  …" in found.text
    assert "and 2 more causes" in found.text
    assert "1 row; 1 of them may have been applied: push with --timeout 60row 9 k" in found.text
    assert ("span", {"class": "option"}) in found.elements
