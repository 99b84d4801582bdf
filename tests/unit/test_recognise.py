"""Only the program's own files are replaced, whatever a spreadsheet program made of them."""

from __future__ import annotations

import csv
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.errors import NameTaken, OutputError
from bulk_sync.model.names import LONGEST_NAME, cut_name, stem_of_job
from bulk_sync.model.own import RESULT_COLUMNS as COLUMNS
from bulk_sync.model.own import Kind as Marked
from bulk_sync.model.own import header_text, values_header
from bulk_sync.recognise import Output, may_replace
from bulk_sync.report.written.atomic import check_writable, remove, replacing
from bulk_sync.report.written.results import write_results
from bulk_sync.report.written.workbook import write_workbook
from bulk_sync.settings.files import Files

TEXTS: dict[Output, str] = {
    Output.REPORT: ",".join(COLUMNS) + "\r\n",
    Output.FAILED: f'key,"{header_text(Marked.FAILED, "{}")}",error\r\n',
    Output.UNDO: f'unique_showing_key,"{values_header(Marked.UNDO, ["rating"])}"\r\n'.replace(
        '"[', "'["
    ),
    Output.UNKNOWN: f"row,{header_text(Marked.UNKNOWN, '{}')}\r\n",
    Output.CHANGES: f"row,{header_text(Marked.CHANGES, '{}')}\r\n",
    Output.TEMPLATE: f"row,{header_text(Marked.TEMPLATE, '{}')}\r\n",
    Output.PAGE: "<!doctype html>\n<html><p><b>bulk-sync</b> 3.0",
    Output.METRICS: "# HELP bulk_sync_exit_code The exit code of the last run.\n",
    Output.LOG: "2026-03-02T02:15:00.123Z INFO begins: s.csv\n",
    Output.SHEET: "Unique showing key,Rating\r\n",
}

FOREIGN = [
    b"name,phone\nAnn Example,555-0100\n",
    b"unique_showing_key,rating\next_1,4\n",
    b"[read]\nsheet = 1\n",
    b"<!doctype html>\n<p>a page of mine\n",
    b"# HELP node_cpu_seconds_total Seconds.\n",
    b"2026-03-02 02:15:00 nginx[3]: started\n",
    b'{"name": "Ann Example"}\n',
    b'{"row": 1, "state": "new"}\n',
    b"PK\x03\x04 no archive at all",
    b"SQLite format 3\x00",
    b"\xff\xfe",
    b"\x00" * 100,
]


def test_each_kind_is_replaced_by_its_own_kind_only(tmp_path: Path) -> None:
    assert TEXTS.keys() == set(Output)
    path = tmp_path / "x"
    for kind in Output:
        assert may_replace(path, kind)
        for other, text in TEXTS.items():
            path.write_text(text, encoding="utf-8")
            # A sheet to fill in may be filled in by now.
            wanted = kind is other and kind is not Output.SHEET
            assert may_replace(path, kind) == wanted, (kind, other)
        path.write_bytes(b"")
        assert may_replace(path, kind)
        path.unlink()


@pytest.mark.parametrize("content", FOREIGN)
def test_a_file_of_somebody_else_is_replaced_by_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    for kind in Output:
        assert not may_replace(path, kind), kind
        with pytest.raises(OutputError, match="bulk-sync did not write this file"):
            check_writable(path, kind)
        remove(path, kind)
    assert path.read_bytes() == content


# Bytes of which no sign of ours can be made.
UNLIKE = st.binary(min_size=1, max_size=200).filter(
    lambda data: not any(sign in data for sign in (b"bulk", b"error", b"level", b"INFO", b"row"))
)


