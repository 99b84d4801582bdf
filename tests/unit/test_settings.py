from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from bulk_sync.errors import UsageError
from bulk_sync.settings.files import Files
from bulk_sync.settings.push import PushSettings
from tests.helpers import KEY


def settings(**changes: object) -> PushSettings:
    return PushSettings(**{"input": Path("a/showings.csv"), "key": SecretStr(KEY), **changes})


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
        ({"unknown": 1}, "unknown is not a setting"),
    ],
)
def test_settings_out_of_range_are_refused_with_the_option_named(
    change: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError) as raised:
        settings(**change)
    assert words in str(raised.value)
    assert "north_sk" not in str(raised.value).replace("north_sk_live_...", "")
