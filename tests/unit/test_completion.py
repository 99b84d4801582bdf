"""Setting up shell completion, in shells of all kinds."""

from __future__ import annotations

import errno
import io
import os
import sys

import pytest
import shellingham

from bulk_sync.cli.main import main
from tests.conftest import Program


@pytest.mark.parametrize("option", ["--install-completion", "--show-completion"])
@pytest.mark.parametrize(
    ("shell", "sentence"),
    [
        (None, "the shell was not recognised. Run it in bash, zsh, fish or PowerShell."),
        ("cmd", "cmd has no completion. Run it in bash, zsh, fish or PowerShell."),
        ("nu", "nu has no completion. Run it in bash, zsh, fish or PowerShell."),
    ],
)
def test_a_shell_without_completion_is_a_sentence(
    program: Program,
    monkeypatch: pytest.MonkeyPatch,
    option: str,
    shell: str | None,
    sentence: str,
) -> None:
    def detect() -> tuple[str, str]:
        if shell is None:
            raise shellingham.ShellDetectionFailure
        return shell, f"/bin/{shell}"

    monkeypatch.setattr(shellingham, "detect_shell", detect)
    ran = program(option)
    assert (ran.code, ran.out, ran.err) == (2, "", f"Error: {option}: {sentence}\n")


@pytest.mark.parametrize("shell", ["powershell", "pwsh"])
def test_powershell_gets_its_script(
    program: Program, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    monkeypatch.setattr(shellingham, "detect_shell", lambda: (shell, shell))
    ran = program("--show-completion")
    assert ran.code == 0
    assert "Register-ArgumentCompleter -Native -CommandName bulk-sync" in ran.out
    assert ran.out.count("{") == ran.out.count("}") > 0


def test_a_reader_that_has_left_ends_no_command_with_the_code_of_a_bug(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Closed(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    monkeypatch.setattr(shellingham, "detect_shell", lambda: ("bash", "/bin/bash"))
    monkeypatch.setattr(sys, "argv", ["bulk-sync", "--show-completion"])
    monkeypatch.setattr(sys, "stdout", Closed())
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
