"""Findings about a key that can't be used: nothing is asked with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from bulk_sync.doctor import Subject, examine
from bulk_sync.errors import UsageError
from bulk_sync.settings.creating import Creating
from bulk_sync.settings.sending import Sending
from bulk_sync.settings.target import Target


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (UsageError("--keychain bay: this host has no keychain"), "--keychain bay: this host has"),
        (SecretStr("a key"), "this is not a North API key"),
    ],
)
def test_a_key_that_cant_be_used_is_a_finding_about_the_key(
    tmp_path: Path, key: SecretStr | UsageError, words: str
) -> None:
    subject = Subject(Target(), key, Sending(), Creating(), tmp_path)
    wrong = [one for one in examine(subject) if one.standing == "wrong"]
    assert [(one.about, one.text[: len(words)], one.exit_code) for one in wrong] == [
        ("key", words, 2)
    ]
