"""What the tab key offers, in the shells themselves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # shells that start the program

FOLDER = Path(sys.executable).parent

ASK = {
    "bash": """
        source <(bulk-sync --show-completion bash)
        ask() {{ COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
                 _bulk_sync_completion bulk-sync; printf '%s\\n' "${{COMPREPLY[@]}}"; }}
        ask
    """,
    "zsh": """
        autoload -Uz compinit; compinit -D
        source <(bulk-sync --show-completion zsh)
        whence -w _bulk_sync_completion >/dev/null || exit 1
        _arguments() {{ }}; _describe() {{ }}; _files() {{ }}
        env _TYPER_COMPLETE_ARGS="{words}" _BULK_SYNC_COMPLETE=complete_zsh bulk-sync
    """,
    "fish": """
        bulk-sync --show-completion fish | source
        complete -C "{words}"
    """,
}


@pytest.mark.parametrize("shell", ASK)
@pytest.mark.parametrize(
    ("words", "offered", "not_offered"),
    [
        ("bulk-sync re", {"reconcile", "report"}, {"push"}),
        ("bulk-sync push --ma", {"--map"}, {"--json"}),
    ],
)
def test_commands_and_options_are_offered(
    shell: str, words: str, offered: set[str], not_offered: set[str]
) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not here")
    flags = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    environment = {**os.environ, "PATH": f"{FOLDER}:{os.environ['PATH']}"}
    done = subprocess.run(
        [program, *flags, "-c", ASK[shell].format(words=words)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = set(done.stdout.replace('"', " ").replace(":", " ").split())
    assert offered <= found, (done.stdout, done.stderr)
    assert not not_offered & found


def test_powershell_is_offered_the_same() -> None:
    """Its script calls the program with these variables; PowerShell itself is not here."""
    program = str(FOLDER / "bulk-sync")

    def answer(**asked: str) -> str:
        environment = {**os.environ, **asked}
        done = subprocess.run(
            [program], env=environment, capture_output=True, text=True, check=False
        )
        return done.stdout

    # What --install-completion writes when PowerShell is the shell that it finds itself in.
    script = answer(_BULK_SYNC_COMPLETE="source_powershell")
    assert "Register-ArgumentCompleter -Native -CommandName bulk-sync" in script
    asked = {
        "_BULK_SYNC_COMPLETE": "complete_powershell",
        "_TYPER_COMPLETE_ARGS": "bulk-sync re",
        "_TYPER_COMPLETE_WORD_TO_COMPLETE": "re",
    }
    assert all(f"$Env:{name}" in script for name in asked)
    offered = {line.partition(":::")[0] for line in answer(**asked).splitlines()}
    assert offered == {"reconcile", "report"}
