"""A comparison on a terminal: long lines are told apart by their indent."""

from __future__ import annotations

import io

from rich.console import Console

from bulk_sync.address import DEFAULT_BASE_URL
from bulk_sync.model.comparison import Compared, Reconciliation, RowClass, SideCounts
from bulk_sync.model.problems import Expected, Reason
from bulk_sync.report.terminal.comparison import show_reconciliation

BAD = Compared(
    RowClass.PROBLEM,
    *(11, 9, "k", "k", "", ()),
    reasons=(Reason(Expected.RATING, "rating", "great"),),
)
CLASSES = {one: int(one is RowClass.PROBLEM) for one in RowClass}
COMPARED = Reconciliation(
    input="here.csv",
    other="there.csv",
    base=None,
    classes=CLASSES,
    here=SideCounts(CLASSES),
    there=SideCounts(CLASSES),
    fields={},
    first=(),
    listed=(BAD,),
    conflicts=0,
    stale=0,
    to_send=0,
    one_way=False,
    prefer_here=False,
    notes=(),
    results=None,
    page=None,
    template=None,
    changes=None,
    systematic=(),
    refused=False,
    command=(),
    base_url=DEFAULT_BASE_URL,
)


def printed(*, is_terminal: bool) -> list[str]:
    console = Console(file=io.StringIO(), width=40, force_terminal=is_terminal, color_system=None)
    show_reconciliation(console, COMPARED)
    assert isinstance(console.file, io.StringIO)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    return lines[lines.index("with a problem: 1 row") + 1 :]


def test_a_long_problem_goes_on_below_its_beginning() -> None:
    begun, *others = printed(is_terminal=True)
    assert begun.startswith("  row 11: rating: 'great' is")
    assert others[0].startswith("  ")
    assert all(len(line) <= 40 for line in (begun, *others))
    (whole,) = printed(is_terminal=False)[:1]
    assert whole.startswith("  row 11: rating: 'great' is not a rating from 1 to 5, such as 4, ")
