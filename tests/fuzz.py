"""Does anything but a documented error come of a sheet, a profile or a header, however it is
mangled?

    python -m tests.fuzz [--seconds 60] [--seed N] [--case N]

Takes the sample data and workbooks of every format, mangles them (bytes, or the parts inside
an archive) and runs what `check` runs. Each case has dice of its own, made from the seed and
its number: `--seed N --case M` does a single one again. Ends with 1 at the first case that
raises anything outside `BulkSyncError`, or that takes more than 20 seconds, and keeps its file.
"""

from __future__ import annotations

import argparse
import io
import random
import resource
import signal
import struct
import sys
import traceback
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import NoReturn

import openpyxl
import xlwt

from bulk_sync.clock import SystemClock
from bulk_sync.errors import BulkSyncError
from bulk_sync.pipeline import check
from bulk_sync.send.header_values import LONGEST_WAIT
from bulk_sync.send.headers import YEAR_SECONDS, limits, retry_after
from bulk_sync.send.spellings import SPELLINGS
from bulk_sync.settings.sheet import SheetSettings
from tests.unit.biff import BIFF5, label, stream, text_5
from tests.unit.workbooks import (
    ods_parts,
    ods_row,
    ods_text,
    packed,
    row_header,
    wide,
    xlsb_parts,
)

SAMPLES = Path(__file__).parents[1] / "sample_data"
SLOW_SECONDS = 20
MEMORY_BYTES = 4 * 1024**3

ROWS = (
    ("unique_showing_key", "feedback", "rating", "showing_date", "attendee_email"),
    ("ext_1", "Liked the light", "4/5", "3/14/2026 4:30 PM", "a.person@example.com"),
    ("ext_2", "Small\nbut fine", "★★★", "2026-03-14T16:30:00Z", ""),
)
PROFILE = (
    'on_duplicate = "last"\n[read]\ndelimiter = ";"\nheader_row = 3\n[map]\n"Agent" = '
    '"agent_name"\n'
    '[aliases]\nrating = ["Mark"]\n[dates]\ntimezone = "America/Chicago"\norder = '
    '"dmy"\ndefault_time = "09:00"\n'
    '[fields.feedback]\nclear = "n/a"\nblank = "clear"\n'
)
HEADERS = (
    b"Sun, 06 Nov 2026 08:49:37 GMT",
    b'"default";q=100;w=60, "burst";q=10;w=1',
    b'"default";r=50;t=30',
    b"limit=10, remaining=0, reset=4",
    b"100, 100;w=60",
    b"1793955000",
)
LIMIT_HEADERS = (
    "ratelimit-policy",
    "ratelimit",
    *(
        f"{prefix}{part}"
        for prefix in ("ratelimit-", "x-ratelimit-")
        for part in ("limit", "remaining", "used", "reset", "policy", "interval-seconds")
    ),
    *(name for spelling in SPELLINGS for name in spelling.announced_by),
)
SPICE = (
    b"\x00",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b'"',
    b"\r",
    b"\n\n",
    b"\t",
    b";",
    b"sep=;\r\n",
    b"=1+1",
    b"1E+308",
    b"-1",
    b"65536",
    b"\x1b[31m",
    "\u202e".encode(),
    "𝟜".encode(),
    b"<",
    b"&#0;",
    b"&lol;",
    b"]]>",
    b"99999999999999999999",
    b"31/02/2026 25:61",
    b"0001-01-01T00:00:00+23:59",
    b"9999-12-31T23:59:59-23:59",
    b"#N/A",
    b"nan",
    b"XFD1048576",
    b"A1:XFD1048576",
)


class Slow(BaseException):
    """A case took too long."""


def mangle(data: bytes, dice: random.Random) -> bytes:
    """A few cuts, flips, doublings and foreign words."""
    mangled = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 4, 16))):
        at = dice.randrange(len(mangled) + 1)
        to = min(len(mangled), at + dice.choice((1, 2, 8, 64, 1024)))
        match dice.randrange(7):
            case 0 if mangled:
                mangled[at % len(mangled)] ^= 1 << dice.randrange(8)
            case 1 if mangled:
                mangled[at % len(mangled)] = dice.randrange(256)
            case 2:
                del mangled[at:to]
            case 3:
                mangled[at:at] = mangled[at:to] * dice.choice((1, 2, 50))
            case 4:
                mangled[at:at] = dice.choice(SPICE)
            case 5:
                mangled[at:to] = dice.choice(SPICE)
            case _:
                there = dice.randrange(len(mangled) + 1)
                mangled[there:there] = mangled[at:to]
        if dice.random() < 0.02:
            del mangled[at:]
    return bytes(mangled)


