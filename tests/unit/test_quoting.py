"""Words of a command line: what is shown is read back as the same words by the user's shell."""

from __future__ import annotations

import re
import shlex
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync import quoting
from bulk_sync.quoting import joined, quoted, split

# A command line has no NUL, and a line of a shell ends at a line end.
WORDS = st.lists(st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"])))


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quoting, "ON_WINDOWS", True)


def arguments(line: str) -> list[str]:
    """Split a line as Microsoft's C library does ("Parsing C command-line arguments")."""
    found: list[str] = []
    current: str | None = None
    inside = False
    for backslashes, quote, other in re.findall(r'(\\*)(?:(")|([^\\"])|$)', line):
        if backslashes:
            half = len(backslashes) // 2 if quote else len(backslashes)
            current = (current or "") + "\\" * half
        if quote and len(backslashes) % 2:
            current = (current or "") + '"'
        elif quote:
            inside, current = not inside, current or ""
        elif other and other in " \t" and not inside:
            found += [] if current is None else [current]
            current = None
        elif other:
            current = (current or "") + other
    return found if current is None else [*found, current]


@given(WORDS)
def test_a_line_has_the_same_words_in_a_posix_shell(words: list[str]) -> None:
    assert joined(words) == shlex.join(words)
    assert split(joined(words)) == words


@given(WORDS)
def test_a_line_has_the_same_words_on_windows(words: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(quoting, "ON_WINDOWS", True)
        line = joined(words)
    assert arguments(line) == words
    outside = re.sub(r'"(?:[^"\\]|\\.|\\(?="$))*"', "", line)
    assert not re.search(r"[&|<>^%!(){},;'`$@#*?]", outside), (
        "nothing that a shell takes for itself"
    )


@pytest.mark.usefixtures("windows")
@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("showings.csv", "showings.csv"),
        (r"C:\Users\Ana\showings.csv", r"C:\Users\Ana\showings.csv"),
        (r"C:\My files\showings.csv", r'"C:\My files\showings.csv"'),
        ("C:\\My files\\", r'"C:\My files\\"'),
        ("Client said=feedback", '"Client said=feedback"'),
        ("10-20,35", '"10-20,35"'),  # PowerShell would make two words of it
        ("R&D.csv", '"R&D.csv"'),
        ('a "b"', r'"a \"b\""'),
        ("O'Neill.csv", '"O\'Neill.csv"'),
        ("", '""'),
        ("Grüße.csv", "Grüße.csv"),
    ],
)
def test_words_suit_both_shells_of_windows(word: str, shown: str) -> None:
    assert quoted(word) == shown
    assert arguments(shown) == [word]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (r"C:\tools\op.exe read op://north/key", [r"C:\tools\op.exe", "read", "op://north/key"]),
        (r'"C:\Program Files\op.exe" read', [r"C:\Program Files\op.exe", "read"]),
        ("pass show '#north'", ["pass", "show", "#north"]),
    ],
)
@pytest.mark.usefixtures("windows")
def test_a_backslash_is_part_of_a_path_on_windows(line: str, words: list[str]) -> None:
    assert split(line) == words


@pytest.mark.parametrize("path", [PurePosixPath, PureWindowsPath])
def test_a_quotation_mark_without_counterpart_is_an_error(
    path: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quoting, "ON_WINDOWS", path is PureWindowsPath)
    with pytest.raises(ValueError, match="quotation"):
        split('op "read')
