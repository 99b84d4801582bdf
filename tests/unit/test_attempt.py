"""The path and the idempotency key of a request."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.model.rows import Change
from bulk_sync.send.attempt import idempotency_key, patch_path


@given(st.text(min_size=1))
def test_a_key_is_one_segment_of_unreserved_characters(key: str) -> None:
    if key.encode("utf-8", "replace").decode() != key:
        return
    prefix, _, segment = patch_path(key).rpartition("/")
    assert prefix == "/v1/showings"
    assert set(segment) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%"
    )


def test_idempotency_keys_hang_on_target_and_content() -> None:
    change = Change(1, 2, "a", "{}", "d1")
    assert idempotency_key(change) == idempotency_key(Change(9, 9, "a", "x", "d1"))
    assert idempotency_key(change) != idempotency_key(Change(1, 2, "b", "{}", "d1"))
    assert idempotency_key(change) != idempotency_key(Change(1, 2, "a", "{}", "d2"))
