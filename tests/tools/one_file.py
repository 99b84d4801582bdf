"""Make one file of the program and Python, for machines without Python.

    pip install pyinstaller '.[fast,keyring,sandbox,xlsx]' && python -m tests.tools.one_file

It is dist/bulk-sync (dist\\bulk-sync.exe on Windows), for the system that it is made on.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

# Children of the program are started as `sys.executable -P -m MODULE` (bulk_sync.child), and
# sys.executable is the file itself.
_ENTRY = """\
import runpy
import sys

if sys.argv[1:3] == ["-P", "-m"]:
    name = sys.argv[3]
    sys.argv = sys.argv[3:]
    runpy.run_module(name, run_name="__main__", alter_sys=True)
else:
    from bulk_sync.__main__ import main

    sys.exit(main())
"""

_OPTIONS = (
    "--onefile",
    "--noconfirm",
    "--log-level=ERROR",
    "--name=bulk-sync",
    "--collect-all=bulk_sync",  # modules are imported late, and read their own data
    "--collect-submodules=uvicorn",  # named in its settings only
    "--recursive-copy-metadata=bulk-sync",
)
# doctor shows their versions, and the copy above leaves out what extras bring.
_SHOWN = ("httptools", "uvloop")


def main() -> None:
    """Run PyInstaller, with its intermediate files in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        entry = Path(folder) / "entry.py"
        entry.write_text(_ENTRY, encoding="utf-8")
        places = [
            f"--workpath={folder}",
            f"--specpath={folder}",
            f"--distpath={Path('dist').absolute()}",
        ]
        shown = [f"--copy-metadata={name}" for name in _SHOWN if find_spec(name)]
        options = [*_OPTIONS, *places, *shown]
        # Not from here: a checkout's package has neither its sample data nor its documentation.
        maker = [sys.executable, "-P", "-m", "PyInstaller"]
        subprocess.run([*maker, *options, str(entry)], cwd=folder, check=True)


if __name__ == "__main__":
    main()
