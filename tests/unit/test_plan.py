from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bulk_sync.address import DEFAULT_BASE_URL, SANDBOX_TARGET
from bulk_sync.errors import UsageError, WrongTeam
from bulk_sync.model.account import Team
from bulk_sync.model.problems import Expected, Remedy
from bulk_sync.model.rows import State
from bulk_sync.plan import (
    JobFacts,
    Merge,
    OnDuplicate,
    Start,
    Twin,
    Verdict,
    address_of_ledger,
    how_to_start,
    refuse_key_of_another,
    report_of_twins,
    settle_rivals,
    settle_twins,
)

KNOWN = JobFacts("https://api.example.com", "key one", "digest", "meaning")


@pytest.mark.parametrize(
    ("known", "asked", "start"),
    [
        (None, KNOWN, Start.NEW),
        (KNOWN, KNOWN, Start.RESUME),
        (KNOWN, replace(KNOWN, input_digest="other"), Start.RESTAGE),
        (KNOWN, replace(KNOWN, meaning="other"), Start.RESTAGE),
        (replace(KNOWN, key_fingerprint=None), KNOWN, Start.RESUME),
        (replace(KNOWN, base_url=SANDBOX_TARGET), KNOWN, Start.NEW),
        (
            replace(KNOWN, base_url=SANDBOX_TARGET),
            replace(KNOWN, base_url=SANDBOX_TARGET),
            Start.NEW,
        ),
    ],
)
def test_how_a_run_begins(known: JobFacts | None, asked: JobFacts, start: Start) -> None:
    assert how_to_start(known, asked, fresh=False, new_key=False) is start


@pytest.mark.parametrize(
    "change", [{"base_url": "https://other.example.com"}, {"key_fingerprint": "key two"}]
)
def test_a_checkpoint_of_somewhere_else_is_refused_unless_fresh(change: dict[str, str]) -> None:
    asked = replace(KNOWN, **change)
    with pytest.raises(UsageError, match="--fresh"):
        how_to_start(KNOWN, asked, fresh=False, new_key=False)
    assert how_to_start(KNOWN, asked, fresh=True, new_key=False) is Start.NEW


def test_another_key_of_the_same_team_goes_on_when_the_user_says_so() -> None:
    asked = replace(KNOWN, key_fingerprint="key two")
    assert how_to_start(KNOWN, asked, fresh=False, new_key=True) is Start.RESUME


TEAM, OTHER = Team("1", "Example Realty"), Team("2", "Other Realty")
UNNAMED = (None, Team(None, "Example Realty"))


def start(before: Team | None, after: Team | None, key: str, *, new_key: bool = False) -> Start:
    known, wanted = replace(KNOWN, team=before), replace(KNOWN, team=after, key_fingerprint=key)
    return how_to_start(known, wanted, fresh=False, new_key=new_key)


def test_another_key_of_the_same_team_goes_on_by_itself() -> None:
    assert start(TEAM, Team("1", "Renamed Realty"), "key two") is Start.RESUME


@pytest.mark.parametrize("key", ["key one", "key two"])
@pytest.mark.parametrize("new_key", [False, True])
def test_a_job_of_another_team_is_refused_whatever_the_key(key: str, new_key: bool) -> None:
    with pytest.raises(WrongTeam, match=r"Example Realty \(1\).* Other Realty \(2\)"):
        start(TEAM, OTHER, key, new_key=new_key)


@pytest.mark.parametrize(
    ("before", "after"),
    [(TEAM, team) for team in UNNAMED] + [(team, TEAM) for team in UNNAMED] + [(None, None)],
)
def test_where_a_team_is_unknown_the_user_has_to_vouch_for_another_key(
    before: Team | None, after: Team | None
) -> None:
    assert start(before, after, "key one") is Start.RESUME
    assert start(before, after, "key two", new_key=True) is Start.RESUME
    with pytest.raises(UsageError, match="--new-key"):
        start(before, after, "key two")


def settled(
    twins: Sequence[Twin], policy: OnDuplicate = "error"
) -> tuple[list[Verdict], Merge | None]:
    verdicts, merge = settle_twins(twins, policy)
    return list(verdicts), merge


def rows(verdict: Verdict) -> object:
    return verdict.reason.facts["rows"]


