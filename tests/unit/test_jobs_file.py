"""A jobs file: what it may say, and what it says wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bulk_sync.cli.catalogue import COMMANDS
from bulk_sync.cli.jobs_file import FILE_NAME, Entry, chosen, jobs_file, read_jobs
from bulk_sync.errors import UsageError

OPTIONS = COMMANDS["push"].options
FOR_RUN = {"json": "an option of the whole run"}


def entries(folder: Path, text: str, **elsewhere: Any) -> tuple[Entry, ...]:
    path = folder / FILE_NAME
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return read_jobs(path, OPTIONS, FOR_RUN, elsewhere)


def test_a_jobs_own_option_wins_over_the_defaults_and_those_over_the_environment(
    tmp_path: Path,
) -> None:
    text = """
        [defaults]
        workers = 4
        rate = "5/s"
        [[job]]
        name = "vale"
        files = "vale.csv"
        rate = ["10/s", "100/m"]
        [[job]]
        name = "hill"
        files = ["hill.csv"]
    """
    vale, hill = entries(tmp_path, text, workers="9", timeout_seconds="3")
    assert vale.given == {"workers": "4", "rate": ["10/s", "100/m"], "timeout_seconds": "3"}
    assert hill.given == {"workers": "4", "rate": ["5/s"], "timeout_seconds": "3"}


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    text = '[[job]]\nname = "vale"\nfiles = ["a/x.csv"]\nkey-file = "keys/vale"\nout = "done"\n'
    (entry,) = entries(tmp_path, text)
    assert entry.files == (tmp_path / "a/x.csv",)
    assert entry.given == {"key_file": tmp_path / "keys/vale", "out": tmp_path / "done"}


def test_a_pattern_finds_sheets_and_folders_and_none_of_our_own_files(tmp_path: Path) -> None:
    for name in ("a.csv", "b.xlsx", "a.results.csv", "a.failed.csv", "notes.md", ".c.csv"):
        (tmp_path / name).touch()
    (tmp_path / "inbox").mkdir()
    (entry,) = entries(tmp_path, '[[job]]\nname = "vale"\nfiles = ["*", "a.csv"]\n')
    assert [path.name for path in entry.files] == ["a.csv", "b.xlsx", "inbox"]
    (entry,) = entries(tmp_path, '[[job]]\nname = "vale"\nfiles = ["inbox/*.csv"]\n')
    assert entry.files == ()


def test_a_jobs_own_key_takes_the_place_of_the_default_one(tmp_path: Path) -> None:
    text = """
        [defaults]
        key-command = "pass show north/agency"
        [[job]]
        name = "vale"
        files = "a.csv"
        key-file = "vale.key"
    """
    (entry,) = entries(tmp_path, text)
    assert entry.given == {"key_file": tmp_path / "vale.key"}


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("vale/*.csv", ["vale/a.csv"]),
        ("**/*.csv", ["vale/a.csv"]),
        ("vale/*.xlsx", []),
        ("vlae/*.csv", ["vlae"]),
        ("vale/sub/*/x-*.csv", ["vale/sub"]),
        ("v*/*.csv", ["vale/a.csv"]),
        ("lake*/*.csv", []),
    ],
)
@pytest.mark.parametrize("absolute", [False, True])
def test_a_pattern_names_sheets_or_the_folder_that_is_missing(
    tmp_path: Path, pattern: str, names: list[str], *, absolute: bool
) -> None:
    folder = tmp_path if absolute else tmp_path / "[north]"
    (folder / "vale").mkdir(parents=True)
    (folder / "vale" / "a.csv").touch()
    (folder / "vale" / "a.failed.csv").touch()
    text = f"[[job]]\nname = 'vale'\nfiles = '{f'{folder}/' if absolute else ''}{pattern}'"
    (entry,) = entries(folder, text)
    assert entry.files == tuple(folder / name for name in names)


JOB = '[[job]]\nname = "vale"\nfiles = "a.csv"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no jobs"),
        ("job = 3", "no jobs"),
        ("[jobs]\n", "jobs: a jobs file has"),
        ("[[job]]\nfiles = 'a.csv'", "[[job]] 1 has no name"),
        ("[[job]]\nname = 'vale'", "job vale: files takes names"),
        ("[[job]]\nname = 'vale'\nfiles = []", "job vale: files takes names"),
        ("[[job]]\nname = 'vale'\nfiles = [3]", "job vale: files takes names"),
        (JOB + "rat = '5/s'", "job vale: rat is not a setting: did you mean rate?"),
        (JOB + "file = 'b.csv'", "job vale: file is not a setting: name the sheets with files = ["),
        (JOB + "only-changed = 'perhaps'", "job vale: only-changed takes true or false"),
        (JOB + "json = true", "job vale: json is an option of the whole run"),
        ("[defaults]\nkey = 'x'\n" + JOB, "[defaults]: key: the API key is not a setting"),
        (JOB + JOB, "two jobs are named vale"),
        ("job = [3]", "[[job]] 1 must be a table"),
        ("defaults = 3\n" + JOB, "[defaults] must be a table"),
        ("[[job", "not TOML"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError) as raised:
        entries(tmp_path, text)
    assert words in str(raised.value)
    assert FILE_NAME in str(raised.value)


def test_jobs_are_chosen_by_name_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = "".join(f'[[job]]\nname = "{name}"\nfiles = "{name}.csv"\n' for name in ("a", "bb", "c"))
    found = entries(tmp_path, text)
    assert [one.name for one in chosen(found, ["c", "a"], tmp_path)] == ["a", "c"]
    assert chosen(found, [], tmp_path) == found
    with pytest.raises(UsageError, match="has no job bbb: did you mean bb"):
        chosen(found, ["a", "bbb"], tmp_path)


def test_a_file_that_lies_in_the_current_folder_is_read_only_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    user = tmp_path / "config"
    Path(FILE_NAME).touch()
    with pytest.raises(UsageError, match="in this folder is read only by name"):
        jobs_file(None, user)
    user.mkdir()
    (user / FILE_NAME).touch()
    assert jobs_file(None, user) == user / FILE_NAME
    assert jobs_file(Path("x.toml"), user) == Path("x.toml")


def test_a_file_that_others_can_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_text(JOB, encoding="utf-8")
    path.chmod(0o666)
    with pytest.raises(UsageError, match="others can write this file"):
        read_jobs(path, OPTIONS, FOR_RUN, {})
