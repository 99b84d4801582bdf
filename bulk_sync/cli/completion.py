"""Which shells completion can be set up for; typer sets it up."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from bulk_sync.errors import UsageError

OPTIONS = ("--install-completion", "--show-completion")

_SHELLS = frozenset({"bash", "zsh", "fish", "powershell", "pwsh"})


def refuse_other_shells(words: Sequence[str]) -> None:
    """Raise UsageError if completion is asked for in a shell that typer has none for.

    typer would end with 1, the code of a bug.
    """
    if not words or words[0] not in OPTIONS:
        return
    shellingham: Any = import_module("shellingham")  # as typer does
    try:
        name = str(shellingham.detect_shell()[0])
    except shellingham.ShellDetectionFailure:
        name = ""
    if name not in _SHELLS:
        why = f"{name} has no completion" if name else "the shell was not recognised"
        raise UsageError(f"{words[0]}: {why}. Run it in bash, zsh, fish or PowerShell.")