def test_a_reason_names_few_of_many_rows() -> None:
    verdicts, _ = settled([Twin(n, n, str(n)) for n in range(2, 1002)])
    assert (rows(verdicts[0]), verdicts[0].reason.facts["more"]) == ([3, 4, 5, 6, 7], 994)


@given(st.lists(st.booleans(), min_size=2, max_size=12))
def test_each_row_names_all_the_others_and_not_itself(left_out: list[bool]) -> None:
    twins = [Twin(n, n, str(n), left_out=is_out) for n, is_out in enumerate(left_out, 2)]
    spelt = [replace(twin, spelling=str(twin.id)) for twin in twins]
    rivals = list(settle_rivals(twins))
    for verdicts in (settled(twins)[0], settled(spelt)[0], rivals):
        assert [verdict.id for verdict in verdicts] == [twin.id for twin in twins]
        for verdict in verdicts:
            others = [twin for twin in twins if twin.id != verdict.id]
            assert rows(verdict) == [other.number for other in others[:5]]
            assert verdict.reason.facts.get("more", 0) == max(0, len(others) - 5)
            assert ("left_out" in verdict.reason.facts) == any(each.left_out for each in others)


class Walked(list[Twin]):
    """Counts how often its twins are walked through."""

    walks = 0

    def __iter__(self) -> Iterator[Twin]:
        self.walks += 1
        return super().__iter__()


@pytest.mark.parametrize("spelling", ["", "different"])
def test_a_key_in_every_row_of_a_sheet_costs_no_walk_through_the_sheet_for_each(
    spelling: str,
) -> None:
    walks = []
    for count in (50, 500):
        twins = Walked(Twin(n, n, str(n), spelling=spelling and str(n)) for n in range(2, count))
        settled(twins)
        walks.append(twins.walks)
    assert walks[0] == walks[1] > 0


def test_identical_twins_are_one_change() -> None:
    verdicts, merge = settled([Twin(1, 2, "a"), Twin(5, 6, "a"), Twin(9, 10, "a")])
    assert [(verdict.id, verdict.state) for verdict in verdicts] == [
        (5, State.SUPERSEDED),
        (9, State.SUPERSEDED),
    ]
    assert rows(verdicts[0]) == [2]
    assert merge is None


@pytest.mark.parametrize(
    ("reports", "policy", "given"),
    [
        ((None, None), "error", None),
        (("r", None), "error", (1, "r")),
        ((None, "r"), "error", (1, "r")),
        (("r", "r"), "error", (1, "r")),
        (("r", "s"), "merge", (5, "s")),
        (("r", None), "merge", (5, "r")),
        (("s", "r", "s"), "merge", (9, "s")),
        (("r", None), "last", None),
    ],
)
def test_the_row_that_is_sent_has_the_report_that_its_twins_name(
    reports: tuple[str | None, ...], policy: OnDuplicate, given: tuple[int, str] | None
) -> None:
    twins = [Twin(4 * n + 1, n, "a", report) for n, report in enumerate(reports)]
    assert report_of_twins(twins, policy) == given


def test_twins_of_different_reports_differ() -> None:
    twins = [Twin(1, 2, "a", "r"), Twin(5, 6, "a", None), Twin(9, 10, "a", "s")]
    verdicts, _ = settled(twins)
    assert [verdict.state for verdict in verdicts] == [State.INVALID] * 3
    verdicts, _ = settled(twins[:2])
    assert [(verdict.id, verdict.state) for verdict in verdicts] == [(5, State.SUPERSEDED)]


def test_differing_twins_are_invalid_and_name_each_other() -> None:
    verdicts, _ = settled([Twin(1, 2, "a"), Twin(5, 6, "b"), Twin(9, 10, "a")])
    assert {verdict.state for verdict in verdicts} == {State.INVALID}
    assert rows(verdicts[0]) == [6, 10]
    assert rows(verdicts[1]) == [2, 10]


def test_a_twin_that_cannot_be_read_keeps_the_others_from_being_sent() -> None:
    verdicts, _ = settled([Twin(1, 2, "a"), Twin(5, 6, None)])
    assert [(verdict.id, verdict.error) for verdict in verdicts] == [(1, "duplicate_key")]
    assert rows(verdicts[0]) == [6]