@given(UNLIKE)
def test_bytes_without_a_sign_of_ours_are_replaced_by_none(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "x"
    for content in (data, b"PK" + data, b"\xff\xfe" + data, b"{" + data):
        path.write_bytes(content)
        assert not any(may_replace(path, kind) for kind in Output)


@pytest.mark.parametrize("ending", ["csv", "jsonl", "xlsx"])
def test_results_that_were_saved_by_other_programs_are_still_ours(
    tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"x.{ending}"
    write_results(path, [])
    if ending == "jsonl":
        path.write_text(json.dumps(dict.fromkeys(COLUMNS)) + "\n", encoding="utf-8")
    assert may_replace(path, Output.REPORT)
    text = [*COLUMNS, "a note of mine"]
    for separator, encoding in ((";", "utf-8-sig"), ("\t", "utf-16"), (",", "cp1252")):
        with path.open("w", encoding=encoding, newline="") as file:
            csv.writer(file, delimiter=separator, quoting=csv.QUOTE_ALL).writerow(text)
        assert may_replace(path, Output.REPORT)
    with zipfile.ZipFile(path, "w") as archive:
        cells = "".join(f"<si><t>{name}</t></si>" for name in COLUMNS)
        archive.writestr("xl/sharedStrings.xml", f"<sst>{cells}</sst>")
    assert may_replace(path, Output.REPORT)


def test_a_workbook_of_ours_is_known_by_its_marks(tmp_path: Path) -> None:
    path = tmp_path / "x.xlsx"
    header = ("unique_showing_key", values_header(Marked.TEMPLATE, ["rating"]))
    write_workbook(path, Output.TEMPLATE, header, [("a", "b")])
    assert may_replace(path, Output.TEMPLATE)
    assert not may_replace(path, Output.REPORT)


def test_a_log_is_known_by_its_first_or_last_line(tmp_path: Path) -> None:
    path, ours = tmp_path / "x.log", TEXTS[Output.LOG]
    for text in (ours + "a line of the scheduler\n", "begun by cron\n" + ours, ours + ours[:20]):
        path.write_text(text, encoding="utf-8")
        assert may_replace(path, Output.LOG)
    path.write_text('{"time": "2026-03-02T02:15:00Z", "level": "INFO"}\n', encoding="utf-8")
    assert may_replace(path, Output.LOG)


def foreign(path: Path) -> None:
    path.write_bytes(FOREIGN[0])


def link_to_foreign(path: Path) -> None:
    foreign(path.with_name("theirs.csv"))
    path.symlink_to("theirs.csv")


@pytest.mark.parametrize("come", [foreign, link_to_foreign, Path.mkdir])
def test_a_file_that_takes_the_name_during_the_run_stays(
    tmp_path: Path, come: Callable[[Path], None]
) -> None:
    path = tmp_path / "x.csv"

    def write() -> None:
        with replacing(path, Output.REPORT) as file:
            file.write(TEXTS[Output.REPORT])
            if not os.path.lexists(path):
                come(path)

    for number in ("", "-2"):
        with pytest.raises(NameTaken) as error:
            write()
        kept = tmp_path / f"x.kept{number}.csv"
        assert str(kept) in str(error.value)
        assert error.value.exit_code == 8
        assert kept.read_bytes() == TEXTS[Output.REPORT].encode()
    assert path.is_dir() or path.read_bytes() == FOREIGN[0]
    assert not list(tmp_path.glob(".*"))


STEMS = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)


@given(STEMS.map(lambda text: (text * 255)[:255]) | STEMS)
def test_the_files_of_a_job_have_names_that_a_folder_takes(stem: str) -> None:
    source = Path("inbox") / f"{stem}.csv"
    checkpoint = Files.of(source).checkpoint
    assert len(f"{checkpoint.name}.new-journal".encode()) <= LONGEST_NAME
    assert Files.of(source).checkpoint == checkpoint
    # The jobs of its own files have such names, too.
    for ending in ("failed.csv", "changes.csv"):
        made = Files.named_after(source, ending)
        assert len(f"{Files.of(made).checkpoint.name}.new-journal".encode()) <= LONGEST_NAME
    assert len(cut_name(stem, ".kept-2.csv").encode()) <= LONGEST_NAME
    if len(stem.encode()) <= 225:
        assert stem_of_job(stem) == stem, "a job of an earlier version would not be found"
    elif stem[-1] != "x":
        assert stem_of_job(stem) != stem_of_job(stem[:-1] + "x")
