"""What is marked as changed between two texts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.report.text_diff import around_change


@given(st.text("ab", max_size=60), st.text("ab", max_size=60), st.text("ab", max_size=60))
def test_the_part_around_the_first_change_is_short_and_has_it(
    same: str, old: str, new: str
) -> None:
    one, other = around_change(same + old, same + new, 20)
    if max(len(same + old), len(same + new)) <= 20:
        assert (one, other) == (same + old, same + new)
    assert max(len(one), len(other)) <= 20 + 2 * len("...")
    assert (one != other) == (old != new)