def mangle_archive(data: bytes, dice: random.Random) -> bytes:
    """The parts of an archive, one or two of them mangled, some missing."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for name in dice.sample(sorted(parts), min(len(parts), dice.choice((1, 1, 2)))):
        parts[name] = mangle(parts[name], dice)
    if dice.random() < 0.05:
        del parts[dice.choice(sorted(parts))]
    return packed(parts)


def samples() -> dict[str, bytes]:
    """Sheets of every kind, by their names."""
    found = {path.name: path.read_bytes()[:20_000] for path in SAMPLES.glob("*.csv")}
    text = "\r\n".join("\t".join(row).replace("\n", " ") for row in ROWS)
    found |= {
        "tabs.tsv": text.encode("utf-16"),
        "old.csv": text.replace("\t", ";").encode("cp1252", "replace"),
    }
    found |= {path.name: path.read_bytes() for path in SAMPLES.glob("*.xlsx")}
    parts = ods_parts("".join(ods_row(*map(ods_text, row)) for row in ROWS))
    found["plain.ods"] = packed(parts)
    flat = parts["content.xml"].replace("document-content", "document")
    found["plain.fods"] = flat.encode()
    found["plain.xlsb"] = packed(_xlsb_parts())
    found["bare.xls"] = stream(
        [label(row, column, text_5(cell.encode("cp1252", "replace")))
         for row, cells in enumerate(ROWS) for column, cell in enumerate(cells)],
        version=BIFF5, code_page=1252,
    )  # fmt: skip
    book, old = openpyxl.Workbook(), xlwt.Workbook()
    sheet = old.add_sheet("S")
    for number, row in enumerate(ROWS):
        book.worksheets[0].append(row)
        for column, cell in enumerate(row):
            sheet.write(number, column, cell)
    for name, written in (("plain.xlsx", book), ("plain.xls", old)):
        buffer = io.BytesIO()
        written.save(buffer)
        found[name] = buffer.getvalue()
    return found


def _xlsb_parts() -> dict[str, str | bytes]:
    records = []
    for row, cells in enumerate(ROWS):
        records.append(row_header(row))
        records.extend(
            (6, struct.pack("<II", column, 0) + wide(cell)) for column, cell in enumerate(cells)
        )
    return xlsb_parts(records)


def try_sheet(name: str, data: bytes, folder: Path, dice: random.Random) -> None:
    """Check a sheet, with options that somebody may give."""
    path = folder / name
    path.write_bytes(data)
    options: dict[str, object] = {"timezone": "America/Chicago"}
    options |= {
        "on_duplicate": dice.choice(("error", "last", "merge")),
        "strict": dice.random() < 0.1,
    }
    options |= {
        "date_order": dice.choice(("mdy", "dmy", "ymd", None)),
        "header_row": dice.choice((None, None, 1, 3)),
    }
    check(
        SheetSettings(
            input=path, **{key: value for key, value in options.items() if value is not None}
        )
    )


def try_profile(data: bytes, folder: Path) -> None:
    """Load a profile and make settings of it."""
    path = folder / "profile.toml"
    path.write_bytes(data)
    sheet = folder / "x.csv"
    sheet.write_text("unique_showing_key;Mark\next_1;4\n", encoding="utf-8")
    check(SheetSettings(input=sheet, profile=path))


def try_headers(data: bytes) -> None:
    """Read what a server may say of waiting and of its limits."""
    text, _, date = data.decode("latin-1").partition("|")
    seconds = retry_after({"retry-after": text, "date": date})
    assert seconds is None or 0 <= seconds <= LONGEST_WAIT, seconds
    told = limits(dict.fromkeys(LIMIT_HEADERS, text) | {"date": date})
    for quota in told.quotas:
        assert 0 <= (quota.reset_seconds or 0) < YEAR_SECONDS, quota
        assert 0 < (quota.window_seconds or 1) < YEAR_SECONDS, quota


def try_case(number: int, seed: int, sheets: dict[str, bytes], folder: Path) -> None:
    """One case, the same whenever it is asked for."""
    dice = random.Random(f"{seed} {number}")
    kind = dice.random()
    if kind < 0.1:
        return try_headers(mangle(dice.choice(HEADERS) + b"|Sun, 06 Nov 2026 08:49:30 GMT", dice))
    if kind < 0.2:
        return try_profile(mangle(PROFILE.encode(), dice), folder)
    name = dice.choice(sorted(sheets))
    in_parts = name.endswith(("xlsx", "xlsb", ".ods")) and dice.random() < 0.8
    mangled: Callable[[bytes, random.Random], bytes] = mangle_archive if in_parts else mangle
    return try_sheet(name, mangled(sheets[name], dice), folder, dice)


def main() -> int:
    """Try cases until the time is up; 1 when one of them went wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--case", type=int)
    told = parser.parse_args()
    print(f"seed {told.seed}", flush=True)
    signal.signal(signal.SIGALRM, _too_slow)
    resource.setrlimit(
        resource.RLIMIT_AS, (MEMORY_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1])
    )
    sheets, clock = samples(), SystemClock()
    until, number, refused = clock.monotonic() + told.seconds, told.case or 0, 0
    with TemporaryDirectory() as folder:
        while told.case is None or number == told.case:
            signal.alarm(SLOW_SECONDS)
            try:
                try_case(number, told.seed, sheets, Path(folder))
            except BulkSyncError:
                refused += 1
            except KeyboardInterrupt:
                raise
            except BaseException:  # noqa: BLE001 - a panic of a library's is none of Exception
                signal.alarm(0)
                traceback.print_exc()
                kept = _keep(Path(folder), f"fuzz-{told.seed}-{number}")
                print(
                    f"case {number}: python -m tests.fuzz --seed {told.seed} --case {number}; "
                    f"its files: {kept}"
                )
                return 1
            finally:
                signal.alarm(0)
            number += 1
            if clock.monotonic() > until:
                break
    # A round in which everything is refused, or nothing is, has not reached what it looks for.
    done = number - (told.case or 0)
    if told.case is None and not 0 < refused < done:
        print(f"{done:,} cases, {refused:,} refused: nothing was tried in earnest")
        return 1
    print(f"{done:,} cases, {refused:,} refused with a sentence, nothing else came of any")
    return 0


def _keep(folder: Path, name: str) -> Path:
    kept = Path(name)
    kept.mkdir(exist_ok=True)
    for path in folder.iterdir():
        if path.is_file():
            (kept / path.name).write_bytes(path.read_bytes())
    return kept


def _too_slow(_: int, __: FrameType | None) -> NoReturn:
    raise Slow(f"more than {SLOW_SECONDS} s")


if __name__ == "__main__":
    sys.exit(main())