def test_the_last_twin_counts_when_the_user_says_so_even_if_it_cannot_be_read() -> None:
    verdicts, _ = settled([Twin(1, 2, "a"), Twin(5, 6, None), Twin(9, 10, "b")], "last")
    assert [(verdict.id, verdict.state) for verdict in verdicts] == [
        (1, State.SUPERSEDED),
        (5, State.SUPERSEDED),
    ]
    verdicts, _ = settled([Twin(1, 2, "a"), Twin(5, 6, None)], "last")
    assert [verdict.id for verdict in verdicts] == [1]
    assert verdicts[0].reason.expected is Expected.USABLE_LAST_ROW


def test_merged_twins_are_one_change_carried_by_the_last() -> None:
    twins = (Twin(1, 2, "a"), Twin(5, 6, "b"))
    verdicts, merge = settled(twins, "merge")
    assert [(verdict.id, verdict.state) for verdict in verdicts] == [(1, State.SUPERSEDED)]
    assert merge == Merge(5, twins)
    verdicts, merge = settled([Twin(1, 2, "a"), Twin(5, 6, None)], "merge")
    assert merge is None
    assert [(verdict.id, verdict.error) for verdict in verdicts] == [(1, "duplicate_key")]
    assert verdicts[0].reason.remedy is Remedy.CORRECT_TWIN


def test_rows_with_one_key_and_several_ids_are_all_invalid() -> None:
    verdicts = list(settle_rivals([Twin(1, 2, ""), Twin(5, 6, ""), Twin(8, 9, None)]))
    assert [(verdict.id, verdict.error) for verdict in verdicts] == [
        (1, "duplicate_key"),
        (5, "duplicate_key"),
    ]
    assert verdicts[0].reason.expected is Expected.ONE_ID_A_KEY
    assert rows(verdicts[0]) == [6, 9]


@given(
    st.lists(st.sampled_from(["a", "b", None]), min_size=2, max_size=12),
    st.sampled_from(["error", "last", "merge"]),
)
def test_of_twins_at_most_one_is_sent(digests: list[str | None], policy: OnDuplicate) -> None:
    twins = [Twin(position, position + 2, digest) for position, digest in enumerate(digests)]
    verdicts, merge = settled(twins, policy)
    sent = {twin.id for twin in twins if twin.digest} - {verdict.id for verdict in verdicts}
    if policy == "error":
        assert len(sent) == (1 if len(set(digests)) == 1 and digests[0] else 0)
    else:
        assert len(sent) <= 1
    assert merge is None or sent == {merge.id}


HERE, ELSEWHERE = "https://api.example.com", "https://other.example.com"


@pytest.mark.parametrize(
    ("known", "wanted", "address"),
    [
        ([HERE], None, HERE),
        ([HERE], HERE, HERE),
        ([HERE, ELSEWHERE], ELSEWHERE, ELSEWHERE),
        ([HERE, SANDBOX_TARGET], None, HERE),
        ([HERE, SANDBOX_TARGET], SANDBOX_TARGET, SANDBOX_TARGET),
        ([], HERE, HERE),
        ([], None, DEFAULT_BASE_URL),
    ],
)
def test_a_ledger_answers_for_the_address_that_is_asked_for_else_for_its_own(
    known: list[str], wanted: str | None, address: str
) -> None:
    assert address_of_ledger(known, wanted) == address


@pytest.mark.parametrize(
    ("known", "wanted", "named"),
    [
        ([HERE], ELSEWHERE, [HERE, ELSEWHERE]),
        ([HERE], SANDBOX_TARGET, [HERE, "a sandbox"]),
        ([HERE, ELSEWHERE], None, [HERE, ELSEWHERE, "--base-url"]),
        ([SANDBOX_TARGET], HERE, ["rehearsal", HERE]),
        ([SANDBOX_TARGET], None, ["rehearsal", "--sandbox"]),
    ],
)
def test_a_ledger_of_another_address_is_refused_with_both(
    known: list[str], wanted: str | None, named: list[str]
) -> None:
    with pytest.raises(UsageError) as refused:
        address_of_ledger(known, wanted)
    assert all(part in str(refused.value) for part in named)


def test_a_ledger_of_another_key_is_refused_unless_the_user_vouches_for_the_team() -> None:
    for known, wanted, new_key in [
        (None, "one", False),
        ("one", None, False),
        ("one", "one", False),
        ("one", "two", True),
    ]:
        refuse_key_of_another(known, wanted, new_key=new_key)
    with pytest.raises(UsageError, match="--new-key"):
        refuse_key_of_another("one", "two", new_key=False)


