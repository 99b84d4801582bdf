"""Every block of README.md and docs/ is copied and run, in the order of its page."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from bulk_sync.cli import main
from tests.conftest import Sandboxes
from tests.doc_blocks import NOT_RUN, PAGES, blocks_of, environment, reader


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_blocks_of_a_page_work_when_they_are_copied(
    tmp_path: Path, sandboxes: Sandboxes, monkeypatch: pytest.MonkeyPatch, page: Path
) -> None:
    def program(arguments: list[str]) -> int:
        monkeypatch.setattr(sys, "argv", ["bulk-sync", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        return ended.value.code

    with ExitStack() as opened, sandboxes(team="Example Realty") as api:
        for name, value in environment(tmp_path / "home", api.base_url).items():
            monkeypatch.setenv(name, value)
        person = reader(tmp_path / "reader", api.base_url, program)
        monkeypatch.chdir(person.folder)
        for block in blocks_of(page):
            person.copy(block, opened)


def test_each_reason_not_to_run_a_command_is_needed() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [part for part in NOT_RUN if part not in text] == []
