"""What a program imports is what it is called, however often and in whatever order."""

from __future__ import annotations

import subprocess
import sys

import pytest

import bulk_sync

FUNCTIONS = ("check", "push", "reconcile")


@pytest.mark.parametrize("first", FUNCTIONS)
def test_an_export_is_the_function_and_stays_it(first: str) -> None:
    code = f"""
import bulk_sync
bulk_sync.{first}
import bulk_sync.cli.main, bulk_sync.check.rows
for name in {FUNCTIONS}:
    assert getattr(bulk_sync, name).__name__ == name, name
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_nothing_else_is_exported() -> None:
    assert all(hasattr(bulk_sync, name) for name in bulk_sync.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'absent'"):
        _ = bulk_sync.absent