def test_a_refusal_names_both_places_and_each_ledgers_by_address() -> None:
    with pytest.raises(UsageError) as refused:
        how_to_start(KNOWN, replace(KNOWN, base_url=SANDBOX_TARGET), fresh=False, new_key=False)
    assert str(refused.value).startswith(
        "this checkpoint belongs to a job for https://api.example.com, not for a sandbox. "
    )
    other = "https://other.example.com"
    with pytest.raises(UsageError) as refused:
        how_to_start(KNOWN, replace(KNOWN, base_url=other), fresh=False, new_key=False)
    assert f"a job for https://api.example.com, not for {other}. " in str(refused.value)
    with pytest.raises(UsageError) as refused:
        address_of_ledger(["https://api.example.com", SANDBOX_TARGET, other], None)
    assert str(refused.value) == (
        f"this ledger has values of https://api.example.com and {other}: choose one with --base-url"
    )
    with pytest.raises(UsageError, match=r"values of https://api\.example\.com, none of a sandbox"):
        address_of_ledger(["https://api.example.com"], SANDBOX_TARGET)


def test_a_job_that_says_nothing_of_other_files_continues_one_that_did_not_either() -> None:
    said = replace(KNOWN, elsewhere="digest of others")
    assert KNOWN.elsewhere == ""
    assert how_to_start(said, KNOWN, fresh=False, new_key=False) is Start.RESTAGE
    assert how_to_start(said, said, fresh=False, new_key=False) is Start.RESUME


def test_an_invalid_row_keeps_its_twins_from_being_merged_wherever_it_is() -> None:
    for place in range(3):
        twins = [Twin(n, n, None if n == place else str(n)) for n in range(3)]
        verdicts, merge = settled(twins, "merge")
        assert merge is None
        assert [verdict.id for verdict in verdicts] == [n for n in range(3) if n != place]
        assert all(rows(verdict) == [place] for verdict in verdicts)
        assert {verdict.reason.expected for verdict in verdicts} == {Expected.USABLE_TWIN}


def test_merged_rows_name_the_last_one_that_carries_their_values() -> None:
    verdicts, merge = settled([Twin(n, 10 * n, str(n)) for n in range(1, 5)], "merge")
    assert merge is not None
    assert merge.id == 4
    assert [twin.id for twin in merge.twins] == [1, 2, 3, 4]
    assert [(verdict.id, rows(verdict)) for verdict in verdicts] == [
        (1, [40]),
        (2, [40]),
        (3, [40]),
    ]


def test_rows_of_a_held_file_keep_all_of_a_showing_from_being_merged() -> None:
    twins = [
        Twin(1, 1, "a", file="a.csv", held=True),
        Twin(2, 2, "b", file="b.csv"),
        Twin(3, 3, "c", file="b.csv"),
    ]
    verdicts, merge = settled(twins, "merge")
    assert merge is None
    # The row of the held file has no other row that is to blame.
    assert [(verdict.id, rows(verdict)) for verdict in verdicts] == [(2, [1]), (3, [1])]
    assert all(verdict.reason.facts["files"] == ["a.csv"] for verdict in verdicts)
    both, merge = settled([replace(twin, held=True) for twin in twins], "merge")
    assert merge is None
    assert [(verdict.id, rows(verdict)) for verdict in both] == [(1, [2]), (2, [1]), (3, [1])]


def test_among_many_rows_of_a_run_each_names_one_of_another_file() -> None:
    twins = [Twin(n, n, str(n), file="a.csv") for n in range(1, 10)]
    twins.append(Twin(10, 10, "10", file="b.csv"))
    verdicts, _ = settled(twins)
    assert rows(verdicts[0]) == [2, 3, 4, 5, 10]
    assert verdicts[0].reason.facts["files"] == ["", "", "", "", "b.csv"]
    assert rows(verdicts[8]) == [1, 2, 3, 4, 10]
    assert rows(verdicts[9]) == [1, 2, 3, 4, 5]
    assert verdicts[9].reason.facts["files"] == ["a.csv"] * 5
    assert verdicts[0].reason.remedy is Remedy.KEEP_ONE_OF_THE_RUN
    alone, _ = settled(twins[:-1])
    assert "files" not in alone[0].reason.facts
    assert alone[0].reason.remedy is Remedy.KEEP_ONE
