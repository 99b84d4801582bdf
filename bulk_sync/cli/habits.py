"""Messages about unknown options: those of other programs, and misspelt ones."""

from __future__ import annotations

from collections.abc import Sequence

from bulk_sync.similar import closest

_LOOPBACK = "a sandbox listens on 127.0.0.1 only, for programs of this machine"
_RESUMES = "running the same command again resumes"
_ASKS_NOT = "use --yes to push without the question"
_YES = "only bulk-sync push and reconcile --push ask, so only they have it"
REMOVED = {"processes": "it was removed, because one process sends faster than several did"}
"""Options of earlier versions by name, with the reason why they are gone."""

_ADVICE = {
    "--resume": _RESUMES,
    "--continue": _RESUMES,
    "--force": f"{_ASKS_NOT}; {_RESUMES}",
    **dict.fromkeys(
        (
            "--no-confirm",
            "--noconfirm",
            "--confirm",
            "--no-prompt",
            "--no-ask",
            "--non-interactive",
            "--no-interactive",
            "--no-input",
            "--assume-yes",
            "--auto-approve",
            "--approve",
            "-f",
        ),
        _ASKS_NOT,
    ),
    "--yes": _YES,
    "-y": _YES,
    "--overwrite": "results are always replaced by those of the latest run",
    "--retries": "use --max-attempts N, and --retry-for DURATION",
    "--retry": "use --max-attempts N, and --retry-for DURATION",
    "--host": _LOOPBACK,
    "--bind": _LOOPBACK,
    "--parallel": "use --workers N",
    "--concurrency": "use --workers N",
    "--threads": "use --workers N",
    "--output": "use --results PATH for the results file, or --out DIR for the folder",
    **{f"--{name}": reason for name, reason in REMOVED.items()},
    "--dryrun": "use bulk-sync check FILE, or --sandbox",
}
# They forget or delete data, so a message must not suggest them for a typo.
_NEVER_SUGGESTED = frozenset({"--fresh", "--purge", "--purge-ledger"})


def advice(option: str, words: Sequence[str], similar: Sequence[str]) -> str:
    """Return a sentence about an option that does not exist; `similar` has close names."""
    if option == "--dry-run":
        file = next((word for word in words[1:] if not word.startswith("-")), "FILE")
        return f"No such option: {option}. Use: bulk-sync check {file}"
    if option in _ADVICE:
        return f"No such option: {option}: {_ADVICE[option]}"
    harmless = [name for name in similar if name not in _NEVER_SUGGESTED]
    close = closest(option, harmless, 3, cutoff=0.7)
    hint = f". Did you mean {' or '.join(close)}?" if close else ""
    return f"No such option: {option}{hint}"
