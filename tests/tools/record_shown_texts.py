"""Record the texts that LibreOffice shows of numbers in number formats.

    python -m tests.tools.record_shown_texts

It writes tests/unit/shown_texts.csv, which the tests compare with `read.number_format`. It needs
LibreOffice (`soffice`); the tests don't. The recording in the repository is by version 7.4.7.
"""

from __future__ import annotations

import csv
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import xlsxwriter

RECORDING = Path(__file__).parents[1] / "unit" / "shown_texts.csv"

CODES = (
    # No sections: digits, literals, padding
    *("General", "GENERAL", "@", "0", "#", "##0", "#0", "00000", "000000000", "0000000000000"),
    *("0000-0000", "000-00-0000", "00-00-00", "0000\\-00\\-00", "00000-0000", "(000) 000-0000"),
    *("0 0 0", "00 00", "0000 0000 0000", "###-####", "#-0", "0#", "0##", "???", "?0", "0???"),
    *("00:00", "00\\:00", "000\\.000", "0\\,000", "0\\ ", "0&0", "0'0", "0=0", "0<0", "{0}", "0~"),
    *('"SH-"General', '"SH-"0', '"SH-"0000', '0"-A"', 'General" pcs"', '"MLS"000000', '"#"0'),
    *("\\S\\H\\-000", '0"0"0', '"a""b"0', '"№ "0', "\\№0", '"100%"0', '#" "#', '"A"', '0" stars"'),
    *('@"x"', '"SH-"@', "+0", "-0", "(0)", "$0", "0 €", "0_)", "_(0_)", "* 0", "0* ", "*x0"),
    # Separators
    *("#,##0", "#,##0.00", "0,000", "00,000", "$#,##0", "0,", "#,", "0.0,", "0.00,,"),
    *("0.0", "0.00", "0.0#", "0.###", "#.##", ".00", "0.", "#.", "00.00", "000.000"),
    *("0%", "0.00%", "0%%"),
    # Brackets
    *("[Red]0", "[Color10]00000", '[Magenta]"SH-"000', "[Black]General", "[Red]", "[$-409]0000"),
    *("[$€-407] 0", "[$$-409]#,##0.00", "[$USD] 0", "[$SH]000", "[$-2000401]0", "[DBNum1]0"),
    # Sections and conditions
    *("0;-0", "0;(0)", '0;-0;"zero"', "0;;", "0;-0;;@", '0;0;0;"T"@', "0;@", ";;;", '"Yes";;"No"'),
    *('"p"0;"n"0;"z"0', "#,##0_);(#,##0)", "0.##;-0.##;", "[Cyan]0;[Yellow]-0", "0;0;0;0;0"),
    '_(* #,##0_);_(* (#,##0);_(* "-"_);_(@_)',
    '[>=1000]"K-"0;"S-"0',
    '[<100]"low";[<1000]"mid";"high"',
    '[=1]"one";[=2]"two";0',
    "[Blue][>10]0;[Red]000",
    "[<=99999]00000;00000-0000",
    "[<=9999999]###\\-####;\\(###\\)\\ ###\\-####",
    # Dates, fractions, exponents, and letters that are neither
    *("yyyy-mm-dd", "m/d/yyyy", "hh:mm", "[h]:mm", "d-mmm", "mmm-yy", "# ?/?", "# ??/16", "0/0"),
    *("0.00E+00", "##0.0E+0", "0E+0", "N0", "SH-0", "x0", "0!x", '"unclosed', '0"unclosed', "\\"),
)
VALUES = (0, 1, 7, 12, 77, 123, 930, 1001, 70002, 5550100, 12345678, 123456789012, 123456789012345)
FRACTIONS = (0.5, 0.25, 12.345, 2.675, 999.5, 1234.56789012345, 0.00001, -5, -0.4, -1234)
TEXTS = ("abc", "007")


def main() -> None:
    """Write the recording."""
    pairs = [(code, value) for code in CODES for value in (*VALUES, *FRACTIONS, *TEXTS)]
    with TemporaryDirectory() as folder:
        shown = _shown(pairs, Path(folder))
    with RECORDING.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("code", "value", "shown"))
        writer.writerows((*pair, text) for pair, text in zip(pairs, shown, strict=True))
    print(f"{len(pairs)} texts in {len(CODES)} formats")


def _shown(pairs: list[tuple[str, float | str]], folder: Path) -> list[str]:
    with xlsxwriter.Workbook(folder / "sheet.xlsx") as book:
        sheet = book.add_worksheet()
        formats = {code: book.add_format({"num_format": code}) for code in CODES}
        for row, (code, value) in enumerate(pairs):
            sheet.write(row, 0, "end")  # keeps the lines of blank cells apart
            write = sheet.write_string if isinstance(value, str) else sheet.write_number
            write(row, 1, value, formats[code])
    # A comma between cells, quotes around texts, UTF-8; cells as shown, which is the default.
    as_csv = "csv:Text - txt - csv (StarCalc):44,34,76"
    profile = f"-env:UserInstallation={(folder / 'profile').as_uri()}"
    command = ["soffice", profile, "--headless", "--convert-to", as_csv, "sheet.xlsx"]
    subprocess.run(command, cwd=folder, check=True)
    with (folder / "sheet.csv").open(encoding="utf-8", newline="") as file:
        return [row[1] for row in csv.reader(file)]


if __name__ == "__main__":
    main()
