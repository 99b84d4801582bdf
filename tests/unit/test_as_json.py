"""The objects of `--json`: their keys are a contract, so they are written out here."""

from __future__ import annotations

from datetime import UTC, datetime

from bulk_sync.errors import InputError
from bulk_sync.model.ahead import FieldChange, FirstChange
from bulk_sync.model.comparison import Reconciliation, RowClass, SideCounts
from bulk_sync.model.rows import Allowance, RateSource, State
from bulk_sync.model.summaries import (
    Batch,
    CheckSummary,
    Finding,
    Part,
    ReportFiles,
    Summary,
    Traffic,
    Understood,
)
from bulk_sync.report.as_json import (
    batch_json,
    check_json,
    doctor_json,
    reconciliation_json,
    summary_json,
)

STATUSES = {"200": 2, "503": 2}


def _summary(statuses: dict[str, int] = STATUSES, **others: object) -> Summary:
    values: dict[str, object] = {
        "input": "a.csv",
        "base_url": "https://north.example",
        "rows": 3,
        "states": {State.UPDATED: 2, State.FAILED: 1},
        "problems": (),
        "in_flight": 0,
        "traffic": Traffic(
            4, 1, 0, 2.0, 1.0, statuses=statuses, limit=2.0, source=RateSource.OPTION
        ),
        "files": ReportFiles("a.results.csv", None, "a.checkpoint.sqlite"),
    }
    return Summary(**(values | others))  # type: ignore[arg-type]


def test_the_allowances_of_a_run() -> None:
    until = datetime(2026, 3, 14, 17, tzinfo=UTC)
    allowances = (
        Allowance(1000, 985, until, RateSource.ACCOUNT, 3600),
        Allowance(None, 0, None, RateSource.HEADER),
    )
    traffic = Traffic(4, 0, 0, 2.0, 1.0, allowances=allowances)
    assert summary_json(_summary(traffic=traffic))["rate_limit"]["allowances"] == [
        {
            "limit": 1000,
            "window_seconds": 3600,
            "remaining": 985,
            "resets_at": "2026-03-14T17:00:00.000Z",
            "source": "users/me",
        },
        {
            "limit": None,
            "window_seconds": None,
            "remaining": 0,
            "resets_at": None,
            "source": "header",
        },
    ]


def test_totals_of_several_files_add_up() -> None:
    other = _summary(input="b.csv", rows=1, states={State.UPDATED: 1}, statuses={"200": 1})
    told = batch_json(Batch((Part("a.csv", _summary()), Part("b.csv", other)), ()))
    assert told["rows"] == 4
    assert {state: count for state, count in told["states"].items() if count} == {
        "updated": 3,
        "failed": 1,
    }
    assert told["statuses"] == {"200": 3, "503": 2}
    assert [part["input"] for part in told["files"]] == ["a.csv", "b.csv"]


def test_a_file_without_a_summary_says_why() -> None:
    error = InputError("a.csv: no such file.")
    told = batch_json(Batch((Part("a.csv", error=error), Part("b.csv")), ()))
    assert told["files"] == [
        {"input": "a.csv", "error": "a.csv: no such file.", "exit_code": 4},
        {"input": "b.csv", "error": "not begun: the run ended before", "exit_code": 0},
    ]
    assert told["exit_code"] == 4


def test_an_error_after_the_sending_is_added_to_the_summary() -> None:
    error = InputError("a.csv was changed")
    (told,) = batch_json(Batch((Part("a.csv", _summary(), error, "note"),), ()))["files"]
    assert (told["rows"], told["note"], told["error"]) == (3, "note", "a.csv was changed")
    assert told["exit_code"] == 4


def test_a_check_without_a_rate_has_no_duration() -> None:
    summary = CheckSummary(
        input="a.csv",
        understood=Understood("CSV", 1),
        columns=(),
        rows=1,
        states={State.PENDING: 1},
        problems=(),
        causes=(),
        duplicates=0,
        assumptions=(),
        notes=(),
        rates=(),
        limit=None,
        window_seconds=None,
        patches=(("K1", '{"showing":{"rating":4}}'),),
        first=(
            FirstChange(
                2,
                "K1",
                (FieldChange("rating", 4, None, is_known=True), FieldChange("feedback", "a")),
            ),
        ),
    )
    told = check_json(summary)
    assert (told["seconds"], told["requests_per_second"], told["window_suffices"]) == (None,) * 3
    assert told["shown"] == [{"target": "K1", "patch": {"showing": {"rating": 4}}}]
    assert told["requests"] == told["patches"] == 1
    fields = [{"field": "rating", "to": 4, "from": None}, {"field": "feedback", "to": "a"}]
    assert told["first_changes"] == [{"row": 2, "key": "K1", "fields": fields}]


def test_a_comparison_with_the_ledger_names_it() -> None:
    summary = Reconciliation(
        input="a.csv",
        other=None,
        base=None,
        classes=dict.fromkeys(RowClass, 1),
        here=SideCounts(dict.fromkeys(RowClass, 1) | {RowClass.ONLY_THERE: 0}, 2, 3),
        there=SideCounts(dict.fromkeys(RowClass, 1) | {RowClass.ONLY_HERE: 0}),
        fields={},
        first=(),
        listed=(),
        conflicts=1,
        stale=2,
        to_send=0,
        one_way=False,
        prefer_here=False,
        notes=(),
        results=None,
        page=None,
        template=None,
        changes=None,
    )
    told = reconciliation_json(summary, 3)
    assert (told["with"], told["rows"], told["changed_only_there"]) == ("ledger", 7, 2)
    assert [told[side]["rows"] for side in ("here", "there")] == [10, 5]
    for side in ("here", "there"):
        assert sum(told[side].values()) == 2 * told[side]["rows"]
    assert told["superseded"] == 2
    assert list(told["classes"]) == [
        "same",
        "differs",
        "conflict",
        "only_here",
        "only_there",
        "problem",
    ]


def test_doctor_ends_with_the_first_code_that_a_run_would_meet() -> None:
    findings = (
        Finding("key", "is accepted"),
        Finding("clock", "is off", "wrong", 5),
        Finding("disk", "is full", "wrong", 8),
    )
    told = doctor_json([("rate", "10/s", "bulk-sync.toml")], findings)
    assert told["settings"] == {"rate": {"value": "10/s", "from": "bulk-sync.toml"}}
    assert told["findings"][0] == {"about": "key", "standing": "well", "text": "is accepted"}
    assert told["exit_code"] == 5
