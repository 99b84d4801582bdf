"""Values that came back changed, in the checkpoint and in reports."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from bulk_sync.errors import CheckpointError, Outage
from bulk_sync.job.store import Store
from bulk_sync.model.rows import Echo, Outcome, State
from bulk_sync.model.summaries import Batch, EchoedRow, Part
from bulk_sync.report.as_json import batch_json, summary_json
from bulk_sync.report.echoes import echo_lines, echo_texts
from bulk_sync.report.facts import summary_facts
from bulk_sync.report.problems import full_message_of
from bulk_sync.report.verdict import Tone, verdict
from tests.unit.checkpoints import stage
from tests.unit.pages import SUMMARY, parsed, written
from tests.unit.test_schema import BACK_TO_VERSION_9
from tests.unit.test_terminal import rendered

RATING = Echo("rating", 1, 5)
TEXT = Echo("feedback", "Too dark for us", "Too dark")
DONE = replace(
    SUMMARY,
    rows=3,
    states={State.UPDATED: 3},
    problems=(),
    causes=(),
    stopped=None,
    in_flight=0,
    echo_differs=1,
    echoes=(EchoedRow(2, "ext_1", (TEXT, RATING)),),
)


def acknowledged(store: Store, *echoes: tuple[Echo, ...], state: State = State.UPDATED) -> None:
    """Acknowledge the next rows, each with its echoes."""
    changes = store.outbox.exchange(limit=len(echoes))
    outcomes = [
        Outcome(change.id, state, 1, echoes=of_row)
        for change, of_row in zip(changes, echoes, strict=True)
    ]
    store.outbox.exchange(outcomes)


def echoes_of(store: Store) -> dict[str, tuple[Echo, ...]]:
    return {row.key: row.echoes for row in store.views.results()}


@pytest.mark.parametrize("state", [State.UPDATED, State.CREATED])
def test_they_are_kept_with_the_row_and_counted(tmp_path: Path, state: State) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path) as store:
        stage(store, [(key, "1") for key in "ABC"])
        acknowledged(store, (RATING, TEXT), (), (TEXT,), state=state)
    with Store.read(path) as store:
        assert store.views.totals().echo_differs == 2
        assert store.views.echoed(9) == (
            EchoedRow(2, "A", (RATING, TEXT)),
            EchoedRow(4, "C", (TEXT,)),
        )
        assert len(store.views.echoed(1)) == 1
        assert echoes_of(store) == {"A": (RATING, TEXT), "B": (), "C": (TEXT,)}
        assert [echoes for *_, echoes in store.views.lines()] == [(RATING, TEXT), (), (TEXT,)]


def test_a_large_group_with_one_of_them_is_recorded_as_a_whole(tmp_path: Path) -> None:
    with Store.open(tmp_path / "x.sqlite") as store:
        stage(store, [(f"ext_{n}", "1") for n in range(300)])
        acknowledged(store, *[(RATING,) if n == 77 else () for n in range(300)])
        assert store.views.counts() == {State.UPDATED: 300}
        assert store.views.echoed(9) == (EchoedRow(79, "ext_77", (RATING,)),)


def test_a_job_that_goes_on_with_an_edited_sheet_keeps_them(tmp_path: Path) -> None:
    with Store.open(tmp_path / "x.sqlite") as store:
        stage(store, [(key, "1") for key in "ABC"])
        acknowledged(store, (RATING,), (RATING,))  # C is pending
        stage(store, [("C", "1"), ("A", "1"), ("B", "2")])
        assert echoes_of(store) == {"C": (), "A": (RATING,), "B": ()}
        assert store.views.totals().echo_differs == 1
        acknowledged(store, (), ())
        assert store.views.totals().echo_differs == 1


def test_rows_that_a_limit_left_out_are_not_counted(tmp_path: Path) -> None:
    with Store.open(tmp_path / "x.sqlite") as store:
        stage(store, [(key, "1") for key in "ABC"])
        acknowledged(store, (RATING,), (RATING,))
        stage(store, [("A", "1")], left_out=[("B", "1"), ("C", "1")])
        assert store.views.totals().echo_differs == 1
        assert [row.key for row in store.views.echoed(9)] == ["A"]


def test_the_ledger_does_not_take_a_value_for_known_that_came_back_changed(
    tmp_path: Path,
) -> None:
    with Store.open(tmp_path / "x.sqlite") as store:
        for _ in range(2):  # an empty ledger learns in another way
            stage(store, [("A", "1"), ("B", "1")])
            acknowledged(store, (RATING,), ())
            known = {one.target: one.values for one in store.known.acknowledged()}
            assert known == {"A": {}, "B": {"rating": 1}}
            store.known.learn()
            known = {one.target: one.values for one in store.known.acknowledged()}
            assert known == {"A": {}, "B": {"rating": 1}}
            store.adoption.drop()


def test_purging_removes_the_values_and_keeps_the_count(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path) as store:
        stage(store, [("A", "1"), ("B", "1")])
        acknowledged(store, (Echo("feedback", "Zanzibar", "Zanz"), RATING), ())
        store.database.purge()
        assert b"Zanz" not in path.read_bytes()
        names_only = (Echo("feedback"), Echo("rating"))
        assert echoes_of(store) == {"A": names_only, "B": ()}
        assert store.views.totals().echo_differs == 1
        store.database.purge()
        assert echoes_of(store) == {"A": names_only, "B": ()}


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        ("the API's reply has another feedback than was sent", ("feedback",)),
        ("the API's reply has another showing_date than was sent", ("showing_date",)),
        (
            "the API's reply has another feedback and showing_date than was sent",
            ("feedback", "showing_date"),
        ),
        ("another feedback than was sent", ()),  # nothing that version 9 wrote
        (None, ()),
    ],
)
def test_the_notes_of_version_9_become_data(
    tmp_path: Path, message: str | None, fields: tuple[str, ...]
) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path) as store:
        stage(store, [("A", "1"), ("B", "1")])
        one, two = store.outbox.exchange(limit=2)
        store.outbox.exchange(
            [
                Outcome(one.id, State.UPDATED, 1, message=message),
                Outcome(two.id, State.REJECTED, 1, error="refused", message=message),
            ]
        )
    with closing(sqlite3.connect(path)) as db:
        db.executescript(BACK_TO_VERSION_9)
    with Store.read(path) as store:
        updated, rejected = store.views.results()
        assert updated.echoes == tuple(map(Echo, fields))
        assert rejected.echoes == ()  # the API's own words
        assert store.views.totals().echo_differs == bool(fields)
        assert [full_message_of(row) for row in (updated, rejected)] == [message, message]


def test_one_that_cannot_be_read_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path) as store:
        stage(store, [("A", "1")])
        acknowledged(store, (RATING,))
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE outcome SET echo = '{\"a\": 1}'")
        db.commit()
    with pytest.raises(CheckpointError, match="echo"), Store.read(path):
        pass


# In reports


def test_a_run_whose_rows_came_back_changed_ends_with_3() -> None:
    assert DONE.exit_code == 3
    assert replace(DONE, echo_differs=0, echoes=()).exit_code == 0
    assert replace(DONE, states={State.UPDATED: 2, State.PENDING: 1}).exit_code == 6
    assert replace(DONE, stopped=Outage("Gone.")).exit_code == 6


def test_the_message_of_a_row_names_the_fields(tmp_path: Path) -> None:
    with Store.open(tmp_path / "x.sqlite") as store:
        stage(store, [(key, "1") for key in "AB"])
        acknowledged(store, (TEXT,), (RATING, TEXT, Echo("title", "a", "b")))
        assert [full_message_of(row) for row in store.views.results()] == [
            "the API's reply has another feedback than was sent",
            "the API's reply has another rating, feedback and title than was sent",
        ]


@pytest.mark.parametrize(
    ("echo", "sent", "came_back"),
    [
        (TEXT, '"Too dark for us"', '"Too dark"'),
        (RATING, "1", "5"),
        (Echo("interested", True, None), "true", "null"),
        (Echo("feedback", "é\nb", ""), '"é\\nb"', '""'),
        (
            Echo("feedback", "a" * 50 + "b" * 80, "a" * 50 + "c"),
            f'"…{"a" * 20}{"b" * 40}…"',
            f'"…{"a" * 20}c"',
        ),
        (Echo("feedback", "x" * 99, 5), f'"{"x" * 60}…"', "5"),
        (
            Echo("feedback"),
            "a value that is no longer in the checkpoint",
            "a value that is no longer in the checkpoint",
        ),
    ],
)
def test_values_are_shortened_to_their_difference(echo: Echo, sent: str, came_back: str) -> None:
    texts = echo_texts(echo)
    assert texts[1] == came_back
    assert texts[0] == sent


def test_the_terminal_lists_the_first_rows() -> None:
    nasty = Echo("feedback", "a\x1b[31m\u202eb", "a")
    rows = tuple(EchoedRow(n, f"ext_{n}", (nasty,)) for n in range(2, 14))
    printed = rendered(replace(DONE, echo_differs=40, echoes=rows))
    lines = printed.splitlines()
    start = lines.index("40 rows came back with other values than were sent:")
    assert lines[start + 1] == ('  row 2, feedback: "a\\u001b[31m\\u202eb" was sent, "a" came back')
    assert lines[start + 6] == "  and 35 more rows, see the messages in the results"
    assert not {"\x1b", "\u202e"} & set(printed)
    assert "came back" not in rendered(replace(DONE, echo_differs=0, echoes=()))


def test_json_has_the_count_and_the_first_values() -> None:
    found = summary_json(DONE)
    assert (found["echo_differs"], found["exit_code"]) == (1, 3)
    assert found["echoes"] == [
        {"row": 2, "field": "feedback", "sent": "Too dark for us", "came_back": "Too dark"},
        {"row": 2, "field": "rating", "sent": 1, "came_back": 5},
    ]
    purged = replace(DONE, echoes=(EchoedRow(2, "ext_1", (Echo("title", UNSET, UNSET),)),))
    assert summary_json(purged)["echoes"] == [
        {"row": 2, "field": "title", "sent": None, "came_back": None}
    ]
    batch = batch_json(Batch((Part("a.csv", DONE), Part("b.csv", DONE)), ()))
    assert (batch["echo_differs"], batch["exit_code"]) == (2, 3)


def test_the_page_has_a_section_for_them() -> None:
    nasty = EchoedRow(1234, "<b>", (Echo("feedback", "<script>", "x\u202e"),))
    found = parsed(written(replace(DONE, echo_differs=9, echoes=(nasty,))))
    assert "9 rows came back with other values than were sent." in found.text
    assert 'row 1,234 <b>, feedbacksent "<script>"came back "x\\u202e"' in found.text
    assert "and 8 more rows" in found.text
    assert "came back" not in parsed(written(replace(DONE, echo_differs=0, echoes=()))).text


def test_the_facts_of_a_workbook_have_them() -> None:
    assert ("came back changed", "1 row") in list(summary_facts(DONE))
    assert ("came back changed", *echo_lines(DONE.echoes[:1]))[:2] in list(summary_facts(DONE))


def test_the_verdict_asks_to_compare_the_rows() -> None:
    found = verdict(DONE)
    assert found.tone is Tone.ATTENTION
    assert found.sentence == (
        "All 3 rows are done; 1 row came back with another value than was sent."
    )
    assert found.next_step.startswith("North may have cut or rewritten them")
    others = {State.UPDATED: 2, State.REJECTED: 1}, {State.UPDATED: 2, State.FAILED: 1}
    for states in (*others, {State.UPDATED: 2, State.PENDING: 1}):
        detail = verdict(replace(DONE, states=states)).detail
        assert detail == "1 row came back with another value than was sent."
