"""No output takes the place of another file of a run, whatever the names are."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from bulk_sync.cli.catalogue import COMMANDS
from bulk_sync.cli.overlaps import refuse_overlaps, refuse_overlaps_of_jobs
from bulk_sync.errors import OutputError, UsageError
from bulk_sync.run import paths
from bulk_sync.run.paths import Identities, Use, identity_of, ignores_case, refuse_clashes
from bulk_sync.settings.option import Access, Kind

WRITTEN = {Access.WRITTEN, Access.DATABASE}


def given_to(command: str, **values: Any) -> None:
    found = COMMANDS[command]
    reads_sheets = found.argument is not None and found.argument.is_sheet
    refuse_overlaps(found.options, values, values.get("config"), reads_sheets=reads_sheets)


def test_every_option_with_a_path_says_what_is_done_with_the_file() -> None:
    for command in COMMANDS.values():
        for one in command.options:
            is_named = one.option.metavar in {"PATH", "FILE", "DIR", "OTHER", "SNAPSHOT"}
            wanted = one.kind is Kind.PATH or is_named
            assert (one.access is not None) == wanted, f"{command.name} {one.flag}"
    names = {one.flag for command in COMMANDS.values() for one in command.options if one.access}
    assert names >= {"--results", "--metrics-file", "--with", "--ledger", "--db", "--archive"}


@pytest.mark.parametrize("command", list(COMMANDS))
@pytest.mark.parametrize("link", ["same", "symbolic", "hard", "dots"])
def test_no_two_options_of_a_command_share_a_file_that_is_written(
    tmp_path: Path, command: str, link: str
) -> None:
    file = tmp_path / "x.csv"
    file.touch()
    other = {
        "same": file,
        "symbolic": tmp_path / "soft.csv",
        "hard": tmp_path / "hard.csv",
        "dots": tmp_path / ".." / tmp_path.name / "x.csv",
    }[link]
    if link == "symbolic":
        other.symlink_to(file)
    if link == "hard":
        other.hardlink_to(file)
    sheet = tmp_path / "s.csv"
    argument = {"file": sheet, "files": [sheet]}
    options = [one for one in COMMANDS[command].options if one.access]
    for one, two in combinations(options, 2):
        values = argument | {one.keyword: file, two.keyword: other}
        accesses = {one.access, two.access}
        if Access.FOLDER in accesses or not accesses & WRITTEN:
            given_to(command, **values)
            continue
        with pytest.raises(UsageError, match="can't be the same file") as error:
            given_to(command, **values)
        assert f"{one.flag} " in str(error.value)
        assert f"{two.flag} " in str(error.value)
    found = COMMANDS[command].argument
    for one in options:
        if one.access in WRITTEN and found is not None and found.is_sheet:
            with pytest.raises(UsageError, match=f"the input and {one.flag}"):
                given_to(command, **{"file": file, "files": [file], one.keyword: other})


@pytest.mark.parametrize(
    "name",
    ["s.results.csv", "s.failed.csv", "s.checkpoint.sqlite", "s.checkpoint.sqlite-wal",
     "s.checkpoint.sqlite.lock", "u.unknown.csv", "c.toml", "inbox.csv"],
)  # fmt: skip
@pytest.mark.parametrize("option", ["log_file", "metrics_file", "page"])
def test_files_that_follow_from_other_names_are_safe_too(
    tmp_path: Path, name: str, option: str
) -> None:
    values = {"undo_file": tmp_path / "u.csv", "config": tmp_path / "c.toml"}
    with pytest.raises(UsageError, match="can't be the same file"):
        given_to(
            "push",
            files=[tmp_path / "s.csv", tmp_path / "inbox.csv"],
            **values,
            **{option: tmp_path / name},
        )


def test_our_own_files_in_a_folder_that_is_pushed_are_no_sheets(tmp_path: Path) -> None:
    names = ("s.csv", "s.checkpoint.sqlite", "s.checkpoint.sqlite.lock", "s.results.csv")
    for name in (*names, "s.failed.csv", "l.sqlite", "run.log"):
        (tmp_path / name).touch()
    given_to("push", files=[tmp_path], ledger=tmp_path / "l.sqlite", log_file=tmp_path / "run.log")


def test_one_file_may_be_read_for_two_purposes(tmp_path: Path) -> None:
    sheet = tmp_path / "s.csv"
    given_to("reconcile", file=sheet, with_=str(sheet), base=sheet, results=tmp_path / "d.csv")
    given_to("reconcile", file=sheet, with_="ledger", results=tmp_path / "ledger.csv")


def test_the_case_of_a_name_counts_only_where_the_folder_keeps_them_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a file").touch()
    assert not ignores_case(tmp_path)
    uses = [
        Use("--results", tmp_path / "Übersicht.csv", Access.WRITTEN),
        Use("--page", tmp_path / "ÜBERSICHT.CSV", Access.WRITTEN),
    ]
    refuse_clashes(uses)
    monkeypatch.setattr(paths, "ignores_case", lambda _: True)
    with pytest.raises(UsageError, match="--results and --page"):
        refuse_clashes(uses)
    decomposed = tmp_path / "U\u0308bersicht.csv"
    assert identity_of(decomposed) == identity_of(uses[0].path)


def test_files_of_folders_that_are_not_there_yet_are_compared(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    one, other = tmp_path / "new" / "x.csv", tmp_path / "link" / "new" / "x.csv"
    assert identity_of(one) == identity_of(other) != identity_of(tmp_path / "new" / "y.csv")
    assert identity_of(tmp_path / "x.csv") != identity_of(tmp_path / "new" / "x.csv")


@pytest.mark.parametrize("access", list(Access))
def test_a_name_that_is_too_long_is_named(tmp_path: Path, access: Access) -> None:
    use = Use("--some-option", tmp_path / ("x" * 256), access)
    if access is Access.FOLDER:
        refuse_clashes([use])
        return
    with pytest.raises(UsageError if access is Access.READ else OutputError, match="too long"):
        refuse_clashes([use])


@pytest.mark.parametrize("one", [True, False])
def test_identities_are_the_same_one_by_one_and_of_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "x.csv").touch()
    (tmp_path / "soft").symlink_to("folder")
    (tmp_path / "dangling.csv").symlink_to("folder/new.csv")
    names = [
        "x.csv",
        "new.csv",
        "absent/new.csv",
        "folder",
        ".",
        "..",
        "folder/..",
        "folder/../x.csv",
    ]
    names += ["soft/new.csv", "folder/new.csv", "dangling.csv", "soft", "soft/../new.csv", "X.csv"]
    many = Identities()
    for name in names:
        for path in (Path(name), tmp_path / name):
            found = (Identities() if one else many).of(path)
            assert found == identity_of(path), path


def jobs_given(*values: dict[str, Any], **of_run: Path) -> None:
    jobs = [(f"job{n}", (Path(f"in{n}/s.csv"),), one) for n, one in enumerate(values)]
    refuse_overlaps_of_jobs(COMMANDS["run"].options, of_run, jobs, COMMANDS["push"].options)


def test_no_two_jobs_and_not_the_run_share_a_file_that_is_written(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    push = [one for one in COMMANDS["push"].options if one.access not in {None, Access.FOLDER}]
    run = [one for one in COMMANDS["run"].options if one.access in WRITTEN]
    assert {one.flag for one in run} == {"--page", "--log-file", "--metrics-file"}
    for one in push:
        for two in push:
            # A shared checkpoint is refused with the sheets that it would be of.
            may = one is two and one.flag in {"--ledger", "--checkpoint"}
            if may or not {one.access, two.access} & WRITTEN:
                jobs_given({one.keyword: file}, {two.keyword: file})
                continue
            with pytest.raises(UsageError, match="can't be the same file") as error:
                jobs_given({one.keyword: file}, {two.keyword: file})
            assert f"{one.flag} of job0 and {two.flag} of job1" in str(error.value)
        for two in run:
            with pytest.raises(UsageError, match="can't be the same file"):
                jobs_given({one.keyword: file}, **{two.keyword: file})


@pytest.mark.parametrize("name", ["s.csv", "s.results.csv", "s.failed.csv", "s.checkpoint.sqlite"])
def test_the_files_that_follow_from_a_jobs_sheets_are_safe_too(name: str) -> None:
    for option in ("page", "log_file", "metrics_file"):
        with pytest.raises(UsageError, match="of job1 can't be the same file"):
            jobs_given({}, {}, **{option: Path("in1") / name})
    jobs_given({}, {}, page=Path("in2") / name)
