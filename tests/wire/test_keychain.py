"""API keys in the system's keychain: stored, used, removed, and never shown."""

from __future__ import annotations

import io
import os
import pty
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import keyring
import pytest
from keyring import errors
from keyring.backend import KeyringBackend
from keyring.backends import fail, null

from bulk_sync import keychain
from bulk_sync.errors import install_with
from tests.conftest import Program
from tests.faultserver import all_good, fault_server
from tests.helpers import KEY, environment, numbered, started, write_sheet

OTHER_KEY = KEY.replace("c4n4ry", "0th3r0")


class MemoryKeyring(KeyringBackend):
    """A keychain that lasts as long as its test; `instead` takes the place of every answer."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.keys: dict[tuple[str, str], str] = {}
        self.instead: Callable[[], None] = lambda: None

    def get_password(self, service: str, username: str) -> str | None:
        self.instead()
        return self.keys.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.instead()
        self.keys[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self.instead()
        del self.keys[service, username]


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryKeyring]:
    monkeypatch.delenv("NORTH_API_KEY")
    before, backend = keyring.get_keyring(), MemoryKeyring()
    keyring.set_keyring(backend)
    yield backend
    keyring.set_keyring(before)


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    return write_sheet(tmp_path / "x.csv", numbered(2))


def pipe(monkeypatch: pytest.MonkeyPatch, text: str | bytes) -> None:
    raw = text.encode() if isinstance(text, str) else text
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw), "utf-8"))


@pytest.mark.parametrize("around", ["{}", "{}\n", "{}\r\n", "\ufeff{}\r\n"])
def test_a_key_from_standard_input_is_sent_with(
    program: Program,
    stored: MemoryKeyring,
    sheet: Path,
    monkeypatch: pytest.MonkeyPatch,
    around: str,
) -> None:
    pipe(monkeypatch, around.format(KEY))
    ran = program("key", "set", "Vale Realty")
    assert (ran.code, ran.err) == (0, "")
    assert "Stored the key of Vale Realty" in ran.out
    assert "bulk-sync doctor --keychain 'Vale Realty'" in ran.out
    assert KEY not in ran.out
    assert stored.keys == {("bulk-sync", "Vale Realty"): KEY}
    with fault_server(all_good) as journal:
        ran = program("push", sheet, "--base-url", journal.base_url, "--keychain", "Vale Realty")
    assert ran.code == 0, ran.err
    assert {request.headers["authorization"] for request in journal.requests} == {f"Bearer {KEY}"}
    written = [path.read_bytes() for path in sheet.parent.rglob("*") if path.is_file()]
    assert not any(KEY.encode() in content for content in written)


def test_a_key_is_replaced_and_removed(
    program: Program, stored: MemoryKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, verb in ((OTHER_KEY, "Stored"), (KEY, "Replaced")):
        pipe(monkeypatch, key)
        assert verb in program("key", "set", "vale").out
        assert stored.keys == {("bulk-sync", "vale"): key}
    ran = program("key", "remove", " vale ")
    assert (ran.code, stored.keys) == (0, {})
    assert "still valid" in ran.out
    ran = program("key", "remove", "vale")
    assert (ran.code, ran.out) == (2, "")
    assert "no key is stored" in ran.err


def test_a_name_is_one_however_its_accents_were_typed(
    program: Program, stored: MemoryKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe(monkeypatch, KEY)
    program("key", "set", "Orle\u0301ans")
    assert list(stored.keys) == [("bulk-sync", "Orl\u00e9ans")]
    program("key", "remove", "Orl\u00e9ans")
    assert not stored.keys


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no key was given"),
        ("\r\n", "no key was given"),
        ("short", "not a North API key"),
        (f"{KEY} {KEY}", "not a North API key"),
        (f"{KEY}\n{KEY}", "not a North API key"),
        (KEY * 100, "not a North API key"),
        (KEY.encode() + b"\xff", "not text"),
    ],
)
def test_no_other_text_is_stored(
    program: Program,
    stored: MemoryKeyring,
    monkeypatch: pytest.MonkeyPatch,
    text: str | bytes,
    words: str,
) -> None:
    pipe(monkeypatch, text)
    ran = program("key", "set", "vale")
    assert (ran.code, ran.out, stored.keys) == (2, "", {})
    assert words in ran.err
    assert KEY not in ran.err


@pytest.mark.parametrize("action", ["set", "remove"])
@pytest.mark.parametrize("name", [KEY, " ", "a\nb"])
def test_a_key_has_a_name_and_is_none(
    program: Program, stored: MemoryKeyring, action: str, name: str
) -> None:
    ran = program("key", action, name)
    assert (ran.code, ran.out, stored.keys) == (2, "", {})
    assert "takes the name of a key" in ran.err
    assert KEY not in ran.err


def test_a_key_on_the_command_line_is_refused(program: Program, stored: MemoryKeyring) -> None:
    ran = program("key", "set", "vale", KEY)
    assert (ran.code, ran.out, stored.keys) == (2, "", {})
    assert KEY not in ran.err


OTHER_PROGRAMS_BACKEND = f"""
from keyring.backends.null import Keyring as Null

