"""The command that a summary names next has its options, its target and its team."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from bulk_sync.address import DEFAULT_BASE_URL, SANDBOX_TARGET
from bulk_sync.errors import KeyRefused, Outage
from bulk_sync.model.account import Team
from bulk_sync.model.rows import State
from bulk_sync.report.next_step import after_push, aimed
from bulk_sync.report.verdict import verdict
from tests.unit.pages import SUMMARY

TEAM = Team("550e8400-e29b-41d4-a716-446655440000", "Vale Realty")
OF_TEAM = ["--team", TEAM.id]
STAGING = "https://staging.example.com"


@pytest.mark.parametrize(
    ("typed", "base_url", "team", "added"),
    [
        ((), DEFAULT_BASE_URL, None, []),
        ((), DEFAULT_BASE_URL, TEAM, OF_TEAM),
        ((), STAGING, None, ["--base-url", STAGING]),
        ((), STAGING, TEAM, ["--base-url", STAGING, *OF_TEAM]),
        (("--base-url", STAGING), STAGING, TEAM, OF_TEAM),
        ((f"--base-url={STAGING}",), STAGING, None, []),
        (("--team", "vale realty"), DEFAULT_BASE_URL, TEAM, []),
        (("--team=vale realty",), DEFAULT_BASE_URL, TEAM, []),
        ((), DEFAULT_BASE_URL, Team(None, "Vale Realty"), ["--team", "Vale Realty"]),
        # A rehearsal that the environment or a settings file asked for.
        ((), SANDBOX_TARGET, TEAM, ["--sandbox"]),
        (("--sandbox",), SANDBOX_TARGET, TEAM, []),
    ],
)
def test_a_command_is_aimed_at_its_target_and_team(
    typed: tuple[str, ...], base_url: str, team: Team | None, added: list[str]
) -> None:
    words = ["push", "x.csv", *typed]
    assert aimed(words, base_url, team) == [*words, *added]
    ended = ["push", *typed, "--", "-x.csv"]
    assert aimed(ended, base_url, team) == ["push", *typed, *added, "--", "-x.csv"]


@pytest.mark.parametrize(
    ("others", "command"),
    [
        (
            {"states": {State.PENDING: 3}, "stopped": Outage("Gone.")},
            f"bulk-sync push in/showings.csv --rate 5/s --team {TEAM.id}",
        ),
        (
            {"states": {State.UPDATED: 2, State.INVALID: 1}},
            f"bulk-sync push in/showings.failed.csv --rate 5/s --team {TEAM.id}",
        ),
        # The team may be that of the wrong key.
        (
            {"states": {State.PENDING: 3}, "stopped": KeyRefused("No.")},
            "bulk-sync push in/showings.csv --rate 5/s",
        ),
    ],
)
def test_page_and_terminal_name_the_same_whole_command(
    others: dict[str, Any], command: str
) -> None:
    words = ("push", SUMMARY.input, "--rate", "5/s", "--fresh")
    told = replace(SUMMARY, base_url=DEFAULT_BASE_URL, command=words, team=TEAM, **others)
    step = after_push(told)
    assert step is not None
    assert step.command == verdict(told).command == command
    rehearsed = replace(told, base_url=SANDBOX_TARGET)
    again = after_push(rehearsed)
    assert again is not None
    assert str(again.command).endswith("--rate 5/s --sandbox")
    assert "north" not in str(again)


@pytest.mark.parametrize(
    ("typed", "left"),
    [(["--yes"], []), (["-y"], []), (["-vy"], ["-v"]), (["-yvv"], ["-vv"]), (["-v"], ["-v"])],
)
def test_corrected_rows_are_asked_about_again(typed: list[str], left: list[str]) -> None:
    told = replace(
        SUMMARY,
        base_url=DEFAULT_BASE_URL,
        command=("push", SUMMARY.input, *typed),
        team=None,
        states={State.UPDATED: 2, State.INVALID: 1},
    )
    step = after_push(told)
    assert step is not None
    assert step.command == " ".join(["bulk-sync push in/showings.failed.csv", *left])
