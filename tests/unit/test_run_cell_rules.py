"""The rules of cells, and the digest that a job knows them by."""

from __future__ import annotations

from datetime import time
from pathlib import Path

import pytest
import tzlocal

from bulk_sync.errors import UsageError
from bulk_sync.run.cell_rules import digest_of_settings, rules_of, wants_byte_order_mark
from bulk_sync.settings.meaning import Meaning
from bulk_sync.settings.reading import Reading

READING = Reading(input=Path("x.csv"))


def digest(
    reading: Reading = READING,
    meaning: Meaning | None = None,
    zone: str | None = "UTC",
    encoding: str | None = "UTF-8",
) -> str:
    return digest_of_settings(reading, meaning or Meaning(), zone, encoding)


def test_the_clearing_text_of_a_field_is_one_more_than_that_of_all() -> None:
    rules = rules_of(Meaning(timezone="UTC", clear=" n/a", field_clears={"rating": "- "})).rules
    assert rules.clear["feedback"] == {"n/a"}
    assert rules.clear["rating"] == {"n/a", "-"}


@pytest.mark.parametrize("field", ["unique_showing_key", "id", "report_id"])
def test_no_cell_clears_what_a_row_is_about(field: str) -> None:
    with pytest.raises(UsageError, match="names the showing or its report"):
        rules_of(Meaning(timezone="UTC", field_clears={field: "-"}))
    with pytest.raises(UsageError, match="names the showing or its report"):
        rules_of(Meaning(timezone="UTC", blank_clears=(field,)))


def test_a_blank_is_no_text_that_clears() -> None:
    with pytest.raises(UsageError, match='blank = "clear"'):
        rules_of(Meaning(timezone="UTC", field_clears={"rating": " "}))


def test_a_field_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match="no_such_field"):
        rules_of(Meaning(timezone="UTC", field_clears={"no_such_field": "-"}))
    with pytest.raises(UsageError, match="no_such_field"):
        rules_of(Meaning(timezone="UTC", blank_clears=("no_such_field",)))


def test_a_machine_without_a_time_zone_of_a_name_has_no_zone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nameless() -> object:
        raise LookupError

    monkeypatch.setattr(tzlocal, "get_localzone", nameless)
    cells = rules_of(Meaning())
    assert (cells.zone_name, cells.rules.timezone) == (None, None)


@pytest.mark.parametrize(
    "other",
    [
        Meaning(map={"A": "rating"}),
        Meaning(clear="n/a"),
        Meaning(field_clears={"rating": "-"}),
        Meaning(blank_clears=("rating",)),
        Meaning(default_time=time(9)),
        Meaning(date_order="dmy"),
        Meaning(on_duplicate="last"),
    ],
)
def test_what_decides_about_patches_changes_the_digest(other: Meaning) -> None:
    assert digest(meaning=other) != digest()


def test_another_layout_or_zone_changes_the_digest() -> None:
    assert digest(Reading(input=Path("x.csv"), limit=3)) != digest()
    assert digest(zone="America/Chicago") != digest()


def test_names_of_files_do_not_change_the_digest() -> None:
    assert digest(Reading(input=Path("y.csv"))) == digest()
    assert digest(meaning=Meaning(profile=Path("agency.toml"))) == digest()


@pytest.mark.parametrize(("encoding", "marked"), [("UTF-8", False), ("cp1252", True), (None, True)])
def test_who_brought_plain_utf_8_gets_no_byte_order_mark(
    encoding: str | None, marked: bool
) -> None:
    assert wants_byte_order_mark(digest(encoding=encoding)) is marked
