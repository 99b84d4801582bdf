"""Makes `sample_data/`: all invented, always the same.

    python tests/tools/make_sample_data.py

People, agents and streets are made up; mail addresses are at example.com and phone
numbers are 555-01xx.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TypedDict

import xlsxwriter

FOLDER = Path(__file__).resolve().parents[2] / "sample_data"
CENTRAL = timezone(timedelta(hours=-6))

FIRST = [
    "Ana",
    "Ben",
    "Carla",
    "Dmitri",
    "Élodie",
    "Farid",
    "Grace",
    "Hiro",
    "Ines",
    "Jamal",
    "Katrin",
    "Liam",
    "Maya",
    "Noor",
    "Oskar",
    "Priya",
    "Quentin",
    "Rosa",
    "Samir",
    "Tess",
]
LAST = [
    "Abara",
    "Brandt",
    "Castillo",
    "Dunne",
    "Eriksen",
    "Fontaine",
    "Gupta",
    "Holm",
    "Ito",
    "Jansen",
    "Kowalski",
    "Lindqvist",
    "Moreau",
    "Núñez",
    "O'Hara",
    "Petrov",
    "Quiroga",
    "Rossi",
    "Sato",
    "Tran",
]
AGENTS = ["Robin Vale", "Casey Thorn", "Morgan Pike", "Alex Winter", "Jordan Reyes"]
STREETS = [
    "Alder Lane",
    "Birch Court",
    "Cedar Street",
    "Dogwood Drive",
    "Elm Terrace",
    "Foxglove Road",
]
LIKED = [
    "the light in the kitchen",
    "the garden",
    "the quiet street",
    "the high ceilings",
    "the new windows",
    "the school nearby",
]
DISLIKED = [
    "the small second bathroom",
    "the price",
    "the stairs",
    "the traffic at rush hour",
    "the old furnace",
    "no garage",
]
VERDICTS = [
    "Wants to come back with a partner.",
    "Will talk to the bank this week.",
    "Not for them, but a friend may call.",
    "Asked for the disclosures.",
    "Thinks it is a fair price, within 2 to 3 %.",
]


class Showing(TypedDict):
    key: str
    start: datetime
    name: str
    email: str
    phone: str
    agent: str
    feedback: str
    rating: int
    interested: bool
    open_house: bool
    title: str
    people: int


def showings(count: int, dice: random.Random) -> list[Showing]:
    first_day = datetime(2026, 3, 2, 9, tzinfo=CENTRAL)
    made: list[Showing] = []
    for number in range(count):
        name = f"{dice.choice(FIRST)} {dice.choice(LAST)}"
        plain = (
            name.lower().replace(" ", ".").replace("'", "").translate(str.maketrans("éúñ", "eun"))
        )
        rating = dice.choices([1, 2, 3, 4, 5], [1, 2, 4, 5, 4])[0]
        feedback = (
            f"Liked {dice.choice(LIKED)}; less so {dice.choice(DISLIKED)}. {dice.choice(VERDICTS)}"
        )
        if number % 17 == 5:
            feedback = (
                f'Said: "{feedback}"\nCame with {dice.choice(FIRST)}, who measured the living room.'
            )
        made.append(
            Showing(
                key=f"ext_{10001 + number}",
                start=first_day + timedelta(days=number // 8, minutes=45 * (number % 8)),
                name=name,
                email=f"{plain}@example.com",
                phone=f"(312) 555-01{dice.randrange(100):02}",
                agent=dice.choice(AGENTS),
                feedback=feedback,
                rating=rating,
                interested=rating >= 4,
                open_house=number % 11 == 3,
                title=f"{dice.randrange(10, 990)} {dice.choice(STREETS)}",
                people=dice.choices([1, 2, 3, 4], [3, 6, 2, 1])[0],
            )
        )
    return made


def write_csv(name: str, rows: Sequence[Sequence[object]]) -> None:
    with (FOLDER / name).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\r\n").writerows(rows)


def clean(made: Sequence[Showing]) -> list[list[object]]:
    header = [
        "unique_showing_key",
        "showing_date",
        "attendee_name",
        "attendee_email",
        "attendee_phone",
        "agent_name",
        "feedback",
        "rating",
        "interested",
        "event_type",
        "title",
        "attendees_count",
    ]
    rows: list[list[object]] = [list(header)]
    for showing in made:
        rows.append(  # noqa: PERF401 - a row a showing reads best
            [
                showing["key"],
                showing["start"].isoformat(),
                showing["name"],
                showing["email"],
                showing["phone"],
                showing["agent"],
                showing["feedback"],
                showing["rating"],
                str(showing["interested"]).lower(),
                "open_house" if showing["open_house"] else "showing",
                showing["title"],
                showing["people"],
            ]
        )
    return rows


def north_export(made: Sequence[Showing], dice: random.Random) -> list[list[object]]:
    """What North holds before the push: every showing, feedback for some, and some that differ from
    the sheet.
    """
    rows: list[list[object]] = [
        [
            "unique_showing_key",
            "showing_date",
            "attendee_name",
            "agent_name",
            "feedback",
            "rating",
            "interested",
        ]
    ]
    for number, showing in enumerate(made):
        known = number % 3 == 0
        rating = showing["rating"] if number % 9 else max(1, showing["rating"] - 1)
        rows.append(
            [
                showing["key"],
                showing["start"].astimezone(UTC).isoformat().replace("+00:00", "Z"),
                showing["name"],
                dice.choice(AGENTS) if number % 25 == 7 else showing["agent"],
                showing["feedback"]
                if known and number % 15
                else ("Not reached yet." if known else ""),
                rating if known else "",
                str(showing["interested"]).lower() if known else "",
            ]
        )
    rows += [
        [
            f"ext_{20001 + number}",
            f"2026-04-{number + 1:02}T15:00:00Z",
            f"{FIRST[number]} {LAST[number]}",
            AGENTS[0],
            "",
            "",
            "",
        ]
        for number in range(6)
    ]
    return rows


MESSY_HEADER = [
    "Showing Key",
    "Date of Showing",
    "Start time",
    "Buyer",
    "E-Mail",
    "Phone #",
    "Buyer's Agent",
    "Comments",
    "Stars",
    "Interest Level",
    "Type of Event",
    "# People",
    "Internal note",
    "",
]


def messy(made: Sequence[Showing]) -> list[list[object]]:
    """The sheet as people keep it by hand: every kind of trouble once or more."""
    rows: list[list[object]] = [
        ["Showings March - Team Vale (do not delete!)"],
        [],
        list(MESSY_HEADER),
    ]
    dates = ["%m/%d/%Y", "%Y-%m-%d", "%b %d, %Y", "%m/%d/%y"]
    ratings = ["{}", "{}.0", "{}/5", "{} stars", "{stars}"]
    for number, showing in enumerate(made[:40]):
        start, rating = showing["start"], showing["rating"]
        rows.append(
            [
                showing["key"],
                start.strftime(dates[number % 4]),
                start.strftime("%I:%M %p") if number % 2 else start.strftime("%H:%M"),
                f"  {showing['name']} " if number % 6 == 0 else showing["name"],
                showing["email"],
                showing["phone"],
                showing["agent"],
                showing["feedback"],
                ratings[number % 5].format(rating, stars="★" * rating),
                ["yes", "no"][not showing["interested"]]
                if number % 3
                else ["x", ""][not showing["interested"]],
                ["Open House", "open-house", "showing", "private showing"][
                    0 if showing["open_house"] else 2 + number % 2
                ],
                showing["people"],
                "call back" if number % 8 == 0 else "",
                "",
            ]
        )
    first, second, third, *_ = rows[3:]
    rows[6:6] = [[], ["", "", "", "", "", "", "", "", "", "", "", "", "", ""]]
    rows += [
        _but(
            first, {7: "Came a second time: loved it even more."}
        ),  # the key of the first row, other values
        list(second),  # the second row once more, the same
        _but(third, {0: ""}),  # no key
        _but(third, {0: "1.23457E+17"}),  # an id that a spreadsheet program has rounded
        _but(third, {0: "00417"}),  # leading zeros that matter
        _but(third, {0: "ext_30001", 8: "8/10"}),  # a rating of another scale
        _but(third, {0: "ext_30002", 8: "six"}),
        _but(third, {0: "ext_30003", 4: "maya.rossi(at)example.com"}),
        _but(third, {0: "ext_30004", 1: "13/02/2026"}),  # a day where the month should be
        _but(third, {0: "ext_30005", 1: "02/30/2026"}),  # a day that does not exist
        _but(third, {0: "ext_30006", 2: ""}),  # a date without a time
        _but(third, {0: "ext_30007", 7: "=SUM(A1:A9) is what the last page says"}),
        _but(third, {0: "ext_30008", 8: "#N/A"}),
        _but(third, {0: "ext/30009 #2", 7: "A key with a slash, a blank and a hash."}),
        [*_but(third, {0: "ext_30010"}), "a cell too many"],
        ["ext_30011", "03/20/2026", "10:00"],  # a row that ends early
        [],
        [],
    ]
    return rows


def _but(row: Sequence[object], changes: dict[int, object]) -> list[object]:
    return [changes.get(position, cell) for position, cell in enumerate(row)]


def write_workbook(name: str, rows: Sequence[Sequence[object]]) -> None:
    """The same rows; dates, times and counts as real dates, times and numbers where the text is
    one.
    """
    with xlsxwriter.Workbook(FOLDER / name) as book:
        book.set_properties({"created": datetime(2026, 3, 1, tzinfo=UTC)})
        notes = book.add_worksheet("Read me")
        notes.write_string(0, 0, "Feedback is on the next sheet.")
        sheet = book.add_worksheet("March")
        day = book.add_format({"num_format": "mm/dd/yyyy"})
        time = book.add_format({"num_format": "hh:mm AM/PM"})
        for row, cells in enumerate(rows):
            for column, cell in enumerate(cells):
                if row > 2 and column in {1, 2} and _moment(str(cell)) is not None:
                    sheet.write_datetime(
                        row, column, _moment(str(cell)), day if column == 1 else time
                    )
                elif isinstance(cell, int):
                    sheet.write_number(row, column, cell)
                elif cell == "#N/A":
                    sheet.write_formula(row, column, "=NA()", None, "#N/A")
                elif cell != "":
                    sheet.write_string(row, column, str(cell))
        sheet.set_column(7, 7, 60)


def _moment(text: str) -> datetime | None:
    for pattern in ("%m/%d/%Y", "%Y-%m-%d", "%I:%M %p", "%H:%M"):
        try:
            found = datetime.strptime(text, pattern)  # noqa: DTZ007 - a spreadsheet's dates have no zone
        except ValueError:
            continue
        return found.replace(year=1899, month=12, day=31) if found.year == 1900 else found
    return None


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    dice = random.Random(20260302)
    made = showings(200, dice)
    write_csv("sample-showings.csv", clean(made))
    write_csv("sample-north-export.csv", north_export(made, dice))
    rows = messy(made)
    write_csv("messy-showings.csv", rows)
    write_workbook("messy-showings.xlsx", rows)


if __name__ == "__main__":
    main()
