from __future__ import annotations

import re
from datetime import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from bulk_sync.address import SANDBOX_TARGET
from bulk_sync.errors import UsageError
from bulk_sync.quantities import Rate, Share
from bulk_sync.secret import SANDBOX_KEY
from bulk_sync.settings.files import Files
from bulk_sync.settings.pacing import Pacing
from bulk_sync.settings.push import PushSettings
from bulk_sync.settings.reconcile import ReconcileSettings
from bulk_sync.settings.sending import Sending
from bulk_sync.settings.sheet import SheetSettings
from bulk_sync.settings.stopping import Stopping
from tests.helpers import KEY

EST = (
    "--timezone: 'est' is an abbreviation; name the area: America/New_York (US Eastern); "
    "without daylight saving time it is America/Panama"
)


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
    assert not re.search(r"north_sk_(live|test)_\w", str(raised.value))


def test_flat_arguments_are_what_people_type() -> None:
    made = settings(
        rate="10/s",
        max_failures="5%",
        max_problems=20,
        deadline="2h",
        max_wait="1h",
        retry_for="15m",
        finish_by="9:30 PM",
        timeout=2,
        map=["Client said=feedback"],
        out="results",
    )
    assert made.pacing == Pacing(rates=(Rate(10, 1),), max_wait_seconds=3600)
    assert made.stopping == Stopping(
        max_failures=Share(percent=5),
        max_problems=Share(count=20),
        deadline_seconds=7200,
        finish_by=time(21, 30),
    )
    assert made.sending == Sending(retry_for_seconds=900, timeout_seconds=2)
    assert made.meaning.map == {"Client said": "feedback"}
    assert made.files.results == Path("results/showings.results.csv")


def test_parts_may_be_given_whole_and_are_validated_too() -> None:
    made = settings(sending=Sending(workers=8), timeout="3")
    assert made.sending == Sending(workers=8, timeout_seconds=3)
    with pytest.raises(UsageError, match=r"^--workers: 0 is less than 1: write 1 to 500$"):
        settings(sending=Sending(workers=0))


def test_a_changed_copy_keeps_the_rest() -> None:
    made = settings(rate="10/s", deadline="2h", map={"A": "rating"}).changed(
        input="b.csv", deadline=None
    )
    assert made.reading.input == Path("b.csv")
    assert made.stopping.deadline_seconds is None
    assert (made.pacing.rates, made.meaning.map) == ((Rate(10, 1),), {"A": "rating"})


def test_settings_survive_json_as_they_are_typed() -> None:
    made = SheetSettings(
        input="x.csv",
        rate=["10/s", "9000/d"],
        leave="5%",
        default_time="9:00 AM",
        map={"A": "rating"},
        finish_by="06:00",
    )
    dumped = made.model_dump(mode="json")
    assert dumped["pacing"] == {
        "rates": ["10/s", "9000/d"],
        "leave": "5%",
        "max_wait_seconds": "2h",
    }
    assert SheetSettings(**dumped) == made


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"on_duplicate": "xyz"}, "--on-duplicate: 'xyz' is not one of error, last, merge"),
        ({"deadline": "0"}, "--deadline: 0 is not a duration above 0, such as 90s, 15m or 5h30m"),
        ({"rate": [3]}, "--rate: 3 is not a rate, such as 50/s, 600/m, 5000/h or 9000/d"),
        ({"strict": "perhaps"}, "--strict: 'perhaps' is not true or false"),
        ({"out": 3}, "--out: 3 is not a path"),
        ({"sheet": 3}, "--sheet: 3 is not a text"),
        ({"wokers": 3}, "wokers is not a setting: did you mean workers?"),
        (
            {"workers": 0, "limit": 0},
            (
                "--limit: 0 is less than 1: write 1 or more; --workers: 0 is less than 1: "
                "write 1 to 500"
            ),
        ),
        (
            {"timezone": "CST"},
            "--timezone: 'CST' is an abbreviation; name the area: America/Chicago (US Central)",
        ),
        (
            {"timezone": "est"},
            EST,
        ),
        (
            {"clear": ""},
            (
                "--clear: a blank cell clears nothing; a profile can say so for a field: blank = "
                '"clear"'
            ),
        ),
    ],
)
def test_sentences_about_wrong_values(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError) as raised:
        settings(**change)
    assert str(raised.value) == sentence


def test_without_input_and_key() -> None:
    with pytest.raises(UsageError) as raised:
        PushSettings()
    assert str(raised.value) == "input is missing; API key is missing"


