"""Record the table of the tests' forms as LibreOffice saves it.

    python -m tests.tools.record_forms

It writes tests/unit/forms_of_libreoffice.zip. It needs LibreOffice (`soffice`); the tests don't.
The recording in the repository is by version 7.4.7.
"""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.unit.form_books import RECORDED, book_of_texts

# Names of the files, and the filters that write them.
FILTERS = {
    "calc.xls": "xls:MS Excel 97",
    "calc.xlsx": "xlsx:Calc MS Excel 2007 XML",
    "ooxml.xlsx": "xlsx:Calc Office Open XML",
    "calc.xlsm": "xlsm",
    "calc.xltx": "xltx",
    "calc.ods": "ods",
    "calc.fods": "fods",
    "template.ots": "ots",
    "calc.csv": "csv:Text - txt - csv (StarCalc):44,34,76,1",
    "windows-1252.csv": "csv:Text - txt - csv (StarCalc):59,34,1,1",
    "unicode.csv": "csv:Text - txt - csv (StarCalc):9,34,65535,1",
    "calc.html": "html",
    "calc.slk": "slk",
    "calc.dif": "dif",
}


def main() -> None:
    """Write the recording."""
    with TemporaryDirectory() as name, zipfile.ZipFile(RECORDED, "w", zipfile.ZIP_LZMA) as archive:
        folder = Path(name)
        source = folder / "showings.xlsx"
        source.write_bytes(book_of_texts())
        for target, used in FILTERS.items():
            out = folder / target
            subprocess.run(
                [
                    *("soffice", "--headless", f"-env:UserInstallation={folder.as_uri()}/profile"),
                    *("--convert-to", used, "--outdir", out, source),
                ],
                check=True,
                capture_output=True,
            )
            (written,) = out.iterdir()
            # With one date, so that a recording of the same version differs in nothing else.
            archive.writestr(zipfile.ZipInfo(target), written.read_bytes(), zipfile.ZIP_LZMA)


if __name__ == "__main__":
    main()
