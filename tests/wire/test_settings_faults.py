"""Settings that are wrong or that say too much: refused before anything is sent, and no secret is
repeated.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bulk_sync.address import check_base_url
from tests.conftest import Program
from tests.faultserver import Deed, all_good, always, answers, fault_server, for_keys, says
from tests.helpers import KEY, numbered, read_csv, reply, run, write_sheet


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    return write_sheet(tmp_path / "showings.csv", numbered(2))


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://api.example.com//v1", "https://api.example.com"),
        ("https://api.example.com/v1//", "https://api.example.com"),
        ("https://API.Example.com:443/v1", "https://api.example.com"),
        ("  https://api.example.com:8443 ", "https://api.example.com:8443"),
        ("https://api.example.com/north/v1/", "https://api.example.com/north"),
        ("http://LOCALHOST:80", "http://localhost"),
        ("http://[::1]:8787//", "http://[::1]:8787"),
        ("https://v1/", "https://v1"),
    ],
)
def test_base_urls_have_one_spelling(text: str, url: str) -> None:
    assert check_base_url(text) == url


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("https://me:hunter2@api.example.com", "no user name or password"),
        ("https://:hunter2@api.example.com", "no user name or password"),
        ("https://@api.example.com", "no user name or password"),
        ("me:hunter2@api.example.com", "base URL"),
        ("//me:hunter2@api.example.com", "base URL"),
        ("https://me:hunter2@api.example.com:99999", "base URL"),
        ("https://me:hun/ter2@api.example.com", "base URL"),
        ("https://me:hunter2@ho\u2100st", "base URL"),
        ("https://me:hunter2@[api", "base URL"),
        ("https://api.example.com?key=hunter2", "must not have a query or fragment"),
        ("https://api.example.com/v1?hunter2", "must not have a query or fragment"),
        ("https://api.example.com#hunter2", "must not have a query or fragment"),
        ("ftp://api.example.com?hunter2", "base URL"),
        ("http://api.example.com", "unencrypted"),
        ("http://me:hunter2@192.0.2.1", "no user name or password"),
        ("https://api.example.com/v1/showings", "before /v1"),
        ("https://api.example.com/v1/v1", "before /v1"),
        ("https://api.example.com/north//v1", "base URL"),
        ("https://api.example.com/north/../v1", "base URL"),
        ("https://api.example.com/%zz", "base URL"),
        ("https://api.exa\nmple.com", "base URL"),
        ("https://api.example.com\\north", "base URL"),
        ("https://" + "a" * 64, "base URL"),
        ("https:///v1", "base URL"),
        ("", "base URL"),
    ],
)
def test_base_urls_that_are_refused_without_a_word_of_their_secret(
    program: Program, sheet: Path, text: str, words: str
) -> None:
    ran = program("push", sheet, "--base-url", text)
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err
    assert "hunter2" not in ran.err
    assert "ter2" not in ran.err
    assert not list(sheet.parent.glob("*.checkpoint.*"))


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--rate", "0", "50/s"),
        ("--rate", "0/s", "out of range"),
        ("--rate", "-1/s", "50/s"),
        ("--rate", "1e9/s", "50/s"),
        ("--rate", "9999999/s", "out of range"),
        ("--rate", "nan/s", "50/s"),
        ("--rate", "", "50/s"),
        ("--workers", "0", "0 is less than 1: write 1 to 500"),
        ("--workers", "-3", "-3 is less than 1"),
        ("--workers", "10000", "10000 is more than 500: write 1 to 500"),
        ("--workers", "many", "'many' is not a whole number: write 1 to 500"),
        ("--workers", "1.5", "'1.5' is not a whole number"),
        ("--timeout", "0", "0 is less than 0.1: write 0.1 to 3600"),
        ("--timeout", "-1", "-1 is less than 0.1"),
        ("--timeout", "nan", "nan is not a number: write 0.1 to 3600"),
        ("--timeout", "inf", "inf is more than 3600"),
        ("--max-attempts", "0", "0 is less than 1"),
        ("--max-attempts", "101", "101 is more than 100"),
        ("--deadline", "0", "0 is not a duration above 0, such as 90s, 15m or 5h30m"),
        ("--limit", "0", "0 is less than 1"),
        ("--on-duplicate", "xyz", "'xyz' is not one of error, last, merge"),
        ("--transport", "xyz", "'xyz' is not one of auto, httptools, httpx"),
        ("--log-format", "xml", "'xml' is not one of text, json"),
        ("--settle", "soon", "15m"),
        ("--retry-for", "soon", "15m"),
        ("--retry-for", "-1s", "15m"),
        ("--retry-for", "9999h", "9999h is more than 168h: write 0s to 168h"),
        ("--max-problems", "101%", "5%"),
        ("--key", KEY, "--key"),
        ("--key-file", KEY, "not the key itself"),
        ("--token", KEY, "--token"),
    ],
)
def test_options_out_of_range_are_refused_with_the_range(
    program: Program, sheet: Path, option: str, value: str, words: str
) -> None:
    with fault_server(all_good) as journal:
        ran = program("push", sheet, "--base-url", journal.base_url, option, value)
        assert journal.requests == []
    assert (ran.code, ran.out) == (2, "")
    assert option in ran.err
    assert words in ran.err
    assert not {"Value error", "Input should", "None"} & set(re.findall(r"\w+ \w+|None", ran.err))
    assert KEY not in ran.err


@pytest.mark.parametrize("word", [KEY, f"{KEY}.csv"])
def test_a_key_among_the_arguments_is_not_repeated(
    program: Program, sheet: Path, word: str
) -> None:
    for ran in (
        program("push", word),
        program("push", sheet, word),
        program(word),
        program("status", word),
    ):
        assert ran.code in {2, 4}
        assert KEY not in ran.out + ran.err


@pytest.mark.parametrize(
    "key",
    [
        "",
        " ",
        "\n",
        KEY + "\n",
        " " + KEY,
        KEY + " x",
        "north\tsk",
        KEY + "\r\nX-Injected: 1",
        KEY + "é",
        "short",
        "x" * 513,
    ],
)
def test_a_key_that_can_not_travel_is_refused_and_not_shown(
    program: Program, sheet: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("NORTH_API_KEY", key)
    with fault_server(all_good) as journal:
        ran = program("--debug", "push", sheet, "--base-url", journal.base_url, "-vv")
        assert journal.requests == []
    assert (ran.code, ran.out) == (2, "")
    assert "key" in ran.err
    assert KEY not in ran.err


@pytest.mark.parametrize("text", [KEY, KEY + "\n", KEY + "\r\n", "\ufeff" + KEY])
def test_a_key_file_may_end_its_line_and_bear_a_mark(
    program: Program, sheet: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.delenv("NORTH_API_KEY")
    path = sheet.parent / "key"
    path.write_text(text, encoding="utf-8", newline="")
    path.chmod(0o600)
    with fault_server(all_good) as journal:
        assert program("push", sheet, "--base-url", journal.base_url, "--key-file", path).code == 0
    assert {request.headers["authorization"] for request in journal.requests} == {f"Bearer {KEY}"}


def test_files_are_private_whatever_the_umask_says(program: Program, sheet: Path) -> None:
    sheet = write_sheet(sheet, [*numbered(2), ("..", "", 1)])
    before = os.umask(0)
    try:
        with fault_server(all_good) as journal:
            program("push", sheet, "--base-url", journal.base_url)
    finally:
        os.umask(before)
    made = [path for path in sheet.parent.iterdir() if path != sheet]
    assert len(made) >= 3
    assert {path.stat().st_mode & 0o777 for path in made if path.is_file()} == {0o600}
    kept = [*(sheet.parent / "state").rglob("*")]
    assert {path.stat().st_mode & 0o077 for path in (sheet.parent / "state", *kept)} == {0}
    assert any(path.is_file() for path in kept)


def test_check_asks_nobody_and_judges_as_push_does(program: Program, sheet: Path) -> None:
    rows = [
        *numbered(3),
        ("..", "a step", 1),
        ("ext_9", "six", 6),
        ("", "no key", 1),
        ("ext_1", "twice", 2),
    ]
    write_sheet(sheet, rows)
    with fault_server(all_good) as journal:
        checked = program("check", sheet, "--json", "--max-problems", "100%").summary
        assert journal.requests == []
        pushed = program(
            "push", sheet, "--json", "--base-url", journal.base_url, "--max-problems", "100%"
        ).summary
    assert checked["states"]["invalid"] == pushed["states"]["invalid"] == 5
    assert checked["problems"] == pushed["problems"]


ECHOES: dict[str, Callable[[int], Deed]] = {
    "a body": lambda status: answers(status, {"error": {"message": f"you sent {KEY}"}}),
    "a body of an acknowledgement": lambda status: answers(
        status, {"data": {"id": KEY, "updated_at": KEY}, "message": KEY}
    ),
    "headers": lambda status: answers(
        status,
        None,
        f"Location: https://example.com/?{KEY}",
        f"Content-Type: {KEY}",
        f"X-{KEY}: {KEY}",
        f"Date: {KEY}",
    ),
    "an encoding": lambda status: answers(status, None, f"Content-Encoding: {KEY}"),
    "a reason": lambda status: says(
        reply(status, b"{}").replace(b" X\r\n", f" {KEY}\r\n".encode(), 1)
    ),
    "a wait": lambda status: answers(status, None, f"Retry-After: {KEY}"),
}


@pytest.mark.parametrize(
    ("echo", "verbosity"),
    [*((echo, "-vv") for echo in ECHOES), ("a body", "--quiet"), ("a body", "--json")],
)
@pytest.mark.parametrize("statuses", [(200, 422, 503), (401,), (429,)], ids=str)
def test_a_key_that_the_server_throws_back_is_kept_nowhere(
    program: Program, sheet: Path, echo: str, verbosity: str, statuses: tuple[int, ...]
) -> None:
    rows = [key for key, *_ in numbered(1 + len(statuses))]
    write_sheet(sheet, numbered(len(rows)))
    out = sheet.parent / "out"
    echoes = [always(ECHOES[echo](status)) for status in statuses]
    script = for_keys(dict(zip(rows[1:], echoes, strict=True)))  # the first finds the API well
    with fault_server(script) as journal:
        bounds = (
            "--max-attempts",
            1,
            "--retry-for",
            "0s",
            "--max-wait",
            "0s",
            "--max-failures",
            "100%",
        )
        push = ("push", sheet, "--base-url", journal.base_url, *bounds, "--out", out)
        ran = program("--debug", *push, verbosity)
    assert ran.code in {0, 3, 5, 6}
    assert set(journal.patched) == set(rows)
    shown = program("status", sheet, "--out", out)
    texts = [part.encode() for one in (ran, shown) for part in (one.out, one.err)]
    texts += [path.read_bytes() for path in out.iterdir()]
    assert not any(KEY.encode() in text or KEY[:30].encode() in text for text in texts)


@pytest.mark.slow  # two processes' own locale
def test_without_a_locale_and_a_terminal_all_is_plain_text(
    sheet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sheet(sheet, [("ключ", "Schön – 👍", 5), ("ext_é", "no", 9)])
    for name, value in (("LC_ALL", "C"), ("PYTHONCOERCECLOCALE", "0"), ("PYTHONUTF8", "0")):
        monkeypatch.setenv(name, value)
    with fault_server(
        always(answers(422, {"error": {"message": "не так \u202e\x1b[31m"}}))
    ) as journal:
        ran = run("push", sheet, "--base-url", journal.base_url, "-v")
        again = run("status", sheet, "--json")
    assert ran.code == 3, ran.err
    assert (ran.out + ran.err + again.out).isascii()
    assert "\x1b" not in ran.out + ran.err
    assert again.summary["states"]["rejected"] == 1
    results = read_csv(sheet.with_name("showings.results.csv"))
    assert [line["unique_showing_key"] for line in results] == ["ключ", "ext_é"]
    assert "не так" in results[0]["message"]
