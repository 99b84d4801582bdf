"""Options that people try by habit."""

from __future__ import annotations

import pytest

from bulk_sync.cli.habits import advice
from tests.conftest import Program


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--dry-run", "Use: bulk-sync check sheet.csv"),
        ("--resume", "running the same command again resumes"),
        ("--retries", "--max-attempts N, and --retry-for DURATION"),
        ("--force", "use --yes to push without the question; running the same command again"),
        ("--no-confirm", "use --yes to push without the question"),
        ("--confirm", "use --yes to push without the question"),
        ("-f", "use --yes to push without the question"),
        ("--worker", "Did you mean --workers?"),
        ("--processes", "it was removed, because one process sends faster"),
    ],
)
def test_a_habit_leads_to_what_is_meant(program: Program, option: str, words: str) -> None:
    ran = program("push", "sheet.csv", option)
    assert (ran.code, ran.out) == (2, "")
    assert f"No such option: {option}" in ran.err
    assert words in ran.err
    assert "--fresh" not in ran.err


@pytest.mark.parametrize("option", ["--yes", "-y"])
@pytest.mark.parametrize("command", [("check", "x.csv"), ("run",), ("demo",)])
def test_yes_is_for_commands_that_ask(
    program: Program, command: tuple[str, ...], option: str
) -> None:
    ran = program(*command, option)
    assert (ran.code, ran.out) == (2, "")
    assert "only bulk-sync push and reconcile --push ask" in ran.err


def test_no_suggestion_forgets_or_deletes() -> None:
    assert advice("--frsh", [], ["--fresh"]) == "No such option: --frsh"
    assert (
        advice("--pur", [], ["--purge", "--pure"]) == "No such option: --pur. Did you mean --pure?"
    )


def test_help_of_a_command_is_its_help(program: Program) -> None:
    assert program("help", "status").out == program("status", "--help").out
    assert program("help", "status").code == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["push"], "FILE... is missing. See: bulk-sync push --help"),
        (["reconcile", "x.csv"], "--with is missing. See: bulk-sync reconcile --help"),
        (["check", "x.csv", "--limit"], "--limit needs a value."),
        (["push", "x.csv", "--json=yes"], "--json takes no value."),
        (["init", "here"], "this command does not take: here. See: bulk-sync init --help"),
        (["key"], "name what to do: set or remove. See: bulk-sync key --help"),
    ],
)
def test_wrong_usage_is_told_in_our_words(
    program: Program, words: list[str], sentence: str
) -> None:
    ran = program(*words)
    assert (ran.code, ran.out, ran.err) == (2, "", f"Error: {sentence}\n")