def test_the_key_may_be_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(KEY, encoding="utf-8")
    path.chmod(0o600)
    made = PushSettings(input="x.csv", key_file=path)
    assert made.key.get_secret_value() == KEY
    assert KEY not in repr(made)


def test_a_rehearsal_has_its_own_target_and_key() -> None:
    made = PushSettings(input="x.csv", sandbox=True, base_url="https://api.example.com")
    assert (made.target.base_url, made.key) == (SANDBOX_TARGET, SANDBOX_KEY)


def test_the_other_side_of_a_comparison(tmp_path: Path) -> None:
    profile, other = tmp_path / "here.toml", tmp_path / "there.toml"
    profile.write_text(
        'clear = "-"\n[read]\ndelimiter = ";"\n[map]\nA = "rating"\n"column 4" = ""\n'
    )
    other.write_text('[read]\ndelimiter = "|"\n')
    given = {
        "input": "here.csv",
        "with_": "there.csv",
        "profile": profile,
        "map": ["B=feedback", "column 3=title"],  # the place is one of FILE
        "timezone": "America/Chicago",
        "strict": True,
        "max_problems": "7",
    }
    shared = ReconcileSettings(**given, base="monday.csv")
    assert shared.there is not None
    assert shared.snapshot is not None
    assert shared.snapshot == shared.there.changed(input="monday.csv")
    assert shared.there.reading.delimiter is None  # the layout of FILE is not that of an export
    meaning = shared.there.meaning
    assert (meaning.clear, meaning.timezone, meaning.strict) == (None, "America/Chicago", False)
    assert (meaning.map, meaning.map_hints) == ({}, {"A": "rating", "B": "feedback"})
    assert shared.there.stopping.max_problems == Share(count=7)
    own = ReconcileSettings(**given, with_profile=other)
    assert own.there is not None
    assert (own.there.reading.delimiter, own.there.meaning.clear) == ("|", None)
    ledger = ReconcileSettings(**given | {"with_": "ledger"}, push=True)
    assert (ledger.there, ledger.snapshot, ledger.changes) == (None, None, None)
    pushed = ReconcileSettings(**given, push=True, out="out")
    assert pushed.changes == Path("out/here.changes.csv")
    with pytest.raises(UsageError, match="--map: 'B'"):
        ReconcileSettings(**given | {"map": ["B"]})


@pytest.mark.parametrize(
    ("given", "rates"),
    [
        ("10/s", (Rate(10, 1),)),
        (["10/s", "1000/h"], (Rate(10, 1), Rate(1000, 3600))),
        ("10/s, 9000/d", (Rate(10, 1), Rate(9000, 86400))),
        (["auto", "10/s"], (Rate(10, 1),)),
        ("auto", ()),
        (None, ()),
        ((), ()),
        (Rate(5, 1), (Rate(5, 1),)),
        ([Rate(5, 1), "5/s"], (Rate(5, 1),)),
    ],
)
def test_every_rate_holds(given: object, rates: tuple[Rate, ...]) -> None:
    assert settings(rate=given).pacing.rates == rates


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rate": ["10/s", "fast"]}, "--rate: 'fast' is not a rate"),
        ({"rate": "0.5/d"}, "write 1/d to 100000/s"),
        ({"rate": {"10/s": 1}}, "--rate: this is not a rate"),
        ({"leave": "100%"}, "--leave: '100%' leaves no request to send"),
        ({"leave": "-1"}, "--leave: '-1' is neither a number (20) nor a share (5%)"),
        ({"max_wait": "169h"}, "--max-wait: 169h is more than 168h: write 0s to 168h"),
    ],
)
def test_limits_of_the_limits(change: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError) as raised:
        settings(**change)
    assert words in str(raised.value)


REPORT = "550e8400-e29b-41d4-a716-446655440000"


def test_a_report_is_a_uuid_in_any_case() -> None:
    creating = settings(create_missing=True, report=f" {REPORT.upper()} ").creating
    assert (creating.create_missing, creating.report) == (True, REPORT)
    assert settings(report=REPORT).creating.create_missing is False  # as a file may set it
    with pytest.raises(UsageError, match="--report: 'Main Street' is not the id of a report"):
        settings(report="Main Street")


@pytest.mark.parametrize(("create", "needed"), [(False, {"update"}), (True, {"update", "create"})])
def test_the_permissions_that_a_push_needs(create: bool, needed: set[str]) -> None:
    assert settings(create_missing=create).creating.permissions == needed
