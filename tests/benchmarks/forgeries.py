"""Does a forged checkpoint or ledger end as a bug, hang a command, or send other patches?

    python -m tests.benchmarks.forgeries [--seed N] [--only WORDS] [--most N]

Forges a checkpoint and a ledger in every way of `tests.forged`, runs status, report, reconcile and
push on each against a sandbox in this process, and compares exit codes, words and patches with
those of the sound files. Ends with 1 if any is wrong. Takes about ten minutes.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from bulk_sync.cli import main as run_program
from bulk_sync.job import bounded
from bulk_sync.sandbox.behaviour import Behaviour
from bulk_sync.sandbox.server import in_thread
from tests.forged import CHECKPOINT, LEDGER, Judge, forgeries, make_folder
from tests.helpers import KEY, Ran, Witness


def run(*arguments: object) -> Ran:
    """Run the program in this process."""
    out, err = io.StringIO(), io.StringIO()
    words = ["bulk-sync", *map(str, arguments)]
    with redirect_stdout(out), redirect_stderr(err), patch.object(sys, "argv", words):
        try:
            run_program()
        except SystemExit as ended:
            return Ran(int(ended.code or 0), out.getvalue(), err.getvalue())
    raise AssertionError(arguments)


def main() -> int:
    """Judge forgeries; return 1 if any ended wrongly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="words of a forgery's name")
    parser.add_argument("--most", type=int, default=sys.maxsize)
    told = parser.parse_args()
    bounded.BASE_SECONDS = 1.0  # for the one forgery that seems to be without end
    with TemporaryDirectory() as name, in_thread(Behaviour(accept_any=True)) as sandbox:
        folder = Path(name)
        os.environ |= {"NORTH_API_KEY": KEY, "XDG_STATE_HOME": name, "XDG_CONFIG_HOME": name}
        witness = Witness(sandbox.base_url, sandbox.token)
        make_folder(folder / "sound", run, witness)
        judge = Judge(folder / "sound", run, witness, folder / "forged")
        todo = [
            (file, forgery)
            for file in (CHECKPOINT, LEDGER)
            for forgery in forgeries(folder / "sound" / file)
            if told.only in forgery.name
        ]
        random.Random(told.seed).shuffle(todo)
        wrong = 0
        for file, forgery in todo[: told.most]:
            for line in judge.judge(file, forgery):
                print(line)
                wrong += 1
    print(f"{len(todo[: told.most]):,} forgeries, {wrong} wrong ends")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
