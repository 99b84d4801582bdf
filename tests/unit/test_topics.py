"""`bulk-sync help TOPIC` prints the pages of docs/."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bulk_sync.cli.catalogue import COMMANDS
from bulk_sync.cli.topics import topics
from tests.conftest import Program

DOCS = Path(__file__).parents[2] / "docs"
TOPICS = sorted(path.stem for path in DOCS.glob("*.md") if path.stem != "index")


def test_every_page_is_a_topic_and_no_topic_hides_behind_a_command() -> None:
    assert sorted(topics()) == TOPICS
    assert set(TOPICS) & set(COMMANDS) == set()


def words(text: str) -> set[str]:
    """The words that fit into the narrowest terminal, without what joins them to others."""
    return {word.strip("•.,:;()[]") for word in text.split() if len(word) < 35}


@pytest.mark.parametrize("topic", TOPICS)
def test_a_page_is_printed_whole_at_any_width(
    program: Program, monkeypatch: pytest.MonkeyPatch, topic: str
) -> None:
    shown = {}
    for width in (40, 80, 1000):
        monkeypatch.setenv("COLUMNS", str(width))
        shown[width] = program("help", topic)
        assert (shown[width].code, shown[width].err) == (0, "")
    # No word is broken, and none is lost.
    assert words(shown[1000].out) - words(shown[80].out) == set()
    assert words(shown[1000].out) - words(shown[40].out) == set()
    prose = [line for line in shown[80].out.splitlines() if not line.startswith("    ")]
    assert max(map(len, prose)) <= 80
    linked = set(re.findall(r"bulk-sync help ([a-z-]+)", shown[1000].out))
    assert linked <= {*TOPICS, *COMMANDS}
    assert ".md)" not in shown[1000].out


def test_the_commands_of_a_page_are_printed_in_one_line(program: Program) -> None:
    assert (
        "    bulk-sync push showings.csv --create-missing "
        "--report 550e8400-e29b-41d4-a716-446655440000\n"
    ) in program("help", "changes").out


def test_help_alone_lists_commands_and_topics(program: Program) -> None:
    shown = program("help").out
    assert shown.startswith(program("--help").out)
    assert all(f"bulk-sync help {topic}" in " ".join(shown.split()) for topic in TOPICS)


def test_an_unknown_topic_is_answered_with_the_list(program: Program) -> None:
    wrong = program("help", "sheet")
    assert wrong.code == 2
    assert "there is no help about 'sheet'. Did you mean sheets? The topics are " in wrong.err
    assert all(topic in wrong.err for topic in TOPICS)
