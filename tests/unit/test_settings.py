from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from bulk_sync.errors import UsageError
from bulk_sync.quantities import Rate, Share, parse_duration, parse_latency, parse_rate, parse_share
from bulk_sync.settings import Files, PushSettings, check_base_url, read_key
from tests.helpers import KEY


@pytest.mark.parametrize(
    ("text", "per_second"), [("50/s", 50), ("600/m", 10), ("5000/h", 5000 / 3600), ("0.5/s", 0.5)]
)
def test_rates(text: str, per_second: float) -> None:
    rate = parse_rate(text)
    assert rate.per_second == pytest.approx(per_second)
    assert str(rate) == text


@pytest.mark.parametrize(
    "text", ["0/s", "-1/s", "nan/s", "10", "10/d", "1e9/s", "999999/s", "", "٣/s"]
)
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError, match=r"50/s|range"):
        parse_rate(text)


def test_a_rate_of_another_period_has_a_name() -> None:
    assert str(Rate(5, 10)) == "5/10s"


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("5h30m", 19800), ("1m30s", 90)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1s", "1d", "h"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="15m"):
        parse_duration(text)


def test_shares_of_rows() -> None:
    assert parse_share("20") == Share(count=20)
    assert parse_share("2.5%") == Share(percent=2.5)
    assert Share(count=20).exceeded_by(21, 1000)
    assert not Share(count=20).exceeded_by(20, 1000)
    assert Share(percent=50).exceeded_by(3, 5)
    assert not Share(percent=50).exceeded_by(2, 4)
    assert not Share(percent=0).exceeded_by(0, 0)
    for text in ("101%", "1.5", "-3", "many"):
        with pytest.raises(ValueError, match="5%"):
            parse_share(text)


def test_latencies() -> None:
    assert parse_latency("50ms") == 0.05
    assert parse_latency("1.5s") == 1.5
    with pytest.raises(ValueError, match="50ms"):
        parse_latency("50")


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://api.example.com", "https://api.example.com"),
        ("https://api.example.com/", "https://api.example.com"),
        ("https://api.example.com/v1/", "https://api.example.com"),
        ("https://proxy.example.com/north/", "https://proxy.example.com/north"),
        ("http://localhost:8787", "http://localhost:8787"),
        ("http://[::1]:8787", "http://[::1]:8787"),
        ("http://127.9.9.9", "http://127.9.9.9"),
    ],
)
def test_base_urls(text: str, url: str) -> None:
    assert check_base_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "api.example.com",
        "ftp://api.example.com",
        "http://api.example.com",
        "http://10.0.0.1",
        "https://user:secret@api.example.com",
        "https://api.example.com?x=1",
        "https://api.example.com:port",
        "https://",
        "user:secret@api.example.com",
    ],
)
def test_what_is_no_base_url(text: str) -> None:
    with pytest.raises(ValueError, match=r"base URL|https") as raised:
        check_base_url(text)
    assert "secret" not in str(raised.value) or not text.startswith("https")


def settings(**changes: object) -> PushSettings:
    return PushSettings.checked(
        **{"input": Path("a/showings.csv"), "key": SecretStr(KEY), **changes}
    )


def test_files_are_named_after_the_input() -> None:
    files = settings().files
    assert files.results == Path("a/showings.results.csv")
    assert files.failed == Path("a/showings.failed.csv")
    assert files.checkpoint == Path("a/showings.checkpoint.sqlite")
    assert Files.of(Path("a/export.2026"), out=Path("b")).results == Path(
        "b/export.2026.results.csv"
    )
    named = settings(results=Path("r.csv"), checkpoint=Path("c.db")).files
    assert (named.results, named.checkpoint) == (Path("r.csv"), Path("c.db"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"workers": 0}, "--workers"),
        ({"workers": 10_000}, "--workers"),
        ({"transport": "reqwest"}, "--transport"),
        ({"timeout_seconds": 0}, "--timeout"),
        ({"timeout_seconds": float("nan")}, "--timeout"),
        ({"max_attempts": 0}, "--max-attempts"),
        ({"limit": 0}, "--limit"),
        ({"base_url": "nowhere"}, "--base-url"),
        ({"key": SecretStr("short")}, "API key"),
        ({"key": SecretStr("north_sk_test_with a blank")}, "API key"),
        ({"key": SecretStr("north_sk_test_naïve_key")}, "API key"),
        ({"key": SecretStr("north_sk_test_line\nbreak")}, "API key"),
        ({"unknown": 1}, "--unknown"),
    ],
)
def test_settings_out_of_range_are_refused_with_the_option_named(
    change: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError) as raised:
        settings(**change)
    assert words in str(raised.value)
    assert "north_sk" not in str(raised.value).replace("north_sk_live_...", "")


def test_the_key_comes_from_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(KEY + "\n", encoding="utf-8")
    path.chmod(0o644)
    with pytest.raises(UsageError, match="chmod 600"):
        read_key(path, {})
    path.chmod(0o600)
    assert read_key(path, {}).get_secret_value() == KEY


def test_without_a_key_the_sentence_says_where_to_put_it(tmp_path: Path) -> None:
    for environ in ({}, {"NORTH_API_KEY": " "}):
        with pytest.raises(UsageError, match="NORTH_API_KEY"):
            read_key(None, environ)
    with pytest.raises(UsageError, match="No such file"):
        read_key(tmp_path / "none", {})
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "binary").chmod(0o600)
    with pytest.raises(UsageError, match="not a text file"):
        read_key(tmp_path / "binary", {})