KEYS = {{("bulk-sync", "vale"): {KEY!r}}}

class Keyring(Null):
    priority = 1

    def get_password(self, service, username):
        return KEYS.get((service, username))

    def set_password(self, service, username, password):
        KEYS[service, username] = password
"""


def with_a_backend(folder: Path) -> dict[str, str]:
    """The environment of a program whose keychain has the key of vale, and lasts as long as it."""
    folder.mkdir()
    (folder / "for_a_test.py").write_text(OTHER_PROGRAMS_BACKEND, encoding="utf-8")
    return environment(
        NORTH_API_KEY=OTHER_KEY,
        PYTHON_KEYRING_BACKEND="for_a_test.Keyring",
        PYTHONPATH=str(folder),
    )


def test_a_terminal_shows_no_key(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    with started(
        *("key", "set", "hill"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env=with_a_backend(tmp_path / "backend"),
    ) as running:
        os.close(theirs)
        seen = b""
        while b"shown): " not in seen:
            seen += os.read(ours, 1000)
        os.write(ours, OTHER_KEY.encode() + b"\n")
        while b"Stored the key of hill" not in seen:
            seen += os.read(ours, 1000)
        assert running.wait(120) == 0
    os.close(ours)
    assert OTHER_KEY.encode() not in seen


def test_a_program_of_its_own_reads_the_keychain(tmp_path: Path, sheet: Path) -> None:
    jobs = tmp_path / "teams.toml"
    with fault_server(all_good) as journal:
        jobs.write_text(
            f'[defaults]\nbase-url = "{journal.base_url}"\nkey-file = "none.key"\n'
            f'[[job]]\nname = "vale"\nfiles = "{sheet.name}"\nkeychain = "vale"\n',
            encoding="utf-8",
        )
        jobs.chmod(0o600)
        with started(
            *("run", "--jobs", jobs, "-v", "--log-file", tmp_path / "run.log"),
            env=with_a_backend(tmp_path / "backend"),
        ) as running:
            out, err = running.communicate(timeout=120)
    assert running.returncode == 0, err
    assert {request.headers["authorization"] for request in journal.requests} == {f"Bearer {KEY}"}
    assert KEY not in out + err + (tmp_path / "run.log").read_text("utf-8")


def locked() -> None:
    raise errors.KeyringLocked(f"no access to {KEY}")


def broken() -> None:
    raise ValueError(KEY)


def closed() -> None:
    raise errors.InitError(KEY)


@pytest.mark.parametrize(
    ("instead", "words", "code_of_set"),
    [
        (locked, "locked, or the access was denied", 2),
        (closed, "can't be opened", 2),
        (broken, "failed (ValueError)", 8),
    ],
)
def test_an_error_of_the_keychain_is_a_sentence_without_the_key(
    program: Program,
    stored: MemoryKeyring,
    sheet: Path,
    monkeypatch: pytest.MonkeyPatch,
    instead: Callable[[], None],
    words: str,
    code_of_set: int,
) -> None:
    stored.instead = instead
    pipe(monkeypatch, OTHER_KEY)
    for arguments, code in (
        (("push", sheet, "--keychain", "vale"), 2),
        (("key", "set", "vale"), code_of_set),
        (("key", "remove", "vale"), code_of_set),
    ):
        ran = program(*arguments)
        assert (ran.code, ran.out) == (code, ""), ran.err
        assert words in ran.err.replace("\n", " ")
        assert KEY not in ran.err
        assert OTHER_KEY not in ran.err


@pytest.mark.parametrize(
    ("backend", "words"),
    [(fail.Keyring, "this host has no keychain"), (null.Keyring, "no key is stored")],
)
@pytest.mark.usefixtures("stored")
def test_without_a_keychain_the_sentence_says_what_to_do_instead(
    program: Program, sheet: Path, backend: Callable[[], KeyringBackend], words: str
) -> None:
    keyring.set_keyring(backend())
    ran = program("push", sheet, "--keychain", "vale")
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err.replace("\n", " ")
    assert "--key-file" in ran.err or "bulk-sync key set vale" in ran.err


@pytest.mark.usefixtures("stored")
def test_a_keychain_that_keeps_nothing_is_an_error(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring.set_keyring(null.Keyring())  # type: ignore[no-untyped-call]
    pipe(monkeypatch, KEY)
    ran = program("key", "set", "vale")
    assert (ran.code, ran.out) == (8, "")
    assert "did not keep" in ran.err


def test_a_backend_that_can_t_be_loaded_is_a_sentence(sheet: Path) -> None:
    for name in ("no_such_module.Keyring", "json.Keyring", "nothing"):
        with started(
            *("push", sheet, "--keychain", "vale"), env=environment(PYTHON_KEYRING_BACKEND=name)
        ) as running:
            _, err = running.communicate(timeout=120)
        assert running.returncode == 2, err
        assert "PYTHON_KEYRING_BACKEND" in err


def test_without_the_extra_the_sentence_says_how_to_install_it(
    program: Program, stored: MemoryKeyring, sheet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    ran = program("push", sheet, "--keychain", "vale")
    assert (ran.code, ran.out, stored.keys) == (2, "", {})
    assert install_with("keyring") in ran.err


def test_a_keychain_that_waits_for_ever_is_not_waited_for(
    program: Program, stored: MemoryKeyring, sheet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()

    def wait() -> None:
        assert answered.wait(60)

    stored.instead = wait
    monkeypatch.setattr(keychain, "ANSWER_SECONDS", 0.1)
    ran = program("push", sheet, "--keychain", "vale")
    monkeypatch.setattr(keychain, "ANSWER_SECONDS", 600.0)  # not waited for again
    again = program("push", sheet, "--keychain", "hill")
    answered.set()
    for one in (ran, again):
        assert (one.code, one.out) == (2, "")
        assert "no answer" in one.err
    stored.keys["bulk-sync", "vale"] = KEY
    for thread in keychain._unanswered:
        thread.join(60)
    assert keychain.stored_key("vale").get_secret_value() == KEY


def test_a_key_comes_from_one_place(program: Program, stored: MemoryKeyring, sheet: Path) -> None:
    stored.instead = locked
    for other in (("--key-file", sheet), ("--key-command", "echo x")):
        ran = program("push", sheet, "--keychain", "vale", *other)
        assert (ran.code, ran.out) == (2, "")
        assert f"{other[0]} and --keychain: give one of them" in ran.err


def test_a_file_that_came_with_the_sheets_chooses_no_key(
    program: Program, stored: MemoryKeyring, sheet: Path
) -> None:
    stored.keys["bulk-sync", "vale"] = KEY
    found = sheet.parent / "bulk-sync.toml"
    found.write_text('keychain = "vale"\n', encoding="utf-8")
    found.chmod(0o600)
    ran = program("push", sheet)
    assert (ran.code, ran.out) == (2, "")
    assert "keychain is not read from the file of the current folder" in ran.err


def test_doctor_names_the_keychain_and_not_the_key(program: Program, stored: MemoryKeyring) -> None:
    stored.keys["bulk-sync", "vale"] = KEY
    with fault_server(all_good) as journal:
        ran = program("doctor", "--base-url", journal.base_url, "--keychain", "vale")
    assert ran.code == 0, ran.out
    assert "the keychain, under vale" in ran.out
    assert KEY not in ran.out


@pytest.mark.parametrize("where", ["command line", "environment", "jobs file", "defaults"])
def test_a_source_of_the_key_takes_the_place_of_one_that_is_set_farther_away(
    program: Program,
    stored: MemoryKeyring,
    sheet: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    stored.keys["bulk-sync", "vale"] = KEY
    settings = tmp_path / "config" / "bulk-sync" / "bulk-sync.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text('key-file = "none.key"\n', encoding="utf-8")
    settings.chmod(0o600)
    monkeypatch.setenv("BULK_SYNC_KEY_COMMAND", "no-such-program-of-ours")
    given: tuple[object, ...] = ("push", sheet)
    with fault_server(all_good) as journal:
        monkeypatch.setenv("BULK_SYNC_BASE_URL", journal.base_url)
        if where == "command line":
            given = ("push", sheet, "--keychain", "vale")
        elif where == "environment":
            monkeypatch.delenv("BULK_SYNC_KEY_COMMAND")
            monkeypatch.setenv("BULK_SYNC_KEYCHAIN", "vale")
        else:
            own = 'keychain = "vale"\n'
            jobs = tmp_path / "teams.toml"
            jobs.write_text(
                f"[defaults]\n{own if where == 'defaults' else ''}"
                f'[[job]]\nname = "vale"\nfiles = "{sheet.name}"\n'
                f"{own if where == 'jobs file' else ''}",
                encoding="utf-8",
            )
            jobs.chmod(0o600)
            given = ("run", "--jobs", jobs)
        ran = program(*given)
    assert ran.code == 0, ran.err
    assert {request.headers["authorization"] for request in journal.requests} == {f"Bearer {KEY}"}


def test_doctor_shows_the_source_that_is_used(
    program: Program, stored: MemoryKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.keys["bulk-sync", "vale"] = KEY
    monkeypatch.setenv("BULK_SYNC_KEY_FILE", "none.key")
    with fault_server(all_good) as journal:
        ran = program("doctor", "--base-url", journal.base_url, "--keychain", "vale")
    assert ran.code == 0, ran.out
    assert "the keychain, under vale" in ran.out
    assert "none.key" not in ran.out
