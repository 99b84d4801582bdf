from __future__ import annotations

import os
from pathlib import Path

import pytest

from bulk_sync.cli.config import SettingsFile, read_sources
from bulk_sync.errors import UsageError
from bulk_sync.profile import Profile
from bulk_sync.secret import read_key
from bulk_sync.small_file import LARGEST_BYTES
from tests.helpers import KEY


def test_the_key_comes_from_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(KEY + "\n", encoding="utf-8")
    path.chmod(0o644)
    with pytest.raises(UsageError, match="chmod 600"):
        read_key(path, {})
    path.chmod(0o600)
    assert read_key(path, {}).get_secret_value() == KEY


def test_without_a_key_the_sentence_says_where_to_put_it(tmp_path: Path) -> None:
    for environ in ({}, {"NORTH_API_KEY": " "}):
        with pytest.raises(UsageError, match="NORTH_API_KEY"):
            read_key(None, environ)
    with pytest.raises(UsageError, match="no such file"):
        read_key(tmp_path / "none", {})
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "binary").chmod(0o600)
    with pytest.raises(UsageError, match="not a text file"):
        read_key(tmp_path / "binary", {})


@pytest.mark.parametrize("text", ["", "\n", " \r\n"])
def test_an_empty_key_file_is_called_empty(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    with pytest.raises(UsageError, match="key: is empty: paste the key as its only line"):
        read_key(path, {})


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "large"])
def test_what_may_never_end_is_no_key_file_profile_or_settings_file(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "x.toml"
    if kind == "pipe":
        os.mkfifo(path, 0o600)
    elif kind == "device":
        path = Path("/dev/zero")
    elif kind == "folder":
        path.mkdir(0o700)
    else:
        path.write_bytes(b"#" * (LARGEST_BYTES + 1))
        path.chmod(0o600)
    said = "larger than 1 MB" if kind == "large" else "not a regular file|it is a folder"
    for read in (
        lambda: read_key(path, {}),
        lambda: Profile.load(path),
        lambda: read_sources({}, {}, [SettingsFile(path)]),
    ):
        with pytest.raises(UsageError, match=said):
            read()


def test_deep_nesting_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("a = " + "[" * 5000 + "]" * 5000, encoding="utf-8")
    path.chmod(0o600)
    for read in (lambda: Profile.load(path), lambda: read_sources({}, {}, [SettingsFile(path)])):
        with pytest.raises(UsageError, match=r"x\.toml: (nested too deeply|not TOML)"):
            read()
