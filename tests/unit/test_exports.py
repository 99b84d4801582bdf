"""What a program imports is what it is called, however often and in whatever order."""

from __future__ import annotations

from importlib import import_module

import pytest

import bulk_sync


@pytest.mark.parametrize("name", ["push", "reconcile"])
def test_an_export_is_the_function_whatever_was_imported_before(name: str) -> None:
    first = getattr(bulk_sync, name)
    import_module("bulk_sync.cli.main")  # imports nearly all
    assert getattr(bulk_sync, name) is first
    assert first.__name__ == name
