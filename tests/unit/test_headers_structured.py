"""`RateLimit` and `RateLimit-Policy`: which policy is whose, and values that are malformed."""

from __future__ import annotations

import pytest

from bulk_sync.send.headers import Limits, Quota, limits

POLICY = '"day";q=1000;w=3600'
STATE = '"day";r=50;t=30'
WHOLE = Quota(1000, 3600, 50, 30)


def of(state: str | None, policy: str | None) -> Limits:
    given = {"ratelimit": state, "ratelimit-policy": policy}
    return limits({name: text for name, text in given.items() if text is not None})


def test_a_policy_and_a_state_of_one_name_are_one_quota() -> None:
    assert of(STATE, POLICY) == Limits((WHOLE,))
    assert of(STATE, None) == Limits((Quota(remaining=50, reset_seconds=30),))
    assert of(None, POLICY) == Limits((Quota(1000, 3600),))
    assert of(STATE, '"hour";q=1000;w=3600').quotas == (
        Quota(1000, 3600),
        Quota(remaining=50, reset_seconds=30),
    )


@pytest.mark.parametrize("blank", ["", " ", "\t"])
def test_blank_headers_state_nothing_and_are_not_called_malformed(blank: str) -> None:
    assert of(blank, None) == of(None, blank) == of(blank, blank) == Limits()
    assert of(blank, POLICY) == Limits((Quota(1000, 3600),))
    assert of(STATE, blank) == of(STATE, None)


@pytest.mark.parametrize(
    ("state", "policy"),
    [
        ('"day";r=soon;t=30', POLICY),
        ('"day";r=50;t=soon', POLICY),
        ('"day";r;t=30', POLICY),
        (STATE, '"day";q=many;w=3600'),
        (STATE, '"day";q=1000;w=hour'),
        (None, '"day";q=1000;w=hour'),
        ('"day";t=30', '"day";w=3600'),
    ],
)
def test_a_quota_of_which_any_value_is_malformed_is_ignored_as_a_whole(
    state: str | None, policy: str
) -> None:
    found = of(state, policy)
    assert found.quotas == ()
    ((name, reason),) = found.ignored
    assert name == "RateLimit"
    assert "can't be read and is ignored" in reason


def test_one_malformed_quota_leaves_the_others() -> None:
    assert of(f'{STATE}, "hour";r=x;t=5', POLICY) == Limits((WHOLE,))


@pytest.mark.parametrize(
    ("state", "policies", "quotas"),
    [
        # Without a limit, the first policy is the state's.
        (
            "remaining=5, reset=30",
            "1000;w=3600, 100;w=60",
            (Quota(100, 60), Quota(1000, 3600, 5, 30)),
        ),
        (
            "remaining=5, reset=30",
            "100;w=60, 1000;w=3600",
            (Quota(100, 60, 5, 30), Quota(1000, 3600)),
        ),
        # With one, it is the policy of that limit, of several the shortest that the reset fits.
        (
            "limit=100, remaining=5, reset=30",
            "100;w=3600, 100;w=60, 100;w=10",
            (Quota(100, 10), Quota(100, 60, 5, 30), Quota(100, 3600)),
        ),
        ("limit=7, remaining=5, reset=30", "100;w=60", (Quota(100, 60), Quota(7, None, 5, 30))),
    ],
)
def test_which_of_several_policies_a_state_of_draft_7_belongs_to(
    state: str, policies: str, quotas: tuple[Quota, ...]
) -> None:
    assert of(state, policies) == Limits(quotas)
