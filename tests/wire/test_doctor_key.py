"""`doctor` sends the key to the address that its user chose, and to no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from bulk_sync.send.transport.choose import Name
from tests.conftest import Program
from tests.faultserver import all_good, always, fault_server, says
from tests.helpers import reply


def test_an_address_that_only_a_found_file_names_is_not_asked(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with fault_server(all_good) as foreign:
        Path("bulk-sync.toml").write_text(f'base-url = "{foreign.base_url}"\n', encoding="utf-8")
        ran = program("doctor")
    assert ran.code == 2
    assert "base-url is not read from the file of the current folder" in ran.err
    assert foreign.requests == []


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_carries_it_nowhere(program: Program, transport: Name, status: int) -> None:
    with fault_server(all_good) as foreign:
        moved = says(reply(status, b"", f"Location: {foreign.base_url}/v1/users/me"))
        with fault_server(always(moved)) as api:
            ran = program("doctor", "--base-url", api.base_url, "--transport", transport)
    assert ran.code == 6
    assert len(api.requests) == 1
    assert foreign.requests == []
