"""`{date}` and `{time}` in the names of outputs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.clock import SystemClock
from bulk_sync.errors import UsageError
from bulk_sync.job.store import Store
from bulk_sync.model.names import check_dated, dated_name, is_dated, matches_dated
from bulk_sync.run.dated import as_last_named, dated, note_names, of_last_run
from bulk_sync.settings.composed import part
from bulk_sync.settings.files import Files
from bulk_sync.settings.outputs import Outputs
from bulk_sync.settings.push import PushSettings
from bulk_sync.settings.reconcile import ReconcileSettings
from tests.unit.checkpoints import stage

NIGHT = datetime(2026, 3, 4, 23, 59, 5, tzinfo=timezone(timedelta(hours=-6)))
CHECKPOINT = "x.checkpoint.sqlite"


class At(SystemClock):
    """A clock that stands at a moment."""

    def __init__(self, moment: datetime) -> None:
        self._moment = moment

    def now(self) -> datetime:
        """Return the moment."""
        return self._moment.astimezone(UTC)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("x.csv", "x.csv"),
        ("x.{date}.csv", "x.2026-03-04.csv"),
        ("{date}-{time}-{date}.html", "2026-03-04-23-59-05-2026-03-04.html"),
        ("{folder}/x.{time}.csv", "{folder}/x.23-59-05.csv"),
    ],
)
def test_names_have_date_and_time_of_their_zone(name: str, wanted: str) -> None:
    check_dated(Path(name))
    assert dated_name(Path(name), NIGHT) == Path(wanted)
    assert is_dated(Path(name)) == (name != wanted)


@pytest.mark.parametrize("option", ["results", "page"])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("x.{day}.csv", "'{day}' in 'x.{day}.csv' is nothing that can be filled in"),
        ("x.{date.csv", "'{' in"),
        ("x.date}.csv", "'}' in"),
        ("x.{}.csv", "'{}' in"),
        ("x.{{date}}.csv", "'{' in"),
        ("x.{Date}.csv", "'{Date}' in"),
        ("{date}/x.csv", "not of its folder"),
    ],
)
def test_other_braces_are_refused(option: str, name: str, words: str) -> None:
    with pytest.raises(UsageError) as error:
        PushSettings(input="x.csv", sandbox=True, **{option: name})
    assert words in str(error.value)
    assert str(error.value).startswith(f"--{option}: ")


@given(
    st.datetimes(datetime(1970, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - as it takes them
    st.sampled_from(["a{date}.csv", "{time}", "{date}x{time}"]),
)
def test_a_pattern_matches_its_names_and_no_others(moment: datetime, pattern: str) -> None:
    name = dated_name(Path("in", pattern), moment)
    assert matches_dated(Path("in", pattern), name)
    assert not matches_dated(Path("in", pattern), name.with_name(f"x{name.name}"))
    assert not matches_dated(Path("elsewhere", pattern), name)
    assert not matches_dated(Path("in", pattern), Path("in", pattern))


def test_a_run_names_all_of_its_files_by_its_start() -> None:
    given = PushSettings(
        input="-", sandbox=True, results="r.{date}.csv", page="{time}.html", checkpoint=CHECKPOINT
    )
    at = NIGHT.astimezone()
    used = dated(given, At(NIGHT))
    assert used.files.results == Path(f"r.{at:%Y-%m-%d}.csv")
    assert used.files.failed == Path(f"r.{at:%Y-%m-%d}.failed.csv")
    assert used.files.page == Path(f"{at:%H-%M-%S}.html")
    assert used.outputs != given.outputs
    compared = dated(
        ReconcileSettings(input="a.csv", with_="b.csv", results="{date}.csv"), At(NIGHT)
    )
    assert compared.outputs.results == Path(f"{at:%Y-%m-%d}.csv")


def test_a_sheet_with_braces_in_its_name_keeps_them() -> None:
    given = PushSettings(input="a{date}.csv", sandbox=True)
    assert dated(given, At(NIGHT)).files == given.files
    assert given.files.results == Path("a{date}.results.csv")


def test_later_commands_are_about_the_files_of_the_last_run(tmp_path: Path) -> None:
    place = tmp_path / CHECKPOINT
    given = part(Outputs, {"results": tmp_path / "{date}.csv", "page": tmp_path / "p.html"})
    days = [NIGHT, NIGHT + timedelta(days=1), NIGHT + timedelta(days=9)]
    first, second, today = (day.astimezone().strftime("%Y-%m-%d.csv") for day in days)
    assert of_last_run(given, place, At(days[2])).results == tmp_path / today  # nothing is known
    with Store.open(place) as store:
        stage(store, [("a", "4")])
        for day in days[:2]:
            settings = PushSettings(input=tmp_path / "x.csv", sandbox=True, results=given.results)
            note_names(store, dated(settings, At(day)).files)
    found = of_last_run(given, place, At(days[2]))
    assert (found.results, found.page) == (tmp_path / second, tmp_path / "p.html")
    assert first != second
    other = part(Outputs, {"results": tmp_path / "other.{date}.csv"})
    assert of_last_run(other, place, At(days[2])).results == tmp_path / f"other.{today}"
    job = Files.of(tmp_path / "x.csv")
    assert as_last_named(job, Outputs()).results.absolute() == tmp_path / second
    named = Outputs(results=tmp_path / "r.csv")
    assert as_last_named(Files.of(tmp_path / "x.csv", results=named.results), named).results == (
        named.results
    )
    unknown = Files.of(tmp_path / "unknown.csv")
    assert as_last_named(unknown, Outputs()) == unknown


def test_the_last_names_are_those_of_the_last_run_not_of_the_first_to_have_them(
    tmp_path: Path,
) -> None:
    place = tmp_path / CHECKPOINT
    with Store.open(place) as store:
        stage(store, [("a", "4")])
        for name in ("a.csv", "b.csv", "a.csv"):
            note_names(store, Files.of(tmp_path / "x.csv", results=tmp_path / name))
    found = as_last_named(Files.of(tmp_path / "x.csv"), Outputs())
    assert (found.results.absolute(), found.page) == (tmp_path / "a.csv", None)
