"""Options that the environment and files set: who wins, and what is refused."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.cli.catalogue import COMMANDS
from bulk_sync.cli.config import (
    FILE_NAME,
    SettingsFile,
    Sourced,
    config_files,
    read_sources,
    template,
)
from bulk_sync.errors import UsageError
from bulk_sync.settings.option import Declared, Kind

KINDS = {
    "rate": Kind.TEXT,
    "retry-for": Kind.TEXT,
    "workers": Kind.TEXT,
    "strict": Kind.FLAG,
    "verbose": Kind.COUNT,
    "map": Kind.LIST,
    "key-file": Kind.PATH,
}
PLACES = ("environment", "here", "user")


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def settings_of(*paths: Path) -> list[SettingsFile]:
    return [SettingsFile(path) for path in paths]


@given(st.sets(st.sampled_from(PLACES)))
def test_the_nearest_place_wins(tmp_path_factory: pytest.TempPathFactory, said: set[str]) -> None:
    folder = tmp_path_factory.mktemp("places")
    files = [
        written(folder / name / FILE_NAME, f'rate = "{name}"')
        for name in ("here", "user")
        if name in said
    ]
    environ = {"BULK_SYNC_RATE": "environment"} if "environment" in said else {}
    found = read_sources(KINDS, environ, settings_of(*files))
    nearest = next((place for place in PLACES if place in said), None)
    assert found.get("rate", Sourced("", "")).value == (nearest or "")


def test_both_files_are_read_and_each_value_knows_its_place(tmp_path: Path) -> None:
    here = written(tmp_path / "here" / FILE_NAME, 'rate = "10/s"')
    user = written(tmp_path / "user" / FILE_NAME, 'rate = "1/s"\nretry_for = "1h"')
    files = config_files(None, here.parent, user.parent, frozenset(KINDS))
    assert read_sources(KINDS, {}, files) == {
        "rate": Sourced("10/s", str(here)),
        "retry-for": Sourced("1h", str(user)),
    }
    named = config_files(user, here.parent, user.parent, frozenset())
    assert read_sources(KINDS, {}, named)["rate"].value == "1/s"


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("workers = 8", "workers", "8"),
        ("strict = true", "strict", True),
        ("verbose = 2", "verbose", 2),
        ('map = ["A=rating"]', "map", ["A=rating"]),
        ('[map]\n"Client said" = "feedback"', "map", ["Client said=feedback"]),
    ],
)
def test_how_a_file_says_a_value(tmp_path: Path, text: str, name: str, value: object) -> None:
    assert (
        read_sources(KINDS, {}, settings_of(written(tmp_path / FILE_NAME, text)))[name].value
        == value
    )


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("BULK_SYNC_STRICT", "yes", True),
        ("BULK_SYNC_STRICT", "0", False),
        ("BULK_SYNC_VERBOSE", "1", 1),
        ("BULK_SYNC_MAP", "Client said=feedback\nB=rating", ["Client said=feedback", "B=rating"]),
        ("BULK_SYNC_RETRY_FOR", "1h", "1h"),
    ],
)
def test_how_the_environment_says_a_value(variable: str, text: str, value: object) -> None:
    (found,) = read_sources(KINDS, {variable: text}, []).values()
    assert found == Sourced(value, variable)  # type: ignore[arg-type] # of any of the kinds


def test_paths_in_a_file_are_taken_from_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/ana")
    file = written(tmp_path / "deeper" / FILE_NAME, 'key-file = "secret/key"')
    assert read_sources(KINDS, {}, settings_of(file))["key-file"].value == str(
        tmp_path / "deeper" / "secret" / "key"
    )
    written(file, 'key-file = "~/key"')
    assert read_sources(KINDS, {}, settings_of(file))["key-file"].value == "/home/ana/key"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('raet = "1/s"', "raet is not a setting: did you mean rate?"),
        ("processes = 2", "processes is no longer a setting: it was removed, because"),
        ("strict = 3", "strict takes true or false"),
        ('workers = ["a"]', "workers takes a text or a number"),
        ("map = 3", "map takes a text or a list of texts"),
        ("map = [3]", "map takes a text or a list of texts"),
        ("key-file = 3", "key-file takes a path"),
        ("rate = 10/s", "not TOML"),
        ('key = "north_sk_test_0000"', "the API key is not a setting"),
        ('north_sk_test_0000 = "x"', "a name that looks like a key is not a setting"),
        ("rate = '\udcff'", "not UTF-8"),
    ],
)
def test_what_a_file_may_not_say(tmp_path: Path, text: str, words: str) -> None:
    file = written(tmp_path / FILE_NAME, "")
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError) as refused:
        read_sources(KINDS, {}, settings_of(file))
    assert words in str(refused.value)
    assert str(file) in str(refused.value)
    assert "north_sk" not in str(refused.value)


def test_an_unknown_variable_names_the_closest() -> None:
    with pytest.raises(
        UsageError, match=r"RETRYFOR is not a setting: did you mean BULK_SYNC_RETRY_FOR\?"
    ):
        read_sources(KINDS, {"BULK_SYNC_RETRYFOR": "1h"}, [])
    assert (
        read_sources(KINDS, {"BULK_SYNC_RATE": "", "BULK_SYNC_CONFIG": "x", "OTHER": "1"}, []) == {}
    )


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_file_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    file = written(tmp_path / FILE_NAME, 'base-url = "https://elsewhere.example.com"')
    file.chmod(mode)
    with pytest.raises(
        UsageError, match=r"others can write this file. Correct it with: chmod go-w"
    ):
        read_sources(KINDS, {}, settings_of(file))


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        config_files(tmp_path / "none.toml", tmp_path, tmp_path, frozenset())


PUSH_KINDS = {option.name: option.kind for option in COMMANDS["push"].options}
ABOUT_SHEET = frozenset(one.name for one in COMMANDS["push"].options if one.about_sheet)


def test_only_reading_and_mapping_are_about_the_sheet() -> None:
    panels = {one.panel for one in COMMANDS["push"].options if one.about_sheet}
    assert panels == {"Reading", "Mapping"}
    assert not {"base-url", "key-file", "team", "on-finish", "archive", "purge"} & ABOUT_SHEET


@pytest.mark.parametrize("option", COMMANDS["push"].options, ids=lambda one: one.name)
def test_a_file_found_in_the_folder_sets_only_what_is_about_the_sheet(
    tmp_path: Path, option: Declared
) -> None:
    value = {Kind.FLAG: "true", Kind.COUNT: "1"}.get(option.kind, '"x"')
    here = written(tmp_path / FILE_NAME, f"{option.name} = {value}")
    nowhere = tmp_path / "user"
    found = config_files(None, tmp_path, nowhere, ABOUT_SHEET)
    if option.about_sheet:
        assert option.name in read_sources(PUSH_KINDS, {}, found)
    else:
        with pytest.raises(UsageError, match=f"{option.name} is not read from the file of the"):
            read_sources(PUSH_KINDS, {}, found)
    for trusted in (
        config_files(here, tmp_path, nowhere, ABOUT_SHEET),
        config_files(None, nowhere, tmp_path, ABOUT_SHEET),
    ):
        assert option.name in read_sources(PUSH_KINDS, {}, trusted)


@pytest.mark.parametrize("path", ["../p.toml", "/etc/p.toml", "link/p.toml", "~/p.toml", "-"])
def test_a_file_found_in_the_folder_names_no_path_outside_it(tmp_path: Path, path: str) -> None:
    folder = tmp_path / "sheets"
    written(folder / FILE_NAME, f'profile = "{path}"')
    (folder / "link").symlink_to(tmp_path)
    found = config_files(None, folder, tmp_path, ABOUT_SHEET)
    with pytest.raises(UsageError, match="profile leads out of the folder"):
        read_sources(PUSH_KINDS, {}, found)
    written(folder / FILE_NAME, 'profile = "deeper/p.toml"')
    assert read_sources(PUSH_KINDS, {}, found)["profile"].value == str(folder / "deeper/p.toml")


def test_the_template_says_every_option_and_every_line_of_it_can_be_taken(tmp_path: Path) -> None:
    options = COMMANDS["push"].options
    text = template(options)
    assert tomllib.loads(text) == {}
    lines = [
        line.removeprefix("# ")
        for line in text.splitlines()
        if " = " in line and line.startswith("# ")
    ]
    said = [line for line in lines if line.split(" = ")[0] in {option.name for option in options}]
    assert len(said) == len(options) > 30
    taken = read_sources(
        {option.name: option.kind for option in options},
        {},
        settings_of(written(tmp_path / FILE_NAME, "\n".join(said))),
    )
    assert set(taken) == {option.name for option in options}
