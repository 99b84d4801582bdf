"""Names and files of a run, its summary, and the purge of its checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

from bulk_sync.address import SANDBOX_TARGET
from bulk_sync.errors import InputError, OutputError, StoppedEarly, UsageError
from bulk_sync.job.database import Job
from bulk_sync.job.store import Store
from bulk_sync.model.rows import Outcome, RateSource, State, Tally
from bulk_sync.run.outputs import check_outputs, refuse_names, write_failed_rows
from bulk_sync.run.purge import PURGED_NOTE, purge_or_explain, why_not_to_purge
from bulk_sync.run.summary import (
    Sent,
    note_on_choice,
    summary_of_job,
    summary_of_run,
    traffic_of,
    with_files,
)
from bulk_sync.settings.files import Files
from bulk_sync.settings.push import PushSettings
from tests.unit.checkpoints import acknowledge, record_of, stage


def files_in(folder: Path) -> Files:
    return Files.of(folder / "x.csv", page=folder / "x.html")


def pushing(folder: Path, **values: object) -> PushSettings:
    return PushSettings(input=folder / "x.csv", sandbox=True, **values)


def test_files_with_names_of_their_own_are_taken(tmp_path: Path) -> None:
    others = {"undo_file": tmp_path / "undo.csv", "ledger": tmp_path / "l.sqlite"}
    refuse_names(pushing(tmp_path, page=tmp_path / "x.html", **others))


@pytest.mark.parametrize("taken", ["x.csv", "x.results.csv", "x.failed.csv", "x.html"])
def test_no_report_takes_the_place_of_another_file(tmp_path: Path, taken: str) -> None:
    page = tmp_path / "x.html"
    with pytest.raises(UsageError, match="can't be the same file"):
        refuse_names(pushing(tmp_path, page=page, undo_file=tmp_path / taken))
    with pytest.raises(UsageError, match="--ledger"):
        refuse_names(pushing(tmp_path, page=page, ledger=tmp_path / taken))


def test_results_of_an_unknown_format_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"x\.pdf"):
        refuse_names(pushing(tmp_path, results=tmp_path / "x.pdf"))


def test_a_file_that_cannot_be_written_is_found_before_sending(tmp_path: Path) -> None:
    check_outputs(files_in(tmp_path), tmp_path / "undo.csv")
    with pytest.raises(OutputError):
        check_outputs(files_in(tmp_path), tmp_path / "no such folder" / "undo.csv")


def test_a_failed_file_that_was_edited_is_kept_under_another_name(tmp_path: Path) -> None:
    failed = tmp_path / "x.failed.csv"
    with Store.open(tmp_path / "x.checkpoint.sqlite") as store:
        stage(store, [("a", "bad"), ("b", "4")])
        assert write_failed_rows(store, failed, ("k", "v"), "") == ()
        assert write_failed_rows(store, failed, ("k", "v"), "") == ()
        failed.write_text("edited", encoding="utf-8")
        (note,) = write_failed_rows(store, failed, ("k", "v"), "")
    kept = list(tmp_path.glob("*.edited*"))
    assert [path.read_text(encoding="utf-8") for path in kept] == ["edited"]
    assert str(kept[0]) in note
    assert "a,bad" in failed.read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["k,v,error\r\na,mended,", "name,phone\r\nAnn,555"])
def test_without_failed_rows_only_the_jobs_own_file_of_them_goes(tmp_path: Path, text: str) -> None:
    failed, edited = tmp_path / "x.failed.csv", tmp_path / "x.failed.edited.csv"
    with Store.open(tmp_path / "x.checkpoint.sqlite") as store:
        stage(store, [("b", "4")])
        bad = store.staged.stage([record_of(2, "a", "bad")])
        good = store.staged.stage([record_of(2, "a", "4")])
        write_failed_rows(store, failed, ("k", "v"), "", bad)
        assert write_failed_rows(store, failed, ("k", "v"), "", good) == ()
        assert not failed.exists()
        failed.write_text(text, encoding="utf-8", newline="")
        notes = write_failed_rows(store, failed, ("k", "v"), "", good)
    is_ours = "error" in text
    assert (edited if is_ours else failed).read_text(encoding="utf-8") == text.replace("\r", "")
    assert len(notes) == is_ours
    assert edited.exists() == is_ours


def test_failed_rows_of_a_purged_job_are_not_written(tmp_path: Path) -> None:
    failed = tmp_path / "x.failed.csv"
    with Store.open(tmp_path / "x.checkpoint.sqlite") as store:
        stage(store, [("a", "bad"), ("b", "4")])
        acknowledge(store)
        assert purge_or_explain(store) == PURGED_NOTE
        (note,) = write_failed_rows(store, failed, ("k", "v"), "")
    assert "removed by --purge" in note
    assert not failed.exists()


def test_a_job_is_purged_only_when_it_is_finished() -> None:
    with Store.scratch() as store:
        assert "nothing was staged" in (why_not_to_purge(store) or "")
        stage(store, [("a", "3"), ("b", "4")])
        assert purge_or_explain(store).startswith("Not purged: 2 rows are pending")
        assert not store.views.purged()
        acknowledge(store)
        assert why_not_to_purge(store) is None


def test_a_summary_needs_a_job(tmp_path: Path) -> None:
    with Store.scratch() as store, pytest.raises(InputError, match="nothing was staged"):
        summary_of_job(store, files_in(tmp_path))


def test_the_summary_of_a_run_has_its_own_traffic_and_all_notes(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    tally = Tally(total=2, requests=3, retries=1, decided={State.UPDATED: 2})
    tally.notes["budget"] = "of the budget"
    stopped = StoppedEarly("enough")
    with Store.scratch() as store:
        stage(store, [("a", "3"), ("b", "4")], left_out=[("c", "5")])
        acknowledge(store)
        sent = Sent(2.0, stopped, ("of sending",))
        summary = summary_of_run(store, files, tmp_path / "y.csv", tally, sent, ("of staging",))
    assert summary.input == str(tmp_path / "y.csv")
    assert summary.states == {State.UPDATED: 2}
    assert (summary.traffic.requests, summary.traffic.rows_per_second) == (3, 1.0)
    assert summary.stopped is stopped
    assert summary.notes == (
        *note_on_choice(1),
        "of staging",
        "of sending",
        "of the budget",
    )


def test_the_rate_of_a_killed_run_counts_rejected_rows_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.scratch() as store:
        stage(store, [("a", "3"), ("b", "4"), ("c", "5")])
        first, second, _ = store.outbox.exchange(limit=100)
        store.outbox.exchange(
            [Outcome(first.id, State.UPDATED, 1), Outcome(second.id, State.REJECTED, 1)]
        )
        # The time line has them; the job counts no seconds for a run that was killed.
        monkeypatch.setattr(type(store.views), "seconds_sent", lambda _: 4.0)
        summary = summary_of_job(store, files_in(tmp_path))
    assert summary.states[State.PENDING] == 1
    assert (summary.traffic.seconds, summary.traffic.rows_per_second) == (4.0, 0.5)


def test_a_rehearsal_says_first_that_it_was_one(tmp_path: Path) -> None:
    with Store.scratch() as store:
        generation = store.staged.stage([record_of(2, "a", "4")])
        store.adoption.adopt(
            Job(generation, "x.csv", "d", "m", False, ("k",), SANDBOX_TARGET, None, 0.0)
        )
        summary = summary_of_job(store, files_in(tmp_path))
    assert summary.notes[0].startswith("Rehearsal: ")


def test_a_summary_names_the_files_that_exist(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    with Store.scratch() as store:
        stage(store, [("a", "4")])
        summary = summary_of_job(store, files)
    files.results.touch()
    undo = tmp_path / "undo.csv"
    undo.touch()
    found = with_files(summary, files, undo, ("a note",)).files
    assert (found.results, found.failed, found.page) == (str(files.results), None, None)
    assert found.undo == str(undo)


@pytest.mark.parametrize(
    ("limit", "seconds", "requests", "used"),
    [(10.0, 2.0, 15, 0.75), (None, 2.0, 15, None), (10.0, 0.0, 15, None), (10.0, 2.0, 0, None)],
)
def test_the_used_share_of_a_limit(
    limit: float | None, seconds: float, requests: int, used: float | None
) -> None:
    tally = Tally(limit=limit, source=RateSource.FOUND, requests=requests)
    assert traffic_of(tally, seconds).utilisation == used


def test_rows_still_pending_are_not_counted_as_sent() -> None:
    tally = Tally(total=10, decided={State.PENDING: 5, State.UPDATED: 3, State.FAILED: 1})
    assert traffic_of(tally, 2.0).rows_per_second == 2.0
    assert traffic_of(Tally(total=10), 2.0).rows_per_second == 0.0
