from __future__ import annotations

from pathlib import Path

import pytest

from bulk_sync.errors import UsageError
from bulk_sync.secret import read_key
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
    with pytest.raises(UsageError, match="No such file"):
        read_key(tmp_path / "none", {})
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "binary").chmod(0o600)
    with pytest.raises(UsageError, match="not a text file"):
        read_key(tmp_path / "binary", {})
