"""Every block of README.md and docs/ is copied and run, in the order of its page."""

from __future__ import annotations

import ast
import asyncio
import builtins
import io
import json
import sys
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from bulk_sync.cli import main
from tests.conftest import Sandboxes
from tests.doc_blocks import NOT_RUN, PAGES, ROOT, blocks_of, environment, reader


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


NOTEBOOK = ROOT / "docs" / "notebook.ipynb"


async def _printed_by(cells: list[str]) -> list[str]:
    """Run cells as IPython does: in one loop and one module, with `await` at the top level."""
    names: dict[str, Any] = {"__builtins__": builtins}
    printed = []
    for source in cells:
        code = compile(source, "cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        with redirect_stdout(io.StringIO()) as out:
            running = FunctionType(code, names)()
            if running is not None:
                await running
        printed.append(out.getvalue())
    return printed


def test_the_cells_of_the_notebook_print_what_it_shows() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    shown = ["".join("".join(one["text"]) for one in cell["outputs"]) for cell in code]
    assert len(shown) > 4
    assert asyncio.run(_printed_by(["".join(cell["source"]) for cell in code])) == shown
