"""Dates and times, alone and as the row completes them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.check.cells import BadCell
from bulk_sync.check.evidence import Sign
from bulk_sync.check.moments import Written, read_moment, read_start
from bulk_sync.check.rules import DateOrder
from bulk_sync.model.findings import Example
from bulk_sync.model.problems import Expected, Remedy
from bulk_sync.model.rows import Cell, Problem, Record, Row
from tests.unit.checking import checked, checker, patch, problem, words

MOMENTS: list[tuple[Cell, str | None]] = [
    ("2026-03-14T16:30:00-05:00", "2026-03-14T16:30:00-05:00"),
    ("2026-03-14 16:30Z", "2026-03-14T16:30:00Z"),
    ("2026-03-14T16:30:00.25+00:00", "2026-03-14T16:30:00.250000Z"),
    ("2026-03-14T16:30:00.1230000Z", "2026-03-14T16:30:00.123000Z"),
    ("2026-03-14T16:30:00.1234567", None),
    ("2026-03-14T16:30:00-0500", "2026-03-14T16:30:00-05:00"),
    ("2026-03-14 16:30:00 -00:00", "2026-03-14T16:30:00Z"),
    ("20260314T213000Z", "2026-03-14T21:30:00Z"),
    ("20260314T2130Z", "2026-03-14T21:30:00Z"),
    ("20260314T0005-0530", "2026-03-14T00:05:00-05:30"),
    ("2026-03-14 16:30", "2026-03-14T16:30:00-05:00"),
    ("2026-01-14 16:30", "2026-01-14T16:30:00-06:00"),
    ("3/14/2026 4:30 PM", "2026-03-14T16:30:00-05:00"),
    ("03/14/26 16:30", "2026-03-14T16:30:00-05:00"),
    ("3/14/2026, 4:30:15 p.m.", "2026-03-14T16:30:15-05:00"),
    ("3/14/2026 at 4pm", "2026-03-14T16:00:00-05:00"),
    ("3/14/2026 12:05 AM", "2026-03-14T00:05:00-05:00"),
    ("3/14/2026 12:05 PM", "2026-03-14T12:05:00-05:00"),
    ("3/14/2026 4:30\u202fPM", "2026-03-14T16:30:00-05:00"),
    ("Mar 14, 2026 4:30 PM", "2026-03-14T16:30:00-05:00"),
    ("March 14th 2026 16:30", "2026-03-14T16:30:00-05:00"),
    ("14 March 2026 16:30", "2026-03-14T16:30:00-05:00"),
    ("14-Mar-26 16:30", "2026-03-14T16:30:00-05:00"),
    ("14. März 2026 16:30", "2026-03-14T16:30:00-05:00"),
    ("14 mars 2026 à 16h30", "2026-03-14T16:30:00-05:00"),
    ("14 de marzo de 2026 16:30", "2026-03-14T16:30:00-05:00"),
    ("Sat, 14 Mar 2026 16:30:00 GMT", "2026-03-14T16:30:00Z"),
    ("Saturday, March 14, 2026 4:30 PM", "2026-03-14T16:30:00-05:00"),
    ("Sunday, March 14, 2026 4:30 PM", None),
    ("2026/3/14 16:30", "2026-03-14T16:30:00-05:00"),
    ("2026-03-14 16:30 CET", "2026-03-14T16:30:00+01:00"),
    ("2026-03-14 4:30 PM EST", "2026-03-14T16:30:00-05:00"),
    ("2026-03-14 4:30 PM ET", "2026-03-14T16:30:00-04:00"),
    ("2026-03-14 16:30 Europe/Berlin", "2026-03-14T16:30:00+01:00"),
    ("2026-03-14 16:30 (UTC+5:30)", "2026-03-14T16:30:00+05:30"),
    ("2026-03-14 16:30 GMT-0500", "2026-03-14T16:30:00-05:00"),
    ("2026-03-14 16:30 GMT-0530", "2026-03-14T16:30:00-05:30"),
    ("2026-03-14 16:30 UTC+545", "2026-03-14T16:30:00+05:45"),
    ("2026-03-14 16:30 UTC+9", "2026-03-14T16:30:00+09:00"),
    ("2026-03-14 16:30 Middle/Earth", None),
    ("2026-03-14 16:30 BST", None),
    ("2026-03-14 16:30 +25:00", None),
    ("2026-03-08 02:30", None),
    ("2026-11-01 01:30", None),
    ("2026-11-01 01:30-06:00", "2026-11-01T01:30:00-06:00"),
    ("2026-02-30T10:00:00Z", None),
    ("2026-02-30 10:00", None),
    ("0000-01-01T00:00:00Z", None),
    ("2026-03-14T25:00:00Z", None),
    ("2026-03-14 24:00", None),
    ("3/14/2026 16:30 PM", None),
    ("3/14/2026 0:30 AM", None),
    ("2/30/2026 10:00", None),
    ("26-1-5 10:00", None),
    ("2026-03-14", None),
    ("3/14/2026", None),
    ("16:30", None),
    ("tomorrow", None),
    ("46095.6875", None),
    (46095.6875, None),
    (True, None),
    ("3/14/2026 4", None),
    ("3/14/2026x4:30", None),
    ("#N/A", None),
    ("2099-12-30 23:30", "2099-12-30T23:30:00-06:00"),
    ("9999-12-31 23:30", None),
    ("2099-12-31 23:30", None),
    ("1826-04-04 10:00", None),
    ("3/14/2026 10:00-11:00", None),
    ("3/14/2026 2:00-4:00", None),
    ("3/14/2026 10:00 - 11:00 AM", None),
    ("3/14/2026 2 PM to 4 PM", None),
    ("2026-03-14 13:00-14:00", None),
    ("2026-03-14 16:30-05:00", "2026-03-14T16:30:00-05:00"),
    ("2026-03-14T04:30-05:00", "2026-03-14T04:30:00-05:00"),
    ("2026-03-14 04:30:00-05:00", "2026-03-14T04:30:00-05:00"),
    ("Sat, 14 Mar 2026 04:30:00 -0500", "2026-03-14T04:30:00-05:00"),
    ('="2026-03-14 16:30"', "2026-03-14T16:30:00-05:00"),
    (datetime(2026, 3, 14, 16, 30), "2026-03-14T16:30:00-05:00"),  # noqa: DTZ001 - a workbook's dates have no zone
    (date(2026, 3, 14), None),
    (time(16, 30), None),
    (timedelta(hours=30), None),
]


@pytest.mark.parametrize(("cell", "sent"), MOMENTS)
def test_moments(cell: Cell, sent: str | None) -> None:
    if sent is None:
        assert problem(showing_date=cell).code == "bad_value"
    else:
        assert patch(showing_date=cell) == {"showing_date": sent}


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("2026-03-08 02:30", "clocks go forward over it"),
        ("2026-11-01 01:30", "2026-11-01T01:30:00-05:00 or 2026-11-01T01:30:00-06:00"),
        ("2026-03-14", "add its time, or give one for all rows with --default-time 09:00"),
        ("2026-02-30 10:00", "2026-02-30 does not"),
        ("16:30", "add its date, here or in showing_date"),
        (46095.5, "format the cell as a date"),
    ],
)
def test_a_moment_that_is_refused_says_why(text: Cell, part: str) -> None:
    assert part in words(problem(showing_time_start=text))


@pytest.mark.parametrize(
    ("order", "text", "sent"),
    [
        ("dmy", "02/03/2026 10:00", "2026-03-02T10:00:00-06:00"),
        ("mdy", "02/03/2026 10:00", "2026-02-03T10:00:00-06:00"),
        ("ymd", "26/03/02 10:00", "2026-03-02T10:00:00-06:00"),
        ("dmy", "13.02.2026 10:00", "2026-02-13T10:00:00-06:00"),
        ("mdy", "02.03.2026 10:00", "2026-02-03T10:00:00-06:00"),
        ("dmy", "02/13/2026 10:00", None),
        ("mdy", "13/02/2026 10:00", None),
        ("ymd", "02/03/2026 10:00", None),
    ],
)
def test_the_order_of_day_and_month_is_the_users(order: str, text: str, sent: str | None) -> None:
    rules = {"order": order, "order_given": True}
    if sent is None:
        assert "--date-order" in words(problem(rules, showing_date=text))
    else:
        assert patch(rules, showing_date=text) == {"showing_date": sent}


@pytest.mark.parametrize("text", ["13/02/2026 10:00", "02.03.2026 10:00"])
def test_a_date_that_speaks_against_the_default_order_is_noted_with_its_row(text: str) -> None:
    check = checker("unique_showing_key", "Visit date")
    check.check(Row(7, ("ext_1", text)))
    seen = check.findings.evidence.of("showing_date", Sign.AGAINST_ORDER)
    assert (seen.count, seen.examples) == (1, [Example(7, text)])


def test_date_and_time_in_columns_of_their_own_complete_each_other() -> None:
    cells: dict[str, Cell] = {
        "showing_date": "3/14/2026",
        "showing_time_start": "4:30 PM",
        "showing_time_end": time(17),
    }
    assert patch(**cells) == {
        "showing_date": "2026-03-14T16:30:00-05:00",
        "showing_time_start": "2026-03-14T16:30:00-05:00",
        "showing_time_end": "2026-03-14T17:00:00-05:00",
    }
    assert patch({"default_time": time(9)}, showing_date="3/14/2026") == {
        "showing_date": "2026-03-14T09:00:00-05:00"
    }
    zoned = patch(
        showing_date="2026-03-15T01:30:00Z", showing_time_start="20:30", showing_time_end="9 PM"
    )
    assert zoned["showing_time_start"] == "2026-03-14T20:30:00-05:00"
    assert zoned["showing_time_end"] == "2026-03-14T21:00:00-05:00"
    assert patch(showing_time_start="3/14/2026 10:00", showing_time_end="11:00")[
        "showing_time_end"
    ] == ("2026-03-14T11:00:00-05:00")


def test_an_end_before_its_start_is_a_problem_and_an_equal_one_is_not() -> None:
    found = problem(showing_time_start="2026-03-14 16:30", showing_time_end="2026-03-14 16:00")
    assert "showing_time_end: '2026-03-14 16:00' is not at or after showing_time_start" in words(
        found
    )
    at = "2026-03-14 16:30"
    assert len(patch(showing_time_start=at, showing_time_end=at)) == 2
    crossed = problem(
        showing_time_start="2026-03-14T10:00:00Z", showing_time_end="2026-03-14T10:30:00+02:00"
    )
    assert crossed.code == "bad_value"


def test_what_is_assumed_is_counted_with_its_first_row() -> None:
    check = checker("unique_showing_key", "showing_date", "showing_time_start")
    check.check(Row(2, ("a", "2026-03-14T16:30:00Z", "")))
    check.check(Row(3, ("b", "02/03/2026", "4:30")))
    check.check(Row(4, ("c", "02/02/2026", "16:30")))
    assert {kind: (seen.count, seen.row) for kind, seen in check.findings.assumed.items()} == {
        "order": (1, 3),
        "early": (1, 3),
        "day": (2, 3),
        "time": (2, 3),
        "timezone": (4, 3),
    }
    assert check.findings.filled["showing_date"] == 3
    assert check.findings.examples["unique_showing_key"] == "a"


@given(
    st.dates(min_value=date(1900, 1, 1), max_value=date(2099, 12, 31)),
    st.sampled_from(["%m/%d/%Y", "%d.%m.%Y", "%Y/%m/%d", "%d-%b-%y", "%Y-%m-%d"]),
    st.sampled_from(["4:30 PM", "04:30", "4pm", "16:30:15 EST", "16h30", "25:00", "13:00 PM"]),
    st.sampled_from(["mdy", "dmy", "ymd"]),
)
def test_a_date_means_the_same_before_a_blank_and_before_a_comma(
    day: date, form: str, at: str, order: str
) -> None:
    """A date alone is remembered, one with a comma is read as part of its text."""
    rules = {"order": order, "order_given": True, "default_time": time(9)}
    blank, comma = (
        checked(rules, showing_date=f"{day.strftime(form)}{between}{at}") for between in " ,"
    )
    if isinstance(blank, Record) and isinstance(comma, Record):
        assert blank.body == comma.body
    else:
        assert isinstance(blank, Problem)
        assert isinstance(comma, Problem)
        expected = [[(one.expected, one.remedy) for one in two.reasons] for two in (blank, comma)]
        assert expected[0] == expected[1]


def in_our_age(day: date) -> bool:
    """Whether showings can be on a day: this century, without the last days of programs."""
    return 2000 <= day.year <= 2099 and day not in {date(2038, 1, 19), date(2079, 6, 6)}


@given(st.datetimes(timezones=st.timezones()))
def test_any_moment_of_our_age_is_sent_as_the_same_moment(moment: datetime) -> None:
    if not in_our_age(moment.date()):
        assert problem(showing_date=moment.isoformat()).code == "bad_value"
        return
    offset = moment.utcoffset()
    assert offset is not None
    if offset.total_seconds() % 60:
        return  # RFC 3339 has no offsets with seconds
    sent = patch(showing_date=moment.isoformat())["showing_date"]
    # As timestamps: by PEP 495 a time that a clock change repeats equals none of another zone.
    assert datetime.fromisoformat(str(sent)).timestamp() == moment.timestamp()


@given(
    st.datetimes(
        min_value=datetime(1900, 1, 1),  # noqa: DTZ001 - a bound of local times
        max_value=datetime(2099, 12, 31),  # noqa: DTZ001 - same
    ),
    st.timezones(),
)
def test_a_local_time_is_that_time_in_its_zone_or_a_problem_at_a_clock_change(
    moment: datetime, zone: ZoneInfo
) -> None:
    moment = moment.replace(microsecond=0)
    found = checked({"timezone": zone}, showing_date=moment.isoformat(sep=" "))
    there_and_back = (
        moment.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None)
    )
    if isinstance(found, Record):
        sent = datetime.fromisoformat(json.loads(found.body)["showing_date"])
        assert there_and_back == moment
        if not moment.replace(tzinfo=zone).utcoffset().total_seconds() % 60:  # type: ignore[union-attr] # zones have one
            assert sent.replace(tzinfo=None) == moment
    else:
        if not in_our_age(moment.date()):
            return
        first, second = (moment.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
        assert first != second or (first is not None and first.total_seconds() % 60)


# By hand, from RFC 5322, section 4.3, and the zones' own pages: winter names in January, summer
# names in July.
SHORT_ZONES = {
    "PST": ("01", "-08:00"), "PDT": ("07", "-07:00"), "MST": ("01", "-07:00"),
    "MDT": ("07", "-06:00"), "CST": ("01", "-06:00"), "CDT": ("07", "-05:00"),
    "EST": ("01", "-05:00"), "EDT": ("07", "-04:00"), "AKST": ("01", "-09:00"),
    "AKDT": ("07", "-08:00"), "HST": ("01", "-10:00"), "WET": ("01", "Z"),
    "WEST": ("07", "+01:00"), "CET": ("01", "+01:00"), "CEST": ("07", "+02:00"),
    "EET": ("01", "+02:00"), "EEST": ("07", "+03:00"), "UTC": ("01", "Z"), "GMT": ("01", "Z"),
    "UT": ("01", "Z"),
    "ET": ("07", "-04:00"), "CT": ("07", "-05:00"), "MT": ("07", "-06:00"), "PT": ("07", "-07:00"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "month", "offset"), [(n, *one) for n, one in SHORT_ZONES.items()])
def test_the_short_name_of_a_zone_gives_its_offset_in_any_case(
    name: str, month: str, offset: str
) -> None:
    for spelt in (name, name.lower()):
        cell = f"2026-{month}-14 16:30 {spelt}"
        assert patch(showing_date=cell) == {"showing_date": f"2026-{month}-14T16:30:00{offset}"}


# The months of CLDR 44, wide and abbreviated, from January on.
MONTHS = (
    "January February March April May June July August September October November December",
    "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec",
    "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "Jänner Februar Maerz April Mai Juni Juli August Sept Okt Nov Dez",
    "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "janv févr mars avr mai juin juillet aout sept oct nov déc",
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "ene feb mar abr may jun jul ago sept oct nov dic",
    "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "gen feb mar apr mag giu lug ago set ott nov dic",
    "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    "jan fev mar abr maio jun jul ago set out nov dez",
    "januari februari maart april mei juni juli augustus september oktober november december",
    "jan feb mrt apr mei jun jul aug sep okt nov dec",
)


@pytest.mark.parametrize("names", MONTHS)
def test_months_are_read_in_each_language(names: str) -> None:
    for number, name in enumerate(names.split(), start=1):
        for written in (f"14 {name} 2026 16:30Z", f"14. {name.upper()} 2026 16:30Z"):
            assert patch(showing_date=written) == {
                "showing_date": f"2026-{number:02}-14T16:30:00Z"
            }, written


@pytest.mark.parametrize(
    ("twelve", "hour"),
    [
        *((f"{hour} AM", hour) for hour in range(1, 12)),
        *((f"{hour} PM", hour + 12) for hour in range(1, 12)),
        ("12 AM", 0),
        ("12 PM", 12),
        ("1pm", 13),
        ("1 p.m.", 13),
        ("1:00PM", 13),
    ],
)
def test_each_hour_of_twelve_is_one_of_twenty_four(twelve: str, hour: int) -> None:
    assert patch(showing_date=f"7/14/2026 {twelve}") == {
        "showing_date": f"2026-07-14T{hour:02}:00:00-05:00"
    }


@pytest.mark.parametrize("hour", [*range(13, 24), 0])
def test_an_hour_of_twenty_four_with_am_or_pm_is_refused_with_its_time(hour: int) -> None:
    for half in ("AM", "PM"):
        refused = problem(showing_date=f"7/14/2026 {hour}:05 {half.lower()}")
        (reason,) = refused.reasons
        assert reason.facts == {"time": f"{hour}:05", "half": half}


@given(st.times(max_value=time(23, 59, 59)).map(lambda at: at.replace(microsecond=0)))
def test_the_time_of_a_typed_cell_is_its_own_also_as_a_span_of_hours(at: time) -> None:
    span = timedelta(hours=at.hour, minutes=at.minute, seconds=at.second)
    for cell in (at, span):
        sent = patch(showing_date=date(2026, 7, 14), showing_time_start=cell)
        assert sent["showing_time_start"] == f"2026-07-14T{at.isoformat()}-05:00"


SPANS: list[tuple[str, time | None]] = [
    ("10:00 AM - 11:00 AM", time(10)),
    ("2 pm to 4 pm", time(14)),
    ("2 P.M. TO 4 P.M.", time(14)),
    ("9am-10", time(9)),
    ("9:30 Am – 10:30", time(9, 30)),
    ("9:30 AM — 10:30 AM", time(9, 30)),
    ("13:00 - 14:00", time(13)),
    ("13:00 TO 14:00", time(13)),
    ("10 - 11 AM", None),
    ("13:00-14:00", None),
    (f"10:00 AM{' ' * 300}- 11:00 AM", None),
]


@pytest.mark.parametrize(("text", "start"), SPANS)
def test_the_start_of_a_range_is_read_where_its_half_of_the_day_is_certain(
    text: str, start: time | None
) -> None:
    for before in ("", "3/14/2026 "):
        with pytest.raises(BadCell):
            read_moment("mdy", before + text)  # alone a range is no moment
        if start is None:
            with pytest.raises(BadCell):
                read_start("mdy", before + text)
        else:
            found = read_start("mdy", before + text)
            assert isinstance(found, Written)
            assert (found.time, found.span) == (start, True)
            assert found.day == (date(2026, 3, 14) if before else None)


@pytest.mark.parametrize(
    ("order", "text", "found"),
    [
        ("mdy", "3/14/2026", Written(date(2026, 3, 14), numeric=True)),
        ("mdy", "3/4/2026", Written(date(2026, 3, 4), ordered=True, numeric=True)),
        ("mdy", "3/12/2026", Written(date(2026, 3, 12), ordered=True, numeric=True)),
        ("mdy", "3/3/2026", Written(date(2026, 3, 3), numeric=True)),
        ("mdy", "14/3/2026", Written(against=True, numeric=True)),
        ("mdy", "14/12/2026", Written(against=True, numeric=True)),
        ("mdy", "3.4.2026", Written(date(2026, 3, 4), ordered=True, against=True, numeric=True)),
        ("dmy", "3.4.2026", Written(date(2026, 4, 3), ordered=True, numeric=True)),
        ("ymd", "3/4/2026", Written(against=True, numeric=True)),
        ("ymd", "26/03/04", Written(date(2026, 3, 4), ordered=True)),
        ("mdy", "2026/3/4", Written(date(2026, 3, 4))),
        ("mdy", "4 March 2026", Written(date(2026, 3, 4))),
        ("mdy", "4 March 26", Written(date(2026, 3, 4))),
    ],
)
def test_a_date_says_how_sure_its_order_is(order: DateOrder, text: str, found: Written) -> None:
    assert read_moment(order, text) == found


@pytest.mark.parametrize(
    ("text", "early"),
    [
        ("0:30", False), ("1:00", True), ("6:59", True), ("7:00", False), ("01:00", False),
        ("10:30", False), ("1:00 AM", False), ("6 PM", False),
    ],
)  # fmt: skip
def test_a_time_from_one_to_seven_without_its_half_of_the_day_is_called_early(
    text: str, early: bool
) -> None:
    for before in ("", "3/14/2026 ", "2026/3/14, "):
        found = read_moment("mdy", before + text)
        assert isinstance(found, Written)
        assert found.early is early


def test_a_time_without_an_offset_needs_a_zone() -> None:
    for cell in ("2026-03-14 16:30", "3/14/2026 4:30 PM", datetime(2026, 3, 14, 16, 30)):  # noqa: DTZ001
        (reason,) = problem({"timezone": None}, showing_date=cell).reasons
        assert (reason.expected, reason.remedy) == (Expected.OFFSET, Remedy.SET_TIMEZONE)
    sent = patch({"timezone": None}, showing_date="2026-03-14 16:30Z")
    assert sent == {"showing_date": "2026-03-14T16:30:00Z"}


@pytest.mark.parametrize(
    ("zone", "text", "expected"),
    [
        # Clocks that go back at midnight repeat the last hour of the day before.
        ("Asia/Beirut", "2024-10-26 23:30", Expected.TIME_NOT_REPEATED),
        ("Asia/Beirut", "2024-10-26 22:30", None),
        ("Asia/Beirut", "2024-10-27 00:30", None),
        ("America/Havana", "2024-11-03 00:30", Expected.TIME_NOT_REPEATED),
        ("America/Havana", "2024-11-03 01:30", None),
        # Those that go forward at midnight skip the first.
        ("Asia/Beirut", "2024-03-31 00:30", Expected.TIME_NOT_SKIPPED),
        ("Asia/Beirut", "2024-03-30 23:30", None),
        ("Asia/Beirut", "2024-03-31 01:30", None),
    ],
)
def test_a_clock_change_at_midnight_is_seen_from_both_days(
    zone: str, text: str, expected: Expected | None
) -> None:
    found = checked({"timezone": ZoneInfo(zone)}, showing_date=text)
    if expected is None:
        assert isinstance(found, Record)
    else:
        assert isinstance(found, Problem)
        assert [reason.expected for reason in found.reasons] == [expected]


@pytest.mark.parametrize(
    ("cell", "remedy"),
    [
        # A date in the format of a duration: the days since 1904, or 1900, from 2000 on.
        (timedelta(days=35_064), Remedy.FORMAT_AS_DATE),
        (timedelta(days=46_095), Remedy.FORMAT_AS_DATE),
        (timedelta(days=35_063), None),
        (timedelta(days=1), None),
        (timedelta(hours=-1), None),
        (46_095, Remedy.FORMAT_AS_DATE),
        (True, None),
    ],
)
def test_a_number_of_days_is_called_a_date_in_another_format(
    cell: Cell, remedy: Remedy | None
) -> None:
    with pytest.raises(BadCell) as refused:
        read_moment("mdy", cell)
    reason = refused.value.reason("showing_date")
    assert (reason.expected, reason.remedy) == (Expected.MOMENT, remedy)


def test_several_blanks_mean_the_same_as_one() -> None:
    for text in ("3/14/2026  4:30  P.  M.", "3/14/2026,  4:30 P. M.", " 3/14/2026\t4:30\xa0 PM"):
        assert patch(showing_date=text) == {"showing_date": "2026-03-14T16:30:00-05:00"}
